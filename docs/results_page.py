"""The page docs/results.md and README's first table: python docs/results_page.py writes the tables and draws pictures.

All of it comes from the files in docs/results, which docs/results.py and docs/batching.py write, and from nothing else.
"""

import re
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

sys.path.insert(0, str(Path(__file__).resolve().parent))

from results import DOCS, EXPERIMENTS, FRAMES, LEARNED, MOLECULES, STABILITY, UNION_FRAMES, read

from cormorant_np.data.units import energy_factor

MACE = {"ethanol": (0.4, 2.1), "malonaldehyde": (0.8, 5.0), "benzene": (0.4, 0.3), "aspirin": (2.2, 6.6)}
"""Energies (meV) and forces (meV/Å) of rMD17, 1000 frames; docs/results.md says from where."""

ACAC_PUBLISHED = {
    "MACE": (0.9, 5.1, 4.6, 22.4),
    "NequIP": (0.81, 5.9, 6.0, 27.8),
    "BOTNet": (0.89, 6.3, 6.2, 29.8),
}
"""RMSE of energies (meV) and forces (meV/Å) at 300 K, and the same at 600 K; docs/results.md says from where."""

CURVES = {"acac-40": "this network", "acac-40-channels-32-forces-10": "with 32 channels and w = 10"}
"""Experiments whose energies of acetylacetone are drawn."""

PAPER_ETHANOL, PAPER_EPOCHS = (50_000, 0.027), 512
"""Training frames, and the paper's error of energies (kcal/mol), quoted from secondary sources; its epochs."""

PAPER_QM9 = {"U0": "0.022 eV", "mu": "0.038 D", "gap": "0.061 eV"}
"""Errors of the paper with 100,000 training molecules."""

SPEED_MINUTES = (1, 3, 10)

WEIGHED = (
    "ethanol-20",
    "ethanol-20-forces-10",
    "ethanol-20-forces-100",
    "aspirin-80",
    "aspirin-forces-10",
    "aspirin-forces-100",
)
"""Runs that differ in the weight of the forces."""

UNITS = {"": "kcal/mol", "force_": "kcal/mol/Å"}


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


def errors(result):
    """The test errors of a run, of energies and of forces if it has any."""
    return [error(result.get(f"test_{what}mae"), result["unit"]) for what in ("", "force_")]


def errors_with_units(result):
    """The same of a run in kcal/mol, for README."""
    return [f"{result[f'test_{what}mae']:.3f} {unit}" for what, unit in UNITS.items()]


def minutes(record):
    return f"{record['result']['seconds'] / 60:.0f} min"


def table(header, rows):
    if not rows:
        return "Not run yet."
    return "\n".join(["| " + " | ".join(map(str, row)) + " |" for row in (header, ["---"] * len(header), *rows)])


def rmd17_table(done):
    """Energies and forces of rMD17 beside what MACE is said to reach."""
    header = ["molecule", "training", "batches", "epochs", "time", "energies", "forces", "MACE: energies", "forces"]
    rows = []
    for name in ["ethanol", *(f"ethanol-split-{k}" for k in range(1, 6)), *MOLECULES]:
        for ending in [ending for ending in LEARNED if name + ending in done]:
            record = done[name + ending]
            result, title = record["result"], EXPERIMENTS[name + ending].title
            published = [f"{x / 43.364:.3f} ({x})" for x in MACE[title.split(",")[0]]]
            weight = force_weight(name + ending)
            learned = {0: "energies alone", 1: "with forces"}.get(weight, f"with forces, w = {weight:g}")
            if width := given_for(name + ending, "--num-channels"):
                learned += f", {width} channels"
            run = [record["batch_size"], result["epochs"], minutes(record)]
            rows.append([title, learned, *run, *errors(result), *published])
    return table(header, rows)


def force_weight(name):
    """w of an experiment's loss."""
    return float(given_for(name, "--force-weight") or 1)


def given_for(name, option):
    """What an experiment gives as this option, or None."""
    found = re.findall(rf"{option} (\S+)", EXPERIMENTS[name].options)
    return found[0] if found else None


