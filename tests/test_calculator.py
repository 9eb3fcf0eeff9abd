"""A trained network as an ASE calculator, and dynamics with it."""

import copy
import dataclasses
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from cormorant_np import dynamics
from cormorant_np.data import read_molecules
from cormorant_np.data.units import energy_factor
from cormorant_np.errors import UserError
from cormorant_np.training import run_directory
from cormorant_np.training.loop import train
from cormorant_np.training.prediction import find_run, predict_molecules
from cormorant_np.training.results import run_errors
from cormorant_np.training.settings import Settings

ase = pytest.importorskip("ase", reason="ASE is not installed")

from ase import Atoms, units  # noqa: E402
from ase.build import molecule  # noqa: E402
from ase.calculators.calculator import Calculator, all_changes  # noqa: E402
from ase.constraints import FixAtoms  # noqa: E402
from ase.io import read  # noqa: E402

from cormorant_np.calculator import Cormorant  # noqa: E402

COLUMNS = ["symbols", "positions", "masses", "move_mask"]
TINY = Settings(num_train=40, num_valid=10, num_test=10, epochs=2, batch_size=10, num_channels=2, num_layers=2, l_max=1)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """In float64, so that forces are the slopes of energies to many digits."""
    directory = tmp_path_factory.mktemp("run")
    train(dataclasses.replace(TINY, force_weight=1.0, dtype="float64"), directory)
    return directory


@pytest.fixture
def ethanol(run_dir):
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, rng=np.random.default_rng(0))
    atoms.calc = Cormorant(run_dir)
    return atoms


def test_energies_and_forces_are_those_of_predict_in_ev(ethanol, run_dir):
    energies, forces = predict_molecules(run_dir, [(ethanol.numbers, ethanol.positions)], forces=True)
    factor = energy_factor("kcal/mol", "eV")
    assert ethanol.get_potential_energy() == pytest.approx(factor * energies[0], rel=1e-12)
    np.testing.assert_allclose(ethanol.get_forces(), factor * forces[0], rtol=1e-9, atol=1e-12)


def test_forces_are_minus_the_slope_of_the_energy(ethanol):
    """By ASE's own finite differences."""
    from ase.calculators.fd import calculate_numerical_forces

    forces = ethanol.get_forces()
    numeric = calculate_numerical_forces(ethanol, eps=1e-4)
    np.testing.assert_allclose(forces, numeric, atol=1e-5 * np.abs(forces).max())


def test_an_unknown_element_is_named(run_dir):
    atoms = molecule("CH3Cl")
    atoms.calc = Cormorant(run_dir)
    with pytest.raises(UserError, match=r"contain Cl, but the run was trained on H, C, O alone"):
        atoms.get_potential_energy()


def test_a_periodic_molecule_is_refused(ethanol):
    ethanol.set_cell([9, 9, 9])
    ethanol.pbc = True
    with pytest.raises(UserError, match="molecules, not crystals"):
        ethanol.get_potential_energy()


def test_a_target_that_is_no_energy_is_refused_and_qm9s_energies_include_the_free_atoms(tmp_path):
    settings = dataclasses.replace(TINY, dataset="qm9-sample", num_train=20, num_valid=5, num_test=5, epochs=1)
    train(dataclasses.replace(settings, target="mu"), tmp_path / "mu")
    with pytest.raises(UserError, match="predicts mu, which is no energy with forces"):
        Cormorant(tmp_path / "mu")
    train(dataclasses.replace(settings, target="U0"), tmp_path / "U0")
    methane = molecule("CH4")
    methane.calc = Cormorant(tmp_path / "U0")
    free_atoms = -27.2114 * (37.846772 + 4 * 0.500273)
    assert abs(methane.get_potential_energy() - free_atoms) < 200  # 1084 eV; an untrained network is off by its scale


def run_dynamics(ethanol, tmp_path, run_dir, *arguments):
    ethanol.write(tmp_path / "ethanol.traj")
    out = tmp_path / "out.traj"
    options = ["--run-dir", str(run_dir), "--steps", "20", "--interval", "5", "--out", str(out)]
    assert dynamics.main([str(tmp_path / "ethanol.traj"), *options, *arguments]) == 0
    return read(out, ":")


