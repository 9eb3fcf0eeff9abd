# %% [markdown]
# # 04 · The Clebsch-Gordan product
#
# Adding, scaling and mixing channels keep SO(3)-vectors covariant, but they are linear, and ReLU is forbidden. What
# can be done to two SO(3)-vectors $A$ and $B$ that is not linear? Multiply all components with each other, and sort
# the products into parts that turn properly. That is the Clebsch-Gordan product of section 1.4.4,
#
# $$(A \otimes_{\rm cg} B)_{\ell m} = \sum_{m_1 m_2} \langle \ell_1 m_1\, \ell_2 m_2 | \ell m \rangle\,
# A_{\ell_1 m_1} B_{\ell_2 m_2},$$
#
# one result for every path $(\ell_1, \ell_2) \to \ell$. The network uses it in two places: an atom multiplies what
# it hears from its neighbours with the neighbours' state, and its own state with itself.

# %% tags=["hide-input"]
from math import factorial as f

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import block_diag
from scipy.spatial.transform import Rotation

from cormorant_np import plain
from cormorant_np.clebsch_gordan import exact, paths, table
from cormorant_np.drawing import axes_3d, draw_spherical_function, print_table, sphere
from cormorant_np.rotation import angular_momentum, random_rotation, rotate, wigner_d
from cormorant_np.so3_vector import block
from cormorant_np.spherical_harmonics import complex_sh, real_from_complex

rng = np.random.default_rng(0)


