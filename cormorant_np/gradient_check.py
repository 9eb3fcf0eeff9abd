"""Checks of hand-written derivatives against finite differences in random directions, real and complex.

A function L of real or complex arrays and its claimed gradient agree if for any direction v

    d/dh L(x + h v) at h = 0   =   Re Σ conj(gradient) v,

which holds for complex x with the gradient ∂L/∂Re x + i ∂L/∂Im x. One random direction sees every element at once.
"""

import numpy as np


def random_like(x, rng):
    """Standard normal numbers with the shape of x; complex if x is."""
    x = np.asarray(x)
    direction = rng.standard_normal(x.shape)
    if np.iscomplexobj(x):
        direction = direction + 1j * rng.standard_normal(x.shape)
    return direction.astype(x.dtype)


def inner(a, b):
    """Re Σ conj(a) b, the real inner product of two arrays."""
    return float(np.sum(np.conj(a) * b).real)


def directional_derivative(function, x, direction, step=1e-4):
    """d/dh function(x + h direction) at h = 0 by the fourth-order central difference; `function` returns a number."""
    plus, minus, plus_2, minus_2 = (function(x + h * step * direction) for h in (1, -1, 2, -2))
    return (8 * (plus - minus) - (plus_2 - minus_2)) / (12 * step)


def tilted_direction(gradient, rng):
    """A random direction, tilted towards the gradient, so that the derivative is not small by chance."""
    direction, norm = random_like(gradient, rng), np.linalg.norm(gradient)
    return direction + gradient / norm * np.sqrt(np.size(gradient)) if norm > 0 else direction


def relative_difference(numeric, analytic):
    """Of two derivatives: relative to the larger one, or to 1e-10 where both are smaller."""
    return abs(numeric - analytic) / max(abs(numeric), abs(analytic), 1e-10)


def gradient_error(function, x, gradient, rng, step=1e-4):
    """Relative error of `gradient` against the finite difference of `function` at x, in one `tilted_direction`.

    Parameters
    ----------
    function : x → float
    x, gradient : arrays of the same shape, real or complex, float64
    rng : numpy.random.Generator
    """
    direction = tilted_direction(gradient, rng)
    return relative_difference(directional_derivative(function, x, direction, step), inner(gradient, direction))


def backward_errors(forward, backward, inputs, rng, step=1e-4):
    """Relative errors of a backward function, one for each input, for a random gradient at the output.

    Parameters
    ----------
    forward : (*inputs) → output, cache
    backward : (d_output, cache) → the gradients by the inputs, in their order; None for one that has no gradient. It
        must leave d_output as it is.
    inputs : list of arrays, float64 or complex128
    """
    output, cache = forward(*inputs)
    d_output = random_like(output, rng)
    gradients = backward(d_output, cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)

    def loss(k):
        return lambda x: inner(d_output, forward(*inputs[:k], x, *inputs[k + 1 :])[0])

    return [
        gradient_error(loss(k), inputs[k], gradient, rng, step)
        for k, gradient in enumerate(gradients)
        if gradient is not None
    ]


def assert_backward(forward, backward, inputs, names, rng, tolerance=1e-7):
    """Say in one sentence what is wrong with a backward function, if anything is.

    Parameters
    ----------
    forward, backward, inputs : as in `backward_errors`; here every input must have its gradient
    names : of the inputs, for the sentence

    Raises
    ------
    AssertionError
    """
    output, cache = forward(*inputs)
    gradients = backward(random_like(output, rng), cache)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    if len(gradients) != len(inputs):
        raise AssertionError(f"{len(gradients)} gradients came back for {len(inputs)} inputs: {', '.join(names)}.")
    for name, x, d in zip(names, inputs, gradients, strict=True):
        if np.shape(d) != np.shape(x):
            raise AssertionError(f"The gradient by {name} has the shape {np.shape(d)}, but {name} has {np.shape(x)}.")
        if np.iscomplexobj(d) != np.iscomplexobj(x):
            kinds = ("complex", "real") if np.iscomplexobj(d) else ("real", "complex")
            raise AssertionError(f"The gradient by {name} is {kinds[0]}, but {name} is {kinds[1]}.")
    for name, error in zip(names, backward_errors(forward, backward, inputs, rng), strict=True):
        if not error < tolerance:
            raise AssertionError(f"The gradient by {name} differs from the difference quotient by {100 * error:.2g} %.")
