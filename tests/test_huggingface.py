"""GPT-2 of Hugging Face's transformers, with random weights: equal logits and gradients in all backends, there and back, strict."""

import functools

import numpy as np
import pytest

import dlcourse
from dlcourse.config import GPTConfig
from dlcourse.errors import need
from dlcourse.state import compare, from_huggingface, to_huggingface
from tests.test_parity import learner_of

SIZES = {"vocab_size": 19, "n_positions": 9, "n_embd": 12, "n_layer": 2, "n_head": 3, "n_inner": 20}
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}


@functools.cache
def gpt2(tied=True):
    """A GPT2LMHeadModel in float64, every weight moved from where it starts."""
    torch, transformers = need("torch", extra="torch"), need("transformers", extra="test")
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**SIZES, **NO_DROPOUT, tie_word_embeddings=tied, attn_implementation="eager")
    )
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn(p.shape))
    return model.double().eval()


def arrays(model):
    return {name: tensor.numpy(force=True).copy() for name, tensor in model.state_dict().items()}


@functools.cache
def reference(tied):
    """x, y, their logits, and their gradients under our names."""
    torch, model, rng = need("torch", extra="torch"), gpt2(tied), np.random.default_rng(0)
    x, y = rng.integers(0, 19, (2, 3, 9))
    logits = model(torch.from_numpy(x)).logits
    model.zero_grad()
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(y).flatten()).backward()
    gradients = {name: p.grad.numpy() for name, p in model.named_parameters()}
    return x, y, logits.detach().numpy(), from_huggingface("gpt2", gradients, heads=3)[1]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("backend", "dtype"), [("numpy", np.float64), *[(backend, np.float32) for backend in dlcourse.BACKENDS]])
def test_gpt2(backend, dtype, tied):
    config, state = from_huggingface("gpt2", arrays(gpt2(tied)), heads=3)
    assert config == GPTConfig(19, 9, 2, 3, 12, 20, bias=True, tied=tied)
    x, y, logits, gradients = reference(tied)
    learner = learner_of(backend, config, "cross_entropy", dtype)
    learner.model.load_state({name: array.astype(dtype) for name, array in state.items()})
    tolerance = 1e-10 if dtype == np.float64 else 1e-5
    compare(learner.predict(x), logits).check(tolerance)
    ours = learner.gradients((x, y))[1]
    for which in (ours, gradients := dict(gradients)):  # of a key's bias it is zero but for rounding
        for name in [name for name in which if name.endswith("k_proj.bias")]:
            assert np.abs(which.pop(name)).max() < 1e-7
    compare(ours, gradients).check(tolerance)


def drawn(seed):
    """Sizes of a GPT-2 at random."""
    rng = np.random.default_rng(seed)
    heads = int(rng.integers(1, 6))
    draw = {"vocab_size": (2, 60), "n_positions": (2, 20), "n_layer": (1, 5), "n_inner": (1, 40)}  # from, to below
    sizes = {name: int(rng.integers(*between)) for name, between in draw.items()}
    return sizes | {"n_head": heads, "n_embd": heads * int(rng.integers(1, 9))}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("backend", "dtype"), [("numpy", np.float64), *[(backend, np.float32) for backend in dlcourse.BACKENDS]])
def test_gpt2_of_random_sizes(backend, dtype, seed):
    torch, transformers = need("torch", extra="torch"), need("transformers", extra="test")
    sizes = drawn(seed)
    torch.manual_seed(seed)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **NO_DROPOUT, attn_implementation="eager")).double().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn(p.shape))
    config, state = from_huggingface("gpt2", arrays(model), heads=sizes["n_head"])
    names = ("vocab", "context", "layers", "hidden", "heads", "width")
    assert [getattr(config, name) for name in names] == list(sizes.values())
    x = np.random.default_rng(seed).integers(0, config.vocab, (3, config.context))
    learner = learner_of(backend, config, "cross_entropy", dtype)
    learner.model.load_state({name: array.astype(dtype) for name, array in state.items()})
    expected = model(torch.from_numpy(x)).logits.detach().numpy()
    compare(learner.predict(x), expected).check(1e-10 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_there_and_back(tied):
    theirs = arrays(gpt2(tied))
    config, state = from_huggingface("gpt2", theirs, heads=3)
    back = to_huggingface("gpt2", config, state)
    assert set(theirs) - set(back) == ({"lm_head.weight"} if tied else set())
    assert all(np.array_equal(array, theirs[name]) and array.flags.c_contiguous for name, array in back.items())
    again = from_huggingface("gpt2", back, heads=3)
    assert again[0] == config and all(np.array_equal(array, state[name]) for name, array in again[1].items())


def test_the_names_of_old_files():
    """Without a prefix and with the causal masks, as the first files of GPT-2 were saved."""
    theirs = arrays(gpt2())
    old = {name.removeprefix("transformer."): array for name, array in theirs.items() if name != "lm_head.weight"}
    old |= {"h.0.attn.bias": np.ones((1, 1, 9, 9)), "h.1.attn.masked_bias": np.array(-1e4)}
    config, state = from_huggingface("gpt2", old, heads=3)
    expected = from_huggingface("gpt2", theirs, heads=3)
    assert config == expected[0] and all(np.array_equal(array, expected[1][name]) for name, array in state.items())


def test_heads_of_the_published_sizes():
    config = GPTConfig(7, context=4, layers=1, heads=2, width=128, bias=True)
    from dlcourse.initial import initial_state

    assert from_huggingface("gpt2", to_huggingface("gpt2", config, initial_state(config, 0)))[0] == config


def test_refused():
    theirs = arrays(gpt2())
    config, state = from_huggingface("gpt2", theirs, heads=3)
    less = {name: array for name, array in theirs.items() if name != "transformer.h.1.attn.c_attn.bias"}
    wrong = theirs | {"transformer.h.0.ln_1.weight": np.ones(5), "transformer.h.0.extra": np.ones(2)}
    for message, call in [
        ("unknown model type 'gpt3' (did you mean gpt2?): choose one of gpt2", lambda: from_huggingface("gpt3", theirs)),
        ("width 12 is no multiple of 64, the head size of the published models", lambda: from_huggingface("gpt2", theirs)),
        ("missing transformer.h.1.attn.c_attn.bias (36,)", lambda: from_huggingface("gpt2", less, 3)),
        ("unknown transformer.h.0.extra; transformer.h.0.ln_1.weight has shape (5,)", lambda: from_huggingface("gpt2", wrong, 3)),
        (
            "these are the tensors of a BERT: pass model_type='bert'",
            lambda: from_huggingface("gpt2", {"bert.embeddings.word_embeddings.weight": np.ones((3, 64))}),
        ),
        ("these are the tensors of a GPT-2: pass model_type='gpt2'", lambda: from_huggingface("bert", theirs, 3)),
        ("these are no tensors of GPT-2: transformer.wte.weight", lambda: from_huggingface("gpt2", {"layers.0.weight": np.ones(3)}, 3)),
        (
            "GPT-2 has no positions='rotary', norm='rms'",
            lambda: to_huggingface("gpt2", GPTConfig(5, bias=True, positions="rotary", norm="rms"), {}),
        ),
        ("missing ln_f.bias", lambda: to_huggingface("gpt2", config, {name: a for name, a in state.items() if name != "ln_f.bias"})),
    ]:
        with pytest.raises(ValueError) as error:
            call()
        assert message in str(error.value), error.value
