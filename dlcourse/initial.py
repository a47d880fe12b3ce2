"""The only initialiser: all backends start from the same numbers."""

import functools
import math
from itertools import pairwise

import numpy as np

from dlcourse.config import CNNConfig, GPTConfig, MLPConfig, ResNetConfig

# One over the mean square of the activation of a standard normal number
GAINS = {"relu": 2.0, "gelu": 1.0 / (1.0 / 3.0 + 0.5 / (math.pi * math.sqrt(3.0)))}
WEIGHT_DEVIATION = 0.02  # of a Transformer's weights
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
def _(config: GPTConfig, seed, dtype=np.float32):
    """All weights with deviation 0.02; in front of the residual stream, to which 2 L layers add, 0.02 / sqrt(2 L) (Radford et al. 2019)."""
    rng, width = np.random.default_rng(seed), config.width
    residual = WEIGHT_DEVIATION / math.sqrt(2 * config.layers)

    def weights(name, *shape, deviation=WEIGHT_DEVIATION):
        return {f"{name}.weight": _normal(rng, shape, deviation**2, dtype)}

    state = weights("tok", config.vocab, width)
    if config.positions == "learned":
        state |= weights("pos", config.context, width)
    for i in range(config.layers):
        state |= _transformer_norm(f"blocks.{i}.ln_1", config, dtype)
        for name, outputs, inputs, deviation in [
            ("attn.q_proj", width, width, WEIGHT_DEVIATION),
            ("attn.k_proj", width, width, WEIGHT_DEVIATION),
            ("attn.v_proj", width, width, WEIGHT_DEVIATION),
            ("attn.out_proj", width, width, residual),
            ("mlp.up", config.hidden, width, WEIGHT_DEVIATION),
            ("mlp.down", width, config.hidden, residual),
        ]:
            if name == "mlp.up":
                state |= _transformer_norm(f"blocks.{i}.ln_2", config, dtype)
            state |= weights(f"blocks.{i}.{name}", outputs, inputs, deviation=deviation)
            if config.bias:
                state[f"blocks.{i}.{name}.bias"] = np.zeros(outputs, dtype)
    state |= _transformer_norm("ln_f", config, dtype)
    return state if config.tied else state | weights("head", config.vocab, width)


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


def _transformer_norm(name, config, dtype):
    state = _norm(name, config.norm, config.width, dtype)
    return state if config.bias else {f"{name}.weight": state[f"{name}.weight"]}


def _norm(name, kind, features, dtype):
    """The arrays of a norm that starts as the identity behind its normalisation."""
    return {f"{name}.{key}": np.full(features, v, dtype) for key, v in NORM_STATES[kind].items()}


def scaled(state, factor):
    """`state` with every weight matrix multiplied by `factor`, and all else as it was: a start with other variances."""
    return {
        name: array * factor if array.ndim >= 2 else array.copy() for name, array in state.items()
    }