def random_complex(*shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


# %% [markdown]
# ## The formula as a loop


# %%
def cg_product(a, b, l1, l2, l):
    """The path (l1, l2) → l of two SO(3)-vectors, components first."""
    result = np.zeros((2 * l + 1, *a.shape[1:]), dtype=complex)
    for m1 in range(-l1, l1 + 1):
        for m2 in range(-l2, l2 + 1):
            if abs(m1 + m2) <= l:
                coefficient = float(exact(l1, m1, l2, m2, l, m1 + m2))
                result[l + m1 + m2] += coefficient * a[l1 * l1 + l1 + m1] * b[l2 * l2 + l2 + m2]
    return result


# %% [markdown]
# `plain.cg_product_forward` says this with `einsum`, for all paths into one $\ell$. Its SO(3)-vectors are lists over
# $\ell$ of arrays (component, channel, atom); with `SQUARE`, each atom is multiplied with itself. Here is
# $F \otimes_{\rm cg} F$ with $L = 2$:

# %%
features = random_complex(9, 2, 3)  # (L+1)², channels, atoms
F = [features[block(l)] for l in range(3)]
for l in range(3):
    products = plain.cg_product_forward(F, F, l, plain.SQUARE)
    for product, (l1, l2) in zip(products, paths(l, 2, 2), strict=True):
        np.testing.assert_allclose(product, cg_product(features, features, l1, l2, l), atol=1e-13)

# %% [markdown]
# ## Covariance
#
# Turn the factors, and the product turns: $(D A) \otimes_{\rm cg} (D B) = D\,(A \otimes_{\rm cg} B)$. All of
# Cormorant rests on this line. First a test:

# %%
a, b = random_complex(16, 5), random_complex(16, 5)
rotation = random_rotation(rng)
for l in range(4):
    for l1, l2 in paths(l, 3, 3):
        product = np.zeros((16, 5), dtype=complex)
        product[block(l)] = cg_product(a, b, l1, l2, l)
        turned_first = cg_product(rotate(a, rotation), rotate(b, rotation), l1, l2, l)
        np.testing.assert_allclose(turned_first, rotate(product, rotation)[block(l)], atol=1e-12)

# %% [markdown]
# ## Why there are such coefficients
#
# Now the proof. It needs only the ladders of [notebook 03](03_so3_vectors.ipynb).
#
# If $A$ turns with $D^{\ell_1}$ and $B$ with $D^{\ell_2}$, their $(2\ell_1+1)(2\ell_2+1)$ products turn with
# $D^{\ell_1} \otimes D^{\ell_2}$. That is a representation, too. For a small turn the product rule applies,
#
# $$J_a = J_a^{(1)} \otimes 1 + 1 \otimes J_a^{(2)},$$
#
# and every representation is a sum of ladders. Which ones? $J_z$ adds the two weights, so a product $A_{m_1} B_{m_2}$
# stands on the rung $m = m_1 + m_2$: the first selection rule. Let us count how many products stand on each rung, for
# $\ell_1 = 2$ and $\ell_2 = 1$:

# %%
sums = [m1 + m2 for m1 in range(-2, 3) for m2 in range(-1, 2)]
print_table([["products", *(sums.count(m) for m in range(3, -4, -1))]], ["m", *range(3, -4, -1)])

# %% [markdown]
# There is one at the top, $m = 3$: a ladder with $\ell = 3$ begins there and takes one from every rung down to $-3$.
# One is left at $m = 2$, where a ladder with $\ell = 2$ begins, and then one with $\ell = 1$. Nothing is left:
# $15 = 7 + 5 + 3$. In general $\ell$ goes from $\ell_1 + \ell_2$ down to $|\ell_1 - \ell_2|$, each of them once.
# This is the triangle rule.
#
# The ladders can be climbed down. At the top of the first stands the product of both tops. $J_-$ leads from rung to
# rung, and each time the length is known. At the top of the next ladder stands the vector that is left over there,
# orthogonal to the ladders before. It is determined up to a factor; one makes it real, of length one, and (Condon and
# Shortley's choice) positive where $m_1 = \ell_1$. That is all. These vectors, written down by columns, *are* the
# Clebsch-Gordan coefficients:


# %%
def of_products(l1, l2):
    """J_x, J_y and J_z for the products, by the product rule."""
    j1, j2 = angular_momentum(l1), angular_momentum(l2)
    return np.array(
        [np.kron(a, np.eye(2 * l2 + 1)) + np.kron(np.eye(2 * l1 + 1), b) for a, b in zip(j1, j2, strict=True)]
    )


def ladders(l1, l2):
    """{ℓ: (products, 2ℓ+1)}, the ladders among the products of weights l1 and l2, from J_- and orthogonality."""
    rung = np.add.outer(np.arange(-l1, l1 + 1), np.arange(-l2, l2 + 1)).ravel()
    j_x, j_y, _ = of_products(l1, l2)
    lowering = (j_x - 1j * j_y).real
    found = {}
    for l in range(l1 + l2, abs(l1 - l2) - 1, -1):
        above = np.array([c[:, k + l] for k, c in found.items()]).reshape(-1, len(rung))  # rung l of earlier ladders
        left_over = np.eye(len(rung))[rung == l] @ (np.eye(len(rung)) - above.T @ above)
        v = left_over[-1]  # the last has m1 = l1
        column = {l: v / np.linalg.norm(v)}
        for m in range(l, -l, -1):
            column[m - 1] = lowering @ column[m] / np.sqrt(l * (l + 1) - m * (m - 1))
        found[l] = np.stack([column[m] for m in range(-l, l + 1)], axis=1)
    return found


for l1 in range(4):
    for l2 in range(4):
        for l, c in ladders(l1, l2).items():
            np.testing.assert_allclose(c, table(l1, l2, l).reshape(-1, 2 * l + 1), atol=1e-13)
print(ladders(1, 1)[0].round(4).ravel())

# %% [markdown]
# (The last line is the dot product of notebook 01, with $1/\sqrt3 = 0.5774$.)
#
# ## Why the product is covariant
#
# Put all ladders side by side into one matrix $C$. It is square, and orthogonal, since different rungs and different
# ladders are. On a ladder the matrices $J_a$ are those of $D^\ell$, so $J_a C = C\,(\bigoplus_\ell J_a^\ell)$, and with
# the exponential of both sides
#
# $$D^{\ell_1} \otimes D^{\ell_2} = C\, \Bigl(\bigoplus_{\ell = |\ell_1 - \ell_2|}^{\ell_1 + \ell_2} D^\ell\Bigr)\,
# C^\dagger.$$
#
# In the picture, left what turns the 15 products, which looks like nothing in particular, and right the same in the
# basis $C$: three blocks.


# %%
def all_ladders(l1, l2):
    return np.concatenate([table(l1, l2, l).reshape(-1, 2 * l + 1) for l in range(abs(l1 - l2), l1 + l2 + 1)], axis=1)


d_products, c = np.kron(wigner_d(rotation, 2), wigner_d(rotation, 1)), all_ladders(2, 1)
blocks = block_diag(*(wigner_d(rotation, l) for l in (1, 2, 3)))
np.testing.assert_allclose(c.T @ c, np.eye(15), atol=1e-14)
np.testing.assert_allclose(d_products, c @ blocks @ c.T, atol=1e-13)

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 2, figsize=(7.4, 3.8))
for ax, matrix, title in zip(axes, (d_products, c.T @ d_products @ c), ("|D² ⊗ D¹|", "|C†(D² ⊗ D¹) C|"), strict=True):
    picture = ax.imshow(abs(matrix), cmap="Blues", vmin=0, vmax=1)
    ax.grid(False)
    ax.set(title=title, xticks=[], yticks=[])
