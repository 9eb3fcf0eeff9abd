"""Every notebook runs in a fresh kernel and prints what is committed, and what is committed is what its source says.

Numbers are compared to a tolerance, pictures not at all. In a cell with the tag `machine` they belong to the machine,
as times do and the errors of a training in 32-bit floats: there only the words are compared. What a cell with the tag
`device` prints is not compared.

Solutions of exercises that ask a checker are run, too, and must be right. Those of a new backward function are also run
with a slip in them, a forgotten conjugate or minus, which the checker must refuse.
"""

import importlib.util
import re
import textwrap
from pathlib import Path

import numpy as np
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


NUMBER = re.compile(r"(?<![\w^])[-+]?\d+\.?\d*(?:e[-+]?\d+)?(?!\w)")
TOLERANCE, ROUNDING = 2e-3, 1e-6  # relative; and what is smaller than this is a rounding error, of any size


def words(text):
    """A text without its numbers, and without the widths that they give to a table's columns."""
    return re.sub(r"[\s-]+", " ", NUMBER.sub("#", text)).strip()


def numbers(text):
    values = np.array([float(number) for number in NUMBER.findall(text)])
    return np.where(abs(values) < ROUNDING, 0, values)


def texts(cell):
    """What a cell has printed or shown, without its pictures."""
    shown = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    return "\n".join(text for text in shown if not text.startswith("<Figure"))


def difference(committed, found, tags=()):
    """None, or what has changed between two texts that a cell with these tags printed."""
    if words(committed) != words(found):
        return f"{committed!r} has become {found!r}"
    old, new = numbers(committed), numbers(found)
    if "machine" not in tags and not np.allclose(old, new, rtol=TOLERANCE, atol=ROUNDING):
        return f"{old} have become {new}"
    return None


def solutions(notebook):
    """The code of those solutions of exercises that ask the checker, `check_...(...)`, which stands before them."""
    blocks = [block for cell in notebook.cells for block in re.findall(r"```python\n(.*?)```", cell.source, re.DOTALL)]
    return [block for block in blocks if re.search(r"^check_\w+\(", block, re.MULTILINE)]


SLIPS = [r"\.conj\(\)", r"\.real\b", r"(?<=[ (=])-(?=\w)", r"\b2 \* ", r" [-+] \w+ @ \w+| \+ .*$"]
"""What one forgets in a backward function: a conjugate, a real part, a minus, a factor, a term."""


def with_a_slip(solution):
    """A solution that asks the checker of a backward function, with each slip that there can be, one at a time."""
    if not re.search(r"^check_\w+_backward\(", solution, re.MULTILINE):
        return []
    places = [match.span() for slip in SLIPS for match in re.finditer(slip, solution, re.MULTILINE)]
    return [solution[:start] + solution[end:] for start, end in places]


REFUSED = """
try:
{}
except AssertionError:
    pass
else:
    raise ValueError("The checker has accepted a slip.")
"""


def test_slips_are_found():
    solution = "def f_backward(d, x):\n    return -2 * x.conj() * d.real\n\n\ncheck_f_backward(f_backward)\n"
    slips = [text.splitlines()[1].strip() for text in with_a_slip(solution)]
    forgotten = ["-2 * x * d.real", "-2 * x.conj() * d", "2 * x.conj() * d.real", "-x.conj() * d.real"]
    assert slips == [f"return {text}" for text in forgotten]
    assert with_a_slip("check_volume(lambda x: -x)") == []


@each_source
def test_runs_in_a_fresh_kernel_and_prints_what_is_committed_and_solutions_are_right(path):
    found, committed = build.read_source(path), nbformat.read(path.with_suffix(".ipynb"), as_version=4)
    cells = list(found.cells)
    right = solutions(found)
    wrong = [REFUSED.format(textwrap.indent(slip, "    ")) for solution in right for slip in with_a_slip(solution)]
    found.cells += [nbformat.v4.new_code_cell(code) for code in right + wrong]
    build.execute(found)
    changes = []
    for old, new in zip(committed.cells, cells, strict=True):
        tags = new.metadata.get("tags", [])
        if new.cell_type == "code" and "device" not in tags:
            changes += [[new.source[:60], difference(texts(old), texts(new), tags)]]
            assert len(old.outputs) == len(new.outputs), new.source
    assert [change for change in changes if change[1]] == [], f"run python notebooks/build.py {path.stem}"


@pytest.mark.parametrize(
    "old, new, tags, same",
    [
        ("248 x 408, 914 nonzeros", "496 x 816, 914 nonzeros", (), False),
        ("MAE 1.302 kcal/mol", "MAE 1.303 kcal/mol", (), True),
        ("MAE 1.30 kcal/mol", "MAE 1.40 kcal/mol", (), False),
        ("MAE 1.30 kcal/mol", "MAE 1.40 kcal/mol", ("machine",), True),
        ("MAE 1.30 kcal/mol", "MAE 1.30 eV", ("machine",), False),
        ("errors: 2e-12 3e-11", "errors: 9e-13 -1e-11", (), True),
        ("errors: 2e-12 3e-11", "errors: 2e-12 3e-04", (), False),
        ("a    b\n---  -\n1.5  2", "a     b\n----  -\n1.501  2", (), True),
        ("1.5 2.5", "1.5 2.5 3.5", (), False),
    ],
)
def test_a_changed_number_is_noticed(old, new, tags, same):
    assert (difference(old, new, tags) is None) == same


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
