# %% [markdown]
# # 03 · SO(3)-vectors and covariance
#
# Turn a molecule by a rotation $R$. A good network's inner numbers follow along in one of two ways. Some stay as
# they are: *invariant*. The others turn, by a matrix that depends on $R$ and on nothing else: *covariant*. For an
# SO(3)-vector, section 1.1 of the supplement, that matrix is Wigner's $D^\ell(R)$, one for each weight $\ell$:
#
# $$F_\ell(\{Z_i, R\,\mathbf r_i\}) = D^\ell(R)\, F_\ell(\{Z_i, \mathbf r_i\}).$$
#
# The word for this is *equivariance*; this paper, and these notebooks, say covariance and mean the same. Invariance is
# the case $\ell = 0$.
#
# In the letters of section 1.1, $\bar V_\ell = \mathbb C^{2\ell+1}$ holds one $F_\ell$, and $V^s = \bigoplus_\ell \bar
# V_\ell^{\tau^s_\ell}$ holds $\tau^s_\ell$ channels of each, which is always $n_c$ here; $F^0$ has $\ell = 0$ alone.
# Edge scalars have the same channels for each $\ell$, but no $m$: $V^s_{\rm edge} = \bigoplus_\ell \mathbb
# C^{\tau^s_\ell}$.
#
# This notebook says what $D^\ell$ is and where it comes from, checks it on spherical harmonics, and then on a whole
# network.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import block_diag, expm
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from cormorant_np import Config, data
from cormorant_np.drawing import COLOURS, arrows, draw_molecule, print_table
from cormorant_np.model import features, forward, init_params
from cormorant_np.rotation import angular_momentum, random_rotation, rotate, wigner_d
from cormorant_np.so3_vector import block
from cormorant_np.spherical_harmonics import complex_sh

# %% [markdown]
# ## Wigner's matrices
#
# A rotation is three turns, about $z$, $y$ and $z$: $R = R_z(\alpha) R_y(\beta) R_z(\gamma)$. In the space of
# weight $\ell$ a turn about an axis is the exponential of an angular momentum matrix,
#
# $$D^\ell(R) = e^{-i\alpha J_z}\, e^{-i\beta J_y}\, e^{-i\gamma J_z}, \qquad
# J_z |m\rangle = m |m\rangle, \quad J_\pm |m\rangle = \sqrt{\ell(\ell+1) - m(m \pm 1)}\; |m \pm 1\rangle,$$
#
# with $J_x = (J_+ + J_-)/2$ and $J_y = (J_+ - J_-)/2i$. Written as code, straight from the definition:


# %%
def naive_angular_momentum(l):
    raising, j_z = np.zeros((2, 2 * l + 1, 2 * l + 1))
    for m in range(-l, l + 1):
        j_z[l + m, l + m] = m
        if m < l:
            raising[l + m + 1, l + m] = np.sqrt(l * (l + 1) - m * (m + 1))
    lowering = raising.T
    return np.array([(raising + lowering) / 2, (raising - lowering) / 2j, j_z])


def naive_wigner_d(alpha, beta, gamma, l):
    _, j_y, j_z = naive_angular_momentum(l)
    return expm(-1j * alpha * j_z) @ expm(-1j * beta * j_y) @ expm(-1j * gamma * j_z)


angles = alpha, beta, gamma = 0.4, 1.1, -2.0
rotation = Rotation.from_euler("ZYZ", angles).as_matrix()
for l in range(5):
    np.testing.assert_allclose(angular_momentum(l), naive_angular_momentum(l))
    np.testing.assert_allclose(wigner_d(rotation, l), naive_wigner_d(*angles, l), atol=1e-13)

# %% [markdown]
# The library reaches the same $D^\ell$ by another road, without angles: $D^1$ is $R$ itself in other coordinates,
# and the next ones come from Clebsch-Gordan products. Three properties make them a *representation* of rotations:
# turning twice is multiplying twice, turning back is the inverse, and nothing is stretched.

