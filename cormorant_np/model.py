"""The whole network (S1), fast, for a batch: forward, backward, energies and forces. `plain` is the same, plainly."""

from typing import NamedTuple

from cormorant_np.backend import get_array_module
from cormorant_np.network.arrangement import arrange_backward, arrange_forward, layer_coupling
from cormorant_np.network.edge_network import edge_network_backward, edge_network_forward
from cormorant_np.network.geometry import pair_functions_backward, pair_functions_forward
from cormorant_np.network.input_network import input_network_backward, input_network_forward
from cormorant_np.network.mlp import sides_of_kinks
from cormorant_np.network.output_network import (
    invariants_backward,
    invariants_forward,
    output_network_backward,
    output_network_forward,
)
from cormorant_np.network.parameters import init_params, num_parameters
from cormorant_np.network.vertex_network import vertex_network_backward, vertex_network_forward

__all__ = [
    "arrange_forward",
    "backward",
    "energy_and_forces",
    "features",
    "forward",
    "init_params",
    "num_parameters",
    "relu_sides",
]


class Cache(NamedTuple):
    """What a forward pass leaves behind: the caches of its parts for the backward pass, and `features`, F^1 .. F^S.

    `features` and `layers` are lists over s; `layers` is empty if no gradient was to be asked for, or it is used up.
    """

    config: object
    functions: tuple
    input: tuple
    features: list
    layers: list
    output: tuple


def forward(params, batch, config, weights=None, by_params=True, by_positions=True):
    """Energies of B molecules: OUTPUT(CGNet(INPUT({Z_i, r_i}))) (S1).

    Parameters
    ----------
    params : dict of `init_params`
    batch : Batch
    config : Config
    weights : `arrange_forward` of the parameters, where it is at hand from a call before
    by_params, by_positions : which gradients `backward` may be asked for; without by_params, Z is not kept, and without
        both, nothing of the layers

    Returns
    -------
    energy : (B,) real, in the units of the training targets
    cache
    """
    xp = get_array_module(batch.positions)
    weights = arrange_forward(params, config) if weights is None else weights
    functions, functions_cache = pair_functions_forward(weights, batch.charges, batch.positions, config)
    geometry = functions.geometry
    F, input_cache = input_network_forward(weights, batch.charges, geometry, config)
    g = xp.empty((0, config.num_channels, *geometry.distances.shape), dtype=F.dtype)
    all_F, all_scalars, caches = [], [], []
    for s in range(config.num_layers):
        g, F, layer_cache = layer_forward(weights, s, g, F, functions, config, by_params)
        scalars, invariants_cache = invariants_forward(F, config)
        all_F.append(F)
        all_scalars.append(scalars)
        if by_params or by_positions:
            caches.append((layer_cache, invariants_cache))
    energy, output_cache = output_network_forward(weights, xp.concatenate(all_scalars), geometry.atoms, config)
    return energy, Cache(config, functions_cache, input_cache, all_F, caches, output_cache)


def backward(d_energy, cache, by_params=True, by_positions=True, arranged=False, use_up=False):
    """The gradient of a function of the energies, given its derivative by each of them.

    F^s is read by its invariants and by the next layer, g^s by the next layer, functions of pairs by all layers.

    Parameters
    ----------
    d_energy : (B,) real
    cache : of `forward`
    by_params, by_positions : which of the two are wanted, of those that `forward` was told of; leaving one out saves
        the work that only it needs
    arranged : leave the gradient with the names of `arrange_forward`, so that several are added up before
        `arrange_backward` leads their sum to the parameters
    use_up : let the cache of a layer go when it has been used, so that its memory serves the next; the cache cannot be
        used again then

    Returns
    -------
    grads : dict with the names and shapes of the parameters; dz = ∂/∂Re z + i ∂/∂Im z for complex ones; or None
    d_positions : (B, N, 3) real, or None
    """
    xp, config = get_array_module(cache.features[0]), cache.config
    d_energy = xp.asarray(d_energy, dtype=cache.features[0].real.dtype)
    grads, d_scalars = output_network_backward(d_energy, cache.output)
    d_radial, d_masks = [None] * config.num_layers, [None] * config.num_layers
    d_F, d_g, d_harmonics, end = 0, 0, 0, len(d_scalars)
    for s in reversed(range(config.num_layers)):
        layer_cache, invariants_cache = cache.layers.pop() if use_up else cache.layers[s]
        start = end - config.num_scalars(s)
        d_F = d_F + invariants_backward(d_scalars[start:end], invariants_cache)
        d_g, d_F, d_radial[s], d_masks[s], d_y, d_weights = layer_backward(
            d_g, d_F, layer_cache, by_params, by_positions
        )
        d_harmonics = d_harmonics + d_y if by_positions else None
        grads |= {f"layers.{s}.{name}": d for name, d in d_weights.items()}
        end = start
    input_grads, d_distances = input_network_backward(d_F, cache.input)
    pair_grads, d_positions = pair_functions_backward(
        xp.stack(d_radial), xp.stack(d_masks), d_harmonics, d_distances, cache.functions
    )
    if not by_params:
        return None, d_positions
    grads = grads | input_grads | pair_grads
    return grads if arranged else arrange_backward(grads, config), d_positions


