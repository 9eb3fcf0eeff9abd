"""Read molecules from .xyz files: plain, extended, and QM9's own."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cormorant_np.data.elements import AMBIGUOUS, ISOTOPES, element_charge
from cormorant_np.data.memory import memory_limit, read_bytes
from cormorant_np.errors import UserError

BYTES_PER_CHARACTER = 10  # of memory, once a text is split into lines and words and its numbers are arrays
MAX_POSITION = 1e6  # Å
SPECIES = ("species", "element", "elements", "symbol", "symbols")
NUMBERS = ("z", "numbers", "atomic_numbers")
POSITIONS = ("pos", "positions")

NUMBER = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:(?:[eEdD]|\*\^)([+-]?[0-9]+))?")
KEY_VALUE = re.compile(
    r"""(?<![\w.-])([A-Za-z_][\w.-]*)\s*=\s*"""
    r"""(?:"((?:\\.|[^"\\])*)"|'([^']*)'|\{([^{}]*)\}|\[([^\[\]]*)\]|(\S+))"""
)


class Frame(NamedTuple):
    """One molecule of N atoms, as it stands in a file.

    charges : (N,) int64
    positions : (N, 3) float64 in Å
    info : what the file says about the whole molecule, such as "energy"; text, numbers or arrays
    columns : (N, k) float64 of what it says about each atom, such as "forces"; nan for what is no number
    periodic : whether the cell repeats in any direction
    isotopes : whether an atom is written as D or T, and read as hydrogen
    """

    charges: np.ndarray
    positions: np.ndarray
    info: dict
    columns: dict
    periodic: bool = False
    isotopes: bool = False


class Layout(NamedTuple):
    """Which words of an atom's line are what; `width` is the number of words, or None where more may follow."""

    element: int
    position: slice
    columns: dict[str, slice]
    width: int | None


PLAIN = Layout(element=0, position=slice(1, 4), columns={}, width=None)


