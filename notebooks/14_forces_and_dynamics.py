# %% [markdown]
# # 14 · Forces and dynamics
#
# A network that knows energies is a table to look things up in. A network that knows forces can move atoms. This
# notebook goes from one to the other: what forces are, how a network learns them without a second derivative, and
# what one can do with the result: relax a molecule, let it vibrate, run it for half a picosecond, turn a bond. The
# supplement has none of this; it learns energies alone. It needs ASE (`pip install ase`).

# %% tags=["hide-input"]
import time

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS

from cormorant_np import Config, data, model, plain
from cormorant_np.calculator import Cormorant
from cormorant_np.drawing import COLOURS, draw_molecule, print_table
from cormorant_np.dynamics import drift, set_off
from cormorant_np.network.parameters import flatten, init_params, layout, unflatten
from cormorant_np.training.forces import displace
from cormorant_np.training.loss import Targets
from cormorant_np.training.parallel import loss_and_gradient, workers
from cormorant_np.training.prediction import find_run, predict_molecules

KCAL = units.kcal / units.mol  # in eV

# %% [markdown]
# ## Forces are slopes
#
# $$\mathbf F_i = -\frac{\partial E}{\partial \mathbf r_i}$$
#
# `backward` gives this for any positions. A model of ethanol comes with the package, named `"ethanol"`. It has
# learned energies and forces of 3500 frames of the bundled sample, which the semi-empirical method GFN2-xTB labelled.
# Stretch the O-H bond of a frame that it has not seen. The curve is its energy, and the short lines have the slope that
# its forces say.

# %%
sample, splits = data.load("sample"), np.load(find_run("ethanol") / "splits.npz")
test = splits["test"][:300]
charges, frame = sample.charges[0], sample.positions[test[0]]
O, H = 2, 3  # numbers of the atoms of the O-H bond
bond = frame[H] - frame[O]
length, along = np.linalg.norm(bond), bond / np.linalg.norm(bond)


def stretched(r):
    moved = frame.copy()
    moved[H] = frame[O] + r * along
    return charges, moved


lengths = np.linspace(0.88, 1.1, 45)
curve, forces = predict_molecules("ethanol", [stretched(r) for r in lengths], forces=True)
curve, slopes = np.array(curve), np.array([-f[H] @ along for f in forces])
figure, ax = plt.subplots(figsize=(5.4, 3.2))
ax.plot(lengths, curve - curve.min(), label="energy")
for k in range(2, 45, 8):
    dr = np.array([-0.012, 0.012])
    line = curve[k] - curve.min() + slopes[k] * dr
    ax.plot(lengths[k] + dr, line, color=COLOURS[1], linewidth=3, label="slope from the forces" if k == 2 else None)
ax.set(xlabel="O-H distance / Å", ylabel="energy / (kcal/mol)")
ax.legend()
plt.show()
quotient = (curve[2:] - curve[:-2]) / (lengths[2] - lengths[0])
assert abs(quotient - slopes[1:-1]).max() < 0.02 * abs(slopes).max()

# %% [markdown]
# Now the forces on all atoms of 300 test frames, against the true ones of the sample. On the left black arrows are
# true and purple ones are the network's; the black ones are hard to see.

# %% tags=["machine"]
energies, predicted = predict_molecules("ethanol", [(charges, sample.positions[k]) for k in test], forces=True)
predicted, true = np.array(predicted), sample.forces[test]
energy_mae = abs(np.array(energies) - sample.energies[test]).mean()
force_mae = abs(predicted - true).mean()

figure = plt.figure(figsize=(9.2, 4))
left, right = figure.add_subplot(121, projection="3d"), figure.add_subplot(122)
left.set_axis_off()
scale = 1.5 / np.linalg.norm(true[0], axis=1).max()
draw_molecule(left, charges, frame, labels=False, arrows=predicted[0], arrow_scale=scale, reach=2.0)
left.quiver(*frame.T, *(true[0] * scale).T, color="black", linewidth=1.0, zorder=16)
for z, name, colour in [(1, "H", COLOURS[0]), (6, "C", COLOURS[6]), (8, "O", COLOURS[1])]:
    x, y = true[:, charges == z].ravel(), predicted[:, charges == z].ravel()
    right.plot(x, y, ".", color=colour, markersize=3, label=name)
