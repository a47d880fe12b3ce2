"""The threshold of a classifier: confusion matrix, ROC and precision-recall curve move with it, and with how rare positives are."""

import html
import math

import numpy as np

from dlcourse.interactive import interactive
from dlcourse.metrics import average_precision, roc_auc

LABEL = "Interactive figure: what the threshold of a classifier decides"
SIDE, LEFT, TOP = 180, 40, 14  # pixels of a curve's square, and what is left of it and above it
WIDTH, HEIGHT, MARGIN = 620, 112, 16  # of the row of scores
RARER = (1, 3, 10, 100)
MOST = 300


def show(scores, labels, threshold=0.0, names=("negative", "positive")):
    """Scores (N,) and labels 0, 1 of up to 300 examples; what scores `threshold` or more is called positive.

    The reader moves the threshold, and counts every negative 1, 3, 10 or 100 times, as if positives were that much rarer."""
    settings = read_settings(scores, labels, threshold, names)
    interactive("threshold", settings, picture(settings), describe(settings), LABEL)


def read_settings(scores, labels, threshold=0.0, names=("negative", "positive")):
    """What the script starts from, as JSON can hold it: scores rounded to two decimals, as more differ between processors."""
    scores = np.round(np.asarray(scores, np.float64).ravel(), 2) + 0.0
    labels = np.asarray(labels).ravel().astype(int)
    if not 2 <= len(scores) <= MOST or len(np.unique(labels)) != 2:
        raise ValueError(
            f"{len(scores)} examples of {len(np.unique(labels))} classes: the figure has room for 2 to {MOST} examples of two classes"
        )
    roc_auc(scores, labels)  # refuses lengths that differ, NaN, and labels other than 0 and 1
    return {
        "scores": scores.tolist(),
        "labels": labels.tolist(),
        "names": list(names),
        "place": int(np.count_nonzero(np.unique(scores) >= threshold)),
        "rarer": list(RARER),
    }


def thresholds(settings):
    """The different scores, falling: at place k the first k of them are called positive."""
    return sorted(set(settings["scores"]), reverse=True)


def counts(settings, place, times=1):
    """(TP, FP, FN, TN) at a place, each negative counted `times` times."""
    called = set(thresholds(settings)[:place])
    pairs = [(s in called, y) for s, y in zip(settings["scores"], settings["labels"], strict=True)]
    tp, fp, fn, tn = (pairs.count(pair) for pair in ((True, 1), (True, 0), (False, 1), (False, 0)))
    return tp, fp * times, fn, tn * times


def areas(settings, times=1):
    """(AUC, average precision), each negative counted `times` times."""
    repeat = [times if y == 0 else 1 for y in settings["labels"]]
    data = (np.repeat(settings[name], repeat) for name in ("scores", "labels"))
    scores, labels = data
    return roc_auc(scores, labels), average_precision(scores, labels)


def picture(settings):
    """Scores, table and curves as the script draws them."""
    place = settings["place"]
    rows = "".join(f"<div>{curve}</div>" for curve in curves(settings, place))
    return f'{strip(settings, place)}<div class="dl-plots">{rows}<div>{table(settings, place)}</div></div>'


def strip(settings, place):
    """The scores as marks, positives above, negatives below; those left of the line are called negative."""
    scores, labels, falling = settings["scores"], settings["labels"], thresholds(settings)
    low, high = falling[-1], falling[0]
    scale = (WIDTH - 2 * MARGIN) / ((high - low) or 1)
    called = set(falling[:place])
    marks = []
    for i, (s, y) in enumerate(zip(scores, labels, strict=True)):
        x, jitter = MARGIN + scale * (s - low), 4 * ((7 * i) % 5 - 2)
        kind = f"dl-{'positive' if y else 'negative'}{' dl-called' if s in called else ''}"
        if y:
            marks.append(f'<circle class="{kind}" cx="{tenth(x)}" cy="{30 + jitter}" r="4"/>')
        else:
            marks.append(
                f'<rect class="{kind}" x="{tenth(x - 3.5)}" y="{74 + jitter - 3.5}" width="7" height="7"/>'
            )
    x = MARGIN + scale * (falling[place - 1] - low) - 6 if place else WIDTH - 4
    line = f'<path class="dl-cut" d="M{tenth(x)} 4V100"/>'
    words = "".join(
        f'<text class="{kind}" x="{2 if kind == "dl-begin" else WIDTH - 2}" y="{HEIGHT - 1}">{word}</text>'
        for kind, word in (("dl-begin", "smaller score"), ("dl-end", "larger score"))
    )
    label = html.escape(sentence(settings, place, 1))
    return f'<svg class="dl-strip" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(marks)}{line}{words}</svg>'


