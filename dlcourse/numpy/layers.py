"""Layers: parameters around the functions of `functional.py`."""

from dlcourse.numpy import functional as f
from dlcourse.numpy.module import Module, Parameter


class Linear(Module):
    """y = x W^T + b  (eq-linear).  x (..., I) -> y (..., O); weight (O, I), bias (O,)"""

    def __init__(self, inputs, outputs):
        self.weight = Parameter((outputs, inputs))
        self.bias = Parameter((outputs,))

    def __call__(self, x):
        y, vjp = f.linear(x, self.weight.data, self.bias.data)

        def backward(dy):
            dx, dweight, dbias = vjp(dy)
            self.weight.grad += dweight
            self.bias.grad += dbias
            return dx

        return y, backward
