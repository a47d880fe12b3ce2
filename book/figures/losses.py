"""Draws the diagram of the chapter on losses: `python book/figures/losses.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg

COLUMNS = [  # what the target is; what the network gives; how it is read; the loss; its slope
    ("a number t", "one number y", "normal law around y", "squared error", "y − t"),
    ("yes or no, t", "one logit z", "probability σ(z) of yes", "binary cross-entropy", "σ(z) − t"),
    ("one of V classes, q", "V logits z", "p = softmax(z)", "cross-entropy", "p − q"),
]
ROWS = ("the target", "the network says", "read as", "minus the logarithm", "slope, up to a factor")
TOPS = (34, 96, 166, 236, 306)


def text(x, y, content, colour=GREY, size=14, weight=500, anchor="middle"):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def origin():
    """Three columns, one for each kind of target: from the target to the loss and its slope."""
    body = [arrow_head("down", GREY)]
    for words, y in zip(ROWS, TOPS, strict=True):
        body.append(text(150, y + 5, words, GREY, 13, 500, "end"))
    for column, words in enumerate(COLUMNS):
        x = 270 + 215 * column
        for row, (content, y) in enumerate(zip(words, TOPS, strict=True)):
            colour = ORANGE if row == 4 else GREY if row == 0 else BLUE
            if 1 <= row <= 3:
                body.append(
                    f"<rect x='{x - 100}' y='{y - 22}' width='200' height='44' rx='9' fill='none' stroke='{BLUE}' stroke-width='2.2'/>"
                )
            body.append(text(x, y + 5, content, colour, 16 if row in (0, 4) else 14, 700))
            if 1 <= row <= 2:
                body.append(
                    f"<line x1='{x}' y1='{y + 23}' x2='{x}' y2='{y + 46}' stroke='{GREY}' stroke-width='2' marker-end='url(#down)'/>"
                )
    return svg(815, 330, "Three kinds of targets, three distributions, three losses, one form of slope", body)


if __name__ == "__main__":
    (HERE / "losses-origin.svg").write_text(origin(), encoding="utf-8")
