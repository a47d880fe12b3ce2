"""The book's figures: one look, colours that colour-blind readers can tell apart, a white ground that is legible in dark mode too.

The functions draw and return nothing, so that the last line of a notebook cell leaves no text behind; `figure` returns what they draw on."""

import numpy as np

from dlcourse.errors import need

# Okabe and Ito's palette without its yellow, which is too pale for lines on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
# colour is never the only difference
DASHES = (
    "-",
    "--",
    "-.",
    ":",
    (0, (5, 1)),
    (0, (1, 1)),
    (0, (3, 1, 1, 1)),
)

STYLE = {
    "figure.dpi": 150,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "font.size": 9,
    "axes.titlesize": 9,
    "image.cmap": "gray_r",
}


def figure(columns=1, width=6.0, height=2.6, **options):
    """An empty figure in the book's style -> (figure, axes); one axis alone is not wrapped in an array."""
    pyplot = need("matplotlib.pyplot", extra="plot")
    pyplot.rcParams.update(STYLE)
    pyplot.rcParams["axes.prop_cycle"] = pyplot.cycler(color=COLOURS) + pyplot.cycler(
        linestyle=DASHES
    )
    return pyplot.subplots(1, columns, figsize=(width, height), layout="constrained", **options)


def lines(axis, x, curves, xlabel, ylabel, **options):
    """Draw {label: y} over one x, with a legend when there are two curves or more; further options go to `axis.set`."""
    for label, y in curves.items():
        axis.plot(x, y, label=label)
    axis.set(xlabel=xlabel, ylabel=ylabel, **options)
    if len(curves) > 1:
        axis.legend()


def band(axis, x, runs, label, colour=0):
    """The mean of several runs (rows), with the range from the lowest to the highest shaded."""
    runs = np.asarray(runs)
    axis.plot(x, runs.mean(axis=0), color=COLOURS[colour], linestyle=DASHES[colour], label=label)
    axis.fill_between(
        x, runs.min(axis=0), runs.max(axis=0), color=COLOURS[colour], alpha=0.18, linewidth=0
    )


def images(x, titles=None, columns=10, size=0.62):
    """A grid of images, a title over each: grey (N, H, W, 1) or (N, H, W), each scaled to its range; in colour (N, H, W, 3), in [0, 1].

    Raises ValueError for other shapes, and for colours outside [0, 1]."""
    x = np.asarray(x)
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or x.shape[3] not in (1, 3) or len(x) == 0:
        raise ValueError(
            f"images have shape {x.shape}: pass (N, H, W, 1) or (N, H, W) in grey, or (N, H, W, 3) in colour; a single image needs x[None]"
        )
    if titles is not None and len(titles) != len(x):
        raise ValueError(f"{len(x)} images but {len(titles)} titles: each image needs one")
    _in_range(x, "the images")
    axes = _grid(len(x), columns, size, 1.45 if titles else 1.0)
    for i, (image, axis) in enumerate(zip(x, axes, strict=False)):
        axis.imshow(image if image.shape[2] == 3 else image[..., 0])
        if titles:
            axis.set_title(titles[i], fontsize=7)


