"""The runs behind docs/results.md: python docs/results.py [NAME ...].

Without a name it lists the experiments and what is done of them. With names it runs these, or goes on with those that
were interrupted: the run directories are in --runs, and each result is a small file docs/results/NAME.json. The word
page draws the pictures and writes the tables of docs/results.md anew, from those files alone.

The data are in --data-dir: rMD17 in its folder rmd17, acetylacetone (https://github.com/davkovacs/BOTNet-datasets) in
acac. Training and evaluation are commands of the package, and the page prints them as they ran.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cormorant_np import __version__
from cormorant_np.data import load_file
from cormorant_np.data.units import energy_factor

DOCS = Path(__file__).resolve().parent

BATCH, LEAST_STEPS, EPOCHS = 5, 3000, 80
"""Of a learning curve: EPOCHS epochs, and more for few frames, so that there are at least LEAST_STEPS steps."""


class Experiment(NamedTuple):
    """A training, and what is done with the model. In the texts {data} is the data directory.

    title : what it is, for the tables
    options : of the train command
    files : {name: file}, on which the model is evaluated too
    curves : {name: file}, whose energies are predicted in order
    """

    title: str
    options: str
    files: Mapping = MappingProxyType({})
    curves: Mapping = MappingProxyType({})


def rmd17(molecule, more, frames=950):
    sizes = "" if frames == 950 else f"--num-train {frames} "
    return f"--dataset rmd17 --molecule {molecule} {sizes}{more} --data-dir {{data}}/rmd17"


def split_of_ethanol(number):
    """Another than the first split of rMD17 is not an option of train, but its two files are files of one's own."""
    train, test = (f"{{data}}/rmd17/rmd17_ethanol_{part}_{number}.npz" for part in ("train", "test"))
    return f"--data-file {train} --test-file {test} --num-valid 50 --energy-unit kcal/mol --epochs {EPOCHS}"


