"""Recurrent layers and networks of all backends: states given and returned, windows that go on, names, refusals in the same words."""

import numpy as np
import pytest

import dlcourse
from dlcourse.config import RNNConfig
from dlcourse.initial import initial_state
from dlcourse.state import compare

CELLS = {"rnn": "Elman", "gru": "GRU", "lstm": "LSTM"}
each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)
each_cell = pytest.mark.parametrize("cell", CELLS)


def to_backend(backend, array):
    if backend == "torch":
        import torch

        return torch.from_numpy(array)
    if backend == "mlx":
        import mlx.core as mx

        return mx.array(array)
    return array


def to_numpy(value):
    """Arrays of any backend, in the tuples and lists that hold them."""
    if isinstance(value, tuple | list):
        return [to_numpy(part) for part in value]
    return np.asarray(value.detach() if hasattr(value, "detach") else value)


def model_of(backend, config):
    model = dlcourse.backend(backend).RNN(config)
    model.load_state(initial_state(config, 0))
    return model.eval() or model


def unroll(backend, model, x, state=None):
    """(logits, state), as the backend's own arrays."""
    result = model.unroll(to_backend(backend, x), state)
    return result[0] if backend == "numpy" else result


def flat(logits, states):
    arrays = [array for state in to_numpy(states) for array in (state if isinstance(state, list) else [state])]
    return {"logits": to_numpy(logits)} | {f"state {i}": array for i, array in enumerate(arrays)}


@each_cell
@each_backend
def test_windows_go_on(backend, cell, rng):
    """A text in two windows gives what it gives in one, and what NumPy gives."""
    config = RNNConfig(7, embed=4, hidden=5, layers=2, cell=cell)
    model, x = model_of(backend, config), rng.integers(0, 7, size=(3, 6))
    whole = flat(*unroll(backend, model, x))
    first, between = unroll(backend, model, x[:, :2])
    second, last = unroll(backend, model, x[:, 2:], between)
    parts = flat(np.concatenate([to_numpy(first), to_numpy(second)], axis=1), last)
    compare(parts, whole).check(1e-5)
    compare(whole, flat(*unroll("numpy", model_of("numpy", config), x))).check(1e-5)
    assert len(whole) == 1 + 2 * (2 if cell == "lstm" else 1)


@each_cell
@each_backend
def test_layers_take_and_return_states(backend, cell, rng):
    layer = getattr(dlcourse.backend(backend), CELLS[cell])(4, 5)
    x, h = rng.normal(size=(3, 2, 4)).astype(np.float32), to_backend(backend, rng.normal(size=(3, 5)).astype(np.float32))
    state = (h, h) if cell == "lstm" else h
    result = layer(to_backend(backend, x), state)
    y, last = result[0] if backend == "numpy" else result
    ends = to_numpy(last)
    assert to_numpy(y).shape == (3, 2, 5)
    np.testing.assert_allclose(to_numpy(y)[:, -1], ends[0] if cell == "lstm" else ends, rtol=1e-6)


@each_backend
def test_refused(backend):
    package = dlcourse.backend(backend)
    x = to_backend(backend, np.zeros((2, 5, 3), np.float32))
    state = to_backend(backend, np.zeros((2, 4), np.float32))
    for kind in CELLS.values():
        layer = getattr(package, kind)(3, 4)
        with pytest.raises(ValueError, match=r"^x has shape \(5, 3\) but sequences are \(B, T, I\): a single sequence needs x\[None\]"):
            layer(x[0])
        with pytest.raises(ValueError, match="^x has 2 numbers a step but the layer takes 3: build it with inputs=2$"):
            layer(x[:, :, :2])
        with pytest.raises(ValueError, match=r"^the state has shape \(1, 4\) where the batch and the layer need \(2, 4\)"):
            layer(x, (state[:1], state[:1]) if kind == "LSTM" else state[:1])
        with pytest.raises(ValueError, match="^hidden=0: it must be a whole number of at least 1$"):
            getattr(package, kind)(3, 0)
    with pytest.raises(ValueError, match=r"^the state of an LSTM is a pair \(h, c\)"):
        package.LSTM(3, 4)(x, state)
    with pytest.raises(ValueError, match="^the state has a pair where"):
        package.GRU(3, 4)(x, (state, state))


@each_backend
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 3)), "x holds float64, but tokens are whole numbers"),
        (np.full((2, 3), 7), "token 7 but vocab is 7: build the model with vocab=8"),
        (np.zeros((2, 9), int), "sequences of 9 tokens but the context is 8"),
        (np.zeros(3, int), r"x has shape \(3,\) but tokens are \(B, T\)"),
    ],
)
def test_tokens_refused(backend, x, message):
    package, config = dlcourse.backend(backend), RNNConfig(7, embed=4, hidden=5, context=8)
    model = model_of(backend, config)
    with pytest.raises(ValueError, match=message):
        package.Learner(model, package.Adam(model)).predict(x)
