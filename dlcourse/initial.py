"""The only initialiser: all backends start from the same numbers."""

import functools
import math
from itertools import pairwise

import numpy as np

from dlcourse.config import MLPConfig

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
    rng = np.random.default_rng(seed)
    state = {}
    for i, (inputs, outputs) in enumerate(pairwise(config.sizes)):
        is_hidden = i < len(config.hidden)
        gain = GAINS.get(config.activation, 1.0) if is_hidden else 1.0
        state[f"layers.{i}.weight"] = rng.normal(
            0.0, math.sqrt(gain / inputs), size=(outputs, inputs)
        ).astype(dtype)
        if not (is_hidden and config.norm == "batch"):
            state[f"layers.{i}.bias"] = np.zeros(outputs, dtype)
    for i, features in enumerate(config.hidden):
        state |= {
            f"norms.{i}.{name}": np.full(features, value, dtype)
            for name, value in NORM_STATES[config.norm].items()
        }
    return state


def scaled(state, factor):
    """`state` with every weight matrix multiplied by `factor`, and all else as it was: a start with other variances."""
    return {
        name: array * factor if array.ndim >= 2 else array.copy() for name, array in state.items()
    }
