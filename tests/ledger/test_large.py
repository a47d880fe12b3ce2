"""The equations of the chapter on large models: operations counted in loops, bytes as the frameworks hold them."""

from itertools import pairwise

import numpy as np
import pytest

from dlcourse import backend, count
from dlcourse.config import GPTConfig, MLPConfig
from dlcourse.errors import need
from tests.equations import assert_lines_agree, assert_same

MLP = MLPConfig(9, (8, 7), 3)
GPT = GPTConfig(11, context=6, layers=3, heads=2, width=8)  # V, T, K, H, C
V, T, K, H, C = 11, 6, 3, 2, 8


def weighted_sum(x, w, b=0.0):
    """w . x + b by single operations -> the sum, and how many there were."""
    total, operations = w[0] * x[0], 1
    for i in range(1, len(x)):
        total, operations = total + w[i] * x[i], operations + 2
    return total + b, operations + 1


def product(a, b, there):
    """there + a b, entry by entry, by `weighted_sum` -> the product, and its operations."""
    y, operations = np.empty((len(a), b.shape[1])), 0
    for n, m in np.ndindex(y.shape):
        y[n, m], count_of_entry = weighted_sum(a[n], b[:, m], there[n, m])
        operations += count_of_entry
    return y, operations


@pytest.mark.equation("eq-neuron-cost", formula_only=True)
def test_neuron(rng):
    for inputs in (1, 2, 5, 64):
        x, w = rng.normal(size=(2, inputs))
        y, operations = weighted_sum(x, w, 0.7)
        assert_same("the neuron", [y], [w @ x + 0.7], rtol=1e-13)
        config = MLPConfig(inputs, (), 1)
        assert_lines_agree([operations, inputs + (inputs - 1) + 1, 2 * inputs, count.flops(config)], rtol=0)
        assert_same("P", inputs + 1, count.parameters(config), rtol=0)
        assert_same("a layer of four", [5 * count.parameters(config), 5 * 2 * inputs], [(inputs + 1) * 5, 2 * inputs * 5], rtol=0)
    assert_same("by hand: two inputs", [count.parameters(MLPConfig(2, (), 1)), count.flops(MLPConfig(2, (), 1))], [3, 4], rtol=0)


@pytest.mark.equation("eq-bottleneck-parameters")
def test_bottleneck():
    rows = count.layers(count.Bottlenecks(stages=((5, 2), (7, 1))))
    for block, inputs, n, changes in ((0, 64, 5, True), (1, 20, 5, False), (2, 20, 7, True)):
        held = sum(row.parameters for row in rows if row.name.startswith(f"blocks.{block}."))
        convolutions = [(inputs, n, 1), (n, n, 3), (n, 4 * n, 1)] + [(inputs, 4 * n, 1)] * changes
        first = (inputs * n + 2 * n) + (9 * n**2 + 2 * n) + (4 * n**2 + 8 * n) + changes * (4 * inputs * n + 8 * n)
        lines = [
            sum(np.zeros((o, k, k, i)).size + 2 * o for i, o, k in convolutions),
            first,
            inputs * n + 13 * n**2 + 12 * n + changes * (4 * inputs * n + 8 * n),
            held,
        ]
        assert_lines_agree(lines, rtol=0)


@pytest.mark.equation("eq-training-flops")
def test_three_products_for_one(rng):
    """Every multiplication and addition of a step of a small perceptron, in loops; the gradients are right, so nothing was left out."""
    rows = 4
    weights = [rng.normal(size=(o, i)) for i, o in pairwise(MLP.sizes)]
    x, forward, back = rng.normal(size=(rows, MLP.inputs)), [], []
    values = [x]
    for w in weights:
        y, operations = product(values[-1], w.T, np.zeros((rows, len(w))))
        values.append(np.maximum(y, 0) if w is not weights[-1] else y)
        forward.append(operations)
    dz = dlogits = rng.normal(size=values[-1].shape)
    gradients = []
    for layer in reversed(range(len(weights))):
        dw, operations = product(dz.T, values[layer], np.zeros(weights[layer].shape))
        gradients.append(dw)
        back.append(operations)
        if layer:  # nobody asks for the gradient of the data
            dh, operations = product(dz, weights[layer], np.zeros(values[layer].shape))
            back.append(operations)
            dz = dh * (values[layer] > 0)
    model = backend("numpy").MLP(MLP)
    names = [f"layers.{i}" for i in range(len(weights))]
    biases = {f"{name}.bias": np.zeros(len(w)) for name, w in zip(names, weights, strict=True)}
    model.load_state({f"{name}.weight": w for name, w in zip(names, weights, strict=True)} | biases)
    model(x)[1](dlogits)
    for name, dw in zip(names, reversed(gradients), strict=True):
        assert_same(name, dw, model.gradients()[f"{name}.weight"], rtol=1e-12)
    f, f_1 = sum(forward), forward[0]
    assert_same("F", f, rows * count.flops(MLP), rtol=0)
    assert_lines_agree([f + sum(back), f + 2 * f - f_1, 3 * f - f_1, rows * count.training_flops(MLP)], rtol=0)


