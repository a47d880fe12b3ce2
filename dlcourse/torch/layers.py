"""Layers: PyTorch's own, under the course's names and signatures."""

from torch import nn

from dlcourse.boundary import check_groups, check_images, check_pool, check_whole, check_window


class Linear(nn.Linear):
    """y = x W^T + b  (eq-linear).  x (..., I) -> y (..., O); weight (O, I), bias (O,)"""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)


class Conv2d(nn.Conv2d):
    """y = the convolution of x with `outputs` kernels of size x size pixels, plus b  (eq-conv2d).

    Images are PyTorch's own (N, C, H, W): a model permutes once on entry; weight (O, size, size, I / groups) in every state, bias (O,)"""

    def __init__(self, inputs, outputs, size, stride=1, padding=0, dilation=1, groups=1):
        check_whole(inputs=inputs, outputs=outputs, size=size, stride=stride)
        check_whole(padding=padding, dilation=dilation, groups=groups)
        check_groups(inputs, outputs, groups)
        super().__init__(
            inputs, outputs, size, stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        self.inputs, self.size, self.pad, self.spread = inputs, size, padding, dilation

    def forward(self, x):
        check_images(x, self.inputs, first=True)
        check_window(x, self.size, self.pad, self.spread, first=True)
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
