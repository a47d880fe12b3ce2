import itertools
import math
import warnings

import pytest

from dlcourse import schedule as module
from dlcourse.schedule import constant, cosine, linear, one_cycle, steps
from tests.numpy import models, schedule_cases


def test_schedules_as_their_formulas_say():
    schedule_cases.check_schedule(module, models.raises)


def test_constant():
    assert {constant(0.1)(step, 10) for step in range(10)} == {0.1}


def test_cosine_without_warmup():
    schedule = cosine(0.2, final=0.1)
    assert schedule(0, 100) == 0.2
    assert schedule(50, 100) == pytest.approx(0.15)
    assert schedule(25, 100) == pytest.approx(0.1 + 0.05 * (1 + math.sqrt(0.5)))
    assert schedule(100, 100) == pytest.approx(0.1)
    assert schedule(150, 100) == pytest.approx(0.1), "stays at the end"


def test_warmup_rises_in_a_line_then_falls():
    rates = [cosine(1.0, warmup=0.1)(step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10] == 1.0
    assert all(a > b > 0 for a, b in itertools.pairwise(rates[10:]))


def test_steps():
    schedule = steps(1.0, milestones=[0.5, 0.75], factor=0.1)
    assert [schedule(step, 100) for step in (0, 49, 50, 74, 75, 99)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_linear():
    schedule = linear(0.2, final=0.1)
    assert [schedule(step, 100) for step in (0, 25, 50, 100, 150)] == pytest.approx([0.2, 0.175, 0.15, 0.1, 0.1])
    rates = [linear(1.0, warmup=0.25)(step, 8) for step in range(8)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


def test_one_cycle():
    rates = [one_cycle(1.0, warmup=0.3, div=10.0, final_div=100.0)(step, 100) for step in range(100)]
    assert (rates[0], rates[29], rates[99]) == pytest.approx((0.1, 1.0, 0.001))
    assert rates[14] < (rates[0] + rates[29]) / 2 < rates[15], "half-way at half the time"
    assert all(a < b for a, b in itertools.pairwise(rates[:30])) and all(a > b for a, b in itertools.pairwise(rates[29:]))
    assert one_cycle(1.0)(150, 100) == pytest.approx(1 / 25 / 1e4), "stays at the end"


@pytest.mark.parametrize("options", [{}, {"warmup": 0.25, "div": 4.0, "final_div": 20.0}, {"warmup": 0.41}])
@pytest.mark.parametrize("total", [10, 37, 100])
def test_one_cycle_and_cosine_are_pytorchs(options, total):
    import torch

    names = {"warmup": "pct_start", "div": "div_factor", "final_div": "final_div_factor"}
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.2, total_steps=total, cycle_momentum=False, **{names[key]: value for key, value in options.items()}
    )
    ours = one_cycle(0.2, **options)
    for step in range(total):
        assert ours(step, total) == pytest.approx(theirs.get_last_lr()[0], rel=1e-12, abs=0)
        optimizer.step()
        if step + 1 < total:
            theirs.step()
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.2)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total, eta_min=0.01)
    for step in range(total):
        assert cosine(0.2, final=0.01)(step, total) == pytest.approx(theirs.get_last_lr()[0], rel=1e-10, abs=0)
        optimizer.step()
        theirs.step()


def pytorchs(total, make):
    """The learning rates 0.2 -> ... of a PyTorch scheduler, made by make(optimizer, torch.optim.lr_scheduler)."""
    import torch

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SequentialLR passes an argument that PyTorch itself calls outdated
        scheduler, rates = make(optimizer, torch.optim.lr_scheduler), []
        for _ in range(total):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    return rates


def warmed(rising, total, rest):
    """PyTorch's rise over `rising` steps, then `rest(optimizer, schedulers, steps that are left)`."""
    return lambda o, s: s.SequentialLR(
        o, [s.LinearLR(o, 1 / rising, 1.0, total_iters=rising - 1), rest(o, s, total - rising)], milestones=[rising]
    )


