"""What the chapter says in words about the network, the step, the start, the judge and what one hidden layer can express."""

import itertools

import numpy as np
import pytest

from dlcourse.check import compare
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP, SGD, Adam, AdamW, clip_gradients
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, numerical_gradient


def network(config, seed=0):
    model = MLP(config)
    model.load_state(initial_state(config, seed, np.float64))
    return model


def step_gradients(model, x, labels, rng=None):
    model.zero_gradients()
    logits, backward = model(x, rng)
    loss, loss_backward = f.cross_entropy(logits, labels)
    backward(loss_backward())
    return loss


class Counted(np.ndarray):
    """An array that writes down the multiplications of every product of two matrices it takes part in.

    The gradient of a bias is a sum, written as a product with a vector of ones: it is left out."""

    products = []

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        plain = [a.view(np.ndarray) if isinstance(a, Counted) else a for a in inputs]
        if ufunc is np.matmul and all(a.ndim == 2 for a in plain):
            Counted.products.append(plain[0].shape[0] * plain[0].shape[1] * plain[1].shape[1])
        if out is not None:
            options["out"] = tuple(a.view(np.ndarray) if isinstance(a, Counted) else a for a in out)
        result = getattr(ufunc, method)(*plain, **options)
        return result.view(Counted) if isinstance(result, np.ndarray) else result


@pytest.mark.equation("eq-backprop")
@pytest.mark.parametrize("hidden", [(), (6,), (6, 5, 4)])
def test_two_products_back_for_each_forward(rng, hidden):
    model = network(MLPConfig(inputs=3, hidden=hidden, outputs=2))
    Counted.products.clear()
    _, backward = model(rng.normal(size=(7, 3)).view(Counted))
    forward = list(Counted.products)
    Counted.products.clear()
    backward(rng.normal(size=(7, 2)).view(Counted))
    sizes = model.config.sizes
    assert_same("forward", np.array(forward), np.array([7 * i * o for i, o in itertools.pairwise(sizes)]), rtol=0)
    assert_same("backward", np.array(Counted.products), np.repeat(forward[::-1], 2), rtol=0)
    assert_same("cost", sum(Counted.products), 2 * sum(forward), rtol=0)


# ---------------------------------------------------------------- the step


@pytest.mark.equation("eq-sgd")
def test_loss_falls_by_the_square_of_the_gradient(rng):
    config = MLPConfig(inputs=3, hidden=(5, 4), outputs=3, activation="tanh")
    model, x, labels = network(config), rng.normal(size=(6, 3)), rng.integers(0, 3, size=6)
    step_gradients(model, x, labels)
    w, g = model.state(), model.gradients()
    square = sum((gradient**2).sum() for gradient in g.values())

    def loss(eta):
        model.load_state({name: w[name] - eta * g[name] for name in w})
        return f.cross_entropy(model(x)[0], labels)[0]

    assert_same("first order", (loss(1e-4) - loss(-1e-4)) / 2e-4, -square, rtol=1e-7)
    assert loss(0.01) < loss(0.0)
    remainders = [loss(eta) - loss(0.0) + eta * square for eta in (2e-3, 1e-3)]
    assert 3.9 < remainders[0] / remainders[1] < 4.1  # second order: half the step, a quarter of the rest


@pytest.fixture
def constant(rng):
    """A model whose gradients are set once and stay: (model, {name: gradient})."""
    model = network(MLPConfig(inputs=3, hidden=(4,), outputs=2))
    return model, {name: rng.normal(size=array.shape) for name, array in model.state().items()}


def steps(model, optimizer, gradients, count, lr):
    for _ in range(count):
        for name, parameter in model.named_parameters():
            parameter.grad[...] = gradients[name]
        before = model.state()
        optimizer.step(lr)
    return {name: before[name] - array for name, array in model.state().items()}  # the last step


@pytest.mark.equation("eq-momentum")
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_under_a_constant_gradient(constant, nesterov):
    model, g = constant
    optimizer = SGD(model, momentum=0.9, nesterov=nesterov)
    steps(model, optimizer, g, 1, 0.1)
    for name, velocity in g.items():  # the average starts at zero
        assert_same(name, optimizer.state()[f"velocity.{name}"], velocity, rtol=0)
    last = steps(model, optimizer, g, 400, 0.001)
    for name in g:
        velocity = optimizer.state()[f"velocity.{name}"]
        assert_lines_agree([velocity, g[name] / (1 - 0.9), 10 * g[name]], rtol=1e-14)
        assert_same("step", last[name], 0.001 * (g[name] + 0.9 * velocity if nesterov else velocity), rtol=1e-11)


