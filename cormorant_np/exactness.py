"""Is a network exact? Derivatives, covariance and invariance, measured. For `check` and for tests.

The network runs on any device; parameters and molecules are given, and compared, on the host.
"""

from functools import partial
from itertools import combinations

import numpy as np

from cormorant_np.backend import to_device, to_host
from cormorant_np.data.batch import Batch
from cormorant_np.data.batch import to_device as batch_to_device
from cormorant_np.errors import UserError
from cormorant_np.gradient_check import directional_derivative, inner, relative_difference, tilted_direction
from cormorant_np.model import backward, features, forward, num_parameters, relu_sides
from cormorant_np.network.parameters import flatten, layout, unflatten
from cormorant_np.rotation import random_rotation, rotate
from cormorant_np.so3_vector import block, num_l, parity

LIMITS = {"parameter gradients": 1e-6, "position gradients": 1e-6, "covariance": 1e-9, "invariance": 1e-9}
NUM_ROTATIONS = 3
STEPS = (1e-4, 1e-5, 1e-3, 1e-6, 1e-2, 1e-7, 3e-8, 1e-8, 3e-9, 100, 1000)  # the last for what is linear
AGREEMENT = 1e-8
NEARBY, DISTANCE = 10, 1e-3


class AcrossAKink(Exception):
    """A step has gone over the kink of a ReLU, where the energies have no derivative that it could measure."""


def report(params, batch, config, rng, device="cpu"):
    """Every measurement on a network with these parameters, on these molecules.

    Parameters
    ----------
    params : dict, float64
    batch : Batch, float64
    config : Config
    rng : numpy.random.Generator
    device : "cpu" or "gpu", where the network runs

    Returns
    -------
    dict of
        parameters : number by part
        gradients : relative error by part, and of positions
        kinks : number of steps by part, and of positions, that went over the kink of a ReLU and were not counted
        covariance : relative error by layer and ℓ
        invariance : relative change of the energies by operation
        parity : see `parity_errors`
        mean_activations : mean |F| by layer
        largest : for each kind, the largest error and its limit
        passed : whether all are below their limits

    Raises
    ------
    UserError
        If something is not in float64, or the energies are not finite.
    """
    if any(array.real.dtype != np.float64 for array in (*params.values(), batch.positions)):
        raise UserError("Only a network and molecules in float64 can be measured: cast the parameters and positions.")
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(energies(params, batch, config, device)).all()
    if not finite:
        raise UserError("The energies are not finite numbers, so there is nothing to check: is the gain too large?")
    gradients, kinks = gradient_errors(params, batch, config, rng, device)
    covariance = covariance_errors(params, batch, config, rng, device)
    invariance = invariance_errors(params, batch, config, rng, device)
    errors_of_kinds = {
        "parameter gradients": [gradients[name] for name in groups(params)],
        "position gradients": [gradients["positions"]],
        "covariance": [error for errors in covariance for error in errors],
        "invariance": list(invariance.values()),
    }
    largest = {kind: float(np.max(errors)) for kind, errors in errors_of_kinds.items()}  # what is no number stays
    return {
        "parameters": {name: num_parameters(group) for name, group in groups(params).items()},
        "gradients": gradients,
        "kinks": kinks,
        "covariance": covariance,
        "invariance": invariance,
        "parity": parity_errors(params, batch, config, device),
        "mean_activations": activation_means(*_uploaded(params, batch, device), config).tolist(),
        "largest": {kind: [error, LIMITS[kind]] for kind, error in largest.items()},
        "passed": all(error < LIMITS[kind] for kind, error in largest.items()),
    }


def energies(params, batch, config, device):
    """Energies (B,), on the host."""
    return to_host(forward(*_uploaded(params, batch, device), config)[0])


def activations(params, batch, config, device):
    """F^1..F^S, a list of ((L+1)², C, B, N), on the host."""
    return [to_host(f) for f in features(*_uploaded(params, batch, device), config)]


def _uploaded(params, batch, device):
    return {name: to_device(p, device) for name, p in params.items()}, batch_to_device(batch, device)


def groups(params):
    """The parameters grouped by what they are, over all layers and ℓ: `edge.weight` holds every edge weight."""
    by_kind = {}
    for name, p in params.items():
        words = [word for word in name.removeprefix("layers.").split(".") if not word.isdecimal()]
        by_kind.setdefault(".".join(words), {})[name] = p
    return by_kind


