"""A batch split over threads: the same result as with one worker, and the same bits in every run."""

import gc
import sys
import threading
import warnings

import numpy as np
import pytest

import dlcourse.numpy as package
from dlcourse import data, train
from dlcourse.config import CNNConfig, MLPConfig, ResNetConfig
from dlcourse.errors import MissingExtra
from dlcourse.initial import initial_state
from dlcourse.numpy import convolution, functional
from dlcourse.numpy.module import Parameter
from tests.gradients import assert_close

CNN = CNNConfig((12, 12, 2), channels=(3, 4), kernel=3, padding=1, hidden=(6,), outputs=3)
MLP = MLPConfig(8, (16, 6), 3)


def learner_of(config, workers, dtype=np.float64, optimizer="Adam", **options):
    model = getattr(package, type(config).__name__.removesuffix("Config"))(config)
    model.load_state(initial_state(config, 0, dtype))
    return package.Learner(model, getattr(package, optimizer)(model), workers=workers, **options)


def batch_of(config, rng, count=11):
    shape = config.inputs if isinstance(config.inputs, tuple) else (config.inputs,)
    return rng.normal(size=(count, *shape)), rng.integers(0, config.outputs, count)


@pytest.mark.parametrize("workers", [2, 3, 20])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
@pytest.mark.parametrize("config", [CNN, MLP], ids=["CNN", "MLP"])
def test_equals_one_worker(config, dtype, tolerance, workers, rng):
    batch = batch_of(config, rng)
    one, many = learner_of(config, 1, dtype), learner_of(config, workers, dtype)
    (loss, gradients), (other, others) = one.gradients(batch), many.gradients(batch)
    assert_close("loss", other, loss, tolerance)
    for name, gradient in gradients.items():
        assert others[name].dtype == dtype
        assert_close(name, others[name], gradient, tolerance)
    assert_close("predict", many.predict(batch[0]), one.predict(batch[0]), tolerance)
    assert_close("evaluate", many.evaluate(batch)[0], one.evaluate(batch)[0], tolerance)
    assert_close("evaluate", many.evaluate(batch)[1], one.evaluate(batch)[1], tolerance)


@pytest.mark.parametrize(("loss", "outputs"), [("mse", 2), ("binary_cross_entropy", 2), ("cross_entropy", 3)])
def test_every_loss(loss, outputs, rng):
    config = MLPConfig(4, (5,), outputs)
    x, targets = rng.normal(size=(7, 4)), rng.dirichlet(np.ones(outputs), size=7)  # rows of probabilities
    one, two = learner_of(config, 1, loss=loss), learner_of(config, 2, loss=loss)
    for _ in range(3):
        assert_close("loss", two.step((x, targets), 0.01), one.step((x, targets), 0.01), 1e-12)


def test_dropout_draws_the_masks_of_one_worker(rng):
    config = MLPConfig(8, (16, 6), 3, dropout=0.5)
    batch = batch_of(config, rng)
    one, three = learner_of(config, 1, optimizer="SGD"), learner_of(config, 3, optimizer="SGD")
    for _ in range(4):
        assert_close("loss", three.step(batch, 0.1), one.step(batch, 0.1), 1e-12)
    assert np.array_equal(one.state()["rng"], three.state()["rng"])


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-3)])
def test_a_training_agrees_and_every_run_gives_the_same_bits(dtype, tolerance):
    digits, config = data.load("digits"), MLPConfig(64, (32,), 10, dropout=0.1)
    runs = []
    for workers in (1, 2, 2, 2):
        learner = learner_of(config, workers, dtype, optimizer="SGD")
        history = train.fit(learner, digits, epochs=3, batch_size=50, schedule=0.1, progress=False)
        runs.append((learner.model.state(), history.loss))
    for name, array in runs[0][0].items():
        assert_close(name, runs[1][0][name], array, tolerance)
        assert all(np.array_equal(run[0][name], runs[1][0][name]) for run in runs[2:])
    assert runs[1][1] == runs[2][1] == runs[3][1]


def test_a_run_goes_on_bit_for_bit(tmp_path, rng):
    config = MLPConfig(8, (16,), 3, dropout=0.5)
    x, y = batch_of(config, rng, 40)
    options = {"batch_size": 16, "schedule": 0.01, "progress": False}
    whole = learner_of(config, 2)
    train.fit(whole, (x, y), epochs=4, **options)
    train.fit(learner_of(config, 2), (x, y), epochs=2, folder=tmp_path, **options)
    resumed = learner_of(config, 2)
    train.fit(resumed, (x, y), epochs=4, folder=tmp_path, resume=True, **options)
    assert all(np.array_equal(a, resumed.state()[name]) for name, a in whole.state().items())


