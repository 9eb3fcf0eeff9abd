"""The checks of every backward function of `plain`, for test_gradients.py: one molecule, lists over ℓ."""

import numpy as np
from checks import check_of, nested, qm9_params
from conftest import FORMALDEHYDE, random_complex, random_params

from cormorant_np import plain

CHARGES, POSITIONS = map(np.array, FORMALDEHYDE)
N, C = 4, 2
OTHERS = 1 - np.eye(N)
"""Distances of an atom to itself are zero and stay so."""


def vectors(rng, l_max, *shape):
    """Random complex arrays (2ℓ+1, *shape), for ℓ = 0..l_max."""
    return [random_complex(rng, 2 * l + 1, *shape) for l in range(l_max + 1)]


def distances(config):
    return plain.geometry_forward(POSITIONS, config)[0]


def layer_1(config, rng, part=""):
    """The second layer's parameters whose names start with `part`, without it."""
    return plain.under(f"layers.1.{part}", random_params(config, rng))


def of_distances(forward, backward, *inputs):
    """A case for functions whose last input and last gradient belong to the distances."""

    def without_own(*inputs):
        return forward(*inputs[:-1], OTHERS * inputs[-1])

    def backward_without_own(*d):
        *gradients, d_distances = backward(*d)
        return *gradients, OTHERS * d_distances

    return nested(without_own, backward_without_own, *inputs)


@check_of("plain.geometry_backward")
def geometry(config, rng):
    return nested(lambda positions: plain.geometry_forward(positions, config), plain.geometry_backward, POSITIONS)


@check_of("plain.input_backward")
def whole_input(config, rng):
    params = {name: p for name, p in random_params(config, rng).items() if name.startswith("input.")}

    def forward(params, distances):
        return plain.input_forward(params, CHARGES, distances, config)

    return of_distances(forward, plain.input_backward, params, distances(config))


@check_of("plain.message_weights_backward")
def message_weights(config, rng):
    """The pairs are far from 1.73 Å, where the released code's filter ends with a jump."""
    config, params = qm9_params(config, rng, ("input.radial", "input.filter", "input.cutoff", "input.width"))

    def forward(params, distances):
        return plain.message_weights_forward(params, distances, config)

    params = plain.under("input.", params)
    return of_distances(forward, plain.message_weights_backward, params, distances(config))


@check_of("plain.layer_backward")
def layer(config, rng):
    def forward(params, distances, g, F, harmonics):
        return plain.layer_forward(params, g, F, distances, harmonics, config)

    def backward(d_new_g, d_new_F, cache):
        d_g, d_F, d_distances, d_harmonics, grads = plain.layer_backward(d_new_g, d_new_F, cache)
        return grads, OTHERS * d_distances, d_g, d_F, d_harmonics

    g = [random_complex(rng, C, N, N) for _ in range(config.l_max_sh[0] + 1)]
    F, harmonics = vectors(rng, config.l_max[0], C, N), vectors(rng, config.l_max_sh[1], N, N)
    inputs = [layer_1(config, rng), distances(config), g, F, harmonics]
    return nested(lambda params, r, *others: forward(params, OTHERS * r, *others), backward, *inputs)


@check_of("plain.edge_network_backward")
def edge_network(config, rng):
    def backward(d_g, cache):
        d_g, d_F, d_eta, d_mask, d_weights = plain.edge_network_backward(d_g, cache)
        return d_weights, d_g, d_F, d_eta, d_mask

    g = [random_complex(rng, C, N, N) for _ in range(config.l_max_sh[0] + 1)]
    eta, mask = random_complex(rng, config.num_radial, N, N), rng.uniform(0, 1, (C, N, N))
    inputs = [layer_1(config, rng, "edge.weight."), g, vectors(rng, config.l_max[0], C, N), eta, mask]
    return nested(plain.edge_network_forward, backward, *inputs)


@check_of("plain.dot_backward")
def dot(config, rng):
    return nested(lambda f: (plain.dot_forward(f), f), plain.dot_backward, random_complex(rng, 5, C, N))


@check_of("plain.radial_backward")
def radial(config, rng):
    def forward(kappa, phi, distances):
        return plain.radial_forward(kappa, phi, distances, config)

    kappa, phi = rng.uniform(0, [[[1]], [[6]]], (2, 2, config.num_frequencies))
    return of_distances(forward, plain.radial_backward, kappa, phi, distances(config))


@check_of("plain.mask_backward")
def mask(config, rng):
    def forward(cutoff, width, distances):
        return plain.mask_forward(cutoff, width, distances, config)

    inputs = [np.array([1.7, -1.2]), np.array([-0.5, 0.4]), distances(config)]
    return of_distances(forward, plain.mask_backward, *inputs)


@check_of("plain.edge_to_vertex_backward")
def edge_to_vertex(config, rng):
    g = [random_complex(rng, C, N, N) for _ in range(3)]
    return nested(plain.edge_to_vertex_forward, plain.edge_to_vertex_backward, g, vectors(rng, 2, N, N))


@check_of("plain.cg_product_backward")
def cg_products(config, rng):
    """Σ_j G_ij ⊗cg F_j and F_i ⊗cg F_i together, into ℓ = 1."""

    def forward(G, F):
        aggregate = plain.cg_product_forward(G, F, 1, plain.AGGREGATE)
        return aggregate, plain.cg_product_forward(F, F, 1, plain.SQUARE), (G, F)

    def backward(d_aggregate, d_square, cache):
        G, F = cache
        d_G, d_F = plain.cg_product_backward(d_aggregate, G, F, 1, plain.AGGREGATE)
        d_left, d_right = plain.cg_product_backward(d_square, F, F, 1, plain.SQUARE)
        return d_G, plain.plus(d_F, plain.plus(d_left, d_right))

    return nested(forward, backward, vectors(rng, 2, C, N, N), vectors(rng, 1, C, N))


@check_of("plain.vertex_network_backward")
def vertex_network(config, rng):
    def forward(weights, G, F):
        return plain.vertex_network_forward(weights, G, F, config.vertex_order)

    def backward(d_F, cache):
        d_G, d_F, d_weights = plain.vertex_network_backward(d_F, cache)
        return d_weights, d_G, d_F

    G, F = vectors(rng, config.l_max_sh[1], C, N, N), vectors(rng, config.l_max[0], C, N)
    return nested(forward, backward, layer_1(config, rng, "vertex.weight."), G, F)


@check_of("plain.invariants_backward")
def invariants(config, rng):
    return nested(lambda F: plain.invariants_forward(F, config), plain.invariants_backward, vectors(rng, 2, C, N))


@check_of("plain.output_backward")
def output(config, rng):
    params = {name: p for name, p in random_params(config, rng).items() if name.startswith("output.")}
    num_scalars = sum(config.num_scalars(s) for s in range(config.num_layers))
    x = rng.standard_normal((num_scalars, N))
    return nested(lambda params, x: plain.output_forward(params, x, config), plain.output_backward, params, x)


@check_of("plain.mlp_backward")
def perceptron(config, rng):
    config, params = qm9_params(config, rng, "output.mlp2.")
    params, x = plain.under("output.mlp2.", params), rng.standard_normal((config.num_intermediate, N))
    return nested(lambda params, x: plain.mlp_forward(params, x, config), plain.mlp_backward, params, x)


@check_of("plain.backward")
def whole_network(config, rng):
    def forward(params, positions):
        return plain.forward(params, CHARGES, positions, config)

    return nested(forward, plain.backward, random_params(config, rng), POSITIONS)