def test_dynamics_are_those_of_the_time_step_and_the_seed_that_were_asked_for(ethanol, tmp_path, run_dir, capsys):
    """Against velocity Verlet by hand, from the first frame."""
    words = ["--steps", "6", "--interval", "3", "--timestep", "0.25", "--temperature", "30", "--seed"]
    frames = run_dynamics(ethanol, tmp_path, run_dir, *words, "0")
    said = capsys.readouterr().out
    atoms, dt = frames[0].copy(), 0.25 * units.fs
    atoms.calc = Cormorant(run_dir)
    positions, velocities, masses = atoms.positions.copy(), atoms.get_velocities(), atoms.get_masses()[:, None]
    forces = atoms.get_forces()
    for _ in range(3):
        positions = positions + dt * velocities + dt**2 * forces / (2 * masses)
        atoms.positions = positions
        old, forces = forces, atoms.get_forces()
        velocities = velocities + dt * (old + forces) / (2 * masses)
    np.testing.assert_allclose(frames[1].positions, positions, atol=1e-9)
    totals = [frame.get_total_energy() for frame in frames]
    drift = 1000 * np.polyfit([0, 0.75e-3, 1.5e-3], totals, 1)[0] / 9
    assert f"drift of the total energy {drift:.3g} meV" in said
    assert f"standard deviation of the total energy {1000 * np.std(totals):.3g} meV" in said
    (tmp_path / "out.traj").unlink(), (tmp_path / "out.png").unlink()
    other = run_dynamics(ethanol, tmp_path, run_dir, *words, "1")
    assert np.abs(other[0].get_momenta() - frames[0].get_momenta()).max() > 0.01


def test_the_thermostat_is_used_where_it_is_asked_for(ethanol, tmp_path, run_dir, monkeypatch):
    made, right = [], dynamics.integrator
    monkeypatch.setattr(dynamics, "integrator", lambda *given: made.append(right(*given)) or made[-1])
    run_dynamics(ethanol, tmp_path, run_dir, "--thermostat", "--temperature", "40")
    assert type(made[0]).__name__ == "Langevin" and made[0].temp == pytest.approx(40 * units.kB)


def test_what_is_farther_than_twice_the_sum_of_the_radii_is_another_piece():
    from ase.data import covalent_radii

    length = covalent_radii[1] + covalent_radii[8]
    for factor, number in ((1.9, 1), (2.1, 2)):
        assert dynamics.number_of_pieces(Atoms("OH", positions=[[0, 0, 0], [factor * length, 0, 0]])) == number


@pytest.mark.parametrize("pbc", [[True, False, False], [True, True, False]])
def test_what_is_periodic_in_some_directions_is_no_molecule(pbc, ethanol, tmp_path):
    ethanol.set_pbc(pbc)
    with pytest.raises(UserError, match="not crystals"):
        ethanol.get_potential_energy()
    periodic = Atoms("OH", positions=np.eye(2, 3), cell=[9, 9, 9], pbc=pbc)
    periodic.write(tmp_path / "periodic.traj")
    with pytest.raises(UserError, match="periodic"):
        read_molecules(tmp_path / "periodic.traj")


def test_energies_that_are_not_finite_are_refused(ethanol):
    ethanol.calc.network = ethanol.calc.network._replace(mean=np.inf)
    with pytest.raises(UserError, match="not finite"):
        ethanol.get_potential_energy()


def test_dynamics_writes_a_trajectory_that_ase_reads_and_a_picture(ethanol, tmp_path, run_dir, capsys):
    frames = run_dynamics(ethanol, tmp_path, run_dir, "--temperature", "30")
    assert len(frames) == 5
    total = [frame.get_total_energy() for frame in frames]
    assert np.ptp(total) < 0.1 * np.ptp([frame.get_potential_energy() for frame in frames])
    assert (tmp_path / "out.png").stat().st_size > 1000
    assert "meV per atom and ps" in capsys.readouterr().out.splitlines()[-1]


def test_a_molecule_that_falls_apart_or_explodes_ends_the_dynamics(ethanol):
    dynamics.check_molecule(ethanol, 0)
    ethanol.positions[-1] += 20
    with pytest.raises(UserError, match="fell into 2 pieces"):
        dynamics.check_molecule(ethanol, 7)
    ethanol.positions[-1] -= 20
    ethanol.set_velocities(np.full((9, 3), 100.0))
    with pytest.raises(UserError, match="energy exploded: after step 7"):
        dynamics.check_molecule(ethanol, 7)


