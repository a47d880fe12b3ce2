"""What is asked of `dlcourse.numpy.bert`: each check takes the module, so that the mutants are asked the same."""

import math
from dataclasses import replace

import numpy as np

from dlcourse.config import BERTConfig
from dlcourse.state import without_prefix
from tests.gradients import assert_close, check_gradient
from tests.numpy.attention_cases import slow_layer
from tests.numpy.models import parameter_gradients, raises
from tests.numpy.transformer_cases import moved_gpt

BASE = BERTConfig(9, context=7, layers=2, heads=2, width=4, hidden=6)
BERTS = [
    BASE,
    BERTConfig(8, context=6, layers=1, heads=1, width=4, exact_gelu=False, eps=0.1, pad=5, sep=7),
    replace(BASE, task="classify", outputs=3),
    replace(BASE, task="label", outputs=3, layers=1),
    replace(BASE, task="span", outputs=None, layers=1),
]


def slow_gelu(x, exact):
    if exact:
        return x * np.vectorize(lambda z: 0.5 * (1 + math.erf(z / math.sqrt(2))))(x)
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def slow_bert(state, config, x):
    """Sentence by sentence without its padding, which nobody sees: the hidden states of padding are left at 0."""

    def norm(name, h):
        centred = h - h.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + config.eps)
        return state[f"{name}.weight"] * centred / scale + state[f"{name}.bias"]

    def linear(name, h):
        return h @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    hidden = np.zeros((*x.shape, config.width))
    for row, sentence in enumerate(x):
        kept, segment, h = np.flatnonzero(sentence != config.pad), 0, []
        for place in kept:
            token = sentence[place]
            h.append(state["tok.weight"][token] + state["pos.weight"][place] + state["seg.weight"][segment])
            segment = 1 if token == config.sep else segment
        h = norm("ln", np.array(h))
        for i in range(config.layers):
            block = f"blocks.{i}"
            h = norm(f"{block}.ln_1", h + slow_layer(without_prefix(f"{block}.attn", state), h[None], config.heads)[0])
            m = linear(f"{block}.mlp.down", slow_gelu(linear(f"{block}.mlp.up", h), config.exact_gelu))
            h = norm(f"{block}.ln_2", h + m)
        hidden[row, kept] = h
    if config.task == "label":
        return linear("head", hidden)
    if config.task == "span":
        return np.moveaxis(linear("head", hidden), 2, 1)
    pooled = np.tanh(linear("pooler", hidden[:, 0]))
    if config.task == "classify":
        return linear("head", pooled)
    t = norm("transform_ln", slow_gelu(linear("transform", hidden), config.exact_gelu))
    return t @ state["tok.weight"].T + state["decoder_bias"], linear("nsp", pooled)


def sentences(config, rng):
    """Pairs, padded; one sentence without a separator, one with three."""
    others = [token for token in range(config.vocab) if token not in (config.pad, config.sep)]
    x = rng.choice(others, (4, 6))
    x[0, [2, 5]] = config.sep
    x[1, 1], x[1, 3:] = config.sep, config.pad
    x[2, [0, 2, 4]] = config.sep
    x[3, 4:] = config.pad
    return x


def visible(config, logits, x):
    """The logits as one array, those of padded positions 0: the oracle has none there."""
    parts, kept = logits if isinstance(logits, tuple) else (logits,), x != config.pad
    if config.task in ("pretrain", "label"):
        parts = parts[0] * kept[..., None], *parts[1:]
    if config.task == "span":
        parts = (parts[0] * kept[:, None],)
    return np.concatenate([part.ravel() for part in parts])


def together(model, x, rng=None):
    """The logits in one flat array, with the backward of it."""
    logits, backward = model(x, rng)
    if not isinstance(logits, tuple):
        return logits.ravel(), lambda dy: backward(dy.reshape(logits.shape))
    cut = logits[0].size
    return np.concatenate([part.ravel() for part in logits]), lambda dy: backward(
        (dy[:cut].reshape(logits[0].shape), dy[cut:].reshape(logits[1].shape))
    )


def check_bert(b):
    """Logits against the oracle, every gradient by differences, names, dtype and accumulation."""
    worst = 0.0
    for config in BERTS:
        rng = np.random.default_rng(7)
        model, state = b.BERT(config), moved_gpt(config)
        assert list(model.state()) == list(state)
        model.load_state(state)
        x = sentences(config, rng)
        logits, backward = model(x)
        assert_close("logits", visible(config, logits, x), visible(config, slow_bert(state, config, x), x), 1e-11)
        assert backward(logits) is None, "tokens have no gradient"
        raises(ValueError, "but vocab is", lambda model=model, x=x + config.vocab: model(x))
        whole = np.where(x == config.pad, config.sep, x)
        assert_close(
            "without padding", visible(config, model(whole)[0], whole), visible(config, slow_bert(state, config, whole), whole), 1e-11
        )
        names = [name for name in state if not name.endswith("k_proj.bias")]
        run = parameter_gradients(model, lambda m, x=x: together(m, x), names, state)
        worst = max(worst, check_gradient(run, tuple(state[name] for name in names), rng))
        single = b.BERT(config)
        single.load_state(moved_gpt(config, np.float32))
        logits, backward = single(x)
        backward(logits)
        once = single.gradients()
        assert {part.dtype for part in (logits if config.task == "pretrain" else (logits,))} == {np.dtype(np.float32)}
        assert {array.dtype for array in once.values()} == {np.dtype(np.float32)}
        backward(logits)
        for name, array in single.gradients().items():
            if not name.endswith("k_proj.bias"):
                assert_close(name, array, 2 * once[name], 1e-5)
    return worst


