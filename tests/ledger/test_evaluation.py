"""The equations of the chapter on evaluation, line by line."""

import itertools
import math
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from dlcourse import check, data, metrics
from tests.equations import assert_lines_agree, assert_same

Z = 1.959963984540054


def drawn(rng, size=40, values=8):
    """Scores with ties, and labels of which both occur."""
    labels = rng.integers(0, 2, size)
    labels[:2] = 0, 1
    return rng.integers(0, values, size) / values + 0.2 * labels * (rng.random(size) < 0.5), labels


def rates(scores, labels, t):
    called = scores >= t
    return called[labels == 1].mean(), called[labels == 0].mean()


@pytest.mark.equation("eq-standardize")
def test_standardize(rng):
    train, test = rng.normal(5, 3, size=(30, 4)), rng.normal(5, 3, size=(7, 4))
    mean = np.array([sum(column) / 30 for column in train.T])
    deviation = np.array([math.sqrt(sum((v - m) ** 2 for v in column) / 30) for column, m in zip(train.T, mean, strict=True)])
    lines = [(test - mean) / deviation, data.Standardize(train)(test), check.standardize_split.reference(train, test)[1]]
    assert_lines_agree(lines, rtol=1e-12)
    scaled = data.Standardize(train)(train)
    assert np.abs(scaled.mean(axis=0)).max() < 1e-12
    assert_same("variance one", scaled.var(axis=0), np.ones(4), rtol=1e-12)
    assert np.abs(data.Standardize(train)(test).mean(axis=0)).min() > 1e-3, "over the others only nearly"
    equal = np.full((6, 1), 0.1)
    assert 0 < equal.std() < 1e-16, "the computed deviation of equal numbers"
    assert np.abs(data.Standardize(equal)(equal)).max() < 1e-16 and data.Standardize(equal)([[1.1]]) == pytest.approx(1.0)
    for odd, most in ((1, math.sqrt(29)), (2, math.sqrt(28 / 2))):  # how far one odd row can be, and two equal ones
        for size in (1e3, 1e9):
            rows = np.where(np.arange(30) < odd, size, rng.normal(size=30))[:, None]
            away = np.abs(data.Standardize(rows)(rows)).max()
            assert away < (1 + 1e-12) * most and (size < 1e9 or away > (1 - 1e-6) * most)


@pytest.mark.equation("eq-confusion")
def test_confusion(rng):
    labels, predicted = rng.integers(0, 4, size=(2, 60))
    by_sum = [[sum((labels == i) & (predicted == j)) for j in range(4)] for i in range(4)]
    table = metrics.confusion(predicted, labels, 4)
    assert_same("counts", np.array(by_sum), table, rtol=0)
    assert_same("accuracy", np.trace(table) / 60, np.mean(predicted == labels), rtol=1e-15)


@pytest.mark.equation("eq-precision-recall")
def test_precision_and_recall(rng):
    labels, predicted = rng.integers(0, 3, size=(2, 60))
    table = metrics.confusion(predicted, labels, 3)
    for c in range(3):
        tp = sum((labels == c) & (predicted == c))
        fp, fn = sum((labels != c) & (predicted == c)), sum((labels == c) & (predicted != c))
        one = (predicted == c).astype(int), (labels == c).astype(int)
        assert_lines_agree(
            [table[c, c] / table[:, c].sum(), tp / (tp + fp), metrics.precision(predicted, labels, "none")[c], metrics.precision(*one)],
            rtol=1e-15,
        )
        assert_lines_agree(
            [table[c, c] / table[c].sum(), tp / (tp + fn), metrics.recall(predicted, labels, "none")[c], metrics.recall(*one)], rtol=1e-15
        )
        assert_same("check", check.precision_recall_f1.reference(*one)[0], tp / (tp + fp), rtol=1e-15)


