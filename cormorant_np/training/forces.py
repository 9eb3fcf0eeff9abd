"""The gradient of a loss of energies and forces, without a second derivative (not in the supplement).

A loss L of energies E and forces F = -∂E/∂r has, for every molecule, the derivatives dE = ∂L/∂E and dF = ∂L/∂F. The
chain rule gives its gradient by the weights W, in which derivatives commute:

    dW  =  dE ∂E/∂W + Σ_ia dF_ia ∂F_ia/∂W  =  dE ∂E/∂W - Σ_ia dF_ia ∂/∂r_ia (∂E/∂W).

The last term is the slope of ∂E/∂W, which the hand-written backward pass computes, along the direction dF in the space
of positions. For any large number k, a difference quotient has it,

    dF · ∂/∂r (∂E/∂W)  =  k ( ∂E/∂W(r + dF/k) - ∂E/∂W(r) )  +  O(1/k),

and with k = K - dE, which is another for every molecule while K is the same for all of them,

    dW  =  K ∂E/∂W(r) - (K - dE) ∂E/∂W(r + dF / (K - dE)).

So a step takes two passes. The first, which gives E and F, gives ∂E/∂W(r) as well, since its weight K does not ask what
E and F are. The second is of displaced molecules. The sign of K is that of the displacement, and of the error.
"""

from cormorant_np.backend import get_array_module
from cormorant_np.data import Batch


def displace(batch, d_energy, d_forces, side=1, step=None):
    """The displaced molecules, and the derivatives by their energies and by those of the molecules as they are.

    Parameters
    ----------
    batch : Batch of B molecules
    d_energy : (B,) real, dE
    d_forces : (B, N, 3) real, dF
    side : 1 or -1, the sign of K
    step : h, in Å, farther than which no atom moves along an axis; by default, √ε for floats that differ by ε near 1

    Returns
    -------
    Batch of B molecules, at r + dF / (K - dE)
    d_energies : (B,) real, dE - K
    K : 0-d real
    """
    xp = get_array_module(d_forces)
    if step is None:
        step = xp.finfo(d_forces.dtype).eps ** 0.5
    k = side * (xp.abs(d_forces).max() / step + xp.abs(d_energy).max())
    d_energies = d_energy - k
    moves = d_forces / xp.where(d_energies == 0, 1, -d_energies)[:, None, None]  # (B, N, 3)
    return Batch(batch.charges, batch.positions + moves), d_energies, k
