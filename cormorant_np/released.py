"""Parameters of the authors' released PyTorch code, to and from ours.

The released code stores a complex weight as real numbers whose last axis is (real, imaginary), and interleaves real and
imaginary rows in the linear input. The scalars that enter its output are ordered by kind (ξ_0, then ξ_1 and ξ_2 of
ℓ = 0, of ℓ = 1, ...), layer and channel, with the pair (Re ξ_0, Im ξ_0) or (ξ_1, ξ_2) fastest. Everything else differs
only in name and shape.
"""

import json
from pathlib import Path

import numpy as np

from cormorant_np.config import PRESETS
from cormorant_np.errors import UserError
from cormorant_np.network.parameters import layout


def from_state_dict(state, hyperparameters):
    """Our network with the released parameters; not in the supplement.

    Parameters
    ----------
    state : dict of arrays under the names of the released code, as in `model.state_dict()`
    hyperparameters : dict, or JSON object
        maxl and max_sh (a list with one number for each layer), num_channels, species, charge_scale, basis_set (the
        largest index n of a frequency, and the largest power k), kind ("md17" or "qm9").

    Returns
    -------
    config : Config
    params : dict as in `model.init_params`, in the precision of `state`

    Raises
    ------
    UserError
        If a hyperparameter is missing or makes no sense, or a name or a shape in `state` does not fit. Hyperparameters
        of other names, such as those of the training, are not looked at.
    """
    config = released_config(hyperparameters, state)
    kinds = layout(config).items()
    zeros = {name: np.zeros(shape, complex if is_complex else float) for name, (shape, is_complex) in kinds}
    expected = to_state_dict(zeros, config)
    _check(state, expected)
    order = scalar_order(config)
    params = {name: _from_released(name, state[released], order) for name, released in names(config).items()}
    return config, {name: np.array(p) for name, p in params.items()}


def to_state_dict(params, config):
    """The released code's names and shapes, for parameters and for gradients; the inverse of `from_state_dict`.

    Parameters
    ----------
    params : dict as in `model.init_params`, or the gradients of `model.backward`
    config : Config

    Returns
    -------
    dict of real arrays
    """
    order = scalar_order(config)
    state = {released: _to_released(name, params[name], order) for name, released in names(config).items()}
    return {name: np.array(array) for name, array in state.items()}


