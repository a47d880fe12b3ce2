"""What is asked of `dlcourse.numpy.convolution`: each check takes the module, so that the mutants are asked the same.

The oracle of convolution is seven nested loops; PyTorch is the second opinion of `tests/numpy/test_convolution.py`."""

import itertools
import math
import warnings
from dataclasses import dataclass

import numpy as np

from tests.gradients import as_tuple, assert_close, check_gradient


@dataclass(frozen=True)
class Shape:
    """Two images of height x width, `groups` groups of `inputs` and of `outputs` channels each."""

    height: int = 6
    width: int = 5
    kernel: tuple = (3, 2)
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    inputs: int = 2
    outputs: int = 3
    images: int = 2

    def options(self):
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}

    def out(self):
        return [places(n, k, self) for n, k in zip((self.height, self.width), self.kernel, strict=True)]


def places(size, kernel, shape):
    """The places of a window, counted one by one."""
    last = size + 2 * shape.padding - 1
    return sum(start + shape.dilation * (kernel - 1) <= last for start in range(0, last + 1, shape.stride))


SHAPES = [
    Shape(),
    Shape(padding=1, groups=2),
    Shape(height=7, width=8, stride=2, padding=2, dilation=2, groups=2, inputs=1, outputs=2),
    Shape(height=8, width=7, kernel=(2, 3), stride=3, padding=1, groups=3, inputs=2, outputs=1, images=1),
    Shape(height=5, width=6, kernel=(1, 1), stride=2, inputs=1, outputs=1),
    Shape(height=4, width=9, kernel=(1, 3), dilation=3, padding=0, images=3),
]


def draw_convolution(rng, shape):
    """x, weight, bias"""
    channels, outputs = shape.groups * shape.inputs, shape.groups * shape.outputs
    x = rng.normal(size=(shape.images, shape.height, shape.width, channels))
    return x, rng.normal(size=(outputs, *shape.kernel, shape.inputs)), rng.normal(size=outputs)


def draw_transposed(rng, shape):
    """x of the size that the convolution puts out, its weight, a bias for its inputs."""
    _, weight, _ = draw_convolution(rng, shape)
    x = rng.normal(size=(shape.images, *shape.out(), shape.groups * shape.outputs))
    return x, weight, rng.normal(size=shape.groups * shape.inputs)


# ---------------------------------------------------------------- the slow, obvious oracles


def pixel(x, n, a, b, channel):
    """x outside the image is 0."""
    return x[n, a, b, channel] if 0 <= a < x.shape[1] and 0 <= b < x.shape[2] else 0.0


def slow_conv2d(x, weight, bias, shape):
    """Seven nested loops: images, two places, outputs, two kernel positions, channels."""
    s, p, d = shape.stride, shape.padding, shape.dilation
    y = np.zeros((len(x), *shape.out(), len(weight)))
    for n in range(y.shape[0]):
        for a in range(y.shape[1]):
            for b in range(y.shape[2]):
                for o in range(y.shape[3]):
                    y[n, a, b, o] = bias[o]
                    first = o // shape.outputs * shape.inputs
                    for i in range(weight.shape[1]):
                        for j in range(weight.shape[2]):
                            for channel in range(weight.shape[3]):
                                y[n, a, b, o] += weight[o, i, j, channel] * pixel(
                                    x, n, s * a + d * i - p, s * b + d * j - p, first + channel
                                )
    return y


def slow_transposed(x, weight, bias, shape, output_padding=0):
    s, p, d = shape.stride, shape.padding, shape.dilation
    sides = [(n - 1) * s - 2 * p + d * (k - 1) + 1 + output_padding for n, k in zip(x.shape[1:3], shape.kernel, strict=True)]
    y = np.zeros((len(x), *sides, len(bias))) + bias
    for n, a, b, o in np.ndindex(x.shape):
        first = o // shape.outputs * shape.inputs
        for i, j, channel in np.ndindex(weight.shape[1:]):
            row, column = s * a + d * i - p, s * b + d * j - p
            if 0 <= row < sides[0] and 0 <= column < sides[1]:
                y[n, row, column, first + channel] += weight[o, i, j, channel] * x[n, a, b, o]
    return y


