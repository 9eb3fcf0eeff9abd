"""Draw the network, once wide and once narrow for phones: python docs/images/draw_network.py

Writes network.svg and network_narrow.svg beside this file. A box is (x, y, width, height, colour, lines, number of
lines that name files). An arrow is a list of corners; an arrow back is dashed.
"""

from html import escape
from pathlib import Path

INPUT, LAYER, OUTPUT, TRAIN, PLAIN = "#dbeafe", "#fde9d0", "#dcf3df", "#ece6f6", "#ffffff"

WIDE = {
    "size": (1180, 500),
    "frame": (440, 20, 470, 395),
    "boxes": [
        (4, 165, 132, 84, PLAIN, ["charges Z", "positions r"], 0),
        (170, 48, 240, 104, INPUT, ["geometry.py", "spherical_harmonics.py", "|r|, Y(r/|r|)"], 2),
        (170, 282, 240, 84, INPUT, ["input_network.py", "F⁰"], 1),
        (464, 104, 166, 74, LAYER, ["radial.py", "η and mask μ"], 1),
        (464, 218, 166, 74, LAYER, ["edge_network.py", "g   (S2)"], 1),
        (692, 206, 194, 98, LAYER, ["vertex_network.py", "G = g Y   (S3)", "F   (S4, S5)"], 1),
        (712, 334, 184, 64, LAYER, ["clebsch_gordan.py", "coefficients"], 1),
        (950, 206, 196, 98, OUTPUT, ["output_network.py", "invariants x", "energy y"], 1),
        (950, 422, 196, 64, TRAIN, ["loss.py", "y against target"], 1),
        (170, 422, 240, 64, TRAIN, ["optimizer.py", "AMSGrad"], 1),
    ],
    "arrows": [
        [(136, 190), (152, 190), (152, 100), (170, 100)],
        [(136, 224), (152, 224), (152, 324), (170, 324)],
        [(410, 74), (789, 74), (789, 206)],
        [(410, 140), (464, 140)],
        [(547, 178), (547, 218)],
        [(410, 324), (547, 324), (547, 292)],
        [(547, 324), (702, 324), (702, 304)],
        [(630, 255), (692, 255)],
        [(800, 334), (800, 304)],
        [(886, 255), (950, 255)],
        [(1048, 304), (1048, 422)],
    ],
    "back": [[(950, 454), (410, 454)]],
    "labels": [
        (675, 48, "CGLayer in model.py"),
        (572, 366, "S times: F and g"),
        (572, 390, "enter the next layer"),
        (425, 66, "Y"),
        (425, 132, "|r|"),
        (660, 247, "g"),
        (600, 316, "F"),
        (918, 247, "F"),
        (677, 446, "backward: the same way in reverse"),
    ],
}
NARROW = {
    "size": (480, 990),
    "frame": (12, 296, 456, 404),
    "boxes": [
        (140, 12, 200, 70, PLAIN, ["charges Z", "positions r"], 0),
        (12, 124, 240, 110, INPUT, ["geometry.py", "spherical_harmonics.py", "|r|, Y(r/|r|)"], 2),
        (280, 140, 188, 80, INPUT, ["input_network.py", "F⁰"], 1),
        (30, 352, 180, 74, LAYER, ["radial.py", "η and mask μ"], 1),
        (30, 470, 180, 74, LAYER, ["edge_network.py", "g   (S2)"], 1),
        (250, 458, 202, 98, LAYER, ["vertex_network.py", "G = g Y   (S3)", "F   (S4, S5)"], 1),
        (250, 610, 202, 70, LAYER, ["clebsch_gordan.py", "coefficients"], 1),
        (12, 740, 210, 98, OUTPUT, ["output_network.py", "invariants x", "energy y"], 1),
        (258, 754, 210, 70, TRAIN, ["loss.py", "y against target"], 1),
        (258, 902, 210, 70, TRAIN, ["optimizer.py", "AMSGrad"], 1),
    ],
    "arrows": [
        [(190, 82), (190, 124)],
        [(310, 82), (310, 140)],
        [(120, 234), (120, 352)],
        [(215, 234), (215, 272), (292, 272), (292, 458)],
        [(120, 426), (120, 470)],
        [(374, 220), (374, 458)],
        [(374, 448), (228, 448), (228, 492), (210, 492)],
        [(210, 524), (250, 524)],
        [(351, 610), (351, 556)],
        [(270, 556), (270, 586), (60, 586), (60, 740)],
        [(222, 789), (258, 789)],
    ],
    "back": [[(363, 824), (363, 902)]],
    "labels": [
        (158, 626, "CGLayer in model.py,"),
        (158, 652, "S times: F and g"),
        (158, 678, "enter the next layer"),
        (98, 284, "|r|"),
        (252, 264, "Y"),
        (392, 284, "F"),
        (330, 440, "F"),
        (230, 544, "g"),
        (160, 578, "F"),
        (190, 860, "backward: the same way"),
        (190, 884, "in reverse, from y to r"),
    ],
}


def text(x, y, words, kind):
    return f'<text x="{x}" y="{y}" class="{kind}">{escape(words)}</text>'


def path(corners, kind):
    points = " L ".join(f"{x} {y}" for x, y in corners)
    return f'<path d="M {points}" class="{kind}" marker-end="url(#tip)"/>'


def box(x, y, width, height, colour, lines, num_files):
    shapes = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="9" fill="{colour}" stroke="#44505c"/>']
    top = y + height / 2 - 13 * (len(lines) - 1) + 6
    for k, line in enumerate(lines):
        shapes.append(text(x + width / 2, top + 26 * k, line, "file" if k < num_files else "what"))
    return "\n".join(shapes)


def draw(layout):
    width, height = layout["size"]
    x, y, frame_width, frame_height = layout["frame"]
    shapes = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>The Cormorant network, each part named as its file</title>",
        "<style>text { text-anchor: middle; fill: #1f2933; font-family: sans-serif }",
        ".file { font-family: monospace; font-size: 16.5px; font-weight: bold } .what { font-size: 17px }",
        ".label { font-size: 17px; font-style: italic } .arrow, .back { fill: none; stroke: #44505c; stroke-width: 2 }",
        ".back { stroke-dasharray: 7 5 } .frame { fill: #fff8ef; stroke: #d9a35f }</style>",
        '<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">',
        '<path d="M 0 0 L 9 4 L 0 8 z" fill="#44505c"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<rect x="{x}" y="{y}" width="{frame_width}" height="{frame_height}" rx="14" class="frame"/>',
        *(path(corners, "arrow") for corners in layout["arrows"]),
        *(path(corners, "back") for corners in layout["back"]),
        *(box(*arguments) for arguments in layout["boxes"]),
        *(text(*label, "label") for label in layout["labels"]),
        "</svg>",
    ]
    return "\n".join(shapes) + "\n"


if __name__ == "__main__":
    for name, layout in (("network", WIDE), ("network_narrow", NARROW)):
        Path(__file__).with_name(f"{name}.svg").write_text(draw(layout), encoding="utf-8")
