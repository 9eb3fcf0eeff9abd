"""Every backward function of the package against finite differences in random directions.

`CHECKS` names each one, and a test goes through all modules and complains about those that are missing.
"""

import dataclasses
import importlib
import inspect
import pkgutil
from unittest.mock import patch

import numpy as np
import plain_checks  # noqa: F401, registers its checks
import pytest
from checks import CHECKS, by_params, check_of, join, qm9_params, split, without_cache
from conftest import FORMALDEHYDE, QM9, WATER, batch_of, random_complex, random_params, small_config

import cormorant_np
from cormorant_np import model, spherical_harmonics
from cormorant_np.gradient_check import backward_errors
from cormorant_np.network import (
    arrangement,
    edge_network,
    geometry,
    input_network,
    mlp,
    output_network,
    pairs,
    radial,
    real_form,
    vertex_network,
)
from cormorant_np.network.coupling import coupling
from cormorant_np.training import loss

TOLERANCE = 1e-7
STEP = 1e-5  # small, so that no kink of a ReLU lies within it
B, N, C = 2, 4, 2
P = N * (N + 1) // 2
PAIRS = pairs.pairs_of(N, True, "cpu")  # all of which count, also those of an atom with itself


def molecules(config):
    """Formaldehyde and water: four atoms, and three with padding."""
    batch = batch_of([FORMALDEHYDE, WATER], config)
    return batch, geometry.geometry_forward(batch.charges, batch.positions, config)[0]


def with_pairs(forward, backward):
    """Functions of one array on pairs, and of `PAIRS`, as the checks want them."""
    return without_cache(lambda x: forward(x, PAIRS), lambda d: backward(d, PAIRS))


@check_of("spherical_harmonics.solid_sh_backward")
def solid_sh(config, rng):
    def forward(vectors):
        return (spherical_harmonics.solid_sh(vectors, 4),) * 2

    return forward, spherical_harmonics.solid_sh_backward, [rng.standard_normal((5, 3))]


@check_of("spherical_harmonics.normalise_backward")
def normalise(config, rng):
    def forward(vectors):
        unit, length = outputs = spherical_harmonics.normalise(vectors)
        return join(outputs), (unit, length)

    def backward(d, cache):
        return spherical_harmonics.normalise_backward(*split(d, cache), *cache)

    return forward, backward, [rng.standard_normal((5, 3))]


@check_of("spherical_harmonics.complex_sh_backward")
def complex_sh(config, rng):
    def forward(vectors):
        return spherical_harmonics.complex_sh(vectors, 4), vectors

    return forward, spherical_harmonics.complex_sh_backward, [rng.standard_normal((5, 3))]


@check_of("network.geometry.geometry_backward")
def geometry_of_positions(config, rng):
    batch, _ = molecules(config)

    def forward(positions):
        result, cache = geometry.geometry_forward(batch.charges, positions, config)
        return join([result.distances, result.harmonics]), (result, cache)

    def backward(d, caches):
        result, cache = caches
        return geometry.geometry_backward(*split(d, [result.distances, result.harmonics]), cache)

    return forward, backward, [batch.positions]


@check_of("network.geometry.ordered_harmonics_backward")
def ordered_harmonics(config, rng):
    functions = with_pairs(geometry.ordered_harmonics_forward, geometry.ordered_harmonics_backward)
    return *functions, [random_complex(rng, 9, B, P)]


@check_of("network.geometry.pair_functions_backward")
def pair_functions(config, rng):
    """By the four parameters of pairs and by the positions, with distances that others read too."""
    batch, _ = molecules(config)
    arranged = arrangement.arrange_forward(random_params(config, rng), config)
    params = {name: arranged[name] for name in arrangement.OF_ALL_LAYERS}

    def forward(params, positions):
        result, cache = geometry.pair_functions_forward(params, batch.charges, positions, config)
        outputs = [result.radial, result.masks, result.harmonics, result.geometry.distances]
        return join(outputs), (outputs, cache)

    def backward(d, caches):
        outputs, cache = caches
        return geometry.pair_functions_backward(*split(d, outputs), cache)

    return by_params(forward, backward, params, batch.positions)


@check_of("network.pairs.spread_backward")
def spread(config, rng):
    return *with_pairs(pairs.spread, pairs.spread_backward), [random_complex(rng, 3, B, P)]


@check_of("network.real_form.real_matrix_backward")
def real_matrix(config, rng):
    functions = without_cache(lambda z: real_form.real_matrix(z, 0), real_form.real_matrix_backward)
    return *functions, [random_complex(rng, 2, 3, 4, 5)]


