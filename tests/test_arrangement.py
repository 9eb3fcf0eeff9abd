"""Parameters arranged for the products, against the published ones."""

import numpy as np
import pytest
from conftest import QM9, assert_close, random_complex, random_params, small_config

from cormorant_np.gradient_check import inner, random_like
from cormorant_np.network.arrangement import OF_ALL_LAYERS, arrange_backward, arrange_forward, layer_coupling

C = 2


def test_the_coupling_has_the_columns_of_its_layer_and_the_precision_of_the_features(uneven):
    """G has (L_sh+1)² components, and F has Q = (L_in+1)²: G F, F and F F have Q (L_sh+1)², Q and Q (Q+1) / 2."""
    for s, (num_sh, q) in enumerate([(4, 1), (9, 4), (16, 16)]):
        for dtype, real in (("complex64", "float32"), ("complex128", "float64")):
            matrix = layer_coupling(uneven, s, np.empty(0, dtype)).matrix
            assert matrix.shape[1] == num_sh * q + q + q * (q + 1) // 2
            assert matrix.dtype == real


def test_parameters_of_all_layers_are_stacked_and_input_and_output_are_as_they_are(either_config, rng):
    params = random_params(either_config, rng)
    arranged = arrange_forward(params, either_config)
    others = [name for name in params if not name.startswith("layers.")]
    products = [f"layers.{s}.{name}" for s in range(3) for name in ("edge_g", "edge_d_eta", "vertex")]
    assert sorted(arranged) == sorted([*others, *OF_ALL_LAYERS, *products])
    for name in others:
        np.testing.assert_array_equal(arranged[name], params[name])
    for name in OF_ALL_LAYERS:
        for s in range(3):
            np.testing.assert_array_equal(arranged[name][s], params[f"layers.{s}.{name}"])


def test_edge_weights_multiply_what_the_published_ones_do(uneven, rng):
    params = random_params(uneven, rng)
    arranged = arrange_forward(params, uneven)
    for s, (num_g, num_in) in enumerate([(0, 1), (2, 2), (3, 4)]):
        g, d, eta = random_complex(rng, num_g, C), random_complex(rng, num_in * C), random_complex(rng, 6)
        of_g, of_d_eta = arranged[f"layers.{s}.edge_g"], arranged[f"layers.{s}.edge_d_eta"]
        assert of_g.shape == (num_g, C, C)
        mixed = (of_d_eta @ np.concatenate([d, eta])).reshape(-1, C)
        assert len(mixed) == s + 2
        for l in range(s + 2):
            columns = [*(g[l : l + 1] if l < num_g else []), *([d] if l < num_in else []), eta]
            expected = params[f"layers.{s}.edge.weight.{l}"] @ np.concatenate(columns)
            assert_close(mixed[l] + (of_g[l] @ g[l] if l < num_g else 0), expected)


def test_vertex_weights_are_folded_and_stand_below_each_other_transposed_in_real_form(uneven, rng):
    params = random_params(uneven, rng)
    arranged = arrange_forward(params, uneven)
    assert any((fold < 0).any() for fold in layer_coupling(uneven, 2, params["input.weight"]).fold)
    for s in range(3):
        couple = layer_coupling(uneven, s, params[f"layers.{s}.vertex.weight.0"])
        columns = []
        for l, fold in enumerate(couple.fold):
            weight = params[f"layers.{s}.vertex.weight.{l}"].reshape(C, -1, C)
            columns.extend(sum(f * weight[:, k] for k, f in enumerate(row)) for row in fold)
        matrices = arranged[f"layers.{s}.vertex"]
        assert matrices.shape == (sum(couple.num_paths), 2, C, 2, C)
        for k, w in enumerate(columns):
            np.testing.assert_allclose(matrices[k, 0, :, 0], w.real.T, atol=1e-15)
            np.testing.assert_allclose(matrices[k, 1, :, 0], -w.imag.T, atol=1e-15)
            np.testing.assert_allclose(matrices[k, 0, :, 1], w.imag.T, atol=1e-15)
            np.testing.assert_allclose(matrices[k, 1, :, 1], w.real.T, atol=1e-15)


@pytest.mark.parametrize("fields", [{}, QM9, {"l_max": (1, 2, 2)}], ids=["MD17", "QM9", "with a minus"])
def test_the_backward_map_is_the_transpose_of_the_forward_one(fields, convention, rng):
    """⟨d, A p⟩ = ⟨Aᵀ d, p⟩ for any p, without a finite difference."""
    config = small_config(convention, **fields)
    params = random_params(config, rng)
    d_arranged = {name: random_like(x, rng) for name, x in arrange_forward(params, config).items()}
    grads = arrange_backward(d_arranged, config)
    assert grads.keys() == params.keys()
    for name in params:
        p = {other: x if other == name else 0 * x for other, x in params.items()}
        moved = arrange_forward(p, config)
        forward = sum(inner(d_arranged[key], x) for key, x in moved.items())
        np.testing.assert_allclose(inner(grads[name], params[name]), forward, rtol=1e-10, err_msg=name)


@pytest.mark.parametrize("fields", [{}, QM9], ids=["MD17", "QM9"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_names_shapes_and_precision_go_there_and_back(fields, dtype, convention, rng):
    config = small_config(convention, **fields)
    params = random_params(config, rng, dtype)
    arranged = arrange_forward(params, config)
    grads = arrange_backward(arranged, config)
    assert {x.real.dtype.name for x in arranged.values()} == {dtype}
    assert {name: (g.shape, g.dtype) for name, g in grads.items()} == {
        name: (p.shape, p.dtype) for name, p in params.items()
    }


def test_weights_may_lie_in_memory_as_they_like(uneven, rng):
    params = random_params(uneven, rng)
    turned = {name: np.asfortranarray(p) for name, p in params.items()}
    for name, expected in arrange_forward(params, uneven).items():
        np.testing.assert_array_equal(arrange_forward(turned, uneven)[name], expected)
