"""Language as recipes take it, and what is measured on it: the answers that a model writes, the perplexity, the way to the entropy."""

from dataclasses import dataclass

import numpy as np

from dlcourse import metrics, train
from dlcourse.boundary import IGNORED
from dlcourse.data import Grammar, Pairs, arithmetic, text_of
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


# ---------------------------------------------------------------- Text -> Dataset


@dataclass(frozen=True)
class character_windows:
    """The Dataset of a Text in windows of `context` characters; the alphabet is that of all its parts, as nanoGPT has it."""

    context: int

    def __call__(self, text):
        tokenizer = CharTokenizer.train([text.train, text.validation, text.test])
        return text.windows(tokenizer, self.context)


# ---------------------------------------------------------------- what is measured


def perplexity(learner, dataset):
    """{"validation_perplexity": e^loss, "test_perplexity": ...}  (eq-perplexity), the latter where the data set has a test part."""
    return {
        f"{part}_perplexity": metrics.perplexity(train.evaluate(learner, split)[0])
        for part, split in _measurable(dataset).items()
    }


def entropy_gap(learner, dataset, grammar=Grammar()):  # noqa: B008 - frozen
    """{"validation_gap": ..., "test_gap": ...}: nats a token that the model loses more than the grammar itself on the same texts  (eq-gap)."""
    found = {}
    for part, (x, y) in _measurable(dataset).items():
        logp = np.take_along_axis(grammar.log_probabilities(x), y[..., None], axis=-1)
        found[f"{part}_gap"] = train.evaluate(learner, (x, y))[0] + float(logp.mean())
    return found


def _measurable(dataset):
    parts = {part: getattr(dataset, part) for part in ("validation", "test")}
    return {part: split for part, split in parts.items() if len(split.y)}


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