reach = abs(true).max()
right.plot([-reach, reach], [-reach, reach], color="grey", linewidth=1)
right.set(xlabel="true force component / (kcal/mol/Å)", ylabel="predicted", aspect="equal")
right.legend(markerscale=3)
plt.show()
print(f"test MAE: energies {energy_mae:.3f} kcal/mol, forces {force_mae:.3f} kcal/mol/Å")
from_the_mean = abs(sample.energies[test] - sample.energies.mean()).mean()
print(f"mean size of an energy's difference from the mean {from_the_mean:.1f},")
print(f"of a force component {abs(true).mean():.1f}")
assert force_mae < 0.25

# %% [markdown]
# The small network of notebook 11, trained on energies alone, is off by 10 kcal/mol/Å: one energy a frame says little
# about 27 slopes. So the forces have to be in the loss.
#
# ## A loss with forces
#
# For one molecule of $A$ atoms, energy $E$, target $t$ and a weight $w$,
#
# $$L = (E - t)^2 + \frac{w}{3A} \sum_{ia} (F_{ia} - F^{\rm ref}_{ia})^2 .$$
#
# Its derivatives by energy and forces are easy:
# $dE = 2\,(E - t)$ and $dF = \frac{2w}{3A} (F - F^{\rm ref})$. Its derivative by a weight $W$ is not. $F$ is a
# derivative already, so we seem to need the second derivative $\partial^2 E/\partial \mathbf r\,\partial W$, a backward
# pass through the backward pass. But derivatives commute:
#
# $$dW = dE\,\frac{\partial E}{\partial W} + \sum_{ia} dF_{ia} \frac{\partial F_{ia}}{\partial W}
# = dE\,\frac{\partial E}{\partial W}
# - \sum_{ia} dF_{ia}\,\frac{\partial}{\partial r_{ia}} \frac{\partial E}{\partial W}.$$
#
# The last sum is the slope of $\partial E/\partial W$ when all atoms move along $dF$. `backward` gives
# $\partial E/\partial W$ for any positions, so two calls give the slope: for a large number $k$,
#
# $$dW \approx dE\,\frac{\partial E}{\partial W}(\mathbf r)
# - k\,\Bigl(\frac{\partial E}{\partial W}\Bigl(\mathbf r + \frac{dF}{k}\Bigr)
# - \frac{\partial E}{\partial W}(\mathbf r)\Bigr),$$
#
# with an error of order $1/k$, the distance $h$ that the atoms move. Not one new derivative has to be written. As a
# loop, for a bent water molecule and a small network:

# %%
config = Config.md17(num_channels=2, l_max=(1, 1), l_max_sh=(1, 1), num_frequencies=2, max_power=1)
rng = np.random.default_rng(0)
params = init_params(config, rng, np.float64)
water, r = np.array([8, 1, 1]), np.array([[0.0, 0.0, 0.1], [0.76, 0.1, -0.5], [-0.7, 0.0, -0.5]])
t, F_ref, w = 1.0, rng.standard_normal((3, 3)), 0.5


def loss_and_forces(params):
    E, cache = plain.forward(params, water, r, config)
    F = -plain.backward(1.0, cache)[1]
    return (E - t) ** 2 + w * ((F - F_ref) ** 2).sum() / F.size, E, F


def naive_gradient(h):
    _, E, F = loss_and_forces(params)
    dE, dF = 2 * (E - t), 2 * w / F.size * (F - F_ref)
    k = abs(dF).max() / h
    moved = r.copy()
    for i in range(len(water)):
        for a in range(3):
            moved[i, a] += dF[i, a] / k
    here, there = (plain.backward(1.0, plain.forward(params, water, x, config)[1])[0] for x in (r, moved))
    return flatten({name: dE * here[name] - k * (there[name] - here[name]) for name in layout(config)})