def slow_windows(x, shape):
    s, p, d = shape.stride, shape.padding, shape.dilation
    u = np.zeros((len(x), *shape.out(), *shape.kernel, x.shape[3]))
    for n, a, b, i, j, channel in np.ndindex(u.shape):
        u[n, a, b, i, j, channel] = pixel(x, n, s * a + d * i - p, s * b + d * j - p, channel)
    return u


def slow_pool(reduce, outside, x, size, stride, padding):
    shape = Shape(x.shape[1], x.shape[2], (size, size), stride, padding)
    y = np.zeros((len(x), *shape.out(), x.shape[3]))
    for n, a, b, channel in np.ndindex(y.shape):
        window = []
        for i, j in np.ndindex(size, size):
            row, column = stride * a + i - padding, stride * b + j - padding
            inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
            window.append(x[n, row, column, channel] if inside else outside)
        y[n, a, b, channel] = reduce(window)
    return y


# ---------------------------------------------------------------- pooling's shapes: (size, stride, padding, image)

POOLS = [
    (2, None, 0, (2, 4, 6, 3)),
    (2, None, 0, (1, 5, 7, 2)),
    (3, 2, 1, (2, 6, 5, 2)),
    (3, 1, 1, (1, 4, 4, 1)),
    (2, 3, 1, (1, 5, 6, 2)),
    (1, 2, 0, (2, 3, 4, 1)),
]


def spread(rng, shape):
    """Numbers at least 0.01 apart: a difference quotient must not step over a change of the maximum."""
    return rng.permutation(math.prod(shape)).reshape(shape) * 0.01 - 0.3


# ---------------------------------------------------------------- the checks


def check_convolution(c, rng, shape):
    x, weight, bias = draw_convolution(rng, shape)
    y = c.conv2d(x, weight, bias, **shape.options())[0]
    assert_close(f"conv2d {shape}", y, slow_conv2d(x, weight, bias, shape), 1e-12)
    check_gradient(lambda *a: c.conv2d(*a, **shape.options()), (x, weight, bias), rng)


def output_paddings(shape):
    return range(shape.stride)


def check_transposed(c, rng, shape, output_padding):
    x, weight, bias = draw_transposed(rng, shape)
    options = shape.options() | {"output_padding": output_padding}
    y = c.conv_transpose2d(x, weight, bias, **options)[0]
    assert_close(f"conv_transpose2d {shape}", y, slow_transposed(x, weight, bias, shape, output_padding), 1e-12)
    check_gradient(lambda *a: c.conv_transpose2d(*a, **options), (x, weight, bias), rng)


def check_without_bias(c, rng, shape):
    """bias=None is a bias of zeros that has no gradient."""
    for function, draw in ((c.conv2d, draw_convolution), (c.conv_transpose2d, draw_transposed)):
        x, weight, bias = draw(rng, shape)
        y, backward = function(x, weight, None, **shape.options())
        zero, zero_back = function(x, weight, 0 * bias, **shape.options())
        assert np.array_equal(y, zero)
        *gradients, none = backward(y)
        assert none is None
        assert all(np.array_equal(a, b) for a, b in zip(gradients, zero_back(y)[:2], strict=True))


def check_need_dx(c, rng, shape):
    x, weight, bias = draw_convolution(rng, shape)
    y, backward = c.conv2d(x, weight, bias, **shape.options())
    none, *gradients = backward(y, need_dx=False)
    assert none is None
    assert all(np.array_equal(a, b) for a, b in zip(gradients, backward(y)[1:], strict=True))


