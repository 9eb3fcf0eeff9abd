"""(S2) for unordered pairs, against `plain`, which has every ordered pair of one molecule."""

import numpy as np
import pytest
from conftest import assert_close, by_l, cg_product, ordered, random_complex

from cormorant_np import plain
from cormorant_np.network.edge_network import dot_products_forward, edge_network_forward
from cormorant_np.network.pairs import pairs_of
from cormorant_np.rotation import random_rotation, rotate

B, N, C, K = 2, 3, 2, 4
P = N * (N + 1) // 2
PAIRS = pairs_of(N, True, "cpu")


@pytest.mark.parametrize("l_edge", [None, 0, 1, 2], ids=["first layer", "L=0", "L=1", "L=2"])
@pytest.mark.parametrize("l_features", [0, 1, 2])
@pytest.mark.parametrize("l_new", [0, 1, 2])
def test_new_edges_are_masked_mixtures_of_old_edges_dots_and_radial_functions(l_edge, l_features, l_new, rng):
    num_edge_l = 0 if l_edge is None else l_edge + 1
    edges, radial = random_complex(rng, num_edge_l, C, B, P), random_complex(rng, K, B, P)
    features, mask = random_complex(rng, (l_features + 1) ** 2, C, B, N), rng.uniform(0, 1, (C, B, P))
    columns = [C * ((l < num_edge_l) + (l_features + 1) * (l <= l_features)) + K for l in range(l_new + 1)]
    weights = [random_complex(rng, C, n) for n in columns]
    own, shared = arranged(weights, num_edge_l, l_features)
    new_edges, _ = edge_network_forward(edges, features, radial, mask, own, shared, PAIRS)

    assert new_edges.shape == (l_new + 1, C, B, P)
    by_name = {str(l): weight for l, weight in enumerate(weights)}
    for b in range(B):
        g, eta, mu = (ordered(x, PAIRS, b) for x in (edges, radial, mask))
        expected, _ = plain.edge_network_forward(by_name, list(g), by_l(features, b), eta, mu)
        assert_close(ordered(new_edges, PAIRS, b), np.array(expected))


def arranged(weights, num_edge_l, l_features):
    """The weights' columns for g^s, and those for d ⊕ η, zero where an ℓ has no d."""
    own = [w[:, :C] for w in weights[:num_edge_l]]
    shared = [w[:, C:] if l < num_edge_l else w for l, w in enumerate(weights)]
    no_dots = np.zeros((C, (l_features + 1) * C))
    shared = [w if l <= l_features else np.hstack([no_dots, w]) for l, w in enumerate(shared)]
    return np.array(own, complex).reshape(-1, C, C), np.concatenate(shared)


@pytest.mark.parametrize("l", range(4))
def test_dot_products_are_the_coupling_to_a_scalar_up_to_a_constant(l, rng):
    """Footnote 1: ⟨ℓ m ℓ -m|0 0⟩ = (-1)^(ℓ-m) / sqrt(2ℓ+1)."""
    features = np.zeros(((l + 1) ** 2, 1, 1, 2), complex)
    features[l * l :] = random_complex(rng, 2 * l + 1, 1, 1, 2)
    dots, _ = dot_products_forward(features, pairs_of(2, False, "cpu"))  # of the atoms (0, 0) and (0, 1)
    coupled = cg_product(features[..., 0, 0, 0], features[..., 0, 0, 1], l, l, 0)
    np.testing.assert_allclose(dots[l, 0, 1], coupled[0] * (-1) ** l * np.sqrt(2 * l + 1), atol=1e-14)


def test_dot_products_are_symmetric_and_invariant(rng):
    """Each pair has one entry: for both orders it is what the sum over m says."""
    features = random_complex(rng, 9, C, B, N)
    dots, _ = dot_products_forward(features, PAIRS)
    for b in range(B):
        expected = np.concatenate([plain.dot_forward(f) for f in by_l(features, b)])
        assert_close(expected, expected.swapaxes(1, 2))
        assert_close(ordered(dots, PAIRS, b), expected)
    assert_close(dot_products_forward(rotate(features, random_rotation(rng)), PAIRS)[0], dots)


def test_complex64_stays_complex64(rng):
    features = random_complex(rng, 4, C, B, N).astype(np.complex64)
    edges, radial = (random_complex(rng, n, *p, B, P).astype(np.complex64) for n, p in ((2, (C,)), (K, ())))
    own, shared = (random_complex(rng, *s).astype(np.complex64) for s in ((2, C, C), (2 * C, 2 * C + K)))
    mask = np.ones((C, B, P), np.float32)
    assert edge_network_forward(edges, features, radial, mask, own, shared, PAIRS)[0].dtype == np.complex64
