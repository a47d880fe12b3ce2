"""The interactive figure of a curve through sixteen points, opened from a file."""

import pytest

from dlcourse.interactive import capacity as figure
from tests.figures import html_of


@pytest.fixture(scope="module")
def html():
    return html_of(figure.show)


def drawn(page):
    curves = [page.locator(f".dl-{name}").get_attribute("d") for name in ("fit", "errors", "bare")]
    return curves, page.locator("svg").get_attribute("aria-label")


def expected(size, penalty):
    runs = {f"{s} {p}": figure.fit(s, p) for s in figure.SIZES for p in {penalty, "0"}}
    run = runs[f"{size} {penalty}"]
    curves = [figure.path(run), figure.error_path(runs, penalty), figure.error_path(runs, "0")]
    return curves, figure.summary(run, size, penalty)


def test_it_opens_with_the_picture_of_the_notebook(visit):
    places = []
    for scripts in (False, True):
        page = visit(scripts=scripts)
        assert drawn(page) == expected(**figure.START)
        places.append([page.locator(".dl-here").get_attribute(name) for name in ("cx", "cy")])
    assert places[0] == places[1]
    assert page.get_by_role("status").inner_text() == expected(**figure.START)[1]


@pytest.mark.parametrize("penalty", figure.PENALTIES)
def test_every_setting_draws_what_python_says(visit, penalty):
    page = visit()
    page.locator("[data-name=penalty]").fill(str(figure.PENALTIES.index(penalty)))
    for size in figure.SIZES:
        page.locator("[data-name=size]").fill(str(figure.SIZES.index(size)))
        assert drawn(page) == expected(size, penalty)


def test_both_sliders_move_by_keyboard(visit):
    page = visit()
    at = figure.SIZES.index(figure.START["size"])
    size, penalty = (page.locator(f"[data-name={name}]") for name in ("size", "penalty"))
    size.press("ArrowRight")
    assert page.get_by_role("status").inner_text() == expected(figure.SIZES[at + 1], "0")[1]
    penalty.press("End")
    assert page.get_by_role("status").inner_text() == expected(figure.SIZES[at + 1], figure.PENALTIES[-1])[1]
    assert penalty.get_attribute("aria-valuetext") == figure.PENALTIES[-1]
    size.press("Home")
    assert "1 cosine, " in page.get_by_role("status").inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_sticks_out(visit, width, theme):
    page = visit(theme, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    letters = page.evaluate("[...document.querySelectorAll('.dl-capacity text')].map(t => t.getBoundingClientRect().height)")
    assert min(letters) >= 8
