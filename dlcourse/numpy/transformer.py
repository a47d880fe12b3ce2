"""The Transformer and its block in NumPy, their backward passes written out."""

import math

import numpy as np

from dlcourse.boundary import Tokens, check_choice, check_inputs, check_room
from dlcourse.numpy import functional as f
from dlcourse.numpy.attention import KVCache, MultiHeadAttention
from dlcourse.numpy.layers import Embedding, LayerNorm, Linear, RMSNorm
from dlcourse.numpy.module import Module
from dlcourse.positions import sinusoidal

# Looked up in f at each call: a reader's own function may stand in (`check.use`).
ACTIVATIONS = {
    "gelu": lambda x: f.gelu(x),
    "exact_gelu": lambda x: f.gelu(x, exact=True),
    "silu": lambda x: f.silu(x),
    "relu": lambda x: f.relu(x),
}


class FeedForward(Module):
    """y = activation(x W_up^T + b_up) W_down^T + b_down, the same at each position  (eq-feed-forward;
    gradients eq-feed-forward-vjp).

    x, y (B, T, C), in between `hidden` units; with a generator, dropout acts on y."""

    def __init__(self, width, hidden, activation="gelu", bias=True, dropout=0.0):
        self.up, self.down = Linear(width, hidden, bias), Linear(hidden, width, bias)
        self.activation, self.dropout = activation, dropout

    def __call__(self, x, rng=None):
        z, up_back = self.up(x)  # (B, T, C) -> (B, T, hidden)
        h, activation_back = ACTIVATIONS[self.activation](z)
        y, down_back = self.down(h)
        y, dropout_back = f.dropout(y, self.dropout, rng)
        return y, lambda dy: up_back(activation_back(down_back(dropout_back(dy))))


class Block(Module):
    """r = x + attn(ln_1(x)),  y = r + mlp(ln_2(r))  (eq-transformer-block; gradient
    eq-transformer-block-vjp and eq-transformer-block-vjp-weights; a `cross` block: eq-decoder-block and
    eq-decoder-block-vjp).

    x, y (B, T, C). With norm_first=False each norm follows its sum, as in Vaswani et al. 2017:
    r = ln_1(x + attn(x)), y = ln_2(r + mlp(r)). A `cross` block has three layers, self_attn,
    cross_attn and mlp; the queries of the second look at `memory` (B, S, C), where `memory_mask` lets
    them, and backward returns dx and dmemory. `norm` is layer or rms, and `eps` its own where that is None. `mask`, `causal`, `rope`,
    `bias` and `cache` are those of the attention to x itself; dropout acts with a generator."""

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
        rng=None,
    ):
        def attn(h):
            layer = self.self_attn if self.cross else self.attn
            return layer(h, None, mask, causal, rope, bias, cache, rng)

        def cross_attn(h):
            return self.cross_attn(h, memory, memory_mask, rng=rng)

        forward = self._norm_first if self.norm_first else self._norm_last
        return forward(x, attn, cross_attn, rng)

    def _norm_first(self, x, attn, cross_attn, rng):
        h, ln_1_back = self.ln_1(x)
        a, attn_back = attn(h)
        r = x + a
        if self.cross:
            h, ln_2_back = self.ln_2(r)
            a, cross_back = cross_attn(h)
            r = r + a
        h, ln_mlp_back = (self.ln_3 if self.cross else self.ln_2)(r)
        m, mlp_back = self.mlp(h, rng)

        def backward(dy):
            dr = dy + ln_mlp_back(mlp_back(dy))  # through r + mlp(ln(r))
            if self.cross:
                dh, dmemory = cross_back(dr)
                dr = dr + ln_2_back(dh)  # through r + cross_attn(ln(r), memory)
            dx = dr + ln_1_back(attn_back(dr))  # through x + attn(ln(x))
            return (dx, dmemory) if self.cross else dx

        return r + m, backward

    def _norm_last(self, x, attn, cross_attn, rng):
        a, attn_back = attn(x)
        r, ln_1_back = self.ln_1(x + a)
        if self.cross:
            a, cross_back = cross_attn(r)
            r, ln_2_back = self.ln_2(r + a)
        m, mlp_back = self.mlp(r, rng)
        y, ln_mlp_back = (self.ln_3 if self.cross else self.ln_2)(r + m)

        def backward(dy):
            ds = ln_mlp_back(dy)
            dr = ds + mlp_back(ds)  # through ln(r + mlp(r))
            if self.cross:
                ds = ln_2_back(dr)
                dh, dmemory = cross_back(ds)
                dr = ds + dh  # through ln(r + cross_attn(r, memory))
            ds = ln_1_back(dr)
            dx = ds + attn_back(ds)  # through ln(x + attn(x))
            return (dx, dmemory) if self.cross else dx

        return y, backward


