"""Slow and obvious versions of the augmentations, pixel by pixel, from the same draws; `tests/test_mutants.py` asks the same of its mutants."""

import numpy as np

CLASSES = 4
SHAPES = ((5, 4, 5, 3), (6, 5, 4, 1), (1, 4, 4, 3), (0, 4, 5, 1))


class Drawn(np.random.Generator):
    """A generator whose numbers from [0, 1) are all the same."""

    def __init__(self, number):
        super().__init__(np.random.PCG64(0))
        self.number = number

    def random(self, shape):
        return np.full(shape, self.number)


def batches(classes=CLASSES):
    """(x, y, rng, the same rng again) of each shape and dtype; nothing in it can be written to."""
    for seed, shape in enumerate(SHAPES):
        for dtype in (np.float32, np.float64):
            rng = np.random.default_rng(seed)
            x, y = rng.uniform(0.1, 1.0, size=shape).astype(dtype), rng.integers(0, classes, size=shape[0])
            x.flags.writeable = y.flags.writeable = False
            yield x, y, np.random.default_rng(seed + 10), np.random.default_rng(seed + 10)


def same(found, wanted, x):
    assert found.dtype == x.dtype and np.array_equal(found, np.array(wanted, x.dtype).reshape(x.shape))


def mirrored(i, side):
    """The place of i in an image reflected at its border pixels."""
    return abs(i) if i < side else 2 * (side - 1) - i


def check_crop(m):
    assert m.crop() == m.crop(4, "reflect")
    for mode, paddings in (("reflect", (0, 1, 3)), ("constant", (0, 2, 6))):
        for padding in paddings:
            for x, y, rng, again in batches():
                n, height, width, _ = x.shape
                new, labels = m.crop(padding, mode)(x, y, rng)
                downs, rights = again.integers(0, 2 * padding + 1, size=(2, n)) - padding
                wanted = np.zeros(x.shape)
                for i in range(n):
                    for row in range(height):
                        for column in range(width):
                            r, c = row + downs[i], column + rights[i]
                            if mode == "reflect":
                                wanted[i, row, column] = x[i, mirrored(r, height), mirrored(c, width)]
                            elif 0 <= r < height and 0 <= c < width:
                                wanted[i, row, column] = x[i, r, c]
                same(new, wanted, x)
                assert labels is y


def check_flip(m):
    for x, y, rng, again in batches():
        new, labels = m.flip()(x, y, rng)
        same(new, [image[:, ::-1] if again.random() < 0.5 else image for image in x], x)
        assert labels is y
    x = np.arange(6.0).reshape(1, 1, 2, 3)
    for number, turned in ((0.0, True), (0.5, False), (np.nextafter(0.5, 0), True)):  # half of all numbers are below 1/2
        assert np.array_equal(m.flip()(x, [0], Drawn(number))[0], x[:, :, ::-1] if turned else x)


