# %% [markdown]
# # 00 · One molecule, one number
#
# Cormorant reads a molecule, charges $Z_i$ and positions $\mathbf r_i$, and answers with one number, its energy. If
# you turn the molecule, the energy must not change. Most networks learn this from many examples; Cormorant has it
# by construction, because every number inside it knows how it turns when the molecule turns. The field calls such
# networks *equivariant*; the paper says *covariant*.
#
# These notebooks read the supplement of the paper (Anderson, Hy and Kondor, NeurIPS 2019) equation by equation.
# Each equation is first written as a loop that anyone can check, then compared with the library's line, then drawn.
# You need linear algebra, complex numbers and a little Python. This first one shows where it all leads to.
#
# ## Ten lines that predict an energy
#
# A trained network comes with the package, and 5000 frames of an ethanol molecule, CH₃CH₂OH, that shakes at 500 K. We
# take a frame that it has not been trained on. Positions are in Å, and the charge of an atom is its number in the
# periodic table.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from scipy.spatial.transform import Rotation

from cormorant_np import data, moving, plain
from cormorant_np.drawing import draw_molecule, draw_what_an_atom_sees
from cormorant_np.training.prediction import find_run, load_network

# %%
network = load_network("ethanol")
ethanol, splits = data.load("sample"), np.load(find_run("ethanol") / "splits.npz")
frame = splits["test"][0]
charges, positions = ethanol.charges[frame], ethanol.positions[frame]


def predict(positions):
    output, _ = plain.forward(network.params, charges, positions, network.config)
    return network.mean + network.scale * output


print("Z =", charges.tolist())
print(f"predicted {predict(positions):.2f} kcal/mol, true {ethanol.energies[frame]:.2f} kcal/mol")

# %% [markdown]
# `plain.forward` is the network. [`plain.py`](../cormorant_np/plain.py) is the paper on one page: one molecule, in
# the letters of the supplement, with nothing optimised. It is what to read, and what these notebooks are about. The
# package has the network a second time, in `model.py` and `network/`, which compute the same fast, for many molecules;
# tests hold the two together, and notebook 17 is about the difference.
#
# ## Turn it
#
# Now turn the molecule about some axis. Beside it stands a model that knows nothing of rotations: a polynomial of
# second degree in the coordinates, fitted to the same 3500 frames by least squares.


# %%
def coordinates(positions):
    """1, all coordinates, and all products of two of them; (frames, 406)."""
    x = (positions - positions.mean(axis=1, keepdims=True)).reshape(len(positions), -1)
    i, j = np.triu_indices(x.shape[1])
    return np.concatenate([np.ones((len(x), 1)), x, x[:, i] * x[:, j]], axis=1)


def fit(positions, targets, ridge=1e-3):
    """The coefficients with which `coordinates` come closest to the targets, (frames,) or (frames, targets)."""
    inputs = coordinates(positions)
    return np.linalg.solve(inputs.T @ inputs + ridge * np.eye(inputs.shape[1]), inputs.T @ targets)


train = splits["train"]
fitted = fit(ethanol.positions[train], ethanol.energies[train] - network.mean)

angles = np.arange(0, 361, 10)
turned = [positions @ Rotation.from_rotvec(np.radians(a) * np.array([2, -1, 2]) / 3).as_matrix().T for a in angles]
cormorant = np.array([predict(r) for r in turned])
polynomial = network.mean + coordinates(np.array(turned)) @ fitted
assert np.ptp(cormorant) < 1e-6 and np.ptp(polynomial) > 0.5

# %% tags=["hide-input"]
figure = plt.figure(figsize=(10, 3.2))
grid = figure.add_gridspec(1, 3, width_ratios=[1, 1, 2.2])
for k, number in enumerate((0, 9)):
    ax = figure.add_subplot(grid[k], projection="3d")
    ax.set_axis_off()
    draw_molecule(ax, charges, turned[number], labels=False, reach=2.0)
    ax.set_title(f"turned by {angles[number]}°")
ax = figure.add_subplot(grid[2])
ax.plot(angles, polynomial - ethanol.energies[frame], label="polynomial in the coordinates")
ax.plot(angles, cormorant - ethanol.energies[frame], label="Cormorant")
ax.axhline(0, color="grey", linestyle=":")
ax.set(xlabel="angle / degrees", ylabel="predicted − true / (kcal/mol)", xticks=range(0, 361, 60))
ax.legend()
plt.show()

