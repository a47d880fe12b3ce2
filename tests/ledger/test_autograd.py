"""The equations of the chapter on automatic differentiation, line by line, on random tapes."""

import itertools
import math
import tracemalloc
import weakref

import numpy as np
import pytest

from dlcourse import check
from dlcourse.numpy import autograd
from dlcourse.numpy import functional as f
from dlcourse.numpy.autograd import Tensor, apply, checkpoint, order, recording
from tests.equations import assert_lines_agree, assert_same, assert_vjp, numerical_gradient, numerical_jacobian

SIZE = 7  # results of a random tape, of which the first two are leaves


def random_tape(rng):
    """(parents, functions, slopes): v_k = sin of a random combination of two or three earlier results, so that slopes depend on the place."""
    parents = [()] * 2 + [tuple(sorted(rng.choice(k, size=min(k, 3), replace=False).tolist())) for k in range(2, SIZE)]
    weights = [rng.normal(size=len(p)) for p in parents]

    def compute(k, v):
        return math.sin(sum(w * v[j] for w, j in zip(weights[k], parents[k], strict=True)))

    def slope(k, j, v):
        if j not in parents[k]:
            return 0.0
        inner = sum(w * v[i] for w, i in zip(weights[k], parents[k], strict=True))
        return math.cos(inner) * weights[k][parents[k].index(j)]

    return parents, compute, slope


def later(compute, given):
    """L_k(v_1 ... v_k): the last result, when the first ones are given and the rest is computed."""
    v = list(given)
    while len(v) < SIZE:
        v.append(compute(len(v), v))
    return v


def on_tensors(parents, leaves):
    """The same structure with the package's tensors: a tanh, and products and sums of parents."""
    tensors = [Tensor(leaf) for leaf in leaves]
    for k in range(len(leaves), len(parents)):
        chosen = [tensors[j] for j in parents[k]]
        result = chosen[0].tanh()
        for other in chosen[1:]:
            result = result * other + other
        tensors.append(result)
    return tensors


@pytest.mark.equation("eq-tape")
def test_tape(rng):
    """Each result from its parents, in the order of the program: the values of a plain program, and every tensor behind its parents."""
    parents, _, _ = random_tape(rng)
    leaves = rng.normal(size=(2, 3))
    tensors = on_tensors(parents, leaves)
    plain = list(leaves)
    for k in range(2, SIZE):
        value = np.tanh(plain[parents[k][0]])
        for j in parents[k][1:]:
            value = value * plain[j] + plain[j]
        plain.append(value)
    assert_same("L", tensors[-1].data, plain[-1], rtol=1e-14)
    nodes = order(tensors[-1])
    place = {node: i for i, node in enumerate(nodes)}
    gaps = [place[node] - place[parent] for node in nodes for parent in node.parents]
    assert_same("parents stand before", np.array(gaps) > 0, np.ones(len(gaps)), rtol=0)


@pytest.mark.equation("eq-tape-step", "eq-tape-reverse")
def test_the_way_back(rng):
    parents, compute, slope = random_tape(rng)
    v = later(compute, rng.normal(size=2))
    number = [0.0] * (SIZE - 1) + [1.0]  # dL_K / dv_j = [j = K]
    slopes = np.array([[slope(k, j, v) for j in range(SIZE)] for k in range(SIZE)])
    gathered = np.zeros(SIZE)
    for k in range(SIZE - 1, -1, -1):
        # before v_k is taken out, the numbers are the derivatives of L_k: all later results computed, all earlier ones given
        if k:  # both leaves are given
            numeric = numerical_gradient(lambda given: later(compute, given.tolist())[-1], np.array(v[: k + 1]))
            assert_same(f"dL_{k}", number[: k + 1], numeric, rtol=1e-8)
        gathered[k] = number[k]
        for j in range(k):
            number[j] = number[j] + number[k] * slopes[k, j]
    printed = np.zeros(SIZE)
    printed[-1] = 1.0
    for j in range(SIZE - 2, -1, -1):
        printed[j] = sum(printed[k] * slopes[k, j] for k in range(SIZE) if j in parents[k])
    assert_lines_agree([gathered, printed, check.graph_gradient.reference(slopes)], rtol=1e-13)
    # and the package's tape, against differences
    leaves = rng.normal(size=(2, 3))
    tensors = on_tensors(parents, leaves)
    tensors[-1].sum().backward()
    for i in range(2):

        def loss(leaf, i=i):
            return on_tensors(parents, [leaf if n == i else leaves[n] for n in range(2)])[-1].data.sum()

        assert_same("the package's tape", tensors[i].grad, numerical_gradient(loss, leaves[i]), rtol=1e-7)


