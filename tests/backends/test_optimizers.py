"""The optimizers of all backends: the same steps, one state that goes from one to the other, the same clipping.

After each of 50 steps 1e-12 against PyTorch in float64, and 1e-6 against MLX, which computes in float32."""

import numpy as np
import pytest

import dlcourse
from dlcourse.config import CNNConfig, MLPConfig
from dlcourse.initial import initial_state
from dlcourse.state import compare, to_torch
from tests.gradients import assert_close
from tests.numpy.models import OPTIMIZERS, by_singular_values, name_of, raises

CONFIG = MLPConfig(4, (3,), 2)
MIRRORS = ("torch", "mlx")
each_optimizer = pytest.mark.parametrize(("kind", "options"), OPTIMIZERS, ids=[name_of(optimizer) for optimizer in OPTIMIZERS])
each_mirror = pytest.mark.parametrize("backend", MIRRORS)
each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)


class Run:
    """A model and its optimizer in one backend, driven by given gradients."""

    def __init__(self, backend, kind, options, dtype, seed=0, config=CONFIG):
        self.backend, self.package = backend, dlcourse.backend(backend)
        self.model = getattr(self.package, "MLP" if config is CONFIG else "CNN")(config)
        # biases of order one: beside a start of zero, steps that cancel would leave rounding alone
        self.model.load_state(
            {name: array + 0.5 if array.ndim == 1 else array for name, array in initial_state(config, seed, dtype).items()}
        )
        self.optimizer = getattr(self.package, kind)(self.model, **options)

    def set_gradients(self, gradients):
        """The gradients in the form in which the backend has them."""
        if self.backend == "numpy":
            for name, p in self.model.named_parameters():
                p.grad[...] = gradients[name]
        if self.backend == "torch":
            import torch

            for name, p in self.model.named_parameters():
                p.grad = torch.tensor(to_torch(gradients[name]), dtype=p.dtype)
        if self.backend == "mlx":
            from dlcourse.mlx.module import to_mlx

            return to_mlx({name: g.astype(np.float32) for name, g in gradients.items()})
        return None

    def step(self, gradients, lr):
        tree = self.set_gradients(gradients)
        self.optimizer.step(*((lr,) if tree is None else (lr, tree)))

    def clip(self, gradients, max_norm):
        """(clipped gradients, norm)"""
        tree = self.set_gradients(gradients)
        if tree is None:
            norm = self.package.clip_gradients(self.model, max_norm)
            return self.model.gradients(), norm
        from dlcourse.mlx.module import to_numpy

        tree, norm = self.package.clip_gradients(tree, max_norm)
        return to_numpy(tree), norm


def draws(rng, count, config=CONFIG):
    shapes = {name: array.shape for name, array in initial_state(config, 0).items()}
    return [{name: rng.normal(size=shape) for name, shape in shapes.items()} for _ in range(count)]


def tolerance(backend):
    return 1e-12 if backend == "torch" else 1e-6


def dtype_of(backend):
    return np.float32 if backend == "mlx" else np.float64


@each_optimizer
@each_mirror
def test_50_steps(backend, kind, options, rng):
    ours, theirs = (Run(name, kind, options, dtype_of(backend)) for name in ("numpy", backend))
    for i, gradients in enumerate(draws(rng, 50)):
        for run in (ours, theirs):
            run.step(gradients, 0.01 * (1 + i % 3))
        compare(theirs.model.state(), ours.model.state()).check(tolerance(backend))
        # m is a mean of signs that cancel: its rounding is that of its terms
        compare(theirs.optimizer.state(), ours.optimizer.state()).check(tolerance(backend))


