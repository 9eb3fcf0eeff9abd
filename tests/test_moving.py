"""Figures to be turned: what they hold agrees with the package, and they need nothing but themselves."""

import base64
import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("matplotlib")

from cormorant_np import data, moving
from cormorant_np.training.prediction import find_run, predict_molecules

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "static" / "moving" / "molecule.html"
CHARGES, POSITIONS = np.array([8, 1, 1]), np.array([[0.0, 0.1, 0.0], [0.8, -0.4, 0.1], [-0.8, -0.4, -0.1]])


def held(html):
    """The data in a figure."""
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)
    return json.loads(text)


def water(arrows=1.0, **options):
    turning = moving.rotations(4)
    vectors = arrows * POSITIONS @ turning.transpose(0, 2, 1)
    panel = moving.Panel("Water <1>", {"outwards": vectors}, {"a & b": ["0", "1", "2", "3"]})
    return moving.molecule(CHARGES, POSITIONS, [panel], "caption", "a label", **options)


def test_rotations_are_about_the_vertical_axis_in_equal_steps():
    expected = [Rotation.from_rotvec([0, angle, 0], degrees=True).as_matrix() for angle in (0, 60, 120, 180, 240, 300)]
    np.testing.assert_allclose(moving.rotations(6), expected, atol=1e-15)


def test_upright_turns_and_moves_but_does_not_mirror_or_deform():
    rng = np.random.default_rng(0)
    for positions in rng.standard_normal((5, 6, 3)):
        placed = moving.upright(positions)
        turn, residue = Rotation.align_vectors(placed, positions - positions.mean(axis=0))
        assert residue < 1e-6 and np.linalg.det(turn.as_matrix()) > 0
        assert np.all(np.diff(placed.std(axis=0)) < 0)


def test_the_longest_arrow_of_the_first_panel_has_the_length_that_was_asked_for():
    for size in (1e-3, 1.0, 50.0):
        (shown,) = held(water(arrows=size, longest=1.2))["panels"][0]["arrows"]
        lengths = shown["scale"] * np.linalg.norm(shown["turns"], axis=-1)
        np.testing.assert_allclose(lengths.max(), 1.2, atol=2e-3)


def test_a_figure_is_alone_and_says_what_it_shows():
    html = water()
    assert not re.findall(r"(?:src|href)=|https?:|import\s*\(|fetch\(|@import|url\(", html)
    assert html.count("</script>") == 2 and "Water &lt;1&gt;" in html and "a &amp; b" in html
    assert 'role="img" aria-label="Water &lt;1&gt;: a label"' in html
    assert all(label.strip() for label in re.findall(r"<label>(.*?)<", html))


