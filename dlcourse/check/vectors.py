"""The exercises of the chapter *Vectors and gradients*, each with the wrong answers that it recognises."""

import itertools

import numpy as np

from dlcourse.check.compare import shapes
from dlcourse.check.engine import Case, exercise

# ---------------------------------------------------------------- chain_cost


def _costs(sizes, first=1, last=1):
    """Products from the right and from the left; by default the Jacobian at each end is the start and costs nothing."""
    pairs = list(itertools.pairwise(sizes))
    forward = sum(sizes[0] * i * o for i, o in pairs[first:])
    reverse = sum(sizes[-1] * o * i for i, o in pairs[: len(pairs) - last])
    return forward, reverse


@exercise(
    ("forward", "reverse"),
    Case("a network with a loss", lambda rng: ((784, 128, 64, 1),), show=True),
    Case("few inputs, many outputs", lambda rng: ((2, 50, 40, 300),), show=True),
    Case("equal sizes", lambda rng: ((6, 6, 6, 6),), show=True),
    Case("two Jacobians", lambda rng: ((3, 5, 2),), show=True),
    Case("one Jacobian", lambda rng: ((7, 4),), show=True),
    Case("a long chain", lambda rng: (tuple(int(s) for s in rng.integers(2, 30, size=9)),)),
)
def chain_cost(sizes):
    """chain_cost(sizes) -> (forward, reverse): multiplications of the product of Jacobians J_K ... J_2 J_1 (eq-order-cost).

    sizes = (s_0, ..., s_K), whole numbers; J_l is (s_l, s_(l-1)). forward begins with J_2 J_1, reverse with J_K J_(K-1).
    A single Jacobian needs no multiplication."""
    return _costs(sizes)


chain_cost.diagnose(
    "both numbers are the count of one order. Forward begins with J_2 J_1, reverse with J_K J_(K-1).",
    lambda sizes: (_costs(sizes)[0],) * 2,
    lambda sizes: (_costs(sizes)[1],) * 2,
)
chain_cost.diagnose(
    "forward and reverse are exchanged. Forward begins at the inputs, so its products keep s_0 columns.",
    lambda sizes: _costs(sizes)[::-1],
)
chain_cost.diagnose(
    "the first Jacobian counts as a product. It is where the product begins: K Jacobians need K - 1 products.",
    lambda sizes: _costs(sizes, 0, 0),
)
chain_cost.diagnose(
    "additions are counted too. The exercise asks for multiplications alone.",
    lambda sizes: tuple(2 * cost for cost in _costs(sizes)),
)
chain_cost.diagnose(
    "both orders are counted as vectors that pass through. Only with one input (one output) is what goes forward (backward) a vector: "
    "else every product has s_0 (s_K) times as many multiplications.",
    lambda sizes: (
        _costs((1, *sizes[1:]))[0],
        _costs((*sizes[:-1], 1))[1],
    ),
)
chain_cost.diagnose(
    "the numbers in the Jacobians are counted, not the multiplications. A product of (m, k) and (k, n) takes m k n.",
    lambda sizes: (sum(i * o for i, o in itertools.pairwise(sizes)),) * 2,
)
chain_cost.diagnose(
    "the numbers in the results are counted. Each of the m n entries of a product of (m, k) and (k, n) takes k multiplications.",
    lambda sizes: (
        sum(sizes[0] * s for s in sizes[2:]),
        sum(sizes[-1] * s for s in sizes[:-2]),
    ),
)
chain_cost.diagnose(
    "the last product is missing.",
    lambda sizes: (_costs(sizes[:-1])[0], _costs(sizes[1:])[1]),
)
chain_cost.diagnose(
    "one product over all sizes. Each step multiplies two matrices only, and the steps add up.",
    lambda sizes: (int(np.prod(sizes)),) * 2,
)


# ---------------------------------------------------------------- sum_to_shape


def _to_shape(dy, shape, reduce=np.sum):
    extra = dy.ndim - len(shape)
    dy = reduce(dy, axis=tuple(range(extra)))
    axes = tuple(k for k, n in enumerate(shape) if n == 1)
    return reduce(dy, axis=axes, keepdims=True) if axes else dy


def _leading_only(dy, shape):
    return dy.sum(axis=tuple(range(dy.ndim - len(shape))))


def _ones_only(dy, shape):
    extra = dy.ndim - len(shape)
    return dy.sum(axis=tuple(extra + k for k, n in enumerate(shape) if n == 1), keepdims=True)


