"""Parity with the authors' released code, whose numbers are in the fixtures; and its parameters, back and forth."""

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_close, random_params, small_config

from cormorant_np import model, released
from cormorant_np.config import CONVENTIONS, Config
from cormorant_np.data import make_batch
from cormorant_np.errors import UserError
from cormorant_np.network.arrangement import arrange_forward
from cormorant_np.network.geometry import pair_functions_forward
from cormorant_np.network.input_network import input_network_forward
from cormorant_np.network.output_network import invariants_forward
from cormorant_np.network.pairs import spread
from cormorant_np.training.loss import mean_squared_error_backward, mean_squared_error_forward

FIXTURES = Path(__file__).parents[2] / "shared" / "fixtures"
COMMITTED = Path(__file__).with_name("released_md17_small.npz")
WITH_INTERMEDIATES = ["md17_small", "qm9_small"]
ALL = ["committed", "md17_paper", *WITH_INTERMEDIATES]
META = {
    "maxl": [1, 3, 0],
    "max_sh": [1, 2, 3],
    "num_channels": 2,
    "species": [1, 7],
    "charge_scale": 7,
    "basis_set": [2, 1],
}


def path_of(name):
    """Inputs, parameters, energies and gradients of md17_small are committed; the rest may be beside this clone."""
    path = COMMITTED if name == "committed" else FIXTURES / f"{name}.npz"
    if not path.exists():
        pytest.skip("these numbers of the released code are not here")
    return path


@cache
def fixture(name):
    with np.load(path_of(name)) as archive:
        return dict(archive)


@cache
def network(name):
    """The fixture's network and batch, and the caches of a forward pass."""
    data = fixture(name)
    config, params = released.from_state_dict(released.load_state(path_of(name)), data["meta"])
    batch = make_batch(data["in.charges"], data["in.positions"], config, np.float64)
    energy, forward_cache = model.forward(params, batch, config)
    return config, params, batch, energy, forward_cache


def by_pair(edges, pairs):
    """(C, B, P) → (B, i, j, C)"""
    return spread(edges, pairs).transpose(1, 3, 2, 0)


def by_atom(features):
    """(2ℓ+1, C, B, N) → (B, N, C, 2ℓ+1)"""
    return features.transpose(2, 3, 1, 0)


@pytest.mark.parametrize("name", ALL)
def test_energies_and_loss(name):
    *_, energy, _ = network(name)
    data = fixture(name)
    loss, _ = mean_squared_error_forward(energy, data["in.target"], len(energy))
    assert_close(energy, data["out.energy"], 1e-10)
    assert_close(loss, data["out.loss"], 1e-10)


@pytest.mark.parametrize("name", ALL)
def test_gradient_of_the_loss_by_every_parameter(name):
    config, *_, energy, forward_cache = network(name)
    data = fixture(name)
    _, loss_cache = mean_squared_error_forward(energy, data["in.target"], len(energy))
    grads, _ = model.backward(mean_squared_error_backward(1, loss_cache), forward_cache)
    expected = {key.removeprefix("grad."): value for key, value in data.items() if key.startswith("grad.")}
    del expected["positions_of_energy"]
    actual = released.to_state_dict(grads, config)
    assert actual.keys() == expected.keys()
    for key, gradient in expected.items():
        assert_close(actual[key], gradient, 1e-10)


@pytest.mark.parametrize("name", ALL)
def test_gradient_of_the_energy_by_positions(name):
    *_, energy, forward_cache = network(name)
    _, d_positions = model.backward(np.ones_like(energy), forward_cache)
    assert_close(d_positions, fixture(name)["grad.positions_of_energy"], 1e-7)


@pytest.mark.parametrize("name", WITH_INTERMEDIATES)
def test_harmonics_and_radial_functions(name):
    config, params, batch, *_ = network(name)
    data = fixture(name)
    functions, _ = pair_functions_forward(arrange_forward(params, config), batch.charges, batch.positions, config)
    pairs = functions.geometry.pairs
    # the fixture's pairs with padding have harmonics, which its mask takes out later
    neighbours = spread(functions.geometry.neighbours, pairs) > 0
    for l in range(3):
        harmonics = functions.harmonics[:, l * l : (l + 1) ** 2].transpose(0, 2, 3, 1)  # (B, N_i, N_j, m)
        assert_close(harmonics[neighbours], data[f"mid.sph.l{l}"][neighbours][:, 0], 1e-10)
    for s in range(config.num_layers):
        assert_close(by_pair(functions.radial[s], pairs), data[f"mid.radial.{s}"], 1e-10)


