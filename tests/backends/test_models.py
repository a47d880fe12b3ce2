"""Models and learners of all backends: states are copies, dropout acts in training only, a run goes on bit for bit."""

import numpy as np
import pytest

import dlcourse
from dlcourse import state
from dlcourse.config import MLPConfig
from dlcourse.initial import initial_state
from dlcourse.state import compare

each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)
CONFIG = MLPConfig(6, (16, 8), 3, "tanh", dropout=0.5)


def learner_of(backend, optimizer="Adam", seed=0, config=CONFIG, device="cpu", **options):
    package = dlcourse.backend(backend)
    model = package.MLP(config)
    model.load_state(initial_state(config, 0))
    return package.Learner(model, getattr(package, optimizer)(model), device=device, seed=seed, **options)


def batches(rng, count, size=8):
    return [(rng.normal(size=(size, 6)).astype(np.float32), rng.integers(0, 3, size=size)) for _ in range(count)]


@each_backend
def test_the_state_of_a_model_is_a_copy(backend):
    model = learner_of(backend).model
    for array in model.state().values():
        array += 1
    compare(model.state(), initial_state(CONFIG, 0)).check(0.0)
    given = initial_state(CONFIG, 0)
    model.load_state(given)
    given["layers.0.weight"] += 1
    compare(model.state(), initial_state(CONFIG, 0)).check(0.0)


@each_backend
def test_linear_has_the_layout_of_the_course(backend):
    layer = dlcourse.backend(backend).Linear(5, 2)
    shape = layer.weight.data.shape if backend == "numpy" else layer.weight.shape
    assert tuple(shape) == (2, 5)


@each_backend
def test_dropout_acts_in_training_only(backend, rng):
    (batch,) = batches(rng, 1)
    learner = learner_of(backend)
    plain = learner_of(backend, config=MLPConfig(6, (16, 8), 3, "tanh"))
    assert np.array_equal(learner.predict(batch[0]), plain.predict(batch[0]))
    assert learner.evaluate(batch)[0] == plain.evaluate(batch)[0]
    assert learner.gradients(batch)[0] == plain.gradients(batch)[0]
    losses = {learner_of(backend, seed=seed).step(batch, 0.1) for seed in range(3)}
    assert len(losses) == 3 and plain.evaluate(batch)[0] not in losses
    learner.step(batch, 0.0)
    assert np.array_equal(learner.predict(batch[0]), plain.predict(batch[0])), "dropout stayed on after a step"


@each_backend
def test_the_same_seed_gives_the_same_run(backend, rng):
    given = batches(rng, 4)
    runs = []
    for _ in range(2):
        learner = learner_of(backend, seed=3)
        runs.append([learner.step(batch, 0.01) for batch in given])
    assert runs[0] == runs[1]


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
@each_backend
def test_a_saved_run_goes_on_bit_for_bit(tmp_path, backend, optimizer, rng):
    """Through a file, dropout masks included, whatever was drawn in between."""
    for device in dlcourse.backend(backend).devices():
        given = batches(rng, 10)
        whole = learner_of(backend, optimizer, device=device, clip=1.0)
        for batch in given[:5]:
            whole.step(batch, 0.01)
        state.save(tmp_path / "checkpoint", whole.state())
        expected = [whole.step(batch, 0.01) for batch in given[5:]]
        resumed = learner_of(backend, optimizer, seed=99, device=device, clip=1.0)
        resumed.step(given[0], 0.5)
        resumed.load_state(state.load(tmp_path / "checkpoint"))
        assert [resumed.step(batch, 0.01) for batch in given[5:]] == expected
        a, b = resumed.state(), whole.state()
        assert sorted(a) == sorted(b) and all(np.array_equal(a[name], b[name]) for name in b)


@each_backend
def test_clipping_in_the_learner(backend, rng):
    """With plain SGD the whole step is lr times the gradient, which clip bounds."""
    config = MLPConfig(6, (16, 8), 3, "tanh")
    (batch,) = batches(rng, 1)
    learner = learner_of(backend, "SGD", config=config, clip=1e-3)
    before = learner.model.state()
    learner.step(batch, 100.0)
    length = np.sqrt(sum(((array - before[name]).astype(np.float64) ** 2).sum() for name, array in learner.model.state().items()))
    assert abs(length - 0.1) < 1e-5


@each_backend
def test_outputs_are_numpy_and_the_loss_is_a_float(backend, rng):
    (batch,) = batches(rng, 1)
    learner = learner_of(backend)
    loss, gradients = learner.gradients(batch)
    evaluated, logits = learner.evaluate(batch)
    assert {type(loss), type(evaluated), type(learner.step(batch, 0.1))} == {float}
    assert {type(array) for array in (logits, learner.predict(batch[0]), *gradients.values(), *learner.state().values())} == {np.ndarray}
    assert logits.shape == (8, 3) and logits.dtype == np.float32
    assert list(gradients) == list(initial_state(CONFIG, 0))


@each_backend
def test_batches_of_other_dtypes(backend, rng):
    x, y = batches(rng, 1)[0]
    learner = learner_of(backend)
    expected = learner.evaluate((x, y))
    for dtype in (np.int32, np.uint8):
        assert learner.evaluate((x, y.astype(dtype)))[0] == expected[0]
    assert learner.predict(x.astype(np.float64)).dtype == np.float32
    np.testing.assert_array_equal(learner.predict(np.repeat(x, 2, axis=0)[::2]), learner.predict(x))  # a view with strides


@each_backend
def test_a_batch_is_not_changed(backend, rng):
    x, y = batches(rng, 1)[0]
    kept = x.copy(), y.copy()
    learner = learner_of(backend)
    learner.step((x, y), 0.1)
    learner.evaluate((x, y))
    assert np.array_equal(x, kept[0]) and np.array_equal(y, kept[1])


@each_backend
def test_training_learns(backend, rng):
    """Three separated clouds: from chance to nearly all right."""
    centres = rng.normal(size=(3, 6)) * 3
    labels = rng.integers(0, 3, size=64)
    x = (centres[labels] + rng.normal(size=(64, 6))).astype(np.float32)
    learner = learner_of(backend)
    for _ in range(60):
        learner.step((x, labels), 0.02)
    assert (learner.predict(x).argmax(axis=1) == labels).mean() > 0.95
