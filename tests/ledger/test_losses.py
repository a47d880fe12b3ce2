"""Softmax, its logarithm, and the losses: each line of the chapter at random points."""

import numpy as np
import pytest

from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, assert_vjp, numerical_gradient, numerical_jacobian


def softmax(x):
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


@pytest.mark.equation("eq-softmax")
def test_softmax(rng):
    x = rng.normal(size=(4, 5))
    assert_same("implementation", f.softmax(x)[0], softmax(x), rtol=1e-14)
    assert_same("rows sum to one", f.softmax(x)[0].sum(axis=-1), np.ones(4), rtol=1e-14)


@pytest.mark.equation("eq-softmax-shift")
def test_softmax_shift(rng):
    x, c = rng.normal(size=(4, 5)), rng.normal(size=(4, 1))
    lines = [
        np.exp(x - c) / np.exp(x - c).sum(axis=-1, keepdims=True),
        np.exp(-c) * np.exp(x) / (np.exp(-c) * np.exp(x).sum(axis=-1, keepdims=True)),
        softmax(x),
    ]
    assert_lines_agree(lines, rtol=1e-14)
    assert_same("implementation", f.softmax(x + c)[0], f.softmax(x)[0], rtol=1e-14)
    assert_same("no overflow", f.softmax(np.array([1000.0, 0.0]))[0], np.array([1.0, 0.0]), rtol=0)


@pytest.mark.equation("eq-softmax-jacobian", formula_only=True)
def test_softmax_jacobian(rng):
    x = rng.normal(size=5)
    e, s, same, p = np.exp(x), np.exp(x).sum(), np.eye(5), softmax(x)
    lines = [
        numerical_jacobian(softmax, x),
        (same * e[:, None] * s - e[:, None] * e[None, :]) / s**2,
        e[:, None] / s * (same - e[None, :] / s),
        p[:, None] * (same - p[None, :]),
    ]
    assert_lines_agree(lines, rtol=1e-8)


@pytest.mark.equation("eq-softmax-vjp")
def test_softmax_vjp(rng):
    x, dp = rng.normal(size=(2, 5))
    p, same = softmax(x), np.eye(5)
    lines = [
        numerical_gradient(lambda x: (dp * softmax(x)).sum(), x),
        np.array([sum(dp[i] * p[i] * (same[i, k] - p[k]) for i in range(5)) for k in range(5)]),
        dp * p - p * (dp * p).sum(),
        p * (dp - (dp * p).sum()),
    ]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", f.softmax(x)[1](dp), lines[-1], rtol=1e-13)
    assert_vjp("softmax", f.softmax, (rng.normal(size=(4, 5)),), rng)


@pytest.mark.equation("eq-log-softmax")
def test_log_softmax(rng):
    x = rng.normal(size=(4, 5))
    lines = [np.log(softmax(x)), x - np.log(np.exp(x).sum(axis=-1, keepdims=True))]
    assert_lines_agree(lines, rtol=1e-14)
    assert_same("implementation", f.log_softmax(x)[0], lines[-1], rtol=1e-14)


@pytest.mark.equation("eq-log-softmax-vjp")
def test_log_softmax_vjp(rng):
    x, dy = rng.normal(size=(2, 5))
    p = softmax(x)
    jacobian = np.eye(5) - p[None, :]  # dy_i / dx_k = [i = k] - p_k
    assert_lines_agree([numerical_jacobian(lambda x: np.log(softmax(x)), x), jacobian], rtol=1e-8)
    lines = [numerical_gradient(lambda x: (dy * np.log(softmax(x))).sum(), x), dy @ jacobian, dy - p * dy.sum()]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", f.log_softmax(x)[1](dy), lines[-1], rtol=1e-13)
    assert_vjp("log_softmax", f.log_softmax, (rng.normal(size=(4, 5)),), rng)


@pytest.fixture
def classified(rng):
    return rng.normal(size=(4, 5)), rng.integers(0, 5, size=4)  # logits (N, V), labels (N)


@pytest.mark.equation("eq-cross-entropy")
def test_cross_entropy(classified):
    z, y = classified
    p, q = softmax(z), np.eye(5)[y]
    lines = [
        -np.log(np.prod([p[n, y[n]] for n in range(4)])) / 4,
        -sum(np.log(p[n, y[n]]) for n in range(4)) / 4,
        -(q * np.log(p)).sum() / 4,
    ]
    assert_lines_agree(lines, rtol=1e-14)
    assert_same("implementation", f.cross_entropy(z, y)[0], lines[-1], rtol=1e-14)


