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

# %%
import numpy as np

from cormorant_np import Config, data
from cormorant_np.drawing import axes_3d, draw_molecule, print_table
from cormorant_np.model import forward, init_params, layer_forward
from cormorant_np.network.geometry import geometry_forward
from cormorant_np.network.input_network import featurize, input_network_forward
from cormorant_np.network.output_network import invariants_forward
from cormorant_np.network.pairs import spread
from cormorant_np.network.parameters import arrange_forward
from cormorant_np.network.radial import mask_forward, radial_forward
from cormorant_np.network.real_form import split
from cormorant_np.network.vertex_network import directions_forward, edge_to_vertex_forward
from cormorant_np.so3_vector import block

# %% [markdown]
# ## A molecule
#
# The package brings 5000 frames of an ethanol molecule, CH₃CH₂OH, that shakes at 500 K. Here are the first two.
# Positions are in Å, and the charge of an atom is its number in the periodic table.

# %%
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
# The vector $\mathbf r_{ij}$ points from $j$ to $i$: atom $j$ *sends* a message, atom $i$ *receives* it. In the
# code the sender comes before the receiver: an array of pairs ends in `(..., B, N_j, N_i)`, with `B` molecules in a
# batch and `N` atoms in the largest of them; smaller molecules are padded with atoms of charge 0.
#
# A distance is the same from $j$ to $i$ as from $i$ to $j$. What is symmetric like this the library keeps once for
# each pair $j \le i$, in arrays `(..., B, P)` with $P = N(N+1)/2$. `spread` makes `(..., B, N_j, N_i)` of them.

# %%
config = Config.md17()
batch = data.make_batch(ethanol.charges[:2], ethanol.positions[:2], config, np.float64)

num_molecules, num_atoms = batch.charges.shape
naive = np.ones((num_molecules, num_atoms, num_atoms))
for b in range(num_molecules):
    for i in range(num_atoms):
        for j in range(num_atoms):
            if i != j:
                r_ij = batch.positions[b, i] - batch.positions[b, j]
                naive[b, j, i] = np.sqrt(r_ij @ r_ij)

geometry, _ = geometry_forward(batch.charges, batch.positions, config)
np.testing.assert_allclose(spread(geometry.distances), naive)
print(spread(geometry.distances)[0].round(2))

# %% [markdown]
# The ones on the diagonal are placeholders. An atom is not its own neighbour, $j \in N(i)$ means $j \ne i$, and
# nothing in the network looks at these entries; a 1 keeps $1/r$ finite.
#
# ## SO(3)-vectors
#
# The central object is the *SO(3)-vector*. It collects, for every $\ell = 0, \dots, L$, a number $\tau_\ell$ of
# vectors with $2\ell+1$ complex components each, numbered by $m = -\ell, \dots, \ell$:
#
# $$F = (F_0, F_1, \dots, F_L), \qquad F_\ell \in \mathbb C^{(2\ell+1) \times \tau_\ell}.$$
#
# An $\ell = 0$ part does not change when the molecule turns, an $\ell = 1$ part turns like an arrow, higher parts
# turn in finer ways; notebook 03 makes this exact. In Cormorant all $\tau_\ell$ are equal to the number of channels
# $n_c$. That is why the code can keep an SO(3)-vector in *one* array of shape `((L+1)², C, B, N)`, whose first axis
# lists all pairs $(\ell, m)$. Row $\ell^2 + \ell + m$ holds component $m$ of weight $\ell$:

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
# and CGNet is a stack of layers. Let us send the two frames through the paper's network, with random weights, and
# write down what passes by. For the steps inside a layer we look at the second one, the first in which everything
# is at work. Before anything else the parameters are *arranged*: those that one product uses together are put side by
# side, such as the frequencies of all four layers.

# %%
params = init_params(config, np.random.default_rng(0), np.float64)
weights = arrange_forward(params, config)

f_tilde = featurize(batch.charges, config, np.float64)
features_0, _ = input_network_forward(weights, batch.charges, geometry, config)
radial, _ = radial_forward(weights["radial.kappa"], weights["radial.phi"], geometry, config)
masks, _ = mask_forward(weights["edge.cutoff"], weights["edge.width"], geometry, config)
directions = directions_forward(geometry.harmonics)
no_edges = np.empty((0, config.num_channels, *geometry.distances.shape), complex)
edges_1, features_1, _ = layer_forward(weights, 0, no_edges, features_0, radial[0], masks[0], directions, config)
edges_2, features_2, _ = layer_forward(weights, 1, edges_1, features_1, radial[1], masks[1], directions, config)
pairs_2 = edge_to_vertex_forward(split(spread(edges_2[1]), 2), directions[block(1)])
scalars, _ = invariants_forward(features_2, config)
energy, _ = forward(params, batch, config)

