"""Cormorant on one page: the network of the supplement and its derivative, for one molecule, with nothing optimised.

The order is that of the supplement, whose sections and equations are in brackets. Every ordered pair of atoms, every
path of the Clebsch-Gordan product and every published parameter is here, in complex numbers, as lists over ℓ of

    F_ℓ (2ℓ+1, C, N)      g_ℓ (C, N_i, N_j)      Y_ℓ (2ℓ+1, N_i, N_j)      G_ℓ (2ℓ+1, C, N_i, N_j).

`model` and `network` compute the same fast, and tests hold the two together. In every backward function, L is a real
number and dz = ∂L/∂Re z + i ∂L/∂Im z, so that a small change of z changes L by Re Σ conj(dz) δz. Hence a product
y = a b gives da = conj(b) dy; what is read several times collects a sum; what is real keeps the real part.
"""

from functools import partial
from itertools import zip_longest

import numpy as np
from scipy.spatial.distance import pdist
from scipy.special import expit

from cormorant_np.clebsch_gordan import paths, table
from cormorant_np.config import CUTOFF, MIN_DISTANCE, MIN_WIDTH, WIDTH
from cormorant_np.errors import UserError
from cormorant_np.so3_vector import block
from cormorant_np.spherical_harmonics import complex_sh, complex_sh_backward, solid_sh, solid_sh_backward

einsum = partial(np.einsum, optimize=True)


# 1.2 Overall structure


def forward(params, charges, positions, config):
    """CORMORANT = OUTPUT(CGNet(INPUT({Z_i, r_i}))) (S1): the energy of N atoms, from (N,) and (N, 3) in Å."""
    charges, positions = np.asarray(charges), np.asarray(positions, float)
    check_molecule(charges, positions, config)
    distances, harmonics, geometry_cache = geometry_forward(positions, config)
    F, input_cache = input_forward(params, charges, distances, config)
    g, all_F, scalars, layer_caches = [], [], [], []
    for s in range(config.num_layers):
        g, F, layer_cache = layer_forward(under(f"layers.{s}.", params), g, F, distances, harmonics, config)
        x, invariants_cache = invariants_forward(F, config)
        all_F, scalars = [*all_F, F], [*scalars, x]
        layer_caches.append((layer_cache, invariants_cache))
    energy, output_cache = output_forward(params, np.concatenate(scalars), config)
    return energy, (all_F, geometry_cache, input_cache, layer_caches, output_cache)


def backward(d_energy, cache):
    """The gradients by the parameters, a dict with their names, and by the positions, (N, 3).

    F^s is read by its invariants and by the next layer, g^s by the next layer, distances and harmonics by all layers.
    """
    _, geometry_cache, input_cache, layer_caches, output_cache = cache
    grads, d_scalars = output_backward(d_energy, output_cache)
    d_g, d_F, d_distances, d_harmonics = [], [], 0, []
    for s, (layer_cache, invariants_cache) in reversed(list(enumerate(layer_caches))):
        d_scalars, d_x = np.split(d_scalars, [-invariants_cache[1].num_scalars(s)])
        d_F = plus(d_F, invariants_backward(d_x, invariants_cache))
        d_g, d_F, d_r, d_Y, d_layer = layer_backward(d_g, d_F, layer_cache)
        grads |= above(f"layers.{s}.", d_layer)
        d_distances, d_harmonics = d_distances + d_r, plus(d_harmonics, d_Y)
    d_input, d_r = input_backward(d_F, input_cache)
    return grads | d_input, geometry_backward(d_distances + d_r, d_harmonics, geometry_cache)


