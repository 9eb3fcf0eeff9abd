# %% [markdown]
# # 16 · Inside a trained network
#
# So far the weights were random. A trained network comes with the package, named `"ethanol"`: the paper's network with
# two frequencies instead of four, trained on energies and forces of 3500 frames (notebook 14 makes it move atoms). What
# has it learned? We look at all parts that have a meaning of their own: cutoffs, functions of the distance,
# activations, the shares of layers and of atoms in the energy, the paths of the Clebsch-Gordan product. And we look at
# what it could not know and had to learn, that a molecule's mirror image has the same energy.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML, display
from scipy.spatial.transform import Rotation

from cormorant_np import data, model, moving, plain
from cormorant_np.clebsch_gordan import paths
from cormorant_np.drawing import COLOURS, arrows, axes_3d, draw_molecule, print_table
from cormorant_np.so3_vector import block
from cormorant_np.training.prediction import find_run, load_network

# %% tags=["machine"]
network = load_network("ethanol")
config = network.config
params = {name: p.astype(complex if p.dtype.kind == "c" else float) for name, p in network.params.items()}
sample, test = data.load("sample"), np.load(find_run("ethanol") / "splits.npz")["test"][:100]
charges, frames, true = sample.charges[0], sample.positions[test], sample.energies[test]


def energies(params, positions):
    """In kcal/mol, of several frames."""
    batch = data.make_batch(np.repeat(charges[None], len(positions), axis=0), positions, config, np.float64)
    return network.mean + network.scale * model.forward(params, batch, config)[0]


predicted = energies(params, frames)
print(f"{config.num_layers} layers, L = {config.l_max[0]}, {config.num_channels} channels, {network.unit}")
print(f"mean absolute error on 100 test frames: {abs(predicted - true).mean():.3f} kcal/mol")
print(f"of predicting the mean: {abs(network.mean - true).mean():.3f} kcal/mol")

# %% [markdown]
# ## Who is a neighbour
#
# Every channel of every layer has a cutoff and a width of its own. All of them started at 1.73 Å and 0.2 Å. Below, thin
# lines are the 64 masks after training, the dashed one is the start, and the grey histogram shows all distances in 100
# frames.

# %% tags=["hide-input"]
r = np.linspace(0.8, 3.2, 200)
distances = np.linalg.norm(frames[:, :, None] - frames[:, None], axis=-1)
figure, ax = plt.subplots(figsize=(8, 3.4))
ax.hist(distances[distances > 0], np.linspace(0.8, 3.2, 120), color="#dddddd")
ax.set(xlabel="distance / Å", yticks=[])
ax.grid(False)
ax = ax.twinx()
for s in range(4):
    layer = plain.under(f"layers.{s}.", params)
    curves = 1 / (1 + np.exp((r[:, None] - layer["edge.cutoff"]) / layer["edge.width"]))
    ax.plot(r, curves, color=COLOURS[s], linewidth=0.7)
    ax.plot([], [], color=COLOURS[s], label=f"layer {s + 1}")
ax.plot(r, 1 / (1 + np.exp((r - 1.73) / 0.2)), color="black", linestyle="--", label="start")
ax.set(ylabel="mask μ")
ax.legend()
plt.show()

# %% tags=["machine"]
ranges = []
for s in range(4):
    cutoff, width = params[f"layers.{s}.edge.cutoff"], params[f"layers.{s}.edge.width"]
    ranges.append([s + 1, *(float(x) for x in (cutoff.min(), cutoff.max(), width.min(), width.max()))])
print_table(ranges, ["layer", "smallest r_c / Å", "largest r_c / Å", "smallest w / Å", "largest w / Å"])
assert all(1.6 < low < high < 2.0 for _, low, high, *_ in ranges)

