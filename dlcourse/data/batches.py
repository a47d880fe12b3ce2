"""Mini-batches."""

import numpy as np

from dlcourse.boundary import check_whole
from dlcourse.data.augment import check_augment


class Batches:
    """Iterates over (x, y) in mini-batches; each `for` is one epoch, in a new order drawn from `rng`.

    x (N, ...), y (N, ...) -> batches (B, ...), (B, ...); the last one is smaller when B does not divide N, or left out with `drop_last`.
    With `steps` an epoch has at most that many batches: of a long text, which has as many windows as tokens, a random part.
    `augment`, a tuple of `dlcourse.data.augment`'s changes, is applied in order to each batch, with the same generator.
    `state()` and `load_state()` save and restore the generator: the epochs that follow are then the same.
    Raises ValueError for no examples, lengths that differ, a batch size that fits no batch, an `rng` that is no generator, or an `augment` of anything else."""

    def __init__(
        self, x, y, batch_size, rng, shuffle=True, drop_last=False, augment=(), steps=None
    ):
        if len(x) == 0:
            raise ValueError(
                "there are no examples to make batches of: check how the data set was loaded or filtered"
            )
        if len(x) != len(y):
            raise ValueError(f"{len(x)} examples but {len(y)} targets: each example needs one")
        if (
            isinstance(batch_size, bool)
            or not isinstance(batch_size, int | np.integer)
            or batch_size < 1
        ):
            raise ValueError(f"batch_size={batch_size!r}: it is a whole number of at least 1")
        if drop_last and batch_size > len(x):
            raise ValueError(
                f"batch_size={batch_size} with drop_last leaves no batch of {len(x)} examples: take at most {len(x)}"
            )
        if not isinstance(rng, np.random.Generator):
            raise ValueError(
                f"rng is {type(rng).__name__}: pass np.random.default_rng(seed), so that the order can be repeated"
            )
        self.x, self.y, self.batch_size, self.rng, self.shuffle, self.drop_last = (
            x,
            y,
            int(batch_size),
            rng,
            shuffle,
            drop_last,
        )
        self.augment = check_augment(augment)
        if steps is not None:
            check_whole(steps=steps)
        self.steps = steps

    def __len__(self):
        whole, rest = divmod(len(self.x), self.batch_size)
        count = whole + (rest > 0 and not self.drop_last)
        return count if self.steps is None else min(count, self.steps)

    def __iter__(self):
        order = self.rng.permutation(len(self.x)) if self.shuffle else np.arange(len(self.x))
        for i in range(len(self)):
            index = order[i * self.batch_size : (i + 1) * self.batch_size]
            x, y = self.x[index], self.y[index]
            for change in self.augment:
                x, y = change(x, y, self.rng)
            yield x, y

    def state(self):
        """The state of the generator, made of what JSON can hold."""
        return self.rng.bit_generator.state

    def load_state(self, state):
        self.rng.bit_generator.state = state
