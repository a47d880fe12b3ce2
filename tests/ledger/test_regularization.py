"""Regularisers: every line of the derivations at random points, expectations by enumeration or quadrature, against the package."""

import itertools
import math

import numpy as np
import pytest

from dlcourse import regression
from dlcourse.config import MLPConfig
from dlcourse.data import augment
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP, Learner, ProximalSGD, soft_threshold
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, numerical_gradient

SHAPES = [(9, 4), (5, 5), (4, 7)]  # more examples than weights, as many, fewer


def signs(count):
    """All vectors of +1 and -1: noise of variance 1 whose expectations are sums."""
    return np.array(list(itertools.product((-1.0, 1.0), repeat=count)))


def singular(x):
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return u, s, vt, s**2 / len(x)


def penalised(x, t, penalty):
    return lambda w: ((x @ w - t) ** 2).sum() / (2 * len(x)) + penalty / 2 * (w**2).sum()


# ---------------------------------------------------------------- bias and variance


@pytest.mark.equation("eq-bias-variance")
def test_bias_and_variance(rng):
    sigma, truth, models = 0.7, rng.normal(size=6), rng.normal(size=(5, 6)) + 1.5  # five training sets, equally likely
    middle = models.mean(axis=0)
    noise = sigma * np.array([-1.0, 1.0])[:, None, None]  # for each training set, each place
    parts = noise + (truth - middle) + (middle - models)
    assert_same("the error in three parts", truth + noise - models, parts, rtol=1e-14)
    lines = [
        np.mean((truth + noise - models) ** 2),
        np.mean(parts**2),
        sigma**2 + np.mean((truth - middle) ** 2) + np.mean((models - middle) ** 2),
        sigma**2 + sum(regression.bias_variance(models, truth)),
    ]
    assert_lines_agree(lines, rtol=1e-13)
    bias, variance = regression.bias_variance(models, truth)
    assert_same("bias", bias, np.mean((truth - middle) ** 2), rtol=1e-14)
    assert_same("variance", variance, np.mean((models - middle) ** 2), rtol=1e-14)
    # the mean of M models keeps 1 / M of the variance: all pairs of independent draws
    pairs = np.array([(a + b) / 2 for a in models for b in models])
    assert_same("bias of a mean of two", np.mean((pairs - truth) ** 2), bias + variance / 2, rtol=1e-13)


# ---------------------------------------------------------------- L2


@pytest.mark.equation("eq-ridge")
@pytest.mark.parametrize("shape", SHAPES)
def test_ridge_equation(rng, shape):
    x, t, penalty, w = rng.normal(size=shape), rng.normal(size=shape[0]), 0.3, rng.normal(size=shape[1])
    n = len(x)
    lines = [
        numerical_gradient(penalised(x, t, penalty), w),
        x.T @ (x @ w - t) / n + penalty * w,
        ((x.T @ x + n * penalty * np.eye(shape[1])) @ w - x.T @ t) / n,
    ]
    assert_lines_agree(lines, rtol=1e-8)
    solution = np.linalg.solve(x.T @ x + n * penalty * np.eye(shape[1]), x.T @ t)
    assert_same("solution", regression.ridge(x, t, penalty), solution, rtol=1e-11)
    value = penalised(x, t, penalty)
    assert all(value(solution + 1e-3 * v) > value(solution) for v in rng.normal(size=(20, shape[1])))


@pytest.mark.equation("eq-ridge-shrinkage")
@pytest.mark.parametrize("shape", SHAPES)
def test_ridge_along_singular_directions(rng, shape):
    x, t, penalty = rng.normal(size=shape), rng.normal(size=shape[0]), 0.3
    u, s, vt, h = singular(x)
    n = len(x)
    assert_same("x^T x v", x.T @ x @ vt.T, vt.T * s**2, rtol=1e-12)
    assert_same("x^T t", x.T @ t, vt.T @ (s * (u.T @ t)), rtol=1e-12)
    # from the eigenvectors of x^T x alone
    values, vectors = np.linalg.eigh(x.T @ x)
    v = vectors[:, values > 1e-10 * values[-1]]
    stretch = np.sqrt(values[values > 1e-10 * values[-1]])
    left = x @ v / stretch
    assert_same("u is orthonormal", left.T @ left, np.eye(v.shape[1]), rtol=1e-9)
    assert_same("x^T u", x.T @ left, v * stretch, rtol=1e-9)
    assert_same("x", (left * stretch) @ v.T, x, rtol=1e-9)
    lines = [
        np.linalg.solve(x.T @ x + n * penalty * np.eye(shape[1]), x.T @ t),
        vt.T @ (s * (u.T @ t) / (s**2 + n * penalty)),
        vt.T @ (h / (h + penalty) * (u.T @ t) / s),
        regression.ridge(x, t, penalty),
    ]
    assert_lines_agree(lines, rtol=1e-10)


