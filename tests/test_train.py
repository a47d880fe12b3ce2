"""The training loop: what it learns, what it refuses, and that nothing is ever lost."""

import errno
import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest

import dlcourse
from dlcourse import schedule, state, train
from dlcourse.config import MLPConfig
from dlcourse.data import Dataset, Split
from dlcourse.data.augment import crop, cutout, flip, mixup, smooth
from dlcourse.data.batches import Batches
from dlcourse.initial import initial_state


def blobs(count=96, seed=0, classes=3, inputs=4):
    """Points around `classes` centres."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, count)
    centres = np.random.default_rng(9).normal(0, 2, (classes, inputs))
    return Split((centres[y] + rng.normal(size=(count, inputs))).astype(np.float32), y.astype(np.int64))


TRAIN, VALIDATION = blobs(), blobs(48, seed=1)


def learner(backend="numpy", dropout=0.0, optimizer="Adam", hidden=(8,), loss="cross_entropy", outputs=3, seed=0, **options):
    package, config = dlcourse.backend(backend), MLPConfig(4, hidden=hidden, outputs=outputs, dropout=dropout)
    model = package.MLP(config)
    model.load_state(initial_state(config, seed))
    return package.Learner(model, getattr(package, optimizer)(model), loss, seed=seed, **options)


def fit(who, data=TRAIN, **options):
    return train.fit(who, data, **{"epochs": 4, "batch_size": 16, "schedule": 0.02, "validation": VALIDATION, "progress": False} | options)


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def without_seconds(history):
    return {name: values for name, values in vars(history).items() if name != "seconds"}


class InterruptAfter:
    """Raises KeyboardInterrupt inside the learner's step, after the weights of that step were changed."""

    def __init__(self, who, steps):
        self.step, self.left = who.step, steps

    def __call__(self, batch, lr):
        loss = self.step(batch, lr)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return loss


# ---------------------------------------------------------------- it learns


def test_learns_and_records_each_epoch(backend_name):
    who = learner(backend_name)
    history = fit(who, epochs=8)
    assert len(history) == len(history.validation_loss) == len(history.seconds) == 8
    assert history.lr == [0.02] * 8
    assert history.loss[-1] < 0.5 * history.loss[0]
    assert history.accuracy[-1] > 0.8
    assert (history.validation_loss[-1], history.accuracy[-1]) == train.evaluate(who, VALIDATION)
    assert history.best["validation_loss"] == min(history.validation_loss)
    assert history.best["epoch"] == int(np.argmin(history.validation_loss)) + 1


@pytest.fixture(params=dlcourse.BACKENDS)
def backend_name(request):
    return request.param


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    runs = [learner(dropout=0.3) for _ in range(3)]
    for who, seed in zip(runs, (5, 5, 6), strict=True):
        fit(who, seed=seed)
    assert_same(runs[0].state(), runs[1].state())
    assert not np.array_equal(runs[0].state()["model.layers.0.weight"], runs[2].state()["model.layers.0.weight"])


def test_the_mean_loss_weighs_a_smaller_last_batch_by_its_size():
    who = learner()
    expected = train.evaluate(who, TRAIN)[0]
    history = fit(who, epochs=1, batch_size=36, schedule=1e-12)  # 36, 36, 24: and nothing is learnt
    assert history.loss[0] == pytest.approx(expected, rel=1e-5)


def test_the_schedule_sees_every_step_once():
    seen = []
    fit(learner(), epochs=3, batch_size=40, schedule=lambda step, total: seen.append((step, total)) or 0.01)
    assert seen == [(step, 9) for step in range(9)]


def test_a_dataset_brings_its_validation():
    dataset = Dataset("blobs", TRAIN, VALIDATION, VALIDATION, ("a", "b", "c"), "generated", "none")
    a, b = learner(), learner()
    assert without_seconds(fit(a, dataset, validation=None)) == without_seconds(fit(b))


def test_without_validation():
    history = fit(learner(), validation=None)
    assert history.accuracy == history.validation_loss == []
    assert history.best["loss"] == min(history.loss)
    assert train.History().best is None


@pytest.mark.parametrize(("loss", "targets"), [("binary_cross_entropy", lambda y: y % 2), ("mse", lambda y: y.astype(np.float32))])
def test_other_losses(backend_name, loss, targets):
    who = learner(backend_name, loss=loss, outputs=1)
    history = fit(who, Split(TRAIN.x, targets(TRAIN.y)), validation=Split(VALIDATION.x, targets(VALIDATION.y)), epochs=8)
    assert history.loss[-1] < history.loss[0]
    assert math.isnan(history.accuracy[0]) == (loss == "mse")


