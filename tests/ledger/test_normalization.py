"""Initialisation and normalisation: each line of the chapter at random points."""

import itertools
import math

import numpy as np
import pytest

from dlcourse import initial
from dlcourse.config import MLPConfig
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, assert_vjp, numerical_gradient, numerical_jacobian

EPS = 1e-3  # large enough to be seen
POINTS, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)  # expectations over a standard normal number
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def expected(values):
    return (WEIGHTS * values).sum()


def sums_for_all_signs(weights, h):
    """z = w h for every choice of the weights' signs: the mean of z^2 over them is exactly E[z^2] for symmetric weights of these sizes."""
    signs = np.array(np.meshgrid(*[[-1, 1]] * len(weights))).reshape(len(weights), -1).T
    return signs * weights @ h


@pytest.mark.equation("eq-forward-variance", formula_only=True)
def test_forward_variance(rng):
    h, variance = rng.normal(size=6), 0.3
    z = sums_for_all_signs(np.full(6, math.sqrt(variance)), h)  # w = +- its standard deviation
    double = sum((variance if i == j else 0.0) * h[i] * h[j] for i in range(6) for j in range(6))
    q = (h**2).mean()
    assert_lines_agree([(z**2).mean(), double, variance * (h**2).sum(), 6 * variance * q], rtol=1e-12)
    assert_same("ReLU keeps one half", (np.maximum(z, 0) ** 2).mean(), 0.5 * 6 * variance * q, rtol=1e-12)
    for c in (1.0, 0.5):
        q = [0.7]
        for _ in range(50):
            q.append(c * 6 * variance * q[-1])
        assert_same("fifty layers", q[-1], (c * 6 * variance) ** 50 * 0.7, rtol=1e-12)


@pytest.mark.equation("eq-backward-variance", formula_only=True)
def test_backward_variance(rng):
    outputs, variance = 7, 0.2
    dz = rng.normal(size=outputs)
    dh = sums_for_all_signs(np.full(outputs, math.sqrt(variance)), dz)
    assert_lines_agree([(dh**2).mean(), variance * (dz**2).sum(), outputs * variance * (dz**2).mean()], rtol=1e-12)
    slope = (POINTS > 0).astype(float)  # of ReLU; no node lies at zero
    assert_same("mean square slope of ReLU", expected(slope**2), 0.5, rtol=1e-12)


@pytest.mark.equation("eq-xavier", formula_only=True)
def test_xavier(rng):
    for inputs, outputs in ((4, 4), (3, 7)):
        deviation, h, dz = math.sqrt(2 / (inputs + outputs)), rng.normal(size=inputs), rng.normal(size=outputs)
        forward = (sums_for_all_signs(np.full(inputs, deviation), h) ** 2).mean() / (h**2).mean()
        backward = (sums_for_all_signs(np.full(outputs, deviation), dz) ** 2).mean() / (dz**2).mean()
        assert_same("the mean of both factors is one", (forward + backward) / 2, 1.0, rtol=1e-12)
        assert_same("their ratio is that of the widths", forward / backward, inputs / outputs, rtol=1e-12)


@pytest.mark.equation("eq-he")
def test_he():
    assert_same("gain", 1 / expected(np.maximum(POINTS, 0) ** 2), 2.0, rtol=1e-12)
    assert initial.GAINS["relu"] == 2.0
    widths = [64, 100, 30, 10]
    mismatch = math.prod(o / i for i, o in itertools.pairwise(widths))
    assert_same("mismatch of the other direction", mismatch, widths[-1] / widths[0], rtol=1e-14)
    weight = initial.initial_state(MLPConfig(500, (400,), 2), 0, np.float64)["layers.0.weight"]
    assert abs(weight.var() * 500 / 2 - 1) < 5 * math.sqrt(2 / weight.size)


