"""Convolution and pooling, and their gradients, side by side as in `functional.py`.

Every function returns `y, backward`. Images are (N, H, W, C), weights (O, KH, KW, C / groups): the
channels, last, lie side by side in memory, so that a window is copied in long pieces and the sum over
it is one matrix product. `padding` adds that many zeros (`max_pool2d`:
-infinity) on each of the four sides.
Shapes: N images, H x W pixels, C channels, H' x W' outputs, O output channels, K = KH KW, G groups."""

import functools
import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dlcourse.boundary import check_groups, check_images, check_pool, check_whole
from dlcourse.geometry import output_size

# numbers that are unfolded or pooled at a time: 2 MB in float32, as much as a core's cache holds
NUMBERS = 2**19
# numbers of dx and dy in whose places products are added at a time: those are many, and threads wait for
# Python's lock between them
SCATTERED = 2**20
# multiply-adds of a product that OpenBLAS computes without a packed copy of its operands
SMALL = 10**6
FEW = 50  # rows for which a product of its own does not pay

# ---------------------------------------------------------------- convolution


def conv2d(x, weight, bias, stride=1, padding=0, dilation=1, groups=1):
    """y_nabo = b_o + sum_ijc w_oijc x_n(s a + d i - p)(s b + d j - p)c  (eq-conv2d; gradients
    eq-conv2d-vjp-input, eq-conv2d-vjp-weight).

    x (N, H, W, C), weight (O, KH, KW, C / G), bias (O,) -> y (N, H', W', O)  (eq-output-size). Without a
    bias, None, its gradient is None too.
    With groups, outputs o of group g see the channels of group g alone. Computed as matrix products:
    the windows of `im2col` as rows, times W^T (eq-im2col), for a few images at a time and anew in the
    backward pass, so that the rows are in the processor's cache and never all in memory. Where windows
    are many, those of each row of the kernel have a product of their own, and these add up (`_unfold`).
    `backward(dy, need_dx=False)` leaves dx out, None: training has no use for that of the first layer."""
    check_whole(stride=stride, padding=padding, dilation=dilation, groups=groups)
    _check_weight(weight, bias, len(weight))
    check_images(x, weight.shape[3] * groups)
    check_groups(x.shape[3], len(weight), groups)
    unfolded, sides = _unfold(x, weight, stride, padding, dilation, groups)
    shape, dtype = (len(x), *sides, len(weight)), np.result_type(x, weight)  # of y
    matrix = _by_group(weight, groups).transpose(0, 2, 1).copy()  # (G, K C/G, O/G)

    def backward(dy, need_dx=True):
        _check_gradient(dy, shape)
        dx, dmatrix = None, np.zeros(matrix.shape, dtype)
        for part, bands in unfolded():
            dy_rows = _as_rows(dy[part], groups)
            for rows, dband in zip(bands, _bands(dmatrix, bands), strict=True):
                left, right = _stacked(dband, rows, dy_rows)
                dband += (left.swapaxes(3, 4) @ right).sum(axis=(1, 2))
        if need_dx:
            dpadded = _padded_zeros(x.shape, padding, dtype)
            for part in _parts(SCATTERED, x[None], dy[None]):
                dy_rows = _as_rows(dy[part], groups)  # (G, N H' W', O/G)
                _scatter(dy_rows, weight, dpadded[part], sides, stride, dilation)
            dx = _inside(dpadded, x.shape, padding)
        dweight = dmatrix.transpose(0, 2, 1).reshape(weight.shape)
        return dx, dweight, None if bias is None else _channel_sums(dy)

    y = np.empty(shape, dtype)
    for part, bands in unfolded():
        out = _as_rows(y[part], groups)
        first, *others = zip(bands, _bands(matrix, bands), strict=True)
        _product(*first, out=out)
        for rows, band in others:
            out += _product(rows, band)
        if bias is not None:
            y[part] += bias
    return y, backward