IMAGES, VALIDATION_IMAGES = (Split(split.x.reshape(-1, 2, 2, 1), split.y) for split in (TRAIN, VALIDATION))


def fit_images(who, **options):
    return fit(who, IMAGES, **{"validation": VALIDATION_IMAGES, "augment": (crop(1), flip(), mixup(1.0, 3))} | options)


def test_augmentation_changes_the_training_batches_alone(backend_name):
    """Black squares over the whole image teach nothing but the biases; the validation set is measured as it is."""
    kept = [array.copy() for split in (IMAGES, VALIDATION_IMAGES) for array in split]
    who = learner(backend_name)
    history = fit_images(who, augment=(cutout(9),))
    changed = [name for name, array in who.model.state().items() if not np.array_equal(array, learner(backend_name).model.state()[name])]
    assert changed == ["layers.1.bias"]
    assert (history.validation_loss[-1], history.accuracy[-1]) == train.evaluate(who, VALIDATION_IMAGES)
    assert all(np.array_equal(a, b) for a, b in zip(kept, [*IMAGES, *VALIDATION_IMAGES], strict=True))


def test_training_on_soft_targets_learns(backend_name):
    who = learner(backend_name)
    fit_images(who, augment=(mixup(0.4, 3), smooth(0.1, 3)), epochs=8)
    assert train.evaluate(who, VALIDATION_IMAGES)[1] > 0.8


def test_soft_targets_have_no_accuracy():
    who = learner()
    loss, accuracy = train.evaluate(who, Split(VALIDATION.x, np.eye(3)[VALIDATION.y]))
    assert math.isnan(accuracy) and loss == pytest.approx(train.evaluate(who, VALIDATION)[0], rel=1e-6)


def test_evaluate_needs_examples():
    with pytest.raises(ValueError, match="no examples to measure on"):
        train.evaluate(learner(), Split(TRAIN.x[:0], TRAIN.y[:0]))


def test_evaluate_in_parts_is_evaluate_at_once():
    who = learner()
    whole, parts = (train.evaluate(who, TRAIN, batch_size) for batch_size in (1000, 7))
    assert parts == pytest.approx(whole, rel=1e-6)


def test_clipping_is_the_learners_and_lowers_the_first_step():
    a, b = learner(optimizer="SGD"), learner(optimizer="SGD", clip=1e-3)
    start = a.state()["model.layers.0.weight"]
    for who in (a, b):
        fit(who, epochs=1, batch_size=96, schedule=1.0)
    moved = [np.abs(who.state()["model.layers.0.weight"] - start).max() for who in (a, b)]
    assert moved[1] < 1e-3 < moved[0]


# ---------------------------------------------------------------- early stopping


def test_patience_stops_and_restores_the_best_weights(backend_name):
    noise = Split(TRAIN.x, np.random.default_rng(3).integers(0, 3, len(TRAIN.y)))  # labels that can only be learnt by heart
    who = learner(backend_name, hidden=(64,))
    history = fit(who, noise, epochs=60, patience=3, schedule=0.05)
    assert len(history) < 60
    assert len(history) - history.best["epoch"] == 3
    assert train.evaluate(who, VALIDATION)[0] == pytest.approx(history.best["validation_loss"], rel=1e-6)
    assert history.validation_loss[-1] > history.best["validation_loss"]


def test_patience_over_a_resumed_run_is_the_same(tmp_path):
    noise = Split(TRAIN.x, np.random.default_rng(3).integers(0, 3, len(TRAIN.y)))
    options = {"epochs": 60, "patience": 3, "schedule": 0.05}
    whole, parted = learner(hidden=(64,)), learner(hidden=(64,))
    expected = fit(whole, noise, **options)
    parted.step = InterruptAfter(parted, 6 * (len(expected) - 1))
    with pytest.raises(train.Interrupted):
        fit(parted, noise, folder=tmp_path, **options)
    again = learner(hidden=(64,), seed=7)
    assert without_seconds(fit(again, noise, folder=tmp_path, resume=True, **options)) == without_seconds(expected)
    assert_same(again.model.state(), whole.model.state())


