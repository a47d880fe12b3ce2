"""The comparisons of tests/equations.py can fail, and say what differs."""

import numpy as np
import pytest

from tests import equations
from tests.equations import assert_lines_agree, assert_same, assert_vjp, directional, numerical_gradient, numerical_jacobian, scaled_error


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_error_is_scaled_by_the_largest_entry():
    assert scaled_error([100.0, 1.0], [101.0, 1.0]) == pytest.approx(1 / 101)
    assert scaled_error([0.0], [0.0]) == 0


def test_difference_names_the_tensor_the_error_and_the_place():
    with pytest.raises(AssertionError, match=r"dx: scaled error 5.0e-01 exceeds 1e-09; largest difference 1 against 2 at \(1,\)"):
        assert_same("dx", [1.0, 1.0], [1.0, 2.0], rtol=1e-9)


@pytest.mark.parametrize(("a", "b"), [([np.nan], [1.0]), ([1.0], [np.nan]), ([np.nan], [np.nan]), ([np.inf], [1.0])])
def test_nan_and_infinity_fail(a, b):
    with pytest.raises(AssertionError, match="scaled error"):
        assert_same("x", a, b, rtol=1.0 - 1e-9)


def test_shapes_are_not_broadcast():
    with pytest.raises(AssertionError, match=r"x: shape \(2,\) against \(2, 1\)"):
        assert_same("x", np.ones(2), np.ones((2, 1)), rtol=1)
    with pytest.raises(AssertionError, match="nothing to compare"):
        assert_same("x", np.ones(0), np.ones(0), rtol=1)


def test_lines_are_compared_with_their_neighbours():
    with pytest.raises(AssertionError, match="line 2 against line 3"):
        assert_lines_agree([1.0, 1.0, 2.0], rtol=1e-9)
    with pytest.raises(AssertionError, match="two lines"):
        assert_lines_agree([1.0], rtol=1)


def test_largest_error_is_recorded():
    equations._record.clear()
    assert_lines_agree([1.0, 1.0, 1.0 + 1e-6], rtol=1e-5)
    assert max(equations._record) == pytest.approx(1e-6, rel=1e-3)


def test_numerical_gradient_and_jacobian(rng):
    x = rng.normal(size=(2, 3))
    assert_same("gradient", numerical_gradient(lambda x: (x**3).sum(), x), 3 * x**2, rtol=1e-8)
    jacobian = numerical_jacobian(lambda x: x.sum(axis=0) ** 2, x)
    assert jacobian.shape == (3, 2, 3)
    assert_same("jacobian", jacobian[1], 2 * x.sum(axis=0)[1] * np.eye(3)[1] * np.ones((2, 1)), rtol=1e-8)
    with pytest.raises(AssertionError, match="float64"):
        numerical_gradient(lambda x: x.sum(), x.astype(np.float32))


def test_directional(rng):
    x, u, v = rng.normal(size=(3, 4))
    assert directional(np.sin, x, u, v) == pytest.approx((u * np.cos(x) * v).sum(), rel=1e-7)


def product(x, w, wrong=1.0):
    return x * w, lambda dy: (wrong * dy * w, dy * x)


def test_vjp_of_several_arguments(rng):
    x, w = rng.normal(size=(2, 5))
    assert_vjp("product", product, (x, w), rng)
    with pytest.raises(AssertionError, match="product, gradient of argument 0"):
        assert_vjp("product", lambda x, w: product(x, w, 1.001), (x, w), rng)
    with pytest.raises(AssertionError, match="product, gradient of argument 0"):
        assert_vjp("product", lambda x, w: product(x, w, np.nan), (x, w), rng)
    with pytest.raises(AssertionError, match="2 gradients for 1"):
        assert_vjp("product", lambda x: product(x, w), (x,), rng)
