"""Draws the diagram of the chapter on tokenisation: `python book/figures/tokenization.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg

MONO = "font-family='DejaVu Sans Mono, Menlo, Consolas, monospace'"


def text(x, y, content, colour=GREY, size=16, font=FONT, weight=600, anchor="middle"):
    return f"<text x='{x:g}' y='{y:g}' fill='{colour}' {font} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def box(x, y, width, content, colour=BLUE):
    frame = f"<rect x='{x:g}' y='{y - 20:g}' width='{width:g}' height='30' rx='6' fill='none' stroke='{colour}' stroke-width='2'/>"
    return [frame, text(x + width / 2, y, content, colour, font=MONO)]


def arrow(x, y1, y2):
    return f"<line x1='{x:g}' y1='{y1:g}' x2='{x:g}' y2='{y2:g}' stroke='{GREY}' stroke-width='2' marker-end='url(#down)'/>"


def path():
    left, body = 20, [arrow_head("down", GREY)]
    rows = {"text": 40, "words": 100, "bytes": 160, "pieces": 220, "numbers": 280, "rows of a table": 355}
    for name, y in rows.items():
        body.append(text(left, y, name, GREY, 15, anchor="start"))
    body.append(text(400, 40, "the lowest", GREY, font=MONO))
    body += box(215, 100, 110, "the") + box(365, 100, 230, "\u2423lowest")
    for i, letter in enumerate("the"):
        body += box(215 + 38 * i, 160, 34, letter)
    for i, letter in enumerate("\u2423lowest"):
        body += box(365 + 33.2 * i, 160, 30, letter)
    body += box(215, 220, 110, "the", ORANGE) + box(365, 220, 130, "\u2423low", ORANGE) + box(500, 220, 95, "est", ORANGE)
    for x, number in ((270, 262), (430, 517), (547, 303)):
        body += [text(x, 280, number, ORANGE, font=MONO), arrow(x, 232, 262), arrow(x, 290, 330)]
        for i in range(5):
            body.append(
                f"<rect x='{x - 40 + 16 * i:g}' y='340' width='14' height='22' fill='{BLUE}' fill-opacity='{0.2 + 0.16 * ((i * i + 2 * i + x // 7) % 5):.2f}'/>"
            )
    body += [arrow(270, 50, 76), arrow(480, 50, 76), arrow(270, 112, 136), arrow(480, 112, 136), arrow(270, 172, 196), arrow(480, 172, 196)]
    body.append(f"<line x1='{left}' y1='313' x2='680' y2='313' stroke='{GREY}' stroke-width='2' stroke-dasharray='6 5'/>")
    for y, note in ((80, "cut"), (140, "UTF-8"), (200, "merge"), (250, "look up")):
        body.append(text(640, y, note, GREY, 14))
    body += [text(640, 302, "counting", GREY, 14), text(640, 334, "network", GREY, 14)]
    return svg(700, 380, "From a text to words, bytes, pieces, numbers, and rows of the embedding table", body)


if __name__ == "__main__":
    (HERE / "tokenization-path.svg").write_text(path(), encoding="utf-8")