@pytest.mark.equation("eq-ridge-bias-variance", formula_only=True)
@pytest.mark.parametrize("penalty", [0.0, 0.05, 2.0])
def test_bias_and_variance_of_ridge(rng, penalty):
    """The expectation over all noise vectors of +sigma and -sigma."""
    n, sigma = 7, 0.6
    x, w = rng.normal(size=(n, 3)), rng.normal(size=3)
    _u, s, vt, h = singular(x)
    a = vt @ w
    found = np.array([vt @ regression.ridge(x, x @ w + sigma * e, penalty) for e in signs(n)])
    mean, variance = h / (h + penalty) * a, sigma**2 * s**2 / (s**2 + n * penalty) ** 2
    assert_same("mean", found.mean(axis=0), mean, rtol=1e-11)
    assert_same("variance", found.var(axis=0), variance, rtol=1e-11)
    lines = [
        np.mean((found - a) ** 2, axis=0),
        (mean - a) ** 2 + variance,
        (penalty / (h + penalty)) ** 2 * a**2 + sigma**2 / n * h / (h + penalty) ** 2,
    ]
    assert_lines_agree(lines, rtol=1e-11)


@pytest.mark.equation("eq-ridge-bias-variance", formula_only=True)
def test_some_penalty_helps_and_which_is_best(rng):
    """The solution of the exercise: the slope at zero, and the best penalty for random weights, in every direction the same."""
    sigma, n, tau = 0.6, 20, 0.8
    h, a = rng.uniform(0.1, 3.0, size=5), rng.normal(size=5)

    def error(penalty, square):
        return (penalty / (h + penalty)) ** 2 * square + sigma**2 / n * h / (h + penalty) ** 2

    slope = (error(1e-6, a**2) - error(-1e-6, a**2)) / 2e-6
    assert_same("slope at zero", slope, -2 * sigma**2 / (n * h**2), rtol=1e-6)
    best = sigma**2 / (n * tau**2)
    for penalty in (0.9 * best, 1.1 * best, 0.1 * best, 10 * best):
        assert np.all(error(penalty, tau**2) > error(best, tau**2))


@pytest.mark.equation("eq-map", formula_only=True)
@pytest.mark.parametrize("shape", SHAPES)
def test_ridge_is_the_most_probable(rng, shape):
    x, t, sigma, tau = rng.normal(size=shape), rng.normal(size=shape[0]), 0.5, 1.3
    n = len(x)
    penalty = sigma**2 / (n * tau**2)

    def density(w):
        return math.exp(-((x @ w - t) ** 2).sum() / (2 * sigma**2)) * math.exp(-(w**2).sum() / (2 * tau**2))

    w, other = 0.1 * rng.normal(size=(2, shape[1]))
    lines = [  # differences: constants drop out
        -(sigma**2) / n * (math.log(density(w)) - math.log(density(other))),
        penalised(x, t, penalty)(w) - penalised(x, t, penalty)(other),
    ]
    assert_lines_agree(lines, rtol=1e-9)
    best = regression.ridge(x, t, penalty)
    assert all(math.log(density(best)) > math.log(density(best + 0.01 * v)) for v in rng.normal(size=(20, shape[1])))
    # a prior exp(-|w| / b) in the same way
    b = 0.4
    laplace = [-(sigma**2) / n * (-((x @ v - t) ** 2).sum() / (2 * sigma**2) - np.abs(v).sum() / b) for v in (w, other)]
    lasso = [((x @ v - t) ** 2).sum() / (2 * n) + sigma**2 / (n * b) * np.abs(v).sum() for v in (w, other)]
    assert_same("Laplace prior", laplace, lasso, rtol=1e-12)


# ---------------------------------------------------------------- L1


