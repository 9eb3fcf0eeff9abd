"""Clebsch-Gordan coefficients, exact from SymPy, and the sparse matrix that couples a whole layer (section 1.4.4).

The Clebsch-Gordan product of two SO(3)-vectors is

    (A ⊗cg B)_ℓm = Σ_{m1 m2} ⟨ℓ1 m1 ℓ2 m2 | ℓ m⟩ A_{ℓ1 m1} B_{ℓ2 m2},

one output of weight ℓ for every path (ℓ1, ℓ2) with |ℓ1 - ℓ2| ≤ ℓ ≤ ℓ1 + ℓ2, channel by channel. The coefficients do
not depend on molecule, atom or channel, so that all paths of a layer together are one sparse matrix.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import scipy.sparse

from cormorant_np.backend import to_device
from cormorant_np.pairs import pair_indices
from cormorant_np.real_form import real_matrix
from cormorant_np.spherical_harmonics import real_from_complex


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
    c.setflags(write=False)
    return c


def paths(l, l_max_1, l_max_2):
    """The pairs (ℓ1, ℓ2), ℓ1 ≤ l_max_1 and ℓ2 ≤ l_max_2, that couple to ℓ; ℓ2 runs fastest."""
    return [(l1, l2) for l1 in range(l_max_1 + 1) for l2 in range(l_max_2 + 1) if abs(l1 - l2) <= l <= l1 + l2]


class Coupling(NamedTuple):
    """The Clebsch-Gordan products of one vertex network, as one sparse matrix (S5).

    matrix : CSR on a CPU, dense on a GPU; Z = matrix @ X. The rows of X are the (L_sh+1)² (L_in+1)² products Σ_j G_p
        F_q, then the (L_in+1)² components of F, then the F_p F_q with p ≤ q; G is made of real harmonics, see
        `coupling`. Z's rows are ordered (ℓ, m, path). In real form: every row of X and of Z is two, Re and Im.
    transpose : of the same matrix, for the backward pass
    num_paths : K'_ℓ, the number of paths in Z, for each ℓ
    fold : for each ℓ, (K'_ℓ, K_ℓ): adds up the paths of (S5) that are the same up to a sign, see `coupling`
    """

    matrix: scipy.sparse.csr_matrix
    transpose: scipy.sparse.csr_matrix
    num_paths: tuple
    fold: tuple


@cache
def coupling(l_in, l_sh, l_out, order, dtype, device):
    """The coupling of Σ_j G ⊗cg F, F ⊗cg F and F into ℓ = 0..l_out (S5).

    In the products, G = g Y has the real harmonics, Y_real = U Y. The coefficients of Σ_j G_p F_q are therefore those
    of Clebsch and Gordan times U†, complex numbers, and the whole matrix is in real form.

    Since ⟨ℓ1 m1 ℓ2 m2|ℓ m⟩ = (-1)^(ℓ1+ℓ2-ℓ) ⟨ℓ2 m2 ℓ1 m1|ℓ m⟩, the paths (ℓ1, ℓ2) and (ℓ2, ℓ1) of F ⊗cg F are equal
    up to this sign, and (ℓ1, ℓ1) vanishes for odd ℓ. Z has only the different ones, ℓ1 ≤ ℓ2. For the weight matrix W
    of (S5), whose K paths are the published parameters,

        Σ_k W_k Z_k  =  Σ_k' (Σ_k fold_k'k W_k) Z_k',

    so that mixing works on the K' folded weights and the gradient is unfolded by the transpose.

    Parameters
    ----------
    l_in, l_sh, l_out : L of F^s, of the spherical harmonics, and of F^(s+1)
    order : the order of "aggregate", "square" and "identity" in (S5)
    dtype : of the real numbers, "float32" or "float64"
    device : "cpu" or "gpu"
    """
    num_in, num_sh = (l_in + 1) ** 2, (l_sh + 1) ** 2
    _, _, squares = pair_indices(num_in, "cpu")
    columns = {
        "aggregate": np.arange(num_sh * num_in).reshape(num_sh, num_in),
        "identity": num_sh * num_in + np.arange(num_in)[None],
        "square": (num_sh + 1) * num_in + squares,
    }
    entries, num_paths, fold, row = [], [], [], 0
    for l in range(l_out + 1):
        kept, fold_l = _paths_and_fold(l, l_in, l_sh, order)
        for k, (part, l1, l2) in enumerate(kept):
            # ⟨0 0 ℓ m|ℓ m⟩ = 1: the identity is the product with the scalar 1
            coefficients = table(l1, l2, l)
            if part == "aggregate":
                coefficients = np.tensordot(real_from_complex(l1).conj(), coefficients, axes=1)
            for m1, m2, m in np.argwhere(coefficients):
                column = columns[part][l1 * l1 + m1, l2 * l2 + m2]
                entries.append((row + m * len(kept) + k, column, coefficients[m1, m2, m]))
        row += (2 * l + 1) * len(kept)
        num_paths.append(len(kept))
        fold.append(to_device(fold_l.astype(dtype), device))
    rows, cols, values = zip(*entries, strict=True)
    num_columns = (num_sh + 1) * num_in + num_in * (num_in + 1) // 2
    matrix = _real_form(scipy.sparse.csr_matrix((values, (rows, cols)), shape=(row, num_columns))).astype(dtype)
    return Coupling(to_device(matrix, device), to_device(matrix.T.tocsr(), device), tuple(num_paths), tuple(fold))


def _real_form(matrix):
    """A sparse complex matrix as a real one of twice as many rows and columns, see `real_form`, without zeros."""
    blocks = real_matrix(matrix.data[:, None], 0)[..., 0]
    shape = tuple(2 * n for n in matrix.shape)
    twice = scipy.sparse.bsr_matrix((blocks, matrix.indices, matrix.indptr), shape=shape).tocsr()
    twice.eliminate_zeros()
    return twice


def _paths_and_fold(l, l_in, l_sh, order):
    """The different paths (part, ℓ1, ℓ2) into ℓ, and the matrix (K', K) that folds all K paths of (S5) onto them."""
    all_paths = {
        "aggregate": [("aggregate", *p) for p in paths(l, l_sh, l_in)],
        "square": [("square", *p) for p in paths(l, l_in, l_in)],
        "identity": [("identity", 0, l)] if l <= l_in else [],
    }
    published = [path for part in order for path in all_paths[part]]
    kept = [
        (part, l1, l2) for part, l1, l2 in published if part != "square" or l1 < l2 or (l1 == l2 and l % 2 == 0)
    ]
    fold = np.array([[_fold_sign(path, other, l) for other in published] for path in kept])
    return kept, fold.reshape(len(kept), len(published))


def _fold_sign(path, other, l):
    part, l1, l2 = path
    if other == path:
        return 1
    return (-1) ** (l1 + l2 - l) if part == "square" and other == ("square", l2, l1) else 0
