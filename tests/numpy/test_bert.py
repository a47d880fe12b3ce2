"""BERT: logits against the oracle, every gradient by differences, dropout, padding, segments, the start."""

from dataclasses import replace

import numpy as np
import pytest

from dlcourse import initial
from dlcourse.config import BERTConfig
from dlcourse.initial import initial_state
from dlcourse.numpy import BERT, Adam, Learner, bert
from tests.gradients import assert_close
from tests.numpy import bert_cases as cases
from tests.numpy.transformer_cases import moved_gpt


def test_bert():
    cases.check_bert(bert)


def test_bert_dropout():
    cases.check_bert_dropout(bert)


def test_initial():
    cases.check_initial(initial)


def loaded(config):
    model = BERT(config)
    model.load_state(moved_gpt(config))
    return model


def test_padding_changes_nothing(rng):
    model = loaded(replace(cases.BASE, task="classify", outputs=3))
    x = rng.integers(4, 9, (3, 5))
    padded = np.pad(x, ((0, 0), (0, 2)))
    assert_close("logits", model(padded)[0], model(x)[0], 1e-13)


def test_every_token_sees_every_other(rng):
    """A change at any place moves the logits at every place: no direction is forbidden."""
    model, x = loaded(replace(cases.BASE, task="label", outputs=3)), rng.integers(4, 9, (1, 6))
    for place in range(6):
        other = x.copy()
        other[0, place] = 4 + (x[0, place] - 3) % 5
        assert (np.abs(model(other)[0] - model(x)[0]).max(axis=-1) > 1e-6).all()


def test_only_padding_is_refused():
    x = np.full((2, 4), 5)
    x[1] = 0
    with pytest.raises(ValueError, match="sequence 1 is nothing but padding, token 0"):
        loaded(cases.BASE)(x)


def test_the_body_starts_the_same_for_every_task():
    states = [initial_state(replace(cases.BASE, task=task, outputs=n), 3) for task, n in [("pretrain", None), ("label", 4), ("span", None)]]
    heads = ("pooler", "transform", "decoder_bias", "nsp", "head")
    bodies = [{name: array for name, array in state.items() if not name.startswith(heads)} for state in states]
    for body in bodies[1:]:
        assert list(body) == list(bodies[0]) and all(np.array_equal(body[name], bodies[0][name]) for name in body)


def test_it_starts_knowing_nothing():
    """The loss is log V + log 2, and the weights have deviation 0.02."""
    config = BERTConfig(500, context=32)
    model, state = BERT(config), initial_state(config, 0)
    model.load_state(state)
    rng = np.random.default_rng(0)
    x = rng.integers(5, 500, (4, 32))
    loss, _ = Learner(model, Adam(model), "pretraining").evaluate((x, np.concatenate([rng.integers(0, 2, (4, 1)), x], axis=1)))
    assert abs(loss - np.log(500) - np.log(2)) < 0.3
    matrices = {name: array for name, array in state.items() if array.ndim == 2 and array.size > 1000}
    assert len(matrices) == 16 and all(abs(array.std() - 0.02) < 0.001 for array in matrices.values())
    assert all((array == name.endswith("weight")).all() for name, array in state.items() if array.ndim == 1)


@pytest.mark.parametrize("task", ["pretrain", "label", "span"])
def test_workers_give_what_one_gives(task, rng):
    config = replace(cases.BASE, task=task, outputs=3 if task == "label" else None, dropout=0.2)
    x, states = rng.integers(4, 9, (5, 6)), []
    y = {"pretrain": np.where(rng.random((5, 7)) < 0.5, rng.integers(0, 2, (5, 7)), -100), "span": rng.integers(0, 6, (5, 2))}
    y = y.get(task, rng.integers(0, 3, (5, 6)))
    if task == "pretrain":
        y[:, 0] = y[:, 0] != -100
    for workers in (1, 2):
        model = loaded(config)
        learner = Learner(model, Adam(model), "pretraining" if task == "pretrain" else "cross_entropy", workers=workers)
        for _ in range(3):
            learner.step((x, y), 1e-3)
        states.append(model.state())
    for name, array in states[0].items():
        if not name.endswith("k_proj.bias"):
            assert_close(name, states[1][name], array, 1e-9)


def test_configuration():
    assert BERTConfig(70).outputs == 70 and BERTConfig(70, task="span").outputs == 64 and BERTConfig(70).hidden == 512
    assert replace(BERTConfig(70), task="classify", outputs=3).outputs == 3
    for given, message in [
        ({"task": "translate"}, "unknown task 'translate': choose one of pretrain, classify, label, span"),
        ({"task": "classify"}, "task 'classify' needs the number of its classes: write outputs=2 for two"),
        ({"outputs": 5}, "outputs=5 does not fit task 'pretrain', which has 70: leave it out"),
        ({"task": "span", "outputs": 70}, "outputs=70 does not fit task 'span', which has 64"),
        ({"sep": 70}, "sep=70 but vocab is 70"),
        ({"pad": -1}, "pad holds -1: special tokens are whole numbers of at least 0"),
        ({"heads": 3}, "width=128 is not divisible by heads=3"),
        ({"eps": 0.0}, "eps=0.0: it is a small number above 0"),
        ({"exact_gelu": 1}, "exact_gelu=1: it is True or False"),
        ({"task": "label", "outputs": 0}, "outputs holds 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            BERTConfig(70, **given)
