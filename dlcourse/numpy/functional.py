"""Operations and their gradients, side by side.

Every function returns `y, backward`. `backward(dy)` is the vector-Jacobian product: given dL/dy it
returns dL/dx, as one array where the operation has one differentiable argument, as a tuple in the
order of the arguments where it has several. The closure keeps what the backward pass needs; drop it
and you have inference. Every operation keeps the dtype it is given.
Shapes: N rows, I in, O out, V classes; `...` stands for any leading axes."""

import math

import numpy as np

from dlcourse.boundary import check_same_shape, check_soft_targets
from dlcourse.errors import need

GELU_SCALE, GELU_CUBE = math.sqrt(2.0 / math.pi), 0.044715

# ---------------------------------------------------------------- layers


def linear(x, weight, bias):
    """y = x W^T + b  (eq-linear; gradients eq-linear-vjp).

    x (..., I), weight (O, I), bias (O,) or None -> y (..., O). `backward(dy, need_dx=False)` leaves dx
    out, None: training has no use for that of the first layer."""
    if x.shape[-1] != weight.shape[1]:
        raise ValueError(
            f"x ends in {x.shape[-1]} features, but weight is (O, I) = {weight.shape}: "
            f"pass x with I = {weight.shape[1]}"
        )
    rows = x.reshape(-1, x.shape[-1])  # (N, I): one product, not one for each slice

    def backward(dy, need_dx=True):
        dy_rows = dy.reshape(-1, dy.shape[-1])  # (N, O)
        dx = (dy_rows @ weight).reshape(x.shape) if need_dx else None
        return dx, dy_rows.T @ rows, None if bias is None else _column_sums(dy_rows)

    y = rows @ weight.T
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], len(weight)), backward


def embedding(tokens, weight):
    """y = the rows of E that the tokens name  (eq-embedding; gradient eq-embedding-vjp).

    tokens (...) whole numbers, weight E (V, C) -> y (..., C); backward gives dE alone. Raises
    ValueError for a token outside 0 ... V-1: NumPy would count a negative one from the end."""
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < len(weight):
        raise ValueError(
            f"tokens run from {tokens.min()} to {tokens.max()} but the embedding has {len(weight)} rows: "
            f"tokens are 0 ... {len(weight) - 1}"
        )

    def backward(dy):
        # equal tokens side by side, then one sum for each: np.add.at takes 4 to 10 times as long
        flat = tokens.reshape(-1)
        order = np.argsort(flat, kind="stable")
        used, starts = np.unique(flat[order], return_index=True)
        dweight = np.zeros_like(weight)
        dweight[used] = np.add.reduceat(dy.reshape(-1, weight.shape[1])[order], starts)
        return dweight

    return weight[tokens], backward


def dropout(x, p, rng):
    """y = m x / (1 - p), m ~ Bernoulli(1 - p), so that E[y] = x  (eq-dropout, eq-dropout-vjp).

    `rng` None means evaluation: y = x. Raises ValueError unless 0 <= p < 1. Srivastava et al. 2014."""
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

    e^-|x| never overflows, so the result is accurate at both ends."""
    y = _sigmoid(x)
    return y, lambda dy: dy * y * (1 - y)


def tanh(x):
    """y = tanh(x)  (eq-tanh; gradient eq-tanh-vjp: dx = dy (1 - y^2)).  x, y (...)"""
    y = np.tanh(x)
    return y, lambda dy: dy * (1 - y * y)


def softmax(x):
    """y_i = e^(x_i) / sum_j e^(x_j)  (eq-softmax; gradient eq-softmax-vjp).  x, y (..., V)

    The row maximum is subtracted first; eq-softmax-shift says why that changes nothing."""
    y = x - x.max(axis=-1, keepdims=True)
    np.exp(y, out=y)
    y /= y.sum(axis=-1, keepdims=True)
    return y, lambda dy: y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def log_softmax(x):
    """y = x - log sum_j e^(x_j)  (eq-log-softmax; gradient eq-log-softmax-vjp).  x, y (..., V)"""
    y = x - x.max(axis=-1, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=-1, keepdims=True))
    return y, lambda dy: dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)


def silu(x):
    """y = x sigmoid(x)  (eq-silu; gradient dx = dy s (1 + x (1 - s)), s = sigmoid(x)).  x, y (...)

    Also called swish. Elfwing et al. 2018."""
    s = _sigmoid(x)
    return x * s, lambda dy: dy * s * (1 + x * (1 - s))


def gelu(x, exact=False):
    """y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2  (eq-gelu; gradient eq-gelu-vjp).  x, y (...)

    The tanh form of x Phi(x), which it meets to 0.0005. `exact` is x Phi(x) itself
    (eq-gelu-exact), as BERT has it, and needs SciPy's erf. Hendrycks & Gimpel 2016."""
    if exact:
        return _exact_gelu(x)
    t = x * x  # x**3 is 180 times slower in NumPy
    t *= GELU_CUBE
    t += 1.0
    t *= x
    t *= GELU_SCALE
    np.tanh(t, out=t)
    y = t + 1.0
    y *= x
    y *= 0.5

    def backward(dy):
        dx = x * x
        dx *= 3.0 * GELU_CUBE
        dx += 1.0
        dx *= x
        dx *= GELU_SCALE
        dx *= 1.0 - t * t  # x times the slope of the tanh
        dx += t
        dx += 1.0
        dx *= dy
        dx *= 0.5
        return dx

    return y, backward


