"""One training step: forward, loss, backward, update."""

import json

import numpy as np

from dlcourse.boundary import check_inputs, check_loss, check_targets
from dlcourse.numpy import functional as f
from dlcourse.numpy.device import resolve_device
from dlcourse.numpy.module import batch_statistics
from dlcourse.numpy.optim import clip_gradients
from dlcourse.state import check_learner_state, with_prefix, without_prefix

# By name, looked up at each call: a reader's own function may stand in (`check.use`).
LOSSES = {
    "cross_entropy": "cross_entropy",
    "binary_cross_entropy": "binary_cross_entropy",
    "mse": "mse_loss",
}


class Learner:
    """What the training loop drives: a model, its optimizer and a loss.

    The loss is "cross_entropy", "binary_cross_entropy" or "mse"; a batch is (x, targets), NumPy arrays.
    Cross-entropy takes class numbers (B,) or rows of probabilities (B, O) as targets.
    `clip` bounds the gradient norm (eq-clip); `seed` starts the generator of the dropout masks.
    Raises ValueError for an unknown loss or device, and at each call for a batch that does not fit."""

    def __init__(self, model, optimizer, loss="cross_entropy", device="cpu", clip=None, seed=0):
        self.model, self.optimizer, self.loss, self.clip = model, optimizer, check_loss(loss), clip
        self.device = resolve_device(device)
        self.rng = np.random.default_rng(seed)

    def step(self, batch, lr):
        """Update the parameters once -> loss before the update."""
        self.model.train()
        loss = self._gradients(batch, self.rng)
        if self.clip is not None:
            clip_gradients(self.model, self.clip)
        self.optimizer.step(lr)
        return loss

    def gradients(self, batch):
        """(loss, {name: gradient}) of a step without dropout; nothing changes, running statistics neither."""
        with batch_statistics(self.model):
            loss = self._gradients(batch, rng=None)
        return loss, self.model.gradients()

    def evaluate(self, batch):
        """(loss, logits) without dropout, gradients or update."""
        self.model.eval()
        logits, targets = self._forward(batch, rng=None)[0], self._targets(batch)
        return float(getattr(f, LOSSES[self.loss])(logits, targets)[0]), logits

    def predict(self, x):
        """Logits (B, O)."""
        check_inputs(x, self.model.config.inputs)
        self.model.eval()
        return self.model(np.asarray(x, self.model.dtype))[0]

    def state(self):
        """{"model.*", "optimizer.*", "rng"}: all that a run needs to go on bit for bit."""
        rng = np.frombuffer(json.dumps(self.rng.bit_generator.state).encode(), np.uint8)
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
        self.rng.bit_generator.state = json.loads(bytes(state["rng"]))

    def _gradients(self, batch, rng):
        (logits, backward), targets = self._forward(batch, rng), self._targets(batch)
        loss, loss_back = getattr(f, LOSSES[self.loss])(logits, targets)
        self.model.zero_gradients()
        backward(loss_back())
        return float(loss)

    def _forward(self, batch, rng):
        x, targets = batch
        check_inputs(x, self.model.config.inputs)
        check_targets(x, targets, self.model.config.outputs, self.loss)
        return self.model(np.asarray(x, self.model.dtype), rng)

    def _targets(self, batch):
        targets = batch[1]
        if self.loss == "cross_entropy" and targets.ndim == 1:
            return targets  # class numbers
        # (B, O), as the logits
        return targets.reshape(len(targets), -1).astype(self.model.dtype, copy=False)
