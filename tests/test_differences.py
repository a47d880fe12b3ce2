"""Difference quotients, the complex step, and operations that are counted while they run."""

import operator

import numpy as np
import pytest

from dlcourse import differences, operations
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP
from dlcourse.numpy import functional as f
from tests.numpy import difference_cases, models


def test_differences():
    difference_cases.check_differences(differences, models.raises)


def test_operations():
    difference_cases.check_watch(operations, models.raises)


def test_products_in_the_graph_of_mlx():
    difference_cases.check_mlx_products(operations, models.raises)


def test_complex_step_needs_a_complex_version():
    x = np.array([1.0, -2.0])
    assert np.array_equal(differences.complex_step(lambda z: np.abs(z).sum(), x), [0.0, 0.0])  # the chapter says so
    np.testing.assert_allclose(differences.central_difference(lambda x: np.abs(x).sum(), x, 1e-6), [1, -1], rtol=1e-9)
    assert np.array_equal(differences.complex_step(lambda z: np.maximum(z, 0).sum(), x), [1.0, 0.0])  # real parts first
    with pytest.raises(TypeError):
        operator.gt(1j, 0.0)


def test_counting_changes_nothing(rng):
    config = MLPConfig(6, (5, 4), 3)
    x, labels = rng.normal(size=(7, 6)), rng.integers(0, 3, 7)
    found = []
    for inputs in (x, operations.watch(x, {})):
        model = MLP(config)
        model.load_state(initial_state(config, 0, np.float64))
        logits, backward = model(inputs)
        loss, loss_backward = f.cross_entropy(logits, labels)
        dx = backward(loss_backward())
        found.append({"loss": loss, "dx": np.asarray(dx), **model.gradients()})
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])
    assert all(type(g) is np.ndarray for g in model.gradients().values())


@pytest.mark.parametrize("method", ["__call__", "reduce", "accumulate", "outer"])
def test_every_way_to_call_is_counted(method):
    tally = {}
    x = operations.watch(np.arange(4.0), tally)
    arguments = (x, x) if method in ("__call__", "outer") else (x,)
    getattr(np.add, method)(*arguments)
    assert tally == {"add": 4 if method != "outer" else 16}
