"""Tokenisers as files: what was saved comes back, and nothing else is taken."""

import json

import pytest

from dlcourse import text
from dlcourse.text import BPETokenizer, CharTokenizer, WordPieceTokenizer
from dlcourse.text import tokenizer as tokenizer_module
from tests.numpy import models
from tests.text import cases

TEXT = "the cat sat on the mat, the bat 学而時習之 🤖"


def tokenizers():
    return [
        CharTokenizer.train([TEXT], unknown="<unk>"),
        BPETokenizer.train([TEXT], 270, special=("<end>",)),
        WordPieceTokenizer.train([TEXT], 60, lower=False),
    ]


def test_what_all_share(tmp_path):
    cases.check_tokenizer(tokenizer_module, models.raises, tmp_path)


@pytest.mark.parametrize("tokenizer", tokenizers(), ids=lambda tokenizer: tokenizer.kind)
def test_what_was_saved_comes_back(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["format"] == 1 and data["kind"] == tokenizer.kind
    for loaded in (text.load(path), type(tokenizer).load(path)):
        assert type(loaded) is type(tokenizer)
        assert loaded.vocab == tokenizer.vocab and loaded.special == tokenizer.special
        assert loaded.encode(TEXT) == tokenizer.encode(TEXT)
        assert loaded.decode(loaded.encode(TEXT)) == tokenizer.decode(tokenizer.encode(TEXT))
        again = tmp_path / "again.json"
        loaded.save(again)
        assert again.read_bytes() == path.read_bytes()


def change(**fields):
    def changed(data):
        return json.dumps(data | fields)

    return changed


def holes(data):
    data["vocab"] = {token: i + (i > 100) for token, i in data["vocab"].items()}
    return json.dumps(data)


def without(name):
    return lambda data: json.dumps({key: value for key, value in data.items() if key != name})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change(format=2), r"has format 2, and this version of dlcourse reads 1: train and save the tokeniser again"),
        (change(kind="unigram"), r"of the unknown kind 'unigram': one of characters, bpe, wordpiece is known"),
        (change(kind="characters"), r"is not whole \(.*merges"),
        (change(merges=[["t", "zz"]]), r"merge 0 joins 't' and 'zz', but 'zz' is no token"),
        (change(merges=[["t", "h", "e"]]), r"merge 0 is \['t', 'h', 'e'\]: a merge is a pair of spellings"),
        (change(vocab=["a", "b"]), r"is not whole"),
        (change(extra=1), r"is not whole \(.*extra"),
        (holes, r"not 0 to 260, each once: number them without holes"),
        (without("merges"), r"is not whole \(.*merges"),
        (without("vocab"), r"it lacks format, kind or vocab"),
        (lambda data: json.dumps(data)[:500], r"is no tokeniser file \("),
        (lambda data: "[]", r"it lacks format, kind or vocab"),
    ],
)
def test_a_spoiled_file_is_refused(spoil, message, tmp_path):
    path = tmp_path / "tokenizer.json"
    BPETokenizer.train([TEXT], 270, special=("<end>",)).save(path)
    path.write_text(spoil(json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        text.load(path)


def test_another_kind_is_refused(tmp_path):
    path = tmp_path / "tokenizer.json"
    CharTokenizer.train([TEXT]).save(path)
    with pytest.raises(ValueError, match=r"of the kind 'characters', not 'bpe': dlcourse.text.load reads every kind"):
        BPETokenizer.load(path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(ValueError, match="is no tokeniser file"):
        text.load(path)


def test_repr():
    assert repr(CharTokenizer.train(["abc"])) == "CharTokenizer(3 tokens)"
