"""Errors of a trained run: python -m cormorant_np.evaluate --run-dir DIR."""

import json

from cormorant_np.arguments import RUN_DIR, Parser, path
from cormorant_np.backend import DEVICES
from cormorant_np.errors import UserError, run_command
from cormorant_np.training.options import threads
from cormorant_np.training.parallel import default_threads, on_ranks
from cormorant_np.training.reporting import with_mev
from cormorant_np.training.results import file_errors, run_errors
from cormorant_np.training.settings import CHOICES, option_of


def main(arguments=None):
    parser = Parser(prog="python -m cormorant_np.evaluate", description=__doc__)
    parser.add_argument("--run-dir", **RUN_DIR)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--split", choices=["train", "valid", "test"], default="test", help="part of the run's data")
    what.add_argument("--data-file", type=path, help="a file of your own instead, with energies and maybe forces")
    of_file = "of --data-file; default: as in training"
    parser.add_argument("--energy-unit", choices=CHOICES["energy_unit"], help=f"unit of the energies {of_file}")
    for key in ("energy", "forces"):
        parser.add_argument(f"--{key}-key", help=f"name of the {key} in the frames {of_file}")
    parser.add_argument("--device", choices=DEVICES, help="default: as in training")
    parser.add_argument("--threads", type=threads, default=default_threads(None), help="default: as in training")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    names = {name: getattr(options, name) for name in ("energy_unit", "energy_key", "forces_key")}
    if options.data_file:
        result = file_errors(options.run_dir, options.data_file, options.device, options.threads, **names)
    elif given := [option_of(name) for name, value in names.items() if value is not None]:
        raise UserError(f"{' and '.join(given)} can be given with --data-file alone: leave it out.")
    else:
        result = run_errors(options.run_dir, options.split, options.device, options.threads)
    if options.json:
        print(json.dumps(result))
        return 0
    unit = result["unit"]
    print(f"{result['num_molecules']} molecules ({result['split']}), best model of {options.run_dir}")
    mae, rmse = (with_mev(result[f"energy_{error}"], unit) for error in ("mae", "rmse"))
    print(f"{result['what']:8s}  MAE {mae}   RMSE {rmse}")
    if "force_mae" in result:
        print(f"forces    MAE {result['force_mae']:.4g} {unit}/Å   RMSE {result['force_rmse']:.4g} {unit}/Å")
    return 0


if __name__ == "__main__":
    run_command(on_ranks(main))
