"""The command line: a parser whose complaints are one sentence, and the kinds of values that options take."""

import argparse
import math
import re
from functools import partial
from types import MappingProxyType

from cormorant_np.errors import UserError

WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,30}")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")


class Parser(argparse.ArgumentParser):
    """The options of a command; a mistake in them is one sentence, not the whole list of options."""

    def error(self, message):
        said = message.removeprefix("argument ").replace(": must", " must", 1)
        raise UserError(f"{said[:1].upper()}{said[1:]} (options: {self.prog} --help).")


def whole_number(least, most=10**9):
    """A parser of an option: whole numbers from `least` to `most`, written in the digits 0 to 9 alone."""

    def parse(text):
        if not WHOLE_NUMBER.fullmatch(text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}")
        return int(text)

    return parse


def number(text, least=-math.inf):
    """A parser of an option: a finite number above `least`."""
    value = float(text) if NUMBER.fullmatch(text) else math.nan
    if not least < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a {'positive ' * (least == 0)}number, not {text!r}")
    return value


positive_number = partial(number, least=0)
"""A parser of an option: a finite number above zero."""


def path(text):
    """A parser of an option: a path, which is not empty, as text."""
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be the name of a file or folder, not {text!r}")
    return text


RUN_DIR = MappingProxyType({"type": path, "required": True, "help": "a run of train, or a model's name: ethanol"})
"""How commands that use a trained network ask for it, as --run-dir."""
