"""The gradient checker for the reader's own operations: `check.gradient(operation, *arguments)` compares a backward pass with difference
quotients, and names the likely cause where they differ."""

import inspect

import numpy as np

from dlcourse.check.answer import identical, one_line
from dlcourse.check.compare import text
from dlcourse.check.engine import Result, likely
from dlcourse.differences import central_difference, forward_difference, slope_along

STEP, SMALL, MANY = 1e-5, 1e-4, 2000
HIDES = 1e6  # times the slope: the rounding of such values, divided by 2 h, is a hundred-thousandth of it
STREAM = 1009  # the directions must not be the numbers that default_rng(0) gave the reader
COPIES = (
    "the argument was broadcast: sum over the axes along which it was copied; eq-broadcast-vjp."
)
LARGE = "cannot be judged: the values are too large beside the slope; subtract a constant from the result"
KEPT = "backward ignores dy, or adds to something that it kept. Each term has dy as a factor, once, and a second call begins anew."


def gradient(operation, *arguments, h=STEP, tolerance=1e-6, seed=0):
    """Judge `y, backward = operation(*arguments)` along random directions (eq-gradient-test), and print one line a case.

    Arrays of floats are differentiated and must be float64; anything else is passed on as it is. backward(dy) returns the gradients of the
    former in their order, a single one alone. Values whose rounding would hide the slope are not judged. Where a gradient is wrong, all its
    entries are compared with central differences, if there are not too many, and the likely cause is named. Returns a Result, as all checks do."""
    name = f"gradient of {getattr(operation, '__name__', 'the operation')}"
    given = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
    places = [i for i, a in enumerate(given) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    if (sentence := _refusal(given, places)) is not None:
        return _told(name, [("arguments", sentence, None)])
    try:
        result = operation(*given)
        if result is None or result is Ellipsis:
            return _told(name, [])
        y, backward = _pair(result)
        u = np.random.default_rng([seed, STREAM]).normal(size=np.shape(y))
        u = float(u) if u.ndim == 0 else u
        found = _gradients(backward(u), places)
        again = _gradients(backward(-2.0 * u), places)
    except NotImplementedError:
        return _told(name, [])
    except Exception as error:  # whatever it is, it becomes one line
        sentence = str(error) if isinstance(error, _Form) else one_line(error, operation)
        return _told(name, [("y, backward", sentence, None)])
    changed = [
        label
        for label, now, was in zip(_labels(operation, len(given)), given, arguments, strict=True)
        if isinstance(now, np.ndarray) and not identical(now, was)
    ]
    cases = [("y, backward", None, None)]
    for place, one in zip(places, found, strict=True):

        def value(x, place=place):
            rest = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
            return operation(*rest[:place], np.copy(x), *rest[place + 1 :])[0]

        x, cause = np.copy(arguments[place]), None
        v = np.random.default_rng([seed, STREAM, place + 1]).normal(size=x.shape)
        sentence = _difference(value, x, one, u, v, h, tolerance)
        if one.shape != x.shape:
            cause = COPIES if _copied(x.shape, one.shape) else None
        elif sentence not in (None, LARGE) and x.size <= MANY:
            parts = _rows(value, u) if x.ndim < np.ndim(y) else ()
            cause = likely_cause(
                lambda x, value=value: np.sum(u * value(x)), x, one, h, np.shape(y), parts
            )
        cases.append((_labels(operation, len(given))[place], sentence, cause))
    linear = all(map(_twice, found, again))
    cases.append(
        (
            "linear in dy",
            None if linear else "backward(-2 dy) is not -2 backward(dy)",
            None if linear else KEPT,
        )
    )
    sentence = f"the operation writes into {' and '.join(changed)}" if changed else None
    cases.append(("arguments unchanged", sentence, None))
    return _told(name, cases)


def likely_cause(f, x, found, h=STEP, lengths=(), parts=()):
    """What is wrong with the gradient `found` of the scalar function f at x, in a sentence; None where that can't be told.

    `lengths` are axes, beside those of x, over which a mean or a sum may have been taken; `parts` are terms of f, functions of x
    as well: what single rows of the output add to it."""
    right = central_difference(f, x, h)
    scale = np.abs(right).max(initial=0.0)

    def same(a, b):
        return a.shape == b.shape and bool(np.all(np.abs(a - b) <= SMALL * scale))

    if scale == 0.0:
        return "the right gradient is zero."
    if not np.all(np.isfinite(found)):
        return "it is not finite."
    wrong = np.argwhere(np.abs(found - right) > SMALL * scale)
    if len(wrong) == 0:  # a little wrong
        return None
    if same(found, np.zeros_like(right)):
        return "it is zero everywhere."
    if same(found, -right):
        return "the sign: every entry is the negative of the right one."
    factor = float(np.sum(found * right) / np.sum(right * right))
    if same(found, factor * right):
        times, _ = _apart(factor, 1.0)
        return f"every entry is {times} times the right one{_reason(factor, {*x.shape, *lengths})}."
    if same(found, right.T):
        return "it is transposed."
    if any(same(found, central_difference(part, x, h)) for part in parts):
        return "it is the gradient of one row alone. Every row uses it: add up the gradients of all; eq-broadcast-vjp."
    first = tuple(int(i) for i in wrong[0])
    one = np.zeros_like(x)
    one[first] = 1.0
    left, beyond = (
        float(forward_difference(lambda t: f(x + t * one), np.array(0.0), step)) for step in (-h, h)
    )
    if abs(left - beyond) > 10 * SMALL * scale:
        return (
            f"the function has a corner at entry {list(first)}: its slope is {text(left, scale)} on the left and {text(beyond, scale)} on "
            "the right, and the quotient takes the mean. Check at a point away from it."
        )
    if 2 * len(wrong) <= right.size:
        is_now, should_be = _apart(found[first], right[first], scale)
        return (
            f"{len(wrong)} of {right.size} entries are wrong, the first at {list(first)}: it is {is_now}, should be {should_be}. "
            "The others are right."
        )
    return None


class _Form(Exception):
    """What the operation returned does not have the form `y, backward`."""


def _refusal(arguments, places):
    if not places:
        return "there is no array of floats among them to differentiate: pass np.array(..., dtype=float)"
    dtypes = {arguments[i].dtype.name for i in places} - {"float64"}
    if dtypes:
        return f"differences in {dtypes.pop()} keep too few digits to judge: pass float64"
    return None


def _pair(result):
    if not isinstance(result, tuple) or len(result) != 2 or not callable(result[1]):
        raise _Form("the operation must return y, backward: the result and a function of dy")
    return result


def _gradients(value, places):
    """The gradients as float64 arrays, one for each differentiated argument."""
    if value is None:
        raise _Form("backward returns None: is a return missing?")
    value = value if isinstance(value, tuple | list) else (value,)
    if len(value) != len(places):
        raise _Form(f"backward returns {len(value)} gradients for {len(places)} arrays of floats")
    return [np.array(one, float) for one in value]


def _labels(operation, count):
    """The parameters' names, where the function tells them."""
    try:
        names = list(inspect.signature(operation).parameters)
    except (TypeError, ValueError):  # builtins have none
        names = []
    return [names[i] if i < len(names) else f"argument {i + 1}" for i in range(count)]


def _twice(one, other):
    return one.shape == other.shape and np.allclose(
        other, -2.0 * one, rtol=1e-9, atol=1e-12, equal_nan=True
    )


def _difference(value, x, found, u, v, h, tolerance):
    if found.shape != x.shape:
        return f"its gradient has shape {found.shape}, but the argument has shape {x.shape}"
    measured, promised = slope_along(value, x, u, v, h), float(np.sum(found * v))
    # the deviation of <found, v> over draws of v: a sum of absolute terms would hide one wrong entry among many
    size = float(np.linalg.norm(found * v))
    scale, values = max(abs(measured), size), float(np.abs(u * value(x)).sum())
    if abs(measured - promised) <= tolerance * max(scale, 1e-3 * values):  # NaN is not
        # a slope of zero is one beside values of any usual size
        return LARGE if values > HIDES * max(scale, float(np.linalg.norm(v))) else None
    slope, said = _apart(measured, promised, max(abs(measured), abs(promised)))
    return f"along a random direction the slope is {slope}, backward says {said}"


def _apart(one, other, scale=None):
    """Both numbers as text, with three digits, or as many as tell them apart, but not more than six."""
    digits = next(d for d in (3, 4, 5, 6) if d == 6 or text(one, scale, d) != text(other, scale, d))
    return text(one, scale, digits), text(other, scale, digits)


def _rows(value, u):
    """What the first and the last row of the output add to <u, value(x)>, as functions of x."""
    return [lambda x, n=n: np.sum(u[n] * value(x)[n]) for n in (0, -1)]


def _copied(shape, other):
    """Does broadcasting turn the one shape into the other?"""
    try:
        return np.broadcast_shapes(shape, other) == other
    except ValueError:
        return False


def _reason(factor, lengths):
    mean, total = round(1 / factor), round(factor)
    if mean > 1 and mean in lengths and abs(factor * mean - 1) < 1e-3:
        return f", one over {mean}, the length of an axis: a mean where a sum belongs"
    if total > 1 and total in lengths and abs(factor / total - 1) < 1e-3:
        return ", the length of an axis: a sum where a mean belongs"
    return ""


def _told(name, cases):
    """Print the cases (what, sentence or None, cause or None) as the other checks do; none at all is a stub."""
    if not cases:
        result = Result(name, [f"{name}: not attempted yet"], attempted=False)
    else:
        lines, causes, passed = [], [], 0
        for what, sentence, cause in cases:
            passed += sentence is None
            lines.append(f"{name}: {what} {'ok' if sentence is None else f'FAILED: {sentence}'}")
            if cause is not None:
                causes.append(cause)
                lines += likely({cause: 0}, 0)
        count = f"all {passed}" if passed == len(cases) else f"{passed} of {len(cases)}"
        lines.append(f"{name}: {count} cases ok")
        result = Result(name, lines, passed == len(cases), True, causes)
    print("\n".join(result.lines))
    return result
