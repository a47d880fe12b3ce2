"""Mini-batches, windows of a text and splits, example by example; `tests/test_mutants.py` asks the same of its mutants."""

import inspect
import json
import math

import numpy as np

# ---------------------------------------------------------------- dlcourse.data.batches


def change_of(number):
    """An augmentation that shows whether it came, when, and with which draws."""
    return lambda x, y, rng: (number * x + rng.integers(0, 9), y + number)


def slow_epoch(x, y, size, rng, shuffle=True, drop_last=False, augment=(), steps=None):
    order, found = rng.permutation(len(x)) if shuffle else range(len(x)), []
    for start in range(0, len(x), size):
        index = list(order[start : start + size])
        if (len(index) == size or not drop_last) and (steps is None or len(found) < steps):
            batch = np.array([x[i] for i in index]), np.array([y[i] for i in index])
            for change in augment:
                batch = change(*batch, rng)
            found.append(batch)
    return found


def check_batches(m, raises):
    for count in (1, 9, 10):
        x, y = np.arange(2.0 * count).reshape(count, 2), np.arange(count)
        x.flags.writeable = y.flags.writeable = False
        for size in (1, 3, 5, 9, 12):
            for options in (
                {},
                {"shuffle": False},
                {"drop_last": True},
                {"steps": 1},
                {"steps": 2},
                {"steps": 4, "drop_last": True},
                {"augment": (change_of(2), change_of(3))},
            ):
                if size > count and "drop_last" in options:
                    continue
                batches, rng = m.Batches(x, y, np.int64(size), np.random.default_rng(4), **options), np.random.default_rng(4)
                for _ in range(2):  # each epoch has its own order
                    wanted = slow_epoch(x, y, size, rng, **options)
                    found = list(batches)
                    assert len(found) == len(batches) == len(wanted)
                    for one, other in zip(found, wanted, strict=True):
                        assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])
    kept = json.loads(json.dumps(batches.state()))
    expected = [y.tolist() for _, y in batches]
    other = m.Batches(x, y, 12, np.random.default_rng(99), augment=(change_of(2), change_of(3)))
    other.load_state(kept)
    assert [y.tolist() for _, y in other] == expected
    parameters = inspect.signature(m.Batches).parameters
    assert [parameters[name].default for name in ("shuffle", "drop_last", "augment", "steps")] == [True, False, (), None]
    rng = np.random.default_rng(0)
    for message, call in (
        ("there are no examples to make batches of", lambda: m.Batches(x[:0], y[:0], 3, rng)),
        ("10 examples but 9 targets", lambda: m.Batches(x, y[:9], 3, rng)),
        ("batch_size=0: it is a whole number of at least 1", lambda: m.Batches(x, y, 0, rng)),
        ("batch_size=2.5: it is", lambda: m.Batches(x, y, 2.5, rng)),
        ("batch_size=True: it is", lambda: m.Batches(x, y, True, rng)),
        ("batch_size=11 with drop_last leaves no batch of 10 examples: take at most 10", lambda: m.Batches(x, y, 11, rng, drop_last=True)),
        ("rng is int: pass np.random.default_rng(seed)", lambda: m.Batches(x, y, 3, 0)),
        ("steps=0: it must be a whole number of at least 1", lambda: m.Batches(x, y, 3, rng, steps=0)),
        ("augment is 'change' alone", lambda: m.Batches(x, y, 3, rng, augment=Named())),
    ):
        raises(ValueError, message, call)
    assert len(m.Batches(x, y, 10, rng, drop_last=True)) == 1


class Named:
    def __call__(self, x, y, rng):
        return x, y

    def __repr__(self):
        return "'change'"


# ---------------------------------------------------------------- dlcourse.data.text


class Characters:
    """A tokeniser of single characters."""

    def __init__(self, text):
        self.characters = sorted(set(text))

    def encode(self, text):
        return [self.characters.index(character) for character in text]

    def decode(self, tokens):
        return "".join(self.characters[token] for token in tokens)

    def __len__(self):
        return len(self.characters)


LETTERS = Characters("abcde")


