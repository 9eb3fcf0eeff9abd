"""A batch in chunks, shared among worker processes.

On a CPU the arrays of a few molecules fit the cache and those of a batch do not: a batch is worked on in chunks. Each
of several workers, one for each core and with one BLAS thread, gets an equal share of the batch. They are processes,
and the calling process is one of them: threads would wait for Python's lock at every one of the many short array
operations. Results are put together in the order of the molecules, so that they repeat bit for bit. On a GPU the
calling process works alone.
"""

import contextlib
import ctypes
import os
import pickle
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from cormorant_np import model
from cormorant_np.backend import device_of, get_array_module, processes_for
from cormorant_np.data.batch import take
from cormorant_np.errors import UserError
from cormorant_np.network.parameters import flatten, layout, unflatten
from cormorant_np.training.forces import displace
from cormorant_np.training.loss import mean_squared_error_backward, mean_squared_error_forward

CHUNK_SIZE = {"cpu": 2800, "gpu": 160_000}
"""Of a chunk's molecules, Σ N (N + PAIRS_OF_AN_ATOM): few enough for the cache, enough for NumPy's overhead, see
docs/performance.md."""

PAIRS_OF_AN_ATOM = 30
"""The arrays of one atom take as much memory as those of about so many pairs of atoms."""

MALLOC_OPTIONS = {-1: 2**31 - 1, -2: 64 * 2**20, -3: 32 * 2**20}
"""Of glibc's mallopt: M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD in bytes."""

ONE_BLAS_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")

PIPE_SIZE = 2**20
"""Bytes: room for the parameters or the gradient, so that neither side waits for the other."""


START_OF_A_WORKER = """
import signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
sys.path[:] = sys.argv[1:]
from cormorant_np.training.worker import main
main()
"""
"""What a worker runs. Its arguments are the modules' folders, those of the main process and no others; signals are for
the main process, which ends this one."""


class Workers(NamedTuple):
    """`run(function, tasks)` calls a function of a module for every tuple of arguments, at most `number` of them."""

    run: object
    number: int


@contextmanager
def workers(number, device="cpu"):
    """The calling process and, unless a GPU does the work, as many others as make `number`."""
    number = processes_for(device, number)
    with in_worker(), ExitStack() as stack:
        processes = [stack.enter_context(_process()) for _ in range(number - 1)]
        yield Workers(partial(_run, processes), number)


@contextmanager
def in_worker():
    """How arrays are worked on: one BLAS thread, memory kept for the next step, and no warnings of overflow.

    What has overflowed is not finite, and whoever uses the numbers says so once.
    """
    keep_freed_memory()
    with np.errstate(over="ignore", invalid="ignore"), threadpool_limits(limits=1, user_api="blas"):
        yield


def keep_freed_memory():
    """Ask the C library to keep freed memory for the next arrays instead of giving it back to the system.

    Every step makes and frees the same arrays; without this, the system clears their pages anew each time, which takes
    a third of a step. Only glibc is asked; other C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, value in MALLOC_OPTIONS.items():
        mallopt(option, value)


@contextmanager
def _process():
    """A worker process, as long as the `with` lasts; it keeps nothing, so that it may be killed at any time.

    It has a process group of its own: a terminal's Ctrl-C is for the main process, also while this one starts.

    Raises
    ------
    UserError
        If the system does not start one.
    """
    command = [sys.executable, *interpreter_options(), "-c", START_OF_A_WORKER, *map(str, sys.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    try:
        process = subprocess.Popen(command, env={**os.environ, **ONE_BLAS_THREAD}, process_group=0, **pipes)
    except (OSError, MemoryError) as error:
        raise UserError(f"A worker process cannot be started ({error}): use fewer --threads.") from None
    for pipe in (process.stdin, process.stdout):
        enlarge(pipe)
    try:
        yield process
    finally:
        process.kill()
        with contextlib.suppress(BrokenPipeError):
            process.communicate()


def interpreter_options():
    """The options of this interpreter that decide what is imported and how; never the current folder on its own."""
    letters = {
        "isolated": "I",
        "ignore_environment": "E",
        "no_user_site": "s",
        "no_site": "S",
        "dont_write_bytecode": "B",
        "optimize": "O",
    }
    given = [f"-{letter * getattr(sys.flags, name)}" for name, letter in letters.items() if getattr(sys.flags, name)]
    return ["-P", *given, *(f"-W{option}" for option in sys.warnoptions)]


def enlarge(pipe):
    """Give a pipe room for the parameters, where the system can and allows it; the work goes on without."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_SIZE)