def _no_keepdims(dy, shape):
    extra = dy.ndim - len(shape)
    ones = [extra + k for k, n in enumerate(shape) if n == 1 and dy.shape[extra + k] > 1]
    return dy.sum(axis=(*range(extra), *ones))


def _from_the_left(dy, shape):
    for k, n in enumerate(shape):
        if n == 1:
            dy = dy.sum(axis=k, keepdims=True)
    return dy.sum(axis=tuple(range(len(shape), dy.ndim)))


def _compared_from_the_left(dy, shape):
    for k, (copied, own) in enumerate(zip(dy.shape, shape)):  # noqa: B905
        if copied != own:
            dy = dy.sum(axis=k, keepdims=True)
    return dy.reshape(shape)


def _first_copy(dy, shape):
    dy = dy[(0,) * (dy.ndim - len(shape))]
    return dy[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]


def _upstream(*shape, to):
    return lambda rng: (rng.normal(size=shape), to)


@exercise(
    "dx",
    Case("shape", _upstream(4, 3, to=(3,)), shapes),
    Case("a bias, (3,) in (4, 3)", _upstream(4, 3, to=(3,))),
    Case("a column, (4, 1) in (4, 3)", _upstream(4, 3, to=(4, 1))),
    Case("both, (3, 1) in (2, 3, 4)", _upstream(2, 3, 4, to=(3, 1))),
    Case("two axes, (1, 3) in (2, 4, 3)", _upstream(2, 4, 3, to=(1, 3))),
    Case("as many rows as columns", _upstream(3, 3, to=(3, 1))),
    Case("a number, () in (2, 3)", _upstream(2, 3, to=())),
    Case("nothing was broadcast", _upstream(2, 3, to=(2, 3))),
    Case("an axis of length 1 that stays", _upstream(2, 1, 3, to=(1, 3))),
    Case("no rows", _upstream(0, 3, to=(3,))),
)
def sum_to_shape(dy, shape):
    """sum_to_shape(dy, shape) -> dx: the gradient of an array of this shape that was broadcast to the shape of dy (eq-broadcast-vjp).

    Every number was copied along the new axes in front and along its axes of length 1; the gradients of the copies add.
    dx has the shape `shape`, a tuple; for the empty one it is a number."""
    return _to_shape(dy, shape)


sum_to_shape.diagnose(
    "the mean over the copies, where the sum is asked for: each copy acts on the loss, and their effects add.",
    lambda dy, shape: _to_shape(dy, shape, np.mean),
)
sum_to_shape.diagnose(
    "only the new axes in front are summed. An axis of length 1 was copied, too.",
    _leading_only,
)
sum_to_shape.diagnose(
    "only the axes of length 1 are summed. The axes in front that x does not have were copied, too.",
    _ones_only,
)
sum_to_shape.diagnose(
    "an axis of length 1 is lost. Sum it with keepdims=True: x is (4, 1), and so is its gradient.",
    _no_keepdims,
)
sum_to_shape.diagnose(
    "the axes are counted from the left. Broadcasting lines shapes up at their last axes.",
    _from_the_left,
    _compared_from_the_left,
)
sum_to_shape.diagnose(
    "the gradient of the first copy alone. All copies act on the loss: add their gradients.",
    _first_copy,
)
sum_to_shape.diagnose(
    "everything is summed to one number. Sum only over the axes along which x was copied.",
    lambda dy, shape: np.full(shape, dy.sum()),
    lambda dy, shape: dy.sum(),
)
sum_to_shape.diagnose(
    "dy is returned as it is. The gradient has the shape of x, so the copies must be added up.",
    lambda dy, shape: dy.copy(),
)
sum_to_shape.diagnose(
    "reshape moves numbers, it does not add them: sum over the copied axes first.",
    lambda dy, shape: dy.reshape(shape),
    np.resize,
)


# ---------------------------------------------------------------- gradient_error

# Operations to be judged; they work for the arrays of every framework.


def square(x):
    """Right, and a central difference of it is exact."""
    return x * x, lambda dy: 2 * dy * x


def cube(x):
    """Right; its difference quotient is off by h^2."""
    return x * x * x, lambda dy: 3 * dy * x * x


def forgotten_factor(x):
    """The factor 3 is missing."""
    return x * x * x, lambda dy: dy * x * x


def doubled(x):
    """Twice what it should be."""
    return x * x, lambda dy: 4 * dy * x