def check_molecule(charges, positions, config):
    """Refuse what the equations would take without a word: padding, other elements, and two atoms at one place."""
    if charges.ndim != 1 or positions.shape != (len(charges), 3):
        raise UserError(f"Charges (N,) and positions (N, 3) are needed, not {charges.shape} and {positions.shape}.")
    if not set(charges.tolist()) <= set(config.species):
        raise UserError(f"The charges must be of {config.species}, without padding, but they are {charges.tolist()}.")
    if not (np.isfinite(positions).all() and (pdist(positions) > MIN_DISTANCE).all()):
        raise UserError(f"Two atoms are closer than {MIN_DISTANCE:g} Å, or a position is not finite: correct that.")


def features(params, charges, positions, config):
    """The activations F^1 .. F^S, for every layer a list over ℓ of (2ℓ+1, C, N)."""
    return forward(params, charges, positions, config)[1][0]


def under(prefix, params):
    return {name.removeprefix(prefix): p for name, p in params.items() if name.startswith(prefix)}


def above(prefix, grads):
    return {prefix + name: d for name, d in grads.items()}


def plus(a, b):
    """The sum of two lists over ℓ; the shorter one lacks the highest ℓ."""
    return [x + y for x, y in zip_longest(a, b, fillvalue=0)]


# 1.1 Distances and harmonics of every ordered pair (1.4.3 for the normalisation)


def geometry_forward(positions, config):
    """r_ij = r_i - r_j, its length, (N_i, N_j), and Y^ℓ(r̂_ij), or r^ℓ Y^ℓ(r̂_ij) with `solid_harmonics`."""
    vectors = positions[:, None] - positions[None]
    harmonics = (solid_sh if config.solid_harmonics else complex_sh)(vectors, max(config.l_max_sh))
    by_l = [harmonics[block(l)] for l in range(max(config.l_max_sh) + 1)]
    distances = np.linalg.norm(vectors, axis=-1)
    return distances, by_l, (vectors, by_l, distances, config)


def geometry_backward(d_distances, d_harmonics, cache):
    """δ|v| = v̂·δv, and the derivative of the harmonics; v = r_i - r_j hands its gradient to i, and minus it to j."""
    vectors, by_l, distances, config = cache
    harmonics, d_harmonics = np.concatenate(by_l), np.concatenate(d_harmonics)
    if config.solid_harmonics:
        d_vectors = solid_sh_backward(d_harmonics, harmonics)
    else:
        d_vectors = complex_sh_backward(d_harmonics, vectors)
    d_vectors += vectors * (d_distances / np.where(distances > 0, distances, 1))[..., None]
    return d_vectors.sum(axis=1) - d_vectors.sum(axis=0)


# 1.3 Input featurization


def input_forward(params, charges, distances, config):
    """F^0 = W F̃ + b, F̃_i = onehot_i ⊗ (1, Z̃_i, Z̃_i²) (1.3.1); for QM9, MLP(Σ_j μ_ij F̃_j ⊕ F̃_i) (1.3.2), Re and Im."""
    scaled = charges / config.charge_scale
    onehot = np.array([charges == z for z in config.species], float)
    atoms = einsum("zi,ki->zki", onehot, np.array([scaled**0, scaled, scaled**2])).reshape(-1, len(charges))
    if not config.message_passing_input:
        return [(params["input.weight"] @ atoms + params["input.bias"][:, None])[None]], (atoms, distances, config)
    weights, weights_cache = message_weights_forward(under("input.", params), distances, config)
    messages = (weights * atoms[:, None]).sum(axis=2)
    y, mlp_cache = mlp_forward(under("input.mlp.", params), np.concatenate([messages, atoms]), config)
    return [(y[0::2] + 1j * y[1::2])[None]], (atoms, distances, config, weights_cache, mlp_cache)