@pytest.mark.equation("eq-softmax-ce-vjp")
def test_softmax_cross_entropy_vjp(classified, rng):
    z, y = classified
    p, q = softmax(z), np.eye(5)[y]
    jacobian = np.einsum("ni,ij->nij", p, np.eye(5)) - np.einsum("ni,nj->nij", p, p)  # eq-softmax-jacobian
    lines = [
        numerical_gradient(lambda z: -(q * np.log(softmax(z))).sum() / 4, z),
        np.einsum("nij,ni->nj", jacobian, -q / p / 4),  # the chain rule through softmax, a way that the chapter does not take
        -q / 4 - p * (-q / 4).sum(axis=1, keepdims=True),
        -q / 4 + p / 4,
        (p - q) / 4,
    ]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", f.cross_entropy(z, y)[1](1.0), lines[-1], rtol=1e-13)
    assert_vjp("cross_entropy", lambda z: f.cross_entropy(z, y), (z,), rng)


@pytest.mark.equation("eq-label-smoothing")
def test_label_smoothing(classified, rng):
    z, y = classified
    s, p = 0.1, softmax(z)
    q = np.array([[(1 - s) * (i == y[n]) + s / 5 for i in range(5)] for n in range(4)])
    assert_same("rows sum to one", q.sum(axis=1), np.ones(4), rtol=1e-14)
    loss, backward = f.cross_entropy(z, y, label_smoothing=s)
    assert_same("loss", loss, -(q * np.log(p)).sum() / 4, rtol=1e-14)
    assert_same("gradient", backward(1.0), (p - q) / 4, rtol=1e-13)
    assert_vjp("cross_entropy", lambda z: f.cross_entropy(z, y, label_smoothing=s), (z,), rng)


@pytest.mark.equation("eq-mse")
def test_mse(rng):
    y, t = rng.normal(size=(2, 3, 4))
    squares = [(y.flat[k] - t.flat[k]) ** 2 for k in range(12)]
    assert_same("implementation", f.mse_loss(y, t)[0], sum(squares) / 12, rtol=1e-14)


@pytest.mark.equation("eq-mse-vjp")
def test_mse_vjp(rng):
    y, t = rng.normal(size=(2, 3, 4))
    assert_lines_agree([numerical_gradient(lambda y: ((y - t) ** 2).sum() / 12, y), 2 / 12 * (y - t)], rtol=1e-8)
    assert_same("implementation", f.mse_loss(y, t)[1](1.0), 2 / 12 * (y - t), rtol=1e-14)


def sigma(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.equation("eq-bce")
def test_binary_cross_entropy(rng):
    z, t = 2 * rng.normal(size=12), rng.integers(0, 2, size=12).astype(float)
    assert_lines_agree([-np.log(sigma(z)), np.log(1 + np.exp(-z)), np.log(1 + np.exp(z)) - z], rtol=1e-13)
    assert_lines_agree([-np.log(1 - sigma(z)), np.log(1 + np.exp(z))], rtol=1e-13)
    lines = [
        -t * np.log(sigma(z)) - (1 - t) * np.log(1 - sigma(z)),
        t * (np.log(1 + np.exp(z)) - z) + (1 - t) * np.log(1 + np.exp(z)),
        np.log(1 + np.exp(z)) - t * z,
        np.maximum(z, 0) + np.log(1 + np.exp(-np.abs(z))) - t * z,
    ]
    assert_lines_agree(lines, rtol=1e-13)
    assert_same("implementation", f.binary_cross_entropy(z, t)[0], lines[-1].mean(), rtol=1e-14)
    far = np.array([1000.0, -1000.0])
    assert_same("no overflow", f.binary_cross_entropy(far, np.zeros(2))[0], 500.0, rtol=0)


@pytest.mark.equation("eq-bce-vjp")
def test_binary_cross_entropy_vjp(rng):
    z, t = 2 * rng.normal(size=12), rng.integers(0, 2, size=12).astype(float)
    lines = [
        numerical_gradient(lambda z: (np.log(1 + np.exp(z)) - t * z).mean(), z),
        (np.exp(z) / (1 + np.exp(z)) - t) / 12,
        (sigma(z) - t) / 12,
    ]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", f.binary_cross_entropy(z, t)[1](1.0), lines[-1], rtol=1e-13)
    assert_vjp("binary_cross_entropy", lambda z: f.binary_cross_entropy(z, t), (z,), rng)
