"""Operations with right and wrong ways back, and the lines that the gradient checker prints for them. The slopes
were computed once."""

import contextlib
import io
import itertools

import numpy as np

A = np.array([[0.5, -1.25, 2.0], [1.5, 0.25, -0.75]])  # (2, 3)
W = np.array([[1.0, -2.0, 0.5], [0.25, 0.75, 1.5], [-1.0, 0.5, 2.0]])  # (3, 3)
B = np.array([0.5, 1.0, -2.0])
KEPT = "backward ignores dy, or adds to something that it kept. Each term has dy as a factor, once, and a second call begins anew."
COPIES = "the argument was broadcast: sum over the axes along which it was copied; eq-broadcast-vjp."
ROW = "it is the gradient of one row alone. Every row uses it: add up the gradients of all; eq-broadcast-vjp."
LARGE = "cannot be judged: the values are too large beside the slope; subtract a constant from the result"
FORM = "the operation must return y, backward: the result and a function of dy"


def square(change=lambda g: g):
    """x -> x^2 with a changed gradient."""
    return lambda x: (x * x, lambda dy: change(2 * dy * x))


def affine(change=lambda *g: g):
    def layer(x, weight, bias):
        return x @ weight.T + bias, lambda dy: change(dy @ weight, dy.T @ x, dy.sum(axis=0))

    return layer


def at(index, change):
    def changed(g):
        g = g.copy()
        g[index] = change(g[index])
        return g

    return changed


def writes(x, y):
    y *= 2.0
    return x + y, lambda dy: (dy, 2.0 * dy)


def deaf(x):
    return x.sum(), lambda dy: np.ones_like(x)


def small_and_deaf(x):
    return 1e-10 * x.sum(), lambda dy: 1e-10 * np.ones_like(x)


def a_little_wrong(x):
    """By less than a ten-thousandth of the largest entry, and yet no multiple of the right gradient."""
    return (x * x).sum(), lambda dy: 2 * dy * x * [1.00009, 0.99901]


def almost_linear(x):
    return x * x, lambda dy: 2 * dy * x * (1 + 1e-7 * dy)


def smaller_and_smaller(x):
    """The second gradient has a shape of its own."""
    rows = [3, 2]
    return np.sum(x), lambda dy: dy * np.ones((rows.pop(0), 2))


def careless_softmax(x):
    p = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    return p, lambda dp: p * (dp - dp.mean(axis=-1, keepdims=True))


def forgetful(x, weight):
    """One of 1,000 gradients is forgotten."""
    keep = np.arange(weight.size).reshape(weight.shape) != 7
    return x @ weight.T, lambda dy: (dy @ weight, keep * (dy.T @ x))


def product(weight):
    """For x drawn as readers draw theirs: were dy the same numbers, the transposed gradient x^T x would be right."""
    x = np.random.default_rng(0).normal(size=(3, 3))
    return x @ weight.T, lambda dy: (dy.T @ x).T


def keeps(x):
    total = [0.0]

    def backward(dy):
        total[0] = total[0] + 2 * dy * x
        return total[0]

    return x * x, backward


def relu(x):
    return np.maximum(x, 0), lambda dy: dy * (x > 0)


def shifted(by, factor=1.0):
    return lambda x: (x + by, lambda dy: factor * dy)


def corner(x):
    return np.maximum(x - 0.5, 0), lambda dy: dy * (x > 0.5)


def total(x):
    return (x * x).sum(), lambda dy: 2 * x * dy if type(dy) is float else "dy is no float"


def stub(x):
    raise NotImplementedError


def takes_labels(x, labels, name="n"):
    """Not differentiated for whole numbers and words, which stay what they are."""
    assert type(name) is str
    return x[labels], lambda dy: np.stack([dy[labels == i].sum(axis=0) for i in range(len(x))])


def mean(x):
    return x.mean(axis=0), lambda dy: np.broadcast_to(dy, x.shape) / 1.0


def added(x, y):
    return x + y, lambda dy: (dy, dy)


def first_row(x, y):
    return x + y, lambda dy: (dy, dy[0])


