"""Time one training step: python -m cormorant_np.benchmark [--molecule aspirin] [--json] [--vs COMMAND] [--scaling].

A step is forward, backward and AMSGrad on one mini-batch. Its cost does not depend on where the atoms are: they stand
on a jittered grid. The parts are timed by a profiler in one process.
"""

import argparse
import cProfile
import json
import os
import platform
import pstats
import re
import subprocess
import time
import tracemalloc
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median

import numpy as np
import scipy
from tqdm import tqdm

from cormorant_np import data
from cormorant_np.arguments import Parser, path, whole_number
from cormorant_np.backend import (
    DEVICES,
    array_counts,
    check_device,
    choose_device,
    get_array_module,
    synchronise,
    to_device,
)
from cormorant_np.config import LIMITS, Config
from cormorant_np.errors import UserError, run_command
from cormorant_np.network.parameters import flatten, init_params, layout, unflatten
from cormorant_np.training import loop
from cormorant_np.training.loss import Targets
from cormorant_np.training.operations import count_operations, matrix_product_peak
from cormorant_np.training.optimizer import amsgrad_step, init_state
from cormorant_np.training.options import threads
from cormorant_np.training.parallel import (
    alone,
    default_threads,
    loss_and_gradient,
    on_ranks,
    predict,
    predict_with_forces,
    workers,
)
from cormorant_np.training.plots import plot_scaling
from cormorant_np.training.problem import check_size, epoch_batches, prepare
from cormorant_np.training.settings import CHOICES, new_settings

CHARGES = {
    "ethanol": [6, 6, 8] + [1] * 6,
    "aspirin": [6] * 9 + [8] * 4 + [1] * 8,
}
PARTS_OF_A_STEP = {
    "weights": "arrange_{}",
    "geometry": "geometry_{}",
    "radial functions": "radial_{}",
    "mask": "mask_{}",
    "edge network": "edge_network_{}",
    "ordered harmonics": "ordered_harmonics_{}",
    "aggregation": "aggregate_{}",
    "- of it, edge to vertex": "edge_to_vertex_{}",
    "square": "square_{}",
    "coupling": "couple_{}",
    "mixing": "mix_{}",
    "invariants": "invariants_{}",
    "input": "input_network_{}",
    "output": "output_network_{}",
}
SWEEPS = {
    "atoms": (9, 15, 21, 30, 45, 60),
    "num_channels": (4, 8, 16, 32),
    "l_max": (1, 2, 3, 4, 5),
    "batch_size": (5, 10, 25, 50, 100),
    "threads": (1, 2, 4, 8),
}
"""What --scaling varies, one at a time."""


def jittered_grid(num_atoms, num_molecules, rng):
    """Positions (B, N, 3) in Å, on a cubic grid of 1.5 Å with some noise."""
    side = int(np.ceil(num_atoms ** (1 / 3)))
    grid = 1.5 * np.stack(np.unravel_index(np.arange(num_atoms), (side,) * 3), axis=1)
    return grid + 0.1 * rng.standard_normal((num_molecules, num_atoms, 3))


def charges_of(options):
    """The charges of the molecule, or of as many atoms as the user wants, with ethanol's composition."""
    return CHARGES[options.molecule] if options.atoms is None else np.resize(CHARGES["ethanol"], options.atoms)


def network(options):
    """The `Config` of the benchmark: the paper's MD17 network, or the user's variation."""
    l_max = (options.l_max,) * 4
    return Config.md17(num_channels=options.num_channels, l_max=l_max, l_max_sh=l_max)


def make_functions(options):
    """Functions of a pool of workers: a training step by energies, one by energies and forces, energies, and forces."""
    rng, config, charges = np.random.default_rng(0), network(options), charges_of(options)
    positions = jittered_grid(len(charges), options.batch_size, rng)
    host = data.make_batch(np.tile(charges, (options.batch_size, 1)), positions, config, options.dtype)
    batch = data.batch.to_device(host, options.device)
    energies, forces = rng.standard_normal(options.batch_size), rng.standard_normal(positions.shape)
    on_device = [to_device(array.astype(options.dtype), options.device) for array in (energies, forces)]
    targets = Targets(*on_device, options.batch_size * len(charges))
    vector = to_device(flatten(init_params(config, rng, np.dtype(options.dtype))), options.device)
    kinds = layout(config)
    state = init_state(vector)

    def step(pool, force_weight=0.0):
        nonlocal vector, state
        _, gradient, *_ = loss_and_gradient(vector, batch, targets, config, pool, force_weight)
        vector, state = amsgrad_step(vector, gradient, state)
        synchronise(vector)
        return vector

    def only_energies(pool):
        synchronise(predict(unflatten(vector, kinds), batch, config, pool))

    def energies_and_forces(pool):
        synchronise(predict_with_forces(unflatten(vector, kinds), batch, config, pool)[1])

    return step, partial(step, force_weight=1.0), only_energies, energies_and_forces


def milliseconds(function, pool, repeats):
    """Times of `repeats` calls of function(pool), in order of size, after one call to warm up."""
    function(pool)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function(pool)
        times.append(1000 * (time.perf_counter() - began))
    return sorted(times)


