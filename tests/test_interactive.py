"""Interactive figures as HTML: the same every time, closed in itself, with a picture for readers without scripts."""

import html.parser
import json
import re

import numpy as np
import pytest

from dlcourse.config import MLPConfig
from dlcourse.interactive import FOLDER, backprop, interactive, island, page
from dlcourse.numpy import MLP
from dlcourse.numpy import functional as f
from tests.figures import displayed
from tools.lint import FLOAT, SIGNIFICANT_DIGITS, VOLATILE

PICTURE = '<svg role="img" aria-label="a picture of a network"></svg>'


def by_hand(v2=-1.0):
    """The network of the worked example."""
    model = MLP(MLPConfig(inputs=2, hidden=(2,), outputs=1))
    w, b, v, c = np.ones((2, 2)), np.array([0.0, -1.0]), np.array([[1.0, v2]]), np.zeros(1)
    model.load_state({"layers.0.weight": w, "layers.0.bias": b, "layers.1.weight": v, "layers.1.bias": c})
    return model


@pytest.fixture(scope="module")
def output():
    first, second = displayed(
        lambda: backprop.show(by_hand(), [1, 1], 0),
        lambda: backprop.show(by_hand(), np.array([[1.0, 1.0]]), np.array([[0.0]])),  # as the chapter has them
    )
    assert first == second
    return first


def test_one_output_of_html_and_text(output):
    assert set(output) == {"text/html", "text/plain"}


def test_text_says_the_numbers(output):
    assert output["text/plain"].splitlines() == [
        "interactive figure: back-propagation by hand",
        "example   x1 = 1  x2 = 1  t = 0",
        "forward   z1 = 2  z2 = 1  h1 = 2  h2 = 1  y = 1  L = 1",
        "backward  dy = 2  dc = 2  dv1 = 4  dv2 = 2  dh1 = 2  dh2 = -2  dz1 = 2  dz2 = -2",
        "          db1 = 2  db2 = -2  dw11 = 2  dw12 = 2  dw21 = -2  dw22 = -2",
    ]


