"""The gain of section 1.6: activations of order one at the start."""

import dataclasses

import numpy as np

from cormorant_np.errors import UserError
from cormorant_np.exactness import activation_means
from cormorant_np.model import init_params

SEARCH = (0.1, 1000.0)
STEPS = 12


def tune_gain(config, batch, rng):
    """Find the gain at which activations are of order one on a mini-batch (section 1.6).

    One gain cannot make every layer's mean one: F^s is a polynomial in g of degree 2, 8, 26, 80 (from a to 3a + 2 with
    every layer), so that the last layers go from 0.01 to 100 while the first hardly changes. This gain makes the
    geometric mean over the layers one: on a logarithmic scale, they are as much above one as below. It is found by
    bisection in log g, with the same random numbers for every g.

    Parameters
    ----------
    config : Config, whose own `gain` does not matter
    batch : Batch on the host
    rng : numpy.random.Generator

    Returns
    -------
    gain : float
    table : list of (gain, (S,) mean |F^s|), in the order of the gains

    Raises
    ------
    UserError
        If no gain between 0.1 and 1000 does it.
    """
    seed = int(rng.integers(2**63))
    table = {}

    def too_high(gain):
        means = _means_at(gain, config, batch, seed)
        if not np.isfinite(means).all():
            return True
        table[gain] = means
        return np.log(means).mean() > 0

    low, high = SEARCH
    if too_high(low) or not too_high(high):
        raise UserError(f"No gain between {low:g} and {high:g} makes the mean activation one: set the gain by hand.")
    for _ in range(STEPS):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if too_high(middle) else (middle, high)
    gain = float(np.sqrt(low * high))
    too_high(gain)
    return gain, sorted(table.items())


def _means_at(gain, config, batch, seed):
    config = dataclasses.replace(config, gain=gain)
    params = init_params(config, np.random.default_rng(seed), batch.positions.dtype)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return activation_means(params, batch, config)


def format_table(table):
    """Lines of text: the gain, the mean |F^s| of every layer, and their geometric mean."""
    num_layers = len(table[0][1])
    names = ["gain", *(f"|F^{s}|" for s in range(1, num_layers + 1)), "geometric"]
    rows = [[gain, *means, np.exp(np.log(means).mean())] for gain, means in table]
    lines = [" ".join(f"{name:>10}" for name in names)]
    return "\n".join(lines + [" ".join(f"{x:10.3g}" for x in row) for row in rows])
