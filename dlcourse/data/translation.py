"""Pairs of texts, a source and its target, and their layout for an encoder-decoder."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dlcourse.boundary import check_whole
from dlcourse.data.dataset import Dataset, Split

PAD, START, STOP = 0, 1, 2  # a tokeniser's own tokens come after these
SPECIAL = 3
IGNORED = -100  # targets that do not count
SIGNS = ("<pad>", "<start>", "<stop>")


class Texts(NamedTuple):
    """Pairs: `targets[i]` is the translation of `sources[i]`."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True)
class Pairs:
    """Three parts of pairs, none of whose sources (nor targets, unless said) is in two parts."""

    name: str
    train: Texts
    validation: Texts
    test: Texts
    source: str
    licence: str

    def texts(self):
        """All texts of the training part, to train a tokeniser on."""
        return [*self.train.sources, *self.train.targets]

    def encode(self, tokenizer, source=None, target=None):
        """The Dataset of an encoder-decoder, see `pairs`; `classes` are the tokens as text, the three signs first.

        Lengths S and T that are not given are those of the longest pair of all parts."""
        parts = (self.train, self.validation, self.test)
        source = source or _longest(tokenizer, [text for part in parts for text in part.sources])
        target = (
            target or _longest(tokenizer, [text for part in parts for text in part.targets]) + 1
        )
        encoded = [pairs(*part, tokenizer, source, target) for part in parts]
        tokens = tuple(tokenizer.decode([token]) for token in range(len(tokenizer)))
        return Dataset(self.name, *encoded, SIGNS + tokens, self.source, self.licence, tokenizer)

    def __repr__(self):
        sizes = " / ".join(
            f"{len(part.sources):,}" for part in (self.train, self.validation, self.test)
        )
        example = f"{self.train.sources[0]!r} -> {self.train.targets[0]!r}"
        return f"Pairs({self.name}: {sizes} pairs, {example})"


def pairs(sources, targets, tokenizer, source=None, target=None):
    """Two lists of texts -> Split(x (N, S + T), y (N, T)), int64; one tokeniser serves both sides.

    x[:, :S] is the source, padded with 0; x[:, S:] what the decoder is given, START and then the target; y is what it shall say, the
    target and then STOP, and -100 where nothing counts. A tokeniser's token k is k + 3 here, after PAD, START and STOP: the
    vocabulary is `len(tokenizer) + 3`, and `text_of` turns tokens back. `source`, `target` are S and T, by default just enough.
    Raises ValueError for lists of different length, and for texts that do not fit."""
    if len(sources) != len(targets):
        raise ValueError(f"{len(sources)} sources but {len(targets)} targets: each needs the other")
    if not sources:
        raise ValueError("there are no pairs: check how the data set was loaded or filtered")
    left = [_shifted(tokenizer, text) for text in sources]
    right = [_shifted(tokenizer, text) for text in targets]
    source = _length("source", left, source)
    target = _length("target", [[START, *tokens] for tokens in right], target)
    x = np.full((len(left), source + target), PAD, np.int64)
    y = np.full((len(left), target), IGNORED, np.int64)
    for i, (question, answer) in enumerate(zip(left, right, strict=True)):
        x[i, : len(question)] = question
        x[i, source : source + 1 + len(answer)] = [START, *answer]
        y[i, : 1 + len(answer)] = [*answer, STOP]
    return Split(x, y)


def text_of(tokens, tokenizer):
    """The text of the tokens of `pairs`, up to the first STOP; other signs, and targets of -100, are left out."""
    tokens = [int(token) for token in tokens]
    if STOP in tokens:
        tokens = tokens[: tokens.index(STOP)]
    return tokenizer.decode([token - SPECIAL for token in tokens if token >= SPECIAL])


def apart(sources, targets, seed, shares=(0.9, 0.05)):
    """(train, validation, test) Texts of which no two share a source or a target: pairs that do are kept together.

    Groups of pairs that hang together come in an order drawn from `seed`, until each share of the pairs is reached."""
    together, root = list(zip(sources, targets, strict=True)), {}

    def find(item):
        while root.setdefault(item, item) != item:
            root[item] = item = root[root[item]]  # halve the way of the next search
        return item

    for source, target in together:
        root[find(("source", source))] = find(("target", target))
    groups = {}
    for source, target in together:
        groups.setdefault(find(("source", source)), []).append((source, target))
    groups = list(groups.values())
    order = np.random.default_rng(seed).permutation(len(groups))
    sizes = np.cumsum([len(groups[i]) for i in order])
    cuts = np.searchsorted(sizes, np.cumsum(shares) * len(together)) + 1
    return tuple(
        Texts(*zip(*(pair for i in part for pair in groups[i]), strict=True))
        if len(part)
        else Texts((), ())
        for part in np.split(order, cuts)
    )


def _shifted(tokenizer, text):
    return [token + SPECIAL for token in tokenizer.encode(text)]


def _longest(tokenizer, texts):
    return max(len(tokenizer.encode(text)) for text in texts)


def _length(side, rows, length):
    longest = max(len(row) for row in rows)
    if length is None:
        return longest
    check_whole(**{side: length})
    if longest > length:
        long = sum(len(row) > length for row in rows)
        with_start = ", START included" if side == "target" else ""
        raise ValueError(
            f"{long} of {len(rows)} {side}s are longer than {side}={length} tokens (the longest has {longest}{with_start}): pass {side}={longest}, or leave them out"
        )
    return length
