"""The training loop (section 2): AMSGrad on mini-batches, checkpoints, an exact continuation."""

import dataclasses
import math
import platform
import signal
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cormorant_np import data
from cormorant_np.backend import choose_device, get_array_module, out_of_memory_advice, to_host
from cormorant_np.errors import UserError
from cormorant_np.network.parameters import layout, unflatten
from cormorant_np.training import run_directory
from cormorant_np.training.checkpoint import (
    check_finite,
    check_room_for_run,
    explosion,
    is_finite,
    load_checkpoint,
    save_checkpoint,
    start,
)
from cormorant_np.training.gain import format_table, tune_gain
from cormorant_np.training.optimizer import amsgrad_step
from cormorant_np.training.parallel import loss_and_gradient, workers
from cormorant_np.training.prediction import frame_errors
from cormorant_np.training.problem import epoch_batches, minibatch, mirrored, parts_known_by, prepare, with_force_weight
from cormorant_np.training.reporting import describe, draw_progress, log_line, summary_writer, write_summary

STEPS_BETWEEN_CHECKS = 100
"""Training steps after which the errors are looked at, which waits for a GPU: are they still finite?"""


WRITTEN = ("best.npz", "log.jsonl", "checkpoint.prev.npz", "result.json")
WRITTEN += ("learning_curve.png", "predictions.png", "forces.png")
"""What a run writes once it has begun."""


def train(settings, run_dir, resume=False):
    """Train to the last epoch, or until Ctrl-C or its like; keep the best model; write everything into `run_dir`.

    Parameters
    ----------
    settings : Settings
    run_dir : Path
    resume : go on from the checkpoint in `run_dir`

    Returns
    -------
    bool
        Whether the run has come to its end; False if Ctrl-C has stopped it after a step.

    Raises
    ------
    KeyboardInterrupt
        If another signal has stopped it, or Ctrl-C beyond the steps, as in a validation: what was reached is saved.
    """
    run_dir = Path(run_dir)
    if settings.tensorboard:
        summary_writer()
    settings, problem, state = resumed(settings, run_dir) if resume else begun(settings, run_dir)
    num_steps = steps_of_epoch(problem, settings)
    print(describe(settings, problem, run_dir), flush=True)

    advice = f"start again in another --run-dir with --batch-size {max(1, settings.batch_size // 2)}"
    total, done = settings.epochs * num_steps, state.epoch * num_steps + state.step
    bar = tqdm(total=total, initial=done, unit="step", disable=None, dynamic_ncols=True)
    pool_of_workers, saved = workers(settings.threads, settings.device), time.monotonic()
    try:
        with pool_of_workers as pool, bar, out_of_memory_advice(advice):
            while not has_ended(state, settings):
                with interruptible() as interrupted:
                    for indices in epoch_batches(problem, settings, state.epoch)[state.step :]:
                        state = train_step(state, indices, problem, settings, pool)
                        bar.update()
                        is_due = time.monotonic() - saved > 60 * settings.save_every
                        if interrupted() or is_due:
                            save_checkpoint(run_dir, state, settings, problem.config)
                            saved = time.monotonic()
                        if interrupted():
                            return False
                        if state.step % STEPS_BETWEEN_CHECKS == 0 and not is_finite(state.error_sums):
                            raise explosion(state, run_dir, settings.lr)
                state = end_epoch(state, problem, settings, run_dir, pool)
                saved = time.monotonic()
    except (KeyboardInterrupt, BrokenPipeError):
        save_checkpoint(run_dir, state, settings, problem.config)
        raise
    except Exception:  # such as a worker that was killed
        with suppress(UserError):
            save_checkpoint(run_dir, state, settings, problem.config)
        raise
    return True


def begun(settings, run_dir):
    """Settings, problem and state of a new run, whose directory is made.

    Raises
    ------
    UserError
        If there is a run in it already, or the disk has no room for it.
    """
    check_is_new(run_dir)
    settings = dataclasses.replace(settings, device=choose_device(settings.device))
    problem = prepare(settings)
    settings = with_force_weight(settings, problem.dataset)
    if settings.gain == "auto":
        settings, problem = with_tuned_gain(settings, problem)
    state = start(settings, problem)
    create(run_dir, settings, problem, state)
    return settings, problem, state


