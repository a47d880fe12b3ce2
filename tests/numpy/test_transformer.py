"""Block and GPT: values against the oracle, every gradient by differences, dropout, the cache, refusals."""

import numpy as np
import pytest

from dlcourse.config import GPTConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import GPT, Adam, Learner, gpt, transformer
from tests.gradients import assert_close
from tests.numpy import models
from tests.numpy import transformer_cases as cases


def test_feed_forward():
    cases.check_feed_forward(transformer)


def test_block():
    cases.check_block(transformer)


def test_block_parts():
    cases.check_block_parts(transformer)


def test_gpt():
    cases.check_gpt(gpt)


def test_gpt_dropout():
    cases.check_gpt_dropout(gpt)


def test_gpt_refusals():
    cases.check_gpt_refusals(gpt, models.raises)


def test_transformer():
    cases.check_transformer(transformer)


def test_transformer_dropout():
    cases.check_transformer_dropout(transformer)
    cases.check_transformer_parts(transformer)


def test_transformer_refusals():
    cases.check_transformer_refusals(transformer, models.raises)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary", "alibi", "none"])
def test_no_token_sees_a_later_one(positions, rng):
    config = GPTConfig(9, context=6, layers=2, heads=2, width=8, positions=positions)
    model = GPT(config)
    model.load_state(cases.moved_gpt(config))
    x = rng.integers(0, 9, (1, 6))
    before, x[0, 4] = model(x)[0], (x[0, 4] + 1) % 9
    after, _ = model(x)
    assert np.array_equal(before[:, :4], after[:, :4]) and np.abs(before[:, 4:] - after[:, 4:]).max() > 1e-3


def test_logits_start_small():
    """At first the logits say next to nothing: the loss is log V."""
    config = GPTConfig(65)
    model = GPT(config)
    model.load_state(initial_state(config, 0))
    learner = Learner(model, Adam(model))
    x, y = np.random.default_rng(0).integers(0, 65, (2, 4, 8))
    assert abs(learner.evaluate((x, y))[0] - np.log(65)) < 0.15
    assert sum(array.size for array in initial_state(config, 0).values()) == 65 * 128 + 64 * 128 + 4 * (12 * 128**2 + 2 * 128) + 128


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_workers_give_what_one_gives(dropout, rng):
    config = GPTConfig(11, context=8, layers=2, heads=2, width=8, dropout=dropout)
    x, y, states = rng.integers(0, 11, (5, 8)), rng.integers(0, 11, (5, 8)), []
    for workers in (1, 2):
        model = GPT(config)
        model.load_state(cases.moved_gpt(config))
        learner = Learner(model, Adam(model), workers=workers)
        for _ in range(3):
            learner.step((x, y), 1e-3)
        states.append(model.state())
    for name, array in states[0].items():
        assert_close(name, states[1][name], array, 1e-9)
