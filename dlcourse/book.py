"""What the notebooks use to speak to the page: computed numbers in prose (`glue`), and the package's own source (`source`)."""

import ast
import html
import json
import math
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dlcourse import BACKENDS, state
from dlcourse.errors import need

PACKAGE = Path(__file__).resolve().parent
TITLES = {"numpy": "NumPy", "torch": "PyTorch", "mlx": "MLX"}
SIGNIFICANT_DIGITS = 4  # more of them differ between processors
PREFIX = "application/papermill.record/"  # myst-nb keeps such an output for {glue:text} and leaves it out of the page

_glued = {}  # name -> (text, cell, execution)


def glue(name, value, fmt=None):
    """Format `value` with the format specification `fmt`, then store it in the cell's output under `name` for {glue:text}`name`.

    A float needs `fmt` with a precision (".3f", ".1%", ".2e") that leaves at most 4 significant digits; an integer or a text needs none.
    Raises ValueError for NaN and infinity, for an unrounded float, and for a name that already stands for another text."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ValueError(
            f"{name!r} cannot be a glued name: use letters, digits, _ and -, beginning with a letter"
        )
    text = formatted(name, value, fmt)
    cell, execution = _where()
    if name in _glued:
        old, old_cell, old_execution = _glued[name]
        # A reader who changes a cell and runs it again gets the new value; two places that disagree are an error.
        again = cell is not None and cell == old_cell and execution != old_execution
        if old != text and not again:
            raise ValueError(
                f"{name!r} is already glued as {old!r} and would become {text!r}: give one of them another name"
            )
    _glued[name] = (text, cell, execution)
    display = need("IPython.display", extra="notebook").display
    # repr keeps a trailing zero: {glue:text} evaluates literals, and 0.970 would lose its last digit. JupyterLab shows the plain text,
    # because it does not know the role in the prose; the page shows the role and drops this output.
    bundle = {PREFIX + "text/plain": repr(text), "text/plain": f"{name} = {text}"}
    display(bundle, raw=True, metadata={"scrapbook": {"name": name, "mime_prefix": PREFIX}})


def formatted(name, value, fmt=None):
    """The text that `glue(name, value, fmt)` stores."""
    if isinstance(value, str):
        if fmt is not None:
            raise ValueError(
                f"{name!r} is text and was given the format {fmt!r}: format numbers only"
            )
        if not value.strip():
            raise ValueError(f"{name!r} is an empty text: glue what the page should say")
        return value
    value = _scalar(name, value)
    if isinstance(value, int):
        return format(value, fmt or "d")
    if not math.isfinite(value):
        raise ValueError(
            f"{name!r} is {value}: only finite numbers go into the prose, find out where it comes from"
        )
    if fmt is None or not re.search(r"\.\d+[eEfFgG%]$", fmt):
        raise ValueError(
            f"{name!r} is a float with the format {fmt!r}: say how to round it, for example '.3f', '.1%' or '.2e'"
        )
    text = format(value, fmt)
    digits = significant_digits(text)
    if digits > SIGNIFICANT_DIGITS:
        raise ValueError(
            f"{name!r} would show {digits} significant digits ({text}): round it to {SIGNIFICANT_DIGITS} at most, or pass an exact integer"
        )
    return text.removeprefix("-") if text.startswith("-") and not re.search("[1-9]", text) else text


def mean_range(values, fmt):
    """Mean and range over seeds as text: mean_range([0.971, 0.975, 0.98], ".3f") -> "0.975 (0.971 to 0.980)".  At least 3 values."""
    values = [_scalar("values", value) for value in values]
    if len(values) < 3:
        raise ValueError(f"a range over {len(values)} values says little: run at least 3 seeds")
    mean, low, high = (
        formatted("values", float(v), fmt)
        for v in (sum(values) / len(values), min(values), max(values))
    )
    return f"{mean} ({low} to {high})"


def significant_digits(text):
    """The number of significant digits that `text` shows: 0.0970 has 3, 12.50 has 4, 1.2e-08 has 2."""
    mantissa = re.split("[eE]", text)[0]
    return len(re.sub(r"\D", "", mantissa).lstrip("0"))


def recorded(name):
    """The recorded run results/<name>.json of the book: recipe, config, seeds, metrics, seconds, versions.

    Raises FileNotFoundError where the book's own folder is not there, as after `pip install` of the package alone."""
    path = PACKAGE.parent / "results" / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no recorded run {name!r}: the results stand in the book's repository, so clone it, or train the recipe yourself"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def recorded_state(name):
    """The weights {name: array} that a recorded run of the book left in results/<name>.safetensors; errors as for `recorded`."""
    path = PACKAGE.parent / "results" / f"{name}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(
            f"there are no recorded weights {name!r}: they stand in the book's repository, so clone it, or train the recipe yourself with --out"
        )
    return state.load(path)


