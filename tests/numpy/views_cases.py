"""What `dlcourse.views` must do, image by image; `tests/test_mutants.py` asks the same of its mutants."""

import inspect
from types import SimpleNamespace

import numpy as np

from dlcourse.data.dataset import Dataset, Split

FILTERS = np.random.default_rng(0).normal(size=(4, 6, 2, 3))


class Linear:
    """Logits of whole images, which do not fit their mirror images; it notes how many it saw at a time."""

    def __init__(self):
        self.seen = []

    def predict(self, x):
        assert x.flags["C_CONTIGUOUS"]
        self.seen.append(len(x))
        return np.einsum("nhwc,hwco->no", x, FILTERS)


def check_views(m, raises):
    x, f = np.random.default_rng(1).normal(size=(7, 4, 6, 2)), Linear().predict
    wanted = [(f(image[None])[0] + f(np.array([row[::-1] for row in image])[None])[0]) / 2 for image in x]
    for size, seen in ((2, [2, 2, 2, 2, 2, 2, 1, 1]), (3, [3, 3, 3, 3, 1, 1]), (7, [7, 7]), (100, [7, 7])):
        learner = Linear()
        np.testing.assert_allclose(m.mirrored(learner, x, size), wanted, rtol=1e-12)
        assert learner.seen == seen
    np.testing.assert_allclose(m.mirrored(Linear(), x), wanted, rtol=1e-12)
    assert inspect.signature(m.mirrored).parameters["batch_size"].default == 1000
    raises(ValueError, "images are (N, H, W, C)", lambda: m.mirrored(Linear(), x[0]))
    raises(ValueError, "there are no images to look at: pass at least one", lambda: m.mirrored(Linear(), x[:0]))
    y = np.argmax(wanted, axis=1)
    y[5] = (y[5] + 1) % 3
    parts = [Split(x[part], y[part]) for part in (slice(0, 2), slice(2, 5), slice(5, 7))]
    found = m.mirrored_accuracy(Linear(), Dataset("d", *parts, classes=(), source="", licence=""))
    assert found == {"validation_accuracy_mirrored": 1.0, "test_accuracy_mirrored": 0.5}
    other = SimpleNamespace(validation=parts[2], test=parts[1])
    assert m.mirrored_accuracy(Linear(), other) == {"validation_accuracy_mirrored": 0.5, "test_accuracy_mirrored": 1.0}