def check_parts(c, rng):
    """Images that are unfolded in several parts, and gradients put together in several: the same as one by one."""
    for count, shapes, images in (
        (40, [(2, 40, 10, 20, 36)], 18),
        (3, [(1, 3, 400, 400, 36)], 1),
        (40, [(2, 40, 7200), (1, 40, 14_400)], 9),
    ):
        parts = [slice(i, i + images) for i in range(0, count, images)]
        assert c._parts(2**18, *(np.broadcast_to(0.0, shape) for shape in shapes)) == parts, f"{images} images have about 2^18 numbers"
    x, weight, bias = rng.normal(size=(5, 8, 140, 8)), rng.normal(size=(4, 5, 5, 4)), rng.normal(size=4)
    windows = 4 * 136 * 25 * 8  # numbers of one image
    assert 4 * windows < c.NUMBERS < 5 * windows
    y, backward = c.conv2d(x, weight, bias, groups=2)
    dx, dweight, dbias = backward(y)
    numbers, c.SCATTERED = c.SCATTERED, 2 * (x[0].size + y[0].size)
    scatter, counts = c._scatter, []
    c._scatter = lambda rows, weight, padded, *rest: (counts.append(len(padded)), scatter(rows, weight, padded, *rest))
    try:
        assert_close("dx of two images at a time", backward(y)[0], dx, 1e-13)
    finally:
        c.SCATTERED, c._scatter = numbers, scatter
    assert counts == [2, 2, 1]
    alone = [c.conv2d(one[None], weight, bias, groups=2) for one in x]
    assert_close("y", y, np.concatenate([one for one, _ in alone]), 1e-13)
    gradients = [back(one[None]) for one, (_, back) in zip(y, alone, strict=True)]
    assert_close("dx", dx, np.concatenate([g[0] for g in gradients]), 1e-13)
    assert_close("dweight", dweight, sum(g[1] for g in gradients), 1e-13)
    assert_close("dbias", dbias, sum(g[2] for g in gradients), 1e-13)


def check_stacked(c, rng):
    """Many products of few rows: the numbers of one product of all."""
    for count, matrix, parts in (
        (3136, (75, 32), 8),
        (2000, (64, 32), 5),
        (2000, (50, 10), 1),
        (300, (800, 64), 1),
        (128, (125, 125), 2),
        (126, (125, 125), 2),
        (100, (125, 125), 2),
        (98, (125, 125), 1),
        (128, (125, 126), 1),
        (0, (2, 2), 1),
    ):
        views = c._stacked(np.zeros((3, *matrix)), np.zeros((2, 3, count, 5)), np.zeros((2, 3 * count, 4)))
        shape = 2, 3, parts, count // parts
        assert [v.shape for v in views] == [(*shape, 5), (*shape, 4)], f"{count} rows, {matrix}"
    for inputs, outputs in ((8, 64), (32, 64)):  # forward and dweight in 8 parts; dx in 2
        x, weight = rng.normal(size=(2, 24, 24, inputs)), rng.normal(size=(outputs, 3, 3, inputs))
        u, u_back = c.im2col(x, (3, 3))
        y, backward = c.conv2d(x, weight, None)
        assert_close("y", y, np.einsum("nabijc,oijc->nabo", u, weight, optimize=True), 1e-12)
        dx, dweight, _ = backward(y)
        assert_close("dweight", dweight, np.einsum("nabo,nabijc->oijc", y, u, optimize=True), 1e-12)
        assert_close("dx", dx, u_back(np.einsum("nabo,oijc->nabijc", y, weight, optimize=True)), 1e-12)


