"""The vertex network and a whole layer, in real form and for batches, against `plain`."""

import numpy as np
import pytest
from conftest import (
    FORMALDEHYDE,
    WATER,
    assert_close,
    batch_of,
    by_l,
    ordered,
    random_complex,
    random_params,
    small_config,
)

from cormorant_np import model, plain
from cormorant_np.network.arrangement import arrange_forward, layer_coupling
from cormorant_np.network.geometry import ordered_harmonics_forward, pair_functions_forward
from cormorant_np.network.pairs import pairs_of, spread
from cormorant_np.network.real_form import join
from cormorant_np.network.vertex_network import (
    COLUMNS,
    aggregate_forward,
    edge_to_vertex_forward,
    square_forward,
    vertex_network_forward,
)
from cormorant_np.so3_vector import block

B, N, C = 2, 3, 5
P = N * (N + 1) // 2
PAIRS = pairs_of(N, True, "cpu")
ORDERS = [("aggregate", "square", "identity"), ("aggregate", "identity", "square")]


def test_edges_become_vectors_by_a_product_with_the_harmonics(rng):
    """(S3); the harmonics may reach a higher ℓ."""
    g, y = random_complex(rng, C, B, 3, N, N), random_complex(rng, B, 16, N, N)
    vectors = edge_to_vertex_forward(g, y)
    assert vectors.shape == (C, B, 9, N, N)
    for b in range(B):
        harmonics = [y[b, block(l)] for l in range(3)]
        expected, _ = plain.edge_to_vertex_forward(list(g[:, b].swapaxes(0, 1)), harmonics)
        assert_close(vectors[:, b].swapaxes(0, 1), np.concatenate(expected))


@pytest.mark.parametrize("channels_at_once", [1, 3, C])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("l_in, l_sh, l_out", [(0, 2, 2), (1, 2, 2), (2, 1, 1), (2, 2, 2), (2, 0, 2)])
def test_new_activations_are_mixtures_of_aggregate_square_and_identity(
    l_in, l_sh, l_out, order, channels_at_once, rng, monkeypatch
):
    """(S5), whose sum over channels is one of parts."""
    monkeypatch.setitem(COLUMNS, "cpu", channels_at_once * B * N)
    config = small_config(num_channels=C, l_max=(l_in, l_out), l_max_sh=(l_in, l_sh), vertex_order=order)
    params, positions = random_params(config, rng), rng.standard_normal((B, N, 3))
    weights, features = arrange_forward(params, config), random_complex(rng, (l_in + 1) ** 2, C, B, N)
    edges, couple = random_complex(rng, l_sh + 1, C, B, P), layer_coupling(config, 1, features)
    functions, _ = pair_functions_forward(weights, np.ones((B, N), int), positions, config)
    matrices = weights["layers.1.vertex"]
    new_features, parts = vertex_network_forward(edges, functions.harmonics, features, matrices, couple, PAIRS)
    assert len(parts) == {1: 5, 3: 2, 5: 1}[channels_at_once]

    for b in range(B):
        _, harmonics, _ = plain.geometry_forward(positions[b], config)
        G, _ = plain.edge_to_vertex_forward(list(ordered(edges, PAIRS, b)), harmonics)
        by_name = plain.under("layers.1.vertex.weight.", params)
        expected, _ = plain.vertex_network_forward(by_name, G, by_l(features, b), order)
        for actual, f in zip(by_l(new_features, b), expected, strict=True):
            assert_close(actual, f)


@pytest.mark.parametrize("s", range(3))
def test_a_layer_is_what_the_equations_say(s, config, rng):
    """(S2) to (S5): arranged weights, unordered pairs and padding, from any g^s and F^s."""
    molecules = [FORMALDEHYDE, WATER]
    batch, params = batch_of(molecules, config), random_params(config, rng)
    weights = arrange_forward(params, config)
    functions, _ = pair_functions_forward(weights, batch.charges, batch.positions, config)
    edges = random_complex(rng, config.l_max_sh[s - 1] + 1 if s > 0 else 0, *functions.masks.shape[1:])
    features = random_complex(rng, (config.layer_l_max(s) + 1) ** 2, config.num_channels, B, 4)
    new_edges, new_features, _ = model.layer_forward(weights, s, edges, features, functions, config)
    pairs = functions.geometry.pairs

    for b, (charges, positions) in enumerate(molecules):
        n = len(charges)
        distances, harmonics, _ = plain.geometry_forward(np.array(positions), config)
        g, F = list(ordered(edges, pairs, b, n)), by_l(features, b, n)
        g, F, _ = plain.layer_forward(plain.under(f"layers.{s}.", params), g, F, distances, harmonics, config)
        assert_close(ordered(new_edges, pairs, b, n), np.array(g))
        for actual, f in zip(by_l(new_features, b, n), F, strict=True):
            assert_close(actual, f)


def test_aggregation_sums_over_the_senders(rng):
    """Also for harmonics without any symmetry; they may have a larger L than this layer's edges."""
    edges, features = random_complex(rng, C, B, 2, P), random_complex(rng, 9, C, B, N)
    y = random_complex(rng, B, 9, N, N)  # of receiver and sender
    out = np.empty((9, 4, 2, C, B, N))
    aggregate_forward(edges, y, features, PAIRS, out)
    sums, g = join(out, 2), spread(edges, PAIRS)[:, :, [0, 1, 1, 1]]
    for p, q, c, b, i in np.ndindex(4, 9, C, B, N):
        expected = sum(g[c, b, p, i, j] * y[b, p, i, j] * features[q, c, b, j] for j in range(N))
        np.testing.assert_allclose(sums[q, p, c, b, i], expected, rtol=1e-12)


def test_the_square_lists_every_pair_of_components_once(rng):
    features = random_complex(rng, 4, C, B, N)
    expected = [*(features * features), *(features[p] * features[q] for p in range(4) for q in range(p + 1, 4))]
    assert_close(square_forward(features), np.array(expected))


def test_complex64_stays_complex64(rng):
    config = small_config(num_channels=C, l_max=(1, 1), l_max_sh=(1, 1))
    weights = arrange_forward(random_params(config, rng, np.float32), config)
    features = random_complex(rng, 4, C, B, N).astype(np.complex64)
    edges, y = (random_complex(rng, *shape, B, P).astype(np.complex64) for shape in ((2, C), (4,)))
    harmonics, couple = ordered_harmonics_forward(y, PAIRS), layer_coupling(config, 1, features)
    assert harmonics.dtype == np.complex64
    new_features, _ = vertex_network_forward(edges, harmonics, features, weights["layers.1.vertex"], couple, PAIRS)
    assert new_features.dtype == np.complex64
