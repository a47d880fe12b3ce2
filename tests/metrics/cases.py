"""Slow and obvious versions of the metrics, and what each module must pass; the mutants of `tests/test_mutants.py` run through the same."""

import inspect
import itertools
import math
import re
import warnings

import numpy as np

RNG = np.random.default_rng


def raises(kind, pattern, call):
    """Raise unless the call ends in an error of this kind whose text has the pattern."""
    try:
        call()
    except kind as error:
        assert re.search(pattern, str(error)), f"expected {pattern!r} in {error}"
    else:
        raise AssertionError(f"no {kind.__name__} with {pattern!r}")


def close(found, wanted, tolerance=1e-12):
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def quiet(metrics, call):
    """The result, and whether UndefinedMetricWarning was given; of two functions in one module the class is its own."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="warn"):
        warnings.simplefilter("always")
        value = call()
    assert all(issubclass(w.category, metrics.UndefinedMetricWarning) for w in caught), [str(w.message) for w in caught]
    own = range(quiet.__code__.co_firstlineno, quiet.__code__.co_firstlineno + 9)
    assert all(w.filename == __file__ and w.lineno not in own for w in caught), "the warning points at the caller"
    return value, [str(w.message) for w in caught]


# ---------------------------------------------------------------- classes


def share(part, whole):
    return part / whole if whole else 0.0


def by_loop(predicted, labels, c):
    """(precision, recall, f1, examples) of class c, example by example."""
    tp = fp = fn = 0
    for guess, truth in zip(predicted, labels, strict=True):
        tp += guess == c and truth == c
        fp += guess == c and truth != c
        fn += guess != c and truth == c
    return share(tp, tp + fp), share(tp, tp + fn), share(2 * tp, 2 * tp + fp + fn), tp + fn


def check_classes(m):
    logits, labels = RNG(0).normal(size=(60, 4)), RNG(1).integers(0, 4, 60)
    guess = m.predictions(logits)
    assert guess.dtype == np.int64 and guess.tolist() == [row.tolist().index(max(row)) for row in logits]
    assert m.predictions(np.array([-1.0, 0.0, 2.0])).tolist() == m.predictions(np.array([[-1.0], [0.0], [2.0]])).tolist() == [0, 0, 1]
    assert m.predictions(np.array([[0.5]] * 3)).dtype == np.int64
    assert m.predictions(np.arange(12.0).reshape(2, 3, 2) % 5).tolist() == [[1, 1, 0], [1, 1, 1]]
    assert m.predictions(np.array([[[1.0], [2.0]]])).tolist() == [[0, 0]]  # (1, 2, 1): positions of one class
    assert m.predictions([[0.0, 1.0]]).tolist() == [1]
    assert m.predictions(np.array([[[0.0, 1.0, 2.0]]])).tolist() == [[2]]  # (1, 1, 3): one position of three classes
    hits = sum(a == b for a, b in zip(guess, labels, strict=True))
    assert m.right(logits, labels) == hits and m.accuracy(logits, labels) == hits / 60
    hidden = np.where(np.arange(60) % 3 == 0, -100, labels)
    assert m.accuracy(logits, hidden) == m.right(logits, hidden) / 40
    column = np.array([1.0, -1.0, 3.0])
    assert m.accuracy(column, np.array([[1], [1], [1]])) == 2 / 3 == m.accuracy(column[:, None], [1, 1, 1])
    table = m.confusion(guess, labels, 5)
    assert table.shape == (5, 5) and table.dtype.kind == "i"
    for i, j in itertools.product(range(5), repeat=2):
        assert table[i, j] == sum(a == j and b == i for a, b in zip(guess, labels, strict=True))
    assert m.confusion([0, 1], [1, 1], 2).tolist() == [[0, 0], [1, 1]]
    check_scores(m)
    check_undefined(m)
    check_class_refusals(m)


def check_scores(m):
    for seed, used in ((0, (0, 1)), (1, (0, 1, 2, 3)), (2, (0, 2, 5)), (3, (1, 2))):
        rng = RNG(seed)
        labels = rng.choice(used, 40)
        guess = np.where(rng.random(40) < 0.6, labels, rng.choice(used, 40))
        each = [by_loop(guess, labels, c) for c in sorted(set(labels) | set(guess))]
        everything = [by_loop(guess, labels, c) for c in range(6)]
        weights = [row[3] for row in each]
        for k, metric in enumerate((m.precision, m.recall, m.f1)):
            values = [row[k] for row in each]
            close(metric(guess, labels, "none"), values)
            close(metric(guess, labels, "macro"), np.mean(values))
            close(metric(guess, labels, "weighted"), np.dot(values, weights) / 40)
            assert isinstance(metric(guess, labels, "macro"), float)
            close(metric(guess, labels, average="micro"), np.mean(guess == labels))
            close(metric(guess, labels, "micro", classes=6), np.mean(guess == labels))
            whole = quiet(m, lambda metric=metric, guess=guess, labels=labels: metric(guess, labels, "none", classes=6))
            close(whole[0], [row[k] for row in everything])
            assert whole[1] == [f"{metric.__name__.replace('f1', 'F1')} is 0 / 0 for {6 - len(each)} of 6 classes, and called 0"]
            if used == (0, 1):
                close(metric(guess, labels), by_loop(guess, labels, 1)[k])
                close(metric(guess.astype(bool), labels.astype(np.uint8)), by_loop(guess, labels, 1)[k])
                assert isinstance(metric(guess, labels), float)
        close(m.balanced_accuracy(guess, labels), np.mean([row[1] for row in each]))
    assert m.balanced_accuracy([0, 3, 1, 1], [0, 0, 1, 1]) == 0.75  # 3 is called, and has no example: it does not count
    assert isinstance(m.balanced_accuracy([0, 1], [0, 1]), float)
    assert m.f1(np.array([1, 1, 0], np.uint8), np.array([1, 1, 0], np.uint8)) == 1.0


def check_undefined(m):
    nothing = [0, 0, 0]
    for guess, labels, values in (
        (nothing, [0, 1, 0], (0, 0, 0)),
        ([0, 1, 0], nothing, (0, 0, 0)),
        (nothing, nothing, (0, 0, 0)),
        ([1], [1], (1, 1, 1)),
    ):
        for metric, value, undefined in zip(
            (m.precision, m.recall, m.f1), values, (1 not in guess, 1 not in labels, 1 not in [*guess, *labels]), strict=True
        ):
            found, said = quiet(m, lambda metric=metric, guess=guess, labels=labels: metric(guess, labels))
            assert found == value and len(said) == undefined
    value, said = quiet(m, lambda: m.recall([0, 2], [0, 0], "macro"))  # class 2 is called, but has no example
    assert value == 0.25 and len(said) == 1
    many = np.arange(40, dtype=np.uint8) % 20
    assert m.f1(many, many, "macro") == 1.0  # 19 * 20 + 19 is no uint8
    _, said = quiet(m, lambda: m.precision([0, 0], [0, 2], "macro"))
    assert said == ["precision is 0 / 0 for 1 of 2 classes, and called 0"]
    assert m.precision([0, 2], [0, 2], "none").tolist() == [1, 1]


def check_class_refusals(m):
    for sentence, call in (
        ("no examples", lambda: m.accuracy(np.zeros((0, 2)), [])),
        ("no examples", lambda: m.precision([], [])),
        ("no examples", lambda: m.confusion([], [], 2)),
        ("3 predictions but 2 labels", lambda: m.recall([0, 1, 1], [0, 1])),
        ("1 logits but 2 labels", lambda: m.accuracy([[0.0, 1.0]], [0, 1])),
        ("all labels are -100", lambda: m.accuracy([[0.0, 1.0]], [-100])),
        ("unknown average 'mean': choose one of binary, macro", lambda: m.f1([0], [0], "mean")),
        ("class 2 where average='binary'.* one of macro, micro, weighted, none", lambda: m.precision([0, 1], [2, 1])),
        ("class 2 where average='binary'", lambda: m.precision([2, 1], [0, 1])),
        ("predictions are float64", lambda: m.precision([0.2, 0.9], [0, 1])),
        ("labels are float64", lambda: m.precision([0, 1], [0.0, 1.0])),
        (r"predictions are int64 of shape \(2, 1\)", lambda: m.precision(np.ones((2, 1), np.int64), [0, 1])),
        ("labels run from -1: classes", lambda: m.precision([0, 1], [-1, 1])),
        ("predictions run from 0 to 3: .* classes=4", lambda: m.recall([0, 3], [0, 1], "macro", classes=3)),
        ("predictions run from 0 to 2: .* classes=3", lambda: m.confusion([0, 2], [0, 1], 2)),
        ("predictions run from -1: classes count from 0", lambda: m.confusion([-1, 1], [0, 1], 2)),
        ("labels run from -1: classes", lambda: m.confusion([0, 1], [-1, 1], 2)),
        ("labels run from 0 to 2: .* classes=3", lambda: m.confusion([0, 1], [0, 2], 2)),
        ("predictions are float64", lambda: m.confusion([0.2, 0.9], [0, 1], 2)),
        (r"labels are int64 of shape \(2, 1\): pass whole numbers", lambda: m.confusion([0, 1], [[0], [1]], 2)),
    ):
        raises(ValueError, sentence, call)


# ---------------------------------------------------------------- ranking


def auc_by_pairs(scores, labels):
    pairs = [(s, t) for s, y in zip(scores, labels, strict=True) if y for t, z in zip(scores, labels, strict=True) if not z]
    return sum((s > t) + 0.5 * (s == t) for s, t in pairs) / len(pairs)


def points(scores, labels):
    """(FPR, TPR, precision, threshold) at each different score, falling."""
    found = []
    for t in sorted(set(scores), reverse=True):
        tp = sum(s >= t and y == 1 for s, y in zip(scores, labels, strict=True))
        fp = sum(s >= t and y == 0 for s, y in zip(scores, labels, strict=True))
        found.append(
            (fp / labels.count(0) if 0 in labels else math.nan, tp / labels.count(1) if 1 in labels else math.nan, tp / (tp + fp), t)
        )
    return found


def scored(seed, size, values):
    rng = RNG(seed)
    labels = rng.integers(0, 2, size).tolist()
    labels[:2] = [0, 1]
    return (rng.integers(0, values, size) / values + 0.1 * np.array(labels) * (seed % 2)).tolist(), labels


def check_ranking(m):
    for seed, size, values in ((0, 2, 2), (1, 9, 3), (2, 30, 5), (3, 30, 1000), (4, 12, 1)):
        scores, labels = scored(seed, size, values)
        value, said = quiet(m, lambda scores=scores, labels=labels: m.roc_auc(scores, labels))
        close(value, auc_by_pairs(scores, labels))
        assert said == []
        assert isinstance(m.roc_auc(scores, labels), float) and isinstance(m.average_precision(scores, labels), float)
        table = points(scores, labels)
        (fpr, tpr, thresholds), said = quiet(m, lambda scores=scores, labels=labels: m.roc_curve(scores, labels))
        assert said == []
        close(fpr, [0, *[row[0] for row in table]])
        close(tpr, [0, *[row[1] for row in table]])
        assert thresholds.tolist() == [math.inf, *[row[3] for row in table]]
        (precision, recall, thresholds), said = quiet(m, lambda scores=scores, labels=labels: m.precision_recall_curve(scores, labels))
        assert said == []
        close(precision, [*[row[2] for row in table[::-1]], 1])
        close(recall, [*[row[1] for row in table[::-1]], 0])
        assert thresholds.tolist() == [row[3] for row in table[::-1]]
        gained, ap = 0.0, 0.0
        for _, found, right, _ in table:
            gained, ap = found, ap + (found - gained) * right
        close(m.average_precision(scores, labels), ap)
        column = np.array(scores)[:, None], np.array(labels)[:, None]
        assert m.roc_auc(*column) == m.roc_auc(scores, labels)
        assert m.roc_auc(np.array(scores, np.float32), np.array(labels, bool)) == m.roc_auc(np.float32(scores), labels)
        between = [sum(t < s for t in scores) + (sum(t == s for t in scores) + 1) / 2 for s in scores]
        close(m.ranks(scores), between)
    assert m.roc_auc([3, 1, 2], [1, 0, 0]) == 1.0 and m.roc_auc([0.0, -0.0], [0, 1]) == 0.5
    for labels, lacking in (([1, 1, 1], "negative"), ([0, 0, 0], "positive")):
        value, said = quiet(m, lambda labels=labels: m.roc_auc([0.1, 0.4, 0.1], labels))
        assert math.isnan(value) and len(said) == 1 and "one class" in said[0]
        (fpr, tpr, thresholds), said = quiet(m, lambda labels=labels: m.roc_curve([0.1, 0.4, 0.1], labels))
        absent, present = (fpr, tpr) if lacking == "negative" else (tpr, fpr)
        assert np.isnan(absent).all() and absent.shape == (3,) and thresholds.tolist() == [math.inf, 0.4, 0.1]
        close(present, [0, 1 / 3, 1])
        assert len(said) == 1 and f"no {lacking} example" in said[0]
    (precision, recall, _), said = quiet(m, lambda: m.precision_recall_curve([0.1, 0.4, 0.1], [0, 0, 0]))
    assert precision.tolist() == [0, 0, 1] and recall.tolist() == [1, 1, 0] and len(said) == 1 and "recall is called 1" in said[0]
    assert m.average_precision([0.1, 0.4, 0.1], [1, 1, 1]) == 1.0
    for sentence, call in (
        ("no examples", lambda: m.roc_auc([], [])),
        ("2 scores but 1 labels", lambda: m.roc_curve([0.1, 0.2], [1])),
        (r"scores \(2, 2\) and labels \(2,\)", lambda: m.roc_auc([[0.1, 0.2], [0.3, 0.4]], [0, 1])),
        (r"scores \(2,\) and labels \(2, 2\)", lambda: m.roc_auc([0.1, 0.2], [[0, 1], [0, 1]])),
        ("NaN or infinite", lambda: m.average_precision([0.1, math.nan], [0, 1])),
        ("NaN or infinite", lambda: m.roc_auc([0.1, math.inf], [0, 1])),
        ("labels are 0 and 1", lambda: m.precision_recall_curve([0.1, 0.2], [1, 2])),
        ("labels are 0 and 1", lambda: m.roc_auc([0.1, 0.2], [-1, 1])),
    ):
        raises(ValueError, sentence, call)


# ---------------------------------------------------------------- calibration


def bins_by_loop(p, labels, edges):
    """[(mean p, share of positives, count)] of the bins (a, b] that hold examples; the first takes its lower edge too."""
    found = []
    last = len(edges) - 2
    for i, (low, high) in enumerate(itertools.pairwise(edges)):
        held = [k for k, q in enumerate(p) if (q > low or i == 0) and (q <= high or i == last)]
        if held:
            found.append((np.mean([p[k] for k in held]), np.mean([labels[k] for k in held]), len(held)))
    return found


def check_calibration(m):
    for seed, size, bins in ((0, 1, 4), (1, 50, 10), (2, 200, 7), (3, 40, 1)):
        rng = RNG(seed)
        p = np.round(rng.random(size), 1 if seed == 1 else 6)
        labels = (rng.random(size) < p).astype(int)
        for strategy in ("uniform", "quantile"):
            edges = np.linspace(0, 1, bins + 1)
            edges = edges if strategy == "uniform" else [np.percentile(p, 100 * share) for share in edges]
            table = bins_by_loop(p, labels, edges)
            found = m.reliability(p, labels, bins, strategy)
            close(found.predicted, [row[0] for row in table])
            close(found.observed, [row[1] for row in table])
            assert found.count.tolist() == [row[2] for row in table]
            ece = sum(abs(row[1] - row[0]) * row[2] for row in table) / size
            close(m.calibration_error(p, labels, bins, strategy), ece)
            for parts in (m.brier_parts(p, labels, bins, strategy), m.brier_parts(p[:, None], labels[:, None], bins, strategy)):
                close(parts.reliability, sum((row[1] - row[0]) ** 2 * row[2] for row in table) / size)
                close(parts.resolution, sum((row[1] - labels.mean()) ** 2 * row[2] for row in table) / size)
                close(parts.uncertainty, labels.mean() * (1 - labels.mean()))
                close(parts.reliability - parts.resolution + parts.uncertainty + parts.within, np.mean((p - labels) ** 2))
                assert all(isinstance(part, float) for part in parts)
        close(m.brier(p, labels), sum((q - y) ** 2 for q, y in zip(p, labels, strict=True)) / size)
        close(m.brier(p[:, None], labels[:, None]), m.brier(p, labels))
        close(m.brier(np.stack([1 - p, p], axis=1), labels), m.brier(p, labels))
        assert isinstance(m.brier(p, labels), float) and isinstance(m.calibration_error(p, labels), float)
        whole = m.brier_parts(p, labels)
        close(whole.within, 0.0)
        close(whole.reliability - whole.resolution + whole.uncertainty, m.brier(p, labels))
        groups = [labels[p == q] for q in sorted(set(p))]
        close(whole.resolution, sum(len(g) * (g.mean() - labels.mean()) ** 2 for g in groups) / size)
    p = np.concatenate([np.linspace(0, 1, 11), [0.05, 0.95]])
    labels = np.arange(13) % 2
    close(m.reliability(p, labels).predicted, m.reliability(p, labels, 10, "uniform").predicted)
    other, truth = RNG(6).random(40), RNG(7).integers(0, 2, 40)
    close(m.calibration_error(other, truth), m.calibration_error(other, truth, 10, "uniform"))
    close(m.brier_parts(p, labels, 10).within, m.brier_parts(p, labels, 10, "uniform").within)
    assert m.reliability(p, labels).count.tolist() == [3, 1, 1, 1, 1, 1, 1, 1, 1, 2]  # 0, 0.05 and 0.1: an upper edge belongs to its bin
    many, labels = RNG(4).dirichlet(np.ones(3), size=20), RNG(5).integers(0, 3, 20)
    close(m.brier(many, labels), sum((row[v] - (v == y)) ** 2 for row, y in zip(many, labels, strict=True) for v in range(3)) / 20)
    sure, right = m.top_class(many, labels)
    assert sure.tolist() == [max(row) for row in many]
    assert right.dtype == np.int64 and right.tolist() == [
        int(row.tolist().index(max(row)) == y) for row, y in zip(many, labels, strict=True)
    ]
    for sentence, call in (
        ("no examples", lambda: m.brier([], [])),
        ("no examples", lambda: m.brier_parts([], [])),
        ("no examples", lambda: m.reliability([], [])),
        ("no examples", lambda: m.top_class(np.zeros((0, 2)), [])),
        ("2 probabilities but 1 labels", lambda: m.brier([0.1, 0.2], [1])),
        ("2 probabilities but 1 labels", lambda: m.brier_parts([0.1, 0.2], [1])),
        ("2 probabilities but 1 labels", lambda: m.calibration_error([0.1, 0.2], [1])),
        ("2 probabilities but 1 labels", lambda: m.top_class(np.eye(2), [1])),
        (r"probabilities \(2,\) and labels \(2,\): pass \(N, V\)", lambda: m.top_class([0.2, 0.8], [0, 1])),
        (r"probabilities \(2, 2\) and labels \(2, 1\): .*ravel", lambda: m.top_class(np.eye(2), [[0], [1]])),
        (r"run from -0.1 to 0.5: they lie in \[0, 1\]", lambda: m.brier([-0.1, 0.5], [0, 1])),
        ("run from 0.5 to 1.5", lambda: m.reliability([1.5, 0.5], [0, 1])),
        ("run from nan to nan", lambda: m.brier_parts([math.nan, 0.5], [0, 1])),
        ("run from 0 to 2", lambda: m.top_class([[0, 2]], [0])),
        ("labels are 0 and 1", lambda: m.brier([0.1, 0.5], [1, 2])),
        ("labels run from 0 to 2, and p has 2 columns", lambda: m.brier(np.eye(2)[[0, 1, 1]], [0, 1, 2])),
        ("labels run from -1 to 1, and p has 2 columns", lambda: m.brier(np.eye(2)[[0, 1, 1]], [0, 1, -1])),
        ("labels are 0 and 1", lambda: m.calibration_error([0.1, 0.5], [1, 2])),
        ("labels are 0 and 1", lambda: m.brier_parts([0.1, 0.5], [1, 2])),
        ("unknown strategy 'equal': choose one of uniform, quantile", lambda: m.reliability([0.1], [0], strategy="equal")),
        ("bins=0: at least 1", lambda: m.reliability([0.1], [0], bins=0)),
    ):
        raises(ValueError, sentence, call)
    assert m.brier([0.0, 1.0], [0, 1]) == 0.0
    check_rows_add_up(m)
    assert m.reliability([0.2, 0.3], [0, 1], bins=1).count.tolist() == [2]


def check_rows_add_up(m):
    """A row of probabilities that does not add up to one is warned of at the caller; what its rounding leaves is not."""
    third, one = np.full((2, 3), 1 / 3), np.eye(3)[:2]
    for p, warned in (
        (third, 0),
        (third + 1e-8 * one[:1], 0),
        (third + 1e-7 * one[:1], 1),
        (third - 0.1 * one * [[0], [1]], 1),
        (third.astype(np.float32) + np.float32(3e-5), 0),
        (third.astype(np.float32) + np.float32(3e-4), 1),
        (np.eye(3, dtype=int)[:2], 0),
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = m.brier(p, [0, 1])
        close(value, np.mean(np.sum((p.astype(float) - np.eye(3)[:2]) ** 2, axis=1)))
        assert len(caught) == warned
        for w in caught:
            assert "a row of p does not add up to one: pass" in str(w.message) and w.filename == __file__
            assert 0 < w.lineno - check_rows_add_up.__code__.co_firstlineno < 25, "the warning points at the caller"


# ---------------------------------------------------------------- uncertainty


def binomial_tail(n, k):
    return sum(math.comb(n, j) for j in range(k + 1)) / 2**n


def check_uncertainty(m):
    check_wilson(m)
    check_bootstrap(m)
    check_paired(m)


def check_wilson(m):
    for hits, trials, level in ((3, 10, 0.95), (0, 10, 0.95), (10, 10, 0.9), (1, 1, 0.95), (0, 1, 0.95), (500, 1000, 0.99)):
        found = m.wilson(hits, trials, level)
        z = {0.95: 1.959963984540054, 0.9: 1.6448536269514722, 0.99: 2.5758293035489004}[level]
        assert found.value == hits / trials and 0 <= found.low <= found.value <= found.high <= 1
        for bound, limit in ((found.low, 0), (found.high, 1)):
            if limit == found.value:
                assert bound == limit
            else:  # |share - p| = z sqrt(p (1 - p) / N) there
                close((found.value - bound) ** 2, z * z * bound * (1 - bound) / trials)
    assert m.wilson(3, 10) == m.wilson(3, 10, 0.95)
    for sentence, call in (
        ("0 hits of 0 trials", lambda: m.wilson(0, 0)),
        ("5 hits of 4 trials", lambda: m.wilson(5, 4)),
        ("1.5 hits of 3 trials: pass whole numbers", lambda: m.wilson(1.5, 3)),
        ("1 hits of 3.5 trials: pass whole numbers", lambda: m.wilson(1, 3.5)),
        ("2.5 hits of 4.5 trials", lambda: m.wilson(2.5, 4.5)),
        ("-1 hits of 4 trials", lambda: m.wilson(-1, 4)),
        ("level=95: a share", lambda: m.wilson(1, 4, 95)),
        ("level=1: a share", lambda: m.wilson(1, 4, 1)),
        ("level=0: a share", lambda: m.wilson(1, 4, 0)),
    ):
        raises(ValueError, sentence, call)


def check_bootstrap(m):
    x, y = RNG(0).normal(size=12), RNG(1).normal(size=(12, 2))
    labels = np.array([0, 1, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1])

    def statistic(a, b):
        return float((a[:, None] * b).sum() + a[0])

    for strata in (None, labels):
        found = m.bootstrap(statistic, x, y, rng=RNG(5), resamples=60, level=0.8, strata=strata)
        rng, values = RNG(5), []
        groups = [np.arange(12)] if strata is None else [np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)]
        for _ in range(60):
            index = np.concatenate([g[rng.integers(0, len(g), len(g))] for g in groups])
            values.append(statistic(x[index], y[index]))
        close(found, [statistic(x, y), np.percentile(values, 10), np.percentile(values, 90)])
        assert all(isinstance(v, float) for v in found)
    assert [inspect.signature(m.bootstrap).parameters[name].default for name in ("resamples", "level", "strata")] == [2000, 0.95, None]
    assert m.bootstrap(np.mean, x, rng=RNG(0), resamples=10, strata=labels) == m.bootstrap(
        np.mean, x, rng=RNG(0), resamples=10, strata=labels * 3.0
    )
    import dlcourse.metrics as package

    found, _ = quiet(package, lambda: m.bootstrap(package.precision, np.array([0, 0, 1, 0, 1]), labels[:5], rng=RNG(0), resamples=50))
    assert found.low == 0.0  # 0 / 0 among the resamples is not warned of
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m.bootstrap(package.precision, np.array([0, 0, 1, 0, 1]), labels[:5], rng=RNG(0), resamples=50)
    inner = m.bootstrap(package.roc_auc, x, labels, rng=RNG(0), resamples=50, strata=labels)
    assert 0 <= inner.low < inner.high <= 1
    for sentence, call in (
        (
            r"([12]?\d) of 50 resamples have no value: pass strata=labels",
            lambda: m.bootstrap(package.roc_auc, x[:3], labels[:3], rng=RNG(0), resamples=50),
        ),
        ("no examples", lambda: m.bootstrap(np.mean, [], rng=RNG(0))),
        ("11 rows but 12 labels", lambda: m.bootstrap(statistic, x, y[:11], rng=RNG(0), resamples=1)),
        ("12 rows but 3 labels", lambda: m.bootstrap(np.mean, x, rng=RNG(0), strata=[0, 1, 1], resamples=1)),
        ("level=2", lambda: m.bootstrap(np.mean, x, rng=RNG(0), level=2, resamples=1)),
        ("resamples=0: it must be a whole number of at least 1", lambda: m.bootstrap(np.mean, x, rng=RNG(0), resamples=0)),
    ):
        raises(ValueError, sentence, call)


def check_paired(m):
    labels = np.zeros(20, int)
    for only_a, only_b in ((0, 0), (1, 0), (3, 3), (2, 9), (9, 2), (4, 5)):
        a, b = np.zeros(20, int), np.zeros(20, int)
        b[:only_a] = 1
        a[only_a : only_a + only_b] = 1
        a[-2:] = b[-2:] = 1  # both wrong
        n, k = only_a + only_b, min(only_a, only_b)
        found = m.mcnemar(a, b, labels)
        assert found[:2] == (only_a, only_b)
        close(found.p, min(1.0, 2 * binomial_tail(n, k)))
        assert m.mcnemar(a.tolist(), b.tolist(), labels.tolist()) == found
    assert m.mcnemar([0] * 900, [1] * 900, [0] * 900).p == 2.0**-899
    a, b = RNG(2).normal(size=(9, 2)), RNG(3).normal(size=(9, 2))

    def statistic(p, y):
        return float((p * y[:, None]).mean())

    y = RNG(4).normal(size=9)
    found = m.permutation_test(statistic, a, b, y, RNG(7), rounds=200)
    rng, extreme = RNG(7), 1
    for _ in range(200):
        swap = rng.random(9) < 0.5
        one, two = a.copy(), b.copy()
        one[swap], two[swap] = b[swap], a[swap]
        extreme += abs(statistic(one, y) - statistic(two, y)) >= abs(statistic(a, y) - statistic(b, y)) - 1e-12
    assert found == extreme / 201 and 2 / 201 < found < 1
    assert m.permutation_test(statistic, b, a, y, RNG(7), 200) == found  # two-sided
    assert m.permutation_test(statistic, a, a, y, RNG(0), rounds=9) == 1.0
    flat = m.permutation_test(lambda p, y: float(np.mean(p * y)), a[:, 0], b[:, 0], y, RNG(7), rounds=200)
    assert 0 < flat <= 1
    # differences that are equal but for rounding count as equal: tenths as whole numbers, which are exact
    one, two, nothing = np.array([1, 2, 0, 3]), np.array([0, 0, 3, 0]), np.zeros(4)
    exact, rounded = (
        m.permutation_test(lambda p, y: float(np.add.accumulate(p)[-1]), a, b, nothing, RNG(0), rounds=200)
        for a, b in ((one, two), (one / 10, two / 10))
    )
    assert exact == rounded
    assert inspect.signature(m.permutation_test).parameters["rounds"].default == 10_000
    assert m.permutation_test(lambda p, y: float(p.mean()), np.ones(30), np.zeros(30), np.zeros(30), RNG(0), rounds=99) == 1 / 100
    for sentence, call in (
        ("no examples", lambda: m.mcnemar([], [], [])),
        ("1 predictions but 2 labels", lambda: m.mcnemar([0], [0, 1], [0, 1])),
        ("1 predictions but 2 labels", lambda: m.mcnemar([0, 1], [0], [0, 1])),
        ("no examples", lambda: m.permutation_test(statistic, [], [], [], RNG(0))),
        ("1 predictions but 2 labels", lambda: m.permutation_test(statistic, [0], [0, 1], [0, 1], RNG(0))),
        ("1 predictions but 2 labels", lambda: m.permutation_test(statistic, [0, 1], [0], [0, 1], RNG(0))),
        (r"predictions \(2,\) and \(2,\), labels \(2, 1\): .*labels.ravel", lambda: m.mcnemar([0, 1], [0, 1], [[0], [1]])),
        (r"predictions \(2, 1\) and \(2,\), labels \(2,\)", lambda: m.mcnemar([[0], [1]], [0, 1], [0, 1])),
        (r"predictions \(2,\) and \(2, 1\)", lambda: m.mcnemar([0, 1], [[0], [1]], [0, 1])),
        (r"predictions \(2, 1\) and \(2, 1\), labels \(2, 1\)", lambda: m.mcnemar(*[[[0], [1]]] * 3)),
        ("difference of the two statistics is nan", lambda: m.permutation_test(lambda p, y: math.nan, [0, 1], [0, 1], [0, 1], RNG(0))),
        ("difference of the two statistics is inf", lambda: m.permutation_test(lambda p, y: p[0], [math.inf, 1], [0, 1], [0, 1], RNG(0))),
        (
            "difference of the two statistics is nan",  # of an exchange alone
            lambda: m.permutation_test(lambda p, y: p[0] if p[0] == p[1] else math.nan, np.zeros(2), np.ones(2), [0, 0], RNG(0)),
        ),
    ):
        raises(ValueError, sentence, call)


# ---------------------------------------------------------------- language

SPANS = {
    "": [],
    "O": [],
    "B-PER": [("PER", 0, 1)],
    "B-PER I-PER O B-LOC": [("PER", 0, 2), ("LOC", 3, 4)],
    "B-PER B-PER I-PER": [("PER", 0, 1), ("PER", 1, 3)],
    "I-PER I-PER O": [("PER", 0, 2)],
    "B-PER I-LOC I-LOC": [("PER", 0, 1), ("LOC", 1, 3)],
    "O I-LOC B-LOC I-PER": [("LOC", 1, 2), ("LOC", 2, 3), ("PER", 3, 4)],
    "B-X-Y I-X-Y": [("X-Y", 0, 2)],
}


def check_language(m):
    assert type(m.perplexity(math.log(65))) is float
    close(m.perplexity(math.log(65)), 65, 1e-14)
    close(m.perplexity([0.0, math.log(2)]), [1.0, 2.0], 1e-15)
    close(m.bits_per_byte(math.log(256), 10, 10), 8)  # equally likely bytes
    close(m.bits_per_byte(2.0, 50, 200), 2 / math.log(2) / 4)
    assert m.bits_per_byte(0.5, 1, 1) == 0.5 / math.log(2)
    assert m.exact_match(["1999-12-31", "2000-01-01"], ["1999-12-31", "2001-01-01"]) == 0.5
    assert m.exact_match([[1, 2], [3], [4]], [[1, 2], [3], [4, 4]]) == 2 / 3
    for tags, expected in SPANS.items():
        assert m.spans(tags.split()) == expected, tags
    # wanted: 3 spans; predicted: one right, one with a wrong end, one of a wrong type, one where there is none
    wanted = ["B-PER I-PER O O".split(), "B-LOC I-LOC O B-ORG O".split()]
    predicted = ["B-PER I-PER O B-LOC".split(), "B-LOC O O B-PER O".split()]
    assert m.span_scores(predicted, wanted) == {"precision": 1 / 4, "recall": 1 / 3, "f1": 2 / 7}
    assert m.span_scores(wanted, predicted) == {"precision": 1 / 3, "recall": 1 / 4, "f1": 2 / 7}
    assert m.span_scores(wanted, wanted) == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    nothing = {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert m.span_scores([["O"]], [["O"]]) == m.span_scores([["O"]], [["B-X"]]) == m.span_scores([["B-X"]], [["O"]]) == nothing
    # precisions 5/6, 3/5, 1/4 and 0 smoothed to 1/(2 * 3) of n-grams; equal lengths, so no penalty
    close(m.bleu(["the cat sat on the mat"], ["the cat sits on the mat"]), 100 * (5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25, 1e-6)
    close(m.bleu(["a b c d e"], ["a b c d e"]), 100)
    for kind in (tuple, np.array):
        close(m.bleu(kind(["a b c d e"]), ["a b c d e"]), 100)
        close(m.bleu(["a b c d e"], kind(["a b c d e"])), 100)
    close(m.bleu(["a b c d"], ["a b c d e f"], tokenize="none"), 100 * math.exp(1 - 6 / 4), 1e-6)
    close(m.bleu(["a b c d."], ["a b c d ."]), 100)  # cut by default, and as they are
    assert m.bleu(["a b c d."], ["a b c d ."], "none") < 99
    for sentence, call in (
        ("0 tokens and 5 bytes: count those of the text that was evaluated", lambda: m.bits_per_byte(1.0, 0, 5)),
        ("5 tokens and 0 bytes", lambda: m.bits_per_byte(1.0, 5, 0)),
        ("1 predictions but 0 wanted", lambda: m.exact_match(["a"], [])),
        ("1 predictions but 2 wanted", lambda: m.exact_match(["a"], ["a", "b"])),
        ("no examples", lambda: m.exact_match([], [])),
        ("2 predictions but 1 wanted", lambda: m.bleu(["a", "b"], ["a"])),
        ("no examples", lambda: m.bleu([], [])),
        ("1 predicted tags but 2 wanted", lambda: m.span_scores([["O"]], [["O", "O"]])),
        ("1 predictions but 0 wanted", lambda: m.span_scores([["O"]], [])),
        ("no examples", lambda: m.span_scores([], [])),
        ("tag 'PER' at 0: write O, B-type or I-type", lambda: m.spans(["PER"])),
        ("tag 'B-' at 1", lambda: m.spans(["O", "B-"])),
        ("tag 'B' at 0", lambda: m.spans(["B"])),
        ("tag 'O-PER' at 0", lambda: m.spans(["O-PER"])),
        ("tag 'E-PER' at 0", lambda: m.spans(["E-PER"])),
    ):
        raises(ValueError, sentence, call)


# ---------------------------------------------------------------- folds and columns


def check_folds(m):
    labels = np.array([0] * 11 + [1] * 5 + [2] * 1)
    for stratified in (True, False):
        for k in (2, 5, 17):
            folds = m.k_folds(labels, k, 3, stratified)
            assert len(folds) == k
            assert sorted(np.concatenate([held for _, held in folds])) == list(range(17))
            for train, held in folds:
                assert sorted([*train, *held]) == list(range(17))
                assert (np.diff(train) > 0).all() and (np.diff(held) > 0).all()
                assert len(held) in (17 // k, -(-17 // k))
            if stratified:
                counts = [np.bincount(labels[held], minlength=3) for _, held in folds]
                assert np.ptp(counts, axis=0).max() <= 1
    shuffled = RNG(0).permutation(np.repeat([0, 1], [30, 6]))
    spread = [np.ptp([shuffled[held].sum() for _, held in m.k_folds(shuffled, 6, seed, False)]) for seed in range(20)]
    assert max(spread) >= 2, "without strata the shares scatter"
    assert all(np.ptp([shuffled[held].sum() for _, held in m.k_folds(shuffled, 6, seed)]) == 0 for seed in range(20))
    first, again, other = (m.k_folds(shuffled, 6, seed) for seed in (0, 0, 1))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a[1], b[1]) for a, b in zip(first, other, strict=True))
    labels = RNG(1).integers(0, 3, 300)
    dealt = RNG(5).permutation(300)
    dealt = [i for c in range(3) for i in dealt if labels[i] == c]
    for i, (_, held) in enumerate(m.k_folds(labels, 7, 5)):
        assert held.tolist() == sorted(dealt[i::7])
    labels = labels[:17]
    order = np.concatenate([held for _, held in m.k_folds(np.zeros(20), 20, 0)])
    assert not np.array_equal(order, np.arange(20))
    x = np.array([[1.0, 2.0], [0.0, 1.0], [1.0, 2.0], [-0.0, 1.0], [2.0, 1.0]])
    assert m.duplicates(x).tolist() == [False, False, True, True, False] and m.duplicates(x).dtype == bool
    assert m.duplicates(x[:0]).dtype == bool
    assert m.overlap([[1e-20], [0.0]], [[2e-20], [0.0]]).tolist() == [1]
    assert m.overlap(x[:2], x[2:]).tolist() == [0, 1] and m.overlap(x[:2], x[4:]).tolist() == []
    assert m.overlap(x, x[::-1].astype(np.float32)).tolist() == [0, 1, 2, 3, 4]
    assert m.overlap(x[4:], x[:4]).dtype.kind == "i"
    for sentence, call in (
        ("1 folds of 17 examples: choose 2 to 17", lambda: m.k_folds(labels, 1, 0)),
        ("18 folds of 17 examples", lambda: m.k_folds(labels, 18, 0)),
        (r"labels of shape \(17, 1\): pass one for each example", lambda: m.k_folds(labels[:, None], 5, 0)),
        (r"shape \(2,\) and of \(1,\)", lambda: m.overlap(x, x[:, :1])),
    ):
        raises(ValueError, sentence, call)


def check_scaling(m):
    x, other = RNG(0).normal(3, 2, size=(9, 4)), RNG(1).normal(size=(3, 4))
    x[:, 2] = 0.1
    scale = m.Standardize(x)
    for j in range(4):
        mean = sum(x[:, j]) / 9
        deviation = math.sqrt(sum((v - mean) ** 2 for v in x[:, j]) / 9) if j != 2 else 1.0
        close(scale(other)[:, j], [(v - mean) / deviation for v in other[:, j]])
    close(scale(x).std(axis=0), [1, 1, 0, 1])
    assert m.Standardize(x.astype(np.float32))(x.astype(np.float32)).dtype == np.float64
    holes = x.copy()
    holes[[0, 3], [1, 1]] = math.nan
    fill = m.Impute(holes)
    close(fill.median[1], sorted(x[[1, 2, 4, 5, 6, 7, 8], 1])[3])
    gap = np.full((2, 4), math.nan)
    gap[1] = 5.0
    close(fill(gap), [fill.median, [5.0] * 4])
    close(fill(other), other)
    nothing = x.copy()
    nothing[:, 1] = math.nan
    for sentence, call in (
        (r"shape \(9,\): pass a table", lambda: m.Standardize(x[:, 0])),
        (r"shape \(0, 4\): pass a table", lambda: m.Impute(x[:0])),
        ("an entry is missing", lambda: m.Standardize(holes)),
        ("an entry is infinite", lambda: m.Standardize(np.where(np.isnan(holes), math.inf, holes))),
        ("a column has no entry", lambda: m.Impute(nothing)),
        ("3 columns, but it was made with 4", lambda: scale(x[:, :3])),
        ("3 columns, but it was made with 4", lambda: fill(x[:, :3])),
        (r"shape \(4,\): pass a table", lambda: scale(x[0])),
        (r"shape \(4,\): pass a table", lambda: fill(x[0])),
    ):
        raises(ValueError, sentence, call)
    assert np.array_equal(m.Standardize(x[:1])(x[:1]), np.zeros((1, 4)))
