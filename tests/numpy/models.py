"""Checks of the parts around the operations: layers, the perceptron, optimizers, initial states. Each takes the module under test.

The oracles are written from the formulas of the docstrings, one entry at a time; the mutants of `tests/test_mutants.py` face the same checks."""

import math

import numpy as np

from dlcourse.config import BERTConfig, CNNConfig, GPTConfig, MLPConfig, ResNetConfig, RNNConfig, TransformerConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP, convolution, functional
from dlcourse.numpy.module import Module, Parameter, parameters_only
from tests.gradients import assert_close, check_gradient, relative
from tests.numpy import cases, convolution_cases


def raises(kind, message, call):
    """Raise unless the call ends in an error of this kind whose text holds the message."""
    try:
        call()
    except kind as error:
        assert message in str(error), f"expected {message!r} in {error}"
    else:
        raise AssertionError(f"no {kind.__name__} with {message!r}")


def small_model(dtype=np.float64, seed=0):
    config = MLPConfig(4, (3,), 2)
    model = MLP(config)
    model.load_state(initial_state(config, seed, dtype) | {"layers.0.bias": np.array([0.5, -0.25, 1.0], dtype)})
    return model


def set_gradients(model, rng):
    for _, p in model.named_parameters():
        p.grad[...] = rng.normal(size=p.grad.shape)


# ---------------------------------------------------------------- layers and the perceptron


def check_convolution_layers(layers):
    """The layers are the functions of `convolution.py` around parameters of their own, whose gradients accumulate."""
    rng = np.random.default_rng(1)
    layer = layers.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)
    assert [(name, p.data.shape, p.data.dtype) for name, p in layer.named_parameters()] == [
        ("weight", (6, 3, 3, 2), np.float32),
        ("bias", (6,), np.float32),
    ]
    weight, bias, x = rng.normal(size=(6, 3, 3, 2)), rng.normal(size=6), rng.normal(size=(2, 7, 6, 4))
    layer.load_state({"weight": weight, "bias": bias})
    expected, vjp = convolution.conv2d(x, weight, bias, 2, 1, 2, 2)
    y, backward = layer(x)
    dy = rng.normal(size=y.shape)
    dx, dweight, dbias = vjp(dy)
    assert np.array_equal(y, expected) and np.array_equal(backward(dy), dx) and np.array_equal(backward(dy), dx)
    assert_close("dweight, twice", layer.gradients()["weight"], 2 * dweight, 1e-15)
    assert_close("dbias, twice", layer.gradients()["bias"], 2 * dbias, 1e-15)
    bare = layers.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False)
    assert [name for name, _ in bare.named_parameters()] == ["weight"]
    bare.load_state({"weight": weight})
    y, backward = bare(x)
    assert_close("y without bias", y, expected - bias, 1e-13)
    assert np.array_equal(backward(dy), dx) and np.array_equal(bare.gradients()["weight"], dweight)
    plain = layers.Conv2d(4, 6, 3)
    plain.load_state({"weight": np.concatenate([weight, weight], axis=3), "bias": bias})
    assert np.array_equal(plain(x)[0], convolution.conv2d(x, np.concatenate([weight, weight], axis=3), bias)[0])
    transposed = layers.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, dilation=2, groups=2)
    transposed.load_state({"weight": weight, "bias": bias[:4]})
    x_t = rng.normal(size=(2, 4, 3, 6))
    expected, vjp = convolution.conv_transpose2d(x_t, weight, bias[:4], 2, 1, 1, 2, 2)
    y, backward = transposed(x_t)
    dy = rng.normal(size=y.shape)
    dx, dweight, dbias = vjp(dy)
    assert np.array_equal(y, expected) and np.array_equal(backward(dy), dx) and np.array_equal(backward(dy), dx)
    assert_close("transposed dweight, twice", transposed.gradients()["weight"], 2 * dweight, 1e-15)
    assert_close("transposed dbias, twice", transposed.gradients()["bias"], 2 * dbias, 1e-15)
    bare = layers.ConvTranspose2d(6, 8, 3, bias=False)
    assert [(name, p.data.shape) for name, p in bare.named_parameters()] == [("weight", (6, 3, 3, 8))]
    bare.load_state({"weight": np.concatenate([weight] * 4, axis=3)})
    y, backward = bare(x_t)
    expected, vjp = convolution.conv_transpose2d(x_t, np.concatenate([weight] * 4, axis=3), None)
    assert np.array_equal(y, expected) and np.array_equal(backward(y), vjp(y)[0])
    assert np.array_equal(bare.gradients()["weight"], vjp(y)[1])
    (y, backward), (expected, vjp) = layers.GlobalAvgPool()(x), convolution.global_avg_pool(x)
    assert np.array_equal(y, expected) and np.array_equal(backward(y), vjp(y)) and layers.GlobalAvgPool().named_parameters() == []
    for layer, function in ((layers.MaxPool2d, convolution.max_pool2d), (layers.AvgPool2d, convolution.avg_pool2d)):
        for arguments in ((2,), (3, 1), (3, 2, 1), (2, None, 1)):
            (y, backward), (expected, vjp) = layer(*arguments)(x), function(x, *arguments)
            assert np.array_equal(y, expected) and np.array_equal(backward(y), vjp(y))
            assert layer(*arguments).named_parameters() == []


LAYERS_REFUSED = [
    *[
        (message, lambda p, layer=layer, options=options: getattr(p, layer)(**{"inputs": 4, "outputs": 6, "size": 3} | options))
        for layer in ("Conv2d", "ConvTranspose2d")
        for message, options in [
            ("groups=4 does not divide 6 input and 8 output channels: choose a divisor of 2", {"inputs": 6, "outputs": 8, "groups": 4}),
            ("groups=4 does not divide 8 input and 6 output channels", {"inputs": 8, "outputs": 6, "groups": 4}),
            *[
                (f"{name}={value}: it must be a whole number", {name: value})
                for name, value in [
                    ("inputs", 0),
                    ("outputs", 0),
                    ("size", 0),
                    ("size", 2.5),
                    ("stride", 0),
                    ("padding", -1),
                    ("dilation", 0),
                    ("groups", 0),
                ]
            ],
        ]
    ],
    ("output_padding=2 must be below stride=2: lower it", lambda p: p.ConvTranspose2d(4, 6, 3, 2, 0, 2)),
    ("output_padding=-1: it must be a whole number", lambda p: p.ConvTranspose2d(4, 6, 3, output_padding=-1)),
    *[
        (message, lambda p, layer=layer, arguments=arguments: getattr(p, layer)(*arguments))
        for layer in ("MaxPool2d", "AvgPool2d")
        for message, arguments in [
            ("size=0: it must", (0,)),
            ("stride=0: it must", (2, 0)),
            ("padding=-1: it must", (2, 2, -1)),
            ("padding=2 for windows of 3: use at most half of the window, padding=1", (3, 1, 2)),
        ]
    ],
]


def check_layer_refusals(layers):
    for message, call in LAYERS_REFUSED:
        raises(ValueError, message, lambda call=call: call(layers))


def check_linear_layer(layers):
    rng = np.random.default_rng(1)
    layer = layers.Linear(3, 2)
    assert [(name, p.data.shape, p.data.dtype) for name, p in layer.named_parameters()] == [
        ("weight", (2, 3), np.float32),
        ("bias", (2,), np.float32),
    ]
    weight, bias, x, dy = rng.normal(size=(2, 3)), rng.normal(size=2), rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    layer.load_state({"weight": weight, "bias": bias})
    y, backward = layer(x)
    assert_close(
        "y",
        y,
        [[sum(w * value for w, value in zip(line, row, strict=True)) + b for line, b in zip(weight, bias, strict=True)] for row in x],
        1e-13,
    )
    assert_close("dx", backward(dy), [[sum(dy[n, o] * weight[o, i] for o in range(2)) for i in range(3)] for n in range(5)], 1e-13)
    dweight = [[sum(dy[n, o] * x[n, i] for n in range(5)) for i in range(3)] for o in range(2)]
    assert_close("dweight", layer.gradients()["weight"], dweight, 1e-13)
    assert_close("dbias", layer.gradients()["bias"], [sum(dy[n, o] for n in range(5)) for o in range(2)], 1e-13)
    assert backward(dy, need_dx=False) is None
    assert_close("gradients accumulate", layer.gradients()["weight"], 2 * np.array(dweight), 1e-13)
    layer.zero_gradients()
    assert not layer.gradients()["weight"].any() and not layer.gradients()["bias"].any()


