"""What a run has achieved: errors of energies and forces, result.json and plots."""

import dataclasses
import math
import sys
from pathlib import Path

import numpy as np

from cormorant_np import data
from cormorant_np.backend import check_device, choose_device
from cormorant_np.data.units import energy_factor
from cormorant_np.errors import UserError
from cormorant_np.training import run_directory
from cormorant_np.training.parallel import workers
from cormorant_np.training.plots import plot_forces, plot_learning_curve, plot_predictions
from cormorant_np.training.prediction import (
    check_finite,
    find_run,
    frame_errors,
    load_network,
    predict_frames,
    predict_with,
)
from cormorant_np.training.problem import prepare
from cormorant_np.training.reporting import baseline_error
from cormorant_np.training.run_directory import read_settings


def load_run(run_dir, **changes):
    """The settings of a run, its data, and its best parameters.

    Parameters
    ----------
    run_dir : Path
    changes : settings that are to be others than the run's, such as `device` and `threads`; None is no change

    Returns
    -------
    settings, problem, params
    """
    run_dir = find_run(run_dir)
    run, changes = run_directory.read_config(run_dir), {k: v for k, v in changes.items() if v is not None}
    changes["device"] = choose_device(changes.get("device", run.settings.device))
    settings = dataclasses.replace(run.settings, **changes)
    check_device(settings.device)
    params = run_directory.read_best(run_dir, run, settings.device)
    problem = prepare(settings, run_directory.read_run(run_dir))
    return settings, problem, params


def summarise(run_dir, **changes):
    """Test the best model of a finished run: result.json, learning_curve.png, predictions.png and forces.png.

    Parameters
    ----------
    run_dir : Path
    changes : as in `load_run`

    Returns
    -------
    dict, as in result.json
    """
    run_dir = Path(run_dir)
    settings, problem, params = load_run(run_dir, **changes)
    indices, has_forces = problem.splits["test"], problem.dataset.forces is not None
    with workers(settings.threads, settings.device) as pool:
        energies, forces = predict_frames(params, problem, indices, pool, has_forces)
    check_finite(energies, forces, indices)
    log = run_directory.read_log(run_dir / "log.jsonl")
    if not log:
        raise UserError(f"{run_dir / 'log.jsonl'} has no whole row: --resume with more --epochs writes new ones.")
    best = min(log, key=lambda row: (not math.isfinite(row["valid_mae"]), row.get("valid_loss", math.inf)))
    true = problem.dataset.energies[indices]
    result = {
        "dataset": problem.dataset.name,
        "unit": problem.dataset.unit,
        **mae_and_rmse("test", energies - true),
        "baseline_mae": baseline_error(problem, indices),
        "valid_mae": best["valid_mae"],
        "best_epoch": best["epoch"],
        "epochs": log[-1]["epoch"],
        "seconds": sum(row["seconds"] for row in log),
        "num_train": len(problem.splits["train"]),
        "num_test": len(true),
    }
    if has_forces:
        atoms = problem.dataset.charges[indices] > 0
        true_forces, forces = problem.dataset.forces[indices][atoms], forces[atoms]
        result |= mae_and_rmse("test_force", forces - true_forces)
        plot_forces(run_dir / "forces.png", true_forces, forces, result["unit"])
    run_directory.write_json(run_dir / "result.json", result)
    what = settings.quantity
    plot_learning_curve(run_dir / "learning_curve.png", log, result["unit"], result["baseline_mae"], what)
    plot_predictions(run_dir / "predictions.png", true, energies, result["unit"], what)
    return result


def run_errors(run_dir, split="test", device=None, threads=None):
    """Errors of energies and forces on one part of a run's data.

    Returns
    -------
    dict with energy_mae, energy_rmse and, if the data have forces, force_mae and force_rmse over all components; the
    errors of another target of QM9, named by `what`, are under energy_mae and energy_rmse too
    """
    settings, problem, params = load_run(run_dir, device=device, threads=threads)
    indices = problem.splits.get(split, ())
    if not len(indices):
        raise UserError(f"The run in {run_dir} has no {split} molecules.")
    with workers(settings.threads, settings.device) as pool:
        energies, forces = frame_errors(params, problem, indices, pool, problem.dataset.forces is not None)
    by_molecule = None if forces is None else np.split(forces, np.cumsum(problem.num_atoms[indices])[:-1])
    check_finite(energies, by_molecule, indices)
    result = {"split": split, "what": settings.quantity, "num_molecules": len(indices), "unit": problem.dataset.unit}
    result |= mae_and_rmse("energy", energies)
    return result if forces is None else result | mae_and_rmse("force", forces)


def file_errors(run_dir, path, device=None, threads=None, energy_unit=None, energy_key=None, forces_key=None):
    """Errors of the best model of a run on a file of one's own, in the run's unit, whatever the file's.

    What is doubtful about the file goes to stderr.

    Parameters
    ----------
    device, threads, energy_unit, energy_key, forces_key : as in training; None is what the run was trained with

    Returns
    -------
    dict as from `run_errors`, with the file's name as "split"

    Raises
    ------
    UserError
        If the file cannot be read, or the run's target is no energy of a molecule.
    """
    settings = read_settings(find_run(run_dir))
    network = load_network(run_dir, device or settings.device)
    if not network.is_potential_energy:
        raise UserError(f"The run in {run_dir} predicts {network.target}, and files have energies: use --split test.")
    dataset = data.load_file(
        path,
        energy_unit or settings.energy_unit,
        energy_key or settings.energy_key,
        forces_key or settings.forces_key,
    )
    for note in dataset.notes:
        print(note, file=sys.stderr)
    atoms, factor = dataset.charges > 0, energy_factor(dataset.unit, network.unit)
    molecules = [(z[own], r[own]) for z, r, own in zip(dataset.charges, dataset.positions, atoms, strict=True)]
    has_forces = dataset.forces is not None
    energies, forces = predict_with(network, molecules, has_forces, threads or settings.threads)
    result = {"split": Path(path).name, "what": network.target, "num_molecules": len(molecules), "unit": network.unit}
    result |= mae_and_rmse("energy", np.array(energies) - factor * dataset.energies)
    if not has_forces:
        return result
    return result | mae_and_rmse("force", np.concatenate(forces) - factor * dataset.forces[atoms])


def mae_and_rmse(name, errors):
    """Mean absolute and root mean square error, under `name`_mae and `name`_rmse."""
    return {f"{name}_mae": float(np.abs(errors).mean()), f"{name}_rmse": float(np.sqrt((errors**2).mean()))}