def activation_means(params, batch, config):
    """The mean of |F^s| over the atoms, channels, ℓ and m of a batch (section 1.6), for every layer s = 1..S.

    Returns
    -------
    (S,) float64
    """
    num_columns = float((batch.charges > 0).sum()) * config.num_channels
    return np.array([float(abs(f).sum()) / (num_columns * len(f)) for f in features(params, batch, config)])


def gradient_errors(params, batch, config, rng, device="cpu"):
    """Relative error of `backward` against finite differences, for each group of parameters and for positions.

    The derivative is that of a random combination of the energies, in a random direction of all the group's numbers. A
    long step is wrong where the energies curve and a short one loses digits, so the slope is the one on which two of
    several steps agree best, whatever `backward` says. A step that goes over the kink of a ReLU does not count. Where
    too few steps are left, because the network lies at a kink, the group's derivative is that of a network nearby.

    Returns
    -------
    errors : dict by group, and of "positions"; infinite where every step goes over a kink
    kinks : the number of steps that did not count, a dict with the same names
    """
    errors, kinks = errors_here(params, batch, config, rng, device, [*groups(params), "positions"])
    for _ in range(NEARBY):
        left = [name for name, error in errors.items() if kinks[name] and not error < LIMITS["position gradients"]]
        if not left:
            break
        params = {name: p * (1 + DISTANCE * rng.standard_normal(p.shape)) for name, p in params.items()}
        there, more = errors_here(params, batch, config, rng, device, left)
        errors |= {name: min(errors[name], there[name]) for name in left}
        kinks |= {name: kinks[name] + more[name] for name in left}
    return errors, kinks


def errors_here(params, batch, config, rng, device, names):
    """`gradient_errors` for the groups in `names`, of this network alone."""
    energy, cache = forward(*_uploaded(params, batch, device), config)
    weights, sides = rng.standard_normal(energy.shape), relu_sides(cache)
    grads, d_positions = backward(to_device(weights, device), cache)

    def combination(params, batch):
        energy, cache = forward(*_uploaded(params, batch, device), config)
        if any((side != before).any() for side, before in zip(relu_sides(cache), sides, strict=True)):
            raise AcrossAKink
        return float(weights @ to_host(energy))

    def of_positions(positions):
        return combination(params, batch._replace(positions=positions))

    def of_group(vector, kinds):
        return combination(params | unflatten(vector, kinds), batch)

    value, found, kinds, by_name = float(weights @ to_host(energy)), {}, layout(config), groups(params)
    for name in names:
        if name == "positions":
            found[name] = error_along(of_positions, batch.positions, value, to_host(d_positions), rng)
        else:
            gradient = flatten({key: to_host(grads[key]) for key in by_name[name]})
            function = partial(of_group, kinds={key: kinds[key] for key in by_name[name]})
            found[name] = error_along(function, flatten(by_name[name]), value, gradient, rng)
    return {name: error for name, (error, _) in found.items()}, {name: kinks for name, (_, kinks) in found.items()}


def error_along(function, x, value, gradient, rng):
    """Relative error of the gradient at x, where the function has this value; and how many steps go over a kink.

    The slope is known only as well as its two best values agree: of an error above the limit, only what is beyond that
    distance counts.
    """
    direction = tilted_direction(gradient, rng)
    slope, disagreement, kinks = slope_along(function, x, value, direction)
    if np.isinf(slope):
        return np.inf, kinks
    claimed = inner(gradient, direction)
    error = relative_difference(slope, claimed)
    if not error < LIMITS["position gradients"]:
        error = relative_difference(slope, np.clip(slope, claimed - disagreement, claimed + disagreement))
    return float(error), kinks