# %% [markdown]
# Does it agree with a difference quotient of the loss itself, which knows nothing of derivations? All parameters are
# one real vector here. We change ten of them, one at a time, and then all of them in a random direction.

# %% tags=["machine"]
vector, gradient = flatten(params), naive_gradient(1e-7)


def quotient(direction, step=1e-5):
    up, down = (loss_and_forces(unflatten(vector + s * step * direction, layout(config)))[0] for s in (1, -1))
    return (up - down) / (2 * step)


directions = [*np.eye(len(vector))[rng.choice(len(vector), 10, replace=False)], rng.standard_normal(len(vector))]
by_quotients = np.array([quotient(direction) for direction in directions])
errors = abs(by_quotients - np.array(directions) @ gradient) / abs(gradient).max()
print(f"{len(vector)} parameters, largest relative error {errors.max():.0e}")
assert errors.max() < 1e-5

# %% [markdown]
# And with the library? It takes two passes, not three: `loss_and_forces` has gone through the molecule at $\mathbf r$
# already, and its backward pass can give $\partial E/\partial W$ beside the forces. But with which weight, for a sum
# over the molecules of a batch, if $dE$ and $k$ are known only afterwards? The library gives every molecule the $k =
# K - dE$ that makes the weight, $dE + k$, the same for all, so that $K$ can come later, see `displace`.

# %%
batch = data.make_batch(water[None], r[None], config, np.float64)
targets = Targets(np.array([t]), F_ref[None], len(water))
with workers(1) as pool:
    loss, library, *_ = loss_and_gradient(vector, batch, targets, config, pool, w)
np.testing.assert_allclose(loss, loss_and_forces(params)[0])
np.testing.assert_allclose(library, gradient, atol=1e-5 * abs(gradient).max())

# %% [markdown]
# ### Which step?
#
# A long step is wrong by $h$. A short one takes the difference of two gradients that agree in almost all digits, and
# 32-bit floats have seven. So there is a best step, and it depends on the floats. One side, with $dF/k$, and the mean
# of both sides, with $k$ and $-k$:


# %% tags=["machine"]
def gradient_with(h, dtype, side=1):
    p = unflatten(vector.astype(dtype), layout(config))
    b = data.make_batch(water[None], r[None], config, dtype)
    E, cache = model.forward(p, b, config)
    here, d_positions = model.backward(np.ones_like(E), cache)
    dE, dF = (2 * (E - t)).astype(dtype), (2 * w / F_ref.size * (-d_positions - F_ref)).astype(dtype)
    moved, d_energies, K = displace(b, dE, dF, side, h)
    return K * flatten(here) + flatten(model.backward(d_energies, model.forward(p, moved, config)[1])[0])


def both(h):
    return (gradient_with(h, np.float64) + gradient_with(h, np.float64, -1)) / 2


exact = (4 * both(1e-4) - both(2e-4)) / 3  # the errors of order h² cancel
rows = []
for h in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
    relative = []
    for dtype in (np.float64, np.float32):
        one, other = (gradient_with(h, dtype, side) - exact for side in (1, -1))
        relative += [float(np.linalg.norm(error) / np.linalg.norm(exact)) for error in (one, (one + other) / 2)]
    rows.append([f"{h:g}", *(f"{error:.0e}" for error in relative)])
print_table(rows, ["h / Å", "64-bit, one side", "both", "32-bit, one side", "both"])

# %% [markdown]
# In 64-bit floats each factor of ten in $h$ is a factor of ten in the error of one side and of a hundred in that of
# both, which ends at $10^{-5}$ Å with rounding. In 32-bit floats the gain ends near $10^{-4}$ Å, and then the error
# grows again. The default is the square root of the distance of floats near 1, $3.5\cdot10^{-4}$ and
# $1.5\cdot10^{-8}$ Å. A training changes the side in every step, so that the optimiser's average over steps is that
# over sides. The gradient of a mini-batch differs from that of all data by far more than this.
# [Forces in the loss](../docs/derivations/forces.md) has the table for the paper's network.
#
# ## The shape of the molecule
#
# [`calculator.Cormorant`](../cormorant_np/calculator.py) is a calculator for ASE, the atomic simulation environment:
# it answers with energies in eV and forces in eV/Å, and ASE can do the rest. First a relaxation: follow the forces
# downhill (BFGS) until none is larger than $10^{-3}$ eV/Å.

