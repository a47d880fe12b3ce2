"""Every operation of `dlcourse.numpy.functional` as a table of cases: how to draw its arguments, call it, and compute it slowly.

The same table drives the gradient tests, the comparison with PyTorch and the mutants, so an operation without a case fails all three."""

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.gradients import as_tuple, assert_close, check_gradient


@dataclass(frozen=True)
class Case:
    operation: str
    variant: str
    draw: Any  # (rng, lead, width) -> (differentiable arguments, constants)
    call: Any  # (f, arguments, constants) -> (y, backward)
    oracle: Any  # (arguments, constants) -> y, by plain loops
    torch: Any  # (torch, tensors, constants) -> y

    def __str__(self):
        return f"{self.operation}-{self.variant}" if self.variant else self.operation


def rows_of(x):
    return x.reshape(-1, x.shape[-1])


def away_from_zero(x, gap=0.01):
    return x + np.copysign(gap, x)  # difference quotients must not step over the kink of ReLU


# ---------------------------------------------------------------- how arguments are drawn


def draw_array(rng, lead, width):
    return (rng.normal(size=(*lead, width)) * 2,), ()


def draw_before_the_tail(rng, lead, width):
    """Below -2 the values of GELU, x times a difference of almost equal numbers, keep too few digits for a difference quotient."""
    return (np.clip(rng.normal(size=(*lead, width)) * 2, -2.0, None),), ()


def draw_ties(rng, lead, width):
    return (np.round(rng.normal(size=(*lead, width))),), ()


def draw_kinked(rng, lead, width):
    return (away_from_zero(rng.normal(size=(*lead, width))),), ()


def draw_linear(rng, lead, width):
    outputs = width + 2
    return (rng.normal(size=(*lead, width)), rng.normal(size=(outputs, width)), rng.normal(size=outputs)), ()


def ramp(rng, shape, axis):
    """Numbers that are apart along an axis: near a variance of zero a difference quotient is too coarse."""
    return rng.permuted(np.broadcast_to(np.moveaxis(np.arange(shape[axis], dtype=float)[:, None], 0, axis), shape), axis=axis)


def draw_embedding(rng, lead, width):
    """A row that no token names, and more tokens than rows where there are many, so that some repeat."""
    return (rng.normal(size=(4, width)),), (rng.integers(0, 3, size=lead),)


def draw_pretraining(weights):
    def draw(rng, lead, width):
        size, vocab = 2 + math.prod(lead), width + 1
        targets = np.where(rng.random((size, 4)) < 0.5, -100, rng.integers(0, vocab, size=(size, 4)))
        targets[:, 0] = rng.integers(0, 2, size=size)
        targets[0, 1] = 0
        return (rng.normal(size=(size, 3, vocab)), rng.normal(size=(size, 2))), (targets, weights)

    return draw


def draw_layer_norm(rng, lead, width):
    width = max(width, 3)  # of one feature the bias is left, of two they are +-1: a gradient of zero, or of the size of eps
    shape = (math.prod(lead), width)
    x = ramp(rng, shape, 1) + 0.3 * rng.random(size=shape)
    return (x.reshape(*lead, width), rng.normal(size=width), rng.normal(size=width)), ()


def draw_rms_norm(rng, lead, width):
    width = max(width, 2)  # of one feature only the sign is left, and a gradient of the size of eps
    return (away_from_zero(rng.normal(size=(*lead, width)), 0.5), rng.normal(size=width)), ()


def draw_batch_norm(training):
    def draw(rng, lead, width):
        lead = lead if math.prod(lead) > 2 else (3,)  # of two examples the normalised ones are +-1, and the gradient has the size of eps
        shape = (math.prod(lead), width)
        x = ramp(rng, shape, 0) + 0.3 * rng.random(size=shape)
        arguments = x.reshape(*lead, width), rng.normal(size=width), rng.normal(size=width)
        return arguments, (rng.normal(size=width), 0.1 + rng.random(width), training)

    return draw


def draw_dropout(p, with_rng=True):
    return lambda rng, lead, width: ((rng.normal(size=(*lead, width)),), (p, int(rng.integers(1 << 30)) if with_rng else None))


def draw_mse(rng, lead, width):
    return (rng.normal(size=(*lead, width)),), (rng.normal(size=(*lead, width)),)


