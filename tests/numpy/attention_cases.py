"""What is asked of `dlcourse.numpy.attention`: each check takes the module, so that the mutants are asked the same.

The oracle of attention is a sum over one query and one head at a time; PyTorch is the second opinion of `tests/numpy/test_attention.py`."""

import cmath
import math
import warnings
from dataclasses import dataclass

import numpy as np

from tests.gradients import assert_close, check_gradient
from tests.numpy.models import parameter_gradients


@dataclass(frozen=True)
class Case:
    batch: int = 2
    heads: int = 2
    queries: int = 3
    keys: int = 3
    size: int = 4
    causal: bool = False
    mask: str = "none"  # none, keys (B, 1, 1, S), full (B, H, T, S)
    bias: bool = False

    def draw(self, rng):
        """(q, k, v), options"""
        q = rng.normal(size=(self.batch, self.heads, self.queries, self.size))
        k, v = rng.normal(size=(2, self.batch, self.heads, self.keys, self.size))
        mask = {
            "none": None,
            "keys": rng.random((self.batch, 1, 1, self.keys)) < 0.5,
            "full": rng.random((self.batch, self.heads, self.queries, self.keys)) < 0.5,
        }[self.mask]
        if mask is not None:  # the first key is seen by all
            mask[..., 0] = True
        bias = rng.normal(size=(self.heads, self.queries, self.keys)) if self.bias else None
        return (q, k, v), {"mask": mask, "causal": self.causal, "bias": bias}


CASES = [
    Case(),
    Case(queries=2, keys=5, causal=True),
    Case(batch=1, heads=3, queries=5, keys=5, size=1, causal=True, bias=True),
    Case(queries=4, keys=2, mask="keys"),
    Case(heads=1, queries=4, keys=6, size=3, causal=True, mask="full", bias=True),
    Case(batch=3, queries=1, keys=1),
    Case(batch=1, queries=1, keys=7, causal=True, mask="full"),
]


def slow_weights(q, k, mask=None, causal=False, bias=None):
    """P (B, H, T, S), one query at a time."""
    weights = np.zeros((*q.shape[:3], k.shape[2]))
    mask = np.ones(weights.shape, bool) if mask is None else np.broadcast_to(mask, weights.shape)
    bias = np.zeros(weights.shape) if bias is None else np.broadcast_to(bias, weights.shape)
    for b, h, i in np.ndindex(q.shape[:3]):
        last = i + k.shape[2] - q.shape[2] if causal else k.shape[2]
        seen = [j for j in range(k.shape[2]) if mask[b, h, i, j] and j <= last]
        powers = [math.exp(q[b, h, i] @ k[b, h, j] / math.sqrt(q.shape[3]) + bias[b, h, i, j]) for j in seen]
        weights[b, h, i, seen] = np.array(powers) / sum(powers)
    return weights


def slow_attention(q, k, v, **options):
    return np.einsum("bhts,bhsd->bhtd", slow_weights(q, k, **options), v)


def check_attention(a, rng, case):
    arguments, options = case.draw(rng)
    y, _ = a.attention(*arguments, **options)
    assert_close("y", y, slow_attention(*arguments, **options), 1e-12)
    return check_gradient(lambda *qkv: a.attention(*qkv, **options), arguments, rng)


def check_dropout(a):
    """Dropout acts on P with a generator only, and the way back has the same mask."""
    rng = np.random.default_rng(3)
    (q, k, v), _ = Case(queries=6, keys=7).draw(rng)
    assert_close("no generator", a.attention(q, k, v, dropout=0.4)[0], slow_attention(q, k, v), 1e-12)
    kept = np.random.default_rng(5).random((2, 2, 7, 6), dtype=np.float32) >= 0.4
    weights = slow_weights(q, k) * kept.swapaxes(2, 3) / 0.6
    y, _ = a.attention(q, k, v, dropout=0.4, rng=np.random.default_rng(5))
    assert_close("with a generator", y, np.einsum("bhts,bhsd->bhtd", weights, v), 1e-12)
    check_gradient(lambda *qkv: a.attention(*qkv, dropout=0.4, rng=np.random.default_rng(5)), (q, k, v), rng)


def check_streaming(a, rng, case, block):
    """In blocks of any size the same as at once, forward and back."""
    arguments, _ = case.draw(rng)
    y, backward = a.attention(*arguments, causal=case.causal)
    streamed, streamed_back = a.streaming_attention(*arguments, block, *([True] if case.causal else []))
    assert_close("y", streamed, y, 1e-12)
    dy = rng.normal(size=y.shape)
    for name, ours, theirs in zip("qkv", streamed_back(dy), backward(dy), strict=True):
        assert np.abs(ours - theirs).max() <= 1e-12 * max(1.0, np.abs(theirs).max()), f"d{name}"


