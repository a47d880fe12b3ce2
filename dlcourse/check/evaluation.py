"""The exercises of the chapter *Evaluation*, each with the wrong answers that it recognises.

Throughout: labels (N,) are 0 and 1, a larger score or probability speaks for 1, results are new arrays or numbers."""

import numpy as np

from dlcourse import metrics
from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise
from dlcourse.data.scaling import Standardize


def _ratio(part, whole):
    return part / whole if whole else 0.0


# ---------------------------------------------------------------- standardize_split


def _tables(rows, others, columns=3, shift=0.0):
    def make(rng):
        deviation = np.arange(1, columns + 1)
        train, test = (rng.normal(2, 1, (n, columns)) * deviation for n in (rows, others))
        return train, test + shift

    return make


def _constant(rng):
    train, test = _tables(8, 4)(rng)
    train[:, 1] = 2.0
    return train, test


def _scaled(fit, deviation=None):
    """Both tables by mean and deviation of `fit(train, test)`; a deviation of 0 becomes 1."""

    def wrong(train, test):
        rows = fit(train, test)
        s = rows.std(axis=0) if deviation is None else deviation(rows)
        s = np.where(s == 0, 1.0, s)
        return (train - rows.mean(axis=0)) / s, (test - rows.mean(axis=0)) / s

    return wrong


def _each_by_its_own(train, test):
    return Standardize(train)(train), Standardize(test)(test)


def _of_the_whole_table(train, test):
    return (train - train.mean()) / train.std(), (test - train.mean()) / train.std()


def _along_rows(train, test):
    parts = []
    for x in (train, test):
        parts.append((x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True))
    return tuple(parts)


def _by_zero(train, test):
    with np.errstate(all="ignore"):
        return tuple((x - train.mean(axis=0)) / train.std(axis=0) for x in (train, test))


def _train(train, test):
    return train


def _to_unit_interval(train, test):
    low, high = train.min(axis=0), train.max(axis=0)
    width = np.where(high > low, high - low, 1.0)
    return (train - low) / width, (test - low) / width


@exercise(
    ("train", "test"),
    Case("shapes", _tables(6, 4), shapes),
    Case("random", _tables(20, 7)),
    Case("other test rows", _tables(20, 7, shift=5.0)),
    Case("a constant column", _constant),
    Case("one test row", _tables(8, 1)),
    Case("as many columns as rows", _tables(4, 4, columns=4)),
)
def standardize_split(train, test):
    """standardize_split(train, test) -> (train, test): both with the mean and the deviation of the training rows (eq-standardize).

    train is (N, I), test (M, I). A column that is constant over the training rows is only shifted."""
    scale = Standardize(train)
    return scale(train), scale(test)


standardize_split.diagnose(
    "mean and deviation are those of all rows. The test rows must not take part: that is a leak.",
    _scaled(lambda train, test: np.concatenate([train, test])),
)
standardize_split.diagnose(
    "the test rows are scaled by their own mean and deviation. Use those of the training rows: the model knows no others.",
    _each_by_its_own,
)
standardize_split.diagnose(
    "divided by the variance. Its root is the deviation.",
    _scaled(_train, lambda rows: rows.var(axis=0)),
)
standardize_split.diagnose(
    "the variance is divided by N - 1. Here it is the mean square, divided by N.",
    _scaled(_train, lambda rows: rows.std(axis=0, ddof=1)),
)
standardize_split.diagnose(
    "a constant column is divided by zero. Divide it by one.",
    _by_zero,
)
standardize_split.diagnose(
    "one mean and one deviation for the whole table. Each column has its own: axis=0.",
    _of_the_whole_table,
)
standardize_split.diagnose(
    "each row is scaled by itself. Mean and deviation run over the rows: axis=0.",
    _along_rows,
)
standardize_split.diagnose(
    "the mean is taken away, but nothing is divided.",
    _scaled(_train, lambda rows: np.ones(rows.shape[1])),
)
standardize_split.diagnose(
    "scaled to the range from 0 to 1. Asked for are mean 0 and deviation 1.",
    _to_unit_interval,
)


# ---------------------------------------------------------------- precision_recall_f1


def _four(predicted, labels, positive=1):
    """(TP, FP, FN, TN)"""
    p, y = predicted == positive, labels == positive
    return np.sum(p & y), np.sum(p & ~y), np.sum(~p & y), np.sum(~p & ~y)


