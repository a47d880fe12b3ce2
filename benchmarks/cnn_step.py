"""One training step (forward, cross-entropy, backward, Adam) of the articles' network for CIFAR-10 at batch 100, NumPy against eager PyTorch.

NumPy gets a worker for each thread (`dlcourse.numpy.workers`), PyTorch splits its operations over as many by itself."""

import functools
import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

import dlcourse.numpy
import dlcourse.torch
from benchmarks.paired import RATE, paired_ratio
from dlcourse.initial import initial_state
from dlcourse.recipes import ARTICLE_NETWORKS

NETWORK, BATCH = "3-32-64-1024-10", 100
CONFIG, BARS = ARTICLE_NETWORKS[NETWORK], {1: None, 2: 1.5}  # None: reported, no bar


def batch(images):
    rng = np.random.default_rng(0)
    return rng.random((images, *CONFIG.inputs), dtype=np.float32), rng.integers(0, CONFIG.outputs, images)


def numpy_step(workers):
    """step(x, y) -> loss"""
    model = dlcourse.numpy.CNN(CONFIG)
    model.load_state(initial_state(CONFIG, seed=0))
    learner = dlcourse.numpy.Learner(model, dlcourse.numpy.Adam(model), workers=workers)
    return lambda x, y: learner.step((x, y), RATE)


def torch_step():
    """The loop as its users write it, on tensors made beforehand: no conversion is charged to PyTorch."""
    model = dlcourse.torch.CNN(CONFIG)
    model.load_state(initial_state(CONFIG, seed=0))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def ours(threads):
    step, (x, y) = numpy_step(threads), batch(BATCH)
    return lambda: step(x, y)


def theirs(threads):
    torch.set_num_threads(threads)
    step, (x, y) = torch_step(), map(torch.from_numpy, batch(BATCH))
    return lambda: step(x, y)


def main(threads):
    what = f"CNN {NETWORK}, 32x32, batch {BATCH}, Adam, one step"
    sides = functools.partial(ours, threads), functools.partial(theirs, threads)
    return {"what": what, "bar": BARS[threads], "threads": threads} | paired_ratio(*sides, calls=3)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
