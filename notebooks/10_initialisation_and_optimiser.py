# %% [markdown]
# # 10 · How training starts, and how it steps
#
# A network whose output is a polynomial of degree 323 in its weights (notebook 08) is a delicate thing. Make all
# numbers a little too large and they explode; a little too small and everything but the simplest terms vanishes. The
# authors met both (section 2.1) and answered with a scale for the weights at the start, the *gain* of section 1.6, and
# with an optimiser, AMSGrad (section 2). This notebook measures the first and takes the second apart.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np

from cormorant_np import Config, data
from cormorant_np.drawing import COLOURS, print_table
from cormorant_np.exactness import activation_means
from cormorant_np.model import features, init_params
from cormorant_np.training.gain import tune_gain
from cormorant_np.training.loop import start, train_step, training_errors
from cormorant_np.training.optimizer import amsgrad_step, init_state
from cormorant_np.training.parallel import workers
from cormorant_np.training.problem import epoch_batches, prepare
from cormorant_np.training.settings import Settings

ethanol = data.load("sample")
config = Config.md17()
batch = data.make_batch(ethanol.charges[:5], ethanol.positions[:5], config, np.float64)

# %% [markdown]
# ## The gain
#
# $$W^\ell_{\tau^{\rm in}, \tau^{\rm out}} \sim \mathrm{Unif}(-1, 1) \cdot
# \frac{g}{\tau^{\rm in}_\ell + \tau^{\rm out}_\ell}$$
#
# with $\tau^{\rm in}$ and $\tau^{\rm out}$ the numbers of channels that come in and go out. The library draws real
# and imaginary part like this. One weight matrix as a check: its largest entries come close to the bound, and their
# spread is that of a uniform distribution, the bound over $\sqrt3$.

# %%
params = init_params(config, np.random.default_rng(0), np.float64)
weight = params["layers.1.vertex.weight.1"]
tau_out, tau_in = weight.shape
bound = config.gain / (tau_in + tau_out)
for part in (weight.real, weight.imag):
    np.testing.assert_allclose(abs(part).max(), bound, rtol=0.01)
    np.testing.assert_allclose(part.std(), bound / np.sqrt(3), rtol=0.03)

# %% [markdown]
# ## How large are the activations?
#
# The authors tuned $g$ by hand until the mean of $|F|$ was about one in every layer, on a random mini-batch:
#
# $$\frac{1}{N_{\rm atom} N_c (2\ell+1)} \sum_{\ell, i, c, m} |F^s_{\ell, i, c, m}|.$$
#
# The supplement prints $(2^\ell + 1)$, which is a slip: an SO(3)-vector has $\sum_\ell (2\ell+1) = (L+1)^2$
# components for each atom and channel, and that is what we divide by.

# %%
naive = []
for f in features(params, batch, config):
    total, count = 0.0, 0
    for l in range(4):
        for m in range(-l, l + 1):
            total += abs(f[l * l + l + m]).sum()
            count += f[l * l + l + m].size
    naive.append(total / count)
np.testing.assert_allclose(activation_means(params, batch, config), naive)
print("mean |F| of layers 1 to 4 with g = 5:", *(f"{mean:.1e}" for mean in naive))

# %% [markdown]
# With $g = 5$, the value in the text, this is far below one. The number depends on all that the text leaves open
# (how the edges start, the cutoffs, whether real and imaginary part share the bound). So let us vary $g$:

# %% tags=["hide-input"]
gains = np.geomspace(2, 40, 16)
means = []
for g in gains:
    c = Config.md17(gain=float(g))
    means.append(activation_means(init_params(c, np.random.default_rng(0), np.float64), batch, c))
tuned, _ = tune_gain(config, batch, np.random.default_rng(0))

figure, ax = plt.subplots(figsize=(6.6, 3.8))
for s, curve in enumerate(np.array(means).T):
    ax.loglog(gains, curve, ".-", label=f"layer {s + 1}")
ax.axhline(1, color="grey", linestyle=":")
ax.axvline(tuned, color="grey", linestyle="--", linewidth=1)
ax.text(tuned * 1.04, 1e-7, f"tuned: g = {tuned:.1f}")
ax.set(xlabel="gain g", ylabel="mean |F|", ylim=(1e-8, 1e8), xticks=[2, 5, 10, 20, 40])
ax.xaxis.set_major_formatter("{x:g}")
ax.xaxis.set_minor_formatter("")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# The deeper the layer, the steeper the curve. They cross near one point, and there the network balances on a
# knife's edge: a gain ten per cent larger multiplies the last layer by several hundred. No single $g$ makes all layers
# one; `tune_gain` finds the one for which they are as much above as below (the dashed line, tuned on other random
# numbers than those of the curves). Left of it, deep layers are silent at first and have to grow in training; right of
# it they explode. It is prudent to start on the left, as $g = 5$ does.
#
# Why so steep? Count the powers of $g$: each matrix of weights brings one. Where activations are small, the term with
# the fewest factors is the largest, the identity $W F^s$ of (S5), so that $|F^s| \propto g^s$. Where they are large, it
# is the one with the most. The edge network multiplies two activations, $|g_{ij}| \propto g\,|F^s|^2$, and the vertex
# network multiplies that with a third:
#
# $$|F^{s+1}| \;\propto\; g \cdot g\,|F^s|^2 \cdot |F^s| \qquad\Rightarrow\qquad
# |F^s| \propto g^{a_s}, \quad a_{s+1} = 3 a_s + 2, \quad a_s = 3^s - 1.$$
#
# (With the input's weights in $F^0$ it is $2 \cdot 3^s - 1$, and the invariants multiply two of the last, by one weight
# of the output: $2\,(2 \cdot 3^4 - 1) + 1 = 323$, the degree above.) These exponents are the slopes of the curves, and
# the last layer's goes from 4 to 80:

