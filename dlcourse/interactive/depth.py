"""Activations through depth: fifty random layers, whose activation, norm and weights the reader chooses."""

import math

import numpy as np

from dlcourse.interactive import interactive
from dlcourse.numpy import functional as f

LAYERS, WIDTH, EXAMPLES, LIMIT = 50, 64, 32, 12
ACTIVATIONS = {
    "linear": lambda z: (z, lambda dy: dy),
    "tanh": f.tanh,
    "relu": f.relu,
    "gelu": f.gelu,
}
NORMS = ("none", "batch", "layer", "rms")
GAINS = (0.25, 0.5, 1.0, 1.5, 2.0, 2.35, 3.0, 4.0)  # I Var(w)
LABEL = "Interactive figure: size of values and gradients in fifty random layers"
LEGEND = (
    '<p class="dl-legend"><span class="dl-blue">Blue: values.</span> '
    '<span class="dl-orange">Orange, dashed: gradients, which enter at the last layer.</span></p>'
)
START = {"activation": "relu", "norm": "none", "gain": 1.0}


def show(seed=0):
    """The figure, with every setting computed from the weights of one seed."""
    runs = {
        f"{activation} {norm} {gain:g}": through_depth(activation, norm, gain, seed)
        for activation in ACTIVATIONS
        for norm in NORMS
        for gain in GAINS
    }
    data = {
        "activations": list(ACTIVATIONS),
        "norms": NORMS,
        "gains": GAINS,
        "start": START,
        "runs": runs,
    }
    first = runs["{activation} {norm} {gain:g}".format(**START)]
    text = f"interactive figure: activations through depth\n{summary(first, **START)}"
    interactive("depth", data, picture(first) + LEGEND, text, LABEL)


def through_depth(activation, norm, gain, seed):
    """{"values", "gradients": log10 of the mean square at every layer, "alike": mean cosine between examples behind the last}.

    Rounded to one decimal (two for the cosine): more differ between processors."""
    rng = np.random.default_rng(seed)
    h, backs, values, gradients = rng.normal(size=(EXAMPLES, WIDTH)), [], [], []
    ones, zeros = np.ones(WIDTH), np.zeros(WIDTH)
    for _ in range(LAYERS):
        weight = rng.normal(0.0, math.sqrt(gain / WIDTH), (WIDTH, WIDTH))
        z = h @ weight.T
        backs.append(lambda dz, weight=weight: dz @ weight)
        if norm == "batch":
            z, back = f.batch_norm(z, ones, zeros, zeros.copy(), ones.copy(), training=True)
        elif norm == "layer":
            z, back = f.layer_norm(z, ones, zeros)
        elif norm == "rms":
            z, back = f.rms_norm(z, ones)
        if norm != "none":
            backs.append(lambda dz, back=back: back(dz)[0])
        h, back = ACTIVATIONS[activation](z)
        backs.append(back)
        values.append(_size(h))
    dh = rng.normal(size=h.shape)
    for i, back in enumerate(reversed(backs), start=1):
        dh = back(dh)
        if i % (len(backs) // LAYERS) == 0:
            gradients.append(_size(dh))
    unit = h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-300)
    alike = (np.sum(unit @ unit.T) - EXAMPLES) / (EXAMPLES * (EXAMPLES - 1))
    return {
        "values": values,
        "gradients": gradients[::-1],
        "alike": round(float(alike), 2) + 0.0,
    }


def _size(array):
    return round(math.log10(max(float(np.mean(array * array)), 1e-99)), 1) + 0.0


def path(sizes):
    """The curve as an SVG path, as depth.js draws it; it stays at the edge where it would leave the picture."""
    clipped = [min(max(size, -LIMIT), LIMIT) for size in sizes]
    points = [(60 + 560 * i / (LAYERS - 1), 140 - 10 * size) for i, size in enumerate(clipped)]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def picture(run):
    """The axes with the two curves."""
    ticks = "".join(
        f'<path class="dl-grid" d="M60 {140 - 10 * t}H620"/><text x="52" y="{145 - 10 * t}" class="dl-end">{power(t)}</text>'
        for t in (-12, -6, 0, 6, 12)
    )
    layers = "".join(
        f'<text x="{60 + 560 * (n - 1) / (LAYERS - 1):.1f}" y="282">{n}</text>'
        for n in (1, 10, 20, 30, 40, 50)
    )
    return (
        f'<svg class="dl-depth" viewBox="-28 -16 668 326" role="img" aria-label="{summary(run, **START)}">{ticks}{layers}'
        '<text x="340" y="305">layer</text><text x="60" y="2" class="dl-begin">mean square</text>'
        f'<path class="dl-values" d="{path(run["values"])}"/><path class="dl-gradients" d="{path(run["gradients"])}"/></svg>'
    )


def power(exponent):
    """10 to a whole power, as text."""
    return "10" + f"{exponent:d}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def summary(run, activation, norm, gain):
    """What the picture is called aloud; the script says the same."""
    last, first = (
        power(math.floor(size + 0.5)) for size in (run["values"][-1], run["gradients"][0])
    )
    return (
        f"Activation {activation}, norm {norm}, I Var(w) = {gain:g}. Mean square of the values behind the last layer about {last}, "
        f"of the gradients at the first layer about {first}. Mean cosine between two examples behind the last layer {run['alike']:.2f}."
    )
