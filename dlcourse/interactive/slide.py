"""A kernel that slides: weights, stride, padding and dilation of a convolution under the reader's hands."""

import numpy as np

from dlcourse.interactive import interactive
from dlcourse.numpy.convolution import conv2d

LABEL = "Interactive figure: a kernel of 3 by 3 weights slides over an image of 8 by 8 pixels"
CELL, EDGE = 26, 4  # pixels of the drawing
KERNELS = {
    "vertical edges": ((-1, 0, 1), (-1, 0, 1), (-1, 0, 1)),
    "horizontal edges": ((-1, -1, -1), (0, 0, 0), (1, 1, 1)),
    "sum of the window": ((1, 1, 1), (1, 1, 1), (1, 1, 1)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "only the middle": ((0, 0, 0), (0, 1, 0), (0, 0, 0)),
}


def show(image, kernel="vertical edges", stride=1, padding=0, dilation=1):
    """The image, (H, W) of whole numbers, and what the kernel of this name makes of it; the reader changes everything."""
    settings = read_settings(image, kernel, stride, padding, dilation)
    interactive("slide", settings, picture(settings), describe(settings), LABEL)


def read_settings(image, kernel, stride, padding, dilation):
    """What the script starts from, as JSON can hold it."""
    image = np.squeeze(np.asarray(image))
    if image.ndim != 2 or not np.array_equal(image, np.round(image)):
        raise ValueError(
            "the figure draws one grey image of whole numbers: pass an array (H, W), rounded"
        )
    if kernel not in KERNELS:
        raise ValueError(f"unknown kernel {kernel!r}: choose one of {', '.join(KERNELS)}")
    return {
        "image": image.astype(int).tolist(),
        "kernels": {name: [list(row) for row in rows] for name, rows in KERNELS.items()},
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }


def output(settings):
    """The result (H', W'), by the package's own function."""
    x = np.array(settings["image"], float)[None, :, :, None]
    weight = np.array(settings["kernels"][settings["kernel"]], float)[None, :, :, None]
    options = {name: settings[name] for name in ("stride", "padding", "dilation")}
    return conv2d(x, weight, np.zeros(1), **options)[0][0, :, :, 0]


def picture(settings):
    """Both grids with the window at its first place, as the script draws them."""
    p, d = settings["padding"], settings["dilation"]
    image, y = np.array(settings["image"]), output(settings)
    seen = {(d * i, d * j) for i in range(3) for j in range(3)}
    words = f"{image.shape[0]} by {image.shape[1]} pixels, padding {p}."
    left = grid(np.pad(image, p), p, seen, f"The input, {words} The first window is marked.")
    words = f"{y.shape[0]} by {y.shape[1]} numbers, the first is {number(y[0, 0])}."
    right = grid(y, 0, {(0, 0)}, f"The output, {words}")
    heads = "<p>Input and window</p>", "<p>Output</p>"
    figures = "".join(
        f"<div>{head}{svg}</div>" for head, svg in zip(heads, (left, right), strict=True)
    )
    return f'<div class="dl-grids">{figures}</div>'


def grid(values, frame, marked, title):
    """An SVG table: strength of colour by size, blue above zero and orange below, a frame of dashed cells, marked cells."""
    largest = max(1, np.abs(values).max())
    height, width = values.shape
    cells = []
    for (row, column), value in np.ndenumerate(values):
        x, y = EDGE + CELL * column, EDGE + CELL * row
        kind = "dl-cell"
        if not (frame <= row < height - frame and frame <= column < width - frame):
            kind += " dl-frame"
        if value < 0:
            kind += " dl-minus"
        if (row, column) in marked:
            kind += " dl-marked"
        strength = int(60 * abs(value) / largest + 0.5) / 100
        cells.append(
            f'<g class="{kind}"><rect x="{x}" y="{y}" width="{CELL}" height="{CELL}"/>'
            f'<rect class="dl-fill" x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill-opacity="{strength}"/>'
            f'<text x="{x + CELL // 2}" y="{y + CELL // 2 + 4}">{number(value)}</text></g>'
        )
    box = f"0 0 {2 * EDGE + CELL * width} {2 * EDGE + CELL * height}"
    return f'<svg viewBox="{box}" role="img" aria-label="{title}">{"".join(cells)}</svg>'


def number(value):
    """Whole, with a true minus."""
    return f"{int(value)}".replace("-", "−")


def describe(settings):
    """The same as text, for front ends without HTML."""
    y = output(settings).astype(int)
    options = ", ".join(f"{name} {settings[name]}" for name in ("stride", "padding", "dilation"))
    rows = [" ".join(f"{value:4}" for value in row) for row in y]
    title = "interactive figure: a kernel that slides"
    return "\n".join([title, f"{settings['kernel']}, {options}; the output:", *rows])
