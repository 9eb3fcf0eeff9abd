"""QM9: the two sources, the cache, the sample, the targets, and the known values of the whole data set."""

import csv
import hashlib
import io
import re
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice

import numpy as np
import pytest
from scipy import constants

from cormorant_np.data import describe_targets, load, make_qm9_sample, qm9, qm9_sources, split
from cormorant_np.data.downloads import data_directory
from cormorant_np.data.qm9_sources import COLUMNS, find_qm9pack, read_figshare, read_original, read_qm9pack
from cormorant_np.errors import UserError
from cormorant_np.files import LEFTOVERS

needs_qm9pack = pytest.mark.skipif(not find_qm9pack(), reason="qm9pack is not installed: pip install --no-deps qm9pack")
DEAD_SITE = "http://127.0.0.1:9"
FILES = dict(qm9_sources.FIGSHARE)

# the first molecule as both sources have it
METHANE = (
    "5\n"
    "gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\t-40.47893"
    "\t-40.476062\t-40.475117\t-40.498597\t6.469\t\n"
    "C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689\n"
    "H\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921\n"
    "H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922\n"
    "H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923\n"
    "H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923\n"
    "1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078\n"
    "C\tC\t\n"
    "InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4\n"
)
METHANE_ROW = {
    "Index": "1",
    "Elements": "['C','H','H','H','H']",
    "XYZ_Ang": "[[-0.0126981359,1.0858041578,0.0080009958],[0.002150416,-0.0060313176,0.0019761204],"
    "[1.0117308433,1.4637511618,0.0002765748],[-0.540815069,1.4475266138,-0.8766437152],"
    "[-0.5238136345,1.4379326443,0.9063972942]]",
    "Dipole_debye": "0.",
    "Polarizability_bohr3": "13.21",
    "HOMO_au": "-0.3877",
    "LUMO_au": "0.1171",
    "HOMO_LUMO_gap_au": "0.5048",
    "R2_bohr2": "35.3641",
    "ZPVE_au": "0.044749",
    "InternalEnergy_0K_au": "-40.47893",
    "InternalEnergy_298K_au": "-40.476062",
    "Enthalphy_298K_au": "-40.475117",
    "GibbsFreeEnergy_298K_au": "-40.498597",
    "Heatcapacity_Cv_cal_mol_K": "6.469",
}


def assert_same(molecule, other):
    assert molecule._replace(positions=0) == other._replace(positions=0)
    assert molecule.positions.dtype == other.positions.dtype == np.float64
    assert (molecule.positions == other.positions).all()


