"""From edge scalars to SO(3)-vectors, and the vertex network (sections 1.4.3 and 1.4.4)."""

from cormorant_np.backend import device_of, get_array_module
from cormorant_np.pairs import pair_indices, spread, spread_backward
from cormorant_np.real_form import join, real_matrix, real_matrix_backward, split
from cormorant_np.so3_vector import block, parity


def vertex_network_forward(edges, directions, features, matrices, coupling):
    """New activations: aggregation, Clebsch-Gordan square and identity, concatenated and mixed (S4, S5):

        F_ℓ,i^(s+1) = ( Σ_j G_ij ⊗cg F_j  ⊕  F_i ⊗cg F_i  ⊕  F_i )_ℓ W_ℓ,    G_ij = g_ij^(s+1) Y(r̂_ij).

    The products come first and the coefficients after: X holds Σ_j G_p F_q, F and F_p F_q for all components p and q,
    one sparse matrix makes all paths Z of all (ℓ, m) from it, and one matrix product for every ℓ mixes them. X and Z
    are in real form (see `real_form`): their second axis has the real part and the imaginary part.

    Parameters
    ----------
    edges : (L_sh+1, C, B, P) complex, g^(s+1)
    directions : the harmonics as `directions_forward` gives them, with at least (L_sh+1)² rows
    features : ((L+1)², C, B, N) complex, F^s
    matrices : (C, 2, Σ_ℓ K'_ℓ, 2, C) real, the folded W_ℓ of all ℓ in real form, see `weights`
    coupling : Coupling of these L

    Returns
    -------
    F^(s+1) : ((L_out+1)², C, B, N) complex
    cache
    """
    xp = get_array_module(features)
    products = xp.empty((coupling.matrix.shape[1], 2, *features.shape[1:]), dtype=features.real.dtype)
    pairs, pairs_cache = edge_to_vertex_forward(edges, directions)
    aggregate, identity, square = _parts(products, len(pairs), len(features))
    senders = aggregate_forward(pairs, features, out=aggregate)
    split(features, 1, out=identity)
    split(square_forward(features), 1, out=square)
    paths = couple_forward(products, coupling)
    new_features, mix_cache = mix_forward(paths, matrices, coupling)
    return new_features, (pairs, pairs_cache, senders, features, coupling, mix_cache)


def vertex_network_backward(d_new_features, cache, positions=True):
    """Gradients by g^(s+1), the directions (None without `positions`), F^s and the weights: the steps in reverse.

    F^s has three consumers.
    """
    pairs, pairs_cache, senders, features, coupling, mix_cache = cache
    d_paths, d_matrices = mix_backward(d_new_features, mix_cache)
    d_products = couple_backward(d_paths, coupling)
    d_aggregate, d_identity, d_square = _parts(d_products, len(pairs), len(features))
    d_pairs, d_features = aggregate_backward(d_aggregate, pairs, senders)
    d_edges, d_directions = edge_to_vertex_backward(d_pairs, pairs_cache, positions)
    d_features += join(d_identity, 1)
    d_features += square_backward(join(d_square, 1), features)
    return d_edges, d_directions, d_features, d_matrices


def _parts(products, num_sh, num_in):
    """Views of X: Σ_j G_p F_q as (p, q, 2, C, B, N), then F, then F_p F_q with p ≤ q."""
    aggregate, rest = products[: num_sh * num_in], products[num_sh * num_in :]
    return aggregate.reshape(num_sh, num_in, *products.shape[1:]), rest[:num_in], rest[num_in:]


def directions_forward(harmonics):
    """The harmonics of all ordered pairs, in real form, made once for all layers.

    Pairs have Y_ℓ(r̂_ij) for j ≤ i; the other order has Y_ℓ(-r̂) = (-1)^ℓ Y_ℓ(r̂), and an atom and itself no odd ℓ.

    Parameters
    ----------
    harmonics : ((L+1)², B, P) complex

    Returns
    -------
    (2, (L+1)², B, 2, N_j, N_i) real : Re Y and Im Y, each twice, since both parts of g are multiplied by either
    """
    parts = spread(split(harmonics, 0))
    parts *= _order_signs(parts[0])
    return get_array_module(parts).stack([parts, parts], axis=3)