def check_bert_dropout(b):
    """With a generator on the embeddings, in every layer and in front of the classes, and the same masks on the way back."""
    for config in BERTS:
        config, rng = replace(config, dropout=0.5), np.random.default_rng(4)
        model, state, x = b.BERT(config), moved_gpt(config), sentences(config, rng)
        model.load_state(state)
        assert_close("no generator", visible(config, model(x)[0], x), visible(config, slow_bert(state, config, x), x), 1e-11)
        names = [name for name in state if not name.endswith("k_proj.bias")]
        run = parameter_gradients(model, lambda m, x=x: together(m, x, np.random.default_rng(5)), names, state)
        check_gradient(run, tuple(state[name] for name in names), rng)
        model.load_state(state)
        everywhere = together(model, x, np.random.default_rng(5))[0]
        for block in model.blocks:
            assert block.attn.dropout == block.mlp.dropout == 0.5
            block.attn.dropout = block.mlp.dropout = 0.0
        assert np.abs(together(model, x, np.random.default_rng(5))[0] - everywhere).max() > 1e-3
        bare = replace(config, layers=1)
        model.blocks = []  # what is left: the embeddings, and the sequence or its tokens in front of the classes
        draws, (logits, _) = np.random.default_rng(5), model(x, np.random.default_rng(5))
        h = embedded(state, bare, x) * (draws.random((4, 6, 4), dtype=np.float32) >= 0.5) / 0.5
        if config.task == "label":
            h = h * (draws.random(h.shape, dtype=np.float32) >= 0.5) / 0.5
            assert_close("label", logits, h @ state["head.weight"].T + state["head.bias"], 1e-11)
        if config.task == "span":
            assert_close("span", logits, np.moveaxis(h @ state["head.weight"].T + state["head.bias"], 2, 1), 1e-11)
        if config.task == "classify":
            pooled = np.tanh(h[:, 0] @ state["pooler.weight"].T + state["pooler.bias"])
            pooled = pooled * (draws.random(pooled.shape, dtype=np.float32) >= 0.5) / 0.5
            assert_close("classify", logits, pooled @ state["head.weight"].T + state["head.bias"], 1e-11)
        if config.task == "pretrain":
            pooled = np.tanh(h[:, 0] @ state["pooler.weight"].T + state["pooler.bias"])
            assert_close("pretrain", logits[1], pooled @ state["nsp.weight"].T + state["nsp.bias"], 1e-11)


def embedded(state, config, x):
    """What goes into the first block."""
    before = np.cumsum(x == config.sep, axis=1) - (x == config.sep)
    h = state["tok.weight"][x] + state["pos.weight"][: x.shape[1]] + state["seg.weight"][np.minimum(before, 1)]
    centred = h - h.mean(axis=-1, keepdims=True)
    return state["ln.weight"] * centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + config.eps) + state["ln.bias"]


def check_initial(initial):
    """Every weight is drawn in its order with deviation 0.02, the rest is 0 or, of a norm, 1."""
    for config in [BASE, *BERTS[2:], BERTConfig(6, context=3, layers=3, heads=1, width=2)]:
        rng, width, hidden = np.random.default_rng(5), config.width, config.hidden
        shapes = {"tok": (config.vocab, width), "pos": (config.context, width), "seg": (2, width), "ln": ()}
        for block in (f"blocks.{i}" for i in range(config.layers)):
            shapes |= {f"{block}.ln_1": ()} | {f"{block}.attn.{name}_proj": (width, width) for name in ("q", "k", "v", "out")}
            shapes |= {f"{block}.ln_2": (), f"{block}.mlp.up": (hidden, width), f"{block}.mlp.down": (width, hidden)}
        if config.task in ("pretrain", "classify"):
            shapes["pooler"] = (width, width)
        if config.task == "pretrain":
            shapes |= {"transform": (width, width), "transform_ln": (), "decoder_bias": None, "nsp": (2, width)}
        else:
            shapes["head"] = (2 if config.task == "span" else config.outputs, width)
        expected = {}
        for name, shape in shapes.items():
            if shape is None:
                expected[name] = np.zeros(config.vocab)
            elif not shape:
                expected |= {f"{name}.weight": np.ones(width), f"{name}.bias": np.zeros(width)}
            else:
                expected[f"{name}.weight"] = rng.normal(0.0, 0.02, shape)
                if name not in ("tok", "pos", "seg"):
                    expected[f"{name}.bias"] = np.zeros(shape[0])
        state = initial.initial_state(config, 5, np.float64)
        assert list(state) == list(expected)
        for name, array in expected.items():
            assert np.array_equal(state[name], array), name
        assert {array.dtype for array in initial.initial_state(config, 5).values()} == {np.dtype(np.float32)}
