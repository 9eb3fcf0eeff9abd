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

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.transform import Rotation

from cormorant_np import plain
from cormorant_np.clebsch_gordan import exact, paths, table
from cormorant_np.drawing import axes_3d, draw_spherical_function, print_table, sphere
from cormorant_np.network.coupling import coefficient_matrix, different_paths, published_paths
from cormorant_np.rotation import random_rotation, rotate
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
# The fast network does all paths into all $\ell$ at once, with the matrix of notebook 01: first the products $F_p F_q$
# of all components, then one multiplication. The columns of the matrix are those of the aggregate, of the identity
# and of the square, and its rows are ordered $(\ell, m, \text{path})$. We take the columns of the square, and read
# off its paths.

# %%
order = ("square", "identity", "aggregate")
matrix = coefficient_matrix(2, 0, 2, order).toarray()[:, 9 + 9 :]
pairs = (features[:, None] * features).reshape(81, -1)  # F_p F_q for all p and q
z = (matrix @ pairs).reshape(-1, 2, 3)

row, compared = 0, []
for l in range(3):
    published = published_paths(l, 2, 0, order)
    z_l = z[row : row + (2 * l + 1) * len(published)].reshape(2 * l + 1, len(published), 2, 3)
    row += (2 * l + 1) * len(published)
    for k, (l1, l2) in enumerate(paths(l, 2, 2)):
        np.testing.assert_allclose(z_l[:, k], cg_product(features, features, l1, l2, l), atol=1e-13)
    different, _ = different_paths(published, l)
    compared.append([l, paths(l, 2, 2), [(l1, l2) for kind, l1, l2 in different if kind == "square"]])
print_table(compared, ["ℓ", "paths of F ⊗ F", "different ones"])

# %% [markdown]
# The right column is shorter, because $(\ell_1, \ell_2)$ and $(\ell_2, \ell_1)$ give the same up to a sign if both
# factors are equal, and $(\ell_1, \ell_1)$ vanishes for odd $\ell$. The network's weights are counted for *all*
# paths, as in the paper; the fast network only avoids computing the same thing twice, and adds up, with the right
# signs, the weights of paths that are equal (`different_paths`).
#
# ## Covariance
#
# Turn the factors, and the product turns: $(D A) \otimes_{\rm cg} (D B) = D\,(A \otimes_{\rm cg} B)$. All of
# Cormorant rests on this line.

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
print("cross product:", np.round(arrow / np.cross(v, w), 12), " is ±i/√2")

# %% [markdown]
# So Clebsch-Gordan products generalise what everyone learns in the first year: dot and cross product are the cases
# $(1,1) \to 0$ and $(1,1) \to 1$, up to constants.
#
# What is $(1, 1) \to 2$? An SO(3)-vector can be seen as a function on the sphere,
# $f(\hat{\mathbf u}) = \sum_m F_{\ell m}\, \overline{Y^\ell_m(\hat{\mathbf u})}$, which turns when $F$ turns. Below
# are the three parts of the product of two arrows (black), and in the lower row the same after the arrows have been
# turned. Colour is the sign.

# %%
v, w = np.array([1.0, 0.2, 0.1]), np.array([0.1, 0.3, 1.0])
harmonics = complex_sh(sphere()[2], 2).conj()
rotation = Rotation.from_euler("ZYX", (70, 35, 20), degrees=True).as_matrix()
axes = iter(axes_3d(3, 2, size=2.4))
for p, q in [(v, w), (rotation @ v, rotation @ w)]:
    for l in range(3):
        f = np.tensordot(cg_product(to_complex(p), to_complex(q), 1, 1, l), harmonics[block(l)], axes=1)
        f = f.imag if l == 1 else f.real
        f = 0.6 * f / abs(f).max()
        ax = next(axes)
        draw_spherical_function(ax, f, np.sign(f), "coolwarm", (-1.2, 1.2), reach=1)
        for arrow in (p, q):
            ax.quiver(0, 0, 0, *arrow, color="black", linewidth=1.5, zorder=20)
        if p is v:
            ax.set_title(["ℓ = 0: dot", "ℓ = 1: cross", "ℓ = 2"][l])
plt.show()

# %% [markdown]
# (The ball is blue, negative, for the sake of the constant $-1/\sqrt3$.) The ball does not turn, the $\ell = 1$
# lobes stand upright on both arrows, and the four lobes of $\ell = 2$ follow their plane.
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
# under reflections, and can tell a molecule from its mirror image.
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
# **1.** Is the product commutative? Is it associative?
#
# <details><summary>Solution</summary>
#
# Up to the sign $(-1)^{\ell_1+\ell_2-\ell}$ it is commutative, path by path. It is not associative:
# $(a \times b) \times c \neq a \times (b \times c)$ is the simplest example. Regrouping three factors mixes paths
# (by the 6j symbols).
#
# </details>
#
# **2.** Show numerically that $\ell = 2$ of two arrows is the symmetric traceless matrix
# $\tfrac12(v w^T + w v^T) - \tfrac13 (v\cdot w)$: the function drawn above is proportional to
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
# **3.** How often must one multiply, starting from $\ell \le 1$, to reach $\ell = 8$?
#
# <details><summary>Solution</summary>
#
# $\ell$ at most doubles, so three times: 2, 4, 8. Cormorant cuts at $L = 3$ after every product.
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py), [coupling.py](../cormorant_np/network/coupling.py)
#
# **In the documentation:** [coupling](../docs/derivations/coupling.md)
#
# **Next:** [05 · Radial functions and the soft mask](05_radial_functions.ipynb)
