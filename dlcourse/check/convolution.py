"""The exercises of the chapter *Convolution*, each with the wrong answers that it recognises.

Throughout: images are (N, H, W, C), kernels (O, KH, KW, C), the kernel is not flipped, results are new arrays."""

import numpy as np

from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise
from dlcourse.geometry import output_size as package_output_size
from dlcourse.numpy.convolution import conv2d as package_conv2d
from dlcourse.numpy.convolution import max_pool2d as package_max_pool2d

# ---------------------------------------------------------------- output_size


@exercise(
    "places",
    Case("plain", lambda rng: (8, 3, 1, 0, 1), show=True),
    Case("padding", lambda rng: (8, 3, 1, 2, 1), show=True),
    Case("stride", lambda rng: (9, 3, 2, 0, 1), show=True),
    Case("stride with a rest", lambda rng: (8, 3, 2, 0, 1), show=True),
    Case("stride with a larger rest", lambda rng: (10, 2, 5, 0, 1), show=True),
    Case("dilation", lambda rng: (11, 3, 1, 0, 3), show=True),
    Case("kernel of one pixel", lambda rng: (7, 1, 3, 0, 2), show=True),
    Case("kernel as large as the image", lambda rng: (5, 5, 2, 0, 1), show=True),
    Case("everything", lambda rng: (32, 5, 3, 2, 2), show=True),
)
def output_size(size, kernel, stride, padding, dilation):
    """output_size(size, kernel, stride, padding, dilation) -> places: how many places a window has (eq-output-size).

    All arguments are whole numbers, and so is the result. The padding stands on both sides."""
    return package_output_size(size, kernel, stride, padding, dilation)


output_size.diagnose(
    "the padding is counted once. It stands on both sides: n + 2 p; eq-output-size.",
    lambda n, k, s, p, d: (n + p - d * (k - 1) - 1) // s + 1,
)
output_size.diagnose(
    "the padding is forgotten: the window slides over n + 2 p pixels.",
    lambda n, k, s, p, d: (n - d * (k - 1) - 1) // s + 1,
)
output_size.diagnose(
    "the + 1 is missing: a window that just fits has one place.",
    lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) // s,
)
output_size.diagnose(
    "the dilation is forgotten: the kernel spans d (k - 1) + 1 pixels.",
    lambda n, k, s, p, d: (n + 2 * p - k) // s + 1,
)
output_size.diagnose(
    "a kernel of k pixels has k - 1 gaps: it spans d (k - 1) + 1 pixels, not d k.",
    lambda n, k, s, p, d: (n + 2 * p - d * k) // s + 1,
)
output_size.diagnose(
    "rounded up. A window that hangs over the end has no place: round down, //.",
    lambda n, k, s, p, d: -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1,
)
output_size.diagnose(
    "/ gives a fraction. A number of places is whole: // rounds down.",
    lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1) / s + 1,
)
output_size.diagnose(
    "the stride is forgotten: divide by it before adding 1.",
    lambda n, k, s, p, d: n + 2 * p - d * (k - 1),
)
output_size.diagnose(
    "1 is added before dividing. Divide first: the first window is there whatever the stride is.",
    lambda n, k, s, p, d: (n + 2 * p - d * (k - 1) - 1 + 1) // s,
)


# ---------------------------------------------------------------- conv1d


