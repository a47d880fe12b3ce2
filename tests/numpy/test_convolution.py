"""Convolution and pooling: values against nested loops, gradients by differences and against PyTorch, dtypes, ties, refusals."""

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import geometry
from dlcourse.errors import need
from dlcourse.numpy import convolution as c
from tests.gradients import assert_close
from tests.numpy import convolution_cases as cases
from tests.numpy import models
from tests.numpy.convolution_cases import Shape

seeds = st.integers(0, 2**32 - 1)


@st.composite
def shapes(draw):
    kernel, stride, dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3))), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, 2))
    height, width = (max(1, dilation * (k - 1) + 1 - 2 * padding) + draw(st.integers(0, 4)) for k in kernel)
    groups, inputs, outputs, images = (draw(st.integers(1, 3)) for _ in range(4))
    return Shape(height, width, kernel, stride, padding, dilation, groups, inputs, outputs, images)


pools = st.tuples(st.integers(1, 3), st.one_of(st.none(), st.integers(1, 4)), st.integers(0, 1), st.integers(0, 3), st.integers(0, 4))


def test_every_operation_is_asked_for_its_manners():
    operations = {
        name for name, value in vars(c).items() if inspect.isfunction(value) and value.__module__ == c.__name__ and name[0] != "_"
    }
    assert operations == {name.split("-")[0] for name, _, _ in cases.calls(c, np.random.default_rng(0))}


@given(shape=shapes(), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_convolution(shape, seed):
    cases.check_convolution(c, np.random.default_rng(seed), shape)


@given(shape=shapes(), seed=seeds)
@settings(max_examples=20, deadline=None)
def test_without_bias_and_without_dx(shape, seed):
    if transposed_fits(shape, 0):
        cases.check_without_bias(c, np.random.default_rng(seed), shape)
    cases.check_need_dx(c, np.random.default_rng(seed), shape)


def test_more_images_than_are_unfolded_at_a_time(rng):
    cases.check_parts(c, rng)


def test_products_of_few_rows(rng):
    cases.check_stacked(c, rng)


def test_windows_copied_in_three_ways(rng):
    cases.check_unfold(c, rng)


@given(shape=shapes(), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_windows(shape, seed):
    cases.check_windows(c, np.random.default_rng(seed), shape)


def transposed_fits(shape, output_padding):
    lengths = [
        (n - 1) * shape.stride - 2 * shape.padding + shape.dilation * (k - 1) + 1 + output_padding
        for n, k in zip(shape.out(), shape.kernel, strict=True)
    ]
    return min(lengths) >= 1


@given(shape=shapes(), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_transposed_convolution(shape, seed):
    for output_padding in cases.output_paddings(shape):
        if transposed_fits(shape, output_padding):
            cases.check_transposed(c, np.random.default_rng(seed), shape, output_padding)


@given(pool=pools, seed=seeds)
@settings(max_examples=40, deadline=None)
def test_pooling(pool, seed):
    size, stride, padding, taller, wider = pool
    padding = min(padding, size // 2)
    cases.check_pools(c, np.random.default_rng(seed), size, stride, padding, (2, size + taller, size + wider, 2))


def as_torch(torch, array, images=True):
    array = np.ascontiguousarray(array.transpose(0, 3, 1, 2)) if images else array
    return torch.from_numpy(array.copy()).requires_grad_()


def from_torch(tensor):
    array = tensor.detach().numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def compare_with_torch(torch, ours, theirs, arguments, rng):
    """Value and gradients of ours(*arrays) -> (y, backward) and theirs(*tensors) -> y: 1e-10."""
    y, backward = ours(*arguments)
    tensors = [as_torch(torch, a, a.ndim == 4) for a in arguments]
    expected = theirs(*tensors)
    assert_close("value", y, from_torch(expected), 1e-10)
    u = rng.normal(size=y.shape)
    expected.backward(as_torch(torch, u, u.ndim == 4).detach())
    gradients = backward(u)
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    for i, (gradient, tensor) in enumerate(zip(gradients, tensors, strict=True)):
        assert_close(f"gradient of argument {i}", gradient, from_torch(tensor.grad), 1e-10)


@given(shape=shapes(), seed=seeds)
@settings(max_examples=60, deadline=None)
def test_convolution_equals_pytorch(shape, seed):
    torch, rng = need("torch", extra="torch"), np.random.default_rng(seed)
    functional, options = torch.nn.functional, shape.options()
    compare_with_torch(
        torch, lambda *a: c.conv2d(*a, **options), lambda *t: functional.conv2d(*t, **options), cases.draw_convolution(rng, shape), rng
    )
    for output_padding in cases.output_paddings(shape):
        if transposed_fits(shape, output_padding):
            options = shape.options() | {"output_padding": output_padding}
            compare_with_torch(
                torch,
                lambda *a, options=options: c.conv_transpose2d(*a, **options),
                lambda *t, options=options: functional.conv_transpose2d(*t, **options),
                cases.draw_transposed(rng, shape),
                rng,
            )


@given(pool=pools, seed=seeds, ties=st.booleans())
@settings(max_examples=60, deadline=None)
def test_pooling_equals_pytorch(pool, seed, ties):
    torch, rng = need("torch", extra="torch"), np.random.default_rng(seed)
    functional = torch.nn.functional
    size, stride, padding, taller, wider = pool
    padding = min(padding, size // 2)
    x = rng.normal(size=(2, size + taller, size + wider, 3))
    x = np.round(x) if ties else x  # many equal maxima: PyTorch takes the first as well
    for name in ("max_pool2d", "avg_pool2d"):
        ours, theirs = getattr(c, name), getattr(functional, name)
        compare_with_torch(
            torch,
            lambda x, ours=ours: ours(x, size, stride, padding),
            lambda t, theirs=theirs: theirs(t, size, stride, padding),
            (x,),
            rng,
        )
    compare_with_torch(torch, c.global_avg_pool, lambda t: functional.adaptive_avg_pool2d(t, 1).flatten(1), (x,), rng)


def test_manners():
    cases.check_manners(c)


def test_exact_values():
    cases.check_exact(c)


@pytest.mark.parametrize(("message", "call"), cases.REFUSED, ids=[f"{i}-{message[:40]}" for i, (message, _) in enumerate(cases.REFUSED)])
def test_refused(message, call):
    models.raises(ValueError, message, lambda: call(c))


def test_what_is_just_allowed():
    cases.check_refusals(c, models.raises)


def test_geometry():
    cases.check_geometry(geometry, models.raises)


def test_an_empty_batch_stays_empty():
    x, weight, bias = np.zeros((0, 6, 6, 2)), np.zeros((3, 3, 3, 2)), np.zeros(3)
    y, backward = c.conv2d(x, weight, bias)
    assert y.shape == (0, 4, 4, 3)
    dx, dweight, _ = backward(y)
    assert dx.shape == x.shape
    assert not dweight.any()
