"""The loss, and that its parts add up over the chunks of a batch."""

import numpy as np

from cormorant_np.training.loss import mean_squared_error_backward, mean_squared_error_forward


def test_the_loss_is_the_mean_squared_error(rng):
    prediction, target = rng.standard_normal((2, 6))
    loss, _ = mean_squared_error_forward(prediction, target, 6)
    np.testing.assert_allclose(loss, np.mean((prediction - target) ** 2))


def test_parts_of_a_batch_add_up_to_the_whole(rng):
    prediction, target = rng.standard_normal((2, 6))
    whole, cache = mean_squared_error_forward(prediction, target, 6)
    parts = [mean_squared_error_forward(prediction[s], target[s], 6) for s in (slice(0, 1), slice(1, 6))]
    np.testing.assert_allclose(sum(loss for loss, _ in parts), whole)
    gradients = np.concatenate([mean_squared_error_backward(1, part_cache) for _, part_cache in parts])
    np.testing.assert_array_equal(gradients, mean_squared_error_backward(1, cache))


def test_float32_stays_float32():
    loss, cache = mean_squared_error_forward(np.ones(3, np.float32), np.zeros(3, np.float32), 3)
    assert loss.dtype == np.float32 and mean_squared_error_backward(1, cache).dtype == np.float32
