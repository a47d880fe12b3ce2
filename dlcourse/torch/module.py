"""The state dict of the course for any `nn.Module`."""

import contextlib

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dlcourse.boundary import check_inputs
from dlcourse.state import check_names, from_torch, to_torch, under


@contextlib.contextmanager
def batch_statistics(model):
    """Inside: batch norm takes the statistics of the batch, and nothing is dropped. Afterwards the
    running statistics and the mode are what they were."""
    was_training = model.training
    kept = [(b, b.clone()) for b in model.buffers()]
    model.eval()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.train()
    try:
        yield
    finally:
        for b, data in kept:
            b.copy_(data)
        (model.train if was_training else model.eval)()


def check_tokens(x, inputs):
    """Raise ValueError unless x holds what a model of text takes, as `check_inputs` does for NumPy arrays.

    While PyTorch traces or compiles there are no tokens yet, and nothing is checked."""
    if not isinstance(x, torch.Tensor):
        raise ValueError(
            f"x is of type {type(x).__name__}, but the model takes a tensor: pass torch.from_numpy(x), or call Learner.predict"
        )
    if not (torch.compiler.is_compiling() or torch.jit.is_tracing()):
        check_inputs(x.numpy(force=True), inputs)


class Module(nn.Module):
    """`nn.Module` with `state`, `load_state` and `gradients` in NumPy arrays and the course's layouts."""

    def freeze(self, *prefixes):
        """Train nothing more under these prefixes ("convs", "layers.0"), nothing at all without one -> self.

        What is frozen stays in the state, but has no gradient and no place in an optimizer that is made
        afterwards; a frozen batch norm keeps to its running statistics. Raises ValueError for a prefix
        that no parameter has."""
        return self._set_frozen(True, prefixes)

    def unfreeze(self, *prefixes):
        """Train again what stands under these prefixes, everything without one -> self."""
        return self._set_frozen(False, prefixes)

    @property
    def frozen(self):
        """The names of the frozen parameters."""
        return tuple(name for name, p in self.named_parameters() if not p.requires_grad)

    @property
    def dtype(self):
        return next(self.parameters()).dtype

    def state(self):
        """{name: copy of the array}."""
        return {name: from_torch(p.numpy(force=True).copy()) for name, p in self._held().items()}

    def load_state(self, state):
        """Copy the arrays of `state` into the parameters and buffers, which take their dtype.

        Raises ValueError that lists missing, unknown and mis-shaped names."""
        check_names({name: _course_shape(p.shape) for name, p in self._held().items()}, state)
        with torch.no_grad():
            for name, p in self._held().items():
                p.data = torch.tensor(to_torch(np.asarray(state[name])), device=p.device)

    def gradients(self):
        """{name: copy of the gradient}."""
        return {
            name: from_torch(p.grad.numpy(force=True).copy())
            for name, p in self.named_parameters()
            if p.requires_grad
        }

    def _set_frozen(self, frozen, prefixes):
        parameters = dict(self.named_parameters())
        for name in under(prefixes, parameters):
            parameters[name].requires_grad_(not frozen)
            parameters[name].grad = None
        return self.train(
            self.training
        )  # a batch norm may have to leave training mode, or come back

    def _held(self):
        """Parameters and buffers by name. PyTorch's count of batches is none of the course's state:
        only a momentum of None would need it."""
        held = self.state_dict(keep_vars=True)
        return {name: p for name, p in held.items() if not name.endswith("num_batches_tracked")}


def _course_shape(shape):
    return (shape[0], shape[2], shape[3], shape[1]) if len(shape) == 4 else tuple(shape)
