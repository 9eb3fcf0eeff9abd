# %% [markdown]
# # 00 · Notation
#
# Cormorant reads a molecule, charges $Z_i$ and positions $\mathbf r_i$, and answers with one number, its energy. If
# you turn the molecule, the energy must not change. Most networks learn this from many examples; Cormorant has it
# by construction, because every number inside it knows how it turns when the molecule turns.
#
# These notebooks read the supplement of the paper (Anderson, Hy and Kondor, NeurIPS 2019) equation by equation.
# Each equation is first written as a loop that anyone can check, then compared with the library's line, then drawn.
# You need linear algebra, complex numbers and a little Python. This first notebook introduces the symbols of
# **Table 1** and shows where each of them lives in the code.
#
# The library has the network twice. [`plain.py`](../cormorant_np/plain.py) is the paper on one page: one molecule, in
# the letters of the supplement, with nothing optimised. It is what to read. `model.py` and `network/` compute the same
# fast, for many molecules at once, and tests hold the two together.
#
# The way:
#
# - [01 · Clebsch-Gordan coefficients](01_clebsch_gordan.ipynb)
# - [02 · Spherical harmonics](02_spherical_harmonics.ipynb)
# - [03 · SO(3)-vectors and covariance](03_so3_vectors.ipynb)
# - [04 · The Clebsch-Gordan product](04_cg_product.ipynb)
# - [05 · Radial functions and the soft mask](05_radial_functions.ipynb)
# - [06 · The edge network](06_edge_network.ipynb)
# - [07 · From edges to vertices: the vertex network](07_vertex_network.ipynb)
# - [08 · Input, output, and the whole network](08_whole_network.ipynb)
# - [09 · Backpropagation with complex numbers, by hand](09_backpropagation.ipynb)
# - [10 · How training starts, and how it steps](10_initialisation_and_optimiser.ipynb)
# - [11 · Training on ethanol](11_training_ethanol.ipynb)
# - [12 · QM9: many molecules](12_qm9.ipynb)
# - [13 · From NumPy to CuPy](13_numpy_to_cupy.ipynb)

# %% tags=["hide-input"]
import numpy as np

from cormorant_np import Config, data, model, plain
from cormorant_np.drawing import axes_3d, draw_molecule, print_table

# %% [markdown]
# ## A molecule
#
# The package brings 5000 frames of an ethanol molecule, CH₃CH₂OH, that shakes at 500 K. Here are the first two.
# Positions are in Å, and the charge of an atom is its number in the periodic table.

# %% tags=["hide-input"]
ethanol = data.load("sample")
for ax, frame in zip(axes_3d(2, size=3.6), (0, 1), strict=True):
    draw_molecule(ax, ethanol.charges[frame], ethanol.positions[frame], labels="number")
    ax.set_title(f"frame {frame}:  {ethanol.energies[frame]:.2f} kcal/mol")
print("Z =", ethanol.charges[0].tolist())

# %% [markdown]
# ## Pairs of atoms
#
# A molecule has no preferred origin, so the network looks only at differences,
#
# $$\mathbf r_{ij} = \mathbf r_i - \mathbf r_j, \qquad r_{ij} = |\mathbf r_{ij}|, \qquad
# \hat{\mathbf r}_{ij} = \mathbf r_{ij} / r_{ij}.$$
#
# The vector $\mathbf r_{ij}$ points from $j$ to $i$: atom $j$ *sends* a message, atom $i$ *receives* it. In `plain.py`
# an array of pairs ends in `(..., N_i, N_j)`, for every ordered pair of the `N` atoms.

# %%
config = Config.md17()
charges, positions = ethanol.charges[0], ethanol.positions[0]

naive = np.zeros((9, 9))
for i in range(9):
    for j in range(9):
        r_ij = positions[i] - positions[j]
        naive[i, j] = np.sqrt(r_ij @ r_ij)

distances, harmonics, _ = plain.geometry_forward(positions, config)
np.testing.assert_allclose(distances, naive)
print(distances.round(2))

# %% [markdown]
# An atom is not its own neighbour, $j \in N(i)$ means $j \ne i$, and the functions of the distance are zero on the
# diagonal.
#
# ## SO(3)-vectors
#
# The central object is the *SO(3)-vector*. It collects, for every $\ell = 0, \dots, L$, a number $\tau_\ell$ of
# vectors with $2\ell+1$ complex components each, numbered by $m = -\ell, \dots, \ell$:
#
# $$F = (F_0, F_1, \dots, F_L), \qquad F_\ell \in \mathbb C^{(2\ell+1) \times \tau_\ell}.$$
#
# An $\ell = 0$ part does not change when the molecule turns, an $\ell = 1$ part turns like an arrow, higher parts
# turn in finer ways; notebook 03 makes this exact. `plain.py` keeps the SO(3)-vectors of `N` atoms as a list over
# $\ell$ of arrays `(2ℓ+1, C, N)`. In Cormorant all $\tau_\ell$ are equal to the number of channels $n_c$, the `C` here.
# That is why the fast network can keep those of `B` molecules in *one* array of shape `((L+1)², C, B, N)`, whose first
# axis lists all pairs $(\ell, m)$. Row $\ell^2 + \ell + m$ holds component $m$ of weight $\ell$:

