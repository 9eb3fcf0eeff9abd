"""The rows of an SO(3)-vector: component (ℓ, m) is row ℓ² + ℓ + m of an array ((L+1)², ...)."""

from functools import cache
from typing import NamedTuple

import numpy as np

from cormorant_np.backend import device_of, to_device


def block(l):
    """The rows of weight ℓ."""
    return slice(l * l, (l + 1) ** 2)


def num_l(x):
    """L + 1, the number of different ℓ in x."""
    return round(len(x) ** 0.5)


def l_of_rows(x):
    """ℓ of every row of x."""
    return _rows_of(x).l


def sum_over_m(x, axis=0):
    """Σ_m x_ℓm, along an axis ≥ 0 (..., (L+1)², ...) → (..., L+1, ...): the product with a matrix of zeros and ones."""
    outside, inside = x.shape[:axis], x.shape[axis + 1 :]
    real = x.reshape(*outside, x.shape[axis], -1).view(x.real.dtype)  # real and imaginary parts as columns
    return (_rows_of(x, axis).members @ real).view(x.dtype).reshape(*outside, -1, *inside)


def dual(x):
    """x̃_ℓm = (-1)^m x_ℓ,-m: x̃_i · x_j, summed over m, is invariant."""
    rows = _rows_of(x)
    return x[rows.mirror] * rows.signs.reshape(-1, *[1] * (x.ndim - 1))


def parity(x):
    """(-1)^ℓ of every row of x, real."""
    return _rows_of(x).parity


class Rows(NamedTuple):
    """What every row (ℓ, m) of an SO(3)-vector is.

    l : (rows,) integers
    members : (L+1, rows) real, 1 where a row has this ℓ, else 0
    mirror : (rows,) integers, the number of the row (ℓ, -m)
    signs : (rows,) real, (-1)^m
    parity : (rows,) real, (-1)^ℓ
    """

    l: np.ndarray
    members: np.ndarray
    mirror: np.ndarray
    signs: np.ndarray
    parity: np.ndarray


def _rows_of(x, axis=0):
    return _rows(x.shape[axis], x.dtype, device_of(x))


@cache
def _rows(num_rows, dtype, device):
    rows, dtype = np.arange(num_rows), np.empty(0, dtype).real.dtype
    l = np.floor(np.sqrt(rows)).astype(np.int64)
    m = rows - l * l - l
    members = np.arange(l[-1] + 1)[:, None] == l
    arrays = (l, members.astype(dtype), rows - 2 * m, ((-1.0) ** m).astype(dtype), ((-1.0) ** l).astype(dtype))
    return Rows(*(to_device(read_only(array), device) for array in arrays))


def read_only(array):
    """The array, which many will share, protected from changes."""
    array.flags.writeable = False
    return array
