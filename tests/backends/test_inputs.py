"""A model of text that is called by itself refuses the same inputs as its learner, in the same words; a cache refuses what it has no room for."""

import mlx.core as mx
import numpy as np
import pytest
import torch

import dlcourse
from dlcourse.config import BERTConfig, GPTConfig, RNNConfig, TransformerConfig
from dlcourse.initial import initial_state

each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)
GPTS = {
    f"GPT-{positions}": GPTConfig(7, 6, 1, 2, 4, positions=positions) for positions in ("learned", "rotary", "alibi", "sinusoidal", "none")
}
BERTS = {
    f"BERT-{task}": BERTConfig(7, 6, 1, 2, 4, task=task, outputs=2 if task in ("classify", "label") else None)
    for task in ("pretrain", "classify", "label", "span")
}
RNNS = {f"RNN-{cell}": RNNConfig(7, 3, 4, cell=cell) for cell in ("rnn", "gru", "lstm")}
MODELS = GPTS | BERTS | RNNS | {"Transformer": TransformerConfig(7, 4, 3, 1, 2, 4)}
GOOD = np.array([[1, 2, 3, 4, 5], [6, 5, 4, 3, 2]])


def given(backend, x):
    return {"numpy": np.array, "torch": torch.tensor, "mlx": mx.array}[backend](x)


def model_of(backend, name):
    config = MODELS[name]
    model = getattr(dlcourse.backend(backend), name.partition("-")[0])(config)
    model.load_state(initial_state(config, 0))
    return model.eval() or model


CASES = {
    "too large": (
        np.where(GOOD == 6, 9, GOOD),
        "token 9 but vocab is 7: build the model with vocab=10, or encode with this model's tokeniser",
    ),
    "negative": (np.where(GOOD == 6, -1, GOOD), "token -1 is negative: tokens are 0 ... 6"),
    "floats": (GOOD.astype(np.float32), "x holds float32, but tokens are whole numbers: pass what the tokeniser's encode returns"),
    "one sequence": (GOOD[0], "x has shape (5,) but tokens are (B, T): a single sequence needs x[None]"),
    "no token": (GOOD[:, :0], "the batch is empty (x has shape (2, 0)): pass at least one example of at least one token"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", MODELS)
@each_backend
def test_a_model_that_is_called_refuses_what_its_learner_refuses(backend, name, case):
    x, sentence = CASES[case]
    model, package = model_of(backend, name), dlcourse.backend(backend)
    learner = package.Learner(model, package.SGD(model), "pretraining" if name == "BERT-pretrain" else "cross_entropy")
    said = []
    for call in (lambda: model(given(backend, x)), lambda: learner.predict(x)):
        with pytest.raises(ValueError) as caught:
            call()
        said.append(str(caught.value))
    assert said[0] == said[1] and said[0].startswith(sentence)


@pytest.mark.parametrize("name", [*GPTS, *BERTS])
@each_backend
def test_a_sequence_longer_than_the_context(backend, name):
    expected = "x holds sequences of 9 tokens but the context is 6: pass x[:, -6:], or build the model with context=9"
    with pytest.raises(ValueError) as caught:
        model_of(backend, name)(given(backend, np.ones((2, 9), int)))
    assert str(caught.value) == expected


@each_backend
def test_lengths_of_source_and_target(backend):
    for length, sentence in [
        (
            20,
            "x holds sequences of 20 tokens, but 4 are the source and the decoder takes 3: shorten the target, or build the model with target=16",
        ),
        (4, "x holds sequences of 4 tokens, but 4 are the source and the decoder needs one at least"),
    ]:
        with pytest.raises(ValueError) as caught:
            model_of(backend, "Transformer")(given(backend, np.ones((2, length), int)))
        assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    ("name", "what"), [("BERT-pretrain", "sequence"), ("BERT-span", "sequence"), ("Transformer", "the source of sequence")]
)
@each_backend
def test_nothing_but_padding(backend, name, what):
    x = GOOD.copy()
    x[1, : 4 if name == "Transformer" else None] = 0
    expected = f"{what} 1 is nothing but padding, token 0: pass at least one other token, such as the one that ends a text"
    with pytest.raises(ValueError) as caught:
        model_of(backend, name)(given(backend, x))
    assert str(caught.value) == expected
    x[1, 2] = 3
    model_of(backend, name)(given(backend, x))  # one token is enough


@pytest.mark.parametrize("name", ["GPT-learned", "BERT-span", "RNN-lstm", "Transformer"])
@pytest.mark.parametrize("backend", ["torch", "mlx"])
def test_an_array_of_numpy(backend, name):
    with pytest.raises(ValueError, match=r"x is of type ndarray, but the model takes .*, or call Learner.predict"):
        model_of(backend, name)(GOOD)


@pytest.mark.parametrize("tokens", [1, 2])
@each_backend
def test_a_full_cache(backend, tokens):
    package = dlcourse.backend(backend)
    layer = package.MultiHeadAttention(4, 2)
    cache = package.KVCache(1, 2, 3, 2, like=given(backend, np.zeros(1, np.float32)))
    step = given(backend, np.ones((1, 3, 4), np.float32))
    layer(step, causal=True, cache=cache)
    keys = cache.keys.tolist()
    with pytest.raises(ValueError) as caught:
        layer(step[:, :tokens], causal=True, cache=cache)
    assert str(caught.value) == (
        f"the cache holds 3 of 3 tokens, too many for {tokens} more: begin a new one with the last tokens, or build the model with a longer context"
    )
    assert cache.length == 3 and cache.keys.tolist() == keys, "a refused token changed the cache"


def test_no_way_back_through_a_cache():
    package = dlcourse.backend("numpy")
    layer, cache = package.MultiHeadAttention(4, 2), package.KVCache(1, 2, 3, 2, like=np.zeros(1))
    layer(np.ones((1, 2, 4)), cache=cache)
    y, backward = layer(np.ones((1, 1, 4)), cache=cache)
    with pytest.raises(RuntimeError, match="computed with a cache, which has no way back: call the layer without one"):
        backward(y)


# ---------------------------------------------------------------- functions that are traced have no tokens yet


@pytest.mark.parametrize(
    "name", ["GPT-learned", "GPT-rotary"]
)  # not one of the others was in one graph before: PyTorch leaves their masks out
def test_torch_compiles_its_models(name):
    model, x = model_of("torch", name), torch.tensor(GOOD)
    with torch.no_grad():
        assert torch.allclose(torch.compile(model, backend="eager", fullgraph=True)(x), model(x), atol=1e-6)


@pytest.mark.parametrize("name", ["GPT-learned", "GPT-rotary", "RNN-gru"])
def test_mlx_transforms_its_models(name):
    model, x = model_of("mlx", name), mx.array(GOOD)
    each = mx.vmap(lambda row: model(row[None])[0])(x)
    assert np.allclose(np.array(each), np.array(model(x)), atol=1e-5)
