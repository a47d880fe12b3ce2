"""The equations of the chapter on attention, line by line, with loops over the indices as printed."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest

from dlcourse.numpy import attention as att
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, assert_vjp, numerical_gradient

T, S, D = 4, 5, 6


def draw(rng, t=T, s=S, d=D):
    """q (T, D), k (S, D), v (S, D) and do (T, D): one head, without batch."""
    return rng.normal(size=(t, d)), rng.normal(size=(s, d)), rng.normal(size=(s, d)), rng.normal(size=(t, d))


def package(q, k, v, **options):
    """The package's attention for one head."""
    y, backward = att.attention(q[None, None], k[None, None], v[None, None], **options)
    return y[0, 0], lambda do: tuple(g[0, 0] for g in backward(do[None, None]))


def table(shape, entry):
    return np.array([entry(*index) for index in np.ndindex(shape)]).reshape(shape)


def scores(q, k, allowed=lambda i, j: True):
    s = table((len(q), len(k)), lambda i, j: sum(q[i] * k[j]) / math.sqrt(q.shape[1]))
    return np.where(table(s.shape, allowed), s, -np.inf)


def weights(s):
    return table(s.shape, lambda i, j: math.exp(s[i, j]) / sum(math.exp(s[i, x]) for x in range(s.shape[1])))


def mixture(a, v):
    return table((len(a), v.shape[1]), lambda i, c: sum(a[i, j] * v[j, c] for j in range(len(v))))


@pytest.mark.equation("eq-attention")
def test_attention(rng):
    q, k, v, _ = draw(rng)
    a = weights(scores(q, k))
    by_matrices = f.softmax(q @ k.T / math.sqrt(D))[0]
    assert_lines_agree([a, by_matrices], rtol=1e-13)
    assert_same("rows of weights sum to one", a.sum(axis=1), np.ones(T), rtol=1e-14)
    assert_lines_agree([mixture(a, v), a @ v, package(q, k, v)[0]], rtol=1e-13)


@pytest.mark.equation("eq-attention")
def test_it_is_kernel_regression_for_keys_of_one_length(rng):
    q, k, v, _ = draw(rng)
    k *= 3 / np.linalg.norm(k, axis=1, keepdims=True)
    near = table((T, S), lambda i, j: math.exp(-((q[i] - k[j]) ** 2).sum() / (2 * math.sqrt(D))))
    assert_same("a bell-shaped weight", package(q, k, v)[0], near / near.sum(axis=1, keepdims=True) @ v, rtol=1e-12)


@pytest.mark.equation("eq-attention")
def test_a_hard_look_up_is_the_limit(rng):
    q, k, v, _ = draw(rng)
    s, beta = scores(q, k), 300.0
    m = s.argmax(axis=1)
    a = table(s.shape, lambda i, j: math.exp(-beta * (s[i, m[i]] - s[i, j])))
    assert_same("sharp scores", package(beta * q, k, v)[0], a / a.sum(axis=1, keepdims=True) @ v, rtol=1e-12)
    gap = np.sort(s, axis=1)
    beta = 60 / (gap[:, -1] - gap[:, -2]).min()
    assert_same("the value of the best key", package(beta * q, k, v)[0], v[m], rtol=1e-12)


@pytest.mark.equation("eq-attention-variance", formula_only=True)
def test_variance(rng):
    """Exact: entries +1 or -1 with equal chance have mean 0 and variance 1, and all cases can be listed."""
    for d in (1, 2, 3, 5):
        vectors = np.array(list(itertools.product((-1.0, 1.0), repeat=d)))
        products = vectors @ vectors.T
        assert_same("mean", 1 + products.mean(), 1.0, rtol=1e-14)
        terms = sum(np.multiply.outer(vectors[:, c], vectors[:, c]).var() for c in range(d))
        squares = sum((vectors[:, c] ** 2).mean() ** 2 for c in range(d))
        assert_lines_agree([products.var(), terms, squares, float(d)], rtol=1e-14)
        assert_same("divided by the root", (products / math.sqrt(d)).var(), 1.0, rtol=1e-14)
    for epsilon in (0.3, 0.1, 1e-3):  # the Jacobian of a sure softmax
        a = np.concatenate([[1 - epsilon], epsilon * rng.dirichlet(np.ones(4))])
        jacobian = np.diag(a) - np.outer(a, a)
        assert_same("of the largest", jacobian[0, 0], (1 - epsilon) * epsilon, rtol=1e-12)
        assert np.abs(jacobian).max() <= epsilon