def directions_backward(d_directions):
    """Of the two copies, the two orders and the two parts."""
    d_parts = d_directions.sum(axis=3)
    d_parts *= _order_signs(d_parts[0])
    return join(spread_backward(d_parts), 0)


def _order_signs(parts):
    """What turns Y_ℓ of j ≤ i into that of (j, i), ((L+1)², 1, N_j, N_i): 1, (-1)^ℓ, or for j = i their mean."""
    xp = get_array_module(parts)
    upper = xp.tri(parts.shape[-1], dtype=parts.dtype).T
    upper -= xp.eye(len(upper), dtype=parts.dtype) / 2
    return (upper + parity(parts)[:, None, None] * upper.T)[:, None]


def edge_to_vertex_forward(edges, directions):
    """SO(3)-vectors for every pair of atoms (S3, whose right-hand side means the new edges g^(s+1)):

        G_ℓmc,ij = g_ℓc,ij Y_ℓm(r̂_ij) = g Re Y + (i g) Im Y.

    Parameters
    ----------
    edges : (L_sh+1, C, B, P) complex, g
    directions : (2, at least (L_sh+1)², B, 2, N_j, N_i) real, Re Y and Im Y

    Returns
    -------
    ((L_sh+1)², C, B, 2, N_j, N_i) real, G in real form
    cache
    """
    xp = get_array_module(edges)
    g = split(spread(edges), 3)
    i_g = xp.stack([-g[:, :, :, 1], g[:, :, :, 0]], axis=3)
    pairs = xp.empty((len(edges) ** 2, *g.shape[1:]), dtype=g.dtype)
    for l in range(len(edges)):
        rows = block(l)
        xp.multiply(g[l], directions[0, rows][:, None], out=pairs[rows])
        pairs[rows] += i_g[l] * directions[1, rows][:, None]
    return pairs, (g, i_g, directions)


def edge_to_vertex_backward(d_pairs, cache, positions=True):
    """The gradients of the products by g and i g, and, if the `positions` are wanted, by Re Y and Im Y."""
    g, i_g, directions = cache
    xp = get_array_module(d_pairs)
    d, flat = d_pairs.reshape(*d_pairs.shape[:3], -1), (*g.shape[:3], -1)
    y = directions.reshape(*directions.shape[:3], -1)
    d_g = xp.empty((2, *d[: len(g)].shape), dtype=d.dtype)
    d_directions = xp.zeros_like(y) if positions else None
    for l in range(len(g)):
        rows = block(l)
        d_g[:, l] = xp.einsum("rmbx,mcbx->rcbx", y[:, rows], d[rows])
        if positions:
            d_directions[0, rows] = xp.einsum("cbx,mcbx->mbx", g.reshape(flat)[l], d[rows])
            d_directions[1, rows] = xp.einsum("cbx,mcbx->mbx", i_g.reshape(flat)[l], d[rows])
    columns = d_g.reshape(2, *g.shape).transpose(1, 2, 3, 4, 5, 0, 6)  # g and i g are the columns of g's real matrix
    d_edges = spread_backward(real_matrix_backward(columns, 2))
    return d_edges, d_directions.reshape(directions.shape) if positions else None


def aggregate_forward(pairs, features, out):
    """Σ_{j∈N(i)} G_p,ij F_q,j for all components p and q (S5, item 1).

    For every p, channel and molecule it is a product of matrices, F G with (q, j) and (j, i). In real form, G has its
    real part above its imaginary part, and F is a real matrix of twice as many rows and columns.

    Parameters
    ----------
    pairs : (P, C, B, 2, N_j, N_i) real
    features : (Q, C, B, N) complex
    out : (P, Q, 2, C, B, N) real, written

    Returns
    -------
    F as real matrices, (C, B, 2Q, 2N_j)
    """
    xp = get_array_module(features)
    senders = real_matrix(features.transpose(1, 2, 0, 3), 2)
    senders = senders.reshape(*senders.shape[:2], 2 * len(features), -1)
    xp.matmul(senders, pairs.reshape(*pairs.shape[:3], -1, pairs.shape[-1]), out=_by_receiver(out))
    return senders


