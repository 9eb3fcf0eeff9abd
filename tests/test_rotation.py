"""Wigner's matrices against their definition by angular momenta, and as a representation of the rotations."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.spatial.transform import Rotation
from sympy.physics.quantum.spin import Rotation as SymPyRotation

from cormorant_np.rotation import angular_momentum, random_rotation, rotate, wigner_d
from cormorant_np.so3_vector import block
from cormorant_np.spherical_harmonics import complex_sh

WEIGHTS = range(5)
ALPHA, BETA, GAMMA = 0.7, 1.9, -2.3


def euler(alpha, beta, gamma):
    """R_z(α) R_y(β) R_z(γ): SciPy's capital letters mean rotations about the turned axes, which is this product."""
    return Rotation.from_euler("ZYZ", [alpha, beta, gamma]).as_matrix()


@pytest.mark.parametrize("l", WEIGHTS)
def test_wigner_d_is_the_exponential_of_angular_momenta(l):
    _, j_y, j_z = angular_momentum(l)
    expected = expm(-1j * ALPHA * j_z) @ expm(-1j * BETA * j_y) @ expm(-1j * GAMMA * j_z)
    np.testing.assert_allclose(wigner_d(euler(ALPHA, BETA, GAMMA), l), expected, atol=1e-13)


@pytest.mark.parametrize("l", range(4))
def test_wigner_d_agrees_with_sympy(l):
    """SymPy's D(j, m, m', α, β, γ) = exp(-i m α) d^j_mm'(β) exp(-i m' γ), the same convention."""
    ms = range(-l, l + 1)
    expected = [[complex(SymPyRotation.D(l, m, k, ALPHA, BETA, GAMMA).doit()) for k in ms] for m in ms]
    np.testing.assert_allclose(wigner_d(euler(ALPHA, BETA, GAMMA), l), expected, atol=1e-13)


@pytest.mark.parametrize("l", WEIGHTS)
def test_wigner_d_is_a_unitary_representation(l, rng):
    r, s = random_rotation(rng), random_rotation(rng)
    np.testing.assert_allclose(wigner_d(r @ s, l), wigner_d(r, l) @ wigner_d(s, l), atol=1e-13)
    np.testing.assert_allclose(wigner_d(r.T, l), wigner_d(r, l).conj().T, atol=1e-13)
    np.testing.assert_allclose(wigner_d(np.eye(3), l), np.eye(2 * l + 1), atol=1e-14)


def test_harmonics_of_a_turned_vector_are_the_turned_harmonics(rng):
    vectors, r = rng.standard_normal((6, 3)), random_rotation(rng)
    np.testing.assert_allclose(complex_sh(vectors @ r.T, 4), rotate(complex_sh(vectors, 4), r), atol=1e-13)


def test_rotate_turns_every_block_by_its_own_matrix(rng):
    features, r = rng.standard_normal((9, 2, 3)).astype(complex), random_rotation(rng)
    rotated = rotate(features, r)
    for l in range(3):
        for channel, atom in np.ndindex(2, 3):
            expected = wigner_d(r, l) @ features[block(l), channel, atom]
            np.testing.assert_allclose(rotated[block(l), channel, atom], expected, atol=1e-14)


def test_random_rotations_are_proper_and_favour_no_angle(rng):
    rotations = np.array([random_rotation(rng) for _ in range(2000)])
    assert abs(rotations @ rotations.swapaxes(1, 2) - np.eye(3)).max() < 1e-13
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-13)
    traces = np.trace(rotations, axis1=1, axis2=2)  # of mean 0 and variance 1 over SO(3)
    assert abs(traces.mean()) < 0.1 and abs(traces.var() - 1) < 0.1


@pytest.mark.parametrize("l", WEIGHTS)
def test_a_rotation_is_the_exponential_of_the_angular_momentum_along_its_axis(l, rng):
    turn = Rotation.random(rng=rng)
    momentum = np.tensordot(turn.as_rotvec(), angular_momentum(l), axes=1)
    np.testing.assert_allclose(expm(-1j * momentum), wigner_d(turn.as_matrix(), l), atol=1e-13)
