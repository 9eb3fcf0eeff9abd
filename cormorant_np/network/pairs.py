"""Unordered pairs: what is the same for (j, i) and (i, j) is computed and kept once.

Distances, radial functions, masks, dot products and hence all edge activations g_ij are symmetric. An array on pairs of
atoms is (..., B, P) with P = N (N+1) / 2, for the pairs j ≤ i row by row; spread out it is (..., B, N_j, N_i).
"""

from functools import cache

import numpy as np

from cormorant_np.backend import device_of, get_array_module, to_device


@cache
def pair_indices(n, device):
    """The pairs p ≤ q of n things, row by row: p and q of each, (P,), and the number of the pair of any two, (n, n)."""
    first, second = np.triu_indices(n)
    numbers = np.empty((n, n), dtype=np.int64)
    numbers[first, second] = numbers[second, first] = np.arange(len(first))
    return tuple(to_device(array, device) for array in (first, second, numbers))


def gather(x):
    """(..., N_j, N_i) → (..., P): the entries with j ≤ i."""
    first, second, _ = pair_indices(x.shape[-1], device_of(x))
    return x[..., first, second]


def gather_backward(d_pairs):
    """(..., P) → (..., N_j, N_i): the entries with j > i were not used."""
    return spread(d_pairs) * get_array_module(d_pairs).tri(_num_atoms(d_pairs), dtype=d_pairs.real.dtype).T


def spread(x):
    """(..., P) → (..., N_j, N_i), the same for (j, i) and (i, j)."""
    _, _, numbers = pair_indices(_num_atoms(x), device_of(x))
    return get_array_module(x).take(x, numbers, axis=-1)


def spread_backward(d):
    """(..., N_j, N_i) → (..., P): the sum over both orders, of which an atom and itself have one."""
    first, second, _ = pair_indices(d.shape[-1], device_of(d))
    return d[..., first, second] + d[..., second, first] * (first != second)


def _num_atoms(x):
    """N of an array on pairs, (..., N (N+1) / 2)."""
    return round((2 * x.shape[-1]) ** 0.5 - 0.5)