# %%
rng = np.random.default_rng(0)
r1, r2 = random_rotation(rng), random_rotation(rng)
for l in range(4):
    d1, d2 = wigner_d(r1, l), wigner_d(r2, l)
    np.testing.assert_allclose(wigner_d(r1 @ r2, l), d1 @ d2, atol=1e-13)
    np.testing.assert_allclose(wigner_d(r1.T, l), d1.conj().T, atol=1e-13)
    np.testing.assert_allclose(d1 @ d1.conj().T, np.eye(2 * l + 1), atol=1e-13)

# %% [markdown]
# Where does the formula with its square roots come from, and why is there just one such matrix for every $\ell$? The
# next two sections answer that with nothing but linear algebra. They are the ground on which the network stands, and
# notebook 04 ends the proof. Who wants to see things turn first may go on with spherical harmonics and come back.
#
# ## Ladders
#
# Let $D(R)$ be *any* unitary matrices that multiply as rotations do. Every rotation is made of small ones, so it is
# enough to know the small ones, $D \approx 1 - i\varepsilon J_a$ for a turn by $\varepsilon$ about the axis
# $a = x, y, z$. The three matrices $J_a$ are Hermitian, since $D$ is unitary. How small turns about different axes fail
# to commute is a fact of space, and every representation has to repeat it:
#
# $$[J_x, J_y] = i J_z, \qquad [J_y, J_z] = i J_x, \qquad [J_z, J_x] = i J_y.$$
#
# All else follows from this. With $J_\pm = J_x \pm i J_y$ it reads
#
# $$[J_z, J_\pm] = \pm J_\pm, \qquad [J_+, J_-] = 2 J_z.$$
#
# **Rungs.** If $J_z v = m v$, then $J_z J_\pm v = (J_\pm J_z \pm J_\pm)\, v = (m \pm 1)\, J_\pm v$: the matrix $J_+$
# goes up by one, $J_-$ down by one. In a space of finite dimension that must end. Call the highest $m$ of a ladder
# $\ell$, so that $J_+ v = 0$ at the top.
#
# **The same everywhere on the ladder.** $J^2 = J_x^2 + J_y^2 + J_z^2 = J_- J_+ + J_z^2 + J_z$ commutes with all three
# $J_a$, so it is one number on the whole ladder. At the top it is $\ell(\ell+1)$.
#
# **Lengths.** Hence for a unit vector $v$ on rung $m$, since $J_+ J_- = J^2 - J_z^2 + J_z$,
#
# $$|J_- v|^2 = v^\dagger J_+ J_- v = \ell(\ell+1) - m(m-1).$$
#
# That is where the square roots come from. It vanishes at $m = -\ell$ and nowhere above, so that the ladder has its
# last rung there and $2\ell + 1$ rungs in all. ($2\ell$ must be whole. A half $\ell$ takes two full turns to come
# back, which electrons do and molecules do not.)
#
# So everything is settled by $\ell$ alone. A space that is one ladder is called *irreducible*: $J_\pm$ lead from any
# rung to any other, so that no smaller part of it turns in itself. And every representation is a sum of ladders: take
# one out, and what is orthogonal to it turns in itself, too, because $D$ is unitary.
#
# The matrices are those of the first cell, from the library's `angular_momentum`. The rotation by the angle $\omega$
# about the unit vector $\mathbf n$ is then $e^{-i\omega\, \mathbf n \cdot \mathbf J}$, with no Euler angles.

# %%
axis, omega = np.array([2, -1, 2]) / 3, 1.3
turn = Rotation.from_rotvec(omega * axis).as_matrix()
for l in range(5):
    j_x, j_y, j_z = angular_momentum(l)
    np.testing.assert_allclose(j_x @ j_y - j_y @ j_x, 1j * j_z, atol=1e-14)
    np.testing.assert_allclose(j_x @ j_x + j_y @ j_y + j_z @ j_z, l * (l + 1) * np.eye(2 * l + 1), atol=1e-14)
    d = expm(-1j * omega * np.tensordot(axis, angular_momentum(l), axes=1))
    np.testing.assert_allclose(wigner_d(turn, l), d, atol=1e-13)

