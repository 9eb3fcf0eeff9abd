"""Complex numbers in real form: x + iy as the pair (x, y), which u + iv multiplies as the matrix ((u, v), (-v, u)).

The matrix stands on the right, (x, y) M, so that rows are multiplied by rows.

A product of complex matrices is then one of real matrices with as many real products. BLAS multiplies small real
matrices faster than small complex ones, and the gradient by a real matrix needs no conjugation, hence no copy.
"""

import numpy as np

from cormorant_np.backend import get_array_module


def split(z, axis, out=None):
    """Real and imaginary part of z, along a new axis in front of `axis`, a number ≥ 0; written into `out` if given."""
    if out is None:
        out = get_array_module(z).empty((*z.shape[:axis], 2, *z.shape[axis:]), dtype=z.real.dtype)
    before = (slice(None),) * axis
    out[(*before, 0)], out[(*before, 1)] = z.real, z.imag
    return out


def join(x, axis):
    """The inverse of `split`."""
    before = (slice(None),) * axis
    return as_complex(x[(*before, 0)], x[(*before, 1)])


def as_complex(real, imaginary):
    """The complex array with these parts, which lies in memory as they do."""
    z = get_array_module(real).empty_like(real, dtype=np.result_type(real.dtype, np.complex64))
    z.real, z.imag = real, imaginary
    return z


def real_matrix(z, axis):
    """((Re z, Im z), (-Im z, Re z)) for every entry of z; rows are doubled behind `axis`, columns before the last axis.

    Parameters
    ----------
    z : (..., n, ..., m) complex, where n is the length of `axis`

    Returns
    -------
    (..., n, 2, ..., 2, m) real
    """
    xp = get_array_module(z)
    matrix = xp.empty((*z.shape[: axis + 1], 2, *z.shape[axis + 1 : -1], 2, z.shape[-1]), dtype=z.real.dtype)
    before = (slice(None),) * (axis + 1)
    upper, lower = matrix[(*before, 0)], matrix[(*before, 1)]
    upper[..., 0, :] = lower[..., 1, :] = z.real
    upper[..., 1, :] = z.imag
    xp.negative(z.imag, out=lower[..., 0, :])
    return matrix


def real_matrix_backward(d_matrix):
    """For axis 0: Re z and Im z stand in two places each, Im z once with a minus."""
    upper, lower = d_matrix[:, 0], d_matrix[:, 1]
    return as_complex(upper[..., 0, :] + lower[..., 1, :], upper[..., 1, :] - lower[..., 0, :])
