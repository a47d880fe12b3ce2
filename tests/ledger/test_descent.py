"""Equations of the chapter on optimizers: the noise of a batch, rates on a bowl, the updates, schedules; derivations line by line."""

import itertools
import math

import numpy as np
import pytest

from dlcourse import schedule, train
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP, SGD, Adam, AdamW, Learner, Lion, Muon, RMSProp, orthogonalize
from dlcourse.numpy.module import Module, Parameter
from tests.equations import assert_lines_agree, assert_same, numerical_gradient


class Weights(Module):
    def __init__(self, w):
        self.w = Parameter(np.shape(w), np.float64)
        self.w.data[...] = w


def descend(optimizer, gradients, lr):
    """The weights after each step; `gradients` are arrays, or functions of the weights."""
    w, found = optimizer.model.w, []
    for g in gradients:
        w.grad[...] = g(w.data) if callable(g) else g
        optimizer.step(lr)
        found.append(w.data.copy())
    return found


def near(a, b, rtol):
    """Assert what holds on average, in the limit or to leading order: no error of the ledger."""
    np.testing.assert_allclose(a, b, rtol=rtol)


# ---------------------------------------------------------------- the gradient of a batch


@pytest.fixture
def examples(rng):
    return rng.normal(1.0, 2.0, size=(7, 3))  # g_n


def spread(g):
    return np.mean(np.sum((g - g.mean(axis=0)) ** 2, axis=1))


def every_batch(g, size, replacement):
    """The mean gradients of all equally likely batches."""
    choose = itertools.product if replacement else itertools.permutations
    extra = {"repeat": size} if replacement else {"r": size}
    return np.array([g[list(i)].mean(axis=0) for i in choose(range(len(g)), **extra)])


@pytest.mark.equation("eq-batch-gradient", formula_only=True)
@pytest.mark.parametrize("replacement", [True, False])
def test_batch_gradient(examples, replacement):
    batches = every_batch(examples, 3, replacement)
    marginal = sum(sum(g / 7 for g in examples) for _ in range(3)) / 3
    assert_lines_agree([batches.mean(axis=0), marginal, examples.mean(axis=0)], rtol=1e-13)


@pytest.mark.equation("eq-batch-noise", formula_only=True)
def test_batch_noise(examples):
    g, B, S2 = examples.mean(axis=0), 3, spread(examples)
    d = examples - g
    assert_same("mean of d", 1 + d.mean(axis=0), np.ones(3), rtol=1e-14)
    pair = np.mean([d[i] @ d[j] for i in range(7) for j in range(7)])  # independent draws may be equal
    assert_same("c with replacement", 1 + pair, 1.0, rtol=1e-14)
    lines = [
        np.mean(np.sum((every_batch(examples, B, True) - g) ** 2, axis=1)),
        (B * S2 + B * (B - 1) * pair) / B**2,
        S2 / B,
    ]
    assert_lines_agree(lines, rtol=1e-13)


@pytest.mark.equation("eq-batch-noise-without")
@pytest.mark.parametrize("B", [1, 2, 4, 6])
def test_batch_noise_without_replacement(examples, B):
    N, g, S2 = 7, examples.mean(axis=0), spread(examples)
    d = examples - g
    c = np.mean([d[i] @ d[j] for i, j in itertools.permutations(range(N), 2)])
    assert_lines_agree([c, -S2 / (N - 1)], rtol=1e-13)
    assert_same("sum over the whole set", 1 + N * S2 + N * (N - 1) * c, 1.0, rtol=1e-13)
    lines = [
        np.mean([np.sum((examples[list(i)].mean(axis=0) - g) ** 2) for i in itertools.combinations(range(N), B)]),
        (B * S2 + B * (B - 1) * c) / B**2,
        (B * S2 - B * (B - 1) * S2 / (N - 1)) / B**2,
        S2 / B * (1 - (B - 1) / (N - 1)),
        S2 / B * (N - B) / (N - 1),
    ]
    assert_lines_agree(lines, rtol=1e-12)


