"""The exercises of the chapter *Residual networks*, each with the wrong answers that it recognises."""

import numpy as np

from dlcourse.check.compare import numerical_gradient, shapes
from dlcourse.check.engine import Case, exercise

# ---------------------------------------------------------------- block_parameters


def _block(inputs, outputs, stride, kernel=9, norm=2, project=1, changes=None):
    changes = (stride > 1 or inputs != outputs) if changes is None else changes
    count = kernel * inputs * outputs + kernel * outputs * outputs + 2 * norm * outputs
    return count + changes * (project * inputs * outputs + norm * outputs)


@exercise(
    "parameters",
    Case("nothing changes", lambda rng: (16, 16, 1), show=True),
    Case("more channels", lambda rng: (16, 32, 2), show=True),
    Case("more channels, stride 1", lambda rng: (3, 8, 1), show=True),
    Case("stride 2, equal channels", lambda rng: (8, 8, 2), show=True),
    Case("fewer channels", lambda rng: (6, 2, 1), show=True),
    Case("one channel", lambda rng: (1, 1, 1), show=True),
)
def block_parameters(inputs, outputs, stride):
    """block_parameters(inputs, outputs, stride) -> parameters: how many a residual block has (eq-block-parameters).

    Two convolutions 3 x 3 without biases, each with a batch norm; where the stride is above 1 or the channels change,
    also a convolution 1 x 1 without bias and its norm. All arguments are whole numbers, and so is the result."""
    return _block(inputs, outputs, stride)


block_parameters.diagnose(
    "the projection is forgotten: where the shape changes, the skip is a convolution 1 x 1 with a norm.",
    lambda inputs, outputs, stride: _block(inputs, outputs, stride, changes=False),
)
block_parameters.diagnose(
    "every skip is counted as a projection. Where nothing changes, the skip is the identity and has no parameters.",
    lambda inputs, outputs, stride: _block(inputs, outputs, stride, changes=True),
)
block_parameters.diagnose(
    "the norm behind the projection is forgotten: a weight and a bias for each output channel.",
    lambda inputs, outputs, stride: (
        _block(inputs, outputs, stride) - 2 * outputs * (stride > 1 or inputs != outputs)
    ),
)
block_parameters.diagnose(
    "the norms are forgotten: each has a weight and a bias for each channel.",
    lambda inputs, outputs, stride: _block(inputs, outputs, stride, norm=0),
)
block_parameters.diagnose(
    "a norm is counted with one number a channel. It has two, a weight and a bias.",
    lambda inputs, outputs, stride: _block(inputs, outputs, stride, norm=1),
)
block_parameters.diagnose(
    "running mean and variance are counted. They are part of the state, but training does not change them by gradients: no parameters.",
    lambda inputs, outputs, stride: _block(inputs, outputs, stride, norm=4),
)
block_parameters.diagnose(
    "the convolutions are given biases. Before a norm they have none; eq-residual-block.",
    lambda inputs, outputs, stride: (
        _block(inputs, outputs, stride) + 2 * outputs + outputs * (stride > 1 or inputs != outputs)
    ),
)
block_parameters.diagnose(
    "the second convolution goes from the output channels to the output channels: its kernels are as deep as the first one's output.",
    lambda inputs, outputs, stride: (
        _block(inputs, outputs, stride) - 9 * outputs * outputs + 9 * inputs * outputs
    ),
)
block_parameters.diagnose(
    "the projection is counted as 3 x 3. It is 1 x 1: one weight for each pair of channels.",
    lambda inputs, outputs, stride: _block(inputs, outputs, stride, project=9),
)
block_parameters.diagnose(
    "the projection is counted only where the channels change. A stride changes the shape, too.",
    lambda inputs, outputs, stride: _block(inputs, outputs, stride, changes=inputs != outputs),
)
block_parameters.diagnose(
    "the projection is counted only where there is a stride. More channels change the shape, too.",
    lambda inputs, outputs, stride: _block(inputs, outputs, stride, changes=stride > 1),
)
block_parameters.diagnose(
    "a kernel of 3 x 3 has nine weights for each pair of channels, not three.",
    lambda inputs, outputs, stride: _block(inputs, outputs, stride, kernel=3),
)


