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

from cormorant_np import Config, data, plain
from cormorant_np.drawing import COLOURS, ELEMENTS, print_table
from cormorant_np.gradient_check import assert_backward, backward_errors
from cormorant_np.model import init_params

# %% [markdown]
# ## The waves
#
# $$\eta_{(k,n)}(r) = r^{-k} \bigl( \sin(2\pi\kappa_n r + \phi_n) + i \sin(2\pi\bar\kappa_n r + \bar\phi_n) \bigr)$$
#
# Frequencies $\kappa, \bar\kappa$ (in 1/Å) and phases $\phi, \bar\phi$ are learnable and belong to a layer; the
# powers $k$ are fixed. (The bars are names, not conjugates.) With $k = 0..3$ and $n = 0..3$ that makes 16 complex
# functions. The equation prints an index $\ell$ as well, but the published number of parameters comes out only if
# all $\ell$ share them.

# %%
config = Config.md17()
ethanol = data.load("sample")
charges, positions = ethanol.charges[0], ethanol.positions[0]
distances, _, _ = plain.geometry_forward(positions, config)  # i, j

rng = np.random.default_rng(0)
kappa, phi = rng.uniform(0, 3, (2, 4)), rng.uniform(0, 6, (2, 4))  # Re and Im, n
eta, _ = plain.radial_forward(kappa, phi, distances, config)

naive = np.zeros((4, 4, 9, 9), dtype=complex)
for i in range(9):
    for j in range(9):
        for k in range(4):
            for n in range(4):
                if i != j:
                    r = distances[i, j]
                    real = np.sin(2 * np.pi * kappa[0, n] * r + phi[0, n])
                    imaginary = np.sin(2 * np.pi * kappa[1, n] * r + phi[1, n])
                    naive[k, n, i, j] = r**-k * (real + 1j * imaginary)
np.testing.assert_allclose(eta, naive.reshape(16, 9, 9), atol=1e-12)

# %% [markdown]
# At $i = j$ the functions are set to zero. In the released code $0^{-k}$ appears there; it is thrown away later,
# but its derivative is not a number, and so the network had no forces.
#
# How does training start? With $\kappa = (0, 1, 2, 3)$ and phases that make $n = 0$ a plain power, $r^{-k}$:

# %% tags=["hide-input"]
params = init_params(config, rng, np.float64)
start = params["layers.0.radial.kappa"], params["layers.0.radial.phi"]
print_table([[n, *(float(a[row, n]) for a in start for row in (0, 1))] for n in range(4)], ["n", "κ", "κ̄", "φ", "φ̄"])

r = np.linspace(0.7, 4, 300)
curves, _ = plain.radial_forward(*start, r[None], config)  # as if there were 1 x 300 pairs
curves = curves.reshape(4, 4, -1)
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
cutoff, width = rng.uniform(1, 3, 16), rng.uniform(0.1, 0.5, 16)  # for every channel
mask, _ = plain.mask_forward(cutoff, width, distances, config)
naive = np.zeros((16, 9, 9))
for c in range(16):
    for i in range(9):
        for j in range(9):
            if i != j:
                naive[c, i, j] = 1 / (1 + np.exp((distances[i, j] - cutoff[c]) / width[c]))
np.testing.assert_allclose(mask, naive)

# %% [markdown]
# What does the mask let through? Here are all distances in a hundred frames of ethanol, by the kind of the pair,
# and the mask as it is at the start. Bonds pass: their two atoms hear each other. Of the pairs two
# bonds apart, hydrogens on the same carbon (1.8 Å) are half heard and the others (2.0 to 2.6 Å) hardly, so that at
# the beginning news from there has to travel through the layers, one bond at a time.

# %% tags=["hide-input"]
frames = ethanol.positions[:100]
of_frames = np.linalg.norm(frames[:, :, None] - frames[:, None], axis=-1)  # frames, i, j
bins = np.linspace(0.8, 4.2, 120)
figure, ax = plt.subplots(figsize=(8, 3.6))
kinds = {}
for i in range(9):
    for j in range(i):
        name = "–".join(sorted(ELEMENTS[int(z)][0] for z in charges[[i, j]]))
        kinds.setdefault(name, []).extend(of_frames[:, i, j])
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
# difference quotients (notebook 09 explains the method). An atom's distance to itself is 0 and stays 0.
#
# Here and later $\delta z$ is a small change of a number $z$, and $dz$ is the gradient $\partial L / \partial z$ of the
# loss $L$. For complex $z$ it is $\partial L/\partial\,\mathrm{Re}\,z + i\,\partial L/\partial\,\mathrm{Im}\,z$, so
# that $\delta L = \mathrm{Re}(\overline{dz}\,\delta z)$ (notebook 09).

# %%
others = 1 - np.eye(9)


def of_distances(forward, backward):
    """The same two functions, for which the distance of an atom to itself does not count."""

    def backward_by_others(d_output, cache):
        *gradients, d_distances = backward(d_output, cache)
        return *gradients, others * d_distances

    return lambda a, b, r: forward(a, b, others * r, config), backward_by_others


