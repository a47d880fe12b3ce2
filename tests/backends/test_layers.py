"""Convolution and pooling as layers: three backends, one result through one state dict, and one sentence for what they refuse.

NumPy's and MLX's layers take images (N, H, W, C), PyTorch's (N, C, H, W), as its models permute once on entry."""

import numpy as np
import pytest

import dlcourse
from dlcourse.state import compare
from tests.numpy import models

BACKENDS = dlcourse.BACKENDS
PAIRS = [("torch", np.float64, 1e-10), ("torch", np.float32, 1e-5), ("mlx", np.float32, 1e-5)]
LAYERS = {
    "plain": ("Conv2d", (3, 5, 3)),
    "everything": ("Conv2d", (4, 6, 3, 2, 2, 2, 2)),
    "1x1": ("Conv2d", (4, 2, 1)),
    "depthwise": ("Conv2d", (6, 6, 3, 1, 1, 1, 6)),
    "transposed": ("ConvTranspose2d", (3, 5, 3)),
    "transposed, everything": ("ConvTranspose2d", (4, 6, 3, 3, 2, 1, 2, 2)),
    "transposed, depthwise": ("ConvTranspose2d", (6, 6, 3, 2, 1, 1, 1, 6)),
    "transposed, no bias": ("ConvTranspose2d", (4, 6, 2, 2, 0, 0, 1, 2, False)),
    "max": ("MaxPool2d", (2,)),
    "max, overlapping": ("MaxPool2d", (3, 2, 1)),
    "mean": ("AvgPool2d", (2,)),
    "mean, overlapping": ("AvgPool2d", (3, 2, 1)),
    "mean of all": ("GlobalAvgPool", ()),
}


def drawn(name, arguments, dtype):
    """x and the state of the layer."""
    rng = np.random.default_rng(0)
    channels = arguments[0] if name.startswith("Conv") else 3
    x = rng.normal(size=(2, 9, 8, channels)).astype(dtype)
    layer = getattr(dlcourse.backend("numpy"), name)(*arguments)
    return x, {key: rng.normal(size=array.shape).astype(dtype) for key, array in layer.state().items()}


def results(backend, name, arguments, dtype):
    """{"y", "dx", "weight", "bias"} for one x, state and upstream gradient."""
    x, state = drawn(name, arguments, dtype)
    layer = getattr(dlcourse.backend(backend), name)(*arguments)
    return {"numpy": numpy_results, "torch": torch_results, "mlx": mlx_results}[backend](layer, x, state)


def upstream(shape, dtype):
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


def numpy_results(layer, x, state):
    if state:
        layer.load_state(state)
    y, backward = layer(x)
    return {"y": y, "dx": backward(upstream(y.shape, x.dtype))} | layer.gradients()


def torch_results(layer, x, state):
    import torch

    from dlcourse.torch.module import Module

    model = Module()
    model.layer = layer
    model.load_state({f"layer.{name}": array for name, array in state.items()})
    assert all(np.array_equal(array, state[name.removeprefix("layer.")]) for name, array in model.state().items())
    images = torch.from_numpy(x).permute(0, 3, 1, 2).requires_grad_()
    y = layer(images)
    y = y.permute(0, 2, 3, 1) if y.ndim == 4 else y
    y.backward(torch.from_numpy(upstream(tuple(y.shape), x.dtype)))
    found = {"y": y.detach().numpy(), "dx": images.grad.permute(0, 2, 3, 1).numpy()}
    return found | {name.removeprefix("layer."): array for name, array in model.gradients().items()}


def mlx_results(layer, x, state):
    import mlx.core as mx

    from dlcourse.mlx.module import to_mlx, to_numpy

    layer.update(to_mlx(state))

    def total(parameters, x):
        layer.update(parameters)
        y = layer(x)
        return (y * mx.array(upstream(y.shape, np.float32))).sum()

    images = mx.array(x)
    y = layer(images)
    parameters, dx = mx.grad(total, argnums=(0, 1))(layer.parameters(), images)
    return {"y": np.array(y), "dx": np.array(dx)} | to_numpy(parameters)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(("backend", "dtype", "tolerance"), PAIRS, ids=[f"{name}-{np.dtype(dtype)}" for name, dtype, _ in PAIRS])