# %% [markdown]
# ## Schur's lemma: what a linear layer may do
#
# Which matrices $M$ take something that turns with $D^{\ell}$ to something that turns with $D^{\ell'}$? They must
# satisfy $M D^{\ell}(R) = D^{\ell'}(R)\, M$ for all $R$. It is the same to say $M J_a = J'_a M$ for the three $J$:
# linear equations for the entries of $M$, so that we can simply count the solutions.


# %%
def commuting_maps(j_in, j_out):
    """A basis of all M with M J_in = J_out M for all three J: (number, out, in)."""
    n_in, n_out = len(j_in[0]), len(j_out[0])
    equations = [np.kron(b, np.eye(n_in)) - np.kron(np.eye(n_out), a.T) for a, b in zip(j_in, j_out, strict=True)]
    _, sizes, v = np.linalg.svd(np.concatenate(equations))
    return v[sizes < 1e-10].conj().reshape(-1, n_out, n_in)


def several(*ls):
    """J_x, J_y, J_z of several ladders side by side."""
    return np.array([block_diag(*js) for js in zip(*map(angular_momentum, ls), strict=True)])


counts = [[len(commuting_maps(angular_momentum(a), angular_momentum(b))) for a in range(4)] for b in range(4)]
np.testing.assert_array_equal(counts, np.eye(4))
print_table([[f"to ℓ = {b}", *row] for b, row in enumerate(counts)], ["", *(f"from ℓ = {a}" for a in range(4))])
(only,) = commuting_maps(angular_momentum(2), angular_momentum(2))
np.testing.assert_allclose(only, only[0, 0] * np.eye(5), atol=1e-12)

# %% [markdown]
# One solution for $\ell = \ell'$, a multiple of the identity, and none else. The reason is short. From $M J_a = J'_a M$
# for the three $J$ follows $M J^2 = J'^2 M$, that is $\ell(\ell+1)\, M = \ell'(\ell'+1)\, M$. If $\ell \ne \ell'$,
# this leaves only $M = 0$. If $\ell = \ell'$, then $M$ takes a rung $m$ to the rung $m$, times some number $\mu_m$,
# because of $J_z$. Because of $J_+$, with $c_m = \sqrt{\ell(\ell+1) - m(m+1)}$,
#
# $$M J_+ |m\rangle = c_m\, \mu_{m+1}\, |m+1\rangle \quad\text{equals}\quad
# J_+ M |m\rangle = \mu_m\, c_m\, |m+1\rangle,$$
#
# and $c_m$ is not zero below the top: all $\mu_m$ are equal. This is *Schur's lemma*.
#
# An SO(3)-vector has $C$ channels of each $\ell$. Then $M$ may mix channels of the same $\ell$, by numbers that do not
# depend on $m$, and nothing else: for $L = 2$ and two channels, $3 \cdot 2 \cdot 2 = 12$ numbers out of the $18 \cdot
# 18 = 324$ of a matrix. That is the weight matrix $W_\ell$ of every covariant layer. No layer that is linear over the
# complex numbers can do more. (The real part in exercise 3 is linear over the real ones only.)

# %%
two_channels = several(0, 0, 1, 1, 2, 2)
print("free numbers:", len(commuting_maps(two_channels, two_channels)), "of", two_channels[0].size)

# %% [markdown]
# ## Spherical harmonics turn with $D$
#
# $Y^\ell(R\,\hat{\mathbf r}) = D^\ell(R)\, Y^\ell(\hat{\mathbf r})$ holds for the conjugated harmonics that the
# library uses (notebook 02). With the quantum mechanical ones, here from SciPy, the same line needs
# $\overline{D^\ell(R)}$, and is wrong with $D^\ell(R)$ for $\ell > 0$:


