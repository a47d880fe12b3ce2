"""Parameters and operations from a configuration: those of the built models, and those that were published."""

import functools

import numpy as np
import pytest

import dlcourse
from dlcourse import count, operations
from dlcourse.config import BERTConfig, CNNConfig, GPTConfig, MLPConfig, ResNetConfig, RNNConfig, TransformerConfig
from dlcourse.errors import need
from dlcourse.initial import initial_state
from dlcourse.numpy import functional
from dlcourse.recipes import ARTICLE_NETWORKS
from tests.numpy import count_cases, models

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


TEXT = {
    "GPT": GPTConfig(11, 7, layers=3, heads=2, width=8, hidden=20),
    "GPT with a head of its own": GPTConfig(11, 7, layers=1, heads=1, width=8, tied=False, norm="rms"),
}


@pytest.mark.parametrize("config", [*CONFIGS.values(), *TEXT.values()], ids=[*CONFIGS, *TEXT])
def test_products_of_numpy_while_the_model_runs(config, monkeypatch):
    """Every matrix product forward, attention's among them, noted by the arrays of the weights. Norms are left out, as in `count`."""
    model = getattr(dlcourse.backend("numpy"), type(config).__name__.removesuffix("Config"))(config)
    model.load_state(initial_state(config, 0, np.float64))
    model.eval()
    tally, rng, wanted = {}, np.random.default_rng(0), count.flops(config)

    def unseen(norm, *arguments, **options):
        y, backward = norm(*(np.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments), **options)
        return operations.watch(y, tally), backward

    for name in ("batch_norm", "layer_norm", "rms_norm"):  # which add up by products of their own
        monkeypatch.setattr(functional, name, functools.partial(unseen, vars(functional)[name]))
    for _, p in model.named_parameters():
        p.data = operations.watch(p.data, tally)
    if isinstance(config, GPTConfig):
        x = rng.integers(0, config.vocab, (3, config.context))
        wanted += count.attention_flops(config, config.context)
    else:
        x = rng.normal(size=(3, *(config.inputs if isinstance(config.inputs, tuple) else (config.inputs,))))
    y = np.asarray(model(x)[0])
    assert tally["matmul"] == 3 * wanted and np.isfinite(y).all()


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


EVERY = {
    **CONFIGS,
    **TEXT,
    **models.TEXT,
    "dropout of attention": GPTConfig(11, 7, layers=1, heads=2, width=8, dropout=0.1),
    "ALiBi": GPTConfig(11, 7, layers=1, heads=2, width=8, positions="alibi"),
}
WORDS = 6  # of a text that a recurrent network reads


def numbers_for(config, rows):
    """What the model of a configuration reads: images, features, or tokens (padding and separators excepted)."""
    rng = np.random.default_rng(0)
    if not hasattr(config, "vocab"):
        shape = config.inputs if isinstance(config.inputs, tuple) else (config.inputs,)
        return rng.normal(size=(rows, *shape)).astype(np.float32)
    if isinstance(config, TransformerConfig):
        return rng.integers(5, config.vocab, (rows, config.source + config.target))
    return rng.integers(5, config.vocab, (rows, WORDS if isinstance(config, RNNConfig) else config.context))


def products_of(config):
    """The operations of one example forward, attention's among them, by `count` and what it leaves to its caller."""
    forward = count.flops(config)
    if isinstance(config, GPTConfig | BERTConfig):
        return forward + count.attention_flops(config, config.context)
    if isinstance(config, TransformerConfig):  # of the encoder, of the decoder, and between them
        pairs = config.source**2 + config.target**2 + config.target * config.source
        return forward + 4 * config.layers * config.width * pairs
    if isinstance(config, RNNConfig):  # `count` has one token; the first has no state before it, and classes come after the last
        gates, head = {"rnn": 1, "gru": 3, "lstm": 4}[config.cell], count.layers(config)[-1].flops
        once = 2 * gates * config.layers * config.hidden**2 + (head * (WORDS - 1) if config.classes else 0)
        return WORDS * forward - once
    return forward


