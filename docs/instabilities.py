"""Section 2.1, tried out: python docs/instabilities.py --out build/instabilities (half an hour on two busy cores).

Short trainings on the bundled sample of ethanol, by gain, optimiser and number of layers, three seeds each. Every run
is written to OUT/instabilities.json as it ends, and is not repeated if it stands there already; the figures are drawn
from that file into OUT/images. With --out docs, where the file is complete, only the figures are drawn anew.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cormorant_np.exactness import activation_means
from cormorant_np.model import features, init_params
from cormorant_np.network.output_network import invariants_forward, output_forward
from cormorant_np.network.parameters import flatten, layout, unflatten
from cormorant_np.training.gain import tune_gain
from cormorant_np.training.optimizer import amsgrad_step, init_state
from cormorant_np.training.parallel import loss_and_gradient, workers
from cormorant_np.training.problem import epoch_batches, minibatch, prepare
from cormorant_np.training.settings import Settings

SEEDS = (0, 1, 2)
FRAMES, EPOCHS = 500, 20
CASES = [
    (4, 0.2, "amsgrad"),
    (4, 5, "amsgrad"),
    (4, 10, "amsgrad"),
    (4, "tuned", "amsgrad"),
    (4, 25, "amsgrad"),
    (4, 5, "adam"),
    (4, "tuned", "adam"),
    (2, 5, "amsgrad"),
    (2, "tuned", "amsgrad"),
    (6, 5, "amsgrad"),
    (6, "tuned", "amsgrad"),
]
"""Layers, gain and optimiser of every run."""


def name_of(layers, gain, optimizer, seed):
    return f"{layers} layers, gain {gain}, {optimizer}, seed {seed}"


def prepare_run(layers, gain, optimizer, seed):
    """Settings, problem, the network with its gain, and the mini-batch that is watched."""
    settings = Settings(num_train=FRAMES, num_valid=0, num_test=1, num_layers=layers, optimizer=optimizer, seed=seed)
    problem = prepare(settings)
    watched, _ = minibatch(problem, problem.splits["train"][: settings.batch_size])
    if gain == "tuned":
        gain, _ = tune_gain(problem.config, watched, np.random.default_rng(seed))
    return settings, problem, dataclasses.replace(problem.config, gain=float(gain)), watched


def run(layers, gain, optimizer, seed, threads, bar):
    """Train once, and return what was seen: columns with one entry for each epoch, the first one before training."""
    settings, problem, config, watched = prepare_run(layers, gain, optimizer, seed)
    params, kinds = init_params(config, np.random.default_rng(seed)), layout(config)
    vector, state = flatten(params), init_state(flatten(params))
    record = {"gain": config.gain, "loss": [], "largest": [], "mae": [], "activation": [], "part": []}
    watch(record, params, watched, config)
    with workers(threads) as pool:
        for epoch in range(EPOCHS):
            losses, error = [], 0
            for indices in epoch_batches(problem, settings, epoch):
                batch, targets = minibatch(problem, indices)
                loss, gradient, predictions, _ = loss_and_gradient(vector, batch, targets, config, pool)
                vector, state = amsgrad_step(vector, gradient, state, settings.lr, adam=optimizer == "adam")
                losses.append(float(loss))
                error += float(abs(predictions - targets.energies).sum()) / FRAMES * problem.scale
                bar.update()
            record["loss"].append(np.mean(losses))
            record["largest"].append(max(losses, key=lambda x: x if np.isfinite(x) else np.inf))
            record["mae"].append(error)
            watch(record, unflatten(vector, kinds), watched, config)
            if not np.isfinite(vector).all():
                break
    return {key: rounded(value) for key, value in record.items()}


def watch(record, params, batch, config):
    """The mean |F^s| of every layer on a mini-batch, and how much the layer's part of the energy varies in it."""
    parts, start = [], 0
    for activations in features(params, batch, config):
        scalars, _ = invariants_forward(activations, config)
        weight = params["output.weight"][start : start + len(scalars)]
        parts.append(output_forward(weight, 0, scalars)[0].std())
        start += len(scalars)
    record["activation"].append(activation_means(params, batch, config))
    record["part"].append(parts)


