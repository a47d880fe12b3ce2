import itertools
import math

import pytest

from dlcourse.schedule import constant, cosine, steps


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


def test_a_run_of_one_step():
    assert cosine(0.3, warmup=0.5)(0, 1) == 0.3
    assert cosine(0.3)(0, 1) == 0.3


def test_repr_is_what_makes_it():
    for schedule in (constant(0.1), cosine(0.1, 0.2, 0.01), steps(0.1, (0.3,), 0.5)):
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
    ],
)
def test_refuses(make):
    with pytest.raises(ValueError):
        make()
