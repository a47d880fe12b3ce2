"""More losses and their gradients, side by side as in `functional.py`.

Each function returns `loss, backward`: one number, a mean, and its gradient with respect to the first argument.
A yes or no has one logit z and a target t of 1 or 0, as in `binary_cross_entropy`. With the sign
2 t - 1 its margin is u = (2 t - 1) z: positive where the answer is right, large where it is sure."""

import numpy as np

from dlcourse.boundary import check_binary, check_loss_options, check_same_shape, check_soft_targets
from dlcourse.numpy import functional as f


def huber_loss(y, target, delta=1.0):
    """L = mean of r^2 / 2 where |r| <= delta, else delta (|r| - delta / 2), r = y - t  (eq-huber).

    The gradient is clip(r, -delta, delta) / n (eq-huber-vjp): no example pulls harder than delta.
    y, target (...) -> L, the mean over all n entries. Raises ValueError when the shapes differ, y holds
    whole numbers or delta is not positive. Huber 1964."""
    check_same_shape("huber_loss", y, target)
    check_loss_options(delta=delta)
    residual = y - np.asarray(target, y.dtype)
    clipped = np.clip(residual, -delta, delta)  # clipped (r - clipped / 2) is both cases in one

    def backward(dloss=1.0):
        return clipped * (dloss / y.size)

    return np.mean(clipped * (residual - 0.5 * clipped)), backward


def hinge_loss(logits, targets):
    """L = mean of max(0, 1 - u), u = (2 t - 1) z  (eq-hinge; gradient eq-hinge-vjp, taken as 0 at u = 1).

    logits, targets 0 or 1 (...) -> L, the mean over all n entries. What is right by a margin of 1 costs
    nothing and pulls at nothing. Raises ValueError for shapes that differ and other targets.
    Cortes & Vapnik 1995."""
    sign = _signs("hinge_loss", logits, targets)
    slack = np.maximum(1 - sign * logits, 0)

    def backward(dloss=1.0):
        return sign * (slack > 0) * (-dloss / logits.size)

    return slack.mean(), backward


def focal_loss(logits, targets, gamma=2.0, alpha=None):
    """L = mean of -a (1 - p)^gamma log p, p = sigmoid(u) the probability of the true answer  (eq-focal).

    u = (2 t - 1) z. The gradient is eq-focal-vjp. logits, targets 0 or 1 (...) -> L, the mean over all n
    entries. The weight a is `alpha` where t = 1, 1 - `alpha` where t = 0, and 1 where alpha is None. With
    gamma = 0 and no alpha it is `binary_cross_entropy`. Raises ValueError for shapes that differ, other
    targets, gamma < 0 and alpha outside (0, 1). Lin et al. 2017."""
    sign = _signs("focal_loss", logits, targets)
    check_loss_options(gamma=gamma, alpha=alpha)
    u = sign * logits
    # log of the sigmoid: log p is exact where p is near 1, and finite where p rounds to 0
    log_p = np.minimum(u, 0) - np.log1p(np.exp(-np.abs(u)))
    p, q = np.exp(log_p), f.sigmoid(-u)[0]  # q = 1 - p without its rounding
    weight = q**gamma
    if alpha is not None:
        weight = weight * np.where(sign == 1, alpha, 1.0 - alpha).astype(logits.dtype)

    def backward(dloss=1.0):
        return sign * weight * (gamma * p * log_p - q) * (dloss / logits.size)

    return -np.mean(weight * log_p), backward


def kl_divergence(logits, targets):
    """L = mean_n sum_i q_ni log(q_ni / p_ni), p = softmax(logits), 0 log 0 = 0  (eq-kl).

    The gradient is (p - q) / N (eq-kl-vjp), that of cross-entropy, from which L differs by the entropy
    of q alone. logits (..., V), targets q (..., V), rows of probabilities -> L, the mean over all N rows.
    Raises ValueError for rows that are no probabilities, and for an empty batch. Kullback & Leibler 1951."""
    targets, classes = np.asarray(targets), logits.shape[-1]
    check_same_shape("kl_divergence", logits, targets)
    check_soft_targets(targets, logits.shape)
    q = targets.reshape(-1, classes).astype(logits.dtype)  # (N, V)
    log_p, _ = f.log_softmax(logits.reshape(-1, classes))
    log_q = np.log(np.where(q > 0, q, 1))

    def backward(dloss=1.0):
        return ((np.exp(log_p) - q) * (dloss / len(q))).reshape(logits.shape)

    return np.sum(q * (log_q - log_p)) / len(q), backward


def _signs(name, logits, targets):
    """2 t - 1 in the dtype of the logits: 1 for yes, -1 for no."""
    targets = np.asarray(targets)
    check_same_shape(name, logits, targets)
    check_binary(name, targets)
    return 2 * targets.astype(logits.dtype) - 1
