"""Execute the notebooks' sources, NN_name.py, and write NN_name.ipynb with their outputs.

    python notebooks/build.py            all of them
    python notebooks/build.py 03 09      those whose names begin so
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent

INSTALLING = """
# Where the package is missing, it is installed from the clone that this notebook lies in.
import importlib.util

if importlib.util.find_spec("cormorant_np") is None:
    %pip install --quiet '..[notebooks]'
"""


def sources():
    """The notebooks' sources, in their order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def read_source(path):
    """A notebook without outputs, behind whose title is the cell that installs the package where it is missing.

    Cells are numbered, so that building twice gives the same file.
    """
    notebook = jupytext.read(path)
    notebook.cells.insert(1, nbformat.v4.new_code_cell(INSTALLING.strip(), metadata={"tags": ["remove-cell"]}))
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
        }
    )
    return notebook


def execute(notebook):
    """Run all cells in a fresh kernel, in this folder and with this clone's package; fails on the first error."""
    backend = os.environ.pop("MPLBACKEND", None)  # the kernel's own backend puts pictures into the notebook
    try:
        options = {"kernel_name": "python3", "timeout": 120, "record_timing": False, "coalesce_streams": True}
        client = NotebookClient(notebook, **options)
        environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
        client.execute(cwd=str(FOLDER), env=environment, stderr=subprocess.DEVNULL)  # what Jupyter itself has to say
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)


def main(names):
    chosen = [path for path in sources() if not names or path.name.startswith(tuple(names))]
    if not chosen:
        sys.exit(f"error: no notebook in {FOLDER} begins with {' or '.join(names)}.")
    for path in chosen:
        began = time.perf_counter()
        print(path.stem, end=" ", flush=True)
        notebook = read_source(path)
        execute(notebook)
        target = path.with_suffix(".ipynb")
        nbformat.write(notebook, target)
        print(f"{time.perf_counter() - began:.1f} s, {target.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
