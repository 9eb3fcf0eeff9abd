"""The edge network: scalars for every pair of atoms (section 1.4.2)."""

from functools import cache

import numpy as np

from cormorant_np.backend import device_of, get_array_module, to_device
from cormorant_np.clebsch_gordan import block


def edge_network_forward(edges, features, radial, mask, weights):
    """New edge scalars from the old ones, dot products and radial functions (S2):

        g_ℓc,ij^(s+1) = μ_c,ij Σ_c' ( g_ℓ,ij^s ⊕ d_ij^s ⊕ η_ij )_c' (W_ℓ)_cc'.

    The sum over c' is done in two matrix products: one for g^s, which each ℓ has for itself, and one for d ⊕ η, which
    all ℓ share. An ℓ that F^s does not have gets no dot products (in the first layer, F^0 has only ℓ = 0).

    Parameters
    ----------
    edges : (L_edge+1, C, B, N_j, N_i) complex, g^s; in the first layer, an array without any ℓ
    features : ((L+1)², C, B, N) complex, F^s
    radial : (K, B, N_j, N_i) complex, η
    mask : (C, B, N_j, N_i) real, μ
    weights : for each ℓ = 0..L_sh, W_ℓ of shape (C, columns), complex

    Returns
    -------
    g^(s+1) : (L_sh+1, C, B, N_j, N_i) complex
    cache
    """
    xp = get_array_module(features)
    dots, dots_cache = dot_products_forward(features)
    shared = xp.concatenate([dots, radial])
    own_weights, shared_weights = _stack(weights, len(edges), len(radial), len(shared))
    own = edges[: len(own_weights)]
    num_channels, num_pairs = len(mask), mask[0].size
    mixed = (shared_weights @ shared.reshape(-1, num_pairs)).reshape(len(weights), num_channels, num_pairs)
    mixed[: len(own)] += own_weights @ own.reshape(len(own), num_channels, num_pairs)
    mixed = mixed.reshape(len(weights), *mask.shape)
    return mixed * mask, (edges, shared, radial, mask, mixed, weights, own_weights, shared_weights, dots_cache)


def edge_network_backward(d_new_edges, cache):
    """Gradients by g^s, F^s, η, μ and the weights.

    With g = μ e and e = W x, where x is the concatenation:

        de = μ dg,    dμ = Σ_ℓ Re( conj(e) dg ),    dW = de x†,    dx = W† de.
    """
    edges, shared, radial, mask, mixed, weights, own_weights, shared_weights, dots_cache = cache
    xp = get_array_module(shared)
    num_own, num_dots = len(own_weights), len(shared) - len(radial)
    d_mask = (mixed.real * d_new_edges.real + mixed.imag * d_new_edges.imag).sum(axis=0)
    d_mixed = d_new_edges * mask

    by_pair = (num_own, len(mask), mask[0].size)
    own, d_own = edges[:num_own].reshape(by_pair), d_mixed[:num_own].reshape(by_pair)
    d_own_weights = d_own @ own.conj().swapaxes(1, 2)
    d_edges = xp.zeros_like(edges)
    d_edges[:num_own] = (own_weights.conj().swapaxes(1, 2) @ d_own).reshape(num_own, *mask.shape)

    d_all = d_mixed.reshape(len(shared_weights), -1)
    d_shared_weights = d_all @ shared.reshape(len(shared), -1).conj().T
    d_shared = (shared_weights.conj().T @ d_all).reshape(shared.shape)
    d_features = dot_products_backward(d_shared[:num_dots], dots_cache)
    d_weights = _unstack(d_own_weights, d_shared_weights, weights)
    return d_edges, d_features, d_shared[num_dots:], d_mask, d_weights


