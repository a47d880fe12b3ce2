"""What `dlcourse.numpy.workers` must do: the work of one thread, divided. The mutants of `tests/test_mutants.py` face the same checks."""

import contextlib
import functools
import inspect
import sys
import threading
import warnings
from unittest import mock

import numpy as np

import dlcourse.numpy as package
from dlcourse.config import CNNConfig, MLPConfig, ResNetConfig
from dlcourse.errors import MissingExtra
from dlcourse.initial import initial_state
from dlcourse.numpy import functional, optim
from dlcourse.numpy import learner as learner_module
from dlcourse.numpy.module import Parameter
from tests.gradients import assert_close

CNN = CNNConfig((12, 12, 2), channels=(3, 4), kernel=3, padding=1, hidden=(6,), outputs=3)
MLP = MLPConfig(8, (16, 6), 3)
BATCH_NORM = ResNetConfig((8, 8, 1), widths=(4,), blocks=(1,), strides=(1,)), MLPConfig(8, norm="batch")


def model_of(config, dtype=np.float64):
    model = getattr(package, type(config).__name__.removesuffix("Config"))(config)
    model.load_state(initial_state(config, 0, dtype))
    return model


def learner_of(m, config, workers, dtype=np.float64, optimizer="Adam", **options):
    model = model_of(config, dtype)
    with mock.patch.object(learner_module, "Workers", m.Workers):
        return package.Learner(model, getattr(package, optimizer)(model), workers=workers, **options)


def batch_of(config, rng, count=11):
    shape = config.inputs if isinstance(config.inputs, tuple) else (config.inputs,)
    return rng.normal(size=(count, *shape)), rng.integers(0, config.outputs, count)


@contextlib.contextmanager
def watched(owner, name):
    """The threads that call a function inside."""
    threads, own = set(), getattr(owner, name)

    def function(*arguments, **options):
        threads.add(threading.current_thread())
        return own(*arguments, **options)

    with mock.patch.object(owner, name, function):
        yield threads


def check_made(m, raises):
    """As many models as workers, the first of them the caller's; beside the caller's thread one for each of the others."""
    model = model_of(MLP)
    assert m.Workers(model).count == 1
    assert inspect.signature(m.Workers.run).parameters["add"].default is True
    for count in (1, 2, 4):
        with mock.patch.object(m, "ThreadPoolExecutor", wraps=m.ThreadPoolExecutor) as pool:
            workers = m.Workers(model, count)
        assert [call.args for call in pool.call_args_list] == [(count - 1, "worker")] * (count > 1)
        assert workers.count == len({id(each) for each in workers.models}) == count
        assert workers.models[0] is model
    for count in (0, -1, 1.5):
        raises(ValueError, f"workers={count}: it must be a whole number of at least 1", lambda count=count: m.Workers(model, count))
    for config in BATCH_NORM:
        other = model_of(config)
        raises(
            ValueError,
            "workers=2: batch norm would take the statistics of each part of the batch, so use workers=1 with it",
            lambda other=other: m.Workers(other, 2),
        )
        assert m.Workers(other, 1).models == [other]
    with mock.patch.dict(sys.modules, threadpoolctl=None):
        assert m.Workers(model, 1).models == [model]
        raises(MissingExtra, "dlcourse[data]", lambda: m.Workers(model, 2))


