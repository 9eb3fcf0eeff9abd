"""Write molecules with predicted energies and forces: extended xyz, which ASE turns into results, JSON or CSV.

Energies are in eV and forces in eV/Å, as ASE takes them.
"""

import csv
import json

import numpy as np

from cormorant_np.data.elements import SYMBOLS

RESULTS = ("energy", "forces", "Properties", "pbc", "free_energy", "stress", "virial", "dipole", "magmom")
"""Names in a header that are not taken over from the file that was read: ASE would take them for results as well."""


def write_extxyz(file, frames, energies, forces):
    """An extended xyz file with everything that the frames' headers said beside; `forces` are None where not wanted."""
    for frame, energy, force in zip(frames, energies, forces, strict=True):
        kept = "".join(f" {_key_value(name, value)}" for name, value in frame.info.items() if name not in RESULTS)
        columns = "species:S:1:pos:R:3" + ("" if force is None else ":forces:R:3")
        print(len(frame.charges), file=file)
        print(f'Properties={columns} energy={energy:.8f}{kept} pbc="F F F"', file=file)
        rows = frame.positions if force is None else np.hstack([frame.positions, force])
        for charge, row in zip(frame.charges, rows, strict=True):
            print(f"{SYMBOLS[int(charge)]:2s}" + "".join(f"{x:16.8f}" for x in row), file=file)


def _key_value(name, value):
    text = " ".join(map(str, np.ravel(value))) if isinstance(value, np.ndarray | list | tuple) else str(value)
    return f"{_quoted(name)}={_quoted(text)}"


def _quoted(text):
    """The text, in quotes if it is empty or something in it would mean something."""
    text = "".join(character if character.isprintable() else " " for character in text)
    if text and not set(text) & set(" ={}[],'\"\\"):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_json(file, frames, energies, forces):
    """A list with one object for each molecule: charges, energy in eV and, if wanted, forces in eV/Å."""
    rows = [
        {"charges": frame.charges.tolist(), "energy": energy} | ({} if force is None else {"forces": force.tolist()})
        for frame, energy, force in zip(frames, energies, forces, strict=True)
    ]
    json.dump(rows, file)
    file.write("\n")


def write_csv(file, frames, energies, forces):
    """A row for each molecule with its energy in eV, or with forces a row for each atom."""
    writer = csv.writer(file, lineterminator="\n")
    per_atom = any(force is not None for force in forces)
    writer.writerow(["molecule", "energy", *(["atom", "element", "fx", "fy", "fz"] if per_atom else [])])
    for k, (frame, energy, force) in enumerate(zip(frames, energies, forces, strict=True)):
        if not per_atom:
            writer.writerow([k, f"{energy:.8f}"])
            continue
        for i, (charge, row) in enumerate(zip(frame.charges, force, strict=True)):
            writer.writerow([k, f"{energy:.8f}", i, SYMBOLS[int(charge)], *(f"{x:.8f}" for x in row)])


WRITERS = {".xyz": write_extxyz, ".extxyz": write_extxyz, ".json": write_json, ".csv": write_csv}
