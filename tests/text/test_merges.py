"""The training that BPE and WordPiece share, against one that counts everything anew for every merge."""

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse.text.merges import learn, merge
from dlcourse.text.wordpiece import SCORES

WORDS = st.dictionaries(st.lists(st.integers(0, 3), min_size=1, max_size=8).map(tuple), st.integers(1, 5), max_size=8)


def slow(words, tokens, size, join, score, least):
    words, merges = {word: (list(word), n) for word, n in words.items()}, {}
    while len(tokens) < size:
        pairs, parts = Counter(), Counter()
        for word, n in words.values():
            for part in word:
                parts[part] += n
            for pair in pairwise(word):
                pairs[pair] += n
        total = sum(parts.values())
        worth = {(a, b): n if score is None else score(n, parts[a], parts[b], total) for (a, b), n in pairs.items() if n >= least}
        if not worth:
            break
        pair = min(worth, key=lambda p: (-worth[p], p))
        spelling = join(tokens[pair[0]], tokens[pair[1]])
        if spelling not in tokens:
            tokens.append(spelling)
        merges[pair] = tokens.index(spelling)
        words = {key: (merge(word, pair, merges[pair]), n) for key, (word, n) in words.items()}
    return merges


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("least", [1, 2])
@settings(max_examples=60, deadline=None)
@given(words=WORDS)
def test_counts_brought_up_to_date_are_counts_taken_anew(score, least, words):
    quick, plain = list("abcd"), list("abcd")
    merges = learn(words, quick, 20, str.__add__, SCORES[score], least)
    assert merges == slow(words, plain, 20, str.__add__, SCORES[score], least)
    assert quick == plain
    assert list(merges) == list(slow(words, list("abcd"), 20, str.__add__, SCORES[score], least))


def test_ties_go_to_the_smaller_numbers():
    assert list(learn({(2, 3): 2, (1, 3): 2, (1, 0): 1}, list("abcd"), 6, str.__add__)) == [(1, 3), (2, 3)]


def test_nothing_is_left_to_merge():
    tokens = list("ab")
    assert learn({(0, 1): 5, (0,): 3}, tokens, 100, str.__add__) == {(0, 1): 2}
    assert tokens == ["a", "b", "ab"]
    assert learn({}, list("ab"), 100, str.__add__) == {}


def test_two_ways_to_one_spelling_share_a_token():
    words = {(0, 1, 2): 1, (0, 1): 3, (3, 0, 1): 1, (0, 2): 1}  # ab, then abc by ab + c, and by a + bc
    tokens = ["a", "b", "c", "d", "bc"]
    merges = learn(words | {(0, 4): 4}, tokens, 12, str.__add__, least=1)
    assert merges[0, 4] == merges[merges[0, 1], 2] == tokens.index("abc")
    assert len(set(tokens)) == len(tokens)


def test_merge_from_the_left():
    assert merge([1, 1, 1, 2, 1, 1], (1, 1), 9) == [9, 1, 2, 9]
    assert merge([1], (1, 1), 9) == [1] and merge([], (1, 1), 9) == []


def test_likelihood_is_the_first_order_of_the_gain():
    """For a pair that is rare beside its parts the score comes close to the gain of a unigram model, whatever its sign."""
    n, a, b, total = 3, 3000, 5000, 100_000

    def xlogx(x):
        return x * math.log(x)

    before = xlogx(a) + xlogx(b) - xlogx(total)
    after = xlogx(n) + xlogx(a - n) + xlogx(b - n) - xlogx(total - n)
    assert SCORES["likelihood"](n, a, b, total) == pytest.approx(after - before, rel=1e-3)
