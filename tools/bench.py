"""`make bench`: paired timings of NumPy against PyTorch, written to results/bench.json."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

EXTRAS = ("torch",)
# and the numbers of threads that they run with
BENCHMARKS = {
    "mlp_step": (1, 2),
    "norms": (1,),
    "convolution": (1,),
    "cnn_step": (1, 2),
    "cnn_memory": (1, 2),
    "lstm_step": (1, 2),
    "gpt_step": (1, 2),
}
RESULT = Path("results/bench.json")


def main(arguments):
    """Run every benchmark at its numbers of threads, each in a process of its own -> 1 if a ratio misses its bar."""
    rows = []
    for name, counts in BENCHMARKS.items():
        for threads in counts:
            row = measure(name, threads)
            rows.append(row)
            print(sentence(row))
    versions = {"python": platform.python_version()} | {package: version(package).split("+")[0] for package in ("numpy", "torch")}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(
        json.dumps({"versions": versions, "machine": platform.machine(), "cpus": os.cpu_count(), "benchmarks": rows}, indent=1) + "\n"
    )
    print(f"written to {RESULT}")
    return int(any(is_missed(row) for row in rows))


def is_missed(row):
    """Whether the ratio is above the bar; a bar of None means that the ratio is reported only."""
    return row["bar"] is not None and not row["ratio"] <= row["bar"]


def sentence(row):
    """What a row says: milliseconds of a call, or megabytes where it has a unit of its own."""
    threads = f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}"
    if "unit" in row:
        sides, spread = f"NumPy {row['ours']:.1f} {row['unit']}, PyTorch {row['theirs']:.1f} {row['unit']}", ""
    else:
        sides = f"NumPy {row['ours_ms']:.2f} ms, PyTorch {row['theirs_ms']:.2f} ms"
        spread = " ({:.2f} to {:.2f})".format(*row["ratio_range"])
    verdict = "no bar" if row["bar"] is None else f"bar {row['bar']:.2f}: {'MISSED' if is_missed(row) else 'ok'}"
    return f"{row['what']}, {threads}: {sides}, ratio {row['ratio']:.2f}{spread}, {verdict}"


def measure(name, threads):
    """The benchmark's row, from a process whose thread pools all have `threads` threads."""
    pools = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    run = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", str(threads)], env=os.environ | pools, capture_output=True, text=True, check=True
    )
    return {"name": name} | json.loads(run.stdout)
