"""The exercises of the chapter *Multilayer perceptrons and back-propagation*, each with the wrong answers that it recognises.

Throughout: rows are examples, weights are (O, I), labels are class numbers, losses are means over the batch, results are new arrays."""

import itertools

import numpy as np

from dlcourse.check.compare import contrast, numerical_gradient, shapes
from dlcourse.check.engine import Case, exercise
from dlcourse.numpy.functional import binary_cross_entropy as package_binary_cross_entropy
from dlcourse.numpy.functional import cross_entropy as package_cross_entropy
from dlcourse.numpy.functional import linear as package_linear
from dlcourse.numpy.functional import log_softmax as package_log_softmax
from dlcourse.numpy.functional import relu as package_relu
from dlcourse.numpy.functional import sigmoid as package_sigmoid
from dlcourse.numpy.functional import softmax as package_softmax

# The names above are bound here, so that `check.use` does not replace the reference by the answer.


def _sigmoid(z):
    return package_sigmoid(np.asarray(z, float))[0]


def _softmax(z):
    return package_softmax(z)[0]


def _log_softmax(z):
    return package_log_softmax(z)[0]


def _onehot(labels, classes):
    return np.eye(classes)[labels]


# ---------------------------------------------------------------- sigmoid


def _plane(rng):
    return (3 * rng.normal(size=(3, 4)),)


@exercise(
    "y",
    Case("shape", _plane, shapes),
    Case("values", _plane),
    Case("no axes (a single number)", lambda rng: (np.array(0.5),)),
    Case("empty", lambda rng: (np.zeros((0, 3)),)),
    Case("large negative", lambda rng: (np.array([-1000.0]),), show=True, quiet=True),
    Case("large positive", lambda rng: (np.array([1000.0]),), show=True, quiet=True),
)
def sigmoid(z):
    """sigmoid(z) -> y: y = 1 / (1 + exp(-z)) entry by entry (eq-sigmoid). z is an array of any shape, y has the same shape.

    It must hold for z = 1000 and z = -1000 too, without a warning."""
    return _sigmoid(z)


sigmoid.diagnose(
    "this is the derivative y (1 - y). The exercise asks for y itself; eq-sigmoid.",
    lambda z: _sigmoid(z) * (1 - _sigmoid(z)),
)
sigmoid.diagnose(
    "the sign of the exponent. sigmoid(z) = 1 / (1 + exp(-z)) grows with z.",
    lambda z: 1 / (1 + np.exp(z)),
)
sigmoid.diagnose(
    "brackets: / binds tighter than +, so 1 / 1 + exp(-z) is 1 + exp(-z). Write 1 / (1 + exp(-z)).",
    lambda z: 1 / 1 + np.exp(-z),
)
sigmoid.diagnose(
    "1 / (1 + exp(-|z|)) is right for z >= 0 only. Below, it is exp(-|z|) / (1 + exp(-|z|)).",
    lambda z: 1 / (1 + np.exp(-np.abs(z))),
)
sigmoid.diagnose("this is tanh, which runs from -1 to 1. The sigmoid runs from 0 to 1.", np.tanh)
sigmoid.diagnose(
    "np.where computes both branches for every entry, so exp still overflows in the one that is not "
    "taken. Compute exp(-|z|) once and use it in both.",
    lambda z: np.where(z >= 0, 1 / (1 + np.exp(-z)), np.exp(z) / (1 + np.exp(z))),
    lambda z: np.where(z < 0, np.exp(z) / (1 + np.exp(z)), 1 / (1 + np.exp(-z))),
)
sigmoid.diagnose(
    "exp(z) / (1 + exp(z)) is inf / inf for large z. Use exp(-|z|), which never exceeds 1.",
    lambda z: np.exp(z) / (1 + np.exp(z)),
)
sigmoid.diagnose(
    "exp(1000) overflows. exp(-|z|) never exceeds 1: y is 1 / (1 + exp(-|z|)) for z >= 0 and exp(-|z|) / (1 + exp(-|z|)) below.",
    lambda z: 1 / (1 + np.exp(-z)),
    lambda z: 1 / (np.exp(-z) + 1),
)


# ---------------------------------------------------------------- softmax


def _rows(rng):
    return (rng.normal(size=(3, 4)),)


def _sum_to_one(call):
    if (sentence := shapes(call)) is not None:
        return sentence
    sums = call.answer[0].sum(axis=-1)
    wrong = np.flatnonzero(~(np.abs(sums - 1) <= 10 * call.tolerance))
    return f"row {wrong[0]} sums to {contrast(sums[wrong[0]], 1.0)}" if len(wrong) else None


def _naive(z):
    return np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)


def _shifted(z, axis=-1):
    return np.exp(z - z.max(axis=axis, keepdims=True))


@exercise(
    "y",
    Case("shape", _rows, shapes),
    Case("rows sum to 1", _rows, _sum_to_one),
    Case("values", _rows),
    Case("as many rows as classes", lambda rng: (rng.normal(size=(3, 3)),)),
    Case("three axes", lambda rng: (rng.normal(size=(2, 3, 4)),)),
    Case("empty", lambda rng: (np.zeros((0, 4)),)),
    Case("ties", lambda rng: (np.full((1, 4), 7.0),), show=True),
    Case("overflow", lambda rng: (np.array([1000.0, 0.0]),), show=True, quiet=True),
    Case(
        "large and close",
        lambda rng: (np.array([1000.0, 999.0, -1000.0, -1000.0]),),
        show=True,
        quiet=True,
    ),
    Case(
        "rows of very different size",
        lambda rng: (np.array([[1000.0, 1000.0], [0.0, 0.0]]),),
        show=True,
        quiet=True,
    ),
)
def softmax(z):
    """softmax(z) -> y: y_i = exp(z_i) / sum_j exp(z_j) over the last axis (eq-softmax). z (..., V), y of the same shape.

    It must hold for logits of 1000, too (eq-softmax-shift)."""
    return _softmax(z)


