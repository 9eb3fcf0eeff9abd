"""Predict energies and forces of your own molecules: python -m cormorant_np.predict --run-dir DIR molecules.xyz.

The answer, in eV and eV/Å, is an extended xyz file that ASE reads, or JSON or CSV by the name of --out.
"""

import argparse
import io
import sys
from pathlib import Path

from cormorant_np import data
from cormorant_np.arguments import RUN_DIR, Parser, path
from cormorant_np.backend import DEVICES
from cormorant_np.data.units import energy_factor
from cormorant_np.data.writing import WRITERS
from cormorant_np.errors import UserError, run_command
from cormorant_np.files import check_output, replace_file
from cormorant_np.training.options import threads
from cormorant_np.training.parallel import default_threads, on_ranks
from cormorant_np.training.prediction import load_network, predict_with


def main(arguments=None):
    parser = Parser(
        prog="python -m cormorant_np.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("molecules", type=path, help="a file with any number of molecules, in Å, see docs/data.md")
    parser.add_argument("--run-dir", **RUN_DIR)
    parser.add_argument("--forces", action="store_true", help="predict forces too")
    parser.add_argument("--out", type=path, help=f"the file to write, {', '.join(WRITERS)}; default: print .xyz")
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--threads", type=threads, default=default_threads(2))
    options = parser.parse_args(arguments)
    suffix = Path(options.out).suffix.lower() if options.out else ".xyz"
    if suffix not in WRITERS:
        raise UserError(f"--out {options.out} must end in one of {', '.join(WRITERS)}.")
    if options.out:
        check_output(options.out, options.molecules)
    frames = data.read_molecules(options.molecules)
    network = load_network(options.run_dir, options.device)
    to_ev = energy_factor(network.unit, "eV") if network.is_potential_energy else 1.0
    if not network.is_potential_energy:
        print(f"The run predicts {network.target}, which is written as it is, in {network.unit}.", file=sys.stderr)
    molecules = [(frame.charges, frame.positions) for frame in frames]
    energies, forces = predict_with(network, molecules, options.forces, options.threads)
    energies = [to_ev * energy for energy in energies]
    forces = [None if force is None else to_ev * force for force in forces]
    text = io.StringIO()
    WRITERS[suffix](text, frames, energies, forces)
    if options.out:
        replace_file(options.out, text.getvalue().encode("utf-8"))
    else:
        print(text.getvalue(), end="")
    return 0


if __name__ == "__main__":
    run_command(on_ranks(main))
