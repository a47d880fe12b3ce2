"""What recipes for BERT are trained on and measured by, and a start from a pre-trained network."""

from dataclasses import replace

import numpy as np
import pytest

from dlcourse import data, reading, recipes
from dlcourse.config import BERTConfig
from dlcourse.data import Sentence, Sentences, Text
from dlcourse.data.dataset import Dataset, Split
from dlcourse.data.questions import Question, Questions
from dlcourse.initial import initial_state

WORDS = "the cat sat on a mat while dogs ran over hills and birds sang in trees".split()


def sentences(count=40):
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        words = tuple(rng.choice(WORDS, rng.integers(3, 7)))
        made.append(Sentence(words, "cat" if "cat" in words else "none", tuple("B-animal" if w in ("cat", "dogs") else "O" for w in words)))
    return Sentences("toy", tuple(made[:30]), tuple(made[30:35]), tuple(made[35:]), ("cat", "none"), ("B-animal", "O"), "made", "none")


def test_spans_of_text():
    text = " ".join(np.random.default_rng(1).choice(WORDS, 900))
    found = reading.spans_of_text(80, context=12, stride=3)(Text("toy", text, text[:1500], text[1500:3000], "made", "none"))
    assert len(found.tokenizer) == len(found.classes) <= 80 and found.train.x.shape[1] == 12
    assert np.array_equal(found.train.y[:, 1:], found.train.x)
    assert ((found.test.y[:, 1:] != -100).sum(axis=1) >= 1).all() and (found.test.x == 4).any()


def test_halves_of_sentences():
    given = sentences()
    found = reading.halves_of_sentences(60, length=16)(given)
    assert [len(part.x) for part in (found.train, found.validation, found.test)] == [24, 3, 3]
    x, y = found.train
    assert (x[:, 0] == 2).all() and ((x == 3).sum(axis=1) == 2).all() and set(y[:, 0]) == {0, 1}
    texts = {tuple(found.tokenizer.encode(t)) for t in given.texts()}
    for row, label in zip(x, y[:, 0], strict=True):
        joined = tuple(token for token in row if token > 4)
        assert (joined in texts) or label == 1


def test_intents_and_slots():
    given = sentences()
    intents, slots = reading.intents(60, length=16)(given), reading.slots(60, length=16)(given)
    assert intents.classes == ("cat", "none") and intents.train.x.shape == (30, 16) and set(intents.train.y) <= {0, 1}
    assert slots.train.y.shape == (30, 16) and np.array_equal(slots.train.x, intents.train.x)


def test_passages():
    texts = ["the cat sat in Rome", "dogs bark at night", "the sun is a star", "rain falls on hills"]
    made = [Question(f"where {i}", text, text.split()[-1], text.rindex(text.split()[-1]), str(i)) for i, text in enumerate(texts)]
    found = reading.passages(90, length=40)(Questions("toy", tuple(made[:2]), (made[2],), (made[3],), "made", "none"))
    assert [part.x.shape for part in (found.train, found.validation, found.test)] == [(2, 40), (1, 40), (1, 40)]
    for x, (first, last) in zip(*found.train, strict=True):
        assert x[0] == 2 and (x == 3).sum() == 2 and first <= last and x[last + 1] == 3  # the answer is the last word


class Knows:
    """A learner that answers what it was made with."""

    def __init__(self, logits):
        self.logits = logits

    def predict(self, x):
        start = Knows.asked
        Knows.asked += len(x)
        parts = self.logits if isinstance(self.logits, tuple) else (self.logits,)
        parts = tuple(part[start : start + len(x)] for part in parts)
        return parts if isinstance(self.logits, tuple) else parts[0]


def dataset(x, y, classes=()):
    return Dataset("toy", Split(x, y), Split(x, y), Split(x, y), classes, "made", "none")


