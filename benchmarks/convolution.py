"""Convolution 3x3 of 32 images 28x28 from 16 to 32 channels, forward and backward, NumPy against eager PyTorch."""

import functools
import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.paired import paired_ratio
from dlcourse.numpy.convolution import conv2d

IMAGES, OUTPUTS, KERNEL, BAR = (32, 28, 28, 16), 32, 3, 3.0


def arrays():
    """x, weight, bias, dy"""
    rng = np.random.default_rng(0)
    shapes = IMAGES, (OUTPUTS, KERNEL, KERNEL, IMAGES[3]), (OUTPUTS,), (*IMAGES[:3], OUTPUTS)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def ours():
    x, weight, bias, dy = arrays()

    def call():
        _, backward = conv2d(x, weight, bias, padding=1)
        return backward(dy)[1]

    return call


def theirs(threads):
    """On tensors made beforehand, in PyTorch's own layout; the gradient is returned in ours, a view."""
    torch.set_num_threads(threads)
    *tensors, upstream = (
        torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array)) for array in arrays()
    )
    tensors = [tensor.requires_grad_() for tensor in tensors]
    return lambda: torch.autograd.grad(F.conv2d(*tensors, padding=1), tensors, upstream)[1].permute(0, 2, 3, 1).numpy()


def main(threads):
    what = "convolution 3x3, 32x28x28x16 to 32, forward and backward"
    return {"what": what, "bar": BAR, "threads": threads} | paired_ratio(ours, functools.partial(theirs, threads), calls=5)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