softmax.diagnose(
    "this divides by the sum over the whole array. Each row is a distribution of its own: sum over the "
    "last axis and keep it, axis=-1, keepdims=True.",
    lambda z: np.exp(z) / np.exp(z).sum(),
    lambda z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(),
)
softmax.diagnose(
    "normalised over the first axis, so the columns sum to 1. The classes are the last axis: axis=-1.",
    lambda z: _shifted(z, 0) / _shifted(z, 0).sum(axis=0, keepdims=True),
)
softmax.diagnose(
    "axis=1 is the last axis of a matrix only. axis=-1 is the last axis of every array.",
    lambda z: _shifted(z, 1) / _shifted(z, 1).sum(axis=1, keepdims=True),
)
softmax.diagnose("not normalised. Divide by the sum of each row; eq-softmax.", np.exp, _shifted)
softmax.diagnose(
    "keepdims=True is missing: a sum of shape (N,) lines up with the columns, not with the rows.",
    lambda z: np.exp(z) / np.exp(z).sum(axis=-1),
    lambda z: _shifted(z) / _shifted(z).sum(axis=-1),
    lambda z: np.exp(z - z.max(axis=-1)) / np.exp(z - z.max(axis=-1)).sum(axis=-1),
)
softmax.diagnose(
    "this is the logarithm of the softmax; eq-log-softmax.", lambda z: np.log(_softmax(z))
)
softmax.diagnose(
    "the sign: exp(-z) makes the largest logit the least probable.", lambda z: _softmax(-z)
)
softmax.diagnose(
    "the exponential is missing: eq-softmax divides exp(z) by its sum, not z by its sum.",
    lambda z: z / z.sum(axis=-1, keepdims=True),
)
softmax.diagnose(
    "the numerator is not exponentiated: eq-softmax divides exp(z_i), not z_i, by the sum of the exponentials.",
    lambda z: z / np.exp(z).sum(axis=-1, keepdims=True),
    lambda z: z / _shifted(z).sum(axis=-1, keepdims=True),
    lambda z: (z - z.max(axis=-1, keepdims=True)) / _shifted(z).sum(axis=-1, keepdims=True),
)
softmax.diagnose(
    "this is the largest entry alone. Every class gets a probability, exp(z_i) over the sum of its row; eq-softmax.",
    lambda z: z.max() / np.exp(z).sum(),
    lambda z: z.max() / np.exp(z - z.max()).sum(),
    lambda z: z.max(axis=-1) / np.exp(z).sum(axis=-1),
    lambda z: z.max(axis=-1, keepdims=True) / np.exp(z).sum(axis=-1, keepdims=True),
    lambda z: _softmax(z).max(axis=-1),
    lambda z: _softmax(z).max(axis=-1, keepdims=True),
)
softmax.diagnose(
    "the sum is lifted by an epsilon, so rows do not sum to 1. It is never 0: with the maximum subtracted it is at least 1.",
    *(
        lambda z, eps=eps: _shifted(z) / (_shifted(z).sum(axis=-1, keepdims=True) + eps)
        for eps in (1e-5, 1e-6, 1e-7, 1e-8)
    ),
    *(
        lambda z, eps=eps: np.exp(z) / (np.exp(z).sum(axis=-1, keepdims=True) + eps)
        for eps in (1e-5, 1e-6, 1e-7, 1e-8)
    ),
)
softmax.diagnose(
    "clipping changes the differences between the logits, and softmax depends on nothing else. Subtract "
    "the row maximum; eq-softmax-shift.",
    lambda z: _naive(np.clip(z, -500, 500)),
    lambda z: _softmax(np.clip(z, -100, 100)),
)
softmax.diagnose(
    "exp(1000) overflows. Subtract the row maximum first; eq-softmax-shift says why that changes nothing.",
    _naive,
    lambda z: _naive(z - z.mean(axis=-1, keepdims=True)),
    lambda z: _naive(z - z.min(axis=-1, keepdims=True, initial=np.inf)),
    lambda z: np.nan_to_num(_naive(z)),
)
softmax.diagnose(
    "one maximum for the whole array leaves rows where every exp is 0, and 0 / 0 is nan. Subtract from "
    "each row its own maximum: max(axis=-1, keepdims=True).",
    lambda z: np.exp(z - z.max()) / np.exp(z - z.max()).sum(axis=-1, keepdims=True),
)


# ---------------------------------------------------------------- linear_backward


def _linear(rng, b=5, i=4, o=3):
    return rng.normal(size=(b, i)), rng.normal(size=(o, i)), rng.normal(size=(b, o))


def _numeric_linear(x, weight, dy):
    def loss(x, weight, bias):
        return ((x @ weight.T + bias) * dy).sum()

    bias = np.zeros(len(weight))
    return (
        numerical_gradient(lambda x: loss(x, weight, bias), x),
        numerical_gradient(lambda weight: loss(x, weight, bias), weight),
        numerical_gradient(lambda bias: loss(x, weight, bias), bias),
    )


def _with(reference, **parts):
    """The reference solution with some of its results replaced: _with(linear_backward, dbias=lambda x, weight, dy: ...)."""
    names = reference.returns

    def wrong(*arguments):
        results = dict(zip(names, reference.reference(*arguments), strict=True))
        return tuple(parts[name](*arguments) if name in parts else results[name] for name in names)

    return wrong


@exercise(
    ("dx", "dweight", "dbias"),
    Case("shapes", _linear, shapes),
    Case("dx", _linear, parts=("dx",)),
    Case("dweight", _linear, parts=("dweight",)),
    Case("dbias", _linear, parts=("dbias",)),
    Case("finite differences", _linear, right=_numeric_linear, tolerance=1e-6),
    Case("batch of one", lambda rng: _linear(rng, b=1)),
    Case("square weight", lambda rng: _linear(rng, b=3, i=3, o=3)),
)
def linear_backward(x, weight, dy):
    """linear_backward(x, weight, dy) -> (dx, dweight, dbias): the gradients of y = x W^T + b (eq-linear-vjp).

    x (B, I), weight (O, I), dy = dL/dy (B, O); each gradient has the shape of what it belongs to: dx (B, I), dweight (O, I), dbias (O,)."""
    return package_linear(x, weight, np.zeros(len(weight)))[1](dy)


linear_backward.diagnose(
    "the results are in another order. Gradients come in the order of the arguments: dx, dweight, dbias.",
    lambda x, weight, dy: (dy.T @ x, dy @ weight, dy.sum(axis=0)),
    lambda x, weight, dy: (dy.T @ x, dy.sum(axis=0), dy @ weight),
    lambda x, weight, dy: (dy.sum(axis=0), dy.T @ x, dy @ weight),
)
linear_backward.diagnose(
    "dx = dy W, without transpose: forward multiplies by W^T, so the way back multiplies by W; eq-linear-vjp.",
    _with(linear_backward, dx=lambda x, weight, dy: dy @ weight.T),
)
linear_backward.diagnose(
    "dweight is transposed. The weight is (O, I), so its gradient is dy^T x; x^T dy is (I, O).",
    _with(linear_backward, dweight=lambda x, weight, dy: x.T @ dy),
)
linear_backward.diagnose(
    "dweight uses the output of the layer (dW = Z dZ^T, as some articles write). The factor beside dy is "
    "the input x; the shapes refute the other.",
    _with(linear_backward, dweight=lambda x, weight, dy: (x @ weight.T).T @ dy),
    _with(linear_backward, dweight=lambda x, weight, dy: dy.T @ (x @ weight.T)),
)
linear_backward.diagnose(
    "the conventions of rows and columns are mixed: with examples in rows, dx = dy W and dweight = dy^T x.",
    lambda x, weight, dy: (weight.T @ dy, dy @ x.T, dy.sum(axis=1)),
    lambda x, weight, dy: (weight @ dy, dy @ x.T, dy.sum(axis=1)),
    _with(linear_backward, dx=lambda x, weight, dy: weight.T @ dy),
    _with(linear_backward, dweight=lambda x, weight, dy: dy @ x.T),
    _with(linear_backward, dweight=lambda x, weight, dy: dy @ x),
    _with(linear_backward, dweight=lambda x, weight, dy: x @ dy),
)
linear_backward.diagnose(
    "* multiplies entry by entry. Every output depends on every input, so gradients are matrix products, "
    "dx = dy W and dweight = dy^T x, written with @.",
    _with(linear_backward, dx=lambda x, weight, dy: dy * weight),
    _with(linear_backward, dx=lambda x, weight, dy: weight * dy),
    _with(linear_backward, dweight=lambda x, weight, dy: dy * x),
    _with(linear_backward, dweight=lambda x, weight, dy: x * dy),
)
linear_backward.diagnose(
    "all three are divided by the batch size. The loss has taken the mean already: dy brings the 1/N with it.",
    lambda x, weight, dy: tuple(g / len(x) for g in linear_backward.reference(x, weight, dy)),
)
linear_backward.diagnose(
    "dweight is divided by the batch size. The loss has taken the mean already: dy brings the 1/N with it.",
    _with(linear_backward, dweight=lambda x, weight, dy: dy.T @ x / len(x)),
)
linear_backward.diagnose(
    "dbias is the mean over the batch. Every row adds to it, so it is the sum; the 1/N of the loss is in dy already.",
    _with(linear_backward, dbias=lambda x, weight, dy: dy.mean(axis=0)),
)
linear_backward.diagnose(
    "dbias is not summed over the batch: one bias serves all rows, and gradients of its uses add, dy.sum(axis=0).",
    _with(linear_backward, dbias=lambda x, weight, dy: dy),
)
linear_backward.diagnose(
    "dbias is summed over the wrong axis. Rows are examples: sum over axis 0, which leaves one number for each output.",
    _with(linear_backward, dbias=lambda x, weight, dy: dy.sum(axis=1)),
    _with(linear_backward, dbias=lambda x, weight, dy: dy.sum(axis=-1, keepdims=True)),
)
linear_backward.diagnose(
    "dbias is summed over everything, batch and outputs. Each output has its own bias: dy.sum(axis=0).",
    _with(linear_backward, dbias=lambda x, weight, dy: dy.sum()),
)
linear_backward.diagnose(
    "dbias keeps the summed axis. The bias is (O,), so its gradient is, too: leave keepdims out.",
    _with(linear_backward, dbias=lambda x, weight, dy: dy.sum(axis=0, keepdims=True)),
)


