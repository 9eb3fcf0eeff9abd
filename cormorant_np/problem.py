"""What a run is: its settings, and its data made ready for a network."""

import dataclasses
from typing import NamedTuple

import numpy as np

from cormorant_np import data
from cormorant_np.backend import check_device, get_array_module, to_device
from cormorant_np.config import Config
from cormorant_np.errors import UserError
from cormorant_np.pairs import pair_indices


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is: its data, its network and its training. The defaults of the training are those of section 2.

    `gain` is a number, None for the convention's, or "auto" for section 1.6's procedure.
    """

    dataset: str = "sample"
    molecule: str = "ethanol"
    target: str = "U0"
    data_dir: str | None = None
    data_file: str | None = None
    num_train: int | None = None
    num_valid: int | None = None
    num_test: int | None = None
    epochs: int = 512
    batch_size: int = 25
    lr: float = 5e-4
    optimizer: str = "amsgrad"
    convention: str = "supplement"
    gain: float | str | None = None
    num_channels: int = 16
    num_layers: int = 4
    l_max: int = 3
    dtype: str = "float32"
    seed: int = 0
    device: str = "cpu"
    threads: int = 2

    @property
    def is_qm9(self):
        """Whether the data are QM9 or its sample, with one of its targets."""
        return self.dataset.startswith("qm9")

    def __post_init__(self):
        for name in ("epochs", "batch_size", "num_channels", "num_layers", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name.replace('_', '-')} must be at least 1, not {getattr(self, name)}.")
        if not self.lr > 0:
            raise UserError(f"--lr must be positive, not {self.lr}.")


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


def network(settings, dataset):
    """The `Config` of the paper's network for a data set, with the user's changes."""
    fields = {"num_channels": settings.num_channels, "convention": settings.convention}
    if settings.gain not in (None, "auto"):
        fields["gain"] = settings.gain
    if settings.is_qm9:
        return Config.qm9(**fields, **layers("qm9", settings.num_layers, settings.l_max))
    species = sorted({int(z) for z in np.unique(dataset.charges)} - {0})
    fields |= layers("md17", settings.num_layers, settings.l_max)
    return Config.md17(species=species, charge_scale=max(species), **fields)


def layers(preset, num_layers, l_max):
    """`l_max` and `l_max_sh` of every layer: the same for all, but that QM9's last one has scalars alone."""
    by_layer = (l_max,) * num_layers if preset == "md17" else (l_max,) * (num_layers - 1) + (0,)
    return {"l_max": by_layer, "l_max_sh": by_layer}


def minibatch(problem, indices):
    """The molecules at `indices`, a host array, without the padding that none of them needs; and their targets."""
    num_atoms = int(problem.num_atoms[indices].max())
    indices = get_array_module(problem.targets).asarray(indices)
    charges, positions = data.take(problem.batch, indices)
    return data.Batch(charges[:, :num_atoms], positions[:, :num_atoms]), problem.targets[indices]


MEV = {"kcal/mol": 43.3641, "eV": 1000.0}
"""Units of energy in meV (1 kcal/mol = 4184 J/mol / (96485.33 C/mol))."""


def with_mev(error, unit):
    """An error with its unit, and in meV if it is an energy: "0.123 kcal/mol (5.3 meV)"."""
    mev = f" ({error * MEV[unit]:.1f} meV)" if unit in MEV else ""
    return f"{error:.4g} {unit}{mev}"
