"""What a run is: its data, its network and its training, with the defaults of every data set."""

import dataclasses
import math
import os
from pathlib import Path

import numpy as np

from cormorant_np import config as of_network
from cormorant_np.backend import DEVICES
from cormorant_np.config import CONVENTIONS, Config, check_switches, check_whole_numbers
from cormorant_np.data.elements import species_of
from cormorant_np.data.rmd17 import SPLITS
from cormorant_np.data.units import ENERGIES_IN_EV
from cormorant_np.errors import UserError

SIZES = {
    "sample": {"num_train": 3000, "num_valid": 500, "num_test": 1000},
    "md17": {"num_train": 50_000, "num_valid": 10_000, "num_test": 10_000},
    "rmd17": {"num_train": 950, "num_valid": 50, "num_test": 1000},
    "qm9": {"num_train": 100_000, "num_valid": 17_748, "num_test": 13_083},
    "qm9-sample": {"num_train": 800, "num_valid": 100, "num_test": 100},
    "file": {},
}
"""Default numbers of molecules of each data set."""

PAPER = {"lr": 5e-4, "batch_size": 25, "epochs": 512}
RELEASED = {"lr": 1e-3, "lr_final": 1e-5, "batch_size": 25, "epochs": 255}
FORCES = {
    "lr": 2e-3,
    "lr_final": 1e-5,
    "batch_size": 10,
    "epochs": 100,
    "force_weight": 1.0,
    "mirror": True,
    "network": {"num_frequencies": 2},
}
"""Protocols of training: section 2's, the released code's, and one that learns forces too (docs/training.md)."""

GAIN_WITH_FORCES = 2.5
"""g per square root of the number of channels, 10 for 16, where a run learns forces (docs/training.md)."""

PROTOCOLS = ("paper", "forces")

DEFAULTS = {
    "sample": ("forces", {"epochs": 4}),
    "md17": ("paper", {}),
    "rmd17": ("forces", {}),
    "qm9": ("paper", {"epochs": 256}),
    "qm9-sample": ("paper", {"epochs": 30}),
    "file": ("forces", {}),
}
"""The default protocol of each data set, and where the data set has it otherwise."""


LIMITS = of_network.LIMITS | {
    "rmd17_split": (min(SPLITS), max(SPLITS)),
    "num_train": (1, 10**9),
    "num_valid": (0, 10**9),
    "num_test": (1, 10**9),
    "epochs": (1, 10**9),
    "batch_size": (1, 10**9),
    "early_stopping": (0, 10**9),
    "seed": (0, 2**63 - 1),
    "threads": (1, 1024),
}
"""The smallest and the largest whole number that a field may be."""

LARGEST_SETTING = 1e9
"""The largest rate, gain or number of minutes; beyond it float32 overflows, or nobody means it."""

CHOICES = {
    "dataset": list(SIZES),
    "optimizer": ["amsgrad", "adam"],
    "convention": list(CONVENTIONS),
    "dtype": ["float32", "float64"],
    "energy_unit": list(ENERGIES_IN_EV),
    "device": list(DEVICES),
}
"""The texts that a field may be."""

PATHS = ("data_dir", "data_file", "valid_file", "test_file", "reference_energies")
"""Fields that are paths."""

