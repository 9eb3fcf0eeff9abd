# %% [markdown]
# # 06 · The edge network
#
# Before an atom listens to its neighbours, the network decides how much each neighbour counts. The decision is made
# anew in every layer, for every pair and channel, and it must not depend on how the molecule is turned: it is made
# of scalars. Three kinds of them are concatenated and mixed, then masked. This is equation (S2).

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np

from cormorant_np import Config, data, plain
from cormorant_np.drawing import ELEMENTS, print_table
from cormorant_np.gradient_check import backward_errors
from cormorant_np.model import init_params
from cormorant_np.network.arrangement import arrange_forward
from cormorant_np.network.edge_network import dot_products_forward, edge_network_backward, edge_network_forward
from cormorant_np.network.geometry import pair_functions_forward
from cormorant_np.network.pairs import spread
from cormorant_np.network.parameters import num_edge_columns
from cormorant_np.rotation import random_rotation, rotate
from cormorant_np.so3_vector import block

# %% [markdown]
# ## Dot products
#
# How similar are the states of two atoms? The supplement takes the product
#
# $$d_{\ell c, ij} = F_{\ell c i} \cdot F_{\ell c j} = \sum_m (-1)^m F_{\ell c i, m}\, F_{\ell c j, -m},$$
#
# up to a constant the Clebsch-Gordan product into $\ell = 0$ (footnote 1). Nothing is conjugated, so it is not the
# usual inner product of complex vectors; it is symmetric in $i$ and $j$, and complex. The loop goes through all
# ordered pairs, and so does `plain.dot_forward`. The fast network keeps each pair $j \le i$ once, and `spread` gives
# both orders what they share. (It still *computes* dot products of both orders, as one matrix product, and keeps half.)

# %%
config = Config.md17(num_channels=3, l_max=(2, 2), l_max_sh=(2, 2))
rng = np.random.default_rng(0)
ethanol = data.load("sample")
batch = data.make_batch(ethanol.charges[:1], ethanol.positions[:1], config, np.float64)
distances, harmonics, _ = plain.geometry_forward(batch.positions[0], config)


