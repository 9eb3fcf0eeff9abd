"""Hyperparameters: presets, and values that make no sense."""

import dataclasses

import numpy as np
import pytest

from cormorant_np import Config, model
from cormorant_np.data import make_batch
from cormorant_np.errors import UserError


def test_the_md17_network_has_the_hyperparameters_of_section_2():
    config = Config.md17()
    assert (config.num_layers, config.num_channels, config.l_max, config.num_radial) == (4, 16, (3, 3, 3, 3), 16)
    assert config.gain == 5


def test_the_qm9_network_ends_with_scalars_and_has_the_perceptrons_of_section_1_5_2():
    config = Config.qm9()
    assert (config.l_max, config.l_max_sh, config.species) == ((3, 3, 3, 0), (3, 3, 3, 0), (1, 6, 7, 8, 9))
    assert (config.num_hidden, config.num_intermediate, config.negative_slope) == (256, 96, 0)
    assert config.charge_scale == 9
    assert config.message_passing_input and config.mlp_output


def test_the_two_conventions_differ_in_their_own_fields_only():
    supplement, released = (dataclasses.asdict(Config.md17(convention=c)) for c in ("supplement", "released"))
    assert {name for name in supplement if supplement[name] != released[name]} == {
        "solid_harmonics",
        "paired_radial_functions",
        "self_pairs",
        "clamp_cutoffs",
        "vertex_order",
        "imaginary_scalar_product",
        "released_initialisation",
        "gain",
        "filtered_messages",
        "num_intermediate",
        "negative_slope",
    }


def test_any_field_of_a_convention_can_be_given_by_name():
    config = Config.md17(convention="released", self_pairs=False, gain=3)
    assert (config.self_pairs, config.gain, config.solid_harmonics) == (False, 3, True)


def test_a_layer_takes_what_the_layer_below_gives_and_the_first_takes_scalars():
    config = Config.md17(l_max=(1, 3, 2), l_max_sh=(3, 3, 3))
    assert [config.layer_l_max(s) for s in range(3)] == [0, 1, 3]


def test_lists_become_tuples_so_that_a_config_can_be_a_key():
    from_lists = Config.md17(species=[1, 6, 8], l_max=[3, 3, 3, 3], l_max_sh=[3, 3, 3, 3])
    assert from_lists == Config.md17() and hash(from_lists) == hash(Config.md17())


@pytest.mark.parametrize("number", [np.int64(8), np.float64(8)])
def test_numbers_of_numpy_promote_nothing(number):
    config = Config.md17(species=(1, 8), charge_scale=number, gain=number, num_channels=1)
    params = model.init_params(config, np.random.default_rng(0))
    energy, _ = model.forward(params, make_batch([[8, 1]], [[[0, 0, 0], [0, 0, 1]]], config), config)
    assert energy.dtype == np.float32


@pytest.mark.parametrize(
    "fields, complaint",
    [
        ({"convention": "published"}, "convention must be one of"),
        ({"l_max": (3, 3)}, "one number for each layer"),
        ({"l_max": (), "l_max_sh": ()}, "one number for each layer"),
        ({"l_max": (3, 3, 3, -1)}, "l_max must be a whole number from 0"),
        ({"num_channels": 0}, "num_channels must be a whole number from 1"),
        ({"species": ()}, "different positive charges"),
        ({"species": (1, 6, 6)}, "different positive charges"),
        ({"species": (0, 6)}, "species must be a whole number from 1 to 118"),
        ({"max_power": -1}, "max_power must be a whole number from 0"),
        ({"width": 0.0}, "width must be a positive number"),
        ({"cutoff": -1.73}, "cutoff must be a positive number"),
        ({"num_frequencies": 0}, "num_frequencies must be a whole number from 1"),
        ({"l_max_sh": (1, 3, 3, 3)}, "l_max of layer 1 is 3, .* l_max_sh = 1, end at ℓ = 1"),
        ({"l_max": (0, 2), "l_max_sh": (1, 0)}, "l_max of layer 2 is 2"),
        ({"l_max": 3}, "l_max must be a list, not 3"),
        ({"species": 8}, "species must be a list"),
        ({"gain": "auto"}, "gain must be a positive number"),
        ({"charge_scale": "8"}, "charge_scale must be a positive number"),
        ({"mlp_output": "no"}, "mlp_output must be true or false, not 'no'"),
        ({"self_pairs": 1}, "self_pairs must be true or false, not 1"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_a_value_that_makes_no_sense_is_refused_in_one_sentence(fields, complaint):
    with pytest.raises(UserError, match=complaint):
        Config.md17(**fields)