# %% tags=["machine"]
ethanol = molecule("CH3CH2OH")
ethanol.calc = Cormorant("ethanol")
before = ethanol.get_potential_energy()
relaxation = BFGS(ethanol, logfile=None)
relaxation.run(fmax=1e-3, steps=200)
minimum = ethanol.positions.copy()
print(f"{relaxation.nsteps} steps, {(before - ethanol.get_potential_energy()) / KCAL:.2f} kcal/mol lower")
print(f"O-H {ethanol.get_distance(O, H):.3f} Å, C-C-O-H {ethanol.get_dihedral(0, 1, O, H):.1f}°")
assert relaxation.converged()

# %% [markdown]
# ## Vibrations
#
# Near the minimum the energy is a paraboloid, $E \approx \frac12 \sum_{kl} H_{kl}\, x_k x_l$ over the 27 coordinates.
# The matrix $H_{kl} = -\partial F_l/\partial x_k$ comes from 54 calculations of forces, as differences.
# Divided by the square roots of the masses, its eigenvalues are the squares of the angular frequencies. Six are zero,
# for motion and rotation as a whole; 21 are vibrations.
#
# The reference numbers are GFN2-xTB's own, by the same procedure. They were computed once, with tblite 0.8.0 and ASE
# 3.29.0, with this function and `TBLite(method="GFN2-xTB", accuracy=0.01)` from `tblite.ase` as `atoms.calc`.


# %% tags=["machine"]
def frequencies(atoms, step=0.005):
    """Wave numbers in cm⁻¹ of a relaxed molecule, in ascending order; imaginary ones are negative."""
    start = atoms.positions.copy()
    hessian = np.zeros((start.size, start.size))
    for k in range(start.size):
        for sign in (1, -1):
            moved = start.copy()
            moved.flat[k] += sign * step
            atoms.positions = moved
            hessian[k] -= sign * atoms.get_forces().ravel() / (2 * step)
    atoms.positions = start
    masses = np.repeat(atoms.get_masses(), 3)
    squares = np.linalg.eigvalsh((hessian + hessian.T) / 2 / np.sqrt(np.outer(masses, masses)))
    energies = units._hbar * 1e10 / np.sqrt(units._e * units._amu) * np.sqrt(abs(squares))  # ħω in eV
    return np.sign(squares) * energies / units.invcm


GFN2_FREQUENCIES = [
    202.1, 293.8, 393.9, 837.3, 930.2, 1040.3, 1128.0, 1152.3, 1239.7, 1265.2, 1365.6, 1404.7, 1474.4, 1493.6, 1495.5,
    2852.7, 2885.9, 3046.2, 3051.2, 3055.0, 3567.8,
]  # fmt: skip
found = frequencies(ethanol)
harmonic, reference = found[6:], np.array(GFN2_FREQUENCIES)
print("should be zero:", found[:6].round(0) + 0.0)
print_table([[a, b, round(a - b, 1)] for a, b in zip(harmonic.round(1).tolist(), GFN2_FREQUENCIES, strict=True)],
            ["network / cm⁻¹", "GFN2-xTB", "difference"])  # fmt: skip
deviation = abs(harmonic - reference).mean()
print(f"mean absolute deviation {deviation:.1f} cm⁻¹")
assert deviation < 15

figure, ax = plt.subplots(figsize=(8, 2.2))
ax.vlines(reference, 1, 2, color="black", label="GFN2-xTB")
ax.vlines(harmonic, 0, 1, color=COLOURS[3], label="network")
ax.set(xlabel="wave number / cm⁻¹", yticks=[], xlim=(0, 4000))
ax.legend(loc="upper center", bbox_to_anchor=(0.55, 1))
plt.show()

