"""Which molecules shall share a batch of QM9? Measured on the bundled sample: python docs/batching.py [SEED ...].

Batches of one size have no padding, but each then speaks for one size of molecule only. Beside them, batches sorted by
size within a window of several batches, and random ones. Trains a small network on the 800 molecules of the sample with
each, and writes docs/results/batching.json, one record for each pair of window and seed; those that are there stay.
"""

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cormorant_np import data
from cormorant_np.data.batches import draw_batches
from cormorant_np.data.qm9 import load_qm9_sample
from cormorant_np.train import main as train
from cormorant_np.training.run_directory import read_log

RESULTS = Path(__file__).resolve().parent / "results" / "batching.json"
OPTIONS = (
    "--dataset qm9-sample --num-channels 8 --num-layers 3 --l-max 1 --lr 1e-3 --lr-final 1e-3 --epochs 12 --threads 1"
)
WINDOWS = {"one size": None, "windows of 8 batches": 8, "random": 1}


def measure(window, seed):
    """Errors (eV) of each epoch, and the test error, of one training."""
    data.draw_batches = partial(draw_batches, window=window)
    with tempfile.TemporaryDirectory() as run_dir:
        if train([*OPTIONS.split(), "--seed", str(seed), "--run-dir", run_dir]):
            sys.exit("The training has not come to its end.")
        log = read_log(Path(run_dir) / "log.jsonl")
        result = json.loads((Path(run_dir) / "result.json").read_text(encoding="utf-8"))
    return {
        "valid_mae": [round(epoch["valid_mae"], 4) for epoch in log],
        "train_mae": [round(epoch["train_mae"], 4) for epoch in log],
        "test_mae": round(result["test_mae"], 4),
        "padding": round(padding(window), 4),
    }


def padding(window):
    """The share of padding with the sizes of the sample."""
    sizes = (load_qm9_sample("U0").charges > 0).sum(axis=1)
    return data.padding_share(sizes, draw_batches(sizes, 25, np.random.default_rng(0), window))


def read():
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, default=[0, 1, 2], metavar="SEED")
    for seed in parser.parse_args().seeds:
        for name, window in WINDOWS.items():
            if (key := f"{name}, seed {seed}") not in read():
                record = measure(window, seed)
                RESULTS.write_text(json.dumps(read() | {key: record}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
