# %% [markdown]
# # 15 · By hand: every number of one energy
#
# The paper's network has 154241 parameters, and nobody can follow them. So let us build the smallest Cormorant that
# still has all its parts: one layer, $L = 1$, one channel, one radial function. Its weights are chosen so that every
# number fits on a sheet of paper. The molecule has three atoms, a water molecule with a right angle. Take a pencil;
# `plain.py` checks each line. It is best read after notebook 08.

# %% tags=["hide-input"]
import numpy as np

from cormorant_np import Config, plain
from cormorant_np.drawing import COLOURS, arrows, axes_3d, draw_molecule
from cormorant_np.rotation import random_rotation

# %% [markdown]
# ## The molecule and the network
#
# Atom 0 is oxygen, at the origin. Atoms 1 and 2 are hydrogens, 1 Å away along $x$ and along $z$. So the distances are
# $r_{01} = r_{02} = 1$ and $r_{12} = \sqrt 2 \approx 1.414$ Å.

# %%
charges = np.array([8, 1, 1])
positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
config = Config.md17(
    species=(1, 8), charge_scale=8, num_channels=1, l_max=(1,), l_max_sh=(1,), num_frequencies=1, max_power=0
)
params = {
    "input.weight": np.array([[1, 0, 0, 2, 0, 0]]) + 0j,  # of onehot ⊗ (1, Z̃, Z̃²): hydrogen's three, oxygen's three
    "input.bias": np.array([0j]),
    "layers.0.radial.kappa": np.array([[0.0], [0.0]]),
    "layers.0.radial.phi": np.array([[np.pi / 2], [0.0]]),
    "layers.0.edge.cutoff": np.array([1.0]),
    "layers.0.edge.width": np.array([(np.sqrt(2) - 1) / np.log(3)]),
    "layers.0.edge.weight.0": np.array([[1, 1]]) + 0j,  # of d and η
    "layers.0.edge.weight.1": np.array([[1j]]),  # of η alone
    "layers.0.vertex.weight.0": np.array([[2, -1, 1]]) + 0j,  # of aggregate, square and identity
    "layers.0.vertex.weight.1": np.array([[2 + 0j]]),  # of the aggregate's one path
    "output.weight": np.array([1.0, 0, 0, 0, 0, 1.0]),
    "output.bias": np.array([0.0]),
}
layer = plain.under("layers.0.", params)


def check(found, by_hand):
    np.testing.assert_allclose(np.ravel(found), np.ravel(by_hand), atol=1e-12)


# %% [markdown]
# ## Input
#
# $\tilde F$ of hydrogen is $(1, \tilde Z, \tilde Z^2;\; 0, 0, 0)$, that of oxygen $(0, 0, 0;\; 1, \tilde Z, \tilde
# Z^2)$. Our weights look at the two ones only: every hydrogen begins with 1, oxygen with 2.
#
# $$F^0 = (2,\; 1,\; 1)$$

# %%
distances, harmonics, _ = plain.geometry_forward(positions, config)
before, _ = plain.input_forward(params, charges, distances, config)
check(before[0], [2, 1, 1])

# %% [markdown]
# ## Radial function and mask
#
# With $k = 0$, $\kappa = \bar\kappa = 0$, $\phi = \pi/2$ and $\bar\phi = 0$ the only radial function is
# $\eta = \sin\frac\pi2 + i \sin 0 = 1$ at every distance. So distances count through the mask alone. Its cutoff is
# $r_c = 1$ Å. The bonds are exactly there, $\mu = \sigma(0) = \frac12$. The width is chosen such that
# $(\sqrt 2 - 1)/w = \ln 3$, and so
#
# $$\mu_{01} = \mu_{02} = \tfrac12, \qquad \mu_{12} = \frac{1}{1 + e^{\ln 3}} = \tfrac14.$$

# %%
eta, _ = plain.radial_forward(layer["radial.kappa"], layer["radial.phi"], distances, config)
mu, _ = plain.mask_forward(layer["edge.cutoff"], layer["edge.width"], distances, config)
check(eta[0], 1 - np.eye(3))
check(mu[0], [[0, 1 / 2, 1 / 2], [1 / 2, 0, 1 / 4], [1 / 2, 1 / 4, 0]])

# %% [markdown]
# ## Edges (S2)
#
# The dot products of $\ell = 0$ are plain products: $d_{01} = d_{02} = 2 \cdot 1 = 2$ and $d_{12} = 1$. For $\ell = 0$
# the edge is $\mu\,(d + \eta)$, for $\ell = 1$ it is $\mu\, i\, \eta$ (in the first layer, only $\ell = 0$ gets dot
# products):
#
# | pair | $\mu$ | $d$ | $\eta$ | $g_0 = \mu\,(d + \eta)$ | $g_1 = i \mu\, \eta$ |
# |---|---|---|---|---|---|
# | O–H | 1/2 | 2 | 1 | 3/2 | i/2 |
# | H–H | 1/4 | 1 | 1 | 1/2 | i/4 |

