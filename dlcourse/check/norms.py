"""The exercises of the chapter *Initialisation and normalisation*, each with the wrong answers that it recognises.

Throughout: rows are examples, columns are features, results are new arrays, eps stands under the root."""

import numpy as np

from dlcourse.check.compare import numerical_gradient, shapes
from dlcourse.check.engine import Case, Diagnosis, exercise

# The references are written out: nothing of the package stands in them that an answer could replace.


def _parts(x, eps):
    centred = x - x.mean(axis=-1, keepdims=True)
    s = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)
    return centred / s, s


def _plane(rng, n=3, c=4, eps=0.1):
    return 2 + 3 * rng.normal(size=(n, c)), 1 + rng.random(c), rng.normal(size=c), eps


# ---------------------------------------------------------------- layer_norm


def _far_from_zero(rng):
    """float32 rows of variance 1, which their squares round away: mean(x^2) - mean(x)^2 is 0. PyTorch's own errs by a few units in 10^4."""
    x = np.float32(2**13 + rng.permuted(np.tile([-1, -1, 1, 1], (3, 1)), axis=1))
    return x, np.float32(1 + rng.random(4)), np.float32(rng.normal(size=4)), 0.1


def _layer(x, weight, bias, eps, axis=-1, ddof=0):
    centred = x - x.mean(axis=axis, keepdims=True)
    return weight * centred / np.sqrt(x.var(axis=axis, ddof=ddof, keepdims=True) + eps) + bias


def _difference_of_squares(x, weight, bias, eps):
    mean = x.mean(axis=-1, keepdims=True)
    variance = (x * x).mean(axis=-1, keepdims=True) - mean * mean
    return weight * (x - mean) / np.sqrt(variance + eps) + bias


def _write_layer(x, weight, bias, eps):
    x -= x.mean(axis=-1, keepdims=True)
    x /= np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps)
    return weight * x + bias


@exercise(
    "y",
    Case("shape", _plane, shapes),
    Case("values", _plane),
    Case("as many rows as features", lambda rng: _plane(rng, 4, 4)),
    Case("three axes", lambda rng: (rng.normal(size=(2, 3, 4)), *_plane(rng)[1:])),
    Case("one example", lambda rng: _plane(rng, 1)),
    Case("float32, far from zero", _far_from_zero, tolerance=2e-3),
    Case(
        "a row of equal numbers",
        lambda rng: (np.full((1, 4), 7.0), np.ones(4), np.zeros(4), 1e-5),
        show=True,
        quiet=True,
    ),
)
def layer_norm(x, weight, bias, eps):
    """layer_norm(x, weight, bias, eps) -> y: each row of x with mean 0 and variance 1, times weight, plus bias (eq-layer-norm).

    x (..., C) with any number of axes, weight and bias (C,); y has the shape of x."""
    return weight * _parts(x, eps)[0] + bias


