"""GPT in NumPy, its backward pass written out."""

import numpy as np

from dlcourse.boundary import check_inputs, check_room
from dlcourse.numpy import functional as f
from dlcourse.numpy.attention import KVCache
from dlcourse.numpy.layers import Embedding, Linear
from dlcourse.numpy.module import Module
from dlcourse.numpy.transformer import Block, make_norm
from dlcourse.positions import alibi, sinusoidal


class GPT(Module):
    """h_0 = tok[x] + pos,  h_l = block_l(h_(l-1)),  logits = ln_f(h_L) W^T  (eq-gpt; Radford et al. 2019).

    Tokens x (B, T), T at most config.context -> logits (B, T, V) of the token that follows each. The
    head's W is tok.weight itself, unless config.tied is False: one array, to whose gradient both uses
    add (eq-tied-head-vjp). No position sees a later one. Dropout acts only when a generator `rng` is given."""

    def __init__(self, config):
        self.config = config
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

    def __call__(self, x, rng=None):
        check_inputs(x, self.config.inputs)
        h, hidden_back = self._hidden(x, rng=rng)  # (B, T) -> (B, T, C)
        logits, head_back = self._head(h)  # (B, T, V)
        return logits, lambda dlogits: hidden_back(head_back(dlogits))

    def logits(self, tokens, cache=None):
        """The logits (B, V) of the next token, for tokens (B, T).

        With a `new_cache`, these are the tokens that follow those already in it."""
        check_inputs(tokens, self.config.inputs)
        if cache:
            check_room(cache[0].length, tokens.shape[1], self.config.context)
        h, _ = self._hidden(tokens, cache)
        return self._head(h[:, -1])[0]

    def new_cache(self, batch):
        """An empty cache of keys and values for each block, for `batch` sequences."""
        c, weight = self.config, self.tok.weight.data
        shape = batch, c.heads, c.context, c.width // c.heads
        return [KVCache(*shape, like=weight) for _ in self.blocks]

    def _hidden(self, x, cache=None, rng=None):
        start = cache[0].length if cache else 0
        h, embed_back = self._embed(x, start, rng)
        options = {"causal": True, "rope": self.config.positions == "rotary", "rng": rng}
        if self.config.positions == "alibi":
            options["bias"] = alibi(self.config.heads, start + x.shape[1])[:, start:]
        backs = [embed_back]
        for i, block in enumerate(self.blocks):
            h, block_back = block(h, cache=cache[i] if cache else None, **options)
            backs.append(block_back)
        h, norm_back = self.ln_f(h)
        backs.append(norm_back)

        def backward(dh):
            for back in reversed(backs):
                dh = back(dh)

        return h, backward

    def _embed(self, x, start, rng):
        h, tok_back = self.tok(x)  # (B, T) -> (B, T, C)
        places = np.arange(start, start + x.shape[1])
        if self.config.positions == "learned":
            p, pos_back = self.pos(places)  # (T, C)
            h = h + p
        elif self.config.positions == "sinusoidal":
            h = h + sinusoidal(places[-1] + 1, self.config.width)[start:].astype(h.dtype)
        h, dropout_back = f.dropout(h, self.config.dropout, rng)

        def backward(dh):
            dh = dropout_back(dh)
            if self.config.positions == "learned":
                pos_back(dh.sum(axis=0))  # each sequence uses the same
            tok_back(dh)  # tokens have no gradient

        return h, backward

    def _head(self, h):
        if not self.config.tied:
            return self.head(h)
        logits, vjp = f.linear(h, self.tok.weight.data, None)

        def backward(dlogits):
            dh, dweight, _ = vjp(dlogits)
            self.tok.weight.grad += dweight
            return dh

        return logits, backward