def check_unfold(c, rng):
    """Bands of the kernel, each a row of it or all of it: together the windows, whatever way they were copied."""
    for image, kernel, options, bands, rows, runs in (
        ((9, 12, 16), (3, 2), {}, 3, 7 * 11, "channels"),  # a row of the kernel at a time
        ((9, 12, 16), (3, 2), {"dilation": 2, "groups": 2}, 3, 5 * 10, "channels"),
        ((8, 7, 16), (3, 2), {"padding": 1}, 3, 8 * 8, "channels"),
        ((9, 12, 16), (1, 2), {}, 1, 4 * 9 * 11, "channels"),  # one row: all images together
        ((9, 12, 16), (3, 2), {"stride": 2}, 1, 4 * 4 * 6, "channels"),  # rows of outputs do not lie side by side
        ((8, 9, 16), (2, 2), {"dilation": 1}, 2, 7 * 8, "channels"),
        ((8, 8, 16), (2, 2), {}, 1, 4 * 7 * 7, "channels"),  # few windows
        ((5, 9, 2), (3, 3), {}, 1, 3 * 7, "outputs"),  # a row of outputs is longer than a row of a window
        ((5, 9, 4), (3, 3), {"padding": 1, "dilation": 2, "groups": 2}, 1, 3 * 7, "outputs"),
        ((5, 8, 2), (3, 3), {}, 1, 4 * 3 * 6, "channels"),  # as long
        ((5, 19, 2), (3, 3), {"stride": 2}, 1, 4 * 2 * 9, "channels"),
    ):
        x, groups = rng.normal(size=(4, *image)), options.get("groups", 1)
        channels = image[2] // groups
        stride, padding, dilation = (options.get(name, default) for name, default in (("stride", 1), ("padding", 0), ("dilation", 1)))
        weight = np.zeros((groups, *kernel, channels))
        unfolded, sides = c._unfold(x, weight, stride, padding, dilation, groups)
        u, _ = c.im2col(x, kernel, stride, padding, dilation)  # (N, H', W', KH, KW, C)
        assert tuple(sides) == u.shape[1:3]
        expected = u.reshape(*u.shape[:5], groups, channels).transpose(5, 0, 1, 2, 3, 4, 6).reshape(groups, -1, weight[0].size)
        numbers, c.NUMBERS = c.NUMBERS, 1  # one image at a time
        try:
            alone = [part for part, _ in unfolded()]
        finally:
            c.NUMBERS = numbers
        assert alone == [slice(i, i + 1) for i in range(4)]
        ((part, found),) = unfolded()
        assert x[part].shape == x.shape and len(found) == bands, f"{len(found)} bands for {image}, {kernel}, {options}"
        assert {band.shape[2] for band in found} == {rows}, f"{found[0].shape} for {image}, {kernel}, {options}"
        side_by_side = 3 if runs == "channels" else 2
        assert all(band.strides[side_by_side] == 8 for band in found), f"{found[0].strides} for {image}, {kernel}, {options}"
        view = c._gather(x, kernel, stride, padding, dilation, groups, *([True] if runs == "outputs" else []))
        assert view.strides[3 if runs == "outputs" else -1] == 8, "it is copied in long pieces"
        flat = [band.reshape(groups, expected.shape[1], -1) for band in found]
        assert np.array_equal(np.concatenate(flat, axis=2), expected)


def check_windows(c, rng, shape):
    x, _, _ = draw_convolution(rng, shape)
    options = {"stride": shape.stride, "padding": shape.padding, "dilation": shape.dilation}
    u, _ = c.im2col(x, shape.kernel, **options)
    assert u.flags.c_contiguous
    assert np.array_equal(u, slow_windows(x, shape))
    check_gradient(lambda x: c.im2col(x, shape.kernel, **options), (x,), rng)


def check_pools(c, rng, size, stride, padding, image):
    step = size if stride is None else stride
    x = spread(rng, image)
    assert np.array_equal(c.max_pool2d(x, size, stride, padding)[0], slow_pool(max, -math.inf, x, size, step, padding))
    mean = slow_pool(lambda window: math.fsum(window) / len(window), 0.0, x, size, step, padding)
    assert_close("avg_pool2d", c.avg_pool2d(x, size, stride, padding)[0], mean, 1e-13)
    check_gradient(lambda x: c.max_pool2d(x, size, stride, padding), (x,), rng)
    check_gradient(lambda x: c.avg_pool2d(x, size, stride, padding), (x,), rng)
    assert_close(
        "global_avg_pool", c.global_avg_pool(x)[0], [[x[n, :, :, i].mean() for i in range(image[3])] for n in range(len(x))], 1e-13
    )
    check_gradient(c.global_avg_pool, (x,), rng)


