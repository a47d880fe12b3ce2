"""The MLX backend: what a good user of MLX would write, under the names of the course."""

from dlcourse.mlx.attention import KVCache, MultiHeadAttention
from dlcourse.mlx.cnn import CNN
from dlcourse.mlx.device import devices, resolve_device
from dlcourse.mlx.gpt import GPT
from dlcourse.mlx.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Embedding,
    LayerNorm,
    Linear,
    MaxPool2d,
    RMSNorm,
)
from dlcourse.mlx.learner import Learner
from dlcourse.mlx.mlp import MLP
from dlcourse.mlx.optim import SGD, Adam, AdamW, clip_gradients
from dlcourse.mlx.resnet import ResidualBlock, ResNet
from dlcourse.mlx.transformer import Block, FeedForward

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
