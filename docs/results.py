"""The runs behind docs/results.md: python docs/results.py [NAME ...].

Without a name it lists the experiments and what is done of them. With names it runs these, or goes on with those that
were interrupted: the run directories are in --runs, and each result is a small file docs/results/NAME.json. The word
speed writes another, the learning of two of them by time. docs/results_page.py makes the page of these files.

The data are in --data-dir: rMD17 in its folder rmd17, acetylacetone (https://github.com/davkovacs/BOTNet-datasets) in
acac; files made of others, by docs/frames.py, in the folder made of --runs. Training and evaluation are commands of the
package, and the page prints them as they ran.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cormorant_np import __version__
from cormorant_np.benchmark import processor
from cormorant_np.data import load_file
from cormorant_np.data.units import energy_factor
from cormorant_np.training.run_directory import read_log

DOCS = Path(__file__).resolve().parent

ENVIRONMENT = os.environ | {"PYTHONPATH": str(DOCS.parent), "OPENBLAS_NUM_THREADS": "1"}
"""Of the programs that are called."""

BATCH, LEAST_STEPS, EPOCHS = 5, 3000, 80
"""Of a learning curve: EPOCHS epochs, and more for few frames, so that there are at least LEAST_STEPS steps."""


OF_10, OF_5 = "--batch-size 10 --lr 2e-3", "--batch-size 5 --lr 1e-3"
"""Batches and rate: the default where forces are learned, and what it was before."""


class Experiment(NamedTuple):
    """A training, and what is done with the model. In the texts {data} is the data directory, {made} has made files.

    title : what it is, for the tables
    options : of the train command
    files : {name: file}, on which the model is evaluated too
    curves : {name: file}, whose energies are predicted in order
    epochs : whether the errors of all epochs are kept
    """

    title: str
    options: str
    files: Mapping = MappingProxyType({})
    curves: Mapping = MappingProxyType({})
    epochs: bool = False


def rmd17(molecule, more, frames=950, batches=OF_5):
    sizes = "" if frames == 950 else f"--num-train {frames} "
    return f"--dataset rmd17 --molecule {molecule} {sizes}{more} {batches} --data-dir {{data}}/rmd17"


def split_of_ethanol(number):
    """The two files of a split of rMD17, as files of one's own: the validation frames are then drawn from its first."""
    train, test = (f"{{data}}/rmd17/rmd17_ethanol_{part}_0{number}.npz" for part in ("train", "test"))
    return f"--data-file {train} --test-file {test} --num-valid 50 --energy-unit kcal/mol --epochs 40 {OF_10}"


def acetylacetone(epochs, title="", more="", batches=OF_5):
    tests = "{data}/acac/test_"
    files = f"--data-file {{data}}/acac/train_300K.xyz --test-file {tests}MD_300K.xyz --num-valid 50"
    return Experiment(
        f"{title or 'acetylacetone'}, {epochs} epochs",
        f"{files} --epochs {epochs} {more}{batches}",
        files={"300 K": f"{tests}MD_300K.xyz", "600 K": f"{tests}MD_600K.xyz"},
        curves={"dihedral": f"{tests}dihedral.xyz", "proton transfer": f"{tests}H_transfer.xyz"},
    )


def union_of_ethanol(frames):
    """Energies alone of frames from all five splits; equally many steps, whatever the number of frames."""
    files = (
        "--data-file {made}/ethanol_union_train.npz --test-file {made}/ethanol_union_test.npz --energy-unit kcal/mol"
    )
    sizes = f"--num-train {frames} --num-valid 33"
    return f"{files} {sizes} --force-weight 0 --epochs {EPOCHS * UNION_FRAMES[0] // frames} {OF_5}"


def paper(convention, rate):
    """The paper's protocol on frames of GFN2-xTB, but for the number of epochs."""
    sizes = "--num-train 50000 --num-valid 10000 --num-test 10000"
    words = f"--data-file {{made}}/gfn2_ethanol.npz {sizes} --protocol paper --force-weight 0 --epochs 30"
    return f"{words} --convention {convention} {RATES[rate]}"