def test_workers_see_weights_loaded_later(rng):
    learner, batch = learner_of(CNN, 2, np.float32), batch_of(CNN, rng)
    other = learner_of(CNN, 1, np.float32)
    for seed in (1, 2):
        state = initial_state(CNN, seed)
        learner.model.load_state(state)
        other.model.load_state(state)
        assert_close("loss", learner.gradients(batch)[0], other.gradients(batch)[0], 1e-6)
    learner.model.load_state(initial_state(CNN, 3, np.float64))  # arrays of another dtype are other arrays
    other.model.load_state(initial_state(CNN, 3, np.float64))
    for name, gradient in other.gradients(batch)[1].items():
        assert_close(name, learner.gradients(batch)[1][name], gradient, 1e-12)


@pytest.mark.parametrize("workers", [1, 2])
def test_gradients_are_written_where_they_belong(workers, rng):
    """Nothing of before is left, what nothing reaches gets zero, a layer used twice counts twice; after an error the arrays are the old ones."""
    batch = batch_of(MLP, rng)

    class Twice(package.MLP):
        def __init__(self, config):
            super().__init__(config)
            self.idle = Parameter((3,), np.float64)

        def __call__(self, x, rng=None):
            y, back = super().__call__(x, rng)
            return 2 * y, lambda dy: (back(dy), back(dy))[0]

    model, once = Twice(MLP), learner_of(MLP, 1)
    model.load_state(initial_state(MLP, 0, np.float64) | {"idle": np.ones(3)})
    arrays = {name: p.grad for name, p in model.named_parameters()}
    for array in arrays.values():
        array.fill(7)
    gradients = package.Learner(model, None, workers=workers).gradients(batch)[1]
    assert gradients["idle"].tolist() == [0, 0, 0]
    scaled = once.model
    logits, back = scaled(batch[0])
    _, loss_back = functional.cross_entropy(2 * logits, batch[1])
    back(2 * loss_back())
    for name, wanted in scaled.gradients().items():
        assert_close(name, gradients[name], wanted, 1e-12)
    with pytest.raises(ValueError, match="features"):
        package.Learner(model, None, workers=workers).workers.run(lambda model, *_: model(np.ones((2, 5))), 11)
    assert all(p.grad is arrays[name] for name, p in model.named_parameters())


def test_gradients_beside_weights_in_columns(rng):
    """A state may hold its arrays column by column; a gradient is written to the place from which it is read."""
    batch, wanted = batch_of(MLP, rng), learner_of(MLP, 1)
    model = package.MLP(MLP)
    model.load_state({name: np.asfortranarray(array) for name, array in initial_state(MLP, 0, np.float64).items()})
    found = package.Learner(model, None).gradients(batch)[1]
    for name, gradient in wanted.gradients(batch)[1].items():
        assert_close(name, found[name], gradient, 1e-12)


def test_what_a_worker_raises_is_raised(rng, monkeypatch):
    learner, batch = learner_of(MLP, 2), batch_of(MLP, rng)
    own, threads = functional.relu, set()

    def relu(x):
        threads.add(threading.current_thread().name)
        if threading.current_thread() is not threading.main_thread():
            raise LookupError("from a worker")
        return own(x)

    monkeypatch.setattr(functional, "relu", relu)
    with pytest.raises(LookupError, match="from a worker"):
        learner.step(batch, 0.1)
    assert len(threads) == 2
    monkeypatch.setattr(functional, "relu", own)
    assert np.isfinite(learner.step(batch, 0.1))  # and the threads are still there


def test_items_are_divided_among_the_threads(rng):
    learner = learner_of(MLP, 3)
    for count in (1, 2, 3, 8):
        seen = []
        learner.workers.each(lambda item, seen=seen: seen.append((item, threading.current_thread())), range(count))
        assert sorted(item for item, _ in seen) == list(range(count))
        assert len({thread for _, thread in seen}) <= min(count, 3)
        assert (0, threading.main_thread()) in seen and all(item % 3 == 0 for item, t in seen if t is threading.main_thread())

    def fails(item):
        if item == 1:
            raise LookupError("an item in another thread")

    with pytest.raises(LookupError, match="an item in another thread"):
        learner.workers.each(fails, range(5))
    with pytest.raises(ZeroDivisionError):  # the caller's, when the others have ended
        learner.workers.each(lambda item: 1 / item, range(5))


