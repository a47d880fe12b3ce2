"""Augmentation: shapes, dtypes and labels; what is given stays as it is; the generator decides all; each change is the one it claims to be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse.data import Batches
from dlcourse.data.augment import crop, cutout, flip, mixup, smooth

CLASSES = 5
ALL = [crop(2), crop(3, "constant"), flip(), cutout(3), mixup(0.4, CLASSES), smooth(0.1, CLASSES)]
each = pytest.mark.parametrize("change", ALL, ids=str)


def property_of(**strategies):
    def decorate(test):
        return settings(max_examples=40, deadline=None)(given(**strategies)(test))

    return decorate


batches = {
    "n": st.integers(0, 7),
    "height": st.integers(4, 9),
    "width": st.integers(4, 9),
    "channels": st.sampled_from([1, 3]),
    "seed": st.integers(0, 2**32 - 1),
}


def batch_of(n, height, width, channels, seed, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return rng.random((n, height, width, channels), dtype=dtype), rng.integers(0, CLASSES, size=n)


@each
@property_of(dtype=st.sampled_from([np.float32, np.float64]), **batches)
def test_manners(change, n, height, width, channels, seed, dtype):
    x, y = batch_of(n, height, width, channels, seed, dtype)
    kept = x.copy(), y.copy()
    new_x, new_y = change(x, y, np.random.default_rng(seed))
    assert np.array_equal(x, kept[0]) and np.array_equal(y, kept[1]), "what was given has changed"
    assert new_x.shape == x.shape and new_x.dtype == dtype
    assert not n or (new_x.min() >= 0 and new_x.max() <= 1)
    if isinstance(change, mixup | smooth):
        assert new_y.shape == (n, CLASSES) and new_y.dtype == dtype
        np.testing.assert_allclose(new_y.sum(axis=1), 1, rtol=0, atol=1e-6)
    else:
        assert np.array_equal(new_y, y) and new_y.dtype == y.dtype
    x.flags.writeable = y.flags.writeable = False
    again = change(x, y, np.random.default_rng(seed))
    assert np.array_equal(again[0], new_x) and np.array_equal(again[1], new_y), "the same generator gave something else"


@each
def test_another_generator_changes_otherwise(change):
    x, y = batch_of(20, 8, 8, 3, 0)
    if not isinstance(change, smooth):  # draws nothing
        one, other = (change(x, y, np.random.default_rng(seed))[0] for seed in (1, 2))
        assert not np.array_equal(one, other)


@pytest.mark.parametrize("mode", ["reflect", "constant"])
@property_of(padding=st.integers(0, 3), **batches)
def test_a_crop_is_a_window_of_the_padded_image(mode, n, height, width, channels, seed, padding):
    x, y = batch_of(n, height, width, channels, seed)
    cropped, _ = crop(padding, mode)(x, y, np.random.default_rng(seed))
    for image, new in zip(x, cropped, strict=True):
        padded = np.pad(image, ((padding, padding), (padding, padding), (0, 0)), mode=mode)
        shifts = range(2 * padding + 1)
        assert any(np.array_equal(padded[top : top + height, left : left + width], new) for top in shifts for left in shifts)


def test_every_place_of_a_crop_is_equally_likely():
    """The bright pixel in the middle shows where the window began: 9 places, each with probability 1/9."""
    n, middle = 9000, 3
    x = np.zeros((n, 7, 7, 1), np.float32)
    x[:, middle, middle] = 1
    cropped, _ = crop(1, "constant")(x, np.zeros(n, int), np.random.default_rng(0))
    places, counts = np.unique(cropped.reshape(n, -1).argmax(axis=1), return_counts=True)
    assert places.tolist() == [7 * row + column for row in (2, 3, 4) for column in (2, 3, 4)]
    assert abs(counts - n / 9).max() < 4 * np.sqrt(n * 8 / 81)  # four standard deviations


@property_of(**batches)
def test_a_flip_mirrors_or_does_nothing(n, height, width, channels, seed):
    x, y = batch_of(n, height, width, channels, seed)
    flipped, _ = flip()(x, y, np.random.default_rng(seed))
    for image, new in zip(x, flipped, strict=True):
        assert np.array_equal(new, image) or np.array_equal(new, image[:, ::-1])
    twice, _ = flip()(flipped, y, np.random.default_rng(seed))  # the same draws: back again
    assert np.array_equal(twice, x)


def test_half_of_the_images_are_flipped():
    x = np.zeros((4000, 2, 2, 1), np.float32)
    x[:, :, 0] = 1
    flipped, y = flip()(x, np.arange(4000), np.random.default_rng(0))
    assert abs(flipped[:, 0, 1, 0].mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    assert np.array_equal(y, np.arange(4000))


@property_of(size=st.integers(1, 12), **batches)
def test_cutout_clears_one_rectangle_within_a_square(n, height, width, channels, seed, size):
    x, y = batch_of(n, height, width, channels, seed)
    x += 1  # no pixel is zero
    cut, _ = cutout(size)(x, y, np.random.default_rng(seed))
    for image, new in zip(x, cut, strict=True):
        gone = (new == 0).all(axis=2)
        assert np.array_equal(new[~gone], image[~gone])
        rows, columns = np.flatnonzero(gone.any(axis=1)), np.flatnonzero(gone.any(axis=0))
        assert 1 <= len(rows) <= size and 1 <= len(columns) <= size
        assert gone.sum() == len(rows) * len(columns), "not a rectangle"
        assert rows[-1] - rows[0] + 1 == len(rows) and columns[-1] - columns[0] + 1 == len(columns), "with a gap"
        # smaller than the square only where the border cuts it
        assert len(rows) == size or rows[0] == 0 or rows[-1] == height - 1
        assert len(columns) == size or columns[0] == 0 or columns[-1] == width - 1


def test_the_centre_of_cutout_is_any_pixel():
    x = np.ones((6400, 8, 8, 1), np.float32)
    single, _ = cutout(1)(x, np.zeros(6400), np.random.default_rng(0))
    counts = (single == 0).sum(axis=(0, 3))
    assert counts.sum() == 6400 and abs(counts - 100).max() < 4.5 * np.sqrt(100)  # the largest of 64
    # size 4 around the corner leaves two rows and columns of it
    wide, _ = cutout(4)(x, np.zeros(6400), np.random.default_rng(0))
    assert set((wide == 0).sum(axis=(1, 2, 3)).tolist()) == {rows * columns for rows in (2, 3, 4) for columns in (2, 3, 4)}


@property_of(**batches)
def test_mixup_is_one_convex_combination_of_two_examples(n, height, width, channels, seed):
    x, y = batch_of(n, height, width, channels, seed, np.float64)
    mixed, q = mixup(1.0, CLASSES)(x, y, np.random.default_rng(seed))
    one_hot = np.eye(CLASSES)[y]
    for i in range(n):
        found = []
        for j in range(n):
            difference = (x[i] - x[j]).reshape(-1)
            squared = difference @ difference
            share = 1.0 if squared == 0 else (mixed[i] - x[j]).reshape(-1) @ difference / squared
            error = (
                abs(share * x[i] + (1 - share) * x[j] - mixed[i]).max() + abs(share * one_hot[i] + (1 - share) * one_hot[j] - q[i]).max()
            )
            found.append(error if -1e-12 <= share <= 1 + 1e-12 else np.inf)
        assert min(found) < 1e-12, "no partner explains both the image and its label"


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_share_of_mixup_is_beta(alpha):
    """Mean 1/2 and variance 1 / (4 (2 alpha + 1)); with black and white images the share can be read off."""
    n = 20_000
    x, y = np.zeros((n, 1, 1, 1)), np.arange(n) % 2
    x[:, 0, 0, 0] = y
    mixed, q = mixup(alpha, 2)(x, y, np.random.default_rng(0))
    np.testing.assert_allclose(q[:, 1], mixed[:, 0, 0, 0], rtol=0, atol=1e-15)
    assert abs(mixed.mean() - 0.5) < 4 / np.sqrt(n)
    # half of the pairs are of one colour, and stay; the others are l or 1 - l
    pure = (mixed < 1e-12) | (mixed > 1 - 1e-12) if alpha >= 1 else None
    if pure is not None:
        shares = mixed[~pure]
        assert abs(len(shares) / n - 0.5) < 0.02
        assert abs(shares.mean() - 0.5) < 0.01 and abs(shares.var() * 4 * (2 * alpha + 1) - 1) < 0.05
    else:  # alpha below 1 favours the ends: E[(x - 1/2)^2] = 1/8 + Var(l) / 2
        assert abs(((mixed - 0.5) ** 2).mean() - (1 / 8 + 1 / (8 * (2 * alpha + 1)))) < 0.005


@property_of(epsilon=st.floats(0, 0.99), **batches)
def test_smooth_matches_its_formula(n, height, width, channels, seed, epsilon):
    x, y = batch_of(n, height, width, channels, seed, np.float64)
    same, q = smooth(epsilon, CLASSES)(x, y, np.random.default_rng(seed))
    assert same is x
    for label, row in zip(y, q, strict=True):
        for k in range(CLASSES):
            assert abs(row[k] - ((1 - epsilon) * (k == label) + epsilon / CLASSES)) < 1e-15


def test_soft_labels_can_be_changed_again():
    x, y = batch_of(6, 4, 4, 1, 0, np.float64)
    q = mixup(1.0, CLASSES)(x, y, np.random.default_rng(0))[1]
    _, smoothed = smooth(0.1, CLASSES)(x, q, np.random.default_rng(0))
    np.testing.assert_allclose(smoothed, 0.9 * q + 0.1 / CLASSES, rtol=0, atol=1e-15)
    _, hard = mixup(1.0, CLASSES)(x, np.eye(CLASSES)[y], np.random.default_rng(0))
    np.testing.assert_array_equal(hard, q)


X, Y = batch_of(4, 6, 6, 3, 0)
RNG = np.random.default_rng(0)
REFUSED = {
    "padding": (lambda: crop(-1), "padding=-1: it must be a whole number of at least 0"),
    "half a pixel": (lambda: crop(1.5), "padding=1.5: it must be a whole number"),
    "mode": (lambda: crop(mode="wrap"), "mode='wrap': choose one of reflect, constant"),
    "reflects too far": (lambda: crop(6)(X, Y, RNG), "padding=6 can't reflect images of 6 x 6: use at most 5, or mode='constant'"),
    "cutout": (lambda: cutout(0), "size=0: it must be a whole number of at least 1"),
    "alpha zero": (lambda: mixup(0.0), "alpha=0.0: it must be a positive number"),
    "alpha NaN": (lambda: mixup(float("nan")), "alpha=nan: it must be a positive number"),
    "classes": (lambda: mixup(classes=0), "classes=0: it must be a whole number of at least 1"),
    "epsilon": (lambda: smooth(1.0), "epsilon=1.0: it is the share of probability"),
    "epsilon below": (lambda: smooth(-0.1), "epsilon=-0.1"),
    "smooth classes": (lambda: smooth(classes=2.5), "classes=2.5"),
    "labels out of range": (
        lambda: mixup(classes=3)(X, np.array([0, 1, 2, 3]), RNG),
        "labels run from 0 to 3 but classes=3: pass the number",
    ),
    "negative labels": (
        lambda: smooth(classes=3)(X, np.array([0, 1, 2, -1]), RNG),
        "labels run from -1 to 2 but classes=3, numbered from 0: correct the 1 of 4 that are negative, the first at index 3",
    ),
    "labels from 1": (
        lambda: smooth(classes=3)(X, np.array([1, 2, 3, 1]), RNG),
        "labels run from 1 to 3 but classes=3, numbered from 0: subtract 1 where they count from 1, else pass the number",
    ),
    "labels as floats": (lambda: smooth(classes=3)(X, np.zeros(4), RNG), "do not fit 3 classes: pass floats of shape (4, 3)"),
    "no probabilities": (lambda: smooth(classes=3)(X, np.ones((4, 3)), RNG), "4 of 4 soft targets are no probabilities"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    call, sentence = REFUSED[case]
    with pytest.raises(ValueError) as caught:
        call()
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@each
def test_only_batches_of_images(change):
    for x, y, rng, sentence in [
        (X.reshape(4, -1), Y, RNG, "x has shape (4, 108) but images are (N, H, W, C)"),
        (X[0], Y, RNG, "a single image needs x[None]"),
        (
            X.transpose(0, 3, 1, 2),
            Y,
            RNG,
            "x has shape (4, 3, 6, 6) with its 3 channels first, but images are (N, H, W, C): pass x.transpose(0, 2, 3, 1)",
        ),
        (X[:, None, :, :, 0], Y, RNG, "x has shape (4, 1, 6, 6) with its 1 channel first"),
        (np.uint8(255 * X), Y, RNG, "x holds uint8: augmentation takes floats in [0, 1], for bytes that is np.float32(x) / 255"),
        (X, Y[:3], RNG, "4 examples but 3 targets"),
        (X, Y, 0, "rng is int: pass np.random.default_rng(seed)"),
    ]:
        with pytest.raises(ValueError) as caught:
            change(x, y, rng)
        assert sentence in str(caught.value)


@each
@pytest.mark.parametrize("shape", [(1, 9, 8), (3, 3, 8), (1, 1, 8), (8, 8, 8), (3, 5, 3), (1, 6, 1), (3, 2, 6)])
def test_feature_maps_and_rows_are_taken(change, shape):
    """Their first axis is 1 or 3 too, but they are no images with the channels first. (A crop of four pixels reflects none so small.)"""
    x = np.random.default_rng(0).random((4, *shape), np.float32)
    change = crop(2, "constant") if isinstance(change, crop) else change
    assert change(x, Y, np.random.default_rng(0))[0].shape == x.shape


# ---------------------------------------------------------------- in mini-batches


def test_batches_apply_them_in_order():
    """Each batch is drawn, then changed, by one generator."""
    steps = (crop(2), flip(), mixup(0.4, CLASSES))
    x, y = batch_of(10, 6, 6, 3, 0)
    rng = np.random.default_rng(3)
    order = rng.permutation(10)
    for i, (seen_x, seen_y) in enumerate(Batches(x, y, 4, np.random.default_rng(3), augment=steps)):
        index = order[4 * i : 4 * i + 4]
        expected = x[index], y[index]
        for step in steps:
            expected = step(*expected, rng)
        assert np.array_equal(seen_x, expected[0]) and np.array_equal(seen_y, expected[1])
    assert i == 2


def test_without_shuffle_the_examples_stay_as_they_are():
    x, y = batch_of(10, 6, 6, 3, 0)
    kept = x.copy()
    for _ in Batches(x, y, 4, np.random.default_rng(3), shuffle=False, augment=(cutout(3), flip())):
        pass
    assert np.array_equal(x, kept)


def test_state_repeats_the_next_epoch():
    x, y = batch_of(10, 6, 6, 3, 0)
    first = Batches(x, y, 4, np.random.default_rng(3), augment=ALL)
    list(first)
    state, expected = first.state(), list(first)
    other = Batches(x, y, 4, np.random.default_rng(99), augment=ALL)
    other.load_state(state)
    for one, two in zip(other, expected, strict=True):
        assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])


@pytest.mark.parametrize(
    ("augment", "sentence"),
    [
        (flip(), "augment is flip() alone: pass a tuple, augment=(flip(),)"),
        (flip, "augment is flip alone: pass a tuple"),
        ((crop(), flip), "augment holds the class flip: call it, flip(), with its numbers"),
        (("flip",), "augment holds 'flip': pass augmentations such as crop() and flip()"),
        ("flip", "augment holds 'f'"),
    ],
)
def test_batches_refuse_anything_else(augment, sentence):
    with pytest.raises(ValueError) as caught:
        Batches(X, Y, 2, RNG, augment=augment)
    assert sentence in str(caught.value)
