"""Paths of optimizers over a loss surface: optimizer, learning rate, momentum and start under the reader's hands."""

import math

import numpy as np

from dlcourse.interactive import interactive
from dlcourse.numpy import SGD, Adam, Lion, RMSProp
from dlcourse.numpy.module import Module, Parameter

LABEL = "Interactive figure: the path of an optimizer over a loss surface"
STEPS, FAR = 60, 100.0  # a path that goes further out than this has left for good
WIDTH, HEIGHT, UNIT = (
    640,
    400,
    80,
)  # pixels of the picture and of one unit; the origin is in the middle
RATES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.09, 0.11, 0.2, 0.5, 1.0)
MOMENTA = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
OPTIMIZERS = {
    "gradient descent": lambda point, momentum: SGD(point),
    "momentum": lambda point, momentum: SGD(point, momentum),
    "Nesterov": lambda point, momentum: SGD(point, momentum, nesterov=momentum > 0),
    "RMSProp": lambda point, momentum: RMSProp(point),
    "Adam": lambda point, momentum: Adam(point, (momentum, 0.999)),
    "Lion": lambda point, momentum: Lion(point, (momentum, 0.99)),
}
WITHOUT_MOMENTUM = ("gradient descent", "RMSProp")
START = {
    "surface": "valley",
    "optimizer": "gradient descent",
    "lr": 0.09,
    "momentum": 0.9,
    "start": (-3.0, 1.5),
}


class Point(Module):
    """A model of two parameters."""

    def __init__(self, start):
        self.w = Parameter(2, np.float64)
        self.w.data[...] = start


def valley(x, y):
    """(x^2 + 20 y^2) / 2: curvatures 1 and 20 along the axes -> (loss, gradient)"""
    return (x * x + 20.0 * y * y) / 2.0, (x, 20.0 * y)


def turned_valley(x, y):
    """The valley turned by 45 degrees: the same curvatures, between the axes -> (loss, gradient)"""
    loss = (10.5 * x * x - 19.0 * x * y + 10.5 * y * y) / 2.0
    return loss, (10.5 * x - 9.5 * y, 10.5 * y - 9.5 * x)


def two_minima(x, y):
    """(x^2 - 4)^2 / 16 + 0.3 x + 2 y^2 less its least value: the minimum on the left is the lower one -> (loss, gradient)"""
    loss = (x * x - 4.0) * (x * x - 4.0) / 16.0 + 0.3 * x + 2.0 * y * y + LOWEST
    return loss, (x * (x * x - 4.0) / 4.0 + 0.3, 4.0 * y)


LOWEST = 0.621  # the lower minimum without it is -0.62102
SURFACES = {"valley": valley, "turned valley": turned_valley, "two minima": two_minima}


def show(**settings):
    """The path of one optimizer; `settings` replaces some of START, and the reader changes everything."""
    settings = read_settings(START | settings)
    data = settings | {
        "surfaces": list(SURFACES),
        "contours": {name: contours(name) for name in SURFACES},
        "optimizers": list(OPTIMIZERS),
        "without": WITHOUT_MOMENTUM,
        "rates": RATES,
        "momenta": MOMENTA,
    }
    text = f"interactive figure: paths of optimizers\n{summary(settings)}"
    interactive("paths", data, picture(settings), text, LABEL)


def read_settings(settings):
    """The settings as JSON can hold them. Raises ValueError for one that the figure does not offer."""
    for name, offered in (
        ("surface", list(SURFACES)),
        ("optimizer", list(OPTIMIZERS)),
        ("lr", RATES),
        ("momentum", MOMENTA),
    ):
        if settings[name] not in offered:
            raise ValueError(
                f"{name}={settings[name]!r}: choose one of {', '.join(map(str, offered))}"
            )
    if set(settings) != set(START):
        raise ValueError(f"the settings are {', '.join(START)}")
    return settings | {"start": [float(x) for x in settings["start"]]}


