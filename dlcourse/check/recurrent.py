"""The exercises of the chapter *Recurrent networks*, each with the wrong answers that it recognises.

Throughout: rows are examples, weights are (out, in), results are new arrays."""

import math

import numpy as np

from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise


def _sigmoid(z):
    return 0.5 * (1.0 + np.tanh(0.5 * z))


# ---------------------------------------------------------------- lstm_step


def _step(a, c, order="ifgo", squash=np.tanh, gate=_sigmoid, shown=np.tanh):
    """h and c' for other orders of the blocks, and other functions for the candidate, the gates and the cell that is shown."""
    block = dict(zip(order, np.split(a, 4, axis=1), strict=True))
    i, f, o = (gate(block[name]) for name in "ifo")
    c_new = f * c + i * squash(block["g"])
    return o * shown(c_new), c_new


def _without(a, c, *closed):
    """h and c' where the gates of that name are one."""
    i, f, g, o = np.split(a, 4, axis=1)
    i, f, o = (
        np.ones_like(z) if name in closed else _sigmoid(z)
        for name, z in zip("ifo", (i, f, o), strict=True)
    )
    c_new = f * c + i * np.tanh(g)
    return o * np.tanh(c_new), c_new


def _cell(batch, hidden, scale=1.0):
    return lambda rng: (
        scale * rng.normal(size=(batch, 4 * hidden)),
        rng.normal(size=(batch, hidden)),
    )


@exercise(
    ("h", "c_new"),
    Case("shape", _cell(3, 2), shapes),
    Case("values", _cell(3, 2)),
    Case("batch of one", _cell(1, 3)),
    Case("one unit", _cell(2, 1)),
    Case("empty batch", _cell(0, 2), shapes),
    Case(
        "overflow",
        lambda rng: (
            np.array([[-1000.0, 1000.0, 1000.0, -1000.0], [1000.0, -1000.0, -1000.0, 1000.0]]),
            np.array([[0.5], [2.0]]),
        ),
        quiet=True,
    ),
)
def lstm_step(a, c):
    """lstm_step(a, c) -> (h, c_new): one step of an LSTM from the values before sigmoid and tanh (eq-lstm-cell).

    a (B, 4H), blocks in the order i, f, g, o; c, h, c_new (B, H)."""
    return _step(a, c)


lstm_step.diagnose(
    "the blocks are taken in the order i, f, o, g. Here they stand as i, f, g, o.",
    lambda a, c: _step(a, c, "ifog"),
)
lstm_step.diagnose(
    "input and forget gate are exchanged: i is the first block, f the second, and f multiplies c.",
    lambda a, c: _step(a, c, "figo"),
)
lstm_step.diagnose(
    "the candidate g goes through a sigmoid. It may be negative: tanh.",
    lambda a, c: _step(a, c, squash=_sigmoid),
)
lstm_step.diagnose(
    "the new cell is shown without its tanh: h = o tanh(c').",
    lambda a, c: _step(a, c, shown=lambda z: z),
)
lstm_step.diagnose(
    "the old cell is kept whole: the forget gate multiplies it, f c.",
    lambda a, c: _without(a, c, "f"),
)
lstm_step.diagnose(
    "the output gate is missing: h = o tanh(c').",
    lambda a, c: _without(a, c, "o"),
)
lstm_step.diagnose(
    "the input gate is missing: what is written is i g.",
    lambda a, c: _without(a, c, "i"),
)
lstm_step.diagnose(
    "the gates go through tanh. A gate lies between zero and one: sigmoid.",
    lambda a, c: _step(a, c, gate=np.tanh),
)
lstm_step.diagnose(
    "h shows the old cell. The cell is renewed first: h = o tanh(c').",
    lambda a, c: (_sigmoid(np.split(a, 4, axis=1)[3]) * np.tanh(c), _step(a, c)[1]),
)
lstm_step.diagnose(
    "exp overflows for large values. Write the sigmoid as (1 + tanh(z / 2)) / 2, or use exp(-|z|).",
    lambda a, c: _step(a, c, gate=lambda z: 1.0 / (1.0 + np.exp(-z))),
)


# ---------------------------------------------------------------- elman_backward


