# %% [markdown]
# # 07 · From edges to vertices: the vertex network
#
# Now an atom takes in its surroundings. First the edge scalars get a direction (S3). Then each atom multiplies what
# the edges bring with its neighbours' states, adds its own state multiplied by itself, adds itself, and mixes it
# all (S4, S5). The result is its state in the next layer. Everything from notebooks 01 to 06 comes together here.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np

from cormorant_np import Config, data, plain
from cormorant_np.clebsch_gordan import paths, table
from cormorant_np.drawing import axes_3d, draw_molecule, draw_spherical_function, print_table, sphere
from cormorant_np.gradient_check import backward_errors
from cormorant_np.model import features as all_features
from cormorant_np.model import init_params
from cormorant_np.network.arrangement import arrange_forward, layer_coupling
from cormorant_np.network.geometry import geometry_forward, real_harmonics_forward
from cormorant_np.network.pairs import spread
from cormorant_np.network.parameters import num_paths
from cormorant_np.network.real_form import join, real_matrix, split
from cormorant_np.network.vertex_network import (
    edge_to_vertex_backward,
    edge_to_vertex_forward,
    vertex_network_backward,
    vertex_network_forward,
)
from cormorant_np.rotation import random_rotation, rotate
from cormorant_np.so3_vector import block
from cormorant_np.spherical_harmonics import complex_sh, real_from_complex

# %% [markdown]
# ## What an atom can see
#
# Let a carbon atom look around. Each neighbour $j$ contributes its harmonics $Y^\ell(\hat{\mathbf r}_{ij})$, and
# the atom gets only their sum. How well does the sum tell where the neighbours are? Read it as a function on the
# sphere again,
#
# $$f(\hat{\mathbf u}) = \sum_{\ell \le L} (2\ell+1) \sum_j \sum_m Y^\ell_m(\hat{\mathbf r}_{ij})\,
# \overline{Y^\ell_m(\hat{\mathbf u})}.$$
#
# It grows where a neighbour is, as sharply as $L$ allows.

# %% tags=["hide-input"]
ethanol = data.load("sample")
charges, positions = ethanol.charges[0], ethanol.positions[0]
neighbours = [1, 6, 7, 8]  # of atom 0, a carbon
towards = positions[neighbours] - positions[0]
axes = axes_3d(4, size=2.4)
draw_molecule(axes[0], charges[[0, *neighbours]], positions[[0, *neighbours]], reach=1.6)
axes[0].set_title("a carbon and its\nfour neighbours")
for ax, l_max in zip(axes[1:], (1, 3, 6), strict=True):
    seen, grid = complex_sh(towards, l_max).sum(axis=1), complex_sh(sphere()[2], l_max).conj()
    weights = np.concatenate([np.full(2 * l + 1, 2 * l + 1) for l in range(l_max + 1)])
    f = np.tensordot(weights * seen, grid, axes=1).real
    f = 0.9 * np.maximum(f, 0) / f.max()
    draw_spherical_function(ax, f, f, "viridis", (0, 1))
    ax.set_title(f"seen with L = {l_max}")
plt.show()

# %% [markdown]
# With $L = 1$ the atom feels only on which side most neighbours are; with $L = 3$, Cormorant's choice, it can count
# them. (In the network the direction of $\mathbf r_{ij} = \mathbf r_i - \mathbf r_j$ is from $j$ to $i$, so what it
# uses is this picture mirrored at the atom.)
#
# ## Edges get a direction
#
# $$G_{\ell c, ij}^{s+1} = g_{\ell c, ij}^{s+1}\, Y^\ell(\hat{\mathbf r}_{ij}) \tag{S3}$$
#
# The supplement prints $g^s$ on the right. That would be the *old* edges, which do not exist in the first layer,
# and the new ones would have no use; the overview in 1.4.1 and the released code have $g^{s+1}$, and so has the
# library. In `plain.edge_to_vertex_forward` it is one product for each $\ell$:

# %%
config = Config.md17(num_channels=2, l_max=(2, 2), l_max_sh=(2, 2))
rng = np.random.default_rng(0)
_, harmonics, _ = plain.geometry_forward(positions, config)


