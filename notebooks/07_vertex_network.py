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
from cormorant_np.drawing import axes_3d, draw_molecule, draw_what_an_atom_sees, print_table
from cormorant_np.gradient_check import assert_backward, backward_errors
from cormorant_np.model import init_params
from cormorant_np.network.parameters import num_paths
from cormorant_np.rotation import random_rotation, rotate
from cormorant_np.so3_vector import block
from cormorant_np.spherical_harmonics import complex_sh

# %% [markdown]
# ## What an atom can see
#
# Let a carbon atom $i$ look around. Each neighbour $j$ contributes its harmonics $Y^\ell(\hat{\mathbf r}_{ji})$, and
# the atom gets only their sum. How well does the sum tell where the neighbours are? Read it as a function on the
# sphere again,
#
# $$f(\hat{\mathbf u}) = \sum_{\ell \le L} (2\ell+1) \sum_j \sum_m Y^\ell_m(\hat{\mathbf r}_{ji})\,
# \overline{Y^\ell_m(\hat{\mathbf u})}.$$
#
# It grows where a neighbour is, as sharply as $L$ allows. ($\hat{\mathbf r}_{ji}$ points from the atom to its
# neighbour. In the picture, distance from the centre and colour are $f$ where it is positive; negative parts are not
# drawn, and every surface has a scale of its own.)

# %% tags=["hide-input"]
ethanol = data.load("sample")
charges, positions = ethanol.charges[0], ethanol.positions[0]
axes = draw_what_an_atom_sees(charges, positions, atom=0, neighbours=[1, 6, 7, 8])
axes[0].set_title("a carbon and its\nfour neighbours")
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
# keeps what it knew. Channels are multiplied one by one, channel $c$ of the one factor with channel $c$ of the other;
# only $W$ mixes them. $N(i)$ are all other atoms of the molecule; how much of each is heard, the mask in $g_{ij}$ has
# decided. Here is the whole thing as a loop over atoms, weights and paths:


# %%
def cg(a, b, l1, l2, l):
    """One path, for all channels at once."""
    return np.einsum("abm,ac,bc->mc", table(l1, l2, l), a, b)


F = [random_complex(2 * l + 1, 2, 9) for l in range(3)]  # for every ℓ: components m, channels, atoms
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
# `plain.vertex_network_forward` is the same without the loop over atoms. One line of it does the work of the inner
# loops, the product of one path for all atoms at once: `einsum("pqm,pcij,qcj->mci", table(l1, l2, l), G[l1], F[l2])`.
# Its letters are those of the equation, $p$ for $m_1$ and $q$ for $m_2$, and a letter that the result does not have is
# summed over, here also the neighbour $j$.
#
# And it is covariant. Turn the harmonics and the states, and the new states are turned:

# %%
rotation = random_rotation(rng)


def turn(x):
    """A list over ℓ, turned; `rotate` wants all (ℓ, m) in one array."""
    turned = rotate(np.concatenate(x), rotation)
    return [turned[block(l)] for l in range(len(x))]


turned_G, _ = plain.edge_to_vertex_forward(g, turn(harmonics))
of_turned, _ = plain.vertex_network_forward(weights, turned_G, turn(F), config.vertex_order)
for l, expected in enumerate(turn(new_F)):
    np.testing.assert_allclose(of_turned[l], expected, atol=1e-12)

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
moved = positions.copy()
moved[3, 2] += 1e-4
before, after = (plain.features(params, charges, r, paper) for r in (positions, moved))
axes = axes_3d(4, size=2.6)
for s, ax in enumerate(axes):
    old, new = np.concatenate(before[s]), np.concatenate(after[s])  # components, channels, atoms
    change = np.linalg.norm(new - old, axis=(0, 1)) / np.linalg.norm(old, axis=(0, 1))
    draw_molecule(ax, charges, positions, labels=False, highlight=np.log10(change / change.max()))
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
# Every step is a product or a sum, so every derivative is one too; the docstrings in `plain.py` have them in a line
# each, and notebook 09 derives them. Here we only check them, for $g$ and $Y$ of $\ell = 2$ in (S3), and for $G$, $F$
# and the weights in (S4) and (S5):


# %%
def edge_to_vertex(g, y):
    G, cache = plain.edge_to_vertex_forward([g], [y])
    return G[0], cache


def edge_to_vertex_gradient(d_G, cache):
    (d_g,), (d_y,) = plain.edge_to_vertex_backward([d_G], cache)
    return d_g, d_y


def vertex_network(*inputs):
    """G, F and the weights are lists over ℓ, here one after the other; the result as one array."""
    by_l = {str(l): weight for l, weight in enumerate(inputs[6:])}
    new_F, cache = plain.vertex_network_forward(by_l, list(inputs[:3]), list(inputs[3:6]), config.vertex_order)
    return np.concatenate(new_F), cache


