"""How much memory a file may take, and reading no more of it than that."""

import bz2
import gzip
import lzma
import os
import zlib
from pathlib import Path

from cormorant_np.errors import UserError

SHARE_OF_FREE_MEMORY = 0.75
CHUNK_BYTES = 2**20
COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def memory_limit(max_memory=None):
    """`max_memory` in bytes, or three quarters of the memory that is free now."""
    return int(SHARE_OF_FREE_MEMORY * _free_memory()) if max_memory is None else max_memory


def check_memory(path, needed, limit):
    """Raise a `UserError` if the file at `path` needs more than `limit` bytes of memory."""
    if needed > limit:
        raise UserError(
            f"{path} needs {needed / 2**20:,.0f} MiB of memory, but {limit / 2**20:,.0f} MiB may be used: "
            "give a smaller file."
        )


def read_bytes(path, max_bytes):
    """The contents of a file, unpacked if it is compressed by gzip, bzip2 or xz.

    Raises
    ------
    UserError
        If there is no such file, it cannot be read or unpacked, or it is larger than `max_bytes` when unpacked.
    """
    if not is_file(path):
        raise UserError(f"There is no file {path}: check its name.")
    try:
        with _open(path) as file:
            chunks, size = [], 0
            while chunk := file.read(CHUNK_BYTES):
                chunks.append(chunk)
                size += len(chunk)
                if size > max_bytes:
                    raise UserError(f"{path} is larger than the memory that may be used: give a smaller file.")
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{path} cannot be read ({error}): make or download it again.") from error
    return b"".join(chunks)


def is_file(path):
    """Whether `path` is a file; False, and no exception, for a name that no file can have."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _open(path):
    with open(path, "rb") as file:
        start = file.read(6)
    return next((how for magic, how in COMPRESSIONS.items() if start.startswith(magic)), open)(path, "rb")


def _free_memory():
    """In bytes: what Linux calls available; elsewhere all there is, or 4 GiB where that is not known."""
    try:
        with open("/proc/meminfo", encoding="utf-8") as file:
            kib = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
        return 1024 * kib
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 4 * 2**30
