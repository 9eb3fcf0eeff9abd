"""Figures that a reader can turn, by mouse, touch or keyboard, in a notebook, on the site or in a page of their own.

What is drawn is computed here, in Python, beforehand: arrows and numbers of a molecule in many orientations, surfaces
on a grid. `moving.js` projects, sorts and paints it, and computes nothing else. Each figure is one piece of HTML that
brings its data and that script along and loads nothing, so that it works without a network and from a file. (Jupyter
runs the scripts of a notebook only if one has executed it or trusts it.)

Libraries can do more, and are larger than any notebook here: k3d 3.2.0 puts 2.6 MB of JavaScript into a figure, 1.1 MB
when compressed, Plotly 7.1.0 4.8 MB; py3Dmol 2.5.5 embeds none and loads it from the network.
"""

import json
from base64 import b64encode
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cormorant_np.drawing import ELEMENTS, bonds

SCRIPT = Path(__file__).with_suffix(".js")

STYLE = """
.moving { margin: 1em 0; font: 15px/1.4 system-ui, sans-serif; }
.moving .panels { display: flex; flex-wrap: wrap; gap: 1em; }
.moving .panels > div { flex: 1 1 9.5em; max-width: 26em; min-width: 0; }
.moving canvas { display: block; width: 100%; aspect-ratio: 1; cursor: grab; touch-action: pan-y; }
.moving canvas:active { cursor: grabbing; }
.moving .title { margin: 0; text-align: center; font-weight: 600; }
.moving table { display: table; width: 100%; margin: 0; border: 0; border-collapse: collapse; font-size: 13px; }
.moving td { padding: 1px 0; border: 0; text-align: left; background: none; }
.moving td + td { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.moving .controls { display: flex; flex-wrap: wrap; gap: 0.3em 1.2em; align-items: center; margin: 0.5em 0; }
.moving .controls label { display: flex; align-items: center; gap: 0.4em; }
.moving input[type="range"] { width: 9em; accent-color: #c8388f; }
.moving label span { min-width: 3em; font-variant-numeric: tabular-nums; }
.moving button, .moving select { font: inherit; padding: 0.1em 0.7em; color: inherit; background: transparent;
  border: 1px solid #8888; border-radius: 0.4em; }
.moving option { color: black; background: white; }
.moving figcaption { font-size: 13px; text-align: left; }
"""


class Panel(NamedTuple):
    """One molecule of a figure.

    title : text above it
    arrows : {name: (turns, N, 3)}, arrows at the atoms of the molecule as it is after each of `rotations(turns)`
    numbers : {name: list of texts, one for each turn}, shown below
    """

    title: str
    arrows: dict
    numbers: dict


def rotations(turns):
    """The rotations about the vertical axis, y, at which a figure is computed: (turns, 3, 3)."""
    angles = 2 * np.pi * np.arange(turns) / turns
    c, s, zero, one = np.cos(angles), np.sin(angles), np.zeros(turns), np.ones(turns)
    return np.array([[c, zero, s], [zero, one, zero], [-s, zero, c]]).transpose(2, 0, 1)


def upright(positions):
    """Positions about their centre, turned so that the longest extent lies along x and the shortest along z; in Å."""
    centred = positions - positions.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    return centred @ (axes * np.linalg.det(axes)).T


def molecule(charges, positions, panels, caption, label, longest=1.4, spin=False):
    """A figure of a molecule with arrows, once for every panel; all of them turn together.

    Parameters
    ----------
    charges : (N,) integers
    positions : (N, 3) in Å, before turning
    panels : list of Panel; their arrows have the same names
    caption : HTML that stands below
    label : what a reader hears who cannot see it
    longest : length in Å of the longest arrow of the first panel; in the others, longer ones are cut
    spin : whether it turns by itself at first (never for readers who have asked for reduced motion)
    """
    atoms = []
    for z, place in zip(np.asarray(charges).tolist(), np.asarray(positions).round(4).tolist(), strict=True):
        symbol, colour, radius = ELEMENTS[z]
        atoms.append({"place": place, "symbol": symbol, "colour": colour, "radius": round(0.6 * radius, 3)})
    scales = {name: longest / np.linalg.norm(a, axis=-1).max() for name, a in panels[0].arrows.items()}
    data = {
        "reach": float(np.linalg.norm(positions, axis=1).max() + 0.75 * longest),
        "spin": spin,
        "atoms": atoms,
        "bonds": bonds(charges, positions),
        "panels": [{"arrows": [_arrows(a, scales[n], longest) for n, a in panel.arrows.items()]} for panel in panels],
        "values": [values for panel in panels for values in panel.numbers.values()],
    }
    names = list(panels[0].arrows)
    choice = _select("arrows", "arrows", dict(enumerate(names))) if len(names) > 1 else ""
    return _figure(panels, data, caption, label, choice)


