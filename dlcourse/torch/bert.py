"""BERT in PyTorch."""

import torch
import torch.nn.functional as F
from torch import nn

from dlcourse.torch.layers import Embedding, LayerNorm, Linear
from dlcourse.torch.module import Module, check_tokens
from dlcourse.torch.transformer import ACTIVATIONS, Block


class BERT(Module):
    """h_0 = ln(tok[x] + pos + seg),  h_l = block_l(h_(l-1))  (eq-bert; Devlin et al. 2019).

    Tokens x (B, T), T at most config.context. Every position sees every other one that is no padding,
    config.pad. A token's segment is the number of config.sep before it, at most 1. What comes out, by
    config.task, from h = h_L:

    pretrain   (B, T, V) of the hidden tokens and (B, 2), does the second sentence follow: a pair
    classify   (B, L) of the sequence, from tanh of a layer on its first token
    label      (B, T, L) of each token
    span       (B, 2, T), scores of all positions as the start and as the end of an answer"""

    def __init__(self, config):
        super().__init__()
        self.config, width = config, config.width
        self.activation = "exact_gelu" if config.exact_gelu else "gelu"
        self.tok = Embedding(config.vocab, width)
        self.pos = Embedding(config.context, width)
        self.seg = Embedding(2, width)
        self.ln = LayerNorm(width, config.eps)
        self.blocks = nn.ModuleList(
            Block(
                width,
                config.heads,
                config.hidden,
                norm_first=False,
                activation=self.activation,
                dropout=config.dropout,
                eps=config.eps,
            )
            for _ in range(config.layers)
        )
        if config.task in ("pretrain", "classify"):
            self.pooler = Linear(width, width)
        if config.task == "pretrain":
            self.transform = Linear(width, width)
            self.transform_ln = LayerNorm(width, config.eps)
            self.decoder_bias = nn.Parameter(torch.zeros(config.vocab))
            self.nsp = Linear(width, 2)
        else:
            self.head = Linear(width, 2 if config.task == "span" else config.outputs)

    def forward(self, x):
        check_tokens(x, self.config.inputs)
        h = self._hidden(x)  # (B, T) -> (B, T, C)
        if self.config.task == "pretrain":
            t = self.transform_ln(ACTIVATIONS[self.activation](self.transform(h)))
            words = F.linear(t, self.tok.weight, self.decoder_bias)  # (B, T, V)
            return words, self.nsp(self._pool(h))  # (B, 2)
        if self.config.task == "classify":
            return self.head(self._drop(self._pool(h)))  # (B, L)
        if self.config.task == "label":
            return self.head(self._drop(h))  # (B, T, L)
        return self.head(h).mT  # (B, 2, T)

    def _hidden(self, x):
        ends = (x == self.config.sep).long()
        segments = (ends.cumsum(dim=1) - ends).clamp(max=1)  # those before it: (B, T)
        h = self.tok(x) + self.pos.weight[: x.shape[1]] + self.seg(segments)
        h = self._drop(self.ln(h))
        seen = (x != self.config.pad)[:, None, None, :]  # (B, 1, 1, S)
        for block in self.blocks:
            h = block(h, mask=seen)
        return h

    def _pool(self, h):
        return torch.tanh(self.pooler(h[:, 0]))  # (B, T, C) -> (B, C)

    def _drop(self, h):
        return F.dropout(h, self.config.dropout, self.training)
