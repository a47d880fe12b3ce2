"""Draws the diagram of the chapter on transfer learning: `python book/figures/transfer.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, svg

WAYS = [  # name, what it needs to say below, (kind of layer) from the image upwards
    ("from scratch", "the rival", ("random", "random", "random")),
    ("fine-tuned", "a better start?", ("moved", "moved", "random")),
    ("linear probe", "are the features good?", ("kept", "kept", "random")),
    ("random, frozen", "the control", ("noise", "noise", "random")),
]
LOOKS = {  # colour, dashed, what is written in the box
    "random": (ORANGE, False, "new, trains"),
    "moved": (BLUE, False, "from the source, trains"),
    "kept": (BLUE, True, "from the source, frozen"),
    "noise": (GREY, True, "new, frozen"),
}


def text(x, y, content, colour=GREY, size=14, weight=500):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='middle'>{content}</text>"


def box(x, y, name, kind):
    colour, dashed, words = LOOKS[kind]
    dashes = " stroke-dasharray='7 5'" if dashed else ""
    frame = f"<rect x='{x - 92}' y='{y}' width='184' height='52' rx='9' fill='none' stroke='{colour}' stroke-width='2.5'{dashes}/>"
    return [frame, text(x, y + 22, name, colour, 14, 700), text(x, y + 41, words, colour, 12)]


def four_ways():
    """Four columns of three boxes: which layers come from the source, and which train."""
    body = []
    for column, (name, question, kinds) in enumerate(WAYS):
        x = 110 + 205 * column
        body += [text(x, 26, name, GREY, 16, 700)]
        for row, (layer, kind) in enumerate(zip(("convolutions", "hidden layers", "head"), kinds, strict=True)):
            body += box(x, 182 - 68 * row, layer, kind)
        body += [text(x, 264, question, GREY, 13)]
    return svg(835, 280, "Four ways to use a network for a new task", body)


if __name__ == "__main__":
    (HERE / "transfer-four-ways.svg").write_text(four_ways(), encoding="utf-8")