def read_xyz(path):
    """The molecules of an .xyz file, which may hold several, one after the other.

    The columns are those that an extended header names in `Properties=`; without one, a line begins with the
    element's symbol or number and x, y, z in Å, and what follows them is not read. Energies and cells do not matter
    here. QM9's own files are read too, and files compressed by gzip, bzip2 or xz.

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
    return [(frame.charges, frame.positions) for frame in read_xyz_frames(path)]


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
    charges, positions = np.zeros((len(molecules), num_atoms), np.int64), np.zeros((len(molecules), num_atoms, 3))
    for row, (z, r) in enumerate(molecules):
        charges[row, : len(z)], positions[row, : len(z)] = z, r
    return charges, positions


def read_xyz_frames(path, max_memory=None):
    """As `read_xyz`, but a list of `Frame` with everything that the file says.

    Parameters
    ----------
    path : path of the file
    max_memory : int, in bytes; default as in `memory.memory_limit`
    """
    path = Path(path)
    lines = _read_lines(path, memory_limit(max_memory) // BYTES_PER_CHARACTER)
    frames, start = [], 0
    while start < len(lines):
        num_atoms = _number_of_atoms(path, lines, start)
        end = start + 2 + num_atoms
        if end > len(lines):
            raise UserError(
                f"{path} ends after line {len(lines)}, but line {start + 1} promises {num_atoms} atoms: "
                "the file is not whole."
            )
        where = f"{path}, line {start + 2}"
        info = _key_values(where, lines[start + 1])
        layout = _layout(where, info.pop("Properties", None))
        frames.append(_frame(path, lines, start + 2, end, info, layout))
        start = end + (3 if _is_end_of_qm9(lines, end) else 0)
    return frames


def _read_lines(path, max_bytes):
    """The lines of a text in UTF-8, UTF-16 with a byte-order mark, or else Latin-1, without blank ones at the end."""
    contents = read_bytes(path, max_bytes)
    if contents[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = contents.decode("utf-16", errors="replace")
    else:
        try:
            text = contents.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = contents.decode("latin-1")
    if "\0" in text:
        raise UserError(f"{path} is not a text file: give an .xyz file.")
    if not text.strip():
        raise UserError(f"{path} is empty: give an .xyz file with at least one molecule.")
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip().split("\n")


def _number_of_atoms(path, lines, start):
    text = lines[start].strip()
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) == 0:
        raise UserError(
            f"{path}, line {start + 1}: the number of a molecule's atoms is needed here, not '{_short(text)}'."
        )
    return int(text)


def _key_values(where, line):
    """The `key=value` of a comment line, as text without quotes and brackets; a tuple of a name's different values.

    A line without any is a comment.
    """
    found = {}
    for key, quoted, *others in KEY_VALUE.findall(line):
        name = "Properties" if key.lower() == "properties" else key
        value = re.sub(r"\\(.)", r"\1", quoted) + "".join(others)
        found[name] = dict.fromkeys([*found.get(name, ()), value])
    for name in ("Properties", "pbc", "Lattice"):
        if len(found.get(name, ())) > 1:
            raise UserError(f"{where}: {name} stands there twice, with different values: keep one.")
    if not found and line.strip():
        return {"comment": line.strip()}
    return {name: tuple(values) if len(values) > 1 else next(iter(values)) for name, values in found.items()}


def _layout(where, properties):
    if properties is None:
        return PLAIN
    words = properties.split(":")
    names, kinds, counts = words[::3], words[1::3], words[2::3]
    whole = len(words) % 3 == 0 and all(re.fullmatch("[1-9][0-9]{0,3}", count) for count in counts)
    if not whole or not set(kinds) <= set("RISL") or len(set(names)) < len(names):
        raise UserError(f"{where}: Properties={_short(properties)} is not made of name:type:count, each name once.")
    ends = np.cumsum([int(count) for count in counts]).tolist()
    slices = {name: slice(end - int(count), end) for name, count, end in zip(names, counts, ends, strict=True)}
    position = _named(slices, POSITIONS, size=3)
    element = _named(slices, NUMBERS, size=1) or _named(slices, SPECIES, size=1)
    if position is None or element is None:
        raise UserError(f"{where}: Properties={_short(properties)} must name species:S:1 (or Z:I:1) and pos:R:3.")
    used = (position, element)
    columns = {name: slices[name] for name, kind in zip(names, kinds, strict=True) if kind in "RIL"}
    columns = {name: part for name, part in columns.items() if part not in used}
    return Layout(element.start, position, columns, width=ends[-1])


def _named(slices, names, size):
    found = [part for name, part in slices.items() if name.lower() in names and part.stop - part.start == size]
    return found[0] if found else None


def _frame(path, lines, first, end, info, layout):
    rows = [line.split() for line in lines[first:end]]
    for number, row in enumerate(rows, first + 1):
        if not (len(row) == layout.width if layout.width else len(row) >= 4):
            raise UserError(f"{path}, line {number}: {_needed(layout)} here, not '{_short(lines[number - 1])}'.")
    columns = {name: _table(rows, part) for name, part in layout.columns.items()}
    positions = _table(rows, layout.position)
    wrong = ~(np.abs(positions) <= MAX_POSITION).all(axis=1)
    if wrong.any():
        number = first + 1 + int(wrong.argmax())
        raise UserError(f"{path}, line {number}: {_needed(layout)} here, not '{_short(lines[number - 1])}'.")
    symbols = [row[layout.element] for row in rows]
    charges = {symbol: element_charge(symbol) for symbol in set(symbols)}
    for number, symbol in enumerate(symbols, first + 1):
        if charges[symbol] is None:
            raise UserError(f"{path}, line {number}: {_no_element(symbol)}")
    return Frame(
        charges=np.array([charges[symbol] for symbol in symbols], np.int64),
        positions=positions,
        info=info,
        columns=columns,
        periodic=_is_periodic(info),
        isotopes=any(symbol.upper() in ISOTOPES for symbol in charges),
    )


def _needed(layout):
    if layout.width is None:
        return "an element and x, y, z in Å are needed"
    return f"the {layout.width} columns that Properties= names, with positions in Å, are needed"


def _no_element(symbol):
    if symbol in AMBIGUOUS:
        return f"'{symbol}' may be {symbol.capitalize()} or a label of {symbol[0]}: write the element's symbol."
    return f"there is no element '{_short(symbol)}' among those known, H to Og."


def _table(rows, part):
    """(N, k) float64"""
    return to_numbers([word for row in rows for word in row[part]]).reshape(len(rows), -1)


def to_numbers(words):
    """(n,) float64 of n words; nan for what is no number. Exponents may be written 1e-5, 1D-5 or, as in QM9, 1*^-5."""
    if re.fullmatch("[-+.0-9eE]*", "".join(words)):
        try:
            return np.array([float(word) for word in words])
        except ValueError:
            pass
    return np.array([_number(word) for word in words])


def _number(word):
    match = NUMBER.fullmatch(word)
    return float(f"{match[1]}e{match[2] or 0}") if match else np.nan


def _is_periodic(info):
    """As ASE has it: `pbc` decides; without it, a molecule with a `Lattice` is periodic."""
    if "pbc" in info:
        return not set(info["pbc"].upper().replace(",", " ").split()) <= {"F", "FALSE", "0"}
    return "Lattice" in info


def _is_end_of_qm9(lines, end):
    """Whether QM9's three lines follow: frequencies, SMILES and InChI."""
    return len(lines) > end + 2 and lines[end + 2].startswith("InChI=")


def _short(text, length=60):
    text = "".join(character if character.isprintable() else " " for character in text[: 2 * length])
    text = " ".join(text.split())
    return text if len(text) <= length else text[:length] + "…"