# ---------------------------------------------------------------- relu_backward


def _away_from_zero(rng):
    return rng.choice([-1.0, 1.0], size=(3, 4)) * rng.uniform(0.5, 2, size=(3, 4)), rng.normal(
        size=(3, 4)
    )


def _write_relu(x, dy):
    dy[x <= 0] = 0
    return dy


@exercise(
    "dx",
    Case("shape", _away_from_zero, shapes),
    Case("values", _away_from_zero),
    Case(
        "finite differences",
        _away_from_zero,
        right=lambda x, dy: numerical_gradient(lambda x: (np.maximum(x, 0) * dy).sum(), x),
        tolerance=1e-6,
    ),
    Case("at zero", lambda rng: (np.array([0.0, -0.0, 2.0]), np.array([5.0, 6.0, 7.0])), show=True),
    Case("empty", lambda rng: (np.zeros((0, 3)), np.zeros((0, 3)))),
)
def relu_backward(x, dy):
    """relu_backward(x, dy) -> dx: the gradient of y = max(x, 0) (eq-relu-vjp), taken as 0 at x = 0.

    x is the input of relu, dy = dL/dy; all have the same shape."""
    return package_relu(x)[1](dy)


relu_backward.diagnose(
    "dy is forgotten: this is the derivative of relu itself, the mask of 0 and 1. The chain rule multiplies it by dy; eq-relu-vjp.",
    lambda x, dy: (x > 0).astype(float),
    lambda x, dy: (x >= 0).astype(float),
    lambda x, dy: x > 0,
    lambda x, dy: x >= 0,
)
relu_backward.diagnose(
    "the mask asks for dy > 0. It is the input x that decides which entries pass; a negative dy passes as well.",
    lambda x, dy: dy * (dy > 0),
    lambda x, dy: dy * (dy >= 0),
)
relu_backward.diagnose(
    "the mask is forgotten: dx is dy only where x > 0, and 0 elsewhere.", lambda x, dy: dy.copy()
)
relu_backward.diagnose(
    "dy is multiplied by relu(x). The derivative of relu is 1 where x > 0, not x.",
    lambda x, dy: dy * np.maximum(x, 0),
    lambda x, dy: dy * x,
)
relu_backward.diagnose(
    "this is relu itself. Backward passes dy on where x > 0; eq-relu-vjp.",
    lambda x, dy: np.maximum(x, 0),
)
relu_backward.diagnose(
    "the mask is the wrong way round: entries pass where x > 0.",
    lambda x, dy: dy * (x < 0),
    lambda x, dy: dy * (x <= 0),
)
relu_backward.diagnose(
    "x >= 0 lets the gradient pass at x = 0, where relu has a corner. The convention here, as in PyTorch, is 0: x > 0.",
    lambda x, dy: dy * (x >= 0),
)
relu_backward.diagnose(
    "dy[...] = 0 writes into the array that the caller still needs. Compute a new one: dy * (x > 0).",
    _write_relu,
)


# ---------------------------------------------------------------- cross_entropy


def _logits(rng):
    return 2 * rng.normal(size=(5, 4)), np.array([2, 0, 3, 2, 1])


def _mean_loss(logits, labels):
    """-mean log p, written so that it is right for every logit."""
    return package_cross_entropy(logits, labels)[0]


def _error(logits, labels):
    """p minus one-hot, not divided."""
    return _softmax(logits) - _onehot(labels, logits.shape[1])


def _picked(p, labels):
    return p[np.arange(len(labels)), labels]


def _block_error(logits, labels):
    """p minus 1 in whole columns."""
    p = _softmax(logits)
    p[:, labels] -= 1
    return p / len(logits)


# what readers of NumPy's manual add to p instead of a power of ten
TINY = np.finfo(np.float32).eps, np.finfo(float).eps, np.finfo(float).tiny
BLOCK = "p[:, y] picks N columns for every row; p[np.arange(N), y] picks one entry a row."


@exercise(
    ("loss", "dlogits"),
    Case("shapes", _logits, shapes),
    Case("loss", _logits, parts=("loss",)),
    Case("dlogits", _logits, parts=("dlogits",)),
    Case(
        "finite differences",
        _logits,
        right=lambda z, y: (_mean_loss(z, y), numerical_gradient(lambda z: _mean_loss(z, y), z)),
        parts=("dlogits",),
        tolerance=1e-6,
    ),
    Case("batch of one", lambda rng: (rng.normal(size=(1, 4)), np.array([3]))),
    Case("ties", lambda rng: (np.zeros((2, 4)), np.array([0, 1]))),
    Case("large logits", lambda rng: (np.array([[1000.0, 0.0]]), np.array([0])), show=True),
    Case("sure and wrong", lambda rng: (np.array([[1000.0, 0.0]]), np.array([1])), show=True),
)
def cross_entropy(logits, labels):
    """cross_entropy(logits, labels) -> (loss, dlogits): the mean of -log p of the right class, p = softmax(logits), and its gradient
    (eq-cross-entropy, eq-softmax-ce-vjp).

    logits (N, V), labels (N,) class numbers; loss is one number, dlogits (N, V). It must hold for logits of 1000, too."""
    loss, backward = package_cross_entropy(logits, labels)
    return loss, backward()