def rounded(value):
    """Three digits of every number, and None for those that are not finite, which JSON does not know."""
    if np.ndim(value):
        return [rounded(v) for v in value]
    return float(f"{value:.3g}") if np.isfinite(value) else None


def run_all(path, threads):
    """Run what is not in the file yet; return all records by name."""
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    left = [(*case, seed) for case in CASES for seed in SEEDS]
    left = [case for case in left if name_of(*case) not in results]
    steps = EPOCHS * FRAMES // 25
    bar = tqdm(total=len(left) * steps, unit="step", dynamic_ncols=True)
    for case in left:
        name, began, done = name_of(*case), time.perf_counter(), bar.n
        with np.errstate(all="ignore"):
            results[name] = run(*case, threads, bar)
        results[name]["seconds"] = round(time.perf_counter() - began)
        bar.update(done + steps - bar.n)  # all of a run that ended early
        lines = [f"{json.dumps(key)}: {json.dumps(record)}" for key, record in results.items()]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    bar.close()
    return results


COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")


def draw_losses(results, path):
    """Training loss by gain, by optimiser and by number of layers, one line for each seed; below, what is under 3."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, height_ratios=(3, 2))
    for gain, color in zip((0.2, 5, 10, "tuned"), COLORS, strict=False):
        draw_loss(panels[:, 0], results, (4, gain, "amsgrad"), f"gain {gain}", color)
    for gain, color in ((5, COLORS[1]), ("tuned", COLORS[3])):
        draw_loss(panels[:, 1], results, (4, gain, "amsgrad"), f"gain {gain}, AMSGrad", color)
        draw_loss(panels[:, 1], results, (4, gain, "adam"), f"gain {gain}, Adam", "black", ":")
    for layers, color in ((2, "#17becf"), (4, COLORS[4]), (6, COLORS[5])):
        draw_loss(panels[:, 2], results, (layers, 5, "amsgrad"), f"{layers} layers, gain 5", color)
        draw_loss(panels[:, 2], results, (layers, "tuned", "amsgrad"), f"{layers} layers, tuned", color, "--")
    titles = ("Gain: four layers, AMSGrad", "Optimiser: four layers", "Layers: AMSGrad")
    for (above, below), title, top in zip(panels.T, titles, (1e9, 1e9, 1e42), strict=True):
        above.set(title=title, ylim=(0.05, top), yscale="log")
        below.set(xlabel="epoch of 20 steps", ylim=(0.05, 3), yscale="log", xticks=range(0, 21, 5))
        below.set_yticks((0.05, 0.1, 0.2, 0.5, 1, 2), ("0.05", "0.1", "0.2", "0.5", "1", "2"))
        below.minorticks_off()
        above.axhline(1e6, color="grey", linewidth=0.8)
        for axes in (above, below):
            axes.axhline(1, color="grey", linewidth=0.8)
            axes.grid(alpha=0.3)
        above.legend(loc="upper right", fontsize=8, ncols=2 if top > 1e9 else 1)
    panels[0, 0].set_ylabel("training loss")
    panels[1, 0].set_ylabel("the same, below 3")
    panels[0, 0].text(20, 5e5, "the text's $10^6$", color="grey", fontsize=9, ha="right", va="top")
    panels[1, 0].text(20, 1.1, "predicting the mean", color="grey", fontsize=9, ha="right")
    figure.savefig(path, dpi=150)


def draw_loss(panels, results, case, label, color, style="-"):
    for seed in SEEDS:
        loss = to_floats(results[name_of(*case, seed)]["loss"])
        for axes in panels:
            axes.plot(range(1, len(loss) + 1), loss, style, color=color, linewidth=1, label=None if seed else label)


def draw_activations(results, path):
    """By layer, the mean |F^s| (above) and the spread of the layer's part of the energy (below), one line a seed."""
    cases = [(4, 0.2, "amsgrad"), (4, 5, "amsgrad"), (4, "tuned", "amsgrad"), (6, 5, "amsgrad")]
    figure = Figure(figsize=(11, 6), layout="constrained")
    panels = figure.subplots(2, len(cases), sharex="col", sharey="row")
    for case, column in zip(cases, panels.T, strict=True):
        column[0].set_title(f"{case[0]} layers, gain {case[1]}")
        for axes, key in zip(column, ("activation", "part"), strict=True):
            for seed in SEEDS:
                for s, values in enumerate(to_floats(results[name_of(*case, seed)][key]).T):
                    label = None if seed else f"layer {s + 1}"
                    axes.plot(values, color=COLORS[s], linewidth=1, label=label)
            axes.set(yscale="log")
            axes.axhline(1, color="grey", linewidth=0.8)
            axes.grid(alpha=0.3)
        column[1].set_xlabel("epoch of 20 steps")
    panels[0, 0].set_ylabel("mean |F|")
    panels[1, 0].set_ylabel("spread of the layer's part\nof the energy")
    panels[0, 0].text(20, 1.4, "section 1.6 asks for 1", color="grey", fontsize=9, ha="right")
    panels[0, -1].legend(fontsize=8, loc="lower right")
    figure.savefig(path, dpi=150)


