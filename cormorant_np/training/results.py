"""What a run has achieved: errors of energies and forces, result.json and plots."""

import dataclasses
from pathlib import Path

import numpy as np

from cormorant_np.backend import to_host
from cormorant_np.errors import UserError
from cormorant_np.training import run_directory
from cormorant_np.training.parallel import predict_with_forces, workers
from cormorant_np.training.plots import plot_learning_curve, plot_predictions
from cormorant_np.training.prediction import evaluation_batches, prediction_errors
from cormorant_np.training.problem import minibatch, prepare
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
    run_dir = Path(run_dir)
    settings = dataclasses.replace(read_settings(run_dir), **{k: v for k, v in changes.items() if v is not None})
    params = run_directory.load_arrays(run_dir / "best.npz", settings.device)
    problem = prepare(settings, run_directory.load_arrays(run_dir / "splits.npz"))
    return settings, problem, params


def summarise(run_dir, **changes):
    """Test the best model of a finished run: result.json, learning_curve.png and predictions.png.

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
    test, train = (problem.dataset.energies[problem.splits[part]] for part in ("test", "train"))
    with workers(settings.threads, settings.device) as pool:
        errors = prediction_errors(params, problem, problem.splits["test"], settings, pool)
    log = run_directory.read_log(run_dir / "log.jsonl")
    best = min(log, key=lambda row: row["valid_mae"])
    result = {
        "dataset": problem.dataset.name,
        "unit": problem.dataset.unit,
        **mae_and_rmse("test", errors),
        "baseline_mae": float(np.abs(test - train.mean()).mean()),
        "valid_mae": best["valid_mae"],
        "best_epoch": best["epoch"],
        "epochs": log[-1]["epoch"],
        "seconds": sum(row["seconds"] for row in log),
        "num_train": len(train),
        "num_test": len(test),
    }
    run_directory.write_json(run_dir / "result.json", result)
    plot_learning_curve(run_dir / "learning_curve.png", log, result["unit"], result["baseline_mae"])
    plot_predictions(run_dir / "predictions.png", test, test + errors, result["unit"])
    return result


def force_errors(run_dir, split="test", device=None, threads=None):
    """Errors of energies and forces on one part of a run's data.

    Returns
    -------
    dict with energy_mae, energy_rmse and, if the data have forces, force_mae and force_rmse over all components; the
    errors of another target of QM9, named by `what`, are under energy_mae and energy_rmse too
    """
    settings, problem, params = load_run(run_dir, device=device, threads=threads)
    indices = problem.splits[split]
    if not len(indices):
        raise UserError(f"The run in {run_dir} has no {split} molecules.")
    energies, forces = [], []
    with workers(settings.threads, settings.device) as pool:
        for order in evaluation_batches(problem, indices, settings):
            part = indices[order]
            batch, targets = minibatch(problem, part)
            energy, force = predict_with_forces(params, batch, problem.config, pool)
            energies.append(to_host(energy - targets) * problem.scale)
            if problem.dataset.forces is not None:
                error = to_host(force) * problem.scale - problem.dataset.forces[part][:, : force.shape[1]]
                forces.append(error[to_host(batch.charges) > 0])
    what = settings.target if settings.is_qm9 else "energy"
    result = {"split": split, "what": what, "num_molecules": len(indices), "unit": problem.dataset.unit}
    for name, errors in (("energy", energies), ("force", forces)):
        if errors:
            result |= mae_and_rmse(name, np.concatenate(errors).astype(np.float64))
    return result


def mae_and_rmse(name, errors):
    """Mean absolute and root mean square error, under `name`_mae and `name`_rmse."""
    return {f"{name}_mae": float(np.abs(errors).mean()), f"{name}_rmse": float(np.sqrt((errors**2).mean()))}
