"""From activations to invariant scalars and the energy (section 1.5)."""

from cormorant_np.backend import get_array_module
from cormorant_np.network.mlp import mlp_backward, mlp_forward
from cormorant_np.network.real_form import join, split
from cormorant_np.so3_vector import dual, l_of_rows, sum_over_m


def invariants_forward(features, config):
    """The scalars of one layer's activations (section 1.5); `plain.invariants_forward`, for batches:

        ξ_0 = F_0            its real and imaginary part, for ℓ = 0
        ξ_1 = Re ξ̃ + Im ξ̃    with ξ̃ = Σ_m (-1)^m F_ℓm F_ℓ-m, for every ℓ (Re ξ̃ alone unless `imaginary_scalar_product`)
        ξ_2 = Σ_m |F_ℓm|²    for every ℓ

    Parameters
    ----------
    features : ((L+1)², C, B, N) complex

    Returns
    -------
    x : ((2 + 2 (L+1)) C, B, N) real; in the order Re ξ_0, Im ξ_0, then for every ℓ ξ_1, ξ_2; channel fastest
    cache
    """
    duals = dual(features)
    product = sum_over_m(features * duals)  # (L+1, C, B, N)
    scalars = get_array_module(features).empty((2 + 2 * len(product), *product.shape[1:]), dtype=product.real.dtype)
    split(features[0], 0, out=scalars[:2])
    scalars[2::2] = product.real + product.imag if config.imaginary_scalar_product else product.real
    scalars[3::2] = sum_over_m(features * features.conj()).real
    return scalars.reshape(-1, *scalars.shape[2:]), (features, duals, config)


def invariants_backward(d_scalars, cache):
    """Gradient by F, ((L+1)², C, B, N) complex, from ((2 + 2 (L+1)) C, B, N) real.

    Re ξ̃ + Im ξ̃ = Re((1 - i) ξ̃), so that dξ̃ = (1 + i) dξ_1. Both factors of ξ̃ give the same: dF = 2 conj(F̃) dξ̃ with
    the dual F̃. From |F|², dF = 2 F dξ_2.
    """
    features, duals, config = cache
    d_scalars = d_scalars.reshape(-1, *features.shape[1:])  # (2 + 2 (L+1), C, B, N)
    direction = 1 + 1j if config.imaginary_scalar_product else 1
    d_product, d_square = 2 * direction * d_scalars[2::2], (2 + 0j) * d_scalars[3::2]
    l = l_of_rows(features)
    d_features = duals.conj()
    d_features *= d_product[l]
    d_features += features * d_square[l]
    d_features[0] += join(d_scalars[:2], 0)
    return d_features


def output_forward(weight, bias, scalars):
    """y = A Σ_i x_i + b, the energy of every molecule (section 1.5.1); `plain.output_forward`, for batches.

    Parameters
    ----------
    weight : (n,) real, A
    bias : (1,) real, b
    scalars : (n, B, N) real, zero for padding

    Returns
    -------
    y : (B,) real
    cache
    """
    summed = scalars.sum(axis=2)
    return weight @ summed + bias, (weight, summed, scalars)


def output_backward(d_energy, cache):
    """dA = Σ_B dy Σ_i x_i,  db = Σ_B dy,  dx_i = A dy for every atom i."""
    weight, summed, scalars = cache
    xp = get_array_module(scalars)
    d_scalars = xp.empty_like(scalars)
    d_scalars[...] = (weight[:, None] * d_energy)[:, :, None]
    return summed @ d_energy, d_energy.sum(keepdims=True), d_scalars


def output_network_forward(params, scalars, atoms, config):
    """OUTPUT of (S1): a linear layer (MD17, section 1.5.1), or y = MLP_2( Σ_i MLP_1(x_i) ) (QM9, section 1.5.2).

    Parameters
    ----------
    params : dict of all parameters
    scalars : (n, B, N) real, x
    atoms : (B, N) real, 0 for padding

    Returns
    -------
    y : (B,) real
    cache
    """
    if not config.mlp_output:
        y, cache = output_forward(params["output.weight"], params["output.bias"], scalars)
        return y, (cache, config)
    per_atom, cache_1 = mlp_forward(params, "output.mlp1", scalars, config.negative_slope)
    y, cache_2 = mlp_forward(params, "output.mlp2", (per_atom * atoms).sum(axis=2), config.negative_slope)
    return y[0], (cache_1, cache_2, atoms, config)


def output_network_backward(d_y, cache):
    """The gradients by the parameters, a dict, and by x, (n, B, N): a sum hands its gradient to every term."""
    *caches, config = cache
    if not config.mlp_output:
        d_weight, d_bias, d_scalars = output_backward(d_y, *caches)
        return {"output.weight": d_weight, "output.bias": d_bias}, d_scalars
    cache_1, cache_2, atoms = caches
    grads_2, d_summed = mlp_backward(d_y[None], cache_2)
    grads_1, d_scalars = mlp_backward(d_summed[:, :, None] * atoms, cache_1)
    return grads_1 | grads_2, d_scalars
