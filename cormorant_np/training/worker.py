"""A worker process of `parallel`: reads functions with their arguments from its input, and writes the results."""

import os
import pickle
import sys

from cormorant_np.errors import attempt
from cormorant_np.training.parallel import in_worker


def main():
    sys.excepthook = _in_a_line
    tasks, results = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr
    with in_worker():
        while task := _read(tasks):
            pickle.dump(attempt(*task), results, protocol=pickle.HIGHEST_PROTOCOL)
            results.flush()


def _in_a_line(kind, error, trace):
    """For an error beyond a task; if the main process is gone, there is nobody to tell."""
    if not issubclass(kind, BrokenPipeError | MemoryError):
        print(f"A worker process ends: {kind.__name__} {error}", file=sys.stderr)


def _read(tasks):
    try:
        return pickle.load(tasks)
    except (EOFError, pickle.UnpicklingError):
        return None
