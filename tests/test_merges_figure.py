"""The interactive figure of merges: closed in itself, deterministic, and its numbers those of the package."""

import json
import re

import pytest

from dlcourse.interactive import merges
from dlcourse.text.merges import learn
from tests.figures import displayed
from tests.test_interactive import Elements
from tools.lint import FLOAT, VOLATILE

WORDS = {"low": 5, "lower": 2, "newest": 6, "widest": 3, "<b>": 1}


@pytest.fixture(scope="module")
def output():
    first, second = displayed(lambda: merges.show(WORDS, merges=12), lambda: merges.show(WORDS, merges=12))
    assert first == second
    return first


def test_html_is_closed_in_itself(output):
    found = Elements(output["text/html"])
    assert found.open == []
    assert not {"link", "img", "iframe", "object", "b"} & set(found.tags)
    assert not {"src", "href", "id"} & {name for name, _ in found.attributes}
    assert not re.search(r"https?:|url\(|@import|fetch\(|import\(|XMLHttpRequest|localStorage", output["text/html"])
    assert json.loads(found.data["script"][0])["words"] == [[word, n] for word, n in WORDS.items()]


def test_picture_stands_without_the_script(output):
    without = re.sub(r"<(script|style).*?</\1>", "", output["text/html"], flags=re.DOTALL)
    assert without.count('role="img"') == 1 and without.count('class="dl-word"') == len(WORDS)
    assert without.count("<span>") == sum(map(len, WORDS))
    assert not re.search("<(button|input|select)", without)


def test_stored_text_passes_the_lint(output):
    text = re.sub(r"<[^>]*>", " ", output["text/html"]) + output["text/plain"]
    assert [pattern.search(text) for pattern, _ in VOLATILE] == [None] * len(VOLATILE)
    assert not FLOAT.search(output["text/plain"])


def test_merges_are_those_of_the_training():
    settings = merges.read_settings(WORDS, 12, "lowest")
    tokens = sorted({letter for word in WORDS for letter in word})
    coded = {tuple(tokens.index(letter) for letter in word): n for word, n in WORDS.items()}
    learned = learn(coded, tokens, len(tokens) + 12, str.__add__)
    assert settings["merges"] == [[tokens[a], tokens[b]] for a, b in learned]
    assert settings["merges"][:2] == [["e", "s"], ["es", "t"]]
    for step, (a, b) in enumerate(settings["merges"]):
        pairs = merges.count(settings, step)
        assert pairs[a, b] == max(pairs.values())
        assert merges.totals(settings, step)[0] - merges.totals(settings, step + 1)[0] == pairs[a, b]


def test_text_says_every_step(output):
    lines = output["text/plain"].splitlines()
    settings = merges.read_settings(WORDS, 12, "lowest")
    assert lines[1:] == [merges.sentence(settings, step) for step in range(len(settings["merges"]) + 1)]
    assert "Next: e + s, which occurs 9 times." in lines[1]


def test_what_cannot_be_shown_is_refused():
    for words in ({}, {"": 1}, {"a": 0}):
        with pytest.raises(ValueError, match=r"pass \{'low': 5, 'lower': 2\}"):
            merges.show(words)