cross_entropy.diagnose(
    "softmax is applied twice. The logits go through it once.",
    lambda z, y: (_mean_loss(_softmax(z), y), _error(_softmax(z), y) / len(z)),
    lambda z, y: (_mean_loss(_softmax(z), y), _error(z, y) / len(z)),
)
cross_entropy.diagnose(
    "the logits are taken for probabilities: softmax comes first, then the logarithm.",
    lambda z, y: (-np.log(_picked(z, y)).mean(), _error(z, y) / len(z)),
    lambda z, y: (-_picked(z, y).mean(), (z - _onehot(y, z.shape[1])) / len(z)),
)
cross_entropy.diagnose(
    "the loss has the wrong sign: log p is negative, so the loss is minus its mean.",
    _with(cross_entropy, loss=lambda z, y: -_mean_loss(z, y)),
)
cross_entropy.diagnose(
    "the loss is the sum over the batch. Divide by N, else it grows with the batch; eq-cross-entropy.",
    _with(cross_entropy, loss=lambda z, y: len(z) * _mean_loss(z, y)),
)
cross_entropy.diagnose(
    "the loss is averaged over all N V entries (np.mean of the masked array). Sum over the classes, then average over the N examples.",
    _with(cross_entropy, loss=lambda z, y: _mean_loss(z, y) / z.shape[1]),
)
cross_entropy.diagnose(
    "the loss is not reduced: one number for each example. Return the mean.",
    _with(cross_entropy, loss=lambda z, y: -np.log(_picked(_softmax(z), y))),
)
cross_entropy.diagnose(
    "the logarithm is missing: this is minus the mean probability of the right class.",
    _with(cross_entropy, loss=lambda z, y: -_picked(_softmax(z), y).mean()),
)
cross_entropy.diagnose(
    "the logarithm has another base. It is the natural one, np.log; eq-cross-entropy.",
    _with(cross_entropy, loss=lambda z, y: _mean_loss(z, y) / np.log(2)),
    _with(cross_entropy, loss=lambda z, y: _mean_loss(z, y) / np.log(10)),
)
cross_entropy.diagnose(
    BLOCK,
    _with(cross_entropy, loss=lambda z, y: -np.log(_softmax(z)[:, y]).mean()),
    _with(cross_entropy, loss=lambda z, y: -_log_softmax(z)[:, y].mean()),
    _with(cross_entropy, loss=lambda z, y: -_log_softmax(z)[:, y].sum() / len(z)),
    _with(cross_entropy, dlogits=_block_error),
    lambda z, y: (-np.log(_softmax(z)[:, y]).mean(), _block_error(z, y)),
    lambda z, y: (-_log_softmax(z)[:, y].mean(), _block_error(z, y)),
)
cross_entropy.diagnose(
    "p has changed before the loss is taken from it: dlogits = p is no copy. Take the loss first, or write p.copy().",
    _with(cross_entropy, loss=lambda z, y: -np.log(_picked(_error(z, y), y)).mean()),
    _with(cross_entropy, loss=lambda z, y: -np.log(_picked(_error(z, y), y) / len(z)).mean()),
)
cross_entropy.diagnose(
    "the gradient lacks the mean over the batch: the loss is a mean, so its gradient is (p - onehot) / N; eq-softmax-ce-vjp.",
    _with(cross_entropy, dlogits=_error),
)
cross_entropy.diagnose(
    "the gradient is divided by all N V entries. The mean is over the N examples only.",
    _with(cross_entropy, dlogits=lambda z, y: _error(z, y) / z.size),
)
cross_entropy.diagnose(
    "the gradient has the wrong sign: it is p minus one-hot, which lowers the logits of wrong classes when we step against it.",
    _with(cross_entropy, dlogits=lambda z, y: -_error(z, y) / len(z)),
    _with(cross_entropy, dlogits=lambda z, y: -_error(z, y)),
)
cross_entropy.diagnose(
    "the one-hot label is missing: this is softmax itself. Subtract 1 at the right class of each row.",
    _with(cross_entropy, dlogits=lambda z, y: _softmax(z) / len(z)),
    _with(cross_entropy, dlogits=lambda z, y: _softmax(z)),
)
cross_entropy.diagnose(
    "the class number itself is subtracted. A label names a class, it is no quantity: make it one-hot, np.eye(V)[labels].",
    _with(cross_entropy, dlogits=lambda z, y: (_softmax(z) - y[:, None]) / len(z)),
    _with(cross_entropy, dlogits=lambda z, y: _softmax(z) - y[:, None]),
    _with(cross_entropy, dlogits=lambda z, y: (_softmax(z) - y) / len(z)),
)
cross_entropy.diagnose(
    "this is the gradient with respect to the probabilities. The derivative of softmax is missing; with "
    "it, -onehot / p becomes p - onehot.",
    _with(cross_entropy, dlogits=lambda z, y: -_onehot(y, z.shape[1]) / _softmax(z) / len(z)),
    _with(cross_entropy, dlogits=lambda z, y: -_onehot(y, z.shape[1]) / _softmax(z)),
)
cross_entropy.diagnose(
    "exp(1000) overflows. Subtract the row maximum first; eq-softmax-shift says why that changes nothing.",
    lambda z, y: (
        -np.log(_picked(_naive(z), y)).mean(),
        (_naive(z) - _onehot(y, z.shape[1])) / len(z),
    ),
    lambda z, y: ((np.log(np.exp(z).sum(axis=1)) - _picked(z, y)).mean(), _error(z, y) / len(z)),
    lambda z, y: (
        -np.log((_naive(z) * _onehot(y, z.shape[1])).sum(axis=1)).mean(),
        _error(z, y) / len(z),
    ),
)
cross_entropy.diagnose(
    "p of the right class rounds to 0, and log(0) is -inf. Compute log p directly, z - max - log(sum(exp(z - max))); eq-log-softmax.",
    _with(cross_entropy, loss=lambda z, y: -np.log(_picked(_softmax(z), y)).mean()),
    _with(
        cross_entropy,
        loss=lambda z, y: -(_onehot(y, z.shape[1]) * np.log(_softmax(z))).sum(axis=1).mean(),
    ),
)
cross_entropy.diagnose(
    "an epsilon in the logarithm, log(p + eps) or clip(p, eps, 1), hides that p rounds to 0: it caps the loss at "
    "-log(eps) and shifts the others. Compute log p directly, z - max - log(sum(exp(z - max))); eq-log-softmax.",
    *(
        _with(
            cross_entropy,
            loss=lambda z, y, eps=eps, fix=fix: -np.log(fix(_picked(_softmax(z), y), eps)).mean(),
        )
        for eps in (*(10.0**-k for k in (*range(3, 17), 20, 30, 38, 50, 100, 200, 300)), *TINY)
        for fix in (np.add, np.maximum, lambda p, eps: np.clip(p, eps, 1 - eps))
    ),
)


# ---------------------------------------------------------------- output_error


def _binary(rng):
    return 2 * rng.normal(size=6), np.array([1.0, 0.0, 0.0, 1.0, 1.0, 0.0])


def _derivative(s):
    return s * (1 - s)


def _and_mean(fn):
    """A wrong formula as it is, and divided by the number of entries."""
    return fn, lambda z, t: fn(z, t) / z.size