@check_of("network.radial.radial_backward")
def radial_functions(config, rng):
    _, geo = molecules(config)

    def forward(kappa, phi, distances):
        return radial.radial_forward(kappa, phi, geo._replace(distances=distances), config)

    shape = (3, 2, config.num_frequencies)
    return forward, radial.radial_backward, [rng.uniform(0, 1, shape), rng.uniform(0, 6, shape), geo.distances]


@check_of("network.radial.mask_backward")
def mask(config, rng):
    _, geo = molecules(config)

    def forward(cutoff, width, distances):
        return radial.mask_forward(cutoff, width, geo._replace(distances=distances), config)

    cutoff, width = np.array([[1.7, -1.2], [1.1, 1.5]]), np.array([[-0.5, 0.4], [0.3, 0.6]])
    return forward, radial.mask_backward, [cutoff, width, geo.distances]


@check_of(
    "network.arrangement.arrange_backward",
    "network.arrangement._edge_matrices_backward",
    "network.arrangement._vertex_matrices_backward",
)
def arrange(config, rng):
    """The last layer goes from L = 2 to L = 2, where some paths are folded with a minus."""
    config = dataclasses.replace(config, l_max=(1, 2, 2))
    params = random_params(config, rng)

    def forward(*values):
        arranged = arrangement.arrange_forward(dict(zip(params, values, strict=True)), config)
        return join(arranged.values()), arranged

    def backward(d, arranged):
        d_arranged = dict(zip(arranged, split(d, arranged.values()), strict=True))
        grads = arrangement.arrange_backward(d_arranged, config)
        return tuple(grads[name] for name in params)

    return forward, backward, list(params.values())


@check_of("network.edge_network.dot_products_backward")
def dot_products(config, rng):
    def forward(features):
        return edge_network.dot_products_forward(features, PAIRS)

    return forward, edge_network.dot_products_backward, [random_complex(rng, 9, C, B, N)]


@check_of("network.edge_network.edge_network_backward")
def edges(config, rng):
    """The incoming edges have ℓ = 0, 1, the features ℓ = 0, and the new edges ℓ = 0..2."""
    num_radial = 3
    inputs = [
        random_complex(rng, 2, C, B, P),
        random_complex(rng, 1, C, B, N),
        random_complex(rng, num_radial, B, P),
        rng.uniform(0, 1, (C, B, P)),
        random_complex(rng, 2, C, C),
        random_complex(rng, 3 * C, C + num_radial),
    ]

    def forward(*inputs):
        return edge_network.edge_network_forward(*inputs, PAIRS)

    return forward, edge_network.edge_network_backward, inputs


@check_of("network.vertex_network.edge_to_vertex_backward")
def edge_to_vertex(config, rng):
    """The backward pass overwrites d."""

    def forward(g, y):
        return vertex_network.edge_to_vertex_forward(g, y), (g, y)

    def backward(d, cache):
        return vertex_network.edge_to_vertex_backward(d.copy(), *cache)

    return forward, backward, [random_complex(rng, C, B, 2, N, N), random_complex(rng, B, 9, N, N)]


@check_of("network.vertex_network.aggregate_backward")
def aggregate(config, rng):
    """The harmonics reach a higher ℓ than this layer's edges."""

    def forward(edges, harmonics, features):
        out = np.empty((len(features), edges.shape[2] ** 2, 2, *features.shape[1:]))
        return out, vertex_network.aggregate_forward(edges, harmonics, features, PAIRS, out)

    inputs = [random_complex(rng, C, B, 2, P), random_harmonics(rng), random_features(rng)]
    return forward, vertex_network.aggregate_backward, inputs


def random_harmonics(rng):
    return random_complex(rng, B, 9, N, N)


def random_features(rng, l_max=2, num_channels=C):
    return random_complex(rng, (l_max + 1) ** 2, num_channels, B, N)


@check_of("network.vertex_network.square_backward")
def square(config, rng):
    def forward(features):
        return vertex_network.square_forward(features), features

    return forward, vertex_network.square_backward, [random_features(rng)]


@check_of("network.vertex_network.couple_backward")
def couple(config, rng):
    coefficients = coupling(2, 1, 2, config.vertex_order, "float64", "cpu")

    def forward(products):
        return vertex_network.couple_forward(products, coefficients), coefficients

    num_products = coefficients.matrix.shape[1]
    return forward, vertex_network.couple_backward, [rng.standard_normal((num_products, 2, C, B, N))]


