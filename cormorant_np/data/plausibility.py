"""Do energies, forces and units fit together? Warnings about data that would train to a wrong result."""

from collections import Counter

import numpy as np
from scipy import constants
from scipy.spatial import cKDTree

from cormorant_np.data.units import ENERGIES_IN_EV

MIN_FRAMES = 50
MAX_FRAMES = 1000
NUM_PAIRS = 20
MIN_CORRELATION = 0.9
SLOPES = (0.6, 1.6)
MAX_ATOMS = 25  # whose distances decide which frames are alike
TEMPERATURES = (50, 6000)  # K
BOLTZMANN_EV = constants.k / constants.e


def warn(charges, positions, energies, forces, unit):
    """Sentences about forces that do not belong to the energies, and energies that spread unlike their unit.

    Parameters
    ----------
    charges : (n, N) integers, 0 is padding
    positions : (n, N, 3) in Å
    energies : (n,) in `unit`
    forces : (n, N, 3) in `unit`/Å, or None
    unit : a key of `units.ENERGIES_IN_EV`

    Returns
    -------
    list of str
        Empty where nothing is wrong, or where there are too few frames to tell.
    """
    frames, num_atoms = _largest_group(charges)
    if len(frames) < MIN_FRAMES or num_atoms < 2:
        return []
    warnings = []
    temperature = apparent_temperature(energies[frames], num_atoms, unit)
    if not TEMPERATURES[0] <= temperature <= TEMPERATURES[1]:
        warnings.append(
            f"Warning: if the energies are in {unit}, they spread as at {temperature:.3g} K: check the unit "
            "(--energy-unit)."
        )
    if forces is not None:
        slope = force_slope(positions[frames, :num_atoms], energies[frames], forces[frames, :num_atoms])
        if slope is not None and not SLOPES[0] <= slope <= SLOPES[1]:
            reason = "have the wrong sign" if slope < 0 else "are in another unit"
            warnings.append(
                f"Warning: from frame to frame, the energies change {slope:.3g} times as much as the forces say: the "
                f"forces {reason} (they must be minus the slope of the energies, in {unit}/Å)."
            )
    return warnings


def apparent_temperature(energies, num_atoms, unit):
    """The temperature in K at which 3N-6 harmonic vibrations have energies with this standard deviation.

    Each vibration's potential energy has the variance (kT)²/2. Dynamics at 300 to 1000 K gives about that; another
    unit of energy gives numbers that are 4 to 1000 times too small or too large.
    """
    num_vibrations = max(3 * num_atoms - 6, 1)
    return float(energies.std() * ENERGIES_IN_EV[unit] * np.sqrt(2 / num_vibrations) / BOLTZMANN_EV)


def force_slope(positions, energies, forces):
    """How the energies' changes compare with the work of the forces between frames that are nearly alike.

    For each frame a and the frame b with the most similar distances, b is rotated onto a, and E_a - E_b is compared
    with -(F_a + F_b)/2 · (r_a - r_b), which is exact where the energy is quadratic. The most similar pairs count.

    Parameters
    ----------
    positions, forces : (n, N, 3), all of the same molecule
    energies : (n,)

    Returns
    -------
    float or None
        The changes' standard deviation over the work's, with the correlation's sign: 1 for forces that belong to the
        energies. None where the frames are too few or too different to tell.
    """
    chosen = np.linspace(0, len(energies) - 1, min(len(energies), MAX_FRAMES)).astype(int)
    positions, energies, forces = positions[chosen], energies[chosen], forces[chosen]
    positions = positions - positions.mean(axis=1, keepdims=True)
    a, b = _similar_pairs(positions)
    if len(a) < NUM_PAIRS:
        return None
    rotations = _rotations(positions[a], positions[b])
    steps = positions[a] - positions[b] @ rotations  # (pairs, N, 3)
    mean_forces = (forces[a] + forces[b] @ rotations) / 2
    work = -(mean_forces * steps).sum(axis=(1, 2))
    changes = energies[a] - energies[b]
    if work.std() == 0 or changes.std() == 0:
        return None
    correlation = np.corrcoef(work, changes)[0, 1]
    return float(np.sign(correlation) * changes.std() / work.std()) if abs(correlation) > MIN_CORRELATION else None


def _largest_group(charges):
    """The frames of the most frequent row of charges, and how many atoms it has."""
    rows = [row.tobytes() for row in charges]
    most, _ = Counter(rows).most_common(1)[0]
    frames = np.flatnonzero([row == most for row in rows])
    return frames, int((charges[frames[0]] > 0).sum())


def _similar_pairs(positions):
    """Indices a, b of the pairs of frames whose interatomic distances are most similar; no pair of equal frames."""
    step = -(-positions.shape[1] // MAX_ATOMS)
    i, j = np.triu_indices(len(positions[0, ::step]), 1)
    some = positions[:, ::step]
    closeness = 1 / np.maximum(np.linalg.norm(some[:, i] - some[:, j], axis=-1), 0.1)  # (n, pairs of atoms)
    distance, nearest = cKDTree(closeness).query(closeness, k=2)
    distance, nearest = distance[:, 1], nearest[:, 1]
    index = np.arange(len(nearest))
    once = (index < nearest) | (nearest[nearest] != index)
    order = [k for k in np.argsort(distance) if once[k] and distance[k] > 1e-8]
    return index[order[:NUM_PAIRS]], nearest[order[:NUM_PAIRS]]


def _rotations(positions, others):
    """(pairs, 3, 3): `others @ rotation` is as close to `positions` as a rotation can bring it (Kabsch)."""
    u, _, v = np.linalg.svd(others.swapaxes(1, 2) @ positions)
    u[:, :, 2] *= np.sign(np.linalg.det(u @ v))[:, None]
    return u @ v
