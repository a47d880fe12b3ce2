"""The exercises of the chapter *Losses*, each with the wrong answers that it recognises.

Throughout: a loss is a mean over all entries, results are new arrays, a yes or no has one logit and a target of 1 or 0."""

import math

import numpy as np

from dlcourse.check.compare import numerical_gradient, shapes
from dlcourse.check.engine import Case, Diagnosis, exercise

# The references are written out: nothing of the package stands in them that an answer could replace.


# ---------------------------------------------------------------- log_sum_exp


def _sum_exp(x, largest, axis=-1, keepdims=False):
    return np.log(np.exp(x - largest).sum(axis=axis, keepdims=keepdims))


def _row_maximum(x):
    return x.max(axis=-1, keepdims=True)


@exercise(
    "y",
    Case("shape", lambda rng: (rng.normal(size=(3, 4)),), shapes),
    Case("values", lambda rng: (rng.normal(size=(3, 4)),)),
    Case("one row", lambda rng: (rng.normal(size=5),)),
    Case("three axes", lambda rng: (rng.normal(size=(2, 3, 4)),)),
    Case("a batch of one", lambda rng: (rng.normal(size=(1, 4)),)),
    Case("large numbers", lambda rng: (np.array([3000.0, 0.0]),), show=True, quiet=True),
    Case("small numbers", lambda rng: (np.array([-1000.0, -1000.0]),), show=True, quiet=True),
    Case(
        "rows far apart", lambda rng: (np.array([[1000.0, 0.0], [-1000.0, -1000.0]]),), quiet=True
    ),
)
def log_sum_exp(x):
    """log_sum_exp(x) -> y: the logarithm of the sum of e^x along the last axis (eq-log-sum-exp), also where e^x overflows.

    x (..., V), y (...)."""
    largest = _row_maximum(x)
    return largest[..., 0] + np.log(np.exp(x - largest).sum(axis=-1))


log_sum_exp.diagnoses += [
    Diagnosis(
        "exp(3000) overflows, and exp(-1000) is 0. Take the maximum of each row out first, and add it at the end; eq-log-sum-exp.",
        (lambda x: _sum_exp(x, 0.0),),
    ),
    Diagnosis(
        "the mean is taken out. The largest exponent is then still above zero and may overflow; take out the maximum.",
        (lambda x: x.mean(axis=-1) + _sum_exp(x, x.mean(axis=-1, keepdims=True)),),
    ),
    Diagnosis(
        "squeeze drops every axis of length 1, that of a batch of one, too. Drop the last alone: [..., 0].",
        (lambda x: np.squeeze(_row_maximum(x) + _sum_exp(x, _row_maximum(x), keepdims=True)),),
    ),
    Diagnosis(
        "the maxima have lost their axis and do not line up with the rows: x.max(axis=-1, keepdims=True).",
        (lambda x: x.max(axis=-1) + np.log(np.exp(x - x.max(axis=-1)).sum(axis=-1)),),
    ),
    Diagnosis(
        "the logarithm of the sum is missing.",
        (
            lambda x: np.exp(x - _row_maximum(x)).sum(axis=-1),
            lambda x: x.max(axis=-1) + np.exp(x - _row_maximum(x)).sum(axis=-1),
        ),
    ),
    Diagnosis(
        "the maximum is taken out and never added again.",
        (lambda x: _sum_exp(x, _row_maximum(x)),),
    ),
    Diagnosis(
        "one maximum for the whole array: a row far below it becomes log(0). Each row has its own: axis=-1, keepdims=True.",
        (lambda x: x.max() + _sum_exp(x, x.max()),),
    ),
    Diagnosis(
        "the sum goes over the wrong axis. Each row has its own sum: axis=-1.",
        (lambda x: x.max(axis=0) + _sum_exp(x, x.max(axis=0), 0),),
    ),
    Diagnosis(
        "the sum goes over the whole array. Each row has its own: axis=-1.",
        (lambda x: x.max() + _sum_exp(x, x.max(), None),),
    ),
    Diagnosis(
        "axis=1 is the last axis of a matrix only. axis=-1 is the last axis of every array.",
        (lambda x: x.max(axis=1) + np.log(np.exp(x - x.max(axis=1, keepdims=True)).sum(axis=1)),),
    ),
    Diagnosis(
        "the last axis is still there, with length 1. The result has one number for each row: drop keepdims=True at the end.",
        (lambda x: _row_maximum(x) + _sum_exp(x, _row_maximum(x), keepdims=True),),
    ),
    Diagnosis(
        "this is the logarithm of the mean: it lies log V too low.",
        (lambda x: x.max(axis=-1) + _sum_exp(x, _row_maximum(x)) - math.log(x.shape[-1]),),
    ),
    Diagnosis(
        "this is the maximum alone, which the logarithm of the sum exceeds by up to log V; eq-log-sum-exp-bounds.",
        (lambda x: x.max(axis=-1),),
    ),
]


