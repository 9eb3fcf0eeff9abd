"""A data set made ready for a network."""

import dataclasses
import math
import sys
from typing import NamedTuple

import numpy as np

from cormorant_np import data
from cormorant_np.backend import check_device, get_array_module, to_device
from cormorant_np.config import Config
from cormorant_np.data.elements import SYMBOLS, species_of
from cormorant_np.data.memory import memory_limit
from cormorant_np.data.units import energy_factor
from cormorant_np.errors import UserError
from cormorant_np.network.geometry import make_tables
from cormorant_np.network.parameters import size
from cormorant_np.training.loss import Targets
from cormorant_np.training.settings import network

BYTES_OF_A_PARAMETER = 40
"""Of the parameter, its gradient, its average and three numbers of the optimiser, with the copies of a step."""

ROUNDING = 1e-12
"""Training energies whose standard deviation is below this share of the largest differ by rounding alone."""

SLOW_L_MAX = 7
"""SymPy takes more than some seconds from this L on."""


class Problem(NamedTuple):
    """A data set made ready for a network.

    dataset : data.Dataset
    splits : dict of index arrays, "train", "valid" and "test"
    config : Config
    batch : Batch of all n molecules, on the device
    num_atoms : (n,) integers, on the host
    targets : Targets on the device, (energy - reference - mean) / scale and force / scale; forces if they are learned
    mean, scale : mean and standard deviation of the training energies less their references
    references : {charge: energy of the element}, or None
    reference : (n,) float64, what the elements contribute to each energy, zero without references
    """

    dataset: data.Dataset
    splits: dict
    config: Config
    batch: data.Batch
    num_atoms: np.ndarray
    targets: Targets
    mean: float
    scale: float
    references: dict | None
    reference: np.ndarray


def prepare(settings, run=None):
    """Load the data of a run, split them, and put them on the device.

    Energies are centred and scaled in float64, before any cast: total energies of -97,000 kcal/mol would lose the
    digits that matter in float32.

    Parameters
    ----------
    settings : Settings
    run : dict of what a run has already, as from `run_directory.read_run`; or None

    Returns
    -------
    Problem

    Raises
    ------
    UserError
        If the data do not fit the settings, or are not those that the run was begun with.
    """
    check_device(settings.device)
    dataset, splits = load_data(settings)
    if run is None:
        check_numbers(splits, settings)
        run = {"splits": splits, "config": network(settings, dataset.charges[splits["train"]])}
    splits, config = run["splits"], run["config"]
    check_splits(splits, dataset)
    check_species(splits, config, dataset)
    dataset = without_unused(dataset, splits)
    check_size(config)
    references = run["references"] if "references" in run else find_references(settings, dataset, splits["train"])
    dataset = dataset._replace(notes=(*dataset.notes, *unused_references(settings, dataset)))
    reference = data.reference_energies(dataset.charges, references) if references else np.zeros(len(dataset.energies))
    energies = dataset.energies - reference
    train = energies[splits["train"]]
    mean, scale = float(train.mean()), float(train.std())
    scale = scale if scale > ROUNDING * np.abs(dataset.energies).max() else 1.0
    check_energies(mean, scale, run, dataset)
    check_parts(parts_known_by(dataset, splits), run, scale, dataset.name)
    batch = data.make_batch(dataset.charges, dataset.positions, config, np.dtype(settings.dtype))
    num_atoms = (dataset.charges > 0).sum(axis=1)
    for n in np.unique(num_atoms[num_atoms > 0]).tolist():
        make_tables(n, config, settings.dtype, settings.device)
    return Problem(
        dataset=dataset,
        splits=splits,
        config=config,
        batch=data.batch.to_device(batch, settings.device),
        num_atoms=num_atoms,
        targets=_targets(dataset, (energies - mean) / scale, scale, num_atoms, settings),
        mean=mean,
        scale=scale,
        references=references,
        reference=reference,
    )


def check_splits(splits, dataset):
    """A `UserError` if indices lie beyond the data, as for a file that has changed since the run began."""
    last, number = max(int(indices.max(initial=0)) for indices in splits.values()), len(dataset.energies)
    if last >= number:
        raise UserError(
            f"The run has a molecule of the number {last}, but {dataset.name} has {number}: give the data that it was "
            "begun with."
        )


def check_numbers(splits, settings):
    """A `UserError` if a file of its own for a part has fewer molecules than are asked for."""
    for part in ("valid", "test"):
        path, wanted = getattr(settings, f"{part}_file"), getattr(settings, f"num_{part}")
        if path is not None and (wanted or 0) > len(splits[part]):
            raise UserError(
                f"{wanted} {part} molecules were asked for, but {path} has {len(splits[part])}: give a smaller "
                f"--num-{part}, or none for all of them."
            )


def check_species(splits, config, dataset):
    """A `UserError` if a molecule has an element which the network does not know, since no training molecule has it."""
    for part, indices in splits.items():
        charges = dataset.charges[indices]
        unknown = charges[~np.isin(charges, [0, *config.species])]
        if len(unknown):
            raise UserError(
                f"A {part} molecule of {dataset.name} has {SYMBOLS[int(unknown[0])]}, which no training molecule has: "
                "leave such molecules out, or train on some; --seed divides the data otherwise."
            )


def without_unused(dataset, splits):
    """The data with molecules of no atoms in the place of those that are in no part, whatever elements these have."""
    used = np.isin(np.arange(len(dataset.energies)), np.concatenate(list(splits.values())))
    return dataset._replace(charges=np.where(used[:, None], dataset.charges, 0))


