"""The training that BPE and WordPiece share, against one that counts everything anew for every merge."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse.text import merges as merges_module
from dlcourse.text.merges import learn
from dlcourse.text.wordpiece import SCORES
from tests.text import cases
from tests.text.cases import slow_learn

WORDS = st.dictionaries(st.lists(st.integers(0, 3), min_size=1, max_size=8).map(tuple), st.integers(1, 5), max_size=8)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("least", [1, 2])
@settings(max_examples=60, deadline=None)
@given(words=WORDS)
def test_counts_brought_up_to_date_are_counts_taken_anew(score, least, words):
    quick, plain = list("abcd"), list("abcd")
    merges = learn(words, quick, 20, str.__add__, SCORES[score], least)
    assert merges == slow_learn(words, plain, 20, str.__add__, SCORES[score], least)
    assert quick == plain
    assert list(merges) == list(slow_learn(words, list("abcd"), 20, str.__add__, SCORES[score], least))


def test_merge_by_merge():
    cases.check_merges(merges_module, SCORES.values())


def test_likelihood_is_the_first_order_of_the_gain():
    """For a pair that is rare beside its parts the score comes close to the gain of a unigram model, whatever its sign."""
    n, a, b, total = 3, 3000, 5000, 100_000

    def xlogx(x):
        return x * math.log(x)

    before = xlogx(a) + xlogx(b) - xlogx(total)
    after = xlogx(n) + xlogx(a - n) + xlogx(b - n) - xlogx(total - n)
    assert SCORES["likelihood"](n, a, b, total) == pytest.approx(after - before, rel=1e-3)
