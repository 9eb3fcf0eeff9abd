"""Files: the two formats, the original files if they are here, and every way to be broken that a user may meet."""

from pathlib import Path

import numpy as np
import pytest

from cormorant_np.data import load, load_file, split
from cormorant_np.errors import UserError

FILES = Path(__file__).parents[1] / "../shared/data"
needs_files = pytest.mark.skipif(not FILES.is_dir(), reason="the original MD17 and rMD17 files are not on this machine")


@pytest.fixture
def md17():
    rng = np.random.default_rng(0)
    return {
        "z": np.array([8, 1, 1], np.uint8),
        "R": 100 + rng.normal(size=(5, 3, 3)).astype(np.float32),
        "E": -1e5 + rng.normal(size=(5, 1)),
        "F": rng.normal(size=(5, 3, 3)).astype(np.float32),
    }


@pytest.fixture
def save(tmp_path):
    def save(arrays):
        np.savez(tmp_path / "own.npz", **arrays)
        return tmp_path / "own.npz"

    return save


def test_md17_format(md17, save):
    data = load("md17", data_file=save(md17))
    assert data.name == "own" and data.unit == "kcal/mol" and data.splits == {}
    assert data.charges.dtype == np.int64 and data.charges.tolist() == [[8, 1, 1]] * 5
    assert data.energies.dtype == np.float64 and (data.energies == md17["E"][:, 0]).all()
    assert data.forces.dtype == np.float64 and (data.forces == md17["F"]).all()
    assert data.positions.dtype == np.float64 and abs(data.positions.mean(axis=1)).max() < 1e-12
    moved = md17["R"].astype(float) - data.positions
    assert np.ptp(moved, axis=1).max() < 1e-12


def test_rmd17_format_and_missing_forces(md17, save):
    renamed = {"nuclear_charges": md17["z"], "coords": md17["R"], "energies": md17["E"][:, 0]}
    data, same = load("rmd17", data_file=save(renamed)), load("sample", data_file=save(md17))
    assert data.forces is None
    assert all((getattr(data, key) == getattr(same, key)).all() for key in ("charges", "positions", "energies"))


def test_full_size_md17_has_the_papers_split(save):
    arrays = {"z": [1], "R": np.zeros((70_000, 1, 3)), "E": np.zeros(70_000)}
    parts = split(load("md17", data_file=save(arrays)), None, None, None, seed=0)
    assert [len(parts[key]) for key in ("train", "valid", "test")] == [50_000, 10_000, 10_000]


@pytest.mark.parametrize(
    "change, said",
    [
        ({"E": None}, "lacks some of the arrays .*it has F, R, z"),
        ({"z": [8, 1]}, r"shapes in .* disagree.*charges \(2,\)"),
        ({"E": np.zeros(4)}, "disagree"),
        ({"F": np.zeros((5, 3, 2))}, "disagree"),
        ({"R": np.zeros((5, 9))}, "disagree"),
        ({"R": np.full((5, 3, 3), np.nan)}, "Some positions .* are not finite"),
        ({"E": np.full(5, np.inf)}, "Some energies .* are not finite"),
        ({"z": ["O", "H", "H"]}, "Some charges .* are not finite numbers"),
        ({"z": np.array([8, 1, None])}, "Python objects under z"),
        ({"z": [6.5, 1, 1]}, "the charge 6.5: .* whole numbers from 1 to 118"),
        ({"z": [8, 119, 1]}, "the charge 119"),
        ({"z": [8, 10**12, 1]}, "the charge 1000000000000"),
        ({"z": [8, -1, 1]}, "the charge -1"),
        ({"z": [8.0, np.nan, 1]}, "the charge nan"),
        ({"z": [8, 0, 1]}, "the charge 0 before an atom"),
        ({"z": [0, 0, 0]}, "the charge 0 before an atom"),
        ({"z": [[8, 1, 1]] * 4 + [[0, 8, 1]]}, "the charge 0 before an atom"),
        ({"z": [True, True, True]}, "Some charges"),
        ({"E": np.zeros(5, complex)}, "Some energies"),
        ({"e_unit": "furlong"}, "e_unit = furlong.*eV, meV, kcal/mol"),
        ({"r_unit": "furlong"}, "unit of length 'furlong'"),
        ({"e_unit": ["eV", "eV"]}, "under e_unit no single text"),
        ({"e_unit": b"\xff\xfe"}, "under e_unit no single text"),
        ({"e_unit": 5}, "under e_unit no single text"),
        ({"theory": np.zeros((2, 2))}, "under theory no single text"),
        ({"R": np.full((5, 3, 3), 1e9)}, "Some positions .* below 1e.06 .frame 0"),
        ({"lattice": np.eye(3)}, "periodic"),
    ],
)
def test_wrong_contents(md17, save, change, said):
    arrays = {key: array for key, array in (md17 | change).items() if array is not None}
    with pytest.raises(UserError, match=said) as error:
        load("md17", data_file=save(arrays))
    assert "\n" not in str(error.value)


