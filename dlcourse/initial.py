"""The only initialiser: all backends start from the same numbers."""

import functools
import math
from itertools import pairwise

import numpy as np

from dlcourse.config import MLPConfig


@functools.singledispatch
def initial_state(config, seed, dtype=np.float32):
    """{name: array} for the model of `config`, the same for every backend.

    Weights are normal with variance gain / I (eq-initial-variance): gain 2 before a ReLU (He et al. 2015), else 1.
    Biases are zero: the weights already break the symmetry between units. Drawn in float64, then cast to `dtype`."""
    raise ValueError(
        f"no initial state for {type(config).__name__}: pass a configuration such as MLPConfig(inputs=64)"
    )


@initial_state.register
def _(config: MLPConfig, seed, dtype=np.float32):
    rng = np.random.default_rng(seed)
    state = {}
    for i, (inputs, outputs) in enumerate(pairwise(config.sizes)):
        is_hidden = i < len(config.hidden)
        gain = 2.0 if is_hidden and config.activation == "relu" else 1.0
        state[f"layers.{i}.weight"] = rng.normal(
            0.0, math.sqrt(gain / inputs), size=(outputs, inputs)
        ).astype(dtype)
        state[f"layers.{i}.bias"] = np.zeros(outputs, dtype)
    return state