def total(y):
    """The sum of all outputs, of a pair of arrays, too: its gradients take every product of a step."""
    return sum(part.sum() for part in y) if isinstance(y, tuple) else y.sum()


def torch_counts(config, rows):
    """The operations that PyTorch's counter sees, of an answer and of a step; it does not know fused attention, nor recurrent layers."""
    torch, attention = need("torch", extra="torch"), need("torch.nn.attention", extra="torch")
    flop_counter = need("torch.utils.flop_counter", extra="torch")
    model = getattr(dlcourse.backend("torch"), type(config).__name__.removesuffix("Config"))(config)
    x = torch.from_numpy(numbers_for(config, rows))
    with attention.sdpa_kernel(attention.SDPBackend.MATH):
        with flop_counter.FlopCounterMode(display=False) as answer, torch.no_grad():
            model.eval()(x)
        with flop_counter.FlopCounterMode(display=False) as step:
            total(model.train()(x)).backward()
    return answer.get_total_flops(), step.get_total_flops()


def mlx_counts(config, rows):
    """The operations that stand in MLX's graphs: of an answer, and of the gradients of the sum of all outputs."""
    mx, nn = need("mlx.core", extra="mlx"), need("mlx.nn", extra="mlx")
    model, x = getattr(dlcourse.backend("mlx"), type(config).__name__.removesuffix("Config"))(config), mx.array(numbers_for(config, rows))
    answer = operations.mlx_products(model.eval(), model, x)
    step = operations.mlx_products(model.train(), nn.value_and_grad(model, lambda x: total(model(x))), x)
    return sum(answer.values()), sum(step.values())


def counts_of(config, rows):
    """(forward, forward and backward without the gradient of the data) by `dlcourse.count`."""
    forward = products_of(config)
    return rows * forward, rows * (3 * forward - count.layers(config)[0].flops)


@pytest.mark.parametrize("name", [name for name, config in EVERY.items() if not isinstance(config, RNNConfig)])
def test_operations_as_pytorch_counts_them(name):
    assert torch_counts(EVERY[name], 3) == counts_of(EVERY[name], 3)


@pytest.mark.parametrize("config", EVERY.values(), ids=EVERY)
def test_operations_in_the_graph_of_mlx(config):
    assert mlx_counts(config, 3) == counts_of(config, 3)


def test_losses_add_no_products_in_mlx():
    mx, mlx = need("mlx.core", extra="mlx"), dlcourse.backend("mlx")
    sizes = {"cross_entropy": 3, "mse": 3, "huber": 3, "binary_cross_entropy": 1, "hinge": 1, "focal": 1}
    for loss, outputs in sizes.items():
        config = MLPConfig(9, (8, 7), outputs)
        model = mlx.MLP(config)
        learner = mlx.Learner(model, mlx.Adam(model), loss)
        targets = mx.array([0, 1, 1, 0]) if loss == "cross_entropy" else mx.ones((4, outputs))
        step = operations.mlx_products(model, learner.loss_and_gradients, mx.ones((4, 9)), targets)
        assert sum(step.values()) == 4 * count.training_flops(config), loss
    config = models.TEXT["BERT"]
    model = mlx.BERT(config)
    learner = mlx.Learner(model, mlx.Adam(model), "pretraining")
    targets = np.full((3, 8), -100)
    targets[:, 0], targets[:, 3] = 1, 5
    step = operations.mlx_products(model, learner.loss_and_gradients, mx.array(numbers_for(config, 3)), mx.array(targets))
    assert sum(step.values()) == 3 * 3 * products_of(config)