def _backward(h, delta, weight, carry=lambda da, w: da @ w, slope=None, before=True):
    """eq-bptt with another way to the step before, another slope, or the states after instead of before in dW."""
    slope = slope or (lambda state: 1.0 - state * state)
    da, behind = np.zeros_like(delta), np.zeros_like(h[0])
    for t in reversed(range(len(delta))):
        behind = (delta[t] + carry(behind, weight)) * slope(h[t + 1])
        da[t] = behind
    return da, da.T @ (h[:-1] if before else h[1:])


def _slope_before(h, delta, weight):
    da, behind = np.zeros_like(delta), np.zeros_like(h[0])
    for t in reversed(range(len(delta))):
        behind = (delta[t] + behind @ weight) * (1.0 - h[t] ** 2)
        da[t] = behind
    return da, da.T @ h[:-1]


def _first_to_last(h, delta, weight):
    da, behind = np.zeros_like(delta), np.zeros_like(h[0])
    for t in range(len(delta)):
        behind = (delta[t] + behind @ weight) * (1.0 - h[t + 1] ** 2)
        da[t] = behind
    return da, da.T @ h[:-1]


def _slope_of_delta_alone(h, delta, weight):
    da, behind = np.zeros_like(delta), np.zeros_like(h[0])
    for t in reversed(range(len(delta))):
        behind = delta[t] * (1.0 - h[t + 1] ** 2) + behind @ weight
        da[t] = behind
    return da, da.T @ h[:-1]


def _sequence(time, hidden):
    return lambda rng: (
        np.tanh(rng.normal(size=(time + 1, hidden))),
        rng.normal(size=(time, hidden)),
        rng.normal(size=(hidden, hidden)),
    )


def _last_loss_only(rng):
    h, delta, weight = _sequence(5, 3)(rng)
    delta[:-1] = 0.0
    return h, delta, weight


@exercise(
    ("da", "dweight_hh"),
    Case("shape", _sequence(4, 3), shapes),
    Case("one step", _sequence(1, 3)),
    Case("values", _sequence(4, 3)),
    Case("one unit", _sequence(6, 1)),
    Case("the last loss only", _last_loss_only),
)
def elman_backward(h, delta, weight_hh):
    """elman_backward(h, delta, weight_hh) -> (da, dweight_hh): back-propagation through time of a plain recurrent network (eq-bptt).

    h (T + 1, H) holds h_0 to h_T, delta (T, H) the gradients of the steps' own losses; weight_hh (H, H); da (T, H), dweight_hh (H, H)."""
    return _backward(h, delta, weight_hh)


elman_backward.diagnose(
    "nothing comes back from the step after: add da_(t+1) W_hh to delta_t.",
    lambda h, delta, w: _backward(h, delta, w, carry=lambda da, w: 0.0 * da),
)
elman_backward.diagnose(
    "W_hh is transposed on the way back. Forward is h W^T, so backward is da W.",
    lambda h, delta, w: _backward(h, delta, w, carry=lambda da, w: da @ w.T),
)
elman_backward.diagnose(
    "dW_hh takes the state after each step. Step t multiplied the state before it, h_(t-1).",
    lambda h, delta, w: _backward(h, delta, w, before=False),
)
elman_backward.diagnose(
    "the slope of tanh is missing: 1 - h_t^2 multiplies what arrives at step t.",
    lambda h, delta, w: _backward(h, delta, w, slope=lambda state: 1.0),
)
elman_backward.diagnose(
    "the slope is taken at tanh(h). h is already the tanh: 1 - h^2.",
    lambda h, delta, w: _backward(h, delta, w, slope=lambda state: 1.0 - np.tanh(state) ** 2),
)
elman_backward.diagnose(
    "the slope is taken at the state before the step. h[0] is h_0, so step t (from 0) ends in h[t + 1].",
    _slope_before,
)
elman_backward.diagnose(
    "the slope is that of a sigmoid, h (1 - h). For tanh it is 1 - h^2.",
    lambda h, delta, w: _backward(h, delta, w, slope=lambda state: state * (1.0 - state)),
)
elman_backward.diagnose(
    "the steps are taken first to last. What a step needs comes from the one after it: last to first.",
    _first_to_last,
)
elman_backward.diagnose(
    "the slope multiplies delta_t alone. It multiplies the sum of both.",
    _slope_of_delta_alone,
)
elman_backward.diagnose(
    "dweight_hh is transposed: da^T h has a row for each output.",
    lambda h, delta, w: (
        _backward(h, delta, w)[0],
        _backward(h, delta, w)[1].T,
    ),
)
elman_backward.diagnose(
    "dweight_hh is the mean over the steps. The weights are shared, so the gradients add.",
    lambda h, delta, w: (
        _backward(h, delta, w)[0],
        _backward(h, delta, w)[1] / len(delta),
    ),
)


