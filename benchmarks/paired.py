"""Paired timing: both sides take turns with the same number of threads, so that a noisy machine disturbs them alike.

Each has a process of its own, as it has for its users. In one process each would change the other: after a training step of NumPy's
workers glibc keeps freed memory, which takes PyTorch's CNN from 5000 page faults a step to none and to 0.85 of its time, and threads
that wait for work of one side spin on the cores of the other."""

import contextlib
import multiprocessing
import statistics
import time

import numpy as np

# learning rate of a timed step. With a usual one thousands of steps on one batch make its gradients, and above all
# their squares, subnormal numbers, with which a processor takes twice as long; in a training they are rare.
RATE = 1e-6


def paired_ratio(ours, theirs, calls, rounds=31):
    """Time `calls` calls of two functions, `rounds` times in turn -> milliseconds a call, and the ratio ours / theirs (median and range).

    `ours()` and `theirs()`, functions of a module, make these functions, each in its process; what the first calls return, numbers or
    arrays, must agree. A turn begins with a pause and a call that is not timed: threads that spin come to rest, memory comes near."""
    with _side(ours) as mine, _side(theirs) as other:
        _check_agreement(mine.recv(), other.recv())
        for side in (mine, other):  # warm-up: first-touch memory, thread pools
            _seconds(side, calls)
        pairs = [(_seconds(mine, calls), _seconds(other, calls)) for _ in range(rounds)]
    ratios = sorted(a / b for a, b in pairs)
    return {
        "ours_ms": round(1000 * statistics.median(a for a, _ in pairs) / calls, 4),
        "theirs_ms": round(1000 * statistics.median(b for _, b in pairs) / calls, 4),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(ratios[0], 3), round(ratios[-1], 3)],
        "rounds": rounds,
        "calls": calls,
    }


@contextlib.contextmanager
def _side(make):
    """The connection to a process that answers a number of calls with their time in seconds."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(make, there), daemon=True)
    process.start()
    there.close()  # if the process dies, reading here ends with EOFError
    try:
        yield here
    finally:
        here.close()
        process.join()


def _serve(make, connection):
    function = make()
    connection.send(function())
    with contextlib.suppress(EOFError):  # the other end has what it wants
        while True:
            calls = connection.recv()
            time.sleep(0.05)
            function()
            start = time.perf_counter()
            for _ in range(calls):
                function()
            connection.send(time.perf_counter() - start)


def _seconds(side, calls):
    side.send(calls)
    return side.recv()


def _check_agreement(mine, other, tolerance=1e-5):
    """Losses differ by at most 1e-5, arrays by as much of their length."""
    for a, b in zip(*(results if isinstance(results, tuple) else (results,) for results in (mine, other)), strict=True):
        error = np.linalg.norm(np.subtract(a, b)) / (np.linalg.norm(b) if np.ndim(b) else 1.0)
        assert error <= tolerance, f"the two compute different things: their results differ by {error:.1e}"
