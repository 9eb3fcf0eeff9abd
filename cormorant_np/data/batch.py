"""Batches of molecules: charges and positions, padded to the same number of atoms."""

from typing import NamedTuple

import numpy as np

from cormorant_np.errors import UserError


class Batch(NamedTuple):
    """B molecules of at most N atoms; atoms with charge 0 are padding.

    charges : (B, N) integers
    positions : (B, N, 3) in Å, each molecule's centre at the origin
    """

    charges: np.ndarray
    positions: np.ndarray


def make_batch(charges, positions, config, dtype=np.float32):
    """Check B molecules, centre each one in float64, and cast them to the network's precision.

    The centre is the mean over the molecule's own atoms; without it, float32 would lose digits on molecules that
    drifted far from the origin (in rMD17, benzene drifts by hundreds of Å).

    Parameters
    ----------
    charges : (B, N) integers, 0 is padding
    positions : (B, N, 3) in Å
    config : Config
    dtype : float32 or float64

    Raises
    ------
    UserError
        If the shapes disagree, a charge is not in `config.species`, or an atom's position is not finite.
    """
    charges, positions = np.asarray(charges), np.asarray(positions, dtype=np.float64)
    if charges.ndim != 2 or positions.shape != (*charges.shape, 3):
        raise UserError(
            f"charges must have shape (B, N) and positions (B, N, 3), not {charges.shape} and {positions.shape}."
        )
    unknown = sorted(set(np.unique(charges).tolist()) - {0, *config.species})
    if unknown:
        raise UserError(
            f"The molecules contain the charges {unknown}, but the network knows only {list(config.species)}: "
            "give Config every species of the data."
        )
    atoms = (charges > 0)[..., None]
    if not np.isfinite(np.where(atoms, positions, 0)).all():
        raise UserError("Some positions are not finite numbers: remove these molecules from the data.")
    positions = np.where(atoms, positions, 0)
    centre = positions.sum(axis=1, keepdims=True) / np.maximum(atoms.sum(axis=1, keepdims=True), 1)
    return Batch(charges.astype(np.int64), np.where(atoms, positions - centre, 0).astype(dtype))


def take(batch, indices):
    """Some molecules of a batch: `indices` is a slice or an array of integers on the batch's device."""
    return Batch(batch.charges[indices], batch.positions[indices])
