"""Write strict_cupy/cupy/names.json, the public names of an installed CuPy.

    python tests/snapshot_cupy.py

It needs CuPy, but no GPU.
"""

import inspect
import json
from pathlib import Path

INDEXING = ("newaxis", "index_exp", "mgrid", "ogrid", "r_", "s_")


def snapshot(cupy):
    """The names of an installed CuPy.

    Returns
    -------
    dict of version; functions, each with its keywords, or null where CuPy does not tell them; names of ufuncs; other
    names (types and constants); and attributes of arrays
    """
    names = [name for name in dir(cupy) if not name.startswith("_")]
    values = {name: getattr(cupy, name) for name in names}
    ufuncs = [name for name in names if isinstance(values[name], cupy.ufunc)]
    functions = {name: keywords(values[name]) for name in names if name not in ufuncs and is_function(values[name])}
    others = [name for name in names if isinstance(values[name], type | float) or name in INDEXING]
    attributes = [name for name in dir(cupy.ndarray) if not name.startswith("_")]
    return {
        "version": cupy.__version__,
        "functions": functions,
        "ufuncs": " ".join(ufuncs),
        "others": " ".join(others),
        "ndarray": " ".join(attributes),
    }


def is_function(value):
    return callable(value) and not isinstance(value, type)


def keywords(function):
    """The parameters of a function, or None."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return None
    return " ".join(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)) or None


if __name__ == "__main__":
    import cupy

    content = json.dumps(snapshot(cupy), indent=0)
    Path(__file__).with_name("strict_cupy").joinpath("cupy", "names.json").write_text(content + "\n", encoding="utf-8")
