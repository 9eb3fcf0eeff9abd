"""The units of energy and length that files may have, and their spellings."""

from scipy import constants

from cormorant_np.errors import UserError

EV_PER_KJ_MOL = constants.kilo / constants.N_A / constants.e
ENERGIES_IN_EV = {
    "eV": 1.0,
    "meV": 1e-3,
    "kcal/mol": constants.calorie * EV_PER_KJ_MOL,
    "kJ/mol": EV_PER_KJ_MOL,
    "Hartree": constants.physical_constants["Hartree energy in eV"][0],
}
LENGTHS_IN_ANGSTROM = {
    "Ang": 1.0,
    "nm": 10.0,
    "Bohr": constants.physical_constants["Bohr radius"][0] / constants.angstrom,
}

# spellings in lower case, without blanks and ^, with "/mol" for "mol-1"
ENERGY_SPELLINGS = {unit.lower(): unit for unit in ENERGIES_IN_EV} | {
    "electronvolt": "eV",
    "kcal/mole": "kcal/mol",
    "kj/mole": "kJ/mol",
    "ha": "Hartree",
    "eh": "Hartree",
    "hartrees": "Hartree",
    "a.u.": "Hartree",
    "au": "Hartree",
}
LENGTH_SPELLINGS = {unit.lower(): unit for unit in LENGTHS_IN_ANGSTROM} | {
    "å": "Ang",
    "a": "Ang",
    "angstrom": "Ang",
    "angstroms": "Ang",
    "ångström": "Ang",
    "nanometer": "nm",
    "bohrs": "Bohr",
    "a0": "Bohr",
    "a.u.": "Bohr",
    "au": "Bohr",
}


def canonical_energy_unit(text):
    """The unit's name among "eV", "meV", "kcal/mol", "kJ/mol" and "Hartree", for any of its usual spellings.

    Raises
    ------
    UserError
        If it is none of them; the sentence lists the known ones.
    """
    return _canonical(text, ENERGY_SPELLINGS, ENERGIES_IN_EV, "energy")


def energy_factor(from_unit, to_unit):
    """What an energy in `from_unit` is multiplied by to have it in `to_unit` (CODATA); any spelling will do.

    Raises
    ------
    UserError
        If a unit is unknown.
    """
    return ENERGIES_IN_EV[canonical_energy_unit(from_unit)] / ENERGIES_IN_EV[canonical_energy_unit(to_unit)]


def length_in_angstrom(text):
    """How many Å the unit of length is: 1 for "Ang", "Å", "Angstrom" or "A", 10 for "nm", 0.529 for "Bohr".

    Raises
    ------
    UserError
        If the unit is unknown.
    """
    return LENGTHS_IN_ANGSTROM[_canonical(text, LENGTH_SPELLINGS, LENGTHS_IN_ANGSTROM, "length")]


def _canonical(text, spellings, known, quantity):
    stripped = str(text).strip()
    plain = stripped.lower()
    for old, new in ((" ", ""), ("^", ""), ("·", ""), ("*", ""), ("mol-1", "/mol"), ("mole-1", "/mol"), ("//", "/")):
        plain = plain.replace(old, new)
    if plain not in spellings or stripped == "MeV":
        raise UserError(f"There is no unit of {quantity} '{stripped[:40]}' among those known: {', '.join(known)}.")
    return spellings[plain]
