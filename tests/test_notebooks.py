"""Every notebook runs in a fresh kernel, and what is committed is what its source says."""

import importlib.util
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("jupytext")

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"


def load_build():
    spec = importlib.util.spec_from_file_location("notebooks_build", FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build = load_build()
each_source = pytest.mark.parametrize("path", build.sources(), ids=lambda path: path.stem)


@each_source
def test_runs_in_a_fresh_kernel(path):
    build.execute(build.read_source(path))


@each_source
def test_committed_notebook_has_the_cells_of_its_source_and_outputs(path):
    source, committed = build.read_source(path), nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    assert [(cell.cell_type, cell.source) for cell in committed.cells] == [
        (cell.cell_type, cell.source) for cell in source.cells
    ], f"run python notebooks/build.py {path.stem}"
    outputs = [output for cell in committed.cells if cell.cell_type == "code" for output in cell.outputs]
    assert outputs
    assert all(output.output_type != "error" for output in outputs)
    assert all(cell.execution_count for cell in committed.cells if cell.cell_type == "code")


@each_source
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (FOLDER / target).is_file(), target


def test_every_committed_notebook_has_a_source():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {path.stem for path in build.sources()}
