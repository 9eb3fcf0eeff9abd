# %% [markdown]
# # 08 · Input, output, and the whole network
#
# The covariant layers are the heart of Cormorant. What remains is the way in, from charges to a first activation,
# and the way out, from activations to an energy. Then we put the parts in order,
#
# $$\mathrm{CORMORANT}(\{Z_i, \mathbf r_i\}) =
# \mathrm{OUTPUT}(\mathrm{CGNet}(\mathrm{INPUT}(\{Z_i, \mathbf r_i\}))), \tag{S1}$$
#
# and count the parameters, which tells us whether we have understood the authors.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.transform import Rotation

from cormorant_np import Config, data, plain
from cormorant_np.drawing import draw_molecule, print_table
from cormorant_np.exactness import groups
from cormorant_np.gradient_check import assert_backward
from cormorant_np.model import features as all_features
from cormorant_np.model import forward, init_params, num_parameters
from cormorant_np.rotation import random_rotation

ethanol = data.load("sample")
config = Config.md17(num_channels=3, l_max=(2, 2), l_max_sh=(2, 2))
rng = np.random.default_rng(0)
params = init_params(config, rng, np.float64)
charges, positions = ethanol.charges[0], ethanol.positions[0]
distances, harmonics, _ = plain.geometry_forward(positions, config)

# %% [markdown]
# ## INPUT for MD17 (section 1.3.1)
#
# All that an atom is at the beginning is its element. The network gets it in two forms, as a one-hot vector and as
# a scaled charge $\tilde Z = Z / Z_{\max}$ with its powers, multiplied with each other, and mixed by one complex
# matrix:
#
# $$\tilde F_i = \mathrm{onehot}_i \otimes (1, \tilde Z_i, \tilde Z_i^2), \qquad F_i^0 = W \tilde F_i + b.$$


# %%
def featurize(z, config):
    onehot = [float(z == species) for species in config.species]
    scaled = z / config.charge_scale
    return np.outer(onehot, [1, scaled, scaled**2]).ravel()


naive = np.zeros((3, 9), dtype=complex)
for i in range(9):
    naive[:, i] = params["input.weight"] @ featurize(charges[i], config) + params["input.bias"]

(F_0,), _ = plain.input_forward(params, charges, distances, config)
np.testing.assert_allclose(F_0[0], naive)

# %% [markdown]
# The supplement does not mention the bias $b$; the published number of parameters needs it. Since $\tilde Z$ is a
# function of the element, the tensor product is redundant: every element simply learns its own $n_c$ complex
# numbers.
#
# ## One layer (section 1.4.1)
#
# A layer, the supplement's $\mathrm{CGLayer}(g_{ij}^s, F_i^s, \mathbf r_i)$, is three functions in a row,
#
# $$\begin{aligned}
# g_{ij}^{s+1} &\leftarrow \mathrm{EdgeNetwork}(g_{ij}^s, \mathbf r_{ij}, F_i^s), \\
# G_{ij}^{s+1} &\leftarrow \mathrm{Edge2Vertex}(g_{ij}^{s+1}, Y^\ell(\hat{\mathbf r}_{ij})), \\
# F_i^{s+1} &\leftarrow \mathrm{VertexNetwork}(G_{ij}^{s+1}, F_i^s).
# \end{aligned}$$
#
# They are (S2), (S3), and (S4) with (S5), from notebooks 06 and 07, with the radial functions and the mask of notebook
# 05. (The supplement prints $F_{ij}^{s+1}$ for $G_{ij}^{s+1}$ in the third line.) CGNet is $S$ of these in a row. It
# begins with the input's $F^0$ and without edges.


# %%
def layer(params, g, F, distances, harmonics, config):
    eta, _ = plain.radial_forward(params["radial.kappa"], params["radial.phi"], distances, config)
    mu, _ = plain.mask_forward(params["edge.cutoff"], params["edge.width"], distances, config)
    g, _ = plain.edge_network_forward(plain.under("edge.weight.", params), g, F, eta, mu)
    G, _ = plain.edge_to_vertex_forward(g, harmonics)
    F, _ = plain.vertex_network_forward(plain.under("vertex.weight.", params), G, F, config.vertex_order)
    return g, F


