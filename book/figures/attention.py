"""Draws the diagrams of the chapter on attention: `python book/figures/attention.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg

KEYS, VALUES = "acb", "371"
WEIGHTS = (0.107, 0.787, 0.107)  # softmax of the scores 0, 2, 0


def text(x, y, content, colour=GREY, size=14, weight=500, anchor="middle"):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def box(x, y, width, height, colour=GREY, dashed=False, fill="none", opacity=1.0):
    dashes = " stroke-dasharray='7 5'" if dashed else ""
    return (
        f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='7' fill='{fill}' fill-opacity='{opacity}' "
        f"stroke='{colour}' stroke-width='2'{dashes}/>"
    )


def arrow(x1, y1, x2, y2, colour=GREY, width=2.0, opacity=1.0):
    head = "blue" if colour == BLUE else "orange" if colour == ORANGE else "grey"
    return (
        f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' stroke-width='{width}' stroke-opacity='{opacity}' "
        f"marker-end='url(#{head})'/>"
    )


def heads():
    return [arrow_head("blue", BLUE), arrow_head("orange", ORANGE), arrow_head("grey", GREY)]


def lookup():
    """A dictionary beside attention: one key fits, against every key fits more or less."""
    body = heads()
    for left, title, answer in (
        (20, "a dictionary: one key fits", "7"),
        (420, "attention: every key fits a little", "0.107·3 + 0.787·7 + 0.107·1 = 5.94"),
    ):
        soft = left > 100
        body += [text(left + 175, 26, title, GREY, 16, 700)]
        body += [box(left, 110, 62, 40, ORANGE), text(left + 31, 136, "c", ORANGE, 18, 700), text(left + 31, 96, "query", ORANGE, 13)]
        for row, (key, value, weight) in enumerate(zip(KEYS, VALUES, WEIGHTS, strict=True)):
            y = 62 + 50 * row
            shown = weight if soft else float(key == "c")
            body += [box(left + 150, y, 44, 36, BLUE), text(left + 172, y + 24, key, BLUE, 16, 700)]
            body += [box(left + 262, y, 44, 36, BLUE, fill=BLUE, opacity=0.45 * shown), text(left + 284, y + 24, value, GREY, 16, 700)]
            if soft or shown:
                body += [arrow(left + 66, 130, left + 146, y + 18, ORANGE, 1 + 3 * shown, 0.35 + 0.65 * shown)]
                body += [text(left + 228, y + 23, f"{shown:.3f}" if soft else "=", ORANGE, 14, 700)]
        body += [text(left + 172, 250, "keys", BLUE, 13), text(left + 284, 250, "values", BLUE, 13)]
        body += [text(left + 175, 282, f"answer: {answer}", GREY, 14, 700)]
    return svg(790, 296, "A dictionary returns one value, attention a mixture of all values", body)


def multi_head():
    """x, three projections, heads side by side, joined, one projection."""
    body = heads()
    body += [box(20, 118, 74, 44), text(57, 145, "x", GREY, 18, 700), text(57, 182, "(T, C)", GREY, 12)]
    for row, name in enumerate("QKV"):
        y = 40 + 78 * row
        body += [arrow(98, 140, 146, y + 22), box(150, y, 92, 44, BLUE), text(196, y + 28, f"W{name}", BLUE, 16, 700)]
    for row in range(3):
        y = 30 + 78 * row
        name = ("head 1", "head 2", "head H")[row]
        for source in range(3):
            body += [arrow(246, 62 + 78 * source, 306, y + 32, BLUE, 1.6, 0.7)]
        body += [box(310, y, 122, 64, ORANGE), text(371, y + 27, name, ORANGE, 15, 700), text(371, y + 48, "q, k, v (T, D)", ORANGE, 12)]
        body += [arrow(436, y + 32, 492, y + 32, ORANGE)]
        body += [box(496, y, 44, 64, ORANGE, fill=ORANGE, opacity=0.16), text(518, y + 37, f"o{'12H'[row]}", ORANGE, 14, 700)]
    body += [box(488, 20, 60, 242, GREY, dashed=True), text(518, 284, "side by side: (T, HD)", GREY, 13)]
    body += [arrow(552, 140, 606, 140), box(610, 118, 92, 44, BLUE), text(656, 145, "WO", BLUE, 16, 700)]
    body += [arrow(706, 140, 752, 140), text(776, 146, "y", GREY, 18, 700), text(776, 182, "(T, C)", GREY, 12)]
    body += [text(196, 284, "projections", BLUE, 13), text(371, 284, "each attends alone", ORANGE, 13)]
    return svg(810, 296, "Multi-head attention: projections, heads side by side, one more projection", body)


if __name__ == "__main__":
    (HERE / "attention-lookup.svg").write_text(lookup(), encoding="utf-8")
    (HERE / "attention-heads.svg").write_text(multi_head(), encoding="utf-8")