@pytest.mark.equation("eq-noise-scale", formula_only=True)
@pytest.mark.parametrize("B", [1, 2, 4])
def test_noise_scale(examples, rng, B):
    curvature, w, w_min = 1.7, rng.normal(size=3), rng.normal(size=3)
    spreads = examples - examples.mean(axis=0)
    g = curvature * (w - w_min)

    def loss(w):
        return curvature / 2 * np.sum((w - w_min) ** 2, axis=-1)

    batches = g + every_batch(spreads, B, True)
    S2, g2 = spread(examples), g @ g
    assert_same("E |g_B|^2", np.mean(np.sum(batches**2, axis=1)), g2 + S2 / B, rtol=1e-13)
    for eta in (0.1, 0.7):
        gain = loss(w) - np.mean(loss(w - eta * batches))
        assert_same("gain of a step", gain, eta * g2 - curvature * eta**2 / 2 * (g2 + S2 / B), rtol=1e-12)
    best = g2 / (g2 + S2 / B) / curvature
    for other in (0.9 * best, 1.1 * best):
        assert np.mean(loss(w - other * batches)) > np.mean(loss(w - best * batches))
    B0 = S2 / g2
    assert_lines_agree([loss(w) - np.mean(loss(w - best * batches)), g2 / (2 * curvature) * B / (B + B0)], rtol=1e-12)


@pytest.mark.equation("eq-noise-floor", formula_only=True)
def test_noise_floor(rng):
    eta, curvature, sigma = 0.3, 2.5, 0.7
    q = 5.0
    for _ in range(200):
        q = (1 - eta * curvature) ** 2 * q + eta**2 * sigma**2
    bracket = 1 - (1 - eta * curvature) ** 2
    assert_lines_agree([bracket, eta * curvature * (2 - eta * curvature)], rtol=1e-13)
    assert_lines_agree([q, eta**2 * sigma**2 / bracket, eta * sigma**2 / (curvature * (2 - eta * curvature))], rtol=1e-12)
    w = np.zeros(200_000)
    for _ in range(40):
        w = (1 - eta * curvature) * w - eta * sigma * rng.normal(size=w.shape)
    near(np.mean(w**2), q, rtol=0.02)


# ---------------------------------------------------------------- a bowl

CURVATURES = np.array([0.5, 1.3, 4.0, 8.0])


@pytest.mark.equation("eq-quadratic-descent", formula_only=True)
def test_quadratic_descent(rng):
    q, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    A, w_min, start, eta, t = q @ np.diag(CURVATURES) @ q.T, rng.normal(size=4), rng.normal(size=4), 0.2, 12

    def loss(w):
        return (w - w_min) @ A @ (w - w_min) / 2

    assert_same("gradient", numerical_gradient(loss, start), A @ (start - w_min), rtol=1e-7)
    end = descend(SGD(Weights(start)), [lambda w: A @ (w - w_min)] * t, eta)[-1]
    e0 = start - w_min
    lines = [
        end - w_min,
        np.linalg.matrix_power(np.eye(4) - eta * A, t) @ e0,
        q @ ((1 - eta * CURVATURES) ** t * (q.T @ e0)),
    ]
    assert_lines_agree(lines, rtol=1e-10)
    for eta, is_stable in ((0.99 * 2 / 8.0, True), (1.01 * 2 / 8.0, False)):
        assert (np.abs(1 - eta * CURVATURES).max() < 1) == is_stable


@pytest.mark.equation("eq-descent-rate", formula_only=True)
def test_descent_rate():
    low, high = CURVATURES[0], CURVATURES[-1]
    kappa, eta = high / low, 2 / (high + low)
    lines = [
        np.abs(1 - eta * CURVATURES).max(),
        1 - eta * low,
        eta * high - 1,
        (high - low) / (high + low),
        (kappa - 1) / (kappa + 1),
    ]
    assert_lines_agree(lines, rtol=1e-13)
    for other in (0.95 * eta, 1.05 * eta):  # no other learning rate is as good
        assert np.abs(1 - other * CURVATURES).max() > lines[0]
    path = descend(SGD(Weights(np.ones(4))), [lambda w: CURVATURES * w] * 200, eta)
    near((np.linalg.norm(path[-1]) / np.linalg.norm(path[99])) ** 0.01, lines[0], rtol=1e-6)
    near(math.log((1e4 - 1) / (1e4 + 1)), -2 / 1e4, rtol=1e-6)


@pytest.mark.equation("eq-momentum-recurrence", formula_only=True)
def test_momentum_recurrence():
    mu, eta, curvature = 0.8, 0.3, 2.0
    e = [np.array([1.5]), *descend(SGD(Weights([1.5]), momentum=mu), [lambda w: curvature * w] * 6, eta)]
    for t in range(1, 6):
        v, v_next = (e[t - 1] - e[t]) / eta, (e[t] - e[t + 1]) / eta
        assert_same("the velocity", v_next, mu * v + curvature * e[t], rtol=1e-12)
        lines = [
            e[t + 1],
            e[t] - mu * (e[t - 1] - e[t]) - eta * curvature * e[t],
            (1 + mu - eta * curvature) * e[t] - mu * e[t - 1],
        ]
        assert_lines_agree(lines, rtol=1e-12)


