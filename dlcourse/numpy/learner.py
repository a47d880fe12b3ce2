"""One training step: forward, loss, backward, update."""

import json

import numpy as np

from dlcourse.boundary import check_inputs, check_loss, check_targets
from dlcourse.numpy import functional as f
from dlcourse.numpy.device import resolve_device
from dlcourse.numpy.module import batch_statistics, parameters_only
from dlcourse.numpy.optim import clip_gradients
from dlcourse.numpy.workers import Workers
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
    `workers` threads share a batch, with the same result up to rounding (`workers.py`).
    Raises ValueError for an unknown loss or device, and at each call for a batch that does not fit."""

    def __init__(
        self, model, optimizer, loss="cross_entropy", device="cpu", clip=None, seed=0, workers=1
    ):
        self.model, self.optimizer, self.loss, self.clip = model, optimizer, check_loss(loss), clip
        self.device = resolve_device(device)
        self.rng = np.random.default_rng(seed)
        self.workers = Workers(model, workers)

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
        self._check(batch)
        logits = self._logits(batch[0])
        return float(self._loss(logits, batch[1])[0]), logits

    def predict(self, x):
        """Logits (B, O)."""
        check_inputs(x, self.model.config.inputs)
        self.model.eval()
        return self._logits(x)

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
        """The loss; the gradients are in the model afterwards."""
        self._check(batch)
        x, targets = batch

        def work(model, part, share, rng):
            logits, backward = model(np.asarray(x[part], model.dtype), rng)
            loss, loss_back = self._loss(logits, targets[part])
            model.zero_gradients()
            dlogits = loss_back()
            with parameters_only(model):
                backward(dlogits if share == 1 else dlogits * share)
            return float(loss) * share

        return sum(self.workers.run(work, len(x), rng))

    def _logits(self, x):
        def work(model, part, share, rng):
            return model(np.asarray(x[part], model.dtype))[0]

        parts = self.workers.run(work, len(x), add=False)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _check(self, batch):
        check_inputs(batch[0], self.model.config.inputs)
        check_targets(*batch, self.model.config.outputs, self.loss)

    def _loss(self, logits, targets):
        if self.loss != "cross_entropy" or targets.ndim > 1:  # else class numbers
            # (B, O), as the logits
            targets = targets.reshape(len(targets), -1).astype(logits.dtype, copy=False)
        return getattr(f, LOSSES[self.loss])(logits, targets)