def draw_labels(smoothing, ignored, ties=False):
    """`ignored`: None keeps every target; a number marks about a third of the targets with it, never all of them."""

    def draw(rng, lead, width):
        lowest = 1 if ignored == 0 else 0  # when class 0 is ignored, some target must be another
        width = max(width, lowest + 1)
        z = rng.normal(size=(*lead, width))  # not larger: a loss near 0 keeps the rounding of its logits, which a quotient magnifies
        labels = rng.integers(lowest, width, size=lead)
        if ignored is not None:
            flat = labels.reshape(-1)
            flat[rng.permutation(flat.size)[: flat.size // 3]] = ignored
        return (np.round(z) if ties else z,), (labels, smoothing, -100 if ignored is None else ignored)

    return draw


def draw_soft(smoothing):
    def draw(rng, lead, width):
        width = max(width, 2)  # one class has the gradient zero, and rows that are rounded do not sum to 1 exactly
        return (rng.normal(size=(*lead, width)),), (rng.dirichlet(np.ones(width), size=lead), smoothing, -100)

    return draw


def draw_binary(soft):
    def draw(rng, lead, width):
        targets = rng.random(size=(*lead, width))
        return (rng.normal(size=(*lead, width)) * 3,), (targets if soft else np.round(targets),)

    return draw


# ---------------------------------------------------------------- the slow, obvious oracles


def slow_linear(arguments, _):
    x, weight, bias = arguments
    rows = [
        [sum(w * value for w, value in zip(line, row, strict=True)) + b for line, b in zip(weight, bias, strict=True)] for row in rows_of(x)
    ]
    return np.reshape(rows, (*x.shape[:-1], len(bias)))


def slow_dropout(arguments, constants):
    (x,), (p, seed) = arguments, constants
    if seed is None or p == 0.0:
        return x
    mask = np.random.default_rng(seed).random(x.shape, dtype=np.float32) >= p
    return np.where(mask, x / (1.0 - p), 0.0)


def elementwise(function):
    return lambda arguments, _: np.reshape([function(float(value)) for value in arguments[0].reshape(-1)], arguments[0].shape)


def slow_softmax_row(row):
    total = math.fsum(math.exp(value - max(row)) for value in row)
    return [math.exp(value - max(row)) / total for value in row]


def slow_softmax(arguments, _):
    return np.reshape([slow_softmax_row(row) for row in rows_of(arguments[0])], arguments[0].shape)


def slow_log_softmax(arguments, _):
    rows = [
        [value - max(row) - math.log(math.fsum(math.exp(other - max(row)) for other in row)) for value in row]
        for row in rows_of(arguments[0])
    ]
    return np.reshape(rows, arguments[0].shape)


def slow_normalised(values, eps, mean=None, variance=None):
    if mean is None:
        mean = math.fsum(values) / len(values)
        variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
    return [(v - mean) / math.sqrt(variance + eps) for v in values]


def slow_gelu(v):
    return v / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))


def slow_exact_gelu(v):
    return v * (1 + math.erf(v / math.sqrt(2))) / 2


def slow_pretraining(arguments, constants):
    (words, follows), (targets, weights) = arguments, constants
    terms = (words, targets[:, 1:]), (follows, targets[:, 0])
    return math.fsum(w * slow_cross_entropy((z,), (y, 0.0, -100)) for w, (z, y) in zip(weights, terms, strict=True))


def slow_layer_norm(arguments, _):
    x, weight, bias = arguments
    return np.reshape([slow_normalised(row, 1e-5) for row in rows_of(x)], x.shape) * weight + bias


def slow_rms_norm(arguments, _):
    x, weight = arguments
    rows = [[v / math.sqrt(math.fsum(u * u for u in row) / len(row) + 1e-6) for v in row] for row in rows_of(x)]
    return np.reshape(rows, x.shape) * weight


def slow_batch_norm(arguments, constants):
    (x, weight, bias), (mean, variance, training) = arguments, constants
    statistics = [(None, None)] * len(weight) if training else list(zip(mean, variance, strict=True))
    columns = [slow_normalised(column, 1e-5, *found) for column, found in zip(rows_of(x).T, statistics, strict=True)]
    return np.reshape(np.transpose(columns), x.shape) * weight + bias


def slow_mse(arguments, constants):
    pairs = list(zip(arguments[0].reshape(-1), constants[0].reshape(-1), strict=True))
    return math.fsum((y - t) ** 2 for y, t in pairs) / len(pairs)


