"""The exercises of the chapter *Automatic differentiation*, each with the wrong answers that it recognises."""

import math

import numpy as np

from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise

# ---------------------------------------------------------------- graph_gradient


def _graph_gradient(slopes, order=None, put=np.add, seed=None):
    d = np.zeros(len(slopes)) if seed is None else seed(len(slopes))
    d[-1] = 1.0
    for k in order or reversed(range(len(slopes))):
        for j in np.flatnonzero(slopes[k]):
            d[j] = put(d[j], d[k] * slopes[k, j])
    return d


def _multiplied(slopes):
    d = np.ones(len(slopes))
    for k in reversed(range(len(slopes))):
        for j in np.flatnonzero(slopes[k]):
            d[j] *= d[k] * slopes[k, j]
    return d


def _tangents(slopes):
    """How fast each number grows with the first: the other direction."""
    t = np.zeros(len(slopes))
    t[0] = 1.0
    for k in range(1, len(slopes)):
        t[k] += slopes[k] @ t
    return t


def _first_edge_only(slopes):
    d = np.zeros(len(slopes))
    d[-1] = 1.0
    for k in reversed(range(len(slopes))):
        for j in np.flatnonzero(slopes[k])[:1]:
            d[j] += d[k] * slopes[k, j]
    return d


def _direct(slopes):
    d = slopes[-1].copy()
    d[-1] = 1.0
    return d


def _graph(n, edges=None):
    def make(rng):
        slopes = np.tril(rng.normal(size=(n, n)), -1)
        if edges is not None:
            kept = np.zeros((n, n))
            for k, j in edges:
                kept[k, j] = 1.0
            slopes = slopes * kept
        return (slopes,)

    return make


@exercise(
    "d",
    Case("shape", _graph(5), shapes),
    Case("a chain", _graph(4, [(1, 0), (2, 1), (3, 2)])),
    Case("a fork", _graph(4, [(1, 0), (2, 0), (3, 1), (3, 2)])),
    Case("a way round", _graph(3, [(1, 0), (2, 0), (2, 1)])),
    Case("everything connected", _graph(6)),
    Case("not on the way", _graph(5, [(1, 0), (2, 1), (4, 2), (4, 1), (3, 0)])),
    Case("one number", _graph(1)),
)
def graph_gradient(slopes):
    """graph_gradient(slopes) -> d: d_j = how fast the last number grows with number j (eq-tape-reverse).

    slopes (K, K): slopes[k, j] = dv_k / dv_j, zero unless v_k was computed from v_j, so that only entries with j < k are not zero.
    d (K,), with d[-1] = 1."""
    return _graph_gradient(slopes)


graph_gradient.diagnose(
    "where a number is used twice, the last use overwrites the others. The shares of all uses add: d[j] += ...",
    lambda slopes: _graph_gradient(slopes, put=lambda old, new: new),
)
graph_gradient.diagnose(
    "only the direct slopes of the last number arrive. Each number passes its gradient on when it is complete: from the last to the first.",
    _direct,
    lambda slopes: _graph_gradient(slopes, order=range(len(slopes))),
)
graph_gradient.diagnose(
    "this is the other direction: how fast each number grows with the first. Asked is how fast the last grows with each.",
    _tangents,
)
graph_gradient.diagnose(
    "every number starts with 1. The last alone does, for dL/dL = 1; the others start at 0.",
    lambda slopes: _graph_gradient(slopes, seed=np.ones),
)
graph_gradient.diagnose(
    "the shares of several uses are multiplied. Multiply along a path, add where paths meet.",
    _multiplied,
)
graph_gradient.diagnose(
    "each number passes its gradient to the first of its inputs only. Every input has its share.",
    _first_edge_only,
)
graph_gradient.diagnose(
    "nothing was started: the gradient of the last number with respect to itself is 1.",
    lambda slopes: np.zeros(len(slopes)),
)


# ---------------------------------------------------------------- linear_jvp


def _jvp(x, weight, x_dot, weight_dot, bias_dot):
    return x_dot @ weight.T + x @ weight_dot.T + bias_dot


def _layer(n, i, o):
    def make(rng):
        x, weight, bias = rng.normal(size=(n, i)), rng.normal(size=(o, i)), rng.normal(size=o)
        return x, weight, bias, *(rng.normal(size=a.shape) for a in (x, weight, bias))

    return make


def _tangent(formula):
    """The right y with another tangent."""

    def wrong(x, weight, bias, x_dot, weight_dot, bias_dot):
        return x @ weight.T + bias, formula(x, weight, bias, x_dot, weight_dot, bias_dot)

    return wrong


def _square(x, weight, right, other):
    """`other` where input and output have one size, and can be mistaken; else what is right."""
    return other() if weight.shape[0] == weight.shape[1] else right


