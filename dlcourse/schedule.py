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
class cosine:
    """lr(t) = final + (lr - final) (1 + cos(pi s)) / 2, s from 0 to 1 over the steps after warm-up  (Loshchilov & Hutter 2017).

    The first `warmup` share of the steps rises in a straight line to lr."""

    lr: float
    warmup: float = 0.0  # share of all steps, at least 0 and below 1
    final: float = 0.0

    def __post_init__(self):
        _positive(self.lr)
        if not 0.0 <= self.warmup < 1.0:
            raise ValueError(
                f"warmup={self.warmup}: it is a share of all steps, at least 0 and below 1"
            )
        if not 0.0 <= self.final <= self.lr:
            raise ValueError(f"final={self.final}: it must lie between 0 and lr={self.lr}")

    def __call__(self, step, total):
        rising = math.ceil(self.warmup * total)
        if step < rising:
            return self.lr * (step + 1) / rising
        progress = min(1.0, (step - rising) / max(1, total - rising))
        return self.final + (self.lr - self.final) * (1.0 + math.cos(math.pi * progress)) / 2.0


@dataclass(frozen=True)
class steps:
    """lr(t) = lr factor^k, k the number of milestones passed; milestones are shares of all steps: (0.5, 0.75)"""

    lr: float
    milestones: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self):
        _positive(self.lr)
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
