"""Parameters, and modules that hold them."""

import contextlib

import numpy as np

from dlcourse.state import check_names, under


@contextlib.contextmanager
def batch_statistics(model):
    """Inside: batch norm takes the statistics of the batch, and nothing is dropped. Afterwards the
    running statistics and the mode are what they were."""
    was_training = model.training
    kept = [(b, b.data.copy()) for _, b in model.named_buffers()]
    model.train()  # dropout needs a generator besides
    try:
        yield
    finally:
        for b, data in kept:
            b.data[...] = data
        (model.train if was_training else model.eval)()


@contextlib.contextmanager
def parameters_only(model):
    """Inside: where a model can leave out the gradient of its own input, it does."""
    needed, model.need_dx = model.need_dx, False
    try:
        yield
    finally:
        model.need_dx = needed


class Parameter:
    """An array and its gradient.

    Gradients accumulate (`p.grad += dw`): a layer used twice contributes twice."""

    def __init__(self, shape, dtype=np.float32):
        self.data = np.zeros(shape, dtype)
        self.grad = np.zeros(shape, dtype)
        self.frozen = False


class Buffer:
    """An array that belongs to the state but is not trained, such as a running mean."""

    def __init__(self, data):
        self.data = data


class Module:
    """Holds parameters, buffers, modules and lists of modules as attributes.

    Their dotted names come from the attribute names. `training` says whether batch norm takes the
    statistics of the batch, `need_dx` whether a network returns the gradient of its input: training
    has no use for it (`parameters_only`)."""

    training, need_dx = True, True

    def train(self, mode=True):
        """Training mode, for this module and all inside it -> self."""
        self.training = mode
        for value in vars(self).values():
            for module in value if isinstance(value, list) else [value]:
                if isinstance(module, Module):
                    module.train(mode)
        return self

    def eval(self):
        """Evaluation mode, for this module and all inside it -> self."""
        return self.train(False)

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
        return tuple(name for name, p in self._named(Parameter) if p.frozen)

    def named_parameters(self, prefix=""):
        """[(dotted name, Parameter)] of what trains, in the order in which they were set."""
        return [(name, p) for name, p in self._named(Parameter, prefix) if not p.frozen]

    def named_buffers(self, prefix=""):
        """[(dotted name, Buffer)] in the order in which they were set."""
        return self._named(Buffer, prefix)

    @property
    def dtype(self):
        return self._named(Parameter)[0][1].data.dtype

    def state(self):
        """{name: copy of the array}."""
        return {name: p.data.copy() for name, p in self._named((Parameter, Buffer))}

    def load_state(self, state):
        """Copy the arrays of `state` into the parameters and buffers, which take their dtype.

        Raises ValueError that lists missing, unknown and mis-shaped names."""
        held = dict(self._named((Parameter, Buffer)))
        check_names({name: p.data.shape for name, p in held.items()}, state)
        for name, p in held.items():
            array = np.asarray(state[name])
            if p.data.dtype == array.dtype:
                p.data[...] = array  # in place: an optimizer may hold a view of it
            else:
                p.data = array.copy()
                if isinstance(p, Parameter):
                    p.grad = np.zeros_like(p.data)

    def gradients(self):
        """{name: copy of the gradient}."""
        return {name: p.grad.copy() for name, p in self.named_parameters()}

    def zero_gradients(self):
        for _, p in self._named(Parameter):  # the layers add to those of the frozen too
            p.grad[...] = 0

    def _set_frozen(self, frozen, prefixes):
        parameters = dict(self._named(Parameter))
        for name in under(prefixes, parameters):
            parameters[name].frozen = frozen
            parameters[name].grad[...] = 0
        return self.train(self.training)  # a batch norm leaves training mode, or comes back

    def _named(self, kinds, prefix=""):
        found = []
        for name, value in vars(self).items():
            if isinstance(value, kinds):
                found.append((prefix + name, value))
            elif isinstance(value, Module):
                found += value._named(kinds, f"{prefix}{name}.")
            elif isinstance(value, list):
                for i, item in enumerate(value):
                    found += item._named(kinds, f"{prefix}{name}.{i}.")
        return found
