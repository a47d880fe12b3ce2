"""The multilayer perceptron in PyTorch."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from dlcourse.torch.layers import Linear
from dlcourse.torch.module import Module

ACTIVATIONS = {"relu": F.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


class MLP(Module):
    """h_0 = x,  h_l = activation(h_(l-1) W_l^T + b_l),  logits = h_K W^T + b  (eq-mlp).

    x (B, ...) with the product of the trailing axes I = config.inputs -> logits (B, O).
    Dropout acts after every hidden activation while the model is in training mode."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(Linear(i, o) for i, o in pairwise(config.sizes))

    def forward(self, x):
        activation = ACTIVATIONS[self.config.activation]
        h = x.flatten(1)  # (B, ...) -> (B, I)
        for layer in self.layers[:-1]:
            h = F.dropout(activation(layer(h)), self.config.dropout, self.training)
        return self.layers[-1](h)  # (B, O)
