"""The state dict of the course for any MLX module."""

import contextlib

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from dlcourse.state import check_names


@contextlib.contextmanager
def batch_statistics(model):
    """Inside: batch norm takes the statistics of the batch, and nothing is dropped. Afterwards the
    running statistics and the mode are what they were."""
    was_training = model.training
    kept = model.parameters()
    model.eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm):
            module.train()
    try:
        yield
    finally:
        model.update(kept)
        (model.train if was_training else model.eval)()


class Module(nn.Module):
    """`mlx.nn.Module` with `state` and `load_state` in NumPy arrays. MLX's layouts are the course's own."""

    @property
    def dtype(self):
        return tree_flatten(self.parameters())[0][1].dtype

    # MLX modules are dicts with an attribute `state` of their own (the module itself); the course's contract takes the name.
    def state(self):
        """{name: copy of the array}."""
        return to_numpy(self.parameters())

    def load_state(self, state):
        """Copy the arrays of `state` into the parameters and buffers, which take their dtype.

        Raises ValueError that lists missing, unknown and mis-shaped names."""
        check_names({name: p.shape for name, p in tree_flatten(self.parameters())}, state)
        self.update(to_mlx(state))


def to_numpy(tree):
    """Nested MLX arrays -> {dotted name: NumPy array}."""
    return {name: np.array(array) for name, array in tree_flatten(tree)}


def to_mlx(state):
    """{dotted name: NumPy array} -> nested MLX arrays."""
    return tree_unflatten([(name, mx.array(np.asarray(array))) for name, array in state.items()])