@pytest.mark.equation("eq-f1")
def test_f1(rng):
    for _ in range(5):
        labels, predicted = rng.integers(0, 2, size=(2, 40))
        precision, recall = metrics.precision(predicted, labels), metrics.recall(predicted, labels)
        tp, called, there = sum(labels & predicted), predicted.sum(), labels.sum()
        lines = [2 / (1 / precision + 1 / recall), 2 * tp / (called + there), metrics.f1(predicted, labels)]
        assert_lines_agree([*lines, check.precision_recall_f1.reference(predicted, labels)[2]], rtol=1e-14)
        assert min(precision, recall) <= lines[0] <= 2 * min(precision, recall)
        assert lines[0] <= (precision + recall) / 2 + 1e-15, "nearer to the smaller one"
        swapped = np.where(predicted | labels, predicted, 0)
        more = np.concatenate([swapped, np.zeros(1000, int)]), np.concatenate([labels, np.zeros(1000, int)])
        assert_same("true negatives do not occur", metrics.f1(*more), lines[0], rtol=1e-14)
    labels, predicted = rng.integers(0, 4, size=(2, 60))
    assert_same("micro is accuracy", metrics.f1(predicted, labels, "micro"), np.mean(predicted == labels), rtol=1e-15)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert metrics.f1([0, 0], [0, 1]) == metrics.precision([0, 0], [0, 1]) == 0.0


@pytest.mark.equation("eq-balanced-accuracy")
def test_balanced_accuracy(rng):
    labels, predicted = rng.integers(0, 4, size=(2, 60))
    recalls = [np.mean(predicted[labels == c] == c) for c in range(4)]
    assert_lines_agree([np.mean(recalls), metrics.recall(predicted, labels, "macro"), metrics.balanced_accuracy(predicted, labels)], 1e-14)
    labels, predicted = labels % 2, predicted % 2
    tpr, fpr = predicted[labels == 1].mean(), predicted[labels == 0].mean()
    lines = [(tpr + 1 - fpr) / 2, metrics.balanced_accuracy(predicted, labels), metrics.roc_auc(predicted, labels)]
    assert_lines_agree(lines, rtol=1e-14)  # the third: the exercise on the area of decisions
    labels = np.array([0] * 30 + [1] * 5 + [2])
    assert_same("a constant answer", metrics.balanced_accuracy(np.zeros(36, int), labels), 1 / 3, rtol=1e-15)


@pytest.mark.equation("eq-precision-prevalence", formula_only=True)
def test_precision_and_prevalence(rng):
    labels, predicted = (rng.random(80) < 0.3).astype(int), rng.integers(0, 2, 80)
    share, tpr, fpr = labels.mean(), predicted[labels == 1].mean(), predicted[labels == 0].mean()
    tp, fp = labels.sum() * tpr, (1 - labels).sum() * fpr
    lines = [tp / (tp + fp), share * tpr / (share * tpr + (1 - share) * fpr), metrics.precision(predicted, labels)]
    assert_lines_agree(lines, rtol=1e-13)
    for times in (2, 7):  # rarer positives: neither rate changes, precision does, as the formula says
        again = np.repeat(np.arange(80), np.where(labels == 1, 1, times))
        rare = labels[again].mean()
        assert_same("recall", metrics.recall(predicted[again], labels[again]), tpr, rtol=1e-14)
        formula = rare * tpr / (rare * tpr + (1 - rare) * fpr)
        assert_same("rarer", metrics.precision(predicted[again], labels[again]), formula, rtol=1e-13)
    small = 1e-6 * 0.9 / (1e-6 * 0.9 + (1 - 1e-6) * 0.2)
    assert small == pytest.approx(1e-6 * 0.9 / 0.2, rel=1e-4)
    assert_same("the exercise", 0.001 * 0.99 / (0.001 * 0.99 + 0.999 * 0.01), 99 / 1098, rtol=1e-12)


@pytest.mark.equation("eq-roc")
def test_roc(rng):
    scores, labels = drawn(rng)
    fpr, tpr, thresholds = metrics.roc_curve(scores, labels)
    by_share = np.array([rates(scores, labels, t) for t in thresholds])
    assert_same("TPR", tpr, by_share[:, 0], rtol=1e-14)
    assert_same("FPR", fpr, by_share[:, 1], rtol=1e-14)
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1) and thresholds[0] == math.inf
    assert (np.diff(fpr) >= 0).all() and (np.diff(tpr) >= 0).all()


