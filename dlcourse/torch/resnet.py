"""Residual networks in PyTorch."""

import torch.nn.functional as F
from torch import nn

from dlcourse.boundary import check_choice, check_model_images
from dlcourse.torch.layers import BatchNorm, Conv2d, Linear, MaxPool2d
from dlcourse.torch.module import Module

NORMS = {"batch": BatchNorm, "none": nn.Identity}


class ResidualBlock(Module):
    """y = relu(s(x) + F(x)),  F = norm_2(conv_2(relu(norm_1(conv_1(x)))))  (eq-residual-block;
    He et al. 2016).

    x (B, I, H, W), PyTorch's layout -> y (B, O, H / stride, W / stride), rounded up. The skip s is the identity, or, where the
    shape changes, a convolution 1 x 1 with a norm. Without `skip`, y = relu(F(x))."""

    def __init__(self, inputs, outputs, stride=1, skip=True, norm="batch"):
        super().__init__()
        bias, make_norm = norm == "none", NORMS[check_choice("norm", norm, NORMS)]
        self.conv_1 = Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)
        self.norm_1 = make_norm(outputs)
        self.conv_2 = Conv2d(outputs, outputs, 3, padding=1, bias=bias)
        self.norm_2 = make_norm(outputs)
        self.skip = skip
        self.project = None
        if skip and (stride > 1 or inputs != outputs):
            self.project = Conv2d(inputs, outputs, 1, stride, bias=bias)
            self.project_norm = make_norm(outputs)

    def forward(self, x):
        z = self.norm_2(self.conv_2(F.relu(self.norm_1(self.conv_1(x)))))
        if self.project:
            z = z + self.project_norm(self.project(x))
        elif self.skip:
            z = z + x
        return F.relu(z)


class PoolBlock(Module):
    """y = relu(norm(pool(conv(x)))): a convolution 3 x 3, then the largest of stride x stride pixels  (eq-max-pool).

    x (B, I, H, W), PyTorch's layout -> y (B, O, H / stride, W / stride), rounded down. The norm comes after the
    pooling, which leaves it fewer pixels to pass over."""

    def __init__(self, inputs, outputs, stride, norm="batch"):
        super().__init__()
        self.conv = Conv2d(inputs, outputs, 3, padding=1, bias=norm == "none")
        self.pool = MaxPool2d(stride)
        self.norm = NORMS[check_choice("norm", norm, NORMS)](outputs)

    def forward(self, x):
        return F.relu(self.norm(self.pool(self.conv(x))))


class ResNet(Module):
    """A convolution 3 x 3, the blocks of config.plan, the mean over all pixels, one Linear layer
    (eq-residual-block, eq-global-avg-pool).

    x (B, H, W, C), the (H, W, C) of config.inputs -> logits (B, O). Training takes the statistics of the
    batch for its norms."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.stem = Conv2d(config.inputs[2], config.stem, 3, padding=1, bias=config.norm == "none")
        self.stem_norm = NORMS[config.norm](config.stem)
        self.blocks = nn.ModuleList(
            PoolBlock(*shape, config.norm)
            if kind == "pool"
            else ResidualBlock(*shape, config.skip, config.norm)
            for kind, *shape in config.plan
        )
        self.head = Linear(config.widths[-1], config.outputs)

    def forward(self, x):
        check_model_images(x, self.config.inputs)
        h = x.permute(
            0, 3, 1, 2
        )  # (B, H, W, C) -> (B, C, H, W): a view, "channels last" to PyTorch
        h = F.relu(self.stem_norm(self.stem(h)))
        for block in self.blocks:
            h = block(h)
        return self.head(h.mean(dim=(2, 3)))  # (B, C, H, W) -> (B, C) -> (B, O)
