"""Paired timing: both sides alternate in one process with the same number of threads, so that a noisy machine disturbs them alike."""

import statistics
import time


def paired_ratio(ours, theirs, calls, rounds=15):
    """Time `calls` calls of each function, `rounds` times in turn -> milliseconds a call, and the ratio ours / theirs (median and range).

    Every turn begins with a pause and a call that is not timed: after their last operation the other side's threads spin on a
    core for a while, NumPy's OpenBLAS for some 30 ms, waiting for work that in a training run would come."""
    for function in (ours, theirs):  # warm-up: first-touch memory, thread pools
        for _ in range(calls):
            function()
    pairs = [(_seconds(ours, calls), _seconds(theirs, calls)) for _ in range(rounds)]
    ratios = sorted(a / b for a, b in pairs)
    return {
        "ours_ms": round(1000 * statistics.median(a for a, _ in pairs) / calls, 4),
        "theirs_ms": round(1000 * statistics.median(b for _, b in pairs) / calls, 4),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
        "rounds": rounds,
        "calls": calls,
    }


def _seconds(function, calls):
    time.sleep(0.05)
    function()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return time.perf_counter() - start
