"""More losses: one number, a mean. MLX computes the gradients.

A yes or no has one logit z and a target t of 1 or 0, as in `nn.losses.binary_cross_entropy`. With the
sign s = 2 t - 1 its margin is u = s z: positive where the answer is right, large where it is sure."""

import mlx.core as mx
import mlx.nn as nn


def huber_loss(y, target, delta=1.0):
    return nn.losses.huber_loss(y, target, delta=delta, reduction="mean")


def hinge_loss(logits, targets):
    return nn.losses.hinge_loss(logits, 2 * targets - 1, reduction="mean")


def focal_loss(logits, targets, gamma=2.0, alpha=None):
    u = (2 * targets - 1) * logits
    # (1 - p)^gamma by its logarithm: the slope of a power is infinite where 1 - p rounds to 0 and gamma < 1
    losses = -mx.exp(gamma * nn.log_sigmoid(-u)) * nn.log_sigmoid(u)
    if alpha is not None:
        losses = losses * (alpha * targets + (1 - alpha) * (1 - targets))
    return losses.mean()


def kl_divergence(logits, targets):
    classes = logits.shape[-1]
    log_p = nn.log_softmax(logits, axis=-1).reshape(-1, classes)
    q = targets.reshape(-1, classes)
    # MLX's own takes log q, which is -infinity where q is 0
    log_q = mx.log(mx.where(q > 0, q, 1))
    return (q * (log_q - log_p)).sum() / len(q)
