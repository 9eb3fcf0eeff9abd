"""Read molecules from .xyz files."""

from pathlib import Path

import numpy as np

from cormorant_np.errors import UserError

ELEMENTS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr "
    "Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re "
    "Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh "
    "Fl Mc Lv Ts Og"
)
SYMBOLS = dict(enumerate(ELEMENTS.split(), start=1))
CHARGES = {symbol: charge for charge, symbol in SYMBOLS.items()}


def read_xyz(path):
    """The molecules of an .xyz file, which may hold several, one after the other.

    With ASE installed, extended xyz files may name their columns in any order. Without it, and for a file that ASE
    refuses, a line must begin with the element's symbol and x, y, z in Å; what follows them is not read. Cells,
    energies and other properties do not matter here.

    Parameters
    ----------
    path : path of the file

    Returns
    -------
    list of (charges, positions)
        (N,) int64 and (N, 3) float64 in Å, for each molecule of N atoms.

    Raises
    ------
    UserError
        If there is no such file, it holds no molecule, a line is broken, or an element is unknown.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no file {path}: check its name.")
    return _read_with_ase(path) or _read_plain(path)


def pad(molecules):
    """One array of charges and one of positions for molecules with at most N atoms, with zeros for padding.

    Parameters
    ----------
    molecules : list of (charges, positions), as from `read_xyz`

    Returns
    -------
    charges : (n, N) int64
    positions : (n, N, 3) float64
    """
    num_atoms = max(len(charges) for charges, _ in molecules)
    charges = np.stack([np.pad(z, (0, num_atoms - len(z))) for z, _ in molecules])
    positions = np.stack([np.pad(r, [(0, num_atoms - len(r)), (0, 0)]) for _, r in molecules])
    return charges, positions


def _read_with_ase(path):
    """As `read_xyz`, but an empty list where ASE is not installed or cannot make sense of the file."""
    try:
        import ase.io
    except ImportError:
        return []
    try:
        frames = ase.io.read(path, index=":", format="extxyz")
    except (OSError, ValueError, KeyError, IndexError):
        return []
    molecules = [(frame.numbers.astype(np.int64), frame.positions.astype(np.float64)) for frame in frames]
    return molecules if all(_is_molecule(*molecule) for molecule in molecules) else []


def _is_molecule(charges, positions):
    return len(charges) > 0 and charges.min() > 0 and np.isfinite(positions).all()


def _read_plain(path):
    try:
        lines = path.read_text().rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file: give an .xyz file.") from error
    if not lines:
        raise UserError(f"{path} is empty: give an .xyz file with at least one molecule.")
    molecules, start = [], 0
    while start < len(lines):
        num_atoms = _number_of_atoms(path, lines, start)
        end = start + 2 + num_atoms
        if end > len(lines):
            raise UserError(
                f"{path} ends after line {len(lines)}, but line {start + 1} promises {num_atoms} atoms: "
                "the file is not whole."
            )
        atoms = [_atom(path, number, lines[number - 1]) for number in range(start + 3, end + 1)]
        charges, positions = zip(*atoms, strict=True)
        molecules.append((np.array(charges, np.int64), np.array(positions, np.float64)))
        start = end
    return molecules


def _number_of_atoms(path, lines, start):
    text = lines[start].strip()
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"{path}, line {start + 1}: the number of a molecule's atoms is needed here, not '{text}'.")
    return int(text)


def _atom(path, number, line):
    symbol, *rest = line.split() or [""]
    try:
        position = [float(word) for word in rest[:3]]
    except ValueError:
        position = []
    if len(position) < 3 or not np.isfinite(position).all():
        raise UserError(f"{path}, line {number}: an element and x, y, z in Å are needed here, not '{line.strip()}'.")
    if symbol not in CHARGES:
        raise UserError(f"{path}, line {number}: there is no element '{symbol}' among those known, H to Og.")
    return CHARGES[symbol], position
