"""The network's hyperparameters, and the points where the supplement and the released code differ."""

import math
from dataclasses import dataclass, fields
from numbers import Real

from cormorant_np.errors import UserError

CUTOFF, WIDTH = 1.73, 0.2
"""In Å: where soft masks start by default, r_c and w, and where the released code's messages of QM9 end, how softly."""

MIN_WIDTH = 1e-3
"""In Å: the smallest |w| of a mask with `clamp_cutoffs`."""

MIN_DISTANCE = 1e-3
"""In Å: no two nuclei come this close, and r^-3 in the radial functions would swamp everything else."""

LIMITS = {
    "species": (1, 118),
    "num_channels": (1, 4096),
    "num_layers": (1, 100),
    "l_max": (0, 20),
    "l_max_sh": (0, 20),
    "max_power": (0, 64),
    "num_frequencies": (1, 1024),
    "num_hidden": (1, 2**16),
    "num_intermediate": (1, 2**16),
}
"""The smallest and the largest whole number that a field may be, or have in it."""

CONVENTIONS = {
    "supplement": {
        "solid_harmonics": False,
        "paired_radial_functions": False,
        "self_pairs": False,
        "clamp_cutoffs": False,
        "vertex_order": ("aggregate", "square", "identity"),
        "imaginary_scalar_product": True,
        "released_initialisation": False,
        "gain": 5.0,
        "filtered_messages": False,
        "num_intermediate": 96,
        "negative_slope": 0.0,
    },
    "released": {
        "solid_harmonics": True,
        "paired_radial_functions": True,
        "self_pairs": True,
        "clamp_cutoffs": True,
        "vertex_order": ("aggregate", "identity", "square"),
        "imaginary_scalar_product": False,
        "released_initialisation": True,
        "gain": 10.0,
        "filtered_messages": True,
        "num_intermediate": 64,
        "negative_slope": 0.01,
    },
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyperparameters of the network (sections 1.3 to 1.6), and one field for each convention.

    The presets `Config.md17(convention=...)` set the fields of the second group to what the supplement says, or to what
    the authors' released code does; nothing else differs between the two.

    Parameters
    ----------
    species : the atomic charges that the network knows, in the order of the one-hot vector
    charge_scale : Z_max, the charge that scales Z̃ = Z / Z_max
    num_channels : n_c, channels of every layer
    l_max : L of the vertex activations, one for each layer
    l_max_sh : L of the edge activations and spherical harmonics, one for each layer
    max_power, num_frequencies : the radial functions have k = 0..max_power and n = 0..num_frequencies-1
    message_passing_input : INPUT is linear as for MD17 (False), or a message-passing network as for QM9 (True)
    mlp_output : OUTPUT is linear as for MD17 (False), or two multi-layer perceptrons as for QM9 (True)
    num_hidden : neurons of the hidden layers of these perceptrons
    cutoff, width : in Å, r_c and w of all soft masks at the start; they are learned

    solid_harmonics : Y^ℓ(r̂) of the unit vector (False), or r^ℓ Y^ℓ(r̂) (True)
    paired_radial_functions : how real radial functions pair up into complex channels, see `network.radial`
    self_pairs : whether an atom is its own neighbour, j = i
    clamp_cutoffs : the mask uses r_c and w as they are (False), or |r_c| and max(|w|, 1e-3) (True)
    vertex_order : order in which (S5) concatenates its three parts
    imaginary_scalar_product : ξ_1 = Re + Im (True), or Re alone (False)
    released_initialisation : weights start as section 1.6 says (False), or as in the released code (True)
    gain : g, scales the weights at the start (section 1.6)
    filtered_messages : QM9's messages have one mask (False), or a learnable filter for every feature (True)
    num_intermediate : outputs of MLP_1 (section 1.5.2)
    negative_slope : of the perceptrons' (leaky) ReLU
    """

    species: tuple
    charge_scale: float
    num_channels: int
    l_max: tuple
    l_max_sh: tuple
    max_power: int = 3
    num_frequencies: int = 4
    message_passing_input: bool = False
    mlp_output: bool = False
    num_hidden: int = 256
    cutoff: float = CUTOFF
    width: float = WIDTH

    solid_harmonics: bool
    paired_radial_functions: bool
    self_pairs: bool
    clamp_cutoffs: bool
    vertex_order: tuple
    imaginary_scalar_product: bool
    released_initialisation: bool
    gain: float
    filtered_messages: bool
    num_intermediate: int
    negative_slope: float

    def __post_init__(self):
        for name in ("species", "l_max", "l_max_sh", "vertex_order"):
            if not hasattr(getattr(self, name), "__iter__"):
                raise UserError(f"{name} must be a list, not {getattr(self, name)}.")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.l_max) != len(self.l_max_sh) or not self.l_max:
            raise UserError(
                f"l_max and l_max_sh need one number for each layer, not {len(self.l_max)} and {len(self.l_max_sh)}."
            )
        sizes = {name: getattr(self, name) for name in LIMITS if name != "num_layers"} | {"num_layers": len(self.l_max)}
        for name, value in sizes.items():
            check_whole_numbers(name, value, LIMITS[name])
        if len(set(self.species)) != len(self.species) or not self.species:
            raise UserError(f"species must be different positive charges, not {self.species}.")
        if sorted(map(str, self.vertex_order)) != sorted(CONVENTIONS["supplement"]["vertex_order"]):
            raise UserError(f"vertex_order must be aggregate, square and identity, ordered, not {self.vertex_order}.")
        for name in ("charge_scale", "gain", "cutoff", "width"):
            if not (isinstance(getattr(self, name), Real) and 0 < getattr(self, name) < math.inf):
                raise UserError(f"{name} must be a positive number, not {getattr(self, name)}.")
        if not (isinstance(self.negative_slope, Real) and 0 <= self.negative_slope <= 1):
            raise UserError(f"negative_slope must be from 0 to 1, not {self.negative_slope}.")
        for name in ("charge_scale", "gain", "cutoff", "width", "negative_slope"):
            object.__setattr__(self, name, float(getattr(self, name)))
        check_switches(self)
        self._check_reach()

    def _check_reach(self):
        """A `UserError` if a layer should have an ℓ that none of its products has."""
        for s, (l_max, l_max_sh) in enumerate(zip(self.l_max, self.l_max_sh, strict=True)):
            l_in = self.layer_l_max(s)
            if l_max > (most := l_in + max(l_in, l_max_sh)):
                raise UserError(
                    f"l_max of layer {s + 1} is {l_max}, but its products, of activations up to ℓ = {l_in} and "
                    f"harmonics up to l_max_sh = {l_max_sh}, end at ℓ = {most}: raise l_max_sh, or lower l_max."
                )

    @classmethod
    def md17(
        cls,
        species=(1, 6, 8),
        charge_scale=8,
        num_channels=16,
        l_max=(3, 3, 3, 3),
        l_max_sh=(3, 3, 3, 3),
        convention="supplement",
        **fields,
    ):
        """The MD17 network of section 2; any other field may be given by name.

        Raises
        ------
        UserError
            If a value makes no sense or the convention is unknown.
        """
        return cls(
            species=species,
            charge_scale=charge_scale,
            num_channels=num_channels,
            l_max=l_max,
            l_max_sh=l_max_sh,
            **{**_fields_of(convention), **fields},
        )

    @classmethod
    def qm9(
        cls,
        species=(1, 6, 7, 8, 9),
        charge_scale=9,
        num_channels=16,
        l_max=(3, 3, 3, 0),
        l_max_sh=(3, 3, 3, 0),
        convention="supplement",
        **fields,
    ):
        """The QM9 network of section 2, whose last layer has ℓ = 0 alone; otherwise as `md17`."""
        fields = {"message_passing_input": True, "mlp_output": True, **fields}
        return cls.md17(species, charge_scale, num_channels, l_max, l_max_sh, convention, **fields)

    @property
    def num_layers(self):
        """S, the number of covariant layers."""
        return len(self.l_max)

    @property
    def num_radial(self):
        """Number of complex radial functions η_(k, n)."""
        return (self.max_power + 1) * self.num_frequencies

    def num_scalars(self, s):
        """Invariant scalars of layer s (section 1.5): of each channel Re ξ_0, Im ξ_0, and ξ_1 and ξ_2 for every ℓ."""
        return (2 + 2 * (self.l_max[s] + 1)) * self.num_channels

    def layer_l_max(self, s):
        """L of the activations F^s that enter layer s: the input has scalars alone."""
        return self.l_max[s - 1] if s > 0 else 0


PRESETS = {"md17": Config.md17, "qm9": Config.qm9}
"""The paper's networks."""


def check_switches(of_dataclass):
    """A `UserError` that names a field of a dataclass which is to be true or false, and is neither."""
    for field in fields(of_dataclass):
        value = getattr(of_dataclass, field.name)
        if field.type is bool and not isinstance(value, bool):
            raise UserError(f"{field.name} must be true or false, not {value!r}.")


def check_whole_numbers(name, value, limits):
    """A `UserError` that names a field, unless its value, or each in its tuple, is a whole number within the limits."""
    least, most = limits
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, bool) or not hasattr(number, "__index__") or not least <= number <= most:
            shown = str(number)[:40]
            raise UserError(f"{name} must be a whole number from {least} to {most}, not {shown}.")


def _fields_of(convention):
    if convention not in CONVENTIONS:
        raise UserError(f"The convention must be one of {list(CONVENTIONS)}, not {convention!r}.")
    return CONVENTIONS[convention]
