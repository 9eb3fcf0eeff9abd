# %% [markdown]
# # 09 · Backpropagation with complex numbers, by hand
#
# To train the network we need the derivative of one number, the loss, by 154241 others, and for forces the
# derivative of the energy by the positions. Other programs leave this to automatic differentiation. Here every
# derivative is written by hand, and this notebook shows how: one rule for complex numbers, then one operation after
# the other, from the energy back to the positions. Each is derived, written as a few lines, compared with the
# library, and checked against a difference quotient that knows nothing of derivations.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import sympy as sp

from cormorant_np import Config, data, model, plain
from cormorant_np.clebsch_gordan import paths, table
from cormorant_np.drawing import COLOURS, axes_3d, draw_molecule, print_table
from cormorant_np.gradient_check import (
    assert_backward,
    backward_errors,
    directional_derivative,
    gradient_error,
    inner,
    random_like,
)
from cormorant_np.model import init_params
from cormorant_np.so3_vector import block, num_l
from cormorant_np.spherical_harmonics import normalise, normalise_backward, solid_sh, solid_sh_backward

rng = np.random.default_rng(0)


def random_complex(*shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def random_vector(*shape):
    """An SO(3)-vector with L = 1 as in `plain`, a list over ℓ of (2ℓ+1, *shape)."""
    return [random_complex(2 * l + 1, *shape) for l in range(2)]


def flat(x):
    """A list over ℓ of (2ℓ+1, ...) as one array, ((L+1)², ...), which the check can vary."""
    return np.concatenate(x)


def by_l(x):
    """The inverse of `flat`."""
    return [x[block(l)] for l in range(num_l(x))]


def show(errors):
    print("relative errors:", *(f"{error:.0e}" for error in errors))
    assert max(errors) < 1e-8


# %% [markdown]
# ## What is the gradient by a complex number?
#
# The loss $L$ is real. A complex number $z = x + iy$ is two real numbers, so there are two partial derivatives, and
# we keep them together in one complex number,
#
# $$dz := \frac{\partial L}{\partial x} + i\,\frac{\partial L}{\partial y}.$$
#
# (In this notebook and in the code, $dz$ is a *gradient*, and a small change is called $\delta z$.) It is the arrow
# of steepest ascent in the complex plane. A small step $\delta z$ changes the loss by
#
# $$\delta L = \frac{\partial L}{\partial x}\,\delta x + \frac{\partial L}{\partial y}\,\delta y =
# \mathrm{Re}\bigl(\overline{dz}\;\delta z\bigr). \tag{*}$$
#
# Everything follows from $(*)$. For an example take $L = |z^2 - 1|^2$, which has two minima, $z = \pm 1$. Write
# $y = z^2 - 1$; then $dy = 2y$, and with $\delta y = 2z\,\delta z$ we read off
# $dz = \overline{2z}\;dy = 4 \bar z (z^2 - 1)$. SymPy agrees:

# %%
x, y = sp.symbols("x y", real=True)
z = x + sp.I * y
loss = sp.expand((z**2 - 1) * sp.conjugate(z**2 - 1))
gradient = sp.diff(loss, x) + sp.I * sp.diff(loss, y)
assert sp.expand(gradient - 4 * sp.conjugate(z) * (z**2 - 1)) == 0

re, im = np.meshgrid(np.linspace(-1.7, 1.7, 200), np.linspace(-1.2, 1.2, 150))
figure, ax = plt.subplots(figsize=(6.4, 4.4))
ax.contour(re, im, np.log10(abs((re + 1j * im) ** 2 - 1) ** 2 + 1e-3), 24, linewidths=0.7)
for start, colour in zip([0.15 + 1.1j, -0.25 + 1.1j, -0.1 - 1j], COLOURS, strict=False):
    path = [start]
    for _ in range(60):
        path.append(path[-1] - 0.02 * 4 * np.conj(path[-1]) * (path[-1] ** 2 - 1))
    ax.plot(np.real(path), np.imag(path), ".-", color=colour, markersize=4, linewidth=1)
ax.set(xlabel="Re z", ylabel="Im z", title="steps of  z ← z − 0.02 dz  on  |z² − 1|²", aspect="equal")
plt.show()

# %% [markdown]
# ## The two rules
#
# **A product.** For $y = a b$, a small change is $\delta y = b\,\delta a + a\,\delta b$, hence
#
# $$\delta L = \mathrm{Re}(\overline{dy}\, b\, \delta a) + \dots =
# \mathrm{Re}\bigl(\overline{(\bar b\, dy)}\, \delta a\bigr) + \dots,$$
#
# that is
#
# $$y = a\,b \quad\Rightarrow\quad da = \bar b\; dy, \qquad db = \bar a\; dy.$$
#
# *The gradient by one factor is the conjugate of the other, times what came from above.* Almost everything in
# Cormorant is a product, so this is the rule we shall use over and over.
#
# **A real input.** If $a$ is real, it can only move along the real axis, so $da = \mathrm{Re}(\bar b\, dy)$.
#
# We let SymPy confirm both. By $(*)$ the loss near some point is $L = \mathrm{Re}(\overline{d}\, y)$ with $d = dy$,
# up to terms that do not matter:

# %%
a1, a2, b1, b2, d1, d2 = sp.symbols("a1 a2 b1 b2 d1 d2", real=True)
a, b, d = a1 + sp.I * a2, b1 + sp.I * b2, d1 + sp.I * d2
loss = sp.re(sp.expand(sp.conjugate(d) * a * b))
assert sp.expand(sp.diff(loss, a1) + sp.I * sp.diff(loss, a2) - sp.conjugate(b) * d) == 0
assert sp.expand(sp.diff(loss, a1) - sp.re(sp.expand(sp.conjugate(b) * d))) == 0

# %% [markdown]
# ## A check that trusts nobody
#
# For many numbers at once, $(*)$ reads $\delta L = \mathrm{Re} \sum \overline{dz}\,\delta z$. So take *one* random
# direction $v$ and compare the inner product $\mathrm{Re}\sum \overline{dz}\,v$ with a difference quotient of $L$
# along $v$. A wrong entry anywhere shows. The library uses the fourth-order quotient
#
# $$L' \approx \frac{8\,(L(h) - L(-h)) - (L(2h) - L(-2h))}{12\,h}.$$
#
# How large should the step $h$ be? Too large, and the formula is inexact; too small, and rounding eats the digits.
# Here is the error for a function whose derivative we know, together with the usual second-order quotient.

# %% tags=["hide-input"]
z = random_complex(20)


def smooth(z):
    return float(np.exp(-(abs(z) ** 2).mean()) + np.sin(z.real.sum()))


exact = -2 * z / len(z) * np.exp(-(abs(z) ** 2).mean()) + np.cos(z.real.sum())
v = random_like(z, rng)
steps = np.logspace(-10, 0, 60)
fourth = [abs(directional_derivative(smooth, z, v, h) / inner(exact, v) - 1) for h in steps]
second = [abs((smooth(z + h * v) - smooth(z - h * v)) / (2 * h) / inner(exact, v) - 1) for h in steps]
figure, ax = plt.subplots(figsize=(6.4, 3.4))
ax.loglog(steps, second, ".", label="second order")
ax.loglog(steps, fourth, ".", label="fourth order")
ax.set(xlabel="step h", ylabel="relative error")
ax.legend()
plt.show()

# %% [markdown]
# With $h$ around $10^{-3}$ to $10^{-4}$ the fourth-order quotient has ten to twelve correct digits.
# `backward_errors` does this for a pair of functions, forward and backward, one number for each input.
#
# ## The map
#
# Here is one layer, forward from top to bottom. At every arrow stands, in orange, the gradient that comes back along
# it. Whoever is read in several places, as $F^s$ is, gets several gradients, and their *sum* is its gradient.

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(4.7, 7.0))
OPERATION, VALUE, WEIGHT = "#d7e7f5", "white", "#dcefe3"
PLACES = {  # x, y, text, colour
    "r": (5.9, 15.3, "positions  $\\mathbf{r}$", VALUE),
    "radial": (4.0, 13.0, "radial functions,\nmask", OPERATION),
    "harmonics": (8.2, 13.0, "harmonics", OPERATION),
    "kappa": (0.8, 13.0, "$\\kappa, \\phi$\n$r_c, w$", WEIGHT),
    "g": (0.9, 11.1, "$g^s$", VALUE),
    "F": (0.9, 8.9, "$F^s$", VALUE),
    "edge": (4.0, 10.0, "edge network\n(S2)", OPERATION),
    "W edge": (7.0, 10.0, r"$W^\mathrm{edge}$", WEIGHT),
    "later g": (4.0, 7.4, "layer $s+1$", VALUE),
    "to vertex": (8.2, 7.7, "edge to vertex\n(S3)", OPERATION),
    "vertex": (4.4, 4.9, "vertex network\n(S4, S5)", OPERATION),
    "W vertex": (8.2, 4.9, r"$W^\mathrm{vertex}$", WEIGHT),
    "later F": (8.2, 2.6, "layer $s+1$", VALUE),
    "output": (4.4, 2.4, "invariants, output", OPERATION),
    "loss": (4.4, 0.4, "loss  $L$", VALUE),
}
ARROWS = [  # from, to, the gradient that comes back, where it stands on the way, how far above
    ("r", "radial", "$dr$", 0.5, 0),
    ("r", "harmonics", "$d\\hat{\\mathbf{r}}$", 0.5, 0),
    ("kappa", "radial", "$d\\kappa \\dots$", 0.37, 0.5),
    ("radial", "edge", "$d\\eta, d\\mu$", 0.42, 0),
    ("g", "edge", "$dg^s$", 0.34, 0),
    ("F", "edge", "$dF^s$", 0.36, 0),
    ("W edge", "edge", "$dW$", 0.36, 0.5),
    ("edge", "later g", "$dg^{s+1}$", 0.5, 0),
    ("edge", "to vertex", "$dg^{s+1}$", 0.45, 0),
    ("harmonics", "to vertex", "$dY$", 0.5, 0),
    ("to vertex", "vertex", "$dG$", 0.45, 0),
    ("F", "vertex", "$dF^s$", 0.45, 0),
    ("W vertex", "vertex", "$dW$", 0.36, 0.5),
    ("vertex", "later F", "$dF^{s+1}$", 0.5, 0),
    ("vertex", "output", "$dF^{s+1}$", 0.48, 0),
    ("output", "loss", "$dE$", 0.5, 0),
]
boxes = {}
for name, (x, y, text, colour) in PLACES.items():
    style = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": "#555555", "linewidth": 0.8}
    boxes[name] = ax.text(x, y, text, ha="center", va="center", fontsize=10, bbox=style, zorder=3)
