"""Command-line options and settings files, derived from the fields of `Settings` and `Config`."""

import argparse
import dataclasses
import inspect
import json
import re

from cormorant_np.arguments import number, path, positive_number, whole_number
from cormorant_np.config import Config
from cormorant_np.errors import UserError
from cormorant_np.files import read_file
from cormorant_np.training.fields import checked, kinds_of
from cormorant_np.training.settings import CHOICES, LIMITS, NETWORK_OF_DATA, PATHS, Settings, option_of


def gain(text):
    """The parser of --gain: a positive number, or auto."""
    return text if text == "auto" else positive_number(text)


threads = whole_number(*LIMITS["threads"])
seed = whole_number(*LIMITS["seed"])

PARSERS = {
    "gain": {"type": gain},
    "l_max": {"type": whole_number(*LIMITS["l_max"]), "nargs": "+", "metavar": "L"},
    "l_max_sh": {"type": whole_number(*LIMITS["l_max_sh"]), "nargs": "+", "metavar": "L"},
    **{name: {"type": path} for name in PATHS},
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
            how = how_to_parse(fields[name])
            group.add_argument(option_of(name), help=help_of[name], default=argparse.SUPPRESS, **how)


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
    if kind is int:
        return {"type": whole_number(*LIMITS[field.name])}
    return {"type": number if kind is float else kind}


def documented(kind):
    """What the docstring of a dataclass says of its fields, `name : text` or `name, other : text`, a dict."""
    texts = {}
    for names, text in re.findall(r"^(\w+(?:, \w+)*) : (.+(?:\n {4,}.+)*)", inspect.getdoc(kind), re.MULTILINE):
        texts |= dict.fromkeys(names.split(", "), " ".join(text.split()).replace("%", "%%"))
    return texts


def read_settings_file(path):
    """The fields of `Settings` and of `Config` in a JSON file: a run's config.json, or one object of any of them.

    Raises
    ------
    UserError
        If there is no such file, it is no JSON object, or a field is unknown or of the wrong kind.
    """
    try:
        content = json.loads(read_file(path, "check the name given to --config").decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not a JSON file ({error}).") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold one JSON object, with the names and values of settings.")
    if isinstance(content.get("settings"), dict):
        content = content["settings"]
    if isinstance(content.get("network"), dict):
        content = {**content["network"], **{name: value for name, value in content.items() if name != "network"}}
    return {name: checked(path, name, value) for name, value in content.items()}
