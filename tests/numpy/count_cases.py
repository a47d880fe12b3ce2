"""Checks of what `count` says of training, memory and time, and of the networks that are counted only; its other checks are in models.py."""

import math

from dlcourse.config import BERTConfig, CNNConfig, GPTConfig, MLPConfig, ResNetConfig, RNNConfig
from tests.numpy.models import raises

MLP = MLPConfig(9, (8, 7), 3)
GPT = GPTConfig(11, 7, layers=3, heads=2, width=8, hidden=20)
GPT2 = GPTConfig(50257, 1024, 12, 12, 768, bias=True)


def check_bottlenecks(count):
    """The numbers of parameters that torchvision publishes, the multiply-adds of He et al. (2016), and a small network by hand."""
    for stages, parameters, giga in (
        (((64, 3), (128, 4), (256, 6), (512, 3)), 25_557_032, 3.858),
        (((64, 3), (128, 4), (256, 23), (512, 3)), 44_549_160, 7.570),
        (((64, 3), (128, 8), (256, 36), (512, 3)), 60_192_808, 11.282),
    ):
        config = count.Bottlenecks(stages=stages)
        assert count.parameters(config) == count.parameters(count.Bottlenecks(stages=stages, late=True)) == parameters
        assert round(count.flops(config) / 2e9, 3) == giga
    assert count.Bottlenecks() == count.Bottlenecks((224, 224, 3), ((64, 3), (128, 4), (256, 6), (512, 3)), 1000, False)
    assert round(count.flops(count.Bottlenecks(late=True)) / 2e9, 3) == 4.089
    for late, inner in ((False, (5, 3)), (True, (10, 6))):
        convolutions = [  # name, kernel, inputs, outputs, output's sides
            ("stem", 7, 2, 64, (19, 12)),
            ("blocks.0.conv_1", 1, 64, 3, (10, 6)),
            ("blocks.0.conv_2", 3, 3, 3, (10, 6)),
            ("blocks.0.conv_3", 1, 3, 12, (10, 6)),
            ("blocks.0.project", 1, 64, 12, (10, 6)),
            ("blocks.1.conv_1", 1, 12, 3, (10, 6)),
            ("blocks.1.conv_2", 3, 3, 3, (10, 6)),
            ("blocks.1.conv_3", 1, 3, 12, (10, 6)),
            ("blocks.2.conv_1", 1, 12, 5, inner),
            ("blocks.2.conv_2", 3, 5, 5, (5, 3)),
            ("blocks.2.conv_3", 1, 5, 20, (5, 3)),
            ("blocks.2.project", 1, 12, 20, (5, 3)),
        ]
        expected = []
        for name, k, i, o, sides in convolutions:
            expected.append((name, (*sides, o), k * k * i * o, 2 * sides[0] * sides[1] * k * k * i * o))
            expected.append((f"{name}_norm", (*sides, o), 2 * o, 0))
        expected.append(("head", (4,), 20 * 4 + 4, 2 * 20 * 4))
        rows = count.layers(count.Bottlenecks((37, 23, 2), ((3, 2), (5, 1)), 4, late))
        assert [(row.name, row.shape, row.parameters, row.flops) for row in rows] == expected


def check_training_flops(count):
    """Three products for one, but for the layer that reads the data."""
    assert count.training_flops(MLP) == 2 * (2 * 9 * 8 + 3 * (8 * 7 + 7 * 3))
    assert count.training_flops(MLPConfig(5, (), 2)) == 2 * 2 * 5 * 2
    lenet = CNNConfig()
    assert count.training_flops(lenet) == 3 * count.flops(lenet) - 2 * 28 * 28 * 6 * 25
    assert count.training_flops(GPT) == 3 * count.flops(GPT)
    bert = BERTConfig(11, 7, layers=1, heads=2, width=8)
    assert count.training_flops(bert) == 3 * count.flops(bert)


def check_activations(count):
    """Each array once, by hand."""
    assert count.activations(MLP) == 9 + 8 + 7 + 3
    for activation in ("sigmoid", "tanh"):
        assert count.activations(MLPConfig(9, (8, 7), 3, activation=activation)) == 27
    assert count.activations(MLPConfig(9, (8, 7), 3, activation="gelu")) == 27 + 8 + 7
    block = {"gelu": 8 * 8 + 2 * 20 + 4 + 2, "relu": 8 * 8 + 20 + 4 + 2, "silu": 8 * 8 + 2 * 20 + 4 + 2}
    for activation, numbers in block.items():
        for positions in ("learned", "sinusoidal", "none"):
            config = GPTConfig(11, 7, 3, 2, 8, 20, activation=activation, positions=positions)
            assert count.activations(config) == 7 * (3 * numbers + 2 * 8 + 2 + 11)
    for config in (ResNetConfig(), CNNConfig(), RNNConfig(7), BERTConfig(11)):
        message = f"activations of a {type(config).__name__} were not derived: pass an MLPConfig or a GPTConfig"
        raises(ValueError, message, lambda config=config: count.activations(config))
    for options in ({"norm": "batch"}, {"dropout": 0.1}):
        raises(ValueError, 'MLP with norm="none"', lambda options=options: count.activations(MLPConfig(9, **options)))
    for options in ({"norm": "rms"}, {"dropout": 0.1}, {"positions": "rotary"}, {"positions": "alibi"}):
        raises(ValueError, 'GPT with norm="layer"', lambda options=options: count.activations(GPTConfig(11, **options)))