def last_row(x, y):
    return x + y, lambda dy: (dy, dy[-1])


def zero(x):
    return 0.0 * x, lambda dy: dy


def scaled(x, factor):
    return factor * x, lambda dy: (factor * dy, np.sum(dy * x))


RUNS = {
    "right": (square(), (A,), {}),
    "affine": (affine(), (A, W, B), {}),
    "labels": (takes_labels, (A, np.array([1, 1, 0]), "n"), {}),
    "a number": (scaled, (A, np.array(2.0)), {}),
    "sign": (square(lambda g: -g), (A,), {}),
    "zero": (square(lambda g: 0.0 * g), (A,), {}),
    "nan": (square(lambda g: g * np.nan), (A,), {}),
    "factor": (square(lambda g: 2.5 * g), (A,), {}),
    "six tenths": (square(lambda g: 0.6 * g), (A,), {}),
    "a thousandth": (square(lambda g: 1.00001 * g), (A,), {}),
    "transposed": (affine(lambda x, w, b: (x, w.T, b)), (A, W, B), {}),
    "mean of two": (affine(lambda x, w, b: (x, w, b / 2)), (A, W, B), {}),
    "sum of three": (affine(lambda x, w, b: (3 * x, w, b)), (A, W, B), {}),
    "first row": (first_row, (A, B), {}),
    "last row": (last_row, (A, B), {}),
    "copied": (added, (A, B), {}),
    "copied to rows": (added, (A, A[:, :1]), {}),
    "another shape": (affine(lambda x, w, b: (x, w[:2], b)), (A, W, B), {}),
    "one entry": (square(at((1, 2), lambda g: 0.5 * g)), (A,), {}),
    "three entries": (square(at(0, lambda g: g + 1.0)), (A,), {}),
    "most entries": (square(lambda g: np.sin(g) + 3.0), (A,), {}),
    "corner": (relu, (np.array([1.0, 0.0, -2.0]),), {}),
    "corner elsewhere": (corner, (np.array([1.0, 0.5, -2.0]),), {}),
    "no corner": (relu, (np.array([1.0, 0.5, -2.0]),), {}),
    "nothing to find": (zero, (A,), {}),
    "mean over rows": (mean, (A,), {}),
    "hidden": (shifted(1e12, 0.0), (A,), {}),
    "hidden, and right": (shifted(1e8), (A,), {}),
    "not hidden": (shifted(1e4), (A,), {}),
    "not quite": (shifted(1e4, 1.001), (A,), {}),
    "a slope of zero": (lambda x: (0.0 * x + 100.0, lambda dy: 0.0 * dy), (A,), {}),
    "a list of gradients": (lambda x, y: (x + y, lambda dy: [dy, dy]), (A, A), {}),
    "any number of arguments": (lambda *xs: (xs[0] * xs[1], lambda dy: (dy * xs[1], dy)), (A, A + 3.0), {}),
    "a number comes out": (total, (A,), {}),
    "keeps": (keeps, (A,), {}),
    "deaf": (deaf, (A,), {}),
    "writes": (writes, (A, A + 1.0), {}),
    "two gradients": (lambda x: (x, lambda dy: (dy, dy)), (A,), {}),
    "none": (lambda x: (x, lambda dy: None), (A,), {}),
    "no pair": (lambda x: x, (A,), {}),
    "three": (lambda x: (x, x, abs), (A,), {}),
    "three with a function": (lambda x: (x, abs, abs), (A,), {}),
    "a list of two": (lambda x: [x, lambda dy: dy], (A,), {}),
    "no function": (lambda x: (x, x), (A,), {}),
    "stub": (stub, (A,), {}),
    "nothing": (lambda x: None, (A,), {}),
    "dots": (lambda x: ..., (A,), {}),
    "float32": (square(), (A.astype(np.float32),), {}),
    "float32 beside float64": (added, (A, A.astype(np.float32)), {}),
    "no array": (square(), (3,), {}),
    "whole numbers": (square(), (np.arange(3),), {}),
    "large step": (square(), (A,), {"h": 0.5}),
    "another seed": (square(lambda g: -g), (A,), {"seed": 3}),
    "forgiving": (square(lambda g: 1.0001 * g), (A,), {"tolerance": 1e-2}),
    "a builtin": (max, (A,), {}),
    "a little": (a_little_wrong, (np.array([0.5, 0.05]),), {}),
    "hardly": (square(at((0, 0), lambda g: 1.003 * g)), (A,), {}),
    "the sixth digit": (square(lambda g: 1.000004 * g), (A,), {}),
    "the eighth digit": (square(lambda g: 1.00000002 * g), (A,), {"tolerance": 1e-9}),
    "once": (square(lambda g: 1.0003 * g), (A[:1],), {}),
    "a row forgotten": (square(at(1, lambda g: 0.0 * g)), (A,), {}),
    "last row of three": (last_row, (W, B), {}),
    "a number of nothing": (lambda x: (x.sum() + np.nan, lambda dy: dy * np.ones_like(x)), (A[:0],), {}),
    "zero, and right": (lambda x: (0.0 * x, lambda dy: 0.0 * dy), (A,), {}),
    "rounds": (square(lambda g: (g + 100.0) - 100.0), (A,), {}),
    "small and deaf": (small_and_deaf, (A,), {}),
    "almost linear": (almost_linear, (A,), {}),
    "another shape the second time": (smaller_and_smaller, (A.T,), {}),
    "careless softmax": (careless_softmax, (A,), {}),
    "forgetful": (forgetful, (np.linspace(-1, 2, 20).reshape(2, 10), np.linspace(2, -1, 1000).reshape(100, 10)), {}),
    "the reader's numbers": (product, (W,), {}),
    "many": (square(lambda g: -g), (np.linspace(-1, 2, 2001),), {}),
    "not too many": (square(lambda g: -g), (np.linspace(-1, 2, 2000),), {}),
}