def check_parts(m):
    """Every example in one part, in their order; parts as equal as can be, and none without an example."""
    for count, examples in ((1, 5), (2, 5), (3, 7), (3, 3), (4, 2), (2, 1)):
        workers, rng = m.Workers(model_of(MLP), count), np.random.default_rng(0)
        for each in (rng, None):
            found = workers.run(lambda *arguments: arguments, examples, each)
            used = min(count, examples)
            assert [model for model, *_ in found] == workers.models[:used]
            rows = [list(range(examples))[part] for _, part, *_ in found]
            assert [row for part in rows for row in part] == list(range(examples))
            assert {len(part) for part in rows} <= {examples // used, -(-examples // used)}
            assert [share for _, _, share, _ in found] == [len(part) / examples for part in rows]
            assert each is not None or all(drawn is None for *_, drawn in found)
            assert used > 1 or found[0][3] is each


def check_equal(m, config, dtype, tolerance, workers, rng):
    """Loss, gradients and logits of one worker."""
    batch = batch_of(config, rng)
    one, many = learner_of(m, config, 1, dtype), learner_of(m, config, workers, dtype)
    (loss, gradients), (other, others) = one.gradients(batch), many.gradients(batch)
    assert_close("loss", other, loss, tolerance)
    for name, gradient in gradients.items():
        assert others[name].dtype == dtype
        assert_close(name, others[name], gradient, tolerance)
    assert_close("predict", many.predict(batch[0]), one.predict(batch[0]), tolerance)
    assert_close("evaluate", many.evaluate(batch)[0], one.evaluate(batch)[0], tolerance)
    assert_close("evaluate", many.evaluate(batch)[1], one.evaluate(batch)[1], tolerance)


def check_draws(m):
    """The rows of what one worker would draw, again and again, and the generator where one would leave it."""
    for count in (1, 2, 3):
        workers, rng, whole = m.Workers(model_of(MLP), count), np.random.default_rng(1), np.random.default_rng(1)

        def work(model, part, share, rng):
            size = len(range(7)[part])
            return [rng.random(shape, dtype=dtype) for shape, dtype in (((size, 2, 3), np.float32), ((size,), np.float64))]

        for _ in range(2):
            matrices, vectors = (np.concatenate(parts) for parts in zip(*workers.run(work, 7, rng), strict=True))
            assert matrices.dtype == np.float32 and np.array_equal(matrices, whole.random((7, 2, 3), dtype=np.float32))
            assert np.array_equal(vectors, whole.random(7))
        assert rng.bit_generator.state == whole.bit_generator.state
    config = MLPConfig(8, (16, 6), 3, dropout=0.5)
    batch = batch_of(config, np.random.default_rng(2))
    one, three = (learner_of(m, config, count, optimizer="SGD") for count in (1, 3))
    for _ in range(4):
        assert_close("loss", three.step(batch, 0.1), one.step(batch, 0.1), 1e-12)
    assert np.array_equal(one.state()["rng"], three.state()["rng"])


def check_gradients(m):
    """Nothing of before is left, what nothing reaches gets zero, and a layer used twice counts twice; the arrays stay where they are."""
    x, labels = batch_of(MLP, np.random.default_rng(3))
    once = model_of(MLP)
    logits, back = once(x)
    back(2 * functional.cross_entropy(2 * logits, labels)[1]())
    wanted = once.gradients()

    class Twice(package.MLP):
        def __init__(self, config):
            super().__init__(config)
            self.idle = Parameter((3,), np.float64)

        def __call__(self, x, rng=None):
            y, back = super().__call__(x, rng)
            return 2 * y, lambda dy: (back(dy), back(dy))[0]

    for count in (1, 2, 3):
        model = Twice(MLP)
        model.load_state(initial_state(MLP, 0, np.float64) | {"idle": np.ones(3)})
        arrays = {name: p.grad for name, p in model.named_parameters()}
        with mock.patch.object(learner_module, "Workers", m.Workers):
            learner = package.Learner(model, None, workers=count)
        for old in (7, 8):
            for array in arrays.values():
                array.fill(old)
            found = learner.gradients((x, labels))[1]
            assert found["idle"].tolist() == [0, 0, 0]
            for name, gradient in wanted.items():
                assert_close(name, found[name], gradient, 1e-12)
        learner.evaluate((x, labels))
        assert all(p.grad is arrays[name] and np.array_equal(p.grad, found[name]) for name, p in model.named_parameters())
        assert all(p.grad is None for twin in learner.workers.models[1:] for _, p in twin.named_parameters()), "kept for nothing"


def check_errors(m, raises):
    """What a worker raises is raised when all have ended; the gradients are those of before, and the threads are still there."""
    model = model_of(MLP)
    workers = m.Workers(model, 2)
    arrays = {name: p.grad for name, p in model.named_parameters()}
    for array in arrays.values():
        array.fill(7)
    may_end, ended, own = threading.Event(), [], m.wait

    def wait(*arguments):
        may_end.set()
        return own(*arguments)

    def first(model, *_):
        if model is workers.models[0]:
            raise LookupError("from the first")
        may_end.wait(10)
        ended.append(model)

    def other(model, *_):
        ended.append(model)
        model(np.ones((2, 8)))[1](np.ones((2, 3)))
        if model is not workers.models[0]:
            raise LookupError("from another")

    try:
        with mock.patch.object(m, "wait", wait):
            raises(LookupError, "from the first", lambda: workers.run(first, 2))
        assert ended == workers.models[1:], "the caller went on beside a worker"
    finally:
        may_end.set()
    raises(LookupError, "from another", lambda: workers.run(other, 2))
    assert len(ended) == 3
    for name, p in model.named_parameters():
        assert p.grad is arrays[name] and np.all(p.grad == 7)
    assert workers.run(lambda model, part, *_: part.start, 2) == [0, 1]


def check_each(m, raises):
    """Every item once; the first thread is the caller's."""
    workers = m.Workers(model_of(MLP), 3)
    for count in (1, 2, 3, 8):
        seen = []
        workers.each(lambda item, seen=seen: seen.append((item, threading.current_thread())), range(count))
        assert sorted(item for item, _ in seen) == list(range(count))
        assert len({thread for _, thread in seen}) <= min(count, 3)
        assert [item for item, thread in seen if thread is threading.main_thread()] == list(range(0, count, 3))
    seen = []
    m.Workers(model_of(MLP), 1).each(seen.append, "abc")
    assert seen == ["a", "b", "c"]

    def fails(item):
        if item == 1:
            raise LookupError("an item in another thread")

    raises(LookupError, "an item in another thread", lambda: workers.each(fails, range(5)))
    raises(ZeroDivisionError, "division by zero", lambda: workers.each(lambda item: 1 / item, range(5)))


def check_together(m):
    """All workers at once, the first in the caller's thread; the library of the matrix products has one thread meanwhile."""
    for count in (2, 3):
        workers = m.Workers(model_of(MLP), count)
        limit = workers.blas = mock.MagicMock()
        workers.run(lambda *_: None, 1)
        assert not limit.mock_calls, "one worker has all threads"
        barrier, context = threading.Barrier(count), limit.limit.return_value

        def work(*_, barrier=barrier, context=context):
            barrier.wait(10)
            return threading.current_thread(), context.__enter__.called, context.__exit__.called

        found = workers.run(work, 20)
        assert found[0][0] is threading.main_thread() and len({thread for thread, *_ in found}) == count
        assert all(states == [True, False] for _, *states in found)
        limit.limit.assert_called_once_with(limits=1, user_api="blas")
        context.__exit__.assert_called_once()


def check_warnings(m):
    """What NumPy lets pass or refuses in the caller's thread, it lets pass or refuses in the others."""
    workers, large = m.Workers(model_of(MLP), 2), np.full(3, 1e30, np.float32)

    def work(*_):
        try:
            return float((large * large)[0])
        except FloatingPointError:
            return "refused"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for over, wanted in (("ignore", np.inf), ("raise", "refused")):
            with np.errstate(over=over):
                assert workers.run(work, 4) == [wanted, wanted]


def check_pieces(m, workers, rng):
    """Pieces of a few numbers: the same bits as in pieces that hold everything, and more than one thread takes part."""
    batch = batch_of(CNN, rng, 12)
    whole, again, parts = (learner_of(m, CNN, workers) for _ in range(3))
    for learner in (whole, again):
        learner.step(batch, 0.1)
    with mock.patch.object(m, "PIECE", 5), mock.patch.object(optim, "PIECE", 5):
        with watched(functools, "reduce") as adding, watched(np, "sqrt") as moving:
            parts.step(batch, 0.1)
    assert len(adding) > 1 and len(moving) > 1
    for name, array in parts.state().items():
        assert np.array_equal(array, whole.state()[name]), name
        assert np.array_equal(again.state()[name], whole.state()[name]), name
    for name, array in parts.model.gradients().items():
        assert np.array_equal(array, whole.model.gradients()[name]), name


def check_shared(m, raises):
    """The other models have the weights and the mode that the first has now."""
    rng = np.random.default_rng(4)
    batch = batch_of(MLP, rng)
    one, three = learner_of(m, MLP, 1, np.float32), learner_of(m, MLP, 3, np.float32)
    for seed, dtype in ((1, np.float32), (2, np.float32), (3, np.float64)):  # arrays of another dtype are other arrays
        for learner in (one, three):
            learner.model.load_state(initial_state(MLP, seed, dtype))
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        assert_close("logits", three.predict(batch[0]), one.predict(batch[0]), tolerance)
        wanted, found = one.gradients(batch)[1], three.gradients(batch)[1]
        for name, gradient in wanted.items():
            assert found[name].dtype == dtype
            assert_close(name, found[name], gradient, tolerance)
    model = three.model
    for mode in (False, True, False):
        model.train(mode)
        for add in (True, False):
            assert three.workers.run(lambda model, *_: (model.training, model.layers[0].training), 5, add=add) == [(mode, mode)] * 3
    model.layers[0].train()
    three.workers.run(lambda *_: None, 5)
    assert model.layers[0].training and not model.training, "the caller's model stays as it is"
    model.late = Parameter((2,))
    for add in (True, False):
        raises(ValueError, "zip() argument", lambda add=add: three.workers.run(lambda *_: None, 5, add=add))


def check_workers(m, raises):
    rng = np.random.default_rng(5)
    check_made(m, raises)
    check_parts(m)
    check_equal(m, MLP, np.float64, 1e-12, 3, rng)
    check_draws(m)
    check_gradients(m)
    check_each(m, raises)
    check_errors(m, raises)
    check_together(m)
    check_warnings(m)
    check_shared(m, raises)
    for workers in (2, 3):
        check_pieces(m, workers, rng)