@pytest.mark.equation("eq-soft-threshold")
def test_soft_threshold(rng):
    u, tau = rng.normal(size=12) * 2, 0.8
    printed = np.sign(u) * np.maximum(np.abs(u) - tau, 0)
    assert_same("implementation", soft_threshold(u, tau), printed, rtol=1e-14)
    grid = np.linspace(-8, 8, 160_001)
    value = (grid - u[:, None]) ** 2 / 2 + tau * np.abs(grid)  # (12, G)
    assert np.all(np.abs(grid[value.argmin(axis=1)] - printed) < 1.01e-4)  # its spacing

    def at(w):
        return (w - u) ** 2 / 2 + tau * np.abs(w)

    assert np.all(value.min(axis=1) >= at(printed) - 1e-12)
    # the three cases of the derivation
    assert_same("above", printed[u > tau], u[u > tau] - tau, rtol=1e-14)
    assert_same("below", printed[u < -tau], u[u < -tau] + tau, rtol=1e-14)
    inside = np.abs(u) <= tau
    assert inside.any() and np.all(printed[inside] == 0)
    assert np.all(-u[inside] + tau >= 0) and np.all(-u[inside] - tau <= 0)


def linear(columns, weight):
    config = MLPConfig(columns, (), 1)
    model = MLP(config)
    model.load_state({"layers.0.weight": weight[None], "layers.0.bias": np.zeros(1)})
    return model


@pytest.mark.equation("eq-proximal-step")
def test_proximal_step(rng):
    x, t, w, l1 = rng.normal(size=(20, 4)), rng.normal(size=20), rng.normal(size=4), 0.4
    curvature = np.linalg.eigvalsh(x.T @ x).max() / len(x)
    eta = 1 / curvature
    loss = penalised(x, t, 0.0)
    g = x.T @ (x @ w - t) / len(x)
    # the bound, and the square that is completed
    for v in rng.normal(size=(50, 4)):
        bound = loss(w) + g @ (v - w) + ((v - w) ** 2).sum() / (2 * eta)
        assert loss(v) <= bound + 1e-12
        square = ((v - (w - eta * g)) ** 2).sum() / (2 * eta) + loss(w) - eta / 2 * g @ g
        assert_same("completed square", bound, square, rtol=1e-12)
    # one step of the package: PyTorch's and MLX's are compared with it elsewhere
    model = linear(4, w)
    model.layers[0].weight.grad[...] = 0
    optimizer = ProximalSGD(model, l1=l1)
    model.layers[0].weight.grad[...] = g[None]
    optimizer.step(eta)
    after = model.state()["layers.0.weight"][0]
    u = w - eta * g
    assert_same("step", after, np.sign(u) * np.maximum(np.abs(u) - eta * l1, 0), rtol=1e-13)

    def total(v):
        return loss(v) + l1 * np.abs(v).sum()

    def bound(v):
        return ((v - u) ** 2).sum() / (2 * eta) + l1 * np.abs(v).sum()

    assert all(bound(after) <= bound(after + 0.1 * v) for v in rng.normal(size=(200, 4)))
    values = [total(w)]
    for _ in range(200):
        g = x.T @ (x @ w - t) / len(x)
        w = soft_threshold(w - eta * g, eta * l1)
        values.append(total(w))
    assert np.all(np.diff(values) <= 1e-13), "a step raised the loss with its penalty"


@pytest.mark.equation("eq-proximal-step")
def test_biases_take_the_plain_step(rng):
    config = MLPConfig(3, (4,), 2)
    model = MLP(config)
    model.load_state(initial_state(config, 0, np.float64))
    optimizer, before = ProximalSGD(model, l1=0.5), model.state()
    gradients = {name: rng.normal(size=a.shape) for name, a in before.items()}
    for name, p in model.named_parameters():
        p.grad[...] = gradients[name]
    optimizer.step(0.1)
    for name, w in before.items():
        u = w - 0.1 * gradients[name]
        expected = soft_threshold(u, 0.05) if w.ndim >= 2 else u
        assert_same(name, model.state()[name], expected, rtol=1e-14)


@pytest.mark.equation("eq-l1-zero", formula_only=True)
def test_where_weights_are_zero(rng):
    """The conditions at the end of many proximal steps, and scikit-learn's solution."""
    from sklearn.linear_model import Lasso

    x = rng.normal(size=(40, 8))
    t = x[:, 0] - 2 * x[:, 1] + 0.3 * rng.normal(size=40)
    l1 = 0.6
    model = linear(8, rng.normal(size=8))
    model.freeze("layers.0.bias")
    learner = Learner(model, ProximalSGD(model, l1=l1), "mse")
    for _ in range(3000):
        learner.step((x, t), 0.1)
    w, g = model.state()["layers.0.weight"][0], learner.gradients((x, t))[1]["layers.0.weight"][0]
    assert 0 < np.sum(w == 0) < 8
    assert np.all(np.abs(g[w == 0]) <= l1)
    assert_same("slope of those that stay", g[w != 0], -l1 * np.sign(w[w != 0]), rtol=1e-10)
    theirs = Lasso(alpha=l1 / 2, fit_intercept=False, tol=1e-12, max_iter=100_000).fit(x, t).coef_  # of half the mean square
    assert_same("scikit-learn", w, theirs, rtol=1e-6)
    # at rest: S(w - eta g) = w, for any eta
    for eta in (0.01, 0.5):
        assert_same("fixed point", soft_threshold(w - eta * g, eta * l1), w, rtol=1e-9)


