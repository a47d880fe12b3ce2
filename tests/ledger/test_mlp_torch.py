"""A second opinion: every equation of the chapter that PyTorch has too, in float64, with gradients by its autograd."""

import numpy as np
import pytest

from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP, SGD, Adam, AdamW, clip_gradients
from dlcourse.numpy import functional as f
from tests.equations import assert_same

LABELS, TARGETS = np.array([0, 4, 2, 2]), np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.25]])


@pytest.fixture
def torch():
    import torch  # here and not above: without PyTorch the tests are still collected

    return torch


def tensor(torch, array):
    return torch.tensor(array, dtype=torch.float64, requires_grad=True)


def case(*labels, ours, theirs, shapes):
    return pytest.param(ours, theirs, shapes, id=labels[-1], marks=pytest.mark.equation(*labels))


CASES = [
    case("eq-linear", "eq-linear-vjp", ours=f.linear, theirs=lambda F: F.linear, shapes=[(4, 3), (5, 3), (5,)]),
    case("eq-relu", "eq-relu-vjp", ours=f.relu, theirs=lambda F: F.relu, shapes=[(4, 5)]),
    case("eq-sigmoid", "eq-sigmoid-vjp", ours=f.sigmoid, theirs=lambda F: F.sigmoid, shapes=[(4, 5)]),
    case("eq-tanh", "eq-tanh-vjp", ours=f.tanh, theirs=lambda F: F.tanh, shapes=[(4, 5)]),
    case("eq-softmax", "eq-softmax-vjp", ours=f.softmax, theirs=lambda F: lambda x: F.softmax(x, dim=-1), shapes=[(4, 5)]),
    case("eq-log-softmax", "eq-log-softmax-vjp", ours=f.log_softmax, theirs=lambda F: lambda x: F.log_softmax(x, dim=-1), shapes=[(4, 5)]),
]
LOSSES = [
    case(
        "eq-cross-entropy",
        "eq-softmax-ce-vjp",
        ours=lambda z: f.cross_entropy(z, LABELS),
        theirs=lambda torch: lambda z: torch.nn.functional.cross_entropy(z, torch.tensor(LABELS)),
        shapes=(4, 5),
    ),
    case(
        "eq-label-smoothing",
        ours=lambda z: f.cross_entropy(z, LABELS, label_smoothing=0.1),
        theirs=lambda torch: lambda z: torch.nn.functional.cross_entropy(z, torch.tensor(LABELS), label_smoothing=0.1),
        shapes=(4, 5),
    ),
    case(
        "eq-mse",
        "eq-mse-vjp",
        ours=lambda y: f.mse_loss(y, TARGETS),
        theirs=lambda torch: lambda y: torch.nn.functional.mse_loss(y, torch.tensor(TARGETS)),
        shapes=(2, 3),
    ),
    case(
        "eq-bce",
        "eq-bce-vjp",
        ours=lambda z: f.binary_cross_entropy(z, TARGETS),
        theirs=lambda torch: lambda z: torch.nn.functional.binary_cross_entropy_with_logits(z, torch.tensor(TARGETS)),
        shapes=(2, 3),
    ),
]


@pytest.mark.parametrize(("ours", "theirs", "shapes"), CASES)
def test_operation(torch, rng, ours, theirs, shapes):
    arguments = [2 * rng.normal(size=shape) for shape in shapes]
    y, backward = ours(*arguments)
    tensors = [tensor(torch, argument) for argument in arguments]
    output = theirs(torch.nn.functional)(*tensors)
    assert_same("forward", y, output.detach().numpy(), rtol=1e-14)
    dy = rng.normal(size=y.shape)
    output.backward(torch.tensor(dy))
    gradients = backward(dy)
    for gradient, argument in zip(gradients if isinstance(gradients, tuple) else (gradients,), tensors, strict=True):
        assert_same("gradient", gradient, argument.grad.numpy(), rtol=1e-13)