figure.colorbar(picture, ax=axes, shrink=0.7)
plt.show()

# %% [markdown]
# Now covariance is one line, and with it the square of [notebook 03](03_so3_vectors.ipynb) that was missing: first
# turn, then multiply, or first multiply, then turn. Let $C_\ell$ be the columns of one ladder, so that
# $(A \otimes_{\rm cg} B)_\ell = C_\ell^\dagger\, (A \otimes B)$. Then
#
# $$\begin{aligned}
# C_\ell^\dagger\, (D^{\ell_1} A \otimes D^{\ell_2} B)
# &= C_\ell^\dagger\, (D^{\ell_1} \otimes D^{\ell_2})\, (A \otimes B) \\
# &= D^\ell\, C_\ell^\dagger\, (A \otimes B). \qquad \blacksquare
# \end{aligned}$$
#
# ## Why there is no other
#
# Could another product be covariant as well, one that the authors have overlooked? A map that is linear in $A$ and in
# $B$, over the complex numbers, is a linear map of their products $A \otimes B$. If it is covariant, it commutes with
# rotations, and Schur's lemma says which maps do: for every ladder of weight $\ell$ among the products, one number. So
# the most general one is
#
# $$\sum_{\text{paths } (\ell_1, \ell_2) \to \ell} w_{\ell_1 \ell_2}\, (A_{\ell_1} \otimes_{\rm cg} B_{\ell_2})_\ell$$
#
# with free complex numbers $w$, one for each path. That is what the network has, for each channel: the Clebsch-Gordan
# product makes all paths, and the weights $W_\ell$ of (S5) are these numbers. As in notebook 03 we can count, without
# believing any of this: the equations that covariance demands have as many solutions as there are paths. (With
# conjugates there are more: $\hat A_m = (-1)^m\, \overline{A_{-m}}$ turns with $D^\ell$, too, so that $\hat A
# \otimes_{\rm cg} B$ is covariant. The layers have none of these; $\xi_2$ of notebook 08 is the case $\ell = 0$.)


# %%
def number_of_covariant_products(l_max, l):
    """How many independent bilinear maps of two SO(3)-vectors with weights up to l_max give something of weight l."""
    one = [block_diag(*js) for js in zip(*(angular_momentum(k) for k in range(l_max + 1)), strict=True)]
    n, m = len(one[0]), 2 * l + 1
    equations = []
    for j, j_out in zip(one, angular_momentum(l), strict=True):
        products = np.kron(j, np.eye(n)) + np.kron(np.eye(n), j)
        equations.append(np.kron(j_out, np.eye(n * n)) - np.kron(np.eye(m), products.T))
    gram = sum(e.conj().T @ e for e in equations)
    return int((abs(np.linalg.eigvalsh(gram)) < 1e-9).sum())


