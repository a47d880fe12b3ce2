"""Every loss of `dlcourse.numpy.losses` as a table of cases, and the checks that the module and its mutants face.

As in `cases.py`: how to draw the arguments, call the loss, compute it slowly, and PyTorch's word for it."""

import math

import numpy as np

from tests.gradients import assert_close
from tests.numpy import cases
from tests.numpy.cases import Case, rows_of

SHAPES = [((3,), 4), ((2, 2), 3), ((), 5), ((3,), 1)]


def draw_huber(delta):
    """Residuals on both sides of delta, none within a difference quotient of it, where the curvature jumps."""

    def draw(rng, lead, width):
        target, residual = rng.normal(size=(2, *lead, width))
        residual *= 2 * delta
        return (target + residual + np.copysign(0.01, np.abs(residual) - delta) * np.sign(residual),), (target, delta)

    return draw


def draw_yes_or_no(*options):
    """Logits whose margin is not within a difference quotient of 1, the corner of the hinge."""

    def draw(rng, lead, width):
        targets = rng.integers(0, 2, size=(*lead, width)).astype(float)
        margin = 3 * rng.normal(size=targets.shape)
        margin += np.copysign(0.01, margin - 1)
        return ((2 * targets - 1) * margin,), (targets, *options)

    return draw


def draw_distributions(rng, lead, width):
    """Rows of probabilities, about a third of them sure: there 0 log 0 has to be 0.

    The others have most of their mass where the logits have least: near softmax(z) the divergence is a small difference of large numbers."""
    width = max(width, 2)  # with one class the divergence is zero
    z, one = rng.normal(size=(*lead, width)), np.eye(width)
    q = 0.25 * rng.dirichlet(np.ones(width), size=lead) + 0.75 * one[z.argmin(axis=-1)]
    sure = one[rng.integers(0, width, size=lead)]
    return (z,), (np.where(rng.random(size=lead)[..., None] < 0.35, sure, q),)


def pairs_of(arguments, constants):
    return list(zip(arguments[0].reshape(-1).tolist(), constants[0].reshape(-1).tolist(), strict=True))


def slow_huber(arguments, constants):
    delta = constants[1]
    sizes = [abs(y - t) for y, t in pairs_of(arguments, constants)]
    return math.fsum(r * r / 2 if r <= delta else delta * (r - delta / 2) for r in sizes) / len(sizes)


def slow_hinge(arguments, constants):
    pairs = pairs_of(arguments, constants)
    return math.fsum(max(0.0, 1 - z if t == 1 else 1 + z) for z, t in pairs) / len(pairs)


def slow_focal(arguments, constants):
    gamma, alpha = constants[1:] if len(constants) > 1 else (2.0, None)

    def one(z, t):
        u = z if t == 1 else -z
        weight = 1.0 if alpha is None else alpha if t == 1 else 1 - alpha
        # of p = 1 / (1 + e^-u), the probability of what is true, which near 1 has rounded away the digits of its logarithm
        return weight * (1 / (1 + math.exp(u))) ** gamma * math.log1p(math.exp(-u))

    pairs = pairs_of(arguments, constants)
    return math.fsum(one(z, t) for z, t in pairs) / len(pairs)


def slow_kl(arguments, constants):
    rows = list(zip(rows_of(arguments[0]), rows_of(constants[0]), strict=True))
    terms = [qi * (math.log(qi) - math.log(pi)) for z, q in rows for qi, pi in zip(q, cases.slow_softmax_row(z), strict=True) if qi > 0]
    return math.fsum(terms) / len(rows)


def torch_hinge(torch, tensors, constants):
    sign = torch.from_numpy(np.where(constants[0] == 1, 1.0, -1.0))
    return torch.clamp(1 - sign * tensors[0], min=0).mean()


def torch_focal(torch, tensors, constants):
    """From PyTorch's binary cross-entropy, whose exponential is the probability of what is true."""
    gamma, alpha = constants[1:] if len(constants) > 1 else (2.0, None)
    t = torch.from_numpy(constants[0])
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(tensors[0], t, reduction="none")
    weight = 1.0 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
    return (weight * (1 - torch.exp(-entropy)) ** gamma * entropy).mean()


