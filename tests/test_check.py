"""The command `check`: what it measures on sound networks, and that it notices broken ones."""

import json
from functools import partial

import numpy as np
import pytest
from conftest import ETHANOL, WATER, batch_of, random_params, small_config, wrong_backward

from cormorant_np import check, exactness, model
from cormorant_np.clebsch_gordan import paths
from cormorant_np.config import Config
from cormorant_np.data import load, make_batch
from cormorant_np.errors import UserError
from cormorant_np.exactness import LIMITS, activation_means, parity_errors, report
from cormorant_np.model import init_params
from cormorant_np.network import geometry
from cormorant_np.spherical_harmonics import solid_sh
from cormorant_np.training import run_directory
from cormorant_np.training.gain import format_table, tune_gain
from cormorant_np.training.settings import Settings

PLANAR = ([8, 6, 1, 1], [[0, 0.05, 0.68], [0, 0, -0.53], [0, 0.93, -1.12], [0, -0.94, -1.09]])


@pytest.fixture
def molecules(config):
    return batch_of([ETHANOL, WATER], config)


def test_a_sound_network_passes(config, molecules, rng):
    params = random_params(config, rng)
    result = report(params, molecules, config, rng)
    assert result["passed"]
    assert sum(result["parameters"].values()) == model.num_parameters(params)
    assert [len(errors) for errors in result["covariance"]] == [l_max + 1 for l_max in config.l_max]
    assert set(result["gradients"]) == {*result["parameters"], "positions"}
    assert all(0 < error < 1e-7 for error in result["gradients"].values())  # as measured, not cut off


def test_a_wrong_derivative_is_noticed(config, molecules, rng, monkeypatch):
    right = model.backward

    def wrong(d_energy, cache):
        grads, d_positions = right(d_energy, cache)
        return grads | {"layers.0.edge.width": 1.00001 * grads["layers.0.edge.width"]}, d_positions

    monkeypatch.setattr(exactness, "backward", wrong)
    result = report(random_params(config, rng), molecules, config, rng)
    assert not result["passed"]
    failed = {kind for kind, (error, limit) in result["largest"].items() if not error < limit}
    assert failed == {"parameter gradients"}


@pytest.fixture
def perceptrons(rng):
    """A network of QM9 and two molecules; hardly a step goes over no kink of its ReLUs."""
    config = Config.qm9(convention="released", num_channels=4, l_max=(1, 0), l_max_sh=(1, 0))
    return init_params(config, rng, np.float64), batch_of([ETHANOL, WATER], config), config


def test_a_step_over_the_kink_of_a_relu_does_not_count(perceptrons):
    for seed in range(5):
        errors, kinks = exactness.gradient_errors(*perceptrons, np.random.default_rng(seed))
        assert max(errors.values()) < LIMITS["parameter gradients"]
        assert kinks["output.mlp1.weight"] > 0


def test_with_kinks_everywhere_nothing_is_measured_and_nothing_passes(perceptrons, rng, monkeypatch):
    def across(*arguments):
        raise exactness.AcrossAKink

    monkeypatch.setattr(exactness, "directional_derivative", across)
    errors, kinks = exactness.gradient_errors(*perceptrons, rng)
    assert set(errors.values()) == {np.inf}
    assert set(kinks.values()) == {len(exactness.STEPS) * (1 + exactness.NEARBY)}


def test_every_wrong_gradient_is_noticed_beside_kinks(perceptrons, monkeypatch):
    """By 1e-5 of itself, in one group of parameters at a time, or in the positions."""
    right = model.backward
    for name in [*exactness.groups(perceptrons[0]), "positions"]:
        monkeypatch.setattr(exactness, "backward", partial(wrong_backward, right, name))
        errors, _ = exactness.gradient_errors(*perceptrons, np.random.default_rng(0))
        assert {group for group, error in errors.items() if error > LIMITS["parameter gradients"]} == {name}


def test_the_report_tells_of_kinks(capsys):
    network = "--preset qm9 --convention released --num-layers 2 --l-max 1 --num-channels 4".split()
    assert check.main(network) == 0
    assert "kink of a ReLU" in capsys.readouterr().out


def test_a_network_that_is_not_covariant_is_noticed(config, molecules, rng, monkeypatch):
    monkeypatch.setattr(geometry, "solid_sh", lambda vectors, l_max: solid_sh(vectors * [1, 1, 1.001], l_max))
    result = report(random_params(config, rng), molecules, config, rng)
    failed = {kind for kind, (error, limit) in result["largest"].items() if not error < limit}
    assert {"covariance", "invariance"} <= failed
    assert result["invariance"]["rotation"] > LIMITS["invariance"] > result["invariance"]["permutation"]