@pytest.mark.equation("eq-subgradient", formula_only=True)
def test_a_subgradient_never_rests(rng):
    eta, penalty = 0.1, 0.5
    w, g = rng.normal(size=50), rng.uniform(-0.45, 0.45, size=50)
    positive = w > 0
    lines = [
        w - eta * (g + penalty * np.sign(w)),
        np.where(positive, w - eta * (penalty + g), w + eta * (penalty - g)),
    ]
    assert_lines_agree(lines, rtol=1e-13)
    # where the gradient is that of w -> penalty |w| + g w, to a side
    slope = numerical_gradient(lambda w: (g * w + penalty * np.abs(w)).sum(), w)
    assert_same("slope", (w - lines[0]) / eta, slope, rtol=1e-6)
    band = eta * (penalty + np.abs(g))
    for step in range(600):
        w = w - eta * (g + penalty * np.sign(w))
        assert np.all(w != 0)
        assert step < 500 or np.all(np.abs(w) <= band)
    assert not np.any(soft_threshold(0.0 * g - eta * g, eta * penalty)), "the proximal step stays at zero"


# ---------------------------------------------------------------- dropout and noise


def masks(count, p):
    """All masks of so many entries, with their probabilities."""
    m = (signs(count) + 1) / 2
    return m, np.prod(np.where(m == 1, 1 - p, p), axis=1)


@pytest.mark.equation("eq-dropout-variance", formula_only=True)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_variance_of_dropout(rng, p):
    x = rng.normal(size=5)
    m, probability = masks(5, p)
    y = m * x / (1 - p)
    mean = probability @ y
    assert_same("mean", mean, x, rtol=1e-13)
    lines = [
        probability @ (y - mean) ** 2,
        x**2 / (1 - p) ** 2 * p * (1 - p),
        p / (1 - p) * x**2,
    ]
    assert_lines_agree(lines, rtol=1e-12)
    drawn = f.dropout(np.tile(x, (100_000, 1)), p, rng)[0]
    assert np.all(np.abs(drawn.var(axis=0) / lines[-1] - 1) < 0.05)


@pytest.mark.equation("eq-dropout-penalty", formula_only=True)
def test_dropout_is_a_penalty(rng):
    p, t, w, x = 0.3, 0.7, rng.normal(size=6), rng.normal(size=6)
    m, probability = masks(6, p)
    y = (m * x / (1 - p)) @ w
    mean = probability @ y
    lines = [
        probability @ (t - y) ** 2,
        (t - mean) ** 2 + probability @ (y - mean) ** 2,
        (t - w @ x) ** 2 + p / (1 - p) * (w**2 * x**2).sum(),
    ]
    assert_lines_agree(lines, rtol=1e-12)
    # its minimum over w for many examples: ridge regression where every column has mean square 1
    x = rng.normal(size=(30, 4))
    x /= np.sqrt(np.mean(x**2, axis=0))
    targets = rng.normal(size=30)
    gram = x.T @ x + p / (1 - p) * np.diag((x**2).sum(axis=0))
    assert_same("ridge", np.linalg.solve(gram, x.T @ targets), regression.ridge(x, targets, p / (1 - p)), rtol=1e-11)
    # orthogonal columns of any size: every weight is multiplied by 1 - p
    x = np.linalg.qr(x)[0] * [0.01, 1.0, 3.0, 100.0]
    gram = x.T @ x + p / (1 - p) * np.diag((x**2).sum(axis=0))
    kept = np.linalg.solve(gram, x.T @ targets)
    assert_same("orthogonal columns", kept, (1 - p) * regression.ridge(x, targets), rtol=1e-9)
    # noise of the same variance, 1 + xi, as in the exercise: two equally likely values of xi
    xi = math.sqrt(p / (1 - p)) * signs(6)
    w, x = rng.normal(size=(2, 6))
    gaussian = np.mean((t - (x * (1 + xi)) @ w) ** 2)
    assert_same("multiplied noise", gaussian, (t - w @ x) ** 2 + p / (1 - p) * (w**2 * x**2).sum(), rtol=1e-12)


