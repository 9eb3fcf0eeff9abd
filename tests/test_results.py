"""docs/results.py: its experiments can be run, and docs/results.md says what the files of results say."""

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


@pytest.fixture(scope="module")
def results():
    path = list(sys.path)
    yield runpy.run_path(str(DOCS / "results.py"))
    sys.path[:] = path


def test_every_experiment_is_a_command_that_train_takes(results):
    for name in results["EXPERIMENTS"]:
        _, *words = results["command"](name, "DIR", "no-such-folder")
        given = vars(build_parser().parse_args(words))
        assert new_settings({key: value for key, value in given.items() if key != "run_dir"}).epochs >= 15, name


def test_a_run_that_has_begun_goes_on(results, tmp_path):
    (tmp_path / "ethanol").mkdir()
    (tmp_path / "ethanol" / "config.json").write_text("{}", encoding="utf-8")
    assert results["command"]("ethanol", "DIR", tmp_path)[1:] == ["--run-dir", str(tmp_path / "ethanol"), "--resume"]


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
    for path in files:
        record, experiment = json.loads(path.read_text(encoding="utf-8")), results["EXPERIMENTS"][path.stem]
        assert record["command"].endswith(experiment.options.format(data="DIR")), path.stem
        given = vars(build_parser().parse_args(experiment.options.split()))
        assert record["result"]["epochs"] == new_settings(given).epochs, path.stem


def test_the_page_shows_the_files_of_results(results):
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    assert text.count("<!-- table") == len(results["TABLES"])
    assert results["with_tables"](text, results["records"]()) == text


def test_an_error_is_shown_in_both_units(results):
    assert results["error"](0.0427499, "kcal/mol") == "0.043 (1.9)"
    assert results["error"](0.0010, "eV") == "0.023 (1.0)"


def test_the_slope_is_the_exponent_of_a_power_law(results):
    frames = np.array([50, 100, 950])
    assert results["slope"](frames, 7 * frames**-0.8) == pytest.approx(-0.8)
