"""What is asked of `dlcourse.numpy.transformer` and `dlcourse.numpy.gpt`: each check takes the module, so that the mutants are asked the same."""

import math
from dataclasses import replace

import numpy as np

from dlcourse.config import GPTConfig, TransformerConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import GPT, Transformer
from dlcourse.state import without_prefix
from tests.gradients import assert_close, check_gradient
from tests.numpy.attention_cases import random_state, slow_layer
from tests.numpy.models import parameter_gradients

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}


def slow_norm(state, name, x, kind):
    weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias", 0.0)
    if kind == "rms":
        return weight * x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)
    centred = x - x.mean(axis=-1, keepdims=True)
    return weight * centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) + bias


def slow_feed_forward(state, x, activation):
    h = ACTIVATIONS[activation](x @ state["up.weight"].T + state.get("up.bias", 0.0))
    return h @ state["down.weight"].T + state.get("down.bias", 0.0)


def slow_block(state, x, heads, norm_first=True, activation="gelu", norm="layer", memory=None, memory_mask=None, **options):
    layers = [lambda h: slow_layer(without_prefix("attn" if memory is None else "self_attn", state), h, heads, **options)]
    if memory is not None:
        layers.append(lambda h: slow_layer(without_prefix("cross_attn", state), h, heads, memory, mask=memory_mask))
    layers.append(lambda h: slow_feed_forward(without_prefix("mlp", state), h, activation))
    for i, layer in enumerate(layers, start=1):
        if norm_first:
            x = x + layer(slow_norm(state, f"ln_{i}", x, norm))
        else:
            x = slow_norm(state, f"ln_{i}", x + layer(x), norm)
    return x


def check_feed_forward(t):
    rng = np.random.default_rng(0)
    for activation in ACTIVATIONS:
        for bias in (True, False):
            layer, x = t.FeedForward(4, 5, activation, bias), 0.1 + rng.random((2, 3, 4))
            state = {name: array + 0.01 for name, array in random_state(layer, rng).items()}
            layer.load_state(state)
            assert_close("y", layer(x)[0], slow_feed_forward(state, x, activation), 1e-12)
            check_gradient(lambda x, layer=layer: layer(x), (x,), rng)
            check_gradient(parameter_gradients(layer, lambda m, x=x: m(x), list(state), state), tuple(state.values()), rng)
    layer, x = t.FeedForward(4, 5, dropout=0.5), rng.normal(size=(2, 3, 4))
    state = random_state(layer, rng)
    layer.load_state(state)
    assert list(state) == ["up.weight", "up.bias", "down.weight", "down.bias"]
    y = slow_feed_forward(state, x, "gelu")
    kept = np.random.default_rng(1).random(y.shape, dtype=np.float32) >= 0.5
    assert_close("no generator", layer(x)[0], y, 1e-12)
    assert_close("dropout", layer(x, np.random.default_rng(1))[0], y * kept / 0.5, 1e-12)
    check_gradient(lambda x: layer(x, np.random.default_rng(1)), (x,), rng)


BLOCKS = [
    {},
    {"norm_first": False},
    {"norm": "rms", "activation": "silu", "bias": False},
    {"norm_first": False, "activation": "relu", "bias": False},
    {"cross": True},
    {"cross": True, "norm_first": False, "norm": "rms"},
]


def check_block(t):
    """Values against the oracle, the gradients of x, the memory and every parameter by differences."""
    worst = 0.0
    for options in BLOCKS:
        rng = np.random.default_rng(1)
        block, x, cross = t.Block(4, 2, 6, **options), rng.normal(size=(2, 3, 4)), options.get("cross", False)
        state = random_state(block, rng)
        block.load_state(state)
        given = {"causal": True, "rope": True, "bias": rng.normal(size=(2, 3, 3))}
        if not options:
            given = {"mask": np.tri(3, k=1, dtype=bool)}
        memory, seen = rng.normal(size=(2, 5, 4)), rng.random((2, 1, 1, 5)) < 0.5
        seen[..., 0] = True
        other = {"memory": memory, "memory_mask": seen} if cross else {}
        how = {key: value for key, value in options.items() if key not in ("cross", "bias")}
        assert_close("y", block(x, **given, **other)[0], slow_block(state, x, 2, **how, **given, **other), 1e-11)
        if cross:
            worst = max(worst, check_gradient(lambda x, m, b=block, s=seen, g=given: b(x, m, memory_mask=s, **g), (x, memory), rng))
        else:
            worst = max(worst, check_gradient(lambda x, b=block, g=given: b(x, **g), (x,), rng))
        names = [
            name
            for name in state
            if not name.endswith("cross_attn.k_proj.bias") and not (not given.get("rope") and name.endswith("k_proj.bias"))
        ]
        run = parameter_gradients(block, lambda m, x=x, given=given, other=other: m(x, **given, **other), names, state)
        worst = max(worst, check_gradient(run, tuple(state[name] for name in names), rng))
    return worst


