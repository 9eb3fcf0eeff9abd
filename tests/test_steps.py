"""What training does with its settings, step by step, against loops in Python's numbers."""

import math

import numpy as np
import pytest

from cormorant_np.network.parameters import size
from cormorant_np.training import loop, run_directory
from cormorant_np.training.parallel import alone
from cormorant_np.training.prediction import frame_errors
from cormorant_np.training.problem import epoch_batches, minibatch, prepare
from cormorant_np.training.results import mae_and_rmse
from cormorant_np.training.settings import RELEASED, Settings, new_settings

SETTINGS = {
    "num_train": 25,
    "num_valid": 10,
    "num_test": 10,
    "epochs": 2,
    "batch_size": 10,
    "num_channels": 2,
    "num_layers": 1,
    "l_max": 1,
    "dtype": "float64",
    "threads": 1,
}


@pytest.fixture(scope="module")
def problem():
    return prepare(Settings(**SETTINGS, force_weight=1.0))


def all_steps(state, problem, settings, pool):
    """The state after every step of every epoch."""
    for epoch in range(settings.epochs):
        for indices in epoch_batches(problem, settings, epoch):
            state = loop.train_step(state, indices, problem, settings, pool)
            yield state
        state = state._replace(epoch=epoch + 1, step=0)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"optimizer": "adam"},
        {"lr_final": 1e-4},
        {"weight_decay": 0.3},
        {"ema": 0.9, "lr_final": 1e-3, "weight_decay": 0.1},
    ],
    ids=str,
)
def test_steps_are_those_of_the_optimiser_the_rate_the_decay_and_the_average(problem, more, monkeypatch):
    """With made-up gradients that shrink, so that AMSGrad and Adam part; six steps, in two epochs."""
    settings = Settings(**SETTINGS, lr=1e-2, **more)
    number, rng = size(problem.config), np.random.default_rng(0)
    gradients = iter(gradients_given := [rng.standard_normal(number) * 10.0 ** (-k) for k in range(6)])

    def made_up(vector, batch, targets, *_):
        return 0.0, next(gradients), targets.energies, None

    monkeypatch.setattr(loop, "loss_and_gradient", made_up)
    state = loop.start(settings, problem)
    state = state._replace(error_sums=state.error_sums[:1])
    theta, average, m, v, v_max = state.vector[0], state.vector[0], 0.0, 0.0, 0.0
    with alone() as pool:
        for t, after in enumerate(all_steps(state, problem, settings, pool), start=1):
            g = gradients_given[t - 1][0]
            lr, last = settings.lr, settings.lr_final
            rate = lr if last is None else last + (lr - last) * (1 + math.cos(math.pi * (t - 1) / 6)) / 2
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            v_max = max(v_max, v)
            chosen = v if settings.optimizer == "adam" else v_max
            theta -= rate * (m / (1 - 0.9**t)) / (math.sqrt(chosen / (1 - 0.999**t)) + 1e-8)
            theta -= rate * settings.weight_decay * theta
            decay = min(settings.ema, t / (9 + t)) if settings.ema else 0
            average = decay * average + (1 - decay) * theta
            assert after.vector[0] == pytest.approx(theta, rel=1e-12)
            assert after.average[0] == pytest.approx(average, rel=1e-12)
    assert t == 6


@pytest.mark.parametrize("mirror", [False, True])
def test_sides_of_the_displacement_alternate_and_molecules_are_mirrored_at_random(problem, mirror, monkeypatch):
    settings = Settings(**SETTINGS, force_weight=1.0, mirror=mirror)
    seen = []

    def watched(vector, batch, targets, config, pool, force_weight, side):
        seen.append((batch, targets, side))
        return 0.0, np.zeros_like(vector), targets.energies, targets.forces

    monkeypatch.setattr(loop, "loss_and_gradient", watched)
    with alone() as pool:
        list(all_steps(loop.start(settings, problem), problem, settings, pool))
    assert [side for *_, side in seen] == [1, -1, 1, -1, 1, -1]
    every = [indices for epoch in (0, 1) for indices in epoch_batches(problem, settings, epoch)]
    signs = []
    for indices, (batch, targets, _) in zip(every, seen, strict=True):
        own, own_targets = minibatch(problem, indices)
        of_molecules = (batch.positions / own.positions)[:, 0, 0]
        np.testing.assert_allclose(batch.positions, of_molecules[:, None, None] * own.positions)
        np.testing.assert_allclose(targets.forces, of_molecules[:, None, None] * own_targets.forces)
        signs += of_molecules.round(9).tolist()
    assert set(signs) == ({-1, 1} if mirror else {1})


def test_epochs_have_all_molecules_once_each_in_another_order(problem):
    settings = Settings(**SETTINGS)
    first, second = (np.concatenate(epoch_batches(problem, settings, epoch)) for epoch in (0, 1))
    for order in (first, second):
        assert sorted(order.tolist()) == sorted(problem.splits["train"].tolist())
    assert (first != second).any()


def test_the_best_model_is_that_of_the_smallest_validation_loss(problem, monkeypatch, tmp_path):
    settings, losses = Settings(**SETTINGS), iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(loop, "validation_errors", lambda *_: {"valid_mae": 0.0, "valid_loss": next(losses)})
    state = loop.start(settings, problem)
    loop.create(tmp_path, settings, problem, state)
    with alone() as pool:
        for epoch in (1, 2, 3):
            state = loop.end_epoch(state._replace(average=state.vector + epoch), problem, settings, tmp_path, pool)
    assert (state.best_loss, state.best_epoch, state.epoch) == (1.0, 2, 3)
    best = run_directory.load_arrays(tmp_path / "best.npz")
    assert best["output.weight"][0] == pytest.approx(
        loop.unflatten(state.vector + 2, loop.layout(problem.config))["output.weight"][0]
    )


@pytest.mark.parametrize("force_weight", [0.0, 1.0])
def test_logged_errors_of_the_training_are_those_of_its_molecules(problem, force_weight, tmp_path):
    """At a rate that changes nothing."""
    settings = Settings(**{**SETTINGS, "epochs": 1}, force_weight=force_weight, lr=1e-12)
    loop.train(settings, tmp_path)
    (row,) = run_directory.read_log(tmp_path / "log.jsonl")
    params = run_directory.load_arrays(tmp_path / "best.npz")
    with alone() as pool:
        energies, forces = frame_errors(params, problem, problem.splits["train"], pool, forces=True)
    assert row["train_mae"] == pytest.approx(mae_and_rmse("", energies)["_mae"], rel=1e-6)
    if force_weight:
        assert row["train_force_mae"] == pytest.approx(mae_and_rmse("", forces)["_mae"], rel=1e-6)


def test_the_released_codes_rate():
    assert (RELEASED["lr"], RELEASED["lr_final"], RELEASED["epochs"]) == (1e-3, 1e-5, 255)
    assert new_settings({"convention": "released"}, "paper").lr_final == 1e-5
