"""Operations counted while they run: arrays that enter in a tally whatever NumPy does to them.

    tally = {}
    y = f(watch(x, tally))      # any code written with NumPy
    tally                       # {"matmul": 4096, "add": 64, ...}

`dlcourse.count` says what a model costs from its configuration; this module measures."""

import numpy as np

UNSEEN = ("dot", "vdot", "inner", "einsum", "tensordot", "convolve", "correlate")


def watch(array, tally):
    """A view of `array` that enters in the dictionary `tally`, {name: operations}, whatever is done to it and to all that comes of it."""
    watched = np.asarray(array).view(Watched)
    watched.tally = tally
    return watched


class Watched(np.ndarray):
    """An array that counts, made by `watch`: 2 m k n for a matrix product (m, k)(k, n), one for each number that any other operation makes,
    or takes when it sums up. A function of numpy.linalg is entered by its name, with the number of calls.

    Raises ValueError for products that NumPy computes behind its back, as einsum: write them with @."""

    __array_priority__ = 1.0  # what is joined with plain arrays stays watched

    def __array_finalize__(self, source):
        self.tally = getattr(source, "tally", None)

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        plain = [_plain(value) for value in inputs]
        options = {name: _plain(value) for name, value in options.items()}
        if out:
            options["out"] = tuple(_plain(value) for value in out)
        result = getattr(ufunc, method)(*plain, **options)
        if ufunc is np.matmul:
            count = 2 * plain[0].shape[-1] * np.size(result)
        else:
            count = np.size(result if method in ("__call__", "outer") else plain[0])
        self._enter(ufunc.__name__, count)
        if out:
            return out if len(out) > 1 else out[0]
        return watch(result, self.tally) if isinstance(result, np.ndarray) else result

    def __array_function__(self, function, types, arguments, options):
        if function.__name__ in UNSEEN:
            raise ValueError(f"np.{function.__name__} cannot be counted: write the product with @")
        if function.__module__.startswith("numpy.linalg"):
            self._enter(f"linalg.{function.__name__}", 1)
        result = super().__array_function__(function, types, arguments, options)
        return watch(result, self.tally) if isinstance(result, Watched) else result

    def _enter(self, name, count):
        self.tally[name] = self.tally.get(name, 0) + int(count)


def _plain(value):
    return value.view(np.ndarray) if isinstance(value, Watched) else value
