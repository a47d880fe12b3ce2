"""Attention in MLX, by its own fused operation.

Shapes: B batch, T queries, S keys, C channels, H heads, D = C / H channels of a head."""

import math

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from dlcourse.boundary import check_heads, check_mask, check_room, check_rope, check_visible
from dlcourse.mlx.layers import Linear
from dlcourse.mlx.module import Module


class MultiHeadAttention(Module):
    """y = concat(head_1 ... head_H) W_o^T,  head_h = attention(x W_q^T, m W_k^T, m W_v^T) on the h-th
    D = C / H channels of each  (eq-multi-head; Vaswani et al. 2017).

    x (B, T, C) -> y (B, T, C). m is x itself, or `memory` (B, S, C). `rope` turns queries and keys by
    their positions; a `cache` holds the keys and values of the positions before x and takes in those
    of x; `mask`, `causal` and `bias` are as in NumPy's `attention`. In training dropout acts on the
    attention weights and on y. Raises ValueError unless H divides C."""

    def __init__(self, width, heads, bias=True, dropout=0.0):
        super().__init__()
        check_heads(width, heads)
        self.heads, self.dropout = heads, dropout
        self.drop = nn.Dropout(dropout)
        self.q_proj = Linear(width, width, bias)
        self.k_proj = Linear(width, width, bias)
        self.v_proj = Linear(width, width, bias)
        self.out_proj = Linear(width, width, bias)

    def __call__(self, x, memory=None, mask=None, causal=False, rope=False, bias=None, cache=None):
        source = x if memory is None else memory
        q, k, v = self.q_proj(x), self.k_proj(source), self.v_proj(source)
        q, k, v = (self._split(each) for each in (q, k, v))
        if rope:
            start = cache.length if cache else 0
            q, k = _rope(q, start), _rope(k, start)
        if cache:
            k, v = cache.extend(k, v)
        scale = 1.0 / math.sqrt(q.shape[-1])
        if self.training and self.dropout:  # MLX's own operation can't drop weights
            scores = scale * q @ k.swapaxes(2, 3) + _hidden(q, k, mask, causal, bias)
            y = self.drop(mx.softmax(scores, axis=-1)) @ v
        elif mask is None and bias is None:
            hidden = "causal" if causal else None
            y = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=hidden)
        else:
            hidden = _hidden(q, k, mask, causal, bias)
            y = mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=hidden)
        y = self.out_proj(y.swapaxes(1, 2).flatten(2))  # (B, H, T, D) -> (B, T, C)
        return self.drop(y)

    def _split(self, x):
        """(B, T, C) -> (B, H, T, D)"""
        return mx.unflatten(x, -1, (self.heads, -1)).swapaxes(1, 2)


class KVCache:
    """The keys and values of all positions so far, (B, H, length, D), in arrays for `context` positions.

    They have the dtype and the device of the array `like`. Inference only: what is kept here has no
    way back."""

    def __init__(self, batch, heads, context, size, like):
        shape = batch, heads, context, size
        self.keys, self.values = (mx.zeros(shape, like.dtype) for _ in range(2))
        self.length = 0

    def extend(self, k, v):
        """Append k, v (B, H, T, D) -> all keys, all values. Raises ValueError when they do not fit in."""
        check_room(self.length, k.shape[2], self.keys.shape[2])
        new = slice(self.length, self.length + k.shape[2])
        self.keys[:, :, new], self.values[:, :, new] = k, v
        self.length = new.stop
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def select(self, rows):
        """Go on with these sequences alone, in this order; one may come several times."""
        rows = mx.array(rows)
        self.keys, self.values = self.keys[rows], self.values[rows]


def _rope(x, offset=0, base=10000.0):
    """The pair (x_i, x_(i + D/2)) at position t, turned by the angle t base^(-2 i / D)  (eq-rope)."""
    size = x.shape[-1]
    check_rope(size)
    return mx.fast.rope(x, size, traditional=False, base=base, scale=1.0, offset=offset)


def _hidden(q, k, mask, causal, bias):
    """What is added to the scores: `bias`, and -inf where a query may not look."""
    queries, keys = q.shape[2], k.shape[2]
    seen = mx.tri(queries, keys, keys - queries, dtype=mx.bool_) if causal else mx.array(True)
    if mask is not None:
        check_mask(mask.dtype == mx.bool_, mask.dtype)
        seen = seen & mask
        check_visible(np.array(seen))
    return mx.where(seen, mx.array(0.0, q.dtype) if bias is None else bias, -mx.inf)