def roots(total, product):
    return np.roots([1.0, -total, product]).astype(complex)


@pytest.mark.equation("eq-momentum-roots", formula_only=True)
def test_momentum_roots(rng):
    seen = set()
    for _ in range(4000):
        mu, s, rho = rng.uniform(0, 1), rng.uniform(-0.5, 4.5), rng.uniform(0.05, 1.2)
        r = roots(1 + mu - s, mu)
        conditions = mu <= rho**2 and abs(1 + mu - s) <= rho + mu / rho
        assert (np.abs(r).max() <= rho) == conditions
        is_real = np.abs(r.imag).max() == 0
        seen.add((bool(conditions), bool(is_real)))
        if is_real:
            assert r.real.min() * r.real.max() >= -1e-12  # one sign
            assert_same("product", 1 + np.prod(rho - r.real), 1 + rho**2 - (1 + mu - s) * rho + mu, rtol=1e-9)
        else:
            assert_same("modulus", np.abs(r), [math.sqrt(mu)] * 2, rtol=1e-9)
            assert abs(1 + mu - s) <= 2 * math.sqrt(mu) + 1e-12 <= rho + mu / rho + 2e-12
        low, high = (1 - rho) * (1 - mu / rho), (1 + rho) * (1 + mu / rho)
        assert_same("lower end", 1 + low, 1 + (1 + mu - (rho + mu / rho)), rtol=1e-12)
        assert_same("upper end", high, 1 + mu + rho + mu / rho, rtol=1e-12)
    assert len(seen) == 4


@pytest.mark.equation("eq-momentum-rate")
@pytest.mark.parametrize("kappa", [4.0, 100.0])
def test_momentum_rate(kappa):
    low, high = 0.7, 0.7 * kappa
    rho = (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)

    def ratio(rho, mu):
        return (1 + rho) / (1 - rho) * (1 + mu / rho) / (1 - mu / rho)

    assert_lines_agree([ratio(rho, rho**2), ((1 + rho) / (1 - rho)) ** 2, kappa], rtol=1e-12)
    assert all(ratio(rho, share * rho**2) < kappa for share in (0.0, 0.5, 0.99)), "less momentum serves fewer"
    plain = (kappa - 1) / (kappa + 1)
    assert_same("without momentum: the rate of descent", ratio(plain, 0.0), kappa, rtol=1e-12)
    assert_lines_agree([1 - rho, 2 / (math.sqrt(kappa) + 1)], rtol=1e-12)
    mu, eta = rho**2, 4 / (math.sqrt(high) + math.sqrt(low)) ** 2
    assert_lines_agree([eta * low, (1 - rho) ** 2], rtol=1e-12)

    def rate(eta, mu):
        return max(np.abs(roots(1 + mu - eta * c, mu)).max() for c in np.geomspace(low, high, 9))

    near(rate(eta, mu), rho, rtol=1e-6)  # double roots keep half the digits
    for other in itertools.product((0.8 * eta, eta, 1.2 * eta), (0.9 * mu, mu, min(0.99, 1.05 * mu))):
        assert rate(*other) > rho - 1e-6
    curvatures = np.geomspace(low, high, 9)
    path = descend(SGD(Weights(np.ones(9)), momentum=mu), [lambda w: curvatures * w] * 200, eta)
    measured = (np.linalg.norm(path[-1]) / np.linalg.norm(path[99]) / 2) ** 0.01  # t rho^t: the factor t has doubled
    near(measured, rho, rtol=2e-3)


@pytest.mark.equation("eq-nesterov")
def test_nesterov_looks_ahead(rng):
    q, mu, eta = np.diag(CURVATURES), 0.85, 0.05

    def gradient(y):
        return q @ y + np.sin(y)  # any function of the point

    start = rng.normal(size=4)
    library = descend(SGD(Weights(start), momentum=mu, nesterov=True), [gradient] * 8, eta)
    w, v = start.copy(), np.zeros(4)
    for t in range(8):
        y = w - eta * mu * v
        g = gradient(y)
        w_next, v_next = w - eta * (mu * v + g), mu * v + g
        assert_same("w by y", w, y + eta * (v_next - g), rtol=1e-12)
        lines = [
            w_next - eta * mu * v_next,
            w - eta * v_next - eta * mu * v_next,
            (y + eta * (v_next - g)) - eta * v_next - eta * mu * v_next,
            y - eta * (g + mu * v_next),
            library[t],
        ]
        assert_lines_agree(lines, rtol=1e-12)
        w, v = w_next, v_next


