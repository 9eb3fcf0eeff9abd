"""The error of the force loss's gradient by the step h: python docs/force_error.py

Prints a table, and draws images/force_error.png. The paper's network with random weights, and the model of ethanol that
comes with the package; frames of ethanol; the loss of energies and forces with the weight 1. What is exact is the
gradient in float64 by Richardson's extrapolation of the steps 2e-4 and 1e-4 Å.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cormorant_np import Config, data
from cormorant_np.network.parameters import flatten, init_params
from cormorant_np.training import forces, parallel
from cormorant_np.training.loss import Targets
from cormorant_np.training.prediction import load_network

STEPS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
FRAMES = 5
IMAGE = Path(__file__).with_name("images") / "force_error.png"


def gradient(vector, step, dtype, config, mean, scale):
    """The gradient of the loss on the first frames of the sample, float64, with displacements of `step` Å."""
    forces.displace.__defaults__ = (step,)
    frames = data.load("sample")
    batch = data.make_batch(frames.charges[:FRAMES], frames.positions[:FRAMES], config, dtype)
    energies, reference = (frames.energies[:FRAMES] - mean) / scale, frames.forces[:FRAMES] / scale
    targets = Targets(energies.astype(dtype), reference.astype(dtype), batch.charges.size)
    with parallel.workers(1) as pool:
        _, result, *_ = parallel.loss_and_gradient(vector.astype(dtype), batch, targets, config, pool, 1.0)
    return result.astype(np.float64)


def errors(params, config, mean, scale):
    """Relative errors by step, in float64 and in float32."""
    vector = flatten(params).astype(np.float64)
    case = config, mean, scale
    short, long = (gradient(vector, step, np.float64, *case) for step in (1e-4, 2e-4))
    exact = short + (short - long) / 3
    return {
        dtype.__name__: [
            np.linalg.norm(gradient(vector, step, dtype, *case) - exact) / np.linalg.norm(exact) for step in STEPS
        ]
        for dtype in (np.float64, np.float32)
    }


def main():
    network = load_network("ethanol")
    random, scaling = Config.md17(), (network.mean, network.scale)
    cases = {
        "random weights": (init_params(random, np.random.default_rng(0), np.float64), random, *scaling),
        "trained weights": (network.params, network.config, *scaling),
    }
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    print("| h / Å | " + " | ".join(f"{step:g}" for step in STEPS) + " |")
    for name, case in cases.items():
        for dtype, values in errors(*case).items():
            print(f"| {name}, {dtype} | " + " | ".join(f"{value:.0e}" for value in values) + " |")
            axes.loglog(STEPS, values, "o-" if dtype == "float32" else "o:", label=f"{name}, {dtype}")
    axes.axvline(1e-3, color="grey", linewidth=1)
    axes.set(xlabel="h / Å", ylabel="relative error of the gradient")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(IMAGE, dpi=100)


if __name__ == "__main__":
    main()