# %% [markdown]
# A frequency is a second derivative of the energy, and nobody has trained on those. Errors of forces are noise, and
# noise gets worse with every derivative; here little of it is left. A network that was trained on energies alone can be
# off by hundreds of cm⁻¹.
#
# ## Half a picosecond
#
# Newton's equations, $m_i \ddot{\mathbf r}_i = \mathbf F_i$, with velocity Verlet, which is three lines:
#
# $$\mathbf v \mathrel{+}= \frac{\mathbf F}{m} \frac{\Delta t}{2}, \qquad \mathbf r \mathrel{+}= \mathbf v\,\Delta t,
# \qquad \mathbf F = \mathbf F(\mathbf r), \qquad \mathbf v \mathrel{+}= \frac{\mathbf F}{m} \frac{\Delta t}{2}.$$
#
# A step of 0.5 fs is short enough: the O-H bond swings once in 9 fs. The molecule starts at its minimum, with
# velocities drawn at 600 K; then the motion and the rotation of the whole are taken away, 6 of 27 degrees of freedom.
# Half of what is left soon goes into the potential. So the mean temperature is $600\,/\,2 \cdot 21\,/\,27 = 233$ K on
# average over the draws, if all 27 are counted; a single draw is easily off by a third.

# %%
TIMESTEP, NUM_STEPS = 0.5, 1100  # fs
set_off(ethanol, 600, np.random.default_rng(1))
verlet = VelocityVerlet(ethanol, TIMESTEP * units.fs)
energies, velocities = [], []


def record():
    energies.append((ethanol.get_potential_energy(), ethanol.get_kinetic_energy()))
    velocities.append(ethanol.get_velocities())


verlet.attach(record)
began = time.perf_counter()
verlet.run(NUM_STEPS)
per_step = 1000 * (time.perf_counter() - began) / NUM_STEPS
energies, velocities = np.array(energies), np.array(velocities)
energies[:, 0] -= energies[0, 0]

# %% tags=["machine"]
femtoseconds = TIMESTEP * np.arange(len(energies))
total = energies.sum(axis=1)
figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.2))
left.plot(femtoseconds, energies[:, 0] / KCAL, label="potential")
left.plot(femtoseconds, total / KCAL, color="black", label="total")
left.set(xlabel="time / fs", ylabel="energy / (kcal/mol)", ylim=(0, None))
left.legend(loc="lower right")
right.plot(femtoseconds, 1000 * (total - total[0]), color="black", linewidth=0.8)
right.set(xlabel="time / fs", ylabel="total energy − first / meV")
plt.show()
temperature = 2 * energies[:, 1].mean() / (3 * len(ethanol) * units.kB)
print(f"{NUM_STEPS} steps of {TIMESTEP} fs, {per_step:.0f} ms each, mean temperature {temperature:.0f} K")
slope = drift(energies, TIMESTEP, len(ethanol))
print(f"potential energy: standard deviation {1000 * energies[:, 0].std():.0f} meV")
print(f"total energy: standard deviation {1000 * total.std():.1f} meV, drift {slope:.2f} meV per atom and ps")
assert total.std() < 0.05 * energies[:, 0].std()

# %% [markdown]
# The potential energy goes up and down by several kcal/mol, and the total energy is a straight line. It has to be:
# the forces are the exact slope of one energy. Its ripple, on the right, is the error of the integrator, and goes with
# $\Delta t^2$. Networks that predict forces directly, not as a slope, do not conserve energy. (A drift from half a
# picosecond is uncertain. [The page on dynamics](../docs/dynamics.md) has one of 10 ps.)
#
# ### What one hears
#
# The atoms do not swing on a paraboloid now, but on the whole energy surface. Which frequencies do they have? The
# correlation of the velocities with themselves, a time $\tau$ later, and weighted with the masses,
#
# $$C(\tau) = \Bigl\langle \sum_i m_i\, \mathbf v_i(t) \cdot \mathbf v_i(t + \tau) \Bigr\rangle_t ,$$
#
# swings with all of them at once. Its Fourier transform takes them apart. A line is as broad as $1/(cT)$ in wave
# numbers, with the speed of light $c$ and the longest $\tau$ that is used, $T$: half of the run here, since longer
# times have too few pairs.

