"""Read frames from an .npz file, in MD17's or in rMD17's format."""

import numpy as np

from cormorant_np.data.archive import array_names, read_arrays, read_text
from cormorant_np.data.dataset import Dataset, centred
from cormorant_np.data.elements import MAX_CHARGE
from cormorant_np.data.units import canonical_energy_unit, length_in_angstrom
from cormorant_np.data.xyz import MAX_POSITION
from cormorant_np.errors import UserError

# the names of charges, positions, energies and forces in each format
FORMATS = {
    "MD17": ("z", "R", "E", "F"),
    "rMD17": ("nuclear_charges", "coords", "energies", "forces"),
}
TEXTS = ("name", "theory", "r_unit", "e_unit")
DEFAULT_UNIT = "kcal/mol"
MAX_VALUE = 1e15  # of energies and forces; their squares are finite in float32


def read_npz(path, name, theory="unknown", energy_unit=None, energy_key=None, forces_key=None, max_memory=None):
    """Read a data set without an official split; the keys in the file tell which of the two formats it has.

    Forces may be missing. Energies may have the shape (n,) or (n, 1), charges (N,) or, for molecules of different
    elements or sizes, (n, N) with zeros at the end. Lengths are converted to Å, energies stay in the file's unit.

    Parameters
    ----------
    path : path of the .npz file
    name, theory : str
        For the `Dataset`; a `theory` in the file counts more.
    energy_unit : str or None
        The unit of the energies where the file does not say it in `e_unit`; None is kcal/mol, and a note says so.
    energy_key, forces_key : str or None
        The arrays' names, where they are not those of the format.
    max_memory : int, in bytes; default as in `memory.memory_limit`

    Raises
    ------
    UserError
        If there is no such file, it is no .npz file or a damaged one, it lacks keys, its shapes disagree, its units
        are unknown or not `energy_unit`, its charges are impossible, or its numbers are not finite.
    """
    names = {key for keys in FORMATS.values() for key in keys} | {*TEXTS, "lattice"}
    arrays = read_arrays(path, names | {energy_key, forces_key} - {None}, max_memory)
    for key in (energy_key, forces_key):
        if key is not None and key not in arrays:
            raise UserError(f"{path} has no array {key}: it has {_names(path)}.")
    charges, positions, energies = _recognise(path, arrays, energy_key)
    forces = next((arrays[key] for key in (forces_key, "F", "forces") if key in arrays), None)
    charges, positions, length = _molecules(path, arrays, charges, positions, energies, forces)
    unit, notes = _unit(path, arrays, energy_unit)
    if forces is None:
        tried = "The file has no forces under the names that were tried"
        notes = (*notes, f"{tried}; it has {_names(path)} (--forces-key).")
    return Dataset(
        name=name,
        theory=read_text(path, arrays, "theory", theory),
        charges=charges,
        positions=centred(charges, positions),
        energies=_finite(path, "energies", energies, MAX_VALUE).reshape(-1),
        forces=None if forces is None else _finite(path, "forces", forces, MAX_VALUE, charges[..., None] > 0) / length,
        unit=unit,
        splits={},
        notes=notes,
    )


def read_npz_molecules(path, max_memory=None):
    """As `read_npz`, but the molecules alone, where they are, whatever else the file has for them.

    Returns
    -------
    list of (charges, positions)
        (N,) int64 and (N, 3) float64 in Å, for each molecule of N atoms.
    """
    names = {key for keys in FORMATS.values() for key in keys[:2]} | {"r_unit", "lattice"}
    arrays = read_arrays(path, names, max_memory)
    charges, positions, _ = _molecules(path, arrays, *_recognise(path, arrays, None, wanted=2))
    return [(z[z > 0], r[z > 0]) for z, r in zip(charges, positions, strict=True)]


def _recognise(path, arrays, energy_key, wanted=3):
    """The arrays of charges, positions and energies, or the first `wanted` of these."""
    for charges, positions, energies, _ in FORMATS.values():
        required = (charges, positions, energy_key or energies)[:wanted]
        if all(key in arrays for key in required):
            return [arrays[key] for key in required]
    formats = " or ".join(f"{', '.join(names[:wanted])} ({name})" for name, names in FORMATS.items())
    advice = "; energies and forces of other names are named with --energy-key and --forces-key" if wanted == 3 else ""
    raise UserError(f"{path} lacks some of the arrays {formats}: it has {_names(path)}{advice}.")


