"""One token a character."""

from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse.text import CharTokenizer, characters
from tests.numpy import models
from tests.text import cases


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_round_trip_of_known_characters(text):
    tokenizer = CharTokenizer.train([text])
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer) == len(set(text))


def test_character_by_character():
    cases.check_characters(characters, models.raises)
