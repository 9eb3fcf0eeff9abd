"""From atomic charges to the first activations (section 1.3)."""

from cormorant_np.backend import get_array_module
from cormorant_np.config import CUTOFF, WIDTH
from cormorant_np.network.mlp import linear_backward, linear_forward, mlp_backward, mlp_forward
from cormorant_np.network.pairs import spread, spread_backward
from cormorant_np.network.radial import mask_backward, mask_forward, radial_backward, radial_forward
from cormorant_np.network.real_form import join, split


def input_network_forward(params, charges, geometry, config):
    """INPUT of (S1): F^0, by a linear mixing (MD17, section 1.3.1) or by message passing (QM9, section 1.3.2).

    `plain.input_forward`, for batches. For MD17, F^0 = W F̃ + b for the atoms, and zero for padding.

    Parameters
    ----------
    params : dict of all parameters
    charges : (B, N) integers, 0 is padding
    geometry : Geometry

    Returns
    -------
    F^0 : (1, C, B, N) complex
    cache
    """
    atom_features = featurize(charges, config, geometry.atoms.dtype)
    if config.message_passing_input:
        features, cache = message_passing_forward(params, atom_features, geometry, config)
    else:
        mixed, cache = linear_forward(params["input.weight"], params["input.bias"], atom_features)  # (C, B, N)
        features = (mixed * geometry.atoms)[None]
    return features, (cache, geometry, config)


def input_network_backward(d_features, cache):
    """The gradients by the parameters, a dict, and by the distances, (B, P), from (1, C, B, N) complex.

    The linear input does not see distances.
    """
    cache, geometry, config = cache
    if config.message_passing_input:
        return message_passing_backward(d_features, cache)
    d_weight, d_bias, _ = linear_backward(d_features[0] * geometry.atoms, cache)
    return {"input.weight": d_weight, "input.bias": d_bias}, get_array_module(d_weight).zeros_like(geometry.distances)


def featurize(charges, config, dtype):
    """onehot_i ⊗ (1, Z̃_i, Z̃_i²) with Z̃ = Z / Z_max (section 1.3.1); padding gets zeros.

    Parameters
    ----------
    charges : (B, N) integers, 0 is padding
    config : Config, for `species` and `charge_scale`

    Returns
    -------
    (3 N_species, B, N) real; the power of Z̃ runs fastest
    """
    xp = get_array_module(charges)
    scaled = charges.astype(dtype) / config.charge_scale
    powers = xp.stack([xp.ones_like(scaled), scaled, scaled * scaled])
    onehot = xp.stack([charges == z for z in config.species]).astype(dtype)
    return (onehot[:, None] * powers[None]).reshape(-1, *charges.shape)


def message_passing_forward(params, atom_features, geometry, config):
    """F^0 = MLP( Σ_j μ_ij F̃_j ⊕ F̃_i ) (section 1.3.2), real numbers in pairs of real and imaginary part.

    The weight μ_ij is a soft mask with one learnable cutoff and width; with `filtered_messages`, every feature has its
    own weight, see `filter_forward`.

    Parameters
    ----------
    atom_features : (3 N_species, B, N) real, F̃

    Returns
    -------
    F^0 : (1, C, B, N) complex
    cache
    """
    xp = get_array_module(atom_features)
    if config.filtered_messages:
        weights, weights_cache = filter_forward(params, geometry, config)
    else:
        cutoff, width = params["input.cutoff"][None], params["input.width"][None]
        masks, weights_cache = mask_forward(cutoff, width, geometry, config)
        weights = masks[0]
    messages = (spread(weights, geometry.pairs) * atom_features[:, :, :, None]).sum(axis=2)  # (3 N_species, B, N_i)
    hidden = xp.concatenate([messages, atom_features])
    y, mlp_cache = mlp_forward(params, "input.mlp", hidden, config.negative_slope)
    re_im = (y * geometry.atoms).reshape(-1, 2, *geometry.atoms.shape)  # (C, 2, B, N)
    return join(re_im, 1)[None], (atom_features, weights_cache, mlp_cache, geometry, config)


def message_passing_backward(d_features, cache):
    """The gradients by the parameters, a dict, and by the distances, (B, P), from (1, C, B, N) complex.

    Of real and imaginary part; then the MLP; then dμ_ij = Σ dm_i F̃_j for the message m_i = Σ_j μ_ij F̃_j.
    """
    atom_features, weights_cache, mlp_cache, geometry, config = cache
    d_y = split(d_features[0], 1).reshape(-1, *geometry.atoms.shape)  # (2C, B, N)
    grads, d_hidden = mlp_backward(d_y * geometry.atoms, mlp_cache)
    d_messages = d_hidden[: len(atom_features)]
    d_weights = spread_backward(d_messages[:, :, None, :] * atom_features[:, :, :, None], geometry.pairs)
    if config.filtered_messages:
        d_filter, d_distances = filter_backward(d_weights, weights_cache)
        return grads | d_filter, d_distances
    d_cutoff, d_width, d_distances = mask_backward(d_weights.sum(axis=0)[None, None], weights_cache)
    return grads | {"input.cutoff": d_cutoff[0], "input.width": d_width[0]}, d_distances


def filter_forward(params, geometry, config):
    """The released code's weights of messages, one for every feature (not in the supplement):

        f_ij = ( W ρ(r_ij) + b ) σ( -(r_ij - 1.73) / 0.2 )  for r_ij < 1.73 Å, else 0,

    with ρ the real and imaginary parts of the radial functions, and learnable κ, φ, W and b.

    Returns
    -------
    f : (3 N_species, B, P) real
    cache
    """
    xp = get_array_module(geometry.distances)
    kappa, phi = params["input.radial.kappa"][None], params["input.radial.phi"][None]
    radial, radial_cache = radial_forward(kappa, phi, geometry, config)
    functions = split(radial[0], 1).reshape(-1, *geometry.distances.shape)
    mixed, linear_cache = linear_forward(params["input.filter.weight"], params["input.filter.bias"], functions)
    cutoff, width = (xp.full((1, 1), value, dtype=mixed.dtype) for value in (CUTOFF, WIDTH))
    soft, soft_cache = mask_forward(cutoff, width, geometry, config)
    soft = soft[0] * (geometry.distances * geometry.distinct < CUTOFF)
    return mixed * soft, (mixed, soft, radial_cache, linear_cache, soft_cache, geometry)


def filter_backward(d_weights, cache):
    """The gradients by the parameters, a dict, and by the distances, (B, P), from (3 N_species, B, P) real.

    A product, a linear mixing, the radial functions and the soft mask, in reverse; the hard cutoff has no slope.
    """
    mixed, soft, radial_cache, linear_cache, soft_cache, geometry = cache
    d_weight, d_bias, d_functions = linear_backward(d_weights * soft, linear_cache)
    pairs = d_functions.reshape(-1, 2, *geometry.distances.shape)
    d_kappa, d_phi, d_distances = radial_backward(join(pairs, 1)[None], radial_cache)
    d_soft = (d_weights * mixed).sum(axis=0) * (geometry.distances * geometry.distinct < CUTOFF)
    _, _, d_soft_distances = mask_backward(d_soft[None, None], soft_cache)
    grads = {
        "input.filter.weight": d_weight,
        "input.filter.bias": d_bias,
        "input.radial.kappa": d_kappa[0],
        "input.radial.phi": d_phi[0],
    }
    return grads, d_distances + d_soft_distances