@pytest.mark.equation("eq-nesterov-recurrence", formula_only=True)
def test_nesterov_recurrence():
    mu, eta, curvature = 0.8, 0.2, 1.9
    y = [np.array([1.5]), *descend(SGD(Weights([1.5]), momentum=mu, nesterov=True), [lambda w: curvature * w] * 6, eta)]
    s = eta * curvature
    w = [(1 - s) * one for one in y]  # w[t] is the first of the two points after y[t]
    for t in range(1, 6):
        lines = [y[t + 1], w[t] + mu * (w[t] - w[t - 1]), (1 - s) * ((1 + mu) * y[t] - mu * y[t - 1])]
        assert_lines_agree(lines, rtol=1e-12)
    edge = (2 + 2 * mu) / (1 + 2 * mu)  # the limit of stability: a root at -1
    assert_same("at the limit", 2.0 + (1 - edge) * (1 + 2 * mu), 1.0, rtol=1e-12)
    for s, is_stable in ((0.999 * edge, True), (1.001 * edge, False)):
        assert (np.abs(roots((1 - s) * (1 + mu), (1 - s) * mu)).max() < 1) == is_stable


@pytest.mark.equation("eq-nesterov-rate", formula_only=True)
@pytest.mark.parametrize("kappa", [4.0, 100.0])
def test_nesterov_rate(kappa):
    low, high = 0.7, 0.7 * kappa
    u, eta = 1 / math.sqrt(kappa), 1 / high
    mu = (math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)
    assert_lines_agree([mu, (1 - u) / (1 + u)], rtol=1e-12)
    assert_lines_agree([1 + mu, 2 / (1 + u)], rtol=1e-12)
    assert_lines_agree([(1 - u**2) * (1 + mu) ** 2, 4 * mu], rtol=1e-12)
    moduli = []
    for curvature in np.geomspace(low, high, 9):
        s = eta * curvature
        assert (1 - s) * (1 + mu) ** 2 <= 4 * mu * (1 + 1e-12), "complex or equal roots"
        moduli.append(np.abs(roots((1 - s) * (1 + mu), (1 - s) * mu)).max())
        if s < 0.99:  # at s = 1 both roots are zero
            near(moduli[-1], math.sqrt(mu * (1 - s)), rtol=1e-6)
    assert_lines_agree([math.sqrt(mu * (1 - u**2)), math.sqrt((1 - u) ** 2), 1 - 1 / math.sqrt(kappa)], rtol=1e-12)
    near(max(moduli), 1 - u, rtol=1e-6)
    curvatures = np.geomspace(low, high, 9)
    path = descend(SGD(Weights(np.ones(9)), momentum=mu, nesterov=True), [lambda w: curvatures * w] * 400, eta)
    measured = (np.linalg.norm(path[-1]) / np.linalg.norm(path[199]) / 2) ** (1 / 200)
    near(measured, 1 - u, rtol=2e-3)


@pytest.mark.equation("eq-nesterov-bowl", formula_only=True)
@pytest.mark.parametrize("kappa", [4.0, 100.0])
def test_nesterov_bowl(kappa):
    low, high = 0.7, 0.7 * kappa
    q = math.sqrt(3 * kappa + 1)
    eta, mu, rho = 4 / (3 * high + low), (q - 2) / (q + 2), 1 - 2 / q
    assert_lines_agree([1 + mu, 2 * q / (q + 2)], rtol=1e-12)
    s = eta * low
    assert_lines_agree([s, 4 / q**2], rtol=1e-12)
    assert_lines_agree([(1 - s) * (1 + mu) ** 2, 4 * (q - 2) / (q + 2), 4 * mu], rtol=1e-12)
    assert_lines_agree([(1 - s) * (1 + mu) / 2, rho], rtol=1e-12)
    s = eta * high
    assert_lines_agree([high, (q**2 - 1) / 3 * low], rtol=1e-12)
    assert_lines_agree([1 - s, -(q**2 - 4) / (3 * q**2)], rtol=1e-12)
    pair = -(q - 2) / q, (q - 2) / (3 * q)
    assert_lines_agree([(1 - s) * mu, -((q - 2) ** 2) / (3 * q**2), pair[0] * pair[1]], rtol=1e-12)
    assert_lines_agree([(1 - s) * (1 + mu), -2 * (q - 2) / (3 * q), sum(pair)], rtol=1e-12)
    assert_same("the negative root", -pair[0], rho, rtol=1e-12)

    def rate(eta, mu):
        pairs = [roots((1 - eta * c) * (1 + mu), (1 - eta * c) * mu) for c in np.geomspace(low, high, 30)]
        return max(np.abs(pair).max() for pair in pairs)

    near(rate(eta, mu), rho, rtol=1e-6)  # double roots keep half the digits
    for other in itertools.product(np.linspace(0.6, 1.3, 15) * eta, np.linspace(0.05, 0.99, 48)):
        assert rate(*other) > rho - 1e-6
    root = math.sqrt(kappa)
    customary = 1 / high, (root - 1) / (root + 1)
    near(rate(*customary), 1 - 1 / root, rtol=1e-6)
    assert (root - 1) / (root + 1) < rho < 1 - 1 / root, "between momentum and the customary settings"
    curvatures = np.geomspace(low, high, 9)
    path = descend(SGD(Weights(np.ones(9)), momentum=mu, nesterov=True), [lambda w: curvatures * w] * 400, eta)
    measured = (np.linalg.norm(path[-1]) / np.linalg.norm(path[199]) / 2) ** (1 / 200)
    near(measured, rho, rtol=2e-3)