# %% [markdown]
# Cormorant's line is flat, up to rounding. It would be flat with random weights as well. The other model gives another
# answer for every direction from which one looks at the same molecule, although the training frames point in all
# directions.
#
# ## See it turn
#
# A force says where an atom is pulled. It is an arrow, so it has to turn when the molecule turns. Cormorant's forces
# are the slopes of its energy (notebook 14), and `backward` gives them. For the polynomial we make it easy: it may
# learn the 27 components of the forces directly, and all frames are first turned so that they lie like ours. No
# direction is asked of it but the one that it has seen. (How to lay one molecule best upon another is a singular value
# decomposition, `lie_like`; nothing else depends on it.) Then both are asked for the turned molecule, in 36
# orientations.


# %%
def forces(positions):
    _, cache = plain.forward(network.params, charges, positions, network.config)
    return -plain.backward(network.scale, cache)[1]


def lie_like(model, positions):
    """Rotations, (frames, 3, 3), that bring `positions @ rotation` as close to the positions of a model as can be."""
    u, _, v = np.linalg.svd((positions - positions.mean(axis=1, keepdims=True)).transpose(0, 2, 1) @ model)
    u[:, :, 2] *= np.linalg.det(u @ v)[:, None]
    return u @ v


ours = moving.upright(positions)
lying = lie_like(ours, ethanol.positions)
lying_forces = (ethanol.forces @ lying)[train].reshape(len(train), -1)
fitted_forces = fit((ethanol.positions @ lying)[train], lying_forces, ridge=0.3)

turns = moving.rotations(36).transpose(0, 2, 1)  # positions and forces are rows: r @ turn is R r
true = ethanol.forces[frame] @ lying[frame] @ turns
arrows = np.array([forces(ours @ turn) for turn in turns])
other_arrows = (coordinates(ours @ turns) @ fitted_forces).reshape(-1, 9, 3)
assert abs(arrows - arrows[0] @ turns).max() < 1e-9
print(f"mean size of a component of the true forces: {abs(true[0]).mean():.1f} kcal/mol/Å")


# %% tags=["hide-input"]
def panel(title, found):
    errors = abs(found - true).mean(axis=(1, 2))
    changes = abs(found - found[0] @ turns).max(axis=(1, 2))
    numbers = {
        "mean error": [f"{error:.1f}" for error in errors],
        "|F(Rr) − R F(r)|": [f"{change:.0f}" if change > 1 else f"{change:.0g}" for change in changes],
    }
    return moving.Panel(title, {"forces": found}, numbers)


both = [panel("Cormorant", arrows), panel("polynomial", other_arrows)]
caption = """Drag to turn, or use the sliders. Every ten degrees Python has asked both models for the forces on
the turned molecule; the browser draws them, and fills in between. Very long arrows are cut. The mean error of a
component and the largest component of F(Rr) − R F(r) are in kcal/mol/Å."""
label = "an ethanol molecule with the predicted force at every atom as an arrow"
display(HTML(moving.molecule(charges, ours, both, caption, label)))

# %% [markdown]
# In the one direction that it knows, at 0°, the polynomial is a poor model, but a model: it has not understood the O–H
# bond, most other arrows are about right, and its error is less than half of a component's mean size. Twenty degrees
# away the error is larger than the forces, and a quarter turn away it is absurd. Cormorant has learned from the same
# frames. Its arrows turn along because they cannot do otherwise.
#
# ## What an atom sees
#
# How can a network know directions and yet not depend on them? An atom describes where its neighbours are by
# *spherical harmonics*: functions on the sphere that turn when the molecule turns, sorted by their fineness $\ell = 0,
# 1, 2, \dots$ Here is what a carbon atom sees of its four neighbours, with harmonics up to $L$. The farther a surface
# reaches from its centre and the brighter it is, the more the atom sees in this direction (notebook 07 has the
# formula):

# %% tags=["hide-input"]
draw_what_an_atom_sees(charges, positions, atom=0, neighbours=[1, 6, 7, 8])
plt.show()