def wrong_sign(x):
    """The sign is wrong."""
    return x * x, lambda dy: -2 * dy * x


def forgotten_path(x):
    """Each entry acts through the sum as well."""
    return x * x.sum(), lambda dy: dy * x.sum()


def share(x):
    """The mean of dy should be weighted by x / x.sum(): for a cotangent of ones it is the same."""
    return x / x.sum() + x, lambda dy: dy + (dy - dy.mean()) / x.sum()


def coupled(x):
    """Right, quadratic, and its Jacobian is not symmetric."""
    return x * x.sum(), lambda dy: dy * x.sum() + (dy * x).sum()


def rows(x):
    """Right, quadratic, and its output has another shape than its input."""
    return (x * x).sum(-1), lambda dy: 2 * dy[..., None] * x


def nothing(x):
    """A right gradient of zero."""
    return 0 * x, lambda dy: 0 * dy


def _judged(operation, h, *shape, outputs=None):
    return lambda rng: (
        operation,
        rng.uniform(0.5, 1.5, size=shape),
        rng.normal(size=outputs or shape),
        rng.normal(size=shape),
        h,
    )


def _slopes(operation, x, u, v, h):
    y, backward = operation(x)
    up, down = operation(x + h * v)[0], operation(x - h * v)[0]
    return (u * (up - down)).sum() / (2 * h), (backward(u) * v).sum(), y, up, down


def _relative(measured, promised):
    largest = max(abs(measured), abs(promised))
    return abs(measured - promised) / largest if largest > 0 else 0.0


def _error_with(slopes, error=_relative):
    return lambda operation, x, u, v, h: error(*slopes(operation, x, u, v, h))


def _right(operation, x, u, v, h):
    return _slopes(operation, x, u, v, h)[:2]


def _changed(change):
    """change(measured, promised, operation, x, u, v, h) -> (measured, promised)"""
    return _error_with(lambda *given: change(*_right(*given), *given))


def _one_sided(measured, promised, operation, x, u, v, h):
    _, _, y, up, _ = _slopes(operation, x, u, v, h)
    return (u * (up - y)).sum() / h, promised


def _promised_by_v(operation, x, u, v, h):
    return _right(operation, x, u, v, h)[0], (operation(x)[1](v) * u).sum()


def _ones_measured(operation, x, u, v, h):
    return _right(operation, x, np.ones_like(u), v, h)[0], _right(operation, x, u, v, h)[1]


def _ones_promised(operation, x, u, v, h):
    return _right(operation, x, u, v, h)[0], _right(operation, x, np.ones_like(u), v, h)[1]


def _in_place(operation, x, u, v, h):
    promised = (operation(x)[1](u) * v).sum()
    x += h * v
    up = operation(x)[0]
    x -= 2 * h * v
    return (u * (up - operation(x)[0])).sum() / (2 * h), promised


def _entries(operation, x, u, v, h):
    _, _, _, up, down = _slopes(operation, x, u, v, h)
    return _relative_all(u * (up - down) / (2 * h), operation(x)[1](u) * v)


def _relative_all(a, b):
    largest = max(np.abs(a).max(), np.abs(b).max())
    return np.abs(a - b).max() / largest if largest > 0 else 0.0


def _unguarded(measured, promised):
    with np.errstate(all="ignore"):
        return abs(measured - promised) / np.float64(max(abs(measured), abs(promised)))


@exercise(
    "error",
    Case("number", _judged(cube, 0.01, 4), shapes),
    Case("a right gradient", _judged(square, 0.1, 4), right=lambda *_: 0.0, tolerance=1e-6),
    Case("another h", _judged(cube, 0.5, 5), tolerance=1e-6),
    Case("a forgotten factor", _judged(forgotten_factor, 0.01, 4), tolerance=1e-6),
    Case("twice too large", _judged(doubled, 0.1, 3), tolerance=1e-6),
    Case("a wrong sign", _judged(wrong_sign, 0.1, 2, 3), tolerance=1e-6),
    Case("a forgotten path", _judged(forgotten_path, 0.1, 3, 2), tolerance=1e-6),
    Case("a mistake that ones can't see", _judged(share, 0.1, 4), tolerance=1e-6),
    Case(
        "a Jacobian that is not symmetric",
        _judged(coupled, 0.1, 3, 2),
        right=lambda *_: 0.0,
        tolerance=1e-6,
    ),
    Case(
        "an output of another shape",
        _judged(rows, 0.1, 2, 3, outputs=(2,)),
        right=lambda *_: 0.0,
        tolerance=1e-6,
    ),
    Case("both slopes zero", _judged(nothing, 0.1, 3)),
)
def gradient_error(operation, x, u, v, h):
    """gradient_error(operation, x, u, v, h) -> error: |measured - promised| / max(|measured|, |promised|), 0 where both are 0.

    operation(x) returns y, backward. measured = sum(u (y(x + h v) - y(x - h v))) / (2 h), promised = sum(backward(u) v) (eq-gradient-test).
    x, v are of one shape, y, u of one, h and error are numbers. x stays as it is."""
    return _relative(*_right(operation, x, u, v, h))


