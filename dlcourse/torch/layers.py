"""Layers: PyTorch's own, under the course's names and signatures."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dlcourse.boundary import (
    check_groups,
    check_images,
    check_output_padding,
    check_pool,
    check_transposed,
    check_whole,
    check_window,
)


class Linear(nn.Linear):
    """y = x W^T + b  (eq-linear).  x (..., I) -> y (..., O); weight (O, I), bias (O,)

    Before a batch norm the bias is left out, bias=False: the norm takes it away again."""

    def __init__(self, inputs, outputs, bias=True):
        super().__init__(inputs, outputs, bias)


class Conv2d(nn.Conv2d):
    """y = the convolution of x with `outputs` kernels of size x size pixels, plus b  (eq-conv2d).

    Images are PyTorch's own (N, C, H, W): a model permutes once on entry; weight (O, size, size, I / groups) in every state, bias (O,)

    Before a batch norm the bias is left out, bias=False: the norm takes it away again."""

    def __init__(self, inputs, outputs, size, stride=1, padding=0, dilation=1, groups=1, bias=True):
        check_whole(inputs=inputs, outputs=outputs, size=size, stride=stride)
        check_whole(padding=padding, dilation=dilation, groups=groups)
        check_groups(inputs, outputs, groups)
        super().__init__(inputs, outputs, size, stride, padding, dilation, groups, bias)
        self.inputs, self.size, self.pad, self.spread = inputs, size, padding, dilation

    def forward(self, x):
        check_images(x, self.inputs, first=True)
        check_window(x, self.size, self.pad, self.spread, first=True)
        return super().forward(x)


class ConvTranspose2d(nn.ConvTranspose2d):
    """y = the transposed convolution of x: every number puts a copy of its kernel into the output, plus b  (eq-conv-transpose).

    The way back of a Conv2d(outputs, inputs, size, stride, padding, dilation, groups), whose weight it has, as a layer of its own, that
    makes images larger. Images are PyTorch's own (N, C, H, W): a model permutes once on entry; weight (I, size, size, O / groups) in every state, bias (O,).
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
        super().__init__(
            inputs, outputs, size, stride, padding, output_padding, groups, bias, dilation
        )
        self.inputs, self.shape = inputs, (size, stride, padding, output_padding, dilation)

    def forward(self, x):
        check_images(x, self.inputs, first=True)
        check_transposed(x, *self.shape, first=True)
        return super().forward(x)


class MaxPool2d(nn.MaxPool2d):
    """The largest entry of each window of size x size pixels  (eq-max-pool).  Images are PyTorch's own (N, C, H, W): a model permutes once on entry"""

    def __init__(self, size, stride=None, padding=0):
        check_pool(size, stride, padding)
        super().__init__(size, stride, padding)
        self.size, self.pad = size, padding

    def forward(self, x):
        check_images(x, first=True)
        check_window(x, self.size, self.pad, first=True)
        return super().forward(x)


class AvgPool2d(nn.AvgPool2d):
    """The mean of each window of size x size pixels, zeros of the padding included  (eq-avg-pool).

    Images are PyTorch's own (N, C, H, W): a model permutes once on entry"""

    def __init__(self, size, stride=None, padding=0):
        check_pool(size, stride, padding)
        super().__init__(size, stride, padding)
        self.size, self.pad = size, padding

    def forward(self, x):
        check_images(x, first=True)
        check_window(x, self.size, self.pad, first=True)
        return super().forward(x)


class GlobalAvgPool(nn.Module):
    """The mean of each map over all its pixels, one number a channel  (eq-global-avg-pool).

    Images are PyTorch's own (N, C, H, W): a model permutes once on entry -> y (N, C)"""

    def forward(self, x):
        check_images(x, first=True)
        return x.mean(dim=(2, 3))


class Embedding(nn.Embedding):
    """y = the rows of E that the tokens name  (eq-embedding).  tokens (B, T) -> y (B, T, C); weight E (V, C)"""

    def __init__(self, vocab, width):
        super().__init__(vocab, width)


class LayerNorm(nn.LayerNorm):
    """y = w x^ + b, x^ = x with mean 0 and variance 1 in each row  (eq-layer-norm).

    x, y (..., C); weight (C,), and bias (C,) unless bias=False"""

    def __init__(self, features, eps=1e-5, bias=True):
        super().__init__(features, eps, bias=bias)


class RMSNorm(nn.RMSNorm):
    """y = w x / sqrt(mean(x^2) + eps)  (eq-rms-norm).  x, y (..., C); weight (C,)"""

    def __init__(self, features, eps=1e-6):
        super().__init__(features, eps)


class BatchNorm(_BatchNorm):
    """y = w x^ + b, x^ = x with mean 0 and variance 1 in each feature  (eq-batch-norm).

    Training takes mean and variance from the batch and updates the running ones
    (eq-running-statistics), evaluation takes the running ones. x, y (B, C), or (B, C, H, W) in
    PyTorch's layout; weight, bias, running_mean, running_var (C,)"""

    def __init__(self, features, momentum=0.1, eps=1e-5):
        super().__init__(features, eps, momentum)

    def train(self, mode=True):
        """Training mode, unless frozen: statistics that move would change what a frozen layer computes."""
        return super().train(mode and self.weight.requires_grad)

    def _check_input_dim(self, x):  # BatchNorm1d and BatchNorm2d are one layer here
        if x.ndim not in (2, 4):
            raise ValueError(f"x has shape {tuple(x.shape)}: pass (B, C) or images (B, C, H, W)")
