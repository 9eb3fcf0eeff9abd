# %% [markdown]
# # 01 · Clebsch-Gordan coefficients
#
# Take two arrows $\mathbf a$ and $\mathbf b$. From their nine products $a_p b_q$ one can make a number that does
# not turn (the dot product), an arrow that turns (the cross product) and five numbers that turn among themselves in
# a finer way. The nine products *decompose*: $3 \times 3 = 1 + 3 + 5$.
#
# Clebsch-Gordan coefficients say how, for any two weights $\ell_1$ and $\ell_2$:
#
# $$(A \otimes_{\rm cg} B)_{\ell m} = \sum_{m_1 m_2} \langle \ell_1 m_1\, \ell_2 m_2 | \ell m \rangle\,
# A_{\ell_1 m_1} B_{\ell_2 m_2}, \qquad |\ell_1 - \ell_2| \le \ell \le \ell_1 + \ell_2.$$
#
# They are the only nonlinearity of Cormorant's covariant layers (section 1.4.4), so we want them without any
# rounding.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from IPython.display import display

from cormorant_np.clebsch_gordan import exact, paths, table
from cormorant_np.drawing import print_table

# %% [markdown]
# ## Exact square roots
#
# Every coefficient is a rational number times the square root of another. SymPy knows them, and `exact` asks SymPy.
# The case above, two arrows that couple to a number, to an arrow and to five more:

# %%
ms = [(m1, m2) for m1 in (-1, 0, 1) for m2 in (-1, 0, 1)]
columns = [(l, m) for l in range(3) for m in range(-l, l + 1)]
matrix = sp.Matrix([[exact(1, m1, 1, m2, l, m) for l, m in columns] for m1, m2 in ms])
display(matrix)

# %% [markdown]
# Rows are the products $(m_1, m_2)$, columns the results $(\ell, m)$. The first column is the dot product: it is
# $\frac{1}{\sqrt 3}(-1)^{1-m_1}$ where $m_1 + m_2 = 0$. This is footnote 1 of the supplement, and the reason for
# the sign $(-1)^m$ in all scalar products to come.
#
# The matrix is orthogonal, since decomposing is only a change of basis:

# %%
assert sp.simplify(matrix.T * matrix) == sp.eye(9)
assert sp.simplify(matrix * matrix.T) == sp.eye(9)


# %% [markdown]
# One need not trust SymPy, either. [Notebook 04](04_cg_product.ipynb) makes all of these numbers from a ladder, shows
# why they exist, and has a formula for them. `table` is what the network uses, the exact numbers as floats, in an
# array with the axes $m_1$, $m_2$, $m$:

# %%
np.testing.assert_allclose(
    np.concatenate([table(1, 1, l).reshape(9, 2 * l + 1) for l in range(3)], axis=1),
    np.array(matrix, dtype=float),
    atol=1e-15,
)

# %% [markdown]
# ## Selection rules and symmetry
#
# Two rules make almost all coefficients zero: the *triangle*, $|\ell_1 - \ell_2| \le \ell \le \ell_1 + \ell_2$, and
# $m = m_1 + m_2$. A third property will save us work in notebook 17: exchanging the two factors costs at most a
# sign,
#
# $$\langle \ell_1 m_1\, \ell_2 m_2 | \ell m \rangle = (-1)^{\ell_1+\ell_2-\ell}
# \langle \ell_2 m_2\, \ell_1 m_1 | \ell m \rangle.$$
#
# For two equal arrows and $\ell = 1$ the sign is $-1$: the cross product of an arrow with itself vanishes.

# %%
for l1, l2, l in [(1, 1, 1), (1, 1, 2), (2, 1, 2), (3, 2, 4)]:
    np.testing.assert_allclose(table(l1, l2, l), (-1) ** (l1 + l2 - l) * table(l2, l1, l).swapaxes(0, 1), atol=1e-15)
    sums = np.einsum("abm,abn->mn", table(l1, l2, l), table(l1, l2, l))
    np.testing.assert_allclose(sums, np.eye(2 * l + 1), atol=1e-14)

# %% [markdown]
# Here are the dense matrices for three pairs of weights, products in the rows and results in the columns. The
# colour of a square is the coefficient.

