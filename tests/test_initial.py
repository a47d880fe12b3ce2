"""The one initialiser."""

import math

import numpy as np
import pytest

import dlcourse
from dlcourse import initial
from dlcourse.config import MLPConfig, ResNetConfig
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


def test_whitened_filters_whiten(rng):
    """Their responses to the patches they were made for are uncorrelated; the variances of the strong ones are 1."""
    mix = rng.normal(size=(3, 3))
    images = rng.normal(size=(6, 9, 8, 3)) @ mix + 5.0  # channels that depend on one another, far from mean 0
    before = initial_state(ResNetConfig((9, 8, 3), stem=60), 0, np.float64)
    after = initial.whitened(before, images, eps=0.0)
    assert all(np.array_equal(after[name], array) for name, array in before.items() if name != "stem.weight")
    weight = after["stem.weight"].reshape(60, -1)
    patches = np.array([images[n, i : i + 3, j : j + 3].ravel() for n in range(6) for i in range(7) for j in range(6)])
    np.testing.assert_allclose(np.cov(patches @ weight[:27].T, rowvar=False, bias=True), np.eye(27), atol=1e-9)
    assert np.array_equal(weight[27:54], -weight[:27]) and np.array_equal(weight[54:], before["stem.weight"].reshape(60, -1)[54:])
    damped = initial.whitened(before, images, eps=0.5)["stem.weight"].reshape(60, -1)[:27]
    spread = (patches @ damped.T).var(axis=0)
    assert (np.diff(spread) <= 1e-9).all() and spread[-1] < 0.5 < spread[0] < 1  # strongest first; eps holds the weak ones down


def test_few_filters_take_the_strongest_patterns(rng):
    images = rng.random(size=(4, 6, 6, 1)).astype(np.float32)
    few, many = (initial.whitened(initial_state(ResNetConfig((6, 6, 1), stem=n), 0), images)["stem.weight"] for n in (4, 18))
    assert few.dtype == np.float32 and np.array_equal(few[:2], many[:2]) and np.array_equal(few[2:], -many[:2])


def test_whitening_refuses(rng):
    config = ResNetConfig((9, 8, 3), stem=4)
    with pytest.raises(ValueError, match=r"no stem\.weight to whiten: pass the state of a ResNetConfig$"):
        initial.whitened(initial_state(MLPConfig(3), 0), rng.random((1, 9, 8, 3)))
    with pytest.raises(ValueError, match="channels first"):
        initial.whitened(initial_state(config, 0), rng.random((1, 3, 9, 8)))
    with pytest.raises(ValueError, match="kernel"):
        initial.whitened(initial_state(config, 0), rng.random((1, 2, 8, 3)))
