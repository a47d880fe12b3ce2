"""Layers: parameters around the functions of `functional.py` and `convolution.py`."""

import numpy as np

from dlcourse.boundary import check_groups, check_output_padding, check_pool, check_whole
from dlcourse.numpy import convolution as c
from dlcourse.numpy import functional as f
from dlcourse.numpy.module import Buffer, Module, Parameter


class Linear(Module):
    """y = x W^T + b  (eq-linear).  x (..., I) -> y (..., O); weight (O, I), bias (O,)

    Before a batch norm the bias is left out, bias=False: the norm takes it away again."""

    def __init__(self, inputs, outputs, bias=True):
        self.weight = Parameter((outputs, inputs))
        self.bias = Parameter((outputs,)) if bias else None

    def __call__(self, x):
        y, vjp = f.linear(x, self.weight.data, self.bias.data if self.bias else None)

        def backward(dy, need_dx=True):
            dx, dweight, dbias = vjp(dy, need_dx)
            self.weight.grad += dweight
            if self.bias:
                self.bias.grad += dbias
            return dx

        return y, backward


class Embedding(Module):
    """y = the rows of E that the tokens name  (eq-embedding).  tokens (B, T) -> y (B, T, C); weight E (V, C)"""

    def __init__(self, vocab, width):
        self.weight = Parameter((vocab, width))

    def __call__(self, tokens):
        y, vjp = f.embedding(tokens, self.weight.data)

        def backward(dy):
            self.weight.grad += vjp(dy)  # and tokens have no gradient

        return y, backward


class LayerNorm(Module):
    """y = w x^ + b, x^ = x with mean 0 and variance 1 in each row  (eq-layer-norm).

    x, y (..., C); weight (C,), and bias (C,) unless bias=False"""

    def __init__(self, features, eps=1e-5, bias=True):
        self.weight = Parameter((features,))
        self.bias = Parameter((features,)) if bias else None
        self.weight.data[...] = 1
        self.eps = eps

    def __call__(self, x):
        bias = self.bias.data if self.bias else None
        y, vjp = f.layer_norm(x, self.weight.data, bias, self.eps)

        def backward(dy):
            dx, dweight, dbias = vjp(dy)
            self.weight.grad += dweight
            if self.bias:
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

    def train(self, mode=True):
        """Training mode, unless frozen: statistics that move would change what a frozen layer computes."""
        return super().train(mode and not self.weight.frozen)

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


class Conv2d(Module):
    """y = the convolution of x with `outputs` kernels of size x size pixels, plus b  (eq-conv2d).

    Images are (N, H, W, C); weight (O, size, size, I / groups) in every state, bias (O,)

    Before a batch norm the bias is left out, bias=False: the norm takes it away again."""

    def __init__(self, inputs, outputs, size, stride=1, padding=0, dilation=1, groups=1, bias=True):
        check_whole(inputs=inputs, outputs=outputs, size=size, stride=stride)
        check_whole(padding=padding, dilation=dilation, groups=groups)
        check_groups(inputs, outputs, groups)
        self.geometry = {
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
        }
        self.weight = Parameter((outputs, size, size, inputs // groups))
        self.bias = Parameter((outputs,)) if bias else None

    def __call__(self, x):
        bias = self.bias.data if self.bias else None
        y, vjp = c.conv2d(x, self.weight.data, bias, **self.geometry)

        def backward(dy, need_dx=True):
            dx, dweight, dbias = vjp(dy, need_dx)
            self.weight.grad += dweight
            if self.bias:
                self.bias.grad += dbias
            return dx

        return y, backward


class ConvTranspose2d(Module):
    """y = the transposed convolution of x: every number puts a copy of its kernel into the output, plus b  (eq-conv-transpose).

    The way back of a Conv2d(outputs, inputs, size, stride, padding, dilation, groups), whose weight it has, as a layer of its own, that
    makes images larger. Images are (N, H, W, C); weight (I, size, size, O / groups) in every state, bias (O,).
    H' = (H - 1) stride - 2 padding + dilation (size - 1) + 1 + output_padding, and output_padding is below the stride."""

    def __init__(
        self,
        inputs,
        outputs,
        size,
        stride=1,
        padding=0,
        output_padding=0,
        dilation=1,
        groups=1,
        bias=True,
    ):
        check_whole(inputs=inputs, outputs=outputs, size=size, stride=stride)
        check_whole(padding=padding, dilation=dilation, groups=groups)
        check_output_padding(output_padding, stride)
        check_groups(inputs, outputs, groups)
        self.geometry = {
            "stride": stride,
            "padding": padding,
            "output_padding": output_padding,
            "dilation": dilation,
            "groups": groups,
        }
        self.weight = Parameter((inputs, size, size, outputs // groups))
        self.bias = Parameter((outputs,)) if bias else None

    def __call__(self, x):
        bias = self.bias.data if self.bias else None
        y, vjp = c.conv_transpose2d(x, self.weight.data, bias, **self.geometry)

        def backward(dy):
            dx, dweight, dbias = vjp(dy)
            self.weight.grad += dweight
            if self.bias:
                self.bias.grad += dbias
            return dx

        return y, backward


class MaxPool2d(Module):
    """The largest entry of each window of size x size pixels  (eq-max-pool).  Images are (N, H, W, C)"""

    def __init__(self, size, stride=None, padding=0):
        check_pool(size, stride, padding)
        self.size, self.stride, self.padding = size, stride, padding

    def __call__(self, x):
        return c.max_pool2d(x, self.size, self.stride, self.padding)


class AvgPool2d(Module):
    """The mean of each window of size x size pixels, zeros of the padding included  (eq-avg-pool).

    Images are (N, H, W, C)"""

    def __init__(self, size, stride=None, padding=0):
        check_pool(size, stride, padding)
        self.size, self.stride, self.padding = size, stride, padding

    def __call__(self, x):
        return c.avg_pool2d(x, self.size, self.stride, self.padding)


class GlobalAvgPool(Module):
    """The mean of each map over all its pixels, one number a channel  (eq-global-avg-pool; gradient
    eq-global-avg-pool-vjp).

    Images are (N, H, W, C) -> y (N, C)"""

    def __call__(self, x):
        return c.global_avg_pool(x)
