"""Losses. The supplement names none: the mean squared error is minimised, as in the released code.

With forces (not in the supplement), in the scaled units of the targets, for B molecules of A atoms together,

    L  =  Σ_b (E_b - t_b)² / B  +  w Σ |F - F_ref|² / 3A,    F = -∂E/∂r.
"""

from typing import NamedTuple

import numpy as np


class Targets(NamedTuple):
    """What the network shall predict for B molecules of at most N atoms, in scaled units.

    energies : (B,) real
    forces : (B, N, 3) real, zero for padding; or None, if the energies alone are learned
    num_atoms : A, the atoms of all molecules, an integer on the host
    """

    energies: np.ndarray
    forces: np.ndarray | None
    num_atoms: int


def mean_squared_error_forward(prediction, target, count):
    """Σ (y - t)² / count: the part that these numbers have in a mean over `count` numbers."""
    error = prediction - target
    return (error * error).sum() / count, (error, count)


def mean_squared_error_backward(d_loss, cache):
    """dy = 2 (y - t) dL / count."""
    error, count = cache
    return 2 / count * d_loss * error