def _stack(weights, num_edge_l, num_radial, num_shared):
    """W's columns for g^s, (ℓ, C, C) for the ℓ that g^s has, and for d ⊕ η, (ℓ C, columns), zero where ℓ has no d."""
    xp = get_array_module(weights[0])
    num_channels = weights[0].shape[0]
    num_own = min(num_edge_l, len(weights))
    own = xp.zeros((num_own, num_channels, num_channels), dtype=weights[0].dtype)
    shared = xp.zeros((len(weights), num_channels, num_shared), dtype=weights[0].dtype)
    for l, weight in enumerate(weights):
        if l < num_own:
            own[l] = weight[:, :num_channels]
            weight = weight[:, num_channels:]
        shared[l, :, num_shared - weight.shape[1] :] = weight
    return own, shared.reshape(-1, num_shared)


def _unstack(d_own, d_shared, weights):
    """The gradients of the two parts, put together as the weights are."""
    xp = get_array_module(d_shared)
    d_shared = d_shared.reshape(len(weights), -1, d_shared.shape[1])
    d_weights = []
    for l, weight in enumerate(weights):
        parts = [d_own[l]] if l < len(d_own) else []
        num_columns = weight.shape[1] - sum(part.shape[1] for part in parts)
        d_weights.append(xp.concatenate([*parts, d_shared[l, :, d_shared.shape[2] - num_columns :]], axis=1))
    return d_weights


def dot_products_forward(features):
    """Scalar products of all pairs of atoms, channel by channel (section 1.4.2, second item and footnote 1 under S2):

        d_ℓc,ij = Σ_m (-1)^m F_ℓmc,i F_ℓ-mc,j,

    up to a constant the Clebsch-Gordan product of F_i and F_j into ℓ = 0. For every ℓ it is a matrix product over m.

    Parameters
    ----------
    features : ((L+1)², C, B, N) complex

    Returns
    -------
    d : ((L+1) C, B, N_j, N_i) complex, channel fastest
    cache
    """
    xp = get_array_module(features)
    num_rows, num_channels, num_molecules, num_atoms = features.shape
    num_l = round(num_rows**0.5)
    dots = xp.empty((num_l, num_channels, num_molecules, num_atoms, num_atoms), dtype=features.dtype)
    by_sender = dual(features)
    for l in range(num_l):
        xp.matmul(by_sender[block(l)].transpose(1, 2, 3, 0), features[block(l)].transpose(1, 2, 0, 3), out=dots[l])
    return dots.reshape(-1, *dots.shape[2:]), (features, by_sender)


def dot_products_backward(d_dots, cache):
    """Gradient by F. In d_ji = Σ_m F̃_mj F_mi with the dual F̃_m = (-1)^m F_-m,

        dF_mi = Σ_j conj(F̃_mj) dd_ji,    dF̃_mj = Σ_i dd_ji conj(F_mi),

    and the dual of the dual is F again, so that the gradient of F̃ is F's after one more `dual`.
    """
    features, by_sender = cache
    xp = get_array_module(features)
    num_l = round(len(features) ** 0.5)
    d_dots = d_dots.reshape(num_l, features.shape[1], *d_dots.shape[1:])
    d_features, d_by_sender = xp.empty_like(features), xp.empty_like(features)
    f, g = features.conj().transpose(1, 2, 0, 3), by_sender.conj().transpose(1, 2, 0, 3)
    for l, d in enumerate(d_dots):
        xp.matmul(g[:, :, block(l)], d, out=d_features[block(l)].transpose(1, 2, 0, 3))
        xp.matmul(f[:, :, block(l)], d.swapaxes(2, 3), out=d_by_sender[block(l)].transpose(1, 2, 0, 3))
    return d_features + dual(d_by_sender)


def dual(features):
    """F̃_ℓm = (-1)^m F_ℓ,-m of an SO(3)-vector, ((L+1)², ...): F̃_i · F_j, summed over m, is invariant."""
    rows, signs = _mirror(len(features), features.real.dtype.name, device_of(features))
    return features[rows] * signs.reshape(-1, *[1] * (features.ndim - 1))


@cache
def _mirror(num_rows, dtype, device):
    """For every row (ℓ, m): the row of (ℓ, -m), and (-1)^m."""
    rows = np.arange(num_rows)
    l = np.floor(np.sqrt(rows)).astype(int)
    m = rows - l * l - l
    return to_device(rows - 2 * m, device), to_device(((-1.0) ** m).astype(dtype), device)
