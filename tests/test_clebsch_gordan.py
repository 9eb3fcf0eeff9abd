"""Clebsch-Gordan coefficients against the algebra of angular momentum, and the coupling matrix against loops."""

import numpy as np
import pytest
import sympy
from conftest import assert_close, cg_product, couples, harmonics, random_complex

from cormorant_np.clebsch_gordan import exact, table
from cormorant_np.network.coupling import coupling
from cormorant_np.network.real_form import join, real_matrix, split
from cormorant_np.network.vertex_network import mix_forward
from cormorant_np.rotation import angular_momentum

TRIPLES = [(l1, l2, l) for l1 in range(4) for l2 in range(4) for l in range(abs(l1 - l2), l1 + l2 + 1)]
ORDERS = [("aggregate", "square", "identity"), ("aggregate", "identity", "square")]
LAYERS = [(0, 1, 1), (1, 2, 2), (2, 1, 3), (2, 2, 0), (3, 3, 3)]  # l_in, l_sh, l_out


@pytest.mark.parametrize("l1, l2, l", TRIPLES)
def test_coefficients_carry_the_sum_of_two_angular_momenta_to_one(l1, l2, l):
    """(J1 + J2) C = C J, columns of length 1, and Condon and Shortley's sign, ⟨ℓ1 ℓ1 ℓ2 ℓ-ℓ1|ℓ ℓ⟩ > 0.

    By Schur's lemma no other C has all three.
    """
    c = table(l1, l2, l).reshape(-1, 2 * l + 1)
    for j1, j2, j in zip(angular_momentum(l1), angular_momentum(l2), angular_momentum(l), strict=True):
        total = np.kron(j1, np.eye(2 * l2 + 1)) + np.kron(np.eye(2 * l1 + 1), j2)
        np.testing.assert_allclose(total @ c, c @ j, atol=1e-13)
    np.testing.assert_allclose(c.T @ c, np.eye(2 * l + 1), atol=1e-14)
    assert table(l1, l2, l)[2 * l1, l2 + l - l1, 2 * l] > 0


@pytest.mark.parametrize("l1, l2", [(1, 1), (2, 1), (2, 3), (3, 3)])
def test_all_coefficients_of_two_weights_are_an_orthogonal_matrix(l1, l2):
    c = np.concatenate([table(l1, l2, l).reshape(-1, 2 * l + 1) for l in range(abs(l1 - l2), l1 + l2 + 1)], axis=1)
    np.testing.assert_allclose(c @ c.T, np.eye(len(c)), atol=1e-14)


@pytest.mark.parametrize("l", range(4))
def test_the_coupling_to_a_scalar_has_its_closed_form(l):
    for m in range(-l, l + 1):
        assert exact(l, m, l, -m, 0, 0) == (-1) ** (l - m) / sympy.sqrt(2 * l + 1)


@pytest.mark.parametrize("l1, l2, l", TRIPLES)
def test_coefficients_are_square_roots_of_rationals(l1, l2, l):
    m1, m2 = l1, l - l1 if abs(l - l1) <= l2 else -l2
    assert (exact(l1, m1, l2, m2, l, m1 + m2) ** 2).is_Rational


def test_coefficients_vanish_unless_the_weights_and_the_components_match():
    for l1, l2, l in np.ndindex(3, 3, 5):
        for m1, m2 in [(l1, 0), (0, -l2), (l1, -l2)]:
            for m in range(-l, l + 1):
                if m != m1 + m2 or not couples(l1, l2, l):
                    assert exact(l1, m1, l2, m2, l, m) == 0


@pytest.mark.parametrize("l1, l2, l", TRIPLES)
def test_the_product_of_two_harmonics_of_one_direction_is_a_harmonic(l1, l2, l, rng):
    """Y^ℓ1(r̂) ⊗cg Y^ℓ2(r̂) = ⟨ℓ1 0 ℓ2 0|ℓ 0⟩ Y^ℓ(r̂)."""
    y = harmonics(rng.standard_normal(3), 6)
    expected = float(exact(l1, 0, l2, 0, l, 0)) * y[l * l : (l + 1) ** 2]
    np.testing.assert_allclose(cg_product(y, y, l1, l2, l), expected, atol=1e-13)


