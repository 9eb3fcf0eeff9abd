"""AMSGrad and Adam, number by number."""

import math

import numpy as np
import pytest
from conftest import random_complex

from cormorant_np.network.parameters import Kind, flatten, unflatten
from cormorant_np.training.optimizer import amsgrad_step, init_state


def steps_of_one_number(theta, gradients, lr, adam):
    """Reddi, Kale and Kumar's algorithm 2 with Kingma and Ba's correction of the bias, in Python's numbers."""
    m = v = v_max = 0.0
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        v_max = max(v_max, v)
        chosen = v if adam else v_max
        theta -= lr * (m / (1 - 0.9**t)) / (math.sqrt(chosen / (1 - 0.999**t)) + 1e-8)
    return theta


@pytest.mark.parametrize("adam", [False, True])
def test_steps_agree_with_the_algorithm_for_each_number(adam, rng):
    theta = rng.standard_normal(4)
    gradients = rng.standard_normal((30, 4)) * np.linspace(5, 0.01, 30)[:, None]  # they shrink, so that v̂ > v
    vector, state = theta, init_state(theta)
    for gradient in gradients:
        vector, state = amsgrad_step(vector, gradient, state, lr=1e-2, adam=adam)
    expected = [steps_of_one_number(theta[k], gradients[:, k], 1e-2, adam) for k in range(4)]
    np.testing.assert_allclose(vector, expected, rtol=1e-12)
    assert state.step == 30


def test_adam_and_amsgrad_part_only_when_gradients_shrink(rng):
    def run(gradients, adam):
        vector = np.ones(1)
        state = init_state(vector)
        for g in gradients:
            vector, state = amsgrad_step(vector, np.array([g]), state, adam=adam)
        return vector[0]

    assert run([1, 2, 3], adam=True) == run([1, 2, 3], adam=False)
    assert run([3, 0, 0], adam=True) < run([3, 0, 0], adam=False)  # Adam forgets the large gradient and goes farther


def test_the_first_step_has_the_learning_rates_length():
    vector, _ = amsgrad_step(np.zeros(2), np.array([1e-3, -50.0]), init_state(np.zeros(2)), lr=0.1)
    np.testing.assert_allclose(vector, [-0.1, 0.1], rtol=1e-4)


def test_a_step_changes_neither_the_old_vector_nor_the_old_state(rng):
    vector, gradient = rng.standard_normal((2, 3))
    _, state = amsgrad_step(vector, gradient, init_state(vector))
    before = [np.copy(x) for x in (vector, gradient, *state)]
    amsgrad_step(vector, gradient, state)
    for old, kept in zip((vector, gradient, *state), before, strict=True):
        np.testing.assert_array_equal(old, kept)


def test_a_complex_number_is_led_to_its_target(rng):
    """|z - a|² has the gradient 2 (z - a) in the convention ∂/∂Re z + i ∂/∂Im z."""
    target = random_complex(rng, 3)
    params = {"z": random_complex(rng, 3)}
    vector = flatten(params)
    state, kinds = init_state(vector), {"z": Kind((3,), True)}
    for _ in range(4000):
        z = unflatten(vector, kinds)["z"]
        vector, state = amsgrad_step(vector, flatten({"z": 2 * (z - target)}), state, lr=1e-2)
    np.testing.assert_allclose(unflatten(vector, kinds)["z"], target, atol=1e-3)
