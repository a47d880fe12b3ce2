"""The state dict of the course for any `nn.Module`."""

import numpy as np
import torch
from torch import nn

from dlcourse.state import check_names, from_torch, to_torch


class Module(nn.Module):
    """`nn.Module` with `state`, `load_state` and `gradients` in NumPy arrays and the course's layouts."""

    @property
    def dtype(self):
        return next(self.parameters()).dtype

    def state(self):
        """{name: copy of the array}."""
        return {name: from_torch(p.numpy(force=True).copy()) for name, p in self.named_parameters()}

    def load_state(self, state):
        """Copy the arrays of `state` into the parameters, which take their dtype.

        Raises ValueError that lists missing, unknown and mis-shaped names."""
        check_names({name: _course_shape(p.shape) for name, p in self.named_parameters()}, state)
        with torch.no_grad():
            for name, p in self.named_parameters():
                p.data = torch.tensor(to_torch(np.asarray(state[name])), device=p.device)

    def gradients(self):
        """{name: copy of the gradient}."""
        return {
            name: from_torch(p.grad.numpy(force=True).copy()) for name, p in self.named_parameters()
        }


def _course_shape(shape):
    return (shape[0], shape[2], shape[3], shape[1]) if len(shape) == 4 else tuple(shape)
