"""Layers in a row, back-propagation, the start, finite differences, and what one hidden layer can express."""

import numpy as np
import pytest

from dlcourse.check import compare
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, numerical_gradient

CONFIG = MLPConfig(inputs=3, hidden=(5, 4), outputs=2, activation="tanh")


@pytest.fixture
def network(rng):
    model = MLP(CONFIG)
    state = {name: rng.normal(size=array.shape) for name, array in initial_state(CONFIG, 0, np.float64).items()}
    model.load_state(state)
    return model, state


def forward(state, x):
    """The recursion as printed: Z_l = H_(l-1) W_l^T + b_l, H_l = phi(Z_l); all Z and H."""
    h, z, layers = [x], [], len(state) // 2
    for layer in range(layers):
        z.append(h[-1] @ state[f"layers.{layer}.weight"].T + state[f"layers.{layer}.bias"])
        h.append(np.tanh(z[-1]))
    return z, h[:-1]


@pytest.mark.equation("eq-mlp")
def test_forward(network, rng):
    model, state = network
    x = rng.normal(size=(6, 3))
    assert_same("logits", model(x)[0], forward(state, x)[0][-1], rtol=1e-14)


@pytest.mark.equation("eq-parameter-count")
@pytest.mark.parametrize("hidden", [(), (7,), (128, 64), (5, 4, 3)])
def test_parameter_count(hidden):
    config = MLPConfig(inputs=6, hidden=hidden, outputs=4)
    s = config.sizes
    printed = sum((s[i - 1] + 1) * s[i] for i in range(1, len(s)))
    assert_same("parameters", sum(a.size for a in MLP(config).state().values()), printed, rtol=0)


@pytest.mark.equation("eq-backprop")
def test_back_propagation(network, rng):
    model, state = network
    x, dlogits = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    model(x)[1](dlogits)
    z, h = forward(state, x)
    dz = dlogits
    for layer in (2, 1, 0):
        w, b = f"layers.{layer}.weight", f"layers.{layer}.bias"
        printed = {w: dz.T @ h[layer], b: dz.sum(axis=0)}
        for name, gradient in printed.items():

            def loss(value, name=name):
                return (dlogits * forward(state | {name: value}, x)[0][-1]).sum()

            assert_lines_agree([numerical_gradient(loss, state[name]), gradient], rtol=1e-8)
            assert_same(name, model.gradients()[name], gradient, rtol=1e-13)
        if layer:
            dh = dz @ state[w]
            dz = dh * (1 - np.tanh(z[layer - 1]) ** 2)


@pytest.mark.equation("eq-initial-variance")
def test_initial_variance(rng):
    inputs, outputs = 500, 400
    for activation, gain in (("relu", 2), ("tanh", 1)):
        w = initial_state(MLPConfig(inputs=inputs, hidden=(outputs,), activation=activation), 0, np.float64)["layers.0.weight"]
        assert abs(w.var() * inputs / gain - 1) < 5 * np.sqrt(2 / w.size)  # 5 standard errors of a variance of normal numbers
        assert abs(w.mean()) < 5 * w.std() / np.sqrt(w.size)
    # Var(z) = I Var(w) E[x^2], exactly, for weights of a known distribution: +a and -a with equal chance, averaged over all of them.
    x, a = rng.normal(size=8), 0.3
    signs = np.array(np.meshgrid(*[[-a, a]] * 8)).reshape(8, -1)
    assert_lines_agree([(x @ signs).var(), 8 * a**2 * np.mean(x**2)], rtol=1e-13)
    # E[relu(z)^2] = Var(z) / 2 for z symmetric around zero.
    z = np.append(x, -x)
    assert_lines_agree([np.mean(f.relu(z)[0] ** 2), z.var() / 2], rtol=1e-13)
    # So gain / I with gain 2 keeps the mean square: I (2 / I) (Var(z') / 2) = Var(z').
    assert_lines_agree([inputs * (2 / inputs) * np.mean(f.relu(z)[0] ** 2), z.var()], rtol=1e-13)


@pytest.mark.equation("eq-central-difference")
def test_central_difference():
    # exp is its own derivative: the quotient minus the terms as printed leaves h^4 / 120.
    x, h = 0.7, 1e-2
    quotient = (np.exp(x + h) - np.exp(x - h)) / (2 * h)
    printed = np.exp(x) + h**2 / 6 * np.exp(x)
    assert_same("two terms", quotient, printed, rtol=1e-10)
    assert abs(quotient / np.exp(x) - 1) > 1e-5  # the second term is needed
    point = np.array([0.7, -0.2])
    assert_same("implementation", compare.numerical_gradient(lambda x: np.exp(x).sum(), point), np.exp(point), rtol=1e-8)


@pytest.mark.equation("eq-relu-interpolant", formula_only=True)
def test_relu_interpolant(rng):
    cuts = np.sort(rng.uniform(0, 3, size=7))
    values = np.sin(cuts)
    slopes = np.concatenate([[0.0], np.diff(values) / np.diff(cuts)])  # m_0 = 0, m_k of piece k
    x = np.linspace(cuts[0], cuts[-1], 50)
    network = values[0] + sum((slopes[k + 1] - slopes[k]) * f.relu(x - cuts[k])[0] for k in range(len(cuts) - 1))
    assert_lines_agree([network, np.interp(x, cuts, values)], rtol=1e-13)
    width = np.diff(cuts).max()
    assert np.abs(network - np.sin(x)).max() <= width**2 / 8  # |sin''| <= 1
