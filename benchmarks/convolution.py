"""Convolution 3x3 of 32 images 28x28 from 16 to 32 channels, forward and backward, NumPy against eager PyTorch."""

import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.paired import paired_ratio
from dlcourse.numpy.convolution import conv2d

IMAGES, OUTPUTS, KERNEL, BAR = (32, 28, 28, 16), 32, 3, 3.0


def main(threads):
    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)
    x = rng.normal(size=IMAGES).astype(np.float32)
    weight = rng.normal(size=(OUTPUTS, KERNEL, KERNEL, IMAGES[3])).astype(np.float32)
    bias = rng.normal(size=OUTPUTS).astype(np.float32)
    dy = rng.normal(size=(*IMAGES[:3], OUTPUTS)).astype(np.float32)

    def torch_layout(array):
        return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2) if array.ndim == 4 else array))

    tensors = [torch_layout(array).requires_grad_() for array in (x, weight, bias)]
    upstream = torch_layout(dy)

    def ours():
        _, backward = conv2d(x, weight, bias, padding=1)
        return backward(dy)[1]

    def theirs():
        return torch.autograd.grad(F.conv2d(*tensors, padding=1), tensors, upstream)[1]

    expected = theirs().permute(0, 2, 3, 1).numpy()
    error = np.linalg.norm(ours() - expected) / np.linalg.norm(expected)
    assert error < 1e-5, f"the two compute different things: weight gradients differ by {error}"
    what = "convolution 3x3, 32x28x28x16 to 32, forward and backward"
    return {"what": what, "bar": BAR, "threads": threads} | paired_ratio(ours, theirs, calls=5)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