rows = [[l, number_of_covariant_products(2, l), len(paths(l, 2, 2))] for l in range(3)]
print_table(rows, ["ℓ", "solutions", "paths, L = 2"])
assert all(solutions == number for _, solutions, number in rows)

# %% [markdown]
# ## A formula
#
# The climb can be done once and for all with letters. At the top of a ladder, $J_+ v = 0$ makes each coefficient minus
# a known number times its neighbour: this is the alternating sign below. Going down $\ell - m$ rungs applies
# $(J_-^{(1)} + J_-^{(2)})^{\ell - m}$, and the binomial theorem makes the sum over $k$. The square roots are the
# lengths. The result is *Racah's formula*, for $m = m_1 + m_2$ (otherwise the coefficient is zero):
#
# $$\begin{aligned}
# \langle \ell_1 m_1\, \ell_2 m_2 | \ell m \rangle &= \sqrt{N}\, \sqrt{M}\, \sum_k \frac{(-1)^k}{p_k\, q_k}, \\
# N &= (2\ell+1)\, \tfrac{(\ell+\ell_1-\ell_2)!\;(\ell-\ell_1+\ell_2)!\;(\ell_1+\ell_2-\ell)!}
# {(\ell_1+\ell_2+\ell+1)!}, \\
# M &= (\ell+m)!\,(\ell-m)!\,(\ell_1+m_1)! \\
# &\quad \times (\ell_1-m_1)!\,(\ell_2+m_2)!\,(\ell_2-m_2)!, \\
# p_k &= k!\,(\ell_1+\ell_2-\ell-k)!\,(\ell_1-m_1-k)!, \\
# q_k &= (\ell_2+m_2-k)!\,(\ell-\ell_2+m_1+k)! \\
# &\quad \times (\ell-\ell_1-m_2+k)!
# \end{aligned}$$
#
# The sum is over all $k$ for which no factorial is of a negative number.


# %%
def racah(l1, m1, l2, m2, l, m):
    if m != m1 + m2 or not abs(l1 - l2) <= l <= l1 + l2:
        return 0.0
    root = (2 * l + 1) * f(l + l1 - l2) * f(l - l1 + l2) * f(l1 + l2 - l) / f(l1 + l2 + l + 1)
    root *= f(l + m) * f(l - m) * f(l1 + m1) * f(l1 - m1) * f(l2 + m2) * f(l2 - m2)
    total = 0.0
    for k in range(l1 + l2 - l + 1):
        below = [k, l1 + l2 - l - k, l1 - m1 - k, l2 + m2 - k, l - l2 + m1 + k, l - l1 - m2 + k]
        if min(below) >= 0:
            total += (-1) ** k / np.prod([f(n) for n in below])
    return np.sqrt(root) * total


def span(l):
    return range(-l, l + 1)


for l1, l2, l in [(1, 1, 1), (2, 1, 3), (3, 3, 2), (3, 2, 1)]:
    naive = [[[racah(l1, m1, l2, m2, l, m) for m in span(l)] for m2 in span(l2)] for m1 in span(l1)]
    np.testing.assert_allclose(table(l1, l2, l), naive, atol=1e-14)

# %% [markdown]
# ## Dot and cross product
#
# For two arrows the paths into $\ell = 0$ and $\ell = 1$ must be old acquaintances. Let us write arrows in the
# complex basis (through the real one, whose order is $y, z, x$) and see:

# %%
u = real_from_complex(1)


def to_complex(arrow):
    x, y, z = arrow
    return np.concatenate([[1], u.conj().T @ np.array([y, z, x])])


def to_arrow(f):
    y, z, x = u @ f
    return np.array([x, y, z])


