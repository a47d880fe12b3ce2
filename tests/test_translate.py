"""Greedy and beam search: by hand, against exhaustive search, and with real models."""

import itertools

import numpy as np
import pytest

import dlcourse
from dlcourse.config import TransformerConfig
from dlcourse.generate import log_softmax, penalty, translate
from tests.numpy.generate_cases import PAD, START, STOP, Table, random_rule
from tests.numpy.transformer_cases import moved_transformer


def by_hand(source, past):
    """a (3) is likelier than b (4), but what follows a is open and what follows b is sure."""
    rows = {(): [0.6, 0.4], (3,): [0.5, 0.5], (4,): [1.0, 0.0]}
    if past in rows:
        p = [0.0, 0.0, 0.0, *rows[past]] if past != (3,) else [0.0, 0.0, 0.0, 0.5, 0.5]
    else:
        p = [0.0, 0.0, 1.0, 0.0, 0.0]
    return np.log(np.array(p) + 1e-12)


def score(model, source, tokens, length_penalty):
    total = sum(log_softmax(model.rule(source, tokens[:i]))[token] for i, token in enumerate(tokens))
    return total / penalty(len(tokens), length_penalty)


def every_target(vocab, steps):
    """All sequences that end with the first STOP, or have the full length."""
    for length in range(1, steps + 1):
        for tokens in itertools.product(range(vocab), repeat=length):
            if STOP not in tokens[:-1] and (tokens[-1] == STOP or length == steps):
                yield tokens


def test_a_beam_finds_what_greedy_search_misses():
    """p(a . .) = 0.6 x 0.5, p(b a stop) = 0.4: greedy search goes the wrong way at the first step."""
    model = Table(by_hand, 5, 3)
    assert translate(model, [5], START, STOP).tolist() == [3, 3, STOP]
    assert translate(model, [5], START, STOP, beams=2).tolist() == [4, 3, STOP]


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_is_exhaustive_search(seed, length_penalty):
    model, source = Table(random_rule(seed, 4), 4, 3), (3, 1)
    best = max(every_target(4, 3), key=lambda tokens: score(model, source, tokens, length_penalty))
    found = translate(model, source, START, STOP, beams=64, length_penalty=length_penalty)
    assert tuple(found[: len(best)]) == best and (found[len(best) :] == PAD).all()


@pytest.mark.parametrize("seed", range(5))
def test_one_beam_is_greedy_search(seed):
    model, sources, found = Table(random_rule(seed, 6), 6, 7), [(3, 1), (4, 4), (5, 0)], []
    for source in sources:
        tokens = ()
        while len(tokens) < 7 and STOP not in tokens:
            tokens = (*tokens, int(model.rule(source, tokens).argmax()))
        found.append([*tokens, *[PAD] * (7 - len(tokens))])
    assert translate(model, np.array(sources), START, STOP, beams=1).tolist() == found


def test_more_beams_find_no_worse_scores():
    """Not a theorem for a single source, but true of the mean, and strictly so."""
    means = []
    for beams in (1, 2, 4, 16):
        found = []
        for seed in range(12):
            model = Table(random_rule(seed, 6), 6, 5)
            tokens = translate(model, (3,), START, STOP, beams=beams).tolist()
            tokens = tokens[: tokens.index(STOP) + 1] if STOP in tokens else tokens
            found.append(score(model, (3,), tuple(tokens), 0.6))
        means.append(np.mean(found))
    assert means[0] < means[1] < means[2] <= means[3]


def test_the_penalty_favours_longer_targets():
    """0.5 for stop at once, 0.5 x 1 x 1 for three tokens: equal probabilities, and the penalty decides; without one the first found is kept."""

    def rule(source, past):
        p = np.full(5, 1e-12)
        p[[STOP, 3]] = {(): (0.501, 0.499), (3,): (0.0, 1.0), (3, 3): (1.0, 0.0)}.get(past, (1.0, 0.0))
        return np.log(p + 1e-12)

    model = Table(rule, 5, 4)
    assert translate(model, (3,), START, STOP, beams=3, length_penalty=0.0).tolist() == [STOP, 0, 0, 0]
    assert translate(model, (3,), START, STOP, beams=3, length_penalty=1.0).tolist() == [3, 3, STOP, 0]
    assert penalty(np.array([1, 7]), 1.0).tolist() == [1.0, 2.0] and penalty(7, 0.0) == 1.0


# ---------------------------------------------------------------- models

CONFIG = TransformerConfig(11, source=6, target=5, layers=2, heads=2, width=8, dropout=0.1)


def model_of(backend):
    model = dlcourse.backend(backend).Transformer(CONFIG)
    model.load_state(moved_transformer(CONFIG, np.float32))
    return model


@pytest.mark.parametrize("beams", [1, 3])
def test_the_same_in_all_backends_and_without_a_cache(beams, rng):
    sources = rng.integers(1, 11, (4, 6))
    sources[2, 3:] = 0
    found = {}
    for backend in dlcourse.BACKENDS:
        model = model_of(backend)
        found[backend] = translate(model, sources, START, STOP, beams=beams).tolist()
        assert model.training, "the mode is what it was"
    assert found["numpy"] == found["torch"] == found["mlx"] and len({tuple(row) for row in found["numpy"]}) > 1
    model = model_of("numpy")
    alone = [translate(model, source[source > 0], START, STOP, beams=beams).tolist() for source in sources]
    assert alone == found["numpy"], "neither neighbours nor padding matter"
    if beams == 1:
        assert uncached(model, sources).tolist() == found["numpy"]


def uncached(model, sources):
    """The whole model again for each token."""
    x = np.concatenate([sources, np.full((len(sources), 1), START)], axis=1)
    ended = np.zeros(len(sources), bool)
    for _ in range(CONFIG.target):
        token = np.where(ended, 0, model(x)[0][:, -1].argmax(axis=-1))
        ended |= token == STOP
        x = np.concatenate([x, token[:, None]], axis=1)
    return x[:, sources.shape[1] + 1 :]


def test_the_encoder_runs_once(monkeypatch):
    model, calls = model_of("numpy"), []
    encode = type(model).encode
    monkeypatch.setattr(type(model), "encode", lambda self, *a, **k: calls.append(1) or encode(self, *a, **k))
    translate(model, [3, 4], START, STOP, beams=3)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("the source is empty", {"source": []}),
        ("the source is float64", {"source": [0.5]}),
        ("beams=0: it must be a whole number of at least 1", {"beams": 0}),
        ("length_penalty=-1: it must not be negative", {"length_penalty": -1}),
        ("start=11 but vocab is 11", {"start": 11}),
        ("stop=-1 but vocab is 11", {"stop": -1}),
        ("sequences of 7 tokens but the context is 6", {"source": [3] * 7}),
        ("token 12 but vocab is 11", {"source": [12]}),
    ],
)
def test_refusals(message, arguments):
    with pytest.raises(ValueError, match=message):
        translate(model_of("numpy"), **{"source": [3, 4], "start": START, "stop": STOP} | arguments)
