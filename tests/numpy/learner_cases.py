"""What `dlcourse.numpy.learner` must do: what a model and a loss give by themselves, for the whole batch, however many workers share it.

The mutants of `tests/test_mutants.py` face the same checks."""

import inspect

import numpy as np

from dlcourse.config import BERTConfig, GPTConfig, MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import BERT, GPT, MLP, SGD, Adam, functional, losses
from tests.gradients import assert_close

NETWORK = MLPConfig(4, (5,), 3, "tanh")
LANGUAGE = GPTConfig(7, context=4, layers=1, heads=2, width=4)
READER = BERTConfig(9, context=6, layers=1, heads=1, width=4)
OPERATIONS = {
    "cross_entropy": functional.cross_entropy,
    "binary_cross_entropy": functional.binary_cross_entropy,
    "mse": functional.mse_loss,
    "huber": losses.huber_loss,
    "hinge": losses.hinge_loss,
    "focal": losses.focal_loss,
    "pretraining": functional.pretraining_loss,
}


def model_of(config, dtype=np.float64, seed=0):
    model = {MLPConfig: MLP, GPTConfig: GPT, BERTConfig: BERT}[type(config)](config)
    rng = np.random.default_rng(seed)
    state = initial_state(config, seed, np.float64)
    model.load_state({name: (array + 0.3 * rng.normal(size=array.shape)).astype(dtype) for name, array in state.items()})
    return model


def batches():
    """(config, loss, x, targets, targets as the operation takes them) of 5 examples."""
    rng = np.random.default_rng(0)
    x, labels, soft = rng.normal(size=(5, 4)), rng.integers(0, 3, 5), rng.dirichlet(np.ones(3), 5)
    yield NETWORK, "cross_entropy", x, labels, labels
    yield NETWORK, "cross_entropy", x.astype(np.float32), soft, soft
    yield NETWORK, "mse", x, soft, soft
    for loss in ("mse", "huber"):
        t = rng.normal(size=5)
        t[2] = -100.0  # a number like any other
        yield MLPConfig(4, (5,), 1, "tanh"), loss, x, t, t[:, None]
    for loss in ("binary_cross_entropy", "hinge", "focal"):
        t = rng.integers(0, 2, 5)
        yield MLPConfig(4, (5,), 1, "tanh"), loss, x, t, t[:, None].astype(float)
    tokens = rng.integers(0, 7, (5, 4))
    targets = np.where(rng.random((5, 4)) < 0.6, rng.integers(0, 7, (5, 4)), -100)
    targets[3:] = -100  # a part in which nothing counts
    targets[0, 0] = 1
    yield LANGUAGE, "cross_entropy", tokens, targets, targets
    words = rng.integers(4, 9, (5, 6))
    hidden = np.concatenate([rng.integers(0, 2, (5, 1)), np.where(rng.random((5, 6)) < 0.4, words, -100)], axis=1)
    hidden[3:, 1:] = -100
    hidden[1, 2] = 8
    yield READER, "pretraining", words, hidden, hidden


def by_hand(model, loss, x, targets, rng=None):
    """(loss, gradients) of the whole batch."""
    logits, back = model(x if x.dtype.kind == "i" else x.astype(model.dtype), rng)
    model.zero_gradients()
    value, loss_back = OPERATIONS[loss](*(logits if isinstance(logits, tuple) else (logits,)), targets)
    back(loss_back())
    return float(value), {name: g.copy() for name, g in model.gradients().items()}, logits


def check_same(found, wanted, tolerance):
    assert found.keys() == wanted.keys()
    largest = max(abs(g).max() for g in wanted.values())
    for name, gradient in wanted.items():
        assert found[name].dtype == gradient.dtype
        assert_close(name, found[name] + largest, gradient + largest, tolerance)


