"""Softmax under the reader's hands: logits, temperature, a shift of all logits, the true class, and what the loss says of it."""

import math

import numpy as np

from dlcourse.interactive import interactive
from dlcourse.numpy.functional import softmax

LABEL = (
    "Interactive figure: softmax of five logits at a temperature, with the loss and its gradient"
)
ROW, TOP, LEFT, WIDTH = (
    34,
    30,
    150,
    250,
)  # pixels of the drawing: a row, the head, where bars begin, a bar of 1
LIMITS = 8  # largest logit either way


def show(logits, true, temperature=1.0):
    """The softmax of {class: logit} at a temperature, where the class `true` is the right one; the reader changes everything."""
    settings = read_settings(logits, true, temperature)
    interactive("temperature", settings, picture(settings), describe(settings), LABEL)


def read_settings(logits, true, temperature):
    """What the script starts from, as JSON can hold it."""
    names, values = list(logits), [float(value) for value in logits.values()]
    if len(names) < 2 or not all(abs(value) <= LIMITS for value in values):
        raise ValueError(f"the figure draws at least two logits between -{LIMITS} and {LIMITS}")
    if true not in logits:
        raise ValueError(f"unknown class {true!r}: choose one of {', '.join(names)}")
    if not 0.1 <= temperature <= 10:
        raise ValueError(f"temperature={temperature}: the slider runs from 0.1 to 10")
    return {"names": names, "logits": values, "true": names.index(true), "temperature": temperature}


def compute(settings):
    """(probabilities, gradient of the loss with respect to the logits, loss, entropy), eq-temperature with the package's softmax."""
    tau, true = settings["temperature"], settings["true"]
    z = np.array(settings["logits"]) / tau
    p, _ = softmax(z)
    log_p = z - z.max() - math.log(np.exp(z - z.max()).sum())
    gradient = (p - np.eye(len(p))[true]) / tau
    return p, gradient, -log_p[true], -float((p * log_p).sum())


def picture(settings):
    """The bars as the script draws them, and the sentence below."""
    p, gradient, *_ = compute(settings)
    best = settings["names"][int(p.argmax())]
    title = f"A bar for each of {len(p)} classes; the longest is {best}, {number(p.max())}."
    rows = [
        head(100, "logit", "end"),
        head(LEFT, "probability", "start"),
        head(540, "gradient", "end"),
    ]
    for i, name in enumerate(settings["names"]):
        rows.append(bar(i, name, settings["logits"][i], p[i], gradient[i], i == settings["true"]))
    box = f"0 0 550 {TOP + ROW * len(p) + 6}"
    svg = f'<svg viewBox="{box}" role="img" aria-label="{title}">{"".join(rows)}</svg>'
    return f'<div class="dl-bars">{svg}</div>\n<p class="dl-sentence">{sentence(settings)}</p>'


def head(x, words, anchor):
    return f'<text class="dl-{anchor}" x="{x}" y="18">{words}</text>'


def bar(row, name, logit, p, gradient, true):
    y = TOP + ROW * row
    kind = "dl-row dl-true" if true else "dl-row"
    return (
        f'<g class="{kind}"><text class="dl-start" x="4" y="{y + 20}">{name}</text>'
        f'<text class="dl-end" x="100" y="{y + 20}">{number(logit, 1)}</text>'
        f'<rect x="{LEFT}" y="{y + 3}" width="{pixels(p)}" height="{ROW - 10}"/>'
        f'<text class="dl-start dl-value" x="{LEFT + pixels(p) + 6}" y="{y + 20}">{number(p)}</text>'
        f'<text class="dl-end dl-gradient" x="540" y="{y + 20}">{number(gradient)}</text></g>'
    )


def sentence(settings):
    """Loss, entropy and perplexity in words."""
    _, _, loss, entropy = compute(settings)
    return (
        f"Loss {number(loss)}. Entropy {number(entropy)}: as unsure as among "
        f"{number(math.exp(entropy), 1)} equally likely classes."
    )


def pixels(p):
    return math.floor(WIDTH * p + 0.5)


def number(value, digits=3):
    """So many digits behind the point, with a true minus."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def describe(settings):
    """The same as text, for front ends without HTML."""
    p, gradient, *_ = compute(settings)
    rows = [
        f"{name:8} {number(z, 1):>5} {number(a):>6} {number(d):>7}"
        for name, z, a, d in zip(settings["names"], settings["logits"], p, gradient, strict=True)
    ]
    title = f"interactive figure: softmax at temperature {settings['temperature']:g}"
    true = settings["names"][settings["true"]]
    return "\n".join(
        [title, "class    logit      p gradient", *rows, f"true class {true}", sentence(settings)]
    )