STREAMED = [
    (Case(), 64),
    (Case(queries=7, keys=7), 3),
    (Case(queries=7, keys=7, causal=True), 3),
    (Case(queries=4, keys=9, causal=True), 2),
    (Case(queries=5, keys=2), 1),
    (Case(queries=6, keys=6, causal=True), 6),
    (Case(queries=3, keys=8, causal=True), 4),
]


def slow_rope(x, offset=0, base=10000.0):
    """Each pair as one complex number, times e^(i angle)."""
    y, half = np.array(x, np.float64), x.shape[-1] // 2
    for *lead, t in np.ndindex(x.shape[:-1]):
        for i in range(half):
            place = (*lead, t)
            number = complex(x[(*place, i)], x[(*place, i + half)]) * cmath.exp(1j * (t + offset) * base ** (-2 * i / x.shape[-1]))
            y[(*place, i)], y[(*place, i + half)] = number.real, number.imag
    return y


def check_rope(a):
    rng = np.random.default_rng(0)
    for shape, options in [((2, 3, 5, 6), {}), ((4, 2), {"offset": 3}), ((1, 2, 3, 4), {"offset": 100, "base": 50.0})]:
        x = rng.normal(size=shape)
        assert_close("y", a.rope(x, **options)[0], slow_rope(x, **options), 1e-12)
        check_gradient(lambda x, options=options: a.rope(x, **options), (x,), rng)
    y, backward = a.rope(x.astype(np.float32))
    assert y.dtype == backward(y).dtype == np.float32


def slow_layer(state, x, heads, memory=None, rope=False, **options):
    """Heads one after the other, each with its own rows of the three matrices."""
    source, parts = x if memory is None else memory, []
    size = x.shape[-1] // heads
    for h in range(heads):
        own = slice(h * size, (h + 1) * size)
        q, k, v = (
            each @ state[f"{name}_proj.weight"][own].T + state.get(f"{name}_proj.bias", np.zeros(x.shape[-1]))[own]
            for name, each in (("q", x), ("k", source), ("v", source))
        )
        if rope:
            q, k = slow_rope(q), slow_rope(k)
        now = {key: value[:, h : h + 1] if np.ndim(value) == 4 and value.shape[1] > 1 else value for key, value in options.items()}
        if options.get("bias") is not None:
            now["bias"] = options["bias"][h]
        parts.append(slow_attention(q[:, None], k[:, None], v[:, None], **now)[:, 0])
    return np.concatenate(parts, axis=-1) @ state["out_proj.weight"].T + state.get("out_proj.bias", 0)


def random_state(model, rng):
    return {name: rng.normal(size=array.shape) for name, array in model.state().items()}


def check_layer(a):
    rng = np.random.default_rng(0)
    for bias, heads, options in [
        (True, 2, {}),
        (False, 3, {"causal": True}),
        (True, 1, {"rope": True, "causal": True}),
        (False, 2, {"mask": rng.random((2, 2, 4, 4)) < 0.5, "bias": rng.normal(size=(2, 4, 4))}),
    ]:
        if "mask" in options:
            options["mask"] |= np.eye(4, dtype=bool)
        layer = a.MultiHeadAttention(6 if not options.get("rope") else 4, heads, bias)
        parts = ("weight", "bias") if bias else ("weight",)
        assert list(layer.state()) == [f"{name}_proj.{part}" for name in ("q", "k", "v", "out") for part in parts]
        state = random_state(layer, rng)
        layer.load_state(state)
        x = rng.normal(size=(2, 4, layer.q_proj.weight.data.shape[0]))
        assert_close("y", layer(x, **options)[0], slow_layer(state, x, heads, **options), 1e-12)
        check_gradient(lambda x, layer=layer, options=options: layer(x, **options), (x,), rng)
        names = [name for name in state if name != "k_proj.bias"]
        run = parameter_gradients(layer, lambda layer, x=x, options=options: layer(x, **options), names, state)
        check_gradient(run, tuple(state[name] for name in names), rng)
        layer.zero_gradients()
        y, backward = layer(x, **options)
        backward(rng.normal(size=y.shape))
        if bias:  # a shift of all scores of a query changes nothing
            assert np.abs(layer.gradients()["k_proj.bias"]).max() < (1 if options.get("rope") else 1e-12)