def milliseconds_in_turns(functions, repeats, rounds=4):
    """The same for several functions with their pools, a few calls of each in turns: a ratio of two then says something
    of the functions, and not of what else the machine did meanwhile."""
    times = [[] for _ in functions]
    for _ in range(rounds):
        for of_one, (function, pool) in zip(times, functions, strict=True):
            of_one.extend(milliseconds(function, pool, max(1, repeats // rounds)))
    return [sorted(of_one) for of_one in times]


def profile_parts(step, repeats):
    """Milliseconds of each of `PARTS_OF_A_STEP` in one step on one thread, (forward, backward)."""
    with alone() as pool:
        step(pool)
        profile = cProfile.Profile()
        profile.enable()
        for _ in range(repeats):
            step(pool)
        profile.disable()
    spent = {}
    for (_, _, name), (_, _, _, cumulative, _) in pstats.Stats(profile).stats.items():
        spent[name] = spent.get(name, 0) + 1000 * cumulative / repeats
    ways = ("forward", "backward")
    parts = {part: [spent.get(name.format(way), 0) for way in ways] for part, name in PARTS_OF_A_STEP.items()}
    parts["optimiser"] = [0, sum(spent[name] for name in ("flatten", "unflatten", "amsgrad_step"))]
    return parts


def peak_memory(step, threads):
    """Megabytes that the arrays of one step take at most, beyond parameters and optimiser, in all workers together."""
    with alone() as pool:
        step(pool)
        tracemalloc.start()
        step(pool)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return threads * peak / 1e6


def counted_operations(step):
    """Array operations, uploads and reads of one step, if the array module counts them, else an empty dict."""
    with alone() as pool:
        before = array_counts(step(pool))
        after = array_counts(step(pool))
    return {name: after[name] - before.get(name, 0) for name in after}


def qm9_steps(options):
    """Median time of training steps of QM9's network on the bundled sample, and the padding's share of the atoms."""
    names = ("batch_size", "num_channels", "l_max", "dtype", "device", "threads")
    settings = new_settings({"dataset": "qm9-sample", **{name: getattr(options, name) for name in names}})
    problem = prepare(settings)
    state = loop.start(settings, problem)
    batches = epoch_batches(problem, settings, epoch=0)
    upcoming = cycle(batches)

    def step(pool):
        nonlocal state
        state = loop.train_step(state, next(upcoming), problem, settings, pool)
        synchronise(state.vector)

    with workers(options.threads, options.device) as pool:
        times = milliseconds(step, pool, options.repeats)
    return {"qm9_step_ms": median(times), "qm9_padding": data.padding_share(problem.num_atoms, batches)}


def measure(options):
    """All numbers of the benchmark, a dict; parts and memory are None for a GPU, whose work Python does not see."""
    check_device(options.device)
    step, force_step, energies, forces = make_functions(options)
    with workers(options.threads, options.device) as pool, alone() as one:
        functions = [(step, pool), (step, one), (force_step, pool), (energies, pool), (forces, pool)]
        steps, one_thread, force_steps, energies_ms, forces_ms = milliseconds_in_turns(functions, options.repeats)
        real = to_device(np.zeros(1, options.dtype), options.device)
        peak = matrix_product_peak(pool, real)
    charges = charges_of(options)
    sizes = network(options), options.batch_size, len(charges)
    operations = sum(count_operations(*sizes).values())
    as_printed = sum(count_operations(*sizes, as_printed=True).values())
    step_ms, on_cpu = median(steps), get_array_module(real) is np
    return {
        "step_ms": step_ms,
        "step_ms_min": steps[0],
        "step_ms_max": steps[-1],
        "one_thread_step_ms": median(one_thread),
        "force_step_ms": median(force_steps),
        "energies_ms": median(energies_ms),
        "energies_and_forces_ms": median(forces_ms),
        "parts_ms_one_thread": profile_parts(step, max(1, options.repeats // 4)) if on_cpu else None,
        "operations": operations,
        "peak_gflops": peak / 1e9,
        "floor_ms": 1000 * operations / peak,
        "times_the_floor": step_ms * peak / (1000 * operations),
        "operations_as_printed": as_printed,
        "times_the_floor_as_printed": step_ms * peak / (1000 * as_printed),
        "memory_mb": peak_memory(step, pool.number) if on_cpu else None,
        **qm9_steps(options),
        "array_module_counts": counted_operations(step),
        "atoms": len(charges),
        **{name: getattr(options, name) for name in SETTINGS},
        "threads": pool.number,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": f"{processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
    }


SETTINGS = ("molecule", "batch_size", "num_channels", "l_max", "dtype", "device")


def processor():
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


def compare(options, rounds=5):
    """Our step and the one that the command `options.vs` times, in turns: median times, and the median of their ratios.

    Raises
    ------
    UserError
        If the command fails, or does not print step_ms and a number.
    """
    step, force_step, *_ = make_functions(options)
    step = force_step if options.forces else step
    ours, theirs = [], []
    for _ in tqdm(range(rounds), desc="rounds", disable=None):
        with workers(options.threads, options.device) as pool:
            ours.append(median(milliseconds(step, pool, options.repeats)))
        result = subprocess.run(options.vs, shell=True, capture_output=True, text=True, errors="replace")
        match = re.search(r"step_ms\W+([0-9]*\.?[0-9]+)(?![0-9.])", result.stdout)
        if result.returncode or not match:
            raise UserError(f"The command of --vs must print step_ms and a number, not {result.stdout[-99:]!r}.")
        theirs.append(float(match[1]))
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return {"step_ms": median(ours), "vs_step_ms": median(theirs), "ratio": median(ratios), "ratios": ratios}


def scaling(options):
    """The shortest step times for each of `SWEEPS`, and plots of them in the folder `options.out`.

    The shortest of several times says how the cost grows, whatever else the machine does meanwhile.
    """
    results = {}
    for name, values in SWEEPS.items():
        points = []
        for value in tqdm(values, desc=name, disable=None):
            varied = argparse.Namespace(**{**vars(options), name: value})
            step, *_ = make_functions(varied)
            with workers(varied.threads, varied.device) as pool:
                points.append((value, milliseconds(step, pool, max(3, options.repeats // 4))[0]))
        results[name] = points
    Path(options.out).mkdir(parents=True, exist_ok=True)
    plot_scaling(Path(options.out) / "scaling.png", results)
    return results


def report(result):
    """The result for people."""
    threads = f"{result['threads']} thread" + "s" * (result["threads"] > 1)
    one = result["one_thread_step_ms"]
    lines = [
        f"{result['atoms']} atoms, batch {result['batch_size']}, {result['num_channels']} channels, l_max "
        f"{result['l_max']}, {result['dtype']} on {result['device']}: {result['machine']}",
        f"training step, {threads:12s} {result['step_ms']:7.1f} ms ({result['step_ms_min']:.1f} at best)",
        f"training step, one thread   {one:7.1f} ms, {one / result['step_ms']:.2f} times as long",
        f"with forces, {threads:14s} {result['force_step_ms']:7.1f} ms",
        f"energies, {threads:17s} {result['energies_ms']:7.1f} ms",
        f"energies and forces         {result['energies_and_forces_ms']:7.1f} ms",
        f"{result['operations'] / 1e9:.2f} GFLOP a step; at the {result['peak_gflops']:.0f} GFLOP/s of large matrix "
        f"products they would take {result['floor_ms']:.1f} ms, {result['times_the_floor']:.2f} times less",
        f"{result['operations_as_printed'] / 1e9:.2f} GFLOP as the equations are printed, for every ordered pair and "
        f"every path: {result['times_the_floor_as_printed']:.2f} times less",
        f"QM9's network on its sample {result['qm9_step_ms']:7.1f} ms a step, {result['qm9_padding']:.1%} padding",
        *(f"{name} in a step: {number}" for name, number in result["array_module_counts"].items()),
    ]
    if result["memory_mb"] is not None:
        lines += [f"arrays of a step {result['memory_mb']:.0f} MB"]
        lines += ["on one thread, under a profiler:   forward   backward"]
        for part, (forward, backward) in result["parts_ms_one_thread"].items():
            lines.append(f"  {part:30s} {forward:7.1f} ms {backward:7.1f} ms")
    return "\n".join(lines)


def main(arguments=None):
    parser = Parser(
        prog="python -m cormorant_np.benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--molecule", choices=list(CHARGES), default="ethanol")
    parser.add_argument("--atoms", type=whole_number(1, 2000), help="any number of atoms instead of a molecule's")
    parser.add_argument("--batch-size", type=whole_number(1, 100_000), default=25)
    parser.add_argument("--num-channels", "--channels", type=whole_number(*LIMITS["num_channels"]), default=16)
    parser.add_argument("--l-max", type=whole_number(*LIMITS["l_max"]), default=3)
    parser.add_argument("--dtype", choices=CHOICES["dtype"], default="float32")
    parser.add_argument("--device", choices=DEVICES, default="cpu")
    parser.add_argument("--threads", type=threads, default=default_threads(2))
    parser.add_argument("--repeats", type=whole_number(1, 1_000_000), default=20)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--vs", metavar="COMMAND", help="time a command that prints step_ms, in turns with ours")
    parser.add_argument("--forces", action="store_true", help="with --vs: a step that learns forces too")
    parser.add_argument("--scaling", action="store_true", help="vary atoms, channels, l_max, batch and threads")
    parser.add_argument("--out", type=path, default=".", help="folder for the plot of --scaling")
    options = parser.parse_args(arguments)
    options.device = choose_device(options.device)
    if options.vs is not None and options.scaling:
        raise UserError("--vs and --scaling are two benchmarks: give one of them.")
    check_size(network(options))
    if options.vs is not None or options.scaling:
        print(json.dumps(compare(options) if options.vs is not None else scaling(options)))
        return 0
    result = measure(options)
    print(json.dumps(result) if options.json else report(result))
    return 0


if __name__ == "__main__":
    run_command(on_ranks(main))
