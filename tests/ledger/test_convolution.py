"""The equations of the chapter on convolution, line by line, with small loops over the indices as printed."""

import itertools

import numpy as np
import pytest

from dlcourse import geometry
from dlcourse.numpy import convolution as c
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, assert_vjp, numerical_gradient, numerical_jacobian

GEOMETRIES = [(1, 0, 1), (1, 1, 1), (2, 1, 1), (1, 2, 2), (3, 2, 2), (2, 0, 3)]  # stride, padding, dilation
each_geometry = pytest.mark.parametrize(("s", "p", "d"), GEOMETRIES)


def draw(rng, s, p, d, k=3):
    """x (N, H, W, C), w (O, k, k, C), b, and dy of the right shape."""
    x, w, b = rng.normal(size=(2, 8, 7, 2)), rng.normal(size=(3, k, k, 2)), rng.normal(size=3)
    sides = [geometry.output_size(n, k, s, p, d) for n in (8, 7)]
    return x, w, b, rng.normal(size=(2, *sides, 3))


def at(x, *index):
    """An entry of x, zero outside."""
    return x[index] if all(0 <= i < n for i, n in zip(index, x.shape, strict=True)) else 0.0


def table(shape, entry):
    return np.array([entry(*index) for index in np.ndindex(shape)]).reshape(shape)


def total(ranges, term):
    return sum(term(*index) for index in itertools.product(*map(range, ranges)))


def matrix(w, n, s, p, d):
    """M of the chapter, for one dimension."""
    places = geometry.output_size(n, len(w), s, p, d)
    return table((places, n), lambda a, q: sum(w[i] * (q == s * a + d * i - p) for i in range(len(w))))


def one_row(x, w, b=0.0, s=1, p=0, d=1):
    """The package's convolution in one dimension, as an image of one row."""
    padded = np.pad(x, p)
    return c.conv2d(padded[None, None, :, None], w[None, None, :, None], np.array([b]), s, 0, d)[0].ravel()


@pytest.mark.equation("eq-cross-correlation")
def test_cross_correlation(rng):
    x, w, b = rng.normal(size=9), rng.normal(size=4), 0.7
    y = [b + total([4], lambda i, a=a: w[i] * x[a + i]) for a in range(6)]
    assert_lines_agree([np.array(y), np.correlate(x, w, "valid") + b, one_row(x, w, b)], rtol=1e-13)


@pytest.mark.equation("eq-true-convolution", formula_only=True)
def test_true_convolution(rng):
    x, w, k = rng.normal(size=9), rng.normal(size=4), 4
    places = range(len(x) - k + 1)
    flipped = w[::-1]  # w~_i = w_(k-1-i)
    lines = [
        one_row(x, flipped),
        np.array([total([k], lambda i, a=a: flipped[i] * x[a + i]) for a in places]),
        np.array([total([k], lambda i, a=a: w[k - 1 - i] * x[a + i]) for a in places]),
        np.array([total([k], lambda i, a=a: w[i] * x[a + k - 1 - i]) for a in places]),
        np.convolve(x, w)[k - 1 : len(x)],  # (w * x)_(a+k-1)
    ]
    assert_lines_agree(lines, rtol=1e-13)
    whole = table((len(x) + k - 1,), lambda a: total([k], lambda i: w[i] * at(x, a - i)))
    assert_same("the definition", np.convolve(x, w), whole, rtol=1e-13)


@pytest.mark.equation("eq-toeplitz", formula_only=True)
@each_geometry
def test_matrix(rng, s, p, d):
    x, w, b = rng.normal(size=11), rng.normal(size=3), 0.3
    m = matrix(w, 11, s, p, d)
    assert_same("y = M x + b", m @ x + b, one_row(x, w, b, s, p, d), rtol=1e-13)
    dy = rng.normal(size=len(m))
    assert_lines_agree([numerical_gradient(lambda x: (dy * one_row(x, w, b, s, p, d)).sum(), x), m.T @ dy], rtol=1e-8)


