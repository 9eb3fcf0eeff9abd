"""(S3) and (S5), atom by atom."""

import numpy as np
import pytest
from conftest import assert_close, cg_product, couples, random_complex

from cormorant_np.clebsch_gordan import coupling
from cormorant_np.vertex_network import (
    aggregate_forward,
    edge_to_vertex_forward,
    square_forward,
    vertex_network_forward,
)

B, N, C = 2, 3, 2
ORDERS = [("aggregate", "square", "identity"), ("aggregate", "identity", "square")]


def test_edges_become_vectors_by_a_product_with_the_harmonics(rng):
    """(S3); the harmonics may have a larger L than this layer's edges."""
    edges, harmonics = random_complex(rng, 2, C, B, N, N), random_complex(rng, 9, B, N, N)
    pairs, _ = edge_to_vertex_forward(edges, harmonics)
    assert pairs.shape == (4, C, B, N, N)
    for l in range(2):
        for m in range(-l, l + 1):
            for c, b, j, i in np.ndindex(C, B, N, N):
                expected = edges[l, c, b, j, i] * harmonics[l * l + l + m, b, j, i]
                np.testing.assert_allclose(pairs[l * l + l + m, c, b, j, i], expected, rtol=1e-14)


def concatenation(g, f, i, l, l_sh, l_in, order):
    """(S5) before mixing, for atom i of one molecule: (2ℓ+1, K C); g is (P, C, N_j, N_i), f (Q, C, N)."""
    parts = {
        "aggregate": [
            sum(cg_product(g[:, :, j, i], f[:, :, j], l1, l2, l) for j in range(N))
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


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("l_in, l_sh, l_out", [(0, 2, 2), (1, 2, 2), (2, 1, 1), (2, 2, 2), (2, 0, 2)])
def test_new_activations_are_mixtures_of_aggregate_square_and_identity(l_in, l_sh, l_out, order, rng):
    pairs = random_complex(rng, (l_sh + 1) ** 2, C, B, N, N)
    features = random_complex(rng, (l_in + 1) ** 2, C, B, N)
    paths = [
        [concatenation(pairs[:, :, b], features[:, :, b], i, l, l_sh, l_in, order) for b, i in np.ndindex(B, N)]
        for l in range(l_out + 1)
    ]
    weights = [random_complex(rng, C, path[0].shape[1]) for path in paths]
    couple = coupling(l_in, l_sh, l_out, order, "float64", "cpu")
    new_features, _ = vertex_network_forward(pairs, features, weights, couple)
    for l, weight in enumerate(weights):
        expected = np.stack([path @ weight.T for path in paths[l]], axis=-1).reshape(2 * l + 1, C, B, N)
        assert_close(new_features[l * l : (l + 1) ** 2], expected)


def test_aggregation_sums_over_the_senders(rng):
    pairs, features = random_complex(rng, 4, C, B, N, N), random_complex(rng, 9, C, B, N)
    out = np.empty((4, 9, C, B, N), complex)
    aggregate_forward(pairs, features, out)
    for p, q, c, b, i in np.ndindex(4, 9, C, B, N):
        expected = sum(pairs[p, c, b, j, i] * features[q, c, b, j] for j in range(N))
        np.testing.assert_allclose(out[p, q, c, b, i], expected, rtol=1e-12)


def test_the_square_lists_every_pair_of_components_once(rng):
    features = random_complex(rng, 4, C, B, N)
    out = np.empty((10, C, B, N), complex)
    square_forward(features, out)
    expected = [features[p] * features[q] for p in range(4) for q in range(p, 4)]
    assert_close(out, np.array(expected))


def test_complex64_stays_complex64(rng):
    couple = coupling(1, 1, 1, ORDERS[0], "float32", "cpu")
    features = random_complex(rng, 4, C, B, N).astype(np.complex64)
    pairs = random_complex(rng, 4, C, B, N, N).astype(np.complex64)
    weights = [random_complex(rng, C, fold.shape[1] * C).astype(np.complex64) for fold in couple.fold]
    assert vertex_network_forward(pairs, features, weights, couple)[0].dtype == np.complex64