def slope_along(function, x, value, direction):
    """The slope on which two of `STEPS` agree best, infinite if fewer are left; by how much they disagree; and how many
    steps raise `AcrossAKink`.

    Best is relative to the slope: far away, where long steps lead, a function may be flat. Only where all slopes are as
    small as what separates them, it is the smallest disagreement. Two short steps may agree by chance, by the digits
    that both have lost; these count as disagreement.
    """
    slopes, kinks, lost = [], 0, np.finfo(np.float64).eps * abs(value)
    for step in STEPS:
        try:
            slopes.append((directional_derivative(function, x, direction, step), lost / step))
        except AcrossAKink:
            kinks += 1
        pairs = combinations([pair for pair in slopes if np.isfinite(pair[0])], 2)
        agreements = [(abs(a - b) + max(lost_a, lost_b), (a + b) / 2) for (a, lost_a), (b, lost_b) in pairs]
        disagreement, slope = min(agreements, default=(np.inf, np.inf), key=_distrust)
        if disagreement < AGREEMENT * abs(slope):
            break
    return slope, disagreement, kinks


def _distrust(agreement):
    disagreement, slope = agreement
    if disagreement < 0.1 * abs(slope):
        return 0, disagreement / abs(slope)
    return 1, disagreement


def covariance_errors(params, batch, config, rng, device="cpu"):
    """The largest |F(R r) - D(R) F(r)| of some rotations, for each layer and ℓ, relative to the largest |F_ℓ|."""
    before = activations(params, batch, config, device)
    errors = [np.zeros(l_max + 1) for l_max in config.l_max]
    for _ in range(NUM_ROTATIONS):
        rotation = random_rotation(rng)
        after = activations(params, batch._replace(positions=batch.positions @ rotation.T), config, device)
        for s in range(config.num_layers):
            errors[s] = np.maximum(errors[s], errors_by_l(after[s], rotate(before[s], rotation)))
    return [layer.tolist() for layer in errors]


def errors_by_l(actual, expected):
    """The largest difference of two SO(3)-vectors, relative to the largest component, for each ℓ."""
    blocks = [block(l) for l in range(num_l(actual))]
    return [relative_error(actual[rows], expected[rows]) for rows in blocks]


def relative_error(actual, expected):
    """The largest difference relative to the largest element; 0 where all are zero."""
    scale = np.abs(expected).max()
    return float(np.abs(actual - expected).max() / scale) if scale > 0 else float(np.abs(actual).max())


def invariance_errors(params, batch, config, rng, device="cpu"):
    """Relative change of the energies by what must not change them."""
    energy = energies(params, batch, config, device)
    num_molecules, num_atoms = batch.charges.shape
    atoms = (batch.charges > 0)[..., None]
    order = rng.permutation(num_atoms)
    junk = rng.standard_normal((num_molecules, 2, 3))
    changed = {
        "rotation": batch._replace(positions=batch.positions @ random_rotation(rng).T),
        "translation": batch._replace(positions=batch.positions + atoms * rng.standard_normal(3)),
        "permutation": Batch(batch.charges[:, order], batch.positions[:, order]),
        "padding": Batch(np.pad(batch.charges, [(0, 0), (0, 2)]), np.concatenate([batch.positions, junk], axis=1)),
    }
    errors = {name: relative_error(energies(params, other, config, device), energy) for name, other in changed.items()}
    alone = [energies(params, Batch(*(x[k : k + 1] for x in batch)), config, device) for k in range(num_molecules)]
    return errors | {"batch composition": relative_error(np.concatenate(alone), energy)}


def parity_errors(params, batch, config, device="cpu"):
    """How far the network is from parity, which it is not built to have.

    A mirror image is, up to a rotation, the inversion r → -r, under which Y^ℓ → (-1)^ℓ Y^ℓ. If only products with even
    ℓ1 + ℓ2 - ℓ were kept, F^s_ℓ → (-1)^ℓ F^s_ℓ would follow. The network mixes all products, so that it holds for the
    first layer, which has one product with Y^ℓ only, and not beyond. With two layers or more, the energies of a
    molecule and its mirror image differ, unless a rotation takes one to the other.

    Returns
    -------
    dict of features (by layer, the largest |F(-r) - (-1)^ℓ F(r)| relative to the largest |F_ℓ|) and energy (relative)
    """
    mirrored = batch._replace(positions=-batch.positions)
    before, after = (activations(params, one, config, device) for one in (batch, mirrored))
    pairs = zip(after, before, strict=True)
    by_layer = [max(errors_by_l(a, parity(b)[:, None, None, None] * b)) for a, b in pairs]
    mirrored_energies, own = (energies(params, one, config, device) for one in (mirrored, batch))
    return {"features": by_layer, "energy": relative_error(mirrored_energies, own)}