def check_memory(a):
    """Queries of one sequence, keys and values of another; two gradients."""
    rng = np.random.default_rng(1)
    layer = a.MultiHeadAttention(6, 2)
    state = random_state(layer, rng)
    layer.load_state(state)
    x, memory, mask = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 5, 6)), rng.random((2, 1, 1, 5)) < 0.6
    mask[..., 2] = True
    y, _ = layer(x, memory, mask)
    assert_close("y", y, slow_layer(state, x, 2, memory, mask=mask), 1e-12)
    check_gradient(lambda x, memory: layer(x, memory, mask), (x, memory), rng)


def check_layer_dropout(a):
    """With a generator on P and on y, in this order, and without one on neither."""
    rng = np.random.default_rng(2)
    layer, x = a.MultiHeadAttention(6, 2, dropout=0.3), rng.normal(size=(2, 4, 6))
    state = random_state(layer, rng)
    layer.load_state(state)
    assert_close("no generator", layer(x)[0], slow_layer(state, x, 2), 1e-12)
    drawn = np.random.default_rng(7)
    kept, kept_y = (drawn.random(shape, dtype=np.float32) >= 0.3 for shape in ((2, 2, 4, 4), (2, 4, 6)))
    q, k, v = ((x @ state[f"{n}_proj.weight"].T + state[f"{n}_proj.bias"]).reshape(2, 4, 2, 3).swapaxes(1, 2) for n in "qkv")
    heads = np.einsum("bhts,bhsd->bthd", slow_weights(q, k) * kept.swapaxes(2, 3) / 0.7, v).reshape(2, 4, 6)
    y = (heads @ state["out_proj.weight"].T + state["out_proj.bias"]) * kept_y / 0.7
    assert_close("with a generator", layer(x, rng=np.random.default_rng(7))[0], y, 1e-12)
    check_gradient(lambda x: layer(x, rng=np.random.default_rng(7)), (x,), rng)


def check_cache(a):
    """A sequence in pieces, with what went before in a cache, gives what it gives at once."""
    rng = np.random.default_rng(4)
    for rope in (False, True):
        layer, x = a.MultiHeadAttention(8, 2, bias=False), rng.normal(size=(3, 6, 8))
        layer.load_state(random_state(layer, rng))
        whole, _ = layer(x, causal=True, rope=rope)
        cache, pieces = a.KVCache(3, 2, 6, 4, x), []
        for start, stop in ((0, 3), (3, 4), (4, 6)):
            pieces.append(layer(x[:, start:stop], causal=True, rope=rope, cache=cache)[0])
            assert cache.length == stop
        assert_close("y", np.concatenate(pieces, axis=1), whole, 1e-12)
    assert a.KVCache(1, 1, 2, 1, x.astype(np.float32)).values.dtype == np.float32


def check_cache_refusals(a, raises):
    layer, x = a.MultiHeadAttention(8, 2), np.ones((3, 6, 8))
    layer.load_state(random_state(layer, np.random.default_rng(4)))
    cache = a.KVCache(3, 2, 6, 4, x)
    _, backward = layer(x[:, :4], cache=cache)
    raises(RuntimeError, "computed with a cache, which has no way back", lambda: backward(x[:, :4]))
    raises(ValueError, "the cache holds 4 of 6 tokens, too many for 3 more", lambda: layer(x[:, :3], cache=cache))
    layer(x[:, :2], cache=cache)


def check_manners(a):
    """The dtype of float32 is kept, forward and back; arguments stay as they are; an operation may go back twice; no warning is given."""
    rng = np.random.default_rng(6)
    arguments, options = Case(queries=4, keys=5, causal=True, mask="full", bias=True).draw(rng)
    arguments = tuple(x.astype(np.float32) for x in arguments)
    before = [x.copy() for x in arguments]
    layer = a.MultiHeadAttention(4, 2, dropout=0.5)
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        for y, backward in [
            a.attention(*arguments, **options),
            a.attention(*arguments, dropout=0.3, rng=np.random.default_rng(0)),
            a.streaming_attention(*arguments, 2, True),
            layer(x, rng=np.random.default_rng(0), rope=True, causal=True),
        ]:
            assert y.dtype == np.float32
            dy = rng.normal(size=y.shape).astype(np.float32)
            kept = dy.copy()
            once, twice = backward(dy), backward(dy)
            for first, second in zip(once, twice, strict=True):
                assert first.dtype == np.float32 and np.array_equal(first, second)
            assert np.array_equal(dy, kept)
    for x, copy in zip(arguments, before, strict=True):
        assert np.array_equal(x, copy)
    large = np.full((1, 1, 2, 1), 1e3)  # e^1000000 overflows
    either = large * [[[[1.0], [-1.0]]]]  # and e^-1000000 is 0: each row has a maximum of its own
    for q in (large, either):
        assert np.array_equal(a.attention(q, large, large)[0], large)
        assert np.array_equal(a.streaming_attention(q, large, large)[0], large)


