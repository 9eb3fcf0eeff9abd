"""Downloads from a site of our own on 127.0.0.1, which also fails in the ways that sites do."""

import hashlib
import io
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from cormorant_np.data import downloads, load, md17, rmd17
from cormorant_np.data.downloads import check_checksum, record_checksum
from cormorant_np.errors import UserError
from cormorant_np.files import LEFTOVERS


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        if "toluene" not in self.path:
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"only half of it")

    def log_message(self, *args):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The folder that the site serves, and the list of requests that it got."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    server.requests = []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(md17, "BASE_URL", url)
    monkeypatch.setattr(rmd17, "ARCHIVE_URL", f"{url}/23950376")
    monkeypatch.setattr(downloads, "RETRIES", 0)
    yield folder, server.requests
    server.shutdown()
    server.server_close()


def water(path, energy=0.0):
    np.savez(path, z=[8, 1, 1], R=np.zeros((3, 3, 3)), E=np.full((3, 1), energy))
    return path


def test_md17_downloads_once_and_then_checks(site, tmp_path):
    folder, requests = site
    water(folder / "md17_ethanol.npz", energy=-1.5)
    data = load("md17", "ethanol", tmp_path / "cache")
    again = load("md17", "ethanol", tmp_path / "cache")
    assert (data.energies == -1.5).all() and (again.energies == -1.5).all()
    assert data.name == "md17 ethanol" and data.theory == "DFT, PBE+vdW-TS"
    assert requests == ["/md17_ethanol.npz"]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["checksums.json", "md17_ethanol.npz"]

    water(tmp_path / "cache/md17_ethanol.npz", energy=7)
    with pytest.raises(UserError, match=r"md17_ethanol\.npz has changed since it was downloaded.*delete it"):
        load("md17", "ethanol", tmp_path / "cache")


def test_a_file_put_there_by_hand_is_taken_as_it_is(site, tmp_path, monkeypatch):
    water(tmp_path / "md17_benzene2017.npz")
    monkeypatch.setenv("CORMORANT_NP_DATA", str(tmp_path))
    assert len(load("md17", "benzene").energies) == 3
    assert site[1] == []


@pytest.mark.parametrize(
    "molecule, said",
    [
        ("aspirin", "the site answers 404"),
        ("toluene", "cannot be downloaded"),
        ("uracil", r"is not an \.npz file"),
    ],
)
def test_failures_leave_nothing_behind(site, tmp_path, molecule, said):
    folder, _ = site
    (folder / "md17_uracil.npz").write_text("<html>We have moved.</html>", encoding="utf-8")
    with pytest.raises(UserError, match=said) as error:
        load("md17", molecule, tmp_path / "cache")
    assert f"md17_{molecule}.npz" in str(error.value) and "\n" not in str(error.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_network(site, tmp_path, monkeypatch):
    monkeypatch.setattr(md17, "BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(UserError) as error:
        load("md17", "ethanol", tmp_path / "cache")
    message = str(error.value)
    assert message.startswith(f"md17_ethanol.npz is not in {tmp_path / 'cache'} and cannot be downloaded")
    assert "--data-dir" in message and message.endswith("--dataset sample, which needs none.") and "\n" not in message


def rmd17_archive(folder):
    """A small archive in the layout of the real one; returns its checksum."""
    arrays = {"nuclear_charges": [8, 1, 1], "coords": np.zeros((5, 3, 3)), "energies": np.arange(5.0)}
    npz = io.BytesIO()
    np.savez(npz, **arrays)
    members = {
        "rmd17/npz_data/rmd17_ethanol.npz": npz.getvalue(),
        **{f"rmd17/splits/index_train_0{k}.csv": b"%d\n0\n2\n" % (5 - k) for k in range(1, 6)},
        **{f"rmd17/splits/index_test_0{k}.csv": b"1\n3\n" for k in range(1, 6)},
        "../../escaped.npz": npz.getvalue(),
    }
    with tarfile.open(folder / "23950376", "w:bz2") as tar:
        for name, contents in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))
    return "md5:" + hashlib.md5((folder / "23950376").read_bytes()).hexdigest()


def test_rmd17_takes_one_molecule_and_the_split_out_of_the_archive(site, tmp_path, monkeypatch):
    folder, requests = site
    monkeypatch.setattr(rmd17, "ARCHIVE_HASH", rmd17_archive(folder))
    data = load("rmd17", "ethanol", tmp_path / "cache")
    assert data.splits["train"].tolist() == [4, 0, 2] and data.splits["test"].tolist() == [1, 3]
    assert data.energies.tolist() == [0, 1, 2, 3, 4] and data.forces is None
    second = load("rmd17", "ethanol", tmp_path / "cache", rmd17_split=2)
    assert second.splits["train"].tolist() == [3, 0, 2]
    assert len(requests) == 1
    with pytest.raises(UserError, match=r"does not contain rmd17/npz_data/rmd17_uracil\.npz"):
        load("rmd17", "uracil", tmp_path / "cache")
    assert len(requests) == 1
    assert not list(tmp_path.rglob("escaped.npz")) and not list(tmp_path.rglob(LEFTOVERS))


def test_rmd17_archive_with_another_checksum(site, tmp_path):
    rmd17_archive(site[0])
    with pytest.raises(UserError, match=r"rmd17\.tar\.bz2 is damaged.*was deleted"):
        load("rmd17", "ethanol", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_rmd17_without_a_split(site, tmp_path, monkeypatch):
    monkeypatch.setattr(rmd17, "ARCHIVE_HASH", rmd17_archive(site[0]))
    load("rmd17", "ethanol", tmp_path)
    for path in (tmp_path / "splits").iterdir():
        path.unlink()
    assert load("rmd17", "ethanol", tmp_path).splits == {}
    with pytest.raises(UserError, match=r"index_train_01\.csv does not exist: take it out of rmd17\.tar\.bz2"):
        load("rmd17", "ethanol", tmp_path, rmd17_split=1)


@pytest.mark.parametrize("contents, said", [("1\n9\n", "outside 0 to 4"), ("a\nb\n", "not a list of frame numbers")])
def test_rmd17_wrong_split_files(site, tmp_path, monkeypatch, contents, said):
    monkeypatch.setattr(rmd17, "ARCHIVE_HASH", rmd17_archive(site[0]))
    load("rmd17", "ethanol", tmp_path)
    (tmp_path / "splits/index_test_01.csv").write_text(contents, encoding="utf-8")
    with pytest.raises(UserError, match=said):
        load("rmd17", "ethanol", tmp_path)


def test_checksums_of_all_files_are_kept(tmp_path):
    files = [tmp_path / name for name in "ab"]
    for file in files:
        file.write_bytes(b"as it came")
        record_checksum(file)
        check_checksum(file)
    files[0].write_bytes(b"changed")
    check_checksum(files[1])
    with pytest.raises(UserError, match="has changed since it was downloaded"):
        check_checksum(files[0])
