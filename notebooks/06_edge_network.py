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
from cormorant_np.gradient_check import assert_backward, backward_errors
from cormorant_np.model import init_params
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
# usual inner product of complex vectors; it is symmetric in $i$ and $j$, and complex. `plain.dot_forward` does it for
# one $\ell$.

# %%
config = Config.md17(num_channels=3, l_max=(2, 2), l_max_sh=(2, 2))
rng = np.random.default_rng(0)
ethanol = data.load("sample")
charges, positions = ethanol.charges[0], ethanol.positions[0]
distances, harmonics, _ = plain.geometry_forward(positions, config)


def random_complex(*shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


F = [random_complex(2 * l + 1, 3, 9) for l in range(3)]  # for every ℓ: components m, channels, atoms
naive = np.zeros((3, 3, 9, 9), dtype=complex)
for l in range(3):
    for m in range(-l, l + 1):
        for i in range(9):
            for j in range(9):
                naive[l, :, i, j] += (-1) ** m * F[l][l + m, :, i] * F[l][l - m, :, j]

d = np.array([plain.dot_forward(f) for f in F])  # ℓ, channels, i, j
np.testing.assert_allclose(d, naive, atol=1e-12)
np.testing.assert_allclose(d, d.swapaxes(2, 3), atol=1e-12)

turned = rotate(np.concatenate(F), random_rotation(rng))  # `rotate` wants all (ℓ, m) in one array
np.testing.assert_allclose([plain.dot_forward(turned[block(l)]) for l in range(3)], d, atol=1e-12)

# %% [markdown]
# So dot products are symmetric, and unchanged when all atoms are turned together. One can read them as a sum of
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
g = random_complex(3, 3, 9, 9)  # of the layer before: ℓ, channels, i, j
g = g + g.swapaxes(2, 3)

naive = np.zeros((3, 3, 9, 9), dtype=complex)
for l in range(3):
    weight = layer[f"edge.weight.{l}"]
    for i in range(9):
        for j in range(9):
            x = np.concatenate([g[l, :, i, j], *d[:, :, i, j], eta[:, i, j]])
            for c in range(3):
                naive[l, c, i, j] = mu[c, i, j] * (weight[c] @ x)

weights = plain.under("edge.weight.", layer)
new_g, cache = plain.edge_network_forward(weights, g, F, eta, mu)
np.testing.assert_allclose(new_g, naive, atol=1e-12)
np.testing.assert_allclose(new_g, np.swapaxes(new_g, 2, 3), atol=1e-12)

# %% [markdown]
# $W_\ell$ is stored as (out, in). That is the only difference from the equation.
#
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
# senders $j$ across, and every panel has its own colour scale. The mask is visible: distant pairs are dark. Among near
# pairs the random weights decide. So a bond may be dark, as C–O is in $|g^1|$ for $\ell = 1$, and two hydrogens on one
# carbon, 1.6 to 1.8 Å apart, may be bright, as they are there.

# %% tags=["hide-input"]
F_0, _ = plain.input_forward(params, charges, distances, config)
edges, activations = [], F_0
figure, axes = plt.subplots(2, 3, figsize=(9, 5.6))
names = [ELEMENTS[int(z)][0] for z in charges]
for s in range(2):
    of_layer = plain.under(f"layers.{s}.", params)
    edges, activations, _ = plain.layer_forward(of_layer, edges, activations, distances, harmonics, config)
    for l in range(3):
        ax = axes[s, l]
        picture = ax.imshow(abs(edges[l][0]))
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
# For $g = \mu\, e$ and $e = W x$, with the gradients $dz$ of notebook 05 (derived in notebook 09), $de = \mu\, dg$,
# $dW = de\, x^\dagger$, $dx = W^\dagger de$ and $d\mu = \sum_\ell \mathrm{Re}(\bar e\, dg)$. Here is the weight of
# $\ell = 1$ and the mask as loops:

# %%
d_new_g = random_complex(3, 3, 9, 9)
_, _, _, d_mu, d_weights = plain.edge_network_backward(list(d_new_g), cache)

d_weight, naive_d_mu = np.zeros_like(weights["1"]), np.zeros_like(mu)
for i in range(9):
    for j in range(9):
        for l in range(3):
            x = np.concatenate([g[l, :, i, j], *d[:, :, i, j], eta[:, i, j]])
            e, d_e = weights[str(l)] @ x, mu[:, i, j] * d_new_g[l, :, i, j]
            naive_d_mu[:, i, j] += (e.conj() * d_new_g[l, :, i, j]).real
            if l == 1:
                d_weight += np.outer(d_e, x.conj())
np.testing.assert_allclose(d_weights[1], d_weight, atol=1e-12)
np.testing.assert_allclose(d_mu, naive_d_mu, atol=1e-12)

# %% [markdown]
# And all gradients against difference quotients, for $g^s$, $F$, $\eta$, $\mu$ and the three weights. `plain` works on
# lists over $\ell$ and the check on arrays, so the two lists are taken apart first:


# %%
def edge_network(g, f_0, f_1, f_2, eta, mu, *weights):
    by_l = {str(l): weight for l, weight in enumerate(weights)}
    new_g, cache = plain.edge_network_forward(by_l, g, [f_0, f_1, f_2], eta, mu)
    return np.array(new_g), cache


def edge_network_gradient(d_new_g, cache):
    d_g, d_F, d_eta, d_mu, d_weights = plain.edge_network_backward(list(d_new_g), cache)
    return np.array(d_g), *d_F, d_eta, d_mu, *d_weights


errors = backward_errors(edge_network, edge_network_gradient, [g, *F, eta, mu, *weights.values()], rng)
assert max(errors) < 1e-8
print(*(f"{error:.0e}" for error in errors))

# %% [markdown]
# ## Exercises
#
# **1.** *Predict.* Are the edges really unchanged when the molecule turns? And when two atoms are exchanged?
#
# <details><summary>Solution</summary>
#
# Turning: distances and dot products are invariant, so yes. Exchanging two atoms exchanges two rows and two columns
# of the matrix $g$: the edges are *permutation covariant*, and the sum over $j$ in notebook 07 makes an atom's own
# state independent of the neighbours' order.
#
# </details>
#
# **2.** *Derive.* Show that $\sum_m \tilde F_m G_m$ with the dual $\tilde F_m = (-1)^m F_{-m}$ is invariant. (Use
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
# **3.** *Predict.* What would break if the mask multiplied $\eta$ alone, and not the whole sum?
#
# <details><summary>Solution</summary>
#
# Nothing in the symmetry, but the dot products would connect all pairs of atoms at any distance: two molecules far
# apart would not have independent energies.
#
# </details>
#
# **4.** *Derive and code.* The mask closes an edge by its distance. Let an edge also close itself when it has little to
# say:
#
# $$h_{c,ij} = g_{c,ij}\; \sigma\bigl(|g_{c,ij}|^2 - b_c\bigr)$$
#
# with a learnable real threshold $b_c$. $|g|^2$ is invariant, so this is allowed. Here is the forward function. Derive
# the gradients by $g$ and $b$, and write `gate_backward(d_h, cache)`, which returns the two. Notebook 09's first pages
# have the rule that you need: a small change of $g$ changes the loss by $\mathrm{Re}(\overline{dg}\, \delta g)$.


# %%
def gate_forward(g, b):
    """h, (C, N_i, N_j) complex, from g, the same, and b, (C,) real."""
    gate = 1 / (1 + np.exp(b[:, None, None] - abs(g) ** 2))
    return gate * g, (g, gate)


# %% tags=["hide-input"]
def check_gate_backward(gate_backward):
    assert_backward(gate_forward, gate_backward, [g[0], np.array([0.5, 1, 2])], ["g", "b"], rng)
    print("right")


# %% [markdown]
# <details><summary>Solution</summary>
#
# With $u = |g|^2 - b$, $\delta h = \sigma\, \delta g + g\, \sigma'\, \delta u$, where
# $\delta u = 2\, \mathrm{Re}(\bar g\, \delta g) - \delta b$ is real. The second term changes the loss by
# $\mathrm{Re}(\overline{dh}\, g)\, \sigma'\, \delta u$, so with $t = \sigma' \,\mathrm{Re}(\bar g\, dh)$ and
# $\sigma' = \sigma(1 - \sigma)$,
#
# $$dg = \sigma\, dh + 2\, t\, g, \qquad db_c = -\sum_{ij} t.$$
#
# ```python
# def gate_backward(d_h, cache):
#     g, gate = cache
#     t = gate * (1 - gate) * (g.conj() * d_h).real
#     return gate * d_h + 2 * t * g, -t.sum(axis=(1, 2))
#
#
# check_gate_backward(gate_backward)
# ```
#
# Forget the conjugate in $t$, and the checker refuses both gradients: $\mathrm{Re}(g\, dh)$ is not how fast $|g|^2$
# grows along $dh$.
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py)
#
# **In the documentation:** [edge_network](../docs/derivations/edge_network.md)
#
# **Next:** [07 · From edges to vertices: the vertex network](07_vertex_network.ipynb)
