"""What all models of text share: tokens stay whole numbers, targets may belong to positions, -100 does not count. The three backends agree."""

import math

import numpy as np
import pytest

import dlcourse
from dlcourse import train
from dlcourse.boundary import IGNORED
from dlcourse.data import Split
from dlcourse.state import compare
from tests.backends.tokens import BagConfig, learner_of

each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)
PAIRS = [("torch", np.float64, 1e-10), ("torch", np.float32, 1e-5), ("mlx", np.float32, 1e-5)]
each_pair = pytest.mark.parametrize(("backend", "dtype", "tolerance"), PAIRS, ids=[f"{name}-{np.dtype(dtype)}" for name, dtype, _ in PAIRS])
PRETRAINING = BagConfig(pretraining=True)


def batch(rng, config, size=6, length=5):
    """Tokens and their targets, about half of which do not count."""
    x, y = (rng.integers(0, config.vocab, size=(size, length)) for _ in range(2))
    y[rng.random(y.shape) < 0.5] = IGNORED
    y[0, 0] = 3
    return x, np.concatenate([rng.integers(0, 2, size=(size, 1)), y], axis=1) if config.pretraining else y


def mean_loss(logits, targets):
    """-log p of the targets that count, one by one."""
    found = []
    for row, label in zip(logits.reshape(-1, logits.shape[-1]).astype(float), targets.reshape(-1), strict=True):
        if label != IGNORED:
            found.append(math.log(sum(math.exp(z) for z in row)) - row[label])
    return sum(found) / len(found)


def everything(learner, batches):
    loss, gradients = learner.gradients(batches[0])
    evaluated, logits = learner.evaluate(batches[0])
    logits = logits if isinstance(logits, tuple) else (logits,)
    found = {"loss": loss, "evaluated": evaluated} | {f"gradient {name}": g for name, g in gradients.items()}
    found |= {f"logits {i}": one for i, one in enumerate(logits)}
    found |= {f"step {i}": learner.step(one, 1e-2) for i, one in enumerate(batches)}
    return found | {f"after: {name}": array for name, array in learner.model.state().items()}


@pytest.mark.parametrize("config", [BagConfig(), PRETRAINING], ids=["positions", "pretraining"])
@each_pair
def test_parity(backend, dtype, tolerance, config, rng, record_parity):
    batches = [batch(rng, config) for _ in range(10)]
    theirs, ours = (everything(learner_of(name, config, dtype), batches) for name in (backend, "numpy"))
    found = compare(theirs, ours).check(tolerance)
    if dtype == np.float64:
        record_parity(f"tokens ({backend})", found.worst[2])


@each_backend
def test_the_loss_is_the_mean_over_the_positions_that_count(backend, rng):
    learner, (x, y) = learner_of(backend), batch(rng, BagConfig())
    loss, logits = learner.evaluate((x, y))
    assert logits.shape == (6, 5, 7)
    assert loss == pytest.approx(mean_loss(logits, y), rel=1e-5)
    assert learner.step((x, y), 0.0) == pytest.approx(loss, rel=1e-6)


@each_backend
def test_the_pretraining_loss_is_the_sum_of_two_means(backend, rng):
    learner, (x, y) = learner_of(backend, PRETRAINING), batch(rng, PRETRAINING)
    loss, (words, follows) = learner.evaluate((x, y))
    assert words.shape == (6, 5, 7) and follows.shape == (6, 2)
    assert loss == pytest.approx(mean_loss(words, y[:, 1:]) + mean_loss(follows, y[:, 0]), rel=1e-5)
    assert [array.shape for array in learner.predict(x)] == [(6, 5, 7), (6, 2)]


@each_backend
def test_tokens_of_any_whole_dtype(backend, rng):
    learner, (x, y) = learner_of(backend), batch(rng, BagConfig())
    expected = learner.evaluate((x, y))[1]
    for dtype in (np.uint8, np.uint16, np.int32):
        assert np.array_equal(learner.evaluate((x.astype(dtype), y.astype(np.int16)))[1], expected)
    view = np.lib.stride_tricks.sliding_window_view(x.reshape(-1), 5)
    assert np.array_equal(learner.predict(view), learner.predict(view.copy()))