def check_embedding_layer(layers):
    layer = layers.Embedding(4, 3)
    assert [(name, p.data.shape, p.data.dtype) for name, p in layer.named_parameters()] == [("weight", (4, 3), np.float32)]
    rng = np.random.default_rng(12)
    tokens, weight, dy = np.array([[0, 2], [2, 2]]), rng.normal(size=(4, 3)), rng.normal(size=(2, 2, 3))
    layer.load_state({"weight": weight})
    y, backward = layer(tokens)
    assert np.array_equal(y, [[weight[0], weight[2]], [weight[2], weight[2]]])
    assert backward(dy) is None, "tokens have no gradient"
    dweight = np.array([dy[0, 0], np.zeros(3), dy[0, 1] + dy[1, 0] + dy[1, 1], np.zeros(3)])
    assert_close("dweight", layer.gradients()["weight"], dweight, 1e-13)
    backward(dy)
    assert_close("gradients accumulate", layer.gradients()["weight"], 2 * dweight, 1e-13)


NORM_LAYERS = {  # layer: its initial state in order, and the operation with the arrays in its order
    "LayerNorm": ({"weight": 1, "bias": 0}, "layer_norm"),
    "RMSNorm": ({"weight": 1}, "rms_norm"),
    "BatchNorm": ({"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}, "batch_norm"),
}


def check_norm_layers(layers):
    """A norm starts as its bare normalisation, calls its operation with its own arrays and eps, and adds up its gradients."""
    rng = np.random.default_rng(11)
    x, dy = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    for kind, (initial, name) in NORM_LAYERS.items():
        layer = getattr(layers, kind)(3)
        assert {key: array.tolist() for key, array in layer.state().items()} == {key: [value] * 3 for key, value in initial.items()}
        assert list(layer.state()) == list(initial) and {array.dtype for array in layer.state().values()} == {np.dtype(np.float32)}
        assert [key for key, _ in layer.named_parameters()] == [key for key in initial if not key.startswith("running")]
        for training in (True, False):
            for options in ({}, {"eps": 0.3}, {"momentum": 0.4, "eps": 0.2}):
                if "momentum" in options and kind != "BatchNorm":
                    continue
                layer = getattr(layers, kind)(3, **options)
                state = {key: 0.5 + rng.random(3) for key in initial}
                layer.load_state(state)
                arrays = [array.copy() for array in state.values()]
                assert layer.train(training) is layer
                y, backward = layer(x)
                mode = (training,) if kind == "BatchNorm" else ()
                expected, expected_back = getattr(functional, name)(x, *arrays, *mode, **options)
                assert np.array_equal(y, expected), kind
                dx, *gradients = expected_back(dy)
                assert np.array_equal(backward(dy), dx), kind
                backward(dy)
                for (key, p), gradient in zip(layer.named_parameters(), gradients, strict=True):
                    assert_close(f"{kind}.{key}", p.grad, 2 * gradient, 1e-14)
                assert all(np.array_equal(array, now) for array, now in zip(arrays, layer.state().values(), strict=True)), kind
    layer = layers.BatchNorm(3)
    layer.load_state({key: 0.5 + rng.random(3) for key in layer.state()})
    before, expected = layer.state(), layer.eval()(x)[0]
    assert layer.train().freeze() is layer and not layer.training and not layer.train().training
    y, backward = layer(x)
    assert np.array_equal(y, expected) and np.array_equal(backward(dy), layer.eval()(x)[1](dy))
    assert all(np.array_equal(array, before[key]) for key, array in layer.state().items())
    layer.train().unfreeze()
    assert not layer.training and layer.train().training
    plain = layers.LayerNorm(3, bias=False)
    assert [key for key, _ in plain.named_parameters()] == ["weight"]
    plain.load_state({"weight": np.array([1.0, 2.0, 3.0])})
    y, backward = plain(x)
    expected, expected_back = functional.layer_norm(x, np.array([1.0, 2.0, 3.0]), np.zeros(3))
    assert np.array_equal(y, expected) and np.array_equal(backward(dy), expected_back(dy)[0])
    assert_close("dweight of a norm without bias", plain.gradients()["weight"], expected_back(dy)[1], 1e-14)
    plain = layers.Linear(3, 2, bias=False)
    weight = rng.normal(size=(2, 3))
    plain.load_state({"weight": weight})
    y, backward = plain(x)
    assert_close("y without bias", y, x @ weight.T, 1e-14)
    assert y.dtype == np.float64 and [key for key, _ in plain.named_parameters()] == ["weight"]
    backward(dy[:, :2])
    assert_close("dweight without bias", plain.gradients()["weight"], dy[:, :2].T @ x, 1e-14)
    assert plain(x.astype(np.float32))[0].dtype == np.float64


def check_module(module):
    """Names, states, modes, gradients and freezing of nested modules, of a module file under test."""

    class Leaf(module.Module):
        def __init__(self, size):
            self.weight, self.mean = module.Parameter((size, 2)), module.Buffer(np.full(size, 3.0))
            self.note, self.absent = ["no", "module"], None

        def _named(self, kinds, prefix=""):  # a list that holds no modules
            note, self.note = self.note, []
            found = super()._named(kinds, prefix)
            self.note = note
            return found

    class Tree(module.Module):
        def __init__(self):
            self.scale, self.head, self.blocks = module.Parameter((1,)), Leaf(1), [Leaf(2), Leaf(3)]

    tree, names = Tree(), ["scale", "head.weight", "blocks.0.weight", "blocks.1.weight"]
    buffers = ["head.mean", "blocks.0.mean", "blocks.1.mean"]
    trained = lambda: [name for name, _ in tree.named_parameters()]  # noqa: E731
    assert trained() == names and [name for name, _ in tree.named_buffers()] == buffers
    assert list(tree.state()) == [
        "scale",
        "head.weight",
        "head.mean",
        "blocks.0.weight",
        "blocks.0.mean",
        "blocks.1.weight",
        "blocks.1.mean",
    ]
    assert [name for name, _ in tree.named_parameters("a.")] == [f"a.{name}" for name in names]
    assert [name for name, _ in tree.named_buffers("a.")] == [f"a.{name}" for name in buffers]
    everything = [tree, tree.head, *tree.blocks]
    assert all(m.training for m in everything) and tree.eval() is tree and not any(m.training for m in everything)
    assert tree.train() is tree and all(m.training for m in everything) and not tree.train(False).blocks[1].training
    assert all(not p.data.any() and not p.grad.any() and p.data.dtype == p.grad.dtype == np.float32 for _, p in tree.named_parameters())
    assert module.Parameter((2,), np.float64).grad.dtype == module.Parameter((2,), np.float64).data.dtype == np.float64
    assert tree.dtype == np.float32

    for mode in (True, False):
        assert tree.train(mode).freeze("blocks.1", "scale") is tree and all(m.training == mode for m in everything)
        assert tree.frozen == ("scale", "blocks.1.weight") and trained() == ["head.weight", "blocks.0.weight"]
        assert list(tree.gradients()) == trained()
        assert tree.unfreeze("scale") is tree and tree.frozen == ("blocks.1.weight",)
        tree.freeze()
        assert trained() == [] and tree.frozen == tuple(names) and tree.dtype == np.float32
        assert tree.unfreeze().frozen == () and trained() == names
    for _, p in tree.named_parameters():
        p.grad += 1
    tree.freeze("head")
    assert not tree.head.weight.grad.any() and tree.scale.grad.all(), "what is frozen has no gradient"
    tree.head.weight.grad += 1
    tree.zero_gradients()
    assert not any(p.grad.any() for p in (tree.scale, tree.head.weight, tree.blocks[0].weight, tree.blocks[1].weight))
    tree.head.weight.grad += 1
    assert not tree.unfreeze().head.weight.grad.any(), "what is thawed begins without one"
    gradients = tree.gradients()
    gradients["scale"] += 1
    assert not tree.scale.grad.any() and list(gradients) == names

    arrays, before = [p.data for _, p in tree.named_parameters()], tree.state()
    tree.freeze("scale").load_state({name: array + 1 for name, array in before.items()})
    for name, array in tree.state().items():
        assert np.array_equal(array, before[name] + 1), name
        array += 1
    assert all(p.data is array for (_, p), array in zip(tree.unfreeze().named_parameters(), arrays, strict=True))
    tree.load_state({name: array.astype(np.float64) for name, array in before.items()})
    assert {array.dtype for array in (*tree.state().values(), *tree.gradients().values())} == {np.dtype(np.float64)}
    assert np.array_equal(tree.head.mean.data, np.full(1, 3.0)) and tree.dtype == np.float64
    given = tree.state()
    tree.load_state(given)
    given["scale"] += 1
    assert not tree.scale.data.any()
    raises(ValueError, "missing scale", lambda: tree.load_state({}))
    raises(ValueError, "no parameter is called 'block' or stands under it (did you mean blocks?)", lambda: tree.freeze("block"))

    assert tree.need_dx
    with module.parameters_only(tree):
        assert not tree.need_dx
    assert tree.need_dx

    for mode in (True, False):
        tree.train(mode)
        with module.batch_statistics(tree):
            assert all(m.training for m in everything)
            tree.head.mean.data[...] = 7.0
        assert all(m.training == mode for m in everything) and tree.head.mean.data[0] == 3.0


NORM_OF = {"batch": "BatchNorm", "layer": "LayerNorm", "rms": "RMSNorm"}


class Twice(Module):
    """y = layer(layer(x)): one layer, two contributions to its gradient."""

    def __init__(self, layers):
        self.layer = layers.Linear(3, 3)

    def __call__(self, x):
        h, first_back = self.layer(x)
        y, second_back = self.layer(h)
        return y, lambda dy: first_back(second_back(dy))


def parameter_gradients(model, run, names, state=None):
    """A function of the named parameters, with its backward, from a model and `run(model) -> (y, backward)`; all else comes from `state`."""

    def function(*arrays):
        model.load_state((state or {}) | dict(zip(names, arrays, strict=True)))
        y, backward = run(model)

        def gradients(dy):
            model.load_state((state or {}) | dict(zip(names, arrays, strict=True)))
            model.zero_gradients()
            backward(dy)
            return tuple(model.gradients()[name] for name in names)

        return y, gradients

    return function


def check_shared_layer(layers):
    rng = np.random.default_rng(2)
    model, x = Twice(layers), rng.normal(size=(4, 3))
    names = ["layer.weight", "layer.bias"]
    model.load_state({"layer.weight": rng.normal(size=(3, 3)), "layer.bias": rng.normal(size=3)})
    return check_gradient(parameter_gradients(model, lambda m: m(x), names), tuple(model.state().values()), rng)


def slow_mlp(state, config, x):
    """The forward pass of training with one number at a time, without dropout."""
    activations = {"relu": lambda z: max(z, 0.0), "sigmoid": lambda z: 1 / (1 + math.exp(-z)), "tanh": math.tanh, "gelu": cases.slow_gelu}
    norms = {"layer": cases.slow_layer_norm, "rms": cases.slow_rms_norm, "batch": lambda a, _: cases.slow_batch_norm(a, (None, None, True))}
    rows = [[float(value) for value in row] for row in x.reshape(len(x), -1)]
    for i in range(len(config.hidden) + 1):
        weight = state[f"layers.{i}.weight"]
        bias = state.get(f"layers.{i}.bias", [0.0] * len(weight))
        rows = [
            [sum(float(w) * value for w, value in zip(line, h, strict=True)) + float(b) for line, b in zip(weight, bias, strict=True)]
            for h in rows
        ]
        if i < len(config.hidden):
            if config.norm != "none":
                own = [state[f"norms.{i}.{name}"] for name in ("weight", "bias") if f"norms.{i}.{name}" in state]
                rows = norms[config.norm]((np.array(rows), *own), ())
            rows = [[activations[config.activation](float(z)) for z in row] for row in rows]
    return np.array(rows)


def check_mlp(mlp):
    """Values against the slow loop, every gradient by differences, for no, one and two hidden layers, images and vectors."""
    worst = 0.0
    for config, shape in [
        (MLPConfig(6, (5, 4), 3, "tanh"), (4, 2, 3, 1)),
        (MLPConfig(6, (5,), 3, "sigmoid"), (1, 6)),
        (MLPConfig(6, (5, 4), 2, "relu"), (3, 6)),
        (MLPConfig(6, (), 1), (3, 6)),
        (MLPConfig(6, (5, 4), 2, "gelu"), (3, 6)),
        (MLPConfig(6, (5, 4), 2, "tanh", norm="layer"), (4, 6)),
        (MLPConfig(6, (5, 4), 2, "tanh", norm="rms"), (4, 6)),
        (MLPConfig(6, (5, 4), 2, "tanh", norm="batch"), (8, 6)),
        (MLPConfig(6, (), 2, norm="batch"), (3, 6)),
    ]:
        rng = np.random.default_rng(3)
        model = mlp.MLP(config)
        state = {name: array + rng.normal(size=array.shape) * 0.1 for name, array in initial_state(config, 0, np.float64).items()}
        model.load_state(state)
        x = rng.normal(size=shape)
        assert_close("logits", model(x)[0], slow_mlp(state, config, x), 1e-12)
        worst = max(worst, check_gradient(lambda x, model=model: model(x), (x,), rng))
        names = [name for name, _ in model.named_parameters()]  # running statistics are no parameters
        run = parameter_gradients(model, lambda m, x=x: m(x), names, state)
        worst = max(worst, check_gradient(run, tuple(state[name] for name in names), rng))
        check_parameters_only(model, x)
    return worst


def check_parameters_only(model, x):
    """Without the gradient of its input, a model has the same gradients of its parameters."""
    logits, backward = model(x)
    model.zero_gradients()
    assert backward(logits).shape == x.shape
    expected = model.gradients()
    model.zero_gradients()
    with parameters_only(model):
        assert backward(logits) is None
    assert all(np.array_equal(gradient, expected[name]) for name, gradient in model.gradients().items())


def check_mlp_dropout(mlp):
    """Dropout acts with a generator only, after every hidden activation, with the masks drawn in order; its backward uses the same masks."""
    config = MLPConfig(5, (40, 30), 3, "tanh", dropout=0.4)
    rng = np.random.default_rng(4)
    model, x = mlp.MLP(config), rng.normal(size=(6, 5))
    state = initial_state(config, 0, np.float64)
    model.load_state(state)
    assert_close("no generator, no dropout", model(x)[0], slow_mlp(state, config, x), 1e-12)
    masks = np.random.default_rng(5)
    h = x
    for i in range(3):
        h = h @ state[f"layers.{i}.weight"].T + state[f"layers.{i}.bias"]
        if i < 2:
            h = np.tanh(h)
            h = np.where(masks.random(h.shape, dtype=np.float32) >= 0.4, h / 0.6, 0.0)
    assert_close("with generator", model(x, np.random.default_rng(5))[0], h, 1e-12)
    return check_gradient(lambda x: model(x, np.random.default_rng(5)), (x,), rng)


# ---------------------------------------------------------------- networks for images

SLOW_ACTIVATIONS = {"relu": lambda z: max(z, 0.0), "sigmoid": lambda z: 1 / (1 + math.exp(-z)), "tanh": math.tanh, "gelu": cases.slow_gelu}


def each_number(function, array):
    return np.array([function(float(value)) for value in array.ravel()]).reshape(array.shape)


def slow_conv(state, name, x, stride=1, padding=0):
    weight = state[f"{name}.weight"]
    shape = convolution_cases.Shape(
        *x.shape[1:3], weight.shape[1:3], stride, padding, inputs=weight.shape[3], outputs=len(weight), images=len(x)
    )
    return convolution_cases.slow_conv2d(x, weight, state.get(f"{name}.bias", np.zeros(len(weight))), shape)


def slow_cnn(state, config, x):
    """Loops of convolution and pooling, then the slow perceptron on the numbers row by row, channels last."""
    h = x
    for i, padding in enumerate(config.padding):
        h = each_number(SLOW_ACTIVATIONS[config.activation], slow_conv(state, f"convs.{i}", h, padding=padding))
        mean = config.pool == "avg"
        h = convolution_cases.slow_pool((lambda window: sum(window) / 4) if mean else max, 0.0, h, 2, 2, 0)
    rows = np.array([[image[a, b, o] for a, b, o in np.ndindex(image.shape)] for image in h])
    return slow_mlp(state, MLPConfig(rows.shape[1], config.hidden, config.outputs, config.activation), rows)


def moved(config, seed=3):
    """The initial state with every entry moved: biases are not 0, scales and variances not 1."""
    rng = np.random.default_rng(seed)
    return {name: array + 0.1 + 0.2 * rng.random(array.shape) for name, array in initial_state(config, 0, np.float64).items()}


def check_every_gradient(model, x, state, rng):
    """By random directions: of the images, then of all parameters; the forward pass is in the mode that the model is in."""
    worst = check_gradient(lambda x: model(x), (x,), rng)
    names = [name for name, _ in model.named_parameters()]
    run = parameter_gradients(model, lambda m: m(x), names, state)
    return max(worst, check_gradient(run, tuple(state[name] for name in names), rng))


CNNS = [
    (CNNConfig((6, 7, 2), channels=(3, 2), kernel=3, padding=(1, 2), hidden=(4,), outputs=3, activation="tanh"), 2),
    (CNNConfig((8, 5, 1), channels=(2,), kernel=2, padding=(0,), pool="avg", hidden=(), outputs=2, activation="sigmoid"), 3),
    (CNNConfig((5, 5, 3), channels=(2,), kernel=3, padding=(2,), hidden=(3, 4), outputs=1), 2),
    # pooled before the activation, these would give other numbers
    (CNNConfig((4, 5, 2), channels=(2,), kernel=2, padding=(1,), hidden=(), outputs=2, activation="gelu"), 2),
    (CNNConfig((4, 5, 2), channels=(2,), kernel=2, padding=(1,), pool="avg", hidden=(), outputs=2), 2),
]


def check_cnn(cnn):
    worst = 0.0
    for config, images in CNNS:
        rng = np.random.default_rng(4)
        model, state, x = cnn.CNN(config), moved(config), rng.normal(size=(images, *config.inputs))
        assert list(model.state()) == list(state)
        model.load_state(state)
        assert_close("logits", model(x)[0], slow_cnn(state, config, x), 1e-12)
        worst = max(worst, check_every_gradient(model, x, state, rng))
        check_parameters_only(model, x)
        raises(ValueError, "but the model takes", lambda model=model, x=x: model(x[:, 1:]))
        single = cnn.CNN(config)
        single.load_state({name: array.astype(np.float32) for name, array in state.items()})
        y, backward = single(x.astype(np.float32))
        assert y.dtype == backward(y).dtype == np.float32
    return worst


def check_cnn_order(cnn):
    """ReLU and max-pooling in either order: the same bits, also where maxima are equal or zero."""
    config = CNNConfig((9, 8, 2), channels=(3,), kernel=3, padding=1, hidden=(), outputs=2)
    rng, model = np.random.default_rng(4), cnn.CNN(config)
    state = {name: np.round(2 * array) for name, array in moved(config).items()}
    model.load_state(state)
    x = rng.integers(-1, 2, (4, *config.inputs)).astype(float)
    logits, backward = model(x)
    z, conv_back = convolution.conv2d(x, state["convs.0.weight"], state["convs.0.bias"], padding=1)
    a, relu_back = functional.relu(z)
    h, pool_back = convolution.max_pool2d(a, 2)
    dh = (logits @ state["layers.0.weight"]).reshape(h.shape)
    dx, dweight, _ = conv_back(relu_back(pool_back(dh)))
    windows = a[:, :8].reshape(4, 4, 2, 4, 2, 3)
    tied = (windows == h[:, :, None, :, None]).sum(axis=(2, 4)) > 1
    assert (tied & (h > 0)).any() and (tied & (h == 0)).any()
    assert np.array_equal(logits, h.reshape(4, -1) @ state["layers.0.weight"].T + state["layers.0.bias"])
    assert np.array_equal(backward(logits), dx)
    assert np.array_equal(model.gradients()["convs.0.weight"], dweight)


def check_cnn_dropout(cnn):
    """Masks behind the hidden layers of the perceptron alone, in their order, only with a generator; the backward pass has the same masks."""
    config = CNNConfig((6, 6, 2), channels=(3,), kernel=3, padding=1, hidden=(40, 30), outputs=3, activation="tanh", dropout=0.4)
    rng = np.random.default_rng(4)
    model, state, x = cnn.CNN(config), moved(config), rng.normal(size=(3, *config.inputs))
    model.load_state(state)
    plain = model(x)[0]
    assert_close("no generator, no dropout", plain, slow_cnn(state, config, x), 1e-12)
    masks = np.random.default_rng(5)
    h = convolution_cases.slow_pool(max, 0.0, np.tanh(slow_conv(state, "convs.0", x, padding=1)), 2, 2, 0).reshape(3, -1)
    for i in range(3):
        h = h @ state[f"layers.{i}.weight"].T + state[f"layers.{i}.bias"]
        if i < 2:
            h = np.tanh(h)
            h = np.where(masks.random(h.shape, dtype=np.float32) >= 0.4, h / 0.6, 0.0)
    assert_close("with generator", model(x, np.random.default_rng(5))[0], h, 1e-12)
    return check_gradient(lambda x: model(x, np.random.default_rng(5)), (x,), rng)


def slow_norm(state, name, x, training):
    """Batch norm of every channel over images and pixels; without one in the state, x."""
    if f"{name}.weight" not in state:
        return x
    statistics = [None, None] if training else [state[f"{name}.running_mean"], state[f"{name}.running_var"]]
    rows = x.reshape(-1, x.shape[-1])
    y = cases.slow_batch_norm((rows, state[f"{name}.weight"], state[f"{name}.bias"]), (*statistics, training))
    return np.asarray(y).reshape(x.shape)


def slow_block(state, prefix, x, stride, skip, training):
    relu = SLOW_ACTIVATIONS["relu"]
    h = slow_norm(state, f"{prefix}norm_1", slow_conv(state, f"{prefix}conv_1", x, stride, 1), training)
    z = slow_norm(state, f"{prefix}norm_2", slow_conv(state, f"{prefix}conv_2", each_number(relu, h), 1, 1), training)
    if f"{prefix}project.weight" in state:
        z = z + slow_norm(state, f"{prefix}project_norm", slow_conv(state, f"{prefix}project", x, stride, 0), training)
    elif skip:
        z = z + x
    return each_number(relu, z)


def slow_resnet(state, config, x, training):
    h = slow_norm(state, "stem_norm", slow_conv(state, "stem", x, 1, 1), training)
    h = each_number(SLOW_ACTIVATIONS["relu"], h)
    for i, (kind, _, _, stride) in enumerate(config.plan):
        if kind == "pool":
            h = convolution_cases.slow_pool(max, -math.inf, slow_conv(state, f"blocks.{i}.conv", h, 1, 1), stride, stride, 0)
            h = each_number(SLOW_ACTIVATIONS["relu"], slow_norm(state, f"blocks.{i}.norm", h, training))
        else:
            h = slow_block(state, f"blocks.{i}.", h, stride, config.skip, training)
    means = np.array([[image[..., o].sum() / image[..., o].size for o in range(h.shape[3])] for image in h])
    return means @ state["head.weight"].T + state["head.bias"]


BLOCKS = [  # inputs, outputs, stride, skip, norm; whether there is a projection
    ((2, 2), False),
    ((2, 3), True),
    ((2, 2, 2), True),
    ((2, 2, 2, False), False),
    ((2, 2, 1, True, "none"), False),
    ((3, 2, 2, True, "none"), True),
    ((2, 3, 1, False, "none"), False),
]


def check_block(resnet):
    """Values and every gradient of one block, in training and in evaluation mode."""
    worst = 0.0
    for arguments, projected in BLOCKS:
        rng = np.random.default_rng(5)
        block = resnet.ResidualBlock(*arguments)
        inputs, _, stride, skip, norm = (*arguments, *(1, True, "batch")[len(arguments) - 2 :])
        x = rng.normal(size=(3, 4, 5, inputs))
        names = [name.partition(".")[0] for name in block.state()]
        norms = ["norm_1", "norm_2", "project_norm"][: 2 + projected] if norm == "batch" else []
        assert sorted(set(names)) == sorted(["conv_1", "conv_2", *(["project"] if projected else []), *norms])
        assert any(name.endswith("bias") for name in block.state() if name.startswith(("conv", "project."))) == (norm == "none")
        state = {name: array + 0.3 + rng.random(array.shape) * (0.3 if array.ndim == 1 else -0.9) for name, array in block.state().items()}
        for training in (True, False):
            block.train(training).load_state(state)
            y, _ = block(x)
            assert_close(f"block {arguments}, training {training}", y, slow_block(state, "", x, stride, skip, training), 1e-12)
            assert y.shape[1:3] == (-(-4 // stride), -(-5 // stride))
            worst = max(worst, check_every_gradient(block, x, state, rng))
    return worst


RESNETS = [
    (ResNetConfig((4, 5, 2), widths=(3, 4), blocks=(2, 1), strides=(1, 2), stem=3, outputs=3), 3),
    (ResNetConfig((4, 4, 1), widths=(2,), blocks=(1,), strides=(2,), stem=3, outputs=2, norm="none"), 2),
    (ResNetConfig((3, 4, 1), widths=(2, 3), blocks=(1, 1), strides=(1, 1), stem=2, outputs=2, skip=False), 3),
    (ResNetConfig((5, 7, 2), widths=(3, 2), blocks=(1, 0), strides=(2, 2), stem=2, outputs=2, down="pool", identity=True), 3),
    (ResNetConfig((4, 4, 1), widths=(2,), blocks=(1,), strides=(3,), stem=2, outputs=2, norm="none", down="pool"), 2),
]


def check_resnet(resnet):
    worst = 0.0
    for config, images in RESNETS:
        rng = np.random.default_rng(6)
        model, state, x = resnet.ResNet(config), moved(config), rng.normal(size=(images, *config.inputs))
        assert list(model.state()) == list(state)
        for training in (True, False):
            model.train(training).load_state(state)
            assert_close("logits", model(x)[0], slow_resnet(state, config, x, training), 1e-11)
            worst = max(worst, check_every_gradient(model, x, state, rng))
        assert np.array_equal(model(x, np.random.default_rng(0))[0], model(x)[0]), "nothing is dropped"
        raises(ValueError, f"images are {x.shape[1] + 1} x", lambda model=model, x=x: model(np.pad(x, ((0, 0), (0, 1), (0, 0), (0, 0)))))
        single = resnet.ResNet(config)
        single.load_state({name: array.astype(np.float32) for name, array in state.items()})
        y, backward = single(x.astype(np.float32))
        assert y.dtype == backward(y).dtype == np.float32
        twice = {name: 2 * array for name, array in single.gradients().items()}
        backward(y)  # gradients accumulate
        for name, array in single.gradients().items():
            assert_close(name, array, twice[name], 1e-6)
    return worst


# ---------------------------------------------------------------- optimizers


def by_singular_values(x, iterations=5):
    """eq-newton-schulz by the decomposition that the products avoid."""
    left, values, right = np.linalg.svd(x, full_matrices=False)
    values = values / np.sqrt((x**2).sum())
    for _ in range(iterations):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left * values @ right


def slow_update(kind, options, w, g, slots, step, lr):
    """One parameter, one step, from the formulas eq-sgd, eq-momentum, eq-proximal-step, eq-rmsprop, eq-adam, eq-adamw, eq-lion, eq-muon -> (w, slots)."""
    decay = options.get("weight_decay", 0.01 if kind == "AdamW" else 0.0)
    if kind == "SGD":
        g = g + decay * w
        momentum = options.get("momentum", 0.0)
        if not momentum:
            return w - lr * g, {}
        v = momentum * slots.get("velocity", 0.0) + g
        return w - lr * (g + momentum * v if options.get("nesterov") else v), {"velocity": v}
    if kind == "ProximalSGD":
        u, threshold = w - lr * g, lr * options.get("l1", 0.0)
        return np.where(u > threshold, u - threshold, np.where(u < -threshold, u + threshold, 0.0)), {}
    if kind == "Muon":
        mu = options.get("momentum", 0.95)
        m = mu * slots.get("m", 0.0) + (1 - mu) * g
        step = mu * m + (1 - mu) * g
        if w.ndim >= 2:
            step = by_singular_values(step.reshape(len(w), -1), options.get("iterations", 5)).reshape(w.shape)
            step = step * max(1.0, len(w) / (w.size / len(w))) ** 0.5
        return w * (1 - lr * decay) - lr * step, {"m": m}
    eps = options.get("eps", 1e-8)
    if kind == "RMSProp":
        alpha = options.get("alpha", 0.99)
        v = alpha * slots.get("v", 0.0) + (1 - alpha) * g * g
        return w - lr * g / (np.sqrt(v) + eps), {"v": v}
    beta1, beta2 = options.get("betas", (0.9, 0.99 if kind == "Lion" else 0.999))
    w = w * (1 - lr * decay)
    if kind == "Lion":
        m = slots.get("m", 0.0)
        return w - lr * np.sign(beta1 * m + (1 - beta1) * g), {"m": beta2 * m + (1 - beta2) * g}
    m = beta1 * slots.get("m", 0.0) + (1 - beta1) * g
    v = beta2 * slots.get("v", 0.0) + (1 - beta2) * g * g
    return w - lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps), {"m": m, "v": v}


OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.8, "nesterov": True}),
    ("SGD", {"weight_decay": 0.1}),
    ("SGD", {"momentum": 0.7, "nesterov": True, "weight_decay": 0.05}),
    ("ProximalSGD", {}),
    ("ProximalSGD", {"l1": 0.5}),
    ("RMSProp", {}),
    ("RMSProp", {"alpha": 0.8, "eps": 1e-2}),
    ("Adam", {}),
    ("Adam", {"betas": (0.8, 0.95), "eps": 1e-2}),
    ("AdamW", {}),
    ("AdamW", {"betas": (0.85, 0.9), "eps": 1e-3, "weight_decay": 0.3}),
    ("Lion", {}),
    ("Lion", {"betas": (0.7, 0.95), "weight_decay": 0.2}),
    ("Muon", {}),
    ("Muon", {"momentum": 0.7, "weight_decay": 0.2, "iterations": 3}),
]
KINDS = tuple(dict.fromkeys(kind for kind, _ in OPTIMIZERS))


