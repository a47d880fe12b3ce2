"""The state dict of the course for any MLX module."""

import contextlib

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten, tree_unflatten

from dlcourse.boundary import check_inputs
from dlcourse.state import check_names, under

BUFFERS = ("running_mean", "running_var")  # MLX keeps them as parameters that are always frozen


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


def check_tokens(x, inputs):
    """Raise ValueError unless x holds what a model of text takes, as `check_inputs` does for NumPy arrays.

    While MLX traces or compiles there are no tokens yet, and nothing is checked."""
    if not isinstance(x, mx.array):
        raise ValueError(
            f"x is of type {type(x).__name__}, but the model takes an array of MLX: pass mlx.core.array(x), or call Learner.predict"
        )
    try:
        tokens = np.array(x)
    except ValueError:  # MLX's only sign that a function is being transformed
        return
    check_inputs(tokens, inputs)


class Module(nn.Module):
    """`mlx.nn.Module` with `state` and `load_state` in NumPy arrays. MLX's layouts are the course's own."""

    def freeze(self, *prefixes, **options):
        """Train nothing more under these prefixes ("convs", "layers.0"), nothing at all without one -> self.

        What is frozen stays in the state, but has no gradient and no place in an optimizer that is made
        afterwards; a frozen batch norm keeps to its running statistics. Raises ValueError for a prefix
        that no parameter has."""
        if options:
            return super().freeze(**options)  # MLX's own: recurse, keys, strict
        return self._set_frozen(nn.Module.freeze, prefixes)

    def unfreeze(self, *prefixes, **options):
        """Train again what stands under these prefixes, everything without one -> self."""
        if options:
            return super().unfreeze(**options)
        return self._set_frozen(nn.Module.unfreeze, prefixes)

    @property
    def frozen(self):
        """The names of the frozen parameters."""
        trained = dict(tree_flatten(self.trainable_parameters()))
        return tuple(name for name in self._parameter_names() if name not in trained)

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

    def _parameter_names(self):
        return [name for name, _ in tree_flatten(self.parameters()) if not name.endswith(BUFFERS)]

    def _set_frozen(self, change, prefixes):
        modules = dict(self.named_modules())
        for name in under(prefixes, self._parameter_names()):
            path, _, key = name.rpartition(".")
            change(modules[path], recurse=False, keys=key)
        return self.train(
            self.training
        )  # a batch norm may have to leave training mode, or come back


def to_numpy(tree):
    """Nested MLX arrays -> {dotted name: NumPy array}."""
    return {name: np.array(array) for name, array in tree_flatten(tree)}


def to_mlx(state):
    """{dotted name: NumPy array} -> nested MLX arrays."""
    return tree_unflatten([(name, mx.array(np.asarray(array))) for name, array in state.items()])
