"""How much arithmetic a training step is, and how fast the machine could do it."""

import time

import numpy as np

from cormorant_np.backend import get_array_module, synchronise
from cormorant_np.clebsch_gordan import coupling

COMPLEX_MULTIPLY_ADD = 8
REAL_COMPLEX_MULTIPLY_ADD = 4
REAL_MULTIPLY_ADD = 2
PASSES = 3
"""Every product c = a b of the forward pass returns as two of the backward pass, for da and db."""


def count_operations(config, num_molecules, num_atoms):
    """Floating-point operations of one training step, by part, for molecules without padding.

    Only products are counted, with the additions that belong to them: they are all but a few percent. The coefficients
    of the coupling are constants, so that the coupling counts twice, not three times.

    Returns
    -------
    dict of int
    """
    atoms, c = num_molecules * num_atoms, config.num_channels
    ordered, pairs = num_molecules * num_atoms**2, num_molecules * num_atoms * (num_atoms + 1) // 2
    products = dict.fromkeys(("edge network", "aggregation", "square", "mixing"), 0)
    harmonics, nonzeros = 0, 0
    for s in range(config.num_layers):
        l_in, l_sh, l_out = config.layer_l_max(s), config.l_max_sh[s], config.l_max[s]
        couple = coupling(l_in, l_sh, l_out, config.vertex_order, "float32", "cpu")
        num_in, num_sh = (l_in + 1) ** 2, (l_sh + 1) ** 2
        own = 0 if s == 0 else min(config.l_max_sh[s - 1], l_sh) + 1
        dots = (min(l_in, l_sh) + 1) * (l_in + 1) * c
        products["edge network"] += pairs * c * (own * c + dots + (l_sh + 1) * config.num_radial + num_in)
        harmonics += ordered * c * num_sh
        products["aggregation"] += ordered * c * num_sh * num_in
        products["square"] += atoms * c * num_in * (num_in + 1) // 2
        products["mixing"] += atoms * c * c * sum((2 * l + 1) * k for l, k in enumerate(couple.num_paths))
        nonzeros += couple.matrix.nnz
    counts = {part: PASSES * COMPLEX_MULTIPLY_ADD * number for part, number in products.items()}
    counts["edge to vertex"] = PASSES * REAL_COMPLEX_MULTIPLY_ADD * harmonics
    counts["coupling"] = 2 * REAL_MULTIPLY_ADD * nonzeros * atoms * c
    return counts


def matrix_product_peak(pool, like, size=512, repeats=8):
    """Floating-point operations a second of complex matrix products, of all workers together.

    Parameters
    ----------
    pool : Workers
    like : an array of the real dtype, on the device
    """
    tasks = [(like, size, repeats)] * pool.number
    seconds = min(max(pool.run(_multiply, tasks)) for _ in range(4))
    return COMPLEX_MULTIPLY_ADD * size**3 * repeats * pool.number / seconds


def _multiply(like, size, repeats):
    """Seconds that some matrix products take."""
    xp = get_array_module(like)
    a = xp.ones((size, size), dtype=np.result_type(like.dtype, np.complex64))
    began = time.perf_counter()
    for _ in range(repeats):
        product = a @ a
    synchronise(product)
    return time.perf_counter() - began