# ---------------------------------------------------------------- huber


def _regression(shape=(6,), delta=0.7):
    """Targets around 9: the sign of an error is not that of y."""

    def make(rng):
        t = 9 + rng.normal(size=shape)
        return t + 3 * rng.normal(size=shape), t, delta

    return make


def _huber(r, delta):
    size = np.abs(r)
    return np.where(size <= delta, r * r / 2, delta * (size - delta / 2))


def _numeric_huber(y, t, delta):
    return _huber(y - t, delta).mean(), numerical_gradient(lambda y: _huber(y - t, delta).mean(), y)


@exercise(
    ("loss", "dy"),
    Case("shapes", _regression(), shapes),
    Case("loss", _regression(), parts=("loss",)),
    Case("slope", _regression(), parts=("dy",)),
    Case("small errors", lambda rng: (np.array([0.1, -0.2]), np.zeros(2), 0.5), show=True),
    Case("large errors", lambda rng: (np.array([4.0, -3.0]), np.zeros(2), 0.5), show=True),
    Case("finite differences", _regression(), right=_numeric_huber, tolerance=1e-6),
    Case("two axes", _regression(shape=(3, 2), delta=1.5)),
)
def huber(y, t, delta):
    """huber(y, t, delta) -> (loss, dy): the mean of Huber's loss over all entries and its gradient (eq-huber, eq-huber-vjp).

    y and t (...), delta a number above 0; dy has the shape of y."""
    return _huber(y - t, delta).mean(), np.clip(y - t, -delta, delta) / y.size


def _with_huber(loss=_huber, slope=lambda r, delta: np.clip(r, -delta, delta)):
    return lambda y, t, delta: (loss(y - t, delta).mean(), slope(y - t, delta) / y.size)


huber.diagnoses += [
    Diagnosis(
        "delta belongs to both terms of the line: delta (|r| - delta / 2), that is delta |r| - delta^2 / 2.",
        (
            _with_huber(
                lambda r, delta: np.where(
                    np.abs(r) <= delta, r * r / 2, delta * np.abs(r) - delta / 2
                )
            ),
        ),
    ),
    Diagnosis(
        "outside the slope has lost its sign: it is delta for a large positive error and -delta for a large negative one.",
        (_with_huber(slope=lambda r, delta: np.where(np.abs(r) <= delta, r, delta)),),
    ),
    Diagnosis(
        "outside the slope is not zero: what is far away still pulls, with delta.",
        (_with_huber(slope=lambda r, delta: np.where(np.abs(r) <= delta, r, 0.0)),),
    ),
    Diagnosis(
        "inside stands r^2 / 2, not r^2: only with the half do the pieces meet.",
        (
            _with_huber(
                lambda r, delta: np.where(
                    np.abs(r) <= delta, r * r, delta * (np.abs(r) - delta / 2)
                )
            ),
        ),
    ),
    Diagnosis(
        "delta is not used: this is Huber's loss for delta = 1.",
        (lambda y, t, delta: huber.reference(y, t, 1.0),),
    ),
    Diagnosis(
        "the error is squared everywhere. Beyond delta the loss is a straight line, and its slope stays delta; eq-huber.",
        (_with_huber(lambda r, delta: r * r / 2, lambda r, delta: r),),
    ),
    Diagnosis(
        "the loss jumps at delta: outside stands delta (|r| - delta / 2), so that the two pieces meet.",
        (_with_huber(lambda r, delta: np.where(np.abs(r) <= delta, r * r / 2, delta * np.abs(r))),),
    ),
    Diagnosis(
        "everything is twice too large: inside stands r^2 / 2, whose slope is r.",
        (
            _with_huber(
                lambda r, delta: 2 * _huber(r, delta),
                lambda r, delta: 2 * np.clip(r, -delta, delta),
            ),
        ),
    ),
    Diagnosis(
        "outside the slope is 1 or -1. It is delta or -delta, the slope that the parabola has where the line begins.",
        (_with_huber(slope=lambda r, delta: np.where(np.abs(r) <= delta, r, np.sign(r))),),
    ),
    Diagnosis(
        "|r| is missing in the comparison with delta: a large negative error is squared.",
        (
            _with_huber(
                lambda r, delta: np.where(r <= delta, r * r / 2, delta * (r - delta / 2)),
                lambda r, delta: np.minimum(r, delta),
            ),
        ),
    ),
    Diagnosis(
        "divided by delta: this is the loss that PyTorch calls smooth L1.",
        (
            _with_huber(
                lambda r, delta: _huber(r, delta) / delta,
                lambda r, delta: np.clip(r, -delta, delta) / delta,
            ),
        ),
    ),
    Diagnosis(
        "the slope has the wrong sign: it is that of y - t. Descent moves y against it.",
        (_with_huber(slope=lambda r, delta: -np.clip(r, -delta, delta)),),
    ),
    Diagnosis(
        "the loss is a sum. It is the mean over all entries.",
        (lambda y, t, delta: (_huber(y - t, delta).sum(), huber.reference(y, t, delta)[1]),),
    ),
    Diagnosis(
        "dy lacks the 1/n of the mean: divide by the number of entries.",
        (lambda y, t, delta: (_huber(y - t, delta).mean(), np.clip(y - t, -delta, delta)),),
    ),
    Diagnosis(
        "divided by len(y), the rows. The mean is over all entries: y.size.",
        (
            lambda y, t, delta: (
                _huber(y - t, delta).sum() / len(y),
                np.clip(y - t, -delta, delta) / len(y),
            ),
        ),
    ),
]


