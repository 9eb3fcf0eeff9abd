"""NumPy or CuPy: the only file that names CuPy.

The network is written once. Where it needs a namespace it asks `xp = get_array_module(x)`; everywhere else methods and
operators of the arrays do. Arrays go to a device at the start of a run and come back at its end, by `to_device` and
`to_host`.
"""

import sys
from contextlib import contextmanager, suppress

import numpy as np
import scipy.sparse

from cormorant_np.errors import UserError

INSTALL = "pip install 'cupy-cuda12x[ctk]' (CUDA 12) or pip install 'cupy-cuda13x[ctk]' (CUDA 13)"
DEVICES = ("cpu", "gpu", "auto")
"""What the user may ask for; "auto" is the GPU if it works, else the CPU."""

HOST_TYPES = (np.ndarray, np.generic, int, float)


def get_array_module(x):
    """The module, `numpy` or `cupy`, that the array x belongs to."""
    if isinstance(x, HOST_TYPES):
        return np
    cupy = sys.modules.get("cupy")
    return np if cupy is None else cupy.get_array_module(x)


def to_host(x):
    """A NumPy array with the values of x, an array of either module or a number."""
    return np.asarray(x) if isinstance(x, HOST_TYPES) else x.get()


def to_device(x, device):
    """A NumPy array, or a SciPy sparse matrix, on `device`, "cpu" or "gpu".

    On a GPU a sparse matrix becomes an array: cupyx's sparse matrices want the other factor by columns and give the
    product by columns, so that both would be copied at every step; a dense product needs no copy.
    """
    if device == "cpu":
        return x
    import cupy

    return cupy.asarray(x.toarray() if scipy.sparse.issparse(x) else x)


def device_of(x):
    """The name of the device, "cpu" or "gpu", that holds x."""
    return "cpu" if get_array_module(x) is np else "gpu"


def copy_rows(out, x):
    """out[...] = x, whose last axes are contiguous. NumPy is up to twice as fast if it moves that as one item."""
    if get_array_module(x) is np:
        row = np.dtype((np.void, x.shape[-1] * x.itemsize))
        out, x = out.view(row), x.view(row)
    out[...] = x


def synchronise(x):
    """Wait until x, an array of either module, has been computed."""
    if device_of(x) == "gpu":
        import cupy

        cupy.cuda.get_current_stream().synchronize()


def processes_for(device, number):
    """How many of `number` processes may share the work on `device`: one, where a GPU does it."""
    return number if device == "cpu" else 1


def take_device(device, number):
    """From now on, "gpu" is the GPU of this number, modulo the number of GPUs, if it is `device`; may fail as
    `check_device`."""
    if device == "cpu":
        return
    with suppress(ImportError):
        import cupy

        if cupy.is_available():
            cupy.cuda.Device(number % cupy.cuda.runtime.getDeviceCount()).use()
    check_device(device)


def array_counts(x):
    """Uploads, reads and operations so far, if the module of x counts them as the stand-in of the tests does, or {}."""
    return dict(getattr(get_array_module(x), "counts", {}))


def choose_device(device):
    """The user's `device`, "cpu" or "gpu"; "auto" becomes the GPU if it works, else the CPU, and says which.

    None, for which another one will be taken, stays None.
    """
    if device not in (*DEVICES, None):
        raise UserError(f"The device must be cpu, gpu or auto, not {device}.")
    if device != "auto":
        return device
    try:
        check_device("gpu")
    except UserError as error:
        print(f"--device auto takes the CPU. {error}", file=sys.stderr)
        return "cpu"
    print("--device auto takes the GPU.", file=sys.stderr)
    return "gpu"


def check_device(device):
    """Fail in one sentence if `device` cannot be used; on a GPU, run a small matrix product and a sum.

    Raises
    ------
    UserError
        CuPy cannot be imported, there is no device or driver, CUDA's libraries are missing, or the memory is full.
    """
    if device == "cpu":
        return
    try:
        import cupy
    except ImportError as error:
        raise UserError(
            f"A GPU needs CuPy, which is not installed ({_first_line(error)}): {INSTALL}; or use --device cpu."
        ) from None
    if not cupy.is_available():
        raise UserError(
            "There is no CUDA device here, or no driver, or one too old for this CuPy: see what nvidia-smi says, or "
            "use --device cpu."
        )
    try:
        x = cupy.ones((2, 2), dtype=cupy.complex64)
        float((x @ x).real.sum())
    except MemoryError:
        raise UserError("The GPU's memory is full: see with nvidia-smi which programs use it.") from None
    except Exception as error:
        raise UserError(
            f"There is a GPU, but CuPy cannot compute on it ({_first_line(error)}); if CUDA's libraries are missing, "
            f"this brings them: {INSTALL}."
        ) from None


def _first_line(error):
    return str(error).strip().partition("\n")[0]


@contextmanager
def out_of_memory_advice(advice):
    """Where the memory of the CPU or of a GPU is not enough, say so in one sentence that ends with `advice`.

    Raises
    ------
    UserError
    """
    try:
        yield
    except MemoryError:  # CuPy's OutOfMemoryError is one
        raise UserError(f"The memory is not enough: {advice}.") from None