def test_the_list_of_what_makes_no_products_is_needed(monkeypatch):
    """Each name of MLX_OTHERS stands in the graph of a model or a loss."""
    seen = set()

    class Noting(frozenset):
        def __contains__(self, name):
            seen.add(name)
            return super().__contains__(name)

    listed = operations.MLX_OTHERS
    monkeypatch.setattr(operations, "MLX_OTHERS", Noting(listed))
    for config in EVERY.values():
        mlx_counts(config, 2)
    test_losses_add_no_products_in_mlx()
    assert seen == listed | {"Matmul", "AddMM", "Convolution"}


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


def test_training_memory_and_time():
    count_cases.check_costs(count)


def resnet50(nn, config):
    """The bottleneck network in plain PyTorch, after He et al. (2016): a list of its parts, and how an image goes through them."""

    class Block(nn.Module):
        def __init__(self, inputs, width, stride, changes):
            super().__init__()
            early, late = (1, stride) if config.late else (stride, 1)
            self.branch = nn.Sequential(
                nn.Conv2d(inputs, width, 1, early, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, late, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
                nn.Conv2d(width, 4 * width, 1, bias=False),
                nn.BatchNorm2d(4 * width),
            )
            project = nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            self.skip = nn.Sequential(*project) if changes else nn.Identity()

        def forward(self, x):
            return nn.functional.relu(self.branch(x) + self.skip(x))

    inputs = 64
    parts = [nn.Conv2d(3, inputs, 7, 2, padding=3, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)]
    for stage, (width, blocks) in enumerate(config.stages):
        for i in range(blocks):
            parts.append(Block(inputs, width, 2 if stage > 0 and i == 0 else 1, changes=i == 0))
            inputs = 4 * width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, config.outputs))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("blocks", [(3, 4, 6, 3), (3, 4, 23, 3)])
def test_bottleneck_network_built_in_pytorch(blocks, late):
    """Without a single number: tensors on the device "meta" have a shape only, and the counter watches the operations."""
    torch = need("torch", extra="torch")
    flop_counter = need("torch.utils.flop_counter", extra="torch")
    config = count.Bottlenecks(stages=tuple(zip((64, 128, 256, 512), blocks, strict=True)), late=late)
    with torch.device("meta"), flop_counter.FlopCounterMode(display=False) as counter:
        network = resnet50(torch.nn, config)
        logits = network(torch.empty(1, 3, 224, 224))
    assert logits.shape == (1, 1000)
    assert sum(p.numel() for p in network.parameters()) == count.parameters(config)
    assert counter.get_total_flops() == count.flops(config)


LARGE = {
    "BERT-base": BERTConfig(30522, 512, 12, 12, 768),
    "GPT-2 small": GPTConfig(50257, 1024, 12, 12, 768, bias=True),
    "GPT-2 XL": GPTConfig(50257, 1024, 48, 25, 1600, bias=True),
    "GPT-3": GPTConfig(50257, 2048, 96, 96, 12288, bias=True),
}


@pytest.mark.parametrize("config", LARGE.values(), ids=LARGE)
def test_large_models_built_without_numbers(config):
    torch, utils = need("torch", extra="torch"), need("mlx.utils", extra="mlx")
    name = type(config).__name__.removesuffix("Config")
    with torch.device("meta"):
        model = getattr(dlcourse.backend("torch"), name)(config)
    lazy = getattr(dlcourse.backend("mlx"), name)(config)
    assert sum(p.numel() for p in model.parameters()) == count.parameters(config)
    assert sum(p.size for _, p in utils.tree_flatten(lazy.trainable_parameters())) == count.parameters(config)


@pytest.mark.parametrize("config", LARGE.values(), ids=LARGE)
def test_large_models_in_the_graph_of_mlx(config):
    assert mlx_counts(config, 1) == counts_of(config, 1)


def test_gpt3():
    """Brown et al. (2020): 175 billion in the title row of table 2.1, 174,600 million and 3.14e23 operations for 300 billion tokens in table D.1."""
    assert count.parameters(LARGE["GPT-3"]) == 174_604_259_328
    assert f"{6 * count.parameters(LARGE['GPT-3']) * 300e9:.2e}" == "3.14e+23"
