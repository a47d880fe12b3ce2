"""The reader's own functions in the place of the package's: `check.use`."""

import functools

import numpy as np

from dlcourse.check import engine
from dlcourse.check.compare import close
from dlcourse.errors import suggestion
from dlcourse.numpy import functional, optim

OPERATIONS = (
    "linear",
    "relu",
    "sigmoid",
    "tanh",
    "softmax",
    "log_softmax",
    "mse_loss",
    "cross_entropy",
    "binary_cross_entropy",
)
_OWN = {name: getattr(functional, name) for name in OPERATIONS} | {"step": optim.SGD.step}
_used = {}  # what stands in another's place now: {(owner, name): the package's own}


class Use:
    """The undo of one `check.use`: call it, or leave the with block."""

    def __init__(self, owner, name, fn):
        self.place = owner, name
        _used.setdefault(self.place, getattr(owner, name))
        setattr(owner, name, fn)

    def __call__(self):
        if self.place in _used:
            setattr(*self.place, _used.pop(self.place))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self()

    def _ipython_display_(self):
        pass


def use(name, fn):
    """Put `fn` in the place of the package's NumPy function, so that models train with it; restored at the end of the with block.

        with check.use("relu_backward", relu_backward):
            train.fit(...)

    Without `with` it stays until its result is called, `undo = check.use(...); undo()`, or until `check.restore()`.
    `name` is an exercise (sigmoid, softmax, linear_backward, relu_backward, cross_entropy, output_error, sgd_momentum), and `fn` has its
    signature; or an operation of `dlcourse.numpy.functional`, and `fn` returns (y, backward) as that does.
    One function stands in a place at a time; undoing brings the package's own back.
    Raises ValueError for an unknown name and for a function that does not pass its check."""
    from dlcourse.check import EXERCISES  # the table is complete only when the package is imported

    if name not in ADAPTERS and name not in OPERATIONS:
        names = sorted({*ADAPTERS, *OPERATIONS})
        if name in EXERCISES:
            raise ValueError(
                f"{name} has no place in the package: check.use takes {', '.join(names)}"
            )
        raise ValueError(
            f"unknown name {name!r}{suggestion(name, names)}: check.use takes {', '.join(names)}"
        )
    if not callable(fn):
        raise ValueError(
            f"check.use takes the function itself, not {type(fn).__name__}: check.use({name!r}, {name})"
        )
    if name in OPERATIONS and (name not in ADAPTERS or _returns_pair(name, fn)):
        if (sentence := _wrong_pair(name, fn)) is not None:
            raise ValueError(
                f"your {name} can't be used, {sentence}: it must return (y, backward) like dlcourse.numpy.functional.{name}"
            )
        return Use(functional, name, fn)
    result = EXERCISES[name].examine(fn, backend="numpy")
    if not result.passed:
        raise ValueError(
            f"your {name} can't be used yet, {result.lines[-1]}: run check.{name}({name}) to see why"
        )
    owner, place, adapt = ADAPTERS[name]
    return Use(owner, place, adapt(fn))


def restore():
    """Bring all of the package's own functions back."""
    while _used:
        (owner, name), own = _used.popitem()
        setattr(owner, name, own)


# ---------------------------------------------------------------- from the exercise's signature to the package's


def _like(array, value):
    """The answer in the dtype of the arguments: training runs in float32, and np.eye or a Python list makes float64."""
    return np.asarray(value, dtype=array.dtype)


def _activation(own):
    """y from the reader, its gradient from the package's formula, which is written in terms of y."""

    def adapt(fn):
        gradients = {
            "sigmoid": lambda y, dy: dy * y * (1 - y),
            "softmax": lambda y, dy: y * (dy - (dy * y).sum(axis=-1, keepdims=True)),
        }

        def operation(x):
            y = _like(x, fn(x))
            return y, lambda dy: gradients[own](y, dy)

        return functools.wraps(_OWN[own])(operation)

    return adapt


def _linear(fn):
    @functools.wraps(_OWN["linear"])
    def linear(x, weight, bias):
        def backward(dy, need_dx=True):
            dx, dweight, dbias = fn(
                x.reshape(-1, x.shape[-1]), weight, dy.reshape(-1, dy.shape[-1])
            )
            dx = _like(x, dx).reshape(x.shape) if need_dx else None
            return dx, _like(weight, dweight), _like(bias, dbias)

        return _OWN["linear"](x, weight, bias)[0], backward

    return linear


