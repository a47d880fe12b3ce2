"""Configurations: frozen, validated, made of plain Python values."""

import dataclasses
import json

import numpy as np
import pytest

from dlcourse.config import ACTIVATIONS, MLPConfig


def test_defaults():
    config = MLPConfig(784)
    assert config == MLPConfig(784, (128, 64), 10, "relu", 0.0)
    assert config.sizes == (784, 128, 64, 10)
    assert MLPConfig(3, (), 1).sizes == (3, 1)


def test_frozen_and_hashable():
    config = MLPConfig(4, [3, 2])
    assert config.hidden == (3, 2) and {config: 1}[MLPConfig(4, (3, 2))] == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.inputs = 5


def test_numpy_integers_become_plain():
    config = MLPConfig(np.int64(4), (np.int32(3),), np.uint8(2))
    assert json.loads(json.dumps(dataclasses.asdict(config)))["hidden"] == [3]
    assert {type(size) for size in config.sizes} == {int}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation):
    assert MLPConfig(4, activation=activation).activation == activation


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inputs": 0}, "inputs holds 0: layer sizes are whole numbers of at least 1"),
        ({"inputs": -3}, "inputs holds -3"),
        ({"inputs": 4.0}, r"inputs holds 4\.0"),
        ({"inputs": "4"}, "inputs holds '4'"),
        ({"inputs": None}, "inputs holds None"),
        ({"inputs": True}, "inputs holds True"),
        ({"outputs": 0}, "outputs holds 0"),
        ({"hidden": (3, 0)}, "hidden holds 0"),
        ({"hidden": (3, 2.5)}, r"hidden holds 2\.5"),
        ({"hidden": 64}, r"hidden=64 is not a tuple: write one entry a hidden layer, hidden=\(64,\)"),
        ({"hidden": None}, "hidden=None is not a tuple"),
        ({"hidden": "64"}, "hidden='64' is not a tuple"),
        ({"activation": "swish"}, "unknown activation 'swish': choose one of relu, sigmoid, tanh, gelu"),
        ({"norm": "group"}, "unknown norm 'group': choose one of none, batch, layer, rms"),
        ({"activation": None}, "unknown activation None"),
        ({"dropout": 1.0}, r"dropout=1\.0: it is a probability, at least 0 and below 1"),
        ({"dropout": -0.1}, r"dropout=-0\.1"),
        ({"dropout": float("nan")}, "dropout=nan"),
        ({"dropout": "0.5"}, r"dropout='0\.5'"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MLPConfig(**{"inputs": 4} | options)
