"""Pairs of atoms: distances, harmonics, and with `radial` all that layers need to know of them (1.1, 1.4.2, 1.4.3).

r_ij = r_i - r_j, from the sender j to the receiver i. Arrays on pairs have one entry for both orders, that of
j ≤ i: (..., P), see `pairs`; in the end there are harmonics of ordered pairs, too.
"""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from cormorant_np.backend import device_of, get_array_module, to_device
from cormorant_np.network.pairs import Pairs, pairs_of, spread, spread_backward
from cormorant_np.network.radial import mask_backward, mask_forward, radial_backward, radial_forward
from cormorant_np.so3_vector import block, read_only
from cormorant_np.spherical_harmonics import normalise, normalise_backward, solid_sh, solid_sh_backward


class Geometry(NamedTuple):
    """What the layers need to know about B molecules of at most N atoms.

    pairs : Pairs of N atoms: what the P entries of the other arrays are
    atoms : (B, N) real, 1 for atoms and 0 for padding
    distances : (B, P) real, |r_ij| in Å; 1 where there is no pair of two different atoms
    distinct : (B, P) real, 1 for pairs of two different atoms, else 0
    neighbours : (B, P) real, 1 for pairs with j ∈ N(i), else 0
    harmonics : ((L_sh+1)², B, P) complex, Y_ℓm(r̂_ij); Y_ℓm(r̂_ji) is (-1)^ℓ times it
    """

    pairs: Pairs
    atoms: np.ndarray
    distances: np.ndarray
    distinct: np.ndarray
    neighbours: np.ndarray
    harmonics: np.ndarray


def geometry_forward(charges, positions, config):
    """Distances and harmonics of all pairs; `plain.geometry_forward`, once for both orders of a pair.

    Nothing divides by the distance of an atom to itself or to padding: such pairs count as 1 Å long in `distances`,
    which no result depends on: whoever reads them multiplies by `distinct` or `neighbours`.

    Parameters
    ----------
    charges : (B, N) integers, 0 is padding
    positions : (B, N, 3) in Å
    config : Config, for `l_max_sh`, `solid_harmonics` (Y^ℓ(r̂) or r^ℓ Y^ℓ(r̂)) and `self_pairs` (is i ∈ N(i)?)

    Returns
    -------
    Geometry, cache
    """
    pairs = pairs_of(positions.shape[1], config.self_pairs, device_of(positions))
    first, second = pairs.first, pairs.second
    atoms = (charges > 0).astype(positions.dtype)
    both = atoms[:, first] * atoms[:, second]
    distinct = both * (first != second)
    vectors = (positions[:, second] - positions[:, first]) * distinct[..., None]  # (B, P, 3)
    unit, lengths = normalise(vectors)
    harmonics = solid_sh(vectors if config.solid_harmonics else unit, max(config.l_max_sh))
    distances = get_array_module(lengths).where(distinct > 0, lengths, 1)
    geometry = Geometry(pairs, atoms, distances, distinct, both if config.self_pairs else distinct, harmonics)
    return geometry, (geometry, unit, lengths, config)


def geometry_backward(d_distances, d_harmonics, cache):
    """Gradient by the positions, (B, N, 3) real, from (B, P) real and ((L_sh+1)², B, P) complex.

    Since r_ij = r_i - r_j = -r_ji, the gradient by r_i is the sum of those by r_ij over j. Pairs have those of j ≤ i;
    the other order has the negative, the sign of ℓ = 1.
    """
    geometry, unit, lengths, config = cache
    d_argument = solid_sh_backward(d_harmonics, geometry.harmonics)
    if config.solid_harmonics:
        d_vectors = d_argument + unit * d_distances[..., None]
    else:
        d_vectors = normalise_backward(d_argument, d_distances, unit, lengths)
    d_vectors = spread((d_vectors * geometry.distinct[..., None]).swapaxes(1, 2), geometry.pairs)  # (B, 3, N_i, N_j)
    d_vectors *= _order_signs(d_vectors.shape[-1], d_vectors.dtype, device_of(d_vectors))
    return d_vectors.sum(axis=3).swapaxes(1, 2)


