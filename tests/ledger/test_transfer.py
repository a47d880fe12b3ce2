"""The equations of the chapter on transfer learning, line by line, at random points."""

import numpy as np
import pytest

import dlcourse
from dlcourse import check, transfer
from dlcourse.config import CNNConfig, MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP, SGD, Learner
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, numerical_gradient

N, D, V = 6, 5, 4


def draw(rng):
    """Features phi (N, D), labels y (N,), weights W (V, D) and b (V,) of a head."""
    return rng.normal(size=(N, D)), rng.integers(0, V, size=N), rng.normal(size=(V, D)), rng.normal(size=V)


def probabilities(phi, W, b):
    z = phi @ W.T + b
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


def loss(phi, y, W, b):
    return -sum(np.log(probabilities(phi, W, b)[n, y[n]]) for n in range(len(y))) / len(y)


@pytest.mark.equation("eq-freeze")
@pytest.mark.parametrize("backend", dlcourse.BACKENDS)
def test_freezing_is_a_mask(rng, backend):
    package = dlcourse.backend(backend)
    config = CNNConfig((6, 6, 1), (2, 3), 3, 1, hidden=(4,), outputs=3)
    start = initial_state(config, 0)
    x, y, lr = rng.random((5, 6, 6, 1)).astype(np.float32), np.array([0, 1, 2, 0, 1]), 0.1
    model = package.CNN(config)
    model.load_state(start)
    gradient = package.Learner(model, package.SGD(model)).gradients((x, y))[1]
    model.freeze("convs.1", "layers.0.bias")
    mask = {name: 0.0 if name in ("convs.1.weight", "convs.1.bias", "layers.0.bias") else 1.0 for name in start}
    assert {name for name, m in mask.items() if not m} == set(model.frozen)
    package.Learner(model, package.SGD(model)).step((x, y), lr)
    for name, w in model.state().items():
        assert_same(name, w, start[name] - lr * mask[name] * gradient[name], rtol=1e-6)


@pytest.mark.equation("eq-linear-probe")
def test_linear_probe(rng):
    phi, y, W, b = draw(rng)
    config = MLPConfig(D, hidden=(), outputs=V)
    model = MLP(config)
    model.load_state({"layers.0.weight": W, "layers.0.bias": b})
    whole = f.cross_entropy(model(phi)[0], y)[0]
    lines = [
        np.array(loss(phi, y, W, b)),
        np.array(sum(np.log(np.exp(W @ p + b).sum()) - (W @ p + b)[k] for p, k in zip(phi, y, strict=True)) / N),
    ]
    assert_lines_agree([*lines, np.array(whole)], rtol=1e-12)
    # transfer.probe minimises this: no loss nearby is smaller by more than training leaves
    learner = transfer.probe(phi.astype(np.float32), y, V, lr=0.3, steps=400)
    state = {name: array.astype(float) for name, array in learner.model.state().items()}
    found = loss(phi, y, state["layers.0.weight"], state["layers.0.bias"])
    assert found < loss(phi, y, np.zeros((V, D)), np.zeros(V)) / 4


@pytest.mark.equation("eq-linear-probe-vjp")
def test_gradient_of_the_probe(rng):
    phi, y, W, b = draw(rng)
    P, Y = probabilities(phi, W, b), np.eye(V)[y]
    dz = (P - Y) / N
    by_sum = sum(np.outer(dz[n], phi[n]) for n in range(N))
    learner = Learner(*_head(W, b))
    value, gradients = learner.gradients((phi, y))
    assert_same("loss", value, loss(phi, y, W, b), rtol=1e-12)
    lines = [numerical_gradient(lambda W: loss(phi, y, W, b), W), by_sum, (P - Y).T @ phi / N, gradients["layers.0.weight"]]
    assert_lines_agree(lines, rtol=1e-7)
    lines = [numerical_gradient(lambda b: loss(phi, y, W, b), b), sum(P[n] - Y[n] for n in range(N)) / N, gradients["layers.0.bias"]]
    assert_lines_agree(lines, rtol=1e-7)


def _head(W, b):
    model = MLP(MLPConfig(D, hidden=(), outputs=V))
    model.load_state({"layers.0.weight": W, "layers.0.bias": b})
    return model, SGD(model)