# ---------------------------------------------------------------- checkpoint and resume


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_resume_continues_bit_for_bit(backend_name, dropout, optimizer, tmp_path):
    """Four epochs in one go equal two, an interrupt in the middle of the third, and the rest in a new learner."""
    options = {"dropout": dropout, "optimizer": optimizer}
    rates = {"schedule": schedule.cosine(0.02, warmup=0.2)}
    whole, parted = learner(backend_name, **options), learner(backend_name, **options)
    expected = fit(whole, **rates)
    expected_state = whole.state()

    parted = learner(backend_name, **options)
    parted.step = InterruptAfter(parted, 2 * 6 + 3)
    with pytest.raises(train.Interrupted, match=r"stopped after 2 of 4 epochs: pass resume=True .*checkpoint.safetensors"):
        fit(parted, folder=tmp_path, **rates)

    again = learner(backend_name, seed=123, **options)  # other weights and another generator: the checkpoint replaces both
    history = fit(again, folder=tmp_path, resume=True, **rates)
    assert without_seconds(history) == without_seconds(expected)
    assert_same(again.state(), expected_state)


def test_resume_with_augmentation_continues_bit_for_bit(backend_name, tmp_path):
    whole = learner(backend_name, 0.4)
    expected = fit_images(whole, epochs=5)
    interrupted = learner(backend_name, 0.4)
    interrupted.step = InterruptAfter(interrupted, 15)  # in the third of five epochs of six steps
    with pytest.raises(train.Interrupted, match="after 2 of 5"):
        fit_images(interrupted, epochs=5, folder=tmp_path)
    resumed = learner(backend_name, 0.4)
    history = fit_images(resumed, epochs=5, folder=tmp_path, resume=True)
    assert without_seconds(history) == without_seconds(expected)
    assert_same(resumed.state(), whole.state())


@pytest.mark.parametrize("augment", [(), (crop(1), flip(), mixup(0.5, 3)), (flip(), crop(1), mixup(1.0, 3))])
def test_a_checkpoint_of_other_augmentation_is_refused(augment, tmp_path):
    fit_images(learner(), epochs=1, folder=tmp_path)
    with pytest.raises(
        ValueError, match=r"augment = crop\(padding=1, mode='reflect'\), flip\(\), mixup\(alpha=1.0, classes=3\) \(now .*use the same"
    ):
        fit_images(learner(), epochs=2, folder=tmp_path, resume=True, augment=augment)
    fit_images(learner(), epochs=2, folder=tmp_path, resume=True)


def test_a_run_without_augmentation_records_none(tmp_path):
    """Checkpoints from before there was any can be resumed."""
    fit(learner(), epochs=1, folder=tmp_path)
    assert "augment" not in json.loads(state.load_metadata(tmp_path / train.CHECKPOINT)["about"])["run"]


def test_augmentation_that_does_not_fit_is_one_sentence():
    for augment, sentence in [((mixup(),), "soft targets of shape (16, 10)"), (flip(), "alone: pass a tuple")]:
        with pytest.raises(ValueError) as caught:
            fit_images(learner(), augment=augment)
        assert sentence in str(caught.value)
    with pytest.raises(ValueError, match=r"x has shape \(16, 4\) but images are"):
        fit(learner(), augment=(flip(),))


def test_ctrl_c_leaves_the_learner_at_the_last_whole_epoch(backend_name):
    two, stopped = learner(backend_name, dropout=0.4), learner(backend_name, dropout=0.4)
    fit(two, epochs=2)
    expected = two.state()
    stopped = learner(backend_name, dropout=0.4)
    stopped.step = InterruptAfter(stopped, 15)
    with pytest.raises(KeyboardInterrupt, match=r"stopped after 2 of 4 epochs: pass folder="):
        fit(stopped)
    assert_same(stopped.state(), expected)


def test_ctrl_c_in_the_first_epoch_can_be_resumed(tmp_path):
    whole, stopped = learner(), learner()
    expected = fit(whole)
    stopped.step = InterruptAfter(stopped, 2)
    with pytest.raises(train.Interrupted, match="stopped after 0 of 4 epochs"):
        fit(stopped, folder=tmp_path)
    again = learner()
    assert without_seconds(fit(again, folder=tmp_path, resume=True)) == without_seconds(expected)
    assert_same(again.state(), whole.state())


