"""The equations of the chapter on recurrent networks, line by line."""

import numpy as np
import pytest

from dlcourse.config import RNNConfig
from dlcourse.numpy import functional as f
from dlcourse.numpy import recurrent, rnn
from tests.equations import assert_lines_agree, assert_same, numerical_gradient, numerical_jacobian

B, T, I, H = 2, 5, 3, 4  # noqa: E741  (the letters of the book)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def weights(rng, gates):
    """W_ih (G H, I), W_hh (G H, H), b (G H)."""
    return rng.normal(size=(gates * H, I)), rng.normal(size=(gates * H, H)), rng.normal(size=gates * H)


def with_gradients(cell, arguments, upstream):
    """Numerical gradients of <upstream, outputs> for every argument; outputs are one array or a tuple."""

    def value(i, array):
        out = cell(*arguments[:i], array, *arguments[i + 1 :])
        out = out if isinstance(out, tuple) else (out,)
        return float(sum((u * o).sum() for u, o in zip(upstream, out, strict=True)))

    return [numerical_gradient(lambda array, i=i: value(i, array), argument) for i, argument in enumerate(arguments)]


@pytest.mark.equation("eq-embedding")
def test_embedding(rng):
    tokens, table = rng.integers(0, 6, size=(3, 4)), rng.normal(size=(6, 2))
    lines = [np.eye(6)[tokens] @ table, np.array([[table[v] for v in row] for row in tokens])]  # one-hot rows; rows of E
    assert_lines_agree([*lines, f.embedding(tokens, table)[0]], rtol=1e-15)


@pytest.mark.equation("eq-embedding-vjp")
def test_embedding_vjp(rng):
    tokens, table, dy = rng.integers(0, 4, size=(3, 5)), rng.normal(size=(6, 2)), rng.normal(size=(3, 5, 2))
    printed = np.array([sum((dy[b, t] for b, t in np.argwhere(tokens == v)), np.zeros(2)) for v in range(6)])
    lines = [
        numerical_gradient(lambda e: float((dy * e[tokens]).sum()), table),
        np.einsum("btv,btc->vc", np.eye(6)[tokens], dy),  # the linear layer's gradient on one-hot rows
        printed,
        f.embedding(tokens, table)[1](dy),
    ]
    assert_lines_agree(lines, rtol=1e-7)
    assert_same("implementation", lines[-1], printed, rtol=1e-12)


@pytest.mark.equation("eq-rnn-cell")
def test_rnn_cell(rng):
    x, h, (u, w, b) = rng.normal(size=(B, I)), rng.normal(size=(B, H)), weights(rng, 1)
    a = np.array(
        [[sum(u[j, k] * x[n, k] for k in range(I)) + sum(w[j, k] * h[n, k] for k in range(H)) + b[j] for j in range(H)] for n in range(B)]
    )
    assert_lines_agree([np.tanh(a), np.tanh(x @ u.T + h @ w.T + b), recurrent.rnn_cell(x, h, u, w, b)[0]], rtol=1e-13)


@pytest.mark.equation("eq-rnn-cell-vjp")
def test_rnn_cell_vjp(rng):
    x, h, (u, w, b) = rng.normal(size=(B, I)), rng.normal(size=(B, H)), weights(rng, 1)
    dh_new = rng.normal(size=(B, H))
    h_new, backward = recurrent.rnn_cell(x, h, u, w, b)
    da = dh_new * (1 - h_new * h_new)
    printed = [da @ u, da @ w, da.T @ x, da.T @ h, da.sum(axis=0)]
    numeric = with_gradients(lambda *p: recurrent.rnn_cell(*p)[0], [x, h, u, w, b], [dh_new])
    for line, gradient, ours in zip(printed, numeric, backward(dh_new), strict=True):
        assert_lines_agree([gradient, line], rtol=1e-7)
        assert_same("implementation", ours, line, rtol=1e-12)


def elman_states(x, u, copies, b):
    """All states where step t has the copy W_hh^(t)."""
    states = [np.zeros((len(x), H))]
    for t, w in enumerate(copies):
        states.append(np.tanh(x[:, t] @ u.T + states[-1] @ w.T + b))
    return np.stack(states, axis=1)


def layer_of(u, w, b):
    layer = recurrent.Elman(I, H)
    layer.load_state({"weight_ih": u, "weight_hh": w, "bias": b})
    return layer


