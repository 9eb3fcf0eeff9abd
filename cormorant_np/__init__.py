"""Cormorant (Anderson, Hy and Kondor, NeurIPS 2019) in NumPy and CuPy, with every derivative written by hand."""

from cormorant_np import clebsch_gordan, data, model, plain, released, spherical_harmonics
from cormorant_np.config import Config

__all__ = ["Config", "__version__", "clebsch_gordan", "data", "model", "plain", "released", "spherical_harmonics"]
__version__ = "0.1.0"