def test_more_epochs_at_a_constant_rate_are_just_more(tmp_path):
    whole, parted = learner(), learner()
    expected = fit(whole, epochs=5)
    fit(parted, epochs=3, folder=tmp_path)
    assert without_seconds(fit(learner(), epochs=5, folder=tmp_path, resume=True)) == without_seconds(expected)


def test_resuming_a_finished_run_gives_its_result_again(tmp_path):
    first, second = learner(), learner()
    expected = fit(first, folder=tmp_path)
    assert fit(second, folder=tmp_path, resume=True) == expected
    assert_same(first.state(), second.state())


def test_resume_without_a_checkpoint_starts(tmp_path):
    assert len(fit(learner(), folder=tmp_path / "new" / "folder", resume=True)) == 4


def test_an_earlier_run_is_not_overwritten(tmp_path):
    fit(learner(), folder=tmp_path)
    before = (tmp_path / train.CHECKPOINT).read_bytes()
    with pytest.raises(ValueError, match=r"holds an earlier run: pass resume=True"):
        fit(learner(), folder=tmp_path)
    assert (tmp_path / train.CHECKPOINT).read_bytes() == before


def test_the_checkpoint_says_what_it_is(tmp_path):
    fit(learner(), folder=tmp_path, settings={"recipe": "blobs"})
    about = json.loads(state.load_metadata(tmp_path / train.CHECKPOINT)["about"])
    assert about["epoch"] == 4
    assert about["step"] == 24
    assert about["run"]["recipe"] == "blobs"
    assert about["run"]["config.hidden"] == [8]
    assert about["versions"]["numpy"] == np.__version__
    assert [path.name for path in tmp_path.iterdir()] == [train.CHECKPOINT]


@pytest.mark.parametrize(
    ("who", "options", "named"),
    [
        ({"hidden": (16,)}, {}, r"config.hidden = \[8\] \(now \[16\]\)"),
        ({"dropout": 0.5}, {}, r"config.dropout = 0.0 \(now 0.5\)"),
        ({"optimizer": "SGD"}, {}, r"optimizer = Adam \(now SGD\)"),
        ({"backend": "torch"}, {}, r"backend = numpy \(now torch\)"),
        ({"clip": 1.0}, {}, r"clip = None \(now 1.0\)"),
        ({}, {"batch_size": 8}, r"batch_size = 16 \(now 8\)"),
        ({}, {"seed": 1}, r"seed = 0 \(now 1\)"),
        ({}, {"schedule": 0.5}, r"schedule = constant\(lr=0.02\) \(now constant\(lr=0.5\)\)"),
        ({}, {"schedule": schedule.cosine(0.02)}, r"schedule = .*epochs = none \(now 4\)"),
        ({}, {"settings": {"recipe": "other"}}, r"recipe = none \(now other\)"),
        ({}, {"data": blobs(seed=5)}, r"checksum of the targets = \d+ \(now \d+\)"),
        ({}, {"data": blobs(50)}, r"examples = 96 \(now 50\)"),
    ],
)
def test_a_checkpoint_of_another_run_names_the_differing_fields(who, options, named, tmp_path):
    fit(learner(), folder=tmp_path)
    other = learner(**who)
    before = other.state()
    with pytest.raises(ValueError, match=rf"belongs to a run with {named}.*: use the same settings, or choose another folder"):
        fit(other, folder=tmp_path, resume=True, **options)
    assert_same(other.state(), before)


@pytest.mark.parametrize("damage", ["cut", "text", "foreign"])
def test_a_file_that_is_no_checkpoint(damage, tmp_path):
    fit(learner(), folder=tmp_path)
    path = tmp_path / train.CHECKPOINT
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "text":
        path.write_text("hello")
    else:
        state.save(path, {"a": np.zeros(3)})
    with pytest.raises(ValueError, match=r"is not a (whole safetensors file|checkpoint of dlcourse)"):
        fit(learner(), folder=tmp_path, resume=True)


# ---------------------------------------------------------------- what it refuses


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["training", "validation"])
def test_nan_in_the_data_is_refused_before_training(bad, where):
    spoilt = Split(TRAIN.x.copy(), TRAIN.y)
    spoilt.x[[3, 5], 1] = bad
    who = learner()
    before = who.state()
    with pytest.raises(ValueError, match=rf"2 of 96 {where} examples hold NaN or infinity in their inputs"):
        fit(who, **({"data": spoilt} if where == "training" else {"validation": spoilt}))
    assert_same(who.state(), before)


