"""The same on two devices: for tests with a stand-in for CuPy, and for tests on a GPU."""

import numpy as np
from conftest import ETHANOL, FORMALDEHYDE, WATER, assert_close, batch_of, press_ctrl_c_after, random_params

from cormorant_np import model
from cormorant_np.backend import to_device, to_host
from cormorant_np.data import Batch
from cormorant_np.network.parameters import flatten
from cormorant_np.training import loop, parallel, run_directory
from cormorant_np.training.loss import Targets
from cormorant_np.training.prediction import predict_molecules
from cormorant_np.training.results import run_errors
from cormorant_np.training.settings import Settings

TINY = {
    "num_train": 30,
    "num_valid": 10,
    "num_test": 10,
    "epochs": 2,
    "batch_size": 10,
    "num_channels": 2,
    "num_layers": 3,
    "l_max": 2,
    "threads": 2,
}


def settings(**fields):
    """A run of six steps."""
    return Settings(**{**TINY, **fields})


def network_results(config, device, dtype):
    """Energies, forces, gradients, and those of a loss without and with forces, of three molecules, on the host."""
    rng = np.random.default_rng(0)
    params = {name: to_device(p, device) for name, p in random_params(config, rng, dtype).items()}
    batch = Batch(*(to_device(x, device) for x in batch_of([ETHANOL, WATER, FORMALDEHYDE], config, dtype)))
    energies, forces = (rng.standard_normal(shape).astype(dtype) for shape in (3, (3, 9, 3)))
    forces *= (to_host(batch.charges) > 0)[..., None]
    targets = Targets(to_device(energies, device), to_device(forces, device), 16)
    with parallel.workers(2, device) as pool:
        losses = [parallel.loss_and_gradient(flatten(params), batch, targets, config, pool, w) for w in (0.0, 0.5)]
        energies, forces = parallel.predict_with_forces(params, batch, config, pool)
    grads, _ = model.backward(energies, model.forward(params, batch, config)[1])
    (loss, gradient, predicted, _), (_, force_gradient, *_) = losses
    results = [energies, forces, flatten(grads), loss, gradient, predicted, force_gradient]
    return [to_host(x) for x in results]


def assert_same_network(config, dtype, tolerance):
    """A network gives on a GPU what it gives on the CPU."""
    results = [network_results(config, device, dtype) for device in ("cpu", "gpu")]
    (*on_cpus, force_gradient), (*on_gpus, other) = results
    for on_cpu, on_gpu in zip(on_cpus, on_gpus, strict=True):
        assert on_gpu.dtype == on_cpu.dtype
        assert_close(on_gpu, on_cpu, tolerance)
    assert_close(other, force_gradient, 10 * np.finfo(dtype).eps ** 0.5)  # the difference of two that agree


def assert_same_runs(directory, tolerance, **fields):
    """Training, evaluation and prediction give on a GPU what they give on the CPU."""
    results = [run_results(directory / device, device, **fields) for device in ("cpu", "gpu")]
    for on_cpu, on_gpu in zip(*results, strict=True):
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=0, atol=tolerance * np.abs(on_cpu).max())


def run_results(run_dir, device, **fields):
    """Errors by epoch and of the test, parameters, and predictions for a water molecule, of a run on a device."""
    loop.train(settings(device=device, **fields), run_dir)
    log = [[row["train_mae"], row["valid_mae"]] for row in run_directory.read_log(run_dir / "log.jsonl")]
    errors = [value for value in run_errors(run_dir).values() if isinstance(value, float)]
    molecule = tuple(map(np.array, WATER))
    energies, forces = predict_molecules(run_dir, [molecule], forces=True, device=device)
    return [log, errors, best_parameters(run_dir), energies, forces]


def best_parameters(run_dir):
    """The parameters of a run's best model, one real vector."""
    return flatten(run_directory.load_arrays(run_dir / "best.npz"))


def train_and_resume(run_dir, monkeypatch, devices, num_steps=4, **fields):
    """Train on the first device, press Ctrl-C in the middle of an epoch, and resume on the second."""
    with monkeypatch.context() as context:
        press_ctrl_c_after(context, num_steps)
        assert not loop.train(settings(device=devices[0], **fields), run_dir)
    assert loop.train(settings(device=devices[1], **fields), run_dir, resume=True)
