"""What the notebooks' pictures are drawn from, against what one knows without drawing."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.polynomial.legendre import legval
from scipy.spatial.transform import Rotation

from cormorant_np import data, drawing
from cormorant_np.rotation import random_rotation, wigner_d
from cormorant_np.spherical_harmonics import complex_sh


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_bonds_of_ethanol():
    ethanol = data.load("sample")
    expected = [(0, 1), (0, 6), (0, 7), (0, 8), (1, 2), (1, 4), (1, 5), (2, 3)]
    for positions in ethanol.positions[:20]:
        assert sorted(drawing.bonds(ethanol.charges[0], positions)) == expected


def test_arrows_of_the_harmonics_of_a_direction_point_there(rng):
    directions = rng.standard_normal((6, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    np.testing.assert_allclose(drawing.arrows(complex_sh(directions, 1)[1:]), directions, atol=1e-14)


def test_arrows_turn_as_vectors_do_when_components_turn_with_wigners_matrix(rng):
    f = rng.standard_normal((3, 4, 2)) + 1j * rng.standard_normal((3, 4, 2))
    turn = random_rotation(rng)
    turned = np.tensordot(wigner_d(turn, 1), f, axes=1)
    np.testing.assert_allclose(drawing.arrows(turned), drawing.arrows(f) @ turn.T, atol=1e-14)


def test_an_atom_sees_its_neighbours_where_they_are(rng):
    """What it sees is largest there, and less than half as large away from all of them."""
    tetrahedron = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    tetrahedron = tetrahedron @ Rotation.random(rng=rng).as_matrix().T
    nearness = (drawing.sphere()[2] @ tetrahedron.T).max(axis=-1)
    elsewhere = []
    for l_max in (3, 6, 10):
        f = drawing.what_an_atom_sees(1.1 * tetrahedron, l_max)
        assert nearness[np.unravel_index(f.argmax(), f.shape)] > 0.99
        elsewhere.append(f[nearness < 0.7].max() / f.max())
    assert max(elsewhere) < 0.5


def test_of_one_neighbour_an_atom_sees_a_sum_of_legendre_polynomials(rng):
    (neighbour,) = towards = rng.standard_normal((1, 3))
    cosine = drawing.sphere()[2] @ neighbour / np.linalg.norm(neighbour)
    expected = legval(cosine, [1, 3, 5, 7])
    np.testing.assert_allclose(drawing.what_an_atom_sees(towards, 3), expected, atol=1e-12)


def test_the_drawing_has_a_picture_for_the_molecule_and_one_for_every_l():
    charges, positions = np.array([1, 6, 1]), np.array([[1.0, 0, 0], [0, 0, 0], [0, 1, 0]])
    axes = drawing.draw_what_an_atom_sees(charges, positions, 1, [0, 2], l_maxes=(1, 2))
    assert [ax.get_title() for ax in axes] == ["", "seen with L = 1", "seen with L = 2"]
    assert [text.get_text() for text in axes[0].texts] == ["C", "H", "H"]


def test_a_molecule_has_an_arrow_at_every_atom_and_nothing_for_padding(rng, monkeypatch):
    charges, positions, arrows = np.array([8, 0, 1]), rng.standard_normal((3, 3)), rng.standard_normal((3, 3))
    (ax,), drawn = drawing.axes_3d(), []
    monkeypatch.setattr(ax, "quiver", lambda *columns, **style: drawn.append(np.array(columns).T))
    drawing.draw_molecule(ax, charges, positions, "number", arrows, arrow_scale=0.5, highlight=[-6, -3, 0])
    np.testing.assert_array_equal(drawn, [np.hstack([positions, 0.5 * arrows])[[0, 2]]])
    assert [text.get_text() for text in ax.texts] == ["O0", "H1"]
    spheres = [collection for collection in ax.collections if len(collection.get_offsets()) == 1]
    first_and_last = plt.get_cmap("viridis")([0.0, 1.0])
    np.testing.assert_allclose([sphere.get_facecolor()[0] for sphere in spheres], first_and_last)


def test_a_table_has_columns_of_equal_width(capsys):
    drawing.print_table([["F̃", 1.23456], ["a longer one", 2]], ["name", "x"])
    header, rule, first, second = capsys.readouterr().out.splitlines()
    assert header == "name          x" and rule == "------------  -----"
    assert first == "F̃             1.235" and second == "a longer one  2"