@pytest.mark.equation("eq-probe-curvature", formula_only=True)
def test_the_probe_is_convex(rng):
    phi, y, W, b = draw(rng)
    A, a = rng.normal(size=(V, D)), rng.normal(size=V)
    along = lambda t: loss(phi, y, W + t * A, b + t * a)  # noqa: E731
    slope = lambda t: (along(t + 1e-5) - along(t - 1e-5)) / 2e-5  # noqa: E731
    P, S = probabilities(phi, W, b), phi @ A.T + a
    first = sum(sum(P[n, i] * S[n, i] for i in range(V)) - S[n, y[n]] for n in range(N)) / N
    assert_same("first derivative", slope(0.0), first, rtol=1e-8)
    dP = P * (S - (P * S).sum(axis=1, keepdims=True))
    step = 1e-6
    numeric = (probabilities(phi, W + step * A, b + step * a) - probabilities(phi, W - step * A, b - step * a)) / (2 * step)
    assert_same("derivative of p", dP, numeric, rtol=1e-8)
    variance = sum((P[n] * S[n] ** 2).sum() - (P[n] * S[n]).sum() ** 2 for n in range(N)) / N
    centred = sum((P[n] * (S[n] - (P[n] * S[n]).sum()) ** 2).sum() for n in range(N)) / N
    second = (along(1e-3) - 2 * along(0.0) + along(-1e-3)) / 1e-6
    assert_lines_agree([np.array(second), (dP * S).sum() / N, variance, centred], rtol=1e-5)
    assert centred >= 0


@pytest.mark.equation("eq-head-gradient")
def test_what_reaches_the_features(rng):
    phi, y, W, b = draw(rng)
    P, Y = probabilities(phi, W, b), np.eye(V)[y]
    (z, linear_back), (_, loss_back) = f.linear(phi, W, b), f.cross_entropy(phi @ W.T + b, y)
    by_sum = np.stack([sum(W[i] * (P[n, i] - Y[n, i]) for i in range(V)) / N for n in range(N)])
    lines = [numerical_gradient(lambda phi: loss(phi, y, W, b), phi), by_sum, (P - Y) @ W / N, linear_back(loss_back())[0]]
    assert_same("logits", z, phi @ W.T + b, rtol=1e-12)
    assert_lines_agree(lines, rtol=1e-7)
    nothing = f.linear(phi, 0 * W, 0 * b)[1](f.cross_entropy(0 * z, y)[1]())[0]
    assert not nothing.any(), "a head of zeros sends nothing back"


@pytest.mark.equation("eq-random-head", formula_only=True)
def test_a_random_head_sends_the_whole_error_back(rng):
    """Exactly, over all signs: weights of +s or -s have mean 0 and variance s^2."""
    e, s, d = rng.normal(size=3), 0.7, 2
    signs = np.array([np.reshape([1 if k >> i & 1 else -1 for i in range(6)], (3, d)) for k in range(2**6)]) * s
    exact = np.mean([((W.T @ e) ** 2).sum() for W in signs])
    by_entry = sum(s**2 * sum(e[i] ** 2 for i in range(3)) for _ in range(d))
    assert_lines_agree([np.array(exact), np.array(by_entry), np.array(s**2 * d * (e @ e))], rtol=1e-12)
    normal = np.mean([((rng.normal(0, s, size=(3, d)).T @ e) ** 2).sum() for _ in range(20000)])
    assert abs(normal / exact - 1) < 0.05, "normal weights, up to what chance leaves"


@pytest.mark.equation("eq-uniform-error", formula_only=True)
def test_the_error_of_equal_probabilities():
    for classes in (2, 5, 10):
        e = np.full(classes, 1 / classes)
        e[1] -= 1
        lines = [(e**2).sum(), (1 - 1 / classes) ** 2 + (classes - 1) / classes**2, 1 - 1 / classes]
        assert_lines_agree([np.array(line) for line in lines], rtol=1e-12)


