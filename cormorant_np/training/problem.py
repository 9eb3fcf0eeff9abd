"""A data set made ready for a network."""

from typing import NamedTuple

import numpy as np

from cormorant_np import data
from cormorant_np.backend import check_device, get_array_module, to_device
from cormorant_np.config import Config
from cormorant_np.errors import UserError
from cormorant_np.network.pairs import pair_indices
from cormorant_np.training.loss import Targets
from cormorant_np.training.settings import network


class Problem(NamedTuple):
    """A data set made ready for a network.

    dataset : data.Dataset
    splits : dict of index arrays, "train", "valid" and "test"
    config : Config
    batch : Batch of all n molecules, on the device
    num_atoms : (n,) integers, on the host
    targets : Targets on the device, (energy - mean) / scale and force / scale; no forces unless they are learned
    mean, scale : mean and standard deviation of the training energies
    """

    dataset: data.Dataset
    splits: dict
    config: Config
    batch: data.Batch
    num_atoms: np.ndarray
    targets: Targets
    mean: float
    scale: float


def prepare(settings, splits=None, config=None):
    """Load the data of a run, split them, and put them on the device.

    Energies are centred and scaled in float64, before any cast: total energies of -97,000 kcal/mol would lose the
    digits that matter in float32.

    Parameters
    ----------
    settings : Settings
    splits, config : the run's, if it has them already: a dict of index arrays, and the network

    Returns
    -------
    Problem
    """
    check_device(settings.device)
    dataset = data.load(settings.dataset, settings.molecule, settings.data_dir, settings.data_file, settings.target)
    if splits is None:
        splits = data.split(dataset, settings.num_train, settings.num_valid, settings.num_test, settings.seed)
    config = config or network(settings, dataset)
    train_energies = dataset.energies[splits["train"]]
    mean, scale = float(train_energies.mean()), float(train_energies.std()) or 1.0
    batch = data.make_batch(dataset.charges, dataset.positions, config, np.dtype(settings.dtype))
    num_atoms = (dataset.charges > 0).sum(axis=1)
    for n in np.unique(num_atoms).tolist():
        pair_indices(n, settings.device)  # so that no training step uploads these tables
    return Problem(
        dataset=dataset,
        splits=splits,
        config=config,
        batch=data.batch.to_device(batch, settings.device),
        num_atoms=num_atoms,
        targets=_targets(dataset, mean, scale, num_atoms, settings),
        mean=mean,
        scale=scale,
    )


def _targets(dataset, mean, scale, num_atoms, settings):
    if settings.force_weight and dataset.forces is None:
        raise UserError(f"{dataset.name} has no forces: learn its energies alone with --force-weight 0.")
    energies = ((dataset.energies - mean) / scale).astype(settings.dtype)
    forces = (dataset.forces / scale).astype(settings.dtype) if settings.force_weight else None
    on_device = [None if array is None else to_device(array, settings.device) for array in (energies, forces)]
    return Targets(*on_device, int(num_atoms.sum()))


def minibatch(problem, indices):
    """The molecules at `indices`, a host array, without the padding that none of them needs; and their targets."""
    num_atoms = problem.num_atoms[indices]
    most, total = int(num_atoms.max()), int(num_atoms.sum())
    energies, forces, _ = problem.targets
    indices = get_array_module(energies).asarray(indices)
    charges, positions = data.take(problem.batch, indices)
    targets = Targets(energies[indices], None if forces is None else forces[indices][:, :most], total)
    return data.Batch(charges[:, :most], positions[:, :most]), targets


def mirrored(batch, targets, rng):
    """Some of the molecules, drawn by lot, as mirror images, r → -r.

    Energies do not change under a reflection and forces turn along. The network has to learn it: unlike rotations, it
    is not built in, since products with odd ℓ1 + ℓ2 - ℓ are kept (see `exactness.parity_errors`).
    """
    signs = get_array_module(batch.positions).asarray(rng.choice([-1.0, 1.0], (len(batch.charges), 1, 1)))
    signs = signs.astype(batch.positions.dtype)
    forces = None if targets.forces is None else signs * targets.forces
    return batch._replace(positions=signs * batch.positions), targets._replace(forces=forces)


def epoch_batches(problem, settings, epoch):
    """Index arrays of the mini-batches of an epoch, which depend on nothing but seed and epoch."""
    rng = np.random.default_rng([settings.seed, epoch])
    train = problem.splits["train"]
    return [train[batch] for batch in data.bucketed_batches(problem.num_atoms[train], settings.batch_size, rng)]
