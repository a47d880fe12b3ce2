"""The exercises of the chapter *Attention*, each with the wrong answers that it recognises.

Throughout: one head without batch, queries (T, D), keys (S, D), values (S, E); results are new arrays."""

import numpy as np

from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise
from dlcourse.numpy.attention import rope as package_rope

# ---------------------------------------------------------------- attend


def _weights(s, axis=1):
    a = np.exp(s - s.max(axis=axis, keepdims=True))
    return a / a.sum(axis=axis, keepdims=True)


def _seen(q, k, causal, first=None):
    """Which pairs may be looked at; `first` is the last key that the first query sees."""
    first = len(k) - len(q) if first is None else first
    return np.tri(len(q), len(k), first, dtype=bool) | (not causal)


def _attend(q, k, v, causal, first=None, scale=None):
    scale = 1 / np.sqrt(q.shape[1]) if scale is None else scale
    s = np.where(_seen(q, k, causal, first), q @ k.T * scale, -np.inf)
    return _weights(s) @ v


def _looks(t, s, d, e, causal, size=1.0):
    return lambda rng: (
        size * rng.normal(size=(t, d)),
        rng.normal(size=(s, d)),
        rng.normal(size=(s, e)),
        causal,
    )


def _masked_behind(q, k, v, causal):
    a = _weights(q @ k.T / np.sqrt(q.shape[1]))
    return a * _seen(q, k, causal) @ v


def _zero_for_infinity(q, k, v, causal):
    return _weights(np.where(_seen(q, k, causal), q @ k.T / np.sqrt(q.shape[1]), 0.0)) @ v


def _with_maximum_of(q, k, v, causal, largest):
    """The exponent is the score less a maximum that is not the row's; it may overflow or leave nothing."""
    s = q @ k.T / np.sqrt(q.shape[1])
    masked = np.where(_seen(q, k, causal), s, -np.inf)
    a = np.exp(masked - largest(s, masked))
    return a / a.sum(axis=1, keepdims=True) @ v


def _unprotected(q, k, v, causal):
    s = np.where(_seen(q, k, causal), q @ k.T / np.sqrt(q.shape[1]), -np.inf)
    a = np.exp(s)
    return a / a.sum(axis=1, keepdims=True) @ v


@exercise(
    "y",
    Case("shape", _looks(4, 6, 8, 3, False), shapes),
    Case("values", _looks(4, 6, 8, 3, False)),
    Case("causal", _looks(5, 5, 4, 4, True)),
    Case("causal, the last queries", _looks(2, 6, 4, 3, True)),
    Case("large scores", _looks(3, 4, 4, 2, False, size=3000.0), quiet=True),
    Case("causal, large scores", _looks(4, 4, 4, 2, True, size=3000.0), quiet=True),
    Case("one query, one key", _looks(1, 1, 3, 2, True)),
)
def attend(q, k, v, causal):
    """attend(q, k, v, causal) -> y: attention of one head (eq-attention), masked by eq-causal-mask when causal is true.

    q (T, D), k (S, D), v (S, E) with S >= T -> y (T, E). The last query is the last position: query i sees the keys j <= i + S - T."""
    return _attend(q, k, v, causal)


attend.diagnose(
    "the scores are not divided by the root of D; eq-attention.",
    lambda q, k, v, causal: _attend(q, k, v, causal, scale=1.0),
)
attend.diagnose(
    "the scores are divided by D. It is the root of D that makes their variance one; eq-attention-variance.",
    lambda q, k, v, causal: _attend(q, k, v, causal, scale=1 / q.shape[1]),
)
attend.diagnose(
    "the scores are divided by the root of the number of keys. D is the length of a query, q.shape[1].",
    lambda q, k, v, causal: _attend(q, k, v, causal, scale=1 / np.sqrt(len(k))),
)
attend.diagnose(
    "the softmax runs over the queries. Each query has weights that sum to one over the keys, the last axis.",
    lambda q, k, v, causal: (
        np.nan_to_num(
            _weights(np.where(_seen(q, k, causal), q @ k.T / np.sqrt(q.shape[1]), -1e300), axis=0)
        )
        @ v
    ),
)
attend.diagnose(
    "the mask is applied to the weights, after the softmax: rows no longer sum to one, and later scores still count below the line.",
    _masked_behind,
)
attend.diagnose(
    "forbidden scores are 0 in the place of minus infinity, and e^0 = 1 is a weight like others.",
    _zero_for_infinity,
)
attend.diagnose(
    "the causal mask is missing: query i sees the keys j <= i + S - T only.",
    lambda q, k, v, causal: _attend(q, k, v, False),
)
attend.diagnose(
    "the mask counts from the first key. With fewer queries than keys the queries are the last positions: j <= i + S - T.",
    lambda q, k, v, causal: _attend(q, k, v, causal, first=0),
)
attend.diagnose(
    "a query does not see itself. j <= i + S - T includes its own position.",
    lambda q, k, v, causal: (
        _attend(q, k, v, causal, first=len(k) - len(q) - 1)
        if len(k) > len(q) or not causal
        else np.vstack([np.full((1, v.shape[1]), np.nan), _attend(q[1:], k, v, causal, first=0)])
    ),
)
attend.diagnose(
    "exp overflows. Subtract the maximum of each row first; eq-softmax-shift says why that changes nothing.",
    _unprotected,
)
attend.diagnose(
    "the maximum is taken over forbidden keys: mask first, then subtract the maximum of what is left.",
    lambda q, k, v, causal: _with_maximum_of(
        q, k, v, causal, lambda s, masked: s.max(axis=1, keepdims=True)
    ),
)
attend.diagnose(
    "subtract the maximum of each row, not of the whole table: rows far below it are left with nothing.",
    lambda q, k, v, causal: _with_maximum_of(q, k, v, causal, lambda s, masked: masked.max()),
)