def input_backward(d_F, cache):
    """dW = dF^0 F̃ᵀ, db = Σ_i dF^0_i; for QM9, back through the MLP to m_i = Σ_j μ_ij F̃_j, of which dμ_ij = F̃_j dm_i."""
    atoms, distances, config, *caches = cache
    d = d_F[0][0]
    if not config.message_passing_input:
        return {"input.weight": d @ atoms.T, "input.bias": d.sum(axis=1)}, 0 * distances
    weights_cache, mlp_cache = caches
    grads, d_x = mlp_backward(np.stack([d.real, d.imag], axis=1).reshape(-1, d.shape[1]), mlp_cache)
    d_weights = einsum("fi,fj->fij", d_x[: len(atoms)], atoms)
    d_filter, d_distances = message_weights_backward(d_weights, weights_cache)
    return above("input.mlp.", grads) | above("input.", d_filter), d_distances


def message_weights_forward(params, distances, config):
    """μ_ij = σ((r_cut - r_ij) / w) (1.3.2); in the released code, for every feature a mixing of the radial functions,
    (W ρ + b) σ((1.73 - r_ij) / 0.2), with ρ the parts of η in turns, which ends at r_ij = 1.73 Å."""
    if not config.filtered_messages:
        mask, cache = mask_forward(params["cutoff"], params["width"], distances, config)
        return mask, (cache, config)
    eta, eta_cache = radial_forward(params["radial.kappa"], params["radial.phi"], distances, config)
    rho = np.stack([eta.real, eta.imag], axis=1).reshape(-1, *distances.shape)
    mixed = einsum("fx,xij->fij", params["filter.weight"], rho) + params["filter.bias"][:, None, None]
    mask, mask_cache = mask_forward(np.array([CUTOFF]), np.array([WIDTH]), distances, config)
    mask = mask * (distances < CUTOFF)
    return mixed * mask, (mask_cache, config, eta_cache, rho, mixed, mask, params["filter.weight"])


def message_weights_backward(d_weights, cache):
    """The mask alone; or, of a product of a mixing and a mask, each of the two by the other one."""
    mask_cache, config, *caches = cache
    if not config.filtered_messages:
        d_cutoff, d_width, d_distances = mask_backward(d_weights.sum(axis=0, keepdims=True), mask_cache)
        return {"cutoff": d_cutoff, "width": d_width}, d_distances
    eta_cache, rho, mixed, mask, weight = caches
    d_mixed, d_mask = d_weights * mask, (d_weights * mixed).sum(axis=0, keepdims=True) * (mask > 0)
    d_rho = einsum("fx,fij->xij", weight, d_mixed)
    d_kappa, d_phi, d_distances = radial_backward(d_rho[0::2] + 1j * d_rho[1::2], eta_cache)
    grads = {"filter.weight": einsum("fij,xij->fx", d_mixed, rho), "filter.bias": d_mixed.sum(axis=(1, 2))}
    return grads | {"radial.kappa": d_kappa, "radial.phi": d_phi}, d_distances + mask_backward(d_mask, mask_cache)[2]


# 1.4 Covariant SO(3)-vector layers


def layer_forward(params, g, F, distances, harmonics, config):
    """CGLayer(g^s, F^s, r) → g^(s+1), F^(s+1) (1.4.1): EdgeNetwork, Edge2Vertex, VertexNetwork."""
    eta, eta_cache = radial_forward(params["radial.kappa"], params["radial.phi"], distances, config)
    mask, mask_cache = mask_forward(params["edge.cutoff"], params["edge.width"], distances, config)
    g, edge_cache = edge_network_forward(under("edge.weight.", params), g, F, eta, mask)
    G, vector_cache = edge_to_vertex_forward(g, harmonics)
    F, vertex_cache = vertex_network_forward(under("vertex.weight.", params), G, F, config.vertex_order)
    return g, F, (eta_cache, mask_cache, edge_cache, vector_cache, vertex_cache)