shapes = [
    ["Z_i", "charges", batch.charges, "B, N", "data/batch.py"],
    ["r_i", "positions", batch.positions, "B, N, 3", "data/batch.py"],
    ["r_ij", "distances", geometry.distances, "B, P", "geometry.py"],
    ["Y_ij", "harmonics", geometry.harmonics, "(L+1)², B, P", "spherical_harmonics.py"],
    ["F̃_i", "atom features", f_tilde, "3 species, B, N", "input_network.py"],
    ["F^0", "features", features_0, "1, C, B, N", "input_network.py"],
    ["η", "radial", radial, "S, (k, n), B, P", "radial.py"],
    ["μ", "masks", masks, "S, C, B, P", "radial.py"],
    ["g^1", "edges", edges_1, "L+1, C, B, P", "edge_network.py"],
    ["F^1", "features", features_1, "(L+1)², C, B, N", "vertex_network.py"],
    ["g^2", "edges", edges_2, "L+1, C, B, P", "edge_network.py"],
    ["G^2, ℓ = 1", "pairs", pairs_2, "2ℓ+1, C, B, 2, Nj, Ni", "vertex_network.py"],
    ["F^2", "features", features_2, "(L+1)², C, B, N", "vertex_network.py"],
    ["x_i", "scalars of one layer", scalars, "10 C, B, N", "output_network.py"],
    ["E", "energy", energy, "B", "model.py"],
]
rows = [[s, n, letters, str(a.shape), a.dtype.name, where] for s, n, a, letters, where in shapes]
print_table(rows, ["symbol", "in the code", "axes", "shape", "dtype", "file"])

# %% [markdown]
# Read the table from top to bottom and you have read the program. Geometry and scalars are real; everything that
# turns is complex. ($G$ is complex too, but kept as a real and an imaginary part, along the axis of length 2, and one
# $\ell$ at a time; notebook 07 says why.)
#
# ## Table 1, with the code's names
#
# | symbol | meaning | in the code | notebook |
# |---|---|---|---|
# | $Z_i$ | charge of atom $i$ | `batch.charges[b, i]` | 00 |
# | $\mathbf r_i$ | position of atom $i$ | `batch.positions[b, i]` | 00 |
# | $\mathbf r_{ij}$, $\hat{\mathbf r}_{ij}$ | relative position, its direction | inside `geometry_forward` | 00 |
# | $s$, $S$ | index of a layer, number of layers | `s`, `config.num_layers` | 08 |
# | $\ell$, $L$ | weight of an irreducible representation, the largest | `l`, `config.l_max[s]` | 02, 03 |
# | $m$ | component, $-\ell \le m \le \ell$ | row `l*l + l + m` | 03 |
# | $\tau^s$, $n_c$ | multiplicities, number of channels | `config.num_channels` for all $\ell$ | 03 |
# | $\bar V_\ell$, $V^s$ | spaces of SO(3)-vectors | arrays `((L+1)², C, B, N)` | 03 |
# | $V_{\rm edge}^s$ | space of edge scalars | arrays `(L+1, C, B, P)` | 06 |
# | $F_i^s$ | activations of atom $i$ | `features` | 07 |
# | $Y^\ell(\hat{\mathbf r}_{ij})$, $Y_{ij}$ | spherical harmonics | `geometry.harmonics` | 02 |
# | $g_{ij}^s$ | scalar edge activations | `edges` | 06 |
# | $d_{ij}^s$ | dot products | `dot_products_forward` | 06 |
# | $\eta_{ij}^s$ | radial functions | `radial_forward` | 05 |
# | $\mu_{ij}^s$ | soft mask | `mask_forward` | 05 |
# | $C_{ij}^s$ (means $G_{ij}^s$) | SO(3)-vector of an edge | `pairs` | 07 |
# | $W_{s,\ell}^{\rm vertex}$ | mixing weights of atoms | `layers.{s}.vertex.weight.{l}` | 07 |
# | $W_{s,\ell}^{\rm edge}$ | mixing weights of edges | `layers.{s}.edge.weight.{l}` | 06 |
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
# size of the first axis above, and the reason that block $\ell$ begins at row $\ell^2$.
#
# </details>
#
# **2.** Which pair of frame 0 is the closest, and what is it?
#
# <details><summary>Solution</summary>
#
# ```python
# r = spread(geometry.distances)[0] + 9 * np.eye(9)
# print(np.unravel_index(r.argmin(), r.shape), r.min())
# ```
#
# Atoms 2 and 3 (0.98 Å): O–H, the shortest bond of the molecule.
#
# </details>
#
# **3.** The energies that `forward` printed into the table belong to random weights. Are they nevertheless
# unchanged if you turn both molecules? Try it with `cormorant_np.rotation.random_rotation`.
#
# <details><summary>Solution</summary>
#
# ```python
# from cormorant_np.rotation import random_rotation
# R = random_rotation(np.random.default_rng(1))
# turned = batch._replace(positions=batch.positions @ R.T)
# print(forward(params, turned, config)[0] - energy)
# ```
#
# The difference is rounding error. Invariance does not come from training.
#
# </details>

# %% [markdown]
# **In the code:** [geometry.py](../cormorant_np/network/geometry.py), [model.py](../cormorant_np/model.py)
#
# **In the documentation:** [glossary](../docs/glossary.md)
#
# **Next:** [01 · Clebsch-Gordan coefficients](01_clebsch_gordan.ipynb)