def cg_net(params, F, distances, harmonics, config):
    g, all_F = [], []
    for s in range(config.num_layers):
        g, F = layer(plain.under(f"layers.{s}.", params), g, F, distances, harmonics, config)
        all_F.append(F)
    return all_F


all_F = cg_net(params, [F_0], distances, harmonics, config)
for ours, expected in zip(all_F, plain.features(params, charges, positions, config), strict=True):
    np.testing.assert_allclose(np.concatenate(ours), np.concatenate(expected))

# %% [markdown]
# ## Invariants (section 1.5)
#
# On the way out, every layer's activations are turned into real numbers that do not change under rotations:
#
# $$\xi_0 = F_{\ell=0}, \qquad \xi_1 = \mathrm{Re}\,\tilde\xi_1 + \mathrm{Im}\,\tilde\xi_1 \;\text{ with }\;
# \tilde\xi_1 = \sum_m (-1)^m F_{\ell,m} F_{\ell,-m}, \qquad \xi_2 = \sum_m F_{\ell,m} \overline{F_{\ell,m}}.$$
#
# $\xi_0$ is complex and counts as two real numbers; $\xi_1$ and $\xi_2$ are taken for every $\ell$. For the
# spherical harmonics themselves the two are equal, but for complex combinations $\xi_1$ also knows about the phase.

# %%
F_1, _ = all_F

naive = []
for part in (np.real, np.imag):
    naive += [part(F_1[0][0, c]) for c in range(3)]
for l, f in enumerate(F_1):
    product = sum((-1) ** m * f[l + m] * f[l - m] for m in range(-l, l + 1))
    naive += [product[c].real + product[c].imag for c in range(3)]
    naive += [sum(abs(f[m, c]) ** 2 for m in range(2 * l + 1)) for c in range(3)]

scalars, _ = plain.invariants_forward(F_1, config)
np.testing.assert_allclose(scalars, np.array(naive), atol=1e-12)
turned_F_1, _ = plain.features(params, charges, positions @ random_rotation(rng).T, config)
turned, _ = plain.invariants_forward(turned_F_1, config)
np.testing.assert_allclose(turned, scalars, atol=1e-12)
print("scalars of a layer with L = 2 and 3 channels, for every atom:", len(scalars))

# %% [markdown]
# ## OUTPUT for MD17, and the whole network
#
# The scalars of all layers are concatenated,
#
# $$x_i = \bigoplus_{s=1}^{S} \Bigl( \xi_0(F_i^s) \oplus
# \bigoplus_{\ell=0}^{L} \bigl( \xi_1(F_{\ell,i}^s) \oplus \xi_2(F_{\ell,i}^s) \bigr) \Bigr).$$
#
# (The supplement starts at $s = 0$; the counts below need $s = 1$.) They are summed over atoms, and one linear layer
# gives the energy (1.5.1): $y = A\,(\sum_i x_i) + b$. With this we can write (S1) down:


# %%
def cormorant(params, charges, positions, config):
    distances, harmonics, _ = plain.geometry_forward(positions, config)
    F_0, _ = plain.input_forward(params, charges, distances, config)
    all_F = cg_net(params, F_0, distances, harmonics, config)
    scalars = [plain.invariants_forward(F, config)[0] for F in all_F]
    energy, _ = plain.output_forward(params, np.concatenate(scalars), config)
    return energy


energy = cormorant(params, charges, positions, config)
np.testing.assert_allclose(energy, plain.forward(params, charges, positions, config)[0])

# %% [markdown]
# That is all of it. `plain.forward` is the same and keeps notes for the way back, the caches that we have thrown away
# here. `model.forward` computes it fast, for a batch of molecules:

# %%
batch = data.make_batch(ethanol.charges[:2], ethanol.positions[:2], config, np.float64)
one_by_one = [cormorant(params, z, r, config) for z, r in zip(*batch, strict=True)]
np.testing.assert_allclose(forward(params, batch, config)[0], one_by_one)

# %% [markdown]
# Nothing here depends on the order of the atoms, on the origin or on the orientation. A picture of that: we turn
# the hydroxyl hydrogen about the C–O bond, which changes the molecule, and then the molecule as a whole, which does
# not. The weights of the network are random, so the curve means nothing; but it is smooth, periodic, and the other
# line is flat.