for start, end, gradient, where, above in ARROWS:
    (x, y, *_), (u, v, *_) = PLACES[start], PLACES[end]
    style = {
        "arrowstyle": "-|>",
        "color": "#888888",
        "patchA": boxes[start],
        "patchB": boxes[end],
        "shrinkA": 0,
        "shrinkB": 3,
    }
    ax.annotate("", (u, v), (x, y), arrowprops=style, zorder=1)
    background = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"}
    style = {"color": COLOURS[1], "fontsize": 11, "bbox": background, "ha": "center", "va": "center", "zorder": 2}
    ax.text(x + where * (u - x), y + where * (v - y) + above, gradient, **style)
ax.set(xlim=(0, 9.8), ylim=(-0.3, 15.9))
ax.axis("off")
plt.show()

# %% [markdown]
# Blue is an operation and has a backward function; green is learned; white is a value that somebody else has made or
# will use. We go through it from the bottom to the top. In the first layer, $F^s$ is $F^0$, which comes from the input;
# that is the last step.
#
# ## From the energy backwards
#
# **Output** (1.5.1), $E = A \sum_i x_i + b$. Real products: $dA = \sum_i x_i\, dE$ and $dx_i = A\, dE$ for every
# atom. A sum hands its gradient to each of its terms.

# %%
config = Config.md17(num_channels=2, l_max=(1, 1), l_max_sh=(1, 1))
output = {"output.weight": rng.standard_normal(4), "output.bias": rng.standard_normal(1)}
x, d_energy = rng.standard_normal((4, 3)), 0.7  # four scalars of three atoms
_, cache = plain.output_forward(output, x, config)
grads, d_x = plain.output_backward(d_energy, cache)