@pytest.mark.equation("eq-bptt")
def test_back_propagation_through_time(rng):
    """L = sum of delta_t h_t, so that delta_t is the gradient of a step's own loss."""
    x, (u, w, b), delta = rng.normal(size=(B, T, I)), weights(rng, 1), rng.normal(size=(B, T, H))

    def loss(copies, x=x, u=u, b=b):
        return float((delta * elman_states(x, u, copies, b)[:, 1:]).sum())

    h = elman_states(x, u, [w] * T, b)
    da, behind = np.zeros((B, T, H)), np.zeros((B, H))
    for t in reversed(range(T)):
        behind = da[:, t] = (delta[:, t] + behind @ w) * (1 - h[:, t + 1] * h[:, t + 1])
    copies = [numerical_gradient(lambda c, t=t: loss([w] * t + [c] + [w] * (T - t - 1)), w) for t in range(T)]
    for t in range(T):  # the gradient of one copy
        assert_same(f"copy {t}", copies[t], da[:, t].T @ h[:, t], rtol=1e-7)
    printed = sum(da[:, t].T @ h[:, t] for t in range(T))
    assert_lines_agree([numerical_gradient(lambda c: loss([c] * T), w), sum(copies), printed], rtol=1e-7)
    others = {
        "weight_ih": (sum(da[:, t].T @ x[:, t] for t in range(T)), numerical_gradient(lambda c: loss([w] * T, u=c), u)),
        "bias": (sum(da[:, t].sum(axis=0) for t in range(T)), numerical_gradient(lambda c: loss([w] * T, b=c), b)),
    }
    layer = layer_of(u, w, b)
    _, backward = layer(x)
    dx, _ = backward(delta)
    assert_lines_agree([numerical_gradient(lambda c: loss([w] * T, x=c), x), da @ u, dx], rtol=1e-7)
    gradients = layer.gradients()
    assert_same("implementation", gradients["weight_hh"], printed, rtol=1e-12)
    for name, (line, numeric) in others.items():
        assert_lines_agree([numeric, line, gradients[name]], rtol=1e-7)


CELLS = {"Elman": recurrent.rnn_cell, "LSTM": recurrent.lstm_cell, "GRU": recurrent.gru_cell}


@pytest.mark.equation("eq-bptt-cell")
@pytest.mark.parametrize("kind", CELLS)
def test_back_propagation_through_time_of_any_cell(kind, rng):
    """One step's way back from the last to the first, the layer, and differences: the inputs, every weight, and the state before the first.

    The last state is used too, so that its gradient stands where the formula begins with zero."""
    layer, cell = getattr(recurrent, kind)(I, H), CELLS[kind]
    layer.load_state({name: rng.normal(size=array.shape) for name, array in layer.state().items()})
    names, arrays = 2 if kind == "LSTM" else 1, layer.state()
    weights = [arrays[name] for name in ("weight_ih", "weight_hh", "bias", "bias_hh") if name in arrays]
    x, delta = rng.normal(size=(B, T, I)), rng.normal(size=(B, T, H))
    start, last = (tuple(rng.normal(size=(B, H)) for _ in range(names)) for _ in range(2))

    def steps(x, start, weights):
        """All states, and the way back of every step."""
        states, backs = [start], []
        for t in range(T):
            state, back = cell(x[:, t], *states[-1], *weights)
            states.append(state if names == 2 else (state,))
            backs.append(back)
        return states, backs

    def loss(x, start, weights):
        states, _ = steps(x, start, weights)
        own = sum((delta[:, t] * states[t + 1][0]).sum() for t in range(T))
        return float(own + sum((d * s).sum() for d, s in zip(last, states[-1], strict=True)))

    _, backs = steps(x, start, weights)
    behind, dx, dweights = last, np.empty_like(x), [np.zeros_like(w) for w in weights]
    for t in reversed(range(T)):
        ds = (delta[:, t] + behind[0], *behind[1:])  # delta has no part for c
        dx[:, t], *rest = backs[t](*ds)
        behind, shares = tuple(rest[:names]), rest[names:]
        dweights = [total + share for total, share in zip(dweights, shares, strict=True)]
    assert_lines_agree([numerical_gradient(lambda a: loss(a, start, weights), x), dx], rtol=1e-6)
    for i in range(names):
        changed = lambda a, i=i: loss(x, (*start[:i], a, *start[i + 1 :]), weights)  # noqa: E731
        assert_lines_agree([numerical_gradient(changed, start[i]), behind[i]], rtol=1e-6)
    for i, weight in enumerate(weights):
        changed = lambda a, i=i: loss(x, start, [*weights[:i], a, *weights[i + 1 :]])  # noqa: E731
        assert_lines_agree([numerical_gradient(changed, weight), dweights[i]], rtol=1e-6)
    packed = lambda state: state if names == 2 else state[0]  # noqa: E731
    _, backward = layer(x, packed(start))
    found_dx, found_start = backward(delta, packed(last))
    assert_same("dx of the layer", found_dx, dx, rtol=1e-10)
    for found, line in zip(found_start if names == 2 else [found_start], behind, strict=True):
        assert_same("ds_0 of the layer", found, line, rtol=1e-10)
    for name, line in zip(("weight_ih", "weight_hh", "bias", "bias_hh"), dweights, strict=False):
        assert_same(f"{name} of the layer", layer.gradients()[name], line, rtol=1e-10)


