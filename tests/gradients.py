"""The gradient test of the book: one inner product with random directions, in float64, by central differences (eq-central-difference).

    <u, (f(x + h v) - f(x - h v)) / 2h>  =  <backward(u), v>

A cotangent u of ones would hide a wrong softmax backward completely; a random one hides nothing."""

import numpy as np

H = 1e-5  # truncation h^2 and rounding eps / h are both near 1e-10 for values and derivatives of order one


def as_tuple(gradients):
    return gradients if isinstance(gradients, tuple) else (gradients,)


def check_gradient(function, arguments, rng, tolerance=1e-7, h=H):
    """Check `y, backward = function(*arguments)` in every argument, and return the largest relative error.

    The error is measured against the sum of the absolute terms of the inner products, as the sum itself may cancel by chance, and against at
    least a thousandth of |u y|: nearer to a stationary point the quotient's own rounding and truncation are the larger part."""
    y, backward = function(*arguments)
    u = rng.normal(size=np.shape(y))
    u = float(u) if u.ndim == 0 else u
    gradients = as_tuple(backward(u))
    assert len(gradients) == len(arguments), f"{len(gradients)} gradients for {len(arguments)} differentiable arguments"
    worst = 0.0
    for i, (x, gradient) in enumerate(zip(arguments, gradients, strict=True)):
        assert np.shape(gradient) == np.shape(x), f"argument {i} has shape {np.shape(x)}, its gradient {np.shape(gradient)}"
        v = rng.normal(size=x.shape)
        plus, minus = (function(*arguments[:i], x + sign * h * v, *arguments[i + 1 :])[0] for sign in (1, -1))
        numeric, analytic = u * (plus - minus) / (2 * h), gradient * v
        scale = max(np.abs(numeric).sum(), np.abs(analytic).sum(), 1e-3 * np.abs(u * y).sum())
        error = float(abs(numeric.sum() - analytic.sum()) / scale) if scale else 0.0
        assert error <= tolerance, f"argument {i}: gradient differs from its difference quotient by {error:.1e} (relative)"
        worst = max(worst, error)
    return worst


def relative(a, b):
    """|a - b| / |b|, Frobenius norms; |a - b| where b is zero."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert a.shape == b.shape, f"shapes {a.shape} and {b.shape} differ"
    scale = np.linalg.norm(b.ravel())
    return float(np.linalg.norm((a - b).ravel()) / (scale or 1.0))


def assert_close(name, a, b, tolerance):
    """Raise unless |a - b| <= tolerance |b|; return the relative error."""
    error = relative(a, b)
    assert error <= tolerance, f"{name}: relative error {error:.1e}, tolerance {tolerance:.0e}"  # NaN fails too
    return error
