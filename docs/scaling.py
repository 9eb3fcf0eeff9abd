"""A training step on 1 to 4096 ranks: a model on paper, from times that were measured on one machine.

    python docs/scaling.py --measure                    # the constants of the model, in one process
    mpiexec -n 2 python docs/scaling.py --measure       # steps of 2 ranks; likewise of 4
    python docs/scaling.py                              # the tables, and images/scaling_ranks.png

Measurements go into docs/scaling.json, under the number of ranks: the paper's network, ethanol, float32, energies
alone. On a machine that is not quiet, repeat them: the shortest times stay. What is computed is timed by the processor
time of this process, which does not count the turns of others; messages and whole steps by the clock too.
"""

import argparse
import json
import math
import pickle
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from cormorant_np import benchmark, data
from cormorant_np.data.batch import take
from cormorant_np.errors import run_command
from cormorant_np.network.parameters import flatten, init_params
from cormorant_np.training import mpi, parallel
from cormorant_np.training.optimizer import amsgrad_step, init_state

MEASURED = Path(__file__).with_name("scaling.json")
IMAGE = Path(__file__).with_name("images") / "scaling_ranks.png"
BATCH, REPEATS = 25, 20
SHARES = (1, 2, 3, 6, 12, 25, 50)
RANKS = [2**k for k in range(13)]
NETWORKS = {
    "10 Gbit/s, 30 µs": (30e-3, 8 / 10e6),
    "100 Gbit/s, 5 µs": (5e-3, 8 / 100e6),
    "200 Gbit/s, 2 µs": (2e-3, 8 / 200e6),
}
"""Latency in ms, and ms for a byte."""
BYTES_OF_PARAMETERS = 4 * 154_241
BYTES_OF_A_MOLECULE = 9 * (8 + 3 * 4) + 4


def shortest(function, repeats=REPEATS, clock=time.process_time):
    """Milliseconds of the quickest of several calls: whatever else the machine does makes them longer."""
    times = []
    for _ in range(repeats):
        began = clock()
        function()
        times.append(1000 * (clock() - began))
    return min(times)


def options_of(batch_size):
    return argparse.Namespace(
        batch_size=batch_size, molecule="ethanol", atoms=None, num_channels=16, l_max=3, dtype="float32", device="cpu"
    )


def constants():
    """What a step is made of, in ms: the model's constants, on one machine without others."""
    options, rng = options_of(BATCH), np.random.default_rng(0)
    config = benchmark.network(options)
    vector = flatten(init_params(config, rng, np.float32))
    charges = np.tile(benchmark.charges_of(options), (max(SHARES), 1))
    positions = benchmark.jittered_grid(charges.shape[1], len(charges), rng)
    batch = data.make_batch(charges, positions, config, np.float32)
    energies = np.zeros(len(charges), np.float32)

    def gradient(share):
        parallel._share_of_gradient(vector, take(batch, slice(share)), energies[:share], None, (BATCH,), 1, config)

    def share_out():
        """Of a thousand shares: cut one out, pickle it, and read it."""
        tasks = [(vector, take(batch, slice(k % 2, BATCH)), energies, None, (1,), config) for k in range(1000)]
        pickle.loads(pickle.dumps(tasks, protocol=5))

    with parallel.in_worker():
        state = init_state(vector)
        return {
            **{f"share of {share}": shortest(lambda share=share: gradient(share)) for share in SHARES},
            "optimiser": shortest(lambda: amsgrad_step(vector, vector, state)),
            "task": shortest(share_out, 10) / 1000,
        }


def echo(array):
    return array


