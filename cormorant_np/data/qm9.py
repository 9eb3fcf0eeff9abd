"""QM9: 130831 small organic molecules at their equilibrium geometries, with twelve properties each."""

import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from cormorant_np.data.dataset import Dataset, centred
from cormorant_np.data.downloads import data_directory
from cormorant_np.data.qm9_sources import COLUMNS, read_molecules
from cormorant_np.data.references import reference_energies
from cormorant_np.errors import UserError
from cormorant_np.files import written_whole

NUM_MOLECULES = 130_831
NUM_TRAIN, NUM_VALID = 100_000, 17_748
MAX_ATOMS = 29
CACHE = "qm9_cache.npz"
SAMPLE = Path(__file__).with_name("sample_qm9.npz")
THEORY = "DFT, B3LYP/6-31G(2df,p)"
HARTREE_IN_EV = 27.2114
SPECIES = (1, 6, 7, 8, 9)


class Target(NamedTuple):
    """One of the twelve properties.

    meaning, unit : str
    factor : float, from the unit of the original files to `unit`
    references : what a free atom of each of `SPECIES` contributes, in the unit of the original files
    """

    meaning: str
    unit: str
    factor: float = 1.0
    references: tuple[float, ...] = (0.0,) * len(SPECIES)


TARGETS = {
    "alpha": Target("isotropic polarizability", "bohr³"),
    "gap": Target("LUMO energy less HOMO energy", "eV", HARTREE_IN_EV),
    "homo": Target("energy of the highest occupied molecular orbital", "eV", HARTREE_IN_EV),
    "lumo": Target("energy of the lowest unoccupied molecular orbital", "eV", HARTREE_IN_EV),
    "mu": Target("dipole moment", "D"),
    "Cv": Target("heat capacity at 298.15 K, less that of the free atoms", "cal/mol/K", references=(2.981,) * 5),
    "G": Target(
        "Gibbs free energy at 298.15 K, less that of the free atoms",
        "eV",
        HARTREE_IN_EV,
        (-0.510927, -37.861317, -54.598897, -75.079532, -99.733544),
    ),
    "H": Target(
        "enthalpy at 298.15 K, less that of the free atoms",
        "eV",
        HARTREE_IN_EV,
        (-0.497912, -37.844411, -54.581501, -75.062219, -99.716370),
    ),
    "R2": Target("electronic spatial extent", "bohr²"),
    "U": Target(
        "internal energy at 298.15 K, less that of the free atoms",
        "eV",
        HARTREE_IN_EV,
        (-0.498857, -37.845355, -54.582445, -75.063163, -99.717314),
    ),
    "U0": Target(
        "internal energy at 0 K, less that of the free atoms",
        "eV",
        HARTREE_IN_EV,
        (-0.500273, -37.846772, -54.583861, -75.064579, -99.718730),
    ),
    "ZPVE": Target("zero-point vibrational energy", "meV", 1000 * HARTREE_IN_EV),
}


class Table(NamedTuple):
    """n molecules in the order of their index, as published; the atoms of all of them stand in one long column.

    index, num_atoms : (n,) integers
    charges : (atoms of all molecules,) integers
    positions : (atoms of all molecules, 3) in Å
    properties : (n, 12) float64, in the order of `COLUMNS` and in the units of the original files
    """

    index: np.ndarray
    num_atoms: np.ndarray
    charges: np.ndarray
    positions: np.ndarray
    properties: np.ndarray


def load_qm9(target="U0", data_dir=None):
    """QM9 with one of its twelve targets, and with the paper's split.

    Ramakrishnan, Dral, Rupp and von Lilienfeld, Scientific Data 1, 140022 (2014), https://doi.org/10.1038/sdata.2014.22,
    without the 3054 molecules that failed the authors' consistency check. The first call reads the tables of the
    package qm9pack, if that is installed, or the original files, which are downloaded if they are missing; it writes
    a cache file into the data directory, which later calls read.

    Parameters
    ----------
    target : str, a key of `TARGETS`
    data_dir : path, default as in `downloads.data_directory`

    Returns
    -------
    Dataset
        The target is in `energies`, whatever it is: in float64, less the free atoms' share for G, H, U, U0 and Cv.

    Raises
    ------
    UserError
        If the target is unknown, or the data are neither there nor to be had.
    """
    check_target(target)
    return _dataset("qm9", read_table(data_directory(data_dir)), target)._replace(splits=paper_split())


