"""A batch in chunks on threads.

On a CPU, a batch is cut into chunks, at least one for each thread; a pool of threads works on them, with one BLAS
thread each, and results are put together in the order of the chunks, so that they repeat bit for bit. On a GPU, a
mini-batch is one chunk.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from cormorant_np import model
from cormorant_np.backend import device_of, get_array_module, host_threads
from cormorant_np.data.batch import take
from cormorant_np.loss import mean_squared_error_backward, mean_squared_error_forward
from cormorant_np.optimizer import flatten

PAIRS_PER_CHUNK = {"cpu": 2000, "gpu": 40_000}
"""Pairs of atoms in a chunk: few enough for memory, enough for NumPy's overhead; measured in docs/performance.md."""

MALLOC_OPTIONS = {-1: 2**31 - 1, -2: 64 * 2**20, -3: 32 * 2**20, -8: 1}
"""Of glibc's mallopt: M_TRIM_THRESHOLD, M_TOP_PAD and M_MMAP_THRESHOLD in bytes, and M_ARENA_MAX."""


class Workers(NamedTuple):
    """`map` calls a function for every chunk, on `threads` threads."""

    map: object
    threads: int


@contextmanager
def workers(threads):
    """A pool of threads with one BLAS thread each.

    They do not warn of overflow: what has overflowed is not finite, and whoever uses the numbers says so once.
    """
    keep_freed_memory()
    quiet = {"over": "ignore", "invalid": "ignore"}
    one_blas_thread = threadpool_limits(limits=1, user_api="blas")
    pool = ThreadPoolExecutor(threads, initializer=partial(np.seterr, **quiet))
    with np.errstate(**quiet), one_blas_thread, pool:
        yield Workers(pool.map if threads > 1 else map, threads)


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


def chunks(batch, threads):
    """Slices of a batch with about `PAIRS_PER_CHUNK` pairs; as many for every thread, as equal in size as can be."""
    num_molecules, num_atoms = batch.charges.shape
    threads = host_threads(batch.positions, threads)
    wanted = num_molecules * num_atoms**2 / PAIRS_PER_CHUNK[device_of(batch.positions)]
    number = min(num_molecules, threads * max(1, round(wanted / threads)))
    edges = np.linspace(0, num_molecules, number + 1).round().astype(int)
    return [slice(start, stop) for start, stop in pairwise(edges)]


def loss_and_gradient(params, batch, targets, config, pool):
    """Mean squared error of a batch, its gradient, and the predictions.

    Parameters
    ----------
    targets : (B,) real
    pool : Workers

    Returns
    -------
    loss : 0-d real
    gradient : (n,) real, as `flatten` lays it out
    predictions : (B,) real
    """

    def work(part):
        energy, cache = model.forward(params, take(batch, part), config)
        loss, loss_cache = mean_squared_error_forward(energy, targets[part], len(targets))
        gradient, _ = model.backward(mean_squared_error_backward(1, loss_cache), cache)
        return loss, flatten(gradient), energy

    losses, gradients, energies = zip(*pool.map(work, chunks(batch, pool.threads)), strict=True)
    return sum(losses), sum(gradients), get_array_module(targets).concatenate(energies)


def predict(params, batch, config, pool):
    """Energies (B,) of any number of molecules."""
    parts = pool.map(lambda part: model.forward(params, take(batch, part), config)[0], chunks(batch, pool.threads))
    return get_array_module(batch.positions).concatenate(list(parts))


def predict_with_forces(params, batch, config, pool):
    """Energies (B,) and forces (B, N, 3) of any number of molecules."""

    def work(part):
        return model.energy_and_forces(params, take(batch, part), config)

    energies, forces = zip(*pool.map(work, chunks(batch, pool.threads)), strict=True)
    xp = get_array_module(batch.positions)
    return xp.concatenate(energies), xp.concatenate(forces)
