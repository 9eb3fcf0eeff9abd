"""AMSGrad on real and imaginary parts (section 2; Reddi, Kale and Kumar, ICLR 2018, algorithm 2).

A complex parameter is two real ones: the optimiser works on the real vector of `network.parameters.flatten`.
"""

from typing import NamedTuple

import numpy as np

from cormorant_np.backend import get_array_module


class State(NamedTuple):
    """What the optimiser remembers: the number of steps, and m, v and max v, vectors like the parameters."""

    step: int
    m: np.ndarray
    v: np.ndarray
    v_max: np.ndarray


def init_state(vector):
    """The state before the first step."""
    zeros = get_array_module(vector).zeros_like(vector)
    return State(0, zeros, zeros, zeros)


def amsgrad_step(vector, gradient, state, lr=5e-4, beta_1=0.9, beta_2=0.999, epsilon=1e-8, adam=False):
    """One step against the gradient g:

        m ← β_1 m + (1-β_1) g,    v ← β_2 v + (1-β_2) g²,    v̂ ← max(v̂, v),
        θ ← θ - lr m / (1-β_1^t) / ( sqrt(v̂ / (1-β_2^t)) + ε ).

    The factors 1 - β^t undo the bias of moments that start at zero. Reddi et al. leave them out; they are in Adam, and
    in the optimiser that the authors trained with. With `adam`, v takes the place of v̂: Kingma and Ba's Adam.

    Parameters
    ----------
    vector, gradient : (n,) real, θ and g
    state : State

    Returns
    -------
    vector, state : new ones; the old ones are as they were
    """
    xp = get_array_module(vector)
    step = state.step + 1
    m = beta_1 * state.m + (1 - beta_1) * gradient
    v = beta_2 * state.v + (1 - beta_2) * gradient * gradient
    v_max = xp.maximum(state.v_max, v)
    denominator = xp.sqrt((v if adam else v_max) / (1 - beta_2**step)) + epsilon
    update = lr / (1 - beta_1**step) * m / denominator
    return vector - update, State(step, m, v, v_max)
