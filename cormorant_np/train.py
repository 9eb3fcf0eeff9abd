"""Train Cormorant: python -m cormorant_np.train [--dataset md17 --molecule ethanol --device gpu ...].

Without arguments, a short run on the bundled sample (ethanol, 3000 training frames): a few minutes on two cores. With
--dataset md17, every default is the paper's: 50,000 training frames, 512 epochs, batches of 25, AMSGrad at 5e-4.
"""

import argparse
import dataclasses
from argparse import BooleanOptionalAction
from pathlib import Path

from cormorant_np.backend import choose_device
from cormorant_np.data import describe_targets
from cormorant_np.data.md17 import FILES
from cormorant_np.errors import UserError, run_command
from cormorant_np.training.gain import parse_gain
from cormorant_np.training.loop import train
from cormorant_np.training.reporting import with_mev
from cormorant_np.training.results import summarise
from cormorant_np.training.run_directory import read_settings
from cormorant_np.training.settings import SIZES, default_run_dir, new_settings

MAY_CHANGE = {"epochs", "threads", "device", "data_dir", "data_file"}
"""Settings that --resume may change."""


def build_parser():
    """The command line; an option that is not given has no value, so that defaults can depend on the data set."""
    parser = argparse.ArgumentParser(
        prog="python -m cormorant_np.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--dataset", choices=list(SIZES), help="default sample, which needs no network")
    add("--molecule", help=f"default ethanol; MD17 has {', '.join(FILES)}")
    add("--target", help="QM9's target, default U0; --target help lists all of them")
    add("--data-dir", help="where data files are, or go; default CORMORANT_NP_DATA, else the user's cache directory")
    add("--data-file", help="an .npz file of your own in MD17's or rMD17's format")
    add("--run-dir", help="where the run is written; default runs/DATASET-MOLECULE or runs/DATASET-TARGET")
    add("--resume", action="store_true", help="go on with the run in --run-dir")
    for part, name in (("train", "training"), ("valid", "validation"), ("test", "test")):
        add(f"--num-{part}", type=int, help=f"number of {name} molecules")
    add("--protocol", choices=["paper", "forces"], help="defaults of what follows: the paper's, or with forces")
    add("--force-weight", type=float, help="weight of the forces in the loss; 0 learns energies alone, as in the paper")
    add("--epochs", type=int, help="default 512 for MD17 and 256 for QM9, the paper's; 120 for rMD17, 5 for the sample")
    add("--batch-size", type=int, help="default 25; with forces 5")
    add("--lr", type=float, help="learning rate of the first step; default 5e-4; with forces 1e-3")
    add("--lr-final", type=float, help="learning rate after the last step, by half a cosine; with forces default 1e-5")
    add("--mirror", action=BooleanOptionalAction, help="mirror molecules at random in training; default with forces")
    add("--ema", type=float, help="decay of an average of the parameters over the steps, which is then kept; default 0")
    add("--weight-decay", type=float, help="of all parameters in a step, times the learning rate; default 0")
    add("--optimizer", choices=["amsgrad", "adam"], help="default amsgrad")
    add("--gain", type=parse_gain, help="g of section 1.6, or auto; default 5, released convention 10")
    add("--convention", choices=["supplement", "released"], help="default supplement; see docs/differences.md")
    add("--num-channels", type=int, help="n_c; default 16")
    add("--num-layers", type=int, help="S; default 4")
    add("--l-max", type=int, help="L of every layer; default 3")
    add("--dtype", choices=["float32", "float64"], help="default float32")
    add("--seed", type=int, help="of the parameters, the split and the order of the batches; default 0")
    add("--device", choices=["cpu", "gpu", "auto"], help="default cpu; auto is the GPU if there is one that works")
    add("--threads", type=int, help="worker processes on a CPU; default: the number of cores, at most 8")
    return parser


def resumed_settings(run_dir, given):
    """Settings of the run in `run_dir`; only those in `MAY_CHANGE` may be given anew.

    Raises
    ------
    UserError
        If another option is given that differs from the run's.
    """
    settings = read_settings(run_dir)
    for name, value in given.items():
        old = getattr(settings, name)
        if name not in MAY_CHANGE and value != old:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"The run in {run_dir} has {option} {old}, which --resume cannot change to {value}.")
    return dataclasses.replace(settings, **{name: given[name] for name in MAY_CHANGE & set(given)})


def main(arguments=None):
    given = vars(build_parser().parse_args(arguments))
    if given.get("target") == "help":
        print(describe_targets())
        return 0
    if "device" in given:
        given["device"] = choose_device(given["device"])
    resume, run_dir, protocol = given.pop("resume", False), given.pop("run_dir", None), given.pop("protocol", None)
    run_dir = Path(run_dir) if run_dir else default_run_dir(new_settings(given, protocol))
    if resume and protocol:
        raise UserError("--resume goes on as the run was begun: leave out --protocol.")
    settings = resumed_settings(run_dir, given) if resume else new_settings(given, protocol)
    if settings.dataset == "sample":
        print("A short run on the bundled sample; --dataset md17 and --protocol paper do what the paper did.")
    if not train(settings, run_dir, resume):
        print(f"Stopped and saved; go on with: python -m cormorant_np.train --run-dir {run_dir} --resume")
        return 130
    result = summarise(run_dir, **{name: getattr(settings, name) for name in MAY_CHANGE})
    unit = result["unit"]
    print(f"test MAE {with_mev(result['test_mae'], unit)}, RMSE {with_mev(result['test_rmse'], unit)}")
    if "test_force_mae" in result:
        mae, rmse = result["test_force_mae"], result["test_force_rmse"]
        print(f"test MAE of forces {mae:.4g} {unit}/Å, RMSE {rmse:.4g} {unit}/Å")
    print(f"  on {result['num_test']} molecules, with the model of epoch {result['best_epoch']}")
    print(f"predicting the mean of the training energies: MAE {with_mev(result['baseline_mae'], unit)}")
    print(f"plots: {', '.join(str(path) for path in sorted(run_dir.glob('*.png')))}")
    return 0


if __name__ == "__main__":
    run_command(main)