# ---------------------------------------------------------------- kl


def _two(rng, n=5):
    return rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))


def _with_zero(rng):
    q, p = _two(rng)
    q[[1, 3]] = 0
    return q / q.sum(), p


def _divergence(q, p):
    held = q > 0
    with np.errstate(divide="ignore"):
        return float((q[held] * (np.log(q[held]) - np.log(p[held]))).sum())


@exercise(
    "divergence",
    Case("values", _two),
    Case(
        "one class is sure",
        lambda rng: (np.array([1.0, 0.0]), np.array([0.5, 0.5])),
        show=True,
        quiet=True,
    ),
    Case("zeros in q", _with_zero, quiet=True),
    Case(
        "zeros in both",
        lambda rng: (np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.75, 0.0])),
        show=True,
        quiet=True,
    ),
    Case("equal", lambda rng: (np.full(4, 0.25), np.full(4, 0.25)), show=True),
    Case("impossible", lambda rng: (np.array([0.5, 0.5]), np.array([1.0, 0.0])), show=True),
)
def kl(q, p):
    """kl(q, p) -> divergence: how far the distribution p is from the true q, in nats (eq-kl), with 0 log 0 = 0.

    q and p (V,), probabilities; the divergence is infinite where p rules out what q allows."""
    return _divergence(q, p)


kl.diagnoses += [
    Diagnosis(
        "classes with p = 0 are left out. Where q > 0 there, they make the divergence infinite; leave out those with q = 0 alone.",
        (lambda q, p: _divergence(q[p > 0], p[p > 0]),),
    ),
    Diagnosis(
        "the value is right, but np.where computes log 0 first and throws it away after. Choose the classes before: held = q > 0, then q[held], p[held].",
        (
            lambda q, p: np.where(q > 0, q * np.log(q / p), 0).sum(),
            lambda q, p: np.nansum(q * np.log(q / p)),
        ),
    ),
    Diagnosis(
        "this is the entropy of q alone: p does not occur.",
        (lambda q, p: float(-(q[q > 0] * np.log(q[q > 0])).sum()),),
    ),
    Diagnosis(
        "the two are exchanged. The weights are those of q, the truth; the divergence is not symmetric.",
        (lambda q, p: _divergence(p, q),),
    ),
    Diagnosis(
        "the sign is turned round: with log(p / q) the sum is negative. It is q log(q / p).",
        (lambda q, p: -_divergence(q, p),),
    ),
    Diagnosis(
        "this is the cross-entropy, which holds the entropy of q as well; eq-cross-entropy-split.",
        (lambda q, p: float(-(q[q > 0] * np.log(p[q > 0])).sum()),),
    ),
    Diagnosis(
        "0 times log 0 is nan in floating point. Sum over the classes with q > 0 alone.",
        (
            lambda q, p: float((q * (np.log(q) - np.log(p))).sum()),
            lambda q, p: float((q * np.log(q / p)).sum()),
        ),
    ),
    Diagnosis(
        "a small number in the logarithm makes the impossible possible: where p = 0 and q > 0 the divergence is infinite.",
        (
            lambda q, p: float((q * (np.log(q + 1e-12) - np.log(p + 1e-12))).sum()),
            lambda q, p: float((q * (np.log(q + 1e-10) - np.log(p + 1e-10))).sum()),
            lambda q, p: float((q * (np.log(q + 1e-9) - np.log(p + 1e-9))).sum()),
            lambda q, p: float((q * (np.log(q + 1e-8) - np.log(p + 1e-8))).sum()),
        ),
    ),
    Diagnosis(
        "this is a mean over the classes. The divergence is the sum: q holds the weights already.",
        (lambda q, p: _divergence(q, p) / len(q),),
    ),
    Diagnosis(
        "this is in bits. With the natural logarithm it is in nats.",
        (lambda q, p: _divergence(q, p) / math.log(2),),
    ),
    Diagnosis(
        "this is the symmetric mean of both directions. The exercise asks for the one from q to p.",
        (
            lambda q, p: (_divergence(q, p) + _divergence(p, q)) / 2,
            lambda q, p: _divergence(q, p) + _divergence(p, q),
        ),
    ),
]


