"""Draws the diagram of the chapter on optimizers: `python book/figures/optimizers.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg

WIDTH, HEIGHT = 172, 66
PLACES = {  # name: (x, y of the box's middle, what it keeps, its step)
    "descent": (100, 210, "keeps nothing", "g"),
    "momentum": (340, 120, "keeps v, a sum of g", "v"),
    "RMSProp": (340, 300, "keeps v, a mean of g²", "g / √v"),
    "Adam": (580, 210, "keeps both means", "m / √v, corrected"),
    "AdamW": (820, 300, "keeps both means", "and w shrinks apart"),
    "Lion": (820, 120, "keeps m alone", "sign of the mean"),
    "Muon": (580, 40, "keeps m alone", "U Vᵀ of the mean"),
}
EDGES = {
    ("descent", "momentum"): "memory of the direction",
    ("descent", "RMSProp"): "memory of the size",
    ("momentum", "Adam"): "",
    ("RMSProp", "Adam"): "",
    ("Adam", "AdamW"): "decay apart",
    ("Adam", "Lion"): "the sign alone",
    ("momentum", "Muon"): "the matrix as a whole",
}


def text(x, y, content, colour=GREY, size=14, weight=500, anchor="middle"):
    return f"<text x='{x:g}' y='{y:g}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def box(name):
    x, y, kept, step = PLACES[name]
    frame = (
        f"<rect x='{x - WIDTH / 2:g}' y='{y - HEIGHT / 2:g}' width='{WIDTH}' height='{HEIGHT}' rx='8' "
        f"fill='none' stroke='{GREY}' stroke-width='2'/>"
    )
    return [
        frame,
        text(x, y - 13, name, BLUE, 16, 700),
        text(x, y + 6, kept, GREY, 13),
        text(x, y + 24, step, ORANGE, 13, 700),
    ]


def edge(start, end, words):
    (x1, y1, *_), (x2, y2, *_) = PLACES[start], PLACES[end]
    x1, x2 = x1 + WIDTH / 2 + 4, x2 - WIDTH / 2 - 6
    drawn = [f"<line x1='{x1:g}' y1='{y1}' x2='{x2:g}' y2='{y2}' stroke='{BLUE}' stroke-width='2.2' marker-end='url(#head)'/>"]
    if words:
        above = y2 < y1
        drawn.append(text((x1 + x2) / 2 - 6, (y1 + y2) / 2 + (-4 if above else 14), words, GREY, 13, anchor="end"))
    return drawn


def family():
    body = [arrow_head("head", BLUE)]
    for (start, end), words in EDGES.items():
        body += edge(start, end, words)
    for name in PLACES:
        body += box(name)
    return svg(920, 356, "Seven optimizers: what each keeps, and what it steps by", body)


def main():
    (HERE / "optimizers-family.svg").write_text(family(), encoding="utf-8")


if __name__ == "__main__":
    main()
