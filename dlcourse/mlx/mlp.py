"""The multilayer perceptron in MLX."""

from itertools import pairwise

import mlx.core as mx
import mlx.nn as nn

from dlcourse.mlx.layers import BatchNorm, LayerNorm, Linear, RMSNorm
from dlcourse.mlx.module import Module

NORMS = {"batch": BatchNorm, "layer": LayerNorm, "rms": RMSNorm}
ACTIVATIONS = {"relu": nn.relu, "sigmoid": mx.sigmoid, "tanh": mx.tanh, "gelu": nn.gelu_approx}


class MLP(Module):
    """h_0 = x,  h_l = activation(h_(l-1) W_l^T + b_l),  logits = h_K W^T + b  (eq-mlp).

    x (B, ...) with the product of the trailing axes I = config.inputs -> logits (B, O).
    Between a hidden layer and its activation stands the norm of the configuration, if any; a batch
    norm makes that layer's bias useless, so it has none.
    Dropout acts after every hidden activation while the model is in training mode."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        hidden_bias = config.norm != "batch"
        layers = [Linear(i, o, hidden_bias) for i, o in pairwise(config.sizes[:-1])]
        self.layers = [*layers, Linear(*config.sizes[-2:])]
        self.norms = [NORMS[config.norm](h) for h in config.hidden if config.norm != "none"]
        self.dropout = nn.Dropout(config.dropout)

    def __call__(self, x):
        activation = ACTIVATIONS[self.config.activation]
        h = x.reshape(x.shape[0], -1)  # (B, ...) -> (B, I)
        for i, layer in enumerate(self.layers[:-1]):
            z = self.norms[i](layer(h)) if self.norms else layer(h)
            h = self.dropout(activation(z))
        return self.layers[-1](h)  # (B, O)
