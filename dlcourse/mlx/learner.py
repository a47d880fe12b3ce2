"""One training step: forward, loss, backward, update."""

from functools import partial

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from dlcourse.boundary import (
    IGNORED,
    Tokens,
    check_batch,
    check_inputs,
    check_loss,
    check_positions,
)
from dlcourse.mlx import losses
from dlcourse.mlx.device import resolve_device
from dlcourse.mlx.module import batch_statistics, to_numpy
from dlcourse.mlx.optim import clip_gradients
from dlcourse.state import check_learner_state, with_prefix, without_prefix


def _cross_entropy(logits, targets):
    """MLX neither reduces by default nor leaves out targets of -100."""
    if mx.issubdtype(targets.dtype, mx.floating):
        return nn.losses.cross_entropy(logits, targets, reduction="mean")
    check_positions(targets, logits)
    counts = targets != IGNORED
    losses = nn.losses.cross_entropy(logits, mx.where(counts, targets, 0))
    return mx.where(counts, losses, 0).sum() / counts.sum()


def _pretraining_loss(logits, targets):
    words, follows = logits
    return _cross_entropy(words, targets[:, 1:]) + _cross_entropy(follows, targets[:, 0])


LOSSES = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": partial(nn.losses.binary_cross_entropy, reduction="mean"),  # of logits
    "mse": nn.losses.mse_loss,
    "pretraining": _pretraining_loss,
    "huber": losses.huber_loss,
    "hinge": losses.hinge_loss,
    "focal": losses.focal_loss,
}


class Learner:
    """What the training loop drives: a model, its optimizer and a loss.

    The loss is "cross_entropy", "binary_cross_entropy", "mse", "huber", "hinge", "focal" or "pretraining"; a batch is (x, targets), NumPy arrays.
    "huber" (delta 1), "hinge" and "focal" (gamma 2) are those of `losses.py`; the last two take 0 and 1.
    Cross-entropy takes class numbers (B,), or rows of probabilities (B, O), as targets; of text also one
    class number for each position (B, T), where -100 marks those that do not count. BERT's pretraining
    has two logits, (B, T, V) and (B, 2), and targets (B, 1 + T) (eq-bert-loss).
    `clip` bounds the gradient norm (eq-clip); `seed` starts MLX's generator, for the dropout masks.
    Raises ValueError for an unknown loss or device, and at each call for a batch that does not fit."""

    def __init__(self, model, optimizer, loss="cross_entropy", device="cpu", clip=None, seed=0):
        self.model, self.optimizer, self.loss, self.clip = model, optimizer, check_loss(loss), clip
        self.device = resolve_device(device)
        mx.set_default_device(getattr(mx, self.device))
        mx.random.seed(seed)
        self.loss_and_gradients = nn.value_and_grad(model, self._loss)

    def step(self, batch, lr):
        """Update the parameters once -> loss before the update."""
        self.model.train()
        loss, gradients = self.loss_and_gradients(*self._arrays(batch))
        if self.clip is not None:
            gradients, _ = clip_gradients(gradients, self.clip)
        self.optimizer.step(lr, gradients)
        return loss.item()

    def gradients(self, batch):
        """(loss, {name: gradient}) of a step without dropout; nothing changes, running statistics neither."""
        with batch_statistics(self.model):
            loss, gradients = self.loss_and_gradients(*self._arrays(batch))
        return loss.item(), to_numpy(gradients)

    def evaluate(self, batch):
        """(loss, logits) without dropout, gradients or update."""
        self.model.eval()
        x, targets = self._arrays(batch)
        logits = self.model(x)
        return LOSSES[self.loss](logits, targets).item(), _to_numpy(logits)

    def predict(self, x):
        """Logits (B, O), of a model with an output at each position (B, T, V); a pair for "pretraining"."""
        check_inputs(x, self.model.config.inputs)
        self.model.eval()
        return _to_numpy(self.model(self._array(x)))

    def state(self):
        """{"model.*", "optimizer.*", "rng"}: all that a run needs to go on bit for bit."""
        rng = np.array(mx.random.state[0])
        return (
            with_prefix("model", self.model.state())
            | with_prefix("optimizer", self.optimizer.state())
            | {"rng": rng}
        )

    def load_state(self, state):
        """Go on from `state()`. Raises ValueError, and changes nothing, when the names or shapes differ."""
        check_learner_state(self.state(), state)
        self.model.load_state(without_prefix("model", state))
        self.optimizer.load_state(without_prefix("optimizer", state))
        # MLX's key is its 64-bit seed in two words; the state itself can't be assigned
        high, low = (int(word) for word in state["rng"])
        mx.random.seed(high << 32 | low)

    def _loss(self, x, targets):
        return LOSSES[self.loss](self.model(x), targets)

    def _arrays(self, batch):
        x, targets = batch
        check_batch(x, targets, self.model.config, self.loss)
        is_classes = self.loss == "cross_entropy" and targets.dtype.kind != "f"
        if is_classes or self.loss == "pretraining":
            return self._array(x), self._whole(targets)
        # (B, O), as the logits
        return self._array(x), self._floats(targets.reshape(len(targets), -1))

    def _array(self, x):
        is_text = isinstance(self.model.config.inputs, Tokens)
        return self._whole(x) if is_text else self._floats(x)

    def _whole(self, array):
        return mx.array(np.asarray(array, np.int32))

    def _floats(self, array):
        # MLX takes no negative strides, as in x[:, ::-1]
        return mx.array(np.ascontiguousarray(array)).astype(self.model.dtype)


def _to_numpy(logits):
    """Logits, or a pair of them, as NumPy arrays."""
    return tuple(map(np.array, logits)) if isinstance(logits, tuple) else np.array(logits)
