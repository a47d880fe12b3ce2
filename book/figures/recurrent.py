"""Draws the two diagrams of the chapter on recurrent networks: `python book/figures/recurrent.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg


def text(x, y, content, colour=GREY, size=15, anchor="middle", weight=700):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def path(points, colour, head, width=2.2):
    """A line through the points, with an arrow head at its end."""
    places = " ".join(f"{x},{y}" for x, y in points)
    return f"<polyline points='{places}' fill='none' stroke='{colour}' stroke-width='{width}' marker-end='url(#{head})'/>"


def box(x, y, name, width=90, height=44):
    frame = f"<rect x='{x - width / 2:g}' y='{y - height / 2:g}' width='{width}' height='{height}' rx='8' fill='none' stroke='{GREY}' stroke-width='2'/>"
    return [frame, text(x, y + 5, name, GREY, 14)]


def circle(x, y, sign):
    return [f"<circle cx='{x}' cy='{y}' r='15' fill='none' stroke='{GREY}' stroke-width='2'/>", text(x, y + 6, sign, GREY, 18)]


def unrolled():
    """Four steps of a loop: values to the right and up (blue), gradients to the left and down (orange)."""
    middle, places = 130, [140 + 180 * i for i in range(4)]
    body = [arrow_head("forward", BLUE), arrow_head("backward", ORANGE)]
    subscripts = "₀₁₂₃₄"
    edges = [30, *places, 790]
    for i in range(5):
        left, right = edges[i] + (47 if i else 12), edges[i + 1] - (47 if i < 4 else 10)
        if i < 4:
            body += [path([(left, middle - 8), (right, middle - 8)], BLUE, "forward")]
            body += [path([(right, middle + 8), (left, middle + 8)], ORANGE, "backward")]
            body += [text((left + right) / 2, middle - 18, f"h{subscripts[i]}", BLUE)]
            body += [text((left + right) / 2, middle + 28, f"da{subscripts[i + 1]} W", ORANGE, 14)]
    for i, x in enumerate(places, 1):
        body += box(x, middle, "W, b")
        body += [path([(x - 8, 212), (x - 8, middle + 24)], BLUE, "forward"), text(x - 8, 232, f"x{subscripts[i]}", BLUE)]
        body += [path([(x + 8, middle + 24), (x + 8, 212)], ORANGE, "backward"), text(x + 34, 208, f"dx{subscripts[i]}", ORANGE, 14)]
        body += [path([(x - 8, middle - 24), (x - 8, 52)], BLUE, "forward"), text(x - 8, 40, f"L{subscripts[i]}", BLUE)]
        body += [path([(x + 8, 52), (x + 8, middle - 24)], ORANGE, "backward"), text(x + 30, 74, f"δ{subscripts[i]}", ORANGE, 14)]
    return svg(750, 250, "A recurrent network unrolled over four steps, with the gradients on the way back", body)


def lstm():
    """One LSTM cell: the cell's own path on top, the gates below."""
    top, gates, bottom = 70, 190, 270
    body = [arrow_head("forward", BLUE), arrow_head("backward", ORANGE)]
    body += [path([(40, top), (183, top)], BLUE, "forward"), path([(217, top), (383, top)], BLUE, "forward")]
    body += [path([(417, top), (760, top)], BLUE, "forward"), text(60, top - 12, "c", BLUE), text(740, top - 12, "c&#8242;", BLUE)]
    body += [path([(760, top + 14), (60, top + 14)], ORANGE, "backward"), text(300, top + 34, "dc&#8242; ⊙ f", ORANGE, 14)]
    body += circle(200, top, "×") + circle(400, top, "+")
    for x, name in {200: "f", 340: "i", 460: "g", 600: "o"}.items():
        body += box(x, gates, f"{name} = {'tanh' if name == 'g' else 'σ'}", 86)
        body += [path([(x, bottom), (x, gates + 24)], BLUE, "forward")]
    body += [path([(200, gates - 24), (200, top + 18)], BLUE, "forward")]
    body += [*circle(400, 130, "×"), path([(400, 114), (400, top + 18)], BLUE, "forward")]
    body += [path([(340, gates - 24), (340, 130), (382, 130)], BLUE, "forward")]
    body += [path([(460, gates - 24), (460, 130), (418, 130)], BLUE, "forward")]
    body += [*circle(680, 130, "×"), path([(680, top), (680, 112)], BLUE, "forward"), text(712, 102, "tanh", GREY, 13)]
    body += [path([(600, gates - 24), (600, 130), (662, 130)], BLUE, "forward")]
    body += [path([(697, 130), (760, 130)], BLUE, "forward"), text(744, 154, "h&#8242;", BLUE)]
    body += [
        f"<line x1='40' y1='{bottom}' x2='600' y2='{bottom}' stroke='{BLUE}' stroke-width='2.2'/>",
        text(40, bottom - 12, "x and h", BLUE, 15, "start"),
    ]
    return svg(800, 292, "An LSTM cell: one multiplication and one addition on the path of the cell, four gates below", body)


def main():
    for name, drawn in {"rnn-unrolled": unrolled(), "lstm-cell": lstm()}.items():
        (HERE / f"{name}.svg").write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