# %% tags=["hide-input"]
def turn_about(positions, atoms, origin, axis, angle):
    turned = positions.copy()
    rotation = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
    turned[atoms] = (positions[atoms] - origin) @ rotation.T + origin
    return turned


angles = np.linspace(0, 2 * np.pi, 181)
bond = positions[2] - positions[1]
torsion = np.array([turn_about(positions, [3], positions[2], bond, a) for a in angles])
whole = np.array([turn_about(positions, range(9), positions[2], bond, a) for a in angles])
repeated = np.repeat(charges[None], len(angles), axis=0)

figure = plt.figure(figsize=(10, 3.4))
grid = figure.add_gridspec(1, 3, width_ratios=[1, 1, 2.2])
left = [figure.add_subplot(grid[k], projection="3d") for k in range(2)]
for ax, k in zip(left, (0, 60), strict=True):
    ax.set_axis_off()
    draw_molecule(ax, charges, torsion[k], reach=2.0)
    ax.set_title(f"O–H turned by {np.degrees(angles[k]):.0f}°")
ax = figure.add_subplot(grid[2])
for moved, label in [(torsion, "O–H turned"), (whole, "all atoms turned")]:
    turned_batch = data.make_batch(repeated, moved, config, np.float64)
    output = forward(params, turned_batch, config)[0]
    ax.plot(np.degrees(angles), 1000 * (output - energy), label=label)
ax.set(xlabel="angle / degrees", ylabel="1000 x change of the output", xticks=range(0, 361, 60))
ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
plt.show()

# %% [markdown]
# ## QM9: message passing in, perceptrons out (1.3.2 and 1.5.2)
#
# QM9 has many molecules, and there the authors used richer ends. On the way in, an atom first sums up its
# neighbours' features with a soft mask, then a perceptron (MLP) with 256 hidden neurons sees both:
#
# $$F_i^0 = \mathrm{MLP}\Bigl(\sum_j \mu_{ij} \tilde F_j \oplus \tilde F_i\Bigr), \qquad
# y = \mathrm{MLP}_2\Bigl(\sum_i \mathrm{MLP}_1(x_i)\Bigr).$$
#
# The input's perceptron gives $2 n_c$ real numbers, which are read in pairs, as the real and imaginary parts of $n_c$
# complex ones.

# %%
qm9 = Config.qm9(num_channels=3, l_max=(2, 0), l_max_sh=(2, 0), num_hidden=8, num_intermediate=4)
params_qm9 = init_params(qm9, rng, np.float64)


def mlp(name, x):
    hidden = np.maximum(params_qm9[f"{name}.weight.0"] @ x + params_qm9[f"{name}.bias.0"], 0)
    return params_qm9[f"{name}.weight.1"] @ hidden + params_qm9[f"{name}.bias.1"]


(F_0,), _ = plain.input_forward(params_qm9, charges, distances, qm9)
f_tilde = [featurize(z, qm9) for z in charges]
r_cut, width = params_qm9["input.cutoff"], params_qm9["input.width"]
for i in range(9):
    message = sum(f_tilde[j] / (1 + np.exp((distances[i, j] - r_cut) / width)) for j in range(9) if j != i)
    y = mlp("input.mlp", np.concatenate([message, f_tilde[i]]))
    np.testing.assert_allclose(F_0[0, :, i], y[0::2] + 1j * y[1::2])

x = rng.standard_normal((36, 9))
y, _ = plain.output_forward(params_qm9, x, qm9)
np.testing.assert_allclose(y, mlp("output.mlp2", sum(mlp("output.mlp1", x[:, i]) for i in range(9)))[0])

# %% [markdown]
# ## Counting parameters
#
# Section 2 gives two numbers, 154241 parameters for MD17 and 299808 for QM9. A complex weight counts as two.

# %%
networks = {
    "MD17": Config.md17(),
    "QM9, as the text says": Config.qm9(),
    "QM9, released code": Config.qm9(convention="released"),
}
grouped = {name: groups(init_params(c, rng)) for name, c in networks.items()}
names = sorted({part for of_network in grouped.values() for part in of_network})
rows = [[part, *(num_parameters(of_network.get(part, {})) for of_network in grouped.values())] for part in names]
rows.append(["total", *(sum(row[k] for row in rows) for k in (1, 2, 3))])
print_table(rows, ["part", *networks])
assert rows[-1][1:] == [154241, 315715, 299808]

