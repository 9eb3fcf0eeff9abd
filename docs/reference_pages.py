"""The reference, for conf.py: a page for every module, made of docstrings, and links to it from every name in the text.

Docstrings are plain text in NumPy's style, to be read in the code; `docstring_as_rst` writes them as Sphinx reads them.
`link_names` makes a link of every name in backticks, on any page, that the reference has: `plain.forward`,
`network.radial.mask_forward(distances)`, `Config.gain`, `tune_gain`.
"""

import ast
import importlib
import re
import shutil
from functools import cache

from docutils import nodes

PACKAGE = "cormorant_np"
ROOMS = {"": "The hall and the commands", "network": "The fast network", "training": "Training", "data": "Data"}
ENTRY = re.compile(r"(\w+(?:, \w+)*) : (.*)")
NAME = re.compile(r"[A-Za-z]\w*(\.\w+)*")
WORD, DOT = r'<span class="(?:n|nn|nc|nf)">[\w.]+</span>', r'<span class="o">\.</span>'
IN_CODE = re.compile(f"{WORD}(?:{DOT}{WORD})*")


def write_all(folder, root):
    """folder/NAME.md for every module NAME of the package, and folder/modules.txt, which lists them room by room.

    These pages are in no table of contents: every page of the site repeats it, and would be twice as long.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    listing = []
    for room, heading in ROOMS.items():
        listing += [f"## {heading}", "", "| module | what it is |", "|---|---|"]
        for path in sorted((root / PACKAGE / room).glob("[!_]*.py")):
            name = f"{room}.{path.stem}".lstrip(".")
            write_page(folder / f"{name}.md", name)
            summary = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).split("\n\n")[0]
            listing.append(f"| [{name}](/api/{name}.md) | " + " ".join(summary.split()) + " |")
        listing.append("")
    (folder / "modules.txt").write_text("\n".join(listing), encoding="utf-8")


def write_page(page, name):
    source = f"{PACKAGE}/{name.replace('.', '/')}"
    module = f"```{{eval-rst}}\n.. automodule:: {PACKAGE}.{name}\n   :members:\n   :undoc-members:\n```\n"
    text = f"---\norphan: true\n---\n# {name}\n\nIts code is in [{source}.py](../code/{source}.md).\n\n{module}"
    page.write_text(text, encoding="utf-8")


def docstring_as_rst(app, what, name, obj, options, lines):
    """Sphinx's "autodoc-process-docstring": changes the lines of a docstring in place.

    A heading that is underlined becomes bold, an entry "name : meaning" an item of a list. What is indented within the
    text, a formula or a drawing of shapes, stays as it is printed.
    """
    text, before, in_section = [], "text", False
    for line, following in zip(lines, [*lines[1:], ""], strict=False):
        entry = ENTRY.fullmatch(line)
        if not line.strip() or set(line) == {"-"}:
            text.append("")
            continue
        if following and set(following) == {"-"}:
            kind, written, in_section = "heading", f"**{line}**", True
        elif line.startswith(">>>") or before == "example":
            kind, written = "example" if text[-1] or line.startswith(">>>") else "text", line
        elif entry:
            kind, written = "item", f"* ``{entry[1]}``: {escaped(entry[2])}"
        elif line.startswith(" "):
            kind = before if before in ("item", "printed") else "printed"
            written = "  " + (escaped(line.strip()) if kind == "item" else line)
        else:
            kind, written = ("item", f"* {escaped(line)}") if in_section else ("text", escaped(line))
        if kind != before:
            text += ["", ".. code-block:: text", ""] if kind == "printed" else [""]
        text.append(written)
        before = kind
    lines[:] = text


def escaped(text):
    """Plain text as reStructuredText; what stands in backticks becomes code."""
    parts = re.split("`([^`]+)`", text)
    parts[::2] = [re.sub(r"([\\*|_`])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{part}``" for part in parts[1::2]]
    return "\\ ".join(parts)


def link_names(app, tree, page):
    """Sphinx's "doctree-resolved": a name in backticks that is in the reference leads there."""
    for literal in list(tree.findall(nodes.literal)):
        aim = address(app, literal.astext(), page)
        if aim and not isinstance(literal.parent, nodes.reference):
            literal.replace_self(nodes.reference("", "", literal.deepcopy(), internal=True, refuri=aim))


def link_names_in_code(app, page, template, context, tree):
    """Sphinx's "html-page-context": the same for names in the highlighted code of all pages but the listings."""
    if tree is None or page.startswith("code/"):
        return

    def linked(match):
        aim = address(app, re.sub("<[^>]+>", "", match[0]), page)
        return f'<a class="name" href="{aim}">{match[0]}</a>' if aim else match[0]

    context["body"] = IN_CODE.sub(linked, context["body"])


def address(app, text, page):
    """Where the reference has what a text on a page names; None if nowhere, or on this page."""
    objects = app.env.get_domain("py").objects
    name = full_name(text.partition("(")[0].removeprefix(f"{PACKAGE}."), known_names(app.env))
    if name is None or objects[name].docname == page:
        return None
    return f"{app.builder.get_relative_uri(page, objects[name].docname)}#{objects[name].node_id}"


@cache
def known_names(env):
    """All that the reference has; to be asked for when all pages are read."""
    return frozenset(env.get_domain("py").objects)


@cache
def full_name(path, known):
    """The one of the `known` names that "module.function" or "function" means, or None.

    That is the name itself, the only one that ends so, or where a package has its name from. A name without a dot
    must have an underscore, since the rest are mostly words of other things.
    """
    owner, _, last = path.rpartition(".")
    if not NAME.fullmatch(path) or not (owner or "_" in last):
        return None
    ending = [name for name in known if name.endswith(f".{path}")]
    if f"{PACKAGE}.{path}" in known or len(ending) == 1:
        return f"{PACKAGE}.{path}" if f"{PACKAGE}.{path}" in known else ending[0]
    try:
        found = getattr(importlib.import_module(f"{PACKAGE}.{owner}".rstrip(".")), last)
    except (ImportError, AttributeError):
        return None
    name = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
    return name if name in known else None
