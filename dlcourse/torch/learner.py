"""One training step: forward, loss, backward, update."""

import numpy as np
import torch
import torch.nn.functional as F

from dlcourse.boundary import check_inputs, check_loss, check_targets
from dlcourse.state import check_learner_state, with_prefix, without_prefix
from dlcourse.torch.device import resolve_device
from dlcourse.torch.module import batch_statistics
from dlcourse.torch.optim import clip_gradients

LOSSES = {
    "cross_entropy": F.cross_entropy,
    "binary_cross_entropy": F.binary_cross_entropy_with_logits,
    "mse": F.mse_loss,
}

GENERATORS = {"cpu": torch, "cuda": torch.cuda, "mps": torch.mps}  # where their states are kept


class Learner:
    """What the training loop drives: a model, its optimizer and a loss.

    The loss is "cross_entropy", "binary_cross_entropy" or "mse"; a batch is (x, targets), NumPy arrays.
    Cross-entropy takes class numbers (B,) or rows of probabilities (B, O) as targets.
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
            return LOSSES[self.loss](logits, targets).item(), logits.numpy(force=True)

    def predict(self, x):
        """Logits (B, O)."""
        check_inputs(x, self.model.config.inputs)
        self.model.eval()
        with torch.inference_mode():
            return self.model(self._tensor(x)).numpy(force=True)

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
        check_inputs(x, self.model.config.inputs)
        check_targets(x, targets, self.model.config.outputs, self.loss)
        if self.loss == "cross_entropy" and targets.ndim == 1:  # class numbers
            return self._tensor(x), torch.from_numpy(np.asarray(targets, np.int64)).to(self.device)
        # (B, O), as the logits
        return self._tensor(x), self._tensor(targets.reshape(len(targets), -1))

    def _tensor(self, array):
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, self.model.dtype)
