"""Warnings about forces that do not belong to the energies, and about units, on springs whose answer is known."""

from pathlib import Path

import numpy as np
import pytest

from cormorant_np.data import load_file
from cormorant_np.data.plausibility import BOLTZMANN_EV, _rotations, apparent_temperature, force_slope, warn
from cormorant_np.data.units import energy_factor

FILES = Path(__file__).parents[1].parent / "shared" / "data"
KT = 500 * BOLTZMANN_EV
REST = np.array([[0, 0, 0], [1.1, 0, 0], [1.1, 1.2, 0], [0, 1.2, 0.4]])  # Å


def springs(num_frames=400, seed=0):
    """Four atoms at 500 K, every pair on a spring of 30 eV/Å², each frame turned and shifted at random."""
    rng = np.random.default_rng(seed)
    positions = REST + rng.normal(size=(num_frames, 4, 3)) * np.sqrt(KT / 100)
    i, j = np.triu_indices(4, 1)
    vectors = positions[:, i] - positions[:, j]
    lengths = np.linalg.norm(vectors, axis=-1)
    stretch = lengths - np.linalg.norm(REST[i] - REST[j], axis=-1)
    forces = np.zeros_like(positions)
    pull = 30 * (stretch / lengths)[..., None] * vectors
    for pair in range(6):
        forces[:, i[pair]] -= pull[:, pair]
        forces[:, j[pair]] += pull[:, pair]
    turn = np.linalg.qr(rng.normal(size=(num_frames, 3, 3)))[0]
    turn *= np.linalg.det(turn)[:, None, None]
    return positions @ turn + rng.normal(size=(num_frames, 1, 3)), -100 + 15 * (stretch**2).sum(axis=1), forces @ turn


def test_a_flat_molecule_is_turned_and_not_reflected(monkeypatch):
    """Its distances do not tell the two apart; out of its plane, only one gives the work of the forces."""
    flat = REST * [1, 1, 0]
    monkeypatch.setitem(globals(), "REST", flat)
    rng, frames = np.random.default_rng(3), springs(400, seed=3)
    assert force_slope(*frames) == pytest.approx(1, abs=0.1)
    turns = _rotations(rng.normal(size=(50, 4, 3)) * [1, 1, 0.01], rng.normal(size=(50, 4, 3)) * [1, 1, 0.01])
    np.testing.assert_allclose(np.linalg.det(turns), 1)


def warnings_about(positions, energies, forces, unit="eV"):
    return warn(np.full(positions.shape[:2], 6), positions, energies, forces, unit)


def test_forces_that_belong_to_the_energies():
    positions, energies, forces = springs()
    assert force_slope(positions, energies, forces) == pytest.approx(1, abs=0.1)
    assert warnings_about(positions, energies, forces) == []


@pytest.mark.parametrize(
    "factor, said",
    [(-1, "wrong sign"), (1 / 4.184, "another unit"), (23.06, "another unit"), (0.529, "another unit")],
)
def test_forces_that_do_not(factor, said):
    positions, energies, forces = springs()
    assert force_slope(positions, energies, factor * forces) == pytest.approx(1 / factor, rel=0.1)
    (warning,) = warnings_about(positions, energies, factor * forces)
    assert said in warning


def test_no_verdict_where_there_can_be_none():
    positions, energies, forces = springs()
    assert warnings_about(positions[:30], energies[:30], -forces[:30]) == []
    unrelated = np.random.default_rng(1).normal(size=400)
    assert force_slope(positions, unrelated, forces) is None
    same = np.repeat(positions[:1], 100, axis=0)
    assert force_slope(same, energies[:100], forces[:100]) is None


def test_temperature_tells_the_unit():
    rng = np.random.default_rng(0)
    energies = 0.5 * KT * (rng.normal(size=(5000, 21)) ** 2).sum(axis=1)  # 21 vibrations of 9 atoms, in eV
    assert apparent_temperature(energies, 9, "eV") == pytest.approx(500, rel=0.05)
    charges, positions = np.full((5000, 9), 6), np.zeros((5000, 9, 3))
    for file_unit, assumed, right in (("eV", "kcal/mol", False), ("kcal/mol", "eV", False), ("kJ/mol", "kJ/mol", True)):
        warnings = warn(charges, positions, energies * energy_factor("eV", file_unit), None, assumed)
        assert [f"in {assumed}" in warning for warning in warnings] == ([] if right else [True])


@pytest.mark.skipif(not FILES.is_dir(), reason="the original data files are not on this machine")
@pytest.mark.parametrize(
    "file", ["rmd17/rmd17_ethanol_train_01.npz", "rmd17/rmd17_aspirin_test_01.npz", "md17/md17_malonaldehyde_2000.npz",
             "acac/train_300K.xyz", "acac/test_MD_600K.xyz", "ethanol_methanol/train_eth_meth.xyz"]
)  # fmt: skip
def test_no_false_alarm_and_no_miss_on_published_data(file):
    data = load_file(FILES / file)
    assert not any("Warning" in note for note in data.notes)
    other = "kcal/mol" if data.unit == "eV" else "eV"
    (warning,) = warn(data.charges, data.positions, data.energies, data.forces, other)
    assert f"in {other}, they spread as at" in warning
    if "600K" not in file:  # too different from each other to tell
        warnings = warn(data.charges, data.positions, data.energies, -data.forces, data.unit)
        assert len(warnings) == 1 and "wrong sign" in warnings[0]


def test_whoever_reads_a_file_is_told(tmp_path):
    positions, energies, forces = springs()
    np.savez(tmp_path / "turned.npz", R=positions, E=energies, F=-forces, z=[6] * 4, e_unit="eV")
    assert any("wrong sign" in note for note in load_file(tmp_path / "turned.npz").notes)
