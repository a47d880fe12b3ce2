"""Operations and their gradients, side by side.

Every function returns `y, backward`. `backward(dy)` is the vector-Jacobian product: given dL/dy it returns dL/dx, as one array
where the operation has one differentiable argument, as a tuple in the order of the arguments where it has several.
The closure keeps what the backward pass needs; drop it and you have inference. Every operation keeps the dtype it is given.
Shapes: B batch, I in, O out, V classes; `...` stands for any leading axes."""

import math

import numpy as np

# ---------------------------------------------------------------- layers


def linear(x, weight, bias):
    """y = x W^T + b  (eq-linear; gradients eq-linear-vjp).  x (..., I), weight (O, I), bias (O,) -> y (..., O)"""
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(f"x has {x.shape[-1]} features but weight is (O, I) = {weight.shape}: x must end in I = {weight.shape[1]}")
    rows = x.reshape(-1, x.shape[-1])  # one 2-D product: a 3-D operand makes NumPy multiply batch by batch, 2.4x slower

    def backward(dy):
        dy_rows = dy.reshape(-1, dy.shape[-1])
        return (dy_rows @ weight).reshape(x.shape), dy_rows.T @ rows, dy_rows.sum(axis=0)

    y = rows @ weight.T
    y += bias
    return y.reshape(*x.shape[:-1], len(weight)), backward


def dropout(x, p, rng):
    """y = m x / (1 - p), m ~ Bernoulli(1 - p), so that E[y] = x  (eq-dropout, eq-dropout-vjp; Srivastava et al. 2014).

    `rng` None means evaluation: y = x. Raises ValueError unless 0 <= p < 1."""
    if not 0.0 <= p < 1.0:
        raise ValueError(f"dropout probability is {p}: it must be at least 0 and below 1")
    if rng is None or p == 0.0:
        return x, lambda dy: dy
    scale = (rng.random(x.shape, dtype=np.float32) >= p).astype(x.dtype)
    scale *= 1.0 / (1.0 - p)
    return x * scale, lambda dy: dy * scale


# ---------------------------------------------------------------- activations


def relu(x):
    """y = max(x, 0)  (eq-relu; gradient eq-relu-vjp, taken as 0 at x = 0).  x, y (...)"""
    y = np.maximum(x, 0)
    return y, lambda dy: dy * (y > 0)


def sigmoid(x):
    """y = 1 / (1 + e^-x)  (eq-sigmoid; gradient eq-sigmoid-vjp: dx = dy y (1 - y)).  x, y (...)

    e^-|x| never overflows, so that it is exact at both ends."""
    y = _sigmoid(x)
    return y, lambda dy: dy * y * (1 - y)


def tanh(x):
    """y = tanh(x)  (eq-tanh; gradient eq-tanh-vjp: dx = dy (1 - y^2)).  x, y (...)"""
    y = np.tanh(x)
    return y, lambda dy: dy * (1 - y * y)


def softmax(x):
    """y_i = e^(x_i) / sum_j e^(x_j) over the last axis  (eq-softmax; gradient eq-softmax-vjp).  x, y (..., V)

    The row maximum is subtracted first; eq-softmax-shift says why that changes nothing."""
    y = x - x.max(axis=-1, keepdims=True)
    np.exp(y, out=y)
    y /= y.sum(axis=-1, keepdims=True)
    return y, lambda dy: y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def log_softmax(x):
    """y = x - log sum_j e^(x_j) over the last axis  (eq-log-softmax; gradient eq-log-softmax-vjp).  x, y (..., V)"""
    y = x - x.max(axis=-1, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=-1, keepdims=True))
    return y, lambda dy: dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)


# ---------------------------------------------------------------- losses


def mse_loss(y, target):
    """L = mean over all n entries of (y - t)^2  (eq-mse; gradient eq-mse-vjp: dy = 2 (y - t) / n).  y, target (...) -> L scalar

    Raises ValueError when the shapes differ: broadcasting (N, 1) against (N,) would compare every pair."""
    _same_shape("mse_loss", y, target)
    difference = y - np.asarray(target, y.dtype)

    def backward(dloss=1.0):
        return difference * (2.0 * dloss / y.size)

    return np.mean(difference * difference), backward


