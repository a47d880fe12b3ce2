"""The equations of the chapter on vectors and gradients, line by line."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from dlcourse import check, differences
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.interactive import differences as figure
from dlcourse.numpy import MLP, autograd
from dlcourse.numpy import functional as f
from dlcourse.operations import watch
from tests.equations import assert_lines_agree, assert_same, numerical_gradient, numerical_jacobian

BROADCASTS = [((3,), (4, 3)), ((4, 1), (4, 3)), ((1, 3), (2, 4, 3)), ((3, 1), (2, 3, 4)), ((), (2, 3)), ((2, 3), (2, 3))]
SIZES = [(784, 128, 64, 1), (6, 5, 4, 1), (2, 50, 40, 300), (5, 5, 5), (3, 4), (10, 200, 10, 10)]


def place(i, a, n):
    """j(i) as printed, for shapes a and n of equally many axes."""
    return tuple(i_k if a_k == n_k else 0 for i_k, a_k, n_k in zip(i, a, n, strict=True))


@pytest.mark.equation("eq-broadcast", formula_only=True)
@pytest.mark.parametrize(("a", "n"), BROADCASTS)
def test_broadcast(rng, a, n):
    array, full = rng.normal(size=a), (1,) * (len(n) - len(a)) + a
    printed = np.array([array.reshape(full)[place(i, full, n)] for i in np.ndindex(n)]).reshape(n)
    assert_same("np.broadcast_to", np.broadcast_to(array, n), printed, rtol=0)
    assert_same("in a sum", array + np.zeros(n), printed, rtol=0)


@pytest.mark.equation("eq-broadcast", formula_only=True)
def test_length_of_an_axis():
    for a, b in itertools.product((0, 1, 2, 5), repeat=2):
        if a == b or 1 in (a, b):
            assert_same("the one that is not 1", np.broadcast_shapes((a,), (b,)), np.array([b if a == 1 else a]), rtol=0)


@pytest.mark.equation("eq-broadcast-vjp")
@pytest.mark.parametrize(("a", "n"), BROADCASTS)
def test_gradient_of_a_broadcast(rng, a, n):
    dy, full = rng.normal(size=n), (1,) * (len(n) - len(a)) + a
    printed = np.zeros(full)
    for j in np.ndindex(full):
        printed[j] = sum(dy[i] for i in np.ndindex(n) if place(i, full, n) == j)
    lines = [
        numerical_gradient(lambda x: (dy * np.broadcast_to(x, n)).sum(), rng.normal(size=a)),
        printed.reshape(a),
    ]
    assert_lines_agree(lines, rtol=1e-8)
    assert_same("implementation", autograd.unbroadcast(dy, a), lines[-1], rtol=1e-14)
    assert_same("exercise", check.sum_to_shape.reference(dy, a), lines[-1], rtol=1e-14)


# ---------------------------------------------------------------- the best linear map


def curved(W):
    """tanh(W x) + x_0 x, its Jacobian, and a bound on how much any output bends along a direction of length one."""

    def jacobian(x):
        y = np.tanh(W @ x)
        e = np.eye(len(x))[0]
        return (1 - y * y)[:, None] * W + x[0] * np.eye(len(W), len(x)) + np.outer(x[: len(W)], e)

    bend = 0.77 * np.linalg.norm(W, axis=1).max() ** 2 + 2  # |tanh''| < 0.77; x_0 x_k bends by 2 at most
    return lambda x: np.tanh(W @ x) + x[0] * x[: len(W)], jacobian, bend


@pytest.mark.equation("eq-derivative", "eq-jacobian", formula_only=True)
def test_jacobian_is_the_linear_map(rng):
    g, jacobian, _ = curved(rng.normal(size=(3, 4)))
    x, v = rng.normal(size=4), rng.normal(size=4)
    J = jacobian(x)
    quotients = np.stack([(g(x + 1e-6 * e) - g(x - 1e-6 * e)) / 2e-6 for e in np.eye(4)], axis=1)
    assert_lines_agree([quotients, numerical_jacobian(g, x), J], rtol=1e-8)
    rest = [np.linalg.norm(g(x + t * v) - g(x) - J @ (t * v)) / np.linalg.norm(t * v) for t in (1e-2, 1e-3, 1e-4)]
    assert rest[1] < 0.2 * rest[0] and rest[2] < 0.2 * rest[1]  # |r| / |v| goes to zero
    other = J + 0.1 * rng.normal(size=J.shape)  # and for another matrix it does not
    rest = [np.linalg.norm(g(x + t * v) - g(x) - other @ (t * v)) / t for t in (1e-4, 1e-6)]
    assert_same("the limit for another matrix", rest[1], np.linalg.norm((J - other) @ v), rtol=1e-4)


@pytest.mark.equation("eq-jacobian", formula_only=True)
def test_walk_one_coordinate_at_a_time(rng):
    g, jacobian, _ = curved(rng.normal(size=(3, 4)))
    x, v = rng.normal(size=4), 0.1 * rng.normal(size=4)
    stations = [x + np.concatenate([v[:i], np.zeros(4 - i)]) for i in range(5)]
    steps = [g(b) - g(a) for a, b in itertools.pairwise(stations)]
    assert_lines_agree([g(x + v) - g(x), sum(steps)], rtol=1e-12)
    for k, i in np.ndindex(3, 4):  # the mean value theorem: some point of the stretch has that slope
        slopes = [jacobian(stations[i] + s * v[i] * np.eye(4)[i])[k, i] for s in np.linspace(0, 1, 2001)]
        assert min(slopes) - 1e-9 <= steps[i][k] / v[i] <= max(slopes) + 1e-9


@pytest.mark.equation("eq-remainder", formula_only=True)
def test_remainder(rng):
    W = rng.normal(size=(3, 4))
    g, jacobian, bend = curved(W)
    x = rng.normal(size=4)
    for _ in range(50):
        v = rng.normal(size=4) * 10.0 ** rng.uniform(-3, 0)
        assert (np.abs(g(x + v) - g(x) - jacobian(x) @ v) <= bend / 2 * (v @ v) + 1e-14).all()
    v = rng.normal(size=4)
    rests = [np.linalg.norm(g(x + t * v) - g(x) - jacobian(x) @ (t * v)) for t in (1e-3, 1e-4)]
    assert 98 < rests[0] / rests[1] < 102, "a tenth of the step, a hundredth of the error"
    J, other = jacobian(x) @ v, 1.01 * jacobian(x) @ v  # J' v is not J v: the difference is left, times t
    rests = [np.linalg.norm(g(x + t * v) - g(x) - t * other) for t in (1e-6, 1e-7)]
    assert 9.9 < rests[0] / rests[1] < 10.1
    assert_same("t |(J - J') v|", rests[1], 1e-7 * np.linalg.norm(J - other), rtol=1e-3)
    parabola = [abs((1.5 + 0.3) ** 2 - 1.5**2 - 3 * 0.3), 2 / 2 * 0.3**2]  # M = 2: the bound is reached
    assert_lines_agree(parabola, rtol=1e-13)


@pytest.mark.equation("eq-chain-rule", formula_only=True)
def test_chain_rule(rng):
    x, matrices = rng.normal(size=5), [rng.normal(size=shape) / 2 for shape in ((4, 5), (6, 4), (3, 6))]
    functions = [lambda x, W=W: np.tanh(W @ x) for W in matrices]
    whole, product = x, np.eye(5)
    for function, W in zip(functions, matrices, strict=True):
        whole = function(whole)
        product = (1 - whole * whole)[:, None] * W @ product  # J_l at the place where function l is evaluated
    composed = numerical_jacobian(lambda x: functions[2](functions[1](functions[0](x))), x)
    assert_lines_agree([composed, product], rtol=1e-8)
    # The rest as printed: g(f(x + v)) = g(y) + J_g J_f v + (J_g r_f(v) + r_g(w)), w = J_f v + r_f(v)
    (g1, j1, _), (g2, j2, _) = curved(rng.normal(size=(4, 5))), curved(rng.normal(size=(3, 4)))
    v, y = 0.1 * rng.normal(size=5), g1(x)
    r_f = g1(x + v) - y - j1(x) @ v
    w = j1(x) @ v + r_f
    r_g = g2(y + w) - g2(y) - j2(y) @ w
    lines = [g2(g1(x + v)), g2(y + w), g2(y) + j2(y) @ w + r_g, g2(y) + j2(y) @ j1(x) @ v + (j2(y) @ r_f + r_g)]
    assert_lines_agree(lines, rtol=1e-13)


@pytest.mark.equation("eq-chain-rule", formula_only=True)
def test_example_by_hand():
    x1, x2 = 2.0, 1.0
    y1, y2, y3 = x1 * x2, x1 + x2, x2**2
    J_y, J_z = np.array([[x2, x1], [1, 1], [0, 2 * x2]]), np.array([[y2, y1, 1]])
    assert [y1, y2, y3, y1 * y2 + y3] == [2, 3, 1, 7]
    lines = [J_z @ J_y, [[5, 10]], [[2 * x1 * x2 + x2**2, x1**2 + 2 * x1 * x2 + 2 * x2]]]
    assert_lines_agree(lines, rtol=1e-15)
    assert_same("forwards", J_z @ (J_y @ [1, 0]), [5], rtol=0)
    assert_same("J_y v", J_y @ [1, 0], [1, 1, 0], rtol=0)


# ---------------------------------------------------------------- two products


@pytest.mark.equation("eq-jvp", "eq-vjp", "eq-adjoint", formula_only=True)
def test_products_with_a_jacobian(rng):
    g, jacobian, _ = curved(rng.normal(size=(3, 4)))
    x, v, u = rng.normal(size=4), rng.normal(size=4), rng.normal(size=3)
    J = jacobian(x)
    assert_lines_agree([(g(x + 1e-6 * v) - g(x - 1e-6 * v)) / 2e-6, J @ v], rtol=1e-8)
    lines = [
        np.array([sum(u[k] * J[k, i] for k in range(3)) for i in range(4)]),
        numerical_gradient(lambda x: u @ g(x), x),
        J.T @ u,
    ]
    assert_lines_agree(lines, rtol=1e-8)
    double_sum = sum(u[k] * J[k, i] * v[i] for k, i in np.ndindex(3, 4))
    assert_lines_agree([u @ (J @ v), double_sum, (J.T @ u) @ v], rtol=1e-12)


@pytest.mark.equation("eq-vjp", "eq-adjoint", formula_only=True)
def test_backward_is_the_vector_jacobian_product(rng):
    z, u = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    _, backward = f.softmax(z)
    J = numerical_jacobian(lambda z: f.softmax(z)[0], z)
    assert_same("J^T u", backward(u), np.einsum("abij,ab->ij", J, u), rtol=1e-8)


@pytest.mark.equation("eq-matmul-vjp")
def test_gradient_of_a_product(rng):
    A, B, dY = rng.normal(size=(3, 4)), rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    P, Q = rng.normal(size=A.shape), rng.normal(size=B.shape)
    assert_same("moved", (A + P) @ (B + Q), A @ B + P @ B + A @ Q + P @ Q, rtol=1e-12)
    sums = sum(dY[i, j] * P[i, k] * B[k, j] + dY[i, j] * A[i, k] * Q[k, j] for i, k, j in np.ndindex(3, 4, 2))
    lines = [(dY * (P @ B + A @ Q)).sum(), sums, ((dY @ B.T) * P).sum() + ((A.T @ dY) * Q).sum()]
    assert_lines_agree(lines, rtol=1e-11)
    assert_same("dA", dY @ B.T, numerical_gradient(lambda A: (dY * (A @ B)).sum(), A), rtol=1e-8)
    assert_same("dB", A.T @ dY, numerical_gradient(lambda B: (dY * (A @ B)).sum(), B), rtol=1e-8)
    _, backward = autograd.matmul(A, B)
    assert_same("implementation: dA", backward(dY)[0], dY @ B.T, rtol=1e-14)
    assert_same("implementation: dB", backward(dY)[1], A.T @ dY, rtol=1e-14)
    _, backward = f.linear(A, B.T, None)  # W = B^T
    assert_same("as in eq-linear-vjp: dX", backward(dY)[0], dY @ B.T, rtol=1e-13)
    assert_same("as in eq-linear-vjp: dW", backward(dY)[1], (A.T @ dY).T, rtol=1e-13)


# ---------------------------------------------------------------- what it costs


@pytest.mark.equation("eq-order-cost")
@pytest.mark.parametrize("sizes", SIZES)
def test_cost_of_both_orders(rng, sizes):
    pairs, counts = list(itertools.pairwise(sizes)), []
    for ends in (list, lambda shapes: list(reversed(shapes))):
        tally = {"matmul": 0}
        first, *others = ends([watch(rng.normal(size=(o, i)), tally) for i, o in pairs])
        product = first
        for J in others:
            product = J @ product if ends is list else product @ J
        assert product.shape == (sizes[-1], sizes[0])
        counts.append(tally["matmul"] / 2)  # half are additions
    K = len(sizes) - 1
    printed = [
        sizes[0] * sum(sizes[k - 1] * sizes[k] for k in range(2, K + 1)),
        sizes[-1] * sum(sizes[k - 1] * sizes[k] for k in range(1, K)),
    ]
    step_by_step = [
        sum(sizes[k] * sizes[k - 1] * sizes[0] for k in range(2, K + 1)),
        sum(sizes[-1] * sizes[k] * sizes[k - 1] for k in range(1, K)),
    ]
    assert_lines_agree([counts, step_by_step, printed], rtol=0)
    assert_same("implementation", check.chain_cost.reference(sizes), printed, rtol=0)


@pytest.mark.equation("eq-order-cost")
def test_cost_in_the_picture():
    assert_same("6, 5, 4, 1", check.chain_cost.reference((6, 5, 4, 1)), [4 * 5 * 6 + 1 * 4 * 6, 1 * 4 * 5 + 1 * 5 * 6], rtol=0)
    assert check.chain_cost.reference((6, 5, 4, 1)) == (144, 50)
    # As many outputs as inputs: the layers between decide.
    assert check.chain_cost.reference((10, 1000, 10, 10)) == (101_000, 200_000)
    assert check.chain_cost.reference((10, 10, 1000, 10)) == (200_000, 101_000)


@pytest.mark.equation("eq-order-cost")
@pytest.mark.parametrize("K", [2, 3, 5, 10])
def test_gain_in_a_wide_chain(K):
    """K - 1 layers of n units in front of one output: ((K - 2) n + 1) / (K - 1), which grows with n, and with K."""
    ratios = []
    for n in (10, 1000):
        forward, reverse = check.chain_cost.reference((n,) * K + (1,))
        assert_same("forward / reverse", [forward / reverse], [((K - 2) * n + 1) / (K - 1)], rtol=1e-15)
        ratios.append(forward / reverse)
    assert K == 2 or ratios[1] > ratios[0]


@pytest.mark.equation("eq-gradient-cost", formula_only=True)
@pytest.mark.parametrize("sizes", [(784, 128, 64, 10), (5, 7, 3), (4, 2)])
@pytest.mark.parametrize("examples", [1, 6])
def test_cost_of_a_gradient(rng, sizes, examples):
    config = MLPConfig(sizes[0], sizes[1:-1], sizes[-1])
    model, tally = MLP(config), {}
    model.load_state(initial_state(config, 0, np.float64))
    logits, backward = model(watch(rng.normal(size=(examples, sizes[0])), tally))
    F = 2 * sum(i * o for i, o in itertools.pairwise(sizes))
    assert_same("N F", tally["matmul"], examples * F, rtol=0)
    backward(watch(rng.normal(size=logits.shape), tally))
    assert_same("3 N F + 2 N sum s", tally["matmul"], 3 * examples * F + 2 * examples * sum(sizes[1:]), rtol=0)
    model.need_dx, counted = False, tally.pop("matmul")
    logits, backward = model(watch(rng.normal(size=(examples, sizes[0])), tally))
    backward(watch(rng.normal(size=logits.shape), tally))
    assert_same("without dX of the first layer", counted - tally["matmul"], 2 * examples * sizes[0] * sizes[1], rtol=0)


@pytest.mark.equation("eq-gradient-cost", formula_only=True)
def test_at_most_five_times(rng):
    """Random programs of + and *, line by line: the way back does 2 operations for a sum, 4 for a product, and gives the gradient."""

    def run(values, program):
        values = list(values)
        for kind, i, j in program:
            values.append(values[i] + values[j] if kind == "+" else values[i] * values[j])
        return values

    for _ in range(20):
        program = [(str(rng.choice(["+", "*"])), *(int(k) for k in rng.integers(0, 4 + n, 2))) for n in range(12)]
        x = rng.uniform(0.5, 1.2, size=4) / 2
        values, operations = run(x, program), len(program)
        slopes = [0.0] * (len(values) - 1) + [1.0]
        for n, (kind, i, j) in reversed(list(enumerate(program, 4))):
            slopes[i] += slopes[n] * (1 if kind == "+" else values[j])
            slopes[j] += slopes[n] * (1 if kind == "+" else values[i])
            operations += 2 if kind == "+" else 4
        assert operations <= 5 * len(program)
        right = differences.complex_step(lambda z, program=program: run(z, program)[-1], x)
        assert_same("gradient", np.array(slopes[:4]) + 1.0, right + 1.0, rtol=1e-12)  # + 1: some are zero


# ---------------------------------------------------------------- difference quotients

F1 = {  # f, f', f'', f''', an interval on which they are bounded by their values at one end
    "exp": (np.exp, np.exp, np.exp, np.exp),
    "sin": (np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)),
}


@pytest.mark.equation("eq-forward-difference")
@pytest.mark.parametrize("name", F1)
def test_error_of_the_forward_difference(name):
    function, slope, second, _ = F1[name]
    for x in (0.3, 0.8):
        for h in (0.1, 0.01):
            rest = ((function(x + h) - function(x)) / h - slope(x)) / (h / 2)
            between = sorted(float(second(t)) for t in (x, x + h))
            assert between[0] <= rest <= between[1]  # f'' is monotonic there: some xi has this value
    lines = [((2 + 0.5) ** 2 - 2**2) / 0.5, 2 * 2 + 0.5 / 2 * 2]  # a parabola: f'' is the same everywhere
    assert_lines_agree(lines, rtol=1e-15)
    g = differences.forward_difference(lambda x: (x * x).sum(), np.array([[2.0, -1.0]]), 0.5)
    assert_same("implementation", g, [[4.5, -1.5]], rtol=1e-15)


@pytest.mark.equation("eq-central-difference")
@pytest.mark.parametrize("name", F1)
def test_truncation_of_the_central_difference(name):
    function, slope, second, third = F1[name]
    for sign in (1, -1):  # Taylor's formula: some xi on that side has the third derivative that is left
        x, h = 0.3, 0.1
        rest = (function(x + sign * h) - (function(x) + sign * h * slope(x) + h * h / 2 * second(x))) / (sign * h**3 / 6)
        low, high = sorted(float(third(t)) for t in (x, x + sign * h))
        assert low <= rest <= high
    for x, h in itertools.product((0.3, 0.8), (0.1, 0.02)):
        rest = ((function(x + h) - function(x - h)) / (2 * h) - slope(x)) / (h * h / 12)
        ends = [float(third(t)) for t in (x - h, x, x + h)]
        low, high = (pick(ends[0], ends[1]) + pick(ends[1], ends[2]) for pick in (min, max))
        assert low - 1e-6 <= rest <= high + 1e-6  # f'''(xi_-) + f'''(xi_+)
    g = differences.central_difference(lambda x: (x * x * x).sum(), np.array([2.0, -1.0]), 0.5)
    assert_same("implementation", g, [12.25, 3.25], rtol=1e-15)


def exact_derivatives(x):
    """x / (1 + x^2) and three derivatives."""
    s = 1 + x * x
    return x / s, (1 - x * x) / s**2, 2 * x * (x * x - 3) / s**3, -6 * (x**4 - 6 * x**2 + 1) / s**4


def test_derivatives_of_the_example():
    for x in (0.4, 2.5):
        for k in range(3):
            slope = differences.complex_step(lambda z, k=k: exact_derivatives(z)[k], np.array(x))
            np.testing.assert_allclose(slope, exact_derivatives(x)[k + 1], rtol=1e-13)


@pytest.mark.equation("eq-difference-error", formula_only=True)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["forward", "central"])
def test_error_stays_below_the_bound(dtype, method):
    """Every error of the figure's functions, measured with exact fractions, is below the two printed terms."""
    largest = 0.0
    for name, function in figure.FUNCTIONS.items():
        value, slope, second, third = (abs(float(a)) for a in function.exact)
        # a product, a sum and a quotient round up to three times, a root once
        noise = 3 * float(np.finfo(dtype).eps) / 2 * value
        for h in figure.STEPS:
            if h > 0.01 or h < 4 * float(np.spacing(dtype(function.x))):
                continue  # beyond, the derivatives are other ones; below, the step really made is much smaller than h
            error = figure.relative_error(function, dtype, method, h)
            bound = second / 2 * h * 1.2 + 2 * noise / h if method == "forward" else third / 6 * h * h * 1.2 + noise / h
            bound *= 1.3  # the step really made
            assert error * slope <= bound, (name, h)
            largest = max(largest, error * slope / bound)
    assert largest > 0.3  # and the bound is not idle
    assert_same("no error above the bound", [max(largest, 1.0)], [1.0], rtol=0)


