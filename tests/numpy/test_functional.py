"""Every operation of the NumPy backend: values, gradients, dtypes, extremes, refusals."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse.errors import need
from dlcourse.numpy import functional as f
from tests.gradients import as_tuple, assert_close, relative
from tests.numpy import cases, models
from tests.numpy.cases import CASES

OPERATIONS = [
    name for name, value in vars(f).items() if inspect.isfunction(value) and value.__module__ == f.__name__ and not name.startswith("_")
]
each_case = pytest.mark.parametrize("case", CASES, ids=str)
# (), that is one vector, a batch of one, and up to two leading axes
leads = st.one_of(st.just(()), st.just((1,)), st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple))
shapes = given(lead=leads, width=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))


def test_every_operation_has_a_case():
    assert sorted(OPERATIONS) == sorted({case.operation for case in CASES}), "add the operation to tests/numpy/cases.py"
    assert sorted(OPERATIONS) == sorted(cases.EXTREME_CALLS)


@each_case
@shapes
@settings(max_examples=25, deadline=None)
def test_value(case, lead, width, seed):
    cases.check_value(f, case, np.random.default_rng(seed), lead, width)


@each_case
@shapes
@settings(max_examples=25, deadline=None)
def test_gradient_by_differences(case, lead, width, seed):
    cases.check_case_gradient(f, case, np.random.default_rng(seed), lead, width)


@each_case
@shapes
@settings(max_examples=15, deadline=None)
def test_manners(case, lead, width, seed):
    cases.check_manners(f, case, np.random.default_rng(seed), lead, width)


@each_case
@pytest.mark.parametrize("shape", [((), 4), ((1,), 5), ((7,), 10), ((2, 3), 6), ((64,), 1)], ids=str)
def test_equals_pytorch(case, shape, rng):
    torch = need("torch", extra="torch")
    arguments, constants = case.draw(rng, *shape)
    y, backward = case.call(f, arguments, constants)
    tensors = [torch.from_numpy(x.copy()).requires_grad_() for x in arguments]
    expected = case.torch(torch, tensors, constants)
    u = rng.normal(size=y.shape)
    expected.backward(torch.from_numpy(np.asarray(u)))
    assert_close("value", y, expected.detach().numpy(), 1e-10)
    for i, (gradient, tensor) in enumerate(zip(as_tuple(backward(u)), tensors, strict=True)):
        theirs = tensor.grad.numpy()
        if np.linalg.norm(theirs) < 1e-14:  # one class: the gradient is zero, PyTorch leaves its rounding there
            assert np.abs(gradient).max() < 1e-14
        else:
            assert_close(f"gradient of argument {i}", gradient, theirs, 1e-10)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_extremes(operation):
    cases.check_extremes(f, operation)


def test_exact_values():
    cases.exact_values(f)


@pytest.mark.parametrize(("operation", "message", "call"), cases.REFUSED, ids=[f"{name}-{message}" for name, message, _ in cases.REFUSED])
def test_refused(operation, message, call):
    models.raises(ValueError, message, lambda: call(f))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_labels_of_any_integer_dtype(dtype, rng):
    z = rng.normal(size=(4, 3))
    labels = np.array([0, 2, 1, 2])
    loss, backward = f.cross_entropy(z, labels.astype(dtype))
    assert loss == f.cross_entropy(z, labels)[0]
    assert backward().shape == z.shape


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_hot_rows_give_what_integers_give(dtype, rng):
    z, labels = rng.normal(size=(2, 4, 3)).astype(dtype), rng.integers(0, 3, size=(2, 4))
    for smoothing in (0.0, 0.1):
        hard, hard_back = f.cross_entropy(z, labels, smoothing)
        soft, soft_back = f.cross_entropy(z, np.eye(3)[labels], smoothing)
        tolerance = 1e-14 if dtype == np.float64 else 1e-6
        assert soft.dtype == soft_back().dtype == dtype
        assert relative(soft, hard) < tolerance
        assert relative(soft_back(), hard_back()) < tolerance


def test_running_statistics():
    cases.check_running_statistics(f)


def test_running_statistics_equal_pytorch(rng):
    torch = need("torch", extra="torch")
    ours, theirs = [rng.normal(size=4), 1 + rng.random(4)], []
    theirs = [torch.from_numpy(array.copy()) for array in ours]
    for _ in range(5):
        x = rng.normal(size=(6, 2, 3, 4))
        f.batch_norm(x, np.ones(4), np.zeros(4), *ours, True)
        torch.nn.functional.batch_norm(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), *theirs, training=True)
    for name, array, tensor in zip(("mean", "variance"), ours, theirs, strict=True):
        assert_close(f"running {name}", array, tensor.numpy(), 1e-10)


def test_targets_of_another_dtype():
    cases.check_targets_of_another_dtype(f)


def test_softmax_does_not_change_under_a_shift(rng):
    x = rng.normal(size=(3, 5))
    assert relative(f.softmax(x + 123.0)[0], f.softmax(x)[0]) < 1e-13


def test_gradient_check_fails_on_a_wrong_backward(rng):
    def wrong(x):  # forgets the sum over the row: a cotangent of ones would not see it
        y, _ = f.softmax(x)
        return y, lambda dy: y * dy

    with pytest.raises(AssertionError, match="difference quotient"):
        cases.check_gradient(wrong, (rng.normal(size=(2, 3)),), rng)
