"""The interactive figure of activations through depth: its numbers, its text, and the curve that stands without scripts."""

import json
import re

import numpy as np
import pytest

from dlcourse.interactive import depth
from dlcourse.numpy import functional as f
from tests.figures import displayed
from tools.lint import FLOAT, SIGNIFICANT_DIGITS, VOLATILE


@pytest.fixture(scope="module")
def output():
    first, second = displayed(depth.show, depth.show)
    assert first == second
    return first


def data_of(output):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', output["text/html"], re.DOTALL)[1])


def test_every_setting_is_there(output):
    data = data_of(output)
    names = {f"{a} {n} {g:g}" for a in data["activations"] for n in data["norms"] for g in data["gains"]}
    assert set(data["runs"]) == names and len(names) == 4 * 4 * 8
    for run in data["runs"].values():
        assert len(run["values"]) == len(run["gradients"]) == 50 and -1 <= run["alike"] <= 1


def test_text_and_picture_say_the_same(output):
    first, second = output["text/plain"].splitlines()
    assert first == "interactive figure: activations through depth"
    assert second in output["text/html"] and second.startswith("Activation relu, norm none, I Var(w) = 1. ")
    run = data_of(output)["runs"]["relu none 1"]
    assert output["text/html"].count(f'd="{depth.path(run["values"])}"') == 1
    assert len(output["text/html"]) < 120_000


def test_stored_text_passes_the_lint(output):
    assert not any(pattern.search(output["text/plain"]) for pattern, _ in VOLATILE)
    assert all(len(number.replace(".", "").lstrip("0")) <= SIGNIFICANT_DIGITS for number in FLOAT.findall(output["text/plain"]))


def test_values_are_those_of_a_plain_loop():
    for gain in (0.5, 2.0):
        rng = np.random.default_rng(3)
        h, sizes = rng.normal(size=(32, 64)), []
        for _ in range(50):
            h = np.maximum(h @ rng.normal(0, np.sqrt(gain / 64), (64, 64)).T, 0)
            sizes.append(np.log10(np.mean(h**2)))
        np.testing.assert_allclose(depth.through_depth("relu", "none", gain, 3)["values"], sizes, atol=0.051)


def test_gradients_are_those_of_the_formulas():
    """Linear layers: the gradient at a layer's input is the cotangent times all weights from there on."""
    rng = np.random.default_rng(4)
    rng.normal(size=(32, 64))
    weights = [rng.normal(0, np.sqrt(1.5 / 64), (64, 64)) for _ in range(50)]
    dh, sizes = rng.normal(size=(32, 64)), []
    for weight in reversed(weights):
        dh = dh @ weight
        sizes.append(np.log10(np.mean(dh**2)))
    np.testing.assert_allclose(depth.through_depth("linear", "none", 1.5, 4)["gradients"], sizes[::-1], atol=0.051)


@pytest.mark.parametrize("norm", ["batch", "layer", "rms"])
def test_a_norm_keeps_the_size(norm):
    run = depth.through_depth("tanh", norm, 0.25, 0)
    assert all(abs(size - np.log10(np.mean(f.tanh(np.random.default_rng(0).normal(size=10**5))[0] ** 2))) < 0.15 for size in run["values"])
    assert depth.through_depth("relu", norm, 4.0, 0)["alike"] == depth.through_depth("relu", norm, 2.0, 0)["alike"]


def test_what_leaves_the_picture_stays_at_its_edge():
    assert depth.path([99.0] * 50).startswith("M60.0 20.0L") and depth.path([-99.0] * 50).endswith("620.0 260.0")
    assert (depth.power(-12), depth.power(0), depth.power(6)) == ("10⁻¹²", "10⁰", "10⁶")