@pytest.mark.parametrize(("ours", "theirs", "shapes"), LOSSES)
def test_loss(torch, rng, ours, theirs, shapes):
    z = 3 * rng.normal(size=shapes)
    loss, backward = ours(z)
    argument = tensor(torch, z)
    output = theirs(torch)(argument)
    assert_same("loss", loss, output.item(), rtol=1e-14)
    (1.7 * output).backward()
    assert_same("gradient", backward(1.7), argument.grad.numpy(), rtol=1e-13)


@pytest.mark.equation("eq-relu-vjp")
def test_slope_of_relu_at_the_corner(torch):
    x = tensor(torch, np.zeros(3))
    torch.relu(x).sum().backward()
    assert_same("slope at zero", f.relu(np.zeros(3))[1](np.ones(3)), x.grad.numpy(), rtol=0)


@pytest.mark.equation("eq-softmax-jacobian", formula_only=True)
def test_softmax_jacobian(torch, rng):
    x = rng.normal(size=5)
    p = f.softmax(x)[0]
    autograd = torch.autograd.functional.jacobian(lambda x: torch.softmax(x, dim=0), torch.tensor(x)).numpy()
    printed = np.array([[p[i] * ((i == k) - p[k]) for k in range(5)] for i in range(5)])
    assert_same("Jacobian", printed, autograd, rtol=1e-14)


@pytest.mark.equation("eq-softmax-shift")
def test_softmax_of_large_logits(torch, rng):
    x = 1e4 * rng.normal(size=(4, 5))
    assert_same("softmax", f.softmax(x)[0], torch.softmax(torch.tensor(x), dim=-1).numpy(), rtol=1e-14)
    assert_same("any constant", f.softmax(x + 512.0)[0], f.softmax(x)[0], rtol=1e-10)  # x + 512 is rounded to 1e-12


@pytest.mark.equation("eq-dropout", "eq-dropout-vjp")
def test_dropout(torch, rng):
    x, dy, p = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), 0.4
    m = f.dropout(np.ones((6, 4)), p, np.random.default_rng(5))[0] > 0
    assert 0 < m.sum() < m.size
    y, backward = f.dropout(x, p, np.random.default_rng(5))
    argument = tensor(torch, x)
    output = torch.tensor(m) * argument / (1 - p)
    output.backward(torch.tensor(dy))
    assert_same("forward", y, output.detach().numpy(), rtol=1e-15)
    assert_same("gradient", backward(dy), argument.grad.numpy(), rtol=1e-15)


def built(torch, config, state):
    """The same network from PyTorch's own layers."""
    activation = {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh}[config.activation]
    layers = []
    for i, (inputs, outputs) in enumerate(zip(config.sizes, config.sizes[1:], strict=False)):
        layer = torch.nn.Linear(inputs, outputs, dtype=torch.float64)
        layer.weight.data, layer.bias.data = (torch.tensor(state[f"layers.{i}.{name}"]) for name in ("weight", "bias"))
        layers += [layer, activation()]
    return torch.nn.Sequential(*layers[:-1])


def parameters(network):
    """{the package's name: PyTorch's parameter}"""
    return {f"layers.{i // 2}.{name}": value for i, layer in enumerate(network) for name, value in layer.named_parameters()}


@pytest.mark.equation("eq-mlp", "eq-backprop", "eq-parameter-count")
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
@pytest.mark.parametrize("hidden", [(), (7,), (6, 5, 4)])
def test_network(torch, rng, hidden, activation):
    config = MLPConfig(inputs=3, hidden=hidden, outputs=5, activation=activation)
    state = {name: rng.normal(size=array.shape) for name, array in initial_state(config, 0, np.float64).items()}
    model, network = MLP(config), built(torch, config, state)
    model.load_state(state)
    x = rng.normal(size=(4, 3))
    logits, backward = model(x)
    loss, loss_backward = f.cross_entropy(logits, LABELS)
    dx = backward(loss_backward())

    argument = tensor(torch, x)
    output = network(argument)
    theirs = torch.nn.functional.cross_entropy(output, torch.tensor(LABELS))
    theirs.backward()
    assert_same("logits", logits, output.detach().numpy(), rtol=1e-13)
    assert_same("loss", loss, theirs.item(), rtol=1e-13)
    assert_same("dX", dx, argument.grad.numpy(), rtol=1e-12)
    for name, parameter in parameters(network).items():
        assert_same(name, model.gradients()[name], parameter.grad.numpy(), rtol=1e-12)
    s = config.sizes
    printed = sum((s[layer - 1] + 1) * s[layer] for layer in range(1, len(s)))
    assert_same("parameters", sum(parameter.numel() for parameter in network.parameters()), printed, rtol=0)
    assert_same("parameters", sum(array.size for array in model.state().values()), printed, rtol=0)