@pytest.mark.parametrize("workers", [2, 3, 6])
@pytest.mark.parametrize("config", [BagConfig(), PRETRAINING], ids=["positions", "pretraining"])
def test_workers_weigh_their_parts_by_what_counts(config, workers, rng):
    """Also where nothing counts in a part."""
    x, y = batch(rng, config)
    first = 1 if config.pretraining else 0
    y[3:, first:] = IGNORED
    y[2, first:] = 4
    one, many = (learner_of("numpy", config, np.float64, workers=count) for count in (1, workers))
    compare(everything(many, [(x, y)] * 3), everything(one, [(x, y)] * 3)).check(1e-10)


REFUSED = {
    "floats": (lambda x: x.astype(float), "x holds float64, but tokens are whole numbers: pass what the tokeniser's encode returns"),
    "one sequence": (lambda x: x[0], "x has shape (5,) but tokens are (B, T): a single sequence needs x[None]"),
    "one-hot": (lambda x: np.eye(7, dtype=int)[x], "x has shape (6, 5, 7) but tokens are (B, T)"),
    "no sequence": (lambda x: x[:0], "the batch is empty (x has shape (0, 5)): pass at least one example of at least one token"),
    "no token": (lambda x: x[:, :0], "the batch is empty (x has shape (6, 0)): pass at least one example of at least one token"),
    "too large": (
        lambda x: np.where(np.eye(6, 5, dtype=bool), 9, x),
        "token 9 but vocab is 7: build the model with vocab=10, or encode with this model's tokeniser",
    ),
    "negative": (lambda x: x - 100, "is negative: tokens are 0 ... 6"),
    "too long": (
        lambda x: np.tile(x, 2),
        "x holds sequences of 10 tokens but the context is 5: pass x[:, -5:], or build the model with context=10",
    ),
}


def refusals(learner, x, y, sentence):
    before = learner.state()
    for call in (learner.gradients, learner.evaluate, lambda given: learner.step(given, 0.1)):
        with pytest.raises(ValueError) as caught:
            call((x, y))
        assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert all(np.array_equal(before[name], array) for name, array in learner.state().items()), "a refused batch changed something"


@pytest.mark.parametrize("case", REFUSED)
@each_backend
def test_refused_tokens(backend, case, rng):
    change, sentence = REFUSED[case]
    learner, (x, y) = learner_of(backend), batch(rng, BagConfig())
    refusals(learner, change(x), y, sentence)
    with pytest.raises(ValueError) as caught:
        learner.predict(change(x))
    assert sentence in str(caught.value)


@each_backend
def test_any_length_without_a_context(backend, rng):
    config = BagConfig(context=None)
    for length in (1, 3, 40):
        assert learner_of(backend, config).predict(batch(rng, config, 2, length)[0]).shape == (2, length, 7)


REFUSED_TARGETS = {
    "too large": (lambda y: np.where(y == IGNORED, 7, y), "to 7 but the model has 7 classes: they must lie in 0 ... 6, or be -100"),
    "negative": (lambda y: np.where(y == IGNORED, -1, y), "targets run from -1 to"),
    "none counts": (lambda y: np.full_like(y, IGNORED), "no target to average over: all targets are -100"),
    "too few": (lambda y: y[:4], "6 examples but 4 targets: each example needs one"),
    "too short": (lambda y: y[:, :4], "targets of shape (6, 4) do not fit logits of shape (6, 5, 7): pass one class number for each row"),
    "of sequences": (lambda y: y[:, 0], "targets of shape (6,) do not fit logits of shape (6, 5, 7)"),
    "floats": (lambda y: y.astype(float), "soft targets of shape (6, 5) and dtype float64 do not fit 7 classes"),
    "three axes": (lambda y: y[..., None], "targets are int64 of shape (6, 5, 1): pass whole class numbers"),
}