@pytest.mark.equation("eq-noise-penalty", formula_only=True)
def test_noise_is_a_penalty(rng):
    s, t, w, x = 0.4, 0.7, rng.normal(size=6), rng.normal(size=6)
    noisy = x + s * signs(6)
    lines = [
        np.mean((t - noisy @ w) ** 2),
        (t - w @ x) ** 2 + np.mean(((noisy - x) @ w) ** 2),
        (t - w @ x) ** 2 + s**2 * (w**2).sum(),
    ]
    assert_lines_agree(lines, rtol=1e-12)
    # least squares on every noisy copy of every example is ridge regression
    x, targets = rng.normal(size=(7, 3)), rng.normal(size=7)
    copies = (x[:, None] + s * signs(3)).reshape(-1, 3)
    found = regression.ridge(copies, np.repeat(targets, 8))
    assert_same("copies", found, regression.ridge(x, targets, s**2), rtol=1e-11)


# ---------------------------------------------------------------- early stopping


@pytest.mark.equation("eq-early-stopping")
@pytest.mark.parametrize("shape", SHAPES)
def test_stopped_descent(rng, shape):
    x, t = rng.normal(size=shape), rng.normal(size=shape[0])
    u, s, vt, h = singular(x)
    eta, w = 0.9 / h.max(), np.zeros(shape[1])
    for k in range(1, 26):
        w = w - eta * x.T @ (x @ w - t) / len(x)
        if k in (1, 4, 25):
            lines = [w, vt.T @ ((1 - (1 - eta * h) ** k) * (u.T @ t) / s), regression.stopped(x, t, eta, k)]
            assert_lines_agree(lines, rtol=1e-10)


@pytest.mark.equation("eq-stopping-is-ridge", formula_only=True)
def test_stopping_is_nearly_ridge():
    r = np.concatenate([np.linspace(0, 20, 20_001), [1e3, 1e6]])
    gap = (1 - np.exp(-r)) - r / (1 + r)
    assert_lines_agree([gap[1:], 1 / (1 + r[1:]) - np.exp(-r[1:])], rtol=1e-12)
    assert np.all(gap >= -1e-15) and gap.max() < 0.21 and np.all(np.exp(r[:-2]) >= 1 + r[:-2])
    # Newton's method on e^r = (1 + r)^2
    at = 2.0
    for _ in range(50):
        at -= (math.exp(at) - (1 + at) ** 2) / (math.exp(at) - 2 * (1 + at))
    assert_same("condition", math.exp(-at), (1 + at) ** -2, rtol=1e-12)
    assert abs(at - 2.51) < 0.005 and abs(1 / (1 + at) - math.exp(-at) - 0.204) < 0.0005
    assert gap.max() <= 1 / (1 + at) - math.exp(-at) + 1e-12
    # (1 - eta h)^k is e^(-eta h k) for small eta h
    eta, h, k = 1e-4, 0.7, 20_000
    assert abs((1 - eta * h) ** k / math.exp(-eta * h * k) - 1) < 1e-4


# ---------------------------------------------------------------- labels


@pytest.mark.equation("eq-label-noise", formula_only=True)
@pytest.mark.parametrize(("rho", "classes"), [(0.4, 10), (0.1, 3), (0.7, 4)])
def test_wrong_labels_are_smooth_on_average(rng, rho, classes):
    y, onehot = 1, np.eye(classes)
    others = [c for c in range(classes) if c != y]
    s = rho * classes / (classes - 1)
    lines = [
        (1 - rho) * onehot[y] + rho * np.mean([onehot[c] for c in others], axis=0),  # the expectation
        np.where(np.arange(classes) == y, 1 - rho, rho / (classes - 1)),
        (1 - s) * onehot[y] + s / classes,
    ]
    assert_lines_agree(lines, rtol=1e-14)
    assert (lines[-1].argmax() == y) == (1 - rho > rho / (classes - 1))
    if s < 1:
        image = np.zeros((1, 2, 2, 1))
        smoothed = augment.smooth(s, classes)(image, np.array([y]), rng)[1][0]
        assert_same("label smoothing", smoothed, lines[-1], rtol=1e-13)
    # the expected loss over the draws is the loss of the mean label
    z = rng.normal(size=(1, classes))
    drawn = (1 - rho) * f.cross_entropy(z, np.array([y]))[0] + rho * np.mean([f.cross_entropy(z, np.array([c]))[0] for c in others])
    assert_same("expected loss", drawn, f.cross_entropy(z, lines[-1][None])[0], rtol=1e-12)


