"""The attention map in a browser: its arithmetic, mouse and keyboard, dark, narrow, without scripts."""

import json

import numpy as np
import pytest

from dlcourse.interactive import heads
from tests.figures import html_of
from tests.test_heads import SCORES, TOKENS

SETTINGS = heads.read_settings(TOKENS, SCORES)


@pytest.fixture(scope="module")
def html():
    return html_of(lambda: heads.show(TOKENS, SCORES))


def state(page, copy=0):
    return json.loads(page.locator(".dl-interactive").nth(copy).get_attribute("data-state"))


def test_arithmetic_is_that_of_the_package(visit):
    page = visit()
    for name in SCORES:
        page.locator("select").select_option(name)
        for causal in (True, False):
            page.get_by_label("causal mask").set_checked(causal)
            for query in range(len(TOKENS)):
                page.get_by_label("Query").fill(str(query))
                for step, sharpness in enumerate(heads.SHARPNESS):
                    page.get_by_label("Sharpness").fill(str(step))
                    now = state(page)
                    assert (now["head"], now["causal"], now["query"], now["sharpness"]) == (name, causal, query, sharpness)
                    expected = heads.weights(SETTINGS | {"causal": causal}, name, query, sharpness)
                    np.testing.assert_allclose(now["weights"], expected, rtol=1e-12, atol=1e-15)


def test_mouse_chooses_the_query(visit):
    page = visit()
    page.locator("[data-query='1']").click()
    assert state(page)["query"] == 1
    page.locator("[data-query='3']").hover()
    assert state(page)["query"] == 3
    words = page.get_by_role("status").inner_text()
    assert words.startswith(heads.sentence(SETTINGS | {"query": 3}, heads.weights(SETTINGS, query=3)))
    page.get_by_role("button", name="Reset").click()
    assert state(page)["query"] == 4


def test_keyboard_chooses_the_query(visit):
    page = visit()
    page.get_by_label("Query").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert state(page)["query"] == 2
    page.keyboard.press("Home")
    assert state(page)["query"] == 0 and state(page)["weights"] == [1, 0, 0, 0, 0]


def test_copies_do_not_disturb_each_other(visit):
    page = visit(copies=2)
    page.get_by_label("Query").first.fill("0")
    assert state(page)["query"] == 0 and state(page, 1)["query"] == 4


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1400])
def test_nothing_leaves_its_place(visit, theme, width):
    page = visit(theme, width)
    page.get_by_label("Sharpness").fill("5")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    letters = page.evaluate(
        "[...document.querySelectorAll('.dl-heads text')].filter(t => t.textContent).map(t => t.getBoundingClientRect().height)"
    )
    assert min(letters) >= 8


def test_without_scripts_the_picture_stands(visit):
    page = visit(scripts=False)
    assert page.locator("svg.dl-heads").is_visible()
    assert page.locator("input").count() == 0


def test_the_script_draws_what_the_picture_showed(visit):
    still, moving = visit(scripts=False), visit()
    texts = [sorted(page.locator("svg.dl-heads text").all_text_contents()) for page in (still, moving)]
    assert texts[0] == texts[1]
    for name in ("viewBox", "aria-label"):
        values = [page.locator("svg.dl-heads").get_attribute(name) for page in (still, moving)]
        assert values[0] == values[1]
    bars = [page.evaluate("[...document.querySelectorAll('.dl-column')].map(r => r.getAttribute('height'))") for page in (still, moving)]
    assert bars[0] == bars[1]
