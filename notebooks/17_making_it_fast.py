# %% [markdown]
# # 17 · Making it fast
#
# `plain.py` takes one molecule at a time and hides nothing. The fast network, `model.py` and `network/`, computes the
# same numbers for many molecules. Here is the list of what it does differently, and a demonstration of the one step
# that has not been shown yet, all Clebsch-Gordan products of a layer as one sparse matrix.
#
# | what | why | where it is explained |
# |---|---|---|
# | many molecules in one array `((L+1)², C, B, N)` | few large operations instead of many small ones | here |
# | pairs $j \le i$ are kept once | $g$, $d$, $\eta$ and $\mu$ are symmetric | notebook 06 |
# | real harmonics for the pairs | complex times real is half the work | notebook 07 |
# | sum over neighbours first, couple after | the coefficients do not know the atoms | notebook 07 |
# | equal paths of the square once (*fold*) | $(\ell_1, \ell_2)$ and $(\ell_2, \ell_1)$ differ by a sign | here |
# | complex matrices in real form | small real products are faster, $\dagger$ becomes a transpose | notebook 07 |
# | chunks and processes | arrays that fit into the cache, work for every core | notebook 13 |
#
# What each has gained on which machine is on the page about [performance](../docs/performance.md).

# %% tags=["hide-input"]
import time

import matplotlib.pyplot as plt
import numpy as np

from cormorant_np import Config, data, model, plain
from cormorant_np.clebsch_gordan import paths, table
from cormorant_np.drawing import print_table
from cormorant_np.network.coupling import coefficient_matrix, coupling, different_paths, published_paths
from cormorant_np.so3_vector import block

rng = np.random.default_rng(0)

# %% [markdown]
# ## How much is it in all?
#
# Energies and gradients of the paper's network for ten molecules, by both, in 64-bit floats:

# %% tags=["machine"]
config, ethanol = Config.md17(), data.load("sample")
params = model.init_params(config, rng, np.float64)
batch = data.make_batch(ethanol.charges[:10], ethanol.positions[:10], config, np.float64)


def by_plain():
    results = []
    for z, r in zip(*batch, strict=True):
        energy, cache = plain.forward(params, z, r, config)
        results.append((energy, plain.backward(1.0, cache)[1]))
    return [np.array(x) for x in zip(*results, strict=True)]


def by_model():
    energy, cache = model.forward(params, batch, config)
    return energy, model.backward(np.ones(10), cache)[1]


rows, answers = [], []
for name, function in [("plain.py", by_plain), ("fast", by_model)]:
    function()  # tables are made at the first call
    began = time.perf_counter()
    answers.append(function())
    rows.append([name, 1000 * (time.perf_counter() - began) / 10])
for slow, fast in zip(*answers, strict=True):
    np.testing.assert_allclose(fast, slow, atol=1e-11 * abs(slow).max())
print_table(rows, ["", "ms a molecule"])

# %% [markdown]
# ## All products of a layer at once
#
# The coefficients do not depend on the atom, the molecule or the channel. So all products of one layer are one sparse
# matrix, `coefficient_matrix(...)`. For $L = 3$ it takes the 256 products $\sum_j G_p F_q$, the 16 components of $F$
# and the 256 products $F_p F_q$ to all results, every path and component of (S5). It is almost empty:

# %%
order = ("aggregate", "square", "identity")
matrix = coefficient_matrix(3, 3, 3, order).tocoo()
filled = matrix.nnz / np.prod(matrix.shape)
print(f"{matrix.shape[0]} x {matrix.shape[1]}, {matrix.nnz} nonzeros: {100 * filled:.1f} %")

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(8.5, 5.2))
style = {"cmap": "RdBu", "vmin": -1, "vmax": 1, "edgecolor": "#888888", "lw": 0.2}
points = ax.scatter(matrix.col, matrix.row, c=matrix.data, s=7, **style)
ax.invert_yaxis()
for edge, name in [(128, "Σ G ⊗ F"), (264, "F"), (400, "F ⊗ F")]:
    ax.text(edge, -6, name, ha="center")