@pytest.mark.equation("eq-forward-best-step")
def test_best_forward_step(rng):
    for _ in range(5):
        value, second = rng.uniform(0.1, 10, size=2)
        for dtype in (np.float32, np.float64):
            noise = float(np.finfo(dtype).eps) / 2 * value
            h = math.sqrt(4 * noise / second)
            assert_lines_agree([second / 2, 2 * noise / h**2], rtol=1e-12)  # the derivative is zero
            assert_lines_agree([second / 2 * h, math.sqrt(noise * second), 2 * noise / h], rtol=1e-12)  # both terms are equal
            printed = [2 * math.sqrt(noise / second), 2 * math.sqrt(noise * second)]
            assert_same("the sum there", second / 2 * h + 2 * noise / h, printed[1], rtol=1e-12)
            assert_same("implementation", differences.best_step(1, -value, second, dtype), printed, rtol=1e-14)
            for other in (0.9 * h, 1.1 * h):
                assert second / 2 * other + 2 * noise / other > printed[1]


@pytest.mark.equation("eq-central-best-step")
def test_best_central_step(rng):
    for _ in range(5):
        value, third = rng.uniform(0.1, 10, size=2)
        for dtype in (np.float32, np.float64):
            noise = float(np.finfo(dtype).eps) / 2 * value
            h = (3 * noise / third) ** (1 / 3)
            assert_lines_agree([third * h / 3, noise / h**2], rtol=1e-12)
            assert_lines_agree([noise / h, third * h * h / 3, 2 * (third * h * h / 6)], rtol=1e-12)
            lines = [
                third / 6 * h * h + noise / h,
                third / 2 * h * h,
                third / 2 * (3 * noise / third) ** (2 / 3),
                (9 * noise**2 * third) ** (1 / 3) / 2,
            ]
            assert_lines_agree(lines, rtol=1e-12)
            assert_same("implementation", differences.best_step(2, value, -third, dtype), [h, lines[-1]], rtol=1e-13)
            for other in (0.9 * h, 1.1 * h):
                assert third / 6 * other**2 + noise / other > lines[-1]


