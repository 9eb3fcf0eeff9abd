"""Arrays out of an .npz file that may be damaged or malicious: no pickle, and nothing larger than allowed."""

import math
import zipfile
from pathlib import Path

import numpy as np

from cormorant_np.data.memory import check_memory, is_file, memory_limit
from cormorant_np.errors import UserError, reason_of

ENCRYPTED = 1  # bit of a zip member's flags
MAX_HEADER_BYTES = 10_000
WORKING_COPIES = 3  # an array as it is in the file, in float64, and while it is checked


def read_arrays(path, names, max_memory=None):
    """Those arrays of an .npz file whose names are in `names`; the sizes that it promises are checked before reading.

    Parameters
    ----------
    path : path
    names : set of str
    max_memory : int, in bytes; default as in `memory.memory_limit`

    Raises
    ------
    UserError
        If there is no such file, it is no .npz file or a damaged one, its arrays hold Python objects, are not as
        large as their headers say, or need more than `max_memory`.
    """
    path = Path(path)
    if not is_file(path):
        raise UserError(f"There is no data file {path}: check its name.")
    try:
        is_zip = zipfile.is_zipfile(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    if not is_zip:
        raise UserError(f"{path} is not an .npz file, or not a whole one: make or download it again.")
    try:
        return _read(path, names, memory_limit(max_memory))
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy have a dozen different ones for damaged files
        raise UserError(f"{path} cannot be read ({reason_of(error)}): make or download it again.") from error


def array_names(path):
    """The names of all arrays of an .npz file that `read_arrays` has read, sorted."""
    with zipfile.ZipFile(path) as archive:
        return sorted(name.removesuffix(".npy") for name in archive.namelist())


def _read(path, names, limit):
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        members = {name: info for name, info in members.items() if name in names}
        check_memory(path, WORKING_COPIES * sum(info.file_size for info in members.values()), limit)
        needed = sum(_working_bytes(path, archive, info) for info in members.values())
        check_memory(path, needed, limit)
        return {name: _read_array(archive, info) for name, info in members.items()}


def _working_bytes(path, archive, info):
    """What the header of a member promises, which must be what the member has."""
    if info.flag_bits & ENCRYPTED:
        raise UserError(f"{path} is encrypted: unpack it, and save it without a password.")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file, max_header_size=MAX_HEADER_BYTES)
        header_bytes = file.tell()
    if dtype.hasobject:
        raise UserError(f"{path} holds Python objects under {info.filename}: save numbers or text there.")
    size = math.prod(shape)
    if min(shape, default=0) < 0 or size * dtype.itemsize != info.file_size - header_bytes:
        raise UserError(
            f"{path} is damaged: {info.filename} promises an array of shape {str(shape)[:60]} and has "
            f"{info.file_size} bytes."
        )
    return WORKING_COPIES * size * max(dtype.itemsize, np.dtype(np.float64).itemsize)


def _read_array(archive, info):
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False, max_header_size=MAX_HEADER_BYTES)


def read_text(path, arrays, name, default=None):
    """The text in `arrays[name]`, which may be bytes; `default` if it is not there.

    Raises
    ------
    UserError
        If it is no single text.
    """
    if name not in arrays:
        return default
    array = arrays[name]
    try:
        value = array.item() if array.dtype.kind in "US" else None
        text = value.decode("utf-8") if isinstance(value, bytes) else value
    except (ValueError, SystemError):  # several texts, bytes that are not UTF-8, or numbers that are no characters
        text = None
    text = text and " ".join(text.split())
    if text is None or not text.isprintable():
        raise UserError(f"{path} has under {name} no single text: store a name there, or leave it out.")
    return text[:200]
