"""The commands of the package: python -m cormorant_np"""

import argparse

from cormorant_np import __version__

COMMANDS = {
    "train": "learn energies and forces of molecules",
    "evaluate": "errors of a trained run on a part of its data",
    "predict": "energies and forces of your own molecules",
    "check": "is the network exact? derivatives, covariance, invariance",
    "benchmark": "time a training step, part by part",
}


def main():
    lines = [f"  python -m cormorant_np.{name:<10} {what}" for name, what in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="python -m cormorant_np",
        description="Cormorant in NumPy and CuPy. Its commands, each with --help:\n\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cormorant-np {__version__}")
    parser.parse_args()
    parser.print_help()


if __name__ == "__main__":
    main()