def aggregate_backward(d_out, pairs, senders):
    """Gradients by G and F:  dG_p = F† dA_p  and  dF = Σ_p dA_p G_p†  for A_p = F G_p.

    In real form F† is the transposed matrix. So is G†: but since g is symmetric and Y has a parity, G_p is its own
    transpose up to the sign (-1)^ℓ, and needs no copy.
    """
    xp = get_array_module(senders)
    d = _by_receiver(d_out)
    d_pairs = xp.matmul(xp.ascontiguousarray(senders.swapaxes(2, 3)), d).reshape(pairs.shape)
    by_component = d[:, :, :, None] @ pairs
    d_senders = parity(pairs) @ by_component.reshape(len(pairs), -1)
    d_senders = d_senders.reshape(*pairs.shape[1:4], -1, 2, pairs.shape[-1])
    return d_pairs, real_matrix_backward(d_senders.transpose(3, 4, 0, 1, 2, 5), 0)


def _by_receiver(products):
    """(P, Q, 2, C, B, N_i) as matrices, (P, C, B, 2Q, N_i)."""
    return products.reshape(len(products), -1, *products.shape[3:]).transpose(0, 2, 3, 1, 4)


def square_forward(features):
    """The products F_p F_q with p ≤ q, row by row (S5, item 2).

    Parameters
    ----------
    features : (Q, C, B, N) complex

    Returns
    -------
    (Q (Q+1)/2, C, B, N) complex
    """
    first, second, _ = pair_indices(len(features), device_of(features))
    return features[first] * features[second]


def square_backward(d_products, features):
    """dF_p = Σ_q≠p conj(F_q) d(F_p F_q) + 2 conj(F_p) d(F_p F_p): both factors of every product."""
    _, _, numbers = pair_indices(len(features), device_of(features))
    conjugate = features.conj()
    d = d_products[numbers]
    d *= conjugate
    return d.sum(axis=1) + conjugate * d_products[numbers.diagonal()]


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
    """dX = Mᵀ dZ."""
    return (coupling.transpose @ d_paths.reshape(len(d_paths), -1)).reshape(-1, *d_paths.shape[1:])


def mix_forward(paths, matrices, coupling):
    """F_ℓm = W_ℓ Z_ℓm for every (ℓ, m): the linear mixing of all paths and channels (S5), in real form.

    Parameters
    ----------
    paths : (rows (ℓ, m, path), 2, C, B, N) real, Z
    matrices : (C_out, 2, Σ_ℓ K'_ℓ, 2, C) real, the W_ℓ side by side

    Returns
    -------
    ((L_out+1)², C_out, B, N) complex
    cache
    """
    xp = get_array_module(paths)
    mixed = xp.empty((len(coupling.num_paths) ** 2, len(matrices), 2, *paths.shape[3:]), dtype=paths.dtype)
    for l, (matrix, z) in enumerate(_by_l(matrices, paths, coupling)):
        xp.matmul(matrix, z, out=mixed[block(l)].reshape(2 * l + 1, len(matrix), -1))
    return join(mixed, 2), (paths, matrices, coupling)


def mix_backward(d_mixed, cache):
    """dZ_ℓm = W_ℓᵀ dF_ℓm  and  dW_ℓ = Σ_m dF_ℓm Z_ℓmᵀ, in real form."""
    paths, matrices, coupling = cache
    xp = get_array_module(paths)
    d_paths, d_matrices = xp.empty_like(paths), xp.empty_like(matrices)
    d_real = split(d_mixed, 2)
    views = zip(_by_l(matrices, paths, coupling), _by_l(d_matrices, d_paths, coupling), strict=True)
    for l, ((matrix, z), (d_matrix, d_z)) in enumerate(views):
        d = d_real[block(l)].reshape(2 * l + 1, len(matrix), -1)
        xp.matmul(matrix.T, d, out=d_z)
        d_matrix[...] = (z @ d.swapaxes(1, 2)).sum(axis=0).T
    return d_paths, d_matrices


def _by_l(matrices, paths, coupling):
    """For each ℓ, views of W_ℓ, (2 C_out, K'_ℓ 2 C), and of Z_ℓ, (2ℓ+1, K'_ℓ 2 C, B N)."""
    columns = 2 * matrices.shape[-1]
    matrices = matrices.reshape(2 * len(matrices), -1)
    start, row = 0, 0
    for l, num_paths in enumerate(coupling.num_paths):
        stop, end = start + num_paths * columns, row + (2 * l + 1) * num_paths
        yield matrices[:, start:stop], paths[row:end].reshape(2 * l + 1, num_paths * columns, -1)
        start, row = stop, end
