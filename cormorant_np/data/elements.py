"""Chemical elements by their symbols, as files write them."""

import re

import numpy as np

ELEMENTS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr "
    "Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re "
    "Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh "
    "Fl Mc Lv Ts Og"
)
SYMBOLS = dict(enumerate(ELEMENTS.split(), start=1))
CHARGES = {symbol: charge for charge, symbol in SYMBOLS.items()}
MAX_CHARGE = len(CHARGES)
ISOTOPES = {"D", "T"}

# in capitals, these are labels of atoms in proteins (CA is the carbon α) as well as elements (Ca)
AMBIGUOUS = {"CA", "CD", "CE", "HE", "HG", "ND", "NE", "NH", "OG", "SG"}


def species_of(charges):
    """The charges of the elements in an array of charges, in order; 0 is padding."""
    return sorted({int(charge) for charge in np.unique(charges)} - {0})


def element_charge(word):
    """The charge for an element's symbol in upper or lower case, for D and T, or for a number; None if it is none.

    Labels such as C1 are no elements here, and neither are CA and its like, which may be calcium or a carbon's label.
    """
    if re.fullmatch("[0-9]{1,3}", word):
        return int(word) if 1 <= int(word) <= MAX_CHARGE else None
    if word in AMBIGUOUS:
        return None
    return 1 if word.upper() in ISOTOPES else CHARGES.get(word.capitalize())
