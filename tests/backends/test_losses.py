"""The losses of `losses.py` in three backends: one value, one gradient, and learners that train with them by name."""

import numpy as np
import pytest

import dlcourse
from dlcourse import train
from dlcourse.config import MLPConfig
from dlcourse.errors import need
from dlcourse.initial import initial_state
from dlcourse.numpy import losses as ours
from dlcourse.state import compare
from tests.gradients import assert_close

each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)
PAIRS = [("torch", np.float64, 1e-10), ("torch", np.float32, 1e-5), ("mlx", np.float32, 1e-5)]
each_pair = pytest.mark.parametrize(("backend", "dtype", "tolerance"), PAIRS, ids=[f"{name}-{np.dtype(dtype)}" for name, dtype, _ in PAIRS])
CALLS = [
    ("huber_loss", {}),
    ("huber_loss", {"delta": 0.3}),
    ("hinge_loss", {}),
    ("focal_loss", {}),
    ("focal_loss", {"gamma": 0.5, "alpha": 0.2}),
    ("focal_loss", {"gamma": 0.0}),
    ("kl_divergence", {}),
]


def arguments(name, rng, dtype):
    z = 2 * rng.normal(size=(3, 4, 5))
    if name == "huber_loss":
        t = rng.normal(size=z.shape)
    elif name == "kl_divergence":
        t = rng.dirichlet(np.ones(5), size=(3, 4))
        t[0] = np.eye(5)[:4]
    else:
        t = rng.integers(0, 2, size=z.shape)
    return z.astype(dtype), t.astype(dtype)


def theirs(backend, name, z, t, options):
    """(loss, gradient) of a framework as NumPy arrays."""
    if backend == "torch":
        torch = need("torch", extra="torch")
        from dlcourse.torch import losses

        z = torch.from_numpy(z).requires_grad_()
        loss = getattr(losses, name)(z, torch.from_numpy(t), **options)
        loss.backward()
        return loss.item(), z.grad.numpy()
    mx = need("mlx.core", extra="mlx")
    from dlcourse.mlx import losses

    loss, gradient = mx.value_and_grad(lambda z: getattr(losses, name)(z, mx.array(t), **options))(mx.array(z))
    return loss.item(), np.array(gradient)


@each_pair
@pytest.mark.parametrize(("name", "options"), CALLS, ids=[f"{name}-{options}" for name, options in CALLS])
def test_value_and_gradient(backend, dtype, tolerance, name, options, rng, record_parity):
    z, t = arguments(name, rng, dtype)
    loss, backward = getattr(ours, name)(z, t, **options)
    value, gradient = theirs(backend, name, z, t, options)
    record_parity(f"{name}, {backend}", assert_close("loss", value, loss, tolerance))
    record_parity(f"{name}, {backend}, gradient", assert_close("gradient", gradient, backward(), tolerance))


@pytest.mark.parametrize("backend", ["torch", "mlx"])
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_far_out_nothing_is_nan(backend, gamma):
    z, t = np.array([[1000.0], [-1000.0], [1000.0], [0.0]], np.float32), np.array([[1], [1], [0], [0]], np.float32)
    for name, options in (("focal_loss", {"gamma": gamma}), ("hinge_loss", {}), ("huber_loss", {})):
        loss, gradient = theirs(backend, name, z, t, options)
        assert np.isfinite(loss) and np.isfinite(gradient).all(), name


def learner_of(backend, loss, dtype=np.float32, outputs=2):
    package, config = dlcourse.backend(backend), MLPConfig(6, (8,), outputs, "tanh")
    model = package.MLP(config)
    model.load_state(initial_state(config, 0, dtype))
    return package.Learner(model, package.Adam(model), loss=loss)


def batch(loss, rng, dtype=np.float32):
    targets = rng.normal(size=(12, 2)) if loss == "huber" else rng.integers(0, 2, size=(12, 2))
    return rng.normal(size=(12, 6)).astype(dtype), targets.astype(dtype)


@each_pair
@pytest.mark.parametrize("loss", ["huber", "hinge", "focal"])
def test_learners_agree(backend, dtype, tolerance, loss, rng):
    batches = [batch(loss, rng, dtype) for _ in range(10)]
    found = []
    for name in (backend, "numpy"):
        learner = learner_of(name, loss, dtype)
        value, gradients = learner.gradients(batches[0])
        rows = {"loss": value, "evaluated": learner.evaluate(batches[0])[0]} | {f"gradient {n}": g for n, g in gradients.items()}
        rows |= {f"step {i}": learner.step(one, 1e-3) for i, one in enumerate(batches)}
        found.append(rows | {f"after: {n}": array for n, array in learner.model.state().items()})
    compare(*found).check(tolerance)


@pytest.mark.parametrize("loss", ["huber", "hinge", "focal"])
def test_workers_share_a_batch(loss, rng):
    one, x = learner_of("numpy", loss, np.float64), batch(loss, rng, np.float64)
    package = dlcourse.backend("numpy")
    two = package.Learner(one.model, package.Adam(one.model), loss=loss, workers=2)
    (a, first), (b, second) = one.gradients(x), two.gradients(x)
    compare(second | {"loss": b}, first | {"loss": a}).check(1e-12)


@each_backend
def test_accuracy_is_that_of_the_answers_where_there_are_any(backend, rng):
    x = rng.normal(size=(12, 6)).astype(np.float32)
    t = (x[:, 0] > 0).astype(int)
    for loss in ("hinge", "focal"):
        learner = learner_of(backend, loss, outputs=1)
        for _ in range(60):
            learner.step((x, t), 0.05)
        assert train.evaluate(learner, (x, t))[1] == 1.0
    assert np.isnan(train.evaluate(learner_of(backend, "huber", outputs=1), (x, t.astype(np.float32)))[1])


@each_backend
@pytest.mark.parametrize("loss", ["hinge", "focal"])
def test_other_targets_are_refused(backend, loss, rng):
    learner = learner_of(backend, loss)
    x, t = batch(loss, rng)
    for targets in (2 * t - 1, np.full_like(t, 0.5)):
        with pytest.raises(ValueError, match=f"targets are neither 0 nor 1, the first is .*: {loss} takes 1 for yes and 0 for no"):
            learner.step((x, targets), 0.1)
