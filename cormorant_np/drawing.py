"""What the notebooks' pictures share: colours, molecules in three dimensions, spherical functions.

Importing it, or `moving`, sets Matplotlib's style; nothing else in the package imports it.
"""

import unicodedata

import matplotlib.pyplot as plt
import numpy as np

from cormorant_np.spherical_harmonics import complex_sh, real_from_complex

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444"]
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""

ELEMENTS = {1: ("H", "#f2f2f2", 0.35), 6: ("C", "#555555", 0.60), 7: ("N", "#0072b2", 0.58)}
ELEMENTS |= {8: ("O", "#d55e00", 0.56), 9: ("F", "#009e73", 0.50)}
COVALENT_RADII = {1: 0.31, 6: 0.76, 7: 0.71, 8: 0.66, 9: 0.57}  # Å

plt.rcParams.update(
    {
        "axes.prop_cycle": plt.cycler(color=COLOURS),
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 11,
        "figure.constrained_layout.use": True,
        "figure.dpi": 90,
        "font.size": 10,
        "grid.alpha": 0.25,
        "image.cmap": "viridis",
        "legend.frameon": False,
    }
)


def axes_3d(num_columns=1, num_rows=1, size=3.0):
    """Axes without frames, each for one object in three dimensions; a flat list."""
    figure = plt.figure(figsize=(size * num_columns, size * num_rows))
    axes = [figure.add_subplot(num_rows, num_columns, k + 1, projection="3d") for k in range(num_rows * num_columns)]
    for ax in axes:
        ax.set_axis_off()
        ax.set_proj_type("persp", focal_length=0.6)
    return axes


def bonds(charges, positions):
    """Pairs (i, j) of atoms closer than 1.3 times the sum of their covalent radii."""
    radii = np.array([COVALENT_RADII[int(z)] for z in charges])
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    close = distances < 1.3 * (radii[:, None] + radii[None])
    return [(i, j) for i, j in np.argwhere(close).tolist() if i < j]


def draw_molecule(ax, charges, positions, labels=True, arrows=None, arrow_scale=1.0, reach=None, highlight=None):
    """Atoms as spheres, coloured and labelled by element, and bonds; optionally an arrow at every atom.

    Parameters
    ----------
    ax : of `axes_3d`
    charges : (N,) integers, 0 is left out
    positions : (N, 3) in Å
    labels : True for the elements' symbols, "number" for symbols and numbers, False for none
    arrows : (N, 3) or None
    arrow_scale : length in Å of an arrow of length one
    reach : half the side of the box that is shown, in Å
    highlight : (N,) numbers from -6 to 0 that colour the atoms in place of their elements, or None
    """
    atoms = np.asarray(charges) > 0
    charges, positions = np.asarray(charges)[atoms], np.asarray(positions, float)[atoms]
    highlight = None if highlight is None else np.asarray(highlight)[atoms]
    reach = reach or np.abs(positions - positions.mean(axis=0)).max()
    size = (90 / reach) ** 2
    for i, j in bonds(charges, positions):
        for start, end in ((i, j), (j, i)):
            middle = (positions[start] + positions[end]) / 2
            x, y, z = np.stack([positions[start], middle]).T
            ax.plot(x, y, z, color="#b0b0b0", linewidth=5, solid_capstyle="round", zorder=1)
    for number, (z, r) in enumerate(zip(charges.tolist(), positions, strict=True)):
        symbol, colour, radius = ELEMENTS[z]
        if highlight is not None:
            colour = plt.get_cmap("viridis")(1 + highlight[number] / 6)
        ax.scatter(*r[:, None], s=size * radius**2, color=colour, edgecolor="#222222", linewidth=0.8, depthshade=False)
        if labels:
            text = f"{symbol}{number}" if labels == "number" else symbol
            ax.text(*r, text, ha="center", va="center", fontsize=8, zorder=20, color="white" if z > 1 else "black")
    if arrows is not None:
        ax.quiver(*positions.T, *(np.asarray(arrows)[atoms] * arrow_scale).T, color="#8e2a6b", linewidth=2.2, zorder=15)
    centre = positions.mean(axis=0)
    ax.set(**{f"{axis}lim": (c - reach, c + reach) for axis, c in zip("xyz", centre, strict=True)})
    ax.set_box_aspect((1, 1, 1), zoom=1.35)


def arrows(f):
    """Real parts of ℓ = 1 components, (3, ...) complex, as arrows (..., 3) in x, y, z: what turns like the molecule."""
    y, z, x = np.tensordot(real_from_complex(1), f, axes=1).real
    return np.stack([x, y, z], axis=-1)


def sphere(num_theta=41, num_phi=61):
    """Polar and azimuthal angles of a grid on the sphere, and its unit vectors (num_theta, num_phi, 3)."""
    theta, phi = np.meshgrid(np.linspace(0, np.pi, num_theta), np.linspace(0, 2 * np.pi, num_phi), indexing="ij")
    return theta, phi, np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)


def draw_spherical_function(ax, values, colours, cmap, limits, reach=0.95):
    """A closed surface whose distance from the origin is |value| in every direction of `sphere()`, coloured."""
    directions = sphere()[2]
    x, y, z = np.moveaxis(np.abs(values)[..., None] * directions, -1, 0)
    light = 0.8 + 0.2 * directions @ [0.5, -0.6, 0.62]
    shade = plt.get_cmap(cmap)(plt.Normalize(*limits)(colours))[..., :3] * light[..., None]
    ax.plot_surface(x, y, z, facecolors=shade, rstride=1, cstride=1, linewidth=0, antialiased=False, shade=False)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), zlim=(-reach, reach))
    ax.set_box_aspect((1, 1, 1), zoom=1.5)


def what_an_atom_sees(towards, l_max):
    """What the sum of its neighbours' harmonics tells an atom about where they are, in the directions û of `sphere()`.

    f(û) = Σ_ℓ≤L (2ℓ+1) Σ_j Σ_m Y_ℓm(r̂_j) conj(Y_ℓm(û)) for neighbours at `towards`, (number, 3); not in the supplement.
    """
    seen = complex_sh(towards, l_max).sum(axis=1)
    weights = np.repeat(2 * np.arange(l_max + 1) + 1, 2 * np.arange(l_max + 1) + 1)
    return np.tensordot(weights * seen, complex_sh(sphere()[2], l_max).conj(), axes=1).real


def draw_what_an_atom_sees(charges, positions, atom, neighbours, l_maxes=(1, 3, 6)):
    """An atom with its neighbours, and beside it what it sees of them with several L, where that is positive."""
    axes = axes_3d(1 + len(l_maxes), size=2.4)
    shown = [atom, *neighbours]
    draw_molecule(axes[0], charges[shown], positions[shown], reach=1.6)
    for ax, l_max in zip(axes[1:], l_maxes, strict=True):
        f = np.maximum(what_an_atom_sees(positions[neighbours] - positions[atom], l_max), 0)
        f = 0.9 * f / f.max()
        draw_spherical_function(ax, f, f, "viridis", (0, 1))
        ax.set_title(f"seen with L = {l_max}")
    return axes


def print_table(rows, header):
    """Rows of texts and numbers, one under the other in columns."""
    cells = [[f"{x:.4g}" if isinstance(x, float) else str(x) for x in row] for row in [header, *rows]]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    for number, row in enumerate(cells):
        print("  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def _width(text):
    """Number of columns: an accent like that of F̃ stands above the letter before it."""
    return sum(not unicodedata.combining(character) for character in text)
