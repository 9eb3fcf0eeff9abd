"""All Clebsch-Gordan products of a layer as one sparse matrix (section 1.4.4); `plain.cg_product_forward`, fast.

The coefficients depend neither on molecule, atom nor channel. So the products of components come first, X, and one
sparse matrix makes all paths of all (ℓ, m) from them, Z = M X. It is built in three steps: the coefficients as they
stand in (S5); only the paths that differ; of F ⊗ F only the products with p ≤ q.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import scipy.sparse

from cormorant_np.backend import to_device
from cormorant_np.clebsch_gordan import paths, table
from cormorant_np.network.pairs import pairs_of


class Coupling(NamedTuple):
    """The Clebsch-Gordan products of one vertex network (S5).

    matrix : M, CSR on a CPU, dense on a GPU, (rows of Z, rows of X) real. The rows of X are the products Σ_j G_p F_q,
        (L_in+1)² (L_sh+1)² of them in the order (q, p), then the (L_in+1)² components of F, then the F_p F_q with
        p ≤ q. Those of Z are ordered (ℓ, m, path).
    transpose : of the same matrix, for the backward pass
    num_paths : K'_ℓ, the number of paths in Z, for each ℓ
    fold : for each ℓ, (K'_ℓ, K_ℓ): adds up the paths of (S5) that are the same up to a sign, see `different_paths`
    """

    matrix: scipy.sparse.csr_matrix
    transpose: scipy.sparse.csr_matrix
    num_paths: tuple
    fold: tuple


@cache
def coupling(l_in, l_sh, l_out, order, dtype, device):
    """The coupling of Σ_j G ⊗cg F, F ⊗cg F and F into ℓ = 0..l_out (S5).

    Parameters
    ----------
    l_in, l_sh, l_out : L of F^s, of the spherical harmonics, and of F^(s+1)
    order : the order of "aggregate", "square" and "identity" in (S5)
    dtype : of the real numbers, float32 or float64
    device : "cpu" or "gpu"
    """
    published = [published_paths(l, l_in, l_sh, order) for l in range(l_out + 1)]
    kept, fold = zip(*map(different_paths, published, range(l_out + 1)), strict=True)
    coefficients = _rows_of_paths(kept, published) @ coefficient_matrix(l_in, l_sh, l_out, order)
    matrix = scipy.sparse.csr_matrix(coefficients @ _from_upper_products(l_in, l_sh)).astype(dtype)
    fold = tuple(to_device(f.astype(dtype), device) for f in fold)
    return Coupling(to_device(matrix, device), to_device(matrix.T.tocsr(), device), tuple(map(len, kept)), fold)


def published_paths(l, l_in, l_sh, order):
    """The K_ℓ paths (kind, ℓ1, ℓ2) into ℓ, in the order of (S5) and of the published weights' columns."""
    of_kind = {
        "aggregate": paths(l, l_sh, l_in),
        "square": paths(l, l_in, l_in),
        "identity": [(0, l)] if l <= l_in else [],
    }
    return [(kind, l1, l2) for kind in order for l1, l2 in of_kind[kind]]


def coefficient_matrix(l_in, l_sh, l_out, order):
    """The coefficients ⟨ℓ1 m1 ℓ2 m2|ℓ m⟩ of (S5) as they are printed: every path from every product of components.

    Rows (ℓ, m, path); columns G_p F_q in the order (q, p), then F_q, then F_p F_q in the order (p, q). The identity is
    the product with the scalar 1, ⟨0 0 ℓ m|ℓ m⟩ = 1.

    Returns
    -------
    sparse (Σ_ℓ (2ℓ+1) K_ℓ, (L_in+1)² (L_sh+1)² + (L_in+1)² + (L_in+1)⁴) real
    """
    num_in, num_sh = (l_in + 1) ** 2, (l_sh + 1) ** 2
    columns_of = {  # the first one, and how far apart those of neighbouring first and second factors are
        "aggregate": (0, 1, num_sh),
        "identity": (num_sh * num_in, num_in, 1),
        "square": ((num_sh + 1) * num_in, num_in, 1),
    }
    entries, first_row = [], 0
    for l in range(l_out + 1):
        of_l = published_paths(l, l_in, l_sh, order)
        for k, (kind, l1, l2) in enumerate(of_l):
            coefficients, (column, by_first, by_second) = table(l1, l2, l), columns_of[kind]
            for m1, m2, m in np.argwhere(coefficients):
                of_product = column + by_first * (l1 * l1 + m1) + by_second * (l2 * l2 + m2)
                entries.append((first_row + m * len(of_l) + k, of_product, coefficients[m1, m2, m]))
        first_row += (2 * l + 1) * len(of_l)
    rows, columns, values = zip(*entries, strict=True)
    return scipy.sparse.csr_array((values, (rows, columns)), shape=(first_row, (num_sh + 1 + num_in) * num_in))


def different_paths(published, l):
    """The paths into ℓ that differ by more than a sign, and the matrix (K', K) that folds the K of (S5) onto them.

    Since ⟨ℓ1 m1 ℓ2 m2|ℓ m⟩ = (-1)^(ℓ1+ℓ2-ℓ) ⟨ℓ2 m2 ℓ1 m1|ℓ m⟩, the paths (ℓ1, ℓ2) and (ℓ2, ℓ1) of F ⊗cg F are equal up
    to this sign, and (ℓ1, ℓ1) vanishes for odd ℓ. Z has only the different ones, ℓ1 ≤ ℓ2. For the published weights W,

        Σ_k W_k Z_k  =  Σ_k' (Σ_k fold_k'k W_k) Z_k',

    so that mixing works on the K' folded weights and the gradient is unfolded by the transpose.
    """
    kept = [(kind, l1, l2) for kind, l1, l2 in published if kind != "square" or l1 < l2 or (l1 == l2 and l % 2 == 0)]
    fold = np.zeros((len(kept), len(published)))
    for row, (kind, l1, l2) in enumerate(kept):
        fold[row, published.index((kind, l1, l2))] = 1
        if kind == "square" and l1 != l2:
            fold[row, published.index((kind, l2, l1))] = (-1) ** (l1 + l2 - l)
    return kept, fold


def _rows_of_paths(kept, published):
    """The matrix that takes the different paths' rows (ℓ, m, path) out of those of all paths."""
    blocks = [
        scipy.sparse.kron(np.eye(2 * l + 1), np.eye(len(of_l))[[of_l.index(path) for path in kept_l]])
        for l, (kept_l, of_l) in enumerate(zip(kept, published, strict=True))
    ]
    return scipy.sparse.block_diag(blocks, format="csr")


def _from_upper_products(l_in, l_sh):
    """All F_p F_q from those with p ≤ q, which X has; the rest as it is."""
    num_in, num_sh = (l_in + 1) ** 2, (l_sh + 1) ** 2
    numbers = pairs_of(num_in, True, "cpu").numbers
    both_orders = scipy.sparse.csr_array((np.ones(num_in**2), (np.arange(num_in**2), numbers.ravel())))
    return scipy.sparse.block_diag([scipy.sparse.eye((num_sh + 1) * num_in), both_orders], format="csr")
