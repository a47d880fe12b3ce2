"""Configurations: frozen, validated once, passed whole."""

from dataclasses import dataclass
from numbers import Integral, Real

ACTIVATIONS = ("relu", "sigmoid", "tanh", "gelu")
NORMS = ("none", "batch", "layer", "rms")


@dataclass(frozen=True)
class MLPConfig:
    """A multilayer perceptron inputs - hidden[0] - ... - outputs (eq-mlp); it has eq-parameter-count parameters.

    `MLPConfig(784)` is 784-128-64-10. No hidden layer, `hidden=()`, is linear or logistic regression.
    Raises ValueError for sizes that are not positive whole numbers, an unknown activation or norm, or a dropout outside [0, 1)."""

    inputs: int  # numbers in one example: 784 for an image of 28 x 28
    hidden: tuple[int, ...] = (128, 64)  # units of each hidden layer, first to last
    outputs: int = 10  # classes, or 1 for a binary decision
    activation: str = "relu"  # after every hidden layer: relu, sigmoid, tanh or gelu
    dropout: float = 0.0  # probability with which training drops a hidden unit
    norm: str = "none"  # between every hidden layer and its activation: none, batch, layer or rms

    def __post_init__(self):
        if not isinstance(self.hidden, tuple | list):
            raise ValueError(
                f"hidden={self.hidden!r} is not a tuple: write one entry a hidden layer, hidden=({self.hidden},)"
            )
        for name, size in [
            ("inputs", self.inputs),
            *(("hidden", h) for h in self.hidden),
            ("outputs", self.outputs),
        ]:
            if isinstance(size, bool) or not isinstance(size, Integral) or size < 1:
                raise ValueError(
                    f"{name} holds {size!r}: layer sizes are whole numbers of at least 1"
                )
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {self.activation!r}: choose one of {', '.join(ACTIVATIONS)}"
            )
        if self.norm not in NORMS:
            raise ValueError(f"unknown norm {self.norm!r}: choose one of {', '.join(NORMS)}")
        if not isinstance(self.dropout, Real) or not 0.0 <= self.dropout < 1.0:
            raise ValueError(
                f"dropout={self.dropout!r}: it is a probability, at least 0 and below 1"
            )
        # NumPy's integers become Python's, which JSON can write
        for name, value in [
            ("inputs", int(self.inputs)),
            ("hidden", tuple(map(int, self.hidden))),
            ("outputs", int(self.outputs)),
        ]:
            object.__setattr__(self, name, value)

    @property
    def sizes(self):
        """(inputs, *hidden, outputs): neighbours are the (I, O) of one layer."""
        return (self.inputs, *self.hidden, self.outputs)