def test_digits_named_in_the_text():
    digits = {(o, d): -math.log10(differences.best_step(o, 1, 1, d)[1]) for o in (1, 2) for d in (np.float32, np.float64)}
    assert 7 < digits[1, np.float64] < 8.5 and 10 < digits[2, np.float64] < 11.5
    assert 3 < digits[1, np.float32] < 4 and 4 < digits[2, np.float32] < 5.5


@pytest.mark.equation("eq-complex-step")
def test_complex_step(rng):
    x = rng.uniform(0.2, 1, size=6)
    printed = np.exp(x) - 0.3**2 / 6 * np.exp(x)  # and the next term, h^4 / 120
    step = differences.complex_step(lambda z: np.exp(z).sum(), x, 0.3)
    np.testing.assert_allclose(step, printed, rtol=1.1 * 0.3**4 / 120)
    assert_same("Im e^(x + ih) = e^x sin h", step, np.exp(x) * np.sin(0.3) / 0.3, rtol=1e-14)
    z, h = Fraction(3, 2), Fraction(1, 7)  # a cubic in exact fractions: no further terms
    imaginary = 3 * z**2 * h - h**3
    assert imaginary / h == 3 * z**2 - h**2 / 6 * 6
    assert_same(
        "tiny step", differences.complex_step(lambda z: (z * z * np.sin(z)).sum(), x), 2 * x * np.sin(x) + x * x * np.cos(x), rtol=1e-14
    )


