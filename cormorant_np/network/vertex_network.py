"""From edge scalars to SO(3)-vectors, and the vertex network (sections 1.4.3 and 1.4.4)."""

import math

from cormorant_np.backend import copy_rows, device_of, get_array_module
from cormorant_np.network.pairs import pairs_of, spread, spread_backward
from cormorant_np.network.real_form import join, real_matrix, split
from cormorant_np.so3_vector import block, l_of_rows, sum_over_m

COLUMNS = {"cpu": 640, "gpu": 1_000_000}
"""Before the mixing no channel knows of another: so few at a time that their rows of X have about so many numbers for
(channel, molecule, atom). X takes 2 MB then, see docs/performance.md. On a GPU, all at once."""


def vertex_network_forward(edges, harmonics, features, matrices, coupling, pairs, by_params=True):
    """New activations: aggregation, Clebsch-Gordan square and identity, concatenated and mixed (S4, S5):

        F_ℓ,i^(s+1) = W_ℓ ( Σ_j G_ij ⊗cg F_j  ⊕  F_i ⊗cg F_i  ⊕  F_i )_ℓ,    G_ij = g_ij^(s+1) Y(r̂_ij),

    which is `plain.edge_to_vertex_forward` and `plain.vertex_network_forward`, fast. The products come first and the
    coefficients after: X holds Σ_j G_p F_q, F and F_p F_q for all components p and q, one sparse matrix makes all paths
    Z of all (ℓ, m) from it, and one matrix product for every ℓ mixes them. X and Z are in real form (see `real_form`):
    their second axis has the real part and the imaginary part. Only the mixing joins channels: X and Z are made for a
    few of them at a time, and what each few give is added up.

    Parameters
    ----------
    edges : (L_sh+1, C, B, P) complex, g^(s+1)
    harmonics : (B, at least (L_sh+1)², N_i, N_j) complex, Y of every ordered pair, see `ordered_harmonics_forward`
    features : ((L+1)², C, B, N) complex, F^s
    matrices : (Σ_ℓ K'_ℓ, 2, C, 2, C_out) real, the folded W_ℓᵀ of all ℓ in real form, see `arrangement`
    coupling : Coupling of these L
    pairs : Pairs
    by_params : whether the gradient by the weights may be wanted; if not, Z is not kept

    Returns
    -------
    F^(s+1) : ((L_out+1)², C, B, N) complex
    cache
    """
    xp, mixed, caches = get_array_module(features), [], []
    edges = edges.transpose(1, 2, 0, 3)  # (C, B, L_sh+1, P)
    for part in _parts_of_channels(features):
        paths, paths_cache = paths_forward(edges[part], harmonics, features[:, part], coupling, pairs)
        of_part, mix_cache = mix_forward(paths, xp.ascontiguousarray(matrices[:, :, part]), coupling, by_params)
        mixed.append(of_part)
        caches.append((paths_cache, mix_cache))
    return join(sum(mixed[1:], mixed[0]), 1), caches


def vertex_network_backward(d_new_features, cache, by_params=True, by_positions=True):
    """Gradients by g^(s+1), the harmonics, F^s and the weights: the steps in reverse, for each part of the channels.

    Parameters
    ----------
    d_new_features : ((L_out+1)², C, B, N) complex
    by_params, by_positions : whether those by the weights and by the harmonics are wanted, else None

    Returns
    -------
    (L_sh+1, C, B, P) complex, one with the harmonics' shape, ((L+1)², C, B, N) complex, one with the weights' shape
    """
    xp, d_mixed = get_array_module(d_new_features), split(d_new_features, 1)  # (rows, 2, C_out, B, N)
    d_parts, d_harmonics = [], 0
    for paths_cache, mix_cache in cache:
        d_paths, d_matrices = mix_backward(d_mixed, mix_cache, by_params)
        d_edges, d_y, d_features = paths_backward(d_paths, paths_cache, by_positions)
        d_harmonics = d_harmonics + d_y if by_positions else None
        d_parts.append((d_edges, d_features, d_matrices))
    d_edges, d_features, d_matrices = zip(*d_parts, strict=True)
    d_matrices = xp.concatenate(d_matrices, axis=2) if by_params else None
    d_edges = xp.concatenate(d_edges).transpose(2, 0, 1, 3)  # (L_sh+1, C, B, P)
    return d_edges, d_harmonics, xp.concatenate(d_features, axis=1), d_matrices


def _parts_of_channels(features):
    num_channels, number = features.shape[1], round(features[0].size / COLUMNS[device_of(features)])
    step = math.ceil(num_channels / max(1, number))
    return [slice(start, start + step) for start in range(0, num_channels, step)]


