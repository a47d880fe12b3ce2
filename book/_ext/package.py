"""Reads the package `dlcourse` without importing it, so that the book needs neither PyTorch nor MLX.

A module is described by what its source says: docstring, public classes and functions with their signatures, the
methods of classes, the fields of dataclasses with their comments, constants, and the names that it passes on.
"""

import ast
import copy
import functools
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "dlcourse"
BACKENDS = {"numpy": "NumPy", "torch": "PyTorch", "mlx": "MLX"}


@dataclass(frozen=True)
class Entry:
    """A public object of a module; `kind` is module, class, function, method, property or data."""

    kind: str
    name: str  # Class.method for a method
    signature: str
    doc: str
    first: int  # lines in the file, both inclusive
    last: int
    source: str = ""  # fields of a dataclass, value of a constant
    members: tuple = ()


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    doc: str
    entries: tuple
    exports: dict = field(default_factory=dict)  # name here -> full name where it is defined


def module_path(root, name):
    """The file of the module `name`, or None."""
    base = Path(root, *name.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def module_names(root):
    """All public modules of the package: no part of the name starts with an underscore, and no test lies in it."""
    names = []
    for path in sorted(Path(root, PACKAGE).rglob("*.py")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        if not any(part.startswith("_") for part in parts):
            names.append(".".join(parts))
    return sorted(names)


def find(root, module, name):
    """The syntax tree of the class or function `name` ("Class.method" too) in the module's file, or None."""
    path = module_path(root, module)
    return None if path is None else _find(_tree(path, path.stat().st_mtime_ns), name)


def read(root, name):
    path = module_path(root, name)
    return _read(name, path, path.stat().st_mtime_ns)


def _find(tree, name):
    body = tree.body
    node = None
    for part in name.split("."):
        node = next((n for n in body if isinstance(n, _DEFINITIONS) and n.name == part), None)
        if node is None:
            return None
        body = node.body
    return node


_DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@functools.lru_cache(maxsize=256)
def _tree(path, modified):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@functools.lru_cache(maxsize=256)
def _read(name, path, modified):
    tree = _tree(path, modified)
    lines = path.read_text(encoding="utf-8").splitlines()
    entries, exports = [], {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and _public(node.name):
            entries.append(_class(node, lines))
        elif isinstance(node, ast.FunctionDef) and _public(node.name):
            entries.append(_function(node))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            entries.extend(_constants(node))
        elif isinstance(node, ast.ImportFrom) and node.module and path.name == "__init__.py":
            for alias in node.names:
                if node.module.split(".")[0] == PACKAGE and _public(alias.asname or alias.name):
                    exports[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return Module(name, path, ast.get_docstring(tree) or "", tuple(entries), exports)


def _public(name):
    return not name.startswith("_")


def _constants(node):
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    for target in targets:
        if isinstance(target, ast.Name) and target.id.isupper() and _public(target.id) and node.value is not None:
            value = ast.unparse(node.value)
            yield Entry("data", target.id, "", "", node.lineno, node.end_lineno, value if len(value) <= 100 else "")


def _signature(node, method=False):
    arguments = copy.deepcopy(node.args)
    for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]:
        if argument is not None:
            argument.annotation = None
    if method and not _decorated(node, "staticmethod"):
        (arguments.posonlyargs or arguments.args).pop(0)
    return f"({ast.unparse(arguments)})"


def _decorated(node, name):
    found = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return any((d.id if isinstance(d, ast.Name) else getattr(d, "attr", None)) == name for d in found)


def _first(node):
    return min([node.lineno, *(d.lineno for d in node.decorator_list)])


def _function(node):
    return Entry("function", node.name, _signature(node), ast.get_docstring(node) or "", _first(node), node.end_lineno)


def _class(node, lines):
    members, fields = [], []
    signature = ""
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and _public(item.target.id):
            fields.append(item)
        elif isinstance(item, ast.FunctionDef):
            if item.name == "__init__":
                signature = _signature(item, method=True)
            elif item.name == "__call__" or _public(item.name):
                is_property = _decorated(item, "property") or _decorated(item, "cached_property")
                members.append(
                    Entry(
                        "property" if is_property else "method",
                        f"{node.name}.{item.name}",
                        "" if is_property else _signature(item, method=True),
                        ast.get_docstring(item) or "",
                        _first(item),
                        item.end_lineno,
                    )
                )
    source = ""
    if fields and (_decorated(node, "dataclass") or _named_tuple(node)):
        signature = "(" + ", ".join(f.target.id + (f"={ast.unparse(f.value)}" if f.value else "") for f in fields) + ")"
        source = "\n".join(line.strip() for f in fields for line in lines[f.lineno - 1 : f.end_lineno])
    return Entry("class", node.name, signature, ast.get_docstring(node) or "", _first(node), node.end_lineno, source, tuple(members))


def _named_tuple(node):
    return any(getattr(base, "id", getattr(base, "attr", "")) == "NamedTuple" for base in node.bases)
