"""BERT in NumPy, its backward pass written out."""

import numpy as np

from dlcourse.boundary import check_inputs
from dlcourse.numpy import functional as f
from dlcourse.numpy.layers import Embedding, LayerNorm, Linear
from dlcourse.numpy.module import Module, Parameter
from dlcourse.numpy.transformer import ACTIVATIONS, Block


class BERT(Module):
    """h_0 = ln(tok[x] + pos + seg),  h_l = block_l(h_(l-1))  (eq-bert; Devlin et al. 2019).

    Tokens x (B, T), T at most config.context. Every position sees every other one that is no padding,
    config.pad. A token's segment is the number of config.sep before it, at most 1. What comes out, by
    config.task, from h = h_L:

    pretrain   (B, T, V) of the hidden tokens (eq-mlm-head, eq-mlm-head-vjp) and (B, 2), does the
               second sentence follow (eq-pooler, eq-pooler-vjp): a pair
    classify   (B, L) of the sequence, from tanh of a layer on its first token
    label      (B, T, L) of each token
    span       (B, 2, T), scores of all positions as the start and as the end of an answer

    Dropout acts only when a generator `rng` is given."""

    def __init__(self, config):
        self.config, width = config, config.width
        self.activation = "exact_gelu" if config.exact_gelu else "gelu"
        self.tok = Embedding(config.vocab, width)
        self.pos = Embedding(config.context, width)
        self.seg = Embedding(2, width)
        self.ln = LayerNorm(width, config.eps)
        self.blocks = [
            Block(
                width,
                config.heads,
                config.hidden,
                norm_first=False,
                activation=self.activation,
                dropout=config.dropout,
                eps=config.eps,
            )
            for _ in range(config.layers)
        ]
        if config.task in ("pretrain", "classify"):
            self.pooler = Linear(width, width)
        if config.task == "pretrain":
            self.transform = Linear(width, width)
            self.transform_ln = LayerNorm(width, config.eps)
            self.decoder_bias = Parameter((config.vocab,))
            self.nsp = Linear(width, 2)
        else:
            self.head = Linear(width, 2 if config.task == "span" else config.outputs)

    def __call__(self, x, rng=None):
        check_inputs(x, self.config.inputs)
        h, hidden_back = self._hidden(x, rng)  # (B, T) -> (B, T, C)
        head = {
            "pretrain": self._pretrain,
            "classify": self._classify,
            "label": self._label,
            "span": self._span,
        }[self.config.task]
        logits, head_back = head(h, rng)
        return logits, lambda dlogits: hidden_back(head_back(dlogits))

    def _hidden(self, x, rng):
        h, embed_back = self._embed(x, rng)
        seen = (x != self.config.pad)[:, None, None, :]  # (B, 1, 1, S)
        backs = [embed_back]
        for block in self.blocks:
            h, block_back = block(h, mask=seen, rng=rng)
            backs.append(block_back)

        def backward(dh):
            for back in reversed(backs):
                dh = back(dh)

        return h, backward

    def _embed(self, x, rng):
        ends = x == self.config.sep
        segments = np.minimum(np.cumsum(ends, axis=1) - ends, 1)  # those before it: (B, T)
        t, tok_back = self.tok(x)
        p, pos_back = self.pos(np.arange(x.shape[1]))  # (T, C)
        s, seg_back = self.seg(segments)
        h, ln_back = self.ln(t + p + s)
        h, dropout_back = f.dropout(h, self.config.dropout, rng)

        def backward(dh):
            dh = ln_back(dropout_back(dh))
            seg_back(dh)
            pos_back(dh.sum(axis=0))  # each sequence uses the same
            tok_back(dh)  # tokens have no gradient

        return h, backward

    def _pool(self, h):
        z, pooler_back = self.pooler(h[:, 0])  # (B, T, C) -> (B, C)
        y, tanh_back = f.tanh(z)

        def backward(dy):
            dh = np.zeros_like(h)
            dh[:, 0] = pooler_back(tanh_back(dy))
            return dh

        return y, backward

    def _pretrain(self, h, rng):
        t, transform_back = self.transform(h)
        t, activation_back = ACTIVATIONS[self.activation](t)
        t, ln_back = self.transform_ln(t)
        words, words_vjp = f.linear(t, self.tok.weight.data, self.decoder_bias.data)  # (B, T, V)
        pooled, pool_back = self._pool(h)
        follows, nsp_back = self.nsp(pooled)  # (B, 2)

        def backward(dlogits):
            dwords, dfollows = dlogits
            dt, dweight, dbias = words_vjp(dwords)
            self.tok.weight.grad += dweight
            self.decoder_bias.grad += dbias
            dh = transform_back(activation_back(ln_back(dt)))
            return dh + pool_back(nsp_back(dfollows))

        return (words, follows), backward

    def _classify(self, h, rng):
        pooled, pool_back = self._pool(h)
        pooled, dropout_back = f.dropout(pooled, self.config.dropout, rng)
        logits, head_back = self.head(pooled)  # (B, L)
        return logits, lambda dlogits: pool_back(dropout_back(head_back(dlogits)))

    def _label(self, h, rng):
        h, dropout_back = f.dropout(h, self.config.dropout, rng)
        logits, head_back = self.head(h)  # (B, T, L)
        return logits, lambda dlogits: dropout_back(head_back(dlogits))

    def _span(self, h, rng):
        scores, head_back = self.head(h)  # (B, T, 2)
        return scores.swapaxes(1, 2), lambda dlogits: head_back(dlogits.swapaxes(1, 2))