def told(m, name):
    """(result, lines printed) of one run; the arguments stay as they are."""
    operation, arguments, options = RUNS[name]
    before = [np.copy(a) for a in arguments]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        result = m.gradient(operation, *arguments, **options)
    for now, was in zip(arguments, before, strict=True):
        assert np.array_equal(now, was)
    return result, printed.getvalue().splitlines()


EXPECTED = {  # what is judged, {what fails: why}, causes
    "right": ("x", {}, []),
    "affine": ("x weight bias", {}, []),
    "labels": ("x", {}, []),
    "a number": ("x factor", {}, []),
    "sign": (
        "x",
        {"x": "along a random direction the slope is 4.2, backward says -4.2"},
        ["the sign: every entry is the negative of the right one."],
    ),
    "zero": ("x", {"x": "along a random direction the slope is 4.2, backward says 0"}, ["it is zero everywhere."]),
    "nan": ("x", {"x": "along a random direction the slope is 4.2, backward says nan"}, ["it is not finite."]),
    "factor": ("x", {"x": "along a random direction the slope is 4.2, backward says 10.5"}, ["every entry is 2.5 times the right one."]),
    "six tenths": (
        "x",
        {"x": "along a random direction the slope is 4.2, backward says 2.52"},
        ["every entry is 0.6 times the right one."],
    ),
    "a thousandth": (
        "x",
        {"x": "along a random direction the slope is 4.1991, backward says 4.1992"},
        [],
    ),
    "transposed": ("x weight bias", {"weight": "along a random direction the slope is -14.3, backward says -12.5"}, ["it is transposed."]),
    "mean of two": (
        "x weight bias",
        {"bias": "along a random direction the slope is -2.65, backward says -1.32"},
        ["every entry is 0.5 times the right one, one over 2, the length of an axis: a mean where a sum belongs."],
    ),
    "sum of three": (
        "x weight bias",
        {"x": "along a random direction the slope is 5.15, backward says 15.5"},
        ["every entry is 3 times the right one, the length of an axis: a sum where a mean belongs."],
    ),
    "first row": ("x y", {"y": "along a random direction the slope is 0.576, backward says 0.936"}, [ROW]),
    "last row": ("x y", {"y": "along a random direction the slope is 0.576, backward says -0.36"}, [ROW]),
    "copied": ("x y", {"y": "its gradient has shape (2, 3), but the argument has shape (3,)"}, [COPIES]),
    "copied to rows": ("x y", {"y": "its gradient has shape (2, 3), but the argument has shape (2, 1)"}, [COPIES]),
    "another shape": ("x weight bias", {"weight": "its gradient has shape (2, 3), but the argument has shape (3, 3)"}, []),
    "one entry": (
        "x",
        {"x": "along a random direction the slope is 4.2, backward says 5.44"},
        ["1 of 6 entries are wrong, the first at [1, 2]: it is 0.514, should be 1.03. The others are right."],
    ),
    "three entries": (
        "x",
        {"x": "along a random direction the slope is 4.2, backward says 3.39", "linear in dy": "backward(-2 dy) is not -2 backward(dy)"},
        ["3 of 6 entries are wrong, the first at [0, 0]: it is 0.588, should be -0.412. The others are right.", KEPT],
    ),
    "most entries": (
        "x",
        {"x": "along a random direction the slope is 4.2, backward says -13.8", "linear in dy": "backward(-2 dy) is not -2 backward(dy)"},
        [KEPT],
    ),
    "corner": (
        "x",
        {"x": "along a random direction the slope is -0.571, backward says -0.0234"},
        [
            "the function has a corner at entry [1]: its slope is 0 on the left and 1.89 on the right, and the quotient takes the mean. Check at a point away from it."
        ],
    ),
    "no corner": ("x", {}, []),
    "nothing to find": ("x", {"x": "along a random direction the slope is 0, backward says 1.67"}, ["the right gradient is zero."]),
    "mean over rows": (
        "x",
        {"x": "along a random direction the slope is 2.16, backward says 4.33"},
        ["every entry is 2 times the right one, the length of an axis: a sum where a mean belongs."],
    ),
    "hidden": ("x", {"x": LARGE}, []),
    "hidden, and right": ("x", {"x": LARGE}, []),
    "not hidden": ("x", {}, []),
    "not quite": (
        "x",
        {"x": "along a random direction the slope is 1.671, backward says 1.673"},
        ["every entry is 1.001 times the right one."],
    ),
    "a slope of zero": ("x", {}, []),
    "keeps": ("x", {"linear in dy": "backward(-2 dy) is not -2 backward(dy)"}, [KEPT]),
    "deaf": (
        "x",
        {"x": "along a random direction the slope is 1.67, backward says -4.05", "linear in dy": "backward(-2 dy) is not -2 backward(dy)"},
        ["every entry is -2.42 times the right one.", KEPT],
    ),
    "writes": ("x y", {"arguments unchanged": "the operation writes into y"}, []),
    "two gradients": ("", {"y, backward": "backward returns 2 gradients for 1 arrays of floats"}, []),
    "none": ("", {"y, backward": "backward returns None: is a return missing?"}, []),
    "no pair": ("", {"y, backward": FORM}, []),
    "three": ("", {"y, backward": FORM}, []),
    "three with a function": ("", {"y, backward": FORM}, []),
    "a list of two": ("", {"y, backward": FORM}, []),
    "no function": ("", {"y, backward": FORM}, []),
    "stub": None,
    "nothing": None,
    "dots": None,
    "float32": ("arguments", {"arguments": "differences in float32 keep too few digits to judge: pass float64"}, []),
    "float32 beside float64": ("arguments", {"arguments": "differences in float32 keep too few digits to judge: pass float64"}, []),
    "no array": (
        "arguments",
        {"arguments": "there is no array of floats among them to differentiate: pass np.array(..., dtype=float)"},
        [],
    ),
    "whole numbers": (
        "arguments",
        {"arguments": "there is no array of floats among them to differentiate: pass np.array(..., dtype=float)"},
        [],
    ),
    "large step": ("x", {}, []),
    "another seed": (
        "x",
        {"x": "along a random direction the slope is 17.2, backward says -17.2"},
        ["the sign: every entry is the negative of the right one."],
    ),
    "forgiving": ("x", {}, []),
    "a builtin": (
        "",
        {"y, backward": "ValueError: The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()"},
        [],
    ),
    "a little": ("x", {"x": "along a random direction the slope is 0.000442, backward says 0.000416"}, []),
    "hardly": (
        "x",
        {"x": "along a random direction the slope is 4.19913, backward says 4.19905"},
        ["1 of 6 entries are wrong, the first at [0, 0]: it is -0.414, should be -0.412. The others are right."],
    ),
    "the sixth digit": ("x", {"x": "along a random direction the slope is 4.19913, backward says 4.19914"}, []),
    "the eighth digit": ("x", {"x": "along a random direction the slope is 4.19913, backward says 4.19913"}, []),
    "once": (
        "x",
        {"x": "along a random direction the slope is 4.923, backward says 4.924"},
        ["every entry is 1.0003 times the right one."],
    ),
    "a row forgotten": (
        "x",
        {"x": "along a random direction the slope is 4.2, backward says 4.92"},
        ["3 of 6 entries are wrong, the first at [1, 0]: it is 0, should be -2.14. The others are right."],
    ),
    "last row of three": ("x y", {"y": "along a random direction the slope is 1.85, backward says 1.27"}, [ROW]),
    "a number of nothing": (
        "x",
        {"x": "along a random direction the slope is nan, backward says 0"},
        ["the right gradient is zero."],
    ),
    "zero, and right": ("x", {}, []),
    "rounds": ("x", {}, []),
    "small and deaf": (
        "x",
        {
            "x": "along a random direction the slope is 1.67e-10, backward says -4.05e-10",
            "linear in dy": "backward(-2 dy) is not -2 backward(dy)",
        },
        ["every entry is -2.42 times the right one.", KEPT],
    ),
    "almost linear": ("x", {"linear in dy": "backward(-2 dy) is not -2 backward(dy)"}, [KEPT]),
    "another shape the second time": ("x", {"linear in dy": "backward(-2 dy) is not -2 backward(dy)"}, [KEPT]),
    "careless softmax": ("x", {"x": "along a random direction the slope is 0.0924, backward says 0.463"}, []),
    "forgetful": (
        "x weight",
        {"weight": "along a random direction the slope is -59.1, backward says -59.6"},
        ["1 of 1000 entries are wrong, the first at [0, 7]: it is 0, should be 2.6. The others are right."],
    ),
    "the reader's numbers": (
        "weight",
        {"weight": "along a random direction the slope is -3.73, backward says -1.71"},
        ["it is transposed."],
    ),
    "many": ("x", {"x": "along a random direction the slope is 112, backward says -112"}, []),
    "not too many": (
        "x",
        {"x": "along a random direction the slope is 112, backward says -112"},
        ["the sign: every entry is the negative of the right one."],
    ),
    "corner elsewhere": (
        "x",
        {"x": "along a random direction the slope is -0.571, backward says -0.0234"},
        [
            "the function has a corner at entry [1]: its slope is 0 on the left and 1.89 on the right, and the quotient takes the mean. Check at a point away from it."
        ],
    ),
    "a list of gradients": ("x y", {}, []),
    "any number of arguments": ("xs|argument 2", {"argument 2": "along a random direction the slope is 1.74, backward says 1.61"}, []),
    "a number comes out": ("x", {}, []),
}


