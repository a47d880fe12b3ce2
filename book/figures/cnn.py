"""Draws the two diagrams of the chapter on convolutional networks: `python book/figures/cnn.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg


def text(x, y, content, colour=GREY, size=14, anchor="middle", weight=600):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def arrow(x1, y1, x2, y2, colour, head, width=2.2):
    return f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' stroke-width='{width}' marker-end='url(#{head})'/>"


def maps(x, middle, side, count, label, below):
    """A stack of square maps; its height is that of the image, its depth hints at the number of channels."""
    depth, body = min(count, 8), []
    for i in range(depth):
        shift = 4 * i
        body.append(
            f"<rect x='{x + shift}' y='{middle - side / 2 - shift + 2 * depth:.0f}' width='{side}' height='{side}' "
            f"fill='{BLUE}' fill-opacity='.22' stroke='{BLUE}' stroke-width='1.2'/>"
        )
    centre = x + (side + 4 * (depth - 1)) / 2
    return [*body, text(f"{centre:.0f}", 42, label, BLUE, 15), text(f"{centre:.0f}", 208, below, GREY, 13, weight=500)]


def units(x, middle, height, label, below):
    """A column of units as one bar."""
    bar = f"<rect x='{x}' y='{middle - height / 2:.0f}' width='14' height='{height}' rx='4' fill='{BLUE}'/>"
    return [bar, text(x + 7, 42, label, BLUE, 15), text(x + 7, 208, below, GREY, 13, weight=500)]


def lenet():
    """LeNet-5's layers as this book builds them: shapes above, what a step does below, parameters in orange."""
    middle, body = 122, [arrow_head("forward", BLUE)]
    body += maps(16, middle, 84, 1, "28×28×1", "image")
    body += maps(150, middle, 84, 6, "28×28×6", "maps")
    body += maps(306, middle, 42, 6, "14×14×6", "")
    body += maps(420, middle, 30, 16, "10×10×16", "maps")
    body += maps(538, middle, 15, 16, "5×5×16", "")
    body += units(648, middle, 120, "400", "flat")
    body += units(728, middle, 84, "120", "hidden")
    body += units(796, middle, 66, "84", "hidden")
    body += units(862, middle, 34, "10", "logits")
    steps = [  # from, to, what, parameters
        (104, 146, "convolution 5×5", "156"),
        (262, 302, "pooling", ""),
        (376, 416, "convolution 5×5", "2,416"),
        (486, 534, "pooling", ""),
        (590, 642, "flatten", ""),
        (666, 724, "linear", "48,120"),
        (746, 792, "linear", "10,164"),
        (814, 858, "linear", "850"),
    ]
    for left, right, what, parameters in steps:
        body.append(arrow(left, middle, right, middle, BLUE, "forward"))
        centre = (left + right) / 2
        body.append(text(f"{centre:.0f}", 236, what, GREY, 12, weight=500))
        if parameters:
            body.append(text(f"{centre:.0f}", 256, parameters, ORANGE, 14))
    body.append(text(16, 280, "orange: parameters of the step", ORANGE, 13, "start", 500))
    return svg(900, 292, "LeNet-5 as a chain of maps that become smaller and more, then of vectors", body)


def cells(x, y, values, colour, marked=()):
    """Numbers in boxes side by side; those whose places are in `marked` have a thick frame."""
    body = []
    for i, value in enumerate(values):
        stroke, width = (colour, 3) if i in marked else (GREY, 1)
        body.append(
            f"<rect x='{x + 52 * i}' y='{y}' width='46' height='36' rx='5' fill='none' stroke='{stroke}' stroke-width='{width}'/>"
            + text(x + 52 * i + 23, y + 24, value, colour, 16)
        )
    return body


def backward():
    """The example by hand: five pixels to one output and back. Values in blue, gradients in orange."""
    rows = [  # y, name, left edge, values, gradients, what stands between this row and the next
        (20, "x", 190, ["2", "2", "5", "5", "1"], ["0", "−1", "1", "0", "0"], "convolution with (−1, 1)"),
        (100, "z", 216, ["0", "3", "0", "−4"], ["0", "1", "0", "0"], "ReLU"),
        (180, "a", 216, ["0", "3", "0", "0"], ["0", "1", "2", "0"], "maximum of each pair"),
        (260, "h", 268, ["3", "0"], ["1", "2"], "1·h₀ + 2·h₁"),
        (340, "logit", 294, ["3"], ["1"], ""),
    ]
    body = [arrow_head("forward", BLUE), arrow_head("backward", ORANGE)]
    for y, name, left, values, gradients, step in rows:
        marked = [i for i, g in enumerate(gradients) if g != "0"]
        body += cells(left, y, values, BLUE) + cells(left + 330, y, gradients, ORANGE, marked)
        body.append(text(170, y + 24, name, BLUE, 16, "end"))
        body.append(text(left + 330 - 14, y + 24, f"d{name}", ORANGE, 16, "end"))
        if step:
            body.append(arrow(317, y + 42, 317, y + 76, BLUE, "forward"))
            body.append(arrow(647, y + 76, 647, y + 42, ORANGE, "backward"))
            body.append(text(482, y + 64, step, GREY, 14, weight=500))
    return svg(800, 390, "Five pixels, a convolution, ReLU, max-pooling and a linear layer: values forward, gradients back", body)


if __name__ == "__main__":
    for name, content in {"cnn-lenet": lenet(), "cnn-by-hand": backward()}.items():
        (HERE / f"{name}.svg").write_text(content, encoding="utf-8")