def layer_forward(weights, s, edges, features, functions, config, by_params=True):
    """CGLayer(g^s, F^s, r) → g^(s+1), F^(s+1) (section 1.4.1); `plain.layer_forward`, fast.

    Parameters
    ----------
    weights : the parameters, arranged
    edges : (L_edge+1, C, B, P) complex, g^s
    features : ((L+1)², C, B, N) complex, F^s
    functions : PairFunctions
    by_params : whether the gradient by the weights may be wanted; if not, Z is not kept

    Returns
    -------
    g^(s+1), F^(s+1), cache
    """
    weights_g, weights_d_eta, matrices = (weights[f"layers.{s}.{name}"] for name in ("edge_g", "edge_d_eta", "vertex"))
    radial, mask, pairs = functions.radial[s], functions.masks[s], functions.geometry.pairs
    coupling = layer_coupling(config, s, features)
    new_edges, edge_cache = edge_network_forward(edges, features, radial, mask, weights_g, weights_d_eta, pairs)
    new_features, vertex_cache = vertex_network_forward(
        new_edges, functions.harmonics, features, matrices, coupling, pairs, by_params
    )
    return new_edges, new_features, (edge_cache, vertex_cache)


def layer_backward(d_new_edges, d_new_features, cache, by_params=True, by_positions=True):
    """Gradients by g^s, F^s, this layer's η and μ, the harmonics and, a dict, its weights.

    Shapes are those of `layer_forward` and, of one layer, of `PairFunctions`.
    g^(s+1) has two consumers, this layer's vertex network and the next layer's edge network; F^s has two here, the
    vertex network and the edge network's dot products.
    """
    edge_cache, vertex_cache = cache
    d_edges, d_harmonics, d_features, d_vertex = vertex_network_backward(
        d_new_features, vertex_cache, by_params, by_positions
    )
    d_edges += d_new_edges
    d_edges, d_dotted, d_radial, d_mask, d_g, d_d_eta = edge_network_backward(d_edges, edge_cache, by_params)
    d_features += d_dotted
    d_weights = {"edge_g": d_g, "edge_d_eta": d_d_eta, "vertex": d_vertex}
    return d_edges, d_features, d_radial, d_mask, d_harmonics, d_weights


def relu_sides(cache):
    """On which side of its kink every ReLU of a `forward` was, a list of arrays; none for MD17, which has no ReLU."""
    (input_cache, _, config), (*output_caches, _) = cache.input, cache.output
    caches = [input_cache[2]] if config.message_passing_input else []
    if config.mlp_output:
        caches += output_caches[:2]
    return [sides_of_kinks(mlp_cache) for mlp_cache in caches]


def features(params, batch, config):
    """The activations F^1..F^S of all layers, a list of ((L+1)², C, B, N) complex arrays."""
    return forward(params, batch, config, by_params=False, by_positions=False)[1].features


def energy_and_forces(params, batch, config, weights=None):
    """Energies (B,) and forces -∂E/∂r (B, N, 3), in the training targets' unit and that unit per Å; see `forward`."""
    energy, cache = forward(params, batch, config, weights, by_params=False)
    _, d_positions = backward(get_array_module(energy).ones_like(energy), cache, by_params=False, use_up=True)
    return energy, -d_positions
