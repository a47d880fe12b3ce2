"""The exercises of the chapter *Transfer learning*, each with the wrong answers that it recognises.

Results are new arrays; what a function is given stays as it is."""

import math

import numpy as np

from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise

# The references are written out: nothing of the package stands in them that an answer could replace.

# ---------------------------------------------------------------- trained_parameters

SHAPES = {
    "stem.weight": (4, 3, 3, 1),
    "stem_norm.weight": (4,),
    "stem_norm.bias": (4,),
    "blocks.1.weight": (5, 3, 3, 4),
    "blocks.10.weight": (7, 3, 3, 5),
    "head.weight": (10, 7),
    "head.bias": (10,),
}


def _is_under(name, prefix):
    return name == prefix or name.startswith(prefix + ".")


def _sum(shapes, keep, size=math.prod):
    return sum(size(shape) for name, shape in shapes.items() if keep(name))


@exercise(
    "count",
    Case("one layer", lambda rng: (SHAPES, ("head",))),
    Case("nothing frozen", lambda rng: (SHAPES, ())),
    Case("names that begin alike", lambda rng: (SHAPES, ("stem", "blocks.1"))),
    Case("one array", lambda rng: (SHAPES, ("head.bias",))),
    Case("a layer of layers", lambda rng: (SHAPES, ("blocks", "stem_norm"))),
    Case("everything frozen", lambda rng: (SHAPES, ("stem", "stem_norm", "blocks", "head"))),
)
def trained_parameters(shapes, frozen):
    """trained_parameters(shapes, frozen) -> count: how many numbers still train (eq-freeze).

    shapes is {dotted name: shape}, frozen a tuple of prefixes: "head" freezes head.weight and head.bias."""
    return _sum(shapes, lambda name: not any(_is_under(name, prefix) for prefix in frozen))


trained_parameters.diagnose(
    "this counts what is frozen. Asked is the rest.",
    lambda shapes, frozen: _sum(shapes, lambda name: any(_is_under(name, p) for p in frozen)),
)
trained_parameters.diagnose(
    "name.startswith(prefix) takes stem_norm for a part of stem, and blocks.10 for one of blocks.1. A prefix ends at a dot: name == prefix or "
    "name.startswith(prefix + '.').",
    lambda shapes, frozen: _sum(shapes, lambda name: not any(name.startswith(p) for p in frozen)),
)
trained_parameters.diagnose(
    "only whole names are compared, so that 'head' freezes nothing. A prefix stands for all names under it.",
    lambda shapes, frozen: _sum(shapes, lambda name: name not in frozen),
)
trained_parameters.diagnose(
    "'head.bias' freezes nothing, only names under a prefix are found. A whole name is a prefix, too.",
    lambda shapes, frozen: _sum(
        shapes, lambda name: not any(name.startswith(p + ".") for p in frozen)
    ),
)
trained_parameters.diagnose(
    "this counts arrays. Each holds the product of its shape in numbers.",
    lambda shapes, frozen: _sum(
        shapes, lambda name: not any(_is_under(name, p) for p in frozen), lambda shape: 1
    ),
)
trained_parameters.diagnose(
    "the sides of a shape are added. An array of (4, 3) holds 4 * 3 numbers.",
    lambda shapes, frozen: _sum(
        shapes, lambda name: not any(_is_under(name, p) for p in frozen), sum
    ),
)
trained_parameters.diagnose(
    "the biases and norms are left out. They train as well.",
    lambda shapes, frozen: _sum(
        shapes,
        lambda name: len(shapes[name]) > 1 and not any(_is_under(name, p) for p in frozen),
    ),
)
trained_parameters.diagnose(
    "only the first of several prefixes is used.",
    lambda shapes, frozen: _sum(
        shapes, lambda name: not any(_is_under(name, p) for p in frozen[:1])
    ),
)

# ---------------------------------------------------------------- probe_gradient


def _probe(rng, n=6, d=4, classes=3, scale=1.0):
    features = np.maximum(rng.normal(size=(n, d)), 0)
    labels = rng.integers(0, classes, size=n)
    return features, labels, scale * rng.normal(size=(classes, d)), rng.normal(size=classes)


def _far(rng):
    features, labels, weight, bias = _probe(rng)
    return features, labels, 1000 * weight, bias


def _at_zero(rng):
    features, labels, weight, bias = _probe(rng)
    return features, labels, 0 * weight, 0 * bias


