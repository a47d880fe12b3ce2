"""The NumPy backend: every formula and its gradient, written out."""

from dlcourse.numpy.attention import KVCache, MultiHeadAttention
from dlcourse.numpy.cnn import CNN
from dlcourse.numpy.device import devices, resolve_device
from dlcourse.numpy.gpt import GPT
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
from dlcourse.numpy.resnet import ResidualBlock, ResNet
from dlcourse.numpy.transformer import Block, FeedForward

__all__ = [
    "CNN",
    "GPT",
    "MLP",
    "SGD",
    "Adam",
    "AdamW",
    "AvgPool2d",
    "BatchNorm",
    "Block",
    "Conv2d",
    "Embedding",
    "FeedForward",
    "KVCache",
    "LayerNorm",
    "Learner",
    "Linear",
    "MaxPool2d",
    "MultiHeadAttention",
    "RMSNorm",
    "ResNet",
    "ResidualBlock",
    "clip_gradients",
    "devices",
    "resolve_device",
]
