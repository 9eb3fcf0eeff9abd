"""Ranks of an MPI launcher do what as many processes do, say it once, and end together."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cormorant_np.training import mpi, parallel, run_directory

ROOT = Path(__file__).resolve().parent.parent
BESIDE_PYTHON = Path(sys.executable).with_name("mpiexec")
MPIEXEC = str(BESIDE_PYTHON) if BESIDE_PYTHON.exists() else shutil.which("mpiexec")
needs_mpi = pytest.mark.skipif(
    find_spec("mpi4py") is None or MPIEXEC is None, reason="needs mpiexec and mpi4py: pip install mpi4py mpich"
)
TINY = (
    "--num-train 20 --num-valid 5 --num-test 5 --batch-size 8 --epochs 2 --num-channels 2 --num-layers 1 --l-max 1"
).split()
LONG = ["--num-train", "100", "--epochs", "200"]


def begin(number, *arguments, **environment):
    """A program in so many ranks, or without a launcher in one process, that has just begun."""
    launcher = [MPIEXEC, "-n", str(number)] if number else []
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    command = [*launcher, sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, process_group=0, **pipes)


def ended(process):
    """The exit code, stdout and stderr of a program that must end now."""
    try:
        out, err = process.communicate(timeout=100)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, out, err


def run(number, *arguments, **environment):
    return ended(begin(number, *arguments, **environment))


def train(number, run_dir, *options):
    """stdout of a training that ends well."""
    code, out, err = run(number, "-m", "cormorant_np.train", *options, "--run-dir", run_dir)
    assert code == 0, out + err
    return out


def numbers_of(run_dir):
    """All that a run has computed."""
    files = [run_directory.load_arrays(run_dir / f"{name}.npz") for name in ("best", "checkpoint")]
    arrays = {f"{k} {name}": array for k, file in enumerate(files) for name, array in file.items()}
    del arrays["1 progress.seconds"]
    result = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    return arrays | {name: result[name] for name in ("test_mae", "test_force_mae", "valid_mae")}


def assert_same(run_dir, other, rtol=0.0):
    mine, others = numbers_of(run_dir), numbers_of(other)
    assert mine.keys() == others.keys()
    for name, number in mine.items():
        np.testing.assert_allclose(number, others[name], rtol=rtol, atol=rtol, err_msg=name)


def wait_for(path, process):
    began = time.monotonic()
    while not path.exists():
        assert process.poll() is None and time.monotonic() - began < 60
        time.sleep(0.05)


def ranks_of(process):
    """The process ids of the Python programs below a launcher."""
    lines = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True).stdout.splitlines()
    rows = [line.split(maxsplit=2) for line in lines]
    below = {str(process.pid)}
    for _ in range(4):
        below |= {pid for pid, parent, _ in rows if parent in below}
    found = [int(pid) for pid, _, args in rows if pid in below and args.startswith(sys.executable)]
    return sorted(found)


@pytest.mark.parametrize("length", range(1, 10))
def test_neighbours_are_combined_two_by_two(length):
    combined = parallel.in_pairs([str(k) for k in range(length)], "({} {})".format)
    assert re.findall(r"\d", combined) == [str(k) for k in range(length)]
    depth = max(combined[:k].count("(") - combined[:k].count(")") for k in range(len(combined) + 1))
    assert depth == (length - 1).bit_length()


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({}, (0, 1)),
        ({"PMI_SIZE": "4", "PMI_RANK": "3"}, (3, 4)),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, (1, 2)),
        ({"SLURM_STEP_NUM_TASKS": "8", "PMIX_RANK": "5"}, (5, 8)),
        ({"SLURM_STEP_NUM_TASKS": "8", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, (0, 1)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
)
def test_a_launcher_is_known_by_what_it_sets(environment, expected, monkeypatch):
    for name in {**mpi.LAUNCHERS, **{rank: "" for rank in mpi.LAUNCHERS.values()}}:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert mpi.launched() == expected
    assert parallel.default_threads(7) == (7 if expected == (0, 1) else 1)


def test_without_a_launcher_nobody_imports_mpi4py(tmp_path):
    code = "import sys\nfrom cormorant_np.training.parallel import on_ranks\nfrom cormorant_np import train\n"
    code += "on_ranks(lambda: train.main(sys.argv[1:]))()\nassert 'mpi4py' not in sys.modules"
    code, _, err = run(0, "-c", code, *TINY, "--run-dir", tmp_path)
    assert code == 0, err


@pytest.mark.parametrize("rank", [0, 1])
def test_a_launcher_without_mpi4py_is_a_sentence_of_rank_0(rank, tmp_path):
    (tmp_path / "mpi4py.py").write_text("raise ImportError('no MPI here')", encoding="utf-8")
    there = {"PMI_SIZE": "2", "PMI_RANK": str(rank), "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    code, out, err = run(0, "-m", "cormorant_np.train", **there)
    assert (code, out) == (2, "")
    assert rank or re.fullmatch(r"error: A launcher has started 2 ranks, but .*no MPI here.*pip install.*\n", err), err


TASKS = """
def both(a, b):
    return f"({a} {b})"