@pytest.mark.equation("eq-jacobian-product", formula_only=True)
def test_product_of_jacobians(rng):
    x, (u, w, b), delta = 0.3 * rng.normal(size=(1, T, I)), weights(rng, 1), rng.normal(size=H)
    b, k = 0.1 * b, 2  # away from the ends of the tanh, where nothing is left to compare

    def rest(start):  # from h_k to h_T
        return layer_of(u, w, b)(x[:, k:], start[None])[0][1][0]

    (y, _), _ = layer_of(u, w, b)(x)
    states = y[0]
    product = np.eye(H)
    for t in range(T, k, -1):  # the factor of t = T first
        product = product @ np.diag(1 - states[t - 1] ** 2) @ w
    layer = layer_of(u, w, b)
    _, backward = layer(x[:, k:], states[k - 1][None])
    _, dstart = backward(np.zeros((1, T - k, H)), delta[None])
    assert_lines_agree([numerical_jacobian(rest, states[k - 1]), product], rtol=1e-7)
    assert_lines_agree([delta @ numerical_jacobian(rest, states[k - 1]), delta @ product, dstart[0]], rtol=1e-7)


@pytest.mark.equation("eq-gradient-bound", formula_only=True)
def test_bound_of_the_gradient(rng):
    """The norm is at most the bound, factor by factor; with slopes of one and a rotation the two are equal."""
    x, (u, w, b), delta = rng.normal(size=(1, T, I)), weights(rng, 1), rng.normal(size=H)
    (y, _), _ = layer_of(u, w, b)(x)
    gamma, largest, gradient = (1 - y**2).max(), np.linalg.norm(w, 2), delta
    for t in range(T, 0, -1):
        bound = np.linalg.norm(gradient) * gamma * largest
        gradient = gradient * (1 - y[0, t - 1] ** 2) @ w
        assert np.linalg.norm(gradient) <= bound
    assert np.linalg.norm(gradient) <= np.linalg.norm(delta) * (gamma * largest) ** T and gamma <= 1
    rotation = np.linalg.qr(w)[0]
    turned = delta @ np.linalg.matrix_power(rotation, T)
    assert_same("a rotation keeps the norm", np.linalg.norm(turned), np.linalg.norm(delta) * np.linalg.norm(rotation, 2) ** T, rtol=1e-12)


@pytest.mark.equation("eq-spectral-radius", formula_only=True)
def test_powers_grow_by_the_spectral_radius(rng):
    """At the powers 2^n the root approaches the largest |eigenvalue|; and S Lambda^k S^-1 is the power."""
    w = rng.normal(size=(6, 6)) / 6**0.5
    values, s = np.linalg.eig(w)
    power = np.linalg.matrix_power(w, 7)
    assert_same("by eigenvalues", (s @ np.diag(values**7) @ np.linalg.inv(s)).real, power, rtol=1e-10)
    radius = np.abs(values).max()
    scaled, errors = w / radius, []
    for k in (10, 100, 1000, 10000):
        errors.append(abs(radius * np.linalg.norm(np.linalg.matrix_power(scaled, k), 2) ** (1 / k) - radius) / radius)
    assert errors == sorted(errors, reverse=True) and errors[-1] < 1e-3


