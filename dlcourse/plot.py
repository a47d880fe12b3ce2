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
    """A grid of images x (N, H, W, 1) or (N, H, W), a title over each."""
    pyplot = need("matplotlib.pyplot", extra="plot")
    pyplot.rcParams.update(STYLE)
    rows = -(-len(x) // columns)
    height = size * (1.45 if titles else 1.0)
    _, axes = pyplot.subplots(
        rows, columns, figsize=(columns * size, rows * height), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for i, (image, axis) in enumerate(zip(x, axes.flat, strict=False)):
        axis.imshow(image.reshape(image.shape[:2]))
        if titles:
            axis.set_title(titles[i], fontsize=7)


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
