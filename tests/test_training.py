"""The training loop: it learns, it can be interrupted, and it never loses work."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import assert_same_bits, press_ctrl_c_after

from cormorant_np import data
from cormorant_np.errors import UserError
from cormorant_np.model import features, forward, init_params
from cormorant_np.training import loop, run_directory
from cormorant_np.training.loop import train, train_step
from cormorant_np.training.problem import minibatch, prepare
from cormorant_np.training.results import load_run, run_errors, summarise
from cormorant_np.training.settings import Settings

TINY = Settings(
    num_train=30, num_valid=10, num_test=10, epochs=3, batch_size=10, num_channels=2, num_layers=2, l_max=1, threads=2
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("finished")
    assert train(TINY, run_dir)
    summarise(run_dir)
    return run_dir


@pytest.mark.parametrize("num_steps", [1, 3, 5])
def test_an_interrupted_and_resumed_run_ends_bit_for_bit_like_the_whole_one(finished, tmp_path, monkeypatch, num_steps):
    with monkeypatch.context() as context:
        press_ctrl_c_after(context, num_steps)
        assert not train(TINY, tmp_path)
    assert train(TINY, tmp_path, resume=True)
    assert_same_bits(tmp_path, finished)


def test_whatever_ends_a_run_its_steps_are_saved(finished, tmp_path, monkeypatch):
    left = [1, 1, 1, 1]

    def step_that_fails_at_the_end(*arguments):
        left.pop()
        return train_step(*arguments)

    with monkeypatch.context() as context:
        context.setattr(loop, "train_step", step_that_fails_at_the_end)
        with pytest.raises(IndexError):
            train(TINY, tmp_path)
    assert run_directory.load_arrays(tmp_path / "checkpoint.npz")["optimizer.step"] == 4
    assert train(TINY, tmp_path, resume=True)
    assert_same_bits(tmp_path, finished)


def test_a_finished_run_goes_on_to_more_epochs_as_if_it_had_been_started_with_them(tmp_path):
    shorter, longer = tmp_path / "shorter", tmp_path / "longer"
    train(dataclasses.replace(TINY, epochs=1), shorter)
    train(dataclasses.replace(TINY, epochs=2), shorter, resume=True)
    train(dataclasses.replace(TINY, epochs=2), longer)
    a, b = (run_directory.load_arrays(run / "checkpoint.npz") for run in (shorter, longer))
    assert all(np.array_equal(a[key], b[key]) for key in a)


def test_a_log_line_without_its_checkpoint_is_written_again_and_not_twice(finished, tmp_path):
    train(dataclasses.replace(TINY, epochs=1), tmp_path)
    run_directory.append_log(tmp_path / "log.jsonl", {"epoch": 2, "train_mae": 0.0, "valid_mae": 0.0, "seconds": 0.0})
    train(TINY, tmp_path, resume=True)
    assert [row["epoch"] for row in run_directory.read_log(tmp_path / "log.jsonl")] == [1, 2, 3]


def test_training_beats_predicting_the_mean(tmp_path):
    settings = Settings(
        num_train=200, num_valid=20, num_test=100, epochs=25, num_channels=4, num_layers=2, l_max=2, lr=5e-3
    )
    train(settings, tmp_path)
    result = summarise(tmp_path)
    assert result["test_mae"] < 0.8 * result["baseline_mae"]


def test_the_run_directory_holds_what_the_documentation_says(finished):
    assert {path.name for path in finished.iterdir()} == {
        "config.json",
        "splits.npz",
        "log.jsonl",
        "checkpoint.npz",
        "checkpoint.prev.npz",
        "best.npz",
        "result.json",
        "learning_curve.png",
        "predictions.png",
        "forces.png",
    }
    for row in run_directory.read_log(finished / "log.jsonl"):
        assert {"epoch", "train_mae", "valid_mae", "seconds"} <= row.keys()
    result = json.loads((finished / "result.json").read_text(encoding="utf-8"))
    assert {"test_mae", "baseline_mae", "unit"} <= result.keys()


def test_the_best_model_is_the_one_with_the_smallest_validation_loss(finished):
    log = run_directory.read_log(finished / "log.jsonl")
    result = json.loads((finished / "result.json").read_text(encoding="utf-8"))
    assert result["valid_mae"] == min(log, key=lambda row: row["valid_loss"])["valid_mae"]
    errors = run_errors(finished, "valid")
    assert errors["energy_mae"] == pytest.approx(result["valid_mae"], rel=1e-5)


def test_the_baseline_is_the_error_of_the_training_mean(finished):
    dataset = data.load("sample")
    splits = run_directory.load_arrays(finished / "splits.npz")
    train_energies, test_energies = (dataset.energies[splits[part]] for part in ("train", "test"))
    expected = np.mean([abs(e - np.mean(train_energies)) for e in test_energies])
    assert json.loads((finished / "result.json").read_text(encoding="utf-8"))["baseline_mae"] == pytest.approx(expected)


def test_evaluated_forces_are_minus_the_slope_of_the_energy(finished):
    """Force errors of `evaluate`, against forces by finite differences of the trained network's energy in float64."""
    _, problem, params = load_run(finished, dtype="float64")
    params = {name: p.astype(np.result_type(p.dtype, np.float64)) for name, p in params.items()}
    indices = problem.splits["test"][:2]
    batch, _ = minibatch(problem, indices)
    numeric, step = np.empty_like(batch.positions), 1e-4
    for atom, axis in np.ndindex(batch.positions.shape[1:]):
        shift = np.zeros_like(batch.positions)
        shift[:, atom, axis] = step
        plus, minus = (
            forward(params, batch._replace(positions=batch.positions + sign * shift), problem.config)[0]
            for sign in (1, -1)
        )
        numeric[:, atom, axis] = -(plus - minus) / (2 * step) * problem.scale
    splits = run_directory.load_arrays(finished / "splits.npz")
    error = np.abs(numeric - problem.dataset.forces[indices]).mean()
    two = finished.parent / "two"
    two.mkdir()
    for path in finished.iterdir():
        (two / path.name).write_bytes(path.read_bytes())
    run_directory.save_arrays(two / "splits.npz", splits | {"test": indices})
    config = run_directory.read_json(two / "config.json")
    del config["parts"]  # as in a run of an older version, which does not know its molecules
    run_directory.write_json(two / "config.json", config)
    assert run_errors(two)["force_mae"] == pytest.approx(error, rel=1e-4)