def check_text(m, raises):
    for count, context, stride in ((50, 7, 1), (23, 5, 5), (21, 5, 5), (20, 5, 5), (8, 7, 3), (2, 1, 1), (30, 4, 3)):
        for tokens in (np.random.default_rng(0).integers(0, 9, count), np.random.default_rng(0).integers(0, 9, count).astype(np.int32)):
            for given in (tokens, tokens.tolist()):
                x, y = m.windows(given, context, stride)
                starts = range(0, count - context, stride)
                assert x.dtype == y.dtype == np.int64
                assert x.tolist() == [tokens[s : s + context].tolist() for s in starts]
                assert y.tolist() == [tokens[s + 1 : s + 1 + context].tolist() for s in starts]
    tokens = np.arange(100)
    x, y = m.windows(tokens, 64)
    assert x.shape == (36, 64) and np.shares_memory(x, tokens) and np.shares_memory(y, tokens)
    for message, call in (
        ("context=0: it must be a whole number of at least 1", lambda: m.windows(tokens, 0)),
        ("stride=0: it must be a whole number of at least 1", lambda: m.windows(tokens, 5, 0)),
        ("tokens are float64 of shape (100,): pass the list of whole numbers", lambda: m.windows(tokens / 2, 5)),
        ("tokens are int64 of shape (10, 10)", lambda: m.windows(tokens.reshape(10, 10), 5)),
        ("100 tokens make no window of 100 and the token after it: take context=99 or less", lambda: m.windows(tokens, 100)),
        ("0 tokens make no window of 3 and the token after it: take context=1 or less", lambda: m.windows(tokens[:0], 3)),
        ("t's test text: 2 tokens make no window of 4", lambda: m.Text("t", "abcde", "abcdeab", "ab", "", "").windows(LETTERS, 4)),
    ):
        raises(ValueError, message, call)
    found = m.Text("t", "abcdeabc", "abcdeabcdeabc", "", "made", "free").windows(LETTERS, 4)
    assert found.name == "t" and found.classes == tuple("abcde") and (found.source, found.licence) == ("made", "free")
    assert found.train.x.tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 0], [3, 4, 0, 1]] and found.train.y[-1].tolist() == [4, 0, 1, 2]
    assert found.validation.x.tolist() == [[0, 1, 2, 3], [4, 0, 1, 2], [3, 4, 0, 1]] and found.validation.y[0].tolist() == [1, 2, 3, 4]
    for part in (*found.test, *found.train):
        assert part.shape[1:] == (4,) and part.dtype == np.int64
    assert len(found.test.x) == len(found.test.y) == 0
    assert repr(m.Text("t", 1234 * "a", "ab", "", "", "")) == "Text(t: 1,234 / 2 / 0 characters)"
    letters = [letter * (7 * i % 11 + 1) for i, letter in enumerate("abcdefghijklmnopqrst")]
    for pieces, shares in ((letters, (0.5, 0.25)), (letters, (0.9, 0.05)), (letters, (0.1, 0.8)), ([*letters, "u" * 60], (0.5, 0.25))):
        parts, total, done = [[], [], []], sum(map(len, pieces)), 0
        for piece in pieces:  # a piece belongs to the part in which it begins
            parts[sum(done >= edge * total for edge in np.cumsum(shares))].append(piece)
            done += len(piece)
        assert list(m.by_position(pieces, shares)) == parts
    assert inspect.signature(m.by_position).parameters["shares"].default == (0.9, 0.05)


# ---------------------------------------------------------------- dlcourse.data.translation


def slow_apart(sources, targets, seed, shares):
    """Groups grow until no two of them share a text; they are numbered by their first pair."""
    groups = [[i] for i in range(len(sources))]
    for texts in (sources, targets):
        for text in dict.fromkeys(texts):
            hits = [group for group in groups if any(texts[i] == text for i in group)]
            groups = [group for group in groups if group not in hits] + [sorted(i for group in hits for i in group)]
    groups.sort()
    parts, done = [[], [], []], 0
    for place in np.random.default_rng(seed).permutation(len(groups)):
        parts[sum(done >= edge * len(sources) for edge in np.cumsum(shares))] += groups[place]
        done += len(groups[place])
    return [(tuple(sources[i] for i in part), tuple(targets[i] for i in part)) for part in parts]


