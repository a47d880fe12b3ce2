"""Masking and pairs of spans, token by token, from the same draws; `tests/test_mutants.py` asks the same of its mutants."""

import inspect

import numpy as np


class Drawn:
    """A generator that gives the numbers that it was given: first the order, then the fates; of all choices the first."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def random(self, shape):
        return np.array(self.numbers.pop(0), float).reshape(shape)

    def choice(self, tokens, shape):
        return np.full(shape, tokens[0])

    def integers(self, low, high, count):
        return np.full(count, low)


def slow_mask(x, rng, vocab, mask, special, share, split):
    order, fate = rng.random(x.shape), rng.random(x.shape)
    others = rng.choice([token for token in range(vocab) if token not in special], x.shape)
    read, targets = x.copy(), np.full(x.shape, -100)
    for b, row in enumerate(x):
        ordinary = sorted((t for t, token in enumerate(row) if token not in special), key=lambda t, b=b: order[b, t])
        for t in ordinary[: max(1, round(share * len(ordinary)))]:
            targets[b, t] = row[t]
            if fate[b, t] < split[0]:
                read[b, t] = mask
            elif fate[b, t] < split[0] + split[1]:
                read[b, t] = others[b, t]
    return read, targets


def sequences(vocab, special, seed):
    """Tokens (7, 12) with special ones among them; one sequence has a single ordinary token."""
    rng = np.random.default_rng(seed)
    x = np.where(rng.random((7, 12)) < 0.3, rng.choice(special, (7, 12)), rng.integers(0, vocab, (7, 12)))
    x[:, 5] = vocab - 1
    x[3] = special[0]
    x[3, 8] = vocab - 1
    return x


def check_masks(m):
    for seed, (vocab, mask, special) in enumerate(((40, 4, (0, 1, 2, 3, 4)), (9, 2, (2, 7)), (3, 0, (0, 1)))):
        x = sequences(vocab, special, seed)
        before = x.copy()
        for share in (0.01, 0.15, 0.5, 1.0):
            for split in ((0.8, 0.1, 0.1), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.25, 0.5, 0.25)):
                read, targets = m.mask_tokens(x, np.random.default_rng(seed), vocab, mask, special, share, split)
                wanted = slow_mask(x, np.random.default_rng(seed), vocab, mask, special, share, split)
                assert np.array_equal(read, wanted[0]) and np.array_equal(targets, wanted[1]) and np.array_equal(x, before)
    x = sequences(40, m.SPECIAL, 0)
    wanted = slow_mask(x, np.random.default_rng(5), 40, 4, (0, 1, 2, 3, 4), 0.15, (0.8, 0.1, 0.1))
    assert np.array_equal(m.mask_tokens(x, np.random.default_rng(5), 40), wanted)
    # numbers that lie on an edge belong to what comes after it
    for split, wanted in (((0.25, 0.5, 0.25), [5, 8, 4, 2]), ((0.25, 0.0, 0.75), [7, 8, 4, 2])):
        drawn = Drawn([0.1, 0.2, 0.3, 0.0], [0.25, 0.75, 0.0, 0.0])
        read, targets = m.mask_tokens(np.array([[7, 8, 9, 2]]), drawn, 10, share=1.0, split=split)
        assert read.tolist() == [wanted] and targets.tolist() == [[7, 8, 9, -100]]


def check_change(m):
    """The masking of batches: the label of the pair stays in front of the hidden tokens."""
    x = sequences(40, m.SPECIAL, 0)
    y = np.concatenate([np.arange(7)[:, None], x], axis=1)
    numbers = {"mask": 3, "special": (0, 3), "share": 0.4, "split": (0.5, 0.3, 0.2)}
    for options in ({}, numbers):
        read, targets = m.masking(40, **options)(x, y, np.random.default_rng(1))
        wanted = m.mask_tokens(x, np.random.default_rng(1), 40, **options)
        assert np.array_equal(read, wanted[0]) and np.array_equal(targets[:, 0], np.arange(7)) and np.array_equal(targets[:, 1:], wanted[1])
    assert m.masking(40) == m.masking(40, 4, (0, 1, 2, 3, 4), 0.15, (0.8, 0.1, 0.1))
    parameters = inspect.signature(m.mask_tokens).parameters
    assert all(parameters[name].default == getattr(m.masking(40), name) for name in numbers)


def slow_pairs(tokens, context, rng, stride, start, stop):
    first = (context - 3) // 2
    second = context - 3 - first
    x, y = [], []
    places = [i for i in range(len(tokens)) if i % stride == 0 and i + first + second <= len(tokens)]
    follows = rng.random(len(places)) < 0.5
    starts = len(tokens) - second + 1  # of a second span
    jumps = rng.integers(first + second, starts - first - second + 1, len(places))
    for place, follow, jump in zip(places, follows, jumps, strict=True):
        begin = place + first if follow else (place + first + jump) % starts
        x.append([start, *tokens[place : place + first], stop, *tokens[begin : begin + second], stop])
        y.append([0 if follow else 1, *x[-1]])
    return np.array(x), np.array(y)


def check_pairs(m, raises):
    for seed, (count, context, stride) in enumerate(((60, 12, 3), (36, 12, 9), (37, 11, 1), (8, 5, 2), (40, 6, 5))):
        for tokens in (list(range(100, 100 + count)), np.arange(100, 100 + count, dtype=np.int32)):
            for start, stop in ((2, 3), (7, 9)):
                found = m.sentence_pairs(tokens, context, np.random.default_rng(seed), stride, start, stop)
                for one, other in zip(found, slow_pairs(tokens, context, np.random.default_rng(seed), stride, start, stop), strict=True):
                    assert one.dtype == np.int64 and np.array_equal(one, other)
    found = m.sentence_pairs(np.arange(50), 10, np.random.default_rng(0))
    assert all(map(np.array_equal, found, slow_pairs(np.arange(50), 10, np.random.default_rng(0), 7, 2, 3)))
    x, y = m.sentence_pairs(np.arange(400), 12, np.random.default_rng(0), 1)
    assert all(set(row[1:5]).isdisjoint(row[6:11]) for row in x), "no token is in both spans"
    assert 0.3 < y[:, 0].mean() < 0.7
    _, y = m.sentence_pairs(np.arange(28), 10, Drawn([0.0, 0.5, np.nextafter(0.5, 0), 0.75]))
    assert y[:, 0].tolist() == [0, 1, 0, 1], "half of all numbers are below 1/2"
    for call, message in (
        (
            lambda rng: m.sentence_pairs(np.arange(35), 12, rng),
            "35 tokens are too few for pairs of 4 and 5: take a longer text, or a context of at least 5 and at most 11",
        ),
        (lambda rng: m.sentence_pairs(np.arange(100), 4, rng), "100 tokens are too few for pairs of 0 and 1"),
        (lambda rng: m.sentence_pairs(np.arange(100), 0, rng), "context=0: it must be a whole number of at least 1"),
        (lambda rng: m.sentence_pairs(np.arange(100), 12, rng, 0), "stride=0: it must be a whole number of at least 1"),
    ):
        raises(ValueError, message, lambda call=call: call(np.random.default_rng(0)))


def check_refusals(m, raises):
    x, rng = np.array([[2, 7, 3], [2, 3, 0]]), np.random.default_rng(0)
    raises(ValueError, "sequence 1 holds special tokens alone, so that nothing can be hidden", lambda: m.mask_tokens(x, rng, 10))
    m.mask_tokens(x[:1], rng, 10)
    m.masking(10, mask=9, special=tuple(range(9)))
    for message, options in (
        ("vocab=0: it must be a whole number of at least 1", {"vocab": 0}),
        ("mask=-1, special=", {"mask": -1}),
        ("mask=10, special=", {"mask": 10}),
        ("with vocab=5: they are tokens of the vocabulary, which has ordinary ones besides", {"vocab": 5}),
        ("share=0.0: hide more than 0 and at most 1 of the tokens", {"share": 0.0}),
        ("share=1.5: hide more than 0", {"share": 1.5}),
        ("share=nan: hide more than 0", {"share": float("nan")}),
        ("three probabilities that sum to 1", {"split": (0.5, 0.5)}),
        ("three probabilities that sum to 1", {"split": (0.25, 0.25, 0.25, 0.25)}),
        ("three probabilities that sum to 1", {"split": (-0.5, 0.75, 0.75)}),
        ("three probabilities that sum to 1", {"split": (0.8, 0.1, 0.2)}),
        ("three probabilities that sum to 1", {"split": (0.8, 0.1, 0.0)}),
    ):
        for call in (m.masking, lambda **options: m.mask_tokens(x[:1], rng, **options)):
            raises(ValueError, message, lambda call=call, options=options: call(**({"vocab": 10} | options)))


def check_masking(m, raises):
    check_masks(m)
    check_change(m)
    check_pairs(m, raises)
    check_refusals(m, raises)
