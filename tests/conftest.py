"""What several tests share: small networks, a few molecules, and slow but plain versions of two formulas."""

import importlib
import inspect
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import sph_harm_y

from cormorant_np import exactness
from cormorant_np.clebsch_gordan import table
from cormorant_np.config import Config
from cormorant_np.data import make_batch, pad
from cormorant_np.model import init_params
from cormorant_np.network.pairs import spread
from cormorant_np.training import loop, run_directory


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(params=["supplement", "released"])
def convention(request):
    return request.param


@pytest.fixture
def config(convention):
    return small_config(convention)


@pytest.fixture(params=["MD17", "QM9"])
def either_config(request, convention):
    """The networks of both data sets: MD17's input and output are linear."""
    return small_config(convention, **(QM9 if request.param == "QM9" else {}))


@pytest.fixture
def cupy(monkeypatch):
    """The stand-in for CuPy in strict_cupy/, also where CuPy is installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("cupy", "cupyx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(Path(__file__).parent / "strict_cupy")
    forget_device_tables()
    yield importlib.import_module("cupy")
    for name in ("cupy", "cupy.cuda"):
        del sys.modules[name]
    forget_device_tables()


def forget_device_tables():
    """Empty the caches of all functions of a device."""
    modules = [module for name, module in sys.modules.items() if name.startswith("cormorant_np")]
    for function in [value for module in modules for value in vars(module).values() if hasattr(value, "cache_clear")]:
        if "device" in inspect.signature(function).parameters:
            function.cache_clear()


@pytest.fixture
def uneven():
    """L goes up and down; in the last layer, some folded paths have a minus."""
    return small_config(l_max=(1, 3, 2), l_max_sh=(1, 2, 3), num_frequencies=3)


QM9 = {"message_passing_input": True, "mlp_output": True, "num_hidden": 5, "num_intermediate": 3}


def small_config(convention="supplement", **fields):
    """Three layers of two channels, whose L goes up and down, so that every kind of path and of column occurs.

    With a gain of 5, activations are of order one in both conventions: finite differences keep their digits.
    """
    sizes = {
        "num_channels": 2,
        "l_max": (1, 2, 1),
        "l_max_sh": (1, 2, 1),
        "max_power": 1,
        "num_frequencies": 2,
        "gain": 5,
    }
    return Config.md17(convention=convention, **(sizes | fields))


def random_params(config, rng, dtype=np.float64):
    """Parameters that are general, unlike those of the start: no frequency is zero, no two cutoffs are equal."""
    params = init_params(config, rng, dtype)
    for name, p in params.items():
        if "radial" in name or "cutoff" in name or "width" in name:
            params[name] = (p * rng.uniform(0.9, 1.1, p.shape) + rng.uniform(0, 0.2, p.shape)).astype(dtype)
    return params


# Å; ethanol is bent a little, so that it has no symmetry
ETHANOL = (
    [6, 6, 8, 1, 1, 1, 1, 1, 1],
    [
        [1.17, -0.40, 0.03],
        [0.00, 0.56, -0.02],
        [-1.19, -0.23, 0.05],
        [-1.93, 0.38, 0.11],
        [0.04, 1.21, 0.89],
        [0.05, 1.18, -0.91],
        [2.12, 0.14, -0.06],
        [1.13, -1.04, 0.88],
        [1.10, -1.06, -0.87],
    ],
)
WATER = ([8, 1, 1], [[0.00, 0.00, 0.12], [0.05, 0.76, -0.47], [0.00, -0.77, -0.46]])
FORMALDEHYDE = ([8, 6, 1, 1], [[0.02, 0.05, 0.68], [0.00, 0.00, -0.53], [0.03, 0.93, -1.12], [-0.08, -0.94, -1.09]])


def batch_of(molecules, config, dtype=np.float64):
    """A batch of molecules (charges, positions) of different sizes, padded to the largest."""
    return make_batch(*pad(molecules), config, dtype)


def by_l(features, b=0, num_atoms=None):
    """((L+1)², C, B, N) → a list over ℓ of (2ℓ+1, C, N), as `plain` has it, of molecule b without its padding."""
    of_b = features[:, :, b, :num_atoms]
    return [of_b[l * l : (l + 1) ** 2] for l in range(round(len(of_b) ** 0.5))]


def ordered(x, pairs, b=0, num_atoms=None):
    """(..., B, P) → (..., N_i, N_j), as `plain` has it, of molecule b without its padding."""
    return spread(x, pairs)[..., b, :num_atoms, :num_atoms].swapaxes(-1, -2)


def random_complex(rng, *shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def assert_close(actual, expected, tolerance=1e-12):
    """All elements agree to `tolerance` times the largest element."""
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def harmonics(vector, l_max):
    """Y_ℓm of one vector from SciPy's: sqrt(4π / (2ℓ+1)) conj(Y_ℓm), so that Σ_m |Y_ℓm|² = 1 (section 1.4.3)."""
    x, y, z = vector
    theta, phi = np.arccos(z / np.linalg.norm(vector)), np.arctan2(y, x)
    return np.array(
        [
            np.sqrt(4 * np.pi / (2 * l + 1)) * sph_harm_y(l, m, theta, phi).conj()
            for l in range(l_max + 1)
            for m in range(-l, l + 1)
        ]
    )


def cg_product(a, b, l1, l2, l):
    """Σ_{m1 m2} ⟨ℓ1 m1 ℓ2 m2 | ℓ m⟩ A_{ℓ1 m1} B_{ℓ2 m2} of two SO(3)-vectors, for m = -ℓ..ℓ."""
    product = [0] * (2 * l + 1)
    for m1 in range(-l1, l1 + 1):
        for m2 in range(-l2, l2 + 1):
            if abs(m1 + m2) <= l:
                coefficient = table(l1, l2, l)[l1 + m1, l2 + m2, l + m1 + m2]
                product[l + m1 + m2] += coefficient * a[l1 * l1 + l1 + m1] * b[l2 * l2 + l2 + m2]
    return np.array(product)


def couples(l1, l2, l):
    return abs(l1 - l2) <= l <= l1 + l2


def assert_same_bits(run_dir, other):
    """Two runs have the same best model, checkpoint and log, but for the seconds that they took."""
    for name in ("best.npz", "checkpoint.npz"):
        arrays, others = (run_directory.load_arrays(run / name) for run in (run_dir, other))
        assert arrays.keys() == others.keys()
        for key in arrays:
            assert np.array_equal(arrays[key], others[key]), (name, key)
    rows, other_rows = (run_directory.read_log(run / "log.jsonl") for run in (run_dir, other))
    assert [row | {"seconds": 0} for row in rows] == [row | {"seconds": 0} for row in other_rows]


def press_ctrl_c_after(monkeypatch, num_steps):
    """Send this process a SIGINT in the middle of a training step."""
    real_step, calls = loop.train_step, []

    def step(*arguments):
        calls.append(1)
        if len(calls) == num_steps:
            signal.raise_signal(signal.SIGINT)
        return real_step(*arguments)

    monkeypatch.setattr(loop, "train_step", step)


def wrong_backward(right, group, d_energy, cache, factor=1.00001):
    """`model.backward`, wrong by a factor in a group of parameters (`exactness.groups`) or in "positions"."""
    grads, d_positions = right(d_energy, cache)
    wrong = {key: factor * d for key, d in exactness.groups(grads).get(group, {}).items()}
    return grads | wrong, d_positions * (factor if group == "positions" else 1)
