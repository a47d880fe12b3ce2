"""The threshold of a classifier, in a browser: its arithmetic, keyboard, dark, narrow, without scripts."""

import json

import numpy as np
import pytest

from dlcourse.interactive import threshold
from tests.figures import html_of
from tests.test_threshold_figure import examples


@pytest.fixture(scope="module")
def html():
    return html_of(lambda: threshold.show(*examples(), 1.0))


def state(page, copy=0):
    return json.loads(page.locator(".dl-interactive").nth(copy).get_attribute("data-state"))


def move(page, place):
    page.locator("input[type=range]").first.evaluate(f"box => {{ box.value = box.max - {place}; box.dispatchEvent(new Event('input')); }}")


def test_arithmetic_is_that_of_the_package(visit):
    page, settings = visit(), threshold.read_settings(*examples(), 1.0)
    for times in threshold.RARER:
        page.locator("select").select_option(str(times))
        for place in range(len(threshold.thresholds(settings)) + 1):
            move(page, place)
            now = state(page)
            assert (now["tp"], now["fp"], now["fn"], now["tn"]) == threshold.counts(settings, place, times)
            assert page.get_by_role("status").inner_text() == threshold.sentence(settings, place, times)
        assert np.allclose([now["area"], now["average"]], threshold.areas(settings, times), rtol=1e-12)


def test_rare_positives_leave_the_roc_curve_and_bend_the_other(visit):
    page = visit()
    lines = page.locator(".dl-line")
    before = [lines.nth(i).get_attribute("d") for i in (0, 1)]
    page.locator("select").select_option("100")
    after = [lines.nth(i).get_attribute("d") for i in (0, 1)]
    assert before[0] == after[0] and before[1] != after[1]
    page.get_by_role("button", name="Reset").click()
    assert [lines.nth(i).get_attribute("d") for i in (0, 1)] == before


def test_keyboard_moves_the_threshold(visit):
    page = visit()
    start = state(page)["place"]
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    assert state(page)["place"] == start - 1  # a larger threshold calls fewer
    page.keyboard.press("End")
    assert state(page)["place"] == 0 and state(page)["tp"] == 0
    page.keyboard.press("Home")
    assert state(page)["fn"] == state(page)["tn"] == 0


def test_copies_do_not_disturb_each_other(visit):
    page = visit(copies=2)
    move(page, 0)
    assert state(page)["place"] == 0 and state(page, 1)["place"] > 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_leaves_its_place(visit, theme, width):
    page = visit(theme, width)
    page.locator("select").select_option("100")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    letters = page.evaluate("[...document.querySelectorAll('.dl-interactive svg text')].map(t => t.getBoundingClientRect().height)")
    assert min(letters) >= 8


def test_without_scripts_the_picture_stands(visit):
    page = visit(scripts=False)
    assert page.locator(".dl-interactive svg").count() == 3
    assert page.locator("input").count() == 0
    assert page.locator("svg").first.is_visible()


def test_the_script_draws_what_the_picture_showed(visit):
    still, moving = visit(scripts=False), visit()
    for name, selector in (("d", "path"), ("class", ".dl-strip circle, .dl-strip rect"), ("cx", ".dl-now"), ("aria-label", "svg")):
        found = [[node.get_attribute(name) for node in page.locator(f".dl-interactive {selector}").all()] for page in (still, moving)]
        assert [value.split() for value in found[0]] == [value.split() for value in found[1]]
    assert still.locator("table").inner_text() == moving.locator("table").inner_text()
