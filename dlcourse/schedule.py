"""Learning-rate schedules: called with (step, total steps), both counted over the whole run, they return the learning rate.

Each is a small frozen dataclass with a lower-case name, since it reads like a function: `cosine(3e-3, warmup=0.05)`; its repr is what
a checkpoint records."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class constant:
    """lr(t) = lr"""

    lr: float

    def __post_init__(self):
        _positive(self.lr)

    def __call__(self, step, total):
        return self.lr


@dataclass(frozen=True)
class linear:
    """lr(t) = lr + (final - lr) s, s from 0 to 1 over the steps after warm-up  (eq-linear-schedule).

    The first `warmup` share of the steps rises in a straight line to lr (eq-warmup; Goyal et al. 2017)."""

    lr: float
    warmup: float = 0.0  # share of all steps, at least 0 and below 1
    final: float = 0.0

    def __post_init__(self):
        _falling(self)

    def __call__(self, step, total):
        rising, s = _progress(self.warmup, step, total)
        return self.lr * rising + (self.final - self.lr) * s


@dataclass(frozen=True)
class cosine:
    """lr(t) = final + (lr - final) (1 + cos(pi s)) / 2, s from 0 to 1 over the steps after warm-up
    (eq-cosine-schedule; Loshchilov & Hutter 2017).

    The first `warmup` share of the steps rises in a straight line to lr (eq-warmup; Goyal et al. 2017)."""

    lr: float
    warmup: float = 0.0  # share of all steps, at least 0 and below 1
    final: float = 0.0

    def __post_init__(self):
        _falling(self)

    def __call__(self, step, total):
        rising, s = _progress(self.warmup, step, total)
        if rising < 1.0:
            return self.lr * rising
        return self.final + (self.lr - self.final) * (1.0 + math.cos(math.pi * s)) / 2.0


@dataclass(frozen=True)
class one_cycle:
    """From lr / div to lr over the first `warmup` share of the steps, then to lr / div / final_div, both along half a cosine
    (eq-one-cycle). Smith & Topin 2017 have three parts of straight lines; two along cosines are the default of PyTorch's `OneCycleLR`,
    which gives the same numbers. It moves the momentum too, this does not."""

    lr: float
    warmup: float = 0.3  # share of all steps, at least 0 and below 1
    div: float = 25.0
    final_div: float = 1e4

    def __post_init__(self):
        _positive(self.lr)
        _share(self.warmup)
        for name, value in (("div", self.div), ("final_div", self.final_div)):
            if not 1.0 <= value < math.inf:
                raise ValueError(f"{name}={value}: the peak is divided by it, so it is at least 1")

    def __call__(self, step, total):
        peak, last = self.warmup * total - 1.0, total - 1.0
        if step < peak:
            return _half_cosine(self.lr / self.div, self.lr, step / peak)
        s = (step - peak) / (last - peak) if last > peak else 1.0
        return _half_cosine(self.lr, self.lr / self.div / self.final_div, min(1.0, s))


@dataclass(frozen=True)
class steps:
    """lr(t) = lr factor^k, k the number of milestones passed  (eq-step-schedule); milestones are shares of all steps: (0.5, 0.75)"""

    lr: float
    milestones: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self):
        _positive(self.lr)
        if not 0.0 < self.factor <= 1.0:
            raise ValueError(
                f"factor={self.factor}: the learning rate is multiplied by it, so it lies above 0, and is at most 1"
            )
        object.__setattr__(self, "milestones", tuple(self.milestones))
        if not all(0.0 < m < 1.0 for m in self.milestones):
            raise ValueError(
                f"milestones={self.milestones}: they are shares of all steps, between 0 and 1"
            )

    def __call__(self, step, total):
        return self.lr * self.factor ** sum(step >= m * total for m in self.milestones)


def _positive(lr):
    if not 0.0 < lr < math.inf:
        raise ValueError(f"lr={lr}: the learning rate is a number above 0")


def _share(warmup):
    if not 0.0 <= warmup < 1.0:
        raise ValueError(f"warmup={warmup}: it is a share of all steps, at least 0 and below 1")


def _falling(schedule):
    _positive(schedule.lr)
    _share(schedule.warmup)
    if not 0.0 <= schedule.final <= schedule.lr:
        raise ValueError(f"final={schedule.final}: it must lie between 0 and lr={schedule.lr}")


def _progress(warmup, step, total):
    """(share of the rise, share of the fall): both from 0 to 1, one after the other."""
    rising = math.ceil(warmup * total)
    if step < rising:
        return (step + 1) / rising, 0.0
    return 1.0, min(1.0, (step - rising) / max(1, total - rising))


def _half_cosine(start, end, s):
    return end + (start - end) * (1.0 + math.cos(math.pi * s)) / 2.0
