"""Operations counted while they run: arrays that enter in a tally whatever NumPy does to them.

    tally = {}
    y = f(watch(x, tally))      # any code written with NumPy
    tally                       # {"matmul": 4096, "add": 64, ...}

MLX computes later, so its products are counted before they run, in its graph: `mlx_products`. PyTorch has a counter of its own,
torch.utils.flop_counter. `dlcourse.count` says what a model costs from its configuration; this module measures."""

import math

import numpy as np

from dlcourse.errors import need

UNSEEN = ("dot", "vdot", "inner", "einsum", "tensordot", "convolve", "correlate")

# What stands in MLX's graphs of the course's models and losses beside products: a few operations for each number, or none.
MLX_OTHERS = frozenset(
    """Abs Add Arange AsStrided AsType BitwiseBinary Broadcast Concatenate Cos Cosh Divide Equal Erf Exp ExpandDims
    Flatten Full Gather GatherAxis Greater GreaterEqual Less LogAddExp LogSumExp Maximum Minimum Multiply Negative
    NotEqual Pad Power RandomBits Reduce Reshape Scan Scatter ScatterAxis Select Sigmoid Sign Sin Slice
    SliceUpdate Softmax Split Sqrt Square Squeeze Subtract Tanh Transpose Unflatten""".split()
)


def watch(array, tally):
    """A view of `array` that enters in the dictionary `tally`, {name: operations}, whatever is done to it and to all that comes of it."""
    watched = np.asarray(array).view(Watched)
    watched.tally = tally
    return watched


def mlx_products(model, function, *inputs):
    """{name: operations} of the products that function(*inputs) takes in MLX with the parameters of `model`.

        mlx_products(model, model, x)                             # an answer
        mlx_products(model, learner.loss_and_gradients, x, y)     # a step in training, without its update

    They are read from the graph that MLX exports for the processor: nothing is computed, and the model stays as it was; masks of dropout
    are drawn, so MLX's generator moves on. 2 m k n for a matrix product, as in `watch`. A convolution takes two operations for each weight
    at each place of its output, padding included; one with flipped kernels, which is transposed, as for the gradient of its input, at each
    place of its input. A product that is asked for twice, of the same arrays, counts once.

    Raises ValueError for operations that are neither products known here nor in MLX_OTHERS, so that no product is left out; MLX raises one
    for a function that looks at numbers which depend on the parameters."""
    mx, utils = need("mlx.core", extra="mlx"), need("mlx.utils", extra="mlx")
    kept, tally, unknown = model.parameters(), {}, set()

    def outputs(**values):
        model.update(utils.tree_unflatten(values))
        return [array for _, array in utils.tree_flatten(function(*inputs))]

    def enter(node):
        if node["type"] != "primitive" or node["name"] in MLX_OTHERS:
            return
        count = _product(node)
        if count is None:
            unknown.add(node["name"])
        else:
            tally[node["name"]] = tally.get(node["name"], 0) + count

    try:
        with mx.stream(mx.cpu):  # on a GPU attention is one operation
            mx.export_function(enter, outputs, dict(utils.tree_flatten(kept)))
    finally:
        model.update(kept)
    if unknown:
        raise ValueError(
            f"mlx_products does not know {', '.join(sorted(unknown))}: add what makes no products to operations.MLX_OTHERS"
        )
    return tally


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


def _product(node):
    """The operations of a product in MLX's graph, None for what is not known as one."""
    shapes = [shape for _, shape, _ in node["inputs"]]
    (_, made, _), *_ = node["outputs"]
    if node["name"] in ("Matmul", "AddMM"):  # (..., m, k) and (..., k, n)
        return 2 * shapes[0][-1] * math.prod(made)
    if node["name"] == "Convolution":  # (B, H, W, I) and (O, K, K, I / groups)
        *_, is_flipped = node["arguments"]
        *places, _ = shapes[0] if is_flipped else made
        return 2 * math.prod(places) * math.prod(shapes[1])
    return None
