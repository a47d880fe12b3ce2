"""An attention map: which tokens each token looks at, head by head; query, sharpness and mask under the reader's hands."""

import html

import numpy as np

from dlcourse.interactive import interactive
from dlcourse.numpy.functional import softmax

LABEL = "Interactive figure: which tokens a token looks at"
STEP, LEFT, BAR = 58, 34, 74  # pixels of the drawing
TOP, BOTTOM, HEIGHT = 112, 216, 232
SHARPNESS = (0, 0.25, 0.5, 1, 2, 4)
LONGEST = 12


def show(tokens, scores, query=None, causal=True):
    """The heads {name: scores (T, T)} over these tokens; the weights are the softmax of sharpness times score (eq-attention).

    `query` is the position that looks at first, the last without it."""
    settings = read_settings(tokens, scores, query, causal)
    picture = draw(settings)
    interactive("heads", settings, picture, describe(settings), LABEL)


def read_settings(tokens, scores, query=None, causal=True):
    """What the script starts from, as JSON can hold it: scores below the largest of their row (eq-softmax-shift), rounded to two
    decimals, as more differ between processors."""
    tokens, length = [str(token) for token in tokens], len(tokens)
    if not 2 <= length <= LONGEST:
        raise ValueError(f"{length} tokens: the figure has room for 2 to {LONGEST}")
    if not scores:
        raise ValueError("there is no head: pass {name: scores (T, T)}")
    for name, array in scores.items():
        if np.shape(array) != (length, length):
            raise ValueError(
                f"head {name!r} has scores {np.shape(array)}, but there are {length} tokens: pass ({length}, {length})"
            )
    query = length - 1 if query is None else query
    if not 0 <= query < length:
        raise ValueError(f"query {query} is no position: choose 0 to {length - 1}")
    return {
        "tokens": tokens,
        "order": list(scores),  # JSON sorts the names of an object
        "heads": {
            name: (np.round(s - np.max(s, axis=1, keepdims=True), 2) + 0.0).tolist()
            for name, s in scores.items()
        },
        "sharpness": SHARPNESS,
        "query": query,
        "causal": bool(causal),
    }


def weights(settings, head=None, query=None, sharpness=1.0):
    """The weights (T,) with which a query looks at the tokens."""
    head = next(iter(settings["heads"])) if head is None else head
    query = settings["query"] if query is None else query
    row = sharpness * np.array(settings["heads"][head][query])
    seen = query + 1 if settings["causal"] else len(row)
    return np.concatenate([softmax(row[:seen])[0], np.zeros(len(row) - seen)])


def draw(settings):
    """Bars of the weights over the tokens, and lines from the query, as the script draws them."""
    tokens, query, a = settings["tokens"], settings["query"], weights(settings)
    parts = []
    for j, weight in enumerate(a):
        hidden = " dl-hidden" if settings["causal"] and j > query else ""
        if not hidden:
            parts.append(
                f'<line class="dl-look" x1="{at(query)}" y1="{BOTTOM - 18}" x2="{at(j)}" y2="{TOP + 10}" stroke-opacity="{weight:.2f}"/>'
            )
        height = int(BAR * weight + 0.5)
        parts.append(
            f'<rect class="dl-column" x="{at(j) - 13}" y="{TOP - 20 - height}" width="26" height="{height}"/>'
            f'<text class="dl-weight{hidden}" x="{at(j)}" y="{TOP - 24 - height}">{"" if hidden else f"{weight:.2f}"}</text>'
        )
    for j, token in enumerate(tokens):
        word = html.escape(token)
        hidden = " dl-hidden" if settings["causal"] and j > query else ""
        chosen = " dl-chosen" if j == query else ""
        parts.append(f'<text class="dl-token{hidden}" x="{at(j)}" y="{TOP}">{word}</text>')
        parts.append(
            f'<g class="dl-query{chosen}" data-query="{j}"><rect x="{at(j) - 24}" y="{BOTTOM - 18}" width="48" height="26" rx="5"/>'
            f'<text class="dl-token" x="{at(j)}" y="{BOTTOM}">{word}</text></g>'
        )
    width = 2 * LEFT + STEP * (len(tokens) - 1)
    label = html.escape(sentence(settings, a))
    return f'<svg class="dl-heads" viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def at(position):
    return LEFT + STEP * position


def sentence(settings, a):
    """What the picture is called aloud; the script says the same."""
    tokens, query = settings["tokens"], settings["query"]
    order = sorted(range(len(a)), key=lambda j: (-round(float(a[j]), 2), j))[:3]
    most = ", ".join(f"{tokens[j]} (position {j + 1}) {a[j]:.2f}" for j in order if a[j] >= 0.005)
    return f"Head {next(iter(settings['heads']))}: {tokens[query]} at position {query + 1} looks most at {most}."


def describe(settings):
    """The same as text, for front ends without HTML: the token that each query of each head looks at most."""
    tokens = settings["tokens"]
    lines = ["interactive figure: an attention map", "tokens: " + " ".join(tokens)]
    for head in settings["heads"]:
        most = [int(weights(settings, head, i).round(2).argmax()) for i in range(len(tokens))]
        lines.append(f"{head}: " + " ".join(tokens[j] for j in most))
    return "\n".join(lines)
