"""Section 1.3.1, atom by atom."""

import numpy as np
import pytest
from conftest import assert_close, random_complex, small_config

from cormorant_np.input_network import featurize, input_backward, input_forward

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
    atom_features = featurize(CHARGES, config, np.float64)
    features, cache = input_forward(weight, bias, atom_features, (CHARGES > 0).astype(float))
    expected = np.zeros((1, 2, 2, 4), complex)
    for b, i in np.argwhere(CHARGES > 0):
        expected[0, :, b, i] = weight @ atom_features[:, b, i] + bias
    assert_close(features, expected)
    d_weight, d_bias = input_backward(np.ones_like(features), cache)
    assert_close(d_bias, np.array([7, 7], complex))
    assert d_weight.shape == weight.shape
