"""Recurrent cells, and layers that apply one cell at every time step.

A cell sees its input through a = x W_ih^T + b and its own past through r = h W_hh^T. What it makes of the two stands in a
function of its own (`_elman`, `_lstm`, `_gru`), which cell and layer share: the cell is one step, the layer all of them.
Every step leaves its backward function behind, and back-propagation through time calls them last to first (eq-bptt-cell; of
the plain cell written out: eq-bptt).
Shapes: B batch, T time, I in, H hidden."""

import functools

import numpy as np

from dlcourse.boundary import check_sequence, check_state, check_whole
from dlcourse.numpy.module import Module, Parameter

# ---------------------------------------------------------------- cells: one step


def rnn_cell(x, h, weight_ih, weight_hh, bias):
    """h' = tanh(x W_ih^T + h W_hh^T + b)  (eq-rnn-cell; gradients eq-rnn-cell-vjp; Elman 1990).

    x (B, I), h (B, H), weight_ih (H, I), weight_hh (H, H), bias (H,) -> h' (B, H)"""
    a, r = x @ weight_ih.T + bias, h @ weight_hh.T
    (h_new,), step_back = _elman(a, r, (h,))

    def backward(dh_new):
        da = np.empty_like(a)
        step_back((dh_new,), da, da)
        return da @ weight_ih, da @ weight_hh, da.T @ x, da.T @ h, da.sum(axis=0)

    return h_new, backward


def lstm_cell(x, h, c, weight_ih, weight_hh, bias):
    """i, f, o = sigmoid and g = tanh of x W_ih^T + h W_hh^T + b,  c' = f c + i g,  h' = o tanh(c')
    (eq-lstm-cell; gradients eq-lstm-cell-vjp; Hochreiter & Schmidhuber 1997, Gers et al. 2000).

    x (B, I); h, c (B, H); weight_ih (4H, I), weight_hh (4H, H), bias (4H,), rows in the order i, f, g, o
    -> (h', c'), each (B, H); backward(dh', dc')"""
    a, r = x @ weight_ih.T + bias, h @ weight_hh.T
    state, step_back = _lstm(a, r, (h, c))

    def backward(dh_new, dc_new):
        da = np.empty_like(a)
        _, dc = step_back((dh_new, dc_new), da, da)
        return da @ weight_ih, da @ weight_hh, dc, da.T @ x, da.T @ h, da.sum(axis=0)

    return state, backward


def gru_cell(x, h, weight_ih, weight_hh, bias, bias_hh):
    """r, z = sigmoid of x W_ih^T + h W_hh^T + b,  n = tanh(x W_in^T + b_n + r (h W_hn^T + b_hn)),
    h' = (1 - z) n + z h  (eq-gru-cell; gradients eq-gru-cell-vjp; Cho et al. 2014).

    x (B, I), h (B, H), weight_ih (3H, I), weight_hh (3H, H), bias (3H,), rows in the order r, z, n;
    bias_hh (H,) is b_hn -> h' (B, H)"""
    a, r = x @ weight_ih.T + bias, h @ weight_hh.T
    (h_new,), step_back = _gru(a, r, (h,), bias_hh)

    def backward(dh_new):
        da, dr = np.empty_like(a), np.empty_like(a)
        (dh,) = step_back((dh_new,), da, dr)
        dbias_hh = dr[:, -len(bias_hh) :].sum(axis=0)
        return da @ weight_ih, dh + dr @ weight_hh, da.T @ x, dr.T @ h, da.sum(axis=0), dbias_hh

    return h_new, backward


# ---------------------------------------------------------------- what a cell makes of its two sides
# a and r (B, rows); a is overwritten, r may be. The backward functions write the gradients of both sides into da and dr, and
# return those of the old state, without the part that goes through r. Where the two sides are only added, da is dr.


