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

from cormorant_np import Config, data, plain
from cormorant_np.drawing import COLOURS, axes_3d, draw_molecule, print_table
from cormorant_np.gradient_check import backward_errors, directional_derivative, gradient_error, inner, random_like
from cormorant_np.model import backward, energy_and_forces, forward, init_params
from cormorant_np.network.arrangement import arrange_backward, arrange_forward, layer_coupling
from cormorant_np.network.edge_network import dot_products_backward, dot_products_forward
from cormorant_np.network.geometry import geometry_forward, real_harmonics_backward, real_harmonics_forward
from cormorant_np.network.output_network import invariants_backward, invariants_forward, output_backward, output_forward
from cormorant_np.network.pairs import spread
from cormorant_np.network.radial import mask_backward, mask_forward
from cormorant_np.network.real_form import join
from cormorant_np.network.vertex_network import (
    aggregate_backward,
    aggregate_forward,
    square_backward,
    square_forward,
    vertex_network_backward,
    vertex_network_forward,
)
from cormorant_np.spherical_harmonics import normalise, normalise_backward

rng = np.random.default_rng(0)


def random_complex(*shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


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
# ## From the energy backwards
#
# **Output** (1.5.1), $E = A \sum_i x_i + b$. Real products: $dA = \sum_i x_i\, dE$ and $dx_i = A\, dE$ for every
# atom. A sum hands its gradient to each of its terms.

# %%
weight, bias, scalars = rng.standard_normal(4), rng.standard_normal(1), rng.standard_normal((4, 2, 3))
_, cache = output_forward(weight, bias, scalars)
d_energy = rng.standard_normal(2)
d_weight, d_bias, d_scalars = output_backward(d_energy, cache)

np.testing.assert_allclose(d_weight, sum(d_energy[k] * scalars[:, k].sum(axis=1) for k in range(2)))
for i in range(3):
    np.testing.assert_allclose(d_scalars[:, :, i], np.outer(weight, d_energy))

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
config = Config.md17(num_channels=2, l_max=(1, 1), l_max_sh=(1, 1))
features = random_complex(4, 2, 1, 3)
_, cache = invariants_forward(features, config)
d_scalars = rng.standard_normal((12, 1, 3))
d_re, d_im, d_1_of_0, d_2_of_0, d_1_of_1, d_2_of_1 = d_scalars.reshape(6, 2, 1, 3)

naive = np.zeros_like(features)
naive[0] = d_re + 1j * d_im + 2 * features[0].conj() * (1 + 1j) * d_1_of_0 + 2 * features[0] * d_2_of_0
for m in (-1, 0, 1):
    dual = (-1) ** m * features[2 - m]
    naive[2 + m] = 2 * dual.conj() * (1 + 1j) * d_1_of_1 + 2 * features[2 + m] * d_2_of_1
np.testing.assert_allclose(invariants_backward(d_scalars, cache), naive)
show(backward_errors(lambda f: invariants_forward(f, config), invariants_backward, [features], rng))

# %% [markdown]
# **Mixing**, $F = W Z$, in (S5) and (S2). A matrix product is many products: $F_{cn} = \sum_k W_{ck} Z_{kn}$, hence
# $dW_{ck} = \sum_n \overline{Z_{kn}}\, dF_{cn}$ and $dZ_{kn} = \sum_c \overline{W_{ck}}\, dF_{cn}$. In matrices,
# with $\dagger$ for the conjugate transpose,
#
# $$dW = dF\, Z^\dagger, \qquad dZ = W^\dagger\, dF.$$
#
# (In the vertex network complex numbers are in real form, notebook 07. There $dW = dF\, Z^T$ and $dZ = W^T dF$ with
# real matrices, which say the same.)
#
# **Coupling**, $Z = M X$ with the real sparse matrix $M$ of Clebsch-Gordan coefficients: the same, and $M$ is real
# and constant, so $dX = M^T dZ$ and nothing else.

# %%
def mix_forward(w, z):
    return w @ z, (w, z)


def mix_backward(d_f, cache):
    w, z = cache
    return d_f @ z.conj().T, w.conj().T @ d_f


show(backward_errors(mix_forward, mix_backward, [random_complex(3, 5), random_complex(5, 7)], rng))

# %% [markdown]
# **The square**, the products $F_p F_q$ with $p \le q$. Each component is a factor of many products and gets a
# gradient from each: $dF_p \mathrel{+}= \bar F_q\, d(F_p F_q)$ and $dF_q \mathrel{+}= \bar F_p\, d(F_p F_q)$. For
# $p = q$ both lines apply, which makes the familiar 2.

# %%
features = random_complex(4, 2, 1, 3)
d_products = random_complex(10, 2, 1, 3)
naive, row = np.zeros_like(features), 0
for p in range(4):
    for q in range(p, 4):
        naive[p] += features[q].conj() * d_products[row]
        naive[q] += features[p].conj() * d_products[row]
        row += 1
np.testing.assert_allclose(square_backward(d_products, features), naive)


show(backward_errors(lambda f: (square_forward(f), f), square_backward, [features], rng))

# %% [markdown]
# **Aggregation**, $A_{pq,i} = \sum_j G_{p,ij} F_{q,j}$. Product rule and sums: the gradient by $G_{ij}$ collects
# over $q$, that by $F_j$ over everyone who has listened to $j$, that is over $i$ and $p$:
#
# $$dG_{p,ij} = \sum_q \overline{F_{q,j}}\, dA_{pq,i}, \qquad dF_{q,j} = \sum_{p,i} \overline{G_{p,ij}}\, dA_{pq,i}.$$
#
# In the forward pass $i$ receives; in the backward pass $j$ does. Gradients travel against the messages.
#
# **Edge to vertex** (S3), $G_{\ell m} = g_\ell Y_{\ell m}$: the scalar $g$ is shared by all $m$, and $Y$ by all
# channels $c$. With real harmonics (notebook 07),
#
# $$dg_{\ell c} = \sum_m Y_{\ell m}\, dG_{\ell mc}, \qquad
# dY_{\ell m} = \sum_c \mathrm{Re}\bigl(\overline{g_{\ell c}}\, dG_{\ell mc}\bigr).$$
#
# In `plain.py` these are two functions, `edge_to_vertex_backward` and `cg_product_backward`. The fast
# `aggregate_backward` does both together, in real form and $\ell$ by $\ell$. It needs the transpose of $G$, and uses
# that $G_{\ell, ji} = (-1)^\ell G_{\ell, ij}$: this is $G$ up to a sign. The naive loop is complex and knows nothing of
# it.

# %%
edges, harmonics = random_complex(2, 2, 1, 6), random_complex(4, 1, 6)  # three atoms make six pairs j ≤ i
y = real_harmonics_forward(harmonics)  # p, molecule, j, i
out = np.empty((4, 4, 2, 2, 1, 3))  # p, q, Re and Im, channel, molecule, i
cache = aggregate_forward(edges, y, features, out)
d_out = rng.standard_normal(out.shape)
d_edges, d_y, d_features = aggregate_backward(d_out, cache)

g, d_sum = spread(edges), join(d_out, 2)
naive_g, naive_y, naive_features = np.zeros_like(g), np.zeros_like(y), np.zeros_like(features)
for i in range(3):
    for j in range(3):
        for p in range(4):
            l = 0 if p == 0 else 1
            g_y, d_g_y = g[l, ..., j, i] * y[p, :, j, i], 0
            for q in range(4):
                d_g_y = d_g_y + features[q, ..., j].conj() * d_sum[p, q, ..., i]
                naive_features[q, ..., j] += g_y.conj() * d_sum[p, q, ..., i]
            naive_g[l, ..., j, i] += y[p, :, j, i] * d_g_y
            naive_y[p, :, j, i] += (g[l, ..., j, i].conj() * d_g_y).real.sum(axis=0)
np.testing.assert_allclose(d_features, naive_features)
np.testing.assert_allclose(d_y, naive_y)

# %% [markdown]
# Both orders of a pair share one $g$ and, up to the sign $(-1)^\ell$, one $Y$, which therefore get the sum of two
# gradients. Here for the edge of $j = 0$ and $i = 1$, pair number 1; and all of it against difference quotients:

# %%
np.testing.assert_allclose(d_edges[..., 1], naive_g[..., 0, 1] + naive_g[..., 1, 0])


def aggregate(edges, harmonics, features):
    out = np.empty((4, 4, 2, 2, 1, 3))
    return out, aggregate_forward(edges, real_harmonics_forward(harmonics), features, out)


def aggregate_gradient(d_out, cache):
    d_edges, d_y, d_features = aggregate_backward(d_out, cache)
    return d_edges, real_harmonics_backward(d_y), d_features


show(backward_errors(aggregate, aggregate_gradient, [edges, harmonics, features], rng))

# %% [markdown]
# Now the whole vertex network: these are the errors for $g$, $Y$, $F$ and the weights.

# %%
couple = layer_coupling(config, 1, features)
matrices = arrange_forward(init_params(config, rng, np.float64), config)["layers.1.vertex"]


def vertex_network(*inputs):
    return vertex_network_forward(*inputs, couple)


show(backward_errors(vertex_network, vertex_network_backward, [edges, y, features, matrices], rng))

# %% [markdown]
# **Dot products**, $d_{ij} = \sum_m \tilde F_{mi} F_{mj} = \sum_m \tilde F_{mj} F_{mi}$, a product once more. Atom $i$
# is in a pair with every other atom $j$, and in both places of the pair with itself:
#
# $$dF_{mi} = \sum_{j \ne i} \overline{\tilde F_{mj}}\, dd_{ij} + 2\, \overline{\tilde F_{mi}}\, dd_{ii}.$$

# %%
dots, cache = dot_products_forward(features)
d_dots = random_complex(*dots.shape)
d = spread(d_dots).reshape(2, 2, 1, 3, 3)  # ℓ, channel, molecule, j, i
naive = np.zeros_like(features)
for l in range(2):
    for m in range(-l, l + 1):
        dual = (-1) ** m * features[l * l + l - m].conj()
        for i in range(3):
            for j in range(3):
                naive[l * l + l + m, ..., i] += dual[..., j] * d[l, ..., j, i] * (2 if i == j else 1)
np.testing.assert_allclose(dot_products_backward(d_dots, cache), naive)
show(backward_errors(dot_products_forward, dot_products_backward, [features], rng))

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
batch = data.make_batch(ethanol.charges[:2], ethanol.positions[:2], config, np.float64)
geometry, _ = geometry_forward(batch.charges, batch.positions, config)


def mask(cutoff, width):
    return mask_forward(cutoff, width, geometry, config)


def mask_back(d_mask, cache):
    return mask_backward(d_mask, cache)[:2]


show(backward_errors(mask, mask_back, [np.array([[1.7, 2]]), np.array([[0.2, 0.3]])], rng))

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
# ## The whole way back
#
# `backward` strings these steps together in reverse. One thing to watch: whoever has several consumers gets the
# *sum* of their gradients. $F^s$ has five of them, the vertex network (three times), the edge network's dot
# products, and the invariants; $g^s$ has two. Each is one visible sum in `plain.py`, and in `model.py` and
# `vertex_network.py`.
#
# In the fast network the parameters come at the very end. `arrange_forward` put them side by side, folded them
# (notebook 04) and wrote them in real form. All this is one linear map $A$, so the gradients go back by its transpose:
# for any $p$ and $d$, $\langle A p, d \rangle = \langle p, A^T d \rangle$.

# %%
parameters = init_params(config, rng, np.float64)
arranged = arrange_forward(parameters, config)
d_arranged = {name: random_like(a, rng) for name, a in arranged.items()}
d_parameters = arrange_backward(d_arranged, config)
left = sum(inner(arranged[name], d) for name, d in d_arranged.items())
right = sum(inner(p, d_parameters[name]) for name, p in parameters.items())
np.testing.assert_allclose(left, right)

# %% [markdown]
# Now the check, for every array of parameters of a small network and for the positions. `plain.backward`, molecule by
# molecule, says the same:

# %%
config = Config.md17(num_channels=2, l_max=(2, 1), l_max_sh=(2, 1), max_power=1, num_frequencies=2)
params = init_params(config, rng, np.float64)
for name in params:  # starting values are special (equal cutoffs, zero frequencies): shake them
    if "weight" not in name:
        params[name] = params[name] + 0.1 * rng.standard_normal(params[name].shape)
batch = data.make_batch(ethanol.charges[:2], ethanol.positions[:2], config, np.float64)
energy, cache = forward(params, batch, config)
d_energy = rng.standard_normal(2)
grads, d_positions = backward(d_energy, cache)

plain_grads = dict.fromkeys(grads, 0)
for b in range(2):
    _, plain_cache = plain.forward(params, batch.charges[b], batch.positions[b], config)
    of_molecule, plain_d_positions = plain.backward(d_energy[b], plain_cache)
    np.testing.assert_allclose(plain_d_positions, d_positions[b], atol=1e-12 * abs(d_positions).max())
    plain_grads = {name: plain_grads[name] + of_molecule[name] for name in grads}
for name, gradient in grads.items():
    np.testing.assert_allclose(plain_grads[name], gradient, atol=1e-12 * abs(gradient).max())

errors = {}
for name, gradient in grads.items():
    def loss(p, name=name):
        return float(d_energy @ forward(params | {name: p}, batch, config)[0])
    errors[name] = gradient_error(loss, params[name], gradient, rng)


def loss_of_positions(positions):
    return float(d_energy @ forward(params, batch._replace(positions=positions), config)[0])


errors["positions"] = gradient_error(loss_of_positions, batch.positions, d_positions, rng)
assert max(errors.values()) < 1e-7

figure, ax = plt.subplots(figsize=(7, 6.2))
ax.plot(list(errors.values()), range(len(errors)), "o")
ax.set_yticks(range(len(errors)), list(errors), fontsize=8)
ax.invert_yaxis()
ax.set(xscale="log", xlim=(1e-16, 1e-6), xlabel="relative error of the gradient against the difference quotient")
plt.show()

# %% [markdown]
# ## Forces
#
# The force on an atom is $-\partial E/\partial \mathbf r_i$, and we have just checked it. Here it is as arrows, for
# the same network. Its weights are random, so this is not chemistry; yet the forces obey Newton: since the energy
# does not change when the molecule is shifted or turned, total force and total torque vanish.

# %% tags=["hide-input"]
energies, forces = energy_and_forces(params, batch, config)
(ax,) = axes_3d(size=4)
strongest = np.linalg.norm(forces[0], axis=1).max()
draw_molecule(ax, batch.charges[0], batch.positions[0], arrows=forces[0], arrow_scale=1.3 / strongest, reach=2.1)
torque = np.cross(batch.positions[0], forces[0]).sum(axis=0)
print_table([["total force", *forces[0].sum(axis=0).tolist()], ["total torque", *torque.tolist()]], ["", "x", "y", "z"])
plt.show()

# %% [markdown]
# ## Exercises
#
# **1.** What is the gradient by $z$ of $L = |z|$?
#
# <details><summary>Solution</summary>
#
# $z / |z|$: a unit arrow that points outwards. At $z = 0$ there is none, which is why the network uses $|z|^2$.
#
# </details>
#
# **2.** For $y = \bar z$, what is $dz$?
#
# <details><summary>Solution</summary>
#
# $$\delta L = \mathrm{Re}(\overline{dy}\,\overline{\delta z}) = \mathrm{Re}(dy\,\delta z),$$
#
# and comparing with (*) gives $\overline{dz} = dy$, that is $dz = \overline{dy}$.
#
# </details>
#
# **3.** Break something: in the naive square above, drop the second line, `naive[q] += ...`. Which checks notice?
#
# <details><summary>Solution</summary>
#
# The comparison with the library fails, and a difference quotient would, too. Training would not crash; it would
# only go a little worse. That is why every gradient has a check of its own.
#
# </details>

# %% [markdown]
# **In the code:** [gradient_check.py](../cormorant_np/gradient_check.py)
#
# **In the documentation:** [derivations](../docs/derivations/index.md)
#
# **Next:** [10 · How training starts, and how it steps](10_initialisation_and_optimiser.ipynb)
