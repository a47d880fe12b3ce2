"""The one training loop of all models and backends."""

import contextlib
import importlib.util
import itertools
import json
import math
import platform
import sys
import time
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

import dlcourse
from dlcourse import metrics, state
from dlcourse.boundary import NUMBERS, Tokens, check_batch, counted
from dlcourse.data.augment import describe
from dlcourse.data.batches import Batches
from dlcourse.errors import need
from dlcourse.schedule import constant

CHECKPOINT = "checkpoint.safetensors"  # its name in the folder of a run


@dataclass
class History:
    """What happened, one entry an epoch. `accuracy` is that of the validation set; without one, it and `validation_loss` stay empty."""

    # mean over the epoch's training examples, dropout included
    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)  # of the epoch's last step
    seconds: list[float] = field(default_factory=list)  # training and validation

    def __len__(self):
        return len(self.loss)

    @property
    def best(self):
        """The epoch with the smallest validation loss (training loss without validation): {"epoch": from 1, "loss": ...}; None before the first."""
        watched = self.validation_loss or self.loss
        return (
            {"epoch": int(np.argmin(watched)) + 1, **self._row(int(np.argmin(watched)))}
            if watched
            else None
        )

    def _row(self, i):
        return {name: values[i] for name, values in vars(self).items() if i < len(values)}

    def _append(self, **row):
        for name, value in row.items():
            getattr(self, name).append(value)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during training; the text says what is saved and how to go on."""


def fit(
    learner,
    data,
    *,
    epochs,
    batch_size=64,
    schedule=1e-3,
    seed=0,
    validation=None,
    patience=None,
    folder=None,
    resume=False,
    progress="auto",
    report=None,
    settings=None,
    augment=(),
    steps=None,
):
    """Train `learner` on `data`, a Dataset or a pair (x, y) -> History.

    schedule: a learning rate, or a function (step, total steps) -> learning rate; `seed` starts the generator that orders the mini-batches.
    validation: a pair (x, y), measured after each epoch; a Dataset brings its own. With `patience`, training stops after so many epochs
    without a smaller validation loss, and the best weights are restored.
    augment: changes of `dlcourse.data.augment`, made to each training batch with that generator; never to the validation set.
    steps: at most so many batches an epoch, drawn at random: a long text has as many windows as tokens.
    folder: after each epoch a checkpoint is written there; `resume=True` goes on from it, on the same machine bit for bit, or starts when there
    is none. `settings` (what JSON can hold) is recorded in it, and must agree when training is resumed.
    progress: "auto" shows a bar on a terminal only. report: called with (epoch, {"loss": ...}) after each epoch.

    Raises ValueError for data that does not fit the model or holds NaN, or a checkpoint of other settings; RuntimeError when the loss is not
    finite; OSError when the folder can't be written; Interrupted on Ctrl-C. The last checkpoint stays whole in every case."""
    train, validation = _splits(data, validation)
    for name, split in (("training", train), ("validation", validation)):
        if split is not None:
            _check_split(name, *split, learner)
    if epochs < 1:
        raise ValueError(f"epochs={epochs}: train for at least 1")
    if patience is not None and (patience < 1 or validation is None):
        raise ValueError(
            f"patience={patience} needs validation data and at least 1 epoch: pass validation=(x, y) and patience=1 or more"
        )
    if resume and folder is None:
        raise ValueError("resume=True needs the folder that holds the checkpoint: pass folder=...")
    schedule = constant(schedule) if isinstance(schedule, int | float) else schedule
    batches = Batches(*train, batch_size, np.random.default_rng(seed), augment=augment, steps=steps)
    run = _describe(learner, batches, seed, schedule, epochs, settings)
    history, best = History(), None
    path = None if folder is None else Path(folder) / CHECKPOINT
    if path is not None and path.exists():
        if not resume:
            raise ValueError(
                f"{path} holds an earlier run: pass resume=True (--resume) to go on with it, or choose another folder"
            )
        history, best = _restore(path, learner, batches, run)
    elif path is not None:
        # a folder that can't be written is found before the work, not after it
        _save(path, learner, best, batches, history, run)

    steps, saved = len(batches), (len(history), learner.state())
    try:
        with (
            _bar(progress, epochs * steps, len(history) * steps) as bar,
            np.errstate(over="ignore", invalid="ignore"),
        ):
            while len(history) < epochs and not _is_patience_over(history, patience):
                row = _epoch(learner, batches, validation, schedule, len(history), epochs, bar)
                history._append(**row)
                if patience is not None and history.best["epoch"] == len(history):
                    best = learner.model.state()
                if path is not None:
                    _save(path, learner, best, batches, history, run)
                saved = len(history), learner.state()
                if report is not None:
                    report(len(history), row)
    except KeyboardInterrupt:
        learner.load_state(saved[1])  # an update may be half done: back to the last whole epoch
        kept = (
            f"pass resume=True (--resume) to go on from {path}"
            if path is not None
            else "pass folder=... next time to be able to go on"
        )
        raise Interrupted(f"stopped after {saved[0]} of {epochs} epochs: {kept}") from None
    if best is not None:
        learner.model.load_state(best)
    return history


