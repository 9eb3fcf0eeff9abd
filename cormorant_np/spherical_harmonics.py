"""Spherical harmonics, complex and real, normalised to Σ_m |Y_ℓm|² = 1, and their derivative (section 1.4.3).

Everything rests on the solid harmonics r^ℓ Y_ℓm(r̂), polynomials in x, y, z, which are smooth everywhere, also at
r = 0. Their recursion and their derivative are those of C_ℓm = r^ℓ sqrt(4π / (2ℓ+1)) Y_ℓm(QM), with Condon and
Shortley's phases; the network uses the complex conjugates conj(C_ℓm) = (-1)^m C_ℓ,-m, called Y_ℓm in this file for
solid ones too, with which features turn as F → D(R) F, see `rotation`. (The supplement prints the factor upside down:
sqrt((2ℓ+1) / 4π) would not give Σ_m |Y_ℓm|² = 1.)

Row ℓ² + ℓ + m of every result holds component (ℓ, m).
"""

from functools import cache
from math import sqrt

import numpy as np

from cormorant_np.backend import device_of, get_array_module, to_device
from cormorant_np.so3_vector import block, num_l, read_only


def solid_sh(vectors, l_max):
    """Complex solid harmonics r^ℓ Y_ℓm(r̂) of any vectors, by recursion; not in the supplement.

    For m ≥ 0, with Condon and Shortley's C_ℓm and C_00 = 1:

        C_ℓℓ = - sqrt((2ℓ-1) / 2ℓ) (x + iy) C_ℓ-1,ℓ-1
        C_ℓm = ( (2ℓ-1) z C_ℓ-1,m - sqrt((ℓ-1)² - m²) r² C_ℓ-2,m ) / sqrt(ℓ² - m²)

    and conj(C_ℓm) = (-1)^m C_ℓ,-m.

    Parameters
    ----------
    vectors : (..., 3) real

    Returns
    -------
    ((l_max+1)², ...) complex
    """
    xp = get_array_module(vectors)
    x, y, z = vectors.reshape(-1, 3).T
    r_squared = x * x + y * y + z * z
    x_plus_iy = x + 1j * y
    solid = xp.empty(((l_max + 1) ** 2, len(x)), dtype=x_plus_iy.dtype)
    solid[0] = 1
    lowest, lower = solid[:0], solid[:1]  # C_ℓ-2,m and C_ℓ-1,m, (m ≥ 0, vectors)
    for l in range(1, l_max + 1):
        of_z, of_r_squared, signs = _recursion(l, solid.real.dtype, device_of(x))
        c = xp.empty((l + 1, len(x)), dtype=solid.dtype)
        c[:l] = of_z * z * lower
        c[: l - 1] -= of_r_squared * r_squared * lowest
        c[l] = -sqrt((2 * l - 1) / (2 * l)) * x_plus_iy * lower[-1]
        solid[l * l + l : (l + 1) ** 2] = c.conj()
        solid[l * l : l * l + l] = (signs * c[1:])[::-1]
        lowest, lower = lower, c
    return solid.reshape(-1, *vectors.shape[:-1])


@cache
def _recursion(l, dtype, device):
    """The two factors of C_ℓm for m = 0..ℓ-1 and m = 0..ℓ-2, and (-1)^m for m = 1..ℓ, each (number, 1) real."""
    m = np.arange(l + 1)[:, None]
    norm = np.sqrt(l * l - m[:l] ** 2)
    factors = (2 * l - 1) / norm, np.sqrt((l - 1) ** 2 - m[: l - 1] ** 2) / norm[: l - 1], (-1.0) ** m[1:]
    return tuple(to_device(factor.astype(dtype), device) for factor in factors)


def solid_sh_backward(d_solid, solid):
    """Gradient by the vectors, from the solid harmonics themselves.

    The derivatives of a solid harmonic of degree ℓ are solid harmonics of degree ℓ - 1. For Y = conj(C),

        ∂_z Y_ℓm         = sqrt((ℓ+m)(ℓ-m)) Y_ℓ-1,m
        (∂_x - i∂_y) Y_ℓm =  sqrt((ℓ-m)(ℓ-m-1)) Y_ℓ-1,m+1
        (∂_x + i∂_y) Y_ℓm = -sqrt((ℓ+m)(ℓ+m-1)) Y_ℓ-1,m-1

    and dx_a = Σ_ℓm Re( conj(∂_a Y_ℓm) dY_ℓm ).

    Parameters
    ----------
    d_solid, solid : ((l_max+1)², ...) complex

    Returns
    -------
    (..., 3) real
    """
    lower = solid[: (num_l(solid) - 1) ** 2].reshape(-1, solid[0].size)  # those of degree ≤ L - 1
    d_lower = _derivatives_adjoint(len(solid), solid.dtype, device_of(solid)) @ d_solid.reshape(len(solid), -1)
    d_vectors = (lower.conj() * d_lower.reshape(3, *lower.shape)).sum(axis=1).real
    return d_vectors.T.reshape(*solid.shape[1:], 3)


