"""Changes of columns that are learned from the training set and applied to every part."""

import numpy as np


class Standardize:
    """x -> (x - m) / s, column by column: mean and deviation of the examples that it was made with  (eq-standardize).

    `scale = Standardize(train.x)`, then `scale(test.x)`, (N, I) -> (N, I). A constant column has no deviation, and is only shifted.
    Raises ValueError for what is not (N, I), no examples, NaN, infinity, another number of columns."""

    def __init__(self, x):
        x = _columns(x)
        _refuse(np.isnan(x).any(), "an entry is missing (NaN): fill it first, with Impute(train.x)")
        _refuse(
            np.isinf(x).any(),
            "an entry is infinite: leave its row out, or put NaN there and fill it",
        )
        self.mean = x.mean(axis=0)
        self.deviation = np.where(x.max(axis=0) > x.min(axis=0), x.std(axis=0), 1.0)

    def __call__(self, x):
        return (_columns(x, len(self.mean)) - self.mean) / self.deviation


class Impute:
    """Puts the median of a column in the place of its missing entries (NaN): the median of the examples that it was made with.

    `fill = Impute(train.x)`, then `fill(test.x)`, (N, I) -> (N, I). Errors as `Standardize`, and for a column without any entry."""

    def __init__(self, x):
        x = _columns(x)
        _refuse(np.isnan(x).all(axis=0).any(), "a column has no entry at all: leave the column out")
        self.median = np.nanmedian(x, axis=0)

    def __call__(self, x):
        x = _columns(x, len(self.median))
        return np.where(np.isnan(x), self.median, x)


def _columns(x, width=None):
    x = np.asarray(x, np.float64)
    _refuse(x.ndim != 2 or len(x) == 0, f"shape {x.shape}: pass a table (N, I) of at least 1 row")
    _refuse(width not in (None, x.shape[1]), f"{x.shape[1]} columns, but it was made with {width}")
    return x


def _refuse(fault, sentence):
    if fault:
        raise ValueError(sentence)