def curves(settings, place, times=1):
    """The ROC and the precision-recall curve, each with the point of this place."""
    steps = [counts(settings, k, times) for k in range(len(thresholds(settings)) + 1)]
    positives, negatives = steps[0][2], steps[0][3]
    roc = [(fp / negatives, tp / positives) for tp, fp, _, _ in steps]
    shares = [(tp / positives, tp / (tp + fp)) for tp, fp, _, _ in steps[1:]]
    stairs, before = [], 0.0
    for recall, precision in shares:
        stairs += [(before, precision), (recall, precision)]
        before = recall
    base = positives / (positives + negatives)
    now = shares[place - 1] if place else (0.0, 1.0)
    area, average = areas(settings, times)
    return (
        square(
            roc,
            [(0, 0), (1, 1)],
            roc[place],
            ("false positive rate", "recall", f"ROC, area {hundredth(area)}"),
        ),
        square(
            stairs,
            [(0, base), (1, base)],
            now,
            ("recall", "precision", f"PR, average precision {hundredth(average)}"),
        ),
    )


def square(points, guess, now, words):
    """One curve in the unit square, the line of guessing dashed, the point of the present threshold."""

    def path(line):
        return "M" + "L".join(
            f"{tenth(LEFT + SIDE * x)} {tenth(TOP + SIDE * (1 - y))}" for x, y in line
        )

    across, up, title = words
    middle, bottom = LEFT + SIDE // 2, TOP + SIDE
    label = f"{title}; the point is at {across} {hundredth(now[0])}, {up} {hundredth(now[1])}."
    return (
        f'<svg class="dl-curve" viewBox="0 0 {LEFT + SIDE + 14} {bottom + 50}" role="img" aria-label="{label}">'
        f'<rect class="dl-box" x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>'
        f'<path class="dl-guess" d="{path(guess)}"/><path class="dl-line" d="{path(points)}"/>'
        f'<circle class="dl-now" cx="{tenth(LEFT + SIDE * now[0])}" cy="{tenth(TOP + SIDE * (1 - now[1]))}" r="6"/>'
        f'<text x="{middle}" y="{bottom + 19}">{across}</text>'
        f'<text x="{-(TOP + SIDE // 2)}" y="{LEFT - 22}" transform="rotate(-90)">{up}</text>'
        f'<text class="dl-title" x="{middle}" y="{bottom + 42}">{title}</text></svg>'
    )


def table(settings, place, times=1):
    """The confusion matrix."""
    tp, fp, fn, tn = counts(settings, place, times)
    negative, positive = (html.escape(name) for name in settings["names"])
    return (
        f"<table><thead><tr><td></td><th>called {negative}</th><th>called {positive}</th></tr></thead><tbody>"
        f'<tr><th>{negative}</th><td>{tn}</td><td class="dl-wrong">{fp}</td></tr>'
        f'<tr><th>{positive}</th><td class="dl-wrong">{fn}</td><td>{tp}</td></tr></tbody></table>'
    )


def sentence(settings, place, times):
    """What is said of a place, here and in the script."""
    tp, fp, fn, tn = counts(settings, place, times)
    where = f"Threshold {hundredth(thresholds(settings)[place - 1])}" if place else "No threshold"
    precision = hundredth(tp / (tp + fp)) if tp + fp else "0 / 0"
    f1 = hundredth(2 * tp / (2 * tp + fp + fn))
    return (
        f"{where}: {tp + fp} called {settings['names'][1]}. Accuracy {hundredth((tp + tn) / (tp + fp + fn + tn))}, precision {precision}, "
        f"recall {hundredth(tp / (tp + fn))}, false positive rate {hundredth(fp / (fp + tn))}, F1 {f1}."
    )


def hundredth(value):
    """Two decimals, halves up, as the script rounds; a true minus."""
    return f"{math.floor(100 * value + 0.5) / 100:.2f}".replace("-", "−")


def tenth(value):
    return f"{math.floor(10 * value + 0.5) / 10:g}"


def describe(settings):
    """The same as text, for front ends without HTML: some places from none to all."""
    last = len(thresholds(settings))
    places = sorted({0, last // 4, last // 2, settings["place"], 3 * last // 4, last})
    lines = [sentence(settings, place, 1) for place in places]
    area, average = areas(settings)
    return "\n".join(
        [
            "interactive figure: what the threshold of a classifier decides",
            f"area under the ROC curve {hundredth(area)}, average precision {hundredth(average)}",
            *lines,
        ]
    )
