# %% [markdown]
# # 17 · Making it fast
#
# `plain.py` takes one molecule at a time and hides nothing. The fast network, `model.py` and `network/`, computes the
# same numbers for many molecules. All other notebooks speak the layout of `plain.py`; this one is about what the fast
# network does differently, step by step: what the step is, that it changes no number, and what it gains, measured here
# and now on the machine that built this page.

# %% tags=["hide-input"]
import time

import matplotlib.pyplot as plt
import numpy as np
from threadpoolctl import threadpool_limits

from cormorant_np import Config, data, model, plain
from cormorant_np.backend import copy_rows
from cormorant_np.clebsch_gordan import table
from cormorant_np.drawing import print_table
from cormorant_np.gradient_check import inner, random_like
from cormorant_np.network.arrangement import arrange_backward, arrange_forward, layer_coupling
from cormorant_np.network.coupling import coefficient_matrix, coupling, different_paths, published_paths
from cormorant_np.network.edge_network import edge_network_forward
from cormorant_np.network.geometry import pair_functions_forward
from cormorant_np.network.pairs import gather, spread
from cormorant_np.network.real_form import join, real_matrix, split
from cormorant_np.network.vertex_network import (
    COLUMNS,
    edge_to_vertex_forward,
    vertex_network_forward,
)
from cormorant_np.so3_vector import block
from cormorant_np.spherical_harmonics import complex_sh
from cormorant_np.training import parallel

threadpool_limits(limits=1, user_api="blas")  # both as in training, where every core has a process of its own
parallel.keep_freed_memory()
rng = np.random.default_rng(0)


def random_complex(*shape):
    z = rng.standard_normal(shape, dtype=np.float32) + 1j * rng.standard_normal(shape, dtype=np.float32)
    return z.astype(np.complex64)


gains = {}


def compare(step, before, after, rounds=30):
    """Print the shortest time of two functions in milliseconds, called in turns, and remember the ratio."""
    before(), after()  # tables are made at the first call
    times = []
    for _ in range(rounds):
        for function in (before, after):
            began = time.perf_counter()
            function()
            times.append(1000 * (time.perf_counter() - began))
    slow, fast = min(times[0::2]), min(times[1::2])
    gains[step] = slow / fast
    print_table([[step, slow, fast, f"{slow / fast:.2f}"]], ["", "before / ms", "after / ms", "gain"])


# %% [markdown]
# ## How much is it in all?
#
# Energies and gradients of the paper's network for two molecules, by both, in 64-bit floats:

# %% tags=["machine"]
config, ethanol = Config.md17(), data.load("sample")
params = model.init_params(config, rng, np.float64)
batch = data.make_batch(ethanol.charges[:2], ethanol.positions[:2], config, np.float64)


def by_plain():
    results = []
    for z, r in zip(*batch, strict=True):
        energy, cache = plain.forward(params, z, r, config)
        results.append((energy, plain.backward(1.0, cache)[1]))
    return [np.array(x) for x in zip(*results, strict=True)]


def by_model():
    energy, cache = model.forward(params, batch, config)
    return energy, model.backward(np.ones(2), cache)[1]


for slow, fast in zip(by_plain(), by_model(), strict=True):
    np.testing.assert_allclose(fast, slow, atol=1e-11 * abs(slow).max())
compare("everything", by_plain, by_model, rounds=1)
del gains["everything"]  # of the steps alone, below

# %% [markdown]
# From here on all numbers are 32-bit floats, as in training, and the sizes are those of six ethanols in the paper's
# network: $C = 16$ channels, $L = 3$ and so 16 components, $B = 6$ molecules of $N = 9$ atoms.

# %%
C, B, N, ROWS = 16, 6, 9, 16
chunk = data.make_batch(ethanol.charges[:B], ethanol.positions[:B], config)
single = {name: p.astype(np.complex64 if p.dtype.kind == "c" else np.float32) for name, p in params.items()}
weights = arrange_forward(single, config)
functions, _ = pair_functions_forward(weights, chunk.charges, chunk.positions, config)
pairs = functions.geometry.pairs
features = random_complex(ROWS, C, B, N)  # F: (ℓ, m), channels, molecules, atoms
edges = random_complex(4, C, B, len(pairs.first))  # g: ℓ, channels, molecules, pairs

