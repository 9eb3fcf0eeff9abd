"""Batches of molecules with similar sizes."""

import numpy as np

from cormorant_np.data import draw_batches, padding_share

NUM_ATOMS = np.random.default_rng(7).integers(3, 30, size=1010)


def batches(seed, num_atoms=NUM_ATOMS, window=None):
    return draw_batches(num_atoms, 25, np.random.default_rng(seed), window)


def test_every_molecule_is_in_exactly_one_batch():
    sizes = [len(batch) for batch in batches(0)]
    assert sorted(sizes) == [10] + [25] * 40
    assert sorted(np.concatenate(batches(0))) == list(range(1010))
    assert batches(0, np.array([], int)) == []


def test_sizes_in_a_batch_are_similar_and_padding_is_rare():
    assert max(np.ptp(NUM_ATOMS[batch]) for batch in batches(0)) <= 2
    assert padding_share(NUM_ATOMS, batches(0)) < 0.02
    plain = np.array_split(np.arange(1010), 40)
    assert padding_share(NUM_ATOMS, plain) > 0.4


def test_sizes_are_sorted_within_windows_alone():
    """A window of one batch leaves the permutation as it is, and more batches in a window mean less padding."""
    windowed = {window: batches(0, window=window) for window in (1, 8, None)}
    order = np.random.default_rng(0).permutation(1010)
    pieces = [set(order[start : start + 25]) for start in range(0, 1010, 25)]
    assert all(set(batch) in pieces for batch in windowed[1])
    assert all(sorted(np.concatenate(found)) == list(range(1010)) for found in windowed.values())
    shares = [padding_share(NUM_ATOMS, found) for found in windowed.values()]
    assert shares[0] > 0.4 > 0.2 > shares[1] > 0.03 > shares[2]


def test_padding_share_of_an_example():
    assert padding_share(np.array([2, 4, 3]), [np.array([0, 1]), np.array([2])]) == 1 - 9 / 11


def test_the_seed_decides_the_order_and_the_composition():
    first, again, other = batches(0), batches(0), batches(1)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert {frozenset(batch) for batch in first} != {frozenset(batch) for batch in other}
    largest = [NUM_ATOMS[batch].max() for batch in first]
    assert largest != sorted(largest)


def test_equal_sizes_give_pieces_of_a_plain_permutation():
    order = np.random.default_rng(3).permutation(100)
    pieces = {tuple(order[start : start + 25]) for start in range(0, 100, 25)}
    assert {tuple(batch) for batch in batches(3, np.full(100, 9))} == pieces


def test_without_a_window_batches_are_random():
    """Batches of one size learned worse (docs/results.md)."""
    default = draw_batches(NUM_ATOMS, 25, np.random.default_rng(0))
    assert all((a == b).all() for a, b in zip(default, batches(0, window=1), strict=True))