# ---------------------------------------------------------------- normalisation
# Means are products with a vector and sums of squares are einsums: 3 times faster than mean and var


def layer_norm(x, weight, bias, eps=1e-5):
    """y = w x^ + b, x^ = (x - mean) / sqrt(var + eps)  (eq-layer-norm; gradients eq-layer-norm-vjp).

    Mean and variance of each row, over the last axis. x, y (..., C); weight (C,), bias (C,) or None.
    Ba et al. 2016."""
    rows, features = _rows_of_features("layer_norm", x, weight=weight, bias=bias)
    share = np.full(features, 1.0 / features, x.dtype)
    x_hat = rows - (rows @ share)[:, None]  # (N, C)
    scale = 1.0 / np.sqrt(np.einsum("nc,nc->n", x_hat, x_hat) / features + eps)  # (N,)
    x_hat *= scale[:, None]
    y = x_hat * weight
    if bias is not None:
        y += bias

    def backward(dy):
        dy = dy.reshape(rows.shape)
        dbias = None if bias is None else _column_sums(dy)
        dx = dy * weight  # the gradient of x^
        along = np.einsum("nc,nc->n", dx, x_hat) / features  # (N,)
        dx -= (dx @ share)[:, None]
        dx -= x_hat * along[:, None]
        dx *= scale[:, None]
        return dx.reshape(x.shape), np.einsum("nc,nc->c", dy, x_hat), dbias

    return y.reshape(x.shape), backward


def rms_norm(x, weight, eps=1e-6):
    """y = w x^, x^ = x / sqrt(mean(x^2) + eps)  (eq-rms-norm; gradients eq-rms-norm-vjp).

    The mean square of each row, over the last axis. x, y (..., C); weight (C,). Zhang & Sennrich 2019."""
    rows, features = _rows_of_features("rms_norm", x, weight=weight)
    scale = 1.0 / np.sqrt(np.einsum("nc,nc->n", rows, rows) / features + eps)  # (N,)
    x_hat = rows * scale[:, None]  # (N, C)
    y = x_hat * weight

    def backward(dy):
        dy = dy.reshape(rows.shape)
        dx = dy * weight  # the gradient of x^
        along = np.einsum("nc,nc->n", dx, x_hat) / features  # (N,)
        dx -= x_hat * along[:, None]
        dx *= scale[:, None]
        return dx.reshape(x.shape), np.einsum("nc,nc->c", dy, x_hat)

    return y.reshape(x.shape), backward