def test_a_complex_of_several_molecules_is_run_and_may_not_fall_into_more(run_dir, tmp_path, capsys):
    two = molecule("CH3CH2OH") + molecule("H2O", positions=molecule("H2O").positions + [0, 0, 5])
    two.write(tmp_path / "two.xyz")
    words = [str(tmp_path / "two.xyz"), "--run-dir", str(run_dir), "--timestep", "0.01", "--steps", "2"]
    assert dynamics.main([*words, "--out", str(tmp_path / "two.traj")]) == 0
    assert "two.xyz has 2 pieces" in capsys.readouterr().out
    with pytest.raises(UserError, match="fell into 3 pieces"):
        two.positions[-1] += 20
        dynamics.check_molecule(two, 1, 2)


def test_dynamics_that_end_early_say_where_their_frames_are(ethanol, tmp_path, run_dir, capsys, monkeypatch):
    check = dynamics.check_molecule
    monkeypatch.setattr(
        dynamics, "check_molecule", lambda atoms, step, pieces: check(atoms, step, pieces * (step < 20))
    )
    with pytest.raises(UserError, match="pieces before step 20"):
        run_dynamics(ethanol, tmp_path, run_dir, "--temperature", "30")
    assert "4 frames in" in capsys.readouterr().out and (tmp_path / "out.png").exists()
    assert len(read(tmp_path / "out.traj", ":")) == 4


def test_files_that_only_this_package_reads_have_the_masses_of_their_elements(tmp_path):
    np.savez(tmp_path / "own.npz", z=[8, 1, 1], R=np.eye(3)[None])
    qm9 = "3\ngdb 3\t0\nO 0 0 0 -0.4\nH 0 0 0.96 0.2\nH 0 0.96 0.0*^-6 0.2\n100.0\t200.0\nO\tO\nInChI=1S/H2O/h1H2\n"
    (tmp_path / "qm9.xyz").write_text(qm9, encoding="utf-8")
    for name in ("own.npz", "qm9.xyz"):
        assert dynamics.read_molecule(str(tmp_path / name)).get_masses() == pytest.approx([15.999, 1.008, 1.008])


@pytest.mark.parametrize("mark, mass", [("\ufeff", "2.014"), ("", "0.2014D1")])
def test_masses_of_a_file_that_ase_does_not_read_are_kept(mark, mass, tmp_path):
    path, properties = tmp_path / "heavy.xyz", "Properties=species:S:1:pos:R:3:masses:R:1"
    atoms = ["O 0 0 0 15.999", f"H 0 0 1 {mass}", f"H 0 1 0 {mass}"]
    path.write_text("\n".join([f"{mark}3", properties, *atoms]), encoding="utf-8")
    assert dynamics.read_molecule(str(path)).get_masses() == pytest.approx([15.999, 2.014, 2.014])
    path.write_text(
        "\n".join([f"{mark}3", f"{properties}:move_mask:L:1", *(f"{atom} T" for atom in atoms)]), encoding="utf-8"
    )
    with pytest.raises(UserError, match="its move_mask would be lost"):
        dynamics.read_molecule(str(path))


def test_the_drift_is_the_slope_of_the_total_energy():
    picoseconds = 1e-3 * 5 * np.arange(100)
    potential = np.sin(np.arange(100.0))
    energies = np.stack([potential, 9 * 0.002 * picoseconds - potential], axis=1)
    assert dynamics.drift(energies, 5, 9) == pytest.approx(2)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nowhere.xyz"], "no file nowhere.xyz"),
        ([__file__], "cannot be read by ASE"),
        (["{periodic}"], "frame 0: the cell is periodic"),
        (["{atom}"], "one atom only"),
        (["{ethanol}", "--steps", "25"], "no multiple of --interval 10"),
        (["{ethanol}", "--out", "{ethanol}"], r"must end in \.traj"),
        (["{ethanol}", "--out", "{nowhere}/a.traj"], "is no folder"),
        (["{ethanol}", "--out", "{folder}/own.traj"], r"a file .*own\.png already"),
        (["{isotopes}"], "D or T"),
        (["{ethanol}", "--temperature", "1e5"], "energy exploded: after step 0"),
        (["{phosphine}", "--out", "{folder}/new.traj"], "contain P"),
    ],
)
def test_what_is_wrong_with_dynamics_is_one_sentence(arguments, words, run_dir, tmp_path):
    files = {"folder": tmp_path, "nowhere": tmp_path / "nowhere"}
    molecules = {"ethanol": "CH3CH2OH", "phosphine": "PH3", "atom": "H", "periodic": "H2O"}
    for name, formula in molecules.items():
        files[name], atoms = tmp_path / f"{name}.xyz", molecule(formula)
        atoms.set_cell([9, 9, 9])
        atoms.pbc = name == "periodic"
        atoms.write(files[name])
    (tmp_path / "own.png").write_bytes(b"mine")
    files["isotopes"] = tmp_path / "isotopes.xyz"
    files["isotopes"].write_text("2\n\nO 0 0 0\nD 0 0 1\n", encoding="utf-8")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=words):
        dynamics.main([*(word.format(**files) for word in arguments), "--run-dir", str(run_dir)])
    assert sorted(tmp_path.iterdir()) == before


