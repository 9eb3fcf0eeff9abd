"""What a run says to people."""

import time

import numpy as np

from cormorant_np import data
from cormorant_np.data.elements import SYMBOLS
from cormorant_np.data.units import ENERGIES_IN_EV, energy_factor
from cormorant_np.errors import UserError
from cormorant_np.network.parameters import size
from cormorant_np.training.mpi import number_of_ranks
from cormorant_np.training.plots import plot_learning_curve
from cormorant_np.training.problem import epoch_batches
from cormorant_np.training.run_directory import read_log

SECONDS_BETWEEN_PICTURES = 20
"""Between two pictures of the learning curve while a run goes on."""


def with_mev(error, unit):
    """An error with its unit, and in meV if it is an energy: "0.123 kcal/mol (5.3 meV)"."""
    mev = f" ({error * energy_factor(unit, 'meV'):.1f} meV)" if unit in ENERGIES_IN_EV else ""
    return f"{error:.4g} {unit}{mev}"


def describe(settings, problem, run_dir):
    """What is about to be trained, in a few lines."""
    sizes = {part: len(indices) for part, indices in problem.splits.items()}
    config, weight, lr, lr_final = problem.config, settings.force_weight, settings.lr, settings.lr_final
    padding = data.padding_share(problem.num_atoms, epoch_batches(problem, settings, epoch=0))
    ranks = f" in each of {number_of_ranks()} ranks" if number_of_ranks() > 1 else ""
    loss = f"energies and forces with the weight {weight:g}" if weight else "energies alone"
    rate = f"{lr:g}" if lr_final in (None, lr) else f"{lr:g} → {lr_final:g}"
    notes = "".join(f"{note}\n" for note in problem.dataset.notes)
    return (
        f"{notes}{references_in_words(problem)}{problem.dataset.name} ({problem.dataset.theory}): "
        f"{sizes['train']} training, {sizes['valid']} validation and {sizes['test']} test molecules, "
        f"{padding:.2%} padding in the batches\n"
        f"{size(config)} parameters: {config.num_layers} layers, l_max {' '.join(map(str, config.l_max))}, "
        f"{config.num_channels} channels, convention {settings.convention}, gain {config.gain:g}\n"
        f"{loss}: {settings.epochs} epochs, batches of {settings.batch_size}, {settings.optimizer}, lr {rate}, "
        f"{settings.dtype} on {settings.device} with --threads {settings.threads}{ranks}\n"
        f"everything goes into {run_dir}"
    )


def references_in_words(problem):
    """A line with the energies of the elements that are subtracted, if any are."""
    if problem.references is None:
        return ""
    unit, elements = problem.dataset.unit, problem.references.items()
    return f"Subtracted: {', '.join(f'{SYMBOLS[charge]} {energy:.6g}' for charge, energy in elements)} {unit}\n"


def log_line(row, epochs, unit):
    """One epoch for people, with the time that is left at this epoch's pace."""
    left = (epochs - row["epoch"]) * row["seconds"]
    errors = []
    for part in ("train", "valid"):
        force = f", {row[f'{part}_force_mae']:.3g} {unit}/Å" if f"{part}_force_mae" in row else ""
        errors.append(f"{part} MAE {with_mev(row[f'{part}_mae'], unit)}{force}")
    return (
        f"epoch {row['epoch']:{len(str(epochs))}d}/{epochs}  {'  '.join(errors)}  "
        f"{row['seconds']:.1f} s, {left / 60:.0f} min left"
    )


def baseline_error(problem, indices):
    """The mean absolute error of always predicting the mean of the training energies."""
    predicted = problem.mean + problem.reference[indices]
    return float(np.abs(problem.dataset.energies[indices] - predicted).mean())


def draw_progress(run_dir, problem, settings):
    """The learning curve so far, unless it is newer than `SECONDS_BETWEEN_PICTURES`, as the run may be."""
    files = [run_dir / name for name in ("learning_curve.png", "config.json")]
    if time.time() - max(file.stat().st_mtime for file in files if file.exists()) > SECONDS_BETWEEN_PICTURES:
        log, baseline = read_log(run_dir / "log.jsonl"), baseline_error(problem, problem.splits["train"])
        plot_learning_curve(files[0], log, problem.dataset.unit, baseline, settings.quantity)


def summary_writer():
    """The class that writes what TensorBoard shows; a `UserError` where it is not installed."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UserError(
            "--tensorboard needs the package tensorboardX: pip install tensorboardX, or leave it out."
        ) from None
    return SummaryWriter


def write_summary(run_dir, row):
    """One epoch's row of log.jsonl for TensorBoard, which reads all files of `run_dir`/tensorboard."""
    with summary_writer()(str(run_dir / "tensorboard"), filename_suffix=f".{row['epoch']}") as writer:
        for name, value in row.items():
            writer.add_scalar(name, value, row["epoch"])