def test_a_surface_comes_through_as_it_was():
    distance, colour = np.array([[0.0, 0.5], [1.0, 0.2]]), np.array([[0, 1], [2, 3]])
    palette = [[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]
    shown = held(moving.surfaces({("real", 1, -1): (distance, colour)}, palette, (2, 2), "", "", {"real": "real"}))
    surface = shown["surfaces"]["real 1 -1"]
    bytes_of = {name: np.frombuffer(base64.b64decode(text), np.uint8) for name, text in surface.items()}
    np.testing.assert_allclose(bytes_of["distance"] / 255, distance.ravel(), atol=1 / 255)
    assert bytes_of["colour"].tolist() == [0, 1, 2, 3]
    assert shown["palette"] == palette


def test_the_script_turns_as_python_does():
    """Its formula, whose syntax is Python's as well, against `rotations`."""
    (formula,) = re.findall(
        r"function turn\(.*?return (\[.*?\]);", moving.SCRIPT.read_text(encoding="utf-8"), re.DOTALL
    )
    x, y, z = place = np.array([0.3, -1.2, 2.0])
    for k, rotation in enumerate(moving.rotations(8)):
        names = {"x": x, "y": y, "z": z, "c": np.cos(np.pi * k / 4), "s": np.sin(np.pi * k / 4)}
        np.testing.assert_allclose(eval(formula, names), rotation @ place)


def on_stage(html, **values):
    """What the script does with a figure's data and with these values of its inputs, in Node.js."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    command = [node, str(ROOT / "tests" / "moving_stage.js"), str(moving.SCRIPT), json.dumps(values)]
    done = subprocess.run(command, input=json.dumps(held(html)).encode(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_the_script_paints_a_molecule_and_shows_the_numbers_of_the_nearest_turn():
    for degrees, expected in [(0, "0"), (40, "0"), (50, "1"), (270, "3"), (359, "0"), (360, "0")]:
        seen = on_stage(water(), turned=degrees)
        assert seen["cells"] == [expected]
    assert seen["side"] == 600  # two points for every pixel
    assert seen["counts"]["createRadialGradient"] == 3  # atoms
    assert seen["counts"]["ellipse"] == 3  # arrows


def test_the_script_paints_every_face_of_a_surface():
    distance = np.full((5, 8), 0.5)
    functions = {("real", l, m): (distance, 0 * distance) for l in range(3) for m in range(-l, l + 1)}
    html = moving.surfaces(functions, [[200, 100, 50]], (5, 8), "", "", {"real": "real"})
    assert on_stage(html, l=1, m=-1)["counts"]["fill"] == 4 * 8


@pytest.fixture(scope="module")
def front_page():
    return runpy.run_path(str(ROOT / "docs" / "moving.py"))["front_page"]()


def without_numbers(html):
    """A page without the numbers of its figure, which are a machine's last digits in part."""
    return re.sub(r'<script type="application/json">.*?</script>|<td data-values="\d+">.*?</td>', "", html, flags=re.S)


def test_the_committed_page_is_what_its_command_makes(front_page):
    committed = PAGE.read_text(encoding="utf-8")
    assert without_numbers(committed) == without_numbers(front_page), "run python docs/moving.py"
    old, new = held(committed), held(front_page)
    assert old["atoms"] == new["atoms"] and old["bonds"] == new["bonds"]
    for a, b in zip(old["panels"][0]["arrows"], new["panels"][0]["arrows"], strict=True):
        np.testing.assert_allclose(a["turns"], b["turns"], atol=2e-3 / a["scale"])
        np.testing.assert_allclose(a["scale"], b["scale"], rtol=1e-6)


def test_the_committed_page_shows_the_energy_and_the_forces_of_the_shipped_model():
    """By the way of `cormorant predict`, in 32-bit floats, of the frame as the sample has it and not as it is shown."""
    shown, sample = held(PAGE.read_text(encoding="utf-8")), data.load("sample")
    frame = np.load(find_run("ethanol") / "splits.npz")["test"][0]
    (energy,), (forces,) = predict_molecules("ethanol", [(sample.charges[frame], sample.positions[frame])], forces=True)
    energies, energy_changes, force_errors = shown["values"]
    assert {energies[0]} == set(energies)
    np.testing.assert_allclose(float(energies[0].split()[0].replace("−", "-")), energy, atol=1e-3)
    assert max(float(text.split()[0]) for text in energy_changes) < 1e-9
    assert max(float(text.split()[0]) for text in force_errors) < 1e-9
    in_the_page = np.array([atom["place"] for atom in shown["atoms"]])
    centred = sample.positions[frame] - sample.positions[frame].mean(axis=0)
    turn, _ = Rotation.align_vectors(in_the_page, centred)
    for k in (0, 13, 40):
        expected = forces @ (moving.rotations(72)[k] @ turn.as_matrix()).T
        np.testing.assert_allclose(shown["panels"][0]["arrows"][0]["turns"][k], expected, atol=0.02)


def test_all_panels_have_the_scale_of_the_first():
    panels = [moving.Panel("", {"F": factor * POSITIONS[None]}, {}) for factor in (1, 3)]
    shown = [panel["arrows"][0] for panel in held(moving.molecule(CHARGES, POSITIONS, panels, "", ""))["panels"]]
    assert shown[0]["scale"] == shown[1]["scale"]
    np.testing.assert_allclose(shown[1]["turns"], 3 * np.array(shown[0]["turns"]), atol=5e-3)
