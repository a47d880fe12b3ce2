"""The parts of the study of transfer, and a small study from end to end."""

import dataclasses
import json

import numpy as np
import pytest

from dlcourse import cli, transfer
from dlcourse.config import CNNConfig
from dlcourse.data.dataset import Split
from dlcourse.initial import initial_state
from dlcourse.numpy import CNN

CONFIG = CNNConfig((8, 8, 1), channels=(3, 4), kernel=3, padding=1, hidden=(6, 5), outputs=10)
STUDY = dataclasses.replace(
    transfer.STUDY,
    source="digits",
    target="digits",
    config=CONFIG,
    seeds=(0, 1),
    labels=(10, 40),
    depth_labels=(20,),
    source_steps=40,
    steps=4,
    probe_steps=5,
)


@pytest.mark.parametrize("pool", ["max", "avg"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_features_are_what_the_head_sees(rng, pool, activation):
    config = dataclasses.replace(CONFIG, pool=pool, activation=activation)
    state = initial_state(config, 0)
    model = CNN(config)
    model.load_state(state)
    x = rng.random((7, 8, 8, 1)).astype(np.float32)
    found = transfer.features(config, state, x, batch_size=3)
    assert {name: array.shape for name, array in found.items()} == {
        "pixels": (7, 64),
        "convs": (7, 16),
        "layers.0": (7, 6),
        "layers.1": (7, 5),
    }
    logits = found["layers.1"] @ state["layers.2.weight"].T + state["layers.2.bias"]
    np.testing.assert_allclose(logits, model(x)[0], atol=1e-6)
    np.testing.assert_array_equal(found["pixels"], x.reshape(7, -1))


def test_subset_takes_from_all_classes_alike():
    y = np.repeat([0, 1, 2], [2, 10, 10])
    split = Split(np.arange(22)[:, None], y)
    part = transfer.subset(split, 12, seed=0)
    assert np.bincount(part.y).tolist() == [2, 5, 5] and len(np.unique(part.x)) == 12
    assert np.array_equal(y[part.x[:, 0]], part.y)
    again, other = (transfer.subset(split, 12, seed).x for seed in (0, 1))
    assert np.array_equal(again, part.x) and not np.array_equal(other, part.x)
    assert np.bincount(transfer.subset(split, 4, seed=0).y).tolist() == [2, 1, 1]


def test_groups_are_the_layers_in_order():
    assert transfer.groups(CONFIG) == ("convs.0", "convs.1", "layers.0", "layers.1", "layers.2")


def test_new_head():
    source, other = initial_state(CONFIG, 1), dataclasses.replace(CONFIG, outputs=3)
    zero, random = transfer.new_head(other, source), transfer.new_head(other, source, seed=5)
    for state in (zero, random):
        assert all(np.array_equal(state[name], source[name]) for name in source if not name.startswith("layers.2"))
        assert state["layers.2.weight"].shape == (3, 5)
    assert not zero["layers.2.weight"].any()
    assert np.array_equal(random["layers.2.weight"], initial_state(other, 5)["layers.2.weight"])


def test_fit_counts_steps_and_keeps_what_is_frozen(rng):
    data = rng.random((20, 8, 8, 1)).astype(np.float32), rng.integers(0, 10, size=20)
    start = initial_state(CONFIG, 0)
    learner = transfer.fit(CONFIG, start, data, frozen=("convs",), steps=9, batch_size=8)
    assert learner.optimizer.steps == 9
    for name, array in learner.model.state().items():
        assert np.array_equal(array, start[name]) == name.startswith("convs"), name
    assert transfer.fit(CONFIG, start, data, steps=1).optimizer.steps == 1, "at least one epoch"


def test_a_probe_separates_what_a_line_separates(rng):
    y = rng.integers(0, 3, size=60)
    x = (np.eye(3)[y] * 4 + rng.normal(size=(60, 3))).astype(np.float32)
    learner = transfer.probe(x, y, 3, lr=0.1, steps=100)
    assert transfer.accuracy(learner, (x, y)) > 0.95
    same = transfer.probe(x, y, 3, lr=0.1, steps=100)
    assert np.array_equal(learner.predict(x), same.predict(x))


def test_a_small_study(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(transfer, "STUDY", STUDY)
    assert cli.main(["transfer", "--backend", "numpy", "--record"]) == 0
    assert "written" in capsys.readouterr().out
    found = json.loads((tmp_path / "results" / "transfer-fashion-mnist.json").read_text(encoding="utf-8"))
    assert {
        "format",
        "study",
        "title",
        "backend",
        "device",
        "config",
        "settings",
        "data",
        "seeds",
        "seconds",
        "versions",
        "machine",
    } <= set(found)
    assert found["data"]["source"]["train"] == 1258 and found["settings"]["labels"] == [10, 40]
    curves = found["metrics"]["test_accuracy"]
    layers = ("convs", "layers.0", "layers.1")
    assert set(curves) == {"pixels", *(f"{s} {layer}" for s in ("source", "random") for layer in layers)} | {
        "fine-tuned",
        "fine-tuned, random head",
        "scratch",
    }
    for values in curves.values():
        assert list(values) == ["10", "40"] and all(len(v) == 2 and 0 <= min(v) <= max(v) <= 1 for v in values.values())
    depth = found["metrics"]["test_accuracy_by_frozen"]["20"]
    assert set(depth) == {"source", "random"} and list(depth["source"]) == ["0", "1", "2", "3", "4"]
    assert found["groups"] == list(transfer.groups(CONFIG))