@pytest.mark.equation("eq-auc")
def test_auc_is_the_probability_of_the_right_order(rng):
    for values in (3, 8, 10**6):
        scores, labels = drawn(rng, values=values)
        n1, n0 = labels.sum(), (1 - labels).sum()
        falling = np.unique(scores)[::-1]
        a = np.array([sum((scores == t) & (labels == 1)) for t in falling])
        b = np.array([sum((scores == t) & (labels == 0)) for t in falling])
        total = np.cumsum(a)
        before = total - a
        pairs = list(itertools.product(scores[labels == 1], scores[labels == 0]))
        fpr, tpr, _ = metrics.roc_curve(scores, labels)
        lines = [
            np.trapezoid(tpr, fpr),
            sum(b / n0 * (before + total) / (2 * n1)),
            sum(b * (before + a / 2)) / (n0 * n1),
            sum((s > t) + 0.5 * (s == t) for s, t in pairs) / (n1 * n0),
            metrics.roc_auc(scores, labels),
            check.rank_auc.reference(scores, labels),
            sklearn.metrics.roc_auc_score(labels, scores),
        ]
        assert_lines_agree(lines, rtol=1e-12)
        assert_same("order alone", metrics.roc_auc(np.exp(3 * scores), labels), lines[0], rtol=1e-12)
        assert_same("signs exchanged", metrics.roc_auc(-scores, labels), 1 - lines[0], rtol=1e-12)
    blind = [metrics.roc_auc(rng.normal(size=40), labels) for _ in range(400)]
    assert abs(np.mean(blind) - 0.5) < 0.02


@pytest.mark.equation("eq-auc-ranks")
def test_auc_from_ranks(rng):
    scores, labels = drawn(rng)
    n1, n0 = int(labels.sum()), int((1 - labels).sum())
    r = np.array([1 + sum(scores < s) + 0.5 * (sum(scores == s) - 1) for s in scores])
    assert_same("ranks", metrics.ranks(scores), r, rtol=1e-15)

    def part(i, others):
        return sum((scores[n] < scores[i]) + 0.5 * (scores[n] == scores[i]) for n in others if n != i)

    positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    assert_same("pairs of positives", sum(part(i, positives) for i in positives), n1 * (n1 - 1) / 2, rtol=1e-15)
    auc = sum(part(i, negatives) for i in positives) / (n1 * n0)
    assert_same("sum of the ranks", r[positives].sum(), n1 * (n1 + 1) / 2 + n1 * n0 * auc, rtol=1e-14)
    u = scipy.stats.mannwhitneyu(scores[positives], scores[negatives]).statistic
    lines = [(r[positives].sum() - n1 * (n1 + 1) / 2) / (n1 * n0), metrics.roc_auc(scores, labels), u / (n1 * n0)]
    assert_lines_agree(lines, rtol=1e-13)


@pytest.mark.equation("eq-average-precision")
def test_average_precision(rng):
    for values in (4, 10**6):
        scores, labels = drawn(rng, values=values)
        falling = np.unique(scores)[::-1]
        p = [labels[scores >= t].mean() for t in falling]
        r = [0.0, *[rates(scores, labels, t)[0] for t in falling]]
        lines = [
            sum((r[k + 1] - r[k]) * p[k] for k in range(len(falling))),
            np.mean([labels[scores >= s].mean() for s in scores[labels == 1]]),
            metrics.average_precision(scores, labels),
            sklearn.metrics.average_precision_score(labels, scores),
        ]
        assert_lines_agree(lines, rtol=1e-12)
    labels = (np.arange(4000) % 10 == 0).astype(int)
    blind = [metrics.average_precision(rng.normal(size=4000), labels) for _ in range(20)]
    assert abs(np.mean(blind) - 0.1) < 0.01
    for tp, fp, falls in (((2, 4), (0, 6), True), ((1, 4), (1, 1), False)):  # between two points TP and FP grow in step
        between = np.linspace(0, 1, 5)[1:-1]
        x, y = (a + between * (b - a) for a, b in (tp, fp))
        ends = [a / (a + b) for a, b in zip(tp, fp, strict=True)]
        line = ends[0] + between * (ends[1] - ends[0])
        assert (ends[1] < ends[0]) == falls and ((line > x / (x + y)) == falls).all()


