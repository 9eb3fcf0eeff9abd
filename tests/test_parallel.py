"""Chunks and threads change nothing but the time."""

import numpy as np
import pytest
from conftest import ETHANOL, FORMALDEHYDE, WATER, assert_close, batch_of, random_params, small_config

from cormorant_np import model, parallel
from cormorant_np.optimizer import flatten

MOLECULES = [ETHANOL, WATER, FORMALDEHYDE, WATER, ETHANOL]


@pytest.fixture
def problem(rng):
    config = small_config()
    return random_params(config, rng), batch_of(MOLECULES, config), rng.standard_normal(len(MOLECULES)), config


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("pairs_per_chunk", [1, 100, 200, 10**6])
def test_chunks_on_threads_give_the_loss_and_gradient_of_the_whole_batch(
    problem, threads, pairs_per_chunk, monkeypatch
):
    params, batch, targets, config = problem
    monkeypatch.setitem(parallel.PAIRS_PER_CHUNK, "cpu", pairs_per_chunk)
    energy, cache = model.forward(params, batch, config)
    expected, _ = model.backward(2 * (energy - targets) / len(targets), cache)
    with parallel.workers(threads) as pool:
        loss, gradient, predictions = parallel.loss_and_gradient(params, batch, targets, config, pool)
    np.testing.assert_allclose(loss, np.mean((energy - targets) ** 2), rtol=1e-12)
    assert_close(gradient, flatten(expected))
    assert_close(predictions, energy)


@pytest.mark.parametrize("threads", [1, 2])
def test_results_repeat_bit_for_bit(problem, threads, monkeypatch):
    params, batch, targets, config = problem
    monkeypatch.setitem(parallel.PAIRS_PER_CHUNK, "cpu", 100)
    with parallel.workers(threads) as pool:
        runs = [parallel.loss_and_gradient(params, batch, targets, config, pool) for _ in range(5)]
    for run in runs[1:]:
        assert all((a == b).all() for a, b in zip(run, runs[0], strict=True))


@pytest.mark.parametrize("threads", [1, 2])
def test_predictions_of_chunks_are_those_of_the_whole_batch(problem, threads, monkeypatch):
    params, batch, _, config = problem
    monkeypatch.setitem(parallel.PAIRS_PER_CHUNK, "cpu", 100)
    energy, forces = model.energy_and_forces(params, batch, config)
    with parallel.workers(threads) as pool:
        assert_close(parallel.predict(params, batch, config, pool), energy)
        parallel_energy, parallel_forces = parallel.predict_with_forces(params, batch, config, pool)
    assert_close(parallel_energy, energy)
    assert_close(parallel_forces, forces)


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("num_molecules", [1, 2, 25, 101])
def test_chunks_cover_every_molecule_once_and_are_of_equal_size(num_molecules, threads):
    batch = batch_of([ETHANOL] * num_molecules, small_config())
    parts = parallel.chunks(batch, threads)
    sizes = [part.stop - part.start for part in parts]
    assert np.concatenate([np.arange(num_molecules)[part] for part in parts]).tolist() == list(range(num_molecules))
    assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 1
    assert len(parts) % threads == 0 or len(parts) == num_molecules
