"""What `dlcourse.differences` and `dlcourse.operations` must do; `tests/test_mutants.py` asks the same of their mutants."""

import math

import numpy as np

from dlcourse.errors import need


def cubes(x):
    return (x * x * x).sum() + x.sum() * x.sum()


def slope(x):
    return 3 * x * x + 2 * x.sum()


def check_quotients(differences, raises):
    for shape in ((3,), (2, 3), (), (0,)):
        x = np.random.default_rng(0).uniform(0.5, 1.5, size=shape)
        before, h = x.copy(), 0.25
        forward = differences.forward_difference(cubes, x, h)
        central = differences.central_difference(cubes, x, h)
        step = differences.complex_step(cubes, x, h)
        # exact for a cubic: f' + h f'' / 2 + h^2 f''' / 6, f' + h^2 f''' / 6, f' - h^2 f''' / 6
        np.testing.assert_allclose(forward, slope(x) + h * (6 * x + 2) / 2 + h * h, rtol=1e-12)
        np.testing.assert_allclose(central, slope(x) + h * h, rtol=1e-12)
        np.testing.assert_allclose(step, slope(x) - h * h, rtol=1e-12)
        np.testing.assert_allclose(differences.complex_step(cubes, x), slope(x), rtol=1e-14)
        assert np.array_equal(x, before)
        for g in (forward, central, step):
            assert g.shape == shape and g.dtype == np.float64
    single = np.array([1.3, 0.7], np.float32)
    for g in (
        differences.forward_difference(cubes, single, 1e-3),
        differences.central_difference(cubes, single, 1e-2),
        differences.complex_step(cubes, single),
    ):
        assert g.dtype == np.float32
    seen = []
    differences.complex_step(lambda z: seen.append(z.dtype) or cubes(z), single)
    assert set(seen) == {np.dtype(np.complex64)}  # not twice the precision
    check_steps_made(differences, raises)
    for quotient in (differences.forward_difference, differences.central_difference, differences.complex_step):
        for dtype in (int, bool, complex):
            message = f"x is {np.dtype(dtype)}, in which no small step can be made: pass x.astype(float)"
            raises(ValueError, message, lambda quotient=quotient, dtype=dtype: quotient(cubes, np.ones(2, dtype), 1e-5))


def check_steps_made(differences, raises):
    """The divisor is the step that rounding leaves: x^1 has a slope of exactly one at every step; a lost step is refused."""
    x = np.array([1.3, -0.7])
    for h in (1e-15, 3e-16, 1e-9):
        for quotient in (differences.forward_difference, differences.central_difference):
            assert np.array_equal(quotient(lambda x: x[0], x[:1], h), [1.0])
    message = "the step 1e-17 is lost in rounding: x + h is x in float64, so take a larger one"
    for quotient in (differences.forward_difference, differences.central_difference):
        raises(ValueError, message, lambda quotient=quotient: quotient(cubes, x, 1e-17))


def check_best_step(differences, raises):
    eps = 2.0**-53
    h, error = differences.best_step(1, -3.0, 5.0)
    np.testing.assert_allclose([h, error], [2 * math.sqrt(eps * 3 / 5), 2 * math.sqrt(eps * 15)], rtol=1e-14)
    h, error = differences.best_step(2, 3.0, -5.0)
    np.testing.assert_allclose([h, error], [(9 * eps / 5) ** (1 / 3), (9 * (3 * eps) ** 2 * 5) ** (1 / 3) / 2], rtol=1e-14)
    np.testing.assert_allclose(differences.best_step(1, 1.0, 1.0, np.float32)[0], 2 * 2.0**-12, rtol=1e-14)
    for order in (0, 3):
        message = f"there is no difference of order {order} here: 1 is forward, 2 is central"
        raises(ValueError, message, lambda order=order: differences.best_step(order, 1.0, 1.0))
    for value, derivative in ((0.0, 1.0), (1.0, 0.0), (math.nan, 1.0)):
        raises(
            ValueError,
            "the best step needs a value and a derivative that are not zero",
            lambda value=value, derivative=derivative: differences.best_step(1, value, derivative),
        )


def check_slope(differences):
    rng = np.random.default_rng(1)
    x, v, W = rng.normal(size=(2, 3)), rng.normal(size=(2, 3)), rng.normal(size=(4, 3))
    u = rng.normal(size=(2, 4))
    found = differences.slope_along(lambda x: x @ W.T, x, u, v)
    assert type(found) is float
    np.testing.assert_allclose(found, (u * (v @ W.T)).sum(), rtol=1e-9)
    cubic = differences.slope_along(lambda x: x * x * x, x, v, v, 0.5)
    np.testing.assert_allclose(cubic, (v * (3 * x * x * v + 0.25 * v**3)).sum(), rtol=1e-12)
    ends = []
    differences.slope_along(lambda x: ends.append(float(x)) or x, np.array(0.0), 1.0, 1.0)
    assert sorted(ends) == [-1e-5, 1e-5]


def check_differences(differences, raises):
    check_quotients(differences, raises)
    check_best_step(differences, raises)
    check_slope(differences)