def test_wrong_files(md17, save, tmp_path):
    path = save(md17)
    whole = path.read_bytes()
    for broken in (b"", b"<html>no such page</html>", whole[: len(whole) // 2]):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"own\.npz is not an \.npz file"):
            load("md17", data_file=path)
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"own\.npz cannot be read"):
        load("md17", data_file=path)
    with pytest.raises(UserError, match="There is no data file"):
        load("md17", data_file=tmp_path / "absent.npz")


def test_units_of_the_file(md17, save):
    plain = load_file(save(md17))
    assert plain.unit == "kcal/mol"
    assert plain.notes == ("The file does not say its unit of energy: kcal/mol is assumed (--energy-unit).",)
    data = load_file(save(md17 | {"e_unit": b"hartree", "r_unit": "nm", "theory": np.array(b"PBE"), "name": "water"}))
    assert data.unit == "Hartree" and data.theory == "PBE" and data.notes == ()
    assert (data.energies == plain.energies).all()
    np.testing.assert_allclose(data.positions, 10 * plain.positions, rtol=1e-12)
    np.testing.assert_allclose(data.forces, plain.forces / 10, rtol=1e-12)


def test_units_of_the_user(md17, save):
    data = load_file(save(md17), energy_unit="ev")
    assert data.unit == "eV" and data.notes == ()
    assert load_file(save(md17 | {"e_unit": "Ha"}), energy_unit="hartree").unit == "Hartree"
    with pytest.raises(UserError, match="e_unit = kcal/mol, which is not eV"):
        load_file(save(md17 | {"e_unit": "kcal/mol"}), energy_unit="eV")
    with pytest.raises(UserError, match="no unit of energy 'furlong'"):
        load_file(save(md17), energy_unit="furlong")


def test_names_of_the_user(md17, save):
    renamed = {"z": md17["z"], "R": md17["R"], "dft": md17["E"], "dft_forces": md17["F"], "E": np.zeros(5)}
    data = load_file(save(renamed), energy_key="dft", forces_key="dft_forces")
    assert (data.energies == md17["E"][:, 0]).all() and (data.forces == md17["F"]).all()
    for option in ("energy_key", "forces_key"):
        with pytest.raises(UserError, match="has no array missing: it has E, R"):
            load_file(save(renamed), **{option: "missing"})


def test_molecules_of_different_sizes_are_padded(md17, save):
    sizes = {"z": [[8, 1, 1]] * 4 + [[9, 1, 0]]}
    md17["R"][4, 2] = np.nan
    data = load_file(save(md17 | sizes))
    assert data.charges[4].tolist() == [9, 1, 0]
    assert (data.positions[4, 2] == 0).all() and (data.forces[4, 2] == 0).all()
    assert (data.forces[:4] == md17["F"][:4]).all()
    np.testing.assert_allclose(data.positions[4, 0], -data.positions[4, 1], rtol=1e-12)


@pytest.mark.parametrize(
    "name, molecule, said",
    [
        ("md18", "ethanol", "choose one of sample, md17, rmd17"),
        ("md17", "water", "aspirin, .*uracil"),
        ("rmd17", "water", "aspirin, .*uracil"),
        ("sample", "aspirin", "only ethanol"),
    ],
)
def test_unknown_names(name, molecule, said):
    with pytest.raises(UserError, match=said):
        load(name, molecule)


@needs_files
def test_original_md17_file():
    data = load("md17", data_file=FILES / "md17/md17_ethanol_2000.npz")
    assert data.positions.shape == data.forces.shape == (2000, 9, 3) and data.charges[0].tolist() == [6, 6, 8] + [1] * 6
    assert data.theory == "DFT (original MD17 labels)"
    assert np.isclose(data.energies.mean(), -97196, atol=20)
    assert 3 < data.energies.std() < 6


@needs_files
def test_original_rmd17_pair():
    data = load("rmd17", "ethanol", FILES / "rmd17")
    parts = split(data, 950, 50, None, seed=0)
    assert data.positions.shape == data.forces.shape == (2000, 9, 3)
    assert [len(parts[key]) for key in ("train", "valid", "test")] == [950, 50, 1000]
    with np.load(FILES / "rmd17/rmd17_ethanol_test_01.npz") as test:
        assert (data.energies[parts["test"]] == test["energies"]).all()
    mean = data.energies[data.splits["train"]].mean()
    assert np.isclose(abs(data.energies[parts["test"]] - mean).mean(), 3.25, atol=0.005)


@needs_files
def test_another_split_of_rmd17():
    data = load("rmd17", "ethanol", FILES / "rmd17", rmd17_split=3)
    with np.load(FILES / "rmd17/rmd17_ethanol_train_03.npz") as train:
        assert (data.energies[data.splits["train"]] == train["energies"]).all()


@needs_files
def test_benzene_drifts_and_is_centred():
    data = load("rmd17", "benzene", FILES / "rmd17")
    with np.load(FILES / "rmd17/rmd17_benzene_train_01.npz") as train:
        assert np.linalg.norm(train["coords"].mean(axis=1), axis=-1).max() > 300
    assert np.linalg.norm(data.positions, axis=-1).max() < 4
    assert abs(data.positions.mean(axis=1)).max() < 1e-13
