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
def entry_places(n, device):
    """Where pairs stand in (N_j, N_i), as (j, i) and as (i, j), two of (P,)."""
    first, second, _ = pair_indices(n, "cpu")
    places = np.arange(n * n).reshape(n, n)
    return tuple(to_device(read_only(of_order), device) for of_order in (places[first, second], places[second, first]))


@cache
def part_places(n, device):
    """Where both parts of pairs stand in (N_i, 2, N_j), as (j, i) and as (i, j), two of (2P,)."""
    first, second, _ = pair_indices(n, "cpu")
    places = np.arange(2 * n * n).reshape(n, 2, n)
    both = places[second, :, first], places[first, :, second]  # (P, 2)
    return tuple(to_device(read_only(of_order.ravel()), device) for of_order in both)


def gather(x):
    """(..., N_j, N_i) → (..., P): the entries with j ≤ i."""
    places, _ = entry_places(x.shape[-1], device_of(x))
    return get_array_module(x).take(x.reshape(*x.shape[:-2], -1), places, axis=-1)


def spread(x):
    """(..., P) → (..., N_j, N_i), the same for (j, i) and (i, j)."""
    _, _, numbers = pair_indices(_num_atoms(x), device_of(x))
    return get_array_module(x).take(x, numbers, axis=-1)


def spread_backward(d):
    """(..., N_j, N_i) → (..., P): the sum over both orders, of which an atom and itself have one."""
    return _sum_of_orders(d.reshape(*d.shape[:-2], -1), entry_places(d.shape[-1], device_of(d)))


def spread_parts(z):
    """(..., P) complex → (..., N_i, 2, N_j) real: of (j, i), which is the same as of (i, j), both parts."""
    return get_array_module(z).take(z.view(z.real.dtype), part_indices(_num_atoms(z), device_of(z)), axis=-1)


def spread_parts_backward(d):
    """(..., N_i, 2, N_j) real → (..., P) complex."""
    parts = _sum_of_orders(d.reshape(*d.shape[:-3], -1), part_places(d.shape[-1], device_of(d)))  # (..., 2P)
    return parts.view(np.result_type(d.dtype, np.complex64))


def _sum_of_orders(d, places):
    """What stands in the places of (j, i) and, if they are two, of (i, j); `take` is faster than indexing."""
    xp, (of_ji, of_ij) = get_array_module(d), places
    return xp.take(d, of_ji, axis=-1) + xp.take(d, of_ij, axis=-1) * (of_ji != of_ij)


def _num_atoms(x):
    """N of an array on pairs, (..., N (N+1) / 2)."""
    return round((2 * x.shape[-1]) ** 0.5 - 0.5)
