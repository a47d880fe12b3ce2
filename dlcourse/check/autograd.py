"""The exercises of the chapter *Automatic differentiation*, each with the wrong answers that it recognises."""

import math

import numpy as np

from dlcourse.check.compare import shapes, values
from dlcourse.check.engine import Case, exercise

# ---------------------------------------------------------------- tape_gradient


class _Number:
    def __init__(self, value, parents=()):
        self.value, self.parents = value, parents  # parents: (number, slope), ...

    def __add__(self, other):
        return _Number(self.value + other.value, ((self, 1.0), (other, 1.0)))

    def __mul__(self, other):
        return _Number(self.value * other.value, ((self, other.value), (other, self.value)))


def _ordered(output):
    done, seen, stack = [], set(), [(output, False)]
    while stack:
        node, complete = stack.pop()
        if complete:
            done.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(parent, False) for parent, _ in node.parents]
    return done[::-1]


def _swept(program, numbers, number=_Number, order=_ordered, share=np.multiply, put=np.add):
    leaves = [number(x) for x in numbers]
    output = program(*leaves)
    d = {output: 1.0}
    for node in order(output):
        for parent, slope in node.parents:
            d[parent] = put(d.get(parent, 0.0), share(d.get(node, 0.0), slope))
    return np.array([d.get(leaf, 0.0) for leaf in leaves])


def _swept_with(**wrong):
    return lambda program, numbers: _swept(program, numbers, **wrong)


class _Exchanged(_Number):
    def __mul__(self, other):
        value = self.value * other.value
        return type(self)(value, ((self, self.value), (other, other.value)))


class _OnceEach(_Number):
    """Parents in a dictionary: in a * a there is one."""

    def __init__(self, value, parents=()):
        super().__init__(value, tuple(dict(parents).items()))

    def __add__(self, other):
        return type(self)(self.value + other.value, super().__add__(other).parents)

    def __mul__(self, other):
        return type(self)(self.value * other.value, super().__mul__(other).parents)


def _breadth_first(output):
    """Each number once, as soon as one of its users has been met."""
    queue, found = [output], {output}
    for node in queue:  # which grows
        new = [parent for parent, _ in dict(node.parents).items() if parent not in found]
        queue += new
        found.update(new)
    return queue


def _visited(program, numbers, again):
    """Depth first, with calls: path by path, or passing on all that has arrived so far."""
    leaves = [_Number(x) for x in numbers]
    output, d = program(*leaves), {}

    def visit(node, share):
        d[node] = d.get(node, 0.0) + share
        for parent, slope in node.parents:
            visit(parent, (d[node] if again else share) * slope)

    visit(output, 1.0)
    return np.array([d.get(leaf, 0.0) for leaf in leaves])


def _squares(a, b):
    return a * a + b * b * b


def _by_hand(a, b):
    c = a * b
    return c * (a + c)


def _late(a, b):
    """c is used by the result itself and, by a longer way, by what the result uses: it must wait."""
    c = a * b
    return c * (c * a + b)


def _doubled(a):
    for _ in range(12):
        a = a + a
    return a


def _long(a, b):
    for _ in range(3000):  # three times as deep as Python's stack
        a = a + b
    return a


def _numbers(program, count):
    return lambda rng: (program, rng.normal(size=count))


@exercise(
    "gradient",
    Case("shape", _numbers(lambda a, b: a * b, 2), shapes),
    Case("by hand", lambda rng: (_by_hand, np.array([2.0, 3.0]))),
    Case("squares", _numbers(_squares, 2)),
    Case("a long way round", _numbers(_late, 2)),
    Case("not used", _numbers(lambda a, b, c: a * c, 3)),
    Case("the leaf itself", _numbers(lambda a: a, 1)),
    Case("twelve doublings", _numbers(_doubled, 1)),
    Case("three thousand steps", _numbers(_long, 2)),
)
def tape_gradient(program, numbers):
    """tape_gradient(program, numbers) -> gradient: run `program` on a tape of your own, and go back (eq-tape-step).

    program takes as many objects as there are numbers, uses + and * between them, and returns one of them.
    numbers (n,) -> gradient (n,), how fast the result grows with each number."""
    return _swept(program, numbers)


