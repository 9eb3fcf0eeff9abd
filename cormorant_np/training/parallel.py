"""A batch in chunks, shared among worker processes.

The arrays of a batch would take much memory, and on a CPU little of them would fit the cache: a batch is worked on in
chunks. Each of several workers, one for each core and with one BLAS thread, gets an equal share of the batch. They are
processes, and the calling process is one of them: threads would wait for Python's lock at every one of the many short
array operations. Results are put together in the order of the molecules, and sums in one fixed tree, so that they
repeat bit for bit. On a GPU the calling process works alone. Under an MPI launcher each rank has such processes or its
GPU, see `mpi`.
"""

import atexit
import contextlib
import ctypes
import operator
import os
import pickle
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from functools import cache, partial, wraps
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from cormorant_np import model
from cormorant_np.backend import device_of, get_array_module, processes_for
from cormorant_np.data.batch import take
from cormorant_np.errors import UserError, attempt
from cormorant_np.network.arrangement import arrange_backward, arrange_forward
from cormorant_np.network.parameters import flatten, layout, unflatten
from cormorant_np.training import mpi
from cormorant_np.training.forces import displace
from cormorant_np.training.loss import mean_squared_error_backward, mean_squared_error_forward

CHUNK_SIZE = {"cpu": 4600, "gpu": 160_000}
"""Of a chunk's molecules, Σ N (N + PAIRS_OF_AN_ATOM): few enough for the memory, enough for NumPy's overhead, see
docs/performance.md."""

PAIRS_OF_AN_ATOM = 30
"""The arrays of one atom take as much memory as those of about so many pairs of atoms."""

MALLOC_OPTIONS = {-1: 2**31 - 1, -2: 64 * 2**20, -3: 32 * 2**20}
"""Of glibc's mallopt: M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD in bytes."""

ONE_BLAS_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")

PIPE_SIZE = 2**20
"""Bytes, the most that Linux gives without privileges: room for the parameters or the gradient of MD17's network in
float32, so that neither side waits for the other."""


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
    """`run(function, tasks)` calls a function of a module for every tuple of arguments, at most `number` of them.

    It gives the list of the results; `run(function, tasks, combine)` what a function of a module makes of them two by
    two, see `in_pairs`.
    """

    run: object
    number: int


@contextmanager
def workers(number, device="cpu"):
    """The calling process and, unless a GPU does the work, as many others as make `number`; so many in every rank."""
    number, ranks = processes_for(device, number), mpi.number_of_ranks()
    if ranks == 1:
        with alone(number) as pool:
            yield pool
        return
    mpi.run(mpi.take_own, [(device,)] * ranks, _neither)
    with in_worker():
        yield Workers(partial(_run_on_ranks, number), ranks * number)


@contextmanager
def alone(number=1):
    """As many processes of this machine, whatever other ranks there are."""
    if number < 1:
        raise UserError(f"At least one process is needed, not {number}.")
    with in_worker(), ExitStack() as stack:
        processes = [stack.enter_context(_process()) for _ in range(number - 1)]
        yield Workers(partial(_run, processes), number)


def on_ranks(main):
    """A command that runs in rank 0, while the other ranks, if a launcher has started any, are its workers."""

    @wraps(main)
    def of_this_rank():
        try:
            if mpi.connect() == 0:
                return main()
            with in_worker():
                mpi.serve()
            return 0
        finally:
            mpi.dismiss()

    return of_this_rank


def default_threads(otherwise):
    """What --threads is if it is not given: one in every rank of a launcher, else `otherwise`."""
    return otherwise if mpi.launched() == (0, 1) else 1


def _run_on_ranks(number, function, tasks, combine=None):
    """As `_run`, every rank with its `number` of processes; each gets an unbroken part of the tasks."""
    parts = [(number, function, tasks[start : start + number], combine) for start in range(0, len(tasks), number)]
    return mpi.run(_run_in_rank, parts, combine or operator.add)


def _run_in_rank(number, *work):
    return _run(_processes_of_rank(number), *work)