def trace(settings):
    """The points (2,) from the start on, by the package's own optimizers; it ends early where a step leads far out."""
    point = Point(settings["start"])
    optimizer = OPTIMIZERS[settings["optimizer"]](point, settings["momentum"])
    points = [point.w.data.copy()]
    while len(points) <= STEPS and np.abs(points[-1]).max() < FAR:
        point.w.grad[...] = SURFACES[settings["surface"]](*point.w.data)[1]
        optimizer.step(settings["lr"])
        points.append(point.w.data.copy())
    return points


def rounded(value, digits=1):
    """Half up, as the script rounds, without a negative zero."""
    scale = 10.0**digits
    return math.floor(value * scale + 0.5) / scale + 0.0


def path(points):
    """The points as an SVG path."""
    places = [(WIDTH / 2 + UNIT * x, HEIGHT / 2 - UNIT * y) for x, y in points]
    return "M" + "L".join(f"{rounded(x):g} {rounded(y):g}" for x, y in places)


def contours(surface):
    """SVG paths of some level lines, each loss about 2.5 times the one before."""
    angles = np.linspace(0.0, 2.0 * np.pi, 61)
    found = []
    for level in 0.08 * 2.5 ** np.arange(8):
        if surface == "two minima":
            x = np.linspace(-4.0, 4.0, 161)
            y = np.sqrt(np.maximum(level - two_minima(x, 0.0)[0], 0.0) / 2.0)
            inside = np.flatnonzero(y > 0)
            for part in np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1):
                upper = [(x[i], y[i]) for i in part]
                lower = [(x[i], -y[i]) for i in part[::-1]]
                found.append(path([*upper, *lower]) + "Z")
            continue
        u = math.sqrt(2.0 * level) * np.cos(angles)
        v = math.sqrt(2.0 * level / 20.0) * np.sin(angles)
        half = math.sqrt(0.5)
        points = (u, v) if surface == "valley" else (half * (u - v), half * (u + v))
        found.append(path(zip(*points, strict=True)))
    return found


def picture(settings):
    """Level lines, path, start and end, as the script draws them."""
    points = trace(settings)
    lines = "".join(
        f'<path class="dl-level" d="{line}"/>' for line in contours(settings["surface"])
    )
    marks = "".join(
        f'<circle class="dl-{name}" cx="{rounded(WIDTH / 2 + UNIT * x):g}" cy="{rounded(HEIGHT / 2 - UNIT * y):g}" r="{r}"/>'
        for name, (x, y), r in (("start", points[0], 7), ("end", points[-1], 5))
    )
    return (
        f'<svg class="dl-paths" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{summary(settings)}">'
        f'<g class="dl-levels">{lines}</g><path class="dl-kept" d=""/><path class="dl-path" d="{path(points)}"/>'
        f'<g class="dl-dots">{dots(points)}</g>{marks}</svg>'
    )


def dots(points):
    """A dot at every step."""
    return "".join(
        f'<circle cx="{rounded(WIDTH / 2 + UNIT * x):g}" cy="{rounded(HEIGHT / 2 - UNIT * y):g}" r="2.4"/>'
        for x, y in points
    )


def summary(settings):
    """What the picture is called aloud; the script says the same."""
    points, surface = trace(settings), SURFACES[settings["surface"]]
    losses = [surface(*point)[0] for point in points]
    high = max(i for i, loss in enumerate(losses) if loss >= losses[0] / 100.0)
    if np.abs(points[-1]).max() >= FAR:
        end = f"It flies away: far outside after {len(points) - 1} steps."
    elif high == STEPS:
        end = f"After {STEPS} steps the loss is above a hundredth of the first."
    else:
        end = f"From step {high + 1} on the loss is below a hundredth of the first."
    x, y = (f"{rounded(value, 2):g}".replace("-", "−") for value in settings["start"])
    optimizer, momentum = settings["optimizer"], f", momentum {settings['momentum']:g}"
    if optimizer in WITHOUT_MOMENTUM:
        momentum = ""
    start = f"{settings['surface']}, {optimizer}, learning rate {settings['lr']:g}{momentum}"
    return f"{start[0].upper()}{start[1:]}, from ({x}, {y}). {end}"
