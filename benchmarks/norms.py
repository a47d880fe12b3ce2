"""Layer norm and batch norm, forward and backward at (2048, 128) in float32, NumPy against PyTorch's own operations."""

import functools
import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.paired import paired_ratio
from dlcourse.numpy import functional as f

ROWS, FEATURES, BAR = 2048, 128, 3.0


def arrays():
    """x, weight, bias, dy"""
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(np.float32) for shape in ((ROWS, FEATURES), FEATURES, FEATURES, (ROWS, FEATURES))]


def numpy_call(name):
    x, weight, bias, dy = arrays()
    mean, variance = np.zeros(FEATURES, np.float32), np.ones(FEATURES, np.float32)

    def call():
        if name == "layer_norm":
            y, backward = f.layer_norm(x, weight, bias)
        else:
            y, backward = f.batch_norm(x, weight, bias, mean, variance, training=True)
        return y, *backward(dy)

    return call


def torch_call(name, threads):
    """On tensors made beforehand; `grad` leaves nothing to be cleared between calls. What is returned is a view."""
    torch.set_num_threads(threads)
    x, weight, bias, dy = map(torch.from_numpy, arrays())
    mean, variance = torch.zeros(FEATURES), torch.ones(FEATURES)
    arguments = [tensor.requires_grad_() for tensor in (x.clone(), weight.clone(), bias.clone())]

    def call():
        if name == "layer_norm":
            y = F.layer_norm(arguments[0], (FEATURES,), *arguments[1:])
        else:
            y = F.batch_norm(arguments[0], mean, variance, *arguments[1:], training=True)
        return tuple(tensor.numpy(force=True) for tensor in (y, *torch.autograd.grad(y, arguments, dy)))

    return call


def rows(threads):
    for name in ("layer_norm", "batch_norm"):
        what = f"{name} forward and backward, ({ROWS}, {FEATURES})"
        sides = functools.partial(numpy_call, name), functools.partial(torch_call, name, threads)
        yield {"what": what, "bar": BAR, "threads": threads} | paired_ratio(*sides, calls=50)


def main(threads):
    """The slower of the two, measured against its bar, with the other beside it."""
    found = sorted(rows(threads), key=lambda row: row["ratio"])
    return found[-1] | {"other": found[0]}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
