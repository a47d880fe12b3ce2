"""Layers: parameters around the functions of `functional.py`."""

import numpy as np

from dlcourse.numpy import functional as f
from dlcourse.numpy.module import Buffer, Module, Parameter


class Linear(Module):
    """y = x W^T + b  (eq-linear).  x (..., I) -> y (..., O); weight (O, I), bias (O,)

    Before a batch norm the bias is left out, bias=False: the norm takes it away again."""

    def __init__(self, inputs, outputs, bias=True):
        self.weight = Parameter((outputs, inputs))
        self.bias = Parameter((outputs,)) if bias else None

    def __call__(self, x):
        weight = self.weight.data
        bias = self.bias.data if self.bias else np.zeros(len(weight), weight.dtype)
        y, vjp = f.linear(x, weight, bias)

        def backward(dy):
            dx, dweight, dbias = vjp(dy)
            self.weight.grad += dweight
            if self.bias:
                self.bias.grad += dbias
            return dx

        return y, backward


class LayerNorm(Module):
    """y = w x^ + b, x^ = x with mean 0 and variance 1 in each row  (eq-layer-norm).

    x, y (..., C); weight, bias (C,)"""

    def __init__(self, features, eps=1e-5):
        self.weight, self.bias = Parameter((features,)), Parameter((features,))
        self.weight.data[...] = 1
        self.eps = eps

    def __call__(self, x):
        y, vjp = f.layer_norm(x, self.weight.data, self.bias.data, self.eps)

        def backward(dy):
            dx, dweight, dbias = vjp(dy)
            self.weight.grad += dweight
            self.bias.grad += dbias
            return dx

        return y, backward


class RMSNorm(Module):
    """y = w x / sqrt(mean(x^2) + eps)  (eq-rms-norm).  x, y (..., C); weight (C,)"""

    def __init__(self, features, eps=1e-6):
        self.weight = Parameter((features,))
        self.weight.data[...] = 1
        self.eps = eps

    def __call__(self, x):
        y, vjp = f.rms_norm(x, self.weight.data, self.eps)

        def backward(dy):
            dx, dweight = vjp(dy)
            self.weight.grad += dweight
            return dx

        return y, backward


class BatchNorm(Module):
    """y = w x^ + b, x^ = x with mean 0 and variance 1 in each feature  (eq-batch-norm).

    Training takes mean and variance from the batch and updates the running ones
    (eq-running-statistics), evaluation takes the running ones. x, y (..., C); weight, bias,
    running_mean, running_var (C,)"""

    def __init__(self, features, momentum=0.1, eps=1e-5):
        self.weight, self.bias = Parameter((features,)), Parameter((features,))
        self.weight.data[...] = 1
        self.running_mean = Buffer(np.zeros(features, np.float32))
        self.running_var = Buffer(np.ones(features, np.float32))
        self.momentum, self.eps = momentum, eps

    def __call__(self, x):
        mean, var = self.running_mean.data, self.running_var.data
        y, vjp = f.batch_norm(
            x, self.weight.data, self.bias.data, mean, var, self.training, self.momentum, self.eps
        )

        def backward(dy):
            dx, dweight, dbias = vjp(dy)
            self.weight.grad += dweight
            self.bias.grad += dbias
            return dx

        return y, backward
