"""The files of a run: settings, splits, log, parameters and results, written whole and checked when they are read."""

import dataclasses
import io
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cormorant_np.backend import to_device, to_host
from cormorant_np.config import Config
from cormorant_np.data.memory import memory_limit
from cormorant_np.errors import UserError, reason_of
from cormorant_np.files import read_file, replace_file
from cormorant_np.network.parameters import layout
from cormorant_np.training.fields import LARGEST, build
from cormorant_np.training.settings import Settings

OTHER = "start the run again in another --run-dir"
ADDED = ("tensorboard", "cutoff", "width", "rmd17_split")
"""Fields that runs of older versions lack; they have their defaults there."""

NEEDED = {
    kind: [field.name for field in dataclasses.fields(kind) if field.name not in ADDED] for kind in (Config, Settings)
}
"""Fields that config.json must have."""

PARTS = ("train", "valid", "test")


class Run(NamedTuple):
    """What config.json says of a run: how energies are made from what the network gives is None in a foreign one.

    settings : Settings
    config : Config
    mean, scale : an energy is `mean` + `scale` times what the network gives
    unit : of the energies
    references : {charge: energy of the element}, which is added; or None
    parts : what `problem.parts_known_by` says of the data; None in runs of older versions
    """

    settings: Settings
    config: Config
    mean: float | None
    scale: float | None
    unit: str | None
    references: dict | None
    parts: dict | None = None


def write_json(path, content):
    """Write a JSON file; an interruption leaves either the old file or the new one."""
    replace_file(path, (json.dumps(content, indent=1) + "\n").encode())


def read_json(path):
    """The content of a JSON file, an object.

    Raises
    ------
    UserError
        If the file is missing or damaged.
    """
    try:
        content = json.loads(read_file(path, f"is {Path(path).parent} the directory of a run?").decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}): {OTHER}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (it is no JSON object): {OTHER}.")
    return content


def read_config(run_dir):
    """What config.json says of a run, a `Run`, checked field by field.

    Raises
    ------
    UserError
        If the file is missing or damaged, or a field is missing, unknown, of another kind or makes no sense.
    """
    path = Path(run_dir) / "config.json"
    content = read_json(path)
    numbers = {name: content.get(name) for name in ("mean", "scale")}
    for name, value in numbers.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST
        if name in content and not (is_number and (name == "mean" or value > 0)):
            raise UserError(f"{path} is damaged: its '{name}' is {str(value)[:40]}.")
    if not isinstance(content.get("unit", ""), str):
        raise UserError(f"{path} is damaged: its 'unit' is {str(content['unit'])[:40]}.")
    return Run(
        settings=build(Settings, path, content.get("settings"), NEEDED[Settings]),
        config=build(Config, path, content.get("network"), NEEDED[Config]),
        **numbers,
        unit=content.get("unit"),
        references=_references(path, content.get("references")),
        parts=_parts(path, content.get("parts")),
    )


def _references(path, references):
    if references is None:
        return None
    try:
        checked = {int(charge): float(energy) for charge, energy in references.items()}
    except (AttributeError, TypeError, ValueError, OverflowError):
        checked = {0: 0.0}
    if not all(1 <= charge <= 118 and abs(energy) < LARGEST for charge, energy in checked.items()):
        raise UserError(f"{path} is damaged: its 'references' are no energies of elements.")
    return checked


def _parts(path, parts):
    if parts is None:
        return None
    whole = isinstance(parts, dict) and all(
        name in PARTS and isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, float) for x in pair)
        for name, pair in parts.items()
    )
    if not (whole and np.isfinite(list(parts.values())).all()):
        raise UserError(f"{path} is damaged: its 'parts' are no pairs of numbers.")
    return parts


def read_settings(run_dir):
    """The `Settings` of a run."""
    return read_config(run_dir).settings


def write_settings(run_dir, settings):
    """Put other `Settings` in the place of a run's."""
    path = Path(run_dir) / "config.json"
    write_json(path, {**read_json(path), "settings": dataclasses.asdict(settings)})


def read_run(run_dir):
    """What a run has decided for good, whatever its settings would make of the data today.

    Returns
    -------
    dict of "config", its Config, "splits", a dict of index arrays, and "references", "mean" and "scale", see
    `problem.Problem`, and "parts", see `Run`
    """
    kept = read_config(run_dir)._asdict()
    kept = {name: kept[name] for name in ("config", "references", "mean", "scale", "parts")}
    return kept | {"splits": read_splits(run_dir)}


def read_splits(run_dir):
    """The index arrays of a run's parts, checked: whole numbers, none of them negative or twice.

    Raises
    ------
    UserError
        If the file is missing or damaged, or the indices are not those of parts.
    """
    path = Path(run_dir) / "splits.npz"
    splits = load_arrays(path)
    complaint = None
    if splits.keys() != set(PARTS):
        complaint = f"it must have {', '.join(PARTS)}"
    elif any(indices.ndim != 1 or indices.dtype != np.int64 for indices in splits.values()):
        complaint = "its arrays are no lists of whole numbers"
    elif not len(splits["train"]):
        complaint = "it has no training molecules"
    else:
        indices = np.concatenate([splits[part] for part in PARTS])
        if indices.min() < 0 or len(np.unique(indices)) < len(indices):
            complaint = "its indices are negative, or twice in it"
    if complaint:
        raise UserError(f"{path} is damaged ({complaint}): {OTHER}.")
    return splits


