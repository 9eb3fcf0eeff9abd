"""(S3) and (S5), atom by atom, and a whole layer from the published weights."""

import numpy as np
import pytest
from conftest import (
    FORMALDEHYDE,
    WATER,
    assert_close,
    batch_of,
    cg_product,
    couples,
    harmonics,
    random_complex,
    random_params,
    small_config,
)

from cormorant_np import model
from cormorant_np.network.geometry import geometry_forward
from cormorant_np.network.pairs import spread
from cormorant_np.network.parameters import arrange_forward, layer_coupling
from cormorant_np.network.radial import mask_forward, radial_forward
from cormorant_np.network.real_form import join, split
from cormorant_np.network.vertex_network import (
    aggregate_forward,
    directions_forward,
    edge_to_vertex_forward,
    square_forward,
    vertex_network_forward,
)
from cormorant_np.spherical_harmonics import real_from_complex, to_real

B, N, C = 2, 3, 2
P = N * (N + 1) // 2
ORDERS = [("aggregate", "square", "identity"), ("aggregate", "identity", "square")]


def ordered_harmonics(positions, l_max, solid=False):
    """Y_ℓm(r̂_ij) of every ordered pair, ((L+1)², B, N_j, N_i); a vector of length zero has ℓ = 0 alone."""
    num_molecules, num_atoms, _ = positions.shape
    powers = [l for l in range(l_max + 1) for _ in range(2 * l + 1)]
    y = np.zeros((len(powers), num_molecules, num_atoms, num_atoms), complex)
    y[0] = 1
    for b, j, i in np.ndindex(y.shape[1:]):
        r_ij = positions[b, i] - positions[b, j]
        if r_ij.any():
            y[:, b, j, i] = harmonics(r_ij, l_max) * (np.linalg.norm(r_ij) ** powers if solid else 1)
    return y


def one_order(x):
    """(..., N_j, N_i) → (..., P): the entries of j ≤ i."""
    return np.stack([x[..., j, i] for j in range(x.shape[-1]) for i in range(j, x.shape[-1])], axis=-1)


def complex_from_real(y, l):
    """U† Y_ℓ, where the first axis of Y_ℓ has its components."""
    return np.tensordot(real_from_complex(l).conj().T, y, axes=1)


def test_directions_are_the_real_harmonics_of_both_orders(rng):
    y = ordered_harmonics(rng.standard_normal((B, N, 3)), 3)
    assert abs(y - y.swapaxes(-1, -2)).max() > 0.1  # the odd ones change their sign
    directions = directions_forward(one_order(y))
    assert directions.shape == (16, B, 2, N, N)
    for l in range(4):
        for copy in range(2):
            block = slice(l * l, (l + 1) ** 2)
            assert_close(complex_from_real(directions[block, :, copy], l), y[block])


def test_an_atom_and_itself_have_even_harmonics_only(rng):
    y = random_complex(rng, 9, B, P)
    own, all_pairs = np.einsum("mbcii->mbci", directions_forward(y)), to_real(y)
    pairs = [(j, i) for j in range(N) for i in range(j, N)]
    for i in range(N):
        expected = all_pairs[:, :, pairs.index((i, i))] * np.array([1, 0, 0, 0, 1, 1, 1, 1, 1])[:, None]
        for copy in range(2):
            np.testing.assert_array_equal(own[:, :, copy, i], expected)


def test_edges_become_vectors_by_a_product_with_the_harmonics(rng):
    """(S3)"""
    edges, y = random_complex(rng, 3, C, B, P), ordered_harmonics(rng.standard_normal((B, N, 3)), 2)
    full_edges, directions = spread(edges), directions_forward(one_order(y))
    for l in range(3):
        vectors = edge_to_vertex_forward(split(full_edges[l], 2), directions[l * l : (l + 1) ** 2])
        assert vectors.shape == (2 * l + 1, C, B, 2, N, N)
        pairs = complex_from_real(join(vectors, 3), l)
        for m, c, b, j, i in np.ndindex(2 * l + 1, C, B, N, N):
            expected = full_edges[l, c, b, j, i] * y[l * l + m, b, j, i]
            np.testing.assert_allclose(pairs[m, c, b, j, i], expected, rtol=1e-13, atol=1e-15)


def concatenation(g, f, i, l, l_sh, l_in, order):
    """(S5) before mixing, for atom i of one molecule: (2ℓ+1, K C); g is (P, C, N_j, N_i), f (Q, C, N)."""
    parts = {
        "aggregate": [
            sum(cg_product(g[:, :, j, i], f[:, :, j], l1, l2, l) for j in range(f.shape[-1]))
            for l1 in range(l_sh + 1)
            for l2 in range(l_in + 1)
            if couples(l1, l2, l)
        ],
        "square": [
            cg_product(f[:, :, i], f[:, :, i], l1, l2, l)
            for l1 in range(l_in + 1)
            for l2 in range(l_in + 1)
            if couples(l1, l2, l)
        ],
        "identity": [f[l * l : (l + 1) ** 2, :, i]] if l <= l_in else [],
    }
    return np.concatenate([path for part in order for path in parts[part]], axis=1)


