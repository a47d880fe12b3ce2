"""The words and verdicts of `make bench`; the timings themselves are no test."""

import functools
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.paired import paired_ratio
from tools import bench

TIMED = {
    "what": "A step",
    "threads": 2,
    "ours_ms": 3.0,
    "theirs_ms": 2.0,
    "ratio": 1.5,
    "ratio_range": [1.25, 2.0],
}


@pytest.mark.parametrize(
    ("row", "missed", "words"),
    [
        (TIMED | {"bar": 1.5}, False, "A step, 2 threads: NumPy 3.00 ms, PyTorch 2.00 ms, ratio 1.50 (1.25 to 2.00), bar 1.50: ok"),
        (TIMED | {"bar": 1.4}, True, "A step, 2 threads: NumPy 3.00 ms, PyTorch 2.00 ms, ratio 1.50 (1.25 to 2.00), bar 1.40: MISSED"),
        (TIMED | {"bar": None}, False, "A step, 2 threads: NumPy 3.00 ms, PyTorch 2.00 ms, ratio 1.50 (1.25 to 2.00), no bar"),
        (TIMED | {"bar": 1.5, "ratio": float("nan")}, True, "MISSED"),
        (
            {"what": "Memory", "threads": 1, "unit": "MB", "ours": 30.04, "theirs": 60.0, "ratio": 0.5, "bar": 3.0},
            False,
            "Memory, 1 thread: NumPy 30.0 MB, PyTorch 60.0 MB, ratio 0.50, bar 3.00: ok",
        ),
    ],
)
def test_a_row_says_whether_its_bar_is_missed(row, missed, words):
    assert bench.is_missed(row) is missed
    assert words in bench.sentence(row)


def test_the_record_holds_every_benchmark():
    rows = json.loads((Path(__file__).parents[2] / bench.RESULT).read_text())["benchmarks"]
    recorded = [(row["name"], row["threads"]) for row in rows]
    assert recorded == [(name, threads) for name, counts in bench.BENCHMARKS.items() for threads in counts], "run `make bench` again"


def sleeper(seconds, result):
    def call():
        time.sleep(seconds)
        return result

    return call


def elsewhere(process):
    return lambda: float(os.getpid() != process)


def test_each_side_has_a_process_of_its_own():
    paired_ratio(functools.partial(elsewhere, os.getpid()), functools.partial(sleeper, 0.0, 1.0), calls=1, rounds=1)


def test_two_sides_take_turns():
    row = paired_ratio(functools.partial(sleeper, 0.02, 1.0), functools.partial(sleeper, 0.0, 1.0 + 1e-6), calls=2, rounds=3)
    assert row["ours_ms"] >= 20 and row["ratio"] > 1
    assert row["ratio_range"][0] <= row["ratio"] <= row["ratio_range"][1]
    assert (row["rounds"], row["calls"]) == (3, 2)


@pytest.mark.parametrize(("mine", "other"), [(1.0, 1.1), (np.ones(3), np.array([1, 1, 1.001])), (np.nan, 1.0), ((1.0, 2.0), (1.0, 2.1))])
def test_sides_that_compute_different_things_are_refused(mine, other):
    with pytest.raises(AssertionError, match="compute different things"):
        paired_ratio(functools.partial(sleeper, 0, mine), functools.partial(sleeper, 0, other), calls=1)