@pytest.mark.equation("eq-tape-paths", formula_only=True)
def test_sum_over_paths(rng):
    parents, compute, slope = random_tape(rng)
    v = later(compute, rng.normal(size=2))
    slopes = np.array([[slope(k, j, v) for j in range(SIZE)] for k in range(SIZE)])
    for j in range(SIZE - 1):
        total = 0.0
        for length in range(SIZE):  # j = i_0 < i_1 < ... < i_m = K; what is no path has a slope of zero
            for between in itertools.combinations(range(j + 1, SIZE - 1), length):
                path = (j, *between, SIZE - 1)
                total += math.prod(slopes[k, i] if i in parents[k] else 0.0 for i, k in itertools.pairwise(path))
        assert_lines_agree([np.array(total), check.graph_gradient.reference(slopes)[j]], rtol=1e-12)
    # two arrows at every step, of slope one: the paths, counted one by one, and the gradient, which is their sum
    y = x = Tensor(1.0)
    for _ in range(6):
        y = y + y

    def paths(node):
        return sum(map(paths, node.parents)) if node.parents else 1

    results = len(order(y))
    assert_same("2^(K-1) paths from the first of K results to the last", paths(y), 2.0 ** (results - 1), rtol=0)
    y.backward()
    assert_same("their sum", x.grad, 2.0**6, rtol=0)


@pytest.mark.equation("eq-tape-elementary", "eq-tape-elementary-vjp")
def test_smallest_operations(rng):
    a, b, dy = (rng.uniform(0.5, 2, size=(3, 4)) for _ in range(3))
    printed = {
        "add": (a + b, (dy, dy)),
        "multiply": (a * b, (dy * b, dy * a)),
        "divide": (a / b, (dy / b, -dy * (a / b) / b)),
        "exp": (np.exp(a), (dy * np.exp(a),)),
        "log": (np.log(a), (dy / a,)),
    }
    for name, (y, gradients) in printed.items():
        operation, arguments = getattr(autograd, name), (a, b)[: len(gradients)]
        value, backward = operation(*arguments)
        assert_same(name, value, y, rtol=1e-15)
        for mine, gradient in zip(backward(dy) if len(gradients) > 1 else (backward(dy),), gradients, strict=True):
            assert_same(f"gradient of {name}", mine, gradient, rtol=1e-14)
        assert_vjp(name, operation, arguments, rng)
    # the quotient: -a / b^2 = -y / b
    assert_lines_agree([numerical_gradient(lambda b: (dy * a / b).sum(), b), dy * -a / b**2, dy * -(a / b) / b], rtol=1e-8)


class Dual:
    """The chapter's class, with products of numbers."""

    def __init__(self, value, rate):
        self.value, self.rate = value, rate

    def __add__(self, other):
        return Dual(self.value + other.value, self.rate + other.rate)

    def __mul__(self, other):
        return Dual(self.value * other.value, self.rate * other.value + self.value * other.rate)

    def __matmul__(self, other):
        return Dual(self.value @ other.value, self.rate @ other.value + self.value @ other.rate)

    def tanh(self):
        y = np.tanh(self.value)
        return Dual(y, (1 - y * y) * self.rate)


@pytest.mark.equation("eq-dual-number", formula_only=True)
def test_dual_numbers(rng):
    a, b, a_dot, b_dot = rng.normal(size=4)
    product = Dual(a, a_dot) * Dual(b, b_dot)
    assert_same("value", product.value, a * b, rtol=0)
    # as 2 x 2 matrices [[a, a'], [0, a]], where eps = [[0, 1], [0, 0]] and eps^2 = 0
    eps = np.array([[0.0, 1.0], [0.0, 0.0]])
    assert_same("eps^2", eps @ eps, np.zeros((2, 2)), rtol=0)
    as_matrix = (a * np.eye(2) + a_dot * eps) @ (b * np.eye(2) + b_dot * eps)
    assert_lines_agree([as_matrix, a * b * np.eye(2) + (a_dot * b + a * b_dot) * eps], rtol=1e-14)
    assert_same("rate of a product", product.rate, as_matrix[0, 1], rtol=1e-14)
    # a power series of such a matrix: f(a + a' eps) = f(a) + f'(a) a' eps
    term, series = np.eye(2), np.eye(2)
    for k in range(1, 30):
        term = term @ (a * np.eye(2) + a_dot * eps) / k
        series = series + term
    assert_same("exp", series, math.exp(a) * np.eye(2) + math.exp(a) * a_dot * eps, rtol=1e-12)
    moved = Dual(np.array(a), np.array(a_dot)).tanh()
    assert_same("tanh", moved.rate, (math.tanh(a + 1e-6 * a_dot) - math.tanh(a - 1e-6 * a_dot)) / 2e-6, rtol=1e-8)