def check_block_parts(t):
    """The names of the state in order, dropout in all layers, the cache handed on, and the choice of the norm."""
    attention = [f"{name}_proj.weight" for name in "qkv"] + ["out_proj.weight"]
    plain = ["ln_1.weight", *[f"attn.{n}" for n in attention], "ln_2.weight", "mlp.up.weight", "mlp.down.weight"]
    assert list(t.Block(4, 2, 6, bias=False).state()) == plain
    crossed = ["ln_1.weight", *[f"self_attn.{n}" for n in attention], "ln_2.weight", *[f"cross_attn.{n}" for n in attention], "ln_3.weight"]
    assert list(t.Block(4, 2, 6, cross=True, bias=False).state()) == [*crossed, "mlp.up.weight", "mlp.down.weight"]
    assert list(t.make_norm("rms", 3).state()) == ["weight"] and list(t.make_norm("layer", 3).state()) == ["weight", "bias"]
    assert t.make_norm("rms", 3).eps == 1e-6 and t.make_norm("layer", 3).eps == 1e-5
    assert t.make_norm("rms", 3, eps=0.5).eps == t.make_norm("layer", 3, eps=0.5).eps == 0.5
    assert [t.make_norm(kind, 3, eps=0.25).eps for kind in ("rms", "layer")] == [0.25] * 2
    assert [t.make_norm(kind, 3).eps for kind in ("rms", "layer")] == [1e-6, 1e-5]
    assert len(t.Block(4, 2, 6).state()) == 16 and len(t.Block(4, 2, 6, norm="rms").state()) == 14
    assert t.Block(4, 2, 6).mlp.up.weight.data.shape == (6, 4)
    rng = np.random.default_rng(2)
    x, memory = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 4))
    for options in BLOCKS:
        block = t.Block(4, 2, 6, dropout=0.5, **options)
        block.load_state(random_state(block, rng))
        arguments = (x, memory) if options.get("cross") else (x,)
        before = block(*arguments)[0]
        assert np.abs(block(*arguments, rng=np.random.default_rng(0))[0] - before).max() > 0.1
        check_gradient(lambda *a, block=block: block(*a, rng=np.random.default_rng(0)), arguments, rng)
        layers = [block.self_attn, block.cross_attn, block.mlp] if options.get("cross") else [block.attn, block.mlp]
        for dropping in [*layers, None]:  # each alone, then none
            for layer in layers:
                layer.dropout = 0.5 * (layer is dropping)
            moved = np.abs(block(*arguments, rng=np.random.default_rng(0))[0] - before).max()
            assert moved > 0.01 if dropping else moved == 0


# ---------------------------------------------------------------- GPT

GPTS = [
    GPTConfig(7, context=5, layers=2, heads=2, width=4),
    GPTConfig(7, context=4, layers=1, heads=2, width=8, hidden=3, positions="rotary", norm="rms", activation="silu", tied=False),
    GPTConfig(6, context=6, layers=2, heads=1, width=4, bias=True, positions="sinusoidal", activation="relu"),
    GPTConfig(6, context=6, layers=1, heads=2, width=4, positions="alibi", bias=True, norm="rms"),
    GPTConfig(5, context=4, layers=3, heads=2, width=4, positions="none", tied=False, bias=True),
]