class Elements(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.data, self.attributes = [], [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self.open:
            self.data.setdefault(self.open[-1], []).append(data)


def test_html_is_closed_in_itself(output):
    found = Elements(output["text/html"])
    assert found.open == []
    assert found.tags.count("script") == 2 and found.tags.count("style") == 1
    assert not {"link", "img", "iframe", "object"} & set(found.tags)
    assert not {"src", "href", "id"} & {name for name, _ in found.attributes}  # no file, and two copies share no id
    text = output["text/html"].replace('xmlns="http://www.w3.org/2000/svg"', "").replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import|fetch\(|import\(|XMLHttpRequest|localStorage", text)
    json.loads(found.data["script"][0])


def rules(sheet):
    """{selector: its declarations} of a style sheet."""
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"([^{}]+)\{([^{}]*)\}", text)
    return {selector.strip(): {line.strip() for line in body.split(";")} - {""} for selector, body in found}


def test_a_figure_s_own_sheet_says_only_what_differs():
    common = rules(FOLDER / "frame.css")
    for sheet in FOLDER.glob("*.css"):
        if sheet.name != "frame.css":
            repeated = {selector: own & common.get(selector, set()) for selector, own in rules(sheet).items()}
            assert not any(repeated.values()), (sheet.name, repeated)


def test_picture_stands_without_the_script(output):
    """Numbers and description are in the HTML; controls are not, because they would do nothing."""
    without = re.sub(r"<(script|style).*?</\1>", "", output["text/html"], flags=re.DOTALL)
    assert 'role="img"' in without and "loss 1. Gradients: dy = 2, dh₁ = 2, dh₂ = −2." in without
    assert '<tspan data-value="dv1">4</tspan>' in without and '<tspan data-value="w21">1</tspan>' in without
    assert "></tspan>" not in without and "DESCRIPTION" not in without
    assert not re.search("<(button|input|select)", without)


def test_whole_numbers_from_a_page_are_numbers():
    settings = backprop.read_settings(by_hand(), [0, 1], 1)
    whole = {name: int(number) for name, number in settings.items()}
    assert backprop.forward_backward(whole) == backprop.forward_backward({name: float(number) for name, number in whole.items()})


def test_picture_shows_a_unit_that_is_off():
    values = backprop.forward_backward(backprop.read_settings(by_hand(), [0, 1], 1))
    svg = backprop.picture(values)
    assert values["z2"] == 0 and values["dz2"] == 0 and values["dh2"] == 0  # on the corner counts as off
    assert svg.count('data-unit="2" data-off=""') == svg.count('data-unit="2"') == 4
    assert 'data-unit="1" data-off' not in svg


def test_stored_text_passes_the_lint(output):
    text = re.sub(r"<[^>]*>", " ", output["text/html"])
    assert [pattern.search(text) for pattern, _ in VOLATILE] == [None] * len(VOLATILE)
    digits = [len(re.sub(r"\D", "", m[0].split("e")[0]).lstrip("0")) for m in FLOAT.finditer(text)]
    assert max(digits, default=0) <= SIGNIFICANT_DIGITS


def test_values_are_those_of_finite_differences(rng):
    names = "w11 w12 w21 w22 b1 b2 v1 v2 c x1 x2 t".split()
    settings = dict(zip(names, rng.normal(size=12).tolist(), strict=True))
    found, h = backprop.forward_backward(settings), 1e-6
    for name in names:
        up, down = (backprop.forward_backward(settings | {name: settings[name] + step})["L"] for step in (h, -h))
        np.testing.assert_allclose(found[f"d{name}"], (up - down) / (2 * h), rtol=1e-6, atol=1e-8)


def test_values_are_those_of_the_model():
    model = by_hand(v2=-1.5)
    found = backprop.forward_backward(backprop.read_settings(model, [1, 1], 0))
    y, backward = model(np.array([[1.0, 1.0]]))
    loss, loss_backward = f.mse_loss(y, np.zeros((1, 1)))
    backward(loss_backward())
    gradients = {name: np.ravel(g).tolist() for name, g in model.gradients().items()}
    assert found["y"] == y.item() and found["L"] == float(loss)
    assert gradients["layers.0.weight"] == [found[n] for n in ("dw11", "dw12", "dw21", "dw22")]
    assert gradients["layers.0.bias"] == [found["db1"], found["db2"]]
    assert gradients["layers.1.weight"] == [found["dv1"], found["dv2"]] and gradients["layers.1.bias"] == [found["dc"]]


def test_settings_are_rounded():
    assert backprop.read_settings(by_hand(v2=-1.23456789), [1 / 3, 1], 0)["v2"] == -1.235


@pytest.mark.parametrize("config", [MLPConfig(2, (3,), 1), MLPConfig(2, (2,), 1, activation="tanh"), MLPConfig(2, (), 1)])
def test_another_network_is_refused(config):
    with pytest.raises(ValueError, match="network 2-2-1 with ReLU: build it with"):
        backprop.show(MLP(config), [1, 1], 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (2.0, "2"),
        (-2, "−2"),
        (0.125, "0.13"),
        (-0.125, "−0.13"),
        (0.1, "0.1"),
        (3e-5, "3e−5"),
        (123.6, "124"),
        (2e5, "2e5"),
    ],
)
def test_short_numbers(value, text):
    assert backprop.short(value) == text


# The mechanism


def test_data_cannot_leave_its_element():
    data = {"b": "</script><script>alert(1)</script>", "a": "<!-- & \u2028 é"}
    text = island(data)
    assert not re.search("[<>&\u2028é]", text)
    assert json.loads(text) == data
    assert text.index('"a"') < text.index('"b"')
    assert "<script>alert" not in page("backprop", data, PICTURE, 'a "label" <b>')
    assert 'aria-label="a &quot;label&quot; &lt;b&gt;"' in page("backprop", data, PICTURE, 'a "label" <b>')


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_data_are_finite(number):
    with pytest.raises(ValueError):
        island({"a": number})


@pytest.mark.parametrize("name", ["nothing", "../book", "Backprop"])
def test_unknown_figure(name):
    with pytest.raises(ValueError, match="there is no interactive figure"):
        interactive(name, {}, PICTURE, "text", "label")


@pytest.mark.parametrize("fallback", ["", "<svg></svg>", '<svg role="img"></svg>', '<svg role="img" aria-label="short"></svg>'])
def test_a_silent_picture_is_refused(fallback):
    with pytest.raises(ValueError, match="is silent"):
        page("backprop", {}, fallback, "label")


def test_figures_stay_in_their_place():
    """Every rule of a style begins in a figure or in one of its classes, and no script leaves a global name."""
    for path in FOLDER.glob("*.css"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for selectors in re.findall(r"(?:^|[{}])\s*([^{}@]+?)\s*\{", text):
            assert all(".dl-" in part for part in re.split(r",(?![^(]*\))", selectors)), f"{path.name}: {selectors}"
    for path in FOLDER.glob("*.js"):
        text = path.read_text(encoding="utf-8").strip()
        assert text.startswith("(() => {") and text.endswith("})();")
        assert not re.search(r"\b(window|globalThis)\.|getElementById|innerHTML|eval\(", text)
