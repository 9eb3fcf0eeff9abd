# %% [markdown]
# # 02 · Spherical harmonics
#
# A neighbour of an atom sits at some distance, in some direction. The distance is a number; what to do with it is
# the matter of notebook 05. The direction is a point on the sphere, and its coordinates change when the molecule
# turns. We need functions of the direction that change in a known, linear way. These are the spherical harmonics
# $Y^\ell_m$: for each $\ell$, the $2\ell+1$ of them turn among themselves. Section 1.4.3 puts them on every pair of
# atoms.

# %% tags=["hide-input"]
from math import factorial, pi, sqrt

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from numpy.polynomial import Polynomial
from numpy.polynomial.legendre import Legendre

from cormorant_np import moving
from cormorant_np.drawing import COLOURS, axes_3d, draw_spherical_function, print_table, sphere
from cormorant_np.gradient_check import backward_errors
from cormorant_np.so3_vector import block
from cormorant_np.spherical_harmonics import (
    complex_sh,
    complex_sh_backward,
    real_from_complex,
    real_sh,
    solid_sh,
)

# %% [markdown]
# ## From a textbook
#
# In quantum mechanics, with polar angle $\theta$, azimuth $\phi$ and the phases of Condon and Shortley,
#
# $$Y^{\ell, \rm QM}_m(\theta, \phi) = \sqrt{\frac{2\ell+1}{4\pi} \frac{(\ell-m)!}{(\ell+m)!}}\; P_\ell^m(\cos\theta)\,
# e^{im\phi}, \qquad
# P_\ell^m(x) = \frac{(-1)^m}{2^\ell \ell!} (1-x^2)^{m/2} \frac{d^{\ell+m}}{dx^{\ell+m}} (x^2-1)^\ell.$$


# %%
def textbook(l, m, theta, phi):
    x = np.cos(theta)
    derivative = (Polynomial([-1, 0, 1]) ** l).deriv(l + m)(x)
    legendre = (-1) ** m / (2**l * factorial(l)) * (1 - x * x) ** (m / 2) * derivative
    norm = (2 * l + 1) / (4 * pi) * factorial(l - m) / factorial(l + m)
    return sqrt(norm) * legendre * np.exp(1j * m * phi)


# %% [markdown]
# ## The normalisation, and an erratum
#
# Cormorant wants $\sum_m |Y^\ell_m(\hat{\mathbf r})|^2 = 1$ for every direction, so that no $\ell$ is louder than
# another. The supplement says that this amounts to the factor $\sqrt{(2\ell+1)/4\pi}$ times the quantum mechanical
# version. Let us try, at some direction:

# %%
theta, phi = 0.7, 2.1
rows = []
for l in range(4):
    total = sum(abs(textbook(l, m, theta, phi)) ** 2 for m in range(-l, l + 1))
    printed = (2 * l + 1) / (4 * pi)
    rows.append([l, total, total * printed, total / printed])
print_table(rows, ["ℓ", "Σ|Y|², QM", "as printed", "upside down"])

# %% [markdown]
# The factor is printed upside down: it must be $\sqrt{4\pi/(2\ell+1)}$.
#
# ## The complex conjugate
#
# One choice is left, which the supplement does not mention. The library, like the authors' released code, uses the
# complex *conjugates*, $Y^\ell_m = \sqrt{4\pi/(2\ell+1)}\; \overline{Y^{\ell,\rm QM}_m}$. For $\ell = 1$ they are
# $\bigl(\tfrac{x+iy}{\sqrt2},\, z,\, \tfrac{-x+iy}{\sqrt2}\bigr)$. Notebook 03 shows what this buys: everything
# turns with Wigner's $D$, and not with its conjugate. The library does not go through angles. It has a recursion in
# $x, y, z$ that works at the poles too, see `solid_sh`. Both give the same:

# %%
rng = np.random.default_rng(0)
vectors = rng.standard_normal((50, 3))
x, y, z = vectors.T
theta, phi = np.arccos(z / np.linalg.norm(vectors, axis=1)), np.arctan2(y, x)

naive = np.array(
    [sqrt(4 * pi / (2 * l + 1)) * textbook(l, m, theta, phi).conj() for l in range(4) for m in range(-l, l + 1)]
)
library = complex_sh(vectors, 3)
np.testing.assert_allclose(library, naive, atol=1e-13)
for l in range(4):
    np.testing.assert_allclose((abs(library[block(l)]) ** 2).sum(axis=0), 1)
print("shape", library.shape, "- components first, then the 50 vectors")

# %% [markdown]
# ## What they look like
#
# Below, the distance of the surface from the origin is $|Y^\ell_m|$ in that direction; the colour is the phase of
# the complex number. The phase runs around the $z$ axis $|m|$ times, in one sense for $m > 0$ and in the other for
# $m < 0$.

