"""Attention and blocks of every backend against the oracle, one head and one query at a time: masks, memory, positions, dropout, refusals."""

import numpy as np
import pytest

import dlcourse
from tests.gradients import assert_close
from tests.numpy.attention_cases import slow_layer
from tests.numpy.transformer_cases import BLOCKS, slow_block

each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)
SEEN = np.array([[True, True, False, True], [True, False, False, False]])[:, None, None]  # (B, 1, 1, S)
FULL = np.tri(4, dtype=bool) | (np.random.default_rng(1).random((2, 2, 4, 4)) < 0.4)  # (B, H, T, S)
BIAS = np.random.default_rng(2).normal(size=(2, 4, 4))


def native(backend, value):
    """A float64 array or a mask as the backend takes it, MLX's in float32."""
    if not isinstance(value, np.ndarray):
        return value
    if backend == "torch":
        import torch

        return torch.from_numpy(value)
    if backend == "mlx":
        import mlx.core as mx

        return mx.array(value if value.dtype == bool else value.astype(np.float32))
    return value


def made(backend, kind, *arguments, **options):
    """A module in evaluation mode with random weights, and its state."""
    module, rng = getattr(dlcourse.backend(backend), kind)(*arguments, **options), np.random.default_rng(0)
    state = {name: rng.normal(size=array.shape) for name, array in module.state().items()}
    module.load_state({name: array.astype(np.float32 if backend == "mlx" else np.float64) for name, array in state.items()})
    module.eval()
    return module, state


def called(backend, module, *arguments, **options):
    y = module(*[native(backend, a) for a in arguments], **{name: native(backend, a) for name, a in options.items()})
    y = y[0] if backend == "numpy" else y
    return y.numpy(force=True) if backend == "torch" else np.array(y)


def tolerance(backend):
    return 1e-5 if backend == "mlx" else 1e-12


@each_backend
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"causal": True},
        {"mask": SEEN},
        {"mask": FULL, "causal": True, "bias": BIAS},
        {"causal": True, "bias": BIAS},
        {"rope": True, "causal": True},
        {"rope": True, "mask": FULL},
    ],
    ids=lambda options: ", ".join(options) or "plain",
)
def test_multi_head_attention(backend, options, rng):
    layer, state = made(backend, "MultiHeadAttention", 8, 2)
    x = rng.normal(size=(2, 4, 8))
    assert_close("y", called(backend, layer, x, **options), slow_layer(state, x, 2, **options), tolerance(backend))


@each_backend
@pytest.mark.parametrize("causal", [False, True])
def test_memory(backend, causal, rng):
    layer, state = made(backend, "MultiHeadAttention", 8, 2, bias=False)
    x, memory = rng.normal(size=(2, 3, 8)), rng.normal(size=(2, 4, 8))
    expected = slow_layer(state, x, 2, memory, mask=SEEN, causal=causal)
    assert_close("y", called(backend, layer, x, memory, SEEN, causal), expected, tolerance(backend))
    expected = slow_layer(state, x, 2, memory, causal=causal)  # query i sees the keys j <= i + 1
    assert_close("y", called(backend, layer, x, memory, causal=causal), expected, tolerance(backend))


@each_backend
@pytest.mark.parametrize("options", BLOCKS, ids=str)
def test_block(backend, options, rng):
    block, state = made(backend, "Block", 4, 2, 6, **options)
    x, memory = rng.normal(size=(2, 4, 4)), rng.normal(size=(2, 4, 4))
    given = {"mask": FULL, "causal": True, "rope": True, "bias": BIAS}
    if options.get("cross"):
        given |= {"memory": memory, "memory_mask": SEEN}
    how = {name: value for name, value in options.items() if name not in ("cross", "bias")}
    assert_close("y", called(backend, block, x, **given), slow_block(state, x, 2, **how, **given), tolerance(backend))


@pytest.mark.parametrize("backend", ["torch", "mlx"])
def test_dropout_in_training_only(backend, rng):
    """On attention weights and outputs; the mean over many masks is what it is without."""
    layer, state = made(backend, "MultiHeadAttention", 4, 2, dropout=0.3)
    x = np.repeat(rng.normal(size=(1, 3, 4)), 20000, axis=0)
    expected = slow_layer(state, x[:1], 2, causal=True)
    assert_close("evaluation", called(backend, layer, x[:1], causal=True), expected, tolerance(backend))
    layer.train()
    y = called(backend, layer, x, causal=True)
    assert 0.29 < (y == 0).mean() < 0.31, "outputs that are dropped"
    np.testing.assert_allclose(y.mean(axis=0), expected[0], atol=6 * y.std() / np.sqrt(len(x)))
    kept = y[:, 0] * 0.7 - state["out_proj.bias"]  # the first query has one weight: dropped with it, or 1 / 0.7
    alone = np.abs(kept[y[:, 0, 0] != 0, 0])
    assert len(np.unique(alone.round(4))) == 4, "each of the two heads is dropped or not"


@each_backend
def test_refused(backend, rng):
    layer, _ = made(backend, "MultiHeadAttention", 8, 2)
    x, blind = rng.normal(size=(2, 4, 8)), FULL.copy()
    blind[1, 0, 2] = False
    for message, call in [
        ("query 2 of sequence 1 may look at no key", lambda: called(backend, layer, x, mask=blind)),
        ("but it is True where a query may look", lambda: called(backend, layer, x, mask=np.ones((4, 4)))),
        ("width=10 is not divisible by heads=4", lambda: made(backend, "MultiHeadAttention", 10, 4)),
        (
            "a head has 3 channels, but rotary positions",
            lambda: called(backend, made(backend, "MultiHeadAttention", 6, 2)[0], x[..., :6], rope=True),
        ),
    ]:
        with pytest.raises(ValueError) as error:
            call()
        assert message in str(error.value)