# %% [markdown]
# MD17 agrees to the last digit. It does so only if one reads some lines in a certain way: the "$S=4$ layers with
# $L=3$, followed by a single layer with $L=0$" are four layers in all (all with $L = 3$ for MD17; with
# $L = 3, 3, 3, 0$ for QM9); scalars are taken from the layers' outputs and not from $F^0$; radial functions are
# shared by all $\ell$; dot products go only to those $\ell$ that $F^s$ has. For QM9, the text's description of the
# two ends makes 315715. The published 299808 is what the *released code* has, whose messages are weighted by
# learnable radial filters and whose intermediate layer has 64 neurons instead of 96. The library offers both;
# [a page](../docs/differences.md) lists every difference.
#
# ## A polynomial of which degree?
#
# Section 2.1 calls the prediction "a sixteenth order polynomial of our network's parameters": the Clebsch-Gordan
# square doubles the degree four times, $2^4 = 16$. Let us count.
#
# First in $F^0$ alone. In the aggregation $G_{ij} \otimes F_j$ the edge $G_{ij}$ contains the dot product
# $F_i \cdot F_j$, so a layer is *cubic* in $F$: degrees 3, 9, 27, 81, and the invariants square once more, 162.
#
# Then in the parameters, which is what the sentence is about. Let $F^s$ have degree $a$ in all weights together. A dot
# product has $2a$, the edge's weight makes it $2a + 1$, the product with $F_j$ makes it $3a + 1$, and the vertex weight
# $3a + 2$. (The square has only $2a + 1$.) $F^0$ has degree 1, so that activations have 5, 17, 53, 161, and the energy
# has $2 \cdot 161 + 1 = 323$. (In the frequencies, phases, cutoffs and widths the network is no polynomial at all,
# because of the sines and sigmoids.)
#
# Both can be measured. If what a polynomial depends on is multiplied by a large $t$, it grows like $t^n$ with its
# degree $n$:

# %%
paper = Config.md17()
params_paper = init_params(paper, rng, np.float64)
paper_batch = data.make_batch(ethanol.charges[:1], ethanol.positions[:1], paper, np.float64)
of_F_0 = {"input.weight", "input.bias"}
weights = {name for name in params_paper if "weight" in name or "bias" in name}


def sizes(t, names):
    scaled = params_paper | {name: t * params_paper[name] for name in names}
    energy, _ = forward(scaled, paper_batch, paper)
    return np.array([*(abs(f).max() for f in all_features(scaled, paper_batch, paper)), abs(energy[0])])


in_F_0, in_weights = (np.log2(sizes(20, names) / sizes(10, names)) for names in (of_F_0, weights))
what = ["|F^1|", "|F^2|", "|F^3|", "|F^4|", "energy"]
rows = zip(what, in_F_0.tolist(), [3, 9, 27, 81, 162], in_weights.tolist(), [5, 17, 53, 161, 323], strict=True)
print_table(list(rows), ["", "measured in F^0", "degree", "measured in the weights", "degree"])