# %% tags=["hide-input"]
directions = sphere()[2]
values = complex_sh(directions, 3)


def draw_all(values, colours, cmap, limits):
    places = iter(axes_3d(7, 4, size=1.25))
    used = []
    for l in range(4):
        for m in range(-3, 4):
            ax = next(places)
            if abs(m) > l:
                ax.remove()
                continue
            row = l * l + l + m
            draw_spherical_function(ax, values[row], colours[row], cmap, limits)
            ax.set_title(f"ℓ={l}, m={m}", fontsize=8, pad=-4)
            used.append(ax)
    return used


axes = draw_all(values, np.angle(values), "twilight_shifted", (-pi, pi))
colour = plt.cm.ScalarMappable(plt.Normalize(-pi, pi), "twilight_shifted")
bar = axes[0].figure.colorbar(colour, ax=axes, shrink=0.5, label="phase", ticks=[-pi, 0, pi])
bar.ax.set_yticklabels(["-π", "0", "π"])
plt.show()

# %% [markdown]
# Chemists draw another basis of the same space, the real harmonics, the familiar s, p, d and f orbitals: for each
# $m > 0$, the functions $m$ and $-m$ are combined to a cosine and a sine. A unitary matrix $U$ does it, one for
# each $\ell$. In the picture of the real ones, colour is the sign.

# %%
real = real_sh(directions, 3)
for l in range(4):
    u = real_from_complex(l)
    np.testing.assert_allclose(u @ u.conj().T, np.eye(2 * l + 1), atol=1e-15)
    np.testing.assert_allclose(np.tensordot(u, values[block(l)], axes=1), real[block(l)], atol=1e-13)
draw_all(real, np.sign(real), "coolwarm", (-1.2, 1.2))
plt.show()

# %% [markdown]
# Here is one at a time, up to $\ell = 4$, to be turned and looked at from all sides. Take some $\ell$ and go through
# its $m$. How many nodal planes does a real one have, and how many of them contain the vertical axis, which here is
# $z$?

# %% tags=["hide-input"]
rows, columns = 25, 48
theta, phi = np.meshgrid(np.linspace(0, pi, rows), np.arange(columns) * 2 * pi / columns, indexing="ij")
on_grid = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
complex_values, real_values = complex_sh(on_grid, 4), real_sh(on_grid, 4)
functions = {}
for l in range(5):
    for m in range(-l, l + 1):
        y, y_real = complex_values[l * l + l + m], real_values[l * l + l + m]
        functions["complex", l, m] = abs(y), np.floor((np.angle(y) / (2 * pi) + 0.5) * 63.99)
        functions["real", l, m] = abs(y_real), np.where(y_real > 0, 65, 64)
phases = plt.get_cmap("twilight_shifted")(np.linspace(0, 1, 64))
signs = plt.get_cmap("coolwarm")([0.1, 0.9])
palette = (255 * np.concatenate([phases, signs])[:, :3]).round().astype(int).tolist()
caption = """Drag to turn. The distance from the centre is |Y|; the colour is the phase, or the sign: red is
positive. Python has computed the surfaces on a grid of 25 × 48 directions; the browser turns and shades them."""
label = "the surface of one spherical harmonic, whose distance from the centre is its absolute value"
bases = {"real": "real, sign", "complex": "complex, phase"}
display(HTML(moving.surfaces(functions, palette, (rows, columns), caption, label, bases)))

# %% [markdown]
# (The answer: $\ell$ nodal surfaces in all, $|m|$ of them planes through the axis; the others are cones about it, and
# for odd $\ell - |m|$ one of these is the horizontal plane.)
#
# Cormorant computes with the complex ones, since Clebsch-Gordan coefficients are simplest there. The real ones are
# easier on the eye, and we go back to them whenever we draw; they are also half as much to multiply, which the library
# makes use of where there are most harmonics, in the pairs of atoms (notebook 17).
#
# ## The addition theorem
#
# How can two directions be compared without any coordinates? Through the angle between them. For every $\ell$,
#
# $$\sum_m \overline{Y^\ell_m(\hat{\mathbf a})}\, Y^\ell_m(\hat{\mathbf b}) =
# P_\ell(\hat{\mathbf a} \cdot \hat{\mathbf b})$$
#
# with Legendre's polynomial $P_\ell$. The left side is an inner product of two SO(3)-vectors, the right side knows
# only the angle. All invariants of the network are relatives of this formula.

# %%
a, b = rng.standard_normal((2, 200, 3))
cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
y_a, y_b = complex_sh(a, 3), complex_sh(b, 3)

