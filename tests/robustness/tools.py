"""What the attacks share: a tiny run, commands in processes of their own, and whether two runs have the same bits."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from cormorant_np import train
from cormorant_np.errors import run_command

ROOT = Path(__file__).parents[2]
TINY = (
    "--num-train 20 --num-valid 5 --num-test 5 --batch-size 5 --epochs 2 --num-channels 2 --num-layers 1 --l-max 1 "
    "--threads 1 --force-weight 0"
).split()
WATER = "3\n\nO 0 0 0.1\nH 0 0.8 -0.5\nH 0 -0.7 -0.4\n"


def begin(command, *arguments, flags=(), cwd=ROOT, preexec_fn=None, **environment):
    """A command in a process of its own, which has just begun."""
    single = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *flags, "-m", f"cormorant_np.{command}", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **single, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=preexec_fn,
    )


def ended(process):
    """The exit code, stdout and stderr of a process."""
    out, err = process.communicate(timeout=100)
    return process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


def called(main, *arguments):
    """The exit code, stdout and stderr of a command that runs here; an error other than a sentence passes through."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run_command(lambda: main([str(argument) for argument in arguments]))
        except SystemExit as end:
            return end.code or 0, out.getvalue(), err.getvalue()


def trained(run_dir, arguments):
    """A directory, in which a run is now that nothing has disturbed."""
    code, _, err = called(train.main, *arguments, "--run-dir", run_dir)
    assert code == 0, err
    return run_dir


def is_one_sentence(err):
    """Whether stderr has one line, an error, and no traceback."""
    lines = [line for line in err.splitlines() if line.strip() and "%|" not in line]
    return len(lines) == 1 and lines[0].startswith("error: ")


def differences(run_dir, other):
    """Names of what differs in the numbers of two runs; times are left out."""
    found = []
    for file in ("checkpoint.npz", "best.npz"):
        with np.load(run_dir / file) as one, np.load(other / file) as two:
            names = set(one.files) | set(two.files)
            found += [name for name in names - {"progress.seconds"} if not np.array_equal(one[name], two[name])]
    return found + ["log.jsonl"] * (rows(run_dir) != rows(other))


def rows(run_dir):
    """The rows of a run's log, without their times."""
    lines = (run_dir / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [{**json.loads(line), "seconds": 0} for line in lines]
