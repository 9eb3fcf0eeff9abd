"""The house: which room may import from which, that imports run one way, and that importing the package is quick."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HALL = {"errors", "config", "backend", "so3_vector", "spherical_harmonics", "clebsch_gordan", "rotation"}
HALL |= {"arguments", "gradient_check", "files"}
COMMANDS = {"train", "evaluate", "predict", "dynamics", "check", "benchmark", "__main__"}
MAY_IMPORT = {
    "hall": {"hall"},
    "network": {"hall", "network"},
    "plain": {"hall"},
    "model": {"hall", "network"},
    "released": {"hall", "network"},
    "data": {"hall", "data"},
    "exactness": {"hall", "network", "model", "data"},
    "training": {"hall", "network", "model", "exactness", "data", "training"},
    "calculator": {"hall", "model", "data", "training"},
    "commands": {"hall", "network", "model", "exactness", "data", "training", "calculator", "package"},
    "drawing": {"hall"},
    "moving": {"drawing"},
    "package": {"hall", "plain", "model", "released", "data"},
}
"""Rooms, and the rooms that they may import from; no room above imports one below it."""


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / "cormorant_np").rglob("*.py"))}


def room(module):
    """The room of a module: a folder, one of the files at the top, or one of their groups."""
    if module == "cormorant_np":
        return "package"
    name = module.split(".")[1]
    return "hall" if name in HALL else "commands" if name in COMMANDS else name


def imported(module):
    """The modules of the package that a module imports, also inside of functions."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written with the whole path"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in names if node.module in MODULES)


def test_every_file_has_a_room():
    assert {room(module) for module in MODULES} == set(MAY_IMPORT)
    assert {f"cormorant_np.{name}" for name in HALL | COMMANDS} <= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_a_file_imports_from_its_own_room_and_those_before_it(module):
    others = {other for other in imported(module) if room(other) not in MAY_IMPORT[room(module)]}
    assert others == set()


def test_rooms_stand_in_a_row():
    """The table itself has no circle, but for files of one room."""
    rows = {name: others - {name} for name, others in MAY_IMPORT.items()}
    assert set(graphlib.TopologicalSorter(rows).static_order()) == set(MAY_IMPORT)


def test_data_know_nothing_of_the_network_s_mathematics():
    used = {other for module in MODULES if room(module) == "data" for other in imported(module)}
    assert {other for other in used if room(other) == "hall"} <= {
        "cormorant_np.arguments",
        "cormorant_np.errors",
        "cormorant_np.config",
        "cormorant_np.backend",
        "cormorant_np.files",
    }


def test_no_import_leads_back_to_where_it_started():
    graph = {module: set(imported(module)) for module in MODULES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)
    assert sum(map(len, graph.values())) > 100  # the imports have been found


def test_importing_the_package_does_not_wait_for_what_few_need():
    code = "import sys, cormorant_np; print(*{'matplotlib', 'pooch', 'sympy', 'ase'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stdout + result.stderr
