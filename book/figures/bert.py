"""Draws the diagrams of the chapter on BERT: `python book/figures/bert.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg

TOKENS = ("[CLS]", "anna", "eats", "[MASK]", "[SEP]", "anna", "plays", "chess", "[SEP]")
STEP, LEFT = 78, 96


def text(x, y, content, colour=GREY, size=14, weight=500, anchor="middle"):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def box(x, y, width, height, colour=GREY, fill="none", opacity=1.0):
    return f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='6' fill='{fill}' fill-opacity='{opacity}' stroke='{colour}' stroke-width='2'/>"


def arrow(x, y1, y2, colour=GREY):
    name = {BLUE: "blue", ORANGE: "orange"}.get(colour, "grey")
    return f"<line x1='{x}' y1='{y1}' x2='{x}' y2='{y2}' stroke='{colour}' stroke-width='2' marker-end='url(#{name})'/>"


def whole():
    """Tokens, segments and positions below, the blocks in the middle, what is asked of each place above."""
    body = [arrow_head("blue", BLUE), arrow_head("orange", ORANGE), arrow_head("grey", GREY)]
    for row, name in ((318, "tokens"), (352, "segments"), (386, "positions")):
        body += [text(LEFT - 14, row + 18, name, GREY, 13, 500, "end")]
    for place, token in enumerate(TOKENS):
        x, segment = LEFT + STEP * place, int(place > 4)
        colour = ORANGE if token == "[MASK]" else BLUE
        body += [box(x, 318, STEP - 8, 26, colour, colour if token == "[MASK]" else "none", 0.2), text(x + 35, 336, token, colour, 13, 700)]
        body += [box(x, 352, STEP - 8, 26), text(x + 35, 370, str(segment), GREY, 13)]
        body += [box(x, 386, STEP - 8, 26), text(x + 35, 404, str(place), GREY, 13)]
        body += [arrow(x + 35, 314, 268)]
    width = STEP * len(TOKENS) - 8
    body += [box(LEFT, 170, width, 94, GREY, GREY, 0.08)]
    body += [text(LEFT + width / 2, 205, "blocks of attention and perceptron", GREY, 16, 700)]
    body += [text(LEFT + width / 2, 232, "every place looks at every other, in both directions", GREY, 14)]
    for place, token in enumerate(TOKENS):
        x = LEFT + STEP * place + 35
        if place == 0:
            body += [
                arrow(x, 166, 118, BLUE),
                text(x, 84, "does the second", BLUE, 13, 700),
                text(x, 102, "sentence follow?", BLUE, 13, 700),
            ]
            body += [text(x, 60, "yes, same person", GREY, 13)]
        elif token == "[MASK]":
            body += [arrow(x, 166, 118, ORANGE), text(x, 102, "which word was here?", ORANGE, 13, 700), text(x, 78, "soup", GREY, 13)]
        else:
            body += [arrow(x, 166, 146)]
    body += [text(LEFT + 560, 102, "no question here", GREY, 13)]
    return svg(LEFT + width + 12, 424, "BERT: two sentences in, two questions out", body)


if __name__ == "__main__":
    (HERE / "bert-pretraining.svg").write_text(whole(), encoding="utf-8")
