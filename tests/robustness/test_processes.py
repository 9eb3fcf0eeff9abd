"""Runs that are killed, signalled, doubled, or whose worker finds traps in the current folder."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from cormorant_np import train
from cormorant_np.files import folder_for_one
from cormorant_np.training.parallel import workers

from .tools import ROOT, TINY, begin, called, differences, ended, is_one_sentence, trained

posix = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
EPOCHS = 20
LONGER = [*TINY, "--epochs", EPOCHS]


def long_case(*values):
    return pytest.param(*values, marks=pytest.mark.long)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run of a second or two, without a break."""
    return trained(tmp_path_factory.mktemp("longer") / "run", LONGER)


def wait_for(run_dir, process):
    """Wait until a run has begun."""
    while not (run_dir / "config.json").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def resume(run_dir):
    code, _, err = called(train.main, "--run-dir", run_dir, "--resume")
    assert code == 0, err


def kill_and_resume(run_dir, straight, rng):
    shutil.rmtree(run_dir, ignore_errors=True)
    process = begin("train", *LONGER, "--run-dir", run_dir)
    wait_for(run_dir, process)
    time.sleep(rng.uniform(0, 0.7))
    process.kill()
    ended(process)
    resume(run_dir)
    assert differences(run_dir, straight) == []
    assert not list(run_dir.glob(".*"))


@posix
def test_a_killed_run_goes_on_to_the_bits_of_the_straight_one(undisturbed, tmp_path):
    rng = random.Random(0)
    for _ in range(4):
        kill_and_resume(tmp_path / "run", undisturbed, rng)


@posix
@pytest.mark.long
def test_a_run_killed_a_thousand_times(undisturbed, tmp_path):
    rng = random.Random(1)
    for _ in range(1000):
        kill_and_resume(tmp_path / "run", undisturbed, rng)


def workers_of(process):
    """The numbers of a run's worker processes, once there are any; empty if the run ends before."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None:
        if found := children.read_text(encoding="utf-8").split():
            return [int(number) for number in found]
        time.sleep(0.01)
    return []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("times", [1, long_case(75)])
def test_a_killed_worker_is_a_sentence_and_the_run_goes_on(times, tmp_path):
    two, rng = [*LONGER, "--threads", 2], random.Random(times)
    whole = trained(tmp_path / "whole", two)
    for _ in range(times):
        run_dir = tmp_path / "run"
        shutil.rmtree(run_dir, ignore_errors=True)
        process = begin("train", *two, "--run-dir", run_dir)
        wait_for(run_dir, process)
        numbers = workers_of(process)
        time.sleep(rng.uniform(0, 0.5))
        for number in numbers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        code, _, err = ended(process)
        assert code == 0 or (code == 2 and is_one_sentence(err) and "worker process has ended" in err), err
        if code:
            resume(run_dir)
        assert differences(run_dir, whole) == []


@posix
@pytest.mark.parametrize("name, code", [("SIGTERM", 143), long_case("SIGHUP", 129), long_case("SIGINT", 130)])
def test_a_signal_saves_and_the_run_goes_on(name, code, undisturbed, tmp_path):
    if signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
        pytest.skip(f"{name} is ignored here, as under nohup, and so it stays in a run")
    run_dir = tmp_path / "run"
    process = begin("train", *LONGER, "--run-dir", run_dir)
    wait_for(run_dir, process)
    process.send_signal(getattr(signal, name))
    returned, out, err = ended(process)
    assert returned == code and "Traceback" not in err and "--resume" in out + err
    resume(run_dir)
    assert differences(run_dir, undisturbed) == []


@posix
def test_under_nohup_a_hangup_does_not_end_a_run(undisturbed, tmp_path):
    ignored = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    process = begin("train", *LONGER, "--run-dir", tmp_path / "run", preexec_fn=ignored)
    wait_for(tmp_path / "run", process)
    process.send_signal(signal.SIGHUP)
    code, _, err = ended(process)
    assert code == 0, err
    assert differences(tmp_path / "run", undisturbed) == []


@posix
def test_a_terminals_ctrl_c_does_not_reach_a_worker_that_starts():
    with workers(2) as pool:
        first, second = pool.run(os.getpgid, [(0,), (0,)])
    assert first == os.getpgid(0) != second


@posix
def test_the_second_of_two_runs_in_one_folder_is_refused(straight, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(straight, run_dir)
    with folder_for_one(run_dir):
        code, _, err = ended(begin("train", "--run-dir", run_dir, "--resume", "--epochs", 3))
    assert code == 2 and is_one_sentence(err) and "Another run" in err
    assert differences(run_dir, straight) == []
    code, _, err = called(train.main, "--run-dir", run_dir, "--resume", "--epochs", 3)
    assert code == 0, err


@pytest.mark.parametrize("flags", [["-P"], long_case(["-P", "-s"])])
def test_a_worker_executes_nothing_from_the_current_folder(flags, tmp_path):
    for name in ("numpy", "json", "pickle", "cormorant_np", "signal", "threadpoolctl"):
        trap = f"open({str(tmp_path / 'executed')!r}, 'a').write({name!r})\nraise SystemExit(1)\n"
        (tmp_path / f"{name}.py").write_text(trap, encoding="utf-8")
    arguments = [*TINY, "--threads", 2, "--run-dir", tmp_path / "run"]
    code, _, err = ended(begin("train", *arguments, flags=flags, cwd=tmp_path, PYTHONPATH=str(ROOT)))
    assert code == 0, err
    assert not (tmp_path / "executed").exists()


def test_a_program_that_imports_the_package_keeps_its_own_tracebacks(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "__init__.py").write_text("import cormorant_np\n", encoding="utf-8")
    (tmp_path / "other" / "__main__.py").write_text("open('nowhere.txt')\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    words = [sys.executable, "-m", "other"]
    process = subprocess.run(words, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 1 and "Traceback" in process.stderr