def make_norm(kind, width, bias=True, eps=None):
    """The norm called layer or rms, with its own eps where that is None; an RMS norm never has a bias."""
    check_choice("norm", kind, ("layer", "rms"))
    options = {} if eps is None else {"eps": eps}
    return RMSNorm(width, **options) if kind == "rms" else LayerNorm(width, bias=bias, **options)


class Transformer(Module):
    """m = encoder(sqrt(C) tok[source] + pos),  logits = decoder(sqrt(C) tok[target] + pos, m) W^T
    (eq-transformer; gradient of the shared table eq-transformer-vjp; Vaswani et al. 2017).

    x (B, S + T) holds the source, its first S = config.source tokens, and what the decoder is given
    -> logits (B, T, V) of the token that follows each of the target's. Source, target and head share
    tok.weight, unless config.tied is False. Nothing looks at the padding of a source; that of a target
    comes last, where no earlier position sees it. Dropout acts only when a
    generator `rng` is given."""

    def __init__(self, config):
        self.config = config
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

    def __call__(self, x, rng=None):
        check_inputs(x, self.config.inputs)
        source, target = np.split(x, [self.config.source], axis=1)  # (B, S), (B, T)
        memory, encode_back = self.encode(source, rng)
        logits, decode_back = self.decode(target, memory, self.seen(source), rng=rng)

        def backward(dlogits):
            encode_back(decode_back(dlogits))  # and tokens have no gradient

        return logits, backward

    def seen(self, source):
        """Where one may look, (B, 1, 1, S): at all but the padding."""
        return (source != self.config.pad)[:, None, None]

    def encode(self, source, rng=None):
        """The memory (B, S, C) of sources (B, S), and its backward, which returns nothing."""
        h, embed_back = self._embed(source, "source_pos", 0, rng)
        backs = [embed_back]
        for block in self.encoder:
            h, back = block(h, mask=self.seen(source), rng=rng)
            backs.append(back)
        if self.config.norm_first:
            h, back = self.encoder_norm(h)
            backs.append(back)

        def backward(dmemory):
            for back in reversed(backs):
                dmemory = back(dmemory)

        return h, backward

    def decode(self, target, memory, seen=None, cache=None, rng=None):
        """The logits (B, T, V) after each token of targets (B, T), and a backward that returns dmemory.

        `seen` says where in the memory (B, S, C) one may look. A list of caches holds what came before."""
        h, embed_back = self._embed(target, "target_pos", cache[0].length if cache else 0, rng)
        backs = []
        for i, block in enumerate(self.decoder):
            past = cache[i] if cache else None
            h, back = block(h, memory, memory_mask=seen, causal=True, cache=past, rng=rng)
            backs.append(back)
        h, norm_back = self.decoder_norm(h) if self.config.norm_first else (h, lambda dh: dh)
        logits, head_back = self._head(h)

        def backward(dlogits):
            dh, dmemory = norm_back(head_back(dlogits)), 0.0
            for back in reversed(backs):
                dh, share = back(dh)
                dmemory = dmemory + share  # each block looks at the same memory
            embed_back(dh)
            return dmemory

        return logits, backward

    def logits(self, tokens, cache):
        """The logits (B, V) of the token after tokens (B, T), which follow those in the cache."""
        check_inputs(tokens, Tokens(self.config.vocab, self.config.target))
        check_room(cache.length, tokens.shape[1], self.config.target)
        return self.decode(tokens, cache.memory, cache.seen, cache.blocks)[0][:, -1]

    def new_cache(self, source):
        """The cache with which `logits` begins, for sources (B, S): the encoder runs here, once."""
        c, weight = self.config, self.tok.weight.data
        check_inputs(source, Tokens(c.vocab, c.source, pad=c.pad))
        shape = len(source), c.heads, c.target, c.width // c.heads
        blocks = [KVCache(*shape, like=weight) for _ in self.decoder]
        return DecoderCache(self.encode(source)[0], self.seen(source), blocks)

    def _embed(self, tokens, positions, start, rng):
        scale, stop = math.sqrt(self.config.width), start + tokens.shape[1]
        h, tok_back = self.tok(tokens)  # (B, T) -> (B, T, C)
        if self.config.positions == "learned":
            p, pos_back = getattr(self, positions)(np.arange(start, stop))  # (T, C)
        else:
            p = sinusoidal(stop, self.config.width)[start:].astype(h.dtype)
        h, dropout_back = f.dropout(scale * h + p, self.config.dropout, rng)

        def backward(dh):
            dh = dropout_back(dh)
            if self.config.positions == "learned":
                pos_back(dh.sum(axis=0))  # each sequence uses the same
            tok_back(scale * dh)

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
        self.memory, self.seen = self.memory[rows], self.seen[rows]
        for block in self.blocks:
            block.select(rows)