def random_complex(*shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


g = random_complex(3, 2, 9, 9) * (1 - np.eye(9))  # ℓ, channels, i, j; none with i = j
g = g + g.swapaxes(2, 3)  # edges are symmetric
naive = [np.zeros((2 * l + 1, 2, 9, 9), dtype=complex) for l in range(3)]
for i in range(9):
    for j in range(9):
        if i != j:
            y = complex_sh(positions[i] - positions[j], 2)
            for l in range(3):
                for m in range(-l, l + 1):
                    naive[l][l + m, :, i, j] = g[l, :, i, j] * y[l * l + l + m]

G, _ = plain.edge_to_vertex_forward(g, harmonics)
for l in range(3):
    np.testing.assert_allclose(G[l], naive[l], atol=1e-14)

# %% [markdown]
# ## The vertex network
#
# $$F_{\ell, i}^{s+1} = \sum_{c'} \Bigl(\bigoplus_{c_1} F_{c_1, i}^{\rm ag} \oplus \bigoplus_{c_2} F_{c_2, i}^{\rm nl}
# \oplus \bigoplus_{c_3} F_{c_3, i}^{\rm id}\Bigr)_{\ell, c'} \bigl(W_{s,\ell}^{\rm vertex}\bigr)_{c' c} \tag{S4, S5}$$
#
# with three parts:
#
# $$F_i^{\rm ag} = \sum_{j \in N(i)} G_{ij} \otimes_{\rm cg} F_j^s, \qquad F_i^{\rm nl} = F_i^s \otimes_{\rm cg} F_i^s,
# \qquad F_i^{\rm id} = F_i^s.$$
#
# The *aggregation* is how atoms talk. The *nonlinearity* lets an atom think about what it has heard. The *identity*
# keeps what it knew. Channels are multiplied one by one, channel $c$ of the one factor with channel $c$ of the
# other; only $W$ mixes them. Here is the whole thing as a loop over atoms, weights and paths:

# %%
def cg(a, b, l1, l2, l):
    """One path, for all channels at once."""
    return np.einsum("abm,ac,bc->mc", table(l1, l2, l), a, b)


features = random_complex(9, 2, 1, 9)  # components (ℓ, m), channels, molecules, atoms
F = [features[block(l), :, 0] for l in range(3)]
params = init_params(config, rng, np.float64)
weights = plain.under("layers.1.vertex.weight.", params)

naive = [np.zeros((2 * l + 1, 2, 9), dtype=complex) for l in range(3)]
for i in range(9):
    for l in range(3):
        concatenated = []
        for l1, l2 in paths(l, 2, 2):
            concatenated.append(sum(cg(G[l1][:, :, i, j], F[l2][:, :, j], l1, l2, l) for j in range(9) if j != i))
        for l1, l2 in paths(l, 2, 2):
            concatenated.append(cg(F[l1][:, :, i], F[l2][:, :, i], l1, l2, l))
        concatenated.append(F[l][:, :, i])
        x = np.concatenate(concatenated, axis=1)  # 2ℓ+1 rows, one column for every path and channel
        naive[l][:, :, i] = x @ weights[str(l)].T

new_F, _ = plain.vertex_network_forward(weights, G, F, config.vertex_order)
for l in range(3):
    np.testing.assert_allclose(new_F[l], naive[l], atol=1e-12)

# %% [markdown]
# `plain.vertex_network_forward` is the same without the loop over atoms. What follows is how the fast network does it.
#
# ## Fast: pairs once, and real harmonics
#
# $g_{ij}$ is symmetric and kept once for each pair (notebook 06). $Y^\ell$ is nearly so: $\hat{\mathbf r}_{ji} =
# -\hat{\mathbf r}_{ij}$, and $Y^\ell(-\hat{\mathbf r}) = (-1)^\ell\, Y^\ell(\hat{\mathbf r})$. So harmonics are kept
# once, too, and `real_harmonics_forward` makes those of both orders, in arrays that end in `(..., N_j, N_i)`.
#
# As its name says, it makes the *real* harmonics, $Y_{\rm real} = U\, Y$ (notebook 02): $g$ times a real number is half
# the work of $g$ times a complex one. What comes out is $U G$. Nothing is lost, since $U^\dagger$ leads back; in the
# network it waits until the Clebsch-Gordan coefficients are applied, and is part of them.

# %%
batch = data.make_batch(ethanol.charges[:1], ethanol.positions[:1], config, np.float64)
geometry, _ = geometry_forward(batch.charges, batch.positions, config)
y = real_harmonics_forward(geometry.harmonics)
first, second = np.triu_indices(9)
edges = g[:, :, None, first, second]  # ℓ, channels, molecules, pairs
for l in range(3):
    pairs = join(edge_to_vertex_forward(split(spread(edges[l]), 2), y[block(l)]), 3)  # U G
    pairs = np.tensordot(real_from_complex(l).conj().T, pairs, axes=1)
    np.testing.assert_allclose(pairs[:, :, 0].swapaxes(2, 3), G[l], atol=1e-14)

# %% [markdown]
# ## Fast: real form
#
# The fast $G$ has an axis of length 2 more, made by `split` and removed by `join`. From here to the end of the layer,
# a complex number $x + iy$ is kept as the pair $(x, y)$, and a factor $u + iv$ acts on it as a real matrix,
#
# $$(u + iv)(x + iy) \;\leftrightarrow\;
# \begin{pmatrix} u & -v \\ v & u \end{pmatrix} \begin{pmatrix} x \\ y \end{pmatrix}.$$
#
# A product of complex matrices becomes one of real matrices with twice as many rows and columns. It costs the same
# multiplications, real matrices are faster to multiply when they are small, and the transpose of the real matrix is
# the *conjugate* transpose of the complex one, which is what the backward pass needs.

# %%
a, b, c = random_complex(4, 5), random_complex(5, 3), random_complex(4, 3)
matrix = real_matrix(a, 0).reshape(8, 10)
np.testing.assert_allclose(join((matrix @ split(b, 0).reshape(10, 3)).reshape(4, 2, 3), 1), a @ b)
np.testing.assert_allclose(join((matrix.T @ split(c, 1).reshape(8, 3)).reshape(2, 5, 3), 0), a.conj().T @ c)

# %% [markdown]
# ## Fast: coefficients last
#
# The fast network turns the order around. The loop couples first and sums over neighbours after; the fast network
# sums the products $\sum_j G_p F_q$ first, matrix products for all components $p$ and $q$, then applies the sparse
# matrix of all Clebsch-Gordan coefficients, then mixes, one matrix product for each $\ell$. Sums may be exchanged,
# so the result is the same, and it is far faster. The weights have been *arranged* for this: folded, since the
# square's paths are computed once (notebook 04), and put side by side in real form.

# %%
couple = layer_coupling(config, 1, features)
matrices = arrange_forward(params, config)["layers.1.vertex"]
new_features, _ = vertex_network_forward(edges, y, features, matrices, couple)
np.testing.assert_allclose(new_features[:, :, 0], np.concatenate(new_F), atol=1e-12)

# %% [markdown]
# $G$ itself never exists as a whole. It would be the largest array of the network, too large for a processor's cache.
# `aggregate_forward` makes it for one $\ell$, multiplies it with $F$, and forgets it; the backward pass makes it anew,
# one multiplication for each number, rather than fetch it from memory.
#
# And it is covariant. Turn the harmonics and the states, and the new states are turned:

# %%
rotation = random_rotation(rng)
turned_y = real_harmonics_forward(rotate(geometry.harmonics, rotation))
turned, _ = vertex_network_forward(edges, turned_y, rotate(features, rotation), matrices, couple)
np.testing.assert_allclose(turned, rotate(new_features, rotation), atol=1e-12)

# %% [markdown]
# ## Columns of the weight matrix
#
# How many SO(3)-vectors are concatenated? In the first layer the atoms have only $\ell = 0$. So for $\ell = 0$ there
# are three, one of each kind, and for every other $\ell$ there is one, $(\ell, 0)$ of the aggregate; from the second
# layer on there are many. For the paper's network, $L = 3$ and 16 channels:

# %%
paper = Config.md17()
rows = []
for s in range(2):
    l_in = paper.layer_l_max(s)
    for l in range(4):
        aggregate, square = len(paths(l, 3, l_in)), len(paths(l, l_in, l_in))
        columns = num_paths(paper, s, l) * 16
        rows.append([f"{s} → {s + 1}", l, aggregate, square, int(l <= l_in), f"16 x {columns}"])
print_table(rows, ["layer", "ℓ", "aggregate", "square", "identity", "weight W"])

# %% [markdown]
# In the first layer, $F^1_\ell = W \sum_j g_{ij}\, Y^\ell(\hat{\mathbf r}_{ij})\, F^0_j$ is a sum over single
# neighbours. Angles come in wherever two directions are multiplied: in the invariants that are read off this layer
# (notebook 08), and in the products of the second. A third factor, and one has dihedral angles. This is how depth
# turns into geometry.
#
# ## How far news travels
#
# Move one atom a little, and look at which atoms' states change, layer by layer. We move hydrogen 3, which sits at
# the oxygen, in the paper's network at its start.

# %% tags=["hide-input"]
params = init_params(paper, np.random.default_rng(1), np.float64)
batch = data.make_batch(ethanol.charges[:1], ethanol.positions[:1], paper, np.float64)
moved = batch.positions.copy()
moved[0, 3, 2] += 1e-4
before = all_features(params, batch, paper)
after = all_features(params, batch._replace(positions=moved), paper)
axes = axes_3d(4, size=2.6)
for s, ax in enumerate(axes):
    old, new = before[s][:, :, 0], after[s][:, :, 0]
    change = np.linalg.norm(new - old, axis=(0, 1)) / np.linalg.norm(old, axis=(0, 1))
    draw_molecule(ax, charges, batch.positions[0], labels=False, highlight=np.log10(change / change.max()))
    ax.set_title(f"layer {s + 1}")
bar = plt.cm.ScalarMappable(plt.Normalize(-6, 0), "viridis")
axes[0].figure.colorbar(bar, ax=axes, shrink=0.7, label="change, powers of ten")
plt.show()

# %% [markdown]
# In the first layer the far hydrogens hear of it only through the tail of the mask. Each further layer passes the
# news on through the bonds.
#
# ## Backward
#
# Every step is a product or a sum, so every derivative is one too; the docstrings in `plain.py` and
# `vertex_network.py` have them in a line each, and notebook 09 derives them. Here we only check the fast ones, for $g$
# and $Y$ in (S3) with $\ell = 2$, and for $g$, $Y$, $F$ and the weights in all of (S3) to (S5):

# %%
def forward(*inputs):
    return vertex_network_forward(*inputs, couple)


def edge_to_vertex(g, y):
    return edge_to_vertex_forward(g, y), (g, y)


def edge_to_vertex_gradient(d_pairs, cache):
    return edge_to_vertex_backward(d_pairs, *cache)


inputs = [split(spread(edges[2]), 2), y[block(2)]]
errors = backward_errors(edge_to_vertex, edge_to_vertex_gradient, inputs, rng)
errors += backward_errors(forward, vertex_network_backward, [edges, y, features, matrices], rng)
assert max(errors) < 1e-8
print(*(f"{error:.0e}" for error in errors))

# %% [markdown]
# ## Exercises
#
# **1.** Edges are symmetric, $g_{ij} = g_{ji}$. And $G_{ij}$?
#
# <details><summary>Solution</summary>
#
# $\hat{\mathbf r}_{ji} = -\hat{\mathbf r}_{ij}$, so $G_{\ell,ji} = (-1)^\ell G_{\ell,ij}$: odd $\ell$ change sign.
# Two atoms of a pair see each other in opposite directions. Seen as a matrix, $G_p$ is its own transpose up to a
# sign, and the backward pass, which needs the transpose, makes use of that.
#
# </details>
#
# **2.** How many multiplications does the naive order of summing cost compared with the library's, for $N$ atoms?
#
# <details><summary>Solution</summary>
#
# Naively, every pair $(i,j)$ does all 449 Clebsch-Gordan multiplications ($L = 3$); in the fast network every pair does
# the 256 products $G_p F_q$ and only every atom does the coupling. More important, both are large regular matrix
# products.
#
# </details>
#
# **3.** An atom could be its own neighbour. What would $G_{ii}$ be?
#
# <details><summary>Solution</summary>
#
# $\hat{\mathbf r}_{ii}$ has no direction, so only $\ell = 0$ may survive. The released code does keep such self
# pairs: $\eta$ is zero there, but the dot product $F_i \cdot F_i$ is not. The field `self_pairs` switches them on.
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py),
# [vertex_network.py](../cormorant_np/network/vertex_network.py)
#
# **In the documentation:** [edge_to_vertex](../docs/derivations/edge_to_vertex.md),
# [aggregation](../docs/derivations/aggregation.md),
# [square](../docs/derivations/square.md)
#
# **Next:** [08 · Input, output, and the whole network](08_whole_network.ipynb)
