"""Numbers on their way out of the network: mean, scale, units, elements, order, files. Against plain.py and ASE."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cormorant_np import data, plain, predict
from cormorant_np.data.writing import WRITERS
from cormorant_np.data.xyz import Frame
from cormorant_np.errors import UserError
from cormorant_np.training import loop, results
from cormorant_np.training.parallel import alone
from cormorant_np.training.prediction import (
    POTENTIAL_ENERGIES,
    find_run,
    load_network,
    predict_frames,
    predict_molecules,
    predict_with,
    total_energies,
)
from cormorant_np.training.problem import minibatch, prepare
from cormorant_np.training.results import file_errors, run_errors, summarise
from cormorant_np.training.run_directory import read_settings
from cormorant_np.training.settings import new_settings

KCAL_PER_MOL_IN_EV = 4184 / (6.02214076e23 * 1.602176634e-19)  # exact, by the definitions of the SI
MIXED = ([8, 1, 1], [6, 8, 1, 1], [6, 1, 1, 1, 1])
TINY = {"num_channels": 2, "num_layers": 2, "l_max": 1, "batch_size": 5, "epochs": 1, "threads": 1, "dtype": "float64"}


def mixed_frames(number, rng):
    """Molecules of three sizes in turn, (charges, positions in Å, energy in eV, forces in eV/Å)."""
    for k in range(number):
        charges = np.array(MIXED[k % 3])
        positions = np.eye(5, 3)[: len(charges)] + 0.9 * np.eye(5, 3, -3)[: len(charges)]
        positions = np.cumsum(positions + 0.05 * rng.standard_normal(positions.shape), axis=0)
        yield charges, positions, -100.0 * charges.sum() + rng.standard_normal(), rng.standard_normal(positions.shape)


def save(path, frames, unit="eV", factor=1.0):
    """Frames as an .npz file, with energies and forces in a unit that has so many per eV."""
    charges, positions = data.pad([(z, r) for z, r, *_ in frames])
    _, forces = data.pad([(z, f) for z, _, _, f in frames])
    energies = np.array([energy for *_, energy, _ in frames])
    np.savez(path, z=charges, R=positions, E=factor * energies, F=factor * forces, e_unit=unit)
    return str(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on molecules of three compositions, its directory, and its frames."""
    folder = tmp_path_factory.mktemp("run")
    frames = list(mixed_frames(30, np.random.default_rng(0)))
    loop.train(new_settings({**TINY, "data_file": save(folder / "own.npz", frames)}), folder / "run")
    return folder / "run", frames


def by_plain(network, charges, positions):
    """Energy and forces of one molecule by plain.py, in the unit of the run."""
    energy, cache = plain.forward(network.params, charges, positions - positions.mean(axis=0), network.config)
    energy = network.mean + network.scale * energy + sum(network.references[z] for z in charges.tolist())
    return energy, -network.scale * plain.backward(1.0, cache)[1]


def test_predictions_have_mean_scale_and_elements_and_the_order_of_the_molecules(run):
    run_dir, frames = run
    network = load_network(run_dir)
    energies, forces = predict_with(network, [(z, r) for z, r, *_ in frames], forces=True)
    for (z, r, *_), energy, force in zip(frames, energies, forces, strict=True):
        expected, expected_forces = by_plain(network, z, r)
        assert energy == pytest.approx(expected, rel=1e-12)
        np.testing.assert_allclose(force, expected_forces, rtol=1e-9, atol=1e-9)


def test_energies_and_forces_of_a_runs_own_frames_are_in_their_places(run):
    run_dir, frames = run
    network, problem = load_network(run_dir), prepare(read_settings(run_dir))
    indices = np.random.default_rng(1).permutation(30)
    with alone() as pool:
        energies, forces = predict_frames(network.params, problem, indices, pool, forces=True)
    for k, energy, force in zip(indices, energies, forces, strict=True):
        expected, expected_forces = by_plain(network, *frames[k][:2])
        assert energy == pytest.approx(expected, rel=1e-10)
        np.testing.assert_allclose(force[: len(expected_forces)], expected_forces, rtol=1e-8, atol=1e-8)
        assert not force[len(expected_forces) :].any()


def test_errors_on_a_file_are_those_of_the_run_whatever_the_files_unit(run, tmp_path):
    run_dir, frames = run
    problem = prepare(read_settings(run_dir))
    test = [frames[k] for k in problem.splits["test"]]
    own = run_errors(run_dir)
    for unit, per_ev in {"eV": 1, "meV": 1000, "kcal/mol": 1 / KCAL_PER_MOL_IN_EV}.items():
        there = file_errors(run_dir, save(tmp_path / f"{unit[:3]}.npz", test, unit, per_ev))
        for name in ("energy_mae", "energy_rmse", "force_mae", "force_rmse"):
            assert there[name] == pytest.approx(own[name], rel=1e-5), (unit, name)