@pytest.mark.equation("eq-truncated-bptt", formula_only=True)
def test_truncated(rng):
    """Windows of k = 2 in T = 5 steps: the recursion with its bracket, a layer run window by window, and exact gradients with the state held fixed."""
    x, (u, w, b), delta, k = rng.normal(size=(B, T, I)), weights(rng, 1), rng.normal(size=(B, T, H)), 2
    h = elman_states(x, u, [w] * T, b)
    da, behind = np.zeros((B, T, H)), np.zeros((B, H))
    for t in range(T, 0, -1):
        behind = da[:, t - 1] = (delta[:, t - 1] + (t % k != 0) * behind @ w) * (1 - h[:, t] * h[:, t])
    printed = sum(da[:, t].T @ h[:, t] for t in range(T))
    layer, state, numeric = layer_of(u, w, b), None, np.zeros((H, H))
    for start in range(0, T, k):
        part = slice(start, start + k)
        given = h[:, start]
        (_, state), backward = layer(x[:, part], state)
        backward(delta[:, part])
        numeric += numerical_gradient(
            lambda c, part=part, given=given: float((delta[:, part] * layer_of(u, c, b)(x[:, part], given)[0][0]).sum()), w
        )
    assert_lines_agree([numeric, printed, layer.gradients()["weight_hh"]], rtol=1e-7)


def lstm_formula(x, h, c, u, w, b):
    i, f_, g, o = np.split(x @ u.T + h @ w.T + b, 4, axis=1)
    i, f_, g, o = sigmoid(i), sigmoid(f_), np.tanh(g), sigmoid(o)
    c_new = f_ * c + i * g
    return o * np.tanh(c_new), c_new, (i, f_, g, o)


@pytest.mark.equation("eq-lstm-cell")
def test_lstm_cell(rng):
    x, h, c, (u, w, b) = rng.normal(size=(B, I)), rng.normal(size=(B, H)), rng.normal(size=(B, H)), weights(rng, 4)
    h_new, c_new, _ = lstm_formula(x, h, c, u, w, b)
    blocks = [slice(k * H, (k + 1) * H) for k in range(4)]  # gate by gate
    i, f_, g, o = (act(x @ u[k].T + h @ w[k].T + b[k]) for act, k in zip((sigmoid, sigmoid, np.tanh, sigmoid), blocks, strict=True))
    ours, _ = recurrent.lstm_cell(x, h, c, u, w, b)
    assert_lines_agree([f_ * c + i * g, c_new, ours[1]], rtol=1e-13)
    assert_lines_agree([o * np.tanh(f_ * c + i * g), h_new, ours[0]], rtol=1e-13)


@pytest.mark.equation("eq-lstm-cell-vjp")
def test_lstm_cell_vjp(rng):
    x, h, c, (u, w, b) = rng.normal(size=(B, I)), rng.normal(size=(B, H)), rng.normal(size=(B, H)), weights(rng, 4)
    dh_new, dc_new = rng.normal(size=(2, B, H))
    _, c_next, (i, f_, g, o) = lstm_formula(x, h, c, u, w, b)
    t = np.tanh(c_next)
    do, dc_all = dh_new * t, dc_new + dh_new * o * (1 - t**2)
    di, df, dg, dc = dc_all * g, dc_all * c, dc_all * i, dc_all * f_
    da = np.concatenate([di * i * (1 - i), df * f_ * (1 - f_), dg * (1 - g**2), do * o * (1 - o)], axis=1)
    printed = [da @ u, da @ w, dc, da.T @ x, da.T @ h, da.sum(axis=0)]
    numeric = with_gradients(lambda *p: lstm_formula(*p)[:2], [x, h, c, u, w, b], [dh_new, dc_new])
    first = with_gradients(lambda o, c: (o * np.tanh(c), c), [o, c_next], [dh_new, dc_new])  # the first line of the derivation alone
    for line, gradient in zip((do, dc_all), first, strict=True):
        assert_lines_agree([gradient, line], rtol=1e-7)
    ours = recurrent.lstm_cell(x, h, c, u, w, b)[1](dh_new, dc_new)
    for line, gradient, mine in zip(printed, numeric, ours, strict=True):
        assert_lines_agree([gradient, line], rtol=1e-7)
        assert_same("implementation", mine, line, rtol=1e-12)


