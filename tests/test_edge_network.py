"""(S2) with all indices, as the supplement prints it."""

import numpy as np
import pytest
from conftest import assert_close, cg_product, random_complex

from cormorant_np.edge_network import dot_products_forward, dual, edge_network_forward
from cormorant_np.rotation import random_rotation, rotate

B, N, C, K = 2, 3, 2, 4


def dot(f, g):
    """Σ_m (-1)^m F_m G_-m of one ℓ, m = -ℓ..ℓ."""
    l = len(f) // 2
    return sum((-1) ** m * f[l + m] * g[l - m] for m in range(-l, l + 1))


@pytest.mark.parametrize("l_edge", [None, 0, 1, 2], ids=["first layer", "L=0", "L=1", "L=2"])
@pytest.mark.parametrize("l_features", [0, 1, 2])
@pytest.mark.parametrize("l_new", [0, 1, 2])
def test_new_edges_are_masked_mixtures_of_old_edges_dots_and_radial_functions(l_edge, l_features, l_new, rng):
    num_edge_l = 0 if l_edge is None else l_edge + 1
    edges, radial = random_complex(rng, num_edge_l, C, B, N, N), random_complex(rng, K, B, N, N)
    features, mask = random_complex(rng, (l_features + 1) ** 2, C, B, N), rng.uniform(0, 1, (C, B, N, N))

    def concatenation(l, b, i, j):
        g = [edges[l, c, b, j, i] for c in range(C)] if l < num_edge_l else []
        d = [
            dot(features[k * k : (k + 1) ** 2, c, b, i], features[k * k : (k + 1) ** 2, c, b, j])
            for k in range(l_features + 1)
            for c in range(C)
        ]
        return [*g, *(d if l <= l_features else []), *radial[:, b, j, i]]

    weights = [random_complex(rng, C, len(concatenation(l, 0, 0, 0))) for l in range(l_new + 1)]
    new_edges, _ = edge_network_forward(edges, features, radial, mask, weights)

    expected = np.empty((l_new + 1, C, B, N, N), complex)
    for l, c, b, i, j in np.ndindex(l_new + 1, C, B, N, N):
        expected[l, c, b, j, i] = mask[c, b, j, i] * np.dot(weights[l][c], concatenation(l, b, i, j))
    assert_close(new_edges, expected)


@pytest.mark.parametrize("l", range(4))
def test_dot_products_are_the_coupling_to_a_scalar_up_to_a_constant(l, rng):
    """Footnote 1: ⟨ℓ m ℓ -m|0 0⟩ = (-1)^(ℓ-m) / sqrt(2ℓ+1)."""
    features = np.zeros(((l + 1) ** 2, 1, 1, 2), complex)
    features[l * l :] = random_complex(rng, 2 * l + 1, 1, 1, 2)
    dots, _ = dot_products_forward(features)
    coupled = cg_product(features[..., 0, 0, 0], features[..., 0, 0, 1], l, l, 0)
    np.testing.assert_allclose(dots[l, 0, 0, 1], coupled[0] * (-1) ** l * np.sqrt(2 * l + 1), atol=1e-14)


def test_dot_products_are_symmetric_and_invariant(rng):
    features = random_complex(rng, 9, C, B, N)
    dots, _ = dot_products_forward(features)
    assert_close(dots, dots.swapaxes(-1, -2))
    assert_close(dot_products_forward(rotate(features, random_rotation(rng)))[0], dots)


def test_the_dual_of_the_dual_is_the_vector_itself(rng):
    f = random_complex(rng, 9, C)
    assert (dual(dual(f)) == f).all()
    assert dual(f.astype(np.complex64)).dtype == np.complex64