def weights_table(done):
    """What the weight of the forces in the loss does to the errors of training and test."""
    header = ["", "w", "epochs", "energies: training", "test", "forces: training", "test"]
    rows = []
    for name in [name for name in WEIGHED if name in done]:
        result, last = done[name]["result"], done[name]["last_epoch"]
        pairs = [(last[f"train_{what}mae"], result[f"test_{what}mae"]) for what in ("", "force_")]
        shown = [f"{value:.3f}" for pair in pairs for value in pair]
        rows.append([EXPERIMENTS[name].title, f"{force_weight(name):g}", result["epochs"], *shown])
    return table(header, rows)


def learning_table(done):
    header = ["frames", "epochs", "steps", "energies", "forces", "time"]
    rows = []
    for frames, record in learning_points(done):
        result = record["result"]
        steps = result["epochs"] * -(-frames // record["batch_size"])
        rows.append([frames, result["epochs"], steps, *errors(result), minutes(record)])
    return table(header, rows)


def learning_points(done):
    return points_of([*(f"ethanol-{n}" for n in FRAMES), "ethanol"], done)


def points_of(names, done):
    """The training frames and the record of each of these runs that is done."""
    return [(done[name]["result"]["num_train"], done[name]) for name in names if name in done]


def power_law(x, y):
    """The exponent a and the factor c of c xᵃ through points, by least squares of the logarithms."""
    exponent, constant = np.polyfit(np.log(x), np.log(y), 1)
    return float(exponent), float(np.exp(constant))


def acac_table(done):
    header = ["RMSE", "300 K: energies, meV", "forces, meV/Å", "600 K: energies, meV", "forces, meV/Å"]
    rows = [[name, *values] for name, values in ACAC_PUBLISHED.items()]
    for name in [name for name in done if name.startswith("acac")]:
        files = done[name]["files"]
        own = [1000 * files[part][f"{what}_rmse"] for part in ("300 K", "600 K") for what in ("energy", "force")]
        title = EXPERIMENTS[name].title.removeprefix("acetylacetone, ")
        rows.append([f"this network, {title}", *(f"{value:.1f}" for value in own)])
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


def energies_points(done):
    """Frames and records of the runs that learned from energies alone."""
    return points_of(["ethanol-energies", *(f"ethanol-energies-{n}" for n in UNION_FRAMES)], done)


def energies_table(done):
    header = ["frames", "epochs", "energies", "forces", "time"]
    rows = []
    for frames, record in energies_points(done):
        result = record["result"]
        rows.append([frames, result["epochs"], *errors(result), minutes(record)])
    return table(header, rows)


def paper_runs(done):
    """Records of the runs by the paper's protocol, by title."""
    return {EXPERIMENTS[name].title: done[name] for name in done if name.startswith("paper")}


def paper_table(done):
    """Errors of the training frames' energies in the last epoch, of test frames, and of another trajectory."""
    header = ["convention, rate", "epochs", "time", "training", "test: energies", "forces", "other: energies", "forces"]
    rows = []
    for title, record in paper_runs(done).items():
        result, other = record["result"], record["files"]["other"]
        training = error(record["last_epoch"]["train_mae"], result["unit"])
        of_other = [error(other[f"{what}_mae"], other["unit"]) for what in ("energy", "force")]
        rows.append([title, result["epochs"], minutes(record), training, *errors(result), *of_other])
    return table(header, rows)


def stability_table(done):
    """Test errors for each seed, and the last epoch's training error, which shows a run that does not learn."""
    header = ["training", "seeds", "energies", "forces", "forces, training frames"]
    rows = []
    for name, option in STABILITY.items():
        runs = [done[key] for seed in range(3) if (key := f"stability-{name}-{seed}") in done]
        if not runs:
            continue
        found = [[record["result"][f"test_{what}mae"] for record in runs] for what in ("", "force_")]
        found.append([record["last_epoch"]["train_force_mae"] for record in runs])
        rows.append([f"`{option}`", len(runs), *(", ".join(f"{value:.3g}" for value in values) for values in found)])
    return table(header, rows)


def batching_table(done):
    """docs/results/batching.json: errors on the way and at the end, for each seed."""
    header = [
        "batches",
        "padding",
        "seed",
        "epoch 2",
        "epoch 4",
        "epoch 8",
        "epochs 9 to 12",
        "the same, training",
        "test",
    ]
    rows = []
    for key, record in read(DOCS / "results" / "batching.json").items():
        valid, (name, seed) = record["valid_mae"], key.split(", seed ")
        found = [
            valid[1],
            valid[3],
            valid[7],
            np.mean(valid[8:12]),
            np.mean(record["train_mae"][8:12]),
            record["test_mae"],
        ]
        rows.append([name, f"{record['padding']:.0%}", seed, *(f"{value:.1f}" for value in found)])
    return table(header, rows)


def speeds():
    """{program: its minutes and errors of forces}."""
    return read(DOCS / "results" / "speed.json")["programs"]


def speed_table(done):
    """Errors of forces (kcal/mol/Å) that each program had reached after some minutes, and at its end."""
    rows = []
    for program, learned in speeds().items():
        points = list(zip(learned["minutes"], learned["force_mae"], strict=True))
        reached = [[force_mae for minutes, force_mae in points if minutes <= limit] for limit in SPEED_MINUTES]
        shown = [f"{found[-1]:.3g}" if found else "–" for found in reached]
        rows.append([program, *shown, f"{points[-1][1]:.3g} after {points[-1][0]:.1f} min"])
    return table(["program", *(f"{limit} min" for limit in SPEED_MINUTES), "its end"], rows)


def readme_table(done):
    """README's first table: the best that was reached on each kind of data."""
    rows = []
    for name in ("ethanol", *MOLECULES):
        endings = [ending for ending in LEARNED if name + ending in done and ending != "-energies"]
        if endings:
            result = done[name + endings[-1]]["result"]
            title = f"[rMD17](docs/results.md#rmd17) {name}, {result['num_train']} frames"
            rows.append([title, *errors_with_units(result)])
    if "acac-40-forces-10" in done:
        found = done["acac-40-forces-10"]["files"]["300 K"]
        shown = [f"{1000 * found[f'{what}_mae']:.1f} {unit}" for what, unit in (("energy", "meV"), ("force", "meV/Å"))]
        rows.append(["[acetylacetone](docs/results.md#acetylacetone) at 300 K, 450 frames of a file", *shown])
    for record in sorted(paper_runs(done).values(), key=lambda record: record["result"]["valid_mae"])[:1]:
        result = record["result"]
        training = f"{result['num_train']:,} frames, energies alone, {result['epochs']} epochs"
        title = f"[ethanol by GFN2-xTB](docs/results.md#the-papers-protocol), {training}"
        rows.append([title, *errors_with_units(result)])
    if "qm9-U0-10000" in done:
        shown = f"{1000 * done['qm9-U0-10000']['result']['test_mae']:.0f} meV"
        rows.append(["[QM9](docs/results.md#qm9) U0, 10,000 molecules", shown, "–"])
    return table(["what it reaches, mean absolute errors", "energies", "forces"], rows)


TABLES = {
    "readme": readme_table,
    "rmd17": rmd17_table,
    "weights": weights_table,
    "learning": learning_table,
    "energies": energies_table,
    "paper": paper_table,
    "acac": acac_table,
    "qm9": qm9_table,
    "batching": batching_table,
    "stability": stability_table,
    "speed": speed_table,
    "commands": commands_table,
    "left": left,
}


PAGES = (DOCS / "results.md", DOCS.parent / "README.md")


def with_tables(text, done):
    """A page with each of its tables, between two comments, written anew."""
    for name, make in TABLES.items():
        start, end = f"<!-- table {name} -->\n", "<!-- end -->"
        if start in text:
            before, _, after = text.partition(start)
            text = f"{before}{start}\n{make(done)}\n\n{end}{after.partition(end)[2]}"
    return text


def draw_power_law(axes, x, y, ends, **style):
    """The power law through points, drawn from one of `ends` to the other, with its exponent in the legend."""
    exponent, factor = power_law(x, y)
    axes.loglog(ends, factor * ends**exponent, linewidth=1, label=f"slope {exponent:.2f}".replace("-", "−"), **style)


def draw_learning(done, path):
    """Test errors by the number of training frames, with power laws."""
    points = learning_points(done)
    frames = np.array([frames for frames, _ in points])
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    panels = {"test_mae": "energies / (kcal/mol)", "test_force_mae": "forces / (kcal/mol/Å)"}
    for axes, (key, label) in zip(figure.subplots(1, 2), panels.items(), strict=True):
        found = np.array([record["result"][key] for _, record in points])
        axes.loglog(frames, found, "o", color="#1f77b4")
        draw_power_law(axes, frames, found, frames, color="grey")
        axes.set(xlabel="training frames", ylabel=f"test error of {label}")
        axes.set_xticks(frames, frames)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=120)


