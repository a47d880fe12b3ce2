"""Draws the diagram of the chapter on evaluation: `python book/figures/evaluation.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, svg


def text(x, y, content, colour=GREY, size=15, anchor="middle", weight=600):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def box(x, y, width, height, colour, opacity):
    return f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='5' fill='{colour}' fill-opacity='{opacity}' stroke='{colour}' stroke-width='1.6'/>"


def splits():
    """Three sets with what each is for, and five folds."""
    body = []
    sets = [  # left edge, width, name, colour, opacity, what it is for
        (20, 420, "training set", BLUE, 0.22, ("learns: weights, means and", "deviations, columns, vocabulary")),
        (448, 130, "validation set", GREY, 0.22, ("chooses: settings,", "threshold, when to stop")),
        (586, 194, "test set", ORANGE, 0.22, ("used once,", "at the end")),
    ]
    for x, width, name, colour, opacity, words in sets:
        middle = x + width / 2
        body.append(box(x, 20, width, 46, colour, opacity))
        body.append(text(f"{middle:.0f}", 49, name, colour, 16 if width > 150 else 15))
        for i, word in enumerate(words):
            body.append(text(f"{middle:.0f}", 90 + 19 * i, word, GREY, 13, weight=500))
    body.append(text(20, 160, "Cross-validation: five models, each example held out once", GREY, 15, "start"))
    for row in range(5):
        y = 176 + 36 * row
        for column in range(5):
            held = row == column
            body.append(box(20 + 113 * column, y, 107, 28, ORANGE if held else BLUE, 0.22))
            if held:
                body.append(text(20 + 113 * column + 53, y + 19, "held out", ORANGE, 13))
        body.append(text(600, y + 19, f"model {row + 1}: learns all anew", GREY, 13, "start", 500))
    return svg(800, 366, "Training, validation and test set, and five folds of a cross-validation", body)


if __name__ == "__main__":
    (HERE / "evaluation-splits.svg").write_text(splits(), encoding="utf-8")
