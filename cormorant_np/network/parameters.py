"""The published parameters: names, shapes, start (section 1.6), and all of them as one real vector.

A complex parameter is two real ones. `flatten` lays all parameters out as one real vector, on which the optimiser works
and which processes exchange; `unflatten` gives the dict of parameters back, as views of that vector.
"""

import math
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from cormorant_np.backend import get_array_module
from cormorant_np.network.coupling import published_paths


class Kind(NamedTuple):
    """What an array of parameters is: its shape, and whether its numbers are complex."""

    shape: tuple
    is_complex: bool


@cache
def layout(config):
    """The names of the network's parameters and the `Kind` of each, a dict that cannot be changed."""
    kinds = _input_layout(config)
    for s in range(config.num_layers):
        kinds |= {f"layers.{s}.{name}": kind for name, kind in _layer_layout(config, s).items()}
    return MappingProxyType(kinds | _output_layout(config))


def _input_layout(config):
    c, num_features = config.num_channels, 3 * len(config.species)
    if not config.message_passing_input:
        return {"input.weight": Kind((c, num_features), True), "input.bias": Kind((c,), True)}
    if config.filtered_messages:
        kinds = {f"input.{name}": kind for name, kind in _radial_layout(config).items()}
        kinds["input.filter.weight"] = Kind((num_features, 2 * config.num_radial), False)
        kinds["input.filter.bias"] = Kind((num_features,), False)
    else:
        kinds = {"input.cutoff": Kind((1,), False), "input.width": Kind((1,), False)}
    return kinds | _mlp_layout("input.mlp", 2 * num_features, config.num_hidden, 2 * c)


def _layer_layout(config, s):
    c = config.num_channels
    kinds = _radial_layout(config) | {"edge.cutoff": Kind((c,), False), "edge.width": Kind((c,), False)}
    for l in range(config.l_max_sh[s] + 1):
        kinds[f"edge.weight.{l}"] = Kind((c, num_edge_columns(config, s, l)), True)
    for l in range(config.l_max[s] + 1):
        kinds[f"vertex.weight.{l}"] = Kind((c, num_paths(config, s, l) * c), True)
    return kinds


def _output_layout(config):
    num_scalars = sum(config.num_scalars(s) for s in range(config.num_layers))
    if not config.mlp_output:
        return {"output.weight": Kind((num_scalars,), False), "output.bias": Kind((1,), False)}
    hidden, intermediate = config.num_hidden, config.num_intermediate
    first = _mlp_layout("output.mlp1", num_scalars, hidden, intermediate)
    return first | _mlp_layout("output.mlp2", intermediate, hidden, 1)


def _radial_layout(config):
    return dict.fromkeys(("radial.kappa", "radial.phi"), Kind((2, config.num_frequencies), False))


def _mlp_layout(name, num_in, num_hidden, num_out):
    return {
        f"{name}.weight.0": Kind((num_hidden, num_in), False),
        f"{name}.bias.0": Kind((num_hidden,), False),
        f"{name}.weight.1": Kind((num_out, num_hidden), False),
        f"{name}.bias.1": Kind((num_out,), False),
    }


def num_edge_columns(config, s, l):
    """Columns of layer s's edge weight W_ℓ (S2): C for g^s, (L+1) C for d, the radial functions."""
    c, l_in = config.num_channels, config.layer_l_max(s)
    own = c if l < num_edge_l(config, s) else 0
    dots = (l_in + 1) * c if l <= l_in else 0
    return own + dots + config.num_radial


def num_edge_l(config, s):
    """How many ℓ of layer s have edge scalars g^s from the layer before."""
    return min(config.l_max_sh[s - 1], config.l_max_sh[s]) + 1 if s > 0 else 0


def num_paths(config, s, l):
    """K_ℓ: the incoming SO(3)-vectors per channel of layer s's vertex weight W_ℓ (S5)."""
    return len(published_paths(l, config.layer_l_max(s), config.l_max_sh[s], config.vertex_order))