def check_energies(mean, scale, run, dataset):
    """A `UserError` if mean and deviation of the training energies are not those that a run was begun with."""
    kept_mean, kept_scale = run.get("mean"), run.get("scale")
    if kept_mean is None:
        return
    if abs(mean - kept_mean) > 1e-6 * kept_scale or abs(scale - kept_scale) > 1e-6 * kept_scale:
        raise UserError(
            f"The energies of {dataset.name} are not those that the run was begun with (mean {kept_mean:.6g}, now "
            f"{mean:.6g} {dataset.unit}): give the data that it was begun with, or start another run."
        )


def parts_known_by(dataset, splits):
    """By what the molecules of a part are known again: the means of their energies and of their Σ_i r_i², in Å².

    Returns
    -------
    {name of the part: [mean energy, mean square]}, without parts that have no molecules
    """
    squares = (dataset.positions**2).sum(axis=(1, 2))
    return {
        part: [float(dataset.energies[indices].mean()), float(squares[indices].mean())]
        for part, indices in splits.items()
        if len(indices)
    }


def check_parts(found, run, scale, name):
    """A `UserError` if the molecules of a part are not those that a run was begun with; older runs do not know them."""
    for part, (energy, square) in (run.get("parts") or {}).items():
        now_energy, now_square = found.get(part, (math.inf, math.inf))
        if abs(now_energy - energy) > 1e-6 * scale or abs(now_square - square) > 1e-6 * square:
            raise UserError(
                f"The {part} molecules of {name} are not those that the run was begun with (mean energy {energy:.8g}, "
                f"now {now_energy:.8g}; mean square of the positions {square:.6g}, now {now_square:.6g} Å²): give the "
                "data that it was begun with, or start another run."
            )


def check_size(config):
    """Before a network is built: does it fit the memory? Says on stderr if its coefficients take long.

    Raises
    ------
    UserError
        If the parameters and what the optimiser keeps of them do not fit.
    """
    number, limit = size(config), memory_limit()
    needed = BYTES_OF_A_PARAMETER * number
    if needed > limit:
        raise UserError(
            f"The network has {number:.3g} parameters, which need {needed / 2**30:.3g} GiB to train, but "
            f"{limit / 2**30:.3g} GiB may be used: use fewer --num-channels, --num-layers or a smaller --l-max."
        )
    l_max = max(config.l_max + config.l_max_sh)
    if l_max >= SLOW_L_MAX:
        print(f"Computing the Clebsch-Gordan coefficients up to L = {l_max}, which takes a while.", file=sys.stderr)


def load_data(settings):
    """The data set of a run, and its splits; files for validation and test are joined to it.

    Returns
    -------
    Dataset, dict of index arrays under "train", "valid" and "test"
    """
    dataset, splits = _load_and_split(settings)
    for part in ("train", "test"):
        if not len(splits[part]):
            raise UserError(f"No molecule of {dataset.name} is left to {part}: ask for fewer in the other parts.")
    return dataset, splits


def _load_and_split(settings):
    keys = settings.energy_unit, settings.energy_key, settings.forces_key
    names = settings.dataset, settings.molecule, settings.data_dir, settings.data_file, settings.target
    dataset = data.load(*names, *keys, settings.rmd17_split)
    wanted = {part: getattr(settings, f"num_{part}") for part in ("train", "valid", "test")}
    files = {part: getattr(settings, f"{part}_file") for part in ("valid", "test")}
    others = {part: data.load_file(path, *keys) for part, path in files.items() if path is not None}
    if not others:
        return dataset, data.split(dataset, *wanted.values(), settings.seed)
    inside = {part: 0 if part in others else number for part, number in wanted.items()}
    tenth = max(1, len(dataset.energies) // 10)
    inside |= {part: tenth for part in ("valid", "test") if inside[part] is None}
    splits = data.split(dataset, *inside.values(), settings.seed)
    joined = data.join({"train": dataset, **others})
    return joined, splits | {part: joined.splits[part][: wanted[part]] for part in others}


def find_references(settings, dataset, train):
    """Energies of the elements: of isolated atoms if known, else fitted if compositions differ, else None."""
    if settings.reference_energies is not None:
        references = data.read_references(settings.reference_energies, settings.energy_unit, settings.energy_key)
        factor = energy_factor(settings.energy_unit or "eV", dataset.unit)
        return {charge: factor * energy for charge, energy in references.items()}
    if dataset.references and set(species_of(dataset.charges)) <= set(dataset.references):
        return dataset.references
    compositions = np.sort(dataset.charges[train], axis=1)
    if settings.is_qm9 or (compositions == compositions[0]).all():
        return None
    return data.fit_references(dataset.charges[train], dataset.energies[train])


def unused_references(settings, dataset):
    """A sentence if isolated atoms of the data are not used, since they lack an element."""
    missing = set(species_of(dataset.charges)) - set(dataset.references or ())
    if dataset.references and missing and settings.reference_energies is None:
        yield f"The isolated atoms are not used: there is none of {', '.join(SYMBOLS[z] for z in sorted(missing))}."


def with_force_weight(settings, dataset):
    """Settings whose weight of the forces, if it is None, is 1 where the data have forces and 0 where not."""
    if settings.force_weight is not None:
        return settings
    return dataclasses.replace(settings, force_weight=0.0 if dataset.forces is None else 1.0)


def _targets(dataset, energies, scale, num_atoms, settings):
    weight = with_force_weight(settings, dataset).force_weight
    if weight and dataset.forces is None:
        raise UserError(f"{dataset.name} has no forces: learn its energies alone with --force-weight 0.")
    energies = energies.astype(settings.dtype)
    forces = (dataset.forces / scale).astype(settings.dtype) if weight else None
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
    return [train[batch] for batch in data.draw_batches(problem.num_atoms[train], settings.batch_size, rng)]