@exercise(
    "dlogits",
    Case("shape", _binary, shapes),
    Case("values", _binary),
    Case(
        "finite differences",
        _binary,
        right=lambda z, t: numerical_gradient(lambda z: package_binary_cross_entropy(z, t)[0], z),
        tolerance=1e-6,
    ),
    Case(
        "two axes",
        lambda rng: (rng.normal(size=(3, 2)), np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])),
    ),
    Case("soft targets", lambda rng: (rng.normal(size=3), np.array([0.2, 0.5, 0.9]))),
    Case(
        "sure and right",
        lambda rng: (np.array([1000.0, -1000.0]), np.array([1.0, 0.0])),
        show=True,
        quiet=True,
    ),
)
def output_error(logits, targets):
    """output_error(logits, targets) -> dlogits: the gradient of the mean binary cross-entropy of sigmoid(logits) (eq-bce-vjp).

    logits z and targets t in [0, 1] have the same shape, with n entries in all; so has dlogits = dL/dz."""
    return package_binary_cross_entropy(logits, targets)[1]()


output_error.diagnose(
    "the mean is missing: the loss is a mean over n entries, so its gradient is (sigmoid(z) - t) / n; eq-bce-vjp.",
    lambda z, t: _sigmoid(z) - t,
)
output_error.diagnose(
    "len(logits) and shape[k] count along one axis only. The loss is a mean over all n entries: logits.size.",
    lambda z, t: (_sigmoid(z) - t) / len(z),
    lambda z, t: (_sigmoid(z) - t) / z.shape[-1],
)
output_error.diagnose(
    "brackets: / binds tighter than -, so only t is divided by n. Write (sigmoid(z) - t) / n.",
    lambda z, t: _sigmoid(z) - t / z.size,
)
output_error.diagnose(
    "this is the mean of the error, one number. Each logit has a gradient of its own, (sigmoid(z) - t) / n; "
    "the mean of the loss leaves the 1/n.",
    lambda z, t: (_sigmoid(z) - t).mean(),
    lambda z, t: (_sigmoid(z) - t).sum(),
)
output_error.diagnose(
    "this is a loss. The exercise asks for its gradient with respect to the logits, (sigmoid(z) - t) / n; eq-bce-vjp.",
    lambda z, t: package_binary_cross_entropy(z, t)[0],
    lambda z, t: -(t * np.log(_sigmoid(z)) + (1 - t) * np.log(1 - _sigmoid(z))).mean(),
    lambda z, t: np.logaddexp(0, z) - t * z,
    lambda z, t: ((_sigmoid(z) - t) ** 2).mean(),
)
output_error.diagnose(
    "the sign: the error is y - t, prediction minus target. t - y points the other way and makes gradient descent climb.",
    *_and_mean(lambda z, t: t - _sigmoid(z)),
)
output_error.diagnose(
    "(1 - y) t is right, up to its sign, only where t = 1; entries with t = 0 would never learn. It is y - t; eq-bce-vjp.",
    *_and_mean(lambda z, t: (1 - _sigmoid(z)) * t),
    *_and_mean(lambda z, t: (_sigmoid(z) - 1) * t),
)
output_error.diagnose(
    "sigma' is taken at the activated value y, sigma(y) (1 - sigma(y)). It belongs to z, and with "
    "cross-entropy it cancels: y - t remains.",
    *_and_mean(lambda z, t: _derivative(_sigmoid(_sigmoid(z))) * (t - _sigmoid(z))),
    *_and_mean(lambda z, t: _derivative(_sigmoid(_sigmoid(z))) * (_sigmoid(z) - t)),
)
output_error.diagnose(
    "the factor y (1 - y) belongs to the squared error. Cross-entropy cancels it: y - t remains; eq-bce-vjp.",
    *_and_mean(lambda z, t: _derivative(_sigmoid(z)) * (_sigmoid(z) - t)),
    *_and_mean(lambda z, t: _derivative(_sigmoid(z)) * (t - _sigmoid(z))),
    *_and_mean(lambda z, t: 2 * _derivative(_sigmoid(z)) * (_sigmoid(z) - t)),
)
output_error.diagnose(
    "the factor 2 comes from the squared error. Cross-entropy has none: (sigmoid(z) - t) / n; eq-bce-vjp.",
    *_and_mean(lambda z, t: 2 * (_sigmoid(z) - t)),
)
output_error.diagnose(
    "this is the derivative with respect to the probability. Multiply by sigma'(z) = p (1 - p) to reach z; then p - t remains.",
    *_and_mean(lambda z, t: -(t / _sigmoid(z) - (1 - t) / (1 - _sigmoid(z)))),
    *_and_mean(lambda z, t: t / _sigmoid(z) - (1 - t) / (1 - _sigmoid(z))),
)
output_error.diagnose(
    "the sigmoid is missing: logits are not probabilities yet.", *_and_mean(lambda z, t: z - t)
)
output_error.diagnose(
    "the targets are missing: the error is y - t.", *_and_mean(lambda z, t: _sigmoid(z))
)
output_error.diagnose(
    "1 / (1 + e^-z) comes out right, but for z = -1000 the e^-z in it overflows on the way, and NumPy warns. "
    "Use the equal form sigmoid(z) = e^z / (1 + e^z) for negative z, beside eq-sigmoid.",
    lambda z, t: (1 / (1 + np.exp(-z)) - t) / z.size,
)
output_error.diagnose(
    "e^z / (1 + e^z) is inf / inf for large z. It is the form for negative z; from 0 on use 1 / (1 + e^-z), beside eq-sigmoid.",
    lambda z, t: (np.exp(z) / (1 + np.exp(z)) - t) / z.size,
)
output_error.diagnose(
    "both forms of the sigmoid are right, but np.where computes both for every entry, so exp overflows in "
    "the one that is not taken. Compute e = exp(-|z|) once: 1 / (1 + e) from 0 on, e / (1 + e) below.",
    lambda z, t: (np.where(z >= 0, 1 / (1 + np.exp(-z)), np.exp(z) / (1 + np.exp(z))) - t) / z.size,
)


# ---------------------------------------------------------------- mlp_backward


def _network(rng, n=5, i=4, h=6, v=3):
    parameters = (
        rng.normal(size=(h, i)),
        rng.normal(size=h),
        rng.normal(size=(v, h)),
        rng.normal(size=v),
    )
    return rng.normal(size=(n, i)), rng.integers(0, v, size=n), *parameters


def _unit_at_zero(rng):
    x, labels, W1, b1, W2, b2 = _network(rng)
    W1[0], b1[0] = 0, 0
    return x, labels, W1, b1, W2, b2


def _network_loss(x, labels, W1, b1, W2, b2):
    return _mean_loss(np.maximum(x @ W1.T + b1, 0) @ W2.T + b2, labels)


def _numeric_network(x, labels, *parameters):
    def along(k):
        return numerical_gradient(
            lambda p: _network_loss(x, labels, *parameters[:k], p, *parameters[k + 1 :]),
            parameters[k],
        )

    return tuple(along(k) for k in range(4))


def _by_hand(
    error=lambda z, y: _error(z, y) / len(z),  # dL/dlogits
    hidden=lambda z1: np.maximum(z1, 0),
    mask=lambda z1, dh, x: z1 > 0,
    back=lambda d, W2: d @ W2,
    weight2=lambda d, h, z1: d.T @ h,
    weight1=lambda d, x: d.T @ x,
    bias=lambda d: d.sum(axis=0),
    start=lambda x, W1, b1: x @ W1.T + b1,
    order=lambda *gradients: gradients,
):
    """The backward pass with one piece exchanged."""

    def wrong(x, labels, W1, b1, W2, b2):
        z1 = start(x, W1, b1)
        h = hidden(z1)
        d2 = error(h @ W2.T + b2, labels)
        dh = back(d2, W2)
        d1 = dh * mask(z1, dh, x)
        return order(weight1(d1, x), bias(d1), weight2(d2, h, z1), bias(d2))

    return wrong


