"""Freezing and transfer in all backends: the same names train, the same numbers come out, and a frozen batch norm stands still."""

import json

import numpy as np
import pytest

import dlcourse
from dlcourse import state, train
from dlcourse.config import CNNConfig, MLPConfig, ResNetConfig
from dlcourse.initial import initial_state
from dlcourse.state import compare

each_backend = pytest.mark.parametrize("backend", dlcourse.BACKENDS)
SMALL = CNNConfig((8, 8, 1), channels=(3, 4), kernel=3, padding=1, hidden=(6,), outputs=3)
NORMED = ResNetConfig((8, 8, 1), widths=(4, 6), blocks=(1, 1), strides=(1, 2), stem=4, outputs=3)
CONVS = ("convs.0.weight", "convs.0.bias", "convs.1.weight", "convs.1.bias")
OPTIMIZERS = [
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}, 0.05),
    ("Adam", {}, 0.01),
    ("AdamW", {"weight_decay": 0.5}, 0.01),
]


def model_of(backend, config, dtype=np.float32):
    package = dlcourse.backend(backend)
    model = getattr(package, type(config).__name__.removesuffix("Config"))(config)
    model.load_state(initial_state(config, 0, dtype))
    return model


def learner_of(backend, model, optimizer="Adam", options=None, **others):
    package = dlcourse.backend(backend)
    return package.Learner(model, getattr(package, optimizer)(model, **(options or {})), **others)


def batches(config, count, dtype=np.float32, size=8):
    rng = np.random.default_rng(1)
    return [(rng.random((size, *config.inputs)).astype(dtype), rng.integers(0, config.outputs, size=size)) for _ in range(count)]


def changed(before, after):
    return {name for name, array in before.items() if not np.array_equal(array, after[name])}


def is_statistic(name):
    return name.endswith(("running_mean", "running_var"))


@pytest.mark.parametrize(("optimizer", "options", "lr"), OPTIMIZERS, ids=[kind for kind, _, _ in OPTIMIZERS])
@each_backend
def test_what_is_frozen_stays_and_the_rest_trains(backend, optimizer, options, lr):
    model = model_of(backend, SMALL)
    assert model.frozen == () and model.freeze("convs") is model
    assert model.frozen == CONVS
    learner = learner_of(backend, model, optimizer, options)
    before = model.state()
    for batch in batches(SMALL, 3):
        learner.step(batch, lr)
    rest = {name for name in before if not name.startswith("convs")}
    assert changed(before, model.state()) == rest
    assert list(learner.gradients(batch)[1]) == [name for name in before if name in rest]
    slots = {name.split(".", 1)[1] for name in learner.optimizer.state() if name != "step"}
    assert slots == rest


@pytest.mark.parametrize(("prefixes", "count"), [((), 8), (("layers.0",), 2), (("convs.0.bias", "layers"), 5), (("convs.1", "convs"), 4)])
@each_backend
def test_prefixes_are_whole_parts_of_a_name(backend, prefixes, count):
    model = model_of(backend, SMALL).freeze(*prefixes)
    assert len(model.frozen) == count
    assert model.unfreeze(*prefixes) is model and model.frozen == ()


@each_backend
def test_layers_thaw_one_after_the_other(backend):
    model = model_of(backend, SMALL).freeze().unfreeze("layers.1")
    assert set(model.state()) - set(model.frozen) == {"layers.1.weight", "layers.1.bias"}
    before = model.state()
    learner_of(backend, model).step(batches(SMALL, 1)[0], 0.01)
    model.unfreeze("layers")
    learner_of(backend, model).step(batches(SMALL, 1)[0], 0.01)
    assert changed(before, model.state()) == set(before) - set(CONVS)


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("conv", "mean convs"),
        ("layers.7", "mean layers"),
        ("convs.0.weights", "mean convs.0.weight"),
        ("zebra", "begin with convs, layers"),
    ],
)
@each_backend
def test_an_unknown_prefix_is_refused_with_a_suggestion(backend, prefix, words):
    model = model_of(backend, SMALL)
    for change in (model.freeze, model.unfreeze):
        with pytest.raises(ValueError, match=f"no parameter is called '{prefix}'.*{words}"):
            change("layers.0", prefix)
    assert model.frozen == ()


