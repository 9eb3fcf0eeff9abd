"""The edge network: scalars for every pair of atoms (section 1.4.2)."""

from cormorant_np.backend import get_array_module
from cormorant_np.network.pairs import gather, spread
from cormorant_np.so3_vector import block, dual, num_l


def edge_network_forward(edges, features, radial, mask, weights_g, weights_d_eta, pairs):
    """New edge scalars from the old ones, dot products and radial functions (S2); `plain.edge_network_forward`, fast:

        g_ℓc,ij^(s+1) = μ_c,ij Σ_c' ( g_ℓ,ij^s ⊕ d_ij^s ⊕ η_ij )_c' (W_ℓ)_cc'.

    The sum over c' is done in two matrix products: one for g^s, which each ℓ has for itself, and one for d ⊕ η, which
    is the same for all ℓ. An ℓ that F^s does not have gets no dot products (in the first layer, F^0 has only ℓ = 0):
    its columns for d are zero.

    Parameters
    ----------
    edges : (L_edge+1, C, B, P) complex, g^s; in the first layer, an array without any ℓ
    features : ((L+1)², C, B, N) complex, F^s
    radial : (K, B, P) complex, η
    mask : (C, B, P) real, μ
    weights_g : (number of ℓ with g^s, C, C) complex, the columns of W_ℓ for g^s
    weights_d_eta : ((L_sh+1) C, (L+1) C + K) complex, those for d ⊕ η, of one ℓ below the other
    pairs : Pairs

    Returns
    -------
    g^(s+1) : (L_sh+1, C, B, P) complex
    cache
    """
    xp = get_array_module(features)
    dots, dots_cache = dot_products_forward(features, pairs)
    d_eta = xp.concatenate([dots, radial]).reshape(weights_d_eta.shape[1], -1)  # ((L+1) C + K, B P)
    num_l_g, num_channels, num_pairs = len(weights_g), len(mask), mask[0].size
    g = edges[:num_l_g].reshape(num_l_g, num_channels, num_pairs)  # (ℓ, C, B P)
    mixed = (weights_d_eta @ d_eta).reshape(-1, num_channels, num_pairs)  # (L_sh+1, C, B P)
    mixed[:num_l_g] += weights_g @ g
    mask = mask.reshape(num_channels, num_pairs).astype(mixed.dtype)
    new_edges = (mixed * mask).reshape(-1, num_channels, *radial.shape[1:])  # (L_sh+1, C, B, P)
    return new_edges, (edges, g, d_eta, mask, mixed, weights_g, weights_d_eta, dots_cache)


def edge_network_backward(d_new_edges, cache, by_params=True):
    """Gradients by g^s, F^s, η, μ and, if wanted `by_params` (else None), the weights.

    With g = μ e and e = W x, where x is the concatenation:

        de = μ dg,    dμ = Σ_ℓ Re( conj(e) dg ),    dW = de x†,    dx = W† de.

    Parameters
    ----------
    d_new_edges : (L_sh+1, C, B, P) complex

    Returns
    -------
    (L_edge+1, C, B, P), ((L+1)², C, B, N), (K, B, P) complex, (C, B, P) real, and two with the weights' shapes
    """
    edges, g, d_eta, mask, mixed, weights_g, weights_d_eta, dots_cache = cache
    xp = get_array_module(d_eta)
    pairs_shape = d_new_edges.shape[2:]
    d_new_edges = d_new_edges.reshape(mixed.shape)  # (L_sh+1, C, B P)
    d_mask = (mixed.conj() * d_new_edges).real.sum(axis=0).reshape(-1, *pairs_shape)  # (C, B, P)
    d_mixed = d_new_edges * mask
    of_g, of_d_eta = d_mixed[: len(g)], d_mixed.reshape(len(weights_d_eta), -1)  # (ℓ, C, B P), ((L_sh+1) C, B P)

    d_edges = xp.zeros_like(edges)
    xp.matmul(weights_g.conj().swapaxes(1, 2), of_g, out=d_edges[: len(g)].reshape(g.shape))
    d_x = (weights_d_eta.conj().T @ of_d_eta).reshape(len(d_eta), *pairs_shape)  # ((L+1) C + K, B, P)
    num_dots = num_l(dots_cache[0]) * len(mask)
    d_features, d_radial = dot_products_backward(d_x[:num_dots], dots_cache), d_x[num_dots:]
    if not by_params:
        return d_edges, d_features, d_radial, d_mask, None, None
    d_weights_g = of_g @ g.conj().swapaxes(1, 2)  # (ℓ, C, C)
    return d_edges, d_features, d_radial, d_mask, d_weights_g, of_d_eta @ d_eta.conj().T


def dot_products_forward(features, pairs):
    """Scalar products of all pairs of atoms (third item and footnote 1 under S2); `plain.dot_forward`, fast:

        d_ℓc,ij = Σ_m (-1)^m F_ℓmc,i F_ℓ-mc,j,

    up to a constant the Clebsch-Gordan product of F_i and F_j into ℓ = 0. It is the same for (i, j) and (j, i). For
    every ℓ it is a matrix product over m; BLAS multiplies such small complex matrices faster if the first is no
    transpose.

    Parameters
    ----------
    features : ((L+1)², C, B, N) complex
    pairs : Pairs

    Returns
    -------
    d : ((L+1) C, B, P) complex, channel fastest
    cache
    """
    xp = get_array_module(features)
    _, num_channels, num_molecules, num_atoms = features.shape
    duals = dual(features)
    f_j = xp.ascontiguousarray(duals.transpose(1, 2, 3, 0))  # (C, B, N_j, rows)
    dots = xp.empty((num_l(features), num_channels, num_molecules, num_atoms, num_atoms), dtype=features.dtype)
    for l in range(len(dots)):
        f_i = features[block(l)].transpose(1, 2, 0, 3)  # (C, B, m, N_i)
        xp.matmul(f_j[..., block(l)], f_i, out=dots[l])  # (C, B, N_j, N_i)
    dots = gather(dots, pairs)  # (L+1, C, B, P)
    return dots.reshape(-1, *dots.shape[2:]), (duals, pairs)


def dot_products_backward(d_dots, cache):
    """Gradient by F. With the dual F̃_m = (-1)^m F_-m, d_ij = Σ_m F̃_mj F_mi = Σ_m F̃_mi F_mj, hence

        dF_mi = Σ_j≠i conj(F̃_mj) dd_ij + 2 conj(F̃_mi) dd_ii.

    Where one entry stands for all pairs of an atom with itself, its gradient is zero behind the mask.

    Parameters
    ----------
    d_dots : ((L+1) C, B, P) complex

    Returns
    -------
    ((L+1)², C, B, N) complex
    """
    duals, pairs = cache
    xp = get_array_module(duals)
    d = spread(d_dots.reshape(-1, *duals.shape[1:3], d_dots.shape[-1]), pairs)  # (L+1, C, B, N_j, N_i)
    d.reshape(*d.shape[:3], -1)[..., :: d.shape[-1] + 1] *= 2
    conjugate = duals.conj().transpose(1, 2, 0, 3)  # (C, B, rows, N_j)
    d_features = xp.empty_like(duals)
    for l in range(len(d)):
        xp.matmul(conjugate[:, :, block(l)], d[l], out=d_features[block(l)].transpose(1, 2, 0, 3))
    return d_features