def mixing_matrices(coefficients, rng, num_channels=C):
    """Any real numbers: real and imaginary parts need not stand as in a complex matrix."""
    return rng.standard_normal((sum(coefficients.num_paths), 2, num_channels, 2, C))


@check_of("network.vertex_network.mix_backward")
def mix(config, rng):
    coefficients = coupling(2, 1, 2, config.vertex_order, "float64", "cpu")

    def forward(paths, matrices):
        return vertex_network.mix_forward(paths, matrices, coefficients)

    paths = rng.standard_normal((coefficients.matrix.shape[0], 2, C, B, N))
    return forward, vertex_network.mix_backward, [paths, mixing_matrices(coefficients, rng)]


@check_of("network.vertex_network.paths_backward")
def paths(config, rng):
    coefficients = coupling(2, 1, 2, config.vertex_order, "float64", "cpu")

    def forward(edges, harmonics, features):
        return vertex_network.paths_forward(edges, harmonics, features, coefficients, PAIRS)

    inputs = [random_complex(rng, 2, C, B, P), random_harmonics(rng), random_features(rng)]
    return forward, vertex_network.paths_backward, inputs


@check_of("network.vertex_network.vertex_network_backward")
def vertex(config, rng):
    """In parts of three channels and two."""
    coefficients = coupling(2, 1, 2, config.vertex_order, "float64", "cpu")

    def forward(edges, harmonics, features, matrices):
        with patch.dict(vertex_network.COLUMNS, cpu=3 * B * N):
            return vertex_network.vertex_network_forward(edges, harmonics, features, matrices, coefficients, PAIRS)

    edges, features = random_complex(rng, 2, 5, B, P), random_features(rng, num_channels=5)
    inputs = [edges, random_harmonics(rng), features, mixing_matrices(coefficients, rng, num_channels=5)]
    return forward, vertex_network.vertex_network_backward, inputs


@check_of("network.output_network.invariants_backward")
def invariants(config, rng):
    def forward(features):
        return output_network.invariants_forward(features, config)

    return forward, output_network.invariants_backward, [random_complex(rng, 9, C, B, N)]


@check_of("network.output_network.output_backward")
def output(config, rng):
    inputs = [rng.standard_normal(6), rng.standard_normal(1), rng.standard_normal((6, B, N))]
    return output_network.output_forward, output_network.output_backward, inputs


@check_of("network.mlp.linear_backward")
def linear(config, rng):
    """W and b are complex, as for MD17's input; those of perceptrons are real."""
    inputs = [random_complex(rng, 3, 5), random_complex(rng, 3), rng.standard_normal((5, B, N))]
    return mlp.linear_forward, mlp.linear_backward, inputs


@check_of("network.mlp.relu_backward")
def relu(config, rng):
    def forward(x):
        return mlp.relu_forward(x, config.negative_slope)

    return forward, mlp.relu_backward, [rng.standard_normal((5, B, N))]


@check_of("network.mlp.mlp_backward")
def perceptron(config, rng):
    config, params = qm9_params(config, rng, "output.mlp2.")

    def forward(params, x):
        return mlp.mlp_forward(params, "output.mlp2", x, config.negative_slope)

    return by_params(forward, mlp.mlp_backward, params, rng.standard_normal((QM9["num_intermediate"], B, N)))


@check_of("network.input_network.filter_backward")
def message_filter(config, rng):
    """The pairs are far from 1.73 Å, where the filter ends with a jump."""
    _, geo = molecules(config)
    config, params = qm9_params(small_config("released"), rng, ("input.radial", "input.filter"))

    def forward(params, distances):
        return input_network.filter_forward(params, geo._replace(distances=distances), config)

    return by_params(forward, input_network.filter_backward, params, geo.distances)


@check_of("network.input_network.message_passing_backward")
def message_passing(config, rng):
    batch, geo = molecules(config)
    config, params = qm9_params(config, rng, "input.")
    atom_features = input_network.featurize(batch.charges, config, np.float64)

    def forward(params, distances):
        moved = geo._replace(distances=distances)
        return input_network.message_passing_forward(params, atom_features, moved, config)

    return by_params(forward, input_network.message_passing_backward, params, geo.distances)