def conv_transpose2d(x, weight, bias, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """y_n(s a + d i - p)(s b + d j - p)c = b_c + the sum of w_oijc x_nabo over all (a, i, b, j, o) that
    meet there  (eq-conv-transpose).

    The way back of `conv2d` as an operation of its own: each number of x puts a copy of its kernel into
    y. x (N, H, W, O), weight (O, KH, KW, C / G), the one of the convolution that it transposes, bias (C,)
    -> y (N, H', W', C), H' = (H - 1) s - 2 p + d (KH - 1) + 1 + output_padding. Several sizes of image
    give a convolution the same output; `output_padding`, below the stride, chooses among them."""
    check_whole(stride=stride, padding=padding, dilation=dilation, groups=groups)
    check_whole(output_padding=output_padding)
    if output_padding >= stride:
        raise ValueError(f"output_padding={output_padding} must be below stride={stride}: lower it")
    _check_weight(weight, bias, np.shape(weight)[-1] * groups)
    check_images(x, len(weight))
    check_groups(weight.shape[3] * groups, len(weight), groups)
    kernel, places = weight.shape[1:3], x.shape[1:3]

    def side(n, k):
        return (n - 1) * stride - 2 * padding + dilation * (k - 1) + 1 + output_padding

    sides = side(places[0], kernel[0]), side(places[1], kernel[1])
    if min(sides) < 1:
        raise ValueError(f"padding={padding} leaves nothing of the output: use a smaller one")
    shape = (len(x), *sides, weight.shape[3] * groups)
    matrix = _by_group(weight, groups)  # (G, O/G, K C/G)
    x_rows = _as_rows(x, groups)  # (G, N H W, O/G)

    def backward(dy):
        _check_gradient(dy, shape)
        rows = _gather(dy, kernel, stride, padding, dilation, groups)
        rows = rows.reshape(groups, x_rows.shape[1], matrix.shape[2])  # (G, N H W, K C/G)
        dx = (rows @ matrix.transpose(0, 2, 1)).transpose(1, 0, 2)  # (N H W, G, O/G)
        dweight = x_rows.transpose(0, 2, 1) @ rows
        dbias = None if bias is None else _channel_sums(dy)
        return dx.reshape(x.shape), dweight.reshape(weight.shape), dbias

    padded = _padded_zeros(shape, padding, x_rows.dtype)
    _scatter(x_rows, weight, padded, places, stride, dilation)
    y = _inside(padded, shape, padding)
    if bias is not None:
        y += bias
    return y, backward


def im2col(x, kernel, stride=1, padding=0, dilation=1):
    """The windows of x, side by side: u_nabijc = x_n(s a + d i - p)(s b + d j - p)c  (eq-im2col).

    x (N, H, W, C), kernel (KH, KW) -> u (N, H', W', KH, KW, C). Its backward, known as col2im, adds every
    entry of a window to the pixel that it came from  (eq-col2im)."""
    check_whole(height=kernel[0], width=kernel[1])
    check_whole(stride=stride, padding=padding, dilation=dilation)
    check_images(x)
    u = _gather(x, kernel, stride, padding, dilation, 1)[0].copy()

    def backward(du):
        padded = _padded_zeros(x.shape, padding, du.dtype)
        for i, j, place in _places(kernel, u.shape[1:3], stride, dilation):
            padded[place] += du[:, :, :, i, j]
        return _inside(padded, x.shape, padding)

    return u, backward


# ---------------------------------------------------------------- pooling


def max_pool2d(x, size, stride=None, padding=0):
    """y_nabc = max_ij x_n(s a + i - p)(s b + j - p)c  (eq-max-pool; gradient eq-max-pool-vjp).

    x (N, H, W, C), windows of `size` x `size`, `stride` None for windows side by side
    -> y (N, H', W', C). Of equal maxima the first, row by row, gets all of the gradient, as in PyTorch.
    The padding never wins: it is -infinity."""
    stride = _check_pool(x, size, stride, padding)
    padded, sides = _pad(x, padding, -math.inf), _pooled(x, size, stride, padding)
    places = list(_places((size, size), sides, stride, 1))
    # over the rows of a window, then over its columns: 2 k maxima, not k^2
    y = functools.reduce(
        np.maximum, [padded[:, i : i + stride * sides[0] : stride] for i in range(size)]
    )
    y = functools.reduce(
        np.maximum, [y[:, :, j : j + stride * sides[1] : stride] for j in range(size)]
    )
    if size == 1:
        y = y.copy()  # not a view of x

    def backward(dy):
        dpadded = np.zeros_like(padded)
        for part in _parts(NUMBERS, padded[None], dpadded[None], y[None]):
            whole, most, given, dwhole = padded[part], y[part], dy[part], dpadded[part]
            free = np.ones(most.shape, bool)
            for _, _, place in places:
                first = whole[place] == most
                first &= free
                free ^= first
                if stride < size:
                    dwhole[place] += given * first  # windows overlap
                else:
                    np.multiply(given, first, out=dwhole[place])
        return _inside(dpadded, x.shape, padding)

    return y, backward


def avg_pool2d(x, size, stride=None, padding=0):
    """y_nabc = 1 / k^2 sum_ij x_n(s a + i - p)(s b + j - p)c  (eq-avg-pool; gradient eq-avg-pool-vjp).

    x (N, H, W, C), windows of `size` x `size`, `stride` None for windows side by side
    -> y (N, H', W', C). The zeros of the padding count, as in PyTorch and MLX."""
    stride = _check_pool(x, size, stride, padding)
    padded, scale = _pad(x, padding, 0), 1.0 / (size * size)
    places = list(_places((size, size), _pooled(x, size, stride, padding), stride, 1))
    y = sum(padded[place] for _, _, place in places)
    y *= scale

    def backward(dy):
        dpadded, share = np.zeros_like(padded), dy * scale
        for _, _, place in places:
            dpadded[place] += share
        return _inside(dpadded, x.shape, padding)

    return y, backward


def global_avg_pool(x):
    """y_nc = mean of x_nqrc over all q, r  (eq-global-avg-pool; gradient eq-global-avg-pool-vjp).

    x (N, H, W, C) -> y (N, C)

    Each pixel gets dy / (H W) back."""
    check_images(x)

    def backward(dy):
        share = dy * (1.0 / (x.shape[1] * x.shape[2]))
        return np.broadcast_to(share[:, None, None], x.shape).copy()

    return x.mean(axis=(1, 2)), backward


# ---------------------------------------------------------------- what is refused


def _check_weight(weight, bias, outputs):
    if np.ndim(weight) != 4:
        raise ValueError(
            f"weight has shape {np.shape(weight)}, but must be (O, KH, KW, C / groups): reshape it"
        )
    if bias is not None and np.shape(bias) != (outputs,):
        raise ValueError(
            f"bias has shape {np.shape(bias)}, but there are {outputs} outputs: pass shape ({outputs},)"
        )


def _check_gradient(dy, shape):
    """A gradient in another layout would be reshaped without any error."""
    if dy.shape != shape:
        raise ValueError(
            f"dy has shape {dy.shape}, but y has {shape}: a gradient has the shape of y"
        )


def _check_pool(x, size, stride, padding):
    """The stride, `size` where it is None."""
    check_pool(size, stride, padding)
    check_images(x)
    if x.dtype.kind != "f":
        raise ValueError(f"x holds {x.dtype}, but pooling takes real numbers: pass x.astype(float)")
    return size if stride is None else stride


# ---------------------------------------------------------------- windows


def _pooled(x, size, stride, padding):
    return [output_size(side, size, stride, padding) for side in x.shape[1:3]]


def _unfold(x, weight, stride, padding, dilation, groups):
    """`unfolded, (H', W')`. `unfolded()` goes through the images, some at a time: it gives their slice, and their
    windows as the rows of matrices (G, N, R, I), one for each band of the kernel.

    What costs is the copying, so there are three ways. Where windows are many, a band is a row of the kernel: only
    windows one pixel high are copied, and each copy serves KH bands. Else the whole kernel is the band. Where a row
    of outputs is longer than a row of a window, it is the outputs that lie side by side: longer pieces are copied."""
    (_, kh, kw, channels), kernel = weight.shape, weight.shape[1:3]
    h, w = (
        output_size(side, k, stride, padding, dilation)
        for side, k in zip(x.shape[1:3], kernel, strict=True)
    )
    wide = stride == 1 and w > kw * channels
    by_row = stride == 1 and kh > 1 and h * w >= FEW and not wide
    size = (1 if by_row else kh, kw)
    windows = _gather(x, size, stride, padding, dilation, groups, wide)
    width = math.prod(size) * channels

    def unfolded():
        for part in _parts(NUMBERS, windows):
            block = windows[:, part]  # (G, N, H', W', KH, KW, C/G)
            if by_row:
                block = block.copy()  # a reshape may be a view, of windows that overlap
                starts = range(0, dilation * kh, dilation)
                bands = [block[:, :, i : i + h].reshape(groups, -1, h * w, width) for i in starts]
            elif wide:
                block = block.transpose(0, 1, 4, 5, 6, 2, 3)
                bands = [block.reshape(groups, -1, width, h * w).swapaxes(2, 3)]
            else:
                bands = [block.reshape(groups, 1, -1, width)]
            yield part, bands

    return unfolded, (h, w)


def _bands(matrix, bands):
    """Views (G, I, J) of a matrix (G, K C/G, J), one for each of the bands."""
    return matrix.reshape(len(matrix), len(bands), -1, matrix.shape[2]).swapaxes(0, 1)


def _gather(x, kernel, stride, padding, dilation, groups, wide=False):
    """The windows, a view -> (G, N, H', W', KH, KW, C/G); of a copy in which rows of pixels, not channels, lie side by
    side, if `wide`."""
    n, h, w, c = x.shape
    for side, k in ((h, kernel[0]), (w, kernel[1])):
        output_size(side, k, stride, padding, dilation)  # refuses a kernel that does not fit
    span = [dilation * (k - 1) + 1 for k in kernel]
    padded = _pad(x, padding, 0)
    if wide:
        padded = padded.transpose(0, 3, 1, 2).copy().transpose(0, 2, 3, 1)
    padded = padded.reshape(n, h + 2 * padding, w + 2 * padding, groups, c // groups)
    windows = sliding_window_view(padded, span, axis=(1, 2))[:, ::stride, ::stride]
    windows = windows[..., ::dilation, ::dilation]  # (N, H', W', G, C/G, KH, KW)
    return windows.transpose(3, 0, 1, 2, 5, 6, 4)


def _scatter(rows, weight, padded, places, stride, dilation):
    """Every row of (G, N H' W', O/G) puts its kernel into the padded images: what meets there adds."""
    groups, _, outputs = rows.shape
    matrices = weight.reshape(groups, outputs, *weight.shape[1:])  # (G, O/G, KH, KW, C/G)
    matrices = matrices.transpose(2, 3, 0, 1, 4).copy()
    for i, j, place in _places(weight.shape[1:3], places, stride, dilation):
        part = _product(rows[:, None], matrices[i, j]).transpose(1, 0, 2)  # (N H' W', G, C/G)
        padded[place] += part.reshape(len(padded), *places, padded.shape[3])


def _by_group(weight, groups):
    return weight.reshape(groups, len(weight) // groups, weight[0].size)  # (G, O/G, K C/G)


def _product(rows, matrix, out=None):
    """(G, N, R, I) times (G, I, J) -> (G, N R, J)"""
    groups, n, count, _ = rows.shape
    out = np.empty((groups, n * count, matrix.shape[2]), rows.dtype) if out is None else out
    left, result = _stacked(matrix, rows, out)
    np.matmul(left, matrix[:, None, None], out=result)
    return out


def _stacked(matrix, rows, others):
    """Views (G, N, S, R, ...) of rows (G, N, S R, I) and others (G, N S R, J): for S products with matrices as large as (G, I, J).

    S is the smallest divisor for which R rows make a SMALL product: S of them take 0.75 to 0.85 of the time of one
    large product. With less than FEW rows that gains nothing, and S = 1."""
    groups, n, count, _ = rows.shape
    most = SMALL // matrix[0].size
    divisors = (s for s in range(1, count // FEW + 1) if count % s == 0)
    parts = next((s for s in divisors if count // s <= most), 1)
    return [a.reshape(groups, n, parts, count // parts, a.shape[-1]) for a in (rows, others)]


def _as_rows(images, groups):
    """(N, H, W, C), a view -> (G, N H W, C/G)."""
    channels = images.shape[3] // groups
    return images.reshape(math.prod(images.shape[:3]), groups, channels).transpose(1, 0, 2)


def _channel_sums(images):
    rows = _as_rows(images, 1)[0]
    return np.ones(len(rows), rows.dtype) @ rows  # 4 times faster than sum(axis=(0, 1, 2))


def _parts(numbers, *arrays):
    """Slices of the images of arrays (G, N, ...), each of as many as have about so many numbers together."""
    size = sum(math.prod((len(array), *array.shape[2:])) for array in arrays)  # of one image
    images = max(1, numbers // size)
    return [slice(i, i + images) for i in range(0, arrays[0].shape[1], images)]


def _places(kernel, out, stride, dilation):
    """(i, j, index of the pixels under kernel position (i, j), for all windows at once), row by row."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            down = slice(dilation * i, dilation * i + stride * out[0], stride)
            right = slice(dilation * j, dilation * j + stride * out[1], stride)
            yield i, j, (slice(None), down, right)


def _pad(x, padding, value):
    if padding == 0:
        return x
    padded = _padded_zeros(x.shape, padding, x.dtype)
    if value:  # adding a zero to every number would be a pass for nothing
        padded += value
    _inside(padded, x.shape, padding)[...] = x
    return padded


def _padded_zeros(shape, padding, dtype):
    n, h, w, c = shape
    return np.zeros((n, h + 2 * padding, w + 2 * padding, c), dtype)


def _inside(padded, shape, padding):
    return padded[:, padding : padding + shape[1], padding : padding + shape[2]]
