"""Unordered pairs: what is the same for (j, i) and (i, j) is computed and kept once.

Distances, radial functions, masks, dot products and hence all edge activations g_ij are symmetric. An array on pairs of
atoms is (..., B, P) with P = N (N+1) / 2, for the pairs j ≤ i row by row; spread out it is (..., B, N_j, N_i), or with
real and imaginary parts (..., B, N_i, 2, N_j).
"""

from functools import cache

import numpy as np

from cormorant_np.backend import device_of, get_array_module, to_device
from cormorant_np.so3_vector import read_only


@cache
def pair_indices(n, device):
    """The pairs p ≤ q of n things, row by row: p and q of each, (P,), and the number of the pair of any two, (n, n)."""
    first, second = np.triu_indices(n)
    numbers = np.empty((n, n), dtype=np.int64)
    numbers[first, second] = numbers[second, first] = np.arange(len(first))
    return tuple(to_device(read_only(array), device) for array in (first, second, numbers))


@cache
def part_indices(n, device):
    """Where both parts of (j, i) stand among the 2P real numbers of pairs, (N_i, 2, N_j)."""
    _, _, numbers = pair_indices(n, "cpu")
    return to_device(read_only(2 * numbers[:, None] + np.arange(2)[:, None]), device)


@cache
def part_places(n, device):
    """Where the 2P real numbers of pairs stand in (N_i, 2, N_j), as (j, i) and as (i, j), two of (2P,)."""
    first, second, _ = pair_indices(n, "cpu")
    places = np.arange(2 * n * n).reshape(n, 2, n)
    both = places[second, :, first], places[first, :, second]  # (P, 2)
    return tuple(to_device(read_only(of_one.ravel()), device) for of_one in both)


def gather(x):
    """(..., N_j, N_i) → (..., P): the entries with j ≤ i."""
    first, second, _ = pair_indices(x.shape[-1], device_of(x))
    return _entries(x, first, second)


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
    return _entries(d, first, second) + _entries(d, second, first) * (first != second)


def spread_parts(z):
    """(..., P) complex → (..., N_i, 2, N_j) real: of (j, i), which is the same as of (i, j), both parts."""
    return get_array_module(z).take(z.view(z.real.dtype), part_indices(_num_atoms(z), device_of(z)), axis=-1)


def spread_parts_backward(d):
    """(..., N_i, 2, N_j) real → (..., P) complex."""
    xp, (upper, lower) = get_array_module(d), part_places(d.shape[-1], device_of(d))
    d_flat = d.reshape(*d.shape[:-3], -1)  # (..., 2N²)
    d_parts = xp.take(d_flat, upper, axis=-1) + xp.take(d_flat, lower, axis=-1) * (upper != lower)  # (..., 2P)
    return d_parts.view(np.result_type(d.dtype, np.complex64))


def _entries(x, rows, columns):
    """x[..., rows, columns]; taken by one number each, they come out in C's order, and faster."""
    return get_array_module(x).take(x.reshape(*x.shape[:-2], -1), rows * x.shape[-1] + columns, axis=-1)


def _num_atoms(x):
    """N of an array on pairs, (..., N (N+1) / 2)."""
    return round((2 * x.shape[-1]) ** 0.5 - 0.5)