def to_floats(values):
    """Of a record: an array, with what was not finite as NaN, which is not drawn."""
    return np.array(values, dtype=float)


def print_table(results):
    """The rows of docs/instabilities.md; three numbers are the three seeds."""
    print("| layers | gain | optimiser | largest loss of a step | loss, last epoch | MAE / (kcal/mol) |")
    print("|---|---|---|---|---|---|")
    for layers, gain, optimizer in CASES:
        runs = [results[name_of(layers, gain, optimizer, seed)] for seed in SEEDS]
        largest = ", ".join("not finite" if None in r["largest"] else f"{max(r['largest']):.2g}" for r in runs)
        last = [", ".join("–" if r[key][-1] is None else f"{r[key][-1]:.2g}" for r in runs) for key in ("loss", "mae")]
        shown = f"tuned: {runs[0]['gain']:g}" if gain == "tuned" else gain
        print(f"| {layers} | {shown} | {optimizer} | {largest} | {last[0]} | {last[1]} |")


def print_start(threads):
    """At the tuned gain, before training: squared errors of the frames, and the share of g² that overflows float32."""
    for case in [(layers, "tuned", "amsgrad", seed) for layers in (2, 4, 6) for seed in SEEDS]:
        _, problem, config, _ = prepare_run(*case)
        vector = flatten(init_params(config, np.random.default_rng(case[-1])))
        batch, targets = minibatch(problem, problem.splits["train"])
        with workers(threads) as pool, np.errstate(all="ignore"):
            _, gradient, predictions, _ = loss_and_gradient(vector, batch, targets, config, pool)
            overflow = 1 - np.isfinite(gradient * gradient).mean()
        squared = (predictions.astype(float) - targets.energies) ** 2
        errors = f"squared error: median {np.median(squared):.2g}, largest {squared.max():.2g}"
        print(f"{case[0]} layers, gain {config.gain:.3g}: {errors}; {overflow:.0%} of g² overflow")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results and figures")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    (args.out / "images").mkdir(parents=True, exist_ok=True)
    results = run_all(args.out / "instabilities.json", args.threads)
    print(f"{len(results)} runs, {sum(r['seconds'] for r in results.values()) / 60:.0f} minutes of training")
    draw_losses(results, args.out / "images" / "instabilities_loss.png")
    draw_activations(results, args.out / "images" / "instabilities_activations.png")
    print_table(results)
    print_start(args.threads)


if __name__ == "__main__":
    main()