@pytest.mark.equation("eq-gain", "eq-gelu-moment")
def test_gelu_moment(rng):
    phi = np.exp(-(POINTS**2) / 2) / math.sqrt(2 * math.pi)
    big = np.array([0.5 * (1 + math.erf(z / math.sqrt(2))) for z in POINTS])
    lines = [
        expected((POINTS * big) ** 2),
        expected(big**2) + 2 * expected(POINTS * big * phi),
        1 / 3 + 2 * expected(POINTS * big * phi),
        1 / 3 + 2 / (4 * math.pi * math.sqrt(3)),
        1 / 3 + 1 / (2 * math.pi * math.sqrt(3)),
        1 / initial.GAINS["gelu"],
    ]
    assert_lines_agree(lines, rtol=1e-6)
    assert round(lines[-1], 3) == 0.425 and round(1 / lines[-1], 2) == 2.35
    x = np.linspace(-9, 9, 4001)  # the integrals by parts
    density, step = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), x[1] - x[0]
    cumulative = np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
    parts = [
        (x * cumulative * density**2).sum() * step,
        (x * np.exp(-(x**2)) * cumulative).sum() * step / (2 * math.pi),
        (np.exp(-(x**2)) * density).sum() * step / (4 * math.pi),
        (np.exp(-1.5 * x**2) / math.sqrt(2 * math.pi)).sum() * step / (4 * math.pi),
        1 / (4 * math.pi * math.sqrt(3)),
    ]
    assert_lines_agree(parts, rtol=1e-10)

    def moved(q):  # what a mean square q of z becomes in the next layer
        return initial.GAINS["gelu"] * expected((np.sqrt(q) * POINTS * np.interp(np.sqrt(q) * POINTS, x, cumulative, 0, 1)) ** 2)

    assert moved(0.5) < 0.5 and moved(0.9) < 0.9 and moved(1.1) > 1.1 and moved(2.0) > 2.0  # the balance on a point
    assert abs(moved(1.0) - 1) < 1e-4


@pytest.mark.equation("eq-gelu")
def test_gelu(rng):
    x = 2 * rng.normal(size=50)
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    assert_same("implementation", f.gelu(x)[0], x / 2 * (1 + np.tanh(u)), rtol=1e-14)
    x = np.linspace(-6, 6, 1001)
    exact = x * np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x])
    assert np.abs(f.gelu(x)[0] - exact).max() < 5e-4


@pytest.mark.equation("eq-gelu-vjp")
def test_gelu_vjp(rng):
    x, dy = 2 * rng.normal(size=(2, 20))
    a = math.sqrt(2 / math.pi)
    t, slope = np.tanh(a * (x + 0.044715 * x**3)), a * (1 + 3 * 0.044715 * x**2)
    lines = [numerical_gradient(lambda x: (dy * f.gelu(x)[0]).sum(), x), dy * ((1 + t) / 2 + x / 2 * (1 - t**2) * slope)]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", f.gelu(x)[1](dy), lines[-1], rtol=1e-13)
    assert_vjp("gelu", f.gelu, (x,), rng)


@pytest.mark.equation("eq-tanh-decay", formula_only=True)
def test_tanh_decay():
    q = 1e-4  # small: the steps of the derivation
    lines = [expected(np.tanh(math.sqrt(q) * POINTS) ** 2), q - 2 / 3 * expected((math.sqrt(q) * POINTS) ** 4), q - 2 * q**2]
    assert_lines_agree(lines, rtol=1e-6)
    assert_same("inverse", 1 / lines[-1], 1 / q + 2, rtol=1e-6)
    q, layers = 1.0, 20_000
    for _ in range(layers):
        q = expected(np.tanh(math.sqrt(q) * POINTS) ** 2)
    assert abs(q * 2 * layers - 1) < 1e-2


# ---------------------------------------------------------------- normalising a group


def group(rng, n=6):
    x, g = rng.normal(size=(2, n)) * 2 + 1
    m = x.sum() / n
    v = ((x - m) ** 2).sum() / n
    s = math.sqrt(v + EPS)
    return x, g, m, v, s, (x - m) / s


@pytest.mark.equation("eq-normalise", formula_only=True)
def test_normalise(rng):
    x, _, m, v, _, x_hat = group(rng)
    assert_same("mean", m, x.mean(), rtol=1e-14)
    assert_same("variance", v, x.var(), rtol=1e-14)
    assert abs(x_hat.mean()) < 1e-15
    assert_same("mean square", (x_hat**2).mean(), v / (v + EPS), rtol=1e-14)
    assert_same("a shift changes nothing", f.layer_norm(x + 5, np.ones(6), np.zeros(6), EPS)[0], x_hat, rtol=1e-13)
    assert_same("a stretch changes nothing", f.layer_norm(3 * x, np.ones(6), np.zeros(6), 9 * EPS)[0], x_hat, rtol=1e-13)