@pytest.mark.equation("eq-forgetting", formula_only=True)
def test_forgetting_grows_with_the_square_of_the_distance(rng):
    """At the minimum of an old loss (a probe with a penalty) the gradient is zero, and what is left is the Hessian."""
    phi, y, W, _ = draw(rng)
    old = lambda w: loss(phi, y, w.reshape(V, D), np.zeros(V)) + 0.05 * w @ w  # noqa: E731

    def slope(w):
        return ((probabilities(phi, w.reshape(V, D), np.zeros(V)) - np.eye(V)[y]).T @ phi / N).ravel() + 0.1 * w

    def hessian(w):
        P = probabilities(phi, w.reshape(V, D), np.zeros(V))
        parts = [np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x)) for p, x in zip(P, phi, strict=True)]
        return sum(parts) / N + 0.1 * np.eye(V * D)

    w = 0 * W.ravel()
    for _ in range(30):  # Newton
        w = w - np.linalg.solve(hessian(w), slope(w))
    assert np.abs(slope(w)).max() < 1e-12
    H, direction = hessian(w), rng.normal(size=w.size)
    direction /= np.linalg.norm(direction)
    rest = []
    for size in (0.1, 0.05):
        delta = size * direction
        change, quadratic = old(w + delta) - old(w), delta @ H @ delta / 2
        rest.append(abs(change - quadratic))
        assert abs(change / quadratic - 1) < size, f"at distance {size}"
        assert change <= 1.01 * np.linalg.eigvalsh(H)[-1] * size**2 / 2
    delta = 1e-3 * direction  # there and back: the third order cancels
    assert_same("the square", (old(w + delta) + old(w - delta)) / 2 - old(w), delta @ H @ delta / 2, rtol=1e-5)
    assert rest[0] / rest[1] > 6, "what the square leaves is of third order: 8 times less at half the distance"


@pytest.mark.equation("eq-l2-sp")
def test_l2_sp(rng):
    w, w0, alpha = rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), 0.4
    omega = lambda w: alpha / 2 * sum((w[i] - w0[i]) ** 2 for i in np.ndindex(w.shape))  # noqa: E731
    assert_lines_agree([numerical_gradient(omega, w), alpha * (w - w0)], rtol=1e-8)
    g = rng.normal(size=w.shape)
    step = w - 0.1 * (g + numerical_gradient(omega, w))
    assert_same("the step of the exercise", check.l2_sp_step.reference(w, w0, g, alpha, 0.1), step, rtol=1e-8)
    # with w0 = 0 it is the package's weight decay of SGD
    model, optimizer = _sgd_with_decay(w, alpha)
    optimizer.step(0.1)
    assert_same("weight decay", model.state()["layers.0.weight"], w - 0.1 * alpha * w, rtol=1e-12)


def _sgd_with_decay(w, alpha):
    model = MLP(MLPConfig(w.shape[1], hidden=(), outputs=len(w)))
    model.load_state({"layers.0.weight": w, "layers.0.bias": np.zeros(len(w))})
    return model, SGD(model, weight_decay=alpha)


@pytest.mark.equation("eq-l2-sp-minimum", formula_only=True)
def test_minimum_of_l2_sp(rng):
    Q, _ = np.linalg.qr(rng.normal(size=(D, D)))
    curvature, alpha, target, w0 = rng.random(D) * 3, 0.5, rng.normal(size=D), rng.normal(size=D)
    H = Q @ np.diag(curvature) @ Q.T
    solved = np.linalg.solve(H + alpha * np.eye(D), H @ target + alpha * w0)
    along = (curvature * (Q.T @ target) + alpha * (Q.T @ w0)) / (curvature + alpha)
    w = w0.copy()
    for _ in range(5000):
        w -= 0.1 * (H @ (w - target) + alpha * (w - w0))
    assert_lines_agree([w, solved, Q @ along], rtol=1e-9)


@pytest.mark.equation("eq-statistics-drift", formula_only=True)
def test_running_statistics_drift(rng):
    start, steps, momentum = rng.normal(size=3), 30, 0.1
    x = rng.normal(size=(8, 3)) + 2
    running, variance = start.copy(), np.ones(3)
    by_step = start.copy()
    for _ in range(steps):
        f.batch_norm(x, np.ones(3), np.zeros(3), running, variance, True, momentum)
        by_step = (1 - momentum) * by_step + momentum * x.mean(axis=0)
    kept = (1 - momentum) ** steps
    assert_lines_agree([running, by_step, kept * start + (1 - kept) * x.mean(axis=0)], rtol=1e-12)