def calls(c, rng):
    """Every operation on small arrays: (name, function, its differentiable arguments)."""
    shape = SHAPES[2]
    conv, transposed = draw_convolution(rng, shape), draw_transposed(rng, shape)
    yield "conv2d", lambda *a: c.conv2d(*a, **shape.options()), conv
    yield "conv2d-1x1", c.conv2d, draw_convolution(rng, SHAPES[4])
    yield "conv_transpose2d", lambda *a: c.conv_transpose2d(*a, **shape.options()), transposed
    yield "im2col", lambda x: c.im2col(x, (2, 2), padding=1), conv[:1]
    yield "im2col-1x1", lambda x: c.im2col(x, (1, 1)), conv[:1]
    yield "max_pool2d", lambda x: c.max_pool2d(x, 2), conv[:1]
    yield "max_pool2d-padded", lambda x: c.max_pool2d(x, 3, 2, 1), conv[:1]
    yield "max_pool2d-one", lambda x: c.max_pool2d(x, 1), conv[:1]
    yield "avg_pool2d", lambda x: c.avg_pool2d(x, 2), conv[:1]
    yield "avg_pool2d-one", lambda x: c.avg_pool2d(x, 1), conv[:1]
    yield "global_avg_pool", c.global_avg_pool, conv[:1]


def check_manners(c):
    """float32 stays float32, also in the gradients; arguments, upstream gradient and y are not written to; backward can be called twice."""
    for name, function, arguments in calls(c, np.random.default_rng(0)):
        single = tuple(a.astype(np.float32) for a in arguments)
        before = [a.copy() for a in single]
        y, backward = function(*single)
        assert y.dtype == np.float32, f"{name}: float32 gave {y.dtype}"
        assert_close(name, y, function(*arguments)[0], 1e-5)
        u, kept = np.random.default_rng(1).normal(size=y.shape).astype(np.float32), y.copy()
        upstream = u.copy()
        first, second = as_tuple(backward(u)), as_tuple(backward(u))
        exact = as_tuple(function(*arguments)[1](u.astype(np.float64)))
        for gradient, again, right, argument in zip(first, second, exact, single, strict=True):
            assert gradient.dtype == np.float32, f"{name}: the gradient of float32 is {gradient.dtype}"
            assert gradient.shape == argument.shape
            assert np.array_equal(gradient, again), f"{name}: the second call of backward differs"
            assert_close(f"{name}, gradient", gradient, right, 1e-5)
            for array in (u, y, *single):
                assert not np.shares_memory(gradient, array), f"{name}: a gradient shares memory with what went in"
        assert all(np.array_equal(a, b) for a, b in zip(single, before, strict=True)), f"{name}: an argument was changed"
        assert np.array_equal(u, upstream) and np.array_equal(y, kept), f"{name}: backward changed its input or y"
        for a in single:
            assert not np.shares_memory(y, a), f"{name}: y shares memory with an argument"


