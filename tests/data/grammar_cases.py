"""The grammar read word by word: what may follow, and all texts of a length; `tests/test_mutants.py` asks the same of its mutants."""

import inspect
import itertools
import math
import warnings
from unittest import mock

import numpy as np

SINGULAR, PLURAL = ("dog", "cat", "fox", "bird"), ("dogs", "cats", "foxes", "birds")
THIRD, OTHER = ("barks", "chases", "runs", "sings"), ("bark", "chase", "run", "sing")
SHARES = (0.4, 0.3, 0.2, 0.1)


def slow_next(words, depth):
    """{word: probability} of what follows the words, the first of which is "."."""
    waiting = []
    for place, word in enumerate(words):
        if word in SINGULAR + PLURAL and words[place - 2] != "near":
            waiting.append(word)
        elif word in THIRD + OTHER:
            waiting.pop()
    last, found = words[-1], {}
    if last in (".", "and", "that", "near"):
        return {"the": 0.6, "a": 0.4}
    if last == "a":
        return dict(zip(SINGULAR, SHARES, strict=True))
    if last == "the":
        return {noun: share / 2 for kind in (SINGULAR, PLURAL) for noun, share in zip(kind, SHARES, strict=True)}
    if last in THIRD + OTHER and not waiting:
        return {"and": 0.3, ".": 0.7}
    if last in SINGULAR + PLURAL and words[-3] != "near":
        found["near"] = 0.25
        if len(waiting) < depth:
            found["that"] = 0.25
    rest = 1 - sum(found.values())
    nouns, verbs = (SINGULAR, THIRD) if waiting[-1] in SINGULAR else (PLURAL, OTHER)
    return found | {verb: rest * (0.7 if noun == waiting[-1] else 0.1) for noun, verb in zip(nouns, verbs, strict=True)}


def all_texts(depth, length):
    """[(probability, words)] of every text of so many words behind the first "."."""
    texts = [(1.0, ["."])]
    for _ in range(length):
        texts = [(p * q, [*words, word]) for p, words in texts for word, q in slow_next(words, depth).items()]
    return texts


def entropy(p):
    return -math.fsum(q * math.log(q) for q in p if q > 0)


def check_entropies(m):
    for depth, lengths in ((1, (1, 4)), (2, (5,))):
        for length in lengths:
            texts, pairs = all_texts(depth, length), {}
            grammar = m.Grammar(depth)
            assert abs(grammar.entropy(length) - entropy(p for p, _ in texts) / length) < 1e-12
            for p, words in texts:
                for pair in itertools.pairwise(words):
                    pairs[pair] = pairs.get(pair, 0.0) + p / length
            single = {}
            for (first, _), p in pairs.items():
                single[first] = single.get(first, 0.0) + p
            assert abs(grammar.markov_entropy(length) - entropy(pairs.values()) + entropy(single.values())) < 1e-12
    grammar = m.Grammar(1)
    rate = 900 * grammar.entropy(900) - 899 * grammar.entropy(899)  # of one more word, far from the beginning
    assert type(grammar.entropy()) is type(grammar.markov_entropy()) is float and abs(grammar.entropy() - rate) < 1e-9
    assert abs(grammar.markov_entropy() - grammar.markov_entropy(1000)) < 1 / 1000
    share, machine = grammar._visits(None), grammar._machine
    assert abs(share.sum() - 1) < 1e-14 and abs(machine.step(share) - share).max() < 1e-14


