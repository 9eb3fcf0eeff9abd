# %% [markdown]
# # 05 · Radial functions and the soft mask
#
# Directions are taken care of; what about distances? A pair of atoms at distance $r$ is described by a set of
# learnable waves, $\eta(r)$, and faded out by a learnable mask $\mu(r)$, both from section 1.4.2. The waves are a
# basis: the weights of notebook 06 add them up, $\sum_{kn} W_{kn}\, \eta_{(k,n)}(r)$, to whatever function of $r$ the
# data ask for, as a Fourier series adds up sines, here with frequencies that are learned. The powers of $1/r$ let this
# function be as steep as physics is when atoms come close. The mask says who is a neighbour at all.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np

from cormorant_np import Config, data
from cormorant_np.drawing import COLOURS, ELEMENTS, print_table
from cormorant_np.gradient_check import backward_errors
from cormorant_np.model import init_params
from cormorant_np.network.geometry import geometry_forward
from cormorant_np.network.pairs import spread
from cormorant_np.network.radial import mask_backward, mask_forward, radial_backward, radial_forward

# %% [markdown]
# ## The waves
#
# $$\eta_{(k,n)}(r) = r^{-k} \bigl( \sin(2\pi\kappa_n r + \phi_n) + i \sin(2\pi\bar\kappa_n r + \bar\phi_n) \bigr)$$
#
# Frequencies $\kappa, \bar\kappa$ (in 1/Å) and phases $\phi, \bar\phi$ are learnable and belong to a layer; the
# powers $k$ are fixed. (The bars are names, not conjugates.) With $k = 0..3$ and $n = 0..3$ that makes 16 complex
# functions. The equation prints an index $\ell$ as well, but the published number of parameters comes out only if
# all $\ell$ share them. Distances are the same in all layers, so the library makes the waves of all layers together,
# with the layers in front; here there is one.

# %%
config = Config.md17()
ethanol = data.load("sample")
batch = data.make_batch(ethanol.charges[:100], ethanol.positions[:100], config, np.float64)
geometry, _ = geometry_forward(batch.charges, batch.positions, config)

rng = np.random.default_rng(0)
kappa, phi = rng.uniform(0, 3, (1, 2, 4)), rng.uniform(0, 6, (1, 2, 4))  # layers, Re and Im, n
eta, cache = radial_forward(kappa, phi, geometry, config)

distances = spread(geometry.distances)  # molecules, j, i
molecule, i = 0, 3
naive = np.zeros((4, 4, 9), dtype=complex)
for j in range(9):
    for k in range(4):
        for n in range(4):
            if i != j:
                r = distances[molecule, j, i]
                real = np.sin(2 * np.pi * kappa[0, 0, n] * r + phi[0, 0, n])
                imaginary = np.sin(2 * np.pi * kappa[0, 1, n] * r + phi[0, 1, n])
                naive[k, n, j] = r**-k * (real + 1j * imaginary)
np.testing.assert_allclose(spread(eta)[0, :, molecule, :, i], naive.reshape(16, 9), atol=1e-12)

# %% [markdown]
# At $i = j$ the functions are set to zero. In the released code $0^{-k}$ appears there; it is thrown away later,
# but its derivative is not a number, and so the network had no forces.
#
# How does training start? With $\kappa = (0, 1, 2, 3)$ and phases that make $n = 0$ a plain power, $r^{-k}$:

# %% tags=["hide-input"]
params = init_params(config, rng, np.float64)
start = params["layers.0.radial.kappa"][None], params["layers.0.radial.phi"][None]
print_table(
    [[n, *(float(a[0, row, n]) for a in start for row in (0, 1))] for n in range(4)], ["n", "κ", "κ̄", "φ", "φ̄"]
)


def on_a_line(r):
    """Two atoms at each of the distances r."""
    positions = np.zeros((len(r), 2, 3))
    positions[:, 1, 2] = r
    return geometry_forward(np.ones((len(r), 2), int), positions, config)[0]


r = np.linspace(0.7, 4, 300)
line = on_a_line(r)
curves = spread(radial_forward(*start, line, config)[0])[0, :, :, 0, 1].reshape(4, 4, -1)
figure, axes = plt.subplots(2, 4, figsize=(10, 4.2), sharex=True, sharey="col")
for k in range(4):
    for n in range(4):
        axes[0, k].plot(r, curves[k, n].real, label=f"n = {n}")
        axes[1, k].plot(r, curves[k, n].imag)
    axes[0, k].set_title(f"k = {k}")
    axes[1, k].set_xlabel("r / Å")
axes[0, 0].set_ylabel("Re η")
axes[1, 0].set_ylabel("Im η")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center")
plt.show()

# %% [markdown]
# Two functions with $\kappa = 0$ and the same phase, real and imaginary part of $n = 0$, coincide at the start;
# training may separate them.
#
# ## The mask
#
# $$\mu_c(r) = \sigma\bigl(-(r - r_c)/w_c\bigr), \qquad \sigma(x) = \frac{1}{1 + e^{-x}}$$
#
# Every channel $c$ has its own cutoff $r_c$ and width $w_c$, both learnable. They start at 1.73 Å and 0.2 Å: the
# supplement does not say where, so the library takes the released code's values.

