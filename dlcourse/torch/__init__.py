"""The PyTorch backend: what a good user of PyTorch would write, under the names of the course."""

from dlcourse.torch.device import devices, resolve_device
from dlcourse.torch.layers import AvgPool2d, Conv2d, Linear, MaxPool2d
from dlcourse.torch.learner import Learner
from dlcourse.torch.mlp import MLP
from dlcourse.torch.optim import SGD, Adam, AdamW, clip_gradients

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "AvgPool2d",
    "Conv2d",
    "Learner",
    "Linear",
    "MaxPool2d",
    "clip_gradients",
    "devices",
    "resolve_device",
]
