"""One training step (forward, cross-entropy, backward, AdamW) of the GPT that nanoGPT trains on a processor, NumPy against eager PyTorch.

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
from dlcourse.config import GPTConfig
from dlcourse.initial import initial_state

CONFIG, BATCH, BARS = GPTConfig(vocab=65, context=64, layers=4, heads=4, width=128), 12, {1: None, 2: 1.5}  # None: reported, no bar


def batch():
    """x, y (B, T)"""
    return np.random.default_rng(0).integers(0, CONFIG.vocab, (2, BATCH, CONFIG.context))


def numpy_step(workers):
    """step(x, y) -> loss"""
    model = dlcourse.numpy.GPT(CONFIG)
    model.load_state(initial_state(CONFIG, seed=0))
    learner = dlcourse.numpy.Learner(model, dlcourse.numpy.AdamW(model, weight_decay=0.1), workers=workers)
    return lambda x, y: learner.step((x, y), RATE)


def torch_step():
    """The loop as its users write it, on tensors made beforehand: no conversion is charged to PyTorch."""
    model = dlcourse.torch.GPT(CONFIG)
    model.load_state(initial_state(CONFIG, seed=0))
    decayed = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE)

    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def ours(threads):
    step, (x, y) = numpy_step(threads), batch()
    return lambda: step(x, y)


def theirs(threads):
    torch.set_num_threads(threads)
    step, (x, y) = torch_step(), map(torch.from_numpy, batch())
    return lambda: step(x, y)


def main(threads):
    what = "GPT of nanoGPT's size for a processor, batch 12 of 64 tokens, AdamW, one step"
    sides = functools.partial(ours, threads), functools.partial(theirs, threads)
    return {"what": what, "bar": BARS[threads], "threads": threads} | paired_ratio(*sides, calls=3)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
