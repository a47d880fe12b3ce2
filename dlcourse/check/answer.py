"""The reader's function and its answer: arrays of three frameworks, exceptions as one line, stubs."""

import contextlib
import dis
import inspect
import linecache
import re
import traceback

import numpy as np

from dlcourse.errors import need


def is_array(value):
    return hasattr(value, "dtype") and hasattr(value, "shape")


def to_numpy(value):
    """A NumPy array from a number, list, NumPy, PyTorch or MLX array."""
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def to_backend(value, backend):
    """A fresh copy of a NumPy array in the given framework; anything else unchanged."""
    if not isinstance(value, np.ndarray):
        return value
    if backend == "torch":
        return need("torch", extra="torch").tensor(value)
    if backend == "mlx":
        mx = need("mlx.core", extra="mlx")
        array = mx.array(value.astype(np.float32) if value.dtype.kind == "f" else value)
        # MLX 0.32 can compute without end with an empty array that it took from NumPy
        return array if value.size else mx.zeros(value.shape, array.dtype)
    return value.copy()


def arrays(value, names):
    """The results as a list of NumPy arrays. Raises ValueError, in one sentence, when there are more or fewer, or not numbers."""
    several = isinstance(value, (tuple, list)) and (len(names) > 1 or isinstance(value, tuple))
    parts = list(value) if several else [value]
    if len(parts) != len(names) or (len(names) > 1 and not several):
        given = f"{len(parts)} results" if several else "one result"
        wanted = ", ".join(names) if len(names) > 1 else f"{names[0]} alone"
        raise ValueError(f"it returns {given}, but should return {wanted}")
    result = []
    for name, part in zip(names, parts, strict=True):
        if part is None or part is Ellipsis:
            raise ValueError(
                f"{name} is not there yet (it is {'...' if part is Ellipsis else None})"
            )
        try:
            array = to_numpy(part)
        except Exception:  # a ragged list, an object of some class
            array = np.array(None)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{name} is of type {type(part).__name__}, but should be numbers")
        result.append(array)
    return result


def identical(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


# ---------------------------------------------------------------- the reader's function


def mentioned(fn, seen):
    """ "torch" or "mlx" when the function, or one that it calls, uses that module; "numpy" when it uses NumPy; else None."""
    code, scope = getattr(fn, "__code__", None), getattr(fn, "__globals__", {})
    if code is None or code in seen:
        return None
    seen.add(code)
    with contextlib.suppress(ValueError):  # a name that is not bound yet
        scope = scope | inspect.getclosurevars(fn).nonlocals
    found = set()
    for name in (*names_in(code), *code.co_freevars):
        value = scope.get(name)
        if inspect.isfunction(value):
            found.add(mentioned(value, seen))
        module = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", None)
        # a name that is not known is one imported in the body
        found.add((name if value is None else module or "").split(".")[0])
    return next((name for name in ("torch", "mlx", "numpy") if name in found), None)


def names_in(code):
    """Names that a code object and the functions inside it look up."""
    inner = [name for c in code.co_consts if inspect.iscode(c) for name in names_in(c)]
    return [*code.co_names, *inner]


def does_something(fn):
    """Does the body compute anything? Then a None that it returns is a forgotten return, not a stub."""
    code = getattr(fn, "__code__", None)
    if code is None or Ellipsis in code.co_consts:
        return False
    work = ("BINARY", "CALL", "COMPARE", "INPLACE", "STORE_SUBSCR")
    return any(instruction.opname.startswith(work) for instruction in dis.get_instructions(code))


def one_line(error, fn):
    """An exception as one line: type, first line of the message, and the reader's own line of code."""
    message = re.sub(r" at 0x[0-9a-f]+", "", str(error).strip().split("\n")[0])[:160]
    matmul = r"^matmul: .*\(size (\d+) is different from (\d+)\)$"
    message = re.sub(matmul, r"the shapes of a matrix product do not fit (\1 against \2)", message)
    home = getattr(getattr(fn, "__code__", None), "co_filename", None)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == home]
    where = ""
    if own:
        code = (own[-1].line or linecache.getline(home, own[-1].lineno)).strip()[:100]
        where = f", in line {own[-1].lineno}" + (f": {code}" if code else "")
    return (
        f"{type(error).__name__}: {message}{where}" if message else f"{type(error).__name__}{where}"
    )
