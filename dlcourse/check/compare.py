"""Judges: they compare an answer with what is right, or with what is known to be wrong. Numbers are shown with three digits,
or as many as it takes to tell them apart."""

import numpy as np

# errors that are not in a result; they sort after the results
CHANGED, WARNED = "~changed", "~warned"


def close(a, b, tolerance, scale=None):
    """Equal shapes and entries, up to `tolerance` times the largest finite entry; NaN equals NaN, infinity itself."""
    if a.shape != b.shape:
        return False
    a, b = a.astype(float), b.astype(float)
    return bool(
        np.all(np.isclose(a, b, rtol=0, atol=tolerance * (scale or _scale(b)), equal_nan=True))
    )


def values(call):
    """Entries, once shapes and dtypes are right."""
    for name, answer, right in _parts(call):
        if close(answer, right, call.tolerance):
            continue
        if call.show:
            verb = "is" if len(call.names) == 1 else f"gives {name}"
            return f"{call.show} {verb} {contrast(answer, right)}"
        a, b = answer.astype(float), right.astype(float)
        first = tuple(
            int(i)
            for i in np.argwhere(~np.isclose(a, b, rtol=0, atol=call.tolerance * _scale(b)))[0]
        )
        where = f"{name}[{', '.join(map(str, first))}]" if first else name
        return f"{where} is {contrast(a[first], b[first], _scale(b))}"
    return None


def shapes(call):
    """Shapes alone."""
    for name, answer, right in _parts(call):
        if answer.shape != right.shape:
            return f"{name} has shape {answer.shape}, should be {right.shape}" + (
                " (a number)" if right.shape == () else ""
            )
    return None


def dtypes(call):
    """Floating point in, the same floating point out."""
    for name, answer, right in _parts(call):
        if right.dtype.kind == "f" and right.shape == () and answer.dtype.kind in "iu":
            continue  # `return 0`: one number cuts off nothing that its value does not show
        if right.dtype.kind == "f" and answer.dtype.kind != "f":
            kinds = {"b": "True and False", "i": "whole numbers", "u": "whole numbers"}
            return f"{name} holds {kinds[answer.dtype.kind]} ({answer.dtype}), should be floating point"
        if right.dtype.kind == "f" and answer.dtype.itemsize < 8 and call.tolerance < 1e-4:
            return f"{name} is {answer.dtype}, but the arguments are float64"
        if right.dtype.kind == "i" and answer.dtype.kind not in "iu":
            cure = "" if answer.size else ": an empty list becomes floats unless dtype=int is given"
            return f"{name} is {answer.dtype}, should be a whole number{cure}"
    return None


def verdict(call):
    """The sentence after FAILED, or None."""
    if call.problem is not None:
        return call.problem
    sentence = (
        shapes(call) or dtypes(call) if call.case.judge is values else None
    ) or call.case.judge(call)
    if sentence is None and call.case.quiet and call.warned:
        return f"{call.show or 'it'} has the right value, but warns: {', '.join(call.warned)}"
    return sentence


def errors(call):
    """In which parts a call errs: names of results, CHANGED, WARNED."""
    if call.problem is not None:
        return list(call.parts)
    triples = [
        (name, a, b)
        for name, a, b in zip(call.names, call.answer, call.right, strict=True)
        if name in call.parts
    ]
    if call.case.judge is shapes:
        return [name for name, answer, right in triples if answer.shape != right.shape]
    found = [name for name, answer, right in triples if not close(answer, right, call.tolerance)]
    if not found and call.case.quiet and call.warned:
        found.append(WARNED)
    return found + [CHANGED] * bool(call.changed)


def agreement(call, wrong):
    """{part in which a wrong solution errs: does the reader's function do the same there?}; nothing where that can't be told."""
    if wrong.problem is not None and call.problem is not None:
        same = call.problem.split(", in line")[0] == wrong.problem.split(", in line")[0]
        # another framework words its errors otherwise
        return dict.fromkeys(call.parts, True) if same else {}
    marks = dict.fromkeys(errors(wrong), False)
    if wrong.problem is None and call.problem is None:
        for name, answer, bad, right in zip(
            call.names, call.answer, wrong.answer, call.right, strict=True
        ):
            if name in marks:  # a wrong answer of 0 has no scale of its own: that of the right one
                marks[name] = close(
                    answer, bad, call.tolerance, None if np.any(bad) else _scale(right)
                )
    if CHANGED in marks:
        marks[CHANGED] = call.changed == wrong.changed
    if WARNED in marks and call.backend != "numpy":
        del marks[WARNED]
    elif WARNED in marks:
        marks[WARNED] = WARNED in errors(call) and call.warned == wrong.warned
    return marks


def contrast(answer, right, scale=None):
    """ "2.41, should be 1": three digits, or up to six where fewer look the same; closer than that, the error itself."""
    for digits in range(3, 7):
        shown, wanted = text(answer, scale, digits), text(right, scale, digits)
        if shown != wanted:
            return f"{shown}, should be {wanted}"
    answer, right = np.asarray(answer, float), np.asarray(right, float)
    with np.errstate(invalid="ignore"):  # inf - inf, where both are infinite
        error, kind = np.nanmax(np.abs(answer - right)), "an error"
    if np.any(right):
        error, kind = error / (scale or _scale(right)), "a relative error"
    return f"{text(right, scale)} only up to {kind} of {error:.0e}"


def text(value, scale=None, digits=3):
    """Three significant digits, or more; what is rounding noise beside `scale` is 0."""
    if isinstance(value, (str, tuple)) or callable(value):
        return getattr(value, "__name__", str(value))
    value = np.asarray(value)
    if value.ndim:
        return "[" + ", ".join(text(v, _scale(value), digits) for v in value) + "]"
    if value.dtype.kind in "biu":
        return str(value)
    if abs(value) < 1e-6 * (scale or 1.0):
        return "0"
    return f"{float(f'{value:.{digits}g}'):.6g}"  # .3g alone writes 1000 as 1e+03


def numerical_gradient(loss, x, h=1e-6):
    """Central differences of loss(x), entry by entry (eq-central-difference)."""
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += h
        down[i] -= h
        gradient[i] = (loss(up) - loss(down)) / (2 * h)
    return gradient


def _parts(call):
    return [
        (name, a, b)
        for name, a, b in zip(call.names, call.answer, call.right, strict=True)
        if name in call.parts
    ]


def _scale(array):
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max()) if finite.size and finite.max() > 0 else 1.0
