"""From atomic charges to the first activations (section 1.3)."""

from cormorant_np.backend import get_array_module


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


def input_forward(weight, bias, atom_features, atoms):
    """F^0 = W F̃ + b, the mixing of real atom features into complex scalars (section 1.3.1).

    Parameters
    ----------
    weight : (C, 3 N_species) complex
    bias : (C,) complex
    atom_features : (3 N_species, B, N) real, F̃
    atoms : (B, N) real, 0 for padding

    Returns
    -------
    F^0 : (1, C, B, N) complex
    cache
    """
    flat = atom_features.reshape(len(atom_features), -1)
    mixed = (weight @ flat + bias[:, None]).reshape(-1, *atoms.shape)
    return (mixed * atoms)[None], (atom_features, atoms)


def input_backward(d_features, cache):
    """dW = dF F̃ᵀ and db = Σ dF, over all atoms but the padding."""
    atom_features, atoms = cache
    d_mixed = (d_features[0] * atoms).reshape(d_features.shape[1], -1)
    return d_mixed @ atom_features.reshape(len(atom_features), -1).T, d_mixed.sum(axis=1)
