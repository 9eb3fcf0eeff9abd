"""xyz files: several molecules, those of other programs, and broken ones."""

import bz2
import gzip
import io
import lzma
import time

import numpy as np
import pytest

from cormorant_np.data import load_file, read_frames, read_xyz
from cormorant_np.data.writing import write_extxyz
from cormorant_np.data.xyz import Frame, to_numbers
from cormorant_np.errors import UserError

WATER = "3\nwater\nO 0 0 0.12\nH 0 0.76 -0.47\nH 0 -0.76 -0.47\n"
CHLORIDE = (
    '2\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1.5 pbc="F F F"\nC 0 0 0 1 2 3\nCl\t1.7e0  0 -1e-3 1 2 3\n'
)


@pytest.fixture
def save(tmp_path):
    def save(text):
        (tmp_path / "own.xyz").write_text(text, encoding="utf-8")
        return tmp_path / "own.xyz"

    return save


def test_several_molecules(save):
    (charges, positions), (other_charges, other_positions), _ = read_xyz(save(WATER + CHLORIDE + CHLORIDE))
    assert charges.dtype == np.int64 and charges.tolist() == [8, 1, 1]
    assert positions.dtype == np.float64 and positions.tolist() == [[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]]
    assert other_charges.tolist() == [6, 17] and other_positions.tolist() == [[0, 0, 0], [1.7, 0, -1e-3]]


def test_windows_line_ends_and_blank_lines_at_the_end(save):
    ((charges, positions),) = read_xyz(save("1\r\n\r\nHe 1 2 3\r\n\r\n\r\n"))
    assert charges.tolist() == [2] and positions.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    "properties, line",
    [
        ("pos:R:3:species:S:1", "1 2 3 He"),
        ("forces:R:3:species:S:1:pos:R:3", "7 8 9 He 1 2 3"),
        ("id:I:1:charge:R:1:Element:S:1:positions:R:3:fixed:L:1", "5 -0.5 He 1 2 3 T"),
        ("label:S:1:species:S:1:pos:R:3", "C1 He 1 2 3"),
        ("species:S:1:pos:R:3:Z:I:1", "H2a 1 2 3 2"),
        ("Z:I:1:pos:R:3", "2 1 2 3"),
        ("species:I:1:pos:R:3", "2 1 2 3"),
        ("species:S:1:pos:R:3:magmom:R:1", "He 1 2 3 nan"),
    ],
)
def test_columns_are_those_of_the_header(save, properties, line):
    ((charges, positions),) = read_xyz(save(f"1\nProperties={properties} energy=1\n{line}\n"))
    assert charges.tolist() == [2] and positions.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    "properties, line, said",
    [
        ("species:S:1:pos:R:3:forces:R:3", "He 1 2 3", "line 3: the 7 columns that Properties= names"),
        ("species:S:1:pos:R:3", "He 1 2 3 4", "line 3: the 4 columns"),
        ("forces:R:3:species:S:1", "1 2 3 He", "line 2: .* must name species:S:1 .* and pos:R:3"),
        ("species:S:1:pos:R:2", "He 1 2", "line 2: .* must name"),
        ("species:S:1:pos:R", "He 1 2 3", "line 2: .* not made of name:type:count"),
        ("species:S:1:pos:R:-3", "He 1 2 3", "line 2: .* not made of name:type:count"),
        ("species:S:1:pos:R:99999999999999999999", "He 1 2 3", "not made of name:type:count"),
        ("species:S:1:pos:R:3:pos:R:3", "He 1 2 3 4 5 6", "each name once"),
        ("species:S:1:pos:Q:3", "He 1 2 3", "not made of"),
        ("species:S:1:pos:R:3:Z:I:1", "He 1 2 3 0", "there is no element '0'"),
        ("", "He 1 2 3", "not made of"),
    ],
)
def test_headers_that_cannot_be_followed(save, properties, line, said):
    with pytest.raises(UserError, match=said):
        read_xyz(save(f'1\nProperties="{properties}"\n{line}\n'))