v, w = rng.standard_normal((2, 3))
number = cg_product(to_complex(v), to_complex(w), 1, 1, 0)[0]
arrow = to_arrow(cg_product(to_complex(v), to_complex(w), 1, 1, 1))
print("dot product:  ", np.round(number / (v @ w), 12), " is -1/√3 =", -1 / np.sqrt(3))
print("cross product:", np.round(arrow / np.cross(v, w), 12), " is -i/√2")

# %% [markdown]
# So Clebsch-Gordan products generalise what everyone learns in the first year: dot and cross product are the cases
# $(1,1) \to 0$ and $(1,1) \to 1$, up to constants.
#
# What is $(1, 1) \to 2$? An SO(3)-vector can be seen as a function on the sphere,
# $f(\hat{\mathbf u}) = \sum_m F_{\ell m}\, \overline{Y^\ell_m(\hat{\mathbf u})}$, which turns when $F$ turns. Below
# are the three parts of the product of two arrows (black), and in the lower row the same after the arrows have been
# turned. Colour is the sign.

# %% tags=["hide-input"]
v, w = np.array([1.0, 0.2, 0.1]), np.array([0.1, 0.3, 1.0])
harmonics = complex_sh(sphere()[2], 2).conj()
rotation = Rotation.from_euler("ZYX", (70, 35, 20), degrees=True).as_matrix()
axes = iter(axes_3d(3, 2, size=2.4))
for p, q in [(v, w), (rotation @ v, rotation @ w)]:
    for l in range(3):
        values = np.tensordot(cg_product(to_complex(p), to_complex(q), 1, 1, l), harmonics[block(l)], axes=1)
        values = values.imag if l == 1 else values.real
        values = 0.6 * values / abs(values).max()
        ax = next(axes)
        draw_spherical_function(ax, values, np.sign(values), "coolwarm", (-1.2, 1.2), reach=1)
        for arrow in (p, q):
            ax.quiver(0, 0, 0, *arrow, color="black", linewidth=1.5, zorder=20)
        if p is v:
            ax.set_title(["ℓ = 0: dot", "ℓ = 1: cross", "ℓ = 2"][l])
plt.show()

# %% [markdown]
# (The ball is blue, negative, because of the constant $-1/\sqrt3$: here $v \cdot w > 0$.) The ball does not turn, the
# $\ell = 1$ lobes stand upright on both arrows, and the four lobes of $\ell = 2$ follow their plane.
#
# ## Multiplying harmonics gives harmonics
#
# Two harmonics of the *same* direction, multiplied, can only give harmonics of that direction, times a number:
#
# $$Y^{\ell_1}(\hat{\mathbf r}) \otimes_{\rm cg} Y^{\ell_2}(\hat{\mathbf r}) =
# \langle \ell_1 0\, \ell_2 0 | \ell 0\rangle\; Y^\ell(\hat{\mathbf r}).$$

# %%
y = complex_sh(rng.standard_normal((4, 3)), 3)
rows = []
for l1, l2, l in [(1, 1, 0), (1, 1, 1), (1, 1, 2), (2, 1, 1), (2, 1, 2), (2, 1, 3), (2, 2, 2), (3, 2, 2)]:
    constant = exact(l1, 0, l2, 0, l, 0)
    np.testing.assert_allclose(cg_product(y, y, l1, l2, l), float(constant) * y[block(l)], atol=1e-13)
    rows.append([l1, l2, l, constant])
print_table(rows, ["ℓ1", "ℓ2", "ℓ", "constant"])

# %% [markdown]
# The constant is zero whenever $\ell_1+\ell_2+\ell$ is odd: one direction has no cross product with itself. But a
# molecule has many directions, and then such products do not vanish. They are *pseudo*-vectors, which a mirror
# leaves pointing the other way than a true vector. Cormorant keeps them all. It is covariant under rotations, not
# under reflections, so its energy of a molecule and of the mirror image may differ. For energies that is no virtue:
# the true ones are equal, and what the network could have by construction it has to learn. (Notebook 16 measures how
# well the shipped model has.) A network that knows the parity of every number, and lets only even scalars
# into the energy, has it for free.
#
# ## What it costs
#
# The number of products grows quickly with $L$. The table counts, for one channel, the dense multiplications of
# $A \otimes_{\rm cg} B$ against the non-zero coefficients.

