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


def _constant(value):
    def make(rng):
        train, test = _tables(8, 4)(rng)
        train[:, 1] = value
        return train, test

    return make


def _small_units(rng):
    train, test = _tables(8, 4)(rng)
    return train * [1, 1e-15, 1], test * [1, 1e-15, 1]


def _scaled(fit, deviation=None):
    """Both tables by mean and deviation of `fit(train, test)`; that of a constant column is 1."""

    def wrong(train, test):
        rows = fit(train, test)
        s = rows.std(axis=0) if deviation is None else deviation(rows)
        s = np.where(rows.max(axis=0) > rows.min(axis=0), s, 1.0)
        return (train - rows.mean(axis=0)) / s, (test - rows.mean(axis=0)) / s

    return wrong


def _divided(deviation):
    """Both tables by the mean of the training rows and by `deviation(train)`, without a thought of constant columns."""

    def wrong(train, test):
        with np.errstate(all="ignore"):
            return tuple((x - train.mean(axis=0)) / deviation(train) for x in (train, test))

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


def _positive_deviation(rows):
    s = rows.std(axis=0)
    return np.where(s > 0, s, 1.0)


def _not_shifted(train, test):
    return train / Standardize(train).deviation, test / Standardize(train).deviation


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
    Case("a constant column", _constant(2.0)),
    Case("a constant column of 0.1", _constant(0.1)),
    Case("a column in small units", _small_units),
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
    _divided(lambda rows: rows.std(axis=0)),
)
standardize_split.diagnose(
    "the computed deviation of equal numbers may be 1e-17 and not 0. Ask whether the maximum is larger than the minimum.",
    _divided(_positive_deviation),
)
standardize_split.diagnose(
    "a column that varies little is taken for constant. Small units are no reason: ask whether the maximum is larger than the minimum.",
    *(
        _divided(lambda rows, e=e: np.where(rows.std(axis=0) > e, rows.std(axis=0), 1.0))
        for e in (0.1, 1e-3, 1e-6, 1e-8, 1e-10, 1e-12)
    ),
)
standardize_split.diagnose(
    "a small number is added to the deviation. Divide by the deviation itself, and by one where a column is constant.",
    *(_divided(lambda rows, e=e: rows.std(axis=0) + e) for e in (1e-5, 1e-6, 1e-8, 1e-12)),
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
    "divided by the deviation, but the mean is not taken away.",
    _not_shifted,
)
standardize_split.diagnose(
    "the test rows come back as they were. Scale them too, with the numbers of the training rows.",
    lambda train, test: (Standardize(train)(train), test),
)
standardize_split.diagnose(
    "the training rows are divided by the deviation, the test rows are only shifted.",
    lambda train, test: (Standardize(train)(train), test - train.mean(axis=0)),
)
standardize_split.diagnose(
    "mean and deviation are those of the test rows, for both parts. Learn them from the training rows.",
    _scaled(lambda train, test: test),
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


def _with_part(part):
    """`part` of the examples in the place of TP."""

    def wrong(predicted, labels):
        tp, fp, fn, tn = _four(predicted, labels)
        hits = part(tp, fp, fn, tn)
        return _ratio(hits, tp + fp), _ratio(hits, tp + fn), _ratio(2 * hits, 2 * tp + fp + fn)

    return wrong


def _one_for_nothing(predicted, labels):
    tp, fp, fn, _ = _four(predicted, labels)
    shares = (tp, tp + fp), (tp, tp + fn), (2 * tp, 2 * tp + fp + fn)
    return tuple(part / whole if whole else 1.0 for part, whole in shares)


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
    Case("by hand", _given([1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 1, 0, 0, 0]), show=True),
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
    "F1 from precision and recall is 0 / 0 where both are 0. Use 2 TP / (2 TP + FP + FN), or return 0 there.",
    _with_f1(lambda p, r: 2 * p * r / (p + r) if p + r else np.nan),
    _with_f1(lambda p, r: 2 * p * r / (p + r)),
    _with_f1(lambda p, r: 2 * float(p) * float(r) / (float(p) + float(r))),
)
precision_recall_f1.diagnose(
    "0 / 0 is called 1. Where nothing is called, or nothing is there, return 0.",
    _one_for_nothing,
)
precision_recall_f1.diagnose(
    "all right answers are counted as true positives. A true positive is called positive, too.",
    _with_part(lambda tp, fp, fn, tn: tp + tn),
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
precision_recall_f1.diagnose(
    "recall is divided by all examples. Divide by those that are positive.",
    _with_recall(lambda tp, fp, fn, tn: tp / (tp + fp + fn + tn)),
)
precision_recall_f1.diagnose(
    "the accuracy took the place of the recall. Divide the positives that are found by the positives.",
    _with_recall(lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn)),
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


def _by_steps(order):
    """The area of the curve with one step for each example, in the order given."""

    def wrong(scores, labels):
        y = labels[order(scores)]
        tpr, fpr = (np.append(0, np.cumsum(part) / part.sum()) for part in (y, 1 - y))
        return np.trapezoid(tpr, fpr)

    return wrong


def _at(thresholds):
    """The area below the points of these thresholds, rising."""

    def wrong(scores, labels):
        t = thresholds(scores)[::-1, None]
        tpr, fpr = ((scores[labels == c] >= t).mean(axis=1) for c in (1, 0))
        return np.trapezoid(tpr, fpr)

    return wrong


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
    "an example counts as level with itself: every rank is one half too large. Only the other equal scores count one half.",
    _from_ranks(lambda scores: metrics.ranks(scores) + 0.5),
)
rank_auc.diagnose(
    "N1 (N1 + 1) / 2, the ranks of the positives among themselves, is not taken away.",
    _from_ranks(metrics.ranks, subtract=False),
)
rank_auc.diagnose(
    "argsort gives the place of each rank, not the rank of each place. Apply it twice, and let equal scores share their ranks.",
    _from_ranks(lambda scores: np.argsort(scores, kind="stable") + 1),
)
rank_auc.diagnose(
    "equal scores are ranked by their place in the array. They share the mean of their ranks.",
    _from_ranks(_order),
)
rank_auc.diagnose(
    "equal scores are passed one after the other. All of one score pass the threshold together.",
    _by_steps(lambda scores: np.argsort(-scores, kind="stable")),
    _by_steps(lambda scores: np.argsort(-scores)),
)
rank_auc.diagnose(
    "the thresholds run from 0 to 1. They are the scores themselves, which may lie anywhere.",
    *(_at(lambda scores, n=n: np.linspace(0, 1, n)) for n in (11, 101, 1001)),
)
rank_auc.diagnose(
    "the curve lacks its beginning (0, 0), where the threshold is above all scores.",
    _at(np.unique),
)
rank_auc.diagnose(
    "the curve is walked from right to left, so that the area is negative.",
    lambda scores, labels: -metrics.roc_auc(scores, labels),
)
rank_auc.diagnose(
    "the sum over the pairs is not divided by their number, N1 N0.",
    lambda scores, labels: np.sum((_pairs(scores, labels) + 1) / 2),
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


def _zero_lost(p, labels, bins):
    group = np.ceil(p * bins) - 1  # -1 for p = 0
    return sum(abs((labels - p)[group == g].sum()) for g in range(bins)) / len(p)


def _of_equal_number(p, labels, bins):
    parts = np.array_split(np.argsort(p), bins)
    return sum(abs((labels - p)[part].sum()) for part in parts) / len(p)


def _rounded(p, labels, bins):
    return metrics.calibration_error((p >= 0.5).astype(float), labels, bins)


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
calibration_gap.diagnose(
    "p = 0 belongs to no group. It belongs to the first.",
    _zero_lost,
)
calibration_gap.diagnose(
    "the gaps of the sums are added up. Divide by the number of all examples.",
    lambda p, labels, bins: len(p) * metrics.calibration_error(p, labels, bins),
)
calibration_gap.diagnose(
    "the groups hold equal numbers of examples. Here they have equal width.",
    _of_equal_number,
    lambda p, labels, bins: metrics.calibration_error(p, labels, bins, "quantile"),
)
calibration_gap.diagnose(
    "the probabilities are rounded to 0 and 1 first. What is asked is how well they are meant.",
    _rounded,
)


# ---------------------------------------------------------------- paired_bootstrap


def _percentiles(values, low=0.025, high=0.975):
    return tuple(np.quantile(values, (low, high)))


def _differences(right_a, right_b, draws):
    return (right_a[draws] - right_b[draws]).mean(axis=1)


def _normal(spread):
    """The difference of the examples themselves, and `spread` of the draws to both sides."""

    def wrong(right_a, right_b, draws):
        middle, half = np.mean(right_a - right_b), spread(_differences(right_a, right_b, draws))
        return middle - half, middle + half

    return wrong


def _two_intervals(bounds):
    """`bounds` of the intervals (low, high) of either model."""

    def wrong(right_a, right_b, draws):
        return bounds(*(_percentiles(right[draws].mean(axis=1)) for right in (right_a, right_b)))

    return wrong


def _of_differences(change):
    return lambda a, b, draws: _percentiles(change(_differences(a, b, draws), len(a)))


def _one_draw(rng):
    return np.array([1, 0, 1, 1]), np.array([0, 0, 1, 0]), np.array([[0, 0, 2, 1]])


def _with_draws(right_a, right_b):
    size = len(right_a)
    return lambda rng: (np.array(right_a), np.array(right_b), rng.integers(0, size, (9, size)))


def _drawn_pairs(size, rounds, together):
    """Two models; with probability `together` the second does what the first does."""

    def make(rng):
        a = (rng.random(size) < 0.8).astype(int)
        b = np.where(rng.random(size) < together, a, rng.random(size) < 0.6).astype(int)
        return a, b, rng.integers(0, size, (rounds, size))

    return make


@exercise(
    ("low", "high"),
    Case("one draw", _one_draw, show=True),
    Case("a model and itself", _with_draws([1, 0, 1], [1, 0, 1])),
    Case("B is right where A is wrong", _with_draws([0, 0, 0, 0], [1, 1, 1, 1])),
    Case("random", _drawn_pairs(40, 60, 0.0)),
    Case("errors go together", _drawn_pairs(50, 200, 0.8)),
    Case("few examples, many draws", _drawn_pairs(6, 300, 0.5)),
)
def paired_bootstrap(right_a, right_b, draws):
    """paired_bootstrap(right_a, right_b, draws) -> (low, high): the interval of the accuracy of A less that of B (eq-bootstrap).

    right_a, right_b (N,) are 1 where the model is right, else 0; draws (R, N) holds in each row the indices of N examples, drawn with
    replacement. The bounds are the quantiles 0.025 and 0.975 of the R differences, as np.quantile computes them."""
    return _percentiles(_differences(right_a, right_b, draws))


paired_bootstrap.diagnose(
    "that is B less A. Asked for is the accuracy of A less that of B.",
    _of_differences(lambda d, n: -d),
)
paired_bootstrap.diagnose(
    "each model has draws of its own. Both are measured on the same examples in each draw: that is what pairs them.",
    lambda a, b, draws: _percentiles(a[draws].mean(axis=1) - b[draws[::-1]].mean(axis=1)),
    lambda a, b, draws: _percentiles(a[draws].mean(axis=1) - np.roll(b[draws].mean(axis=1), 1)),
)
paired_bootstrap.diagnose(
    "the bounds of two separate intervals are taken from each other. Take the differences first, draw by draw, then the quantiles.",
    _two_intervals(lambda a, b: (a[0] - b[1], a[1] - b[0])),
    _two_intervals(lambda a, b: (a[0] - b[0], a[1] - b[1])),
)
paired_bootstrap.diagnose(
    "the mean runs over the draws. It runs over the N examples of each draw: axis=1.",
    lambda a, b, draws: _percentiles((a[draws] - b[draws]).mean(axis=0)),
)
paired_bootstrap.diagnose(
    "these are numbers of examples. Divide by N.",
    _of_differences(lambda d, n: d * n),
)
paired_bootstrap.diagnose(
    "the bounds leave 5 % on each side. Of 95 % leave 2.5 % on each side.",
    lambda a, b, draws: _percentiles(_differences(a, b, draws), 0.05, 0.95),
)
paired_bootstrap.diagnose(
    "these are the smallest and the largest difference. The bounds are the quantiles 0.025 and 0.975.",
    lambda a, b, draws: _percentiles(_differences(a, b, draws), 0, 1),
)
paired_bootstrap.diagnose(
    "that is the interval of a normal distribution. Take the quantiles of the drawn differences.",
    _normal(lambda d: 1.96 * d.std()),
    _normal(lambda d: 2 * d.std()),
)
paired_bootstrap.diagnose(
    "the deviation is divided by the root of the number of draws. More draws do not make the test set larger.",
    _normal(lambda d: 1.96 * d.std() / np.sqrt(len(d))),
)
paired_bootstrap.diagnose(
    "np.percentile counts in hundredths: 2.5 and 97.5. Shares, 0.025 and 0.975, go to np.quantile.",
    lambda a, b, draws: _percentiles(_differences(a, b, draws), 0.00025, 0.00975),
)
paired_bootstrap.diagnose(
    "the sign of the difference is lost. A may be worse than B.",
    _of_differences(lambda d, n: np.abs(d)),
)