def _solution(features, labels, weight, bias, axis=-1, use_bias=True, shift=True):
    z = features @ weight.T + (bias if use_bias else 0)
    if shift:
        z = z - (z.max() if shift == "all" else z.max(axis=axis, keepdims=True))
    p = np.exp(z) / np.exp(z).sum(axis=axis, keepdims=True)
    rows = np.arange(len(labels))
    log_p = (z - np.log(np.exp(z).sum(axis=axis, keepdims=True)))[rows, labels]
    return p, np.eye(len(weight))[labels], log_p


def _probe_answer(features, labels, weight, bias, error=lambda p, y: p - y, mean=True, **options):
    p, y, log_p = _solution(features, labels, weight, bias, **options)
    d = error(p, y) / (len(labels) if mean else 1)
    return -(log_p.mean() if mean else log_p.sum()), d.T @ features, d.sum(axis=0)


@exercise(
    ("loss", "dweight", "dbias"),
    Case("shapes", _probe, shapes),
    Case("loss", _probe, parts=("loss",)),
    Case("gradient of the weights", _probe, parts=("dweight",)),
    Case("gradient of the bias", _probe, parts=("dbias",)),
    Case("as many features as classes", lambda rng: _probe(rng, 5, 3, 3)),
    Case("one example", lambda rng: _probe(rng, 1)),
    Case("a head of zeros", _at_zero),
    Case("a head of large weights", _far, quiet=True),
)
def probe_gradient(features, labels, weight, bias):
    """probe_gradient(features, labels, weight, bias) -> loss, dweight, dbias: a linear probe (eq-linear-probe, eq-linear-probe-vjp).

    features (N, D), labels (N,) whole numbers below V, weight (V, D), bias (V,); the loss is the mean over the examples."""
    return _probe_answer(features, labels, weight, bias)


probe_gradient.diagnose(
    "the gradients (or the loss) are sums over the examples. eq-linear-probe is a mean: divide by N.",
    lambda *a: _probe_answer(*a, mean=False),
    lambda *a: (_probe_answer(*a)[0], *_probe_answer(*a, mean=False)[1:]),
    lambda *a: (_probe_answer(*a, mean=False)[0], *_probe_answer(*a)[1:]),
)
probe_gradient.diagnose(
    "the gradient has the wrong sign: it is p - y, and training subtracts it.",
    lambda *a: _probe_answer(*a, error=lambda p, y: y - p),
)
probe_gradient.diagnose(
    "the gradient is that of p alone: y is not subtracted.",
    lambda *a: _probe_answer(*a, error=lambda p, y: p),
)
probe_gradient.diagnose(
    "the error is multiplied by p (1 - p). That is the slope of a sigmoid under a squared error; with cross-entropy it cancels: p - y.",
    lambda *a: _probe_answer(*a, error=lambda p, y: (p - y) * p * (1 - p)),
)
probe_gradient.diagnose(
    "the softmax runs over the examples. Each row is one example: axis=-1.",
    lambda *a: _probe_answer(*a, axis=0),
)
probe_gradient.diagnose(
    "the bias is left out of the logits: z = features W^T + b.",
    lambda *a: _probe_answer(*a, use_bias=False),
)


def _transposed(features, labels, weight, bias):
    loss, dweight, dbias = _probe_answer(features, labels, weight, bias)
    return loss, dweight.T, dbias


def _log_of_softmax(features, labels, weight, bias, inside=0.0):
    _, dweight, dbias = _probe_answer(features, labels, weight, bias)
    p, y, _ = _solution(features, labels, weight, bias)
    return -np.log((p * y).sum(axis=1) + inside).mean(), dweight, dbias


def _one_maximum(features, labels, weight, bias):
    p, y, log_p = _solution(features, labels, weight, bias, shift="all")
    d = (p - y) / len(labels)
    return -log_p.mean(), d.T @ features, d.sum(axis=0)


def _features_gradient(features, labels, weight, bias):
    loss, _, dbias = _probe_answer(features, labels, weight, bias)
    p, y, _ = _solution(features, labels, weight, bias)
    return loss, (p - y) @ weight / len(labels), dbias