layer_norm.diagnoses += [
    Diagnosis(
        "normalised over the examples. That is batch normalisation; layer normalisation takes each row by itself, axis=-1.",
        (lambda x, weight, bias, eps: _layer(x, weight, bias, eps, 0),),
    ),
    Diagnosis(
        "one mean and variance for the whole array. Each row has its own: axis=-1, keepdims=True.",
        (lambda x, weight, bias, eps: _layer(x, weight, bias, eps, None),),
    ),
    Diagnosis(
        "axis=1 is the last axis of a matrix only. axis=-1 is the last axis of every array.",
        (lambda x, weight, bias, eps: _layer(x, weight, bias, eps, 1),),
    ),
    Diagnosis(
        "the variance is divided by C - 1. Layer normalisation takes the plain mean of the squares; eq-normalise.",
        (lambda x, weight, bias, eps: _layer(x, weight, bias, eps, ddof=1),),
    ),
    Diagnosis(
        "the mean is not taken away: this is RMS normalisation with a bias; eq-rms-norm.",
        (
            lambda x, weight, bias, eps: (
                weight * x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) + bias
            ),
        ),
    ),
    Diagnosis(
        "the mean is not taken away, only the division by the standard deviation is there.",
        (
            lambda x, weight, bias, eps: (
                weight * x / np.sqrt(x.var(axis=-1, keepdims=True) + eps) + bias
            ),
        ),
    ),
    Diagnosis(
        "divided by the variance. The root is missing: sqrt(variance + eps).",
        (
            lambda x, weight, bias, eps: (
                weight
                * (x - x.mean(axis=-1, keepdims=True))
                / (x.var(axis=-1, keepdims=True) + eps)
                + bias
            ),
        ),
    ),
    Diagnosis(
        "eps stands outside the root. It is sqrt(variance + eps), not sqrt(variance) + eps.",
        (
            lambda x, weight, bias, eps: (
                weight
                * (x - x.mean(axis=-1, keepdims=True))
                / (x.std(axis=-1, keepdims=True) + eps)
                + bias
            ),
        ),
    ),
    Diagnosis(
        "mean(x^2) - mean(x)^2 subtracts two large numbers, and float32 has rounded the variance away. Take the mean away first, then square.",
        (_difference_of_squares,),
    ),
    Diagnosis(
        "eps is left out: a row of equal numbers becomes 0 / 0.",
        (lambda x, weight, bias, eps: _layer(x, weight, bias, 0.0),),
    ),
    Diagnosis(
        "weight and bias are left out: y = weight * x_hat + bias.",
        (lambda x, weight, bias, eps: _parts(x, eps)[0],),
    ),
    Diagnosis(
        "the bias is left out: y = weight * x_hat + bias.",
        (lambda x, weight, bias, eps: weight * _parts(x, eps)[0],),
    ),
    Diagnosis(
        "-= and /= write into the array that the caller still needs. Compute new ones.",
        (_write_layer,),
    ),
]


# ---------------------------------------------------------------- layer_norm_backward


def _upstream(rng, n=3, c=4, eps=0.1):
    x, weight, _, eps = _plane(rng, n, c, eps)
    return x, weight, rng.normal(size=x.shape), eps


def _numeric_layer(x, weight, dy, eps):
    def loss(x, weight, bias):
        return ((weight * _parts(x, eps)[0] + bias) * dy).sum()

    bias = np.zeros(len(weight))
    return (
        numerical_gradient(lambda x: loss(x, weight, bias), x),
        numerical_gradient(lambda weight: loss(x, weight, bias), weight),
        numerical_gradient(lambda bias: loss(x, weight, bias), bias),
    )


def _mean(a):
    return a.mean(axis=-1, keepdims=True)


def _with_dx(dx):
    def wrong(x, weight, dy, eps):
        x_hat, s = _parts(x, eps)
        return dx(dy * weight, x_hat, s, dy), (dy * x_hat).sum(axis=0), dy.sum(axis=0)

    return wrong


def _with_parameters(
    dweight=lambda dy, x_hat: (dy * x_hat).sum(axis=0), dbias=lambda dy: dy.sum(axis=0)
):
    def wrong(x, weight, dy, eps):
        x_hat, _ = _parts(x, eps)
        return layer_norm_backward.reference(x, weight, dy, eps)[0], dweight(dy, x_hat), dbias(dy)

    return wrong


@exercise(
    ("dx", "dweight", "dbias"),
    Case("shapes", _upstream, shapes),
    Case("dx", _upstream, parts=("dx",)),
    Case("dweight", _upstream, parts=("dweight",)),
    Case("dbias", _upstream, parts=("dbias",)),
    Case("finite differences", _upstream, right=_numeric_layer, tolerance=1e-6),
    Case("one example", lambda rng: _upstream(rng, 1)),
    Case("as many rows as features", lambda rng: _upstream(rng, 4, 4)),
)
def layer_norm_backward(x, weight, dy, eps):
    """layer_norm_backward(x, weight, dy, eps) -> (dx, dweight, dbias): the gradients of y = weight x_hat + bias (eq-layer-norm-vjp).

    x and dy = dL/dy (N, C), weight (C,); dx has the shape of x, dweight and dbias that of weight."""
    x_hat, s = _parts(x, eps)
    g = dy * weight
    dx = (g - _mean(g) - x_hat * _mean(g * x_hat)) / s
    return dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)