gradient_error.diagnose(
    "a one-sided difference. Its error shrinks with h, that of the central one with h squared: use x + h v and x - h v.",
    _changed(_one_sided),
)
gradient_error.diagnose(
    "the difference is divided by h. The two points are 2 h v apart.",
    _changed(lambda m, p, *_: (2 * m, p)),
)
gradient_error.diagnose(
    "the difference is not divided by 2 h.",
    _changed(lambda m, p, operation, x, u, v, h: (m * 2 * h, p)),
)
gradient_error.diagnose(
    "the error is absolute. Divide it by the larger of the two slopes, else it says nothing where slopes are large or small.",
    _error_with(_right, lambda m, p: abs(m - p)),
)
gradient_error.diagnose(
    "divided by the sum of both slopes, not by the larger one.",
    _error_with(
        _right, lambda m, p: abs(m - p) / (abs(m) + abs(p)) if abs(m) + abs(p) > 0 else 0.0
    ),
)
gradient_error.diagnose(
    "divided by the measured slope, not by the larger one.",
    _error_with(_right, lambda m, p: abs(m - p) / abs(m) if m != 0 else 0.0),
)
gradient_error.diagnose(
    "divided by the larger of the two slopes, not of their absolute values: both may be negative.",
    _error_with(_right, lambda m, p: abs(m - p) / max(m, p) if max(m, p) != 0 else 0.0),
)
gradient_error.diagnose(
    "the error has a sign. Take the absolute value: -2 would pass every test for < 1e-6.",
    _error_with(
        _right,
        lambda m, p: (m - p) / max(abs(m), abs(p)) if max(abs(m), abs(p)) > 0 else 0.0,
    ),
    _error_with(
        _right,
        lambda m, p: (p - m) / max(abs(m), abs(p)) if max(abs(m), abs(p)) > 0 else 0.0,
    ),
)
gradient_error.diagnose(
    "u is not used: this is the cotangent of ones, which does not see what the outputs' sum hides. Weigh y by u, and call backward(u).",
    lambda operation, x, u, v, h: _relative(*_right(operation, x, np.ones_like(u), v, h)),
)
gradient_error.diagnose(
    "u is used on one side only. The same u weighs y and goes into backward: backward(u).",
    _error_with(_ones_measured),
    _error_with(_ones_promised),
)
gradient_error.diagnose(
    "backward takes v. It takes u, the weights of the outputs; v weighs its result.",
    _error_with(_promised_by_v),
)
gradient_error.diagnose(
    "v is not used: every entry moves by h. Move x by h v, and weigh the gradient by v.",
    lambda operation, x, u, v, h: _relative(*_right(operation, x, u, np.ones_like(v), h)),
)
gradient_error.diagnose(
    "u and v are exchanged. u belongs to the output, and is what backward takes; v belongs to x.",
    lambda operation, x, u, v, h: _relative(*_right(operation, x, v, u, h)),
)
gradient_error.diagnose(
    "the argument h is not used: the step is another one.",
    lambda operation, x, u, v, h: _relative(*_right(operation, x, u, v, 1e-5)),
)
gradient_error.diagnose(
    "the products are compared entry by entry. An entry of y depends on every entry of x: only the two sums are equal.",
    _entries,
)
gradient_error.diagnose(
    "where both slopes are zero this is 0 / 0. They agree: return 0.",
    _error_with(_right, _unguarded),
)
gradient_error.diagnose(
    "x += h v moves the caller's array, and the step back starts from there. Compute x + h * v, a new array.",
    _error_with(_in_place),
)


# ---------------------------------------------------------------- complex_step


def waves(x):
    """Sum of cubes plus the square of the sum; it works for the arrays of every framework, complex ones too."""
    return (x * x * x).sum() + x.sum() * x.sum()