def slow_cross_entropy(arguments, constants):
    labels, smoothing, ignore_index = constants
    losses, soft = [], labels.dtype.kind == "f"
    for row, label in zip(rows_of(arguments[0]), rows_of(labels) if soft else labels.reshape(-1), strict=True):
        if not soft and label == ignore_index:
            continue
        q = [smoothing / len(row) + (1.0 - smoothing) * (label[i] if soft else i == label) for i in range(len(row))]
        losses.append(-math.fsum(qi * math.log(pi) for qi, pi in zip(q, slow_softmax_row(row), strict=True)))
    return math.fsum(losses) / len(losses)


def slow_binary(arguments, constants):
    def one(z, t):
        p = 1.0 / (1.0 + math.exp(-z))
        return -(t * math.log(p) + (1.0 - t) * math.log(1.0 - p))

    pairs = list(zip(arguments[0].reshape(-1), constants[0].reshape(-1), strict=True))
    return math.fsum(one(z, t) for z, t in pairs) / len(pairs)


# ---------------------------------------------------------------- PyTorch


def torch_dropout(torch, tensors, constants):
    p, seed = constants
    return tensors[0] * torch.from_numpy(slow_dropout((np.ones(tuple(tensors[0].shape)),), (p, seed)))


def torch_batch_norm(torch, tensors, constants):
    x, weight, bias = tensors
    mean, variance = (torch.from_numpy(array.copy()) for array in constants[:2])
    y = torch.nn.functional.batch_norm(x.reshape(-1, x.shape[-1]), mean, variance, weight, bias, constants[2])
    return y.reshape(x.shape)


def torch_cross_entropy(torch, tensors, constants):
    labels, smoothing, ignore_index = constants
    z = tensors[0].reshape(-1, tensors[0].shape[-1])
    labels = torch.from_numpy(labels).reshape(z.shape if labels.dtype.kind == "f" else -1)
    return torch.nn.functional.cross_entropy(z, labels, label_smoothing=smoothing, ignore_index=ignore_index)


def torch_pretraining(torch, tensors, constants):
    targets, weights = torch.from_numpy(constants[0]), constants[1]
    loss = torch.nn.functional.cross_entropy
    return weights[0] * loss(tensors[0].flatten(0, 1), targets[:, 1:].flatten()) + weights[1] * loss(tensors[1], targets[:, 0])


def one_array(name):
    return lambda f, arguments, constants: getattr(f, name)(*arguments)


def with_targets(name):
    return lambda f, arguments, constants: getattr(f, name)(*arguments, *constants)


def call_dropout(f, arguments, constants):
    p, seed = constants
    return f.dropout(*arguments, p, None if seed is None else np.random.default_rng(seed))


def call_batch_norm(f, arguments, constants):
    mean, variance, training = constants
    return f.batch_norm(*arguments, mean.copy(), variance.copy(), training)  # training writes into the running ones


