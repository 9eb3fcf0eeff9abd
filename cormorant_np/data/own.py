"""Data from a file of the user's own."""

from pathlib import Path

import numpy as np

from cormorant_np.data import plausibility
from cormorant_np.data.batch import refuse_coincident
from cormorant_np.data.dataset import Dataset, centred
from cormorant_np.data.elements import SYMBOLS
from cormorant_np.data.frames import is_isolated_atom, kind, read_frames, read_molecules
from cormorant_np.data.memory import check_memory, memory_limit
from cormorant_np.data.reading import MAX_VALUE, read_npz
from cormorant_np.data.units import canonical_energy_unit
from cormorant_np.data.xyz import pad, to_numbers
from cormorant_np.errors import UserError

KEYS = (("energy", "forces"), ("REF_energy", "REF_forces"))
DEFAULT_UNIT = "eV"
OUTSIDE = dict.fromkeys(("charge", "total_charge"), "charges")
OUTSIDE |= dict.fromkeys(("spin", "total_spin", "multiplicity", "spin_multiplicity"), "spins")
"""What decides over the energy, too, but is no input of the network, by the names that files have for it."""

BYTES_PER_ATOM = 4 * (3 + 3 + 1) * 8  # positions, forces and a charge, with the copies that checks make


def load_file(path, energy_unit=None, energy_key=None, forces_key=None, max_memory=None):
    """Read a data set, without an official split, from any file of the user's.

    An .npz file has MD17's, sGDML's or rMD17's arrays (`reading.read_npz`). Every other file has frames, of different
    sizes and elements if need be: xyz and extended xyz, and with ASE installed whatever `ase.io.read` reads. Frames
    that are marked as isolated atoms by `config_type` become `references`.

    Parameters
    ----------
    path : path of the file
    energy_unit : str or None
        The unit of the energies, and of the forces with Å, where the file does not say it. None is kcal/mol for .npz
        and eV for the rest; a note says what was assumed.
    energy_key, forces_key : str or None
        Their names in the file. None tries "energy" and "forces", then "REF_energy" and "REF_forces".
    max_memory : int or None, in bytes
        None is three quarters of what is free.

    Returns
    -------
    Dataset

    Raises
    ------
    UserError
        If the file cannot be read, has no energies or not for all frames, forces for some frames but not for all,
        impossible charges, a periodic cell, or numbers that are not finite.
    """
    name = Path(path).name.removesuffix("".join(Path(path).suffixes[-1:])).removesuffix(".xyz").removesuffix(".extxyz")
    if kind(path) == ".npz":
        dataset = read_npz(path, name, "unknown", energy_unit, energy_key, forces_key, max_memory)
        refuse_coincident(dataset.charges, dataset.positions, lambda molecule: f"frame {molecule} of {path}")
    else:
        frames = read_molecules(path, max_memory)
        dataset = _dataset(path, name, frames, energy_unit, energy_key, forces_key, max_memory)
    warnings = plausibility.warn(dataset.charges, dataset.positions, dataset.energies, dataset.forces, dataset.unit)
    return dataset._replace(notes=(*dataset.notes, *warnings))


def read_references(path, energy_unit=None, energy_key=None):
    """Energies of isolated atoms from a file of frames with one atom each, under `energy_key` or the usual names.

    Returns
    -------
    dict
        {charge: energy}, in `energy_unit`, or eV if that is None.

    Raises
    ------
    UserError
        If a frame has more than one atom or no energy, or two frames of an element have different energies.
    """
    canonical_energy_unit(energy_unit or DEFAULT_UNIT)
    frames = dict(enumerate(read_frames(path)))
    has_key = any(energy_key in frame.info for frame in frames.values())
    energy_name, _ = _find_names(path, frames, energy_key if has_key else None, None)
    return _references(path, frames, energy_name)


def _dataset(path, name, frames, energy_unit, energy_key, forces_key, max_memory):
    isolated = {k: frame for k, frame in enumerate(frames) if is_isolated_atom(frame)}
    molecules = {k: frame for k, frame in enumerate(frames) if k not in isolated}
    if not molecules:
        raise UserError(f"{path} holds nothing but isolated atoms: give a file with molecules.")
    energy_name, forces_name = _find_names(path, molecules, energy_key, forces_key)
    size = max(len(frame.charges) for frame in molecules.values())
    check_memory(path, len(molecules) * size * BYTES_PER_ATOM, memory_limit(max_memory))
    charges, positions = pad([(frame.charges, frame.positions) for frame in molecules.values()])
    refuse_coincident(charges, positions, lambda molecule: f"frame {list(molecules)[molecule]} of {path}")
    unit = canonical_energy_unit(energy_unit or DEFAULT_UNIT)
    return Dataset(
        name=name,
        theory="unknown",
        charges=charges,
        positions=centred(charges, positions),
        energies=np.array([_energy(path, k, frame, energy_name) for k, frame in molecules.items()]),
        forces=_forces(path, molecules, forces_name, size) if forces_name else None,
        unit=unit,
        splits={},
        references=_references(path, isolated, energy_name) if isolated else None,
        notes=tuple(_notes(molecules, isolated, energy_name, forces_name, unit, assumed=energy_unit is None)),
    )