def paths_forward(edges, harmonics, features, coupling, pairs):
    """All paths Z of some channels, before they are mixed.

    Parameters
    ----------
    edges : (C, B, L_sh+1, P) complex, g
    harmonics, features, coupling, pairs : as those of `vertex_network_forward`

    Returns
    -------
    Z : (rows (ℓ, m, path), 2, C, B, N) real
    cache
    """
    xp = get_array_module(features)
    products = xp.empty((coupling.matrix.shape[1], 2, *features.shape[1:]), dtype=features.real.dtype)
    aggregate, identity, square = _kinds_of_products(products, len(features))
    aggregate_cache = aggregate_forward(edges, harmonics, features, pairs, out=aggregate)
    split(features, 1, out=identity)
    split(square_forward(features), 1, out=square)
    return couple_forward(products, coupling), (aggregate_cache, features, coupling)


def paths_backward(d_paths, cache, by_positions=True):
    """Gradients by the edges, the harmonics (None unless wanted `by_positions`) and the features, which enter X thrice.

    Parameters
    ----------
    d_paths : (rows (ℓ, m, path), 2, C, B, N) real

    Returns
    -------
    (C, B, L_sh+1, P) complex, one with the harmonics' shape, ((L+1)², C, B, N) complex
    """
    aggregate_cache, features, coupling = cache
    d_products = couple_backward(d_paths, coupling)
    d_aggregate, d_identity, d_square = _kinds_of_products(d_products, len(features))
    d_edges, d_harmonics, d_aggregated = aggregate_backward(d_aggregate, aggregate_cache, by_positions)
    d_features = square_backward(join(d_square, 1), features)
    d_features += join(d_identity, 1)
    d_features += d_aggregated
    return d_edges, d_harmonics, d_features


def _kinds_of_products(products, num_in):
    """Views of X: Σ_j G_p F_q as (q, p, 2, C, B, N), then F, then F_p F_q with p ≤ q."""
    num_rest = num_in + num_in * (num_in + 1) // 2
    aggregate, rest = products[:-num_rest], products[-num_rest:]
    return aggregate.reshape(num_in, -1, *products.shape[1:]), rest[:num_in], rest[num_in:]


def edge_to_vertex_forward(g, y):
    """SO(3)-vectors of the weights ℓ ≤ L_sh for every pair of atoms (S3); `plain.edge_to_vertex_forward`, fast:

        G_ℓmc,ij = g_ℓc,ij Y_ℓm(r̂_ij).

    Parameters
    ----------
    g : (C, B, L_sh+1, N_i, N_j) complex
    y : (B, at least (L_sh+1)², N_i, N_j) complex, Y

    Returns
    -------
    (C, B, (L_sh+1)², N_i, N_j) complex
    """
    y = y[:, : g.shape[2] ** 2]
    vectors = _of_every_m(g, y)
    vectors *= y
    return vectors


def edge_to_vertex_backward(d_vectors, g, y, by_positions=True):
    """Gradients by g and Y (None unless wanted `by_positions`), each the conjugate of the other times that by G:

        dg_ℓ = Σ_m conj(Y_ℓm) dG_ℓm,    dY_ℓm = Σ_c conj(g_ℓc) dG_ℓmc.

    Parameters
    ----------
    d_vectors : (C, B, (L_sh+1)², N_i, N_j) complex; overwritten

    Returns
    -------
    two with the shapes of g and y
    """
    rows, d_y = slice(g.shape[2] ** 2), None
    if by_positions:
        products = _of_every_m(g.conj(), y[:, rows])
        products *= d_vectors
        d_y = get_array_module(y).zeros_like(y)
        products.sum(axis=0, out=d_y[:, rows])
    d_vectors *= y[:, rows].conj()
    return sum_over_m(d_vectors, axis=2), d_y


def _of_every_m(g, y):
    """g_ℓ for every (ℓ, m) of Y, (C, B, (L_sh+1)², N_i, N_j)."""
    return get_array_module(g).take(g, l_of_rows(y[0]), axis=2)


