"""Cross-entropy of soft targets in the learners: the three backends agree, one-hot rows give what integers give, anything else is refused."""

import numpy as np
import pytest

import dlcourse
from dlcourse.config import MLPConfig
from dlcourse.data.augment import smooth
from dlcourse.initial import initial_state
from dlcourse.state import compare

CONFIG = MLPConfig(6, (16, 8), 4, "tanh")
each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)
PAIRS = [("torch", np.float64, 1e-10), ("torch", np.float32, 1e-5), ("mlx", np.float32, 1e-5)]


def learner_of(backend, dtype=np.float32, loss="cross_entropy"):
    package = dlcourse.backend(backend)
    model = package.MLP(CONFIG)
    model.load_state(initial_state(CONFIG, 0, dtype))
    return package.Learner(model, package.Adam(model), loss=loss)


def batch(rng, dtype=np.float32, size=12):
    return rng.normal(size=(size, 6)).astype(dtype), rng.dirichlet(np.ones(4), size=size).astype(dtype)


def everything(learner, batches):
    """Loss, logits and gradients of the first batch, then losses and parameters of ten steps."""
    loss, gradients = learner.gradients(batches[0])
    found = {"loss": loss, "evaluated": learner.evaluate(batches[0])[0]} | {f"gradient {name}": g for name, g in gradients.items()}
    found |= {f"step {i}": learner.step(one, 1e-3) for i, one in enumerate(batches)}
    return found | {f"after: {name}": array for name, array in learner.model.state().items()}


@pytest.mark.parametrize(("backend", "dtype", "tolerance"), PAIRS, ids=[f"{name}-{np.dtype(dtype)}" for name, dtype, _ in PAIRS])
def test_parity(backend, dtype, tolerance, rng):
    batches = [batch(rng, dtype) for _ in range(10)]
    theirs, ours = (everything(learner_of(name, dtype), batches) for name in (backend, "numpy"))
    compare(theirs, ours).check(tolerance)


@each_backend
def test_one_hot_rows_give_what_integers_give(backend, rng):
    x, labels = rng.normal(size=(12, 6)).astype(np.float32), rng.integers(0, 4, size=12)
    for dtype in (np.float32, np.float64):
        hard, soft = (everything(learner_of(backend), [(x, y)] * 3) for y in (labels, np.eye(4, dtype=dtype)[labels]))
        compare(soft, hard).check(1e-5)


@each_backend
def test_smoothing_the_labels_is_label_smoothing(backend, rng):
    """-log p of the label weighs 1 - e, the mean of -log p over the classes e."""
    x, labels = rng.normal(size=(12, 1, 6, 1)).astype(np.float32), rng.integers(0, 4, size=12)
    learner = learner_of(backend)
    loss, logits = learner.evaluate(smooth(0.2, classes=4)(x, labels, rng))
    log_p = logits - np.log(np.exp(logits.astype(float)).sum(axis=1, keepdims=True))
    assert abs(loss + (0.8 * log_p[np.arange(12), labels] + 0.2 * log_p.mean(axis=1)).mean()) < 1e-5


REFUSED = {
    "too few classes": (
        np.full((12, 3), 1 / 3),
        "soft targets of shape (12, 3) and dtype float64 do not fit 4 classes: pass floats of shape",
    ),
    "sums of 2": (np.full((12, 4), 0.5), "12 of 12 soft targets are no probabilities (the first sums to 2, its smallest entry is 0.5)"),
    "negative": (np.tile([1.5, -0.5, 0.0, 0.0], (12, 1)), "its smallest entry is -0.5): each row must not be negative and sum to 1"),
    "NaN": (np.tile([np.nan, 0.5, 0.5, 0.0], (12, 1)), "12 of 12 soft targets are no probabilities"),
    "integers": (np.eye(4, dtype=int)[[0] * 12], "not int64 of shape (12, 4); soft targets are floats of shape (12, 4)"),
}


@pytest.mark.parametrize("case", REFUSED)
@each_backend
def test_refused(backend, case, rng):
    targets, sentence = REFUSED[case]
    learner = learner_of(backend)
    before = learner.state()
    for call in (learner.evaluate, learner.gradients, lambda given: learner.step(given, 0.1)):
        with pytest.raises(ValueError) as caught:
            call((batch(rng)[0], targets))
        assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert all(np.array_equal(before[name], array) for name, array in learner.state().items())
