"""Energies of the elements: what each atom contributes to the energies of molecules of different composition."""

import numpy as np

from cormorant_np.data.elements import SYMBOLS, species_of
from cormorant_np.errors import UserError


def fit_references(charges, energies):
    """Energies of the elements whose sums over the molecules' atoms are closest to the energies (least squares).

    Where the compositions do not determine them (a single composition, say), they are those with the smallest sum of
    squares, which still give the mean energy of every composition as well as it can be had.

    Parameters
    ----------
    charges : (n, N) integers, 0 is padding
    energies : (n,)

    Returns
    -------
    dict
        {charge: energy}, in the unit of the energies.
    """
    species = species_of(charges)
    counts = np.stack([(charges == charge).sum(axis=1) for charge in species], axis=1).astype(np.float64)  # (n, K)
    solution = np.linalg.lstsq(counts, np.asarray(energies, np.float64))[0]
    return dict(zip(species, solution.tolist(), strict=True))


def reference_energies(charges, references):
    """What the elements contribute to the energy of each molecule.

    Parameters
    ----------
    charges : (n, N) integers, 0 is padding
    references : {charge: energy}, as from `fit_references`

    Returns
    -------
    (n,) float64

    Raises
    ------
    UserError
        If a molecule has an element without a reference.
    """
    species = species_of(charges)
    missing = sorted(set(species) - set(references))
    if missing:
        symbols = ", ".join(SYMBOLS[charge] for charge in missing)
        raise UserError(f"There is no reference energy for {symbols}: give one for every element of the molecules.")
    contribution = np.zeros(max(species, default=0) + 1)
    contribution[species] = [references[charge] for charge in species]
    return contribution[charges].sum(axis=1)