@pytest.mark.equation("eq-class-weight", formula_only=True)
def test_weighted_class(rng):
    for q, w in rng.uniform((0.05, 0.2), (0.95, 12), size=(10, 2)):
        p = w * q / (w * q + 1 - q)
        assert abs(-w * q / p + (1 - q) / (1 - p)) < 1e-11, "the derivative is zero"
        slope = (-w * q / (p + 1e-6 * np.array([1, -1])) + (1 - q) / (1 - p - 1e-6 * np.array([1, -1]))) @ [1, -1] / 2e-6
        assert_same("second derivative", slope, w * q / p**2 + (1 - q) / (1 - p) ** 2, rtol=1e-5)
        grid = np.linspace(0.001, 0.999, 9999)
        loss = -w * q * np.log(grid) - (1 - q) * np.log(1 - grid)
        assert abs(grid[loss.argmin()] - p) < 2e-4
        assert_same("in logits", math.log(p / (1 - p)), math.log(q / (1 - q)) + math.log(w), rtol=1e-10)


@pytest.mark.equation("eq-cost-threshold", formula_only=True)
def test_threshold_of_unequal_costs(rng):
    for q, c in rng.uniform((0.01, 0.2), (0.99, 12), size=(40, 2)):
        cheaper = (1 - q) * 1 < q * c  # to call it, than not to
        assert cheaper == (q > 1 / (1 + c)) == (math.log(q / (1 - q)) > -math.log(c))
        edge = 1 / (1 + c)
        assert_same("both cost the same at the edge", (1 - edge) * 1, edge * c, rtol=1e-13)
        assert_same("the edge in logits", 1 / (1 + math.exp(math.log(c))), edge, rtol=1e-13)
        weighted = c * q / (c * q + 1 - q)  # the answer of a weight c
        assert_same("its logit", math.log(weighted / (1 - weighted)), math.log(q / (1 - q)) + math.log(c), rtol=1e-9)
        assert cheaper == (weighted > 1 / 2)
    q, grid = rng.random(20_000), np.linspace(0.02, 0.98, 97)  # and of many examples: no other threshold costs less on average
    costs = [np.sum((1 - q)[q > t]) + 4 * np.sum(q[q <= t]) for t in grid]
    assert abs(grid[np.argmin(costs)] - 1 / 5) < 0.011


@pytest.mark.equation("eq-brier")
def test_brier(rng):
    p, labels = rng.random(30), rng.integers(0, 2, 30)
    lines = [sum((a - b) ** 2 for a, b in zip(p, labels, strict=True)) / 30, metrics.brier(p, labels)]
    assert_lines_agree([*lines, sklearn.metrics.brier_score_loss(labels, p)], rtol=1e-12)
    many, labels = rng.dirichlet(np.ones(4), size=30), rng.integers(0, 4, 30)
    double = sum((many[n, v] - (v == labels[n])) ** 2 for n in range(30) for v in range(4)) / 30
    assert_lines_agree([double, metrics.brier(many, labels), sklearn.metrics.brier_score_loss(labels, many, labels=range(4))], rtol=1e-12)


@pytest.mark.equation("eq-brier-proper", formula_only=True)
def test_the_honest_probability_is_the_best(rng):
    for p, q in rng.random((10, 2)):
        lines = [q * (p - 1) ** 2 + (1 - q) * p**2, p**2 - 2 * p * q + q, (p - q) ** 2 + q * (1 - q)]
        assert_lines_agree(lines, rtol=1e-13)
        assert_same("absolute error", q * (1 - p) + (1 - q) * p, q + p * (1 - 2 * q), rtol=1e-13)
    grid, q = np.linspace(0, 1, 1001), 0.7
    assert abs(grid[((grid - q) ** 2 + q * (1 - q)).argmin()] - q) < 1e-12
    assert grid[(q + grid * (1 - 2 * q)).argmin()] == 1.0


@pytest.mark.equation("eq-calibration-error")
def test_calibration_error(rng):
    p = rng.random(100)
    labels = (rng.random(100) < p**2).astype(int)
    for bins in (3, 10):
        group = np.minimum(np.ceil(p * bins).astype(int) - 1, bins - 1)
        present = np.unique(group)
        by_group = sum(np.mean(group == g) * abs(labels[group == g].mean() - p[group == g].mean()) for g in present)
        found = metrics.reliability(p, labels, bins)
        lines = [
            by_group,
            sum(found.count / 100 * abs(found.observed - found.predicted)),
            metrics.calibration_error(p, labels, bins),
            check.calibration_gap.reference(p, labels, bins),
        ]
        assert_lines_agree(lines, rtol=1e-12)