# ---------------------------------------------------------------- attention_backward


def _backward(q, k, v, do, root=None, jacobian=None):
    root = np.sqrt(q.shape[1]) if root is None else root
    a = _weights(q @ k.T / np.sqrt(q.shape[1]))
    da = do @ v.T
    ds = a * (da - (a * da).sum(axis=1, keepdims=True)) if jacobian is None else jacobian(a, da)
    return ds @ k / root, ds.T @ q / root, a.T @ do


def _gradients(t, s, d, e, size=1.0):
    return lambda rng: (
        size * rng.normal(size=(t, d)),
        rng.normal(size=(s, d)),
        rng.normal(size=(s, e)),
        rng.normal(size=(t, e)),
    )


def _backward_unprotected(q, k, v, do):
    a = np.exp(q @ k.T / np.sqrt(q.shape[1]))
    a /= a.sum(axis=1, keepdims=True)
    ds = a * (do @ v.T - (do * (a @ v)).sum(axis=1, keepdims=True)) / np.sqrt(q.shape[1])
    return ds @ k, ds.T @ q, a.T @ do


def _without_softmax_weights(q, k, v, do):
    dq, dk, _ = _backward(q, k, v, do)
    return dq, dk, (q @ k.T / np.sqrt(q.shape[1])).T @ do


def _exchanged(q, k, v, do):
    dq, dk, dv = _backward(q, k, v, do)
    return dk, dq, dv


def _ordered_otherwise(q, k, v, do):
    dq, dk, dv = _backward(q, k, v, do)
    return dv, dk, dq


@exercise(
    ("dq", "dk", "dv"),
    Case("shapes", _gradients(4, 6, 8, 3), shapes),
    Case("dv", _gradients(4, 6, 8, 3), parts=("dv",)),
    Case("dq", _gradients(4, 6, 8, 3), parts=("dq",)),
    Case("dk", _gradients(4, 6, 8, 3), parts=("dk",)),
    Case("one query", _gradients(1, 5, 4, 4)),
    Case("one key", _gradients(3, 1, 4, 2)),
    Case("large scores", _gradients(3, 4, 4, 2, size=3000.0), quiet=True),
)
def attention_backward(q, k, v, do):
    """attention_backward(q, k, v, do) -> (dq, dk, dv): the gradients of attention without a mask (eq-attention-vjp).

    q (T, D), k (S, D), v (S, E), do = dL/do (T, E); each gradient has the shape of what it belongs to."""
    return _backward(q, k, v, do)


