"""The PyTorch backend: what a good user of PyTorch would write, under the names of the course."""

from dlcourse.torch.device import devices, resolve_device
from dlcourse.torch.layers import Linear
from dlcourse.torch.learner import Learner
from dlcourse.torch.mlp import MLP
from dlcourse.torch.optim import SGD, Adam, AdamW, clip_gradients

__all__ = [
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "Learner",
    "Linear",
    "clip_gradients",
    "devices",
    "resolve_device",
]
