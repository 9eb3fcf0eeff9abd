"""Cormorant (Anderson, Hy and Kondor, NeurIPS 2019) in NumPy and CuPy, with every derivative written by hand."""

from cormorant_np import clebsch_gordan, data, model, released, spherical_harmonics
from cormorant_np.config import Config

__all__ = ["Config", "clebsch_gordan", "data", "model", "released", "spherical_harmonics"]
