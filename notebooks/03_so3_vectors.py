# %% [markdown]
# # 03 · SO(3)-vectors and covariance
#
# Turn a molecule by a rotation $R$. A good network's inner numbers follow along in one of two ways. Some stay as
# they are: *invariant*. The others turn, by a matrix that depends on $R$ and on nothing else: *covariant*. For an
# SO(3)-vector, section 1.1 of the supplement, that matrix is Wigner's $D^\ell(R)$, one for each weight $\ell$:
#
# $$F_\ell(\{Z_i, R\,\mathbf r_i\}) = D^\ell(R)\, F_\ell(\{Z_i, \mathbf r_i\}).$$
#
# This notebook says what $D^\ell$ is, checks it on spherical harmonics, and then on a whole network.

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from cormorant_np import Config, data
from cormorant_np.drawing import COLOURS, axes_3d, draw_molecule, print_table
from cormorant_np.model import features, init_params
from cormorant_np.rotation import random_rotation, rotate, wigner_d
from cormorant_np.so3_vector import block
from cormorant_np.spherical_harmonics import complex_sh, real_from_complex

# %% [markdown]
# ## Wigner's matrices
#
# A rotation is three turns, about $z$, $y$ and $z$: $R = R_z(\alpha) R_y(\beta) R_z(\gamma)$. In the space of
# weight $\ell$ a turn about an axis is the exponential of an angular momentum matrix,
#
# $$D^\ell(R) = e^{-i\alpha J_z}\, e^{-i\beta J_y}\, e^{-i\gamma J_z}, \qquad
# J_z |m\rangle = m |m\rangle, \quad J_\pm |m\rangle = \sqrt{\ell(\ell+1) - m(m \pm 1)}\; |m \pm 1\rangle,$$
#
# with $J_y = (J_+ - J_-)/2i$. Written as code, straight from the definition:

# %%
def naive_wigner_d(alpha, beta, gamma, l):
    m = np.arange(-l, l)
    raising = np.diag(np.sqrt(l * (l + 1) - m * (m + 1)), -1)
    j_y, j_z = (raising - raising.T) / 2j, np.diag(np.arange(-l, l + 1))
    return expm(-1j * alpha * j_z) @ expm(-1j * beta * j_y) @ expm(-1j * gamma * j_z)


angles = alpha, beta, gamma = 0.4, 1.1, -2.0
rotation = Rotation.from_euler("ZYZ", angles).as_matrix()
for l in range(5):
    np.testing.assert_allclose(wigner_d(rotation, l), naive_wigner_d(*angles, l), atol=1e-13)

# %% [markdown]
# The library reaches the same matrices by another road, without angles: $D^1$ is $R$ itself in other coordinates,
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
# ## Spherical harmonics turn with $D$
#
# $Y^\ell(R\,\hat{\mathbf r}) = D^\ell(R)\, Y^\ell(\hat{\mathbf r})$ holds for the conjugated harmonics that the
# library uses (notebook 02). With the quantum mechanical ones, the same line would need $\overline{D^\ell(R)}$:

# %%
vectors = rng.standard_normal((10, 3))
before, after = complex_sh(vectors, 3), complex_sh(vectors @ rotation.T, 3)
for l in range(4):
    d = wigner_d(rotation, l)
    np.testing.assert_allclose(after[block(l)], d @ before[block(l)], atol=1e-13)
    np.testing.assert_allclose(after[block(l)].conj(), d.conj() @ before[block(l)].conj(), atol=1e-13)
np.testing.assert_allclose(after, rotate(before, rotation), atol=1e-13)

# %% [markdown]
# `rotate(F, R)` turns every block of an SO(3)-vector. Seen as a whole, its matrix has blocks along the diagonal:
# the weights do not mix. Here it is for our rotation, by absolute value.

# %%
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

# %%
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
# An $\ell = 1$ activation can be drawn. In the real basis its components are $(y, z, x)$; it is complex, so it is a
# pair of arrows, and we draw the real one at every atom. Left the molecule, right the turned one, *recomputed*, not
# turned:

# %%
def arrows(f, channel=0):
    """Real parts of the ℓ = 1 activations of one channel as arrows (N, 3)."""
    y, z, x = (real_from_complex(1) @ f[block(1), channel, 0]).real
    return np.stack([x, y, z], axis=-1)


axes = axes_3d(2, size=3.8)
for ax, b, title in zip(axes, (batch, turned), ("F(r)", "F(R r)"), strict=True):
    a = arrows(features(params, b, config)[1])
    scale = 1.6 / np.linalg.norm(a, axis=1).max()
    draw_molecule(ax, b.charges[0], b.positions[0], labels=False, arrows=a, arrow_scale=scale, reach=2.2)
    ax.set_title(f"ℓ = 1 of the second layer, {title}")
before, after = (arrows(features(params, b, config)[1]) for b in (batch, turned))
np.testing.assert_allclose(after, before @ rotation.T, atol=1e-12 * abs(before).max())

# %% [markdown]
# ## Exercises
#
# **1.** What is $D^\ell$ of a rotation about the $z$ axis? Use it to explain why the phases in notebook 02's
# picture run $|m|$ times around the axis.
#
# <details><summary>Solution</summary>
#
# $e^{-i\alpha J_z}$ is diagonal with entries $e^{-im\alpha}$. Turning by $\alpha$ multiplies component $m$ by a
# phase, and after a full turn the phase has gone round $m$ times.
#
# </details>
#
# **2.** The trace of $D^\ell(R)$ depends only on the angle $\omega$ of the rotation, not on its axis. Check the
# formula $\sin((2\ell+1)\,\omega/2) / \sin(\omega/2)$.
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
# **3.** Which of these operations keep an SO(3)-vector covariant: adding two; multiplying each block by its own
# complex number; taking the real part; applying ReLU to every component; mixing channels by a matrix?
#
# <details><summary>Solution</summary>
#
# Adding, scaling each block and mixing channels commute with $D^\ell$. The real part and ReLU do not: $D^\ell$ is
# complex and mixes the components. That is why Cormorant needs another nonlinearity, the Clebsch-Gordan product of
# notebook 04.
#
# </details>

# %% [markdown]
# **In the code:** [rotation.py](../cormorant_np/rotation.py)
#
# **In the documentation:** [conventions](../docs/conventions.md)
#
# **Next:** [04 · The Clebsch-Gordan product](04_cg_product.ipynb)
