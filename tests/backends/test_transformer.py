"""Encoder and decoder in three backends: padding, the cache, PyTorch's own layers as a second opinion, and a task that is learned."""

import numpy as np
import pytest
import torch
from torch import nn

import dlcourse
from dlcourse.config import TransformerConfig
from dlcourse.initial import initial_state
from dlcourse.state import without_prefix
from tests.gradients import assert_close
from tests.numpy.transformer_cases import moved_transformer, source_and_target

CONFIG = TransformerConfig(9, source=6, target=5, layers=2, heads=2, width=8)
each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)


def model_of(backend, config=CONFIG, dtype=np.float32):
    model = dlcourse.backend(backend).Transformer(config)
    model.load_state(moved_transformer(config, dtype))
    return model


def learner_of(backend, config=CONFIG):
    package, model = dlcourse.backend(backend), model_of(backend, config)
    return package.Learner(model, package.Adam(model))


@each_backend
def test_padding_changes_nothing(backend, rng):
    """A source with more padding, and whatever stands behind the last target that counts, give the same loss and gradients."""
    x, y = source_and_target(CONFIG, rng), rng.integers(0, 9, (3, 5))
    x[:, 4:6] = 0  # all sources have at most four tokens
    y[:, 3:] = -100
    short, learner = TransformerConfig(9, source=4, target=3, layers=2, heads=2, width=8), learner_of(backend)
    loss, gradients = learner.gradients((x, y))
    for change in (1, 7):
        x[:, 9:] = change
        again, others = learner.gradients((x, y))
        assert again == pytest.approx(loss, rel=1e-6)
    lean = learner_of(backend, short)
    expected, theirs = lean.gradients((np.concatenate([x[:, :4], x[:, 6:9]], axis=1), y[:, :3]))
    assert loss == pytest.approx(expected, rel=1e-6)
    for name, array in theirs.items():
        if not name.endswith("k_proj.bias"):
            assert_close(name, gradients[name], array, 1e-5)
            assert_close(name, others[name], array, 1e-5)


@each_backend
def test_a_position_sees_the_source_and_nothing_later(backend, rng):
    learner, x = learner_of(backend), source_and_target(CONFIG, rng)
    before = learner.predict(x)
    x[:, 9] = x[:, 9] % 8 + 1  # the fourth of the target
    after = learner.predict(x)
    assert_close("earlier", after[:, :3], before[:, :3], 1e-6)
    assert np.abs(after[:, 3:] - before[:, 3:]).max() > 1e-3
    x[:, 0] = x[:, 0] % 8 + 1  # the first of the source
    assert np.abs(learner.predict(x) - after).max(axis=(1, 2)).min() > 1e-3


@pytest.mark.parametrize("norm_first", [True, False])
@each_backend
def test_the_cache_gives_what_the_whole_model_gives(backend, norm_first, rng):
    config = TransformerConfig(9, 6, 5, layers=2, heads=2, width=8, norm_first=norm_first, positions="learned", dropout=0.1)
    learner, x = learner_of(backend, config), source_and_target(config, rng)
    whole, model = learner.predict(x), learner.model
    cache = model.new_cache(x[:, :6])
    assert_close("two at once", model.logits(x[:, 6:8], cache), whole[:, 1], 1e-5)
    cache.select(np.array([2, 0]))
    assert cache.length == 2
    assert_close("two of three", model.logits(x[[2, 0], 8:9], cache), whole[[2, 0], 2], 1e-5)


# ---------------------------------------------------------------- PyTorch's own layers


