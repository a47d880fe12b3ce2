"""One sampler for three backends: the same tokens with a cache and without, the distribution drawn from, refusals; and what the cache saves."""

import time

import numpy as np
import pytest

import dlcourse
from dlcourse import generate as g
from dlcourse.config import GPTConfig
from dlcourse.generate import generate, sample
from dlcourse.initial import initial_state
from tests.numpy import generate_cases, models

CONFIG = GPTConfig(17, context=12, layers=2, heads=2, width=16)


def gpt(backend, config=CONFIG, seed=0):
    model = dlcourse.backend(backend).GPT(config)
    rng = np.random.default_rng(seed)
    model.load_state(
        {name: array + 0.3 * rng.normal(size=array.shape).astype(np.float32) for name, array in initial_state(config, seed).items()}
    )
    return model


# ---------------------------------------------------------------- the cache


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary", "alibi", "none"])
def test_the_same_tokens_in_all_backends_with_and_without_a_cache(positions):
    """Beyond the context too, where the window moves."""
    config = GPTConfig(17, context=12, layers=2, heads=2, width=16, positions=positions, dropout=0.1)
    prompt, found = np.array([[3, 1, 4], [1, 5, 9]]), {}
    for backend in dlcourse.BACKENDS:
        model = gpt(backend, config)
        for cache in (True, False):
            tokens = generate(model, prompt, 14, temperature=0.8, top_p=0.95, rng=np.random.default_rng(7), cache=cache)
            found[backend, cache] = tokens.tolist()
            assert model.training, "the mode is what it was"
    expected = found["numpy", True]
    assert all(tokens == expected for tokens in found.values()), found
    assert np.shape(expected) == (2, 17) and [row[:3] for row in expected] == prompt.tolist() and expected[0][3:] != expected[1][3:]


def test_a_long_prompt_needs_no_cache():
    model, prompt = gpt("numpy"), np.arange(15) % 17
    with_cache, without = (generate(model, prompt, 4, cache=cache) for cache in (True, False))
    assert with_cache.tolist() == without.tolist() and with_cache[:15].tolist() == prompt.tolist()
    assert without.tolist() == generate(model, prompt, 4).tolist(), "the default generator is seeded"


def test_a_learner_is_taken_for_its_model():
    package, model = dlcourse.backend("numpy"), gpt("numpy")
    learner = package.Learner(model, package.Adam(model))
    assert generate(learner, [1, 2], 5).tolist() == generate(model, [1, 2], 5).tolist()


def test_a_sequence_does_not_depend_on_its_neighbours():
    model = gpt("numpy")
    both = generate(model, [[3, 1], [2, 2]], 6, temperature=0)
    assert both[1].tolist() == generate(model, [2, 2], 6, temperature=0).tolist()


@pytest.mark.parametrize("backend", dlcourse.BACKENDS)
def test_a_token_with_cache_costs_at_most_a_fifth(backend):
    """The 256th token of four sequences, nanoGPT's small model; processor time, as other work on the machine disturbs the clock."""
    model = gpt(backend, GPTConfig(65, context=256))
    tokens, seconds = np.random.default_rng(0).integers(0, 65, (4, 256)), {True: [], False: []}
    with g.evaluation(model):
        for _ in range(2 if backend == "mlx" else 7):  # MLX is 80 times as fast with the cache, and slow without
            cache = model.new_cache(4)
            model.logits(tokens[:, :255], cache)
            for kept in (True, False):
                start = time.process_time()
                model.logits(tokens[:, 255:], cache) if kept else model.logits(tokens)
                seconds[kept].append(time.process_time() - start)
    assert min(seconds[True]) < min(seconds[False]) / 5, seconds


# ---------------------------------------------------------------- the distribution


def test_token_by_token():
    generate_cases.check_everything(g, models.raises)


def test_draws_follow_the_probabilities():
    logits = np.repeat(generate_cases.LOGITS[:1], 20000, axis=0)
    counts = np.bincount(sample(logits, rng=np.random.default_rng(1)), minlength=4) / 20000
    np.testing.assert_allclose(counts, np.exp(logits[0]), atol=5 * 0.5 / np.sqrt(20000))
    assert set(sample(logits, top_k=2, rng=np.random.default_rng(1)).tolist()) == {0, 1}


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": []}, "the prompt is empty, but the first token needs one before it"),
        ({"prompt": [0.5]}, "the prompt is float64 of shape (1,): pass tokens (T,) or (B, T)"),
        ({"prompt": [[[1]]]}, "of shape (1, 1, 1): pass tokens"),
        ({"prompt": [17]}, "token 17 but vocab is 17"),
        ({"temperature": -0.1}, "temperature=-0.1: it must not be negative"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"top_k": 0}, "top_k=0: it must be a whole number of at least 1"),
        ({"top_p": 0.0}, "top_p=0.0: it is a probability above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p=1.5"),
        ({"length": 0}, "length=0: it must be a whole number of at least 1"),
    ],
)
def test_refused(options, message):
    model = gpt("numpy")
    with pytest.raises(ValueError) as error:
        generate(model, **({"prompt": [1, 2], "length": 3} | options))
    assert message in str(error.value)


@pytest.mark.parametrize("backend", dlcourse.BACKENDS)
def test_refused_by_every_gpt(backend):
    model = gpt(backend)
    with pytest.raises(ValueError, match="sequences of 13 tokens but the context is 12"):
        model.logits(np.zeros((1, 13), int))
    cache = model.new_cache(1)
    model.logits(np.zeros((1, 10), int), cache)
    with pytest.raises(ValueError, match="the cache holds 10 of 12 tokens, too many for 3 more"):
        model.logits(np.zeros((1, 3), int), cache)