@exercise(
    ("dW1", "db1", "dW2", "db2"),
    Case("shapes", _network, shapes),
    Case("dW2", _network, parts=("dW2",)),
    Case("db2", _network, parts=("db2",)),
    Case("dW1", _network, parts=("dW1",)),
    Case("db1", _network, parts=("db1",)),
    Case("finite differences", _network, right=_numeric_network, tolerance=1e-6),
    Case("batch of one", lambda rng: _network(rng, n=1)),
    Case("all widths equal", lambda rng: _network(rng, n=4, i=4, h=4, v=4)),
    Case("a hidden unit at zero", _unit_at_zero),
)
def mlp_backward(x, labels, W1, b1, W2, b2):
    """mlp_backward(x, labels, W1, b1, W2, b2) -> (dW1, db1, dW2, db2): the gradients of a network with one hidden layer (eq-backprop).

    Forward: z1 = x W1^T + b1, h = relu(z1), logits = h W2^T + b2; the loss is the mean cross-entropy of softmax(logits).
    x (N, I), labels (N,), W1 (H, I), b1 (H,), W2 (V, H), b2 (V,); each gradient has the shape of its parameter."""
    z1, first_back = package_linear(x, W1, b1)
    h, relu_back = package_relu(z1)
    logits, second_back = package_linear(h, W2, b2)
    dh, dW2, db2 = second_back(package_cross_entropy(logits, labels)[1]())
    _, dW1, db1 = first_back(relu_back(dh))
    return dW1, db1, dW2, db2


mlp_backward.diagnose(
    "the results are in another order. Gradients come in the order of the arguments: dW1, db1, dW2, db2.",
    _by_hand(order=lambda dW1, db1, dW2, db2: (dW2, db2, dW1, db1)),
    _by_hand(order=lambda dW1, db1, dW2, db2: (dW1, dW2, db1, db2)),
    _by_hand(order=lambda dW1, db1, dW2, db2: (dW2, dW1, db2, db1)),
)
mlp_backward.diagnose(
    "the mean over the batch is forgotten: the error at the output is (p - onehot) / N; eq-softmax-ce-vjp.",
    _by_hand(error=_error),
)
mlp_backward.diagnose(
    "the error at the output has the wrong sign: it is p minus one-hot.",
    _by_hand(error=lambda z, y: -_error(z, y) / len(z)),
    _by_hand(error=lambda z, y: -_error(z, y)),
)
mlp_backward.diagnose(
    "the class number itself is subtracted. A label names a class, it is no quantity: make it one-hot, np.eye(V)[labels].",
    _by_hand(error=lambda z, y: (_softmax(z) - y) / len(z)),
    _by_hand(error=lambda z, y: (_softmax(z) - y[:, None]) / len(z)),
)
mlp_backward.diagnose(
    "the one-hot label is missing from the error at the output: this is softmax itself, without the 1 "
    "subtracted at the right class of each row.",
    _by_hand(error=lambda z, y: _softmax(z) / len(z)),
    _by_hand(error=lambda z, y: _softmax(z)),
)
mlp_backward.diagnose(
    "the error at the output is divided by all N V entries. The mean is over the N examples only.",
    _by_hand(error=lambda z, y: _error(z, y) / z.size),
)
mlp_backward.diagnose(BLOCK, _by_hand(error=_block_error))
mlp_backward.diagnose(
    "the batch size is divided out twice. The 1/N is in the error at the output, (p - onehot) / N, and "
    "reaches every gradient from there.",
    _by_hand(error=lambda z, y: _error(z, y) / len(z) ** 2),
    _by_hand(weight1=lambda d, x: d.T @ x / len(x), weight2=lambda d, h, z1: d.T @ h / len(h)),
)
mlp_backward.diagnose(
    "softmax is forgotten in the error at the output: it is p minus one-hot, p = softmax(logits).",
    _by_hand(error=lambda z, y: (z - _onehot(y, z.shape[1])) / len(z)),
    _by_hand(error=lambda z, y: z - _onehot(y, z.shape[1])),
)
mlp_backward.diagnose(
    "the derivative of the output activation is multiplied in a second time. With softmax and "
    "cross-entropy it has cancelled: p - onehot remains.",
    _by_hand(error=lambda z, y: _error(z, y) * _derivative(_softmax(z)) / len(z)),
    _by_hand(error=lambda z, y: _error(z, y) * _derivative(_softmax(z))),
)
mlp_backward.diagnose(
    "relu is forgotten in the forward pass, so the hidden values are wrong already.",
    _by_hand(hidden=lambda z1: z1),
    _by_hand(hidden=lambda z1: z1, mask=lambda z1, dh, x: 1),
)
mlp_backward.diagnose(
    "the forward pass multiplies by W1. Weights are (O, I) and examples are rows: z1 = x W1^T + b1; eq-linear.",
    _by_hand(start=lambda x, W1, b1: x @ W1 + b1),
)
mlp_backward.diagnose(
    "b1 is forgotten in the forward pass.", _by_hand(start=lambda x, W1, b1: x @ W1.T)
)
mlp_backward.diagnose(
    "the mask of relu is forgotten: the gradient passes only where the hidden value z1 was above 0; eq-relu-vjp.",
    _by_hand(mask=lambda z1, dh, x: 1),
)
mlp_backward.diagnose(
    "the mask lets the gradient pass where z1 = 0. The convention for relu at 0 is the gradient 0: z1 > 0.",
    _by_hand(mask=lambda z1, dh, x: z1 >= 0),
)
mlp_backward.diagnose(
    "the mask of relu comes from the gradient. It comes from the forward pass: z1 > 0.",
    _by_hand(mask=lambda z1, dh, x: dh > 0),
)
mlp_backward.diagnose(
    "the gradient is multiplied by the hidden values themselves. The derivative of relu is 1 where z1 > 0, not z1.",
    _by_hand(mask=lambda z1, dh, x: np.maximum(z1, 0)),
)
mlp_backward.diagnose(
    "dW2 uses z1, the hidden layer before relu. The input of the second layer is h = relu(z1).",
    _by_hand(weight2=lambda d, h, z1: d.T @ z1),
)
mlp_backward.diagnose(
    "a weight gradient is transposed. Weights are (O, I), so their gradients are error^T input.",
    _by_hand(weight1=lambda d, x: x.T @ d, weight2=lambda d, h, z1: h.T @ d),
    _by_hand(weight1=lambda d, x: x.T @ d),
    _by_hand(weight2=lambda d, h, z1: h.T @ d),
)
mlp_backward.diagnose(
    "the error goes back through W2 transposed. Forward multiplies by W2^T, so the way back multiplies by W2.",
    _by_hand(back=lambda d, W2: d @ W2.T),
)
mlp_backward.diagnose(
    "bias gradients are means over the batch. Every row adds to them, so they are sums; the 1/N is in the error already.",
    _by_hand(bias=lambda d: d.mean(axis=0)),
)
mlp_backward.diagnose(
    "bias gradients are not summed over the batch: one bias serves all rows, error.sum(axis=0).",
    _by_hand(bias=lambda d: d),
)
mlp_backward.diagnose(
    "bias gradients are summed over the wrong axis, or keep it: error.sum(axis=0) has the shape of the bias.",
    _by_hand(bias=lambda d: d.sum(axis=1)),
    _by_hand(bias=lambda d: d.sum(axis=0, keepdims=True)),
    _by_hand(bias=lambda d: d.sum()),
)


