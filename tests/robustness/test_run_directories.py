"""Damaged run directories: every command gives the right numbers, or one sentence; nothing else, and never nan."""

import json
import random
import shutil

import numpy as np
import pytest

from cormorant_np import evaluate, predict, train

from .tools import WATER, called, is_one_sentence

USES = {
    "config.json": ("resume", "evaluate", "predict"),
    "splits.npz": ("resume", "evaluate"),
    "checkpoint.npz": ("resume",),
    "best.npz": ("evaluate", "predict"),
    "log.jsonl": ("resume",),
}
VALUES = [None, "", "x", 0, -1, 10**30, 1.5, True, [], {}, float("nan"), float("inf"), "../..", [1]]


def use(run_dir, command):
    """The exit code, stdout and stderr of a command on a run."""
    if command == "resume":
        return called(train.main, "--run-dir", run_dir, "--resume", "--epochs", 3, "--threads", 1)
    if command == "evaluate":
        return called(evaluate.main, "--run-dir", run_dir, "--threads", 1)
    molecules = run_dir.parent / "water.xyz"
    molecules.write_text(WATER, encoding="utf-8")
    return called(predict.main, "--run-dir", run_dir, "--threads", 1, molecules)


def truncate(path, rng):
    path.write_bytes(path.read_bytes()[: int(rng.random() * path.stat().st_size)])


def flip_a_bit(path, rng):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def zeros(path, rng):
    """What a power cut can leave."""
    path.write_bytes(bytes(path.stat().st_size))


def change_an_array(path, rng):
    """Another shape, another kind, nan, a name too few or too many; the checksums are right."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    name = rng.choice(sorted(arrays))
    array = arrays.pop(name)
    change = rng.choice(["shape", "kind", "nan", "missing", "extra"])
    if change == "shape":
        arrays[name] = np.stack([array, array])
    elif change == "kind":
        arrays[name] = array.astype(np.float16 if array.dtype.kind in "iu" else np.int8)
    elif change == "nan":
        arrays[name] = np.full(array.shape, np.nan, array.dtype if array.dtype.kind in "fc" else np.float64)
    elif change == "extra":
        arrays |= {name: array, "layers.9.new": array}
    np.savez(path, **arrays)


def edit(path, rng):
    """Another value of any field of config.json, or none."""
    content = json.loads(path.read_text(encoding="utf-8"))
    group = rng.choice([content["settings"], content["network"], content])
    name = rng.choice(sorted(group))
    del group[name]
    value = rng.choice([*VALUES, "missing"])
    if value != "missing":
        group[name] = value
    path.write_text(json.dumps(content), encoding="utf-8")


def attack(straight, folder, damage, file, seed):
    """Damage a copy of a run, use it by every command that reads the file, and look at what it says."""
    for command in USES[file]:
        run_dir = folder / "run"
        shutil.rmtree(run_dir, ignore_errors=True)
        shutil.copytree(straight, run_dir)
        damage(run_dir / file, random.Random(seed))
        code, out, err = use(run_dir, command)
        case = f"{damage.__name__} {file} {seed}, {command}: {code} {out} {err}"
        assert code in (0, 2), case
        assert is_one_sentence(err) if code else "nan" not in out and "Traceback" not in err, case


CASES = [(damage, file) for damage in (truncate, flip_a_bit, zeros) for file in USES]
CASES += [(change_an_array, file) for file in ("splits.npz", "checkpoint.npz", "best.npz")]
CASES += [(edit, "config.json")]


@pytest.mark.parametrize("damage, file", CASES)
def test_damage_is_told_or_does_no_harm(damage, file, straight, tmp_path):
    for seed in range(6 if damage is edit else 1):
        attack(straight, tmp_path, damage, file, seed)


@pytest.mark.long
@pytest.mark.parametrize("damage, file", CASES)
def test_damage_is_told_or_does_no_harm_many_times(damage, file, straight, tmp_path):
    for seed in range(100, 400):
        attack(straight, tmp_path, damage, file, seed)


@pytest.mark.parametrize("file", ["checkpoint.npz", "log.jsonl"])
def test_a_damaged_end_costs_at_most_what_the_checkpoint_before_had_not(file, straight, tmp_path):
    """The run ends with the parameters of the straight one, though a file was half written."""
    run_dir = tmp_path / "run"
    shutil.copytree(straight, run_dir)
    content = (run_dir / file).read_bytes()
    (run_dir / file).write_bytes(content[: len(content) * 3 // 4])
    code, _, err = called(train.main, "--run-dir", run_dir, "--resume")
    assert code == 0, err
    with np.load(run_dir / "best.npz") as one, np.load(straight / "best.npz") as two:
        assert all(np.array_equal(one[name], two[name]) for name in two.files)


def test_a_folder_in_the_place_of_the_checkpoint_is_named(straight, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(straight, run_dir)
    (run_dir / "checkpoint.npz").unlink()
    (run_dir / "checkpoint.npz").mkdir()
    code, _, err = called(train.main, "--run-dir", run_dir, "--resume", "--epochs", 3)
    assert code == 2 and is_one_sentence(err) and "checkpoint.npz is a folder: remove it" in err
    (run_dir / "checkpoint.npz").rmdir()
    code, _, err = called(train.main, "--run-dir", run_dir, "--resume", "--epochs", 3)
    assert code == 0, err
