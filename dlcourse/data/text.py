"""Texts for language models: a string for each split, and windows of tokens."""

from dataclasses import dataclass

import numpy as np

from dlcourse.boundary import check_whole
from dlcourse.data.dataset import Dataset, Split


@dataclass(frozen=True)
class Text:
    """A text in three parts without a common passage, and where it comes from. `test` is "" where a set has none."""

    name: str
    train: str
    validation: str
    test: str
    source: str
    licence: str

    def windows(self, tokenizer, context):
        """The Dataset of a language model: x (N, T) are windows of T = context tokens, y (N, T) the tokens that follow each.

        A window begins at every token of the training text (views of it, without copies); those of the other parts do not
        overlap, so that each token counts once. `classes` are the tokens as text."""
        parts = [
            _split(tokenizer.encode(text), context, stride, f"{self.name}'s {part}")
            for part, text, stride in (
                ("training text", self.train, 1),
                ("validation text", self.validation, context),
                ("test text", self.test, context),
            )
        ]
        classes = tuple(tokenizer.decode([token]) for token in range(len(tokenizer)))
        return Dataset(self.name, *parts, classes, self.source, self.licence)

    def __repr__(self):
        sizes = " / ".join(f"{len(part):,}" for part in (self.train, self.validation, self.test))
        return f"Text({self.name}: {sizes} characters)"


def windows(tokens, context, stride=1):
    """x_nt = token_(ns + t), y_nt = token_(ns + t + 1): windows of T = `context` tokens, and what follows each token.

    tokens (N,) -> x, y int64, (N - T, T) for stride s = 1; both are views of one array, N numbers in memory and not N T.
    With `stride=context` they do not overlap; up to T tokens at the end are then left out.
    Raises ValueError for tokens that are not a list of whole numbers, or too few for one window."""
    check_whole(context=context, stride=stride)
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
        raise ValueError(
            f"tokens are {tokens.dtype} of shape {tokens.shape}: pass the list of whole numbers that tokenizer.encode(text) gives"
        )
    if len(tokens) <= context:
        raise ValueError(
            f"{len(tokens)} tokens make no window of {context} and the token after it: take context={max(len(tokens) - 1, 1)} or less, or a longer text"
        )
    tokens = tokens.astype(np.int64, copy=False)
    all_windows = np.lib.stride_tricks.sliding_window_view(tokens, context)  # (N - T + 1, T)
    return all_windows[:-1:stride], all_windows[1::stride]


def by_position(text_parts, shares=(0.9, 0.05)):
    """(train, validation, test): pieces of text in their order, cut where the shares of the characters are reached."""
    ends = np.cumsum([len(part) for part in text_parts])
    first, second = np.searchsorted(ends, np.cumsum(shares) * ends[-1]) + 1
    return text_parts[:first], text_parts[first:second], text_parts[second:]


def _split(tokens, context, stride, what):
    if not tokens:
        return Split(np.empty((0, context), np.int64), np.empty((0, context), np.int64))
    try:
        return Split(*windows(tokens, context, stride))
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