# %% tags=["machine"]
masses = ethanol.get_masses()[:, None]
weighted = (np.sqrt(masses) * velocities).reshape(len(velocities), -1)
n = len(weighted)
amplitudes = np.fft.rfft(weighted, 2 * n, axis=0)  # padded with zeros, so that the end does not meet the start
correlation = np.fft.irfft(abs(amplitudes) ** 2, axis=0)[:n].sum(axis=1) / (n - np.arange(n))
pair = (weighted[: n - 100] * weighted[100:]).sum(axis=1).mean()  # the definition, for one τ
np.testing.assert_allclose(correlation[100], pair, rtol=1e-8)

half = n // 2  # longer times have too few pairs
window = np.cos(np.pi / 2 * np.arange(half) / half) ** 2
spectrum = np.fft.rfft(window * correlation[:half], 16 * half).real
speed = 2.99792458e-5  # of light, in cm/fs
wave_numbers = np.fft.rfftfreq(16 * half, TIMESTEP) / speed
resolution = 1 / (speed * half * TIMESTEP)

figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 5))
top.plot(femtoseconds[:300], correlation[:300] / correlation[0])
top.set(xlabel="τ / fs", ylabel="C(τ) / C(0)")
bottom.plot(wave_numbers, spectrum / spectrum.max())
bottom.vlines(harmonic, -0.12, -0.02, color=COLOURS[1], label="harmonic frequencies")
bottom.set(xlabel="wave number / cm⁻¹", ylabel="spectrum of velocities", xlim=(0, 4000))
bottom.legend()
plt.show()
print(f"resolution about {resolution:.0f} cm⁻¹")
stretch = (wave_numbers > 3300) & (wave_numbers < 3900)
peak = wave_numbers[stretch][spectrum[stretch].argmax()]
print(f"O-H stretch: in the spectrum {peak:.0f} cm⁻¹, harmonic {harmonic[-1]:.0f} cm⁻¹")
assert abs(peak - harmonic[-1]) < 2 * resolution

# %% [markdown]
# The groups stand where the harmonic frequencies say: below 1600 cm⁻¹ the skeleton and the bending of C-H bonds,
# near 3000 the stretching of C-H, alone at the right that of O-H. Lines closer than the resolution run into one. How
# high a line is depends on how much of the energy its motion got from the dice. The peak at the left has no tick: here
# the methyl group got enough to turn round and round about C-C, once in 0.4 ps, which is no vibration at all.
#
# Half a picosecond does not show more. In 10 ps, with a resolution of some 7 cm⁻¹, most lines lie 1 to 15 cm⁻¹ below
# their ticks, since a bond that is stretched gets softer. Only O-H lies above, at 3569 cm⁻¹: steps of 0.5 fs make the
# fastest vibration too fast. Velocity Verlet turns $\omega$ into
# $\frac{2}{\Delta t} \arcsin \frac{\omega\,\Delta t}{2}$, which here is 17 cm⁻¹ more.
#
# ## Turning a bond
#
# Now a motion that is not small. Turn the O-H bond about C-O and hold all else fixed, as it is in GFN2-xTB's *trans*
# minimum, at 180°, which is the zero of the energies. Near 60°, *gauche*, they are below it, and most frames are there.
# The reference numbers are GFN2-xTB's energies at these geometries, by the same tblite.

# %% tags=["machine"]
GFN2_MINIMUM = [
    [1.1778, -0.40503, 0.0], [-0.00315, 0.55296, 0.0], [-1.19433, -0.20643, 0.0], [-1.95067, 0.38827, 0.0],
    [0.03839, 1.19698, 0.89105], [0.03839, 1.19698, -0.89105], [2.11062, 0.15173, 0.0], [1.13632, -1.03859, 0.88152],
    [1.13632, -1.03859, -0.88152],
]  # fmt: skip
ANGLES = np.arange(0, 181, 15)
GFN2_TORSION = [0.58, 0.389, -0.055, -0.453, -0.533, -0.212, 0.373, 0.938, 1.202, 1.055, 0.622, 0.182, 0.0]
LENGTHS = np.arange(8, 17) / 10
GFN2_STRETCH = [21.67, 2.35, 0.67, 6.94, 16.65, 27.72, 39.2, 50.49, 61.18]  # kcal/mol above the minimum