probe_gradient.diagnose(
    "dweight is transposed. It has the shape of the weights, (V, D): (p - y)^T features.",
    _transposed,
)
probe_gradient.diagnose(
    "dweight is the gradient of the features, (p - y) W. The features are frozen; asked is (p - y)^T features.",
    _features_gradient,
)
probe_gradient.diagnose(
    "dbias is the mean over the classes or examples once more. It is the column sum of (p - y) / N.",
    lambda *a: (*_probe_answer(*a)[:2], _probe_answer(*a)[2] / len(a[1])),
)
probe_gradient.diagnose(
    "dbias is a sum over the examples, while loss and dweight are means. It is the column sum of (p - y) / N.",
    lambda *a: (*_probe_answer(*a)[:2], _probe_answer(*a)[2] * len(a[1])),
)
probe_gradient.diagnose(
    "the softmax has rounded to 0, and log(0) is -inf. Take the logarithm apart: log p = z - log(sum of exp(z)), with the row maximum subtracted.",
    _log_of_softmax,
)
probe_gradient.diagnose(
    "a small number inside the logarithm changes the loss, most where p is small. log p = z - log(sum of exp(z)) needs none.",
    lambda *a: _log_of_softmax(*a, inside=1e-8),
    lambda *a: _log_of_softmax(*a, inside=1e-12),
)
probe_gradient.diagnose(
    "the maximum of the whole matrix is subtracted: in rows far below it every exp is 0. Each row has its own maximum: axis=-1.",
    _one_maximum,
)
probe_gradient.diagnose(
    "exp overflows for large logits. Subtract the row maximum first; eq-softmax-shift says why that changes nothing.",
    lambda *a: _probe_answer(*a, shift=False),
)

# ---------------------------------------------------------------- l2_sp_step


def _pulled(rng, shape=(3, 4)):
    return *(rng.normal(size=shape) for _ in range(3)), 0.6, 0.3


def _replaced(**changes):
    def make(rng):
        named = dict(zip(("weight", "start", "gradient", "alpha", "lr"), _pulled(rng), strict=True))
        return tuple(changes[name](named) if name in changes else v for name, v in named.items())

    return make


@exercise(
    "weight",
    Case("shape", _pulled, shapes),
    Case("values", _pulled),
    Case("a kernel", lambda rng: _pulled(rng, (2, 3, 3, 2))),
    Case("no penalty", _replaced(alpha=lambda a: 0.0)),
    Case("still at the start", _replaced(start=lambda a: a["weight"].copy())),
    Case("no gradient", _replaced(gradient=lambda a: 0 * a["gradient"])),
    Case("a start at zero", _replaced(start=lambda a: 0 * a["start"])),
)
def l2_sp_step(weight, start, gradient, alpha, lr):
    """l2_sp_step(weight, start, gradient, alpha, lr) -> weight: a step of gradient descent on L + alpha / 2 |w - w0|^2 (eq-l2-sp).

    weight, start (w0) and gradient (of L alone) have one shape; alpha and lr are numbers. The weight after the step is returned."""
    return weight - lr * (gradient + alpha * (weight - start))


l2_sp_step.diagnose(
    "this pulls towards zero: plain weight decay. L2-SP pulls towards the start: weight - start.",
    lambda w, s, g, alpha, lr: w - lr * (g + alpha * w),
)
l2_sp_step.diagnose(
    "the penalty pushes away from the start. Its gradient is alpha (w - w0), subtracted like the rest.",
    lambda w, s, g, alpha, lr: w - lr * (g - alpha * (w - s)),
)
l2_sp_step.diagnose(
    "the pull is twice too strong. The penalty has a factor of one half, which cancels the 2 of the square.",
    lambda w, s, g, alpha, lr: w - lr * (g + 2 * alpha * (w - s)),
)
l2_sp_step.diagnose(
    "the pull is half as strong: the derivative of the square brings a 2.",
    lambda w, s, g, alpha, lr: w - lr * (g + alpha / 2 * (w - s)),
)
l2_sp_step.diagnose(
    "the pull is not multiplied by the learning rate: it is a part of the gradient.",
    lambda w, s, g, alpha, lr: w - lr * g - alpha * (w - s),
)
l2_sp_step.diagnose(
    "the step begins at the start instead of at the weight.",
    lambda w, s, g, alpha, lr: s - lr * (g + alpha * (w - s)),
)
l2_sp_step.diagnose(
    "the step goes uphill: subtract the gradient.",
    lambda w, s, g, alpha, lr: w + lr * (g + alpha * (w - s)),
)
l2_sp_step.diagnose(
    "the pull is measured after the step of the loss. Both gradients are taken at the same weight.",
    lambda w, s, g, alpha, lr: (w - lr * g) - lr * alpha * ((w - lr * g) - s),
)
l2_sp_step.diagnose(
    "the penalty is left out.",
    lambda w, s, g, alpha, lr: w - lr * g,
)
l2_sp_step.diagnose(
    "this returns the gradient, not the weight after the step.",
    lambda w, s, g, alpha, lr: g + alpha * (w - s),
)
