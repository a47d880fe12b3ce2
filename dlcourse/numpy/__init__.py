"""The NumPy backend: every formula and its gradient, written out."""

from dlcourse.numpy.cnn import CNN
from dlcourse.numpy.device import devices, resolve_device
from dlcourse.numpy.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Embedding,
    LayerNorm,
    Linear,
    MaxPool2d,
    RMSNorm,
)
from dlcourse.numpy.learner import Learner
from dlcourse.numpy.mlp import MLP
from dlcourse.numpy.optim import SGD, Adam, AdamW, clip_gradients
from dlcourse.numpy.recurrent import GRU, LSTM, Elman
from dlcourse.numpy.resnet import ResidualBlock, ResNet
from dlcourse.numpy.rnn import RNN

__all__ = [
    "CNN",
    "GRU",
    "LSTM",
    "MLP",
    "RNN",
    "SGD",
    "Adam",
    "AdamW",
    "AvgPool2d",
    "BatchNorm",
    "Conv2d",
    "Elman",
    "Embedding",
    "LayerNorm",
    "Learner",
    "Linear",
    "MaxPool2d",
    "RMSNorm",
    "ResNet",
    "ResidualBlock",
    "clip_gradients",
    "devices",
    "resolve_device",
]