def fail(k, failing):
    if k in failing:
        raise ValueError(k)
    return str(k)
"""

TREE = """
import operator
from cormorant_np.training import mpi, parallel
from tasks import both, fail

@parallel.on_ranks
def main():
    for threads in (1, 2):
        with parallel.workers(threads) as pool, parallel.alone() as one:
            assert one.run(operator.add, [(1, 2)]) == [3]
            for length in range(1, pool.number + 1):
                tasks = [(k, ()) for k in range(length)]
                alone = [str(k) for k in range(length)]
                assert pool.run(fail, tasks) == alone
                assert pool.run(fail, tasks, both) == parallel.in_pairs(alone, both)
            try:
                pool.run(fail, [(k, (1, 2)) for k in range(pool.number)])
            except ValueError as error:
                print("raised", error)
    print("ranks", mpi.number_of_ranks())

main()
"""


@needs_mpi
@pytest.mark.parametrize("number", [2, 3, 4])
def test_ranks_do_their_tasks_and_combine_the_results_in_the_same_tree(number, tmp_path):
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    (tmp_path / "tree.py").write_text(TREE, encoding="utf-8")
    code, out, err = run(number, tmp_path / "tree.py")
    assert (code, out) == (0, f"raised 1\nraised 1\nranks {number}\n"), err


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "two_processes"
    return run_dir, train(0, run_dir, *TINY, "--threads", "2")


@needs_mpi
def test_two_ranks_have_the_bits_and_the_words_of_two_processes(two_processes, tmp_path):
    expected, said = two_processes
    out = train(2, tmp_path / "run", *TINY)
    assert_same(tmp_path / "run", expected)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in expected.iterdir()}
    assert [line[:9] for line in out.splitlines()] == [line[:9] for line in said.splitlines()]
    errors = [run(n, "-m", "cormorant_np.evaluate", "--run-dir", expected, "--json", *o) for n, o in EVALUATIONS]
    assert errors[0] == errors[1] and errors[0][0] == 0 and "force_mae" in errors[0][1]


EVALUATIONS = [(0, ["--threads", "2"]), (2, [])]


@needs_mpi
def test_four_ranks_and_two_ranks_of_two_processes_have_the_bits_of_four_processes(tmp_path):
    """Batches of eight, eight and two molecules: in the last one, two of four ranks have nothing to do."""
    options = [*TINY, *"--num-train 18 --epochs 1".split()]
    train(0, tmp_path / "4", *options, "--threads", "4")
    train(4, tmp_path / "4x1", *options)
    train(2, tmp_path / "2x2", *options, "--threads", "2")
    assert_same(tmp_path / "4x1", tmp_path / "4")
    assert_same(tmp_path / "2x2", tmp_path / "4")


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "longer"
    train(0, run_dir, *LONGER, "--threads", "2")
    return run_dir


LONGER = [*TINY, *"--num-train 40 --epochs 20 --dtype float64".split()]


@needs_mpi
@pytest.mark.parametrize("signum, others, rtol", [(signal.SIGINT, 2, 0), (signal.SIGTERM, 3, 1e-6)])
def test_a_signal_stops_all_ranks_after_a_step_and_the_run_goes_on(signum, others, rtol, longer, tmp_path):
    """To the bit with as many ranks as before, and to rounding with another number."""
    process = begin(2, "-m", "cormorant_np.train", *LONGER, "--run-dir", tmp_path)
    wait_for(tmp_path / "log.jsonl", process)
    process.send_signal(signum)
    code, out, err = ended(process)
    assert code == 128 + signum, out + err
    assert (out + err).count("Stopped and saved; go on with: ") == 1
    train(others, tmp_path, "--resume")
    assert_same(tmp_path, longer, rtol)


@needs_mpi
@pytest.mark.parametrize("options", [["--bogus"], ["--data-file", "nowhere.xyz"]], ids=" ".join)
def test_a_mistake_is_one_sentence_and_the_code_2(options, tmp_path):
    code, out, err = run(2, "-m", "cormorant_np.train", *options, "--run-dir", tmp_path / "run")
    assert (code, out) == (2, "") and re.fullmatch(r"error: [^\n]*\n", err), out + err
    assert not (tmp_path / "run").exists()


DEVICES = """
import cupy
from cormorant_np.training import parallel

