"""Recurrent networks over tokens in NumPy, their backward pass written out."""

import numpy as np

from dlcourse.boundary import check_inputs
from dlcourse.numpy import functional as f
from dlcourse.numpy.layers import Embedding, Linear
from dlcourse.numpy.module import Module
from dlcourse.numpy.recurrent import GRU, LSTM, Elman

CELLS = {"rnn": Elman, "gru": GRU, "lstm": LSTM}


class RNN(Module):
    """h^0_t = the token's vector,  h^l_t = cell_l(h^(l-1)_t, h^l_(t-1)),  logits = h^L W^T + b
    (eq-embedding, eq-rnn-cell, eq-gru-cell, eq-lstm-cell; gradients eq-bptt-cell).

    x (B, T), tokens -> logits (B, T, V) for the token after each position; with config.classes (B, O),
    from the last h^L alone. Dropout acts on what a layer hands up, never along time (Zaremba et al.
    2014), and only when a generator `rng` is given."""

    def __init__(self, config):
        self.config = config
        self.tok = Embedding(config.vocab, config.embed)
        sizes = [config.embed] + [config.hidden] * config.layers
        self.layers = [CELLS[config.cell](i, config.hidden) for i in sizes[:-1]]
        self.head = Linear(config.hidden, config.outputs)

    def __call__(self, x, rng=None):
        (logits, _), backward = self.unroll(x, rng=rng)
        return logits, backward

    def unroll(self, x, state=None, rng=None):
        """-> (logits, state), backward: from the states of all layers before x to those behind it, a list.

        Into `state` no gradient flows back: given from the window before, it makes truncated
        back-propagation through time."""
        check_inputs(x, self.config.inputs)
        h, tok_back = self.tok(x)  # (B, T) -> (B, T, E)
        states, backs = [], []
        for layer, before in zip(self.layers, state or [None] * len(self.layers), strict=True):
            (h, behind), layer_back = layer(h, before)  # (B, T, H)
            h, dropout_back = f.dropout(h, self.config.dropout, rng)
            states.append(behind)
            backs.append((layer_back, dropout_back))
        shape = h.shape
        if self.config.classes:
            h = h[:, -1]  # (B, H)
        logits, head_back = self.head(h)

        def backward(dlogits):
            dh = head_back(dlogits)
            if self.config.classes:
                dlast, dh = dh, np.zeros(shape, dh.dtype)
                dh[:, -1] = dlast
            for layer_back, dropout_back in reversed(backs):
                dh, _ = layer_back(dropout_back(dh))
            return tok_back(dh)

        return (logits, states), backward
