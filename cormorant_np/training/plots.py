"""The plots of a run and of a check."""

import numpy as np


def _figure(num_axes=1, size=(6, 4)):
    from matplotlib.figure import Figure  # takes time to import, and needs no window

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(1, num_axes)


def _plain_log_ticks(axis):
    """1, 2, 5, 10 ... as plain numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def plot_learning_curve(path, log, unit, baseline):
    """Training and validation error by epoch, and the error of predicting the mean."""
    figure, axes = _figure()
    epochs = [row["epoch"] for row in log]
    axes.plot(epochs, [row["train_mae"] for row in log], label="training")
    axes.plot(epochs, [row["valid_mae"] for row in log], label="validation")
    axes.axhline(baseline, color="grey", linestyle=":", label="predicting the mean")
    axes.set(xlabel="epoch", ylabel=f"mean absolute error / ({unit})", yscale="log")
    _plain_log_ticks(axes.yaxis)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def plot_predictions(path, true, predicted, unit):
    """Predicted against true energies of the test molecules, both relative to the mean of the true ones."""
    figure, axes = _figure(size=(5, 5))
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


def plot_covariance_errors(path, errors):
    """The relative error of covariance by ℓ, one line for each layer, beside the precision of float64."""
    figure, axes = _figure()
    for s, layer in enumerate(errors, start=1):
        axes.plot(range(len(layer)), np.maximum(layer, 1e-17), marker="o", label=f"layer {s}")
    axes.axhline(np.finfo(np.float64).eps, color="grey", linestyle=":", label="float64's precision")
    axes.set(xlabel="ℓ", ylabel="|F(R r) - D(R) F(r)|, relative", yscale="log", xticks=range(max(map(len, errors))))
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def plot_activation_means(path, means):
    """The mean of |F| by layer, beside the one that section 1.6 asks for."""
    figure, axes = _figure()
    layers = range(1, len(means) + 1)
    axes.plot(layers, means, marker="o")
    axes.axhline(1, color="grey", linestyle=":", label="section 1.6")
    limits = (min(0.1, *means) / 2, max(10, *means) * 2)
    axes.set(xlabel="layer", ylabel="mean |F|", yscale="log", xticks=layers, ylim=limits)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def plot_scaling(path, results):
    """Step time against each thing that was varied, with the exponent of the upper half in the legend.

    Parameters
    ----------
    results : dict, name → list of (value, milliseconds)
    """
    figure, all_axes = _figure(len(results), size=(3 * len(results), 3))
    for axes, (name, points) in zip(all_axes, results.items(), strict=True):
        values, times = np.array(points, dtype=float).T
        half = len(values) // 2
        exponent = np.polyfit(np.log(values[half:]), np.log(times[half:]), 1)[0]
        axes.loglog(values, times, "o-", label=f"exponent {exponent:.1f}")
        axes.set(xlabel=name.replace("_", " "), ylabel="training step / ms")
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.set_xticks([], minor=True)
        _plain_log_ticks(axes.yaxis)
        axes.grid(alpha=0.3, which="both")
        axes.legend()
    figure.savefig(path, dpi=150)