def random_complex(*shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


features = random_complex(9, 3, 1, 9)  # components (ℓ, m), channels, molecules, atoms
naive = np.zeros((3, 3, 9, 9), dtype=complex)
for l in range(3):
    for m in range(-l, l + 1):
        for j in range(9):
            for i in range(9):
                f_i, f_j = features[l * l + l + m, :, 0, i], features[l * l + l - m, :, 0, j]
                naive[l, :, j, i] += (-1) ** m * f_i * f_j

F = [features[block(l), :, 0] for l in range(3)]  # as in plain.py, a list over ℓ of (2ℓ+1, C, N)
np.testing.assert_allclose([plain.dot_forward(f) for f in F], naive, atol=1e-12)
dots, _ = dot_products_forward(features)
np.testing.assert_allclose(spread(dots)[:, 0], naive.reshape(9, 9, 9), atol=1e-12)
np.testing.assert_allclose(naive, naive.swapaxes(2, 3), atol=1e-12)
print("numbers for a channel and an ℓ:", dots[0].size, "instead of", naive[0, 0].size)

turned, _ = dot_products_forward(rotate(features, random_rotation(rng)))
np.testing.assert_allclose(turned, dots, atol=1e-12)

# %% [markdown]
# So dot products are symmetric, and unchanged when all atoms are turned together. The library writes them as a sum of
# products with the *dual* $\tilde F_m = (-1)^m F_{-m}$; why this dual may stand next to $F$ is exercise 2.
#
# ## Equation (S2)
#
# $$g_{\ell c, ij}^{s+1} = \mu_{c, ij}^s \sum_{c'} \Bigl(\bigoplus_{c_1} g_{\ell c_1, ij}^s \oplus
# \bigoplus_{c_2} d_{c_2, ij}^s \oplus \bigoplus_{c_3} \eta_{\ell c_3, ij}\Bigr)_{c'}
# \bigl(W_{s,\ell}^{\rm edge}\bigr)_{c' c} \tag{S2}$$
#
# In words: put three lists of numbers next to each other, those that this pair had in the layer before ($g^s$), the
# dot products of its two atoms ($d$, of all $\ell$), and the radial functions ($\eta$); multiply by a weight
# matrix, a different one for each $\ell$; fade out with distance. (The equation's print writes $m_{c,ij}$ for the
# mask, the text below it $\mu$.) Distances, and with them $\eta$ and $\mu$, are symmetric as $d$ is, hence by
# induction all edges are: $g_{ij} = g_{ji}$.

# %%
params = init_params(config, rng, np.float64)
layer = plain.under("layers.1.", params)
eta, _ = plain.radial_forward(layer["radial.kappa"], layer["radial.phi"], distances, config)
mu, _ = plain.mask_forward(layer["edge.cutoff"], layer["edge.width"], distances, config)
edges = random_complex(3, 3, 1, 45)  # g of the layer before: ℓ, channels, molecules, pairs
g, d = spread(edges)[:, :, 0], spread(dots)[:, 0]

naive = np.zeros((3, 3, 9, 9), dtype=complex)
for l in range(3):
    weight = layer[f"edge.weight.{l}"]
    for j in range(9):
        for i in range(9):
            x = np.concatenate([g[l, :, j, i], d[:, j, i], eta[:, j, i]])
            for c in range(3):
                naive[l, c, j, i] = mu[c, j, i] * (weight[c] @ x)

new_g, _ = plain.edge_network_forward(plain.under("edge.weight.", layer), g, F, eta, mu)
np.testing.assert_allclose(new_g, naive, atol=1e-12)

# %% [markdown]
# $W_\ell$ is stored as (out, in). That is the only difference from the equation.
#
# The fast network does the sum over $c'$ in two pieces: $g^s$ is different for every $\ell$, but $d$ and $\eta$ are the
# same for all, so one large matrix product serves them together. `arrange_forward` sorts the columns of all $W_\ell$
# into two matrices, `edge_g` and `edge_d_eta`. `pair_functions_forward` makes $\eta$ and $\mu$ of all layers together,
# since distances are the same in all.

# %%
arranged = arrange_forward(params, config)
pairs, _ = pair_functions_forward(arranged, batch.charges, batch.positions, config)
weights_g, weights_d_eta = arranged["layers.1.edge_g"], arranged["layers.1.edge_d_eta"]
inputs = [edges, features, pairs.radial[1], pairs.masks[1], weights_g, weights_d_eta]
new_edges, _ = edge_network_forward(*inputs)
np.testing.assert_allclose(spread(new_edges)[:, :, 0], naive, atol=1e-12)

# %% [markdown]
# ## Who gets what
#
# The input $F^0$ has only $\ell = 0$, and there are no edges before the first layer. So the concatenation grows in
# the second layer. The paper's network, number of columns of each weight matrix:

# %%
paper = Config.md17()
rows = []
for s in range(3):
    for l in (0, 1):
        old = 16 if s > 0 else 0
        total = num_edge_columns(paper, s, l)
        name = "ℓ = 0" if l == 0 else "ℓ = 1, 2, 3"
        rows.append([f"{s} → {s + 1}", name, old, total - old - paper.num_radial, paper.num_radial, total])
print_table(rows, ["layer", "weight", "g", "d", "η", "columns"])

# %% [markdown]
# In the first layer only $\ell = 0$ sees dot products. The rule is that an edge weight $\ell$ gets them if $F^s$
# has that $\ell$. It comes from the released code, and the published parameter count agrees with it (notebook 08).
#
# ## A look at real edges
#
# Two layers of a freshly started network, on ethanol: $|g|$ of one channel for all pairs. Receivers $i$ run down,
# senders $j$ across. The mask is visible: bonds are bright, and distant pairs are dark.

# %% tags=["hide-input"]
F, _ = plain.input_forward(params, batch.charges[0], distances, config)
g = []
figure, axes = plt.subplots(2, 3, figsize=(9, 5.6))
names = [ELEMENTS[int(z)][0] for z in batch.charges[0]]
for s in range(2):
    g, F, _ = plain.layer_forward(plain.under(f"layers.{s}.", params), g, F, distances, harmonics, s, config)
    for l in range(3):
        ax = axes[s, l]
        picture = ax.imshow(abs(g[l][0]))
        ax.grid(False)
        ax.set(title=f"|g$^{s + 1}$|, ℓ = {l}", xticks=range(9), yticks=range(9))
        ax.set_xticklabels(names)
        ax.set_yticklabels(names)
        figure.colorbar(picture, ax=ax, shrink=0.8)
axes[0, 0].set(xlabel="sender j", ylabel="receiver i")
plt.show()

# %% [markdown]
# ## Backward
#
# For $g = \mu\, e$ and $e = W x$, with the gradient convention of notebook 09, $de = \mu\, dg$,
# $dW = de\, x^\dagger$, $dx = W^\dagger de$ and $d\mu = \sum_\ell \mathrm{Re}(\bar e\, dg)$. Checked in random
# directions, for $g^s$, $F$, $\eta$, $\mu$ and the two weight matrices:

# %%
errors = backward_errors(edge_network_forward, edge_network_backward, inputs, rng)
assert max(errors) < 1e-8
print(*(f"{error:.0e}" for error in errors))

# %% [markdown]
# ## Exercises
#
# **1.** Are the edges really unchanged when the molecule turns? And when two atoms are exchanged?
#
# <details><summary>Solution</summary>
#
# Turning: distances and dot products are invariant, so yes. Exchanging two atoms exchanges two rows and two columns
# of the matrix $g$: the edges are *permutation covariant*, and the sum over $j$ in notebook 07 makes an atom's own
# state independent of the neighbours' order.
#
# </details>
#
# **2.** Show that $\sum_m \tilde F_m G_m$ with the dual $\tilde F_m = (-1)^m F_{-m}$ is invariant. (Use
# $\overline{D_{mm'}} = (-1)^{m-m'} D_{-m,-m'}$ and the unitarity of $D$.)
#
# <details><summary>Solution</summary>
#
# The dual turns as
#
# $$(-1)^m \sum_{m'} D_{-m,m'} F_{m'} = \sum_{m'} (-1)^{m} D_{-m,-m'} F_{-m'} =
# \sum_{m'} \overline{D_{mm'}}\, (-1)^{m'} F_{-m'},$$
#
# with $\overline D$. So $\tilde F^T G$ becomes $\tilde F^T D^\dagger D\, G = \tilde F^T G$.
#
# </details>
#
# **3.** What would break if the mask multiplied $\eta$ alone, and not the whole sum?
#
# <details><summary>Solution</summary>
#
# Nothing in the symmetry, but the dot products would connect all pairs of atoms at any distance: two molecules far
# apart would not have independent energies.
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py), [edge_network.py](../cormorant_np/network/edge_network.py)
#
# **In the documentation:** [edge_network](../docs/derivations/edge_network.md)
#
# **Next:** [07 · From edges to vertices: the vertex network](07_vertex_network.ipynb)