def name_of(optimizer):
    kind, options = optimizer
    return " ".join([kind, *(f"{key}={value}" for key, value in options.items())])


def check_optimizer(optim, kind, options, steps=4):
    """Parameters and slots after every step against the formulas, in float64; gradients stay, only matrices decay, the state goes round."""
    rng = np.random.default_rng(6)
    model = small_model()
    before = model.state()
    optimizer = getattr(optim, kind)(model, **options)
    assert all(np.array_equal(before[name], array) for name, array in model.state().items()), "packing changed the parameters"
    w, slots, worst = model.state(), {name: {} for name in before}, 0.0
    for step in range(1, steps + 1):
        lr = 0.1 / step
        set_gradients(model, rng)
        gradients = model.gradients()
        optimizer.step(lr)
        assert all(np.array_equal(gradients[name], g) for name, g in model.gradients().items()), "the step changed the gradients"
        expected = {"step": step}
        for name in w:
            rule = options | ({} if w[name].ndim >= 2 else {"weight_decay": 0.0, "l1": 0.0})
            w[name], slots[name] = slow_update(kind, rule, w[name], gradients[name], slots[name], step, lr)
            worst = max(worst, assert_close(name, model.state()[name], w[name], 1e-12))
            expected |= {f"{slot}.{name}": value for slot, value in slots[name].items()}
        state = optimizer.state()
        assert sorted(state) == sorted(expected), f"{sorted(state)}, expected {sorted(expected)}"
        for name, value in expected.items():
            worst = max(worst, assert_close(name, state[name], value, 1e-12))
        for array in state.values():
            array += 1  # a copy: nothing of the optimizer changes
    other = small_model(seed=9)
    resumed = getattr(optim, kind)(other, **options)
    other.load_state(model.state())
    resumed.load_state(optimizer.state())
    for _ in range(2):
        set_gradients(model, rng)
        for (_, p), (_, q) in zip(model.named_parameters(), other.named_parameters(), strict=True):
            q.grad[...] = p.grad
        optimizer.step(0.01)
        resumed.step(0.01)
        assert all(np.array_equal(array, other.state()[name]) for name, array in model.state().items()), (
            "a loaded optimizer goes on differently"
        )
    incomplete = optimizer.state()
    incomplete.pop("step")
    raises(ValueError, "missing step", lambda: resumed.load_state(incomplete))
    return worst