# %%
def slopes(g, step=1.01):
    """d log |F^s| / d log g of every layer."""
    around = []
    for gain in (g / step, g * step):
        c = Config.md17(gain=gain)
        around.append(np.log(activation_means(init_params(c, np.random.default_rng(0), np.float64), batch, c)))
    return (around[1] - around[0]) / (2 * np.log(step))


np.testing.assert_allclose(slopes(0.001), [1, 2, 3, 4], atol=0.05)
np.testing.assert_allclose(slopes(1000.0), [2, 8, 26, 80], atol=0.05)
rows = [[f"{g:g}", *(f"{slope:.1f}" for slope in slopes(g))] for g in (0.001, 5.0, 10.0, 15.0, 20.0, 1000.0)]
print_table(rows, ["g", *(f"layer {s}" for s in range(1, 5))])

# %% [markdown]
# Here is what it means for training, on a small network and a hundred frames. The learning rate is ten times the
# paper's, so that fifteen epochs are enough to see something; that makes explosions likelier, too:


# %% tags=["hide-input"]
def training_curve(gain):
    settings = Settings(
        num_train=100, num_valid=0, num_test=100, epochs=15, gain=gain, lr=5e-3, num_channels=4, l_max=2, threads=1
    )
    problem = prepare(settings)
    state = start(settings, problem)
    curve = []
    with workers(1) as pool, np.errstate(all="ignore"):
        for epoch in range(settings.epochs):
            for indices in epoch_batches(problem, settings, epoch):
                state = train_step(state, indices, problem, settings, pool)
            curve.append(training_errors(state, problem)["train_mae"])
            state = state._replace(error_sums=state.error_sums * 0, step=0)
    return curve


figure, ax = plt.subplots(figsize=(6.6, 3.6))
for gain, marker in [(1.0, "o"), (5.0, "s"), (10.0, "^"), (15.0, "v")]:
    curve = np.array(training_curve(gain))
    finite = np.isfinite(curve)
    label = f"g = {gain:g}" + ("" if finite.all() else f": overflow in epoch {finite.argmin() + 1}")
    ax.semilogy(np.arange(1, 16)[finite], curve[finite], marker + "-", markersize=4, label=label)
ax.set(xlabel="epoch", ylabel="training MAE / (kcal/mol)")
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# Section 2.1 names two failures. The first, a loss "from which the network will never recover", is here at the highest
# gains, or nearly: the curve comes down with difficulty, or ends in an overflow. The second, higher layers that turn
# off and leave a poor training error, is *not* here: $g = 1$ is some three epochs behind $g = 5$ and goes on falling.
# [A page](../docs/instabilities.md) has the same with the paper's network and learning rate, and finds a late start,
# too, even at $g = 0.2$.
#
# ## AMSGrad
#
# For each parameter $\theta$ with gradient $g$ (no longer the gain), Adam keeps a running mean $m$ of the gradient and
# a running mean $v$ of its square, which forget at the rates $1 - \beta_1$ and $1 - \beta_2$, and in step $t$ goes by
# $m/\sqrt v$ times the learning rate $\eta$ (no longer a radial function); a tiny $\varepsilon$ prevents a division by
# zero. AMSGrad replaces $v$ by the largest $v$ so far:
#
# $$\begin{aligned} m &\leftarrow \beta_1 m + (1-\beta_1)\, g, \qquad v \leftarrow \beta_2 v + (1-\beta_2)\, g^2, \qquad
# \hat v \leftarrow \max(\hat v, v), \\
# \theta &\leftarrow \theta - \eta\,
# \frac{m / (1-\beta_1^t)}{\sqrt{\hat v/(1-\beta_2^t)} + \varepsilon}. \end{aligned}$$
#
# (The factors $1 - \beta^t$ correct for the start from zero. Reddi, Kale and Kumar leave them out, but the
# optimiser that the authors trained with has them.) As a loop, for one parameter:


# %%
def naive_amsgrad(theta, gradients, lr, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    m = v = v_max = 0.0
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g * g
        v_max = max(v_max, v)
        theta -= lr * m / (1 - beta_1**t) / (np.sqrt(v_max / (1 - beta_2**t)) + epsilon)
    return theta


rng = np.random.default_rng(0)
gradients = rng.standard_normal((20, 3))
vector = np.zeros(3)
state = init_state(vector)
for g in gradients:
    vector, state = amsgrad_step(vector, g, state, lr=1e-2)
np.testing.assert_allclose(vector, [naive_amsgrad(0.0, gradients[:, k], 1e-2) for k in range(3)])

# %% [markdown]
# What is a complex parameter's $g^2$? The text does not say. In the authors' code real and imaginary part are two
# parameters of their own, each with its own $m$ and $v$, and so it is here: the optimiser works on one long real
# vector (`flatten`), and no complex number ever reaches it.
#
# ## Why the maximum matters
#
# Adam forgets. If a large and important gradient is rare, $v$ has shrunk again when small ones follow, and these
# take large steps. Reddi and his co-authors give an example on the interval $[-1, 1]$: every third gradient is 3,
# pushing left, the two others are $-1$, pushing right. On average it goes left. Take $\beta_1 = 0$, $\beta_2 = 0.1$
# and a falling step size:


# %% tags=["hide-input"]
def online(adam, steps=400):
    x, state, track = np.zeros(1), init_state(np.zeros(1)), []
    for t in range(1, steps + 1):
        g = np.array([3.0 if t % 3 == 1 else -1.0])
        x, state = amsgrad_step(x, g, state, lr=0.3 / np.sqrt(t), beta_1=0, beta_2=0.1, adam=adam)
        x = np.clip(x, -1, 1)
        track.append(x[0])
    return track


figure, ax = plt.subplots(figsize=(6.6, 3))
for adam, name, colour in [(True, "Adam", COLOURS[1]), (False, "AMSGrad", COLOURS[0])]:
    ax.plot(online(adam), label=name, color=colour)
ax.axhline(-1, color="grey", linestyle=":")
ax.text(398, -0.93, "optimum", ha="right")
ax.set(xlabel="step", ylabel="x")
ax.legend(loc="center right")
plt.show()
print_table([["Adam", online(True)[-1]], ["AMSGrad", online(False)[-1]]], ["", "x at the end"])

# %% [markdown]
# Adam walks to the worst point. A network whose gradients are rarely large, as those of a high-degree polynomial
# are, is where this may hurt. In fairness: in short runs like ours the two hardly differ (exercise 3).
#
# ## Exercises
#
# **1.** *Predict.* How large is the first step of AMSGrad, whatever the gradient?
#
# <details><summary>Solution</summary>
#
# $m/(1-\beta_1) = g$ and $\hat v/(1-\beta_2) = g^2$, so the step is $\eta\, g/|g| = \pm\eta$. So what counts is how
# large the weights are beside $\eta$: at a gain of 0.2, a few steps replace those of the deeper layers altogether
# ([instabilities](../docs/instabilities.md)).
#
# </details>
#
# **2.** *Derive.* Multiply all parameters of a layer by a phase, $W \to e^{i\alpha} W$. Is AMSGrad on real and
# imaginary parts indifferent to that?
#
# <details><summary>Solution</summary>
#
# No. It scales the two axes separately, and a rotation of the complex plane mixes them. Plain gradient descent
# would be.
#
# </details>
#
# **3.** *Code.* Give `training_curve` another argument and train with `optimizer="adam"` in `Settings`.
#
# <details><summary>Solution</summary>
#
# For $g = 1$ and $5$ the two curves agree to three digits. The gradient's size mostly falls here, or rises quickly
# from the start, and either way the maximum is seldom far from the mean.
#
# </details>
#
# **4.** *Code.* Gradient descent with momentum has no trouble with phases. Write it as
# `momentum_step(theta, gradient, velocity, lr, beta)`, which returns the new `theta` and `velocity`, with
# $v \leftarrow \beta v + g$ and $\theta \leftarrow \theta - \eta v$, for complex numbers, too.


# %% tags=["hide-input"]
def check_momentum_step(momentum_step):
    rng = np.random.default_rng(0)
    gradients = rng.standard_normal((10, 2)) + 1j * rng.standard_normal((10, 2))
    for phase in (1, np.exp(0.7j)):
        theta, velocity = np.zeros(2, dtype=complex), 0
        for t, gradient in enumerate(gradients):
            theta, velocity = momentum_step(theta, phase * gradient, velocity, lr=0.1, beta=0.8)
            remembered = [sum(0.8 ** (k - j) * gradients[j] for j in range(k + 1)) for k in range(t + 1)]
            expected = -0.1 * phase * sum(remembered)
            np.testing.assert_allclose(theta, expected, err_msg=f"Step {t + 1} is wrong.")
    print("right")


# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def momentum_step(theta, gradient, velocity, lr, beta):
#     velocity = beta * velocity + gradient
#     return theta - lr * velocity, velocity
#
#
# check_momentum_step(momentum_step)
# ```
#
# Nothing here looks at real and imaginary part by itself, so a phase passes through. The division by $\sqrt{\hat v}$
# is what AMSGrad has and this has not.
#
# </details>

# %% [markdown]
# **In the code:** [gain.py](../cormorant_np/training/gain.py), [optimizer.py](../cormorant_np/training/optimizer.py)
#
# **In the documentation:** [amsgrad](../docs/derivations/amsgrad.md)
#
# **Next:** [11 · Training on ethanol](11_training_ethanol.ipynb)
