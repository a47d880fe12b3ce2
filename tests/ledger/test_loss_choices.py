"""The chapter on losses: where they come from, what they ask for, how they are computed. Each line at random points."""

import math

import numpy as np
import pytest

from dlcourse import check
from dlcourse.numpy import functional as f
from dlcourse.numpy import losses
from tests.equations import assert_lines_agree, assert_same, assert_vjp, numerical_gradient


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


def sigma(z):
    return 1 / (1 + np.exp(-z))


def smallest(function, low, high, steps=60):
    """Where a function with one minimum is smallest: thirds of the interval, again and again."""
    for _ in range(steps):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if function(a) < function(b) else (a, high)
    return (low + high) / 2


# ---------------------------------------------------------------- numbers


@pytest.mark.equation("eq-negative-log-likelihood", formula_only=True)
def test_negative_log_likelihood(rng):
    """The product of probabilities and the mean of logarithms are largest and smallest for one weight; with softmax it is cross-entropy."""
    x, labels = rng.normal(size=(6, 3)), rng.integers(0, 4, size=6)
    weight = rng.normal(size=(4, 3))
    p = softmax(x @ weight.T)[np.arange(6), labels]
    lines = [-math.log(math.prod(p)) / 6, -sum(math.log(value) for value in p) / 6, f.cross_entropy(x @ weight.T, labels)[0]]
    assert_lines_agree(lines, rtol=1e-14)
    heads = rng.random(40) < 0.3
    grid = np.linspace(0.01, 0.99, 99)
    product = np.array([np.prod(np.where(heads, g, 1 - g)) for g in grid])
    mean = np.array([-np.log(np.where(heads, g, 1 - g)).mean() for g in grid])
    assert product.argmax() == mean.argmin()


@pytest.mark.equation("eq-gaussian-nll", formula_only=True)
def test_gaussian_nll(rng):
    t, y, s = rng.normal(size=9), rng.normal(size=9), 0.7
    density = np.exp(-((t - y) ** 2) / (2 * s**2)) / (s * math.sqrt(2 * math.pi))
    lines = [-np.log(density), (t - y) ** 2 / (2 * s**2) + math.log(s) + math.log(2 * math.pi) / 2]
    assert_lines_agree(lines, rtol=1e-14)
    mse, _ = f.mse_loss(y, t)
    assert_same(
        "the mean is the squared error, moved", lines[-1].mean(), mse / (2 * s**2) + math.log(s * math.sqrt(2 * math.pi)), rtol=1e-14
    )
    gradient = numerical_gradient(lambda y: ((t - y) ** 2 / (2 * s**2)).mean(), y)
    assert_same("and so are their slopes", gradient, f.mse_loss(y, t)[1]() / (2 * s**2), rtol=1e-8)
    slope = numerical_gradient(lambda s: mse / (2 * s**2) + np.log(s), np.array(s))
    assert_same("the slope in s", slope, -mse / s**3 + 1 / s, rtol=1e-7)
    best = smallest(lambda s: mse / (2 * s**2) + math.log(s), 0.1, 5.0)
    assert_same("the best variance", best**2, mse, rtol=1e-6)
    assert_same("ten deviations", (10.0**2) / 2, 50.0, rtol=1e-15)


@pytest.mark.equation("eq-laplace-nll", formula_only=True)
def test_laplace_nll(rng):
    t, y, b = rng.normal(size=9), rng.normal(size=9), 0.7
    lines = [-np.log(np.exp(-np.abs(t - y) / b) / (2 * b)), np.abs(t - y) / b + math.log(2 * b)]
    assert_lines_agree(lines, rtol=1e-14)
    grid = np.linspace(-60, 60, 2_400_001)
    total = np.exp(-np.abs(grid) / b).sum() * (grid[1] - grid[0]) / (2 * b)
    assert_same("it is a density", total, 1.0, rtol=1e-8)
    variance = (grid**2 * np.exp(-np.abs(grid) / b)).sum() * (grid[1] - grid[0]) / (2 * b)
    assert_same("its standard deviation", math.sqrt(variance), math.sqrt(2) * b, rtol=1e-7)
    assert round(10 * math.sqrt(2)) == 14, "ten of them are e^14"