def epochs_of(frames):
    return max(EPOCHS, LEAST_STEPS * BATCH // frames)


ACAC = "{data}/acac/test_"
FRAMES = (50, 100, 200, 500)
MOLECULES = ("malonaldehyde", "benzene", "aspirin")
STABILITY = {
    "default": "--gain 10",
    "gain-5": "--gain 5",
    "adam": "--optimizer adam",
    "2-layers": "--num-layers 2",
    "6-layers": "--num-layers 6",
}

EXPERIMENTS = {
    "ethanol": Experiment("ethanol", rmd17("ethanol", f"--epochs {EPOCHS}")),
    **{f"ethanol-{n}": Experiment("ethanol", rmd17("ethanol", f"--epochs {epochs_of(n)}", n)) for n in FRAMES},
    "acac": Experiment(
        "acetylacetone",
        f"--data-file {{data}}/acac/train_300K.xyz --test-file {ACAC}MD_300K.xyz --num-valid 50 --epochs 40",
        files={"300 K": f"{ACAC}MD_300K.xyz", "600 K": f"{ACAC}MD_600K.xyz"},
        curves={"dihedral": f"{ACAC}dihedral.xyz", "proton transfer": f"{ACAC}H_transfer.xyz"},
    ),
    "ethanol-energies": Experiment("ethanol", rmd17("ethanol", f"--force-weight 0 --epochs {EPOCHS}")),
    "qm9-sample": Experiment("QM9, the bundled sample, U0", "--dataset qm9-sample"),
    **{
        f"{name}{learned}": Experiment(name, rmd17(name, f"{option}--epochs 40"))
        for name in MOLECULES
        for learned, option in {"": "", "-energies": "--force-weight 0 "}.items()
    },
    **{f"ethanol-split-0{k}": Experiment(f"ethanol, split 0{k}", split_of_ethanol(f"0{k}")) for k in range(2, 6)},
    **{
        f"qm9-{target}-{n}": Experiment(
            f"QM9, {target}", f"--dataset qm9 --target {target} --num-train {n} --epochs 30"
        )
        for target in ("U0", "mu", "gap")
        for n in (1000, 10_000)
    },
    **{
        f"stability-{name}-{seed}": Experiment(
            f"ethanol, {name}", rmd17("ethanol", f"--epochs 15 {option} --seed {seed}", frames=200)
        )
        for name, option in STABILITY.items()
        for seed in range(3)
    },
}

MACE = {"ethanol": (0.4, 2.1), "malonaldehyde": (0.8, 5.0), "benzene": (0.4, 0.3), "aspirin": (2.2, 6.6)}
"""Energies (meV) and forces (meV/Å) of rMD17, 1000 frames; docs/results.md says from where."""

ACAC_PUBLISHED = {
    "MACE": (0.9, 5.1, 4.6, 22.4),
    "NequIP": (0.81, 5.9, 6.0, 27.8),
    "BOTNet": (0.89, 6.3, 6.2, 29.8),
}
"""RMSE of energies (meV) and forces (meV/Å) at 300 K, and the same at 600 K; docs/results.md says from where."""


PAPER_QM9 = {"U0": "0.022 eV", "mu": "0.038 D", "gap": "0.061 eV"}
"""Errors of the paper with 100,000 training molecules."""


def command(name, data, runs):
    """The words after python -m of the training; it goes on with a run that has begun."""
    run_dir = Path(runs) / name
    if (run_dir / "config.json").exists():
        return ["cormorant_np.train", "--run-dir", str(run_dir), "--resume"]
    words = [word.format(data=data) for word in EXPERIMENTS[name].options.split()]
    return ["cormorant_np.train", *words, "--run-dir", str(run_dir)]


def call(words, options, **keywords):
    """Run a command of the package; what it prints, if that is asked for."""
    words = [sys.executable, "-m", *words, "--threads", str(options.threads)]
    environment = os.environ | {"PYTHONPATH": str(DOCS.parent), "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.run(words, env=environment, text=True, check=False, **keywords)
    if process.returncode:
        sys.exit(process.returncode)
    return process.stdout


def run(name, options):
    """Train, if that is not done yet, evaluate, and return what docs/results/NAME.json will hold."""
    experiment, run_dir = EXPERIMENTS[name], Path(options.runs) / name
    if not (run_dir / "result.json").exists():
        call(command(name, options.data_dir, options.runs), options)
    files = {what: evaluate(run_dir, path, options) for what, path in experiment.files.items()}
    curves = {what: curve(run_dir, path, options) for what, path in experiment.curves.items()}
    config = read(run_dir / "config.json")
    record = {
        "command": f"python -m cormorant_np.train {experiment.options.format(data='DIR')}",
        **{key: config["settings"][key] for key in ("seed", "threads", "batch_size")},
        "machine": machine(),
        "beside": options.beside,
        "date": time.strftime("%Y-%m-%d", time.localtime((run_dir / "result.json").stat().st_mtime)),
        "versions": {"python": config["python"], "numpy": config["numpy"], "cormorant_np": __version__},
        "result": read(run_dir / "result.json"),
        "last_epoch": json.loads((run_dir / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1]),
    }
    return rounded(record | {key: value for key, value in {"files": files, "curves": curves}.items() if value})


def write(name, record):
    """Write docs/results/NAME.json, with each list of numbers on one line."""
    text = re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), json.dumps(record, indent=1))
    (DOCS / "results" / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def evaluate(run_dir, path, options):
    words = ["cormorant_np.evaluate", "--run-dir", str(run_dir), "--data-file", path.format(data=options.data_dir)]
    return json.loads(call([*words, "--json"], options, stdout=subprocess.PIPE))


def curve(run_dir, path, options):
    """Energies (eV) of a file's molecules in its order, as they are there and as predicted."""
    path, out = path.format(data=options.data_dir), run_dir / f"{Path(path).stem}.json"
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


def machine():
    """The processor's name and the number of its cores that this program may use."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text(encoding="utf-8")) if info.exists() else []
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


def records():
    """{name: record} of what has been run, in the order of the experiments."""
    paths = {name: DOCS / "results" / f"{name}.json" for name in EXPERIMENTS}
    return {name: read(path) for name, path in paths.items() if path.exists()}


def error(value, unit):
    """An error in kcal/mol and meV, such as 0.043 (1.9)."""
    if value is None:
        return "–"
    kcal, mev = energy_factor(unit, "kcal/mol") * value, 1000 * energy_factor(unit, "eV") * value
    return f"{kcal:.3f} ({mev:.1f})"


def minutes(record):
    return f"{record['result']['seconds'] / 60:.0f} min"


def table(header, rows):
    if not rows:
        return "Not run yet."
    return "\n".join(["| " + " | ".join(map(str, row)) + " |" for row in (header, ["---"] * len(header), *rows)])


def rmd17_table(done):
    """Energies and forces of rMD17 beside what MACE is said to reach."""
    header = ["molecule", "training", "energies", "forces", "epochs", "time", "MACE: energies", "forces"]
    rows = []
    for name in ["ethanol", *(f"ethanol-split-0{k}" for k in range(2, 6)), *MOLECULES]:
        for suffix in ("", "-energies"):
            if name + suffix not in done:
                continue
            record = done[name + suffix]
            result, title = record["result"], EXPERIMENTS[name].title
            found = [error(result.get(f"test_{what}mae"), result["unit"]) for what in ("", "force_")]
            published = [f"{x / 43.364:.3f} ({x})" for x in MACE[title.split(",")[0]]]
            learned = "energies alone" if suffix else "with forces"
            rows.append([title, learned, *found, result["epochs"], minutes(record), *published])
    return table(header, rows)


def learning_table(done):
    header = ["frames", "epochs", "steps", "energies", "forces", "time"]
    rows = []
    for frames, record in learning_points(done):
        result = record["result"]
        found = [error(result[f"test_{what}mae"], result["unit"]) for what in ("", "force_")]
        steps = result["epochs"] * -(-frames // record["batch_size"])
        rows.append([frames, result["epochs"], steps, *found, minutes(record)])
    return table(header, rows)


def learning_points(done):
    names = [*(f"ethanol-{n}" for n in FRAMES), "ethanol"]
    return [(done[name]["result"]["num_train"], done[name]) for name in names if name in done]


def slope(x, y):
    """The exponent of the power law through points, by least squares of the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def acac_table(done):
    header = ["RMSE", "300 K: energies, meV", "forces, meV/Å", "600 K: energies, meV", "forces, meV/Å"]
    rows = [[name, *values] for name, values in ACAC_PUBLISHED.items()]
    if "acac" in done:
        files = done["acac"]["files"]
        own = [1000 * files[part][f"{what}_rmse"] for part in ("300 K", "600 K") for what in ("energy", "force")]
        epochs = done["acac"]["result"]["epochs"]
        rows.append([f"this network, {epochs} epochs", *(f"{value:.1f}" for value in own)])
    return table(header, rows)


def commands_table(done):
    header = ["name", "command", "seed", "threads", "time", "date", "beside it"]
    rows = [
        [f"`{name}`", f"`{r['command']}`", r["seed"], r["threads"], minutes(r), r["date"], r["beside"]]
        for name, r in done.items()
    ]
    return table(header, rows)


def left(done):
    return ", ".join(f"`{name}`" for name in EXPERIMENTS if name not in done)


def qm9_table(done):
    header = [
        "target",
        "training molecules",
        "epochs",
        "error",
        "predicting the mean",
        "unit",
        "time",
        "paper, 100,000",
    ]
    rows = []
    for name in [name for name in done if name.startswith("qm9")]:
        result, title = done[name]["result"], EXPERIMENTS[name].title
        errors = [f"{result[f'{what}_mae']:.3g}" for what in ("test", "baseline")]
        row = [title, result["num_train"], result["epochs"], *errors, result["unit"], minutes(done[name])]
        rows.append([*row, PAPER_QM9[title.split()[-1]]])
    return table(header, rows)


TABLES = {
    "rmd17": rmd17_table,
    "learning": learning_table,
    "acac": acac_table,
    "qm9": qm9_table,
    "commands": commands_table,
    "left": left,
}


def with_tables(text, done):
    """The page with each table between its two comments written anew."""
    for name, make in TABLES.items():
        start, end = f"<!-- table {name} -->\n", "<!-- end -->"
        before, _, after = text.partition(start)
        text = f"{before}{start}\n{make(done)}\n\n{end}{after.partition(end)[2]}"
    return text


def draw_learning(done, path):
    """Test errors by the number of training frames, with power laws."""
    points = learning_points(done)
    frames = np.array([frames for frames, _ in points])
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    panels = {"test_mae": "energies / (kcal/mol)", "test_force_mae": "forces / (kcal/mol/Å)"}
    for axes, (key, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        errors = np.array([record["result"][key] for _, record in points])
        exponent = slope(frames, errors)
        fit = np.exp(np.log(errors).mean()) * (frames / np.exp(np.log(frames).mean())) ** exponent
        axes.loglog(frames, errors, "o", color="#1f77b4")
        axes.loglog(frames, fit, color="grey", linewidth=1, label=f"slope {exponent:.2f}".replace("-", "−"))
        axes.set(xlabel="training frames", ylabel=f"test error of {label}")
        axes.set_xticks(frames, frames)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def draw_curves(record, path):
    """Energies along a dihedral scan and a proton transfer, from the lowest of DFT's."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    labels = {"dihedral": "dihedral angle / degrees", "proton transfer": "image of the path"}
    for axes, (name, found) in zip(figure.subplots(1, 2), record["curves"].items(), strict=True):
        true, predicted = (np.array(found[key]) for key in ("true", "predicted"))
        x = found.get("x", range(1, len(true) + 1))
        axes.plot(x, true - true.min(), "k.-", label="DFT")
        axes.plot(x, predicted - true.min(), ".-", color="#d62728", label="this network")
        axes.set(xlabel=labels[name], ylabel="energy / eV", title=name)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def write_page():
    done, page = records(), DOCS / "results.md"
    if len(learning_points(done)) > 1:
        draw_learning(done, DOCS / "results" / "learning.png")
    if "acac" in done:
        draw_curves(done["acac"], DOCS / "results" / "acac.png")
    page.write_text(with_tables(page.read_text(encoding="utf-8"), done), encoding="utf-8")


def state(name, runs):
    if (DOCS / "results" / f"{name}.json").exists():
        return "done"
    log = Path(runs) / name / "log.jsonl"
    return f"epoch {len(log.read_text(encoding='utf-8').splitlines())}" if log.exists() else "not begun"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments to run, or page")
    parser.add_argument("--data-dir", default=os.environ.get("CORMORANT_NP_DATA", "data"))
    parser.add_argument("--runs", type=Path, default=DOCS.parent / "runs" / "results", help="folder of run directories")
    parser.add_argument("--threads", type=int, default=2, help="processes of each training")
    parser.add_argument("--beside", default="not said", help="what else ran on the machine, for the record")
    options = parser.parse_args()
    if unknown := set(options.names) - {"page", *EXPERIMENTS}:
        parser.error(f"there is no experiment {', '.join(sorted(unknown))}: without a name, all are listed")
    for name in options.names:
        write_page() if name == "page" else write(name, run(name, options))
    if not options.names:
        for name in EXPERIMENTS:
            print(f"{name:24s}{state(name, options.runs):12s}{EXPERIMENTS[name].options}")


if __name__ == "__main__":
    main()
