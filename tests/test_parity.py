"""Three backends, one result: the same weights and batches give the same outputs, gradients, parameters and losses.

NumPy against PyTorch in float64: relative 1e-10. Running statistics are part of the state. Float32, all three: outputs, gradients by name (Frobenius norms) and the loss after 10 steps 1e-5.
Parameters after steps: 1e-5 too (measured: 3e-6)."""

import functools
from dataclasses import replace

import numpy as np
import pytest

import dlcourse
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.state import compare

NETWORKS = {
    "784-128-64-10": (MLPConfig(784, (128, 64), 10), "cross_entropy"),
    "784-128-10 with dropout": (MLPConfig(784, (128,), 10, dropout=0.2), "cross_entropy"),
    "1000-512-10": (MLPConfig(1000, (512,), 10), "cross_entropy"),
    "1000-500-250-10": (MLPConfig(1000, (500, 250), 10), "cross_entropy"),
    "sigmoid": (MLPConfig(30, (16, 8), 5, "sigmoid"), "cross_entropy"),
    "one sigmoid unit": (MLPConfig(20, (1,), 1, "sigmoid"), "mse"),
    "tanh": (MLPConfig(30, (16, 8), 5, "tanh"), "cross_entropy"),
    "gelu": (MLPConfig(30, (16, 8), 5, "gelu"), "cross_entropy"),
    "batch norm": (MLPConfig(30, (16, 8), 5, "gelu", norm="batch"), "cross_entropy"),
    "layer norm": (MLPConfig(30, (16, 8), 5, "tanh", norm="layer"), "cross_entropy"),
    "rms norm": (MLPConfig(30, (16, 8), 5, "relu", norm="rms"), "cross_entropy"),
    "batch norm and dropout": (MLPConfig(30, (16, 8), 5, "relu", 0.3, "batch"), "cross_entropy"),
    "logistic regression": (MLPConfig(30, (), 1), "binary_cross_entropy"),
    "linear regression": (MLPConfig(13, (), 3), "mse"),
    "regression": (MLPConfig(13, (32, 16), 1), "mse"),
    "several yes or no": (MLPConfig(12, (9,), 4, "tanh"), "binary_cross_entropy"),
}
OPTIMIZERS = {
    "SGD": ("SGD", {}, None, 0.05),
    "Nesterov with decay": (
        "SGD",
        {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-2},
        None,
        2e-3,
    ),  # 1e-2 diverges, and would magnify rounding
    "clipped": ("SGD", {}, 0.05, 0.1),
    "Adam": ("Adam", {}, None, 1e-3),
    "AdamW": ("AdamW", {"weight_decay": 0.1}, None, 1e-3),
}
PAIRS = [("torch", np.float64), ("torch", np.float32), ("mlx", np.float32)]
each_network = pytest.mark.parametrize("network", NETWORKS)
each_pair = pytest.mark.parametrize(("backend", "dtype"), PAIRS, ids=[f"{name}-{np.dtype(dtype)}" for name, dtype in PAIRS])


def batches(config, loss, dtype, count, size=16):
    rng = np.random.default_rng(1)
    for _ in range(count):
        x = rng.normal(size=(size, config.inputs)).astype(dtype)
        if loss == "cross_entropy":
            yield x, rng.integers(0, config.outputs, size=size)
        else:
            noise = rng.normal(size=(size, config.outputs))
            yield x, (noise if loss == "mse" else noise > 0).astype(dtype)


def learner_of(backend, config, loss, dtype, device="cpu", optimizer="SGD"):
    package = dlcourse.backend(backend)
    kind, options, clip, _ = OPTIMIZERS[optimizer]
    model = package.MLP(config)
    model.load_state(initial_state(config, 0, dtype))
    return package.Learner(model, getattr(package, kind)(model, **options), loss=loss, device=device, clip=clip)


@functools.cache
def first_look(backend, network, dtype, device="cpu"):
    """Outputs, loss and gradients of the initial weights."""
    config, loss = NETWORKS[network]
    learner = learner_of(backend, config, loss, dtype, device)
    (batch,) = batches(config, loss, dtype, 1)
    value, gradients = learner.gradients(batch)
    evaluated, logits = learner.evaluate(batch)
    rows = {"outputs": learner.predict(batch[0]), "evaluated": logits, "loss": value, "evaluated loss": evaluated}
    return rows | {f"gradient {name}": g for name, g in gradients.items()}


@functools.cache
def trained(backend, network, dtype, optimizer, device="cpu"):
    """Losses and parameters after 1 and after 10 steps, without dropout: its masks cannot agree."""
    config, loss = NETWORKS[network]
    learner = learner_of(backend, replace(config, dropout=0.0), loss, dtype, device, optimizer)
    first, *rest = batches(config, loss, dtype, 10)
    lr, losses, parameters = OPTIMIZERS[optimizer][3], {}, {}
    for step, batch in enumerate((first, *rest), start=1):
        losses[f"loss of step {step}"] = learner.step(batch, lr)
        if step in (1, 10):
            parameters |= {f"after {step}: {name}": array for name, array in learner.model.state().items()}
            losses[f"loss after {step}"] = learner.evaluate(first)[0]
    return losses, parameters


def devices(backend, dtype):
    """Every device present that has the dtype: Apple's GPU has no float64."""
    return [device for device in dlcourse.backend(backend).devices() if not (dtype == np.float64 and device == "mps")]


def check(record_parity, what, theirs, ours, tolerance):
    name, _, error = compare(theirs, ours).check(tolerance).worst
    record_parity(f"{what}: {name}", error)


@each_network
@each_pair
def test_outputs_and_gradients(network, backend, dtype, record_parity):
    for device in devices(backend, dtype):
        theirs, ours = first_look(backend, network, dtype, device), first_look("numpy", network, dtype)
        check(record_parity, f"{network}, {backend} on {device}, {np.dtype(dtype)}", theirs, ours, 1e-10 if dtype == np.float64 else 1e-5)


@each_network
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@each_pair
def test_training(network, optimizer, backend, dtype, record_parity):
    for device in devices(backend, dtype):
        what = f"{network}, {optimizer}, {backend} on {device}, {np.dtype(dtype)}"
        theirs, ours = trained(backend, network, dtype, optimizer, device), trained("numpy", network, dtype, optimizer)
        tight = 1e-10 if dtype == np.float64 else 1e-5
        check(record_parity, what, theirs[0], ours[0], tight)
        check(record_parity, what, theirs[1], ours[1], tight)


def test_the_check_fails_on_a_wrong_number():
    ours = first_look("numpy", "tanh", np.float64)
    for name, array in ours.items():
        wrong = ours | {name: np.asarray(array) * (1 + 3e-10)}
        with pytest.raises(AssertionError, match=name):
            compare(wrong, ours).check(1e-10)