@pytest.mark.parametrize(
    ("kind", "options", "theirs", "their_options"),
    [
        ("SGD", {"momentum": 0.9}, "SGD", {"momentum": 0.9}),
        ("SGD", {"momentum": 0.9, "nesterov": True}, "SGD", {"momentum": 0.9, "nesterov": True}),
        ("SGD", {"momentum": 0.9, "weight_decay": 0.1}, "SGD", {"momentum": 0.9, "weight_decay": 0.1}),
        ("Adam", {}, "Adam", {"bias_correction": True}),
        ("AdamW", {"weight_decay": 0.1}, "AdamW", {"bias_correction": True, "weight_decay": 0.1}),
        ("RMSProp", {}, "RMSprop", {}),
        ("Lion", {"weight_decay": 0.1}, "Lion", {"weight_decay": 0.1}),
        ("Muon", {}, "Muon", {"weight_decay": 0.0}),  # MLX adds its decay to the gradient
    ],
)
def test_mlx_as_it_comes(kind, options, theirs, their_options, rng):
    """50 steps of MLX's own optimizers, without a class of ours around them: they decay every array, so that the model has matrices alone."""
    import mlx.core as mx
    import mlx.optimizers

    ours = Run("numpy", kind, options, np.float32)
    tree = {name: mx.array(array) for name, array in ours.model.state().items() if array.ndim == 2}
    optimizer = getattr(mlx.optimizers, theirs)(0.0, **their_options)
    for i, gradients in enumerate(draws(rng, 50)):
        lr = 0.01 * (1 + i % 3)
        ours.step(gradients, lr)
        optimizer.learning_rate = lr
        tree = optimizer.apply_gradients({name: mx.array(gradients[name].astype(np.float32)) for name in tree}, tree)
        mx.eval(tree, optimizer.state)
    state = ours.model.state()
    # MLX computes 1 - 0.999^t in float32
    tight = 4e-6 if kind.startswith("Adam") else 1e-6
    compare({name: np.array(array) for name, array in tree.items()}, {name: state[name] for name in tree}).check(tight)


def torch_muon(ours, gradients):
    """torch.optim.Muon along the gradients, beside our Muon, on the model's matrices: yields both states after each step."""
    import torch

    tensors = {name: torch.tensor(array, requires_grad=True) for name, array in ours.model.state().items() if array.ndim == 2}
    theirs = torch.optim.Muon(tensors.values(), lr=0.0, momentum=0.95, weight_decay=0.1)
    for i, g in enumerate(gradients):
        lr = 0.01 * (1 + i % 3)
        ours.step(g, lr)
        theirs.param_groups[0]["lr"] = lr
        for name, p in tensors.items():
            p.grad = torch.tensor(g[name])
        theirs.step()
        state = ours.model.state()
        yield {name: p.detach().numpy() for name, p in tensors.items()}, {name: state[name] for name in tensors}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_muon_equals_pytorchs_own(backend, rng, monkeypatch):
    """50 steps, first with PyTorch's one rounding to bfloat16 taken out: 1e-12 in float64. With it, bfloat16 is all that differs."""
    import torch

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
        for theirs, ours in torch_muon(Run(backend, "Muon", {"weight_decay": 0.1}, np.float64), draws(rng, 50)):
            compare(theirs, ours).check(1e-12)
    for theirs, ours in torch_muon(Run(backend, "Muon", {"weight_decay": 0.1}, np.float64), draws(rng, 50)):
        compare(theirs, ours).check(0.02)  # 8 bits of mantissa: 0.004 a rounding


@each_mirror
def test_muon_of_kernels(backend, rng):
    """A kernel is the matrix of its filters in every layout, many filters and few."""
    config = CNNConfig((6, 7, 2), channels=(40, 2), kernel=3, padding=1, hidden=(), outputs=3)
    ours, theirs = (Run(name, "Muon", {"weight_decay": 0.1}, dtype_of(backend), config=config) for name in ("numpy", backend))
    for gradients in draws(rng, 10, config):
        for run in (ours, theirs):
            run.step(gradients, 0.1)
        compare(theirs.model.state(), ours.model.state()).check(tolerance(backend))
        compare(theirs.optimizer.state(), ours.optimizer.state()).check(tolerance(backend))


@each_backend
def test_orthogonalize(backend, rng):
    package = dlcourse.backend(backend)
    tight = 1e-5 if backend == "mlx" else 1e-12
    for shape in ((5, 3), (3, 5), (4, 4), (200, 700)):
        x = rng.normal(size=shape).astype(dtype_of(backend))
        given = x if backend == "numpy" else tensor(backend, x)
        assert_close(str(shape), np.asarray(package.orthogonalize(given)), by_singular_values(x), tight)
    for wrong, iterations, message in ((np.ones(3), 5, "x has shape (3,), but a matrix is"), (np.ones((2, 2)), 0, "iterations=0")):
        given = wrong if backend == "numpy" else tensor(backend, wrong)
        raises(ValueError, message, lambda given=given, iterations=iterations: package.orthogonalize(given, iterations))