@pytest.mark.equation("eq-brier-parts")
def test_brier_parts(rng):
    p = rng.random(60)
    labels = (rng.random(60) < p).astype(int)
    group = np.minimum((p * 5).astype(int), 4)
    base, parts = labels.mean(), np.zeros(4)
    for g in np.unique(group):
        inside, share = group == g, np.mean(group == g)
        pg, yg = p[inside].mean(), labels[inside].mean()
        d, e = p[inside] - pg, labels[inside] - yg
        assert abs(d.sum()) < 1e-12 > abs(e.sum())
        n = inside.sum()
        assert_lines_agree([sum((p[inside] - labels[inside]) ** 2), n * (pg - yg) ** 2 + sum(d * d - 2 * d * e) + sum(e * e)], rtol=1e-12)
        if 0 < yg < 1:
            assert_lines_agree([sum(e * e), sum(labels[inside] ** 2) - n * yg**2, n * yg * (1 - yg)], rtol=1e-12)
        parts += share * (pg - yg) ** 2, share * (yg - base) ** 2, share * yg * (1 - yg), sum(d * d - 2 * d * e) / 60
    squares = sum(np.mean(group == g) * labels[group == g].mean() ** 2 for g in np.unique(group))
    assert_lines_agree([parts[2], base - squares, base * (1 - base) - parts[1]], rtol=1e-12)
    found = metrics.brier_parts(p, labels, bins=5)
    assert_same("parts", np.array(found), np.array([parts[0], parts[1], base * (1 - base), parts[3]]), rtol=1e-12)
    total = found.reliability - found.resolution + found.uncertainty + found.within
    assert_lines_agree([np.mean((p - labels) ** 2), metrics.brier(p, labels), total], rtol=1e-12)
    rounded = np.round(p, 1)  # groups of equal p: Murphy's three parts
    murphy = metrics.brier_parts(rounded, labels)
    assert abs(murphy.within) < 1e-15
    assert_same("three parts", murphy.reliability - murphy.resolution + murphy.uncertainty, metrics.brier(rounded, labels), rtol=1e-12)
    always = metrics.brier_parts(np.full(60, base), labels)
    assert max(always.reliability, always.resolution) < 1e-30, "calibrated, and useless"
    alone = metrics.brier_parts(p, labels)  # one example a group
    assert_same("resolution is uncertainty", alone.resolution, alone.uncertainty, rtol=1e-12)
    assert_same("reliability is the score", alone.reliability, metrics.brier(p, labels), rtol=1e-12)
    true = rng.random(20_000)
    drawn = (rng.random(20_000) < true).astype(int)
    few = np.mean([metrics.brier_parts(true[i : i + 50], drawn[i : i + 50], 10)[:2] for i in range(0, 20_000, 50)], axis=0)
    assert (few > 1.1 * np.array(metrics.brier_parts(true, drawn, 10)[:2])).all(), "both too large on few examples"


@pytest.mark.equation("eq-standard-error", formula_only=True)
def test_standard_error():
    for n, a in ((5, 0.3), (12, 0.9)):
        k = np.arange(n + 1)
        law = np.array([math.comb(n, j) * a**j * (1 - a) ** (n - j) for j in k])
        mean = (law * k / n).sum()
        assert_same("mean", mean, a, rtol=1e-13)
        assert_same("deviation", math.sqrt((law * (k / n - mean) ** 2).sum()), math.sqrt(a * (1 - a) / n), rtol=1e-12)


@pytest.mark.equation("eq-wilson")
def test_wilson(rng):
    for hits, n in ((3, 10), (0, 10), (10, 10), (87, 100)):
        share, c = hits / n, Z * Z / n
        root = math.sqrt(c * share * (1 - share) + c * c / 4)
        bounds = np.array([(share + c / 2 - root) / (1 + c), (share + c / 2 + root) / (1 + c)])
        for a in bounds:
            assert abs((1 + c) * a * a - (2 * share + c) * a + share**2) < 1e-12, "a root of the parabola"
            assert abs((share - a) ** 2 - c * a * (1 - a)) < 1e-12, "the distance is z standard errors"
        found = metrics.wilson(hits, n)
        assert_same("implementation", np.array(found[1:]), bounds, rtol=1e-12)
        theirs = scipy.stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
        assert_same("SciPy", np.array(found[1:]), np.array(theirs), rtol=1e-9)
    c = Z * Z / 10
    assert_same("ten of ten", np.array(metrics.wilson(10, 10)[1:]), np.array([1 / (1 + c), 1.0]), rtol=1e-12)
    for a, n in ((0.8, 35), (0.975, 113), (0.98, 100)):  # how often the interval holds the true value, added up over all results
        law, held = scipy.stats.binom(n, a), np.zeros(2)
        for k in range(n + 1):
            low, high = metrics.wilson(k, n)[1:]
            half = Z * math.sqrt(k / n * (1 - k / n) / n)
            held += law.pmf(k) * np.array([low <= a <= high, abs(k / n - a) <= half])
        assert abs(held[0] - 0.95) < 0.03 and held[1] < min(held[0], 0.95)


