"""Data: MD17, rMD17, the bundled sample, and batches."""

from cormorant_np.data.batch import Batch, make_batch, take
from cormorant_np.data.dataset import Dataset, split
from cormorant_np.data.loading import load

__all__ = ["Batch", "Dataset", "load", "make_batch", "split", "take"]
