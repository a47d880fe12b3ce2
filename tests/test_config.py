"""Configurations: frozen, validated, made of plain Python values."""

import dataclasses
import json

import numpy as np
import pytest

from dlcourse.boundary import Tokens
from dlcourse.config import ACTIVATIONS, CNNConfig, GPTConfig, MLPConfig, ResNetConfig, RNNConfig, TransformerConfig


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
        ({"inputs": (28, 28, 1)}, r"inputs=\(28, 28, 1\) is not a number: an MLP flattens its images, write inputs=784"),
        ({"outputs": (3,)}, r"outputs=\(3,\) is not a number: write one number"),
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


# ---------------------------------------------------------------- images


def test_the_default_is_lenet_5():
    config = CNNConfig()
    assert config.features == (5, 5, 16)
    assert config.sizes == (400, 120, 84, 10)
    assert config.padding == (2, 0)
    assert CNNConfig(padding=[2, 0]) == config


def test_one_padding_stands_for_all():
    config = CNNConfig((32, 32, 3), channels=(32, 64), padding=0, hidden=(1024,))
    assert config.padding == (0, 0) and config.features == (5, 5, 64) and config.sizes == (1600, 1024, 10)
    assert CNNConfig((9, 12, 1), channels=(2,), kernel=3, padding=np.int64(1), hidden=()).features == (4, 6, 2)


def test_images_have_plain_sizes_and_a_hash():
    config = CNNConfig([np.int64(28), 28, 1], channels=[np.int32(6), 16], kernel=np.int8(5))
    assert {config: 1}[CNNConfig()] == 1
    assert json.loads(json.dumps(dataclasses.asdict(config)))["inputs"] == [28, 28, 1]
    residual = ResNetConfig([32, 32, np.int64(3)], stem=np.uint8(16))
    assert {residual: 1}[ResNetConfig()] == 1
    assert json.loads(json.dumps(dataclasses.asdict(residual)))["stem"] == 16


def test_depth_and_plan():
    assert [ResNetConfig(blocks=(n, n, n)).depth for n in (3, 5, 9, 18)] == [20, 32, 56, 110]
    config = ResNetConfig(widths=(16, 32), blocks=(2, 1), strides=(1, 2), stem=8)
    assert config.depth == 8
    assert config.plan == [("residual", 8, 16, 1), ("residual", 16, 16, 1), ("residual", 16, 32, 2)]
    config = ResNetConfig(widths=(16, 32), blocks=(2, 0), strides=(2, 3), stem=8, down="pool")
    assert config.depth == 8
    assert config.plan == [("pool", 8, 16, 2), ("residual", 16, 16, 1), ("residual", 16, 16, 1), ("pool", 16, 32, 3)]