# %% [markdown]
# These descriptions are multiplied with each other in the one way that keeps them turning properly, the Clebsch-Gordan
# product, layer after layer. At the end only what does not turn, $\ell = 0$, goes into the energy:
#
# ![The network: from charges and positions through layers to an energy](../docs/images/network.svg)
#
# ## The way
#
# - [01 · Clebsch-Gordan coefficients](01_clebsch_gordan.ipynb)
# - [02 · Spherical harmonics](02_spherical_harmonics.ipynb)
# - [03 · SO(3)-vectors and covariance](03_so3_vectors.ipynb)
# - [04 · The Clebsch-Gordan product](04_cg_product.ipynb), with the proof that all rests on
# - [05 · Radial functions and the soft mask](05_radial_functions.ipynb)
# - [06 · The edge network](06_edge_network.ipynb)
# - [07 · From edges to vertices: the vertex network](07_vertex_network.ipynb)
# - [08 · Input, output, and the whole network](08_whole_network.ipynb)
# - [15 · By hand: every number of one energy](15_by_hand.ipynb), on paper, best read here
# - [09 · Backpropagation with complex numbers, by hand](09_backpropagation.ipynb)
# - [10 · How training starts, and how it steps](10_initialisation_and_optimiser.ipynb)
# - [11 · Training on ethanol](11_training_ethanol.ipynb)
# - [12 · QM9: many molecules](12_qm9.ipynb)
# - [14 · Forces and dynamics](14_forces_and_dynamics.ipynb)
# - [16 · Inside a trained network](16_inside_a_trained_network.ipynb)
# - [13 · From NumPy to CuPy](13_numpy_to_cupy.ipynb)
# - [17 · Making it fast](17_making_it_fast.ipynb)
#
# [Where it comes from, and what came after](../docs/context.md) puts it among its neighbours.
#
# ## Two conventions to begin with
#
# **Pairs.** A molecule has no preferred origin, so the network looks only at differences,
#
# $$\mathbf r_{ij} = \mathbf r_i - \mathbf r_j, \qquad r_{ij} = |\mathbf r_{ij}|, \qquad
# \hat{\mathbf r}_{ij} = \mathbf r_{ij} / r_{ij}.$$
#
# The vector $\mathbf r_{ij}$ points from $j$ to $i$: atom $j$ *sends* a message, atom $i$ *receives* it. In `plain.py`
# an array of pairs ends in `(..., N_i, N_j)`, for every ordered pair of the `N` atoms. An atom is not its own
# neighbour.
#
# **SO(3)-vectors.** What turns is collected, for every $\ell = 0, \dots, L$, in $2\ell+1$ complex components, numbered
# by $m = -\ell, \dots, \ell$, for each of `C` channels. `plain.py` keeps those of `N` atoms as a list over $\ell$ of
# arrays `(2ℓ+1, C, N)`. Notebook 03 makes "turns" exact.