@pytest.mark.equation("eq-normalise-vjp", formula_only=True)
def test_normalise_vjp(rng):
    x, g, m, v, s, x_hat = group(rng)
    n = len(x)
    dv = [
        numerical_gradient(lambda v: (g * (x - m) / np.sqrt(v + EPS)).sum(), np.array(v)),
        (g * (x - m) * (-1 / (2 * s**3))).sum(),
        -1 / (2 * s**2) * (g * x_hat).sum(),
    ]
    assert_lines_agree(dv, rtol=1e-8)

    def loss_of_mean(m):  # v follows
        return (g * (x - m) / np.sqrt(((x - m) ** 2).mean() + EPS)).sum()

    assert abs(-2 / n * (x - m).sum()) < 1e-14
    assert_lines_agree([numerical_gradient(loss_of_mean, np.array(m)), -1 / s * g.sum()], rtol=1e-8)
    dm, dv = -1 / s * g.sum(), dv[-1]
    whole = [
        numerical_gradient(lambda x: (g * (x - x.mean()) / np.sqrt(x.var() + EPS)).sum(), x),
        g / s + dm / n + dv * 2 * (x - m) / n,
        g / s - 1 / s / n * g.sum() - 1 / (2 * s**2) * (g * x_hat).sum() * 2 * s * x_hat / n,
        1 / s * (g - g.mean() - x_hat * (g * x_hat).mean()),
    ]
    assert_lines_agree(whole, rtol=1e-8)
    assert_same("implementation", f.layer_norm(x, np.ones(n), np.zeros(n), EPS)[1](g)[0], whole[-1], rtol=1e-13)
    x, g = np.array([1.0, 1.0, 3.0, 3.0]), np.array([1.0, 0.0, 0.0, 0.0])  # by hand
    y, backward = f.layer_norm(x, np.ones(4), np.zeros(4), 0.0)
    assert y.tolist() == [-1, -1, 1, 1] and backward(g)[0].tolist() == [0.5, -0.5, 0, 0]


@pytest.fixture
def table(rng):
    return rng.normal(size=(5, 4)) * 2 + 1, rng.normal(size=4), rng.normal(size=4)


@pytest.mark.equation("eq-layer-norm")
def test_layer_norm(table):
    x, w, b = table
    m, s = x.mean(axis=1), np.sqrt(x.var(axis=1) + 1e-5)
    entries = np.array([[w[c] * (x[r, c] - m[r]) / s[r] + b[c] for c in range(4)] for r in range(5)])
    assert_same("implementation", f.layer_norm(x, w, b)[0], entries, rtol=1e-13)


@pytest.mark.equation("eq-layer-norm-vjp")
def test_layer_norm_vjp(table, rng):
    x, w, b = table
    dy = rng.normal(size=x.shape)
    s = np.sqrt(x.var(axis=1, keepdims=True) + EPS)
    x_hat, g = (x - x.mean(axis=1, keepdims=True)) / s, dy * w
    printed = {
        "dx": (g - g.mean(axis=1, keepdims=True) - x_hat * (g * x_hat).mean(axis=1, keepdims=True)) / s,
        "dw": (dy * x_hat).sum(axis=0),
        "db": dy.sum(axis=0),
    }
    numeric = [
        numerical_gradient(lambda a, i=i: (dy * f.layer_norm(*[a if k == i else t for k, t in enumerate(table)], EPS)[0]).sum(), table[i])
        for i in range(3)
    ]
    for (name, line), difference, result in zip(printed.items(), numeric, f.layer_norm(x, w, b, EPS)[1](dy), strict=True):
        assert_lines_agree([difference, line], rtol=1e-8)
        assert_same(name, result, line, rtol=1e-13)
    assert_vjp("layer_norm", f.layer_norm, table, rng)


@pytest.mark.equation("eq-rms-norm")
def test_rms_norm(table):
    x, w, _ = table
    s = np.sqrt((x**2).mean(axis=1) + 1e-6)
    assert_same("implementation", f.rms_norm(x, w)[0], np.array([[w[c] * x[r, c] / s[r] for c in range(4)] for r in range(5)]), rtol=1e-13)


