"""The whole network: its size, its start, the supplement written out for one molecule, and every derivative by name."""

import numpy as np
import pytest
from conftest import (
    ETHANOL,
    FORMALDEHYDE,
    WATER,
    assert_close,
    batch_of,
    cg_product,
    couples,
    harmonics,
    random_params,
    small_config,
)
from scipy.special import expit

from cormorant_np import Config, model
from cormorant_np.gradient_check import gradient_error, inner
from cormorant_np.network.parameters import arrange_forward


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


def test_radial_functions_and_cutoffs_start_as_in_the_released_code(rng):
    params = model.init_params(Config.md17(), rng)
    for s in range(4):
        np.testing.assert_array_equal(params[f"layers.{s}.radial.kappa"].ravel(), [0, 1, 2, 3, 0, 1, 2, 3])
        np.testing.assert_allclose(
            params[f"layers.{s}.radial.phi"].ravel(), np.pi / 2 * np.array([1, 0, 0, 0, 1, 1, 1, 1]), rtol=1e-6
        )
        np.testing.assert_allclose(params[f"layers.{s}.edge.cutoff"], 1.73, rtol=1e-6)
        np.testing.assert_allclose(params[f"layers.{s}.edge.width"], 0.2, rtol=1e-6)


def test_the_start_repeats_from_its_seed_in_both_precisions():
    config = small_config()
    first, again = (model.init_params(config, np.random.default_rng(5)) for _ in range(2))
    double = model.init_params(config, np.random.default_rng(5), np.float64)
    other = model.init_params(config, np.random.default_rng(6))
    for name in first:
        assert (first[name] == again[name]).all() and (first[name] == double[name].astype(first[name].dtype)).all()
    assert (first["input.weight"] != other["input.weight"]).all()
    assert {p.dtype.name for p in double.values()} == {"float64", "complex128"}


def energy_of_one_molecule(params, charges, positions, config):
    """The supplement's equations, pair by pair. Atom i has f[i], (ℓ and m, c); a pair has g[l, i, j], (c)."""
    atoms = range(len(charges))
    f, g, energy = [], {}, params["output.bias"][0]
    for z in charges:  # section 1.3.1
        onehot, scaled = [z == species for species in config.species], z / config.charge_scale
        f.append((params["input.weight"] @ np.kron(onehot, [1, scaled, scaled**2]) + params["input.bias"])[None])

    scalars = 0
    for s, (l_out, l_sh) in enumerate(zip(config.l_max, config.l_max_sh, strict=True)):
        layer = {name.removeprefix(f"layers.{s}."): p for name, p in params.items()}
        l_in = config.layer_l_max(s)
        (kappa, kappa_bar), (phi, phi_bar) = layer["radial.kappa"], layer["radial.phi"]
        new_g, vectors = {}, {}
        for i, j in ((i, j) for i in atoms for j in atoms if i != j):
            r_ij = positions[i] - positions[j]
            r = np.linalg.norm(r_ij)
            d = [
                sum((-1) ** m * f[i][l * l + l + m] * f[j][l * l + l - m] for m in range(-l, l + 1))
                for l in range(l_in + 1)
            ]
            eta = [
                r**-k * (np.sin(2 * np.pi * kappa * r + phi) + 1j * np.sin(2 * np.pi * kappa_bar * r + phi_bar))
                for k in range(config.max_power + 1)
            ]
            mask = expit(-(r - layer["edge.cutoff"]) / layer["edge.width"])
            for l in range(l_sh + 1):  # (S2)
                columns = [g.get((l, i, j), []), *(d if l <= l_in else []), *eta]
                new_g[l, i, j] = mask * (layer[f"edge.weight.{l}"] @ np.concatenate(columns))
            weights = np.array([new_g[l, i, j] for l in range(l_sh + 1) for _ in range(2 * l + 1)])
            vectors[i, j] = weights * harmonics(r_ij, l_sh)[:, None]  # (S3)

        new_f = []
        for i in atoms:
            new_f.append([])
            for l in range(l_out + 1):  # (S5)
                from_pairs = [(a, b) for a in range(l_sh + 1) for b in range(l_in + 1) if couples(a, b, l)]
                from_squares = [(a, b) for a in range(l_in + 1) for b in range(l_in + 1) if couples(a, b, l)]
                paths = [
                    *(sum(cg_product(vectors[i, j], f[j], *p, l) for j in atoms if j != i) for p in from_pairs),
                    *(cg_product(f[i], f[i], *p, l) for p in from_squares),
                    *([f[i][l * l : (l + 1) ** 2]] if l <= l_in else []),
                ]
                new_f[i].extend(np.concatenate(paths, axis=1) @ layer[f"vertex.weight.{l}"].T)
        f, g = [np.array(features) for features in new_f], new_g

        x = []  # section 1.5
        for features in f:
            x.append([features[0].real, features[0].imag])
            for l in range(l_out + 1):
                row = l * l + l
                product = sum((-1) ** m * features[row + m] * features[row - m] for m in range(-l, l + 1))
                norm = sum(abs(features[row + m]) ** 2 for m in range(-l, l + 1))
                x[-1].extend([product.real + product.imag, norm])
        x = np.sum([np.concatenate(scalars) for scalars in x], axis=0)
        energy += params["output.weight"][scalars : scalars + len(x)] @ x
        scalars += len(x)
    return energy


@pytest.mark.parametrize(
    "sizes", [{}, {"l_max": (2, 3, 0), "l_max_sh": (3, 1, 2)}, {"num_channels": 3, "max_power": 3}], ids=str
)
def test_the_energies_are_those_of_the_supplements_equations(sizes, rng):
    config = small_config("supplement", **sizes)
    params = random_params(config, rng)
    energies, _ = model.forward(params, batch_of([FORMALDEHYDE, WATER], config), config)
    for energy, (charges, positions) in zip(energies, [FORMALDEHYDE, WATER], strict=True):
        expected = energy_of_one_molecule(params, charges, np.array(positions), config)
        np.testing.assert_allclose(energy, expected, rtol=1e-10)


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


def test_without_the_positions_the_gradients_by_the_weights_are_the_same(either_config, rng):
    config = either_config
    weights = arrange_forward(random_params(config, rng), config)
    energy, cache = model.arranged_forward(weights, batch_of([FORMALDEHYDE, WATER, ETHANOL], config), config)
    d_energy = rng.standard_normal(len(energy))
    grads, d_positions = model.arranged_backward(d_energy, cache)
    without, nothing = model.arranged_backward(d_energy, cache, positions=False)
    assert nothing is None and d_positions.any()
    assert without.keys() == grads.keys() == weights.keys()
    for name, gradient in grads.items():
        np.testing.assert_array_equal(without[name], gradient)
        assert gradient.shape == weights[name].shape, name


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
    features = cache[0].features
    assert {a.real.dtype.name for a in (energy, d_positions, *features, *grads.values())} == {dtype}
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
