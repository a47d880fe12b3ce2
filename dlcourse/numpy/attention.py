"""Attention and its gradients.

Shapes: B batch, T queries, S keys, C channels, H heads, D = C / H channels of a head. As in
`functional.py` an operation returns `y, backward`."""

import math

import numpy as np

from dlcourse.boundary import (
    check_attention,
    check_heads,
    check_mask,
    check_room,
    check_rope,
    check_visible,
)
from dlcourse.numpy import functional as f
from dlcourse.numpy.layers import Linear
from dlcourse.numpy.module import Module
from dlcourse.positions import alibi, sinusoidal

__all__ = [
    "KVCache",
    "MultiHeadAttention",
    "alibi",
    "attention",
    "rope",
    "sinusoidal",
    "streaming_attention",
]

# ---------------------------------------------------------------- operations


def attention(q, k, v, mask=None, causal=False, bias=None, dropout=0.0, rng=None):
    """y = P v,  P = softmax(q k^T / sqrt(D) + bias), row by row  (eq-attention; gradients
    eq-attention-vjp; Vaswani et al. 2017).

    q (B, H, T, D), k, v (B, H, S, D) -> y (B, H, T, D). `mask` is True where a query may look, `bias`
    is added to the scores; both are broadcast to (B, H, T, S). `causal`: query i sees the keys
    j <= i + S - T, so that the last one sees all  (eq-causal-mask). With a generator `rng`, `dropout` acts on P.
    Raises ValueError for shapes that do not fit, and for a query that may look at no key."""
    check_attention(q, k, v)
    scale = 1.0 / math.sqrt(q.shape[-1])
    q_scaled = q * scale  # (B, H, T, D): smaller than the scores
    # P transposed, a column for each query: the maximum of columns is 2 to 4 times faster than of rows
    p = k @ turned(q_scaled)  # (B, H, S, T)
    if bias is not None:
        p += turned(np.asarray(bias))
    if mask is not None or causal:
        p += turned(_hidden(mask, causal, q.shape[2], k.shape[2], p.dtype))
    p -= p.max(axis=2, keepdims=True)
    np.exp(p, out=p)
    p *= 1.0 / p.sum(axis=2, keepdims=True)
    w, dropout_back = f.dropout(p, dropout, rng)
    # empty_like keeps the order of the axes in memory: merging the heads of y then copies nothing
    y = np.matmul(turned(w), v, out=np.empty_like(q))

    def backward(dy):
        dv = np.matmul(w, dy, out=np.empty_like(v))
        ds = dropout_back(v @ turned(dy))  # dP (B, H, S, T)
        ds -= np.einsum("bhtd,bhtd->bht", dy, y)[:, :, None]  # sum_j P_ij dP_ij = dy_i . y_i
        ds *= p
        dq = np.matmul(turned(ds), k, out=np.empty_like(q))
        dq *= scale
        return dq, np.matmul(ds, q_scaled, out=np.empty_like(k)), dv

    return y, backward


def streaming_attention(q, k, v, block=64, causal=False):
    """`attention` in memory that grows with T, not with T S  (eq-online-softmax; Milakov & Gimelshein
    2018; Dao et al. 2022).

    Scores are made for `block` queries and keys at a time and thrown away; a larger maximum in a later
    block rescales what the earlier ones left. The backward pass makes them again from the logarithms of
    the row sums. q (B, H, T, D), k, v (B, H, S, D) -> y (B, H, T, D). Raises ValueError as `attention`
    does."""
    check_attention(q, k, v)
    queries, keys = q.shape[2], k.shape[2]
    if causal:
        check_visible(np.array([[keys >= queries]]))  # the first query sees S - T + 1 keys
    scale = 1.0 / math.sqrt(q.shape[-1])
    y, log_sums = np.empty_like(q), np.empty((*q.shape[:3], 1), q.dtype)

    def scores(rows, columns):
        s = (q[:, :, rows] * scale) @ turned(k[:, :, columns])  # (B, H, block, block)
        first = rows.start + keys - queries  # the last key that the first row sees
        if causal:
            s[..., ~np.tri(*s.shape[2:], first - columns.start, dtype=bool)] = -np.inf
        return s

    def seen_blocks(rows):
        return _blocks(rows.stop + keys - queries if causal else keys, block)

    for rows in _blocks(queries, block):
        largest, total, weighted = -np.inf, 0.0, 0.0
        for columns in seen_blocks(rows):
            s = scores(rows, columns)
            higher = np.maximum(largest, s.max(axis=-1, keepdims=True))
            shrink = np.exp(largest - higher)  # 0 at first
            s -= higher
            np.exp(s, out=s)
            total = total * shrink + s.sum(axis=-1, keepdims=True)
            weighted = weighted * shrink + s @ v[:, :, columns]
            largest = higher
        y[:, :, rows] = weighted / total
        log_sums[:, :, rows] = largest + np.log(total)

    def backward(dy):
        dq, dk, dv = np.zeros_like(q), np.zeros_like(k), np.zeros_like(v)
        along = np.einsum("bhtd,bhtd->bht", dy, y)[..., None]
        for rows in _blocks(queries, block):
            for columns in seen_blocks(rows):
                p = np.exp(scores(rows, columns) - log_sums[:, :, rows])
                dv[:, :, columns] += turned(p) @ dy[:, :, rows]
                ds = dy[:, :, rows] @ turned(v[:, :, columns])
                ds -= along[:, :, rows]
                ds *= p
                ds *= scale
                dq[:, :, rows] += ds @ k[:, :, columns]
                dk[:, :, columns] += turned(ds) @ q[:, :, rows]
        return dq, dk, dv

    return y, backward


