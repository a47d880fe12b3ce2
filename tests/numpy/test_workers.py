"""A batch split over threads: the same result as with one worker, and the same bits in every run."""

import functools
import gc
import threading

import numpy as np
import pytest

import dlcourse.numpy as package
from dlcourse import data, train
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import convolution, functional
from dlcourse.numpy import workers as module
from tests.gradients import assert_close
from tests.numpy import models, worker_cases
from tests.numpy.worker_cases import CNN, MLP, batch_of

learner_of = functools.partial(worker_cases.learner_of, module)


def test_all_that_workers_must_do():
    worker_cases.check_workers(module, models.raises)


@pytest.mark.parametrize("workers", [2, 3, 20])
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-6)])
@pytest.mark.parametrize("config", [CNN, MLP], ids=["CNN", "MLP"])
def test_equals_one_worker(config, dtype, tolerance, workers, rng):
    worker_cases.check_equal(module, config, dtype, tolerance, workers, rng)


@pytest.mark.parametrize(("loss", "outputs"), [("mse", 2), ("binary_cross_entropy", 2), ("cross_entropy", 3)])
def test_every_loss(loss, outputs, rng):
    config = MLPConfig(4, (5,), outputs)
    x, targets = rng.normal(size=(7, 4)), rng.dirichlet(np.ones(outputs), size=7)  # rows of probabilities
    one, two = learner_of(config, 1, loss=loss), learner_of(config, 2, loss=loss)
    for _ in range(3):
        assert_close("loss", two.step((x, targets), 0.01), one.step((x, targets), 0.01), 1e-12)


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


def test_gradients_beside_weights_in_columns(rng):
    """A state may hold its arrays column by column; a gradient is written to the place from which it is read."""
    batch, wanted = batch_of(MLP, rng), learner_of(MLP, 1)
    model = package.MLP(MLP)
    model.load_state({name: np.asfortranarray(array) for name, array in initial_state(MLP, 0, np.float64).items()})
    found = package.Learner(model, None).gradients(batch)[1]
    for name, gradient in wanted.gradients(batch)[1].items():
        assert_close(name, found[name], gradient, 1e-12)


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


def test_a_batch_that_does_not_fit_is_refused_as_a_whole(rng):
    learner, (x, y) = learner_of(MLP, 2), batch_of(MLP, rng)
    with pytest.raises(ValueError, match="labels run from 0 to 7"):
        learner.step((x, np.where(np.arange(len(y)) == 10, 7, 0)), 0.1)
    with pytest.raises(ValueError, match="11 examples but 10 targets"):
        learner.step((x, y[:10]), 0.1)


def test_training_leaves_out_the_gradient_of_the_images(rng, monkeypatch):
    learner, (x, y) = learner_of(CNN, 2), batch_of(CNN, rng)
    scatter, calls = convolution._scatter, []
    monkeypatch.setattr(convolution, "_scatter", lambda *a: (calls.append(a), scatter(*a))[1])
    learner.step((x, y), 0.1)
    assert len(calls) == 2, "one layer of two, in two workers"
    logits, backward = learner.model(x)
    assert backward(np.ones_like(logits)).shape == x.shape, "outside a step it is there"