def evaluate(learner, data, batch_size=None):
    """Mean loss and accuracy over a pair (x, y), without dropout -> (loss, accuracy), over the positions that count where targets have positions.

    The accuracy is NaN for the losses "mse" and "huber" and for soft targets. For "pretraining" both are means over the hidden tokens.
    `batch_size` None means 1000 examples, or 4096 tokens: only the logits of one batch are held."""
    x, y = data
    if len(x) == 0:
        raise ValueError("there are no examples to measure on: pass at least one")
    if batch_size is None:
        is_text = isinstance(learner.model.config.inputs, Tokens)
        batch_size = max(1, 4096 // x.shape[1]) if is_text else 1000
    losses, counts, right = [], [], 0
    is_soft = learner.loss == "cross_entropy" and y.dtype.kind == "f"
    for start in range(0, len(x), batch_size):
        part = slice(start, start + batch_size)
        targets, count = y[part], counted(y[part], learner.loss)
        if count == 0:  # a batch of which no position counts
            continue
        loss, logits = learner.evaluate((x[part], targets))
        if learner.loss == "pretraining":
            logits, targets = logits[0], targets[:, 1:]
        if learner.loss not in NUMBERS and not is_soft:
            right += metrics.right(logits, targets)
        losses.append(loss * count)
        counts.append(count)
    if not counts:
        raise ValueError("no target to average over: all are -100")
    total = sum(counts)
    accuracy = math.nan if learner.loss in NUMBERS or is_soft else right / total
    return float(np.sum(losses) / total), accuracy


def range_test(
    learner,
    data,
    *,
    lowest=1e-5,
    highest=10.0,
    steps=100,
    batch_size=64,
    smoothing=0.9,
    seed=0,
):
    """Train while the learning rate grows from `lowest` to `highest` by one factor a step -> (rates, losses), arrays  (eq-range-test; Smith 2015).

    data: a Dataset, of which the training set is taken, or a pair (x, y). A loss is that of the batch before its step, smoothed by a running mean
    which is corrected as Adam's (eq-adam-bias). The test ends early where the smoothed loss exceeds four times its smallest or is not finite:
    so many rates come back. Afterwards the learner is what it was.

    Raises ValueError unless 0 < lowest < highest and there are 2 steps or more."""
    if not 0.0 < lowest < highest < math.inf:
        raise ValueError(
            f"lowest={lowest}, highest={highest}: take two numbers above 0, the smaller first"
        )
    if steps < 2 or not 0.0 <= smoothing < 1.0:
        raise ValueError(
            f"steps={steps}, smoothing={smoothing}: take at least 2 steps, and smoothing at least 0 and below 1"
        )
    train, _ = _splits(data, None)
    _check_split("training", *train, learner)
    batches = Batches(*train, batch_size, np.random.default_rng(seed))
    before, rates, losses, mean = learner.state(), [], [], 0.0
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            epochs = itertools.chain.from_iterable(itertools.repeat(batches))
            for i, batch in zip(range(steps), epochs, strict=False):
                lr = lowest * (highest / lowest) ** (i / (steps - 1))
                mean = smoothing * mean + (1.0 - smoothing) * learner.step(batch, lr)
                loss = mean / (1.0 - smoothing ** (i + 1))
                if not math.isfinite(loss) or (losses and loss > 4.0 * min(losses)):
                    break
                rates.append(lr)
                losses.append(loss)
    finally:
        learner.load_state(before)
    return np.array(rates), np.array(losses)


def _epoch(learner, batches, validation, schedule, epoch, epochs, bar):
    """Train over all batches once -> the row for the history."""
    start, total, seen, steps = time.perf_counter(), 0.0, 0, len(batches)
    for i, batch in enumerate(batches):
        step = epoch * steps + i
        lr = schedule(step, epochs * steps)
        loss = learner.step(batch, lr)
        if not math.isfinite(loss):
            raise RuntimeError(_not_finite(f"the loss is {loss}", step + 1, epoch, lr))
        count = counted(batch[1], learner.loss)
        total, seen = total + loss * count, seen + count
        if bar is not None:
            bar.update()
    # the last step may have broken them
    if not all(np.isfinite(array).all() for array in learner.model.state().values()):
        raise RuntimeError(_not_finite("a weight is not finite", step + 1, epoch, lr))
    row = {"loss": total / seen, "lr": lr}
    if validation is not None:
        row["validation_loss"], row["accuracy"] = evaluate(learner, validation)
        if not math.isfinite(row["validation_loss"]):
            raise RuntimeError(
                _not_finite(f"the validation loss is {row['validation_loss']}", step + 1, epoch, lr)
            )
        if bar is not None:
            bar.set_postfix_str(
                f"loss {row['loss']:.4f}, validation {row['validation_loss']:.4f}, accuracy {row['accuracy']:.4f}"
            )
    return row | {"seconds": time.perf_counter() - start}


def _not_finite(what, step, epoch, lr):
    return f"{what} at step {step} (epoch {epoch + 1}, learning rate {lr:g}): lower the learning rate or clip the gradients (Learner(clip=1.0))"


def _is_patience_over(history, patience):
    return (
        patience is not None
        and len(history) > 0
        and len(history) - history.best["epoch"] >= patience
    )


# ---------------------------------------------------------------- the data


def _splits(data, validation):
    if hasattr(data, "train"):
        return data.train, data.validation if validation is None else validation
    return data, validation


def _check_split(name, x, y, learner):
    if len(x) == 0:
        raise ValueError(f"the {name} set is empty: check how it was loaded or filtered")
    check_batch(x, y, learner.model.config, learner.loss)
    for what, array in (("inputs", x), ("targets", y)):
        if array.dtype.kind in "iub":  # whole numbers hold neither
            continue
        bad = len(array) - np.count_nonzero(np.isfinite(array).reshape(len(array), -1).all(axis=1))
        if bad:
            raise ValueError(
                f"{bad} of {len(array)} {name} examples hold NaN or infinity in their {what}: remove or repair them before training"
            )


# ---------------------------------------------------------------- checkpoints


def _describe(learner, batches, seed, schedule, epochs, settings):
    """What defines the run: two runs may share a checkpoint only where all of this agrees."""
    run = {f"config.{name}": value for name, value in asdict(learner.model.config).items()}
    run |= {
        "model": type(learner.model).__name__,
        "backend": type(learner).__module__.split(".")[1],
        "loss": learner.loss,
        "clip": learner.clip,
    }
    if learner.model.frozen:
        run["frozen"] = list(learner.model.frozen)
    run |= {
        "optimizer": type(learner.optimizer).__name__,
        "batch_size": batches.batch_size,
        "seed": seed,
        "examples": len(batches.x),
    }
    # other data of the same size is another run
    run |= {"checksum of the targets": _checksum(batches.y)}
    run |= {
        "schedule": repr(schedule)
        if hasattr(schedule, "__dataclass_fields__")
        else getattr(schedule, "__name__", type(schedule).__name__)
    }
    if batches.steps is not None:
        run["steps"] = batches.steps
    if batches.augment:  # a run without any agrees with the checkpoints of earlier versions
        run["augment"] = ", ".join(describe(change) for change in batches.augment)
    if not isinstance(schedule, constant):
        run["epochs"] = (
            epochs  # the others stretch over the whole run; with a constant rate more epochs are just more
        )
    # as it will be read back: lists for tuples
    return json.loads(json.dumps(run | (settings or {})))


def _checksum(array, rows=10_000):
    """CRC-32 of the array's bytes, by parts: the windows of a long text would not fit into memory."""
    checksum = 0
    for start in range(0, len(array), rows):
        checksum = zlib.crc32(np.ascontiguousarray(array[start : start + rows]), checksum)
    return checksum


def versions(backend):
    """{package: version} of what a result of this backend depends on."""
    found = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "dlcourse": dlcourse.__version__,
    }
    if backend != "numpy":
        found[backend] = need(
            backend if backend == "torch" else "mlx.core", extra=backend
        ).__version__
    return {name: str(version) for name, version in found.items()}