tape_gradient.diagnose(
    "a number passes its gradient on before the last of its users has paid in. Order the numbers so that each comes after what it was computed from, and read that from its end.",
    _swept_with(order=_breadth_first),
)
tape_gradient.diagnose(
    "shares overwrite each other. What arrives at one number adds up, also when it is used twice, as in a * a.",
    _swept_with(put=lambda old, new: new),
)
tape_gradient.diagnose(
    "each arrival passes on everything that has arrived so far: shares are counted again. Pass on once, when the number is complete.",
    lambda program, numbers: _visited(program, numbers, again=True),
)
tape_gradient.diagnose(
    "the way back calls itself, and a long tape is deeper than Python's stack. Go through a list, in a loop.",
    lambda program, numbers: _visited(program, numbers, again=False),
)
tape_gradient.diagnose(
    "a product passes its gradient on as it is. Each factor's share is gradient times slope, and the slope is the other factor.",
    _swept_with(share=lambda gradient, slope: gradient),
)
tape_gradient.diagnose(
    "slopes are added as they are. A share is gradient times slope: multiply along a path.",
    _swept_with(share=lambda gradient, slope: slope),
)
tape_gradient.diagnose(
    "the slopes of a product are exchanged: in a * b the slope for a is b, and the slope for b is a.",
    _swept_with(number=_Exchanged),
)
tape_gradient.diagnose(
    "a number that is used twice in one operation is on the tape once, as in a set or a dictionary. In a * a and a + a it has two shares.",
    _swept_with(number=_OnceEach),
)


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


def _not_multiplied(slopes):
    return np.eye(len(slopes))[-1] + slopes.sum(axis=0)


def _stops_early(slopes):
    d = np.eye(len(slopes))[-1]
    for k in range(len(slopes) - 1, 1, -1):
        d = d + d[k] * slopes[k]
    return d


def _whole_or_not(call):
    """The gradient of one number with respect to itself is 1, in any type."""
    return shapes(call) or values(call)


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
    Case("one number", _graph(1), _whole_or_not),
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
graph_gradient.diagnose(
    "nothing leaves the last number. slopes[k, j] belongs to the step from v_j to v_k: row k holds the shares that k gives; and the loop begins with the last number.",
    lambda slopes: np.eye(len(slopes))[-1],
)
graph_gradient.diagnose(
    "slopes are added as they are. A share is gradient times slope: d[k] * slopes[k, j].",
    _not_multiplied,
)
graph_gradient.diagnose(
    "the loop stops too early: the second number, k = 1, passes its gradient on as well.",
    _stops_early,
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
linear_jvp.diagnose(
    "only the input moves here. The weights and the bias move too: x @ weight_dot.T and bias_dot.",
    _tangent(lambda x, w, b, xd, wd, bd: xd @ w.T),
    _tangent(lambda x, w, b, xd, wd, bd: xd @ w.T + b),
)
linear_jvp.diagnose(
    "y_dot holds the bias itself besides bias_dot. A constant does not move: only bias_dot belongs there.",
    _tangent(lambda x, w, b, xd, wd, bd: xd @ w.T + x @ wd.T + b + bd),
)
linear_jvp.diagnose(
    "the two results are exchanged: y first, then y_dot.",
    lambda x, weight, bias, x_dot, weight_dot, bias_dot: (
        _jvp(x, weight, x_dot, weight_dot, bias_dot),
        x @ weight.T + bias,
    ),
)


# ---------------------------------------------------------------- logits_hessian_vector


def _softmax(z, axis=1):
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def _curved(logits, v):
    p = _softmax(logits)
    return p * (v - (p * v).sum(axis=1, keepdims=True)) / len(logits)


def _overflows(logits, v):
    e = np.exp(logits)
    p = e / e.sum(axis=1, keepdims=True)
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

    logits, v (N, C) for C classes -> Hv (N, C). The labels play no part: they drop out when the gradient is differentiated once more."""
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
logits_hessian_vector.diagnose(
    "exp overflows for large logits. Subtract the largest of each row first, eq-softmax-shift.",
    _overflows,
)
logits_hessian_vector.diagnose(
    "the sum has lost its axis, and is spread over the columns: keepdims=True.",
    lambda logits, v: (p := _softmax(logits)) * (v - (p * v).sum(axis=1)) / len(logits),
)
logits_hessian_vector.diagnose(
    "the sum of v is taken away as it is. Each entry counts with its probability: (p * v).sum(axis=1).",
    lambda logits, v: _softmax(logits) * (v - v.sum(axis=1, keepdims=True)) / len(logits),
)
logits_hessian_vector.diagnose(
    "the sign is wrong, and the mean over the batch is forgotten.",
    lambda logits, v: -_curved(logits, v) * len(logits),
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
    at most, those of all segments (the last is the result of the chain, which the caller holds), and those of the layers of a full
    segment that is run again. `computed`: how many layers are run forward, all in all, when every segment is run again. Two whole
    numbers."""
    return _cost(layers, segment)


checkpoint_cost.diagnose(
    "when a shorter segment is left over, its output counts too: it is the result, which the caller holds. Round up, -(-layers // segment).",
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
    "a shorter segment is counted as a full one. Every layer is run forward twice, however they are cut.",
    _computed(lambda n, s: n + -(-n // s) * s),
)
checkpoint_cost.diagnose(
    "only one segment is counted as run again. Each segment is, when its turn comes.",
    _computed(lambda n, s: n + s),
)
checkpoint_cost.diagnose(
    "the square root is the best choice of a segment. Asked is what the given one costs.",
    _kept(lambda n, s: 2 * math.isqrt(n)),
)
