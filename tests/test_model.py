"""The whole network: every derivative by name, precision, and what it leaves alone; test_plain.py has its values."""

import tracemalloc

import numpy as np
import pytest
from conftest import ETHANOL, FORMALDEHYDE, WATER, assert_close, batch_of, random_params, small_config

from cormorant_np import model
from cormorant_np.benchmark import peak_memory
from cormorant_np.config import Config
from cormorant_np.gradient_check import gradient_error, inner
from cormorant_np.network.geometry import _order_signs
from cormorant_np.network.pairs import pairs_of
from cormorant_np.network.parameters import flatten
from cormorant_np.network.vertex_network import COLUMNS
from cormorant_np.so3_vector import l_of_rows, parity
from cormorant_np.training import parallel
from cormorant_np.training.loss import Targets


def test_the_gradient_by_every_parameter_is_right(either_config, rng):
    config = either_config
    params, batch = random_params(config, rng), batch_of([FORMALDEHYDE, WATER, ETHANOL], config)
    energy, cache = model.forward(params, batch, config)
    d_energy = rng.standard_normal(len(energy))
    grads, _ = model.backward(d_energy, cache)

    errors = {
        name: gradient_error(
            lambda p, name=name: inner(d_energy, model.forward(params | {name: p}, batch, config)[0]),
            params[name],
            grads[name],
            rng,
            step=1e-5,
        )
        for name in params
    }
    wrong = {name: error for name, error in errors.items() if error > 1e-7}
    assert not wrong
    assert list(grads) == list(params)
    assert all(grads[name].any() for name in params)


def test_the_gradient_by_the_positions_is_right_and_padding_has_none(either_config, rng):
    config = either_config
    params, batch = random_params(config, rng), batch_of([FORMALDEHYDE, WATER, ETHANOL], config)
    energy, cache = model.forward(params, batch, config)
    _, d_positions = model.backward(np.ones_like(energy), cache)

    def total(positions):
        return model.forward(params, batch._replace(positions=positions), config)[0].sum()

    assert gradient_error(total, batch.positions, d_positions, rng, step=1e-5) < 1e-7
    assert (d_positions[batch.charges == 0] == 0).all()


def test_what_is_not_wanted_is_left_out_and_changes_nothing_else(either_config, rng):
    config = either_config
    energy, cache = model.forward(random_params(config, rng), batch_of([FORMALDEHYDE, WATER, ETHANOL], config), config)
    d_energy = rng.standard_normal(len(energy))
    grads, d_positions = model.backward(d_energy, cache)
    by_params, nothing = model.backward(d_energy, cache, by_positions=False)
    assert nothing is None and by_params.keys() == grads.keys()
    for name, gradient in grads.items():
        np.testing.assert_array_equal(by_params[name], gradient, err_msg=name)
    nothing, by_positions = model.backward(d_energy, cache, by_params=False)
    assert nothing is None and d_positions.any()
    np.testing.assert_array_equal(by_positions, d_positions)


def test_what_is_not_kept_changes_no_number(either_config, rng):
    config = either_config
    inputs = random_params(config, rng), batch_of([FORMALDEHYDE, WATER, ETHANOL], config), config
    energy, cache = model.forward(*inputs)
    grads, d_positions = model.backward(np.ones(3), cache)

    only_energy, nothing_kept = model.forward(*inputs, by_params=False, by_positions=False)
    np.testing.assert_array_equal(only_energy, energy)
    assert nothing_kept.layers == []
    _, for_positions = model.forward(*inputs, by_params=False)
    _, by_positions = model.backward(np.ones(3), for_positions, by_params=False)
    np.testing.assert_array_equal(by_positions, d_positions)
    _, for_params = model.forward(*inputs, by_positions=False)
    by_params, _ = model.backward(np.ones(3), for_params, by_positions=False)
    used_up, d_positions_again = model.backward(np.ones(3), cache, use_up=True)
    np.testing.assert_array_equal(d_positions_again, d_positions)
    for name, gradient in grads.items():
        np.testing.assert_array_equal(by_params[name], gradient, err_msg=name)
        np.testing.assert_array_equal(used_up[name], gradient, err_msg=name)


def test_a_forward_pass_keeps_what_the_wanted_gradients_need(rng):
    config = Config.md17(l_max=(3, 3), l_max_sh=(3, 3))
    params, batch = random_params(config, rng), batch_of([ETHANOL] * 4, config)

    def left_behind(**wanted):
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        _kept = model.forward(params, batch, config, **wanted)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return after - before

    left_behind()  # the first pass leaves the tables behind, too
    everything = left_behind()
    assert left_behind(by_params=False) < 0.6 * everything
    assert left_behind(by_params=False, by_positions=False) < 0.2 * everything