@pytest.mark.equation("eq-toeplitz", formula_only=True)
def test_matrix_as_printed(rng):
    (w0, w1, w2), dy = rng.normal(size=(2, 3))
    w = np.array([w0, w1, w2])
    m = np.array([[w0, w1, w2, 0, 0], [0, w0, w1, w2, 0], [0, 0, w0, w1, w2]])
    assert_same("M", matrix(w, 5, 1, 0, 1), m, rtol=0)
    transposed = np.array([[w0, 0, 0], [w1, w0, 0], [w2, w1, w0], [0, w2, w1], [0, 0, w2]])
    assert_same("M^T", m.T, transposed, rtol=0)
    assert_same("a convolution with the flipped kernel, padded by k - 1", transposed @ dy, one_row(dy, w[::-1], p=2), rtol=1e-13)
    assert_same("stride 2: the second row is missing", matrix(w, 5, 2, 0, 1), m[::2], rtol=0)
    assert_same("dilation 2: zeros between", matrix(w, 5, 1, 0, 2), np.array([[w0, 0, w1, 0, w2]]), rtol=0)
    ends = np.vstack([[[w1, w2, 0, 0, 0]], m, [[0, 0, 0, w0, w1]]])
    assert_same("padding 1: one more row at each end", matrix(w, 5, 1, 1, 1), ends, rtol=0)


@pytest.mark.equation("eq-output-size")
def test_output_size():
    for n, k, s, p, d in itertools.product((1, 4, 5, 8), (1, 2, 3, 5), (1, 2, 3), (0, 1, 2), (1, 2)):
        if d * (k - 1) + 1 > n + 2 * p:
            continue
        fits = [a for a in range(50) if s * a + d * (k - 1) <= n + 2 * p - 1]
        bounded = [a for a in range(50) if a <= (n + 2 * p - d * (k - 1) - 1) / s]
        assert fits == bounded
        assert_lines_agree([len(fits), np.floor((n + 2 * p - d * (k - 1) - 1) / s) + 1, geometry.output_size(n, k, s, p, d)], rtol=0)
    for n in (6, 7, 28):
        assert_same("nothing added: k - 1 pixels less", geometry.output_size(n, 5), n - 4, rtol=0)
        assert_same("an odd kernel keeps the size", geometry.output_size(n, 5, padding=2), n, rtol=0)
    assert_same("half", geometry.output_size(28, 3, 2, 1), 14, rtol=0)


def convolved(x, w, b, s, p, d):
    """eq-conv2d as printed."""
    sides = [geometry.output_size(n, w.shape[1], s, p, d) for n in x.shape[1:3]]
    return table(
        (len(x), *sides, len(w)),
        lambda n, a, e, o: (
            b[o] + total(w.shape[1:], lambda i, j, channel: w[o, i, j, channel] * at(x, n, s * a + d * i - p, s * e + d * j - p, channel))
        ),
    )


@pytest.mark.equation("eq-conv2d")
@each_geometry
def test_convolution(rng, s, p, d):
    x, w, b, _ = draw(rng, s, p, d)
    assert_same("implementation", c.conv2d(x, w, b, s, p, d)[0], convolved(x, w, b, s, p, d), rtol=1e-13)
    assert_vjp("conv2d", lambda *a: c.conv2d(*a, s, p, d), (x, w, b), rng)