def test_energies_are_centred_before_they_lose_digits(tmp_path):
    """Energies near -4e5 kcal/mol that differ by 1e-3: float32 has steps of 0.03 there."""
    rng = np.random.default_rng(0)
    energies = -4e5 + 1e-3 * rng.standard_normal(20)
    path = tmp_path / "far.npz"
    np.savez(path, E=energies[:, None], R=rng.standard_normal((20, 2, 3)) + [[0, 0, 0], [5, 0, 0]], z=[1, 8])
    settings = dataclasses.replace(TINY, dataset="md17", data_file=str(path), num_train=15, num_valid=2, num_test=3)
    problem = prepare(settings)
    predicted = problem.targets.energies * problem.scale + (problem.mean + 4e5)
    np.testing.assert_allclose(predicted, energies + 4e5, atol=1e-9)


def test_the_gain_of_section_1_6_makes_activations_of_order_one_and_is_kept_in_the_run(tmp_path, capsys):
    train(dataclasses.replace(TINY, gain="auto", epochs=1), tmp_path)
    gain = run_directory.read_settings(tmp_path).gain
    assert f"{gain:.3g}" in capsys.readouterr().out
    _, problem, _ = load_run(tmp_path)
    assert problem.config.gain == gain
    params = init_params(problem.config, np.random.default_rng(0), np.float64)
    batch, _ = minibatch(problem, problem.splits["train"])
    means = [np.abs(f).mean() for f in features(params, batch, problem.config)]
    assert 0.3 < np.exp(np.mean(np.log(means))) < 3


def test_an_existing_run_is_not_overwritten(finished):
    before = (finished / "checkpoint.npz").read_bytes()
    with pytest.raises(UserError, match="--resume"):
        train(TINY, finished)
    assert (finished / "checkpoint.npz").read_bytes() == before


def test_a_damaged_checkpoint_is_named(tmp_path):
    train(dataclasses.replace(TINY, epochs=1), tmp_path)
    for name in ("checkpoint.npz", "checkpoint.prev.npz"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"checkpoint.npz is damaged"):
        train(TINY, tmp_path, resume=True)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_that_explodes_says_so_and_keeps_its_last_good_checkpoint(tmp_path, threads):
    with pytest.raises(UserError, match=r"section 2\.1"):
        train(dataclasses.replace(TINY, lr=1e4, threads=threads), tmp_path)
    checkpoint = run_directory.load_arrays(tmp_path / "checkpoint.npz")
    assert all(np.isfinite(array).all() for name, array in checkpoint.items() if not name.startswith("progress."))


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"batch_size": 0}, {"lr": 0.0}, {"threads": -1}])
def test_settings_without_sense_are_refused(bad):
    with pytest.raises(UserError, match="--"):
        dataclasses.replace(TINY, **bad)


def test_training_in_another_thread_and_on_whatever_device_works(tmp_path):
    settings = dataclasses.replace(TINY, epochs=1, threads=1, device="auto")
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, settings, tmp_path).result()
    assert run_directory.read_settings(tmp_path).device in ("cpu", "gpu")