IMAGES_REFUSED = [
    ({"inputs": 784}, "inputs=784: an image is (height, width, channels), for example (28, 28, 1)"),
    ({"inputs": (28, 28)}, "inputs=(28, 28): an image is (height, width, channels), for example (28, 28, 1)"),
    ({"inputs": (28, 28, 0)}, "inputs holds 0: an image's sides and channels are whole numbers of at least 1"),
    ({"inputs": (28, 28.0, 1)}, "inputs holds 28.0: an image's sides and channels are whole numbers of at least 1"),
    (
        {"inputs": (3, 32, 32)},
        "inputs=(3, 32, 32) has the channels first, but an image is (height, width, channels): write inputs=(32, 32, 3)",
    ),
    ({"outputs": 0}, "outputs holds 0: "),
    ({"outputs": (10,)}, "outputs=(10,) is not a number: write one number, outputs=3"),
]
CNN_REFUSED = [
    (
        {"inputs": (8, 9, 1)},
        "convs.1 has a kernel of 5 but its images have 4 x 4 pixels, padding=0 included: "
        "use kernel=4 or less, padding=1 for this layer, or larger images",
    ),
    (
        {"inputs": (28, 2, 1), "kernel": 7, "padding": 1},
        "convs.0 has a kernel of 7 but its images have 30 x 4 pixels, padding=1 included: "
        "use kernel=4 or less, padding=3 for this layer, or larger images",
    ),
    (
        {"inputs": (5, 6, 1), "channels": (4,), "padding": 0},
        "convs.0 leaves 1 x 2 pixels, too few for the 2 x 2 pooling behind it: use more padding, fewer convolutions or larger images",
    ),
    ({"channels": 6}, "channels=6 is not a tuple: write one entry a layer, channels=(6,)"),
    ({"channels": ()}, "padding=(2, 0) for channels=(): give at least one convolution, and one padding for each"),
    ({"channels": (6, 0)}, "channels holds 0: layer sizes are whole numbers of at least 1"),
    ({"padding": (2,)}, "padding=(2,) for channels=(6, 16): give at least one convolution, and one padding for each"),
    ({"padding": -1}, "padding holds -1: paddings are whole numbers of at least 0"),
    ({"padding": True}, "padding holds True: paddings are whole numbers of at least 0"),
    ({"padding": 0.5}, "padding=0.5 is not a tuple"),
    ({"kernel": 0}, "kernel holds 0: layer sizes are whole numbers of at least 1"),
    ({"kernel": (3, 3)}, "kernel=(3, 3) is not a number: write one number, kernel=3"),
    ({"hidden": 84}, "hidden=84 is not a tuple: write one entry a layer, hidden=(84,)"),
    ({"pool": "mean"}, "unknown pool 'mean': choose one of max, avg"),
    ({"activation": "swish"}, "unknown activation 'swish': choose one of relu, sigmoid, tanh, gelu"),
    ({"dropout": 1.0}, "dropout=1.0: it is a probability, at least 0 and below 1"),
]
RESNET_REFUSED = [
    ({"widths": 16}, "widths=16 is not a tuple: write one entry a layer, widths=(16,)"),
    ({"strides": (1, 2)}, "widths=(16, 32, 64), blocks=(3, 3, 3), strides=(1, 2): give one entry of each for every stage"),
    ({"widths": (), "blocks": (), "strides": ()}, "widths=(), blocks=(), strides=(): give one entry of each for every stage"),
    ({"strides": (1, 2, 0)}, "strides holds 0: the sizes of a network are whole numbers of at least 1"),
    ({"blocks": (3, 0, 3)}, "blocks holds 0: blocks of a stage are whole numbers of at least 1"),
    ({"blocks": (3, -1, 3), "down": "pool"}, "blocks holds -1: blocks of a stage are whole numbers of at least 0"),
    ({"down": "max"}, "unknown down 'max': choose one of stride, pool"),
    (
        {"down": "pool", "strides": (4, 4, 3), "inputs": (32, 40, 3)},
        "strides=(4, 4, 3) pool an image of 2 x 2 pixels by 3: use smaller strides or larger images",
    ),
    ({"identity": 1}, "identity=1: it is True or False"),
    ({"identity": True, "skip": False}, 'identity=True needs the skip and a norm whose weight can be 0: use skip=True and norm="batch"'),
    ({"identity": True, "norm": "none"}, "identity=True needs the skip and a norm"),
    ({"stem": 2.5}, "stem holds 2.5: the sizes of a network are whole numbers of at least 1"),
    ({"stem": (16,)}, "stem=(16,) is not a number: write one number, stem=3"),
    ({"norm": "layer"}, "unknown norm 'layer': choose one of batch, none"),
    ({"skip": "no"}, "skip='no': it is True or False"),
]


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        *[(kind, *case) for kind in (CNNConfig, ResNetConfig) for case in IMAGES_REFUSED],
        *[(CNNConfig, *case) for case in CNN_REFUSED],
        *[(ResNetConfig, *case) for case in RESNET_REFUSED],
    ],
)
def test_image_networks_refuse(kind, options, sentence):
    with pytest.raises(ValueError) as caught:
        kind(**options)
    assert sentence in str(caught.value)


def test_the_smallest_images():
    assert CNNConfig((6, 6, 1), channels=(1,), padding=0).features == (1, 1, 1)
    assert CNNConfig((2, 2, 1), channels=(1,), padding=2).features == (1, 1, 1)
    assert ResNetConfig((1, 1, 1)).depth == 20
    assert CNNConfig((3, 3, 3), channels=(2,), kernel=1, padding=0).features == (1, 1, 2)  # the same both ways: channels last


# ---------------------------------------------------------------- recurrent networks


