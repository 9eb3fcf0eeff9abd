"""The whole network: every derivative by name, precision, and what it leaves alone; test_plain.py has its values."""

import numpy as np
import pytest
from conftest import ETHANOL, FORMALDEHYDE, WATER, assert_close, batch_of, random_params

from cormorant_np import model
from cormorant_np.gradient_check import gradient_error, inner
from cormorant_np.network.geometry import _order_signs
from cormorant_np.network.pairs import pairs_of
from cormorant_np.so3_vector import l_of_rows, parity


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
    _, cache_of_forces = model.forward(*inputs, by_params=False)
    _, by_positions = model.backward(np.ones(3), cache_of_forces, by_params=False)
    np.testing.assert_array_equal(by_positions, d_positions)

    used_up, d_positions_again = model.backward(np.ones(3), cache, use_up=True)
    assert cache.layers == []
    np.testing.assert_array_equal(d_positions_again, d_positions)
    for name, gradient in grads.items():
        np.testing.assert_array_equal(used_up[name], gradient, err_msg=name)


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
