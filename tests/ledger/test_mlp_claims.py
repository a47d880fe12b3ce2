"""What the chapter says in words about its operations and losses, and the lines of derivations that have no number."""

import itertools

import numpy as np
import pytest

from dlcourse.config import MLPConfig
from dlcourse.numpy import MLP, SGD
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, numerical_gradient, numerical_jacobian

XOR = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def by_hand(v2):
    model = MLP(MLPConfig(inputs=2, hidden=(2,), outputs=1))
    model.load_state(
        {
            "layers.0.weight": np.ones((2, 2)),
            "layers.0.bias": np.array([0.0, -1.0]),
            "layers.1.weight": np.array([[1.0, v2]]),
            "layers.1.bias": np.zeros(1),
        }
    )
    return model


@pytest.mark.equation("eq-mlp", "eq-mse")
def test_network_for_exclusive_or():
    assert_same("the right network", by_hand(-2.0)(XOR)[0][:, 0], np.array([0.0, 1.0, 1.0, 0.0]), rtol=0)
    logits, _ = by_hand(-1.0)(XOR[3:])
    assert_lines_agree([logits[0, 0], 1 * max(1 + 1 + 0, 0) - 1 * max(1 + 1 - 1, 0), 1.0], rtol=0)
    assert_same("loss", f.mse_loss(logits, np.zeros((1, 1)))[0], 1.0, rtol=0)


@pytest.mark.equation("eq-backprop", "eq-mse-vjp", "eq-sgd")
def test_gradients_by_hand():
    model = by_hand(-1.0)
    logits, backward = model(XOR[3:])
    dx = backward(f.mse_loss(logits, np.zeros((1, 1)))[1]())
    expected = {"layers.0.weight": [[2, 2], [-2, -2]], "layers.0.bias": [2, -2], "layers.1.weight": [[4, 2]], "layers.1.bias": [2]}
    for name, gradient in model.gradients().items():
        assert_same(name, gradient, np.array(expected[name], dtype=float), rtol=0)
    assert_same("dx", dx, np.zeros((1, 2)), rtol=0)  # dh_1 + dh_2 = 2 - 2
    SGD(model).step(0.01)
    assert_same("the faulty weight after a step", model.state()["layers.1.weight"][0, 1], -1.02, rtol=1e-15)
    assert f.mse_loss(model(XOR[3:])[0], np.zeros((1, 1)))[0] < 1.0


@pytest.mark.equation("eq-linear", "eq-linear-vjp", "eq-softmax-vjp", "eq-sigmoid-vjp", "eq-dropout-vjp")
def test_backward_is_the_product_with_the_jacobian(rng):
    operations = [f.softmax, f.log_softmax, f.sigmoid, f.tanh, f.relu, lambda x: f.dropout(x, 0.3, np.random.default_rng(1))]
    w, b = rng.normal(size=(5, 3)), rng.normal(size=5)
    operations.append(lambda x: (f.linear(x, w, b)[0], lambda dy: f.linear(x, w, b)[1](dy)[0]))
    for operation in operations:
        x = rng.normal(size=(4, 3))
        y, backward = operation(x)
        dy = rng.normal(size=y.shape)
        jacobian = numerical_jacobian(lambda x, operation=operation: operation(x)[0], x)  # dy_k / dx_i
        assert_same("sum over k", backward(dy), np.einsum("no,noki->ki", dy, jacobian), rtol=1e-8)
    # The last one is the linear layer: only one entry in N is not zero, since a row acts on its own row alone.
    assert np.count_nonzero(np.abs(jacobian) > 1e-9) == 4 * 5 * 3
    assert jacobian.size == 4 * 4 * 5 * 3
    assert (100 * 1000) ** 2 == 10_000_000_000  # N = 100, I = O = 1000