def resumed(settings, run_dir):
    """Settings, problem and state of a run that goes on; says what was lost of its files.

    Raises
    ------
    UserError
        If its files are missing or damaged, or it has more epochs already.
    """
    settings = dataclasses.replace(settings, device=choose_device(settings.device))
    problem = prepare(settings, run_directory.read_run(run_dir))
    state, notice = load_checkpoint(run_dir, settings, problem.config)
    num_steps = steps_of_epoch(problem, settings)
    if state.epoch * num_steps + state.step != state.optimizer.step or state.step > num_steps:
        raise UserError(f"The checkpoint in {run_dir} is damaged, or of another run: {run_directory.OTHER}.")
    if state.epoch + (state.step > 0) > settings.epochs:
        done = f"{state.epoch} epochs" + f" and {state.step} steps" * (state.step > 0)
        raise UserError(f"The run in {run_dir} has {done} already: --epochs {settings.epochs} cannot shorten it.")
    check_room_for_run(run_dir, state, problem)
    for said in (notice, run_directory.truncate_log(run_dir / "log.jsonl", state.epoch)):
        if said:
            print(said)
    run_directory.write_settings(run_dir, settings)
    return settings, problem, state


def has_ended(state, settings):
    """Whether all epochs are done, or the validation loss has not fallen for `early_stopping` of them."""
    patience = settings.early_stopping or settings.epochs
    return state.epoch >= settings.epochs or state.epoch - state.best_epoch >= patience


def with_tuned_gain(settings, problem):
    """Settings and problem with the gain that section 1.6's procedure finds on a mini-batch; prints its table."""
    batch, _ = minibatch(problem, epoch_batches(problem, settings, epoch=0)[0])
    host_batch = data.Batch(*(to_host(array) for array in batch))
    gain, table = tune_gain(problem.config, host_batch, np.random.default_rng(settings.seed))
    print(format_table(table))
    print(f"The gain is {gain:.3g}. Training often explodes near it; see docs/instabilities.md before you use it.")
    config = dataclasses.replace(problem.config, gain=gain)
    return dataclasses.replace(settings, gain=gain), problem._replace(config=config)


def learning_rate(settings, step, num_steps):
    """The rate of a step, half a cosine from `lr` at the first one to `lr_final` after the last: not in section 2.

    The paper's rate is constant; the released code's goes from 1e-3 to 1e-5.
    """
    if settings.lr_final is None:
        return settings.lr
    return settings.lr_final + (settings.lr - settings.lr_final) * (1 + math.cos(math.pi * step / num_steps)) / 2


def train_step(state, indices, problem, settings, pool):
    """One mini-batch: forward, backward, AMSGrad."""
    began = time.perf_counter()
    xp, done = get_array_module(state.vector), state.optimizer.step
    batch, targets = minibatch(problem, indices)
    if settings.mirror:
        batch, targets = mirrored(batch, targets, np.random.default_rng([settings.seed, done]))
    side = 1 - 2 * (done % 2)  # the errors of the two sides cancel from step to step
    _, gradient, energies, forces = loss_and_gradient(
        state.vector, batch, targets, problem.config, pool, settings.force_weight, side
    )
    lr = learning_rate(settings, done, settings.epochs * steps_of_epoch(problem, settings))
    vector, optimizer = amsgrad_step(state.vector, gradient, state.optimizer, lr, adam=settings.optimizer == "adam")
    if settings.weight_decay:
        vector = vector - lr * settings.weight_decay * vector
    errors = [xp.abs(energies - targets.energies).sum()]
    if forces is not None:
        errors.append(xp.abs(forces - targets.forces).sum())
    return state._replace(
        vector=vector,
        optimizer=optimizer,
        average=averaged(state.average, vector, settings.ema, done),
        step=state.step + 1,
        error_sums=state.error_sums + xp.stack(errors),
        seconds=state.seconds + time.perf_counter() - began,
    )


def averaged(average, vector, decay, step):
    """The exponential average of the parameters; over the first steps it forgets faster. Without decay, the vector."""
    if not decay:
        return vector
    decay = min(decay, (1 + step) / (10 + step))
    return decay * average + (1 - decay) * vector