def test_the_step_really_made_is_exact():
    """Sterbenz: the difference of two numbers within a factor of two is computed without error."""
    for x, h in itertools.product((1.3, 0.7, 100.1), (1e-3, 1e-7, 1e-12)):
        up, down = x + h, x - h
        assert Fraction(up - down) == Fraction(up) - Fraction(down)


# ---------------------------------------------------------------- the checker


@pytest.mark.equation("eq-gradient-test")
def test_both_sides_of_the_gradient_test(rng):
    z, u, v = (rng.normal(size=(3, 4)) for _ in range(3))
    J = numerical_jacobian(lambda z: f.softmax(z)[0], z)
    lines = [
        differences.slope_along(lambda z: f.softmax(z)[0], z, u, v),
        (u * np.einsum("abij,ij->ab", J, v)).sum(),
        (f.softmax(z)[1](u) * v).sum(),
    ]
    assert_lines_agree(lines, rtol=1e-7)
    h = 0.2  # <u, (x + t v)^3>: phi''' = 6 <u, v^3> everywhere
    measured = differences.slope_along(lambda x: x * x * x, z, u, v, h)
    assert_same("up to h^2 phi''' / 6", measured - (3 * u * z * z * v).sum(), h * h / 6 * 6 * (u * v**3).sum(), rtol=1e-12)


