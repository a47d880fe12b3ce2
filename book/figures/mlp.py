"""Draws the two diagrams of the chapter on multilayer perceptrons: `python book/figures/mlp.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg


def text(x, y, content, colour=GREY, size=15, anchor="middle", weight=700):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def arrow(x1, y1, x2, y2, colour, head, width=2.2):
    return f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' stroke-width='{width}' marker-end='url(#{head})'/>"


def unit(x, y, value, gradient):
    """A circle with its value inside, and the gradient of the loss with respect to it below."""
    circle = f"<circle cx='{x}' cy='{y}' r='25' fill='{BLUE}'/>"
    return [circle, text(x, y + 6, value, "#ffffff", 17), text(x, y + 45, gradient, ORANGE)]


def edge(x, y, weight, gradient):
    """A weight (blue) and its gradient (orange), side by side."""
    return [text(x - 4, y, weight, BLUE, 15, "end"), text(x + 4, y, gradient, ORANGE, 15, "start")]


def by_hand():
    """The network 2-2-1 of the worked example, with its values (blue) and the gradients of the loss (orange)."""
    x, h, y, loss = 70, 330, 570, 720
    top, bottom, middle = 100, 280, 190
    body = [arrow_head("forward", BLUE), arrow_head("backward", ORANGE)]
    for start in (top, bottom):
        body += [arrow(x + 28, start, h - 30, end, BLUE, "forward") for end in (top, bottom)]
        body.append(arrow(h + 28, start, y - 30, middle + (-8 if start == top else 8), BLUE, "forward"))
    body.append(arrow(y + 28, middle, loss - 30, middle, BLUE, "forward"))
    body += edge(200, top - 10, "1", "2") + edge(200, bottom + 22, "1", "−2")
    body += edge(120, top + 72, "1", "−2") + edge(120, bottom - 60, "1", "2")
    body += edge(490, 124, "v₁ = 1", "4") + edge(490, 268, "v₂ = −1", "2")
    body += [text(490, 288, "(should be −2)", GREY, 13, weight=500)]
    body += unit(x, top, "1", "dx₁ = 0") + unit(x, bottom, "1", "dx₂ = 0")
    body += unit(h, top, "2", "dh₁ = 2") + unit(h, bottom, "1", "dh₂ = −2")
    body += unit(y, middle, "1", "dy = 2") + unit(loss, middle, "1", "dL = 1")
    body += [
        text(place, 30, name, weight=500) for place, name in ((x, "x"), (h, "h = relu(xWᵀ + b)"), (y, "y = v·h"), (loss, "L = (y − t)²"))
    ]
    body += [text(h - 6, top - 34, "b₁ = 0", BLUE, 13, "end"), text(h + 6, top - 34, "2", ORANGE, 13, "start")]
    body += [text(h - 6, bottom - 34, "b₂ = −1", BLUE, 13, "end"), text(h + 6, bottom - 34, "−2", ORANGE, 13, "start")]
    body += [text(loss, middle - 36, "t = 0", GREY, 13, weight=500)]
    body += [
        arrow(loss, 360, x, 360, ORANGE, "backward"),
        text((x + loss) / 2, 382, "gradients, from the loss back", ORANGE, 14, weight=500),
    ]
    return svg(790, 400, "A network of two inputs, two hidden units and one output with its values and gradients", body)


def chain():
    """One hidden layer as boxes: values to the right, gradients back, and what each box keeps for the way back."""
    boxes = [
        (140, "linear", "keeps x, W₁"),
        (310, "relu", "keeps h"),
        (480, "linear", "keeps h, W₂"),
        (680, "cross-entropy", "keeps log p"),
    ]
    values, gradients = ["x", "z", "h", "logits", "L"], ["dx", "dz", "dh", "dlogits", "dL = 1"]
    body = [arrow_head("forward", BLUE), arrow_head("backward", ORANGE)]
    edges = [20, *[b[0] for b in boxes], 830]
    for i, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
        left = edges[i] + (60 if i else 0)
        right = edges[i + 1] - 60 if i < 4 else edges[i + 1]
        body += [arrow(left + 4, 92, right - 4, 92, BLUE, "forward"), text((left + right) / 2, 80, value, BLUE)]
        body += [arrow(right - 4, 132, left + 4, 132, ORANGE, "backward"), text((left + right) / 2, 156, gradient, ORANGE)]
    for x, name, kept in boxes:
        body += [f"<rect x='{x - 58}' y='70' width='116' height='84' rx='10' fill='none' stroke='{GREY}' stroke-width='2'/>"]
        body += [text(x, 106, name, GREY, 14), text(x, 132, kept, GREY, 13, weight=500)]
    for x, names, gradient_names in [(140, "W₁, b₁", "dW₁, db₁"), (480, "W₂, b₂", "dW₂, db₂")]:
        body += [arrow(x, 28, x, 66, BLUE, "forward"), text(x, 20, names, BLUE)]
        body += [arrow(x, 156, x, 196, ORANGE, "backward"), text(x, 216, gradient_names, ORANGE)]
    return svg(850, 230, "A network as a chain of operations: values flow to the right, gradients flow back", body)


if __name__ == "__main__":
    for name, content in {"mlp-by-hand": by_hand(), "mlp-chain": chain()}.items():
        (HERE / f"{name}.svg").write_text(content, encoding="utf-8")