def check_buffer(optim):
    """The parameters are views of one buffer, stay views after load_state of the same dtype, and rebinding is refused."""
    for kind in KINDS:
        model = small_model()
        optimizer = getattr(optim, kind)(model)
        state = {name: array + 1 for name, array in model.state().items()}
        model.load_state(state)
        set_gradients(model, np.random.default_rng(7))
        flat = np.concatenate([p.data.ravel() for p in optimizer.parameters])
        assert np.array_equal(flat, optimizer.data) and flat.size == 4 * 3 + 3 + 3 * 2 + 2
        assert np.array_equal(np.concatenate([p.grad.ravel() for p in optimizer.parameters]), optimizer.grad)
        optimizer.step(0.1)
        assert all(not np.array_equal(model.state()[name], array) for name, array in state.items()), "a parameter was not updated"
        optimizer.zero_gradients()
        assert not any(g.any() for g in model.gradients().values())
        for name in ("layers.0.weight", "layers.1.bias"):  # the first parameter of the buffer, and the last
            for field in ("data", "grad"):
                model = small_model()
                optimizer = getattr(optim, kind)(model)
                p = dict(model.named_parameters())[name]
                setattr(p, field, getattr(p, field).copy())
                raises(RuntimeError, "rebound", lambda optimizer=optimizer: optimizer.step(0.1))
        model = small_model(np.float32)
        optimizer = getattr(optim, kind)(model)
        set_gradients(model, np.random.default_rng(8))
        optimizer.step(0.1)
        assert {array.dtype for name, array in (model.state() | optimizer.state()).items() if name != "step"} == {np.dtype(np.float32)}


