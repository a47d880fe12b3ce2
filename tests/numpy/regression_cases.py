"""What `dlcourse.regression` must do; `tests/test_mutants.py` asks the same of its mutants."""

import numpy as np


def tables(columns, targets=(), rank=None, dtype=np.float64):
    """(x, targets) of 8 rows; of lower rank where columns are sums of others."""
    rng = np.random.default_rng(columns)
    x = rng.normal(size=(8, columns)) if rank is None else rng.normal(size=(8, rank)) @ rng.normal(size=(rank, columns))
    return x.astype(dtype), rng.normal(size=(8, *targets)).astype(dtype)


CASES = [tables(3), tables(3, (2,)), tables(8), tables(12), tables(12, (3,)), tables(5, rank=2), tables(12, (2,), rank=4)]


def check_ridge(regression):
    for x, t in CASES:
        for penalty in (0.1, 3.0):
            normal = x.T @ x + len(x) * penalty * np.eye(x.shape[1])
            np.testing.assert_allclose(regression.ridge(x, t, penalty), np.linalg.solve(normal, x.T @ t), rtol=1e-9, atol=1e-12)
        for w in (regression.ridge(x, t), regression.ridge(x, t, 0.0)):
            np.testing.assert_allclose(w, np.linalg.pinv(x) @ t, rtol=1e-7, atol=1e-10)


def check_stopped(regression):
    for x, t in CASES:
        h = np.linalg.eigvalsh(x.T @ x).max() / len(x)
        for lr in (0.3 / h, 1.7 / h):
            w = np.zeros((x.shape[1], *t.shape[1:]))
            for step in range(1, 8):
                w = w - lr * x.T @ (x @ w - t) / len(x)
                if step in (1, 2, 7):
                    np.testing.assert_allclose(regression.stopped(x, t, lr, step), w, rtol=1e-8, atol=1e-11)


def check_bias_variance(regression):
    rng = np.random.default_rng(3)
    predictions, truth = rng.normal(size=(5, 7)) + 2.0, rng.normal(size=7)
    bias, variance = regression.bias_variance(predictions, truth)
    assert type(bias) is type(variance) is float
    expected = [sum((sum(f[n] for f in predictions) / 5 - truth[n]) ** 2 for n in range(7)) / 7]
    expected.append(sum((f[n] - sum(g[n] for g in predictions) / 5) ** 2 for n in range(7) for f in predictions) / 35)
    np.testing.assert_allclose((bias, variance), expected, rtol=1e-12)
    np.testing.assert_allclose(bias + variance, np.mean((predictions - truth) ** 2), rtol=1e-12)
    assert regression.bias_variance(np.ones((2, 3)), np.ones(3)) == (0.0, 0.0)
    assert regression.bias_variance([[1.0, 2.0], [3.0, 4.0]], [0.0, 0.0]) == (6.5, 1.0)


def check_manners(regression):
    """Shapes and dtypes stay, nothing is written, what is zero gives zero."""
    for dtype in (np.float32, np.float64):
        for targets in ((), (2,)):
            x, t = tables(5, targets, dtype=dtype)
            before = x.copy(), t.copy()
            for w in (regression.ridge(x, t), regression.ridge(x, t, 0.5), regression.stopped(x, t, 0.1, 3)):
                assert w.dtype == dtype and w.shape == (5, *targets)
            assert np.array_equal(x, before[0]) and np.array_equal(t, before[1])
    x, t = np.zeros((3, 2)), np.ones(3)
    for w in (regression.ridge(x, t), regression.ridge(x, t, 1.0), regression.stopped(x, t, 5.0, 2)):
        assert np.array_equal(w, np.zeros(2))
    assert np.array_equal(regression.ridge([[2, 0], [0, 4]], [2, 4]), [1.0, 1.0])  # whole numbers, lists
    single = np.array([[1.0, 1.0], [1.0, 1.0 + 1e-7], [0.0, 0.0]], np.float32)  # one direction, by float32's rounding
    np.testing.assert_allclose(regression.ridge(single, np.array([1, 1, 0], np.float32)), [0.5, 0.5], rtol=1e-5)


def check_edges(regression, raises):
    """What counts as zero: the rank of a matrix of 5 x 5, and of a wide one, as NumPy has it."""
    for shape in ((5, 2), (2, 5)):
        for factor, kept in ((4.0, False), (6.0, True)):
            for scale in (1.0, 1024.0):
                x = np.zeros(shape)
                x[0, 0], x[1, 1] = scale, scale * factor * np.finfo(float).eps
                w = regression.ridge(x, np.ones(shape[0]))
                assert (w[1] != 0) == kept and abs(w[0] * scale - 1.0) < 1e-12
    x, t = tables(3)
    for shapes in ((x[0], t), (x, t[:5]), (x, t[:, None, None]), (x[:0], t[:0]), (x[:, :0], t), (x, np.float64(1.0))):
        raises(ValueError, "pass (N, P)", lambda shapes=shapes: regression.ridge(*shapes))
        raises(ValueError, "pass (N, P)", lambda shapes=shapes: regression.stopped(*shapes, 0.1, 2))
    raises(ValueError, "penalty=-1", lambda: regression.ridge(x, t, -1))
    raises(ValueError, "steps=0", lambda: regression.stopped(x, t, 0.1, 0))
    h = np.linalg.svd(x)[1][0] ** 2 / len(x)
    for lr in (0.0, -1.0, 2.0 / h * (1 + 1e-12), float("nan")):
        raises(ValueError, "the largest curvature", lambda lr=lr: regression.stopped(x, t, lr, 2))
    regression.stopped(x, t, 2.0 / h * (1 - 1e-12), 2)
    exact = np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])  # the largest curvature is 1
    raises(ValueError, "the largest curvature", lambda: regression.stopped(exact, np.ones(4), 2.0, 2))
    for predictions, truth in (
        (np.ones((1, 3)), np.ones(3)),
        (np.ones(3), np.ones(3)),
        (np.ones((2, 3)), np.ones(2)),
        (np.ones((2, 3, 4)), np.ones((3, 4))),
    ):
        raises(ValueError, "at least two models", lambda p=predictions, t=truth: regression.bias_variance(p, t))


def check_regression(regression, raises):
    check_ridge(regression)
    check_stopped(regression)
    check_bias_variance(regression)
    check_manners(regression)
    check_edges(regression, raises)