@pytest.mark.equation("eq-causal-mask")
@pytest.mark.parametrize(("t", "s"), [(4, 4), (3, 5), (1, 5)])
def test_causal_mask(rng, t, s):
    q, k, v, do = draw(rng, t, s)
    a = weights(scores(q, k, lambda i, j: j <= i + s - t))
    y, backward = package(q, k, v, causal=True)
    assert_same("implementation", y, mixture(a, v), rtol=1e-13)
    allowed = table((t, s), lambda i, j: j <= i + s - t)
    assert_same("as a mask", y, package(q, k, v, mask=allowed)[0], rtol=1e-13)
    for i in range(t):  # what comes later acts on nothing
        one = np.zeros_like(do)
        one[i] = do[i]
        _, dk, dv = backward(one)
        later = np.arange(s) > i + s - t
        assert_same("no gradient to later keys", np.abs(dk[later]).sum() + np.abs(dv[later]).sum() + 1.0, 1.0, rtol=0)


def test_a_row_that_may_look_nowhere_is_refused(rng):
    q, k, v, _ = draw(rng)
    mask = np.ones((T, S), bool)
    mask[2] = False
    with pytest.raises(ValueError, match="query 2 may look at no key"):
        package(q, k, v, mask=mask)


@pytest.mark.equation("eq-attention-vjp")
def test_attention_vjp(rng):
    q, k, v, do = draw(rng)
    a, root = weights(scores(q, k)), math.sqrt(D)
    o = mixture(a, v)
    dq, dk, dv = package(q, k, v)[1](do)

    def loss(**given):
        return (do * package(**({"q": q, "k": k, "v": v} | given))[0]).sum()

    lines = [
        numerical_gradient(lambda v: loss(v=v), v),
        table((S, D), lambda j, c: sum(a[i, j] * do[i, c] for i in range(T))),
        a.T @ do,
        dv,
    ]
    assert_lines_agree(lines, rtol=1e-7)

    da = table((T, S), lambda i, j: do[i] @ v[j])
    assert_lines_agree([numerical_gradient(lambda a: (do * (a @ v)).sum(), a), da, do @ v.T], rtol=1e-7)

    rows = [
        table((T,), lambda i: sum(a[i, j] * da[i, j] for j in range(S))),
        table((T,), lambda i: sum(a[i, j] * (do[i] @ v[j]) for j in range(S))),
        table((T,), lambda i: do[i] @ sum(a[i, j] * v[j] for j in range(S))),
        table((T,), lambda i: do[i] @ o[i]),
    ]
    assert_lines_agree(rows, rtol=1e-12)

    s = scores(q, k)
    ds = [
        numerical_gradient(lambda s: (do * (f.softmax(s)[0] @ v)).sum(), s),
        a * (da - rows[0][:, None]),
        f.softmax(s)[1](da),
        table((T, S), lambda i, j: a[i, j] * (do[i] @ v[j] - do[i] @ o[i])),
        table((T, S), lambda i, j: a[i, j] * do[i] @ (v[j] - o[i])),
    ]
    assert_lines_agree(ds, rtol=1e-7)
    ds = ds[-1]
    assert_same("rows of dS sum to zero", 1 + ds.sum(axis=1), np.ones(T), rtol=1e-14)
    assert_same("so the gradients of the keys sum to zero", 1 + dk.sum(axis=0), np.ones(D), rtol=1e-13)

    lines = [numerical_gradient(lambda q: loss(q=q), q), table((T, D), lambda i, c: sum(ds[i, j] * k[j, c] for j in range(S)) / root)]
    assert_lines_agree([*lines, ds @ k / root, dq], rtol=1e-7)
    lines = [numerical_gradient(lambda k: loss(k=k), k), table((S, D), lambda j, c: sum(ds[i, j] * q[i, c] for i in range(T)) / root)]
    assert_lines_agree([*lines, ds.T @ q / root, dk], rtol=1e-7)