def check_translation(m, raises):
    tokens = Characters("0123456789+")  # + 0 1 ... 9
    x, y = m.pairs(["1+2", "9"], ["3", "10"], tokens)
    assert x.tolist() == [[5, 3, 6, 1, 7, 0], [13, 0, 0, 1, 5, 4]] and y.tolist() == [[7, 2, -100], [5, 4, 2]]
    assert x.dtype == y.dtype == np.int64
    x, y = m.pairs(["1+2"], ["3"], tokens, 5, 4)
    assert x.tolist() == [[5, 3, 6, 0, 0, 1, 7, 0, 0]] and y.tolist() == [[7, 2, -100, -100]]
    x, y = m.pairs(["1", ""], ["", "12"], tokens, source=1, target=3)
    assert x.tolist() == [[5, 1, 0, 0], [0, 1, 5, 6]] and y.tolist() == [[2, -100, -100], [5, 6, 2]]
    for given, text in (
        ([5, 3, 6, 2, 7], "1+2"),
        (np.array([1, 5, 2, 6, 0, -100]), "1"),
        ([0, 1, 5, -100, 3], "1+"),
        ([2, 5], ""),
        ([3], "+"),
        ([], ""),
    ):
        assert m.text_of(given, tokens) == text
    train, rest = m.Texts(("1+2", "9+9"), ("3", "18")), m.Texts(("10+20",), ("30",))
    every = m.Pairs("sums", train, rest, m.Texts(("1",), ("111",)), "made", "free")
    assert every.texts() == ["1+2", "9+9", "3", "18"]
    assert repr(every) == "Pairs(sums: 2 / 1 / 1 pairs, '1+2' -> '3')"
    for options, lengths in (({}, (5, 4)), ({"source": 7}, (7, 4)), ({"target": 6}, (5, 6))):
        found = every.encode(tokens, **options)
        for part, texts in ((found.train, train), (found.validation, rest), (found.test, every.test)):
            assert all(map(np.array_equal, part, m.pairs(*texts, tokens, *lengths)))
        assert found.classes == ("<pad>", "<start>", "<stop>", *"+0123456789") and found.tokenizer is tokens
        assert (found.name, found.source, found.licence) == ("sums", "made", "free")
    for message, call in (
        ("2 sources but 1 targets: each needs the other", lambda: m.pairs(["1", "2"], ["1"], tokens)),
        ("there are no pairs", lambda: m.pairs([], [], tokens)),
        (
            "1 of 2 sources are longer than source=2 tokens (the longest has 3): pass source=3, or leave them out",
            lambda: m.pairs(["12", "123"], ["1", "2"], tokens, 2),
        ),
        (
            "2 of 3 targets are longer than target=2 tokens (the longest has 4, START included): pass target=4, or leave them out",
            lambda: m.pairs(["1"] * 3, ["12", "1", "123"], tokens, None, 2),
        ),
        ("source=0: it must be a whole number of at least 1", lambda: m.pairs([""], ["12"], tokens, 0)),
        ("target=0: it must be a whole number of at least 1", lambda: m.pairs(["1"], [""], tokens, 1, 0)),
    ):
        raises(ValueError, message, call)
    for seed, (count, different, shares) in enumerate(
        ((60, 40, (0.6, 0.2)), (60, 90, (0.9, 0.05)), (30, 8, (0.5, 0.25)), (9, 30, (0.1, 0.1)))
    ):
        rng = np.random.default_rng(seed)
        sources, targets = (tuple(f"{side}{i}" for i in rng.integers(0, different, count)) for side in "ab")
        parts = m.apart(sources, targets, seed, shares)
        assert [tuple(part) for part in parts] == slow_apart(sources, targets, seed, shares)
        assert type(parts) is tuple and all(type(part) is m.Texts for part in parts)
    assert len(m.apart(("x", "y"), ("y", "x"), 0, (0.5, 0.5))[0].sources) == 1, "a source may be another's target"
    raises(ValueError, "shorter", lambda: m.apart(("a", "b"), ("c",), 0))
    assert inspect.signature(m.apart).parameters["shares"].default == (0.9, 0.05)


# ---------------------------------------------------------------- dlcourse.data.dataset


def check_dataset(m):
    labels = np.random.default_rng(0).integers(0, 3, 137)
    for shares in ((0.7, 0.1, 0.2), (0.5, 0.5), (0.2, 0.3, 0.5)):
        rng, wanted = np.random.default_rng(6), [[] for _ in shares]
        for label in range(3):
            members, begin = rng.permutation([i for i in range(137) if labels[i] == label]), 0
            for k in range(len(shares)):
                end = round(math.fsum(shares[: k + 1]) * len(members)) if k + 1 < len(shares) else len(members)
                wanted[k] += members[begin:end].tolist()
                begin = end
        assert [part.tolist() for part in m.stratified(labels, 6, shares)] == [sorted(part) for part in wanted]
    assert inspect.signature(m.stratified).parameters["shares"].default == (0.7, 0.1, 0.2)
    x = np.arange(274.0).reshape(137, 2)
    for part, index in zip(m.splits(x, labels, 6), m.stratified(labels, 6), strict=True):
        assert np.array_equal(part.x, x[index]) and np.array_equal(part.y, labels[index])
    parts = m.splits(x, labels, 6)
    assert m.Dataset("d", *parts, ("a", "b", "c"), "", "").shape == (2,)
    sizes = " / ".join(str(len(part.y)) for part in parts)
    assert repr(m.Dataset("d", *parts, ("a", "b", "c"), "", "")) == f"Dataset(d: {sizes} examples of shape (2,), 3 classes)"
    assert repr(m.Dataset("d", *parts, (), "", "")) == f"Dataset(d: {sizes} examples of shape (2,), numbers as targets)"
