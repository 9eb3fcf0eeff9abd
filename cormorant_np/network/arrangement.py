"""The parameters, arranged for the products of the network.

Published parameters are one array for every layer and ℓ. Here those of a layer are put together, in real form where
the vertex network wants it, and what depends on distances alone is put together for all layers. It is a linear map; its
transpose leads gradients back to the published names.
"""

from cormorant_np.backend import device_of, get_array_module
from cormorant_np.network.coupling import coupling
from cormorant_np.network.parameters import layout, num_edge_columns, num_edge_l
from cormorant_np.network.real_form import real_matrix, real_matrix_backward

OF_ALL_LAYERS = ("radial.kappa", "radial.phi", "edge.cutoff", "edge.width")


def layer_coupling(config, s, x):
    """The `Coupling` of layer s, in the precision and on the device of the array x."""
    l_in, l_sh, l_out = config.layer_l_max(s), config.l_max_sh[s], config.l_max[s]
    return coupling(l_in, l_sh, l_out, config.vertex_order, x.real.dtype, device_of(x))


def arrange_forward(params, config):
    """Parameters in the arrangement of the products.

    Parameters
    ----------
    params : dict of all parameters

    Returns
    -------
    dict :
        "radial.kappa" and so on: those of `OF_ALL_LAYERS`, stacked over the layers
        "layers.s.edge_g" (ℓ, C, C) and "layers.s.edge_d_eta" (ℓ C, (L+1) C + K): the columns of layer s's edge weights
        that multiply g^s, and those that multiply d ⊕ η, zero where an ℓ has no d
        "layers.s.vertex" (Σ_ℓ K'_ℓ, 2, C, 2, C): layer s's folded vertex weights, transposed, of all ℓ below each
        other, in real form
        and the parameters of input and output as they are
    """
    xp = get_array_module(next(iter(params.values())))
    layers = range(config.num_layers)
    arranged = {name: p for name, p in params.items() if not name.startswith("layers.")}
    for name in OF_ALL_LAYERS:
        arranged[name] = xp.stack([params[f"layers.{s}.{name}"] for s in layers])  # (S, ...)
    for s in layers:
        edge = [params[f"layers.{s}.edge.weight.{l}"] for l in range(config.l_max_sh[s] + 1)]
        vertex = [params[f"layers.{s}.vertex.weight.{l}"] for l in range(config.l_max[s] + 1)]
        arranged[f"layers.{s}.edge_g"], arranged[f"layers.{s}.edge_d_eta"] = _edge_matrices(edge, config, s)
        arranged[f"layers.{s}.vertex"] = _vertex_matrices(vertex, layer_coupling(config, s, vertex[0]).fold)
    return arranged


def arrange_backward(d_arranged, config):
    """The transposed map: from gradients in this arrangement to those by the published parameters.

    Parameters
    ----------
    d_arranged : dict with the names and shapes of `arrange_forward`

    Returns
    -------
    dict with the names and shapes of the parameters, in the order of `layout`
    """
    grads = {name: d for name, d in d_arranged.items() if name.split(".")[0] in ("input", "output")}
    for s in range(config.num_layers):
        grads |= {f"layers.{s}.{name}": d_arranged[name][s] for name in OF_ALL_LAYERS}
        d_g, d_d_eta = d_arranged[f"layers.{s}.edge_g"], d_arranged[f"layers.{s}.edge_d_eta"]
        d_edge = _edge_matrices_backward(d_g, d_d_eta, config, s)
        d_vertex = d_arranged[f"layers.{s}.vertex"]
        d_vertex = _vertex_matrices_backward(d_vertex, layer_coupling(config, s, d_vertex).fold)
        grads |= {f"layers.{s}.edge.weight.{l}": d for l, d in enumerate(d_edge)}
        grads |= {f"layers.{s}.vertex.weight.{l}": d for l, d in enumerate(d_vertex)}
    return {name: grads[name] for name in layout(config)}


def _edge_matrices(weights, config, s):
    """From (C, columns) of every ℓ: the columns for g^s, and behind them those for d ⊕ η; some ℓ have η alone."""
    xp = get_array_module(weights[0])
    c, num_l_g = config.num_channels, num_edge_l(config, s)
    num_columns = (config.layer_l_max(s) + 1) * c + config.num_radial
    of_g = xp.empty((num_l_g, c, c), dtype=weights[0].dtype)
    of_d_eta = xp.zeros((len(weights), c, num_columns), dtype=weights[0].dtype)
    for l, weight in enumerate(weights):
        if l < num_l_g:
            of_g[l], weight = weight[:, :c], weight[:, c:]
        of_d_eta[l, :, num_columns - weight.shape[1] :] = weight
    return of_g, of_d_eta.reshape(-1, num_columns)  # (ℓ, C, C), (ℓ C, (L+1) C + K)


def _edge_matrices_backward(d_of_g, d_of_d_eta, config, s):
    """For every ℓ, (C, columns): the columns that were taken from its weight."""
    xp = get_array_module(d_of_d_eta)
    d_of_d_eta = d_of_d_eta.reshape(config.l_max_sh[s] + 1, config.num_channels, -1)  # (ℓ, C, (L+1) C + K)
    d_weights = []
    for l, d in enumerate(d_of_d_eta):
        d_g = [d_of_g[l]] if l < len(d_of_g) else []
        num_columns = num_edge_columns(config, s, l) - len(d_g) * config.num_channels
        d_weights.append(xp.concatenate([*d_g, d[:, d.shape[1] - num_columns :]], axis=1))
    return d_weights


def _vertex_matrices(weights, folds):
    """The folded Wᵀ of all ℓ in real form, (Σ K'_ℓ, 2, C, 2, C_out).

    `fold` adds up the weights of those paths that are equal up to a sign, see `coupling.different_paths`.
    """
    xp, num_channels, folded = get_array_module(weights[0]), len(weights[0]), []
    for w, fold in zip(weights, folds, strict=True):
        transposed = w.T.reshape(fold.shape[1], -1)  # (K_ℓ, C C_out)
        folded.append((fold @ transposed.view(w.real.dtype)).view(w.dtype))
    return real_matrix(xp.concatenate(folded).reshape(-1, num_channels, num_channels), 0)


def _vertex_matrices_backward(d_matrices, folds):
    """For every ℓ, (C_out, K_ℓ C): back from the real form, then the transpose of the fold."""
    d_folded = real_matrix_backward(d_matrices)  # (Σ K'_ℓ, C, C_out)
    d_parts, d_weights, start = d_folded.view(d_matrices.dtype).reshape(len(d_folded), -1), [], 0
    for fold in folds:
        d = fold.T @ d_parts[start : start + len(fold)]  # (K_ℓ, C 2C_out)
        d_weights.append(d.view(d_folded.dtype).reshape(-1, d_folded.shape[2]).T)
        start += len(fold)
    return d_weights
