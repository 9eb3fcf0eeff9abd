"""Splits: disjoint, seeded, official where there is an official split."""

import numpy as np
import pytest

from cormorant_np.data import Dataset, load, split
from cormorant_np.data.dataset import join
from cormorant_np.data.elements import SYMBOLS
from cormorant_np.data.md17 import FILES, paper_split
from cormorant_np.errors import UserError

OFFICIAL = {"train": np.arange(60), "test": np.arange(60, 100)}


def dataset(num_frames, splits=()):
    charges, positions = np.ones((num_frames, 2), int), np.zeros((num_frames, 2, 3))
    return Dataset("made up", "none", charges, positions, np.zeros(num_frames), None, "kcal/mol", dict(splits))


def test_permuted_split_is_disjoint_seeded_and_nested():
    data = dataset(100)
    parts = split(data, 60, 15, 20, seed=1)
    assert [len(parts[key]) for key in ("train", "valid", "test")] == [60, 15, 20]
    assert len(np.unique(np.concatenate(list(parts.values())))) == 95
    again, other, smaller = split(data, 60, 15, 20, seed=1), split(data, 60, 15, 20, seed=2), split(data, 10, 15, 20, 1)
    assert all((parts[key] == again[key]).all() for key in parts)
    assert (parts["test"] != other["test"]).any()
    assert (smaller["test"] == parts["test"]).all() and (smaller["train"] == parts["train"][:10]).all()


def test_none_takes_the_rest_of_a_permutation():
    parts = split(dataset(100), None, 10, 20, seed=0)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
    assert len(split(dataset(100), 70, 10, None, seed=0)["test"]) == 20
    assert len(split(dataset(100), 100, 0, 0, seed=0)["test"]) == 0


@pytest.mark.parametrize("num_frames, sizes", [(700, (560, 70, 70)), (1004, (804, 100, 100)), (3, (1, 1, 1))])
def test_without_any_number_a_tenth_validates_and_a_tenth_tests(num_frames, sizes):
    parts = split(dataset(num_frames), None, None, None, seed=0)
    assert tuple(len(parts[key]) for key in ("train", "valid", "test")) == sizes
    assert len(np.unique(np.concatenate(list(parts.values())))) == num_frames


def test_official_split_without_validation_takes_it_from_the_end_of_train():
    data = dataset(20, {"train": np.arange(19, 9, -1), "test": np.arange(10)})
    parts = split(data, 7, 2, None, seed=5)
    assert parts["train"].tolist() == [19, 18, 17, 16, 15, 14, 13]
    assert parts["valid"].tolist() == [11, 10]
    assert parts["test"].tolist() == list(range(10))
    everything = split(data, None, None, None, seed=5)
    assert len(everything["train"]) == 10 and len(everything["valid"]) == 0


@pytest.mark.parametrize(
    "splits, numbers, said",
    [
        ({}, (90, 10, 1), "101 frames were asked for"),
        ({}, (None, None, 1), "all but one"),
        ({}, (None, 10, None), "all but one"),
        ({}, (-1, 1, 1), "must not be negative"),
        (OFFICIAL, (55, 6, 10), "55 train frames were asked for.* has 54"),
        (OFFICIAL, (1, 61, 10), "61 validation frames were asked for.* its 60 training"),
        (OFFICIAL, (50, 6, 41), "41 test frames were asked for.* has 40"),
    ],
)
def test_too_many_frames(splits, numbers, said):
    with pytest.raises(UserError, match=said):
        split(dataset(100, splits), *numbers, seed=0)


def test_two_frames_cannot_be_split():
    with pytest.raises(UserError, match="has 2 frames, too few"):
        split(dataset(2), None, None, None, seed=0)


def test_papers_split_of_md17():
    np.random.seed(0)
    order = np.random.permutation(100_000)
    splits = paper_split(100_000)
    assert (splits["train"][:10_000] == order[:10_000]).all()
    assert (splits["train"][10_000:] == order[30_000:70_000]).all()
    assert (splits["valid"] == order[10_000:20_000]).all() and (splits["test"] == order[20_000:30_000]).all()
    assert len(np.unique(np.concatenate(list(splits.values())))) == 70_000
    assert paper_split(69_999) == {}


def test_parts_of_different_width_are_padded_behind_their_atoms():
    one = dataset(1)._replace(charges=np.array([[6, 1, 1, 1]]), positions=np.ones((1, 4, 3)), forces=np.ones((1, 4, 3)))
    two = dataset(1)._replace(charges=np.array([[8, 1]]), positions=np.full((1, 2, 3), 2.0), forces=np.ones((1, 2, 3)))
    joined = join({"train": one, "test": two._replace(unit="eV")})
    assert joined.charges.tolist() == [[6, 1, 1, 1], [8, 1, 0, 0]]
    assert joined.positions[1, :, 0].tolist() == [2, 2, 0, 0]
    np.testing.assert_allclose(joined.forces[1, :, 0], [23.0605, 23.0605, 0, 0], rtol=1e-5)
    assert {part: indices.tolist() for part, indices in joined.splits.items()} == {"train": [0], "test": [1]}


def save_frames(path, num_frames, charges=(1,)):
    positions = np.arange(3.0 * len(charges)).reshape(-1, 3) + np.zeros((num_frames, 1, 1))
    energies, forces = np.arange(float(num_frames)), np.ones_like(positions)
    if "rmd17" in path.name:
        np.savez(path, coords=positions, nuclear_charges=charges, energies=energies, forces=forces)
    else:
        np.savez(path, R=positions, z=charges, E=energies, F=forces)


def test_md17_is_in_kcal_per_mol_and_has_the_split_of_the_paper(tmp_path):
    save_frames(tmp_path / "md17_ethanol.npz", 70_000)
    found = load("md17", "ethanol", data_dir=tmp_path)
    assert found.unit == "kcal/mol" and found.energies[7] == 7.0
    order = np.random.RandomState(0).permutation(70_000)
    np.testing.assert_array_equal(found.splits["test"], order[20_000:30_000])
    assert all(name in file for name, file in FILES.items())


def test_rmd17_is_in_kcal_per_mol_whole_and_as_a_pair(tmp_path):
    save_frames(tmp_path / "rmd17_uracil.npz", 5)
    whole = load("rmd17", "uracil", data_dir=tmp_path)
    assert whole.unit == "kcal/mol" and whole.energies.tolist() == [0, 1, 2, 3, 4]
    (tmp_path / "rmd17_uracil.npz").unlink()
    for part, number in (("train", 3), ("test", 2)):
        save_frames(tmp_path / f"rmd17_uracil_{part}_01.npz", number)
    pair = load("rmd17", "uracil", data_dir=tmp_path)
    assert pair.unit == "kcal/mol" and pair.energies.tolist() == [0, 1, 2, 0, 1] and pair.forces.shape == (5, 1, 3)
    assert {part: indices.tolist() for part, indices in pair.splits.items()} == {"train": [0, 1, 2], "test": [3, 4]}


def test_symbols_are_those_of_the_elements():
    ase_data = pytest.importorskip("ase.data")
    assert all(ase_data.chemical_symbols[charge] == symbol for charge, symbol in SYMBOLS.items())
