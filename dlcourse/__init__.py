"""Deep learning, executed: every model in NumPy from scratch, in PyTorch and in MLX, agreeing number for number."""

import importlib

from dlcourse.errors import MissingExtra, is_absent, suggestion

__version__ = "0.1.0"

BACKENDS = ("numpy", "torch", "mlx")


def backend(name):
    """The package `dlcourse.<name>`: `backend("torch").MLP(config)`.

    Raises ValueError for an unknown name, MissingExtra (an ImportError) when the framework is not installed."""
    if name not in BACKENDS:
        raise ValueError(
            f"unknown backend {name!r}{suggestion(name, BACKENDS)}: choose one of {', '.join(BACKENDS)}"
        )
    try:
        return importlib.import_module(f"dlcourse.{name}")
    except ImportError as error:
        if not is_absent(name, error):
            raise
        raise MissingExtra(name, extra=name) from error
