"""Every loss of `losses.py`: values, gradients, dtypes, extremes, refusals, and PyTorch's opinion."""

import inspect

import numpy as np
import pytest
from hypothesis import settings

from dlcourse.errors import need
from dlcourse.numpy import functional as f
from dlcourse.numpy import losses
from tests.gradients import assert_close, relative
from tests.numpy import cases, losses_cases, models
from tests.numpy.losses_cases import CASES
from tests.numpy.test_functional import shapes

each_case = pytest.mark.parametrize("case", CASES, ids=str)


def test_every_loss_has_a_case():
    public = [name for name, value in vars(losses).items() if inspect.isfunction(value) and value.__module__ == losses.__name__]
    public = sorted(name for name in public if not name.startswith("_"))
    assert public == sorted({case.operation for case in CASES}) == sorted(losses_cases.EXTREME_CALLS)


@each_case
@shapes
@settings(max_examples=25, deadline=None)
def test_value_and_gradient(case, lead, width, seed):
    for check in (cases.check_value, cases.check_case_gradient, cases.check_manners):
        check(losses, case, np.random.default_rng(seed), lead, width)


@each_case
@pytest.mark.parametrize("shape", [((), 4), ((1,), 5), ((7,), 10), ((2, 3), 6), ((64,), 1)], ids=str)
def test_equals_pytorch(case, shape, rng):
    torch = need("torch", extra="torch")
    arguments, constants = case.draw(rng, *shape)
    loss, backward = case.call(losses, arguments, constants)
    tensor = torch.from_numpy(arguments[0].copy()).requires_grad_()
    expected = case.torch(torch, [tensor], constants)
    expected.backward()
    assert_close("loss", loss, expected.item(), 1e-10)
    assert_close("gradient", backward(), tensor.grad.numpy(), 1e-10)


def test_everything_else():
    losses_cases.check_everything(losses, models.raises)


def test_focal_without_focus_is_binary_cross_entropy(rng):
    z, t = 3 * rng.normal(size=(5, 2)), rng.integers(0, 2, size=(5, 2))
    (focal, focal_back), (entropy, entropy_back) = losses.focal_loss(z, t, gamma=0.0), f.binary_cross_entropy(z, t)
    assert relative(focal, entropy) < 1e-14 and relative(focal_back(), entropy_back()) < 1e-13


def test_divergence_and_cross_entropy_differ_by_the_entropy_of_the_targets(rng):
    z, q = rng.normal(size=(5, 4)), rng.dirichlet(np.ones(4), size=5)
    (kl, kl_back), (entropy, entropy_back) = losses.kl_divergence(z, q), f.cross_entropy(z, q)
    assert relative(entropy - kl, -(q * np.log(q)).sum() / 5) < 1e-13
    assert relative(kl_back(), entropy_back()) < 1e-13
