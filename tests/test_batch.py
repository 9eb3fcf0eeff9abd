"""Batches: centred, cast, padded, and refused in one sentence if they make no sense."""

import numpy as np
import pytest
from conftest import ETHANOL, FORMALDEHYDE, WATER, batch_of, random_params, small_config

from cormorant_np import model
from cormorant_np.data import make_batch, take
from cormorant_np.errors import UserError

CONFIG = small_config()


def test_every_molecule_is_centred_over_its_own_atoms_and_padding_lies_at_the_origin():
    batch = batch_of([ETHANOL, WATER], CONFIG)
    np.testing.assert_allclose(batch.positions.sum(axis=1), 0, atol=1e-14)
    assert (batch.positions[1, 3:] == 0).all()
    water = np.array(WATER[1])
    np.testing.assert_allclose(batch.positions[1, :3], water - water.mean(axis=0), atol=1e-15)


def test_a_molecule_far_away_gives_the_same_float32_energy_as_one_at_the_origin(rng):
    params = random_params(CONFIG, rng, np.float32)
    charges, positions = np.array([ETHANOL[0]]), np.array([ETHANOL[1]])
    near, far = (make_batch(charges, positions + shift, CONFIG) for shift in (0, [114.0, -80.0, 30.0]))
    assert near.positions.dtype == np.float32
    np.testing.assert_allclose(far.positions, near.positions, atol=1e-7)
    np.testing.assert_allclose(model.forward(params, far, CONFIG)[0], model.forward(params, near, CONFIG)[0], rtol=1e-5)


def test_what_stands_in_the_padding_does_not_matter():
    charges = np.array([[8, 1, 1, 0]])
    positions = np.zeros((1, 4, 3))
    positions[0, :3] = WATER[1]
    clean = make_batch(charges, positions, CONFIG)
    positions[0, 3] = np.nan
    assert (make_batch(charges, positions, CONFIG).positions == clean.positions).all()


def test_the_arrays_of_the_caller_are_not_changed():
    charges, positions = np.array([WATER[0]]), np.array([WATER[1]])
    before = positions.copy()
    make_batch(charges, positions, CONFIG, np.float64)
    assert (positions == before).all()


@pytest.mark.parametrize(
    "charges, positions, complaint",
    [
        ([[7, 1, 1]], WATER[1:], r"charges \[7\]"),
        ([[-1, 1, 1]], WATER[1:], r"charges \[-1\]"),
        ([[8, 1, 1]], np.zeros((1, 4, 3)), "shape"),
        ([8, 1, 1], np.zeros((3, 3)), "shape"),
        ([[8, 1, 1]], np.zeros((1, 3, 2)), "shape"),
        ([[8, 1, 1]], np.array([[[0, 0, 0], [0, 0, np.nan], [0, 1, 0]]]), "not finite"),
        ([[8, 1, 1]], np.array([[[0, 0, 0], [0, 0, np.inf], [0, 1, 0]]]), "not finite"),
        ([[8, 1, 1]], np.array([[[0, 0, 0], [0, 0, 1], [0, 0, 1]]]), "Atoms 1 and 2 of molecule 0"),
    ],
)
def test_a_batch_that_makes_no_sense_is_refused(charges, positions, complaint):
    with pytest.raises(UserError, match=complaint):
        make_batch(charges, positions, CONFIG)


@pytest.mark.parametrize("indices", [slice(1, 3), np.array([2, 0])], ids=["slice", "array"])
def test_some_molecules_of_a_batch_keep_their_energies(indices, rng):
    params, batch = random_params(CONFIG, rng), batch_of([ETHANOL, WATER, FORMALDEHYDE], CONFIG)
    energies, _ = model.forward(params, batch, CONFIG)
    np.testing.assert_allclose(model.forward(params, take(batch, indices), CONFIG)[0], energies[indices], rtol=1e-12)