@cache
def _processes_of_rank(number):
    """The other processes of a rank, which wait for its next task, to the end of the program."""
    stack = ExitStack()
    atexit.register(stack.close)
    return [stack.enter_context(_process()) for _ in range(number - 1)]


def _neither(first, second):
    """Combines results that are nothing."""


@contextmanager
def in_worker():
    """How arrays are worked on: one BLAS thread, memory kept for the next step, and no warnings of overflow.

    What has overflowed is not finite, and whoever uses the numbers says so once.
    """
    keep_freed_memory()
    with np.errstate(over="ignore", invalid="ignore", under="ignore"), one_blas_thread:
        yield


class OneBlasThread:
    """One BLAS thread while any of the program's threads is inside; the last one to leave restores what was before."""

    def __init__(self):
        self.lock, self.number_inside, self.limits = threading.Lock(), 0, None

    def __enter__(self):
        with self.lock:
            if not self.number_inside:
                self.limits = blas_libraries().limit(limits=1, user_api="blas")
            self.number_inside += 1

    def __exit__(self, *error):
        with self.lock:
            self.number_inside -= 1
            if not self.number_inside:
                self.limits.restore_original_limits()


one_blas_thread = OneBlasThread()


@cache
def blas_libraries():
    """The libraries whose threads are to be limited; looking for them takes longer than one molecule's energy."""
    return ThreadpoolController()


@cache
def keep_freed_memory():
    """Once, ask the C library to keep freed memory for the next arrays instead of giving it back to the system.

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


def _run(processes, function, tasks, combine=None):
    """The results of a function: of the first task here, of each other one in its own process; combined, or a list.

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
        answers = [attempt(function, first), *(pickle.load(process.stdout) for process in used)]
    except (EOFError, BrokenPipeError, pickle.UnpicklingError):
        raise UserError(
            "A worker process has ended before its work was done, perhaps for want of memory: use fewer --threads or a "
            "smaller --batch-size."
        ) from None
    for _, error in answers:
        if error is not None:
            raise error
    results = [result for result, _ in answers]
    return results if combine is None else in_pairs(results, combine)


def in_pairs(results, combine):
    """One result, of neighbours combined two by two, and these again: the order of a sum, however many do it.

    Along the tree of `mpi` it is the same one, if each rank has 1, 2, 4 … processes.
    """
    while len(results) > 1:
        pairs = [combine(*pair) for pair in zip(results[::2], results[1::2], strict=False)]
        results = pairs + results[2 * len(pairs) :]
    return results[0]


def shares(batch, number):
    """Slices of a batch, one for each of at most `number` workers, as equal as can be.

    The first is among the largest: the calling process gets it, which waits for nothing to come through a pipe.
    """
    return _slices(len(batch.charges), min(number, len(batch.charges)))


def chunks(batch):
    """Slices of a batch, each of about `CHUNK_SIZE`."""
    num_molecules, num_atoms = batch.charges.shape
    wanted = num_molecules * num_atoms * (num_atoms + PAIRS_OF_AN_ATOM) / CHUNK_SIZE[device_of(batch.positions)]
    return _slices(num_molecules, min(num_molecules, max(1, round(wanted))))


