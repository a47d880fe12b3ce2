"""Folds for cross-validation, and examples that stand in two parts."""

import numpy as np


def k_folds(labels, k, seed, stratified=True):
    """k pairs (train, held out) of sorted indices: every example is held out once  (eq-cross-validation; Kohavi 1995).

    labels (N,). The examples are put in a random order, class by class when `stratified`, and dealt out like cards: folds differ in size
    by one at most, and so do their numbers of each class. Without it the order is random throughout. The generator is made from `seed`.
    Raises ValueError for labels of another shape, less than 2 folds, or more folds than examples."""
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(
            f"labels of shape {labels.shape}: pass one for each example, labels.ravel()"
        )
    if not 2 <= k <= len(labels):
        raise ValueError(f"{k} folds of {len(labels)} examples: choose 2 to {len(labels)}")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    if stratified:
        order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(labels), int)
    fold[order] = np.arange(len(labels)) % k
    return [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(k)]


def duplicates(x):
    """Whether an equal example stands before it.  x (N, ...) -> bool (N,)"""
    seen, found = set(), []
    for row in _rows(x):
        found.append(row in seen)
        seen.add(row)
    return np.array(found, bool)


def overlap(train, other):
    """The indices of the examples of `other` that `train` holds too: a leak.  (N, ...), (M, ...) -> (K,)

    Raises ValueError where the examples have different shapes."""
    if np.shape(train)[1:] != np.shape(other)[1:]:
        raise ValueError(
            f"examples of shape {np.shape(train)[1:]} and of {np.shape(other)[1:]}: compare like with like"
        )
    seen = set(_rows(train))
    return np.array([i for i, row in enumerate(_rows(other)) if row in seen], int)


def _rows(x):
    return [row.tobytes() for row in np.asarray(x, np.float64) + 0.0]  # -0 becomes 0