np.testing.assert_allclose(grads["output.weight"], d_energy * sum(x[:, i] for i in range(3)))
for i in range(3):
    np.testing.assert_allclose(d_x[:, i], output["output.weight"] * d_energy)

# %% [markdown]
# **Invariants** (1.5). Three ways lead from $F$ to the scalars, and the three gradients add up.
#
# First, $\xi_2 = \sum_m F_m \bar F_m = \sum_m (x_m^2 + y_m^2)$, hence $dF_m = 2 F_m\, d\xi_2$.
#
# Second, $\tilde\xi_1 = \sum_m (-1)^m F_m F_{-m} = \sum_m F_m \tilde F_m$ with the dual
# $\tilde F_m = (-1)^m F_{-m}$. By the product rule, and since $F_m$ occurs twice,
# $dF_m = 2\, \overline{\tilde F_m}\, d\tilde\xi_1$. And
# $\xi_1 = \mathrm{Re}\,\tilde\xi_1 + \mathrm{Im}\,\tilde\xi_1$ has the partial derivatives 1 and 1, so
# $d\tilde\xi_1 = (1 + i)\, d\xi_1$.
#
# Third, $\xi_0$ is $F_{\ell = 0}$ itself, real and imaginary part: $dF_0 = d\,\mathrm{Re} + i\, d\,\mathrm{Im}$.

# %%
F = random_vector(2, 3)  # two channels, three atoms
_, cache = plain.invariants_forward(F, config)
d_x = rng.standard_normal((12, 3))
d_re, d_im, d_1_of_0, d_2_of_0, d_1_of_1, d_2_of_1 = d_x.reshape(6, 2, 3)

naive = [np.zeros_like(f) for f in F]
naive[0][0] = d_re + 1j * d_im + 2 * F[0][0].conj() * (1 + 1j) * d_1_of_0 + 2 * F[0][0] * d_2_of_0
for m in (-1, 0, 1):
    dual = (-1) ** m * F[1][1 - m]
    naive[1][1 + m] = 2 * dual.conj() * (1 + 1j) * d_1_of_1 + 2 * F[1][1 + m] * d_2_of_1
np.testing.assert_allclose(flat(plain.invariants_backward(d_x, cache)), flat(naive))


def invariants(f):
    return plain.invariants_forward(by_l(f), config)


def invariants_gradient(d_x, cache):
    return flat(plain.invariants_backward(d_x, cache))


