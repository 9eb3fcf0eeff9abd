"""Pairs of atoms, one by one, with SciPy's harmonics, and all that is known about them, against `plain`."""

import numpy as np
import pytest
from conftest import (
    FORMALDEHYDE,
    WATER,
    assert_close,
    batch_of,
    harmonics,
    ordered,
    random_params,
    small_config,
)

from cormorant_np import plain
from cormorant_np.network.arrangement import arrange_forward
from cormorant_np.network.geometry import (
    geometry_backward,
    geometry_forward,
    pair_functions_forward,
)
from cormorant_np.network.pairs import spread
from cormorant_np.so3_vector import parity
from cormorant_np.spherical_harmonics import complex_sh, solid_sh


def formaldehyde_and_water(config):
    batch = batch_of([FORMALDEHYDE, WATER], config)
    return batch, *geometry_forward(batch.charges, batch.positions, config)


def test_every_pair_has_its_distance_and_its_harmonics(config):
    """r_ij = r_i - r_j points from the sender to the receiver; solid harmonics carry a factor r^ℓ.

    An entry is that of j ≤ i, and the other order has the parity (-1)^ℓ.
    """
    batch, geometry, _ = formaldehyde_and_water(config)
    powers = np.array([l for l in range(3) for _ in range(2 * l + 1)])
    distances, all_harmonics = spread(geometry.distances, geometry.pairs), spread(geometry.harmonics, geometry.pairs)
    for b, num_atoms in enumerate([4, 3]):
        for i in range(num_atoms):
            for j in set(range(num_atoms)) - {i}:
                r_ij = batch.positions[b, i] - batch.positions[b, j]
                r = np.linalg.norm(r_ij)
                expected = harmonics(r_ij, 2) * (r**powers if config.solid_harmonics else 1)
                actual = all_harmonics[:, b, j, i] * (1 if j < i else (-1.0) ** powers)
                np.testing.assert_allclose(distances[b, j, i], r, rtol=1e-14)
                np.testing.assert_allclose(actual, expected, atol=1e-14)


def test_the_parity_of_rows_leads_to_the_harmonics_of_the_other_order(config):
    """Against the harmonics of all ordered pairs, computed directly."""
    batch, geometry, _ = formaldehyde_and_water(config)
    vectors = batch.positions[:, None] - batch.positions[:, :, None]
    direct = solid_sh(vectors, 2) if config.solid_harmonics else complex_sh(vectors, 2)
    both_atoms = geometry.atoms[:, :, None] * geometry.atoms[:, None]
    upper, lower = (np.argwhere(order(both_atoms) * (1 - np.eye(4))) for order in (np.triu, np.tril))
    for pairs, sign in ((upper, 1), (lower, parity(direct))):
        assert len(pairs) == 6 + 3
        for b, j, i in pairs:
            actual = sign * spread(geometry.harmonics, geometry.pairs)[:, b, j, i]
            np.testing.assert_allclose(actual, direct[:, b, j, i], atol=1e-14)


def test_functions_of_pairs_are_those_of_every_ordered_pair(config, rng):
    """η and μ of every layer, and the harmonics of both orders."""
    params, batch = random_params(config, rng), batch_of([FORMALDEHYDE, WATER], config)
    functions, _ = pair_functions_forward(arrange_forward(params, config), batch.charges, batch.positions, config)
    pairs = functions.geometry.pairs
    for b, n in enumerate([4, 3]):
        distances, expected, _ = plain.geometry_forward(batch.positions[b, :n], config)
        for l, y in enumerate(expected):
            assert_close(functions.harmonics[b, l * l : (l + 1) ** 2, :n, :n], y)
        for s in range(config.num_layers):
            kappa, phi, cutoff, width = (
                params[f"layers.{s}.{name}"] for name in ("radial.kappa", "radial.phi", "edge.cutoff", "edge.width")
            )
            eta, mu = (ordered(x, pairs, b, n) for x in (functions.radial[s], functions.masks[s]))
            assert_close(eta, plain.radial_forward(kappa, phi, distances, config)[0])
            assert_close(mu, plain.mask_forward(cutoff, width, distances, config)[0])


def test_only_pairs_of_atoms_are_neighbours(config):
    _, geometry, _ = formaldehyde_and_water(config)
    distinct, neighbours = spread(geometry.distinct, geometry.pairs), spread(geometry.neighbours, geometry.pairs)
    for b, num_atoms in enumerate([4, 3]):
        for i, j in np.ndindex(4, 4):
            both = i < num_atoms and j < num_atoms
            assert geometry.atoms[b, i] == (i < num_atoms)
            assert distinct[b, j, i] == (both and i != j)
            assert neighbours[b, j, i] == (both and (i != j or config.self_pairs))


def test_pairs_of_one_atom_and_padding_have_a_length_and_only_scalar_harmonics(config):
    _, geometry, _ = formaldehyde_and_water(config)
    no_pair = geometry.distinct == 0
    assert (geometry.distances[no_pair] == 1).all()
    assert (geometry.harmonics[0] == 1).all() and (geometry.harmonics[1:, no_pair] == 0).all()


def test_atoms_alone_and_padding_feel_nothing(config, rng):
    batch, geometry, cache = formaldehyde_and_water(config)
    d_positions = geometry_backward(np.ones_like(geometry.distances), np.ones_like(geometry.harmonics), cache)
    assert np.isfinite(d_positions).all() and (d_positions[batch.charges == 0] == 0).all()
    np.testing.assert_allclose(d_positions.sum(axis=1), 0, atol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_precision_of_the_positions_is_kept_without_a_warning(dtype):
    config = small_config()
    batch = batch_of([FORMALDEHYDE, WATER], config, dtype)
    with np.errstate(all="raise"):
        geometry, cache = geometry_forward(batch.charges, batch.positions, config)
        d_positions = geometry_backward(geometry.distances, geometry.harmonics, cache)
    assert {a.real.dtype.name for a in (*geometry[1:], d_positions)} == {dtype}