def init_params(config, rng, dtype=np.float32):
    """Random parameters, a flat dict of arrays on the host.

    Weights of Clebsch-Gordan layers start as section 1.6 says, with g = `config.gain`:

        W_ℓ ~ U(-1, 1) g / (τ_in + τ_out),    τ_in and τ_out the numbers of incoming and outgoing channels,

    real and imaginary part alike, in vertex and edge networks. With `released_initialisation`, vertex weights are
    U(-1, 1) g / max(τ_in, τ_out) and edge weights N(0, 1) / max(τ_in, τ_out). The linear input and output and the
    perceptrons start uniformly in ±1/sqrt(columns). The supplement is silent on these, and on the radial functions and
    cutoffs, which start as in the released code unless `config` says otherwise.

    Parameters
    ----------
    config : Config
    rng : numpy.random.Generator
    dtype : of the real numbers, float32 or float64
    """
    kinds = layout(config)
    complex_dtype = np.result_type(dtype, np.complex64)
    return {
        name: _start(name, kinds, config, rng).astype(complex_dtype if kind.is_complex else dtype)
        for name, kind in kinds.items()
    }


def _start(name, kinds, config, rng):
    shape, is_complex = kinds[name]
    if name.endswith("radial.kappa"):
        return np.tile(np.arange(config.num_frequencies, dtype=float), (2, 1))
    if name.endswith("radial.phi"):
        return np.pi / 2 * np.array([np.arange(config.num_frequencies) == 0, np.ones(config.num_frequencies)])
    if name.endswith(("cutoff", "width")):
        return np.full(shape, config.cutoff if name.endswith("cutoff") else config.width)
    if name.startswith("layers."):
        return _start_of_mixing(".edge." in name, shape, config, rng)
    columns = kinds[name.replace("bias", "weight")].shape[-1]
    return _uniform(rng, shape, is_complex) / np.sqrt(columns)


def _start_of_mixing(is_edge, shape, config, rng):
    if not config.released_initialisation:
        return config.gain / sum(shape) * _uniform(rng, shape, True)
    if is_edge:
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / max(shape)
    return config.gain / max(shape) * _uniform(rng, shape, True)


def _uniform(rng, shape, is_complex):
    """Numbers in ±1; of complex ones, real and imaginary part."""
    real = rng.uniform(-1, 1, shape)
    return real + 1j * rng.uniform(-1, 1, shape) if is_complex else real


def num_parameters(params):
    """Number of real parameters: a complex weight counts two."""
    return sum(p.size * (2 if np.issubdtype(p.dtype, np.complexfloating) else 1) for p in params.values())


def size(config):
    """Number of real parameters of a network, the length of the vector that `flatten` makes."""
    return sum(math.prod(shape) * (1 + is_complex) for shape, is_complex in layout(config).values())


def flatten(params):
    """One real vector of all parameters, real and imaginary parts side by side; complex ones first.

    On a GPU a complex number must lie at a multiple of its own size, hence the order.
    """
    xp = get_array_module(next(iter(params.values())))
    arrays = sorted(params.values(), key=lambda p: p.dtype.kind != "c")
    return xp.concatenate([p.reshape(-1).view(p.real.dtype) for p in arrays])


def unflatten(vector, kinds):
    """The dict of parameters whose names and kinds are those of `kinds`, see `layout`, as views of `vector`."""
    params, start = {}, 0
    complex_dtype = np.result_type(vector.dtype, np.complex64)
    for name, (shape, is_complex) in sorted(kinds.items(), key=lambda item: not item[1].is_complex):
        dtype, width = (complex_dtype, 2) if is_complex else (vector.dtype, 1)
        stop = start + width * math.prod(shape)
        params[name] = vector[start:stop].view(dtype).reshape(shape)
        start = stop
    return {name: params[name] for name in kinds}