# %% [markdown]
# ## Many molecules in one array
#
# NumPy needs about a microsecond to start an operation, however small. So activations are one array for all $\ell$,
# all channels and all molecules of a chunk, `((L+1)², C, B, N)`; row $\ell^2 + \ell + m$ holds component $(\ell, m)$.
# What depends on distances alone, the radial functions and masks of *all* layers, is made at once before the first
# layer (`pair_functions_forward`), and so are all matrices of weights (below, under *arranging*). Smaller molecules
# are padded with atoms of charge 0, whose activations are kept at zero.
#
# ## Pairs once
#
# Distances, $\eta$, $\mu$, the dot products and hence all edges are symmetric, $g_{ij} = g_{ji}$. The fast network
# keeps and mixes each pair $j < i$ once. Of a pair of an atom with itself nothing is left behind the mask, so that one
# entry stands for all of them: of ethanol's 81 ordered pairs, 37 remain. `gather` takes them out, `spread` gives both
# orders what they share. (Dot products are *computed* for both orders, since that is one matrix product for all atoms
# of a molecule, and 37 of 81 are kept.)
#
# The sum over $c'$ in (S2) is done in two pieces. $g^s$ is different for every $\ell$; but $d$ and $\eta$ are the same
# for all, so the weights' columns for $d \oplus \eta$, of all four $\ell$, are put below each other and multiplied
# once.

# %%
assert (spread(gather(spread(edges, pairs), pairs), pairs) == spread(edges, pairs)).all()

matrices = weights["layers.1.edge_g"], weights["layers.1.edge_d_eta"]
new_edges, _ = edge_network_forward(edges, features, functions.radial[1], functions.masks[1], *matrices, pairs)
F = [features[block(l), :, 0] for l in range(4)]  # the same for the first molecule, by `plain`
eta, mu = spread(functions.radial[1], pairs)[:, 0], spread(functions.masks[1], pairs)[:, 0]
by_pairs, _ = plain.edge_network_forward(
    plain.under("layers.1.edge.weight.", single), spread(edges, pairs)[:, :, 0], F, eta, mu
)
np.testing.assert_allclose(spread(new_edges, pairs)[:, :, 0], by_pairs, atol=1e-4 * abs(new_edges).max())

# %% tags=["machine"]
matrix = weights["layers.1.edge_d_eta"]  # (4 · 16, 4 · 16 + 16)
all_pairs, kept = random_complex(80, B * 81), random_complex(80, B * 37)
compare("pairs once", lambda: matrix @ all_pairs, lambda: matrix @ kept)

# %% [markdown]
# ## Real form
#
# In the vertex network, from the products to the end of the layer, a complex number $x + iy$ is kept as the pair
# $(x, y)$: arrays have an axis of length 2, made by `split` and removed by `join`. (In $G$ it is the last one, as
# complex numbers lie in memory anyway.) A factor $u + iv$ acts on it as a real matrix,
#
# $$(x + iy)(u + iv) \;\leftrightarrow\;
# \begin{pmatrix} x & y \end{pmatrix} \begin{pmatrix} u & v \\ -v & u \end{pmatrix}.$$
#
# A product of complex matrices becomes one of real matrices with twice as many rows and columns. It costs the same
# multiplications, but libraries may be better at small real matrices than at small complex ones. And the transpose of
# the real matrix is the *conjugate* transpose of the complex one: a product with it needs no conjugated copy.

# %%
a, b, c = random_complex(4, 5), random_complex(5, 3), random_complex(4, 3)
real_b = real_matrix(b, 0).reshape(10, 6)
np.testing.assert_allclose(join((split(a, 2).reshape(4, 10) @ real_b).reshape(4, 2, 3), 1), a @ b, atol=1e-5)
product = split(c, 1).reshape(4, 6) @ real_b.T
np.testing.assert_allclose(join(product.reshape(4, 5, 2), 2), c @ b.conj().T, atol=1e-5)