@cache
def _derivatives_adjoint(num_rows, dtype, device):
    """D†, where D makes ∂_x, ∂_y and ∂_z of the solid harmonics of them, (3 · those of degree ≤ L - 1, num_rows)."""
    l_max = round(num_rows**0.5) - 1
    derivatives = np.zeros((num_rows, 3, l_max**2), dtype)
    for l in range(1, l_max + 1):
        for m in range(-l, l + 1):
            of_x, of_y, of_z = derivatives[l * l + l + m]
            row = l * l - l + m  # of (ℓ-1, m)
            steps = {1: sqrt((l - m) * (l - m - 1)) / 2, -1: -sqrt((l + m) * (l + m - 1)) / 2}
            for step, factor in steps.items():
                if abs(m + step) < l:
                    of_x[row + step], of_y[row + step] = factor, step * 1j * factor
            if abs(m) < l:
                of_z[row] = sqrt((l + m) * (l - m))
    return to_device(derivatives.reshape(num_rows, -1).conj().T, device)


def complex_sh(vectors, l_max):
    """Y_ℓm(r̂), conjugated, Σ_m |Y_ℓm|² = 1 (section 1.4.3).

    Parameters
    ----------
    vectors : (..., 3) real, of any length; the zero vector has Y_00 = 1 and zeros elsewhere

    Returns
    -------
    ((l_max+1)², ...) complex
    """
    return solid_sh(normalise(vectors)[0], l_max)


def real_sh(vectors, l_max):
    """Real spherical harmonics, Σ_m Y_ℓm² = 1: `real_from_complex(ℓ) @ complex_sh` for every ℓ; not in the supplement.

    Y_ℓm is proportional to cos(mφ) for m ≥ 0 and to sin(|m|φ) for m < 0; ℓ = 1 is (y, z, x) / r.

    Parameters
    ----------
    vectors : (..., 3) real, of any length

    Returns
    -------
    ((l_max+1)², ...) real
    """
    y = complex_sh(vectors, l_max)
    xp, device = get_array_module(y), device_of(y)
    unitary = [to_device(real_from_complex(l).astype(y.dtype), device) for l in range(l_max + 1)]
    return xp.concatenate([xp.tensordot(u, y[block(l)], axes=1).real for l, u in enumerate(unitary)])


@cache
def real_from_complex(l):
    """The unitary matrix U, (2ℓ+1, 2ℓ+1), with Y_real = U Y_complex; its conjugate transpose leads back.

    For m > 0, Y_real,m = ((-1)^m Y_m + Y_-m) / √2 and Y_real,-m = i ((-1)^m Y_m - Y_-m) / √2 for the conjugated Y.
    """
    u = np.zeros((2 * l + 1, 2 * l + 1), dtype=complex)
    u[l, l] = 1
    for m in range(1, l + 1):
        u[l + m, [l + m, l - m]] = np.array([(-1) ** m, 1]) / sqrt(2)
        u[l - m, [l + m, l - m]] = 1j * np.array([(-1) ** m, -1]) / sqrt(2)
    return read_only(u)


def normalise(vectors):
    """Unit vectors and lengths, (..., 3) and (...,); a zero vector keeps its zeros."""
    xp = get_array_module(vectors)
    length = xp.sqrt((vectors * vectors).sum(axis=-1))
    return vectors / xp.where(length > 0, length, 1)[..., None], length


def normalise_backward(d_unit, d_length, unit, length):
    """Gradient by v of û = v / r and r = |v|:  dv = (dû - û (û·dû)) / r + û dr, and zero where r = 0."""
    xp = get_array_module(unit)
    inverse = xp.where(length > 0, 1 / xp.where(length > 0, length, 1), 0)
    radial = (unit * d_unit).sum(axis=-1)
    return (d_unit - unit * radial[..., None]) * inverse[..., None] + unit * d_length[..., None]


def complex_sh_backward(d_y, vectors):
    """Gradient of `complex_sh` by the vectors: through the solid harmonics of the unit vector, then through v / |v|."""
    unit, length = normalise(vectors)
    d_unit = solid_sh_backward(d_y, solid_sh(unit, num_l(d_y) - 1))
    return normalise_backward(d_unit, get_array_module(length).zeros_like(length), unit, length)
