"""A worker process of `parallel`: reads functions with their arguments from its input, and writes the results."""

import os
import pickle
import signal
import sys

from cormorant_np.training.parallel import in_worker


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which ends this one
    tasks, results = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    sys.stdout = sys.stderr
    with in_worker():
        while task := _read(tasks):
            pickle.dump(_answer(*task), results, protocol=pickle.HIGHEST_PROTOCOL)
            results.flush()


def _read(tasks):
    try:
        return pickle.load(tasks)
    except EOFError:
        return None


def _answer(function, arguments):
    """The result and no error, or no result and the error."""
    try:
        return function(*arguments), None
    except Exception as error:
        return None, error


if __name__ == "__main__":
    main()