def _slices(length, number):
    edges = [-(-length * k // number) for k in range(number + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def loss_and_gradient(vector, batch, targets, config, pool, force_weight=0.0, side=1):
    """The loss of a batch (see `loss`), its gradient, and the predictions.

    Parameters
    ----------
    vector : (n,) real, all parameters, see `network.parameters.flatten`
    batch : Batch
    targets : Targets, with forces if `force_weight` is not zero
    pool : Workers
    side : 1 or -1, on which the molecules are displaced for the gradient by forces, see `forces`

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
        tasks.append((vector, take(batch, share), targets.energies[share], forces, counts, side, config))
    return pool.run(_share_of_gradient, tasks, _sums_and_predictions)


def _share_of_gradient(vector, batch, energies, forces, counts, side, config):
    """One worker's part of the loss, of the gradient, and of the predictions."""
    params = unflatten(vector, layout(config))
    if forces is None:
        return _gradient_by_energies(params, batch, energies, counts[0], config)
    return _gradient_by_forces(params, batch, energies, forces, counts, side, config)


def _sums_and_predictions(first, second):
    """What two neighbours have got of a batch as one: loss and gradient added, energies and forces in a row."""
    predictions = [None if a is None else _joined(a, b) for a, b in zip(first[2:], second[2:], strict=True)]
    return first[0] + second[0], first[1] + second[1], *predictions


def _gradient_by_energies(params, batch, targets, count, config):
    """Chunk after chunk, forward and backward; what one leaves behind goes before the next one comes."""
    loss, total, predictions, weights = 0, {}, [], arrange_forward(params, config)
    for chunk in chunks(batch):
        energy, cache = model.forward(params, take(batch, chunk), config, weights)
        chunk_loss, loss_cache = mean_squared_error_forward(energy, targets[chunk], count)
        d_energy = mean_squared_error_backward(1, loss_cache)
        grads, _ = model.backward(d_energy, cache, by_positions=False, arranged=True, use_up=True)
        del cache
        loss, total = loss + chunk_loss, _added(total, grads)
        predictions.append((energy,))
    return loss, flatten(arrange_backward(total, config)), *_concatenated(predictions), None


def _gradient_by_forces(params, batch, target_energies, target_forces, counts, side, config):
    """Chunk after chunk, forward and backward, and the same for the displaced molecules, see `forces`."""
    loss, total, predictions, weights = 0, {}, [], arrange_forward(params, config)
    for chunk in chunks(batch):
        molecules = take(batch, chunk)
        energy, cache = model.forward(params, molecules, config, weights)
        ones = get_array_module(energy).ones_like(energy)
        grads, d_positions = model.backward(ones, cache, arranged=True, use_up=True)
        del cache
        energy_loss, energy_cache = mean_squared_error_forward(energy, target_energies[chunk], counts[0])
        force_loss, force_cache = mean_squared_error_forward(-d_positions, target_forces[chunk], counts[1])
        d_energy, d_forces = (mean_squared_error_backward(1, of_loss) for of_loss in (energy_cache, force_cache))
        displaced, d_energies, k = displace(molecules, d_energy, d_forces, side)
        _, cache = model.forward(params, displaced, config, weights)
        displaced_grads, _ = model.backward(d_energies, cache, by_positions=False, arranged=True, use_up=True)
        del cache
        loss = loss + energy_loss + force_loss
        total = _added(_added(total, grads, k), displaced_grads)
        predictions.append((energy, -d_positions))
    return loss, flatten(arrange_backward(total, config)), *_concatenated(predictions)


def _added(total, grads, factor=1):
    """total + factor · grads, dicts of arrays with the same names; an empty total is zero."""
    return {name: total.get(name, 0) + factor * d for name, d in grads.items()}


def predict(params, batch, config, pool):
    """Energies (B,) of any number of molecules."""
    return _predictions(_share_of_energies, params, batch, config, pool)[0]


def predict_with_forces(params, batch, config, pool):
    """Energies (B,) and forces (B, N, 3) of any number of molecules."""
    return _predictions(_share_of_forces, params, batch, config, pool)


def _predictions(function, params, batch, config, pool):
    tasks = [(params, take(batch, share), config) for share in shares(batch, pool.number)]
    return pool.run(function, tasks, _joined_each)


def _share_of_energies(params, batch, config):
    weights = arrange_forward(params, config)
    parts = [
        model.forward(params, take(batch, chunk), config, weights, by_params=False, by_positions=False)[:1]
        for chunk in chunks(batch)
    ]
    return _concatenated(parts)


def _share_of_forces(params, batch, config):
    weights = arrange_forward(params, config)
    parts = [model.energy_and_forces(params, take(batch, chunk), config, weights) for chunk in chunks(batch)]
    return _concatenated(parts)


def _joined(first, second):
    return get_array_module(first).concatenate([first, second])


def _joined_each(first, second):
    return tuple(map(_joined, first, second))


def _concatenated(results):
    """One tuple of arrays from a list of tuples."""
    return tuple(get_array_module(arrays[0]).concatenate(arrays) for arrays in zip(*results, strict=True))