@exercise(
    ("y", "y_dot"),
    Case("shapes", _layer(4, 3, 2), shapes),
    Case("y", _layer(4, 3, 2), parts=("y",)),
    Case("tangent", _layer(4, 3, 2), parts=("y_dot",)),
    Case("as many outputs as inputs", _layer(4, 3, 3)),
    Case("batch of one", _layer(1, 3, 2)),
    Case("one input, one output", _layer(3, 1, 1)),
)
def linear_jvp(x, weight, bias, x_dot, weight_dot, bias_dot):
    """linear_jvp(x, weight, bias, x_dot, weight_dot, bias_dot) -> (y, y_dot): a linear layer in forward mode (eq-forward-mode).

    y = x W^T + b, and y_dot = how fast y moves when x, W and b move at the rates x_dot, W_dot and b_dot.
    x, x_dot (N, I); weight, weight_dot (O, I); bias, bias_dot (O,) -> y, y_dot (N, O)"""
    return x @ weight.T + bias, _jvp(x, weight, x_dot, weight_dot, bias_dot)


linear_jvp.diagnose(
    "the weights move too: x @ weight_dot.T is missing in y_dot.",
    _tangent(lambda x, w, b, xd, wd, bd: xd @ w.T + bd),
)
linear_jvp.diagnose(
    "the input moves too: x_dot @ weight.T is missing in y_dot.",
    _tangent(lambda x, w, b, xd, wd, bd: x @ wd.T + bd),
)
linear_jvp.diagnose(
    "the bias moves too: y_dot lacks bias_dot.",
    _tangent(lambda x, w, b, xd, wd, bd: xd @ w.T + x @ wd.T),
)
linear_jvp.diagnose(
    "y_dot holds the bias itself. A constant does not move: only bias_dot belongs there.",
    _tangent(lambda x, w, b, xd, wd, bd: xd @ w.T + x @ wd.T + b),
)
linear_jvp.diagnose(
    "the product of the two tangents. The product rule has two terms, each with one tangent; the square of a small number is nothing.",
    _tangent(lambda x, w, b, xd, wd, bd: xd @ wd.T + bd),
)
linear_jvp.diagnose(
    "y_dot holds the product of the two tangents besides. It is of second order, eps^2 = 0: leave it out.",
    _tangent(lambda x, w, b, xd, wd, bd: xd @ w.T + x @ wd.T + xd @ wd.T + bd),
)
linear_jvp.diagnose(
    "y_dot holds y besides. The tangent is how fast y moves, without y itself.",
    _tangent(lambda x, w, b, xd, wd, bd: x @ w.T + b + xd @ w.T + x @ wd.T + bd),
)
linear_jvp.diagnose(
    "the weights of y_dot are not transposed; the shapes fit only because there are as many outputs as inputs.",
    _tangent(
        lambda x, w, b, xd, wd, bd: _square(
            x, w, _jvp(x, w, xd, wd, bd), lambda: xd @ w + x @ wd + bd
        )
    ),
)


# ---------------------------------------------------------------- logits_hessian_vector


