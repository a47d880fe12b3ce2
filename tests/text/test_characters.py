"""One token a character."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse.text import CharTokenizer


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_round_trip_of_known_characters(text):
    tokenizer = CharTokenizer.train([text])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer) == len(set(text))


def test_numbers_follow_the_code_points():
    tokenizer = CharTokenizer.train(["cab", "学a"], special=("<pad>",))
    assert tokenizer.tokens == ("<pad>", "a", "b", "c", "学")
    assert tokenizer.encode("学a") == [4, 1]
    assert tokenizer.encode("a<pad>a", special=True) == [1, 0, 1]


def test_unknown_characters():
    with pytest.raises(ValueError, match=r"the character '学' was not in the texts of the training: train with it, or with unknown="):
        CharTokenizer.train(["abc"]).encode("a学")
    tokenizer = CharTokenizer.train(["abc"], unknown="<unk>")
    assert tokenizer.encode("a学") == [1, 0]
    assert tokenizer.decode([1, 0]) == "a<unk>"


def test_the_most_frequent_are_kept():
    tokenizer = CharTokenizer.train(["aabbc"], 3, unknown="<unk>")
    assert tokenizer.tokens == ("<unk>", "a", "b")
    with pytest.raises(ValueError, match=r"vocab_size=2, but .* are 3 already"):
        CharTokenizer.train(["aabbc"], 2)
    assert len(CharTokenizer.train(["aabbc"], 3)) == 3


def test_bad_vocabularies():
    with pytest.raises(ValueError, match=r"'ab' is not one character: list it as special"):
        CharTokenizer({"a": 0, "ab": 1})
    with pytest.raises(ValueError, match=r"unknown='\?' is no special token"):
        CharTokenizer({"a": 0, "?": 1}, unknown="?")
    with pytest.raises(ValueError, match=r"special token '<x>' is not in the vocabulary"):
        CharTokenizer({"a": 0}, special=("<x>",))
    with pytest.raises(ValueError, match=r"a special token is a name such as '<end>', not ''"):
        CharTokenizer.train(["a"], special=("",))
    with pytest.raises(ValueError, match=r"'a' is there twice"):
        CharTokenizer.train(["a"], special=("a",))
