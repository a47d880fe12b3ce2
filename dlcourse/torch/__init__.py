"""The PyTorch backend: what a good user of PyTorch would write, under the names of the course."""

from dlcourse.torch.attention import KVCache, MultiHeadAttention
from dlcourse.torch.bert import BERT
from dlcourse.torch.cnn import CNN
from dlcourse.torch.device import devices, resolve_device
from dlcourse.torch.gpt import GPT
from dlcourse.torch.layers import (
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
from dlcourse.torch.learner import Learner
from dlcourse.torch.mlp import MLP
from dlcourse.torch.optim import (
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
from dlcourse.torch.recurrent import GRU, LSTM, Elman
from dlcourse.torch.resnet import PoolBlock, ResidualBlock, ResNet
from dlcourse.torch.rnn import RNN
from dlcourse.torch.transformer import Block, DecoderCache, FeedForward, Transformer

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