@pytest.mark.equation("eq-missed-error", formula_only=True)
def test_chance_of_missing_an_error(rng):
    e = rng.normal(size=30) * 10.0 ** rng.uniform(-2, 2, size=30)
    products = rng.normal(size=(400_000, 30)) @ e
    assert 0.99 < products.var() / (e**2).sum() < 1.01
    for tau in (0.03, 0.3, 1.0):
        share = np.mean(np.abs(products) <= tau * np.linalg.norm(e))
        bound = tau * math.sqrt(2 / math.pi)
        assert 0.97 < share / math.erf(tau / math.sqrt(2)) < 1.03, "the integral of the density"
        assert share <= bound * 1.03
    assert_lines_agree([2 * 0.1 / math.sqrt(2 * math.pi), 0.1 * math.sqrt(2 / math.pi)], rtol=1e-15)
    E = np.outer(rng.normal(size=30), [1.0, -1.0, 0.0])  # linear in u, and a u of ones is sent to zero
    assert np.abs(E @ np.ones(3)).max() == 0 < np.abs(E @ rng.normal(size=3)).min()


def test_one_wrong_entry_among_many_stands_out(rng):
    """The error of one entry beside the root of the sum of the squared terms: about 1 / sqrt(n)."""
    for n in (100, 10_000):
        shares = []
        for _ in range(200):
            terms = rng.normal(size=n) * rng.normal(size=n)
            shares.append(abs(terms[0]) / np.linalg.norm(terms))
        assert 0.3 < np.mean(shares) * math.sqrt(n) < 1.5


def test_a_cotangent_of_ones_sees_nothing(rng):
    z, v = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    p, backward = f.softmax(z)
    assert abs(differences.slope_along(lambda z: f.softmax(z)[0], z, np.ones_like(z), v)) < 1e-9
    assert np.abs(backward(np.ones_like(z))).max() < 1e-15
    dp = rng.normal(size=z.shape)
    careless = p * (dp - dp.mean(axis=-1, keepdims=True))
    assert np.linalg.norm(careless - backward(dp)) > 0.1 * np.linalg.norm(careless)
