"""What the documentation says about the code: links, excerpts, names, options, examples. Needs no Sphinx."""

import ast
import dataclasses
import importlib
import inspect
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import small_config
from test_gradients import CHECKS
from tqdm import tqdm

from cormorant_np import Config, evaluate, predict, train
from cormorant_np.data import Batch
from cormorant_np.model import init_params
from cormorant_np.network.geometry import Geometry, PairFunctions
from cormorant_np.training.settings import FORCES, PAPER, SIZES, new_settings

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
GENERATED = [DOCS / "api", DOCS / "code", DOCS / "notebooks"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = [p for p in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))] if not set(GENERATED) & set(p.parents)]
BLOCK = re.compile(r"^```(.*?)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def prose(page):
    """The text of a page, or of a notebook, without its code."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return BLOCK.sub("", text)


def blocks(page, language):
    return [content for name, content in BLOCK.findall(page.read_text(encoding="utf-8")) if name.strip() == language]


def anchors(page):
    """The anchors of a page's headings: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def broken_links(page):
    text = prose(page)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        aim = (page.parent / path).resolve() if path else page
        if not aim.exists() or (anchor and aim.suffix in (".md", ".ipynb") and anchor not in anchors(aim)):
            yield target


@pytest.mark.parametrize("page", PAGES + NOTEBOOKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    assert list(broken_links(page)) == []


def test_a_broken_link_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    text = "# A heading\n[good](#a-heading) [bad](#another) [gone](gone.md) [web](https://example.org)"
    page.write_text(text, encoding="utf-8")
    assert list(broken_links(page)) == ["#another", "gone.md"]


def formulas_that_became_lists(text):
    """Paragraphs in which a line begins with a sign while a formula is open, so that Markdown begins a list there."""
    for paragraph in text.split("\n\n"):
        signs = [match.start() for match in re.finditer(r"^[-+*] ", paragraph, re.MULTILINE)]
        if any(len(re.findall(r"(?<![\\$])\$(?!\$)", paragraph[:sign])) % 2 for sign in signs):
            yield paragraph


@pytest.mark.parametrize("page", PAGES + NOTEBOOKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_formula_became_a_list(page):
    assert list(formulas_that_became_lists(prose(page))) == []


def test_a_formula_that_became_a_list_is_noticed():
    assert list(formulas_that_became_lists("Here $15 = 7\n+ 8$.\n\n- a $b$\n- c")) == ["Here $15 = 7\n+ 8$."]
    assert not list(formulas_that_became_lists("It is $15 = 7$\n\n- a $b$\n- c\n\n$$\na\n- b\n$$"))


def test_notebooks_lead_on_in_the_order_of_the_site():
    order = re.findall(r"^notebooks/(\w+)$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(order) == [path.stem for path in NOTEBOOKS]
    said = [
        re.findall(r"\*\*Next:\*\* \[.*?\]\((\w+)\.ipynb\)", prose(ROOT / "notebooks" / f"{name}.ipynb"))
        for name in order
    ]
    assert said == [[following] for following in order[1:]] + [[]]


def test_every_excerpt_of_code_exists():
    """Each names a function of a file and, mostly, the words of its first line."""
    count = 0
    for page in PAGES:
        for name, content in BLOCK.findall(page.read_text(encoding="utf-8")):
            if not name.startswith("{literalinclude}"):
                continue
            path = (page.parent / name.split()[1]).resolve()
            options = dict(re.findall(r"^:([\w-]+): ?(.*)$", content, re.MULTILINE))
            source = path.read_text(encoding="utf-8")
            functions = [node for node in ast.parse(source).body if getattr(node, "name", "") == options["pyobject"]]
            assert functions, f"{page.name}: {options['pyobject']} is not in {path.name}"
            start = options.get("start-at", "").strip()
            assert start in ast.get_source_segment(source, functions[0]), f"{page.name}: {start}"
            count += 1
    assert count > 20


@pytest.mark.parametrize("page", ["conventions.md", "extending.md"])
def test_the_examples_run(page):
    source = "\n".join(blocks(DOCS / page, "python"))
    assert "assert" in source
    exec(compile(source, page, "exec"), {"__name__": page})


def errors_by_function(page):
    """The rows of a page's tables of errors."""
    return dict(re.findall(r"^\| `([\w.]+backward)` \| (\S+) \|$", page.read_text(encoding="utf-8"), re.MULTILINE))


def test_errors_of_gradients_are_listed_for_every_function_and_quoted_faithfully():
    listed = errors_by_function(DOCS / "derivations" / "index.md")
    assert listed.keys() == CHECKS.keys()
    quoted = {}
    for page in sorted((DOCS / "derivations").glob("*.md")):
        if page.name != "index.md":
            quoted |= errors_by_function(page)
    assert len(quoted) > 20 and quoted.items() <= listed.items()


def usage_of(main, capsys):
    """What a command's --help shows."""
    with pytest.raises(SystemExit):
        main(["--help"])
    return capsys.readouterr().out


def documented_options(heading):
    """The options in the first column of the tables below a heading of training.md."""
    text = re.split(r"^## ", (DOCS / "training.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    (section,) = [part for part in text if part.startswith(heading + "\n")]
    rows = [row.split("|")[1] for row in section.splitlines() if row.startswith("| `--")]
    return {option for row in rows for option in re.findall(r"`(--[\w-]+)`", row)}


@pytest.mark.parametrize(
    "command, heading", [(train, "Options of `train`"), (evaluate, "Evaluate"), (predict, "Predict")]
)
def test_every_option_is_documented_and_no_other(command, heading, capsys):
    usage = usage_of(command.main, capsys)
    options = set(re.findall(r"^ +(?:-\w, )?(--[\w-]+)", usage, re.MULTILINE)) - {"--help"}
    assert documented_options(heading) == options


def test_every_choice_of_an_option_of_training_is_named_beside_it(capsys):
    text = (DOCS / "training.md").read_text(encoding="utf-8")
    for option, choices in re.findall(r"(--[\w-]+) \{(.*?)\}", usage_of(train.main, capsys)):
        (row,) = re.findall(rf"^\| `{option}` \|.*$", text.split("## Ctrl-C")[0], re.MULTILINE)[:1]
        assert [choice for choice in choices.split(",") if f"`{choice}`" not in row] == [], option


def test_the_defaults_of_training_are_those_in_the_table():
    text = (DOCS / "training.md").read_text(encoding="utf-8")
    settings = dataclasses.asdict(new_settings({})) | {"gain": Config.md17().gain}
    for option, default in re.findall(r"^\| `--([\w-]+)` \| `([^`]+)` \|", text, re.MULTILINE):
        if option.replace("-", "_") in settings:
            assert str(settings[option.replace("-", "_")]) in (default, str(_number(default))), option
    for name, sizes in SIZES.items():
        (row,) = [row for row in text.splitlines() if row.startswith(f"| `{name}` | ") and row.count("|") == 7]
        numbers = [str(sizes[key]) for key in ("num_train", "num_valid", "num_test") if key in sizes]
        assert [*numbers, str(new_settings({"dataset": name}).epochs)] == re.findall(r"\| (\d+)(?= \|)", row)
    for option, paper, forces in re.findall(r"^\| `--([\w-]+)` \| (\S+) \| (\S+) \|", text, re.MULTILINE):
        name = option.replace("-", "_")
        for said, protocol in ((paper, PAPER), (forces, FORCES)):
            assert name not in protocol or _number(said) in (None, float(protocol[name])), option
    for name in train.MAY_CHANGE:
        assert f"`--{name.replace('_', '-')}`" in text.split("## Ctrl-C and resume")[1].split("\n## ")[0]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return None


def test_everything_in_a_run_directory_is_documented(tmp_path, capsys):
    tiny = "--num-train 20 --num-valid 5 --num-test 5 --epochs 1 --num-channels 2 --num-layers 1 --l-max 1 --threads 1"
    assert train.main([*tiny.split(), "--run-dir", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    names = {path.name for path in (tmp_path / "run").iterdir()}
    for file in ("config.json", "result.json", "log.jsonl"):
        names |= json.loads((tmp_path / "run" / file).read_text(encoding="utf-8")).keys()
    for file in ("splits.npz", "checkpoint.npz"):
        with np.load(tmp_path / "run" / file) as arrays:
            names |= {name for name in arrays.files if not re.match("input|layers|output", name)}
    documented = set(re.findall(r"`([^`]+)`", prose(DOCS / "training.md").split("## The run directory")[1]))
    assert names - documented == set()


def parameter_names():
    """Names of parameters as the glossary writes them, `layers.s.edge.weight.l`."""
    configs = [small_config(), Config.qm9(), Config.qm9(convention="released")]
    names = {name for config in configs for name in init_params(config, np.random.default_rng(0))}
    return {re.sub(r"^layers\.\d+\.(.*?)(\.\d+)?$", lambda m: f"layers.s.{m[1]}" + ".l" * bool(m[2]), n) for n in names}


def exists(name):
    """Whether a name of the glossary is a parameter, a field, a function of a module, or an argument of one."""
    if name in parameter_names():
        return True
    path, _, argument = name.partition("(")
    owner, _, function = path.rpartition(".")
    for kind in (Config, Batch, Geometry, PairFunctions):
        if owner == kind.__name__:
            return function in {*getattr(kind, "_fields", ()), *getattr(kind, "__dataclass_fields__", ()), *vars(kind)}
    found = getattr(importlib.import_module(f"cormorant_np.{owner}"), function, None)
    return callable(found) and (not argument or argument[:-1] in inspect.signature(found).parameters)


def test_every_name_in_the_glossary_exists():
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    rows = [row.split(" | ")[-1] for row in text.splitlines() if row.startswith("| ") and "name in the code" not in row]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(names) > 50
    assert [name for name in names if not exists(name)] == []
    assert not exists("Config.colour") and not exists("network.radial.colour")
    assert exists("network.radial.mask_forward(cutoff)") and not exists("network.radial.mask_forward(colour)")


def test_every_symbol_of_the_glossary_leads_to_its_notebook():
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.startswith("| ") and "name in the code" not in row]
    assert [
        row for row in rows if not re.search(r"\| \[\d\d\]\(\.\./notebooks/\d\d_\w+\.ipynb(#[\w-]+)?\) \|", row)
    ] == []


def test_table_1_is_in_the_glossary_completely():
    """Each symbol of Table 1 as the glossary writes it."""
    text = (DOCS / "glossary.md").read_text(encoding="utf-8")
    symbols = (
        r"Z_i|\mathbf r_i|\mathbf r_{ij}|\hat{\mathbf r}_{ij}|s|S|\ell|L|m|\tau^s|n_c|\bar V_\ell|V^s|"
        r"V^s_{\text{edge}}|F^s_i|Y^\ell(\hat{\mathbf r}_{ij})|Y_{ij}|g^s_{ij}|d^s_{ij}|\eta^s_{ij}|"
        r"W^{\text{vertex}}_{s,\ell}|W^{\text{edge}}_{s,\ell}"
    )
    assert [symbol for symbol in symbols.split("|") if f"${symbol}$" not in text] == []
    assert "C^s_{ij}" in text


def test_the_drawing_is_up_to_date_and_names_files_that_exist():
    drawn = runpy.run_path(str(DOCS / "images" / "draw_network.py"))
    for name, layout in (("network", drawn["WIDE"]), ("network_narrow", drawn["NARROW"])):
        picture = (DOCS / "images" / f"{name}.svg").read_text(encoding="utf-8")
        assert picture == drawn["draw"](layout)
        files = re.findall(r'class="file">(.*?)<', picture)
        assert len(files) == 10
        assert all(list((ROOT / "cormorant_np").rglob(file)) for file in files)


def test_links_of_pages_and_notebooks_lead_to_pages_of_the_site():
    redirect = runpy.run_path(str(DOCS / "conf.py"))["redirect"]
    assert redirect("[a](../../cormorant_np/data/qm9.py#L3)") == "[a](/code/cormorant_np/data/qm9.md)"
    assert redirect("[a](../tests/test_radial.py)") == "[a](/code/tests/test_radial.md)"
    assert redirect("[a](../notebooks/05_radial.ipynb)") == "[a](/notebooks/05_radial.ipynb)"
    assert redirect("[a](../docs/data.md#qm9)") == "[a](/data.md#qm9)"
    assert redirect("[a](data.md)") == "[a](data.md)"
    assert redirect('<iframe src="static/a.html">') == '<iframe src="_static/a.html">'


def test_the_script_of_the_instabilities_runs(monkeypatch, capsys):
    """Of a script that takes half an hour: one run and one start, of few frames."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    instabilities = runpy.run_path(str(ROOT / "docs" / "instabilities.py"))
    few = {"FRAMES": 30, "EPOCHS": 1, "SEEDS": (0,), "tune_gain": lambda *_: (5, [])}
    instabilities["run"].__globals__.update(few)
    record = instabilities["run"](2, 5, "adam", 0, threads=1, bar=tqdm(disable=True))
    assert len(record["mae"]) == 1 and len(record["part"]) == 2 and 0 < record["mae"][0] < 100
    instabilities["print_start"](threads=1)
    assert capsys.readouterr().out.count("squared error: median") == 3
