"""The training loop (section 2): AMSGrad on mini-batches, checkpoints, an exact continuation."""

import dataclasses
import math
import platform
import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from cormorant_np import data
from cormorant_np.backend import get_array_module, out_of_memory_advice, to_device, to_host
from cormorant_np.errors import UserError
from cormorant_np.network.parameters import flatten, init_params, layout, unflatten
from cormorant_np.training import run_directory
from cormorant_np.training.gain import format_table, tune_gain
from cormorant_np.training.optimizer import State, amsgrad_step, init_state
from cormorant_np.training.parallel import loss_and_gradient, workers
from cormorant_np.training.prediction import frame_errors
from cormorant_np.training.problem import epoch_batches, minibatch, mirrored, prepare, with_force_weight
from cormorant_np.training.reporting import describe, log_line


class RunState(NamedTuple):
    """Where a run stands, all that its continuation needs.

    vector, optimizer : the parameters, flattened, and the optimiser's `State`
    epoch, step : finished epochs, and finished steps in the present one
    average : the averaged parameters, see `averaged`
    error_sums : Σ |error| of the present epoch's energies and, if they are learned, force components, so far; scaled
        like the targets, on the device
    seconds : time spent in the present epoch
    best_loss, best_epoch : the smallest validation loss so far, and after how many epochs it was
    """

    vector: np.ndarray
    optimizer: State
    average: np.ndarray
    epoch: int
    step: int
    error_sums: np.ndarray
    seconds: float
    best_loss: float
    best_epoch: int


def start(settings, problem):
    """The state before the first step."""
    params = init_params(problem.config, np.random.default_rng(settings.seed), np.dtype(settings.dtype))
    vector = to_device(flatten(params), settings.device)
    zeros = get_array_module(vector).zeros(2 if settings.force_weight else 1, dtype=vector.dtype)
    return RunState(vector, init_state(vector), vector, 0, 0, zeros, 0.0, np.inf, 0)


def train(settings, run_dir, resume=False):
    """Train to the last epoch, or until Ctrl-C; test the best model; write everything into `run_dir`.

    Parameters
    ----------
    settings : Settings
    run_dir : Path
    resume : go on from the checkpoint in `run_dir`

    Returns
    -------
    bool
        Whether the run has come to its end; False if it was interrupted, and can be resumed.
    """
    run_dir = Path(run_dir)
    if resume:
        problem = prepare(settings, run_directory.read_run(run_dir))
        state = load_checkpoint(run_dir, settings.device)
        run_directory.truncate_log(run_dir / "log.jsonl", state.epoch)
        run_directory.write_settings(run_dir, settings)
    else:
        problem = prepare(settings)
        settings = with_force_weight(settings, problem.dataset)
        if settings.gain == "auto":
            settings, problem = with_tuned_gain(settings, problem)
        state = start(settings, problem)
        create(run_dir, settings, problem)
        save_checkpoint(run_dir, state, settings, problem.config)
    num_steps = steps_of_epoch(problem, settings)
    print(describe(settings, problem, run_dir), flush=True)

    advice = f"start again in another --run-dir with --batch-size {max(1, settings.batch_size // 2)}"
    total, done = settings.epochs * num_steps, state.epoch * num_steps + state.step
    bar = tqdm(total=total, initial=done, unit="step", disable=None, dynamic_ncols=True)
    pool_of_workers = workers(settings.threads, settings.device)
    with pool_of_workers as pool, interruptible() as interrupted, bar, out_of_memory_advice(advice):
        while not has_ended(state, settings):
            for indices in epoch_batches(problem, settings, state.epoch)[state.step :]:
                state = train_step(state, indices, problem, settings, pool)
                bar.update()
                if interrupted():
                    save_checkpoint(run_dir, state, settings, problem.config)
                    return False
            state = end_epoch(state, problem, settings, run_dir, pool)
    return True


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
    _, gradient, energies, forces = loss_and_gradient(
        state.vector, batch, targets, problem.config, pool, settings.force_weight
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
    if not all(map(math.isfinite, errors.values())):
        raise UserError(
            f"The training error is not finite any more in epoch {state.epoch + 1}: this is the instability of section "
            f"2.1; start again with a smaller --lr or --gain. The checkpoint in {run_dir} is that of the epoch before."
        )
    errors |= validation_errors(params, problem, settings, pool) or {
        "valid_mae": errors["train_mae"],
        "valid_loss": (errors["train_mae"] / problem.scale) ** 2,
    }
    if errors["valid_loss"] < state.best_loss:
        state = state._replace(best_loss=errors["valid_loss"], best_epoch=state.epoch + 1)
        run_directory.save_arrays(run_dir / "best.npz", params)
    row = {"epoch": state.epoch + 1, **errors, "seconds": state.seconds + time.perf_counter() - began}
    run_directory.append_log(run_dir / "log.jsonl", row)
    tqdm.write(log_line(row, settings.epochs, problem.dataset.unit))
    state = state._replace(epoch=state.epoch + 1, step=0, error_sums=state.error_sums * 0, seconds=0.0)
    save_checkpoint(run_dir, state, settings, problem.config)
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


def create(run_dir, settings, problem):
    """Make the run directory, with its settings and splits.

    Raises
    ------
    UserError
        If there is a run in it already.
    """
    if (run_dir / "config.json").exists():
        raise UserError(f"There is a run in {run_dir} already: add --resume to go on, or choose another --run-dir.")
    run_dir.mkdir(parents=True, exist_ok=True)
    content = {
        "settings": dataclasses.asdict(settings),
        "network": dataclasses.asdict(problem.config),
        "mean": problem.mean,
        "scale": problem.scale,
        "references": problem.references,
        "unit": problem.dataset.unit,
        "theory": problem.dataset.theory,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    run_directory.save_arrays(run_dir / "splits.npz", problem.splits)
    run_directory.write_json(run_dir / "config.json", content)


def save_checkpoint(run_dir, state, settings, config):
    """checkpoint.npz: the parameters by their names, and everything else in `state`; the average if there is one."""
    optimizer = {f"optimizer.{name}": value for name, value in state.optimizer._asdict().items()}
    progress = {name: value for name, value in state._asdict().items() if name not in ("vector", "optimizer")}
    if not settings.ema:
        del progress["average"]
    progress = {f"progress.{name}": value for name, value in progress.items()}
    params = unflatten(state.vector, layout(config))
    run_directory.save_arrays(run_dir / "checkpoint.npz", {**params, **optimizer, **progress})


def load_checkpoint(run_dir, device):
    """The `RunState` that `save_checkpoint` wrote, on `device`.

    Raises
    ------
    UserError
        If there is no checkpoint in `run_dir`, or it is damaged.
    """
    arrays = run_directory.load_arrays(Path(run_dir) / "checkpoint.npz")
    groups = {"optimizer": {}, "progress": {}}
    params = {}
    for name, array in arrays.items():
        group, _, key = name.partition(".")
        value = to_device(array, device) if array.ndim else array.item()
        groups.get(group, params)[key if group in groups else name] = array if group not in groups else value
    vector = to_device(flatten(params), device)
    return RunState(vector, State(**groups["optimizer"]), **{"average": vector, **groups["progress"]})


@contextmanager
def interruptible():
    """Gives a function that tells whether Ctrl-C was pressed; a second Ctrl-C ends the program at once."""
    pressed = []

    def handle(signum, frame):
        pressed.append(signum)
        signal.signal(signal.SIGINT, previous)
        tqdm.write("Stopping after this step; press Ctrl-C again to stop at once and lose the steps of this epoch.")

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, previous)
