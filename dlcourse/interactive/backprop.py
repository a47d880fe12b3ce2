"""Back-propagation by hand: a network 2-2-1 with ReLU whose weights, inputs and target the reader moves."""

import re
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from dlcourse.interactive import FOLDER, interactive
from dlcourse.numpy import functional as f

XOR = ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0))  # x1, x2, target
LABEL = "Interactive figure: values and gradients in a network with two inputs, two hidden units and one output"
LEGEND = (
    '<p class="dl-legend"><span class="dl-blue">Blue: values, from left to right.</span> '
    '<span class="dl-orange">Orange: gradients, from right to left.</span></p>'
)
SHAPES = {
    "layers.0.weight": (2, 2),
    "layers.0.bias": (2,),
    "layers.1.weight": (1, 2),
    "layers.1.bias": (1,),
}


def show(model, x, target, points=XOR, selected="v2"):
    """The network of `model` (a NumPy MLP 2-2-1 with ReLU) at the example x (2 numbers) with its target.

    points: the examples among which the reader chooses, and over which the mean loss is taken; selected: whose slope is drawn first."""
    settings = read_settings(model, x, target)
    values = forward_backward(settings)
    data = {
        "settings": settings,
        "points": [list(map(float, point)) for point in points],
        "selected": selected,
    }
    interactive("backprop", data, picture(values) + LEGEND, describe(values), LABEL)


def read_settings(model, x, target):
    """The numbers that the reader can move, by name. Rounded to 4 digits: more differ between processors."""
    state = model.state()
    shapes = {name: np.shape(array) for name, array in state.items()}
    if shapes != SHAPES or model.config.activation != "relu":
        raise ValueError(
            "the figure draws a network 2-2-1 with ReLU: build it with MLPConfig(inputs=2, hidden=(2,), outputs=1)"
        )
    numbers = np.concatenate(
        [np.ravel(state[name]) for name in SHAPES] + [np.ravel(x), np.ravel(target)]
    )
    names = "w11 w12 w21 w22 b1 b2 v1 v2 c x1 x2 t".split()
    return {name: float(f"{number:.4g}") for name, number in zip(names, numbers, strict=True)}


def forward_backward(settings):
    """Every value and every gradient (its name with a d before it), by the package's own functions."""
    s = {name: float(number) for name, number in settings.items()}  # a page writes 1.0 as 1
    w, b = np.array([[s["w11"], s["w12"]], [s["w21"], s["w22"]]]), np.array([s["b1"], s["b2"]])
    v, c = np.array([[s["v1"], s["v2"]]]), np.array([s["c"]])
    z, hidden_back = f.linear(np.array([[s["x1"], s["x2"]]]), w, b)
    h, relu_back = f.relu(z)
    y, output_back = f.linear(h, v, c)
    loss, loss_back = f.mse_loss(y, np.array([[s["t"]]]))
    dy = loss_back()
    dh, dv, dc = output_back(dy)
    dz = relu_back(dh)
    dx, dw, db = hidden_back(dz)
    found = dict(s) | {"L": float(loss), "dt": -dy.item()}  # the loss sees y - t
    for name, array in {"z": z, "h": h, "dh": dh, "dz": dz, "dx": dx, "db": db, "dv": dv}.items():
        found[f"{name}1"], found[f"{name}2"] = map(float, np.ravel(array))
    for (row, column), value in np.ndenumerate(dw):
        found[f"dw{row + 1}{column + 1}"] = float(value)
    return found | {"y": y.item(), "dy": dy.item(), "dc": float(np.ravel(dc)[0])}


def picture(values):
    """backprop.svg with the numbers filled in, as the script does it when something moves."""
    svg = (FOLDER / "backprop.svg").read_text(encoding="utf-8")
    svg = re.sub(r'data-value="(\w+)">', lambda found: found[0] + short(values[found[1]]), svg)
    off = {unit for unit in "12" if not values[f"z{unit}"] > 0}
    svg = re.sub(
        r'data-unit="([12])"',
        lambda found: found[0] + (' data-off=""' if found[1] in off else ""),
        svg,
    )
    return svg.replace("DESCRIPTION", summary(values))


def summary(values):
    """What the picture is called aloud; the script says the same."""
    n = {name: short(value) for name, value in values.items()}
    return (
        f"Inputs {n['x1']} and {n['x2']}, hidden units {n['h1']} and {n['h2']}, output {n['y']}, target {n['t']}, loss {n['L']}. "
        f"Gradients: dy = {n['dy']}, dh₁ = {n['dh1']}, dh₂ = {n['dh2']}."
    )


def describe(values):
    """The same numbers as text, for front ends without HTML."""
    n = {name: short(value).replace("−", "-") for name, value in values.items()}
    rows = [
        ("example", "x1 x2 t"),
        ("forward", "z1 z2 h1 h2 y L"),
        ("backward", "dy dc dv1 dv2 dh1 dh2 dz1 dz2"),
        ("", "db1 db2 dw11 dw12 dw21 dw22"),
    ]
    lines = [
        f"{title:10}" + "  ".join(f"{name} = {n[name]}" for name in names.split())
        for title, names in rows
    ]
    return "\n".join(["interactive figure: back-propagation by hand", *lines])


def short(value):
    """At most two decimals, like `short` in backprop.js: 0.25, −2, 3e−5."""
    size = abs(value)
    if size and (size < 0.01 or size >= 10_000):
        text = re.sub(r"e\+?(-?)0*", r"e\1", f"{value:.0e}")
    else:
        text = f"{Decimal(value).quantize(Decimal('0.01' if size < 100 else '1'), ROUND_HALF_UP):f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.replace("-", "−") if text != "-0" else "0"
