"""More losses: one number, a mean. PyTorch computes the gradients.

A yes or no has one logit z and a target t of 1 or 0, as in `F.binary_cross_entropy_with_logits`. With
the sign s = 2 t - 1 its margin is u = s z: positive where the answer is right, large where it is sure."""

import torch
import torch.nn.functional as F


def huber_loss(y, target, delta=1.0):
    return F.huber_loss(y, target, delta=delta)


def hinge_loss(logits, targets):
    return F.relu(1 - (2 * targets - 1) * logits).mean()


def focal_loss(logits, targets, gamma=2.0, alpha=None):
    u = (2 * targets - 1) * logits
    # (1 - p)^gamma by its logarithm: the slope of a power is infinite where 1 - p rounds to 0 and gamma < 1
    losses = -torch.exp(gamma * F.logsigmoid(-u)) * F.logsigmoid(u)
    if alpha is not None:
        losses = losses * (alpha * targets + (1 - alpha) * (1 - targets))
    return losses.mean()


def kl_divergence(logits, targets):
    classes = logits.shape[-1]
    log_p = F.log_softmax(logits, dim=-1).reshape(-1, classes)
    # "mean" would divide by the classes, too
    return F.kl_div(log_p, targets.reshape(-1, classes), reduction="batchmean")