def _names(path):
    return ", ".join(array_names(path))[:200] or "no arrays"


def _molecules(path, arrays, charges, positions, energies=None, forces=None):
    """Charges (n, N), positions (n, N, 3) in Å, and the file's unit of length in Å."""
    if "lattice" in arrays:
        raise UserError(f"{path} has a periodic cell (lattice), but the network knows only molecules in a vacuum.")
    _check_shapes(path, charges, positions, energies, forces)
    charges = np.broadcast_to(_whole_charges(path, charges), positions.shape[:2])
    length = length_in_angstrom(read_text(path, arrays, "r_unit", "Ang"))
    positions = _finite(path, "positions", positions, MAX_POSITION, charges[..., None] > 0) * length
    return charges, positions, length


def _unit(path, arrays, energy_unit):
    """The unit of the energies, and the notes about it."""
    stated, given = read_text(path, arrays, "e_unit"), energy_unit and canonical_energy_unit(energy_unit)
    if stated is None:
        note = f"The file does not say its unit of energy: {DEFAULT_UNIT} is assumed (--energy-unit)."
        return (given, ()) if given else (DEFAULT_UNIT, (note,))
    try:
        unit = canonical_energy_unit(stated)
    except UserError as error:
        raise UserError(f"{path} has e_unit = {stated}: {error}") from error
    if given not in (None, unit):
        raise UserError(
            f"{path} has e_unit = {stated}, which is not {energy_unit}: leave --energy-unit out; if it is that of a "
            f"run, which evaluate takes, give {unit}."
        )
    return unit, ()


def _check_shapes(path, charges, positions, energies, forces):
    named = {"charges": charges, "positions": positions, "energies": energies, "forces": forces}
    named = {name: array for name, array in named.items() if array is not None}
    num_frames, num_atoms = (array.shape[axis] if array.ndim else 0 for array, axis in ((positions, 0), (charges, -1)))
    fitting = (
        num_frames > 0
        and num_atoms > 0
        and charges.shape in ((num_atoms,), (num_frames, num_atoms))
        and (energies is None or energies.shape in ((num_frames,), (num_frames, 1)))
        and positions.shape == (num_frames, num_atoms, 3)
        and (forces is None or forces.shape == positions.shape)
    )
    if not fitting:
        raise UserError(
            f"The shapes in {path} disagree: charges (N,), positions (n, N, 3), energies (n,) and forces (n, N, 3) are "
            f"needed, but they are {', '.join(f'{name} {array.shape}' for name, array in named.items())}."
        )
    for name, array in named.items():
        if array.dtype.kind not in "iuf":
            raise UserError(f"Some {name} in {path} are not finite numbers: mend the file.")


def _whole_charges(path, charges):
    """int64; checked to be whole numbers from 1 to 118, with 0 after the last atom alone."""
    whole = (charges == np.round(charges)) & (charges >= 0) & (charges <= MAX_CHARGE)
    if not whole.all():
        wrong = charges[~whole].flat[0]
        raise UserError(f"{path} has the charge {wrong}: nuclear charges are whole numbers from 1 to {MAX_CHARGE}.")
    atoms = np.atleast_2d(charges) > 0
    if not atoms[:, 0].all() or (atoms[:, 1:] & ~atoms[:, :-1]).any():
        raise UserError(f"{path} has the charge 0 before an atom: 0 is padding, after a molecule's last atom alone.")
    return charges.astype(np.int64)


def _finite(path, name, array, largest, atoms=True):
    """float64, with zeros for padding; a `UserError` if an atom's number is not finite or larger than `largest`."""
    array = np.where(atoms, array.astype(np.float64), 0)
    wrong = ~(np.abs(array) <= largest)
    if wrong.any():
        frame = int(np.argwhere(wrong)[0, 0])
        raise UserError(
            f"Some {name} in {path} are not finite numbers below {largest:g} (frame {frame} is the first): mend the "
            "file, or remove these frames."
        )
    return array