def check_texts(m):
    for depth in (1, 2):
        grammar = m.Grammar(depth)
        for count, length in ((40, 30), (1, 1)):
            x, y = grammar.sample(count, length, seed=(3, depth))
            rng, texts = np.random.default_rng((3, depth)), [["."] for _ in range(count)]
            for t in range(length):
                for row, (words, number) in enumerate(zip(texts, rng.random(count), strict=True)):
                    follows, total = slow_next(words, depth), 0.0
                    for word in sorted(follows, key=m.WORDS.index):  # the token whose share of [0, 1) holds the number
                        total += follows[word]
                        if number < total:
                            break
                    words.append(word)
                    assert m.WORDS[y[row, t]] == word
            assert x.dtype == y.dtype == np.int64 and x.shape == y.shape == (count, length)
            assert (x[:, 0] == 0).all() and np.array_equal(x[:, 1:], y[:, :-1])
            found = grammar.log_probabilities(x)
            for row in range(min(count, 12)):
                for t in range(length):
                    wanted = slow_next(texts[row][: t + 1], depth)
                    p = [wanted.get(word, 0.0) for word in m.WORDS]
                    np.testing.assert_allclose(np.exp(found[row, t]), p, rtol=1e-12, atol=1e-15)

    # a number on an edge belongs to the word after it, and the largest one leads to the last word, not beyond
    def drawing(number):
        return mock.patch.object(np.random, "default_rng", return_value=mock.Mock(random=lambda count: np.full(count, number)))

    with drawing(0.6):
        assert m.Grammar(1).sample(1, 1, 0)[1].tolist() == [[m.WORDS.index("a")]]
    with drawing(1 - 2.0**-53):
        assert m.Grammar(2).sample(1, 3, 0)[1].tolist() == [m.Grammar(2).encode("a bird sings")]
    with warnings.catch_warnings(), np.errstate(divide="warn"):
        warnings.simplefilter("error")
        assert grammar.log_probabilities(x).min() == -math.inf
    assert grammar.log_probabilities(x.tolist()).shape == (1, 1, 22) and len(grammar) == 22
    words = [*".", "the", "a", "near", "that", "and", *SINGULAR, *PLURAL, *THIRD, *OTHER]
    assert list(m.WORDS) == words and [m.TOKEN[word] for word in words] == list(range(22))
    text = "the dogs that a cat near the birds chases bark and the fox runs ."
    assert grammar.decode(grammar.encode(text)) == text and grammar.encode("a . the") == [2, 0, 1]


def check_dataset(m):
    found = m.Grammar(1).dataset(7, 5, 3, 9, seed=4)
    for part, (split, count) in enumerate(((found.train, 7), (found.validation, 5), (found.test, 3))):
        assert all(map(np.array_equal, split, m.Grammar(1).sample(count, 9, (4, part))))
    assert found.name == "grammar" and found.classes == m.WORDS and found.source == "generated, Grammar(depth=1), seed 4"
    defaults = {"train": 20_000, "validation": 1_000, "test": 1_000, "length": 64, "seed": 0}
    assert {name: p.default for name, p in inspect.signature(m.Grammar.dataset).parameters.items() if name != "self"} == defaults
    assert m.Grammar() == m.Grammar(2) != m.Grammar(3)


def check_refusals(m, raises):
    grammar = m.Grammar(2)
    ended = np.array([grammar.encode(text) for text in (". the dog barks .", ". the dog barks dog")])
    twice = np.array([grammar.encode(text) for text in (". a dog barks", ". a dog bark")])
    for message, call in (
        ("depth=0: it must be a whole number of at least 1", lambda: m.Grammar(0)),
        ("depth=4 has 4,096 ways in which nouns may wait", lambda: m.Grammar(4)),
        ("length=0: it must be", lambda: grammar.entropy(0)),
        ("count=0: it must be", lambda: grammar.sample(0, 3, seed=0)),
        ("length=0: it must be", lambda: grammar.sample(3, 0, seed=0)),
        ("row 1: 'bark' can't follow '. a dog' in Grammar(depth=2)", lambda: grammar.log_probabilities(twice)),
        ("row 1: 'dog' can't follow '. the dog barks'", lambda: grammar.log_probabilities(ended)),
        ("whose rows begin with token 0", lambda: grammar.log_probabilities(np.array([[0, 1], [1, 6]]))),
        ("whose rows begin with token 0", lambda: grammar.log_probabilities(np.array([0, 1]))),
        ("whose rows begin with token 0", lambda: grammar.log_probabilities(np.array([[0.0, 1.0]]))),
    ):
        raises(ValueError, message, call)


def check_grammar(m, raises):
    check_refusals(m, raises)
    check_dataset(m)
    check_texts(m)
    check_entropies(m)
