"""A tape: whatever runs is noted, operation by operation, and differentiated in reverse order.

The operations are pairs `y, backward` as in `functional.py`, and a tensor remembers the pair that made
it. This is a lesson, and a second opinion on how the models put the pairs together: they spell out their
own way back, and nothing else imports this file."""

import contextlib

import numpy as np

from dlcourse.numpy import functional as f

_recording = True


class Tensor:
    """An array that knows from which tensors, its `parents`, it was computed, and the way back to them.

    A leaf was not computed; its `grad`, at first None, adds up over uses and over calls of backward.
    Raises ValueError for whole numbers, which have no gradient."""

    __array_ufunc__ = None  # array + tensor is left to the tensor

    def __init__(self, data, parents=(), vjp=None, name="leaf"):
        self.data, self.parents, self.vjp, self.name = np.asarray(data), parents, vjp, name
        self.grad = None
        if self.data.dtype.kind not in "fc":
            raise ValueError(
                f"a tensor holds floating-point numbers, not {self.data.dtype}: "
                "pass labels and sizes as they are, and convert the rest with astype(float)"
            )

    def backward(self, dy=None, retain=False):
        """Add dL/dx to the `grad` of each leaf x that this tensor was computed from  (eq-tape-step).

        Without dy this tensor is L itself, one number; otherwise dy is dL/d(this), of its shape. What
        is done with is let go on the way, unless `retain` keeps it for another call. Raises ValueError
        for a dy that does not fit, and, before any `grad` has changed, where an earlier call has let go."""
        if dy is None and self.data.size != 1:
            raise ValueError(
                f"backward starts from one number, but this tensor has shape {self.data.shape}: "
                "sum it first, or pass dy of that shape"
            )
        dy = np.ones_like(self.data) if dy is None else np.asarray(dy, self.data.dtype)
        if dy.shape != self.data.shape:
            raise ValueError(f"dy has shape {dy.shape}, but the tensor {self.data.shape}")
        shares, nodes = {self: dy}, order(self)
        if any(node.vjp is _let_go for node in nodes):
            _let_go(dy)  # before any leaf has got its share
        while nodes:
            node = nodes.pop()  # all that were computed from it have given their share
            dnode = shares.pop(node)
            if node.vjp is None:
                node.grad = dnode + (0 if node.grad is None else node.grad)
                continue
            for parent, share in zip(node.parents, node.vjp(dnode), strict=True):
                # not +=: two parents may share one array
                shares[parent] = shares[parent] + share if parent in shares else share
            if not retain:
                node.parents, node.vjp = (), _let_go

    def __add__(self, other):
        return apply(add, self, self._tensor(other))

    def __mul__(self, other):
        return apply(multiply, self, self._tensor(other))

    def __truediv__(self, other):
        return apply(divide, self, self._tensor(other))

    def __rtruediv__(self, other):
        return self._tensor(other) / self

    def __matmul__(self, other):
        return apply(matmul, self, self._tensor(other))

    def __rmatmul__(self, other):
        return self._tensor(other) @ self

    def __neg__(self):
        return self * -1.0

    def __sub__(self, other):
        return self + -self._tensor(other)

    def __rsub__(self, other):
        return -self + other

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        return apply(exp, self)

    def log(self):
        return apply(log, self)

    def tanh(self):
        return apply(f.tanh, self)

    def sum(self, axis=None, keepdims=False):
        return apply(total, self, axis=axis, keepdims=keepdims)

    def _tensor(self, other):
        return other if isinstance(other, Tensor) else Tensor(np.asarray(other, self.data.dtype))


def apply(operation, *arguments, **options):
    """operation(*arguments) as a tensor that remembers the way back  (eq-tape).

    The operation takes arrays and returns `y, backward`, as those of `functional.py` and the layers do.
    Tensors stand where it is differentiable; anything else (labels, None, sizes) is a constant. The way
    back raises ValueError when there are more or fewer gradients than tensors."""
    parents = tuple(a for a in arguments if isinstance(a, Tensor))
    arrays = [a.data if isinstance(a, Tensor) else a for a in arguments]
    y, backward = operation(*arrays, **options)
    if not (_recording and parents):
        return Tensor(y)  # the way back is forgotten, and what it keeps with it
    name = getattr(operation, "__name__", type(operation).__name__)

    def vjp(dy):
        gradients = backward(dy)
        gradients = gradients if isinstance(gradients, tuple) else (gradients,)
        gradients = [g for g in gradients if g is not None]  # None: no bias, no gradient
        if len(gradients) != len(parents):
            raise ValueError(
                f"{name} has {len(gradients)} gradients for {len(parents)} tensors: "
                "pass tensors where it is differentiable, and plain arrays elsewhere"
            )
        return gradients

    return Tensor(y, parents, vjp, name)


