"""One training step (forward, cross-entropy, backward, Adam) of the 784-128-64-10 network at batch 64, NumPy against eager PyTorch."""

import functools
import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

import dlcourse.numpy
import dlcourse.torch
from benchmarks.paired import RATE, paired_ratio
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state

CONFIG, BATCH, BAR = MLPConfig(784), 64, 0.9


def batch():
    rng = np.random.default_rng(0)
    return rng.random((BATCH, 784), dtype=np.float32), rng.integers(0, 10, BATCH)


def numpy_step():
    model = dlcourse.numpy.MLP(CONFIG)
    model.load_state(initial_state(CONFIG, seed=0))
    learner = dlcourse.numpy.Learner(model, dlcourse.numpy.Adam(model))
    x, y = batch()
    return lambda: learner.step((x, y), RATE)


def torch_step(threads):
    """The loop as its users write it, on tensors made beforehand: no conversion is charged to PyTorch."""
    torch.set_num_threads(threads)
    model = dlcourse.torch.MLP(CONFIG)
    model.load_state(initial_state(CONFIG, seed=0))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    x, y = map(torch.from_numpy, batch())

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main(threads):
    what = "MLP 784-128-64-10, batch 64, Adam, one step"
    sides = numpy_step, functools.partial(torch_step, threads)
    return {"what": what, "bar": BAR, "threads": threads} | paired_ratio(*sides, calls=100)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