def test_recurrent_networks():
    config = RNNConfig(np.int64(65))
    assert config == RNNConfig(65, 64, 128, 1, "lstm", None, None, 0.0)
    assert config.inputs == Tokens(65, None) and config.outputs == 65
    classifier = RNNConfig(17, classes=np.int8(10), context=64)
    assert classifier.inputs == Tokens(17, 64) and classifier.outputs == 10
    assert json.loads(json.dumps(dataclasses.asdict(classifier)))["classes"] == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab": 0}, "vocab holds 0: the sizes of a recurrent network are whole numbers of at least 1"),
        ({"hidden": (8, 8)}, r"hidden=\(8, 8\) is not a number"),
        ({"layers": 1.5}, r"layers holds 1\.5"),
        ({"embed": None}, "embed holds None"),
        ({"classes": 0}, "classes holds 0"),
        ({"context": -1}, "context holds -1"),
        ({"cell": "LSTM"}, "unknown cell 'LSTM': choose one of rnn, gru, lstm"),
        ({"dropout": 1}, "dropout=1: it is a probability"),
    ],
)
def test_recurrent_networks_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RNNConfig(**{"vocab": 5} | options)


def test_gpt():
    config = GPTConfig(np.int64(65))
    assert (config.hidden, config.outputs, config.inputs) == (512, 65, Tokens(65, 64)) and config == GPTConfig(65, hidden=512)
    assert type(config.vocab) is int and {config: 1}[GPTConfig(65)] == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"width": 10, "heads": 4}, "width=10 is not divisible by heads=4, but each head takes an equal share: choose heads=5, or width=8"),
        ({"width": 6, "heads": 2, "positions": "rotary"}, "a head has 3 channels, but rotary positions turn pairs of them"),
        ({"width": 5, "heads": 1, "positions": "sinusoidal"}, "width=5 is odd, but sines and cosines come in pairs: take width=6"),
        ({"vocab": 0}, "vocab holds 0: the sizes of a GPT are whole numbers of at least 1"),
        ({"context": 2.5}, "context holds 2.5"),
        ({"layers": (4,)}, "layers=(4,) is not a number: write one number"),
        ({"hidden": 0}, "hidden holds 0"),
        ({"dropout": 1.0}, "dropout=1.0: it is a probability"),
        ({"positions": "rope"}, "unknown positions 'rope': choose one of learned, sinusoidal, rotary, alibi, none"),
        ({"norm": "batch"}, "unknown norm 'batch': choose one of layer, rms"),
        ({"activation": "tanh"}, "unknown activation 'tanh': choose one of gelu, silu, relu"),
        ({"bias": 1}, "bias=1: it is True or False"),
        ({"tied": "yes"}, "tied='yes': it is True or False"),
    ],
)
def test_gpt_refuses(options, sentence):
    with pytest.raises(ValueError) as caught:
        GPTConfig(**({"vocab": 65} | options))
    assert sentence in str(caught.value)


# ---------------------------------------------------------------- encoder and decoder


def test_encoder_decoder():
    config = TransformerConfig(np.int64(61), source=np.int32(28), target=11)
    assert config == TransformerConfig(61, 28, 11, 2, 4, 64, 256, 0.0, True, "sinusoidal", 0, True, "relu")
    assert config.inputs == Tokens(61, 39, 28, pad=0) and config.outputs == 61
    assert json.loads(json.dumps(dataclasses.asdict(config)))["vocab"] == 61


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab": 0}, "vocab holds 0: the sizes of a Transformer are whole numbers of at least 1"),
        ({"source": 2.5}, r"source holds 2\.5"),
        ({"target": (3,)}, r"target=\(3,\) is not a number"),
        ({"layers": 0}, "layers holds 0"),
        ({"heads": 3}, "width=64 is not divisible by heads=3"),
        ({"width": 7, "heads": 7}, "width=7 is odd, but sines and cosines come in pairs: take width=8"),
        ({"width": "64"}, "width holds '64'"),
        ({"pad": 5}, "pad=5 but vocab is 5: the padding is one of the tokens 0 ... 4"),
        ({"pad": -1}, "pad holds -1: tokens are whole numbers of at least 0"),
        ({"positions": "rotary"}, "unknown positions 'rotary': choose one of sinusoidal, learned"),
        ({"activation": "tanh"}, "unknown activation 'tanh'"),
        ({"norm_first": 1}, "norm_first=1: it is True or False"),
        ({"dropout": 1.0}, r"dropout=1\.0: it is a probability"),
    ],
)
def test_encoder_decoder_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**{"vocab": 5, "source": 4, "target": 3} | options)


def test_an_encoder_decoder_refuses_a_source_alone():
    from dlcourse.boundary import check_inputs

    config = TransformerConfig(9, 4, 3)
    with pytest.raises(
        ValueError, match=r"sequences of 4 tokens, but 4 are the source and the decoder needs one at least: pass source and"
    ):
        check_inputs(np.ones((2, 4), int), config.inputs)
    check_inputs(np.ones((2, 5), int), config.inputs)
