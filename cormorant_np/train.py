"""Train Cormorant: python -m cormorant_np.train [--dataset md17 --molecule ethanol --device gpu ...].

Without arguments, a short run on the bundled sample (ethanol, 3000 training frames): a few minutes on two cores. With
--dataset md17, every default is the paper's: 50,000 training frames, 512 epochs, batches of 25, AMSGrad at 5e-4.
"""

import argparse
import dataclasses
import signal
from pathlib import Path

from cormorant_np.arguments import Parser, path
from cormorant_np.backend import choose_device
from cormorant_np.data import describe_targets
from cormorant_np.errors import Stopped, UserError, run_command
from cormorant_np.files import folder_for_one
from cormorant_np.training.loop import train
from cormorant_np.training.options import add_options, read_settings_file
from cormorant_np.training.parallel import default_threads, on_ranks
from cormorant_np.training.reporting import with_mev
from cormorant_np.training.results import summarise
from cormorant_np.training.run_directory import read_config
from cormorant_np.training.settings import (
    FORCES,
    PATHS,
    PROTOCOLS,
    absolute,
    by_layer,
    default_run_dir,
    new_settings,
    one_for_all,
    option_of,
)

MAY_CHANGE = ("epochs", "lr", "lr_final", "save_every", "threads", "device")
MAY_CHANGE += ("data_dir", "data_file", "valid_file", "test_file")
"""Settings that --resume may change."""

FILES = tuple(name for name in PATHS if name != "data_dir")
OF_A_DATA_SET = ("dataset", "molecule", "rmd17_split", "target", "num_train", "num_valid", "num_test")
"""Settings that name files, and those that a file of one's own has otherwise."""


def build_parser():
    """The command line; an option that is not given has no value, so that defaults can depend on the data set."""
    parser = Parser(
        prog="python -m cormorant_np.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--run-dir", type=path, help="where the run is written; default runs/DATASET-MOLECULE or runs/DATASET-TARGET")
    add("--resume", action="store_true", help="go on with the run in --run-dir")
    add("--protocol", choices=list(PROTOCOLS), help="defaults of the training: the paper's, or with forces")
    add("--config", type=path, help="a JSON file of settings, such as a run's config.json; options count more")
    add_options(parser)
    return parser


def resumed_settings(run_dir, given):
    """Settings of the run in `run_dir`; only those in `MAY_CHANGE` may be given anew. Says what is changed.

    Raises
    ------
    UserError
        If another option is given that differs from the run's.
    """
    run = read_config(run_dir)
    settings, config = run.settings, run.config
    if settings.lr_final == settings.lr:
        settings = dataclasses.replace(settings, lr_final=None)
    stored = effective(settings, config)
    given = {name: value for name, value in given.items() if value is not None}
    if given.get("gain") == "auto":
        del given["gain"]
        print(f"The gain stays as it was when the run began, {config.gain:.6g}.")
    given = {name: _for_each_layer(name, value, settings, config) for name, value in given.items()}
    changes = {name: value for name, value in given.items() if value != stored[name]}
    for name, value in changes.items():
        if name not in MAY_CHANGE:
            had = stored[name]
            raise UserError(
                f"The run in {run_dir} has {option_of(name)} {had}, which --resume cannot change to {value}."
            )
    for name, value in changes.items():
        if name not in ("threads", "device", "save_every"):
            print(f"{option_of(name)} is {value} from now on; it was {stored[name]}.")
    return dataclasses.replace(settings, **changes)


def effective(settings, config):
    """The fields of a run's `Settings` and `Config`, a dict; defaults stand where nothing was given."""
    given = {name: value for name, value in vars(settings).items() if value is not None}
    return {
        **vars(settings),
        "rmd17_split": 1,
        **vars(config),
        **given,
        "l_max": config.l_max,
        "l_max_sh": config.l_max_sh,
    }