def ordered_harmonics_forward(harmonics, pairs):
    """The harmonics of all ordered pairs, made once for all layers.

    Pairs have Y_ℓ(r̂_ij) for j ≤ i; the other order has Y_ℓ(-r̂) = (-1)^ℓ Y_ℓ(r̂).

    Parameters
    ----------
    harmonics : ((L+1)², B, P) complex

    Returns
    -------
    (B, (L+1)², N_i, N_j) complex
    """
    y = spread(harmonics.swapaxes(0, 1), pairs)  # (B, (L+1)², N_i, N_j)
    return _turned(y)


def ordered_harmonics_backward(d_ordered, pairs):
    """The sum of both orders, with their signs, ((L+1)², B, P) complex."""
    return spread_backward(_turned(d_ordered.copy()), pairs).swapaxes(0, 1)


def _turned(y):
    """Y_ℓ of j ≤ i becomes that of (j, i), in place: (-1)^ℓ times it if j > i."""
    signs = _order_signs(y.shape[-1], y.real.dtype, device_of(y))
    for l in range(1, math.isqrt(y.shape[1]), 2):
        y[:, block(l)] *= signs
    return y


@cache
def _order_signs(num_atoms, dtype, device):
    """-1 if j > i, else 1, (N_i, N_j)."""
    i, j = np.indices((num_atoms, num_atoms))
    return to_device(read_only(np.where(j > i, -1, 1).astype(dtype)), device)


def make_tables(num_atoms, config, dtype, device):
    """Put the tables for molecules of so many atoms on the device, so that no later step has to upload them."""
    pairs_of(num_atoms, config.self_pairs, device)
    _order_signs(num_atoms, np.dtype(dtype), device)


class PairFunctions(NamedTuple):
    """All that the layers need to know about pairs of atoms; none of it depends on activations.

    geometry : Geometry
    radial : (S, K, B, P) complex, η of every layer
    masks : (S, C, B, P) real, μ of every layer
    harmonics : (B, (L_sh+1)², N_i, N_j) complex, Y of all ordered pairs
    """

    geometry: Geometry
    radial: np.ndarray
    masks: np.ndarray
    harmonics: np.ndarray


def pair_functions_forward(weights, charges, positions, config):
    """Distances, radial functions, masks and harmonics of all pairs (sections 1.4.2 and 1.4.3).

    Parameters
    ----------
    weights : the parameters, arranged, for "radial.kappa", "radial.phi", "edge.cutoff" and "edge.width" of all layers
    charges : (B, N) integers, 0 is padding
    positions : (B, N, 3) in Å
    config : Config

    Returns
    -------
    PairFunctions, cache
    """
    geometry, geometry_cache = geometry_forward(charges, positions, config)
    radial, radial_cache = radial_forward(weights["radial.kappa"], weights["radial.phi"], geometry, config)
    masks, mask_cache = mask_forward(weights["edge.cutoff"], weights["edge.width"], geometry, config)
    harmonics = ordered_harmonics_forward(geometry.harmonics, geometry.pairs)
    return PairFunctions(geometry, radial, masks, harmonics), (geometry_cache, radial_cache, mask_cache)


def pair_functions_backward(d_radial, d_masks, d_harmonics, d_distances, cache):
    """The gradients by the four parameters, a dict, and by the positions, (B, N, 3).

    Parameters
    ----------
    d_radial, d_masks, d_harmonics : with the shapes of `PairFunctions`; d_harmonics None if no positions are wanted
    d_distances : (B, P) real, from what else reads distances
    """
    geometry_cache, radial_cache, mask_cache = cache
    grads = {}
    grads["radial.kappa"], grads["radial.phi"], d_r = radial_backward(d_radial, radial_cache)
    grads["edge.cutoff"], grads["edge.width"], d_r_mask = mask_backward(d_masks, mask_cache)
    if d_harmonics is None:
        return grads, None
    d_distances = d_distances + d_r + d_r_mask
    d_harmonics = ordered_harmonics_backward(d_harmonics, geometry_cache[0].pairs)
    return grads, geometry_backward(d_distances, d_harmonics, geometry_cache)