# %%
def quantum_mechanical(vectors, l):
    x, y, z = vectors.T
    theta, phi = np.arccos(z / np.linalg.norm(vectors, axis=1)), np.arctan2(y, x)
    return np.array([sph_harm_y(l, m, theta, phi) for m in range(-l, l + 1)])


vectors = rng.standard_normal((10, 3))
before, after = complex_sh(vectors, 3), complex_sh(vectors @ rotation.T, 3)
for l in range(4):
    d = wigner_d(rotation, l)
    np.testing.assert_allclose(after[block(l)], d @ before[block(l)], atol=1e-13)
    y, turned_y = quantum_mechanical(vectors, l), quantum_mechanical(vectors @ rotation.T, l)
    np.testing.assert_allclose(turned_y, d.conj() @ y, atol=1e-13)
    assert l == 0 or abs(turned_y - d @ y).max() > 0.1
np.testing.assert_allclose(after, rotate(before, rotation), atol=1e-13)

# %% [markdown]
# `rotate(F, R)` turns every block of an SO(3)-vector. Seen as a whole, its matrix has blocks along the diagonal:
# the weights do not mix. Here it is for our rotation, by absolute value.

# %% tags=["hide-input"]
full = rotate(np.eye(16, dtype=complex), rotation)
figure, ax = plt.subplots(figsize=(4.6, 3.8))
picture = ax.imshow(abs(full), cmap="Blues", vmin=0, vmax=1)
ax.grid(False)
for l in range(1, 4):
    ax.axhline(l * l - 0.5, color="grey", linewidth=0.5)
    ax.axvline(l * l - 0.5, color="grey", linewidth=0.5)
centres = [l * l + l for l in range(4)]
ax.set_xticks(centres, [f"ℓ={l}" for l in range(4)])
ax.set_yticks(centres, [f"ℓ={l}" for l in range(4)])
ax.set_title("|D(R)| on an SO(3)-vector with L = 3")
figure.colorbar(picture)
plt.show()

# %% [markdown]
# ## What turns and what stays
#
# Now turn a direction slowly about the axis $(1, 1, 1)$ and watch its harmonics of weight 2. Each component swings
# in its own way, yet the sum of the squares does not move. This is the simplest invariant: the norm of a block.

# %% tags=["hide-input"]
turns = np.linspace(0, 360, 121)
axis = np.ones(3) / np.sqrt(3)
path = [rotate(before[:, 0], Rotation.from_rotvec(np.radians(t) * axis).as_matrix()) for t in turns]
y2 = np.array(path)[:, block(2)]
figure, ax = plt.subplots(figsize=(7, 3.4))
for m in range(3):
    ax.plot(turns, abs(y2[:, 2 + m]) ** 2, label=f"|Y|², m = {m}")
ax.plot(turns, (abs(y2) ** 2).sum(axis=1), color=COLOURS[-1], linewidth=2, label="sum over all m")
ax.set(xlabel="angle of rotation / degrees", xticks=range(0, 361, 60), ylim=(0, 1.08))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# (Components $m$ and $-m$ have the same absolute value here, so three curves are enough.)
#
# ## A whole network
#
# Let us hold the promise of covariance against Cormorant itself: three layers with random weights, one frame of
# ethanol, and the activations $F^s$ of every atom. `features` gives them as a list over layers.

# %%
ethanol = data.load("sample")
config = Config.md17(num_channels=4, l_max=(3, 3, 3), l_max_sh=(3, 3, 3))
params = init_params(config, rng, np.float64)
batch = data.make_batch(ethanol.charges[:1], ethanol.positions[:1], config, np.float64)
turned = batch._replace(positions=batch.positions @ rotation.T)

