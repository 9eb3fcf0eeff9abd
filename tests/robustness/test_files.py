"""What is written is whole or not there: the order of system calls, full disks, and streams that take nothing."""

import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from cormorant_np import files, train
from cormorant_np.errors import UserError

from .tools import ROOT, TINY, WATER, begin, called, differences, ended, is_one_sentence

resource = pytest.importorskip("resource", reason="needs POSIX limits")


class RecordingSystem:
    """Stands for `os` in `files`: does what os does, and notes calls in their order."""

    def __init__(self):
        self.calls, self.names = [], {}

    def __getattr__(self, name):
        return getattr(os, name)

    def open(self, path, *arguments):
        descriptor = os.open(path, *arguments)
        self.names[descriptor] = str(path)
        return descriptor

    def fsync(self, descriptor):
        self.calls.append(("fsync", self.names[descriptor]))

    def replace(self, source, target):
        self.calls.append(("replace", str(target)))
        os.replace(source, target)


def test_a_file_is_on_the_disk_before_it_is_renamed_and_its_folder_after(tmp_path, monkeypatch):
    path, before = tmp_path / "new", tmp_path / "before"
    path.write_bytes(b"old")
    system = RecordingSystem()
    monkeypatch.setattr(files, "os", system)
    files.replace_file(path, b"new", keep=before)
    (first, temporary), *others = system.calls
    assert first == "fsync" and temporary not in (str(path), str(before))
    assert others == [("replace", str(before)), ("replace", str(path)), ("fsync", str(tmp_path))]
    assert (path.read_bytes(), before.read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize("failing", ["open", "fsync", "replace"])
def test_whatever_call_fails_the_old_file_stays_and_nothing_else(failing, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    system = RecordingSystem()
    monkeypatch.setattr(system, failing, fail)
    monkeypatch.setattr(files, "os", system)
    with pytest.raises(UserError, match="make room"):
        files.replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_killed_programs_left_behind_goes_after_a_day(tmp_path):
    old, new = (tmp_path / files.LEFTOVERS.replace("*", name) for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"part")
    os.utime(old, (0, 0))
    with files.written_whole(tmp_path / "whole") as part:
        part.write_bytes(b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [new.name, "whole"]


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    files.replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "target").read_bytes() == b"old"
    assert (tmp_path / "link").read_bytes() == b"new" and not (tmp_path / "link").is_symlink()


def limited(size):
    """A function for a new process that allows it files of `size` bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [0, 5000])
def test_a_full_disk_leaves_the_checkpoint_before(size, straight, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(straight, run_dir)
    arguments = ["--run-dir", run_dir, "--resume", "--epochs", 3]
    code, _, err = ended(begin("train", *arguments, preexec_fn=limited(size)))
    assert code == 2 and is_one_sentence(err), err
    with np.load(run_dir / "checkpoint.npz") as one, np.load(straight / "checkpoint.npz") as two:
        assert all(np.array_equal(one[name], two[name]) for name in two.files)
    assert not list(run_dir.glob(".*"))
    code, _, err = called(train.main, *arguments)
    assert code == 0, err


def test_a_start_on_a_full_disk_may_be_tried_again(straight, tmp_path):
    arguments = [*TINY, "--run-dir", tmp_path / "run"]
    code, _, err = ended(begin("train", *arguments, preexec_fn=limited(1000)))
    assert code == 2 and is_one_sentence(err), err
    code, _, err = called(train.main, *arguments)
    assert code == 0, err
    assert differences(tmp_path / "run", straight) == []


def predicting(straight, tmp_path):
    """The command line, for a shell, of a prediction with more output than a pipe holds."""
    (tmp_path / "many.xyz").write_text(WATER * 2000, encoding="utf-8")
    return f"{sys.executable} -m cormorant_np.predict --run-dir {straight} --threads 1 {tmp_path / 'many.xyz'}"


@pytest.mark.parametrize("end, codes", [("| head -1", [0, 141]), ("> /dev/full", [2]), (">&-", [0, 2])])
def test_an_output_that_nobody_takes_is_no_traceback(end, codes, straight, tmp_path):
    line = f"set -o pipefail; {predicting(straight, tmp_path)} {end}"
    result = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert result.returncode in codes
    assert "Traceback" not in result.stderr and "Exception ignored" not in result.stderr
    assert result.returncode != 2 or is_one_sentence(result.stderr)


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("cp1252", marks=pytest.mark.long)])
def test_an_encoding_that_lacks_letters_is_no_traceback(encoding):
    options = ["--num-channels", 2, "--num-layers", 1, "--l-max", 1]
    code, out, err = ended(begin("check", *options, PYTHONIOENCODING=encoding))
    assert code == 0 and "Traceback" not in err, err
    assert "?" in out


def test_a_disk_with_too_little_room_is_said_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2**20))
    files.check_room(tmp_path, 2**20)
    with pytest.raises(UserError, match=r"needs room for 2 MiB, but its disk has 1 MiB left"):
        files.check_room(tmp_path, 2**21)
    code, _, err = called(train.main, *TINY, "--run-dir", tmp_path / "run")
    assert code == 2 and "make room, or choose another folder" in err
