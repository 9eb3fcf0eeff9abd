"""`plain` against what is outside the package, and the fast network against `plain`."""

import dataclasses

import numpy as np
import pytest
from conftest import (
    QM9,
    assert_close,
    batch_of,
    by_l,
    cg_product,
    couples,
    harmonics,
    random_complex,
    random_params,
    small_config,
)
from hypothesis import given
from hypothesis import strategies as st
from test_properties import deterministic, molecules, networks, seeds
from test_released import ALL, fixture, network

from cormorant_np import model, plain, released
from cormorant_np.config import Config
from cormorant_np.errors import UserError
from cormorant_np.network.vertex_network import COLUMNS

TOLERANCE = 1e-12
VANISHING = 1e-6
"""An array whose largest element is smaller than this share of the largest of its kind is a rest of cancellations; its
error is measured by this share."""


# What is outside the package


@pytest.mark.parametrize(
    "charges, moved, said",
    [
        ([8, 1, 0], 1, "without padding"),
        ([8, 1, 6], 1, r"of \(1, 8\)"),
        ([8, 1, 1], 0, "closer"),
        ([8, 1, 1], np.nan, "finite"),
        ([8, 1], 1, "are needed"),
    ],
)
def test_what_is_no_molecule_is_refused(charges, moved, said, rng):
    config = Config.md17(species=(1, 8), num_channels=1, l_max=(1,), l_max_sh=(1,))
    positions = [[0, 0, 0], [0, 0, 1], [0, moved, 1]]
    with pytest.raises(UserError, match=said):
        plain.forward(random_params(config, rng), charges, positions, config)


@pytest.mark.parametrize("atoms", [plain.AGGREGATE, plain.SQUARE], ids=["aggregate", "square"])
@pytest.mark.parametrize("l", range(4))
def test_products_are_the_sums_over_m1_and_m2(l, atoms, rng):
    """Σ_j A_ij ⊗cg B_j and A_i ⊗cg B_i, atom by atom, for all paths in order."""
    C, N = 2, 3
    A = random_complex(rng, 9, C, N, N) if atoms == plain.AGGREGATE else random_complex(rng, 9, C, N)
    B = random_complex(rng, 4, C, N)
    products = plain.cg_product_forward(split_l(A), split_l(B), l, atoms)
    pairs = [(l1, l2) for l1 in range(3) for l2 in range(2) if couples(l1, l2, l)]
    for product, (l1, l2) in zip(products, pairs, strict=True):
        for i in range(N):
            if atoms == plain.AGGREGATE:
                expected = sum(cg_product(A[:, :, i, j], B[:, :, j], l1, l2, l) for j in range(N))
            else:
                expected = cg_product(A[:, :, i], B[:, :, i], l1, l2, l)
            assert_close(product[:, :, i], expected)


def split_l(x):
    return [x[l * l : (l + 1) ** 2] for l in range(round(len(x) ** 0.5))]


def test_pairs_have_their_distances_and_scipys_harmonics(config, rng):
    positions = rng.standard_normal((4, 3))
    distances, by_weight, _ = plain.geometry_forward(positions, config)
    all_harmonics, powers = np.concatenate(by_weight), [l for l in range(3) for _ in range(2 * l + 1)]
    for i, j in np.ndindex(4, 4):
        r = np.linalg.norm(positions[i] - positions[j])
        expected = np.eye(9)[0]  # an atom and itself have ℓ = 0 alone
        if i != j:
            expected = harmonics(positions[i] - positions[j], 2) * (r**powers if config.solid_harmonics else 1)
        np.testing.assert_allclose(distances[i, j], r, rtol=1e-14)
        np.testing.assert_allclose(all_harmonics[:, i, j], expected, atol=1e-14)


@pytest.mark.parametrize("name", ALL)
def test_energies_and_gradients_are_those_of_the_released_code(name):
    config, params, batch, *_ = network(name)
    data = fixture(name)
    charges, positions, targets = batch.charges, batch.positions, data["in.target"]
    energies, d_positions, grads = np.zeros(len(targets)), np.zeros(positions.shape), dict.fromkeys(params, 0)
    for b, (z, r) in enumerate(zip(charges, positions, strict=True)):
        energies[b], cache = plain.forward(params, z[z > 0], r[z > 0], config)
        _, d_positions[b, z > 0] = plain.backward(1.0, cache)
        d_params, _ = plain.backward(2 * (energies[b] - targets[b]) / len(targets), cache)
        grads = {key: grads[key] + d_params[key] for key in params}
    assert_close(energies, data["out.energy"], 1e-10)
    assert_close(d_positions, data["grad.positions_of_energy"], 1e-7)
    for key, gradient in released.to_state_dict(grads, config).items():
        assert_close(gradient, data[f"grad.{key}"], 1e-10)


