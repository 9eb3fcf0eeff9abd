"""The commands of the package: python -m cormorant_np, or `cormorant` where the package is installed."""

import argparse
import importlib
import sys

from cormorant_np import __version__
from cormorant_np.arguments import Parser
from cormorant_np.errors import run_command
from cormorant_np.training.parallel import on_ranks

COMMANDS = {
    "train": "learn energies and forces of molecules",
    "evaluate": "errors of a trained run on a part of its data, or on a file",
    "predict": "energies and forces of your own molecules",
    "dynamics": "molecular dynamics with a trained network",
    "check": "is the network exact? derivatives, covariance, invariance",
    "benchmark": "time a training step, part by part",
}


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        return importlib.import_module(f"cormorant_np.{arguments[0]}").main(arguments[1:])
    lines = [f"  {name:<10} {what}" for name, what in COMMANDS.items()]
    parser = Parser(
        prog="cormorant",
        usage="cormorant COMMAND [options], or python -m cormorant_np COMMAND [options]",
        description="Cormorant in NumPy and CuPy. The commands, each with --help:\n\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cormorant-np {__version__}")
    parser.parse_args(arguments)
    parser.print_help()
    return 0


def run():
    run_command(on_ranks(main))


if __name__ == "__main__":
    run()