def check_exact(c):
    """Values that can be had by hand."""
    x = np.arange(16.0).reshape(1, 4, 4, 1)
    assert c.max_pool2d(x, 2)[0][0, :, :, 0].tolist() == [[5, 7], [13, 15]]
    assert c.avg_pool2d(x, 2)[0][0, :, :, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert c.avg_pool2d(x, 2, padding=1)[0][0, 0, 0, 0] == 0.0 and c.avg_pool2d(x + 4, 2, padding=1)[0][0, 0, 0, 0] == 1.0
    assert c.max_pool2d(-1 - x, 2, padding=1)[0][0, 0, 0, 0] == -1.0, "padding must not win"
    difference = np.array([1.0, -1.0]).reshape(1, 1, 2, 1)
    assert np.array_equal(c.conv2d(x, difference, np.zeros(1))[0], np.full((1, 4, 3, 1), -1.0)), "the kernel is not flipped"
    assert c.conv_transpose2d(np.ones((1, 2, 2, 1)), difference, np.zeros(1))[0][0, :, :, 0].tolist() == [[1, 0, -1], [1, 0, -1]]
    assert c.im2col(x, (2, 2))[0][0, 2, 1, :, :, 0].tolist() == [[9, 10], [13, 14]]
    # Ties: the first of a window, row by row, gets everything, and what two windows share adds up.
    dx = c.max_pool2d(np.zeros((1, 2, 4, 1)), 2)[1](np.array([3.0, 5.0]).reshape(1, 1, 2, 1))
    assert dx[0, :, :, 0].tolist() == [[3, 0, 5, 0], [0, 0, 0, 0]]
    tied = np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 0.0]]).reshape(1, 3, 3, 1)
    dx = c.max_pool2d(tied, 2, 1)[1](np.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 2, 2, 1))
    assert dx[0, :, :, 0].tolist() == [[0, 3, 0], [4, 8, 0], [0, 0, 0]]
    # Nothing arrives in the rows that no window reaches.
    assert c.max_pool2d(x[:, :3, :3], 2)[1](np.ones((1, 1, 1, 1)))[0, :, :, 0].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        for operation in (lambda x: c.max_pool2d(x, 3, 2, 1), lambda x: c.avg_pool2d(x, 3, 2, 1), c.global_avg_pool):
            y, backward = operation(x * 1e30)
            assert np.isfinite(y).all() and np.isfinite(backward(np.ones_like(y))).all()


def image(*shape):
    return np.zeros(shape)


