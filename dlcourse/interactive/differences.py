"""The V of a difference quotient: its error against the step, for a function, a precision and a method that the reader chooses.

Only operations that IEEE 754 rounds in one way (+, -, *, /, square root) are used, number by number, so that every processor gets
the same errors; they are measured against exact fractions."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dlcourse.differences import best_step
from dlcourse.interactive import interactive

PRECISIONS = {"float32": np.float32, "float64": np.float64}
METHODS = ("forward", "central", "complex step")
STEPS = [float(f"{m}e-{k}") for k in range(16, 0, -1) for m in (1, 2, 5)][:-2]  # 1e-16 ... 1e-1
TOP, BOTTOM = 0, -17  # powers of ten; what is outside stays at the edge
START = {"function": "x³", "precision": "float64", "method": "central", "step": "1e-05"}
LABEL = "Interactive figure: the error of a difference quotient against its step"
LEGEND = (
    '<p class="dl-legend"><span class="dl-blue">Blue: measured error.</span> '
    '<span class="dl-orange">Orange, dashed: truncation and rounding, as the formulas predict them.</span></p>'
)


@dataclass(frozen=True)
class Function:
    """f, the imaginary part of f(x + ih) written with real numbers, and the exact |f|, |f'|, |f''|, |f'''| at x."""

    x: float  # a float32 number, so that both precisions differentiate at one point
    value: Callable
    imaginary: Callable
    exact: tuple


def _single(x):
    return float(np.float32(x))


def _cube():
    x = Fraction(_single(1.3))
    return Function(
        float(x),
        lambda x: x * x * x,
        lambda x, h: (x * x - h * h) * h + 2 * x * h * x,
        (x**3, 3 * x**2, 6 * x, Fraction(6)),
    )


def _reciprocal():
    x = Fraction(_single(0.7))
    return Function(
        float(x),
        lambda x: 1 / x,
        lambda x, h: -h / (x * x + h * h),
        (1 / x, -1 / x**2, 2 / x**3, -6 / x**4),
    )


def _root():
    x = Fraction(_single(0.3))
    root = Fraction(math.isqrt(int(x * 10**80)), 10**40)
    return Function(
        float(x),
        np.sqrt,
        lambda x, h: h / (2 * np.sqrt((np.sqrt(x * x + h * h) + x) / 2)),
        (root, 1 / (2 * root), -1 / (4 * root**3), 3 / (8 * root**5)),
    )


def _hill():
    x = Fraction(_single(2.3))
    s = 1 + x**2
    return Function(
        float(x),
        lambda x: x / (1 + x * x),
        lambda x, h: _imaginary_quotient(x, h, 1 + x * x - h * h, 2 * x * h),
        (
            x / s,
            (1 - x**2) / s**2,
            2 * x * (x**2 - 3) / s**3,
            -6 * (x**4 - 6 * x**2 + 1) / s**4,
        ),
    )


def _imaginary_quotient(a, b, c, d):
    """Im (a + ib) / (c + id)"""
    return (b * c - a * d) / (c * c + d * d)


FUNCTIONS = {"x³": _cube(), "1 / x": _reciprocal(), "√x": _root(), "x / (1 + x²)": _hill()}


def show():
    """The figure, with every curve computed."""
    runs = {
        f"{function} {precision} {method}": errors(function, precision, method)
        for function in FUNCTIONS
        for precision in PRECISIONS
        for method in METHODS
    }
    data = {
        "functions": {name: f"{f.x:.1f}" for name, f in FUNCTIONS.items()},
        "precisions": list(PRECISIONS),
        "methods": METHODS,
        "steps": [f"{h:g}" for h in STEPS],
        "start": START,
        "runs": runs,
    }
    text = f"interactive figure: the error of a difference quotient\n{summary(runs[key(START)], **START)}"
    interactive("differences", data, picture(runs[key(START)]) + LEGEND, text, LABEL)


def key(settings):
    return "{function} {precision} {method}".format(**settings)


def errors(function, precision, method):
    """{"errors": log10 of the relative error for each step, None where x + h is x, "truncation", "rounding": [log10 at h = 1, power of h] or
    None, "best": the predicted best step, or None}."""
    f, exact = FUNCTIONS[function], FUNCTIONS[function].exact
    value, slope, second, third = (abs(float(a)) for a in exact)
    noise = float(np.finfo(PRECISIONS[precision]).eps) / 2 * value / slope
    measured = [relative_error(f, PRECISIONS[precision], method, h) for h in STEPS]
    order = 1 if method == "forward" else 2
    curve = second / 2 if order == 1 else third / 6
    best = None
    if method != "complex step":
        best = best_step(order, value, second if order == 1 else third, PRECISIONS[precision])[0]
    return {
        "errors": [None if error is None else _log(error) for error in measured],
        "truncation": [_log(curve / slope), order],
        "rounding": None if best is None else [_log(noise * (2 if order == 1 else 1)), -1],
        "best": None if best is None else _log(best),
    }


def relative_error(f, dtype, method, h):
    """|estimate - f'| / |f'| as a float, None where x does not move."""
    x, h = dtype(f.x), dtype(h)
    if method == "complex step":
        estimate = f.imaginary(x, h) / h
    else:
        up, down = x + h, x if method == "forward" else x - h
        if up == down:
            return None
        estimate = (f.value(up) - f.value(down)) / (up - down)
    return float(abs(Fraction(float(estimate)) - f.exact[1]) / abs(f.exact[1]))


def _log(value):
    return round(max(math.log10(max(value, 1e-99)), BOTTOM), 2) + 0.0


def place(power, error):
    """Where a point lies in the picture: log10 of the step and of the error."""
    return 60 + 560 * (power + 16) / 15, 20 + 260 * (TOP - min(max(error, BOTTOM), TOP)) / (
        TOP - BOTTOM
    )


def path(run):
    """The measured curve as an SVG path, broken where there is no estimate, as differences.js draws it."""
    parts, pen = [], "M"
    for h, error in zip(STEPS, run["errors"], strict=True):
        if error is None:
            pen = "M"
            continue
        x, y = place(math.log10(h), error)
        parts.append(f"{pen}{x:.1f} {y:.1f}")
        pen = "L"
    return "".join(parts)


def line(run, name):
    """A predicted error as an SVG path, from edge to edge of the picture; empty where there is none."""
    if run[name] is None:
        return ""
    start, power = run[name]
    ends = sorted([-16.0, -1.0, (TOP - start) / power, (BOTTOM - start) / power])[1:3]
    return "M" + "L".join(
        f"{x:.1f} {y:.1f}" for x, y in (place(p, start + power * p) for p in ends)
    )


def picture(run):
    """The axes, the measured curve with the chosen step marked, and the predictions."""
    ticks = "".join(
        f'<path class="dl-grid" d="M60 {place(-1, t)[1]:.1f}H620"/><text x="52" y="{place(-1, t)[1] + 5:.1f}" class="dl-end">{power(t)}</text>'
        for t in (0, -4, -8, -12, -16)
    )
    below = "".join(
        f'<text x="{place(t, 0)[0]:.1f}" y="300">{power(t)}</text>'
        for t in (-16, -13, -10, -7, -4, -1)
    )
    index = [f"{h:g}" for h in STEPS].index(START["step"])
    x, y = place(math.log10(STEPS[index]), run["errors"][index])
    return (
        f'<svg class="dl-vee" viewBox="-28 -16 668 346" role="img" aria-label="{summary(run, **START)}">{ticks}{below}'
        '<text x="340" y="325">step h</text><text x="60" y="2" class="dl-begin">relative error</text>'
        f'<path class="dl-truncation" d="{line(run, "truncation")}"/><path class="dl-rounding" d="{line(run, "rounding")}"/>'
        f'<path class="dl-measured" d="{path(run)}"/><circle class="dl-here" r="6" cx="{x:.1f}" cy="{y:.1f}"/></svg>'
    )


def power(exponent):
    """10 to a whole power, as text."""
    return "10" + f"{exponent:d}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def summary(run, function, precision, method, step):
    """What the picture is called aloud; the script says the same."""
    error = run["errors"][[f"{h:g}" for h in STEPS].index(step)]
    start = f"Function {function} at x = {FUNCTIONS[function].x:.1f}, {precision}, {method}, h = {step}: "
    if error is None:
        return start + "x + h rounds to x, so there is no estimate."
    digits = max(0, math.floor(-error + 0.5))
    words = (
        f"relative error about {power(math.floor(error + 0.5))}, about {digits} digits are right."
    )
    if error <= BOTTOM:
        words = "no digit is wrong."
    if run["best"] is not None:
        words += f" Predicted best step: about {power(math.floor(run['best'] + 0.5))}."
    return start + words
