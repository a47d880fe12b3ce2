"""The multilayer perceptron in MLX."""

from itertools import pairwise

import mlx.core as mx
import mlx.nn as nn

from dlcourse.mlx.layers import Linear
from dlcourse.mlx.module import Module

ACTIVATIONS = {"relu": nn.relu, "sigmoid": mx.sigmoid, "tanh": mx.tanh}


class MLP(Module):
    """h_0 = x,  h_l = activation(h_(l-1) W_l^T + b_l),  logits = h_K W^T + b  (eq-mlp).

    x (B, ...) with the product of the trailing axes I = config.inputs -> logits (B, O).
    Dropout acts after every hidden activation while the model is in training mode."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.layers = [Linear(i, o) for i, o in pairwise(config.sizes)]
        self.dropout = nn.Dropout(config.dropout)

    def __call__(self, x):
        activation = ACTIVATIONS[self.config.activation]
        h = x.reshape(x.shape[0], -1)  # (B, ...) -> (B, I)
        for layer in self.layers[:-1]:
            h = self.dropout(activation(layer(h)))
        return self.layers[-1](h)  # (B, O)