def draw_curves(records, path):
    """Energies along a dihedral scan and a proton transfer, from the lowest of DFT's; records by their labels."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    labels = {"dihedral": "dihedral angle / degrees", "proton transfer": "image of the path"}
    subplots = figure.subplots(1, 2)
    for axes, (name, x_label) in zip(subplots, labels.items(), strict=True):
        curves = [record["curves"][name] for record in records.values()]
        true = np.array(curves[0]["true"])
        x = curves[0].get("x", range(1, len(true) + 1))
        axes.plot(x, true - true.min(), "k.-", label="DFT")
        for label, curve, colour in zip(records, curves, ("#d62728", "#1f77b4"), strict=False):
            axes.plot(x, np.array(curve["predicted"]) - true.min(), ".-", color=colour, label=label)
        axes.set(xlabel=x_label, ylabel="energy / eV", title=name)
        axes.grid(alpha=0.3)
    subplots[0].legend()
    figure.savefig(path, dpi=120)


def draw_speed(programs, path):
    """Errors of forces by the time of training."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for program, learned in programs.items():
        one_point = len(learned["minutes"]) == 1
        axes.loglog(learned["minutes"], learned["force_mae"], "o" if one_point else "-", label=program)
    axes.set(xlabel="minutes", ylabel="error of forces / (kcal/mol/Å)")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def draw_energies(done, path):
    """Test errors of energies by the number of training frames, with and without forces, and the paper's."""
    figure = Figure(figsize=(8.4, 4), layout="constrained")
    axes = figure.subplots()
    lines = {"with forces": (learning_points(done), "#1f77b4"), "energies alone": (energies_points(done), "#d62728")}
    for label, (points, color) in lines.items():
        frames = np.array([frames for frames, _ in points])
        found = np.array([record["result"]["test_mae"] for _, record in points])
        axes.loglog(frames, found, "o", color=color, label=label)
        if len(points) > 1:
            ends = np.array([frames.min(), PAPER_ETHANOL[0]])
            draw_power_law(axes, frames, found, ends, color=color, linestyle=":")
    if results := [record["result"] for record in paper_runs(done).values()]:
        label = f"energies alone, GFN2-xTB, {results[0]['epochs']} epochs"
        points = [[result[name] for result in results] for name in ("num_train", "test_mae")]
        axes.loglog(*points, "s", color=lines["energies alone"][1], label=label)
    label = f"paper, MD17, energies alone, {PAPER_EPOCHS} epochs"
    axes.loglog(*PAPER_ETHANOL, "k*", markersize=10, label=label)
    axes.set(xlabel="training frames", ylabel="test error of energies / (kcal/mol)")
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=9)
    figure.savefig(path, dpi=120)