@pytest.mark.equation("eq-attention-vjp")
def test_attention_vjp_with_everything(rng):
    q, k, v = (rng.normal(size=(2, 3, n, 4)) for n in (3, 5, 5))
    mask, bias = rng.random(size=(2, 1, 1, 5)) < 0.7, rng.normal(size=(3, 3, 5))
    mask[..., 0] = True
    assert_vjp("attention", lambda *x: att.attention(*x, mask=mask, causal=True, bias=bias), (q, k, v), rng)


@pytest.mark.equation("eq-attention")
def test_by_hand():
    """The example of the chapter: scores 0, 2, 0 and values 3, 7, 1."""
    a, v = f.softmax(np.array([0.0, 2, 0]))[0], np.array([3.0, 7, 1])
    o = a @ v
    assert_same("sum of the exponentials", round(math.exp(2) + 2, 3), 9.389, rtol=0)
    assert_same("weights", a.round(4), np.array([0.1065, 0.7870, 0.1065]), rtol=0)
    assert_same("answer", round(o, 3), 5.935, rtol=0)
    assert_same("gradient", (a * (v - o)).round(3), np.array([-0.313, 0.838, -0.526]), rtol=0)
    printed = np.array([0.1065, 0.7870, 0.1065])
    assert_same("as printed", (printed @ v).round(3), 5.935, rtol=0)
    assert_same("as printed", (printed * (v - 5.935)).round(3), np.array([-0.313, 0.838, -0.526]), rtol=0)
    sharp = f.softmax(np.array([0.0, 8, 0]))[0] @ v
    assert_same("four times as sharp", round(sharp, 3), 6.997, rtol=0)


# ---------------------------------------------------------------- several heads


def layer(rng, width=6, heads=3, bias=True):
    built = att.MultiHeadAttention(width, heads, bias)
    built.load_state({name: rng.normal(size=array.shape) for name, array in built.state().items()})
    return built, built.state()


@pytest.mark.equation("eq-multi-head")
def test_multi_head(rng):
    (built, w), heads, size = layer(rng), 3, 2
    x, m = rng.normal(size=(4, 6)), rng.normal(size=(5, 6))
    q, k, v = (a @ w[f"{n}_proj.weight"].T + w[f"{n}_proj.bias"] for n, a in (("q", x), ("k", m), ("v", m)))
    pieces = [slice(h * size, (h + 1) * size) for h in range(heads)]
    outputs = [mixture(weights(scores(q[:, p], k[:, p])), v[:, p]) for p in pieces]
    out, bias = w["out_proj.weight"], w["out_proj.bias"]
    lines = [
        np.concatenate(outputs, axis=1) @ out.T + bias,
        sum(o @ out[:, p].T for o, p in zip(outputs, pieces, strict=True)) + bias,  # a map of its own for each head
        built(x[None], m[None])[0][0],
    ]
    assert_lines_agree(lines, rtol=1e-12)
    rows = w["q_proj.weight"][2:4] @ x[1] + w["q_proj.bias"][2:4]
    assert_same("rows h D to h D + D - 1 belong to head h", q[1, 2:4], rows, rtol=1e-14)
    assert_same("self-attention", built(x[None])[0], built(x[None], x[None])[0], rtol=1e-14)


