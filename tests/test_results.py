"""docs/results.py: its experiments can be run; and docs/results_page.py: the page says what their files say."""

import argparse
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from cormorant_np.train import build_parser
from cormorant_np.training.settings import new_settings

DOCS = Path(__file__).resolve().parent.parent / "docs"


OTHERS = {"speed", "batching"}
"""Files of results that are not those of an experiment."""


def script(name):
    path = list(sys.path)
    yield runpy.run_path(str(DOCS / name))
    sys.path[:] = path
    sys.modules.pop("results", None)


@pytest.fixture(scope="module")
def results():
    yield from script("results.py")


@pytest.fixture(scope="module")
def page():
    yield from script("results_page.py")


def test_every_experiment_is_a_command_that_train_takes(results):
    for name in results["EXPERIMENTS"]:
        _, *words = results["command"](name, argparse.Namespace(runs="no-such-folder", data_dir="DIR"))
        given = vars(build_parser().parse_args(words))
        del given["run_dir"]
        protocol = given.pop("protocol", None)
        assert new_settings(given, protocol).epochs >= 8, name


def test_a_run_that_has_begun_goes_on(results, tmp_path):
    (tmp_path / "ethanol").mkdir()
    (tmp_path / "ethanol" / "config.json").write_text("{}", encoding="utf-8")
    options = argparse.Namespace(runs=tmp_path, data_dir="DIR")
    assert results["command"]("ethanol", options)[1:] == ["--run-dir", str(tmp_path / "ethanol"), "--resume"]


@pytest.mark.parametrize(
    "there, makes", [([], True), (["gfn2_ethanol"], True), (["gfn2_ethanol", "gfn2_ethanol_test"], False)]
)
def test_a_file_that_is_missing_is_made(results, tmp_path, monkeypatch, there, makes):
    made, called = tmp_path / "with space" / "made", []
    made.mkdir(parents=True)
    for name in there:
        (made / f"{name}.npz").write_bytes(b"")
    monkeypatch.setattr(results["subprocess"], "run", lambda words, **_: called.append(words))
    options = argparse.Namespace(runs=made.parent, data_dir="DIR")
    results["make_files"](results["EXPERIMENTS"]["paper-released-cosine"], options)
    assert [words[2] for words in called] == ["gfn2"] * makes
    assert all(words[-1] == str(made) for words in called)


def test_a_run_is_recorded_with_its_command_errors_and_curves(results, tmp_path):
    sizes = "--num-train 5 --num-valid 2 --num-test 3 --num-channels 2 --num-layers 1 --epochs 1 --seed 3"
    frame = "1\nProperties=species:S:1:pos:R:3 energy={} dihedral_angle={}\nO 0 0 0\n"
    scan = tmp_path / "scan.xyz"
    scan.write_text(frame.format(-2.0, 90) + frame.format(-2.5, 180), encoding="utf-8")
    tiny = results["Experiment"]("tiny", f"--dataset sample {sizes}", curves={"scan": "{data}/scan.xyz"})
    results["EXPERIMENTS"]["tiny"] = tiny
    options = argparse.Namespace(runs=tmp_path, data_dir=tmp_path, threads=1, beside="nothing")
    try:
        record = results["run"]("tiny", options)
        assert results["run"]("tiny", options) == record
    finally:
        del results["EXPERIMENTS"]["tiny"]
    assert record["command"] == f"python -m cormorant_np.train --dataset sample {sizes}"
    assert (record["seed"], record["threads"], record["result"]["num_test"]) == (3, 1, 3)
    scan = record["curves"]["scan"]
    assert (scan["x"], scan["true"], len(scan["predicted"])) == ([90, 180], [-2.0, -2.5], 2)


def test_files_of_results_belong_to_experiments_as_they_are(results):
    files = sorted((DOCS / "results").glob("*.json"))
    assert files
    for path in [path for path in files if path.stem not in OTHERS]:
        record, experiment = json.loads(path.read_text(encoding="utf-8")), results["EXPERIMENTS"][path.stem]
        assert record["command"].endswith(experiment.options.format(data="DIR", made="MADE")), path.stem
        given = vars(build_parser().parse_args(experiment.options.split()))
        protocol = given.pop("protocol", None)
        assert record["result"]["epochs"] == new_settings(given, protocol).epochs, path.stem


def test_the_pages_show_the_files_of_results(page):
    texts = [path.read_text(encoding="utf-8") for path in page["PAGES"]]
    assert sum(text.count("<!-- table") for text in texts) == len(page["TABLES"])
    for text in texts:
        assert page["with_tables"](text, page["records"]()) == text


def test_an_error_is_shown_in_both_units(page):
    assert page["error"](0.0427499, "kcal/mol") == "0.043 (1.9)"
    assert page["error"](0.0010, "eV") == "0.023 (1.0)"


def test_the_slope_is_the_exponent_of_a_power_law(page):
    frames = np.array([50, 100, 950])
    assert page["power_law"](frames, 7 * frames**-0.8) == pytest.approx((-0.8, 7))


def test_the_union_of_splits_has_each_frame_once_and_tests_on_frames_of_its_own(tmp_path):
    """Two splits that share frames, in the ten files that are wanted; energies tell frames apart."""
    frames = runpy.run_path(str(DOCS / "frames.py"))
    (tmp_path / "rmd17").mkdir()
    rng = np.random.default_rng(0)
    for number in range(1, 6):
        for part in ("train", "test"):
            index = rng.choice(3000, 300, replace=False)
            values = {"coords": np.zeros((300, 2, 3)), "forces": np.zeros((300, 2, 3)), "energies": index + 0.5}
            file = tmp_path / "rmd17" / f"rmd17_ethanol_{part}_0{number}.npz"
            np.savez(file, old_indices=index, nuclear_charges=np.array([1, 1]), **values)
    frames["union"](tmp_path, tmp_path)
    train, test = (np.load(tmp_path / f"ethanol_union_{part}.npz") for part in ("train", "test"))
    indices = np.concatenate([train["old_indices"], test["old_indices"]])
    everything = [np.load(file)["old_indices"] for file in (tmp_path / "rmd17").iterdir()]
    assert sorted(indices) == sorted(set(np.concatenate(everything)))
    assert len(test["energies"]) == 600
    assert (np.concatenate([train["energies"], test["energies"]]) == indices + 0.5).all()


def test_the_learning_by_time_adds_up_the_seconds_of_epochs(results):
    epochs = [{"seconds": 30, "valid_force_mae": 2.0}, {"seconds": 60, "valid_force_mae": 1.0}]
    assert results["learning_by_time"](epochs) == {"minutes": [0.5, 1.5], "force_mae": [2.0, 1.0]}
