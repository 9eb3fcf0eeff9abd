"""The two plots of a run."""

import numpy as np


def _figure():
    from matplotlib.figure import Figure  # takes time to import, and needs no window

    figure = Figure(figsize=(6, 4), layout="constrained")
    return figure, figure.subplots()


def plot_learning_curve(path, log, unit, baseline):
    """Training and validation error by epoch, and the error of predicting the mean."""
    figure, axes = _figure()
    epochs = [row["epoch"] for row in log]
    axes.plot(epochs, [row["train_mae"] for row in log], label="training")
    axes.plot(epochs, [row["valid_mae"] for row in log], label="validation")
    axes.axhline(baseline, color="grey", linestyle=":", label="predicting the mean")
    axes.set(xlabel="epoch", ylabel=f"mean absolute error / ({unit})", yscale="log")
    axes.legend()
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path, dpi=150)


def plot_predictions(path, true, predicted, unit):
    """Predicted against true energies of the test molecules, both relative to the mean of the true ones."""
    figure, axes = _figure()
    centre = true.mean()
    axes.scatter(true - centre, predicted - centre, s=6, alpha=0.5, linewidths=0)
    limits = np.array([true.min(), true.max()]) - centre
    axes.plot(limits, limits, color="grey", linewidth=1)
    error = np.abs(predicted - true).mean()
    axes.set(
        xlabel=f"true energy - mean / ({unit})",
        ylabel=f"predicted energy - mean / ({unit})",
        title=f"{len(true)} test molecules, mean absolute error {error:.3g} {unit}",
        aspect="equal",
    )
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
