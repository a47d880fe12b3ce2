"""Augmentation: random changes of the training images that leave their meaning, and soft labels.

Each is called `(x, y, rng) -> (x, y)` with a batch of images x (N, H, W, C), floats in [0, 1], and its labels y; all randomness comes from
the generator `rng`, and what is given is never changed. `Batches(..., augment=(crop(), flip()))` applies them in order to each batch:
the training set's, since a test set that is augmented is another test set.

Each raises ValueError for numbers out of range, for anything but a batch of images, for images of 1 or 3 channels with these first, and for
labels that it can't mix."""

from dataclasses import dataclass

import numpy as np

from dlcourse.boundary import check_images, check_labels, check_soft_targets, check_whole

MODES = ("reflect", "constant")  # of a crop's border


@dataclass(frozen=True)
class crop:
    """Shift each image by up to `padding` pixels in both directions, every shift equally likely: pad it and cut its size out again.

    The border is the image reflected, or zeros with `mode="constant"` (as in He et al. 2016)."""

    padding: int = 4
    mode: str = "reflect"

    def __post_init__(self):
        check_whole(padding=self.padding)
        if self.mode not in MODES:
            raise ValueError(f"mode={self.mode!r}: choose one of {', '.join(MODES)}")

    def __call__(self, x, y, rng):
        _check(x, y, rng)
        n, height, width, channels = x.shape
        if self.mode == "reflect" and self.padding >= min(height, width):
            raise ValueError(
                f"padding={self.padding} can't reflect images of {height} x {width}: use at most {min(height, width) - 1}, or mode='constant'"
            )
        top, left = rng.integers(0, 2 * self.padding + 1, size=(2, n))
        border = (self.padding, self.padding)
        padded = np.pad(x, ((0, 0), border, border, (0, 0)), mode=self.mode)
        # a row as one run of numbers: windows of whole pixels begin at every C-th
        _, tall, wide, _ = padded.shape
        rows = padded.reshape(n, tall, wide * channels)  # (N, H + 2p, (W + 2p) C)
        windows = np.lib.stride_tricks.sliding_window_view(
            rows, (height, width * channels), axis=(1, 2)
        )
        # (N, H, W C) -> (N, H, W, C)
        return windows[np.arange(n), top, left * channels].reshape(x.shape), y


@dataclass(frozen=True)
class flip:
    """Mirror each image, left for right, with probability 1/2."""

    def __call__(self, x, y, rng):
        _check(x, y, rng)
        chosen = rng.random(len(x)) < 0.5
        flipped = x.copy()
        flipped[chosen] = x[chosen, :, ::-1]
        return flipped, y


