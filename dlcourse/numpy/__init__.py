"""The NumPy backend: every formula and its gradient, written out."""

from dlcourse.numpy.attention import KVCache, MultiHeadAttention
from dlcourse.numpy.bert import BERT
from dlcourse.numpy.cnn import CNN
from dlcourse.numpy.device import devices, resolve_device
from dlcourse.numpy.gpt import GPT
from dlcourse.numpy.layers import (
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
from dlcourse.numpy.learner import Learner
from dlcourse.numpy.mlp import MLP
from dlcourse.numpy.optim import (
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
from dlcourse.numpy.recurrent import GRU, LSTM, Elman
from dlcourse.numpy.resnet import PoolBlock, ResidualBlock, ResNet
from dlcourse.numpy.rnn import RNN
from dlcourse.numpy.transformer import Block, DecoderCache, FeedForward, Transformer

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
