"""Pairs of atoms: distances and spherical harmonics (sections 1.1 and 1.4.3).

r_ij = r_i - r_j, from the sender j to the receiver i. All arrays here have one entry for both orders of a pair, that
of j ≤ i: (..., B, P), see `pairs`.
"""

from typing import NamedTuple

import numpy as np

from cormorant_np.backend import device_of, get_array_module
from cormorant_np.pairs import gather_backward, pair_indices
from cormorant_np.spherical_harmonics import normalise, normalise_backward, solid_sh, solid_sh_backward


class Geometry(NamedTuple):
    """What the layers need to know about B molecules of at most N atoms.

    atoms : (B, N) real, 1 for atoms and 0 for padding
    distances : (B, P) real, |r_ij| in Å; 1 where there is no pair of two different atoms
    distinct : (B, P) real, 1 for pairs of two different atoms, else 0
    neighbours : (B, P) real, 1 for pairs with j ∈ N(i), else 0
    harmonics : ((L_sh+1)², B, P) complex, Y_ℓm(r̂_ij); Y_ℓm(r̂_ji) is (-1)^ℓ times it
    """

    atoms: np.ndarray
    distances: np.ndarray
    distinct: np.ndarray
    neighbours: np.ndarray
    harmonics: np.ndarray


def geometry_forward(charges, positions, config):
    """Distances and harmonics of all pairs.

    Nothing divides by the distance of an atom to itself or to padding: such pairs count as 1 Å long in `distances`,
    which no result depends on, since `distinct` and `neighbours` leave them out.

    Parameters
    ----------
    charges : (B, N) integers, 0 is padding
    positions : (B, N, 3) in Å
    config : Config, for `l_max_sh`, `solid_harmonics` (Y^ℓ(r̂) or r^ℓ Y^ℓ(r̂)) and `self_pairs` (is i ∈ N(i)?)

    Returns
    -------
    Geometry, cache
    """
    first, second, _ = pair_indices(positions.shape[1], device_of(positions))
    atoms = (charges > 0).astype(positions.dtype)
    both = atoms[:, first] * atoms[:, second]
    distinct = both * (first != second)
    vectors = (positions[:, second] - positions[:, first]) * distinct[..., None]
    unit, lengths = normalise(vectors)
    harmonics = solid_sh(vectors if config.solid_harmonics else unit, max(config.l_max_sh))
    distances = get_array_module(lengths).where(distinct > 0, lengths, 1)
    geometry = Geometry(atoms, distances, distinct, both if config.self_pairs else distinct, harmonics)
    return geometry, (geometry, unit, lengths, config)


def geometry_backward(d_distances, d_harmonics, cache):
    """Gradient by the positions, (B, N, 3).

    r_ij = r_i - r_j sends the gradient of every pair to i, and its negative to j.
    """
    geometry, unit, lengths, config = cache
    d_argument = solid_sh_backward(d_harmonics, geometry.harmonics)
    if config.solid_harmonics:
        d_vectors = d_argument + unit * d_distances[..., None]
    else:
        d_vectors = normalise_backward(d_argument, d_distances, unit, lengths)
    d_vectors = gather_backward((d_vectors * geometry.distinct[..., None]).swapaxes(1, 2))
    return (d_vectors.sum(axis=2) - d_vectors.sum(axis=3)).swapaxes(1, 2)