def check_watch(operations, raises):
    """Counts by hand, results as without counting."""
    rng, tally = np.random.default_rng(0), {}
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 5))
    x = operations.watch(a, tally)
    assert np.shares_memory(x, a) and tally == {}
    y = x @ b
    assert np.array_equal(y, a @ b) and tally == {"matmul": 2 * 3 * 4 * 5}
    np.maximum(y, 0)
    assert tally.pop("maximum") == 15
    y.sum(axis=0)
    assert tally.pop("add") == 15  # what a sum takes
    plain = np.zeros((3, 5))
    plain += y
    assert type(plain) is np.ndarray and np.array_equal(plain, a @ b) and tally.pop("add") == 15
    out = operations.watch(np.empty((3, 5)), tally)
    assert np.exp(y, out=out) is out and tally.pop("exp") == 15
    np.multiply(2.0, y, out=y, where=operations.watch(np.ones((3, 5), bool), tally))
    assert np.array_equal(y, 2 * (a @ b)) and tally.pop("multiply") == 15
    (b.T @ operations.watch(a.T, tally)[:, :2] + 1.0)[0]  # a view of a watched array is watched
    assert tally == {"matmul": 120 + 2 * 5 * 4 * 2, "add": 10}
    pair = np.divmod(x, 2.0)
    assert isinstance(pair, tuple) and tally.pop("divmod") == 24  # two results
    ends = np.empty((3, 4)), np.empty((3, 4))
    assert np.divmod(x, 2.0, out=ends)[1] is ends[1] and np.array_equal(ends[1], a % 2.0)
    tally.clear()
    stacked = operations.watch(np.ones((2, 3, 4)), tally) @ np.ones((2, 4, 5))
    assert stacked.shape == (2, 3, 5) and tally.pop("matmul") == 2 * 4 * 30
    assert isinstance(np.shape(x), tuple) and tally == {}
    np.add.reduceat(x[0], [0, 2])
    assert tally.pop("add") == 4
    total = x.sum()
    assert np.isscalar(total) and tally == {"add": 12}
    np.linalg.inv(x[:, :3])
    np.linalg.inv(x[:, 1:])
    assert tally["linalg.inv"] == 2
    np.sqrt(np.concatenate([x, a]) ** 2)
    assert tally["sqrt"] == 24
    for name in ("einsum", "dot", "tensordot"):
        arguments = ("ij,jk", x, b) if name == "einsum" else (x, b, 1) if name == "tensordot" else (x, b)
        message = f"np.{name} cannot be counted: write the product with @"
        raises(ValueError, message, lambda name=name, arguments=arguments: getattr(np, name)(*arguments))


def check_mlx_products(operations, raises):
    """Counts by hand in MLX's graph, of which nothing is computed; the model stays as it was."""
    mx, nn = need("mlx.core", extra="mlx"), need("mlx.nn", extra="mlx")
    count, layer = operations.mlx_products, nn.Linear(5, 3)
    before = layer.weight
    assert count(layer, layer, mx.ones((4, 5))) == {"AddMM": 2 * 4 * 5 * 3}
    assert count(layer, nn.value_and_grad(layer, lambda x: layer(x).sum()), mx.ones((4, 5))) == {"AddMM": 120, "Matmul": 120}
    stacked, matrix = mx.ones((2, 4, 5)), mx.ones((2, 5, 7))
    assert count(layer, lambda x: x @ matrix, stacked) == {"Matmul": 2 * 5 * (2 * 4 * 7)}
    twice = [lambda: (stacked @ matrix) + (stacked @ matrix), lambda: (stacked @ matrix, {"once more": stacked @ (2 * matrix)})]
    assert [count(layer, each) for each in twice] == [{"Matmul": 560}, {"Matmul": 1120}]
    check_mlx_convolutions(count, mx, nn)

    def fails():
        return mx.fft.fft(layer.weight), mx.linalg.inv(layer.weight @ layer.weight.T, stream=mx.cpu)

    raises(ValueError, "mlx_products does not know FFT, Inverse: add what makes no products to", lambda: count(layer, fails))
    raises(ValueError, "eval", lambda: count(layer, lambda: layer(mx.ones((4, 5))) * layer.weight.sum().item()))
    assert layer.weight is before and layer(mx.ones((4, 5))).shape == (4, 3)


def check_mlx_convolutions(count, mx, nn):
    """Forward at each place of the output; back the gradient of the weights, and that of the input at each place of its input."""
    for groups in (1, 2):
        weight = 6 * 3 * 3 * 4 // groups
        layer = nn.Conv2d(4, 6, 3, stride=2, padding=2, groups=groups)
        x, places = mx.ones((2, 9, 8, 4)), 2 * 6 * 5
        assert count(layer, layer, x) == {"Convolution": 2 * places * weight}
        back = count(layer, mx.grad(lambda x, layer=layer: layer(x).sum()), x)
        assert back == {"Convolution": 2 * places * weight}  # of the input alone: the output is not asked for
    norm = nn.BatchNorm(3)
    mean = norm.running_mean
    assert count(norm, norm, mx.ones((2, 3))) == {} and norm.running_mean is mean