def activations_by_loops(params, s, pairs, features, config):
    """(S5) for every atom, with the published weights of layer s."""
    l_sh, l_in, order = config.l_max_sh[s], config.layer_l_max(s), config.vertex_order
    new_features = np.empty(((config.l_max[s] + 1) ** 2, *features.shape[1:]), complex)
    for l in range(config.l_max[s] + 1):
        for b, i in np.ndindex(features.shape[2:]):
            columns = concatenation(pairs[:, :, b], features[:, :, b], i, l, l_sh, l_in, order)
            new_features[l * l : (l + 1) ** 2, :, b, i] = columns @ params[f"layers.{s}.vertex.weight.{l}"].T
    return new_features


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("l_in, l_sh, l_out", [(0, 2, 2), (1, 2, 2), (2, 1, 1), (2, 2, 2), (2, 0, 2)])
def test_new_activations_are_mixtures_of_aggregate_square_and_identity(l_in, l_sh, l_out, order, rng):
    config = small_config(l_max=(l_in, l_out), l_max_sh=(l_in, l_sh), vertex_order=order)
    params = random_params(config, rng)
    edges, y = random_complex(rng, l_sh + 1, C, B, P), ordered_harmonics(rng.standard_normal((B, N, 3)), l_sh)
    features = random_complex(rng, (l_in + 1) ** 2, C, B, N)
    matrices, couple = arrange_forward(params, config)["layers.1.mix"], layer_coupling(config, 1, features)
    new_features, _ = vertex_network_forward(edges, directions_forward(one_order(y)), features, matrices, couple)

    of_row = [l for l in range(l_sh + 1) for _ in range(2 * l + 1)]
    expected = activations_by_loops(params, 1, spread(edges)[of_row] * y[:, None], features, config)
    for l in range(l_out + 1):
        assert_close(new_features[l * l : (l + 1) ** 2], expected[l * l : (l + 1) ** 2])


def edges_by_loops(params, s, edges, features, radial, mask, config):
    """(S2) for every ordered pair, with the published weights of layer s; edges and so on are (..., N_j, N_i)."""
    l_in, l_sh = config.layer_l_max(s), config.l_max_sh[s]
    new_edges = np.empty((l_sh + 1, *mask.shape), complex)
    for b, j, i in np.ndindex(mask.shape[1:]):
        f_i, f_j = features[:, :, b, i], features[:, :, b, j]
        dots = [
            sum((-1) ** m * f_i[l * l + l + m] * f_j[l * l + l - m] for m in range(-l, l + 1)) for l in range(l_in + 1)
        ]
        for l in range(l_sh + 1):
            own = edges[l, :, b, j, i] if l < len(edges) else []
            columns = np.concatenate([own, *(dots if l <= l_in else []), radial[:, b, j, i]])
            new_edges[l, :, b, j, i] = mask[:, b, j, i] * (params[f"layers.{s}.edge.weight.{l}"] @ columns)
    return new_edges


@pytest.mark.parametrize("s", range(3))
def test_a_layer_is_what_the_equations_say_pair_by_pair_and_atom_by_atom(s, config, rng):
    """(S2) to (S5) over ordered pairs with the published weights, against `layer_forward` with arranged ones."""
    batch, params = batch_of([FORMALDEHYDE, WATER], config), random_params(config, rng)
    geometry, _ = geometry_forward(batch.charges, batch.positions, config)
    weights, num_pairs = arrange_forward(params, config), geometry.distances.shape[1]
    radial, _ = radial_forward(weights["radial.kappa"], weights["radial.phi"], geometry, config)
    masks, _ = mask_forward(weights["edge.cutoff"], weights["edge.width"], geometry, config)
    edges = random_complex(rng, config.l_max_sh[s - 1] + 1 if s > 0 else 0, C, B, num_pairs)
    features = random_complex(rng, (config.layer_l_max(s) + 1) ** 2, C, B, 4)
    directions = directions_forward(geometry.harmonics)
    new_edges, new_features, _ = model.layer_forward(
        weights, s, edges, features, radial[s], masks[s], directions, config
    )

    g = edges_by_loops(params, s, spread(edges), features, spread(radial[s]), spread(masks[s]), config)
    assert_close(g, g.swapaxes(-1, -2))
    assert_close(spread(new_edges), g)
    of_row = [l for l in range(len(g)) for _ in range(2 * l + 1)]
    pairs = g[of_row] * ordered_harmonics(batch.positions, len(g) - 1, config.solid_harmonics)[:, None]
    assert_close(new_features, activations_by_loops(params, s, pairs, features, config))


def test_aggregation_sums_over_the_senders(rng):
    """Also for harmonics without any symmetry; they may have a larger L than this layer's edges."""
    edges, features = random_complex(rng, 2, C, B, P), random_complex(rng, 9, C, B, N)
    y = rng.standard_normal((9, B, N, N))
    out = np.empty((4, 9, 2, C, B, N))
    aggregate_forward(edges, np.stack([y, y], axis=2), features, out)
    sums, g = join(out, 2), spread(edges)[[0, 1, 1, 1]]
    for p, q, c, b, i in np.ndindex(4, 9, C, B, N):
        expected = sum(g[p, c, b, j, i] * y[p, b, j, i] * features[q, c, b, j] for j in range(N))
        np.testing.assert_allclose(sums[p, q, c, b, i], expected, rtol=1e-12)


def test_the_square_lists_every_pair_of_components_once(rng):
    features = random_complex(rng, 4, C, B, N)
    expected = [features[p] * features[q] for p in range(4) for q in range(p, 4)]
    assert_close(square_forward(features), np.array(expected))


def test_complex64_stays_complex64(rng):
    config = small_config(l_max=(1, 1), l_max_sh=(1, 1))
    weights = arrange_forward(random_params(config, rng, np.float32), config)
    features = random_complex(rng, 4, C, B, N).astype(np.complex64)
    edges, y = (random_complex(rng, *shape, B, P).astype(np.complex64) for shape in ((2, C), (4,)))
    directions, couple = directions_forward(y), layer_coupling(config, 1, features)
    assert directions.dtype == np.float32
    new_features, _ = vertex_network_forward(edges, directions, features, weights["layers.1.mix"], couple)
    assert new_features.dtype == np.complex64
