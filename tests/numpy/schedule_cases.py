"""What `dlcourse.schedule` must do, as its formulas say; `tests/test_mutants.py` asks the same of its mutants."""

import inspect
import math

TOTALS = (1, 2, 7, 10, 37, 100)


def fall(kind, lr, final, s):
    return lr + (final - lr) * s if kind == "linear" else final + (lr - final) * (1 + math.cos(math.pi * s)) / 2


def near(found, wanted):
    assert abs(found - wanted) <= 1e-12 * abs(wanted) + 1e-18, f"{found} should be {wanted}"


def check_falling(m):
    for kind in ("linear", "cosine"):
        for warmup, final in ((0.0, 0.0), (0.25, 0.01), (0.5, 0.2), (0.99, 0.05)):
            schedule = getattr(m, kind)(0.2, warmup, final)
            for total in TOTALS:
                rising = math.ceil(warmup * total)
                for step in range(2 * total):
                    if step < rising:
                        near(schedule(step, total), 0.2 * (step + 1) / rising)  # eq-warmup
                    else:
                        left = total - rising if rising < total else 1  # a run that only rises stays at the top for a step
                        s = (step - rising) / left if step - rising < left else 1.0
                        near(schedule(step, total), fall(kind, 0.2, final, s))
        # nothing is left after the rise, which is rounded up
        assert getattr(m, kind)(0.2, 0.6)(0, 1) == 0.2 == getattr(m, kind)(0.2, 0.99)(1, 2)
        near(getattr(m, kind)(0.2, 0.99, 0.1)(2, 2), fall(kind, 0.2, 0.1, 0.0))
        near(getattr(m, kind)(0.2, 0.99, 0.1)(3, 2), fall(kind, 0.2, 0.1, 1.0))


def check_one_cycle(m):
    for warmup, div, final_div in ((0.3, 25.0, 1e4), (0.25, 4.0, 20.0), (0.0, 2.0, 5.0), (0.5, 1.0, 1.0)):
        schedule = m.one_cycle(0.2, warmup, div, final_div)
        low, end = 0.2 / div, 0.2 / div / final_div
        for total in TOTALS:
            peak = warmup * total - 1
            for step in range(2 * total):
                if step < peak:
                    near(schedule(step, total), fall("cosine", low, 0.2, step / peak))
                else:
                    s = (step - peak) / (total - 1 - peak) if total - 1 > peak else 1.0
                    near(schedule(step, total), fall("cosine", 0.2, end, min(1.0, s)))
    near(m.one_cycle(0.3, 0.0)(0, 1), 0.3 / 25 / 1e4 + (0.3 - 0.3 / 25 / 1e4) * (1 + math.cos(math.pi)) / 2)


def check_steps(m):
    schedule = m.steps(1.0, [0.5, 0.75], 0.1)
    assert schedule.milestones == (0.5, 0.75)
    for step, passed in ((0, 0), (49, 0), (50, 1), (74, 1), (75, 2), (99, 2)):
        near(schedule(step, 100), 0.1**passed)
    assert m.steps(0.3, (0.5,), 1.0)(9, 10) == 0.3
    assert m.steps(0.3, ())(9, 10) == 0.3


def check_schedule(m, raises):
    assert {m.constant(0.1)(step, 10) for step in range(10)} == {0.1}
    check_falling(m)
    check_one_cycle(m)
    check_steps(m)
    defaults = {
        m.constant: {},
        m.linear: {"warmup": 0.0, "final": 0.0},
        m.cosine: {"warmup": 0.0, "final": 0.0},
        m.one_cycle: {"warmup": 0.3, "div": 25.0, "final_div": 1e4},
        m.steps: {"milestones": (0.5, 0.75), "factor": 0.1},
    }
    for kind, options in defaults.items():
        parameters = inspect.signature(kind).parameters
        assert {name: p.default for name, p in parameters.items() if name != "lr"} == options
        for lr in (0.0, -1.0, math.nan, math.inf):
            raises(ValueError, f"lr={lr}: the learning rate is a number above 0", lambda kind=kind, lr=lr: kind(lr))
    for kind in (m.linear, m.cosine, m.one_cycle):
        for warmup in (1.0, -0.1, math.nan):
            raises(ValueError, f"warmup={warmup}: it is a share", lambda kind=kind, warmup=warmup: kind(0.1, warmup))
    for kind in (m.linear, m.cosine):
        for final in (0.2, -0.1, math.nan):
            raises(ValueError, f"final={final}: it must lie between 0 and lr=0.1", lambda kind=kind, final=final: kind(0.1, 0.0, final))
    for name in ("div", "final_div"):
        for value in (0.5, math.inf, math.nan):
            message = f"{name}={value}: the peak is divided by it"
            raises(ValueError, message, lambda name=name, value=value: m.one_cycle(0.1, **{name: value}))
        m.one_cycle(0.1, **{name: 1.0})
    for milestones in ((5,), (0.0,), (1.0,), (0.5, 1.5), (math.nan,)):
        raises(ValueError, "they are shares of all steps, between 0 and 1", lambda milestones=milestones: m.steps(0.1, milestones))
    for factor in (0.0, -0.5, 1.1, math.nan):
        message = f"factor={factor}: the learning rate is multiplied by it"
        raises(ValueError, message, lambda factor=factor: m.steps(0.1, (0.5,), factor))
