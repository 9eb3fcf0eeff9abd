"""Files of one's own: names of energies and forces, mixed molecules, isolated atoms, with and without ASE."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from cormorant_np.data import fit_references, load, load_file, read_frames, read_references, reference_energies, split
from cormorant_np.errors import UserError

FILES = Path(__file__).parents[1].parent / "shared" / "data"
needs_files = pytest.mark.skipif(not FILES.is_dir(), reason="acac and ethanol_methanol are not on this machine")

COLUMNS = "Properties=species:S:1:pos:R:3:forces:R:3"
WATER = f'3\n{COLUMNS} energy=-10.5 pbc="F F F"\nO 0 0 0.2 1 2 3\nH 0 0.7 -0.4 4 5 6\nH 0 -0.7 -0.4 7 8 9\n'
HYDROXYL = f'2\nLattice="9 0 0 0 9 0 0 0 9" {COLUMNS} energy=-5 pbc="F F F"\nO 0 0 1 1 1 1\nH 0 0 2 -1 -1 -1\n'
ATOMS = "".join(
    f"1\nProperties=species:S:1:pos:R:3 config_type={kind} energy={energy}\n{symbol} 0 0 0\n"
    for kind, energy, symbol in (("IsolatedAtom", -1.5, "H"), ("isolated_atom", -7, "O"))
)


@pytest.fixture
def save(tmp_path):
    def save(text, name="own.xyz"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return save


def test_molecules_of_different_sizes(save):
    data = load_file(save(WATER + HYDROXYL + WATER))
    assert data.name == "own" and data.unit == "eV" and data.splits == {} and data.references is None
    assert data.charges.dtype == np.int64 and data.charges.tolist() == [[8, 1, 1], [8, 1, 0], [8, 1, 1]]
    assert data.energies.tolist() == [-10.5, -5, -10.5]
    assert data.forces[0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert data.forces[1].tolist() == [[1, 1, 1], [-1, -1, -1], [0, 0, 0]]
    np.testing.assert_allclose(data.positions[1], [[0, 0, -0.5], [0, 0, 0.5], [0, 0, 0]], atol=1e-15)
    (note,) = data.notes
    assert note == (
        'Energies are read from "energy" and forces from "forces", in eV and eV/Å, which is assumed (--energy-unit).'
    )


def test_by_name_as_a_data_set(save):
    data = load("file", data_file=save(WATER * 10), energy_unit="kcal/mol")
    assert data.unit == "kcal/mol" and "assumed" not in data.notes[0]
    assert [len(indices) for indices in split(data, None, None, None, 0).values()] == [8, 1, 1]
    with pytest.raises(UserError, match="name it with --data-file"):
        load("file")


def test_isolated_atoms_are_references(save):
    data = load_file(save(ATOMS + WATER))
    assert data.references == {1: -1.5, 8: -7} and len(data.energies) == 1
    assert any("2 frames are isolated atoms (H, O)" in note for note in data.notes)
    assert read_references(save(ATOMS)) == {1: -1.5, 8: -7}
    in_a_box = ATOMS.replace("config_type", 'pbc="T T T" config_type')
    assert load_file(save(in_a_box + WATER)).references == data.references
    with pytest.raises(UserError, match="nothing but isolated atoms"):
        load_file(save(ATOMS))
    with pytest.raises(UserError, match=r"frame 2: .* not 3 atoms"):
        read_references(save(ATOMS + WATER))
    with pytest.raises(UserError, match=r"frame 3: O as an isolated atom has another energy"):
        load_file(save(ATOMS + ATOMS.replace("-7", "-8") + WATER))


@pytest.mark.parametrize("name, what", [("charge", "charges"), ("total_charge", "charges"), ("multiplicity", "spins")])
def test_charges_and_spins_that_differ_are_named(save, name, what):
    texts = [WATER.replace("energy", f"{name}={value} energy") for value in (0, 1)]
    assert any(f"different {what} ({name}: 0, 1)" in note for note in load_file(save("".join(texts))).notes)
    same = texts[1].replace(f"{name}=", f"charge=1 total_charge=1.0 spin=0 multiplicity=2 {name}2=")
    assert not any("different" in note for note in load_file(save(same * 3)).notes)


@pytest.mark.parametrize(
    "old, new, options, energy, force",
    [
        ("energy", "REF_energy", {}, -10.5, None),
        ("energy=", "energy=1 REF_energy=", {}, 1, 1),
        ("energy=", "energy=1 REF_energy=", {"energy_key": "REF_energy"}, -10.5, 1),
        (":forces:", ":REF_forces:", {}, -10.5, None),
        (":forces:", ":REF_forces:", {"forces_key": "REF_forces"}, -10.5, 1),
        (":forces:R:3 energy", ":REF_forces:R:3 REF_energy", {}, -10.5, 1),
        (":forces:R:3 energy=", ":REF_forces:R:3 energy=1 REF_energy=", {}, -10.5, 1),
        (":forces:R:3 energy", ":dft_forces:R:3 dft_energy", {"energy_key": "dft_energy"}, -10.5, 1),
        (":forces:R:3 energy", ":f:R:3 U0", {"energy_key": "U0", "forces_key": "f"}, -10.5, 1),
    ],
)
def test_names_of_energies_and_forces(save, old, new, options, energy, force):
    data = load_file(save(WATER.replace(old, new)), **options)
    assert data.energies.tolist() == [energy]
    if old == "energy" and new == "REF_energy":
        assert data.forces is None and any("The atoms have forces (--forces-key)" in note for note in data.notes)
    else:
        assert (data.forces is None) == (force is None)
        assert force is None or data.forces[0, 0, 0] == force


@pytest.mark.parametrize(
    "text, options, said",
    [
        (WATER + WATER.replace("energy", "dft"), {}, r"frame 1: there is no energy under energy \(.*dft, .*forces"),
        (WATER.replace("energy", "dft"), {}, r"no energies under energy or .* \(frame 0 has dft, pbc, forces\)"),
        ("1\n\nHe 0 0 0\n", {}, r"no energies under energy or REF_energy \(frame 0 has no names at all\)"),
        (WATER, {"energy_key": "dft"}, "no energies under dft"),
        (WATER + WATER.replace(":forces:", ":f:"), {}, r"frame 1: there are no forces under forces \(.*, f\)"),
        (WATER.replace(":forces:", ":f:") + WATER, {}, "frame 0: there are no forces under forces"),
        (WATER, {"forces_key": "f"}, "frame 0: there are no forces under f"),
        (WATER.replace("4 5 6", "4 nan 6"), {}, "frame 0: the forces under forces are not three finite numbers"),
        (WATER.replace("4 5 6", "4 5 1e300"), {}, "frame 0: the forces"),
        (WATER + WATER.replace("-10.5", "nan"), {}, "frame 1: energy = nan is no energy"),
        (WATER.replace("-10.5", '"1 2"'), {}, "frame 0: energy = 1 2 is no energy"),
        (WATER.replace("-10.5", "1e300"), {}, "frame 0: energy = 1e300 is no energy"),
        (WATER + WATER.replace("F F F", "F F T"), {}, "frame 1: the cell is periodic"),
        (HYDROXYL.replace('pbc="F F F"', ""), {}, "frame 0: the cell is periodic"),
        (WATER, {"energy_unit": "furlong"}, "no unit of energy 'furlong'"),
        (WATER * 500, {"max_memory": 200_000}, "memory that may be used"),
    ],
)
def test_what_is_missing_or_wrong(save, text, options, said):
    with pytest.raises(UserError, match=said) as error:
        load_file(save(text), **options)
    assert "\n" not in str(error.value)


def test_one_large_molecule_among_many_small_ones_needs_memory_for_padding(save):
    large = f"3000\n{COLUMNS} energy=0\n" + "".join(f"H {k} 0 0 0 0 0\n" for k in range(3000))
    path = save(large + WATER * 3000)
    with pytest.raises(UserError, match="MiB of memory"):
        load_file(path, max_memory=100_000_000)


def test_isotopes_are_said(save):
    data = load_file(save(WATER + WATER.replace("H", "D")))
    assert data.charges[1].tolist() == [8, 1, 1] and "D and T are read as hydrogen, in 1 frames." in data.notes


def test_compressed_and_without_ase(save, tmp_path, monkeypatch):
    for module in ("ase", "ase.io", "ase.db"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "own.extxyz.gz").write_bytes(gzip.compress((WATER + HYDROXYL).encode()))
    data = load_file(tmp_path / "own.extxyz.gz")
    assert data.name == "own" and data.energies.tolist() == [-10.5, -5]
    with pytest.raises(UserError, match=r"own\.traj is read by ASE, which is not installed: pip install ase"):
        load_file(save("", "own.traj"))


@pytest.fixture
def atoms():
    """Two molecules with energies and forces, the first with an atom held fixed."""
    pytest.importorskip("ase", reason="ASE is not installed")
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.constraints import FixAtoms

    molecules = [Atoms("OH2", [[0, 0, 0.2], [0, 0.7, -0.4], [0, -0.7, -0.4]]), Atoms("OH", [[0, 0, 1], [0, 0, 2]])]
    for energy, molecule in zip((-10.5, -5), molecules, strict=True):
        forces = np.arange(3.0 * len(molecule)).reshape(-1, 3) + 1
        molecule.calc = SinglePointCalculator(molecule, energy=energy, forces=forces)
    molecules[0].set_constraint(FixAtoms([0]))
    return molecules


@pytest.mark.parametrize("name", ["own.traj", "own.db", "own.json", "own.xyz", "postgresql.traj", "a@b.traj"])
def test_files_of_ase(atoms, tmp_path, name):
    import ase.io

    ase.io.write(tmp_path / name, atoms)
    data = load_file(tmp_path / name)
    assert data.charges.tolist() == [[8, 1, 1], [8, 1, 0]] and data.energies.tolist() == [-10.5, -5]
    assert data.forces[0].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert data.forces[1].tolist() == [[1, 2, 3], [4, 5, 6], [0, 0, 0]]


@pytest.mark.parametrize("name", ["data", "key_value_pairs"])
def test_texts_under_the_names_of_databases(atoms, tmp_path, name):
    import ase.io

    atoms[0].info[name] = "set A"
    ase.io.write(tmp_path / "own.traj", atoms)
    assert read_frames(tmp_path / "own.traj")[0].info[name] == "set A"


def test_both_readers_agree(atoms, tmp_path):
    import ase.io

    atoms[1].info |= {"config_type": "MD", "note": "two words"}
    ase.io.write(tmp_path / "own.xyz", atoms)
    ase.io.write(tmp_path / "own.traj", ase.io.read(tmp_path / "own.xyz", ":"))
    plain, through_ase = load_file(tmp_path / "own.xyz"), load_file(tmp_path / "own.traj")
    assert plain.notes == through_ase.notes
    for field in ("charges", "energies", "forces"):
        np.testing.assert_array_equal(getattr(plain, field), getattr(through_ase, field))
    np.testing.assert_allclose(plain.positions, through_ase.positions, atol=1e-8)


def test_extra_columns_of_an_ase_database(atoms, tmp_path):
    from ase.db import connect

    with connect(tmp_path / "own.db") as database:
        database.write(atoms[1], dft_energy=-3.5, data={"remark": "none"})
    assert load_file(tmp_path / "own.db", energy_key="dft_energy").energies.tolist() == [-3.5]


def test_what_ase_reads_is_checked(atoms, tmp_path):
    import ase.io
    from ase import Atoms

    ase.io.write(tmp_path / "periodic.traj", Atoms("H", cell=[9, 9, 9], pbc=True))
    ase.io.write(tmp_path / "unknown.traj", [atoms[0], Atoms("XH", [[0, 0, 0], [0, 0, 1]])])
    ase.io.write(tmp_path / "far.traj", Atoms("H", [[0, np.nan, 0]]))
    (tmp_path / "broken.traj").write_bytes((tmp_path / "far.traj").read_bytes()[:-20])
    (tmp_path / "own.cif").write_text("no cif", encoding="utf-8")
    said = {
        "periodic.traj": "frame 0: the cell is periodic",
        "unknown.traj": "frame 1: there are no atoms, or some are no element",
        "far.traj": "frame 0: some positions",
        "broken.traj": "cannot be read by ASE",
        "own.cif": "(holds no molecule|cannot be read by ASE)",
        "absent.traj": "There is no file",
        "x" * 300 + ".traj": "There is no file",
        "nul\0.traj": "There is no file",
    }
    for name, sentence in said.items():
        with pytest.raises(UserError, match=sentence) as error:
            load_file(tmp_path / name)
        assert "\n" not in str(error.value)


@needs_files
def test_acetylacetone():
    data = load_file(FILES / "acac/train_300K.xyz")
    assert data.charges.shape == (500, 15) and data.forces.shape == (500, 15, 3) and data.unit == "eV"
    assert data.energies.mean() == pytest.approx(-9391.3, abs=0.5)
    assert abs(data.forces.sum(axis=1)).max() < 0.1
    scan = load_file(FILES / "acac/test_dihedral.xyz")
    assert scan.forces is None and len(scan.energies) == 45
    atoms = read_references(FILES / "acac/isolated_atoms.xyz")
    atomization = data.energies - reference_energies(data.charges, atoms)
    assert -80 < atomization.mean() < -50


@needs_files
def test_ethanol_and_methanol():
    data = load_file(FILES / "ethanol_methanol/train_eth_meth.xyz")
    assert sorted(np.unique((data.charges > 0).sum(axis=1), return_counts=True)[1].tolist()) == [300, 1000]
    rest = data.energies - reference_energies(data.charges, fit_references(data.charges, data.energies))
    assert data.energies.std() > 400 and rest.std() < 0.3
