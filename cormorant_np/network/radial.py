"""Learnable radial functions η and the soft mask μ (section 1.4.2)."""

import math

from cormorant_np.backend import get_array_module
from cormorant_np.config import MIN_WIDTH
from cormorant_np.network.real_form import as_complex


def radial_forward(kappa, phi, geometry, config):
    """Radial functions of every pair, complex (section 1.4.2, fourth item under S2); `plain.radial_forward`:

        η_(k,n)(r) = r^-k ( sin(2π κ_n r + φ_n) + i sin(2π κ̄_n r + φ̄_n) ),   k = 0..max_power, n = 0..num_frequencies-1.

    The channels are the pairs (k, n), n fastest. In the released code a channel's imaginary part does not have a
    frequency of its own but the next power: with `paired_radial_functions`, the real functions r^-k sin(2π κ_n r + φ_n)
    are listed with k fastest, n = 0..2 num_frequencies - 1, and neighbours in this list are real and imaginary part.
    Pairs that are not two different atoms have η = 0.

    Distances are the same in all layers, so that the functions of S layers are made together.

    Parameters
    ----------
    kappa : (S, 2, num_frequencies) real, κ and κ̄, in 1/Å
    phi : (S, 2, num_frequencies) real, φ and φ̄
    geometry : Geometry

    Returns
    -------
    η : (S, num_radial, B, P) complex
    cache
    """
    xp = get_array_module(kappa)
    r = geometry.distances
    by_function = (len(kappa), -1, 1, 1)
    phase = 2 * math.pi * kappa.reshape(by_function) * r + phi.reshape(by_function)  # (S, n, B, P)
    powers = _inverse_powers(geometry, config.max_power)
    sines = xp.sin(phase)
    real, imaginary = _channels(powers * sines[:, :, None], config)  # of (S, n, k, B, P)
    shape = (len(kappa), config.num_radial, *r.shape)
    return as_complex(real.reshape(shape), imaginary.reshape(shape)), (kappa, phase, powers, sines, geometry, config)


def radial_backward(d_eta, cache):
    """Gradients by κ, φ, (S, 2, num_frequencies), and the distances, (B, P), from (S, num_radial, B, P) complex.

    With p_k = r^-k and s_n = sin(x_n), x_n = 2π κ_n r + φ_n, every real function is p_k s_n, and

        dx_n = Σ_k p_k cos(x_n) d(p_k s_n),     dκ_n = Σ 2π r dx_n,     dφ_n = Σ dx_n,
        dr   = Σ_n 2π κ_n dx_n - Σ_kn k p_k s_n d(p_k s_n) / r.
    """
    kappa, phase, powers, sines, geometry, config = cache
    xp = get_array_module(kappa)
    r = geometry.distances
    d_functions = xp.empty((*sines.shape[:2], len(powers), *r.shape), dtype=r.dtype)
    d_real, d_imaginary = _channels(d_functions, config)
    d_real[...] = d_eta.real.reshape(d_real.shape)
    d_imaginary[...] = d_eta.imag.reshape(d_real.shape)

    d_phase = (powers * d_functions).sum(axis=2) * xp.cos(phase)
    k_powers = powers * xp.arange(len(powers), dtype=r.dtype).reshape(-1, 1, 1)
    d_distances = 2 * math.pi * (kappa.reshape(len(kappa), -1, 1, 1) * d_phase).sum(axis=(0, 1))
    d_distances -= (k_powers * (sines[:, :, None] * d_functions).sum(axis=(0, 1))).sum(axis=0) / r
    d_kappa = 2 * math.pi * (d_phase * r).sum(axis=(2, 3)).reshape(kappa.shape)
    d_phi = d_phase.sum(axis=(2, 3)).reshape(kappa.shape)
    return d_kappa, d_phi, d_distances


def _inverse_powers(geometry, max_power):
    """r^-k for k = 0..max_power, (max_power+1, B, P); zero where the pair is not two different atoms."""
    powers = [geometry.distinct]
    for _ in range(max_power):
        powers.append(powers[-1] / geometry.distances)
    return get_array_module(geometry.distances).stack(powers)


def _channels(functions, config):
    """Real and imaginary parts, as views, of the real functions (S, n, k, B, P), in the order of the channels."""
    num_layers, num_n, num_k, *pairs = functions.shape
    if config.paired_radial_functions:
        by_pair = functions.reshape(num_layers, config.num_radial, 2, *pairs)
        return by_pair[:, :, 0], by_pair[:, :, 1]
    by_part = functions.reshape(num_layers, 2, num_n // 2, num_k, *pairs).swapaxes(2, 3)
    return by_part[:, 0], by_part[:, 1]


def mask_forward(cutoff, width, geometry, config):
    """The soft mask of every channel (section 1.4.2, last item under S2), zero outside N(i); `plain.mask_forward`:

        μ_c,ij = σ( -(r_ij - r_c) / w_c ),    σ(x) = 1 / (1 + exp(-x)) = (1 + tanh(x/2)) / 2.

    With `clamp_cutoffs`, |r_c| and max(|w_c|, 0.001) stand for r_c and w_c. The masks of S layers are made together.

    Parameters
    ----------
    cutoff, width : (S, C) real, r_c and w in Å

    Returns
    -------
    μ : (S, C, B, P) real
    cache
    """
    xp = get_array_module(cutoff)
    if config.clamp_cutoffs:
        r_c, w = xp.abs(cutoff), xp.maximum(xp.abs(width), MIN_WIDTH)
    else:
        r_c, w = cutoff, width
    r_c, w = r_c[..., None, None], w[..., None, None]
    distances = geometry.distances * geometry.distinct
    x = (r_c - distances) / w
    sigmoid = (1 + xp.tanh(x / 2)) / 2
    return sigmoid * geometry.neighbours, (cutoff, width, w, x, sigmoid, geometry, config)


def mask_backward(d_mask, cache):
    """Gradients by r_c and w, (S, C), and the distances, (B, P), from (S, C, B, P) real.

    With x = (r_c - r) / w and dx = σ (1 - σ) dμ,

        dr_c = Σ dx / w,     dw = -Σ x dx / w,     dr = -Σ_c dx / w.
    """
    cutoff, width, w, x, sigmoid, geometry, config = cache
    xp = get_array_module(cutoff)
    d_scaled = d_mask * (sigmoid * (1 - sigmoid) * geometry.neighbours / w)
    d_cutoff = d_scaled.sum(axis=(2, 3))
    d_width = -(x * d_scaled).sum(axis=(2, 3))
    if config.clamp_cutoffs:
        d_cutoff = d_cutoff * xp.sign(cutoff)
        d_width = d_width * xp.sign(width) * (xp.abs(width) > MIN_WIDTH)
    return d_cutoff, d_width, -d_scaled.sum(axis=(0, 1)) * geometry.distinct
