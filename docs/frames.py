"""Data files that docs/results.py makes of others: python docs/frames.py {union,gfn2} [--data-dir DIR] [--out DIR].

union: the five splits of rMD17's ethanol as one set, without the frames that stand in several of them; 600 of its
frames, drawn once, are the test. gfn2: 70,000 frames of ethanol by GFN2-xTB at 500 K, 10 fs apart, from ten independent
trajectories, and 1000 of an eleventh, 50 fs apart, for a test that no neighbour in time was trained on (needs ase and
tblite; 50 to 80 minutes of one core); a trajectory whose file is there is not made again.
"""

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

TESTED = 600
TRAJECTORIES, FRAMES_EACH = 10, 7000


def union(data_dir, out):
    """Write ethanol_union_train.npz and ethanol_union_test.npz, with the keys of rMD17."""
    paths = sorted(Path(data_dir, "rmd17").glob("rmd17_ethanol_*_0[1-5].npz"))
    if len(paths) != 10:
        sys.exit(f"{Path(data_dir, 'rmd17')} has {len(paths)} of the ten files of ethanol's five splits.")
    parts = [np.load(path) for path in paths]
    indices = np.concatenate([part["old_indices"] for part in parts])
    _, first = np.unique(indices, return_index=True)
    order = np.random.default_rng(0).permutation(first)
    for name, chosen in {"test": order[:TESTED], "train": order[TESTED:]}.items():
        joined = {
            key: np.concatenate([part[key] for part in parts])[chosen] for key in ("coords", "energies", "forces")
        }
        frames = joined | {"old_indices": indices[chosen], "nuclear_charges": parts[0]["nuclear_charges"]}
        np.savez(out / f"ethanol_union_{name}.npz", **frames)


def gfn2(data_dir, out):
    """Write gfn2_ethanol.npz and gfn2_ethanol_test.npz, with the keys of sGDML; two trajectories at a time."""
    paths = [out / f"gfn2_ethanol_{seed}.npz" for seed in range(TRAJECTORIES)]
    lengths = [f"--frames {FRAMES_EACH} --interval-fs 10"] * TRAJECTORIES
    with ThreadPoolExecutor(2) as threads:
        test = threads.submit(trajectory, TRAJECTORIES, out / "gfn2_ethanol_test.npz", "--frames 1000 --interval-fs 50")
        list(threads.map(trajectory, range(TRAJECTORIES), paths, lengths))
        test.result()
    parts = [np.load(path) for path in paths]
    frames = {key: np.concatenate([part[key] for part in parts]) for key in ("R", "E", "F")}
    same = {key: parts[0][key] for key in ("z", "name", "theory", "type", "r_unit", "e_unit")}
    np.savez(out / "gfn2_ethanol.npz", **frames, **same)


def trajectory(seed, path, length):
    if not path.exists():
        words = ["--molecule", "ethanol", *length.split(), "--seed", str(seed), "--out", str(path)]
        subprocess.run([sys.executable, "-m", "cormorant_np.data.make_sample", *words], check=True)


MAKERS = {"union": union, "gfn2": gfn2}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=MAKERS)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="has rMD17 in its folder rmd17")
    parser.add_argument("--out", type=Path, default=Path(), help="the folder to write into")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    MAKERS[options.what](options.data_dir, options.out)


if __name__ == "__main__":
    main()
