"""(S2) with all indices, as the supplement prints it."""

import numpy as np
import pytest
from conftest import assert_close, cg_product, random_complex

from cormorant_np.network.edge_network import dot_products_forward, edge_network_forward
from cormorant_np.network.pairs import spread
from cormorant_np.rotation import random_rotation, rotate

B, N, C, K = 2, 3, 2, 4
P = N * (N + 1) // 2


def dot(f, g):
    """Σ_m (-1)^m F_m G_-m of one ℓ, m = -ℓ..ℓ."""
    l = len(f) // 2
    return sum((-1) ** m * f[l + m] * g[l - m] for m in range(-l, l + 1))


@pytest.mark.parametrize("l_edge", [None, 0, 1, 2], ids=["first layer", "L=0", "L=1", "L=2"])
@pytest.mark.parametrize("l_features", [0, 1, 2])
@pytest.mark.parametrize("l_new", [0, 1, 2])
def test_new_edges_are_masked_mixtures_of_old_edges_dots_and_radial_functions(l_edge, l_features, l_new, rng):
    num_edge_l = 0 if l_edge is None else l_edge + 1
    edges, radial = random_complex(rng, num_edge_l, C, B, P), random_complex(rng, K, B, P)
    features, mask = random_complex(rng, (l_features + 1) ** 2, C, B, N), rng.uniform(0, 1, (C, B, P))
    full_edges, full_radial, full_mask = spread(edges), spread(radial), spread(mask)

    def concatenation(l, b, i, j):
        g = [full_edges[l, c, b, j, i] for c in range(C)] if l < num_edge_l else []
        d = [
            dot(features[k * k : (k + 1) ** 2, c, b, i], features[k * k : (k + 1) ** 2, c, b, j])
            for k in range(l_features + 1)
            for c in range(C)
        ]
        return [*g, *(d if l <= l_features else []), *full_radial[:, b, j, i]]

    weights = [random_complex(rng, C, len(concatenation(l, 0, 0, 0))) for l in range(l_new + 1)]
    new_edges, _ = edge_network_forward(edges, features, radial, mask, *arranged(weights, num_edge_l, l_features))

    expected = np.empty((l_new + 1, C, B, N, N), complex)
    for l, c, b, i, j in np.ndindex(l_new + 1, C, B, N, N):
        expected[l, c, b, j, i] = full_mask[c, b, j, i] * np.dot(weights[l][c], concatenation(l, b, i, j))
    assert new_edges.shape == (l_new + 1, C, B, P)
    assert_close(spread(new_edges), expected)


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
    dots, _ = dot_products_forward(features)
    coupled = cg_product(features[..., 0, 0, 0], features[..., 0, 0, 1], l, l, 0)
    np.testing.assert_allclose(dots[l, 0, 1], coupled[0] * (-1) ** l * np.sqrt(2 * l + 1), atol=1e-14)


def test_dot_products_are_symmetric_and_invariant(rng):
    """Each pair has one entry: for both orders it is what the sum over m says."""
    features = random_complex(rng, 9, C, B, N)
    dots, _ = dot_products_forward(features)
    full = spread(dots).reshape(3, C, B, N, N)
    for l, c, b, i, j in np.ndindex(3, C, B, N, N):
        f = features[l * l : (l + 1) ** 2, c, b]
        np.testing.assert_allclose(full[l, c, b, j, i], dot(f[:, i], f[:, j]), rtol=1e-12, atol=1e-14)
    assert_close(dot_products_forward(rotate(features, random_rotation(rng)))[0], dots)


def test_complex64_stays_complex64(rng):
    features = random_complex(rng, 4, C, B, N).astype(np.complex64)
    edges, radial = (random_complex(rng, n, *p, B, P).astype(np.complex64) for n, p in ((2, (C,)), (K, ())))
    own, shared = (random_complex(rng, *s).astype(np.complex64) for s in ((2, C, C), (2 * C, 2 * C + K)))
    mask = np.ones((C, B, P), np.float32)
    assert edge_network_forward(edges, features, radial, mask, own, shared)[0].dtype == np.complex64