def test_nan_in_targets_is_refused():
    target = TRAIN.y.astype(np.float32)
    target[0] = np.nan
    with pytest.raises(ValueError, match="1 of 96 training examples hold NaN or infinity in their targets"):
        fit(learner(loss="mse", outputs=1), Split(TRAIN.x, target), validation=None)


def test_a_loss_that_is_not_finite_stops_and_names_step_and_rate(backend_name, tmp_path):
    who = learner(backend_name, optimizer="SGD", hidden=(8, 8), loss="mse", outputs=1)
    data = Split(TRAIN.x, TRAIN.y.astype(np.float32))
    with pytest.raises(RuntimeError, match=r"at step \d+ \(epoch \d+, learning rate 1e\+12\): lower the learning rate or clip"):
        fit(who, data, validation=None, schedule=1e12, folder=tmp_path)
    kept = state.load(tmp_path / train.CHECKPOINT)
    assert all(np.isfinite(array).all() for array in kept.values()), "the checkpoint must hold the last good weights"


def test_weights_broken_by_the_last_step_of_an_epoch_are_not_saved(tmp_path):
    who = learner()
    step = who.step

    def broken(batch, lr):
        loss = step(batch, lr)
        who.model.layers[0].weight.data[0, 0] = np.nan
        return loss

    who.step = broken
    with pytest.raises(RuntimeError, match="a weight is not finite at step 1 "):
        fit(who, batch_size=96, folder=tmp_path)
    assert np.isfinite(state.load(tmp_path / train.CHECKPOINT)["model.layers.0.weight"]).all()


def test_a_validation_loss_that_is_not_finite_stops(tmp_path):
    who = learner()
    who.evaluate = lambda batch: (math.inf, np.zeros((len(batch[0]), 3)))
    with pytest.raises(RuntimeError, match="the validation loss is inf at step 6 "):
        fit(who, folder=tmp_path)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"data": Split(TRAIN.x[:0], TRAIN.y[:0])}, "training set is empty"),
        ({"validation": Split(TRAIN.x[:0], TRAIN.y[:0])}, "validation set is empty"),
        ({"data": Split(TRAIN.x, TRAIN.y + 1)}, "labels run from 1 to 3 but the model has 3 classes"),
        ({"validation": Split(TRAIN.x, TRAIN.y - 1)}, "labels run from -1"),
        ({"data": Split(TRAIN.x[:, :3], TRAIN.y)}, "3 numbers but the model takes 4"),
        ({"data": Split(TRAIN.x, TRAIN.y[:-1])}, "96 examples but 95 targets"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"patience": 2, "validation": None}, "patience=2 needs validation data"),
        ({"patience": 0}, "patience=0"),
        ({"resume": True}, "needs the folder"),
        ({"schedule": -1.0}, "lr=-1.0"),
    ],
)
def test_refuses_in_one_sentence(options, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        fit(learner(), **options)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_is_found_before_training(tmp_path):
    (tmp_path / "file").write_text("in the way")
    who = learner()
    who.step = None  # training would fail
    with pytest.raises(OSError, match=r"cannot write .*choose another folder"):
        fit(who, folder=tmp_path / "file" / "run")


def test_a_full_disk_keeps_the_earlier_checkpoint(tmp_path, monkeypatch):
    whole = learner()
    expected = fit(whole)
    write, calls = Path.write_bytes, []

    def full_at_the_third(path, content):
        calls.append(path)
        if len(calls) > 2:
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full_at_the_third)
    with pytest.raises(OSError, match=r"cannot write .*No space left on device.*free some space"):
        fit(learner(), folder=tmp_path)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == [train.CHECKPOINT]
    again = learner()
    assert without_seconds(fit(again, folder=tmp_path, resume=True)) == without_seconds(expected)
    assert_same(again.state(), whole.state())


# ---------------------------------------------------------------- progress


def test_silent_unless_asked(capsys):
    fit(learner(), progress="auto")  # not a terminal
    assert capsys.readouterr() == ("", "")
    rows = []
    fit(learner(), progress=True, report=lambda epoch, row: rows.append((epoch, sorted(row))))
    assert "24/24" in capsys.readouterr().err
    assert rows == [(epoch, ["accuracy", "loss", "lr", "seconds", "validation_loss"]) for epoch in (1, 2, 3, 4)]


