"""Predict energies and forces of your own molecules: python -m cormorant_np.predict --run-dir DIR molecules.xyz.

The answer is an extended xyz file with an energy, and with --forces the forces, for every molecule.
"""

import argparse
import sys

import numpy as np

from cormorant_np.backend import choose_device
from cormorant_np.data.elements import SYMBOLS
from cormorant_np.data.xyz import read_xyz
from cormorant_np.errors import run_command
from cormorant_np.training import run_directory
from cormorant_np.training.prediction import find_run, predict_molecules


def write_extxyz(file, molecules, energies, forces, unit):
    """Write molecules with their energies, and forces where they are not None, as an extended xyz file."""
    for (charges, positions), energy, force in zip(molecules, energies, forces, strict=True):
        properties = "species:S:1:pos:R:3" + ("" if force is None else ":forces:R:3")
        print(len(charges), file=file)
        print(f'Properties={properties} energy={energy:.8f} energy_unit="{unit}" pbc="F F F"', file=file)
        rows = positions if force is None else np.hstack([positions, force])
        for z, row in zip(charges, rows, strict=True):
            print(f"{SYMBOLS[int(z)]:2s}" + "".join(f"{x:16.8f}" for x in row), file=file)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m cormorant_np.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("molecules", help="an (extended) xyz file with any number of molecules, in Å")
    parser.add_argument("--run-dir", required=True, help="directory of a run of cormorant_np.train")
    parser.add_argument("--forces", action="store_true", help="predict forces too")
    parser.add_argument("--out", help="the file to write; default: print")
    parser.add_argument("--device", choices=["cpu", "gpu", "auto"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    molecules = read_xyz(options.molecules)
    device = choose_device(options.device)
    energies, forces = predict_molecules(options.run_dir, molecules, options.forces, device, options.threads)
    unit = run_directory.read_json(find_run(options.run_dir) / "config.json")["unit"]
    if options.out:
        with open(options.out, "w", encoding="utf-8") as file:
            write_extxyz(file, molecules, energies, forces, unit)
    else:
        write_extxyz(sys.stdout, molecules, energies, forces, unit)
    return 0


if __name__ == "__main__":
    run_command(main)