# ---------------------------------------------------------------- focal


def _yes_or_no(shape=(6,), gamma=1.5):
    return lambda rng: (
        2 * rng.normal(size=shape),
        rng.integers(0, 2, size=shape).astype(float),
        gamma,
    )


def _focal_parts(z, t):
    """Sign, log p, p and 1 - p of what is true."""
    sign = 2 * t - 1
    u = sign * z
    tail = np.log1p(np.exp(-np.abs(u)))
    log_p, log_q = np.minimum(u, 0) - tail, np.minimum(-u, 0) - tail
    return sign, log_p, np.exp(log_p), np.exp(log_q)


def _focal(z, t, gamma):
    sign, log_p, p, q = _focal_parts(z, t)
    return (-(q**gamma) * log_p).mean(), sign * q**gamma * (gamma * p * log_p - q) / z.size


def _numeric_focal(z, t, gamma):
    return _focal(z, t, gamma)[0], numerical_gradient(lambda z: _focal(z, t, gamma)[0], z)


def _with_focal(loss=None, slope=None):
    """Another loss or slope of one entry, given sign, log p, p, 1 - p and gamma."""

    def wrong(z, t, gamma):
        parts = _focal_parts(z, t)
        right = _focal(z, t, gamma)
        return (
            right[0] if loss is None else loss(*parts, gamma).mean(),
            right[1] if slope is None else slope(*parts, gamma) / z.size,
        )

    return wrong


def _naive_focal(z, t, gamma):
    p = 1 / (1 + np.exp(-z))
    p = np.where(t == 1, p, 1 - p)
    slope = (2 * t - 1) * (1 - p) ** gamma * (gamma * p * np.log(p) - (1 - p))
    return (-((1 - p) ** gamma) * np.log(p)).mean(), slope / z.size


def _clipped_focal(z, t, gamma, small):
    sign, _, p, _ = _focal_parts(z, t)
    p = np.clip(p, small, 1 - small)
    slope = sign * (1 - p) ** gamma * (gamma * p * np.log(p) - (1 - p))
    return (-((1 - p) ** gamma) * np.log(p)).mean(), slope / z.size


def _one_minus_focal(z, t, gamma):
    sign, log_p, p, _ = _focal_parts(z, t)
    return (-((1 - p) ** gamma) * log_p).mean(), sign * (1 - p) ** gamma * (
        gamma * p * log_p - (1 - p)
    ) / z.size


@exercise(
    ("loss", "dz"),
    Case("shapes", _yes_or_no(), shapes),
    Case("loss", _yes_or_no(), parts=("loss",)),
    Case("slope", _yes_or_no(), parts=("dz",)),
    Case("finite differences", _yes_or_no(), right=_numeric_focal, tolerance=1e-6),
    Case("gamma 0 is cross-entropy", _yes_or_no(gamma=0.0)),
    Case(
        "sure and wrong",
        lambda rng: (np.array([-1000.0, 1000.0]), np.array([1.0, 0.0]), 2.0),
        show=True,
        quiet=True,
    ),
    Case("sure and right", lambda rng: (np.array([40.0]), np.array([1.0]), 0.5), tolerance=1e-6),
    Case("two axes", _yes_or_no(shape=(3, 2))),
)
def focal(z, t, gamma):
    """focal(z, t, gamma) -> (loss, dz): the mean focal loss of logits z and its gradient (eq-focal, eq-focal-vjp), without weights.

    z and t (...), t is 1 or 0; dz has the shape of z."""
    return _focal(z, t, gamma)


