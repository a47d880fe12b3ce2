"""The equations of the chapter on frameworks and devices, line by line: formats of numbers, long sums, loss scaling, layouts."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from dlcourse import check, state
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import MLP
from dlcourse.numpy import functional as f
from tests.equations import assert_lines_agree, assert_same, numerical_gradient

FORMATS = {"float16": (5, 10), "bfloat16": (8, 7), "float32": (8, 23), "float64": (11, 52)}  # q, p of the chapter's table
each_format = pytest.mark.parametrize("name", FORMATS)


def ends(q):
    """e_min, e_max of q bits of exponent, as printed."""
    e_max = 2 ** (q - 1) - 1
    return 1 - e_max, e_max


def rounded(x, q, p):
    """fl(x) in exact arithmetic: multiples of the gap, ties to even, infinite above the range. Knows nothing of bits."""
    e_min, e_max = ends(q)
    if x == 0:
        return 0.0
    exact = Fraction(float(x))
    e = max(math.frexp(float(abs(x)))[1] - 1, e_min)
    gap = Fraction(2) ** (e - p)
    result = round(exact / gap) * gap  # Python rounds ties of fractions to even
    return float(result) if abs(result) < Fraction(2) ** (e_max + 1) else math.copysign(math.inf, x)


def cast(name, x):
    """The framework's own rounding, as float64."""
    import torch

    if name == "bfloat16":
        return torch.tensor(x, dtype=torch.float64).to(torch.bfloat16).double().numpy()
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(name).astype(np.float64)


def info(name):
    import torch

    return torch.finfo(getattr(torch, name))


def samples(rng, name, count=200):
    """Numbers between the normal numbers of the format, held exactly by float32 where PyTorch goes through it."""
    low, high = ends(FORMATS[name][0])
    x = rng.uniform(1, 2, size=count) * 2.0 ** rng.integers(max(low, -100), min(high, 100), size=count)
    return x.astype(np.float32).astype(float) * rng.choice([-1, 1], size=count) if name != "float64" else x


@pytest.mark.equation("eq-float", formula_only=True)
@each_format
def test_float(name, rng):
    q, p = FORMATS[name]
    e_min, e_max = ends(q)
    x = cast(name, samples(rng, name))
    for number in x:
        e = math.frexp(abs(number))[1] - 1
        k = (Fraction(abs(number)) / Fraction(2) ** e - 1) * 2**p
        assert k.denominator == 1 and 0 <= k < 2**p and e_min <= e <= e_max
        assert_same("2^e (1 + k / 2^p)", float(Fraction(2) ** e * (1 + k / 2**p)), abs(number), rtol=0)
    if name != "bfloat16":
        gaps = np.spacing(abs(x).astype(name)).astype(float)
        assert_same("the gap 2^(e - p)", gaps, 2.0 ** (np.floor(np.log2(abs(x))) - p), rtol=0)


@pytest.mark.equation("eq-epsilon", formula_only=True)
@each_format
def test_epsilon(name):
    _, p = FORMATS[name]
    u = 2.0 ** (-p - 1)
    assert_lines_agree([info(name).eps, 2.0**-p, 2 * u], rtol=0)
    if name != "float64":  # 1 + u is a tie that float64 can hold
        assert cast(name, [1 + u])[0] == 1 and cast(name, [1 + u * 1.01])[0] == 1 + 2 * u


@pytest.mark.equation("eq-float-rounding", formula_only=True)
@each_format
def test_rounding(name, rng):
    q, p = FORMATS[name]
    u = 2.0 ** (-p - 1)
    x = samples(rng, name)
    near = cast(name, x)
    assert_same("fl(x) is the nearest number", near, [rounded(number, q, p) for number in x], rtol=0)
    error, e = abs(near - x), np.floor(np.log2(abs(x)))
    assert np.all(error <= 2.0 ** (e - p) / 2)
    assert_same("half a gap", 2.0 ** (e - p) / 2, u * 2.0**e, rtol=0)
    assert np.all(u * 2.0**e <= u * abs(x))
    if name == "float16":  # outside of the range it does not hold, as the page says
        assert cast(name, [65530.0, 2.0**-26]).tolist() == [np.inf, 0.0]