figure, ax = plt.subplots(figsize=(6, 3.6))
grid = np.linspace(-1, 1, 200)
for l, colour in zip(range(4), COLOURS, strict=False):
    products = (y_a[block(l)].conj() * y_b[block(l)]).sum(axis=0)
    np.testing.assert_allclose(products, Legendre.basis(l)(cosine), atol=1e-13)
    ax.plot(grid, Legendre.basis(l)(grid), color=colour, linewidth=1, label=f"$P_{l}$")
    ax.plot(cosine[:60], products.real[:60], ".", color=colour)
ax.set(xlabel="cosine of the angle between the directions", ylabel="Σ conj(Y(a)) Y(b)")
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="line:")
plt.show()

# %% [markdown]
# ## The derivative
#
# Forces are derivatives by positions, so we need those of the harmonics. *Solid* harmonics
# $r^\ell\, Y^\ell_m(\hat{\mathbf r})$ are polynomials in $x, y, z$, and differentiating one gives solid harmonics
# of degree $\ell - 1$:
#
# $$\partial_z\, r^\ell Y^\ell_m = \sqrt{(\ell+m)(\ell-m)}\; r^{\ell-1} Y^{\ell-1}_m,$$
#
# and two similar formulas for $x \pm iy$ (they stand in `solid_sh_backward`). Here is the first, against a
# difference quotient; the library's whole derivative is then checked in a random direction, with a tool that
# notebook 09 explains.

# %%
solid, step = solid_sh(vectors, 3), 1e-6
e_z = np.array([0, 0, 1])
difference = (solid_sh(vectors + step * e_z, 3) - solid_sh(vectors - step * e_z, 3)) / (2 * step)
for l in range(1, 4):
    for m in range(1 - l, l):
        formula = sqrt((l + m) * (l - m)) * solid[(l - 1) * l + m]
        np.testing.assert_allclose(difference[l * l + l + m], formula, atol=1e-7)


def forward(v):
    return complex_sh(v, 3), v


print("relative error of the library's derivative:", backward_errors(forward, complex_sh_backward, [vectors], rng)[0])

# %% [markdown]
# ## Exercises
#
# **1.** *Predict.* What happens to $Y^\ell_m$ if $\hat{\mathbf r}$ becomes $-\hat{\mathbf r}$? Guess from the
# pictures, then check.
#
# <details><summary>Solution</summary>
#
# `complex_sh(-vectors, 3)` is $(-1)^\ell$ times `complex_sh(vectors, 3)`: even $\ell$ do not notice, odd $\ell$
# change sign.
#
# </details>
#
# **2.** *Derive.* Express $Y^\ell_{-m}$ by $\overline{Y^\ell_m}$.
#
# <details><summary>Solution</summary>
#
# $Y^\ell_{-m} = (-1)^m\, \overline{Y^\ell_m}$. So
# $\sum_m (-1)^m Y^\ell_m(\hat{\mathbf a})\, Y^\ell_{-m}(\hat{\mathbf b})$, the scalar product of section 1.4.2, is
# the addition theorem's sum: for harmonics the two notions of inner product agree. For general complex activations
# they do not, and the network uses both (notebook 08).
#
# </details>
#
# **3.** *Derive.* `complex_sh` of the zero vector is defined: 1 for $\ell = 0$ and 0 else. Why is that the only
# covariant choice?
#
# <details><summary>Solution</summary>
#
# The zero vector is unchanged by every rotation, so its harmonics would have to be, too. Only an $\ell = 0$ part
# may be different from zero and unchanged.
#
# </details>
#
# **4.** *Code.* The five real harmonics of $\ell = 2$ are polynomials of second degree in the components of a unit
# vector. Write them by hand: `d_orbitals(x, y, z)`, a list from $m = -2$ to $2$ (sines first, then cosines).


# %% tags=["hide-input"]
def check_d_orbitals(d_orbitals):
    v = rng.standard_normal((20, 3))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    found, expected = d_orbitals(*v.T), real_sh(v, 2)[block(2)]
    for m, (ours, theirs) in enumerate(zip(found, expected, strict=True), start=-2):
        np.testing.assert_allclose(ours, theirs, atol=1e-12, err_msg=f"m = {m} is wrong.")
    print("right")


# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def d_orbitals(x, y, z):
#     return sqrt(3) * np.array([x * y, y * z, (2 * z * z - x * x - y * y) / sqrt(12), x * z, (x * x - y * y) / 2])
#
#
# check_d_orbitals(d_orbitals)
# ```
#
# Chemists call them $d_{xy}, d_{yz}, d_{z^2}, d_{xz}, d_{x^2-y^2}$. The factors follow from the sum of squares, which
# must be one in every direction.
#
# </details>

# %% [markdown]
# **In the code:** [spherical_harmonics.py](../cormorant_np/spherical_harmonics.py)
#
# **In the documentation:** [spherical_harmonics](../docs/derivations/spherical_harmonics.md)
#
# **Next:** [03 · SO(3)-vectors and covariance](03_so3_vectors.ipynb)
