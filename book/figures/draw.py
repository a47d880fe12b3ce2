"""Draws the book's own figures as SVG: `python book/figures/draw.py`.

Colours are those of Okabe and Ito, which colour-blind readers tell apart; each has enough contrast on white and on
the dark theme's ground, because an SVG in an <img> does not know which of the two the reader chose.
"""

import itertools
from pathlib import Path

HERE = Path(__file__).resolve().parent
BLUE, ORANGE, GREY = "#1a7fc0", "#d55e00", "#7a7f87"
LAYERS = (3, 4, 4, 2)
FONT = "font-family='DejaVu Sans, Verdana, Helvetica, Arial, sans-serif'"


def svg(width, height, title, body):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
    return "\n".join([head, f"<title>{title}</title>", *body, "</svg>\n"]).replace("'", '"')


def arrow_head(name, colour):
    path = f"<path d='M0,0 L10,5 L0,10 z' fill='{colour}'/>"
    place = "viewBox='0 0 10 10' refX='8' refY='5' markerWidth='7' markerHeight='7' orient='auto'"
    return f"<defs><marker id='{name}' {place}>{path}</marker></defs>"


def cover():
    width, height, top, bottom = 720, 330, 78, 252
    columns = [110 + i * (500 / (len(LAYERS) - 1)) for i in range(len(LAYERS))]
    units = []
    for x, count in zip(columns, LAYERS, strict=True):
        gap = (bottom - top) / max(LAYERS)
        middle = (top + bottom) / 2
        units.append([(x, middle + (i - (count - 1) / 2) * gap) for i in range(count)])
    body = [arrow_head("forward", BLUE), arrow_head("backward", ORANGE)]
    for left, right in itertools.pairwise(units):
        for x1, y1 in left:
            for x2, y2 in right:
                body.append(
                    f"<line x1='{x1:.0f}' y1='{y1:.1f}' x2='{x2:.0f}' y2='{y2:.1f}' stroke='{GREY}' stroke-opacity='.55' stroke-width='1.2'/>"
                )
    for number, layer in enumerate(units):
        colour = GREY if number == 0 else ORANGE if number == len(units) - 1 else BLUE
        for x, y in layer:
            body.append(f"<circle cx='{x:.0f}' cy='{y:.1f}' r='14' fill='{colour}'/>")
    for (x1, x2), sign in zip(itertools.pairwise(columns), "123", strict=True):
        text = f"{FONT} font-size='17' font-weight='600' text-anchor='middle'"
        body.append(
            f"<line x1='{x1 + 22:.0f}' y1='48' x2='{x2 - 22:.0f}' y2='48' stroke='{BLUE}' stroke-width='3' marker-end='url(#forward)'/>"
        )
        body.append(
            f"<line x1='{x2 - 22:.0f}' y1='282' x2='{x1 + 22:.0f}' y2='282' stroke='{ORANGE}' stroke-width='3' marker-end='url(#backward)'/>"
        )
        body.append(f"<text x='{(x1 + x2) / 2:.0f}' y='36' fill='{BLUE}' {text}>layer {sign}</text>")
        body.append(f"<text x='{(x1 + x2) / 2:.0f}' y='307' fill='{ORANGE}' {text}>gradient {sign}</text>")
    side = f"{FONT} font-size='19' font-weight='700'"
    body.append(f"<text x='70' y='54' fill='{BLUE}' text-anchor='end' {side}>x</text>")
    body.append(f"<text x='650' y='54' fill='{BLUE}' {side}>y</text>")
    body.append(f"<text x='650' y='288' fill='{ORANGE}' {side}>dy</text>")
    body.append(f"<text x='70' y='288' fill='{ORANGE}' text-anchor='end' {side}>dx</text>")
    return svg(width, height, "Values flow forward through a network, gradients flow back", body)


def favicon():
    body = ["<rect width='32' height='32' rx='7' fill='#14405f'/>"]
    for y in (9, 23):
        body.append(f"<line x1='8' y1='{y}' x2='24' y2='16' stroke='#ffffff' stroke-width='2'/>")
    body += [f"<circle cx='8' cy='{y}' r='4' fill='#56b4e9'/>" for y in (9, 23)]
    body.append("<circle cx='24' cy='16' r='4.5' fill='#e69f00'/>")
    return svg(32, 32, "Deep Learning, Executed", body)


def main():
    for name, text in {"cover": cover(), "favicon": favicon()}.items():
        (HERE / f"{name}.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