def check_soft_threshold(optim):
    """Entry by entry, in any shape and dtype, zeros without sign, nothing written."""
    rng = np.random.default_rng(5)
    for shape in ((6,), (2, 3), (), (0,)):
        for dtype in (np.float64, np.float32):
            w = rng.normal(size=shape).astype(dtype)
            before, y = w.copy(), optim.soft_threshold(w, 0.5)
            expected = [float(u) - 0.5 if u > 0.5 else float(u) + 0.5 if u < -0.5 else 0.0 for u in w.ravel()]
            assert np.array_equal(w, before) and y.dtype == dtype and y.shape == shape
            np.testing.assert_allclose(np.ravel(y), expected, rtol=1e-6 if dtype == np.float32 else 1e-14)
            np.testing.assert_array_equal(optim.soft_threshold(w, 0.0), w)
    y = optim.soft_threshold(np.array([0.5, -0.5, np.inf, -np.inf, np.nan]), 0.5)
    np.testing.assert_array_equal(y, [0.0, 0.0, np.inf, -np.inf, np.nan])


def check_pieces(optim):
    """More parameters than Adam takes at a time: every piece gets the update of its own numbers."""
    count, rng = 2 * optim.PIECE + 5, np.random.default_rng(0)
    config = MLPConfig(count, (), 1)
    model = MLP(config)
    model.load_state(initial_state(config, 0, np.float64))
    optimizer, before = optim.Adam(model), model.state()
    set_gradients(model, rng)
    gradients = model.gradients()
    optimizer.step(0.1)
    for name, array in model.state().items():  # at first m^ = g and v^ = g^2
        g = gradients[name]
        np.testing.assert_allclose(array, before[name] - 0.1 * g / (np.abs(g) + 1e-8), rtol=1e-12)


