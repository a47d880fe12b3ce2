"""The NumPy optimizers against their formulas and against torch.optim; the flat buffer; clipping."""

import numpy as np
import pytest

import dlcourse
from dlcourse.numpy import MLP, optim
from tests.gradients import assert_close
from tests.numpy import models
from tests.numpy.models import OPTIMIZERS, name_of

IN_TORCH = [optimizer for optimizer in OPTIMIZERS if optimizer[0] not in ("Lion", "Muon", "ProximalSGD")]  # those: tests/backends
each_optimizer = pytest.mark.parametrize(("kind", "options"), OPTIMIZERS, ids=[name_of(optimizer) for optimizer in OPTIMIZERS])


@each_optimizer
def test_formula(kind, options):
    models.check_optimizer(optim, kind, options, steps=6)


def test_more_parameters_than_adam_takes_at_a_time():
    models.check_pieces(optim)


@pytest.mark.parametrize(("kind", "options"), IN_TORCH, ids=[name_of(optimizer) for optimizer in IN_TORCH])
def test_equals_torch_optim_over_50_steps(kind, options, rng):
    """PyTorch's own class without our wrapper, biases in a group without decay. Float64, relative 1e-12."""
    torch = dlcourse.errors.need("torch", extra="torch")
    model = models.small_model()
    ours = getattr(optim, kind)(model, **options)
    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in model.state().items()}
    decay = options.get("weight_decay", 0.01 if kind == "AdamW" else 0.0)
    groups = [
        {"params": [p for p in tensors.values() if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for p in tensors.values() if p.ndim < 2], "weight_decay": 0.0},
    ]
    theirs = getattr(torch.optim, kind.replace("RMSProp", "RMSprop"))(
        groups, lr=0.0, **{key: value for key, value in options.items() if key != "weight_decay"}
    )
    for step in range(50):
        lr = 0.05 * (1 + step % 3)
        models.set_gradients(model, rng)
        for name, p in model.named_parameters():
            tensors[name].grad = torch.tensor(p.grad)
        for group in theirs.param_groups:
            group["lr"] = lr
        ours.step(lr)
        theirs.step()
        for name, array in model.state().items():
            assert_close(name, array, tensors[name].detach().numpy(), 1e-12)


def test_soft_threshold():
    models.check_soft_threshold(optim)


def test_orthogonalize():
    models.check_orthogonalize(optim)


def test_muon_takes_kernels_as_matrices():
    models.check_muon_kernels(optim)


def test_buffer_and_rebinding():
    models.check_buffer(optim)


def test_a_second_optimizer_takes_the_parameters_over():
    model = models.small_model()
    first, second = optim.SGD(model), optim.Adam(model)
    second.step(0.1)
    with pytest.raises(RuntimeError, match="build the optimizer after load_state"):
        first.step(0.1)


def test_load_state_with_another_dtype_after_the_optimizer_is_refused():
    model = models.small_model(np.float32)
    optimizer = optim.Adam(model)
    state = model.state()
    state["layers.1.bias"] = state["layers.1.bias"].astype(np.float64)  # one of them is enough
    model.load_state(state)
    with pytest.raises(RuntimeError, match="rebound"):
        optimizer.step(0.1)


def test_decayed_part_is_the_matrices():
    optimizer = optim.AdamW(models.small_model())
    assert optimizer.decayed == slice(0, 4 * 3 + 3 * 2)
    assert [p.data.ndim for p in optimizer.parameters] == [2, 2, 1, 1]
    assert optim.AdamW(MLP(dlcourse.config.MLPConfig(3, (), 1))).decayed == slice(0, 3)


def test_clip_gradients():
    models.check_clip(optim)


def test_refusals():
    models.check_optimizer_refusals(optim)