CASES = [
    Case("linear", "", draw_linear, one_array("linear"), slow_linear, lambda torch, t, c: torch.nn.functional.linear(*t)),
    Case(
        "embedding",
        "",
        draw_embedding,
        lambda f, arguments, constants: f.embedding(*constants, *arguments),
        lambda arguments, constants: np.reshape(
            [arguments[0][token] for token in constants[0].reshape(-1)], (*constants[0].shape, arguments[0].shape[1])
        ),
        lambda torch, t, c: torch.nn.functional.embedding(torch.from_numpy(np.asarray(c[0])), *t),
    ),
    *(
        Case("dropout", variant, draw, call_dropout, slow_dropout, torch_dropout)
        for variant, draw in [
            ("training", draw_dropout(0.3)),
            ("p-zero", draw_dropout(0.0)),
            ("evaluation", draw_dropout(0.5, with_rng=False)),
        ]
    ),
    Case("relu", "", draw_kinked, one_array("relu"), elementwise(lambda v: max(v, 0.0)), lambda torch, t, c: torch.relu(*t)),
    Case(
        "sigmoid",
        "",
        draw_array,
        one_array("sigmoid"),
        elementwise(lambda v: 1 / (1 + math.exp(-v))),
        lambda torch, t, c: torch.sigmoid(*t),
    ),
    Case("tanh", "", draw_array, one_array("tanh"), elementwise(math.tanh), lambda torch, t, c: torch.tanh(*t)),
    Case(
        "gelu",
        "",
        draw_before_the_tail,
        one_array("gelu"),
        elementwise(slow_gelu),
        lambda torch, t, c: torch.nn.functional.gelu(*t, approximate="tanh"),
    ),
    Case(
        "gelu",
        "exact",
        draw_before_the_tail,
        lambda f, arguments, constants: f.gelu(*arguments, exact=True),
        elementwise(slow_exact_gelu),
        lambda torch, t, c: torch.nn.functional.gelu(*t),
    ),
    Case(
        "silu",
        "",
        draw_array,
        one_array("silu"),
        elementwise(lambda v: v / (1 + math.exp(-v))),
        lambda torch, t, c: torch.nn.functional.silu(*t),
    ),
    Case(
        "layer_norm",
        "",
        draw_layer_norm,
        one_array("layer_norm"),
        slow_layer_norm,
        lambda torch, t, c: torch.nn.functional.layer_norm(t[0], t[1].shape, *t[1:]),
    ),
    Case(
        "rms_norm",
        "",
        draw_rms_norm,
        one_array("rms_norm"),
        slow_rms_norm,
        lambda torch, t, c: torch.nn.functional.rms_norm(t[0], t[1].shape, t[1], eps=1e-6),
    ),
    *(
        Case("batch_norm", variant, draw_batch_norm(training), call_batch_norm, slow_batch_norm, torch_batch_norm)
        for variant, training in [("training", True), ("evaluation", False)]
    ),
    *(
        Case("softmax", variant, draw, one_array("softmax"), slow_softmax, lambda torch, t, c: torch.softmax(*t, dim=-1))
        for variant, draw in [("", draw_array), ("ties", draw_ties)]
    ),
    *(
        Case("log_softmax", variant, draw, one_array("log_softmax"), slow_log_softmax, lambda torch, t, c: torch.log_softmax(*t, dim=-1))
        for variant, draw in [("", draw_array), ("ties", draw_ties)]
    ),
    Case(
        "mse_loss",
        "",
        draw_mse,
        with_targets("mse_loss"),
        slow_mse,
        lambda torch, t, c: torch.nn.functional.mse_loss(*t, torch.from_numpy(c[0])),
    ),
    *(
        Case("cross_entropy", variant, draw, with_targets("cross_entropy"), slow_cross_entropy, torch_cross_entropy)
        for variant, draw in [
            ("", draw_labels(0.0, None)),
            ("ties", draw_labels(0.0, None, ties=True)),
            ("smoothing", draw_labels(0.1, None)),
            ("ignored", draw_labels(0.0, -100)),
            ("ignored-class-0", draw_labels(0.0, 0)),
            ("smoothing-ignored", draw_labels(0.25, -1)),
            ("soft", draw_soft(0.0)),
            ("soft-smoothing", draw_soft(0.2)),
        ]
    ),
    *(
        Case("pretraining_loss", variant, draw_pretraining(weights), with_targets("pretraining_loss"), slow_pretraining, torch_pretraining)
        for variant, weights in [("", (1.0, 1.0)), ("weighted", (0.25, 0.5))]
    ),
    *(
        Case(
            "binary_cross_entropy",
            variant,
            draw_binary(soft),
            with_targets("binary_cross_entropy"),
            slow_binary,
            lambda torch, t, c: torch.nn.functional.binary_cross_entropy_with_logits(*t, torch.from_numpy(c[0])),
        )
        for variant, soft in [("", False), ("soft", True)]
    ),
]


# ---------------------------------------------------------------- the checks, each on any module f that has the operations


def check_value(f, case, rng, lead, width):
    arguments, constants = case.draw(rng, lead, width)
    return assert_close(str(case), case.call(f, arguments, constants)[0], case.oracle(arguments, constants), 1e-12)


def check_case_gradient(f, case, rng, lead, width):
    arguments, constants = case.draw(rng, lead, width)
    return check_gradient(lambda *x: case.call(f, x, constants), arguments, rng)