for edge in (256, 272):
    ax.axvline(edge - 0.5, color="grey", linewidth=0.7)
ax.set(xlabel="product of two components", ylabel="result, ordered (ℓ, m, path)")
figure.colorbar(points, label="coefficient")
plt.show()

# %% [markdown]
# The stroke in the middle is the identity, the skip connection of (S5). On a small case, $F \otimes_{\rm cg} F$ with
# $L = 2$, the matrix gives what `plain` gives. Its columns are those of the aggregate, of the identity and of the
# square; we take the last.

# %%
features = rng.standard_normal((9, 2, 3)) + 1j * rng.standard_normal((9, 2, 3))  # (L+1)², channels, atoms
F = [features[block(l)] for l in range(3)]
order = ("square", "identity", "aggregate")
of_square = coefficient_matrix(2, 0, 2, order).toarray()[:, 9 + 9 :]
z = (of_square @ (features[:, None] * features).reshape(81, -1)).reshape(-1, 2, 3)  # of F_p F_q for all p and q

row, compared = 0, []
for l in range(3):
    published = published_paths(l, 2, 0, order)
    z_l = z[row : row + (2 * l + 1) * len(published)].reshape(2 * l + 1, len(published), 2, 3)
    row += (2 * l + 1) * len(published)
    for k, product in enumerate(plain.cg_product_forward(F, F, l, plain.SQUARE)):
        np.testing.assert_allclose(z_l[:, k], product, atol=1e-13)
    different, _ = different_paths(published, l)
    compared.append([l, paths(l, 2, 2), [(l1, l2) for kind, l1, l2 in different if kind == "square"]])
print_table(compared, ["ℓ", "paths of F ⊗ F", "different ones"])

# %% [markdown]
# ## The fold
#
# The right column is shorter, because $(\ell_1, \ell_2)$ and $(\ell_2, \ell_1)$ give the same up to a sign if both
# factors are equal, and $(\ell_1, \ell_1)$ vanishes for odd $\ell$. The network's weights are counted for *all*
# paths, as in the paper; the fast network only avoids computing the same thing twice, and adds up, with the right
# signs, the weights of paths that are equal (`different_paths`).
#
# What the fast network multiplies with in the end, `coupling(...)`, keeps the different paths and the 136 products
# $F_p F_q$ with $p \le q$. It has two real rows and columns for each complex one, and takes the products with real
# harmonics back to the complex ones (notebook 07):

# %%
fast = coupling(3, 3, 3, ("aggregate", "square", "identity"), "float64", "cpu").matrix
print(f"what the network multiplies with: {fast.shape[0]} x {fast.shape[1]}, {fast.nnz} nonzeros")
np.testing.assert_allclose(table(1, 2, 2), -table(2, 1, 2).swapaxes(0, 1), atol=1e-15)  # (-1)^(1 + 2 - 2)

# %% [markdown]
# ## Exercises
#
# **1.** *Predict.* What is the largest number of entries in one row of the matrix in the picture?
#
# <details><summary>Solution</summary>
#
# A row $(\ell, m, \text{path})$ has an entry for every $m_1 + m_2 = m$, at most $2 \min(\ell_1, \ell_2) + 1$, that is
# 7:
#
# ```python
# print(np.bincount(matrix.row).max())
# ```
#
# </details>
#
# **2.** *Derive.* By which map do gradients come back through the sparse matrix?
#
# <details><summary>Solution</summary>
#
# $Z = M X$ with real $M$ gives $dX = M^T dZ$.
#
# </details>
#
# **3.** *Code.* Measure the same for one molecule and for 100. Where does the fast network's advantage come from?
#
# <details><summary>Solution</summary>
#
# Change `[:10]` and `np.ones(10)`. For one molecule most of the time is that of Python's calls.
#
# </details>

# %% [markdown]
# **In the code:** [coupling.py](../cormorant_np/network/coupling.py), [model.py](../cormorant_np/model.py)
#
# **In the documentation:** [coupling](../docs/derivations/coupling.md), [performance](../docs/performance.md)