def batch_norm(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    """y = w (x - mean) / sqrt(var + eps) + b  (eq-batch-norm; gradients eq-batch-norm-vjp).

    Mean and variance of each feature: in training over all axes but the last, otherwise the running
    ones (gradients eq-batch-norm-eval-vjp). Training also moves the running ones, in place, by
    eq-running-statistics. x, y (..., C); all others (C,). Raises ValueError in training for fewer
    than two values a feature. Ioffe & Szegedy 2015."""
    running = {"running_mean": running_mean, "running_var": running_var}
    rows, _ = _rows_of_features("batch_norm", x, weight=weight, bias=bias, **running)
    count = len(rows)
    if training:
        if count < 2:
            raise ValueError(
                f"batch_norm in training got {count} value for each feature: a variance needs at least "
                "two, so use a larger batch, or model.eval() for prediction"
            )
        mean = _column_sums(rows) / count
        centred = rows - mean  # (N, C)
        variance = np.einsum("nc,nc->c", centred, centred) / count
        running_mean += momentum * (mean - running_mean)
        # the variance for the future is the unbiased one, as in PyTorch
        running_var += momentum * (variance * (count / (count - 1)) - running_var)
    else:
        centred, variance = rows - running_mean, running_var
    scale = 1.0 / np.sqrt(variance + eps)  # (C,)
    y = centred * (weight * scale)
    y += bias

    def backward(dy):
        dy = dy.reshape(rows.shape)
        dbias = _column_sums(dy)
        dweight = np.einsum("nc,nc->c", dy, centred) * scale
        if training:
            dx = centred * (dweight * scale / -count)
            dx += dy
            dx -= dbias / count
            dx *= weight * scale
        else:
            dx = dy * (weight * scale)
        return dx.reshape(x.shape), dweight, dbias

    return y.reshape(x.shape), backward


# ---------------------------------------------------------------- losses


def mse_loss(y, target):
    """L = mean of (y - t)^2 over all n entries  (eq-mse; gradient eq-mse-vjp: dy = 2 (y - t) / n).

    y, target (...) -> L. Raises ValueError when the shapes differ: broadcasting (N, 1) against (N,)
    would compare every pair."""
    check_same_shape("mse_loss", y, target)
    difference = y - np.asarray(target, y.dtype)

    def backward(dloss=1.0):
        return difference * (2.0 * dloss / y.size)

    return np.mean(difference * difference), backward


def cross_entropy(logits, targets, label_smoothing=0.0, ignore_index=-100):
    """L = -mean_n sum_i q_ni log p_ni, p = softmax(logits), q one-hot  (eq-cross-entropy).

    The gradient is (p - q) / N (eq-softmax-ce-vjp). logits (..., V), integer targets (...) -> L.
    With label smoothing s, q = (1 - s) one-hot + s / V (eq-label-smoothing; Szegedy et al.
    2016). Targets equal to `ignore_index` count neither in the sum nor in N. Raises ValueError
    for labels outside 0 ... V-1, for shapes that do not fit, and when nothing is left to
    average.

    Floats q (..., V) are soft targets, rows of probabilities (eq-soft-cross-entropy; gradient
    eq-soft-cross-entropy-vjp, the same); `ignore_index` does not apply to them."""
    if np.ndim(targets) == logits.ndim and np.asarray(targets).dtype.kind == "f":
        return _soft_cross_entropy(logits, targets, label_smoothing)
    kept = _kept_labels(logits, targets, label_smoothing, ignore_index)  # (N,)
    count, classes = np.count_nonzero(kept), logits.shape[-1]
    labels = np.where(kept, np.reshape(targets, -1), 0)
    rows = np.arange(len(labels))

    log_p, _ = log_softmax(logits.reshape(-1, classes))  # (N, V)
    log_likelihood = log_p[rows, labels]
    if label_smoothing:
        log_likelihood = (1.0 - label_smoothing) * log_likelihood
        log_likelihood += label_smoothing * log_p.mean(axis=1)
    loss = -np.sum(log_likelihood, where=kept) / count

    def backward(dloss=1.0):
        dz = np.exp(log_p)  # p, from which q is taken away
        if label_smoothing:
            dz -= label_smoothing / classes
        dz[rows, labels] -= 1.0 - label_smoothing
        if count < len(labels):
            dz[~kept] = 0
        dz *= dloss / count
        return dz.reshape(logits.shape)

    return logits.dtype.type(loss), backward


def binary_cross_entropy(logits, targets):
    """L = mean of log(1 + e^z) - t z, the negative log-likelihood of t under sigmoid(z)  (eq-bce).

    The gradient is (sigmoid(z) - t) / n (eq-bce-vjp). logits, targets in [0, 1] (...) -> L, the mean
    over all n entries. Written as max(z, 0) - t z + log(1 + e^-|z|), it can't overflow. Raises
    ValueError when shapes differ, a target lies outside [0, 1] or nothing is there to average."""
    targets = np.asarray(targets)
    check_same_shape("binary_cross_entropy", logits, targets)
    if targets.min() < 0 or targets.max() > 1:
        raise ValueError(
            f"targets run from {targets.min()} to {targets.max()}: "
            "binary_cross_entropy takes probabilities, in most cases 0 and 1"
        )
    targets = targets.astype(logits.dtype, copy=False)
    # max(z, 0) - t z first: it is exactly zero for a sure and right answer, and the small logarithm
    # is not rounded away
    losses = np.maximum(logits, 0) - targets * logits + np.log1p(np.exp(-np.abs(logits)))

    def backward(dloss=1.0):
        return (_sigmoid(logits) - targets) * (dloss / logits.size)

    return losses.mean(), backward


def pretraining_loss(words, follows, targets, weights=(1.0, 1.0)):
    """L = mean of -log p over the hidden tokens + mean of -log p over the sentence pairs  (eq-bert-loss).

    words (B, T, V), follows (B, 2), targets (B, 1 + T) whole numbers: whether the second sentence
    follows (0) or not (1), then the tokens that were hidden, -100 at all others -> L. The gradients are
    those of `cross_entropy`. `weights` multiply the two means; a mean of weight 0 is left out.
    Devlin et al. 2019."""

    def term(logits, labels, weight):
        if weight == 0:
            return 0.0, lambda scale: np.zeros_like(logits)
        mean, back = cross_entropy(logits, labels)
        return weight * mean, lambda scale: back(weight * scale)

    word_loss, word_back = term(words, targets[:, 1:], weights[0])
    pair_loss, pair_back = term(follows, targets[:, 0], weights[1])

    def backward(dloss=1.0):
        return word_back(dloss), pair_back(dloss)

    return words.dtype.type(word_loss + pair_loss), backward


# ---------------------------------------------------------------- shared pieces


def _exact_gelu(x):
    erf = need("scipy.special", extra="data").erf
    phi = 0.5 * (1.0 + erf(x * math.sqrt(0.5)))  # P(a standard normal number <= x)

    def backward(dy):
        density = np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
        return dy * (phi + x * density)

    return x * phi, backward


def _sigmoid(x):
    tail = np.exp(-np.abs(x))  # in [0, 1]: it underflows to 0
    return np.where(x >= 0, 1, tail) / (1 + tail)


def _rows_of_features(name, x, **arrays):
    """x as rows (N, C), and C; refuses weights, biases and statistics of another length."""
    features = x.shape[-1]
    for which, array in arrays.items():
        if array is not None and array.shape != (features,):
            raise ValueError(
                f"{name}: x ends in {features} features, but {which} has shape {array.shape}: "
                f"build the layer with features={features}"
            )
    return x.reshape(-1, features), features


def _column_sums(rows):
    return np.ones(len(rows), rows.dtype) @ rows  # 4 times faster than sum(axis=0)


def _soft_cross_entropy(logits, targets, label_smoothing):
    """`cross_entropy` of soft targets, floats (..., V)."""
    _check_label_smoothing(label_smoothing)
    targets, classes = np.asarray(targets), logits.shape[-1]
    if targets.size == 0:
        raise ValueError("no target to average over: the batch is empty")
    check_soft_targets(targets, logits.shape)
    q = targets.reshape(-1, classes)  # (N, V)
    if label_smoothing:
        q = (1.0 - label_smoothing) * q + label_smoothing / classes
    log_p, _ = log_softmax(logits.reshape(-1, classes))
    loss = -np.sum(q * log_p) / len(q)

    def backward(dloss=1.0):
        dz = np.exp(log_p)  # p, from which q is taken away
        dz -= q
        dz *= dloss / len(q)
        return dz.reshape(logits.shape)

    return logits.dtype.type(loss), backward


def _check_label_smoothing(label_smoothing):
    if not 0.0 <= label_smoothing < 1.0:
        raise ValueError(
            f"label_smoothing={label_smoothing}: it is the share of probability spread over all "
            "classes, at least 0 and below 1"
        )


def _kept_labels(logits, targets, label_smoothing, ignore_index):
    """Which rows count, (N,) bool; refuses what cross_entropy can't use."""
    _check_label_smoothing(label_smoothing)
    targets, classes = np.asarray(targets), logits.shape[-1]
    if targets.dtype.kind not in "iu":
        raise ValueError(
            f"targets have dtype {targets.dtype}: cross_entropy takes class numbers as integers, "
            "for example targets.astype(int)"
        )
    if targets.shape != logits.shape[:-1]:
        raise ValueError(
            f"targets have shape {targets.shape} but logits {logits.shape}: "
            "one class number for each row of logits is needed"
        )
    kept = targets.reshape(-1) != ignore_index
    known = targets.reshape(-1)[kept]
    if len(known) == 0:
        raise ValueError(
            "no target to average over: the batch is empty, or every target equals ignore_index"
        )
    if known.min() < 0 or known.max() >= classes:
        raise ValueError(
            f"labels run from {known.min()} to {known.max()} but the logits have {classes} classes: "
            f"labels must lie in 0 ... {classes - 1}"
        )
    return kept