def read_best(run_dir, run, device="cpu"):
    """The best parameters of a run, on `device`; they are what its config.json promises, or there is a `UserError`.

    Parameters
    ----------
    run : Run
    """
    path = Path(run_dir) / "best.npz"
    if not path.exists() and path.with_name("checkpoint.npz").exists():
        raise UserError(f"{path} does not exist: the run has not finished an epoch with a finite validation error yet.")
    arrays = load_arrays(path)
    check_arrays(path, arrays, kinds_of_parameters(run.config, run.settings.dtype))
    return {name: to_device(array, device) for name, array in arrays.items()}


def kinds_of_parameters(config, dtype):
    """(shape, dtype) of every array of parameters, by name."""
    dtypes = {False: np.dtype(dtype), True: np.result_type(dtype, np.complex64)}
    return {name: (kind.shape, dtypes[kind.is_complex]) for name, kind in layout(config).items()}


def check_arrays(path, arrays, kinds, may_be_infinite=()):
    """A `UserError` that names the file and the array, unless these are the arrays of `kinds`, and finite."""
    missing, surplus = kinds.keys() - arrays.keys(), arrays.keys() - kinds.keys()
    if missing or surplus:
        names = f"it lacks {min(missing)}" if missing else f"{min(surplus)[:40]} does not belong there"
        raise UserError(f"{path} is damaged, or of another network ({names}): {OTHER}.")
    for name, (shape, dtype) in kinds.items():
        if arrays[name].shape != shape or arrays[name].dtype != dtype:
            raise UserError(
                f"{path} is damaged, or of another network ({name} has the shape {arrays[name].shape} and the kind "
                f"{arrays[name].dtype}, not {shape} and {dtype}): {OTHER}."
            )
        if np.isnan(arrays[name]).any() or (name not in may_be_infinite and not np.isfinite(arrays[name]).all()):
            raise UserError(f"{path} is damaged ({name} is not finite): {OTHER}.")


def save_arrays(path, arrays, keep=None):
    """Write a dict of arrays, from any device, to .npz; an interruption leaves either the old file or the new one."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: to_host(array) for name, array in arrays.items()})
    replace_file(path, buffer.getvalue(), keep)


def load_arrays(path):
    """A dict of the arrays in an .npz file, on the host.

    Raises
    ------
    UserError
        If the file is missing or damaged, or holds anything but arrays that fit the memory.
    """
    content = read_file(path, "has this run finished an epoch?")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            if sum(info.file_size for info in file.zip.infolist()) > memory_limit():
                raise MemoryError("it does not fit the memory")
            arrays = {name: np.ascontiguousarray(file[name]).reshape(file[name].shape) for name in file.files}
    except Exception as error:  # zipfile, zlib and NumPy have a dozen different ones for damaged files
        raise UserError(f"{path} is damaged ({reason_of(error)}): {OTHER}.") from None
    return arrays


def append_log(path, row):
    """Add one row to log.jsonl, a JSON object on a line."""
    path = Path(path)
    before = read_file(path) if path.exists() else b""
    replace_file(path, before + (json.dumps(row) + "\n").encode())


def read_log(path):
    """The rows of log.jsonl, a list of dicts; empty if there is none. What is damaged ends it."""
    path = Path(path)
    return _rows(read_file(path))[0] if path.exists() else []


def _rows(content):
    """The rows up to the first damaged one, and whether there is one: a row holds numbers, its epoch is the next."""
    rows = []
    for line in content.splitlines():
        try:
            row = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            return rows, True
        if not _is_row(row) or (rows and row["epoch"] <= rows[-1]["epoch"]):
            return rows, True
        rows.append(row)
    return rows, False


def _is_row(row):
    names = ("epoch", "train_mae", "valid_mae", "valid_loss", "seconds")
    return (
        isinstance(row, dict)
        and all(name in row for name in names)
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in row.values())
        and isinstance(row["epoch"], int)
    )


def truncate_log(path, num_epochs):
    """Keep the rows of the first epochs, those that the checkpoint has seen the end of, as far as they are whole.

    Returns
    -------
    str
        What was lost beyond these, in one sentence; or nothing.
    """
    path = Path(path)
    rows, damaged = _rows(read_file(path)) if path.exists() else ([], False)
    kept = [row for row in rows if row["epoch"] <= num_epochs]
    replace_file(path, "".join(json.dumps(row) + "\n" for row in kept).encode())
    if len(kept) < num_epochs:
        return f"{path} has lost rows: it has {len(kept)} of {num_epochs} epochs; the training itself needs none."
    return f"{path} had a damaged end, which was cut." if damaged else ""