@pytest.mark.equation("eq-squared-minimum", formula_only=True)
def test_squared_minimum(rng):
    t, weight, y = rng.normal(size=7), rng.dirichlet(np.ones(7)), 0.4
    mean = weight @ t
    variance = weight @ (t - mean) ** 2
    mixed = 2 * weight @ ((t - mean) * (mean - y))
    lines = [weight @ (t - y) ** 2, variance + mixed + (mean - y) ** 2, variance + (mean - y) ** 2]
    assert_lines_agree(lines, rtol=1e-13)
    assert_same("the best answer", smallest(lambda y: weight @ (t - y) ** 2, -5, 5), mean, rtol=1e-6)


@pytest.mark.equation("eq-absolute-minimum", formula_only=True)
def test_absolute_minimum():
    """For a mixture of two normal laws, whose expected distance and distribution function are known."""
    parts = [(0.7, 1.0, 1.0), (0.3, -2.0, 0.5)]  # share, mean, deviation

    def below(y):  # P(t < y)
        return sum(w * (1 + math.erf((y - m) / s / math.sqrt(2))) / 2 for w, m, s in parts)

    def expected(y):  # of |t - y|
        return sum(
            w * s * math.sqrt(2 / math.pi) * math.exp(-(((y - m) / s) ** 2) / 2) + w * (y - m) * math.erf((y - m) / s / math.sqrt(2))
            for w, m, s in parts
        )

    grid = np.linspace(-14, 14, 560_001)
    density = sum(w * np.exp(-(((grid - m) / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi)) for w, m, s in parts)
    assert_same("the expected distance", expected(0.3), (density * np.abs(grid - 0.3)).sum() * (grid[1] - grid[0]), rtol=1e-7)
    for y in (-1.5, 0.3, 1.2):
        slope = numerical_gradient(lambda y: expected(float(y)), np.array(y))
        assert_same("slope", slope, below(y) - (1 - below(y)), rtol=1e-8)
    assert_same("the best answer is the median", below(smallest(expected, -5, 5)), 0.5, rtol=1e-6)


def h(r, delta):
    return np.where(np.abs(r) <= delta, r**2 / 2, delta * (np.abs(r) - delta / 2))


@pytest.mark.equation("eq-huber")
def test_huber(rng):
    y, t, delta = 2 * rng.normal(size=12), rng.normal(size=12), 0.8
    r, cut = y - t, np.maximum(-delta, np.minimum(y - t, delta))
    assert 0 < (np.abs(r) > delta).sum() < 12
    lines = [h(r, delta), cut * (r - cut / 2)]
    assert_lines_agree(lines, rtol=1e-14)
    assert_same("the pieces meet", delta**2 / 2, delta * (delta - delta / 2), rtol=1e-15)
    assert_same("implementation", losses.huber_loss(y, t, delta)[0], sum(h(r, delta)) / 12, rtol=1e-14)
    assert_same("the exercise", check.huber.reference(y, t, delta)[0], h(r, delta).mean(), rtol=1e-14)
    measured = np.array([0.0, 1.0, 2.0, 9.0])
    assert_same("four numbers", smallest(lambda c: h(c - measured, 1.0).sum(), 0, 9), 1.5, rtol=1e-6)
    assert_same("four numbers, squared", smallest(lambda c: ((c - measured) ** 2).sum(), 0, 9), 3.0, rtol=1e-6)


@pytest.mark.equation("eq-huber-vjp")
def test_huber_vjp(rng):
    y, t, delta = 2 * rng.normal(size=12), rng.normal(size=12), 0.8
    lines = [numerical_gradient(lambda y: h(y - t, delta).mean(), y), np.maximum(-delta, np.minimum(y - t, delta)) / 12]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", losses.huber_loss(y, t, delta)[1](), lines[-1], rtol=1e-14)
    assert_vjp("huber_loss", lambda y: losses.huber_loss(y, t, delta), (y,), rng)


# ---------------------------------------------------------------- classes


@pytest.mark.equation("eq-log-sum-exp")
def test_log_sum_exp(rng):
    z = rng.normal(size=(4, 5))
    m = z.max(axis=1)
    lines = [
        np.log(np.exp(z).sum(axis=1)),
        np.log(np.exp(m) * np.exp(z - m[:, None]).sum(axis=1)),
        m + np.log(np.exp(z - m[:, None]).sum(axis=1)),
    ]
    assert_lines_agree(lines, rtol=1e-14)
    assert_same("implementation", check.log_sum_exp.reference(z), lines[-1], rtol=1e-14)
    labels = rng.integers(0, 5, size=4)
    loss = (lines[-1] - z[np.arange(4), labels]).mean()
    assert_same("the loss of a class", loss, f.cross_entropy(z, labels)[0], rtol=1e-13)
    assert_same("no overflow", check.log_sum_exp.reference(np.array([1000.0, 1000.0])), 1000 + math.log(2), rtol=1e-15)


@pytest.mark.equation("eq-log-sum-exp-bounds", formula_only=True)
def test_log_sum_exp_bounds(rng):
    z = 5 * rng.normal(size=(1000, 6))
    lse, m = np.log(np.exp(z).sum(axis=1)), z.max(axis=1)
    assert (m <= lse).all() and (lse <= m + math.log(6)).all()
    assert_same("reached by equal entries", np.log(np.exp(np.full(6, 0.3)).sum()), 0.3 + math.log(6), rtol=1e-15)
    assert_same("and nearly by one", np.log(np.exp(np.array([40.0, 0.0])).sum()), 40.0, rtol=1e-15)


@pytest.mark.equation("eq-log-sum-exp-vjp", formula_only=True)
def test_log_sum_exp_vjp(rng):
    z = rng.normal(size=5)
    lines = [numerical_gradient(lambda z: np.log(np.exp(z).sum()), z), np.exp(z) / np.exp(z).sum(), f.softmax(z)[0]]
    assert_lines_agree(lines, rtol=1e-8)
    loss = numerical_gradient(lambda z: np.log(np.exp(z).sum()) - z[2], z)
    assert_same("the slope of the loss", loss, softmax(z) - (np.arange(5) == 2), rtol=1e-8)


def test_a_small_constant_scales_the_gradient_away(rng):
    z, i = rng.normal(size=5), 2
    for small in (1e-9, 0.1, 10.0):
        numeric = numerical_gradient(lambda z, small=small: -np.log(softmax(z)[i] + small), z)
        p = softmax(z)
        assert_same(f"with {small}", p[i] / (p[i] + small) * (p - (np.arange(5) == i)), numeric, rtol=1e-7)
    assert round(-math.log(1e-9)) == 21


@pytest.mark.equation("eq-shift-gradient", formula_only=True)
def test_shift_gradient(rng):
    z, labels, q = rng.normal(size=(4, 5)), rng.integers(0, 5, size=4), rng.dirichlet(np.ones(5), size=4)
    for name, loss in {
        "cross-entropy": lambda z: f.cross_entropy(z, labels),
        "smoothed": lambda z: f.cross_entropy(z, labels, label_smoothing=0.2),
        "divergence": lambda z: losses.kl_divergence(z, q),
    }.items():
        value, backward = loss(z)
        assert_same(f"{name} of shifted logits", loss(z + rng.normal(size=(4, 1)))[0], value, rtol=1e-13)
        assert_same(f"{name}: the gradient adds up to zero", 1 + backward().sum(axis=1), np.ones(4), rtol=1e-15)


@pytest.mark.equation("eq-two-classes", formula_only=True)
def test_two_classes(rng):
    z = rng.normal(size=(6, 2))
    lines = [np.exp(z[:, 0]) / np.exp(z).sum(axis=1), 1 / (1 + np.exp(-(z[:, 0] - z[:, 1]))), f.sigmoid(z[:, 0] - z[:, 1])[0]]
    assert_lines_agree(lines, rtol=1e-14)
    yes = rng.integers(0, 2, size=6)
    as_classes, _ = f.cross_entropy(z, 1 - yes)
    assert_same("and one loss", f.binary_cross_entropy(z[:, 0] - z[:, 1], yes)[0], as_classes, rtol=1e-13)


# ---------------------------------------------------------------- entropy and divergence


def entropy(q):
    held = q[q > 0]
    return -(held * np.log(held)).sum()


def divergence(q, p):
    held = q > 0
    return (q[held] * np.log(q[held] / p[held])).sum()


@pytest.mark.equation("eq-entropy", formula_only=True)
def test_entropy(rng):
    q = np.append(rng.dirichlet(np.ones(4)), 0.0)
    assert_same("0 log 0 = 0", entropy(q), -sum(value * math.log(value) for value in q[:4]), rtol=1e-14)
    assert_same("the limit", -1e-300 * math.log(1e-300) + 1, 1.0, rtol=1e-15)
    assert_same("uniform", entropy(np.full(5, 0.2)), math.log(5), rtol=1e-15)
    labels = rng.choice(5, p=q, size=400_000)
    assert abs(-np.log(q[labels]).mean() - entropy(q)) < 0.01  # the mean price of who knows q


@pytest.mark.equation("eq-kl")
def test_kl(rng):
    z, q = rng.normal(size=(3, 4)), rng.dirichlet(np.ones(4), size=3)
    q[1] = [0, 1, 0, 0]
    rows = [divergence(a, b) for a, b in zip(q, softmax(z), strict=True)]
    assert_same("implementation", losses.kl_divergence(z, q)[0], np.mean(rows), rtol=1e-13)
    assert_same("the exercise", check.kl.reference(q[0], softmax(z)[0]), rows[0], rtol=1e-13)


@pytest.mark.equation("eq-cross-entropy-split", formula_only=True)
def test_cross_entropy_split(rng):
    z, q = rng.normal(size=4), rng.dirichlet(np.ones(4))
    p = softmax(z)
    lines = [-(q * np.log(p)).sum(), -(q * np.log(q)).sum() + (q * (np.log(q) - np.log(p))).sum(), entropy(q) + divergence(q, p)]
    assert_lines_agree(lines, rtol=1e-14)
    assert_same("implementation", f.cross_entropy(z[None], q[None])[0], lines[-1], rtol=1e-14)


@pytest.mark.equation("eq-gibbs", formula_only=True)
def test_gibbs(rng):
    u = np.exp(rng.normal(size=1000))
    assert (np.log(u) <= u - 1).all()
    for _ in range(200):
        q, p = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(4))
        q[rng.integers(4)] = 0
        q /= q.sum()
        held = q > 0
        line = (q[held] * np.log(p[held] / q[held])).sum()
        bound = (q[held] * (p[held] / q[held] - 1)).sum()
        assert_same("the sign", line, -divergence(q, p), rtol=1e-12)
        assert_same("the sums", bound, p[held].sum() - q[held].sum(), rtol=1e-12)
        assert line <= bound <= 1e-15
        assert divergence(q, p) > 0, "q is not p"
    assert_same("equal only where p = q", divergence(p, p) + 1, 1.0, rtol=1e-15)