# ---------------------------------------------------------------- residual_backward


def _gradients(
    x, W1, W2, P, dy, mask="sum", inner=True, branch=None, skip=None, dx=(1, 1), raw=False
):
    """The right gradients, or wrong ones: another mask of the last ReLU, none inside, an upstream of its own for branch and skip."""
    z1 = x @ W1.T
    h = np.maximum(z1, 0)
    parts = {"branch": h @ W2.T, "skip": x @ P.T, "none": 1.0}
    dz = dy * ((parts["branch"] + parts["skip"] if mask == "sum" else parts[mask]) > 0)
    through_branch, through_skip = (dy if up == "dy" else dz for up in (branch, skip))
    dz1 = (through_branch @ W2) * ((z1 > 0) if inner else 1.0)
    way_back = dx[0] * (dz1 @ W1) + dx[1] * (through_skip @ P)
    return way_back, dz1.T @ x, through_branch.T @ (z1 if raw else h), through_skip.T @ x


def _wrong(**replaced):
    return lambda x, W1, W2, P, dy: _gradients(x, W1, W2, P, dy, **replaced)


def _changed(change):
    """A function of the right gradients (dx, dW1, dW2, dP) and the input."""
    return lambda x, W1, W2, P, dy: change(*_gradients(x, W1, W2, P, dy), x)


def _arguments(n, i, hidden, o):
    def make(rng):
        sizes = (n, i), (hidden, i), (o, hidden), (o, i), (n, o)
        return tuple(rng.normal(size=size) for size in sizes)

    return make


def _shut(rng):
    """Nothing passes the last ReLU: the sum is zero or below."""
    x, W1, W2, _, dy = _arguments(3, 2, 4, 2)(rng)
    return abs(x), W1, np.zeros_like(W2), np.array([[-1.0, -1.0], [0.0, 0.0]]), dy


def _dead_branch(rng):
    """Nothing passes the ReLU inside, zero or below: what comes back comes through the skip."""
    x, W1, W2, P, dy = _arguments(3, 2, 4, 2)(rng)
    return abs(x), -abs(W1) * [[1.0], [0.0], [1.0], [0.0]], W2, abs(P), dy


def _numeric(x, W1, W2, P, dy):
    arrays = [x, W1, W2, P]

    def loss(position):
        def value(a):
            x, W1, W2, P = [*arrays[:position], a, *arrays[position + 1 :]]
            return (np.maximum(np.maximum(x @ W1.T, 0) @ W2.T + x @ P.T, 0) * dy).sum()

        return value

    return tuple(numerical_gradient(loss(k), a) for k, a in enumerate(arrays))


_usual = _arguments(5, 3, 4, 2)


@exercise(
    ("dx", "dW1", "dW2", "dP"),
    Case("shapes", _usual, shapes),
    Case("dx", _usual, parts=("dx",)),
    Case("dW1", _usual, parts=("dW1",)),
    Case("dW2", _usual, parts=("dW2",)),
    Case("dP", _usual, parts=("dP",)),
    Case("finite differences", _usual, right=_numeric, tolerance=1e-6),
    Case("one example", _arguments(1, 3, 4, 2)),
    Case("all sizes equal", _arguments(4, 4, 4, 4)),
    Case("the branch shut", _dead_branch),
    Case("the last ReLU shut", _shut),
)
def residual_backward(x, W1, W2, P, dy):
    """residual_backward(x, W1, W2, P, dy) -> (dx, dW1, dW2, dP): the gradients of y = relu(x P^T + relu(x W1^T) W2^T) (eq-residual-block-vjp).

    x (N, I), W1 (H, I), W2 (O, H), P (O, I), dy = dL/dy (N, O); each gradient has the shape of what it belongs to."""
    return _gradients(x, W1, W2, P, dy)


