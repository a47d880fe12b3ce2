"""The Transformer and its block in MLX."""

import math

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from dlcourse.boundary import Tokens, check_choice, check_inputs, check_room
from dlcourse.mlx.attention import KVCache, MultiHeadAttention
from dlcourse.mlx.layers import Embedding, LayerNorm, Linear, RMSNorm
from dlcourse.mlx.module import Module, check_tokens
from dlcourse.positions import sinusoidal

ACTIVATIONS = {
    "gelu": nn.gelu_approx,
    "exact_gelu": nn.gelu,
    "silu": nn.silu,
    "relu": nn.relu,
}


class FeedForward(Module):
    """y = activation(x W_up^T + b_up) W_down^T + b_down, the same at each position  (eq-feed-forward).

    x, y (B, T, C), in between `hidden` units; in training dropout acts on y."""

    def __init__(self, width, hidden, activation="gelu", bias=True, dropout=0.0):
        super().__init__()
        self.up, self.down = Linear(width, hidden, bias), Linear(hidden, width, bias)
        self.activation, self.drop = activation, nn.Dropout(dropout)

    def __call__(self, x):
        h = ACTIVATIONS[self.activation](self.up(x))  # (B, T, C) -> (B, T, hidden)
        return self.drop(self.down(h))


class Block(Module):
    """r = x + attn(ln_1(x)),  y = r + mlp(ln_2(r))  (eq-transformer-block).

    x, y (B, T, C). With norm_first=False each norm follows its sum, as in Vaswani et al. 2017:
    r = ln_1(x + attn(x)), y = ln_2(r + mlp(r)). A `cross` block has three layers, self_attn,
    cross_attn and mlp; the queries of the second look at `memory` (B, S, C), where `memory_mask` lets
    them. `norm` is layer or rms, and `eps` its own where that is None. `mask`, `causal`, `rope`, `bias` and `cache` are those of the
    attention to x itself."""

    def __init__(
        self,
        width,
        heads,
        hidden,
        norm_first=True,
        cross=False,
        activation="gelu",
        norm="layer",
        bias=True,
        dropout=0.0,
        eps=None,
    ):
        super().__init__()
        self.norm_first, self.cross = norm_first, cross
        self.ln_1 = make_norm(norm, width, bias, eps)
        if cross:
            self.self_attn = MultiHeadAttention(width, heads, bias, dropout)
            self.ln_2 = make_norm(norm, width, bias, eps)
            self.cross_attn = MultiHeadAttention(width, heads, bias, dropout)
            self.ln_3 = make_norm(norm, width, bias, eps)
        else:
            self.attn = MultiHeadAttention(width, heads, bias, dropout)
            self.ln_2 = make_norm(norm, width, bias, eps)
        self.mlp = FeedForward(width, hidden, activation, bias, dropout)

    def __call__(
        self,
        x,
        memory=None,
        mask=None,
        memory_mask=None,
        causal=False,
        rope=False,
        bias=None,
        cache=None,
    ):
        attn = self.self_attn if self.cross else self.attn
        ln_mlp = self.ln_3 if self.cross else self.ln_2
        options = {"mask": mask, "causal": causal, "rope": rope, "bias": bias, "cache": cache}
        if self.norm_first:
            r = x + attn(self.ln_1(x), **options)
            if self.cross:
                r = r + self.cross_attn(self.ln_2(r), memory, memory_mask)
            return r + self.mlp(ln_mlp(r))
        r = self.ln_1(x + attn(x, **options))
        if self.cross:
            r = self.ln_2(r + self.cross_attn(r, memory, memory_mask))
        return ln_mlp(r + self.mlp(r))


def make_norm(kind, width, bias=True, eps=None):
    """The norm called layer or rms, with its own eps where that is None; an RMS norm never has a bias."""
    check_choice("norm", kind, ("layer", "rms"))
    options = {} if eps is None else {"eps": eps}
    return RMSNorm(width, **options) if kind == "rms" else LayerNorm(width, bias=bias, **options)