def check_run(m, name):
    """The lines one by one: a line a case, the likely cause below what failed, the count at the end."""
    result, printed = told(m, name)
    title = f"gradient of {getattr(RUNS[name][0], '__name__', 'the operation')}"
    assert printed == "\n".join(result.lines).splitlines()
    if EXPECTED[name] is None:
        assert printed == [f"{title}: not attempted yet"] and not result.passed and not result.attempted
        return
    judged, faults, causes = EXPECTED[name]
    cases = ["y, backward", *(judged.split("|") if "|" in judged else judged.split()), "linear in dy", "arguments unchanged"]
    cases = [case for case in faults if case in ("y, backward", "arguments")] or cases
    wanted = [f"{title}: {case} {'FAILED: ' + faults[case] if case in faults else 'ok'}" for case in cases]
    passed = len(cases) - len(faults)
    wanted.append(f"{title}: {f'{passed} of {len(cases)}' if faults else f'all {passed}'} cases ok")
    assert [line for line in printed if line[0] != " "] == wanted
    assert result.causes == causes and result.attempted and result.passed == (not faults)
    said = "".join(line for line in printed if line[0] == " ")  # folded, also behind a hyphen
    assert said.replace(" ", "") == "".join(f"likely cause: {cause}" for cause in causes).replace(" ", "")
    assert all("FAILED" in before for before, line in itertools.pairwise(printed) if line.startswith("  likely"))