# ---------------------------------------------------------------- central_difference


def cubes(x):
    """The function that is differentiated: sum of cubes plus the square of the sum. It works for the arrays of every framework."""
    return (x * x * x).sum() + x.sum() * x.sum()


def _at(*shape):
    return lambda rng: (cubes, rng.uniform(0.5, 1.5, size=shape), 0.1)


def _difference(quotient, start=np.zeros_like):
    """Entry by entry: quotient(f(x + h e), f(x - h e), f(x), h)."""

    def wrong(f, x, h):
        gradient = start(x)
        for i in np.ndindex(x.shape):
            step = np.zeros_like(x)
            step[i] = h
            gradient[i] = quotient(f(x + step), f(x - step), f(x), h)
        return gradient

    return wrong


def _rows_only(f, x, h):
    gradient = np.zeros_like(x)
    for i in range(len(x)):
        step = np.zeros_like(x)
        step[i] = h
        gradient[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


def _flat_index(f, x, h):
    gradient = np.zeros_like(x)
    for i in range(x.size):
        step = np.zeros_like(x)
        step[i] = h
        gradient[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


def _at_points(points):
    """The steps are made in the two arrays that points(x) returns."""

    def wrong(f, x, h):
        gradient = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            up, down = points(x)
            up[i] += h
            down[i] -= h
            gradient[i] = (f(up) - f(down)) / (2 * h)
        return gradient

    return wrong


def _one_array(f, x, h):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up = down = x
        up[i] += h
        high = f(up)
        down[i] -= h
        gradient[i] = (high - f(down)) / (2 * h)
    return gradient


def _copied_once(f, x, h):
    gradient, up, down = np.zeros_like(x), x.copy(), x.copy()
    for i in np.ndindex(x.shape):
        up[i] += h
        down[i] -= h
        gradient[i] = (f(up) - f(down)) / (2 * h)
    return gradient


def _never_back(f, x, h):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        x[i] += h
        up = f(x)
        x[i] -= 2 * h
        gradient[i] = (up - f(x)) / (2 * h)
    return gradient


def _almost_back(f, x, h):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        x[i] += h
        up = f(x)
        x[i] -= 2 * h
        gradient[i] = (up - f(x)) / (2 * h)
        x[i] += h
    return gradient


@exercise(
    "gradient",
    Case("shape", _at(5), shapes),
    Case("values", _at(5), tolerance=1e-6),
    Case("one entry", _at(1), tolerance=1e-6),
    Case("two axes", _at(2, 3), tolerance=1e-6),
    Case("another h", lambda rng: (cubes, rng.uniform(0.5, 1.5, size=3), 0.5), tolerance=1e-6),
)
def central_difference(f, x, h):
    """central_difference(f, x, h) -> gradient: (f(x + h e_i) - f(x - h e_i)) / (2 h) for every entry i of x (eq-central-difference).

    f takes an array of the shape of x and returns one number; x may have any number of axes, gradient has the shape of x.
    x must be the same, to the last bit, when the function returns."""
    return _difference(lambda up, down, mid, h: (up - down) / (2 * h))(f, x, h)


central_difference.diagnose(
    "a one-sided difference. Its error shrinks with h, that of the central one with h squared: use f(x + h) and f(x - h).",
    _difference(lambda up, down, mid, h: (up - mid) / h),
    _difference(lambda up, down, mid, h: (mid - down) / h),
)
central_difference.diagnose(
    "divided by h, and so twice as large as it should be: the two points are 2 h apart.",
    _difference(lambda up, down, mid, h: (up - down) / h),
)
central_difference.diagnose(
    "the difference is not divided by 2 h.", _difference(lambda up, down, mid, h: up - down)
)
central_difference.diagnose(
    "/ 2 * h divides by 2 and then multiplies by h. Write / (2 * h).",
    _difference(lambda up, down, mid, h: (up - down) / 2 * h),
)
central_difference.diagnose(
    "the argument h is not used: the step is another one.",
    lambda f, x, h: _difference(lambda up, down, mid, h: (up - down) / (2 * h))(f, x, 1e-5),
)
central_difference.diagnose(
    "brackets: / binds tighter than -, so only f(x - h) is divided. Write (f(x + h) - f(x - h)) / (2 * h).",
    _difference(lambda up, down, mid, h: up - down / (2 * h)),
    _difference(lambda up, down, mid, h: up - down / 2 * h),
)
central_difference.diagnose(
    "up = x makes no copy: both are one array, and a step in up moves x as well. Write up = x.copy(), down = x.copy().",
    _at_points(lambda x: (x, x)),
    _at_points(lambda x: (x, x.copy())),
    _one_array,
)
central_difference.diagnose(
    "gradient = x makes no copy: writing the gradient moves x. Start from np.zeros_like(x).",
    _difference(lambda up, down, mid, h: (up - down) / (2 * h), start=lambda x: x),
)
central_difference.diagnose(
    "the gradient is one long list. It has the shape of x: reshape(x.shape), or write into gradient[i].",
    lambda f, x, h: central_difference.reference(f, x, h).ravel(),
)
central_difference.diagnose(
    "only the last entry is kept: every turn of the loop overwrites the result. Write into gradient[i].",
    lambda f, x, h: central_difference.reference(f, x, h).ravel()[-1],
)
central_difference.diagnose(
    "only the first entry is there: return stands inside the loop. Move it out to the left.",
    lambda f, x, h: (
        central_difference.reference(f, x, h) * (np.arange(x.size) == 0).reshape(x.shape)
    ),
)
central_difference.diagnose(
    "the copies are made once, before the loop, so the steps of earlier entries are still in them. Copy "
    "x anew for every entry.",
    _copied_once,
)
central_difference.diagnose(
    "the sign: f(x + h) minus f(x - h).",
    _difference(lambda up, down, mid, h: (down - up) / (2 * h)),
)
central_difference.diagnose(
    "all entries are moved at once, which gives one number, the slope along (1, 1, ...). Move one entry at a time.",
    lambda f, x, h: (f(x + h) - f(x - h)) / (2 * h),
    lambda f, x, h: np.full_like(x, (f(x + h) - f(x - h)) / (2 * h)),
)
central_difference.diagnose(
    "x[i] of a matrix is a whole row. Loop over all entries: for i in np.ndindex(x.shape).",
    _rows_only,
    _flat_index,
)
central_difference.diagnose(
    "x is moved and not put back, so later entries are taken at another point. Work on a copy.",
    _never_back,
)
central_difference.diagnose(
    "+ h, - 2 h, + h does not come back to the same last digit. Keep the old value and put it back, or work on a copy.",
    _almost_back,
)


# ---------------------------------------------------------------- parameter_count


def _count(inputs, hidden, outputs, weights=lambda i, o: i * o, biases=lambda i, o: o, last=True):
    sizes = (inputs, *hidden, outputs) if last else (inputs, *hidden)
    return sum(weights(i, o) + biases(i, o) for i, o in itertools.pairwise(sizes))


@exercise(
    "count",
    Case("two hidden layers", lambda rng: (784, (128, 64), 10), show=True),
    Case("no hidden layer", lambda rng: (64, (), 10), show=True),
    Case("one hidden layer", lambda rng: (1000, (512,), 10), show=True),
    Case("three hidden layers", lambda rng: (7, (5, 4, 3), 2), show=True),
)
def parameter_count(inputs, hidden, outputs):
    """parameter_count(inputs, hidden, outputs) -> count: how many weights and biases a multilayer perceptron has (eq-parameter-count).

    hidden is a tuple with the widths of the hidden layers; it may be empty. The count is a whole number."""
    return _count(inputs, hidden, outputs)


parameter_count.diagnose(
    "the biases are forgotten: a layer has I O weights and O biases; eq-parameter-count.",
    lambda i, h, o: _count(i, h, o, biases=lambda i, o: 0),
)
parameter_count.diagnose(
    "the output layer is forgotten: it has weights and biases as well.",
    lambda i, h, o: _count(i, h, o, last=False),
)
parameter_count.diagnose(
    "hidden may be empty, and then hidden[0] and hidden[-1] do not exist. Go through all pairs of neighbours in (inputs, *hidden, outputs).",
    lambda i, h, o: _count(i, h, o) + 0 * h[0],
)
parameter_count.diagnose(
    "every hidden layer is counted as if the inputs came into it directly. Its inputs are the outputs of the layer before.",
    lambda i, h, o: sum(i * w + w for w in h) + (h or (i,))[-1] * o + o,
    lambda i, h, o: sum(i * w + w for w in h) + h[-1] * o + o,
)
parameter_count.diagnose(
    "the biases of the output layer are forgotten: each output has one as well.",
    lambda i, h, o: _count(i, h, o) - o,
)
parameter_count.diagnose(
    "one bias a layer. A layer has one for each of its outputs.",
    lambda i, h, o: _count(i, h, o, biases=lambda i, o: 1),
)
parameter_count.diagnose(
    "one bias for each input of a layer. Biases are added to the outputs.",
    lambda i, h, o: _count(i, h, o, biases=lambda i, o: i),
)
parameter_count.diagnose(
    "the inputs got biases, too. They are data: nothing is added to them.",
    lambda i, h, o: i + _count(i, h, o),
)
parameter_count.diagnose(
    "written for exactly two hidden layers. Go through all pairs of neighbours in (inputs, *hidden, outputs), however many there are.",
    lambda i, h, o: _count(i, (h[0], h[1]), o),
)
parameter_count.diagnose(
    "these are the units. Parameters sit on the connections: I O for each pair of neighbouring layers, and a bias for each output.",
    lambda i, h, o: i + sum(h) + o,
    lambda i, h, o: sum(h) + o,
)
parameter_count.diagnose(
    "only the first hidden layer is counted. Go through all pairs of neighbours in (inputs, *hidden, outputs).",
    lambda i, h, o: _count(i, h[:1], o),
)


# ---------------------------------------------------------------- sgd_momentum


def _moving(rng, velocity=1.0, momentum=0.9):
    return (
        rng.normal(size=(3, 2)),
        rng.normal(size=(3, 2)),
        velocity * rng.normal(size=(3, 2)),
        0.1,
        momentum,
    )


def _in_place(weight, gradient, velocity, lr, momentum):
    velocity *= momentum
    velocity += gradient
    weight -= lr * velocity
    return weight, velocity


def _weight_in_place(weight, gradient, velocity, lr, momentum):
    velocity = momentum * velocity + gradient
    weight -= lr * velocity
    return weight, velocity


def _velocity_in_place(weight, gradient, velocity, lr, momentum):
    velocity *= momentum
    velocity += gradient
    return weight - lr * velocity, velocity


@exercise(
    ("weight", "velocity"),
    Case("shapes", _moving, shapes),
    Case("first step, velocity 0", lambda rng: _moving(rng, velocity=0.0)),
    Case("velocity", _moving, parts=("velocity",)),
    Case("weight", _moving, parts=("weight",)),
    Case("momentum 0 is plain descent", lambda rng: _moving(rng, momentum=0.0)),
)
def sgd_momentum(weight, gradient, velocity, lr, momentum):
    """sgd_momentum(weight, gradient, velocity, lr, momentum) -> (weight, velocity): one step of descent with momentum (eq-momentum).

    velocity <- momentum velocity + gradient, weight <- weight - lr velocity. Returns the new arrays and leaves the old ones as they are."""
    velocity = momentum * velocity + gradient
    return weight - lr * velocity, velocity


sgd_momentum.diagnose(
    "the results are in another order: (weight, velocity).",
    lambda w, g, v, lr, mu: (mu * v + g, w - lr * (mu * v + g)),
)
sgd_momentum.diagnose(
    "the sign: the step goes against the velocity, weight - lr velocity.",
    lambda w, g, v, lr, mu: (w + lr * (mu * v + g), mu * v + g),
)
sgd_momentum.diagnose(
    "the velocity starts anew at every step. Keep what is left of it, momentum * velocity + gradient; eq-momentum.",
    lambda w, g, v, lr, mu: (w - lr * g, g.copy()),
    lambda w, g, v, lr, mu: (w - lr * g, v.copy()),
)
sgd_momentum.diagnose(
    "the learning rate went into the velocity. Here it acts on the step, weight - lr velocity; eq-momentum.",
    lambda w, g, v, lr, mu: (w - (mu * v + lr * g), mu * v + lr * g),
    lambda w, g, v, lr, mu: (w + (mu * v - lr * g), mu * v - lr * g),
    lambda w, g, v, lr, mu: (w - lr * (mu * v + lr * g), mu * v + lr * g),
)
sgd_momentum.diagnose(
    "the velocity has the other sign. Here the gradient is added to it, and the step subtracts it: weight - lr velocity.",
    lambda w, g, v, lr, mu: (w + lr * (mu * v - g), mu * v - g),
)
sgd_momentum.diagnose(
    "the gradient is multiplied by 1 - momentum, a running average. eq-momentum adds the whole gradient.",
    lambda w, g, v, lr, mu: (w - lr * (mu * v + (1 - mu) * g), mu * v + (1 - mu) * g),
)
sgd_momentum.diagnose(
    "the momentum multiplies the gradient as well. Only the old velocity fades: momentum * velocity + gradient.",
    lambda w, g, v, lr, mu: (w - lr * mu * (v + g), mu * (v + g)),
)
sgd_momentum.diagnose(
    "the learning rate is forgotten in the step.",
    lambda w, g, v, lr, mu: (w - (mu * v + g), mu * v + g),
)
sgd_momentum.diagnose(
    "the velocity does not fade: multiply the old one by momentum.",
    lambda w, g, v, lr, mu: (w - lr * (v + g), v + g),
)
sgd_momentum.diagnose(
    "the step uses the old velocity. Update the velocity first.",
    lambda w, g, v, lr, mu: (w - lr * v, mu * v + g),
)
sgd_momentum.diagnose(
    "this is Nesterov's step, gradient + momentum * velocity. The exercise asks for the plain one.",
    lambda w, g, v, lr, mu: (w - lr * (g + mu * (mu * v + g)), mu * v + g),
)
sgd_momentum.diagnose(
    "-= and *= write into the caller's arrays. Return new ones: weight = weight - lr * velocity.",
    _in_place,
    _weight_in_place,
    _velocity_in_place,
)