# %% [markdown]
# Here are the products of the aggregation (below) in both forms, forward and backward. This gain depends on the
# processor and its library. Where this page was built, with AVX-512, it is large; with AVX2 it was next to nothing.

# %% tags=["machine"]
F_c, G_c = random_complex(C, B, ROWS, N), random_complex(C, B, ROWS * N, N)  # (q, j) and (p i, j)
F_r = real_matrix(F_c.swapaxes(2, 3), 2).reshape(C, B, 2 * N, 2 * ROWS).swapaxes(2, 3)  # as below
G_r = G_c.view(np.float32)
sums_c = F_c @ G_c.swapaxes(2, 3)
sums_r = F_r @ G_r.swapaxes(2, 3)
np.testing.assert_allclose(join(sums_r.reshape(C, B, 2, ROWS, -1), 2), sums_c, atol=1e-4)


def complex_products():
    return F_c @ G_c.swapaxes(2, 3), sums_c.swapaxes(2, 3) @ F_c.conj(), sums_c @ G_c.conj()


def real_products():
    return F_r @ G_r.swapaxes(2, 3), sums_r.swapaxes(2, 3) @ F_r, sums_r @ G_r


compare("real form", complex_products, real_products)

# %% [markdown]
# ## Both orders of a pair
#
# $G_{ij} = g_{ij}\, Y(\hat{\mathbf r}_{ij})$ is wanted for every ordered pair. Harmonics are kept once for a pair, too:
# for $j > i$ they are those of $j < i$ times $(-1)^\ell$, since $\hat{\mathbf r}_{ji} = -\hat{\mathbf r}_{ij}$.
# `ordered_harmonics_forward` makes both orders, once for all layers. As a complex array lies in memory, real and
# imaginary parts in turns, $G$ is in real form already.

# %%
g = spread(edges.transpose(1, 2, 0, 3), pairs)  # channels, molecules, ℓ, i, j
G = edge_to_vertex_forward(g, functions.harmonics)  # channels, molecules, (ℓ, m), i, j

r = ethanol.positions[0]
Y = complex_sh(r[:, None] - r[None], 3)
different = ~np.eye(N, dtype=bool)  # of an atom with itself g is random here; in the network it is zero
for l in range(4):
    of_l, expected = G[:, 0, block(l)].swapaxes(0, 1), g[:, 0, l] * Y[block(l), None]  # (2ℓ+1, C, N_i, N_j)
    np.testing.assert_allclose(of_l[..., different], expected[..., different], atol=1e-4)

# %% [markdown]
# ## The sum first, the coefficients after
#
# The aggregate has a sum over neighbours and a sum over components, and sums may be exchanged:
#
# $$\sum_j \sum_{m_1 m_2} \langle \ell_1 m_1\, \ell_2 m_2 | \ell m \rangle\, G_{\ell_1 m_1, ij}\, F_{\ell_2 m_2, j} =
# \sum_{m_1 m_2} \langle \ell_1 m_1\, \ell_2 m_2 | \ell m \rangle
# \underbrace{\sum_j G_{p, ij}\, F_{q, j}}_{A_{qp, i}}.$$
#
# Read literally, the equation couples every pair and sums over neighbours after. The fast network makes the sums
# $A_{qp}$ for all components $p$ and $q$ first, as matrix products, and couples them for every *atom*. For an atom with
# eight neighbours that is eight times less coupling. (NumPy's `einsum`, with `optimize=True`, finds the better order in
# `plain.py`, too.) Here are both orders for one molecule, with the same sparse matrix of coefficients, which a section
# below explains:

# %% tags=["machine"]
plain_G = [G[:, 0, block(l)].swapaxes(0, 1) for l in range(4)]
order = ("aggregate", "square", "identity")
matrix = coefficient_matrix(3, 3, 3, order).tocsr()[:, : ROWS * ROWS].astype(np.float32)  # (results, q p)
G_p, F_q = np.concatenate(plain_G), np.concatenate(F)  # (p, C, N_i, N_j) and (q, C, N_j)


