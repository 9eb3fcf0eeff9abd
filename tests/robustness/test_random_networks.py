"""`check` on random networks: it passes those that are right, and names what is wrong in those that are not."""

import json
from functools import partial

import numpy as np
import pytest
from conftest import wrong_backward

from cormorant_np import check, exactness
from cormorant_np.exactness import LIMITS

from .tools import called

FEW, MANY = 3, 1000
each_number = pytest.mark.parametrize("times", [FEW, pytest.param(MANY, marks=pytest.mark.long)])


def random_network(rng):
    """Options of a small network of any kind."""
    options = {
        "preset": rng.choice(["md17", "qm9"]),
        "convention": rng.choice(["supplement", "released"]),
        "num-channels": rng.integers(1, 7),
        "num-layers": rng.integers(1, 4),
        "l-max": rng.integers(0, 3),
        "seed": rng.integers(10**6),
    }
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


@each_number
def test_there_is_no_false_alarm(times):
    rng = np.random.default_rng(times)
    for _ in range(times):
        options = random_network(rng)
        code, out, err = called(check.main, *options)
        assert code == 0, f"{' '.join(options)}: {out} {err}"


@each_number
def test_a_gradient_that_is_wrong_by_1e_minus_5_is_found(times, monkeypatch):
    """In one group of parameters of every network, or in the positions."""
    rng, right = np.random.default_rng(times), exactness.backward
    for _ in range(times):
        options = random_network(rng)
        code, out, _ = called(check.main, *options, "--json")
        names = sorted(json.loads(out)["gradients"])
        wrong = names[rng.integers(len(names))]
        with monkeypatch.context() as patched:
            patched.setattr(exactness, "backward", partial(wrong_backward, right, wrong))
            code, out, err = called(check.main, *options, "--json")
        gradients = json.loads(out)["gradients"]
        found = {name for name, error in gradients.items() if not error < LIMITS["parameter gradients"]}
        assert (code, found) == (1, {wrong}), f"{' '.join(options)}: {wrong}, {gradients} {err}"
