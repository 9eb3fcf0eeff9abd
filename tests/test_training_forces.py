"""Runs that learn forces: they learn them, can be interrupted, and say what they reached."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import assert_same_bits, press_ctrl_c_after

from cormorant_np.errors import UserError
from cormorant_np.training import run_directory
from cormorant_np.training.loop import averaged, has_ended, learning_rate, start, train
from cormorant_np.training.problem import minibatch, mirrored, prepare
from cormorant_np.training.results import run_errors, summarise
from cormorant_np.training.settings import FORCES, PAPER, RELEASED, Settings, new_settings

TINY = Settings(
    num_train=30,
    num_valid=10,
    num_test=10,
    epochs=3,
    batch_size=10,
    num_channels=2,
    num_layers=2,
    l_max=1,
    threads=2,
    force_weight=0.5,
    lr=1e-3,
    lr_final=1e-5,
    mirror=True,
    ema=0.9,
    weight_decay=0.1,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("finished")
    assert train(TINY, run_dir)
    summarise(run_dir)
    return run_dir


def test_an_interrupted_and_resumed_run_ends_bit_for_bit_like_the_whole_one(finished, tmp_path, monkeypatch):
    with monkeypatch.context() as context:
        press_ctrl_c_after(context, 5)
        assert not train(TINY, tmp_path)
    assert train(TINY, tmp_path, resume=True)
    assert_same_bits(tmp_path, finished)


def test_errors_of_forces_are_logged_and_tested_and_drawn(finished):
    rows = run_directory.read_log(finished / "log.jsonl")
    for row in rows:
        assert {"train_mae", "train_force_mae", "valid_mae", "valid_force_mae", "valid_loss"} <= row.keys()
    result = json.loads((finished / "result.json").read_text(encoding="utf-8"))
    assert result["best_epoch"] == min(rows, key=lambda row: row["valid_loss"])["epoch"]
    assert (finished / "forces.png").stat().st_size > 1000
    errors = run_errors(finished)
    assert errors["force_mae"] == pytest.approx(result["test_force_mae"])
    best = rows[result["best_epoch"] - 1]
    valid = run_errors(finished, "valid")
    assert valid["force_mae"] == pytest.approx(best["valid_force_mae"], rel=1e-5)
    scale = run_directory.read_json(finished / "config.json")["scale"]
    loss = (valid["energy_rmse"] ** 2 + TINY.force_weight * valid["force_rmse"] ** 2) / scale**2
    assert best["valid_loss"] == pytest.approx(loss, rel=1e-5)


def test_forces_are_learned(tmp_path):
    """A few hundred steps of a small network halve the error of predicting no force at all."""
    settings = dataclasses.replace(
        TINY, num_train=200, epochs=15, batch_size=5, num_channels=4, l_max=2, lr=5e-3, ema=0.0, weight_decay=0.0
    )
    train(settings, tmp_path)
    problem = prepare(settings)
    forces = problem.dataset.forces[problem.splits["test"]]
    assert run_errors(tmp_path)["force_mae"] < 0.5 * np.abs(forces).mean()


def test_the_learning_rate_falls_by_half_a_cosine():
    settings = dataclasses.replace(TINY, lr=1e-3, lr_final=1e-5)
    rates = [learning_rate(settings, step, 100) for step in range(101)]
    assert rates[0] == 1e-3 and rates[100] == pytest.approx(1e-5) and rates[50] == pytest.approx((1e-3 + 1e-5) / 2)
    assert (np.diff(rates) < 0).all()
    assert learning_rate(dataclasses.replace(settings, lr_final=None), 70, 100) == 1e-3


def test_mirror_images_have_the_other_hand_and_mirrored_forces():
    problem = prepare(TINY)
    batch, targets = minibatch(problem, problem.splits["train"])
    other, other_targets = mirrored(batch, targets, np.random.default_rng(0))
    signs = np.sign((other.positions * batch.positions).sum(axis=(1, 2)))
    assert {-1, 1} == set(signs.tolist())
    for k, sign in enumerate(signs):
        np.testing.assert_array_equal(other.positions[k], sign * batch.positions[k])
        np.testing.assert_array_equal(other_targets.forces[k], sign * targets.forces[k])
    np.testing.assert_array_equal(other_targets.energies, targets.energies)


def test_the_average_follows_the_parameters_and_forgets_the_start():
    vector = np.ones(3)
    average = np.zeros(3)
    for step in range(1000):
        average = averaged(average, vector, 0.99, step)
    np.testing.assert_allclose(average, 1, atol=1e-4)
    assert averaged(average, vector, 0, 5) is vector
    np.testing.assert_allclose(averaged(np.zeros(3), vector, 0.99, 10**6), 0.01)


def test_a_run_ends_early_when_its_validation_loss_no_longer_falls():
    settings = dataclasses.replace(TINY, epochs=10, early_stopping=3)
    state = start(settings, prepare(settings))
    assert not has_ended(state._replace(epoch=4, best_epoch=2), settings)
    assert has_ended(state._replace(epoch=5, best_epoch=2), settings)
    assert not has_ended(state._replace(epoch=9, best_epoch=1), dataclasses.replace(settings, early_stopping=0))


def test_data_without_forces_are_refused_where_forces_shall_be_learned(tmp_path):
    rng = np.random.default_rng(0)
    positions = rng.standard_normal((20, 2, 3)) + [[0, 0, 0], [5, 0, 0]]
    np.savez(tmp_path / "own.npz", E=rng.standard_normal(20), R=positions, z=[1, 8])
    settings = dataclasses.replace(TINY, dataset="file", data_file=str(tmp_path / "own.npz"), num_train=None)
    settings = dataclasses.replace(settings, num_valid=None, num_test=None)
    with pytest.raises(UserError, match=r"own has no forces.*--force-weight 0"):
        prepare(settings)
    assert prepare(dataclasses.replace(settings, force_weight=None)).targets.forces is None


def test_every_data_set_has_its_protocol_and_the_paper_is_one_option_away():
    assert {name: getattr(new_settings({}), name) for name in ("lr", "force_weight", "mirror")} == {
        "lr": 2e-3,
        "force_weight": 1.0,
        "mirror": True,
    }
    for dataset in ("sample", "rmd17", "md17"):
        paper = new_settings({"dataset": dataset}, "paper")
        assert {name: getattr(paper, name) for name in PAPER} == PAPER and paper.force_weight == 0
    assert new_settings({"dataset": "md17"}).force_weight == 0 and new_settings({"dataset": "md17"}).epochs == 512
    assert new_settings({"dataset": "md17"}, "forces").force_weight == FORCES["force_weight"]
    assert new_settings({"dataset": "md17", "lr": 1e-3}).lr_final is None
    assert new_settings({"dataset": "qm9"}, "paper").epochs == 256
    for dataset in ("md17", "qm9"):
        released = new_settings({"dataset": dataset, "convention": "released"})
        assert {name: getattr(released, name) for name in RELEASED} == RELEASED
    released = new_settings({"convention": "released"}, "paper")
    assert {name: getattr(released, name) for name in RELEASED} == RELEASED
