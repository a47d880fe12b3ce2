"""Pairs of texts as recipes take them, and what is measured on them: the answers that a model writes."""

from dataclasses import dataclass

import numpy as np

from dlcourse import metrics
from dlcourse.boundary import IGNORED
from dlcourse.data import Pairs, arithmetic, text_of
from dlcourse.data.translation import PAD, SPECIAL, START, STOP, Texts
from dlcourse.generate import translate
from dlcourse.text import BPETokenizer, CharTokenizer

# ---------------------------------------------------------------- Pairs -> Dataset


def characters(pairs):
    """The Dataset of Pairs whose tokens are characters."""
    return pairs.encode(CharTokenizer.train(pairs.texts()))


@dataclass(frozen=True)
class subwords:
    """The Dataset of Pairs with a vocabulary of `vocab` tokens: three signs, and byte-level BPE learned from both languages.

    Pairs with more than `source` or `target` tokens on their sides, START included, are left out of every part; the Dataset's `source` counts them."""

    vocab: int
    source: int
    target: int

    def __call__(self, pairs):
        tokenizer = BPETokenizer.train(pairs.texts(), self.vocab - SPECIAL)
        parts = [
            self._short(part, tokenizer) for part in (pairs.train, pairs.validation, pairs.test)
        ]
        told = f"{pairs.source}, {sum(len(part.sources) for part in parts):,} of them of at most {self.source} and {self.target} tokens"
        short = Pairs(pairs.name, *parts, told, pairs.licence)
        return short.encode(tokenizer, self.source, self.target)

    def _short(self, part, tokenizer):
        kept = [
            pair
            for pair in zip(*part, strict=True)
            if len(tokenizer.encode(pair[0])) <= self.source
            and len(tokenizer.encode(pair[1])) < self.target
        ]
        return Texts(*zip(*kept, strict=True))


def text_to_text(name, **tasks):
    """Several Pairs as one task: each source begins with the name of its own, "dates: 3 March 1987" (Raffel et al. 2020)."""

    def mixed(part):
        sources, targets = [], []
        for task, pairs in tasks.items():
            sources += [f"{task}: {text}" for text in getattr(pairs, part).sources]
            targets += getattr(pairs, part).targets
        return Texts(tuple(sources), tuple(targets))

    origin = "; ".join(f"{task}: {pairs.source}" for task, pairs in tasks.items())
    licence = "; ".join(sorted({pairs.licence for pairs in tasks.values()}))
    return Pairs(name, *(mixed(part) for part in ("train", "validation", "test")), origin, licence)


def dates_and_sums(dates):
    """The Dataset of two tasks in one, from the Pairs of the dates: `text_to_text` with as many sums, both as characters."""
    sizes = {part: len(getattr(dates, part).sources) for part in ("train", "validation", "test")}
    return characters(text_to_text("dates and sums", date=dates, sum=arithmetic(**sizes)))


# ---------------------------------------------------------------- what is measured


def exact_match(learner, dataset, beams=1):
    """{"test_exact_match": the share of the test set's targets that the model writes without any error}."""
    x, y = dataset.test
    return {"test_exact_match": float(_right(answers(learner, x, beams), y).mean())}


def exact_match_by_task(learner, dataset, beams=1):
    """`exact_match`, and the same for each task of `text_to_text` alone."""
    x, y = dataset.test
    right = _right(answers(learner, x, beams), y)
    sources = x[:, : learner.model.config.source]
    tasks = np.array([text_of(row, dataset.tokenizer).split(":")[0] for row in sources])
    each = {
        f"test_exact_match_{task}": float(right[tasks == task].mean()) for task in np.unique(tasks)
    }
    return {"test_exact_match": float(right.mean())} | each


def bleu(learner, dataset, beams=4):
    """{"test_bleu": BLEU of the test set's translations by beam search, "test_bleu_greedy": with one beam}; see `metrics.bleu`."""
    x, y = dataset.test
    wanted = [text_of(row, dataset.tokenizer) for row in y]

    def score(count):
        written = [text_of(row, dataset.tokenizer) for row in answers(learner, x, count)]
        return metrics.bleu(written, wanted)

    return {"test_bleu": score(beams), "test_bleu_greedy": score(1)}


def answers(learner, x, beams=1, batch_size=250):
    """What the model writes for the sources in x (N, S + T) -> tokens (N, T); see `translate`."""
    sources = x[:, : learner.model.config.source]
    parts = [
        translate(learner, sources[start : start + batch_size], START, STOP, beams)
        for start in range(0, len(sources), batch_size)
    ]
    return np.concatenate(parts)


def _right(tokens, y):
    """Which rows of tokens (N, T) are the targets y (N, T), up to and with STOP."""
    return (tokens == np.where(y == IGNORED, PAD, y)).all(axis=1)