def couple_then_sum():
    products = F_q[:, None, :, None] * G_p  # q, p, C, i, j
    return (matrix @ products.reshape(ROWS * ROWS, -1)).reshape(-1, C, N, N).sum(axis=3)


def sum_then_couple():
    sums = np.matmul(G_p, F_q[:, None, ..., None])  # q, p, C, i, 1
    return (matrix @ sums.reshape(ROWS * ROWS, -1)).reshape(-1, C, N)


coupled = sum_then_couple()
np.testing.assert_allclose(couple_then_sum(), coupled, atol=1e-5 * abs(coupled).max())
by_plain = [np.array(plain.cg_product_forward(plain_G, F, l, plain.AGGREGATE)) for l in range(4)]  # path, m, C, N
by_plain = np.concatenate([x.swapaxes(0, 1).reshape(-1, C, N) for x in by_plain])  # as the rows, (ℓ, m, path)
of_aggregate = np.diff(matrix.indptr) > 0  # the other rows are those of square and identity
np.testing.assert_allclose(coupled[of_aggregate], by_plain, atol=1e-5 * abs(coupled).max())
compare("sum first, couple after", couple_then_sum, sum_then_couple)

# %% [markdown]
# ## One product for each channel and molecule
#
# $A_{qp,i} = \sum_j F_{q,j}\, G_{p,ij}$ is a product of matrices $(q, j)$ and $(j, i)$ for every $p$. But $F$ does not
# know $p$. With all $G_p$ of a channel and a molecule side by side it is *one* product, $(q, j)$ with $(j, p\,i)$: 96
# products of $32 \times 18$ with $18 \times 144$ real numbers here in place of 1536 with $18 \times 9$.

# %% tags=["machine"]
transposed = real_matrix(features.transpose(1, 2, 3, 0), 2).reshape(C, B, 2 * N, 2 * ROWS)  # Fᵀ in real form
senders = np.ascontiguousarray(transposed.swapaxes(2, 3))
receivers = G.view(np.float32).swapaxes(3, 4)  # C, B, p, (j, Re and Im), i
side_by_side = G.view(np.float32).reshape(C, B, ROWS * N, 2 * N).swapaxes(2, 3)  # C, B, (j, Re and Im), (p, i)
sums = senders @ side_by_side  # C, B, (Re and Im, q), (p, i)
for_each_p = (senders[:, :, None] @ receivers).transpose(0, 1, 3, 2, 4).reshape(sums.shape)
np.testing.assert_allclose(sums, for_each_p, atol=1e-4)
compare("one product", lambda: senders[:, :, None] @ receivers, lambda: senders @ side_by_side)

# %% [markdown]
# There are several ways to hand BLAS the same product, since it takes a matrix or its transpose. `side_by_side` is the
# transpose of an array. If the other factor is one too, that of $F^T$ in real form, the product is faster:

# %% tags=["machine"]
compare("both factors transposed", lambda: senders @ side_by_side, lambda: transposed.swapaxes(2, 3) @ side_by_side)

# %% [markdown]
# ## Rows moved as items
#
# The sums come out as `(C, B, 2, q, p, i)`, and the coupling wants components first, `(q, p, 2, C, B, i)`. This is a
# copy of the whole array, in rows of $N = 9$ numbers that stay together. NumPy copies number by number. If one tells
# it that a row is *one item* of 36 bytes, it moves rows (`backend.copy_rows`). Without this the larger products of the
# last section would not have paid.

# %% tags=["machine"]
components_first = np.empty((ROWS, ROWS, 2, C, B, N), np.float32)
view = sums.reshape(C, B, 2, ROWS, ROWS, N).transpose(3, 4, 2, 0, 1, 5)


def number_by_number():
    components_first[...] = view


compare("rows as items", number_by_number, lambda: copy_rows(components_first, view))
np.testing.assert_array_equal(components_first, view)

# %% [markdown]
# ## All products of a layer as one sparse matrix
#
# The coefficients do not depend on the atom, the molecule or the channel. So all products of one layer are one
# matrix, `coefficient_matrix(...)`. For $L = 3$ it takes the 256 products $\sum_j G_p F_q$, the 16 components of $F$
# and the 256 products $F_p F_q$ to all results, every path and component of (S5). It is almost empty:

# %%
matrix = coefficient_matrix(3, 3, 3, order).tocoo()
filled = matrix.nnz / np.prod(matrix.shape)
print(f"{matrix.shape[0]} x {matrix.shape[1]}, {matrix.nnz} nonzeros: {100 * filled:.1f} %")

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(8.5, 5.2))
style = {"cmap": "RdBu", "vmin": -1, "vmax": 1, "edgecolor": "#888888", "lw": 0.2}
points = ax.scatter(matrix.col, matrix.row, c=matrix.data, s=7, **style)
ax.invert_yaxis()
for edge, name in [(128, "Σ G ⊗ F"), (264, "F"), (400, "F ⊗ F")]:
    ax.text(edge, -6, name, ha="center")
for edge in (256, 272):
    ax.axvline(edge - 0.5, color="grey", linewidth=0.7)
ax.set(xlabel="product of two components", ylabel="result, ordered (ℓ, m, path)")
figure.colorbar(points, label="coefficient")
plt.show()

# %% [markdown]
# The stroke in the middle is the identity, the skip connection of (S5). Here against a dense matrix, as the network has
# it (the fold is explained next):

# %% tags=["machine"]
couple = coupling(3, 3, 3, order, "float32", "cpu")
x = rng.standard_normal((couple.matrix.shape[1], 2 * C * B * N), dtype=np.float32)  # Re and Im, which M treats alike
dense = couple.matrix.toarray()
np.testing.assert_allclose(couple.matrix @ x, dense @ x, atol=1e-4)
compare("sparse coupling", lambda: dense @ x, lambda: couple.matrix @ x)

# %% [markdown]
# ## The fold
#
# In the square both factors are the same. Then the paths $(\ell_1, \ell_2)$ and $(\ell_2, \ell_1)$ give the same up to
# a sign,
#
# $$\langle \ell_1 m_1\, \ell_2 m_2 | \ell m \rangle =
# (-1)^{\ell_1 + \ell_2 - \ell} \langle \ell_2 m_2\, \ell_1 m_1 | \ell m \rangle,$$
#
# and $(\ell_1, \ell_1)$ vanishes for odd $\ell$. The network's weights are counted for *all* paths, as in the paper.
# The fast network only avoids computing the same thing twice: it keeps one of two equal paths, adds up their weights
# with the right sign (`different_paths`), and has 136 products $F_p F_q$ with $p \le q$ in place of 256.

# %%
np.testing.assert_allclose(table(1, 2, 2), -table(2, 1, 2).swapaxes(0, 1), atol=1e-15)  # (-1)^(1 + 2 - 2)
rows = []
for l in range(4):
    published = published_paths(l, 3, 3, order)
    kept, _ = different_paths(published, l)
    of_square = [[path[1:] for path in some if path[0] == "square"] for some in (published, kept)]
    rows.append([l, *map(len, of_square), " ".join(f"{l1}{l2}" for l1, l2 in of_square[1])])
print_table(rows, ["ℓ", "paths of F ⊗ F", "different", "namely"])

# %% [markdown]
# What it gains in the mixing, which is one matrix product for each $\ell$ over all paths:

# %% tags=["machine"]


def mixing(num_paths):
    """The products of W_ℓ in real form, (2 C, K_ℓ 2 C), with Z_ℓ, (2ℓ+1, K_ℓ 2 C, B N), for all ℓ."""
    size = [2 * C * k for k in num_paths]
    w = [rng.standard_normal((2 * C, n), dtype=np.float32) for n in size]
    z = [rng.standard_normal((2 * l + 1, n, B * N), dtype=np.float32) for l, n in enumerate(size)]
    return lambda: [w_l @ z_l for w_l, z_l in zip(w, z, strict=True)]


all_paths = [len(published_paths(l, 3, 3, order)) for l in range(4)]
compare("fold", mixing(all_paths), mixing(couple.num_paths))

