"""Fuzzed files: every reader gives finite numbers that fit together, or one sentence that names file or option."""

import io
import json
import signal
import zipfile

import numpy as np
import pytest

from cormorant_np.data import read_xyz
from cormorant_np.data.own import load_file, read_references
from cormorant_np.data.xyz import pad
from cormorant_np.errors import UserError
from cormorant_np.training.options import read_settings_file
from cormorant_np.training.settings import new_settings

FEW, MANY = 100, 10_000
SECONDS = 20
"""No reader may take longer for a file of a few kB."""

EXTENDED = """3
Lattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:forces:R:3:fixed:L:1 energy=-13.5 pbc="F F F" note="a b"
O 0 0 0.1 0.5 0 -0.5 T
H 0 0.8 -0.5 -0.5 0 0 F
H 0 -0.7 -0.4 0 0 0.5 F
"""
ATOM = "1\nProperties=species:S:1:pos:R:3 config_type=IsolatedAtom energy={}\n{} 0 0 0\n"
PLAIN = "3\nwater\nO 0 0 0.1\nH 0 0.8 -0.5\nH 0 -0.7 -0.4\n\n2\n\n1 0.0 0 0\n17 1.0D-01 0 1.27\n"
QM9 = """3
gdb 3\t799.58\t437.90\t282.94\t1.85\t6.31\t-0.29\t0.06\t0.36\t19.0\t0.02\t-76.40\t-76.40\t-76.40\t-76.42\t6.00
O\t-0.0343604951\t0.9775395708\t0.0076015923\t-0.589706
H\t0.0647664923\t0.0205721989\t1.5346341*^-6\t0.294853
H\t0.8717903737\t1.3007924048\t0.0006931336\t0.294853
1671.4222\t3803.6305\t3907.698
O\tO
InChI=1S/H2O/h1H2\tInChI=1S/H2O/h1H2
"""
ARRAYS = {
    "z": np.array([8, 1, 1], np.uint8),
    "R": np.random.default_rng(0).normal(size=(4, 3, 3)),
    "E": np.arange(4.0)[:, None],
    "F": np.ones((4, 3, 3)),
    "e_unit": np.array(b"kcal/mol"),
}
CONFIG = {"settings": {"lr": 1e-3, "l_max": [2, 1], "epochs": 3}, "network": {"species": [1, 8], "num_frequencies": 2}}
FRAGMENTS = [b"nan", b"1e999", b"\n", b"\0", b"=", b'"', b"Properties=", b"pos:R:3", b"9" * 11, b"-", b"\xff", b":"]


def mutated(content, rng):
    """Up to five changes: a byte, a bit, or a piece that is put in, copied or cut out."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        place, change = rng.integers(len(content)), rng.integers(5)
        if change == 0:
            content[place] = rng.integers(256)
        elif change == 1:
            content[place] ^= 1 << rng.integers(8)
        elif change == 2:
            content[place:place] = FRAGMENTS[rng.integers(len(FRAGMENTS))]
        elif change == 3:
            content[place:place] = content[rng.integers(len(content)) :][:40]
        else:
            del content[place : min(place + rng.integers(1, 30), len(content) - 1)]
    return bytes(content)


def packed(members):
    """An .npz file of the contents of its members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


MEMBERS = {name: npy(array) for name, array in ARRAYS.items()}


def with_a_mutated_member(_, rng):
    """An archive whose checksums are right, but one of whose arrays is not."""
    name = list(MEMBERS)[rng.integers(len(MEMBERS))]
    return packed(MEMBERS | {name: mutated(MEMBERS[name], rng)})


def written_by_ase(suffix, folder):
    """A file of three frames with energies and forces."""
    ase = pytest.importorskip("ase", reason="needs ASE")
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.io import write

    frames = [ase.Atoms("OH2", np.random.default_rng(seed).normal(size=(3, 3))) for seed in range(3)]
    for frame in frames:
        frame.calc = SinglePointCalculator(frame, energy=-13.5, forces=np.ones((3, 3)))
    write(folder / f"whole{suffix}", frames)
    return (folder / f"whole{suffix}").read_bytes()


def molecules(path):
    """What `predict` reads."""
    charges, positions = pad(read_xyz(path))
    return charges, [positions]


def frames(path):
    """What `train` reads."""
    read = load_file(path, max_memory=2**28)
    assert len(read.charges) == len(read.positions) == len(read.energies) > 0
    return read.charges, [read.positions, read.energies, *([] if read.forces is None else [read.forces])]


def references(path):
    read = read_references(path)
    return np.array(list(read)), [np.array(list(read.values()))]


def settings(path):
    new_settings(read_settings_file(path))
    return np.ones(1), []


READERS = {
    "plain xyz": (".xyz", (PLAIN + QM9 + EXTENDED).encode(), mutated, molecules),
    "extended xyz": (".xyz", (2 * EXTENDED + ATOM.format(-1.5, "H")).encode(), mutated, frames),
    "references": (".xyz", (ATOM.format(-1.5, "H") + ATOM.format(-40, "O")).encode(), mutated, references),
    "npz": (".npz", packed(MEMBERS), mutated, frames),
    "npz with right checksums": (".npz", b"", with_a_mutated_member, frames),
    "ASE's traj": (".traj", None, mutated, frames),
    "ASE's json": (".json", None, mutated, frames),
    "settings": (".json", json.dumps(CONFIG).encode(), mutated, settings),
}


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs POSIX signals")
@pytest.mark.parametrize("times", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", READERS)
def test_mutated_files_give_finite_numbers_or_a_sentence(name, times, tmp_path):
    suffix, content, mutation, read = READERS[name]
    content = written_by_ase(suffix, tmp_path) if content is None else content
    path, rng, num_read = tmp_path / f"own{suffix}", np.random.default_rng(times), 0
    previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
    for _ in range(times):
        path.write_bytes(mutation(content, rng))
        signal.alarm(SECONDS)
        try:
            charges, numbers = read(path)
        except UserError as error:
            said = str(error)
            assert (path.name in said or said.startswith("--")) and "\n" not in said and len(said) < 800
        else:
            num_read += 1
            assert charges.min() >= 0 and 1 <= charges.max() <= 118
            assert all(np.isfinite(array).all() for array in numbers)
        finally:
            signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)
    assert num_read < times
