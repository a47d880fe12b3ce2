"""The tape: its operations, its order, its gradients against the hand-derived ones and against PyTorch."""

import numpy as np
import pytest

from dlcourse.errors import need
from dlcourse.numpy import attention as a
from dlcourse.numpy import autograd
from dlcourse.numpy import functional as f
from dlcourse.numpy.autograd import Tensor, apply, checkpoint
from tests.gradients import assert_close, check_gradient
from tests.numpy import autograd_cases as cases
from tests.numpy.cases import CASES
from tests.numpy.models import raises


@pytest.mark.parametrize("check", [cases.check_by_hand, cases.check_elementary, cases.check_unbroadcast, cases.check_operators])
def test_operations(check):
    check(autograd)


@pytest.mark.parametrize("check", [cases.check_order, cases.check_long_tape, cases.check_memory, cases.check_apply, cases.check_checkpoint])
def test_tape(check):
    check(autograd)


@pytest.mark.parametrize("check", [cases.check_accumulation, cases.check_refusals, cases.check_recording])
def test_manners(check):
    check(autograd, raises)


def test_gradients_of_the_perceptron_are_those_derived_by_hand():
    cases.check_mlp(autograd)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_operation_goes_on_the_tape(case, rng):
    """Each operation of `functional.py`, between two others, so that its own gradients and the order both count."""
    arguments, constants = case.draw(rng, (3,), 4)
    y, backward = case.call(f, arguments, constants)
    u = rng.normal(size=np.shape(y))
    expected = backward(float(u) if u.ndim == 0 else u)
    leaves = [Tensor(x) for x in arguments]

    def operation(*arrays):
        return case.call(f, arrays, constants)

    (apply(operation, *[leaf * 2.0 * 0.5 for leaf in leaves]) * u).sum().backward()
    for leaf, gradient in zip(leaves, expected if isinstance(expected, tuple) else (expected,), strict=True):
        assert_close(str(case), leaf.grad, gradient, 1e-13)


def program(x, first, bias, second):
    """Written with operators alone: it runs on tensors of the tape and on PyTorch's."""
    h = (x @ first + bias).tanh()
    z = h @ second + h * h
    return ((z.exp() / z.exp().sum(1, True)).log() * z / (h * h + 1.0)).sum() - 2.0 * x.sum()


def test_equals_pytorch(rng):
    torch = need("torch", extra="torch")
    arrays = [rng.normal(size=shape) for shape in ((6, 3), (3, 4), (4,), (4, 4))]
    leaves = [Tensor(array) for array in arrays]
    tensors = [torch.from_numpy(array.copy()).requires_grad_() for array in arrays]
    ours, theirs = program(*leaves), program(*tensors)
    ours.backward()
    theirs.backward()
    assert_close("value", ours.data, theirs.item(), 1e-13)
    for leaf, tensor in zip(leaves, tensors, strict=True):
        assert_close("gradient", leaf.grad, tensor.grad.numpy(), 1e-12)


def test_softmax_and_cross_entropy_from_the_smallest_operations(rng):
    """A second opinion on the formulas: nothing is shared with `functional.py` but the logits."""
    logits, labels = rng.normal(size=(5, 4)), rng.integers(0, 4, size=5)
    leaf, onehot = Tensor(logits), np.eye(4)[labels]
    p = leaf.exp() / leaf.exp().sum(axis=1, keepdims=True)
    loss = -(p.log() * onehot).sum() / 5
    loss.backward()
    expected, backward = f.cross_entropy(logits, labels)
    assert_close("loss", loss.data, expected, 1e-14)
    assert_close("gradient", leaf.grad, backward(), 1e-14)


def test_attention_goes_on_the_tape(rng):
    """Queries, keys and values computed from one x, which is used three times."""
    weights = [rng.normal(size=(4, 4)) for _ in range(3)]

    def head(x, *weights):
        return apply(a.attention, *[apply(f.linear, x, w, None) for w in weights])

    check_gradient(cases.pair(autograd, head), (rng.normal(size=(2, 1, 5, 4)), *weights), rng)


def test_a_function_that_differs_the_second_time_gives_a_wrong_gradient(rng):
    """Why masks are drawn outside of a checkpoint."""
    x, dy = rng.normal(size=(50, 40)), rng.normal(size=(50, 40))
    inside, outside, generator = Tensor(x), Tensor(x), np.random.default_rng(0)
    y = checkpoint(lambda h: apply(f.dropout, h, 0.5, generator), inside)
    y.backward(dy)
    mask = np.where(y.data != 0, 2.0, 0.0)
    assert not np.allclose(inside.grad, dy * mask)
    fixed = Tensor(mask)
    checkpoint(lambda h: h * fixed, outside).backward(dy)
    assert np.allclose(outside.grad, dy * mask)


def test_a_step_let_go_keeps_no_memory(rng):
    """A training loop's tapes do not pile up: after its step, nothing of a tape is reachable from the parameters."""
    w = Tensor(rng.normal(size=(3, 3)))
    for _ in range(3):
        loss = (Tensor(rng.normal(size=(2, 3))) @ w).tanh().sum()
        loss.backward()
        w.data -= 0.1 * w.grad
        w.grad = None
    assert autograd.order(w) == [w] and autograd.order(loss) == [loss]