@pytest.mark.equation("eq-adam")
def test_adam_under_a_constant_gradient(constant):
    model, g = constant
    beta1, beta2, t = 0.9, 0.999, 6
    optimizer = Adam(model, betas=(beta1, beta2), eps=1e-8)
    last = steps(model, optimizer, g, t, 0.01)
    for name in g:
        m, v = optimizer.state()[f"m.{name}"], optimizer.state()[f"v.{name}"]
        assert_lines_agree([m, (1 - beta1) * g[name] * sum(beta1**k for k in range(t)), (1 - beta1**t) * g[name]], rtol=1e-13)
        assert_lines_agree([v, (1 - beta2) * g[name] ** 2 * sum(beta2**k for k in range(t)), (1 - beta2**t) * g[name] ** 2], rtol=1e-11)
        # The hats take out exactly these factors: every weight moves by the learning rate, however long its gradient is.
        assert_same("step", last[name], 0.01 * g[name] / (np.abs(g[name]) + 1e-8), rtol=1e-11)


@pytest.mark.equation("eq-adamw")
def test_decay_apart_from_the_gradient(constant):
    model, g = constant
    w = model.state()
    AdamW(model, weight_decay=0.3).step(0.1)  # all gradients are zero
    for name, array in model.state().items():
        assert_same(name, array, (1 - 0.1 * 0.3) * w[name] if array.ndim >= 2 else w[name], rtol=1e-15)
    # Adam's step does not depend on the weights: what is left after it is the shrunken start.
    plain, decayed = network(model.config), network(model.config)
    steps(plain, Adam(plain), g, 1, 0.1)
    steps(decayed, AdamW(decayed, weight_decay=0.3), g, 1, 0.1)
    name = "layers.0.weight"
    assert_same("difference", plain.state()[name] - decayed.state()[name], 0.1 * 0.3 * w[name], rtol=1e-14)


@pytest.mark.equation("eq-clip")
@pytest.mark.parametrize("c", [0.5, 100.0])
def test_length_and_direction_after_clipping(constant, c):
    model, g = constant
    for name, parameter in model.named_parameters():
        parameter.grad[...] = g[name]
    long = np.concatenate([gradient.reshape(-1) for gradient in g.values()])
    clip_gradients(model, c)
    short = np.concatenate([gradient.reshape(-1) for gradient in model.gradients().values()])
    assert_same("length", np.linalg.norm(short), min(c, np.linalg.norm(long)), rtol=1e-14)
    assert_same("direction", short / np.linalg.norm(short), long / np.linalg.norm(long), rtol=1e-14)


@pytest.mark.equation("eq-sgd", "eq-softmax-ce-vjp")
def test_noise_of_a_batch(rng):
    model, x, labels = network(MLPConfig(inputs=3, hidden=(4,), outputs=3)), rng.normal(size=(4, 3)), np.array([0, 1, 2, 1])

    def gradient(index):
        step_gradients(model, x[list(index)], labels[list(index)])
        return np.concatenate([part.reshape(-1) for part in model.gradients().values()])

    every = gradient(range(4))
    noise = []
    for size in (1, 2, 4):  # all batches of this size that can be drawn with replacement
        batches = np.array([gradient(index) for index in itertools.product(range(4), repeat=size)])
        assert_same("mean over the batches", batches.mean(axis=0), every, rtol=1e-13)
        noise.append(np.sqrt(((batches - every) ** 2).sum(axis=1).mean()))
    assert_lines_agree([noise[0], noise[1] * np.sqrt(2), noise[2] * 2], rtol=1e-13)


# ---------------------------------------------------------------- the start