show(backward_errors(invariants, invariants_gradient, [flat(F)], rng))

# %% [markdown]
# **Mixing**, $F = W Z$, in (S5) and (S2). A matrix product is many products: $F_{cn} = \sum_k W_{ck} Z_{kn}$, hence
# $dW_{ck} = \sum_n \overline{Z_{kn}}\, dF_{cn}$ and $dZ_{kn} = \sum_c \overline{W_{ck}}\, dF_{cn}$. In matrices,
# with $\dagger$ for the conjugate transpose,
#
# $$dW = dF\, Z^\dagger, \qquad dZ = W^\dagger\, dF.$$


# %%
def mix_forward(w, z):
    return w @ z, (w, z)


def mix_backward(d_f, cache):
    w, z = cache
    return d_f @ z.conj().T, w.conj().T @ d_f


inputs = [random_complex(3, 5), random_complex(5, 7)]
show(backward_errors(mix_forward, mix_backward, inputs, rng))

# %% [markdown]
# What if one conjugate is forgotten, as in every formula for real networks? `assert_backward` puts the answer of the
# check into words:


# %%
def forgetful(d_f, cache):
    w, z = cache
    return d_f @ z.conj().T, w.T @ d_f


try:
    assert_backward(mix_forward, forgetful, inputs, ["W", "Z"], rng)
except AssertionError as error:
    print(error)

# %% [markdown]
# **The Clebsch-Gordan product**, for every path $(\ell_1, \ell_2)$ into $\ell$
#
# $$(A \otimes_{\rm cg} B)_{\ell m} =
# \sum_{m_1 m_2} \langle \ell_1 m_1\, \ell_2 m_2 | \ell m \rangle\, A_{\ell_1 m_1} B_{\ell_2 m_2},$$
#
# is many products with real constants. Each component of $A$ is a factor in many of them, over all paths, and gets a
# gradient from each:
#
# $$dA_{\ell_1 m_1} = \sum_{\ell_2 \ell} \sum_{m_2 m} \langle \ell_1 m_1\, \ell_2 m_2 | \ell m \rangle\,
# \overline{B_{\ell_2 m_2}}\; d(A \otimes_{\rm cg} B)_{\ell m},$$
#
# and $dB$ likewise. In the **square** both factors are $F$, so that $dF$ is the sum of both gradients. In the
# **aggregation** $\sum_j G_{ij} \otimes_{\rm cg} F_j$ the gradient by $G_{ij}$ comes from atom $i$ alone; that by $F_j$
# collects from everyone who has listened to $j$, that is over $i$. In the forward pass $i$ receives; in the backward
# pass $j$ does. *Gradients travel against the messages.* As loops, for the aggregate's paths into $\ell = 1$:

# %%
G = random_vector(2, 3, 3)  # two channels, receivers i, senders j
into_1 = paths(1, 1, 1)
d_paths = [random_complex(3, 2, 3) for _ in into_1]
d_G, d_F = plain.cg_product_backward(d_paths, G, F, 1, plain.AGGREGATE)

naive_G, naive_F = [np.zeros_like(x) for x in G], [np.zeros_like(x) for x in F]
for (l1, l2), d in zip(into_1, d_paths, strict=True):
    for m1, m2, m in np.argwhere(table(l1, l2, 1)):
        coefficient = table(l1, l2, 1)[m1, m2, m]
        for i in range(3):
            for j in range(3):
                naive_G[l1][m1, :, i, j] += coefficient * F[l2][m2, :, j].conj() * d[m, :, i]
                naive_F[l2][m2, :, j] += coefficient * G[l1][m1, :, i, j].conj() * d[m, :, i]
np.testing.assert_allclose(flat(d_G), flat(naive_G))
np.testing.assert_allclose(flat(d_F), flat(naive_F))

d_left, d_right = plain.cg_product_backward(d_paths, F, F, 1, plain.SQUARE)
naive_F = [np.zeros_like(x) for x in F]
for (l1, l2), d in zip(into_1, d_paths, strict=True):
    for m1, m2, m in np.argwhere(table(l1, l2, 1)):
        coefficient = table(l1, l2, 1)[m1, m2, m]
        naive_F[l1][m1] += coefficient * F[l2][m2].conj() * d[m]
        naive_F[l2][m2] += coefficient * F[l1][m1].conj() * d[m]
np.testing.assert_allclose(flat(d_left) + flat(d_right), flat(naive_F), atol=1e-14)

# %% [markdown]
# The whole vertex network is these products, mixed. Checked for $G$, $F$ and the two weights:


# %%
weights = plain.under("layers.1.vertex.weight.", init_params(config, rng, np.float64))


def vertex_network(G, F, w_0, w_1):
    new_F, cache = plain.vertex_network_forward({"0": w_0, "1": w_1}, by_l(G), by_l(F), config.vertex_order)
    return flat(new_F), cache


