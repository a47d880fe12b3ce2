"""One training step (forward, cross-entropy, backward, Adam) of an LSTM language model, NumPy against eager PyTorch.

Vocabulary 65, embedding 64, one layer of 128, windows of 64 tokens, batch 32. Both split their matrix products over
the threads. A worker for each thread (`dlcourse.numpy.workers`) takes twice as long here: the operations of a step in time are short, and
the workers wait for each other at Python's lock."""

import functools
import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

import dlcourse.numpy
import dlcourse.torch
from benchmarks.paired import RATE, paired_ratio
from dlcourse.config import RNNConfig
from dlcourse.initial import initial_state

CONFIG, BATCH, CONTEXT, BAR = RNNConfig(vocab=65), 32, 64, 1.8


def batch():
    """x, y (B, T)"""
    return np.random.default_rng(0).integers(0, CONFIG.vocab, (2, BATCH, CONTEXT))


def numpy_step():
    model = dlcourse.numpy.RNN(CONFIG)
    model.load_state(initial_state(CONFIG, seed=0))
    learner = dlcourse.numpy.Learner(model, dlcourse.numpy.Adam(model))
    x, y = batch()
    return lambda: learner.step((x, y), RATE)


def torch_step(threads):
    """The loop as its users write it, on tensors made beforehand: no conversion is charged to PyTorch."""
    torch.set_num_threads(threads)
    model = dlcourse.torch.RNN(CONFIG)
    model.load_state(initial_state(CONFIG, seed=0))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    x, y = map(torch.from_numpy, batch())

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main(threads):
    what = f"LSTM language model {CONFIG.vocab}-{CONFIG.embed}-{CONFIG.hidden}, {BATCH} x {CONTEXT} tokens, Adam, one step"
    sides = numpy_step, functools.partial(torch_step, threads)
    return {"what": what, "bar": BAR, "threads": threads} | paired_ratio(*sides, calls=5)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
