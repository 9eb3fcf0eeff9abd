"""Chunks and worker processes change nothing but the time."""

import operator
import os
import signal
import time

import numpy as np
import pytest
from conftest import ETHANOL, FORMALDEHYDE, WATER, assert_close, batch_of, random_params, small_config

from cormorant_np import model
from cormorant_np.benchmark import peak_memory
from cormorant_np.config import Config
from cormorant_np.errors import UserError
from cormorant_np.network.parameters import flatten
from cormorant_np.network.vertex_network import COLUMNS
from cormorant_np.training import parallel
from cormorant_np.training.loss import Targets

MOLECULES = [ETHANOL, WATER, FORMALDEHYDE, WATER, ETHANOL]


@pytest.fixture
def problem(rng):
    config = small_config()
    targets = Targets(rng.standard_normal(len(MOLECULES)), None, 25)
    return random_params(config, rng), batch_of(MOLECULES, config), targets, config


@pytest.mark.parametrize("number, chunk_size", [(1, 1), (1, 100), (1, 10**6), (2, 100), (3, 200)])
def test_shares_and_chunks_give_the_loss_and_gradient_of_the_whole_batch(problem, number, chunk_size, monkeypatch):
    params, batch, targets, config = problem
    monkeypatch.setitem(parallel.CHUNK_SIZE, "cpu", chunk_size)
    energy, cache = model.forward(params, batch, config)
    expected, _ = model.backward(2 * (energy - targets.energies) / len(MOLECULES), cache)
    with parallel.workers(number) as pool:
        loss, gradient, predictions, _ = parallel.loss_and_gradient(flatten(params), batch, targets, config, pool)
    np.testing.assert_allclose(loss, np.mean((energy - targets.energies) ** 2), rtol=1e-12)
    assert_close(gradient, flatten(expected))
    assert_close(predictions, energy)


def test_what_a_pass_leaves_behind_goes_before_the_next_one_comes(rng, monkeypatch):
    """So that three chunks, or the two passes of a step with forces, take hardly more memory than one."""
    config = small_config(num_channels=16)
    params = flatten(random_params(config, rng))
    monkeypatch.setitem(parallel.CHUNK_SIZE, "cpu", 4 * 9 * (9 + parallel.PAIRS_OF_AN_ATOM))
    monkeypatch.setitem(COLUMNS, "cpu", 36)  # so that a backward pass needs little more than the forward one has left

    def peak(num_molecules, force_weight):
        batch, forces = batch_of([ETHANOL] * num_molecules, config), rng.standard_normal((num_molecules, 9, 3))
        targets = Targets(rng.standard_normal(num_molecules), forces, 9 * num_molecules)

        def step(pool):
            parallel.loss_and_gradient(params, batch, targets, config, pool, force_weight)

        return peak_memory(step, threads=1)

    assert peak(12, 0) < 1.35 * peak(4, 0)
    assert peak(12, 1) < 1.35 * peak(4, 0)


@pytest.mark.parametrize("predict", [parallel.predict, parallel.predict_with_forces])
def test_predictions_keep_nothing_of_a_chunk_but_the_results(predict, rng, monkeypatch):
    config = small_config(num_channels=16)
    params = random_params(config, rng)
    monkeypatch.setitem(parallel.CHUNK_SIZE, "cpu", 4 * 9 * (9 + parallel.PAIRS_OF_AN_ATOM))

    def peak(num_molecules):
        batch = batch_of([ETHANOL] * num_molecules, config)
        return peak_memory(lambda pool: predict(params, batch, config, pool), threads=1)

    assert peak(12) < 1.2 * peak(4)


@pytest.mark.parametrize("number", [1, 2])
def test_results_repeat_bit_for_bit(problem, number, monkeypatch):
    params, batch, targets, config = problem
    monkeypatch.setitem(parallel.CHUNK_SIZE, "cpu", 100)
    with parallel.workers(number) as pool:
        runs = [parallel.loss_and_gradient(flatten(params), batch, targets, config, pool) for _ in range(5)]
    for run in runs[1:]:
        assert all((a == b).all() for a, b in zip(run[:3], runs[0][:3], strict=True))


@pytest.mark.parametrize("number", [1, 2])
def test_predictions_of_chunks_are_those_of_the_whole_batch(problem, number, monkeypatch):
    params, batch, _, config = problem
    monkeypatch.setitem(parallel.CHUNK_SIZE, "cpu", 100)
    energy, forces = model.energy_and_forces(params, batch, config)
    with parallel.workers(number) as pool:
        assert_close(parallel.predict(params, batch, config, pool), energy)
        parallel_energy, parallel_forces = parallel.predict_with_forces(params, batch, config, pool)
    assert_close(parallel_energy, energy)
    assert_close(parallel_forces, forces)


@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.parametrize("num_molecules", [1, 2, 25, 101])
def test_shares_and_chunks_cover_every_molecule_once_and_are_of_equal_size(num_molecules, number, monkeypatch):
    monkeypatch.setitem(parallel.CHUNK_SIZE, "cpu", 600)
    batch = batch_of([ETHANOL] * num_molecules, small_config())
    for parts in (parallel.shares(batch, number), parallel.chunks(batch)):
        sizes = [part.stop - part.start for part in parts]
        covered = np.concatenate([np.arange(num_molecules)[part] for part in parts])
        assert covered.tolist() == list(range(num_molecules))
        assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 1
    assert len(parallel.shares(batch, number)) == min(number, num_molecules)


def test_every_worker_gets_its_task_and_answers_come_in_order():
    with parallel.workers(3) as pool:
        assert pool.run(operator.add, [(1, 2), (3, 4), (5, 6)]) == [3, 7, 11]
        assert pool.run(operator.add, [(1, 2)]) == [3]
        assert len({os.getpid(), *pool.run(os.getpid, [()] * 3)}) == 3


def test_an_error_in_a_worker_is_raised_here():
    with parallel.workers(2) as pool, pytest.raises(UserError, match="species must be a whole number from 1"):
        pool.run(Config.md17, [((1, 6),), ((0,),)])


def test_after_an_error_in_any_process_the_next_answers_are_their_own():
    with parallel.workers(2) as pool:
        for tasks in ([(1, 0), (2, 1)], [(1, 1), (2, 0)], [(1, 0), (2, 0)]):
            with pytest.raises(ZeroDivisionError):
                pool.run(operator.truediv, tasks)
            assert pool.run(operator.truediv, [(10, 1), (20, 1)]) == [10, 20]


def test_a_worker_that_has_ended_is_a_plain_sentence():
    with pytest.raises(UserError, match=r"worker process has ended.*--threads"), parallel.workers(2) as pool:
        _, pid = pool.run(os.getpid, [(), ()])
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
        pool.run(os.getpid, [(), ()])


def test_ctrl_c_does_not_reach_the_workers():
    with parallel.workers(2) as pool:
        _, pid = pool.run(os.getpid, [(), ()])
        os.kill(pid, signal.SIGINT)
        assert pool.run(operator.add, [(1, 2), (3, 4)]) == [3, 7]
