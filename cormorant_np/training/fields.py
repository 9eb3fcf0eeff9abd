"""Fields of `Settings` and `Config` that come out of a JSON file: are they known, and of the right kind?"""

import dataclasses
import json
import types
import typing

from cormorant_np.config import Config
from cormorant_np.errors import UserError
from cormorant_np.training.settings import Settings

LARGEST = 1e300
"""No number that means something is larger."""


def kinds_of(annotation):
    """The types of `int | None` and the like, without None."""
    kinds = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return [kind for kind in kinds if kind is not type(None)]


def checked(path, name, value, kinds=(Config, Settings)):
    """The value of a field of these dataclasses from a JSON file, in which a tuple is a list.

    Raises
    ------
    UserError
        If there is no such field, or the value is of another kind.
    """
    annotations = {field.name: field.type for kind in kinds for field in dataclasses.fields(kind)}
    if name not in annotations or name == "network":
        raise UserError(f"{path}: there is no setting '{name}'; python -m cormorant_np.train --help lists them all.")
    annotation = annotations[name]
    fits = {
        int: isinstance(value, int) and not isinstance(value, bool),
        float: isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST,
        str: isinstance(value, str),
        bool: isinstance(value, bool),
        tuple: isinstance(value, list),
        type(None): value is None,
    }
    wanted = typing.get_args(annotation) or (annotation,)
    if not any(fits[kind] for kind in wanted):
        words = " or ".join(kind.__name__ for kind in wanted).replace("tuple", "list").replace("NoneType", "null")
        raise UserError(f"{path}: '{name}' must be {words}, not {json.dumps(value)[:40]}.")
    return value


def build(kind, path, content, needed=()):
    """A `Config` or `Settings` from an object of a JSON file.

    Parameters
    ----------
    kind : Config or Settings
    path : path of the file, for messages
    content : what the file has
    needed : names of fields that must be there; others have their defaults, as those that an older version had not

    Raises
    ------
    UserError
        If it is no object, or a field is missing, unknown, of another kind, or makes no sense.
    """
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged: its {kind.__name__} is no JSON object.")
    missing = [name for name in needed if name not in content]
    if missing:
        raise UserError(f"{path} is damaged: it lacks {', '.join(missing)}.")
    network = content.get("network", {}) if kind is Settings else {}
    if not isinstance(network, dict):
        raise UserError(f"{path} is damaged: its settings' network is no JSON object.")
    of_network = {name: checked(path, name, value, (Config,)) for name, value in network.items()}
    own = {name: checked(path, name, value, (kind,)) for name, value in content.items() if name != "network"}
    try:
        return kind(**own, **{"network": of_network} if kind is Settings else {})
    except UserError as error:
        raise UserError(f"{path} is damaged: {error}") from None
