"""XQuAD: questions whose answer is a passage of a text, in English and in Chinese (Artetxe et al. 2020)."""

import json
import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dlcourse.boundary import check_whole
from dlcourse.data import files
from dlcourse.data.dataset import Dataset, Split
from dlcourse.data.files import FileSet
from dlcourse.errors import suggestion

LANGUAGES = ("en", "zh")
HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # each of these characters is a word of its own
WORD = re.compile(f"[{HAN}]|[^\\W_{HAN}]+|[^\\w\\s]|_")


def _files(language):
    return FileSet(
        ("xquad",),
        (f"xquad.{language}.json|xquad.{language}.first36.json",),
        "github.com/google-deepmind/xquad",
        "XQuAD",
        "CC BY-SA 4.0",
    )


class Question(NamedTuple):
    """The answer is context[start : start + len(answer)]."""

    question: str
    context: str
    answer: str
    start: int
    article: str


@dataclass(frozen=True)
class Questions:
    """Three parts of questions; no article is in two."""

    name: str
    train: tuple[Question, ...]
    validation: tuple[Question, ...]
    test: tuple[Question, ...]
    source: str
    licence: str

    def texts(self):
        """The questions and, once each, the contexts of the training part, to train a tokeniser on."""
        return [*dict.fromkeys(q.context for q in self.train), *(q.question for q in self.train)]

    def encode(self, tokenizer, start, stop, length, stride=None):
        """The Dataset of x (N, T) and y (N, 2), the positions of the answer's first and last token (see `spans`); `classes` is
        empty, as a position is no class of its own."""
        parts = [
            Split(*spans(part, tokenizer, start, stop, length, stride)[:2])
            for part in (self.train, self.validation, self.test)
        ]
        return Dataset(self.name, *parts, (), self.source, self.licence)

    def __repr__(self):
        sizes = " / ".join(f"{len(part):,}" for part in (self.train, self.validation, self.test))
        return f"Questions({self.name}: {sizes} questions)"


class Spans(NamedTuple):
    """x (N, T), y (N, 2), and which question each row belongs to, (N,)."""

    x: np.ndarray
    y: np.ndarray
    question: np.ndarray


def spans(questions, tokenizer, start, stop, length, stride=None):
    """Rows "start question stop context stop 0 0 ..." of T = length tokens, and where in them the answer begins and ends.

    A context that does not fit is cut into windows that begin `stride` words apart (by default half of what fits), each a row of its own;
    where a window does not hold the whole answer, y is (0, 0), the start token, as in BERT. Words are encoded one by one, and
    the answer's place is that of the words that it touches.
    Raises ValueError where the question leaves no room, or where the answer is not in the context."""
    check_whole(length=length)
    xs, ys, owners = [], [], []
    for number, item in enumerate(questions):
        words = list(WORD.finditer(item.context))
        end = item.start + len(item.answer)
        touched = [i for i, w in enumerate(words) if w.start() < end and w.end() > item.start]
        if item.context[item.start : end] != item.answer or not touched:
            raise ValueError(
                f"question {number}: the answer {item.answer!r} is not at its place in the context"
            )
        pieces = [tokenizer.encode(word.group()) for word in words]
        head = [start, *(t for w in WORD.findall(item.question) for t in tokenizer.encode(w)), stop]
        room = length - len(head) - 1
        for first, last in _windows([len(p) for p in pieces], room, stride, number, length):
            at = len(head) + np.cumsum([0, *(len(p) for p in pieces[first:last])])
            row = [*head, *(token for p in pieces[first:last] for token in p), stop]
            x = np.zeros(length, np.int64)
            x[: len(row)] = row
            whole = first <= touched[0] and touched[-1] < last
            xs.append(x)
            ys.append(
                (at[touched[0] - first], at[touched[-1] - first + 1] - 1) if whole else (0, 0)
            )
            owners.append(number)
    return Spans(np.array(xs), np.array(ys, np.int64), np.array(owners))


def load(language="en"):
    """The Questions "xquad": the first 80 % of the articles train, 10 % validate, 10 % test; the same articles in both languages."""
    if language not in LANGUAGES:
        raise ValueError(
            f"unknown language {language!r}{suggestion(language, LANGUAGES)}: choose one of {', '.join(LANGUAGES)}"
        )
    wanted = _files(language)
    (path,) = files.find(wanted)
    try:
        articles = [
            _questions(article, place)
            for place, article in enumerate(json.loads(files.read(path))["data"])
        ]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(
            f"{path} is cut off or not in the format of SQuAD ({error}): fetch it again"
        ) from error
    cuts = np.round(np.array((0.8, 0.9)) * len(articles)).astype(int)
    parts = [
        tuple(question for article in articles[begin:end] for question in article)
        for begin, end in zip((0, *cuts), (*cuts, len(articles)), strict=True)
    ]
    title = f"XQuAD ({language}), {len(articles)} of 48 articles"
    return Questions(
        "xquad" if language == "en" else f"xquad-{language}", *parts, title, wanted.licence
    )


def where(language):
    return files.where(_files(language))


def _questions(article, place):
    name = article.get("title") or f"article {place}"
    return [
        Question(
            qa["question"], paragraph["context"], answer["text"], int(answer["answer_start"]), name
        )
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
        for answer in qa["answers"][:1]
    ]


def _windows(sizes, room, stride, number, length):
    """(first, last) words of the windows of at most `room` tokens that cover all words."""
    if room < max(sizes):
        raise ValueError(
            f"question {number} leaves {room} of length={length} tokens for its context: take a larger length"
        )
    ends = np.cumsum([0, *sizes])
    first, found = 0, []
    while True:
        last = int(np.searchsorted(ends, ends[first] + room, side="right")) - 1
        found.append((first, last))
        if last == len(sizes):
            return found
        # at least one word on, and without a gap
        first += min(max(stride or (last - first) // 2, 1), last - first)
