"""Draws the two diagrams of the chapter on frameworks and devices: `python book/figures/frameworks.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, svg

MONO = "font-family='DejaVu Sans Mono, Menlo, Consolas, monospace'"


def text(x, y, content, colour=GREY, size=14, anchor="middle", weight=600, font=FONT):
    return f"<text x='{x}' y='{y}' fill='{colour}' {font} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def code(x, y, content, colour):
    return text(x, y, content, colour, 12.5, weight=500, font=MONO)


def rect(x, y, width, height, colour, opacity=0.22, dash=""):
    stroke = f"stroke='{colour}' stroke-width='1.3'" + (f" stroke-dasharray='{dash}'" if dash else "")
    return f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='5' fill='{colour}' fill-opacity='{opacity}' {stroke}/>"


def loop():
    """One training step: six rows, three frameworks; orange where the gradient lives."""
    columns = {"NumPy, this book": 235, "PyTorch": 480, "MLX": 778}
    rows = [
        ("forward", ("z, backward = model(x)", "z = model(x)", "def loss_of(x, y): ...")),
        ("loss", ("loss, back = f(z, y)", "loss = f(z, y)", "h = value_and_grad(model, loss_of)")),
        ("clear", ("model.zero_gradients()", "optimizer.zero_grad()", "nothing")),
        ("gradients", ("backward(back())", "loss.backward()", "loss, g = h(x, y)")),
        ("update", ("p.data -= lr * p.grad", "optimizer.step()", "optimizer.update(model, g)")),
        ("wait", ("nothing", "on a GPU: loss.item()", "mx.eval(model.parameters(), optimizer.state)")),
    ]
    homes = ("lives in p.grad", "lives in p.grad", "is a value, g")
    body = [text(x, 28, name, BLUE, 16) for name, x in columns.items()]
    for i, (name, cells) in enumerate(rows):
        y = 44 + 56 * i
        body.append(text(98, y + 27, name, GREY, 14, "end"))
        for x, cell in zip(columns.values(), cells, strict=True):
            colour = ORANGE if name == "gradients" else BLUE
            left, width = (x - 118, 236) if x < 700 else (x - 172, 344)
            body.append(rect(left, y + 4, width, 38, colour, 0.16))
            body.append(code(left + width / 2, y + 28, cell, colour))
    body.append(text(98, 400, "the gradient", ORANGE, 13, "end"))
    body += [text(x, 400, home, ORANGE, 13, weight=500) for x, home in zip(columns.values(), homes, strict=True)]
    return svg(958, 414, "One training step in three frameworks", body)


def line(x1, y1, x2, y2, colour, width=1.5, dash=""):
    extra = f" stroke-dasharray='{dash}'" if dash else ""
    return f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' stroke-width='{width}'{extra}/>"


def stop(x, y):
    """Where a stop-watch behind the last line stops."""
    return [line(x, y - 8, x, y + 58, ORANGE, 2.4, "5 4"), f"<circle cx='{x}' cy='{y - 10}' r='4.5' fill='{ORANGE}'/>"]


def when():
    """Four time lines: above, the lines of the program; below, the work."""
    body = [text(150, 24, "time", GREY, 13, "start"), line(190, 20, 770, 20, GREY)]
    body.append(f"<path d='M770,15 L780,20 L770,25 z' fill='{GREY}'/>")

    def lane(y, name, lines, work, watch):
        body.append(text(136, y + 20, name, GREY, 14, "end"))
        body.append(text(136, y + 46, "work", GREY, 12, "end", 500))
        for x, width, label in lines:
            body.append(rect(x, y + 4, width, 20, GREY, 0.16))
            body.append(text(x + width / 2, y + 19, label, GREY, 11, weight=500))
        for x, width, label in work:
            body.append(rect(x, y + 30, width, 22, BLUE, 0.3))
            if label:
                body.append(text(x + width / 2, y + 46, label, BLUE, 11, weight=500))
        body.extend(stop(watch, y))

    three = ("line 1", "line 2", "line 3")
    lane(52, "eager", [(160 + 130 * i, 126, n) for i, n in enumerate(three)], [(160 + 130 * i, 126, n) for i, n in enumerate(three)], 552)
    lazy = [(160 + 40 * i, 36, str(i + 1)) for i in range(3)] + [(284, 300, "eval")]
    lane(142, "lazy", lazy, [(284, 300, "lines 1, 2, 3")], 280)
    queue = [(160 + 40 * i, 36, str(i + 1)) for i in range(3)] + [(284, 280, "synchronize")]
    lane(232, "GPU queue", queue, [(180, 124, "line 1"), (308, 124, "line 2"), (436, 124, "line 3")], 280)
    compiled = [(160, 290, "first call: trace, compile"), (454, 90, "call 2"), (548, 90, "call 3")]
    lane(322, "compiled", compiled, [(360, 90, "lines 1-3"), (454, 90, "lines 1-3"), (548, 90, "lines 1-3")], 642)
    return svg(800, 396, "When a program computes: eager, lazy, behind a queue, compiled", body)


def main():
    for name, content in {"frameworks-loop": loop(), "frameworks-time": when()}.items():
        (HERE / f"{name}.svg").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
