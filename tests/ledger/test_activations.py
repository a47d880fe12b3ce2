"""The activations of feed-forward layers that the chapter on the Transformer names."""

import math

import numpy as np
import pytest

from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, numerical_gradient


@pytest.mark.equation("eq-gelu-exact")
def test_gelu_exact(rng):
    x, dy = 3 * rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    phi = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    normal = np.vectorize(lambda z: 0.5 * math.erfc(-z / math.sqrt(2)))(x)  # P(Z <= x), from the tail
    erf = np.vectorize(math.erf)(x / math.sqrt(2))
    y, backward = f.gelu(x, exact=True)
    assert_lines_agree([x * normal, x * (1 + erf) / 2], rtol=1e-14)
    assert_same("implementation", y, x * normal, rtol=1e-14)
    slope = normal + x * phi
    assert_same("by differences", numerical_gradient(lambda x: (f.gelu(x, exact=True)[0] * dy).sum(), x), dy * slope, rtol=1e-7)
    assert_same("gradient", backward(dy), dy * slope, rtol=1e-14)


@pytest.mark.equation("eq-silu")
def test_silu(rng):
    x, dy = 3 * rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    s = 1 / (1 + np.exp(-x))
    y, backward = f.silu(x)
    assert_same("implementation", y, x * s, rtol=1e-14)
    lines = [
        numerical_gradient(lambda x: (f.silu(x)[0] * dy).sum(), x),
        dy * (s + x * s * (1 - s)),  # the product rule, with the slope of the sigmoid
        dy * s * (1 + x * (1 - s)),
    ]
    assert_lines_agree(lines, rtol=1e-7)
    assert_same("gradient", backward(dy), lines[-1], rtol=1e-13)
