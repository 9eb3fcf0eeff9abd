"""The map of the equations, docs/equations.md: it is complete, and all that it names is there."""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUPPLEMENT = ROOT.parent / "shared" / "supplement.txt"
SECTION = re.compile(r"^\d(?:\.\d)* [A-Z]")
EQUATION = re.compile(r"\(\\text\{(S\d)\}\)")


def rows():
    lines = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_code_tests_and_notebooks_exist(row):
    _, _, plain, code, tests, notebook = row
    names = re.findall(r"`([^`]+)`", code)
    plain_names = re.findall(r"`(plain\.\w+)`", plain)
    assert names and (plain_names or plain == "–")
    for name in plain_names + names:
        module, function = name.rsplit(".", 1)
        assert hasattr(importlib.import_module(f"cormorant_np.{module}"), function)
    node_ids = re.findall(r"`([^`]+)`", tests)
    assert node_ids
    for node_id in node_ids:
        path, function = node_id.split("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    links = re.findall(r"\]\(([^)]+)\)", notebook)
    assert links
    for link in links:
        assert (ROOT / "docs" / link).is_file()


@pytest.mark.parametrize("equation", ["S1", "S2", "S3", "S4", "S5"])
def test_an_equation_stands_in_its_notebook(equation):
    (notebook,) = [row[5] for row in rows() if row[0] == f"({equation})"]
    sources = [ROOT / "docs" / link for link in re.findall(r"\]\(([^)]+)\)", notebook)]
    texts = [path.with_suffix(".py").read_text(encoding="utf-8") for path in sources]
    tags = [tag for text in texts for tag in re.findall(r"\\tag\{([^}]+)\}", text)]
    assert any(equation in tag for tag in tags)


def test_the_map_has_the_supplements_equations_and_sections():
    if not SUPPLEMENT.is_file():
        pytest.skip("the supplement's text is not in this checkout")
    text = SUPPLEMENT.read_text(encoding="utf-8")
    sections = {line.split()[0] for line in text.splitlines() if SECTION.match(line)}
    equations = {f"({number})" for number in EQUATION.findall(text)}
    assert len(sections) == 17
    assert {row[0] for row in rows()} == sections | equations
