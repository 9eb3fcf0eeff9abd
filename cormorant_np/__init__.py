"""Cormorant (Anderson, Hy and Kondor, NeurIPS 2019) in NumPy and CuPy, with every derivative written by hand."""

from cormorant_np.errors import while_loading

while_loading()

from cormorant_np import clebsch_gordan, data, model, plain, released, spherical_harmonics  # noqa: E402
from cormorant_np.config import Config  # noqa: E402

__all__ = ["Config", "__version__", "clebsch_gordan", "data", "model", "plain", "released", "spherical_harmonics"]
__version__ = "0.1.0"
