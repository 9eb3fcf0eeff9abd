"""NumPy or CuPy: the only file that names CuPy.

The network is written once. Where it needs a namespace it asks `xp = get_array_module(x)`; everywhere else methods and
operators of the arrays do. Arrays go to a device at the start of a run and come back at its end, by `to_device` and
`to_host`.
"""

import numpy as np
import scipy.sparse

from cormorant_np.errors import UserError

INSTALL = "pip install 'cupy-cuda12x[ctk]' (CUDA 12) or pip install 'cupy-cuda13x[ctk]' (CUDA 13)"
HOST_TYPES = (np.ndarray, np.generic, int, float)


def get_array_module(x):
    """The module, `numpy` or `cupy`, that the array x belongs to."""
    if isinstance(x, HOST_TYPES):
        return np
    import cupy

    return cupy.get_array_module(x)


def to_host(x):
    """A NumPy array with the values of x, an array of either module or a number."""
    return np.asarray(x) if isinstance(x, HOST_TYPES) else x.get()


def to_device(x, device):
    """A NumPy array, or a SciPy sparse matrix, on `device`, "cpu" or "gpu"."""
    if device == "cpu":
        return x
    import cupy

    if scipy.sparse.issparse(x):
        import cupyx.scipy.sparse

        return cupyx.scipy.sparse.csr_matrix(x)
    return cupy.asarray(x)


def device_of(x):
    """The name of the device, "cpu" or "gpu", that holds x."""
    return "cpu" if get_array_module(x) is np else "gpu"


def synchronise(x):
    """Wait until x, an array of either module, has been computed."""
    if device_of(x) == "gpu":
        get_array_module(x).cuda.get_current_stream().synchronize()


def check_device(device):
    """Fail in one sentence if `device` cannot be used; on a GPU, run one small matrix product.

    Raises
    ------
    UserError
        CuPy is not installed, there is no device or driver, or CUDA's libraries are missing.
    """
    if device == "cpu":
        return
    try:
        import cupy
    except ImportError:
        raise UserError(f"--device gpu needs CuPy, which is not installed: {INSTALL}.") from None
    if not cupy.is_available():
        raise UserError("--device gpu found no CUDA device or driver on this machine: use --device cpu.")
    try:
        x = cupy.ones((2, 2), dtype=cupy.complex64)
        float((x @ x).real.sum())
    except Exception as error:
        raise UserError(
            f"--device gpu found a device, but CuPy cannot compute on it ({error}); CUDA's libraries may be missing: "
            f"{INSTALL}."
        ) from None