scan = Atoms("CCOH6", GFN2_MINIMUM, calculator=Cormorant("ethanol"))
at_minimum = scan.get_potential_energy()
torsion, stretch = [], []
for angle in ANGLES:
    scan.set_dihedral(0, 1, O, H, angle, indices=[H])
    torsion.append((scan.get_potential_energy() - at_minimum) / KCAL)
scan.positions = GFN2_MINIMUM
for r in LENGTHS:
    scan.set_distance(O, H, r, fix=0)
    stretch.append((scan.get_potential_energy() - at_minimum) / KCAL)

train = sample.positions[splits["train"]]
seen_angles = [Atoms("CCOH6", p).get_dihedral(0, 1, O, H) for p in train]
seen_angles = 180 - abs(180 - np.array(seen_angles))
seen_lengths = np.linalg.norm(train[:, O] - train[:, H], axis=1)
figure, axes = plt.subplots(2, 2, figsize=(9.6, 5), height_ratios=[3, 1], sharex="col")
for column, (x, ours, theirs, seen, name) in enumerate(
    [
        (ANGLES, torsion, GFN2_TORSION, seen_angles, "C-C-O-H angle / °"),
        (LENGTHS, stretch, GFN2_STRETCH, seen_lengths, "O-H distance / Å"),
    ]
):
    top, bottom = axes[:, column]
    top.plot(x, theirs, "o", color="black", markerfacecolor="none", label="GFN2-xTB")
    top.plot(x, ours, ".-", color=COLOURS[3], label="network")
    top.set(ylabel="energy / (kcal/mol)")
    bottom.hist(seen, 40, color=COLOURS[5])
    bottom.set(xlabel=name, ylabel="training frames")
axes[0, 0].legend()
axes[0, 0].set_xticks(range(0, 181, 30))
plt.show()
torsion_errors = abs(np.array(torsion) - GFN2_TORSION)
print(f"torsion: mean error {torsion_errors.mean():.3f}, largest {torsion_errors.max():.3f} kcal/mol")
print(f"O-H distances in training: {seen_lengths.min():.2f} to {seen_lengths.max():.2f} Å")
print_table(list(zip(LENGTHS.tolist(), GFN2_STRETCH, np.round(stretch, 2).tolist(), strict=True)),
            ["O-H / Å", "GFN2-xTB", "network"])  # fmt: skip
assert torsion_errors.max() < 0.1
assert abs(stretch[-1] - GFN2_STRETCH[-1]) > 5