residual_backward.diagnose(
    "the gradient of the skip is missing in dx: x acts on y twice, and the two gradients add.",
    _wrong(dx=(1, 0)),
)
residual_backward.diagnose(
    "the gradient of the branch is missing in dx: x acts on y twice, and the two gradients add.",
    _wrong(dx=(0, 1)),
)
residual_backward.diagnose(
    "dW2 is taken with the values before the ReLU inside. The second layer sees h = relu(x W1^T): dW2 = dz^T h.",
    _wrong(raw=True),
)
residual_backward.diagnose(
    "the ReLU after the addition is forgotten: dz = dy * (z > 0), for both ways.",
    _wrong(mask="none"),
)
residual_backward.diagnose(
    "the skip gets dy. The last ReLU stands behind the addition, so both ways get dz = dy * (z > 0).",
    _wrong(skip="dy"),
)
residual_backward.diagnose(
    "the branch gets dy. The last ReLU stands behind the addition, so both ways get dz = dy * (z > 0).",
    _wrong(branch="dy"),
)
residual_backward.diagnose(
    "the mask of the last ReLU is taken from the branch alone. Its input is the sum of branch and skip.",
    _wrong(mask="branch"),
)
residual_backward.diagnose(
    "the mask of the last ReLU is taken from the skip alone. Its input is the sum of branch and skip.",
    _wrong(mask="skip"),
)
residual_backward.diagnose(
    "the ReLU inside the branch is forgotten: dz1 = dh * (z1 > 0).",
    _wrong(inner=False),
)
residual_backward.diagnose(
    "the projection is taken for the identity in dP: it has weights, and dP = dz^T x.",
    _changed(lambda dx, dW1, dW2, dP, x: (dx, dW1, dW2, np.zeros_like(dP))),
)
residual_backward.diagnose(
    "the gradients of the weights are means over the examples. One weight serves them all, and the gradients add.",
    _changed(lambda dx, dW1, dW2, dP, x: (dx, *(g / len(x) for g in (dW1, dW2, dP)))),
)
residual_backward.diagnose(
    "the gradients of the weights are transposed: dW has the shape of W.",
    _changed(lambda dx, dW1, dW2, dP, x: (dx, dW1.T, dW2.T, dP.T)),
)
residual_backward.diagnose(
    "the results are in another order. Gradients come in the order of the arguments: dx, dW1, dW2, dP.",
    _changed(lambda dx, dW1, dW2, dP, x: (dx, dW2, dW1, dP)),
    _changed(lambda dx, dW1, dW2, dP, x: (dx, dP, dW1, dW2)),
)


# ---------------------------------------------------------------- fold_norm


def _columns(a, like):
    """a (O,) against an array (O, ...)."""
    return a.reshape(-1, *[1] * (like.ndim - 1))


def _folded(weight, bias, gamma, beta, mean, variance, eps, scale=None, shift=None, axis=0):
    scale = gamma / np.sqrt(variance + eps) if scale is None else scale(gamma, variance, eps)
    shift = beta + scale * (bias - mean) if shift is None else shift(scale, bias, beta, mean)
    return weight * (_columns(scale, weight) if axis == 0 else scale), shift


def _fold(**replaced):
    return lambda *arguments: _folded(*arguments, **replaced)


def _layer(*shape, eps=0.1):
    def make(rng):
        weight, (bias, gamma, beta, mean) = rng.normal(size=shape), rng.normal(size=(4, shape[0]))
        return weight, bias, gamma, beta, mean, rng.uniform(0.2, 3.0, size=shape[0]), eps

    return make


def _through(*arguments):
    """The same by what the two layers return: inputs of zero give the bias, unit vectors the weights."""
    weight, bias, gamma, beta, mean, variance, eps = arguments
    rows = weight.reshape(len(weight), -1)
    inputs = np.concatenate([np.zeros((1, rows.shape[1])), np.eye(rows.shape[1])])
    outputs = gamma * (inputs @ rows.T + bias - mean) / np.sqrt(variance + eps) + beta
    return (outputs[1:] - outputs[0]).T.reshape(weight.shape), outputs[0]