def vertex_network_gradient(d_new_F, cache):
    d_G, d_F, d_weights = plain.vertex_network_backward([d_new_F[block(l)] for l in range(3)], cache)
    return *d_G, *d_F, *d_weights


errors = backward_errors(edge_to_vertex, edge_to_vertex_gradient, [g[2], harmonics[2]], rng)
errors += backward_errors(vertex_network, vertex_network_gradient, [*G, *F, *weights.values()], rng)
assert max(errors) < 1e-8
print(*(f"{error:.0e}" for error in errors))

# %% [markdown]
# ## Exercises
#
# **1.** *Predict.* Edges are symmetric, $g_{ij} = g_{ji}$. And $G_{ij}$?
#
# <details><summary>Solution</summary>
#
# $\hat{\mathbf r}_{ji} = -\hat{\mathbf r}_{ij}$, so $G_{\ell,ji} = (-1)^\ell G_{\ell,ij}$: odd $\ell$ change sign.
# Two atoms of a pair see each other in opposite directions.
#
# </details>
#
# **2.** *Derive.* An atom could be its own neighbour. What would $G_{ii}$ be?
#
# <details><summary>Solution</summary>
#
# $\hat{\mathbf r}_{ii}$ has no direction, so only $\ell = 0$ may survive. The released code does keep such self
# pairs: $\eta$ is zero there, but the dot product $F_i \cdot F_i$ is not. The field `self_pairs` switches them on.
#
# </details>
#
# **3.** *Predict, then code.* Which states change in the first layer if the mask of the first layer ended at 1.3 Å
# for all channels (with a width of 0.01 Å)? Look at the last picture, and try it with
# `params | {"layers.0.edge.cutoff": np.full(16, 1.3), "layers.0.edge.width": np.full(16, 0.01)}`.
#
# <details><summary>Solution</summary>
#
# Of the moved hydrogen itself and of the oxygen; all other atoms are farther away, and there the mask is below
# $10^{-9}$:
#
# ```python
# short = params | {"layers.0.edge.cutoff": np.full(16, 1.3), "layers.0.edge.width": np.full(16, 0.01)}
# old, new = (np.concatenate(plain.features(short, charges, r, paper)[0]) for r in (positions, moved))
# print(np.flatnonzero(abs(new - old).max(axis=(0, 1)) > 1e-9))
# ```
#
# </details>
#
# **4.** *Derive and code.* Products of products grow quickly (notebook 08 counts how). Here is a function that keeps
# activations small and is covariant all the same, because the length of $F_\ell$ is invariant:
#
# $$H_{\ell m c, i} = \frac{F_{\ell m c, i}}{q_{\ell c, i}}, \qquad
# q_{\ell c, i} = \sqrt{1 + \textstyle\sum_{m'} |F_{\ell m' c, i}|^2}.$$
#
# Derive the gradient by $F_\ell$, and write `squash_backward(d_h, cache)`.


# %%
def squash_forward(f):
    """H, (2ℓ+1, C, N), from F_ℓ, the same, for one ℓ."""
    q = np.sqrt(1 + (abs(f) ** 2).sum(axis=0))
    return f / q, (f, q)


np.testing.assert_allclose(turn([squash_forward(f)[0] for f in F])[2], squash_forward(turn(F)[2])[0])


# %% tags=["hide-input"]
def check_squash_backward(squash_backward):
    for l, f in enumerate(F):
        assert_backward(squash_forward, squash_backward, [f], [f"F of ℓ = {l}"], rng)
    print("right")


# %% [markdown]
# <details><summary>Solution</summary>
#
# $\delta H_m = \delta F_m / q - F_m\, \delta q / q^2$, and $\delta q$ is real,
# $\delta q = \mathrm{Re} \sum_{m'} \overline{F_{m'}}\, \delta F_{m'} / q$. The second term changes the loss by
# $-\mathrm{Re} \sum_m \overline{dH_m}\, F_m\, \delta q / q^2$. With the real number
# $t = \mathrm{Re} \sum_m \overline{F_m}\, dH_m$,
#
# $$dF_m = \frac{dH_m}{q} - \frac{t\, F_m}{q^3}.$$
#
# ```python
# def squash_backward(d_h, cache):
#     f, q = cache
#     t = (f.conj() * d_h).real.sum(axis=0)
#     return d_h / q - t * f / q**3
#
#
# check_squash_backward(squash_backward)
# ```
#
# The part of $dH$ along $F$ shrinks, by $1/q^3$, and the part across it by $1/q$ only: compare the unit vector in
# notebook 09, which has no part along itself at all. ([Extending](../docs/extending.md) puts this very function into
# both networks.)
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py)
#
# **In the documentation:** [edge_to_vertex](../docs/derivations/edge_to_vertex.md),
# [aggregation](../docs/derivations/aggregation.md),
# [square](../docs/derivations/square.md)
#
# **Next:** [08 · Input, output, and the whole network](08_whole_network.ipynb)
