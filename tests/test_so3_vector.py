"""Rows (ℓ, m) of SO(3)-vectors, one by one."""

import numpy as np
import pytest
from conftest import assert_close, harmonics, random_complex

from cormorant_np.rotation import random_rotation, rotate
from cormorant_np.so3_vector import block, dual, l_of_rows, num_l, parity, sum_over_m

L = 4
ROWS = [(l, m) for l in range(L + 1) for m in range(-l, l + 1)]


def test_blocks_follow_each_other_and_hold_their_weight():
    rows = list(range(len(ROWS)))
    assert [rows[block(l)] for l in range(L + 1)] == [[r for r in rows if ROWS[r][0] == l] for l in range(L + 1)]


@pytest.mark.parametrize("l_max", range(L + 1))
def test_every_row_knows_its_weight_and_its_parity(l_max):
    x = np.zeros(((l_max + 1) ** 2, 2, 3), complex)
    expected = [l for l, _ in ROWS if l <= l_max]
    assert l_of_rows(x).tolist() == expected
    assert num_l(x) == len(set(expected))
    assert parity(x).tolist() == [1 if l % 2 == 0 else -1 for l in expected]


def test_parity_is_the_sign_of_the_harmonics_of_the_opposite_direction(rng):
    v = rng.standard_normal(3)
    y = harmonics(v, L)
    assert_close(parity(y) * y, harmonics(-v, L))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("real", [True, False])
def test_sums_over_m_are_those_of_a_loop(real, axis, rng):
    x = random_complex(rng, len(ROWS), 2, 3)
    x = x.real if real else x
    expected = np.zeros((L + 1, 2, 3), x.dtype)
    for row, (l, _) in enumerate(ROWS):
        expected[l] += x[row]
    assert_close(sum_over_m(np.moveaxis(x, 0, axis), axis), np.moveaxis(expected, 0, axis))


def test_the_dual_turns_m_around_with_a_sign(rng):
    x = random_complex(rng, len(ROWS), 2, 3)
    turned = dual(x)
    for row, (l, m) in enumerate(ROWS):
        np.testing.assert_array_equal(turned[row], (-1) ** m * x[ROWS.index((l, -m))])


def test_the_dual_of_the_dual_is_the_vector_itself(rng):
    x = random_complex(rng, 9, 2)
    assert (dual(dual(x)) == x).all()


def test_the_product_with_the_dual_is_invariant(rng):
    x, y, rotation = random_complex(rng, 9, 2), random_complex(rng, 9, 2), random_rotation(rng)
    assert_close(sum_over_m(dual(rotate(x, rotation)) * rotate(y, rotation)), sum_over_m(dual(x) * y))


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_the_precision_is_kept(dtype):
    x = np.ones((9, 2), dtype)
    assert dual(x).dtype == sum_over_m(x).dtype == dtype
    assert parity(x).dtype == np.float32
