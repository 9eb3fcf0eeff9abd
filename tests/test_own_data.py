"""Runs on files of one's own: mixed molecules, units, energies of the elements, evaluation, predictions."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from cormorant_np import data, evaluate, predict, train
from cormorant_np.data.units import energy_factor
from cormorant_np.errors import UserError
from cormorant_np.training import prediction, run_directory
from cormorant_np.training.problem import load_data, prepare
from cormorant_np.training.results import file_errors, run_errors, summarise
from cormorant_np.training.settings import Settings, new_settings

TINY = "--epochs 1 --num-channels 2 --num-layers 2 --l-max 1 --threads 1 --batch-size 10"
ATOMS = {1: -13.6, 6: -1029.0, 8: -2041.0}
SYMBOLS = {1: "H", 6: "C", 8: "O"}
MOLECULES = ([8, 1, 1], [6, 8, 1, 1], [6, 1, 1, 1, 1])


def write_mixed(path, number, seed, forces=True, isolated=False):
    """Molecules of three compositions, with energies that are mostly those of their atoms, in eV."""
    rng, lines = np.random.default_rng(seed), []
    for k in range(number):
        charges = MOLECULES[k % 3]
        positions = 1.1 * np.eye(5, 3)[: len(charges)] + 0.9 * np.eye(5, 3, -3)[: len(charges)]
        positions = np.cumsum(positions, axis=0) + 0.05 * rng.standard_normal((len(charges), 3))
        energy = sum(ATOMS[z] for z in charges) + 0.1 * rng.standard_normal()
        columns = ":forces:R:3" if forces else ""
        lines += [str(len(charges)), f'Properties=species:S:1:pos:R:3{columns} energy={energy} pbc="F F F"']
        for z, r in zip(charges, positions, strict=True):
            row = [*r, *(rng.standard_normal(3) if forces else [])]
            lines.append(SYMBOLS[z] + "".join(f" {x:.8f}" for x in row))
    if isolated:
        for z, energy in ATOMS.items():
            header = f"config_type=IsolatedAtom energy={energy} Properties=species:S:1:pos:R:3"
            lines += ["1", header, f"{SYMBOLS[z]} 0 0 0"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def settings_for(path, **fields):
    return dataclasses.replace(new_settings({"data_file": str(path)}), num_channels=2, num_layers=2, l_max=1, **fields)


def test_a_file_is_split_in_tenths_and_its_run_is_named_after_it(tmp_path):
    path = write_mixed(tmp_path / "mixed.xyz", 40, 0)
    _, splits = load_data(settings_for(path))
    assert {part: len(indices) for part, indices in splits.items()} == {"train": 32, "valid": 4, "test": 4}
    assert str(train.default_run_dir(settings_for(path))) == "runs/mixed"


def test_files_for_validation_and_test_are_whole_parts(tmp_path):
    train_file, valid_file, test_file = (write_mixed(tmp_path / f"{k}.xyz", 9 * k, k) for k in (3, 1, 2))
    settings = settings_for(train_file, valid_file=str(valid_file), test_file=str(test_file))
    dataset, splits = load_data(settings)
    assert {part: len(indices) for part, indices in splits.items()} == {"train": 27, "valid": 9, "test": 18}
    assert len(np.unique(np.concatenate(list(splits.values())))) == 54
    own = data.load_file(test_file)
    np.testing.assert_array_equal(dataset.energies[splits["test"]], own.energies)
    only_test = load_data(dataclasses.replace(settings, valid_file=None))[1]
    assert {part: len(indices) for part, indices in only_test.items()} == {"train": 25, "valid": 2, "test": 18}


def test_the_elements_share_is_taken_from_the_energies(tmp_path):
    """What is left has the spread of the noise, not that of the compositions."""
    dataset, _ = load_data(settings_for(write_mixed(tmp_path / "mixed.xyz", 60, 0)))
    problem = prepare(settings_for(tmp_path / "mixed.xyz"))
    assert dataset.energies.std() > 100 and problem.scale < 0.2
    assert set(problem.references) == {1, 6, 8}
    restored = problem.targets.energies.astype(float) * problem.scale + problem.mean + problem.reference
    np.testing.assert_allclose(restored, dataset.energies, rtol=1e-6)


def test_isolated_atoms_are_the_references_where_they_are_known(tmp_path):
    problem = prepare(settings_for(write_mixed(tmp_path / "mixed.xyz", 30, 0, isolated=True)))
    assert problem.references == ATOMS and len(problem.num_atoms) == 30
    plain = write_mixed(tmp_path / "plain.xyz", 30, 0)
    alone = write_mixed(tmp_path / "atoms.xyz", 0, 0, isolated=True)
    assert prepare(settings_for(plain, reference_energies=str(alone))).references == ATOMS


def test_one_composition_needs_no_references(tmp_path):
    rng = np.random.default_rng(0)
    positions = rng.standard_normal((20, 2, 3)) + [[0, 0, 0], [5, 0, 0]]
    np.savez(tmp_path / "own.npz", E=rng.standard_normal(20), R=positions, z=[1, 8])
    assert prepare(settings_for(tmp_path / "own.npz")).references is None


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    path = write_mixed(folder / "mixed.xyz", 40, 0)
    assert train.main([*TINY.split(), "--data-file", str(path), "--run-dir", str(folder / "run")]) == 0
    return folder


def test_a_run_says_what_it_read_and_subtracted(finished, capsys, tmp_path):
    train.main([*TINY.split(), "--data-file", str(finished / "mixed.xyz"), "--run-dir", str(tmp_path / "run")])
    first = capsys.readouterr().out.splitlines()[:3]
    assert "in eV and eV/Å, which is assumed" in first[0]
    assert first[1].startswith("Subtracted: H ") and first[1].endswith(" eV")
    stored = run_directory.read_settings(tmp_path / "run")
    assert stored.data_file == str(finished / "mixed.xyz") and stored.force_weight == 1.0


def test_a_file_is_evaluated_in_the_runs_unit(finished, tmp_path):
    errors = run_errors(finished / "run", "test")
    frames = data.read_frames(finished / "mixed.xyz")
    indices = run_directory.read_run(finished / "run")["splits"]["test"]
    test = Settings(), [frames[k] for k in indices]
    path = tmp_path / "test.npz"
    same = [frame for frame in test[1] if len(frame.charges) == 3]
    assert same
    factor = energy_factor("eV", "kcal/mol")
    np.savez(
        path,
        z=same[0].charges,
        R=[frame.positions for frame in same],
        E=[factor * float(frame.info["energy"]) for frame in same],
        F=[factor * frame.columns["forces"] for frame in same],
        e_unit="kcal/mol",
    )
    own = file_errors(finished / "run", path)
    assert own["unit"] == "eV" and own["num_molecules"] == len(same)
    whole = file_errors(finished / "run", finished / "mixed.xyz")
    assert whole["num_molecules"] == 40 and whole["energy_mae"] < 1  # 1000 eV without the references
    assert errors["energy_mae"] < 1


def test_predictions_are_results_for_ase_and_include_the_elements(finished, tmp_path, capsys):
    ase_io = pytest.importorskip("ase.io", reason="ASE is not installed")
    out = tmp_path / "predicted.xyz"
    arguments = [str(finished / "mixed.xyz"), "--run-dir", str(finished / "run"), "--threads", "1", "--forces"]
    assert predict.main([*arguments, "--out", str(out)]) == 0
    frames, true = ase_io.read(out, ":"), data.load_file(finished / "mixed.xyz")
    energies = np.array([frame.get_potential_energy() for frame in frames])
    assert np.abs(energies - true.energies).max() < 2
    assert frames[1].get_forces().shape == (4, 3)
    assert predict.main([*arguments, "--out", str(tmp_path / "predicted.json")]) == 0
    rows = json.loads((tmp_path / "predicted.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose([row["energy"] for row in rows], energies, atol=1e-7)
    assert predict.main([*arguments[:-1], "--out", str(tmp_path / "predicted.csv")]) == 0
    table = np.loadtxt(tmp_path / "predicted.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[:, 1], energies, atol=1e-7)


def test_a_run_goes_on_with_its_own_command_line_and_with_its_own_energies_only(finished, tmp_path, capsys):
    path, run_dir = write_mixed(tmp_path / "mixed.xyz", 40, 0), tmp_path / "run"
    words = [*TINY.split(), "--gain", "auto", "--data-file", str(path), "--run-dir", str(run_dir)]
    assert train.main(words) == 0
    assert train.main([*words, "--resume", "--epochs", "2"]) == 0
    assert "The gain stays as it was when the run began" in capsys.readouterr().out
    assert train.main(["--config", str(run_dir / "config.json"), "--run-dir", str(run_dir), "--resume"]) == 0
    same = ["--l-max-sh", "1", "1", "--num-layers", "2", "--protocol", "forces", "--rmd17-split", "1"]
    assert train.main([*words, "--resume", "--epochs", "2", *same]) == 0
    with pytest.raises(UserError, match="was not begun with --protocol paper"):
        train.main([*words, "--resume", "--protocol", "paper"])
    with pytest.raises(UserError, match=r"--l-max \(1, 1\), which --resume cannot change to \(2, 2\)"):
        train.main([*words, "--resume", "--l-max", "2"])
    write_mixed(path, 40, 1)
    for again in (lambda: train.main([*words, "--resume", "--epochs", "3"]), lambda: run_errors(run_dir)):
        with pytest.raises(UserError, match="energies of mixed are not those that the run was begun with"):
            again()


@pytest.mark.parametrize("name", ["splits.npz", "checkpoint.npz", "checkpoint.prev.npz", "result.json", "forces.png"])
def test_a_run_writes_over_nothing(name, tmp_path):
    path, own = write_mixed(tmp_path / "mixed.xyz", 40, 0), tmp_path / "here" / name
    own.parent.mkdir()
    np.savez(own.parent / "own.npz", mine=np.arange(3))
    (own.parent / "own.npz").rename(own)
    before = own.read_bytes()
    with pytest.raises(UserError, match=f"{name}"):
        train.main([*TINY.split(), "--data-file", str(path), "--run-dir", str(own.parent)])
    assert [file.read_bytes() for file in own.parent.iterdir()] == [before]


def test_options_that_would_do_nothing_are_refused(tmp_path):
    path = write_mixed(tmp_path / "mixed.xyz", 40, 0)
    (tmp_path / "sample.json").write_text(json.dumps(dataclasses.asdict(new_settings({}))), encoding="utf-8")
    config, run_dir = ["--config", str(tmp_path / "sample.json")], ["--run-dir", str(tmp_path / "run")]
    with pytest.raises(UserError, match="--energy-key is for files of your own, and there is none"):
        train.main(["--energy-key", "REF_energy", *run_dir])
    with pytest.raises(UserError, match=r"sample\.json has all that --protocol decides"):
        train.main([*config, "--protocol", "paper", *run_dir])
    assert train.main([*config, "--data-file", str(path), *TINY.split(), *run_dir]) == 0
    settings = run_directory.read_settings(tmp_path / "run")
    assert (settings.dataset, settings.num_train, settings.lr) == ("file", None, new_settings({}).lr)


def test_settings_of_a_file_of_settings_are_kept_beside_a_data_file(tmp_path):
    """Also its numbers of molecules, unless they are those of another data set; and a protocol decides the rest."""
    own = {"num_train": 500, "epochs": 20, "lr": 1e-3, "batch_size": 10}
    (tmp_path / "own.json").write_text(json.dumps(own), encoding="utf-8")
    given = {"data_file": "own.xyz", "protocol": "paper"}
    assert train.with_config({"config": str(tmp_path / "own.json"), **given}, False) == own | given


def test_a_path_that_is_none_is_a_sentence(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in ("a\0b.xyz", str(tmp_path / "loop")):
        with pytest.raises(UserError, match=r"is no path|no file"):
            prepare(Settings(data_file=path, dataset="file"))


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_run_knows_the_molecules_of_all_its_files_again(part, tmp_path):
    paths = {name: write_mixed(tmp_path / f"{name}.xyz", 12, k) for k, name in enumerate(("train", "test"))}
    files = ["--data-file", str(paths["train"]), "--test-file", str(paths["test"])]
    assert train.main([*TINY.split(), *files, "--run-dir", str(tmp_path / "run")]) == 0
    if part == "train":  # frames that were added to it, so that those of the test file move
        added = write_mixed(tmp_path / "more.xyz", 6, 7).read_text(encoding="utf-8")
        paths[part].write_text(paths[part].read_text(encoding="utf-8") + added, encoding="utf-8")
    else:  # positions alone
        moved = paths[part].read_text(encoding="utf-8").replace(" 0.1", " 0.2")
        paths[part].write_text(moved, encoding="utf-8")
    with pytest.raises(UserError, match="The test molecules of train are not those that the run was begun with"):
        run_errors(tmp_path / "run")


@pytest.mark.parametrize(
    "number, sizes, said",
    [
        (10, {"num_valid": 5, "num_test": 5}, "left to train"),
        (10, {"num_train": 8, "num_valid": 2}, "left to test"),
        (1, {"test_file": True}, "left to train"),
    ],
)
def test_every_part_that_a_run_needs_has_molecules(number, sizes, said, tmp_path):
    path = write_mixed(tmp_path / "mixed.xyz", number, 0)
    sizes = {name: str(path) if value is True else value for name, value in sizes.items()}
    with pytest.raises(UserError, match=said):
        prepare(settings_for(path, **sizes))


@pytest.mark.parametrize("energy", [-4216.41307, 0.0])
def test_energies_that_differ_by_rounding_alone_are_not_scaled(energy, tmp_path):
    frames = [line for k in range(12) for line in ("2", f"energy={energy}", "O 0 0 0", f"H 0 0 {1 + k / 99}")]
    (tmp_path / "own.xyz").write_text("\n".join(frames), encoding="utf-8")
    assert prepare(settings_for(tmp_path / "own.xyz")).scale == 1
    few = write_mixed(tmp_path / "few.xyz", 9, 0)
    scales = [prepare(settings_for(few, num_valid=3, num_test=3, seed=seed)).scale for seed in range(6)]
    assert all(scale == 1 or 1e-3 < scale < 1 for scale in scales)


def test_an_element_that_does_not_train_is_refused(tmp_path):
    frames = [line for k in range(30) for line in ("2", f"energy={k % 7}", "O 0 0 0", f"H 0 0 {1 + k / 99}")]
    frames[-1] = frames[-1].replace("H", "F")
    (tmp_path / "own.xyz").write_text("\n".join(frames), encoding="utf-8")
    seeds = {}
    for seed in range(8):
        settings = settings_for(tmp_path / "own.xyz", seed=seed)
        part = next(part for part, indices in load_data(settings)[1].items() if 29 in indices)
        seeds.setdefault(part, settings)
    assert prepare(seeds["train"]).config.species == (1, 8, 9)
    with pytest.raises(UserError, match="molecule of own has F, which no training molecule has"):
        prepare(seeds["test" if "test" in seeds else "valid"])


def test_elements_of_molecules_that_are_not_used_do_not_matter(tmp_path):
    path = write_mixed(tmp_path / "mixed.xyz", 60, 0, forces=False)
    path.write_text("1\nenergy=-500\nS 0 0 0\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    for seed in range(3):
        settings = settings_for(path, num_train=20, num_valid=2, num_test=2, seed=seed)
        used = np.concatenate(list(load_data(settings)[1].values()))
        assert 0 in used or prepare(settings).config.species == (1, 6, 8)


def test_more_molecules_than_a_file_has_are_refused(tmp_path):
    train_file, test_file = (write_mixed(tmp_path / f"{k}.xyz", 9 * k, k) for k in (3, 2))
    with pytest.raises(UserError, match=r"19 test molecules were asked for, but .*2\.xyz has 18"):
        prepare(settings_for(train_file, test_file=str(test_file), num_test=19))
    own = new_settings({"dataset": "sample", "num_train": 20, "num_valid": 5, "test_file": str(test_file)})
    assert own.num_test is None


def test_isolated_atoms_that_cannot_be_used_are_named(tmp_path):
    path = write_mixed(tmp_path / "mixed.xyz", 30, 0, isolated=True)
    path.write_text("".join(path.read_text(encoding="utf-8").rpartition("1\nconfig_type")[:1]), encoding="utf-8")
    assert "The isolated atoms are not used: there is none of O." in prepare(settings_for(path)).dataset.notes
    others = write_mixed(tmp_path / "others.xyz", 3, 1, isolated=True)
    assert prepare(settings_for(path, test_file=str(others))).references == ATOMS


def test_names_of_the_data_are_tried_for_reference_energies(tmp_path):
    path = write_mixed(tmp_path / "own.xyz", 30, 0)
    path.write_text(path.read_text(encoding="utf-8").replace("energy=", "dft_energy="), encoding="utf-8")
    atoms = write_mixed(tmp_path / "atoms.xyz", 0, 0, isolated=True)
    for name in ("energy", "dft_energy"):
        settings = settings_for(path, energy_key="dft_energy", reference_energies=str(atoms))
        assert prepare(settings).references == ATOMS, name
        atoms.write_text(atoms.read_text(encoding="utf-8").replace("energy=", "dft_energy="), encoding="utf-8")


def test_evaluate_says_what_is_doubtful_and_takes_other_names(finished, tmp_path, capsys):
    text = (finished / "mixed.xyz").read_text(encoding="utf-8")
    other = tmp_path / "other.xyz"
    other.write_text(text.replace("energy=", "e_dft=").replace(":forces:R:3", ":f_dft:R:3"), encoding="utf-8")
    words = ["--run-dir", str(finished / "run"), "--data-file", str(other), "--json"]
    with pytest.raises(UserError, match="name them with --energy-key"):
        evaluate.main(words)
    assert evaluate.main([*words, "--energy-key", "e_dft"]) == 0
    out, err = capsys.readouterr()
    assert "force_mae" not in out and "no forces under the names that were tried" in err
    assert evaluate.main([*words, "--energy-key", "e_dft", "--forces-key", "f_dft"]) == 0
    named = json.loads(capsys.readouterr().out)
    assert named["force_mae"] == file_errors(finished / "run", finished / "mixed.xyz")["force_mae"]
    with pytest.raises(UserError, match="--energy-key can be given with --data-file alone"):
        evaluate.main([*words[:2], "--energy-key", "e_dft"])


def test_predict_refuses_cells_and_its_own_input_before_it_works(finished, tmp_path):
    text, run_dir = (finished / "mixed.xyz").read_text(encoding="utf-8"), str(finished / "run")
    own, cell = tmp_path / "own.xyz", tmp_path / "cell.xyz"
    own.write_text(text, encoding="utf-8")
    cell.write_text(text.replace('pbc="F F F"', 'pbc="T T T"'), encoding="utf-8")
    with pytest.raises(UserError, match="frame 0: the cell is periodic"):
        predict.main([str(cell), "--run-dir", run_dir])
    with pytest.raises(UserError, match="is the file that is read"):
        predict.main([str(own), "--run-dir", run_dir, "--out", str(own)])
    with pytest.raises(UserError, match="is no folder: make it first"):
        predict.main([str(own), "--run-dir", run_dir, "--out", str(tmp_path / "nowhere" / "a.csv")])
    assert own.read_text(encoding="utf-8") == text


def test_predictions_of_an_npz_file(finished, tmp_path):
    positions = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0]]) + 0.1
    np.savez(tmp_path / "own.npz", z=[8, 1, 1], R=[positions, 1.1 * positions])
    (tmp_path / "own.xyz").write_text(
        "".join(
            "3\n\n" + "".join(f"{symbol} {x} {y} {z}\n" for symbol, (x, y, z) in zip("OHH", molecule, strict=True))
            for molecule in (positions, 1.1 * positions)
        ),
        encoding="utf-8",
    )
    for name in ("npz", "xyz"):
        words = [str(tmp_path / f"own.{name}"), "--run-dir", str(finished / "run"), "--threads", "1"]
        assert predict.main([*words, "--out", str(tmp_path / f"{name}.csv")]) == 0
    assert (tmp_path / "npz.csv").read_text(encoding="utf-8") == (tmp_path / "xyz.csv").read_text(encoding="utf-8")


def test_predict_names_the_molecule_and_the_folder_that_are_wrong(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(prediction, "BATCH_SIZE", 2)
    frames = ["2\n\nO 0 0 0\nH 0 0 1\n"] * 6
    frames[4] = frames[4].replace("0 0 1", "0 0 0")
    (tmp_path / "own.xyz").write_text("".join(frames), encoding="utf-8")
    words = [str(tmp_path / "own.xyz"), "--run-dir", str(finished / "run"), "--threads", "1"]
    with pytest.raises(UserError, match="Atoms 0 and 1 of molecule 4 are at the same place"):
        predict.main(words)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UserError, match=r"folder\.csv is a folder"):
        predict.main([*words, "--out", str(tmp_path / "folder.csv")])


def test_evaluate_takes_a_file(finished, capsys):
    assert evaluate.main(["--run-dir", str(finished / "run"), "--data-file", str(finished / "mixed.xyz")]) == 0
    said = capsys.readouterr().out
    assert "40 molecules (mixed.xyz)" in said and "eV/Å" in said


def test_a_file_is_read_with_the_names_and_the_unit_of_the_training(tmp_path):
    path = write_mixed(tmp_path / "mixed.xyz", 40, 0)
    text = path.read_text(encoding="utf-8").replace(" energy=", " E_ref=").replace(":forces:", ":F_ref:")
    path.write_text(text, encoding="utf-8")
    names = ["--energy-unit", "kcal/mol", "--energy-key", "E_ref", "--forces-key", "F_ref"]
    train.main([*TINY.split(), *names, "--data-file", str(path), "--run-dir", str(tmp_path / "run")])
    own, trained = file_errors(tmp_path / "run", path), run_errors(tmp_path / "run", "train")
    assert own["unit"] == "kcal/mol" and own["energy_mae"] < 5 * trained["energy_mae"] + 1
    assert own["force_mae"] == pytest.approx(trained["force_mae"], rel=0.5)


def test_the_result_of_a_run_is_that_of_its_test_molecules(finished):
    result = run_directory.read_json(finished / "run" / "result.json")
    log = run_directory.read_log(finished / "run" / "log.jsonl")
    errors = run_errors(finished / "run", "test")
    assert result["test_mae"] == pytest.approx(errors["energy_mae"])
    assert result["test_force_mae"] == pytest.approx(errors["force_mae"])
    assert result["baseline_mae"] < 1  # 1000 eV without the references
    assert result["seconds"] == pytest.approx(sum(row["seconds"] for row in log)) and result["epochs"] == len(log)


def test_the_epochs_of_a_result_are_all_and_its_best_is_that_of_the_smallest_loss(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    log = tmp_path / "run" / "log.jsonl"
    (row,) = run_directory.read_log(log)
    run_directory.append_log(log, row | {"epoch": 2, "valid_loss": 2 * row["valid_loss"] + 1})
    result = summarise(tmp_path / "run")
    assert (result["epochs"], result["best_epoch"]) == (2, 1)
    assert result["seconds"] == pytest.approx(2 * row["seconds"])