def test_everything_that_a_frame_says(save):
    header = """Lattice="9 0 0 0 9 0 0 0 9" pbc="F F F" Properties=species:S:1:pos:R:3:forces:R:3 energy = -1.5e1 """
    header += """note="a b=c" list=[1, 2] old={x y} config_type=MD free text, E=mc^2"""
    (frame,) = read_frames(save(f"1\n{header}\nHe 1 2 3 4 5 6D-1\n"))
    assert frame.info["energy"] == "-1.5e1" and frame.info["note"] == "a b=c" and frame.info["config_type"] == "MD"
    assert frame.info["list"] == "1, 2" and frame.info["old"] == "x y"
    assert list(frame.columns) == ["forces"] and frame.columns["forces"].tolist() == [[4, 5, 0.6]]
    assert not frame.periodic and not frame.isotopes


@pytest.mark.parametrize("note", ["'x energy=5 y'", '"said \\" energy=5 "', '"energy=5"', "{energy=5}"])
def test_what_is_quoted_is_no_energy(save, note):
    for header in (f"energy=-2 note={note}", f"note={note} energy=-2"):
        (frame,) = read_frames(save(f"1\n{header}\nHe 0 0 0\n"))
        assert frame.info["energy"] == "-2"


def test_a_name_with_two_values_is_no_energy_and_no_cell_but_may_stand_in_a_comment(save):
    assert read_frames(save("1\nenergy=-2 energy=-2\nHe 0 0 0\n"))[0].info["energy"] == "-2"
    assert read_frames(save("1\nC=C C=O energy=-2\nHe 0 0 0\n"))[0].info == {"C": ("C", "O"), "energy": "-2"}
    with pytest.raises(UserError, match=r"frame 0: energy = \('-2', '-3'\) is no energy"):
        load_file(save("1\nenergy=-2 energy=-3\nHe 0 0 0\n"))
    with pytest.raises(UserError, match="line 2: pbc stands there twice"):
        read_frames(save('1\npbc="T T T" pbc="F F F"\nHe 0 0 0\n'))


@pytest.mark.parametrize(
    "note", ["'say \"hi\" energy=9 x'", "'\"'", '"a\\\\"', "{a \\ b}", "plain", "'it is'", '"it\'s [2]"', '""']
)
def test_what_is_written_is_read_again(save, note):
    (frame,) = read_frames(save(f"1\nnote={note} list=[1, 2] energy=-2\nHe 0 0 0\n"))
    text = io.StringIO()
    write_extxyz(text, [frame], [-3.0], [None])
    (again,) = read_frames(save(text.getvalue()))
    assert again.info["note"] == frame.info["note"] and again.info["energy"] == "-3.00000000"


def test_texts_of_any_characters_are_written_on_one_line(save):
    info = {"note": "line1\nline2\t\x1b[0m", "comment": "conformer 17, gauche", "table": {"a": np.eye(3)}}
    text = io.StringIO()
    write_extxyz(text, [Frame(np.array([2]), np.zeros((1, 3)), info, {})], [-3.0], [None])
    (again,) = read_frames(save(text.getvalue()))
    assert again.info["note"].split() == ["line1", "line2", "[0m"] and again.info["comment"] == info["comment"]
    assert read_frames(save("1\nconformer 17, gauche\nHe 0 0 0\n"))[0].info == {"comment": info["comment"]}


@pytest.mark.parametrize(
    "header, periodic",
    [
        ('pbc="F F F"', False),
        ('pbc="F F T"', True),
        ("pbc=[False, True, False]", True),
        ("pbc=[F, F, F]", False),
        ('Lattice="9 0 0 0 9 0 0 0 9"', True),
        ('Lattice="9 0 0 0 9 0 0 0 9" pbc="F F F"', False),
        ("pbc", False),
    ],
)
def test_periodic_cells(save, header, periodic):
    assert read_frames(save(f"1\n{header}\nHe 0 0 0\n"))[0].periodic == periodic