@pytest.mark.parametrize("case", REFUSED_TARGETS)
@each_backend
def test_refused_targets(backend, case, rng):
    change, sentence = REFUSED_TARGETS[case]
    x, y = batch(rng, BagConfig())
    refusals(learner_of(backend), x, change(y), sentence)


REFUSED_PRETRAINING = {
    "no first column": (lambda y: y[:, 1:], "do not fit pretraining on x of shape (6, 5): pass (B, 1 + T)"),
    "follows 2": (lambda y: np.concatenate([y[:, :1] + 2, y[:, 1:]], axis=1), "next-sentence labels run from"),
    "nothing hidden": (
        lambda y: np.where(np.arange(6) > 0, IGNORED, y),
        "no target to average over: all hidden tokens are -100",
    ),
}


@pytest.mark.parametrize("case", REFUSED_PRETRAINING)
@each_backend
def test_refused_pretraining(backend, case, rng):
    change, sentence = REFUSED_PRETRAINING[case]
    x, y = batch(rng, PRETRAINING)
    refusals(learner_of(backend, PRETRAINING), x, change(y), sentence)


# ---------------------------------------------------------------- the training loop


@pytest.mark.parametrize("config", [BagConfig(), PRETRAINING], ids=["positions", "pretraining"])
@each_backend
def test_training_learns(backend, config, rng):
    """The target is the token itself, which the mean over the positions so far still holds."""
    x = rng.integers(0, 7, size=(64, 3))
    y = np.concatenate([x[:, :1] % 2, x], axis=1) if config.pretraining else x.copy()
    y[:, -1] = IGNORED
    learner = learner_of(backend, config)
    history = train.fit(learner, Split(x, y), validation=Split(x, y), epochs=6, batch_size=8, schedule=0.05, progress=False)
    assert history.loss[-1] < 0.5 * history.loss[0]
    assert history.accuracy[-1] > 0.6
    assert (history.validation_loss[-1], history.accuracy[-1]) == train.evaluate(learner, (x, y))


def test_evaluate_weighs_by_the_positions_that_count(rng):
    learner, (x, y) = learner_of("numpy", dtype=np.float64), batch(rng, BagConfig(), 20)
    y[7:14] = IGNORED  # a batch of which nothing counts
    whole, parts = (train.evaluate(learner, (x, y), batch_size) for batch_size in (None, 7))
    assert parts == pytest.approx(whole, rel=1e-12)
    logits = learner.predict(x)
    assert whole[0] == pytest.approx(mean_loss(logits, y), rel=1e-12)
    assert whole[1] == np.mean(logits.argmax(-1)[y != IGNORED] == y[y != IGNORED])
    with pytest.raises(ValueError, match="no target to average over: all are -100"):
        train.evaluate(learner, (x, np.full_like(y, IGNORED)))


def test_evaluate_holds_the_logits_of_few_tokens(rng):
    learner, sizes = learner_of("numpy"), []
    evaluate = learner.evaluate
    learner.evaluate = lambda batch: (sizes.append(batch[0].size), evaluate(batch))[1]
    x = rng.integers(0, 7, size=(2000, 5))
    train.evaluate(learner, (x, x))
    assert max(sizes) <= 4096 and sum(sizes) == x.size


def test_the_training_loss_weighs_by_the_positions_that_count(rng):
    learner, (x, y) = learner_of("numpy", dtype=np.float64), batch(rng, BagConfig(), 20)
    expected = train.evaluate(learner, (x, y))[0]
    history = train.fit(learner, (x, y), epochs=1, batch_size=7, schedule=1e-12, progress=False)
    assert history.loss[0] == pytest.approx(expected, rel=1e-9)


def test_windows_of_a_long_text_are_checked_without_a_copy(rng):
    """4 GB, were they copied; the text has 8 MB."""
    import tracemalloc

    text = rng.integers(0, 7, size=1_000_001)
    windows = np.lib.stride_tricks.sliding_window_view(text, 256)
    learner = learner_of("numpy", BagConfig(context=255))
    learner.step = lambda batch, lr: 1.0
    tracemalloc.start()
    train.fit(learner, (windows[:, :-1], windows[:, 1:]), epochs=1, steps=3, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
