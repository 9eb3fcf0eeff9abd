"""The whole network (S1): parameters, forward, backward, energies and forces."""

from typing import NamedTuple

import numpy as np

from cormorant_np.backend import get_array_module
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
    directions_backward,
    directions_forward,
    vertex_network_backward,
    vertex_network_forward,
)
from cormorant_np.weights import arrange_backward, arrange_forward, layer_coupling, num_edge_columns, num_paths

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


def num_parameters(params):
    """Number of real parameters: a complex weight counts two."""
    return sum(p.size * (2 if np.issubdtype(p.dtype, np.complexfloating) else 1) for p in params.values())


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
    energy, cache = arranged_forward(arrange_forward(params, config), batch, config)
    return energy, (cache, list(params))


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
    cache, names = cache
    d_arranged, d_positions = arranged_backward(d_energy, cache)
    grads = arrange_backward(d_arranged, cache.config)
    return {name: grads[name] for name in names}, d_positions


class Cache(NamedTuple):
    """What the backward pass needs of a forward pass: caches of the parts; `features` and `layers` are lists over s.

    `pairs` are the caches of all that depends on distances and directions alone: geometry, radial functions, masks.
    """

    config: object
    pairs: tuple
    input: tuple
    features: list
    layers: list
    output: tuple


def arranged_forward(weights, batch, config):
    """`forward` from parameters that are arranged already, see `weights`."""
    xp = get_array_module(batch.positions)
    geometry, geometry_cache = geometry_forward(batch.charges, batch.positions, config)
    features, input_cache = input_network_forward(weights, batch.charges, geometry, config)
    radial, radial_cache = radial_forward(weights["radial.kappa"], weights["radial.phi"], geometry, config)
    masks, mask_cache = mask_forward(weights["edge.cutoff"], weights["edge.width"], geometry, config)
    directions = directions_forward(geometry.harmonics)

    edges = xp.empty((0, config.num_channels, *geometry.distances.shape), dtype=features.dtype)
    all_features, all_scalars, caches = [], [], []
    for s in range(config.num_layers):
        edges, features, layer_cache = layer_forward(
            weights, s, edges, features, radial[s], masks[s], directions, config
        )
        scalars, invariants_cache = invariants_forward(features, config)
        all_features.append(features)
        all_scalars.append(scalars)
        caches.append((layer_cache, invariants_cache))

    scalars = xp.concatenate(all_scalars)
    energy, output_cache = output_network_forward(weights, scalars, geometry.atoms, config)
    pair_caches = (geometry_cache, radial_cache, mask_cache)
    return energy, Cache(config, pair_caches, input_cache, all_features, caches, output_cache)


def arranged_backward(d_energy, cache, positions=True):
    """`backward`, with gradients in the arrangement of `weights`; without `positions`, None in the place of theirs."""
    config = cache.config
    geometry_cache, radial_cache, mask_cache = cache.pairs
    grads, d_scalars = output_network_backward(d_energy, cache.output)

    xp = get_array_module(d_energy)
    d_radial, d_masks = [None] * config.num_layers, [None] * config.num_layers
    d_features, d_edges, d_directions = 0, 0, 0
    end = len(d_scalars)
    for s in reversed(range(config.num_layers)):
        layer_cache, invariants_cache = cache.layers[s]
        start = end - config.num_scalars(s)
        d_features = d_features + invariants_backward(d_scalars[start:end], invariants_cache)
        d_edges, d_features, d_radial[s], d_masks[s], d_y, d_weights = layer_backward(
            d_edges, d_features, layer_cache, positions
        )
        d_directions = d_directions + d_y if positions else None
        grads |= {f"layers.{s}.{name}": d for name, d in d_weights.items()}
        end = start

    grads["radial.kappa"], grads["radial.phi"], d_distances = radial_backward(xp.stack(d_radial), radial_cache)
    grads["edge.cutoff"], grads["edge.width"], d_r = mask_backward(xp.stack(d_masks), mask_cache)
    d_distances += d_r
    input_grads, d_r = input_network_backward(d_features, cache.input)
    grads |= input_grads
    if not positions:
        return grads, None
    return grads, geometry_backward(d_distances + d_r, directions_backward(d_directions), geometry_cache)


def layer_forward(weights, s, edges, features, radial, mask, directions, config):
    """CGLayer(g^s, F^s, r) → g^(s+1), F^(s+1) (section 1.4.1).

    Parameters
    ----------
    weights : the parameters, arranged
    edges : (L_edge+1, C, B, P) complex, g^s
    features : ((L+1)², C, B, N) complex, F^s
    radial, mask : this layer's η and μ, (K, B, P) complex and (C, B, P) real
    directions : of all layers, see `directions_forward`

    Returns
    -------
    g^(s+1), F^(s+1), cache
    """
    own, shared, mix = (weights[f"layers.{s}.{name}"] for name in ("own", "shared", "mix"))
    couple = layer_coupling(config, s, features)
    new_edges, edge_cache = edge_network_forward(edges, features, radial, mask, own, shared)
    new_features, vertex_cache = vertex_network_forward(new_edges, directions, features, mix, couple)
    return new_edges, new_features, (edge_cache, vertex_cache)


def layer_backward(d_new_edges, d_new_features, cache, positions=True):
    """Gradients by g^s, F^s, η, μ, the directions and, a dict, this layer's weights.

    g^(s+1) has two consumers, this layer's vertex network and the next layer's edge network; F^s has two here, the
    vertex network and the edge network's dot products.
    """
    edge_cache, vertex_cache = cache
    d_edges, d_directions, d_features, d_mix = vertex_network_backward(d_new_features, vertex_cache, positions)
    d_edges += d_new_edges
    d_edges, d_dotted, d_radial, d_mask, d_own, d_shared = edge_network_backward(d_edges, edge_cache)
    d_features += d_dotted
    return d_edges, d_features, d_radial, d_mask, d_directions, {"own": d_own, "shared": d_shared, "mix": d_mix}


def features(params, batch, config):
    """The activations F^1..F^S of all layers, a list of ((L+1)², C, B, N) complex arrays."""
    return arranged_forward(arrange_forward(params, config), batch, config)[1].features


def energy_and_forces(params, batch, config):
    """Energies (B,) and forces -∂E/∂r (B, N, 3), in the training targets' unit and that unit per Å."""
    return arranged_energy_and_forces(arrange_forward(params, config), batch, config)


def arranged_energy_and_forces(weights, batch, config):
    """`energy_and_forces` from parameters that are arranged already."""
    energy, cache = arranged_forward(weights, batch, config)
    _, d_positions = arranged_backward(get_array_module(energy).ones_like(energy), cache)
    return energy, -d_positions