def _right_scores(predicted, labels, positive=1):
    tp, fp, fn, _ = _four(predicted, labels, positive)
    return _ratio(tp, tp + fp), _ratio(tp, tp + fn), _ratio(2 * tp, 2 * tp + fp + fn)


def _with_f1(f1):
    def wrong(predicted, labels):
        precision, recall, _ = _right_scores(predicted, labels)
        return precision, recall, f1(precision, recall)

    return wrong


def _with_precision(precision):
    def wrong(predicted, labels):
        _, recall, f1 = _right_scores(predicted, labels)
        return precision(*_four(predicted, labels)), recall, f1

    return wrong


def _with_recall(recall):
    def wrong(predicted, labels):
        precision, _, f1 = _right_scores(predicted, labels)
        return precision, recall(*_four(predicted, labels)), f1

    return wrong


def _undefined(predicted, labels):
    tp, fp, fn, _ = (float(n) for n in _four(predicted, labels))
    with np.errstate(all="ignore"):
        return np.divide(tp, tp + fp), np.divide(tp, tp + fn), np.divide(2 * tp, 2 * tp + fp + fn)


def _exchanged(predicted, labels):
    precision, recall, f1 = _right_scores(predicted, labels)
    return recall, precision, f1


def _of_both_classes(predicted, labels):
    both = [_right_scores(predicted, labels, c) for c in (0, 1)]
    return tuple(np.mean(both, axis=0))


def _drawn_classes(share, size=60):
    def make(rng):
        labels = (rng.random(size) < share).astype(int)
        return np.where(rng.random(size) < 0.3, 1 - labels, labels), labels

    return make


def _given(predicted, labels):
    return lambda rng: (np.array(predicted), np.array(labels))


@exercise(
    ("precision", "recall", "f1"),
    Case("by hand", _given([1, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 1]), show=True),
    Case("all right", _given([0, 1, 1], [0, 1, 1]), show=True),
    Case("nothing is called", _given([0, 0, 0], [0, 1, 0]), show=True),
    Case("nothing is there", _given([1, 0, 0], [0, 0, 0]), show=True),
    Case("neither", _given([0, 0], [0, 0]), show=True),
    Case("random", _drawn_classes(0.5)),
    Case("rare positives", _drawn_classes(0.1)),
)
def precision_recall_f1(predicted, labels):
    """precision_recall_f1(predicted, labels) -> (precision, recall, f1): of class 1, from predicted and true classes (eq-precision-recall, eq-f1).

    predicted and labels are (N,), 0 and 1. What is 0 / 0 is 0."""
    return _right_scores(predicted, labels)


precision_recall_f1.diagnose(
    "precision and recall are exchanged. Precision is a share of those called positive, recall of those that are.",
    _exchanged,
)
precision_recall_f1.diagnose(
    "F1 is the mean of both. It is the harmonic mean: 2 TP / (2 TP + FP + FN).",
    _with_f1(lambda p, r: (p + r) / 2),
)
precision_recall_f1.diagnose(
    "F1 is the geometric mean. It is the harmonic one: 2 TP / (2 TP + FP + FN).",
    _with_f1(lambda p, r: np.sqrt(p * r)),
)
precision_recall_f1.diagnose(
    "the factor 2 of F1 is missing.",
    _with_f1(lambda p, r: _ratio(p * r, p + r)),
)
precision_recall_f1.diagnose(
    "0 / 0 is nan. Where nothing is called, or nothing is there, return 0.",
    _undefined,
)
precision_recall_f1.diagnose(
    "these are the numbers of class 0. Positive is class 1.",
    lambda predicted, labels: _right_scores(predicted, labels, 0),
)
precision_recall_f1.diagnose(
    "these are means over both classes. Only class 1 is asked for.",
    _of_both_classes,
)
precision_recall_f1.diagnose(
    "the accuracy took the place of the precision. Divide by those called positive.",
    _with_precision(lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn)),
)
precision_recall_f1.diagnose(
    "precision is divided by all examples. Divide by those called positive.",
    _with_precision(lambda tp, fp, fn, tn: tp / (tp + fp + fn + tn)),
)
precision_recall_f1.diagnose(
    "that is the share of negatives that are called negative. Recall is the share of positives that are found.",
    _with_recall(lambda tp, fp, fn, tn: _ratio(tn, tn + fp)),
)


# ---------------------------------------------------------------- rank_auc


def _pairs(scores, labels):
    return np.sign(scores[labels == 1][:, None] - scores[labels == 0])