def _elman(a, r, state):
    a += r
    h = np.tanh(a, out=a)

    def backward(dstate, da, dr):
        (dh,) = dstate
        np.multiply(h, h, out=da)
        np.subtract(1.0, da, out=da)
        da *= dh
        return (0.0,)

    return (h,), backward


def _lstm(a, r, state):
    _, c = state
    scale, shift = _squash(c.shape[1], c.dtype)
    a += r
    a *= scale
    np.tanh(a, out=a)
    a *= scale
    a += shift
    i, f, g, o = _blocks(a, 4)
    c_new = f * c
    c_new += i * g
    t = np.tanh(c_new)

    def backward(dstate, da, dr):
        dh, dc_new = dstate
        di, df, dg, do = _blocks(da, 4)
        dc = t * t
        np.subtract(1.0, dc, out=dc)
        dc *= o
        dc *= dh
        dc += dc_new  # of c', from h' and from the step after
        np.multiply(dc, g, out=di)
        np.multiply(dc, c, out=df)
        np.multiply(dc, i, out=dg)
        np.multiply(dh, t, out=do)
        slope = a - shift
        slope *= slope
        np.subtract(scale * scale, slope, out=slope)  # s (1 - s) = 1/4 - (s - 1/2)^2, and 1 - g^2
        da *= slope
        dc *= f
        return 0.0, dc

    return (o * t, c_new), backward


def _gru(a, r, state, bias_hh):
    (h,) = state
    width = h.shape[1]
    q = r[:, 2 * width :] + bias_hh  # what the reset gate multiplies
    a[:, : 2 * width] += r[:, : 2 * width]
    _sigmoid(a[:, : 2 * width])
    reset, z, n = _blocks(a, 3)
    n += reset * q
    np.tanh(n, out=n)
    h_new = h - n
    h_new *= z
    h_new += n  # n + z (h - n) = (1 - z) n + z h

    def backward(dstate, da, dr):
        (dh,) = dstate
        da_r, da_z, da_n = _blocks(da, 3)
        np.multiply(dh, 1.0 - z, out=da_n)
        da_n *= 1.0 - n * n
        np.multiply(da_n, q, out=da_r)
        da_r *= reset * (1.0 - reset)
        np.multiply(dh, h - n, out=da_z)
        da_z *= z * (1.0 - z)
        dr[:, : 2 * width] = da[:, : 2 * width]
        np.multiply(da_n, reset, out=dr[:, 2 * width :])
        return (dh * z,)

    return (h_new,), backward


def _sigmoid(z):
    """In place, as (1 + tanh(z / 2)) / 2, which cannot overflow."""
    z *= 0.5
    np.tanh(z, out=z)
    z *= 0.5
    z += 0.5


@functools.cache
def _squash(width, dtype):
    """What makes sigmoids (1 + tanh(z / 2)) / 2 of i, f and o, and of g tanh(z), in whole rows: scale tanh(scale z) + shift."""
    one = np.ones(width, dtype)
    scale = np.concatenate([one / 2, one / 2, one, one / 2])
    return scale, np.where(scale < 1, scale, 0)


def _blocks(rows, count):
    """(B, count H) -> views (B, H), one for each gate."""
    width = rows.shape[1] // count
    return [rows[:, k * width : (k + 1) * width] for k in range(count)]


# ---------------------------------------------------------------- layers: all steps