# %%
g, _ = plain.edge_network_forward(plain.under("edge.weight.", layer), [], before, eta, mu)
check(g[0], [[0, 3 / 2, 3 / 2], [3 / 2, 0, 1 / 2], [3 / 2, 1 / 2, 0]])
check(g[1], [[0, 1j / 2, 1j / 2], [1j / 2, 0, 1j / 4], [1j / 2, 1j / 4, 0]])

# %% [markdown]
# ## Directions (S3)
#
# $Y^0 = 1$, and $Y^1 = \bigl(\frac{x+iy}{\sqrt2},\, z,\, \frac{-x+iy}{\sqrt2}\bigr)$ for $m = -1, 0, 1$, of the unit
# vector from $j$ to $i$:
#
# | $i \leftarrow j$ | $\hat{\mathbf r}_{ij}$ | $Y^1$ |
# |---|---|---|
# | $0 \leftarrow 1$ | $(-1, 0, 0)$ | $(-1, 0, 1)/\sqrt2$ |
# | $0 \leftarrow 2$ | $(0, 0, -1)$ | $(0, -1, 0)$ |
# | $1 \leftarrow 2$ | $(1, 0, -1)/\sqrt2$ | $(\frac12, -\frac1{\sqrt2}, -\frac12)$ |
#
# The other way round, the sign of $Y^1$ changes. $G_\ell = g_\ell Y^\ell$.

# %%
half, root = 1 / 2, np.sqrt(2)
G, _ = plain.edge_to_vertex_forward(g, harmonics)
check(harmonics[1][:, 0, 1], [-1 / root, 0, 1 / root])
check(harmonics[1][:, 0, 2], [0, -1, 0])
check(harmonics[1][:, 1, 2], [half, -1 / root, -half])
check(G[1][:, 0, 1, 2], 1j / 4 * np.array([half, -1 / root, -half]))

# %% [markdown]
# ## Vertices (S4, S5)
#
# **$\ell = 0$.** All Clebsch-Gordan coefficients are $\langle 00\,00|00\rangle = 1$.
#
# | atom | aggregate $\sum_j g_0 F_j$ | square $F_i^2$ | identity $F_i$ | $2 \cdot$ agg. $-$ sq. $+$ id. |
# |---|---|---|---|---|
# | O | $\frac32 \cdot 1 + \frac32 \cdot 1 = 3$ | 4 | 2 | **4** |
# | H | $\frac32 \cdot 2 + \frac12 \cdot 1 = \frac72$ | 1 | 1 | **7** |
#
# **$\ell = 1$.** $F^0$ has no $\ell = 1$, so there is one path, $(1, 0)$ of the aggregate, and again
# $\langle 1m\,00|1m\rangle = 1$. The vertex weight is 2.
#
# With $F_0$ and $F_1$ for the parts $\ell = 0$ and $\ell = 1$ of an atom's new state, oxygen has
#
# $$F_{1, \rm O} = 2 \cdot \tfrac i2 \Bigl[\tfrac{1}{\sqrt2}(-1, 0, 1) \cdot 1 + (0, -1, 0) \cdot 1\Bigr]
# = i\,\bigl(-\tfrac1{\sqrt2},\, -1,\, \tfrac1{\sqrt2}\bigr)$$
#
# As an arrow this is $i$ times $(-1, 0, -1)$: the sum of the two unit vectors that point from the hydrogens to the
# oxygen. Atom 1 hears from oxygen, which counts twice since its $F^0$ is 2, and from atom 2:
#
# $$F_{1, \rm H} = 2 \Bigl[\tfrac i2 \cdot \tfrac{1}{\sqrt2}(1, 0, -1) \cdot 2 +
# \tfrac i4 \bigl(\tfrac12, -\tfrac1{\sqrt2}, -\tfrac12\bigr) \cdot 1\Bigr]
# = i\,\bigl(a,\, -\tfrac{\sqrt2}{4},\, -a\bigr), \qquad a = \sqrt2 + \tfrac14.$$

# %%
after, _ = plain.vertex_network_forward(plain.under("vertex.weight.", layer), G, before, config.vertex_order)
a = root + 1 / 4
check(after[0], [4, 7, 7])
check(after[1][:, 0, 0], [-1j / root, -1j, 1j / root])
check(after[1][:, 0, 1], [1j * a, -1j * root / 4, -1j * a])

# %% [markdown]
# ## Invariants and energy (1.5)
#
# Our output looks at two of the six scalars of an atom, the real part of $F_0$ and $\xi_2 = \sum_m |F_{1m}|^2$.
#
# For oxygen $\xi_2 = \frac12 + 1 + \frac12 = 2$. It has a meaning. The squared length of a sum of two unit vectors is
# $2 + 2\cos\theta$ with the angle $\theta$ between them, here 90°. *The network has measured an angle*, although every
# edge knew one direction only. For a hydrogen,
#
# $$\xi_2 = 2a^2 + \tfrac18 = 2\bigl(2 + \tfrac{\sqrt2}{2} + \tfrac1{16}\bigr) + \tfrac18 = \tfrac{17}4 + \sqrt2.$$
#
# The energy is the sum of both scalars over the three atoms:
#
# $$E = (4 + 7 + 7) + \bigl(2 + 2 \cdot \tfrac{17}4 + 2\sqrt2\bigr) = 28.5 + 2\sqrt2 \approx 31.328.$$

