"""The commands as a user types them, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RMD17 = ROOT.parent / "shared" / "data" / "rmd17"
TINY = "--num-train 20 --num-valid 5 --num-test 5 --epochs 1 --num-channels 2 --num-layers 1 --l-max 1".split()


def run(command, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", f"cormorant_np.{command}", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def assert_one_sentence(result, *words):
    """Exit code 2, no traceback, one line on stderr with the words in it."""
    assert result.returncode == 2
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    for word in words:
        assert word in lines[0]


def test_the_lines_of_python_in_the_readme_run():
    """In a process of its own, since a reader starts from nothing."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def test_train_evaluate_and_resume(tmp_path):
    trained = run("train", *TINY, "--run-dir", tmp_path / "run")
    assert trained.returncode == 0, trained.stderr
    assert "epoch 1/1" in trained.stdout and "kcal/mol" in trained.stdout and "meV" in trained.stdout
    assert "--dataset md17" in trained.stdout

    evaluated = run("evaluate", "--run-dir", tmp_path / "run", "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert {"energy_mae", "energy_rmse", "force_mae", "force_rmse"} <= json.loads(evaluated.stdout).keys()

    longer = run("train", "--run-dir", tmp_path / "run", "--resume", "--epochs", 2)
    assert longer.returncode == 0, longer.stderr
    assert "epoch 2/2" in longer.stdout and "epoch 1/" not in longer.stdout

    again = run("train", *TINY, "--run-dir", tmp_path / "run")
    assert_one_sentence(again, "--resume")
    changed = run("train", "--run-dir", tmp_path / "run", "--resume", "--seed", 1)
    assert_one_sentence(changed, "--seed")


@pytest.mark.skipif(not RMD17.exists(), reason="the rMD17 files are not beside this clone")
def test_training_on_rmd17(tmp_path):
    result = run("train", "--dataset", "rmd17", "--data-dir", RMD17, *TINY, "--run-dir", tmp_path)
    assert result.returncode == 0, result.stderr


def test_without_network_one_sentence_says_what_to_do(tmp_path):
    offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    result = run("train", "--dataset", "md17", "--data-dir", tmp_path, "--run-dir", tmp_path / "run", **offline)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    message = result.stderr.strip().splitlines()[-1]
    for words in ("md17_ethanol.npz", str(tmp_path), "--data-dir", "--dataset sample"):
        assert words in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["train", "--epochs", "0"], ["--epochs"]),
        (["train", "--gain", "-1"], ["--gain", "-1"]),
        (["train", "--num-train", "100000"], ["5000"]),
        (["train", "--dataset", "md17", "--molecule", "water"], ["water", "ethanol"]),
        (["train", "--dataset", "md17", "--rmd17-split", "2"], ["--rmd17-split"]),
        (["train", "--data-file", "nowhere.npz"], ["nowhere.npz"]),
        (["train", "--resume", "--run-dir", "nowhere"], ["nowhere"]),
        (["evaluate", "--run-dir", "nowhere"], ["nowhere"]),
    ],
)
def test_a_mistake_is_answered_with_one_sentence(arguments, words, tmp_path):
    arguments = arguments if "--run-dir" in arguments else [*arguments, "--run-dir", tmp_path / "run"]
    assert_one_sentence(run(*arguments), *words)


def test_the_benchmark_prints_one_json_object():
    result = run("benchmark", "--json", "--batch-size", 2, "--num-channels", 2, "--l-max", 1, "--repeats", 1)
    assert result.returncode == 0, result.stderr
    numbers = json.loads(result.stdout)
    assert {"step_ms", "parts_ms_one_thread", "threads", "numpy", "machine"} <= numbers.keys()
    idle = {part for part, (_, backward) in numbers["parts_ms_one_thread"].items() if not backward > 0}
    assert idle == {"geometry", "ordered harmonics"}  # training needs no gradient by the positions
    assert numbers["qm9_step_ms"] > 0 and 0 < numbers["qm9_padding"] < 0.4


def test_the_benchmark_compares_itself_with_a_command():
    tiny = ["--batch-size", 2, "--num-channels", 2, "--l-max", 1, "--repeats", 1]
    result = run("benchmark", "--vs", "echo '{\"step_ms\": 1000}'", *tiny)
    assert json.loads(result.stdout)["vs_step_ms"] == 1000
    assert_one_sentence(run("benchmark", "--vs", "echo nothing", *tiny), "step_ms", "nothing")


def test_predicting_molecules_of_an_xyz_file(tmp_path):
    """Energies of two molecules in one file are those of each alone; forces are the right number of rows."""
    trained = run("train", *TINY, "--dataset", "qm9-sample", "--num-layers", 2, "--run-dir", tmp_path / "run")
    assert trained.returncode == 0, trained.stderr
    water = "3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"
    hydrogen = "2\n\nH 0 0 0\nH 0.74 0 0\n"
    energies = {}
    for name, text in {"water": water, "hydrogen": hydrogen, "both": water + hydrogen}.items():
        (tmp_path / f"{name}.xyz").write_text(text, encoding="utf-8")
        result = run("predict", "--run-dir", tmp_path / "run", "--forces", tmp_path / f"{name}.xyz")
        assert result.returncode == 0, result.stderr
        lines = result.stdout.splitlines()
        energies[name] = [float(line.split("energy=")[1].split()[0]) for line in lines if "=" in line]
        atoms = [line.split() for line in lines if line[0] in "OH"]
        assert all(len(words) == 7 for words in atoms)
    assert energies["both"] == pytest.approx(energies["water"] + energies["hydrogen"], rel=1e-6)

    (tmp_path / "gold.xyz").write_text("1\n\nAu 0 0 0\n", encoding="utf-8")
    assert run("predict", "--run-dir", tmp_path / "run", tmp_path / "gold.xyz").returncode == 2
    (tmp_path / "iron.xyz").write_text("1\n\nFe 0 0 0\n", encoding="utf-8")
    assert_one_sentence(run("predict", "--run-dir", tmp_path / "run", tmp_path / "iron.xyz"), "Fe", "H, C, N, O, F")