# %% [markdown]
# ## Arranging the weights
#
# Folding, real form and the stacking of the edge weights do not depend on the molecules. `arrange_forward` does them
# before the first layer, `arrange_backward` leads gradients back to the published names. Arranging is one linear map
# $A$ from the parameters to the matrices that are multiplied with. So gradients come back by its transpose, and the
# test of a transpose is $\langle A p, d \rangle = \langle p, A^T d \rangle$ for any $p$ and $d$:

# %%
arranged = arrange_forward(params, config)
d_arranged = {name: random_like(a, rng) for name, a in arranged.items()}
d_params = arrange_backward(d_arranged, config)
left = sum(inner(arranged[name], d) for name, d in d_arranged.items())
right = sum(inner(p, d_params[name]) for name, p in params.items())
np.testing.assert_allclose(left, right)

# %% [markdown]
# And the whole vertex network with all of this, against `plain.py` for the first molecule:

# %%
couple = layer_coupling(config, 1, features)
matrices = weights["layers.1.vertex"]
new_features, _ = vertex_network_forward(edges, functions.harmonics, features, matrices, couple, pairs)
by_l, _ = plain.vertex_network_forward(plain.under("layers.1.vertex.weight.", single), plain_G, F, config.vertex_order)
np.testing.assert_allclose(new_features[:, :, 0], np.concatenate(by_l), atol=1e-4 * abs(new_features).max())

# %% [markdown]
# ## A few channels at a time
#
# Before the mixing no channel knows of another. So the products and paths need not be made for all channels at once:
# `vertex_network_forward` takes as many channels as make 640 columns $(c, b, i)$, and adds up what each few give to the
# mixing. Their arrays stay in the cache, and more molecules can be in a chunk. Here is the whole network forward and
# backward for 13 molecules, with all 16 channels at once and with five or six at a time:

# %% tags=["machine"]
thirteen, usual = data.make_batch(ethanol.charges[:13], ethanol.positions[:13], config), COLUMNS["cpu"]


def with_columns(number):
    def there_and_back():
        COLUMNS["cpu"] = number
        energy, cache = model.forward(single, thirteen, config, weights)
        model.backward(np.ones_like(energy), cache, by_positions=False, arranged=True)

    return there_and_back


compare("a few channels", with_columns(10**6), with_columns(usual))
COLUMNS["cpu"] = usual

# %% [markdown]
# ## Chunks
#
# A batch is cut into chunks whose gradients are added. What one chunk leaves for its backward pass is freed before the
# next one begins, so that the memory is that of one chunk. But every chunk pays for Python's calls anew. One process,
# forward and backward of the paper's network for 25 ethanols:

# %% tags=["hide-input"]
batch = data.make_batch(ethanol.charges[:25], ethanol.positions[:25], config)


def in_chunks(size):
    for start in range(0, 25, size):
        part = data.take(batch, slice(start, min(start + size, 25)))
        energy, cache = model.forward(single, part, config)
        model.backward(np.ones_like(energy), cache, by_positions=False)


chunk_sizes, best = [1, 2, 5, 13, 25], []
with parallel.workers(1):  # one BLAS thread, and memory is kept
    for size in chunk_sizes:
        seconds = []
        for _ in range(2):
            began = time.perf_counter()
            in_chunks(size)
            seconds.append(time.perf_counter() - began)
        best.append(1000 * min(seconds))
figure, ax = plt.subplots(figsize=(6, 3.2))
ax.plot(chunk_sizes, best, "o-")
ax.set(xlabel="molecules in a chunk", ylabel="ms for 25 ethanols", ylim=(0, None), xticks=chunk_sizes)
plt.show()

# %% [markdown]
# The smallest chunks are the slowest. In one process larger chunks may still be somewhat faster. A batch is cut all the
# same, for memory, and so that all processes get a share.
#
# ## Processes
#
# Two threads of one Python process would wait for each other at every one of some thousand short operations. So each
# core has a process of its own (`parallel.workers`), which gets a share of the batch and cuts it into chunks. Energies
# of 25 ethanols, by one process and by two. On busy cores there is less to gain, or nothing:

# %% tags=["machine"]
many = data.make_batch(ethanol.charges[:25], ethanol.positions[:25], config)
with parallel.workers(1) as one, parallel.workers(2) as two:
    energies = [parallel.predict(single, many, config, pool) for pool in (one, two)]
    np.testing.assert_allclose(*energies, rtol=1e-4)
    compare(
        "two processes",
        lambda: parallel.predict(single, many, config, one),
        lambda: parallel.predict(single, many, config, two),
        rounds=3,
    )

# %% [markdown]
# ## All gains
#
# Each is that of its own part of the work, not of a whole step, so that they do not multiply. What the steps have
# gained in a whole training step, and what was tried and gained nothing, is on the page about
# [performance](../docs/performance.md).

# %% tags=["hide-input"]
figure, ax = plt.subplots(figsize=(5.4, 3.6))
ax.barh(list(gains), list(gains.values()))
ax.bar_label(ax.containers[0], fmt="%.1f", padding=3)
ax.axvline(1, color="black", linewidth=0.8)
ax.invert_yaxis()
ax.set(xscale="log", xlim=(0.5, 2 * max(gains.values())), xlabel="times as fast")
plt.show()

# %% [markdown]
# ## Exercises
#
# **1.** *Predict.* What is the largest number of entries in one row of the sparse matrix in the picture?
#
# <details><summary>Solution</summary>
#
# A row $(\ell, m, \text{path})$ has an entry for every $m_1 + m_2 = m$, at most $2 \min(\ell_1, \ell_2) + 1$, that is
# 7:
#
# ```python
# print(np.bincount(matrix.row).max())
# ```
#
# </details>
#
# **2.** *Derive.* Read literally, with how many coefficients does the aggregate multiply for every pair of atoms and
# every channel? How many products $G_p F_q$ does the fast network make instead? And how many entries have the tables of
# all paths in `plain.py`, zeros included, and are they applied once for a pair or once for an atom?
#
# <details><summary>Solution</summary>
#
# All nonzero coefficients of the aggregate's 34 paths with $L = 3$, 449, and 256 products. These are large regular
# matrix products, and the 449 coefficients are applied once for an atom. `plain.py` sums first, too, and so applies its
# tables once for an atom. But they are dense, 3436 entries over the 34 paths, and each path is a small `einsum` of its
# own:
#
# ```python
# print(np.count_nonzero(matrix.col < 256))
# from cormorant_np.clebsch_gordan import paths
# every_path = [(l1, l2, l) for l in range(4) for l1, l2 in paths(l, 3, 3)]
# print(len(every_path), sum(table(*path).size for path in every_path))
# print(np.einsum_path("pqm,pcij,qcj->mci", table(2, 2, 2), plain_G[2], F[2], optimize=True)[1])
# ```
#
# </details>
#
# **3.** *Derive.* By which map do gradients come back through the sparse matrix, and through `spread`?
#
# <details><summary>Solution</summary>
#
# $Z = M X$ with real $M$ gives $dX = M^T dZ$. `spread` writes a number to two places, so its gradient is the sum of
# two. (An atom and itself have one place, and a mask that is zero.)
#
# </details>
#
# **4.** *Code.* Measure the first comparison for one molecule and for 100. Where does the fast network's advantage come
# from?
#
# <details><summary>Solution</summary>
#
# Change `[:2]` and `np.ones(2)`. For one molecule most of the time is that of Python's calls.
#
# </details>

# %% [markdown]
# **In the code:** [vertex_network.py](../cormorant_np/network/vertex_network.py),
# [coupling.py](../cormorant_np/network/coupling.py), [pairs.py](../cormorant_np/network/pairs.py),
# [real_form.py](../cormorant_np/network/real_form.py), [arrangement.py](../cormorant_np/network/arrangement.py),
# [parallel.py](../cormorant_np/training/parallel.py), [model.py](../cormorant_np/model.py)
#
# **In the documentation:** [aggregation](../docs/derivations/aggregation.md),
# [coupling](../docs/derivations/coupling.md), [performance](../docs/performance.md)
