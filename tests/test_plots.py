"""What stands in the pictures of a run: the numbers that were given, on the axes that are named."""

import numpy as np
import pytest

from cormorant_np.training import plots


def drawn(plot, *arguments):
    """The axes of a plot, without the guard that keeps a failing picture from ending a run."""
    return plot.__wrapped__(*arguments).axes


def test_predictions_stand_over_the_true_energies():
    (axes,) = drawn(plots.plot_predictions, np.array([1.0, 3.0]), np.array([2.0, 5.0]), "eV")
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[-1, 0], [1, 3]])
    assert axes.get_title().endswith("mean absolute error 1.5 eV")
    assert axes.get_xlabel() == "true energy - mean / eV" and axes.get_ylabel() == "predicted energy - mean / eV"


def test_forces_stand_over_the_true_ones():
    true, predicted = np.array([[0.0, 1.0, 2.0]]), np.array([[1.0, 1.0, 5.0]])
    (axes,) = drawn(plots.plot_forces, true, predicted, "eV")
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[0, 1], [1, 1], [2, 5]])
    assert "3 components" in axes.get_title() and "eV/Å" in axes.get_xlabel()


def test_the_learning_curve_has_both_parts_of_both_errors_and_the_mean():
    names = ("epoch", "train_mae", "valid_mae", "train_force_mae", "valid_force_mae")
    log = [dict(zip(names, (k, k, 2 * k, 3 * k, 4 * k), strict=True)) for k in (1, 2)]
    energies, forces = drawn(plots.plot_learning_curve, log, "eV", 7.0)
    lines = [line.get_ydata() for line in (*energies.lines, *forces.lines)]
    np.testing.assert_allclose(lines, [[1, 2], [2, 4], [7, 7], [3, 6], [4, 8]])
    assert [line.get_label() for line in energies.lines[:2]] == ["training", "validation"]


def test_energies_of_dynamics_are_in_mev_by_picoseconds():
    total, potential = drawn(plots.plot_total_energy, np.array([[0.0, 1.0], [0.5, 0.6]]), 500.0)
    np.testing.assert_allclose(total.lines[0].get_xydata(), [[0, 0], [0.5, 100]])
    np.testing.assert_allclose(potential.lines[0].get_xydata(), [[0, 0], [0.5, 500]])


def test_the_exponent_of_the_scaling_is_that_of_the_upper_half():
    points = [(1, 5.0), (2, 5.0), (4, 16.0), (8, 64.0)]
    (axes,) = drawn(plots.plot_scaling, {"atoms": points})
    assert axes.get_legend().get_texts()[0].get_text() == "exponent 2.0"
    np.testing.assert_allclose(axes.lines[0].get_xydata(), points)


@pytest.mark.parametrize("plot", [plots.plot_covariance_errors, plots.plot_activation_means])
def test_a_picture_that_cannot_be_drawn_ends_nothing(plot, tmp_path, capsys):
    plot(tmp_path / "no.png", None)
    assert "was not drawn" in capsys.readouterr().err and not (tmp_path / "no.png").exists()