def test_measures():
    rng = np.random.default_rng(0)
    x = rng.integers(5, 9, (300, 6))
    y = np.where(rng.random((300, 7)) < 0.4, rng.integers(0, 9, (300, 7)), -100)
    y[:, 0] = rng.integers(0, 2, 300)
    words, follows = rng.normal(size=(300, 6, 9)), rng.normal(size=(300, 2))
    Knows.asked = 0
    found = reading.pretraining(Knows((words, follows)), dataset(x, y))
    p = np.exp(words) / np.exp(words).sum(axis=-1, keepdims=True)
    asked = np.argwhere(y[:, 1:] != -100)
    assert np.isclose(found["test_hidden"], -np.mean([np.log(p[n, t, y[n, 1 + t]]) for n, t in asked]))
    assert found["test_hidden_accuracy"] == np.mean([words[n, t].argmax() == y[n, 1 + t] for n, t in asked])
    assert found["test_follows_accuracy"] == np.mean(follows.argmax(axis=1) == y[:, 0])

    spans = np.sort(rng.integers(0, 6, (300, 2)), axis=1)
    scores = np.eye(6)[spans]
    scores[30:, 1, 0] += 0.5  # an end before the start counts for nothing
    scores[:30, 1] = np.eye(6)[(spans[:30, 1] + 1) % 6]
    Knows.asked = 0
    assert reading.exact_spans(Knows(scores), dataset(x, spans)) == {"test_exact_match": 0.9}
    none = spans.copy()
    none[:30] = 0  # where every answer given is wrong
    Knows.asked = 0
    assert reading.exact_passages(Knows(scores), dataset(x, none)) == {"test_exact_match": 1.0}
    x = np.where(np.arange(300)[:, None] < 60, data.people.NUMBER["what"], x)
    Knows.asked = 0
    found = reading.answers_about_people(Knows(scores), dataset(x, spans))
    assert found == {"test_exact_match": 0.9, "test_exact_match_what": 0.5, "test_exact_match_who": 1.0}
    reversed_maxima = np.array([[[0, 1.5, 0, 4], [0, 3, 1, 0]]])  # 3 and 1 taken apart
    Knows.asked = 0
    assert reading.exact_spans(Knows(reversed_maxima), dataset(x[:1], np.array([[1, 1]]))) == {"test_exact_match": 1.0}

    classes = ("B-a", "I-a", "O")
    tags = np.full((2, 6), -100)
    tags[0, 1:5], tags[1, 1:4] = [0, 1, 2, 0], [2, 2, 0]
    best = np.where(tags == -100, 0, tags)
    best[0, 4] = 2  # one of three spans is missed
    Knows.asked = 0
    found = reading.slot_f1(Knows(np.eye(3)[best]), dataset(x[:2], tags, classes))
    assert np.isclose(found["test_slot_recall"], 2 / 3) and found["test_slot_precision"] == 1.0 and np.isclose(found["test_slot_f1"], 0.8)


@pytest.mark.parametrize(("task", "outputs"), [("classify", 3), ("label", 3), ("span", None)])
def test_start_from_a_pretrained_network(task, outputs):
    config = BERTConfig(20, context=8, layers=1, heads=2, width=8)
    first, own = initial_state(config, 0), initial_state(replace(config, task=task, outputs=outputs), 1)
    start = recipes.with_body(own, first)
    assert list(start) == list(own)
    for name, array in start.items():
        assert np.array_equal(array, own[name] if name.startswith("head.") else first[name]), name
    with pytest.raises(ValueError, match="does not fit the model"):
        recipes.with_body(own, initial_state(replace(config, layers=2), 0))


def test_a_recipe_trains_what_it_starts_from(monkeypatch):
    """Two recipes, cut down: the second begins where the first ended, with the same seed."""
    base = BERTConfig(73, context=24, layers=1, heads=2, width=8)
    first = replace(recipes.get("bert-people"), config=base, epochs=1, steps=2)
    second = replace(recipes.get("bert-people-questions-pretrained"), config=replace(base, task="span", outputs=None), epochs=1, steps=1)
    monkeypatch.setitem(recipes.RECIPES, "bert-people", first)
    seen, build = [], recipes.build
    monkeypatch.setattr(recipes, "build", lambda *args: seen.append(args) or build(*args))
    run = recipes.run(second, "numpy", seed=4, progress=False)
    pretrained = seen[1][6]
    assert [args[0].name for args in seen] == ["bert-people", "bert-people-questions-pretrained"] and {args[3] for args in seen} == {4}
    assert not np.array_equal(pretrained["tok.weight"], initial_state(base, 4)["tok.weight"]), "it was trained"
    assert set(run.metrics) >= {"test_exact_match", "test_accuracy", "pretraining_test_follows_accuracy"}


def test_data_of_the_people_recipe():
    found = recipes.load(recipes.get("bert-people"))
    assert len(found.classes) == 73 == recipes.get("bert-people").config.vocab and found.train.x.shape[1] == data.people.CONTEXT
