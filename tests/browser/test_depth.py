"""The interactive figure of activations through depth, opened from a file."""

import pytest

from dlcourse.interactive import depth
from tests.figures import html_of


@pytest.fixture(scope="module")
def html():
    return html_of(depth.show)


def drawn(page):
    return [page.locator(f".dl-{name}").get_attribute("d") for name in ("values", "gradients")]


def expected(activation, norm, gain):
    run = depth.through_depth(activation, norm, gain, 0)
    return [depth.path(run["values"]), depth.path(run["gradients"])], depth.summary(run, activation, norm, gain)


def test_it_opens_with_the_picture_of_the_notebook(visit):
    curves, text = expected(**depth.START)
    for scripts in (False, True):
        page = visit(scripts=scripts)
        assert drawn(page) == curves and page.locator("svg").get_attribute("aria-label") == text
    assert page.get_by_role("status").inner_text() == text


def test_every_control_moves_the_curves_by_keyboard(visit):
    page = visit()
    page.locator("[data-name=activation]").select_option("gelu")
    page.locator("[data-name=norm]").select_option("batch")
    page.locator("[data-name=gain]").press("ArrowRight")
    curves, text = expected("gelu", "batch", 1.5)
    assert drawn(page) == curves and page.get_by_role("status").inner_text() == text


@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_sticks_out(visit, width):
    page = visit("dark", width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
