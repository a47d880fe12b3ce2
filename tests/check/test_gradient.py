"""The gradient checker for readers: right operations pass, and each wrong one is told its own cause."""

import importlib

import numpy as np
import pytest

from dlcourse import check
from dlcourse.numpy import functional as f
from tests.check import gradient_cases

RNG = np.random.default_rng(0)
X, W, B = RNG.normal(size=(7, 5)), RNG.normal(size=(3, 5)), RNG.normal(size=3)


def layer(change):
    """A linear layer whose gradients (dx, dweight, dbias) are changed."""

    def linear(x, weight, bias):
        return x @ weight.T + bias, lambda dy: change(dy @ weight, dy.T @ x, dy.sum(axis=0))

    return linear


@pytest.mark.parametrize("operation", [f.relu, f.sigmoid, f.tanh, f.softmax, f.log_softmax, f.silu, f.gelu])
def test_operations_of_the_package_pass(operation, capsys):
    result = check.gradient(operation, X + 0.01)
    assert result.passed and result.causes == []
    printed = capsys.readouterr().out.splitlines()
    assert printed == result.lines and printed[-1] == f"gradient of {operation.__name__}: all 4 cases ok"
    assert printed[1] == f"gradient of {operation.__name__}: x ok"


@pytest.mark.parametrize("name", gradient_cases.RUNS)
def test_every_line(name):
    gradient_cases.check_run(check, name)


def test_limits():
    gradient_cases.check_limits(importlib.import_module("dlcourse.check.gradient"))


def test_several_arguments_and_labels():
    assert check.gradient(f.linear, X, W, B).passed
    assert check.gradient(f.layer_norm, X, B[[0, 1, 2, 0, 1]], B[[2, 1, 0, 0, 1]]).passed
    assert check.gradient(f.cross_entropy, X, np.arange(7) % 5).passed  # labels are passed on; the loss is a number
    assert check.gradient(f.embedding, np.array([1, 1, 0]), W).lines[1] == "gradient of embedding: weight ok"


WRONG = [
    (lambda x, w, b: (-x, w, b), "x", "the sign: every entry is the negative of the right one."),
    (lambda x, w, b: (x, w / 7, b), "weight", "every entry is 0.143 times the right one, one over 7, the length of an axis: a mean"),
    (lambda x, w, b: (x, 7 * w, b), "weight", "every entry is 7 times the right one, the length of an axis: a sum where a mean belongs."),
    (lambda x, w, b: (x, w, 2.5 * b), "bias", "every entry is 2.5 times the right one."),
    (lambda x, w, b: (0 * x, w, b), "x", "it is zero everywhere."),
    (lambda x, w, b: (x * np.nan, w, b), "x", "it is not finite."),
    (
        lambda x, w, b: (x * (np.arange(35).reshape(7, 5) != 12), w, b),
        "x",
        "1 of 35 entries are wrong, the first at [2, 2]",
    ),
]


@pytest.mark.parametrize(("change", "label", "cause"), WRONG, ids=[cause[:30] for _, _, cause in WRONG])
def test_a_wrong_gradient_is_told_its_cause(change, label, cause):
    result = check.gradient(layer(change), X, W, B)
    assert not result.passed
    assert len(result.causes) == 1 and result.causes[0].startswith(cause)
    (failed,) = [line for line in result.lines if "FAILED" in line]
    assert failed.startswith(f"gradient of linear: {label} FAILED: along a random direction the slope is ")
    assert result.lines[-1] == "gradient of linear: 5 of 6 cases ok"
    place = result.lines.index(failed)
    assert result.lines[place + 1].startswith(f"  likely cause: {cause[:20]}")


def test_a_transposed_gradient():
    square = RNG.normal(size=(5, 5))

    def product(weight):
        return X @ weight.T, lambda dy: (dy.T @ X).T

    assert check.gradient(product, square).causes == ["it is transposed."]


def test_directions_are_not_the_data():
    """With a cotangent equal to X the transposed gradient X^T X would be right."""
    first = np.random.default_rng(0).normal(size=X.shape)

    def product(weight):
        return first @ weight.T, lambda dy: (dy.T @ first).T

    assert check.gradient(product, np.random.default_rng(1).normal(size=(5, 5))).causes == ["it is transposed."]


def test_a_gradient_of_zero():
    result = check.gradient(lambda x: (0.0 * x, lambda dy: dy), X)
    assert result.causes == ["the right gradient is zero."]
    assert result.lines[0] == "gradient of <lambda>: y, backward ok"


def test_a_corner_is_named():
    result = check.gradient(f.relu, np.array([1.0, 0.0, -2.0]))
    assert result.causes[0].startswith("the function has a corner at entry [1]: its slope is 0 on the left and ")
    assert check.gradient(f.relu, np.array([1.0, 0.1, -2.0])).passed


def test_an_unknown_mistake_gets_no_cause():
    result = check.gradient(lambda x: (x * x, lambda dy: dy * np.sin(x)), X)
    assert not result.passed and result.causes == []
    assert not any("likely cause" in line for line in result.lines)


def test_close_slopes_are_told_apart():
    result = check.gradient(lambda x: (x * x, lambda dy: 2.0001 * dy * x), X)
    words = result.lines[1].split("the slope is ")[1]
    measured, promised = words.split(", backward says ")
    assert measured != promised


def test_a_shape_that_does_not_fit():
    result = check.gradient(layer(lambda x, w, b: (x, w.T, b)), X, W, B)
    assert "gradient of linear: weight FAILED: its gradient has shape (5, 3), but the argument has shape (3, 5)" in result.lines
    assert result.causes == []


