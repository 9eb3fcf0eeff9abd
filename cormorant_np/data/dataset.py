"""A data set of molecules with energies, and its division into training, validation and test frames."""

from typing import NamedTuple

import numpy as np

from cormorant_np.data.units import energy_factor
from cormorant_np.errors import UserError

DEFAULT_SHARES = {"train": 0.8, "valid": 0.1, "test": 0.1}  # where neither the user nor the data set says it


class Dataset(NamedTuple):
    """n frames of at most N atoms.

    name : what the frames are, for example "md17 ethanol"
    theory : the method that computed the energies and the forces
    charges : (n, N) int64, 0 = padding
    positions : (n, N, 3) float64 in Å, each molecule's centre at the origin
    energies : (n,) float64 in `unit`, as published: no mean is subtracted and no precision lost; in QM9, whichever
        property was chosen as the target, less the free atoms' share
    forces : (n, N, 3) float64 in `unit`/Å, or None
    unit : the unit of the energies, "kcal/mol" for MD17 and rMD17; that of the target in QM9
    splits : the official indices under "train", "valid" and "test"; empty if there is no official split
    references : {charge: energy of the isolated atom, in `unit`}, or None where the file has none
    notes : sentences that whoever trains on the data should read, such as which unit was assumed
    """

    name: str
    theory: str
    charges: np.ndarray
    positions: np.ndarray
    energies: np.ndarray
    forces: np.ndarray | None
    unit: str
    splits: dict[str, np.ndarray]
    references: dict[int, float] | None = None
    notes: tuple[str, ...] = ()


def centred(charges, positions):
    """Positions (n, N, 3) with the mean over each molecule's own atoms at the origin, and zeros for padding."""
    atoms = (charges > 0)[..., None]  # (n, N, 1)
    positions = np.where(atoms, positions, 0)
    centres = positions.sum(axis=1, keepdims=True) / np.maximum(atoms.sum(axis=1, keepdims=True), 1)
    return np.where(atoms, positions - centres, 0)


def join(parts):
    """Several data sets as one, whose `splits` say which frames come from which.

    Energies and forces are converted to the unit of the first. Smaller molecules are padded.

    Parameters
    ----------
    parts : {name of the part: Dataset}

    Raises
    ------
    UserError
        If some have forces and some have none.
    """
    first, sets = next(iter(parts.values())), list(parts.values())
    if len({one.forces is None for one in sets}) > 1:
        names = ", ".join(one.name for one in sets)
        raise UserError(f"Some of {names} have forces and some have none: give files that all have them, or none.")
    size = max(one.charges.shape[1] for one in sets)
    ends = np.cumsum([len(one.energies) for one in sets])
    factors = [energy_factor(one.unit, first.unit) for one in sets]
    has_forces, scaled = first.forces is not None, list(zip(sets, factors, strict=True))
    return first._replace(
        charges=np.concatenate([_widened(one.charges, size) for one in sets]),
        positions=np.concatenate([_widened(one.positions, size) for one in sets]),
        energies=np.concatenate([factor * one.energies for one, factor in scaled]),
        forces=np.concatenate([factor * _widened(one.forces, size) for one, factor in scaled]) if has_forces else None,
        references={z: f * e for one, f in scaled[::-1] for z, e in (one.references or {}).items()} or None,
        splits=dict(zip(parts, np.split(np.arange(ends[-1]), ends[:-1]), strict=True)),
        notes=tuple(dict.fromkeys(note for one in sets for note in one.notes)),
    )


def _widened(array, size):
    """(n, N, ...) → (n, size, ...), with zeros."""
    return np.pad(array, [(0, 0), (0, size - array.shape[1]), *[(0, 0)] * (array.ndim - 2)])


def split(dataset, num_train, num_valid, num_test, seed):
    """Disjoint indices for training, validation and test.

    With an official split, each part is the first `num_*` frames of the official part, and `seed` is not used.
    rMD17 has no official validation part: there, the validation frames are the last `num_valid` frames of the official
    training part, and cannot be training frames as well. Of its 1000 training frames, 950 train and 50 validate, say.

    Without an official split, the frames are permuted with `seed`; training takes the front of the permutation, test
    the back, and validation what stands before test. So the test frames stay the same when only `num_train` changes,
    and a smaller training set is contained in a larger one.

    Parameters
    ----------
    dataset : Dataset
    num_train, num_valid, num_test : int or None
        None takes all that there is: the whole official part (no validation frames where there is no such part), or,
        without an official split, all that the two other parts leave. There, one of the three may be None, or all
        three: then a tenth of the frames validates, a tenth tests, and the rest trains.
    seed : int

    Returns
    -------
    dict
        int64 arrays under "train", "valid" and "test".

    Raises
    ------
    UserError
        If more frames are asked for than there are, or a number is negative.
    """
    wanted = {"train": num_train, "valid": num_valid, "test": num_test}
    if any(number is not None and number < 0 for number in wanted.values()):
        raise UserError(f"The numbers of train, valid and test frames must not be negative, but they are {wanted}.")
    parts = dataset.splits or _permuted_parts(dataset, wanted, seed)
    if "valid" not in parts:
        parts = _validate_on_the_end_of_train(dataset, parts, num_valid or 0)
    for part, number in wanted.items():
        if number is not None and number > len(parts[part]):
            raise UserError(
                f"{number} {part} frames were asked for, but {dataset.name} has {len(parts[part])} of them "
                f"(its parts are {_sizes(parts)}): ask for fewer."
            )
    return {part: parts[part][:number].astype(np.int64) for part, number in wanted.items()}


def _permuted_parts(dataset, wanted, seed):
    num_frames = len(dataset.energies)
    open_parts = [part for part, number in wanted.items() if number is None]
    if len(open_parts) == len(wanted):
        wanted, open_parts = _default_numbers(dataset), []
    rest = num_frames - sum(number or 0 for number in wanted.values())
    if rest < 0:
        raise UserError(
            f"{num_frames - rest} frames were asked for ({_numbers(wanted)}), but {dataset.name} has {num_frames}: "
            "ask for fewer."
        )
    if len(open_parts) > 1:
        raise UserError(
            f"{dataset.name} has no official split: give the number of frames for all but one of {', '.join(wanted)}, "
            "or for none of them."
        )
    sizes = wanted | dict.fromkeys(open_parts, rest)
    order = np.random.default_rng(seed).permutation(num_frames)
    start_test = num_frames - sizes["test"]
    start_valid = start_test - sizes["valid"]
    return {"train": order[: sizes["train"]], "valid": order[start_valid:start_test], "test": order[start_test:]}


def _default_numbers(dataset):
    num_frames = len(dataset.energies)
    if num_frames < len(DEFAULT_SHARES):
        raise UserError(f"{dataset.name} has {num_frames} frames, too few to train, validate and test: give 3 or more.")
    numbers = {part: max(1, round(share * num_frames)) for part, share in DEFAULT_SHARES.items()}
    return numbers | {"train": num_frames - numbers["valid"] - numbers["test"]}


def _validate_on_the_end_of_train(dataset, parts, num_valid):
    num_train = len(parts["train"])
    end = num_train - num_valid
    if end < 0:
        raise UserError(
            f"{num_valid} validation frames were asked for, but {dataset.name} takes them from its "
            f"{num_train} training frames: ask for fewer."
        )
    return parts | {"train": parts["train"][:end], "valid": parts["train"][end:]}


def _sizes(parts):
    return _numbers({part: len(indices) for part, indices in parts.items()})


def _numbers(numbers):
    return ", ".join(f"{number} {part}" for part, number in numbers.items())