@pytest.mark.equation("eq-kl-vjp")
def test_kl_vjp(rng):
    z, q = rng.normal(size=(3, 4)), rng.dirichlet(np.ones(4), size=3)
    lines = [
        numerical_gradient(lambda z: np.mean([divergence(a, b) for a, b in zip(q, softmax(z), strict=True)]), z),
        numerical_gradient(lambda z: -(q * np.log(softmax(z))).sum() / 3, z),
        (softmax(z) - q) / 3,
    ]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", losses.kl_divergence(z, q)[1](), lines[-1], rtol=1e-13)
    assert_vjp("kl_divergence", lambda z: losses.kl_divergence(z, q), (z,), rng)


def test_smoothing_is_a_mixture_of_two_losses_with_a_finite_goal(rng):
    z, s, classes = rng.normal(size=(1, 5)), 0.1, 5
    log_p = np.log(softmax(z))[0]
    loss, _ = f.cross_entropy(z, np.array([2]), label_smoothing=s)
    assert math.isclose(loss, (1 - s) * -log_p[2] + s * -log_p.mean(), rel_tol=1e-13)
    goal = np.zeros((1, 5))
    goal[0, 2] = math.log((1 - s + s / classes) / (s / classes))
    assert np.abs(f.cross_entropy(goal, np.array([2]), label_smoothing=s)[1]()).max() < 1e-15


