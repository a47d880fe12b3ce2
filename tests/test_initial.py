"""The one initialiser."""

import math

import numpy as np
import pytest

import dlcourse
from dlcourse import initial
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from tests.numpy import models, transformer_cases


def test_names_shapes_variances_seeds():
    models.check_initial(initial)
    models.check_initial_of_images(initial)
    transformer_cases.check_initial(initial)


def test_it_keeps_the_size_of_the_signal(rng):
    """Why the variance is gain / I: after ten ReLU layers the squared activations are neither gone nor huge."""
    config = MLPConfig(256, (256,) * 10, 256)
    model = dlcourse.backend("numpy").MLP(config)
    model.load_state(initial_state(config, 0, np.float64))
    y, _ = model(rng.normal(size=(64, 256)))
    assert 0.3 < (y**2).mean() < 3  # E[y^2] = E[x^2] = 1 over the draws of the weights; without the gain of 2 it would be 1 / 1024


@pytest.mark.parametrize("seed", [0, 7, 2**63])
def test_the_same_seed_gives_the_same_numbers(seed):
    config = MLPConfig(5, (4,), 3)
    first, second = initial_state(config, seed), initial_state(config, seed)
    assert all(np.array_equal(array, second[name]) for name, array in first.items())


def test_the_first_numbers_are_known():
    """Committed outputs depend on them: NumPy promises the stream of default_rng(0) for a given version; a change must be seen here."""
    weight = initial_state(MLPConfig(2, (), 1), 0, np.float64)["layers.0.weight"]
    expected = np.random.default_rng(0).standard_normal(2) / math.sqrt(2)
    np.testing.assert_allclose(weight.ravel(), expected, rtol=1e-15)
    np.testing.assert_allclose(expected * math.sqrt(2), [0.12573022, -0.13210486], rtol=1e-6)


@pytest.mark.parametrize("backend", dlcourse.BACKENDS)
@pytest.mark.parametrize("config", [MLPConfig(6, (5, 4), 3), MLPConfig(6, (), 1), *models.IMAGE_CONFIGS, *transformer_cases.GPTS], ids=str)
def test_it_fits_the_models_of_all_backends(backend, config):
    model = getattr(dlcourse.backend(backend), type(config).__name__.removesuffix("Config"))(config)
    state = initial_state(config, 0)
    model.load_state(state)
    assert list(model.state()) == list(state)
    assert all(np.array_equal(array, state[name]) for name, array in model.state().items())


def test_whitened_filters():
    models.check_whitened(initial)
