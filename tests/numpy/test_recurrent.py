"""Recurrent cells and layers: values against the formula gate by gate, gradients by differences and against PyTorch, manners, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import initial
from dlcourse.errors import need
from dlcourse.numpy import recurrent, rnn
from tests.gradients import as_tuple, assert_close, check_gradient
from tests.numpy import models
from tests.numpy import recurrent_cases as cases

each_kind = pytest.mark.parametrize("kind", cases.GATES)
sizes = st.integers(1, 5)


def test_cells():
    cases.check_cells(recurrent)


def test_layers():
    cases.check_layers(recurrent)


def test_refusals():
    cases.check_refusals(recurrent, models.raises)


def test_network_over_tokens():
    cases.check_network(rnn, models.raises)


def test_initial_state():
    cases.check_initial(initial)


@each_kind
@given(batch=sizes, inputs=sizes, hidden=sizes, time=sizes, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_gradients_of_any_shape(kind, batch, inputs, hidden, time, seed):
    rng = np.random.default_rng(seed)
    check_gradient(cases.cell(recurrent, kind), cases.draw(kind, rng, batch, inputs, hidden), rng)
    check_gradient(cases.unrolled(recurrent, kind), cases.draw(kind, rng, batch, inputs, hidden, time), rng)


def torch_layer(torch, kind, inputs, hidden, parameters):
    """PyTorch's own layer; its second bias is zero but for a GRU's candidate."""
    layer = getattr(torch.nn, {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}[kind])(inputs, hidden, batch_first=True, dtype=torch.float64)
    weight_ih, weight_hh, bias, *bias_hh = parameters
    other = np.zeros_like(bias)
    if bias_hh:
        other[-hidden:] = bias_hh[0]
    for name, array in (("weight_ih", weight_ih), ("weight_hh", weight_hh), ("bias_ih", bias), ("bias_hh", other)):
        getattr(layer, f"{name}_l0").data[...] = torch.from_numpy(array)
    return layer


@each_kind
@pytest.mark.parametrize(("batch", "inputs", "hidden", "time"), [(1, 1, 1, 1), (3, 4, 5, 6), (2, 3, 8, 20)])
def test_equals_pytorch(kind, batch, inputs, hidden, time, rng):
    torch = need("torch", extra="torch")
    x, *rest = cases.draw(kind, rng, batch, inputs, hidden, time)
    carried = 2 if kind == "lstm" else 1
    states, parameters = rest[:carried], rest[carried:]
    out, backward = cases.unrolled(recurrent, kind)(x, *rest)
    layer = torch_layer(torch, kind, inputs, hidden, parameters)
    tensors = [torch.from_numpy(array.copy()).requires_grad_() for array in (x, *states)]
    start = [tensor[None] for tensor in tensors[1:]]
    y, last = layer(tensors[0], tuple(start) if kind == "lstm" else start[0])
    theirs = torch.cat([part.flatten() for part in (y, *(last if kind == "lstm" else [last]))])
    u = rng.normal(size=out.shape)
    theirs.backward(torch.from_numpy(u))
    assert_close("outputs", out, theirs.detach().numpy(), 1e-10)
    gradients = [tensor.grad.numpy() for tensor in tensors]
    gradients += [getattr(layer, f"{name}_l0").grad.numpy() for name in ("weight_ih", "weight_hh", "bias_ih")]
    if kind == "gru":
        gradients.append(layer.bias_hh_l0.grad.numpy()[-hidden:])
    for i, (ours, expected) in enumerate(zip(as_tuple(backward(u)), gradients, strict=True)):
        assert_close(f"gradient {i}", ours, expected, 1e-10)