@pytest.mark.equation("eq-linear")
def test_linear_layers_in_a_row_are_one(rng):
    x, (w1, w2), (b1, b2) = rng.normal(size=(6, 4)), rng.normal(size=(2, 4, 4)), rng.normal(size=(2, 4))
    one_by_one = f.linear(f.linear(x, w1, b1)[0], w2, b2)[0]
    assert_lines_agree([one_by_one, (x @ w1.T + b1) @ w2.T + b2, x @ (w2 @ w1).T + (w2 @ b1 + b2)], rtol=1e-13)
    assert_same("one layer", f.linear(x, w2 @ w1, w2 @ b1 + b2)[0], one_by_one, rtol=1e-13)


@pytest.mark.equation("eq-linear-vjp")
def test_columns_as_examples(rng):
    x, w, dz = rng.normal(size=(5, 7)), rng.normal(size=(3, 5)), rng.normal(size=(3, 7))
    rows = f.linear(x.T, w, np.zeros(3))[1](dz.T)[1]
    assert_lines_agree([numerical_gradient(lambda w: (dz * (w @ x)).sum(), w), dz @ x.T, rows], rtol=1e-8)


@pytest.mark.equation("eq-relu-vjp", "eq-sigmoid-vjp", "eq-tanh-vjp")
def test_slopes_of_the_activations(rng):
    x = np.append(np.linspace(-9, 9, 1801), 0.0)
    ones = np.ones_like(x)
    (y, relu_back), (_, sigmoid_back), (_, tanh_back) = f.relu(x), f.sigmoid(x), f.tanh(x)
    assert_same("relu from its output alone", relu_back(ones), (y > 0).astype(float), rtol=0)
    assert_same("a quarter at most", sigmoid_back(ones).max(), 0.25, rtol=0)
    assert_same("one at most", tanh_back(ones).max(), 1.0, rtol=0)
    for backward in (sigmoid_back, tanh_back):  # flat at both ends
        assert backward(ones)[[0, 1800]].max() < 2e-4
    for slope in (0.0, 0.3, 1.0):  # every slope between 0 and 1 is a line below relu through its corner
        assert (y >= slope * x).all()
    assert ((-0.1 * x > y) | (1.1 * x > y)).any()


@pytest.mark.equation("eq-softmax-shift", "eq-log-softmax")
def test_where_the_plain_formulas_break():
    with np.errstate(over="ignore", invalid="ignore"):
        assert np.isinf(np.exp(np.float64(1000)))
        assert np.isnan(np.exp(1000.0) / (np.exp(1000.0) + 1))
    assert f.softmax(np.array([0.0, -1000.0]))[0][1] == 0  # p rounds to zero, its logarithm does not
    assert_same("log p", f.log_softmax(np.array([0.0, -1000.0]))[0], np.array([0.0, -1000.0]), rtol=0)
    assert_same("softmax", f.softmax(np.array([1000.0, 0.0]))[0], np.array([1.0, 0.0]), rtol=0)


@pytest.mark.equation("eq-log-softmax-vjp")
def test_slope_of_the_logarithm_of_softmax(rng):
    x = rng.normal(size=5)
    p = np.exp(x) / np.exp(x).sum()
    rows = [[(i == k) - np.exp(x[k]) / np.exp(x).sum() for k in range(5)] for i in range(5)]
    assert_lines_agree([numerical_jacobian(lambda x: f.log_softmax(x)[0], x), np.array(rows), np.eye(5) - p], rtol=1e-8)
    backwards = np.array([f.log_softmax(x)[1](row) for row in np.eye(5)])  # row i of the Jacobian
    assert_same("implementation", backwards, np.eye(5) - p, rtol=1e-13)


@pytest.mark.equation("eq-cross-entropy")
def test_likelihood(rng):
    z, y = rng.normal(size=(4, 5)), rng.integers(0, 5, size=4)
    p = f.softmax(z)[0]
    assert_same("product of the probabilities", np.prod(p[np.arange(4), y]), np.exp(-4 * f.cross_entropy(z, y)[0]), rtol=1e-13)


@pytest.mark.equation("eq-softmax-ce-vjp")
def test_any_rows_that_sum_to_one(rng):
    z, q = rng.normal(size=(4, 5)), rng.dirichlet(np.ones(5), size=4)
    p = f.softmax(z)[0]
    through_log_softmax = f.log_softmax(z)[1](-q / 4)
    assert_lines_agree([numerical_gradient(lambda z: -(q * f.log_softmax(z)[0]).sum() / 4, z), through_log_softmax, (p - q) / 4], rtol=1e-8)


