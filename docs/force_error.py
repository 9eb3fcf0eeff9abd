"""The error of the force loss's gradient by the step h: python docs/force_error.py

Prints a table, and draws images/force_error.png. The paper's network with random weights, and the model of ethanol that
comes with the package; frames of ethanol; the loss of energies and forces with the weight 1. One side, as in a step,
and the mean of both, as in two steps that follow each other. What is exact is the latter in float64 at 5e-6 Å.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cormorant_np import Config, data
from cormorant_np.network.parameters import flatten, init_params
from cormorant_np.training import forces, parallel
from cormorant_np.training.loss import Targets
from cormorant_np.training.prediction import load_network

STEPS = (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 1e-6, 1e-7)
FRAMES = 5
IMAGE = Path(__file__).with_name("images") / "force_error.png"


def gradient(vector, step, sides, dtype, config, mean, scale):
    """The gradient of the loss on the first frames of the sample, float64, the mean over displacements to `sides`."""
    forces.displace.__defaults__ = (1, step)
    frames = data.load("sample")
    batch = data.make_batch(frames.charges[:FRAMES], frames.positions[:FRAMES], config, dtype)
    energies, reference = (frames.energies[:FRAMES] - mean) / scale, frames.forces[:FRAMES] / scale
    targets = Targets(energies.astype(dtype), reference.astype(dtype), batch.charges.size)
    with parallel.workers(1) as pool:
        results = [
            parallel.loss_and_gradient(vector.astype(dtype), batch, targets, config, pool, 1.0, side)[1]
            for side in sides
        ]
    return np.mean(results, axis=0, dtype=np.float64)


def errors(params, config, mean, scale):
    """Relative errors by step, of one side and both in float64 and in float32."""
    vector = flatten(params).astype(np.float64)
    case = config, mean, scale
    exact = gradient(vector, 5e-6, (1, -1), np.float64, *case)
    return {
        (dtype.__name__, name): [
            np.linalg.norm(gradient(vector, step, sides, dtype, *case) - exact) / np.linalg.norm(exact)
            for step in STEPS
        ]
        for dtype in (np.float64, np.float32)
        for name, sides in (("one side", (1,)), ("both", (1, -1)))
    }


def main():
    network = load_network("ethanol")
    random, scaling = Config.md17(), (network.mean, network.scale)
    cases = {
        "random weights": (init_params(random, np.random.default_rng(0), np.float64), random, *scaling),
        "trained weights": (network.params, network.config, *scaling),
    }
    figure = Figure(figsize=(10, 4), layout="constrained")
    print("| h / Å | " + " | ".join(f"{step:g}" for step in STEPS) + " |")
    for axes, (title, case) in zip(figure.subplots(1, 2, sharey=True), cases.items(), strict=True):
        for (dtype, name), values in errors(*case).items():
            print(f"| {title}, {dtype}, {name} | " + " | ".join(f"{value:.0e}" for value in values) + " |")
            colour, line = {"float32": "C0", "float64": "C1"}[dtype], {"one side": "o-", "both": "o:"}[name]
            axes.loglog(STEPS, values, line, color=colour, label=f"{dtype}, {name}")
        for dtype, colour in (("float32", "C0"), ("float64", "C1")):
            axes.axvline(np.finfo(dtype).eps ** 0.5, color=colour, linewidth=1, alpha=0.4)
        axes.set(title=title, xlabel="h / Å", ylim=(1e-10, 10))
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right")
    figure.supylabel("relative error of the gradient")
    figure.savefig(IMAGE, dpi=100)


if __name__ == "__main__":
    main()