rows = []
for s, (f, g) in enumerate(zip(features(params, batch, config), features(params, turned, config), strict=True)):
    expected = rotate(f, rotation)
    errors = [float(abs(g[block(l)] - expected[block(l)]).max() / abs(f[block(l)]).max()) for l in range(4)]
    changes = [float(abs(g[block(l)] - f[block(l)]).max() / abs(f[block(l)]).max()) for l in range(4)]
    assert max(errors) < 1e-12
    rows += [[s + 1, "F(Rr) - D(R)F(r)", *errors], ["", "F(Rr) - F(r)", *changes]]
print_table(rows, ["layer", "difference", "ℓ = 0", "ℓ = 1", "ℓ = 2", "ℓ = 3"])

# %% [markdown]
# Rounding errors in every first line, large numbers for $\ell > 0$ in every second one: the activations do change,
# and exactly as $D(R)$ says. Only $\ell = 0$ stays.
#
# ## The square
#
# The same as a picture. From the molecule at the upper left two ways lead to the lower right: first turn, then ask the
# network; or first ask the network, then turn what it says. Covariance is that both arrive at the same. One says that
# the square *commutes*.
#
# For the picture we take $\ell = 1$ of the second layer, which can be drawn. In the real basis its components are
# $(y, z, x)$; they are complex, so that each is a pair of arrows, and we draw the real one at every atom. At the lower
# right, the thick arrows were recomputed from the turned molecule, and the thin black ones are those from above,
# turned.


# %% tags=["hide-input"]
def layer_and_energy(b):
    """Arrows of the first channel of layer 2, (N, 3), and the energy."""
    return arrows(features(params, b, config)[1][block(1), 0, 0]), forward(params, b, config)[0][0]


(before, energy), (after, energy_after) = layer_and_energy(batch), layer_and_energy(turned)
turned_arrows = before @ rotation.T
np.testing.assert_allclose(after, turned_arrows, atol=1e-12 * abs(before).max())
np.testing.assert_allclose(energy_after, energy)

figure = plt.figure(figsize=(8.4, 7.4), layout="none")
shown = [(batch, None), (batch, before), (turned, None), (turned, after)]
corners = [(0.02, 0.55), (0.58, 0.55), (0.02, 0.0), (0.58, 0.0)]
titles = ["r", "F(r)", "R r", "F(R r) and D(R) F(r)"]
scale = 1.6 / np.linalg.norm(before, axis=1).max()
for (b, a), corner, title in zip(shown, corners, titles, strict=True):
    ax = figure.add_axes([*corner, 0.4, 0.4], projection="3d")
    ax.set_axis_off()
    draw_molecule(ax, b.charges[0], b.positions[0], labels=False, arrows=a, arrow_scale=scale, reach=2.2)
    ax.set_title(title, y=1.03)
ax.quiver(*turned.positions[0].T, *(turned_arrows * scale).T, color="black", linewidth=0.8, zorder=20)


def side(start, end, text, where, **options):
    arrow = {"arrowstyle": "-|>", "linewidth": 1.5, "color": COLOURS[0]}
    figure.add_artist(plt.Annotation("", end, start, "figure fraction", arrowprops=arrow))
    figure.text(*where, text, ha="center", fontsize=9, **options)


side((0.4, 0.76), (0.6, 0.76), f"network\nE = {energy:.9f}", (0.5, 0.78))
side((0.4, 0.22), (0.6, 0.22), f"network\nE = {energy_after:.9f}", (0.5, 0.15))
angle = np.degrees(Rotation.from_matrix(rotation).magnitude())
side((0.22, 0.55), (0.22, 0.45), f"R, {angle:.0f}°", (0.17, 0.5), va="center")
side((0.78, 0.55), (0.78, 0.45), "D(R)", (0.74, 0.5), va="center")
difference = np.linalg.norm(after - turned_arrows) / np.linalg.norm(before)
figure.text(0.5, 0.5, f"both ways:\nthey differ by {difference:.0e}\nof their length", ha="center", va="center")
plt.show()

