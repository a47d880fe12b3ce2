"""Parameters, modules, layers and the perceptron of the NumPy backend."""

import numpy as np
import pytest

from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP, cnn, layers, mlp, module, resnet
from dlcourse.numpy.module import Module, Parameter
from tests.numpy import models


class Nested(Module):
    def __init__(self):
        self.scale = Parameter((1,))
        self.note = "not a parameter"
        self.head = layers.Linear(2, 1)
        self.blocks = [layers.Linear(2, 3), MLP(MLPConfig(3, (), 2))]


def test_names_are_paths_in_the_order_of_assignment():
    names = [name for name, _ in Nested().named_parameters()]
    assert names == [
        "scale",
        "head.weight",
        "head.bias",
        "blocks.0.weight",
        "blocks.0.bias",
        "blocks.1.layers.0.weight",
        "blocks.1.layers.0.bias",
    ]


def test_parameters_start_at_zero_in_float32():
    assert all(p.data.dtype == p.grad.dtype == np.float32 and not p.data.any() and not p.grad.any() for _, p in Nested().named_parameters())


def test_state_is_a_copy():
    model = models.small_model()
    before = model.state()
    for array in (*model.state().values(), *model.gradients().values()):
        array += 1
    assert all(np.array_equal(before[name], array) for name, array in model.state().items())
    assert not any(g.any() for g in model.gradients().values())


def test_load_state_copies_and_keeps_the_buffers_of_the_same_dtype():
    model = models.small_model()
    arrays = [(p.data, p.grad) for _, p in model.named_parameters()]
    state = {name: array + 1 for name, array in model.state().items()}
    model.load_state(state)
    assert all(p.data is data and p.grad is grad for (_, p), (data, grad) in zip(model.named_parameters(), arrays, strict=True))
    state["layers.0.weight"] += 1
    assert not np.array_equal(model.state()["layers.0.weight"], state["layers.0.weight"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_model_takes_the_dtype_of_the_state(dtype, rng):
    config = MLPConfig(4, (3,), 2)
    model = MLP(config)
    model.load_state(initial_state(config, 0, dtype))
    y, backward = model(rng.normal(size=(2, 4)).astype(dtype))
    dx = backward(np.ones_like(y))
    assert {model.dtype, y.dtype, dx.dtype, *(g.dtype for g in model.gradients().values())} == {np.dtype(dtype)}


def test_modules_within_modules():
    models.check_module(module)


def test_linear():
    models.check_linear_layer(layers)
    models.check_embedding_layer(layers)


def test_norm_layers():
    models.check_norm_layers(layers)


def test_training_mode_reaches_every_module():
    model = Nested()
    inside = [model, model.head, *model.blocks, *model.blocks[1].layers]
    assert all(module.training for module in inside)
    assert model.eval() is model and not any(module.training for module in inside)
    assert model.train() is model and all(module.training for module in inside)
    assert not model.train(False).blocks[1].layers[0].training


def test_batch_statistics_leave_no_trace(rng):
    config = MLPConfig(4, (3,), 2, norm="batch")
    model = MLP(config)
    model.load_state(initial_state(config, 0, np.float64))
    before = model.state()
    with module.batch_statistics(model.eval()):
        model(rng.normal(size=(5, 4)))
        assert not np.array_equal(model.state()["norms.0.running_mean"], before["norms.0.running_mean"])
    assert all(np.array_equal(before[name], array) for name, array in model.state().items())
    assert [name for name, _ in model.named_buffers()] == ["norms.0.running_mean", "norms.0.running_var"]


def test_a_shared_layer_adds_both_contributions():
    assert models.check_shared_layer(layers) < 1e-7


def test_perceptron():
    assert models.check_mlp(mlp) < 1e-7


def test_dropout_of_the_perceptron():
    assert models.check_mlp_dropout(mlp) < 1e-7


def test_two_forward_passes_before_their_backward_passes(rng):
    """The closure is the cache: an interleaved second pass does not disturb the first."""
    model, x = models.small_model(), rng.normal(size=(2, 3, 4))
    dy = rng.normal(size=(2, 3, 2))
    alone = [model(x[i])[1](dy[i]) for i in range(2)]
    together = model.gradients()
    model.zero_gradients()
    backs = [model(x[i])[1] for i in range(2)]
    assert all(np.array_equal(backs[i](dy[i]), alone[i]) for i in range(2))
    assert all(np.array_equal(g, together[name]) for name, g in model.gradients().items())


def test_convolution_layers():
    models.check_convolution_layers(layers)
    models.check_layer_refusals(layers)


def test_convolutional_network():
    assert models.check_cnn(cnn) < 1e-7
    models.check_cnn_order(cnn)


def test_dropout_of_the_convolutional_network():
    assert models.check_cnn_dropout(cnn) < 1e-7


def test_residual_block():
    assert models.check_block(resnet) < 1e-7


def test_residual_network():
    assert models.check_resnet(resnet) < 1e-7
