"""How good predicted classes are: accuracy, confusion, precision, recall, F1.

They equal scikit-learn's, also where 0 is divided by 0: the result is 0 there, with an UndefinedMetricWarning.
What scikit-learn refuses is refused: no examples, and lengths that differ."""

import warnings

import numpy as np

from dlcourse.boundary import IGNORED

AVERAGES = ("binary", "macro", "micro", "weighted", "none")


class UndefinedMetricWarning(UserWarning):
    """A metric was asked for that the examples do not determine."""


def predictions(logits):
    """The predicted class of each example.  logits (..., V) -> the largest: int64 (...); logits (N, 1) or (N,) -> 1 where positive: int64 (N,)

    A logit above 0 is a probability above 1/2, since sigmoid is increasing and sigmoid(0) = 1/2."""
    logits = np.asarray(logits)
    if logits.ndim == 1 or (logits.ndim == 2 and logits.shape[1] == 1):
        return (logits.ravel() > 0).astype(np.int64)
    return logits.argmax(axis=-1)


def accuracy(logits, labels):
    """The share of examples, or positions, whose predicted class is the label.

    logits (N, V), or (N, 1) for two classes, and labels (N,), or logits (N, T, V) and labels (N, T) -> float. Labels of -100 do not count.
    The one number of two classes is a logit: of a probability p pass p - 0.5, as every p above 0 would be called positive.
    Raises ValueError when there are no examples, nothing counts, or the lengths differ."""
    labels = _check("logits", logits, labels)
    count = np.count_nonzero(labels != IGNORED)
    if count == 0:
        raise ValueError(f"there is no position to measure on: all labels are {IGNORED}")
    return right(logits, labels) / count


def right(logits, labels):
    """How many of the labels that count are predicted; see `accuracy`."""
    predicted = predictions(logits)
    return np.count_nonzero(predicted == np.reshape(labels, predicted.shape))


def confusion(predicted, labels, classes):
    """Counts: row i, column j holds how many examples of class i were predicted as j  (eq-confusion).  (N,), (N,) -> (V, V) int64, V = `classes`

    Raises ValueError when there are no examples, the lengths differ, or a class is no whole number of 0 ... V-1."""
    labels = _whole("labels", _check("predictions", predicted, labels))
    predicted = _whole("predictions", predicted)
    for name, values in (("predictions", predicted), ("labels", labels)):
        if values.max() >= classes:
            raise ValueError(
                f"{name} run from {values.min()} to {values.max()}: they must lie in 0 ... {classes - 1}, so pass classes={values.max() + 1}"
            )
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(
        classes, classes
    )


def precision(predicted, labels, average="binary", classes=None):
    """TP / (TP + FP): the share of examples called c that are of class c  (eq-precision-recall).  (N,), (N,) whole numbers -> float

    `average`: "binary" measures class 1 of 0 and 1; "macro" is the mean over the classes, "weighted" by their examples, "micro" that
    of all counts together; "none" gives an array (V,). Classes that occur nowhere do not count, unless `classes` = V is given.
    What is 0 / 0, as nothing was called c, is 0, with a warning. Raises ValueError for no examples, other lengths, other labels."""
    hits, called, _, weights = _counts(predicted, labels, average, classes)
    return _average(_ratio(hits, called, "precision"), average, weights)


def recall(predicted, labels, average="binary", classes=None):
    """TP / (TP + FN): the share of the examples of class c that are called c  (eq-precision-recall); see `precision`.

    0 / 0 is 0, with a warning: there is no example of class c."""
    hits, _, there, weights = _counts(predicted, labels, average, classes)
    return _average(_ratio(hits, there, "recall"), average, weights)


def f1(predicted, labels, average="binary", classes=None):
    """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall  (eq-f1); see `precision`.

    0 / 0 is 0, with a warning: no example is of class c, and none is called so."""
    hits, called, there, weights = _counts(predicted, labels, average, classes)
    return _average(_ratio(2 * hits, called + there, "F1"), average, weights)


def balanced_accuracy(predicted, labels):
    """The mean of the recalls of the classes that occur among the labels  (eq-balanced-accuracy).  (N,), (N,) -> float

    A constant answer reaches 1 / V, however the classes are distributed. A class that is predicted and has no example does not count, and
    has no warning; scikit-learn leaves it out, too, and warns."""
    hits, _, there, _ = _counts(predicted, labels, "macro", None)
    return float(np.mean(hits[there > 0] / there[there > 0]))


def _counts(predicted, labels, average, classes):
    """(TP, called, there), each (V,) for the classes that count, (1,) for "binary", () for "micro"; and the weights of a mean over them."""
    if average not in AVERAGES:
        raise ValueError(f"unknown average {average!r}: choose one of {', '.join(AVERAGES)}")
    labels = _check("predictions", predicted, labels)
    predicted, labels = _whole("predictions", predicted), _whole("labels", labels)
    largest = max(predicted.max(), labels.max())
    if average == "binary" and largest > 1:
        raise ValueError(
            f"class {largest} where average='binary' measures class 1 of 0 and 1: choose one of {', '.join(AVERAGES[1:])}"
        )
    size = 2 if average == "binary" else largest + 1 if classes is None else classes
    table = confusion(predicted, labels, size)
    hits, called, there = np.diag(table), table.sum(axis=0), table.sum(axis=1)
    if average == "binary":
        return hits[1:], called[1:], there[1:], None
    if average == "micro":
        return hits.sum(), called.sum(), there.sum(), None
    if classes is None:
        occurs = called + there > 0
        hits, called, there = hits[occurs], called[occurs], there[occurs]
    return hits, called, there, there if average == "weighted" else None


def _ratio(part, whole, name):
    """part / whole, and 0 with a warning where both are 0."""
    if np.any(whole == 0):
        warnings.warn(
            f"{name} is 0 / 0 for {np.count_nonzero(whole == 0)} of {len(whole)} classes, and called 0",
            UndefinedMetricWarning,
            stacklevel=3,
        )
    return part / np.maximum(whole, 1)


def _average(values, average, weights):
    return values if average == "none" else float(np.average(values, weights=weights))


def _whole(name, values):
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "biu":
        raise ValueError(
            f"{name} are {values.dtype} of shape {values.shape}: pass whole numbers (N,), as `predictions` makes them"
        )
    if values.min() < 0:
        raise ValueError(f"{name} run from {values.min()}: classes count from 0")
    return values.astype(np.int64)


def _check(name, values, labels):
    labels = np.asarray(labels)
    if len(values) != len(labels):
        raise ValueError(
            f"{len(values)} {name} but {len(labels)} labels: each example needs one of both"
        )
    if len(labels) == 0:
        raise ValueError("there are no examples to measure on: pass at least one")
    return labels