def twins(dropout=0.0, activation="relu"):
    """A network whose hidden units 0 and 1 of the first layer have equal weights on both sides, and equal biases."""
    model = network(MLPConfig(inputs=4, hidden=(5, 6), outputs=3, activation=activation, dropout=dropout))
    state = model.state()
    state["layers.0.weight"][1] = state["layers.0.weight"][0]
    state["layers.1.weight"][:, 1] = state["layers.1.weight"][:, 0]
    model.load_state(state)
    return model


def difference(model):
    state = model.state()
    pairs = [state["layers.0.weight"][:2], state["layers.0.bias"][:2], state["layers.1.weight"][:, :2].T]
    return max(np.abs(a - b).max() for a, b in pairs)


@pytest.mark.equation("eq-backprop")
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("optimizer", [SGD, Adam, AdamW, lambda model: SGD(model, momentum=0.9, weight_decay=0.1)])
def test_twins_stay_twins(rng, optimizer, activation):
    x, labels = rng.normal(size=(30, 4)), rng.integers(0, 3, size=30)
    model = twins(activation=activation)
    start, optimizer = model.state(), optimizer(model)
    for _ in range(20):
        step_gradients(model, x, labels)
        optimizer.step(0.05)
    assert max(np.abs(model.state()[name] - start[name]).max() for name in start) > 0.05
    state = model.state()
    assert_same("incoming weights", state["layers.0.weight"][1], state["layers.0.weight"][0], rtol=1e-12)
    assert_same("biases", state["layers.0.bias"][1], state["layers.0.bias"][0], rtol=1e-12)
    assert_same("outgoing weights", state["layers.1.weight"][:, 1], state["layers.1.weight"][:, 0], rtol=1e-12)
    # One unit with the sum of the outgoing weights is as good as two twins.
    single = MLP(MLPConfig(inputs=4, hidden=(4, 6), outputs=3, activation=activation))
    state["layers.1.weight"][:, 1] += state["layers.1.weight"][:, 0]
    for name in ("layers.0.weight", "layers.0.bias"):
        state[name] = state[name][1:]
    single.load_state(state | {"layers.1.weight": state["layers.1.weight"][:, 1:]})
    assert_same("a layer of one", single(x)[0], model(x)[0], rtol=1e-12)


@pytest.mark.equation("eq-backprop", "eq-dropout")
def test_dropout_parts_twins(rng):
    """The argument needs equal masks: dropout switches off one twin and not the other."""
    x, labels = rng.normal(size=(30, 4)), rng.integers(0, 3, size=30)
    for p, parted in ((0.0, False), (0.5, True)):
        model = twins(dropout=p, activation="tanh")
        assert_same("before", difference(model), 0.0, rtol=0)
        step_gradients(model, x, labels, np.random.default_rng(0))
        SGD(model).step(0.1)
        assert bool(difference(model) > 1e-5) is parted  # rounding leaves 1e-16


@pytest.mark.equation("eq-backprop")
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_zero_weights_stop_the_gradient(rng, activation):
    config = MLPConfig(inputs=4, hidden=(5, 6), outputs=3, activation=activation)
    model = MLP(config)
    model.load_state({name: np.zeros_like(array) for name, array in initial_state(config, 0, np.float64).items()})
    step_gradients(model, rng.normal(size=(30, 4)), np.arange(30) % 2)
    gradients = model.gradients()
    assert_same("only the last biases learn", gradients.pop("layers.2.bias"), 1 / 3 - np.array([0.5, 0.5, 0.0]), rtol=1e-14)
    for name, gradient in gradients.items():
        assert_same(name, gradient, np.zeros_like(gradient), rtol=0)


@pytest.mark.equation("eq-initial-variance")
def test_mean_square_through_a_layer(rng):
    """Exactly, over every choice of weights +a and -a and over inputs that take few values and depend on one another."""
    inputs, chances = rng.normal(size=(3, 6)), np.array([0.2, 0.3, 0.5])  # three values of x, (3, I)
    square = chances @ (inputs**2).mean(axis=1)  # E[x^2], the mean over the inputs
    for gamma in (2.0, 1.0):
        a = np.sqrt(gamma / 6)  # Var(w) = a^2 = gamma / I
        weights = np.array(list(itertools.product([-a, a], repeat=6)))  # (64, I), equally likely
        z = inputs @ weights.T  # (3, 64)
        mean, second = (chances @ z.mean(axis=1)), chances @ (z**2).mean(axis=1)
        assert abs(mean) < 1e-15
        assert_lines_agree([second - mean**2, 6 * a**2 * square, gamma * square], rtol=1e-14)
        halved = chances @ (f.relu(z)[0] ** 2).mean(axis=1)
        assert_lines_agree([halved, second / 2, gamma / 2 * square], rtol=1e-14)
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)  # the same for a normal z' of variance 1.7, by quadrature
    z, chances = np.sqrt(1.7) * nodes, weights / weights.sum()
    assert_lines_agree([chances @ f.relu(z)[0] ** 2, chances @ z**2 / 2, 1.7 / 2], rtol=1e-13)


