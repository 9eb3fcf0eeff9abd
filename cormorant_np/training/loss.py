"""Losses; section 2 reports mean absolute errors, the loss it minimises is the mean squared error."""


def mean_squared_error_forward(prediction, target, count):
    """Σ (y - t)² / count: the part that these molecules have in the mean over a batch of `count` molecules."""
    error = prediction - target
    return (error * error).sum() / count, (error, count)


def mean_squared_error_backward(d_loss, cache):
    """dy = 2 (y - t) dL / count."""
    error, count = cache
    return 2 / count * d_loss * error