def load_state(path):
    """Read a state from an .npz file, or from a checkpoint of the released code (.pt, needs PyTorch).

    A checkpoint is a pickle, which could run any code. It is read with PyTorch's `weights_only=True`, which refuses
    everything but tensors and plain containers; of other classes, only `argparse.Namespace` is let through.

    Parameters
    ----------
    path : of an .npz file with an array for each name, or for `param.` and each name, or of a PyTorch checkpoint

    Returns
    -------
    dict of arrays

    Raises
    ------
    UserError
        If there is no such file, it cannot be read, or PyTorch is needed and not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no file {path}: check its name.")
    try:
        return _load_npz(path) if path.suffix == ".npz" else _load_checkpoint(path)
    except ImportError:
        raise UserError(f"Reading {path} needs PyTorch, which is not installed: pip install torch.") from None
    except UserError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f"{path} cannot be read as a state of the released code ({type(error).__name__}).") from error


def _load_npz(path):
    with np.load(path, allow_pickle=False) as archive:
        prefix = "param." if any(name.startswith("param.") for name in archive.files) else ""
        return {name.removeprefix(prefix): archive[name] for name in archive.files if name.startswith(prefix)}


def _load_checkpoint(path):
    from argparse import Namespace

    import torch

    with torch.serialization.safe_globals([Namespace]):
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in checkpoint.get("model_state", checkpoint).items()}


def released_config(hyperparameters, state):
    """`Config` with the released code's conventions, see `from_state_dict`.

    Whatever maxl says, the released code drops every ℓ that no Clebsch-Gordan product of a layer reaches, and `state`
    has no weights for it.
    """
    if isinstance(hyperparameters, str | np.ndarray):
        try:
            hyperparameters = json.loads(str(hyperparameters))
        except ValueError as error:
            raise UserError(f"The hyperparameters are no JSON object ({error}).") from None
    if not isinstance(hyperparameters, dict):
        raise UserError(f"The hyperparameters must be a dict or a JSON object, not {str(hyperparameters)[:40]}.")
    if hyperparameters.get("charge_power", 2) != 2 or hyperparameters.get("cutoff", "learn soft") != "learn soft":
        raise UserError("Only networks of the released code with charge_power 2 and cutoff 'learn soft' can be read.")
    kind = hyperparameters.get("kind", "md17")
    if kind not in PRESETS:
        raise UserError(f"The kind of the released network must be one of {list(PRESETS)}, not {kind!r}.")
    try:
        return PRESETS[kind](
            species=hyperparameters["species"],
            charge_scale=hyperparameters["charge_scale"],
            num_channels=hyperparameters["num_channels"],
            l_max=[_present_l_max(state, s, maxl) for s, maxl in enumerate(hyperparameters["maxl"])],
            l_max_sh=hyperparameters["max_sh"],
            num_frequencies=hyperparameters["basis_set"][0] + 1,
            max_power=hyperparameters["basis_set"][1],
            convention="released",
        )
    except KeyError as error:
        raise UserError(f"The hyperparameters lack {error}.") from None
    except (TypeError, IndexError) as error:
        raise UserError(f"Of the hyperparameters, one that must be a list is none, or too short ({error}).") from None


def _present_l_max(state, s, maxl):
    present = [l for l in range(maxl + 1) if f"cormorant_cg.atom_levels.{s}.cat_mix.mix_reps.weights.{l}" in state]
    return max(present, default=maxl)


def names(config):
    """The released name of each of our parameters."""
    table = _input_names(config)
    for s in range(config.num_layers):
        layer, edge, atom = f"layers.{s}", f"cormorant_cg.edge_levels.{s}", f"cormorant_cg.atom_levels.{s}"
        table |= {
            f"{layer}.radial.kappa": f"rad_funcs.rad_funcs.{s}.scales",
            f"{layer}.radial.phi": f"rad_funcs.rad_funcs.{s}.phases",
            f"{layer}.edge.cutoff": f"{edge}.mask_layer.soft_cut_rad",
            f"{layer}.edge.width": f"{edge}.mask_layer.soft_cut_width",
        }
        for l in range(config.l_max_sh[s] + 1):
            table[f"{layer}.edge.weight.{l}"] = f"{edge}.cat_mix.mix_reps.weights.{l}"
        for l in range(config.l_max[s] + 1):
            table[f"{layer}.vertex.weight.{l}"] = f"{atom}.cat_mix.mix_reps.weights.{l}"
    return table | _output_names(config)


def _input_names(config):
    if not config.message_passing_input:
        return _linear_names("input", "input_func_atom.lin")
    filters = "input_func_atom.rad_filts.0"
    return {
        "input.radial.kappa": f"{filters}.scales",
        "input.radial.phi": f"{filters}.phases",
        **_linear_names("input.filter", f"{filters}.linear.0"),
        **_mlp_names("input.mlp", "input_func_atom.mlps.0"),
    }


def _output_names(config):
    if not config.mlp_output:
        return _linear_names("output", "output_layer_atom.lin")
    return _mlp_names("output.mlp1", "output_layer_atom.mlp1") | _mlp_names("output.mlp2", "output_layer_atom.mlp2")


def _linear_names(ours, released):
    return {f"{ours}.{kind}": f"{released}.{kind}" for kind in ("weight", "bias")}


def _mlp_names(ours, released):
    return {f"{ours}.{kind}.{k}": f"{released}.linear.{k}.{kind}" for kind in ("weight", "bias") for k in (0, 1)}


def scalar_order(config):
    """For each of the released code's scalars, the index of ours (section 1.5)."""
    c = config.num_channels
    sizes = [config.num_scalars(s) for s in range(config.num_layers)]
    ours = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    by_kind = [layer.reshape(-1, 2, c) for layer in ours]
    kinds = range(2 + max(config.l_max))
    return np.concatenate([layer[kind].T.ravel() for kind in kinds for layer in by_kind if kind < len(layer)])


def _from_released(name, array, order):
    if name == "output.weight":
        return array[0, np.argsort(order)]
    if name == "output.mlp1.weight.0":
        return array[:, np.argsort(order)]
    if name in ("input.weight", "input.bias"):
        return array[0::2] + 1j * array[1::2]
    if name.startswith("layers.") and ".weight." in name:
        return array[..., 0] + 1j * array[..., 1]
    if ".radial." in name:
        return array.reshape(2, -1)
    if name.endswith((".cutoff", ".width")):
        return array.reshape(-1)
    return array


def _to_released(name, array, order):
    if name == "output.weight":
        return array[None, order]
    if name == "output.mlp1.weight.0":
        return array[:, order]
    if name in ("input.weight", "input.bias"):
        return np.stack([array.real, array.imag], axis=1).reshape(-1, *array.shape[1:])
    if name.startswith("layers.") and ".weight." in name:
        return np.stack([array.real, array.imag], axis=-1)
    if ".radial." in name or name.endswith((".cutoff", ".width")):
        return array.reshape(1, 1, 1, -1)
    return array


def _check(state, expected):
    missing, unknown = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unknown:
        raise UserError(
            f"The state does not fit the hyperparameters: it lacks {missing or 'nothing'}, "
            f"and has the unknown {unknown or 'nothing'}."
        )
    for name, array in expected.items():
        if state[name].shape != array.shape:
            raise UserError(f"{name} has the shape {state[name].shape}, but the hyperparameters need {array.shape}.")