def _softmax(z, axis=1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _curved(logits, v):
    p = _softmax(logits)
    return p * (v - (p * v).sum(axis=1, keepdims=True)) / len(logits)


def _logits(n, classes):
    return lambda rng: (rng.normal(size=(n, classes)), rng.normal(size=(n, classes)))


@exercise(
    "Hv",
    Case("shape", _logits(4, 3), shapes),
    Case("values", _logits(4, 3)),
    Case("as many classes as examples", _logits(3, 3)),
    Case("two classes", _logits(5, 2)),
    Case("batch of one", _logits(1, 4)),
    Case("one class", _logits(2, 1)),
    Case(
        "large logits",
        lambda rng: (
            np.array([[1000.0, 0.0, 1000.0], [0.0, 1.0, -1000.0]]),
            rng.normal(size=(2, 3)),
        ),
        quiet=True,
    ),
)
def logits_hessian_vector(logits, v):
    """logits_hessian_vector(logits, v) -> Hv: the Hessian of the mean cross-entropy with respect to the logits, times v (eq-hessian-vector).

    logits, v (N, V) -> Hv (N, V). The labels play no part: they drop out when the gradient is differentiated once more."""
    return _curved(logits, v)


logits_hessian_vector.diagnose(
    "the mean over the batch is forgotten: divide by N.",
    lambda logits, v: _curved(logits, v) * len(logits),
)
logits_hessian_vector.diagnose(
    "divided by all entries. The loss is a mean over the N examples.",
    lambda logits, v: _curved(logits, v) / logits.shape[1],
)
logits_hessian_vector.diagnose(
    "the sum is missing: raising one logit lowers the probabilities of all others, eq-softmax-jacobian.",
    lambda logits, v: _softmax(logits) * v / len(logits),
)
logits_hessian_vector.diagnose(
    "the diagonal alone, p (1 - p). The Hessian has entries -p_i p_k beside it.",
    lambda logits, v: _softmax(logits) * (1 - _softmax(logits)) * v / len(logits),
)
logits_hessian_vector.diagnose(
    "the plain mean of v is taken away. Each entry counts with its probability: (p * v).sum(axis=1).",
    lambda logits, v: _softmax(logits) * (v - v.mean(axis=1, keepdims=True)) / len(logits),
)
logits_hessian_vector.diagnose(
    "the sum runs over the whole batch. Each example has its own: axis=1, keepdims=True.",
    lambda logits, v: _softmax(logits) * (v - (_softmax(logits) * v).sum()) / len(logits),
)
logits_hessian_vector.diagnose(
    "softmax is taken over the batch, where it belongs over the classes of each example.",
    lambda logits, v: (
        (p := _softmax(logits, 0)) * (v - (p * v).sum(axis=1, keepdims=True)) / len(logits)
    ),
)
logits_hessian_vector.diagnose(
    "the sign is wrong: p (v - sum), not p (sum - v). The loss is bowl-shaped in the logits.",
    lambda logits, v: -_curved(logits, v),
)
logits_hessian_vector.diagnose(
    "this is v times the gradient's probabilities, summed: one number for each example. Asked is a product with a matrix.",
    lambda logits, v: (_softmax(logits) * v).sum(axis=1) / len(logits),
)


# ---------------------------------------------------------------- checkpoint_cost


def _cost(layers, segment):
    return -(-layers // segment) + segment, 2 * layers


def _kept(formula):
    return lambda layers, segment: (formula(layers, segment), 2 * layers)


def _computed(formula):
    return lambda layers, segment: (_cost(layers, segment)[0], formula(layers, segment))


@exercise(
    ("kept", "computed"),
    Case("whole numbers", lambda rng: (12, 3)),
    Case("by hand", lambda rng: (6, 2), show=True),
    Case("square", lambda rng: (256, 16), show=True),
    Case("a rest", lambda rng: (10, 4), show=True),
    Case("segments of one layer", lambda rng: (9, 1), show=True),
    Case("one segment", lambda rng: (9, 9), show=True),
    Case("one layer", lambda rng: (1, 1), show=True),
)
def checkpoint_cost(layers, segment):
    """checkpoint_cost(layers, segment) -> (kept, computed): what checkpointing a chain of layers costs (eq-checkpoint-memory).

    Segments of `segment` layers, 1 <= segment <= layers; the last may be shorter. `kept`: the outputs that are alive at the same time
    at most, those of all segments, and those of the layers of a full segment that is run again. `computed`: how many layers are run
    forward, all in all, when every segment is run again. Two whole numbers."""
    return _cost(layers, segment)


checkpoint_cost.diagnose(
    "the last, shorter segment is forgotten: round up, -(-layers // segment).",
    _kept(lambda n, s: n // s + s),
)
checkpoint_cost.diagnose(
    "/ gives a fraction. A number of segments is whole: round up, -(-layers // segment).",
    _kept(lambda n, s: n / s + s),
)
checkpoint_cost.diagnose(
    "the segment that is run again is forgotten: its outputs are alive besides those of the segments.",
    _kept(lambda n, s: -(-n // s)),
)
checkpoint_cost.diagnose(
    "the outputs of the segments are forgotten: they are kept all the while.",
    _kept(lambda n, s: s),
)
checkpoint_cost.diagnose(
    "as many outputs as the plain tape keeps. A segment's own outputs are kept only while it is run again.",
    _kept(lambda n, s: n),
    _kept(lambda n, s: n + -(-n // s)),
)
checkpoint_cost.diagnose(
    "the segments are multiplied by their length, where the two numbers add.",
    _kept(lambda n, s: -(-n // s) * s),
)
checkpoint_cost.diagnose(
    "the way there is not counted, or the run on the way back is not: every layer is run forward twice.",
    _computed(lambda n, s: n),
)
checkpoint_cost.diagnose(
    "the way back is counted as well. Asked is how many layers are run forward: each of them twice.",
    _computed(lambda n, s: 3 * n),
    _computed(lambda n, s: 4 * n),
)
checkpoint_cost.diagnose(
    "it is true that the last segment need not be run again; here it is, so that every layer is run twice.",
    _computed(lambda n, s: 2 * n - (n % s or s)),
)
checkpoint_cost.diagnose(
    "the square root is the best choice of a segment. Asked is what the given one costs.",
    _kept(lambda n, s: 2 * math.isqrt(n)),
)
