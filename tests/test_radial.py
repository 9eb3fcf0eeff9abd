"""Radial functions and mask, written out for every layer and pair."""

import numpy as np
import pytest
from conftest import FORMALDEHYDE, WATER, batch_of, small_config
from scipy.special import expit

from cormorant_np.network.geometry import geometry_forward
from cormorant_np.network.pairs import spread
from cormorant_np.network.radial import mask_backward, mask_forward, radial_backward, radial_forward


def formaldehyde_and_water(config, dtype=np.float64):
    batch = batch_of([FORMALDEHYDE, WATER], config, dtype)
    return geometry_forward(batch.charges, batch.positions, config)[0]


def pairs(geometry):
    """Indices (b, p) and the distance of all pairs of two different atoms: formaldehyde has six, water three."""
    found = [((b, p), geometry.distances[b, p]) for b, p in np.argwhere(geometry.distinct)]
    assert len(found) == 6 + 3
    return found


def sine(r, k, kappa, phi):
    return r**-k * np.sin(2 * np.pi * kappa * r + phi)


def test_the_supplements_functions_have_a_frequency_for_each_part(rng):
    config = small_config("supplement", max_power=3, num_frequencies=2)
    kappa, phi = rng.uniform(0, 2, (3, 2, 2)), rng.uniform(0, 6, (3, 2, 2))
    geometry = formaldehyde_and_water(config)
    eta, _ = radial_forward(kappa, phi, geometry, config)
    assert eta.shape == (3, 8, 2, 7) and config.num_radial == 8
    for s in range(3):
        for pair, r in pairs(geometry):
            expected = [
                sine(r, k, kappa[s, 0, n], phi[s, 0, n]) + 1j * sine(r, k, kappa[s, 1, n], phi[s, 1, n])
                for k in range(4)
                for n in range(2)
            ]
            np.testing.assert_allclose(eta[s, :, *pair], expected, rtol=1e-12)


@pytest.mark.parametrize("max_power", [0, 2, 3])
def test_the_released_functions_pair_up_neighbours_of_a_list_with_the_power_fastest(max_power, rng):
    config = small_config("released", max_power=max_power, num_frequencies=2)
    kappa, phi = rng.uniform(0, 2, (3, 2, 2)), rng.uniform(0, 6, (3, 2, 2))
    geometry = formaldehyde_and_water(config)
    eta, _ = radial_forward(kappa, phi, geometry, config)
    for s in range(3):
        sines = list(zip(kappa[s].ravel(), phi[s].ravel(), strict=True))
        for pair, r in pairs(geometry):
            real = [sine(r, k, x, p) for x, p in sines for k in range(max_power + 1)]
            expected = [real[n] + 1j * real[n + 1] for n in range(0, len(real), 2)]
            np.testing.assert_allclose(eta[s, :, *pair], expected, rtol=1e-12)


@pytest.mark.parametrize(
    "convention, cutoff, width",
    [
        ("supplement", [1.73, 1.2], [0.2, 0.4]),
        ("supplement", [-1.73, 1.2], [0.2, -0.4]),
        ("released", [1.73, 1.2], [0.2, 0.4]),
        ("released", [-1.73, 1.2], [0.2, -0.4]),
        ("released", [1.73, 1.2], [1e-5, -1e-4]),
    ],
)
def test_the_mask_is_a_sigmoid_of_the_distance(convention, cutoff, width):
    """The released code takes |r_c| and max(|w|, 0.001). The second layer has other parameters."""
    config = small_config(convention)
    geometry = formaldehyde_and_water(config)
    cutoffs, widths = np.array([cutoff, [1.5, 1.6]]), np.array([width, [0.3, 0.5]])
    mu, _ = mask_forward(cutoffs, widths, geometry, config)
    assert mu.shape == (2, 2, *geometry.distances.shape)
    of_ordered = spread(mu, geometry.pairs)
    for s, c in np.ndindex(2, 2):
        r_c, w = cutoffs[s, c], widths[s, c]
        if convention == "released":
            r_c, w = abs(r_c), max(abs(w), 1e-3)
        for pair, r in pairs(geometry):
            np.testing.assert_allclose(mu[s, c, *pair], expit(-(r - r_c) / w), atol=1e-15)
        for i in range(3):
            own = expit(r_c / w) if convention == "released" else 0
            np.testing.assert_allclose(of_ordered[s, c, 1, i, i], own, atol=1e-15)
    assert (of_ordered[:, :, 1, 3] == 0).all() and (of_ordered[:, :, 1, :, 3] == 0).all()


def test_a_clamped_width_has_no_gradient():
    """One pair lies on the slope of the mask, where the width matters unless it is clamped."""
    config = small_config("released")
    geometry = formaldehyde_and_water(config)
    cutoff = np.full((1, 2), pairs(geometry)[0][1] + 1e-3)
    mu, cache = mask_forward(cutoff, np.array([[5e-4, 2e-3]]), geometry, config)
    _, d_width, _ = mask_backward(np.ones_like(mu), cache)
    assert d_width[0, 0] == 0 and abs(d_width[0, 1]) > 1


def test_functions_and_gradients_are_finite_and_zero_where_there_is_no_pair(config):
    """r^-k must not see the distance of an atom to itself."""
    geometry = formaldehyde_and_water(config, np.float32)
    shape = (3, 2, config.num_frequencies)
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        eta, cache = radial_forward(np.ones(shape, np.float32), np.ones(shape, np.float32), geometry, config)
        gradients = radial_backward(np.ones_like(eta), cache)
    assert eta.dtype == np.complex64 and {g.dtype.name for g in gradients} == {"float32"}
    assert (eta[:, :, geometry.distinct == 0] == 0).all()
    assert (gradients[2][geometry.distinct == 0] == 0).all()


@pytest.mark.parametrize("width", [0.2, 1e-3])
def test_a_narrow_mask_does_not_overflow_in_float32(width):
    config = small_config()
    geometry = formaldehyde_and_water(config, np.float32)
    with np.errstate(over="raise", invalid="raise"):
        cutoffs, widths = np.full((3, 2), 1.73, np.float32), np.full((3, 2), width, np.float32)
        mu, cache = mask_forward(cutoffs, widths, geometry, config)
        gradients = mask_backward(np.ones_like(mu), cache)
    assert mu.dtype == np.float32 and {g.dtype.name for g in gradients} == {"float32"}
    assert mu.min() >= 0 and mu.max() <= 1
