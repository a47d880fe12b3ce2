"""BERT in MLX."""

import mlx.core as mx
import mlx.nn as nn

from dlcourse.mlx.layers import Embedding, LayerNorm, Linear
from dlcourse.mlx.module import Module, check_tokens
from dlcourse.mlx.transformer import ACTIVATIONS, Block


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
        self.drop = nn.Dropout(config.dropout)
        self.tok = Embedding(config.vocab, width)
        self.pos = Embedding(config.context, width)
        self.seg = Embedding(2, width)
        self.ln = LayerNorm(width, config.eps)
        self.blocks = [
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
        ]
        if config.task in ("pretrain", "classify"):
            self.pooler = Linear(width, width)
        if config.task == "pretrain":
            self.transform = Linear(width, width)
            self.transform_ln = LayerNorm(width, config.eps)
            self.decoder_bias = mx.zeros(config.vocab)
            self.nsp = Linear(width, 2)
        else:
            self.head = Linear(width, 2 if config.task == "span" else config.outputs)

    def __call__(self, x):
        check_tokens(x, self.config.inputs)
        h = self._hidden(x)  # (B, T) -> (B, T, C)
        if self.config.task == "pretrain":
            t = self.transform_ln(ACTIVATIONS[self.activation](self.transform(h)))
            words = self.tok.as_linear(t) + self.decoder_bias  # (B, T, V)
            return words, self.nsp(self._pool(h))  # (B, 2)
        if self.config.task == "classify":
            return self.head(self.drop(self._pool(h)))  # (B, L)
        if self.config.task == "label":
            return self.head(self.drop(h))  # (B, T, L)
        return self.head(h).swapaxes(1, 2)  # (B, 2, T)

    def _hidden(self, x):
        ends = (x == self.config.sep).astype(mx.int32)
        segments = mx.minimum(ends.cumsum(axis=1) - ends, 1)  # those before it: (B, T)
        h = self.tok(x) + self.pos.weight[: x.shape[1]] + self.seg(segments)
        h = self.drop(self.ln(h))
        seen = (x != self.config.pad)[:, None, None, :]  # (B, 1, 1, S)
        for block in self.blocks:
            h = block(h, mask=seen)
        return h

    def _pool(self, h):
        return mx.tanh(self.pooler(h[:, 0]))  # (B, T, C) -> (B, C)
