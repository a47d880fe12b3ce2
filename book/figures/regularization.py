"""Draws the diagram of the chapter on regularization: `python book/figures/regularization.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg

PLACES = (  # a station of training, what acts there
    ("examples", ("shifts, noise,", "mixup")),
    ("labels", ("smoothing,", "mixup")),
    ("network", ("dropout,", "its size")),
    ("loss", ("L2 penalty,", "L1 penalty")),
    ("step", ("weight decay,", "proximal step")),
    ("end", ("early", "stopping")),
)


def text(x, y, content, colour=GREY, size=15, weight=600):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='middle'>{content}</text>"


def places():
    """Six stations of a training in a row, and under each the regularisers that act there."""
    body = [arrow_head("next", GREY)]
    for i, (station, words) in enumerate(PLACES):
        x = 14 + 131 * i
        body.append(
            f"<rect x='{x}' y='20' width='104' height='46' rx='5' fill='{BLUE}' fill-opacity='0.18' stroke='{BLUE}' stroke-width='1.6'/>"
        )
        body.append(text(x + 52, 49, station, BLUE, 16))
        if i:
            body.append(f"<line x1='{x - 25}' y1='43' x2='{x - 3}' y2='43' stroke='{GREY}' stroke-width='2' marker-end='url(#next)'/>")
        for line, word in enumerate(words):
            body.append(text(x + 52, 98 + 21 * line, word, ORANGE, 14, 500))
    return svg(786, 136, "Where in a training each regulariser acts", body)


if __name__ == "__main__":
    (HERE / "regularization-places.svg").write_text(places(), encoding="utf-8")
