"""Data: MD17, rMD17, QM9, the bundled samples, xyz files, and batches."""

from cormorant_np.data.batch import Batch, make_batch, take
from cormorant_np.data.batches import draw_batches, padding_share
from cormorant_np.data.dataset import Dataset, join, split
from cormorant_np.data.frames import read_frames, read_molecules
from cormorant_np.data.loading import load
from cormorant_np.data.own import load_file, read_references
from cormorant_np.data.qm9 import describe_targets
from cormorant_np.data.references import fit_references, reference_energies
from cormorant_np.data.xyz import Frame, pad, read_xyz

__all__ = [
    "Batch",
    "Dataset",
    "Frame",
    "describe_targets",
    "draw_batches",
    "fit_references",
    "join",
    "load",
    "load_file",
    "make_batch",
    "pad",
    "padding_share",
    "read_frames",
    "read_molecules",
    "read_references",
    "read_xyz",
    "reference_energies",
    "split",
    "take",
]
