"""The files of a run: settings, splits, log, checkpoints and results, read and written."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np

from cormorant_np.backend import to_device, to_host
from cormorant_np.errors import UserError
from cormorant_np.training.settings import Settings


def write_json(path, content):
    """Write a JSON file; an interruption leaves either the old file or the new one."""
    _replace(path, (json.dumps(content, indent=1) + "\n").encode())


def read_json(path):
    """The content of a JSON file.

    Raises
    ------
    UserError
        If the file is missing or damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: is {Path(path).parent} the directory of a run?") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): start the run again in another --run-dir.") from None


def read_settings(run_dir):
    """The `Settings` of a run."""
    return Settings(**read_json(Path(run_dir) / "config.json")["settings"])


def save_arrays(path, arrays):
    """Write a dict of arrays, from any device, to .npz; an interruption leaves either the old file or the new one."""
    buffer = io.BytesIO()
    np.savez(buffer, **{name: to_host(array) for name, array in arrays.items()})
    _replace(path, buffer.getvalue())


def load_arrays(path, device="cpu"):
    """A dict of the arrays in an .npz file, on `device`.

    Raises
    ------
    UserError
        If the file is missing or damaged.
    """
    try:
        with np.load(path) as file:
            return {name: to_device(file[name], device) for name in file.files}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: has this run finished an epoch?") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged ({error}): start the run again in another --run-dir.") from None


def append_log(path, row):
    """Add one line, a JSON object, to log.jsonl."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_log(path):
    """The rows of log.jsonl, a list of dicts; empty if there is none."""
    path = Path(path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def truncate_log(path, num_epochs):
    """Keep the rows of the first epochs, those that the checkpoint has seen the end of."""
    rows = [row for row in read_log(path) if row["epoch"] <= num_epochs]
    _replace(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def _replace(path, content):
    temporary = Path(f"{path}.tmp")
    temporary.write_bytes(content)
    os.replace(temporary, path)
