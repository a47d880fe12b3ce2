"""Pairs as recipes take them, and what is measured on what a model writes."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from dlcourse import data, metrics, recipes, tasks
from dlcourse.data import Pairs, text_of
from dlcourse.data.generated import arithmetic, dates
from dlcourse.data.translation import STOP, Texts

PAIRS = Pairs(
    "toy",
    Texts(("ab", "abab", "ba"), ("the cat sat", "the dog sat down", "a cat")),
    Texts(("abba",), ("the dog",)),
    Texts(("baab", "aa"), ("the cat sat down", "a dog sat")),
    "made up",
    "none",
)


def learner_of(dataset):
    source = dataset.train.x.shape[1] - dataset.train.y.shape[1]
    return SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(source=source, target=dataset.train.y.shape[1])))


def writes(monkeypatch, dataset, change=lambda rows: rows):
    """Let the model write the test set's targets, or what `change` makes of them; the calls are kept."""
    calls, wanted = [], np.where(dataset.test.y == -100, 0, dataset.test.y)

    def translate(learner, sources, start, stop, beams):
        first = sum(len(call[0]) for call in calls if call[1] == beams)
        calls.append((sources, beams))
        return change(wanted.copy())[first : first + len(sources)]

    monkeypatch.setattr(tasks, "translate", translate)
    return calls


def test_characters():
    dataset = tasks.characters(dates(300, 5, 5))
    assert len(dataset.classes) == len(dataset.tokenizer) + 3
    n = dataset.train.x.shape[1] - dataset.train.y.shape[1]
    assert text_of(dataset.train.x[0, :n], dataset.tokenizer) == dates(300, 5, 5).train.sources[0]


def test_subwords_leave_out_what_is_long_and_say_so():
    prepare = tasks.subwords(300, source=3, target=6)
    dataset = prepare(PAIRS)
    lengths = [(len(dataset.tokenizer.encode(a)), len(dataset.tokenizer.encode(b))) for a, b in zip(*PAIRS.train, strict=True)]
    kept = sum(s <= 3 and t < 6 for s, t in lengths)
    assert 0 < kept <= 3 and len(dataset.train.y) == kept
    assert dataset.train.x.shape[1] == 3 + 6 and len(dataset.classes) <= 300
    total = sum(len(part.y) for part in (dataset.train, dataset.validation, dataset.test))
    assert dataset.source == f"made up, {total} of them of at most 3 and 6 tokens"
    assert repr(prepare) == "subwords(vocab=300, source=3, target=6)"


def test_text_to_text():
    both = tasks.text_to_text("both", date=dates(4, 2, 2), sum=arithmetic(3, 2, 1))
    assert [len(part.sources) for part in (both.train, both.validation, both.test)] == [7, 4, 3]
    assert both.train.sources[0] == "date: " + dates(4, 2, 2).train.sources[0] and both.train.sources[4].startswith("sum: ")
    assert both.train.targets[4] == arithmetic(3, 2, 1).train.targets[0] and both.name == "both"
    assert both.source == "date: generated, seed 0; sum: generated, seed 0"
    dataset = tasks.dates_and_sums(dates(300, 5, 5))
    assert [len(part.y) for part in (dataset.train, dataset.validation, dataset.test)] == [600, 10, 10]


def test_exact_match(monkeypatch):
    dataset = tasks.characters(dates(600, 5, 300))
    calls = writes(monkeypatch, dataset)
    assert tasks.exact_match(learner_of(dataset), dataset) == {"test_exact_match": 1.0}
    assert [len(sources) for sources, _ in calls] == [250, 50] and calls[0][0].shape[1] == learner_of(dataset).model.config.source

    def last_digit_of_a_third(rows):
        rows[::3, 9] = rows[::3, 9] % 5 + 3 + 5
        rows[::3, 9] += rows[::3, 9] == np.where(dataset.test.y == -100, 0, dataset.test.y)[::3, 9]
        return rows

    writes(monkeypatch, dataset, last_digit_of_a_third)
    assert tasks.exact_match(learner_of(dataset), dataset)["test_exact_match"] == pytest.approx(2 / 3)


def test_exact_match_by_task(monkeypatch):
    dataset = tasks.dates_and_sums(dates(300, 5, 6))

    def no_sum_is_right(rows):
        rows[6:, 0] = STOP
        return rows

    writes(monkeypatch, dataset, no_sum_is_right)
    found = tasks.exact_match_by_task(learner_of(dataset), dataset)
    assert found == {"test_exact_match": 0.5, "test_exact_match_date": 1.0, "test_exact_match_sum": 0.0}


def test_bleu(monkeypatch):
    dataset = tasks.characters(PAIRS)
    calls = writes(monkeypatch, dataset)
    assert tasks.bleu(learner_of(dataset), dataset) == pytest.approx({"test_bleu": 100.0, "test_bleu_greedy": 100.0})
    assert [beams for _, beams in calls] == [4, 1]

    def without_the_last_word(rows):
        rows[0, 11:] = 0
        rows[0, 11] = STOP
        return rows

    writes(monkeypatch, dataset, without_the_last_word)
    expected = metrics.bleu(["the cat sat", "a dog sat"], ["the cat sat down", "a dog sat"])
    assert tasks.bleu(learner_of(dataset), dataset)["test_bleu"] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["transformer-dates", "transformer-arithmetic", "transformer-text-to-text"])
def test_recipes_fit_their_data(name):
    recipe = recipes.get(name)
    dataset, config = recipes.load(recipe), recipe.config
    assert len(dataset.classes) == config.vocab
    assert dataset.train.x.shape[1] == config.source + config.target and dataset.train.y.shape[1] == config.target


def test_a_recipe_measures_what_is_written():
    small = dataclasses.replace(recipes.get("transformer-dates").config, layers=1, width=8, hidden=8)
    recipe = dataclasses.replace(recipes.get("transformer-dates"), config=small, epochs=1, prepare=None)
    dataset = data.load("dates")
    dataset = recipes.get("transformer-dates").prepare(
        Pairs("dates", *(Texts(*(side[:400] for side in part)) for part in (dataset.train, dataset.validation, dataset.test)), "", "")
    )
    dataset = dataclasses.replace(dataset, classes=tuple(range(61)))
    small = dataclasses.replace(small, vocab=61, source=dataset.train.x.shape[1] - dataset.train.y.shape[1])
    run = recipes.run(dataclasses.replace(recipe, config=small), dataset=dataset)
    assert run.metrics["test_exact_match"] == 0.0 and 0.0 <= run.metrics["test_accuracy"] < 0.5
    results = recipes.results(recipe, "numpy", [0], [run], dataset)
    assert results["metrics"]["test_exact_match"]["values"] == [0.0]
    assert recipes.results(recipes.get("transformer-dates"), "numpy", [0], [run], dataset)["settings"]["prepare"] == "characters"
