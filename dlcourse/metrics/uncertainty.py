"""How far a measured number may be from what it measures, and whether two models differ."""

import math
import warnings
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from dlcourse.boundary import check_whole
from dlcourse.metrics.classes import UndefinedMetricWarning, _check


class Interval(NamedTuple):
    """The measured value, and the bounds of its confidence interval."""

    value: float
    low: float
    high: float


class McNemar(NamedTuple):
    """How many examples model a alone has right, how many b alone, and the p-value of "they are equally good"."""

    only_a: int
    only_b: int
    p: float


def wilson(hits, trials, level=0.95):
    """The confidence interval of a share -> Interval  (eq-wilson; Wilson 1927).  hits of trials, two whole numbers

    Unlike share +- z standard errors it stays in [0, 1], and has a width at 0 and 1.
    Raises ValueError for no trials, hits outside 0 ... trials or not whole, a level outside (0, 1)."""
    if not 0 <= hits <= trials or trials == 0 or hits % 1 or trials % 1:
        raise ValueError(
            f"{hits} hits of {trials} trials: pass whole numbers, 0 to {trials} of at least 1"
        )
    z = NormalDist().inv_cdf(0.5 + _level(level) / 2)
    share, a = hits / trials, z * z / trials
    middle = (share + a / 2) / (1 + a)
    half = math.sqrt(a * share * (1 - share) + a * a / 4) / (1 + a)
    # for no hits the difference is exactly 0; for nothing but hits the sum is rounded
    return Interval(share, middle - half, middle + half if hits < trials else 1.0)


def bootstrap(statistic, *arrays, rng, resamples=2000, level=0.95, strata=None):
    """The interval in which a statistic lies when the examples are drawn anew from themselves -> Interval  (eq-bootstrap; Efron 1979).

    statistic(*arrays) -> float; arrays (N, ...) whose rows belong together, as predictions and labels. The bounds are percentiles.
    For two models pass `lambda a, b, y: metric(a, y) - metric(b, y)`: the examples stay paired. With `strata` (N,) each class is drawn by
    itself, and keeps its number. rng is a generator. Precision and recall of a resample that are 0 / 0 count as 0, without a warning.
    Not for what is biased upwards, as `calibration_error`: a resample has that bias twice.
    Raises ValueError for no examples, lengths that differ, no resamples, and where a resample has no value, as AUC of one class."""
    check_whole(resamples=resamples)
    arrays = [np.asarray(array) for array in arrays]
    groups = _groups(arrays, strata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        values = np.empty(resamples)
        for i in range(resamples):
            index = np.concatenate(
                [group[rng.integers(0, len(group), len(group))] for group in groups]
            )
            values[i] = statistic(*(array[index] for array in arrays))
    if not np.isfinite(values).all():
        raise ValueError(
            f"{np.count_nonzero(~np.isfinite(values))} of {resamples} resamples have no value: pass strata=labels, so that none lacks a class"
        )
    tail = (1 - _level(level)) / 2
    low, high = np.quantile(values, (tail, 1 - tail))
    return Interval(float(statistic(*arrays)), float(low), float(high))


def mcnemar(a, b, labels):
    """Whether two classifiers of the same examples differ -> McNemar, exact and two-sided  (eq-mcnemar; McNemar 1947).

    a, b, labels (N,): predicted and true classes. Examples that both have right, or both wrong, say nothing; were the models equally
    good, each of the others would be a fair coin. p = 1 where there is none.
    Raises ValueError for no examples, lengths that differ, and other shapes."""
    labels = _check("predictions", a, labels)
    a, b = np.asarray(a), np.asarray(b)
    _check("predictions", b, labels)
    if not (a.ndim == b.ndim == labels.ndim == 1):
        raise ValueError(
            f"predictions {a.shape} and {b.shape}, labels {labels.shape}: pass the class of each example (N,), as `predictions` and labels.ravel() give it"
        )
    right_a, right_b = a == labels, b == labels
    # Python's whole numbers: NumPy's overflow in 2**n
    only_a, only_b = int(np.sum(right_a & ~right_b)), int(np.sum(right_b & ~right_a))
    n, k = only_a + only_b, min(only_a, only_b)
    tail = term = 1
    for j in range(k):
        term = term * (n - j) // (j + 1)  # n over j + 1
        tail += term
    return McNemar(only_a, only_b, min(1.0, 2 * tail / 2**n))


def permutation_test(statistic, a, b, labels, rng, rounds=10_000):
    """The p-value of "the models could be exchanged", by exchanging their answers  (eq-permutation-test; Noreen 1989).

    statistic(predictions, labels) -> float; a, b (N, ...), what two models say of the same examples. For AUC, which compares examples, both
    must be on one scale: exchange `ranks(scores)`, as neither logits nor probabilities of two models are. In each round every example's two
    answers are exchanged or not, by a fair coin; p is the share of rounds, the given one among them, whose difference is at least as large.
    Raises ValueError for no examples, lengths that differ, and where a model or an exchange has no value, as AUC of one class."""
    labels = _check("predictions", a, labels)
    a, b = np.asarray(a), np.asarray(b)
    _check("predictions", b, labels)
    observed, extreme = _distance(statistic, a, b, labels), 1
    for _ in range(rounds):
        swap = np.expand_dims(rng.random(len(labels)) < 0.5, tuple(range(1, a.ndim)))
        one, other = np.where(swap, b, a), np.where(swap, a, b)
        extreme += (
            _distance(statistic, one, other, labels) >= observed - 1e-12
        )  # equal differences, rounded otherwise
    return extreme / (rounds + 1)


def _distance(statistic, a, b, labels):
    """By how much two models differ."""
    distance = abs(statistic(a, labels) - statistic(b, labels))
    if not np.isfinite(distance):
        raise ValueError(
            f"the difference of the two statistics is {distance}: choose a statistic that has a value for these labels, as AUC has none for one class"
        )
    return distance


def _groups(arrays, strata):
    """The indices of the examples, together or by class."""
    for array in arrays:
        _check("rows", array, arrays[0])
    if strata is None:
        return [np.arange(len(arrays[0]))]
    strata = _check("rows", arrays[0], strata)
    return [np.flatnonzero(strata == value) for value in np.unique(strata)]


def _level(level):
    if not 0 < level < 1:
        raise ValueError(f"level={level}: a share between 0 and 1, as 0.95")
    return level