for name, forward, backward, inputs in [
    ("η: κ, φ, r", plain.radial_forward, plain.radial_backward, [kappa, phi]),
    ("μ: r_c, w, r", plain.mask_forward, plain.mask_backward, [cutoff, width]),
]:
    errors = backward_errors(*of_distances(forward, backward), [*inputs, distances], rng)
    assert max(errors) < 1e-8
    print(f"{name:<14}", *(f"{error:.0e}" for error in errors))

# %% [markdown]
# Would such a check notice a slip? `assert_backward` says what is wrong in a sentence. Here is the mask with a
# forgotten minus in $dw = -\sum x\, dx / w$, with $x = (r_c - r)/w$:


# %%
def without_the_minus(d_mask, cache):
    d_cutoff, d_width, d_distances = plain.mask_backward(d_mask, cache)
    return d_cutoff, -d_width, d_distances


try:
    forward, backward = of_distances(plain.mask_forward, without_the_minus)
    assert_backward(forward, backward, [cutoff, width, distances], ["r_c", "w", "r"], rng)
except AssertionError as error:
    print(error)

# %% [markdown]
# ## Exercises
#
# From here to notebook 09 there is one exercise in each that asks for a *new* backward function, of an operation
# that no notebook derives. Its checker compares your gradients with difference quotients, as above.
#
# **1.** *Predict.* At which distance is $\mu = 1/2$? How much is left half an Å further out, with $w = 0.2$ Å?
#
# <details><summary>Solution</summary>
#
# At $r = r_c$. Half an Å further, $\sigma(-2.5) = 0.076$.
#
# </details>
#
# **2.** *Predict.* The released code makes its complex channels differently. It lists the real functions
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
# **3.** *Predict.* Suppose $w_c$ becomes negative in training. What does the mask do then?
#
# <details><summary>Solution</summary>
#
# It turns round, and lets through what is *far*. Nothing in the supplement forbids it. The released code uses
# $\max(|w|, 0.001)$; the field `clamp_cutoffs` turns that on.
#
# </details>
#
# **4.** *Derive.* The sigmoid never quite ends. Many later networks end theirs: with $x = r / r_c$,
# $f(x) = 1 - 10x^3 + 15x^4 - 6x^5$ for $x < 1$ and 0 beyond. How smooth is it at $x = 1$, and what would be wrong with
# $1 - x$?
#
# <details><summary>Solution</summary>
#
# $f'(x) = -30\, x^2 (1 - x)^2$, so that $f$, $f'$ and $f''$ all vanish at $x = 1$: energies and forces are smooth
# there, and the forces have a slope. With $1 - x$ the energy would have a kink, and the forces would jump.
#
# </details>
#
# **5.** *Derive and code.* Other networks describe a distance by Gaussians,
#
# $$\rho_k(r) = e^{-(r - c_k)^2 / 2 w_k^2},$$
#
# with learnable centres $c_k$ and widths $w_k$. Here is the forward function. Derive the gradients by $c$, $w$ and the
# distances, and write `gaussians_backward(d_rho, cache)`, which returns the three.


# %%
def gaussians_forward(centres, widths, distances):
    """ρ, (K, N_i, N_j), from (K,), (K,) and (N_i, N_j)."""
    x = (distances - centres[:, None, None]) / widths[:, None, None]
    rho = np.exp(-(x**2) / 2)
    return rho, (x, rho, widths)


# %% tags=["hide-input"]
def check_gaussians_backward(gaussians_backward):
    inputs = [np.linspace(1, 3, 5), np.linspace(0.3, 0.6, 5), distances]
    assert_backward(gaussians_forward, gaussians_backward, inputs, ["c", "w", "r"], rng)
    print("right")


# %% [markdown]
# <details><summary>Solution</summary>
#
# With $x = (r - c)/w$ and $\rho = e^{-x^2/2}$: $\delta\rho = -x \rho\, \delta x$ and
# $\delta x = (\delta r - \delta c - x\, \delta w) / w$. So with $dx = -x \rho\, d\rho$,
#
# $$dc_k = -\sum_{ij} \frac{dx}{w_k}, \qquad dw_k = -\sum_{ij} \frac{x\, dx}{w_k}, \qquad
# dr_{ij} = \sum_k \frac{dx}{w_k}.$$
#
# Who serves many collects a sum: a centre serves all pairs, a distance all functions.
#
# ```python
# def gaussians_backward(d_rho, cache):
#     x, rho, widths = cache
#     d = -x * rho * d_rho / widths[:, None, None]
#     return -d.sum(axis=(1, 2)), -(x * d).sum(axis=(1, 2)), d.sum(axis=0)
#
#
# check_gaussians_backward(gaussians_backward)
# ```
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py)
#
# **In the documentation:** [radial](../docs/derivations/radial.md)
#
# **Next:** [06 · The edge network](06_edge_network.ipynb)
