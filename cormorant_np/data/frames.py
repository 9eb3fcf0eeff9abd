"""Read the frames of any file: xyz by this package's own reader, everything else through ASE."""

from pathlib import Path

import numpy as np

from cormorant_np.data.elements import MAX_CHARGE
from cormorant_np.data.memory import is_file
from cormorant_np.data.reading import read_npz_molecules
from cormorant_np.data.xyz import MAX_POSITION, Frame, read_xyz_frames
from cormorant_np.errors import UserError, reason_of

XYZ_SUFFIXES = {".xyz", ".extxyz", ".txt", ""}
COMPRESSED_SUFFIXES = {".gz", ".bz2", ".xz"}
DATABASES = {"db", "json"}


def read_frames(path, max_memory=None):
    """All frames of a file, with the energies, forces and everything else that it has for them.

    Parameters
    ----------
    path : path of a file in xyz format, plain, extended or QM9's, which may be compressed; or, with ASE installed,
        in any format that `ase.io.read` reads; or MD17's or rMD17's .npz, of which the molecules alone are taken
    max_memory : int, in bytes; default as in `memory.memory_limit`

    Returns
    -------
    list of Frame

    Raises
    ------
    UserError
        If the file is missing or cannot be read, needs ASE where that is not installed, or has impossible atoms.
    """
    path = Path(path)
    if kind(path) == ".npz":
        return [Frame(*molecule, info={}, columns={}) for molecule in read_npz_molecules(path, max_memory)]
    if kind(path) in XYZ_SUFFIXES:
        return read_xyz_frames(path, max_memory)
    frames = [_from_ase(atoms) for atoms in _read_with_ase(path)]
    if not frames:
        raise UserError(f"{path} holds no molecule.")
    for k, frame in enumerate(frames):
        if not (len(frame.charges) and frame.charges.min() >= 1 and frame.charges.max() <= MAX_CHARGE):
            raise UserError(f"{path}, frame {k}: there are no atoms, or some are no element from H to Og.")
        if not (np.abs(frame.positions) <= MAX_POSITION).all():
            raise UserError(f"{path}, frame {k}: some positions are not numbers of Å below {MAX_POSITION:g}.")
    return frames


def read_molecules(path, max_memory=None):
    """As `read_frames`, but refuse what is periodic: the network knows molecules in a vacuum."""
    frames = read_frames(path, max_memory)
    for k, frame in enumerate(frames):
        if frame.periodic and not is_isolated_atom(frame):
            raise UserError(
                f"{path}, frame {k}: the cell is periodic, but the network knows only molecules in a vacuum; write "
                'pbc="F F F" if the cell is only a box around the molecule.'
            )
    return frames


def is_isolated_atom(frame):
    """Whether a frame is marked as an isolated atom by its `config_type`, as MACE's and GAP's files have it."""
    return str(frame.info.get("config_type", "")).lower().replace("_", "") == "isolatedatom"


def kind(path):
    """The suffix that tells the format, in lower case: ".xyz" for molecules.xyz.gz."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _read_with_ase(path):
    """The file's frames as a list of `ase.Atoms`."""
    if not is_file(path):
        raise UserError(f"There is no file {path}: check its name.")
    try:
        import ase.db
        import ase.io
        from ase.io.formats import filetype
    except ImportError as error:
        raise UserError(f"{path} is read by ASE, which is not installed: pip install ase, or give .xyz.") from error
    try:
        name = str(path.absolute())  # ASE takes names that begin with "postgres" for addresses of databases
        if filetype(name) in DATABASES:
            with ase.db.connect(name, serial=True) as database:
                return [row.toatoms(add_additional_information=True) for row in database.select()]
        return list(ase.io.iread(name, index=":", do_not_split_by_at_sign=True))
    except Exception as error:  # each of ASE's many readers has exceptions of its own
        raise UserError(f"{path} cannot be read by ASE ({reason_of(error)}): check the file and its format.") from error


def _from_ase(atoms):
    """A `Frame` of `ase.Atoms`. A calculator's results count more than what has the same name in info or arrays.

    The results are taken as they are stored: `get_forces` would put zeros where atoms are constrained.
    """
    results = getattr(atoms.calc, "results", {})
    info = dict(atoms.info)
    for name in ("data", "key_value_pairs"):  # of a database
        if isinstance(info.get(name), dict):
            info = info.pop(name) | info
    per_atom = {name: value for name, value in results.items() if np.shape(value)[:1] == (len(atoms),)}
    arrays = {name: value for name, value in atoms.arrays.items() if name not in ("numbers", "positions")} | per_atom
    return Frame(
        charges=atoms.numbers.astype(np.int64),
        positions=atoms.positions.astype(np.float64),
        info=info | {name: value for name, value in results.items() if name not in per_atom},
        columns={name: _columns(value) for name, value in arrays.items() if np.asarray(value).dtype.kind in "iuf"},
        periodic=bool(atoms.pbc.any()),
    )


def _columns(array):
    """(N, k) float64"""
    array = np.asarray(array, np.float64)
    return array.reshape(len(array), -1)