def check_manners(f, case, rng, lead, width):
    """float32 in, float32 out; arguments unchanged; backward twice gives the same; the default upstream gradient of a loss is 1."""
    arguments, constants = case.draw(rng, lead, width)
    arguments = tuple(x.astype(np.float32) for x in arguments)
    constants = tuple(x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype == np.float64 else x for x in constants)
    before = [np.copy(x) for x in (*arguments, *constants) if isinstance(x, np.ndarray)]
    y, backward = case.call(f, arguments, constants)
    assert y.dtype == np.float32, f"{case}: float32 gave {y.dtype}"
    difference = np.abs(y - case.oracle(tuple(x.astype(np.float64) for x in arguments), constants)).max()
    assert difference <= 1e-5 * max(1.0, np.abs(y).max()), (
        f"{case} in float32 is off by {difference:.1e}"
    )  # a loss near 0 keeps the rounding of the logits
    u = 0.5 if np.ndim(y) == 0 else rng.normal(size=y.shape).astype(np.float32)
    upstream, kept = np.copy(u), np.copy(y)
    first, second = as_tuple(backward(u)), as_tuple(backward(u))
    for gradient, again in zip(first, second, strict=True):
        assert gradient.dtype == np.float32, f"{case}: the gradient of float32 is {gradient.dtype}"
        assert np.array_equal(gradient, again), f"{case}: the second call of backward differs"
    if np.ndim(y) == 0:
        assert_close(f"{case}: upstream gradient 1 by default", as_tuple(backward())[0], 2 * first[0], 1e-6)
    after = [x for x in (*arguments, *constants) if isinstance(x, np.ndarray)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)), f"{case}: an argument was changed"
    assert np.array_equal(u, upstream), f"{case}: the upstream gradient was changed"
    assert np.array_equal(y, kept), f"{case}: backward changed y"


EXTREMES = np.array(
    [[1000.0, -1000.0, 0.0], [0.0, 0.0, 0.0], [-1000.0, -1000.0, -1000.0], [1000.0, 1000.0, 1000.0], [-1000.0, 999.0, 1000.0]]
)
EXTREME_CALLS = {
    "linear": lambda f, x: f.linear(x, x[:3], x[0]),
    "embedding": lambda f, x: f.embedding(np.array([0, 4, 4]), x),
    "dropout": lambda f, x: f.dropout(x, 0.5, np.random.default_rng(0)),
    "relu": lambda f, x: f.relu(x),
    "sigmoid": lambda f, x: f.sigmoid(x),
    "tanh": lambda f, x: f.tanh(x),
    "gelu": lambda f, x: f.gelu(x),
    "silu": lambda f, x: f.silu(x),
    "layer_norm": lambda f, x: f.layer_norm(x, x[0], x[4]),
    "rms_norm": lambda f, x: f.rms_norm(x, x[0]),
    "batch_norm": lambda f, x: f.batch_norm(x, x[0], x[4], np.zeros(3, x.dtype), np.ones(3, x.dtype), True),
    "softmax": lambda f, x: f.softmax(x),
    "log_softmax": lambda f, x: f.log_softmax(x),
    "mse_loss": lambda f, x: f.mse_loss(x, -x),
    "cross_entropy": lambda f, x: f.cross_entropy(x, np.array([1, 0, 2, 1, 0])),
    "pretraining_loss": lambda f, x: f.pretraining_loss(x[None], x[:1, :2], np.array([[1, 0, 2, 1, -100, 0]])),
    "binary_cross_entropy": lambda f, x: f.binary_cross_entropy(x, (x < 0).astype(x.dtype)),
}


def check_extremes(f, operation):
    """Logits of +-1000 and exact ties give finite values, finite gradients and no warning."""
    for dtype in (np.float32, np.float64):
        with warnings.catch_warnings(), np.errstate(over="raise", invalid="raise", divide="raise"):
            warnings.simplefilter("error")
            y, backward = EXTREME_CALLS[operation](f, EXTREMES.astype(dtype))
            gradients = as_tuple(backward(1.0 if np.ndim(y) == 0 else np.ones_like(y)))
        assert all(np.isfinite(array).all() for array in (y, *gradients)), f"{operation}: not finite at +-1000 in {np.dtype(dtype)}"


class Draws:
    """A generator that draws just below p = 0.5, p itself, and just above."""

    def random(self, shape, dtype):
        return np.array([0.4999, 0.5, 0.5001], dtype).reshape(shape)


