"""Texts and their windows; texts in files that a reader has, on files of the same format written here."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from dlcourse import data
from dlcourse.data import download, pydoc, texts
from dlcourse.data import text as text_module
from dlcourse.data.pydoc_paragraphs import COUNT, SHA256
from tests.data import batch_cases
from tests.numpy import models

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty DLCOURSE_DATA and an empty cache; the network must not be asked."""

    def asked(*_, **__):
        raise AssertionError("nothing is to be downloaded")

    path = tmp_path / "data"
    path.mkdir()
    monkeypatch.setenv("DLCOURSE_DATA", str(path))
    monkeypatch.setenv("DLCOURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(texts, "fetch", asked)
    return path


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


# ---------------------------------------------------------------- windows


def test_windows_token_by_token():
    batch_cases.check_text(text_module, models.raises)


def test_windows_take_no_memory():
    tokens = np.arange(1_000_000)
    x, y = data.windows(tokens, 64)
    assert x.shape == (999_936, 64)
    assert np.shares_memory(x, tokens) and np.shares_memory(y, tokens)
    with pytest.raises(ValueError, match="read-only"):
        x[0, 0] = 1


# ---------------------------------------------------------------- pydoc


def test_pydoc_is_the_pinned_text():
    text = data.load("pydoc")
    assert text.source == f"Python's language reference (pydoc_data.topics), {COUNT:,} paragraphs"
    assert hashlib.sha256("\n\n".join((text.train, text.validation, text.test)).encode()).hexdigest() == SHA256
    assert len(set(pydoc.digests())) == COUNT


def test_pydoc_repeats_no_paragraph_in_another_part():
    text = data.load("pydoc")
    parts = [{pydoc.collapsed(p) for p in part.split("\n\n")} for part in (text.train, text.validation, text.test)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert set(text.validation) | set(text.test) <= set(text.train)  # no character that training has not seen


def test_pydoc_tells_when_this_python_lacks_paragraphs(monkeypatch):
    import pydoc_data.topics

    names = sorted(pydoc_data.topics.topics)
    monkeypatch.setattr(pydoc_data.topics, "topics", {name: pydoc_data.topics.topics[name] for name in names[:20]})
    text = data.load("pydoc")
    assert ", of which Python 3." in text.source and len(text.train) < 247_925
    assert data.where("pydoc") == "inside Python"


def test_paragraphs_are_found_by_content():
    topics = {"b": "One  \n  two\n\n\nthree", "a": "\nOne\n two\n"}
    assert list(pydoc.paragraphs(topics)) == ["One\n two", "One\n  two", "three"]
    assert pydoc.collapsed("One\n  two") == "One two"


# ---------------------------------------------------------------- texts in files


def test_tiny_shakespeare_is_split_as_in_nanogpt(folder, monkeypatch):
    content = ("To be, or not to be.\n" * 10).encode()
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(texts, "SHAKESPEARE", download.RemoteFile("input.txt", len(content), digest))
    write(folder / "tinyshakespeare" / "input.txt", content)
    text = data.load("tinyshakespeare")
    assert text.train == content.decode()[:189] and text.validation == content.decode()[189:] and text.test == ""
    assert data.where("tinyshakespeare") == f"in {folder / 'tinyshakespeare'}"
    write(folder / "tinyshakespeare" / "input.txt", content[:-1])
    with pytest.raises(ValueError, match="is not the published file"):
        data.load("tinyshakespeare")
    assert "is not the published file" in data.where("tinyshakespeare")


def test_tiny_shakespeare_is_downloaded_otherwise(folder, monkeypatch, tmp_path):
    asked = []

    def fetch(file, target, mirrors):
        asked.append((file.name, target, mirrors))
        write(target / file.name, "0123456789")
        return target / file.name

    monkeypatch.setattr(texts, "fetch", fetch)
    assert "not here: the first use downloads 1 MB" in data.where("tinyshakespeare")
    assert data.load("tinyshakespeare").validation == "9"
    assert asked == [("input.txt", tmp_path / "cache" / "tinyshakespeare", texts.MIRRORS)]
    assert "in the cache" in data.where("tinyshakespeare")


def test_names_come_once_each(folder):
    every = [f"{a}{b}" for a in "abcdefghij" for b in "klmnopqrst"]
    write(folder / "names" / "names.txt", "\n".join(every + every[:5]))
    text = data.load("names")
    parts = [part.split() for part in (text.train, text.validation, text.test)]
    assert [len(part) for part in parts] == [90, 5, 5]
    assert sorted(item for part in parts for item in part) == sorted(every)
    assert text.train.endswith("\n")
    assert text.source.endswith("100 different ones among 105")


def test_poems_come_once_each(folder):
    poems = [{"title": f"題{i}", "author": "李白", "paragraphs": [f"第{i}句。", "又句。"]} for i in range(20)]
    write(folder / "tang-poems" / "tangshi300.json", json.dumps([*poems, poems[3]], ensure_ascii=False))
    text = data.load("tang-poems")
    parts = [part.strip().split("\n\n") for part in (text.train, text.validation, text.test)]
    assert [len(part) for part in parts] == [18, 1, 1]
    assert sorted(item for part in parts for item in part) == sorted(f"題{i}\n李白\n第{i}句。\n又句。" for i in range(20))


@pytest.mark.parametrize(
    ("name", "file", "content", "complaint"),
    [
        ("names", "names/names.txt", "emma\nol1via\n", r"line 2: expected one name of letters, found 'ol1via'.*fetch it again"),
        ("names", "names/names.txt", b"emma\n\xff\xfe", "damaged or no UTF-8"),
        ("names", "names/names.txt", "", "is empty"),
        ("tang-poems", "tang-poems/tangshi300.json", '[{"title": "a", "auth', "no list of poems"),
        ("tang-poems", "tang-poems/tangshi300.json", '[{"title": "a"}]', "no list of poems"),
    ],
)
def test_damaged_and_foreign_files_are_refused(folder, name, file, content, complaint):
    write(folder / file, content)
    with pytest.raises(ValueError, match=complaint):
        data.load(name)


def test_a_missing_file_is_named_with_its_origin(folder, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"put names.txt from github.com/karpathy/makemore into a folder names of"):
        data.load("names")
    assert "put names.txt from" in data.where("names")
    monkeypatch.setenv("DLCOURSE_DATA", str(folder / "elsewhere"))
    with pytest.raises(ValueError, match="which is not a folder"):
        data.load("names")
    assert "which is not a folder" in data.where("names")


def test_the_documented_sizes(monkeypatch):
    monkeypatch.setenv("DLCOURSE_DATA", str(SHARED))
    for name in ("pydoc", *(["tinyshakespeare"] if (SHARED / "tinyshakespeare").is_dir() else [])):
        text = data.load(name)
        sizes = " / ".join(f"{len(part):,}" for part in (text.train, text.validation, text.test))
        assert f"{sizes} characters" in data.load.__doc__
    if (SHARED / "names").is_dir():
        text = data.load("names")
        sizes = " / ".join(f"{len(part.split()):,}" for part in (text.train, text.validation, text.test))
        assert f"{sizes} names" in data.load.__doc__