# %%
print_table([[l * l + l + m, l, m] for l in range(3) for m in range(-l, l + 1)], ["row", "ℓ", "m"])

# %% [markdown]
# ## The data's way
#
# The whole network is three functions, one after the other,
#
# $$\mathrm{CORMORANT}(\{Z_i, \mathbf r_i\}) =
# \mathrm{OUTPUT}(\mathrm{CGNet}(\mathrm{INPUT}(\{Z_i, \mathbf r_i\}))) \tag{S1}$$
#
# and CGNet is a stack of layers. Let us send the first frame through the paper's network, with random weights, and
# write down what passes by. For the steps inside a layer we look at the second one, the first in which everything
# is at work. Of the lists over $\ell$, the table shows $\ell = 1$, and of $F^0$ its only entry, $\ell = 0$.

# %%
params = model.init_params(config, np.random.default_rng(0), np.float64)
layer_1, layer_2 = (plain.under(f"layers.{s}.", params) for s in (0, 1))

F_0, _ = plain.input_forward(params, charges, distances, config)
g_1, F_1, _ = plain.layer_forward(layer_1, [], F_0, distances, harmonics, 0, config)
eta, _ = plain.radial_forward(layer_2["radial.kappa"], layer_2["radial.phi"], distances, config)
mu, _ = plain.mask_forward(layer_2["edge.cutoff"], layer_2["edge.width"], distances, config)
g_2, F_2, _ = plain.layer_forward(layer_2, g_1, F_1, distances, harmonics, 1, config)
G_2, _ = plain.edge_to_vertex_forward(g_2, harmonics)
x, _ = plain.invariants_forward(F_2, config)
energy, _ = plain.forward(params, charges, positions, config)

shapes = [
    ["Z_i", "charges", charges, "N", ""],
    ["r_i", "positions", positions, "N, 3", ""],
    ["r_ij", "distances", distances, "N_i, N_j", "geometry_forward"],
    ["Y_ij", "harmonics[1]", harmonics[1], "2ℓ+1, N_i, N_j", "geometry_forward"],
    ["F^0", "F_0[0]", F_0[0], "1, C, N", "input_forward"],
    ["g^1", "g_1[1]", g_1[1], "C, N_i, N_j", "edge_network_forward"],
    ["F^1", "F_1[1]", F_1[1], "2ℓ+1, C, N", "vertex_network_forward"],
    ["η", "eta", eta, "(k, n), N_i, N_j", "radial_forward"],
    ["μ", "mu", mu, "C, N_i, N_j", "mask_forward"],
    ["g^2", "g_2[1]", g_2[1], "C, N_i, N_j", "edge_network_forward"],
    ["G^2", "G_2[1]", G_2[1], "2ℓ+1, C, N_i, N_j", "edge_to_vertex_forward"],
    ["F^2", "F_2[1]", F_2[1], "2ℓ+1, C, N", "vertex_network_forward"],
    ["x_i", "x, of one layer", x, "10 C, N", "invariants_forward"],
    ["E", "energy", energy, "", "output_forward"],
]
rows = [[s, name, letters, str(a.shape), a.dtype.name, made_by] for s, name, a, letters, made_by in shapes]
print_table(rows, ["symbol", "here", "axes", "shape", "dtype", "made in plain.py by"])

# %% [markdown]
# Read the table from top to bottom and you have read the program. Geometry and scalars are real; everything that
# turns is complex.
#
# The fast network does the same for a batch of molecules. Its arrays have an axis `B` for the molecules before that
# of the atoms; smaller molecules are padded with atoms of charge 0. What is the same for $(i, j)$ and $(j, i)$, such
# as distances and $g_{ij}$, it keeps once for each pair $j \le i$, in arrays `(..., B, P)` with $P = N(N+1)/2$.

# %%
batch = data.make_batch(ethanol.charges[:2], ethanol.positions[:2], config, np.float64)
energies, _ = model.forward(params, batch, config)
np.testing.assert_allclose(energies[0], energy)
np.testing.assert_allclose(model.features(params, batch, config)[1][:, :, 0], np.concatenate(F_2), atol=1e-12)
print("energies of the two frames:", energies)

