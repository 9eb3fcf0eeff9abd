"""Rotations of SO(3)-vectors: Wigner's matrices D^ℓ(R). For tests, checks and notebooks; on the host.

They are not in the supplement, whose section 1.1 names the spaces that they act on.

D^ℓ(R) is the matrix of ⟨ℓ m| exp(-iα J_z) exp(-iβ J_y) exp(-iγ J_z) |ℓ m'⟩ for the rotation R = R_z(α) R_y(β) R_z(γ).
When a molecule is turned, r → R r, harmonics and features turn as Y^ℓ → D^ℓ(R) Y^ℓ and F^ℓ → D^ℓ(R) F^ℓ.
"""

import numpy as np
from scipy.spatial.transform import Rotation

from cormorant_np.clebsch_gordan import table
from cormorant_np.so3_vector import block, num_l
from cormorant_np.spherical_harmonics import real_from_complex


def wigner_d(rotation, l):
    """D^ℓ(R), complex, shape (2ℓ+1, 2ℓ+1), of a rotation matrix R of shape (3, 3).

    D^1 is R itself, whose rows and columns are reordered from (x, y, z) to the real harmonics (y, z, x) and taken to
    the complex ones. Every further D^ℓ is the part of weight ℓ of the Clebsch-Gordan product of D^(ℓ-1) and D^1.
    """
    if l == 0:
        return np.ones((1, 1), dtype=complex)
    u = real_from_complex(1)
    d1 = u.conj().T @ rotation[np.ix_([1, 2, 0], [1, 2, 0])] @ u
    if l == 1:
        return d1
    c = table(l - 1, 1, l).reshape(-1, 2 * l + 1)
    return c.T @ np.kron(wigner_d(rotation, l - 1), d1) @ c


def angular_momentum(l):
    """J_x, J_y and J_z, (3, 2ℓ+1, 2ℓ+1), with D^ℓ(R) = exp(-iω n·J) for the rotation by ω about the unit vector n.

    J_z |m⟩ = m |m⟩ and J_± |m⟩ = sqrt(ℓ(ℓ+1) - m(m±1)) |m±1⟩, J_± = J_x ± i J_y; not in the supplement.
    """
    m = np.arange(-l, l)
    raising = np.diag(np.sqrt(l * (l + 1) - m * (m + 1)), -1)
    return np.array([(raising + raising.T) / 2, (raising - raising.T) / 2j, np.diag(np.arange(-l, l + 1))])


def rotate(features, rotation):
    """D(R) F: turns every ℓ block of an SO(3)-vector F of shape ((L+1)², ...)."""
    rotated = np.empty_like(features)
    for l in range(num_l(features)):
        rotated[block(l)] = np.tensordot(wigner_d(rotation, l), features[block(l)], axes=1)
    return rotated


def random_rotation(rng):
    """A rotation matrix, (3, 3), uniformly distributed over SO(3)."""
    return Rotation.random(rng=rng).as_matrix()