def _scalar(name, value):
    if hasattr(value, "item") and np.size(value) == 1:  # NumPy, PyTorch and MLX scalars
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name!r} is a {type(value).__name__}: glue takes one number or a text")
    return value


def _where():
    """(cell id, execution id) of the running cell, (None, None) where the front end does not tell."""
    shell = need("IPython", extra="notebook").get_ipython()
    try:
        parent = shell.get_parent()
        return parent["metadata"].get("cellId"), parent["header"]["msg_id"]
    except (AttributeError, KeyError, TypeError):
        return None, None


class Source(NamedTuple):
    """The source of one object in one backend; `backend` is None for what the backends share. Lines count from 1, both inclusive."""

    backend: str | None
    title: str
    path: Path
    first: int
    last: int
    text: str


def find_source(name):
    """All sources of "module.object": one a backend that has it, in the order NumPy, PyTorch, MLX, or the one that the backends share.

    The files are read, not imported: no framework is needed. Raises ValueError for a name that nothing has."""
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", name):
        raise ValueError(
            f"{name!r} is not a source name: write module.object, for example 'mlp.MLP' or 'functional.linear'"
        )
    module, *path = name.split(".")
    places = [
        (backend, TITLES[backend], PACKAGE / backend / f"{module}.py") for backend in BACKENDS
    ]
    found = [source for place in places if (source := _object_source(place, path))]
    if not found:
        if (PACKAGE / module).is_dir() and len(path) > 1:  # "text.merges.learn"
            module, path = f"{module}/{path[0]}", path[1:]
        title = f"dlcourse.{module.replace('/', '.')}"
        shared = _object_source((None, title, PACKAGE / f"{module}.py"), path)
        found = [shared] if shared else []
    if not found:
        raise ValueError(
            f"no backend has {name!r}: write module.object as in dlcourse/numpy, for example 'mlp.MLP' or 'functional.linear'"
        )
    return found


def _object_source(place, path):
    backend, title, file = place
    if not file.is_file():
        return None
    text = file.read_text(encoding="utf-8")
    node = ast.parse(text)
    for name in path:
        kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
        node = next(
            (
                child
                for child in getattr(node, "body", [])
                if isinstance(child, kinds) and child.name == name
            ),
            None,
        )
        if node is None:
            return None
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    lines = text.splitlines()[first - 1 : node.end_lineno]
    return Source(
        backend, title, file, first, node.end_lineno, textwrap.dedent("\n".join(lines)) + "\n"
    )


def source(name):
    """Show the package's own source of "mlp.MLP" or "functional.linear": tabs NumPy / PyTorch / MLX on the page, the same text in JupyterLab."""
    found = find_source(name)
    blocks = []
    for number, item in enumerate(found):
        summary = f"{item.title}: dlcourse/{item.path.relative_to(PACKAGE).as_posix()}"
        code = f"<pre><code>{html.escape(item.text, quote=False)}</code></pre>"
        blocks.append(
            f"<details{'' if number else ' open'}><summary>{html.escape(summary)}</summary>\n{code}\n</details>"
        )
    bundle = {
        "text/html": "\n".join(blocks),
        "text/markdown": f":::{{source}} {name}\n:::",
        "text/plain": f"source of {name}: {', '.join(item.title for item in found)}",
    }
    need("IPython.display", extra="notebook").display(bundle, raw=True)
