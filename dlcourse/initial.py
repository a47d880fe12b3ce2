"""The only initialiser: all backends start from the same numbers."""

import functools
import math
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dlcourse.boundary import check_images, check_window
from dlcourse.config import (
    BERTConfig,
    CNNConfig,
    GPTConfig,
    MLPConfig,
    ResNetConfig,
    RNNConfig,
    TransformerConfig,
)

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
    for i, (kind, inputs, outputs, stride) in enumerate(config.plan):
        if kind == "pool":
            convolution(f"blocks.{i}.conv", f"blocks.{i}.norm", outputs, 3, inputs, gain=2.0)
            continue
        convolution(f"blocks.{i}.conv_1", f"blocks.{i}.norm_1", outputs, 3, inputs, gain=2.0)
        convolution(f"blocks.{i}.conv_2", f"blocks.{i}.norm_2", outputs, 3, outputs, gain=2.0)
        if config.identity:
            state[f"blocks.{i}.norm_2.weight"][...] = 0.0
        if config.skip and (stride > 1 or inputs != outputs):  # no ReLU behind it: gain 1
            convolution(f"blocks.{i}.project", f"blocks.{i}.project_norm", outputs, 1, inputs, 1.0)
    inputs = config.widths[-1]
    state["head.weight"] = _normal(rng, (config.outputs, inputs), 1.0 / inputs, dtype)
    state["head.bias"] = np.zeros(config.outputs, dtype)
    return state


@initial_state.register
def _(config: RNNConfig, seed, dtype=np.float32):
    """Recurrent weights are orthogonal, gate by gate, with spectral radius 1: no direction of the state grows or fades. The bias of an LSTM's
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


@initial_state.register
def _(config: TransformerConfig, seed, dtype=np.float32):
    """Weights with variance gain / I; embeddings with 1 / C, which their factor sqrt(C) makes 1 (Vaswani et al. 2017), and positions with the
    mean square 1/2 of a sine."""
    rng, state, width = np.random.default_rng(seed), {}, config.width

    def weights(name, *shape, variance):
        state[f"{name}.weight"] = _normal(rng, shape, variance, dtype)

    def layer(name, outputs, inputs, gain=1.0):
        weights(name, outputs, inputs, variance=gain / inputs)
        state[f"{name}.bias"] = np.zeros(outputs, dtype)

    def block(name, attentions):
        for i, attention in enumerate(attentions, start=1):
            state.update(_norm(f"{name}.ln_{i}", "layer", width, dtype))
            for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
                layer(f"{name}.{attention}.{projection}", width, width)
        state.update(_norm(f"{name}.ln_{i + 1}", "layer", width, dtype))
        layer(f"{name}.mlp.up", config.hidden, width)
        layer(f"{name}.mlp.down", width, config.hidden, GAINS.get(config.activation, 1.0))

    weights("tok", config.vocab, width, variance=1.0 / width)
    if config.positions == "learned":
        weights("source_pos", config.source, width, variance=0.5)
        weights("target_pos", config.target, width, variance=0.5)
    for i in range(config.layers):
        block(f"encoder.{i}", ["attn"])
    for i in range(config.layers):
        block(f"decoder.{i}", ["self_attn", "cross_attn"])
    if config.norm_first:
        for name in ("encoder_norm", "decoder_norm"):
            state |= _norm(name, "layer", width, dtype)
    if not config.tied:
        weights("head", config.vocab, width, variance=1.0 / width)
    return state


@initial_state.register
def _(config: BERTConfig, seed, dtype=np.float32):
    """All weights with deviation 0.02 (Devlin et al. 2019); the body first, so that it is the same for every task."""
    rng, width, state = np.random.default_rng(seed), config.width, {}

    def weights(name, *shape):
        state[f"{name}.weight"] = _normal(rng, shape, WEIGHT_DEVIATION**2, dtype)

    def linear(name, outputs, inputs=width):
        weights(name, outputs, inputs)
        state[f"{name}.bias"] = np.zeros(outputs, dtype)

    def norm(name):
        state.update(_norm(name, "layer", width, dtype))

    weights("tok", config.vocab, width)
    weights("pos", config.context, width)
    weights("seg", 2, width)
    norm("ln")
    for block in (f"blocks.{i}" for i in range(config.layers)):
        norm(f"{block}.ln_1")
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{block}.attn.{name}", width)
        norm(f"{block}.ln_2")
        linear(f"{block}.mlp.up", config.hidden)
        linear(f"{block}.mlp.down", width, config.hidden)
    if config.task in ("pretrain", "classify"):
        linear("pooler", width)
    if config.task == "pretrain":
        linear("transform", width)
        norm("transform_ln")
        state["decoder_bias"] = np.zeros(config.vocab, dtype)
        linear("nsp", 2)
    else:
        linear("head", 2 if config.task == "span" else config.outputs)
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
    """A random orthogonal matrix (size, size), all equally likely: Q of a normal matrix, with the signs that make R's diagonal positive."""
    q, r = np.linalg.qr(rng.normal(size=(size, size)))
    return q * np.sign(np.diagonal(r))


def _transformer_norm(name, config, dtype):
    state = _norm(name, config.norm, config.width, dtype)
    return state if config.bias else {f"{name}.weight": state[f"{name}.weight"]}


def _norm(name, kind, features, dtype):
    """The arrays of a norm that starts as the identity behind its normalisation."""
    return {f"{name}.{key}": np.full(features, v, dtype) for key, v in NORM_STATES[kind].items()}


def whitened(state, images, eps=1e-3):
    """`state` with filters in the stem of a ResNet that whiten the patches of `images`: w = +- v_k / sqrt(l_k + eps)  (eq-whitened-stem).

    v_k and l_k are the eigenvectors, longest first, and eigenvalues of the covariance of all K x K patches: neighbouring pixels are nearly
    equal, and responses to these filters are uncorrelated and of equal variance, as far as `eps` lets the weak ones. Half of the O filters
    take the sign +, the others the same with -, since a ReLU passes one half of each only; what exceeds the K K C eigenvectors stays as it is.
    images (N, H, W, C); stem.weight (O, K, K, C). The idea is Page's, in the form of Jordan (2024). Raises ValueError for a state without
    a stem and for images that do not fit it."""
    if "stem.weight" not in state:
        raise ValueError(
            "this state has no stem.weight to whiten: pass the state of a ResNetConfig"
        )
    weight = state["stem.weight"].copy()
    count, size, _, channels = weight.shape
    check_images(images, channels)
    check_window(images, size, padding=0)
    patches = sliding_window_view(images, (size, size), axis=(1, 2))  # (N, H', W', C, K, K)
    rows = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, size * size * channels)
    values, vectors = np.linalg.eigh(np.cov(rows, rowvar=False, bias=True))
    kept = min(count // 2, len(values))
    order = np.argsort(values)[::-1][:kept]
    filters = (vectors[:, order] / np.sqrt(values[order] + eps)).T.reshape(
        kept, size, size, channels
    )
    # an eigenvector has no sign of its own: the first of its largest entries decides, so that all machines agree
    flat = filters.reshape(kept, -1)
    filters *= np.sign(flat[np.arange(kept), np.abs(flat).argmax(axis=1)])[:, None, None, None]
    weight[:kept], weight[kept : 2 * kept] = filters, -filters
    return state | {"stem.weight": weight}


def scaled(state, factor):
    """`state` with every weight matrix multiplied by `factor`, and all else as it was: a start with other variances."""
    return {
        name: array * factor if array.ndim >= 2 else array.copy() for name, array in state.items()
    }