def current():
    return cupy.cuda.Device().id

@parallel.on_ranks
def main():
    with parallel.workers(8, "gpu") as pool:
        print(pool.run(current, [()] * pool.number))

main()
"""


@needs_mpi
def test_ranks_take_the_devices_in_turn(tmp_path):
    (tmp_path / "devices.py").write_text(DEVICES, encoding="utf-8")
    paths = os.pathsep.join([str(ROOT / "tests" / "strict_cupy"), str(ROOT)])
    assert run(3, tmp_path / "devices.py", PYTHONPATH=paths) == (0, "[0, 1, 0]\n", "")


@needs_mpi
def test_two_ranks_on_devices_have_the_bits_of_two_processes_on_the_cpu(two_processes, tmp_path):
    paths = os.pathsep.join([str(ROOT / "tests" / "strict_cupy"), str(ROOT)])
    options = [*TINY, "--device", "gpu", "--run-dir", tmp_path]
    code, _, err = run(2, "-m", "cormorant_np.train", *options, PYTHONPATH=paths)
    assert (code, err) == (0, "")
    assert_same(tmp_path, two_processes[0], rtol=1e-3)


@needs_mpi
@pytest.mark.parametrize("which", [0, 1])
def test_when_a_rank_is_killed_all_end_and_the_run_can_go_on(which, tmp_path):
    killed(which, 0.3, tmp_path)


@needs_mpi
@pytest.mark.long
@pytest.mark.parametrize("attempt", range(20))
def test_when_a_rank_is_killed_at_any_moment_all_end(attempt, tmp_path):
    lot = random.Random(attempt)
    killed(lot.randrange(3), lot.uniform(-2, 3), tmp_path, number=3)


def killed(which, delay, run_dir, number=2):
    """Kill a rank some seconds after the first epoch, or so many before it; what is there afterwards must be whole."""
    process = begin(number, "-m", "cormorant_np.train", *TINY, *LONG, "--run-dir", run_dir)
    if delay > 0:
        wait_for(run_dir / "log.jsonl", process)
    time.sleep(abs(delay))
    ranks = ranks_of(process)
    assert len(ranks) == number
    os.kill(ranks[which], signal.SIGKILL)
    began = time.monotonic()
    code, *_ = ended(process)
    seconds = time.monotonic() - began
    assert code != 0 and seconds < 10
    assert not [pid for pid in ranks if Path(f"/proc/{pid}").exists()]
    if (run_dir / "config.json").exists():
        state = run_directory.load_arrays(run_dir / "checkpoint.npz")
        epochs = int(state["progress.epoch"])
        train(number, run_dir, "--resume", "--epochs", epochs + 1)
