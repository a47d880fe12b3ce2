"""One training step: forward, loss, backward, update."""

import numpy as np
import torch
import torch.nn.functional as F

from dlcourse.boundary import Tokens, check_batch, check_inputs, check_loss, check_positions
from dlcourse.state import check_learner_state, with_prefix, without_prefix
from dlcourse.torch import losses
from dlcourse.torch.device import resolve_device
from dlcourse.torch.module import batch_statistics
from dlcourse.torch.optim import clip_gradients


def _cross_entropy(logits, targets):
    """PyTorch wants the classes on the second axis: positions become rows. It leaves out targets of -100 by itself."""
    if targets.is_floating_point():
        return F.cross_entropy(logits, targets)
    check_positions(targets, logits)
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


def _pretraining_loss(logits, targets):
    words, follows = logits
    return _cross_entropy(words, targets[:, 1:]) + _cross_entropy(follows, targets[:, 0])


LOSSES = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": F.binary_cross_entropy_with_logits,
    "mse": F.mse_loss,
    "pretraining": _pretraining_loss,
    "huber": losses.huber_loss,
    "hinge": losses.hinge_loss,
    "focal": losses.focal_loss,
}

GENERATORS = {"cpu": torch, "cuda": torch.cuda, "mps": torch.mps}  # where their states are kept


class Learner:
    """What the training loop drives: a model, its optimizer and a loss.

    The loss is "cross_entropy", "binary_cross_entropy", "mse", "huber", "hinge", "focal" or "pretraining"; a batch is (x, targets), NumPy arrays.
    "huber" (delta 1), "hinge" and "focal" (gamma 2) are those of `losses.py`; the last two take 0 and 1.
    Cross-entropy takes class numbers (B,), or rows of probabilities (B, O), as targets; of text also one
    class number for each position (B, T), where -100 marks those that do not count. BERT's pretraining
    has two logits, (B, T, V) and (B, 2), and targets (B, 1 + T) (eq-bert-loss).
    `clip` bounds the gradient norm (eq-clip); `seed` starts PyTorch's generator, for the dropout masks.
    Raises ValueError for an unknown loss or device, and at each call for a batch that does not fit."""

    def __init__(self, model, optimizer, loss="cross_entropy", device="cpu", clip=None, seed=0):
        self.optimizer, self.loss, self.clip = optimizer, check_loss(loss), clip
        self.device = resolve_device(device)
        self.model = model.to(self.device)
        torch.manual_seed(seed)

    def step(self, batch, lr):
        """Update the parameters once -> loss before the update."""
        self.model.train()
        loss = self._gradients(batch)
        if self.clip is not None:
            clip_gradients(self.model, self.clip)
        self.optimizer.step(lr)
        return loss

    def gradients(self, batch):
        """(loss, {name: gradient}) of a step without dropout; nothing changes, running statistics neither."""
        with batch_statistics(self.model):
            loss = self._gradients(batch)
        return loss, self.model.gradients()

    def evaluate(self, batch):
        """(loss, logits) without dropout, gradients or update."""
        self.model.eval()
        x, targets = self._tensors(batch)
        with torch.inference_mode():
            logits = self.model(x)
            return LOSSES[self.loss](logits, targets).item(), _to_numpy(logits)

    def predict(self, x):
        """Logits (B, O), of a model with an output at each position (B, T, V); a pair for "pretraining"."""
        check_inputs(x, self.model.config.inputs)
        self.model.eval()
        with torch.inference_mode():
            return _to_numpy(self.model(self._tensor(x)))

    def state(self):
        """{"model.*", "optimizer.*", "rng"}: all that a run needs to go on bit for bit."""
        rng = GENERATORS[self.device].get_rng_state()
        return (
            with_prefix("model", self.model.state())
            | with_prefix("optimizer", self.optimizer.state())
            | {"rng": rng.numpy()}
        )

    def load_state(self, state):
        """Go on from `state()`. Raises ValueError, and changes nothing, when the names or shapes differ."""
        check_learner_state(self.state(), state)
        self.model.load_state(without_prefix("model", state))
        self.optimizer.load_state(without_prefix("optimizer", state))
        GENERATORS[self.device].set_rng_state(torch.from_numpy(np.array(state["rng"])))

    def _gradients(self, batch):
        x, targets = self._tensors(batch)
        loss = LOSSES[self.loss](self.model(x), targets)
        self.model.zero_grad()
        loss.backward()
        return loss.item()

    def _tensors(self, batch):
        x, targets = batch
        check_batch(x, targets, self.model.config, self.loss)
        is_classes = self.loss == "cross_entropy" and targets.dtype.kind != "f"
        if is_classes or self.loss == "pretraining":
            return self._tensor(x), self._whole(targets)
        # (B, O), as the logits
        return self._tensor(x), self._floats(targets.reshape(len(targets), -1))

    def _tensor(self, x):
        is_text = isinstance(self.model.config.inputs, Tokens)
        return self._whole(x) if is_text else self._floats(x)

    def _whole(self, array):
        # a copy: windows of a text are read-only views, which PyTorch warns of
        return torch.from_numpy(np.array(array, np.int64, order="C")).to(self.device)

    def _floats(self, array):
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, self.model.dtype)


def _to_numpy(logits):
    """Logits, or a pair of them, as NumPy arrays."""
    if isinstance(logits, tuple):
        return tuple(part.numpy(force=True) for part in logits)
    return logits.numpy(force=True)
