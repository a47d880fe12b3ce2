"""The linear layer, the activations, dropout: each line of the chapter at random points."""

import numpy as np
import pytest

from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, assert_vjp, numerical_gradient, numerical_jacobian


@pytest.fixture
def linear(rng):
    return rng.normal(size=(4, 3)), rng.normal(size=(5, 3)), rng.normal(size=5)  # x (N, I), weight (O, I), bias (O)


@pytest.mark.equation("eq-linear")
def test_linear(linear):
    x, w, b = linear
    entries = np.array([[sum(x[n, i] * w[o, i] for i in range(3)) + b[o] for o in range(5)] for n in range(4)])
    assert_lines_agree([entries, x @ w.T + b], rtol=1e-13)
    assert_same("implementation", f.linear(x, w, b)[0], entries, rtol=1e-13)


@pytest.mark.equation("eq-linear-vjp")
def test_linear_vjp(linear, rng):
    x, w, b = linear
    dy = rng.normal(size=(4, 5))

    def loss(x, w, b):
        return (dy * (x @ w.T + b)).sum()

    dx = [
        numerical_gradient(lambda x: loss(x, w, b), x),
        np.array([[sum(dy[n, o] * w[o, i] for o in range(5)) for i in range(3)] for n in range(4)]),
        dy @ w,
    ]
    dw = [
        numerical_gradient(lambda w: loss(x, w, b), w),
        np.array([[sum(dy[n, o] * x[n, i] for n in range(4)) for i in range(3)] for o in range(5)]),
        dy.T @ x,
    ]
    db = [numerical_gradient(lambda b: loss(x, w, b), b), np.array([sum(dy[n, o] for n in range(4)) for o in range(5)]), dy.sum(axis=0)]
    for name, lines, result in zip(("dX", "dW", "db"), (dx, dw, db), f.linear(x, w, b)[1](dy), strict=True):
        assert_lines_agree(lines, rtol=1e-8)
        assert_same(name, result, lines[-1], rtol=1e-13)
    assert_vjp("linear", f.linear, linear, rng)


@pytest.mark.equation("eq-relu")
def test_relu(rng):
    x = np.append(rng.normal(size=20), 0.0)
    assert_same("implementation", f.relu(x)[0], np.array([value if value > 0 else 0.0 for value in x]), rtol=0)


@pytest.mark.equation("eq-relu-vjp")
def test_relu_vjp(rng):
    x, dy = rng.normal(size=(2, 20))
    assert np.abs(x).min() > 1e-4  # away from the corner, where a difference has no meaning
    assert_lines_agree([numerical_gradient(lambda x: (dy * np.maximum(x, 0)).sum(), x), dy * (x > 0)], rtol=1e-8)
    assert_same("implementation", f.relu(x)[1](dy), dy * (x > 0), rtol=0)
    assert_same("zero at the corner", f.relu(np.zeros(3))[1](np.ones(3)), np.zeros(3), rtol=0)


def sigma(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.equation("eq-sigmoid")
def test_sigmoid(rng):
    x = 3 * rng.normal(size=20)
    assert_same("implementation", f.sigmoid(x)[0], sigma(x), rtol=1e-14)
    assert_same("both ends", f.sigmoid(np.array([-1000.0, 1000.0]))[0], np.array([0.0, 1.0]), rtol=0)


@pytest.mark.equation("eq-sigmoid-vjp")
def test_sigmoid_vjp(rng):
    x, dy = rng.normal(size=(2, 20))
    e = np.exp(-x)
    slope = [
        numerical_jacobian(sigma, x).diagonal(),
        e / (1 + e) ** 2,
        1 / (1 + e) * (e / (1 + e)),
        1 / (1 + e) * (1 - 1 / (1 + e)),
        sigma(x) * (1 - sigma(x)),
    ]
    assert_lines_agree(slope, rtol=1e-8)
    y = sigma(x)
    assert_same("implementation", f.sigmoid(x)[1](dy), dy * y * (1 - y), rtol=1e-14)
    assert_vjp("sigmoid", f.sigmoid, (x,), rng)


@pytest.mark.equation("eq-tanh")
def test_tanh(rng):
    x = 2 * rng.normal(size=20)
    assert_same("implementation", f.tanh(x)[0], (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), rtol=1e-14)


@pytest.mark.equation("eq-tanh-vjp")
def test_tanh_vjp(rng):
    x, dy = rng.normal(size=(2, 20))
    plus, minus = np.exp(x) + np.exp(-x), np.exp(x) - np.exp(-x)
    slope = [
        numerical_jacobian(lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)), x).diagonal(),
        (plus**2 - minus**2) / plus**2,
        1 - (minus / plus) ** 2,
        1 - np.tanh(x) ** 2,
    ]
    assert_lines_agree(slope, rtol=1e-8)
    assert_same("implementation", f.tanh(x)[1](dy), dy * (1 - np.tanh(x) ** 2), rtol=1e-14)
    assert_vjp("tanh", f.tanh, (x,), rng)


@pytest.mark.equation("eq-dropout")
def test_dropout(rng):
    x, p = rng.normal(size=(50, 4)), 0.3
    y = f.dropout(x, p, np.random.default_rng(1))[0]
    m = y != 0  # the mask that the implementation drew
    assert 0 < m.sum() < m.size
    assert_same("implementation", y, m * x / (1 - p), rtol=1e-15)
    assert_lines_agree([((1 - p) * (1 * x / (1 - p)) + p * (0 * x / (1 - p))), ((1 - p) * x + p * 0) / (1 - p), x], rtol=1e-14)
    # The mean of 40 000 masks differs from 1 by less than 5 standard errors.
    one = f.dropout(np.ones(40_000), p, np.random.default_rng(2))[0]
    assert abs(one.mean() - 1) < 5 * np.sqrt(p / (1 - p) / one.size)


@pytest.mark.equation("eq-dropout-vjp")
def test_dropout_vjp(rng):
    x, dy, p = rng.normal(size=(6, 4)), rng.normal(size=(6, 4)), 0.3
    y, backward = f.dropout(x, p, np.random.default_rng(1))
    m = y != 0
    assert_lines_agree([numerical_gradient(lambda x: (dy * (m * x / (1 - p))).sum(), x), m * dy / (1 - p)], rtol=1e-8)
    assert_same("implementation", backward(dy), m * dy / (1 - p), rtol=1e-15)
    assert_vjp("dropout", lambda x: f.dropout(x, p, np.random.default_rng(1)), (x,), rng)