def test_perplexity_is_a_geometric_mean(rng):
    p = rng.random(6)
    assert math.isclose(math.exp(-np.log(p).mean()), np.prod(1 / p) ** (1 / 6), rel_tol=1e-13)


# ---------------------------------------------------------------- yes or no


@pytest.fixture
def answers(rng):
    z = 2 * rng.normal(size=12)
    return z, rng.integers(0, 2, size=12).astype(float)


@pytest.mark.equation("eq-logistic-margin", formula_only=True)
def test_logistic_margin(answers):
    z, t = answers
    u = (2 * t - 1) * z
    lines = [np.log(1 + np.exp(z)) - t * z, -np.log(np.where(t == 1, sigma(z), 1 - sigma(z))), -np.log(sigma(u)), np.log(1 + np.exp(-u))]
    assert_lines_agree(lines, rtol=1e-13)
    assert_same("implementation", f.binary_cross_entropy(z, t)[0], lines[-1].mean(), rtol=1e-14)


@pytest.mark.equation("eq-hinge")
def test_hinge(answers):
    z, t = answers
    each = [max(0.0, 1 - (2 * b - 1) * a) for a, b in zip(z, t, strict=True)]
    assert 0 < sum(value == 0 for value in each) < 12
    assert_same("implementation", losses.hinge_loss(z, t)[0], sum(each) / 12, rtol=1e-14)