def theirs(config, state):
    """torch.nn's encoder and decoder with the same weights."""
    how = {"dropout": 0.0, "activation": config.activation, "batch_first": True, "norm_first": config.norm_first, "dtype": torch.float64}
    sizes = config.width, config.heads, config.hidden
    norms = [nn.LayerNorm(config.width, dtype=torch.float64) if config.norm_first else None for _ in range(2)]
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(*sizes, **how), config.layers, norms[0], enable_nested_tensor=False)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(*sizes, **how), config.layers, norms[1])
    names = {"attn": "self_attn", "self_attn": "self_attn", "cross_attn": "multihead_attn"}
    for what, stack in (("encoder", encoder), ("decoder", decoder)):
        mine, found = without_prefix(what, state), {}
        for i in range(config.layers):
            block = without_prefix(f"{i}", mine)
            for name, array in block.items():
                first, _, rest = name.partition(".")
                if first.startswith("ln_"):
                    found[f"layers.{i}.norm{first[3:]}.{rest}"] = array
                elif first == "mlp":
                    found[f"layers.{i}.{rest.replace('up', 'linear1').replace('down', 'linear2')}"] = array
                elif rest.startswith("out_proj"):
                    found[f"layers.{i}.{names[first]}.{rest}"] = array
                elif rest.startswith("q_proj"):  # PyTorch stacks q, k and v
                    kind = rest.removeprefix("q_proj.")
                    found[f"layers.{i}.{names[first]}.in_proj_{kind}"] = np.concatenate([block[f"{first}.{p}_proj.{kind}"] for p in "qkv"])
        if config.norm_first:
            found |= {f"norm.{name}": array for name, array in without_prefix(f"{what}_norm", state).items()}
        stack.load_state_dict({name: torch.from_numpy(array) for name, array in found.items()})
    return encoder.train(), decoder.train()  # the fast path of evaluation has no gradients


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("norm_first", [True, False])
def test_equal_to_the_layers_of_torch(backend, norm_first, rng):
    """The memory, the decoder's output, and the gradients of the inputs of both, through PyTorch's own layers."""
    config = TransformerConfig(9, 6, 5, layers=2, heads=2, width=8, norm_first=norm_first, activation="relu")
    state, x = moved_transformer(config), source_and_target(config, rng)
    encoder, decoder = theirs(config, state)
    model = model_of(backend, config, np.float64)
    source, target = torch.from_numpy(x[:, :6]), torch.from_numpy(x[:, 6:])
    hidden = source == 0  # True hides, in PyTorch's padding mask
    ours = dlcourse.backend("torch").Transformer(config)  # for its embeddings
    ours.load_state(state)
    memory = encoder(ours._embed(source, "source_pos", 0), src_key_padding_mask=hidden)
    causal = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
    h = decoder(ours._embed(target, "target_pos", 0), memory, tgt_mask=causal, memory_key_padding_mask=hidden)
    logits = h @ ours.tok.weight.T
    given = model(x)[0] if backend == "numpy" else model(torch.from_numpy(x)).detach().numpy()
    assert_close("logits", given, logits.detach().numpy(), 1e-10)
    if backend == "numpy":
        u = rng.normal(size=given.shape)
        model.zero_gradients()
        model(x)[1](u)
        (logits * torch.from_numpy(u)).sum().backward()
        assert_close("tok.weight", model.gradients()["tok.weight"], ours.tok.weight.grad.numpy(), 1e-10)


# ---------------------------------------------------------------- learning


@each_backend
def test_learns_to_turn_a_sequence_round(backend):
    """Source abc, target cba: to copy from the other end takes positions and cross-attention. A few steps lower the loss by half."""
    config = TransformerConfig(8, source=3, target=3, layers=1, heads=2, width=16)
    package = dlcourse.backend(backend)
    model = package.Transformer(config)
    model.load_state(initial_state(config, 0))
    learner, rng = package.Learner(model, package.Adam(model)), np.random.default_rng(0)
    losses = []
    for _ in range(30):
        source = rng.integers(3, 8, (16, 3))
        target = source[:, ::-1]
        x = np.concatenate([source, np.ones((16, 1), int), target[:, :-1]], axis=1)
        losses.append(learner.step((x, target), 1e-2))
    assert np.mean(losses[-3:]) < 0.5 * losses[0]
