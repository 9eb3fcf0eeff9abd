"""From edge scalars to SO(3)-vectors, and the vertex network (sections 1.4.3 and 1.4.4)."""

from cormorant_np.backend import get_array_module
from cormorant_np.clebsch_gordan import block


def edge_to_vertex_forward(edges, harmonics):
    """An SO(3)-vector for every pair of atoms (S3, whose right-hand side means the new edges g^(s+1)):

        G_ℓmc,ij = g_ℓc,ij Y_ℓm(r̂_ij).

    Parameters
    ----------
    edges : (L_sh+1, C, B, N_j, N_i) complex, g^(s+1)
    harmonics : at least ((L_sh+1)², B, N_j, N_i) complex

    Returns
    -------
    G : ((L_sh+1)², C, B, N_j, N_i) complex
    cache
    """
    xp = get_array_module(edges)
    pairs = xp.empty((len(edges) ** 2, *edges.shape[1:]), dtype=edges.dtype)
    for l in range(len(edges)):
        xp.multiply(edges[l], harmonics[block(l), None], out=pairs[block(l)])
    return pairs, (edges, harmonics)


def edge_to_vertex_backward(d_pairs, cache):
    """Gradients of a product:  dg_ℓ = Σ_m conj(Y_ℓm) dG_ℓm  and  dY_ℓm = Σ_c conj(g_ℓc) dG_ℓmc."""
    edges, harmonics = cache
    xp = get_array_module(edges)
    d_edges = xp.empty_like(edges)
    d_harmonics = xp.zeros_like(harmonics)
    conj_edges, conj_harmonics = edges.conj(), harmonics.conj()
    for l in range(len(edges)):
        d = d_pairs[block(l)]
        (conj_harmonics[block(l), None] * d).sum(axis=0, out=d_edges[l])
        (conj_edges[l] * d).sum(axis=1, out=d_harmonics[block(l)])
    return d_edges, d_harmonics


def vertex_network_forward(pairs, features, weights, coupling):
    """New activations: aggregation, Clebsch-Gordan square and identity, concatenated and mixed (S4, S5):

        F_ℓ,i^(s+1) = ( Σ_j G_ij ⊗cg F_j  ⊕  F_i ⊗cg F_i  ⊕  F_i )_ℓ W_ℓ.

    The products come first and the coefficients after: X holds Σ_j G_p F_q, F and F_p F_q for all components p and q,
    one sparse matrix makes all paths Z of all (ℓ, m) from it, and one matrix product for every ℓ mixes them.

    Parameters
    ----------
    pairs : ((L_sh+1)², C, B, N_j, N_i) complex, G
    features : ((L+1)², C, B, N) complex, F^s
    weights : for each ℓ, W_ℓ of shape (C, K_ℓ C), complex; columns ordered (path, channel)
    coupling : Coupling of these L

    Returns
    -------
    F^(s+1) : ((L_out+1)², C, B, N) complex
    cache
    """
    xp = get_array_module(features)
    products = xp.empty((coupling.matrix.shape[1], *features.shape[1:]), dtype=features.dtype)
    aggregate, identity, square = _parts(products, pairs, features)
    aggregate_forward(pairs, features, out=aggregate)
    identity[...] = features
    square_forward(features, out=square)
    paths = couple_forward(products, coupling)
    new_features, mix_cache = mix_forward(paths, weights, coupling)
    return new_features, (pairs, features, coupling, mix_cache)


def vertex_network_backward(d_new_features, cache):
    """Gradients by G, F^s and the weights: the steps of the forward pass in reverse; F^s has three consumers."""
    pairs, features, coupling, mix_cache = cache
    d_paths, d_weights = mix_backward(d_new_features, mix_cache)
    d_products = couple_backward(d_paths, coupling)
    d_aggregate, d_identity, d_square = _parts(d_products, pairs, features)
    d_pairs, d_features = aggregate_backward(d_aggregate, pairs, features)
    d_features += d_identity
    d_features += square_backward(d_square, features)
    return d_pairs, d_features, d_weights


def _parts(products, pairs, features):
    """Views of X: Σ_j G_p F_q as (p, q, C, B, N), then F, then F_p F_q with p ≤ q."""
    num_in, num_sh = len(features), len(pairs)
    aggregate, rest = products[: num_sh * num_in], products[num_sh * num_in :]
    return aggregate.reshape(num_sh, num_in, *features.shape[1:]), rest[:num_in], rest[num_in:]


def couple_forward(products, coupling):
    """Z = M X: all Clebsch-Gordan products of the layer, from the products of components (S5).

    The matrix M of the coefficients is real, so that it acts on the real numbers of which complex arrays are made.

    Parameters
    ----------
    products : (rows, C, B, N) complex, X

    Returns
    -------
    Z : (rows (ℓ, m, path), C, B, N) complex
    """
    return _sparse_matmul(coupling.matrix, products)


def couple_backward(d_paths, coupling):
    """dX = Mᵀ dZ."""
    return _sparse_matmul(coupling.transpose, d_paths)


def _sparse_matmul(matrix, x):
    rows = matrix @ x.reshape(len(x), -1).view(x.real.dtype)
    return rows.view(x.dtype).reshape(-1, *x.shape[1:])