def layer_backward(d_new_g, d_new_F, cache):
    """Gradients by g^s, F^s, the distances, the harmonics and this layer's parameters.

    g^(s+1) is read by this layer's Edge2Vertex and by the next layer; F^s by VertexNetwork and by EdgeNetwork.
    """
    eta_cache, mask_cache, edge_cache, vector_cache, vertex_cache = cache
    d_G, d_F, d_vertex = vertex_network_backward(d_new_F, vertex_cache)
    d_g, d_harmonics = edge_to_vertex_backward(d_G, vector_cache)
    d_g, d_dotted, d_eta, d_mask, d_edge = edge_network_backward(plus(d_g, d_new_g), edge_cache)
    d_kappa, d_phi, d_r = radial_backward(d_eta, eta_cache)
    d_cutoff, d_width, d_r_mask = mask_backward(d_mask, mask_cache)
    grads = {"radial.kappa": d_kappa, "radial.phi": d_phi, "edge.cutoff": d_cutoff, "edge.width": d_width}
    grads |= {f"edge.weight.{l}": d for l, d in enumerate(d_edge)}
    grads |= {f"vertex.weight.{l}": d for l, d in enumerate(d_vertex)}
    return d_g, plus(d_F, d_dotted), d_r + d_r_mask, d_harmonics, grads


# 1.4.2 Edge networks


def edge_network_forward(weights, g, F, eta, mask):
    """g_ℓ^(s+1) = μ ⊙ W_ℓ (g_ℓ^s ⊕ d ⊕ η) (S2); g^s and d only for those ℓ that g^s and F^s have."""
    dots = [dot_forward(f) for f in F]
    x = [np.concatenate([*g[l : l + 1], *(dots if l < len(F) else []), eta]) for l in range(len(weights))]
    mixed = [einsum("cx,xij->cij", weights[str(l)], x[l]) for l in range(len(x))]
    return [mask * e for e in mixed], (weights, g, F, mask, x, mixed)


def edge_network_backward(d_new_g, cache):
    """With g = μ e and e = W x: dμ = Σ_ℓ Re(conj(e) dg), de = μ dg, dW = de x†, dx = W† de, cut into its parts."""
    weights, g, F, mask, x, mixed = cache
    d_mask = sum((e.conj() * d).real for e, d in zip(mixed, d_new_g, strict=True))
    d_weights, d_g, d_dots, d_eta = [], [], [], 0
    for l, d in enumerate(mask * d for d in d_new_g):
        d_weights.append(einsum("cij,xij->cx", d, x[l].conj()))
        d_x = einsum("cx,cij->xij", weights[str(l)].conj(), d)
        num_parts = (l < len(g)) + (len(F) if l < len(F) else 0)
        *parts, d_last = np.split(d_x, np.arange(1, num_parts + 1) * len(mask))
        d_g += parts[: l < len(g)]
        d_dots = plus(d_dots, parts[l < len(g) :])
        d_eta = d_eta + d_last
    return d_g, [dot_backward(d, f) for d, f in zip(d_dots, F, strict=True)], d_eta, d_mask, d_weights


def dot_forward(f):
    """d_ij = F_i · F_j = Σ_m (-1)^m F_m,i F_-m,j for one ℓ (third item and footnote 1 under S2)."""
    return einsum("m,mci,mcj->cij", signs(f), f, f[::-1])


def dot_backward(d_dots, f):
    """F_i · F_j = F_j · F_i, so that dF_m,i = Σ_j (-1)^m conj(F_-m,j) (dd_ij + dd_ji)."""
    return einsum("m,mcj,cij->mci", signs(f), f[::-1].conj(), d_dots + d_dots.swapaxes(1, 2))