@exercise(
    ("weight", "bias"),
    Case("shapes", _layer(4, 3, 3, 2), shapes),
    Case("weight of a convolution", _layer(4, 3, 3, 2), parts=("weight",)),
    Case("bias of a convolution", _layer(4, 3, 3, 2), parts=("bias",)),
    Case("the same outputs", _layer(4, 3, 3, 2), right=_through),
    Case("as many inputs as outputs", _layer(3, 1, 1, 3)),
    Case("all sides equal", _layer(3, 3, 3, 3)),
    Case("a linear layer", _layer(4, 5)),
    Case("a small eps", _layer(3, 3, 3, 2, eps=1e-5)),
)
def fold_norm(weight, bias, gamma, beta, mean, variance, eps):
    """fold_norm(weight, bias, gamma, beta, mean, variance, eps) -> (weight, bias): one layer in the place of two (eq-fold-norm).

    weight (O, ...), of a convolution (O, k, k, I) or a linear layer (O, I), bias (O,); the batch norm behind it, in use, has
    weight gamma, bias beta, running mean and variance, all (O,). The results have the shapes of weight and bias."""
    return _folded(weight, bias, gamma, beta, mean, variance, eps)


fold_norm.diagnose(
    "divided by the variance. The root is missing: sqrt(variance + eps).",
    _fold(scale=lambda gamma, variance, eps: gamma / (variance + eps)),
)
fold_norm.diagnose(
    "eps stands outside the root. It is sqrt(variance + eps), not sqrt(variance) + eps.",
    _fold(scale=lambda gamma, variance, eps: gamma / (np.sqrt(variance) + eps)),
)
fold_norm.diagnose(
    "eps is left out. The norm adds it to the variance, also in use.",
    _fold(scale=lambda gamma, variance, eps: gamma / np.sqrt(variance)),
)
fold_norm.diagnose(
    "gamma is left out: the weights are multiplied by gamma / sqrt(variance + eps).",
    _fold(scale=lambda gamma, variance, eps: 1 / np.sqrt(variance + eps)),
)
fold_norm.diagnose(
    "the bias of the layer is lost. It passes through the norm like every output: scale * (bias - mean) + beta.",
    _fold(shift=lambda scale, bias, beta, mean: beta - scale * mean),
)
fold_norm.diagnose(
    "the bias of the layer is added as it was. It passes through the norm like every output: scale * (bias - mean) + beta.",
    _fold(shift=lambda scale, bias, beta, mean: beta + bias - scale * mean),
)
fold_norm.diagnose(
    "the mean is taken away without the scale: scale * (bias - mean) + beta.",
    _fold(shift=lambda scale, bias, beta, mean: beta + scale * bias - mean),
)
fold_norm.diagnose(
    "the mean is added. The norm takes it away.",
    _fold(shift=lambda scale, bias, beta, mean: beta + scale * (bias + mean)),
)
fold_norm.diagnose(
    "the mean is forgotten: scale * (bias - mean) + beta.",
    _fold(shift=lambda scale, bias, beta, mean: beta + scale * bias),
)
fold_norm.diagnose(
    "beta is forgotten: scale * (bias - mean) + beta.",
    _fold(shift=lambda scale, bias, beta, mean: scale * (bias - mean)),
)
fold_norm.diagnose(
    "beta is scaled. It is added behind the scale: scale * (bias - mean) + beta.",
    _fold(shift=lambda scale, bias, beta, mean: scale * (beta + bias - mean)),
)
fold_norm.diagnose(
    "the bias stays as it was: mean and beta of the norm belong into it.",
    _fold(shift=lambda scale, bias, beta, mean: bias.copy()),
)
fold_norm.diagnose(
    "the last axis of the weights is scaled. The scale belongs to the outputs, the first axis.",
    _fold(axis=-1),
)
fold_norm.diagnose(
    "the weights stay as they were: each kernel is multiplied by the scale of its output.",
    lambda weight, *others: (weight.copy(), _folded(weight, *others)[1]),
)