def aggregate_forward(pairs, features, out):
    """out_pq,i = Σ_{j∈N(i)} G_p,ij F_q,j: for every p, channel and molecule, (q, j) @ (j, i) (S5, item 1).

    Parameters
    ----------
    pairs : (P, C, B, N_j, N_i) complex
    features : (Q, C, B, N) complex
    out : (P, Q, C, B, N) complex, written
    """
    xp = get_array_module(features)
    f, g = features.transpose(1, 2, 0, 3)[:, :, None], pairs.transpose(1, 2, 0, 3, 4)
    xp.matmul(f, g, out=out.transpose(2, 3, 0, 1, 4))


def aggregate_backward(d_out, pairs, features):
    """dG_p,ij = Σ_q conj(F_q,j) dA_pq,i  and  dF_q,j = Σ_p Σ_i dA_pq,i conj(G_p,ij)."""
    xp = get_array_module(features)
    d = d_out.transpose(2, 3, 0, 1, 4)
    d_pairs = xp.empty_like(pairs)
    xp.matmul(features.conj().transpose(1, 2, 3, 0)[:, :, None], d, out=d_pairs.transpose(1, 2, 0, 3, 4))
    d_features = xp.matmul(d, pairs.conj().transpose(1, 2, 0, 4, 3)).sum(axis=2)
    return d_pairs, xp.ascontiguousarray(d_features.transpose(2, 0, 1, 3))


def square_forward(features, out):
    """The products F_p F_q with p ≤ q, row by row (S5, item 2).

    Parameters
    ----------
    features : (Q, C, B, N) complex
    out : (Q (Q+1)/2, C, B, N) complex, written
    """
    xp = get_array_module(features)
    row = 0
    for p in range(len(features)):
        xp.multiply(features[p], features[p:], out=out[row : row + len(features) - p])
        row += len(features) - p


def square_backward(d_out, features):
    """dF_p = Σ_q≥p conj(F_q) d(F_p F_q) and dF_q = Σ_p≤q conj(F_p) d(F_p F_q): both factors, also when p = q."""
    xp = get_array_module(features)
    conjugate = features.conj()
    d_features = xp.zeros_like(features)
    row = 0
    for p in range(len(features)):
        d = d_out[row : row + len(features) - p]
        d_features[p] += (conjugate[p:] * d).sum(axis=0)
        d_features[p:] += conjugate[p] * d
        row += len(features) - p
    return d_features


def mix_forward(paths, weights, coupling):
    """F_ℓm = W_ℓ Z_ℓm for every (ℓ, m): the linear mixing of all paths and channels (S5).

    `coupling.fold` first adds up the weights of those paths that are equal up to a sign, see `clebsch_gordan.coupling`.

    Parameters
    ----------
    paths : (rows (ℓ, m, path), C, B, N) complex, Z
    weights : for each ℓ, (C_out, K_ℓ C) complex

    Returns
    -------
    ((L_out+1)², C_out, B, N) complex
    cache
    """
    xp = get_array_module(paths)
    folded = [_fold(weight, fold) for weight, fold in zip(weights, coupling.fold, strict=True)]
    mixed = xp.empty((len(weights) ** 2, len(weights[0]), *paths.shape[2:]), dtype=paths.dtype)
    for l, (weight, z) in enumerate(zip(folded, _by_l(paths, coupling), strict=True)):
        xp.matmul(weight, z, out=mixed[block(l)].reshape(2 * l + 1, len(weight), -1))
    return mixed, (paths, folded, coupling)


def mix_backward(d_mixed, cache):
    """dW_ℓ = Σ_m dF_ℓm Z_ℓm† and dZ_ℓm = W_ℓ† dF_ℓm; the fold, a real matrix, is undone by its transpose."""
    paths, folded, coupling = cache
    xp = get_array_module(paths)
    d_paths = xp.empty_like(paths)
    d_weights = []
    layers = zip(folded, coupling.fold, _by_l(paths, coupling), _by_l(d_paths, coupling), strict=True)
    for l, (weight, fold, z, dz) in enumerate(layers):
        d = d_mixed[block(l)].reshape(2 * l + 1, len(weight), -1)
        xp.matmul(weight.conj().T, d, out=dz)
        d_weights.append(_fold(xp.matmul(d, z.conj().swapaxes(1, 2)).sum(axis=0), fold.T))
    return d_paths, d_weights


def _by_l(paths, coupling):
    """Views of Z for each ℓ, (2ℓ+1, K'_ℓ C, B N)."""
    num_channels, num_atoms = paths.shape[1], paths.shape[2] * paths.shape[3]
    views, row = [], 0
    for l, num_paths in enumerate(coupling.num_paths):
        rows = (2 * l + 1) * num_paths
        views.append(paths[row : row + rows].reshape(2 * l + 1, num_paths * num_channels, num_atoms))
        row += rows
    return views


def _fold(weight, fold):
    """(C_out, K C) → (C_out, K' C): every output's paths, recombined by the real matrix `fold` (K', K)."""
    num_folded, num_paths = fold.shape
    num_channels = weight.shape[1] // max(num_paths, 1)
    by_path = weight.reshape(len(weight), num_paths, num_channels)
    return (fold @ by_path).reshape(len(weight), num_folded * num_channels)
