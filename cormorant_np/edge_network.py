"""The edge network: scalars for every pair of atoms (section 1.4.2)."""

from cormorant_np.backend import device_of, get_array_module
from cormorant_np.pairs import gather, pair_indices, spread
from cormorant_np.so3_vector import block, dual, num_l


def edge_network_forward(edges, features, radial, mask, own_weights, shared_weights):
    """New edge scalars from the old ones, dot products and radial functions (S2):

        g_ℓc,ij^(s+1) = μ_c,ij Σ_c' ( g_ℓ,ij^s ⊕ d_ij^s ⊕ η_ij )_c' (W_ℓ)_cc'.

    The sum over c' is done in two matrix products: one for g^s, which each ℓ has for itself, and one for d ⊕ η, which
    all ℓ share. An ℓ that F^s does not have gets no dot products (in the first layer, F^0 has only ℓ = 0): its columns
    of the shared weights are zero.

    Parameters
    ----------
    edges : (L_edge+1, C, B, P) complex, g^s; in the first layer, an array without any ℓ
    features : ((L+1)², C, B, N) complex, F^s
    radial : (K, B, P) complex, η
    mask : (C, B, P) real, μ
    own_weights : (number of ℓ with g^s, C, C) complex
    shared_weights : ((L_sh+1) C, (L+1) C + K) complex

    Returns
    -------
    g^(s+1) : (L_sh+1, C, B, P) complex
    cache
    """
    xp = get_array_module(features)
    dots, duals = dot_products_forward(features)
    shared = xp.concatenate([dots, radial]).reshape(shared_weights.shape[1], -1)
    num_own, num_channels, num_pairs = len(own_weights), len(mask), mask[0].size
    own = edges[:num_own].reshape(num_own, num_channels, num_pairs)
    mixed = (shared_weights @ shared).reshape(-1, num_channels, num_pairs)
    mixed[:num_own] += own_weights @ own
    mask = mask.reshape(num_channels, num_pairs).astype(mixed.dtype)
    new_edges = (mixed * mask).reshape(-1, num_channels, *radial.shape[1:])
    return new_edges, (edges, own, shared, mask, mixed, own_weights, shared_weights, duals)


def edge_network_backward(d_new_edges, cache):
    """Gradients by g^s, F^s, η, μ and the weights.

    With g = μ e and e = W x, where x is the concatenation:

        de = μ dg,    dμ = Σ_ℓ Re( conj(e) dg ),    dW = de x†,    dx = W† de.
    """
    edges, own, shared, mask, mixed, own_weights, shared_weights, duals = cache
    xp = get_array_module(shared)
    pairs_shape = d_new_edges.shape[2:]
    d_new_edges = d_new_edges.reshape(mixed.shape)
    d_mask = (mixed.conj() * d_new_edges).real.sum(axis=0).reshape(-1, *pairs_shape)
    d_mixed = d_new_edges * mask

    num_own, d_own = len(own), d_mixed[: len(own)]
    d_own_weights = d_own @ own.conj().swapaxes(1, 2)
    d_edges = xp.zeros_like(edges)
    d_edges[:num_own] = (own_weights.conj().swapaxes(1, 2) @ d_own).reshape(d_edges[:num_own].shape)

    d_all = d_mixed.reshape(len(shared_weights), -1)
    d_shared_weights = d_all @ shared.conj().T
    d_shared = (shared_weights.conj().T @ d_all).reshape(len(shared), *pairs_shape)
    num_dots = num_l(duals) * len(mask)
    d_features = dot_products_backward(d_shared[:num_dots], duals)
    return d_edges, d_features, d_shared[num_dots:], d_mask, d_own_weights, d_shared_weights


def dot_products_forward(features):
    """Scalar products of all pairs of atoms, channel by channel (section 1.4.2, second item and footnote 1 under S2):

        d_ℓc,ij = Σ_m (-1)^m F_ℓmc,i F_ℓ-mc,j,

    up to a constant the Clebsch-Gordan product of F_i and F_j into ℓ = 0. It is the same for (i, j) and (j, i). For
    every ℓ it is a matrix product over m.

    Parameters
    ----------
    features : ((L+1)², C, B, N) complex

    Returns
    -------
    d : ((L+1) C, B, P) complex, channel fastest
    cache
    """
    xp = get_array_module(features)
    _, num_channels, num_molecules, num_atoms = features.shape
    duals = dual(features)
    dots = xp.empty((num_l(features), num_channels, num_molecules, num_atoms, num_atoms), dtype=features.dtype)
    for l in range(len(dots)):
        xp.matmul(duals[block(l)].transpose(1, 2, 3, 0), features[block(l)].transpose(1, 2, 0, 3), out=dots[l])
    dots = gather(dots)
    return dots.reshape(-1, *dots.shape[2:]), duals


def dot_products_backward(d_dots, duals):
    """Gradient by F. With the dual F̃_m = (-1)^m F_-m, d_ij = Σ_m F̃_mj F_mi = Σ_m F̃_mi F_mj, hence

        dF_mi = Σ_j≠i conj(F̃_mj) dd_ij + 2 conj(F̃_mi) dd_ii.
    """
    xp = get_array_module(duals)
    first, second, _ = pair_indices(duals.shape[-1], device_of(duals))
    twice = 1 + (first == second).astype(duals.real.dtype)
    d = spread((d_dots * twice).reshape(-1, *duals.shape[1:3], d_dots.shape[-1]))
    conjugate = duals.conj().transpose(1, 2, 0, 3)
    d_features = xp.empty_like(duals)
    for l in range(len(d)):
        xp.matmul(conjugate[:, :, block(l)], d[l], out=d_features[block(l)].transpose(1, 2, 0, 3))
    return d_features
