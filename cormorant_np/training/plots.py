"""The plots of a run and of a check."""

import functools
import io
import sys

import numpy as np

from cormorant_np.errors import reason_of
from cormorant_np.files import replace_file


def never_fails(plot):
    """A plot never decides over a run: where it cannot be drawn or written, one sentence on stderr says so.

    What is decorated returns a figure; what comes of it takes the path of the picture before the plot's own arguments.
    """

    @functools.wraps(plot)
    def safely(path, *arguments):
        try:
            figure, buffer = plot(*arguments), io.BytesIO()
            figure.savefig(buffer, format="png", dpi=150)
            replace_file(path, buffer.getvalue())
        except Exception as error:  # Matplotlib, its settings and the disk have many
            print(f"{path} was not drawn ({reason_of(error)}).", file=sys.stderr)

    return safely


def _figure(columns=1, rows=1, size=(6, 4)):
    from matplotlib.figure import Figure  # takes time to import, and needs no window

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns)


def _plain_log_ticks(axis):
    """1, 2, 5, 10 ... as plain numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter("{x:g}")


def _over(unit):
    """What follows a quantity on an axis: "/ eV", or "/ (kcal/mol)" where the unit is more than one word."""
    return f"/ ({unit})" if set(unit) & set("/ ") else f"/ {unit}"


@never_fails
def plot_learning_curve(log, unit, baseline, what="energy"):
    """Training and validation errors by epoch, of `what` beside the error of predicting the mean, and of forces."""
    has_forces = "train_force_mae" in log[0]
    figure, all_axes = _figure(2 if has_forces else 1, size=(10, 4) if has_forces else (6, 4))
    energy_axes, *force_axes = np.atleast_1d(all_axes)
    _plot_errors(energy_axes, log, "mae", f"error of {what} {_over(unit)}")
    energy_axes.axhline(baseline, color="grey", linestyle=":", label="predicting the mean")
    energy_axes.legend()
    for axes in force_axes:
        _plot_errors(axes, log, "force_mae", f"error of forces {_over(unit + '/Å')}")
    return figure


def _plot_errors(axes, log, name, label):
    from matplotlib.ticker import MaxNLocator

    epochs = [row["epoch"] for row in log]
    for part, words in (("train", "training"), ("valid", "validation")):
        rows = [row.get(f"{part}_{name}", np.nan) for row in log]
        axes.plot(epochs, rows, label=words, marker="o" if len(epochs) < 30 else "", markersize=4)
    first, last = epochs[0], epochs[-1]
    margin = 0.05 * (last - first) or 0.5
    axes.set(xlabel="epoch", ylabel=f"mean absolute {label}", yscale="log", xlim=(first - margin, last + margin))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10), min_n_ticks=1))
    _plain_log_ticks(axes.yaxis)
    axes.grid(alpha=0.3)


@never_fails
def plot_predictions(true, predicted, unit, what="energy"):
    """Predicted against true energies of the test molecules, both relative to the mean of the true ones.

    Parameters
    ----------
    true, predicted : (n,)
    what : the name of another target of QM9
    """
    centre, title = true.mean(), f"{len(true)} test molecule{'s' if len(true) > 1 else ''}"
    return _plot_against(true - centre, predicted - centre, f"{what} - mean", unit, title)


@never_fails
def plot_forces(true, predicted, unit):
    """Predicted against true components of the forces on the test molecules' atoms."""
    return _plot_against(true.ravel(), predicted.ravel(), "force component", f"{unit}/Å", f"{true.size} components")


def _plot_against(true, predicted, what, unit, title):
    figure, axes = _figure(size=(5, 5.2))
    size, alpha = (18, 0.6) if len(true) < 300 else (6, min(0.5, 3000 / len(true)))
    axes.scatter(true, predicted, s=size, alpha=alpha, linewidths=0, rasterized=True)
    low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    margin = 0.05 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="grey", linewidth=1, zorder=0)
    error = np.abs(predicted - true).mean()
    axes.set(
        xlabel=f"true {what} {_over(unit)}",
        ylabel=f"predicted {what} {_over(unit)}",
        title=f"{title}\nmean absolute error {error:.4g} {unit}",
        aspect="equal",
        xlim=limits,
        ylim=limits,
    )
    axes.locator_params(nbins=6)
    axes.grid(alpha=0.3)
    return figure


@never_fails
def plot_covariance_errors(errors):
    """The relative error of covariance by ℓ, one line for each layer, beside the precision of float64."""
    figure, axes = _figure()
    for s, layer in enumerate(errors, start=1):
        axes.plot(range(len(layer)), np.maximum(layer, 1e-17), marker="o", label=f"layer {s}")
    axes.axhline(np.finfo(np.float64).eps, color="grey", linestyle=":", label="float64's precision")
    axes.set(xlabel="ℓ", ylabel="|F(R r) - D(R) F(r)|, relative", yscale="log", xticks=range(max(map(len, errors))))
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


@never_fails
def plot_activation_means(means):
    """The mean of |F| by layer, beside the one that section 1.6 asks for."""
    figure, axes = _figure()
    layers = range(1, len(means) + 1)
    axes.plot(layers, means, marker="o")
    axes.axhline(1, color="grey", linestyle=":", label="section 1.6")
    limits = (min(0.1, *means) / 2, max(10, *means) * 2)
    axes.set(xlabel="layer", ylabel="mean |F|", yscale="log", xticks=layers, ylim=limits)
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


@never_fails
def plot_scaling(results):
    """Step time against each thing that was varied, with the exponent of the upper half in the legend.

    Parameters
    ----------
    results : dict, name → list of (value, milliseconds)
    """
    rows = -(-len(results) // 2)
    figure, all_axes = _figure(2, rows, size=(8, 3 * rows))
    for axes in all_axes.flat[len(results) :]:
        axes.remove()
    for axes, (name, points) in zip(all_axes.flat, results.items(), strict=False):
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
    return figure


@never_fails
def plot_total_energy(energies, femtoseconds):
    """Total and potential energy against time.

    Parameters
    ----------
    energies : (n, 2) in eV, potential and kinetic
    femtoseconds : the time from one to the next
    """
    figure, axes = _figure(2, size=(10, 4))
    picoseconds = 1e-3 * femtoseconds * np.arange(len(energies))
    total = energies.sum(axis=1)
    for one, values, name in ((axes[0], total, "total"), (axes[1], energies[:, 0], "potential")):
        one.plot(picoseconds, 1000 * (values - values[0]), linewidth=0.8)
        one.set(xlabel="time / ps", ylabel=f"{name} energy - first / meV")
        one.grid(alpha=0.3)
    return figure