def check_targets_of_another_dtype(f):
    """Targets of float64, integers or bools leave a float32 loss and its gradient float32, and give the loss of float32 targets."""
    y = np.array([[0.5], [-1.0], [2.0], [0.25]], np.float32)
    for operation in (f.mse_loss, f.binary_cross_entropy):
        expected = operation(y, np.array([[0], [1], [1], [0]], np.float32))[0]
        for dtype in (np.int64, np.float64, np.bool_):
            loss, backward = operation(y, np.array([[0], [1], [1], [0]], dtype))
            assert loss.dtype == backward().dtype == np.float32, f"{operation.__name__}: {np.dtype(dtype)} targets made it {loss.dtype}"
            assert loss == expected
    q = np.array([[0.25, 0.75], [1.0, 0.0]])
    loss, backward = f.cross_entropy(np.array([[0.5, -1.0], [2.0, 0.25]], np.float32), q)
    assert loss.dtype == backward().dtype == np.float32, "soft targets of float64 changed the dtype of the loss or its gradient"


def check_running_statistics(f):
    """Training moves the running statistics in place, with the unbiased variance; evaluation leaves them alone. Images count every pixel."""
    rng = np.random.default_rng(10)
    for dtype, tolerance in ((np.float64, 1e-13), (np.float32, 1e-5)):
        x = (3 + 2 * rng.normal(size=(4, 3, 2, 5))).astype(dtype)
        weight, bias = np.ones(5, dtype), np.zeros(5, dtype)
        for options, momentum in (({}, 0.1), ({"momentum": 0.3}, 0.3)):
            mean, variance = rng.normal(size=5).astype(dtype), rng.random(5).astype(dtype)
            before = mean.copy(), variance.copy()
            f.batch_norm(x, weight, bias, mean, variance, False, **options)
            assert np.array_equal(mean, before[0]) and np.array_equal(variance, before[1]), "evaluation moved the running statistics"
            f.batch_norm(x, weight, bias, mean, variance, True, **options)
            assert mean.dtype == variance.dtype == dtype
            for c in range(5):
                values = [float(v) for v in x[..., c].reshape(-1)]
                centre = math.fsum(values) / 24
                unbiased = math.fsum((v - centre) ** 2 for v in values) / 23
                assert_close("running mean", mean[c], (1 - momentum) * float(before[0][c]) + momentum * centre, tolerance)
                assert_close("running variance", variance[c], (1 - momentum) * float(before[1][c]) + momentum * unbiased, tolerance)
    mean, variance = np.zeros(1), np.ones(1)  # two examples, the fewest that have a variance: 1, and 2 without bias
    y, backward = f.batch_norm(np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), mean, variance, True)
    assert_close("two examples", y[:, 0], np.array([-1, 1]) / math.sqrt(1 + 1e-5), 1e-15)
    assert_close("their statistics", np.append(mean, variance), np.array([0.2, 1.1]), 1e-15)
    assert_close("their gradient", backward(np.array([[0.0], [1.0]]))[0][:, 0], np.array([-0.5, 0.5]) * 1e-5 / (1 + 1e-5) ** 1.5, 1e-10)


