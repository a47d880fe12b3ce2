"""The interactive figure of a threshold: closed in itself, deterministic, and its numbers those of the package."""

import json
import re

import numpy as np
import pytest

from dlcourse import metrics
from dlcourse.interactive import threshold
from tests.figures import displayed
from tests.test_interactive import Elements
from tools.lint import FLOAT, SIGNIFICANT_DIGITS, VOLATILE


def examples():
    rng = np.random.default_rng(0)
    labels = (np.arange(60) % 4 == 0).astype(int)
    return np.round(rng.normal(size=60) + 1.5 * labels, 1), labels


@pytest.fixture(scope="module")
def output():
    scores, labels = examples()
    first, second = displayed(
        lambda: threshold.show(scores, labels, 1.0), lambda: threshold.show(scores[:, None], labels[:, None] == 1, 1.0)
    )
    assert first == second
    return first


def test_html_is_closed_in_itself(output):
    found = Elements(output["text/html"])
    assert found.open == []
    assert not {"link", "img", "iframe", "object"} & set(found.tags)
    assert not {"src", "href", "id"} & {name for name, _ in found.attributes}
    text = output["text/html"].replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import|fetch\(|import\(|XMLHttpRequest|localStorage", text)
    assert json.loads(found.data["script"][0])["labels"] == examples()[1].tolist()


def test_picture_stands_without_the_script(output):
    without = re.sub(r"<(script|style).*?</\1>", "", output["text/html"], flags=re.DOTALL)
    assert without.count('role="img"') == 3 and without.count("<table>") == 1
    assert without.count("<circle") == 15 + 2 and without.count("<rect") == 45 + 2
    assert not re.search("<(button|input|select)", without)


def test_stored_text_passes_the_lint(output):
    text = re.sub(r"<[^>]*>", " ", output["text/html"]) + output["text/plain"]
    assert [pattern.search(text) for pattern, _ in VOLATILE] == [None] * len(VOLATILE)
    digits = [len(re.sub(r"\D", "", m[0].split("e")[0]).lstrip("0")) for m in FLOAT.finditer(text)]
    assert max(digits, default=0) <= SIGNIFICANT_DIGITS


@pytest.mark.parametrize("times", threshold.RARER)
def test_numbers_are_those_of_the_package(times):
    scores, labels = examples()
    settings = threshold.read_settings(scores, labels, 1.0)
    repeat = np.where(labels == 0, times, 1)
    many, truth = np.repeat(scores, repeat), np.repeat(labels, repeat)
    for place, bound in enumerate([np.inf, *threshold.thresholds(settings)]):
        tp, fp, fn, tn = threshold.counts(settings, place, times)
        assert [[tn, fp], [fn, tp]] == metrics.confusion((many >= bound).astype(int), truth, 2).tolist()
        if place:
            words = threshold.sentence(settings, place, times)
            called = (many >= bound).astype(int)
            for name, value in (
                ("precision", metrics.precision(called, truth)),
                ("recall", metrics.recall(called, truth)),
                ("F1", metrics.f1(called, truth)),
                ("Accuracy", np.mean(called == truth)),
            ):
                assert float(re.search(rf"{name} (\d\.\d\d)", words)[1]) == pytest.approx(value, abs=0.0051)
    assert threshold.areas(settings, times) == (metrics.roc_auc(many, truth), metrics.average_precision(many, truth))
    assert threshold.areas(settings, times)[0] == pytest.approx(threshold.areas(settings)[0], rel=1e-12)  # prevalence leaves ROC alone


def test_place_is_that_of_the_threshold():
    settings = threshold.read_settings([0.3, 0.1, 0.3, 0.2], [0, 1, 1, 0], 0.2)
    assert settings["place"] == 2 and threshold.counts(settings, 2) == (1, 2, 1, 0)
    assert threshold.read_settings([0.3, 0.1], [0, 1], 9.0)["place"] == 0
    words = threshold.sentence(settings, 0, 1)
    assert words.startswith("No threshold: 0 called positive.") and "precision 0 / 0" in words


def test_rounding_is_that_of_the_script():
    assert [threshold.hundredth(v) for v in (0.125, 0.5, 1, -0.5)] == ["0.13", "0.50", "1.00", "−0.50"]
    assert [threshold.tenth(v) for v in (0.25, 3.0, -1.25)] == ["0.3", "3", "-1.2"]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="301 examples of 2 classes: the figure has room for 2 to 300"):
        threshold.show(np.arange(301), np.arange(301) % 2)
    with pytest.raises(ValueError, match="of 1 classes"):
        threshold.show([0.1, 0.2], [1, 1])
    with pytest.raises(ValueError, match="labels are 0 and 1"):
        threshold.show([0.1, 0.2], [1, 2])
    with pytest.raises(ValueError, match="3 scores but 2 labels"):
        threshold.show([0.1, 0.2, 0.3], [0, 1])
