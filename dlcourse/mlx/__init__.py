"""The MLX backend: what a good user of MLX would write, under the names of the course."""

from dlcourse.mlx.attention import KVCache, MultiHeadAttention
from dlcourse.mlx.bert import BERT
from dlcourse.mlx.cnn import CNN
from dlcourse.mlx.device import devices, resolve_device
from dlcourse.mlx.gpt import GPT
from dlcourse.mlx.layers import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Embedding,
    GlobalAvgPool,
    LayerNorm,
    Linear,
    MaxPool2d,
    RMSNorm,
)
from dlcourse.mlx.learner import Learner
from dlcourse.mlx.mlp import MLP
from dlcourse.mlx.optim import (
    SGD,
    Adam,
    AdamW,
    Lion,
    Muon,
    ProximalSGD,
    RMSProp,
    clip_gradients,
    orthogonalize,
    soft_threshold,
)
from dlcourse.mlx.recurrent import GRU, LSTM, Elman
from dlcourse.mlx.resnet import PoolBlock, ResidualBlock, ResNet
from dlcourse.mlx.rnn import RNN
from dlcourse.mlx.transformer import Block, DecoderCache, FeedForward, Transformer

__all__ = [
    "BERT",
    "CNN",
    "GPT",
    "GRU",
    "LSTM",
    "MLP",
    "RNN",
    "SGD",
    "Adam",
    "AdamW",
    "AvgPool2d",
    "BatchNorm",
    "Block",
    "Conv2d",
    "ConvTranspose2d",
    "DecoderCache",
    "Elman",
    "Embedding",
    "FeedForward",
    "GlobalAvgPool",
    "KVCache",
    "LayerNorm",
    "Learner",
    "Linear",
    "Lion",
    "MaxPool2d",
    "MultiHeadAttention",
    "Muon",
    "PoolBlock",
    "ProximalSGD",
    "RMSNorm",
    "RMSProp",
    "ResNet",
    "ResidualBlock",
    "Transformer",
    "clip_gradients",
    "devices",
    "orthogonalize",
    "resolve_device",
    "soft_threshold",
]
