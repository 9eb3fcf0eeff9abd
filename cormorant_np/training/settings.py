"""What a run is: its data, its network and its training, with the defaults of every data set."""

import dataclasses
import os
from pathlib import Path

import numpy as np

from cormorant_np.config import Config
from cormorant_np.errors import UserError

SIZES = {
    "sample": {"num_train": 3000, "num_valid": 500, "num_test": 1000, "epochs": 25},
    "md17": {"num_train": 50_000, "num_valid": 10_000, "num_test": 10_000, "epochs": 512},
    "rmd17": {"num_train": 950, "num_valid": 50, "num_test": 1000, "epochs": 512},
    "qm9": {"num_train": 100_000, "num_valid": 17_748, "num_test": 13_083, "epochs": 256},
    "qm9-sample": {"num_train": 800, "num_valid": 100, "num_test": 100, "epochs": 30},
}
"""Default numbers of molecules and epochs of each data set."""


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


def new_settings(given):
    """Settings from the given options, the defaults of the data set and those of the paper, in this order."""
    dataset = given.get("dataset", "sample")
    threads = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    return Settings(**{"threads": threads, **SIZES[dataset], **given})


def default_run_dir(settings):
    """runs/DATASET-MOLECULE, or runs/DATASET-TARGET for QM9."""
    what = settings.target if settings.is_qm9 else settings.molecule
    return Path("runs") / f"{settings.dataset}-{what}"


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
