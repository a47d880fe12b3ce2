"""Draws the two diagrams of the chapter on residual networks: `python book/figures/resnet.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg


def text(x, y, content, colour=GREY, size=15, anchor="middle", weight=700):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def path(points, colour, head, width=2.2):
    """A line through the points, with an arrow head at its end."""
    places = " ".join(f"{x},{y}" for x, y in points)
    return f"<polyline points='{places}' fill='none' stroke='{colour}' stroke-width='{width}' marker-end='url(#{head})'/>"


def box(x, y, name, width=76):
    frame = f"<rect x='{x - width / 2:g}' y='{y - 19}' width='{width}' height='38' rx='8' fill='none' stroke='{GREY}' stroke-width='2'/>"
    return [frame, text(x, y + 5, name, GREY, 14)]


def plus(x, y):
    return [f"<circle cx='{x}' cy='{y}' r='15' fill='none' stroke='{GREY}' stroke-width='2'/>", text(x, y + 6, "+", GREY, 20)]


def block():
    """One residual block: values to the right (blue), gradients to the left (orange); the skip above, the branch below."""
    top, bottom, names = 70, 170, ("conv 1", "norm 1", "relu", "conv 2", "norm 2")
    places = [170 + 105 * i for i in range(5)]
    sum_at, relu_at, middle = 690, 770, 120
    body = [arrow_head("forward", BLUE), arrow_head("backward", ORANGE)]
    body += [path([(30, middle - 6), (78, middle - 6)], BLUE, "forward"), text(50, middle - 18, "x", BLUE)]
    body += [path([(78, middle + 6), (30, middle + 6)], ORANGE, "backward"), text(50, middle + 28, "dx", ORANGE)]
    body += [path([(84, middle - 6), (84, top - 6), (sum_at - 4, top - 6), (sum_at - 4, middle - 16)], BLUE, "forward")]
    body += [path([(sum_at + 6, middle - 16), (sum_at + 6, top + 6), (96, top + 6), (96, middle - 4)], ORANGE, "backward")]
    body += [text(385, top - 16, "the skip: x", BLUE), text(385, top + 28, "dz, unchanged", ORANGE)]
    edges = [84, *places, sum_at]
    for i in range(6):
        left, right = edges[i] + (42 if i else 0), edges[i + 1] - (42 if i < 5 else 0)
        start = [(left, middle)] if i == 0 else []
        end = [(right - 4, middle + 16)] if i == 5 else []
        body.append(path([*start, (left, bottom - 6), (right - (4 if i == 5 else 2), bottom - 6), *end], BLUE, "forward"))
        first = [(right + 6, middle + 16)] if i == 5 else []
        last = [(left + 12, middle + 8)] if i == 0 else []
        body.append(
            path(
                [*first, (right + (6 if i == 5 else 0), bottom + 6), (left + (12 if i == 0 else 2), bottom + 6), *last], ORANGE, "backward"
            )
        )
    for x, name in zip(places, names, strict=True):
        body += box(x, bottom, name)
    body += [text(385, bottom + 44, "the branch F(x)", BLUE, 15)]
    body += plus(sum_at, middle) + box(relu_at, middle, "relu", 60)
    body += [
        path([(sum_at + 17, middle - 6), (relu_at - 32, middle - 6)], BLUE, "forward"),
        text((sum_at + relu_at) / 2 - 6, middle - 16, "z", BLUE),
    ]
    body += [path([(relu_at - 32, middle + 6), (sum_at + 17, middle + 6)], ORANGE, "backward"), text(728, middle + 28, "dz", ORANGE)]
    body += [path([(relu_at + 32, middle - 6), (850, middle - 6)], BLUE, "forward"), text(826, middle - 16, "y", BLUE)]
    body += [path([(850, middle + 6), (relu_at + 32, middle + 6)], ORANGE, "backward"), text(826, middle + 28, "dy", ORANGE)]
    return svg(870, 230, "A residual block: the skip above, the branch below, their sum, and the gradients on the way back", body)


def paths():
    """Three blocks, and the eight ways through them."""
    body = [arrow_head("forward", BLUE)]
    lefts, width, gap = [200, 390, 580], 120, 32
    ways = [tuple(bool(number >> (2 - i) & 1) for i in range(3)) for number in range(8)]
    for row, way in enumerate(sorted(ways, key=sum)):
        y = 30 + gap * row
        body += [text(150, y + 5, "I" if not any(way) else "·".join(f"J{'₁₂₃'[i]}" for i in (2, 1, 0) if way[i]), ORANGE, 15, "end")]
        body.append(path([(170, y), (760, y)], BLUE, "forward", 1.6))
        for left, through in zip(lefts, way, strict=True):
            if through:
                body.append(f"<rect x='{left}' y='{y - 11}' width='{width}' height='22' rx='6' fill='{BLUE}'/>")
                body.append(text(left + width / 2, y + 5, f"F{'₁₂₃'[lefts.index(left)]}", "#ffffff", 13))
        body += [text(775, y + 5, f"{sum(way)} of 3", GREY, 13, "start", 500)]
    return svg(850, 270, "The eight ways through three residual blocks, and the product of Jacobians that belongs to each", body)


if __name__ == "__main__":
    for name, content in {"resnet-block": block(), "resnet-paths": paths()}.items():
        (HERE / f"{name}.svg").write_text(content, encoding="utf-8")