# %% [markdown]
# The cutoffs have hardly moved, by 0.11 Å at most; some widths of layer 4 have fallen to nearly a half. In this network
# an atom hears its bonded neighbours, and little of the next ones; all that is farther away has to come through the
# layers. Does that mean that 1.73 Å is right? No. It means that fifteen epochs with small steps did not find a reason
# to go elsewhere: the weights beside the mask change faster than the mask. (Training with a start at 3 Å was tried, and
# generalised worse.)
#
# ## Functions of the distance
#
# In the first layer, edges with $\ell > 0$ depend on the distance alone, $g_\ell(r) = \mu(r) \sum_{kn} W_{kn}\,
# \eta_{(k,n)}(r)$. These are the functions that were learned, by absolute value, one line for each of the 16 channels.
# A dotted line is the mean distance of a kind of bond.

# %% tags=["hide-input"]
layer = plain.under("layers.0.", params)
line = np.zeros((1, len(r))) + r  # as if they were pairs of atoms, (N_i, N_j)
eta, _ = plain.radial_forward(layer["radial.kappa"], layer["radial.phi"], line, config)
mu, _ = plain.mask_forward(layer["edge.cutoff"], layer["edge.width"], line, config)
assert all(abs(params[f"layers.{s}.radial.kappa"] - [0, 1]).max() < 0.02 for s in range(4))
bonds = {"O–H": (2, 3), "C–H": (0, 6), "C–O": (1, 2), "C–C": (0, 1)}
figure, axes = plt.subplots(1, 3, figsize=(10, 3), sharex=True, sharey=True)
for l, ax in zip((1, 2, 3), axes, strict=True):
    curves = abs(mu * np.einsum("cx,xij->cij", layer[f"edge.weight.{l}"], eta))[:, 0]
    ax.plot(r, curves.T, linewidth=0.8)
    for name, (i, j) in bonds.items():
        ax.axvline(distances[:, i, j].mean(), color="grey", linewidth=0.6, linestyle=":")
        if l == 1:
            ax.text(distances[:, i, j].mean(), curves.max() * 1.04, name, ha="center", fontsize=8, rotation=60)
    ax.set(title=f"ℓ = {l}" if l > 1 else "", xlabel="r / Å")
axes[0].set(ylabel="|g(r)| of layer 1, ℓ = 1")
plt.show()

# %% [markdown]
# They are smooth between the bonds' lengths, steep at the short end, and gone beyond 2.3 Å. The two frequencies started
# at 0 and 1 per Å and stayed there within 0.02; the shapes come from the weights. Below 0.9 Å there is nothing in the
# training frames, and what the curves do there is a guess.
#
# ## What a channel hears
#
# At the input every element gets 16 complex numbers, its $F^0$. In the first layer a channel multiplies a neighbour's
# direction with this number. So its size says how loud an element is in that channel.

# %% tags=["hide-input"]
F_0, _ = plain.input_forward(params, charges, distances[0], config)
loudness = abs(F_0[0][0][:, [3, 0, 2]]).T  # of a hydrogen, a carbon and the oxygen
figure, ax = plt.subplots(figsize=(7.6, 1.9))
picture = ax.imshow(loudness, vmin=0)
ax.set_yticks(range(3), ["H", "C", "O"])
ax.set(xlabel="channel", xticks=range(16))
ax.grid(False)
figure.colorbar(picture, label="|F⁰|")
plt.show()

# %% [markdown]
# Channels have specialised, but not cleanly: nobody told them to. Channel 14 is deaf to hydrogen and channel 0 nearly
# so; none hears one element alone.
#
# ## Activations and arrows
#
# How large are the activations, by layer and $\ell$? The mean of $|F|$ over atoms, channels and $m$ in one frame:

# %% tags=["machine"]
F = plain.features(params, charges, frames[0], config)
rows = [[s + 1, *(float(abs(f).mean()) for f in F[s])] for s in range(4)]
print_table(rows, ["layer", *(f"ℓ = {l}" for l in range(4))])

# %% [markdown]
# They become smaller towards the end, and no $\ell$ has died out. The $\ell = 1$ activations are arrows (their real
# parts, in the real basis). Three channels of the first layer above, and of the third below:


# %% tags=["hide-input"]
axes = iter(axes_3d(3, 2, size=3.0))
for s in (0, 2):
    for channel in (0, 5, 11):
        a, ax = arrows(F[s][1][:, channel]), next(axes)
        scale = 1.4 / np.linalg.norm(a, axis=1).max()
        draw_molecule(ax, charges, frames[0], labels=False, arrows=a, arrow_scale=scale, reach=2.0)
        ax.set_title(f"layer {s + 1}, channel {channel}", fontsize=9)
