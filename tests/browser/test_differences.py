"""The interactive figure of the V, opened from a file."""

import pytest

from dlcourse.interactive import differences as figure
from tests.figures import html_of


@pytest.fixture(scope="module")
def html():
    return html_of(figure.show)


def drawn(page):
    return [page.locator(f".dl-{name}").get_attribute("d") for name in ("measured", "truncation", "rounding")]


def expected(**settings):
    run = figure.errors(settings["function"], settings["precision"], settings["method"])
    return [figure.path(run), figure.line(run, "truncation"), figure.line(run, "rounding")], figure.summary(run, **settings)


def test_it_opens_with_the_picture_of_the_notebook(visit):
    curves, text = expected(**figure.START)
    places = []
    for scripts in (False, True):
        page = visit(scripts=scripts)
        assert drawn(page) == curves and page.locator("svg").get_attribute("aria-label") == text
        places.append([page.locator(".dl-here").get_attribute(name) for name in ("cx", "cy")])
    assert places[0] == places[1]
    assert page.get_by_role("status").inner_text() == text


@pytest.mark.parametrize("function", figure.FUNCTIONS)
def test_every_setting_draws_what_python_says(visit, function):
    page = visit()
    page.locator("[data-name=function]").select_option(function)
    for precision in figure.PRECISIONS:
        page.locator("[data-name=precision]").select_option(precision)
        for method in figure.METHODS:
            page.locator("[data-name=method]").select_option(method)
            curves, text = expected(function=function, precision=precision, method=method, step=figure.START["step"])
            assert drawn(page) == curves and page.get_by_role("status").inner_text() == text


def test_the_step_moves_by_keyboard(visit):
    page = visit()
    steps = [f"{h:g}" for h in figure.STEPS]
    at = steps.index(figure.START["step"])
    slider = page.locator("[data-name=step]")
    slider.press("ArrowRight")
    assert page.get_by_role("status").inner_text() == expected(**(figure.START | {"step": steps[at + 1]}))[1]
    assert slider.get_attribute("aria-valuetext") == steps[at + 1]
    before = page.locator(".dl-here").get_attribute("cx")
    slider.press("Home")
    assert page.get_by_role("status").inner_text() == expected(**(figure.START | {"step": steps[0]}))[1]
    assert "no estimate" in page.get_by_role("status").inner_text()
    assert page.locator(".dl-here").get_attribute("cx") != before


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_sticks_out(visit, width, theme):
    page = visit(theme, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    letters = page.evaluate("[...document.querySelectorAll('.dl-vee text')].map(t => t.getBoundingClientRect().height)")
    assert min(letters) >= 8
