"""The metrics against slow and obvious versions, and against scikit-learn on generated inputs, degenerate ones among them."""

import importlib
import math
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.calibration
import sklearn.metrics
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlcourse import metrics
from tests.metrics import cases

FEW = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize(
    ("module", "check"),
    [
        ("dlcourse.metrics.classes", cases.check_classes),
        ("dlcourse.metrics.ranking", cases.check_ranking),
        ("dlcourse.metrics.calibration", cases.check_calibration),
        ("dlcourse.metrics.uncertainty", cases.check_uncertainty),
        ("dlcourse.metrics.language", cases.check_language),
    ],
)
def test_against_slow_versions(module, check):
    check(importlib.import_module(module))


# ---------------------------------------------------------------- scikit-learn


def outcome(call):
    """(result, whether it warned), or ("refused", None): what a function does with an input."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = call()
        except (ValueError, IndexError):  # scikit-learn's curves of no examples end in an IndexError
            return "refused", None
    return value, bool(caught)


def assert_equal_behaviour(ours, theirs, warns=True):
    mine, other = outcome(ours), outcome(theirs)
    if "refused" in (str(mine[0]), str(other[0])):
        assert mine == other
        return
    for a, b in zip(*(value if isinstance(value, tuple) else (value,) for value, _ in (mine, other)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    if warns:
        assert mine[1] == other[1]


@st.composite
def pairs(draw, values, largest=1, least=0):
    """(something of `values` for each example, labels 0 ... largest) of equal length."""
    size = draw(st.integers(least, 30))
    return (
        draw(st.lists(values, min_size=size, max_size=size)),
        draw(st.lists(st.integers(0, largest), min_size=size, max_size=size)),
    )


CLASSES = pairs(st.integers(0, 3), 3)
SCORES = pairs(st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6)))
SHARES = pairs(st.one_of(st.integers(0, 10).map(lambda i: i / 10), st.floats(0, 1)))
SCIKIT = {"precision": "precision_score", "recall": "recall_score", "f1": "f1_score"}


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", "none"])
@pytest.mark.parametrize("name", SCIKIT)
@given(CLASSES)
@example(([], []))
@example(([0], [1]))
@FEW
def test_scores_of_classes(name, average, case):
    predicted, labels = case
    theirs, option = getattr(sklearn.metrics, SCIKIT[name]), None if average == "none" else average
    for classes in (None, 5):
        assert_equal_behaviour(
            lambda classes=classes: getattr(metrics, name)(predicted, labels, average, classes),
            lambda classes=classes: theirs(labels, predicted, average=option, labels=None if classes is None else range(classes)),
        )


@pytest.mark.parametrize("name", SCIKIT)
@given(pairs(st.integers(0, 1)))
@example(([], []))
@example(([0, 0], [0, 0]))
@example(([1, 1], [0, 0]))
@example(([0, 0], [1, 1]))
@example(([1, 1], [1, 1]))
@FEW
def test_scores_of_the_positive_class(name, case):
    predicted, labels = case
    assert_equal_behaviour(
        lambda: getattr(metrics, name)(predicted, labels), lambda: getattr(sklearn.metrics, SCIKIT[name])(labels, predicted)
    )


@given(CLASSES)
@example(([], []))
@FEW
def test_confusion_accuracy_and_balanced_accuracy(case):
    predicted, labels = case
    assert_equal_behaviour(
        lambda: metrics.confusion(predicted, labels, 4), lambda: sklearn.metrics.confusion_matrix(labels, predicted, labels=range(4))
    )
    logits = np.eye(4)[np.array(predicted, int)]
    assert_equal_behaviour(lambda: metrics.accuracy(logits, labels), lambda: sklearn.metrics.accuracy_score(labels, predicted))
    # scikit-learn warns of predicted classes that have no example; here they need no warning, as they have no recall to average
    assert_equal_behaviour(
        lambda: metrics.balanced_accuracy(predicted, labels),
        lambda: sklearn.metrics.balanced_accuracy_score(labels, predicted),
        warns=False,
    )


@given(SCORES)
@example(([], []))
@example(([0.5], [1]))
@example(([0.5, 0.5], [0, 0]))
@example(([0.5, 0.5], [0, 1]))
@example(([math.nan, 0.5], [0, 1]))
@example(([math.inf, 0.5], [0, 1]))
@settings(max_examples=200, deadline=None)
def test_ranking(case):
    scores, labels = case
    assert_equal_behaviour(lambda: metrics.roc_auc(scores, labels), lambda: sklearn.metrics.roc_auc_score(labels, scores))
    assert_equal_behaviour(
        lambda: metrics.average_precision(scores, labels), lambda: sklearn.metrics.average_precision_score(labels, scores)
    )
    assert_equal_behaviour(
        lambda: metrics.roc_curve(scores, labels), lambda: sklearn.metrics.roc_curve(labels, scores, pos_label=1, drop_intermediate=False)
    )
    assert_equal_behaviour(
        lambda: metrics.precision_recall_curve(scores, labels),
        lambda: sklearn.metrics.precision_recall_curve(labels, scores, pos_label=1),
    )


@given(SHARES, st.integers(1, 12))
@example(([], []), 10)
@example(([0.3], [1]), 10)
@example(([0.0, 1.0, 0.5], [0, 0, 0]), 2)
@example(([1.5, 0.5], [0, 1]), 10)
@example(([math.nan, 0.5], [0, 1]), 10)
@settings(max_examples=200, deadline=None)
def test_calibration(case, bins):
    p, labels = case
    assert_equal_behaviour(lambda: metrics.brier(p, labels), lambda: sklearn.metrics.brier_score_loss(labels, p, pos_label=1))
    if any(math.isnan(q) for q in p):
        return  # calibration_curve lets NaN pass; refused here
    for strategy in ("uniform", "quantile"):
        assert_equal_behaviour(
            lambda strategy=strategy: metrics.reliability(p, labels, bins, strategy)[:2],
            lambda strategy=strategy: sklearn.calibration.calibration_curve(labels, p, n_bins=bins, strategy=strategy, pos_label=1)[::-1],
        )


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(2, 5))
@FEW
def test_brier_of_many_classes(seed, size, classes):
    rng = np.random.default_rng(seed)
    p, labels = rng.dirichlet(np.ones(classes), size=size), rng.integers(0, classes, size)
    for rows in (p, p * rng.uniform(0.5, 1, size=(size, 1))):  # which do not all add up to one, are warned of
        assert_equal_behaviour(
            lambda rows=rows: metrics.brier(rows, labels),
            lambda rows=rows: sklearn.metrics.brier_score_loss(labels, rows, labels=range(classes)),
        )


# ---------------------------------------------------------------- intervals and tests against SciPy


@given(st.integers(0, 40), st.integers(1, 40), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
@FEW
def test_wilson(hits, more, level):
    found = metrics.wilson(hits, hits + more, level)
    theirs = scipy.stats.binomtest(hits, hits + more).proportion_ci(level, method="wilson")
    np.testing.assert_allclose(found[1:], theirs, rtol=1e-12, atol=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
@FEW
def test_mcnemar(right):
    a, b = (1 - np.array(column, int) for column in zip(*right, strict=True))
    only_a, only_b, p = metrics.mcnemar(a, b, np.zeros(len(a), int))
    theirs = scipy.stats.binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    assert p == pytest.approx(theirs, rel=1e-12)


def test_auc_is_mann_whitney(rng):
    scores, labels = rng.integers(0, 6, 50), rng.integers(0, 2, 50)
    u = scipy.stats.mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    assert metrics.roc_auc(scores, labels) == pytest.approx(u / (labels.sum() * (1 - labels).sum()), rel=1e-12)
    np.testing.assert_array_equal(metrics.ranks(scores), scipy.stats.rankdata(scores))


def test_bootstrap_like_scipy(rng):
    x = rng.normal(size=80)
    theirs = scipy.stats.bootstrap((x,), np.mean, n_resamples=4000, method="percentile", rng=rng).confidence_interval
    found = metrics.bootstrap(np.mean, x, rng=rng, resamples=4000)
    np.testing.assert_allclose(found[1:], theirs, atol=0.03 * x.std())


def test_intervals_cover_as_often_as_they_say(rng):
    """95 % intervals of an accuracy: how many of 600 hold the true value. Two standard errors of that share are below 0.02."""
    held = {"wilson": 0, "bootstrap": 0}
    for _ in range(600):
        right = (rng.random(60) < 0.8).astype(int)
        low, high = metrics.wilson(right.sum(), 60)[1:]
        held["wilson"] += low <= 0.8 <= high
        low, high = metrics.bootstrap(np.mean, right, rng=rng, resamples=200)[1:]
        held["bootstrap"] += low <= 0.8 <= high
    assert 0.92 <= held["wilson"] / 600 <= 0.98
    assert 0.88 <= held["bootstrap"] / 600 <= 0.97


def test_p_values_are_uniform_at_most(rng):
    """Of two equally good models a p below 0.05 comes in at most 5 % of the cases, within three standard errors."""
    below = {"mcnemar": 0, "permutation": 0}
    for _ in range(300):
        labels = np.zeros(40, int)
        a, b = (rng.random((2, 40)) < 0.3).astype(int)
        below["mcnemar"] += metrics.mcnemar(a, b, labels).p < 0.05
        below["permutation"] += metrics.permutation_test(lambda p, y: float(np.mean(p == y)), a, b, labels, rng, rounds=99) < 0.05
    assert max(below.values()) / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_other_frameworks_arrays():
    import mlx.core as mx
    import torch

    scores, labels = [0.1, 0.75, 0.5, 0.5], [0, 1, 1, 0]
    for make in (torch.tensor, mx.array):
        assert metrics.roc_auc(make(scores), make(labels)) == 0.875
        assert metrics.brier(make(scores), make(labels)) == pytest.approx(metrics.brier(scores, labels), rel=1e-6)
        assert metrics.f1(make([0, 1, 1, 1]), make(labels)) == 0.8
