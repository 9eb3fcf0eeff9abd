"""The gradient of a loss of energies and forces, against finite differences of the loss itself."""

import dataclasses

import numpy as np
import pytest
from conftest import ETHANOL, FORMALDEHYDE, WATER, batch_of, random_params, small_config

from cormorant_np import data, model
from cormorant_np.gradient_check import directional_derivative, inner, random_like
from cormorant_np.network.parameters import flatten, layout, unflatten
from cormorant_np.training import forces, parallel
from cormorant_np.training.loss import Targets
from cormorant_np.training.prediction import load_network

MOLECULES = [ETHANOL, WATER, FORMALDEHYDE]  # with padding
WEIGHT = 0.7


def loss_of(vector, batch, targets, config):
    """L written out, from energies and forces."""
    energies, predicted = model.energy_and_forces(unflatten(vector, layout(config)), batch, config)
    energy_loss = np.mean((energies - targets.energies) ** 2)
    return energy_loss + WEIGHT * ((predicted - targets.forces) ** 2).sum() / (3 * targets.num_atoms)


def problem_of(config, rng, dtype=np.float64):
    """Parameters, molecules, and targets that are off by about one."""
    params, batch = random_params(config, rng, dtype), batch_of(MOLECULES, config, dtype)
    energies, predicted = model.energy_and_forces(params, batch, config)
    atoms = (batch.charges > 0)[..., None]
    off = atoms * rng.standard_normal(predicted.shape)
    targets = Targets(energies + rng.standard_normal(3), predicted + off, int(atoms.sum()))
    return flatten(params), batch, Targets(*(x.astype(dtype) for x in targets[:2]), targets.num_atoms)


def gradient_of(vector, batch, targets, config, processes=1, side=1):
    with parallel.workers(processes) as pool:
        loss, gradient, _, _ = parallel.loss_and_gradient(vector, batch, targets, config, pool, WEIGHT, side)
    return loss, gradient


def gradient_of_both_sides(vector, batch, targets, config):
    """The mean of two steps that follow each other in a training."""
    return sum(gradient_of(vector, batch, targets, config, side=side)[1] for side in (1, -1)) / 2


def relative_error(gradient, exact):
    return np.linalg.norm(gradient - exact) / np.linalg.norm(exact)


def error_of(vector, batch, targets, config, gradient, rng):
    """Relative error of the gradient in a random direction that is tilted towards it."""
    direction = random_like(vector, rng)
    direction += gradient / np.linalg.norm(gradient) * np.sqrt(len(vector))
    direction /= np.linalg.norm(direction)
    numeric = directional_derivative(lambda v: loss_of(v, batch, targets, config), vector, direction, step=1e-4)
    return abs(inner(gradient, direction) - numeric) / abs(numeric)


@pytest.fixture
def either_config(either_config):
    """Energies and forces of order one, as the scaled targets of a training are."""
    return dataclasses.replace(either_config, gain=3)


@pytest.mark.parametrize("side", [1, -1])
def test_the_gradient_is_that_of_the_loss(either_config, rng, side):
    vector, batch, targets = problem_of(either_config, rng)
    loss, gradient = gradient_of(vector, batch, targets, either_config, side=side)
    np.testing.assert_allclose(loss, loss_of(vector, batch, targets, either_config), rtol=1e-12)
    assert error_of(vector, batch, targets, either_config, gradient, rng) < 1e-6


def test_shares_and_chunks_do_not_change_the_gradient(rng, monkeypatch):
    config = small_config()
    vector, batch, targets = problem_of(config, rng)
    loss, gradient = gradient_of(vector, batch, targets, config)
    monkeypatch.setitem(parallel.CHUNK_SIZE, "cpu", 100)
    for processes in (1, 2):
        other_loss, other = gradient_of(vector, batch, targets, config, processes)
        np.testing.assert_allclose(other_loss, loss, rtol=1e-12)
        assert relative_error(other, gradient) < 1e-6


def test_single_precision_is_good_enough(either_config, rng):
    vector, batch, targets = problem_of(either_config, rng)
    _, exact = gradient_of(vector, batch, targets, either_config)
    single = Targets(*(x.astype(np.float32) for x in targets[:2]), targets.num_atoms)
    single_batch = batch_of(MOLECULES, either_config, np.float32)
    _, gradient = gradient_of(vector.astype(np.float32), single_batch, single, either_config)
    assert gradient.dtype == np.float32
    assert relative_error(gradient, exact) < 1e-2
    both = gradient_of_both_sides(vector.astype(np.float32), single_batch, single, either_config)
    assert relative_error(both, exact) < 1e-3