@pytest.mark.parametrize("name", ["positions", "edge.width"])
def test_a_derivative_that_is_no_number_does_not_pass(name, config, molecules, rng, monkeypatch):
    monkeypatch.setattr(exactness, "backward", partial(wrong_backward, model.backward, name, factor=np.nan))
    result = report(random_params(config, rng), molecules, config, rng)
    assert not result["passed"] and np.isnan(result["gradients"][name])
    kind = "position gradients" if name == "positions" else "parameter gradients"
    assert [k for k, (error, limit) in result["largest"].items() if not error < limit] == [kind]


def test_a_network_that_is_no_number_with_padding_does_not_pass(config, molecules, rng, monkeypatch):
    right, num_atoms = exactness.energies, molecules.charges.shape[1]

    def broken(params, batch, *rest):
        return right(params, batch, *rest) * (np.nan if batch.charges.shape[1] > num_atoms else 1)

    monkeypatch.setattr(exactness, "energies", broken)
    result = report(random_params(config, rng), molecules, config, rng)
    assert not result["passed"] and np.isnan(result["largest"]["invariance"][0])


READS_TOO_MUCH = {
    "translation": lambda batch: batch.positions.sum(axis=(1, 2)),
    "permutation": lambda batch: batch.charges[:, 0],
    "batch composition": lambda batch: len(batch.charges),
}


@pytest.mark.parametrize("name", READS_TOO_MUCH)
def test_what_must_not_count_is_noticed(name, config, molecules, rng, monkeypatch):
    right, extra = exactness.energies, READS_TOO_MUCH[name]
    monkeypatch.setattr(exactness, "energies", lambda params, batch, *rest: right(params, batch, *rest) + extra(batch))
    assert exactness.invariance_errors(random_params(config, rng), molecules, config, rng)[name] > 1e-6


def test_limits_are_those_of_float64():
    assert max(LIMITS.values()) <= 1e-6 and max(LIMITS["covariance"], LIMITS["invariance"]) <= 1e-9