NETWORK_OF_DATA = ("species", "charge_scale")
"""Fields of `Config` that follow from the data."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is: its data, its network and its training. The defaults of the training are those of section 2.

    dataset : the data; default sample, which needs no download
    molecule : of MD17 or rMD17; default ethanol
    rmd17_split : which of rMD17's five official splits, 1 to 5; default 1
    target : QM9's target, default U0; --target help lists all of them
    data_dir : where data files are, or go; default CORMORANT_NP_DATA, else the user's cache directory
    data_file : a file of your own, see docs/data.md; implies --dataset file
    valid_file, test_file : files of their own for these parts; default is a part of --data-file
    energy_unit : of the energies in your files: eV, meV, kcal/mol, kJ/mol or Hartree; default what the file says
    energy_key, forces_key : names of energies and forces in your files; default energy, forces and the usual ones
    reference_energies : a file with the energies of isolated atoms, which are subtracted
    num_train, num_valid, num_test : number of molecules of this part
    epochs : how often every training molecule is seen
    batch_size : molecules in a mini-batch
    lr : learning rate of the first step
    lr_final : learning rate after the last step, by half a cosine; default --lr, a constant rate, and 1e-5 where forces
        are learned
    force_weight : w of the forces in the loss; 0 learns energies alone, as in the paper; default 1 if files have forces
    mirror : mirror molecules at random in training, which does not change their energies
    ema : decay of an average of the parameters over the steps, which is then validated and kept; 0 is no average
    weight_decay : what a parameter loses of itself in a step, times the learning rate
    early_stopping : end a run whose validation loss has not fallen for so many epochs; default 0, never
    optimizer : the paper's, or Adam
    convention : where the supplement and the released code differ, see docs/differences.md
    gain : g of section 1.6, or auto for its procedure; default 5, released convention 10, and 2.5 times the root of the
        number of channels where forces are learned
    num_channels : n_c; default 16
    num_layers : S; default 4
    l_max : L of the layers' activations, one number for all of them or one for each; default 3
    l_max_sh : L of the layers' edges and harmonics, likewise; default as --l-max
    dtype : of the real numbers
    seed : of the parameters, the split and the order of the batches; default 0
    save_every : minutes after which a checkpoint is saved within an epoch, beside that at its end; default 10
    tensorboard : write every epoch for TensorBoard too, into tensorboard/ of the run; needs tensorboardX
    device : default cpu; auto is the GPU if there is one that works
    threads : worker processes on a CPU; default: the number of cores, at most 8
    network : other fields of `Config` than the paper's
    """

    dataset: str = "sample"
    molecule: str = "ethanol"
    rmd17_split: int | None = None
    target: str = "U0"
    data_dir: str | None = None
    data_file: str | None = None
    valid_file: str | None = None
    test_file: str | None = None
    energy_unit: str | None = None
    energy_key: str | None = None
    forces_key: str | None = None
    reference_energies: str | None = None
    num_train: int | None = None
    num_valid: int | None = None
    num_test: int | None = None
    epochs: int = 512
    batch_size: int = 25
    lr: float = 5e-4
    lr_final: float | None = None
    force_weight: float | None = 0.0
    mirror: bool = False
    ema: float = 0.0
    weight_decay: float = 0.0
    early_stopping: int = 0
    optimizer: str = "amsgrad"
    convention: str = "supplement"
    gain: float | str | None = None
    num_channels: int = 16
    num_layers: int = 4
    l_max: int | tuple = 3
    l_max_sh: int | tuple | None = None
    dtype: str = "float32"
    seed: int = 0
    save_every: float = 10
    tensorboard: bool = False
    device: str = "cpu"
    threads: int = 2
    network: dict = dataclasses.field(default_factory=dict)

    @property
    def is_qm9(self):
        """Whether the data are QM9 or its sample, with one of its targets."""
        return self.dataset.startswith("qm9")

    @property
    def quantity(self):
        """What is learned, in a word: QM9's target, or "energy"."""
        return self.target if self.is_qm9 else "energy"

    def __post_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, np.generic):
                object.__setattr__(self, name, value.item())
        for name in [name for name in PATHS if getattr(self, name) is not None]:
            object.__setattr__(self, name, absolute(getattr(self, name)))
        given = {name: value for name, value in vars(self).items() if value is not None}
        for name in LIMITS.keys() & given.keys():
            value = given[name]
            check_whole_numbers(option_of(name), tuple(value) if isinstance(value, list) else value, LIMITS[name])
        for name in CHOICES.keys() & given.keys():
            if given[name] not in CHOICES[name]:
                raise UserError(f"{option_of(name)} must be one of {', '.join(CHOICES[name])}, not {given[name]}.")
        for name in {"lr", "lr_final", "save_every", "gain"} & given.keys() - {n for n in given if given[n] == "auto"}:
            if not (isinstance(given[name], int | float) and 0 < given[name] <= LARGEST_SETTING):
                raise UserError(
                    f"{option_of(name)} must be a positive number up to {LARGEST_SETTING:g}, not {given[name]}."
                )
        for name, limit in {"force_weight": math.inf, "weight_decay": math.inf, "ema": 1}.items():
            if name in given and not (isinstance(given[name], int | float) and 0 <= given[name] < limit):
                below = "" if limit == math.inf else f" and below {limit}"
                raise UserError(f"{option_of(name)} must be a number, not negative{below}, but it is {given[name]!r}.")
        check_switches(self)


