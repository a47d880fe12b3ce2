"""The language about people: what each task holds, and that its answers follow from what can be read."""

import itertools
import math

import numpy as np
import pytest

from dlcourse import data
from dlcourse.data import people

VERBS = {"lives": "city", "eats": "food", "cooks": "food", "plays": "sport", "watches": "sport", "works": "job", "trains": "job"}

VERBS_OF = {topic: {verb for verb in VERBS if VERBS[verb] == topic} for topic in people.TOPICS}


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
    for row, label in zip(x, y[:, 0], strict=True):
        first, second = halves(row)
        assert sum(w in VERBS for w in first) == sum(w in VERBS for w in second) == 2
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
    assert not seen[True] & seen[False] and len(seen[True]) == len(seen[False]) == 16
    words_of = [{word for thing in things for word in thing.split()} for things in seen.values()]
    assert not words_of[0] & words_of[1], "a word with a label would tell an object without one"
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
        forms = [w for w in told if w in VERBS]
        assert len(forms) == 3 and len(set(forms)) == 1 and told.count("in") in (0, 3), "the verb does not tell which fact is meant"
    assert asked == {"what", "who"} and (y[:, 1] > y[:, 0]).any()


@pytest.mark.parametrize("told", ["whole", "half", "twice"])
@pytest.mark.parametrize("topic", people.TOPICS)
def test_gaps(rng, topic, told):
    x, left_out = people.gaps(60, rng, topic, told)
    assert x.shape == (60, people.CONTEXT) and ((x == 4).sum(axis=1) == 1).all()
    assert ((x == 3).sum(axis=1) == (1 if told == "half" else 2)).all() and len({row.tobytes() for row in x}) > 50
    before = set()
    for row, out in zip(x, left_out, strict=True):
        text = words(row)
        topics = [VERBS[w] for w in text if w in VERBS]
        before.add(text[text.index("[MASK]") - 1])
        assert len({w for w in text if w in people.NAMES and w not in people.BOTH}) == 1
        if told == "half":
            assert out == -100 and len(set(topics)) == len(topics) == 2 and topic in topics
        elif told == "whole":
            assert out == -100 and sorted(topics) == sorted(people.TOPICS)
        else:
            assert sorted([*set(topics), people.TOPICS[out]]) == sorted(people.TOPICS) and len(topics) == 4
            assert all(VERBS_OF[topic] & set(half) for half in halves(row)), "the second fact stands in the other sentence"
    assert before <= VERBS_OF[topic] | {"in", "as"}


def test_gaps_are_refused_by_name(rng):
    with pytest.raises(ValueError, match="unknown topic 'drink': choose one of city"):
        people.gaps(1, rng, "drink")
    with pytest.raises(ValueError, match="unknown told 'thrice': choose one of whole"):
        people.gaps(1, rng, "city", "thrice")


def gap(text, share=1e-9, **options):
    """The perfect answer at the mask, {word: probability}."""
    row = np.array([[2, *people.encode(text), 3]])
    p = people.best_answers(row, np.where(row == 4, 5, -100), share, **options)
    assert p.shape == (1, len(people.WORDS)) and np.isclose(p.sum(), 1)
    return {people.WORDS[i]: p[0, i] for i in np.flatnonzero(p[0] > 1e-12)}


def test_perfect_answers_that_can_be_seen_by_hand():
    foods = gap("anna lives in rome anna plays golf [SEP] anna eats [MASK] anna works as nurse")
    assert set(foods) == {"bread", "rice", "soup", "cheese", "pasta", "salad"} and np.allclose(list(foods.values()), 1 / 6)
    first = gap("anna lives in rome anna plays golf [SEP] anna eats [MASK] pie anna works as nurse")
    assert first == {"fish": pytest.approx(1)}
    # both facts of a sentence have one name
    names = gap("anna lives in rome anna plays golf [SEP] [MASK] eats soup ben works as nurse")
    assert names == {"ben": pytest.approx(1)}
    assert gap("anna lives in rome anna plays golf [SEP] anna [MASK] soup anna works as nurse") == {
        "eats": pytest.approx(0.5),
        "cooks": pytest.approx(0.5),
    }