# %%
x, _ = plain.invariants_forward(after, config)
energy, cache = plain.forward(params, charges, positions, config)
check(x[0], [4, 7, 7])
check(x[5], [2, 17 / 4 + root, 17 / 4 + root])
check(energy, 28.5 + 2 * root)
print("energy:", energy.round(6))

rotation = random_rotation(np.random.default_rng(9))
turned_energy, _ = plain.forward(params, charges, positions @ rotation.T, config)
check(turned_energy, energy)

# %% [markdown]
# $F_0$, the arrows and the energy in one picture; the arrows are the $\ell = 1$ activations, divided by $i$. On the
# right the molecule is turned and everything computed anew: arrows turn along, numbers stay.

# %% tags=["hide-input"]
for ax, r in zip(axes_3d(2, size=4), (positions, positions @ rotation.T), strict=True):
    (F,) = plain.features(params, charges, r, config)
    draw_molecule(ax, charges, r, arrows=arrows(F[1][:, 0] / 1j), arrow_scale=0.3, reach=1.2)
    for i, below in enumerate([0.55, 0.3, 0.3]):  # past the disc, of which the oxygen's is larger
        ax.text(*(r[i] - [0, 0, below]), f"F₀ = {F[0][0, 0, i].real:.0f}", color=COLOURS[0], ha="center", zorder=30)
    ax.set_title(f"E = {plain.forward(params, charges, r, config)[0]:.3f}")

# %% [markdown]
# ## One derivative by hand
#
# How does $E$ change with the vertex weight of $\ell = 1$, $W = 2$? $F_1$ is $W$ times the aggregate $z$, and
# $\xi_2 = |W|^2 \sum_m |z_m|^2$. Hence the gradient by the complex $W$, as notebook 05 defined it, is
# $dW = 2 W \sum_i \sum_m |z_m|^2 = 2 \sum_i \xi_2 / \overline W$, that is
#
# $$dW = 2 + 2\bigl(\tfrac{17}4 + \sqrt2\bigr) = 10.5 + 2\sqrt2 \approx 13.328.$$

# %%
grads, d_positions = plain.backward(1.0, cache)
check(grads["layers.0.vertex.weight.1"], 10.5 + 2 * root)
print("forces, in units of this energy per Å:\n", -d_positions.round(4) + 0.0)
check(d_positions.sum(axis=0), np.zeros(3))

# %% [markdown]
# ## Exercises
#
# **1.** *Predict.* Atom 2 moves to $(-1, 0, 0)$, opposite to atom 1. What becomes of oxygen's $F_1$ and of its $\xi_2$?
#
# <details><summary>Solution</summary>
#
# The two unit vectors cancel: $F_1 = 0$ and $\xi_2 = 2 + 2\cos 180° = 0$. Its $F_0 = 4$ stays, because O–H is as long
# as before.
#
# </details>
#
# **2.** *Derive.* Compute the whole energy of that straight molecule. ($\mu_{12} = \sigma(-1/w)$ with $w = 0.3770$ is
# $0.0658$.)
#
# <details><summary>Solution</summary>
#
# H–H: $g_0 = 2\mu_{12}$ and $g_1 = i\mu_{12}$. For a hydrogen $F_0 = 2\,(3 + 2\mu_{12}) - 1 + 1 = 6 + 4\mu_{12}$. Both
# neighbours lie in the same direction, so $\xi_2 = (2\,(1 + \mu_{12}))^2$. In all
# $E = 4 + 2\,(6 + 4\mu_{12}) + 8\,(1 + \mu_{12})^2 = 25.6$:
#
# ```python
# straight = np.array([[0.0, 0, 0], [1, 0, 0], [-1, 0, 0]])
# m = 1 / (1 + np.exp(1 / params["layers.0.edge.width"][0]))
# check(plain.forward(params, charges, straight, config)[0], 4 + 2 * (6 + 4 * m) + 8 * (1 + m) ** 2)
# ```
#
# </details>
#
# **3.** *Code.* The torque on a molecule in empty space is zero. Check it for the forces above. Why has the force on
# oxygen no $y$ component?
#
# <details><summary>Solution</summary>
#
# ```python
# print(np.cross(positions, -d_positions).sum(axis=0))
# ```
#
# The molecule lies in the plane $y = 0$, and this network is too small to make a pseudovector: mirrored in that plane
# it is the same molecule with the same energy, so no force points out of it.
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py)
#
# **Back to:** [08 · Input, output, and the whole network](08_whole_network.ipynb)
#
# **Next:** [09 · Backpropagation with complex numbers, by hand](09_backpropagation.ipynb)
