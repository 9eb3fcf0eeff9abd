"""Symmetries: rotations turn the features of every layer, and the energy does not know how the molecule was given."""

import numpy as np
import pytest
from conftest import ETHANOL, FORMALDEHYDE, WATER, batch_of, random_params, small_config

from cormorant_np import Config, model
from cormorant_np.rotation import random_rotation, rotate
from cormorant_np.so3_vector import block


def networks(convention):
    return {
        "MD17": Config.md17(convention=convention),
        "MD17, large gain": Config.md17(convention=convention, gain=15),
        "QM9": Config.qm9(convention=convention),
        "small": small_config(convention),
    }


@pytest.fixture(params=["MD17", "MD17, large gain", "QM9", "small"])
def network(request, convention, rng):
    config = networks(convention)[request.param]
    return random_params(config, rng), config


def turned(molecule, rotation):
    charges, positions = molecule
    return charges, np.array(positions) @ rotation.T


def energies(network, molecules):
    params, config = network
    return model.forward(params, batch_of(molecules, config), config)[0]


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-4)])
def test_rotating_a_molecule_turns_the_features_of_every_layer(network, dtype, tolerance, rng):
    """F^ℓ → D^ℓ(R) F^ℓ, relative to the largest feature of the same layer and ℓ."""
    params, config = network
    params = {
        name: p.astype(dtype if p.dtype.kind == "f" else np.result_type(dtype, "c8")) for name, p in params.items()
    }
    rotation = random_rotation(rng)
    before = model.features(params, batch_of([ETHANOL, WATER], config, dtype), config)
    after = model.features(params, batch_of([turned(m, rotation) for m in (ETHANOL, WATER)], config, dtype), config)
    for s, (f, f_turned) in enumerate(zip(before, after, strict=True)):
        expected = rotate(f, rotation)
        for l in range(config.l_max[s] + 1):
            error = abs(f_turned[block(l)] - expected[block(l)]).max() / abs(expected[block(l)]).max()
            assert error < tolerance, f"layer {s}, l = {l}: {error}"


def test_the_features_do_turn(rng):
    """Without this, features that are zero or all scalars would pass the test above."""
    config = small_config()
    params, rotation = random_params(config, rng), random_rotation(rng)
    before = model.features(params, batch_of([ETHANOL], config), config)[1]
    after = model.features(params, batch_of([turned(ETHANOL, rotation)], config), config)[1]
    for l in (1, 2):
        assert abs(after[block(l)] - before[block(l)]).max() > 0.1 * abs(before[block(l)]).max()


def test_energy_is_invariant_and_forces_turn_under_rotations(network, rng):
    params, config = network
    rotation = random_rotation(rng)
    energy, forces = model.energy_and_forces(params, batch_of([ETHANOL], config), config)
    energy_turned, forces_turned = model.energy_and_forces(
        params, batch_of([turned(ETHANOL, rotation)], config), config
    )
    np.testing.assert_allclose(energy_turned, energy, rtol=1e-10)
    np.testing.assert_allclose(forces_turned, forces @ rotation.T, atol=1e-10 * abs(forces).max())


def test_forces_and_torques_sum_to_zero(network):
    params, config = network
    batch = batch_of([ETHANOL, WATER], config)
    _, forces = model.energy_and_forces(params, batch, config)
    assert abs(forces).max() > 0
    np.testing.assert_allclose(forces.sum(axis=1), 0, atol=1e-11 * abs(forces).max())
    np.testing.assert_allclose(np.cross(batch.positions, forces).sum(axis=1), 0, atol=1e-11 * abs(forces).max())


def test_energy_does_not_depend_on_where_the_molecule_is(network):
    """Also without `make_batch`, which centres molecules."""
    params, config = network
    batch = batch_of([ETHANOL], config)
    shifted = batch._replace(positions=batch.positions + [3.0, -2.0, 5.0])
    np.testing.assert_allclose(
        model.forward(params, shifted, config)[0], model.forward(params, batch, config)[0], rtol=1e-10
    )


def test_energy_does_not_depend_on_the_order_of_the_atoms_and_forces_follow_it(network, rng):
    params, config = network
    batch, order = batch_of([ETHANOL], config), rng.permutation(9)
    permuted = batch._replace(charges=batch.charges[:, order], positions=batch.positions[:, order])
    energy, forces = model.energy_and_forces(params, batch, config)
    energy_permuted, forces_permuted = model.energy_and_forces(params, permuted, config)
    np.testing.assert_allclose(energy_permuted, energy, rtol=1e-11)
    np.testing.assert_allclose(forces_permuted, forces[:, order], atol=1e-11 * abs(forces).max())


@pytest.mark.parametrize("num_extra", [1, 4])
def test_energy_does_not_depend_on_padding_nor_on_what_stands_in_it(network, num_extra, rng):
    params, config = network
    batch = batch_of([ETHANOL], config)
    padded = batch._replace(
        charges=np.pad(batch.charges, ((0, 0), (0, num_extra))),
        positions=np.concatenate([batch.positions, rng.standard_normal((1, num_extra, 3))], axis=1),
    )
    energy, forces = model.energy_and_forces(params, batch, config)
    energy_padded, forces_padded = model.energy_and_forces(params, padded, config)
    np.testing.assert_allclose(energy_padded, energy, rtol=1e-11)
    np.testing.assert_allclose(forces_padded[:, :9], forces, atol=1e-11 * abs(forces).max())
    assert (forces_padded[:, 9:] == 0).all()


def test_energy_does_not_depend_on_the_other_molecules_of_the_batch(network):
    molecules = [ETHANOL, WATER, FORMALDEHYDE]
    alone = np.concatenate([energies(network, [molecule]) for molecule in molecules])
    np.testing.assert_allclose(energies(network, molecules), alone, rtol=1e-11)
    np.testing.assert_allclose(energies(network, molecules[::-1]), alone[::-1], rtol=1e-11)


def test_energy_of_a_mirror_image_is_the_same_at_weight_zero_only(rng):
    """Covariance is by rotations: with ℓ > 0 the products of odd parity tell a molecule from its mirror image."""
    mirrored = (ETHANOL[0], np.array(ETHANOL[1]) * [1, 1, -1])
    scalars = small_config(l_max=(0, 0, 0), l_max_sh=(0, 0, 0))
    chiral = small_config(l_max=(2, 2, 2), l_max_sh=(2, 2, 2))
    first, second = energies((random_params(scalars, rng), scalars), [ETHANOL, mirrored])
    np.testing.assert_allclose(first, second, rtol=1e-11)
    first, second = energies((random_params(chiral, rng), chiral), [ETHANOL, mirrored])
    assert abs(first - second) > 1e-6 * abs(first)