@pytest.mark.equation("eq-bootstrap")
def test_bootstrap(rng):
    x = rng.normal(size=5)
    every = np.array([np.mean(draw) for draw in itertools.product(x, repeat=5)])  # all 5^5 draws, equally likely
    assert_same("mean of the draws", every.mean(), x.mean(), rtol=1e-12)
    assert_same("their variance", every.var(), x.var() / 5, rtol=1e-10)
    right = rng.integers(0, 2, 50)
    assert_same("right or wrong", right.var() / 50, right.mean() * (1 - right.mean()) / 50, rtol=1e-12)
    found = metrics.bootstrap(np.mean, x, rng=rng, resamples=20_000)
    exact = np.quantile(every, (0.025, 0.975))
    assert np.abs(np.array(found[1:]) - exact).max() < 0.08 * every.std()
    seed = np.random.default_rng(3)
    values = [np.median(x[seed.integers(0, 5, 5)]) for _ in range(99)]
    again = metrics.bootstrap(np.median, x, rng=np.random.default_rng(3), resamples=99, level=0.9)
    assert_same("the interval", np.array(again[1:]), np.quantile(values, (0.05, 0.95)), rtol=1e-12)
    assert metrics.bootstrap(np.mean, np.ones(30), rng=rng, resamples=50) == (1.0, 1.0, 1.0), "all right: no width"
    p = rng.random(200)
    errors = []
    for _ in range(40):  # calibrated labels: the error is 0, what is measured above it, and the draws above that
        y = (rng.random(200) < p).astype(int)
        index = rng.integers(0, 200, (10, 200))
        errors.append([metrics.calibration_error(p, y), np.mean([metrics.calibration_error(p[i], y[i]) for i in index])])
    measured, drawn_again = np.mean(errors, axis=0)
    assert 0.02 < measured < drawn_again / 1.2
    a, b = (rng.random((2, 60)) < 0.7).astype(int)
    index = rng.integers(0, 60, (80, 60))
    one_by_one = [np.mean(a[i]) - np.mean(b[i]) for i in index]
    assert_same(
        "the exercise", np.array(check.paired_bootstrap.reference(a, b, index)), np.quantile(one_by_one, (0.025, 0.975)), rtol=1e-12
    )


@pytest.mark.equation("eq-paired-variance", formula_only=True)
def test_variance_of_a_paired_difference(rng):
    a, b = (rng.random((2, 60)) < 0.8).astype(int)
    b = np.where(rng.random(60) < 0.6, a, b)
    only_a, only_b, both = sum((a == 1) & (b == 0)), sum((a == 0) & (b == 1)), np.mean(a & b)
    delta, d = (only_a - only_b) / 60, a - b
    assert_same("difference", delta, a.mean() - b.mean(), rtol=1e-12)
    lines = [
        d.var() / 60,
        ((only_a + only_b) / 60 - delta**2) / 60,
        (a.mean() + b.mean() - 2 * both - (a.mean() - b.mean()) ** 2) / 60,
        (a.mean() * (1 - a.mean()) + b.mean() * (1 - b.mean()) - 2 * (both - a.mean() * b.mean())) / 60,
    ]
    assert_lines_agree(lines, rtol=1e-10)


@pytest.mark.equation("eq-mcnemar")
def test_mcnemar(rng):
    for only_a, only_b in ((0, 0), (1, 4), (7, 2), (5, 5)):
        n, least = only_a + only_b, min(only_a, only_b)
        a, b = np.zeros(20, int), np.zeros(20, int)
        b[:only_a] = 1
        a[only_a:n] = 1
        by_coins = np.mean([min(sum(c), n - sum(c)) <= least for c in itertools.product((0, 1), repeat=n)])
        formula = min(1.0, 2 / 2**n * sum(math.comb(n, j) for j in range(least + 1)))
        lines = [by_coins, formula, metrics.mcnemar(a, b, np.zeros(20, int)).p]
        assert_lines_agree([*lines, scipy.stats.binomtest(only_a, n).pvalue if n else 1.0], rtol=1e-12)


