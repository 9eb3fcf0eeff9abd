"""The whole network (S1): parameters, forward, backward, energies and forces."""

from typing import NamedTuple

import numpy as np

from cormorant_np.backend import device_of, get_array_module
from cormorant_np.clebsch_gordan import coupling, paths
from cormorant_np.edge_network import edge_network_backward, edge_network_forward
from cormorant_np.geometry import geometry_backward, geometry_forward
from cormorant_np.input_network import input_network_backward, input_network_forward
from cormorant_np.output_network import (
    invariants_backward,
    invariants_forward,
    output_network_backward,
    output_network_forward,
)
from cormorant_np.radial import mask_backward, mask_forward, radial_backward, radial_forward
from cormorant_np.vertex_network import (
    edge_to_vertex_backward,
    edge_to_vertex_forward,
    vertex_network_backward,
    vertex_network_forward,
)

START_CUTOFF, START_WIDTH = 1.73, 0.2  # Å, as in the released code


def init_params(config, rng, dtype=np.float32):
    """Random parameters, a flat dict of arrays on the host.

    Weights of Clebsch-Gordan layers start as section 1.6 says, with g = `config.gain`:

        W_ℓ ~ U(-1, 1) g / (τ_in + τ_out),    τ_in and τ_out the numbers of incoming and outgoing channels,

    real and imaginary part alike, in vertex and edge networks. With `released_initialisation`, vertex weights are
    U(-1, 1) g / max(τ_in, τ_out) and edge weights N(0, 1) / max(τ_in, τ_out). The linear input and output start
    uniformly in ±1/sqrt(columns). The supplement is silent on these, and on the radial functions and cutoffs, which
    start as in the released code.

    Parameters
    ----------
    config : Config
    rng : numpy.random.Generator
    dtype : of the real numbers, float32 or float64
    """
    params = _init_input(config, rng)
    for s in range(config.num_layers):
        params |= _init_layer(config, s, rng)
    params |= _init_output(config, rng)
    complex_dtype = np.result_type(dtype, np.complex64)
    return {name: p.astype(complex_dtype if np.iscomplexobj(p) else dtype) for name, p in params.items()}


def _init_input(config, rng):
    c, num_features = config.num_channels, 3 * len(config.species)
    if not config.message_passing_input:
        scale = 1 / np.sqrt(num_features)
        return {"input.weight": _uniform(rng, (c, num_features), scale), "input.bias": _uniform(rng, (c,), scale)}
    if config.filtered_messages:
        params = _init_radial("input", config)
        columns = 2 * config.num_radial
        params["input.filter.weight"], params["input.filter.bias"] = _init_linear(rng, num_features, columns)
    else:
        params = {"input.cutoff": np.full(1, START_CUTOFF), "input.width": np.full(1, START_WIDTH)}
    return params | _init_mlp(rng, "input.mlp", 2 * num_features, config.num_hidden, 2 * c)


def _init_output(config, rng):
    num_scalars = sum(config.num_scalars(s) for s in range(config.num_layers))
    if not config.mlp_output:
        weight, bias = _init_linear(rng, 1, num_scalars)
        return {"output.weight": weight[0], "output.bias": bias}
    hidden, intermediate = config.num_hidden, config.num_intermediate
    return _init_mlp(rng, "output.mlp1", num_scalars, hidden, intermediate) | _init_mlp(
        rng, "output.mlp2", intermediate, hidden, 1
    )


def _init_linear(rng, rows, columns):
    """Weight and bias, uniform in ±1/sqrt(columns)."""
    return rng.uniform(-1, 1, (rows, columns)) / np.sqrt(columns), rng.uniform(-1, 1, rows) / np.sqrt(columns)


def _init_mlp(rng, name, num_in, num_hidden, num_out):
    params = {}
    params[f"{name}.weight.0"], params[f"{name}.bias.0"] = _init_linear(rng, num_hidden, num_in)
    params[f"{name}.weight.1"], params[f"{name}.bias.1"] = _init_linear(rng, num_out, num_hidden)
    return params


def _init_radial(name, config):
    n = config.num_frequencies
    phi = np.full((2, n), np.pi / 2)
    phi[0, 1:] = 0
    return {f"{name}.radial.kappa": np.tile(np.arange(n, dtype=float), (2, 1)), f"{name}.radial.phi": phi}