def vertex_network_gradient(d_new_F, cache):
    d_G, d_F, d_weights = plain.vertex_network_backward(by_l(d_new_F), cache)
    return flat(d_G), flat(d_F), *d_weights


show(backward_errors(vertex_network, vertex_network_gradient, [flat(G), flat(F), *weights.values()], rng))

# %% [markdown]
# **Edge to vertex** (S3), $G_{\ell m c} = g_{\ell c}\, Y_{\ell m}$ for every pair: the scalar $g$ is shared by all $m$,
# and $Y$ by all channels $c$. Who is shared collects a sum:
#
# $$dg_{\ell c} = \sum_m \overline{Y_{\ell m}}\; dG_{\ell mc}, \qquad
# dY_{\ell m} = \sum_c \overline{g_{\ell c}}\; dG_{\ell mc}.$$

# %%
g, Y = random_complex(2, 2, 3, 3), random_vector(3, 3)  # ℓ, channels, i, j; and for every ℓ m, i, j
_, cache = plain.edge_to_vertex_forward(g, Y)
d_G = random_vector(2, 3, 3)
d_g, d_Y = plain.edge_to_vertex_backward(d_G, cache)
for l in range(2):
    for c in range(2):
        naive = sum(Y[l][l + m].conj() * d_G[l][l + m, c] for m in range(-l, l + 1))
        np.testing.assert_allclose(d_g[l][c], naive)
    for m in range(-l, l + 1):
        naive = sum(g[l, c].conj() * d_G[l][l + m, c] for c in range(2))
        np.testing.assert_allclose(d_Y[l][l + m], naive)


def edge_to_vertex(g, Y):
    G, cache = plain.edge_to_vertex_forward(g, by_l(Y))
    return flat(G), cache


def edge_to_vertex_gradient(d_G, cache):
    d_g, d_Y = plain.edge_to_vertex_backward(by_l(d_G), cache)
    return np.array(d_g), flat(d_Y)


show(backward_errors(edge_to_vertex, edge_to_vertex_gradient, [g, flat(Y)], rng))

# %% [markdown]
# **Dot products**, $d_{ij} = \sum_m \tilde F_{mi} F_{mj} = \sum_m \tilde F_{mj} F_{mi}$, a product once more. Atom $i$
# is the first of the pairs $(i, j)$ and the second of the pairs $(j, i)$, and its partner's dual is the factor both
# times:
#
# $$dF_{mi} = \sum_j \overline{\tilde F_{mj}}\; (dd_{ij} + dd_{ji}).$$

# %%
f = F[1]
d_dots = random_complex(2, 3, 3)
naive = np.zeros_like(f)
for m in (-1, 0, 1):
    for i in range(3):
        for j in range(3):
            dual = (-1) ** m * f[1 - m, :, j]
            naive[1 + m, :, i] += dual.conj() * (d_dots[:, i, j] + d_dots[:, j, i])
np.testing.assert_allclose(plain.dot_backward(d_dots, f), naive)
show(backward_errors(lambda f: (plain.dot_forward(f), f), plain.dot_backward, [f], rng))

# %% [markdown]
# **Mask**, $g = \mu\, e$ with real $\mu$: $de = \mu\, dg$ and, by the second rule,
# $d\mu = \mathrm{Re}(\bar e\, dg)$.
#
# **Radial functions and the mask's own parameters** are real calculus (notebook 05). For the mask, with
# $u = (r_c - r)/w$ and $\mu = \sigma(u)$, SymPy can derive what the docstring says:

# %%
r, r_c, w = sp.symbols("r r_c w", positive=True)
sigma = 1 / (1 + sp.exp(-(r_c - r) / w))
slope = sigma * (1 - sigma)
assert sp.simplify(sp.diff(sigma, r_c) - slope / w) == 0
assert sp.simplify(sp.diff(sigma, w) + slope * (r_c - r) / w**2) == 0
assert sp.simplify(sp.diff(sigma, r) + slope / w) == 0

ethanol = data.load("sample")
charges, positions = ethanol.charges[0], ethanol.positions[0]
distances, _, _ = plain.geometry_forward(positions, config)


def mask(cutoff, width):
    return plain.mask_forward(cutoff, width, distances, config)


def mask_gradient(d_mask, cache):
    return plain.mask_backward(d_mask, cache)[:2]


show(backward_errors(mask, mask_gradient, [np.array([1.7, 2]), np.array([0.2, 0.3])], rng))

# %% [markdown]
# For $\eta$, with $x = 2\pi\kappa_n r + \phi_n$, the real part of $\eta_{(k,n)}$ is $r^{-k} \sin x$, and hence
# $dx = \sum_k r^{-k} \cos x\; \mathrm{Re}\, d\eta_{(k,n)}$. All pairs share $\kappa$ and $\phi$, so they collect sums
# over pairs,
#
# $$d\kappa_n = \sum 2\pi r\, dx, \qquad d\phi_n = \sum dx,$$
#
# and $\bar\kappa$ and $\bar\phi$ likewise, with the imaginary part of $d\eta$:

# %%
kappa, phi = rng.uniform(0, 3, (2, 4)), rng.uniform(0, 6, (2, 4))  # Re and Im, n
eta, cache = plain.radial_forward(kappa, phi, distances, config)
d_eta = random_complex(*eta.shape)
d_kappa, d_phi, _ = plain.radial_backward(d_eta, cache)

naive_kappa, naive_phi = np.zeros_like(kappa), np.zeros_like(phi)
powers = np.array([(distances + np.eye(9)) ** -k * (1 - np.eye(9)) for k in range(4)])  # r^-k, and zero for j = i
for part, d in enumerate([d_eta.real, d_eta.imag]):
    for n in range(4):
        wave = np.cos(2 * np.pi * kappa[part, n] * distances + phi[part, n])
        d_x = sum(powers[k] * wave * d.reshape(4, 4, 9, 9)[k, n] for k in range(4))
        naive_kappa[part, n] = (2 * np.pi * distances * d_x).sum()
        naive_phi[part, n] = d_x.sum()
np.testing.assert_allclose(d_kappa, naive_kappa)
np.testing.assert_allclose(d_phi, naive_phi)


def radial(kappa, phi):
    return plain.radial_forward(kappa, phi, distances, config)


def radial_gradient(d_eta, cache):
    return plain.radial_backward(d_eta, cache)[:2]


show(backward_errors(radial, radial_gradient, [kappa, phi], rng))

# %% [markdown]
# **Harmonics.** $Y$ is complex and $\hat{\mathbf r}$ real, so the second rule holds: a change of the component $a$ by
# $\delta\hat r_a$ changes every $Y^\ell_m$ by $\partial_a Y^\ell_m\, \delta\hat r_a$, and
#
# $$d\hat r_a = \mathrm{Re} \sum_{\ell m} \overline{\partial_a Y^\ell_m}\; dY^\ell_m,$$
#
# with the derivatives of notebook 02. They are those of the solid harmonics $r^\ell\, Y^\ell_m$, which are the same
# where $r = 1$; in what follows only the part across $\hat{\mathbf r}$ will count.

# %%
unit, _ = normalise(rng.standard_normal((5, 3)))
d_Y, h, naive = random_complex(16, 5), 1e-6, np.zeros((5, 3))
for a in range(3):
    step = h * np.eye(3)[a]
    slope = (solid_sh(unit + step, 3) - solid_sh(unit - step, 3)) / (2 * h)
    naive[:, a] = (slope.conj() * d_Y).real.sum(axis=0)
np.testing.assert_allclose(solid_sh_backward(d_Y, solid_sh(unit, 3)), naive, atol=1e-8)

# %% [markdown]
# **The unit vector**, $\hat{\mathbf r} = \mathbf r / r$. Stretching $\mathbf r$ does not change its direction, so
# only the part of $d\hat{\mathbf r}$ *across* $\mathbf r$ counts, and the same sideways step turns a long vector
# less:
#
# $$d\mathbf r = \frac{1}{r} \bigl(d\hat{\mathbf r} - \hat{\mathbf r}\,(\hat{\mathbf r} \cdot d\hat{\mathbf r})\bigr) +
# \hat{\mathbf r}\; dr.$$
#
# The last term belongs to the length $r$, which the radial functions and the mask use. Finally, **positions**:
# $\mathbf r_{ij} = \mathbf r_i - \mathbf r_j$ sends $d\mathbf r_{ij}$ to $i$ and its negative to $j$.

# %%
vectors, d_unit, d_length = rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), rng.standard_normal(5)
unit, length = normalise(vectors)
for k in range(5):
    across = d_unit[k] - unit[k] * (unit[k] @ d_unit[k])
    expected = across / length[k] + unit[k] * d_length[k]
    np.testing.assert_allclose(normalise_backward(d_unit, d_length, unit, length)[k], expected)

# %% [markdown]
# **Input** (1.3.1), $F^0_i = W \tilde F_i + b$: the other end of the way. It is a mixing, $\tilde F$ is real, and all
# atoms share the bias:
#
# $$dW = \sum_i dF^0_i\, \tilde F_i^T, \qquad db = \sum_i dF^0_i.$$
#
# $\tilde F$ depends on the charges alone, so that nothing goes on to the positions. (QM9's input has a perceptron and a
# mask of its own, both real calculus; `input_backward` has it, too.)

# %%
start = {"input.weight": random_complex(2, 9), "input.bias": random_complex(2)}
_, cache = plain.input_forward(start, charges, distances, config)
d_F_0 = random_complex(2, 9)
grads, _ = plain.input_backward([d_F_0[None]], cache)

naive_weight, naive_bias = np.zeros((2, 9), dtype=complex), np.zeros(2, dtype=complex)
for i in range(9):
    scaled = charges[i] / config.charge_scale
    f_tilde = np.outer([charges[i] == z for z in config.species], [1, scaled, scaled**2]).ravel()
    naive_weight += np.outer(d_F_0[:, i], f_tilde)
    naive_bias += d_F_0[:, i]