def _arrows(vectors, scale, longest):
    digits = max(0, 3 + int(np.ceil(np.log10(scale))))  # a thousandth of an Å
    return {"scale": scale, "longest": longest, "turns": np.round(vectors, digits).tolist()}


def surfaces(functions, palette, grid, caption, label, bases):
    """A figure of functions on the sphere, of which one is chosen by ℓ, m and the name of a basis.

    Parameters
    ----------
    functions : {(basis, l, m): (distance, colour)}, each (rows, columns): the distance of the surface from the origin
        in the directions of a grid in θ and φ, from 0 to 1, and numbers of colours
    palette : (colours, 3) red, green and blue from 0 to 255
    grid : (rows, columns); θ goes from 0 to π including both, φ from 0 to 2π without the last
    bases : {basis: its name in the figure}
    """
    coded = {
        f"{basis} {l} {m}": {"distance": _bytes(255 * distance), "colour": _bytes(colour)}
        for (basis, l, m), (distance, colour) in functions.items()
    }
    data = {
        "reach": 1.25,
        "spin": False,
        "grid": grid,
        "palette": palette,
        "surfaces": coded,
        "panels": [{}],
        "values": [],
    }
    l_max = max(l for _, l, _ in functions)
    choice = _range("l", "ℓ", 0, l_max, 2) + _range("m", "m", -2, 2, 1) + _select("basis", "basis", bases)
    return _figure([Panel("", {}, {})], data, caption, label, choice)


def _bytes(numbers):
    return b64encode(np.round(numbers).astype(np.uint8).tobytes()).decode()


def page(figure, title, made_by):
    """A page of its own for a figure, without a background, for light and dark surroundings.

    It follows the reader's preference, or a message {theme: "light" or "dark"} from the page that frames it, and tells
    that page its {height: pixels}.
    """
    return f"""<!DOCTYPE html>
<!-- Made by {made_by} -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
html {{ color: #1b1b1b; }}
html[data-theme="dark"] {{ color: #e8e8e8; }}
html.alone {{ background: white; padding: 1em; }}
@media (prefers-color-scheme: dark) {{
  html:not([data-theme="light"]) {{ color: #e8e8e8; }}
  html.alone {{ background: #131416; }}
}}
body {{ margin: 0; }}
body > .moving {{ max-width: 28em; margin: 0 auto; }}
body > .moving .panels, body > .moving .controls {{ justify-content: center; }}
</style>
</head>
<body>
{figure}
<script>
document.documentElement.classList.toggle("alone", parent === self);
addEventListener("message", ({{ data }}) => {{
  if (["light", "dark"].includes(data?.theme)) document.documentElement.dataset.theme = data.theme;
}});
new ResizeObserver(() => parent.postMessage({{ height: document.body.scrollHeight }}, "*")).observe(document.body);
</script>
</body>
</html>
"""


def _figure(panels, data, caption, label, choice):
    count = 0
    shown = []
    for panel in panels:
        title = f'<p class="title">{escape(panel.title)}</p>' if panel.title else ""
        rows = ""
        for name, values in panel.numbers.items():
            rows += f'<tr><td>{escape(name)}</td><td data-values="{count}">{escape(values[0])}</td></tr>'
            count += 1
        table = f"<table><tbody>{rows}</tbody></table>" if rows else ""
        alternative = escape(f"{panel.title}: {label}" if panel.title else label)
        shown.append(f'<div>{title}<canvas role="img" aria-label="{alternative}"></canvas>{table}</div>')
    controls = choice + '<button type="button" name="spin">turn</button>'
    controls += _range("turned", "turned by", 0, 360, 0, unit="°")
    controls += _range("tilted", "tilted by", -90, 90, 15, unit="°")
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return f"""<figure class="moving">
<style>{STYLE}</style>
<div class="panels">{"".join(shown)}</div>
<div class="controls">{controls}</div>
<figcaption>{caption}</figcaption>
<script type="application/json">{text}</script>
<script>
{SCRIPT.read_text(encoding="utf-8")}</script>
</figure>"""


def _range(name, text, low, high, value, unit=""):
    slider = f'<input type="range" name="{name}" min="{low}" max="{high}" value="{value}">'
    return f'<label>{text} {slider}<span data-unit="{unit}" data-of="{name}"></span></label>'


def _select(name, text, options):
    choices = "".join(f'<option value="{value}">{escape(option)}</option>' for value, option in options.items())
    return f'<label>{text} <select name="{name}">{choices}</select></label>'