class _Recurrent(Module):
    """What the layers share: parameters, and the loop over time."""

    gates, carried, bias_hh = 1, 1, None  # blocks of H rows in a weight; arrays in a state

    def __init__(self, inputs, hidden):
        check_whole(inputs=inputs, hidden=hidden)
        rows = self.gates * hidden
        self.weight_ih = Parameter((rows, inputs))
        self.weight_hh = Parameter((rows, hidden))
        self.bias = Parameter((rows,))

    def __call__(self, x, state=None):
        weight_ih, weight_hh = self.weight_ih.data, self.weight_hh.data
        (rows, inputs), hidden = weight_ih.shape, weight_hh.shape[1]
        check_sequence(x, inputs)
        batch, time, _ = x.shape
        check_state(state, (batch, hidden), self.carried)
        x_rows = x.transpose(1, 0, 2).reshape(-1, inputs)  # (B, T, I) -> (T B, I)
        a = x_rows @ weight_ih.T  # of all steps in one product
        a += self.bias.data
        a = a.reshape(time, batch, rows)
        r, weight_hh_t = np.empty_like(a[0]), np.ascontiguousarray(weight_hh.T)
        h, backs = np.empty((time + 1, batch, hidden), x.dtype), []
        state = self._arrays(state, h[0])
        h[0] = state[0]
        for t in range(time):
            np.matmul(h[t], weight_hh_t, out=r)
            state, back = self._step(a[t], r, state)
            h[t + 1] = state[0]
            backs.append(back)

        def backward(dy, dstate=None):
            da = np.empty_like(a)
            dr = da if self.bias_hh is None else np.empty_like(a)
            dh, *dc = self._arrays(dstate, h[0])
            for t in reversed(range(time)):
                dh, *dc = backs[t]((dh + dy[:, t], *dc), da[t], dr[t])
                dh = dh + dr[t] @ weight_hh  # of h_(t-1), all paths added
            da_rows, dr_rows = da.reshape(-1, rows), dr.reshape(-1, rows)
            ones = np.ones(len(da_rows), da.dtype)
            self.weight_ih.grad += da_rows.T @ x_rows  # one product is the sum over all steps
            self.weight_hh.grad += dr_rows.T @ h[:-1].reshape(-1, hidden)
            self.bias.grad += ones @ da_rows
            if self.bias_hh is not None:
                self.bias_hh.grad += ones @ dr_rows[:, -hidden:]
            dx = (da_rows @ weight_ih).reshape(time, batch, inputs).transpose(1, 0, 2)
            return dx, self._state((dh, *dc))

        return (np.ascontiguousarray(h[1:].transpose(1, 0, 2)), self._state(state)), backward

    def _arrays(self, state, like):
        """A state as a tuple; None is zeros."""
        if state is None:
            return (np.zeros_like(like),) * self.carried
        return (state,) if self.carried == 1 else state

    def _state(self, arrays):
        return arrays[0] if self.carried == 1 else arrays


class Elman(_Recurrent):
    """h_t = tanh(x_t W_ih^T + h_(t-1) W_hh^T + b)  (eq-rnn-cell; gradients eq-bptt; Elman 1990).

    x (B, T, I), state h_0 (B, H), None is zeros -> (y, state): all h_t (B, T, H), and h_T (B, H).
    backward(dy, dstate=None) -> (dx, dh_0)"""

    _step = staticmethod(_elman)


class LSTM(_Recurrent):
    """h_t, c_t = lstm_cell(x_t, h_(t-1), c_(t-1))  (eq-lstm-cell; gradients eq-bptt-cell; Hochreiter & Schmidhuber 1997).

    x (B, T, I), state (h_0, c_0), each (B, H), None is zeros -> (y, state): all h_t (B, T, H), and (h_T, c_T).
    backward(dy, dstate=None) -> (dx, (dh_0, dc_0))"""

    gates, carried, _step = 4, 2, staticmethod(_lstm)


class GRU(_Recurrent):
    """h_t = gru_cell(x_t, h_(t-1))  (eq-gru-cell; gradients eq-bptt-cell; Cho et al. 2014).

    x (B, T, I), state h_0 (B, H), None is zeros -> (y, state): all h_t (B, T, H), and h_T (B, H).
    backward(dy, dstate=None) -> (dx, dh_0)

    The reset gate multiplies h W_hn^T + bias_hh, so that this bias can't be merged with that of the input side."""

    gates = 3

    def __init__(self, inputs, hidden):
        super().__init__(inputs, hidden)
        self.bias_hh = Parameter((hidden,))

    def _step(self, a, r, state):
        return _gru(a, r, state, self.bias_hh.data)