def load_qm9_sample(target="U0"):
    """The 1000 molecules of QM9, randomly chosen, that come with the package; without an official split.

    Parameters and errors are those of `load_qm9`.
    """
    check_target(target)
    with np.load(SAMPLE) as arrays:
        return _dataset("qm9-sample", Table(**arrays), target)


def check_target(name):
    """Raise a `UserError` that lists the targets if `name` is none of them."""
    if name not in TARGETS:
        raise UserError(f"QM9 has no target '{name}': choose one of {', '.join(TARGETS)}.")


def describe_targets():
    """A table of the targets for people: name, unit and meaning, one in a line."""
    return "\n".join(f"{name:<6}{target.unit:<11}{target.meaning}" for name, target in TARGETS.items())


def paper_split():
    """Cormorant's split of the 130831 molecules: 100000 to train, 17748 to validate and 13083 to test.

    They are the front, the middle and the back of a permutation by NumPy's legacy generator with seed 0.
    """
    order = np.random.RandomState(0).permutation(NUM_MOLECULES)
    train, valid, test = np.split(order, [NUM_TRAIN, NUM_TRAIN + NUM_VALID])
    return {"train": train, "valid": valid, "test": test}


def read_table(directory):
    """All of QM9 from the cache file in `directory`, which is made if it is missing or damaged."""
    path = directory / CACHE
    table = _read_cache(path)
    if table is None:
        molecules = read_molecules(directory)
        table = make_table(tqdm(molecules, desc="Reading QM9, once", total=NUM_MOLECULES, unit=" molecules"))
        _write_cache(path, table)
    return table


def make_table(molecules):
    """A `Table` of an iterable of `Molecule`; a `UserError` unless they are as many as QM9 has."""
    molecules = sorted(molecules, key=lambda molecule: molecule.index)
    if len(molecules) != NUM_MOLECULES:
        raise UserError(
            f"The files of QM9 hold {len(molecules)} molecules, but {NUM_MOLECULES} are needed: get them again."
        )
    return Table(
        index=np.array([molecule.index for molecule in molecules]),
        num_atoms=np.array([len(molecule.charges) for molecule in molecules]),
        charges=np.concatenate([molecule.charges for molecule in molecules]).astype(np.uint8),
        positions=np.concatenate([molecule.positions for molecule in molecules]),
        properties=np.array([molecule.properties for molecule in molecules]),
    )


def _read_cache(path):
    if not path.exists():
        return None
    try:
        with np.load(path) as arrays:
            return Table(**arrays)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error):
        print(f"{path} is damaged, or from another version of this package: it is made again.")
        return None


def _write_cache(path, table):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part, open(part, "wb") as file:
            np.savez(file, **table._asdict())
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): give another folder as --data-dir.") from error


def _dataset(name, table, target):
    charges, positions = _pad(table)
    return Dataset(
        name=name,
        theory=THEORY,
        charges=charges,
        positions=positions,
        energies=_values(table, charges, target),
        forces=None,
        unit=TARGETS[target].unit,
        splits={},
    )


def _pad(table):
    """Charges (n, 29) and positions (n, 29, 3), each molecule's centre at the origin and its padding 0."""
    atoms = np.arange(MAX_ATOMS) < table.num_atoms[:, None]
    charges = np.zeros(atoms.shape, np.int64)
    charges[atoms] = table.charges
    positions = np.zeros((*atoms.shape, 3))
    positions[atoms] = table.positions
    return charges, centred(charges, positions)


def _values(table, charges, target):
    published = table.properties[:, list(COLUMNS).index(target)]
    return published * TARGETS[target].factor - free_atoms(charges, target)


def free_atoms(charges, target):
    """What the free atoms of each molecule contribute to the target, (n,) float64 in the target's unit.

    Parameters
    ----------
    charges : (n, N) integers, 0 is padding
    target : str, a key of `TARGETS`
    """
    factor, references = TARGETS[target].factor, dict(zip(SPECIES, TARGETS[target].references, strict=True))
    return factor * reference_energies(charges, references)