@pytest.mark.parametrize("workers", [2, 3])
def test_gradients_and_adam_in_pieces_on_all_threads(workers, rng, monkeypatch):
    """Pieces of a few numbers: the same bits as in pieces that hold everything, and more than one thread takes part."""
    batch = batch_of(CNN, rng, 12)
    whole, parts = learner_of(CNN, workers), learner_of(CNN, workers)
    whole.step(batch, 0.1)
    for module in (sys.modules["dlcourse.numpy.workers"], sys.modules["dlcourse.numpy.optim"]):
        monkeypatch.setattr(module, "PIECE", 5)
    threads, own = set(), np.sqrt

    def sqrt(*arguments, **options):
        threads.add(threading.current_thread())
        return own(*arguments, **options)

    monkeypatch.setattr(np, "sqrt", sqrt)
    parts.step(batch, 0.1)
    assert len(threads) > 1
    for name, array in parts.state().items():
        assert np.array_equal(array, whole.state()[name]), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_gradient_changes_its_dtype(rng, monkeypatch, dtype):
    """The share of a worker is a number that leaves float32 what it is: float64 takes twice the time, and shows in no result."""
    learner, batch, own, seen = learner_of(CNN, 2, dtype), batch_of(CNN, rng), functional.linear, set()

    def linear(x, weight, bias):
        y, backward = own(x, weight, bias)

        def back(dy, need_dx=True):
            seen.add((x.dtype, dy.dtype))
            return backward(dy, need_dx)

        return y, back

    monkeypatch.setattr(functional, "linear", linear)
    learner.step(batch, 0.1)
    assert seen == {(np.dtype(dtype), np.dtype(dtype))}


def test_warnings_are_as_in_the_caller(rng):
    x, y = batch_of(MLP, rng)
    learner = learner_of(MLP, 2, np.float32)
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        warnings.simplefilter("error")
        learner.step((np.full_like(x, 1e30) * x, y), 1e30)
        learner.evaluate((np.full_like(x, 1e30) * x, y))


def test_threads_are_made_once_and_end_with_the_learner(rng):
    before = set(threading.enumerate())
    learner, batch = learner_of(MLP, 3), batch_of(MLP, rng)
    for _ in range(5):
        learner.step(batch, 0.1)
    threads = set(threading.enumerate()) - before
    assert 1 <= len(threads) <= 2, "two beside the caller's, the second only when it is needed"
    del learner
    gc.collect()
    for thread in threads:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in threads)


def test_blas_has_one_thread_inside_and_its_own_number_outside(rng, monkeypatch):
    import threadpoolctl

    def threads():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    own, inside, before = functional.relu, [], threads()
    monkeypatch.setattr(functional, "relu", lambda x: (inside.extend(threads()), own(x))[1])
    learner_of(MLP, 2).step(batch_of(MLP, rng), 0.1)
    assert inside and set(inside) == {1}
    assert threads() == before


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_workers_are_a_whole_number(workers):
    with pytest.raises(ValueError, match=f"workers={workers}: it must be a whole number of at least 1"):
        learner_of(MLP, workers)


@pytest.mark.parametrize("config", [ResNetConfig((8, 8, 1), widths=(4,), blocks=(1,), strides=(1,)), MLPConfig(8, norm="batch")])
def test_batch_norm_is_refused(config):
    with pytest.raises(ValueError, match="workers=2: batch norm would take the statistics of each part of the batch, so use workers=1"):
        learner_of(config, 2)
    learner_of(config, 1)


def test_a_batch_that_does_not_fit_is_refused_as_a_whole(rng):
    learner, (x, y) = learner_of(MLP, 2), batch_of(MLP, rng)
    with pytest.raises(ValueError, match="labels run from 0 to 7"):
        learner.step((x, np.where(np.arange(len(y)) == 10, 7, 0)), 0.1)
    with pytest.raises(ValueError, match="11 examples but 10 targets"):
        learner.step((x, y[:10]), 0.1)


def test_without_threadpoolctl_one_sentence_names_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    learner_of(MLP, 1)
    with pytest.raises(MissingExtra, match=r"dlcourse\[data\]"):
        learner_of(MLP, 2)


def test_training_leaves_out_the_gradient_of_the_images(rng, monkeypatch):
    learner, (x, y) = learner_of(CNN, 2), batch_of(CNN, rng)
    scatter, calls = convolution._scatter, []
    monkeypatch.setattr(convolution, "_scatter", lambda *a: (calls.append(a), scatter(*a))[1])
    learner.step((x, y), 0.1)
    assert len(calls) == 2, "one layer of two, in two workers"
    logits, backward = learner.model(x)
    assert backward(np.ones_like(logits)).shape == x.shape, "outside a step it is there"