def torch_kl(torch, tensors, constants):
    classes = tensors[0].shape[-1]
    log_p = torch.log_softmax(tensors[0].reshape(-1, classes), dim=-1)
    return torch.nn.functional.kl_div(log_p, torch.from_numpy(constants[0]).reshape(-1, classes), reduction="batchmean")


CASES = [
    *(
        Case(
            "huber_loss",
            f"delta-{delta}",
            draw_huber(delta),
            cases.with_targets("huber_loss"),
            slow_huber,
            lambda torch, t, c: torch.nn.functional.huber_loss(*t, torch.from_numpy(c[0]), delta=c[1]),
        )
        for delta in (1.0, 0.4, 2.5)
    ),
    Case("hinge_loss", "", draw_yes_or_no(), cases.with_targets("hinge_loss"), slow_hinge, torch_hinge),
    *(
        Case("focal_loss", variant, draw_yes_or_no(*options), cases.with_targets("focal_loss"), slow_focal, torch_focal)
        for variant, options in [
            ("", ()),
            ("gamma-0", (0.0, None)),
            ("gamma-half", (0.5, None)),
            ("weighted", (2.0, 0.2)),
            ("gamma-0-weighted", (0.0, 0.9)),
        ]
    ),
    Case("kl_divergence", "", draw_distributions, cases.with_targets("kl_divergence"), slow_kl, torch_kl),
]

EXTREME_CALLS = {
    "huber_loss": [lambda f, x: f.huber_loss(x, -x)],
    "hinge_loss": [lambda f, x: f.hinge_loss(x, (x < 0).astype(x.dtype))],
    "focal_loss": [
        lambda f, x: f.focal_loss(x, (x < 0).astype(x.dtype)),
        lambda f, x: f.focal_loss(x, (x > 0).astype(x.dtype), 0.5, 0.3),
    ],
    "kl_divergence": [lambda f, x: f.kl_divergence(x, np.eye(3, dtype=x.dtype)[[1, 0, 2, 1, 0]])],
}

ONE, TWO = np.zeros((2, 1)), np.zeros(2)
REFUSED = [
    *(
        (name, f"{name}: predictions have shape (2, 1) but targets (2,)", lambda f, name=name: getattr(f, name)(ONE, TWO))
        for name in ("huber_loss", "hinge_loss", "focal_loss", "kl_divergence")
    ),
    *(
        (name, f"{name}: no target to average over", lambda f, name=name: getattr(f, name)(np.zeros((0, 2)), np.zeros((0, 2))))
        for name in ("huber_loss", "hinge_loss", "focal_loss", "kl_divergence")
    ),
    *(
        (name, f"{name}: predictions are int64: pass floats", lambda f, name=name: getattr(f, name)(TWO.astype(np.int64), TWO))
        for name in ("huber_loss", "hinge_loss", "focal_loss", "kl_divergence")
    ),
    *(
        ("huber_loss", f"delta={delta}: it is the size of an error", lambda f, delta=delta: f.huber_loss(TWO, TWO, delta))
        for delta in (0.0, -1.0, math.inf, math.nan)
    ),
    *(
        (
            name,
            f"1 of 2 targets are neither 0 nor 1, the first is {value}: {name} takes 1 for yes",
            lambda f, name=name, value=value: getattr(f, name)(TWO, np.array([0.0, value])),
        )
        for name in ("hinge_loss", "focal_loss")
        for value in (-1.0, 0.5, math.nan)
    ),
    *(
        ("focal_loss", f"gamma={gamma}: it must not be negative", lambda f, gamma=gamma: f.focal_loss(TWO, TWO, gamma))
        for gamma in (-0.5, math.nan, math.inf)
    ),
    *(
        ("focal_loss", f"alpha={alpha}: it is the weight of a yes", lambda f, alpha=alpha: f.focal_loss(TWO, TWO, alpha=alpha))
        for alpha in (0.0, 1.0, math.nan)
    ),
    ("kl_divergence", "1 of 2 soft targets are no probabilities", lambda f: f.kl_divergence(np.zeros((2, 2)), np.eye(2) * [1, 2])),
]