np.testing.assert_allclose(grads["input.weight"], naive_weight)
np.testing.assert_allclose(grads["input.bias"], naive_bias)


def input_network(weight, bias):
    (f,), cache = plain.input_forward({"input.weight": weight, "input.bias": bias}, charges, distances, config)
    return f, cache


def input_gradient(d_f, cache):
    return tuple(plain.input_backward([d_f], cache)[0].values())


show(backward_errors(input_network, input_gradient, list(start.values()), rng))

# %% [markdown]
# ## The whole way back
#
# `plain.layer_backward` strings these steps together, and `plain.backward` does so for all layers. What is left for
# them is to know who has several readers. $F^s$ is read by the edge network, by the vertex network (three times), and
# by the invariants of the layer that made it; $g^{s+1}$ has two readers; harmonics and distances are read by every
# layer. Each is one visible sum in the code.
#
# | comes back | formula | in `plain.py` |
# |---|---|---|
# | $dA$, $dx_i$ | $\sum_i x_i\, dE$, $\;A\, dE$ | `output_backward` |
# | $dF^{s+1}$ | $2\, \overline{\tilde F_m}\,(1+i)\, d\xi_1 + 2 F_m\, d\xi_2$, and $d\xi_0$ | `invariants_backward` |
# | $dW^{\rm vertex}$, $dZ$ | $\sum_m dF_m\, Z_m^\dagger$, $\;W^\dagger dF$ | `vertex_network_backward` |
# | $dG$, $dF^s$ | $\sum c\, \overline{F}\, dZ$, $\;\sum c\, \overline{G}\, dZ$ | `cg_product_backward` |
# | $dg^{s+1}$, $dY$ | $\sum_m \overline{Y}\, dG$, $\;\sum_c \overline{g}\, dG$ | `edge_to_vertex_backward` |
# | $d\mu$, $de$ | $\mathrm{Re}(\bar e\, dg)$, $\;\mu\, dg$ | `edge_network_backward` |
# | $dW^{\rm edge}$, $dg^s \oplus dd \oplus d\eta$ | $de\, x^\dagger$, $\;W^\dagger de$ | `edge_network_backward` |
# | $dF^s$ again | $\sum_j \overline{\tilde F_j}\,(dd_{ij} + dd_{ji})$ | `dot_backward` |
# | $d\kappa, d\phi, dr_c, dw, dr$ | real calculus | `radial_backward`, `mask_backward` |
# | $d\hat{\mathbf r}$ | $\mathrm{Re} \sum_{\ell m} \overline{\partial Y}\, dY$ | `geometry_backward` |
# | $d\mathbf r$ | across $\mathbf r$ from $Y$, along it from $r$ | `geometry_backward` |
# | $dW$, $db$ of the input | $\sum_i dF^0_i\, \tilde F_i^T$, $\;\sum_i dF^0_i$ | `input_backward` |
#
# ($c$ are the Clebsch-Gordan coefficients, $e$ is an edge before the mask, $x$ what is concatenated in (S2).)
#
# Now the check, for every array of parameters of a small network and for the positions. It knows nothing of the layers
# between: it varies one array and looks at the energy. (An error below $10^{-16}$ is drawn at $10^{-16}$.)

# %%
config = Config.md17(num_channels=2, l_max=(2, 1), l_max_sh=(2, 1), max_power=1, num_frequencies=2)
params = init_params(config, rng, np.float64)
for name in params:  # starting values are special (equal cutoffs, zero frequencies): shake them
    if "weight" not in name:
        params[name] = params[name] + 0.1 * rng.standard_normal(params[name].shape)
energy, cache = plain.forward(params, charges, positions, config)
grads, d_positions = plain.backward(1.0, cache)


def energy_with(name):
    """The energy as a function of one array of parameters."""
    return lambda p: plain.forward(params | {name: p}, charges, positions, config)[0]


errors = {name: gradient_error(energy_with(name), params[name], gradient, rng) for name, gradient in grads.items()}


def energy_at(positions):
    return plain.forward(params, charges, positions, config)[0]


errors["positions"] = gradient_error(energy_at, positions, d_positions, rng)
assert max(errors.values()) < 1e-7

figure, ax = plt.subplots(figsize=(5.4, 6.2))
ax.plot(np.maximum(list(errors.values()), 1e-16), range(len(errors)), "o")
ax.set_yticks(range(len(errors)), list(errors), fontsize=9)
ax.invert_yaxis()
ax.set(xscale="log", xlim=(3e-17, 1e-6), xlabel="relative error against the difference quotient")
plt.show()

# %% [markdown]
# The fast network, whose backward functions are others, finds the same gradients:

# %%
batch = data.make_batch(charges[None], positions[None], config, np.float64)
_, cache = model.forward(params, batch, config)
fast_grads, fast_d_positions = model.backward(np.ones(1), cache)
np.testing.assert_allclose(fast_d_positions[0], d_positions, atol=1e-12 * abs(d_positions).max())
for name, gradient in grads.items():
    np.testing.assert_allclose(fast_grads[name], gradient, atol=1e-12 * abs(gradient).max())