layer_norm_backward.diagnoses += [
    Diagnosis(
        "dx has the direct way only, with mean and variance taken for constants. They depend on x, too; eq-normalise-vjp.",
        (_with_dx(lambda g, x_hat, s, dy: g / s),),
    ),
    Diagnosis(
        "the way through the variance is missing in dx: subtract x_hat * mean(g * x_hat).",
        (_with_dx(lambda g, x_hat, s, dy: (g - _mean(g)) / s),),
    ),
    Diagnosis(
        "the way through the mean is missing in dx: subtract mean(g). Without it this is RMS normalisation's.",
        (_with_dx(lambda g, x_hat, s, dy: (g - x_hat * _mean(g * x_hat)) / s),),
    ),
    Diagnosis(
        "the weight is left out in dx: what arrives at x_hat is g = dy * weight, and g belongs into both means.",
        (
            _with_dx(lambda g, x_hat, s, dy: (dy - _mean(dy) - x_hat * _mean(dy * x_hat)) / s),
            _with_dx(lambda g, x_hat, s, dy: (g - _mean(dy) - x_hat * _mean(dy * x_hat)) / s),
        ),
    ),
    Diagnosis(
        "the weight is multiplied in behind the means, as in batch normalisation. Here it differs within a row: g = dy * weight comes first.",
        (
            _with_dx(
                lambda g, x_hat, s, dy: g / dy * (dy - _mean(dy) - x_hat * _mean(dy * x_hat)) / s
            ),
        ),
    ),
    Diagnosis(
        "the division by s is missing in dx.",
        (_with_dx(lambda g, x_hat, s, dy: g - _mean(g) - x_hat * _mean(g * x_hat)),),
    ),
    Diagnosis(
        "dx is divided by the variance: the 1 / s stands there once.",
        (_with_dx(lambda g, x_hat, s, dy: (g - _mean(g) - x_hat * _mean(g * x_hat)) / s**2),),
    ),
    Diagnosis(
        "sums stand in dx where means belong: 1 / C is missing.",
        (
            _with_dx(
                lambda g, x_hat, s, dy: (
                    (
                        g
                        - g.sum(axis=-1, keepdims=True)
                        - x_hat * (g * x_hat).sum(axis=-1, keepdims=True)
                    )
                    / s
                )
            ),
        ),
    ),
    Diagnosis(
        "the means in dx are taken over the examples. They go along the row, like mean and variance of the forward pass.",
        (
            _with_dx(
                lambda g, x_hat, s, dy: (g - g.mean(axis=0) - x_hat * (g * x_hat).mean(axis=0)) / s
            ),
        ),
    ),
    Diagnosis(
        "dweight is a mean over the examples. Every row adds to it, so it is the sum.",
        (_with_parameters(dweight=lambda dy, x_hat: (dy * x_hat).mean(axis=0)),),
    ),
    Diagnosis(
        "dweight lacks x_hat: y = weight * x_hat + bias, so its factor is x_hat.",
        (_with_parameters(dweight=lambda dy, x_hat: dy.sum(axis=0)),),
    ),
    Diagnosis(
        "dbias is a mean over the examples. Every row adds to it, so it is the sum.",
        (_with_parameters(dbias=lambda dy: dy.mean(axis=0)),),
    ),
]


# ---------------------------------------------------------------- batch_norm_predict


def _trained(rng, n=3, c=4, eps=0.1):
    x, weight, bias, eps = _plane(rng, n, c, eps)
    return x, weight, bias, rng.normal(size=c), 0.5 + rng.random(c), eps


def _own_statistics(x, weight, bias, mean, variance, eps):
    return weight * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + eps) + bias


@exercise(
    "y",
    Case("shape", _trained, shapes),
    Case("values", _trained),
    Case("one example", lambda rng: _trained(rng, 1)),
    Case("as many rows as features", lambda rng: _trained(rng, 4, 4)),
    Case(
        "a feature that never varied",
        lambda rng: (
            np.array([[3.0]]),
            np.ones(1),
            np.zeros(1),
            np.array([3.0]),
            np.zeros(1),
            1e-5,
        ),
        show=True,
        quiet=True,
    ),
)
def batch_norm_predict(x, weight, bias, mean, variance, eps):
    """batch_norm_predict(x, weight, bias, mean, variance, eps) -> y: batch normalisation in use, with the running mean and variance
    (eq-batch-norm-eval-vjp).

    x and y (N, C), all others (C,). The rows do not act on each other."""
    return weight * (x - mean) / np.sqrt(variance + eps) + bias