def check_extremes(f, operation):
    """Numbers of +-1000 and exact ties give finite losses, finite gradients and no warning."""
    for call in EXTREME_CALLS[operation]:
        for dtype in (np.float32, np.float64):
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                loss, backward = call(f, cases.EXTREMES.astype(dtype))
                gradient = backward()
            assert loss.dtype == gradient.dtype == dtype, f"{operation}: {np.dtype(dtype)} gave {loss.dtype} and {gradient.dtype}"
            assert np.isfinite(loss) and np.isfinite(gradient).all(), f"{operation}: not finite at +-1000 in {np.dtype(dtype)}"


def check_targets_of_another_dtype(f):
    """Targets of float64, integers or bools leave a float32 loss and its gradient float32, and give the loss of float32 targets."""
    z, t = np.array([[0.5], [-1.0], [2.0], [0.25]], np.float32), np.array([[0], [1], [1], [0]])
    options = {f.huber_loss: (), f.hinge_loss: (), f.focal_loss: (2.0, 0.3)}
    for operation, more in options.items():
        expected = operation(z, t.astype(np.float32), *more)[0]
        for dtype in (np.int64, np.float64, np.bool_):
            loss, backward = operation(z, t.astype(dtype), *more)
            assert loss.dtype == backward().dtype == np.float32, f"{operation.__name__}: {np.dtype(dtype)} targets made it {loss.dtype}"
            assert loss == expected
    loss, backward = f.kl_divergence(np.array([[0.5, -1.0]], np.float32), np.array([[0.25, 0.75]]))
    assert loss.dtype == backward().dtype == np.float32


def exact_values(f):
    """Values that a formula fixes exactly: at the corners, at the defaults, far out."""
    loss, backward = f.huber_loss(np.array([0.5, 1.0, 3.0, -3.0]), np.zeros(4))
    assert loss == (0.125 + 0.5 + 2.5 + 2.5) / 4 and backward().tolist() == [0.125, 0.25, 0.25, -0.25]
    loss, backward = f.hinge_loss(np.array([1.0, -1.0, 0.5, 0.5]), np.array([1, 0, 1, 0]))
    assert loss == 0.5 and backward().tolist() == [0.0, 0.0, -0.25, 0.25], "a margin of exactly 1 has no slope"
    assert_close("focal_loss of z = 0", f.focal_loss(np.zeros(2), np.array([0, 1]))[0], math.log(2) / 4, 1e-15)
    loss, backward = f.focal_loss(np.array([40.0]), np.array([1.0]))  # 1 - p is e^-40, which p itself does not hold
    assert_close("focal_loss of a sure answer", [loss, backward()[0]], [math.exp(-120.0), -3 * math.exp(-120.0)], 1e-13)
    assert_close("kl_divergence of a sure row", f.kl_divergence(np.zeros((1, 4)), np.eye(4)[:1])[0], math.log(4), 1e-15)
    z = np.log(np.array([[0.2, 0.3, 0.5]]))
    loss, backward = f.kl_divergence(z, np.array([[0.2, 0.3, 0.5]]))
    assert abs(loss) < 1e-15 and np.abs(backward()).max() < 1e-15


def check_everything(f, raises, operation=None):
    """All of it on a few shapes; of one loss alone where it is named."""
    mine = [operation] if operation in EXTREME_CALLS else list(EXTREME_CALLS)
    for case in CASES:
        if case.operation in mine:
            for lead, width in SHAPES:
                for check in (cases.check_value, cases.check_case_gradient, cases.check_manners):
                    check(f, case, np.random.default_rng(0), lead, width)
    for name in mine:
        check_extremes(f, name)
    for name, message, call in REFUSED:
        if name in mine:
            raises(ValueError, message, lambda call=call: call(f))
    exact_values(f)
    check_targets_of_another_dtype(f)