@pytest.mark.equation("eq-conv2d")
def test_groups(rng):
    x, w, b = rng.normal(size=(2, 5, 5, 6)), rng.normal(size=(9, 3, 3, 2)), rng.normal(size=9)
    groups, channels, outputs = 3, 6, 9
    full = np.zeros((9, 3, 3, 6))
    for o, channel in np.ndindex(9, 2):
        full[o, :, :, channel + o * groups // outputs * (channels // groups)] = w[o, :, :, channel]
    assert_same("zeros elsewhere", c.conv2d(x, w, b, groups=groups)[0], c.conv2d(x, full, b)[0], rtol=1e-13)


@pytest.mark.equation("eq-conv2d-vjp-weight")
@each_geometry
def test_weight_gradient(rng, s, p, d):
    x, w, b, dy = draw(rng, s, p, d)
    n, h, v, _ = dy.shape
    dw = table(
        w.shape,
        lambda o, i, j, channel: total((n, h, v), lambda m, a, e: dy[m, a, e, o] * at(x, m, s * a + d * i - p, s * e + d * j - p, channel)),
    )
    db = table((3,), lambda o: total((n, h, v), lambda m, a, e: dy[m, a, e, o]))
    _, dweight, dbias = c.conv2d(x, w, b, s, p, d)[1](dy)
    loss = lambda w, b: (dy * c.conv2d(x, w, b, s, p, d)[0]).sum()  # noqa: E731
    assert_lines_agree([numerical_gradient(lambda w: loss(w, b), w), dw, dweight], rtol=1e-8)
    assert_lines_agree([numerical_gradient(lambda b: loss(w, b), b), db, dbias], rtol=1e-8)
    assert_same("dw", dweight, dw, rtol=1e-13)


def input_gradient(dy, w, shape, s, p, d):
    """eq-conv2d-vjp-input as printed."""
    k = w.shape[1]

    def entry(n, q, r, channel):
        return total(
            dy.shape[1:],
            lambda a, e, o: (
                dy[n, a, e, o] * total((k, k), lambda i, j: w[o, i, j, channel] * (q == s * a + d * i - p) * (r == s * e + d * j - p))
            ),
        )

    return table(shape, entry)


@pytest.mark.equation("eq-conv2d-vjp-input")
@each_geometry
def test_input_gradient(rng, s, p, d):
    x, w, b, dy = draw(rng, s, p, d)
    x, dy, k = x[:1], dy[:1], 3
    dx = c.conv2d(x, w, b, s, p, d)[1](dy)[0]
    spread = np.zeros((1, s * (dy.shape[1] - 1) + 1, s * (dy.shape[2] - 1) + 1, 3))
    spread[:, ::s, ::s] = dy  # z: zeros in between
    lines = [
        numerical_gradient(lambda x: (dy * c.conv2d(x, w, b, s, p, d)[0]).sum(), x),
        input_gradient(dy, w, x.shape, s, p, d),
        table(
            x.shape,
            lambda n, q, r, channel: total((k, k, 3), lambda i, j, o: w[o, i, j, channel] * at(spread, n, q + p - d * i, r + p - d * j, o)),
        ),
        dx,
    ]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", dx, lines[1], rtol=1e-13)


@pytest.mark.equation("eq-conv2d-vjp-input")
@pytest.mark.parametrize("p", [0, 1, 2])
def test_input_gradient_is_a_convolution_with_the_flipped_kernel(rng, p):
    x, w, b, dy = draw(rng, 1, p, 1)
    k = 3
    flipped = w[:, ::-1, ::-1].transpose(3, 1, 2, 0)
    lines = [
        table(
            x.shape,
            lambda n, q, r, channel: total((k, k, 3), lambda i, j, o: w[o, i, j, channel] * at(dy, n, q + p - i, r + p - j, o)),
        ),
        table(
            x.shape,
            lambda n, q, r, channel: total(
                (k, k, 3),
                lambda i, j, o: w[o, k - 1 - i, k - 1 - j, channel] * at(dy, n, q + i - (k - 1 - p), r + j - (k - 1 - p), o),
            ),
        ),
        c.conv2d(dy, flipped, np.zeros(2), padding=k - 1 - p)[0],
        c.conv2d(x, w, b, padding=p)[1](dy)[0],
    ]
    assert_lines_agree(lines, rtol=1e-13)


@pytest.mark.equation("eq-conv-transpose")
@each_geometry
def test_transposed_convolution(rng, s, p, d):
    _, w, _, dy = draw(rng, s, p, d)
    b = rng.normal(size=2)
    smallest = [(n - 1) * s - 2 * p + d * 2 + 1 for n in dy.shape[1:3]]
    for output_padding in range(s):
        shape = (2, *(n + output_padding for n in smallest), 2)
        y = c.conv_transpose2d(dy, w, b, s, p, output_padding, d)[0]
        assert_same("implementation", y, b + input_gradient(dy, w, shape, s, p, d), rtol=1e-13)
        # every image of that size has a convolution of dy's size, and this is its way back
        image = rng.normal(size=shape)
        z, backward = c.conv2d(image, w, np.zeros(3), s, p, d)
        assert z.shape == dy.shape
        assert_same("the way back", y - b, backward(dy)[0], rtol=1e-13)
    assert_vjp("conv_transpose2d", lambda *a: c.conv_transpose2d(*a, s, p, 0, d), (dy, w, b), rng)


@pytest.mark.equation("eq-im2col", "eq-col2im")
@each_geometry
def test_windows_and_the_matrix_product(rng, s, p, d):
    x, w, b, dy = draw(rng, s, p, d)
    n, h, v, _ = dy.shape
    u, col2im = c.im2col(x, (3, 3), s, p, d)
    printed = table((n, h, v, 3, 3, 2), lambda m, a, e, i, j, channel: at(x, m, s * a + d * i - p, s * e + d * j - p, channel))
    assert_same("u", u, printed, rtol=0)
    rows, dy_rows, kernels = u.reshape(n * h * v, 18), dy.reshape(n * h * v, 3), w.reshape(3, 18)
    y, backward = c.conv2d(x, w, b, s, p, d)
    assert_lines_agree([rows @ kernels.T + b, f.linear(rows, kernels, b)[0], y.reshape(n * h * v, 3)], rtol=1e-13)
    dx, dw, db = backward(dy)
    du, dkernels, dbias = f.linear(rows, kernels, b)[1](dy_rows)
    assert_lines_agree([dy_rows.T @ rows, dkernels, dw.reshape(3, 18)], rtol=1e-13)
    assert_lines_agree([dy_rows.sum(axis=0), dbias, db], rtol=1e-13)
    assert_same("dU = dY W", du, dy_rows @ kernels, rtol=1e-13)
    assert_same("du as printed", du.reshape(u.shape), np.einsum("nabo,oijc->nabijc", dy, w), rtol=1e-13)
    du = du.reshape(u.shape)
    # eq-col2im as printed, with the sums over a, b, i, j
    gathered = np.zeros(x.shape)
    for m, q, r, channel in np.ndindex(x.shape):
        for a, e, i, j in np.ndindex(h, v, 3, 3):
            gathered[m, q, r, channel] += du[m, a, e, i, j, channel] * (q == s * a + d * i - p) * (r == s * e + d * j - p)
    assert_lines_agree([gathered, col2im(du), dx], rtol=1e-13)
    assert_vjp("im2col", lambda x: c.im2col(x, (3, 3), s, p, d), (x,), rng)


@pytest.mark.equation("eq-receptive-field")
def test_receptive_field(rng):
    for layers in ([(3, 1), (3, 1)], [(3, 2, 2), (2, 3, 1), (3, 1, 3)], [(5, 1), (2, 2), (5, 1), (2, 2)]):
        field, jump = 1, 1
        sizes, backs, x = [], [], np.ones((1, 1, 80, 1))
        for k, s, *dilation in layers:
            d = dilation[0] if dilation else 1
            field, jump = field + d * (k - 1) * jump, s * jump  # as printed, with j of the layer below
            sizes.append((field, jump))
            x, back = c.conv2d(x, rng.random((1, 1, k, 1)) + 0.1, np.zeros(1), s, 0, d)
            backs.append(back)
        assert_same("recursion", np.array(geometry.receptive_field(layers)), np.array(sizes[-1]), rtol=0)
        reached = []
        for place in (0, 1):  # two neighbouring outputs
            dx = np.zeros(x.shape)
            dx[0, 0, place] = 1.0
            for back in reversed(backs):
                dx = back(dx)[0]
            reached.append(np.flatnonzero(dx[0, 0, :, 0]))
        assert_same("pixels seen", reached[0][-1] - reached[0][0] + 1, field, rtol=0)
        assert_same("pixels apart", reached[1][0] - reached[0][0], jump, rtol=0)
    assert_same("two layers of 3x3", geometry.receptive_field([(3, 1)] * 2)[0], 5, rtol=0)
    for count in range(1, 7):  # the exercise
        plain, dilated = [(3, 1)] * count, [(3, 1, 2**i) for i in range(count)]
        assert_same("plain", geometry.receptive_field(plain)[0], 2 * count + 1, rtol=0)
        assert_same("dilated", geometry.receptive_field(dilated)[0], 2 ** (count + 1) - 1, rtol=0)


class Counted(float):
    """A number that counts its multiplications and additions."""

    operations = 0

    def __mul__(self, other):
        Counted.operations += 1
        return Counted(float(self) * float(other))

    def __add__(self, other):
        Counted.operations += 1
        return Counted(float(self) + float(other))


@pytest.mark.equation("eq-conv-parameters", "eq-conv-flops")
@pytest.mark.parametrize("groups", [1, 2])
def test_counts(groups):
    height, width, channels, outputs, k = 5, 4, 4, 6, 3
    w = np.ones((outputs, k, k, channels // groups))
    assert_same("P", geometry.conv_parameters(channels, outputs, k, groups), w.size + outputs, rtol=0)
    Counted.operations = 0
    x = np.ones((height, width, channels))
    for a, b, o in np.ndindex(height - k + 1, width - k + 1, outputs):
        y = Counted(0.5)  # the bias
        for i, j, channel in np.ndindex(w.shape[1:]):
            y = y + Counted(w[o, i, j, channel]) * x[a + i, b + j, channel]
    counted = geometry.conv_flops(height - k + 1, width - k + 1, channels, outputs, k, groups)
    assert_lines_agree(
        [Counted.operations, 2 * (height - k + 1) * (width - k + 1) * k**2 * (channels // groups) * outputs, counted], rtol=0
    )


@pytest.mark.equation("eq-equivariance", formula_only=True)
@pytest.mark.parametrize("s", [1, 2, 3])
def test_equivariance(rng, s):
    w, b, p, d, t = rng.normal(size=3), 0.4, 2, 2, 2
    x = np.zeros(60)
    x[24:36] = rng.normal(size=12)  # far from the borders

    def shifted(x, by):
        return np.roll(x, by)

    moved = one_row(shifted(x, s * t), w, b, s, p, d)
    still = one_row(x, w, b, s, p, d)
    assert_same("conv(T x) = T conv(x)", moved[t:], still[:-t], rtol=1e-14)
    dense = one_row(x, w, b, 1, p, d)
    assert_same("every s-th of stride 1", still, dense[::s], rtol=0)
    moved_by_one = one_row(shifted(x, 1), w, b, s, p, d)
    phase = [dense[s * a - 1] for a in range(1, len(still))]
    assert_same("another phase", moved_by_one[1:], np.array(phase), rtol=1e-14)
    if s > 1:  # neither alignment fits
        assert min(np.abs(moved_by_one - still).max(), np.abs(moved_by_one[1:] - still[:-1]).max()) > 0.1


POOLS = [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 0)]  # size, stride, padding
each_pool = pytest.mark.parametrize(("k", "s", "p"), POOLS)


def pooled(x, k, s, p, reduce, outside):
    sides = [geometry.output_size(n, k, s, p) for n in x.shape[1:3]]

    def entry(n, a, e, channel):
        window = {}
        for i, j in np.ndindex(k, k):
            q, r = s * a + i - p, s * e + j - p
            inside = 0 <= q < x.shape[1] and 0 <= r < x.shape[2]
            window[q, r] = x[n, q, r, channel] if inside else outside
        return reduce(window)

    return (len(x), *sides, x.shape[3]), entry


@pytest.mark.equation("eq-max-pool")
@each_pool
def test_max_pool(rng, k, s, p):
    x = rng.normal(size=(2, 6, 7, 2))
    printed = table(*pooled(x, k, s, p, lambda window: max(window.values()), -np.inf))
    assert_same("implementation", c.max_pool2d(x, k, s, p)[0], printed, rtol=0)


@pytest.mark.equation("eq-max-pool-vjp")
@each_pool
@pytest.mark.parametrize("ties", [False, True])
def test_max_pool_vjp(rng, k, s, p, ties):
    x = rng.permutation(2 * 6 * 7 * 2).reshape(2, 6, 7, 2) * 0.01
    x = np.round(x) if ties else x
    y, backward = c.max_pool2d(x, k, s, p)
    dy = rng.normal(size=y.shape)
    shape, first = pooled(x, k, s, p, lambda window: max(window, key=window.get), -np.inf)  # of equal ones the first, row by row
    places = {index: first(*index) for index in np.ndindex(shape)}
    dx = table(
        x.shape,
        lambda n, q, r, channel: sum(dy[n, a, e, channel] * ((q, r) == places[n, a, e, channel]) for a, e in np.ndindex(shape[1:3])),
    )
    assert_same("implementation", backward(dy), dx, rtol=1e-14)
    assert_same("nothing is lost or doubled", backward(dy).sum(), dy.sum(), rtol=1e-11)
    if not ties:
        assert_lines_agree([numerical_gradient(lambda x: (dy * c.max_pool2d(x, k, s, p)[0]).sum(), x), dx], rtol=1e-8)
        assert_vjp("max_pool2d", lambda x: c.max_pool2d(x, k, s, p), (x,), rng)


@pytest.mark.equation("eq-avg-pool", "eq-avg-pool-vjp")
@each_pool
def test_avg_pool(rng, k, s, p):
    x = rng.normal(size=(2, 6, 7, 2))
    shape, entry = pooled(x, k, s, p, lambda window: sum(window.values()) / k**2, 0.0)
    y, backward = c.avg_pool2d(x, k, s, p)
    assert_same("implementation", y, table(shape, entry), rtol=1e-13)
    dy = rng.normal(size=y.shape)
    dx = table(
        x.shape,
        lambda n, q, r, channel: sum(
            dy[n, a, e, channel] * total((k, k), lambda i, j, a=a, e=e: (q == s * a + i - p) * (r == s * e + j - p)) / k**2
            for a, e in np.ndindex(shape[1:3])
        ),
    )
    assert_lines_agree([numerical_gradient(lambda x: (dy * c.avg_pool2d(x, k, s, p)[0]).sum(), x), dx, backward(dy)], rtol=1e-8)
    assert_same("backward", backward(dy), dx, rtol=1e-13)


@pytest.mark.equation("eq-global-avg-pool", "eq-global-avg-pool-vjp")
def test_global_avg_pool(rng):
    x, dy = rng.normal(size=(2, 4, 5, 3)), rng.normal(size=(2, 3))
    y, backward = c.global_avg_pool(x)
    assert_same("implementation", y, table((2, 3), lambda n, channel: x[n, :, :, channel].sum() / 20), rtol=1e-13)
    dx = table(x.shape, lambda n, q, r, channel: dy[n, channel] / 20)
    assert_lines_agree([numerical_gradient(lambda x: (dy * c.global_avg_pool(x)[0]).sum(), x), dx, backward(dy)], rtol=1e-8)
    assert_vjp("global_avg_pool", c.global_avg_pool, (x,), rng)


@pytest.mark.equation("eq-max-pool-vjp")
def test_the_mask_multiplies_the_gradient():
    x = np.zeros((1, 2, 2, 1))
    y, backward = c.max_pool2d(x, 2)
    assert_same("raise all: y rises by one", c.max_pool2d(x + 1, 2)[0] - y, np.ones((1, 1, 1, 1)), rtol=0)
    assert_same("what arrives", backward(np.ones(y.shape)).sum(), 1.0, rtol=0)
    assert_same("what the mask gives", (x == y).sum().astype(float), 4.0, rtol=0)


@pytest.mark.equation("eq-conv2d")
def test_by_hand():
    x, step = np.array([2.0, 2, 5, 5, 1]), np.array([-1.0, 1])
    y, backward = c.conv2d(x[None, None, :, None], step[None, None, :, None], np.zeros(1))
    assert_same("y", y.ravel(), np.array([0.0, 3, 0, -4]), rtol=0)
    assert_same("stride 2", one_row(x, step, s=2), np.array([0.0, 0]), rtol=0)
    for dy, dx in (([0, 0, 1, 0], [0, 0, -1, 1, 0]), ([0, 1, 1, 0], [0, -1, 0, 1, 0])):
        assert_same("dx", backward(np.reshape(np.array(dy, float), y.shape))[0].ravel(), np.array(dx, float), rtol=0)
    assert_same("dw", backward(np.array([0.0, 1, 1, 0]).reshape(y.shape))[1].ravel(), np.array([7.0, 10]), rtol=0)


@pytest.mark.equation("eq-conv2d")
def test_convolutions_can_be_exchanged(rng):
    x, w, blur = rng.normal(size=(1, 9, 9, 1)), rng.normal(size=(1, 3, 3, 1)), rng.normal(size=(1, 4, 4, 1))
    zero = np.zeros(1)
    one_way = c.conv2d(c.conv2d(x, w, zero)[0], blur, zero)[0]
    assert_same("the other way", c.conv2d(c.conv2d(x, blur, zero)[0], w, zero)[0], one_way, rtol=1e-12)


@pytest.mark.equation("eq-conv2d")
def test_the_way_back_is_the_transposed_jacobian(rng):
    x, w, b, dy = draw(rng, 2, 1, 1)
    jacobian = numerical_jacobian(lambda x: c.conv2d(x, w, b, 2, 1)[0], x)
    assert_same("sum over the outputs", c.conv2d(x, w, b, 2, 1)[1](dy)[0], np.tensordot(dy, jacobian, 4), rtol=1e-8)
