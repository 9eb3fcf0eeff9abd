"""Divide the molecules of an epoch into batches: of all sizes, or of similar sizes, so that padding costs little."""

import numpy as np


def draw_batches(num_atoms, batch_size, rng, window=1):
    """Batches in random order, of molecules that are drawn at random or have similar numbers of atoms.

    The molecules are shuffled and then, window by window, sorted by size with a stable sort, which leaves those of one
    size in random order. Sorting saves padding, but batches of one size learn worse (docs/results.md), so it is not the
    default. Where all have the same size, the batches are pieces of a plain permutation.

    Parameters
    ----------
    num_atoms : (n,) integers
    batch_size : int
        One batch is smaller if it does not divide n.
    rng : numpy.random.Generator
    window : int or None
        Batches in a window: 1, the default, leaves them random; None sorts all molecules, which has the least padding.

    Returns
    -------
    list of int64 arrays
        Every index from 0 to n - 1 is in exactly one of them.
    """
    order = rng.permutation(len(num_atoms))
    window = len(order) if window is None else window * batch_size
    windows = np.arange(len(order)) // max(window, 1)
    order = order[np.lexsort((num_atoms[order], windows))]
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [batches[k] for k in rng.permutation(len(batches))]


def padding_share(num_atoms, batches):
    """The share of padding among the rows for atoms, if each batch is padded to its largest molecule.

    Parameters
    ----------
    num_atoms : (n,) integers
    batches : list of index arrays, as from `draw_batches`

    Returns
    -------
    float
        0 if all molecules of a batch have the same size, in every batch.
    """
    atoms = sum(num_atoms[batch].sum() for batch in batches)
    rows = sum(len(batch) * num_atoms[batch].max() for batch in batches)
    return 1 - atoms / rows
