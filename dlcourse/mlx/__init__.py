"""The MLX backend: what a good user of MLX would write, under the names of the course."""

from dlcourse.mlx.device import devices, resolve_device
from dlcourse.mlx.layers import AvgPool2d, Conv2d, Linear, MaxPool2d
from dlcourse.mlx.learner import Learner
from dlcourse.mlx.mlp import MLP
from dlcourse.mlx.optim import SGD, Adam, AdamW, clip_gradients

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
