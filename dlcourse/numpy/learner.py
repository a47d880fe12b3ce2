"""One training step: forward, loss, backward, update."""

import json

import numpy as np

from dlcourse.boundary import (
    IGNORED,
    Tokens,
    check_batch,
    check_inputs,
    check_loss,
    check_positions,
)
from dlcourse.numpy import functional as f
from dlcourse.numpy import losses
from dlcourse.numpy.device import resolve_device
from dlcourse.numpy.module import batch_statistics, parameters_only
from dlcourse.numpy.optim import clip_gradients
from dlcourse.numpy.workers import Workers
from dlcourse.state import check_learner_state, with_prefix, without_prefix

# By name, looked up at each call: a reader's own function may stand in (`check.use`).
LOSSES = {
    "cross_entropy": (f, "cross_entropy"),
    "binary_cross_entropy": (f, "binary_cross_entropy"),
    "mse": (f, "mse_loss"),
    "pretraining": (f, "pretraining_loss"),
    "huber": (losses, "huber_loss"),
    "hinge": (losses, "hinge_loss"),
    "focal": (losses, "focal_loss"),
}


class Learner:
    """What the training loop drives: a model, its optimizer and a loss.

    The loss is "cross_entropy", "binary_cross_entropy", "mse", "huber", "hinge", "focal" or "pretraining"; a batch is (x, targets), NumPy arrays.
    "huber" (delta 1), "hinge" and "focal" (gamma 2) are those of `losses.py`; the last two take 0 and 1.
    Cross-entropy takes class numbers (B,), or rows of probabilities (B, O), as targets; of text also one
    class number for each position (B, T), where -100 marks those that do not count. BERT's pretraining
    has two logits, (B, T, V) and (B, 2), and targets (B, 1 + T) (eq-bert-loss).
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
        if optimizer is not None:  # without one a learner can still predict
            optimizer.each = self.workers.each

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
        check_batch(*batch, self.model.config, self.loss)
        logits = self._logits(batch[0])
        return float(self._loss(logits, batch[1])[0]), logits

    def predict(self, x):
        """Logits (B, O), of a model with an output at each position (B, T, V); a pair for "pretraining"."""
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
        x, targets = batch
        check_batch(x, targets, self.model.config, self.loss)

        def work(model, part, share, rng):
            logits, backward = model(self._array(x[part]), rng)
            loss, loss_back = self._loss(logits, targets[part], self._weights(targets, part, share))
            with parameters_only(model):
                backward(loss_back())
            return float(loss)

        return sum(self.workers.run(work, len(x), rng))

    def _logits(self, x):
        def work(model, part, share, rng):
            return model(self._array(x[part]))[0]

        parts = self.workers.run(work, len(x), add=False)
        if len(parts) == 1:
            return parts[0]
        if self.loss == "pretraining":
            return tuple(np.concatenate(logits) for logits in zip(*parts, strict=True))
        return np.concatenate(parts)

    def _array(self, x):
        is_text = isinstance(self.model.config.inputs, Tokens)
        return np.asarray(x, np.intp if is_text else self.model.dtype)

    def _loss(self, logits, targets, weights=(1.0, 1.0)):
        """(loss, backward) of a batch, or of a part of it whose means count `weights` in those of the whole."""
        operation = getattr(*LOSSES[self.loss])
        if self.loss == "pretraining":
            return operation(*logits, targets, weights)
        if self._has_classes(targets):
            check_positions(targets, logits)
        else:  # (B, O), as the logits
            targets = targets.reshape(len(targets), -1)
        if weights[0] == 0:
            return 0.0, lambda: np.zeros_like(logits)
        loss, backward = operation(logits, targets)
        if weights[0] == 1:
            return loss, backward
        return float(loss) * weights[0], lambda: backward() * weights[0]

    def _weights(self, targets, part, share):
        """What the means over a part count in those over the batch: the share of its targets among those that count."""
        if self.loss == "pretraining":
            terms = targets[:, 1:], targets[:, 0]
        elif self._has_classes(targets):
            terms = (targets,)
        else:
            return (share,)
        # Python's floats: NumPy's float64 would turn all gradients of float32 into float64
        return [
            float(np.count_nonzero(t[part] != IGNORED) / np.count_nonzero(t != IGNORED))
            for t in terms
        ]

    def _has_classes(self, targets):
        return self.loss == "cross_entropy" and targets.dtype.kind != "f"
