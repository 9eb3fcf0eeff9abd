"""How much arithmetic a training step is, and how fast the machine could do it."""

import time

import numpy as np

from cormorant_np.backend import get_array_module, synchronise
from cormorant_np.clebsch_gordan import table
from cormorant_np.network.arrangement import layer_coupling
from cormorant_np.network.coupling import published_paths
from cormorant_np.network.pairs import pairs_of
from cormorant_np.network.parameters import num_edge_columns

COMPLEX_MULTIPLY_ADD = 8
REAL_COMPLEX_MULTIPLY_ADD = 4
PASSES = 3
"""Every product c = a b of the forward pass returns as two of the backward pass, for da and db; G = g Y, in a step by
energies, as itself and for dg."""


def count_operations(config, num_molecules, num_atoms, as_printed=False):
    """Floating-point operations of one training step, by part, for molecules without padding.

    Only products are counted, with the additions that belong to them: they are all but a few percent. The coefficients
    of the coupling are constants, so that the coupling counts twice, not three times.

    Parameters
    ----------
    as_printed : count the equations as they stand, for every ordered pair of atoms and every path of the square,
        rather than what is left when all that is equal by symmetry is taken once, and one pair stands for all those of
        an atom with itself, unless they are neighbours

    Returns
    -------
    dict of int
    """
    atoms, c = num_molecules * num_atoms, config.num_channels
    ordered = num_molecules * num_atoms**2
    pairs = ordered if as_printed else num_molecules * len(pairs_of(num_atoms, config.self_pairs, "cpu").first)
    counts = dict.fromkeys(("edge network", "edge to vertex", "aggregation", "square", "coupling", "mixing"), 0)
    for s in range(config.num_layers):
        num_in, num_sh = (config.layer_l_max(s) + 1) ** 2, (config.l_max_sh[s] + 1) ** 2
        edge_columns = sum(num_edge_columns(config, s, l) for l in range(config.l_max_sh[s] + 1))
        squares = num_in**2 if as_printed else num_in * (num_in + 1) // 2
        mixed_paths, nonzeros = (_paths_as_printed if as_printed else _paths_kept)(config, s)
        rows = sum((2 * l + 1) * k for l, k in enumerate(mixed_paths))
        counts["edge network"] += PASSES * COMPLEX_MULTIPLY_ADD * pairs * c * (edge_columns + num_in)
        counts["edge to vertex"] += PASSES * COMPLEX_MULTIPLY_ADD * ordered * c * num_sh
        counts["aggregation"] += PASSES * COMPLEX_MULTIPLY_ADD * ordered * c * num_sh * num_in
        counts["square"] += PASSES * COMPLEX_MULTIPLY_ADD * atoms * c * squares
        counts["coupling"] += 2 * REAL_COMPLEX_MULTIPLY_ADD * atoms * c * nonzeros
        counts["mixing"] += PASSES * COMPLEX_MULTIPLY_ADD * atoms * c * c * rows
    return counts


def _paths_kept(config, s):
    """The numbers of paths of each ℓ that layer s mixes, and of coefficients that make them."""
    coupling = layer_coupling(config, s, np.empty(0))
    return coupling.num_paths, coupling.matrix.nnz


def _paths_as_printed(config, s):
    """The same of all paths, where the identity is no product and has no coefficients."""
    l_in, l_sh, l_out = config.layer_l_max(s), config.l_max_sh[s], config.l_max[s]
    published = [published_paths(l, l_in, l_sh, config.vertex_order) for l in range(l_out + 1)]
    products = [(l1, l2, l) for l, of_l in enumerate(published) for kind, l1, l2 in of_l if kind != "identity"]
    return list(map(len, published)), sum(int(np.count_nonzero(table(*p))) for p in products)


def matrix_product_peak(pool, real, size=512, repeats=8):
    """Floating-point operations a second of complex matrix products, of all workers together.

    Parameters
    ----------
    pool : Workers
    real : an array of the real dtype, on the device
    """
    tasks = [(real, size, repeats)] * pool.number
    seconds = min(max(pool.run(_multiply, tasks)) for _ in range(4))
    return COMPLEX_MULTIPLY_ADD * size**3 * repeats * pool.number / seconds


def _multiply(real, size, repeats):
    """Seconds that some matrix products take."""
    xp = get_array_module(real)
    a = xp.ones((size, size), dtype=np.result_type(real.dtype, np.complex64))
    began = time.perf_counter()
    for _ in range(repeats):
        product = a @ a
    synchronise(product)
    return time.perf_counter() - began
