"""The stand-in for CuPy refuses what CuPy refuses, and counts."""

import json
from pathlib import Path

import numpy as np
import pytest
from snapshot_cupy import snapshot

HOST = np.ones((2, 3))
NAMES = Path(__file__).parent / "strict_cupy" / "cupy" / "names.json"


@pytest.fixture
def x(cupy):
    return cupy.asarray(HOST)


REFUSED = {
    "conversion": lambda cupy, x: np.asarray(x),
    "numpy's functions": lambda cupy, x: np.sum(x),
    "numpy's ufuncs": lambda cupy, x: np.exp(x),
    "a host array plus": lambda cupy, x: HOST + x,
    "plus a host array": lambda cupy, x: x + HOST,
    "a host array in a function": lambda cupy, x: cupy.where(x > 0, x, HOST),
    "a host array in a list": lambda cupy, x: cupy.stack([x, HOST]),
    "a host array assigned": lambda cupy, x: x.__setitem__(slice(None), HOST),
    "a host array as an index": lambda cupy, x: x[np.array([0])],
    "a host array to write to": lambda cupy, x: cupy.exp(x, out=HOST),
    "into a host array": lambda cupy, x: HOST.__setitem__(slice(None), x),
    "a list in a ufunc": lambda cupy, x: cupy.exp([1.0]),
    "where= of a sum": lambda cupy, x: cupy.sum(x, where=x > 0),
    "where= of a method": lambda cupy, x: x.sum(where=x > 0),
    "where= of a ufunc": lambda cupy, x: cupy.exp(x, where=x > 0),
    "errstate": lambda cupy, x: cupy.errstate,
    "vecdot": lambda cupy, x: cupy.vecdot,
    "an attribute that NumPy alone has": lambda cupy, x: x.ctypes,
    "an index": lambda cupy, x: range(x.sum()),
    "repeated indices": lambda cupy, x: x.__setitem__(cupy.zeros(2, dtype=int), 0.0),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_cupy_cannot_do_is_refused(cupy, x, case):
    with pytest.raises((TypeError, AttributeError, ValueError)):
        case(cupy, x)


def test_what_cupy_can_do_is_done(cupy, x):
    y = 2 * x - np.float64(3) / x + x @ x.T @ x
    y[0] += 1
    y[:, 1:] *= 2
    element = y[1, 1]
    element += 5
    z = y.astype(complex) * 1j
    z.real = x
    expected = 2 * HOST - 3 / HOST + HOST @ HOST.T @ HOST
    expected[0] += 1
    expected[:, 1:] *= 2
    expected[1, 1] += 5
    np.testing.assert_array_equal(z.get(), HOST + 1j * expected)
    assert cupy.get_array_module(x) is cupy and cupy.get_array_module(HOST) is np
    assert np.isnan(cupy.empty((2, 2), dtype=np.complex64).get()).all()
    assert x.sum().shape == () and isinstance(x[0, 1], cupy.ndarray)


def test_counts(cupy, x):
    def counted(function):
        cupy.counts.clear()
        function()
        return dict(cupy.counts)

    assert counted(lambda: x.T.reshape(-1)) == {"operations": 1}
    assert counted(lambda: x.reshape(3, 2)[1:].swapaxes(0, 1)) == {}
    assert counted(lambda: cupy.add(x, x, out=x)) == {"operations": 1}
    assert counted(lambda: x.__setitem__(0, 1.0)) == {"operations": 1}
    assert counted(lambda: cupy.asarray(HOST)) == {"uploads": 1}
    assert counted(lambda: float(x.sum())) == {"operations": 1, "reads": 1}
    assert counted(lambda: bool(x[0, 0])) == {"reads": 1}
    assert counted(lambda: exec("y[0] += x[0]", {"x": x, "y": x.copy()})) == {"operations": 2}


def test_the_names_are_those_of_an_installed_cupy():
    real = pytest.importorskip("cupy", reason="CuPy is not installed, so that names.json is not compared with it")
    names = json.loads(NAMES.read_text(encoding="utf-8"))
    if real.__version__ != names["version"]:
        pytest.skip(f"names.json is CuPy {names['version']}'s: python tests/snapshot_cupy.py makes it anew")
    assert snapshot(real) == names
