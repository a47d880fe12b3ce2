"""The only initialiser: all backends start from the same numbers."""

import functools
import math
from itertools import pairwise

import numpy as np

from dlcourse.config import CNNConfig, MLPConfig, ResNetConfig, RNNConfig

# One over the mean square of the activation of a standard normal number
GAINS = {"relu": 2.0, "gelu": 1.0 / (1.0 / 3.0 + 0.5 / (math.pi * math.sqrt(3.0)))}
NORM_STATES = {
    "none": {},
    "layer": {"weight": 1.0, "bias": 0.0},
    "rms": {"weight": 1.0},
    "batch": {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0},
}


@functools.singledispatch
def initial_state(config, seed, dtype=np.float32):
    """{name: array} for the model of `config`, the same for every backend.

    Weights are normal with variance gain / I (eq-initial-variance, eq-gain): gain 2 before a ReLU (eq-he; He et al. 2015),
    2.35 before a GELU (eq-gelu-moment), else 1. Biases are zero: the weights already break the symmetry between units. A norm starts as
    the identity behind its normalisation, weight 1 and bias 0. Drawn in float64, then cast to `dtype`."""
    raise ValueError(
        f"no initial state for {type(config).__name__}: pass a configuration such as MLPConfig(inputs=64)"
    )


@initial_state.register
def _(config: MLPConfig, seed, dtype=np.float32):
    state = _linear_layers(
        config, np.random.default_rng(seed), dtype, hidden_bias=config.norm != "batch"
    )
    for i, features in enumerate(config.hidden):
        state |= _norm(f"norms.{i}", config.norm, features, dtype)
    return state


@initial_state.register
def _(config: CNNConfig, seed, dtype=np.float32):
    rng = np.random.default_rng(seed)
    state, inputs, gain = {}, config.inputs[2], GAINS.get(config.activation, 1.0)
    for i, outputs in enumerate(config.channels):
        state[f"convs.{i}.weight"] = _kernels(rng, outputs, config.kernel, inputs, gain, dtype)
        state[f"convs.{i}.bias"] = np.zeros(outputs, dtype)
        inputs = outputs
    return state | _linear_layers(config, rng, dtype)


@initial_state.register
def _(config: ResNetConfig, seed, dtype=np.float32):
    rng, state = np.random.default_rng(seed), {}

    def convolution(name, norm, outputs, size, inputs, gain):
        state[f"{name}.weight"] = _kernels(rng, outputs, size, inputs, gain, dtype)
        if config.norm == "none":
            state[f"{name}.bias"] = np.zeros(outputs, dtype)
        state.update(_norm(norm, config.norm, outputs, dtype))

    convolution("stem", "stem_norm", config.stem, 3, config.inputs[2], gain=2.0)
    for i, (inputs, outputs, stride) in enumerate(config.plan):
        convolution(f"blocks.{i}.conv_1", f"blocks.{i}.norm_1", outputs, 3, inputs, gain=2.0)
        convolution(f"blocks.{i}.conv_2", f"blocks.{i}.norm_2", outputs, 3, outputs, gain=2.0)
        if config.skip and (stride > 1 or inputs != outputs):  # no ReLU behind it: gain 1
            convolution(f"blocks.{i}.project", f"blocks.{i}.project_norm", outputs, 1, inputs, 1.0)
    inputs = config.widths[-1]
    state["head.weight"] = _normal(rng, (config.outputs, inputs), 1.0 / inputs, dtype)
    state["head.bias"] = np.zeros(config.outputs, dtype)
    return state


@initial_state.register
def _(config: RNNConfig, seed, dtype=np.float32):
    """Recurrent weights are orthogonal, gate by gate: no direction of the state grows or fades at once (eq-spectral-radius). The bias of an LSTM's
    forget gate is 1, so that it starts by keeping (Jozefowicz et al. 2015)."""
    rng, hidden = np.random.default_rng(seed), config.hidden
    state = {"tok.weight": _normal(rng, (config.vocab, config.embed), 1.0, dtype)}
    gates = {"rnn": 1, "gru": 3, "lstm": 4}[config.cell]
    for i in range(config.layers):
        inputs = hidden if i else config.embed
        blocks = [_orthogonal(rng, hidden) for _ in range(gates)]
        bias = np.zeros((gates, hidden), dtype)
        if config.cell == "lstm":
            bias[1] = 1.0  # rows i, f, g, o
        state[f"layers.{i}.weight_ih"] = _normal(rng, (gates * hidden, inputs), 1.0 / inputs, dtype)
        state[f"layers.{i}.weight_hh"] = np.concatenate(blocks).astype(dtype)
        state[f"layers.{i}.bias"] = bias.reshape(-1)
        if config.cell == "gru":
            state[f"layers.{i}.bias_hh"] = np.zeros(hidden, dtype)
    state["head.weight"] = _normal(rng, (config.outputs, hidden), 1.0 / hidden, dtype)
    state["head.bias"] = np.zeros(config.outputs, dtype)
    return state


def _linear_layers(config, rng, dtype, hidden_bias=True):
    state = {}
    for i, (inputs, outputs) in enumerate(pairwise(config.sizes)):
        is_hidden = i < len(config.hidden)
        gain = GAINS.get(config.activation, 1.0) if is_hidden else 1.0
        state[f"layers.{i}.weight"] = _normal(rng, (outputs, inputs), gain / inputs, dtype)
        if hidden_bias or not is_hidden:
            state[f"layers.{i}.bias"] = np.zeros(outputs, dtype)
    return state


def _kernels(rng, outputs, size, inputs, gain, dtype):
    """Convolution weights OHWI: one output is a sum over I = size^2 inputs numbers."""
    variance = gain / (size * size * inputs)
    return _normal(rng, (outputs, size, size, inputs), variance, dtype)


def _normal(rng, shape, variance, dtype):
    return rng.normal(0.0, math.sqrt(variance), size=shape).astype(dtype)


def _orthogonal(rng, size):
    """A random rotation (size, size), all equally likely: Q of a normal matrix, with the signs that make R's diagonal positive."""
    q, r = np.linalg.qr(rng.normal(size=(size, size)))
    return q * np.sign(np.diagonal(r))


def _norm(name, kind, features, dtype):
    """The arrays of a norm that starts as the identity behind its normalisation."""
    return {f"{name}.{key}": np.full(features, v, dtype) for key, v in NORM_STATES[kind].items()}


def scaled(state, factor):
    """`state` with every weight matrix multiplied by `factor`, and all else as it was: a start with other variances."""
    return {
        name: array * factor if array.ndim >= 2 else array.copy() for name, array in state.items()
    }
