"""The PyTorch backend: what a good user of PyTorch would write, under the names of the course."""

from dlcourse.torch.attention import KVCache, MultiHeadAttention
from dlcourse.torch.cnn import CNN
from dlcourse.torch.device import devices, resolve_device
from dlcourse.torch.gpt import GPT
from dlcourse.torch.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Embedding,
    LayerNorm,
    Linear,
    MaxPool2d,
    RMSNorm,
)
from dlcourse.torch.learner import Learner
from dlcourse.torch.mlp import MLP
from dlcourse.torch.optim import SGD, Adam, AdamW, clip_gradients
from dlcourse.torch.resnet import ResidualBlock, ResNet
from dlcourse.torch.transformer import Block, FeedForward

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