# ---------------------------------------------------------------- updates


@pytest.mark.equation("eq-rmsprop")
def test_rmsprop(rng):
    alpha, eps, lr, w, v = 0.9, 0.01, 0.1, rng.normal(size=(3, 2)), 0.0
    gradients = rng.normal(size=(5, 3, 2))
    path = descend(RMSProp(Weights(w), alpha, eps), gradients, lr)
    for g, found in zip(gradients, path, strict=True):
        v = alpha * v + (1 - alpha) * g**2
        w = w - lr * g / (np.sqrt(v) + eps)
        assert_same("w", found, w, rtol=1e-13)
    small, large = (descend(RMSProp(Weights(w), eps=0.0), scale * gradients, lr)[-1] for scale in (1.0, 1000.0))
    assert_same("a loss times a constant", small, large, rtol=1e-12)
    for alpha, g in ((0.99, 3.0), (0.99, -1e-3), (0.75, 5.0)):  # the first step, as the chapter derives it
        moved = descend(RMSProp(Weights([0.0]), alpha, eps=0.0), [np.array([g])], lr)[0][0]
        lines = [abs(moved), lr * abs(g) / math.sqrt((1 - alpha) * g**2), lr / math.sqrt(1 - alpha)]
        assert_lines_agree(lines, rtol=1e-12)
    near(1 / math.sqrt(1 - 0.99), 10, rtol=1e-12)


@pytest.mark.equation("eq-adam-bias")
def test_adam_bias(rng):
    beta1, beta2, t = 0.9, 0.97, 7
    gradients = rng.normal(size=(t, 4))
    optimizer = Adam(Weights(np.zeros(4)), (beta1, beta2))
    descend(optimizer, gradients, 0.1)
    kept = optimizer.state()
    for slot, beta, values in (("m", beta1, gradients), ("v", beta2, gradients**2)):
        weights = beta ** (t - np.arange(1, t + 1))
        unrolled = (1 - beta) * np.einsum("k,ki->i", weights, values)
        assert_lines_agree([kept[f"{slot}.w"], unrolled], rtol=1e-12)
        assert_lines_agree([(1 - beta) * weights.sum(), (1 - beta) * (1 - beta**t) / (1 - beta), 1 - beta**t], rtol=1e-12)
        corrected = kept[f"{slot}.w"] / (1 - beta**t)
        assert_lines_agree([corrected, np.einsum("k,ki->i", weights, values) / weights.sum()], rtol=1e-12)
    # gradients of one mean: the mean of the corrected mean over many runs is theirs
    many = np.random.default_rng(3).normal(2.0, 1.0, size=(5, 200_000))
    optimizer = Adam(Weights(np.zeros(200_000)), (beta1, beta2))
    descend(optimizer, many, 0.1)
    near(np.mean(optimizer.state()["m.w"]) / (1 - beta1**5), 2.0, rtol=5e-3)