# %% [markdown]
# ## Table 1, with the code's names
#
# | symbol | meaning | in `plain.py` | in the fast network | notebook |
# |---|---|---|---|---|
# | $Z_i$ | charge of atom $i$ | `charges[i]` | `batch.charges[b, i]` | 00 |
# | $\mathbf r_i$ | position of atom $i$ | `positions[i]` | `batch.positions[b, i]` | 00 |
# | $\mathbf r_{ij}$, $\hat{\mathbf r}_{ij}$ | relative position, direction | in `geometry_forward` | the same | 00 |
# | $s$, $S$ | index of a layer, number of layers | `s`, `config.num_layers` | the same | 08 |
# | $\ell$, $L$ | weight of an irreducible representation, the largest | `l`, `config.l_max[s]` | the same | 02, 03 |
# | $m$ | component, $-\ell \le m \le \ell$ | row `l + m` of `F[l]` | row `l*l + l + m` | 03 |
# | $\tau^s$, $n_c$ | multiplicities, number of channels | `config.num_channels` | the same | 03 |
# | $\bar V_\ell$, $V^s$ | spaces of SO(3)-vectors | lists of `(2ℓ+1, C, N)` | arrays `((L+1)², C, B, N)` | 03 |
# | $V_{\rm edge}^s$ | space of edge scalars | lists of `(C, N_i, N_j)` | arrays `(L+1, C, B, P)` | 06 |
# | $F_i^s$ | activations of atom $i$ | `F` | `features` | 07 |
# | $Y^\ell(\hat{\mathbf r}_{ij})$, $Y_{ij}$ | spherical harmonics | `harmonics` | `harmonics` | 02 |
# | $g_{ij}^s$ | scalar edge activations | `g` | `edges` | 06 |
# | $d_{ij}^s$ | dot products | `dot_forward` | `dot_products_forward` | 06 |
# | $\eta_{ij}^s$ | radial functions | `radial_forward` | `radial_forward` | 05 |
# | $\mu_{ij}^s$ | soft mask | `mask_forward` | `mask_forward` | 05 |
# | $C_{ij}^s$ (means $G_{ij}^s$) | SO(3)-vector of an edge | `G` | one ℓ at a time | 07 |
# | $W_{s,\ell}^{\rm vertex}$ | mixing weights of atoms | `layers.{s}.vertex.weight.{l}` | arranged | 07 |
# | $W_{s,\ell}^{\rm edge}$ | mixing weights of edges | `layers.{s}.edge.weight.{l}` | arranged | 06 |
#
# A warning for those who read along in the supplement, which has three slips in its letters: Table 1 calls $C_{ij}$
# what the equations call $G_{ij}$; the overview in 1.4.1 feeds VertexNetwork an $F_{ij}$ that is again $G_{ij}$;
# and section 1.6 divides by $(2^\ell+1)$ where it means $(2\ell+1)$. The code counts layers from 0, so `layers.0`
# makes $F^1$ from $F^0$.
#
# ## Exercises
#
# **1.** How many complex components does an SO(3)-vector with $L = 3$ and one channel have? Find the formula for
# any $L$.
#
# <details><summary>Solution</summary>
#
# The sum of the first odd numbers is a square: $\sum_{\ell=0}^{L} (2\ell+1) = (L+1)^2$, so 16 for $L=3$. It is the
# size of the first axis of the one array, and the reason that block $\ell$ begins at row $\ell^2$.
#
# </details>
#
# **2.** Which pair of frame 0 is the closest, and what is it?
#
# <details><summary>Solution</summary>
#
# ```python
# r = distances + 9 * np.eye(9)
# print(np.unravel_index(r.argmin(), r.shape), r.min())
# ```
#
# Atoms 2 and 3 (0.98 Å): O–H, the shortest bond of the molecule.
#
# </details>
#
# **3.** The energy in the table belongs to random weights. Is it nevertheless unchanged if you turn the molecule? Try
# it with `cormorant_np.rotation.random_rotation`.
#
# <details><summary>Solution</summary>
#
# ```python
# from cormorant_np.rotation import random_rotation
# R = random_rotation(np.random.default_rng(1))
# print(plain.forward(params, charges, positions @ R.T, config)[0] - energy)
# ```
#
# The difference is rounding error. Invariance does not come from training.
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py), [model.py](../cormorant_np/model.py)
#
# **In the documentation:** [glossary](../docs/glossary.md)
#
# **Next:** [01 · Clebsch-Gordan coefficients](01_clebsch_gordan.ipynb)
