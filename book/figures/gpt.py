"""Draws the two diagrams of the chapter on GPT: `python book/figures/gpt.py`."""

from draw import BLUE, FONT, GREY, HERE, ORANGE, arrow_head, svg

WORDS = ("the", "dog", "near", "the", "cats", "barks", ".")


def text(x, y, content, colour=GREY, size=14, anchor="middle", weight=500):
    return f"<text x='{x}' y='{y}' fill='{colour}' {FONT} font-size='{size}' font-weight='{weight}' text-anchor='{anchor}'>{content}</text>"


def box(x, y, width, height, colour, opacity=0.0):
    return f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='6' fill='{colour}' fill-opacity='{opacity}' stroke='{colour}' stroke-width='1.6'/>"


def arrow(x1, y1, x2, y2, colour=BLUE, head="forward", width=2.0, opacity=1.0):
    line = f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' stroke-width='{width}'"
    return f"{line} stroke-opacity='{opacity}' marker-end='url(#{head})'/>"


def shift():
    """One text, six questions: inputs below, what each position may see, targets above, moved by one."""
    body = [arrow_head("forward", BLUE), arrow_head("target", ORANGE)]
    left, step, count = 130, 96, len(WORDS) - 1
    for t in range(count):
        x = left + step * t
        body += [box(x, 210, 76, 34, BLUE, 0.12), text(x + 38, 232, WORDS[t], BLUE, 15, weight=700)]
        body += [box(x, 20, 76, 34, ORANGE, 0.12), text(x + 38, 42, WORDS[t + 1], ORANGE, 15, weight=700)]
        body += [box(x, 112, 76, 34, GREY), text(x + 38, 134, f"p(· | {t + 1})", GREY, 13)]
        body.append(arrow(x + 38, 108, x + 38, 60, ORANGE, "target"))
        for s in range(t + 1):  # each position looks at itself and at what came before
            body.append(arrow(left + step * s + 38, 206, x + 38, 150, BLUE, "forward", 1.4, 1.0 if s == t else 0.4))
    for y, name, colour in ((42, "targets y", ORANGE), (134, "prediction", GREY), (232, "inputs x", BLUE)):
        body.append(text(118, y, name, colour, 14, "end", 700))
    body.append(text(left + step * count / 2 - 10, 272, "position t sees tokens 1 … t, and is asked for token t + 1", GREY, 13))
    return svg(724, 286, "A text of seven tokens gives six questions: each position predicts the token after it", body)


def loop():
    """Generation: the model runs once for each new token, and the cache holds what it has read."""
    body = [arrow_head("forward", BLUE), arrow_head("target", ORANGE)]
    steps = ((20, "tokens so far", BLUE), (196, "GPT", BLUE), (372, "logits z", GREY), (548, "p = softmax(z / τ)", GREY))
    for x, name, colour in steps:
        body += [box(x, 60, 146, 52, colour, 0.12 if colour == BLUE else 0.0), text(x + 73, 91, name, colour, 13, weight=700)]
    for x in (170, 346, 522):
        body.append(arrow(x, 86, x + 22, 86))
    body += [
        box(548, 164, 146, 52, ORANGE, 0.12),
        text(621, 187, "draw one token", ORANGE, 14, weight=700),
        text(621, 206, "after top-k, top-p", ORANGE, 12),
    ]
    body.append(arrow(621, 116, 621, 158, GREY, "target"))
    body += [f"<path d='M544,190 H93 V120' fill='none' stroke='{ORANGE}' stroke-width='2' marker-end='url(#target)'/>"]
    body += [text(318, 181, "append it, and begin again", ORANGE, 13)]
    body += [box(196, 8, 146, 30, GREY), text(269, 28, "keys and values", GREY, 13), arrow(269, 40, 269, 58, GREY, "forward", 1.6)]
    return svg(714, 230, "Generation is a loop: the model predicts, one token is drawn and appended, and the model runs again", body)


if __name__ == "__main__":
    for name, content in {"gpt-shift": shift(), "gpt-loop": loop()}.items():
        (HERE / f"{name}.svg").write_text(content, encoding="utf-8")
