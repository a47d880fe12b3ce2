"""Pairs and their layout; dates, sums; Tatoeba's list on a small file of its format."""

import datetime
import re

import pytest

from dlcourse import data
from dlcourse.data import translation
from dlcourse.data.generated import FORMATS, MONTHS
from dlcourse.data.translation import IGNORED, PAD, START, STOP
from tests.data import batch_cases
from tests.data.batch_cases import Characters
from tests.data.test_text import folder, write  # noqa: F401
from tests.numpy import models

TOKENS = Characters("0123456789+")


def test_pair_by_pair():
    batch_cases.check_translation(translation, models.raises)


def test_what_is_given_is_what_was_said_one_step_before():
    """Teacher forcing: at every position that counts, the input is the target before."""
    dataset = data.arithmetic(50, 5, 5).encode(TOKENS)
    x, y = dataset.train
    given = x[:, -y.shape[1] :]
    counts = y[:, :-1] != IGNORED
    assert (given[:, 0] == START).all()
    assert (given[:, 1:][counts & (y[:, :-1] != STOP)] == y[:, :-1][counts & (y[:, :-1] != STOP)]).all()
    assert ((y == STOP).sum(axis=1) == 1).all()
    assert (given[:, 1:][y[:, 1:] == IGNORED] == PAD).all()


def test_text_of_turns_tokens_back():
    sums = data.arithmetic(20, 5, 5)
    dataset = sums.encode(TOKENS)
    size = dataset.train.y.shape[1]
    for x, y, question, answer in zip(*dataset.train, *sums.train, strict=True):
        assert data.text_of(y, TOKENS) == data.text_of([*y[:2], *y[2:]], TOKENS) == answer
        assert data.text_of(x[:-size], TOKENS) == question
    assert data.text_of([START, 5, STOP, 6, PAD, IGNORED], TOKENS) == "1"
    assert dataset.classes[:4] == ("<pad>", "<start>", "<stop>", "+")
    assert len(dataset.classes) == len(TOKENS) + 3


# ---------------------------------------------------------------- generated


def understood(text):
    """The ISO date of one of the ways of writing, by another route than the one that wrote it."""
    if "年" in text:
        year, month, day = re.findall(r"\d+", text)
    elif "/" in text:
        month, day, year = text.split("/")
    elif "." in text:
        day, month, year = text.split(".")
    else:
        name = next(m for m in re.findall(r"[A-Za-z]{3,}", text) if m[:3].title() in [n[:3] for n in MONTHS])
        month = 1 + [n[:3] for n in MONTHS].index(name[:3].title())
        day, year = re.findall(r"\d+", text)
    return datetime.date(int(year), int(month), int(day)).isoformat()


def test_dates_are_right_and_apart():
    dates = data.dates(2_000, 300, 300, seed=4)
    for sources, targets in (dates.train, dates.validation, dates.test):
        assert [understood(text) for text in sources] == list(targets)
    every = [*dates.train.targets, *dates.validation.targets, *dates.test.targets]
    assert len(every) == len(set(every)) == 2_600
    for text in dates.train.sources:
        if "," in text and text.split(",")[0].endswith("day"):
            assert datetime.date.fromisoformat(understood(text)).strftime("%A") == text.split(",")[0]


def test_every_way_of_writing_a_date():
    written = [way(datetime.date(1987, 3, 3)) for way in FORMATS]
    assert written == [
        "3 March 1987",
        "March 3, 1987",
        "Tuesday, 3 March 1987",
        "the 3rd of March 1987",
        "03-MAR-1987",
        "3.3.1987",
        "03/03/1987",
        "1987年3月3日",
    ]
    ordinals = [FORMATS[3](datetime.date(2001, 1, day)).split()[1] for day in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30, 31)]
    assert ordinals == "1st 2nd 3rd 4th 11th 12th 13th 21st 22nd 23rd 30th 31st".split()


def test_sums_are_right_and_apart():
    for reverse in (False, True):
        sums = data.arithmetic(3_000, 200, 200, reverse=reverse)
        seen = []
        for sources, targets in (sums.train, sums.validation, sums.test):
            for question, answer in zip(sources, targets, strict=True):
                a, b = map(int, question.split("+"))
                assert int(answer[::-1] if reverse else answer) == a + b
                seen.append((min(a, b), max(a, b)))
        assert len(set(seen)) == len(seen) == 3_400
    assert len(data.arithmetic(20, 4, 3, digits=1).train.sources) == 20


def test_generated_sets_come_from_their_seed():
    for make in (data.dates, data.arithmetic):
        assert make(50, 5, 5).train == make(50, 5, 5).train != make(50, 5, 5, seed=1).train
    assert repr(data.load("dates")).startswith("Pairs(dates: 10,000 / 1,000 / 1,000 pairs, ")
    assert len(data.load("arithmetic").train.sources) == 20_000
    assert data.load("arithmetic").texts()[0] == data.load("arithmetic").train.sources[0]


def test_generated_sets_refuse():
    with pytest.raises(ValueError, match="are 73049 days: ask for fewer"):
        data.dates(80_000)
    with pytest.raises(ValueError, match="more than half of those with 1 digits: ask for fewer, or for digits=2"):
        data.arithmetic(50, 5, 5, digits=1)
    with pytest.raises(ValueError, match="train=0"):
        data.dates(0)
    with pytest.raises(ValueError, match="digits=10"):
        data.arithmetic(digits=10)


# ---------------------------------------------------------------- Tatoeba


def line(english, chinese):
    return f"{english}\t{chinese}\tCC-BY 2.0 (France) Attribution: tatoeba.org #1 (a) & #2 (b)\n"


def test_tatoeba(folder):  # noqa: F811
    lines = [line(f"Sentence {i}.", f"第{i}句。") for i in range(40)] + [line("Sentence 3.", "又一句。")]
    write(folder / "tatoeba" / "cmn.txt", "".join(lines))
    pairs = data.load("tatoeba")
    assert sum(len(part.sources) for part in (pairs.train, pairs.validation, pairs.test)) == 41
    assert dict(zip(*pairs.train, strict=True)).get("又一句。", "Sentence 3.") == "Sentence 3."
    assert all(len(part.sources) for part in (pairs.train, pairs.validation, pairs.test))
    assert data.where("tatoeba") == f"in {folder / 'tatoeba'}"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (line("Run.", "跑。") + "Stop!\t住", r"line 2: expected 3 columns with tabs between them, found 'Stop!\\t住'"),
        (line("Run.", "跑。")[:-8], "line 1: expected English, Chinese, and the authors"),
        ("a\tb\tc\n", "line 1: expected English, Chinese, and the authors"),
    ],
)
def test_tatoeba_refuses(folder, content, complaint):  # noqa: F811
    write(folder / "tatoeba" / "cmn.txt", content)
    with pytest.raises(ValueError, match=complaint):
        data.load("tatoeba")