def tensor(backend, array):
    if backend == "torch":
        import torch

        return torch.tensor(array)
    import mlx.core as mx

    return mx.array(array)


@each_optimizer
@pytest.mark.parametrize("first", dlcourse.BACKENDS)
@pytest.mark.parametrize("second", dlcourse.BACKENDS)
def test_one_state_for_all(first, second, kind, options, rng):
    """Ten steps in one backend, the states handed over, ten in another: as twenty in the first."""
    dtype = np.float32 if "mlx" in (first, second) else np.float64
    whole, start, rest = (Run(name, kind, options, dtype, seed) for name, seed in ((first, 0), (first, 0), (second, 9)))
    gradients = draws(rng, 20)
    for g in gradients:
        whole.step(g, 0.01)
    for g in gradients[:10]:
        start.step(g, 0.01)
    rest.model.load_state(start.model.state())
    rest.optimizer.load_state(start.optimizer.state())
    assert int(rest.optimizer.state()["step"]) == 10
    compare(rest.optimizer.state(), start.optimizer.state()).check(0.0)
    for g in gradients[10:]:
        rest.step(g, 0.01)
    if first == second:
        compare(rest.model.state(), whole.model.state()).check(0.0)
    compare(rest.model.state(), whole.model.state()).check(1e-5 if "mlx" in (first, second) else 1e-12)


@each_optimizer
@each_backend
def test_the_state_of_no_steps(backend, kind, options, rng):
    """Loading a fresh state resets an optimizer that has stepped."""
    dtype = dtype_of(backend)
    fresh, used = Run(backend, kind, options, dtype), Run(backend, kind, options, dtype)
    gradients = draws(rng, 3)
    used.step(gradients[0], 0.1)
    used.model.load_state(fresh.model.state())
    used.optimizer.load_state(fresh.optimizer.state())
    assert int(used.optimizer.state()["step"]) == 0
    for g in gradients[1:]:
        fresh.step(g, 0.01)
        used.step(g, 0.01)
    compare(used.model.state(), fresh.model.state()).check(0.0)


@each_backend
def test_the_state_of_an_optimizer_is_a_copy(backend, rng):
    run = Run(backend, "Adam", {}, dtype_of(backend))
    run.step(draws(rng, 1)[0], 0.01)
    before = run.optimizer.state()
    for array in run.optimizer.state().values():
        array += 1
    compare(run.optimizer.state(), before).check(0.0)


@each_backend
def test_clip_gradients(backend, rng):
    """The formula itself, also where the norm is small: the frameworks' own functions divide by |g| + 1e-6."""
    tight = 1e-6 if backend == "mlx" else 1e-14
    for scale in (1.0, 1e-4):
        gradients = {name: g * scale for name, g in draws(rng, 1)[0].items()}
        norm = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        run = Run(backend, "SGD", {}, dtype_of(backend))
        clipped, returned = run.clip(gradients, norm / 3)
        assert isinstance(returned, float) and abs(returned - norm) <= tight * norm
        compare(clipped, {name: g / 3 for name, g in gradients.items()}).check(tight)
        clipped, returned = run.clip(gradients, norm * 2)
        compare(clipped, {name: g.astype(dtype_of(backend)) for name, g in gradients.items()}).check(0.0)
        for wrong in (0.0, -1.0, float("nan")):
            raises(
                ValueError,
                "the largest gradient norm must be above 0",
                lambda wrong=wrong, run=run, gradients=gradients: run.clip(gradients, wrong),
            )


@pytest.mark.parametrize("backend", ["numpy", "torch"])  # in MLX gradients are values
def test_the_step_leaves_the_gradients(backend, rng):
    gradients = draws(rng, 1)[0]
    run = Run(backend, "SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, np.float64)
    run.step(gradients, 0.1)
    compare(run.model.gradients(), gradients).check(0.0)