@pytest.mark.equation("eq-permutation-test")
def test_permutation_test(rng):
    labels = rng.integers(0, 2, 9)
    a, b = rng.integers(0, 2, size=(2, 9))
    a[:4], b[:3] = labels[:4], 1 - labels[:3]

    def right(p, y):
        return float(np.mean(p == y))

    observed = abs(right(a, labels) - right(b, labels))
    every = []
    for swap in itertools.product((False, True), repeat=9):
        one, other = np.where(swap, b, a), np.where(swap, a, b)
        every.append(abs(right(one, labels) - right(other, labels)) >= observed - 1e-12)
    assert_same("all exchanges: McNemar", np.mean(every), metrics.mcnemar(a, b, labels).p, rtol=1e-12)
    found = metrics.permutation_test(right, a, b, labels, rng, rounds=4000)
    assert abs(found - np.mean(every)) < 0.03
    generator, extreme = np.random.default_rng(2), 0
    for _ in range(50):
        swap = generator.random(9) < 0.5
        extreme += abs(right(np.where(swap, b, a), labels) - right(np.where(swap, a, b), labels)) >= observed - 1e-12
    again = metrics.permutation_test(right, a, b, labels, np.random.default_rng(2), rounds=50)
    assert_same("as printed", again, (1 + extreme) / 51, rtol=1e-15)


@pytest.mark.equation("eq-cross-validation")
def test_cross_validation(rng):
    x, labels = rng.normal(size=(23, 2)), rng.integers(0, 2, 23)
    x += labels[:, None]

    def fitted(rows):
        means = [x[rows][labels[rows] == c].mean(axis=0) for c in (0, 1)]
        return lambda z: np.argmin([((z - m) ** 2).sum(axis=1) for m in means], axis=0)

    folds = data.k_folds(labels, 5, seed=1)
    right = [np.mean(fitted(train)(x[held]) == labels[held]) for train, held in folds]
    where = {n: k for k, (_, held) in enumerate(folds) for n in held}
    one_by_one = [fitted(folds[where[n]][0])(x[n : n + 1])[0] == labels[n] for n in range(23)]
    weighted = sum(len(held) / 23 * a for (_, held), a in zip(folds, right, strict=True))
    assert_lines_agree([np.mean(one_by_one), weighted], rtol=1e-12)


@pytest.mark.equation("eq-best-of-many", formula_only=True)
def test_best_of_many():
    for lam in (1e-2, 1e-4):  # one model: the bound is one half, as lambda goes to 0
        assert math.log(1) / lam + 0.5 + lam / 80 == pytest.approx(0.5, abs=lam / 50)
    u = np.linspace(-3, 3, 41)
    assert (np.exp(u) >= np.exp(0.7) * (1 + u - 0.7)).all(), "above each tangent"
    u = np.linspace(-6, 6, 101)
    assert (np.cosh(u) <= np.exp(u * u / 2)).all()
    for j in range(12):
        assert math.factorial(2 * j) >= 2**j * math.factorial(j)
    for n, models in ((10, 2), (50, 20), (113, 1000)):
        law = scipy.stats.binom(n, 0.5)
        k = np.arange(n + 1)
        largest = law.cdf(k) ** models
        exact = ((k / n) * np.diff(np.append(0.0, largest))).sum()
        best = math.sqrt(8 * n * math.log(models))
        for lam in (0.5 * best, best, 2 * best):
            moment = (law.pmf(k) * np.exp(lam * k / n)).sum()
            assert_same("the moment", math.log(moment), lam / 2 + n * math.log(math.cosh(lam / (2 * n))), rtol=1e-10)
            middle = math.log(models * moment) / lam
            last = math.log(models) / lam + 0.5 + lam / (8 * n)
            assert exact <= middle <= last
            assert last >= math.log(models) / best + 0.5 + best / (8 * n)
        bound = 0.5 + math.sqrt(math.log(models) / (2 * n))
        assert_same("the best lambda", math.log(models) / best + 0.5 + best / (8 * n), bound, rtol=1e-13)
        assert exact <= bound
