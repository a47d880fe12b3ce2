"""GPT in MLX."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from dlcourse.boundary import check_inputs, check_room
from dlcourse.mlx.attention import KVCache
from dlcourse.mlx.layers import Embedding, Linear
from dlcourse.mlx.module import Module, check_tokens
from dlcourse.mlx.transformer import Block, make_norm
from dlcourse.positions import alibi, sinusoidal


class GPT(Module):
    """h_0 = tok[x] + pos,  h_l = block_l(h_(l-1)),  logits = ln_f(h_L) W^T  (eq-gpt; Radford et al. 2019).

    Tokens x (B, T), T at most config.context -> logits (B, T, V) of the token that follows each. The
    head's W is tok.weight itself, unless config.tied is False: one array, to whose gradient both uses
    add. No position sees a later one."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.drop = nn.Dropout(config.dropout)
        self.tok = Embedding(config.vocab, config.width)
        if config.positions == "learned":
            self.pos = Embedding(config.context, config.width)
        self.blocks = [
            Block(
                config.width,
                config.heads,
                config.hidden,
                activation=config.activation,
                norm=config.norm,
                bias=config.bias,
                dropout=config.dropout,
            )
            for _ in range(config.layers)
        ]
        self.ln_f = make_norm(config.norm, config.width, config.bias)
        if not config.tied:
            self.head = Linear(config.width, config.vocab, bias=False)

    def __call__(self, x):
        check_tokens(x, self.config.inputs)
        return self._head(self._hidden(x))  # (B, T) -> (B, T, C) -> (B, T, V)

    def logits(self, tokens, cache=None):
        """The logits (B, V) of the next token, for tokens (B, T).

        With a `new_cache`, these are the tokens that follow those already in it."""
        check_inputs(tokens, self.config.inputs)
        if cache:
            check_room(cache[0].length, tokens.shape[1], self.config.context)
        tokens = mx.array(np.asarray(tokens, np.int32))
        return np.array(self._head(self._hidden(tokens, cache)[:, -1]))

    def new_cache(self, batch):
        """An empty cache of keys and values for each block, for `batch` sequences."""
        c, weight = self.config, self.tok.weight
        shape = batch, c.heads, c.context, c.width // c.heads
        return [KVCache(*shape, like=weight) for _ in self.blocks]

    def _hidden(self, x, cache=None):
        start = cache[0].length if cache else 0
        h = self.drop(self._embed(x, start))
        options = {"causal": True, "rope": self.config.positions == "rotary"}
        if self.config.positions == "alibi":
            bias = alibi(self.config.heads, start + x.shape[1])[:, start:]
            options["bias"] = mx.array(bias, h.dtype)
        for i, block in enumerate(self.blocks):
            h = block(h, cache=cache[i] if cache else None, **options)
        return self.ln_f(h)

    def _embed(self, x, start):
        h, stop = self.tok(x), start + x.shape[1]  # (B, T) -> (B, T, C)
        if self.config.positions == "learned":
            return h + self.pos.weight[start:stop]
        if self.config.positions == "sinusoidal":
            return h + mx.array(sinusoidal(stop, self.config.width)[start:], h.dtype)
        return h

    def _head(self, h):
        return self.tok.as_linear(h) if self.config.tied else self.head(h)