# %% [markdown]
# A network is a chain of layers, and squares can be put side by side: where one ends, the next begins. If every
# layer's square commutes, so does the long one that they make together, whatever the number of layers. That is why it
# is enough to find operations that commute with $D$, one at a time. Sums and channel mixing are such (Schur's lemma).
# [Notebook 04](04_cg_product.ipynb) has the one that is missing.
#
# ## Exercises
#
# **1.** *Derive.* What is $D^\ell$ of a rotation about the $z$ axis? Use it to explain why the phases in notebook 02's
# picture run $|m|$ times around the axis.
#
# <details><summary>Solution</summary>
#
# $e^{-i\alpha J_z}$ is diagonal with entries $e^{-im\alpha}$. Turning by $\alpha$ multiplies component $m$ by a
# phase, and after a full turn the phase has gone round $m$ times.
#
# </details>
#
# **2.** *Predict.* The trace of $D^\ell(R)$ depends only on the angle $\omega$ of the rotation, not on its axis. Check
# the formula $\sin((2\ell+1)\,\omega/2) / \sin(\omega/2)$.
#
# <details><summary>Solution</summary>
#
# ```python
# omega = Rotation.from_matrix(rotation).magnitude()
# for l in range(4):
#     print(np.trace(wigner_d(rotation, l)), np.sin((2 * l + 1) * omega / 2) / np.sin(omega / 2))
# ```
#
# </details>
#
# **3.** *Predict.* Which of these operations keep an SO(3)-vector covariant: adding two; multiplying each block by its
# own complex number; taking the real part; applying ReLU to every component; mixing channels by a matrix?
#
# <details><summary>Solution</summary>
#
# Adding, scaling each block and mixing channels commute with $D^\ell$. ReLU does not, in any basis: it looks at each
# component alone, and $D^\ell$ mixes them. The real part depends on the basis. In the complex one it is not covariant,
# since $D^\ell$ is complex; in the real one it is, since there $U D^\ell U^\dagger$ is a real matrix. That is what the
# picture of arrows above has used. But the real part is no nonlinearity. For one, Cormorant needs the Clebsch-Gordan
# product of notebook 04.
#
# </details>
#
# **4.** *Code.* Write `violation(layer)`: how far a function from SO(3)-vectors to SO(3)-vectors, both `(16,
# channels)`, is from commuting with rotations, as a number that is zero for covariant ones. Then try it on the
# operations of exercise 3.


# %% tags=["hide-input"]
def check_violation(violation):
    mixing = np.array([[1, 2j], [0.5, -1]])
    covariant = {"the identity": lambda f: f, "channel mixing": lambda f: f @ mixing, "a factor": lambda f: 1e-6 * f}
    for name, layer in covariant.items():
        assert violation(layer) < 1e-10, f"It should be zero for {name}."
    others = {"the real part": lambda f: f.real + 0j, "ReLU": lambda f: np.maximum(f.real, 0) + 0j}
    others["a constant"] = lambda f: f + 1e-3
    for name, layer in others.items():
        assert violation(layer) > 1e-6, f"It should notice {name}."
    print("right")


# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def violation(layer):
#     f = rng.standard_normal((16, 2)) + 1j * rng.standard_normal((16, 2))
#     r = random_rotation(rng)
#     after, expected = layer(rotate(f, r)), rotate(layer(f), r)
#     return abs(after - expected).max() / abs(expected).max()
#
#
# check_violation(violation)
# ```
#
# One random rotation and one random input are enough, almost surely. The library's `exactness.py` asks the whole
# network in the same way.
#
# </details>

# %% [markdown]
# **In the code:** [rotation.py](../cormorant_np/rotation.py)
#
# **In the documentation:** [conventions](../docs/conventions.md)
#
# **Next:** [04 · The Clebsch-Gordan product](04_cg_product.ipynb)
