"""The grammar: its entropy by sums over all texts, by sampling and as printed; its texts; what it refuses."""

import itertools

import numpy as np
import pytest

from dlcourse import data
from dlcourse.data.grammar import NOUNS, TOKEN, VERBS, WORDS, Grammar


def enumerated(grammar, length):
    """(probability, tokens) of every text of so many tokens, by walking through all of them."""
    texts = [(1.0, [0])]
    for _ in range(length):
        x = np.array([tokens for _, tokens in texts])
        following = np.exp(grammar.log_probabilities(x)[:, -1])
        texts = [(p * q, [*tokens, v]) for (p, tokens), row in zip(texts, following, strict=True) for v, q in enumerate(row) if q > 0]
    return texts


@pytest.mark.parametrize(("depth", "length"), [(1, 4), (2, 5), (3, 5)])
def test_the_entropy_is_that_of_all_texts(depth, length):
    grammar = Grammar(depth)
    probabilities = np.array([p for p, _ in enumerated(grammar, length)])
    np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-12)
    np.testing.assert_allclose(grammar.entropy(length), -(probabilities * np.log(probabilities)).sum() / length, rtol=1e-12)


def test_the_loss_of_a_table_of_pairs_is_that_of_all_texts():
    grammar, length = Grammar(2), 5
    joint = np.zeros((len(WORDS), len(WORDS)))
    for p, tokens in enumerated(grammar, length):
        for pair in itertools.pairwise(tokens):
            joint[pair] += p / length
    conditional = joint / np.maximum(joint.sum(axis=1, keepdims=True), 1e-300)
    expected = -(joint[joint > 0] * np.log(conditional[joint > 0])).sum()
    np.testing.assert_allclose(grammar.markov_entropy(length), expected, rtol=1e-12)


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


def test_the_dataset():
    dataset = Grammar().dataset(train=30, validation=10, test=5, length=16)
    assert [part.x.shape for part in (dataset.train, dataset.validation, dataset.test)] == [(30, 16), (10, 16), (5, 16)]
    assert dataset.train.x.dtype == np.int64 and dataset.classes == WORDS and len(Grammar()) == len(WORDS) == 22
    again = Grammar().dataset(train=30, validation=10, test=5, length=16)
    np.testing.assert_array_equal(dataset.train.x, again.train.x)
    assert not np.array_equal(dataset.train.x[:5], dataset.test.x)
    other = Grammar().dataset(train=30, validation=10, test=5, length=16, seed=1)
    assert not np.array_equal(dataset.train.x, other.train.x)
    text = "the dogs that a cat near the birds chases bark and the fox runs ."
    assert Grammar().decode(Grammar().encode(text)) == text
    assert np.isfinite(Grammar().log_probabilities(np.array([[0, *Grammar().encode(text)]]))).any(axis=2).all()


def test_load_gives_the_documented_one():
    dataset = data.load("grammar")
    assert [len(part.x) for part in (dataset.train, dataset.validation, dataset.test)] == [20_000, 1_000, 1_000]
    assert dataset.shape == (64,) and "Grammar(depth=2), seed 0" in dataset.source
    assert data.where("grammar").startswith("generated")


def test_refuses():
    with pytest.raises(ValueError, match="depth=4 has 4,096 ways"):
        Grammar(4)
    with pytest.raises(ValueError, match="depth=0"):
        Grammar(0)
    with pytest.raises(ValueError, match="length=0"):
        Grammar().entropy(0)
    with pytest.raises(ValueError, match="count=0"):
        Grammar().sample(0, 3, seed=0)
    with pytest.raises(ValueError, match=r"row 1: 'bark' can't follow '. a dog' in Grammar\(depth=2\)"):
        Grammar().log_probabilities(np.array([Grammar().encode(text) for text in (". a dog barks", ". a dog bark")]))
    with pytest.raises(ValueError, match="begin with token 0"):
        Grammar().log_probabilities(np.array([[1, 2]]))