# %%
rows = []
for l_max in range(6):
    all_paths = [(l1, l2, l) for l in range(l_max + 1) for l1, l2 in paths(l, l_max, l_max)]
    nonzero = sum(np.count_nonzero(table(*path)) for path in all_paths)
    outputs = sum(2 * l + 1 for _, _, l in all_paths)
    rows.append([l_max, len(all_paths), (l_max + 1) ** 4, outputs, (l_max + 1) ** 4 * outputs, nonzero])
print_table(rows, ["L", "paths", "products", "results", "dense", "nonzero"])

# %% [markdown]
# ## Exercises
#
# **1.** *Predict.* Is the product commutative? Is it associative?
#
# <details><summary>Solution</summary>
#
# Up to the sign $(-1)^{\ell_1+\ell_2-\ell}$ it is commutative, path by path. It is not associative:
# $(a \times b) \times c \neq a \times (b \times c)$ is the simplest example. Regrouping three factors mixes paths
# (by the 6j symbols).
#
# </details>
#
# **2.** *Derive* or show numerically that $\ell = 2$ of two arrows is the symmetric traceless matrix
# $M = \tfrac12(v w^T + w v^T) - \tfrac13 (v\cdot w)\, 1$: the function drawn above is proportional to
# $\hat{u}^T M \hat{u}$.
#
# <details><summary>Solution</summary>
#
# ```python
# m = (np.outer(v, w) + np.outer(w, v)) / 2 - v @ w * np.eye(3) / 3
# directions = sphere()[2]
# f = np.tensordot(cg_product(to_complex(v), to_complex(w), 1, 1, 2), harmonics[block(2)], axes=1).real
# g = np.einsum("...a,ab,...b", directions, m, directions)
# print(np.polyfit(g.ravel(), f.ravel(), 1))  # a slope, and no intercept
# ```
#
# </details>
#
# **3.** *Predict.* How often must one multiply, starting from $\ell \le 1$, to reach $\ell = 8$?
#
# <details><summary>Solution</summary>
#
# $\ell$ at most doubles, so three times: 2, 4, 8. Cormorant cuts at $L = 3$ after every product.
#
# </details>
#
# **4.** *Code.* Three arrows span a box. Write its signed volume, `volume(u, v, w)`, with `to_complex` and two calls
# of `cg_product` in place of any dot or cross product. Can a network with only even $\ell_1 + \ell_2 + \ell$ compute
# it?


# %% tags=["hide-input"]
def check_volume(volume):
    for _ in range(20):
        arrows = rng.standard_normal((3, 3))
        np.testing.assert_allclose(volume(*arrows), np.linalg.det(arrows), atol=1e-12)
    print("right")


# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def volume(u, v, w):
#     normal = np.concatenate([[0], cg_product(to_complex(u), to_complex(v), 1, 1, 1)])
#     return (cg_product(normal, to_complex(w), 1, 1, 0)[0] / (1j / np.sqrt(6))).real
#
#
# check_volume(volume)
# ```
#
# The constant is that of the cross product times that of the dot product, $(-i/\sqrt2)(-1/\sqrt3)$. The volume changes
# its sign in a mirror: it is a pseudoscalar, and its first factor is the odd path $(1, 1) \to 1$. With even paths
# alone there is none.
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py), [clebsch_gordan.py](../cormorant_np/clebsch_gordan.py)
#
# **In the documentation:** [coupling](../docs/derivations/coupling.md)
#
# **Next:** [05 · Radial functions and the soft mask](05_radial_functions.ipynb)