@pytest.mark.equation("eq-forward-mode")
def test_forward_mode(rng):
    parents, compute, slope = random_tape(rng)
    start, direction = rng.normal(size=2), rng.normal(size=2)
    v, rate = later(compute, start), direction.tolist()
    for k in range(2, SIZE):
        rate.append(sum(slope(k, j, v) * rate[j] for j in parents[k]))
    ahead, behind = (later(compute, (start + h * direction).tolist()) for h in (1e-6, -1e-6))
    assert_lines_agree([(np.array(ahead) - behind) / 2e-6, np.array(rate)], rtol=1e-8)
    arguments = [rng.normal(size=shape) for shape in ((5, 3), (2, 3), (2,), (5, 3), (2, 3), (2,))]
    x, w, b, x_dot, w_dot, b_dot = arguments
    y, y_dot = check.linear_jvp.reference(*arguments)
    assert_same("a linear layer", y, f.linear(x, w, b)[0], rtol=1e-14)
    layer = Dual(x, x_dot) @ Dual(w.T, w_dot.T) + Dual(b, b_dot)
    numeric = [f.linear(x + h * x_dot, w + h * w_dot, b + h * b_dot)[0] for h in (1e-6, -1e-6)]
    assert_lines_agree([(numeric[0] - numeric[1]) / 2e-6, y_dot, layer.rate], rtol=1e-8)


@pytest.mark.equation("eq-hessian-vector")
def test_hessian_times_vector(rng):
    X, T, v = rng.normal(size=(6, 3)), rng.normal(size=(6, 1)), rng.normal(size=3)

    def gradient(w):
        leaf = Tensor(w.reshape(3, 1))
        error = (Tensor(X.astype(w.dtype)) @ leaf).tanh() - T
        (error * error).sum().backward()
        return leaf.grad.ravel()

    w = rng.normal(size=3)
    H = numerical_jacobian(gradient, w)
    assert_same("mixed derivatives do not depend on the order", H, H.T, rtol=1e-8)
    lines = [
        (gradient(w + 1e-5 * v) - gradient(w - 1e-5 * v)) / 2e-5,  # d/dr g(w + r v)
        np.array([sum(H[i, j] * v[j] for j in range(3)) for i in range(3)]),
        np.array([sum(H[j, i] * v[j] for j in range(3)) for i in range(3)]),
        numerical_gradient(lambda w: gradient(w) @ v, w),  # the gradient of <g, v>
        gradient(w + 1e-20j * v).imag / 1e-20,  # the complex step of the chapter
    ]
    assert_lines_agree(lines, rtol=1e-7)
    # the exercise: of the mean cross-entropy, whose gradient the package has
    logits, labels, v = rng.normal(size=(4, 3)), rng.integers(0, 3, size=4), rng.normal(size=(4, 3))
    moved = [f.cross_entropy(logits + h * v, labels)[1]() for h in (1e-5, -1e-5)]
    assert_lines_agree([(moved[0] - moved[1]) / 2e-5, check.logits_hessian_vector.reference(logits, v)], rtol=1e-8)


def chain(layers, weight, ran):
    def layer(h, weight):
        ran.append(1)
        z, linear_back = f.linear(h, weight, None)
        y, relu_back = f.relu(z)
        return y, lambda dy: linear_back(relu_back(dy))

    def run(h, count=layers):
        for _ in range(count):
            h = apply(layer, h, weight)
        return h

    return run


def measured(layers, schedule):
    """(outputs alive at most, layers run forward, gradient) of schedule(run, h)."""
    x, ran = np.random.default_rng(0).normal(size=(4000, 8)), []
    leaf, weight = Tensor(x), Tensor(np.random.default_rng(1).normal(0, 0.5, size=(8, 8)))
    run = chain(layers, weight, ran)
    tracemalloc.start()
    try:
        y = schedule(run, leaf)
        y.backward(np.ones_like(y.data))
        peak = tracemalloc.get_traced_memory()[1] / x.nbytes
    finally:
        tracemalloc.stop()
    return peak, len(ran), leaf.grad


