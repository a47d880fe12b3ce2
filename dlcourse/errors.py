"""Errors that name their cure, and imports that are optional."""

import difflib
import importlib

PACKAGES = {"sklearn": "scikit-learn", "matplotlib": "Matplotlib", "torch": "PyTorch", "mlx": "MLX"}


class MissingExtra(ImportError):
    """An optional dependency is not installed; the sentence names the extra that brings it."""

    def __init__(self, module, extra):
        package = PACKAGES.get(module.split(".")[0], module.split(".")[0])
        super().__init__(f"{package} is not installed: run  pip install 'dlcourse[{extra}]'")
        self.extra = extra


def need(module, extra):
    """Import `module` where it is used, or raise MissingExtra: `need("sklearn.datasets", extra="data")`."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # A broken installation (numpy missing inside sklearn) must keep its own message.
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(module, extra) from error


def suggestion(name, names):
    """' (did you mean digits?)' when one of `names` is close to `name`, else an empty string."""
    close = difflib.get_close_matches(str(name), list(names), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