def check_clip(optim):
    model = small_model()
    set_gradients(model, np.random.default_rng(9))
    before = model.gradients()
    norm = math.sqrt(sum(float(value) ** 2 for g in before.values() for value in g.ravel()))
    assert_close("norm", optim.clip_gradients(model, norm * 2), norm, 1e-14)
    assert all(np.array_equal(before[name], g) for name, g in model.gradients().items()), "a short gradient was changed"
    returned = optim.clip_gradients(model, 0.5)
    assert isinstance(returned, float)
    assert_close("norm before clipping", returned, norm, 1e-14)
    for name, g in model.gradients().items():
        assert_close(name, g, before[name] * 0.5 / norm, 1e-14)
    for wrong in (0.0, -1.0, math.nan):
        raises(ValueError, "must be above 0", lambda wrong=wrong: optim.clip_gradients(model, wrong))


def check_optimizer_refusals(optim):
    model = small_model()
    for message, call in [
        ("momentum=1.0", lambda: optim.SGD(model, momentum=1.0)),
        ("momentum=-0.1", lambda: optim.SGD(model, momentum=-0.1)),
        ("weight_decay=-1", lambda: optim.SGD(model, weight_decay=-1)),
        ("nesterov=True needs a momentum", lambda: optim.SGD(model, nesterov=True)),
        ("beta1=1.0", lambda: optim.Adam(model, betas=(1.0, 0.9))),
        ("beta2=1.5", lambda: optim.AdamW(model, betas=(0.9, 1.5))),
        ("eps=-1e-08", lambda: optim.Adam(model, eps=-1e-8)),
        ("weight_decay=-0.1", lambda: optim.AdamW(model, weight_decay=-0.1)),
        ("alpha=1.0", lambda: optim.RMSProp(model, alpha=1.0)),
        ("eps=-1", lambda: optim.RMSProp(model, eps=-1)),
        ("beta1=1.0", lambda: optim.Lion(model, betas=(1.0, 0.9))),
        ("beta2=-0.5", lambda: optim.Lion(model, betas=(0.9, -0.5))),
        ("weight_decay=-2", lambda: optim.Lion(model, weight_decay=-2)),
        ("momentum=1.0", lambda: optim.Muon(model, momentum=1.0)),
        ("weight_decay=-3", lambda: optim.Muon(model, weight_decay=-3)),
        ("iterations=0: it must be a whole number of at least 1", lambda: optim.Muon(model, iterations=0)),
        ("iterations=0: it must be a whole number of at least 1", lambda: optim.orthogonalize(np.ones((2, 2)), 0)),
        (
            "x has shape (2, 3, 4), but a matrix is (rows, columns): pass x.reshape(len(x), -1)",
            lambda: optim.orthogonalize(np.ones((2, 3, 4))),
        ),
        ("l1=-0.1", lambda: optim.ProximalSGD(model, l1=-0.1)),
        ("threshold=-1", lambda: optim.soft_threshold(np.ones(2), -1)),
    ]:
        raises(ValueError, message, call)
    model = small_model()
    model.freeze()
    raises(ValueError, "everything is frozen", lambda: optim.SGD(model))
    model.unfreeze("layers.1")
    optimizer = optim.SGD(model)
    model.freeze("layers.1.bias")
    raises(RuntimeError, "layers.1.bias was frozen after the optimizer was made", lambda: optimizer.step(0.1))
    model.unfreeze()
    raises(RuntimeError, "layers.0.bias was unfrozen after the optimizer was made", lambda: optimizer.step(0.1))


def check_orthogonalize(optim):
    """The singular vectors stay, the values go through the polynomial; wide, tall and square, and the matrix is not changed."""
    rng = np.random.default_rng(8)
    for shape in ((5, 3), (3, 5), (4, 4), (1, 6), (6, 1)):
        for iterations in (1, 2, 5):
            x = 1e-3 * rng.normal(size=shape)  # far from a norm of one
            before = x.copy()
            assert_close(str(shape), optim.orthogonalize(x, iterations), by_singular_values(x, iterations), 1e-11)
            assert np.array_equal(x, before), "orthogonalize changed its input"
        assert_close("five rounds", optim.orthogonalize(x), by_singular_values(x), 1e-11)
    values = np.geomspace(0.01, 1, 40)
    left, right = (np.linalg.qr(rng.normal(size=(40, 40)))[0] for _ in range(2))
    assert values.min() > 0.002 * np.linalg.norm(values)
    spread = np.linalg.svd(optim.orthogonalize(left * values @ right))[1]
    assert spread.min() > 0.68 and spread.max() < 1.21
    assert not optim.orthogonalize(np.zeros((2, 3))).any(), "zero stays zero"
    tiny = np.array([[1e-9, 0.0], [0.0, 0.0]])  # below the smallest norm that is divided by
    assert_close("tiny", optim.orthogonalize(tiny, 1), [[3.4445e-2, 0.0], [0.0, 0.0]], 1e-3)
    assert optim.orthogonalize(np.ones((2, 3), np.float32)).dtype == np.float32


def check_muon_kernels(optim):
    """A kernel takes the step of the matrix of its filters, few filters and many."""
    rng = np.random.default_rng(9)
    for shape in ((4, 3, 3, 2), (40, 3, 3, 1)):
        model = Module()
        model.w = Parameter(shape, np.float64)
        optimizer, w, slots = optim.Muon(model, weight_decay=0.1), np.zeros(shape), {}
        for step in range(1, 4):
            g = rng.normal(size=shape)
            model.w.grad[...] = g
            optimizer.step(0.1)
            w, slots = slow_update("Muon", {"weight_decay": 0.1}, w, g, slots, step, 0.1)
            assert_close(str(shape), model.w.data, w, 1e-12)


def check_defaults(optim):
    """The documented defaults, through two steps each."""
    for kind in KINDS:
        check_optimizer(optim, kind, {}, steps=2)


# ---------------------------------------------------------------- initial states


# 1 / E[(z Phi(z))^2] by the trapezium rule, of which nothing is left to see at this width
Z = np.linspace(-12, 12, 2401)
GELU_GAIN = 1 / sum(0.01 * math.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z * (1 + math.erf(z / math.sqrt(2))) / 2) ** 2 for z in Z)


