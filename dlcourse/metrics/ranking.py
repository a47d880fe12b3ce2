"""How well scores put positives above negatives: ROC, AUC, precision-recall, average precision.

Scores (N,) are any finite numbers, larger for a likelier positive; labels (N,) are 0 and 1. All equal scikit-learn's, curves with
`drop_intermediate=False`; where there is no positive or no negative they warn as those do, and return what those return."""

import warnings

import numpy as np

from dlcourse.metrics.classes import UndefinedMetricWarning, _check


def roc_curve(scores, labels):
    """False and true positive rate at each threshold t, where s >= t is called positive  (eq-roc; Fawcett 2006).

    -> (fpr, tpr, thresholds), each (K + 1,): K different scores, falling, behind infinity, which calls nothing positive.
    Without negatives fpr is NaN, without positives tpr, with an UndefinedMetricWarning.
    Raises ValueError for no examples, lengths that differ, scores that are not finite, labels other than 0 and 1."""
    scores, positive = _scores_and_labels(scores, labels)
    thresholds, true, false = _called(scores, positive)
    rates = []
    for count, name in ((false, "negative"), (true, "positive")):
        if count[-1] == 0:
            _undefined(f"there is no {name} example, so that the {name}s' rate is 0 / 0")
        rates.append(
            np.append(0, count) / count[-1] if count[-1] else np.full(len(count) + 1, np.nan)
        )
    return rates[0], rates[1], np.append(np.inf, thresholds)


def roc_auc(scores, labels):
    """The probability that a random positive has a larger score than a random negative, ties counted half  (eq-auc, eq-auc-ranks; Hanley & McNeil 1982).

    (N,), (N,) -> float, the area under `roc_curve`; time N log N. One class alone gives NaN with an UndefinedMetricWarning.
    Raises ValueError as `roc_curve` does."""
    scores, positive = _scores_and_labels(scores, labels)
    p, n = np.count_nonzero(positive), np.count_nonzero(~positive)
    if p == 0 or n == 0:
        _undefined("all examples are of one class, so that there is no pair to rank: AUC is NaN")
        return float("nan")
    return float((ranks(scores)[positive].sum() - p * (p + 1) / 2) / (p * n))


def ranks(scores):
    """1 for the smallest score to N; equal scores share the mean of their ranks.  (N,) -> (N,)"""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def precision_recall_curve(scores, labels):
    """Precision and recall where s >= t is called positive, for rising thresholds  (eq-precision-recall).

    -> (precision (K + 1,), recall (K + 1,), thresholds (K,)) for K different scores; the last point is precision 1, recall 0, and has no
    threshold. Without positives recall is set to 1, with an UndefinedMetricWarning. Raises ValueError as `roc_curve` does."""
    scores, positive = _scores_and_labels(scores, labels)
    thresholds, true, false = _called(scores, positive)
    if true[-1] == 0:
        _undefined("there is no positive example: recall is called 1 for every threshold")
    found = true / true[-1] if true[-1] else np.ones(len(true))
    return (
        np.append((true / (true + false))[::-1], 1.0),
        np.append(found[::-1], 0.0),
        thresholds[::-1],
    )


def average_precision(scores, labels):
    """The sum over falling thresholds of precision times the recall that is gained  (eq-average-precision).  (N,), (N,) -> float

    Without positives it is 0, with an UndefinedMetricWarning. Raises ValueError as `roc_curve` does."""
    precision, recall, _ = precision_recall_curve(scores, labels)
    return float(((recall[:-1] - recall[1:]) * precision[:-1]).sum())


def _called(scores, positive):
    """(thresholds falling, TP, FP): how many are called positive from each different score on, all of equal score together."""
    order = np.argsort(-scores)
    ordered = scores[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(ordered) - 1)
    true = np.cumsum(positive[order])[last]
    return ordered[last], true, last + 1 - true


def _scores_and_labels(scores, labels):
    labels = _check("scores", scores, labels)
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if scores.size != len(scores) or labels.size != len(labels):
        raise ValueError(
            f"scores {scores.shape} and labels {labels.shape}: pass one score of the positive class for each example, as logits[:, 1] - logits[:, 0]"
        )
    if not np.isfinite(scores).all():
        raise ValueError("a score is NaN or infinite, and has no place in the order: find out why")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels are 0 and 1: write labels == c for class c against the rest")
    return scores.ravel(), labels.ravel() == 1


def _undefined(sentence):
    warnings.warn(sentence, UndefinedMetricWarning, stacklevel=3)