@pytest.mark.equation("eq-initial-variance")
@pytest.mark.parametrize(("activation", "hidden_gain"), [("relu", 2), ("tanh", 1), ("sigmoid", 1)])
def test_variance_of_the_initial_state(activation, hidden_gain):
    config = MLPConfig(inputs=300, hidden=(200, 250), outputs=150, activation=activation)
    state = initial_state(config, 0, np.float64)
    for layer, gain in enumerate([hidden_gain, hidden_gain, 1]):  # no ReLU follows the last layer
        w = state[f"layers.{layer}.weight"]
        # For normal numbers the mean of the squares has the standard error sqrt(2 / size), the mean 1 / sqrt(size).
        assert abs((w**2).mean() * w.shape[1] / gain - 1) < 5 * np.sqrt(2 / w.size)
        assert abs(w.mean()) < 5 * np.sqrt(gain / w.shape[1] / w.size)
        assert np.abs(w).max() < 6 * np.sqrt(gain / w.shape[1])
        assert_same("biases", state[f"layers.{layer}.bias"], np.zeros(len(w)), rtol=0)


@pytest.mark.equation("eq-initial-variance")
def test_signal_through_twenty_layers(rng):
    config = MLPConfig(inputs=400, hidden=(400,) * 20, outputs=400)
    state, x = initial_state(config, 0, np.float64), rng.normal(size=(50, 400))
    model = MLP(config)

    def mean_square(scale):
        model.load_state({name: scale * array for name, array in state.items()})
        return (model(x)[0] ** 2).mean()

    kept = mean_square(1.0)
    # Width 400 leaves a relative variance of about 5 / 400 a layer; five standard deviations of the logarithm.
    assert abs(np.log(kept / (x**2).mean())) < 5 * np.sqrt(20 * 5 / 400)
    # Half the variance in each of the 21 layers loses exactly a factor of 2^21: relu(a z) = a relu(z).
    assert_same("half the variance", mean_square(np.sqrt(0.5)), kept / 2**21, rtol=1e-12)


# ---------------------------------------------------------------- the judge


@pytest.mark.equation("eq-central-difference")
def test_error_of_the_central_difference(rng):
    # f = sin(3 x): f' = 3 cos, f''' = -27 cos. What the two printed terms leave shrinks with h^4.
    x = rng.uniform(-0.4, 0.4, size=5)
    rests = []
    for h in (0.02, 0.01):
        quotient = (np.sin(3 * (x + h)) - np.sin(3 * (x - h))) / (2 * h)
        leading = (quotient - 3 * np.cos(3 * x)) / h**2
        np.testing.assert_allclose(leading, -27 / 6 * np.cos(3 * x), rtol=9 * h**2 / 20)  # the next term is -9 h^2 / 20 of this one
        rests.append(quotient - (3 * np.cos(3 * x) + h**2 / 6 * -27 * np.cos(3 * x)))
    np.testing.assert_allclose(rests[0] / rests[1], 16.0, rtol=1e-3)
    # A cubic has no further terms: the printed sum is exact, and for a parabola the difference is.
    cubic = [((2 + 0.5) ** 3 - (2 - 0.5) ** 3) / 1.0, 3 * 2**2 + 0.5**2 / 6 * 6]
    assert_lines_agree(cubic, rtol=1e-15)
    assert_lines_agree([((2 + 0.5) ** 2 - (2 - 0.5) ** 2) / 1.0, 2.0 * 2], rtol=1e-15)