def check_initial(initial):
    assert_close("gain of GELU", initial.GAINS["gelu"], GELU_GAIN, 1e-12)
    for norm, expected in {"none": {}, **{kind: NORM_LAYERS[name][0] for kind, name in NORM_OF.items()}}.items():
        for dtype in (np.float32, np.float64):
            config = MLPConfig(5, (4, 3), 2, norm=norm)
            state = initial.initial_state(config, 0, dtype)
            biased = [i for i in range(3) if norm != "batch" or i == 2]  # no bias before a batch norm
            names = [f"layers.{i}.{part}" for i in range(3) for part in ("weight", "bias") if part == "weight" or i in biased]
            names += [f"norms.{i}.{part}" for i in range(2) for part in expected]
            assert list(state) == names and {array.dtype for array in state.values()} == {np.dtype(dtype)}
            for i, width in enumerate((4, 3)):
                for part, value in expected.items():
                    assert state[f"norms.{i}.{part}"].tolist() == [value] * width
            plain = initial.initial_state(MLPConfig(5, (4, 3), 2), 0, dtype)
            assert all(np.array_equal(state[name], plain[name]) for name in names if name.startswith("layers"))
            doubled = initial.scaled(state, 3.0)
            for name, array in state.items():
                assert np.array_equal(doubled[name], 3 * array if array.ndim == 2 else array) and doubled[name] is not array
                assert doubled[name].dtype == dtype
    config = MLPConfig(2000, (300, 200), 100, "relu")
    state = initial.initial_state(config, 0)
    assert list(state) == [f"layers.{i}.{part}" for i in range(3) for part in ("weight", "bias")]
    assert [array.shape for array in state.values()] == [(300, 2000), (300,), (200, 300), (200,), (100, 200), (100,)]
    assert {array.dtype for array in state.values()} == {np.dtype(np.float32)}
    for activation in ("relu", "gelu", "tanh", "sigmoid"):
        weights = initial.initial_state(MLPConfig(2000, (300, 200), 100, activation), 0, np.float64)
        for i, inputs in enumerate((2000, 300, 200)):
            gain = {"relu": 2.0, "gelu": GELU_GAIN}.get(activation, 1.0) if i < 2 else 1.0
            weight = weights[f"layers.{i}.weight"]
            # the variance of n normal draws is known to sqrt(2 / n): 5 standard deviations
            assert abs(weight.var() * inputs / gain - 1) < 5 * math.sqrt(2 / weight.size), f"layer {i} after {activation}"
            assert abs(weight.mean()) < 5 * weight.std() / math.sqrt(weight.size)
            assert not weights[f"layers.{i}.bias"].any()
    again, other = initial.initial_state(config, 0, np.float64), initial.initial_state(config, 1)
    assert all(np.array_equal(array.astype(np.float32), state[name]) for name, array in again.items()), (
        "float32 is not the float64 draw, cast"
    )
    assert relative(other["layers.0.weight"], state["layers.0.weight"]) > 1
    raises(ValueError, "pass a configuration", lambda: initial.initial_state({"inputs": 3}, 0))


IMAGE_CONFIGS = [
    CNNConfig((9, 8, 2), channels=(3, 4), kernel=3, padding=(1, 0), hidden=(5,), outputs=3),
    CNNConfig((6, 6, 3), channels=(2,), kernel=3, padding=1, hidden=(), outputs=2, activation="tanh"),
    ResNetConfig((5, 7, 1), widths=(3, 5, 4, 4), blocks=(2, 1, 1, 1), strides=(1, 2, 1, 2), stem=3, outputs=3),
    ResNetConfig((5, 7, 1), widths=(3, 4), blocks=(2, 1), strides=(2, 1), stem=2, outputs=3, norm="none"),
    ResNetConfig((4, 4, 2), widths=(3, 4), blocks=(1, 1), strides=(1, 2), stem=2, outputs=3, skip=False),
    ResNetConfig((9, 7, 2), widths=(3, 4), blocks=(1, 0), strides=(2, 3), stem=2, outputs=3, down="pool", identity=True),
    ResNetConfig((4, 4, 2), widths=(3,), blocks=(2,), strides=(2,), stem=2, outputs=3, down="pool", norm="none"),
]


def model_of(config):
    from dlcourse import numpy as package

    return getattr(package, type(config).__name__.removesuffix("Config"))(config)


def check_initial_of_images(initial):
    """The names, order and shapes of the built models; kernels with variance gain / (K K I), gain 1 without a ReLU behind; the rest exact."""
    for config in IMAGE_CONFIGS:
        for dtype in (np.float32, np.float64):
            state, model = initial.initial_state(config, 0, dtype), model_of(config)
            assert [(name, array.shape) for name, array in state.items()] == [(name, array.shape) for name, array in model.state().items()]
            assert {array.dtype for array in state.values()} == {np.dtype(dtype)}
            for name, array in state.items():
                if array.ndim == 1:
                    is_zero = getattr(config, "identity", False) and name.endswith("norm_2.weight")
                    is_one = name.endswith("running_var") or ("norm" in name and name.endswith("weight") and not is_zero)
                    assert array.tolist() == [float(is_one)] * len(array), name
    for config, ones in [
        (CNNConfig((9, 8, 16), channels=(40, 50), kernel=3, padding=1, hidden=(60,), outputs=90), {"layers.1.weight"}),
        (CNNConfig((9, 8, 16), channels=(40, 50), kernel=3, padding=1, hidden=(60,), outputs=90, activation="tanh"), None),
        (CNNConfig((9, 8, 16), channels=(40, 50), kernel=3, padding=1, hidden=(60,), outputs=90, activation="gelu"), {"layers.1.weight"}),
        (ResNetConfig((8, 8, 16), (40, 60), (1, 1), (1, 2), stem=40, outputs=90), {"blocks.1.project.weight", "head.weight"}),
        (ResNetConfig((8, 8, 16), (40, 60), (1, 1), (1, 2), stem=40, outputs=90, norm="none"), {"blocks.1.project.weight", "head.weight"}),
        (ResNetConfig((8, 8, 16), (40, 60), (1, 0), (2, 2), stem=40, outputs=90, down="pool"), {"head.weight"}),
    ]:
        state = initial.initial_state(config, 3, np.float64)
        full = GELU_GAIN if getattr(config, "activation", "relu") == "gelu" else 2.0
        for name, array in state.items():
            if array.ndim > 1:
                gain = 1.0 if ones is None or name in ones else full
                assert abs(array.var() * array[0].size / gain - 1) < 5 * math.sqrt(2 / array.size), f"{name} of {config}"
        single, other = initial.initial_state(config, 3), initial.initial_state(config, 4, np.float64)
        assert all(np.array_equal(array, single[name].astype(np.float64)) or array.ndim > 1 for name, array in state.items())
        last = "head.weight" if "head.weight" in state else "layers.1.weight"
        assert relative(other[last], state[last]) > 1


TEXT = {
    "GPT": GPTConfig(11, 7, layers=2, heads=2, width=8),
    "with biases": GPTConfig(11, 7, layers=2, heads=2, width=8, hidden=20, bias=True),
    "as Llama": GPTConfig(11, 7, layers=3, heads=2, width=8, norm="rms", positions="rotary", tied=False),
    "BERT": BERTConfig(11, 7, heads=2, width=8),
    "BERT, classes": BERTConfig(11, 7, heads=2, width=8, task="classify", outputs=3),
    "BERT, labels": BERTConfig(11, 7, heads=2, width=8, task="label", outputs=3),
    "BERT, spans": BERTConfig(11, 7, heads=2, width=8, task="span"),
    "Transformer": TransformerConfig(11, 5, 4, heads=2, width=8),
    "Transformer, post-norm": TransformerConfig(11, 5, 4, heads=2, width=8, tied=False, positions="learned", norm_first=False),
    "RNN": RNNConfig(11, 5, 6, layers=2, cell="rnn"),
    "GRU": RNNConfig(11, 5, 6, layers=2, cell="gru"),
    "LSTM": RNNConfig(11, 5, 6, layers=2),
    "LSTM, classes": RNNConfig(11, 5, 6, classes=3),
}


def check_count_of_text(count):
    """Names and numbers of the initial state, in its order; shapes and operations from the positions at which each layer works."""
    for config in TEXT.values():
        held = {}
        for name, array in initial_state(config, 0).items():
            held.setdefault(name.rpartition(".")[0] or name, []).append(array)
        rows = count.layers(config)
        assert [(row.name, row.parameters) for row in rows if row.parameters] == [
            (name, sum(array.size for array in arrays)) for name, arrays in held.items()
        ]
        assert {row.name for row in rows} - held.keys() <= {"head"}, "only a tied head has no numbers of its own"
        assert count.parameters(config) == sum(array.size for arrays in held.values() for array in arrays)
        assert count.flops(config) == sum(row.flops for row in rows)
        for row in rows:
            (table,) = [array for array in held["tok"] if array.ndim == 2]
            weights = [array for array in held.get(row.name, []) if array.ndim == 2]
            if row.name == "decoder_bias" or row.name not in held:
                weights = [table]  # tied
            is_table = row.name in ("tok", "pos", "seg", "source_pos", "target_pos")
            positions = positions_of(config, row.name)
            width = (weights[-1].shape[1] if is_table or row.name.startswith("layers") else len(weights[0])) if weights else config.width
            assert row.shape == ((width,) if positions is None else (positions, width)), row.name
            expected = 0 if is_table else 2 * (positions or 1) * sum(weight.size for weight in weights)
            assert row.flops == expected and type(row.flops) is int, row.name


