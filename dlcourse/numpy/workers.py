"""A batch split over threads: NumPy releases Python's lock while it computes, so that they run side by side.

PyTorch and MLX split their operations over threads by themselves; NumPy splits its matrix products only."""

import contextlib
import contextvars
import copy
import functools
import itertools
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

from dlcourse.boundary import check_whole
from dlcourse.errors import need
from dlcourse.numpy.module import Parameter
from dlcourse.numpy.optim import PIECE

KEPT = 2**25 - 2**16  # bytes: the largest block from which glibc learns


class Workers:
    """`count` threads, each with the same parameters, gradients of its own, and a part of the batch.

    A loss is a mean over examples, so that L = sum_k (n_k / N) L_k over parts of n_k examples, and the
    gradients, weighted alike, add up to that of the batch: always in the same order, so that every run
    gives the same bits. The matrix products of a worker use one thread.
    Raises ValueError for fewer than one worker, and for batch norm, whose statistics are those of the
    whole batch."""

    def __init__(self, model, count=1):
        check_whole(workers=count)
        # until a large block was freed once, glibc returns the memory of a step to the system and asks
        # for it again in the next: then GPT's step takes 0.8 of the time
        np.empty(KEPT, np.uint8)
        self.count, self.models = count, [model]
        if count == 1:
            return
        if model.named_buffers():
            raise ValueError(
                f"workers={count}: batch norm would take the statistics of each part of the batch, so use workers=1 with it"
            )
        self.blas = need("threadpoolctl", extra="data").ThreadpoolController()
        self.models += [copy.deepcopy(model) for _ in range(count - 1)]
        # its threads end when the workers are no longer used
        self.pool = ThreadPoolExecutor(count - 1, "worker")

    def run(self, work, examples, rng=None, add=True):
        """[work(model, part, share, rng)] of all workers; `part` is their slice of the examples, `share` its part n_k / N of
        them. With `add` the first model holds the gradients of all afterwards, and of nothing before.

        What a worker raises is raised here, when all have come to an end."""
        models = self.models[:examples]  # no worker without an example
        with self._collected(models) if add else contextlib.nullcontext():
            if len(models) == 1:
                return [work(models[0], slice(None), 1, rng)]
            for model in models[1:]:
                _share(self.models[0], model)
            with self.blas.limit(limits=1, user_api="blas"):
                return self._together([(work, *share) for share in _shares(models, examples, rng)])

    def each(self, work, items):
        """work(item) for every item, divided among the threads."""

        def share(items):
            for item in items:
                work(item)

        shares = [items[k :: self.count] for k in range(min(self.count, len(items)))]
        self._together([(share, items) for items in shares])

    def _together(self, calls):
        """The results of function(*arguments), the first in this thread, the others beside it."""
        others = [self.pool.submit(contextvars.copy_context().run, *call) for call in calls[1:]]
        try:
            function, *arguments = calls[0]
            first = function(*arguments)
        finally:
            wait(others)
        return [first] + [other.result() for other in others]

    @contextlib.contextmanager
    def _collected(self, models):
        """Inside, the gradients of all models are sums that grow; afterwards the arrays of the first hold what was added
        in all of them, always in the same order."""
        same = list(zip(*map(_parameters, models), strict=True))
        arrays = [first.grad for first, *_ in same]
        for p in itertools.chain(*same):
            p.grad = _Sum()
        try:
            yield
            self._add_up(arrays, [[p.grad.total for p in twins] for twins in same])
        finally:
            for (first, *others), array in zip(same, arrays, strict=True):
                first.grad = array
                for p in others:
                    p.grad = None

    def _add_up(self, arrays, totals):
        pieces = []
        for array, parts in zip(arrays, totals, strict=True):
            array, *parts = (a.reshape(-1) for a in (array, *parts) if a is not None)
            pieces += [(array, parts, slice(i, i + PIECE)) for i in range(0, array.size, PIECE)]

        def add(piece):
            array, parts, place = piece
            array[place] = functools.reduce(np.add, [a[place] for a in parts]) if parts else 0

        self.each(add, pieces)


class _Sum:
    """A gradient while it grows. Its first part is taken as it comes: no array has to be set to zero first."""

    total = None

    def __iadd__(self, part):
        self.total = part if self.total is None else self.total + part
        return self


def _shares(models, examples, rng):
    """(model, part, share, rng) of each worker."""
    bounds = [examples * k // len(models) for k in range(len(models) + 1)]
    for model, start, stop in zip(models, bounds[:-1], bounds[1:], strict=True):
        part = slice(start, stop)
        # the first draws from the generator itself, which so ends where one worker would leave it
        drawn = rng if model is models[0] else copy.deepcopy(rng)
        drawn = None if rng is None else _Rows(drawn, part, examples)
        yield model, part, (stop - start) / examples, drawn


class _Rows:
    """A generator that draws for the whole batch and returns the rows of one part: its masks are those of one worker."""

    def __init__(self, rng, part, examples):
        self.rng, self.part, self.examples = rng, part, examples

    def random(self, shape, dtype):
        return self.rng.random((self.examples, *shape[1:]), dtype=dtype)[self.part]


def _share(model, twin):
    """The parameters of `model` for `twin`, wherever they are now, and its mode."""
    for p, q in zip(_parameters(model), _parameters(twin), strict=True):
        q.data = p.data
    twin.train(model.training)


def _parameters(model):
    """All of them: the frozen ones are shared like the others."""
    return [p for _, p in model._named(Parameter)]