W, B = image(6, 3, 3, 4), np.zeros(6)
REFUSED = [
    ("x holds int64, but pooling takes real numbers", lambda c: c.max_pool2d(np.arange(16).reshape(1, 4, 4, 1), 2)),
    ("x holds int64, but pooling takes real numbers", lambda c: c.avg_pool2d(np.arange(16).reshape(1, 4, 4, 1), 2)),
    (
        "dy has shape (2, 6, 6, 6), but y has (2, 6, 7, 6): a gradient has the shape of y",
        lambda c: c.conv2d(image(2, 8, 9, 4), W, B)[1](image(2, 6, 6, 6)),
    ),
    (
        "dy has shape (2, 4, 7, 6), but y has (2, 6, 7, 4): a gradient has the shape of y",
        lambda c: c.conv_transpose2d(image(2, 4, 5, 6), W, np.zeros(4))[1](image(2, 4, 7, 6)),
    ),
    ("single image needs x[None]", lambda c: c.conv2d(image(8, 8, 4), W, B)),
    ("images are (N, H, W, C)", lambda c: c.max_pool2d(image(8, 8), 2)),
    ("images are (N, H, W, C)", lambda c: c.avg_pool2d(image(8, 8), 2)),
    ("images are (N, H, W, C)", lambda c: c.global_avg_pool(image(8, 8))),
    ("images are (N, H, W, C)", lambda c: c.im2col(image(8, 8), (2, 2))),
    ("images are (N, H, W, C)", lambda c: c.conv_transpose2d(image(8, 8), W, np.zeros(4))),
    ("4 channels first, but images are (N, H, W, C): pass x.transpose(0, 2, 3, 1)", lambda c: c.conv2d(image(2, 4, 8, 8), W, B)),
    ("6 channels first", lambda c: c.conv_transpose2d(image(2, 6, 8, 8), W, np.zeros(4))),
    ("8 channels first", lambda c: c.conv2d(image(2, 8, 9, 9), W, B, groups=2)),
    ("that is 5 channels, but the layer takes 4", lambda c: c.conv2d(image(2, 8, 8, 5), W, B)),
    ("that is 5 channels, but the layer takes 6", lambda c: c.conv_transpose2d(image(2, 8, 8, 5), W, np.zeros(4))),
    ("weight has shape (6, 36)", lambda c: c.conv2d(image(2, 8, 8, 4), W.reshape(6, 36), B)),
    ("weight has shape (6, 36)", lambda c: c.conv_transpose2d(image(2, 8, 8, 6), W.reshape(6, 36), np.zeros(4))),
    ("bias has shape (1,), but there are 6 outputs", lambda c: c.conv2d(image(2, 8, 8, 4), W, np.zeros(1))),
    ("bias has shape (1,), but there are 4 outputs", lambda c: c.conv_transpose2d(image(2, 8, 8, 6), W, np.zeros(1))),
    ("bias has shape (4,), but there are 8 outputs", lambda c: c.conv_transpose2d(image(2, 8, 8, 6), W, np.zeros(4), groups=2)),
    ("kernel spans 3 pixels, but the padded image has 2", lambda c: c.conv2d(image(1, 2, 8, 4), W, B)),
    ("kernel spans 3 pixels, but the padded image has 2", lambda c: c.conv2d(image(1, 8, 2, 4), W, B)),
    (
        "kernel spans 9 pixels, but the padded image has 7: use a smaller kernel or dilation, or padding=2",
        lambda c: c.conv2d(image(1, 5, 5, 4), W, B, padding=1, dilation=4),
    ),
    ("kernel spans 3 pixels, but the padded image has 2", lambda c: c.im2col(image(1, 2, 2, 1), (3, 3))),
    ("kernel spans 9 pixels, but the padded image has 8", lambda c: c.im2col(image(1, 2, 8, 1), (1, 9))),
    ("kernel spans 4 pixels, but the padded image has 3", lambda c: c.max_pool2d(image(1, 3, 5, 1), 4)),
    ("kernel spans 4 pixels, but the padded image has 3", lambda c: c.avg_pool2d(image(1, 5, 3, 1), 4)),
    (
        "groups=4 does not divide 16 input and 6 output channels: choose a divisor of 2",
        lambda c: c.conv2d(image(1, 8, 8, 16), W, B, groups=4),
    ),
    ("groups=4 does not divide 16 input and 6 output channels", lambda c: c.conv_transpose2d(image(1, 8, 8, 6), W, np.zeros(16), groups=4)),
    *[
        (
            f"{name}={value}: it must be a whole number of at least {least}",
            lambda c, name=name, value=value: c.conv2d(image(2, 8, 8, 4), W, B, **{name: value}),
        )
        for name, value, least in [
            ("stride", 0, 1),
            ("stride", 1.5, 1),
            ("padding", -1, 0),
            ("dilation", 0, 1),
            ("groups", 0, 1),
            ("groups", -1, 1),
        ]
    ],
    *[
        (
            f"{name}={value}: it must",
            lambda c, name=name, value=value: c.conv_transpose2d(image(2, 8, 8, 6), W, np.zeros(4), **{name: value}),
        )
        for name, value in [("stride", 0), ("padding", -1), ("dilation", 0), ("groups", 0), ("output_padding", -1)]
    ],
    *[
        (f"{name}={value}: it must", lambda c, name=name, value=value: c.im2col(image(2, 8, 8, 4), (2, 2), **{name: value}))
        for name, value in [("stride", 0), ("padding", -1), ("dilation", 0)]
    ],
    ("height=0: it must", lambda c: c.im2col(image(2, 8, 8, 4), (0, 2))),
    ("width=0: it must", lambda c: c.im2col(image(2, 8, 8, 4), (2, 0))),
    ("output_padding=1 must be below stride=1", lambda c: c.conv_transpose2d(image(2, 8, 8, 6), W, np.zeros(4), output_padding=1)),
    ("padding=2 leaves nothing of the output", lambda c: c.conv_transpose2d(image(2, 2, 8, 6), W, np.zeros(4), padding=2)),
    ("padding=2 leaves nothing of the output", lambda c: c.conv_transpose2d(image(2, 8, 2, 6), W, np.zeros(4), padding=2)),
    ("size=0: it must", lambda c: c.max_pool2d(image(2, 8, 8, 4), 0)),
    ("stride=0: it must", lambda c: c.max_pool2d(image(2, 8, 8, 4), 2, 0)),
    ("stride=0: it must", lambda c: c.avg_pool2d(image(2, 8, 8, 4), 2, 0)),
    ("padding=2 for windows of 3: use at most half of the window, padding=1", lambda c: c.max_pool2d(image(2, 8, 8, 4), 3, 2, 2)),
    ("padding=2 for windows of 3", lambda c: c.avg_pool2d(image(2, 8, 8, 4), 3, 2, 2)),
]