def test_total_energies_keep_their_digits(run):
    """float32 has steps of 0.03 near -4e5."""
    network = load_network(run[0])._replace(mean=-4e5, scale=1.0, references=None)
    (energy,) = total_energies(network, np.array([0.01], np.float32), np.array([[8, 1, 1]]))
    assert energy == pytest.approx(-4e5 + 0.01, abs=1e-6)


def test_energies_of_the_shipped_model_are_those_of_its_method(tmp_path):
    """Not only their differences: GFN2-xTB's energies are near -7140 kcal/mol."""
    sample = data.load("sample")
    molecules = [(sample.charges[k], sample.positions[k]) for k in range(3900, 3920)]
    energies, forces = predict_molecules("ethanol", molecules, forces=True)
    assert abs(np.array(energies) - sample.energies[3900:3920]).max() < 0.5
    assert abs(np.array(forces) - sample.forces[3900:3920]).mean() < 0.5


def test_predict_writes_ev(tmp_path):
    sample = data.load("sample")
    charges, positions = sample.charges[:3], sample.positions[:3]
    np.savez(tmp_path / "own.npz", z=charges, R=positions)
    words = [str(tmp_path / "own.npz"), "--run-dir", "ethanol", "--forces", "--threads", "1"]
    assert predict.main([*words, "--out", str(tmp_path / "out.json")]) == 0
    for k, row in enumerate(json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))):
        assert row["energy"] == pytest.approx(KCAL_PER_MOL_IN_EV * sample.energies[k], abs=0.02)
        np.testing.assert_allclose(row["forces"], KCAL_PER_MOL_IN_EV * sample.forces[k], atol=0.1)


@pytest.mark.parametrize("suffix", WRITERS)
def test_what_is_written_is_what_was_given(suffix):
    rng = np.random.default_rng(2)
    molecules = [(z, r, energy, f) for z, r, energy, f in mixed_frames(4, rng)]
    text = io.StringIO()
    frames = [Frame(z, r, {}, {}) for z, r, *_ in molecules]
    WRITERS[suffix](text, frames, [m[2] for m in molecules], [m[3] for m in molecules])
    for (z, r, energy, f), found in zip(molecules, READERS[suffix](text), strict=True):
        assert found["charges"] == z.tolist() and found["energy"] == pytest.approx(energy, abs=1e-8)
        np.testing.assert_allclose(found["forces"], f, atol=1e-8)
        np.testing.assert_allclose(found.get("positions", r), r, atol=1e-8)


def read_extxyz(text):
    ase_io = pytest.importorskip("ase.io", reason="ASE is not installed")
    for atoms in ase_io.read(io.StringIO(text.getvalue()), ":", format="extxyz"):
        yield {
            "charges": atoms.numbers.tolist(),
            "positions": atoms.positions,
            "energy": atoms.get_potential_energy(),
            "forces": atoms.get_forces(),
        }


def read_csv(text):
    symbols = {"H": 1, "C": 6, "O": 8}
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    for number in range(1 + int(rows[-1]["molecule"])):
        atoms = [row for row in rows if int(row["molecule"]) == number]
        assert [int(row["atom"]) for row in atoms] == list(range(len(atoms)))
        yield {
            "charges": [symbols[row["element"]] for row in atoms],
            "energy": float(atoms[0]["energy"]),
            "forces": [[float(row[name]) for name in ("fx", "fy", "fz")] for row in atoms],
        }


READERS = {
    ".xyz": read_extxyz,
    ".extxyz": read_extxyz,
    ".json": lambda text: json.loads(text.getvalue()),
    ".csv": read_csv,
}


def test_parts_in_other_units_are_converted_to_that_of_the_first():
    ev, kcal = (
        data.Dataset("", "", np.array([[8, 1]]), np.ones((1, 2, 3)), e, f, unit, {}, {8: r})
        for e, f, unit, r in [
            (np.array([-2.0]), np.full((1, 2, 3), 3.0), "eV", -1.0),
            (np.array([-2.0]) / KCAL_PER_MOL_IN_EV, np.full((1, 2, 3), 3.0) / KCAL_PER_MOL_IN_EV, "kcal/mol", -23.0605),
        ]
    )
    for first, second in ((ev, kcal), (kcal, ev)):
        joined = data.join({"train": first, "test": second})
        np.testing.assert_allclose(joined.energies, first.energies[0], rtol=1e-8)
        np.testing.assert_allclose(joined.forces, first.forces[0, 0, 0], rtol=1e-8)
    joined = data.join({"train": kcal._replace(references=None), "test": ev})
    assert joined.references[8] == pytest.approx(-1 / KCAL_PER_MOL_IN_EV)


