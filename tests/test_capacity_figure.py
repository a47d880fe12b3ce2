"""The interactive figure of a curve through sixteen points: its data, and the picture that stands without scripts."""

import json
import re

import numpy as np
import pytest

from dlcourse.interactive import capacity as figure
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
    assert set(data["runs"]) == {f"{size} {penalty}" for size in figure.SIZES for penalty in figure.PENALTIES}
    assert data["points"] == figure.N == figure.START["size"] and figure.N in figure.SIZES
    assert all(len(run["curve"]) == len(figure.GRID) for run in data["runs"].values())
    assert len(output["text/html"]) < 160_000


def test_html_is_closed_in_itself(output):
    found = Elements(output["text/html"])
    assert found.open == []
    text = output["text/html"].replace('"http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|url\(|@import|fetch\(|import\(|XMLHttpRequest|localStorage", text)
    without = re.sub(r"<(script|style).*?</\1>", "", output["text/html"], flags=re.DOTALL)
    assert without.count('role="img"') == 1 and not re.search("<(button|input|select)", without)


def test_text_and_picture_say_the_same(output):
    first, second = output["text/plain"].splitlines()
    assert first == "interactive figure: a curve through 16 points"
    assert f'aria-label="{second}"' in output["text/html"]
    assert second.startswith("16 points, 16 cosines, penalty 0: as many cosines as points. Training error 0.000, test error ")
    run = data_of(output)["runs"]["16 0"]
    assert f'd="{figure.path(run)}"' in output["text/html"]


def test_stored_text_passes_the_lint(output):
    text = re.sub(r"<[^>]*>", " ", output["text/html"]) + output["text/plain"]
    assert [pattern.search(text) for pattern, _ in VOLATILE] == [None] * len(VOLATILE)
    digits = [len(re.sub(r"\D", "", m[0].split("e")[0]).lstrip("0")) for m in FLOAT.finditer(text)]
    assert max(digits) <= SIGNIFICANT_DIGITS


def test_curves_meet_the_points_from_sixteen_cosines_on():
    x, targets = figure.points()
    assert len(x) == len(targets) == figure.N and np.all(np.diff(x) > 0)
    for size in figure.SIZES:
        assert (figure.fit(size, "0")["train"] == "0.000") == (size >= figure.N)


def test_the_curve_says_what_the_chapter_says():
    """A peak at as many cosines as points, a second descent, and no peak under a penalty."""
    bare, held = ([10.0 ** (figure.fit(size, p)["height"] / 100) for size in figure.SIZES] for p in ("0", "1e-03"))
    at = figure.SIZES.index(figure.N)
    assert bare[at] > 10 * min(bare[:at]) and bare[at] > 10 * bare[-1]
    assert max(held[at - 3 : at + 4]) < 4 * min(held)


def test_words():
    run = {"train": "0.10", "test": "0.20"}
    assert figure.summary(run, 1, "1e-03") == (
        "16 points, 1 cosine, penalty 1e-03: fewer cosines than points. Training error 0.10, test error 0.20."
    )
    assert "more cosines than points" in figure.summary(run, 17, "0")
    assert [figure.shown(e) for e in (0.0004, 9.9994, 9.9996, 123.4)] == ["0.000", "9.999", "10", "123"]


def test_what_leaves_the_picture_stays_at_its_edge():
    assert figure.place(0, 99)[1] == 20 and figure.place(0, -99)[1] == 300
    assert figure.error_place(1, 350) == (400, 20) and figure.error_place(300, -200) == (680, 295)
    assert max(abs(y) for y in figure.fit(16, "0")["curve"]) <= 900
