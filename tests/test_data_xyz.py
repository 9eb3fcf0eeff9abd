"""xyz files: with ASE and without it, several molecules, and broken ones."""

import sys

import numpy as np
import pytest

from cormorant_np.data import read_xyz
from cormorant_np.errors import UserError

WATER = "3\nwater\nO 0 0 0.12\nH 0 0.76 -0.47\nH 0 -0.76 -0.47\n"
CHLORIDE = (
    '2\nProperties=species:S:1:pos:R:3:forces:R:3 energy=-1.5 pbc="F F F"\nC 0 0 0 1 2 3\nCl\t1.7e0  0 -1e-3 1 2 3\n'
)


@pytest.fixture(params=["with ASE", "without ASE"])
def ase(request, monkeypatch):
    if request.param == "without ASE":
        monkeypatch.setitem(sys.modules, "ase", None)
        monkeypatch.setitem(sys.modules, "ase.io", None)
    else:
        pytest.importorskip("ase", reason="ASE is not installed")


@pytest.fixture
def save(tmp_path):
    def save(text):
        (tmp_path / "own.xyz").write_text(text, encoding="utf-8")
        return tmp_path / "own.xyz"

    return save


def test_several_molecules(ase, save):
    (charges, positions), (other_charges, other_positions), _ = read_xyz(save(WATER + CHLORIDE + CHLORIDE))
    assert charges.dtype == np.int64 and charges.tolist() == [8, 1, 1]
    assert positions.dtype == np.float64 and positions.tolist() == [[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]]
    assert other_charges.tolist() == [6, 17] and other_positions.tolist() == [[0, 0, 0], [1.7, 0, -1e-3]]


def test_windows_line_ends_and_blank_lines_at_the_end(ase, save):
    ((charges, positions),) = read_xyz(save("1\r\n\r\nHe 1 2 3\r\n\r\n\r\n"))
    assert charges.tolist() == [2] and positions.tolist() == [[1, 2, 3]]


def test_columns_in_another_order_need_ase(save):
    pytest.importorskip("ase", reason="ASE is not installed")
    ((charges, positions),) = read_xyz(save("1\nProperties=pos:R:3:species:S:1\n1 2 3 He\n"))
    assert charges.tolist() == [2] and positions.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("water\n\nO 0 0 0\n", "line 1: the number of a molecule's atoms is needed here, not 'water'"),
        ("0\nnothing\n", "line 1: the number"),
        ("2\n\nO 0 0 0\nXx 0 0 1\n", "line 4: there is no element 'Xx'"),
        ("2\n\nO 0 0 0\nX 0 0 1\n", "line 4: there is no element 'X'"),
        ("2\n\nO 0 0 0\nH 0 0\n", "line 4: an element and x, y, z in Å are needed here, not 'H 0 0'"),
        ("2\n\nO 0 0 0\nH 0 0 one\n", "line 4: an element"),
        ("2\n\nO 0 0 0\nH 0 0 nan\n", "line 4: an element"),
        ("2\n\nO 0 0 0\n\n1\n\nHe 0 0 0\n", "line 4: an element"),
        ("2\n\nO 0 0 0\n", "ends after line 3, but line 1 promises 2 atoms"),
        ("1\n\nO 0 0 0\nH 0 0 1\n", "line 4: the number of a molecule's atoms is needed here, not 'H 0 0 1'"),
    ],
)
def test_broken_files(ase, save, text, said):
    with pytest.raises(UserError, match=said) as error:
        read_xyz(save(text))
    assert "own.xyz" in str(error.value) and "\n" not in str(error.value)


def test_no_such_file_and_no_text(ase, tmp_path):
    with pytest.raises(UserError, match="There is no file"):
        read_xyz(tmp_path / "absent.xyz")
    (tmp_path / "binary.xyz").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match="is not a text file"):
        read_xyz(tmp_path / "binary.xyz")