def test_check_measures_on_the_device_and_with_the_gain_that_it_was_given(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(check, "choose_device", lambda device: device)
    monkeypatch.setattr(check, "check_device", lambda device: None)
    right = check.report
    monkeypatch.setattr(check, "report", lambda *given: calls.append(given) or right(*given[:4]))
    network = "--num-layers 2 --l-max 1 --num-channels 2 --device gpu --gain auto --seed".split()
    for seed in ("0", "1"):
        check.main([*network, seed])
    (first, _, config, _, device), (second, *_) = calls
    assert device == "gpu" and f"{config.gain:.4g}" in capsys.readouterr().out
    assert not np.array_equal(first["output.weight"], second["output.weight"])


def test_padding_that_counts_is_noticed(config, molecules, rng, monkeypatch):
    def every_row_counts(params, scalars, atoms, config):
        return params["output.weight"] @ (scalars + 0.1).sum(axis=2), None

    monkeypatch.setattr(model, "output_network_forward", every_row_counts)
    invariance = exactness.invariance_errors(random_params(config, rng), molecules, config, rng)
    assert invariance["padding"] > 1e-6
    assert invariance["rotation"] < 1e-9


def test_the_first_layer_has_parity_and_the_energy_of_a_planar_molecule_too(config, rng):
    """A planar molecule and its mirror image are the same up to a rotation; ethanol here is chiral."""
    params = random_params(config, rng)
    planar, chiral = (parity_errors(params, batch_of([molecule], config), config) for molecule in (PLANAR, ETHANOL))
    assert planar["energy"] < 1e-12 < 1e-8 < chiral["energy"]
    assert chiral["features"][0] < 1e-12 < 1e-3 < chiral["features"][1]


def test_without_odd_products_there_is_parity(rng):
    """The reason that the report gives: it is the products with odd ℓ1 + ℓ2 - ℓ that break parity."""
    config = small_config(l_max=(2, 2), l_max_sh=(2, 2))
    params = random_params(config, rng)
    for s in range(config.num_layers):
        for l in range(config.l_max[s] + 1):
            params[f"layers.{s}.vertex.weight.{l}"] *= even_columns(config, s, l)
    parity = parity_errors(params, batch_of([ETHANOL], config), config)
    assert max(parity["features"]) < 1e-12
    assert parity["energy"] < 1e-12


def even_columns(config, s, l):
    """1 for the columns of W_ℓ whose path (ℓ1, ℓ2) has even ℓ1 + ℓ2 - ℓ, else 0."""
    l_in = config.layer_l_max(s)
    columns = {
        "aggregate": paths(l, config.l_max_sh[s], l_in),
        "square": paths(l, l_in, l_in),
        "identity": [(0, l)] if l <= l_in else [],
    }
    even = [(l1 + l2 - l) % 2 == 0 for part in config.vertex_order for l1, l2 in columns[part]]
    return np.repeat(even, config.num_channels)


@pytest.mark.parametrize("convention", ["supplement", "released"])
def test_the_tuned_gain_makes_the_mean_activation_one(convention, rng):
    config = Config.md17(convention=convention, num_channels=4, l_max=(2, 2, 2), l_max_sh=(2, 2, 2))
    sample = load("sample")
    batch = make_batch(sample.charges[:25], sample.positions[:25], config)
    gain, table = tune_gain(config, batch, rng)
    gains, means = zip(*table, strict=True)
    at_gain = means[gains.index(gain)]
    assert np.exp(np.log(at_gain).mean()) == pytest.approx(1, rel=0.1)
    assert list(gains) == sorted(gains)
    assert f"{gain:.3g}" in format_table(table)


def test_activation_means_leave_padding_out(rng):
    """Section 1.6's mean of one molecule is that of the molecule beside a larger one."""
    config = small_config()
    params = random_params(config, rng)
    water, ethanol = (activation_means(params, batch_of([molecule], config), config) for molecule in (WATER, ETHANOL))
    both = activation_means(params, batch_of([WATER, ETHANOL], config), config)
    np.testing.assert_allclose(both, (3 * water + 9 * ethanol) / 12)


def test_the_command_prints_the_published_count_and_exits_with_0(capsys, tmp_path):
    assert check.main(["--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "154241" in printed
    assert "All checks passed." in printed
    assert {file.name for file in tmp_path.iterdir()} == {"covariance_errors.png", "activation_means.png"}


@pytest.mark.parametrize("preset, l_max", [("md17", [2, 2]), ("qm9", [2, 0])])
def test_the_command_on_a_variation_of_a_preset(capsys, preset, l_max):
    variation = "--num-layers 2 --l-max 2 --num-channels 3".split()
    assert check.main(["--preset", preset, "--json", *variation]) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert config["l_max"] == config["l_max_sh"] == l_max
    assert config["num_channels"] == 3


def test_the_command_on_a_run_and_on_molecules(capsys, tmp_path, rng):
    config = small_config()
    network = {**vars(config), "l_max": list(config.l_max)}
    run_directory.write_json(tmp_path / "config.json", {"network": network, "settings": vars(Settings())})
    run_directory.save_arrays(tmp_path / "best.npz", random_params(config, rng, np.float32))
    (tmp_path / "water.xyz").write_text("3\n\nO 0 0 0.1\nH 0 0.8 -0.5\nH 0 -0.7 -0.4\n", encoding="utf-8")
    for more in ([], ["--molecules", str(tmp_path / "water.xyz")]):
        assert check.main(["--run-dir", str(tmp_path), "--json", *more]) == 0
        result = json.loads(capsys.readouterr().out)
        assert result["passed"]
        assert result["config"]["num_channels"] == config.num_channels


def test_a_failed_check_exits_with_1(capsys, monkeypatch):
    monkeypatch.setitem(LIMITS, "covariance", 1e-30)
    assert check.main([]) == 1
    assert "FAIL" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gain", "1e9"], "not finite"),
        (["--run-dir", "nowhere"], "does not exist"),
        (["--run-dir", "nowhere", "--gain", "5"], "--gain cannot be given with --run-dir"),
        (["--molecules", "nowhere.xyz"], "no file"),
    ],
)
def test_mistakes_are_told_in_a_sentence(arguments, message):
    with pytest.raises(UserError, match=message):
        check.main(arguments)


@pytest.mark.parametrize("distance", [4, 5, 6])
@pytest.mark.parametrize("charges", [[8, 8], [8, 1]])
def test_atoms_that_hardly_feel_each_other_pass_and_a_zero_in_place_of_their_gradient_does_not(
    charges, distance, rng, monkeypatch
):
    """Where long steps lead, the energy is flat: its slope there says nothing of the slope here."""
    config = small_config()
    params, molecules = random_params(config, rng), batch_of([(charges, [[0, 0, 0], [0, 0, distance]])], config)
    assert report(params, molecules, config, rng)["passed"]
    if distance > 4:
        return
    right = exactness.backward

    def without_positions(*arguments):
        grads, d_positions = right(*arguments)
        return grads, 0 * d_positions

    monkeypatch.setattr(exactness, "backward", without_positions)
    assert report(params, molecules, config, rng)["gradients"]["positions"] > 0.1


def test_what_is_not_in_float64_is_not_measured(config, molecules, rng):
    with pytest.raises(UserError, match="in float64"):
        report(random_params(config, rng, np.float32), molecules, config, rng)
