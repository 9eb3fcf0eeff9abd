"""Print the finite-difference error of every backward function: python docs/gradient_errors.py

The cases are those of tests/test_gradients.py; each is tried with the networks of MD17 and QM9, in both conventions,
and the largest relative error by any of its inputs is printed.
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from conftest import QM9, small_config  # noqa: E402
from test_gradients import CHECKS, STEP, backward_errors  # noqa: E402


def largest_error(case):
    """The largest relative error of a case over four networks."""
    configs = [small_config(convention, **fields) for convention in ("supplement", "released") for fields in ({}, QM9)]
    rngs = [np.random.default_rng(0) for _ in configs]
    return max(
        max(backward_errors(*case(config, rng), rng, step=STEP)) for config, rng in zip(configs, rngs, strict=True)
    )


def main():
    print("| function | largest relative error |\n|---|---|")
    for name, case in CHECKS.items():
        print(f"| `{name}` | {largest_error(case):.0e} |")


if __name__ == "__main__":
    main()
