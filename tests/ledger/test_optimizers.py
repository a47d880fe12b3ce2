"""The optimizers' updates as printed, in float64, against the package: several steps with changing gradients."""

import numpy as np
import pytest

from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP, SGD, Adam, AdamW, clip_gradients
from tests.equations import assert_lines_agree, assert_same

LR, STEPS = 0.1, 5


@pytest.fixture
def model():
    config = MLPConfig(inputs=3, hidden=(4,), outputs=2)
    model = MLP(config)
    model.load_state(initial_state(config, 0, np.float64))
    return model


def walk(model, optimizer, rng, update):
    """Take the same steps by the package and by `update(name, w, g, t)`, and compare every parameter after each."""
    expected = model.state()
    for t in range(1, STEPS + 1):
        gradients = {name: rng.normal(size=array.shape) for name, array in expected.items()}
        for name, parameter in model.named_parameters():
            parameter.grad[...] = gradients[name]
        optimizer.step(LR)
        for name, w in expected.items():
            expected[name] = update(name, w, gradients[name], t)
            assert_same(f"{name} after step {t}", model.state()[name], expected[name], rtol=1e-13)


@pytest.mark.equation("eq-sgd")
def test_sgd(model, rng):
    walk(model, SGD(model), rng, lambda name, w, g, t: w - LR * g)


@pytest.mark.equation("eq-momentum")
def test_momentum(model, rng):
    mu, v = 0.9, {}

    def update(name, w, g, t):
        v[name] = mu * v.get(name, 0) + g
        return w - LR * v[name]

    walk(model, SGD(model, momentum=mu), rng, update)
    # Under a constant gradient v tends to g / (1 - mu), ten times g.
    velocity = 0.0
    for _ in range(400):
        velocity = mu * velocity + 1.0
    assert_lines_agree([velocity, 1 / (1 - mu), 10.0], rtol=1e-14)


def adam(beta1, beta2, eps, decay=0.0):
    m, v = {}, {}

    def update(name, w, g, t):
        m[name] = beta1 * m.get(name, 0) + (1 - beta1) * g
        v[name] = beta2 * v.get(name, 0) + (1 - beta2) * g**2
        m_hat, v_hat = m[name] / (1 - beta1**t), v[name] / (1 - beta2**t)
        shrink = 1 - LR * decay if w.ndim >= 2 else 1.0  # biases do not decay
        return shrink * w - LR * m_hat / (np.sqrt(v_hat) + eps)

    return update


@pytest.mark.equation("eq-adam")
def test_adam(model, rng):
    walk(model, Adam(model, betas=(0.8, 0.95), eps=0.01), rng, adam(0.8, 0.95, 0.01))
    # m = (1 - beta1) g sum beta1^k = (1 - beta1^t) g after t steps with one gradient.
    beta, g, t, m = 0.9, 1.7, 6, 0.0
    for _ in range(t):
        m = beta * m + (1 - beta) * g
    assert_lines_agree([m, (1 - beta) * g * sum(beta**k for k in range(t)), (1 - beta**t) * g], rtol=1e-13)


@pytest.mark.equation("eq-adamw")
def test_adamw(model, rng):
    walk(model, AdamW(model, betas=(0.8, 0.95), eps=0.01, weight_decay=0.3), rng, adam(0.8, 0.95, 0.01, decay=0.3))


@pytest.mark.equation("eq-clip")
@pytest.mark.parametrize("c", [0.5, 100.0])
def test_clip(model, rng, c):
    gradients = {name: rng.normal(size=array.shape) for name, array in model.state().items()}
    for name, parameter in model.named_parameters():
        parameter.grad[...] = gradients[name]
    norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
    assert_same("norm", clip_gradients(model, c), norm, rtol=1e-14)
    for name, g in gradients.items():
        assert_same(name, model.gradients()[name], g * min(1, c / norm), rtol=1e-14)


@pytest.mark.equation("eq-clip")
def test_clip_is_the_nearest_point_and_moves_the_mean(rng):
    c, g = 1.5, rng.normal(size=(40, 3)) * 2
    clipped = g * np.minimum(1, c / np.linalg.norm(g, axis=1, keepdims=True))
    ball = rng.normal(size=(2000, 3))
    ball *= c * rng.uniform(size=(2000, 1)) ** (1 / 3) / np.linalg.norm(ball, axis=1, keepdims=True)
    distances = np.linalg.norm(g[:, None] - ball, axis=2)
    moved = np.linalg.norm(g - clipped, axis=1)
    assert_same("distance", moved, np.maximum(np.linalg.norm(g, axis=1) - c, 0), rtol=1e-12)
    assert np.all(moved <= distances.min(axis=1) + 1e-12), "no point of the ball is nearer"
    mean = g.mean(axis=0)
    assert np.linalg.norm(clipped.mean(axis=0) - mean * min(1, c / np.linalg.norm(mean))) > 0.01