plt.show()

# %% [markdown]
# In the first layer an atom's arrow is a weighted sum of the directions of its neighbours, and one can see it: at most
# hydrogens it lies nearly along the bond, on a carbon it is what does not cancel. In the third layer it need not lie
# along anything. To be sure of that, turn it:

# %% tags=["hide-input"]
turns = moving.rotations(24).transpose(0, 2, 1)
ours = moving.upright(frames[0])
asked = [plain.features(params, charges, ours @ turn, config) for turn in turns]
chosen = {f"layer {s + 1}, channel {c}": (s, c) for s in (0, 2) for c in (0, 5, 11)}
found = {name: np.array([arrows(F[s][1][:, c]) for F in asked]) for name, (s, c) in chosen.items()}
worst = [f"{max(abs(a[k] - a[0] @ turn).max() for a in found.values()):.0g}" for k, turn in enumerate(turns)]
caption = """Drag to turn. Every 15° the network was asked again; the browser fills in between. The number is the
largest difference, over all six, between the arrows that it gave and those at 0°, turned."""
label = "an ethanol molecule with the ℓ = 1 activation of one channel at every atom as an arrow"
panels = [moving.Panel("", found, {"|F(Rr) − R F(r)|": worst})]
display(HTML(moving.molecule(charges, ours, panels, caption, label)))

# %% [markdown]
# ## Shares of the energy
#
# The output is linear, so the energy is a sum of one term for each layer and atom,
#
# $$E = \bar E + \sigma \Bigl(\sum_s \sum_i A_s\, x_i^s + b\Bigr).$$

# %% tags=["machine"]
by_layer = params["output.weight"].reshape(4, -1)


def shares(positions):
    """In kcal/mol, (frame, layer, atom)."""
    batch = data.make_batch(np.repeat(charges[None], len(positions), axis=0), positions, config, np.float64)
    found = np.zeros((len(positions), 4, len(charges)))
    for s, F in enumerate(model.features(params, batch, config)):
        for b in range(len(positions)):
            x, _ = plain.invariants_forward([F[block(l), :, b] for l in range(4)], config)
            found[b, s] = network.scale * by_layer[s] @ x
    return found


parts = shares(frames)
constant = network.mean + network.scale * params["output.bias"][0]
np.testing.assert_allclose(parts.sum(axis=(1, 2)) + constant, predicted)
of_layers, of_atoms = parts.sum(axis=2), parts.sum(axis=1)
print_table(
    [[s + 1, float(of_layers[:, s].mean()), float(of_layers[:, s].std())] for s in range(4)],
    ["layer", "mean / (kcal/mol)", "spread / (kcal/mol)"],
)
names = ["C", "C", "O", "H (O)", *["H (CH2)"] * 2, *["H (CH3)"] * 3]
rows = [[i, names[i], float(of_atoms[:, i].mean()), float(of_atoms[:, i].std())] for i in range(9)]
print()
print_table(rows, ["atom", "", "mean / (kcal/mol)", "spread / (kcal/mol)"])
print("\nspread of their sum:", of_atoms.sum(axis=1).std().round(2), "kcal/mol")

# %% [markdown]
# Be careful with such numbers. Only the sum was trained. The means of the first two layers are large and cancel, and
# what one atom gains another may lose; nothing fixes how. An atom's energy is no property of the atom but an account
# that this network keeps, and another seed would keep another one. What *can* be asked is how the account changes along
# some motion.
#
# ## Turning the bond
#
# The O–H bond turns about C–O, all else as in GFN2-xTB's *trans* minimum, as in
# [notebook 14](14_forces_and_dynamics.ipynb#turning-a-bond). There the energy stands beside that of GFN2-xTB, which it
# meets to two hundredths of a kcal/mol at every angle. Here is the change of each atom's share.