QM9_WATER = (
    "3\ngdb 3\t799.58812\t437.90386\t282.94545\t1.8511\n"
    "O\t-0.0343604951\t 0.9775395708\t 0.0076015923\t-0.589706\n"
    "H\t 0.0647664923\t 0.0205721989\t 1.5346341*^-6\t 0.294853\n"
    "H\t 0.8717903737\t 1.3007924048\t 6.9*^-1\t 0.294853\n"
    "1671.4222\t3803.6305\t3907.698\n"
    "O\tO\t\n"
    "InChI=1S/H2O/h1H2\tInChI=1S/H2O/h1H2\n"
)


@pytest.mark.parametrize("number", [1, 3])
def test_qm9s_own_files_alone_and_concatenated(save, number):
    molecules = read_xyz(save(number * QM9_WATER))
    assert len(molecules) == number
    charges, positions = molecules[-1]
    assert charges.tolist() == [8, 1, 1] and positions[1, 2] == 1.5346341e-6 and positions[2, 2] == 0.69


def test_qm9_between_other_molecules(save):
    assert [len(charges) for charges, _ in read_xyz(save(CHLORIDE + QM9_WATER + WATER))] == [2, 3, 3]


@pytest.mark.parametrize(
    "contents",
    [
        b"\xef\xbb\xbf" + WATER.encode(),
        WATER.encode("utf-16"),
        WATER.replace("\n", "\r\n").encode(),
        WATER.replace("\n", "\r").encode(),
        WATER.replace(" ", "\t").encode(),
        WATER.encode() + b"\n \n\t\n",
        WATER.replace("water", "5 Å").encode(),
        WATER.replace("water", "5 Å … \x1c \x85 \u2028 {[\"'= = a=").encode(),
        WATER.replace("water", "5 Å").encode("latin-1"),
        WATER.replace("water", "").encode(),
        WATER.replace("water", "3").encode(),
        WATER.replace("O", "8").replace("H", "1").encode(),
        WATER.replace("O", "o").replace("H", "h").encode(),
        WATER.replace("H", "D").encode(),
        WATER.replace("0.12", "1.2D-01").replace("0.76", "76.0e-2").replace("0.47", ".0047*^+2").encode(),
        gzip.compress(WATER.encode(), mtime=0),
        bz2.compress(WATER.encode()),
        lzma.compress(WATER.encode()),
    ],
)
def test_files_that_people_have(tmp_path, contents):
    (tmp_path / "own.xyz").write_bytes(contents)
    ((charges, positions),) = read_xyz(tmp_path / "own.xyz")
    assert charges.tolist() == [8, 1, 1]
    assert positions.tolist() == [[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]]


def test_isotopes_are_marked(save):
    heavy, light = read_frames(save(WATER.replace("H", "D") + WATER))
    assert heavy.isotopes and not light.isotopes


def test_symbols_in_capitals_or_not(save):
    ((charges, _),) = read_xyz(save("5\n\nCL 0 0 0\nc 0 0 1\nBR 0 0 2\nca 0 0 3\nCa 0 0 4\n"))
    assert charges.tolist() == [17, 6, 35, 20, 20]