@pytest.mark.equation("eq-hinge-vjp")
def test_hinge_vjp(answers, rng):
    z, t = answers
    u = (2 * t - 1) * z
    lines = [numerical_gradient(lambda z: np.maximum(0, 1 - (2 * t - 1) * z).mean(), z), -(2 * t - 1) * (u < 1) / 12]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", losses.hinge_loss(z, t)[1](), lines[-1], rtol=1e-14)
    assert_vjp("hinge_loss", lambda z: losses.hinge_loss(z, t), (z,), rng)


@pytest.mark.equation("eq-hinge-minimum", formula_only=True)
def test_hinge_minimum():
    def expected(z, rho):
        return rho * np.maximum(0, 1 - z) + (1 - rho) * np.maximum(0, 1 + z)

    inside = np.linspace(-1, 1, 21)
    for rho in (0.1, 0.4, 0.6, 0.95):
        lines = [expected(inside, rho), rho * (1 - inside) + (1 - rho) * (1 + inside), 1 + (1 - 2 * rho) * inside]
        assert_lines_agree(lines, rtol=1e-14)
        assert_same(f"minimum at {rho}", smallest(lambda z, rho=rho: expected(z, rho), -5, 5), 1.0 if rho > 0.5 else -1.0, rtol=1e-6)
        entropy = smallest(lambda z, rho=rho: rho * np.log(1 + np.exp(-z)) + (1 - rho) * np.log(1 + np.exp(z)), -9, 9)
        assert_same("cross-entropy knows", sigma(entropy), rho, rtol=1e-6)
    assert np.ptp(expected(inside, 0.5)) < 1e-15 and expected(1.1, 0.5) > 1, "all are best between -1 and 1"
    assert (expected(1 + inside[10:], 1.0) == 0).all() and expected(0.9, 1.0) > 0, "all are best from 1 on"


@pytest.mark.equation("eq-focal")
def test_focal(answers):
    z, t = answers
    gamma, alpha = 1.5, 0.3
    p, a = sigma((2 * t - 1) * z), np.where(t == 1, alpha, 1 - alpha)
    lines = [-(a * (1 - p) ** gamma * np.log(p)), a * sigma(-(2 * t - 1) * z) ** gamma * np.log(1 + np.exp(-(2 * t - 1) * z))]
    assert_lines_agree(lines, rtol=1e-13)
    assert_same("implementation", losses.focal_loss(z, t, gamma, alpha)[0], lines[0].mean(), rtol=1e-13)
    assert_same("without weights", losses.focal_loss(z, t, gamma)[0], (-((1 - p) ** gamma) * np.log(p)).mean(), rtol=1e-13)
    assert_same("the exercise", check.focal.reference(z, t, gamma)[0], losses.focal_loss(z, t, gamma)[0], rtol=1e-13)