def check_memory(count):
    """Bytes by what they are for, and their sum."""
    p, a = count.parameters(MLP), 27
    assert count.training_memory(MLP) == count.Memory(4 * p, 4 * p, 8 * p, 4 * a, 0)
    assert count.training_memory(MLP, 5, slots=1) == count.Memory(4 * p, 4 * p, 4 * p, 4 * 5 * a)
    assert count.training_memory(MLP, 5, 0).total == 8 * p + 20 * a
    for slots in (0, 1, 2):
        mixed = count.training_memory(MLP, 3, slots, mixed=True)
        assert mixed == count.Memory(2 * p, 2 * p, 4 * (slots + 1) * p, 2 * 3 * a)
    assert count.Memory(1).total == 1 and count.Memory(1, 2, 4, 8, 16).total == 31
    assert count.inference_memory(MLP) == count.Memory(4 * p, activations=4 * 17)
    assert count.inference_memory(MLP, 5, size=2) == count.Memory(2 * p, activations=2 * 5 * 17)
    for vocab, alive in ((11, 8 + 20), (50, 8 + 50)):
        gpt = GPTConfig(vocab, 7, layers=3, heads=2, width=8, hidden=20)
        memory = count.inference_memory(gpt, 5, size=2)
        assert memory == count.Memory(2 * count.parameters(gpt), activations=2 * 5 * alive, cache=2 * 5 * 2 * 3 * 7 * 8)
    for call in (count.training_memory, count.inference_memory):
        raises(ValueError, "batch=0", lambda call=call: call(MLP, 0))
        raises(ValueError, "were not derived", lambda call=call: call(CNNConfig()))
    raises(ValueError, "size=0", lambda: count.inference_memory(MLP, size=0))
    for slots in (-1, 3):
        raises(ValueError, f"slots={slots}: an optimizer keeps 0", lambda slots=slots: count.training_memory(MLP, slots=slots))


def check_seconds(count):
    """GPT-2 on a device that is given, and the two bounds of a token."""
    weights = 12 * 12 * 768 * 768 + 50257 * 768
    a_token = 6 * weights + 3 * 4 * 12 * 768 * 1024
    assert count.training_seconds(GPT2, 1000, 2e12, 0.5) == a_token * 1000 / 1e12
    assert count.training_seconds(GPT2, 1000, 1e12, 1) == a_token * 1000 / 1e12
    for utilisation in (0, -0.5, 1.5):
        message = f"utilisation={utilisation}: it is the share"
        raises(ValueError, message, lambda utilisation=utilisation: count.training_seconds(GPT2, 1, 1e12, utilisation))
    read = count.parameters(GPT2)
    assert count.token_seconds(GPT2, 1e15, 1e9) == 2 * read / 1e9
    assert count.token_seconds(GPT2, 1e15, 1e9, 7, size=4) == 4 * read / 1e9
    assert count.token_seconds(GPT2, 1e9, 1e15, 7) == 7 * 2 * weights / 1e9
    assert count.token_seconds(GPT2, 1e9, 1e15) == 2 * weights / 1e9
    for value in (0, -1.0, math.inf, math.nan):
        for name in ("tokens", "peak"):
            message = f"{name}={value}: it is a number above 0"
            given = {"tokens": 1, "peak": 1e12, name: value}
            raises(ValueError, message, lambda given=given: count.training_seconds(GPT2, utilisation=0.5, **given))
        for name in ("peak", "bandwidth", "size"):
            message = f"{name}={value}: it is a number above 0"
            given = {"peak": 1e12, "bandwidth": 1e9, name: value}
            raises(ValueError, message, lambda given=given: count.token_seconds(GPT2, **given))
    assert count.token_seconds(GPT2, 1e15, 1e9, size=0.5) == read / 2 / 1e9
    raises(ValueError, "batch=0", lambda: count.token_seconds(GPT2, 1e12, 1e9, batch=0))


def check_costs(count):
    for check in (check_bottlenecks, check_training_flops, check_activations, check_memory, check_seconds):
        check(count)