# %% [markdown]
# ## Forces
#
# The force on an atom is $-\partial E/\partial \mathbf r_i$, and we have just checked it. Here it is as arrows, for
# the same network. Its weights are random, so this is not chemistry; yet the forces obey Newton: since the energy
# does not change when the molecule is shifted or turned, total force and total torque vanish. (Without a unit: that of
# the energy comes with training.)

# %% tags=["hide-input"]
forces = -d_positions
(ax,) = axes_3d(size=4)
strongest = np.linalg.norm(forces, axis=1).max()
draw_molecule(ax, charges, positions, arrows=forces, arrow_scale=1.3 / strongest, reach=2.1)
torque = np.cross(positions, forces).sum(axis=0)
sums = [["total force", *forces.sum(axis=0).tolist()], ["total torque", *torque.tolist()]]
print_table([*sums, ["strongest force", float(strongest), "", ""]], ["", "x", "y", "z"])
plt.show()

# %% [markdown]
# ## Exercises
#
# **1.** *Derive.* What is the gradient by $z$ of $L = |z|$?
#
# <details><summary>Solution</summary>
#
# $z / |z|$: a unit arrow that points outwards. At $z = 0$ there is none, which is why the network uses $|z|^2$.
#
# </details>
#
# **2.** *Derive.* For $y = \bar z$, what is $dz$?
#
# <details><summary>Solution</summary>
#
# $$\delta L = \mathrm{Re}(\overline{dy}\,\overline{\delta z}) = \mathrm{Re}(dy\,\delta z),$$
#
# and comparing with (*) gives $\overline{dz} = dy$, that is $dz = \overline{dy}$.
#
# </details>
#
# **3.** *Predict.* Break something: in the loop of the square, drop the second line, `naive_F[l2][m2] += ...`. What
# notices? And what would notice in a training, if the library had this slip?
#
# <details><summary>Solution</summary>
#
# The comparison with the library fails, and a difference quotient would, too. Training would not crash; it would
# only go a little worse. That is why every gradient has a check of its own.
#
# </details>
#
# **4.** *Derive and code.* A *covariant gate*, as later networks have it. By the paper's rule, that products are
# Clebsch-Gordan products, a scalar may multiply everything, for $\langle 00\, \ell m | \ell m \rangle = 1$. Let the
# scalars of an atom decide how much of its vectors goes on, channel by channel:
#
# $$z_{c,i} = \sum_{c'} W_{cc'} F_{0 c',i}, \qquad H_{m c,i} = \tanh(\mathrm{Re}\, z_{c,i})\; F_{1 m c,i}.$$
#
# Everything but the tanh is complex. Derive the gradients by $W$, $F_0$ and $F_1$, and write
# `covariant_gate_backward(d_h, cache)`, which returns the three. All rules of this notebook are needed.


# %%
def covariant_gate_forward(w, f_0, f_1):
    """H, (3, C, N), from W, (C, C), F_0, (C, N), and F_1, (3, C, N), all complex."""
    gate = np.tanh((w @ f_0).real)
    return gate * f_1, (w, f_0, f_1, gate)


# %% tags=["hide-input"]
def check_covariant_gate_backward(covariant_gate_backward):
    inputs = [random_complex(2, 2), random_complex(2, 5), random_complex(3, 2, 5)]
    assert_backward(covariant_gate_forward, covariant_gate_backward, inputs, ["W", "F_0", "F_1"], rng)
    print("right")


# %% [markdown]
# <details><summary>Solution</summary>
#
# The gate $\gamma = \tanh(\mathrm{Re}\, z)$ is a real factor that all $m$ share: $dF_1 = \gamma\, dH$ and
# $d\gamma = \mathrm{Re} \sum_m \overline{F_{1m}}\, dH_m$. The imaginary part of $z$ is not used, so that
# $dz = (1 - \gamma^2)\, d\gamma$ is real. The rest is mixing, $dW = dz\, F_0^\dagger$ and $dF_0 = W^\dagger dz$.
#
# ```python
# def covariant_gate_backward(d_h, cache):
#     w, f_0, f_1, gate = cache
#     d_gate = (f_1.conj() * d_h).real.sum(axis=0)
#     d_z = (1 - gate**2) * d_gate
#     return d_z @ f_0.conj().T, w.conj().T @ d_z, gate * d_h
#
#
# check_covariant_gate_backward(covariant_gate_backward)
# ```
#
# There are three conjugates and one real part. Leave out any of them, and the checker says which gradient is wrong.
# (In the network, $dF_0$ would be added to what comes back through $\ell = 0$ itself.)
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py), [gradient_check.py](../cormorant_np/gradient_check.py)
#
# **In the documentation:** [derivations](../docs/derivations/index.md)
#
# **Next:** [10 · How training starts, and how it steps](10_initialisation_and_optimiser.ipynb)
