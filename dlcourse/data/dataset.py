"""What a data set is, and how one is split."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class Split(NamedTuple):
    """Examples x (N, ...) and their targets y (N,)."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """Three splits without a common example, and where they come from."""

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]  # none where the targets are numbers
    source: str
    licence: str
    tokenizer: Any = None  # whose tokens the examples hold, where they are language

    @property
    def shape(self):
        """The shape of one example: (28, 28, 1)."""
        return self.train.x.shape[1:]

    def __repr__(self):
        sizes = " / ".join(
            f"{len(split.y):,}" for split in (self.train, self.validation, self.test)
        )
        targets = f"{len(self.classes)} classes" if self.classes else "numbers as targets"
        return f"Dataset({self.name}: {sizes} examples of shape {self.shape}, {targets})"


def stratified(labels, seed, shares=(0.7, 0.1, 0.2)):
    """Indices of disjoint parts that together hold every example, each class divided in the given shares.

    labels (N,) -> one sorted index array for each share. The generator is made from `seed`: the same split everywhere."""
    rng = np.random.default_rng(seed)
    parts = [[] for _ in shares]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        cuts = np.round(np.cumsum(shares)[:-1] * len(members)).astype(int)
        for part, chosen in zip(parts, np.split(members, cuts), strict=True):
            part.append(chosen)
    return [np.sort(np.concatenate(part)) for part in parts]


def splits(x, y, seed):
    """(train, validation, test) of a data set that has no official split: 70, 10 and 20 % of every class."""
    return [Split(x[index], y[index]) for index in stratified(y, seed)]
