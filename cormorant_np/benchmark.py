"""Time one training step: python -m cormorant_np.benchmark [--molecule aspirin] [--json].

A step is forward, backward and AMSGrad on one mini-batch; its cost does not depend on where the atoms are, so that they
are put on a jittered grid. The parts are timed by a profiler on one thread, in the same chunks.
"""

import argparse
import cProfile
import json
import os
import platform
import pstats
import time
from statistics import median

import numpy as np
import scipy

from cormorant_np import data, model
from cormorant_np.backend import check_device, synchronise, to_device
from cormorant_np.config import Config
from cormorant_np.errors import run_command
from cormorant_np.optimizer import amsgrad_step, flatten, init_state, unflatten
from cormorant_np.parallel import loss_and_gradient, predict, workers

CHARGES = {
    "ethanol": [6, 6, 8] + [1] * 6,
    "aspirin": [6] * 9 + [8] * 4 + [1] * 8,
}
PARTS = {
    "geometry": ("geometry_forward", "geometry_backward"),
    "radial functions and mask": ("radial_forward", "radial_backward", "mask_forward", "mask_backward"),
    "edge network": ("edge_network_forward", "edge_network_backward"),
    "edge to vertex": ("edge_to_vertex_forward", "edge_to_vertex_backward"),
    "aggregation": ("aggregate_forward", "aggregate_backward"),
    "square": ("square_forward", "square_backward"),
    "coupling": ("_sparse_matmul",),
    "mixing": ("mix_forward", "mix_backward"),
    "output": ("invariants_forward", "invariants_backward", "output_forward", "output_backward"),
    "optimiser": ("flatten", "unflatten", "amsgrad_step"),
}


def jittered_grid(charges, batch_size, rng):
    """Positions (B, N, 3) in Å of B molecules, on a cubic grid of 1.5 Å with some noise."""
    side = int(np.ceil(len(charges) ** (1 / 3)))
    grid = 1.5 * np.stack(np.unravel_index(np.arange(len(charges)), (side,) * 3), axis=1)
    return grid + 0.1 * rng.standard_normal((batch_size, len(charges), 3))


def make_step(options, charges, config):
    """A function that does one training step, and one that predicts energies; both take a pool of workers."""
    rng = np.random.default_rng(0)
    positions = jittered_grid(charges, options.batch_size, rng)
    host = data.make_batch(np.tile(charges, (options.batch_size, 1)), positions, config, options.dtype)
    batch = data.Batch(*(to_device(array, options.device) for array in host))
    targets = to_device(rng.standard_normal(options.batch_size).astype(options.dtype), options.device)
    like = model.init_params(config, rng, np.dtype(options.dtype))
    vector = to_device(flatten(like), options.device)
    state = init_state(vector)

    def step(pool):
        nonlocal vector, state
        _, gradient, _ = loss_and_gradient(unflatten(vector, like), batch, targets, config, pool)
        vector, state = amsgrad_step(vector, gradient, state)
        synchronise(vector)

    def infer(pool):
        synchronise(predict(unflatten(vector, like), batch, config, pool))

    return step, infer


def milliseconds(function, repeats):
    """Median, minimum and maximum time of a call, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - began))
    return median(times), min(times), max(times)


def profile_parts(step, repeats):
    """Milliseconds of each of `PARTS` in one step on one thread."""
    with workers(1) as pool:
        step(pool)
        profile = cProfile.Profile()
        profile.enable()
        for _ in range(repeats):
            step(pool)
        profile.disable()
    spent = {}
    for (_, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():
        spent[name] = spent.get(name, 0) + 1000 * cumulative / repeats
    return {part: sum(spent.get(name, 0) for name in names) for part, names in PARTS.items()}


def measure(options):
    """All numbers of the benchmark, a dict."""
    check_device(options.device)
    charges = CHARGES[options.molecule]
    l_max = (options.l_max,) * 4
    config = Config.md17(charge_scale=max(charges), num_channels=options.num_channels, l_max=l_max, l_max_sh=l_max)
    step, infer = make_step(options, charges, config)
    with workers(options.threads) as pool:
        step_ms, fastest, slowest = milliseconds(lambda: step(pool), options.repeats)
        inference_ms, *_ = milliseconds(lambda: infer(pool), options.repeats)
    with workers(1) as pool:
        one_thread_ms, *_ = milliseconds(lambda: step(pool), options.repeats)
    return {
        "step_ms": step_ms,
        "step_ms_min": fastest,
        "step_ms_max": slowest,
        "one_thread_step_ms": one_thread_ms,
        "inference_ms": inference_ms,
        "parts_ms_one_thread": profile_parts(step, max(1, options.repeats // 4)),
        "molecule": options.molecule,
        "atoms": len(charges),
        "batch_size": options.batch_size,
        "num_channels": options.num_channels,
        "l_max": options.l_max,
        "dtype": options.dtype,
        "device": options.device,
        "threads": options.threads,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
    }


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m cormorant_np.benchmark", description=__doc__)
    parser.add_argument("--molecule", choices=list(CHARGES), default="ethanol")
    parser.add_argument("--batch-size", type=int, default=25)
    parser.add_argument("--num-channels", type=int, default=16)
    parser.add_argument("--l-max", type=int, default=3)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    result = measure(options)
    if options.json:
        print(json.dumps(result))
        return 0
    print(f"{result['molecule']}, batch {result['batch_size']}, {result['dtype']} on {result['machine']}")
    threads = f"{result['threads']} threads"
    print(f"training step, {threads}  {result['step_ms']:6.1f} ms ({result['step_ms_min']:.1f} at best)")
    print(f"inference, {threads}      {result['inference_ms']:6.1f} ms")
    print(f"training step, one thread {result['one_thread_step_ms']:6.1f} ms, of which, under a profiler:")
    for part, ms in result["parts_ms_one_thread"].items():
        print(f"  {part:27s} {ms:6.1f} ms")
    return 0


if __name__ == "__main__":
    run_command(main)