def _slide(x, weight, stride, window):
    k = len(weight)
    return np.array([window(x, weight, stride * a, k) for a in range((len(x) - k) // stride + 1)])


def _conv1d(x, weight, bias, stride):
    return _slide(x, weight, stride, lambda x, w, q, k: x[q : q + k] @ w) + bias


def _signal(n, k, stride):
    return lambda rng: (rng.normal(size=n), rng.normal(size=k), float(rng.normal()), stride)


@exercise(
    "y",
    Case("shape", _signal(9, 3, 1), shapes),
    Case("values", _signal(9, 3, 1)),
    Case("stride", _signal(9, 3, 2)),
    Case("stride with a rest", _signal(10, 3, 4)),
    Case("kernel of one weight", _signal(5, 1, 2)),
    Case("kernel as long as x", _signal(4, 4, 1)),
)
def conv1d(x, weight, bias, stride):
    """conv1d(x, weight, bias, stride) -> y: y_a = bias + sum_i weight_i x_(stride a + i), without padding (eq-cross-correlation).

    x (n,), weight (k,) with k <= n, bias one number, stride a whole number; y has one entry for each place of the window."""
    return _conv1d(x, weight, bias, stride)


conv1d.diagnose(
    "the kernel is flipped, as np.convolve does. Here weight 0 meets the first number of the window; eq-cross-correlation.",
    lambda x, weight, bias, stride: _conv1d(x, weight[::-1], bias, stride),
    lambda x, weight, bias, stride: np.convolve(x, weight, "valid")[::stride] + bias,
)
conv1d.diagnose(
    "the bias is forgotten: each output gets it once.",
    lambda x, weight, bias, stride: _conv1d(x, weight, 0.0, stride),
)
conv1d.diagnose(
    "the bias is added for each weight. It is added once, after the sum.",
    lambda x, weight, bias, stride: _conv1d(x, weight, len(weight) * bias, stride),
    lambda x, weight, bias, stride: _slide(
        x, weight, stride, lambda x, w, q, k: (x[q : q + k] * w + bias).sum()
    ),
)
conv1d.diagnose(
    "the stride is forgotten: windows begin at 0, s, 2 s, ...",
    lambda x, weight, bias, stride: _conv1d(x, weight, bias, 1),
)
conv1d.diagnose(
    "there are as many outputs as there should be, but the windows begin at 0, 1, 2, ... They begin at 0, s, 2 s, ...",
    lambda x, weight, bias, stride: _conv1d(x, weight, bias, 1)[
        : (len(x) - len(weight)) // stride + 1
    ],
)
conv1d.diagnose(
    "the last window is missing: a range ends before its end, so it must run to len(x) - k + 1.",
    lambda x, weight, bias, stride: np.array(
        [x[q : q + len(weight)] @ weight + bias for q in range(0, len(x) - len(weight), stride)]
    ),
)
conv1d.diagnose(
    "this pads with zeros. Without padding the window stays inside x.",
    lambda x, weight, bias, stride: np.correlate(x, weight, "full")[::stride] + bias,
    lambda x, weight, bias, stride: np.correlate(x, weight, "same")[::stride] + bias,
)
conv1d.diagnose(
    "the mean over the window, where the sum is asked for.",
    lambda x, weight, bias, stride: _conv1d(x, weight / len(weight), bias, stride),
)


# ---------------------------------------------------------------- conv1d_backward


def _backward(x, weight, dy, stride, put=None, kernel=None, step=None):
    put, kernel, step = put or np.add, weight if kernel is None else kernel, step or stride
    dx, dweight, k = np.zeros_like(x), np.zeros_like(weight), len(weight)
    for a, d in enumerate(dy):
        window = slice(step * a, step * a + k)
        dx[window] = put(dx[window], d * kernel)
        dweight += d * x[window]
    return dx, dweight, dy.sum()


def _changed(position, change):
    """The right gradients with one of them changed."""

    def wrong(x, weight, dy, stride):
        gradients = list(_backward(x, weight, dy, stride))
        gradients[position] = change(gradients[position], x, weight, dy)
        return tuple(gradients)

    return wrong


def _upstream(n, k, stride):
    def make(rng):
        return (
            rng.normal(size=n),
            rng.normal(size=k),
            rng.normal(size=(n - k) // stride + 1),
            stride,
        )

    return make


def _repeated(x, weight, dy, stride):
    dx = np.zeros_like(x)
    dx[stride * np.arange(len(dy))[:, None] + np.arange(len(weight))] += dy[:, None] * weight
    return (dx, *_backward(x, weight, dy, stride)[1:])


@exercise(
    ("dx", "dweight", "dbias"),
    Case("shapes", _upstream(9, 3, 1), shapes),
    Case("dx", _upstream(9, 3, 1), parts=("dx",)),
    Case("dweight", _upstream(9, 3, 1), parts=("dweight",)),
    Case("dbias", _upstream(9, 3, 1), parts=("dbias",)),
    Case("stride", _upstream(9, 3, 2)),
    Case("stride with a rest", _upstream(12, 3, 4)),
    Case("kernel of one weight", _upstream(5, 1, 2)),
    Case("one place", _upstream(4, 4, 1)),
)
def conv1d_backward(x, weight, dy, stride):
    """conv1d_backward(x, weight, dy, stride) -> (dx, dweight, dbias): the gradients of conv1d (eq-conv2d-vjp-input, eq-conv2d-vjp-weight).

    x (n,), weight (k,), dy = dL/dy with one entry for each place; dx (n,), dweight (k,), dbias one number."""
    return _backward(x, weight, dy, stride)


conv1d_backward.diagnose(
    "where windows overlap, the last one overwrites the others. Gradients of several uses add: dx[window] += ..., one window at a time.",
    lambda x, weight, dy, stride: _backward(x, weight, dy, stride, put=lambda old, new: new),
    _repeated,
)
conv1d_backward.diagnose(
    "the copies of the kernel in dx are flipped. Each output puts the kernel back as it lies over x; read along x the order is reversed by itself.",
    lambda x, weight, dy, stride: _backward(x, weight, dy, stride, kernel=weight[::-1]),
)
conv1d_backward.diagnose(
    "the stride is forgotten: output a looked at x from stride * a on.",
    lambda x, weight, dy, stride: _backward(x, weight, dy, stride, step=1),
)
conv1d_backward.diagnose(
    "dweight is averaged over the places. One weight serves them all, and the gradients of its uses add.",
    _changed(1, lambda g, x, w, dy: g / len(dy)),
)
conv1d_backward.diagnose(
    "dweight is in reverse order: its entry i belongs to x_(stride a + i).",
    _changed(1, lambda g, x, w, dy: g[::-1].copy()),
)
conv1d_backward.diagnose(
    "dbias is averaged over the places. One bias serves them all, so it is the sum of dy.",
    _changed(2, lambda g, x, w, dy: g / len(dy)),
)
conv1d_backward.diagnose(
    "dbias is not summed: one bias serves all places, dy.sum().",
    _changed(2, lambda g, x, w, dy: dy.copy()),
)
conv1d_backward.diagnose(
    "the results are in another order. Gradients come in the order of the arguments: dx, dweight, dbias.",
    lambda x, weight, dy, stride: tuple(_backward(x, weight, dy, stride)[i] for i in (1, 0, 2)),
    lambda x, weight, dy, stride: tuple(_backward(x, weight, dy, stride)[i] for i in (1, 2, 0)),
)
conv1d_backward.diagnose(
    "dweight is multiplied by the weights. The factor beside dy is the input; eq-conv2d-vjp-weight.",
    _changed(1, lambda g, x, w, dy: g * w),
)


# ---------------------------------------------------------------- conv2d_forward


def _conv2d(x, weight):
    return package_conv2d(x, weight, np.zeros(len(weight), x.dtype))[0]


def _images(n, h, w, c, o, kh, kw):
    return lambda rng: (rng.normal(size=(n, h, w, c)), rng.normal(size=(o, kh, kw, c)))


def _last_position(x, weight):
    last = np.zeros_like(weight)
    last[:, -1, -1] = weight[:, -1, -1]
    return _conv2d(x, last)


def _unmoved(x, weight):
    first = np.zeros_like(weight)
    first[:, 0, 0] = weight.sum(axis=(1, 2))
    return _conv2d(x, first)


def _padded(x, weight):
    (kh, kw), sides = weight.shape[1:3], [(0, 0)]
    sides += [((k - 1) // 2, k // 2) for k in (kh, kw)]
    return _conv2d(np.pad(x, [*sides, (0, 0)]), weight)


@exercise(
    "y",
    Case("shape", _images(2, 6, 5, 3, 4, 3, 3), shapes),
    Case("values", _images(2, 6, 5, 3, 4, 3, 3)),
    Case("kernel that is not square", _images(2, 5, 6, 2, 3, 3, 2)),
    Case("one channel, one kernel", _images(1, 5, 5, 1, 1, 2, 2)),
    Case("kernel of one pixel", _images(2, 3, 4, 3, 2, 1, 1)),
    Case("kernel as large as the image", _images(3, 3, 3, 2, 2, 3, 3)),
)
def conv2d_forward(x, weight):
    """conv2d_forward(x, weight) -> y: the convolution with stride 1, without padding and bias (eq-conv2d).

    x (N, H, W, C), weight (O, kh, kw, C) -> y (N, H - kh + 1, W - kw + 1, O). The kernel is not flipped."""
    return _conv2d(x, weight)


conv2d_forward.diagnose(
    "the kernel is flipped. Here its entry (0, 0) meets the upper left pixel of the window; eq-conv2d.",
    lambda x, weight: _conv2d(x, weight[:, ::-1, ::-1]),
)
conv2d_forward.diagnose(
    "rows and columns of the kernel are exchanged: its entry (i, j) meets row a + i, column b + j.",
    lambda x, weight: _conv2d(x, weight.transpose(0, 2, 1, 3)),
)
conv2d_forward.diagnose(
    "each kernel position overwrites the one before. They add: y += ...",
    _last_position,
)
conv2d_forward.diagnose(
    "every kernel position looks at the same pixels. Position (i, j) looks at the slice that begins at row i, column j.",
    _unmoved,
)
conv2d_forward.diagnose(
    "the mean over the channels, where the sum is asked for.",
    lambda x, weight: _conv2d(x, weight) / x.shape[3],
)
conv2d_forward.diagnose(
    "the mean over the kernel positions, where the sum is asked for.",
    lambda x, weight: _conv2d(x, weight) / weight[0, :, :, 0].size,
)
conv2d_forward.diagnose(
    "this pads with zeros and keeps the size. Without padding the output has H - kh + 1 rows.",
    _padded,
)
conv2d_forward.diagnose(
    "the outputs are channels first. Channels stand last, in y as in x.",
    lambda x, weight: _conv2d(x, weight).transpose(0, 3, 1, 2),
)


# ---------------------------------------------------------------- max_pool_backward


def _windows(x, dy, size, judge):
    """dx from judge(window (size, size), upstream) -> its gradient."""
    dx = np.zeros_like(x)
    for n, a, b, c in np.ndindex(dy.shape):
        place = n, slice(a * size, (a + 1) * size), slice(b * size, (b + 1) * size), c
        dx[place] = judge(x[place], dy[n, a, b, c])
    return dx


def _at(window, index, value):
    found = np.zeros(window.size)
    found[index] = value
    return found.reshape(window.shape)


def _pools(n, h, w, c, size, ties=False):
    def make(rng):
        x = rng.normal(size=(n, h, w, c))
        return (np.round(x) if ties else x), rng.normal(size=(n, h // size, w // size, c)), size

    return make


def _first_by_columns(window, d):
    return _at(window.T, window.T.argmax(), d).T


def _over_channels(x, dy, size):
    dx = np.zeros_like(x)
    for n, a, b, c in np.ndindex(dy.shape):
        place = n, slice(a * size, (a + 1) * size), slice(b * size, (b + 1) * size)
        i, j, channel = np.unravel_index(x[place].argmax(), x[place].shape)
        dx[n, a * size + i, b * size + j, channel] += dy[n, a, b, c]
    return dx


def _cropped(x, dy, size):
    dx = package_max_pool2d(x, size)[1](dy)
    return dx[:, : dy.shape[1] * size, : dy.shape[2] * size]


_ZEROS = np.zeros((1, 4, 4, 1))


@exercise(
    "dx",
    Case("shape", _pools(2, 4, 6, 3, 2), shapes),
    Case("values", _pools(2, 4, 6, 3, 2)),
    Case("windows of three", _pools(1, 6, 9, 2, 3)),
    Case("ties", _pools(2, 6, 6, 2, 2, ties=True)),
    Case("all equal", lambda rng: (_ZEROS.copy(), rng.normal(size=(1, 2, 2, 1)), 2)),
    Case("rows and columns left over", _pools(2, 5, 7, 2, 2)),
    Case("windows of one pixel", _pools(1, 2, 3, 2, 1)),
)
def max_pool_backward(x, dy, size):
    """max_pool_backward(x, dy, size) -> dx: the gradient of max-pooling over windows side by side (eq-max-pool-vjp).

    x (N, H, W, C), dy = dL/dy (N, H // size, W // size, C), dx like x. Of equal maxima the first, row by row, gets everything;
    what no window reaches gets 0."""
    return package_max_pool2d(x, size)[1](dy)


max_pool_backward.diagnose(
    "each of several equal maxima gets the whole gradient, so that more comes back than was sent. The first gets it; eq-max-pool-vjp.",
    lambda x, dy, size: _windows(x, dy, size, lambda w, d: d * (w == w.max())),
)
max_pool_backward.diagnose(
    "of several equal maxima the last gets the gradient. The convention here, as in PyTorch, is the first.",
    lambda x, dy, size: _windows(
        x, dy, size, lambda w, d: _at(w, w.size - 1 - w.ravel()[::-1].argmax(), d)
    ),
)
max_pool_backward.diagnose(
    "the gradient is shared out among equal maxima. That is defensible, but the convention here, as in PyTorch, is the first.",
    lambda x, dy, size: _windows(
        x, dy, size, lambda w, d: d * (w == w.max()) / (w == w.max()).sum()
    ),
)
max_pool_backward.diagnose(
    "the first maximum is looked for column by column. Here it is row by row, the order of argmax.",
    lambda x, dy, size: _windows(x, dy, size, _first_by_columns),
)
max_pool_backward.diagnose(
    "this is the gradient of the mean. Only the maximum acts on the output, and gets everything.",
    lambda x, dy, size: _windows(x, dy, size, lambda w, d: np.full(w.shape, d / w.size)),
)
max_pool_backward.diagnose(
    "every entry of the window gets the gradient. Only the maximum acts on the output.",
    lambda x, dy, size: _windows(x, dy, size, lambda w, d: np.full(w.shape, d)),
)
max_pool_backward.diagnose(
    "dy is forgotten: this is the mask of the maxima. Multiply by what comes from above.",
    lambda x, dy, size: _windows(x, dy, size, lambda w, d: _at(w, w.argmax(), 1.0)),
)
max_pool_backward.diagnose(
    "the gradient goes to the minimum.",
    lambda x, dy, size: _windows(x, dy, size, lambda w, d: _at(w, w.argmin(), d)),
)
max_pool_backward.diagnose(
    "the maximum is taken over all channels. Each channel is pooled alone.",
    _over_channels,
)
max_pool_backward.diagnose(
    "rows or columns that no window reaches are cut off. dx has the shape of x, and they get 0.",
    _cropped,
)