def epochs_of(frames):
    return max(EPOCHS, LEAST_STEPS * BATCH // frames)


FRAMES = (50, 100, 200, 500)

UNION_FRAMES = (1000, 2000, 4000, 9000)

OTHER_TRAJECTORY = "{made}/gfn2_ethanol_test.npz"

MADE = {"union": "ethanol_union", "gfn2": "gfn2_ethanol"}
"""How the files of each kind that docs/frames.py makes begin."""

RATES = {"constant": "--lr 5e-4 --lr-final 5e-4", "cosine": "--lr 1e-3 --lr-final 1e-5"}

LEARNED = {
    "": ("--epochs 40", OF_5),
    "-batch-10": ("--epochs 40", OF_10),
    "-80": ("--epochs 80", OF_10),
    "-energies": ("--force-weight 0 --epochs 40", OF_5),
    "-forces-10": ("--force-weight 10 --epochs 80", OF_10),
    "-forces-100": ("--force-weight 100 --epochs 80", OF_10),
    "-wide": ("--force-weight 10 --num-channels 32 --epochs 50", OF_10),
}
"""What the name of a molecule's run ends with, and its options; with forces, the better ones later."""

MOLECULES = {
    "malonaldehyde": ("", "-batch-10", "-energies"),
    "benzene": ("-batch-10", "-energies"),
    "aspirin": ("", "-80", "-energies", "-forces-10", "-forces-100", "-wide"),
}
"""Which runs each has."""

STABILITY = {
    "default": "--gain 10",
    "gain-5": "--gain 5",
    "adam": "--optimizer adam",
    "2-layers": "--num-layers 2",
    "6-layers": "--num-layers 6",
}

VARIATIONS = {
    "cutoff-3": "--cutoff 3 --width 0.5",
    "frequencies-1": "--num-frequencies 1",
    "frequencies-4": "--num-frequencies 4",
    "weight-decay": "--weight-decay 0.1",
    "channels-32": "--num-channels 32",
    "forces-10": "--force-weight 10",
    "channels-32-forces-10": "--num-channels 32 --force-weight 10",
}
"""Of acetylacetone: cutoffs, radial functions, regularisation, width and weight of the forces."""

QM9_EPOCHS = {1000: 30, 10_000: 10}
"""For so many training molecules; 1200 and 4000 steps."""

TIMED = {"ethanol": "this network, 80 epochs", "ethanol-20": "this network, 20 epochs"}
"""Whose learning by time is shown."""

EXPERIMENTS = {
    "ethanol": Experiment("ethanol", rmd17("ethanol", f"--epochs {EPOCHS}")),
    **{f"ethanol-{n}": Experiment("ethanol", rmd17("ethanol", f"--epochs {epochs_of(n)}", n)) for n in FRAMES},
    "ethanol-20": Experiment("ethanol", rmd17("ethanol", "--epochs 20", batches=OF_10)),
    **{
        f"ethanol-20-forces-{w}": Experiment(
            "ethanol", rmd17("ethanol", f"--force-weight {w} --epochs 20", batches=OF_10)
        )
        for w in (10, 100)
    },
    **{name: acetylacetone(epochs) for name, epochs in {"acac": 15, "acac-40": 40}.items()},
    "acac-40-batch-10": acetylacetone(40, "batches of 10", batches=OF_10),
    **{f"acac-40-{name}": acetylacetone(40, f"`{more}`", f"{more} ") for name, more in VARIATIONS.items()},
    "ethanol-energies": Experiment("ethanol", rmd17("ethanol", f"--force-weight 0 --epochs {EPOCHS}")),
    **{f"ethanol-energies-{n}": Experiment("ethanol, all splits", union_of_ethanol(n)) for n in UNION_FRAMES},
    **{
        f"paper-{convention}-{rate}": Experiment(
            f"{convention}, {rate}", paper(convention, rate), files={"other": OTHER_TRAJECTORY}, epochs=True
        )
        for convention in ("supplement", "released")
        for rate in RATES
    },
    "qm9-sample": Experiment("QM9, the bundled sample, U0", "--dataset qm9-sample"),
    **{
        f"{name}{ending}": Experiment(name, rmd17(name, LEARNED[ending][0], batches=LEARNED[ending][1]))
        for name, endings in MOLECULES.items()
        for ending in endings
    },
    **{f"ethanol-split-{k}": Experiment(f"ethanol, split {k}", split_of_ethanol(k)) for k in range(1, 6)},
    **{
        f"qm9-{target}-{n}": Experiment(
            f"QM9, {target}", f"--dataset qm9 --target {target} --num-train {n} --num-valid 1000 --epochs {epochs}"
        )
        for target in ("U0", "mu", "gap")
        for n, epochs in QM9_EPOCHS.items()
    },
    **{
        f"stability-{name}-{seed}": Experiment(
            f"ethanol, {name}", rmd17("ethanol", f"--epochs 15 {option} --seed {seed}", frames=200)
        )
        for name, option in STABILITY.items()
        for seed in range(3)
    },
}


def filled(text, options):
    """A text of an experiment, with the folders that {data} and {made} stand for."""
    return text.format(data=options.data_dir, made=Path(options.runs) / "made")


def command(name, options):
    """The words after python -m of the training; it goes on with a run that has begun."""
    run_dir = Path(options.runs) / name
    if (run_dir / "config.json").exists():
        return ["cormorant_np.train", "--run-dir", str(run_dir), "--resume"]
    words = [filled(word, options) for word in EXPERIMENTS[name].options.split()]
    return ["cormorant_np.train", *words, "--run-dir", str(run_dir)]


def call(words, options, **keywords):
    """Run a command of the package; what it prints, if that is asked for."""
    words = [sys.executable, "-m", *words, "--threads", str(options.threads)]
    process = subprocess.run(words, env=ENVIRONMENT, text=True, check=False, **keywords)
    if process.returncode:
        sys.exit(process.returncode)
    return process.stdout


def run(name, options):
    """Train, if that is not done yet, evaluate, and return what docs/results/NAME.json will hold."""
    experiment, run_dir = EXPERIMENTS[name], Path(options.runs) / name
    make_files(experiment, options)
    if not (run_dir / "result.json").exists():
        call(command(name, options), options)
    files = {what: evaluate(run_dir, path, options) for what, path in experiment.files.items()}
    curves = {what: curve(run_dir, path, options) for what, path in experiment.curves.items()}
    config, log = read(run_dir / "config.json"), read_log(run_dir / "log.jsonl")
    learning = {key: [epoch[key] for epoch in log] for key in ("train_mae", "valid_mae") if experiment.epochs}
    record = {
        "command": f"python -m cormorant_np.train {experiment.options.format(data='DIR', made='MADE')}",
        **{key: config["settings"][key] for key in ("seed", "threads", "batch_size")},
        "machine": f"{processor()}, {os.cpu_count()} cores",
        "beside": options.beside,
        "date": time.strftime("%Y-%m-%d", time.localtime((run_dir / "result.json").stat().st_mtime)),
        "versions": {"python": config["python"], "numpy": config["numpy"], "cormorant_np": __version__},
        "result": read(run_dir / "result.json"),
        "last_epoch": log[-1],
    }
    more = {"files": files, "curves": curves, "learning": learning}
    return rounded(record | {key: value for key, value in more.items() if value})


def make_files(experiment, options):
    """Make the files that the experiment wants of docs/frames.py, if one is not there."""
    texts = " ".join([experiment.options, *experiment.files.values()])
    for what, beginning in MADE.items():
        wanted = [filled(text, options) for text in re.findall(rf"{{made}}/{beginning}\w*\.npz", texts)]
        if not all(Path(path).exists() for path in wanted):
            words = [what, "--data-dir", options.data_dir, "--out", filled("{made}", options)]
            subprocess.run([sys.executable, str(DOCS / "frames.py"), *words], check=True, env=ENVIRONMENT)


def write(name, record):
    """Write docs/results/NAME.json, with each list of numbers on one line."""
    text = re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), json.dumps(record, indent=1))
    (DOCS / "results" / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def evaluate(run_dir, path, options):
    words = ["cormorant_np.evaluate", "--run-dir", str(run_dir), "--data-file", filled(path, options)]
    return json.loads(call([*words, "--json"], options, stdout=subprocess.PIPE))


def curve(run_dir, path, options):
    """Energies (eV) of a file's molecules in its order, as they are there and as predicted."""
    path, out = filled(path, options), run_dir / f"{Path(path).stem}.json"
    call(["cormorant_np.predict", path, "--run-dir", str(run_dir), "--out", str(out)], options)
    dataset = load_file(path)
    angles = re.findall(r"dihedral_angle=(\S+)", Path(path).read_text(encoding="utf-8"))
    found = {"x": [float(angle) for angle in angles]} if angles else {}
    true = energy_factor(dataset.unit, "eV") * dataset.energies
    return found | {"true": true.tolist(), "predicted": [row["energy"] for row in read(out)]}


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def rounded(value):
    """Errors with four digits; energies of curves, which are large, with a tenth of a meV."""
    if isinstance(value, dict):
        return {key: rounded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    if not isinstance(value, float):
        return value
    return round(value, 4) if abs(value) > 100 else float(f"{value:.4g}")


def learning_by_time(epochs):
    """Minutes since a run began and validation errors of forces, after each epoch of its log."""
    minutes = np.cumsum([epoch["seconds"] for epoch in epochs]) / 60
    return {"minutes": minutes.tolist(), "force_mae": [epoch["valid_force_mae"] for epoch in epochs]}


def speed(options):
    """Write docs/results/speed.json: the learning of runs by time, beside what is there of other programs."""
    found = read(DOCS / "results" / "speed.json")
    for name, title in TIMED.items():
        found["programs"][title] = learning_by_time(read_log(Path(options.runs) / name / "log.jsonl"))
    write("speed", rounded(found))


def state(name, runs):
    if (DOCS / "results" / f"{name}.json").exists():
        return "done"
    log = read_log(Path(runs) / name / "log.jsonl")
    return f"epoch {log[-1]['epoch']}" if log else "not begun"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments to run, or speed")
    parser.add_argument("--data-dir", default=os.environ.get("CORMORANT_NP_DATA", "data"))
    parser.add_argument("--runs", type=Path, default=DOCS.parent / "runs" / "results", help="folder of run directories")
    parser.add_argument("--threads", type=int, default=2, help="processes of each training")
    parser.add_argument("--beside", default="not said", help="what else ran on the machine, for the record")
    options = parser.parse_args()
    if unknown := set(options.names) - {"speed", *EXPERIMENTS}:
        parser.error(f"there is no experiment {', '.join(sorted(unknown))}: without a name, all are listed")
    for name in options.names:
        speed(options) if name == "speed" else write(name, run(name, options))
    if not options.names:
        for name in EXPERIMENTS:
            print(f"{name:24s}{state(name, options.runs):12s}{EXPERIMENTS[name].options}")


if __name__ == "__main__":
    main()