class Transformer(Module):
    """m = encoder(sqrt(C) tok[source] + pos),  logits = decoder(sqrt(C) tok[target] + pos, m) W^T
    (eq-transformer; Vaswani et al. 2017).

    x (B, S + T) holds the source, its first S = config.source tokens, and what the decoder is given
    -> logits (B, T, V) of the token that follows each of the target's. Source, target and head share
    tok.weight, unless config.tied is False. Nothing looks at the padding of a source; that of a target
    comes last, where no earlier position sees it."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.drop = nn.Dropout(config.dropout)
        self.tok = Embedding(config.vocab, config.width)
        if config.positions == "learned":
            self.source_pos = Embedding(config.source, config.width)
            self.target_pos = Embedding(config.target, config.width)
        self.encoder = [make_block(config, cross=False) for _ in range(config.layers)]
        self.decoder = [make_block(config, cross=True) for _ in range(config.layers)]
        if config.norm_first:  # post-norm blocks end in a norm of their own
            self.encoder_norm, self.decoder_norm = LayerNorm(config.width), LayerNorm(config.width)
        if not config.tied:
            self.head = Linear(config.width, config.vocab, bias=False)

    def __call__(self, x):
        check_tokens(x, self.config.inputs)
        source, target = mx.split(x, [self.config.source], axis=1)  # (B, S), (B, T)
        return self.decode(target, self.encode(source), self.seen(source))

    def seen(self, source):
        """Where one may look, (B, 1, 1, S): at all but the padding."""
        return (source != self.config.pad)[:, None, None]

    def encode(self, source):
        """The memory (B, S, C) of sources (B, S)."""
        h = self._embed(source, "source_pos", 0)
        for block in self.encoder:
            h = block(h, mask=self.seen(source))
        return self.encoder_norm(h) if self.config.norm_first else h

    def decode(self, target, memory, seen=None, cache=None):
        """The logits (B, T, V) after each token of targets (B, T).

        `seen` says where in the memory (B, S, C) one may look. A list of caches holds what came before."""
        h = self._embed(target, "target_pos", cache[0].length if cache else 0)
        for i, block in enumerate(self.decoder):
            past = cache[i] if cache else None
            h = block(h, memory, memory_mask=seen, causal=True, cache=past)
        h = self.decoder_norm(h) if self.config.norm_first else h
        return self.tok.as_linear(h) if self.config.tied else self.head(h)

    def logits(self, tokens, cache):
        """The logits (B, V) of the token after tokens (B, T), which follow those in the cache."""
        check_inputs(tokens, Tokens(self.config.vocab, self.config.target))
        check_room(cache.length, tokens.shape[1], self.config.target)
        tokens = mx.array(np.asarray(tokens, np.int32))
        return np.array(self.decode(tokens, cache.memory, cache.seen, cache.blocks)[:, -1])

    def new_cache(self, source):
        """The cache with which `logits` begins, for sources (B, S): the encoder runs here, once."""
        c, weight = self.config, self.tok.weight
        check_inputs(source, Tokens(c.vocab, c.source, pad=c.pad))
        source = mx.array(np.asarray(source, np.int32))
        shape = len(source), c.heads, c.target, c.width // c.heads
        blocks = [KVCache(*shape, like=weight) for _ in self.decoder]
        return DecoderCache(self.encode(source), self.seen(source), blocks)

    def _embed(self, tokens, positions, start):
        stop = start + tokens.shape[1]
        h = math.sqrt(self.config.width) * self.tok(tokens)  # (B, T) -> (B, T, C)
        if self.config.positions == "learned":
            return self.drop(h + getattr(self, positions).weight[start:stop])
        return self.drop(h + mx.array(sinusoidal(stop, self.config.width)[start:], h.dtype))


def make_block(config, cross):
    """A block of the encoder, or a `cross` block of the decoder."""
    return Block(
        config.width,
        config.heads,
        config.hidden,
        norm_first=config.norm_first,
        cross=cross,
        activation=config.activation,
        dropout=config.dropout,
    )


class DecoderCache:
    """What decoding keeps: the memory of each source, read once, and the keys and values of the target
    so far. Inference only."""

    def __init__(self, memory, seen, blocks):
        self.memory, self.seen, self.blocks = memory, seen, blocks

    @property
    def length(self):
        """How many tokens of the target are in it."""
        return self.blocks[0].length

    def select(self, rows):
        """Go on with these sequences alone, in this order; one may come several times."""
        rows = mx.array(rows)
        self.memory, self.seen = self.memory[rows], self.seen[rows]
        for block in self.blocks:
            block.select(rows)