@pytest.mark.parametrize(("shape", "grown"), [((3,), (7, 3)), ((7, 1), (7, 3)), ((), (7, 3)), ((1, 3), (7, 3))])
def test_a_sum_over_copies_that_is_missing(shape, grown):
    def shifted(x, b):
        return x + b, lambda dy: (dy, dy)

    result = check.gradient(shifted, np.ones((7, 3)), RNG.normal(size=shape))
    assert f"gradient of shifted: b FAILED: its gradient has shape {grown}, but the argument has shape {shape}" in result.lines
    assert result.causes == ["the argument was broadcast: sum over the axes along which it was copied; eq-broadcast-vjp."]


@pytest.mark.parametrize("row", [0, -1])
def test_the_gradient_of_one_row_alone(row):
    def shifted(x, bias):
        return x + bias, lambda dy: (dy, dy[row])

    words = "it is the gradient of one row alone. Every row uses it: add up the gradients of all; eq-broadcast-vjp."
    assert check.gradient(shifted, X, RNG.normal(size=5)).causes == [words]
    assert check.gradient(shifted, X[:1], RNG.normal(size=5)).passed  # there is one row only


def test_a_backward_that_keeps_something():
    def adds_up(x):
        total = np.zeros_like(x)

        def backward(dy):
            nonlocal total
            total = total + 2 * dy * x
            return total

        return x * x, backward

    def deaf(x):
        return x.sum(), lambda dy: np.ones_like(x)

    for operation in (adds_up, deaf):
        result = check.gradient(operation, X)
        assert f"gradient of {operation.__name__}: linear in dy FAILED: backward(-2 dy) is not -2 backward(dy)" in result.lines
        assert any(cause.startswith("backward ignores dy, or adds to something") for cause in result.causes)


def test_an_argument_written_to():
    def double(x):
        x *= 2
        return x, lambda dy: 2 * dy

    before = X.copy()
    result = check.gradient(double, X)
    assert "gradient of double: arguments unchanged FAILED: the operation writes into x" in result.lines
    assert np.array_equal(X, before)


def test_stubs_are_not_attempted():
    def raises(x):
        raise NotImplementedError

    for stub in (lambda x: None, lambda x: ..., raises):
        result = check.gradient(stub, X)
        assert not result.passed and not result.attempted
        assert result.lines == [f"gradient of {stub.__name__}: not attempted yet"]


@pytest.mark.parametrize(
    ("operation", "arguments", "sentence"),
    [
        (lambda x: x, (X,), "y, backward FAILED: the operation must return y, backward: the result and a function of dy"),
        (lambda x: (x, lambda dy: None), (X,), "y, backward FAILED: backward returns None: is a return missing?"),
        (lambda x: (x, lambda dy: (dy, dy)), (X,), "y, backward FAILED: backward returns 2 gradients for 1 arrays of floats"),
        (lambda x: (x @ X, None), (X,), "y, backward FAILED: ValueError: the shapes of a matrix product do not fit (7 against 5)"),
        (f.relu, (X.astype(np.float32),), "arguments FAILED: differences in float32 keep too few digits to judge: pass float64"),
        (f.relu, (3,), "arguments FAILED: there is no array of floats among them to differentiate: pass np.array(..., dtype=float)"),
    ],
)
def test_what_can_not_be_judged(operation, arguments, sentence):
    result = check.gradient(operation, *arguments)
    assert not result.passed and result.lines[0].startswith(f"gradient of {operation.__name__}: {sentence}")


def test_ones_would_not_have_seen_it():
    def careless_softmax(x):
        p, _ = f.softmax(x)
        return p, lambda dp: p * (dp - dp.mean(axis=-1, keepdims=True))

    assert not check.gradient(careless_softmax, X).passed


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.001])
def test_values_that_hide_the_slope_are_not_judged(factor):
    """Beside 1e8 a slope of one is known to a digit or two: neither the right gradient nor a wrong one passes."""

    def shifted(x):
        return x + 1e8, lambda dy: factor * dy

    sentence = "gradient of shifted: x FAILED: cannot be judged: the values are too large beside the slope; subtract a constant"
    for seed in range(20):
        result = check.gradient(shifted, X, seed=seed)
        (failed,) = [line for line in result.lines if "FAILED" in line]
        if "the slope is" in failed:  # too wrong to be hidden
            assert factor < 1
        else:
            assert failed.startswith(sentence) and result.causes == [] and not result.passed


def test_large_values_with_a_slope_that_shows():
    assert check.gradient(lambda x: (x + 1e4, lambda dy: dy), X).passed
    assert not check.gradient(lambda x: (x + 1e4, lambda dy: 1.001 * dy), X).passed
    for value in (0.0, 1.0, 100.0):
        assert check.gradient(lambda x, value=value: (0.0 * x + value, lambda dy: 0.0 * dy), X).passed
    assert check.gradient(lambda x: (x.sum() - x.sum() + np.exp(x - x), lambda dy: np.zeros_like(x) * dy), X).passed


def test_large_arrays_are_judged_without_a_cause():
    result = check.gradient(lambda x: (x * x, lambda dy: -2 * dy * x), RNG.normal(size=3000))
    assert not result.passed and result.causes == []


def test_one_wrong_entry_among_many_is_seen():
    def forgetful(x, weight):
        y, backward = f.linear(x, weight, None)

        def wrong(dy):
            dx, dweight, _ = backward(dy)
            dweight[0, 0] = 0
            return dx, dweight

        return y, wrong

    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, weight = rng.normal(size=(8, 784)), rng.normal(size=(128, 784))
        assert not check.gradient(forgetful, x, weight).passed
        assert check.gradient(
            lambda x, weight: (f.linear(x, weight, None)[0], lambda dy: f.linear(x, weight, None)[1](dy)[:2]), x, weight
        ).passed
