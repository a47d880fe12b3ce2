"""Recurrent layers: MLX's own, with the course's names for their parameters, and its states."""

import mlx.nn as nn

from dlcourse.boundary import check_sequence, check_state, check_whole


def _called(name):
    """What MLX looks for under a name of its own stands under `name`."""
    return property(lambda layer: getattr(layer, name))


def _rename(layer, **names):
    """{MLX's name: the course's}, in the order of the course."""
    for own, name in names.items():
        layer[name] = layer.pop(own)


class Elman(nn.RNN):
    """h_t = tanh(x_t W_ih^T + h_(t-1) W_hh^T + b)  (eq-rnn-cell; Elman 1990).

    x (B, T, I), state h_0 (B, H), None is zeros -> (y, state): all h_t (B, T, H), and h_T (B, H)."""

    Wxh, Whh = _called("weight_ih"), _called("weight_hh")

    def __init__(self, inputs, hidden):
        check_whole(inputs=inputs, hidden=hidden)
        super().__init__(inputs, hidden)
        _rename(self, Wxh="weight_ih", Whh="weight_hh", bias="bias")

    def __call__(self, x, state=None):
        check_sequence(x, self.weight_ih.shape[1])
        check_state(state, (len(x), self.hidden_size))
        y = super().__call__(x, state)
        return y, y[:, -1]


class LSTM(nn.LSTM):
    """h_t, c_t = lstm_cell(x_t, h_(t-1), c_(t-1))  (eq-lstm-cell; Hochreiter & Schmidhuber 1997).

    x (B, T, I), state (h_0, c_0), each (B, H), None is zeros -> (y, state): all h_t (B, T, H), and (h_T, c_T)."""

    Wx, Wh = _called("weight_ih"), _called("weight_hh")

    def __init__(self, inputs, hidden):
        check_whole(inputs=inputs, hidden=hidden)
        super().__init__(inputs, hidden)
        _rename(self, Wx="weight_ih", Wh="weight_hh", bias="bias")

    def __call__(self, x, state=None):
        check_sequence(x, self.weight_ih.shape[1])
        check_state(state, (len(x), self.hidden_size), arrays=2)
        y, c = super().__call__(x, *(state or ()))
        return y, (y[:, -1], c[:, -1])


class GRU(nn.GRU):
    """h_t = gru_cell(x_t, h_(t-1))  (eq-gru-cell; Cho et al. 2014).

    x (B, T, I), state h_0 (B, H), None is zeros -> (y, state): all h_t (B, T, H), and h_T (B, H).

    The reset gate multiplies h W_hn^T + bias_hh, so that this bias can't be merged with that of the input side."""

    Wx, Wh = _called("weight_ih"), _called("weight_hh")
    b, bhn = _called("bias"), _called("bias_hh")

    def __init__(self, inputs, hidden):
        check_whole(inputs=inputs, hidden=hidden)
        super().__init__(inputs, hidden)
        _rename(self, Wx="weight_ih", Wh="weight_hh", b="bias", bhn="bias_hh")

    def __call__(self, x, state=None):
        check_sequence(x, self.weight_ih.shape[1])
        check_state(state, (len(x), self.hidden_size))
        y = super().__call__(x, state)
        return y, y[:, -1]
