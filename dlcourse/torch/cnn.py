"""The convolutional network in PyTorch."""

from itertools import pairwise

import torch.nn.functional as F
from torch import nn

from dlcourse.boundary import check_model_images
from dlcourse.torch.layers import AvgPool2d, Conv2d, Linear, MaxPool2d
from dlcourse.torch.mlp import ACTIVATIONS
from dlcourse.torch.module import Module

POOLS = {"max": MaxPool2d, "avg": AvgPool2d}


class CNN(Module):
    """h_0 = x,  h_l = pool(activation(conv_l(h_(l-1)))),  then an MLP on the numbers of the last h  (eq-cnn).

    x (B, H, W, C), the (H, W, C) of config.inputs -> logits (B, O).
    Dropout acts after every hidden activation of the MLP while the model is in training mode."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        widths = pairwise((config.inputs[2], *config.channels))
        self.convs = nn.ModuleList(
            Conv2d(i, o, config.kernel, padding=p)
            for (i, o), p in zip(widths, config.padding, strict=True)
        )
        self.pool = POOLS[config.pool](2)
        self.layers = nn.ModuleList(Linear(i, o) for i, o in pairwise(config.sizes))

    def forward(self, x):
        check_model_images(x, self.config.inputs)
        activation = ACTIVATIONS[self.config.activation]
        h = x.permute(
            0, 3, 1, 2
        )  # (B, H, W, C) -> (B, C, H, W): a view, "channels last" to PyTorch
        for conv in self.convs:
            h = self.pool(activation(conv(h)))
        h = h.permute(0, 2, 3, 1).flatten(
            1
        )  # (B, C, H, W) -> (B, H W C), the order of the other backends
        for layer in self.layers[:-1]:
            h = F.dropout(activation(layer(h)), self.config.dropout, self.training)
        return self.layers[-1](h)  # (B, O)