@pytest.mark.equation("eq-softmax-ce-vjp", "eq-softmax-vjp")
def test_softmax_twice(rng):
    # Confidently wrong: with softmax once the error is whole, with softmax twice every entry is nearly zero.
    z, label = np.array([[20.0, 0.0, 0.0]]), np.array([1])
    assert_same("once", f.cross_entropy(z, label)[1](), np.array([[1.0, -1.0, 0.0]]), rtol=1e-8)
    p, back = f.softmax(z)
    twice = back(f.cross_entropy(p, label)[1]())
    assert 0 < np.abs(twice).max() < 1e-8
    # The smallest loss that probabilities can have as logits, for ten classes.
    floor = np.log(1 + 9 / np.e)
    assert_same("perfect answer", f.cross_entropy(np.eye(10)[:1], np.array([0]))[0], floor, rtol=1e-15)
    others = [f.cross_entropy(rng.dirichlet(np.full(10, a))[None], np.array([0]))[0] for a in (0.01, 0.1, 1.0) for _ in range(100)]
    assert min(others) > floor - 1e-12


@pytest.mark.equation("eq-bce", "eq-bce-vjp")
def test_logistic_loss(rng):
    z, t = 2 * rng.normal(size=12), rng.integers(0, 2, size=12).astype(float)
    e, p = np.exp(z), f.sigmoid(z)[0]
    slope = [numerical_gradient(lambda z: np.log(1 + np.exp(z)).sum(), z), e / (1 + e), 1 / (1 + 1 / e), p]
    assert_lines_agree(slope, rtol=1e-8)
    # The derivative with respect to p, and the factor dp/dz that makes it the one with respect to z.
    by_p = [numerical_gradient(lambda p: -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum(), p, h=1e-7), -(t / p - (1 - t) / (1 - p))]
    assert_lines_agree(by_p, rtol=1e-7)
    assert_lines_agree([by_p[1] * p * (1 - p), -t * (1 - p) + (1 - t) * p, p - t], rtol=1e-14)
    assert_same("implementation", f.binary_cross_entropy(z, t)[1](), (p - t) / 12, rtol=1e-13)
    assert_same("sign for t = 1", np.sign((1 - p) * t)[t == 1], -np.sign(p - t)[t == 1], rtol=0)
    # Behind a sigmoid the squared error keeps the slope p (1 - p), taken at z.
    p, sigmoid_back = f.sigmoid(z)
    squared = [numerical_gradient(lambda z: ((f.sigmoid(z)[0] - t) ** 2).mean(), z), 2 / 12 * (p - t) * p * (1 - p)]
    assert_lines_agree([*squared, sigmoid_back(f.mse_loss(p, t)[1]())], rtol=1e-8)


class Given:
    """A generator that returns the numbers that it is given."""

    def __init__(self, numbers):
        self.numbers = numbers

    def random(self, shape, dtype):
        return np.asarray(self.numbers, dtype).reshape(shape)


@pytest.mark.equation("eq-dropout")
@pytest.mark.parametrize("p", [0.25, 0.5])
def test_dropout_over_all_masks(rng, p):
    x, expected, total = rng.normal(size=6), np.zeros(6), 0.0
    for mask in itertools.product([0, 1], repeat=6):
        m = np.array(mask)
        y, _ = f.dropout(x, p, Given(np.where(m == 1, p, np.nextafter(np.float32(p), np.float32(0)))))  # kept from p on, dropped just below
        assert_same("y", y, m * x / (1 - p), rtol=1e-15)
        chance = np.prod(np.where(m == 1, 1 - p, p))
        expected, total = expected + chance * y, total + chance
    assert_lines_agree([expected, ((1 - p) * x + p * 0) / (1 - p), x], rtol=1e-14)
    assert_same("all masks", total, 1.0, rtol=1e-15)
    assert f.dropout(x, p, None)[0] is x  # in use nothing is rescaled
