"""Predictions of a trained network: for the molecules of a run, and for others."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cormorant_np import data
from cormorant_np.backend import check_device, choose_device, to_host
from cormorant_np.config import Config
from cormorant_np.data.elements import SYMBOLS
from cormorant_np.data.qm9 import free_atoms
from cormorant_np.errors import UserError
from cormorant_np.training import run_directory
from cormorant_np.training.parallel import predict, predict_with_forces, workers
from cormorant_np.training.problem import minibatch

BATCH_SIZE = 500
"""Molecules that are predicted together."""


MODELS = Path(__file__).parents[1] / "models"
"""Runs that come with the package; their names stand for their directories."""

POTENTIAL_ENERGIES = ("energy", "U0", "U", "H", "G")


class Network(NamedTuple):
    """A trained network.

    config : Config
    params : dict, on `device`
    dtype : of its real numbers
    mean, scale : an energy is `mean` + `scale` times what the network gives
    unit : of the energies
    references : {charge: energy of the element}, which is added; or None
    target : "energy", or one of QM9's targets
    device : "cpu" or "gpu"
    """

    config: Config
    params: dict
    dtype: np.dtype
    mean: float
    scale: float
    unit: str
    references: dict | None
    target: str
    device: str

    @property
    def is_potential_energy(self):
        """Whether the target is an energy of the molecule, whose slope is a force."""
        return self.target in POTENTIAL_ENERGIES


def find_run(run_dir):
    """The directory of a run, given by its path or by the name of a model that comes with the package.

    A path comes back as it is, also if no run is there: whoever reads its files says so.
    """
    shipped = sorted(path.parent.name for path in MODELS.glob("*/config.json"))
    if (Path(run_dir) / "config.json").is_file() or str(run_dir) not in shipped:
        return Path(run_dir)
    return MODELS / str(run_dir)


def load_network(run_dir, device="cpu"):
    """The best model of a run, on `device`, "cpu", "gpu" or "auto".

    Raises
    ------
    UserError
        If there is no such run, or its files are damaged.
    """
    device = choose_device(device)
    check_device(device)
    run_dir = find_run(run_dir)
    run = run_directory.read_config(run_dir)
    if None in (run.mean, run.scale, run.unit):
        raise UserError(f"{run_dir / 'config.json'} is damaged: it lacks mean, scale or unit.")
    return Network(
        config=run.config,
        params=run_directory.read_best(run_dir, run, device),
        dtype=np.dtype(run.settings.dtype),
        mean=run.mean,
        scale=run.scale,
        unit=run.unit,
        references=run.references,
        target=run.settings.quantity,
        device=device,
    )


def total_energies(network, scaled, charges):
    """Energies (B,) float64 of B molecules, from what the network gives, (B,), both on the host.

    For QM9's thermochemical targets, the share of the free atoms, which the network does not learn, is added.
    """
    energies = scaled.astype(np.float64) * network.scale + network.mean
    if network.references:
        energies += data.reference_energies(charges, network.references)
    return energies if network.target == "energy" else energies + free_atoms(charges, network.target)


def predict_molecules(run_dir, molecules, forces=False, device="cpu", processes=1):
    """As `predict_with`, by the best model of a run, given by its path or the name of a model of the package."""
    return predict_with(load_network(run_dir, device), molecules, forces, processes)


def predict_with(network, molecules, forces=False, processes=1):
    """Energies, and forces if asked for, of molecules of any sizes.

    Parameters
    ----------
    network : Network
    molecules : list of (charges, positions), (N,) whole numbers and (N, 3) in Å, as from `read_xyz`

    Returns
    -------
    energies : list of float, in the unit of the run's data
    forces : list of (N, 3) arrays in that unit per Å, or of None

    Raises
    ------
    UserError
        If something given is no molecule, an element is not among those of the training data, or a prediction is not
        finite.
    """
    molecules = [checked_molecule(number, *molecule) for number, molecule in enumerate(molecules)]
    check_elements(molecules, network.config)
    energies, all_forces = [], []
    with workers(processes, network.device) as pool:
        for start in range(0, len(molecules), BATCH_SIZE):
            part = molecules[start : start + BATCH_SIZE]
            charges, positions = data.pad(part)
            host = data.make_batch(charges, positions, network.config, network.dtype, first=start)
            batch = data.batch.to_device(host, network.device)
            if forces:
                scaled, scaled_forces = predict_with_forces(network.params, batch, network.config, pool)
                scaled_forces = to_host(scaled_forces) * network.scale
                all_forces += [f[: len(z)] for f, (z, _) in zip(scaled_forces, part, strict=True)]
            else:
                scaled = predict(network.params, batch, network.config, pool)
                all_forces += [None] * len(part)
            energies += total_energies(network, to_host(scaled), charges).tolist()
            check_finite(energies[start:], all_forces[start:], range(start, len(energies)))
    return energies, all_forces


def checked_molecule(number, charges, positions):
    """Arrays of charges and positions; a `UserError` unless they are whole numbers (N,) and (N, 3), N > 0."""
    charges, positions = np.asarray(charges), np.asarray(positions, np.float64)
    whole = charges.dtype.kind in "iuf" and (charges == np.round(charges)).all()
    if not (whole and charges.ndim == 1 and len(charges) and positions.shape == (len(charges), 3)):
        raise UserError(
            f"Molecule {number} (numbered from 0) must have whole charges (N,) and positions (N, 3), of one atom or "
            f"more, but they have the shapes {charges.shape} and {positions.shape}."
        )
    return charges, positions


def check_finite(energies, all_forces, numbers=None):
    """A `UserError` that names the first molecule, from 0, whose energy or forces are not finite."""
    all_forces = [None] * len(energies) if all_forces is None else all_forces
    for k, (energy, forces) in enumerate(zip(energies, all_forces, strict=True)):
        if not (np.isfinite(energy) and (forces is None or np.isfinite(forces).all())):
            number = k if numbers is None else int(numbers[k])
            raise UserError(
                f"The prediction for molecule {number} (numbered from 0) is not finite: it is far from all that the "
                "network has seen, or the network has exploded."
            )


def check_elements(molecules, config):
    """A `UserError` that names the elements which the network has never seen."""
    unknown = sorted({int(z) for charges, _ in molecules for z in charges} - set(config.species))
    if unknown:
        names, known = (", ".join(SYMBOLS.get(z, f"the charge {z}") for z in zs) for zs in (unknown, config.species))
        raise UserError(f"The molecules contain {names}, but the run was trained on {known} alone.")


def predict_frames(params, problem, indices, pool, forces=False):
    """Energies, and forces if asked for, of the molecules of a run's data at `indices`.

    Returns
    -------
    energies : (n,) float64 in the data set's unit, on the host
    forces : (n, N, 3) float64 in that unit per Å, zero for padding, on the host; or None
    """
    energies = np.empty(len(indices))
    all_forces = np.zeros((len(indices), *problem.dataset.positions.shape[1:])) if forces else None
    for part in evaluation_batches(problem, indices):
        batch, _ = minibatch(problem, indices[part])
        if forces:
            scaled, scaled_forces = predict_with_forces(params, batch, problem.config, pool)
            all_forces[part, : scaled_forces.shape[1]] = to_host(scaled_forces).astype(np.float64) * problem.scale
        else:
            scaled = predict(params, batch, problem.config, pool)
        energies[part] = to_host(scaled).astype(np.float64) * problem.scale + problem.mean
    return energies + problem.reference[indices], all_forces


def evaluation_batches(problem, indices):
    """Positions in `indices`, in large batches of molecules of similar size."""
    order = np.argsort(problem.num_atoms[indices], kind="stable")
    return [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]


def frame_errors(params, problem, indices, pool, forces=False):
    """Predicted minus true energies, (n,), and, if asked for, forces of all atoms, (A, 3), else None."""
    energies, all_forces = predict_frames(params, problem, indices, pool, forces)
    energy_errors = energies - problem.dataset.energies[indices]
    if not forces:
        return energy_errors, None
    atoms = problem.dataset.charges[indices] > 0
    return energy_errors, (all_forces - problem.dataset.forces[indices])[atoms]
