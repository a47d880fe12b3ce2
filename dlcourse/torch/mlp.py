"""The multilayer perceptron in PyTorch."""

from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from dlcourse.torch.layers import BatchNorm, LayerNorm, Linear, RMSNorm
from dlcourse.torch.module import Module

NORMS = {"batch": BatchNorm, "layer": LayerNorm, "rms": RMSNorm}
ACTIVATIONS = {
    "relu": F.relu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": partial(F.gelu, approximate="tanh"),
}


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
        self.layers = nn.ModuleList([*layers, Linear(*config.sizes[-2:])])
        self.norms = nn.ModuleList(
            NORMS[config.norm](h) for h in config.hidden if config.norm != "none"
        )

    def forward(self, x):
        activation = ACTIVATIONS[self.config.activation]
        h = x.flatten(1)  # (B, ...) -> (B, I)
        for i, layer in enumerate(self.layers[:-1]):
            z = self.norms[i](layer(h)) if self.norms else layer(h)
            h = F.dropout(activation(z), self.config.dropout, self.training)
        return self.layers[-1](h)  # (B, O)
