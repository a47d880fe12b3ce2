"""Whether probabilities are what they say: Brier score, reliability, calibration error."""

import math
import warnings
from typing import NamedTuple

import numpy as np

from dlcourse.metrics.classes import _check

BINS = ("uniform", "quantile")


class Reliability(NamedTuple):
    """One entry for each bin that holds examples: mean probability, share of positives, number of examples."""

    predicted: np.ndarray
    observed: np.ndarray
    count: np.ndarray


class BrierParts(NamedTuple):
    """The Brier score is reliability - resolution + uncertainty + within."""

    reliability: float
    resolution: float
    uncertainty: float
    within: float


def brier(p, labels):
    """The mean squared error of probabilities  (eq-brier; Brier 1950).

    p (N,) of the positive class and labels 0, 1 -> the mean of (p - y)^2; p (N, V) of all classes and labels (N,) -> the mean over the
    examples of sum_v (p_v - [v = y])^2, halved for V = 2, so that both forms agree: as scikit-learn. Rows (V,) that do not add up to one
    are warned of, as there.
    Raises ValueError for no examples, lengths that differ, or what is no probability."""
    labels = _check("probabilities", p, labels)
    precision = np.result_type(np.asarray(p), np.float16)  # in which the rows were rounded
    p = _probabilities(p)
    if p.ndim == 2 and p.shape[1] > 1:
        if not np.isin(labels, np.arange(p.shape[1])).all():
            raise ValueError(
                f"labels run from {labels.min()} to {labels.max()}, and p has {p.shape[1]} columns: pass a column for each class, counted from 0"
            )
        if not np.allclose(p.sum(axis=1), 1.0, rtol=math.sqrt(np.finfo(precision).eps)):
            warnings.warn(
                "a row of p does not add up to one: pass the probabilities of all classes",
                stacklevel=2,
            )
        errors = ((p - np.eye(p.shape[1])[labels]) ** 2).sum(axis=1)
        return float(errors.mean() / (2 if p.shape[1] == 2 else 1))
    return float(np.mean((p.ravel() - _positive(labels)) ** 2))


def reliability(p, labels, bins=10, strategy="uniform"):
    """Examples of about the same probability, and how many of them are positive -> Reliability  (eq-calibration-error).

    `bins` of equal width, the upper edge belongs to the bin, or with "quantile" of about equal number; empty bins are left out. The first
    two entries are those of scikit-learn's `calibration_curve`, which lets NaN pass. Raises ValueError as `brier` does, for NaN, too."""
    p, positive, place = _binned(p, labels, bins, strategy)
    count = np.bincount(place, minlength=bins)
    held = count > 0
    sums = (np.bincount(place, weights, minlength=bins)[held] for weights in (p, positive))
    return Reliability(*(total / count[held] for total in sums), count[held])


def calibration_error(p, labels, bins=10, strategy="uniform"):
    """ECE, the mean over the examples of |share of positives - mean probability| of their bin  (eq-calibration-error; Naeini et al. 2015).

    It depends on the bins, and is above 0 for perfect probabilities too, as shares of few examples scatter. Errors as `brier`."""
    predicted, observed, count = reliability(p, labels, bins, strategy)
    return float(np.average(abs(observed - predicted), weights=count))


def brier_parts(p, labels, bins=None, strategy="uniform"):
    """The Brier score in parts -> BrierParts  (eq-brier-parts; Murphy 1973; Stephenson et al. 2008).

    Without `bins` a group are the examples of exactly equal p, and `within` is 0. That is for p of few values: where all p differ, each
    example is a group, reliability is the whole score, and resolution equals uncertainty. Raises ValueError as `brier` does."""
    if bins is None:
        labels = _check("probabilities", p, labels)
        p, positive = _probabilities(p).ravel(), _positive(labels)
        _, place = np.unique(p, return_inverse=True)
    else:
        p, positive, place = _binned(p, labels, bins, strategy)
        _, place = np.unique(place, return_inverse=True)
    count, base = np.bincount(place), positive.mean()
    predicted, observed = (np.bincount(place, values) / count for values in (p, positive))
    dp = p - predicted[place]  # adds up to 0 in each group, so that y needs no mean taken away
    return BrierParts(
        float(np.average((predicted - observed) ** 2, weights=count)),
        float(np.average((observed - base) ** 2, weights=count)),
        float(base * (1 - base)),
        float(np.mean(dp * dp - 2 * dp * positive)),
    )


def top_class(p, labels):
    """What a classifier of many classes says of its own answers: (p of the predicted class (N,), 1 where it is right, else 0 (N,)).

    p (N, V), labels (N,). Both go into `reliability` and `calibration_error` (Guo et al. 2017). Raises ValueError for no examples, lengths that
    differ, other shapes, or what is no probability."""
    labels = _check("probabilities", p, labels)
    p = _probabilities(p)
    if p.ndim != 2 or labels.ndim != 1:
        raise ValueError(
            f"probabilities {p.shape} and labels {labels.shape}: pass (N, V), a column for each class, and labels.ravel()"
        )
    return p.max(axis=1), (p.argmax(axis=1) == labels).astype(np.int64)


def _binned(p, labels, bins, strategy):
    """(p (N,), labels (N,), bin of each example (N,))"""
    labels = _check("probabilities", p, labels)
    p, positive = _probabilities(p).ravel(), _positive(labels)
    if strategy not in BINS:
        raise ValueError(f"unknown strategy {strategy!r}: choose one of {', '.join(BINS)}")
    if bins < 1:
        raise ValueError(f"bins={bins}: at least 1")
    shares = np.linspace(0.0, 1.0, bins + 1)
    edges = shares if strategy == "uniform" else np.percentile(p, shares * 100)
    return p, positive, np.searchsorted(edges[1:-1], p)


def _probabilities(p):
    p = np.asarray(p, np.float64)
    if not ((p >= 0) & (p <= 1)).all():  # NaN lands here as well
        raise ValueError(
            f"probabilities run from {p.min():.3g} to {p.max():.3g}: they lie in [0, 1], so put logits through a sigmoid or softmax first"
        )
    return p


def _positive(labels):
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels are 0 and 1: write labels == c for class c against the rest")
    return np.ravel(labels)
