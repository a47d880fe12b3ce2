"""Layers: parameters around the functions of `functional.py` and `convolution.py`."""

from dlcourse.boundary import check_groups, check_pool, check_whole
from dlcourse.numpy import convolution as c
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


class Conv2d(Module):
    """y = the convolution of x with `outputs` kernels of size x size pixels, plus b  (eq-conv2d).

    Images are (N, H, W, C); weight (O, size, size, I / groups) in every state, bias (O,)"""

    def __init__(self, inputs, outputs, size, stride=1, padding=0, dilation=1, groups=1):
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
        self.bias = Parameter((outputs,))

    def __call__(self, x):
        y, vjp = c.conv2d(x, self.weight.data, self.bias.data, **self.geometry)

        def backward(dy):
            dx, dweight, dbias = vjp(dy)
            self.weight.grad += dweight
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
