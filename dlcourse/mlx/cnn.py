"""The convolutional network in MLX."""

from itertools import pairwise

import mlx.nn as nn

from dlcourse.boundary import check_model_images
from dlcourse.mlx.layers import AvgPool2d, Conv2d, Linear, MaxPool2d
from dlcourse.mlx.mlp import ACTIVATIONS
from dlcourse.mlx.module import Module

POOLS = {"max": MaxPool2d, "avg": AvgPool2d}


class CNN(Module):
    """h_0 = x,  h_l = pool(activation(conv_l(h_(l-1)))),  then an MLP on the numbers of the last h  (eq-cnn).

    x (B, H, W, C), the (H, W, C) of config.inputs -> logits (B, O).
    Dropout acts after every hidden activation of the MLP while the model is in training mode."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        widths = pairwise((config.inputs[2], *config.channels))
        self.convs = [
            Conv2d(i, o, config.kernel, padding=p)
            for (i, o), p in zip(widths, config.padding, strict=True)
        ]
        self.pool = POOLS[config.pool](2)
        self.layers = [Linear(i, o) for i, o in pairwise(config.sizes)]
        self.dropout = nn.Dropout(config.dropout)

    def __call__(self, x):
        check_model_images(x, self.config.inputs)
        activation = ACTIVATIONS[self.config.activation]
        h = x
        for conv in self.convs:
            h = self.pool(activation(conv(h)))
        h = h.reshape(h.shape[0], -1)  # (B, H, W, C) -> (B, H W C)
        for layer in self.layers[:-1]:
            h = self.dropout(activation(layer(h)))
        return self.layers[-1](h)  # (B, O)