def check_limits(m):
    """What lies exactly on a limit. All functions are linear and all steps powers of two, so that nothing is rounded."""

    def cause(slopes, found, corner=0.0):
        f = lambda x: np.sum(slopes * x) + corner * max(x[0], 0.0)  # noqa: E731
        return m.likely_cause(f, np.zeros(len(slopes)), np.array(found), 0.5)

    def wrong(count, size, first, found, right):
        return f"{count} of {size} entries are wrong, the first at [{first}]: it is {found}, should be {right}. The others are right."

    for unit in (1.0, 1024.0, 1 / 1024):  # a ten-thousandth of the largest entry is not yet wrong
        one, five = m.text(unit), m.text(5 * unit)
        slopes = unit * np.array([0.0, 1.0, 1.0, 1.0])
        assert cause(slopes, unit * np.array([1e-4, 5.0, 1.0, 1.0])) == wrong(1, 4, 1, five, one)
        assert cause(slopes, unit * np.array([1.001e-4, 5.0, 1.0, 1.0])) == wrong(2, 4, 0, m.text(1.001e-4 * unit, unit), 0)
        assert cause(slopes, unit * np.array([1e-4, 1.0, 1.0, 1.0])) is None
        assert cause(unit * np.ones(2), unit * np.array([1e-4, -1e-4])) == "it is zero everywhere."
        assert cause(unit * np.ones(1), unit * np.array([2e-4])) == "every entry is 0.0002 times the right one."
        for jump, is_corner in ((9.5e-4, False), (1e-3, False), (1.05e-3, True)):  # of the slope, ten times as much
            said = cause(unit * np.array([0.0, 1.0]), unit * np.array([5.0, 1.0]), unit * jump)
            assert said.startswith("the function has a corner at entry [0]: its slope is 0 on the left") == is_corner

    def judged(offset, slopes, found, u, v, tolerance):
        offset, slopes, found, u, v = (np.array(each, float) for each in (offset, slopes, found, u, v))
        sentence = m._difference(lambda x: slopes * x + offset, np.zeros(len(slopes)), found, u, v, 0.5, tolerance)
        return "slope" if (sentence or "").startswith("along a random direction") else sentence

    # the slope is 0, its terms are 30 and -33
    assert judged([0, 0], [10, 10], [10, 11], [1, 1], [3, -3], 0.1) is None
    assert judged([0, 0], [10, 10], [10, 11], [1, 1], [3, -3], 0.06) == "slope"
    assert judged([0], [10], [0], [1], [1], 1.0) is None and judged([0], [10], [0], [1], [1], 0.9) == "slope"
    # a thousandth of the values, 16, is more than the terms
    for more, sentence in ((1.5, None), (1.8, "slope")):
        assert judged([4000, 16000], [1, 1], [2, more - 0.5], [2, -0.5], [1, 1], 0.1) == sentence
    # values that hide the slope: a million times the slope, or what one of size one would be
    for slope, v, offset in ((1, 1, 1e6), (0, 4, 4e6), (8, 0.5, 4e6), (0.25, 4, 4e6)):
        assert judged([offset], [slope], [slope], [1], [v], 1e-6) is None
        assert judged([offset + 1], [slope], [slope], [1], [v], 1e-6) == LARGE


def check_gradient(m):
    for name in RUNS:
        check_run(m, name)
    check_limits(m)