@pytest.mark.parametrize("total", [20, 37, 100])
@pytest.mark.parametrize("name", ["steps", "linear", "cosine", "linear after warm-up", "cosine after warm-up"])
def test_schedules_are_pytorchs(name, total):
    rising = math.ceil(0.25 * total)
    falls = {
        "linear": lambda o, s, left: s.LinearLR(o, 1.0, 0.05, total_iters=left),
        "cosine": lambda o, s, left: s.CosineAnnealingLR(o, left, eta_min=0.01),
    }
    if name == "steps":
        ours = steps(0.2, (0.3, 0.55), 0.5)
        theirs = pytorchs(total, lambda o, s: s.MultiStepLR(o, [math.ceil(0.3 * total), math.ceil(0.55 * total)], gamma=0.5))
    else:
        kind = name.split()[0]
        ours = {"linear": linear, "cosine": cosine}[kind](0.2, warmup=0.25 if "warm" in name else 0.0, final=0.01)
        theirs = pytorchs(total, warmed(rising, total, falls[kind]) if "warm" in name else lambda o, s: falls[kind](o, s, total))
    assert [ours(step, total) for step in range(total)] == pytest.approx(theirs, rel=1e-10, abs=0)


@pytest.mark.parametrize("name", ["steps", "linear", "cosine", "linear after warm-up", "cosine after warm-up"])
def test_schedules_are_mlxs(name):
    """MLX computes them in float32."""
    import mlx.core as mx
    from mlx.optimizers import cosine_decay, join_schedules, linear_schedule, step_decay

    total, rising = 40, 10
    warm = linear_schedule(0.2 / rising, 0.2, rising - 1)
    ours, theirs = {
        "steps": (steps(0.2, (0.25, 0.5, 0.75), 0.5), step_decay(0.2, 0.5, 10)),
        "linear": (linear(0.2, final=0.01), linear_schedule(0.2, 0.01, total)),
        "cosine": (cosine(0.2, final=0.01), cosine_decay(0.2, total, 0.01)),
        "linear after warm-up": (linear(0.2, 0.25, 0.01), join_schedules([warm, linear_schedule(0.2, 0.01, 30)], [rising])),
        "cosine after warm-up": (cosine(0.2, 0.25, 0.01), join_schedules([warm, cosine_decay(0.2, 30, 0.01)], [rising])),
    }[name]
    found = [float(theirs(mx.array(step))) for step in range(total)]
    assert [ours(step, total) for step in range(total)] == pytest.approx(found, rel=2e-6, abs=0)


def test_a_run_of_one_step():
    assert linear(0.3, warmup=0.5)(0, 1) == 0.3 and linear(0.3)(0, 1) == 0.3
    assert one_cycle(0.3, warmup=0.0)(0, 1) == pytest.approx(0.3 / 25 / 1e4), "the last step is the first"
    assert one_cycle(0.3, warmup=0.0)(0, 10) < 0.3
    assert cosine(0.3, warmup=0.5)(0, 1) == 0.3
    assert cosine(0.3)(0, 1) == 0.3


def test_repr_is_what_makes_it():
    for schedule in (constant(0.1), cosine(0.1, 0.2, 0.01), linear(0.1, 0.2, 0.01), one_cycle(0.1, 0.2, 5.0), steps(0.1, (0.3,), 0.5)):
        assert eval(repr(schedule)) == schedule


@pytest.mark.parametrize(
    "make",
    [
        lambda: constant(0.0),
        lambda: constant(-1.0),
        lambda: constant(math.nan),
        lambda: cosine(math.inf),
        lambda: cosine(0.1, warmup=1.0),
        lambda: cosine(0.1, warmup=-0.1),
        lambda: cosine(0.1, final=0.2),
        lambda: steps(0.1, milestones=(5,)),
        lambda: steps(0.1, factor=0.0),
        lambda: steps(0.1, factor=10.0),
        lambda: steps(0.1, factor=math.nan),
        lambda: linear(0.1, warmup=1.0),
        lambda: linear(0.1, final=0.2),
        lambda: linear(-0.1),
        lambda: one_cycle(0.0),
        lambda: one_cycle(0.1, warmup=1.0),
        lambda: one_cycle(0.1, div=0.5),
        lambda: one_cycle(0.1, final_div=math.inf),
    ],
)
def test_refuses(make):
    with pytest.raises(ValueError):
        make()
