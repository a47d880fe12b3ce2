"""One curve through a few points, a sum of as many cosines as the reader chooses, with a penalty of any size.

Every setting is computed when the figure is made: few numbers, rounded, so that every processor gives the same."""

import math

import numpy as np

from dlcourse import regression
from dlcourse.interactive import interactive

N, SEED = 16, 1
SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 15, 16, 17, 18, 20, 24, 32, 48, 80, 150, 300)
PENALTIES = ("0", "1e-05", "1e-04", "1e-03", "1e-02", "1e-01")
START = {"size": 16, "penalty": "0"}
GRID = np.linspace(-1.0, 1.0, 121)
HIGHEST, TOP, BOTTOM = 2.5, 3.5, -2.0  # of the curve; of the error, powers of ten
LABEL = "Interactive figure: a curve through sixteen points, the more cosines the freer"
LEGEND = (
    '<p class="dl-legend"><span>Dots: the training points. Grey, dashed: the truth.</span> '
    '<span class="dl-blue">Blue: the fitted curve.</span> '
    '<span class="dl-orange">Orange: its error away from the points.</span></p>'
)


def truth(x):
    return np.sin(4.0 * x) + x / 2.0


def points():
    """The training set: x (N,), targets (N,)."""
    rng = np.random.default_rng(SEED)
    x = np.sort(rng.uniform(-1.0, 1.0, N))
    return x, truth(x) + 0.3 * rng.normal(size=N)


def features(x, size):
    """cos(k (x + 1) pi / 2) / (1 + k) for k = 0, 1, ..., the higher the smaller: (len(x), size)."""
    k = np.arange(size)
    return np.cos(k * (x[:, None] + 1.0) * math.pi / 2.0) / (1.0 + k)


def fit(size, penalty):
    """{"curve": hundredths of its values on GRID, "train", "test": mean squared errors as text, "height": hundredths of log10 of the latter}."""
    x, targets = points()
    w = regression.ridge(features(x, size), targets, float(penalty))
    curve = features(GRID, size) @ w
    train = np.mean((features(x, size) @ w - targets) ** 2)
    test = np.mean((curve - truth(GRID)) ** 2)
    return {
        "curve": _hundredths(np.clip(curve, -9.0, 9.0)),
        "train": shown(train),
        "test": shown(test),
        "height": int(np.round(100 * min(max(math.log10(test), BOTTOM), TOP))),
    }


def shown(error):
    """An error as text: three digits behind the point, whole numbers from ten on."""
    return f"{error:.0f}" if error >= 9.9995 else f"{error:.3f}"


def _hundredths(values):
    return np.round(100 * values).astype(int).tolist()


def show():
    """The figure, with every curve computed."""
    x, targets = points()
    data = {
        "sizes": SIZES,
        "penalties": PENALTIES,
        "start": START,
        "points": len(x),
        "runs": {f"{size} {p}": fit(size, p) for size in SIZES for p in PENALTIES},
    }
    start = data["runs"][f"{START['size']} {START['penalty']}"]
    text = f"interactive figure: a curve through {N} points\n{summary(start, **START)}"
    interactive("capacity", data, picture(data["runs"], x, targets) + LEGEND, text, LABEL)


def place(x, y):
    """Where a point of the curve lies in the left picture; what is too high or too low stays at the edge."""
    return 170 + 140 * x, 160 - 56 * min(max(y, -HIGHEST), HIGHEST)


def error_place(size, height):
    """Where an error lies in the right picture: number of cosines, hundredths of log10."""
    return 400 + 280 * math.log(size) / math.log(SIZES[-1]), 20 + 0.5 * (100 * TOP - height)


def path(run):
    """The fitted curve as an SVG path."""
    return _path(place(x, y / 100) for x, y in zip(GRID, run["curve"], strict=True))


def error_path(runs, penalty):
    """The errors of all sizes with one penalty as an SVG path."""
    return _path(error_place(size, runs[f"{size} {penalty}"]["height"]) for size in SIZES)


def _path(places):
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def picture(runs, x, targets):
    """Both pictures with the setting of the start, as the script draws them."""
    start = runs[f"{START['size']} {START['penalty']}"]
    dots = "".join(
        f'<circle class="dl-point" r="4" cx="{a:.1f}" cy="{b:.1f}"/>'
        for a, b in (place(*pair) for pair in zip(x, targets, strict=True))
    )
    rows = "".join(
        f'<path class="dl-grid" d="M400 {error_place(1, 100 * t)[1]:.1f}H680"/>'
        f'<text x="392" y="{error_place(1, 100 * t)[1] + 5:.1f}" class="dl-end">{10.0**t:g}</text>'
        for t in (-2, -1, 0, 1, 2, 3)
    )
    ticks = "".join(
        f'<text x="{error_place(size, 0)[0]:.1f}" y="322">{size}</text>'
        for size in (1, 4, N, 80, 300)
    )
    at, height = error_place(START["size"], start["height"])
    limit = error_place(N, 0)[0]
    true = _path(place(a, b) for a, b in zip(GRID, truth(GRID), strict=True))
    return (
        f'<svg class="dl-capacity" viewBox="0 0 700 350" role="img" aria-label="{summary(start, **START)}">'
        f'<path class="dl-frame" d="M30 20H310V300H30Z"/><path class="dl-true" d="{true}"/>{dots}'
        f'<path class="dl-fit" d="{path(start)}"/>{rows}{ticks}<path class="dl-limit" d="M{limit:.1f} 20V300"/>'
        f'<path class="dl-bare" d="{error_path(runs, PENALTIES[0])}"/><path class="dl-errors" d="{error_path(runs, START["penalty"])}"/>'
        f'<circle class="dl-here" r="6" cx="{at:.1f}" cy="{height:.1f}"/>'
        '<text x="170" y="342">x</text><text x="540" y="345">cosines</text><text x="400" y="12" class="dl-begin">test error</text></svg>'
    )


def summary(run, size, penalty):
    """What the picture is called aloud; the script says the same."""
    where = (
        "fewer cosines than points"
        if size < N
        else "as many cosines as points"
        if size == N
        else "more cosines than points"
    )
    return (
        f"{N} points, {size} cosine{'s' if size > 1 else ''}, penalty {penalty}: {where}. "
        f"Training error {run['train']}, test error {run['test']}."
    )
