"""The interactive figure of softmax: closed in itself, deterministic, and its numbers those of the package."""

import json
import math
import re

import numpy as np
import pytest

from dlcourse.interactive import temperature
from dlcourse.numpy import functional as f
from tests.equations import numerical_gradient
from tests.figures import displayed
from tests.test_interactive import Elements
from tools.lint import FLOAT, SIGNIFICANT_DIGITS, VOLATILE

LOGITS = {"cat": 2.0, "dog": 1.5, "fox": 0.0, "owl": -1.0, "eel": -3.0}


@pytest.fixture(scope="module")
def output():
    first, second = displayed(lambda: temperature.show(LOGITS, "dog"), lambda: temperature.show(LOGITS, "dog", 1.0))
    assert first == second
    return first


def test_html_is_closed_in_itself(output):
    found = Elements(output["text/html"])
    assert found.open == []
    assert not {"link", "img", "iframe", "object"} & set(found.tags)
    assert not {"src", "href", "id"} & {name for name, _ in found.attributes}
    text = output["text/html"].replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import|fetch\(|import\(|XMLHttpRequest|localStorage", text)
    assert json.loads(found.data["script"][0])["logits"] == list(LOGITS.values())


def test_picture_stands_without_the_script(output):
    without = re.sub(r"<(script|style).*?</\1>", "", output["text/html"], flags=re.DOTALL)
    assert without.count('role="img"') == 1 and without.count("<rect") == 5 and without.count("dl-true") == 1
    assert "the longest is cat" in without and "as unsure as among" in without
    assert not re.search("<(button|input|select)", without)


def test_stored_text_passes_the_lint(output):
    text = re.sub(r"<[^>]*>", " ", output["text/html"]) + output["text/plain"]
    assert [pattern.search(text) for pattern, _ in VOLATILE] == [None] * len(VOLATILE)
    digits = [len(re.sub(r"\D", "", m[0].split("e")[0]).lstrip("0")) for m in FLOAT.finditer(text)]
    assert max(digits, default=0) <= SIGNIFICANT_DIGITS


@pytest.mark.parametrize("tau", [0.1, 0.7, 1.0, 10.0])
def test_numbers_are_those_of_the_loss(tau):
    settings = temperature.read_settings(LOGITS, "dog", tau)
    p, gradient, loss, entropy = temperature.compute(settings)
    z = np.array(list(LOGITS.values()))

    def cross_entropy(z):
        return f.cross_entropy(z[None] / tau, np.array([1]))[0]

    assert math.isclose(loss, cross_entropy(z), rel_tol=1e-12)
    np.testing.assert_allclose(p, f.softmax(z / tau)[0], rtol=1e-12)
    np.testing.assert_allclose(gradient, numerical_gradient(cross_entropy, z), atol=1e-7)
    held = p[p > 0]
    assert math.isclose(entropy, -(held * np.log(held)).sum(), rel_tol=1e-9)
    rows = [line.split() for line in temperature.describe(settings).splitlines()[2:7]]
    assert [row[0] for row in rows] == list(LOGITS)
    np.testing.assert_allclose([float(row[2]) for row in rows], p, atol=6e-4)


def test_numbers_have_a_true_minus_and_zero_has_none():
    assert [temperature.number(value) for value in (-0.5, -0.0001, 0.25)] == ["−0.500", "0.000", "0.250"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: temperature.show({"cat": 1.0}, "cat"), "at least two logits"),
        (lambda: temperature.show({"cat": 9.0, "dog": 0.0}, "cat"), "between -8 and 8"),
        (lambda: temperature.show({"cat": math.nan, "dog": 0.0}, "cat"), "between -8 and 8"),
        (lambda: temperature.show(LOGITS, "cow"), "unknown class 'cow': choose one of cat, dog"),
        (lambda: temperature.show(LOGITS, "cat", 0.0), "the slider runs from 0.1 to 10"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