@pytest.mark.equation("eq-six-nd")
def test_six_operations_a_weight_and_token():
    torch = need("torch", extra="torch")
    flop_counter, attention = need("torch.utils.flop_counter", extra="torch"), need("torch.nn.attention", extra="torch")
    n, texts = 12 * K * C**2 + V * C, 5
    tokens = texts * T
    model = backend("torch").GPT(GPT)
    with flop_counter.FlopCounterMode(display=False) as counter, attention.sdpa_kernel(attention.SDPBackend.MATH):
        model(torch.ones(texts, T, dtype=torch.long)).sum().backward()
    lines = [
        counter.get_total_flops(),
        tokens * (2 * n + 4 * n + 12 * K * T * C),
        texts * (count.training_flops(GPT) + 3 * count.attention_flops(GPT, T)),
        count.training_seconds(GPT, tokens, 1, 1),
    ]
    assert_lines_agree(lines, rtol=1e-14)
    assert_same("2 N forward", 2 * n * T, count.flops(GPT), rtol=0)
    for blocks, length, width, share in ((12, 1024, 768, 2 / 9), (96, 2048, 12288, 1 / 36)):
        ratio = 12 * blocks * length * width / (6 * 12 * blocks * width**2)
        assert_lines_agree([ratio, length / (6 * width), share], rtol=1e-14)


def saved_bytes(torch, model, x, y):
    """Bytes of the floats that PyTorch's graph keeps, parameters aside, each piece of memory once -> bytes, loss."""
    own, found = {p.untyped_storage().data_ptr() for p in model.parameters()}, {}

    def note(tensor):
        memory = tensor.untyped_storage()
        if tensor.is_floating_point() and tensor.ndim and memory.data_ptr() not in own:
            found[memory.data_ptr()] = memory.nbytes()
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = torch.nn.functional.cross_entropy(model(x).flatten(0, -2), y.flatten())
    return sum(found.values()), loss


def mlp_batch(torch, rows):
    return torch.randn(rows, MLP.inputs), torch.zeros(rows, dtype=torch.long)


@pytest.mark.equation("eq-mlp-activations")
def test_what_a_perceptron_keeps():
    torch = need("torch", extra="torch")
    for config in (MLP, MLPConfig(9, (8, 7), 3, activation="tanh"), MLPConfig(9, (8, 7), 3, activation="sigmoid"), MLPConfig(9, (), 3)):
        s = config.sizes
        held, _ = saved_bytes(torch, backend("torch").MLP(config), *mlp_batch(torch, 5))
        assert_lines_agree([held / 20, s[0] + sum(s[1:-1]) + s[-1], count.activations(config)], rtol=0)
    gelu = MLPConfig(9, (8, 7), 3, activation="gelu")
    held, _ = saved_bytes(torch, backend("torch").MLP(gelu), *mlp_batch(torch, 5))
    assert_lines_agree([held / 20, 9 + 2 * (8 + 7) + 3, count.activations(gelu)], rtol=0)


@pytest.mark.equation("eq-gpt-activations")
def test_what_a_gpt_keeps():
    torch = need("torch", extra="torch")
    x = torch.ones(5, T, dtype=torch.long)
    for options in ({}, {"bias": True}, {"tied": False}, {"positions": "sinusoidal"}, {"positions": "none"}):
        config = GPTConfig(V, T, K, H, C, **options)
        held, _ = saved_bytes(torch, backend("torch").GPT(config), x, x)
        block = (C + 2) + C + 3 * C + (C + H) + (C + 2) + C + 4 * C + 4 * C
        assert_lines_agree(
            [held / 20, T * (K * block + (C + 2) + C + V), T * (K * (16 * C + H + 4) + 2 * C + 2 + V), count.activations(config)], rtol=0
        )
    for activation, numbers in (("relu", 4 * C), ("silu", 8 * C)):
        config = GPTConfig(V, T, K, H, C, activation=activation)
        held, _ = saved_bytes(torch, backend("torch").GPT(config), x, x)
        assert_lines_agree([held / 20, T * (K * (8 * C + numbers + H + 4) + 2 * C + 2 + V), count.activations(config)], rtol=0)


