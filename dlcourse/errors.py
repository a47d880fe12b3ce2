"""Errors that name their cure, and imports that are optional."""

import difflib
import importlib
import sys

PACKAGES = {"sklearn": "scikit-learn", "matplotlib": "Matplotlib", "torch": "PyTorch", "mlx": "MLX"}


class MissingExtra(ImportError):
    """An optional dependency is not installed; the sentence names the extra that brings it."""

    def __init__(self, module, extra):
        package = PACKAGES.get(module.split(".")[0], module.split(".")[0])
        if extra == "mlx" and sys.platform == "win32":
            super().__init__("MLX does not run on Windows: take the backend numpy or torch")
        else:
            super().__init__(f"{package} is not installed: run  pip install 'dlcourse[{extra}]'")
        self.extra = extra


def need(module, extra):
    """Import `module` where it is used, or raise MissingExtra: `need("sklearn.datasets", extra="data")`."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if not is_absent(module, error):
            raise
        raise MissingExtra(module, extra) from error


def is_absent(module, error):
    """Whether the ImportError says that `module` itself is not there, or not whole: plain `mlx` on Linux has no library.

    A module that is missing inside it must keep its own message."""
    is_same = (error.name or "").split(".")[0] == module.split(".")[0]
    return is_same and (
        isinstance(error, ModuleNotFoundError) or "cannot open shared object" in str(error)
    )


def suggestion(name, names):
    """' (did you mean digits?)' when one of `names` is close to `name`, else an empty string."""
    close = difflib.get_close_matches(str(name), list(names), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
