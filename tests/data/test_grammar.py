"""The grammar: its entropy by sums over all texts, by sampling and as printed; its texts; what it refuses."""

import numpy as np

from dlcourse import data
from dlcourse.data import grammar as module
from dlcourse.data.grammar import NOUNS, TOKEN, VERBS, WORDS, Grammar
from tests.data import grammar_cases
from tests.numpy import models


def test_word_by_word():
    grammar_cases.check_grammar(module, models.raises)


def test_the_entropy_is_what_samples_show():
    """The source's own loss on 2,000 texts, within four standard errors."""
    grammar = Grammar()
    x, y = grammar.sample(1_000, 32, seed=1)
    losses = -np.take_along_axis(grammar.log_probabilities(x), y[..., None], axis=2)[..., 0].mean(axis=1)
    assert abs(losses.mean() - grammar.entropy(32)) < 4 * losses.std() / np.sqrt(len(losses))


def test_long_texts_approach_the_entropy_rate():
    """T L_T grows by the rate for each token, up to a constant: L_T - rate falls as 1/T."""
    for depth in (1, 2):
        grammar = Grammar(depth)
        for entropy in (grammar.entropy, grammar.markov_entropy):
            gaps = [entropy(length) - entropy() for length in (200, 400, 800)]
            assert 0 < abs(gaps[2]) < 1 / 800
            np.testing.assert_allclose(gaps[0] / gaps[1], 2, rtol=0.02)
        assert grammar.markov_entropy(64) > grammar.entropy(64) + 0.1  # what attention can gain


def test_the_rate_solves_the_stationary_equations():
    grammar = Grammar(1)
    machine = grammar._machine
    transitions = np.stack([machine.step(row) for row in np.eye(len(machine.last))])
    np.testing.assert_allclose(transitions.sum(axis=1), 1, rtol=1e-12)
    share = grammar._visits(None)
    np.testing.assert_allclose(share @ transitions, share, atol=1e-14)


def test_texts_are_grammatical():
    """By a reader of its own: the verbs of a clause agree with their nouns, last noun first."""
    grammar = Grammar()
    x, y = grammar.sample(300, 64, seed=0)
    assert (x[:, 0] == 0).all() and (x[:, 1:] == y[:, :-1]).all()
    verbs = 0
    for row in y:
        waiting, words = [], [".", ".", *(WORDS[token] for token in row)]
        for two_before, before, word in zip(words, words[1:], words[2:], strict=False):
            if word in NOUNS:
                assert before == "the" or (before == "a" and word in NOUNS[:4])
                if two_before != "near":
                    waiting.append(word)
                assert len(waiting) <= 2
            elif word in VERBS:
                assert (word in VERBS[:4]) == (waiting.pop() in NOUNS[:4])
                verbs += 1
            elif word in (".", "and"):
                assert before in VERBS and not waiting
    assert verbs > 3000


def test_each_noun_prefers_a_verb():
    grammar = Grammar(1)
    row = np.exp(grammar.log_probabilities(np.array([grammar.encode(". the foxes near the dog")])))[0, -1]
    plural = row[[TOKEN[verb] for verb in VERBS[4:]]]
    np.testing.assert_allclose(plural / plural.sum(), [0.1, 0.1, 0.7, 0.1], rtol=1e-12)
    assert row[[TOKEN[verb] for verb in VERBS[:4]]].sum() == 0


def test_load_gives_the_documented_one():
    dataset = data.load("grammar")
    assert [len(part.x) for part in (dataset.train, dataset.validation, dataset.test)] == [20_000, 1_000, 1_000]
    assert dataset.shape == (64,) and "Grammar(depth=2), seed 0" in dataset.source
    assert data.where("grammar").startswith("generated")
