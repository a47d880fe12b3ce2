"""Comparisons for the tests of the book's equations. Each raises, names what differs and scales the error; each counts for the ledger."""

import itertools

import numpy as np

_record = []  # largest scaled error of each comparison of the running test; tests/ledger_plugin.py empties and reads it


def scaled_error(a, b):
    """max |a - b| / max(|a|, |b|) over the whole arrays, 0 where both vanish; NaN where either holds a NaN.  Raises for shapes that differ."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        raise AssertionError(f"shape {a.shape} against {b.shape}")
    if a.size == 0:
        raise AssertionError(f"nothing to compare: shape {a.shape}")
    a, b = a.astype(np.float64), b.astype(np.float64)
    if np.array_equal(a, b):  # equal infinities are equal
        return 0.0
    with np.errstate(invalid="ignore"):
        scale = max(np.abs(a).max(), np.abs(b).max())
        return float(np.abs(a - b).max() / scale)


def assert_same(name, a, b, rtol):
    """Assert that a and b have one shape and a scaled error of at most rtol; a NaN on either side fails."""
    try:
        error = scaled_error(a, b)
    except AssertionError as fault:
        raise AssertionError(f"{name}: {fault}") from None
    if not error <= rtol:  # NaN lands here as well
        difference = np.abs(np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64))
        where = np.unravel_index(np.argmax(np.where(np.isnan(difference), np.inf, difference)), difference.shape)
        place = f" at {tuple(int(i) for i in where)}" if where else ""
        values = f"{np.asarray(a)[where]:.6g} against {np.asarray(b)[where]:.6g}{place}"
        raise AssertionError(f"{name}: scaled error {error:.1e} exceeds {rtol:.0e}; largest difference {values}")
    _record.append(error)


def assert_lines_agree(lines, rtol):
    """Assert that each line of a derivation agrees with the one before it.  At least two lines."""
    lines = list(lines)
    if len(lines) < 2:
        raise AssertionError(f"a derivation has two lines at least, and {len(lines)} was given")
    for number, (line, following) in enumerate(itertools.pairwise(lines), 1):
        assert_same(f"line {number} against line {number + 1}", line, following, rtol)


def numerical_gradient(f, x, h=1e-6):
    """df/dx of a scalar function by central differences, entry by entry, in float64."""
    x = _double("x", x)
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        plus, minus = x.copy(), x.copy()
        plus[index] += h
        minus[index] -= h
        gradient[index] = (_scalar(f(plus)) - _scalar(f(minus))) / (plus[index] - minus[index])
    return gradient


def numerical_jacobian(f, x, h=1e-6):
    """dy/dx by central differences in float64: shape of y, then shape of x."""
    x = _double("x", x)
    columns = []
    for index in np.ndindex(x.shape):
        plus, minus = x.copy(), x.copy()
        plus[index] += h
        minus[index] -= h
        columns.append((np.asarray(f(plus)) - np.asarray(f(minus))) / (plus[index] - minus[index]))
    return np.stack(columns, axis=-1).reshape(np.shape(columns[0]) + x.shape)


def directional(f, x, u, v, h=1e-6):
    """u . (df/dx v) by a central difference: the number that the vector-Jacobian product of u must give along v.  f(x) -> y, u like y, v like x."""
    x, v = _double("x", x), _double("v", v)
    return float((np.asarray(u) * (np.asarray(f(x + h * v)) - np.asarray(f(x - h * v)))).sum() / (2 * h))


def assert_vjp(name, operation, arguments, rng, rtol=1e-7, h=1e-6):
    """Assert that the backward of `operation(*arguments) -> (y, backward)` fits finite differences along a random direction, for every argument.

    The cotangent is random too: one of ones hides a wrong softmax backward completely."""
    y, backward = operation(*arguments)
    u = rng.normal(size=np.shape(y))
    gradients = backward(u)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    if len(gradients) != len(arguments):
        raise AssertionError(f"{name}: {len(gradients)} gradients for {len(arguments)} arguments")
    for position, (x, gradient) in enumerate(zip(arguments, gradients, strict=True)):
        if np.shape(gradient) != np.shape(x):
            raise AssertionError(
                f"{name}, argument {position}: gradient of shape {np.shape(gradient)} for an argument of shape {np.shape(x)}"
            )
        v = rng.normal(size=np.shape(x))

        def along(value, position=position):
            return operation(*arguments[:position], value, *arguments[position + 1 :])[0]

        # The terms of the inner product may cancel: scale by their size, not by that of the sum.
        scale = max(float(np.abs(gradient * v).sum()), np.finfo(np.float64).tiny)
        analytic, numeric = float((gradient * v).sum()), directional(along, x, u, v, h)
        assert_same(f"{name}, gradient of argument {position}", [1.0 + (analytic - numeric) / scale], [1.0], rtol)


def _double(name, x):
    x = np.asarray(x)
    if x.dtype != np.float64:
        raise AssertionError(f"{name} has dtype {x.dtype}: finite differences need float64")
    return x


def _scalar(value):
    if np.size(value) != 1:
        raise AssertionError(f"f returns shape {np.shape(value)}: numerical_gradient takes a function with one value")
    return float(np.reshape(value, ()))