@each_backend
def test_nothing_left_to_train_is_refused(backend):
    with pytest.raises(ValueError, match="everything is frozen"):
        learner_of(backend, model_of(backend, SMALL).freeze())


@each_backend
def test_an_optimizer_made_before_the_freezing_is_refused(backend):
    """It would go on moving the frozen weights by its momentum, or never move the thawed ones."""
    (batch,) = batches(SMALL, 1)
    learner = learner_of(backend, model_of(backend, SMALL))
    learner.model.freeze("convs.0")
    with pytest.raises(RuntimeError, match=r"convs.0.bias was frozen after the optimizer was made: make the optimizer"):
        learner.step(batch, 0.01)
    learner = learner_of(backend, learner.model)
    learner.model.unfreeze()
    with pytest.raises(RuntimeError, match=r"convs.0.bias was unfrozen after"):
        learner.step(batch, 0.01)


@each_backend
def test_a_frozen_batch_norm_keeps_its_statistics_and_uses_them(backend):
    model = model_of(backend, NORMED)
    learner = learner_of(backend, model)
    for batch in batches(NORMED, 3):
        learner.step(batch, 0.01)
    before = model.state()
    model.freeze("stem", "stem_norm", "blocks.0")
    frozen = {name for name in before if name.startswith(("stem", "blocks.0"))}
    learner = learner_of(backend, model)
    for batch in batches(NORMED, 3):
        learner.step(batch, 0.01)
    learner.gradients(batch)
    assert changed(before, model.state()) == set(before) - frozen
    assert any(is_statistic(name) for name in frozen)
    # the thawed norm learns its statistics again
    model.unfreeze()
    learner_of(backend, model).step(batch, 0.01)
    assert {name for name in frozen if is_statistic(name)} <= changed(before, model.state())


@each_backend
def test_only_the_frozen_norm_leaves_training_mode(backend):
    model = model_of(backend, NORMED).train().freeze("stem_norm")
    norms = lambda: (model.stem_norm.training, model.blocks[0].norm_1.training)  # noqa: E731
    assert norms() == (False, True) and norms() == (model.train() and norms())
    model.unfreeze()
    assert norms() == (True, True)
    model.eval().unfreeze()
    assert norms() == (False, False)


@pytest.mark.parametrize(("optimizer", "options", "lr"), OPTIMIZERS, ids=[kind for kind, _, _ in OPTIMIZERS])
@pytest.mark.parametrize(
    ("config", "prefixes"),
    [(SMALL, ("convs",)), (SMALL, ("convs.0", "layers.0")), (NORMED, ("stem", "stem_norm", "blocks.0")), (NORMED, ("blocks.1.norm_1",))],
    ids=["convolutions", "every second layer", "first block", "one norm"],
)
@pytest.mark.parametrize(
    ("backend", "dtype"),
    [("torch", np.float64), ("torch", np.float32), ("mlx", np.float32)],
    ids=lambda v: v if isinstance(v, str) else np.dtype(v).name,
)
def test_parity_of_a_frozen_training(backend, dtype, config, prefixes, optimizer, options, lr, record_parity):
    """Gradients by name, then states, optimizer included, after 1 and 10 steps."""
    first, *rest = batches(config, 10, dtype, size=16)
    seen = []
    for name in (backend, "numpy"):
        learner = learner_of(name, model_of(name, config, dtype).freeze(*prefixes), optimizer, options)
        rows = {f"gradient {key}": g for key, g in learner.gradients(first)[1].items()}
        for step, batch in enumerate((first, *rest), 1):
            rows[f"loss {step}"] = learner.step(batch, lr / 10)
            if step in (1, 10):
                rows |= {f"after {step}: {key}": array for key, array in learner.model.state().items()}
        seen.append(rows)
    assert any(np.abs(array).max() > 0 for key, array in seen[1].items() if key.startswith("gradient"))
    name, _, error = compare(*seen).check(1e-9 if dtype == np.float64 else 2e-5).worst
    record_parity(f"frozen {prefixes}, {optimizer}, {backend}: {name}", error)