@pytest.mark.equation("eq-rms-norm-vjp")
def test_rms_norm_vjp(table, rng):
    x, w, _ = table
    dy = rng.normal(size=x.shape)
    s = np.sqrt((x**2).mean(axis=1, keepdims=True) + EPS)
    x_hat, g = x / s, dy * w
    two_ways = g / s - 1 / (2 * s**2) * (g * x_hat).sum(axis=1, keepdims=True) * 2 * s * x_hat / 4  # the exercise
    dx = (g - x_hat * (g * x_hat).mean(axis=1, keepdims=True)) / s
    assert_lines_agree([numerical_gradient(lambda x: (dy * f.rms_norm(x, w, EPS)[0]).sum(), x), two_ways, dx], rtol=1e-8)
    dw = (dy * x_hat).sum(axis=0)
    assert_lines_agree([numerical_gradient(lambda w: (dy * f.rms_norm(x, w, EPS)[0]).sum(), w), dw], rtol=1e-8)
    for name, result, line in zip(("dx", "dw"), f.rms_norm(x, w, EPS)[1](dy), (dx, dw), strict=True):
        assert_same(name, result, line, rtol=1e-13)
    assert np.abs((x * f.rms_norm(x, w, 0.0)[1](dy)[0]).sum(axis=1)).max() < 1e-13
    assert_vjp("rms_norm", f.rms_norm, (x, w), rng)


def batch(x, w, b, eps=1e-5, training=True, mean=None, variance=None):
    mean = np.zeros(x.shape[-1]) if mean is None else mean.copy()
    variance = np.ones(x.shape[-1]) if variance is None else variance.copy()
    return f.batch_norm(x, w, b, mean, variance, training, eps=eps)


@pytest.mark.equation("eq-batch-norm")
def test_batch_norm(table, rng):
    x, w, b = table
    m, s = x.mean(axis=0), np.sqrt(x.var(axis=0) + 1e-5)
    entries = np.array([[w[c] * (x[r, c] - m[c]) / s[c] + b[c] for c in range(4)] for r in range(5)])
    assert_same("implementation", batch(x, w, b)[0], entries, rtol=1e-13)
    images = rng.normal(size=(3, 2, 2, 4))
    assert_same("images", batch(images, w, b)[0].reshape(-1, 4), batch(images.reshape(-1, 4), w, b)[0], rtol=1e-13)


@pytest.mark.equation("eq-batch-norm-vjp")
def test_batch_norm_vjp(table, rng):
    x, w, b = table
    dy = rng.normal(size=x.shape)
    s = np.sqrt(x.var(axis=0) + EPS)
    x_hat = (x - x.mean(axis=0)) / s
    dw, db = (dy * x_hat).sum(axis=0), dy.sum(axis=0)
    dx = [
        numerical_gradient(lambda x: (dy * batch(x, w, b, EPS)[0]).sum(), x),
        w / s * (dy - dy.mean(axis=0) - x_hat * (dy * x_hat).mean(axis=0)),
        w / s * (dy - db / 5 - x_hat * dw / 5),
    ]
    assert_lines_agree(dx, rtol=1e-8)
    assert_lines_agree([numerical_gradient(lambda w: (dy * batch(x, w, b, EPS)[0]).sum(), w), dw], rtol=1e-8)
    assert_lines_agree([numerical_gradient(lambda b: (dy * batch(x, w, b, EPS)[0]).sum(), b), db], rtol=1e-8)
    for name, result, line in zip(("dx", "dw", "db"), batch(x, w, b, EPS)[1](dy), (dx[-1], dw, db), strict=True):
        assert_same(name, result, line, rtol=1e-13)
    assert np.abs(batch(x, w, b, EPS)[1](dy)[0].sum(axis=0)).max() < 1e-13  # so the bias before it has no gradient
    assert_vjp("batch_norm", batch, table, rng)