def test_layers_agree(layer, backend, dtype, tolerance, record_parity):
    name, arguments = LAYERS[layer]
    found = compare(results(backend, name, arguments, dtype), results("numpy", name, arguments, dtype)).check(tolerance)
    if dtype == np.float64:
        record_parity(f"{layer} ({backend})", found.worst[2])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("message", "call"), models.LAYERS_REFUSED, ids=[message[:24] for message, _ in models.LAYERS_REFUSED])
def test_refused_when_built(backend, message, call):
    models.raises(ValueError, message, lambda: call(dlcourse.backend(backend)))


def images_of(backend, *shape):
    """Zeros of this shape, NHWC, in the layout that the backend's layers take."""
    if backend == "numpy":
        return np.zeros(shape, np.float32)
    if backend == "mlx":
        import mlx.core as mx

        return mx.zeros(shape)
    import torch

    return torch.zeros(shape).permute(0, 3, 1, 2) if len(shape) == 4 else torch.zeros(shape)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("message", "name", "arguments", "shape"),
    [
        ("single image needs x[None]", "Conv2d", (3, 4, 3), (8, 8, 3)),
        ("single image needs x[None]", "MaxPool2d", (2,), (8, 8, 3)),
        ("single image needs x[None]", "AvgPool2d", (2,), (8, 8, 3)),
        ("that is 5 channels, but the layer takes 3: build it with inputs=5", "Conv2d", (3, 4, 3), (2, 8, 8, 5)),
        (
            "kernel spans 5 pixels, but the padded image has 4: use a smaller kernel or dilation, or padding=1",
            "Conv2d",
            (3, 4, 3, 1, 0, 2),
            (2, 4, 8, 3),
        ),
        ("kernel spans 5 pixels, but the padded image has 4", "Conv2d", (3, 4, 5), (2, 8, 4, 3)),
        ("kernel spans 3 pixels, but the padded image has 2", "MaxPool2d", (3,), (2, 2, 8, 3)),
        ("kernel spans 3 pixels, but the padded image has 2", "AvgPool2d", (3,), (2, 8, 2, 3)),
        ("single image needs x[None]", "ConvTranspose2d", (3, 4, 3), (8, 8, 3)),
        ("single image needs x[None]", "GlobalAvgPool", (), (8, 8, 3)),
        ("that is 5 channels, but the layer takes 3: build it with inputs=5", "ConvTranspose2d", (3, 4, 3), (2, 8, 8, 5)),
        ("padding=2 leaves nothing of the output: use a smaller one", "ConvTranspose2d", (3, 4, 3, 1, 2), (2, 2, 8, 3)),
        ("padding=2 leaves nothing of the output: use a smaller one", "ConvTranspose2d", (3, 4, 3, 1, 2), (2, 8, 2, 3)),
    ],
)
def test_refused_when_called(backend, message, name, arguments, shape):
    layer = getattr(dlcourse.backend(backend), name)(*arguments)
    models.raises(ValueError, message, lambda: layer(images_of(backend, *shape)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("shape", "arguments"), [((1, 1), (3, 4, 3, 1, 1)), ((1, 2), (3, 4, 2, 3, 2, 2, 2))])
def test_the_smallest_output_of_a_transposed_convolution(backend, shape, arguments):
    """One pixel: the padding leaves just that, and is not refused."""
    layer = dlcourse.backend(backend).ConvTranspose2d(*arguments)
    y = layer(images_of(backend, 1, *shape, 3))
    y = y[0] if backend == "numpy" else y
    sides = y.shape[2:] if backend == "torch" else y.shape[1:3]
    assert tuple(sides) == ((1, 1) if shape == (1, 1) else (1, 4))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["Conv2d", "ConvTranspose2d"])
def test_confused_channels_are_named_with_the_cure(backend, name):
    layer = getattr(dlcourse.backend(backend), name)(3, 4, 3)
    wrong = images_of(backend, 2, 8, 8, 3)
    if backend == "torch":
        wrong, cure = wrong.permute(0, 2, 3, 1), "its 3 channels last, but images are (N, C, H, W): pass x.permute(0, 3, 1, 2)"
    else:
        wrong, cure = wrong.transpose(0, 3, 1, 2), "its 3 channels first, but images are (N, H, W, C): pass x.transpose(0, 2, 3, 1)"
    models.raises(ValueError, cure, lambda: layer(wrong))