@pytest.mark.equation("eq-adam-first-step", formula_only=True)
def test_adam_first_step():
    import mlx.core as mx
    import mlx.optimizers

    beta1, beta2, eps, lr = 0.9, 0.999, 1e-8, 0.1
    for g in (1e-3, 5.0):
        moved = -descend(Adam(Weights([0.0]), (beta1, beta2), eps), [np.array([g])], lr)[0][0]
        assert_lines_agree([moved, lr * g / (g + eps)], rtol=1e-12)
        near(moved, lr, rtol=2e-5)
        m, v = (1 - beta1) * g, (1 - beta2) * g**2
        bare = lr * m / (math.sqrt(v) + eps)
        assert_lines_agree([bare, lr * (1 - beta1) * g / (math.sqrt(1 - beta2) * g + eps)], rtol=1e-12)
        near(bare, lr * (1 - beta1) / math.sqrt(1 - beta2), rtol=1e-3)
        theirs = mlx.optimizers.Adam(lr)  # without correction, MLX's default, in float32
        moved = -theirs.apply_gradients({"w": mx.array([g])}, {"w": mx.array([0.0])})["w"].item()
        near(moved, bare, rtol=1e-4)
    near(0.1 / math.sqrt(0.001), 3.2, rtol=0.02)


@pytest.mark.equation("eq-sign-descent", formula_only=True)
def test_sign_descent(rng):
    g, eta = rng.normal(size=6), 0.3
    best = -eta * np.sign(g)
    corners = np.array(list(itertools.product((-eta, eta), repeat=6)))  # a linear function is least at a corner
    lines = [corners[np.argmin(corners @ g)], best]
    assert_lines_agree(lines, rtol=1e-14)
    assert_lines_agree([(corners @ g).min(), -eta * np.abs(g).sum(), best @ g], rtol=1e-13)
    inside = rng.uniform(-eta, eta, size=(500, 6))
    assert (inside @ g >= best @ g).all()
    steepest = -eta * g / np.linalg.norm(g)
    round_ones = rng.normal(size=(500, 6))
    round_ones *= eta / np.linalg.norm(round_ones, axis=1, keepdims=True)
    assert (round_ones @ g >= steepest @ g).all(), "in the Euclidean norm it is the gradient"
    adam = descend(Adam(Weights(np.zeros(6)), (0.0, 0.0), 0.0), [g, 3 * g], eta)
    assert_same("Adam without memory", adam[1] - adam[0], best, rtol=1e-12)


@pytest.mark.equation("eq-lion")
def test_lion(rng):
    beta1, beta2, decay, lr = 0.7, 0.95, 0.2, 0.1
    w, m = rng.normal(size=(3, 2)), np.zeros((3, 2))
    gradients = rng.normal(size=(6, 3, 2))
    path = descend(Lion(Weights(w), (beta1, beta2), decay), gradients, lr)
    for g, found in zip(gradients, path, strict=True):
        c = beta1 * m + (1 - beta1) * g
        w = (1 - lr * decay) * w - lr * np.sign(c)
        m = beta2 * m + (1 - beta2) * g
        assert_same("w", found, w, rtol=1e-13)
    assert Lion(Weights(w)).betas == (0.9, 0.99)
    first = descend(Lion(Weights(np.zeros(3))), [np.array([1e-9, -5.0, 0.0])], lr)[0]
    assert_same("every entry moves by lr, or rests", first, [-lr, lr, 0.0], rtol=1e-14)


def decomposed(shape, rng):
    return np.linalg.svd(rng.normal(size=shape), full_matrices=False)


@pytest.mark.equation("eq-spectral-descent", formula_only=True)
def test_spectral_descent(rng):
    eta = 0.3
    for shape in ((3, 5), (5, 3), (4, 4)):
        u, sigma, vt = decomposed(shape, rng)
        g, best = u * sigma @ vt, -eta * u @ vt
        near(np.linalg.norm(best, 2), eta, rtol=1e-13)
        assert_lines_agree([np.sum(g * best), -eta * sigma.sum()], rtol=1e-13)
        for _ in range(300):
            d = rng.normal(size=shape)
            d *= eta / np.linalg.norm(d, 2)
            inner = np.einsum("ji,jk,ik->i", u, d, vt)  # u_i^T D v_i
            assert_lines_agree([np.sum(g * d), np.sum(sigma * inner)], rtol=1e-10)
            assert np.abs(inner).max() <= np.linalg.norm(d, 2) * (1 + 1e-12)
            assert np.sum(g * d) > np.sum(g * best)
    # without full rank it is one of many
    g = np.diag([2.0, 0.0])
    for other in (-eta, 0.0, eta):
        near(np.sum(g * np.diag([-eta, other])), -eta * 2.0, rtol=1e-14)


