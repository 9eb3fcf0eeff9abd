"""A real GPU gives what the CPU gives: the checks of test_device.py that need no stand-in, and CuPy's own doings."""

import numpy as np
import pytest
from conftest import small_config
from devices import assert_same_network, assert_same_runs, best_parameters, settings, train_and_resume

from cormorant_np.backend import get_array_module, to_device, to_host
from cormorant_np.config import Config
from cormorant_np.network.coupling import coupling
from cormorant_np.training import loop, parallel
from cormorant_np.training.problem import epoch_batches, prepare

TOLERANCE = {"float32": 1e-5, "float64": 1e-11}


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_network_gives_energies_gradients_and_forces_of_the_cpu(either_config, dtype):
    assert_same_network(either_config, dtype, TOLERANCE[dtype])


@pytest.mark.parametrize("preset", [Config.md17, Config.qm9])
def test_so_does_the_paper_s_network(convention, preset):
    gain = {"supplement": 5.0, "released": 10.0}[convention]
    assert_same_network(preset(convention=convention, gain=gain), "float64", 1e-9)


@pytest.mark.parametrize("dataset", ["sample", "qm9-sample"])
def test_training_evaluation_and_prediction_give_the_same(tmp_path, convention, dataset):
    assert_same_runs(tmp_path, 1e-8, dataset=dataset, convention=convention, dtype="float64")


@pytest.mark.parametrize("devices", [("cpu", "gpu"), ("gpu", "cpu")])
def test_a_checkpoint_of_one_device_resumes_on_the_other(tmp_path, monkeypatch, devices):
    loop.train(settings(dtype="float64"), tmp_path / "whole")
    train_and_resume(tmp_path / "resumed", monkeypatch, devices, dtype="float64")
    whole, resumed = (best_parameters(tmp_path / run) for run in ("whole", "resumed"))
    np.testing.assert_allclose(resumed, whole, rtol=0, atol=1e-8 * np.abs(whole).max())


def test_the_coupling_is_a_dense_array_whose_product_lies_row_by_row():
    matrix = coupling(1, 1, 1, small_config().vertex_order, "float32", "gpu").matrix
    product = matrix @ to_device(np.ones((matrix.shape[1], 6), np.float32), "gpu")
    assert product.view(np.complex64).shape == (matrix.shape[0], 3)


def test_a_step_of_the_paper_s_network_in_float32_stays_in_float32():
    given = settings(device="gpu", num_layers=4, num_channels=16, l_max=3, batch_size=25)
    problem = prepare(given)
    state = loop.start(given, problem)
    indices = epoch_batches(problem, given, 0)[0]
    with parallel.workers(1, "gpu") as pool:
        state = loop.train_step(state, indices, problem, given, pool)
    xp = get_array_module(state.vector)
    assert xp is not np and state.vector.dtype == state.optimizer.m.dtype == state.error_sum.dtype == np.float32
    assert np.isfinite(to_host(state.vector)).all()