def slow_positions(config, state, count):
    if config.positions == "learned":
        return state["pos.weight"][:count]
    table = np.zeros((count, config.width))
    if config.positions == "sinusoidal":
        for t, i in np.ndindex(table.shape):
            angle = t / 10000 ** (2 * (i // 2) / config.width)
            table[t, i] = math.cos(angle) if i % 2 else math.sin(angle)
    return table


def slow_alibi(heads, count):
    return np.array([[[-(2.0 ** (-8 * h / heads)) * abs(i - j) for j in range(count)] for i in range(count)] for h in range(1, heads + 1)])


def slow_gpt(state, config, x):
    h = np.array([[state["tok.weight"][token] for token in row] for row in x]) + slow_positions(config, state, x.shape[1])
    options = {"causal": True, "rope": config.positions == "rotary"}
    if config.positions == "alibi":
        options["bias"] = slow_alibi(config.heads, x.shape[1])
    for i in range(config.layers):
        block = without_prefix(f"blocks.{i}", state)
        h = slow_block(block, h, config.heads, activation=config.activation, norm=config.norm, **options)
    return slow_norm(state, "ln_f", h, config.norm) @ state["tok.weight" if config.tied else "head.weight"].T


def moved_gpt(config, dtype=np.float64):
    """Weights of a size at which every one matters."""
    rng = np.random.default_rng(3)
    return {
        name: (array + 0.4 * rng.normal(size=array.shape)).astype(dtype) for name, array in initial_state(config, 0, np.float64).items()
    }


def check_gpt(g):
    """Logits against the oracle, every gradient by differences, in pieces with a cache the same, dtype and accumulation."""
    worst = 0.0
    for config in GPTS:
        rng = np.random.default_rng(6)
        model, state = g.GPT(config), moved_gpt(config)
        assert list(model.state()) == list(state)
        model.load_state(state)
        for length in (1, config.context):
            x = rng.integers(0, config.vocab, (3, length))
            logits, backward = model(x)
            assert_close("logits", logits, slow_gpt(state, config, x), 1e-11)
            assert backward(logits) is None, "tokens have no gradient"
            assert_close("of the next token", model.logits(x), logits[:, -1], 1e-13)
        names = [name for name in state if not name.endswith("k_proj.bias")]
        run = parameter_gradients(model, lambda m, x=x: m(x), names, state)
        worst = max(worst, check_gradient(run, tuple(state[name] for name in names), rng))
        model.load_state(state)
        cache = model.new_cache(3)
        assert len(cache) == config.layers and cache[0].keys.dtype == np.float64
        for start, stop in ((0, 2), (2, 3), (3, config.context)):
            if stop > start:
                logits = model.logits(x[:, start:stop], cache)
                assert_close("with a cache", logits, slow_gpt(state, config, x[:, :stop])[:, -1], 1e-11)
        single = g.GPT(config)
        single.load_state(moved_gpt(config, np.float32))
        logits, backward = single(x)
        backward(logits)
        once = single.gradients()
        assert logits.dtype == np.float32 and {array.dtype for array in once.values()} == {np.dtype(np.float32)}
        backward(logits)
        for name, array in single.gradients().items():
            assert_close(name, array, 2 * once[name], 1e-6)
    return worst


def check_gpt_dropout(g):
    """With a generator on the embeddings and in every layer, and the same masks on the way back."""
    config = GPTConfig(7, context=5, layers=2, heads=2, width=4, dropout=0.5)
    rng = np.random.default_rng(4)
    model, state, x = g.GPT(config), moved_gpt(config), rng.integers(0, 7, (2, 5))
    model.load_state(state)
    assert_close("no generator", model(x)[0], slow_gpt(state, config, x), 1e-11)
    run = parameter_gradients(model, lambda m: m(x, np.random.default_rng(5)), list(state), state)
    check_gradient(run, tuple(state.values()), rng)
    model.load_state(state)
    assert [layer.dropout for block in model.blocks for layer in (block.attn, block.mlp)] == [0.5] * 4
    model.blocks = []
    kept = np.random.default_rng(5).random((2, 5, 4), dtype=np.float32) >= 0.5
    h = (state["tok.weight"][x] + state["pos.weight"]) * kept / 0.5
    assert_close("embeddings", model(x, np.random.default_rng(5))[0], slow_norm(state, "ln_f", h, "layer") @ state["tok.weight"].T, 1e-11)


def check_gpt_refusals(g, raises):
    model = g.GPT(GPTConfig(7, context=5, layers=1, heads=2, width=4))
    for call in (model.logits, model):
        raises(ValueError, "sequences of 6 tokens but the context is 5", lambda call=call: call(np.zeros((1, 6), int)))
    cache = model.new_cache(1)
    model.logits(np.zeros((1, 4), int), cache)
    raises(ValueError, "the cache holds 4 of 5 tokens, too many for 2 more", lambda: model.logits(np.zeros((1, 2), int), cache))


# ---------------------------------------------------------------- encoder and decoder

TRANSFORMERS = [
    TransformerConfig(7, source=4, target=3, layers=2, heads=2, width=4),
    TransformerConfig(6, 3, 4, layers=1, heads=1, width=4, hidden=3, positions="learned", pad=5, tied=False, activation="silu"),
    TransformerConfig(6, 4, 4, layers=2, heads=2, width=4, hidden=5, norm_first=False, activation="gelu"),
    TransformerConfig(5, 2, 2, layers=1, heads=2, width=6, norm_first=False, positions="learned", tied=False),
]


def moved_transformer(config, dtype=np.float64):
    rng = np.random.default_rng(3)
    return {
        name: (array + 0.4 * rng.normal(size=array.shape)).astype(dtype) for name, array in initial_state(config, 0, np.float64).items()
    }


def source_and_target(config, rng, rows=3):
    """Tokens (B, S + T); the sources of all rows but the first are padded, with one token to see in the last."""
    x = rng.integers(0, config.vocab - 1, (rows, config.source + config.target))
    x += x >= config.pad  # no padding yet
    x[1, config.source - 1] = x[-1, 1 : config.source] = config.pad
    return x


def slow_stream(state, config, tokens, positions):
    h = math.sqrt(config.width) * np.array([[state["tok.weight"][token] for token in row] for row in tokens])
    if config.positions == "learned":
        return h + state[f"{positions}.weight"][: tokens.shape[1]]
    return h + slow_positions(config, state, tokens.shape[1])


def slow_transformer(state, config, x):
    source, target = x[:, : config.source], x[:, config.source :]
    seen = (source != config.pad).reshape(len(x), 1, 1, -1)
    how = {"norm_first": config.norm_first, "activation": config.activation}
    memory = slow_stream(state, config, source, "source_pos")
    for i in range(config.layers):
        memory = slow_block(without_prefix(f"encoder.{i}", state), memory, config.heads, mask=seen, **how)
    memory = slow_norm(state, "encoder_norm", memory, "layer") if config.norm_first else memory
    h = slow_stream(state, config, target, "target_pos")
    for i in range(config.layers):
        block = without_prefix(f"decoder.{i}", state)
        h = slow_block(block, h, config.heads, memory=memory, memory_mask=seen, causal=True, **how)
    h = slow_norm(state, "decoder_norm", h, "layer") if config.norm_first else h
    return h @ state["tok.weight" if config.tied else "head.weight"].T


def check_transformer(t):
    """Logits against the oracle, every gradient by differences, in pieces with a cache the same, dtype and accumulation."""
    worst = 0.0
    for config in TRANSFORMERS:
        rng = np.random.default_rng(6)
        model, state = t.Transformer(config), moved_transformer(config)
        assert list(model.state()) == list(state)
        model.load_state(state)
        x = source_and_target(config, rng)
        source, target = x[:, : config.source], x[:, config.source :]
        for length in (1, config.target):
            part = x[:, : config.source + length]
            logits, backward = model(part)
            assert_close("logits", logits, slow_transformer(state, config, part), 1e-11)
            assert backward(logits) is None, "tokens have no gradient"
        names = [name for name in state if not name.endswith("k_proj.bias")]
        run = parameter_gradients(model, lambda m, x=x: m(x), names, state)
        worst = max(worst, check_gradient(run, tuple(state[name] for name in names), rng))
        model.load_state(state)
        memory, _ = model.encode(source)
        worst = max(worst, check_gradient(lambda m, g=model, x=x, s=source, t=target: g.decode(t, m, g.seen(s)), (memory,), rng))
        assert_close("all of a memory", model.decode(target, memory)[0][0], model.decode(target, memory, model.seen(source))[0][0], 1e-12)
        cache = model.new_cache(source)
        assert len(cache.blocks) == config.layers and cache.length == 0
        for step in range(config.target):
            logits = model.logits(target[:, step : step + 1], cache)
            assert_close("with a cache", logits, slow_transformer(state, config, x[:, : config.source + step + 1])[:, -1], 1e-11)
        assert cache.length == config.target
        two = model.logits(target[:, :2], model.new_cache(source))
        assert_close("two at once", two, slow_transformer(state, config, x[:, : config.source + 2])[:, -1], 1e-11)
        check_selection(model, config, state, x)
        check_single(t.Transformer(config), config, x)
    return worst


def check_selection(model, config, state, x):
    """A cache whose rows were exchanged goes on with the rows chosen."""
    rows = np.array([2, 0, 2, 1])
    cache = model.new_cache(x[:, : config.source])
    model.logits(x[:, config.source : config.source + 1], cache)
    cache.select(rows)
    logits = model.logits(x[rows, config.source + 1 : config.source + 2], cache)
    assert_close("selected", logits, slow_transformer(state, config, x[rows, : config.source + 2])[:, -1], 1e-11)


def check_single(model, config, x):
    """float32 stays, and gradients add."""
    model.load_state(moved_transformer(config, np.float32))
    logits, backward = model(x)
    backward(logits)
    once = model.gradients()
    assert logits.dtype == np.float32 and {array.dtype for array in once.values()} == {np.dtype(np.float32)}
    backward(logits)
    for name, array in model.gradients().items():
        if not name.endswith("k_proj.bias"):
            assert_close(name, array, 2 * once[name], 1e-5)


def check_transformer_dropout(t):
    """With a generator on both embeddings and in every layer, and the same masks on the way back."""
    for config in (TransformerConfig(7, 4, 3, 1, 2, 4, dropout=0.5), TransformerConfig(7, 4, 3, 1, 2, 4, dropout=0.5, positions="learned")):
        rng = np.random.default_rng(4)
        model, state, x = t.Transformer(config), moved_transformer(config), source_and_target(config, rng)
        model.load_state(state)
        assert_close("no generator", model(x)[0], slow_transformer(state, config, x), 1e-11)
        run = parameter_gradients(model, lambda m, x=x: m(x, np.random.default_rng(5)), list(state), state)
        check_gradient(run, tuple(state.values()), rng)
        model.load_state(state)
        source, target = x[:, : config.source], x[:, config.source :]
        memory, _ = model.encode(source)
        layers = [layer for block in (*model.encoder, *model.decoder) for layer in vars(block).values() if hasattr(layer, "dropout")]
        assert [layer.dropout for layer in layers] == [0.5] * 5
        for layer in layers:
            layer.dropout = 0.0
        quiet = model(x, np.random.default_rng(5))[0]
        for layer in layers:  # each in its turn has the generator
            layer.dropout = 0.5
            assert np.abs(model(x, np.random.default_rng(5))[0] - quiet).max() > 1e-6
            layer.dropout = 0.0
        for found, stream in (
            (model.encode(source, np.random.default_rng(5))[0], slow_stream(state, config, source, "source_pos")),
            (model.decode(target, memory, rng=np.random.default_rng(5))[0], slow_stream(state, config, target, "target_pos")),
        ):
            kept = np.random.default_rng(5).random(stream.shape, dtype=np.float32) >= 0.5
            h = stream * kept / 0.5
            if found.shape == memory.shape:
                expected = slow_block(without_prefix("encoder.0", state), h, 2, activation="relu", mask=model.seen(source))
                expected = slow_norm(state, "encoder_norm", expected, "layer")
            else:
                expected = slow_block(without_prefix("decoder.0", state), h, 2, activation="relu", memory=memory, causal=True)
                expected = slow_norm(state, "decoder_norm", expected, "layer") @ state["tok.weight"].T
            assert_close("embeddings", found, expected, 1e-11)


def check_transformer_refusals(t, raises):
    raises(ValueError, "unknown norm 'batch': choose one of layer, rms", lambda: t.make_norm("batch", 3))
    model = t.Transformer(TransformerConfig(7, 4, 3, 1, 2, 4))
    raises(ValueError, "the source of sequence 0 is nothing but padding, token 0", lambda: model(np.zeros((1, 7), int)))
    raises(ValueError, "sequences of 5 tokens but the context is 4", lambda: model.new_cache(np.ones((1, 5), int)))
    raises(ValueError, "sequence 0 is nothing but padding, token 0", lambda: model.new_cache(np.zeros((1, 4), int)))
    raises(ValueError, "token 7 but vocab is 7", lambda: model.new_cache(np.full((1, 4), 7)))
    cache = model.new_cache(np.ones((1, 4), int))
    raises(ValueError, "token 7 but vocab is 7", lambda: model.logits(np.full((1, 1), 7), cache))
    model.logits(np.ones((1, 2), int), cache)
    raises(ValueError, "the cache holds 2 of 3 tokens, too many for 2 more", lambda: model.logits(np.ones((1, 2), int), cache))


def check_transformer_parts(t):
    """Each side of the model drops with the generator it is given, and with its own alone; several tokens at once behind a cache."""
    config = TransformerConfig(7, 4, 3, 1, 2, 4, dropout=0.5)
    model, rng = t.Transformer(config), np.random.default_rng(8)
    x = source_and_target(config, rng)
    model.load_state(moved_transformer(config))
    expected, _ = model(x)
    cache = model.new_cache(x[:, :4])
    assert_close("two tokens at once", model.logits(x[:, 4:6], cache), expected[:, 1], 1e-12)
    model.config = replace(config, dropout=0.0)  # of the embeddings
    layers = [[layer for layer in vars(side[0]).values() if hasattr(layer, "dropout")] for side in (model.encoder, model.decoder)]
    assert [[layer.dropout for layer in side] for side in layers] == [[0.5] * 2, [0.5] * 3]
    for dropping in (*layers, []):
        for layer in (*layers[0], *layers[1]):
            layer.dropout = 0.5 * (layer in dropping)
        moved = np.abs(model(x, np.random.default_rng(0))[0] - expected).max()
        assert moved > 0.01 if dropping else moved < 1e-12


# ---------------------------------------------------------------- initial states


def check_initial(initial):
    """Names, order and shapes of the built model; the variance of each weight, and the norms and biases exactly."""
    for config in (*GPTS, *TRANSFORMERS):
        for dtype in (np.float32, np.float64):
            state = initial.initial_state(config, 0, dtype)
            model = (GPT if config in GPTS else Transformer)(config)
            assert [(name, array.shape) for name, array in state.items()] == [(name, array.shape) for name, array in model.state().items()]
            assert {array.dtype for array in state.values()} == {np.dtype(dtype)}
            for name, array in state.items():
                if array.ndim == 1:
                    assert array.tolist() == [float(name.endswith("weight"))] * len(array), name
    config = GPTConfig(90, context=70, layers=3, heads=2, width=60, tied=False)
    state = initial.initial_state(config, 3, np.float64)
    for name, array in state.items():
        if array.ndim == 2:
            deviation = 0.02 / math.sqrt(6) if name.endswith(("out_proj.weight", "down.weight")) else 0.02
            assert abs(array.std() / deviation - 1) < 5 / math.sqrt(2 * array.size), name
            assert abs(array.mean()) < 5 * deviation / math.sqrt(array.size)
    other = initial.initial_state(config, 4, np.float64)
    assert all(np.abs(other[name] - array).max() > 0 for name, array in state.items() if array.ndim == 2)
    for activation, gain in {"relu": 2.0, "gelu": initial.GAINS["gelu"], "silu": 1.0}.items():
        config = TransformerConfig(
            300, 80, 90, layers=2, heads=2, width=60, hidden=70, positions="learned", tied=False, activation=activation
        )
        state = initial.initial_state(config, 1, np.float64)
        for name, array in state.items():
            if array.ndim == 2:
                expected = 0.5 if "_pos" in name else gain / 70 if "mlp.down" in name else 1.0 / 60
                assert abs(array.var() / expected - 1) < 5 * math.sqrt(2 / array.size), name
        other = initial.initial_state(config, 2, np.float64)
        assert all(np.abs(other[name] - array).max() > 0 for name, array in state.items() if array.ndim == 2)