def check_gradients(m):
    for config, loss, x, targets, plain in batches():
        kept = x.copy(), targets.copy()
        for dtype, tolerance, counts in ((np.float64, 1e-12, (1, 3)), (np.float32, 1e-4, (1, 2))):
            value, gradients, logits = by_hand(model_of(config, dtype), loss, x, plain if plain.dtype.kind == "i" else plain.astype(dtype))
            for workers in counts:
                model = model_of(config, dtype)
                learner = m.Learner(model, SGD(model), loss, workers=workers)
                for _ in range(2):  # they do not pile up
                    found, each = learner.gradients((x, targets))
                    assert type(found) is float
                    assert found == value if workers == 1 else abs(found - value) <= tolerance * abs(value)
                    check_same(each, gradients, tolerance)
                seen, shown = learner.evaluate((x, targets))
                assert type(seen) is float and not model.training
                assert_close("loss", seen, value, tolerance)
                for one, other, third in zip(
                    *(y if isinstance(y, tuple) else (y,) for y in (shown, logits, learner.predict(x))), strict=True
                ):
                    assert type(shown) is type(logits) and one.dtype == third.dtype == dtype
                    assert_close("logits", one, other, tolerance)
                    assert_close("predicted", third, other, tolerance)
                check_same(model.gradients(), gradients, tolerance)  # which only a step changes
        assert np.array_equal(x, kept[0]) and np.array_equal(targets, kept[1])


def seen_dtypes(m, workers):
    """What the loss sends back in float32: a float64 among it would take twice the time, and show in no result."""
    found, (config, loss, x, targets, _) = set(), next(batches())
    model = model_of(config, np.float32)
    learner, own = m.Learner(model, SGD(model), loss, workers=workers), type(model).__call__

    class Watched(type(model)):
        def __call__(self, x, rng=None):
            y, back = own(self, x, rng)
            return y, lambda dy: found.add(dy.dtype) or back(dy)

    for each in learner.workers.models:
        each.__class__ = Watched
    learner.gradients((x, targets))
    return found


def check_steps(m):
    config = MLPConfig(4, (5,), 3, "tanh", dropout=0.5)
    _, loss, x, labels, _ = next(batches())
    for workers in (1, 2):
        model, twin, rng = model_of(config), model_of(config), np.random.default_rng(7)
        learner = m.Learner(model, SGD(model), seed=7, workers=workers)
        model.eval()
        for _ in range(3):
            before = twin.state()
            value, gradients, _ = by_hand(twin, loss, x, labels, rng)
            found = learner.step((x, labels), 0.1)
            assert type(found) is float and model.training, "a step is training"
            assert_close("loss", found, value, 1e-12)
            for name, p in twin.named_parameters():
                p.data[...] = before[name] - 0.1 * gradients[name]
            check_same(model.state(), twin.state(), 1e-12)
        value, gradients, _ = by_hand(twin, loss, x, labels)  # the others drop nothing
        assert_close("loss", learner.gradients((x, labels))[0], value, 1e-12)
        assert model.training
        assert_close("loss", learner.evaluate((x, labels))[0], value, 1e-12)
        assert not model.training
        state = learner.state()
        assert {name.split(".")[0] for name in state} == {"model", "optimizer", "rng"} and state["rng"].dtype == np.uint8
        expected = learner.step((x, labels), 0.1), learner.step((x, labels), 0.1)
        other = m.Learner(loaded := model_of(config, seed=3), SGD(loaded), seed=1, workers=workers)
        other.load_state(state)
        assert (other.step((x, labels), 0.1), other.step((x, labels), 0.1)) == expected
    drawn = [m.Learner(one := model_of(config), SGD(one), **options).step((x, labels), 0.1) for options in ({}, {"seed": 0}, {"seed": 1})]
    assert drawn[0] == drawn[1] != drawn[2]
    first = m.Learner(model := model_of(config), Adam(model))
    first.step((x, labels), 0.1)
    state, model = first.state(), model_of(config)
    second = m.Learner(model, Adam(model))
    second.load_state(state)
    assert second.step((x, labels), 0.1) == first.step((x, labels), 0.1), "the optimizer goes on, too"
    check_same(second.model.state(), first.model.state(), 1e-15)


def check_optimizers(m):
    """The optimizer shares the learner's threads, and a learner without one predicts."""
    _, loss, x, labels, _ = next(batches())
    wanted, _, logits = by_hand(model_of(NETWORK), loss, x, labels)
    for workers in (1, 2):
        learner = m.Learner(model := model_of(NETWORK), Adam(model), workers=workers)
        assert learner.optimizer.each == learner.workers.each
        learner = m.Learner(model_of(NETWORK), None, workers=workers)
        assert_close("loss", learner.evaluate((x, labels))[0], wanted, 1e-12)
        assert_close("logits", learner.predict(x), logits, 1e-12)


