"""More than one machine: the ranks of an MPI launcher share the work, as the processes of one machine do.

`mpiexec -n 4 python -m cormorant_np.train …` starts the command four times. Rank 0 runs it; the others only do tasks
that they are given, and keep nothing. So there is one program that reads, decides, prints, writes and is interrupted,
whatever the number of ranks, and no two of them can ever disagree.

Tasks go out and results come back along a binomial tree, which takes log₂ of the number of ranks in turns:

    0 ── 1        every rank gets the tasks of its branch, hands on those of the branches below it, the largest first,
    ├─── 2 ── 3   does its own task, combines the results from below with its own, the nearest first, and sends one
    └─── 4 ── 5   result back.

Arrays travel as MPI's buffers, beside the pickled rest (pickle's protocol 5). Those on a GPU go through the host: CuPy
pickles them so. Whoever waits sleeps a little between two looks, and leaves the core to others.

MPI is imported under a launcher alone, which is known by the environment, see `LAUNCHERS`; mpi4py is the extra "mpi".
"""

import os
import signal
import sys
import time
import traceback
from contextlib import contextmanager

from cormorant_np.backend import take_device
from cormorant_np.errors import SIGNALS, UserError, attempt, on_signals, reason_of

LAUNCHERS = {
    "PMI_SIZE": "PMI_RANK",  # mpiexec of MPICH and Intel MPI; srun --mpi=pmi2
    "OMPI_COMM_WORLD_SIZE": "OMPI_COMM_WORLD_RANK",  # mpiexec of Open MPI
    "MV2_COMM_WORLD_SIZE": "MV2_COMM_WORLD_RANK",  # mpiexec of MVAPICH2
    "SLURM_STEP_NUM_TASKS": "PMIX_RANK",  # srun --mpi=pmix
}
"""Variables that launchers set: the number of ranks, and which of them this one is. Both must be there."""

PAUSE = 50e-6
"""Seconds between two looks for a message."""

_world = None
"""The communicator of all ranks, of mpi4py.util.pkl5, which sends arrays as buffers; None until `connect`."""


def launched():
    """Which rank this is, and how many a launcher has started: (0, 1) without one."""
    for size, rank in LAUNCHERS.items():
        if size in os.environ and rank in os.environ:
            return int(os.environ[rank]), int(os.environ[size])
    return 0, 1


def number_of_ranks():
    """How many ranks share the work; 1 in a process that is not connected."""
    return 1 if _world is None else _world.size


def connect():
    """Find the other ranks, if there are any; the rank of this process.

    Raises
    ------
    UserError
        If mpi4py cannot be used, or belongs to another MPI than the launcher. Rank 0 says so.
    """
    global _world
    rank, number = launched()
    if number == 1:
        return 0
    complaint = None
    with undisturbed():
        try:
            from mpi4py import MPI
            from mpi4py.util import pkl5

            if MPI.COMM_WORLD.size == number:
                _world = pkl5.Intracomm(MPI.COMM_WORLD)
                return rank
            complaint = f"mpi4py sees {MPI.COMM_WORLD.size}: use the mpiexec of the MPI that mpi4py was built for"
        except (ImportError, OSError, RuntimeError) as error:
            reason = reason_of(error)
            complaint = f"mpi4py cannot be used ({reason}): pip install mpi4py, and mpich where there is no MPI yet"
    if rank:
        sys.exit(2)
    raise UserError(f"A launcher has started {number} ranks, but {complaint}; or start without a launcher.")


def run(function, tasks, combine):
    """The results of a function of a module for every tuple of arguments, at most one for each rank, as one result.

    Parameters
    ----------
    combine : a function of a module; combine(a, b) of the results of neighbours, see `parallel.in_pairs`

    Raises
    ------
    Exception
        What the function has raised in the first rank where it did; all of them have ended their tasks.
    """
    with undisturbed(), all_or_none():
        result, error = _branch(function, tasks, combine)
    if error is not None:
        raise error
    return result


def serve():
    """Do what rank 0 gives to this rank, until it is dismissed. Signals are for rank 0."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    sys.stdout = sys.stderr
    with all_or_none():
        while (work := _receive()) is not None:
            _send(_branch(*work), _world.rank & (_world.rank - 1))


def dismiss():
    """Let the other ranks end; nothing else may be asked of them after this."""
    global _world
    if _world is not None and _world.rank == 0:
        with undisturbed(), all_or_none():
            for rank in range(1, _world.size):
                _send(None, rank)
    _world = None


def _branch(function, tasks, combine):
    """The tasks of this rank and of those below it, `len(tasks)` neighbours: the result or the first error."""
    distances = [1 << k for k in range((len(tasks) - 1).bit_length())]
    for distance in reversed(distances):
        _send((function, tasks[distance : 2 * distance], combine), _world.rank + distance)
    answer = attempt(function, tasks[0])
    for distance in distances:
        answer = _combined(answer, _receive(_world.rank + distance), combine)
    return answer


def _combined(first, second, combine):
    for answer in (first, second):
        if answer[1] is not None:
            return answer
    return attempt(combine, (first[0], second[0]))


def _send(message, rank):
    request = _world.isend(message, rank)
    while not request.test()[0]:
        time.sleep(PAUSE)


def _receive(*rank):
    """The next message, of one rank or of any."""
    while (message := _world.improbe(*rank)) is None:
        time.sleep(PAUSE)
    return message.recv()


@contextmanager
def undisturbed():
    """Put signals off until the end of this: an exchange of messages is whole, whenever Ctrl-C is pressed."""
    came = []
    with on_signals(lambda signum, _: came.append(signum)):
        yield
    for signum in came:
        signal.raise_signal(signum)


@contextmanager
def all_or_none():
    """What goes wrong between messages leaves ranks that wait for others: all of them end."""
    try:
        yield
    except BaseException:
        traceback.print_exc()
        _world.Abort(1)


def take_own(device):
    """Take this rank's share of a machine's GPUs: of the ranks there, the k-th takes number k modulo that of the GPUs.

    All ranks call it together.
    """
    from mpi4py import MPI

    machine = _world.Split_type(MPI.COMM_TYPE_SHARED)
    try:
        take_device(device, machine.rank)
    finally:
        machine.Free()