@pytest.mark.equation("eq-training-memory")
@pytest.mark.parametrize("slots", [0, 1, 2])
def test_memory_of_a_step(slots):
    """Against tensors that PyTorch holds: parameters, gradients, state of the optimizer, graph."""
    torch = need("torch", extra="torch")
    p, a, rows = count.parameters(MLP), count.activations(MLP), 5
    model = backend("torch").MLP(MLP)
    kinds = [torch.optim.SGD, lambda given, lr: torch.optim.SGD(given, lr, momentum=0.9), torch.optim.Adam]
    optimizer = kinds[slots](model.parameters(), lr=0.1)
    kept, loss = saved_bytes(torch, model, *mlp_batch(torch, rows))
    loss.backward()
    optimizer.step()
    averages = [t for state in optimizer.state.values() for t in state.values() if t is not None and t.ndim]
    held = [sum(t.nbytes for t in tensors) for tensors in (model.parameters(), [q.grad for q in model.parameters()], averages)]
    memory = count.training_memory(MLP, rows, slots)
    assert_same("the parts", [*held, kept], [memory.weights, memory.gradients, memory.optimizer, memory.activations], rtol=0)
    assert_lines_agree([sum(held) + kept, 4 * (p + p + slots * p + rows * a), memory.total], rtol=0)
    if slots == 2:
        assert_same("16 P", memory.total - memory.activations, 16 * p, rtol=0)


@pytest.mark.equation("eq-mixed-memory")
def test_memory_of_a_step_in_mixed_precision():
    p, a = count.parameters(GPT), count.activations(GPT)
    for slots in (0, 1, 2):
        lines = [
            2 * p + 2 * p + (4 * p + 4 * slots * p) + 2 * 3 * a,
            (8 + 4 * slots) * p + 2 * 3 * a,
            count.training_memory(GPT, 3, slots, mixed=True).total,
        ]
        assert_lines_agree(lines, rtol=0)
    assert_same("16 P again", lines[-1] - 2 * 3 * a, 16 * p, rtol=0)


@pytest.mark.equation("eq-inference-memory")
def test_memory_of_use():
    """Weights and cache as built; the input and the output of a layer as they come while the network is walked through."""
    rows = 5
    network = backend("numpy").MLP(MLP)
    x, alive = np.zeros((rows, MLP.inputs), np.float32), 0
    for layer in network.layers:
        y, _ = layer(x)
        alive, x = max(alive, x.nbytes + y.nbytes), y
    weights = sum(p.data.nbytes for _, p in network.named_parameters())
    printed = 4 * (count.parameters(MLP) + rows * max(i + o for i, o in pairwise(MLP.sizes)))
    assert_lines_agree([weights + alive, printed, count.inference_memory(MLP, rows).total], rtol=0)
    gpt = backend("numpy").GPT(GPT)
    cache = sum(part.keys.nbytes + part.values.nbytes for part in gpt.new_cache(rows))
    layers = [(C, C), (C, 4 * C), (4 * C, C), (C, V)]
    printed = 4 * (count.parameters(GPT) + rows * max(i + o for i, o in layers) + 2 * rows * K * T * C)
    memory = count.inference_memory(GPT, rows)
    assert_same("the cache", memory.cache, cache, rtol=0)
    assert_lines_agree([printed, memory.total], rtol=0)
    assert_same("two bytes a number", count.inference_memory(GPT, rows, size=2).total, printed / 2, rtol=0)


@pytest.mark.equation("eq-training-time")
def test_time_of_training():
    n, d, r, u = 12 * K * C**2 + V * C, 7000, 3e9, 0.4
    whole = d * (6 * n + 12 * K * T * C)
    assert_lines_agree([whole / (u * r), count.training_seconds(GPT, d, r, u)], rtol=1e-14)
    wide = GPTConfig(50257, 2048, 96, 96, 12288, bias=True)  # the approximation is the better the wider the layers
    n = 12 * 96 * 12288**2 + 50257 * 12288
    assert 1 < count.training_seconds(wide, d, r, u) / (6 * n * d / (u * r)) < 1.03, "about 6 N D / u R"


@pytest.mark.equation("eq-token-time")
def test_time_of_a_token():
    n, p = 12 * K * C**2 + V * C, count.parameters(GPT)
    assert_same("N", n, count.flops(GPT) / T / 2, rtol=0)
    for b, r, g in ((2, 1e9, 1e9), (4, 1e6, 1e9), (1, 3e9, 1e6)):
        for texts in (1, 3, 1000):
            printed = max(2 * n * texts / r, b * p / g)
            assert_lines_agree([printed, count.token_seconds(GPT, r, g, texts, b)], rtol=1e-14)
        assert_same("equal for N = P", 2 * p * (b * r / (2 * g)) / r, b * p / g, rtol=1e-14)