def check_clip(m):
    _, loss, x, labels, _ = next(batches())
    _, gradients, _ = by_hand(model_of(NETWORK), loss, x, labels)
    norm = np.sqrt(sum((g * g).sum() for g in gradients.values()))
    for clip, factor in ((None, 1.0), (norm / 4, 0.25), (2 * norm, 1.0)):
        model = model_of(NETWORK)
        m.Learner(model, SGD(model), clip=clip).step((x, labels), 0.1)
        before = model_of(NETWORK).state()
        check_same(model.state(), {name: before[name] - 0.1 * factor * gradients[name] for name in before}, 1e-12)


def check_batch_norm(m):
    """Gradients are those of the batch's statistics, and leave the running ones as they are."""
    config = MLPConfig(4, (5,), 3, "tanh", norm="batch")
    _, loss, x, labels, _ = next(batches())
    value, gradients, _ = by_hand(model_of(config), loss, x, labels)
    for mode in (True, False):
        model = model_of(config)
        model.train(mode)
        before, learner = model.state(), m.Learner(model, SGD(model))
        found, each = learner.gradients((x, labels))
        assert_close("loss", found, value, 1e-12)
        check_same(each, gradients, 1e-12)
        assert all(np.array_equal(array, before[name]) for name, array in model.state().items()) and model.training == mode
        running = model_of(config)
        running.eval()
        assert_close("logits", learner.predict(x), running(x)[0], 1e-12)
        assert not model.training
        model.train(mode)
        assert_close("logits", learner.evaluate((x, labels))[1], running(x)[0], 1e-12)


def check_refusals(m, raises):
    model = model_of(NETWORK)
    learner, x = m.Learner(model, SGD(model)), np.zeros((5, 4))
    assert (learner.loss, learner.clip, learner.device) == ("cross_entropy", None, "cpu")
    defaults = {"loss": "cross_entropy", "device": "cpu", "clip": None, "seed": 0, "workers": 1}
    parameters = inspect.signature(m.Learner).parameters
    assert {name: parameters[name].default for name in defaults} == defaults
    assert set(m.LOSSES) == set(OPERATIONS)
    state = learner.state()
    for message, call in (
        ("unknown loss 'l2'", lambda: m.Learner(model, SGD(model), "l2")),
        ("device", lambda: m.Learner(model, SGD(model), device="tpu")),
        ("workers=0", lambda: m.Learner(model, SGD(model), workers=0)),
        ("5 examples but 4 targets", lambda: learner.step((x, np.zeros(4, int)), 0.1)),
        ("5 examples but 4 targets", lambda: learner.gradients((x, np.zeros(4, int)))),
        ("5 examples but 4 targets", lambda: learner.evaluate((x, np.zeros(4, int)))),
        ("an example has 3 numbers but the model takes 4", lambda: learner.predict(x[:, :3])),
        ("layers.0.bias", lambda: learner.load_state({name: array + 1 for name, array in state.items() if "0.bias" not in name})),
        ("rng", lambda: learner.load_state({name: array + 1 for name, array in state.items() if name != "rng"})),
    ):
        raises(ValueError, message, call)
    assert all(np.array_equal(array, state[name]) for name, array in learner.state().items()), "refused, and nothing is changed"
    reader = model_of(LANGUAGE)
    raises(
        ValueError,
        "targets of shape (2, 3) do not fit logits of shape (2, 4, 7): pass one class number for each row",
        lambda: m.Learner(reader, SGD(reader)).evaluate((np.ones((2, 4), int), np.ones((2, 3), int))),
    )
    raises(
        ValueError, "all targets are -100", lambda: m.Learner(reader, SGD(reader)).evaluate((np.ones((2, 4), int), np.full((2, 4), -100)))
    )


def check_learner(m, raises):
    check_gradients(m)
    check_steps(m)
    check_optimizers(m)
    check_clip(m)
    check_batch_norm(m)
    check_refusals(m, raises)
    for workers in (1, 2):
        assert seen_dtypes(m, workers) == {np.dtype(np.float32)}
