"""Draws the two diagrams of the chapter on automatic differentiation: `python book/figures/autograd.py`."""

import math

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg


def text(x, y, content, colour=GREY, size=15, weight=700, anchor="middle"):
    return f"<text x='{x:g}' y='{y:g}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def arrow(start, end, gap=32):
    """An arrow between two circles, which it does not touch."""
    (x1, y1), (x2, y2) = start, end
    length = math.hypot(x2 - x1, y2 - y1)
    dx, dy = (x2 - x1) / length * gap, (y2 - y1) / length * gap
    ends = f"x1='{x1 + dx:.1f}' y1='{y1 + dy:.1f}' x2='{x2 - dx:.1f}' y2='{y2 - dy:.1f}'"
    return f"<line {ends} stroke='{BLUE}' stroke-width='2.2' marker-end='url(#forward)'/>"


def tape():
    """The worked example as a graph: values in blue, slopes beside the arrows, gradients in orange."""
    places = {"a": (90, 95), "b": (90, 275), "c": (290, 215), "d": (510, 95), "L": (710, 215)}
    values = {"a": "2", "b": "3", "c": "6", "d": "8", "L": "48"}
    gradients = {"a": "da = 42 + 6 = 48", "b": "db = 28", "c": "dc = 8 + 6 = 14", "d": "dd = 6", "L": "dL = 1"}
    formulas = {"a": "a", "b": "b", "c": "c = a · b", "d": "d = a + c", "L": "L = c · d"}
    slopes = [  # from, to, how fast the second grows with the first, where that is written
        ("a", "c", "3", (222, 146)),
        ("b", "c", "2", (168, 238)),
        ("a", "d", "1", (300, 85)),
        ("c", "d", "1", (374, 148)),
        ("c", "L", "8", (500, 205)),
        ("d", "L", "6", (640, 146)),
    ]
    body = [arrow_head("forward", BLUE), arrow_head("backward", ORANGE)]
    for start, end, slope, (x, y) in slopes:
        body += [arrow(places[start], places[end]), text(x, y, f"slope {slope}", GREY, 13, 500)]
    for name, (x, y) in places.items():
        body += [f"<circle cx='{x}' cy='{y}' r='27' fill='{BLUE}'/>", text(x, y + 6, values[name], "#ffffff", 17)]
        above = name == "a"  # below it an arrow passes
        body += [text(x, y - 37, formulas[name], BLUE, 15), text(x, y - 58 if above else y + 48, gradients[name], ORANGE, 15)]
    body += [f"<line x1='710' y1='360' x2='90' y2='360' stroke='{ORANGE}' stroke-width='2.2' marker-end='url(#backward)'/>"]
    body += [text(400, 382, "the way back: L, d, c, b, a", ORANGE, 14, 500)]
    return svg(800, 395, "Five numbers computed from one another, with values, slopes and gradients", body)


KEPT, AGAIN, GONE = (BLUE, BLUE), (ORANGE, ORANGE), (GREY, "none")
ROWS = [  # what it says, the nine layers, how many are kept
    ("plain tape, before the way back", [KEPT] * 9, "9"),
    ("checkpoints, before the way back", [GONE, GONE, KEPT] * 3, "3"),
    ("third segment, run again", [GONE, GONE, KEPT] * 2 + [AGAIN] * 2 + [KEPT], "3 + 3"),
    ("second segment, run again", [GONE, GONE, KEPT] + [AGAIN] * 2 + [KEPT] + [GONE] * 3, "2 + 3"),
    ("first segment, run again", [AGAIN] * 2 + [KEPT] + [GONE] * 6, "1 + 3"),
]


def checkpoints():
    """A chain of nine layers in five moments: which outputs are there."""
    body = [text(545, 28, "outputs of the nine layers", GREY, 14, 500), text(845, 28, "kept", GREY, 14, 500)]
    for row, (words, layers, count) in enumerate(ROWS):
        y = 48 + 48 * row
        body += [text(275, y + 22, words, GREY, 14, 500, "end")]
        for i, (stroke, fill) in enumerate(layers):
            x = 300 + 52 * i + 16 * (i // 3)
            opacity = " stroke-opacity='.55'" if fill == "none" else ""
            body += [f"<rect x='{x}' y='{y}' width='40' height='32' rx='6' fill='{fill}' stroke='{stroke}' stroke-width='2'{opacity}/>"]
            body += [text(x + 20, y + 21, str(i + 1), "#ffffff" if fill != "none" else GREY, 14)]
        body += [text(845, y + 22, count, GREY, 15)]
    return svg(890, 300, "Which outputs of nine layers are kept, on a plain tape and with checkpoints", body)


if __name__ == "__main__":
    for name, content in {"autograd-tape": tape(), "autograd-checkpoints": checkpoints()}.items():
        (HERE / f"{name}.svg").write_text(content, encoding="utf-8")