@check_of("network.input_network.input_network_backward")
def whole_input(config, rng):
    batch, geo = molecules(config)
    params = {name: p for name, p in random_params(config, rng).items() if name.startswith("input.")}

    def forward(params, distances):
        return input_network.input_network_forward(params, batch.charges, geo._replace(distances=distances), config)

    return by_params(forward, input_network.input_network_backward, params, geo.distances)


@check_of("network.output_network.output_network_backward")
def whole_output(config, rng):
    _, geo = molecules(config)
    params = {name: p for name, p in random_params(config, rng).items() if name.startswith("output.")}
    num_scalars = sum(2 + 2 * (l_max + 1) for l_max in config.l_max) * config.num_channels

    def forward(params, scalars):
        return output_network.output_network_forward(params, scalars, geo.atoms, config)

    scalars = rng.standard_normal((num_scalars, B, N)) * geo.atoms
    return by_params(forward, output_network.output_network_backward, params, scalars)


@check_of("training.loss.mean_squared_error_backward")
def mean_squared_error(config, rng):
    target = rng.standard_normal(5)

    def forward(prediction):
        return loss.mean_squared_error_forward(prediction, target, count=7)

    return forward, loss.mean_squared_error_backward, [rng.standard_normal(5)]


@check_of("model.layer_backward")
def layer(config, rng):
    """The second layer, by all that enters it: edges, features, radial functions, mask, harmonics and weights."""
    arranged = arrangement.arrange_forward(random_params(config, rng), config)
    names = ["edge_g", "edge_d_eta", "vertex"]
    inputs = [
        random_complex(rng, config.l_max_sh[0] + 1, C, B, P),
        random_features(rng, config.l_max[0]),
        random_complex(rng, config.num_radial, B, P),
        rng.uniform(0, 1, (C, B, P)),
        random_harmonics(rng),
        *(arranged[f"layers.1.{name}"] for name in names),
    ]

    def forward(edges, features, radial, mask, harmonics, *values):
        own = {f"layers.1.{name}": value for name, value in zip(names, values, strict=True)}
        of_pairs = molecules(config)[1]._replace(pairs=PAIRS)
        functions = geometry.PairFunctions(of_pairs, [None, radial], [None, mask], harmonics)
        *outputs, cache = model.layer_forward(own, 1, edges, features, functions, config)
        return join(outputs), (outputs, cache)

    def backward(d, caches):
        outputs, cache = caches
        *gradients, grads = model.layer_backward(*split(d, outputs), cache)
        return *gradients, *(grads[name] for name in names)

    return forward, backward, inputs


@check_of("model.backward")
def whole_model(config, rng):
    """By the positions and all parameters; test_model.py names the parameters one by one."""
    batch, _ = molecules(config)

    def forward(params, positions):
        return model.forward(params, batch._replace(positions=positions), config)

    return by_params(forward, model.backward, random_params(config, rng), batch.positions)


@pytest.mark.parametrize("name", CHECKS)
def test_backward_agrees_with_finite_differences(name, either_config, rng):
    errors = backward_errors(*CHECKS[name](either_config, rng), rng, step=STEP)
    assert max(errors) < TOLERANCE, f"{name}: the relative errors by its inputs are {errors}"


def backward_functions():
    """Module and name, below the package, of everything whose name ends in `backward`, but for what checks such."""
    for module_info in pkgutil.walk_packages(cormorant_np.__path__, "cormorant_np."):
        if module_info.name.endswith("__main__"):
            continue
        module = importlib.import_module(module_info.name)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.endswith("backward") and name != "assert_backward" and function.__module__ == module.__name__:
                yield f"{module.__name__.removeprefix('cormorant_np.')}.{name}"


def test_every_backward_function_has_a_check():
    assert sorted(set(backward_functions()) - set(CHECKS)) == []


def test_every_check_runs_the_function_that_it_is_named_after(config, rng, monkeypatch):
    """Doubling what the named function returns must make its check fail."""
    for name, case in CHECKS.items():
        module, function = name.rsplit(".", 1)
        module = importlib.import_module(f"cormorant_np.{module}")
        original = getattr(module, function)
        with monkeypatch.context() as patch:
            patch.setattr(module, function, lambda *args, original=original: doubled(original(*args)))
            assert max(backward_errors(*case(config, rng), rng)) > 1e-2, name


def doubled(result):
    """Twice every array in an array, list, tuple or dict."""
    if isinstance(result, dict):
        return {key: doubled(value) for key, value in result.items()}
    if isinstance(result, list | tuple):
        return type(result)(doubled(value) for value in result)
    return 2 * result
