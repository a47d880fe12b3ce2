"""Masking and sentence pairs: how many, which, and what becomes of them."""

import importlib

import numpy as np

from dlcourse.data import Batches, mask_tokens, masking, sentence_pairs
from tests.data import masking_cases
from tests.numpy import models


def test_shares():
    """15 % of the ordinary tokens of each sequence, of which 80 % are hidden, 10 % exchanged and 10 % left."""
    rng = np.random.default_rng(0)
    x = rng.integers(5, 1000, (400, 100))
    x[:, 0], x[:, 90:] = 2, 0
    read, targets = mask_tokens(x, rng, 1000)
    chosen = targets != -100
    assert (chosen.sum(axis=1) == round(0.15 * 89)).all()
    assert np.array_equal(targets[chosen], x[chosen]) and np.array_equal(read[~chosen], x[~chosen])
    assert not chosen[:, 0].any() and not chosen[:, 90:].any()
    hidden, kept = (read == 4)[chosen], (read == x)[chosen]
    deviation = np.sqrt(0.1 * 0.9 / chosen.sum())
    assert abs(hidden.mean() - 0.8) < 5 * deviation and abs(kept.mean() - 0.1) < 5 * deviation
    exchanged = read[chosen][~hidden & ~kept]
    assert exchanged.min() >= 5 and len(np.unique(exchanged)) > 300
    places = np.flatnonzero(chosen.any(axis=0))
    assert len(places) == 89, "every ordinary place is chosen now and then"


def test_at_least_one_and_never_a_special_one():
    rng = np.random.default_rng(1)
    x = np.array([[2, 7, 3, 0, 0], [2, 8, 9, 6, 3]])
    for _ in range(30):
        read, targets = mask_tokens(x, rng, 10, share=0.15)
        assert ((targets != -100).sum(axis=1) == 1).all() and (targets[0] == [-100, 7, -100, -100, -100]).all()
        assert set(read[0, [0, 2, 3, 4]]) == {0, 2, 3}
    read, targets = mask_tokens(x, rng, 10, share=1.0, split=(1.0, 0.0, 0.0))
    assert np.array_equal(read, [[2, 4, 3, 0, 0], [2, 4, 4, 4, 3]]) and np.array_equal(x[0], [2, 7, 3, 0, 0])
    read, _ = mask_tokens(x, rng, 10, share=1.0, split=(0.0, 0.0, 1.0))
    assert np.array_equal(read, x)


def test_as_a_change_of_batches():
    tokens = np.arange(5, 605)
    x, y = sentence_pairs(tokens, 16, np.random.default_rng(0))
    change = masking(605)
    batches = Batches(x, y, 8, np.random.default_rng(1), augment=(change,))
    first, second = ([(read, targets) for read, targets in batches] for _ in range(2))
    for read, targets in first:
        assert read.shape == (len(targets), 16) and targets.shape == (len(targets), 17)
        assert set(targets[:, 0]) <= {0, 1} and ((targets[:, 1:] != -100).sum(axis=1) == 2).all()
    assert sum((read == 4).sum() for read, _ in first) and not np.array_equal(first[0][0], second[0][0])
    assert "masking(vocab=605" in repr(change)


def test_pairs():
    tokens = np.arange(100, 400)
    x, y = sentence_pairs(tokens, 12, np.random.default_rng(0), stride=3)
    assert x.shape == (98, 12) and y.shape == (98, 13)
    assert (x[:, 0] == 2).all() and (x[:, [5, 11]] == 3).all() and np.array_equal(y[:, 1:], x)
    first, second = x[:, 1:5], x[:, 6:11]
    assert np.array_equal(first[:, 0], 100 + 3 * np.arange(98))
    for span in (first, second):
        assert (np.diff(span, axis=1) == 1).all(), "both are spans of the text"
    follows = second[:, 0] == first[:, -1] + 1
    assert np.array_equal(y[:, 0], np.where(follows, 0, 1)) and 30 < follows.sum() < 68
    apart = second[~follows, 0] - first[~follows, -1]
    assert (np.abs(apart) > 9).all(), "no pair elsewhere overlaps"
    assert len(sentence_pairs(tokens, 12, np.random.default_rng(0))[0]) == 33


def test_token_by_token():
    masking_cases.check_masking(importlib.import_module("dlcourse.data.masking"), models.raises)
