"""Batches of molecules: charges and positions, padded to the same number of atoms."""

from typing import NamedTuple

import numpy as np

from cormorant_np import backend
from cormorant_np.config import MIN_DISTANCE
from cormorant_np.data.dataset import centred
from cormorant_np.errors import UserError


class Batch(NamedTuple):
    """B molecules of at most N atoms; atoms with charge 0 are padding.

    charges : (B, N) integers
    positions : (B, N, 3) in Å, each molecule's centre at the origin
    """

    charges: np.ndarray
    positions: np.ndarray


def make_batch(charges, positions, config, dtype=np.float32, first=0):
    """Check B molecules, centre each one in float64, and cast them to the network's precision.

    The centre is the mean over the molecule's own atoms; without it, float32 would lose digits on molecules that
    drifted far from the origin (in rMD17, benzene drifts by hundreds of Å).

    Parameters
    ----------
    charges : (B, N) integers, 0 is padding
    positions : (B, N, 3) in Å
    config : Config
    dtype : float32 or float64
    first : the number of the first molecule, for messages

    Raises
    ------
    UserError
        If the shapes disagree, a charge is not in `config.species`, an atom's position is not finite, or two atoms of a
        molecule coincide.
    """
    charges, positions = np.asarray(charges), np.asarray(positions, dtype=np.float64)
    if charges.ndim != 2 or positions.shape != (*charges.shape, 3):
        raise UserError(
            f"charges must have shape (B, N) and positions (B, N, 3), not {charges.shape} and {positions.shape}."
        )
    unknown = sorted(set(charges.ravel().tolist()) - {0, *config.species})
    if unknown:
        raise UserError(
            f"The molecules contain the charges {unknown}, but the network knows only {list(config.species)}: "
            "give Config every species of the data."
        )
    positions = np.where(charges[..., None] > 0, positions, 0)
    if not np.isfinite(positions).all():
        raise UserError("Some positions are not finite numbers: remove these molecules from the data.")
    refuse_coincident(charges, positions, lambda molecule: f"molecule {first + molecule}")
    return Batch(charges.astype(np.int64), centred(charges, positions).astype(dtype))


def refuse_coincident(charges, positions, name_of):
    """A `UserError` if two atoms are at the same place; `name_of` says what a molecule, by its number, is called in it.

    Atom after atom, since all pairs of a large data set would not fit into memory.
    """
    positions = np.where(charges[..., None] > 0, positions, np.nan)  # padding is close to nothing
    for i in range(1, charges.shape[1]):
        vectors = positions[:, :i] - positions[:, i : i + 1]
        too_close = np.einsum("njx,njx->nj", vectors, vectors) < MIN_DISTANCE**2
        if too_close.any():
            molecule, j = np.argwhere(too_close)[0].tolist()
            raise UserError(
                f"Atoms {j} and {i} of {name_of(molecule)} are at the same place (closer than {MIN_DISTANCE:g} Å): "
                "correct the positions, or remove the molecule."
            )


def to_device(batch, device):
    """A batch on "cpu" or "gpu", given on the host."""
    return Batch(*(backend.to_device(array, device) for array in batch))


def take(batch, indices):
    """Some molecules of a batch: `indices` is a slice or an array of integers on the batch's device."""
    return Batch(batch.charges[indices], batch.positions[indices])