def slow_answer(row, t, share, split):
    """Text by text, and for each all ways in which it can have become `row`: P(word at t | row)."""
    places = [i for i, token in enumerate(row) if token not in (0, 2, 3)]
    hidden = max(1, round(share * len(places)))
    stop = list(row).index(3)
    spans = (range(1, stop), range(stop + 1, len(row) - 1))
    found = [{}, {}]  # of each half: (name, topics) -> its possible texts
    for name, (a, b) in itertools.product(people.NAMES, itertools.permutations(people.TOPICS, 2)):
        facts = [
            [
                [name if w == "n" else o if w == "o" else w for w in form.split()]
                for form in people.FORMS[topic]
                for o in people.OBJECTS[topic]
            ]
            for topic in (a, b)
        ]
        for one, two in itertools.product(*facts):
            tokens = people.encode(" ".join([*one, *two]))
            for half, span in zip(found, spans, strict=True):
                if len(tokens) == len(span) and sum(row[i] not in (4, w) for i, w in zip(span, tokens, strict=True) if i != t) < hidden:
                    half.setdefault((name, a, b), []).append(dict(zip(span, tokens, strict=True)))
    total, ordinary = np.zeros(len(people.WORDS)), len(people.WORDS) - 5
    for (name, *first), (other, *second) in itertools.product(*found):
        if set(first) & set(second):
            continue
        prior = 0.5 if name == other else 0.5 / 11
        for one, two in itertools.product(found[0][name, *first], found[1][other, *second]):
            text, ways = one | two, 0.0
            for chosen in itertools.combinations([i for i in places if i != t], hidden - 1):
                chosen = {*chosen, t}
                fates = (split[0] if row[i] == 4 else split[1] / ordinary + split[2] * (row[i] == text[i]) for i in chosen)
                ways += math.prod(fates) * all(row[i] == text[i] for i in places if i not in chosen)
            total[text[t]] += prior * ways
    return total / total.sum()


@pytest.mark.parametrize(("seed", "share", "split"), [(1, 0.15, (0.8, 0.1, 0.1)), (4, 0.1, (0.4, 0.5, 0.1)), (7, 0.15, (0.0, 0.8, 0.2))])
def test_perfect_answers_against_all_texts_one_by_one(seed, share, split):
    rng = np.random.default_rng(seed)
    x = people.pairs(2, rng).x
    read, targets = data.mask_tokens(x, rng, len(people.WORDS), share=share, split=split)
    asked = np.argwhere(targets != -100)
    slow = [slow_answer(np.trim_zeros(read[n]), t, share, split) for n, t in asked]
    np.testing.assert_allclose(people.best_answers(read, targets, share, split), slow, atol=1e-12)


def test_perfect_answers_mean_what_they_say():
    """On texts of the generator itself they are right as often as they expect, and no blend with something else has a smaller loss."""
    test = data.load("people").test
    x, y = test.x[:400], test.y[:400, 1:]
    p, right = people.best_answers(x, y), y[y != -100]
    hits = p.argmax(axis=1) == right
    assert abs(hits.mean() - p.max(axis=1).mean()) < 3 * np.sqrt(np.mean(p.max(axis=1) * (1 - p.max(axis=1))) / len(p))
    loss = -np.log(p[np.arange(len(p)), right]).mean()
    sharper, flatter = (p**power / (p**power).sum(axis=1, keepdims=True) for power in (2.0, 0.5))
    for blend in (0.97 * p + 0.03 / len(people.WORDS), sharper, flatter):
        assert -np.log(blend[np.arange(len(p)), right]).mean() > loss


def test_data_sets():
    pretraining, questions = data.load("people"), data.load("people-questions")
    assert [len(part.x) for part in (pretraining.train, pretraining.validation, pretraining.test)] == [20_000, 1_000, 1_000]
    assert [len(part.x) for part in (questions.train, questions.validation, questions.test)] == [2_000, 1_000, 1_000]
    assert (pretraining.train.y[:, 1:] == pretraining.train.x).all()
    for part in (pretraining.validation, pretraining.test):
        asked = part.y[:, 1:] != -100
        assert asked.any(axis=1).all() and (part.x == 4).sum() > 0.6 * asked.sum()
    assert np.array_equal(data.load("people").test.x, pretraining.test.x)
