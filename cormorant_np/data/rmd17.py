"""rMD17: frames of MD17 with energies and forces computed again, to tighter convergence."""

import shutil
import tarfile

import numpy as np

from cormorant_np.data.dataset import join
from cormorant_np.data.downloads import data_directory, download
from cormorant_np.data.md17 import FILES
from cormorant_np.data.reading import read_npz
from cormorant_np.errors import UserError
from cormorant_np.files import written_whole

ARCHIVE = "rmd17.tar.bz2"
ARCHIVE_URL = "https://ndownloader.figshare.com/files/23950376"
ARCHIVE_HASH = "md5:cb1a927628d96f2e966025da4fb63d18"
MOLECULES = tuple(FILES)
PARTS = ("train", "test")
SPLITS = range(1, 6)
THEORY = "DFT, PBE/def2-SVP"


def load_rmd17(molecule, data_dir=None, split=None):
    """One molecule of rMD17 with one of its five official splits: 1000 frames to train and 1000 to test.

    Christensen and von Lilienfeld, Machine Learning: Science and Technology 1, 045018 (2020),
    https://doi.org/10.1088/2632-2153/abba6f. The data directory is searched for (here for the first split, 01)

    1. `rmd17_<molecule>.npz`, all 100,000 frames, with the split in `splits/index_train_01.csv` and
       `splits/index_test_01.csv`;
    2. the pair `rmd17_<molecule>_train_01.npz` and `rmd17_<molecule>_test_01.npz`, the frames of the split alone;
    3. the archive `rmd17.tar.bz2` (1.07 GB), which is downloaded if it is missing, and from which the files of 1 are
       taken. It is the newest version on figshare (number 3, file 23950376); the copy on Materials Cloud has the
       same MD5.

    Parameters
    ----------
    molecule : str, one of `MOLECULES`
    data_dir : path, default as in `data_directory`
    split : int, 1 to 5, or None for the first, or for no split where 1 is there without it

    Returns
    -------
    Dataset

    Raises
    ------
    UserError
        If the molecule is unknown, or its files are missing and cannot be downloaded, or are damaged, or the wanted
        split is not among them.
    """
    if molecule not in MOLECULES:
        raise UserError(f"rMD17 has no molecule '{molecule}': choose one of {', '.join(MOLECULES)}.")
    directory = data_directory(data_dir)
    path = directory / f"rmd17_{molecule}.npz"
    pair = [directory / f"rmd17_{molecule}_{part}_0{split or 1}.npz" for part in PARTS]
    if not path.exists() and all(file.exists() for file in pair):
        return _read_pair(pair, molecule)
    if not path.exists():
        _download(directory, path)
    dataset = read_npz(path, f"rmd17 {molecule}", THEORY, energy_unit="kcal/mol")
    return dataset._replace(splits=_read_splits(directory, split, len(dataset.energies)))


def _read_pair(pair, molecule):
    train, test = (read_npz(path, f"rmd17 {molecule}", THEORY, energy_unit="kcal/mol") for path in pair)
    if not np.array_equal(train.charges[0], test.charges[0]):
        raise UserError(f"{pair[0]} and {pair[1]} do not hold the same molecule: download them again.")
    return join({"train": train, "test": test})


def _split_files(directory, number):
    return {part: directory / "splits" / f"index_{part}_0{number}.csv" for part in PARTS}


def _read_splits(directory, split, num_frames):
    files = _split_files(directory, split or 1)
    missing = [path for path in files.values() if not path.exists()]
    if missing and split is not None:
        raise UserError(f"{missing[0]} does not exist: take it out of {ARCHIVE}, or leave out --rmd17-split.")
    if missing:
        return {}
    return {part: _read_indices(path, num_frames) for part, path in files.items()}


def _read_indices(path, num_frames):
    try:
        indices = np.loadtxt(path, dtype=np.int64, ndmin=1)
    except ValueError as error:
        raise UserError(f"{path} is not a list of frame numbers, one in a line: download it again.") from error
    if not ((indices >= 0) & (indices < num_frames)).all():
        raise UserError(f"{path} names frames outside 0 to {num_frames - 1}: it belongs to another data set.")
    return indices


def _download(directory, path):
    archive = directory / ARCHIVE
    download(ARCHIVE_URL, archive, ARCHIVE_HASH)
    targets = {f"rmd17/npz_data/{path.name}": path}
    for number in SPLITS:
        targets |= {f"rmd17/splits/{file.name}": file for file in _split_files(directory, number).values()}
    print(f"Taking {path.name} out of {archive}: this takes a few minutes.")
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name in targets:
                _extract(tar, member, targets.pop(member.name))
            if not targets:
                return
    raise UserError(f"{archive} does not contain {', '.join(targets)}: delete it to download it again.")


def _extract(tar, member, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as part, tar.extractfile(member) as source, open(part, "wb") as copy:
        shutil.copyfileobj(source, copy)
