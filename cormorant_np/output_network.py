"""From activations to invariant scalars and the energy (section 1.5)."""

from cormorant_np.backend import get_array_module
from cormorant_np.clebsch_gordan import block
from cormorant_np.edge_network import dual


def invariants_forward(features, config):
    """The scalars of one layer's activations (section 1.5):

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
    xp = get_array_module(features)
    scalars = [features[0].real, features[0].imag]
    for l in range(round(len(features) ** 0.5)):
        f = features[block(l)]
        product = (f * dual(f)).sum(axis=0)
        scalars.append(product.real + product.imag if config.imaginary_scalar_product else product.real)
        scalars.append((f.real * f.real + f.imag * f.imag).sum(axis=0))
    return xp.concatenate(scalars), (features, config)


def invariants_backward(d_scalars, cache):
    """Gradient by F.

    Re ξ̃ + Im ξ̃ = Re((1 - i) ξ̃), so that dξ̃ = (1 + i) dξ_1. Both factors of ξ̃ give the same: dF = 2 conj(F̃) dξ̃ with
    the dual F̃. From |F|², dF = 2 F dξ_2.
    """
    features, config = cache
    xp = get_array_module(features)
    d_scalars = d_scalars.reshape(-1, *features.shape[1:])
    direction = 1 + 1j if config.imaginary_scalar_product else 1
    d_features = xp.empty_like(features)
    for l in range(round(len(features) ** 0.5)):
        f = features[block(l)]
        d_features[block(l)] = 2 * direction * dual(f).conj() * d_scalars[2 + 2 * l] + 2 * f * d_scalars[3 + 2 * l]
    d_features[0] += d_scalars[0] + 1j * d_scalars[1]
    return d_features


def output_forward(weight, bias, scalars):
    """y = A Σ_i x_i + b, the energy of every molecule (section 1.5.1).

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