@pytest.mark.equation("eq-newton-schulz")
def test_newton_schulz(rng):
    a, b, c = 3.4445, -4.7750, 2.0315
    for shape in ((3, 5), (5, 3), (4, 4)):
        u, sigma, vt = decomposed(shape, rng)
        m = 7.0 * (u * sigma @ vt)
        x, s = m / np.sqrt(np.sum(m**2)), sigma / np.sqrt(np.sum(sigma**2))
        for rounds in range(1, 6):
            gram = x @ x.T
            x = a * x + (b * gram + c * gram @ gram) @ x
            s = a * s + b * s**3 + c * s**5
            assert_lines_agree([orthogonalize(m, rounds), x, u * s @ vt], rtol=1e-10)
        x = m / np.linalg.norm(m)
        for _ in range(30):  # the coefficients that converge
            gram = x @ x.T
            x = (15 * x + (-10 * gram + 3 * gram @ gram) @ x) / 8
        assert_same("U V^T", x, u @ vt, rtol=1e-10)
    # (15, -10, 3) / 8: one stays one, and the derivative is 15 / 8 (1 - s^2)^2
    s = rng.uniform(0, 1, size=9)
    assert_lines_agree([(15 - 30 * s**2 + 15 * s**4) / 8, 15 / 8 * (1 - s**2) ** 2], rtol=1e-9)
    near((15 - 10 + 3) / 8, 1.0, rtol=0)


@pytest.mark.equation("eq-muon")
def test_muon(rng):
    mu, decay, lr = 0.8, 0.2, 0.1
    for shape in ((6, 2), (2, 6), (3, 3)):
        w, m = rng.normal(size=shape), np.zeros(shape)
        gradients = rng.normal(size=(6, *shape))
        path = descend(Muon(Weights(w), mu, decay), gradients, lr)
        total = np.zeros(shape)
        for g, found in zip(gradients, path, strict=True):
            m = mu * m + (1 - mu) * g
            total = mu * total + g
            ahead = mu * m + (1 - mu) * g
            assert_same("a mean or a sum", orthogonalize(ahead), orthogonalize(mu * total + g), rtol=1e-10)
            w = (1 - lr * decay) * w - lr * max(1, shape[0] / shape[1]) ** 0.5 * orthogonalize(ahead)
            assert_same("w", found, w, rtol=1e-11)
    assert Muon(Weights(w)).momentum == 0.95
    # one axis: no rounds
    g = rng.normal(size=4)
    first = descend(Muon(Weights(np.zeros(4)), mu), [g], lr)[0]
    assert_same("bias", first, -lr * (mu * (1 - mu) + (1 - mu)) * g, rtol=1e-13)
    # the root: what the columns of a tall orthogonal matrix take away from the root of the mean square
    u, _, vt = decomposed((6, 2), rng)
    x = rng.normal(size=2)
    y = 3**0.5 * u @ vt @ x
    near(np.sqrt(np.mean(y**2)), np.sqrt(np.mean(x**2)), rtol=1e-12)
    # the operations of a round, and of five beside those of a layer
    r, side, batch = 5, 11, 32
    assert 2 * r * r * side + 2 * r**3 + 2 * r * r * side <= 6 * r * r * side
    near(30 * r * r * side / (6 * r * side * batch), 5 * r / batch, rtol=1e-14)
    assert 5 * 1000 / 100_000 == 1 / 20 and 5 * 32 / 32 == 5  # the two layers of the page


@pytest.mark.equation("eq-l2-descent")
def test_l2_is_decay_for_descent(rng):
    w, g, eta, decay = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), 0.1, 0.3
    penalised = g + numerical_gradient(lambda w: decay / 2 * np.sum(w**2), w)
    lines = [
        descend(SGD(Weights(w), weight_decay=decay), [g], eta)[0],
        w - eta * penalised,
        w - eta * (g + decay * w),
        (1 - eta * decay) * w - eta * g,
    ]
    assert_lines_agree(lines, rtol=1e-9)
    # with momentum the two differ from the second step on
    by_penalty = descend(SGD(Weights(w), momentum=0.9, weight_decay=decay), [g, g], eta)[1]
    v, shrunk = 0.0, w
    for _ in range(2):
        v = 0.9 * v + g
        shrunk = (1 - eta * decay) * shrunk - eta * v
    assert np.abs(by_penalty - shrunk).max() > 1e-3