def test_numbers_are_those_of_files_and_not_pythons():
    words = ["1", "-.5", "+2.", "1e-3", "1D2", "1d+2", "1.2*^-5"]
    assert to_numbers(words).tolist() == [1, -0.5, 2, 1e-3, 100, 100, 1.2e-5]
    wrong = ["1_0", "nan", "inf", "0x1", "1e", "", "1.2.3", "--1", "1,5", "\u0663", "1*^", "e5"]
    assert np.isnan(to_numbers(wrong)).all()
    assert all(np.isnan(to_numbers([word])).all() for word in wrong if word)


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("water\n\nO 0 0 0\n", "line 1: the number of a molecule's atoms is needed here, not 'water'"),
        ("0\nnothing\n", "line 1: the number"),
        ("2\n\nO 0 0 0\nXx 0 0 1\n", "line 4: there is no element 'Xx'"),
        ("2\n\nO 0 0 0\nC1 0 0 1\n", "line 4: there is no element 'C1'"),
        ("2\n\nO 0 0 0\nH2a 0 0 1\n", "line 4: there is no element 'H2a'"),
        ("2\n\nO 0 0 0\nCA 0 0 1\n", "line 4: 'CA' may be Ca or a label of C"),
        ("2\n\nO 0 0 0\n0 0 0 1\n", "line 4: there is no element '0'"),
        ("2\n\nO 0 0 0\n119 0 0 1\n", "line 4: there is no element '119'"),
        ("2\n\nO 0 0 0\n6.5 0 0 1\n", "line 4: there is no element '6.5'"),
        ("2\n\nO 0 0 0\nH 0 0 1_0\n", "line 4: an element"),
        ("2\n\nO 0 0 0\nH 0 0 1e999\n", "line 4: an element"),
        ("2\n\nO 0 0 0\nH 0 0 1e9\n", "line 4: an element"),
        ("99999999999999999999\n\nO 0 0 0\n", "line 1: the number"),
        ("999999999\n\nO 0 0 0\n", "line 1 promises 999999999 atoms"),
        ("\u0663\n\nO 0 0 0\n", "line 1: the number"),
        ("2\n\nO 0 0 0\nX 0 0 1\n", "line 4: there is no element 'X'"),
        ("2\n\nO 0 0 0\nH 0 0\n", "line 4: an element and x, y, z in Å are needed here, not 'H 0 0'"),
        ("2\n\nO 0 0 0\nH 0 0 one\n", "line 4: an element"),
        ("2\n\nO 0 0 0\nH 0 0 nan\n", "line 4: an element"),
        ("2\n\nO 0 0 0\n\n1\n\nHe 0 0 0\n", "line 4: an element"),
        ("2\n\nO 0 0 0\n", "ends after line 3, but line 1 promises 2 atoms"),
        ("1\n\nO 0 0 0\nH 0 0 1\n", "line 4: the number of a molecule's atoms is needed here, not 'H 0 0 1'"),
    ],
)
def test_broken_files(save, text, said):
    with pytest.raises(UserError, match=said) as error:
        read_xyz(save(text))
    assert "own.xyz" in str(error.value) and "\n" not in str(error.value)


def test_no_such_file_and_no_text(tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        read_xyz(tmp_path / "absent.xyz")
    (tmp_path / "binary.xyz").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="is not a text file"):
        read_xyz(tmp_path / "binary.xyz")


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    (tmp_path / "own.xyz.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    with pytest.raises(UserError, match="larger than the memory"):
        read_frames(tmp_path / "own.xyz.gz", max_memory=100_000_000)
    (tmp_path / "own.xyz.gz").write_bytes(gzip.compress(WATER.encode(), mtime=0)[:-12])
    with pytest.raises(UserError, match="cannot be read"):
        read_xyz(tmp_path / "own.xyz.gz")


@pytest.mark.parametrize(
    "comment", ["a" * 300_000, "a=" * 150_000, 'a="' * 100_000, "a={" * 100_000, " " * 300_000, "a " * 150_000]
)
def test_long_comments_take_no_long_time(save, comment):
    started = time.monotonic()
    read_xyz(save(f"1\n{comment}\nHe 0 0 0\n"))
    assert time.monotonic() - started < 2


def test_names_with_blanks_do_not_become_others():
    ase_io = pytest.importorskip("ase.io")
    text = io.StringIO()
    info = {"ref energy": -3.0, "a=b": 1, 'said "so"': "x"}
    write_extxyz(text, [Frame(np.array([2]), np.zeros((1, 3)), info, {})], [-5.0], [None])
    atoms = ase_io.read(io.StringIO(text.getvalue()), format="extxyz")
    assert atoms.get_potential_energy() == -5.0 and atoms.info["ref energy"] == -3.0