def aggregate_forward(edges, harmonics, features, pairs, out):
    """The sums over neighbours (S5, item 1), of which the coupling makes `plain.cg_product_forward(G, F)`:

        A_qp,i = Σ_{j∈N(i)} F_q,j G_p,ij    for all components p and q, G_p,ij of sender j and receiver i.

    For every channel and molecule it is one product of matrices, F Gᵀ with (q, j) and (j, p i). In real form, real and
    imaginary part of G are neighbours, as in memory, and Fᵀ is a real matrix of twice as many rows and columns. BLAS
    gets the transposes of both, which it multiplies faster than one of them.

    Parameters
    ----------
    edges : (C, B, L_sh+1, P) complex, g
    harmonics : (B, at least (L_sh+1)², N_i, N_j) complex, Y
    features : (Q, C, B, N) complex, F
    pairs : Pairs
    out : (Q, (L_sh+1)², 2, C, B, N) real, A, written

    Returns
    -------
    cache
    """
    vectors = _as_matrices(edge_to_vertex_forward(spread(edges, pairs), harmonics))
    senders = real_matrix(features.transpose(1, 2, 3, 0), 2)  # (C, B, N_j, 2, 2, Q)
    senders = senders.reshape(*senders.shape[:2], -1, 2 * len(features))  # (C, B, 2N_j, 2Q)
    sums = senders.swapaxes(2, 3) @ vectors.swapaxes(2, 3)  # (C, B, 2Q, (L_sh+1)² N_i)
    copy_rows(out, _by_component(sums, out))
    return edges, harmonics, senders, pairs


def aggregate_backward(d_out, cache, by_positions=True):
    """Gradients by g, Y (None unless wanted `by_positions`) and F. For A = F Gᵀ they go through

        dG = dAᵀ conj(F)    and    dF = dA conj(G) = conj( Re(dA) G - i Im(dA) G ).

    The first is a product in real form, where the transpose of the real matrix of Fᵀ stands for conj(F). For the
    second, Re(dA) and Im(dA) lie below each other. G is made anew: keeping it saves little and takes much memory.

    Parameters
    ----------
    d_out : (Q, (L_sh+1)², 2, C, B, N) real

    Returns
    -------
    (C, B, L_sh+1, P) complex, one with the harmonics' shape, (Q, C, B, N) complex
    """
    edges, harmonics, senders, pairs = cache
    xp, g = get_array_module(senders), spread(edges, pairs)  # (C, B, L_sh+1, N_i, N_j)
    num_q, num_p, _, *outside, num_atoms = d_out.shape
    d_sums = xp.empty((*outside, 2 * num_q, num_p * num_atoms), dtype=d_out.dtype)
    copy_rows(_by_component(d_sums, d_out), d_out)
    d_parts = d_sums @ _as_matrices(edge_to_vertex_forward(g, harmonics))  # (C, B, 2Q, 2N_j)
    d_parts = d_parts.view(g.dtype).reshape(*outside, 2, num_q, num_atoms)
    d_features = (d_parts[:, :, 0] - 1j * d_parts[:, :, 1]).conj().transpose(2, 0, 1, 3)  # (Q, C, B, N_j)
    d_vectors = d_sums.swapaxes(2, 3) @ senders.swapaxes(2, 3)  # (C, B, (L_sh+1)² N_i, 2N_j)
    d_vectors = d_vectors.view(g.dtype).reshape(*outside, num_p, num_atoms, num_atoms)
    d_g, d_harmonics = edge_to_vertex_backward(d_vectors, g, harmonics, by_positions)
    return spread_backward(d_g, pairs), d_harmonics, d_features


def _by_component(sums, products):
    """(C, B, 2Q, (L_sh+1)² N) with the axes of the products, (Q, (L_sh+1)², 2, C, B, N)."""
    num_q, num_p, *_, num_atoms = products.shape
    return sums.reshape(*sums.shape[:2], 2, num_q, num_p, num_atoms).transpose(3, 4, 2, 0, 1, 5)


def _as_matrices(vectors):
    """(C, B, (L_sh+1)², N_i, N_j) complex as (C, B, (L_sh+1)² N_i, 2N_j) real, both parts in turns."""
    return vectors.view(vectors.real.dtype).reshape(*vectors.shape[:2], -1, 2 * vectors.shape[-1])


def square_forward(features):
    """The products F_p F_q with p ≤ q (S5, item 2), of which the coupling makes `plain.cg_product_forward(F, F)`.

    Those with p = q come first.

    Parameters
    ----------
    features : (Q, C, B, N) complex

    Returns
    -------
    (Q (Q+1)/2, C, B, N) complex
    """
    xp, pairs = get_array_module(features), pairs_of(len(features), True, device_of(features))
    products = xp.take(features, pairs.first, axis=0)
    products *= xp.take(features, pairs.second, axis=0)
    return products