@each_backend
def test_a_frozen_run_goes_on_bit_for_bit(backend, tmp_path):
    data = [np.concatenate(part) for part in zip(*batches(SMALL, 4), strict=True)]
    runs = []
    for epochs, folder, resume in [((4,), "whole", False), ((2, 4), "halves", True)]:
        for count in epochs:
            learner = learner_of(backend, model_of(backend, SMALL).freeze("convs"), seed=3)
            resumed = resume and count == epochs[-1]
            train.fit(learner, data, epochs=count, batch_size=8, folder=tmp_path / folder, resume=resumed)
        runs.append(learner.state())
    assert not changed(*runs)


@each_backend
def test_a_checkpoint_of_another_freezing_is_refused(backend, tmp_path):
    data = batches(SMALL, 1)[0]
    learner = learner_of(backend, model_of(backend, SMALL).freeze("convs.1"), "SGD")
    train.fit(learner, data, epochs=1, folder=tmp_path)
    about = json.loads(state.load_metadata(tmp_path / train.CHECKPOINT)["about"])
    assert about["run"]["frozen"] == ["convs.1.weight", "convs.1.bias"]
    other = learner_of(backend, model_of(backend, SMALL), "SGD")
    with pytest.raises(ValueError, match=r"frozen = \['convs.1.weight', 'convs.1.bias'\] \(now none\)"):
        train.fit(other, data, epochs=2, folder=tmp_path, resume=True)


def test_frozen_layers_are_shared_by_workers():
    """Weights that come later by load_state reach all workers, the frozen ones too."""
    ends = []
    for workers in (1, 2):
        learner = learner_of("numpy", model_of("numpy", SMALL).freeze("convs"), workers=workers)
        learner.model.load_state(initial_state(SMALL, 5))
        for batch in batches(SMALL, 3):
            learner.step(batch, 0.01)
        ends.append(learner.model.state())
    compare(*ends).check(1e-5)
    assert not changed({name: ends[1][name] for name in CONVS}, initial_state(SMALL, 5))


def test_mlx_keeps_its_own_freeze():
    model = model_of("mlx", SMALL)
    model.freeze(keys="bias")
    assert model.frozen == tuple(name for name in model.state() if name.endswith("bias"))
    model.unfreeze(recurse=True)
    assert model.frozen == ()


# ---------------------------------------------------------------- transfer


def test_transfer_takes_what_is_named_and_leaves_the_rest():
    source, target = initial_state(SMALL, 0), initial_state(SMALL, 1)
    kept = {name: array.copy() for name, array in target.items()}
    new = state.transfer(source, target, "convs", "layers.0")
    assert list(new) == list(target)
    for name, array in new.items():
        assert np.array_equal(array, (target if name.startswith("layers.1") else source)[name])
        array += 1
    assert not changed(kept, target) and not changed(source, initial_state(SMALL, 0)), "the result holds copies"


def test_transfer_into_a_head_of_another_size():
    source = initial_state(SMALL, 0)
    target = initial_state(CNNConfig((8, 8, 1), (3, 4), 3, 1, hidden=(6,), outputs=7), 1)
    new = state.transfer(source, target, "convs", "layers.0")
    assert new["layers.1.weight"].shape == (7, 6)
    with pytest.raises(ValueError, match=r"layers.1.weight has shape \(3, 6\), expected \(7, 6\)"):
        state.transfer(source, target, "layers")


def test_transfer_names_what_is_missing():
    source, target = initial_state(MLPConfig(4, (3,), 2), 0), initial_state(MLPConfig(4, (3, 3), 2), 0)
    with pytest.raises(ValueError, match="called 'layer' or stands under it .did you mean layers"):
        state.transfer(source, target, "layer")
    with pytest.raises(ValueError, match="missing layers.2.weight"):
        state.transfer(source, target, "layers")
    with pytest.raises(ValueError, match="name what is to be transferred"):
        state.transfer(source, target)


def test_a_prefix_is_no_beginning_of_a_word():
    names = ["stem.weight", "stem_norm.weight", "blocks.1.weight", "blocks.10.weight"]
    assert state.under(["stem"], names) == ["stem.weight"]
    assert state.under(["blocks.1"], names) == ["blocks.1.weight"]
    assert state.under([], names) == names