def write_table(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, METHANE_ROW, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    return path


def original_text(row):
    """A row of qm9pack's table in the format of the original xyz files."""
    symbols = re.findall("[A-Z]", row["Elements"])
    numbers = iter(re.sub(r"[\[\]]", "", row["XYZ_Ang"]).replace("E", "*^").split(","))
    atoms = ["\t".join([symbol, *islice(numbers, 3), "0.1*^-7"]) for symbol in symbols]
    properties = "\t".join(row[column] for column in COLUMNS.values())
    header = [str(len(symbols)), f"gdb {row['Index']}\t1\t2\t3\t{properties}\t"]
    return "\n".join([*header, *atoms, "1341.307\t1341.3284", "C\tC\t", "InChI\tInChI\t", ""])


def test_the_first_molecule_is_the_same_in_both_formats(tmp_path):
    (molecule,) = read_qm9pack([write_table(tmp_path / "part.csv", [METHANE_ROW])])
    assert_same(read_original(METHANE), molecule)
    assert molecule.index == 1 and molecule.charges == [6, 1, 1, 1, 1] and molecule.positions[1, 0] == 0.002150416
    assert dict(zip(COLUMNS, molecule.properties, strict=True)) == {
        "mu": 0, "alpha": 13.21, "homo": -0.3877, "lumo": 0.1171, "gap": 0.5048, "R2": 35.3641, "ZPVE": 0.044749,
        "U0": -40.47893, "U": -40.476062, "H": -40.475117, "G": -40.498597, "Cv": 6.469,
    }  # fmt: skip


def test_exponents_of_the_original_files():
    molecule = read_original(METHANE.replace("0.0002765748", "-6.*^-6").replace("13.21", "1.321*^1"))
    assert molecule.positions[2, 2] == -6e-6 and molecule.properties[1] == 13.21


@needs_qm9pack
def test_real_molecules_are_the_same_in_both_formats(tmp_path):
    with open(find_qm9pack()[1], newline="", encoding="utf-8") as file:
        rows = [row for row in islice(csv.DictReader(file), 20_000) if "E-" in row["XYZ_Ang"]]
    assert len(rows) > 5
    for row, molecule in zip(rows, read_qm9pack([write_table(tmp_path / "part.csv", rows)]), strict=True):
        assert_same(read_original(original_text(row)), molecule)


@pytest.fixture
def figshare(tmp_path, monkeypatch):
    """Two sites, of which only the second answers: with three molecules, one of them uncharacterised."""
    folder = tmp_path / "site"
    folder.mkdir()
    members = {f"dsgdb9nsd_{index:06}.xyz": METHANE.replace("gdb 1\t", f"gdb {index}\t") for index in (3, 1, 58)}
    members["../../escaped.txt"] = "not a molecule"
    with tarfile.open(folder / "3195389", "w:bz2") as tar:
        for name, text in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    (folder / "3195404").write_text("heading\n" * 9 + "     58  C  0.1\n" + "1 compound\n", encoding="utf-8")
    hashes = {name: hashlib.md5((folder / file).read_bytes()).hexdigest() for name, (file, _) in FILES.items()}
    monkeypatch.setattr(qm9_sources, "FIGSHARE", {name: (FILES[name][0], f"md5:{hashes[name]}") for name in FILES})
    monkeypatch.setattr(qm9_sources, "find_qm9pack", list)
    monkeypatch.setattr(qm9, "NUM_MOLECULES", 2)
    monkeypatch.setattr("cormorant_np.data.downloads.RETRIES", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setattr(qm9_sources, "SITES", (DEAD_SITE, f"http://127.0.0.1:{server.server_port}"))
    yield folder
    server.shutdown()
    server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_figshare_is_downloaded_from_the_mirror_and_parsed_once(figshare, tmp_path, monkeypatch):
    data = load("qm9", "U0", tmp_path / "cache")
    assert data.charges.tolist() == [[6, 1, 1, 1, 1] + [0] * 24] * 2
    assert np.allclose(data.energies, (-40.47893 + 37.846772 + 4 * 0.500273) * 27.2114, rtol=1e-12)
    names = ["dsgdb9nsd.xyz.tar.bz2", "qm9_cache.npz", "uncharacterized.txt"]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == names
    assert not list(tmp_path.parent.rglob("escaped.txt"))

    monkeypatch.setattr(qm9, "read_molecules", None)
    again = load("qm9", data_dir=tmp_path / "cache", target="mu")
    assert (again.positions == data.positions).all() and again.energies.tolist() == [0, 0]


@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_a_damaged_cache_is_made_again(figshare, tmp_path, capsys, damage):
    data = load("qm9", data_dir=tmp_path)
    cache = tmp_path / "qm9_cache.npz"
    whole = cache.read_bytes()
    if damage == "cut":
        cache.write_bytes(whole[: len(whole) // 2])
    if damage == "changed":
        number = np.float64(-40.47893).tobytes()
        cache.write_bytes(whole.replace(number, number[::-1]))
    if damage == "other":
        np.savez(cache, R=np.zeros(3))
    again = load("qm9", data_dir=tmp_path)
    assert "is damaged, or from another version" in capsys.readouterr().out
    assert (again.energies == data.energies).all() and cache.read_bytes() == whole


def test_two_programs_make_the_cache_at_the_same_time(figshare, tmp_path, monkeypatch):
    table = qm9.make_table(read_figshare(figshare / "3195389", figshare / "3195404"))
    cache, savez = tmp_path / "qm9_cache.npz", np.savez

    def savez_of_the_slower(file, **arrays):
        monkeypatch.setattr(qm9.np, "savez", savez)
        qm9._write_cache(cache, table)
        savez(file, **arrays)

    monkeypatch.setattr(qm9.np, "savez", savez_of_the_slower)
    qm9._write_cache(cache, table)
    assert not list(tmp_path.glob(LEFTOVERS))
    assert (qm9._read_cache(cache).positions == table.positions).all()


def test_too_few_molecules_write_no_cache(figshare, tmp_path, monkeypatch):
    monkeypatch.setattr(qm9, "NUM_MOLECULES", 3)
    with pytest.raises(UserError, match="hold 2 molecules, but 3 are needed"):
        load("qm9", data_dir=tmp_path)
    assert not list(tmp_path.glob("qm9_cache*"))


def test_without_a_network(figshare, tmp_path, monkeypatch):
    monkeypatch.setattr(qm9_sources, "SITES", (DEAD_SITE, DEAD_SITE))
    with pytest.raises(UserError) as error:
        load("qm9", data_dir=tmp_path / "cache")
    message = str(error.value)
    assert message.startswith(f"QM9 is not in {tmp_path / 'cache'} and cannot be downloaded")
    assert "pip install --no-deps qm9pack" in message and "qm9-sample" in message and "\n" not in message


def test_a_folder_that_cannot_be_written(figshare, tmp_path):
    table = qm9.make_table(read_figshare(figshare / "3195389", figshare / "3195404"))
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot be written .* --data-dir"):
        qm9._write_cache(tmp_path / "file/qm9_cache.npz", table)


@pytest.fixture(scope="module")
def sample():
    return load("qm9-sample")


def test_sample(sample):
    assert qm9.SAMPLE.stat().st_size < 400_000
    assert sample.name == "qm9-sample" and sample.unit == "eV" and sample.theory == "DFT, B3LYP/6-31G(2df,p)"
    assert sample.charges.dtype == np.int64 and sample.charges.shape == (1000, 29)
    assert sample.positions.dtype == np.float64 and sample.positions.shape == (1000, 29, 3)
    assert sample.energies.dtype == np.float64 and sample.forces is None and sample.splits == {}
    assert set(np.unique(sample.charges)) == {0, 1, 6, 7, 8, 9}
    parts = split(sample, 800, 100, None, seed=0)
    assert [len(parts[part]) for part in ("train", "valid", "test")] == [800, 100, 100]


def test_molecules_are_centred_and_padded_with_zeros(sample):
    atoms = sample.charges > 0
    assert (np.diff(atoms.astype(int), axis=1) <= 0).all()
    assert (sample.positions[~atoms] == 0).all() and abs(sample.positions.sum(axis=1)).max() < 1e-12
    distances = np.linalg.norm(sample.positions[:, :, None] - sample.positions[:, None], axis=-1)
    pairs = atoms[:, :, None] & atoms[:, None] & ~np.eye(29, dtype=bool)
    assert distances[pairs].min() > 0.9


def test_sample_is_like_the_whole_data_set(sample):
    assert np.isclose(sample.energies.mean(), -76.107, atol=1)
    assert np.isclose(sample.energies.std(), 10.323, rtol=0.05)


def test_targets_belong_together():
    values = {name: load("qm9-sample", target=name) for name in qm9.TARGETS}
    assert len(values) == 12
    energies = {name: data.energies for name, data in values.items()}
    assert np.allclose(energies["gap"], energies["lumo"] - energies["homo"], atol=0.01)
    num_atoms = (values["U0"].charges > 0).sum(axis=1)
    rt = 298.15 * 8.617333e-5
    assert np.allclose(energies["H"] - energies["U"], rt * (1 - num_atoms), atol=1e-3)
    assert (energies["Cv"] < 0).all() and (energies["ZPVE"] > 500).all() and (energies["mu"] >= 0).all()
    units = {name: data.unit for name, data in values.items()}
    assert units["ZPVE"] == "meV" and units["alpha"] == "bohr³" and units["R2"] == "bohr²" and units["mu"] == "D"


def test_unknown_target_and_own_file():
    for name in ("qm9", "qm9-sample"):
        with pytest.raises(UserError, match=r"no target 'energy': choose one of alpha, .*, ZPVE"):
            load(name, target="energy")
        with pytest.raises(UserError, match="takes no file of your own"):
            load(name, data_file="own.npz")


def test_descriptions_list_every_target():
    lines = describe_targets().splitlines()
    assert [line.split()[:2] for line in lines] == [[name, target.unit] for name, target in qm9.TARGETS.items()]
    assert "cal/mol/K  heat capacity" in lines[5]


def test_split_of_the_paper():
    np.random.seed(0)
    order = np.random.permutation(130_831)
    parts = qm9.paper_split()
    assert [len(parts[part]) for part in ("train", "valid", "test")] == [100_000, 17_748, 13_083]
    assert (np.concatenate([parts["train"], parts["valid"], parts["test"]]) == order).all()


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A data directory with all of QM9 in its cache."""
    if (data_directory() / qm9.CACHE).exists():
        return data_directory()
    if not find_qm9pack():
        pytest.skip("neither qm9pack nor a cache of QM9 is here")
    return tmp_path_factory.mktemp("qm9")


@pytest.mark.parametrize(
    "target, mean, deviation, baseline",
    [
        ("U0", -76.107165, 10.323083, 8.1960),
        ("mu", 2.674681, 1.501496, 1.1690),
        ("ZPVE", 4056.455, 901.355, 722.554),
    ],
)
def test_known_values(directory, target, mean, deviation, baseline):
    """Mean and deviation over the training molecules, and the test error of predicting that mean."""
    data = load("qm9", target=target, data_dir=directory)
    assert data.charges.shape == (130_831, 29) and data.positions.shape == (130_831, 29, 3)
    train, test = (data.energies[data.splits[part]] for part in ("train", "test"))
    digits = {"rtol": 1e-6, "atol": 0}
    assert np.isclose(train.mean(), mean, **digits) and np.isclose(train.std(ddof=1), deviation, **digits)
    assert np.isclose(abs(test - train.mean()).mean(), baseline, rtol=1e-4)


def test_free_atoms_obey_the_thermodynamics_of_a_monatomic_gas():
    """At 298.15 K and 1 atm: U = U0 + 3/2 kT, H = U + kT, G = H - TS with Sackur and Tetrode's S and the spin's."""
    kt = constants.k * 298.15 / constants.physical_constants["Hartree energy"][0]
    u0, u, h, g, cv = (np.array(qm9.TARGETS[name].references) for name in ("U0", "U", "H", "G", "Cv"))
    masses = np.array([1.00783, 12, 14.00307, 15.99491, 18.99840]) * constants.atomic_mass
    wave = constants.h / np.sqrt(2 * np.pi * masses * constants.k * 298.15)
    volume = constants.k * 298.15 / constants.atm
    entropies = 2.5 + np.log(volume / wave**3) + np.log([2, 3, 4, 3, 2])
    np.testing.assert_allclose(u - u0, 1.5 * kt, atol=2e-6)
    np.testing.assert_allclose(h - u, kt, atol=2e-6)
    np.testing.assert_allclose(g - h, -kt * entropies, atol=2e-6)
    np.testing.assert_allclose(cv, 1.5 * constants.R / constants.calorie, atol=1e-3)


def test_order_of_the_molecules(directory):
    index = qm9.read_table(directory).index
    assert (np.diff(index) > 0).all() and index[-1] == 133_885
    assert index[qm9.paper_split()["train"][:3]].tolist() == [133161, 70467, 8226]


def test_sample_is_a_part_of_qm9_and_can_be_made_again(directory, sample, tmp_path, capsys):
    make_qm9_sample.main(["--data-dir", str(directory), "--out", str(tmp_path / "again.npz")])
    assert "1000 molecules" in capsys.readouterr().out
    with np.load(tmp_path / "again.npz") as again, np.load(qm9.SAMPLE) as shipped:
        assert all((again[key] == shipped[key]).all() for key in qm9.Table._fields)
        rows = np.searchsorted(qm9.read_table(directory).index, shipped["index"])
    data = load("qm9", data_dir=directory)
    assert (data.energies[rows] == sample.energies).all() and (data.charges[rows] == sample.charges).all()
    assert np.allclose(data.positions[rows], sample.positions, rtol=0, atol=1e-6)


def test_sample_command_checks_its_options(directory):
    with pytest.raises(UserError, match="is no folder"):
        make_qm9_sample.main(["--out", "no/such/folder/sample.npz"])
    with pytest.raises(UserError, match="from 1 to 130831"):
        make_qm9_sample.main(["--data-dir", str(directory), "--molecules", "130832"])