def test_the_error_falls_with_the_step_and_that_of_both_sides_with_its_square(rng, monkeypatch):
    config = small_config()
    vector, batch, targets = problem_of(config, rng)
    exact = gradient_of_both_sides(vector, batch, targets, config)
    one, both = [], []
    for step in (2e-3, 4e-3):
        monkeypatch.setattr(forces.displace, "__defaults__", (1, step))
        one.append(relative_error(gradient_of(vector, batch, targets, config)[1], exact))
        both.append(relative_error(gradient_of_both_sides(vector, batch, targets, config), exact))
    assert 1.7 < one[1] / one[0] < 2.3
    assert 3.5 < both[1] / both[0] < 4.5


def test_a_molecule_whose_forces_are_right_is_not_moved(rng):
    config = small_config()
    vector, batch, targets = problem_of(config, rng)
    _, predicted = model.energy_and_forces(unflatten(vector, layout(config)), batch, config)
    targets.forces[1] = predicted[1]
    displaced, d_energies, k = forces.displace(batch, np.ones(3), predicted - targets.forces, step=1e-3)
    np.testing.assert_array_equal(displaced.positions[1], batch.positions[1])
    np.testing.assert_allclose(k + d_energies, 1, rtol=1e-12)
    _, gradient = gradient_of(vector, batch, targets, config)
    assert error_of(vector, batch, targets, config, gradient, rng) < 1e-6


def test_where_all_is_right_nothing_moves_and_the_gradient_is_zero(rng):
    config = small_config()
    vector, batch, targets = problem_of(config, rng)
    energies, predicted = model.energy_and_forces(unflatten(vector, layout(config)), batch, config)
    loss, gradient = gradient_of(vector, batch, targets._replace(energies=energies, forces=predicted), config)
    assert loss == 0
    assert not gradient.any()


@pytest.mark.parametrize("side", [1, -1])
def test_no_atom_moves_farther_than_the_step_and_padding_stays(rng, side):
    batch = batch_of(MOLECULES, small_config())
    d_energy, d_forces = rng.standard_normal(3), (batch.charges > 0)[..., None] * rng.standard_normal((3, 9, 3))
    displaced, d_energies, k = forces.displace(batch, d_energy, d_forces, side, step=0.01)
    moved = displaced.positions - batch.positions
    assert 0.005 < np.abs(moved).max() <= 0.01
    assert not moved[batch.charges == 0].any()
    np.testing.assert_allclose(-d_energies[:, None, None] * moved, d_forces, atol=1e-12)
    np.testing.assert_allclose(k + d_energies, d_energy, atol=1e-12)
    assert np.sign(k) == side


def test_without_a_weight_only_the_energies_count(rng):
    config = small_config()
    vector, batch, targets = problem_of(config, rng)
    with parallel.workers(1) as pool:
        results = [
            parallel.loss_and_gradient(vector, batch, t, config, pool) for t in (targets, targets._replace(forces=None))
        ]
    np.testing.assert_array_equal(results[0][1], results[1][1])
    assert results[0][3] is None


def trained_problem(dtype):
    """The model that comes with the package, and frames of its own data."""
    network, frames = load_network("ethanol"), data.load("sample")
    batch = data.make_batch(frames.charges[:6], frames.positions[:6], network.config, dtype)
    energies, reference = (frames.energies[:6] - network.mean) / network.scale, frames.forces[:6] / network.scale
    targets = Targets(energies.astype(dtype), reference.astype(dtype), 6 * 9)
    return flatten(network.params).astype(dtype), batch, targets, network.config


def test_the_gradient_of_trained_weights_is_that_of_the_loss(rng):
    vector, batch, targets, config = trained_problem(np.float64)
    loss, gradient = gradient_of(vector, batch, targets, config)
    np.testing.assert_allclose(loss, loss_of(vector, batch, targets, config), rtol=1e-12)
    assert error_of(vector, batch, targets, config, gradient, rng) < 1e-6


def test_single_precision_is_good_enough_for_trained_weights_too():
    (_, exact), (_, gradient) = (gradient_of(*trained_problem(dtype)) for dtype in (np.float64, np.float32))
    assert relative_error(gradient, exact) < 1e-2
    assert relative_error(gradient_of_both_sides(*trained_problem(np.float32)), exact) < 2e-3
