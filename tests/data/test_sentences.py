"""Tagged and labelled sentences and questions, on small files of the sets' formats, and on the real files where they are."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from dlcourse import data
from dlcourse.data import questions, sentences
from dlcourse.data.sentences import Sentence, first_pieces
from tests.data.batch_cases import Characters
from tests.data.test_text import folder, write  # noqa: F401

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


class Halves:
    """A tokeniser that cuts a word into pieces of two characters, numbered from 10 in the order in which they are met."""

    def __init__(self):
        self.pieces = {}

    def encode(self, text):
        return [self.pieces.setdefault(text[i : i + 2], 10 + len(self.pieces)) for i in range(0, len(text), 2)]


def snips(count=40):
    rows = [(f"play song{i} now", "O B-track O", "PlayMusic") for i in range(count)]
    names = ("seq.in", "seq.out", "label")
    return {name: "".join(f"{row[i]} \n" for row in rows) for i, name in enumerate(names)}


def put(folder, name, parts):  # noqa: F811
    for part, contents in parts.items():
        for file, content in contents.items():
            write(folder / name / part / file, content)


CONLL = "Empire\tB-location\nState\tI-location\n.\tO\n\t\nGreen\tO\n\n"
UNIVERSAL = (
    "# sent_id = 1\n# text = It's here\n1-2\tIt's\t_\t_\t_\t_\t_\t_\t_\t_\n1\tIt\tit\tPRON\tPRP\t_\t0\troot\t_\t_\n"
    "2\t's\tbe\tAUX\tVBZ\t_\t1\tcop\t_\t_\n2.1\tx\tx\tX\t_\t_\t_\t_\t_\t_\n3\there\there\tADV\tRB\t_\t1\tadv\t_\t_\n\n"
)


def test_snips(folder):  # noqa: F811
    put(folder, "snips", {"train": snips(), "valid": {k: v.replace("song", "tune") for k, v in snips(5).items()}})
    loaded = data.load("snips")
    assert [len(part) for part in (loaded.train, loaded.validation, loaded.test)] == [36, 4, 5]
    assert loaded.labels == ("PlayMusic",) and loaded.tags == ("B-track", "O")
    assert loaded.test[0] == Sentence(("play", "tune0", "now"), "PlayMusic", ("O", "B-track", "O"))
    assert "40 and 5 sentences" in loaded.source
    assert data.where("snips") == f"in {folder / 'snips'}"


def test_the_training_part_has_no_sentence_of_the_test(folder):  # noqa: F811
    put(folder, "snips", {"train": snips(), "valid": snips(5)})
    loaded = data.load("snips")
    assert not {s.words for s in loaded.test} & {s.words for s in (*loaded.train, *loaded.validation)}
    assert len(loaded.train) + len(loaded.validation) == 35


def test_sst2_and_sms(folder):  # noqa: F811
    table = "".join(f"a film of {i}\t{i % 2}\n" for i in range(30))
    write(folder / "sst2" / "train.tsv", table)
    write(folder / "sst2" / "dev.tsv", "one long string of cliches\t0")
    loaded = data.load("sst2")
    assert [len(part) for part in (loaded.train, loaded.validation, loaded.test)] == [27, 3, 1]
    assert loaded.labels == ("negative", "positive") and loaded.tags == ()
    assert all(s.label == loaded.labels[int(s.words[-1]) % 2] for s in loaded.train)
    messages = [f"ham\tsee you at {i}\n" for i in range(90)] + ["spam\tFREE entry\n"] * 10
    write(folder / "sms-spam" / "SMSSpamCollection", "".join(messages))
    loaded = data.load("sms-spam")
    parts = (loaded.train, loaded.validation, loaded.test)
    assert sum(map(len, parts)) == 100
    assert sum(any(s.label == "spam" for s in part) for part in parts) == 1  # ten times the same message: in one part


def test_conll_and_treebank(folder):  # noqa: F811
    write(folder / "wnut17" / "wnut17train.conll", CONLL)
    assert sentences._conll(folder / "wnut17" / "wnut17train.conll") == [
        Sentence(("Empire", "State", "."), None, ("B-location", "I-location", "O")),
        Sentence(("Green",), None, ("O",)),
    ]
    write(folder / "a.conllu", UNIVERSAL)
    words = [Sentence(("It", "'s", "here"), None, ("PRON", "AUX", "ADV"))]
    assert sentences._treebank(folder / "a.conllu") == words
    write(folder / "b.tsv.gz", gzip.compress(b"It\tPRON\n's\tAUX\nhere\tADV\n\n", mtime=0))
    assert sentences._treebank(folder / "b.tsv.gz") == words


@pytest.mark.parametrize(
    ("read", "file", "content", "complaint"),
    [
        ("_conll", "a.conll", "Empire\n", "line 1: expected a word and its tag"),
        ("_conll", "a.conll", "Empire\tB-location\tX\n", "line 1: expected a word and its tag"),
        ("_conll", "a.conll", CONLL[:8], "ends within a line: it is cut off"),
        ("_treebank", "a.conllu", UNIVERSAL[:130], "ends within a line: it is cut off"),
        ("_treebank", "a.conllu", "1\tIt\n", "line 1: expected a word and its tag"),
        ("_treebank", "a.tsv.gz", gzip.compress(b"It\tPRON\n" * 99, mtime=0)[:-5], "damaged or no UTF-8"),
        ("_sst2", "a.tsv", "good\t1\nbad", "line 2: expected 2 columns with tabs"),
        ("_sst2", "a.tsv", "good\t2\n", "line 1: expected a label of 0, 1, found '2'"),
        ("_sms", "a", "good\t1\n", "line 1: expected a label of ham, spam"),
    ],
)
def test_damaged_and_foreign_files_are_refused(tmp_path, read, file, content, complaint):
    write(tmp_path / file, content)
    with pytest.raises(ValueError, match=complaint):
        getattr(sentences, read)(tmp_path / file)


def test_snips_files_must_belong_together(folder):  # noqa: F811
    short = snips() | {"label": snips(39)["label"]}
    put(folder, "snips", {"train": short, "valid": snips(5)})
    with pytest.raises(ValueError, match="40 sentences, 40 rows of tags and 39 labels: a file is cut off"):
        data.load("snips")
    cut = snips() | {"seq.out": snips()["seq.out"][:-4]}
    put(folder, "snips", {"train": cut})
    with pytest.raises(ValueError, match="line 40: expected a tag for each of 3 words, found 'O B-track'"):
        data.load("snips")
    (folder / "snips" / "valid" / "label").unlink()
    with pytest.raises(FileNotFoundError, match=r"snips lacks valid/label: get it from github.com/MiuLab"):
        data.load("snips")


# ---------------------------------------------------------------- tokens


SMALL = data.Sentences(
    "small",
    (Sentence(("play", "it"), "on", ("O", "B")), Sentence(("stop",), "off", ("O",))),
    (Sentence(("it",), "on", ("B",)),),
    (Sentence(("unseen", "it"), "off", ("O", "B")),),
    ("off", "on"),
    ("B", "O"),
    "here",
    "ours",
)


def test_a_words_tag_stands_at_its_first_piece():
    dataset = SMALL.tag(Halves(), start=1, stop=2)
    assert dataset.train.x.tolist() == [[1, 10, 11, 12, 2, 0], [1, 13, 14, 2, 0, 0]]
    assert dataset.train.y.tolist() == [[-100, 1, -100, 0, -100, -100], [-100, 1, -100, -100, -100, -100]]
    assert dataset.test.y.tolist() == [[-100, 1, -100, -100, 0, -100]]
    assert (dataset.train.y != -100).sum() == sum(len(s.words) for s in SMALL.train)
    assert dataset.classes == ("B", "O")
    assert first_pieces([[5], [6, 7, 8], [9]], [3, 4, 5], 7).tolist() == [-100, 3, 4, -100, -100, 5, -100]


def test_labels_of_whole_sentences():
    dataset = SMALL.classify(Halves(), start=1, stop=2, length=8)
    assert dataset.train.x.shape == (2, 8) and dataset.train.y.tolist() == [1, 0] and dataset.train.y.dtype == np.int64
    assert SMALL.texts() == ["play it", "stop"]
    assert repr(SMALL) == "Sentences(small: 2 / 1 / 1 sentences, 2 labels, 2 tags)"


def test_sentences_refuse():
    with pytest.raises(ValueError, match="the longest sentence has 6 tokens with its start and stop, but length=5: pass length=6"):
        SMALL.tag(Halves(), 1, 2, length=5)

    class Nothing:
        def encode(self, text):
            return []

    with pytest.raises(ValueError, match="the word 'play' becomes no token at all"):
        SMALL.tag(Nothing(), 1, 2)
    untagged = data.Sentences("plain", *(SMALL.train,) * 3, ("on",), (), "here", "ours")
    with pytest.raises(ValueError, match="plain has no tags"):
        untagged.tag(Halves(), 1, 2)


# ---------------------------------------------------------------- questions


CONTEXT = "The Panthers gave up just 308 points."


def squad(articles=10, context=CONTEXT, answer="308", start=26):
    qa = {"question": "How many points?", "id": "1", "answers": [{"text": answer, "answer_start": start}]}
    return {"version": "1.1", "data": [{"title": f"a{i}", "paragraphs": [{"context": context, "qas": [qa]}]} for i in range(articles)]}


def test_questions_are_split_by_article(folder):  # noqa: F811
    write(folder / "xquad" / "xquad.en.json", json.dumps(squad()))
    loaded = data.load("xquad")
    parts = [{q.article for q in part} for part in (loaded.train, loaded.validation, loaded.test)]
    assert [len(part) for part in parts] == [8, 1, 1] and len(set.union(*parts)) == 10
    assert loaded.train[0].answer == CONTEXT[26:29] and "10 of 48 articles" in loaded.source
    assert loaded.texts() == [CONTEXT] + ["How many points?"] * 8
    write(folder / "xquad" / "xquad.zh.first36.json", json.dumps(squad(context="仅丢308分。", start=2), ensure_ascii=False))
    assert repr(data.load("xquad-zh")) == "Questions(xquad-zh: 8 / 1 / 1 questions)"
    write(folder / "xquad" / "xquad.en.json", json.dumps(squad())[:-40])
    with pytest.raises(ValueError, match="cut off or not in the format of SQuAD"):
        data.load("xquad")


@pytest.mark.parametrize("length", [60, 27])
def test_spans_hold_the_answer(length):
    characters = Characters(CONTEXT + "How many?" + "abcdef")
    item = questions.Question("How?", CONTEXT, "308", 26, "a")

    class Shifted:
        def encode(self, text):
            return [token + 5 for token in characters.encode(text)]

    x, y, owner = data.spans([item, item], Shifted(), start=1, stop=2, length=length)
    assert owner.tolist() == sorted(owner) and set(owner) == {0, 1}
    assert (len(x) == 2) == (length == 60)
    shown = [characters.decode([t - 5 for t in row[first : last + 1]]) for row, (first, last) in zip(x, y, strict=True) if last]
    assert shown and set(shown) == {"308"}
    assert (x[:, 0] == 1).all() and x[0, : 1 + 4 + 1].tolist() == [1, *Shifted().encode("How"), *Shifted().encode("?"), 2]
    assert ((x == 2).sum(axis=1) == 2).all()
    seen = "".join(characters.decode([t - 5 for t in row[6:] if t > 4]) for row in x[owner == 0])
    assert set("ThePanthersgaveupjust308points.") <= set(seen) and seen.startswith("The") and seen.endswith("points.")


def test_chinese_words_are_characters():
    assert questions.WORD.findall("仅丢308分, it's a_b。") == ["仅", "丢", "308", "分", ",", "it", "'", "s", "a", "_", "b", "。"]


def test_questions_refuse():
    item = questions.Question("How?", CONTEXT, "308", 26, "a")
    with pytest.raises(ValueError, match="question 0: the answer '309' is not at its place"):
        data.spans([item._replace(answer="309")], Halves(), 1, 2, 50)
    with pytest.raises(ValueError, match="question 0 leaves 1 of length=7 tokens for its context: take a larger length"):
        data.spans([item], Halves(), 1, 2, 7)
    with pytest.raises(ValueError, match="unknown language 'cn'"):
        questions.load("cn")


# ---------------------------------------------------------------- the real files, where they are


@pytest.mark.parametrize("name", sentences.SETS)
def test_real_sentences(name, monkeypatch):
    monkeypatch.setenv("DLCOURSE_DATA", str(SHARED))
    if not any((SHARED / place).is_dir() for place in sentences.SETS[name].folders):
        monkeypatch.delenv("DLCOURSE_DATA")
        assert "none is downloaded" in data.where(name) or data.where(name).startswith("in ")
        return
    loaded = data.load(name)
    parts = (loaded.train, loaded.validation, loaded.test)
    train, validation, test = ({sentence.words for sentence in part} for part in parts)
    assert not train & validation and not train & test and not validation & test
    sizes = " / ".join(f"{len(part):,}" for part in parts)
    assert name == "sms-spam" or f"| {sizes} |" in data.load.__doc__
    assert all(len(s.words) == len(s.tags) for part in parts for s in part if s.tags)


@pytest.mark.parametrize("language", questions.LANGUAGES)
def test_real_questions(language, monkeypatch):
    monkeypatch.setenv("DLCOURSE_DATA", str(SHARED))
    if not (SHARED / "xquad").is_dir():
        monkeypatch.delenv("DLCOURSE_DATA")
        assert "none is downloaded" in questions.where(language) or questions.where(language).startswith("in ")
        return
    loaded = questions.load(language)
    every = [*loaded.train, *loaded.validation, *loaded.test]
    assert len(every) == 925
    assert all(q.context[q.start : q.start + len(q.answer)] == q.answer for q in every)