def steps():
    """Times of a step, by the clock and of rank 0's processor, and of the parameters' way to all ranks and back; ms."""
    ranks, vector = mpi.number_of_ranks(), np.ones(BYTES_OF_PARAMETERS // 4, np.float32)
    with parallel.workers(1) as pool:
        times = {"round": shortest(lambda: pool.run(echo, [(vector,)] * ranks, np.add), 200, time.perf_counter)}
        for name, batch_size in (("fixed", BATCH), ("growing", BATCH * ranks)):
            step, *_ = benchmark.make_functions(options_of(batch_size))
            times[f"{name}, processor"] = shortest(lambda step=step: step(pool))
            times[name] = shortest(lambda step=step: step(pool), clock=time.perf_counter)
    return times


def model(ranks, batch, measured, latency=0.0, of_a_byte=0.0):
    """Milliseconds of a step.

    Parameters
    ----------
    ranks : number of them, each with a core of its own
    batch : molecules in the whole batch
    measured : dict, what `constants` gives, and "hop", of a message between two ranks without a network
    latency, of_a_byte : of the network
    """
    used = min(ranks, batch)
    hops = 2 * math.ceil(math.log2(used))
    compute = measured["share"] + measured["molecule"] * math.ceil(batch / used)
    carried = hops * BYTES_OF_PARAMETERS + (batch * BYTES_OF_A_MOLECULE if used > 1 else 0)
    messages = hops * (measured["hop"] + latency) + carried * of_a_byte
    return compute + measured["optimiser"] + measured["task"] * used + messages


def efficiency(ranks, per_rank, *arguments):
    """The time of one rank for its part of the work, over the time with all; a fixed batch, or one that grows."""
    if per_rank:
        return model(1, BATCH, *arguments) / model(ranks, BATCH * ranks, *arguments)
    return model(1, BATCH, *arguments) / ranks / model(ranks, BATCH, *arguments)


def draw(content, measured):
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, per_rank in zip(figure.subplots(1, 2), (True, False), strict=True):
        ranks = RANKS if per_rank else RANKS[:8]
        for name, network in NETWORKS.items():
            axes.plot(ranks, [efficiency(n, per_rank, measured, *network) for n in ranks], label=name)
        axes.axhline(0.5, color="grey", linestyle=":")
        axes.set(xscale="log", xlabel="ranks", ylabel="efficiency", ylim=(0, 1.05))
        axes.set_xticks(ranks[:: 2 if per_rank else 1], [f"{n}" for n in ranks[:: 2 if per_rank else 1]])
        axes.set_xticks([], minor=True)
        axes.set_title(f"{BATCH} molecules for each rank" if per_rank else f"a batch of {BATCH} in all")
        kind = "growing" if per_rank else "fixed"
        points = [(int(n), content[n][f"{kind}, processor"]) for n in ("1", "2", "4")]
        work = [n if per_rank else 1 for n, _ in points]
        values = [points[0][1] * w / n / t for (n, t), w in zip(points, work, strict=True)]
        axes.plot([n for n, _ in points], values, "ko", label="rank 0's processor, measured")
        axes.legend()
    figure.savefig(IMAGE, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    content = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    if parser.parse_args().measure:
        ranks = mpi.number_of_ranks()
        times = steps() | (constants() if ranks == 1 else {})
        before = content.get(str(ranks), {})
        content[str(ranks)] = {name: min(ms, before.get(name, ms)) for name, ms in times.items()}
        MEASURED.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return 0
    times = [content["1"][f"share of {share}"] for share in SHARES]
    molecule, share = np.polyfit(SHARES, times, 1, w=1 / np.array(times))
    measured = {**content["1"], "molecule": molecule, "share": share, "hop": content["2"]["round"] / 2}
    print("| ranks | batch | by the clock | rank 0's processor | model |\n" + "|---" * 5 + "|")
    for name in content:
        for kind, batch in (("fixed", BATCH), ("growing", BATCH * int(name))):
            if kind == "fixed" or name != "1":
                times = [content[name][f"{kind}{by}"] for by in ("", ", processor")]
                times.append(model(int(name), batch, measured))
                print(f"| {name} | {batch} | " + " | ".join(f"{ms:.1f}" for ms in times) + " |")
    for per_rank in (True, False):
        print("\n| ranks | " + " | ".join(NETWORKS) + " |\n|---|" + "---|" * len(NETWORKS))
        for ranks in RANKS if per_rank else RANKS[:6]:
            times = [model(ranks, BATCH * ranks if per_rank else BATCH, measured, *n) for n in NETWORKS.values()]
            shares = [efficiency(ranks, per_rank, measured, *n) for n in NETWORKS.values()]
            cells = [f"{t:.1f} ms, {100 * e:.0f} %" for t, e in zip(times, shares, strict=True)]
            print(f"| {ranks} | " + " | ".join(cells) + " |")
    draw(content, measured)
    return 0


if __name__ == "__main__":
    run_command(parallel.on_ranks(main))