@pytest.mark.equation("eq-l2-adam", formula_only=True)
def test_l2_is_no_decay_for_adam(rng):
    eta, decay, beta2, eps = 0.1, 0.3, 0.9, 0.01
    w, v = rng.normal(size=(2, 3)), 0.0
    optimizer = Adam(Weights(w), (0.0, beta2), eps)
    for t in range(1, 5):
        g = rng.normal(size=(2, 3)) * [0.1, 1.0, 10.0]
        penalised = g + decay * w
        v = beta2 * v + (1 - beta2) * penalised**2
        root = np.sqrt(v / (1 - beta2**t)) + eps
        lines = [
            descend(optimizer, [penalised], eta)[0],
            w - eta * (g + decay * w) / root,
            (1 - eta * decay / root) * w - eta * g / root,
        ]
        assert_lines_agree(lines, rtol=1e-12)
        w = lines[0]
    start, g = np.ones((1, 3)), np.array([[0.1, 1.0, 10.0]])  # AdamW: one factor for all
    plain, shrunk = (descend(AdamW(Weights(start), weight_decay=d), [g], eta)[0] for d in (0.0, decay))
    assert_same("AdamW", plain - shrunk, np.full((1, 3), eta * decay), rtol=1e-12)


# ---------------------------------------------------------------- schedules

TOTAL = 40


@pytest.mark.equation("eq-warmup")
@pytest.mark.parametrize("kind", [schedule.cosine, schedule.linear])
def test_warmup(kind):
    share, peak = 0.22, 0.3
    R = math.ceil(share * TOTAL)
    rates = [kind(peak, warmup=share)(t, TOTAL) for t in range(TOTAL)]
    assert_same("the rise", rates[:R], [peak * (t + 1) / R for t in range(R)], rtol=1e-14)
    assert rates[R - 1] == rates[R] == peak > rates[R + 1]


def falling(kind, **options):
    R = math.ceil(0.22 * TOTAL)
    s = (np.arange(R, TOTAL) - R) / (TOTAL - R)
    return s, [kind(0.3, warmup=0.22, **options)(t, TOTAL) for t in range(R, TOTAL)]


@pytest.mark.equation("eq-linear-schedule")
def test_linear_schedule():
    s, rates = falling(schedule.linear, final=0.05)
    assert_same("the line", rates, 0.3 + (0.05 - 0.3) * s, rtol=1e-14)


@pytest.mark.equation("eq-cosine-schedule")
def test_cosine_schedule():
    s, rates = falling(schedule.cosine, final=0.05)
    assert_same("the cosine", rates, 0.05 + (0.3 - 0.05) * (1 + np.cos(np.pi * s)) / 2, rtol=1e-14)


@pytest.mark.equation("eq-step-schedule")
def test_step_schedule():
    rates = [schedule.steps(0.3, (0.25, 0.75), 0.2)(t, TOTAL) for t in range(TOTAL)]
    k = (np.arange(TOTAL) >= 10).astype(int) + (np.arange(TOTAL) >= 30)
    assert_same("the steps", rates, 0.3 * 0.2**k, rtol=1e-14)


@pytest.mark.equation("eq-one-cycle")
@pytest.mark.parametrize(("share", "D", "E"), [(0.3, 25.0, 1e4), (0.45, 10.0, 5.0)])
def test_one_cycle(share, D, E):
    eta, p = 0.3, share * TOTAL - 1
    rates = [schedule.one_cycle(eta, share, D, E)(t, TOTAL) for t in range(TOTAL)]

    def printed(t):
        if t < p:
            return eta + (eta / D - eta) * (1 + math.cos(math.pi * t / p)) / 2
        end = eta / (D * E)
        return end + (eta - end) * (1 + math.cos(math.pi * (t - p) / (TOTAL - 1 - p))) / 2

    assert_same("the cycle", rates, [printed(t) for t in range(TOTAL)], rtol=1e-12)
    assert_same("its ends", [rates[0], rates[-1]], [eta / D, eta / (D * E)], rtol=1e-12)
    assert schedule.one_cycle(eta) == schedule.one_cycle(eta, 0.3, 25.0, 1e4)


@pytest.mark.equation("eq-range-test")
def test_range_test(rng):
    config = MLPConfig(3, (4,), 2)
    model = MLP(config)
    model.load_state(initial_state(config, 0, np.float64))
    x, y = rng.normal(size=(20, 3)), rng.integers(0, 2, 20)
    rates, _ = train.range_test(Learner(model, SGD(model)), (x, y), lowest=1e-3, highest=0.1, steps=9, batch_size=5)
    assert_same("the rates", rates, [1e-3 * (0.1 / 1e-3) ** (t / 8) for t in range(9)], rtol=1e-13)
    assert_same("one factor", rates[1:] / rates[:-1], np.full(8, 100 ** (1 / 8)), rtol=1e-12)
