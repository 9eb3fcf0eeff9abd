# %% [markdown]
# # 13 · From NumPy to CuPy
#
# CuPy is NumPy on an NVIDIA GPU: the same functions, on arrays that live in the GPU's memory. So the network is
# written once. What has to change for a GPU? Less than one might fear, and not quite nothing. **No GPU was at hand
# when this notebook was written**, and none is needed to read it. All that is executed here runs on NumPy; what is
# said about CuPy comes from its documentation.

# %% tags=["hide-input"]
import inspect
from pathlib import Path

import numpy as np

import cormorant_np
from cormorant_np import Config, backend, data, model
from cormorant_np.drawing import print_table
from cormorant_np.errors import UserError
from cormorant_np.network.parameters import flatten
from cormorant_np.training import parallel

# %% [markdown]
# ## One file knows about CuPy
#
# Everything special is in `backend.py`. No other file of the package imports CuPy, and none asks "am I on a GPU?"
# in the middle of a formula:

# %%
package = Path(cormorant_np.__file__).parent
imports = [p.name for p in sorted(package.rglob("*.py")) if "import cupy" in p.read_text(encoding="utf-8")]
assert imports == ["backend.py"]
rows = [
    [name, inspect.getdoc(function).partition("\n\n")[0].replace("\n", " ")]
    for name, function in inspect.getmembers(backend, inspect.isfunction)
    if function.__module__ == backend.__name__ and not name.startswith("_")
]
print_table(rows, ["function", "what it does"])

# %% [markdown]
# ## Asking an array where it lives
#
# Operators and methods, `a * b`, `a @ b`, `a.sum()`, `a.conj()`, belong to the array and need no change. Functions
# such as `sin` or `concatenate` belong to a module, and there the code asks the array for its module:
#
# ```python
# xp = get_array_module(x)
# y = xp.sin(x)
# ```
#
# Here is a function in this manner, next to a plain NumPy loop:


# %%
def soft_mask(distances, cutoff, width):
    xp = backend.get_array_module(distances)
    return (1 + xp.tanh((cutoff - distances) / (2 * width))) / 2


distances = np.linspace(0.5, 4, 8)
naive = [1 / (1 + np.exp(-(1.73 - r) / 0.2)) for r in distances]
np.testing.assert_allclose(soft_mask(distances, 1.73, 0.2), naive)
print("module:", backend.get_array_module(distances).__name__, "  device:", backend.device_of(distances))

# %% [markdown]
# (The tanh is the same sigmoid; it cannot overflow.)
#
# ## Going there and coming back
#
# Copies between the two memories are slow, so they happen twice: data and parameters go to the device when a run
# starts, by `to_device`, and results come back when something is printed or saved, by `to_host`. On the CPU both
# hand the array through:

# %%
x = np.arange(3.0)
assert backend.to_device(x, "cpu") is x
assert backend.to_host(x) is x

# %% [markdown]
# A user without a GPU who asks for one should get a sentence, not forty lines of traceback. `check_device` also
# runs a small matrix product, since CuPy can be imported on machines on which it cannot compute:

# %% tags=["device"]
try:
    backend.check_device("gpu")
    print("There is a usable GPU on this machine.")
except UserError as error:
    print(error)

# %% [markdown]
# ## What is the same, and what is not
#
# | habit | on a GPU | what the library does |
# |---|---|---|
# | `float(x)`, `if x > 0`, `print(x)` | waits until the GPU is done | only at the end of an epoch |
# | `x.sum()` | gives a 0-d array that stays on the device | adds up errors there, reads them once |
# | `np.sin(x)` of a device array | works, by silent dispatch | `xp.sin`, so that slips do not hide |
# | `x[i] = numpy_array` | a silent copy | uploads once, at the start |
# | `np.add.at(x, i, y)` | no complex numbers | not needed: batches are padded, sums are plain |
# | `rng.normal`, `permutation` | missing from CuPy's `Generator` | draws on the host, then uploads |
# | sums with `where=`, `einsum(..., out=)` | missing | products with a 0/1 array; `matmul(..., out=)` |
# | results bit for bit | depend on the device | compared with tolerances |
#
# The random numbers have one more reason: a run on a GPU starts from the same weights as on a CPU, and can be
# compared with it.
#
# ## Cutting a batch
#
# One thing does differ in substance. A GPU wants few large operations. A CPU wants work for each of its cores, and the
# arrays of a batch would take much memory. So a batch is shared among workers, which are processes, and each cuts its
# share into chunks, whose gradients are added (notebook 17 measures both). Only the number of workers, the size of a
# chunk, and how many channels the vertex network takes at a time depend on the device. A chunk is measured in pairs of
# atoms, because these have the largest arrays; an atom counts as 30:

# %%
config = Config.md17()
ethanol = data.load("sample")
params = model.init_params(config, np.random.default_rng(0))
batch = data.make_batch(ethanol.charges[:25], ethanol.positions[:25], config)
ethanol_pairs = 9 * (9 + parallel.PAIRS_OF_AN_ATOM)  # of one molecule with its nine atoms
for device, size in parallel.CHUNK_SIZE.items():
    print(f"{device}: chunks of {size} pairs, that is {size // ethanol_pairs} molecules of ethanol")
for share in parallel.shares(batch, 2):
    sizes = [part.stop - part.start for part in parallel.chunks(data.take(batch, share))]
    print(
        f"cpu: a worker's share of 25 molecules, from {share.start} to {share.stop - 1}, in chunks of {sizes} molecules"
    )


def gradient(part):
    energy, cache = model.forward(params, data.take(batch, part), config)
    grads, _ = model.backward(2 / 25 * energy, cache, by_positions=False)
    return flatten(grads)


whole = gradient(slice(0, 25))
in_chunks = sum(gradient(slice(k, k + 5)) for k in range(0, 25, 5))
np.testing.assert_allclose(in_chunks, whole, atol=1e-5 * abs(whole).max())

# %% [markdown]
# ## Single precision
#
# Consumer GPUs are fast in 32-bit floats and slow in 64-bit ones, so training runs in `float32` and `complex64`.
# Checks run in `float64`. Nothing in the code promotes silently from one to the other; how much the precision costs
# is easy to see:

# %% tags=["machine"]
double = {name: p.astype(np.complex128 if p.dtype.kind == "c" else np.float64) for name, p in params.items()}
batch_64 = data.make_batch(ethanol.charges[:25], ethanol.positions[:25], config, np.float64)
e32, _ = model.forward(params, batch, config)
e64, _ = model.forward(double, batch_64, config)
assert e32.dtype == np.float32 and all(f.dtype == np.complex64 for f in model.features(params, batch, config))
difference = abs(e32 - e64).max()
print(f"largest difference between float32 and float64: {difference:.1e} of {e64.std():.1e}, the spread of the outputs")

# %% [markdown]
# The weights are random, so this output is no energy yet and has no unit. Training scales it to the spread of the
# energies, some 3 kcal/mol for ethanol at 500 K, so that rounding costs the same fraction of it.
#
# ## Exercises
#
# **1.** *Predict.* Why is `xp = np` at the top of a file, changed by a flag, a worse idea than asking the array?
#
# <details><summary>Solution</summary>
#
# A global flag makes all code in the process use one device. Tests that compare the two, or tables that are made on
# the host, become impossible, and one forgets in which state one is. An array always knows where it lives.
#
# </details>
#
# **2.** *Code.* Find the only `.get()` in the package. Why is there just one?
#
# <details><summary>Solution</summary>
#
# In `backend.to_host`. Every `.get()` waits for the GPU, so each should be deliberate, and easy to find.
#
# </details>
#
# **3.** *Code.* With a GPU at hand: run `python -m cormorant_np.benchmark` with both devices, and one epoch of the
# sample with `--device gpu`. At which batch size does the GPU begin to win?
#
# <details><summary>Solution</summary>
#
# That depends on the GPU, and we have not measured it. Expect small batches to be bound by the time of launching
# kernels, some microseconds each, and not by arithmetic.
#
# </details>

# %% [markdown]
# **In the code:** [backend.py](../cormorant_np/backend.py), [parallel.py](../cormorant_np/training/parallel.py)
#
# **In the documentation:** [gpu](../docs/gpu.md)
#
# **Next:** [17 · Making it fast](17_making_it_fast.ipynb)