def check_layout(a):
    """Heads that are a view of (B, T, H, D) give results that are one too: merging them copies nothing."""
    arguments = [np.ones((2, length, 3, 5)).swapaxes(1, 2) for length in (4, 6, 6)]
    y, backward = a.attention(*arguments)
    assert all(array.swapaxes(1, 2).flags.c_contiguous for array in (y, *backward(y)))


Q = np.zeros((2, 3, 4, 6))
BLIND = np.ones((2, 1, 4, 4), bool)
BLIND[1, 0, 2] = False
REFUSED = [
    ("q (2, 3, 4, 6), k (2, 3, 4, 5) and v (2, 3, 4, 5) do not fit together", lambda a: a.attention(Q, Q[..., :5], Q[..., :5])),
    ("do not fit together", lambda a: a.attention(Q, Q, Q[:, :, :3])),
    ("do not fit together", lambda a: a.attention(Q, Q[:1], Q[:1])),
    ("do not fit together", lambda a: a.attention(Q[0], Q[0], Q[0])),
    ("do not fit together", lambda a: a.streaming_attention(Q, Q[:, :2], Q[:, :2])),
    ("query 2 of sequence 1 may look at no key", lambda a: a.attention(Q, Q, Q, BLIND)),
    ("query 0 may look at no key", lambda a: a.attention(Q, Q[:, :, :3], Q[:, :, :3], causal=True)),
    ("may look at no key", lambda a: a.streaming_attention(Q, Q[:, :, :3], Q[:, :, :3], causal=True)),
    ("query 0 of sequence 0 may look at no key", lambda a: a.attention(Q, Q, Q, np.tri(4, k=-1, dtype=bool)[None, None])),
    ("the mask holds float64, but it is True where a query may look", lambda a: a.attention(Q, Q, Q, np.ones((4, 4)))),
    ("a head has 3 channels, but rotary positions turn pairs", lambda a: a.rope(Q[..., :3])),
    ("width=10 is not divisible by heads=4", lambda a: a.MultiHeadAttention(10, 4)),
    ("choose heads=5, or width=8", lambda a: a.MultiHeadAttention(10, 4)),
    ("heads=0: it must be a whole number", lambda a: a.MultiHeadAttention(10, 0)),
]


def check_refusals(a, raises):
    for message, call in REFUSED:
        raises(ValueError, message, lambda call=call: call(a))
    assert a.streaming_attention(Q, Q, Q, causal=True)[0].shape == Q.shape


def check_everything(a, raises):
    for case in CASES:
        check_attention(a, np.random.default_rng(0), case)
    for case, block in STREAMED:
        check_streaming(a, np.random.default_rng(0), case, block)
    check_dropout(a)
    check_rope(a)
    check_layer(a)
    check_memory(a)
    check_layer_dropout(a)
    check_cache(a)
    check_cache_refusals(a, raises)
    check_manners(a)
    check_layout(a)
    check_refusals(a, raises)


# ---------------------------------------------------------------- dlcourse.positions


def check_positions(positions, raises):
    for context, width in ((5, 6), (1, 2), (60, 8), (0, 4)):
        table = positions.sinusoidal(context, width)
        assert table.shape == (context, width) and table.dtype == np.float64
        for t in range(context):
            for i in range(width // 2):
                angle = t / 10000 ** (2 * i / width)
                assert abs(table[t, 2 * i] - math.sin(angle)) < 1e-12 and abs(table[t, 2 * i + 1] - math.cos(angle)) < 1e-12
    raises(ValueError, "width=7 is odd, but sines and cosines come in pairs: take width=8", lambda: positions.sinusoidal(4, 7))
    for heads, length in ((1, 3), (2, 4), (3, 5), (8, 2)):
        bias = positions.alibi(heads, length)
        wanted = [[[-(2 ** (-8 * h / heads)) * abs(i - j) for j in range(length)] for i in range(length)] for h in range(1, heads + 1)]
        assert bias.shape == (heads, length, length) and bias.dtype == np.float64
        assert_close("ALiBi", bias, np.array(wanted), 1e-15)
