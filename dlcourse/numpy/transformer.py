"""The block of the Transformer in NumPy, its backward pass written out."""

from dlcourse.numpy import functional as f
from dlcourse.numpy.attention import MultiHeadAttention
from dlcourse.numpy.layers import LayerNorm, Linear, RMSNorm
from dlcourse.numpy.module import Module


class FeedForward(Module):
    """y = activation(x W_up^T + b_up) W_down^T + b_down, the same at each position  (eq-feed-forward).

    x, y (B, T, C), in between `hidden` units; with a generator, dropout acts on y."""

    def __init__(self, width, hidden, activation="gelu", bias=True, dropout=0.0):
        self.up, self.down = Linear(width, hidden, bias), Linear(hidden, width, bias)
        self.activation, self.dropout = activation, dropout

    def __call__(self, x, rng=None):
        z, up_back = self.up(x)  # (B, T, C) -> (B, T, hidden)
        h, activation_back = getattr(f, self.activation)(z)
        y, down_back = self.down(h)
        y, dropout_back = f.dropout(y, self.dropout, rng)
        return y, lambda dy: up_back(activation_back(down_back(dropout_back(dy))))


class Block(Module):
    """r = x + attn(ln_1(x)),  y = r + mlp(ln_2(r))  (eq-transformer-block; gradient
    eq-transformer-block-vjp).

    x, y (B, T, C). With norm_first=False each norm follows its sum, as in Vaswani et al. 2017:
    r = ln_1(x + attn(x)), y = ln_2(r + mlp(r)). A `cross` block has three layers, self_attn,
    cross_attn and mlp; the queries of the second look at `memory` (B, S, C), where `memory_mask` lets
    them, and backward returns dx and dmemory. `norm` is layer or rms. `mask`, `causal`, `rope`,
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
    ):
        self.norm_first, self.cross = norm_first, cross
        self.ln_1 = make_norm(norm, width, bias)
        if cross:
            self.self_attn = MultiHeadAttention(width, heads, bias, dropout)
            self.ln_2 = make_norm(norm, width, bias)
            self.cross_attn = MultiHeadAttention(width, heads, bias, dropout)
            self.ln_3 = make_norm(norm, width, bias)
        else:
            self.attn = MultiHeadAttention(width, heads, bias, dropout)
            self.ln_2 = make_norm(norm, width, bias)
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


def make_norm(kind, width, bias=True):
    """The norm called layer or rms; an RMS norm never has a bias."""
    return RMSNorm(width) if kind == "rms" else LayerNorm(width, bias=bias)