def _relu(fn):
    @functools.wraps(_OWN["relu"])
    def relu(x):
        return _OWN["relu"](x)[0], lambda dy: _like(x, fn(x, dy))

    return relu


def _cross_entropy(fn):
    @functools.wraps(_OWN["cross_entropy"])
    def cross_entropy(logits, targets, label_smoothing=0.0, ignore_index=-100):
        if label_smoothing or np.ndim(logits) != 2 or np.any(np.equal(targets, ignore_index)):
            # the exercise does not ask for these
            return _OWN["cross_entropy"](logits, targets, label_smoothing, ignore_index)
        loss, dlogits = fn(logits, targets)
        dlogits = _like(logits, dlogits)
        return logits.dtype.type(loss), lambda dloss=1.0: dlogits * dloss

    return cross_entropy


def _binary_cross_entropy(fn):
    @functools.wraps(_OWN["binary_cross_entropy"])
    def binary_cross_entropy(logits, targets):
        loss, _ = _OWN["binary_cross_entropy"](logits, targets)
        return loss, lambda dloss=1.0: _like(logits, fn(logits, np.asarray(targets))) * dloss

    return binary_cross_entropy


def _step(fn):
    @functools.wraps(_OWN["step"])
    def step(self, lr):
        if self.nesterov or self.weight_decay:
            _OWN["step"](self, lr)  # the exercise does not ask for these
            return
        self._check_packed()
        self.steps += 1
        self.data[...], self.buffers["velocity"][...] = fn(
            self.data, self.grad, self.buffers["velocity"], lr, self.momentum
        )

    return step


ADAPTERS = {  # exercise: (where, what it replaces, how its answer becomes that)
    "sigmoid": (functional, "sigmoid", _activation("sigmoid")),
    "softmax": (functional, "softmax", _activation("softmax")),
    "linear_backward": (functional, "linear", _linear),
    "relu_backward": (functional, "relu", _relu),
    "cross_entropy": (functional, "cross_entropy", _cross_entropy),
    "output_error": (functional, "binary_cross_entropy", _binary_cross_entropy),
    "sgd_momentum": (optim.SGD, "step", _step),
}


# ---------------------------------------------------------------- functions that return (y, backward) themselves


def _arguments(name, rng):
    if name == "linear":
        return rng.normal(size=(5, 4)), rng.normal(size=(3, 4)), rng.normal(size=3)
    if name == "cross_entropy":
        return rng.normal(size=(5, 4)), rng.integers(0, 4, size=5)
    if name == "binary_cross_entropy":
        return rng.normal(size=(5, 4)), rng.integers(0, 2, size=(5, 4)).astype(float)
    return tuple(rng.normal(size=(5, 4)) for _ in range(2 if name == "mse_loss" else 1))


def _returns_pair(name, fn):
    """Does `fn` return (y, backward), as the package does? The exercise of the same name returns arrays."""
    try:
        value = fn(*_arguments(name, np.random.default_rng(0)))
    except Exception:  # its check says what is wrong
        return False
    return isinstance(value, tuple) and len(value) == 2 and callable(value[1])


def _wrong_pair(name, fn):
    """What is wrong with a function that returns (y, backward), as a sentence; else None."""
    rng = np.random.default_rng(0)
    arguments = _arguments(name, rng)
    y, backward = _OWN[name](*arguments)
    dy = rng.normal(size=np.shape(y))
    mine = [np.array(a) for a in arguments]
    try:
        given_y, given_backward = fn(*mine)
        gradients = given_backward(dy.copy())
    except Exception as error:
        return engine.one_line(error, fn)
    right = backward(dy)
    right, gradients = (g if isinstance(g, tuple) else (g,) for g in (right, gradients))
    if not close(np.asarray(given_y), np.asarray(y), 1e-9):
        return "its y differs"
    if len(gradients) != len(right) or not all(
        close(np.asarray(a), b, 1e-9) for a, b in zip(gradients, right, strict=True)
    ):
        return "its gradient differs"
    if not all(engine.identical(a, b) for a, b in zip(mine, arguments, strict=True)):
        return "it writes into its arguments"
    return None