def test_reference_energies_are_converted_to_the_unit_of_the_data(tmp_path):
    frames = list(mixed_frames(30, np.random.default_rng(0)))
    in_ev = {"H": -27.2114, "C": -54.4228, "O": -81.6342}
    atoms = [f"1\nconfig_type=IsolatedAtom energy={energy}\n{symbol} 0 0 0\n" for symbol, energy in in_ev.items()]
    (tmp_path / "atoms.xyz").write_text("".join(atoms), encoding="utf-8")
    path = save(tmp_path / "own.npz", frames, "Hartree", 1 / 27.2114)
    found = prepare(new_settings({**TINY, "data_file": path, "reference_energies": str(tmp_path / "atoms.xyz")}))
    assert found.references == pytest.approx({1: -1, 6: -2, 8: -3}, rel=1e-5)


def test_energies_of_the_elements_are_fitted_to_the_training_molecules_alone(run, tmp_path):
    run_dir, frames = run
    problem = prepare(read_settings(run_dir))
    others = [(z, r, e + 50 * (k not in problem.splits["train"]), f) for k, (z, r, e, f) in enumerate(frames)]
    changed = prepare(new_settings({**TINY, "data_file": save(tmp_path / "own.npz", others)}))
    assert changed.references == pytest.approx(problem.references, rel=1e-12)
    assert (changed.mean, changed.scale) == pytest.approx((problem.mean, problem.scale), rel=1e-9)


def test_minibatches_of_molecules_of_several_sizes(run):
    run_dir, frames = run
    problem = prepare(read_settings(run_dir))
    indices = np.array([4, 0, 2, 1])
    batch, targets = minibatch(problem, indices)
    assert batch.charges.shape == (4, 5) and targets.num_atoms == 4 + 3 + 5 + 4
    for row, k in enumerate(indices):
        z, _, energy, forces = frames[k]
        left = energy - sum(problem.references[c] for c in z.tolist()) - problem.mean
        assert targets.energies[row] == pytest.approx(left / problem.scale, rel=1e-9)
        np.testing.assert_allclose(targets.forces[row, : len(z)], forces / problem.scale)
        assert not targets.forces[row, len(z) :].any() and not batch.charges[row, len(z) :].any()


@pytest.mark.parametrize(
    "molecule",
    [
        ([8.6, 1], np.eye(2, 3)),
        ([8, 1, 1], [[0], [1], [2]]),
        ([8, 1], np.eye(3)),
        ([], np.zeros((0, 3))),
        (8, np.zeros(3)),
    ],
    ids=["half a charge", "no points", "lengths", "no atoms", "an atom's numbers"],
)
def test_what_is_no_molecule_is_refused_by_its_number(run, molecule):
    water = ([8, 1, 1], np.eye(3))
    with pytest.raises(UserError, match=r"Molecule 1 .* must have whole charges"):
        predict_molecules(run[0], [water, molecule])
    with pytest.raises(UserError, match="At least one process is needed, not 0"):
        predict_molecules(run[0], [water], processes=0)


def test_a_device_that_is_none_is_named(run):
    with pytest.raises(UserError, match="must be cpu, gpu or auto, not cuda"):
        load_network(run[0], "cuda")
    with pytest.raises(UserError, match="has no foo molecules"):
        run_errors(run[0], "foo")


def test_auto_is_whatever_device_there_is(run, tmp_path):
    path = save(tmp_path / "own.npz", run[1][:3])
    assert file_errors(run[0], path, device="auto")["num_molecules"] == 3


def test_what_is_not_finite_is_refused(run, monkeypatch):
    run_dir, frames = run
    network = load_network(run_dir)._replace(mean=np.inf)
    with pytest.raises(UserError, match=r"molecule 0 .* is not finite"):
        predict_with(network, [frames[0][:2]])

    def endless(params, problem, indices, *rest):
        return np.full(len(indices), np.inf), None

    for name, call in (("predict_frames", summarise), ("frame_errors", run_errors)):
        monkeypatch.setattr(results, name, endless)
        with pytest.raises(UserError, match="is not finite"):
            call(run_dir)


def test_a_run_in_the_working_directory_counts_before_a_model_of_its_name(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_run("ethanol").is_absolute()
    shutil.copytree(run[0], tmp_path / "ethanol")
    assert find_run("ethanol") == Path("ethanol")


def test_energies_are_those_of_qm9s_targets_whose_slope_is_a_force():
    assert set(POTENTIAL_ENERGIES) == {"energy", "U0", "U", "H", "G"}