# ---------------------------------------------------------------- as many weights as examples


@pytest.mark.equation("eq-minimum-norm")
def test_minimum_norm(rng):
    x, t = rng.normal(size=(4, 9)), rng.normal(size=4)
    w = x.T @ np.linalg.solve(x @ x.T, t)
    lines = [w, np.linalg.lstsq(x, t, rcond=None)[0], regression.ridge(x, t)]
    assert_lines_agree(lines, rtol=1e-11)
    assert_same("it solves", x @ w, t, rtol=1e-12)
    null = np.eye(9) - np.linalg.pinv(x) @ x
    for v in rng.normal(size=(10, 9)):
        other = w + null @ v
        assert_same("so does another", x @ other, t, rtol=1e-10)
        assert_same("Pythagoras", (other**2).sum(), (w**2).sum() + ((other - w) ** 2).sum(), rtol=1e-11)
        assert (other**2).sum() > (w**2).sum()
    assert_same("ridge without penalty", regression.ridge(x, t, 1e-11), w, rtol=1e-8)
    eta = 1 / np.linalg.eigvalsh(x @ x.T).max() * 4
    assert_same("descent", regression.stopped(x, t, eta, 100_000), w, rtol=1e-10)


def mean_reciprocal(degrees):
    """E[1 / z] of the sum z of so many squares of standard normal numbers, by the trapezium rule in log z."""
    y = np.linspace(-40, 8, 400_001)
    z = np.exp(y)
    weight = np.exp(degrees / 2 * y - z / 2)  # density times dz / dy
    return (weight / z).sum() / weight.sum()


@pytest.mark.equation("eq-peak-variance", formula_only=True)
def test_error_of_least_squares_and_its_peak(rng):
    """The lines of the derivation that hold for every matrix, the mean of the reciprocal, and drawn matrices."""
    n, size, sigma = 7, 4, 0.5
    x = rng.normal(size=(n, size))
    inverse = np.linalg.inv(x.T @ x)
    left = []
    for j in range(size):
        others = np.delete(x, j, axis=1)
        left.append(x[:, j] - others @ np.linalg.lstsq(others, x[:, j], rcond=None)[0])
    z = x @ inverse
    assert_same("z", z, np.transpose([r / (r @ r) for r in left]), rtol=1e-11)
    assert_same("the diagonal", np.diag(inverse), [1 / (r @ r) for r in left], rtol=1e-11)
    found = np.array([regression.ridge(x, sigma * e) for e in signs(n)])
    lines = [
        np.mean((found**2).sum(axis=1)),
        sigma**2 * (1 / np.linalg.svd(x)[1] ** 2).sum(),
        sigma**2 * np.trace(inverse),
    ]
    assert_lines_agree(lines, rtol=1e-10)
    for degrees in (3, 4, 9):
        assert_same("mean of the reciprocal", mean_reciprocal(degrees), 1 / (degrees - 2), rtol=1e-8)
    # more weights than examples: N and P change places, and a projection keeps N of P squares
    x = rng.normal(size=(4, 7))
    found = np.array([regression.ridge(x, sigma * e) for e in signs(4)])
    assert_same("wide", np.mean((found**2).sum(axis=1)), sigma**2 * np.trace(np.linalg.inv(x @ x.T)), rtol=1e-10)
    kept = [(regression.ridge(x, x @ w) ** 2).sum() for w in np.eye(7)]
    assert_same("share that is kept", np.mean(kept), 4 / 7, rtol=1e-12)
    # drawn matrices: an estimate, so no error for the ledger
    for n, size in ((30, 10), (10, 30)):
        total = 0.0
        for _ in range(2000):
            w = rng.normal(size=size)
            x = rng.normal(size=(n, size))
            total += ((regression.ridge(x, x @ w / np.linalg.norm(w) + sigma * rng.normal(size=n)) - w / np.linalg.norm(w)) ** 2).sum()
        printed = sigma**2 * size / (n - size - 1) if size < n else sigma**2 * n / (size - n - 1) + 1 - n / size
        assert abs(total / 2000 / printed - 1) < 0.06
    # the bound under a penalty
    s, penalty = np.logspace(-6, 3, 1000), 0.01
    assert np.all(s**2 / (s**2 + n * penalty) ** 2 <= 1 / (4 * n * penalty) * (1 + 1e-12))
