"""Linear regression in closed form: the cases in which what a regulariser does can be written down.

Throughout: x (N, P), targets (N,) or (N, O), and the loss is half the mean squared error, so that its Hessian is x^T x / N."""

import numpy as np

from dlcourse.boundary import check_optimizer, check_whole


def ridge(x, targets, penalty=0.0):
    """argmin_w |x w - t|^2 / (2 N) + penalty |w|^2 / 2 = sum_i s_i / (s_i^2 + N penalty) v_i (u_i . t)  (eq-ridge, eq-ridge-shrinkage; Hoerl & Kennard 1970).

    Without a penalty the shortest of the w with the least error  (eq-minimum-norm). Returns (P,) or (P, O).
    s_i, u_i and v_i are the singular values and vectors of x; what is zero up to rounding takes no part.
    Raises ValueError for a negative penalty, and for shapes that do not fit."""
    check_optimizer(penalty=penalty)
    u, s, vt = _svd(x, targets)
    return vt.T @ _times(s / (s**2 + len(x) * penalty), u.T @ targets)


def stopped(x, targets, lr, steps):
    """w after `steps` steps of gradient descent from zero: sum_i (1 - (1 - lr h_i)^steps) / s_i v_i (u_i . t)  (eq-early-stopping).

    h_i = s_i^2 / N is the curvature in the direction v_i. Nothing is iterated. Returns (P,) or (P, O).
    Raises ValueError for shapes that do not fit, and for a learning rate at which descent would not converge."""
    check_whole(steps=steps)
    u, s, vt = _svd(x, targets)
    h = s**2 / len(x)
    largest = h.max(initial=0.0)
    if not lr > 0.0 or not lr * largest < 2.0:
        raise ValueError(
            f"lr={lr}: take one above 0 and below 2 / {largest:.3g}, the largest curvature"
        )
    return vt.T @ _times((1.0 - (1.0 - lr * h) ** steps) / s, u.T @ targets)


def bias_variance(predictions, truth):
    """(squared bias, variance) of M models at N places: mean_n (f~_n - t_n)^2 and mean_mn (f_mn - f~_n)^2, f~ the mean model  (eq-bias-variance).

    predictions (M, N), one row for the model of each training set; truth (N,), without noise. The two add up to the mean of (f - t)^2.
    Raises ValueError for fewer than two models, and for shapes that do not fit."""
    predictions, truth = np.asarray(predictions), np.asarray(truth)
    if predictions.ndim != 2 or len(predictions) < 2 or truth.shape != predictions.shape[1:]:
        raise ValueError(
            f"predictions {predictions.shape} and truth {truth.shape}: pass (M, N) of at least two models, and (N,)"
        )
    mean = predictions.mean(axis=0)  # (N,)
    return float(np.mean((mean - truth) ** 2)), float(np.mean((predictions - mean) ** 2))


def _svd(x, targets):
    """(u, s, vt) of x without the directions that x leaves out."""
    x, targets = np.asarray(x), np.asarray(targets)
    if x.ndim != 2 or targets.ndim not in (1, 2) or len(targets) != len(x) or x.size == 0:
        raise ValueError(
            f"x {x.shape} and targets {targets.shape}: pass (N, P), and (N,) or (N, O)"
        )
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    seen = s > max(x.shape) * np.finfo(s.dtype).eps * s[0]  # as in NumPy's matrix_rank
    return u[:, seen], s[seen], vt[seen]


def _times(factors, projections):
    """Each row (or number) of `projections` times its factor."""
    return (factors * projections.T).T
