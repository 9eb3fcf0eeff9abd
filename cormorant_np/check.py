"""Is it exact? A report on derivatives, covariance and invariance: python -m cormorant_np.check

It checks the paper's network or a variation of it with random weights (--preset, --convention, --l-max and so on), or a
trained run (--run-dir), on frames of ethanol, on the run's data or on molecules of your own (--molecules FILE.xyz), in
double precision. It exits with 0 if all errors are below their limits, else with 1.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

from cormorant_np import data
from cormorant_np.arguments import Parser, path, whole_number
from cormorant_np.backend import DEVICES, check_device, choose_device
from cormorant_np.config import CONVENTIONS, LIMITS, PRESETS
from cormorant_np.data.elements import species_of
from cormorant_np.errors import UserError, run_command
from cormorant_np.exactness import report
from cormorant_np.model import init_params
from cormorant_np.training import plots, run_directory
from cormorant_np.training.gain import format_table, tune_gain
from cormorant_np.training.options import gain, seed
from cormorant_np.training.parallel import on_ranks, one_blas_thread
from cormorant_np.training.prediction import find_run
from cormorant_np.training.problem import check_size, load_data
from cormorant_np.training.settings import by_layer, option_of

SIZES = {"num_channels": (16, "n_c"), "num_layers": (4, "S"), "l_max": (3, "L of every layer")}
OF_A_NETWORK = ("preset", "convention", "gain", *SIZES)
"""Options that are fixed in a run."""

NUM_MOLECULES = 3


def build_parser():
    parser = Parser(
        prog="python -m cormorant_np.check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--preset", choices=list(PRESETS), help="the paper's network for this data set; default md17")
    add("--convention", choices=list(CONVENTIONS), help="default supplement; see docs/differences.md")
    add("--gain", type=gain, help="g of section 1.6, or auto to tune it and print the table")
    for name, (default, what) in SIZES.items():
        parse = whole_number(*LIMITS[name])
        add(option_of(name), type=parse, help=f"{what}; default {default}")
    add("--run-dir", type=path, help="check the best model of this run")
    add("--molecules", type=path, help=f"a file of molecules; its first {NUM_MOLECULES} molecules are used")
    add("--device", choices=DEVICES, default="cpu", help="where the network runs; default cpu")
    add("--seed", type=seed, default=0, help="of weights, directions and rotations; default 0")
    add("--json", action="store_true", help="print one JSON object")
    add("--out", type=path, help="a directory for covariance_errors.png and activation_means.png")
    return parser


def main(arguments=None):
    options = build_parser().parse_args(arguments)
    device = choose_device(options.device)
    check_device(device)
    rng = np.random.default_rng(options.seed)
    if options.out:
        Path(options.out).mkdir(parents=True, exist_ok=True)
    config, params, batch, table = trained_network(options) if options.run_dir else random_network(options, rng)
    quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what is not finite fails in the report
    with quiet, one_blas_thread:  # for matrices as small as these, more threads are slower
        result = report(params, batch, config, rng, device)
    if options.out:
        out = Path(options.out)
        plots.plot_covariance_errors(out / "covariance_errors.png", result["covariance"])
        plots.plot_activation_means(out / "activation_means.png", result["mean_activations"])
    if options.json:
        content = {"config": dataclasses.asdict(config), "gain_table": table, **result}
        print(json.dumps(content, default=np.ndarray.tolist))
    else:
        print(f"{format_table(table)}\n\ngain {config.gain:.4g}\n" if table else "", end="")
        print(format_report(result))
    return 0 if result["passed"] else 1


def random_network(options, rng):
    """The preset with random weights; and the table of gains, if the gain is tuned, else None."""
    charges, positions = (
        first_molecules(options.molecules) if options.molecules else sample_molecules(data.load("sample"))
    )
    name = options.preset or "md17"
    given = {size: getattr(options, size) for size in SIZES}
    sizes = {size: default if given[size] is None else given[size] for size, (default, _) in SIZES.items()}
    l_max = by_layer(sizes["l_max"], sizes["num_layers"], name == "qm9")
    convention = options.convention or "supplement"
    config = PRESETS[name](convention=convention, num_channels=sizes["num_channels"], l_max=l_max, l_max_sh=l_max)
    if options.molecules:
        species = species_of(charges)
        config = dataclasses.replace(config, species=species, charge_scale=max(species))
    check_size(config)
    batch = data.make_batch(charges, positions, config, np.float64)
    table = None
    if options.gain == "auto":
        tuned, table = tune_gain(config, batch, rng)
        config = dataclasses.replace(config, gain=tuned)
    elif options.gain is not None:
        config = dataclasses.replace(config, gain=options.gain)
    return config, init_params(config, rng, np.float64), batch, table


def trained_network(options):
    """The network of a run with its best parameters."""
    given = [option_of(name) for name in OF_A_NETWORK if getattr(options, name) is not None]
    if given:
        raise UserError(f"{' and '.join(given)} cannot be given with --run-dir, whose network is fixed: leave one out.")
    run_dir = find_run(options.run_dir)
    run = run_directory.read_config(run_dir)
    config, settings, params = run.config, run.settings, run_directory.read_best(run_dir, run)
    params = {name: p.astype(np.result_type(p.dtype, np.float64)) for name, p in params.items()}
    molecules = first_molecules(options.molecules) if options.molecules else sample_molecules(load_data(settings)[0])
    return config, params, data.make_batch(*molecules, config, np.float64), None


def sample_molecules(dataset):
    """Charges and positions of some molecules of a data set."""
    return dataset.charges[:NUM_MOLECULES], dataset.positions[:NUM_MOLECULES]


def first_molecules(path):
    """Charges and positions of the first molecules of a file."""
    return data.pad([(frame.charges, frame.positions) for frame in data.read_molecules(path)[:NUM_MOLECULES]])


def format_report(result):
    """The report as text."""
    total = sum(result["parameters"].values())
    lines = ["Parameters (a complex weight counts two) and error of their gradient", ""]
    for part, number in result["parameters"].items():
        lines.append(f"  {part:<20}{number:>9}   {result['gradients'][part]:.1e}")
    lines += [f"  {'total':<20}{total:>9}", f"  {'positions':<20}{'':>9}   {result['gradients']['positions']:.1e}"]
    if kinks := sum(result["kinks"].values()):
        lines += ["", f"  Without {kinks} steps that went over the kink of a ReLU, which has no derivative there."]
    lines += ["", "Covariance, F(R r) against D(R) F(r), and mean |F| (section 1.6: near one)", ""]
    columns = max(map(len, result["covariance"]))
    lines.append(f"  {'layer':<8}" + "".join(f"{f'ℓ = {l}':<10}" for l in range(columns)) + "mean |F|")
    for s, (errors, mean) in enumerate(zip(result["covariance"], result["mean_activations"], strict=True), start=1):
        cells = "".join(f"{error:<10.1e}" for error in errors) + " " * 10 * (columns - len(errors))
        lines.append(f"  {s:<8}{cells}{mean:.2g}")
    lines += ["", "Change of the energy by", ""]
    lines += [f"  {name:<20}{error:.1e}" for name, error in result["invariance"].items()]
    parity = result["parity"]
    by_layer = ", ".join(f"{error:.1e}" for error in parity["features"])
    lines += [
        "",
        f"  {'reflection':<20}{parity['energy']:.1e}",
        "  No limit: the network is covariant under rotations, not under reflections. It keeps all products, also",
        "  those with odd ℓ1 + ℓ2 - ℓ, from the second layer on; a molecule and its mirror image then differ, unless",
        "  a rotation makes them one.",
        f"  F(-r) against (-1)^ℓ F(r), by layer: {by_layer}",
        "",
    ]
    for kind, (error, limit) in result["largest"].items():
        lines.append(f"{'ok  ' if error < limit else 'FAIL'}  {kind:<20}{error:.1e} < {limit:.0e}")
    return "\n".join([*lines, "", "All checks passed." if result["passed"] else "Some checks FAILED."])


if __name__ == "__main__":
    run_command(on_ranks(main))
