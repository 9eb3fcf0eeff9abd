"""Clebsch-Gordan coefficients, exact from SymPy (section 1.4.4).

The Clebsch-Gordan product of two SO(3)-vectors is

    (A ⊗cg B)_ℓm = Σ_{m1 m2} ⟨ℓ1 m1 ℓ2 m2 | ℓ m⟩ A_{ℓ1 m1} B_{ℓ2 m2},

one output of weight ℓ for every path (ℓ1, ℓ2) with |ℓ1 - ℓ2| ≤ ℓ ≤ ℓ1 + ℓ2, channel by channel: in one executable line,
`plain.cg_product_forward`; fast and for a whole layer at once, `network.coupling`.
"""

from functools import cache

import numpy as np

from cormorant_np.so3_vector import read_only


def exact(l1, m1, l2, m2, l, m):
    """⟨ℓ1 m1 ℓ2 m2 | ℓ m⟩ as a SymPy expression: a rational number times the square root of another.

    Condon and Shortley's phases. Zero unless m = m1 + m2 and |ℓ1 - ℓ2| ≤ ℓ ≤ ℓ1 + ℓ2.

    >>> exact(1, 1, 1, -1, 0, 0)
    sqrt(3)/3
    """
    from sympy.physics.wigner import clebsch_gordan  # here, so that `import cormorant_np` need not wait for SymPy

    return clebsch_gordan(l1, l2, l, m1, m2, m)


@cache
def table(l1, l2, l):
    """The coefficients ⟨ℓ1 m1 ℓ2 m2 | ℓ m⟩ as floats, shape (2ℓ1+1, 2ℓ2+1, 2ℓ+1); read-only, since it is shared."""
    c = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l + 1))
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l - m1), min(l2, l - m1) + 1):
            c[l1 + m1, l2 + m2, l + m1 + m2] = float(exact(l1, m1, l2, m2, l, m1 + m2))
    return read_only(c)


def paths(l, l_max_1, l_max_2):
    """The pairs (ℓ1, ℓ2), ℓ1 ≤ l_max_1 and ℓ2 ≤ l_max_2, that couple to ℓ; ℓ2 runs fastest."""
    return [(l1, l2) for l1 in range(l_max_1 + 1) for l2 in range(l_max_2 + 1) if abs(l1 - l2) <= l <= l1 + l2]
