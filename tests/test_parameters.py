"""The published parameters: how many, of which shapes, how they start, and as one vector."""

import numpy as np
import pytest
from conftest import QM9, couples, random_complex, random_params, small_config

from cormorant_np import Config, model
from cormorant_np.network.parameters import Kind, flatten, layout, num_edge_columns, num_paths, unflatten


@pytest.mark.parametrize(
    "species, published", [((1, 6, 8), 154241), ((1, 6), 154145), ((1, 6, 7, 8), 154337)], ids=["HCO", "HC", "HCNO"]
)
def test_the_network_has_the_published_number_of_parameters(species, published, convention, rng):
    params = model.init_params(Config.md17(species=species, convention=convention), rng)
    assert model.num_parameters(params) == published


def test_the_released_qm9_network_has_the_published_number_of_parameters(rng):
    assert model.num_parameters(model.init_params(Config.qm9(convention="released"), rng)) == 299808


def test_weights_start_as_section_1_6_says(rng):
    config = Config.md17()
    params = model.init_params(config, rng)
    for name, weight in params.items():
        if ".vertex.weight" in name or ".edge.weight" in name:
            bound = config.gain / sum(weight.shape)
            parts = np.abs([weight.real, weight.imag])
            assert 0.9 * bound < parts.max() <= bound, name
            assert abs(parts.mean() / bound - 0.5) < 0.1, name


def test_weights_of_the_released_code_start_by_the_larger_side(rng):
    config = Config.md17(convention="released")
    params = model.init_params(config, rng)
    for name, weight in params.items():
        scale = 1 / max(weight.shape)
        if ".vertex.weight" in name:
            assert 0.9 * config.gain * scale < np.abs([weight.real, weight.imag]).max() <= config.gain * scale, name
        if ".edge.weight" in name:
            assert abs(np.std(weight.real) / scale - 1) < 0.2 and abs(np.std(weight.imag) / scale - 1) < 0.2, name


@pytest.mark.parametrize("make", [Config.md17, Config.qm9])
def test_inputs_outputs_and_perceptrons_start_uniformly_by_their_columns(make, rng):
    params = model.init_params(make(), rng, np.float64)
    names = [name for name in params if name.startswith(("input", "output")) and ".weight" in name]
    assert names
    for name in names:
        parts = [params[name].real, params[name].imag] if np.iscomplexobj(params[name]) else [params[name]]
        for scaled in (part * part.shape[-1] ** 0.5 for part in parts):
            assert abs(scaled).max() <= 1 and scaled.std() == pytest.approx(3**-0.5, rel=0.6 / scaled.size**0.5 + 0.02)


def test_radial_functions_and_cutoffs_start_as_in_the_released_code(rng):
    params = model.init_params(Config.md17(), rng)
    for s in range(4):
        np.testing.assert_array_equal(params[f"layers.{s}.radial.kappa"].ravel(), [0, 1, 2, 3, 0, 1, 2, 3])
        np.testing.assert_allclose(
            params[f"layers.{s}.radial.phi"].ravel(), np.pi / 2 * np.array([1, 0, 0, 0, 1, 1, 1, 1]), rtol=1e-6
        )
        np.testing.assert_allclose(params[f"layers.{s}.edge.cutoff"], 1.73, rtol=1e-6)
        np.testing.assert_allclose(params[f"layers.{s}.edge.width"], 0.2, rtol=1e-6)


def test_cutoffs_start_where_the_config_says(rng):
    params = model.init_params(small_config(cutoff=3.0, width=0.5), rng)
    assert {float(x) for name, p in params.items() if name.endswith("cutoff") for x in p} == {3.0}
    assert {float(x) for name, p in params.items() if name.endswith("width") for x in p} == {0.5}


def test_the_start_repeats_from_its_seed_in_both_precisions():
    config = small_config()
    first, again = (model.init_params(config, np.random.default_rng(5)) for _ in range(2))
    double = model.init_params(config, np.random.default_rng(5), np.float64)
    other = model.init_params(config, np.random.default_rng(6))
    for name in first:
        assert (first[name] == again[name]).all() and (first[name] == double[name].astype(first[name].dtype)).all()
    assert (first["input.weight"] != other["input.weight"]).all()
    assert {p.dtype.name for p in double.values()} == {"float64", "complex128"}


def test_columns_are_those_counted_by_hand(uneven):
    """2 for g, 2 (L+1) for d, and 6 for η; g and d only where the layer before has that ℓ."""
    expected = [[2 + 6, 6], [2 + 4 + 6, 2 + 4 + 6, 6], [2 + 8 + 6, 2 + 8 + 6, 2 + 8 + 6, 8 + 6]]
    assert [[num_edge_columns(uneven, s, l) for l in range(s + 2)] for s in range(3)] == expected


def test_paths_are_those_of_a_loop(uneven):
    for s, (l_in, l_sh, l_out) in enumerate([(0, 1, 1), (1, 2, 3), (3, 3, 2)]):
        for l in range(l_out + 1):
            pairs = [couples(l1, l2, l) for l1 in range(l_sh + 1) for l2 in range(l_in + 1)]
            squares = [couples(l1, l2, l) for l1 in range(l_in + 1) for l2 in range(l_in + 1)]
            assert num_paths(uneven, s, l) == sum(pairs) + sum(squares) + (l <= l_in)


@pytest.mark.parametrize("fields", [{}, QM9], ids=["MD17", "QM9"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_layout_says_what_the_parameters_are(fields, dtype, convention, rng):
    config = small_config(convention, **fields)
    params = model.init_params(config, rng, np.dtype(dtype))
    assert list(layout(config)) == list(params)
    for name, (shape, is_complex) in layout(config).items():
        assert params[name].shape == shape and np.iscomplexobj(params[name]) == is_complex, name
        assert params[name].real.dtype == dtype, name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_flatten_and_unflatten_are_inverses(dtype, rng):
    config = small_config()
    params = random_params(config, rng, dtype)
    vector = flatten(params)
    again = unflatten(vector, layout(config))
    assert vector.shape == (model.num_parameters(params),) and vector.dtype == dtype
    assert list(again) == list(params)
    for name in params:
        assert again[name].dtype == params[name].dtype
        np.testing.assert_array_equal(again[name], params[name], err_msg=name)


def test_unflattened_parameters_are_views_of_the_vector(rng):
    params = {"real": rng.standard_normal((2, 3)), "complex": random_complex(rng, 4)}
    vector = flatten(params)
    views = unflatten(vector, {"real": Kind((2, 3), False), "complex": Kind((4,), True)})
    vector[:] = 0
    assert (views["real"] == 0).all() and (views["complex"] == 0).all()
    assert (params["real"] != 0).all()


def test_flatten_takes_arrays_that_are_not_contiguous(rng):
    params = {"z": random_complex(rng, 3, 4).T, "x": rng.standard_normal((4, 2))[:, ::2]}
    again = unflatten(flatten(params), {"z": Kind((4, 3), True), "x": Kind((4, 1), False)})
    assert all((again[name] == params[name]).all() for name in params)