def alive(schedule, held=True):
    """Outputs of layers that are alive at most, counted one by one; `held`: the caller keeps the result of the chain."""
    live = top = 0

    def gone():
        nonlocal live
        live -= 1

    def layer(h):
        nonlocal live, top
        y = h * 1.0
        live += 1
        top = max(top, live)
        weakref.finalize(y, gone)
        return y, lambda dy: dy * 1.0

    def run(h, count):
        for _ in range(count):
            h = apply(layer, h)
        return h

    h = schedule(run, Tensor(np.ones(3)))
    loss = (h * h).sum()
    kept = h if held else None  # noqa: F841
    del h
    loss.backward()
    return top


def in_segments(n, s):
    def schedule(run, h):
        for first in range(0, n, s):
            count = min(s, n - first)
            h = checkpoint(lambda h, count=count: run(h, count), h)
        return h

    return schedule


@pytest.mark.equation("eq-checkpoint-memory")
def test_outputs_alive_counted():
    """Exactly: with the result of the chain, which its caller holds, the formula; without it, one less where a shorter segment is left over."""
    for n, s in ((12, 4), (10, 4), (11, 4), (33, 32), (9, 3), (9, 1), (9, 9), (1, 1)):
        assert_same(f"{n} layers, segments of {s}", alive(in_segments(n, s)), math.ceil(n / s) + s, rtol=0)
        assert_same("as the exercise", alive(in_segments(n, s)), check.checkpoint_cost.reference(n, s)[0], rtol=0)
        assert_same("not held", alive(in_segments(n, s), held=False), n // s + s, rtol=0)
    assert_same("a plain tape", alive(lambda run, h: run(h, 12)), 12, rtol=0)


@pytest.mark.equation("eq-checkpoint-memory")
def test_memory_of_checkpoints():
    """The measured peak is the formula, and a few arrays that are in flight."""
    layers = 30
    peak, forwards, plain = measured(layers, lambda run, h: run(h))
    assert layers < peak < layers + 7
    assert forwards == layers
    for s in (1, 3, 4, 5, 10, 30):

        def schedule(run, h, s=s):
            for first in range(0, layers, s):
                count = min(s, layers - first)
                h = checkpoint(lambda h, count=count: run(h, count), h)
            return h

        formula = math.ceil(layers / s) + s
        peak, forwards, gradient = measured(layers, schedule)
        assert formula <= peak < formula + 7, (s, peak, formula)
        assert_same("kept and computed", [formula, forwards], check.checkpoint_cost.reference(layers, s), rtol=0)
        assert_same("gradient", gradient, plain, rtol=0)


@pytest.mark.equation("eq-checkpoint-sqrt", formula_only=True)
def test_best_segments(rng):
    for n in (9, 64, 256, 1000):
        s = rng.uniform(1, n, size=20)
        lines = [n / s + s - 2 * math.sqrt(n), (np.sqrt(n / s) - np.sqrt(s)) ** 2]
        assert_lines_agree(lines, rtol=1e-10)
        assert lines[0].min() >= -1e-12
        assert_same("equality", n / math.sqrt(n) + math.sqrt(n), 2 * math.sqrt(n), rtol=1e-14)
    whole = {s: math.ceil(256 / s) + s for s in range(1, 257)}
    assert_same("the best whole number", [min(whole, key=whole.get), min(whole.values())], [16, 32], rtol=0)


@pytest.mark.equation("eq-checkpoint-halves", formula_only=True)
def test_halves_of_halves():
    def halves(run, h, n):
        if n == 1:
            return run(h, 1)
        h = checkpoint(lambda h: halves(run, h, n // 2), h)
        return halves(run, h, n - n // 2)

    def counted(n):
        return 1 if n == 1 else n / 2 + 2 * counted(n / 2)

    _, _, plain = measured(32, lambda run, h: run(h))
    for n in (1, 2, 8, 32):
        peak, forwards, gradient = measured(n, lambda run, h, n=n: halves(run, h, n))
        assert_lines_agree([np.array(forwards), counted(n), n * (1 + math.log2(n) / 2)], rtol=1e-15)
        assert peak < 3 * math.log2(n) + 6  # for each halving an output, kept and computed again, and its gradient
        outputs = alive(lambda run, h, n=n: halves(run, h, n))
        assert_same("each halving's output, twice, and the result", outputs, 2 * math.log2(n) + 1, rtol=0)
    assert_same("gradient", gradient, plain, rtol=0)
    with recording(False):
        assert checkpoint(lambda h: h, Tensor(1.0)).parents == ()
