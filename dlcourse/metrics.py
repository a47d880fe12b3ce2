"""How good predictions are."""

import numpy as np


def predictions(logits):
    """The predicted class of each example.  logits (N, V) -> the largest; logits (N, 1) or (N,) -> 1 where positive: int64 (N,)

    A logit above 0 is a probability above 1/2, since sigmoid is increasing and sigmoid(0) = 1/2."""
    logits = np.asarray(logits)
    if logits.ndim == 1 or logits.shape[1] == 1:
        return (logits.reshape(-1) > 0).astype(np.int64)
    return logits.argmax(axis=1)


def accuracy(logits, labels):
    """The share of examples whose predicted class is the label.  logits (N, V), or (N, 1) for two classes; labels (N,) -> float

    Raises ValueError when there are no examples or the lengths differ."""
    labels = _check("logits", logits, labels)
    return float(np.mean(predictions(logits) == labels.reshape(len(labels))))


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