def square_backward(d_products, features):
    """dF_p = Σ_q≠p conj(F_q) d(F_p F_q) + 2 conj(F_p) d(F_p F_p): both factors of every product.

    Parameters
    ----------
    d_products : (Q (Q+1)/2, C, B, N) complex

    Returns
    -------
    (Q, C, B, N) complex
    """
    pairs, conjugate = pairs_of(len(features), True, device_of(features)), features.conj()
    d = d_products[pairs.numbers]  # (Q, Q, C, B, N)
    d *= conjugate
    return d.sum(axis=1) + conjugate * d_products[: pairs.num_own]


def couple_forward(products, coupling):
    """Z = M X: all Clebsch-Gordan products of the layer, from the products of components (S5).

    Parameters
    ----------
    products : (rows, 2, C, B, N) real, X

    Returns
    -------
    Z : (rows (ℓ, m, path), 2, C, B, N) real
    """
    return (coupling.matrix @ products.reshape(len(products), -1)).reshape(-1, *products.shape[1:])


def couple_backward(d_paths, coupling):
    """dX = Mᵀ dZ, (rows, 2, C, B, N) real from (rows (ℓ, m, path), 2, C, B, N) real."""
    return (coupling.transpose @ d_paths.reshape(len(d_paths), -1)).reshape(-1, *d_paths.shape[1:])


def mix_forward(paths, matrices, coupling, by_params=True):
    """F_ℓm = W_ℓ Z_ℓm for every (ℓ, m): the linear mixing of all paths and channels (S5), in real form.

    Parameters
    ----------
    paths : (rows (ℓ, m, path), 2, C, B, N) real, Z
    matrices : (Σ_ℓ K'_ℓ, 2, C, 2, C_out) real, the W_ℓᵀ below each other
    by_params : whether the gradient by the weights may be wanted; if not, Z is not kept

    Returns
    -------
    ((L_out+1)², 2, C_out, B, N) real
    cache
    """
    xp = get_array_module(paths)
    mixed = xp.empty((len(coupling.num_paths) ** 2, *matrices.shape[3:], *paths.shape[3:]), dtype=paths.dtype)
    for l, (matrix, z) in enumerate(_by_l(matrices, paths, coupling)):
        xp.matmul(matrix.T, z, out=mixed[block(l)].reshape(2 * l + 1, matrix.shape[1], -1))  # (m, 2 C_out, B N)
    return mixed, (paths if by_params else None, matrices, coupling)


def mix_backward(d_mixed, cache, by_params=True):
    """Gradients by the paths and the weights (None unless wanted `by_params`), in real form:

        dZ_ℓm = W_ℓᵀ dF_ℓm,    dW_ℓᵀ = Σ_m Z_ℓm dF_ℓmᵀ.

    Parameters
    ----------
    d_mixed : ((L_out+1)², 2, C_out, B, N) real

    Returns
    -------
    (rows (ℓ, m, path), 2, C, B, N) and (Σ_ℓ K'_ℓ, 2, C, 2, C_out) real
    """
    paths, matrices, coupling = cache
    xp, shape = get_array_module(matrices), (coupling.matrix.shape[0], *matrices.shape[1:3], *d_mixed.shape[3:])
    d_paths = xp.empty(shape, dtype=d_mixed.dtype)
    d_mixed = d_mixed.reshape(len(d_mixed), matrices.shape[3] * matrices.shape[4], -1)  # ((L_out+1)², 2 C_out, B N)
    for l, (matrix, d_z) in enumerate(_by_l(matrices, d_paths, coupling)):
        xp.matmul(matrix, d_mixed[block(l)], out=d_z)
    if not by_params:
        return d_paths, None
    d_matrices = xp.empty_like(matrices)
    d_transposed = xp.ascontiguousarray(d_mixed.swapaxes(1, 2))
    for l, (d_matrix, z) in enumerate(_by_l(d_matrices, paths, coupling)):
        (z @ d_transposed[block(l)]).sum(axis=0, out=d_matrix)
    return d_paths, d_matrices


def _by_l(matrices, paths, coupling):
    """For each ℓ, views of W_ℓᵀ, (K'_ℓ 2 C, 2 C_out), and of Z_ℓ, (2ℓ+1, K'_ℓ 2 C, B N)."""
    matrices = matrices.reshape(-1, matrices.shape[3] * matrices.shape[4])  # (Σ_ℓ K'_ℓ 2 C, 2 C_out)
    start, row = 0, 0
    for l, num_paths in enumerate(coupling.num_paths):
        size, end = num_paths * 2 * paths.shape[2], row + (2 * l + 1) * num_paths
        yield matrices[start : start + size], paths[row:end].reshape(2 * l + 1, size, -1)
        start, row = start + size, end
