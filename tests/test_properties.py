"""Properties of any network on any molecule: random sizes, both conventions, special geometries, random rotations."""

import numpy as np
import pytest
from conftest import WATER, batch_of, random_params, small_config
from hypothesis import given, settings
from hypothesis import strategies as st

from cormorant_np import model
from cormorant_np.config import Config
from cormorant_np.data import make_batch
from cormorant_np.errors import UserError
from cormorant_np.exactness import invariance_errors
from cormorant_np.gradient_check import gradient_error
from cormorant_np.network.parameters import flatten, layout, unflatten
from cormorant_np.rotation import random_rotation, rotate

SPECIES = (1, 6, 8)
AXIS = np.array([[0, 0, z] for z in (-1, 0, 1, 2)])
PLANE = np.array([[x, y, 0] for x in (0, 1, 2) for y in (0, 1)])
CUBE = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
STAR = np.array([[0, 0, 0], [1, 0.2, 0.3], [-1, -0.2, -0.3], [0.4, 1, -0.1], [-0.4, -1, 0.1]])
SHAPES = {"atom": AXIS[:1], "pair": AXIS[:2], "collinear": AXIS, "planar": PLANE, "inversion": STAR, "random": CUBE}


@st.composite
def networks(draw):
    l_max, l_max_sh, l_in = [], [], 0
    for _ in range(draw(st.integers(1, 3))):
        l_max_sh.append(draw(st.integers(0, 3)))
        reachable = l_in + max(l_in, l_max_sh[-1])
        l_in = draw(st.integers(0, min(3, reachable)))
        l_max.append(l_in)
    return Config.md17(
        num_channels=draw(st.integers(1, 4)),
        l_max=l_max,
        l_max_sh=l_max_sh,
        max_power=draw(st.integers(0, 3)),
        num_frequencies=draw(st.integers(1, 3)),
        convention=draw(st.sampled_from(["supplement", "released"])),
    )


@st.composite
def molecules(draw):
    """One to three molecules in one batch, neighbours 1.1 Å apart; all atoms are alike, or their species are random."""
    batch = []
    for shape in draw(st.lists(st.sampled_from(list(SHAPES)), min_size=1, max_size=3)):
        rng = np.random.default_rng(draw(st.integers(0, 2**32)))
        positions = 1.1 * SHAPES[shape]
        if shape == "random":
            positions = positions + rng.uniform(-0.2, 0.2, positions.shape)
        charges = rng.choice(SPECIES, len(positions)) if draw(st.booleans()) else np.full(len(positions), 6)
        batch.append((charges, positions))
    return batch


seeds = st.integers(0, 2**32)
deterministic = settings(derandomize=True, deadline=None, max_examples=120, database=None)


@deterministic
@given(config=networks(), molecules=molecules(), seed=seeds)
def test_activations_turn_with_the_molecule(config, molecules, seed):
    rng = np.random.default_rng(seed)
    params, batch, rotation = random_params(config, rng), batch_of(molecules, config), random_rotation(rng)
    before = model.features(params, batch, config)
    after = model.features(params, batch._replace(positions=batch.positions @ rotation.T), config)
    for f, f_turned in zip(before, after, strict=True):
        assert np.isfinite(f).all()
        np.testing.assert_allclose(f_turned, rotate(f, rotation), rtol=0, atol=1e-9 * abs(f).max())


@deterministic
@given(config=networks(), molecules=molecules(), seed=seeds)
def test_the_energy_does_not_change(config, molecules, seed):
    rng = np.random.default_rng(seed)
    errors = invariance_errors(random_params(config, rng), batch_of(molecules, config), config, rng)
    assert max(errors.values()) < 1e-9, errors


@deterministic
@given(config=networks(), molecules=molecules(), seed=seeds)
def test_gradients_agree_with_finite_differences(config, molecules, seed):
    rng = np.random.default_rng(seed)
    params, batch = random_params(config, rng), batch_of(molecules, config)
    energy, cache = model.forward(params, batch, config)
    grads, d_positions = model.backward(np.ones_like(energy), cache)

    def of_params(vector):
        return model.forward(unflatten(vector, layout(config)), batch, config)[0].sum()

    def of_positions(positions):
        return model.forward(params, batch._replace(positions=positions), config)[0].sum()

    assert smallest_error(of_params, flatten(params), flatten(grads), rng) < 1e-6
    if abs(d_positions).max() > 1e-6 * abs(energy).max():  # else the difference of energies has no digits left
        assert smallest_error(of_positions, batch.positions, d_positions, rng) < 1e-6


def smallest_error(function, x, gradient, rng):
    """The error with the best step: a long one is wrong where the energy curves, a short one loses digits."""
    return min(gradient_error(function, x, gradient, rng, step) for step in (1e-3, 1e-4, 1e-5, 1e-6))


@pytest.mark.parametrize("distance", [1e4, 1e8])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distant_atoms_give_finite_numbers(config, distance, dtype, rng):
    charges, positions = WATER
    far = ([*charges, 6], [*positions, [distance, 0, 0]])
    params = random_params(config, rng, dtype)
    energy, cache = model.forward(params, batch_of([far], config, dtype), config)
    grads, d_positions = model.backward(np.ones_like(energy), cache)
    assert np.isfinite(energy).all()
    assert np.isfinite(d_positions).all()
    assert all(np.isfinite(gradient).all() for gradient in grads.values())


def test_distant_molecules_do_not_feel_each_other(config, rng):
    """The energies add up, but for the bias b, which every molecule has once (section 1.5.1)."""
    params = random_params(config, rng)
    carbon = ([6], [[0, 0, 0]])
    both = ([*WATER[0], 6], [*WATER[1], [1e4, 0, 0]])
    energies = [model.forward(params, batch_of([m], config), config)[0] for m in (both, WATER, carbon)]
    np.testing.assert_allclose(energies[0] + params["output.bias"], energies[1] + energies[2], rtol=1e-9)


@pytest.mark.parametrize("offset", [[0, 0, 0], [0, 1e-4, 0]])
def test_coincident_atoms_are_refused(offset):
    positions = np.array([[[0, 0, 0], [0, 0, 1.0], offset]])
    with pytest.raises(UserError, match="Atoms 0 and 2 of molecule 0 are at the same place"):
        make_batch([[8, 1, 1]], positions, small_config())
    make_batch([[8, 1, 0]], positions, small_config())  # padding may be anywhere


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_positions_that_are_no_numbers_are_refused(value):
    with pytest.raises(UserError, match="not finite"):
        make_batch([[8, 1]], [[[0, 0, 0], [0, 0, value]]], small_config())