focal.diagnoses += [
    Diagnosis(
        "dz has the wrong sign: a larger u makes the loss smaller, so the slope in u is negative.",
        (
            _with_focal(
                slope=lambda sign, log_p, p, q, gamma: -sign * q**gamma * (gamma * p * log_p - q)
            ),
        ),
    ),
    Diagnosis(
        "the sign of one of the two terms is wrong: d(1 - p)/du is -p (1 - p). It is (1 - p)^gamma (gamma p log p - (1 - p)).",
        (
            _with_focal(
                slope=lambda sign, log_p, p, q, gamma: sign * q**gamma * (-gamma * p * log_p - q)
            ),
            _with_focal(
                slope=lambda sign, log_p, p, q, gamma: sign * q**gamma * (gamma * p * log_p + q)
            ),
        ),
    ),
    Diagnosis(
        "the factor p before log p is missing: dp/du = p (1 - p).",
        (
            _with_focal(
                slope=lambda sign, log_p, p, q, gamma: sign * q**gamma * (gamma * log_p - q)
            ),
        ),
    ),
    Diagnosis(
        "the loss is negative: log p is, so a minus stands before the mean.",
        (_with_focal(lambda sign, log_p, p, q, gamma: q**gamma * log_p),),
    ),
    Diagnosis(
        "p is cut off at a small distance from 0 and 1: the loss stops growing there. Compute log p from u itself.",
        (lambda z, t, gamma: _clipped_focal(z, t, gamma, 1e-7),),
    ),
    Diagnosis(
        "divided by len(z), the rows. The mean is over all entries: z.size.",
        (lambda z, t, gamma: tuple(v * z.size / len(z) for v in _focal(z, t, gamma)),),
    ),
    Diagnosis(
        "p is the probability of yes for all. Where t = 0 it is that of no, the one which should be large: use u = (2 t - 1) z.",
        (lambda z, t, gamma: _focal(z, np.ones_like(t), gamma),),
    ),
    Diagnosis(
        "the weight (1 - p)^gamma depends on z, too: by the product rule the slope has two terms; eq-focal-vjp.",
        (_with_focal(slope=lambda sign, log_p, p, q, gamma: -sign * q**gamma * q),),
    ),
    Diagnosis(
        "this is the slope with respect to p. The factor dp/dz = p (1 - p) is missing.",
        (
            _with_focal(
                slope=lambda sign, log_p, p, q, gamma: (
                    sign * q**gamma * (gamma * p * log_p - q) / (p * q)
                )
            ),
        ),
    ),
    Diagnosis(
        "the sign 2 t - 1 is missing in the slope: u falls with z where t = 0.",
        (_with_focal(slope=lambda sign, log_p, p, q, gamma: q**gamma * (gamma * p * log_p - q)),),
    ),
    Diagnosis(
        "the weight is p^gamma: that keeps the easy examples and drops the hard ones. It is (1 - p)^gamma.",
        (
            _with_focal(
                lambda sign, log_p, p, q, gamma: -(p**gamma) * log_p,
                lambda sign, log_p, p, q, gamma: -sign * p**gamma * q * (gamma * log_p + 1),
            ),
            _with_focal(lambda sign, log_p, p, q, gamma: -(p**gamma) * log_p),
        ),
    ),
    Diagnosis(
        "p rounds to 0, and log(0) is -inf. Compute log p from u itself: -log(1 + e^-u), for u < 0 written as u - log(1 + e^u).",
        (_naive_focal,),
    ),
    Diagnosis(
        "1 - p is 0 where p rounds to 1. Compute it as the sigmoid of -u.",
        (_one_minus_focal,),
    ),
    Diagnosis(
        "the loss is a sum. It is the mean over all entries.",
        (lambda z, t, gamma: (_focal(z, t, gamma)[0] * z.size, _focal(z, t, gamma)[1]),),
    ),
    Diagnosis(
        "dz lacks the 1/n of the mean: divide by the number of entries.",
        (lambda z, t, gamma: (_focal(z, t, gamma)[0], _focal(z, t, gamma)[1] * z.size),),
    ),
]