def rope(x, offset=0, base=10000.0):
    """The pair (x_i, x_(i + D/2)) at position t, turned by the angle t base^(-2 i / D)  (eq-rope; gradient
    eq-rope-vjp: turned back; Su et al. 2021).

    The first position is `offset`. x, y (..., T, D). Raises ValueError for an odd D."""
    check_rope(x.shape[-1])
    half = x.shape[-1] // 2
    positions = np.arange(offset, offset + x.shape[-2])
    angles = positions[:, None] * base ** (np.arange(half) / -half)  # (T, D / 2)
    cos, sin = np.cos(angles).astype(x.dtype), np.sin(angles).astype(x.dtype)

    def turn(x, sin):
        y, left, right = np.empty_like(x), x[..., :half], x[..., half:]
        y[..., :half] = left * cos - right * sin
        y[..., half:] = right * cos + left * sin
        return y

    return turn(x, sin), lambda dy: turn(dy, -sin)


_rope = rope  # the layer below has an argument of this name


def turned(x):
    """The transpose of the last two axes, (..., T, D) -> (..., D, T): a view."""
    return x.swapaxes(-1, -2)


def _hidden(mask, causal, queries, keys, dtype):
    """0 where a query may look and -inf where not, of at most (B, H, T, S)."""
    seen = np.tri(queries, keys, keys - queries, dtype=bool) if causal else np.True_
    if mask is not None:
        check_mask(mask.dtype == bool, mask.dtype)
        seen = seen & mask
    check_visible(seen)
    return np.where(seen, dtype.type(0), dtype.type(-np.inf))


def _blocks(count, size):
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


# ---------------------------------------------------------------- layers


class MultiHeadAttention(Module):
    """y = concat(head_1 ... head_H) W_o^T,  head_h = attention(x W_q^T, m W_k^T, m W_v^T) on the h-th
    D = C / H channels of each  (eq-multi-head; gradients eq-multi-head-vjp; Vaswani et al. 2017).

    x (B, T, C) -> y (B, T, C). m is x itself, or `memory` (B, S, C): backward then returns dx and
    dmemory. `rope` turns queries and keys by their positions; a `cache` holds the keys and values of
    the positions before x and takes in those of x; `mask`, `causal` and `bias` are those of
    `attention`. With a generator dropout acts on the attention weights and on y. Raises ValueError
    unless H divides C."""

    def __init__(self, width, heads, bias=True, dropout=0.0):
        check_heads(width, heads)
        self.heads, self.dropout = heads, dropout
        self.q_proj, self.k_proj, self.v_proj = (Linear(width, width, bias) for _ in range(3))
        self.out_proj = Linear(width, width, bias)

    def __call__(
        self,
        x,
        memory=None,
        mask=None,
        causal=False,
        rope=False,
        bias=None,
        cache=None,
        rng=None,
    ):
        source = x if memory is None else memory
        q, q_back = self.q_proj(x)
        k, k_back = self.k_proj(source)
        v, v_back = self.v_proj(source)
        q, k, v = self._split(q), self._split(k), self._split(v)
        if rope:
            start = cache.length if cache else 0
            (q, q_rope_back), (k, k_rope_back) = _rope(q, start), _rope(k, start)
        if cache:
            k, v = cache.extend(k, v)
        y, attention_back = attention(q, k, v, mask, causal, bias, self.dropout, rng)
        y, out_back = self.out_proj(_merge(y))
        y, dropout_back = f.dropout(y, self.dropout, rng)

        def backward(dy):
            if cache:
                raise RuntimeError(
                    "this output was computed with a cache, which has no way back: call the layer without one"
                )
            dq, dk, dv = attention_back(self._split(out_back(dropout_back(dy))))
            if rope:
                dq, dk = q_rope_back(dq), k_rope_back(dk)
            dx, dsource = q_back(_merge(dq)), k_back(_merge(dk)) + v_back(_merge(dv))
            return dx + dsource if memory is None else (dx, dsource)

        return y, backward

    def _split(self, x):
        """(B, T, C) -> (B, H, T, D)"""
        return x.reshape(*x.shape[:2], self.heads, -1).swapaxes(1, 2)


def _merge(x):
    """(B, H, T, D) -> (B, T, C)"""
    return x.swapaxes(1, 2).reshape(len(x), x.shape[2], -1)


class KVCache:
    """The keys and values of all positions so far, (B, H, length, D), in arrays for `context` positions.

    They have the dtype and the device of the array `like`. Inference only: what is kept here has no
    way back."""

    def __init__(self, batch, heads, context, size, like):
        shape = batch, heads, context, size
        self.keys, self.values = (np.empty(shape, like.dtype) for _ in range(2))
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