def check_cutout(m):
    assert m.cutout() == m.cutout(8)
    for size in (1, 2, 3, 8):
        for x, y, rng, again in batches():
            n, height, width, _ = x.shape
            new, labels = m.cutout(size)(x, y, rng)
            rows, columns = again.integers(0, height, size=n), again.integers(0, width, size=n)
            wanted = x.copy()
            for i in range(n):
                for row in range(rows[i] - size // 2, rows[i] - size // 2 + size):
                    for column in range(columns[i] - size // 2, columns[i] - size // 2 + size):
                        if 0 <= row < height and 0 <= column < width:
                            wanted[i, row, column] = 0.0
            same(new, wanted, x)
            assert labels is y


def one_hot(label):
    return [1.0 if k == label else 0.0 for k in range(CLASSES)]


def check_mixup(m):
    assert m.mixup() == m.mixup(0.2, 10)
    for alpha in (0.2, 3.0):
        for x, y, rng, again in batches():
            for soft in (False, True):
                labels = np.array([one_hot(label) for label in y], np.float64).reshape(-1, CLASSES) * 0.6 + 0.1 if soft else y
                rows = labels if soft else np.array([one_hot(label) for label in y]).reshape(-1, CLASSES)
                new, q = m.mixup(alpha, CLASSES)(x, labels, rng)
                shares = again.beta(alpha, alpha, size=len(x))
                partners = again.permutation(len(x))
                assert new.dtype == q.dtype == x.dtype and new.shape == x.shape and q.shape == (len(x), CLASSES)
                tolerance = 1e-6 if x.dtype == np.float32 else 1e-14
                for i, (share, j) in enumerate(zip(shares, partners, strict=True)):
                    np.testing.assert_allclose(new[i], share * x[i] + (1 - share) * x[j], rtol=0, atol=tolerance)
                    np.testing.assert_allclose(q[i], share * rows[i] + (1 - share) * rows[j], rtol=0, atol=tolerance)


def check_smooth(m):
    assert m.smooth() == m.smooth(0.1, 10)
    for epsilon in (0.0, 0.1, 0.75):
        for x, y, rng, _ in batches():
            given, before = np.array([one_hot(label) for label in y], x.dtype).reshape(-1, CLASSES), rng.bit_generator.state
            for labels in (y, given.astype(np.float64)):
                same_x, q = m.smooth(epsilon, CLASSES)(x, labels, rng)
                assert same_x is x and q.dtype == x.dtype and q.shape == given.shape
                np.testing.assert_allclose(
                    q, (1 - epsilon) * given + epsilon / CLASSES, rtol=0, atol=1e-7 if x.dtype == np.float32 else 1e-15
                )
            assert rng.bit_generator.state == before, "nothing is drawn"


def check_numbers(m, raises):
    """Which numbers an augmentation can be made of."""
    for message, call in (
        ("padding=-1: it must be a whole number of at least 0", lambda: m.crop(-1)),
        ("padding=1.5: it must be a whole number", lambda: m.crop(1.5)),
        ("mode='wrap': choose one of reflect, constant", lambda: m.crop(mode="wrap")),
        ("size=0: it must be a whole number of at least 1", lambda: m.cutout(0)),
        ("alpha=0.0: it must be a positive number", lambda: m.mixup(0.0)),
        ("alpha=-0.5: it must be a positive number", lambda: m.mixup(-0.5)),
        ("alpha=inf: it must be a positive number", lambda: m.mixup(float("inf"))),
        ("alpha=nan: it must be a positive number", lambda: m.mixup(float("nan"))),
        ("classes=0: it must be a whole number of at least 1", lambda: m.mixup(classes=0)),
        ("epsilon=1.0: it is the share of probability", lambda: m.smooth(1.0)),
        ("epsilon=-0.1: it is the share of probability", lambda: m.smooth(-0.1)),
        ("epsilon=nan: it is the share of probability", lambda: m.smooth(float("nan"))),
        ("classes=2.5: it must be a whole number", lambda: m.smooth(classes=2.5)),
    ):
        raises(ValueError, message, call)
    for change in (m.crop(0), m.cutout(1), m.mixup(1e-3, 1), m.smooth(0.0, 1)):
        assert change == eval(repr(change), vars(m))


def check_images(m, raises):
    """What is given: batches of images in floats, a target for each, labels that can be mixed, a generator."""
    x, y, rng = np.random.default_rng(0).random((4, 6, 5, 3), np.float32), np.array([0, 1, 2, 1]), np.random.default_rng(0)
    changes = [m.crop(2, "constant"), m.flip(), m.cutout(2), m.mixup(0.4, 3), m.smooth(0.1, 3)]
    for change in changes:
        for message, *given in (
            ("x has shape (4, 90) but images are (N, H, W, C)", x.reshape(4, -1), y, rng),
            ("x holds uint8: augmentation takes floats in [0, 1]", np.uint8(255 * x), y, rng),
            ("4 examples but 3 targets", x, y[:3], rng),
            ("rng is int: pass np.random.default_rng(seed)", x, y, 0),
            ("rng is RandomState: pass np.random.default_rng(seed)", x, y, np.random.RandomState(0)),
        ):
            raises(ValueError, message, lambda change=change, given=given: change(*given))
    # images in colour, or square gray ones, with the channels first; feature maps and rows of pixels that are none
    for shape in ((3, 6, 5), (3, 4, 4), (1, 6, 6), (1, 2, 2), (1, 4, 4)):
        message = f"x has shape (4, {shape[0]}, {shape[1]}, {shape[2]}) with its {shape[0]} channel"
        raises(ValueError, message, lambda shape=shape: m.flip()(np.zeros((4, *shape)), y, rng))
    for shape in ((1, 9, 8), (3, 3, 8), (3, 8, 3), (8, 8, 8), (3, 5, 3), (1, 6, 1), (1, 1, 1), (1, 3, 3), (2, 6, 5), (2, 4, 4), (3, 2, 6)):
        assert m.flip()(np.zeros((4, *shape)), y, rng)[0].shape == (4, *shape)
    for height, width in ((6, 5), (5, 6)):
        m.crop(4)(np.zeros((4, height, width, 1)), y, rng)
        message = f"padding=5 can't reflect images of {height} x {width}: use at most 4, or mode='constant'"
        raises(ValueError, message, lambda height=height, width=width: m.crop(5)(np.zeros((4, height, width, 1)), y, rng))
    for labels, message in (
        (np.array([0, 1, 2, 3]), "labels run from 0 to 3 but classes=3: pass the number of the data set's classes"),
        (
            np.array([0, 1, 2, -1]),
            "labels run from -1 to 2 but classes=3, numbered from 0: correct the 1 of 4 that are negative, the first at index 3",
        ),
        (
            np.array([1, 2, 3, 1]),
            "labels run from 1 to 3 but classes=3, numbered from 0: subtract 1 where they count from 1, else pass the number",
        ),
        (np.zeros(4), "soft targets of shape (4,) and dtype float64 do not fit 3 classes: pass floats of shape (4, 3)"),
        (np.eye(4, 3, dtype=int), "soft targets of shape (4, 3) and dtype int64 do not fit 3 classes: pass floats of shape (4, 3)"),
        (np.ones((4, 3)), "4 of 4 soft targets are no probabilities"),
        (np.eye(4), "soft targets of shape (4, 4) and dtype float64 do not fit 3 classes"),
    ):
        for change in changes[3:]:
            raises(ValueError, message, lambda change=change, labels=labels: change(x, labels, rng))
    for change in changes[3:]:
        for labels in ([0, 1, 2, 1], y.astype(np.uint8)):
            np.testing.assert_array_equal(change(x, labels, np.random.default_rng(0))[1], change(x, y, np.random.default_rng(0))[1])


def check_lists(m, raises):
    """What `Batches` asks: a tuple of augmentations, and their words in a record."""
    steps = [m.crop(2), m.flip(), abs]
    assert m.check_augment(steps) == tuple(steps) and type(m.check_augment(steps)) is tuple and m.check_augment(()) == ()
    for message, given in (
        ("augment is flip() alone: pass a tuple, augment=(flip(),)", m.flip()),
        ("augment is flip alone: pass a tuple, augment=(flip,)", m.flip),
        ("augment holds the class flip: call it, flip(), with its numbers", (m.crop(), m.flip)),
        ("augment holds 'flip': pass augmentations such as crop() and flip()", (m.crop(), "flip")),
    ):
        raises(ValueError, message, lambda given=given: m.check_augment(given))
    assert [m.describe(step) for step in steps] == ["crop(padding=2, mode='reflect')", "flip()", "abs"]
    assert m.describe(Drawn(0.0)) == "Drawn"


def check_augment(m, raises):
    check_crop(m)
    check_flip(m)
    check_cutout(m)
    check_mixup(m)
    check_smooth(m)
    check_numbers(m, raises)
    check_images(m, raises)
    check_lists(m, raises)
