"""Unordered pairs: what is the same for (j, i) and (i, j) is computed and kept once.

Distances, radial functions, masks, dot products and hence all edge activations g_ij are symmetric. An array on pairs of
atoms is (..., P) with P = 1 + N (N-1) / 2, or N (N+1) / 2 if atoms are their own neighbours, see `pairs_of`;
spread out it is (..., N_j, N_i), or (..., N_i, N_j), since it is symmetric.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from cormorant_np.backend import get_array_module, to_device
from cormorant_np.so3_vector import read_only


class Pairs(NamedTuple):
    """Tables of the pairs of N things, see `pairs_of`.

    num_own : the number of pairs of one with itself, which come first
    first, second : (P,) integers, j and i of every pair, j ≤ i
    numbers : (N, N) integers, the pair of any two
    places : where pairs stand in (N_j, N_i), as (j, i) and as (i, j), two of (P,)
    """

    num_own: int
    first: np.ndarray
    second: np.ndarray
    numbers: np.ndarray
    places: tuple


@cache
def pairs_of(n, all_own, device):
    """The pairs of n atoms, or of n components: first those of one with itself, then j < i row by row.

    Unless `all_own`, one entry stands for all of the first. Atoms that are not their own neighbours have it so: nothing
    is asked of this entry but to be masked.
    """
    own = np.arange(n if all_own else 1)
    j, i = np.triu_indices(n, 1)
    first, second = np.concatenate([own, j]), np.concatenate([own, i])
    numbers = np.zeros((n, n), dtype=np.int64)
    numbers[first, second] = numbers[second, first] = np.arange(len(first))
    tables = (first, second, numbers, first * n + second, second * n + first)
    first, second, numbers, *places = (to_device(read_only(table), device) for table in tables)
    return Pairs(len(own), first, second, numbers, tuple(places))


def gather(x, pairs):
    """(..., N_j, N_i) → (..., P): the entries of the pairs, j ≤ i."""
    return get_array_module(x).take(x.reshape(*x.shape[:-2], -1), pairs.places[0], axis=-1)


def spread(x, pairs):
    """(..., P) → (..., N_j, N_i), the same for (j, i) and (i, j)."""
    return get_array_module(x).take(x, pairs.numbers, axis=-1)


def spread_backward(d, pairs):
    """(..., N_j, N_i) → (..., P): the sum over both orders, of which an atom and itself have one.

    An entry that stands for several atoms gets what the first of them has: it is masked.
    """
    xp, (of_ji, of_ij) = get_array_module(d), pairs.places
    d = d.reshape(*d.shape[:-2], -1)  # (..., N_j N_i)
    both = xp.take(d, of_ji, axis=-1)
    both += xp.take(d, of_ij, axis=-1)
    both[..., : pairs.num_own] /= 2
    return both