def _find_names(path, frames, energy_key, forces_key):
    """The names of energies and forces, the latter None if there are none: the first pair that is there decides."""
    in_info = {name for frame in frames.values() for name in frame.info}
    in_columns = {name for frame in frames.values() for name in frame.columns}
    pairs = KEYS
    if energy_key is not None:
        pairs = [(energy_key, energy_key.replace("energy", "forces")), *((energy_key, forces) for _, forces in KEYS)]
    pairs = [pair for pair in pairs if pair[0] in in_info]
    if not pairs:
        number, frame = next(iter(frames.items()))
        wanted = energy_key or " or ".join(energy for energy, _ in KEYS)
        raise UserError(
            f"{path} has no energies under {wanted} (frame {number} has {_names(frame)}): name them with --energy-key; "
            "they stand as NAME=VALUE in the second line of a frame."
        )
    if forces_key is not None:
        return pairs[0][0], forces_key
    whole = [pair for pair in pairs if pair[1] in in_columns]
    return whole[0] if whole else (pairs[0][0], None)


def _names(frame):
    return ", ".join([*map(str, frame.info), *frame.columns])[:200] or "no names at all"


def _energy(path, number, frame, name):
    if name not in frame.info:
        raise UserError(
            f"{path}, frame {number}: there is no energy under {name} (the frame has {_names(frame)}): add it, or "
            "remove the frame."
        )
    value = frame.info[name]
    try:
        energy = to_numbers([value.strip()])[0] if isinstance(value, str) else float(np.asarray(value).item())
    except (TypeError, ValueError):
        energy = np.nan
    if not abs(energy) <= MAX_VALUE:
        raise UserError(f"{path}, frame {number}: {name} = {str(value)[:40]} is no energy: mend or remove the frame.")
    return energy


def _forces(path, frames, name, size):
    """(n, size, 3), 0 for padding"""
    forces = np.zeros((len(frames), size, 3))
    for row, (number, frame) in enumerate(frames.items()):
        if name not in frame.columns:
            raise UserError(
                f"{path}, frame {number}: there are no forces under {name} (the frame has {_names(frame)}): add them, "
                "or remove the frame."
            )
        column = frame.columns[name]
        if column.shape[1] != 3 or not (np.abs(column) <= MAX_VALUE).all():
            raise UserError(f"{path}, frame {number}: the forces under {name} are not three finite numbers an atom.")
        forces[row, : len(column)] = column
    return forces


def _references(path, isolated, energy_name):
    references = {}
    for number, frame in isolated.items():
        if len(frame.charges) != 1:
            raise UserError(f"{path}, frame {number}: an isolated atom is needed here, not {len(frame.charges)} atoms.")
        charge, energy = int(frame.charges[0]), float(_energy(path, number, frame, energy_name))
        if references.setdefault(charge, energy) != energy:
            symbol = SYMBOLS[charge]
            raise UserError(f"{path}, frame {number}: {symbol} as an isolated atom has another energy above: keep one.")
    return references


def _notes(molecules, isolated, energy_name, forces_name, unit, assumed):
    found = f'"{energy_name}" and forces from "{forces_name}"' if forces_name else f'"{energy_name}"'
    units = f"{unit} and {unit}/Å" if forces_name else unit
    yield f"Energies are read from {found}, in {units}{', which is assumed (--energy-unit)' if assumed else ''}."
    if not forces_name:
        columns = sorted({name for frame in molecules.values() for name in frame.columns})
        there = f" The atoms have {', '.join(columns)[:200]} (--forces-key)." if columns else ""
        yield f"The file has no forces under the names that were tried.{there}"
    if isolated:
        symbols = [SYMBOLS[int(frame.charges[0])] for frame in isolated.values()]
        yield f"{len(isolated)} frames are isolated atoms ({', '.join(symbols)[:200]}): references, not data."
    for name, what in OUTSIDE.items():
        values = {str(frame.info[name]) for frame in molecules.values() if name in frame.info}
        if len(values) > 1:
            listed = ", ".join(sorted(values))[:99]
            yield f"The frames have different {what} ({name}: {listed}), which the network does not see."
    num_isotopes = sum(frame.isotopes for frame in molecules.values())
    if num_isotopes:
        yield f"D and T are read as hydrogen, in {num_isotopes} frames."