@pytest.mark.equation("eq-central-difference")
def test_digits_of_the_central_difference(rng):
    x = rng.uniform(0, 1, size=200)  # e^x and its slope are of size one
    error = np.abs(compare.numerical_gradient(lambda x: np.exp(x).sum(), x[:1]) / np.exp(x[:1]) - 1).max()
    assert error < 1e-9
    double = np.abs((np.exp(x + 1e-6) - np.exp(x - 1e-6)) / 2e-6 / np.exp(x) - 1)
    assert 1e-11 < double.max() < 1e-9  # about nine digits, and no more
    single, h = x.astype(np.float32), np.float32(2.0**-10)
    quotient = (np.exp(single + h) - np.exp(single - h)) / ((single + h) - (single - h))
    error = np.abs(quotient / np.exp(single.astype(np.float64)) - 1)
    assert 1e-5 < error.max() < 5e-4  # about four digits in single precision
    assert_same("implementation", compare.numerical_gradient(lambda x: np.sin(x).sum(), x[:5]), np.cos(x[:5]), rtol=1e-8)
    assert_same("comparisons of the tests", numerical_gradient(lambda x: np.sin(x).sum(), x[:5]), np.cos(x[:5]), rtol=1e-8)


# ---------------------------------------------------------------- one hidden layer


def interpolant(cuts, function):
    """The equation as printed, and the network that it is: J units in one hidden layer."""
    slope = [0.0] + [(function(b) - function(a)) / (b - a) for a, b in itertools.pairwise(cuts)]  # m_0 = 0, m_1 ... m_J
    pieces = len(cuts) - 1
    model = MLP(MLPConfig(inputs=1, hidden=(pieces,), outputs=1))
    model.load_state(
        {
            "layers.0.weight": np.ones((pieces, 1)),
            "layers.0.bias": -cuts[:-1],
            "layers.1.weight": np.diff(slope)[None, :],
            "layers.1.bias": np.array([function(cuts[0])]),
        }
    )

    def printed(x):
        return function(cuts[0]) + sum((slope[k + 1] - slope[k]) * np.maximum(x - cuts[k], 0) for k in range(pieces))

    return printed, lambda x: model(x[:, None])[0][:, 0]


@pytest.mark.equation("eq-relu-interpolant", formula_only=True)
def test_network_of_straight_lines(rng):
    cuts = np.sort(rng.uniform(-1, 4, size=8))
    printed, model = interpolant(cuts, np.sin)
    inside = np.linspace(cuts[0], cuts[-1], 101)
    assert_lines_agree([printed(cuts), np.sin(cuts)], rtol=1e-13)
    assert_lines_agree([printed(inside), model(inside), np.interp(inside, cuts, np.sin(cuts))], rtol=1e-13)
    # Outside it is a constant on the left and goes on with the last slope on the right.
    assert_same("left", model(cuts[0] - np.array([0.1, 5.0])), np.full(2, np.sin(cuts[0])), rtol=1e-13)
    last = np.diff(np.sin(cuts[-2:]))[0] / np.diff(cuts[-2:])[0]
    far = np.array([0.5, 50.0])
    assert_same("right", model(cuts[-1] + far), np.sin(cuts[-1]) + last * far, rtol=1e-12)


@pytest.mark.equation("eq-relu-interpolant", formula_only=True)
@pytest.mark.parametrize("pieces", [4, 16, 64])
def test_error_of_straight_lines(pieces):
    cuts, h = np.linspace(0, 3, pieces + 1), 3 / pieces
    x = np.linspace(0, 3, 64 * 6 + 1)  # holds the middle of every piece
    for function, bound in ((np.sin, 1.0), (np.exp, np.exp(3.0)), (lambda x: 2.5 * x**2, 5.0)):
        _, model = interpolant(cuts, function)
        assert np.abs(model(x) - function(x)).max() <= bound * h**2 / 8 * (1 + 1e-9)
    # The bound is reached by a parabola, for which |f''| = M everywhere.
    assert_same("M h^2 / 8", np.abs(model(x) - 2.5 * x**2).max(), 5.0 * h**2 / 8, rtol=1e-10)
    # A continuous function without a slope: the error is at most the largest change of f within one piece, here sqrt(h).
    _, model = interpolant(cuts, lambda x: np.sqrt(np.abs(x)))
    assert np.abs(model(x) - np.sqrt(x)).max() <= np.sqrt(h)
