"""`make bench`: paired timings of NumPy against PyTorch, written to results/bench.json."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

EXTRAS = ("torch",)
BENCHMARKS = {"mlp_step": (1, 2), "norms": (1,), "convolution": (1,)}  # and the numbers of threads that the bar is set for
RESULT = Path("results/bench.json")


def main(arguments):
    """Run every benchmark at its numbers of threads, each in a process of its own -> 1 if a ratio misses its bar."""
    rows = []
    for name, counts in BENCHMARKS.items():
        for threads in counts:
            row = measure(name, threads)
            rows.append(row)
            verdict = "ok" if row["ratio"] <= row["bar"] else "MISSED"
            low, high = row["ratio_range"]
            print(
                f"{row['what']}, {threads} thread{'s' if threads > 1 else ''}: NumPy {row['ours_ms']:.2f} ms, PyTorch {row['theirs_ms']:.2f} ms, "
                f"ratio {row['ratio']:.2f} ({low:.2f} to {high:.2f}), bar {row['bar']:.2f}: {verdict}"
            )
    versions = {"python": platform.python_version()} | {package: version(package).split("+")[0] for package in ("numpy", "torch")}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(
        json.dumps({"versions": versions, "machine": platform.machine(), "cpus": os.cpu_count(), "benchmarks": rows}, indent=1) + "\n"
    )
    print(f"written to {RESULT}")
    return int(any(row["ratio"] > row["bar"] for row in rows))


def measure(name, threads):
    """The benchmark's row, from a process whose thread pools all have `threads` threads."""
    pools = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    run = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", str(threads)], env=os.environ | pools, capture_output=True, text=True, check=True
    )
    return json.loads(run.stdout)