def absolute(path):
    """The absolute path, as text, so that a run finds its files from any folder; ~ is the user's home."""
    try:
        return str(Path(os.path.expanduser(path)).resolve())
    except (TypeError, ValueError, RuntimeError) as error:  # for numbers, zeros, and links to themselves
        raise UserError(f"{str(path)!r} is no path ({error}): check its name.") from None


def option_of(name):
    """The option on the command line for a field of `Settings` or `Config`."""
    return f"--{name.replace('_', '-')}"


def new_settings(given, protocol=None):
    """Settings from the given options, the protocol's and the data set's defaults, in this order.

    Parameters
    ----------
    given : dict of some fields of `Settings`
    protocol : "paper" for what the paper did, or the authors in their released code if that is the convention;
        "forces" for energies and forces; None for the data set's default, where a file may have no forces
    """
    dataset = given.get("dataset", "file" if "data_file" in given else "sample")
    if dataset not in SIZES or protocol not in (None, *PROTOCOLS):
        raise UserError(
            f"The data set must be one of {', '.join(SIZES)} and the protocol one of {', '.join(PROTOCOLS)}, not "
            f"{dataset} and {protocol}."
        )
    own_protocol, own = DEFAULTS[dataset]
    protocols = {"paper": PAPER, "forces": FORCES}
    protocols[own_protocol] = protocols[own_protocol] | own
    if given.get("convention") == "released":
        protocols["paper"] = RELEASED
    defaults = protocols[protocol or own_protocol]
    if protocol is None and dataset == "file":
        defaults = defaults | {"force_weight": None}
    threads = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    sizes = {} if "data_file" in given else SIZES[dataset]
    sizes = {name: size for name, size in sizes.items() if name.replace("num_", "") + "_file" not in given}
    given = with_network(given)
    network = {**defaults.get("network", {}), **given["network"]}
    fields = {"threads": threads, "dataset": dataset, **sizes, **defaults, **given, "network": network}
    if "force_weight" in defaults and fields.get("convention") != "released":
        fields.setdefault("gain", GAIN_WITH_FORCES * fields.get("num_channels", Settings.num_channels) ** 0.5)
    fields |= {name: one_for_all(fields[name]) for name in ("l_max", "l_max_sh") if name in fields}
    return Settings(**fields)


def with_network(given):
    """Fields of `Settings` from fields of both: those that only `Config` has go into "network"."""
    own, of_config = ({field.name for field in dataclasses.fields(kind)} for kind in (Settings, Config))
    if unknown := given.keys() - own - of_config:
        raise UserError(f"There is no setting {min(unknown)}: see Settings and Config.")
    network = {**given.get("network", {}), **{name: value for name, value in given.items() if name not in own}}
    return {name: value for name, value in given.items() if name in own} | {"network": network}


def default_run_dir(settings):
    """runs/DATASET-MOLECULE, runs/DATASET-TARGET for QM9, or runs/NAME for a file of one's own."""
    if settings.data_file is not None:
        return Path("runs") / Path(settings.data_file).name.partition(".")[0]
    what = settings.target if settings.is_qm9 else settings.molecule
    return Path("runs") / f"{settings.dataset}-{what}"


def network(settings, charges):
    """The `Config` of the paper's network for molecules with these charges, with the user's changes."""
    fields = {"num_channels": settings.num_channels, "convention": settings.convention}
    if settings.gain not in (None, "auto"):
        fields["gain"] = settings.gain
    if not settings.is_qm9:
        species = species_of(charges)
        fields |= {"species": species, "charge_scale": max(species)}
    scalars_last, l_max_sh = settings.is_qm9, settings.l_max if settings.l_max_sh is None else settings.l_max_sh
    fields["l_max"] = by_layer(settings.l_max, settings.num_layers, scalars_last)
    fields["l_max_sh"] = by_layer(l_max_sh, len(fields["l_max"]), scalars_last)
    return (Config.qm9 if settings.is_qm9 else Config.md17)(**fields | settings.network)


def one_for_all(l_max):
    """A list of one number is that number, for all layers."""
    return l_max[0] if isinstance(l_max, list | tuple) and len(l_max) == 1 else l_max


def by_layer(l_max, num_layers, scalars_last):
    """L of every layer, from a list of them or from one number for all; QM9's last layer has scalars alone."""
    if not isinstance(l_max, int):
        return tuple(l_max)
    return (l_max,) * (num_layers - 1) + (0 if scalars_last else l_max,)
