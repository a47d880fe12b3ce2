"""The language about people: what each task holds, and that its answers follow from what can be read."""

import numpy as np
import pytest

from dlcourse import data
from dlcourse.data import people


def words(row):
    return people.decode(row).split()


def halves(row):
    """The words between the special tokens."""
    text = words(row)
    cuts = [i for i, w in enumerate(text) if w == "[SEP]"]
    return text[1 : cuts[0]], text[cuts[0] + 1 : cuts[-1]]


def test_vocabulary():
    assert people.WORDS[:5] == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") and len(set(people.WORDS)) == len(people.WORDS) == 73
    assert set(people.BOTH) == set(people.NAMES) & set(people.OBJECTS["city"]) and len(people.NAMES) == 12
    assert people.decode([2, *people.encode("anna plays chess"), 3, 0, 0]) == "[CLS] anna plays chess [SEP]"
    with pytest.raises(ValueError, match="the language has no 'cricket'"):
        people.encode("anna plays cricket")


def test_pairs(rng):
    x, y = people.pairs(300, rng)
    assert x.shape == (300, people.CONTEXT) and np.array_equal(y[:, 1:], x) and 100 < y[:, 0].sum() < 200
    verbs = {"lives", "eats", "cooks", "plays", "watches", "works", "trains"}
    for row, label in zip(x, y[:, 0], strict=True):
        first, second = halves(row)
        assert sum(w in verbs for w in first) == sum(w in verbs for w in second) == 2
        shared = {n for n in people.NAMES if first.count(n) >= 2 and n in second}
        only_city = {n for n in shared if second.count(n) == 1}
        assert bool(shared - only_city) == (label == 0) or only_city


def test_topics(rng):
    seen = {}
    for known in (True, False):
        x, y = people.topics(400, rng, known=known)
        for row, label in zip(x, y, strict=True):
            _, name, likes, *thing, _ = words(row)
            thing = " ".join(thing)
            assert name in people.NAMES and likes == "likes" and thing in people.OBJECTS[people.TOPICS[label]] and thing not in people.BOTH
            seen.setdefault(known, set()).add(thing)
    assert not seen[True] & seen[False] and len(seen[True]) == 18 and len(seen[False]) == 18
    assert people.NUMBER["likes"] not in people.pairs(200, rng).x, "pre-training never sees the word"


def test_tags(rng):
    x, y = people.tags(200, rng)
    places = {1: set(), 2: set()}
    for row, target in zip(x, y, strict=True):
        text = words(row)
        person, city = (text[int(np.flatnonzero(target == c)[0])] for c in (1, 2))
        assert person != city and {person, city} <= set(people.BOTH) and text[text.index(city) - 1] == "in"
        assert ((target == -100) == np.isin(row, (0, 2, 3))).all() and (target == 0).sum() == 2
        places[1].add(person), places[2].add(city)
    assert places[1] == places[2] == set(people.BOTH)


def test_questions(rng):
    x, y = people.questions(300, rng)
    asked = set()
    for row, (begin, end) in zip(x, y, strict=True):
        question, told = halves(row)
        answer = people.decode(row[begin : end + 1])
        hidden = "what" if "what" in question else "who"
        asked.add(hidden)
        fact = " ".join(question).replace(hidden, answer)
        assert f" {fact} " in f" {' '.join(told)} " and (answer in people.NAMES or hidden == "what")
    assert asked == {"what", "who"} and (y[:, 1] > y[:, 0]).any()


def test_data_sets():
    pretraining, questions = data.load("people"), data.load("people-questions")
    assert [len(part.x) for part in (pretraining.train, pretraining.validation, pretraining.test)] == [20_000, 1_000, 1_000]
    assert [len(part.x) for part in (questions.train, questions.validation, questions.test)] == [2_000, 1_000, 1_000]
    assert (pretraining.train.y[:, 1:] == pretraining.train.x).all()
    for part in (pretraining.validation, pretraining.test):
        asked = part.y[:, 1:] != -100
        assert asked.any(axis=1).all() and (part.x == 4).sum() > 0.6 * asked.sum()
    assert np.array_equal(data.load("people").test.x, pretraining.test.x)