def _for_each_layer(name, value, settings, config):
    """Lists are tuples; one number for all layers is that of each."""
    if name in ("l_max", "l_max_sh"):
        return by_layer(one_for_all(value), len(config.l_max), settings.is_qm9)
    return tuple(value) if isinstance(value, list) else value


def check_options(given, settings):
    """A `UserError` that names an option which the data make meaningless."""
    dataset, own_file = settings.dataset, settings.data_file is not None
    if "target" in given and not settings.is_qm9:
        raise UserError(f"--target is for QM9, but the data are --dataset {dataset}: leave it out.")
    if "rmd17_split" in given and (dataset != "rmd17" or own_file):
        raise UserError("--rmd17-split is for --dataset rmd17 without a file of your own: leave it out.")
    if "molecule" in given and (settings.is_qm9 or dataset == "file" or own_file):
        data = "a file of your own" if own_file else f"--dataset {dataset}"
        raise UserError(f"--molecule is for MD17 and rMD17, but the data are {data}: leave it out.")
    of_files = [name for name in ("energy_unit", "energy_key", "forces_key") if name in given]
    if of_files and dataset != "file" and all(getattr(settings, name) is None for name in FILES):
        raise UserError(f"{option_of(of_files[0])} is for files of your own, and there is none: leave it out.")


def with_config(given, resume):
    """The options that are given, and what the file of --config says beside; without its data if --data-file is given.

    Raises
    ------
    UserError
        If --protocol would change nothing, since the file has all that it decides.
    """
    name = given.pop("config")
    of_file = read_settings_file(name)
    decided = {*FORCES, *FORCES["network"], "gain"} - {"network"}
    if "protocol" in given and not resume and decided <= of_file.keys():
        raise UserError(f"{name} has all that --protocol decides: leave one of them out.")
    if "data_file" in given and of_file.get("data_file") is None and of_file.get("dataset", "file") != "file":
        of_file = {field: value for field, value in of_file.items() if field not in OF_A_DATA_SET}
    return {**of_file, **given}


def train_and_test(settings, run_dir, resume):
    """Train, then test the best model; the result, or None if Ctrl-C has stopped the training after a step.

    Raises
    ------
    Stopped
        If a signal has come at another moment; it says how to go on.
    """
    with folder_for_one(run_dir):
        try:
            if train(settings, run_dir, resume):
                return summarise(run_dir, **{name: getattr(settings, name) for name in MAY_CHANGE})
        except KeyboardInterrupt as error:
            begun = (run_dir / "config.json").exists()
            said = f"Stopped and saved; {go_on(run_dir)}" if begun else "Stopped before the training began."
            raise Stopped(getattr(error, "signum", signal.SIGINT), said) from None
    return None


def go_on(run_dir):
    return f"go on with: python -m cormorant_np.train --run-dir {run_dir} --resume"


def main(arguments=None):
    given = vars(build_parser().parse_args(arguments))
    if given.get("target") == "help":
        print(describe_targets())
        return 0
    options = given
    if "config" in given:
        given = with_config(dict(given), "resume" in given)
    for name in PATHS:
        if given.get(name) is not None:
            given[name] = absolute(given[name])
    if "device" in given:
        given["device"] = choose_device(given["device"])
    if one := default_threads(None):
        given.setdefault("threads", one)
    resume, run_dir, protocol = given.pop("resume", False), given.pop("run_dir", None), given.pop("protocol", None)
    run_dir = Path(run_dir) if run_dir else default_run_dir(new_settings(given, protocol))
    settings = resumed_settings(run_dir, given) if resume else new_settings(given, protocol)
    if not resume:
        check_options(options, settings)
    elif protocol and (protocol == "forces") != (settings.force_weight > 0):
        raise UserError(f"The run in {run_dir} was not begun with --protocol {protocol}: leave it out.")
    if settings.dataset == "sample":
        print("A short run on the bundled sample; --dataset md17 and --protocol paper do what the paper did.")
    result = train_and_test(settings, run_dir, resume)
    if result is None:
        print(f"Stopped and saved; {go_on(run_dir)}")
        return 130
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
    run_command(on_ranks(main))