# %% tags=["machine"]
MINIMUM = np.array([
    [1.1778, -0.40503, 0.0], [-0.00315, 0.55296, 0.0], [-1.19433, -0.20643, 0.0], [-1.95067, 0.38827, 0.0],
    [0.03839, 1.19698, 0.89105], [0.03839, 1.19698, -0.89105], [2.11062, 0.15173, 0.0], [1.13632, -1.03859, 0.88152],
    [1.13632, -1.03859, -0.88152],
])  # fmt: skip


def turned(angle):
    """The minimum, whose C-C-O-H angle is 180°, with another angle."""
    bond = (MINIMUM[2] - MINIMUM[1]) / np.linalg.norm(MINIMUM[2] - MINIMUM[1])
    moved = MINIMUM.copy()
    turn = Rotation.from_rotvec(np.radians(angle - 180) * bond)
    moved[3] = MINIMUM[2] + turn.apply(MINIMUM[3] - MINIMUM[2])
    return moved


angles = np.arange(0, 181, 5)
geometries = np.array([turned(angle) for angle in angles])
scan = shares(geometries).sum(axis=1)  # angle, atom
scan -= scan[-1]
changes = energies(params, geometries) - energies(params, geometries[-1:])
np.testing.assert_allclose(scan.sum(axis=1), changes, atol=1e-9)

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(6.6, 3.6))
kinds = {"O": [2], "H of O–H": [3], "both C": [0, 1], "H of CH₂": [4, 5], "H of CH₃": [6, 7, 8]}
for name, atoms in kinds.items():
    ax.plot(angles, scan[:, atoms].sum(axis=1), label=name)
ax.plot(angles, scan.sum(axis=1), color="black", linewidth=1, linestyle="--", label="sum")
ax.set(xlabel="C–C–O–H angle / °", ylabel="change of the share / (kcal/mol)", xticks=range(0, 181, 30))
ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# Most of the sum stands in the accounts of the oxygen and of the carbons; the hydrogen that moves has almost no share
# of its own.
#
# ## Which paths carry weight
#
# What happens if a part is switched off, that is, its columns of the weights $W_\ell$ set to zero? The mean error then
# grows; a constant shift of all energies is subtracted first, since it would be the easiest to repair.


# %% tags=["machine"]
def without(is_off):
    """The parameters without those parts of the vertex networks for which is_off(kind, l1, l2, l, layer)."""
    changed, C = dict(params), config.num_channels
    for s in range(4):
        L = 0 if s == 0 else 3
        for l in range(4):
            parts = [("aggregate", *p) for p in paths(l, 3, L)] + [("square", *p) for p in paths(l, L, L)]
            parts += [("identity", l, l)] * (l <= L)
            weight = params[f"layers.{s}.vertex.weight.{l}"].copy()
            for k, part in enumerate(parts):
                if is_off(*part, l, s + 1):
                    weight[:, k * C : (k + 1) * C] = 0
            changed[f"layers.{s}.vertex.weight.{l}"] = weight
    return changed


def is_product(kind):
    return kind != "identity"


off = {
    "nothing": lambda *part: False,
    "ℓ > 0 of layer 4": lambda kind, l1, l2, l, s: s == 4 and l > 0,
    "ℓ > 0 of layer 3": lambda kind, l1, l2, l, s: s == 3 and l > 0,
    "ℓ > 0 of layer 2": lambda kind, l1, l2, l, s: s == 2 and l > 0,
    "products with odd ℓ1 + ℓ2 + ℓ": lambda kind, l1, l2, l, s: is_product(kind) and (l1 + l2 + l) % 2 == 1,
    "all identities": lambda kind, *_: kind == "identity",
    "all squares": lambda kind, *_: kind == "square",
    "aggregates of layers 2 to 4": lambda kind, l1, l2, l, s: kind == "aggregate" and s > 1,
    "products with an ℓ = 1": lambda kind, l1, l2, l, s: is_product(kind) and 1 in (l1, l2, l),
    "products with an ℓ = 2": lambda kind, l1, l2, l, s: is_product(kind) and 2 in (l1, l2, l),
    "products with an ℓ = 3": lambda kind, l1, l2, l, s: is_product(kind) and 3 in (l1, l2, l),
}
rows = []
for name, is_off in off.items():
    errors = energies(without(is_off), frames) - true
    rows.append([name, float(abs(errors - np.median(errors)).mean())])
