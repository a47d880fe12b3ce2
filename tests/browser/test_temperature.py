"""Softmax under the reader's hands, in a browser: its arithmetic, keyboard, dark, narrow, without scripts."""

import json
import math

import numpy as np
import pytest

from dlcourse.interactive import temperature
from tests.figures import html_of
from tests.test_temperature import LOGITS


@pytest.fixture(scope="module")
def html():
    return html_of(lambda: temperature.show(LOGITS, "dog"))


def state(page, copy=0):
    return json.loads(page.locator(".dl-interactive").nth(copy).get_attribute("data-state"))


def check(now):
    """The numbers of the script are those of the package."""
    settings = {"names": list(LOGITS), "logits": now["logits"], "true": now["chosen"], "temperature": now["temperature"]}
    p, gradient, loss, entropy = temperature.compute(settings)
    np.testing.assert_allclose(now["p"], p, atol=1e-12)
    np.testing.assert_allclose(now["gradient"], gradient, atol=1e-11)
    assert math.isclose(now["loss"], loss, abs_tol=1e-11) and math.isclose(now["entropy"], entropy, abs_tol=1e-11)
    return settings


def slide(page, selector, value):
    page.locator(selector).first.fill(str(value))


def test_arithmetic_is_that_of_the_package(visit):
    page = visit()
    for tau in (-1, -0.3, 0, 0.5, 1):
        slide(page, "[data-setting=temperature]", tau)
        assert math.isclose(state(page)["temperature"], 10**tau)
        settings = check(state(page))
        assert page.get_by_role("status").inner_text() == temperature.sentence(settings)
    for i, logit in enumerate((-8, 3.5, 8, 0, 0.1)):
        slide(page, f"[data-logit='{i}']", logit)
        assert state(page)["logits"][i] == logit
        check(state(page))
    page.locator("select").select_option("eel")
    assert state(page)["chosen"] == 4
    check(state(page))


def test_a_shift_changes_no_probability(visit):
    page = visit()
    before = state(page)
    page.get_by_role("button", name="Add one to all logits").click()
    after = state(page)
    assert after["logits"] == [value + 1 for value in before["logits"]]
    np.testing.assert_allclose(after["p"], before["p"], atol=1e-14)
    for _ in range(20):  # never out of range
        page.get_by_role("button", name="Add one to all logits").click()
    assert max(state(page)["logits"]) <= 8
    page.get_by_role("button", name="Take one from all").click()
    page.get_by_role("button", name="Reset").click()
    assert state(page) == before


def test_keyboard_moves_the_sliders(visit):
    page = visit()
    page.locator("[data-setting=temperature]").focus()
    page.keyboard.press("End")
    assert state(page)["temperature"] == 10
    page.keyboard.press("Home")
    assert math.isclose(state(page)["temperature"], 0.1)
    page.get_by_label("logit of owl").focus()
    page.keyboard.press("ArrowRight")
    assert math.isclose(state(page)["logits"][3], -0.9)


def test_copies_do_not_disturb_each_other(visit):
    page = visit(copies=2)
    slide(page, "[data-logit='0']", 5)
    assert state(page)["logits"][0] == 5 and state(page, 1)["logits"][0] == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_leaves_its_place(visit, theme, width):
    page = visit(theme, width)
    slide(page, "[data-logit='0']", 8)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    letters = page.evaluate("[...document.querySelectorAll('.dl-bars text')].map(t => t.getBoundingClientRect().height)")
    assert min(letters) >= 8
    overlap = page.evaluate(
        """[...document.querySelectorAll('.dl-row')].some(row => {
            const [value, gradient] = ['.dl-value', '.dl-gradient'].map(s => row.querySelector(s).getBoundingClientRect());
            return value.right > gradient.left; })"""
    )
    assert not overlap


def test_without_scripts_the_picture_stands(visit):
    page = visit(scripts=False)
    assert page.locator(".dl-bars svg").is_visible() and page.locator("input").count() == 0
    assert "as unsure as among" in page.locator(".dl-sentence").inner_text()


def test_the_script_draws_what_the_picture_showed(visit):
    still, moving = visit(scripts=False), visit()
    pictures = [page.locator(".dl-bars svg") for page in (still, moving)]
    assert pictures[0].locator("text").all_text_contents() == pictures[1].locator("text").all_text_contents()
    widths = [picture.evaluate("svg => [...svg.querySelectorAll('rect')].map(r => r.getAttribute('width'))") for picture in pictures]
    assert widths[0] == widths[1]
    assert pictures[0].get_attribute("aria-label") == pictures[1].get_attribute("aria-label")
    assert still.locator(".dl-sentence").inner_text() == moving.locator(".dl-sentence").inner_text()
