"""The gradient of a loss of energies and forces, without a second derivative (not in the supplement).

A loss L of energies E and forces F = -∂E/∂r has, for every molecule, the derivatives dE = ∂L/∂E and dF = ∂L/∂F. The
chain rule gives its gradient by the weights W, in which derivatives commute:

    dW  =  dE ∂E/∂W + Σ_ia dF_ia ∂F_ia/∂W  =  dE ∂E/∂W - Σ_ia dF_ia ∂/∂r_ia (∂E/∂W).

The last term is the slope of ∂E/∂W, which the hand-written backward pass computes, along the direction dF in the space
of positions. With the direction d = dF / max|dF|, so that no atom moves farther than h, a central difference has it:

    dW  =  ( dE/2 - max|dF|/2h ) ∂E/∂W(r + h d)  +  ( dE/2 + max|dF|/2h ) ∂E/∂W(r - h d)  +  O(h²).

So a step takes three passes: one for E and F, which needs no gradient by the weights, and two of displaced molecules,
which need none by the positions.
"""

from cormorant_np.backend import get_array_module
from cormorant_np.data import Batch

STEP = 1e-3
"""h in Å. In float32 the gradient is then good to some 2e-4, see docs/derivations/forces.md."""


def displace(batch, d_energy, d_forces, step=STEP):
    """The displaced molecules, and the derivative of the loss by each of their energies.

    Where a molecule's dF is zero, it is not moved, and both of its copies count half of dE.

    Parameters
    ----------
    batch : Batch of B molecules
    d_energy : (B,) real, dE
    d_forces : (B, N, 3) real, dF
    step : h, in Å

    Returns
    -------
    Batch of 2B molecules, at r + h d and then at r - h d
    d_energies : (2B,) real
    """
    xp = get_array_module(d_forces)
    largest = xp.abs(d_forces).max(axis=(1, 2))
    move = step * d_forces / xp.where(largest > 0, largest, 1)[:, None, None]  # (B, N, 3)
    positions = xp.concatenate([batch.positions + move, batch.positions - move])
    slope = largest / (2 * step)
    d_energies = xp.concatenate([d_energy / 2 - slope, d_energy / 2 + slope])
    return Batch(xp.concatenate([batch.charges, batch.charges]), positions), d_energies