# ---------------------------------------------------------------- clip_together


def _norm(*arrays):
    return math.sqrt(sum(float((array * array).sum()) for array in arrays))


def _scaled(dweight, dbias, factor):
    return dweight * factor, dbias * factor


def _gradients(scale, limit):
    return lambda rng: (scale * rng.normal(size=(3, 2)), scale * rng.normal(size=3), limit)


def _one_alone(array, limit):
    norm = _norm(array)
    return array * (limit / norm) if norm > limit else array + 0.0


@exercise(
    ("dweight", "dbias"),
    Case("shape", _gradients(10.0, 1.0), shapes),
    Case("long", _gradients(10.0, 1.0)),
    Case("short", _gradients(0.01, 1.0)),
    Case("each short, together long", lambda rng: (np.full((3, 1), 0.5), np.full(3, 0.5), 1.0)),
    Case("limit above one", _gradients(10.0, 5.0)),
    Case("the bias longer", lambda rng: (rng.normal(size=(3, 2)), 5.0 * rng.normal(size=3), 2.0)),
    Case("all zero", lambda rng: (np.zeros((3, 2)), np.zeros(3), 1.0), quiet=True),
)
def clip_together(dweight, dbias, limit):
    """clip_together(dweight, dbias, limit) -> (dweight, dbias): both scaled by one factor, so that their common norm is at most limit (eq-clip).

    dweight (O, I), dbias (O,), limit one positive number; the norm is the root of the sum of squares of all entries of both."""
    norm = _norm(dweight, dbias)
    return _scaled(dweight, dbias, limit / norm if norm > limit else 1.0)


clip_together.diagnose(
    "each gradient is clipped by its own norm. That turns the direction: both get one common factor.",
    lambda dw, db, limit: (_one_alone(dw, limit), _one_alone(db, limit)),
)
clip_together.diagnose(
    "every entry is cut off at the limit. Clipping by norm scales all entries alike and keeps the direction.",
    lambda dw, db, limit: (np.clip(dw, -limit, limit), np.clip(db, -limit, limit)),
)
clip_together.diagnose(
    "short gradients are scaled up. Clipping only shortens: the factor is at most one.",
    lambda dw, db, limit: _scaled(dw, db, limit / (_norm(dw, db) or 1.0)),
)
clip_together.diagnose(
    "the root is missing: the norm is the square root of the sum of squares.",
    lambda dw, db, limit: _scaled(dw, db, min(1.0, limit / (_norm(dw, db) ** 2 or 1.0))),
)
clip_together.diagnose(
    "long gradients get the norm one. They get the norm `limit`: multiply by limit / norm.",
    lambda dw, db, limit: _scaled(dw, db, 1.0 if _norm(dw, db) <= limit else 1.0 / _norm(dw, db)),
)
clip_together.diagnose(
    "the two norms are added. The common norm is the root of the sum of all squares.",
    lambda dw, db, limit: _scaled(dw, db, min(1.0, limit / ((_norm(dw) + _norm(db)) or 1.0))),
)
clip_together.diagnose(
    "the norm is that of dweight alone: the bias belongs to the gradient, too.",
    lambda dw, db, limit: _scaled(dw, db, min(1.0, limit / (_norm(dw) or 1.0))),
)
clip_together.diagnose(
    "the norm is the larger of the two. The common norm is the root of the sum of all squares.",
    lambda dw, db, limit: _scaled(dw, db, min(1.0, limit / (max(_norm(dw), _norm(db)) or 1.0))),
)
clip_together.diagnose(
    "the norm may be zero. Divide only where it exceeds the limit.",
    lambda dw, db, limit: _scaled(dw, db, min(1.0, limit / np.float64(_norm(dw, db)))),
)
clip_together.diagnose(
    "the small number added to the norm shortens every gradient a little. Divide by the norm alone, where it exceeds the limit.",
    lambda dw, db, limit: _scaled(dw, db, min(1.0, limit / (_norm(dw, db) + 1e-6))),
)
clip_together.diagnose(
    "only dweight is scaled. The factor multiplies both.",
    lambda dw, db, limit: (_scaled(dw, db, min(1.0, limit / (_norm(dw, db) or 1.0)))[0], db + 0.0),
)
