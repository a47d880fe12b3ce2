"""Parameters and operations from a configuration: those of the built models, and those that were published."""

import numpy as np
import pytest

import dlcourse
from dlcourse import count
from dlcourse.config import BERTConfig, CNNConfig, GPTConfig, MLPConfig, ResNetConfig, RNNConfig
from dlcourse.errors import need
from dlcourse.recipes import ARTICLE_NETWORKS
from tests.numpy import models

CONFIGS = {
    **ARTICLE_NETWORKS,
    "batch norm": MLPConfig(9, (8, 7), 3, norm="batch"),
    "layer norm": MLPConfig(9, (8, 7), 3, norm="layer"),
    "rms norm": MLPConfig(9, (8, 7), 3, norm="rms"),
    "nothing to normalise": MLPConfig(9, (), 3, norm="batch"),
    "LeNet-5": CNNConfig(),
    "odd sides": CNNConfig((13, 9, 2), channels=(3, 4), kernel=3, padding=(1, 0), pool="avg", hidden=()),
    "ResNet-8": ResNetConfig(blocks=(1, 1, 1)),
    "ResNet, odd sides": ResNetConfig((13, 9, 1), widths=(4, 6, 6), blocks=(2, 1, 1), strides=(2, 1, 3), stem=5),
    "with pooling": ResNetConfig((13, 9, 1), widths=(4, 6), blocks=(2, 0), strides=(2, 3), stem=5, down="pool"),
    "without skips": ResNetConfig((8, 8, 3), widths=(4, 8), blocks=(1, 2), strides=(1, 2), skip=False),
    "without norms": ResNetConfig((8, 8, 3), widths=(4, 8), blocks=(1, 2), strides=(1, 2), norm="none"),
}
each_config = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


@each_config
def test_as_many_as_the_built_model_has(config):
    name = type(config).__name__.removesuffix("Config")
    model = getattr(dlcourse.backend("numpy"), name)(config)
    sizes = {}
    for parameter, p in model.named_parameters():
        layer = parameter.rpartition(".")[0]
        sizes[layer] = sizes.get(layer, 0) + p.data.size
    assert {row.name: row.parameters for row in count.layers(config)} == sizes
    assert count.parameters(config) == sum(sizes.values())


@each_config
def test_shapes_and_operations_seen_while_the_model_runs(config):
    """PyTorch's layers are watched: one output number of a convolution or Linear layer is a sum over one row of the weight."""
    torch = need("torch", extra="torch")
    model = getattr(dlcourse.backend("torch"), type(config).__name__.removesuffix("Config"))(config)
    shapes, operations = {}, {}

    def watch(name, layer):
        def hook(_, __, y):
            shapes[name] = (*y.shape[2:], y.shape[1])
            operations[name] = 2 * y.numel() * layer.weight[0].numel() if layer.weight.ndim > 1 else 0

        return hook

    for name, layer in model.named_modules():
        if hasattr(layer, "weight"):
            layer.register_forward_hook(watch(name, layer))
    shape = config.inputs if isinstance(config.inputs, tuple) else (config.inputs,)
    with torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    rows = count.layers(config)
    assert {row.name: row.shape for row in rows} == shapes
    assert {row.name: row.flops for row in rows} == operations
    assert count.flops(config) == sum(operations.values())


@pytest.mark.parametrize(("n", "millions"), [(3, 0.27), (5, 0.46), (7, 0.66), (9, 0.85), (18, 1.7)])
def test_the_published_networks(n, millions):
    """He et al. (2016), table 6: ResNet-20, -32, -44, -56, -110. Their shortcuts have no parameters."""
    rows = count.layers(ResNetConfig(blocks=(n, n, n)))
    theirs = sum(row.parameters for row in rows if "project" not in row.name)
    assert round(theirs / 1e6, 1 if millions > 1 else 2) == millions
    assert sum(row.parameters for row in rows) - theirs == 32 * 16 + 64 * 32 + 2 * (32 + 64)
    deepest = [row for row in rows if row.flops and "project" not in row.name]
    assert len(deepest) == ResNetConfig(blocks=(n, n, n)).depth == 6 * n + 2


def test_models_of_text():
    models.check_count_of_text(count)


@pytest.mark.parametrize(
    "config",
    [c for c in models.TEXT.values() if not isinstance(c, RNNConfig)],
    ids=[k for k in models.TEXT if "RNN LSTM GRU".find(k[:3]) < 0],
)
def test_operations_of_text_as_pytorch_counts_them(config):
    """Matrix products without those between queries, keys and values, which have no weights."""
    torch = need("torch", extra="torch")
    flop_counter = need("torch.utils.flop_counter", extra="torch")
    model = getattr(dlcourse.backend("torch"), type(config).__name__.removesuffix("Config"))(config)
    tokens = config.inputs.context
    with flop_counter.FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.ones(1, tokens, dtype=torch.long))
    products = {"aten.mm", "aten.addmm"}
    counted = sum(
        n for op, n in counter.get_flop_counts()["Global"].items() if str(op).rsplit(".", 1)[0] in products or str(op) in products
    )
    assert count.flops(config) == counted


def test_the_operations_of_a_token_and_the_size_of_a_cache():
    models.check_count_of_tokens(count)


@pytest.mark.parametrize(
    ("layers", "width", "published"), [(12, 768, 124_439_808), (24, 1024, 354_823_168), (36, 1280, 774_030_080), (48, 1600, 1_557_611_200)]
)
def test_the_four_sizes_of_gpt2(layers, width, published):
    assert count.parameters(GPTConfig(50257, 1024, layers, width // 64, width, bias=True)) == published


def test_bert_base():
    assert count.parameters(BERTConfig(30522, 512, 12, 12, 768)) == 110_106_428


def test_by_hand():
    """LeNet-5 with all connections between its maps: 156 + 2,416 + 48,120 + 10,164 + 850."""
    rows = count.layers(CNNConfig())
    assert [row.parameters for row in rows] == [156, 2416, 48120, 10164, 850]
    assert [row.shape for row in rows] == [(28, 28, 6), (10, 10, 16), (120,), (84,), (10,)]
    assert rows[0].flops == 2 * 28 * 28 * 6 * 25
    assert count.parameters(MLPConfig(784)) == 109_386 and count.flops(MLPConfig(784)) == 2 * (784 * 128 + 128 * 64 + 64 * 10)


def test_whole_numbers():
    for row in count.layers(ResNetConfig(blocks=(1, 1, 1))):
        assert {type(number) for number in (row.parameters, row.flops, *row.shape)} == {int}


def test_refused():
    with pytest.raises(ValueError, match=r"cannot count a dict: pass a configuration such as MLPConfig\(inputs=64\)"):
        count.parameters({"inputs": np.int64(3)})