def exact_values(f):
    """Values that a formula fixes exactly: at the kink of ReLU, at the ends of the sigmoid, for uniform logits."""
    y, backward = f.relu(np.array([-1.0, 0.0, 2.0]))
    assert y.tolist() == [0.0, 0.0, 2.0] and backward(np.ones(3)).tolist() == [0.0, 0.0, 1.0]
    assert f.sigmoid(np.array([0.0, -1000.0, 1000.0]))[0].tolist() == [0.5, 0.0, 1.0]
    assert_close("sigmoid far to the left", f.sigmoid(np.array([-40.0]))[0], [math.exp(-40.0)], 1e-15)
    assert_close(
        "binary_cross_entropy of a sure answer", f.binary_cross_entropy(np.array([40.0]), np.array([1.0]))[0], math.exp(-40.0), 1e-15
    )
    assert f.softmax(np.zeros((1, 4)))[0].tolist() == [[0.25] * 4]
    assert_close("cross_entropy of uniform logits", f.cross_entropy(np.zeros((2, 4)), np.array([0, 3]))[0], math.log(4), 1e-15)
    assert f.cross_entropy(np.array([[0.0, -1000.0]]), np.array([1]))[0] == 1000.0
    weight = np.arange(6.0).reshape(3, 2)
    y, backward = f.embedding(np.array([[2, 0], [2, 2]], np.uint8), weight)
    assert y.tolist() == [[[4.0, 5.0], [0.0, 1.0]], [[4.0, 5.0], [4.0, 5.0]]]
    assert backward(np.ones((2, 2, 2))).tolist() == [[1.0, 1.0], [0.0, 0.0], [3.0, 3.0]], (
        "equal tokens add, an absent one has gradient zero"
    )
    y, backward = f.embedding(np.zeros((0, 4), int), weight)
    assert y.shape == (0, 4, 2) and not backward(y).any()
    assert f.gelu(np.array([0.0, 1000.0, -1000.0]), exact=True)[0].tolist() == [0.0, 1000.0, 0.0]
    words, follows, targets = np.zeros((1, 2, 4)), np.zeros((1, 2)), np.array([[1, 3, -100]])
    for weights, loss in (((1.0, 1.0), math.log(8)), ((0.0, 1.0), math.log(2)), ((1.0, 0.0), math.log(4)), ((3.0, 0.5), 6.5 * math.log(2))):
        value, backward = f.pretraining_loss(words, follows, targets, weights)
        assert_close("pretraining_loss of uniform logits", value, loss, 1e-15)
        for gradient, logits, weight in zip(backward(2.0), (words, follows), weights, strict=True):
            assert gradient.shape == logits.shape and gradient.any() == (weight > 0)
        assert_close("the gradient of the pair", backward(2.0)[1], [[weights[1], -weights[1]]], 1e-15)
    value, backward = f.pretraining_loss(words, follows, targets)
    assert_close("pretraining_loss weighs both means by 1", [value, backward()[1][0, 0]], [math.log(8), 0.5], 1e-15)
    assert f.pretraining_loss(words, follows, np.array([[1, -100, -100]]), (0.0, 1.0))[0] == f.cross_entropy(follows, np.array([1]))[0]
    kept = f.dropout(np.ones(100_000, np.float32), 0.2, np.random.default_rng(0))[0]
    assert set(np.unique(kept).tolist()) == {0.0, 1.25} and abs((kept > 0).mean() - 0.8) < 0.005  # four standard deviations
    x = np.ones(3)
    assert f.dropout(x, 0.5, None)[0] is x and f.dropout(x, 0.0, np.random.default_rng(0))[0] is x
    generator = np.random.default_rng(0)
    y, backward = f.dropout(x, 0.5, Draws())
    assert y.tolist() == backward(x).tolist() == [0.0, 2.0, 2.0], "a draw u in [0, 1) keeps where u >= p, with probability 1 - p exactly"
    f.dropout(x, 0.0, generator)
    assert generator.random() == np.random.default_rng(0).random(), "dropout(p=0) draws from the generator"