def _at_a_half(scores, labels):
    called = scores >= 0.5
    return (called[labels == 1].mean() + 1 - called[labels == 0].mean()) / 2


def _from_ranks(ranks, subtract=True):
    def wrong(scores, labels):
        n1, n0 = np.sum(labels == 1), np.sum(labels == 0)
        total = ranks(scores)[labels == 1].sum()
        return (total - subtract * n1 * (n1 + 1) / 2) / (n1 * n0)

    return wrong


def _order(scores):
    return np.argsort(np.argsort(scores, kind="stable"), kind="stable") + 1


def _drawn_scores(size, values, share=0.4):
    def make(rng):
        labels = (rng.random(size) < share).astype(int)
        labels[:4] = 0, 1, 0, 1
        return rng.integers(0, values, size) / values + 0.3 * labels * rng.random(size), labels

    return make


def _ties(size, values):
    def make(rng):
        labels = rng.permutation(np.arange(size) % 2)
        return rng.integers(0, values, size) / values, labels

    return make


_HAND = [0.9, 0.8, 0.7, 0.6, 0.55, 0.5, 0.4, 0.3, 0.2, 0.1], [1, 1, 0, 1, 0, 0, 1, 0, 0, 0]


@exercise(
    "auc",
    Case("the example by hand", _given(*_HAND)),
    Case("in perfect order", _given([0.1, 0.4, 0.7], [0, 1, 1]), show=True),
    Case("in reversed order", _given([0.9, 0.3, 0.2], [0, 1, 1]), show=True),
    Case("a tie", _given([0.2, 0.6, 0.6, 0.9], [0, 1, 0, 0]), show=True),
    Case("all are tied", _given([0.5, 0.5, 0.5, 0.5], [1, 0, 1, 0]), show=True),
    Case("below zero", _given([-3.0, -1.0, -2.0, 4.0], [0, 1, 1, 0]), show=True),
    Case("random", _drawn_scores(50, 10**6)),
    Case("many ties", _ties(40, 5)),
)
def rank_auc(scores, labels):
    """rank_auc(scores, labels) -> auc: the area under the ROC curve (eq-auc, eq-auc-ranks).

    scores (N,) are any numbers, perhaps equal; labels (N,) are 0 and 1, and both occur."""
    return metrics.roc_auc(scores, labels)


rank_auc.diagnose(
    "pairs of equal scores count nothing. Each counts one half.",
    lambda scores, labels: np.mean(_pairs(scores, labels) > 0),
)
rank_auc.diagnose(
    "pairs of equal scores count as right. Each counts one half.",
    lambda scores, labels: np.mean(_pairs(scores, labels) >= 0),
)
rank_auc.diagnose(
    "that is one minus the area: a positive should score above a negative, not below.",
    lambda scores, labels: 1 - metrics.roc_auc(scores, labels),
)
rank_auc.diagnose(
    "the scores are cut at one half first. The area is that of all thresholds.",
    _at_a_half,
)
rank_auc.diagnose(
    "divided by all pairs of examples. Only those of a positive and a negative count.",
    lambda scores, labels: (
        2 * np.mean((_pairs(scores, labels) + 1) / 2) * np.sum(labels == 1) * np.sum(labels == 0)
        / (len(labels) * (len(labels) - 1))
    ),
)  # fmt: skip
rank_auc.diagnose(
    "the ranks count from 0. The smallest has rank 1.",
    _from_ranks(lambda scores: metrics.ranks(scores) - 1),
)
rank_auc.diagnose(
    "N1 (N1 + 1) / 2, the ranks of the positives among themselves, is not taken away.",
    _from_ranks(metrics.ranks, subtract=False),
)
rank_auc.diagnose(
    "equal scores are ranked by their place in the array. They share the mean of their ranks.",
    _from_ranks(_order),
)
rank_auc.diagnose(
    "that is the average precision, the area under the other curve.",
    metrics.average_precision,
)
rank_auc.diagnose(
    "scaled from -1 to 1, as Gini's coefficient. The area is half of that plus one half.",
    lambda scores, labels: np.mean(_pairs(scores, labels)),
)


# ---------------------------------------------------------------- calibration_gap


def _groups(p, bins):
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], p)


def _gaps(p, labels, group):
    """(share of the examples, share of positives - mean probability) of each group that holds examples."""
    present = np.unique(group)
    shares = np.array([np.mean(group == g) for g in present])
    gaps = np.array([labels[group == g].mean() - p[group == g].mean() for g in present])
    return shares, gaps


