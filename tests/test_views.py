"""Photos seen twice: what is averaged, in every backend, and what is refused."""

import numpy as np
import pytest

from dlcourse import views
from dlcourse.config import CNNConfig
from dlcourse.data.dataset import Dataset, Split
from tests.numpy import models, views_cases
from tests.test_boundary import each_backend, learner_of, refusal

CONFIG = CNNConfig((6, 6, 2), channels=(3,), kernel=3, padding=1, hidden=(5,), outputs=4)


def test_image_by_image():
    views_cases.check_views(views, models.raises)


@each_backend
def test_mean_of_both_views_in_batches_of_any_size(backend, rng):
    learner, x = learner_of(backend, CONFIG), rng.random((7, 6, 6, 2)).astype(np.float32)
    both = learner.predict(x), learner.predict(np.flip(x, axis=2).copy())
    for size in (2, 7, 100):
        np.testing.assert_allclose(views.mirrored(learner, x, size), (both[0] + both[1]) / 2, rtol=1e-4, atol=1e-6)
    mirrored = views.mirrored(learner, np.flip(x, axis=2))  # a view with a negative stride
    np.testing.assert_allclose(mirrored, views.mirrored(learner, x), rtol=1e-4, atol=1e-6)
    assert abs(both[0] - both[1]).max() > 1e-3


def test_accuracies_of_both_parts(rng):
    learner = learner_of("numpy", CONFIG)
    x = rng.random((12, 6, 6, 2)).astype(np.float32)
    y = views.mirrored(learner, x).argmax(axis=1)
    y[9] = (y[9] + 1) % 4
    parts = [Split(x[part], y[part]) for part in (slice(0, 4), slice(4, 8), slice(8, 12))]
    dataset = Dataset("made up", *parts, classes=("a", "b", "c", "d"), source="", licence="")
    assert views.mirrored_accuracy(learner, dataset) == {"validation_accuracy_mirrored": 1.0, "test_accuracy_mirrored": 0.75}


@pytest.mark.parametrize(("shape", "words"), [((3, 72), "add the missing axes"), ((0, 6, 6, 2), "there are no images to look at")])
def test_what_is_no_image_is_refused(shape, words):
    assert words in refusal(lambda: views.mirrored(learner_of("numpy", CONFIG), np.zeros(shape, np.float32)))