@pytest.mark.parametrize("name", WITH_INTERMEDIATES)
def test_activations(name):
    config, params, batch, *_ = network(name)
    data = fixture(name)
    weights = arrange_forward(params, config)
    functions, _ = pair_functions_forward(weights, batch.charges, batch.positions, config)
    features, _ = input_network_forward(params, batch.charges, functions.geometry, config)
    assert_close(by_atom(features), data["mid.input.l0"], 1e-10)
    edges = np.empty((0, config.num_channels, *functions.geometry.distances.shape), complex)
    for s in range(config.num_layers):
        edges, features, _ = model.layer_forward(weights, s, edges, features, functions, config)
        for l in range(len(edges)):
            assert_close(by_pair(edges[l], functions.geometry.pairs), data[f"mid.edge.{s}.l{l}"], 1e-10)
        for l in range(config.l_max[s] + 1):
            assert_close(by_atom(features[l * l : (l + 1) ** 2]), data[f"mid.atom.{s}.l{l}"], 1e-10)


@pytest.mark.parametrize("name", WITH_INTERMEDIATES)
def test_scalars_and_their_order(name):
    """QM9's network has ℓ = 0..2 in one layer and ℓ = 0 in the next."""
    config, params, batch, *_ = network(name)
    data = fixture(name)
    scalars = [invariants_forward(features, config)[0] for features in model.features(params, batch, config)]
    ordered = np.concatenate(scalars)[released.scalar_order(config)]
    expected = data["mid.scalars"]
    assert_close(ordered.transpose(1, 2, 0), expected.reshape(*expected.shape[:2], -1), 1e-10)


def hand_made_state(rng):
    """A state for META: columns are counted by hand from (S2), (S5) and section 1.5."""
    shapes = {"input_func_atom.lin.weight": (4, 6), "input_func_atom.lin.bias": (4,)}
    shapes |= {"output_layer_atom.lin.weight": (1, 40), "output_layer_atom.lin.bias": (1,)}
    edge_columns = [[8, 6], [12, 12, 6], [16, 16, 16, 14]]
    atom_columns = [[6, 2], [10, 16, 8, 2], [18]]
    for s in range(3):
        edge, atom = f"cormorant_cg.edge_levels.{s}", f"cormorant_cg.atom_levels.{s}"
        shapes |= {f"rad_funcs.rad_funcs.{s}.{name}": (1, 1, 1, 6) for name in ("scales", "phases")}
        shapes |= {f"{edge}.mask_layer.{name}": (1, 1, 1, 2) for name in ("soft_cut_rad", "soft_cut_width")}
        shapes |= {f"{edge}.cat_mix.mix_reps.weights.{l}": (2, n, 2) for l, n in enumerate(edge_columns[s])}
        shapes |= {f"{atom}.cat_mix.mix_reps.weights.{l}": (2, n, 2) for l, n in enumerate(atom_columns[s])}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def assert_same(state, other):
    assert state.keys() == other.keys()
    for name in state:
        np.testing.assert_array_equal(state[name], other[name], strict=True)


def test_other_shapes_go_there_and_back(rng):
    state = hand_made_state(rng)
    config, params = released.from_state_dict(state, json.dumps(META))
    assert (config.max_power, config.num_frequencies) == (1, 3)
    assert_same(released.to_state_dict(params, config), state)


def test_our_parameters_go_there_and_back(rng):
    config = small_config("released", gain=10.0)
    params = random_params(config, rng, np.float32)
    meta = {
        "maxl": config.l_max,
        "max_sh": config.l_max_sh,
        "num_channels": config.num_channels,
        "species": config.species,
        "charge_scale": config.charge_scale,
        "basis_set": [config.num_frequencies - 1, config.max_power],
    }
    same_config, same = released.from_state_dict(released.to_state_dict(params, config), meta)
    assert same_config == config
    assert_same(same, params)


def test_weights_that_the_released_code_leaves_out(rng):
    """It keeps no weights for an ℓ that no product reaches: with maxl = 3, layer 0 of META still has ℓ = 0, 1."""
    config, _ = released.from_state_dict(hand_made_state(rng), META | {"maxl": [3, 3, 0]})
    assert config.l_max == (1, 3, 0)


