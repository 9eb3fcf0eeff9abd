"""How Sphinx makes the site: python -m sphinx -W -b html docs build/site

The notebooks lie beside this folder, and so does the code that the pages link to. For a build, both are put into it:
the notebooks as they are, with their outputs, a page of source code for every file of the package and the tests, and a
page of the reference for every module. Links that lead out of docs/ on a code host lead to these pages on the site.
"""

import re
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent

project = "Cormorant in NumPy"
author = ""
html_title = project
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["custom.css"]
html_js_files = ["breaks.js", "frame.js"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_show_search_summary = False  # browsers forbid a page of file:// to fetch the pages that it has found

extensions = ["myst_nb", "sphinx-mathjax-offline", "sphinx.ext.autodoc"]
smartquotes_action = "qe"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_inherit_docstrings = False
autodoc_docstring_signature = False
autodoc_class_signature = "separated"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"
MATHJAX = {"tex-chtml.js", "a11y", "input", "output", "sre", "ui"}

CODE_LINK = re.compile(r"(\]\()(?:\.\./)+((?:cormorant_np|tests|docs)/[\w/]+)\.py(#[^)]*)?\)")
NOTEBOOK_LINK = re.compile(r"(\]\()(?:\.\./)+notebooks/([\w.]+\.ipynb)")
DOCS_LINK = re.compile(r"(\]\()\.\./docs/")
STATIC_LINK = re.compile(r'(src=")static/')


def redirect(text):
    """Links of a page below docs/, or of a notebook, turned to the pages that a build puts in place of their aims."""
    text = CODE_LINK.sub(r"\1/code/\2.md)", text)
    text = NOTEBOOK_LINK.sub(r"\1/notebooks/\2", text)
    text = STATIC_LINK.sub(r"\1_static/", text)
    return DOCS_LINK.sub(r"\1/", text)


def copy_notebooks():
    target = DOCS / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        (target / path.name).write_text(redirect(path.read_text(encoding="utf-8")), encoding="utf-8")


def write_code_pages():
    """A page for every file of code, and one that lists them; only this one is in the table of contents."""
    target = DOCS / "code"
    shutil.rmtree(target, ignore_errors=True)
    listing = ["# The code", "", "Every file of the package and of its tests, as it was when this site was built.", ""]
    for folder in ("cormorant_np", "cormorant_np/network", "cormorant_np/training", "cormorant_np/data", "tests"):
        paths = [path for path in sorted((ROOT / folder).glob("*.py")) if path.name != "__init__.py"]
        links = [f"[{path.name}]({folder}/{path.stem}.md)" for path in paths]
        listing += [f"## {folder}", "", ",\n".join(links), ""]
        for path in paths:
            write_code_page(target / folder / f"{path.stem}.md", path)
    for path in sorted(DOCS.glob("*.py")):
        write_code_page(target / "docs" / f"{path.stem}.md", path)
    (target / "index.md").write_text("\n".join(listing), encoding="utf-8")


def write_code_page(page, path):
    page.parent.mkdir(parents=True, exist_ok=True)
    excerpt = f"```{{literalinclude}} /../{path.relative_to(ROOT)}\n:language: python\n:linenos:\n```\n"
    page.write_text(f"---\norphan: true\n---\n# {path.name}\n\n{excerpt}", encoding="utf-8")


def setup(app):
    sys.path[:0] = [str(ROOT), str(DOCS)]
    import reference_pages

    copy_notebooks()
    write_code_pages()
    reference_pages.write_all(DOCS / "api", ROOT)
    app.connect("source-read", redirect_page)
    app.connect("autodoc-process-docstring", reference_pages.docstring_as_rst)
    app.connect("doctree-resolved", reference_pages.link_names)
    app.connect("html-page-context", reference_pages.link_names_in_code)
    app.connect("build-finished", finish)


def redirect_page(app, docname, source):
    """Sphinx's "source-read": source[0] is the text of a page. Notebooks were redirected when they were copied."""
    if not docname.startswith("notebooks/"):
        source[0] = redirect(source[0])


def finish(app, exception):
    """Pictures that raw HTML names, which Sphinx does not see, are copied; what the site needs of MathJax is kept."""
    if exception is None:
        shutil.copytree(DOCS / "images", Path(app.outdir) / "images", dirs_exist_ok=True)
        for path in (Path(app.outdir) / "_static" / "mathjax").glob("*"):
            if path.name not in MATHJAX:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
