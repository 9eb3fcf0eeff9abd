"""Data: MD17, rMD17, QM9, the bundled samples, xyz files, and batches."""

from cormorant_np.data.batch import Batch, make_batch, take
from cormorant_np.data.batches import bucketed_batches, padding_share
from cormorant_np.data.dataset import Dataset, split
from cormorant_np.data.loading import load
from cormorant_np.data.qm9 import describe_targets
from cormorant_np.data.xyz import pad, read_xyz

__all__ = [
    "Batch",
    "Dataset",
    "bucketed_batches",
    "describe_targets",
    "load",
    "make_batch",
    "pad",
    "padding_share",
    "read_xyz",
    "split",
    "take",
]
