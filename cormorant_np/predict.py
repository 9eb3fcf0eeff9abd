"""Predict energies and forces of your own molecules: python -m cormorant_np.predict --run-dir DIR molecules.xyz.

The answer is an extended xyz file with an energy, and with --forces the forces, for every molecule.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from cormorant_np import data, run_directory
from cormorant_np.backend import check_device, choose_device, to_host
from cormorant_np.config import Config
from cormorant_np.data.qm9 import free_atoms
from cormorant_np.data.xyz import ELEMENTS, read_xyz
from cormorant_np.errors import UserError, run_command
from cormorant_np.parallel import predict, predict_with_forces, workers
from cormorant_np.training import read_settings

SYMBOLS = dict(enumerate(ELEMENTS.split(), start=1))
BATCH_SIZE = 100


def predict_molecules(run_dir, molecules, forces=False, device="cpu", threads=1):
    """Energies, and forces if asked for, of molecules of any sizes, by the best model of a run.

    For QM9's thermochemical targets, the share of the free atoms, which the network does not learn, is added.

    Parameters
    ----------
    run_dir : Path
    molecules : list of (charges, positions), as from `read_xyz`

    Returns
    -------
    energies : list of float, in the unit of the run's data
    forces : list of (N, 3) arrays in that unit per Å, or of None

    Raises
    ------
    UserError
        If an element is not among those of the training data.
    """
    check_device(device)
    content = run_directory.read_json(Path(run_dir) / "config.json")
    config, settings = Config(**content["network"]), read_settings(run_dir)
    check_elements(molecules, config)
    params = run_directory.load_arrays(Path(run_dir) / "best.npz", device)
    energies, all_forces = [], []
    with workers(threads, device) as pool:
        for start in range(0, len(molecules), BATCH_SIZE):
            part = molecules[start : start + BATCH_SIZE]
            charges, positions = data.pad(part)
            host = data.make_batch(charges, positions, config, np.dtype(settings.dtype))
            batch = data.batch.to_device(host, device)
            if forces:
                scaled, scaled_forces = predict_with_forces(params, batch, config, pool)
                scaled_forces = to_host(scaled_forces) * content["scale"]
                all_forces += [f[: len(z)] for f, (z, _) in zip(scaled_forces, part, strict=True)]
            else:
                scaled = predict(params, batch, config, pool)
                all_forces += [None] * len(part)
            part_energies = to_host(scaled).astype(np.float64) * content["scale"] + content["mean"]
            if settings.is_qm9:
                part_energies += free_atoms(charges, settings.target)
            energies += part_energies.tolist()
    return energies, all_forces


def check_elements(molecules, config):
    """A `UserError` that names the elements which the network has never seen."""
    unknown = sorted({int(z) for charges, _ in molecules for z in charges} - set(config.species))
    if unknown:
        names, known = (", ".join(SYMBOLS[z] for z in zs) for zs in (unknown, config.species))
        raise UserError(f"The molecules contain {names}, but the run was trained on {known} alone.")


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
    unit = run_directory.read_json(Path(options.run_dir) / "config.json")["unit"]
    if options.out:
        with open(options.out, "w") as file:
            write_extxyz(file, molecules, energies, forces, unit)
    else:
        write_extxyz(sys.stdout, molecules, energies, forces, unit)
    return 0


if __name__ == "__main__":
    run_command(main)
