"""The parameters, arranged for the products of the network: once for a step, whatever the number of chunks.

Published parameters are one array for every layer and ℓ. Here those of a layer are put together, in real form where
the vertex network wants it, and what depends on distances alone is put together for all layers. It is a linear map; its
transpose leads gradients back to the published names.
"""

from cormorant_np.backend import device_of, get_array_module
from cormorant_np.clebsch_gordan import coupling, paths
from cormorant_np.real_form import real_matrix, real_matrix_backward

OF_ALL_LAYERS = ("radial.kappa", "radial.phi", "edge.cutoff", "edge.width")


def num_edge_columns(config, s, l):
    """Columns of layer s's edge weight W_ℓ (S2): C for g^s, (L+1) C for d, the radial functions."""
    c, l_in = config.num_channels, config.layer_l_max(s)
    own = c if l < num_edge_l(config, s) else 0
    dots = (l_in + 1) * c if l <= l_in else 0
    return own + dots + config.num_radial


def num_edge_l(config, s):
    """How many ℓ of layer s have edge scalars g^s from the layer before."""
    return min(config.l_max_sh[s - 1], config.l_max_sh[s]) + 1 if s > 0 else 0


def num_paths(config, s, l):
    """K_ℓ: the incoming SO(3)-vectors per channel of layer s's vertex weight W_ℓ (S5)."""
    l_in = config.layer_l_max(s)
    return len(paths(l, config.l_max_sh[s], l_in)) + len(paths(l, l_in, l_in)) + (l <= l_in)


def layer_coupling(config, s, like):
    """The `Coupling` of layer s, in the precision and on the device of the array `like`."""
    l_in, l_sh, l_out = config.layer_l_max(s), config.l_max_sh[s], config.l_max[s]
    return coupling(l_in, l_sh, l_out, config.vertex_order, like.real.dtype.name, device_of(like))


def arrange_forward(params, config):
    """Parameters in the arrangement of the products.

    Parameters
    ----------
    params : dict of all parameters

    Returns
    -------
    dict :
        "radial.kappa" and so on: those of `OF_ALL_LAYERS`, stacked over the layers
        "layers.s.own" (ℓ, C, C) and "layers.s.shared" (ℓ C, columns): layer s's edge weights for g^s and for d ⊕ η,
        zero where an ℓ has no d
        "layers.s.mix" (C, 2, Σ_ℓ K'_ℓ, 2, C): layer s's folded vertex weights, of all ℓ side by side, in real form
        and the parameters of input and output as they are
    """
    xp = get_array_module(next(iter(params.values())))
    layers = range(config.num_layers)
    arranged = {name: p for name, p in params.items() if not name.startswith("layers.")}
    for name in OF_ALL_LAYERS:
        arranged[name] = xp.stack([params[f"layers.{s}.{name}"] for s in layers])
    for s in layers:
        edge = [params[f"layers.{s}.edge.weight.{l}"] for l in range(config.l_max_sh[s] + 1)]
        vertex = [params[f"layers.{s}.vertex.weight.{l}"] for l in range(config.l_max[s] + 1)]
        arranged[f"layers.{s}.own"], arranged[f"layers.{s}.shared"] = _edge_matrices(edge, config, s)
        arranged[f"layers.{s}.mix"] = _mixing_matrices(vertex, layer_coupling(config, s, vertex[0]).fold)
    return arranged


def arrange_backward(d_arranged, config):
    """The transposed map: from gradients in this arrangement to those by the published parameters."""
    grads = {name: d for name, d in d_arranged.items() if name.split(".")[0] in ("input", "output")}
    for s in range(config.num_layers):
        grads |= {f"layers.{s}.{name}": d_arranged[name][s] for name in OF_ALL_LAYERS}
        d_own, d_shared = d_arranged[f"layers.{s}.own"], d_arranged[f"layers.{s}.shared"]
        d_edge = _edge_matrices_backward(d_own, d_shared, config, s)
        d_mix = d_arranged[f"layers.{s}.mix"]
        d_vertex = _mixing_matrices_backward(d_mix, layer_coupling(config, s, d_mix).fold)
        grads |= {f"layers.{s}.edge.weight.{l}": d for l, d in enumerate(d_edge)}
        grads |= {f"layers.{s}.vertex.weight.{l}": d for l, d in enumerate(d_vertex)}
    return grads


def _edge_matrices(weights, config, s):
    """The columns for g^s, and behind them those for d ⊕ η, of which some ℓ have η alone."""
    xp = get_array_module(weights[0])
    c, num_own = config.num_channels, num_edge_l(config, s)
    num_columns = (config.layer_l_max(s) + 1) * c + config.num_radial
    own = xp.empty((num_own, c, c), dtype=weights[0].dtype)
    shared = xp.zeros((len(weights), c, num_columns), dtype=weights[0].dtype)
    for l, weight in enumerate(weights):
        if l < num_own:
            own[l], weight = weight[:, :c], weight[:, c:]
        shared[l, :, num_columns - weight.shape[1] :] = weight
    return own, shared.reshape(-1, num_columns)


def _edge_matrices_backward(d_own, d_shared, config, s):
    xp = get_array_module(d_shared)
    d_shared = d_shared.reshape(config.l_max_sh[s] + 1, config.num_channels, -1)
    d_weights = []
    for l, d in enumerate(d_shared):
        own = [d_own[l]] if l < len(d_own) else []
        num_columns = num_edge_columns(config, s, l) - len(own) * config.num_channels
        d_weights.append(xp.concatenate([*own, d[:, d.shape[1] - num_columns :]], axis=1))
    return d_weights


def _mixing_matrices(weights, folds):
    """`fold` adds up the weights of those paths that are equal up to a sign, see `clebsch_gordan.coupling`."""
    xp = get_array_module(weights[0])
    folded = [fold @ w.reshape(len(w), fold.shape[1], -1) for w, fold in zip(weights, folds, strict=True)]
    return real_matrix(xp.concatenate(folded, axis=1), 0)


def _mixing_matrices_backward(d_matrices, folds):
    d_folded = real_matrix_backward(d_matrices, 0)
    d_weights, start = [], 0
    for fold in folds:
        d = fold.T @ d_folded[:, start : start + len(fold)]
        d_weights.append(d.reshape(len(d), -1))
        start += len(fold)
    return d_weights