REFUSED = [
    ("layer_norm", "build the layer with features=3", lambda f: f.layer_norm(np.zeros((2, 3)), np.ones(4), np.ones(4))),
    (
        "layer_norm",
        "layer_norm: x ends in 3 features, but weight has shape (1,)",
        lambda f: f.layer_norm(np.zeros((2, 3)), np.ones(1), np.ones(3)),
    ),
    (
        "layer_norm",
        "layer_norm: x ends in 3 features, but bias has shape (1,)",
        lambda f: f.layer_norm(np.zeros((2, 3)), np.ones(3), np.ones(1)),
    ),
    *[
        (
            "batch_norm",
            f"batch_norm: x ends in 3 features, but {name} has shape (1,)",
            lambda f, i=i: f.batch_norm(np.zeros((2, 3)), *(np.ones(1 if i == k else 3) for k in range(4)), False),
        )
        for i, name in enumerate(("weight", "bias", "running_mean", "running_var"))
    ],
    ("rms_norm", "rms_norm: x ends in 3 features", lambda f: f.rms_norm(np.zeros((2, 3)), np.ones(4))),
    (
        "batch_norm",
        "batch_norm: x ends in 3",
        lambda f: f.batch_norm(np.zeros((2, 3)), np.ones(4), np.ones(4), np.ones(4), np.ones(4), True),
    ),
    (
        "batch_norm",
        "in training got 1 value for each feature",
        lambda f: f.batch_norm(np.zeros((1, 3)), np.ones(3), np.ones(3), np.ones(3), np.ones(3), True),
    ),
    ("linear", "pass x with I = 4", lambda f: f.linear(np.zeros((2, 3)), np.zeros((5, 4)), np.zeros(5))),
    (
        "embedding",
        "tokens run from 0 to 3 but the embedding has 3 rows: tokens are 0 ... 2",
        lambda f: f.embedding(np.arange(4), np.eye(3)),
    ),
    ("embedding", "tokens run from -1 to 2 but", lambda f: f.embedding(np.arange(-1, 3), np.eye(3))),
    ("dropout", "dropout probability is 1.0", lambda f: f.dropout(np.zeros(2), 1.0, np.random.default_rng(0))),
    ("dropout", "dropout probability is -0.1", lambda f: f.dropout(np.zeros(2), -0.1, None)),
    ("dropout", "dropout probability is nan", lambda f: f.dropout(np.zeros(2), math.nan, None)),
    ("mse_loss", "shape (2, 1) but targets (2,)", lambda f: f.mse_loss(np.zeros((2, 1)), np.zeros(2))),
    ("mse_loss", "mse_loss: no target to average", lambda f: f.mse_loss(np.zeros((0, 1)), np.zeros((0, 1)))),
    ("mse_loss", "mse_loss: predictions are int64", lambda f: f.mse_loss(np.array([1, 2]), np.array([0.5, 0.5]))),
    ("cross_entropy", "label_smoothing=1.0", lambda f: f.cross_entropy(np.zeros((1, 2)), np.array([0]), label_smoothing=1.0)),
    ("cross_entropy", "label_smoothing=-0.1", lambda f: f.cross_entropy(np.zeros((1, 2)), np.array([0]), label_smoothing=-0.1)),
    ("cross_entropy", "targets have dtype float64", lambda f: f.cross_entropy(np.zeros((1, 2)), np.array([0.0]))),
    ("cross_entropy", "targets have shape (2, 1)", lambda f: f.cross_entropy(np.zeros((2, 3)), np.zeros((2, 1), int))),
    ("cross_entropy", "no target to average ove", lambda f: f.cross_entropy(np.zeros((2, 3)), np.array([-100, -100]))),
    ("cross_entropy", "no target to average ove", lambda f: f.cross_entropy(np.zeros((0, 3)), np.zeros(0, int))),
    (
        "cross_entropy",
        "labels run from 1 to 3 but the logits have 3 classes: labels must lie in 0 ... 2",
        lambda f: f.cross_entropy(np.zeros((2, 3)), np.array([1, 3])),
    ),
    ("cross_entropy", "labels run from -1 to 0", lambda f: f.cross_entropy(np.zeros((2, 3)), np.array([-1, 0]))),
    ("cross_entropy", "label_smoothing=1.0", lambda f: f.cross_entropy(np.zeros((1, 2)), np.array([[0.5, 0.5]]), label_smoothing=1.0)),
    ("cross_entropy", "label_smoothing=-0.1", lambda f: f.cross_entropy(np.zeros((1, 2)), np.array([[0.5, 0.5]]), label_smoothing=-0.1)),
    (
        "cross_entropy",
        "do not fit 3 classes: pass floats of shape (2, 3)",
        lambda f: f.cross_entropy(np.zeros((2, 3)), np.full((2, 2), 0.5)),
    ),
    ("cross_entropy", "2 of 2 soft targets are no probabilities", lambda f: f.cross_entropy(np.zeros((2, 3)), np.full((2, 3), 0.5))),
    ("cross_entropy", "1 of 2 soft targets", lambda f: f.cross_entropy(np.zeros((2, 2)), np.array([[0.5, 0.5], [1.5, -0.5]]))),
    ("cross_entropy", "1 of 2 soft targets", lambda f: f.cross_entropy(np.zeros((2, 2)), np.array([[0.5, 0.5], [np.nan, 0.5]]))),
    ("cross_entropy", "no target to average ove", lambda f: f.cross_entropy(np.zeros((0, 3)), np.zeros((0, 3)))),
    ("binary_cross_entropy", "shape (2, 1) but targets (2,)", lambda f: f.binary_cross_entropy(np.zeros((2, 1)), np.zeros(2))),
    ("binary_cross_entropy", "binary_cross_entropy: no target", lambda f: f.binary_cross_entropy(np.zeros(0), np.zeros(0))),
    ("binary_cross_entropy", "predictions are bool", lambda f: f.binary_cross_entropy(np.zeros(2, bool), np.zeros(2))),
    ("binary_cross_entropy", "run from 0.0 to 2.0", lambda f: f.binary_cross_entropy(np.zeros(2), np.array([0.0, 2.0]))),
    ("binary_cross_entropy", "run from -1.0 to 0.0", lambda f: f.binary_cross_entropy(np.zeros(2), np.array([0.0, -1.0]))),
]