def _at(h, *shape):
    return lambda rng: (waves, rng.uniform(0.5, 1.5, size=shape), h)


def _stepped(result, step=lambda h: 1j * h):
    def wrong(f, x, h):
        gradient = np.zeros_like(x)
        for i in np.ndindex(x.shape):
            z = x.astype(complex)
            z[i] += step(h)
            gradient[i] = result(f(z), h)
        return gradient

    return wrong


def _never_back(f, x, h):
    gradient, z = np.zeros_like(x), x.astype(complex)
    for i in np.ndindex(x.shape):
        z[i] += 1j * h
        gradient[i] = f(z).imag / h
    return gradient


def _rows_only(f, x, h):
    gradient = np.zeros_like(x)
    for i in range(len(x)):
        z = x.astype(complex)
        z[i] += 1j * h
        gradient[i] = f(z).imag / h
    return gradient


def _along_the_first_axis(f, x, h):
    gradient = np.zeros(len(x))
    for i in range(len(x)):
        z = x.astype(complex)
        z[i] += 1j * h
        gradient[i] = f(z).imag / h
    return gradient


def _replaced(f, x, h):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        z = x.astype(complex)
        z[i] = 1j * h
        gradient[i] = f(z).imag / h
    return gradient


def _into_floats(f, x, h):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        z = x.copy()
        z[i] += 1j * h
        gradient[i] = f(z).imag / h
    return gradient


def _keeps_complex(f, x, h):
    return _stepped(lambda y, h: y.imag / h)(f, x, h) + 0j


def _central(f, x, h):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        gradient[i] = (f(x + step) - f(x - step)) / (2 * h)
    return gradient


@exercise(
    "gradient",
    Case("shape", _at(1e-20, 4), shapes),
    Case("values", _at(1e-20, 4)),
    Case("one entry", _at(1e-20, 1)),
    Case("two axes", _at(1e-20, 2, 3)),
    Case("a large h", _at(0.3, 3)),
)
def complex_step(f, x, h):
    """complex_step(f, x, h) -> gradient: Im f(x + i h e_k) / h for every entry k of x (eq-complex-step).

    f takes a real or complex array of the shape of x and returns one number; gradient is real and has the shape of x."""
    return _stepped(lambda y, h: y.imag / h)(f, x, h)


complex_step.diagnose(
    "the real part is the value of f. The slope is in the imaginary part.",
    _stepped(lambda y, h: y.real / h),
    _stepped(lambda y, h: y.real),
)
complex_step.diagnose(
    "the imaginary part is not divided by h.",
    _stepped(lambda y, h: y.imag),
)
complex_step.diagnose(
    "divided by 2 h. There is one step only, of length h.",
    _stepped(lambda y, h: y.imag / (2 * h)),
)
complex_step.diagnose(
    "nothing imaginary arrives in f. Add 1j * h, not h, and to a complex copy of x: an array of floats drops the imaginary part.",
    _stepped(lambda y, h: y.imag / h, lambda h: h),
    _into_floats,
)
complex_step.diagnose(
    "the sign: this steps by - i h.",
    _stepped(lambda y, h: y.imag / h, lambda h: -1j * h),
)
complex_step.diagnose(
    "all entries step together, which gives the sum of the gradient. Move one entry at a time.",
    lambda f, x, h: np.full_like(x, f(x + 1j * h).imag / h),
    lambda f, x, h: f(x + 1j * h).imag / h,
)
complex_step.diagnose(
    "the step stands in the place of x[i]. Add it: z[i] += 1j * h.",
    _replaced,
)
complex_step.diagnose(
    "the entries before keep their steps. Start each entry from a fresh copy of x.",
    _never_back,
)
complex_step.diagnose(
    "x[i] moves a whole row where x has more axes. Loop over np.ndindex(x.shape).",
    _rows_only,
    _along_the_first_axis,
)
complex_step.diagnose(
    "the argument h is not used: the step is another one.",
    lambda f, x, h: _stepped(lambda y, h: y.imag / h)(f, x, 1e-12),
)
complex_step.diagnose(
    "this is a difference of real values, with the subtraction that the complex step does without.",
    lambda f, x, h: _central(f, x, max(h, 1e-6)),
)
complex_step.diagnose(
    "the result is complex. Take .imag: a gradient is real.",
    _keeps_complex,
    lambda f, x, h: _stepped(lambda y, h: y.imag / h)(f, x, h) * 1j,
)