attention_backward.diagnose(
    "dq and dk lack the root of D: scores are divided by it, and so are the gradients that come back through them.",
    lambda q, k, v, do: _backward(q, k, v, do, root=1.0),
)
attention_backward.diagnose(
    "dq and dk are divided by D. The scores were divided by its root, once.",
    lambda q, k, v, do: _backward(q, k, v, do, root=q.shape[1]),
)
attention_backward.diagnose(
    "the softmax is taken for entries that do not touch each other, a (1 - a). Every weight depends on every score of its row; eq-softmax-vjp.",
    lambda q, k, v, do: _backward(q, k, v, do, jacobian=lambda a, da: a * (1 - a) * da),
)
attention_backward.diagnose(
    "the sum over the row is missing in ds: it is a (da - do . o), and without the second term adding a number to all scores would matter.",
    lambda q, k, v, do: _backward(q, k, v, do, jacobian=lambda a, da: a * da),
)
attention_backward.diagnose(
    "the softmax is left out on the way back: ds is not da.",
    lambda q, k, v, do: _backward(q, k, v, do, jacobian=lambda a, da: da),
)
attention_backward.diagnose(
    "the sum in ds runs over the queries. It runs over the keys of each query, and is do . o of its row.",
    lambda q, k, v, do: _backward(
        q, k, v, do, jacobian=lambda a, da: a * (da - (a * da).sum(axis=0, keepdims=True))
    ),
)
attention_backward.diagnose(
    "da is not weighted in the sum of ds: it is a da that is summed over the row, not da.",
    lambda q, k, v, do: _backward(
        q, k, v, do, jacobian=lambda a, da: a * (da - da.sum(axis=1, keepdims=True))
    ),
)
attention_backward.diagnose(
    "dv holds the scores in the place of the weights: dv_j is the sum of a_ij do_i.",
    _without_softmax_weights,
)
attention_backward.diagnose(
    "dq and dk are exchanged: dq_i is a sum of keys, dk_j a sum of queries.",
    _exchanged,
)
attention_backward.diagnose(
    "the results are in another order. Gradients come in the order of the arguments: dq, dk, dv.",
    _ordered_otherwise,
)
attention_backward.diagnose(
    "exp overflows. Subtract the maximum of each row first, here too; eq-softmax-shift says why that changes nothing.",
    _backward_unprotected,
)


# ---------------------------------------------------------------- rotate