def cross_entropy(logits, targets, label_smoothing=0.0, ignore_index=-100):
    """L = -mean_n sum_i q_ni log p_ni, p = softmax(logits), q one-hot  (eq-cross-entropy; gradient eq-softmax-ce-vjp: (p - q) / N).

    logits (..., V), integer targets (...) -> L scalar. With label smoothing s, q = (1 - s) one-hot + s / V
    (eq-label-smoothing; Szegedy et al. 2016). Targets equal to `ignore_index` count neither in the sum nor in N.
    Raises ValueError for labels outside 0 ... V-1, for shapes that do not fit, and when nothing is left to average."""
    z, labels = logits.reshape(-1, logits.shape[-1]), np.asarray(targets).reshape(-1)
    classes = z.shape[1]
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(f"label_smoothing={label_smoothing}: it is the share of probability spread over all classes, at least 0 and below 1")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"targets have dtype {labels.dtype}: cross_entropy takes class numbers as integers, for example targets.astype(int)")
    if np.shape(targets) != logits.shape[:-1]:
        raise ValueError(f"targets have shape {np.shape(targets)} but logits {logits.shape}: one class number for each row of logits is needed")
    kept = labels != ignore_index
    count = int(np.count_nonzero(kept))
    if count == 0:
        raise ValueError("no target to average over: the batch is empty, or every target equals ignore_index")
    known = labels if count == len(labels) else labels[kept]
    if known.min() < 0 or known.max() >= classes:
        raise ValueError(f"labels run from {known.min()} to {known.max()} but the logits have {classes} classes: labels must lie in 0 ... {classes - 1}")

    log_p, _ = log_softmax(z)
    rows = np.arange(len(z))
    safe = np.where(kept, labels, 0)
    picked = log_p[rows, safe]
    if label_smoothing:
        picked = (1.0 - label_smoothing) * picked + label_smoothing * log_p.mean(axis=1)
    loss = -np.sum(picked, where=kept) / count

    def backward(dloss=1.0):
        dz = np.exp(log_p)
        if label_smoothing:
            dz -= label_smoothing / classes
        dz[rows, safe] -= 1.0 - label_smoothing
        if count < len(labels):
            dz[~kept] = 0
        dz *= dloss / count
        return dz.reshape(logits.shape)

    return z.dtype.type(loss), backward


def binary_cross_entropy(logits, targets):
    """L = mean of log(1 + e^z) - t z, the negative log-likelihood of t under sigmoid(z)  (eq-bce; gradient eq-bce-vjp: (sigmoid(z) - t) / n).

    logits (...), targets (...) in [0, 1] -> L scalar, the mean over all n entries. Written as max(z, 0) - t z + log(1 + e^-|z|), it can't overflow.
    Raises ValueError when shapes differ, a target lies outside [0, 1] or nothing is there to average."""
    targets = np.asarray(targets)
    _same_shape("binary_cross_entropy", logits, targets)
    if targets.min() < 0 or targets.max() > 1:
        raise ValueError(f"targets run from {targets.min()} to {targets.max()}: binary_cross_entropy takes probabilities, in most cases 0 and 1")
    targets = targets.astype(logits.dtype, copy=False)
    # in this order: max(z, 0) - t z is exactly zero for a sure and right answer, so the small logarithm is not rounded away
    losses = np.maximum(logits, 0) - targets * logits + np.log1p(np.exp(-np.abs(logits)))

    def backward(dloss=1.0):
        return (_sigmoid(logits) - targets) * (dloss / logits.size)

    return losses.mean(), backward


# ---------------------------------------------------------------- shared pieces


def _sigmoid(x):
    tail = np.exp(-np.abs(x))  # in (0, 1]
    return np.where(x >= 0, 1, tail) / (1 + tail)


def _same_shape(name, y, target):
    if np.shape(y) != np.shape(target):
        raise ValueError(f"{name}: predictions have shape {np.shape(y)} but targets {np.shape(target)}: reshape one of them so that they are equal")
    if math.prod(np.shape(y)) == 0:
        raise ValueError(f"{name}: no target to average over: the batch is empty")