print_table(rows, ["switched off", "mean absolute error / (kcal/mol)"])
assert all(error > 2 * rows[0][1] for _, error in rows[1:])

# %% [markdown]
# (Predicting the mean is off by 2.7.) Nothing is idle, and what is of high $\ell$ is used: without $\ell = 3$ the
# network is little better than the mean. Later layers matter less. This does not show what a network
# *needs*: a network that is trained without a part learns to do without it. It shows what this one *uses*.
#
# ## The mirror image
#
# The products with odd $\ell_1 + \ell_2 + \ell$ make pseudovectors and pseudoscalars, and with them the energies of a
# molecule and of its mirror image may differ (notebook 04). The true ones are equal. In training, half of the frames
# were shown mirrored. How well has the network learned it?

# %% tags=["machine"]
mirrored = energies(params, frames * [1, 1, -1])
rotated = energies(params, frames @ Rotation.from_rotvec([0.3, 0.5, 1.1]).as_matrix().T)
print(f"turned:   mean change {abs(rotated - predicted).mean():.0e} kcal/mol")
change, better = abs(mirrored - predicted), (predicted + mirrored) / 2
print(f"mirrored: mean change {change.mean():.3f}, largest {change.max():.3f} kcal/mol")
print(f"mean absolute error {abs(predicted - true).mean():.4f} kcal/mol,")
print(f"of the mean of both {abs(better - true).mean():.4f} kcal/mol")

# %% [markdown]
# Turning is exact. Mirroring is learned, to 0.025 kcal/mol, which is nearly as large as the error itself.
# Here is the difference between a symmetry that is built in and one that is shown. The mean of both is mirror-invariant
# by construction, and better, but costs two passes.
#
# ## Exercises
#
# **1.** *Predict.* The energy of a frame in which all hydrogens are removed: sensible or not?
#
# <details><summary>Solution</summary>
#
# It is a number, and nothing more. The network has seen nine atoms with their bonds, and no other composition.
# `energies` takes nine atoms; use `plain.forward(params, charges[:3], frames[0][:3], config)`.
#
# </details>
#
# **2.** *Derive.* Which symmetry of ethanol must the torsion curve have, and does the network have it by construction?
#
# <details><summary>Solution</summary>
#
# The minimum is its own mirror image in the plane $z = 0$, so that the angles $\alpha$ and $-\alpha$ are mirror
# images, and the curve must be even. By construction the network's is not: it is even as far as mirror images have
# been learned.
#
# ```python
# print(np.diff(energies(params, np.array([turned(60), turned(-60)]))))
# ```
#
# </details>
#
# **3.** *Code.* Switch off one channel at a time in $F^0$. Which is worth most? Write `without_channel(c)`, which
# returns changed parameters and leaves `params` as they are.


# %% tags=["hide-input"]
def check_without_channel(without_channel):
    saved = {name: p.copy() for name, p in params.items()}
    for c in (0, 7, 15):
        changed, _ = plain.input_forward(without_channel(c), charges, distances[0], config)
        expected = F_0[0].copy()
        expected[:, c] = 0
        np.testing.assert_allclose(changed[0], expected, err_msg=f"F⁰ is wrong without channel {c}.")
    assert all(np.array_equal(params[name], p) for name, p in saved.items()), "It has changed params."
    print("right")


# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def without_channel(c):
#     changed = params | {n: p.copy() for n, p in params.items() if n.startswith("input.")}
#     changed["input.weight"][c] = changed["input.bias"][c] = 0
#     return changed
#
#
# check_without_channel(without_channel)
# for c in range(16):
#     errors = energies(without_channel(c), frames) - true
#     print(c, abs(errors - np.median(errors)).mean().round(2))
# ```
#
# </details>

# %% [markdown]
# **In the code:** [plain.py](../cormorant_np/plain.py), [prediction.py](../cormorant_np/training/prediction.py)
#
# **Next:** [13 · From NumPy to CuPy](13_numpy_to_cupy.ipynb)
