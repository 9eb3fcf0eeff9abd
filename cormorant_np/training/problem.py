"""A data set made ready for a network."""

from typing import NamedTuple

import numpy as np

from cormorant_np import data
from cormorant_np.backend import check_device, get_array_module, to_device
from cormorant_np.config import Config
from cormorant_np.network.pairs import pair_indices
from cormorant_np.training.settings import network


class Problem(NamedTuple):
    """A data set made ready for a network.

    dataset : data.Dataset
    splits : dict of index arrays, "train", "valid" and "test"
    config : Config
    batch : Batch of all n molecules, on the device
    num_atoms : (n,) integers, on the host
    targets : (n,) real on the device, (energy - mean) / scale
    mean, scale : mean and standard deviation of the training energies
    """

    dataset: data.Dataset
    splits: dict
    config: Config
    batch: data.Batch
    num_atoms: np.ndarray
    targets: np.ndarray
    mean: float
    scale: float


def prepare(settings, splits=None):
    """Load the data of a run, split them, and put them on the device.

    Energies are centred and scaled in float64, before any cast: total energies of -97,000 kcal/mol would lose the
    digits that matter in float32.

    Parameters
    ----------
    settings : Settings
    splits : dict of index arrays, if the run has them already

    Returns
    -------
    Problem
    """
    check_device(settings.device)
    dataset = data.load(settings.dataset, settings.molecule, settings.data_dir, settings.data_file, settings.target)
    if splits is None:
        splits = data.split(dataset, settings.num_train, settings.num_valid, settings.num_test, settings.seed)
    config = network(settings, dataset)
    train_energies = dataset.energies[splits["train"]]
    mean, scale = float(train_energies.mean()), float(train_energies.std()) or 1.0
    batch = data.make_batch(dataset.charges, dataset.positions, config, np.dtype(settings.dtype))
    targets = ((dataset.energies - mean) / scale).astype(settings.dtype)
    num_atoms = (dataset.charges > 0).sum(axis=1)
    for n in np.unique(num_atoms).tolist():
        pair_indices(n, settings.device)  # so that no training step uploads these tables
    return Problem(
        dataset=dataset,
        splits=splits,
        config=config,
        batch=data.batch.to_device(batch, settings.device),
        num_atoms=num_atoms,
        targets=to_device(targets, settings.device),
        mean=mean,
        scale=scale,
    )


def minibatch(problem, indices):
    """The molecules at `indices`, a host array, without the padding that none of them needs; and their targets."""
    num_atoms = int(problem.num_atoms[indices].max())
    indices = get_array_module(problem.targets).asarray(indices)
    charges, positions = data.take(problem.batch, indices)
    return data.Batch(charges[:, :num_atoms], positions[:, :num_atoms]), problem.targets[indices]


def epoch_batches(problem, settings, epoch):
    """Index arrays of the mini-batches of an epoch, which depend on nothing but seed and epoch."""
    rng = np.random.default_rng([settings.seed, epoch])
    train = problem.splits["train"]
    return [train[batch] for batch in data.bucketed_batches(problem.num_atoms[train], settings.batch_size, rng)]