def test_dynamics_has_the_steps_that_were_asked_for_and_overwrites_nothing(run_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    molecule("CH3CH2OH").write("ethanol.xyz")
    words = ["ethanol.xyz", "--run-dir", str(run_dir), "--timestep", "0.01", "--steps"]
    assert dynamics.main([*words, "3"]) == 0
    before = Path("ethanol-dynamics.traj").read_bytes()
    assert len(read("ethanol-dynamics.traj", ":")) == 2
    with pytest.raises(UserError, match=r"a file ethanol-dynamics\.traj already"):
        dynamics.main([*words, "5"])
    assert Path("ethanol-dynamics.traj").read_bytes() == before


@pytest.mark.parametrize("suffix", [".xyz", ".traj"])
def test_dynamics_keeps_masses_and_constraints(suffix, tmp_path):
    atoms = molecule("CH3CH2OH")
    atoms.set_constraint(FixAtoms([0, 1]))
    atoms.set_masses([2.5] * 9)
    atoms.write(tmp_path / f"heavy@300K{suffix}", **({"columns": COLUMNS} if suffix == ".xyz" else {}))
    again = dynamics.read_molecule(str(tmp_path / f"heavy@300K{suffix}"))
    assert (again.get_masses() == 2.5).all()
    assert again.constraints[0].index.tolist() == [0, 1]


def test_copies_of_a_calculator_are_calculators(ethanol):
    energy = ethanol.get_potential_energy()
    for copied in (copy.deepcopy(ethanol), pickle.loads(pickle.dumps(ethanol))):
        assert copied.get_potential_energy() == energy


@pytest.mark.parametrize("symbols, said", [("", "no atoms"), ("X", "the charge 0")])
def test_what_is_no_molecule_is_refused(symbols, said, run_dir):
    atoms = Atoms(symbols, calculator=Cormorant(run_dir))
    with pytest.raises(UserError, match=said):
        atoms.get_potential_energy()


GFN2_XTB = """202.1 293.8 393.9 837.3 930.2 1040.3 1128.0 1152.3 1239.7 1265.2 1365.6 1404.7 1474.4 1493.6 1495.5 2852.7
2885.9 3046.2 3051.2 3055.0 3567.8"""
"""Wave numbers of ethanol's vibrations in 1/cm, by tblite 0.8.0 with accuracy 0.01, relaxed to 2e-3 eV/Å, by ASE's
Vibrations with displacements of 0.005 Å."""


def test_the_shipped_model_has_the_vibrations_of_the_method_it_learned(tmp_path):
    from ase.optimize import BFGS
    from ase.vibrations import Vibrations

    atoms = molecule("CH3CH2OH")
    atoms.calc = Cormorant("ethanol")
    BFGS(atoms, logfile=None).run(fmax=2e-3, steps=300)
    vibrations = Vibrations(atoms, name=str(tmp_path / "vibrations"), delta=0.005)
    vibrations.run()
    wave_numbers = np.sort(vibrations.get_frequencies().real)[-21:]
    assert np.abs(wave_numbers - np.array(GFN2_XTB.split(), float)).mean() < 15


def test_the_shipped_model_has_the_errors_that_its_result_says():
    said = run_directory.read_json(find_run("ethanol") / "result.json")
    errors = run_errors("ethanol", threads=1)
    assert errors["energy_mae"] == pytest.approx(said["test_mae"], rel=1e-3)
    assert errors["force_mae"] == pytest.approx(said["test_force_mae"], rel=1e-3)
    assert said["test_mae"] < 0.05 and said["test_force_mae"] < 0.25
    assert sum(path.stat().st_size for path in find_run("ethanol").iterdir()) < 700_000


def test_velocities_have_the_temperature_and_the_molecule_neither_moves_nor_turns(ethanol):
    kinetic = []
    for seed in range(400):
        dynamics.set_off(ethanol, 300, np.random.default_rng(seed))
        kinetic.append(ethanol.get_kinetic_energy())
        assert np.abs(ethanol.get_momenta().sum(axis=0)).max() < 1e-9
        assert np.abs(ethanol.get_angular_momentum()).max() < 1e-9
    expected = 21 / 2 * 8.617333e-5 * 300  # eV, of 3N - 6 = 21 degrees of freedom
    assert np.mean(kinetic) == pytest.approx(expected, rel=4 * (2 / 21 / 400) ** 0.5)


def test_a_molecule_that_is_held_gets_the_temperature_in_all_that_may_move(ethanol):
    ethanol.set_constraint(FixAtoms([0, 1, 2]))
    kinetic = []
    for seed in range(300):
        dynamics.set_off(ethanol, 300, np.random.default_rng(seed))
        kinetic.append(ethanol.get_kinetic_energy())
        assert not ethanol.get_momenta()[:3].any()
    assert np.mean(kinetic) == pytest.approx(18 / 2 * 8.617333e-5 * 300, rel=4 * (2 / 18 / 300) ** 0.5)


def test_the_thermostat_keeps_the_temperature():
    """Of atoms that are held by springs: 3/2 kT each, and the friction and the time step that were asked for."""
    atoms = Atoms("H64", positions=np.random.default_rng(0).uniform(0, 50, (64, 3)))
    atoms.calc = Springs(atoms.positions.copy())
    langevin = dynamics.integrator(atoms, 0.5, 400, True, np.random.default_rng(1))
    assert langevin.dt == pytest.approx(0.5 * units.fs) and langevin.fr == pytest.approx(0.01 / units.fs)
    dynamics.set_off(atoms, 400, np.random.default_rng(2))
    temperatures = []
    for _ in range(60):
        langevin.run(20)
        temperatures.append(atoms.get_temperature())
    assert np.mean(temperatures[10:]) == pytest.approx(400, rel=0.1)
    verlet = dynamics.integrator(atoms, 0.5, 400, False, None)
    assert verlet.dt == pytest.approx(0.5 * units.fs)


class Springs(Calculator):
    """Every atom on a spring of 10 eV/Å² to where it was."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, rest):
        super().__init__()
        self.rest = rest

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        stretch = self.atoms.positions - self.rest
        self.results = {"energy": 5 * (stretch**2).sum(), "forces": -10 * stretch}


@pytest.mark.parametrize("held", [[], [0, 1, 2]])
def test_dynamics_says_the_mean_temperature(held, ethanol, tmp_path, run_dir, capsys):
    ethanol.set_constraint(FixAtoms(held))
    frames = run_dynamics(ethanol, tmp_path, run_dir, "--temperature", "30")
    mean = np.mean([frame.get_temperature() for frame in frames])
    assert f"mean temperature {mean:.0f} K" in capsys.readouterr().out


def test_a_failed_calculation_leaves_nothing_of_another_molecule():
    calculator, other = Cormorant("ethanol"), molecule("CH3SH")
    calculator.calculate(molecule("CH3CH2OH"))
    for _ in range(2):
        with pytest.raises(UserError, match="contain S"):
            calculator.get_potential_energy(other)
        with pytest.raises(UserError, match="contain S"):
            calculator.get_forces(other)


def test_free_energies_and_options_as_in_other_calculators(ethanol):
    assert ethanol.get_potential_energy(force_consistent=True) == ethanol.get_potential_energy()
    other = molecule("CH3CH2OH")
    calculator = Cormorant("ethanol", atoms=other)
    assert other.calc is calculator
    with pytest.raises(TypeError, match="devise"):
        Cormorant("ethanol", devise="gpu")
    with pytest.raises(UserError, match="must be cpu, gpu or auto, not cuda"):
        Cormorant("ethanol", device="cuda")


def test_calculators_in_threads_leave_the_threads_of_blas_as_they_were():
    def number():
        return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

    with threadpool_limits(2, "blas"):
        before = number()
        with ThreadPoolExecutor(3) as pool:
            energies = list(pool.map(energy_of_ethanol, range(9)))
        assert number() == before and len({round(energy, 9) for energy in energies}) == 1


def energy_of_ethanol(_):
    return Cormorant("ethanol").get_potential_energy(molecule("CH3CH2OH"))
