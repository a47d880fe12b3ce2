"""The interactive attention map: closed in itself, deterministic, and its weights those of the package."""

import json
import re

import numpy as np
import pytest

from dlcourse.interactive import heads
from dlcourse.numpy.attention import attention
from tests.figures import displayed
from tests.test_interactive import Elements
from tools.lint import FLOAT, SIGNIFICANT_DIGITS, VOLATILE

TOKENS = ["a", "3", "<b>", "7", "a"]
SCORES = {"one": 2.0 - np.arange(25).reshape(5, 5) % 7, "another": np.eye(5) * 3}


@pytest.fixture(scope="module")
def output():
    first, second = displayed(
        lambda: heads.show(TOKENS, SCORES),
        lambda: heads.show(TOKENS, {name: s + 1e-9 for name, s in SCORES.items()}),  # what differs between processors
    )
    assert first == second
    return first


def test_html_is_closed_in_itself(output):
    found = Elements(output["text/html"])
    assert found.open == []
    assert not {"link", "img", "iframe", "object", "b"} & set(found.tags)
    assert not {"src", "href", "id"} & {name for name, _ in found.attributes}
    text = output["text/html"].replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import|fetch\(|import\(|XMLHttpRequest|localStorage", text)
    assert json.loads(found.data["script"][0])["tokens"] == TOKENS


def test_picture_stands_without_the_script(output):
    without = re.sub(r"<(script|style).*?</\1>", "", output["text/html"], flags=re.DOTALL)
    assert without.count('role="img"') == 1 and without.count("<g ") == 5 and without.count("<line ") == 5
    assert without.count("dl-chosen") == 1 and "dl-hidden" not in without
    assert not re.search("<(button|input|select)", without)


def test_stored_text_passes_the_lint(output):
    text = re.sub(r"<[^>]*>", " ", output["text/html"]) + output["text/plain"]
    assert [pattern.search(text) for pattern, _ in VOLATILE] == [None] * len(VOLATILE)
    digits = [len(re.sub(r"\D", "", m[0].split("e")[0]).lstrip("0")) for m in FLOAT.finditer(text)]
    assert max(digits, default=0) <= SIGNIFICANT_DIGITS


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("head", SCORES)
def test_weights_are_those_of_attention(head, causal):
    settings = heads.read_settings(TOKENS, SCORES, causal=causal)
    q = np.array(SCORES[head])[None, None] * np.sqrt(5)  # with keys and values one-hot, scores in and weights out
    expected, _ = attention(q, np.eye(5)[None, None], np.eye(5)[None, None], causal=causal)
    found = [heads.weights(settings, head, i) for i in range(5)]
    np.testing.assert_allclose(found, expected[0, 0], rtol=1e-12, atol=1e-15)


def test_sharpness_zero_looks_at_everything_alike():
    settings = heads.read_settings(TOKENS, SCORES)
    np.testing.assert_allclose(heads.weights(settings, query=3, sharpness=0), [0.25, 0.25, 0.25, 0.25, 0])


def test_text_names_what_each_token_looks_at_most():
    lines = heads.describe(heads.read_settings(TOKENS, SCORES, query=1)).splitlines()
    assert lines[1:] == ["tokens: a 3 <b> 7 a", "one: a a a a 3", "another: a 3 <b> 7 a"]


def test_hidden_tokens_are_pale():
    picture = heads.draw(heads.read_settings(TOKENS, SCORES, query=1))
    assert picture.count("<line ") == 2 and picture.count("dl-token dl-hidden") == 3
    assert 'aria-label="Head one: 3 at position 2 looks most at a (position 1)' in picture


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="1 tokens: the figure has room for 2 to 12"):
        heads.show(["a"], {"one": np.zeros((1, 1))})
    with pytest.raises(ValueError, match="there is no head"):
        heads.show(TOKENS, {})
    with pytest.raises(ValueError, match=r"head 'one' has scores \(4, 5\), but there are 5 tokens: pass \(5, 5\)"):
        heads.show(TOKENS, {"one": np.zeros((4, 5))})
    with pytest.raises(ValueError, match="query 5 is no position: choose 0 to 4"):
        heads.show(TOKENS, SCORES, query=5)