def signs(f):
    """(-1)^m for m = -ℓ .. ℓ."""
    return (-1.0) ** np.arange(-(len(f) // 2), len(f) // 2 + 1)


def radial_forward(kappa, phi, distances, config):
    """η_(k,n) = r^-k (sin(2π κ_n r + φ_n) + i sin(2π κ̄_n r + φ̄_n)), n fastest, zero for j = i (fourth item under S2).

    κ and κ̄ are the rows of `kappa`. With `paired_radial_functions`, the real functions of all rows are listed with k
    fastest, and two neighbours in the list are real and imaginary part.
    """
    distinct = distances > 0
    phase = 2 * np.pi * kappa[:, :, None, None, None] * distances + phi[:, :, None, None, None]
    k = np.arange(config.max_power + 1)[:, None, None]
    powers = distinct / np.where(distinct, distances, 1) ** k
    functions = powers * np.sin(phase)  # (2, n, k, N_i, N_j)
    if config.paired_radial_functions:
        re, im = functions.reshape(-1, 2, *distances.shape).swapaxes(0, 1)
    else:
        re, im = functions.swapaxes(1, 2).reshape(2, -1, *distances.shape)
    return re + 1j * im, (kappa, phase, k, powers, distances, config)


def radial_backward(d_eta, cache):
    """With x = 2π κ r + φ and f = r^-k sin x: dx = Σ_k r^-k cos(x) df, dκ = Σ 2π r dx, dφ = Σ dx, and
    dr = Σ 2π κ dx - Σ k r^(-k-1) sin(x) df."""
    kappa, phase, k, powers, distances, config = cache
    n, pairs = kappa.shape[1], distances.shape
    if config.paired_radial_functions:
        d_functions = np.stack([d_eta.real, d_eta.imag], axis=1).reshape(2, n, len(k), *pairs)
    else:
        d_functions = np.array([d_eta.real, d_eta.imag]).reshape(2, len(k), n, *pairs).swapaxes(1, 2)
    d_phase = (powers * np.cos(phase) * d_functions).sum(axis=2)  # (2, n, N_i, N_j)
    slope = k * powers / np.where(distances > 0, distances, 1)
    d_distances = einsum("an,anij->ij", 2 * np.pi * kappa, d_phase)
    d_distances -= (slope * np.sin(phase) * d_functions).sum(axis=(0, 1, 2))
    return 2 * np.pi * (distances * d_phase).sum(axis=(2, 3)), d_phase.sum(axis=(2, 3)), d_distances


def mask_forward(cutoff, width, distances, config):
    """μ_c,ij = σ(-(r_ij - r_c) / w_c) for j ∈ N(i) (last item under S2).

    |r_c| and max(|w_c|, 0.001) stand for r_c and w_c if `clamp_cutoffs`.
    """
    r_c, w = (abs(cutoff), np.maximum(abs(width), MIN_WIDTH)) if config.clamp_cutoffs else (cutoff, width)
    x = (r_c[:, None, None] - distances) / w[:, None, None]
    neighbours = (distances > 0) | config.self_pairs
    return expit(x) * neighbours, (cutoff, width, w, x, neighbours, config)


def mask_backward(d_mask, cache):
    """With x = (r_c - r) / w and dx = σ (1 - σ) dμ: dr_c = Σ dx / w, dw = -Σ x dx / w, dr = -Σ_c dx / w."""
    cutoff, width, w, x, neighbours, config = cache
    d = expit(x) * expit(-x) * neighbours * d_mask / w[:, None, None]
    d_cutoff, d_width = d.sum(axis=(1, 2)), -(x * d).sum(axis=(1, 2))
    if config.clamp_cutoffs:
        d_cutoff, d_width = d_cutoff * np.sign(cutoff), d_width * np.sign(width) * (abs(width) > MIN_WIDTH)
    return d_cutoff, d_width, -d.sum(axis=0)


# 1.4.3 From edge scalar representations to SO(3)-vectors


def edge_to_vertex_forward(g, harmonics):
    """G_ℓc,ij = g_ℓc,ij Y^ℓ(r̂_ij) (S3), where g is the new g^(s+1)."""
    return [einsum("cij,mij->mcij", g_l, y) for g_l, y in zip(g, harmonics, strict=False)], (g, harmonics)


def edge_to_vertex_backward(d_G, cache):
    """dg_c = Σ_m conj(Y_m) dG_mc and dY_m = Σ_c conj(g_c) dG_mc."""
    g, harmonics = cache
    d_g = [einsum("mij,mcij->cij", y.conj(), d) for y, d in zip(harmonics, d_G, strict=False)]
    return d_g, [einsum("cij,mcij->mij", g_l.conj(), d) for g_l, d in zip(g, d_G, strict=True)]


# 1.4.4 Vertex networks

AGGREGATE, SQUARE = ("ij", "j"), ("i", "i")  # the atoms of A and B in Σ_j G_ij ⊗cg F_j and in F_i ⊗cg F_i


def cg_product_forward(A, B, l, atoms):
    """(A ⊗cg B)_ℓm = Σ_{m1 m2} ⟨ℓ1 m1 ℓ2 m2 | ℓ m⟩ A_ℓ1m1 B_ℓ2m2: for every path (ℓ1, ℓ2) into ℓ, a (2ℓ+1, C, N_i)."""
    a, b = atoms
    return [
        einsum(f"pqm,pc{a},qc{b}->mci", table(l1, l2, l), A[l1], B[l2]) for l1, l2 in paths(l, len(A) - 1, len(B) - 1)
    ]


def cg_product_backward(d_product, A, B, l, atoms):
    """Bilinear: dA_ℓ1m1 = Σ_{m2 m} ⟨ℓ1 m1 ℓ2 m2 | ℓ m⟩ conj(B_ℓ2m2) d(A ⊗ B)_ℓm, and dB likewise, over all paths."""
    a, b = atoms
    d_A, d_B = [np.zeros_like(x) for x in A], [np.zeros_like(x) for x in B]
    for d, (l1, l2) in zip(d_product, paths(l, len(A) - 1, len(B) - 1), strict=True):
        d_A[l1] += einsum(f"pqm,mci,qc{b}->pc{a}", table(l1, l2, l), d, B[l2].conj())
        d_B[l2] += einsum(f"pqm,mci,pc{a}->qc{b}", table(l1, l2, l), d, A[l1].conj())
    return d_A, d_B


def vertex_network_forward(weights, G, F, order):
    """F_ℓ,i^(s+1) = W_ℓ ( Σ_j G_ij ⊗cg F_j  ⊕  F_i ⊗cg F_i  ⊕  F_i )_ℓ (S4, S5), concatenated in this `order`."""
    new_F, concatenated = [], []
    for l in range(len(weights)):
        parts = {
            "aggregate": cg_product_forward(G, F, l, AGGREGATE),
            "square": cg_product_forward(F, F, l, SQUARE),
            "identity": F[l : l + 1],
        }
        concatenated.append(np.concatenate([x for name in order for x in parts[name]], axis=1))
        new_F.append(einsum("cx,mxi->mci", weights[str(l)], concatenated[l]))
    return new_F, (weights, G, F, order, concatenated)


def vertex_network_backward(d_new_F, cache):
    """With F = W x: dW = Σ_m dF_m x_m†, dx = W† dF, cut into its paths; F^s has a part in all three kinds."""
    weights, G, F, order, concatenated = cache
    d_G, d_F, d_weights = [], [], []
    for l, (d, x) in enumerate(zip(d_new_F, concatenated, strict=True)):
        d_weights.append(einsum("mci,mxi->cx", d, x.conj()))
        d_x = iter(np.split(einsum("cx,mci->mxi", weights[str(l)].conj(), d), x.shape[1] // F[0].shape[1], axis=1))
        for name in order:
            if name == "identity":
                d_F = plus(d_F, [0] * l + [next(d_x)] if l < len(F) else [])
                continue
            A, atoms = (G, AGGREGATE) if name == "aggregate" else (F, SQUARE)
            d_paths = [next(d_x) for _ in paths(l, len(A) - 1, len(F) - 1)]
            d_A, d_B = cg_product_backward(d_paths, A, F, l, atoms)
            d_F = plus(d_F, d_B)
            if name == "aggregate":
                d_G = plus(d_G, d_A)
            else:
                d_F = plus(d_F, d_A)
    return d_G, d_F, d_weights


# 1.5 Output featurization


def invariants_forward(F, config):
    """ξ_0 = F_0, and for every ℓ ξ_1 = Re ξ̃ + Im ξ̃, ξ̃ = Σ_m (-1)^m F_m F_-m, and ξ_2 = Σ_m |F_m|²: x, (n, N).

    The imaginary part is left out unless `imaginary_scalar_product`.
    """
    x = [F[0][0].real, F[0][0].imag]
    for f in F:
        product = einsum("m,mci,mci->ci", signs(f), f, f[::-1])
        x += [product.real + config.imaginary_scalar_product * product.imag, (abs(f) ** 2).sum(axis=0)]
    return np.concatenate(x), (F, config)


def invariants_backward(d_x, cache):
    """ξ_1 = Re((1 - i) ξ̃) gives dξ̃ = (1 + i) dξ_1; F stands in ξ̃ twice: dF_m = 2 (-1)^m conj(F_-m) dξ̃ + 2 F_m dξ_2."""
    F, config = cache
    d_re, d_im, *d_xi = np.split(d_x, 2 * (len(F) + 1))
    direction = 1 + 1j * config.imaginary_scalar_product
    d_F = [
        einsum("m,mci,ci->mci", 2 * signs(f), f[::-1].conj(), direction * d_1) + 2 * f * d_2
        for f, d_1, d_2 in zip(F, d_xi[0::2], d_xi[1::2], strict=True)
    ]
    return plus(d_F, [(d_re + 1j * d_im)[None]])


def output_forward(params, x, config):
    """y = A Σ_i x_i + b (1.5.1); for QM9, y = MLP_2(Σ_i MLP_1(x_i)) (1.5.2)."""
    if not config.mlp_output:
        return params["output.weight"] @ x.sum(axis=1) + params["output.bias"][0], (params["output.weight"], x, config)
    per_atom, cache_1 = mlp_forward(under("output.mlp1.", params), x, config)
    y, cache_2 = mlp_forward(under("output.mlp2.", params), per_atom.sum(axis=1, keepdims=True), config)
    return y[0, 0], (cache_1, cache_2, config)


def output_backward(d_y, cache):
    """dA = dy Σ_i x_i, db = dy, and dx_i = A dy for every atom i; a sum hands its gradient to every term."""
    *caches, config = cache
    if not config.mlp_output:
        weight, x = caches
        grads = {"output.weight": d_y * x.sum(axis=1), "output.bias": np.array([d_y])}
        return grads, np.broadcast_to(d_y * weight[:, None], x.shape)
    cache_1, cache_2 = caches
    grads_2, d_sum = mlp_backward(np.array([[d_y]]), cache_2)
    grads_1, d_x = mlp_backward(np.broadcast_to(d_sum, (len(d_sum), cache_1[1].shape[1])), cache_1)
    return above("output.mlp1.", grads_1) | above("output.mlp2.", grads_2), d_x


def mlp_forward(params, x, config):
    """W_1 relu(W_0 x + b_0) + b_1 for columns x; the (leaky) relu has the slope `negative_slope` below zero."""
    hidden = params["weight.0"] @ x + params["bias.0"][:, None]
    slope = np.where(hidden > 0, 1, config.negative_slope)
    return params["weight.1"] @ (slope * hidden) + params["bias.1"][:, None], (params, x, hidden, slope)


def mlp_backward(d_y, cache):
    """Of y = W h + b: dW = dy hᵀ, db = Σ dy, dh = Wᵀ dy; twice, with the slope of the relu between."""
    params, x, hidden, slope = cache
    d_hidden = slope * (params["weight.1"].T @ d_y)
    grads = {"weight.0": d_hidden @ x.T, "bias.0": d_hidden.sum(axis=1)}
    grads |= {"weight.1": d_y @ (slope * hidden).T, "bias.1": d_y.sum(axis=1)}
    return grads, params["weight.0"].T @ d_hidden
