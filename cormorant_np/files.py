"""Files: written whole or not at all, whatever happens meanwhile; and a folder for one run at a time."""

import contextlib
import errno
import os
import secrets
import shutil
import stat
import time
from pathlib import Path

from cormorant_np.errors import UserError, sentence_of

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LEFTOVERS = ".cormorant-*.tmp"
"""What a killed process may leave behind in a folder."""

SECONDS_OF_A_DAY = 86400


def replace_file(path, content, keep=None):
    """Write a file; whoever looks at it, even after a power cut, sees the old one or the new one, and sees it whole.

    The new file is written beside the old one, brought to the disk, and renamed; then the folder is brought to the
    disk. A symbolic link is replaced, not followed.

    Parameters
    ----------
    path : path
    content : bytes
    keep : a name for the old file, which then stays

    Raises
    ------
    UserError
        If it cannot be written; the old file is as it was, and nothing else is left behind.
    """
    path = Path(path)
    try:
        exists = _is_replaceable(path)
        with _renamed_at_the_end(path) as temporary:
            _write_through(temporary, content)
            if exists and keep is not None:
                os.replace(path, keep)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(sentence_of(error, path).replace("used", "written")) from None


@contextlib.contextmanager
def written_whole(path):
    """The name of a new file beside `path`, made by what is inside, which then becomes `path`, or is removed."""
    path = Path(path)
    for left in path.parent.glob(LEFTOVERS):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > SECONDS_OF_A_DAY:
                left.unlink()
    with _renamed_at_the_end(path) as part:
        yield part


@contextlib.contextmanager
def _renamed_at_the_end(path):
    """A name beside `path`, another one for every call: programs on several machines may make the same file at once."""
    temporary = path.parent / LEFTOVERS.replace("*", secrets.token_hex(8))
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _is_replaceable(path):
    """Whether there is something at `path`, which must be a file or a link."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise OSError(errno.EPERM, "it is no ordinary file")
    return True


def _write_through(path, content):
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags, 0o666), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder):
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems know no such thing
            raise
    finally:
        os.close(descriptor)


def check_output(path, source):
    """A `UserError` if a file cannot be written for want of its folder, or is the one that is read, by another name."""
    path, source = Path(path), Path(source)
    _check_folder_of(path)
    if path.is_dir():
        raise UserError(f"{path} is a folder: choose another name for the file.")
    if path.exists() and source.exists() and path.samefile(source):
        raise UserError(f"{path} is the file that is read, and would be lost: choose another name.")


def check_new(path):
    """A `UserError` if something is there that would be lost, or the file cannot be written for want of its folder."""
    path = Path(path)
    _check_folder_of(path)
    if path.exists():
        raise UserError(f"There is a file {path} already: give another name as --out, or remove it.")


def _check_folder_of(path):
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"{path.parent} is no folder: make it first, or choose another name than {path}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(sentence_of(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), path.parent))


def read_file(path, missing="check its name"):
    """The bytes of an ordinary file.

    Raises
    ------
    UserError
        If there is none, which then ends with `missing`, or it cannot be read.
    """
    missing = missing if missing.endswith("?") else f"{missing}."
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UserError(f"{path} is no file: {missing}")
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{path} does not exist: {missing}") from None
    except OSError as error:
        raise UserError(sentence_of(error, path).replace("used", "read")) from None


@contextlib.contextmanager
def folder_for_one(folder):
    """Make a folder, and keep other runs out of it as long as this lasts; a killed process leaves no lock behind.

    A folder that was made here and is still empty at the end is removed.

    Raises
    ------
    UserError
        If it cannot be made or written to, or another run is at work in it.
    """
    folder, lock = Path(folder), None
    try:
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        lock = _lock(folder)
        for path in folder.glob(LEFTOVERS):
            path.unlink(missing_ok=True)
    except FileExistsError:
        raise UserError(f"{folder} is no folder: choose another one.") from None
    except OSError as error:
        raise UserError(sentence_of(error, folder)) from None
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _lock(folder):
    """A descriptor that holds the lock, or None where the system or the file system has no locks."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(f"Another run is at work in {folder}: wait for its end, or choose another folder.") from None
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def check_room(folder, needed):
    """Raise a `UserError` if the disk of a folder has less room than `needed` bytes."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < needed:
        raise UserError(
            f"{folder} needs room for {needed / 2**20:,.0f} MiB, but its disk has {free / 2**20:,.0f} MiB left: make "
            "room, or choose another folder."
        )
