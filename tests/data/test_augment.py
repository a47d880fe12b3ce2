"""Augmentation: shapes, dtypes and labels; what is given stays as it is; the generator decides all; each change is the one it claims to be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcourse.data import Batches, augment
from dlcourse.data.augment import crop, cutout, flip, mixup, smooth
from tests.data import augment_cases
from tests.numpy import models

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


def test_every_place_of_a_crop_is_equally_likely():
    """The bright pixel in the middle shows where the window began: 9 places, each with probability 1/9."""
    n, middle = 9000, 3
    x = np.zeros((n, 7, 7, 1), np.float32)
    x[:, middle, middle] = 1
    cropped, _ = crop(1, "constant")(x, np.zeros(n, int), np.random.default_rng(0))
    places, counts = np.unique(cropped.reshape(n, -1).argmax(axis=1), return_counts=True)
    assert places.tolist() == [7 * row + column for row in (2, 3, 4) for column in (2, 3, 4)]
    assert abs(counts - n / 9).max() < 4 * np.sqrt(n * 8 / 81)  # four standard deviations


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


def test_soft_labels_can_be_changed_again():
    x, y = batch_of(6, 4, 4, 1, 0, np.float64)
    q = mixup(1.0, CLASSES)(x, y, np.random.default_rng(0))[1]
    _, smoothed = smooth(0.1, CLASSES)(x, q, np.random.default_rng(0))
    np.testing.assert_allclose(smoothed, 0.9 * q + 0.1 / CLASSES, rtol=0, atol=1e-15)
    _, hard = mixup(1.0, CLASSES)(x, np.eye(CLASSES)[y], np.random.default_rng(0))
    np.testing.assert_array_equal(hard, q)


def test_pixel_by_pixel():
    augment_cases.check_augment(augment, models.raises)


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
