"""Attention: values against one query at a time, gradients by differences and against PyTorch, blocks against the whole, memory, refusals."""

import tracemalloc

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse import positions
from dlcourse.errors import need
from dlcourse.numpy import attention as a
from tests.gradients import assert_close
from tests.numpy import attention_cases as cases
from tests.numpy import models
from tests.numpy.attention_cases import Case

seeds = st.integers(0, 2**32 - 1)


@st.composite
def drawn_cases(draw):
    batch, heads, queries, size = (draw(st.integers(1, 4)) for _ in range(4))
    causal = draw(st.booleans())
    keys = queries * causal + draw(st.integers(1 - causal, 4))
    return Case(batch, heads, queries, keys, size, causal, draw(st.sampled_from(["none", "keys", "full"])), draw(st.booleans()))


@given(case=drawn_cases(), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_attention(case, seed):
    cases.check_attention(a, np.random.default_rng(seed), case)


@given(case=drawn_cases(), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_equals_pytorch(case, seed):
    torch = need("torch", extra="torch")
    rng = np.random.default_rng(seed)
    arguments, options = case.draw(rng)
    y, backward = a.attention(*arguments, **options)
    tensors = [torch.from_numpy(x).requires_grad_() for x in arguments]
    seen = np.tri(case.queries, case.keys, case.keys - case.queries if case.causal else case.keys, dtype=bool)
    seen = seen if options["mask"] is None else seen & options["mask"]
    hidden = np.where(seen, 0.0 if options["bias"] is None else options["bias"], -np.inf)
    expected = torch.nn.functional.scaled_dot_product_attention(*tensors, torch.from_numpy(hidden))
    dy = rng.normal(size=y.shape)
    expected.backward(torch.from_numpy(dy))
    assert_close("y", y, expected.detach().numpy(), 1e-10)
    scale = max(float(tensor.grad.abs().max()) for tensor in tensors)
    for name, ours, tensor in zip("qkv", backward(dy), tensors, strict=True):
        # with one key in sight dq and dk are zero but for rounding
        assert np.abs(ours - tensor.grad.numpy()).max() <= 1e-10 * max(scale, 1.0), f"d{name}"


@given(case=drawn_cases(), seed=seeds, block=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_streaming(case, seed, block):
    cases.check_streaming(a, np.random.default_rng(seed), case, block)


def test_everything_that_the_mutants_are_asked():
    cases.check_everything(a, models.raises)


def test_streaming_in_float32(rng):
    q, k, v, dy = rng.normal(size=(4, 2, 2, 300, 16)).astype(np.float32)
    for causal in (False, True):
        (y, backward), (streamed, streamed_back) = a.attention(q, k, v, causal=causal), a.streaming_attention(q, k, v, causal=causal)
        assert_close("y", streamed, y, 1e-6)
        for name, ours, theirs in zip("qkv", streamed_back(dy), backward(dy), strict=True):
            assert_close(f"d{name}", ours, theirs, 1e-6)


def peak(function, *arguments):
    """Bytes that a call and its way back need at most, beyond their arguments."""
    tracemalloc.start()
    y, backward = function(*arguments)
    backward(y)
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return highest


def test_memory_of_streaming_is_linear(rng):
    """Four times as many positions: 16 times the memory of attention, 4 times that of its streaming version."""
    peaks = {}
    for length in (512, 2048):
        qkv = rng.normal(size=(3, 1, 1, length, 8)).astype(np.float32)
        peaks[length] = [peak(function, *qkv) for function in (a.attention, a.streaming_attention)]
    (whole, streamed), (whole_4, streamed_4) = peaks[512], peaks[2048]
    assert 14 < whole_4 / whole < 17
    assert streamed_4 / streamed < 4.2
    assert whole_4 / streamed_4 > 50


def test_multi_head_equals_pytorch(rng):
    torch = need("torch", extra="torch")
    layer, theirs = a.MultiHeadAttention(6, 3), torch.nn.MultiheadAttention(6, 3, batch_first=True, dtype=torch.float64)
    state = cases.random_state(layer, rng)
    layer.load_state(state)
    with torch.no_grad():
        for part, whole in (("weight", theirs.in_proj_weight), ("bias", theirs.in_proj_bias)):
            whole.copy_(torch.from_numpy(np.concatenate([state[f"{name}_proj.{part}"] for name in "qkv"])))
        theirs.out_proj.weight.copy_(torch.from_numpy(state["out_proj.weight"]))
        theirs.out_proj.bias.copy_(torch.from_numpy(state["out_proj.bias"]))
    x, memory = rng.normal(size=(2, 4, 6)), rng.normal(size=(2, 5, 6))
    tensors = [torch.from_numpy(array).requires_grad_() for array in (x, memory)]
    y, backward = layer(x, memory)
    expected, _ = theirs(tensors[0], tensors[1], tensors[1], need_weights=False)
    dy = rng.normal(size=y.shape)
    expected.backward(torch.from_numpy(dy))
    assert_close("y", y, expected.detach().numpy(), 1e-10)
    for name, ours, tensor in zip(("dx", "dmemory"), backward(dy), tensors, strict=True):
        assert_close(name, ours, tensor.grad.numpy(), 1e-10)
    assert_close("dw", layer.gradients()["v_proj.weight"], theirs.in_proj_weight.grad.numpy()[12:], 1e-10)


# ---------------------------------------------------------------- positions


def test_rope_depends_on_distance_alone(rng):
    """q at m and k at n: their product is a function of m - n."""
    q, k = rng.normal(size=(2, 1, 8))
    for m, n, shift in ((0, 0, 5), (3, 1, 40), (2, 9, 1000)):
        products = [(a.rope(q, m + s)[0] * a.rope(k, n + s)[0]).sum() for s in (0, shift)]
        assert abs(products[0] - products[1]) < 1e-9
    assert abs((a.rope(q, 3)[0] * a.rope(k, 1)[0]).sum() - (a.rope(q, 1)[0] * a.rope(k, 3)[0]).sum()) > 1e-3


def test_positions_as_their_formulas_say():
    cases.check_positions(positions, models.raises)