@pytest.mark.equation("eq-lstm-path", formula_only=True)
def test_path_of_the_cell(rng):
    """With W_hh = 0 the gates do not depend on the states, and the path of the cells is the only one."""
    u, _, b = weights(rng, 4)
    x, c = rng.normal(size=(1, T, I)), rng.normal(size=H)
    layer = recurrent.LSTM(I, H)
    layer.load_state({"weight_ih": u, "weight_hh": np.zeros((4 * H, H)), "bias": b})
    gates = sigmoid(x[0] @ u.T + b)[:, H : 2 * H]  # f_1 ... f_T

    def run(start):
        return layer(x, (np.zeros((1, H)), start[None]))[0][1][1][0]

    _, backward = layer(x, (np.zeros((1, H)), c[None]))
    through = [backward(np.zeros((1, T, H)), (np.zeros((1, H)), row[None]))[1][1][0] for row in np.eye(H)]
    assert_lines_agree([numerical_jacobian(run, c), np.diag(gates.prod(axis=0)), np.stack(through)], rtol=1e-7)


def gru_formula(x, h, u, w, b, b_hn):
    (u_r, u_z, u_n), (w_r, w_z, w_n), (b_r, b_z, b_n) = (np.split(p, 3) for p in (u, w, b))
    r, z = sigmoid(x @ u_r.T + h @ w_r.T + b_r), sigmoid(x @ u_z.T + h @ w_z.T + b_z)
    q = h @ w_n.T + b_hn
    n = np.tanh(x @ u_n.T + b_n + r * q)
    return (1 - z) * n + z * h, (r, z, q, n)


@pytest.mark.equation("eq-gru-cell")
def test_gru_cell(rng):
    x, h, (u, w, b), b_hn = rng.normal(size=(B, I)), rng.normal(size=(B, H)), weights(rng, 3), rng.normal(size=H)
    h_new, (_, z, _, n) = gru_formula(x, h, u, w, b, b_hn)
    assert_lines_agree([h_new, n + z * (h - n), recurrent.gru_cell(x, h, u, w, b, b_hn)[0]], rtol=1e-13)


@pytest.mark.equation("eq-gru-cell-vjp")
def test_gru_cell_vjp(rng):
    x, h, (u, w, b), b_hn = rng.normal(size=(B, I)), rng.normal(size=(B, H)), weights(rng, 3), rng.normal(size=H)
    dh_new = rng.normal(size=(B, H))
    _, (r, z, q, n) = gru_formula(x, h, u, w, b, b_hn)
    da_n, da_z = dh_new * (1 - z) * (1 - n**2), dh_new * (h - n) * z * (1 - z)
    dq, da_r = da_n * r, da_n * q * r * (1 - r)
    da, dr = np.concatenate([da_r, da_z, da_n], axis=1), np.concatenate([da_r, da_z, dq], axis=1)
    printed = [da @ u, dh_new * z + dr @ w, da.T @ x, dr.T @ h, da.sum(axis=0), dq.sum(axis=0)]
    numeric = with_gradients(lambda *p: gru_formula(*p)[0], [x, h, u, w, b, b_hn], [dh_new])
    for line, gradient, mine in zip(printed, numeric, recurrent.gru_cell(x, h, u, w, b, b_hn)[1](dh_new), strict=True):
        assert_lines_agree([gradient, line], rtol=1e-7)
        assert_same("implementation", mine, line, rtol=1e-12)


@pytest.mark.equation("eq-recurrent-parameters", formula_only=True)
@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_parameters(cell, gates):
    model = rnn.RNN(RNNConfig(5, embed=7, hidden=6, cell=cell))
    count = sum(array.size for name, array in model.state().items() if name.startswith("layers"))
    assert_same("parameters", count, gates * 6 * (7 + 6 + 1) + 6 * (cell == "gru"), rtol=0)


def test_a_whole_network_by_differences(rng):
    """The formulas together: tokens to logits, through two layers."""
    model = rnn.RNN(RNNConfig(5, embed=3, hidden=4, layers=2, cell="gru"))
    model.load_state({name: rng.normal(size=array.shape) for name, array in model.state().items()})
    x, u = rng.integers(0, 5, size=(2, 4)), rng.normal(size=(2, 4, 5))
    _, backward = model(x)
    backward(u)

    def logits(table):
        model.tok.weight.data[...] = table
        return model(x)[0]

    start = model.tok.weight.data.copy()
    assert_same("dE", model.gradients()["tok.weight"], numerical_gradient(lambda e: float((u * logits(e)).sum()), start), rtol=1e-7)