@pytest.mark.equation("eq-focal-vjp")
def test_focal_vjp(answers, rng):
    z, t = answers
    gamma, alpha = 1.5, 0.3
    sign, a = 2 * t - 1, np.where(t == 1, alpha, 1 - alpha)
    u = sign * z
    p = sigma(u)
    slopes = [
        numerical_gradient(lambda u: (-((1 - sigma(u)) ** gamma) * np.log(sigma(u))).sum(), u),
        gamma * (1 - p) ** (gamma - 1) * p * (1 - p) * np.log(p) - (1 - p) ** gamma / p * p * (1 - p),
        (1 - p) ** gamma * (gamma * p * np.log(p) - (1 - p)),
    ]
    assert_lines_agree(slopes, rtol=1e-8)
    lines = [
        numerical_gradient(lambda z: (-a * (1 - sigma(sign * z)) ** gamma * np.log(sigma(sign * z))).mean(), z),
        sign / 12 * a * slopes[-1],
    ]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", losses.focal_loss(z, t, gamma, alpha)[1](), lines[-1], rtol=1e-13)
    assert_same("without focus", losses.focal_loss(z, t, 0.0)[1](), (sigma(z) - t) / 12, rtol=1e-13)
    assert_vjp("focal_loss", lambda z: losses.focal_loss(z, t, gamma, alpha), (z,), rng)


@pytest.mark.equation("eq-focal-odds", formula_only=True)
def test_focal_odds():
    def odds(p, gamma):
        q = 1 - p
        return p**gamma * (p - gamma * q * math.log(q)) / (q**gamma * (q - gamma * p * math.log(p)))

    def expected(z, rho, gamma):  # of the implementation
        return rho * losses.focal_loss(np.array([z]), [1], gamma)[0] + (1 - rho) * losses.focal_loss(np.array([z]), [0], gamma)[0]

    for gamma in (0.0, 0.5, 2.0, 5.0):
        for rho in (0.02, 0.3, 0.5, 0.9):
            z = smallest(lambda z, rho=rho, gamma=gamma: expected(z, rho, gamma), -12, 12)
            assert_same(f"gamma {gamma}, rho {rho}", odds(sigma(z), gamma), rho / (1 - rho), rtol=1e-5)
    p = np.linspace(0.001, 0.999, 999)
    for gamma in (0.0, 0.5, 2.0, 5.0, 20.0):
        assert (np.diff([odds(value, gamma) for value in p]) > 0).all()
        # the steps of the proof that it grows
        a, b = p - gamma * (1 - p) * np.log(1 - p), 1 - p - gamma * p * np.log(p)
        logs = gamma * np.log(p / (1 - p)) + np.log(a) - np.log(b)
        assert_same("the logarithm", logs, np.log([odds(value, gamma) for value in p]), rtol=1e-12)
        assert (a >= p).all() and (-np.log(1 - p) <= p / (1 - p)).all()
        rising = (1 + gamma + gamma * np.log(1 - p)) / a
        numeric = numerical_gradient(lambda p, g=gamma: np.log(p - g * (1 - p) * np.log(1 - p)).sum(), p, 1e-7)
        assert_same("the slope of log A", rising, numeric, rtol=1e-5)
        assert (rising > -gamma / (1 - p)).all() and (rising[::-1] > -gamma / p).all()
    assert_same("one half stays", odds(0.5, 2.0), 1.0, rtol=1e-14)
    assert_same("the number in the text", round(odds(0.8, 2.0) / (1 + odds(0.8, 2.0)), 2), 0.98, rtol=1e-15)


@pytest.mark.equation("eq-weighted-odds", formula_only=True)
def test_weighted_odds():
    for alpha in (0.2, 0.9):
        for rho in (0.05, 0.6):

            def expected(z, alpha=alpha, rho=rho):  # of the implementation
                yes, no = (losses.focal_loss(np.array([z]), [t], 0.0, alpha)[0] for t in (1, 0))
                return rho * yes + (1 - rho) * no

            z = math.log(rho / (1 - rho)) + math.log(alpha / (1 - alpha))
            slope = -alpha * rho * (1 - sigma(z)) + (1 - alpha) * (1 - rho) * sigma(z)
            assert_same("the slope vanishes", 1 + slope, 1.0, rtol=1e-15)
            assert_same("the minimum", smallest(expected, -12, 12), z, rtol=1e-6)