def _save(path, learner, best, batches, history, run):
    about = {
        "format": 1,
        "run": run,
        "history": asdict(history),
        "batches": batches.state(),
        "versions": versions(run["backend"]),
    }
    about |= {"epoch": len(history), "step": len(history) * len(batches)}
    state.save(
        path, learner.state() | state.with_prefix("best", best or {}), {"about": json.dumps(about)}
    )


def _restore(path, learner, batches, run):
    """Load the checkpoint into learner and batches -> (history, best weights or None)."""
    try:
        about = json.loads(state.load_metadata(path)["about"])
        recorded, history, generator = about["run"], History(**about["history"]), about["batches"]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not a checkpoint of dlcourse.train: choose another folder"
        ) from error
    missing = object()
    differing = [
        key for key in recorded | run if recorded.get(key, missing) != run.get(key, missing)
    ]
    if differing:
        pairs = ", ".join(
            f"{key} = {recorded.get(key, 'none')} (now {run.get(key, 'none')})" for key in differing
        )
        raise ValueError(
            f"{path} belongs to a run with {pairs}: use the same settings, or choose another folder"
        )
    arrays = state.load(path)
    best = state.without_prefix("best", arrays)
    learner.load_state(
        {name: array for name, array in arrays.items() if not name.startswith("best.")}
    )
    batches.load_state(generator)
    return history, best or None


# ---------------------------------------------------------------- progress


def _bar(progress, total, done):
    """A tqdm bar on a terminal; silent elsewhere, so that notebooks store none."""
    wanted = (
        sys.stderr.isatty() and importlib.util.find_spec("tqdm") is not None
        if progress == "auto"
        else progress
    )
    return (
        need("tqdm", extra="data").tqdm(total=total, initial=done, unit=" steps", leave=False)
        if wanted
        else contextlib.nullcontext()
    )
