"""Hostile .npz files: one sentence each, and no memory for what they only promise."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from cormorant_np.data import load_file, read_frames
from cormorant_np.errors import UserError

ARRAYS = {
    "z": np.array([8, 1, 1], np.uint8),
    "R": np.arange(45.0).reshape(5, 3, 3) ** 1.1,
    "E": np.arange(5.0),
    "F": np.ones((5, 3, 3)),
}


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def header(text, version=b"\x01\x00"):
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text.encode()


@pytest.fixture
def save(tmp_path):
    def save(members, compression=zipfile.ZIP_STORED):
        path = tmp_path / "own.npz"
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, contents in ({name: npy(array) for name, array in ARRAYS.items()} | members).items():
                archive.writestr(f"{name}.npy", contents)
        return path

    return save


PROMISE = "{'descr': '<f8', 'fortran_order': False, 'shape': %s, }\n"


@pytest.mark.parametrize(
    "contents, said",
    [
        (b"", "cannot be read"),
        (b"\x93NUMPY", "cannot be read"),
        (b"not an array", "cannot be read"),
        (header(PROMISE % "(9000000000000,)"), r"E.npy promises an array of shape \(9000000000000,\)"),
        (header(PROMISE % "(4294967296, 4294967296, 4294967296)"), "promises an array"),
        (header(PROMISE % "(-5,)") + bytes(40), "promises an array"),
        (header(PROMISE % "(5,)") + bytes(39), "promises an array"),
        (header(PROMISE % "(5,)") + bytes(41), "promises an array"),
        (header("(" * 9000), "cannot be read"),
        (header("[" * 60_000), "cannot be read"),
        (header("{'descr': '<f8'"), "cannot be read"),
        (header("__import__('os').abort()\n"), "cannot be read"),
        (header(PROMISE % "(5,)", b"\x09\x00") + bytes(40), "cannot be read"),
        (header("{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000000,), }\n"), "MiB of memory"),
        (header("{'descr': '|O', 'fortran_order': False, 'shape': (5,), }\n") + b"cos\nabort\n(tR.", "Python objects"),
    ],
)
def test_hostile_members(save, contents, said):
    with pytest.raises(UserError, match=said) as error:
        load_file(save({"E": contents}))
    assert "own.npz" in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize("codes", [[0x41414141], [0xD800], [0x1B]], ids=["no character", "surrogate", "escape"])
def test_text_that_cannot_be_printed(save, codes):
    text = np.array(codes, np.uint32).view("<U1").reshape(())
    with pytest.raises(UserError, match="under theory no single text"):
        load_file(save({"theory": npy(text)}))


def test_a_zip_bomb_is_not_unpacked(save):
    zeros = np.zeros((1_000_000, 3, 3))
    path = save({"R": npy(zeros), "E": npy(np.zeros(1_000_000))}, zipfile.ZIP_DEFLATED)
    del zeros
    assert path.stat().st_size < 200_000
    tracemalloc.start()
    with pytest.raises(UserError, match=r"needs 2\d\d MiB of memory, but 10 MiB may be used"):
        load_file(path, max_memory=10 * 2**20)
    assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    tracemalloc.stop()


def change_headers(path, offset_in_local, offset_in_central, value):
    """Write two bytes into the headers of every member of a zip file."""
    contents = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", offset_in_local), (b"PK\x01\x02", offset_in_central)):
        start = contents.find(magic)
        while start >= 0:
            contents[start + offset : start + offset + 2] = value
            start = contents.find(magic, start + 1)
    path.write_bytes(contents)
    return path


def test_encrypted_members_and_unknown_compression(save):
    with pytest.raises(UserError, match="is encrypted"):
        load_file(change_headers(save({}), 6, 8, b"\x01\x00"))
    with pytest.raises(UserError, match="cannot be read"):
        load_file(change_headers(save({}), 8, 10, b"\x63\x00"))


def test_unneeded_members_are_not_read(save):
    data = load_file(save({"notes": b"no array", "big": header(PROMISE % "(9000000000000,)")}))
    assert data.energies.tolist() == [0, 1, 2, 3, 4]


def test_changed_bytes_give_a_sentence_or_the_right_data(save, tmp_path):
    """500 mutations; those that the checksums of the zip file do not see are in parts that do not matter."""
    rng = np.random.default_rng(0)
    whole = save({}).read_bytes()
    num_refused = 0
    for _ in range(500):
        contents = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            contents[rng.integers(len(contents))] = rng.integers(256)
        if rng.random() < 0.2:
            del contents[rng.integers(len(contents)) :]
        (tmp_path / "own.npz").write_bytes(contents)
        try:
            data = load_file(tmp_path / "own.npz")
        except UserError as error:
            num_refused += 1
            assert "\n" not in str(error)
        else:
            assert np.isfinite(data.energies).all() and np.isfinite(data.positions).all()
            assert (data.energies == ARRAYS["E"]).all()
    assert num_refused > 300


def test_messages_and_notes_name_the_arrays_that_are_there(save, tmp_path):
    path = save({"Energy": npy(np.zeros(2)), "grad": npy(np.zeros((2, 2, 3)))})
    with pytest.raises(UserError, match=r"has no array energy: it has .*Energy.*grad"):
        load_file(path, energy_key="energy")
    np.savez(tmp_path / "other.npz", z=[8, 1], R=np.eye(2, 3)[None], Energy=[-2.0], grad=np.ones((1, 2, 3)))
    with pytest.raises(UserError, match=r"it has Energy, R, grad, z; .* named with --energy-key"):
        load_file(tmp_path / "other.npz")
    data = load_file(tmp_path / "other.npz", energy_key="Energy")
    assert data.forces is None and "it has Energy, R, grad, z (--forces-key)" in " ".join(data.notes)
    assert load_file(tmp_path / "other.npz", energy_key="Energy", forces_key="grad").forces.tolist() == [[[1] * 3] * 2]
    np.savez(tmp_path / "mixed.npz", z=[8, 1], R=np.eye(2, 3)[None], E=[-2.0], forces=np.ones((1, 2, 3)))
    assert load_file(tmp_path / "mixed.npz").forces is not None


def test_molecules_alone(tmp_path):
    positions = 7 + np.arange(12.0).reshape(2, 2, 3)
    np.savez(tmp_path / "own.npz", nuclear_charges=[[8, 1], [2, 0]], coords=positions, r_unit="Bohr")
    first, second = read_frames(tmp_path / "own.npz")
    assert first.charges.tolist() == [8, 1] and second.charges.tolist() == [2]
    np.testing.assert_allclose(first.positions / positions[0], 0.529177, rtol=1e-6)
    np.savez(tmp_path / "own.npz", z=[8, 1], R=positions[0])
    with pytest.raises(UserError, match=r"shapes in .* disagree"):
        read_frames(tmp_path / "own.npz")


def test_atoms_at_one_place_are_named_by_their_frame(tmp_path):
    positions = np.tile(np.eye(3), (3, 1, 1))
    positions[2, 2] = positions[2, 0]
    np.savez(tmp_path / "own.npz", z=[8, 1, 1], R=positions, E=np.zeros(3))
    with pytest.raises(UserError, match=r"Atoms 0 and 2 of frame 2 of .*own\.npz are at the same place"):
        load_file(tmp_path / "own.npz")
