"""MD17: DFT molecular dynamics of ten molecules at 500 K."""

import zipfile

import numpy as np

from cormorant_np.data.downloads import check_checksum, data_directory, download, record_checksum
from cormorant_np.data.reading import read_npz
from cormorant_np.errors import UserError

BASE_URL = "http://www.quantum-machine.org/gdml/data/npz"
FILES = {
    "aspirin": "md17_aspirin.npz",
    "azobenzene": "azobenzene_dft.npz",
    "benzene": "md17_benzene2017.npz",
    "ethanol": "md17_ethanol.npz",
    "malonaldehyde": "md17_malonaldehyde.npz",
    "naphthalene": "md17_naphthalene.npz",
    "paracetamol": "paracetamol_dft.npz",
    "salicylic": "md17_salicylic.npz",
    "toluene": "md17_toluene.npz",
    "uracil": "md17_uracil.npz",
}
PAPER_MIN_FRAMES = 70_000


def load_md17(molecule, data_dir=None):
    """One molecule of MD17, with the paper's split; downloaded if it is not in the data directory.

    Chmiela et al., Science Advances 3, e1603015 (2017), https://doi.org/10.1126/sciadv.1603015; the energies and
    forces are PBE with the Tkatchenko-Scheffler van der Waals correction. No checksums are published: the first
    download's is recorded beside the file and checked from then on.

    Parameters
    ----------
    molecule : str, a key of `FILES`
    data_dir : path, default as in `data_directory`

    Returns
    -------
    Dataset

    Raises
    ------
    UserError
        If the molecule is unknown, or its file is missing and cannot be downloaded, or is damaged.
    """
    if molecule not in FILES:
        raise UserError(f"MD17 has no molecule '{molecule}': choose one of {', '.join(FILES)}.")
    path = data_directory(data_dir) / FILES[molecule]
    if path.exists():
        check_checksum(path)
    else:
        _download(path)
    dataset = read_npz(path, f"md17 {molecule}", "DFT, PBE+vdW-TS", energy_unit="kcal/mol")
    return dataset._replace(splits=paper_split(len(dataset.energies)))


def paper_split(num_frames):
    """Cormorant's split of MD17: 50,000 frames to train, 10,000 to validate and 10,000 to test.

    The test frames are 20,000 to 30,000 of a permutation by NumPy's legacy generator with seed 0. A file with
    fewer than 70,000 frames has no such split: the result is an empty dict.
    """
    if num_frames < PAPER_MIN_FRAMES:
        return {}
    order = np.random.RandomState(0).permutation(num_frames)
    return {
        "train": np.concatenate([order[:10_000], order[30_000:70_000]]),
        "valid": order[10_000:20_000],
        "test": order[20_000:30_000],
    }


def _download(path):
    url = f"{BASE_URL}/{path.name}"
    download(url, path)
    if not zipfile.is_zipfile(path):
        path.unlink()
        raise UserError(f"What {url} sent for {path.name} is not an .npz file and was deleted: try again later.")
    record_checksum(path)