@pytest.mark.equation("eq-multi-head-vjp")
@pytest.mark.parametrize("with_memory", [True, False])
def test_multi_head_vjp(rng, with_memory):
    (built, w), size = layer(rng), 2
    x, m, dy = rng.normal(size=(4, 6)), rng.normal(size=(5, 6)), rng.normal(size=(4, 6))
    m = m if with_memory else x
    arguments = (x[None], m[None]) if with_memory else (x[None],)
    found = built(*arguments)[1](dy[None])
    dx_found, dm_found = (g[0] for g in found) if with_memory else (found[0], None)
    g = built.gradients()

    q, k, v = (a @ w[f"{n}_proj.weight"].T + w[f"{n}_proj.bias"] for n, a in (("q", x), ("k", m), ("v", m)))
    pieces = [slice(p, p + size) for p in range(0, 6, size)]
    each = [package(q[:, p], k[:, p], v[:, p]) for p in pieces]
    o = np.concatenate([y for y, _ in each], axis=1)
    do = dy @ w["out_proj.weight"]
    dq, dk, dv = (
        np.concatenate(part, axis=1) for part in zip(*(back(do[:, p]) for (_, back), p in zip(each, pieces, strict=True)), strict=True)
    )
    dx, dm = dq @ w["q_proj.weight"], dk @ w["k_proj.weight"] + dv @ w["v_proj.weight"]
    printed = {
        "out_proj.weight": dy.T @ o,
        "out_proj.bias": dy.sum(axis=0),
        "q_proj.weight": dq.T @ x,
        "k_proj.weight": dk.T @ m,
        "v_proj.weight": dv.T @ m,
        "q_proj.bias": dq.sum(axis=0),
        "v_proj.bias": dv.sum(axis=0),
    }

    def loss(name, array):
        built.load_state(w | {name: array})
        return (dy * built(*arguments)[0][0]).sum()

    for name, gradient in printed.items():
        numeric = numerical_gradient(lambda array, name=name: loss(name, array), w[name])
        assert_lines_agree([numeric, gradient, g[name]], rtol=1e-6)
    assert_same("the key bias never learns", 1 + g["k_proj.bias"], np.ones(6), rtol=1e-12)
    assert_same("and has no effect", loss("k_proj.bias", w["k_proj.bias"] + 3), loss("k_proj.bias", w["k_proj.bias"]), rtol=1e-12)
    built.load_state(w)
    if with_memory:
        assert_same("dX", dx_found, dx, rtol=1e-12)
        assert_same("dM", dm_found, dm, rtol=1e-12)
    else:
        assert_same("three ways lead to x", dx_found, dx + dm, rtol=1e-12)
    numeric = numerical_gradient(lambda x: (dy * built(x[None], *arguments[1:])[0][0]).sum(), x)
    assert_same("finite differences", dx_found, numeric, rtol=1e-7)


# ---------------------------------------------------------------- order and position


@pytest.mark.equation("eq-attention-permutation", formula_only=True)
def test_permutation(rng):
    q, k, v, _ = draw(rng, 5, 5)
    p = np.eye(5)[rng.permutation(5)]
    s = q @ k.T / math.sqrt(D)
    assert_lines_agree([(p @ q) @ (p @ k).T / math.sqrt(D), p @ s @ p.T], rtol=1e-13)
    a = f.softmax(s)[0]
    assert_lines_agree([f.softmax(p @ s @ p.T)[0], p @ a @ p.T], rtol=1e-13)
    lines = [package(p @ q, p @ k, p @ v)[0], p @ a @ p.T @ p @ v, p @ package(q, k, v)[0]]
    assert_lines_agree(lines, rtol=1e-13)


