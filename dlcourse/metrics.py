"""How good predictions are."""


import numpy as np

from dlcourse.boundary import IGNORED


def predictions(logits):
    """The predicted class of each example.  logits (..., V) -> the largest: int64 (...); logits (N, 1) or (N,) -> 1 where positive: int64 (N,)

    A logit above 0 is a probability above 1/2, since sigmoid is increasing and sigmoid(0) = 1/2."""
    logits = np.asarray(logits)
    if logits.ndim == 1 or (logits.ndim == 2 and logits.shape[1] == 1):
        return (logits.reshape(-1) > 0).astype(np.int64)
    return logits.argmax(axis=-1)


def accuracy(logits, labels):
    """The share of examples, or positions, whose predicted class is the label.

    logits (N, V), or (N, 1) for two classes, and labels (N,), or logits (N, T, V) and labels (N, T) -> float. Labels of -100 do not count.
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
    """Counts: row i, column j holds how many examples of class i were predicted as j.  (N,), (N,) -> (V, V) int64, V = `classes`

    Raises ValueError when there are no examples, the lengths differ, or a class lies outside 0 ... V-1."""
    labels, predicted = _check("predictions", predicted, labels), np.asarray(predicted)
    for name, values in (("predictions", predicted), ("labels", labels)):
        if values.min() < 0 or values.max() >= classes:
            raise ValueError(
                f"{name} run from {values.min()} to {values.max()}: they must lie in 0 ... {classes - 1}, so pass classes={values.max() + 1}"
            )
    return np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(
        classes, classes
    )


def _check(name, values, labels):
    labels = np.asarray(labels)
    if len(values) != len(labels):
        raise ValueError(
            f"{len(values)} {name} but {len(labels)} labels: each example needs one of both"
        )
    if len(labels) == 0:
        raise ValueError("there are no examples to measure on: pass at least one")
    return labels
