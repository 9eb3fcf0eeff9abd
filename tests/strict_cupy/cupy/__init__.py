"""A stand-in for CuPy on NumPy, for machines without a GPU: it refuses what CuPy refuses, and it counts.

    PYTHONPATH=tests/strict_cupy python -m cormorant_np.train --device gpu ...

- Host arrays are not accepted, and device arrays are not converted, unless by `asarray` and `get`.
- Names and keywords that CuPy does not have are errors; `names.json` lists those that it has.
- Reductions give arrays without axes that stay on the device; `empty` is full of NaN.
- `counts` has the uploads, the reads by the host, and the operations: whatever is not a mere view of its operands.

It proves that code keeps to what CuPy can do. It says nothing about CuPy's numbers, memory or speed.
"""

import json
import operator
from collections import Counter
from pathlib import Path

import numpy as np

from cupy import cuda as cuda

NAMES = json.loads(Path(__file__).with_name("names.json").read_text(encoding="utf-8"))
ATTRIBUTES = NAMES["ndarray"].split()
UFUNC_KEYWORDS = {"out", "dtype", "casting"}
__version__ = NAMES["version"]

counts = Counter()


class ndarray:
    """An array out of NumPy's reach."""

    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, host):
        self._host = host

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed: use .get().")

    def __array_function__(self, function, *args):
        raise TypeError(f"numpy.{function.__name__} was called on a device array: use the array's own module.")

    def get(self):
        counts["reads"] += 1
        return self._host.copy()

    def item(self):
        return self.get().item()

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __bool__(self):
        return bool(self.item())

    def __len__(self):
        return len(self._host)

    def __getitem__(self, key):
        key = key if isinstance(key, tuple) else (key,)
        with_axes_left = key if any(index is Ellipsis for index in key) else (*key, Ellipsis)
        return run(operator.getitem, self, with_axes_left)

    def __setitem__(self, key, value):
        for index in key if isinstance(key, tuple) else (key,):
            if isinstance(index, ndarray) and np.unique(index._host).size < index._host.size:
                raise ValueError("Assignment to repeated indices is undefined in CuPy.")
        if not (isinstance(value, ndarray) and is_same(unwrap(value), self._host[unwrap(key)])):
            run(operator.setitem, self, key, scalar_or_array(value))

    def __getattr__(self, name):
        if name not in ATTRIBUTES:
            raise AttributeError(f"cupy.ndarray has no attribute {name}")
        if callable(getattr(self._host, name)):
            return lambda *args, **kwargs: run(getattr(np.ndarray, name), self, *args, **checked(name, kwargs))
        return run(getattr, self, name)

    def __setattr__(self, name, value):
        if name in ("real", "imag"):
            run(setattr, self, name, scalar_or_array(value))
        else:
            object.__setattr__(self, name, value)


def run(function, *args, **kwargs):
    """Call a function of NumPy on the host's memory; the result is on the device again."""
    host_args, host_kwargs = unwrap(args), {name: unwrap(value) for name, value in kwargs.items()}
    result = function(*host_args, **host_kwargs)
    if kwargs.get("out") is not None or function is setattr or function is operator.setitem:
        counts["operations"] += 1
        return kwargs.get("out")
    if not isinstance(result, np.ndarray | np.generic):
        return [wrap(x) for x in result] if isinstance(result, list | tuple) and has_arrays(result) else result
    host_result = np.asarray(result)
    if not any(np.may_share_memory(host_result, x) for x in host_args if isinstance(x, np.ndarray)):
        counts["operations"] += 1
    return ndarray(host_result)


def is_same(a, b):
    """Whether both are the same piece of memory: after x[0] += y, CuPy does not assign x[0] to itself."""
    return np.ndim(b) > 0 and (a.ctypes.data, a.shape, a.strides) == (b.ctypes.data, b.shape, b.strides)


def wrap(x):
    counts["operations"] += 1
    return ndarray(np.asarray(x))


def has_arrays(x):
    return any(isinstance(element, np.ndarray | np.generic) for element in x)


def unwrap(x):
    """The host's memory of device arrays, also in lists and tuples; refuses host arrays."""
    if isinstance(x, ndarray):
        return x._host
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type numpy.ndarray: a host array of shape {x.shape} among device arrays.")
    return type(x)(unwrap(element) for element in x) if isinstance(x, list | tuple) else x


def scalar_or_array(x):
    """CuPy takes no lists where it calculates."""
    if not isinstance(x, ndarray | np.generic | int | float | complex):
        raise TypeError(f"Unsupported type {type(x)}")
    return x


def checked(name, kwargs):
    """The keywords, if CuPy's function of this name has them."""
    known = NAMES["functions"].get(name)
    if known is not None and not set(kwargs) <= {*known.split(), "copy", "order"}:
        raise TypeError(f"cupy.{name} has only the keywords {known}, not all of {sorted(kwargs)}")
    return kwargs


def unary(function):
    return lambda self: run(function, self)


def binary(function, swapped=False, in_place=False):
    def method(self, other):
        if not isinstance(other, ndarray | np.ndarray | np.generic | int | float | complex):
            return NotImplemented
        result = run(function, *((other, self) if swapped else (self, other)))
        if in_place:
            counts["operations"] += 1
        return self if in_place else result

    return method


for _name in "add sub mul truediv floordiv mod pow matmul and or xor".split():
    _function = getattr(operator, f"__{_name}__")
    setattr(ndarray, f"__{_name}__", binary(_function))
    setattr(ndarray, f"__r{_name}__", binary(_function, swapped=True))
    if _name != "matmul":
        setattr(ndarray, f"__i{_name}__", binary(getattr(operator, f"__i{_name}__"), in_place=True))
for _name in "lt le gt ge eq ne".split():
    setattr(ndarray, f"__{_name}__", binary(getattr(operator, f"__{_name}__")))
for _name in "neg pos abs invert".split():
    setattr(ndarray, f"__{_name}__", unary(getattr(operator, f"__{_name}__")))


def asarray(a, dtype=None):
    if isinstance(a, ndarray):
        return run(np.asarray, a, dtype=dtype)
    counts["uploads"] += 1
    return ndarray(np.array(a, dtype=dtype))


def empty(shape, dtype=float):
    return _unset(np.empty(shape, dtype))


def empty_like(a, dtype=None):
    return _unset(np.empty_like(a._host, dtype))


def _unset(host):
    host.fill(np.frombuffer(b"\xff" * host.itemsize, host.dtype)[0])
    return ndarray(host)


def asnumpy(a):
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def get_array_module(*args):
    return __import__("cupy") if any(isinstance(x, ndarray) for x in args) else np


def is_available():
    return True


def module(names, numpy_module):
    """The functions of one of CuPy's modules, as attributes are asked for."""

    def get(name):
        if name in names["ufuncs"].split():
            return ufunc(getattr(numpy_module, name))
        if name in names["functions"]:
            function = getattr(numpy_module, name)
            return lambda *args, **kwargs: run(function, *args, **checked(name, kwargs))
        if name in names["others"].split():
            return getattr(numpy_module, name)
        raise AttributeError(f"CuPy {__version__} has no {name}")

    return get


def ufunc(function):
    def call(*args, **kwargs):
        if not set(kwargs) <= UFUNC_KEYWORDS:
            raise TypeError(f"cupy.{function.__name__} has only the keywords {sorted(UFUNC_KEYWORDS)}")
        return run(function, *map(scalar_or_array, args), **kwargs)

    return call


__getattr__ = module(NAMES, np)
