"""The check itself: it accepts right gradients and rejects the usual wrong ones."""

import numpy as np
import pytest
from conftest import random_complex

from cormorant_np.gradient_check import (
    assert_backward,
    backward_errors,
    directional_derivative,
    gradient_error,
    inner,
    random_like,
)


def loss(z):
    """Re Σ (z² + 2i z)³, with the gradient conj of the holomorphic derivative."""
    return np.sum((z * z + 2j * z) ** 3).real


def gradient(z):
    return np.conj(3 * (z * z + 2j * z) ** 2 * (2 * z + 2j))


def test_the_right_gradient_passes(rng):
    z = random_complex(rng, 3, 4)
    assert gradient_error(loss, z, gradient(z), rng) < 1e-9


@pytest.mark.parametrize(
    "wrong",
    [np.conj, lambda g: 2 * g, lambda g: -g, lambda g: 1j * g, lambda g: g.real + 0j, np.zeros_like, lambda g: g[::-1]],
    ids=["conjugated", "doubled", "negated", "turned by i", "real part only", "zero", "permuted"],
)
def test_a_wrong_gradient_is_caught(wrong, rng):
    z = random_complex(rng, 5)
    assert gradient_error(loss, z, wrong(gradient(z)), rng) > 1e-2


def test_one_wrong_element_of_many_is_caught(rng):
    x = rng.standard_normal(1000)
    right = 3 * x**2
    wrong = right.copy()
    wrong[17] += 1
    assert gradient_error(lambda x: np.sum(x**3), x, right, rng) < 1e-9
    assert gradient_error(lambda x: np.sum(x**3), x, wrong, rng) > 1e-6


def test_the_derivative_of_a_quartic_is_exact(rng):
    x, v = 0.7, -1.3
    derivative = directional_derivative(lambda x: x**4 - x**3, x, v, step=0.1)
    np.testing.assert_allclose(derivative, (4 * x**3 - 3 * x**2) * v, rtol=1e-12)


def test_the_inner_product_treats_re_and_im_as_coordinates(rng):
    a, b = random_complex(rng, 2, 3), random_complex(rng, 2, 3)
    np.testing.assert_allclose(inner(a, b), np.sum(a.real * b.real + a.imag * b.imag))


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64", "complex128"])
def test_random_like_has_the_shape_and_type_it_was_given(dtype, rng):
    x = random_like(np.zeros((200, 2), dtype), rng)
    assert x.shape == (200, 2) and x.dtype == dtype and (x != 0).all()
    assert abs(np.std(x.real) - 1) < 0.2


def test_backward_errors_are_one_for_each_input_and_single_out_the_wrong_one(rng):
    def forward(a, b):
        return a * b, (a, b)

    def right(d, cache):
        a, b = cache
        return np.conj(b) * d, np.conj(a) * d

    def wrong(d, cache):
        a, b = cache
        return np.conj(b) * d, a * d

    inputs = [random_complex(rng, 4), random_complex(rng, 4)]
    assert max(backward_errors(forward, right, inputs, rng)) < 1e-9
    first, second = backward_errors(forward, wrong, inputs, rng)
    assert first < 1e-9 and second > 1e-2
    assert len(backward_errors(forward, lambda d, cache: (right(d, cache)[0], None), inputs, rng)) == 1


def scaled(a, z):
    return a * z, (a, z)


@pytest.mark.parametrize(
    "backward, complaint",
    [
        (lambda d, cache: (d * cache[1].conj()).real, "1 gradients came back for 2 inputs: a, z."),
        (
            lambda d, cache: ((d * cache[1].conj()).real, (cache[0] * d)[:2]),
            r"by z has the shape \(2,\), but z has \(3,",
        ),
        (lambda d, cache: (d * cache[1].conj(), cache[0] * d), "by a is complex, but a is real"),
        (lambda d, cache: ((d * cache[1].conj()).real, d.real), "by z is real, but z is complex"),
        (lambda d, cache: ((d * cache[1]).real, cache[0] * d), "by a differs from the difference quotient by"),
        (lambda d, cache: ((d * cache[1].conj()).real, 1.01 * cache[0] * d), "by z differs .* by 0.99 %"),
        (lambda d, cache: ((d * cache[1].conj()).real, (1 + 1e-6) * cache[0] * d), "by z differs .* by 0.0001 %"),
    ],
)
def test_the_complaint_says_what_is_wrong(backward, complaint, rng):
    with pytest.raises(AssertionError, match=complaint):
        assert_backward(scaled, backward, [rng.standard_normal(3), random_complex(rng, 3)], ["a", "z"], rng)


def test_nothing_is_said_about_a_right_backward_function(rng):
    inputs = [rng.standard_normal(3), random_complex(rng, 3)]
    assert_backward(scaled, lambda d, cache: ((d * cache[1].conj()).real, cache[0] * d), inputs, ["a", "z"], rng)