def _init_layer(config, s, rng):
    c, layer = config.num_channels, f"layers.{s}"
    params = _init_radial(layer, config)
    params[f"{layer}.edge.cutoff"] = np.full(c, START_CUTOFF)
    params[f"{layer}.edge.width"] = np.full(c, START_WIDTH)
    for l in range(config.l_max_sh[s] + 1):
        params[f"{layer}.edge.weight.{l}"] = _edge_weight(config, rng, (c, num_edge_columns(config, s, l)))
    for l in range(config.l_max[s] + 1):
        columns = num_paths(config, s, l) * c
        scale = config.gain / (max(columns, c) if config.released_initialisation else columns + c)
        params[f"{layer}.vertex.weight.{l}"] = _uniform(rng, (c, columns), scale)
    return params


def _edge_weight(config, rng, shape):
    if config.released_initialisation:
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / max(shape)
    return _uniform(rng, shape, config.gain / sum(shape))


def _uniform(rng, shape, scale):
    """Complex numbers whose real and imaginary parts are uniform in ±scale."""
    return scale * (rng.uniform(-1, 1, shape) + 1j * rng.uniform(-1, 1, shape))


def num_edge_columns(config, s, l):
    """Columns of layer s's edge weight W_ℓ (S2): C for g^s, (L+1) C for d, the radial functions."""
    c, l_in = config.num_channels, config.layer_l_max(s)
    own = c if s > 0 and l <= config.l_max_sh[s - 1] else 0
    dots = (l_in + 1) * c if l <= l_in else 0
    return own + dots + config.num_radial


def num_paths(config, s, l):
    """K_ℓ: the incoming SO(3)-vectors per channel of layer s's vertex weight W_ℓ (S5)."""
    l_in = config.layer_l_max(s)
    return len(paths(l, config.l_max_sh[s], l_in)) + len(paths(l, l_in, l_in)) + (l <= l_in)


def num_parameters(params):
    """Number of real parameters: a complex weight counts two."""
    return sum(p.size * (2 if np.issubdtype(p.dtype, np.complexfloating) else 1) for p in params.values())


class Cache(NamedTuple):
    """What the backward pass needs of a forward pass; `features` and the caches of the layers are lists over s."""

    params: dict
    config: object
    geometry: tuple
    input: tuple
    features: list
    layers: list
    output: tuple


def forward(params, batch, config):
    """Energies of B molecules: OUTPUT(CGNet(INPUT({Z_i, r_i}))) (S1).

    Parameters
    ----------
    params : dict of `init_params`
    batch : Batch
    config : Config

    Returns
    -------
    energy : (B,) real, in the units of the training targets
    cache
    """
    xp = get_array_module(batch.positions)
    geometry, geometry_cache = geometry_forward(batch.charges, batch.positions, config)
    features, input_cache = input_network_forward(params, batch.charges, geometry, config)

    edges = xp.empty((0, config.num_channels, *geometry.distances.shape), dtype=features.dtype)
    all_features, all_scalars, caches = [], [], []
    for s in range(config.num_layers):
        edges, features, layer_cache = layer_forward(params, s, edges, features, geometry, config)
        scalars, invariants_cache = invariants_forward(features, config)
        all_features.append(features)
        all_scalars.append(scalars)
        caches.append((layer_cache, invariants_cache))

    scalars = xp.concatenate(all_scalars)
    energy, output_cache = output_network_forward(params, scalars, geometry.atoms, config)
    return energy, Cache(params, config, geometry_cache, input_cache, all_features, caches, output_cache)


def backward(d_energy, cache):
    """The gradient of a function of the energies, given its derivative by each of them.

    Parameters
    ----------
    d_energy : (B,) real
    cache : of `forward`

    Returns
    -------
    grads : dict with the names and shapes of the parameters; dz = ∂/∂Re z + i ∂/∂Im z for complex ones
    d_positions : (B, N, 3) real
    """
    config, geometry = cache.config, cache.geometry[0]
    grads, d_scalars = output_network_backward(d_energy, cache.output)

    xp = get_array_module(d_energy)
    d_distances, d_harmonics = xp.zeros_like(geometry.distances), xp.zeros_like(geometry.harmonics)
    d_features, d_edges = 0, 0
    end = len(d_scalars)
    for s in reversed(range(config.num_layers)):
        layer_cache, invariants_cache = cache.layers[s]
        start = end - config.num_scalars(s)
        d_features = d_features + invariants_backward(d_scalars[start:end], invariants_cache)
        d_edges, d_features, d_r, d_y = layer_backward(d_edges, d_features, layer_cache, s, grads)
        d_distances += d_r
        d_harmonics += d_y
        end = start

    input_grads, d_r = input_network_backward(d_features, cache.input)
    grads |= input_grads
    d_positions = geometry_backward(d_distances + d_r, d_harmonics, cache.geometry)
    return {name: grads[name] for name in cache.params}, d_positions


