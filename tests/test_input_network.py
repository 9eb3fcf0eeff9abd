"""Section 1.3, atom by atom."""

import numpy as np
import pytest
from conftest import FORMALDEHYDE, QM9, WATER, assert_close, batch_of, random_complex, random_params, small_config
from scipy.special import expit

from cormorant_np.network.geometry import geometry_forward
from cormorant_np.network.input_network import (
    featurize,
    filter_forward,
    input_network_backward,
    input_network_forward,
)
from cormorant_np.network.pairs import spread
from cormorant_np.network.radial import radial_forward

CHARGES = np.array([[8, 6, 1, 1], [8, 1, 1, 0]])


@pytest.mark.parametrize("species, charge_scale", [((1, 6, 8), 8), ((8, 1, 6), 9), ((1, 6, 7, 8), 8)])
def test_features_are_the_one_hot_vector_times_powers_of_the_charge(species, charge_scale):
    config = small_config(species=species, charge_scale=charge_scale)
    features = featurize(CHARGES, config, np.float64)
    for b, i in np.argwhere(CHARGES > 0):
        z = CHARGES[b, i]
        onehot = [float(z == s) for s in species]
        powers = [1, z / charge_scale, (z / charge_scale) ** 2]
        np.testing.assert_allclose(features[:, b, i], np.kron(onehot, powers), rtol=1e-15)
    assert (features[:, 1, 3] == 0).all()


def test_scalars_are_a_mixture_with_bias_and_padding_stays_zero(rng):
    config = small_config()
    weight, bias = random_complex(rng, 2, 9), random_complex(rng, 2)
    atom_features, (charges, geometry) = featurize(CHARGES, config, np.float64), formaldehyde_and_water(config)
    params = {"input.weight": weight, "input.bias": bias}
    features, cache = input_network_forward(params, charges, geometry, config)
    expected = np.zeros((1, 2, 2, 4), complex)
    for b, i in np.argwhere(CHARGES > 0):
        expected[0, :, b, i] = weight @ atom_features[:, b, i] + bias
    assert_close(features, expected)
    grads, d_distances = input_network_backward(np.ones_like(features), cache)
    assert_close(grads["input.bias"], np.array([7, 7], complex))
    assert grads["input.weight"].shape == weight.shape
    assert d_distances.shape == geometry.distances.shape and not d_distances.any()


def formaldehyde_and_water(config):
    batch = batch_of([FORMALDEHYDE, WATER], config)
    return batch.charges, geometry_forward(batch.charges, batch.positions, config)[0]


def perceptron(params, name, x, slope):
    """W_1 relu(W_0 x + b_0) + b_1 of one column x."""
    hidden = params[f"{name}.weight.0"] @ x + params[f"{name}.bias.0"]
    active = [h if h > 0 else slope * h for h in hidden]
    return params[f"{name}.weight.1"] @ active + params[f"{name}.bias.1"]


def test_qm9s_scalars_come_from_messages_under_a_soft_mask(rng):
    """Section 1.3.2: MLP( Σ_j σ((r_cut - r_ij) / w) F̃_j ⊕ F̃_i ), resized to complex numbers."""
    config = small_config("supplement", **QM9)
    params, (charges, geometry) = random_params(config, rng), formaldehyde_and_water(config)
    features, _ = input_network_forward(params, charges, geometry, config)
    atom_features, distances = featurize(charges, config, np.float64), spread(geometry.distances, geometry.pairs)
    expected = np.zeros((1, 2, 2, 4), complex)
    for b, i in np.argwhere(charges > 0):
        message = sum(
            expit((params["input.cutoff"] - distances[b, j, i]) / params["input.width"]) * atom_features[:, b, j]
            for j in range(4)
            if charges[b, j] > 0 and j != i
        )
        y = perceptron(params, "input.mlp", np.concatenate([message, atom_features[:, b, i]]), 0)
        expected[0, :, b, i] = [y[0] + 1j * y[1], y[2] + 1j * y[3]]
    assert_close(features, expected)


def test_the_released_messages_have_a_filter_for_every_feature(rng):
    """A real mixture of the radial functions' real and imaginary parts, under a soft and a hard cutoff at 1.73 Å."""
    config = small_config("released", **QM9)
    params, (charges, geometry) = random_params(config, rng), formaldehyde_and_water(config)
    weights, _ = filter_forward(params, geometry, config)
    eta, _ = radial_forward(params["input.radial.kappa"][None], params["input.radial.phi"][None], geometry, config)
    weights, eta, distances = (spread(x, geometry.pairs) for x in (weights, eta[0], geometry.distances))
    beyond = 0
    for b, j, i in np.ndindex(2, 4, 4):
        r = 0 if i == j else distances[b, j, i]
        parts = np.array([[e.real, e.imag] for e in eta[:, b, j, i]]).ravel()
        mixed = params["input.filter.weight"] @ parts + params["input.filter.bias"]
        pair = charges[b, i] > 0 and charges[b, j] > 0
        expected = mixed * expit(-(r - 1.73) / 0.2) if pair and r < 1.73 else 0 * mixed
        np.testing.assert_allclose(weights[:, b, j, i], expected, atol=1e-14)
        beyond += pair and r > 1.73
    assert beyond  # the hard cutoff is at work


def test_the_released_input_sums_filtered_messages_and_leaks_below_zero(rng):
    config = small_config("released", **QM9)
    params, (charges, geometry) = random_params(config, rng), formaldehyde_and_water(config)
    features, _ = input_network_forward(params, charges, geometry, config)
    weights = spread(filter_forward(params, geometry, config)[0], geometry.pairs)
    atom_features = featurize(charges, config, np.float64)
    for b, i in np.argwhere(charges > 0):
        message = sum(weights[:, b, j, i] * atom_features[:, b, j] for j in range(4))
        y = perceptron(params, "input.mlp", np.concatenate([message, atom_features[:, b, i]]), 0.01)
        np.testing.assert_allclose(features[0, :, b, i], y[0::2] + 1j * y[1::2], rtol=1e-12)
    assert (features[0, :, charges == 0] == 0).all()