# The fast network


def random_molecule(rng, species, num_atoms):
    """Atoms at random in a box, no two of them closer than 0.9 Å."""
    positions = []
    while len(positions) < num_atoms:
        r = rng.uniform(0, 1.7 * num_atoms ** (1 / 3), 3)
        if all(np.linalg.norm(r - other) > 0.9 for other in positions):
            positions.append(r)
    return rng.choice(species, num_atoms), np.array(positions)


def errors_against_plain(params, molecules, config, rng):
    """Relative errors of the fast network in one batch, by what it is: the largest of all arrays of each kind."""
    batch = batch_of(molecules, config)
    energy, cache = model.forward(params, batch, config)
    d_energy = rng.standard_normal(len(energy))
    grads, d_positions = model.backward(d_energy, cache)

    plain_energy, plain_grads = np.zeros(len(energy)), {name: 0 * p for name, p in params.items()}
    pairs = {"features": [], "positions": []}
    for b, (charges, positions) in enumerate(molecules):
        n = len(charges)
        plain_energy[b], plain_cache = plain.forward(params, charges, positions, config)
        d_params, d_r = plain.backward(d_energy[b], plain_cache)
        plain_grads = {name: plain_grads[name] + d_params[name] for name in params}
        pairs["positions"].append((d_positions[b, :n], d_r))
        for fast, F in zip(cache.features, plain_cache[0], strict=True):
            pairs["features"] += list(zip(by_l(fast, b, n), F, strict=True))
    pairs["energies"] = [(energy, plain_energy)]
    pairs["parameters"] = [(grads[name], plain_grads[name]) for name in params]
    return {kind: largest_error(arrays) for kind, arrays in pairs.items()}


def largest_error(pairs):
    """The largest error of some arrays, each relative to its own largest element."""
    floor = VANISHING * max(abs(expected).max() for _, expected in pairs)
    errors = [abs(actual - expected).max() / (max(abs(expected).max(), floor) or 1) for actual, expected in pairs]
    assert all(actual.shape == expected.shape for actual, expected in pairs)
    return max(errors)


def assert_agree(params, molecules, config, rng):
    errors = errors_against_plain(params, molecules, config, rng)
    assert max(errors.values()) < TOLERANCE, errors


@pytest.mark.parametrize("sizes", [(1,), (2, 3), (9, 4, 1, 6), (21, 12)], ids=str)
def test_a_batch_of_molecules_is_that_of_each_alone(sizes, either_config, rng):
    molecules = [random_molecule(rng, either_config.species, n) for n in sizes]
    assert_agree(random_params(either_config, rng), molecules, either_config, rng)


@pytest.mark.parametrize("self_pairs", [True, False])
@pytest.mark.parametrize(
    "fields", [{"l_max": (2, 3, 0), "l_max_sh": (3, 1, 2)}, {"num_channels": 5, "max_power": 3}, QM9], ids=str
)
def test_other_networks_agree(fields, self_pairs, convention, rng, monkeypatch):
    """The fast one in parts of two channels."""
    config = small_config(convention, **fields, self_pairs=self_pairs)
    monkeypatch.setitem(COLUMNS, "cpu", 2 * 2 * 7)
    assert_agree(random_params(config, rng), [random_molecule(rng, config.species, n) for n in (7, 5)], config, rng)


@pytest.mark.parametrize("preset", [Config.md17, Config.qm9])
def test_the_networks_of_the_paper_agree(preset, convention, rng):
    config = preset(convention=convention)
    assert_agree(random_params(config, rng), [random_molecule(rng, config.species, n) for n in (9, 5)], config, rng)


@deterministic
@given(config=networks(), is_qm9=st.booleans(), molecules=molecules(), seed=seeds)
def test_any_network_agrees(config, is_qm9, molecules, seed):
    rng = np.random.default_rng(seed)
    config = dataclasses.replace(config, **(QM9 if is_qm9 else {}))
    assert_agree(random_params(config, rng), molecules, config, rng)
