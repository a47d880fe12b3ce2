"""The interactive figure of the V: its errors, its predictions, and the curve that stands without scripts."""

import json
import math
import re
from fractions import Fraction

import numpy as np
import pytest

from dlcourse.interactive import differences as figure
from tests.figures import displayed
from tests.test_interactive import Elements
from tools.lint import FLOAT, SIGNIFICANT_DIGITS, VOLATILE


@pytest.fixture(scope="module")
def output():
    first, second = displayed(figure.show, figure.show)
    assert first == second
    return first


def data_of(output):
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', output["text/html"], re.DOTALL)[1])


def test_every_setting_is_there(output):
    data = data_of(output)
    names = {f"{a} {p} {m}" for a in data["functions"] for p in data["precisions"] for m in data["methods"]}
    assert set(data["runs"]) == names and len(names) == 4 * 2 * 3
    assert [float(step) for step in data["steps"]] == figure.STEPS and len(figure.STEPS) == 46
    assert sorted(figure.STEPS) == figure.STEPS and (figure.STEPS[0], figure.STEPS[-1]) == (1e-16, 1e-1)
    assert all(len(run["errors"]) == 46 for run in data["runs"].values())
    assert len(output["text/html"]) < 40_000


def test_html_is_closed_in_itself(output):
    found = Elements(output["text/html"])
    assert found.open == []
    text = output["text/html"].replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import|fetch\(|import\(|XMLHttpRequest|localStorage", text)
    without = re.sub(r"<(script|style).*?</\1>", "", output["text/html"], flags=re.DOTALL)
    assert without.count('role="img"') == 1 and not re.search("<(button|input|select)", without)


def test_text_and_picture_say_the_same(output):
    first, second = output["text/plain"].splitlines()
    assert first == "interactive figure: the error of a difference quotient"
    assert second in output["text/html"]
    assert second == (
        "Function x³ at x = 1.3, float64, central, h = 1e-05: relative error about 10⁻¹¹, about 11 digits are right. "
        "Predicted best step: about 10⁻⁵."
    )
    run = data_of(output)["runs"]["x³ float64 central"]
    assert f'd="{figure.path(run)}"' in output["text/html"]


def test_stored_text_passes_the_lint(output):
    text = re.sub(r"<[^>]*>", " ", output["text/html"]) + output["text/plain"]
    assert [pattern.search(text) for pattern, _ in VOLATILE] == [None] * len(VOLATILE)
    digits = [len(re.sub(r"\D", "", m[0].split("e")[0]).lstrip("0")) for m in FLOAT.finditer(text)]
    assert max(digits) <= SIGNIFICANT_DIGITS


@pytest.mark.parametrize("name", figure.FUNCTIONS)
def test_exact_derivatives(name):
    """Each is the difference quotient of the one before, in fractions."""
    make = {"x³": figure._cube, "1 / x": figure._reciprocal, "√x": figure._root, "x / (1 + x²)": figure._hill}[name]
    function = make()
    assert function.x == float(np.float32(function.x))
    x = complex(function.x)
    values = {"x³": lambda z: z**3, "1 / x": lambda z: 1 / z, "√x": lambda z: z**0.5, "x / (1 + x²)": lambda z: z / (1 + z * z)}[name]
    np.testing.assert_allclose(float(function.exact[0]), values(x).real, rtol=1e-14)
    np.testing.assert_allclose(float(function.exact[1]), values(x + 1e-20j).imag / 1e-20, rtol=1e-14)
    points = values(x + 0.01 * np.exp(2j * np.pi * np.arange(32) / 32))  # Cauchy's formula on a circle
    for k in (2, 3):
        derivative = math.factorial(k) * np.fft.fft(points)[k].real / 32 / 0.01**k
        np.testing.assert_allclose(float(function.exact[k]), derivative, rtol=1e-8)
    assert all(isinstance(a, Fraction) for a in function.exact)


@pytest.mark.parametrize("name", figure.FUNCTIONS)
def test_imaginary_part_is_that_of_a_complex_number(name):
    function = figure.FUNCTIONS[name]
    values = {"x³": lambda z: z**3, "1 / x": lambda z: 1 / z, "√x": lambda z: z**0.5, "x / (1 + x²)": lambda z: z / (1 + z * z)}[name]
    for h in (0.1, 1e-3, 1e-9):
        np.testing.assert_allclose(function.imaginary(function.x, h), values(complex(function.x, h)).imag, rtol=1e-13)


def test_errors_have_the_shape_that_the_chapter_says():
    for name in figure.FUNCTIONS:
        for precision in figure.PRECISIONS:
            forward, central, step = (figure.errors(name, precision, method) for method in figure.METHODS)
            best = {key: min(e for e in run["errors"] if e is not None) for key, run in (("f", forward), ("c", central), ("s", step))}
            assert best["s"] < best["c"] - 1 < best["f"] - 1.5
            assert step["best"] is None and step["rounding"] is None and None not in step["errors"]
            small = [e for h, e in zip(figure.STEPS, step["errors"], strict=True) if h < 1e-9]
            assert max(small) < (-6.5 if precision == "float32" else -15)
            for run in (forward, central):
                at = [h for h, e in zip(figure.STEPS, run["errors"], strict=True) if e is not None]
                where = math.log10(min(at, key=lambda h, run=run: run["errors"][figure.STEPS.index(h)]))
                assert abs(where - run["best"]) < 1.1


def test_a_lost_step_has_no_estimate():
    run = figure.errors("x³", "float32", "central")
    lost = [h for h, e in zip(figure.STEPS, run["errors"], strict=True) if e is None]
    assert max(lost) < np.spacing(np.float32(1.3)) and lost
    words = figure.summary(run, "x³", "float32", "central", "1e-16")
    assert words.endswith("h = 1e-16: x + h rounds to x, so there is no estimate.")
    first = next(h for h, e in zip(figure.STEPS, run["errors"], strict=True) if e is not None)
    assert figure.path(run).startswith("M") and figure.path(run).count("M") == 1
    assert figure.path(run)[1:].split(" ")[0] == f"{figure.place(math.log10(first), 0)[0]:.1f}"


def test_predicted_lines_end_at_the_edges():
    for method in figure.METHODS:
        run = figure.errors("1 / x", "float64", method)
        for name in ("truncation", "rounding"):
            line = figure.line(run, name)
            assert (line == "") == (run[name] is None)
            for point in line[1:].split("L") if line else []:
                x, y = map(float, point.split())
                assert 60 <= x <= 620 and 20 <= y <= 280
                start, power = run[name]
                height = start + power * ((x - 60) * 15 / 560 - 16)
                assert abs(figure.place(-1, height)[1] - y) < 0.5


def test_what_leaves_the_picture_stays_at_its_edge():
    assert figure.place(-1, 5)[1] == 20 and figure.place(-16, -99) == (60, 280)
    assert (figure.power(-12), figure.power(0)) == ("10⁻¹²", "10⁰")
