"""Layer norm and batch norm, forward and backward at (2048, 128) in float32, NumPy against PyTorch's own operations."""

import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.paired import paired_ratio
from dlcourse.numpy import functional as f

ROWS, FEATURES, BAR = 2048, 128, 3.0


def numpy_call(name, x, weight, bias, dy):
    mean, variance = np.zeros(FEATURES, np.float32), np.ones(FEATURES, np.float32)

    def call():
        if name == "layer_norm":
            y, backward = f.layer_norm(x, weight, bias)
        else:
            y, backward = f.batch_norm(x, weight, bias, mean, variance, training=True)
        return y, *backward(dy)

    return call


def torch_call(name, *arrays):
    """On tensors made beforehand; `grad` leaves nothing to be cleared between calls."""
    x, weight, bias, dy = (torch.from_numpy(array) for array in arrays)
    mean, variance = torch.zeros(FEATURES), torch.ones(FEATURES)
    arguments = [tensor.requires_grad_() for tensor in (x.clone(), weight.clone(), bias.clone())]

    def call():
        if name == "layer_norm":
            y = F.layer_norm(arguments[0], (FEATURES,), *arguments[1:])
        else:
            y = F.batch_norm(arguments[0], mean, variance, *arguments[1:], training=True)
        return y, *torch.autograd.grad(y, arguments, dy)

    return call


def rows(threads):
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=(ROWS, FEATURES)).astype(np.float32) for _ in range(2))
    weight, bias = (rng.normal(size=FEATURES).astype(np.float32) for _ in range(2))
    for name in ("layer_norm", "batch_norm"):
        ours, theirs = numpy_call(name, x, weight, bias, dy), torch_call(name, x, weight, bias, dy)
        for mine, other in zip(ours(), theirs(), strict=True):
            error = np.linalg.norm(mine - other.numpy(force=True)) / np.linalg.norm(mine)
            assert error < 1e-5, f"the two compute different things: {name} differs by {error}"
        what = f"{name} forward and backward, ({ROWS}, {FEATURES})"
        yield {"what": what, "bar": BAR, "threads": threads} | paired_ratio(ours, theirs, calls=50)


def main(threads):
    """The slower of the two, measured against its bar, with the other beside it."""
    found = sorted(rows(threads), key=lambda row: row["ratio"])
    return found[-1] | {"other": found[0]}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
