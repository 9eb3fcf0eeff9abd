"""Units of energy and length: numbers that are known from elsewhere, and spellings."""

import pytest

from cormorant_np.data.units import canonical_energy_unit, energy_factor, length_in_angstrom
from cormorant_np.errors import UserError


@pytest.mark.parametrize(
    "from_unit, to_unit, factor",
    [
        ("Hartree", "eV", 27.211386246),
        ("kcal/mol", "meV", 43.364104),
        ("Hartree", "kcal/mol", 627.509474),
        ("kJ/mol", "kcal/mol", 1 / 4.184),
        ("eV", "kcal/mol", 23.060548),
        ("eV", "eV", 1),
    ],
)
def test_known_factors(from_unit, to_unit, factor):
    assert energy_factor(from_unit, to_unit) == pytest.approx(factor, rel=1e-8)
    assert energy_factor(to_unit, from_unit) == pytest.approx(1 / factor, rel=1e-8)


@pytest.mark.parametrize(
    "text, unit",
    [
        ("kcal mol-1", "kcal/mol"),
        ("kcal mol^-1", "kcal/mol"),
        (" Kcal/Mol ", "kcal/mol"),
        ("kcal/mole", "kcal/mol"),
        ("KJ/mol", "kJ/mol"),
        ("Ha", "Hartree"),
        ("hartree", "Hartree"),
        ("ev", "eV"),
        ("meV", "meV"),
        ("kJ/mole", "kJ/mol"),
        ("electronvolt", "eV"),
        ("Eh", "Hartree"),
        ("hartrees", "Hartree"),
        ("a.u.", "Hartree"),
        ("au", "Hartree"),
    ],
)
def test_spellings_of_energy(text, unit):
    assert canonical_energy_unit(text) == unit


def test_lengths():
    assert all(length_in_angstrom(text) == 1 for text in ("Ang", "Å", "\u212b", "angstrom", "A", "Angstroms"))
    assert length_in_angstrom("nm") == length_in_angstrom("nanometer") == 10
    assert len({length_in_angstrom(text) for text in ("Bohr", "bohrs", "a0", "a.u.", "au")}) == 1
    assert length_in_angstrom("bohr") == length_in_angstrom("Bohr") == pytest.approx(0.529177210, rel=1e-8)


@pytest.mark.parametrize("text", ["MeV", "furlong", "", "kcal", "Ang"])
def test_unknown_units_of_energy(text):
    with pytest.raises(UserError, match=r"no unit of energy.*eV, meV, kcal/mol, kJ/mol, Hartree"):
        energy_factor(text, "eV")


def test_unknown_units_of_length():
    with pytest.raises(UserError, match=r"no unit of length 'eV'.*Ang, nm, Bohr"):
        length_in_angstrom("eV")
