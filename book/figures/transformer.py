"""Draws the diagrams of the chapter on the Transformer: `python book/figures/transformer.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg


def text(x, y, content, colour=GREY, size=14, weight=500, anchor="middle"):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def box(x, y, width, height, colour=GREY):
    return f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='7' fill='none' stroke='{colour}' stroke-width='2'/>"


def path(points, colour=GREY, width=2.0, head=True):
    """A line through the points, with an arrow head at its end."""
    places = " ".join(f"{x},{y}" for x, y in points)
    end = f" marker-end='url(#{ {BLUE: 'blue', ORANGE: 'orange', GREY: 'grey'}[colour] })'" if head else ""
    return f"<polyline points='{places}' fill='none' stroke='{colour}' stroke-width='{width}'{end}/>"


def plus(x, y):
    return f"<circle cx='{x}' cy='{y}' r='11' fill='none' stroke='{GREY}' stroke-width='2'/>" + text(x, y + 5, "+", GREY, 16, 700)


def heads():
    return [arrow_head("blue", BLUE), arrow_head("orange", ORANGE), arrow_head("grey", GREY)]


def branch(x, y, name, colour=GREY):
    """A layer beside the stream at x: out of it below, through norm and layer, and back into it at y."""
    left = x + 40
    return [
        path([(x, y + 62), (left + 70, y + 62), (left + 70, y + 58)], GREY, 1.8),
        box(left, y + 32, 140, 22),
        text(left + 70, y + 47, "norm", GREY, 12),
        path([(left + 70, y + 31), (left + 70, y + 25)], GREY, 1.8),
        box(left, y - 8, 140, 28, colour),
        text(left + 70, y + 11, name, colour, 13, 700),
        path([(left, y + 6), (x + 13, y + 6)], GREY, 1.8),
        plus(x, y + 6),
    ]


def whole():
    """Encoder to the left, decoder to the right, each a stream upwards; the memory crosses over."""
    body, left, right = heads(), 90, 470
    for x, layers, name, below, above in (
        (left, ["attention", "perceptron"], "encoder", "source", "memory"),
        (right, ["causal attention", "cross-attention", "perceptron"], "decoder", "start, target so far", "logits of the next token"),
    ):
        top = 344 - 100 * len(layers)
        body += [path([(x, 430), (x, top - 22)], BLUE, 4)]
        body += [box(x - 74, 432, 148, 28, BLUE), text(x, 451, "embedding + position", BLUE, 12)]
        body += [path([(x, 486), (x, 464)], BLUE, 2.5), text(x, 504, below, BLUE, 14, 700)]
        for i, layer in enumerate(layers):
            body += branch(x, 330 - 100 * i, layer, ORANGE if layer == "cross-attention" else GREY)
        body += [text(x - 22, 300, f"{name}", BLUE, 15, 700, "end"), text(x - 22, 318, "L blocks", BLUE, 12, anchor="end")]
        if name == "encoder":
            body += [text(x, top - 32, above, ORANGE, 15, 700)]
        else:
            body += [text(x, top - 32, above, BLUE, 14, 700)]
    body += [path([(left + 36, 106), (345, 106), (345, 206), (right + 110, 206), (right + 110, 220)], ORANGE, 2.5)]
    body += [text(350, 98, "keys and values, for every block", ORANGE, 13, anchor="middle")]
    return svg(760, 516, "Encoder and decoder: two residual streams; the memory is read by each block of the decoder", body)


def forcing():
    """Teacher forcing: in training all positions at once, beside writing, one after the other."""
    body, target = heads(), ["1", "9", "8", "7"]
    for left, title, given, said, times in (
        (40, "training: one pass, the true target below", ["start", *target], [*target, "stop"], ["1"] * 5),
        (430, "writing: a pass for each token, its own below", ["start", *target], [*target, "stop"], ["1", "2", "3", "4", "5"]),
    ):
        body += [text(left + 150, 28, title, GREY, 15, 700)]
        for i, (below, above, time) in enumerate(zip(given, said, times, strict=True)):
            x = left + 64 * i
            training = left == 40
            body += [box(x, 150, 52, 30, BLUE if training or not i else ORANGE)]
            body += [text(x + 26, 170, below, BLUE if training or not i else ORANGE, 14, 700)]
            body += [box(x, 58, 52, 30, ORANGE), text(x + 26, 78, above, ORANGE, 14, 700)]
            body += [path([(x + 26, 149), (x + 26, 93)], GREY, 2), text(x + 38, 126, time, GREY, 12)]
            if not training and i < 4:
                body += [path([(x + 52, 84), (x + 72, 146)], ORANGE, 1.8)]
        what = "target, shifted by one" if left == 40 else "what it has written itself"
        body += [text(left + 150, 206, what, BLUE if left == 40 else ORANGE, 13)]
    return svg(790, 222, "Teacher forcing beside writing; the small numbers count the passes through the decoder", body)


def tree():
    """The example of beam search by hand."""
    body = heads()
    nodes = {
        "": (60, 150, "start"),
        "a": (230, 80, "a"),
        "b": (230, 220, "b"),
        "aa": (430, 30, "a a  0.30"),
        "ab": (430, 100, "a b  0.30"),
        "ba": (430, 220, "b a  0.40"),
    }
    for start, end, p, colour in (
        ("", "a", "0.6", ORANGE),
        ("", "b", "0.4", BLUE),
        ("a", "aa", "0.5", ORANGE),
        ("a", "ab", "0.5", GREY),
        ("b", "ba", "1.0", BLUE),
    ):
        (x1, y1, _), (x2, y2, _) = nodes[start], nodes[end]
        body += [path([(x1 + 38, y1), (x2 - 42, y2)], colour, 2.4)]
        body += [text((x1 + x2) / 2, (y1 + y2) / 2 - 9, p, colour, 14, 700)]
    for key, (x, y, name) in nodes.items():
        colour = {"a": ORANGE, "aa": ORANGE, "b": BLUE, "ba": BLUE}.get(key, GREY)
        wide = 110 if len(key) == 2 else 72
        left = x - 38 if wide == 72 else x - 40
        body += [box(left, y - 18, wide, 36, colour), text(left + wide / 2, y + 5, name, colour, 14, 700)]
    body += [text(560, 35, "greedy search ends here", ORANGE, 14, 700, "start")]
    body += [text(560, 225, "the likeliest, found with two beams", BLUE, 14, 700, "start")]
    return svg(880, 256, "A tree of targets with their probabilities", body)


if __name__ == "__main__":
    for name, draw in {"whole": whole, "forcing": forcing, "tree": tree}.items():
        (HERE / f"transformer-{name}.svg").write_text(draw(), encoding="utf-8")
