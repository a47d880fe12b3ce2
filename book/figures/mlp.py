"""Draws the two diagrams of the chapter on multilayer perceptrons: `python book/figures/mlp.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg


def text(x, y, content, colour=GREY, size=15, anchor="middle", weight=500):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def arrow(x1, y1, x2, y2, colour, head, width=2.2):
    return f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' stroke-width='{width}' marker-end='url(#{head})'/>"


def unit(x, y, value, gradient=None):
    """A circle with its value inside, and the gradient of the loss with respect to it below."""
    body = [f"<circle cx='{x}' cy='{y}' r='25' fill='{BLUE}'/>", text(x, y + 6, value, "#ffffff", 17, weight=700)]
    return body + ([text(x, y + 46, gradient, ORANGE, 15, weight=700)] if gradient else [])


def by_hand():
    """The network 2-2-1 of the worked example, with its values (blue) and the gradients of the loss (orange)."""
    x, h, y, loss = 90, 310, 530, 680
    top, bottom, middle = 90, 250, 170
    body = [arrow_head("forward", BLUE), arrow_head("backward", ORANGE)]
    for y1, y2, weight, wx, wy in [
        (top, top, "1", 200, 80),
        (top, bottom, "1", 172, 128),
        (bottom, top, "1", 172, 224),
        (bottom, bottom, "1", 200, 268),
    ]:
        body += [arrow(x + 28, y1, h - 30, y2, BLUE, "forward"), text(wx, wy, weight, BLUE, 15, weight=700)]
    for y1, weight, wy in [(top, "1", 118), (bottom, "−1", 232)]:
        body += [arrow(h + 28, y1, y - 30, middle + (-8 if y1 == top else 8), BLUE, "forward"), text(424, wy, weight, BLUE, 15, weight=700)]
    body += [arrow(y + 28, middle, loss - 30, middle, BLUE, "forward")]
    body += unit(x, top, "1") + unit(x, bottom, "1") + unit(h, top, "2", "dh₁ = 2") + unit(h, bottom, "1", "dh₂ = −2")
    body += unit(y, middle, "1", "dy = 2") + unit(loss, middle, "1", "dL = 1")
    body += [text(x, 45, "x"), text(h, 45, "h = relu(Wx + b)"), text(y, 45, "y = v·h"), text(loss, 45, "L = (y − t)²")]
    body += [text(h, top - 30, "b₁ = 0", BLUE, 13), text(h, bottom - 30, "b₂ = −1", BLUE, 13), text(loss, middle - 36, "t = 0", GREY, 13)]
    body += [arrow(loss, 330, x, 330, ORANGE, "backward"), text((x + loss) / 2, 352, "gradients, from the loss back", ORANGE, 14)]
    return svg(760, 370, "A network of two inputs, two hidden units and one output with its values and gradients", body)


def chain():
    """One hidden layer as boxes: values to the right, gradients back, and what each box keeps for the way back."""
    boxes = [(140, "linear", "keeps x"), (310, "relu", "keeps h"), (480, "linear", "keeps h"), (680, "cross-entropy", "keeps log p")]
    values, gradients = ["x", "z", "h", "logits", "L"], ["dx", "dz", "dh", "dlogits", "1"]
    body = [arrow_head("forward", BLUE), arrow_head("backward", ORANGE)]
    edges = [20, *[b[0] for b in boxes], 830]
    for i, (value, gradient) in enumerate(zip(values, gradients, strict=True)):
        left = edges[i] + (60 if i else 0)
        right = edges[i + 1] - 60 if i < 4 else edges[i + 1]
        body += [arrow(left + 4, 92, right - 4, 92, BLUE, "forward"), text((left + right) / 2, 80, value, BLUE, 15, weight=700)]
        body += [arrow(right - 4, 132, left + 4, 132, ORANGE, "backward"), text((left + right) / 2, 156, gradient, ORANGE, 15, weight=700)]
    for x, name, kept in boxes:
        body += [f"<rect x='{x - 58}' y='70' width='116' height='84' rx='10' fill='none' stroke='{GREY}' stroke-width='2'/>"]
        body += [text(x, 106, name, GREY, 14, weight=700), text(x, 132, kept, GREY, 13)]
    for x, names in [(140, "dW, db"), (480, "dW, db")]:
        body += [arrow(x, 156, x, 196, ORANGE, "backward"), text(x, 216, names, ORANGE, 15, weight=700)]
    for x in (140, 480):
        body += [arrow(x, 28, x, 66, BLUE, "forward"), text(x, 20, "W, b", BLUE, 15, weight=700)]
    return svg(850, 230, "A network as a chain of operations: values flow to the right, gradients flow back", body)


if __name__ == "__main__":
    for name, content in {"mlp-by-hand": by_hand(), "mlp-chain": chain()}.items():
        (HERE / f"{name}.svg").write_text(content, encoding="utf-8")
