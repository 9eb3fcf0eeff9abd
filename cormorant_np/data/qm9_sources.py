"""The two places to get QM9 from: the installed package qm9pack, or the original files on figshare."""

import csv
import importlib.util
import re
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cormorant_np.data.downloads import download
from cormorant_np.data.elements import CHARGES
from cormorant_np.errors import UserError

# the properties in the order of the original files, and their columns in qm9pack
COLUMNS = {
    "mu": "Dipole_debye",
    "alpha": "Polarizability_bohr3",
    "homo": "HOMO_au",
    "lumo": "LUMO_au",
    "gap": "HOMO_LUMO_gap_au",
    "R2": "R2_bohr2",
    "ZPVE": "ZPVE_au",
    "U0": "InternalEnergy_0K_au",
    "U": "InternalEnergy_298K_au",
    "H": "Enthalphy_298K_au",
    "G": "GibbsFreeEnergy_298K_au",
    "Cv": "Heatcapacity_Cv_cal_mol_K",
}
ARCHIVE = "dsgdb9nsd.xyz.tar.bz2"
UNCHARACTERIZED = "uncharacterized.txt"
FIGSHARE = {
    ARCHIVE: ("3195389", "md5:ad1ebd51ee7f5b3a6e32e974e5d54012"),
    UNCHARACTERIZED: ("3195404", "md5:a361887bacb427b8a0ce7903d92a53b4"),
}
SITES = ("https://ndownloader.figshare.com/files", "https://springernature.figshare.com/ndownloader/files")


class Molecule(NamedTuple):
    """One molecule of QM9, as published.

    index : int, from 1 to 133885
    charges : list of N integers
    positions : (N, 3) float64 in Å
    properties : list of 12 floats in the order of `COLUMNS`: D, bohr³, bohr², cal/mol/K, all energies in Hartree
    """

    index: int
    charges: list[int]
    positions: np.ndarray
    properties: list[float]


def read_molecules(directory):
    """The molecules of QM9 without the 3054 uncharacterised ones, from qm9pack if it is installed, else from figshare.

    Parameters
    ----------
    directory : Path
        Where the original files are; those that are missing are downloaded.

    Returns
    -------
    iterator of Molecule

    Raises
    ------
    UserError
        If the original files are needed and cannot be had.
    """
    parts = find_qm9pack()
    if parts:
        return read_qm9pack(parts)
    for name in FIGSHARE:
        _download(directory / name)
    return read_figshare(directory / ARCHIVE, directory / UNCHARACTERIZED)


def find_qm9pack():
    """The paths of qm9pack's three tables, or an empty list. The package itself is not imported: that needs pandas."""
    spec = importlib.util.find_spec("qm9pack")
    if spec is None:
        return []
    folder = Path(spec.submodule_search_locations[0]) / "data"
    parts = [folder / f"qm9_part{number}.csv" for number in (1, 2, 3)]
    return parts if all(path.is_file() for path in parts) else []


def read_qm9pack(parts):
    """Read qm9pack's tables; they have no uncharacterised molecules."""
    for path in parts:
        with open(path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield Molecule(
                    index=int(row["Index"]),
                    charges=[CHARGES[symbol] for symbol in re.findall("[A-Z]", row["Elements"])],
                    positions=_positions(re.sub(r"[\[\]]", "", row["XYZ_Ang"]).split(",")),
                    properties=[float(row[column]) for column in COLUMNS.values()],
                )


def read_figshare(archive, uncharacterized):
    """Read the original files: an archive of 133885 xyz files, and the list of those to leave out.

    Nothing is unpacked to the disk.
    """
    left_out = _read_uncharacterized(uncharacterized)
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.endswith(".xyz"):
                molecule = read_original(tar.extractfile(member).read().decode())
                if molecule.index not in left_out:
                    yield molecule


def read_original(text):
    """Read one of the original xyz files.

    Its lines are: the number of atoms N; `gdb`, the index, the rotational constants A, B, C and the 12 properties;
    N lines of symbol, x, y, z and Mulliken charge; then frequencies, SMILES and InChI, which are not needed.
    Small numbers are written as 1.2*^-5.
    """
    lines = text.replace("*^", "e").splitlines()
    num_atoms = int(lines[0])
    _, index, _, _, _, *properties = lines[1].split()
    atoms = [line.split() for line in lines[2 : 2 + num_atoms]]
    return Molecule(
        index=int(index),
        charges=[CHARGES[symbol] for symbol, *_ in atoms],
        positions=_positions([word for atom in atoms for word in atom[1:4]]),
        properties=[float(word) for word in properties],
    )


def _positions(words):
    return np.array([float(word) for word in words]).reshape(-1, 3)


def _read_uncharacterized(path):
    """The indices in the first column of a table under nine lines of heading, with one closing line."""
    return {int(line.split()[0]) for line in path.read_text(encoding="utf-8").splitlines()[9:-1]}


def _download(path):
    file, known_hash = FIGSHARE[path.name]
    problems = []
    for site in SITES:
        try:
            return download(f"{site}/{file}", path, known_hash)
        except UserError as error:
            problems.append(error)
    raise UserError(
        f"QM9 is not in {path.parent} and cannot be downloaded, neither from {SITES[0]} nor from {SITES[1]}: run "
        "pip install --no-deps qm9pack, a package with the same data, put figshare's files "
        f"{' and '.join(FIGSHARE)} into that folder, or use --dataset qm9-sample, which needs neither."
    ) from problems[0]
