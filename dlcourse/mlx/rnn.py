"""Recurrent networks over tokens in MLX."""

import mlx.nn as nn

from dlcourse.mlx.layers import Embedding, Linear
from dlcourse.mlx.module import Module, check_tokens
from dlcourse.mlx.recurrent import GRU, LSTM, Elman

CELLS = {"rnn": Elman, "gru": GRU, "lstm": LSTM}


class RNN(Module):
    """h^0_t = the token's vector,  h^l_t = cell_l(h^(l-1)_t, h^l_(t-1)),  logits = h^L W^T + b
    (eq-embedding, eq-rnn-cell, eq-gru-cell, eq-lstm-cell).

    x (B, T), tokens -> logits (B, T, V) for the token after each position; with config.classes (B, O),
    from the last h^L alone. Dropout acts on what a layer hands up, never along time (Zaremba et al.
    2014), and only in training mode."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tok = Embedding(config.vocab, config.embed)
        sizes = [config.embed] + [config.hidden] * config.layers
        self.layers = [CELLS[config.cell](i, config.hidden) for i in sizes[:-1]]
        self.head = Linear(config.hidden, config.outputs)
        self.dropout = nn.Dropout(config.dropout)

    def __call__(self, x):
        return self.unroll(x)[0]

    def unroll(self, x, state=None):
        """-> (logits, state): from the states of all layers before x to those behind it, a list.

        Gradients flow back into `state`: stop them for truncated back-propagation through time."""
        check_tokens(x, self.config.inputs)
        h = self.tok(x)  # (B, T) -> (B, T, E)
        states = []
        for layer, before in zip(self.layers, state or [None] * len(self.layers), strict=True):
            h, behind = layer(h, before)  # (B, T, H)
            h = self.dropout(h)
            states.append(behind)
        return self.head(h[:, -1] if self.config.classes else h), states