def test_a_cache_that_is_used_up_goes_layer_by_layer(either_config, rng, monkeypatch):
    config = either_config
    energy, cache = model.forward(random_params(config, rng), batch_of([WATER], config), config)
    left, layer_backward = [], model.layer_backward

    def counted(*arguments):
        left.append(len(cache.layers))
        return layer_backward(*arguments)

    monkeypatch.setattr(model, "layer_backward", counted)
    model.backward(np.ones_like(energy), cache, use_up=True)
    assert left == list(reversed(range(config.num_layers)))


def test_a_prediction_keeps_only_what_it_needs(rng, monkeypatch):
    """Each against a pass that keeps everything to its end; a channel at a time, so that little else is there."""
    monkeypatch.setitem(COLUMNS, "cpu", 4 * 9)
    config = Config.md17(l_max=(3, 3, 3), l_max_sh=(3, 3, 3))
    params, batch = random_params(config, rng), batch_of([ETHANOL] * 4, config)

    def everything(_):
        energy, cache = model.forward(params, batch, config)
        model.backward(np.ones_like(energy), cache, by_params=False)

    with_everything = peak_memory(everything, threads=1)
    for predict in (parallel.predict, parallel.predict_with_forces):
        peak = peak_memory(lambda pool, predict=predict: predict(params, batch, config, pool), threads=1)
        assert peak < 0.75 * with_everything


@pytest.mark.parametrize("force_weight", [0, 1])
def test_training_uses_its_caches_up(force_weight, rng, monkeypatch):
    config = small_config()
    params, batch = flatten(random_params(config, rng)), batch_of([WATER], config)
    caches, forward = [], model.forward

    def recorded(*given, **wanted):
        energy, cache = forward(*given, **wanted)
        caches.append(cache)
        return energy, cache

    monkeypatch.setattr(model, "forward", recorded)
    targets = Targets(np.ones(1), np.ones((1, 3, 3)), 3)
    with parallel.alone() as pool:
        parallel.loss_and_gradient(params, batch, targets, config, pool, force_weight)
    assert [cache.layers for cache in caches] == [[]] * (1 + force_weight)


def test_forces_are_the_negative_gradient_of_each_molecules_own_energy(either_config, rng):
    config = either_config
    params, batch = random_params(config, rng), batch_of([FORMALDEHYDE, WATER], config)
    energy, forces = model.energy_and_forces(params, batch, config)
    assert_close(energy, model.forward(params, batch, config)[0])
    for b in range(2):

        def own(positions, b=b):
            return model.forward(params, batch._replace(positions=positions), config)[0][b]

        gradient = np.zeros_like(forces)
        gradient[b] = -forces[b]
        assert gradient_error(own, batch.positions, gradient, rng, step=1e-5) < 1e-7


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_precision_is_kept_from_the_positions_to_the_gradient_without_a_warning(dtype, either_config, rng):
    config = either_config
    params, batch = random_params(config, rng, dtype), batch_of([ETHANOL, WATER], config, dtype)
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        energy, cache = model.forward(params, batch, config)
        grads, d_positions = model.backward(np.ones_like(energy), cache)
    assert {a.real.dtype.name for a in (energy, d_positions, *cache.features, *grads.values())} == {dtype}
    assert all((grads[name].shape, grads[name].dtype) == (p.shape, p.dtype) for name, p in params.items())
    assert all(np.isfinite(a).all() for a in (energy, d_positions, *grads.values()))


def test_forward_and_backward_leave_their_inputs_as_they_were(either_config, rng):
    config = either_config
    params, batch = random_params(config, rng), batch_of([FORMALDEHYDE, WATER], config)
    params_before, positions_before = {name: p.copy() for name, p in params.items()}, batch.positions.copy()
    _, cache = model.forward(params, batch, config)
    d_energy = np.array([1.0, -2.0])
    first, _ = model.backward(d_energy, cache)
    again, _ = model.backward(d_energy, cache)
    assert (d_energy == [1, -2]).all() and (batch.positions == positions_before).all()
    for name in params:
        assert (params[name] == params_before[name]).all() and (first[name] == again[name]).all(), name


def test_features_have_one_array_for_each_layer(config, rng):
    features = model.features(random_params(config, rng), batch_of([ETHANOL, WATER], config), config)
    assert [f.shape for f in features] == [((l + 1) ** 2, config.num_channels, 2, 9) for l in config.l_max]


def test_gradients_have_the_precision_of_the_network(config, rng):
    molecules, single = batch_of([WATER, ETHANOL], config, np.float32), random_params(config, rng, np.float32)
    _, cache = model.forward(single, molecules, config)
    for d_energy in (np.ones(2), np.ones(2, int)):
        grads, d_positions = model.backward(d_energy, cache)
        assert d_positions.dtype == np.float32
        assert all(grads[name].dtype == single[name].dtype for name in single)


def test_what_is_shared_by_all_calls_cannot_be_changed():
    _, *tables, places = pairs_of(3, False, "cpu")
    shared = [*tables, *places, _order_signs(3, np.dtype("float32"), "cpu")]
    shared += [l_of_rows(np.zeros((4, 1))), parity(np.zeros((4, 1)))]
    for array in shared:
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0