def _turn(x, offset, sign=1, base=10000.0, fall=None):
    length, size = x.shape
    pairs = np.arange(size // 2)
    omega = base ** (-2 * pairs / size) if fall is None else fall(pairs, size)
    angles = (offset + np.arange(length))[:, None] * omega
    c, s = np.cos(angles), sign * np.sin(angles)
    left, right = x[:, : size // 2], x[:, size // 2 :]
    return np.concatenate([left * c - right * s, left * s + right * c], axis=1)


def _interleaved(x, offset):
    order = np.concatenate([np.arange(0, x.shape[1], 2), np.arange(1, x.shape[1], 2)])
    y = np.empty_like(x)
    y[:, order] = _turn(x[:, order], offset)
    return y


def _reflected(x, offset):
    y = _turn(x, offset)
    half = x.shape[1] // 2
    mirrored = _turn(np.concatenate([x[:, :half], -x[:, half:]], axis=1), offset)
    return np.concatenate([y[:, :half], mirrored[:, half:]], axis=1)


def _rows(length, size, offset):
    return lambda rng: (rng.normal(size=(length, size)), offset)


@exercise(
    "y",
    Case("shape", _rows(5, 6, 0), shapes),
    Case("position zero turns nothing", _rows(1, 4, 0)),
    Case("values", _rows(5, 6, 0)),
    Case("offset", _rows(4, 8, 11)),
    Case("one pair", _rows(6, 2, 3)),
    Case("far away", _rows(2, 6, 4000)),
)
def rotate(x, offset):
    """rotate(x, offset) -> y: rotary positions (eq-rope) for one head, whose first row stands at position offset.

    x, y (T, D), D even. Entry m is paired with entry m + D/2, and pair m turns by 10000^(-2 m / D) a position."""
    return package_rope(x, offset=offset)[0]


rotate.diagnose(
    "neighbours 2m and 2m + 1 are paired. That is the other convention; here entry m is paired with m + D/2.",
    _interleaved,
)
rotate.diagnose(
    "the rotation goes the other way: the minus belongs to the first half.",
    lambda x, offset: _turn(x, offset, sign=-1),
)
rotate.diagnose(
    "the offset is forgotten: the first row stands at position offset, not at 0.",
    lambda x, offset: _turn(x, 0),
)
rotate.diagnose(
    "positions count from one. The first row stands at position offset and is turned by offset times the frequency.",
    lambda x, offset: _turn(x, offset + 1),
)
rotate.diagnose(
    "the exponent lacks the factor 2: the frequency of pair m is 10000^(-2 m / D), with m below D/2.",
    lambda x, offset: _turn(x, offset, fall=lambda m, size: 10000.0 ** (-m / size)),
)
rotate.diagnose(
    "the frequencies rise. The exponent is negative: later pairs turn slower.",
    lambda x, offset: _turn(x, offset, fall=lambda m, size: 10000.0 ** (2 * m / size)),
)
rotate.diagnose(
    "all pairs turn alike: pair m has a frequency of its own.",
    lambda x, offset: _turn(x, offset, fall=lambda m, size: np.ones(len(m))),
)
rotate.diagnose(
    "the signs in the second half are wrong: this is a mirror image, not a rotation.",
    _reflected,
)
rotate.diagnose(
    "every row is turned by the same angle. Row t stands at position offset + t.",
    lambda x, offset: np.vstack([_turn(row[None], offset) for row in x]),
)


# ---------------------------------------------------------------- merge_halves


def _merge(m1, l1, u1, m2, l2, u2, top=None):
    m = np.maximum(m1, m2) if top is None else top(m1, m2)
    c1, c2 = np.exp(m1 - m), np.exp(m2 - m)
    return m, l1 * c1 + l2 * c2, u1 * c1[:, None] + u2 * c2[:, None]


def _half(rng, rows, keys, width, shift):
    s, v = 3 * rng.normal(size=(rows, keys)) + shift, rng.normal(size=(keys, width))
    m = s.max(axis=1)
    e = np.exp(s - m[:, None])
    return m, e.sum(axis=1), e @ v


def _nothing(rows, width):
    return np.full(rows, -np.inf), np.zeros(rows), np.zeros((rows, width))


def _halves(rows, width, shift=0.0):
    return lambda rng: (*_half(rng, rows, 5, width, shift), *_half(rng, rows, 3, width, 0.0))


def _plain(m1, l1, u1, m2, l2, u2):
    return np.maximum(m1, m2), l1 + l2, u1 + u2


def _one_side(m1, l1, u1, m2, l2, u2):
    m = np.maximum(m1, m2)
    c2 = np.exp(m2 - m)
    return m, l1 + l2 * c2, u1 + u2 * c2[:, None]


def _u_forgotten(m1, l1, u1, m2, l2, u2):
    m, total, _ = _merge(m1, l1, u1, m2, l2, u2)
    return m, total, u1 + u2


def _l_forgotten(m1, l1, u1, m2, l2, u2):
    m, _, u = _merge(m1, l1, u1, m2, l2, u2)
    return m, l1 + l2, u


def _inverse(m1, l1, u1, m2, l2, u2):
    m = np.maximum(m1, m2)
    c1, c2 = np.exp(m - m1), np.exp(m - m2)
    with np.errstate(invalid="ignore"):
        return m, l1 * c1 + l2 * c2, u1 * c1[:, None] + u2 * c2[:, None]


def _normalised(m1, l1, u1, m2, l2, u2):
    m, total, u = _merge(m1, l1, u1, m2, l2, u2)
    return m, total, u / total[:, None]


def _without_shift(m1, l1, u1, m2, l2, u2):
    e1, e2 = np.exp(m1), np.exp(m2)
    m = np.maximum(m1, m2)
    total, u = l1 * e1 + l2 * e2, u1 * e1[:, None] + u2 * e2[:, None]
    return m, total / np.exp(m), u / np.exp(m)[:, None]


@exercise(
    ("m", "l", "u"),
    Case("shapes", _halves(4, 3), shapes),
    Case("m", _halves(4, 3), parts=("m",)),
    Case("l", _halves(4, 3), parts=("l",)),
    Case("u", _halves(4, 3), parts=("u",)),
    Case("very different scores", _halves(3, 2, shift=2000.0), quiet=True),
    Case(
        "an empty half",
        lambda rng: (*_half(rng, 3, 4, 2, 0.0), *_nothing(3, 2)),
        quiet=True,
    ),
    Case(
        "the other half empty",
        lambda rng: (*_nothing(3, 2), *_half(rng, 3, 4, 2, 0.0)),
        quiet=True,
    ),
)
def merge_halves(m1, l1, u1, m2, l2, u2):
    """merge_halves(m1, l1, u1, m2, l2, u2) -> (m, l, u): the softmax sums of two halves of the keys, put together (eq-online-softmax).

    m the largest score of each row (T,), l the sum of e^(s - m) (T,), u the sum of e^(s - m) v (T, E). A half that has seen
    nothing has m = -inf, l = 0, u = 0; at least one has seen something."""
    return _merge(m1, l1, u1, m2, l2, u2)


merge_halves.diagnose(
    "the sums are added as they are. Each was made with its own maximum: multiply by e^(old m - new m) first.",
    _plain,
)
merge_halves.diagnose(
    "only the second half is rescaled. Whichever half has the smaller maximum must be, in each row.",
    _one_side,
)
merge_halves.diagnose("u is not rescaled: it holds the same exponentials as l.", _u_forgotten)
merge_halves.diagnose("l is not rescaled: it holds the same exponentials as u.", _l_forgotten)
merge_halves.diagnose(
    "the factor is upside down: e^(old m - new m) is at most one.",
    _inverse,
)
merge_halves.diagnose(
    "u is divided by l here already. Then it can't be merged again: the division comes once, at the end.",
    _normalised,
)
merge_halves.diagnose(
    "e^m alone overflows. Only differences to the new maximum go into exp.",
    _without_shift,
)
merge_halves.diagnose(
    "m is the smaller of the two maxima, so that exponents become positive.",
    lambda *halves: _merge(*halves, top=np.minimum),
)
