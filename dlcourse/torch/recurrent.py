"""Recurrent layers: the kernels of `nn.RNN`, `nn.LSTM` and `nn.GRU`, under the course's names.

PyTorch's layers have a bias on both sides, and only their sum counts; the course has one. In a GRU the candidate's second
bias counts by itself, and is kept."""

import torch
import torch.nn.functional as F
from torch import nn

from dlcourse.boundary import check_sequence, check_state, check_whole


class _Recurrent(nn.Module):
    """What the layers share."""

    gates, carried = 1, 1  # blocks of H rows in a weight; arrays in a state

    def __init__(self, inputs, hidden):
        super().__init__()
        check_whole(inputs=inputs, hidden=hidden)
        rows = self.gates * hidden
        self.weight_ih = nn.Parameter(torch.empty(rows, inputs))
        self.weight_hh = nn.Parameter(torch.empty(rows, hidden))
        self.bias = nn.Parameter(torch.zeros(rows))
        for weight in (self.weight_ih, self.weight_hh):  # as PyTorch's own layers start
            nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)

    def forward(self, x, state=None):
        check_sequence(x, self.weight_ih.shape[1])
        shape = (len(x), self.weight_hh.shape[1])
        check_state(state, shape, self.carried)
        if state is None:
            state = (x.new_zeros(shape),) * self.carried
        elif self.carried == 1:
            state = (state,)
        state = tuple(
            s[None] for s in state
        )  # (B, H) -> (1, B, H): PyTorch's first axis counts layers
        weights = self.weight_ih, self.weight_hh, self.bias, self._other_bias()
        y, *state = self._kernel(
            x,
            state if self.carried == 2 else state[0],
            weights,
            has_biases=True,
            num_layers=1,
            dropout=0.0,
            train=self.training,
            bidirectional=False,
            batch_first=True,
        )
        state = tuple(s[0] for s in state)
        return y, state if self.carried == 2 else state[0]

    def _other_bias(self):
        return torch.zeros_like(self.bias)


class Elman(_Recurrent):
    """h_t = tanh(x_t W_ih^T + h_(t-1) W_hh^T + b)  (eq-rnn-cell; Elman 1990).

    x (B, T, I), state h_0 (B, H), None is zeros -> (y, state): all h_t (B, T, H), and h_T (B, H)."""

    _kernel = staticmethod(torch.rnn_tanh)


class LSTM(_Recurrent):
    """h_t, c_t = lstm_cell(x_t, h_(t-1), c_(t-1))  (eq-lstm-cell; Hochreiter & Schmidhuber 1997).

    x (B, T, I), state (h_0, c_0), each (B, H), None is zeros -> (y, state): all h_t (B, T, H), and (h_T, c_T)."""

    gates, carried, _kernel = 4, 2, staticmethod(torch.lstm)


class GRU(_Recurrent):
    """h_t = gru_cell(x_t, h_(t-1))  (eq-gru-cell; Cho et al. 2014).

    x (B, T, I), state h_0 (B, H), None is zeros -> (y, state): all h_t (B, T, H), and h_T (B, H).

    The reset gate multiplies h W_hn^T + bias_hh, so that this bias can't be merged with that of the input side."""

    gates, _kernel = 3, staticmethod(torch.gru)

    def __init__(self, inputs, hidden):
        super().__init__(inputs, hidden)
        self.bias_hh = nn.Parameter(torch.zeros(hidden))

    def _other_bias(self):
        return F.pad(self.bias_hh, (2 * len(self.bias_hh), 0))  # (H,) -> (3H,)
