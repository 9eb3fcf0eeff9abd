"""Harmonics against SciPy's, Legendre polynomials and quadrature."""

import numpy as np
import pytest
from conftest import harmonics
from scipy.special import eval_legendre

from cormorant_np.gradient_check import gradient_error, inner, random_like
from cormorant_np.so3_vector import block
from cormorant_np.spherical_harmonics import (
    complex_sh,
    complex_sh_backward,
    real_from_complex,
    real_sh,
    solid_sh,
)

L_MAX = 6


def sphere():
    """Points and weights that integrate polynomials of degree 2 L_MAX over the unit sphere exactly."""
    z, weights = np.polynomial.legendre.leggauss(L_MAX + 1)
    phi = np.arange(2 * L_MAX + 1) * 2 * np.pi / (2 * L_MAX + 1)
    z, phi = (x.ravel() for x in np.meshgrid(z, phi, indexing="ij"))
    points = np.stack([np.sqrt(1 - z * z) * np.cos(phi), np.sqrt(1 - z * z) * np.sin(phi), z], axis=-1)
    return points, np.repeat(weights, 2 * L_MAX + 1) * 2 * np.pi / (2 * L_MAX + 1)


def test_harmonics_are_scipys_conjugated_and_rescaled(rng):
    vectors = rng.standard_normal((7, 3))
    expected = np.stack([harmonics(v, L_MAX) for v in vectors], axis=1)
    np.testing.assert_allclose(complex_sh(vectors, L_MAX), expected, atol=1e-13)


def test_weight_one_is_the_direction_itself():
    x, y, z = 0.36, 0.48, 0.8
    y_complex, y_real = complex_sh(np.array([x, y, z]), 1), real_sh(np.array([x, y, z]), 1)
    np.testing.assert_allclose(y_complex[1:], [(x + 1j * y) / 2**0.5, z, (-x + 1j * y) / 2**0.5], atol=1e-15)
    np.testing.assert_allclose(y_real[1:], [y, z, x], atol=1e-15)


@pytest.mark.parametrize("sh", [complex_sh, real_sh])
@pytest.mark.parametrize("l", range(L_MAX + 1))
def test_the_addition_theorem_gives_legendre_polynomials(sh, l, rng):
    a, b = (v / np.linalg.norm(v) for v in rng.standard_normal((2, 3)))
    product = np.vdot(sh(a, L_MAX)[block(l)], sh(b, L_MAX)[block(l)])
    np.testing.assert_allclose(product, eval_legendre(l, a @ b), atol=1e-14)
    np.testing.assert_allclose(np.vdot(sh(a, L_MAX)[block(l)], sh(a, L_MAX)[block(l)]), 1, atol=1e-14)


@pytest.mark.parametrize("sh", [complex_sh, real_sh])
def test_harmonics_are_orthogonal_with_norm_4_pi_over_2_l_plus_1(sh):
    points, weights = sphere()
    y = sh(points, L_MAX)
    norms = np.concatenate([np.full(2 * l + 1, 4 * np.pi / (2 * l + 1)) for l in range(L_MAX + 1)])
    np.testing.assert_allclose((y * weights) @ y.conj().T, np.diag(norms), atol=1e-13)


@pytest.mark.parametrize("sh", [complex_sh, real_sh, solid_sh])
def test_vectors_of_integers_are_vectors(sh):
    vectors = np.array([[1, 2, 3], [0, -1, 1]])
    np.testing.assert_array_equal(sh(vectors, L_MAX), sh(vectors.astype(float), L_MAX))


def test_real_harmonics_are_cosines_and_sines_of_the_azimuth():
    phi = np.linspace(0, 2 * np.pi, 9)
    vectors = np.stack([0.6 * np.cos(phi), 0.6 * np.sin(phi), np.full_like(phi, 0.8)], axis=-1)
    y = real_sh(vectors, L_MAX)
    for l in range(L_MAX + 1):
        for m in range(1, l + 1):
            amplitude = y[l * l + l + m, 0]  # at φ = 0
            assert abs(amplitude) > 1e-3
            np.testing.assert_allclose(y[l * l + l + m], amplitude * np.cos(m * phi), atol=1e-14)
            np.testing.assert_allclose(y[l * l + l - m], amplitude * np.sin(m * phi), atol=1e-14)


@pytest.mark.parametrize("l", range(L_MAX + 1))
def test_the_change_of_basis_is_unitary_and_leads_to_the_real_harmonics(l, rng):
    vectors, u = rng.standard_normal((5, 3)), real_from_complex(l)
    np.testing.assert_allclose(u @ u.conj().T, np.eye(2 * l + 1), atol=1e-15)
    np.testing.assert_allclose(
        u @ complex_sh(vectors, l)[block(l)], real_sh(vectors, l)[block(l)].astype(complex), atol=1e-14
    )


def test_harmonics_ignore_the_length_and_solid_harmonics_grow_with_its_power(rng):
    v = rng.standard_normal(3)
    np.testing.assert_allclose(complex_sh(3 * v, L_MAX), complex_sh(v, L_MAX), atol=1e-14)
    for l in range(L_MAX + 1):
        expected = np.linalg.norm(v) ** l * complex_sh(v, L_MAX)[block(l)]
        np.testing.assert_allclose(solid_sh(v, L_MAX)[block(l)], expected, atol=1e-13)


@pytest.mark.parametrize(
    "vectors", [np.array([[0, 0, 1.0], [0, 0, -2.0]]), np.array([0.3, -0.5, 0.8])], ids=["the poles", "a single vector"]
)
def test_the_derivative_is_right_also_at(vectors, rng):
    d_y = random_like(complex_sh(vectors, 3), rng)
    gradient = complex_sh_backward(d_y, vectors)
    assert gradient_error(lambda x: inner(d_y, complex_sh(x, 3)), vectors, gradient, rng) < 1e-9


@pytest.mark.parametrize("sh", [complex_sh, real_sh])
def test_the_zero_vector_has_a_scalar_only_and_no_derivative(sh):
    y = sh(np.zeros((2, 3)), 3)
    assert (y[0] == 1).all() and (y[1:] == 0).all()
    assert (complex_sh_backward(np.ones_like(y), np.zeros((2, 3))) == 0).all()


def test_float32_stays_float32(rng):
    vectors = rng.standard_normal((4, 3)).astype(np.float32)
    y_complex, y_real = complex_sh(vectors, 3), real_sh(vectors, 3)
    assert y_complex.dtype == np.complex64 and y_real.dtype == np.float32
    assert complex_sh_backward(y_complex, vectors).dtype == np.float32
    np.testing.assert_allclose(y_complex, complex_sh(vectors.astype(float), 3), atol=1e-6)