@pytest.mark.parametrize("l1, l", [(1, 1), (2, 1), (2, 3), (3, 5)])
def test_the_square_of_an_odd_path_vanishes(l1, l, rng):
    f = random_complex(rng, (l1 + 1) ** 2)
    np.testing.assert_allclose(cg_product(f, f, l1, l1, l), 0, atol=1e-14)


def test_the_cached_table_cannot_be_overwritten():
    with pytest.raises(ValueError, match="read-only"):
        table(1, 1, 1)[0, 0, 0] = 1


def all_paths(g, f, l_in, l_sh, l, order):
    """Every path of (S5) into ℓ with its products, in the order of the published weights."""
    pairs = {
        "aggregate": [(g, f, l1, l2) for l1 in range(l_sh + 1) for l2 in range(l_in + 1)],
        "square": [(f, f, l1, l2) for l1 in range(l_in + 1) for l2 in range(l_in + 1)],
        "identity": [([1], f, 0, l)] if l <= l_in else [],
    }
    return [
        (part, l1, l2, cg_product(a, b, l1, l2, l))
        for part in order
        for a, b, l1, l2 in pairs[part]
        if couples(l1, l2, l)
    ]


def products_of(g, f):
    """X: all F_q G_p, p inside, then F, then the F_p F_q with p ≤ q, p = q first; in real form, (rows, 2)."""
    upper = [*(f * f), *(f[p] * f[q] for p in range(len(f)) for q in range(p + 1, len(f)))]
    return split(np.concatenate([np.outer(f, g).ravel(), f, upper]), 1)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("l_in, l_sh, l_out", LAYERS)
def test_the_coupling_matrix_makes_every_different_path(l_in, l_sh, l_out, order, rng):
    g, f = random_complex(rng, (l_sh + 1) ** 2), random_complex(rng, (l_in + 1) ** 2)
    couple = coupling(l_in, l_sh, l_out, order, "float64", "cpu")
    expected = []
    for l in range(l_out + 1):
        different = [
            z
            for part, l1, l2, z in all_paths(g, f, l_in, l_sh, l, order)
            if part != "square" or l1 < l2 or (l1 == l2 and l % 2 == 0)
        ]
        assert couple.num_paths[l] == len(different)
        expected.append(np.array(different).T.ravel())
    assert_close(join(couple.matrix @ products_of(g, f), 1), np.concatenate(expected))
    assert abs(couple.transpose - couple.matrix.T).max() == 0


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("l_in, l_sh, l_out", LAYERS)
def test_folded_weights_mix_as_the_published_ones_do_over_all_paths(l_in, l_sh, l_out, order, rng):
    g, f = random_complex(rng, (l_sh + 1) ** 2), random_complex(rng, (l_in + 1) ** 2)
    couple = coupling(l_in, l_sh, l_out, order, "float64", "cpu")
    folded, expected = [], []
    for l in range(l_out + 1):
        z = np.array([product for *_, product in all_paths(g, f, l_in, l_sh, l, order)])
        weight = random_complex(rng, 3, len(z))
        expected.extend((weight @ z).T)
        folded.append(weight @ couple.fold[l].T)
    paths = (couple.matrix @ products_of(g, f)).reshape(-1, 2, 1, 1, 1)
    transposed = np.concatenate(folded, axis=1).T[:, None]  # (paths, 1, 3)
    mixed, _ = mix_forward(paths, real_matrix(transposed, 0), couple)
    assert_close(join(mixed, 1)[..., 0, 0], np.array(expected))


def test_the_coupling_of_a_full_layer_is_sparse_and_has_the_asked_precision():
    couple = coupling(3, 3, 3, ORDERS[0], "float32", "cpu")
    assert couple.matrix.shape[1] == 16 * 16 + 16 + 16 * 17 // 2
    assert couple.matrix.dtype == np.float32
    assert couple.matrix.nnz < 0.02 * np.prod(couple.matrix.shape)