@pytest.mark.equation("eq-float-range", formula_only=True)
@each_format
def test_range(name):
    q, p = FORMATS[name]
    e_min, e_max = ends(q)
    patterns = 2**q - 2  # without all zeros and all ones
    assert e_max - e_min + 1 == patterns
    largest, smallest, sub = float((2 - Fraction(1, 2**p)) * Fraction(2) ** e_max), 2.0**e_min, 2.0 ** (e_min - p)
    assert_same("largest", largest, info(name).max, rtol=0)
    assert_same("smallest normal", smallest, info(name).tiny, rtol=0)
    assert_same("smallest", sub, info(name).smallest_normal * info(name).eps, rtol=0)
    if name in ("float16", "bfloat16"):
        half_gap = 2.0 ** (e_max - p) / 2
        found = cast(name, [sub, sub / 2, sub / 2 * 1.5, largest, largest + half_gap, (largest + half_gap) * (1 - 2.0**-20)])
        assert found.tolist() == [sub, 0.0, sub, largest, np.inf, largest]
    if name == "float16":
        assert_lines_agree([largest, (2 - 2.0**-10) * 2**15, 65536 - 32, 65504], rtol=0)
        assert sub == 2.0**-24


@pytest.mark.equation("eq-bfloat16-round")
def test_bfloat16_by_bits(rng):
    import torch

    x = np.concatenate([samples(rng, "bfloat16"), (257 + 2 * np.arange(20)) / 256, -(257 + 2 * np.arange(20)) / 256])
    bits = x.astype(np.float32).view(np.uint32)
    values = []
    for b in (int(b) for b in bits & 0x7FFFFFFF):  # of the number without its sign
        r = (b // 2**16) % 2
        stays = (b + 2**15 - 1 + r) // 2**16
        values.append(float(np.array([stays * 2**16], np.uint32).view(np.float32)[0]))
        lower = b % 2**16
        carry = stays - b // 2**16
        assert carry == (lower > 2**15 or (lower == 2**15 and r == 1))
    q, p = FORMATS["bfloat16"]
    lines = [
        [rounded(number, q, p) for number in x],
        np.copysign(values, x),
        check.round_to_bfloat16.reference(x),
        torch.tensor(x).bfloat16().double().numpy(),
    ]
    assert_lines_agree(lines, rtol=0)


@pytest.mark.equation("eq-sum-stall", formula_only=True)
def test_a_sum_of_ones_stops():
    import torch

    for dtype, p in ((torch.bfloat16, 7), (torch.float16, 10)):
        sums = [torch.zeros((), dtype=dtype)]
        for _ in range(2 ** (p + 1) + 5):
            sums.append(sums[-1] + 1)
        counted = [s.item() for s in sums]
        assert_same("min(n, 2^(p + 1))", counted, np.minimum(np.arange(len(counted)), 2 ** (p + 1)), rtol=0)
    last = np.float32(2**24 - 2)
    assert [last := last + np.float32(1) for _ in range(4)] == [2**24 - 1, 2**24, 2**24, 2**24]
    ones = np.add.accumulate(np.ones(3000, np.float16))
    assert_same("NumPy's float16", ones, np.minimum(np.arange(1, 3001), 2**11), rtol=0)


def summed(x, q, p):
    """(s_n, the errors delta_j), one after the other."""
    s, deltas = x[0], []
    for number in x[1:]:
        exact = Fraction(s) + Fraction(number)
        s = rounded(float(exact), q, p)
        deltas.append(Fraction(s) / exact - 1 if exact else Fraction(0))
    return s, deltas


def in_pairs(x, q, p):
    while len(x) > 1:
        x = [rounded(a + b, q, p) for a, b in itertools.zip_longest(x[::2], x[1::2], fillvalue=0.0)]
    return x[0]


@pytest.mark.equation("eq-sum-error", formula_only=True)
def test_error_of_a_sum(rng):
    q, p = FORMATS["bfloat16"]
    u = Fraction(1, 2 ** (p + 1))
    for n, low in itertools.product((2, 3, 7, 64, 300), (0.1, -1.0)):  # one sign, and both
        x = [rounded(number, q, p) for number in rng.uniform(low, 1, size=n)]
        s, deltas = summed(x, q, p)
        assert all(abs(delta) <= u for delta in deltas)
        exact, sizes = sum(map(Fraction, x)), sum(abs(Fraction(number)) for number in x)
        # sum_i x_i prod_(j >= max(i, 2)) (1 + delta_j)
        products = [math.prod(1 + delta for delta in deltas[max(i, 1) - 1 :]) for i in range(n)]
        assert_lines_agree([s, float(sum(Fraction(a) * b for a, b in zip(x, products, strict=True)))], rtol=1e-15)
        error = sum(Fraction(a) * (b - 1) for a, b in zip(x, products, strict=True))
        assert error == Fraction(s) - exact
        assert abs(error) <= sum(abs(Fraction(a) * (b - 1)) for a, b in zip(x, products, strict=True)) <= ((1 + u) ** (n - 1) - 1) * sizes
        depth = math.ceil(math.log2(n))
        assert abs(Fraction(in_pairs(x, q, p)) - exact) <= ((1 + u) ** depth - 1) * sizes
        assert 1 - (1 - u) ** n <= n * u <= (1 + u) ** n - 1  # Bernoulli, twice
        deltas = rng.uniform(-float(u), float(u), size=n)
        assert abs(np.prod(1 + deltas) - 1) <= float((1 + u) ** n - 1)


def test_a_sum_that_cancels_has_no_relative_bound():
    q, p = FORMATS["bfloat16"]
    x = [256.0, 1.0, -256.0]  # 1 is lost
    assert sum(x) == 1 and summed(x, q, p)[0] == 0


def test_sums_below_the_range_are_exact(rng):
    x, y = (rng.integers(-1023, 1024, size=(2, 100)) * 2.0**-24).astype(np.float16)
    assert_same("float16 below its smallest normal number", (x + y).astype(float), x.astype(float) + y.astype(float), rtol=0)


@pytest.mark.equation("eq-update-lost", formula_only=True)
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_update_is_lost(name, rng):
    q, p = FORMATS[name]
    u = 2.0 ** (-p - 1)
    w = cast(name, rng.normal(size=200))
    w = np.concatenate([w, 2.0 ** np.arange(-4, 5), -(2.0 ** np.arange(-4, 5))])
    e = np.floor(np.log2(abs(w)))
    power = abs(w) == 2.0**e
    half_gap = np.where(power, 2.0 ** (e - p - 1) / 2, 2.0 ** (e - p) / 2)  # towards zero
    assert np.all(u / 2 * abs(w) <= half_gap)
    for sign in (1, -1):
        step = sign * u / 2 * w
        stays = [rounded(float(a), q, p) for a in w - step]
        assert_same("fl(w - eta g) = w", stays, w, rtol=0)
        assert_same("the framework's", cast(name, w - step), w, rtol=0)
    step = cast(name, u / 2 * w * rng.uniform(0, 1, size=len(w)))  # rounded first
    lost = abs(step) <= u / 2 * abs(w)
    assert lost.sum() > 100
    assert_same("the step rounded first", cast(name, w - step)[lost], w[lost], rtol=0)
    moved = cast(name, w - 2.1 * u * w)  # two half gaps and more: never lost
    assert np.all(moved != w)
    assert u / 2 == {"bfloat16": 1 / 512, "float16": 1 / 4096, "float32": 2.0**-25}[name]


def network(rng, dtype=np.float64):
    config = MLPConfig(6, (5, 4), 3)
    model = MLP(config)
    model.load_state({name: a.astype(dtype) for name, a in initial_state(config, 0, np.float64).items()})
    return model, rng.normal(size=(7, 6)).astype(dtype), rng.integers(0, 3, size=7)


@pytest.mark.equation("eq-loss-scale", formula_only=True)
def test_scale_commutes_with_the_gradient(rng):
    model, x, y = network(rng)
    weight = model.layers[0].weight
    scale = 1000.0

    def scaled_loss(values):
        weight.data[...] = values
        return scale * f.cross_entropy(model(x)[0], y)[0]

    start = weight.data.copy()
    numeric = numerical_gradient(scaled_loss, start)
    weight.data[...] = start
    grads = []
    for s in (scale, 1.0):
        logits, backward = model(x)
        _, loss_backward = f.cross_entropy(logits, y)
        model.zero_gradients()
        dx = backward(loss_backward(s))
        grads.append((weight.grad.copy(), dx))
    assert_lines_agree([numeric, grads[0][0], scale * grads[1][0]], rtol=1e-7)
    assert_same("every number on the way, dx too", grads[0][1], scale * grads[1][1], rtol=1e-13)


@pytest.mark.equation("eq-loss-scale", formula_only=True)
def test_a_power_of_two_costs_no_digit(rng):
    model, x, y = network(rng, np.float32)
    grads = []
    for s in (1.0, 2.0**12, 3.0):
        logits, backward = model(x)
        model.zero_gradients()
        backward(f.cross_entropy(logits, y)[1](s))
        grads.append(model.gradients())
    for name, g in grads[0].items():
        assert_same(f"{name}: bit for bit", grads[1][name], np.float32(2**12) * g, rtol=0)
    assert any(not np.array_equal(grads[2][name], np.float32(3) * g) for name, g in grads[0].items())


@pytest.mark.equation("eq-scale-window", formula_only=True)
def test_window(rng):
    for m in (-8, 0, 8, 16, 24):
        scale = 2.0**m
        inside = 2.0 ** rng.uniform(-24, np.log2(65504), size=200) / scale
        with np.errstate(over="ignore"):
            held = (scale * inside).astype(np.float16).astype(float)
            outside = (scale * np.array([2.0**-25 / scale, 65520 / scale])).astype(np.float16)
        assert np.all(held > 0) and np.all(np.isfinite(held))
        assert outside.tolist() == [0.0, np.inf]
    assert_lines_agree([np.floor(np.log2(65504)) + 1 + 24, 40.0], rtol=0)


@pytest.mark.equation("eq-dynamic-scale")
def test_dynamic_scale_is_that_of_torch():
    import torch

    finite = [True] * 4 + [False, True, True, False, False] + [True] * 7
    p = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = torch.optim.SGD([p], lr=0.125)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=3)
    scale, good, scales, updates = 64.0, 0, [], 0
    for ok in finite:
        optimizer.zero_grad()
        scaler.scale((p * (1.0 if ok else math.inf)).sum()).backward()
        gradient = p.grad.numpy().copy()
        scaler.step(optimizer)
        scaler.update()
        scale, good = check.next_scale.reference(scale, good, gradient, 3)
        updates += ok
        scales.append((scale, scaler.get_scale()))
    ours, theirs = np.transpose(scales)
    assert_same("scale after each step", ours, theirs, rtol=0)
    assert len(set(ours)) > 3  # it rose and fell
    assert_same("no update where the gradient is infinite", p.item(), 1 - 0.125 * updates, rtol=1e-6)
    defaults = torch.amp.GradScaler("cpu")
    assert (defaults.get_scale(), defaults.get_growth_interval()) == (2.0**16, 2000)


@pytest.mark.equation("eq-oihw")
def test_layouts(rng):
    import torch

    w, x = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 6, 7, 5))
    moved = np.empty((2, 5, 3, 4))
    for o, i, h, v in np.ndindex(moved.shape):
        moved[o, i, h, v] = w[o, h, v, i]
    assert_lines_agree([moved, check.to_oihw.reference(w), state.to_torch(w)], rtol=0)
    assert_same("and back", state.from_torch(moved), w, rtol=0)
    nchw = np.array([[[[x[n, h, v, c] for v in range(7)] for h in range(6)] for c in range(5)] for n in range(2)])
    y = torch.nn.functional.conv2d(torch.tensor(nchw), torch.tensor(moved)).permute(0, 2, 3, 1)
    slow = np.array(
        [[[[np.sum(x[n, a : a + 3, b : b + 4] * w[o]) for o in range(2)] for b in range(4)] for a in range(4)] for n in range(2)]
    )
    assert_same("one convolution in both layouts", y.numpy(), slow, rtol=1e-13)
