"""Derivatives from values of the function alone: difference quotients, the complex step, and the slope that judges a backward pass.

The chapter *Vectors and gradients* derives the errors of all of them. In the first three, `f` takes an array like x and returns one
number, and the gradient has the shape of x."""

import math

import numpy as np


def forward_difference(f, x, h):
    """g_i = (f(x + h e_i) - f(x)) / h  (eq-forward-difference).

    x (...) floating point -> g (...), of the same dtype. x + h is rounded, so the divisor is the
    step that was really made. Raises ValueError for another dtype, and where x did not move."""
    _floating(x)
    here = f(x)

    def quotient(i):
        up = _moved(x, i, h)
        return (f(up) - here) / _step(up[i] - x[i], h)

    return _each_entry(quotient, x)


def central_difference(f, x, h):
    """g_i = (f(x + h e_i) - f(x - h e_i)) / (2 h)  (eq-central-difference).

    x (...) floating point -> g (...), of the same dtype. The divisor is the distance that was
    really made. Raises ValueError for another dtype, and where x did not move."""
    _floating(x)

    def quotient(i):
        up, down = _moved(x, i, h), _moved(x, i, -h)
        return (f(up) - f(down)) / _step(up[i] - down[i], h)

    return _each_entry(quotient, x)


def complex_step(f, x, h=1e-20):
    """g_i = Im f(x + i h e_i) / h  (eq-complex-step; Squire & Trapp 1998).

    x (...) floating point -> g (...), of the same dtype. For f made of functions with a complex
    version (+, *, exp, tanh, ...): np.abs has none; np.maximum compares real parts first. Raises ValueError for another dtype."""
    _floating(x)

    def quotient(i):
        return f(_moved(x.astype(np.result_type(x, 1j)), i, 1j * h)).imag / h

    return _each_entry(quotient, x)


def best_step(order, value, derivative, dtype=np.float64):
    """(h, error): the step at which truncation and rounding balance, and the bound on the error there.

    Order 1, the forward difference, takes |f| and |f''| (eq-forward-best-step), order 2, the central one, |f| and |f'''|
    (eq-central-best-step). Both are for a function whose values are right up to half a unit in the last place of `dtype`."""
    if order not in (1, 2):
        raise ValueError(
            f"there is no difference of order {order} here: 1 is forward, 2 is central"
        )
    noise, curve = float(np.finfo(dtype).eps) / 2 * abs(value), abs(derivative)
    if not noise * curve > 0:
        raise ValueError(
            "the best step needs a value and a derivative that are not zero: without them one of the two errors is missing"
        )
    if order == 1:
        return 2 * math.sqrt(noise / curve), 2 * math.sqrt(noise * curve)
    return math.cbrt(3 * noise / curve), math.cbrt(9 * noise * noise * curve) / 2


def slope_along(f, x, u, v, h=1e-5):
    """<u, f(x + h v) - f(x - h v)> / (2 h): what <backward(u), v> must be  (eq-gradient-test).

    x, v of one shape, f(x), u of one shape, float64 -> one number, which judges a whole
    vector-Jacobian product at the cost of two calls of f."""
    return float(np.sum(u * (f(x + h * v) - f(x - h * v))) / (2 * h))


def _floating(x):
    if x.dtype.kind != "f":
        raise ValueError(
            f"x is {x.dtype}, in which no small step can be made: pass x.astype(float)"
        )


def _moved(x, i, h):
    x = x.copy()
    x[i] += h
    return x


def _step(made, h):
    if made == 0:
        raise ValueError(
            f"the step {h:g} is lost in rounding: x + h is x in {made.dtype}, so take a larger one"
        )
    return made


def _each_entry(quotient, x):
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        gradient[i] = quotient(i)
    return gradient