# %%
cutoff, width = rng.uniform(1, 3, (1, 16)), rng.uniform(0.1, 0.5, (1, 16))  # layers, channels
mask, mask_cache = mask_forward(cutoff, width, geometry, config)
naive = np.zeros((16, 9, 9))
for c in range(16):
    for j in range(9):
        for i in range(9):
            if i != j:
                naive[c, j, i] = 1 / (1 + np.exp((distances[0, j, i] - cutoff[0, c]) / width[0, c]))
np.testing.assert_allclose(spread(mask)[0, :, 0], naive)

# %% [markdown]
# What does the mask let through? Here are all distances in a hundred frames of ethanol, by the kind of the pair,
# and the mask as it is at the start. Bonds pass: their two atoms hear each other. Of the pairs two
# bonds apart, hydrogens on the same carbon (1.8 Å) are half heard and the others (2.0 to 2.6 Å) hardly, so that at
# the beginning news from there has to travel through the layers, one bond at a time.

# %% tags=["hide-input"]
charges = batch.charges[0]
bins = np.linspace(0.8, 4.2, 120)
figure, ax = plt.subplots(figsize=(8, 3.6))
kinds = {}
for i in range(9):
    for j in range(i):
        name = "–".join(sorted(ELEMENTS[int(z)][0] for z in charges[[i, j]]))
        kinds.setdefault(name, []).extend(distances[:, j, i])
ax.hist(kinds.values(), bins, stacked=True, label=list(kinds), color=COLOURS[: len(kinds)])
ax.set(xlabel="distance / Å", ylabel="pairs in 100 frames")
ax.legend(loc="upper right")
second = ax.twinx()
second.plot(bins, 1 / (1 + np.exp((bins - 1.73) / 0.2)), color="black", linewidth=2)
second.set(ylabel="mask μ (black)", ylim=(0, 1.05))
second.spines.right.set_visible(True)
second.grid(False)
plt.show()

# %% [markdown]
# A *soft* mask matters: with a hard one, energy would jump whenever a pair crosses the cutoff, and forces would be
# wrong.
#
# ## Derivatives
#
# Both are functions of one real variable, and their derivatives are calculus. With $x_n = 2\pi\kappa_n r + \phi_n$,
#
# $$\frac{\partial}{\partial r}\, r^{-k} \sin x_n = 2\pi\kappa_n\, r^{-k} \cos x_n - k\, r^{-k-1} \sin x_n,
# \qquad \sigma' = \sigma\,(1 - \sigma).$$
#
# The backward functions hand on gradients by frequencies, phases, cutoffs, widths and distances; all agree with
# difference quotients (notebook 09 explains the method).

# %%
small, _ = geometry_forward(batch.charges[:2], batch.positions[:2], config)


def with_distances(function):
    return lambda a, b, distances: function(a, b, small._replace(distances=distances), config)


for name, forward, backward, inputs in [
    ("η: κ, φ, r", radial_forward, radial_backward, [kappa, phi]),
    ("μ: r_c, w, r", mask_forward, mask_backward, [cutoff, width]),
]:
    errors = backward_errors(with_distances(forward), backward, [*inputs, small.distances], rng)
    assert max(errors) < 1e-8
    print(f"{name:<14}", *(f"{error:.0e}" for error in errors))

# %% [markdown]
# ## Exercises
#
# **1.** At which distance is $\mu = 1/2$? How much is left half an Å further out, with $w = 0.2$ Å?
#
# <details><summary>Solution</summary>
#
# At $r = r_c$. Half an Å further, $\sigma(-2.5) = 0.076$.
#
# </details>
#
# **2.** The released code makes its complex channels differently. It lists the real functions
# $r^{-k}\sin(2\pi\kappa_n r + \phi_n)$, $n = 0..7$, with $k$ running fastest, and takes neighbours in this list as
# real and imaginary part. Which powers share a channel then?
#
# <details><summary>Solution</summary>
#
# $k = 0$ with $k = 1$, and $k = 2$ with $k = 3$, always of the same wave. `Config.md17(convention="released")` does
# it, by the field `paired_radial_functions`; the number of parameters is the same.
#
# </details>
#
# **3.** Suppose $w_c$ becomes negative in training. What does the mask do then?
#
# <details><summary>Solution</summary>
#
# It turns round, and lets through what is *far*. Nothing in the supplement forbids it. The released code uses
# $\max(|w|, 0.001)$; the field `clamp_cutoffs` turns that on.
#
# </details>

# %% [markdown]
# **In the code:** [radial.py](../cormorant_np/network/radial.py)
#
# **In the documentation:** [radial](../docs/derivations/radial.md)
#
# **Next:** [06 · The edge network](06_edge_network.ipynb)