def test_a_state_that_does_not_fit(rng):
    state = hand_made_state(rng)
    name = "cormorant_cg.edge_levels.1.mask_layer.soft_cut_rad"
    with pytest.raises(UserError, match="soft_cut_rad has the shape"):
        released.from_state_dict(state | {name: np.zeros((1, 1, 1, 5))}, META)
    with pytest.raises(UserError, match="unknown"):
        released.from_state_dict(state | {"stranger": np.zeros(1)}, META)
    del state[name]
    with pytest.raises(UserError, match=r"lacks .*soft_cut_rad"):
        released.from_state_dict(state, META)
    with pytest.raises(UserError, match="num_channels"):
        released.from_state_dict(state, {key: value for key, value in META.items() if key != "num_channels"})
    with pytest.raises(UserError, match="cutoff"):
        released.from_state_dict(state, META | {"cutoff": "hard"})
    with pytest.raises(UserError, match="charge_power 2"):
        released.from_state_dict(state, META | {"charge_power": 3})


@pytest.mark.parametrize("meta", ["{bad", "[1]", META | {"maxl": 1}, META | {"basis_set": [3]}], ids=str)
def test_hyperparameters_that_make_no_sense(meta, rng):
    with pytest.raises(UserError, match="hyperparameters"):
        released.from_state_dict(hand_made_state(rng), meta)


def test_parameters_and_state_share_no_memory(rng):
    config = small_config("released")
    params = random_params(config, rng)
    state = released.to_state_dict(params, config)
    assert not any(np.shares_memory(a, b) for a in params.values() for b in state.values())


def test_load_npz(rng, tmp_path):
    state = hand_made_state(rng)
    np.savez(tmp_path / "state.npz", **state)
    assert_same(released.load_state(tmp_path / "state.npz"), state)
    with pytest.raises(UserError, match="no file"):
        released.load_state(tmp_path / "missing.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="cannot be read"):
        released.load_state(tmp_path / "broken.npz")


def test_load_checkpoint(rng, tmp_path):
    torch = pytest.importorskip("torch", reason="the released checkpoints need PyTorch")
    from argparse import Namespace

    state = hand_made_state(rng)
    tensors = {name: torch.tensor(array) for name, array in state.items()}
    torch.save({"args": Namespace(maxl=3), "model_state": tensors, "epoch": 1}, tmp_path / "best.pt")
    assert_same(released.load_state(tmp_path / "best.pt"), state)


def test_a_checkpoint_that_runs_code_is_refused(tmp_path):
    torch = pytest.importorskip("torch", reason="the released checkpoints need PyTorch")
    torch.save({"model_state": {}, "args": Harmful(tmp_path / "was_run")}, tmp_path / "best.pt")
    with pytest.raises(UserError, match="cannot be read"):
        released.load_state(tmp_path / "best.pt")
    assert not (tmp_path / "was_run").exists()


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_checkpoint_needs_pytorch(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "best.pt").write_bytes(b"")
    with pytest.raises(UserError, match="PyTorch"):
        released.load_state(tmp_path / "best.pt")


def test_published_parameter_counts_by_part(rng):
    """154241 (section 2), and the count of every part as in docs/differences.md."""
    params = model.init_params(Config.md17(), rng)

    def count(part):
        return model.num_parameters({name: p for name, p in params.items() if part in name})

    first_edge, other_edge = 16 * (32 + 3 * 16), 16 * 4 * 96  # complex, as in the shapes of the released weights
    first_vertex, other_vertex = 16 * (48 + 3 * 16), 16 * (144 + 304 + 368 + 336)
    expected = {"input": 320, "radial": 64, "edge.cutoff": 64, "edge.width": 64, "output": 641}
    expected |= {
        "edge.weight": 2 * (first_edge + 3 * other_edge),
        "vertex.weight": 2 * (first_vertex + 3 * other_vertex),
    }
    assert {part: count(part) for part in expected} == expected
    assert sum(expected.values()) == model.num_parameters(params) == 154241


@pytest.mark.parametrize(("species", "total"), [((1, 6), 154145), ((1, 6, 7, 8), 154337)])
def test_published_parameter_counts_by_species(rng, species, total):
    assert model.num_parameters(model.init_params(Config.md17(species=species), rng)) == total


def test_presets_differ_in_the_convention_fields_only():
    ours, theirs = vars(Config.md17()), vars(Config.md17(convention="released"))
    assert {name for name in ours if ours[name] != theirs[name]} == set(CONVENTIONS["released"])
    for name in CONVENTIONS["released"]:
        assert f"    {name} : " in Config.__doc__
