"""Read frames from an .npz file, in MD17's or in rMD17's format."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from cormorant_np.data.dataset import Dataset
from cormorant_np.errors import UserError

# the names of charges, positions, energies and forces in each format
FORMATS = {
    "MD17": ("z", "R", "E", "F"),
    "rMD17": ("nuclear_charges", "coords", "energies", "forces"),
}
UNITS = {"r_unit": "Ang", "e_unit": "kcal/mol"}


def read_npz(path, name, theory="unknown"):
    """Read a data set without an official split; the keys in the file tell which of the two formats it has.

    Forces may be missing. Energies may have the shape (n,) or (n, 1).

    Parameters
    ----------
    path : path of the .npz file
    name, theory : str
        For the `Dataset`; a `theory` in the file counts more.

    Raises
    ------
    UserError
        If there is no such file, it is no .npz file or a damaged one, it lacks keys, its shapes disagree, its units
        are not Å and kcal/mol, or its numbers are not finite.
    """
    arrays = _read_arrays(Path(path))
    charges, positions, energies, forces = _recognise(path, arrays)
    _check(path, arrays, charges, positions, energies, forces)
    positions = positions.astype(np.float64)
    return Dataset(
        name=name,
        theory=_text(arrays["theory"]) if "theory" in arrays else theory,
        charges=np.broadcast_to(charges.astype(np.int64), positions.shape[:2]),
        positions=positions - positions.mean(axis=1, keepdims=True),
        energies=energies.reshape(-1).astype(np.float64),
        forces=None if forces is None else forces.astype(np.float64),
        unit=UNITS["e_unit"],
        splits={},
    )


def _read_arrays(path):
    if not path.is_file():
        raise UserError(f"There is no data file {path}: check its name.")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path} is not an .npz file, or not a whole one: make or download it again.")
    known = {key for names in FORMATS.values() for key in names} | {"theory", *UNITS}
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files if key in known}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}): make or download it again.") from error


def _recognise(path, arrays):
    for *required, forces in FORMATS.values():
        if all(key in arrays for key in required):
            return *(arrays[key] for key in required), arrays.get(forces)
    formats = " or ".join(f"{', '.join(names)} ({name})" for name, names in FORMATS.items())
    raise UserError(f"{path} lacks some of the arrays {formats}: it has {', '.join(sorted(arrays)) or 'none of them'}.")


def _check(path, arrays, charges, positions, energies, forces):
    for key, unit in UNITS.items():
        if key in arrays and _text(arrays[key]) != unit:
            raise UserError(f"{path} has {key} = {_text(arrays[key])}, but {unit} is needed: convert the file first.")
    num_frames, num_atoms = energies.size, charges.size
    named = {"charges": charges, "positions": positions, "energies": energies, "forces": forces}
    named = {name: array for name, array in named.items() if array is not None}
    fitting = (
        num_frames > 0
        and charges.shape == (num_atoms,)
        and energies.shape in ((num_frames,), (num_frames, 1))
        and positions.shape == (num_frames, num_atoms, 3)
        and (forces is None or forces.shape == positions.shape)
    )
    if not fitting:
        raise UserError(
            f"The shapes in {path} disagree: charges (N,), positions (n, N, 3), energies (n,) and forces (n, N, 3) are "
            f"needed, but they are {', '.join(f'{name} {array.shape}' for name, array in named.items())}."
        )
    for name, array in named.items():
        if not (array.dtype.kind in "iuf" and np.isfinite(array).all()):
            raise UserError(f"Some {name} in {path} are not finite numbers: mend the file, or remove these frames.")


def _text(array):
    value = array.item()
    return value.decode() if isinstance(value, bytes) else str(value)