# %%
F = plain.features(network.params, charges, positions, network.config)
print("activations after the first layer:", *(f"ℓ = {l}: {f.shape}" for l, f in enumerate(F[0])), sep="\n  ")

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
# | $V_{\rm edge}^s$ | space of edge scalars | lists of `(C, N_i, N_j)` | arrays `(L+1, C, B, P)` | 03 |
# | $F_i^s$ | activations of atom $i$ | `F` | `features` | 07 |
# | $Y^\ell(\hat{\mathbf r}_{ij})$, $Y_{ij}$ | spherical harmonics | `harmonics` | `harmonics` | 02 |
# | $g_{ij}^s$ | scalar edge activations | `g` | `edges` | 06 |
# | $d_{ij}^s$ | dot products | `dot_forward` | `dot_products_forward` | 06 |
# | $\eta_{ij}^s$ | radial functions | `radial_forward` | `radial_forward` | 05 |
# | $\mu_{ij}^s$ | soft mask | `mask_forward` | `mask_forward` | 05 |
# | $C_{ij}^s$ (means $G_{ij}^s$) | SO(3)-vector of an edge | `G` | `(C, B, (L+1)², N_i, N_j)` | 07 |
# | $W_{s,\ell}^{\rm vertex}$ | mixing weights of atoms | `layers.{s}.vertex.weight.{l}` | arranged | 07 |
# | $W_{s,\ell}^{\rm edge}$ | mixing weights of edges | `layers.{s}.edge.weight.{l}` | arranged | 06 |
#
# A warning for those who read along in the supplement. Among its slips are these: Table 1 calls $C_{ij}$ what the
# equations call $G_{ij}$; the overview in 1.4.1 feeds VertexNetwork an $F_{ij}$ that is again $G_{ij}$, and calls
# $F_{ij,c} = F_c(|\mathbf r_{ij}|)$ what is $\eta_{ij}$; (S2) prints $m$ for the mask $\mu$ (notebook 06), and (S3)
# $g^s$ for $g^{s+1}$ (notebook 07); section 1.6 divides by $(2^\ell+1)$ where it means $(2\ell+1)$. The code counts
# layers from 0, so `layers.0` makes $F^1$ from $F^0$.
#
# ## Exercises
#
# **1.** *Derive.* How many complex components does an SO(3)-vector with $L = 3$ and one channel have? Find the formula
# for any $L$.
#
# <details><summary>Solution</summary>
#
# The sum of the first odd numbers is a square: $\sum_{\ell=0}^{L} (2\ell+1) = (L+1)^2$, so 16 for $L=3$. In the fast
# network it is the size of the first axis of the one array, and the reason that block $\ell$ begins at row $\ell^2$.
#
# </details>
#
# **2.** *Predict.* Is the energy unchanged if two hydrogens of the methyl group exchange their places in the lists? And
# for random weights, if the molecule is turned?
#
# <details><summary>Solution</summary>
#
# Yes, twice: the network only sums over atoms, and invariance does not come from training.
#
# ```python
# order = [0, 1, 2, 3, 4, 5, 7, 6, 8]
# print(predict(positions[order]) - predict(positions))
# from cormorant_np.model import init_params
# params = init_params(network.config, np.random.default_rng(0), np.float64)
# print([plain.forward(params, charges, r, network.config)[0] for r in turned[:3]])
# ```
#
# </details>
#
# **3.** *Code.* Let the polynomial see each training frame in four random orientations, `positions @ R.T`. Does its
# line become flat?
#
# <details><summary>Solution</summary>
#
# ```python
# from cormorant_np.rotation import random_rotation
# rng = np.random.default_rng(0)
# shown = np.concatenate([ethanol.positions[train] @ random_rotation(rng).T for _ in range(4)])
# fitted = fit(shown, np.tile(ethanol.energies[train] - network.mean, 4))
# print(np.ptp(coordinates(np.array(turned)) @ fitted))
# ```
#
# No. It swings by 1.0 kcal/mol, where it was 0.9 before. The molecule has turned while it was simulated, so that the
# frames pointed in all directions already. What is missing is not more of them but a model that needs none.
#
# </details>
#
# **4.** *Code.* Give the polynomial better inputs: write `invariants(positions)`, (frames, 9, 3) → (frames, numbers),
# which does not change when a frame is turned or moved, but when it is deformed. Check it with the cell below. Then
# fit the energies as before. Is the line flat, is the model better, and what can it never say?


# %% tags=["hide-input"]
def check_invariants(invariants):
    some, rng = ethanol.positions[:20], np.random.default_rng(0)
    found = invariants(some)
    assert found.shape[0] == 20 and found.ndim == 2, "The shape must be (frames, numbers)."
    turned = invariants(some @ Rotation.random(rng=rng).as_matrix().T + rng.standard_normal(3))
    np.testing.assert_allclose(turned, found, atol=1e-8, err_msg="It changes when the molecule turns or moves.")
    stretched = invariants(some * 1.01)
    assert np.all(abs(stretched - found).max(axis=1) > 1e-3), "It does not notice when the molecule is deformed."
    print("invariant")


# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# i, j = np.triu_indices(9, 1)
#
#
# def invariants(positions):
#     return 1 / np.linalg.norm(positions[:, i] - positions[:, j], axis=-1)
#
#
# check_invariants(invariants)
#
#
# def quadratic(positions):
#     x = invariants(positions)
#     p, q = np.triu_indices(x.shape[1])
#     return np.concatenate([np.ones((len(x), 1)), x, x[:, p] * x[:, q]], axis=1)
#
#
# inputs, energies = quadratic(ethanol.positions[train]), ethanol.energies[train] - network.mean
# fitted = np.linalg.solve(inputs.T @ inputs + 1e-6 * np.eye(inputs.shape[1]), inputs.T @ energies)
# test = splits["test"]
# errors = quadratic(ethanol.positions[test]) @ fitted - (ethanol.energies[test] - network.mean)
# print(np.ptp(quadratic(np.array(turned)) @ fitted), abs(errors).mean())
# ```
#
# The line is flat, and the error falls from 2.3 to 0.4 kcal/mol: most of what the first polynomial lacked was the
# symmetry. But it can only say numbers. An arrow at an atom, or anything finer that turns, cannot be a function of
# invariants alone, and inside Cormorant such things carry the information from atom to atom.
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py), [model.py](../cormorant_np/model.py)
#
# **In the documentation:** [glossary](../docs/glossary.md)
#
# **Next:** [01 · Clebsch-Gordan coefficients](01_clebsch_gordan.ipynb)
