"""Pairs with one right answer, made from a seed: dates as people write them, and sums."""

import datetime

import numpy as np

from dlcourse.boundary import check_whole
from dlcourse.data.translation import Pairs, Texts

FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
DAYS = (LAST - FIRST).days + 1
MONTHS = tuple(
    "January February March April May June July August September October November December".split()
)
WEEKDAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())


def _ordinal(day):
    ending = "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


# Each can be read in one way only: points mean day first (as in German), slashes month first (as in the USA).
FORMATS = (
    lambda d: f"{d.day} {MONTHS[d.month - 1]} {d.year}",  # 3 March 1987
    lambda d: f"{MONTHS[d.month - 1]} {d.day}, {d.year}",  # March 3, 1987
    lambda d: f"{WEEKDAYS[d.weekday()]}, {d.day} {MONTHS[d.month - 1]} {d.year}",
    lambda d: f"the {_ordinal(d.day)} of {MONTHS[d.month - 1]} {d.year}",  # the 3rd of March 1987
    lambda d: f"{d.day:02d}-{MONTHS[d.month - 1][:3].upper()}-{d.year}",  # 03-MAR-1987
    lambda d: f"{d.day}.{d.month}.{d.year}",  # 3.3.1987
    lambda d: f"{d.month:02d}/{d.day:02d}/{d.year}",  # 03/03/1987
    lambda d: f"{d.year}年{d.month}月{d.day}日",
)


def dates(train=10_000, validation=1_000, test=1_000, seed=0):
    """Dates from 1900 to 2099 in eight ways of writing -> ISO 8601, "3 March 1987" -> "1987-03-03": the Pairs "dates".

    No date is in two parts, nor twice in one; each is written in one way, drawn at random."""
    check_whole(train=train, validation=validation, test=test)
    if train + validation + test > DAYS:
        raise ValueError(
            f"{train + validation + test} dates, but {FIRST} to {LAST} are {DAYS} days: ask for fewer"
        )
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(DAYS)[: train + validation + test]
    ways = rng.integers(0, len(FORMATS), len(chosen))
    days = [FIRST + datetime.timedelta(days=int(day)) for day in chosen]
    written = [FORMATS[way](day) for way, day in zip(ways, days, strict=True)]
    parts = _parts(written, [day.isoformat() for day in days], train, validation)
    return Pairs("dates", *parts, f"generated, seed {seed}", "none needed")


def arithmetic(train=20_000, validation=1_000, test=1_000, digits=3, reverse=False, seed=0):
    """Sums of two whole numbers of up to `digits` digits, "57+208" -> "265": the Pairs "arithmetic".

    With `reverse` the answer is written from its last digit, "562", the order in which carries arise. If a+b is in one part,
    neither a+b nor b+a is in another, and none comes twice; equal answers do."""
    check_whole(train=train, validation=validation, test=test, digits=digits)
    if digits > 9:
        raise ValueError(f"digits={digits}: take at most 9, there is nothing new in more")
    count, limit = train + validation + test, 10**digits
    if count > limit * (limit + 1) // 4:
        raise ValueError(
            f"{count} sums are more than half of those with {digits} digits: ask for fewer, or for digits={digits + 1}"
        )
    rng, seen, sums = np.random.default_rng(seed), set(), []
    while len(sums) < count:
        for a, b in rng.integers(0, limit, size=(count, 2)).tolist():
            if (min(a, b), max(a, b)) not in seen and len(sums) < count:
                seen.add((min(a, b), max(a, b)))
                sums.append((a, b))
    answers = [str(a + b) for a, b in sums]
    answers = [answer[::-1] for answer in answers] if reverse else answers
    parts = _parts([f"{a}+{b}" for a, b in sums], answers, train, validation)
    order = ", answers reversed" if reverse else ""
    return Pairs("arithmetic", *parts, f"generated, seed {seed}{order}", "none needed")


def _parts(sources, targets, train, validation):
    cuts = (slice(train), slice(train, train + validation), slice(train + validation, None))
    return [Texts(tuple(sources[cut]), tuple(targets[cut])) for cut in cuts]