@dataclass(frozen=True)
class cutout:
    """Set a square of `size` x `size` pixels to zero (DeVries & Taylor 2017).

    Its centre is any pixel of the image, so that it may hang over the border, and fewer pixels are lost: the authors found this
    to matter, since some images then stay nearly whole."""

    size: int = 8

    def __post_init__(self):
        check_whole(size=self.size)

    def __call__(self, x, y, rng):
        _check(x, y, rng)
        n, height, width, _ = x.shape
        rows = self._inside(rng.integers(0, height, size=n), height)  # (N, H)
        columns = self._inside(rng.integers(0, width, size=n), width)  # (N, W)
        kept = ~(rows[:, :, None] & columns[:, None, :])  # (N, H, W)
        return x * kept[..., None], y

    def _inside(self, centre, side):
        """Which positions along one side the square covers, (N, side) bool."""
        offset = np.arange(side) - (centre[:, None] - self.size // 2)
        return (offset >= 0) & (offset < self.size)


@dataclass(frozen=True)
class mixup:
    """x' = l x_i + (1 - l) x_j, q' = l q_i + (1 - l) q_j, l ~ Beta(alpha, alpha)  (eq-mixup; Zhang et al. 2018).

    j is a random permutation of the batch, and each pair has its own l. Labels y, integers (N,) or rows of probabilities
    (N, classes), become rows of probabilities: cross-entropy takes both (eq-soft-cross-entropy)."""

    alpha: float = 0.2
    classes: int = 10

    def __post_init__(self):
        if not 0.0 < self.alpha < float("inf"):
            raise ValueError(
                f"alpha={self.alpha}: it must be a positive number, and 0.2 mixes little"
            )
        check_whole(classes=self.classes)

    def __call__(self, x, y, rng):
        _check(x, y, rng)
        q = _probabilities(y, self.classes, x.dtype)
        share = rng.beta(self.alpha, self.alpha, size=len(x)).astype(x.dtype)
        partner = rng.permutation(len(x))
        return _mix(share, x, x[partner]), _mix(share, q, q[partner])


@dataclass(frozen=True)
class smooth:
    """q' = (1 - epsilon) q + epsilon / V, V = classes  (eq-label-smoothing; Szegedy et al. 2016).

    Labels y, integers (N,) or rows of probabilities (N, V), become rows of probabilities; the images stay as they are."""

    epsilon: float = 0.1
    classes: int = 10

    def __post_init__(self):
        if not 0.0 <= self.epsilon < 1.0:
            raise ValueError(
                f"epsilon={self.epsilon}: it is the share of probability spread over all classes, at least 0 and below 1"
            )
        check_whole(classes=self.classes)

    def __call__(self, x, y, rng):
        _check(x, y, rng)
        q = _probabilities(y, self.classes, x.dtype)
        return x, (1.0 - self.epsilon) * q + self.epsilon / self.classes


def check_augment(augment):
    """`augment` as a tuple. Raises ValueError unless it holds augmentations, called `(x, y, rng)`."""
    if callable(augment):
        name = augment.__name__ if isinstance(augment, type) else repr(augment)
        raise ValueError(f"augment is {name} alone: pass a tuple, augment=({name},)")
    for step in augment:
        if isinstance(step, type):
            raise ValueError(
                f"augment holds the class {step.__name__}: call it, {step.__name__}(), with its numbers"
            )
        if not callable(step):
            raise ValueError(
                f"augment holds {step!r}: pass augmentations such as crop() and flip()"
            )
    return tuple(augment)


def describe(step):
    """An augmentation in words that are the same in every run: "crop(padding=4, mode='reflect')"."""
    if hasattr(step, "__dataclass_fields__"):
        return repr(step)
    return getattr(step, "__name__", type(step).__name__)


def _check(x, y, rng):
    check_images(x)
    if _channels_first(*x.shape[1:]):
        check_images(x, x.shape[1])
    if x.dtype.kind != "f":
        raise ValueError(
            f"x holds {x.dtype}: augmentation takes floats in [0, 1], for bytes that is np.float32(x) / 255"
        )
    if len(x) != len(y):
        raise ValueError(f"{len(x)} examples but {len(y)} targets: each example needs one")
    if not isinstance(rng, np.random.Generator):
        raise ValueError(
            f"rng is {type(rng).__name__}: pass np.random.default_rng(seed), so that the changes can be repeated"
        )


def _channels_first(channels, height, width):
    """Whether these are images in colour, or square gray ones; feature maps of 3 x 3 pixels and rows with several channels are not,
    nor is a row of three pixels in colour."""
    return channels == 3 < min(height, width) or (channels == 1 and height == width != 3)


def _probabilities(y, classes, dtype):
    """Labels as rows of probabilities (N, V); a label is one-hot."""
    y = np.asarray(y)
    if y.ndim == 1 and y.dtype.kind in "iu":
        if y.size:
            check_labels(
                y, classes, f"classes={classes}", "pass the number of the data set's classes"
            )
        return np.eye(classes, dtype=dtype)[y]
    check_soft_targets(y, (len(y), classes))
    return y.astype(dtype)


def _mix(share, a, b):
    share = share.reshape(-1, *(1,) * (a.ndim - 1))
    return share * a + (1 - share) * b