# %% tags=["hide-input"]
figure, axes = plt.subplots(1, 3, figsize=(10, 4.6), width_ratios=[9, 15, 25])
for ax, (l1, l2) in zip(axes, [(1, 1), (2, 1), (2, 2)], strict=True):
    ls = range(abs(l1 - l2), l1 + l2 + 1)
    full = np.concatenate([table(l1, l2, l).reshape(-1, 2 * l + 1) for l in ls], axis=1)
    picture = ax.imshow(full, cmap="RdBu", vmin=-1, vmax=1)
    ax.grid(False)
    edges = np.cumsum([2 * l + 1 for l in ls]) - 0.5
    for edge in edges[:-1]:
        ax.axvline(edge, color="grey", linewidth=0.7)
    ax.set_xticks(edges - np.array([l + 0.5 for l in ls]), ls)
    ax.set_yticks([])
    ax.set(title=f"ℓ1 = {l1}, ℓ2 = {l2}", xlabel="ℓ", ylabel="(m1, m2), m2 fastest")
figure.colorbar(picture, ax=axes, label="coefficient", shrink=0.7)
plt.show()

# %% [markdown]
# ## Paths
#
# A *path* is one way to arrive at a weight, a pair $(\ell_1, \ell_2)$. There are many, and notebook 07 mixes them.

# %%
print_table([[l, len(paths(l, 3, 3)), paths(l, 3, 3)] for l in range(4)], ["ℓ", "paths", "(ℓ1, ℓ2) up to L = 3"])

# %% [markdown]
# ## Exercises
#
# **1.** *Predict.* How many different $\ell$ can come out of $\ell_1 = 3$ and $\ell_2 = 2$? Check that the dimensions
# add up.
#
# <details><summary>Solution</summary>
#
# $\ell = 1, \dots, 5$, five of them, and $3 + 5 + 7 + 9 + 11 = 35 = 7 \cdot 5$. The network keeps only those up to
# $L$.
#
# </details>
#
# **2.** *Derive.* Which products of an SO(3)-vector with itself vanish always?
#
# <details><summary>Solution</summary>
#
# $\ell_1 = \ell_2$ with $\ell_1 + \ell_2 - \ell$ odd, that is odd $\ell$: exchanging the equal factors changes the
# sign and nothing else. `plain.py` computes them all the same; the fast network leaves them out (notebook 17).
#
# </details>
#
# **3.** *Code.* The supplement's dot product of two vectors of the same weight is $\sum_m (-1)^m x_m\, y_{-m}$. Write
# it as `dot(x, y)` with `table` alone: it is a Clebsch-Gordan product up to a constant. Which?


# %% tags=["hide-input"]
def check_dot(dot):
    rng = np.random.default_rng(0)
    for l in range(5):
        x, y = rng.standard_normal((2, 2 * l + 1)) + 1j * rng.standard_normal((2, 2 * l + 1))
        expected = sum((-1) ** m * x[l + m] * y[l - m] for m in range(-l, l + 1))
        np.testing.assert_allclose(dot(x, y), expected, err_msg=f"It is wrong for ℓ = {l}.")
    print("right for ℓ = 0 to 4")


# %% [markdown]
# <details><summary>Solution</summary>
#
# The coefficients are $\langle \ell m\, \ell\, {-m} | 0 0 \rangle = (-1)^{\ell-m}/\sqrt{2\ell+1}$, as in the first
# column of the matrix above. So the constant is $(-1)^\ell \sqrt{2\ell+1}$:
#
# ```python
# def dot(x, y):
#     l = len(x) // 2
#     return (-1) ** l * np.sqrt(2 * l + 1) * np.einsum("ab,a,b", table(l, l, 0)[:, :, 0], x, y)
#
#
# check_dot(dot)
# ```
#
# </details>

# %% [markdown]
# **In the code:** [clebsch_gordan.py](../cormorant_np/clebsch_gordan.py)
#
# **In the documentation:** [coupling](../docs/derivations/coupling.md)
#
# **Next:** [02 · Spherical harmonics](02_spherical_harmonics.ipynb)
