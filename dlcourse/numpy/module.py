"""Parameters, and modules that hold them."""

import numpy as np

from dlcourse.state import check_names


class Parameter:
    """An array and its gradient.

    Gradients accumulate (`p.grad += dw`): a layer used twice contributes twice."""

    def __init__(self, shape, dtype=np.float32):
        self.data = np.zeros(shape, dtype)
        self.grad = np.zeros(shape, dtype)


class Module:
    """Holds parameters, modules and lists of modules as attributes.

    Their dotted names come from the attribute names."""

    def named_parameters(self, prefix=""):
        """[(dotted name, Parameter)] in the order in which they were set."""
        found = []
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                found.append((prefix + name, value))
            elif isinstance(value, Module):
                found += value.named_parameters(f"{prefix}{name}.")
            elif isinstance(value, list):
                for i, item in enumerate(value):
                    found += item.named_parameters(f"{prefix}{name}.{i}.")
        return found

    @property
    def dtype(self):
        return self.named_parameters()[0][1].data.dtype

    def state(self):
        """{name: copy of the array}."""
        return {name: p.data.copy() for name, p in self.named_parameters()}

    def load_state(self, state):
        """Copy the arrays of `state` into the parameters, which take their dtype.

        Raises ValueError that lists missing, unknown and mis-shaped names."""
        parameters = dict(self.named_parameters())
        check_names({name: p.data.shape for name, p in parameters.items()}, state)
        for name, p in parameters.items():
            array = np.asarray(state[name])
            if p.data.dtype == array.dtype:
                p.data[...] = array  # in place: an optimizer may hold a view of it
            else:
                p.data, p.grad = array.copy(), np.zeros_like(array)

    def gradients(self):
        """{name: copy of the gradient}."""
        return {name: p.grad.copy() for name, p in self.named_parameters()}

    def zero_gradients(self):
        for _, p in self.named_parameters():
            p.grad[...] = 0
