"""The bundled sample: its format, its physics, and the command that made it."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cormorant_np.data import load, make_sample, split
from cormorant_np.data.loading import SAMPLE
from cormorant_np.errors import UserError

BOLTZMANN = 0.0019872043  # kcal/mol/K
BONDS = [(0, 1), (1, 2), (2, 3), (1, 4), (1, 5), (0, 6), (0, 7), (0, 8)]


@pytest.fixture(scope="module")
def sample():
    return load("sample")


def test_file_is_small_and_in_md17s_format():
    assert SAMPLE.stat().st_size < 1.5e6
    with np.load(SAMPLE) as archive:
        shapes = {key: (archive[key].dtype.name, archive[key].shape) for key in "ERFz"}
        assert str(archive["type"]) == "d" and str(archive["r_unit"]) == "Ang" and str(archive["e_unit"]) == "kcal/mol"
    num_frames = shapes["E"][1][0]
    assert 4000 <= num_frames <= 5000
    assert shapes == {
        "E": ("float64", (num_frames, 1)),
        "R": ("float32", (num_frames, 9, 3)),
        "F": ("float32", (num_frames, 9, 3)),
        "z": ("uint8", (9,)),
    }


def test_dataset(sample):
    assert sample.name == "sample ethanol" and "GFN2-xTB" in sample.theory and sample.splits == {}
    assert sorted(sample.charges[0]) == [1] * 6 + [6, 6, 8]
    parts = split(sample, 1000, 100, None, seed=0)
    assert len(parts["test"]) == len(sample.energies) - 1100


def test_molecule_stays_whole(sample):
    distances = np.linalg.norm(sample.positions[:, :, None] - sample.positions[:, None], axis=-1)
    bonded = distances[:, *zip(*BONDS, strict=True)]
    assert bonded.min() > 0.8 and bonded.max() < 1.9
    assert distances[:, *np.triu_indices(9, 1)].min() > 0.8


def test_energies_spread_as_those_of_21_harmonic_vibrations_at_500_kelvin(sample):
    assert np.isclose(sample.energies.std(), np.sqrt(21 / 2) * BOLTZMANN * 500, rtol=0.1)


def test_forces_sum_to_zero_and_exert_no_torque(sample):
    assert abs(sample.forces.sum(axis=1)).max() < 1e-3
    assert abs(np.cross(sample.positions, sample.forces).sum(axis=1)).max() < 0.02


def test_virial_theorem_gives_the_temperature(sample):
    """-⟨Σ r·F⟩ = (3N-3) k T in the canonical ensemble, if forces, positions and units belong together."""
    virial = -(sample.positions * sample.forces).sum(axis=(1, 2)).mean()
    assert np.isclose(virial / (3 * 9 - 3) / BOLTZMANN, 500, rtol=0.03)


def test_labels_are_gfn2_xtbs(sample):
    tblite = pytest.importorskip("tblite.ase", reason="tblite is not installed", exc_type=ImportError)
    ase = pytest.importorskip("ase", reason="ASE is not installed")
    from ase import units

    kcal_per_mol = units.kcal / units.mol
    for frame in (0, 1234):
        atoms = ase.Atoms(sample.charges[frame], sample.positions[frame])
        atoms.calc = tblite.TBLite(method="GFN2-xTB", accuracy=0.01, verbosity=0)
        assert np.isclose(atoms.get_potential_energy() / kcal_per_mol, sample.energies[frame], rtol=0, atol=1e-4)
        assert np.allclose(atoms.get_forces() / kcal_per_mol, sample.forces[frame], rtol=0, atol=1e-2)


def test_command_makes_a_file_that_loads(tmp_path, capsys):
    pytest.importorskip("tblite.ase", reason="tblite is not installed", exc_type=ImportError)
    out = tmp_path / "methanol.npz"
    options = ["--molecule", "methanol", "--frames", "3", "--interval-fs", "2", "--equilibration-ps", "0.01"]
    make_sample.main([*options, "--out", str(out)])
    data = load("md17", data_file=out)
    assert "3 frames" in capsys.readouterr().out
    assert data.positions.shape == (3, 6, 3) and data.theory.startswith("GFN2-xTB")


def test_command_without_ase(monkeypatch):
    monkeypatch.setitem(sys.modules, "ase", None)
    with pytest.raises(UserError, match="pip install ase tblite"):
        make_sample.starting_geometry("ethanol")


@pytest.mark.parametrize(
    "molecule, said", [("unobtainium", "such as ethanol"), ("absent.xyz", r"absent\.xyz cannot be read")]
)
def test_unknown_geometry(molecule, said):
    pytest.importorskip("ase", reason="ASE is not installed")
    pytest.importorskip("tblite.ase", reason="tblite is not installed", exc_type=ImportError)
    with pytest.raises(UserError, match=said):
        make_sample.starting_geometry(molecule)


@pytest.mark.parametrize(
    "options, words",
    [
        ("--frames 0", "--frames must be a whole number from 1"),
        ("--temperature -5", "--temperature must be a positive number"),
        ("--interval-fs 0.7", "no multiple of the time step, 0.5 fs"),
        ("--out no/such/folder/sample.npz", "is no folder"),
        ("--out sample.xyz", r"must end in \.npz"),
        ("--out mine.npz", r"a file mine\.npz already"),
    ],
)
def test_command_checks_its_options(options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.npz").write_bytes(b"mine")
    with pytest.raises(UserError, match=words):
        make_sample.main(options.split())
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"mine"]


def test_frames_are_in_kcal_per_mol_at_the_temperature_that_was_asked_for(monkeypatch):
    """With springs in the place of GFN2-xTB, whose energies and forces are known."""
    ase = pytest.importorskip("ase", reason="ASE is not installed")
    from ase import units
    from ase.calculators.calculator import Calculator, all_changes
    from ase.md import langevin

    class Springs(Calculator):
        implemented_properties = ["energy", "forces"]  # noqa: RUF012

        def __init__(self, **options):
            super().__init__()

        def calculate(self, atoms=None, properties=(), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            self.results = {"energy": (self.atoms.positions**2).sum(), "forces": -2 * self.atoms.positions}

    module, asked, right = SimpleNamespace(TBLite=Springs), [], langevin.Langevin
    monkeypatch.setitem(sys.modules, "tblite", SimpleNamespace(ase=module))
    monkeypatch.setitem(sys.modules, "tblite.ase", module)
    monkeypatch.setattr(langevin, "Langevin", lambda *given, **names: asked.append(names) or right(*given, **names))
    atoms = ase.Atoms("OH2", positions=np.eye(3))
    frames = make_sample.run_dynamics(atoms, 3, temperature=450, interval_fs=1, equilibration_ps=0.01, seed=0)
    kcal_per_mol = units.kcal / units.mol
    positions = frames["R"].astype(float)
    np.testing.assert_allclose(frames["E"][:, 0] * kcal_per_mol, (positions**2).sum(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(frames["F"] * kcal_per_mol, -2 * positions, rtol=1e-5, atol=1e-6)
    assert asked[0]["temperature_K"] == 450 and frames["z"].tolist() == [8, 1, 1]
