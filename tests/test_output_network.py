"""Section 1.5: the invariants of every atom, and the energy."""

import numpy as np
from conftest import QM9, assert_close, random_complex, random_params, small_config

from cormorant_np.network.output_network import (
    invariants_forward,
    output_backward,
    output_forward,
    output_network_forward,
)
from cormorant_np.rotation import random_rotation, rotate

B, N, C, L = 2, 3, 2, 2


def test_the_scalars_are_the_three_invariants_of_the_supplement(config, rng):
    features = random_complex(rng, (L + 1) ** 2, C, B, N)
    scalars, _ = invariants_forward(features, config)
    expected = []
    for c in range(C):
        expected.append(features[0, c].real)
    for c in range(C):
        expected.append(features[0, c].imag)
    for l in range(L + 1):
        f = {m: features[l * l + l + m] for m in range(-l, l + 1)}
        product = sum((-1) ** m * f[m] * f[-m] for m in f)
        norm = sum(f[m] * f[m].conj() for m in f)
        expected.extend(product.real + product.imag if config.imaginary_scalar_product else product.real)
        expected.extend(norm.real)
    assert_close(scalars, np.array(expected))


def test_the_scalars_are_invariant_under_rotations(config, rng):
    features = random_complex(rng, (L + 1) ** 2, C, B, N)
    turned, _ = invariants_forward(rotate(features, random_rotation(rng)), config)
    assert_close(turned, invariants_forward(features, config)[0])


def test_the_energy_is_linear_in_the_scalars_summed_over_atoms(rng):
    weight, bias, scalars = rng.standard_normal(5), rng.standard_normal(1), rng.standard_normal((5, B, N))
    energy, cache = output_forward(weight, bias, scalars)
    for b in range(B):
        total = sum(weight[k] * scalars[k, b, i] for k in range(5) for i in range(N))
        np.testing.assert_allclose(energy[b], total + bias[0], rtol=1e-12)
    d_weight, d_bias, d_scalars = output_backward(np.array([1.0, 3.0]), cache)
    assert (d_weight.shape, d_bias.shape, d_scalars.shape) == (weight.shape, bias.shape, scalars.shape)
    assert d_bias == 4 and (d_scalars[:, 1] == 3 * weight[:, None]).all()


def test_qm9s_property_is_a_perceptron_of_the_sum_of_perceptrons(convention, rng):
    """Section 1.5.2: y = MLP_2( Σ_i MLP_1(x_i) ), over atoms, not over padding."""
    config = small_config(convention, **QM9)
    params = random_params(config, rng)
    num_scalars = params["output.mlp1.weight.0"].shape[1]
    scalars, atoms = rng.standard_normal((num_scalars, B, N)), np.array([[1.0, 1, 1], [1, 1, 0]])

    def perceptron(name, x):
        hidden = params[f"{name}.weight.0"] @ x + params[f"{name}.bias.0"]
        active = np.maximum(hidden, 0) + config.negative_slope * np.minimum(hidden, 0)
        return params[f"{name}.weight.1"] @ active + params[f"{name}.bias.1"]

    y, _ = output_network_forward(params, scalars, atoms, config)
    for b, num_atoms in enumerate([3, 2]):
        summed = sum(perceptron("output.mlp1", scalars[:, b, i]) for i in range(num_atoms))
        np.testing.assert_allclose(y[b], perceptron("output.mlp2", summed)[0], rtol=1e-12)


def test_float32_stays_float32(config, rng):
    features = random_complex(rng, 4, C, B, N).astype(np.complex64)
    assert invariants_forward(features, config)[0].dtype == np.float32