# %% [markdown]
# The torsion is right at all angles, also on the barrier near 120°: at 500 K the bond has turned all the way round, and
# the training frames show every angle. The stretch is right as long as there are training frames. Beyond 1.11 Å there
# are none, and there the network is not a little wrong but wrong in kind: it lets the bond break. Past a hump of some
# 14 kcal/mol near 1.2 Å the energy falls, to 3 kcal/mol at 1.6 Å, where GFN2-xTB has 61. It gives no warning. A run
# that is hot enough to come there falls apart, and `python -m cormorant_np.dynamics` then stops with a sentence. Ask of
# every model what it has seen.
#
# ## Exercises
#
# **1.** *Predict.* The time step is doubled to 1 fs. What becomes of the ripple of the total energy, and of the
# drift? And what happens at 4 fs?
#
# <details><summary>Solution</summary>
#
# The ripple is an error of order $\Delta t^2$: four times as large. The drift stays near zero, since velocity Verlet
# keeps, almost exactly, an energy that is close to the true one (exactly so for a spring). That holds as long as the
# fastest vibration is resolved, $\omega\,\Delta t < 2$. For O-H with $2\pi/\omega = 9.4$ fs the limit is 3.0 fs: at 4
# fs the energy grows by 170 kcal/mol within eight steps, and the molecule flies apart.
#
# </details>
#
# **2.** *Derive.* With $k = K - dE$ of its own, a molecule adds $K\,\partial E/\partial W(\mathbf r)$
# $-\,(K - dE)\,\partial E/\partial W(\mathbf r + dF/(K - dE))$ to the gradient. Show that this is the formula above,
# with the same order of error. What is left of it if the forces are right, $dF = 0$? And why may $K$ not be just any
# large number, say $10^9$?
#
# <details><summary>Solution</summary>
#
# With $k = K - dE$ the weight of $\partial E/\partial W(\mathbf r)$ is $dE + k = K$, and that of the displaced one is
# $-k$: the same formula. Its error is of order $1/k$, and $dE$ is small beside $K$. With $dF = 0$ the molecule is not
# moved, and $K - (K - dE) = dE$ is left: the gradient of the energies' loss. With $K = 10^9$ two numbers a billion
# times too large are subtracted, and of the seven digits of 32-bit floats none is left.
#
# </details>
#
# **3.** *Code.* Heavy ethanol: replace the hydrogen of O-H by deuterium. Where does the highest frequency
# go? Use `ethanol.set_masses`.
#
# <details><summary>Solution</summary>
#
# ```python
# ethanol.positions = minimum
# masses = ethanol.get_masses()
# masses[H] = 2.014
# ethanol.set_masses(masses)
# print(frequencies(ethanol).round(0))
# ```
#
# The energy surface knows nothing of masses, so the same network serves. The stretch falls by about the square
# root of the ratio of reduced masses, $\sqrt{(1/16 + 1/2.014)\,/\,(1/16 + 1/1.008)} = 0.73$: from 3560 to
# about 2590 cm⁻¹, below all C-H stretches, which now are the highest frequencies.
#
# </details>
#
# **4.** *Code.* Write velocity Verlet yourself: `verlet(r, v, force, m, dt, steps)` for a function `force(r)`, which
# returns the last `r` and `v`. The check lets a mass hang on a spring. There the exact answer of the *scheme* is
# known: it swings with $\frac{2}{\Delta t} \arcsin \frac{\omega\,\Delta t}{2}$ in place of $\omega$.


# %% tags=["hide-input"]
def check_verlet(verlet):
    m, k, dt, steps = 2.0, 3.0, 0.4, 25
    omega = 2 / dt * np.arcsin(np.sqrt(k / m) * dt / 2)
    calls = []

    def force(r):
        calls.append(1)
        return -k * r

    r, v = verlet(np.array([1.0]), np.array([0.0]), force, m, dt, steps)
    np.testing.assert_allclose(r, [np.cos(omega * steps * dt)], atol=1e-10, err_msg="The position is wrong.")
    there, back = verlet(r, -v, force, m, dt, steps)
    np.testing.assert_allclose([*there, *back], [1, 0], atol=1e-10, err_msg="With v reversed it does not come back.")
    print(f"right, with {len(calls) / 2 / steps:.2f} calls of force a step")


# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def verlet(r, v, force, m, dt, steps):
#     f = force(r)
#     for _ in range(steps):
#         v = v + f / m * dt / 2
#         r = r + v * dt
#         f = force(r)
#         v = v + f / m * dt / 2
#     return r, v
#
#
# check_verlet(verlet)
# ```
#
# One call a step is enough, since the force at the end is the one at the next beginning. And the scheme runs backwards
# as well as forwards, which is one reason why it hardly drifts (exercise 1).
#
# </details>

# %% [markdown]
# **In the code:** [forces.py](../cormorant_np/training/forces.py), [calculator.py](../cormorant_np/calculator.py),
# [dynamics.py](../cormorant_np/dynamics.py)
#
# **In the documentation:** [forces in the loss](../docs/derivations/forces.md), [dynamics](../docs/dynamics.md)
#
# **Next:** [16 · Inside a trained network](16_inside_a_trained_network.ipynb)
