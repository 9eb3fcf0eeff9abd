"""Unordered pairs, numbered and spread out by loops."""

import numpy as np
import pytest
from conftest import random_complex

from cormorant_np.network.pairs import gather, pairs_of, spread, spread_backward

N = 4
APART = [(j, i) for j in range(N) for i in range(j + 1, N)]
PAIRS = {
    True: [*((i, i) for i in range(N)), *APART],
    False: [(0, 0), *APART],
}
"""By whether atoms are their own neighbours; if not, (0, 0) stands for all (i, i)."""

either = pytest.mark.parametrize("self_pairs", [True, False])


@either
@pytest.mark.parametrize("n", [1, 2, 4, 16])
def test_pairs_begin_with_those_of_one_with_itself_and_both_orders_have_one_number(n, self_pairs):
    pairs = pairs_of(n, self_pairs, "cpu")
    own = [(i, i) for i in range(n)] if self_pairs else [(0, 0)]
    expected = own + [(j, i) for j in range(n) for i in range(j + 1, n)]
    assert list(zip(pairs.first, pairs.second, strict=True)) == expected
    assert pairs.num_own == len(own) and pairs.numbers.shape == (n, n)
    for j, i in np.ndindex(n, n):
        pair = (min(i, j), max(i, j)) if i != j or self_pairs else (0, 0)
        assert pairs.numbers[j, i] == expected.index(pair)


@either
def test_one_atom_has_one_pair(self_pairs):
    assert spread(np.array([3.0]), pairs_of(1, self_pairs, "cpu")).tolist() == [[3.0]]


@either
def test_every_pair_is_spread_to_its_two_places(self_pairs, rng):
    x = random_complex(rng, 3, 2, len(PAIRS[self_pairs]))
    full = spread(x, pairs_of(N, self_pairs, "cpu"))
    assert full.shape == (3, 2, N, N)
    for p, (j, i) in enumerate(PAIRS[self_pairs]):
        assert (full[..., j, i] == x[..., p]).all() and (full[..., i, j] == x[..., p]).all()
    if not self_pairs:
        assert all((full[..., i, i] == x[..., 0]).all() for i in range(N))


@either
def test_the_gradient_of_a_pair_is_the_sum_of_its_two_places_and_of_an_atom_itself_one(self_pairs, rng):
    d = random_complex(rng, 3, 2, N, N)
    d_pairs = spread_backward(d, pairs_of(N, self_pairs, "cpu"))
    assert d_pairs.shape == (3, 2, len(PAIRS[self_pairs]))
    for p, (j, i) in enumerate(PAIRS[self_pairs]):
        expected = d[..., j, i] if i == j else d[..., j, i] + d[..., i, j]
        np.testing.assert_array_equal(d_pairs[..., p], expected)


@either
def test_gathering_takes_one_order_of_each_pair(self_pairs, rng):
    x = random_complex(rng, 3, 2, N, N)
    expected = np.stack([x[..., j, i] for j, i in PAIRS[self_pairs]], axis=-1)
    np.testing.assert_array_equal(gather(x, pairs_of(N, self_pairs, "cpu")), expected)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_the_precision_is_kept(dtype):
    pairs = pairs_of(N, False, "cpu")
    full = spread(np.ones((2, len(pairs.first)), dtype), pairs)
    assert full.dtype == spread_backward(full, pairs).dtype == gather(full, pairs).dtype == dtype


def test_entries_come_in_the_order_of_memory(rng):
    x, pairs = random_complex(rng, 3, 2, N, N), pairs_of(N, False, "cpu")
    assert gather(x, pairs).flags.c_contiguous and spread_backward(x, pairs).flags.c_contiguous