# %% [markdown]
# ($t = 10$ and $20$ are as large as the floats can bear: $20^{323}$ has 421 digits. At these $t$ the lower terms still
# count a little. With two layers the weights may be larger, and 35 comes out as 35.0000; exercise 4.)
#
# So it is 323, and not 16. That makes the supplement's warning stronger: such a degree is why the weights' size at the
# start matters so much, the subject of notebook 10.
#
# ## Exercises
#
# **1.** *Derive.* Where does the number 640 come from, the inputs of MD17's linear output?
#
# <details><summary>Solution</summary>
#
# Four layers, each with $2 + 2 \cdot 4 = 10$ real scalars for each of 16 channels: $4 \cdot 10 \cdot 16$. With the
# bias the output has 641 parameters.
#
# </details>
#
# **2.** *Predict.* How does the number of parameters change if a molecule has one more element?
#
# <details><summary>Solution</summary>
#
# Three more columns of `input.weight`, $3 \cdot 16 \cdot 2 = 96$ real numbers: 154337. Try `Config.md17(species=(1,
# 6, 7, 8))`.
#
# </details>
#
# **3.** *Derive.* MD17's network is linear in $x_i$, and the sum over atoms comes before the output. Show that its
# energy is a sum of atomic energies. Is QM9's?
#
# <details><summary>Solution</summary>
#
# $A \sum_i x_i + b = \sum_i (A x_i + b/N)$. In QM9's, $\mathrm{MLP}_2$ stands outside of the sum, so it is not
# additive; two distant molecules in one box do not have the sum of their energies.
#
# </details>
#
# **4.** *Predict, then measure.* Which degree has the energy of a network of two layers in all its weights?
#
# <details><summary>Solution</summary>
#
# $2 \cdot 17 + 1 = 35$. The `config` of this notebook has two layers:
#
# ```python
# def size(t):
#     scaled = {name: t * p if "weight" in name or "bias" in name else p for name, p in params.items()}
#     return abs(forward(scaled, batch, config)[0][0])
#
# print(np.log2(size(2e4) / size(1e4)))
# ```
#
# </details>
#
# **5.** *Derive and code.* Some properties are no sum over atoms, such as the energy of the highest occupied orbital,
# on which a few atoms decide. For these one can let the network find out which atoms count, by *softmax pooling*. With
# two weights, $A$ for a value and $a$ for its importance,
#
# $$y = \sum_i p_i\, (A \cdot x_i), \qquad p_i = \frac{e^{a \cdot x_i}}{\sum_k e^{a \cdot x_k}}.$$
#
# All numbers are real. Derive the gradients by $A$, $a$ and $x$, and write `pooling_backward(d_y, cache)`, which
# returns the three. And predict: how large is $y$ for two equal molecules far apart, seen as one?


# %%
def pooling_forward(value, importance, x):
    """y from A, (n,), a, (n,), and x, (n, N)."""
    values, scores = value @ x, importance @ x  # (N,)
    p = np.exp(scores - scores.max())
    p /= p.sum()
    return p @ values, (value, importance, x, values, p)


# %% tags=["hide-input"]
def check_pooling_backward(pooling_backward):
    inputs = [rng.standard_normal(5), rng.standard_normal(5), rng.standard_normal((5, 7))]
    assert_backward(pooling_forward, pooling_backward, inputs, ["A", "a", "x"], rng)
    print("right")


# %% [markdown]
# <details><summary>Solution</summary>
#
# Write $v_i = A \cdot x_i$ and $s_i = a \cdot x_i$. From $\delta p_i = p_i\,(\delta s_i - \sum_k p_k\, \delta s_k)$,
#
# $$\delta y = \sum_i p_i\, \delta v_i + \sum_i p_i\, (v_i - y)\, \delta s_i.$$
#
# So $dv_i = p_i\, dy$ and $ds_i = p_i\, (v_i - y)\, dy$: an atom gains importance if its value is above the mean. The
# rest is two products, and $x$ is a factor in both:
#
# ```python
# def pooling_backward(d_y, cache):
#     value, importance, x, values, p = cache
#     d_values = p * d_y
#     d_scores = p * (values - p @ values) * d_y
#     d_x = np.outer(value, d_values) + np.outer(importance, d_scores)
#     return x @ d_values, x @ d_scores, d_x
#
#
# check_pooling_backward(pooling_backward)
# ```
#
# The usual slip is $\partial p_i / \partial s_i = p_i (1 - p_i)$ alone. It forgets that more importance for one atom
# means less for all others, and the checker refuses the gradients by $a$ and $x$. As for the prediction: $y$ is a
# weighted mean, so two equal molecules have the value of one, and not twice as much. For an energy that would be wrong.
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py), and fast
# [input_network.py](../cormorant_np/network/input_network.py),
# [output_network.py](../cormorant_np/network/output_network.py), [model.py](../cormorant_np/model.py)
#
# **In the documentation:** [input](../docs/derivations/input.md), [invariants](../docs/derivations/invariants.md),
# [output](../docs/derivations/output.md)
#
# **Next:** [15 · By hand: every number of one energy](15_by_hand.ipynb)
