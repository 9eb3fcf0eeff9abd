"""Options and settings files follow from the fields of `Settings` and `Config`."""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from cormorant_np.config import Config
from cormorant_np.data import Dataset
from cormorant_np.errors import UserError
from cormorant_np.train import build_parser
from cormorant_np.training.options import add_options, documented, read_settings_file
from cormorant_np.training.settings import NETWORK_OF_DATA, Settings, network, new_settings


def parse(text):
    parser = argparse.ArgumentParser()
    add_options(parser)
    return vars(parser.parse_args(text.split()))


def ethanol():
    charges = np.array([[6, 6, 8, 1, 1, 1, 1, 1, 1]])
    return Dataset("ethanol", "none", charges, np.zeros((1, 9, 3)), np.zeros(1), None, "eV", {})


def test_every_field_is_an_option_with_a_line_of_help():
    options = {action.dest for action in build_parser()._actions}
    for kind in (Settings, Config):
        names = {field.name for field in dataclasses.fields(kind)} - {"network", *NETWORK_OF_DATA}
        assert names <= options
        assert all(len(documented(kind)[name]) > 5 for name in names)


def test_nothing_is_given_unless_it_is_typed():
    assert parse("") == {}
    assert parse("--no-mirror --lr 1e-4 --num-hidden 7 --self-pairs") == {
        "mirror": False,
        "lr": 1e-4,
        "num_hidden": 7,
        "self_pairs": True,
    }


@pytest.mark.parametrize(
    "text, l_max, l_max_sh",
    [
        ("", (3, 3, 3, 3), (3, 3, 3, 3)),
        ("--l-max 2", (2, 2, 2, 2), (2, 2, 2, 2)),
        ("--l-max 2 --num-layers 3", (2, 2, 2), (2, 2, 2)),
        ("--l-max 3 2 0", (3, 2, 0), (3, 2, 0)),
        ("--l-max 1 2 0 --l-max-sh 1", (1, 2, 0), (1, 1, 1)),
        ("--l-max-sh 4 2 --num-layers 2", (3, 3), (4, 2)),
    ],
)
def test_l_is_one_number_for_all_layers_or_one_for_each(text, l_max, l_max_sh):
    config = network(new_settings(parse(text)), ethanol().charges)
    assert (config.l_max, config.l_max_sh) == (l_max, l_max_sh)


def test_qm9s_last_layer_has_scalars_unless_every_layer_is_named():
    assert network(new_settings({"dataset": "qm9", "l_max": 2}), None).l_max == (2, 2, 2, 0)
    assert network(new_settings({"dataset": "qm9", "l_max": [2, 2]}), None).l_max == (2, 2)


def test_the_network_is_the_papers_but_for_what_is_typed():
    settings = new_settings(parse("--num-frequencies 2 --max-power 1 --clamp-cutoffs --gain 3"))
    config = network(settings, ethanol().charges)
    expected = Config.md17(species=(1, 6, 8), num_frequencies=2, max_power=1, clamp_cutoffs=True, gain=3.0)
    assert config == expected


def test_a_runs_config_json_is_a_settings_file(tmp_path):
    settings = new_settings(parse("--num-frequencies 2 --l-max 2 1 --lr 1e-4 --no-mirror"))
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"settings": dataclasses.asdict(settings), "network": {}, "mean": 0}), encoding="utf-8")
    again = new_settings(read_settings_file(path))
    assert network(again, ethanol().charges) == network(settings, ethanol().charges)
    assert (again.lr, again.mirror) == (1e-4, False)


def test_a_settings_file_may_name_any_field(tmp_path):
    path = tmp_path / "own.json"
    path.write_text('{"epochs": 7, "num_hidden": 9, "l_max": [2, 1], "lr": 1}', encoding="utf-8")
    settings = new_settings(read_settings_file(path))
    assert (settings.epochs, settings.network["num_hidden"], tuple(settings.l_max), settings.lr) == (7, 9, (2, 1), 1)


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"epoch": 7}', ["no setting 'epoch'"]),
        ('{"epochs": "7"}', ["'epochs' must be int", '"7"']),
        ('{"epochs": 7.5}', ["'epochs' must be int"]),
        ('{"mirror": 1}', ["'mirror' must be bool"]),
        ('{"vertex_order": "square"}', ["'vertex_order' must be list"]),
        ("[1]", ["one JSON object"]),
        ("{", ["not a JSON file"]),
    ],
)
def test_what_a_settings_file_gets_wrong_is_named(text, words, tmp_path):
    path = tmp_path / "own.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_settings_file(path)
    assert "own.json" in str(error.value) and all(word in str(error.value) for word in words)


def test_a_missing_settings_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.json does not exist"):
        read_settings_file(tmp_path / "nowhere.json")


def test_settings_from_python_are_those_of_json_and_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = new_settings({"data_file": Path("own.xyz"), "seed": np.int64(3), "lr": np.float64(1e-3)})
    assert json.loads(json.dumps(dataclasses.asdict(settings)))["data_file"] == str(tmp_path / "own.xyz")
    assert (settings.seed, settings.lr, settings.dataset) == (3, 1e-3, "file")


@pytest.mark.parametrize(
    "given, protocol, said",
    [
        ({"dataset": "foo"}, None, "data set must be one of"),
        ({}, "foo", "protocol one of paper, forces"),
        ({"epoch": 3}, None, "no setting epoch"),
        ({"mirror": "no"}, None, "mirror must be true or false, not 'no'"),
        ({"force_weight": "1"}, None, "force-weight must be a number, not negative, but it is '1'"),
        ({"data_file": 5}, None, "'5' is no path"),
    ],
)
def test_settings_that_there_are_not(given, protocol, said):
    with pytest.raises(UserError, match=said):
        new_settings(given, protocol)