def test_progress_on_a_terminal_needs_no_tqdm(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr(train.importlib.util, "find_spec", lambda name: None)
    assert len(fit(learner(), progress="auto")) == 4


# ---------------------------------------------------------------- a part of the examples in each epoch


def test_steps_bound_an_epoch(backend_name):
    seen = []
    who = learner(backend_name)
    step = who.step
    who.step = lambda batch, lr: (seen.append(len(batch[0])), step(batch, lr))[1]
    history = fit(who, epochs=3, steps=2, schedule=lambda step, total: 0.01 if (step < total == 6) else None)
    assert seen == [16] * 6 and len(history) == 3
    assert all(math.isfinite(loss) for loss in history.loss)


def test_resume_with_steps_continues_bit_for_bit(tmp_path):
    whole, parted = learner(dropout=0.4), learner(dropout=0.4)
    expected = fit(whole, steps=2)
    parted.step = InterruptAfter(parted, 2 * 2 + 1)
    with pytest.raises(train.Interrupted, match="stopped after 2 of 4 epochs"):
        fit(parted, steps=2, folder=tmp_path)
    with pytest.raises(ValueError, match=r"steps = 2 \(now 3\)"):
        fit(learner(dropout=0.4), steps=3, folder=tmp_path, resume=True)
    again = learner(dropout=0.4)
    assert without_seconds(fit(again, steps=2, folder=tmp_path, resume=True)) == without_seconds(expected)
    assert_same(again.state(), whole.state())


def test_a_run_without_steps_records_none(tmp_path):
    """Checkpoints from before there were any can be resumed; their checksum of the targets is that of all bytes at once."""
    fit(learner(), epochs=1, folder=tmp_path)
    run = json.loads(state.load_metadata(tmp_path / train.CHECKPOINT)["about"])["run"]
    assert "steps" not in run and run["checksum of the targets"] == zlib.crc32(TRAIN.y)
    y = np.arange(25_000)
    assert train._checksum(y) == zlib.crc32(y)


# ---------------------------------------------------------------- the range test


@pytest.mark.parametrize("backend_name", dlcourse.BACKENDS)
def test_range_test_grows_by_one_factor_and_leaves_the_learner(backend_name):
    who = learner(backend_name)
    fit(who, epochs=1)
    before = who.state()
    rates, losses = train.range_test(who, TRAIN, lowest=1e-4, highest=1e-1, steps=13, batch_size=32, smoothing=0.0, seed=3)
    assert len(rates) == len(losses) == 13
    np.testing.assert_allclose(rates, 10 ** np.linspace(-4, -1, 13), rtol=1e-12)
    after = who.state()
    assert all(np.array_equal(before[name], after[name]) for name in before)
    seen, rng = [], np.random.default_rng(3)
    while len(seen) < 13:  # the same by hand: epoch after epoch, each in its own order
        for x, y in Batches(*TRAIN, 32, rng):
            seen.append(who.step((x, y), rates[len(seen)]) if len(seen) < 13 else None)
    np.testing.assert_allclose(losses, seen[:13], rtol=1e-12)


def test_range_test_smooths_by_a_corrected_mean():
    raw, smooth = (
        train.range_test(learner(), TRAIN, lowest=1e-4, highest=1e-1, steps=20, smoothing=smoothing)[1] for smoothing in (0.0, 0.8)
    )
    weights = 0.8 ** np.arange(20)
    expected = [np.sum(weights[: i + 1][::-1] * raw[: i + 1]) / np.sum(weights[: i + 1]) for i in range(20)]
    np.testing.assert_allclose(smooth, expected, rtol=1e-10)


def test_range_test_ends_where_the_loss_explodes():
    who = learner(optimizer="SGD")
    rates, losses = train.range_test(who, TRAIN, lowest=1e-3, highest=1e6, steps=60, smoothing=0.5)
    assert len(rates) < 60 and np.isfinite(losses).all()
    assert (losses <= 4 * np.minimum.accumulate(losses)).all()


def test_range_test_takes_the_training_set_alone():
    class Set:
        train, validation = TRAIN, None

    first, second = (train.range_test(learner(), data, steps=5) for data in (Set, TRAIN))
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize(
    "options",
    [{"lowest": 0.0}, {"lowest": 1.0, "highest": 0.1}, {"highest": math.inf}, {"steps": 1}, {"smoothing": 1.0}, {"smoothing": -0.1}],
)
def test_range_test_refuses(options):
    with pytest.raises(ValueError, match="take"):
        train.range_test(learner(), TRAIN, **options)
