"""Unordered pairs, numbered and spread out by loops."""

import numpy as np
import pytest
from conftest import random_complex

from cormorant_np.network.pairs import (
    gather,
    pair_indices,
    spread,
    spread_backward,
    spread_parts,
    spread_parts_backward,
)

N = 4
PAIRS = [(j, i) for j in range(N) for i in range(j, N)]


@pytest.mark.parametrize("n", [1, 2, 4, 16])
def test_pairs_are_numbered_row_by_row_and_both_orders_have_one_number(n):
    first, second, numbers = pair_indices(n, "cpu")
    pairs = [(j, i) for j in range(n) for i in range(j, n)]
    assert list(zip(first, second, strict=True)) == pairs
    assert numbers.shape == (n, n)
    for i, j in np.ndindex(n, n):
        assert numbers[j, i] == pairs.index((min(i, j), max(i, j)))


def test_every_pair_is_spread_to_its_two_places(rng):
    x = random_complex(rng, 3, 2, len(PAIRS))
    full = spread(x)
    assert full.shape == (3, 2, N, N)
    for p, (j, i) in enumerate(PAIRS):
        assert (full[..., j, i] == x[..., p]).all() and (full[..., i, j] == x[..., p]).all()


def test_the_gradient_of_a_pair_is_the_sum_of_its_two_places_and_of_an_atom_itself_one(rng):
    d = random_complex(rng, 3, 2, N, N)
    d_pairs = spread_backward(d)
    assert d_pairs.shape == (3, 2, len(PAIRS))
    for p, (j, i) in enumerate(PAIRS):
        expected = d[..., j, i] if i == j else d[..., j, i] + d[..., i, j]
        np.testing.assert_array_equal(d_pairs[..., p], expected)


def test_gathering_takes_one_order_of_each_pair(rng):
    x = random_complex(rng, 3, 2, N, N)
    np.testing.assert_array_equal(gather(x), np.stack([x[..., j, i] for j, i in PAIRS], axis=-1))


def test_the_number_of_atoms_is_found_from_the_number_of_pairs():
    for n in range(1, 130):
        num_pairs = n * (n + 1) // 2
        assert spread(np.zeros(num_pairs)).shape == (n, n)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_the_precision_is_kept(dtype):
    x = np.ones((2, len(PAIRS)), dtype)
    assert spread(x).dtype == spread_backward(spread(x)).dtype == gather(spread(x)).dtype == dtype


def test_parts_are_those_of_the_receivers_row(rng):
    x = random_complex(rng, 2, len(PAIRS))
    parts, whole = spread_parts(x), spread(x)
    assert parts.shape == (2, N, 2, N)
    np.testing.assert_array_equal(parts[:, :, 0], whole.real)
    np.testing.assert_array_equal(parts[:, :, 1], whole.imag)


def test_the_gradient_of_the_parts_of_a_pair_is_that_of_both_its_places(rng):
    d = rng.standard_normal((2, N, 2, N))
    d_whole = d[:, :, 0] + 1j * d[:, :, 1]  # (2, N_i, N_j)
    np.testing.assert_array_equal(spread_parts_backward(d), spread_backward(d_whole.swapaxes(1, 2)))


def test_entries_come_in_the_order_of_memory(rng):
    x = random_complex(rng, 3, 2, N, N)
    assert gather(x).flags.c_contiguous and spread_backward(x).flags.c_contiguous
