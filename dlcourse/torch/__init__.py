"""The PyTorch backend: what a good user of PyTorch would write, under the names of the course."""

from dlcourse.torch.device import devices, resolve_device
from dlcourse.torch.layers import BatchNorm, LayerNorm, Linear, RMSNorm
from dlcourse.torch.learner import Learner
from dlcourse.torch.mlp import MLP
from dlcourse.torch.optim import SGD, Adam, AdamW, clip_gradients

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "BatchNorm",
    "LayerNorm",
    "Learner",
    "Linear",
    "RMSNorm",
    "clip_gradients",
    "devices",
    "resolve_device",
]