batch_norm_predict.diagnoses += [
    Diagnosis(
        "mean and variance are those of the batch, as in training. In use they are the running ones.",
        (_own_statistics,),
    ),
    Diagnosis(
        "the mean is that of the batch. In use it is the running one, so that an example's answer does not depend on the others.",
        (
            lambda x, weight, bias, mean, variance, eps: (
                weight * (x - x.mean(axis=0)) / np.sqrt(variance + eps) + bias
            ),
        ),
    ),
    Diagnosis(
        "the variance is that of the batch. In use it is the running one.",
        (
            lambda x, weight, bias, mean, variance, eps: (
                weight * (x - mean) / np.sqrt(x.var(axis=0) + eps) + bias
            ),
        ),
    ),
    Diagnosis(
        "divided by the variance. The root is missing: sqrt(variance + eps).",
        (
            lambda x, weight, bias, mean, variance, eps: (
                weight * (x - mean) / (variance + eps) + bias
            ),
        ),
    ),
    Diagnosis(
        "eps stands outside the root. It is sqrt(variance + eps), not sqrt(variance) + eps.",
        (
            lambda x, weight, bias, mean, variance, eps: (
                weight * (x - mean) / (np.sqrt(variance) + eps) + bias
            ),
        ),
    ),
    Diagnosis(
        "eps is left out: a feature that never varied becomes 0 / 0.",
        (
            lambda x, weight, bias, mean, variance, eps: (
                weight * (x - mean) / np.sqrt(variance) + bias
            ),
        ),
    ),
    Diagnosis(
        "weight and bias are left out: y = weight * x_hat + bias.",
        (lambda x, weight, bias, mean, variance, eps: (x - mean) / np.sqrt(variance + eps),),
    ),
    Diagnosis(
        "the mean is not taken away.",
        (lambda x, weight, bias, mean, variance, eps: weight * x / np.sqrt(variance + eps) + bias,),
    ),
]


# ---------------------------------------------------------------- dead_units


def _hidden(rng):
    h = np.maximum(rng.normal(size=(5, 6)), 0)
    h[0] = 0  # an example that no unit answers
    h[1] = 1 + rng.random(6)
    h[:, [1, 4]] = 0
    return (h,)


@exercise(
    "count",
    Case("values", _hidden),
    Case("more units than examples", lambda rng: (np.array([[0.0, 0.0, 0.0, 2.0]]),), show=True),
    Case("all alive", lambda rng: (np.array([[0.0, 1.0], [2.0, 0.0]]),), show=True),
    Case("all dead", lambda rng: (np.zeros((2, 3)),), show=True),
    Case("barely alive", lambda rng: (np.array([[1e-12, 0.0], [0.0, 0.0]]),), show=True),
)
def dead_units(h):
    """dead_units(h) -> count: how many units are zero for every example; h (N, C) are the values behind a ReLU.

    The count is a whole number."""
    return int(np.sum(np.all(h == 0, axis=0)))


dead_units.diagnoses += [
    Diagnosis(
        "these are the living units. Count the others.",
        (lambda h: int((h > 0).any(axis=0).sum()),),
    ),
    Diagnosis(
        "all zeros are counted. A unit is dead when it is zero for every example: np.all(h == 0, axis=0).",
        (lambda h: int((h == 0).sum()),),
    ),
    Diagnosis(
        "rows are counted. Units are the columns: axis=0 goes over the examples.",
        (lambda h: int((h == 0).all(axis=1).sum()),),
    ),
    Diagnosis(
        "units that are zero for some example are counted. A dead one is zero for all: np.all, not np.any.",
        (lambda h: int((h == 0).any(axis=0).sum()),),
    ),
    Diagnosis(
        "this is the share. The exercise asks for the number.",
        (lambda h: float((h == 0).all(axis=0).mean()),),
    ),
    Diagnosis(
        "a small value counts as zero here. Dead is exactly zero: h == 0.",
        (lambda h: int((h < 1e-6).all(axis=0).sum()),),
    ),
    Diagnosis("only the first example is looked at.", (lambda h: int((h[0] == 0).sum()),)),
]
