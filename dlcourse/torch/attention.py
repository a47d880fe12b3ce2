"""Attention in PyTorch, by its own fused operation.

Shapes: B batch, T queries, S keys, C channels, H heads, D = C / H channels of a head."""

import torch
import torch.nn.functional as F

from dlcourse.boundary import check_heads, check_mask, check_room, check_rope, check_visible
from dlcourse.torch.layers import Linear
from dlcourse.torch.module import Module


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
        self.q_proj = Linear(width, width, bias)
        self.k_proj = Linear(width, width, bias)
        self.v_proj = Linear(width, width, bias)
        self.out_proj = Linear(width, width, bias)

    def forward(self, x, memory=None, mask=None, causal=False, rope=False, bias=None, cache=None):
        source = x if memory is None else memory
        q, k, v = self.q_proj(x), self.k_proj(source), self.v_proj(source)
        q, k, v = (self._split(each) for each in (q, k, v))
        if rope:
            start = cache.length if cache else 0
            q, k = _rope(q, start), _rope(k, start)
        if cache:
            k, v = cache.extend(k, v)
        hidden, is_causal = _hidden(q, k, mask, causal, bias)
        dropout = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, hidden, dropout, is_causal)
        y = self.out_proj(y.transpose(1, 2).flatten(2))  # (B, H, T, D) -> (B, T, C)
        return F.dropout(y, self.dropout, self.training)

    def _split(self, x):
        """(B, T, C) -> (B, H, T, D)"""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class KVCache:
    """The keys and values of all positions so far, (B, H, length, D), in arrays for `context` positions.

    They have the dtype and the device of the array `like`. Inference only: what is kept here has no
    way back."""

    def __init__(self, batch, heads, context, size, like):
        shape = batch, heads, context, size
        self.keys, self.values = (like.new_empty(shape) for _ in range(2))
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
        self.keys, self.values = self.keys[rows], self.values[rows]


def _rope(x, offset=0, base=10000.0):
    """The pair (x_i, x_(i + D/2)) at position t, turned by the angle t base^(-2 i / D)  (eq-rope)."""
    check_rope(x.shape[-1])
    half = x.shape[-1] // 2
    positions = torch.arange(offset, offset + x.shape[-2])
    exponents = torch.arange(half, dtype=torch.float64) / -half
    angles = positions[:, None] * base**exponents  # (T, D / 2)
    cos, sin = angles.cos().to(x), angles.sin().to(x)
    left, right = x.chunk(2, dim=-1)
    return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


def _hidden(q, k, mask, causal, bias):
    """(attn_mask, is_causal) for PyTorch, whose own causal mask counts from the first key, not the last."""
    queries, keys = q.shape[2], k.shape[2]
    if mask is None and bias is None:
        if not causal or queries == 1:
            return None, False
        if queries == keys:
            return None, True
    seen = torch.ones(queries, keys, dtype=torch.bool, device=q.device)
    if causal:
        seen = seen.tril(keys - queries)
    if mask is not None:
        check_mask(mask.dtype == torch.bool, mask.dtype)
        seen = seen & mask
    check_visible(seen.cpu().numpy())
    return (seen if bias is None else bias.masked_fill(~seen, -torch.inf)), False