def positions_of(config, name):
    """How many positions a layer works at; None for a layer that sees one vector."""
    if isinstance(config, RNNConfig) or name in ("pooler", "nsp") or (name == "head" and getattr(config, "task", "") == "classify"):
        return None
    if not isinstance(config, TransformerConfig):
        return config.context
    if name.startswith(("encoder", "source")) or name.endswith(("cross_attn.k_proj", "cross_attn.v_proj")):
        return config.source
    return config.source + config.target if name == "tok" else config.target


def check_count_of_tokens(count):
    """A token of GPT with and without a cache, by the formulas, and the size of the cache that is built."""
    config = GPTConfig(11, 7, layers=2, heads=2, width=8)
    read = [count.decode_flops(config, seen, cache=False) for seen in range(1, 8)]
    kept = [count.decode_flops(config, seen) for seen in range(1, 8)]
    assert read[0] == kept[0]
    weights = 2 * 12 * 8 * 8  # of the linear layers of two blocks
    for seen in range(1, 8):
        assert kept[seen - 1] == 2 * (weights + 11 * 8) + 4 * 2 * 8 * seen
        assert read[seen - 1] == 2 * (seen * weights + 11 * 8) + 4 * 2 * 8 * seen**2
    whole = count.flops(config) + count.attention_flops(config, 7)
    assert whole == read[-1] + 2 * 6 * 11 * 8  # a forward pass has logits at every position
    model = model_of(config)
    assert count.cache_size(config, 7) == sum(cache.keys.size + cache.values.size for cache in model.new_cache(1))
    assert count.attention_flops(config, 3, 5) == 4 * 2 * 8 * 3 * 5 and count.attention_flops(config, 3) == 4 * 2 * 8 * 3 * 3
    raises(ValueError, "seen=0", lambda: count.decode_flops(config, 0))
    untied = GPTConfig(11, 7, layers=2, heads=2, width=8, tied=False)
    assert count.decode_flops(untied, 3) == count.decode_flops(config, 3)


def check_left_out(functional):
    """None in the place of a bias: as with zeros, and None in the place of its gradient. Without dx: the other gradients as with it."""
    rng = np.random.default_rng(12)
    x, weight, dy = rng.normal(size=(5, 3)), rng.normal(size=(2, 3)), rng.normal(size=(5, 2))
    for name, w, d in (("linear", weight, dy), ("layer_norm", weight[0], x)):
        operation = getattr(functional, name)
        (y, backward), (expected, expected_back) = operation(x, w, None), operation(x, w, np.zeros(len(w)))
        assert np.array_equal(y, expected), name
        dx, dweight, dbias = backward(d)
        assert dbias is None and np.array_equal(dx, expected_back(d)[0]) and np.array_equal(dweight, expected_back(d)[1]), name
    _, backward = functional.linear(x, weight, weight[:, 0])
    none, *others = backward(dy, need_dx=False)
    assert none is None and all(np.array_equal(a, b) for a, b in zip(others, backward(dy)[1:], strict=True))


def check_whitened(initial):
    """Responses of the filters to the patches they were made for are uncorrelated, the strongest first; eps holds the weak ones down."""
    rng = np.random.default_rng(8)
    mix = rng.normal(size=(3, 3))
    images = rng.normal(size=(6, 9, 8, 3)) @ mix + 5.0  # channels that depend on one another, far from mean 0
    before = initial_state(ResNetConfig((9, 8, 3), stem=60), 0, np.float64)
    after = initial.whitened(before, images, eps=0.0)
    assert after.keys() == before.keys() and after["stem.weight"] is not before["stem.weight"]
    assert all(np.array_equal(after[name], array) for name, array in before.items() if name != "stem.weight")
    weight = after["stem.weight"].reshape(60, -1)
    patches = np.array([images[n, i : i + 3, j : j + 3].ravel() for n in range(6) for i in range(7) for j in range(6)])
    centred = patches - patches.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    assert_close("whitened", (centred @ weight[:27].T).T @ (centred @ weight[:27].T) / len(centred), np.eye(27), 1e-9)
    assert np.array_equal(weight[27:54], -weight[:27]) and np.array_equal(weight[54:], before["stem.weight"].reshape(60, -1)[54:])
    for eps, options in ((0.5, {"eps": 0.5}), (1e-3, {})):
        found = initial.whitened(before, images, **options)["stem.weight"].reshape(60, -1)[:27]
        expected = (vectors / np.sqrt(values + eps)).T[::-1]  # longest first
        for ours, theirs in zip(found, expected, strict=True):
            largest = np.abs(ours).argmax()
            assert ours[largest] > 0
            assert_close("a filter", ours, theirs * np.sign(theirs[largest]), 1e-9)
    images = rng.random(size=(4, 6, 6, 1)).astype(np.float32)
    few, many = (initial.whitened(initial_state(ResNetConfig((6, 6, 1), stem=n), 0), images)["stem.weight"] for n in (4, 18))
    exact = initial.whitened(initial_state(ResNetConfig((6, 6, 1), stem=4), 0, np.float64), images.astype(np.float64))["stem.weight"]
    assert_close("images in float32", few[:2], exact[:2], 1e-6)
    assert few.dtype == np.float32 and np.array_equal(few[:2], many[:2]) and np.array_equal(few[2:], -many[:2])
    one = initial_state(ResNetConfig((3, 3, 1), stem=2), 0)
    assert initial.whitened(one, rng.random((5, 3, 3, 1)))["stem.weight"].shape == (2, 3, 3, 1), "an image of one patch"
    config = ResNetConfig((9, 8, 3), stem=4)
    for message, state, wrong in [
        ("no stem.weight to whiten: pass the state of a ResNetConfig", initial_state(MLPConfig(3), 0), (1, 9, 8, 3)),
        ("channels first", initial_state(config, 0), (1, 3, 9, 8)),
        ("kernel", initial_state(config, 0), (1, 2, 8, 3)),
    ]:
        raises(ValueError, message, lambda state=state, wrong=wrong: initial.whitened(state, np.ones(wrong)))


def check_count(count):
    """As many numbers as the built models hold, layer by layer; two operations for every use of a weight, shapes from a run."""
    for config in [
        *IMAGE_CONFIGS,
        CNNConfig((7, 9, 1), channels=(2, 3), kernel=2, padding=(0, 2), hidden=(4, 5), outputs=2),
        *[MLPConfig(9, hidden, 3, norm=norm) for norm in ("none", "batch", "layer", "rms") for hidden in ((8, 7), ())],
    ]:
        held = {}
        for name, p in model_of(config).named_parameters():
            layer, _, part = name.rpartition(".")
            size, weight = held.get(layer, (0, None))
            held[layer] = size + p.data.size, p.data if part == "weight" else weight
        rows = count.layers(config)
        assert {row.name: row.parameters for row in rows} == {name: size for name, (size, _) in held.items()}
        assert count.parameters(config) == sum(size for size, _ in held.values()) and count.flops(config) == sum(row.flops for row in rows)
        for row in rows:
            weight = held[row.name][1]
            assert row.shape[-1] == len(weight)
            assert row.flops == (2 * math.prod(row.shape) * weight[0].size if weight.ndim > 1 else 0)
    residual = {row.name: row.shape for row in count.layers(IMAGE_CONFIGS[2])}
    assert residual["stem"] == residual["stem_norm"] == residual["blocks.1.conv_2"] == (5, 7, 3)
    assert residual["blocks.2.conv_1"] == residual["blocks.2.project"] == (3, 4, 5) and residual["blocks.3.norm_2"] == (3, 4, 4)
    assert residual["blocks.4.project"] == residual["blocks.4.conv_2"] == (2, 2, 4) and residual["head"] == (3,)
    pooled = {row.name: row.shape for row in count.layers(IMAGE_CONFIGS[5])}
    assert pooled["blocks.0.conv"] == (9, 7, 3) and pooled["blocks.0.norm"] == pooled["blocks.1.conv_1"] == (4, 3, 3)
    assert pooled["blocks.2.conv"] == (4, 3, 4) and pooled["blocks.2.norm"] == (1, 1, 4)
    convolutional = {row.name: row.shape for row in count.layers(IMAGE_CONFIGS[0])}
    assert convolutional == {"convs.0": (9, 8, 3), "convs.1": (2, 2, 4), "layers.0": (5,), "layers.1": (3,)}
    raises(ValueError, "cannot count a dict: pass a configuration", lambda: count.parameters({}))
