"""Command-line options and settings files, derived from the fields of `Settings` and `Config`."""

import argparse
import dataclasses
import inspect
import json
import re
import types
import typing
from pathlib import Path

from cormorant_np.config import CONVENTIONS, Config
from cormorant_np.data.units import ENERGIES_IN_EV
from cormorant_np.errors import UserError
from cormorant_np.training.gain import parse_gain
from cormorant_np.training.settings import NETWORK_OF_DATA, SIZES, Settings

PARSERS = {
    "gain": {"type": parse_gain},
    "l_max": {"type": int, "nargs": "+", "metavar": "L"},
    "l_max_sh": {"type": int, "nargs": "+", "metavar": "L"},
}
CHOICES = {
    "dataset": list(SIZES),
    "optimizer": ["amsgrad", "adam"],
    "convention": list(CONVENTIONS),
    "dtype": ["float32", "float64"],
    "energy_unit": list(ENERGIES_IN_EV),
    "device": ["cpu", "gpu", "auto"],
}


def add_options(parser):
    """An option for every field of `Settings`, and of `Config` where the data do not decide it; none has a default.

    The help is what the docstring of the class says of the field.
    """
    network = parser.add_argument_group("the network, where it shall differ from the paper's")
    of_settings = {field.name: field for field in dataclasses.fields(Settings)}
    of_config = {field.name: field for field in dataclasses.fields(Config) if field.name not in of_settings}
    for group, kind, fields in ((parser, Settings, of_settings), (network, Config, of_config)):
        help_of = documented(kind)
        for name in [name for name in fields if name not in (*NETWORK_OF_DATA, "network")]:
            option = f"--{name.replace('_', '-')}"
            group.add_argument(option, help=help_of[name], default=argparse.SUPPRESS, **how_to_parse(fields[name]))


def how_to_parse(field):
    """The keywords of `add_argument` for a field of a dataclass."""
    if field.name in PARSERS:
        return PARSERS[field.name]
    if field.name in CHOICES:
        return {"choices": CHOICES[field.name]}
    (kind, *_) = kinds_of(field.type)
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    if kind is tuple:
        return {"nargs": "+"}
    return {"type": kind}


def kinds_of(annotation):
    """The types of `int | None` and the like, without None."""
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return [kind for kind in kinds if kind is not type(None)]


def documented(kind):
    """What the docstring of a dataclass says of its fields, `name : text` or `name, other : text`, a dict."""
    texts = {}
    for names, text in re.findall(r"^(\w+(?:, \w+)*) : (.+(?:\n {4,}.+)*)", inspect.getdoc(kind), re.MULTILINE):
        texts |= dict.fromkeys(names.split(", "), " ".join(text.split()).replace("%", "%%"))
    return texts


def read_config(path):
    """The fields of `Settings` and of `Config` in a JSON file: a run's config.json, or one object of any of them.

    Raises
    ------
    UserError
        If there is no such file, it is no JSON object, or a field is unknown or of the wrong kind.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the name given to --config.") from None
    except ValueError as error:
        raise UserError(f"{path} is not a JSON file ({error}).") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold one JSON object, with the names and values of settings.")
    if isinstance(content.get("settings"), dict):
        settings = {name: value for name, value in content["settings"].items() if name != "network"}
        content = {**content["settings"].get("network", {}), **settings}
    return {name: checked(path, name, value) for name, value in content.items()}


def checked(path, name, value):
    """The value of a field from a JSON file, in which a tuple is a list."""
    annotations = {field.name: field.type for kind in (Config, Settings) for field in dataclasses.fields(kind)}
    if name not in annotations or name == "network":
        raise UserError(f"{path}: there is no setting '{name}'; python -m cormorant_np.train --help lists them all.")
    kinds = kinds_of(annotations[name])
    if value is None:
        return value
    fits = {
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, int | float) and not isinstance(value, bool),
        str: isinstance(value, str),
        bool: isinstance(value, bool),
        tuple: isinstance(value, list),
    }
    if not any(fits[kind] for kind in kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds).replace("tuple", "list")
        raise UserError(f"{path}: '{name}' must be {wanted}, not {json.dumps(value)[:40]}.")
    return value
