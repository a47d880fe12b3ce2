"""One training step: forward, loss, backward, update."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np

from dlcourse.boundary import check_inputs, check_loss, check_targets
from dlcourse.mlx.device import resolve_device
from dlcourse.mlx.module import batch_statistics, to_numpy
from dlcourse.mlx.optim import clip_gradients
from dlcourse.state import check_learner_state, with_prefix, without_prefix

LOSSES = {
    "cross_entropy": nn.losses.cross_entropy,
    "binary_cross_entropy": nn.losses.binary_cross_entropy,  # from logits by default
    "mse": nn.losses.mse_loss,
}


class Learner:
    """What the training loop drives: a model, its optimizer and a loss.

    The loss is "cross_entropy", "binary_cross_entropy" or "mse"; a batch is (x, targets), NumPy arrays.
    Cross-entropy takes class numbers (B,) or rows of probabilities (B, O) as targets.
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
        return LOSSES[self.loss](logits, targets, reduction="mean").item(), np.array(logits)

    def predict(self, x):
        """Logits (B, O)."""
        check_inputs(x, self.model.config.inputs)
        self.model.eval()
        return np.array(self.model(self._array(x)))

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
        # MLX does not reduce cross-entropy by default
        return LOSSES[self.loss](self.model(x), targets, reduction="mean")

    def _arrays(self, batch):
        x, targets = batch
        check_inputs(x, self.model.config.inputs)
        check_targets(x, targets, self.model.config.outputs, self.loss)
        if self.loss == "cross_entropy" and targets.ndim == 1:  # class numbers
            return self._array(x), mx.array(np.asarray(targets, np.int32))
        return self._array(x), self._array(targets.reshape(len(targets), -1))  # (B, O)

    def _array(self, array):
        return mx.array(np.asarray(array)).astype(self.model.dtype)