def order(output):
    """All tensors that `output` was computed from, and itself: each one after its parents  (eq-tape)."""
    done, seen, stack = [], set(), [(output, False)]
    while stack:  # no recursion: a tape may be longer than Python's stack
        node, parents_done = stack.pop()
        if parents_done:
            done.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(parent, False) for parent in node.parents]
    return done


@contextlib.contextmanager
def recording(on):
    """Inside `with recording(False)` nothing is noted: this is inference."""
    global _recording
    was, _recording = _recording, on
    try:
        yield
    finally:
        _recording = was


def checkpoint(function, *inputs):
    """function(*inputs), keeping inputs and output alone; the way back computes the rest again
    (eq-checkpoint-memory).

    The function takes and returns tensors. It must compute the same both times, so masks are drawn
    outside. Tensors that it uses besides its inputs must be leaves: a computed one is let go by the way
    back of the first segment that uses it; pass it as an input. Griewank 1992, Chen et al. 2016."""

    def checkpointed(*arrays):
        with recording(False):
            y = function(*map(Tensor, arrays)).data

        def backward(dy):
            again = [Tensor(array) for array in arrays]
            with recording(True):
                function(*again).backward(dy)
            return tuple(np.zeros_like(t.data) if t.grad is None else t.grad for t in again)

        return y, backward

    return apply(checkpointed, *inputs)


# ---------------------------------------------------------------- the smallest operations


def unbroadcast(dy, shape):
    """dx_i = the sum of dy over the copies of x_i that broadcasting made  (eq-broadcast-vjp).

    dy of the shape of the result -> dx of `shape`"""
    dy = np.sum(dy, axis=tuple(range(np.ndim(dy) - len(shape))))  # axes that were put in front
    return np.sum(dy, axis=tuple(i for i, n in enumerate(shape) if n == 1), keepdims=True)


def add(a, b):
    """y = a + b, broadcast  (eq-tape-elementary; gradients eq-tape-elementary-vjp)."""
    return a + b, lambda dy: (unbroadcast(dy, a.shape), unbroadcast(dy, b.shape))


def multiply(a, b):
    """y = a b, entry by entry, broadcast  (eq-tape-elementary; gradients eq-tape-elementary-vjp)."""
    return a * b, lambda dy: (unbroadcast(dy * b, a.shape), unbroadcast(dy * a, b.shape))


def divide(a, b):
    """y = a / b, entry by entry, broadcast  (eq-tape-elementary; gradients eq-tape-elementary-vjp)."""
    y = a / b
    return y, lambda dy: (unbroadcast(dy / b, a.shape), unbroadcast(-dy * y / b, b.shape))


def exp(a):
    """y = e^a  (eq-tape-elementary; gradient eq-tape-elementary-vjp)."""
    y = np.exp(a)
    return y, lambda dy: dy * y


def log(a):
    """y = log a  (eq-tape-elementary; gradient eq-tape-elementary-vjp)."""
    return np.log(a), lambda dy: dy / a


def matmul(a, b):
    """y = a b, matrices  (gradients eq-matmul-vjp).  a (N, K), b (K, M) -> y (N, M)

    Raises ValueError for what is no matrix: the gradients of other products are others."""
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(
            f"a @ b with shapes {a.shape} and {b.shape}: the tape multiplies matrices alone, so make a vector a matrix of one row or column, "
            "and write a stack of rows as one matrix"
        )
    return a @ b, lambda dy: (dy @ b.T, a.T @ dy)


def total(a, axis=None, keepdims=False):
    """y = the sum of a, over all or some axes: each entry gets the dy of its sum."""

    def backward(dy):
        if axis is not None and not keepdims:
            dy = np.expand_dims(dy, axis)
        return np.broadcast_to(dy, a.shape)

    return a.sum(axis=axis, keepdims=keepdims), backward


def _let_go(dy):
    raise ValueError(
        "an earlier backward has let this part of the tape go: "
        "compute the result again, or call backward(retain=True) the first time"
    )