def layer_forward(params, s, edges, features, geometry, config):
    """CGLayer(g^s, F^s, r) → g^(s+1), F^(s+1) (section 1.4.1).

    Parameters
    ----------
    edges : (L_edge+1, C, B, N_j, N_i) complex, g^s
    features : ((L+1)², C, B, N) complex, F^s
    geometry : Geometry

    Returns
    -------
    g^(s+1), F^(s+1), cache
    """
    layer = f"layers.{s}"
    edge_weights = [params[f"{layer}.edge.weight.{l}"] for l in range(config.l_max_sh[s] + 1)]
    vertex_weights = [params[f"{layer}.vertex.weight.{l}"] for l in range(config.l_max[s] + 1)]
    couple = coupling(
        config.layer_l_max(s),
        config.l_max_sh[s],
        config.l_max[s],
        config.vertex_order,
        geometry.distances.dtype.name,
        device_of(features),
    )
    radial, radial_cache = radial_forward(
        params[f"{layer}.radial.kappa"], params[f"{layer}.radial.phi"], geometry, config
    )
    mask, mask_cache = mask_forward(params[f"{layer}.edge.cutoff"], params[f"{layer}.edge.width"], geometry, config)
    new_edges, edge_cache = edge_network_forward(edges, features, radial, mask, edge_weights)
    pairs, pairs_cache = edge_to_vertex_forward(new_edges, geometry.harmonics)
    new_features, vertex_cache = vertex_network_forward(pairs, features, vertex_weights, couple)
    return new_edges, new_features, (radial_cache, mask_cache, edge_cache, pairs_cache, vertex_cache)


def layer_backward(d_new_edges, d_new_features, cache, s, grads):
    """Gradients by g^s, F^s, the distances and the harmonics; those by the parameters are written into `grads`.

    g^(s+1) has two consumers, this layer's `edge_to_vertex` and the next layer's edge network; F^s has two here, the
    vertex network and the edge network's dot products.
    """
    radial_cache, mask_cache, edge_cache, pairs_cache, vertex_cache = cache
    layer = f"layers.{s}"
    d_pairs, d_features, d_vertex_weights = vertex_network_backward(d_new_features, vertex_cache)
    d_edges, d_harmonics = edge_to_vertex_backward(d_pairs, pairs_cache)
    d_edges += d_new_edges
    d_edges, d_dotted, d_radial, d_mask, d_edge_weights = edge_network_backward(d_edges, edge_cache)
    d_features += d_dotted
    d_cutoff, d_width, d_distances = mask_backward(d_mask, mask_cache)
    d_kappa, d_phi, d_r = radial_backward(d_radial, radial_cache)
    grads |= {
        f"{layer}.radial.kappa": d_kappa,
        f"{layer}.radial.phi": d_phi,
        f"{layer}.edge.cutoff": d_cutoff,
        f"{layer}.edge.width": d_width,
    }
    grads |= {f"{layer}.edge.weight.{l}": d for l, d in enumerate(d_edge_weights)}
    grads |= {f"{layer}.vertex.weight.{l}": d for l, d in enumerate(d_vertex_weights)}
    return d_edges, d_features, d_distances + d_r, d_harmonics


def features(params, batch, config):
    """The activations F^1..F^S of all layers, a list of ((L+1)², C, B, N) complex arrays."""
    return forward(params, batch, config)[1].features


def energy_and_forces(params, batch, config):
    """Energies (B,) and forces -∂E/∂r (B, N, 3), in the training targets' unit and that unit per Å."""
    xp = get_array_module(batch.positions)
    energy, cache = forward(params, batch, config)
    _, d_positions = backward(xp.ones_like(energy), cache)
    return energy, -d_positions
