"""Draws the diagram of the chapter on large models: `python book/figures/large.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg


def text(x, y, content, colour=GREY, size=15, anchor="middle", weight=700):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def arrow(x1, y1, x2, y2, colour, head):
    return f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' stroke-width='2.4' marker-end='url(#{head})'/>"


def one_weight():
    """One weight between its input and its sum: operations along the arrows, bytes in the boxes below."""
    body = [arrow_head("forward", BLUE), arrow_head("backward", ORANGE)]
    middle, weight = 95, 330
    body.append(f"<circle cx='{weight}' cy='{middle}' r='30' fill='none' stroke='{GREY}' stroke-width='2.4'/>")
    body.append(text(weight, middle + 7, "w", GREY, 22))
    body += [text(60, middle - 14, "x", BLUE, 19), text(620, middle - 14, "z", BLUE, 19)]
    body += [
        arrow(80, middle - 20, weight - 34, middle - 20, BLUE, "forward"),
        arrow(weight + 34, middle - 20, 602, middle - 20, BLUE, "forward"),
    ]
    body += [text(465, middle - 34, "z += w x", BLUE), text(190, middle - 34, "2 operations forward", BLUE, 14, weight=400)]
    body += [text(60, middle + 26, "dx", ORANGE, 19), text(620, middle + 26, "dz", ORANGE, 19)]
    body += [
        arrow(600, middle + 20, weight + 36, middle + 20, ORANGE, "backward"),
        arrow(weight - 34, middle + 20, 82, middle + 20, ORANGE, "backward"),
    ]
    body += [text(190, middle + 44, "dx += w dz", ORANGE), text(190, middle + 64, "2 operations back", ORANGE, 14, weight=400)]
    body += [arrow(weight - 12, middle + 30, 284, 200, ORANGE, "backward")]
    body += [
        text(weight + 14, middle + 62, "dw += x dz", ORANGE, 15, "start"),
        text(weight + 14, middle + 82, "2 operations back", ORANGE, 14, "start", 400),
    ]
    top, size, left = 206, 78, 150
    for i, (name, what, colour) in enumerate(
        (("w", "weight", BLUE), ("dw", "gradient", ORANGE), ("m", "average of dw", GREY), ("v", "average of dw\u00b2", GREY))
    ):
        x = left + i * 120
        dash = "" if i == 0 else " stroke-dasharray='6 4'"
        body.append(
            f"<rect x='{x - size / 2:g}' y='{top}' width='{size}' height='46' rx='7' fill='none' stroke='{colour}' stroke-width='2.2'{dash}/>"
        )
        body += [
            text(x, top + 21, name, colour, 17),
            text(x, top + 39, "4 bytes", colour, 13, weight=400),
            text(x, top + 66, what, colour, 13, weight=400),
        ]
    body += [text(left, top + 88, "answer and training", BLUE, 13), text(left + 240, top + 88, "training with Adam only", GREY, 13)]
    return svg(
        680, 308, "One weight in training: two operations forward, four back, and sixteen bytes, of which an answer needs four", body
    )


def main():
    (HERE / "large-one-weight.svg").write_text(one_weight(), encoding="utf-8")


if __name__ == "__main__":
    main()
