"""Where data files are kept, and how they get there."""

import hashlib
import json
import os
from pathlib import Path

from cormorant_np.errors import UserError

RETRIES = 2
CHUNK_BYTES = 2**20


def data_directory(data_dir=None):
    """`data_dir`, else the environment variable CORMORANT_NP_DATA, else the user's cache directory."""
    chosen = data_dir or os.environ.get("CORMORANT_NP_DATA")
    if chosen:
        return Path(chosen).expanduser()
    import pooch  # pooch and requests take time to import, and most runs need neither

    return Path(pooch.os_cache("cormorant_np"))


def download(url, path, known_hash=None):
    """Download a file, unless it is there with the right checksum; nothing half-written ever has the name `path`.

    Parameters
    ----------
    url : str
    path : Path
    known_hash : str, "md5:..." or "sha256:...", or None if none is published

    Raises
    ------
    UserError
        If the file is neither there nor to be had, or its checksum is not `known_hash`.
    """
    import pooch

    shelf = pooch.create(
        path.parent, base_url="", registry={path.name: known_hash}, urls={path.name: url}, retry_if_failed=RETRIES
    )
    try:
        shelf.fetch(path.name, downloader=pooch.HTTPDownloader(progressbar=True, chunk_size=CHUNK_BYTES))
    except OSError as error:
        raise UserError(
            f"{path.name} is not in {path.parent} and cannot be downloaded from {url} ({_reason(error)}): put the file "
            "into that folder, give the folder that has it as --data-dir, or use --dataset sample, which needs none."
        ) from error
    except ValueError as error:
        raise UserError(
            f"What {url} sent for {path.name} is damaged (its checksum is not {known_hash}) and was deleted: try again."
        ) from error


def _reason(error):
    response = getattr(error, "response", None)
    if response is not None:
        return f"the site answers {response.status_code} {response.reason}"
    return getattr(error, "strerror", None) or type(error).__name__


def record_checksum(path):
    """Write the SHA-256 of a downloaded file into the checksums.json that stands beside it."""
    checksums = _read_checksums(path.parent) | {path.name: _sha256(path)}
    (path.parent / "checksums.json").write_text(json.dumps(checksums, indent=1) + "\n", encoding="utf-8")


def check_checksum(path):
    """Compare a file with its recorded checksum, if it has one.

    Raises
    ------
    UserError
        If the file is no longer what was downloaded.
    """
    recorded = _read_checksums(path.parent).get(path.name)
    if recorded not in (None, _sha256(path)):
        raise UserError(
            f"{path} has changed since it was downloaded (its SHA-256 is not the one in checksums.json): delete it to "
            "download it again."
        )


def _read_checksums(directory):
    path = directory / "checksums.json"
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise UserError(f"{path} is not a JSON file: delete it.") from error


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