def filters(weight, columns=8, size=0.62):
    """A grid of the kernels (O, kernel, kernel, I) of a convolution.

    With three input channels a kernel is one picture in colour, each scaled to its own range, so that colours of different kernels can't be
    compared. With more or fewer it is a row of I grey pictures, one an input channel: black is its most negative weight or white its most
    positive one, whichever is larger, and mid-grey is zero.
    Raises ValueError for other shapes."""
    weight = np.asarray(weight)
    if weight.ndim != 4 or weight.size == 0:
        raise ValueError(
            f"weight has shape {weight.shape}: the kernels of a convolution are (O, kernel, kernel, I), as in model.state()['convs.0.weight']"
        )
    if weight.shape[1] != weight.shape[2]:
        raise ValueError(
            f"weight has shape {weight.shape}: kernels are (O, kernel, kernel, I), so PyTorch's (O, I, kernel, kernel) needs weight.transpose(0, 2, 3, 1)"
        )
    if weight.shape[3] == 3:
        low, high = (
            weight.min(axis=(1, 2, 3), keepdims=True),
            weight.max(axis=(1, 2, 3), keepdims=True),
        )
        scaled = (weight - low) / np.where(high > low, high - low, 1)
        for kernel, axis in zip(scaled, _grid(len(weight), columns, size), strict=False):
            axis.imshow(kernel)
        return
    inputs = weight.shape[3]
    largest = abs(weight).max(axis=(1, 2, 3))
    axes = _grid(len(weight) * inputs, columns if inputs == 1 else inputs, size)
    for i, axis in enumerate(axes[: len(weight) * inputs]):
        limit = largest[i // inputs] or 1.0
        axis.imshow(weight[i // inputs, :, :, i % inputs], cmap="gray", vmin=-limit, vmax=limit)


def saliency(x, gradient, size=0.9):
    """Images (N, H, W, C) in a row, and below each the size of the loss's or a logit's gradient at every pixel, (N, H, W, C): its largest |entry|
    over the channels.

    Dark is large, scaled to the largest of each image. A pixel counts as salient when a small change of it changes the output much: that is all
    it says. Raises ValueError for shapes that differ, or are no images."""
    x, gradient = np.asarray(x), np.asarray(gradient)
    if x.shape != gradient.shape:
        raise ValueError(
            f"the images have shape {x.shape} but the gradient {gradient.shape}: pass both of the same examples, (N, H, W, C)"
        )
    if x.ndim != 4 or x.shape[3] not in (1, 3) or len(x) == 0:
        raise ValueError(
            f"the images have shape {x.shape}: pass (N, H, W, 1) or (N, H, W, 3); a single image needs x[None]"
        )
    _in_range(x, "the images")
    axes = list(_grid(2 * len(x), len(x), size))
    for above, below, image, sizes in zip(
        axes, axes[len(x) :], x, abs(gradient).max(axis=3), strict=False
    ):
        above.imshow(image if image.shape[2] == 3 else image[..., 0])
        below.imshow(sizes, vmin=0)


def _grid(count, columns, size, stretch=1.0):
    """The axes of `count` pictures of `size` inches in rows of `columns`; those left over are empty."""
    pyplot = need("matplotlib.pyplot", extra="plot")
    pyplot.rcParams.update(STYLE)
    rows = -(-count // columns)
    _, axes = pyplot.subplots(
        rows,
        columns,
        figsize=(columns * size, rows * size * stretch),
        layout="constrained",
        squeeze=False,
    )
    for axis in axes.flat:
        axis.axis("off")
    return axes.flat


def _in_range(x, what):
    # Matplotlib cuts colours that lie outside, with a warning that a page would store
    if x.shape[-1] == 3 and x.dtype.kind == "f" and not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            f"the values of {what} run from {x.min():.3g} to {x.max():.3g}: colours are floats in [0, 1], so scale them back first"
        )


def pictures(images, columns=3, width=6.4):
    """Grey pictures {title: (image, value shown black, value shown white)}; images (H, W), or with axes of length 1 around."""
    pyplot = need("matplotlib.pyplot", extra="plot")
    pyplot.rcParams.update(STYLE)
    rows = -(-len(images) // columns)
    sides = [np.squeeze(image).shape for image, _, _ in images.values()]
    height = rows * (width / columns * max(h / w for h, w in sides) + 0.25)
    _, axes = pyplot.subplots(
        rows, columns, figsize=(width, height), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for (title, (image, black, white)), axis in zip(images.items(), axes.flat, strict=False):
        low, high, colours = (black, white, "gray") if black < white else (white, black, "gray_r")
        axis.imshow(np.squeeze(image), cmap=colours, vmin=low, vmax=high)
        axis.set_title(title)


def confusion(matrix, classes, width=3.6):
    """The confusion matrix with its counts; rows are true classes, columns predictions. Only mistakes are coloured."""
    _, axis = figure(width=width, height=width)
    mistakes = matrix * (1 - np.eye(len(matrix), dtype=int))
    axis.imshow(mistakes, cmap="Oranges", vmin=0, vmax=max(2 * mistakes.max(), 1))
    for i, j in np.argwhere(matrix > 0):
        axis.text(j, i, matrix[i, j], ha="center", va="center", fontsize=7)
    axis.set(
        xticks=range(len(classes)),
        yticks=range(len(classes)),
        xticklabels=classes,
        yticklabels=classes,
        xlabel="predicted",
        ylabel="true",
    )
    axis.grid(False)
