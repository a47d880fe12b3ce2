"""The block of the Transformer in PyTorch."""

import torch.nn.functional as F

from dlcourse.torch.attention import MultiHeadAttention
from dlcourse.torch.layers import LayerNorm, Linear, RMSNorm
from dlcourse.torch.module import Module

ACTIVATIONS = {
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "relu": F.relu,
}


class FeedForward(Module):
    """y = activation(x W_up^T + b_up) W_down^T + b_down, the same at each position  (eq-feed-forward).

    x, y (B, T, C), in between `hidden` units; in training dropout acts on y."""

    def __init__(self, width, hidden, activation="gelu", bias=True, dropout=0.0):
        super().__init__()
        self.up, self.down = Linear(width, hidden, bias), Linear(hidden, width, bias)
        self.activation, self.dropout = activation, dropout

    def forward(self, x):
        h = ACTIVATIONS[self.activation](self.up(x))  # (B, T, C) -> (B, T, hidden)
        return F.dropout(self.down(h), self.dropout, self.training)


class Block(Module):
    """r = x + attn(ln_1(x)),  y = r + mlp(ln_2(r))  (eq-transformer-block).

    x, y (B, T, C). With norm_first=False each norm follows its sum, as in Vaswani et al. 2017:
    r = ln_1(x + attn(x)), y = ln_2(r + mlp(r)). A `cross` block has three layers, self_attn,
    cross_attn and mlp; the queries of the second look at `memory` (B, S, C), where `memory_mask` lets
    them. `norm` is layer or rms. `mask`, `causal`, `rope`, `bias` and `cache` are those of the
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
    ):
        super().__init__()
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

    def forward(
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


def make_norm(kind, width, bias=True):
    """The norm called layer or rms; an RMS norm never has a bias."""
    return RMSNorm(width) if kind == "rms" else LayerNorm(width, bias=bias)