def frequencies(width):
    return 10000.0 ** (-2 * np.arange(width // 2) / width)


@pytest.mark.equation("eq-sinusoidal")
def test_sinusoidal():
    width, context = 10, 50
    p, omega = np.empty((context, width)), frequencies(width)
    for t, m in np.ndindex(context, width // 2):
        p[t, 2 * m], p[t, 2 * m + 1] = math.sin(omega[m] * t), math.cos(omega[m] * t)
    assert_same("implementation", att.sinusoidal(context, width), p, rtol=1e-13)


@pytest.mark.equation("eq-sinusoidal-shift", formula_only=True)
def test_sinusoidal_shift(rng):
    width = 8
    omega = frequencies(width)

    def position(t):
        return np.stack([np.sin(omega * t), np.cos(omega * t)], axis=1)  # (pairs, 2)

    for t, delta in ((3, 1), (17, -5), (100, 40)):
        moved = [
            [math.cos(w * delta) * math.sin(w * t) + math.sin(w * delta) * math.cos(w * t),
             math.cos(w * delta) * math.cos(w * t) - math.sin(w * delta) * math.sin(w * t)]
            for w in omega
        ]  # fmt: skip
        turn = np.stack(
            [np.stack([np.cos(omega * delta), np.sin(omega * delta)], 1), np.stack([-np.sin(omega * delta), np.cos(omega * delta)], 1)], 1
        )
        assert_lines_agree([position(t + delta), np.array(moved), np.einsum("mij,mj->mi", turn, position(t))], rtol=1e-12)
        assert_same("the dot product", (position(t) * position(t + delta)).sum(), np.cos(omega * delta).sum(), rtol=1e-12)


def turned(x, t):
    """R_t x as printed, for one vector."""
    half, omega, y = len(x) // 2, frequencies(len(x)), np.empty_like(x)
    for m in range(half):
        c, s = math.cos(omega[m] * t), math.sin(omega[m] * t)
        y[m], y[m + half] = x[m] * c - x[m + half] * s, x[m] * s + x[m + half] * c
    return y


@pytest.mark.equation("eq-rope")
def test_rope(rng):
    x = rng.normal(size=(2, 7, 6))
    for offset in (0, 5):
        printed = np.array([[turned(row, offset + t) for t, row in enumerate(rows)] for rows in x])
        assert_same("implementation", att.rope(x, offset=offset)[0], printed, rtol=1e-13)


def rotation(d, t):
    return np.array([turned(e, t) for e in np.eye(d)]).T


@pytest.mark.equation("eq-rope-relative", formula_only=True)
def test_rope_knows_the_distance_alone(rng):
    q, k = rng.normal(size=(2, 6))
    for t, u in ((0, 0), (3, 8), (20, 4)):
        rt, ru = rotation(6, t), rotation(6, u)
        assert_same("a rotation", rt.T, rotation(6, -t), rtol=1e-14)
        assert_same("angles add", rt.T @ ru, rotation(6, u - t), rtol=1e-12)
        lines = [turned(q, t) @ turned(k, u), q @ rt.T @ ru @ k, q @ rotation(6, u - t) @ k, q @ turned(k, u - t)]
        assert_lines_agree(lines, rtol=1e-12)
        far = [att.rope(x[None], offset=n + 1000)[0][0] for x, n in ((q, t), (k, u))]
        assert_same("a thousand positions later", far[0] @ far[1], lines[0], rtol=1e-10)


@pytest.mark.equation("eq-rope-vjp")
def test_rope_vjp(rng):
    x, dy = rng.normal(size=(5, 6)), rng.normal(size=(5, 6))
    lines = [
        numerical_gradient(lambda x: (dy * att.rope(x, offset=3)[0]).sum(), x),
        np.array([rotation(6, t + 3).T @ row for t, row in enumerate(dy)]),
        np.array([turned(row, -(t + 3)) for t, row in enumerate(dy)]),
        att.rope(x, offset=3)[1](dy),
    ]
    assert_lines_agree(lines, rtol=1e-7)


@pytest.mark.equation("eq-alibi")
def test_alibi(rng):
    heads, length = 4, 6
    bias = table((heads, length, length), lambda h, i, j: -(2.0 ** (-8 * (h + 1) / heads)) * abs(i - j))
    seen = np.tri(length, dtype=bool)
    assert_same("implementation", att.alibi(heads, length), bias, rtol=1e-14)
    q, k, v = rng.normal(size=(3, 1, heads, length, 4))
    y, _ = att.attention(q, k, v, causal=True, bias=att.alibi(heads, length))
    for h in range(heads):
        s = np.where(seen, q[0, h] @ k[0, h].T / 2 + bias[h], -np.inf)
        assert_same(f"head {h}", y[0, h], f.softmax(s)[0] @ v[0, h], rtol=1e-12)


# ---------------------------------------------------------------- one pass, costs, cache


@pytest.mark.equation("eq-online-softmax")
def test_online_softmax(rng):
    s, v = 5 * rng.normal(size=9), rng.normal(size=(9, 3))
    m, total, u = -math.inf, 0.0, np.zeros(3)
    for n in range(9):
        new = max(m, s[n])
        total, u, m = total * math.exp(m - new) + math.exp(s[n] - new), u * math.exp(m - new) + math.exp(s[n] - new) * v[n], new
        assert_same("m", m, s[: n + 1].max(), rtol=0)  # the claim, after every pair
        assert_same("l", total, np.exp(s[: n + 1] - m).sum(), rtol=1e-14)
        assert_same("u", u, np.exp(s[: n + 1] - m) @ v[: n + 1], rtol=1e-13)
    a = f.softmax(s)[0]
    assert_lines_agree([u / total, a @ v], rtol=1e-13)
    assert_same("weights from the logarithm of the sum", np.exp(s - (m + math.log(total))), a, rtol=1e-13)


@pytest.mark.equation("eq-online-softmax")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("block", [1, 3, 64])
def test_streaming_attention(rng, causal, block):
    q, k, v, dy = (rng.normal(size=(2, 2, n, 4)) for n in (7, 10, 10, 7))
    (y, backward), (slow, slow_back) = att.streaming_attention(q, k, v, block=block, causal=causal), att.attention(q, k, v, causal=causal)
    assert_same("y", y, slow, rtol=1e-12)
    for name, found, right in zip(("dq", "dk", "dv"), backward(dy), slow_back(dy), strict=True):
        assert_same(name, found, right, rtol=1e-12)


def peak(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class Counted(np.ndarray):
    """Counts the operations of matrix products."""

    operations = 0

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
        plain = [np.asarray(x) for x in inputs]
        if out is not None:
            options["out"] = tuple(np.asarray(x) for x in out)
        result = getattr(ufunc, method)(*plain, **options)
        if ufunc is np.matmul:
            Counted.operations += 2 * result.size * plain[0].shape[-1]
        return np.asarray(result).view(Counted)


@pytest.mark.equation("eq-attention-cost", formula_only=True)
@pytest.mark.parametrize(("t", "width", "heads"), [(6, 8, 2), (5, 12, 1), (16, 8, 4)])
def test_cost(rng, t, width, heads):
    built, _ = layer(rng, width, heads, bias=False)
    Counted.operations = 0
    y, backward = built(rng.normal(size=(1, t, width)).view(Counted))
    forward = Counted.operations
    lines = [forward, 4 * 2 * t * width**2 + 2 * 2 * t**2 * (width // heads) * heads, 8 * t * width**2 + 4 * t**2 * width]
    assert_lines_agree(lines, rtol=0)
    Counted.operations = 0
    backward(np.ones(y.shape).view(Counted))
    assert_same("the way back costs twice as much", Counted.operations, 2 * forward, rtol=0)
    for length, more in ((2 * width, 0), (2 * width + 1, 1), (2 * width - 1, -1)):  # where the second term passes the first
        assert_same("passes at T = 2 C", np.sign(4 * length**2 * width - 8 * length * width**2), more, rtol=0)


@pytest.mark.equation("eq-attention-cost", formula_only=True)
def test_memory(rng):
    """H T^2 numbers of 8 bytes are most of what attention keeps, and none of what streaming keeps."""
    heads, t, d = 4, 256, 8
    q, k, v = rng.normal(size=(3, 1, heads, t, d))
    need = peak(lambda: att.attention(q, k, v))
    assert heads * t * t * 8 <= need <= 2.5 * heads * t * t * 8
    assert peak(lambda: att.streaming_attention(q, k, v, block=16)) < 0.3 * need
    assert_same("weights of all heads", att.attention(q, k, v)[0].size // d * t, heads * t * t, rtol=0)


@pytest.mark.equation("eq-kv-cache", formula_only=True)
def test_cache(rng):
    width, heads, length = 8, 2, 6
    built, _ = layer(rng, width, heads, bias=False)
    x = rng.normal(size=(1, length, width))
    cache = att.KVCache(1, heads, length, width // heads, like=x)
    for t in range(1, length + 1):
        Counted.operations = 0
        y, _ = built(x[:, t - 1 : t].view(Counted), causal=True, cache=cache)
        cached = Counted.operations
        Counted.operations = 0
        again, _ = built(x[:, :t].view(Counted), causal=True)
        assert_lines_agree([cached, 8 * width**2 + 4 * t * width], rtol=0)
        assert_lines_agree([Counted.operations, 8 * t * width**2 + 4 * t**2 * width, t * cached], rtol=0)
        assert_same("the same output", np.asarray(y)[:, 0], np.asarray(again)[:, -1], rtol=1e-12)
        kept = cache.keys[:, :, : cache.length].size + cache.values[:, :, : cache.length].size
        assert_same("numbers in the cache", kept, 2 * t * width, rtol=0)