def draw_paper(runs, path):
    """Validation and training errors by the epoch; at a constant rate, with the power law of the later half."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    for title, record in runs.items():
        kcal = energy_factor(record["result"]["unit"], "kcal/mol")
        valid, train = (kcal * np.array(record["learning"][f"{part}_mae"]) for part in ("valid", "train"))
        epochs = np.arange(1, len(valid) + 1)
        (line,) = axes.loglog(epochs, valid, ".-", label=f"{title}: validation")
        axes.loglog(epochs, train, "--", color=line.get_color(), linewidth=1, label="training")
        if title.endswith("constant"):
            later = len(epochs) // 2
            ends = np.array([epochs[later], PAPER_EPOCHS])
            draw_power_law(axes, epochs[later:], valid[later:], ends, color=line.get_color(), linestyle=":")
    axes.set(xlabel="epochs", ylabel="error of energies / (kcal/mol)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)


def write_page():
    done = records()
    if runs := paper_runs(done):
        draw_paper(runs, DOCS / "results" / "paper.png")
    if len(energies_points(done)) > 0:
        draw_energies(done, DOCS / "results" / "energies.png")
    draw_speed(speeds(), DOCS / "results" / "speed.png")
    if len(learning_points(done)) > 1:
        draw_learning(done, DOCS / "results" / "learning.png")
    if curves := {label: done[name] for name, label in CURVES.items() if name in done}:
        draw_curves(curves, DOCS / "results" / "acac.png")
    for page in PAGES:
        page.write_text(with_tables(page.read_text(encoding="utf-8"), done), encoding="utf-8")


if __name__ == "__main__":
    write_page()