def check_refusals(c, raises):
    for message, call in REFUSED:
        raises(ValueError, message, lambda call=call: call(c))
    # the smallest that is allowed
    assert c.im2col(image(1, 8, 2, 1), (3, 2))[0].shape == (1, 6, 1, 3, 2, 1)
    assert c.conv_transpose2d(image(1, 2, 2, 6), W, np.zeros(4), padding=1)[0].shape == (1, 2, 2, 4)
    assert c.conv_transpose2d(image(1, 1, 1, 6), W, np.zeros(4), padding=1)[0].shape == (1, 1, 1, 4)


def check_everything(c, raises):
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        check_convolution(c, rng, shape)
        for output_padding in output_paddings(shape):
            check_transposed(c, rng, shape, output_padding)
        check_windows(c, rng, shape)
        check_without_bias(c, rng, shape)
        check_need_dx(c, rng, shape)
    check_parts(c, rng)
    check_stacked(c, rng)
    check_unfold(c, rng)
    for pool in POOLS:
        check_pools(c, rng, *pool)
    check_manners(c)
    check_exact(c)
    check_refusals(c, raises)


# ---------------------------------------------------------------- geometry.py


def check_geometry(g, raises):
    for size, kernel, stride, padding, dilation in itertools.product((1, 4, 7, 8), (1, 2, 3, 4), (1, 2, 3), (0, 1, 2), (1, 2)):
        shape = Shape(stride=stride, padding=padding, dilation=dilation)
        if (count := places(size, kernel, shape)) > 0:
            assert g.output_size(size, kernel, stride, padding, dilation) == count
        else:
            message = f"the kernel spans {dilation * (kernel - 1) + 1} pixels, but the padded image has {size + 2 * padding}: "
            raises(ValueError, message, lambda size=size, a=(kernel, stride, padding, dilation): g.output_size(size, *a))
    assert g.output_size(5, 3) == 3
    raises(ValueError, "padding=2", lambda: g.output_size(2, 5))
    raises(ValueError, "padding=1", lambda: g.output_size(2, 4))
    assert g.receptive_field([]) == (1, 1)
    for layers in ([(3, 1)], [(3, 2), (3, 1, 2)], [(5, 1), (2, 2), (5, 3, 2), (2, 2)]):
        needed, step = 1, 1  # the other way round: one output needs so many inputs
        for kernel, stride, *dilation in reversed(layers):
            needed = (needed - 1) * stride + (dilation[0] if dilation else 1) * (kernel - 1) + 1
            step *= stride
        assert g.receptive_field(layers) == (needed, step)
    assert g.conv_parameters(16, 32, 3) == sum(1 for _ in itertools.product(range(32), range(3), range(3), range(16))) + 32
    assert g.conv_parameters(16, 32, 5, groups=4) == np.zeros((32, 5, 5, 4)).size + 32
    assert g.conv_flops(7, 6, 16, 32, 3, groups=4) == 2 * np.zeros((7, 6, 32, 3, 3, 4)).size
    assert g.conv_flops(7, 6, 16, 32, 3) == 2 * np.zeros((7, 6, 32, 3, 3, 16)).size