@pytest.mark.equation("eq-batch-norm-eval-vjp")
def test_batch_norm_in_use(table, rng):
    x, w, b = table
    mean, variance, dy = rng.normal(size=4), 0.5 + rng.random(4), rng.normal(size=x.shape)
    y, backward = batch(x, w, b, EPS, False, mean, variance)
    assert_same("y", y, w * (x - mean) / np.sqrt(variance + EPS) + b, rtol=1e-13)
    slope = w / np.sqrt(variance + EPS)
    numeric = numerical_gradient(lambda x: (dy * batch(x, w, b, EPS, False, mean, variance)[0]).sum(), x)
    assert_lines_agree([numeric, slope * dy], rtol=1e-8)
    assert_same("dx", backward(dy)[0], slope * dy, rtol=1e-13)
    assert_same("one example alone", batch(x[:1], w, b, EPS, False, mean, variance)[0], y[:1], rtol=1e-13)


@pytest.mark.equation("eq-running-statistics")
def test_running_statistics(rng):
    x, momentum = rng.normal(size=(6, 3)), 0.1
    mean, variance = rng.normal(size=3), rng.random(3)
    lines = (1 - momentum) * mean + momentum * x.mean(axis=0), (1 - momentum) * variance + momentum * 6 / 5 * x.var(axis=0)
    f.batch_norm(x, np.ones(3), np.zeros(3), mean, variance, True)
    assert_same("mean", mean, lines[0], rtol=1e-13)
    assert_same("variance", variance, lines[1], rtol=1e-13)
    assert_same("unbiased", 6 / 5 * x.var(axis=0), x.var(axis=0, ddof=1), rtol=1e-14)
    # exactly right on average: all samples of two from three numbers, with replacement
    numbers = rng.normal(size=3)
    pairs = np.array([[a, b] for a in numbers for b in numbers])
    assert_same("expected variance", (2 / 1 * pairs.var(axis=1)).mean(), numbers.var(), rtol=1e-13)


@pytest.mark.equation("eq-norm-orthogonal", formula_only=True)
def test_norm_orthogonal(rng):
    h, weight, dy, ones = rng.normal(size=(8, 5)), rng.normal(size=(3, 5)), rng.normal(size=(8, 3)), np.ones(3)

    def loss(weight, bias=0.0):
        return (dy * batch(h @ weight.T + bias, ones, 0 * ones, 0.0)[0]).sum()

    def gradient(weight):
        return f.linear(h, weight, 0 * ones)[1](batch(h @ weight.T, ones, 0 * ones, 0.0)[1](dy)[0])[1]

    for a in (0.5, 3.0):
        assert_same("the output is the same", loss(a * weight, 7.0), loss(weight), rtol=1e-11)
        assert_same("the gradient is a times smaller", gradient(a * weight), gradient(weight) / a, rtol=1e-11)
    assert_same("gradient", numerical_gradient(loss, weight), gradient(weight), rtol=1e-7)
    inner = (weight * gradient(weight)).sum(axis=1)
    assert np.abs(inner).max() < 1e-12 * np.abs(gradient(weight)).max() * np.abs(weight).max() * 100
    step = weight - 0.1 * gradient(weight)
    length = (weight**2).sum(axis=1) + 0.01 * (gradient(weight) ** 2).sum(axis=1)
    assert_same("a step makes the weights longer", (step**2).sum(axis=1), length, rtol=1e-12)


@pytest.mark.equation("eq-layer-norm-vjp", "eq-batch-norm-vjp")
def test_bias_before_a_norm(rng):
    dy, z = rng.normal(size=(2, 8, 3))
    ones = np.ones(3)
    before_batch = batch(z, ones, 0 * ones)[1](dy)[0].sum(axis=0)
    before_layer = f.layer_norm(z, ones, 0 * ones)[1](dy)[0].sum(axis=0)
    assert_same("before batch norm, beside one", 1 + before_batch, np.ones(3), rtol=1e-13)
    assert np.abs(before_layer).max() > 0.01 and abs(before_layer.sum()) < 1e-13


@pytest.mark.equation("eq-normalise-vjp", formula_only=True)
def test_geometry(rng):
    """Without eps the Jacobian takes away the parts along (1, ..., 1) and along x^, and nothing else."""
    x = rng.normal(size=5)
    x_hat = (x - x.mean()) / x.std()
    jacobian = numerical_jacobian(lambda x: (x - x.mean()) / x.std(), x)
    projection = np.eye(5) - np.full((5, 5), 0.2) - np.outer(x_hat, x_hat) / 5
    assert_same("projection", jacobian, projection / x.std(), rtol=1e-8)
    assert_same("applied twice", projection @ projection, projection, rtol=1e-13)