OPTIMIZERS = [
    ("eq-sgd", SGD, {}, "SGD", {}),
    ("eq-momentum", SGD, {"momentum": 0.9}, "SGD", {"momentum": 0.9}),
    ("eq-momentum", SGD, {"momentum": 0.9, "nesterov": True}, "SGD", {"momentum": 0.9, "nesterov": True}),
    ("eq-adam", Adam, {}, "Adam", {}),
    ("eq-adam", Adam, {"betas": (0.5, 0.7), "eps": 0.1}, "Adam", {"betas": (0.5, 0.7), "eps": 0.1}),
    ("eq-adamw", AdamW, {"weight_decay": 0.2}, "AdamW", {"weight_decay": 0.2}),
]


@pytest.mark.parametrize(
    ("ours", "options", "theirs", "their_options"),
    [pytest.param(*row[1:], id=f"{row[0]}-{i}", marks=pytest.mark.equation(row[0])) for i, row in enumerate(OPTIMIZERS)],
)
def test_optimizer(torch, rng, ours, options, theirs, their_options):
    config = MLPConfig(inputs=3, hidden=(4,), outputs=5, activation="tanh")
    state = initial_state(config, 0, np.float64)
    model, network = MLP(config), built(torch, config, state)
    model.load_state(state)
    mine = ours(model, **options)
    named = parameters(network)
    groups = [{"params": [value for value in named.values() if value.ndim >= 2]}]
    groups += [{"params": [value for value in named.values() if value.ndim < 2]} | ({"weight_decay": 0.0} if theirs == "AdamW" else {})]
    their_optimizer = getattr(torch.optim, theirs)(groups, lr=0.1, **their_options)
    x = rng.normal(size=(4, 3))
    for _ in range(8):
        model.zero_gradients()
        logits, backward = model(x)
        backward(f.cross_entropy(logits, LABELS)[1]())
        mine.step(0.1)
        their_optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(torch.tensor(x)), torch.tensor(LABELS)).backward()
        their_optimizer.step()
        for name, parameter in named.items():
            assert_same(name, model.state()[name], parameter.detach().numpy(), rtol=1e-11)


@pytest.mark.equation("eq-clip")
@pytest.mark.parametrize("c", [0.5, 100.0])
def test_clip(torch, rng, c):
    config = MLPConfig(inputs=3, hidden=(4,), outputs=2)
    state = initial_state(config, 0, np.float64)
    model, network = MLP(config), built(torch, config, state)
    model.load_state(state)
    for name, parameter in model.named_parameters():
        parameter.grad[...] = rng.normal(size=parameter.grad.shape)
        parameters(network)[name].grad = torch.tensor(parameter.grad)
    before = torch.nn.utils.clip_grad_norm_(network.parameters(), c).item()
    assert_same("norm", clip_gradients(model, c), before, rtol=1e-14)
    theirs = (before + 1e-6) / before if before > c else 1.0  # PyTorch divides by the norm + 1e-6
    for name, parameter in parameters(network).items():
        assert_same(name, model.gradients()[name], theirs * parameter.grad.numpy(), rtol=1e-14)
    after = np.sqrt(sum((gradient**2).sum() for gradient in model.gradients().values()))
    assert_same("length afterwards", after, min(before, c), rtol=1e-14)
