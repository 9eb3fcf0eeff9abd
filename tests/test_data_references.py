"""Energies of the elements: recovered exactly where they are determined, sensible where they are not."""

import numpy as np
import pytest

from cormorant_np.data import fit_references, reference_energies
from cormorant_np.errors import UserError

TRUE = {1: -13.6, 6: -1026.85, 8: -2037.8}
WATER, METHANE, METHANOL, CO = [8, 1, 1, 0, 0, 0], [6, 1, 1, 1, 1, 0], [6, 8, 1, 1, 1, 1], [6, 8, 0, 0, 0, 0]


def test_sums_over_atoms():
    charges = np.array([WATER, CO, [0] * 6])
    assert reference_energies(charges, TRUE) == pytest.approx([-2037.8 - 27.2, -1026.85 - 2037.8, 0])


def test_references_of_mixtures_are_recovered():
    charges = np.array([WATER, METHANE, METHANOL, CO] * 5)
    fitted = fit_references(charges, reference_energies(charges, TRUE))
    assert set(fitted) == {1, 6, 8}
    assert all(fitted[charge] == pytest.approx(energy, rel=1e-12) for charge, energy in TRUE.items())


def test_noise_averages_out(rng):
    charges = np.array([WATER, METHANE, METHANOL, CO] * 500)
    fitted = fit_references(charges, reference_energies(charges, TRUE) + rng.normal(size=2000))
    assert all(fitted[charge] == pytest.approx(energy, abs=0.3) for charge, energy in TRUE.items())


def test_a_single_composition_gives_the_mean(rng):
    charges, energies = np.array([METHANOL] * 50), -4000 + rng.normal(size=50)
    fitted = fit_references(charges, energies)
    assert reference_energies(charges, fitted) == pytest.approx(np.full(50, energies.mean()), rel=1e-12)
    assert max(map(abs, fitted.values())) < 4000


def test_collinear_compositions_give_their_means():
    charges = np.array([METHANE, METHANE, METHANOL])
    fitted = fit_references(charges, np.array([-10.0, -12.0, -20.0]))
    assert reference_energies(charges, fitted) == pytest.approx([-11, -11, -20])


def test_an_element_without_a_reference():
    with pytest.raises(UserError, match="no reference energy for N, Cl"):
        reference_energies(np.array([[7, 17, 1]]), TRUE)
