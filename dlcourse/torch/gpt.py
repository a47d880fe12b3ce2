"""GPT in PyTorch."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dlcourse.boundary import check_inputs, check_room
from dlcourse.positions import alibi, sinusoidal
from dlcourse.torch.attention import KVCache
from dlcourse.torch.layers import Embedding, Linear
from dlcourse.torch.module import Module, check_tokens
from dlcourse.torch.transformer import Block, make_norm


class GPT(Module):
    """h_0 = tok[x] + pos,  h_l = block_l(h_(l-1)),  logits = ln_f(h_L) W^T  (eq-gpt; Radford et al. 2019).

    Tokens x (B, T), T at most config.context -> logits (B, T, V) of the token that follows each. The
    head's W is tok.weight itself, unless config.tied is False: one array, to whose gradient both uses
    add. No position sees a later one."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tok = Embedding(config.vocab, config.width)
        if config.positions == "learned":
            self.pos = Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(
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
        )
        self.ln_f = make_norm(config.norm, config.width, config.bias)
        if not config.tied:
            self.head = Linear(config.width, config.vocab, bias=False)

    def forward(self, x):
        check_tokens(x, self.config.inputs)
        return self._head(self._hidden(x))  # (B, T) -> (B, T, C) -> (B, T, V)

    def logits(self, tokens, cache=None):
        """The logits (B, V) of the next token, for tokens (B, T).

        With a `new_cache`, these are the tokens that follow those already in it."""
        check_inputs(tokens, self.config.inputs)
        if cache:
            check_room(cache[0].length, tokens.shape[1], self.config.context)
        tokens = torch.from_numpy(np.asarray(tokens, np.int64)).to(self.tok.weight.device)
        with torch.inference_mode():
            return self._head(self._hidden(tokens, cache)[:, -1]).numpy(force=True)

    def new_cache(self, batch):
        """An empty cache of keys and values for each block, for `batch` sequences."""
        c, weight = self.config, self.tok.weight
        shape = batch, c.heads, c.context, c.width // c.heads
        return [KVCache(*shape, like=weight) for _ in self.blocks]

    def _hidden(self, x, cache=None):
        start = cache[0].length if cache else 0
        h = F.dropout(self._embed(x, start), self.config.dropout, self.training)
        options = {"causal": True, "rope": self.config.positions == "rotary"}
        if self.config.positions == "alibi":
            bias = alibi(self.config.heads, start + x.shape[1])[:, start:]
            options["bias"] = torch.from_numpy(bias).to(h.device, h.dtype)
        for i, block in enumerate(self.blocks):
            h = block(h, cache=cache[i] if cache else None, **options)
        return self.ln_f(h)

    def _embed(self, x, start):
        h, stop = self.tok(x), start + x.shape[1]  # (B, T) -> (B, T, C)
        if self.config.positions == "learned":
            return h + self.pos.weight[start:stop]
        if self.config.positions == "sinusoidal":
            table = sinusoidal(stop, self.config.width)[start:]
            return h + torch.from_numpy(table).to(h.device, h.dtype)
        return h

    def _head(self, h):
        return F.linear(h, self.tok.weight) if self.config.tied else self.head(h)
