"""The interactive figure of optimizer paths: its surfaces, its paths by plain formulas, and what stands without scripts."""

import json
import re

import numpy as np
import pytest

from dlcourse.interactive import paths
from tests.equations import numerical_gradient
from tests.figures import displayed
from tests.test_interactive import Elements
from tools.lint import FLOAT, SIGNIFICANT_DIGITS, VOLATILE


@pytest.fixture(scope="module")
def output():
    first, second = displayed(paths.show, lambda: paths.show(lr=0.09))
    assert first == second
    return first


@pytest.mark.parametrize("name", paths.SURFACES)
def test_gradients_of_the_surfaces(name, rng):
    surface = paths.SURFACES[name]
    for point in rng.normal(size=(5, 2)):
        numeric = numerical_gradient(lambda w: surface(*w)[0], point)
        np.testing.assert_allclose(surface(*point)[1], numeric, rtol=1e-6)


def test_the_surfaces_are_what_they_are_called():
    curvatures = [np.linalg.eigvalsh([paths.SURFACES[name](*e)[1] for e in np.eye(2)]) for name in ("valley", "turned valley")]
    np.testing.assert_allclose(curvatures, [[1, 20], [1, 20]])
    losses = [paths.two_minima(x, 0.0)[0] for x in np.linspace(-3, 3, 60_001)]
    assert abs(min(losses)) < 1e-4
    assert [round(x, 1) for x in np.linspace(-3, 3, 60_001)[1:-1][np.diff(np.sign(np.diff(losses))) > 0]] == [-2.1, 1.8]


def slow(settings):
    """The path by the formulas of the chapter, one number at a time."""
    lr, mu, w, m, v = settings["lr"], settings["momentum"], list(settings["start"]), [0.0, 0.0], [0.0, 0.0]
    found = [tuple(w)]
    for t in range(1, paths.STEPS + 1):
        g = paths.SURFACES[settings["surface"]](*w)[1]
        for i in range(2):
            match settings["optimizer"]:
                case "gradient descent":
                    w[i] -= lr * g[i]
                case "momentum" | "Nesterov" as kind:
                    v[i] = mu * v[i] + g[i]
                    w[i] -= lr * (v[i] if kind == "momentum" else g[i] + mu * v[i])
                case "RMSProp":
                    v[i] = 0.99 * v[i] + 0.01 * g[i] ** 2
                    w[i] -= lr * g[i] / (v[i] ** 0.5 + 1e-8)
                case "Adam":
                    m[i] = mu * m[i] + (1 - mu) * g[i]
                    v[i] = 0.999 * v[i] + 0.001 * g[i] ** 2
                    w[i] -= lr * m[i] / (1 - mu**t) / ((v[i] / (1 - 0.999**t)) ** 0.5 + 1e-8)
                case "Lion":
                    w[i] -= lr * np.sign(mu * m[i] + (1 - mu) * g[i])
                    m[i] = 0.99 * m[i] + 0.01 * g[i]
        found.append(tuple(w))
        if max(map(abs, w)) >= paths.FAR:
            break
    return np.array(found)


@pytest.mark.parametrize("optimizer", paths.OPTIMIZERS)
def test_paths_are_those_of_the_formulas(optimizer):
    for surface in paths.SURFACES:
        for lr, momentum in ((0.02, 0.9), (0.11, 0.5), (0.09, 0.0)):
            settings = paths.START | {"surface": surface, "optimizer": optimizer, "lr": lr, "momentum": momentum}
            np.testing.assert_allclose(paths.trace(settings), slow(settings), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("surface", paths.SURFACES)
def test_level_lines_lie_at_their_level(surface):
    lines = paths.contours(surface)
    assert len(lines) >= 8 and len("".join(lines)) < 20_000
    levels = []
    for line in lines:
        points = np.array([place.split() for place in line.strip("MZ").split("L")], float)
        x, y = (points[:, 0] - 320) / 80, (200 - points[:, 1]) / 80
        losses = np.array([paths.SURFACES[surface](*point)[0] for point in zip(x, y, strict=True)])
        inner = np.abs(y) > 0.05  # at the ends of the upper and the lower half the line is cut
        levels.append(np.median(losses))
        assert np.abs(losses[inner] - levels[-1]).max() < 0.02 + 0.03 * levels[-1]
    assert np.allclose(sorted(set(np.round(np.log(np.array(levels) / 0.08) / np.log(2.5)))), range(8))


def test_html_is_closed_in_itself(output):
    found = Elements(output["text/html"])
    assert found.open == []
    assert not {"link", "img", "iframe", "object"} & set(found.tags)
    assert not {"src", "href", "id"} & {name for name, _ in found.attributes}
    text = output["text/html"].replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import|fetch\(|import\(|XMLHttpRequest|localStorage", text)
    assert json.loads(found.data["script"][0])["rates"] == list(paths.RATES)
    assert len(output["text/html"]) < 90_000


def test_picture_stands_without_the_script(output):
    without = re.sub(r"<(script|style).*?</\1>", "", output["text/html"], flags=re.DOTALL)
    assert without.count('role="img"') == 1 and without.count("dl-level") >= 8
    assert without.count("<circle") == paths.STEPS + 1 + 2
    assert not re.search("<(button|input|select)", without)


def test_text_and_picture_say_the_same(output):
    first, second = output["text/plain"].splitlines()
    assert first == "interactive figure: paths of optimizers" and f'aria-label="{second}"' in output["text/html"]
    assert second.startswith("Valley, gradient descent, learning rate 0.09, from (−3, 1.5). From step ")
    assert not any(pattern.search(output["text/plain"]) for pattern, _ in VOLATILE)
    assert all(len(number.replace(".", "").lstrip("0")) <= SIGNIFICANT_DIGITS for number in FLOAT.findall(output["text/plain"]))


def test_what_the_words_say():
    far = paths.summary(paths.START | {"lr": 0.11})
    assert far.endswith("It flies away: far outside after 24 steps.")
    slow_one = paths.summary(paths.START | {"lr": 0.002})
    assert slow_one.endswith("After 60 steps the loss is above a hundredth of the first.")
    assert "momentum 0.9" in paths.summary(paths.START | {"optimizer": "Adam"})
    assert (paths.rounded(0.25), paths.rounded(-0.04), paths.rounded(-0.125, 2)) == (0.3, 0.0, -0.12)


@pytest.mark.parametrize("wrong", [{"optimizer": "SGD"}, {"lr": 0.3}, {"momentum": 1.0}, {"surface": "hill"}, {"steps": 3}])
def test_what_is_not_offered_is_refused(wrong):
    with pytest.raises(ValueError, match="choose one of|the settings are"):
        paths.show(**wrong)
