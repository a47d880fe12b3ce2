"""Memory of one training step of the articles' network for CIFAR-10 at batch 100, NumPy against eager PyTorch, each in a process of its own.

A step on two images comes first, so that libraries, optimizer states and thread pools are there. What counts is the peak resident size
during the step at batch 100 (the kernel's VmHWM, set back just before it) above the resident size before."""

import json
import os
import subprocess
import sys
from pathlib import Path

BAR, BATCH = 3.0, 100


def measure(side, threads):
    """Megabytes (of 2^20 bytes) that the step needs."""
    from benchmarks import cnn_step

    few, many = cnn_step.batch(2), cnn_step.batch(BATCH)
    if side == "numpy":
        step = cnn_step.numpy_step(threads)
    else:
        torch = cnn_step.torch
        torch.set_num_threads(threads)
        few, many = (tuple(map(torch.from_numpy, batch)) for batch in (few, many))
        step = cnn_step.torch_step()
    step(*few)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM back to VmRSS
    step(*many)
    return resident("VmHWM") - before


def resident(which):
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (kilobytes,) = (int(line.split()[1]) for line in lines if line.startswith(f"{which}:"))
    return kilobytes / 1024


def main(threads):
    if not Path("/proc/self/clear_refs").exists():
        raise RuntimeError("the peak of a single step is read from Linux's /proc: run this benchmark on Linux")
    sides = [
        float(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.cnn_memory", str(threads), side],
                capture_output=True,
                text=True,
                check=True,
                env=os.environ,
            ).stdout
        )
        for side in ("numpy", "torch")
    ]
    ours, theirs = (round(side, 1) for side in sides)
    what = f"CNN 3-32-64-1024-10, 32x32, batch {BATCH}, peak memory of one step"
    return {"what": what, "bar": BAR, "threads": threads, "unit": "MB", "ours": ours, "theirs": theirs, "ratio": round(ours / theirs, 3)}


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(measure(sys.argv[2], int(sys.argv[1])))
    else:
        print(json.dumps(main(int(sys.argv[1]))))