def steps_of_epoch(problem, settings):
    """The number of mini-batches of an epoch."""
    return -(-len(problem.splits["train"]) // settings.batch_size)


def end_epoch(state, problem, settings, run_dir, pool):
    """Validate, log, keep the best model, save the checkpoint."""
    began = time.perf_counter()
    params = unflatten(state.average, layout(problem.config))
    errors = training_errors(state, problem)
    check_finite(state, run_dir, settings.lr)
    errors |= validation_errors(params, problem, settings, pool) or {
        "valid_mae": errors["train_mae"],
        "valid_loss": (errors["train_mae"] / problem.scale) ** 2,
    }
    if errors["valid_loss"] < state.best_loss:
        state = state._replace(best_loss=errors["valid_loss"], best_epoch=state.epoch + 1)
        run_directory.save_arrays(run_dir / "best.npz", params)
    row = {"epoch": state.epoch + 1, **errors, "seconds": state.seconds + time.perf_counter() - began}
    run_directory.append_log(run_dir / "log.jsonl", row)
    if settings.tensorboard:
        write_summary(run_dir, row)
    state = state._replace(epoch=state.epoch + 1, step=0, error_sums=state.error_sums * 0, seconds=0.0)
    save_checkpoint(run_dir, state, settings, problem.config)
    tqdm.write(log_line(row, settings.epochs, problem.dataset.unit))
    draw_progress(run_dir, problem, settings)
    return state


def training_errors(state, problem):
    """Mean absolute errors of the present epoch's training molecules, each from the step in which it was used."""
    indices = problem.splits["train"]
    energy, *force = (to_host(state.error_sums).astype(np.float64) * problem.scale).tolist()
    errors = {"train_mae": energy / len(indices)}
    if force:
        errors["train_force_mae"] = force[0] / (3 * int(problem.num_atoms[indices].sum()))
    return errors


def validation_errors(params, problem, settings, pool):
    """Mean absolute errors of the validation molecules, and their loss; empty if there are none."""
    indices = problem.splits["valid"]
    if not len(indices):
        return {}
    energies, forces = frame_errors(params, problem, indices, pool, settings.force_weight > 0)
    errors = {"valid_mae": float(np.abs(energies).mean())}
    loss = np.mean((energies / problem.scale) ** 2)
    if forces is not None:
        errors["valid_force_mae"] = float(np.abs(forces).mean())
        loss += settings.force_weight * np.mean((forces / problem.scale) ** 2)
    return errors | {"valid_loss": float(loss)}


def check_is_new(run_dir):
    """A `UserError` if there is a run in a directory already, or anything that a run would write over.

    Splits and a checkpoint alone are what a start leaves behind that has failed.
    """
    if (run_dir / "config.json").exists():
        raise UserError(f"There is a run in {run_dir} already: add --resume to go on, or choose another --run-dir.")
    for name in WRITTEN:
        if (run_dir / name).exists():
            raise UserError(f"{run_dir} has a {name}, but no config.json: choose another --run-dir.")
    if (run_dir / "splits.npz").exists():
        run_directory.read_splits(run_dir)
    elif (run_dir / "checkpoint.npz").exists():
        raise UserError(f"{run_dir} has a checkpoint.npz, but no splits.npz: choose another --run-dir.")


def create(run_dir, settings, problem, state):
    """Make the run directory, with its splits, first checkpoint and, when there is no way back, settings.

    Raises
    ------
    UserError
        If there is a run in it already, it cannot be written, or there is no room for it.
    """
    check_is_new(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    check_room_for_run(run_dir, state, problem)
    (run_dir / "checkpoint.npz").unlink(missing_ok=True)  # of a start that failed
    content = {
        "settings": dataclasses.asdict(settings),
        "network": dataclasses.asdict(problem.config),
        "mean": problem.mean,
        "scale": problem.scale,
        "parts": parts_known_by(problem.dataset, problem.splits),
        "references": problem.references,
        "unit": problem.dataset.unit,
        "theory": problem.dataset.theory,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    run_directory.save_arrays(run_dir / "splits.npz", problem.splits)
    save_checkpoint(run_dir, state, settings, problem.config)
    run_directory.write_json(run_dir / "config.json", content)


@contextmanager
def interruptible():
    """Gives a function that tells whether Ctrl-C was pressed; a second Ctrl-C ends the program at once.

    In another thread than the main one, which gets all signals, it never was.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = []

    def handle(signum, frame):
        pressed.append(signum)
        signal.signal(signal.SIGINT, previous)
        tqdm.write("Stopping after this step; press Ctrl-C again to stop at once.")

    previous = signal.signal(signal.SIGINT, handle) or signal.default_int_handler
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, previous)
