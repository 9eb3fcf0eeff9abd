"""Load a data set by its name."""

from pathlib import Path

from cormorant_np.data.md17 import load_md17, paper_split
from cormorant_np.data.own import load_file
from cormorant_np.data.qm9 import load_qm9, load_qm9_sample
from cormorant_np.data.reading import read_npz
from cormorant_np.data.rmd17 import load_rmd17
from cormorant_np.errors import UserError

SAMPLE = Path(__file__).with_name("sample_ethanol.npz")
NAMES = ("sample", "md17", "rmd17", "qm9", "qm9-sample", "file")


def load(
    name,
    molecule="ethanol",
    data_dir=None,
    data_file=None,
    target="U0",
    energy_unit=None,
    energy_key=None,
    forces_key=None,
    rmd17_split=None,
):
    """Load a data set.

    Parameters
    ----------
    name : str
        "sample", which comes with the package (ethanol, GFN2-xTB), "md17", "rmd17", "qm9", or "qm9-sample", which
        comes with the package too (1000 molecules of QM9), or "file", which is `data_file`.
    molecule : str
        The molecule of MD17 or rMD17; "sample" has only ethanol.
    data_dir : path or None
        Where the files of MD17, rMD17 or QM9 are, or go; see `downloads.data_directory`.
    data_file : path or None
        A file of one's own, see `own.load_file`, in place of the files of `name`; `molecule` and `data_dir` do not
        matter then. For "md17" it gets the paper's split if it has 70,000 frames or more.
    target : str
        Which of QM9's twelve targets, see `qm9.TARGETS`; the other data sets have only energies.
    energy_unit, energy_key, forces_key : str or None
        For `data_file` alone: the unit of its energies, and the names of energies and forces in it.
    rmd17_split : int or None
        Which of rMD17's five official splits, see `rmd17.load_rmd17`.

    Returns
    -------
    Dataset

    Raises
    ------
    UserError
        If a name is unknown, or a file is missing or damaged.
    """
    if name not in NAMES:
        raise UserError(f"There is no data set '{name}': choose one of {', '.join(NAMES)}.")
    if name.startswith("qm9"):
        if data_file is not None:
            raise UserError(f"The data set {name} takes no file of your own: use --dataset file for it.")
        return load_qm9(target, data_dir) if name == "qm9" else load_qm9_sample(target)
    if data_file is not None:
        dataset = load_file(data_file, energy_unit, energy_key, forces_key)
        return dataset._replace(splits=paper_split(len(dataset.energies)) if name == "md17" else {})
    if name == "file":
        raise UserError("The data set 'file' is a file of your own: name it with --data-file.")
    if name == "md17":
        return load_md17(molecule, data_dir)
    if name == "rmd17":
        return load_rmd17(molecule, data_dir, rmd17_split)
    if molecule != "ethanol":
        raise UserError(f"The sample has only ethanol, not '{molecule}': use --dataset md17, or your own file.")
    return read_npz(SAMPLE, "sample ethanol")
