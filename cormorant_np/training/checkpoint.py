"""Where a run stands, saved and loaded: checkpoint.npz, and checkpoint.prev.npz, the one before."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cormorant_np.backend import get_array_module, to_device, to_host
from cormorant_np.errors import UserError
from cormorant_np.files import check_room
from cormorant_np.network.parameters import flatten, init_params, layout, size, unflatten
from cormorant_np.training import run_directory
from cormorant_np.training.optimizer import State, init_state

BESIDE_CHECKPOINTS = 4 * 2**20
"""Bytes: room for plots, settings and the log."""


class RunState(NamedTuple):
    """Where a run stands, all that its continuation needs.

    vector, optimizer : the parameters, flattened, and the optimiser's `State`
    epoch, step : finished epochs, and finished steps in the present one
    average : the averaged parameters, see `loop.averaged`
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


def is_finite(*arrays):
    """Whether all numbers of these arrays are finite; reads one number from the device for each."""
    return all(bool(get_array_module(array).isfinite(array).all()) for array in arrays)


def check_finite(state, run_dir, lr):
    """A `UserError` that says how to go on, if the errors or the parameters have become infinite or no numbers."""
    optimizer = state.optimizer
    if not is_finite(state.error_sums, state.vector, state.average, optimizer.m, optimizer.v, optimizer.v_max):
        raise explosion(state, run_dir, lr)


def explosion(state, run_dir, lr):
    """The `UserError` of a run that has exploded."""
    return UserError(
        f"The training error is not finite any more in epoch {state.epoch + 1}: this is the instability of section "
        f"2.1. Go on from the last good checkpoint, python -m cormorant_np.train --run-dir {run_dir} "
        f"--resume --lr {lr / 2:g}, or start again with a smaller --lr or --gain."
    )


def save_checkpoint(run_dir, state, settings, config):
    """checkpoint.npz: the parameters by their names, and everything else in `state`; the average if there is one.

    The checkpoint before stays as checkpoint.prev.npz.

    Raises
    ------
    UserError
        If the numbers are not finite, which are never written, or the file cannot be written.
    """
    check_finite(state, run_dir, settings.lr)
    optimizer = {f"optimizer.{name}": value for name, value in state.optimizer._asdict().items()}
    progress = {name: value for name, value in state._asdict().items() if name not in ("vector", "optimizer")}
    if not settings.ema:
        del progress["average"]
    progress = {f"progress.{name}": value for name, value in progress.items()}
    params = unflatten(state.vector, layout(config))
    arrays = {**params, **optimizer, **progress}
    run_directory.save_arrays(run_dir / "checkpoint.npz", arrays, keep=run_dir / "checkpoint.prev.npz")


def check_room_for_run(run_dir, state, problem):
    """A `UserError` if the disk has no room for three checkpoints and two sets of parameters."""
    checkpoint = 5 * to_host(state.vector).nbytes
    splits = sum(indices.nbytes for indices in problem.splits.values())
    check_room(run_dir, 3.5 * checkpoint + 2 * splits + BESIDE_CHECKPOINTS)


def load_checkpoint(run_dir, settings, config):
    """The `RunState` that `save_checkpoint` wrote, on the device; of the checkpoint before, if the last is damaged.

    Returns
    -------
    state : RunState
    notice : str, empty unless it is the checkpoint before

    Raises
    ------
    UserError
        If there is no checkpoint in `run_dir`, or both are damaged.
    """
    last, previous = (Path(run_dir) / name for name in ("checkpoint.npz", "checkpoint.prev.npz"))
    try:
        return _load(last, settings, config), ""
    except UserError as error:
        if not previous.exists():
            raise
        complaint = error
    try:
        state = _load(previous, settings, config)
    except UserError:
        raise complaint from None
    if last.is_dir():
        raise UserError(f"{last} is a folder: remove it, and --resume goes on from {previous.name}.") from None
    os.replace(previous, last)
    what = "is damaged" if "damaged" in str(complaint) else "is missing"
    where = f"epoch {state.epoch + 1}, step {state.step}"
    return state, f"{last} {what}: going on from the checkpoint before it, {previous.name}, in {where}."


def _load(path, settings, config):
    arrays = run_directory.load_arrays(path)
    params = run_directory.kinds_of_parameters(config, settings.dtype)
    run_directory.check_arrays(path, arrays, params | _kinds_of_progress(settings, config), ["progress.best_loss"])
    vector = to_device(flatten({name: arrays.pop(name) for name in params}), settings.device)
    values = {name: to_device(a, settings.device) if a.ndim else a.item() for name, a in arrays.items()}
    optimizer, progress = (
        {name.removeprefix(group): value for name, value in values.items() if name.startswith(group)}
        for group in ("optimizer.", "progress.")
    )
    state = RunState(vector, State(**optimizer), **{"average": vector, **progress})
    if min(state.epoch, state.step, state.optimizer.step, state.seconds) < 0 or state.best_epoch not in range(
        state.epoch + 1
    ):
        raise UserError(f"{path} is damaged (its numbers of epochs and steps make no sense): {run_directory.OTHER}.")
    return state


def _kinds_of_progress(settings, config):
    """(shape, dtype) of what a checkpoint holds beside the parameters."""
    real, whole = np.dtype(settings.dtype), np.dtype(np.int64)
    vector = ((size(config),), real)
    optimizer = {"step": ((), whole)} | dict.fromkeys(("m", "v", "v_max"), vector)
    progress = dict.fromkeys(("epoch", "step", "best_epoch"), ((), whole))
    progress |= dict.fromkeys(("seconds", "best_loss"), ((), np.dtype(np.float64)))
    progress["error_sums"] = ((2 if settings.force_weight else 1,), real)
    if settings.ema:
        progress["average"] = vector
    optimizer = {f"optimizer.{name}": kind for name, kind in optimizer.items()}
    return optimizer | {f"progress.{name}": kind for name, kind in progress.items()}