def _run(processes, function, tasks):
    """The results of a function in the order of the tasks: the first one here, each other one in its own process.

    Raises
    ------
    UserError
        If a process has ended, as when the system has killed it for its memory.
    """
    first, *others = tasks
    used = processes[: len(others)]
    try:
        for process, task in zip(used, others, strict=True):
            pickle.dump((function, task), process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
        result = function(*first)
        answers = [pickle.load(process.stdout) for process in used]
    except (EOFError, BrokenPipeError, pickle.UnpicklingError):
        raise UserError(
            "A worker process has ended before its work was done, perhaps for want of memory: use fewer --threads or a "
            "smaller --batch-size."
        ) from None
    for _, error in answers:
        if error is not None:
            raise error
    return [result, *(other for other, _ in answers)]


def shares(batch, number):
    """Slices of a batch, one for each of at most `number` workers, as equal as can be."""
    return _slices(len(batch.charges), min(number, len(batch.charges)))


def chunks(batch):
    """Slices of a batch, each of about `CHUNK_SIZE`."""
    num_molecules, num_atoms = batch.charges.shape
    wanted = num_molecules * num_atoms * (num_atoms + PAIRS_OF_AN_ATOM) / CHUNK_SIZE[device_of(batch.positions)]
    return _slices(num_molecules, min(num_molecules, max(1, round(wanted))))


def _slices(length, number):
    edges = np.linspace(0, length, number + 1).round().astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


def loss_and_gradient(vector, batch, targets, config, pool, force_weight=0.0):
    """The loss of a batch (see `loss`), its gradient, and the predictions.

    Parameters
    ----------
    vector : (n,) real, all parameters, see `network.parameters.flatten`
    batch : Batch
    targets : Targets, with forces if `force_weight` is not zero
    pool : Workers

    Returns
    -------
    loss : 0-d real
    gradient : (n,) real
    energies : (B,) real
    forces : (B, N, 3) real, or None
    """
    counts = len(targets.energies), 3 * targets.num_atoms / force_weight if force_weight else None
    tasks = []
    for share in shares(batch, pool.number):
        forces = targets.forces[share] if force_weight else None
        tasks.append((vector, take(batch, share), targets.energies[share], forces, counts, config))
    losses, gradients, energies, forces = zip(*pool.run(_share_of_gradient, tasks), strict=True)
    concatenate = get_array_module(vector).concatenate
    return sum(losses), sum(gradients), concatenate(energies), concatenate(forces) if force_weight else None


def _share_of_gradient(vector, batch, energies, forces, counts, config):
    """One worker's part of the loss, of the gradient, and of the predictions."""
    params = unflatten(vector, layout(config))
    if forces is None:
        return _gradient_by_energies(params, batch, energies, counts[0], config)
    return _gradient_by_forces(params, batch, energies, forces, counts, config)


def _gradient_by_energies(params, batch, targets, count, config):
    """Chunk after chunk, forward and backward."""
    loss, gradient, energies = 0, 0, []
    for chunk in chunks(batch):
        energy, cache = model.forward(params, take(batch, chunk), config)
        chunk_loss, loss_cache = mean_squared_error_forward(energy, targets[chunk], count)
        grads, _ = model.backward(mean_squared_error_backward(1, loss_cache), cache, by_positions=False)
        loss, gradient = loss + chunk_loss, gradient + flatten(grads)
        energies.append(energy)
    return loss, gradient, get_array_module(targets).concatenate(energies), None


def _gradient_by_forces(params, batch, target_energies, target_forces, counts, config):
    """Energies and forces of all chunks; then forward and backward of the displaced molecules, see `forces`."""
    energies, forces = _share_of_forces(params, batch, config)
    energy_loss, energy_cache = mean_squared_error_forward(energies, target_energies, counts[0])
    force_loss, force_cache = mean_squared_error_forward(forces, target_forces, counts[1])
    d_energy, d_forces = (mean_squared_error_backward(1, cache) for cache in (energy_cache, force_cache))
    displaced, d_energies = displace(batch, d_energy, d_forces)
    gradient = 0
    for chunk in chunks(displaced):
        _, cache = model.forward(params, take(displaced, chunk), config)
        grads, _ = model.backward(d_energies[chunk], cache, by_positions=False)
        gradient = gradient + flatten(grads)
    return energy_loss + force_loss, gradient, energies, forces


def predict(params, batch, config, pool):
    """Energies (B,) of any number of molecules."""
    return _predictions(_share_of_energies, params, batch, config, pool)[0]


def predict_with_forces(params, batch, config, pool):
    """Energies (B,) and forces (B, N, 3) of any number of molecules."""
    return _predictions(_share_of_forces, params, batch, config, pool)


def _predictions(function, params, batch, config, pool):
    tasks = [(params, take(batch, share), config) for share in shares(batch, pool.number)]
    return _concatenated(pool.run(function, tasks))


def _share_of_energies(params, batch, config):
    return _concatenated([model.forward(params, take(batch, chunk), config)[:1] for chunk in chunks(batch)])


def _share_of_forces(params, batch, config):
    return _concatenated([model.energy_and_forces(params, take(batch, chunk), config) for chunk in chunks(batch)])


def _concatenated(results):
    """One tuple of arrays from a list of tuples."""
    return tuple(get_array_module(arrays[0]).concatenate(arrays) for arrays in zip(*results, strict=True))