def _by(combine):
    return lambda p, labels, bins: combine(*_gaps(p, labels, _groups(p, bins)))


def _by_middles(p, labels, bins):
    group = _groups(p, bins)
    shares, _ = _gaps(p, labels, group)
    gaps = [labels[group == g].mean() - (g + 0.5) / bins for g in np.unique(group)]
    return np.sum(shares * np.abs(gaps))


def _of_answers(p, labels, bins):
    return metrics.calibration_error(p, ((p >= 0.5) == labels).astype(int), bins)


def _upper_edges(p, labels, bins):
    group = np.minimum((p * bins).astype(int), bins - 1)
    shares, gaps = _gaps(p, labels, group)
    return np.sum(shares * np.abs(gaps))


def _over_all_groups(p, labels, bins):
    with np.errstate(all="ignore"):
        group = _groups(p, bins)
        gaps = []
        for g in range(bins):
            count = np.float64(np.sum(group == g))
            gap = abs((labels[group == g] - p[group == g]).sum() / count)
            gaps.append(count / len(p) * gap)
        return np.sum(gaps)


def _drawn_probabilities(size, power=1.0):
    def make(rng):
        p = rng.uniform(0.02, 0.98, size)
        return p, (rng.random(size) < p**power).astype(int), 5

    return make


def _binned(p, labels, bins):
    return lambda rng: (np.array(p), np.array(labels), bins)


@exercise(
    "gap",
    Case("by hand", _binned([0.2, 0.1, 0.6, 0.9, 0.8], [0, 1, 1, 1, 0], 2), show=True),
    Case("one group", _binned([0.3, 0.9, 0.6], [1, 0, 1], 1), show=True),
    Case("on the edges", _binned([0.0, 0.25, 0.5, 0.5, 0.75, 1.0], [1, 0, 1, 0, 1, 1], 4)),
    Case("empty groups", _binned([0.05, 0.15, 0.95], [1, 0, 1], 5), show=True),
    Case("above and below", _binned([0.2, 0.2, 0.9, 0.9], [1, 0, 1, 0], 2), show=True),
    Case("random", _drawn_probabilities(80)),
    Case("too sure", _drawn_probabilities(80, 3.0)),
)
def calibration_gap(p, labels, bins):
    """calibration_gap(p, labels, bins) -> gap: the expected calibration error over `bins` groups of equal width (eq-calibration-error).

    p (N,) are probabilities, labels (N,) are 0 and 1. Group g holds g / bins < p <= (g + 1) / bins, the first one p = 0 too; empty
    groups count nothing."""
    return metrics.calibration_error(p, labels, bins)


calibration_gap.diagnose(
    "every group counts alike. A group counts with its share of the examples.",
    _by(lambda shares, gaps: np.mean(np.abs(gaps))),
)
calibration_gap.diagnose(
    "gaps above and below cancel. Take the absolute value in each group.",
    _by(lambda shares, gaps: np.sum(shares * gaps)),
    _by(lambda shares, gaps: abs(np.sum(shares * gaps))),
)
calibration_gap.diagnose(
    "the gaps are squared: that is the reliability part of the Brier score. Here they are absolute.",
    _by(lambda shares, gaps: np.sum(shares * gaps**2)),
)
calibration_gap.diagnose(
    "that is the largest gap. Asked for is their mean over the examples.",
    _by(lambda shares, gaps: np.max(np.abs(gaps))),
)
calibration_gap.diagnose(
    "the middle of each group stands for its probabilities. Take their mean.",
    _by_middles,
)
calibration_gap.diagnose(
    "compared with the share of right answers at one half. Compare with the share of positives.",
    _of_answers,
)
calibration_gap.diagnose(
    "an edge belongs to the group above it. It belongs to the one below: p <= (g + 1) / bins.",
    _upper_edges,
)
calibration_gap.diagnose(
    "every example is a group of its own. The mean over a group comes before the absolute value.",
    lambda p, labels, bins: np.mean(np.abs(labels - p)),
)
calibration_gap.diagnose(
    "an empty group gives nan. Leave it out.",
    _over_all_groups,
)
calibration_gap.diagnose(
    "the gaps are added up, and not weighed by the shares of the examples.",
    _by(lambda shares, gaps: np.sum(np.abs(gaps))),
)
